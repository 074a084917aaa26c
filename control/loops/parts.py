"""What is a closed loop made of? Truth, sensors, actuators, disturbances, operators: checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.control.action import Controller
from titer.control.loops.actuators import Position, positions_of
from titer.control.loops.checks import check_controller, check_list, check_number, check_seed
from titer.control.loops.disturbances import Disturbance, departures
from titer.control.loops.faults import Fault, Stuck, described
from titer.control.loops.manual import Manual, manual_of
from titer.control.loops.sensors import Chance, Sensors, sensors_of
from titer.control.loops.truth import Around, Truth, truth_of
from titer.control.loops.wanted import Wanted, wanted_of
from titer.flowsheets.declarations import State
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.given import kind_of
from titer.flowsheets.profiles import PiecewiseConstant
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.signals import Signal, finite
from titer.flowsheets.simulation import Source
from titer.numerics.errors import SpecificationError, unknown


@dataclass(frozen=True, eq=False)
class Parts:
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
    start: Mapping[str, float]
    wanted: Wanted
    announced: tuple[tuple[float, str, str], ...]

    @staticmethod
    def of(
        plant: Flowsheet, controller: Controller, seed: Any, recipe: Recipe | None, start: Any,
        inputs: Mapping[str, Any] | None, previews: Any, noise: Any, laboratory: Any, faults: Any, disturbances: Any,
        actuators: Any,
        delay: Any, until: Any, manual: Any, points: int, tolerance: float,
    ) -> Parts:  # fmt: skip
        check_controller(controller, "close_loop")
        check_seed(seed, "close_loop")
        check_list(faults, "faults", "Frozen(name=reactor.T)")
        check_list(disturbances, "disturbances", "Step(name=reactor.UA_V, by=-10.0)")
        check_list(manual, "manual", "Manual(600.0, 900.0, {reactor.T_j: 330.0})")
        check_number(points, "close_loop: points", 2)
        check_number(tolerance, "close_loop: tolerance", 1e-14, 1e-2)
        recipe = controller.recipe if recipe is None else recipe
        inputs = controller.inputs if inputs is None else inputs
        every = finite(controller.every, controller.plant.measure_of_time, "controller: every")
        names = tuple(str(name) for name in controller.manipulated)
        _check_alike(plant, controller, names)
        stuck = [each for each in faults if isinstance(each, Stuck)]
        positions = positions_of(plant, names, actuators or {}, stuck)
        truth = truth_of(plant, recipe, inputs, names, every, points, tolerance)
        chance = Chance(seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed))
        grid = np.arange(0.0, truth.longest + 2.0 * every, every)
        added, shifts = departures(plant, disturbances, grid, chance)
        lying = [each for each in faults if not isinstance(each, Stuck)]
        sensors = sensors_of(plant, controller.measured, noise or {}, laboratory or {}, lying, truth.near)
        time = plant.measure_of_time
        hands = manual_of(plant, manual, names)
        given = {name: value for name, value in inputs.items() if name not in names}
        decided = {name: PiecewiseConstant(1) for name in names}
        return Parts(
            truth, Source(plant, recipe, given, decided), sensors, positions, added, shifts, hands,
            _nonnegative(finite(delay, time, "close_loop: delay")),
            np.inf if until is None else _positive(finite(until, time, "close_loop: until")), chance,
            _starts(plant, start or {}), wanted_of(plant, previews, "previews"),
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


def _starts(plant: Flowsheet, start: Mapping[str, Any]) -> dict[str, float]:
    """States that begin elsewhere, in their units. Raises SpecificationError."""
    found = {}
    for name, value in by_element(start, "start").items():
        if kind_of(plant, name) != State.kind:
            known = [n for n, s in plant.scalars.items() if s.kind == State.kind]
            raise SpecificationError(f"close_loop: start: {unknown('state', name, known)}")
        found[name] = finite(value, plant.measures[name], f"close_loop: start: {name}")
    return found


def _nonnegative(delay: float) -> float:
    if delay < 0.0:
        raise SpecificationError(f"close_loop: delay must be at least 0, got {delay:g}.")
    return delay


def _positive(until: float) -> float:
    if until <= 0.0:
        raise SpecificationError(f"close_loop: until must be a time after 0, got {until:g}.")
    return until


def _announced(
    faults: Sequence[Fault], disturbances: Sequence[Disturbance], manual: Sequence[Manual]
) -> tuple[tuple[float, str, str], ...]:
    """What is known beforehand, as events: (time, kind, text)."""
    windows: list[tuple[Any, str, str]] = [(each, "fault", f"{each.name}: {described(each)}") for each in faults]
    windows += [(each, "disturbance", f"{each.name}: {each.described()}") for each in disturbances]
    windows += [(each, "manual", "an operator decides") for each in manual]
    found = []
    for each, kind, text in windows:
        start, end = getattr(each, "start", 0.0), getattr(each, "end", np.inf)
        found.append((float(start), kind, text))
        if np.isfinite(end):
            found.append((float(end), kind, f"{text}: over"))
    return tuple(found)
