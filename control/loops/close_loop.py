"""How does a controller do on a plant that is not its model? The loop is closed, and everything is written down."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from titer.control.action import Action, Controller
from titer.control.loops.actuators import Position
from titer.control.loops.disturbances import Disturbance
from titer.control.loops.faults import Fault, Stuck
from titer.control.loops.journal import Journal
from titer.control.loops.log import Log
from titer.control.loops.manual import Manual
from titer.control.loops.parts import Parts
from titer.control.loops.sensors import Laboratory, Shown, sampled
from titer.control.loops.tracks import at
from titer.control.loops.truth import advanced, begun
from titer.control.loops.wanted import at_time
from titer.control.loops.writing import Notes, written
from titer.estimation.estimators.sample import Sample
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Recipe
from titer.numerics.errors import SolveError, SpecificationError

Progress = Callable[[str], None]


def close_loop(
    truth: Flowsheet,
    controller: Controller,
    recipe: Recipe | None = None,
    seed: int | np.random.SeedSequence = 0,
    until: Any = None,
    start: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    previews: Mapping[str, Any] | None = None,
    ahead: bool = True,
    noise: Mapping[str, Any] | None = None,
    laboratory: Mapping[str, Laboratory] | None = None,
    faults: Sequence[Fault | Stuck] = (),
    disturbances: Sequence[Disturbance] = (),
    actuators: Mapping[str, Any] | None = None,
    delay: Any = 0.0,
    manual: Sequence[Manual | tuple[Any, Any]] = (),
    keep: str | Path | None = None,
    progress: Progress | None = None,
    points: int = 10,
    tolerance: float = 1e-8,
) -> Log:
    """Run a controller on a plant of its own, from the start of the recipe to its end, or to `until`.

    `truth`: the real plant: other values, other equations; what the controller measures and sets has the same names
    there. `recipe`, `inputs`: the truth's (default: the controller's); `start`: states that begin elsewhere. The truth
    is integrated by IDAS, phase by phase; a phase of free duration ends when an action says so, within its limits, one
    with a condition when the condition is met. A step is due `controller.every` after the last, and when a phase
    begins.

    `previews`: set points and known disturbances {name: number, Series or function of time}, told at every step; with
    `ahead=False` as they are then, not as they will be.
    `noise`: {measurement: standard deviation}; `laboratory`: {measurement: Laboratory(every, delay)}, not measured on
    line; `faults` of sensors, and `Stuck` controls; `disturbances` of the plant; `actuators`: {control: Actuator(...)},
    else a control moves at once within its declared bounds; `delay`: from sample to command, the time to decide;
    `manual`: stretches of time in which an operator decides. Random numbers depend on `seed`, purpose and name alone,
    so that controllers that measure other things meet the same noise.

    `keep`: a folder in which each action is written down, with the controller's memory: a loop that was killed goes on
    from there when it is called again. `progress`: a function of a line of text. `points`: of output on each stretch;
    `tolerance`: of the integrator.

    Raises SpecificationError for what does not fit, before anything is run, and SolveError where the truth cannot be
    integrated, or the controller gives up, with the log up to there as its `solution`.
    """
    loop = Parts.of(truth, controller, seed, recipe, start, inputs, previews, noise, laboratory, faults, disturbances,
                    actuators, delay, until, manual, points, tolerance)  # fmt: skip
    notes = Notes()
    journal = None if keep is None else Journal.opened(keep, _told(loop, controller, seed))
    try:
        _run(loop, Deciding(controller, previews, ahead, journal), notes, progress)
    except _StoppedError as stopped:
        log = written(loop.truth, loop.source, notes, loop.announced, loop.limits, str(stopped.error).splitlines()[0])
        raise SolveError(f"close_loop: the {stopped.who} cannot go on: {stopped.error}", log) from None
    return written(loop.truth, loop.source, notes, loop.announced, loop.limits, "")


def _run(loop: Parts, deciding: Deciding, notes: Notes, progress: Progress | None) -> None:
    """Sample, decide, act, wait: until the recipe is over. `notes` are taken as it goes."""
    truth, positions = loop.truth, dict(loop.positions)
    with _named("truth"):
        moment = begun(truth, loop.start, loop.around(positions, {}))
    sample, shown = sampled(loop.sensors, moment.seen, moment.clock, Shown(), loop.chance)
    applied: dict[str, float] | None = {name: at(position.signal, 0.0) for name, position in positions.items()}
    while True:
        phase, began = truth.planned[moment.phase + moment.ended].name, moment.clock
        wanted = at_time(loop.wanted, began)
        with _named("controller"):
            action = deciding.decide(sample, phase, applied, wanted)
        commanded = _commanded(loop, action, began)
        positions = _moved(loop, positions, commanded, began)
        notes.decided(moment, phase, sample, action, commanded, wanted, loop.by_hand(began))
        stop = min(began + deciding.every, loop.until)
        with _named("truth"):
            moment, stretches = advanced(truth, moment, stop, loop.around(positions, _ends(action, phase)))
        applied = _held(positions, began, moment.clock)
        notes.ran(moment, stretches, applied, loop.shifts)
        if progress is not None:
            progress(f"close_loop: t = {moment.clock:.6g} {truth.plant.time}, {phase}: {action.status.value}")
        stopped = action.stop and moment.ended
        if stopped or moment.over(truth) or moment.clock >= loop.until - truth.near:
            notes.finished(moment)
            return
        positions = {name: position.since(began) for name, position in positions.items()}
        sample, shown = sampled(loop.sensors, moment.seen, moment.clock, shown, loop.chance)


class _StoppedError(Exception):
    """Who cannot go on, and why."""

    def __init__(self, who: str, error: SolveError):
        super().__init__(who)
        self.who, self.error = who, error


@contextmanager
def _named(who: str) -> Iterator[None]:
    try:
        yield
    except SolveError as error:
        raise _StoppedError(who, error) from None


@dataclass(eq=False)
class Deciding:
    """A controller at work: its memory, and how many steps it has made; what a journal holds is not decided again."""

    controller: Controller
    previews: Mapping[str, Any] | None
    ahead: bool
    journal: Journal | None
    memory: Any = None
    step: int = 0

    @property
    def every(self) -> float:
        return float(self.controller.every)

    def decide(
        self, sample: Sample, phase: str, applied: Mapping[str, float] | None, wanted: Mapping[str, float]
    ) -> Action:
        """The action for a sample; `wanted`: what previews say of now."""
        previews = self.previews if self.ahead else wanted
        past = () if self.journal is None else self.journal.actions
        if self.step < len(past):
            action = past[self.step]
            if self.journal is not None and self.step == len(past) - 1:
                _check_same(action, sample, self.journal)
                self.memory = self.controller.resume(self.journal.memory(self.step))
        elif self.step == 0:
            self.memory = self.controller.start(sample, previews, applied=applied)
            action = self.memory.action
        else:
            action, self.memory = self.controller.step(self.memory, sample, previews, phase=phase, applied=applied)
        if self.journal is not None and self.step >= len(past):
            self.journal.keep(self.step, action, self.memory)
        self.step += 1
        return action


def _commanded(loop: Parts, action: Action, t: float) -> dict[str, float]:
    """What is commanded now: by the controller, or by hand."""
    by_hand = loop.by_hand(t)
    return dict(action.values) if by_hand is None else dict(by_hand.values)


def _moved(
    loop: Parts, positions: Mapping[str, Position], commanded: Mapping[str, float], t: float
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


def _ends(action: Action, phase: str) -> dict[str, float]:
    """The end of the running phase, where the action ends it."""
    if action.ends is not None:
        return {phase: float(action.ends)}
    return {phase: float(action.time)} if action.stop else {}


def _held(positions: Mapping[str, Position], a: float, b: float) -> dict[str, float] | None:
    """What was held between two times, on average."""
    if b <= a:
        return None
    return {name: position.held(a, b) for name, position in positions.items()}


def _told(loop: Parts, controller: Controller, seed: Any) -> dict[str, Any]:
    """What tells a loop from others, for its journal."""
    numbers = [dict(loop.truth.values), dict(loop.start), dict(loop.sensors.noise), loop.delay]
    digest = hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()[:16]
    return {
        "seed": str(seed.entropy) + str(seed.spawn_key) if isinstance(seed, np.random.SeedSequence) else int(seed),
        "controller": type(controller).__name__,
        "every": float(controller.every),
        "numbers of the truth": digest,
        "manipulated": list(loop.positions),
        "measured": list(loop.sensors.names),
        "phases": [operation.name for operation in loop.truth.planned],
    }


def _check_same(action: Action, sample: Sample, journal: Journal) -> None:
    """A journal's last action was taken where the truth is now. Raises SpecificationError."""
    if not np.isclose(action.time, sample.time, rtol=1e-9, atol=1e-9):
        raise SpecificationError(
            f"keep: {journal.folder} was written by another loop: its last action was taken at {action.time:.9g}, this "
            f"truth is at {sample.time:.9g} by then.\n  Name another folder, or remove this one."
        )
