"""How does a controller do on a plant that is not its model? The loop is closed, and everything is written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.control.action import Action
from titer.control.loops.actuators import Position, positions_of
from titer.control.loops.controller import Controller
from titer.control.loops.disturbances import Disturbance, departures
from titer.control.loops.faults import Fault
from titer.control.loops.log import Log
from titer.control.loops.manual import Manual, manual_of
from titer.control.loops.sensors import Chance, Laboratory, Sensors, Shown, sampled, sensors_of
from titer.control.loops.truth import Around, Truth, advanced, begun, truth_of
from titer.control.loops.writing import Notes, written
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.profiles import PiecewiseConstant
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.signals import Signal, finite
from titer.flowsheets.simulation import Source
from titer.numerics.errors import SolveError, SpecificationError


def close_loop(
    truth: Flowsheet,
    controller: Controller,
    seed: int | np.random.SeedSequence = 0,
    until: Any = None,
    recipe: Recipe | None = None,
    inputs: Mapping[str, Any] | None = None,
    noise: Mapping[str, Any] | None = None,
    laboratory: Mapping[str, Laboratory] | None = None,
    faults: Sequence[Fault] = (),
    disturbances: Sequence[Disturbance] = (),
    actuators: Mapping[str, Any] | None = None,
    delay: Any = 0.0,
    manual: Sequence[Manual | tuple[Any, Any]] = (),
    points: int = 10,
    tolerance: float = 1e-8,
) -> Log:
    """Run a controller on a plant of its own, from the start of the recipe to its end, or to `until`.

    `truth`: the real plant: other values, other equations; what the controller measures and sets has the same names
    there. `recipe`, `inputs`: the truth's (default: the controller's). The truth is integrated phase by phase; a phase
    of free duration ends when an action says so, within its limits, one with a condition when the condition is met.
    A step is due when a phase begins and at `action.until`.

    `noise`: {measurement: standard deviation}; `laboratory`: {measurement: Laboratory(every, delay)}, not measured on
    line; `faults` of sensors; `disturbances` of the plant; `actuators`: {control: Actuator(...)}, else a control moves
    at once within its declared bounds; `delay`: from sample to command, the time to decide; `manual`: stretches of time
    in which an operator decides. Random numbers depend on `seed`, purpose and name alone, so that controllers that
    measure other things meet the same noise. `points`: of output on each stretch; `tolerance`: of the integrator.

    Raises SpecificationError for what does not fit, before anything is run, and SolveError where the truth cannot be
    integrated, with the log up to there as its `solution`.
    """
    loop = _Loop.of(truth, controller, seed, recipe, inputs, noise, laboratory, faults, disturbances, actuators,
                    delay, until, manual, points, tolerance)  # fmt: skip
    notes = Notes()
    try:
        _run(loop, controller, notes)
    except SolveError as error:
        message = str(error).splitlines()[0]
        log = written(loop.truth, loop.source, notes, loop.announced, loop.limits, message)
        raise SolveError(f"close_loop: the truth cannot go on: {error}", log) from None
    return written(loop.truth, loop.source, notes, loop.announced, loop.limits, "")


def _run(loop: _Loop, controller: Controller, notes: Notes) -> None:
    """Sample, decide, act, wait: until the recipe is over. `notes` are taken as it goes."""
    truth, positions = loop.truth, dict(loop.positions)
    moment = begun(truth, loop.around(positions, {}))
    sample, shown = sampled(loop.sensors, moment.seen, moment.clock, Shown(), loop.chance)
    memory = controller.start(sample)
    applied: dict[str, float] | None = None
    while True:
        phase = truth.planned[moment.phase + moment.ended].name
        action, memory = controller.step(memory, sample, phase=phase, applied=applied)
        commanded = _commanded(loop, action, moment.clock)
        positions = _moved(loop, positions, commanded, moment.clock)
        notes.decided(moment, phase, sample, action, commanded, loop.by_hand(moment.clock))
        began = moment.clock
        stop = min(_until(loop, controller, action, began), loop.until)
        moment, stretches = advanced(truth, moment, stop, loop.around(positions, _ends(action, phase)))
        applied = _held(positions, began, moment.clock)
        notes.ran(moment, stretches, applied, loop.shifts)
        if moment.over(truth) or moment.clock >= loop.until - truth.near:
            notes.finished(moment)
            return
        positions = {name: position.since(began) for name, position in positions.items()}
        sample, shown = sampled(loop.sensors, moment.seen, moment.clock, shown, loop.chance)


@dataclass(frozen=True, eq=False)
class _Loop:
    """What a loop is made of, checked; nothing in it changes while it runs but the state of `chance`."""

    truth: Truth
    source: Source
    sensors: Sensors
    positions: Mapping[str, Position]
    added: Mapping[str, Signal]
    shifts: Mapping[str, Signal]
    manual: tuple[Manual, ...]
    delay: float
    until: float
    chance: Chance
    announced: tuple[tuple[float, str, str], ...]

    @staticmethod
    def of(
        plant: Flowsheet, controller: Controller, seed: Any, recipe: Recipe | None, inputs: Mapping[str, Any] | None,
        noise: Any, laboratory: Any, faults: Any, disturbances: Any, actuators: Any,
        delay: Any, until: Any, manual: Any, points: int, tolerance: float,
    ) -> _Loop:  # fmt: skip
        recipe = controller.recipe if recipe is None else recipe
        inputs = controller.inputs if inputs is None else inputs
        every = finite(controller.every, controller.plant.measure_of_time, "controller: every")
        names = tuple(str(name) for name in controller.manipulated)
        _check_alike(plant, controller, names)
        positions = positions_of(plant, names, actuators or {})
        truth = truth_of(plant, recipe, inputs, names, every, points, tolerance)
        chance = Chance(seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed))
        grid = np.arange(0.0, truth.longest + 2.0 * every, every)
        added, shifts = departures(plant, disturbances, grid, chance)
        sensors = sensors_of(plant, controller.measured, noise or {}, laboratory or {}, faults, truth.near)
        time = plant.measure_of_time
        hands = manual_of(plant, manual, names)
        given = {name: value for name, value in inputs.items() if name not in names}
        decided = {name: PiecewiseConstant(1) for name in names}
        return _Loop(
            truth, Source(plant, recipe, given, decided), sensors, positions, added, shifts, hands,
            _nonnegative(finite(delay, time, "close_loop: delay")),
            np.inf if until is None else finite(until, time, "close_loop: until"), chance,
            _announced(faults, disturbances, hands),
        )  # fmt: skip

    @property
    def limits(self) -> dict[str, tuple[float, float]]:
        """Between which values each manipulated input can be."""
        return {name: (position.lower, position.upper) for name, position in self.positions.items()}

    def around(self, positions: Mapping[str, Position], ends: Mapping[str, float]) -> Around:
        return Around({name: position.signal for name, position in positions.items()}, self.added, self.shifts, ends)

    def by_hand(self, t: float) -> Manual | None:
        """The operator's entry that holds at a time."""
        near = self.truth.near
        return next((each for each in self.manual if each.start - near <= t < each.end - near), None)


def _commanded(loop: _Loop, action: Action, t: float) -> dict[str, float]:
    """What is commanded now: by the controller, or by hand."""
    by_hand = loop.by_hand(t)
    return dict(action.values) if by_hand is None else dict(by_hand.values)


def _moved(
    loop: _Loop, positions: Mapping[str, Position], commanded: Mapping[str, float], t: float
) -> dict[str, Position]:
    """Positions after commands. What is decided takes effect after the delay, what is done by hand at once."""
    by_hand = loop.by_hand(t) is not None
    moved = dict(positions)
    for name, position in positions.items():
        target = commanded.get(name, np.nan)
        if np.isfinite(target):
            moved[name] = position.told(t if by_hand else t + loop.delay, float(target))
        elif by_hand:
            moved[name] = position.stopped(t)
    return moved


def _until(loop: _Loop, controller: Controller, action: Action, t: float) -> float:
    """When the next step is due. A time that has passed is none: the next one is `every` later, or at the end of the
    phase."""
    return action.until if action.until > t + loop.truth.near else t + float(controller.every)


def _ends(action: Action, phase: str) -> dict[str, float]:
    """The end of the running phase, where the action ends it."""
    return {phase: action.until} if action.phase_ends and action.phase == phase else {}


def _held(positions: Mapping[str, Position], a: float, b: float) -> dict[str, float] | None:
    """What was held between two times, on average."""
    if b <= a:
        return None
    return {name: position.held(a, b) for name, position in positions.items()}


def _check_alike(plant: Flowsheet, controller: Controller, names: Sequence[str]) -> None:
    """Truth and model count time, and what passes between them, in the same units. Raises SpecificationError."""
    model = controller.plant
    if not isinstance(plant, Flowsheet):
        raise SpecificationError(f"close_loop: expected the truth as a Flowsheet(...), got {plant!r}.")
    if not plant.measure_of_time.same(model.measure_of_time):
        raise SpecificationError(
            f"close_loop: the truth counts time in {plant.time!r}, the controller's plant in {model.time!r}.\n"
            f"  Declare Flowsheet(..., time={model.time!r}) for the truth."
        )
    for name in (*names, *controller.measured):
        there, here = plant.measures.get(str(name)), model.measures.get(str(name))
        if there is not None and here is not None and not there.same(here):
            raise SpecificationError(
                f"close_loop: {name} is in {there.label!r} in the truth, and in {here.label!r} for the controller.\n"
                f"  Declare it in the same unit."
            )


def _nonnegative(delay: float) -> float:
    if delay < 0.0:
        raise SpecificationError(f"close_loop: delay must be at least 0, got {delay:g}.")
    return delay


def _announced(
    faults: Sequence[Fault], disturbances: Sequence[Disturbance], manual: Sequence[Manual]
) -> tuple[tuple[float, str, str], ...]:
    """What is known beforehand, as events: (time, kind, text)."""
    from titer.control.loops.faults import described

    windows = [(each, "fault", f"{each.name}: {described(each)}") for each in faults]
    windows += [(each, "disturbance", f"{each.name}: {each.described()}") for each in disturbances]
    windows += [(each, "manual", "an operator decides") for each in manual]
    found = []
    for each, kind, text in windows:
        start, end = getattr(each, "start", 0.0), getattr(each, "end", np.inf)
        found.append((float(start), kind, text))
        if np.isfinite(end):
            found.append((float(end), kind, f"{text}: over"))
    return tuple(found)
