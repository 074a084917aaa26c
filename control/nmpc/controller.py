"""How is a plant steered by its model? `NMPC`: frozen settings and pure functions; what changes is the memory."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from titer.control.action import Action, ActionStatus
from titer.control.nmpc.acting import Standby, acted, expected_at, totals_expected
from titer.control.nmpc.bank import Bank
from titer.control.nmpc.checking import Settings, wanted_of
from titer.control.nmpc.deciding import Deciding, decided, ready, standing_of
from titer.control.nmpc.feeding import Standing
from titer.control.nmpc.given import handles_by_phase, safe_of, set_points, told, values_of
from titer.control.nmpc.meeting import Met, advanced, check_memory, clock_of, first_memory, met
from titer.control.nmpc.memory import ControlMemory, Kind, Mode
from titer.control.nmpc.methods import Converged, Method
from titer.control.nmpc.moves import Handle
from titer.control.nmpc.operating import handed_over, operated
from titer.control.nmpc.posing import Wanted
from titer.control.nmpc.resuming import check_same
from titer.control.nmpc.sensing import Sensing, guesses, sensing_of
from titer.control.nmpc.signals import Rule, check_signals
from titer.control.nmpc.soft import Soft
from titer.control.nmpc.timetable import SAME
from titer.estimation.estimators.entries import Bias
from titer.estimation.estimators.estimator import Estimator
from titer.estimation.estimators.sample import Sample
from titer.flowsheets.declarations import State
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.given import kind_of
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.signals import Signal
from titer.flowsheets.terms import Sum, Term
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import Grid, is_whole


@dataclass(frozen=True, eq=False)
class NMPC:
    """Nonlinear model predictive control of a plant under its recipe.

    At each sample, `every` so often in a phase and whenever one begins, the inputs `free` are decided anew for what
    lies ahead, and the first move is applied. `maximize` or `minimize` (also `Track({name: set point})`), `subject_to`
    (`Soft(...)` limits may be missed at a price) as for `optimize`. `horizon`: a time, or None: the rest of the recipe,
    with free durations decided anew. `free`: PiecewiseConstant(every=...) a multiple of `every` blocks moves.
    `inputs`: trajectories of all other controls, taken as means over intervals (of one in `free`: what is tried first);
    `previews` at a step change them, and set points. `grid`: elements in a phase, or in the window; `moves` {input:
    price of the square of a move}, `rates` {input: largest change per unit of time}, at a sample at most what that
    comes to in `every`. `scenarios`: as for `optimize`, or `Tree(...)`; `robust_horizon`: samples after which each
    scenario has moves of its own (None: never).
    `estimator`: one of titer.estimation; None: samples hold all states. `method`: Converged(), RealTimeIteration() or
    AdvancedStep(). `delay`: from a sample to when its action is in force; the plan begins where the plant will be then.

    Safety: a solve counts only if its numbers do. Else the plan before goes on for at most `patience` samples, then
    `fallback`, {input: value} or a function (time, states) -> {input: value}, is approached, by default the last inputs
    are held; the action says so. Bounds and rates are kept whatever happens. `signals` {measured name: Hold(),
    Simulate() or Shed()}: what is done where one is bad (default: Simulate()). `watchdog`: seconds that a decision may
    take; what comes later does not count.

    Frozen: `start(sample) -> memory`, `step(memory, sample) -> (action, memory)`. Programs are built by `build`, which
    `start` calls: nothing is built in the loop. Raises SpecificationError for what does not fit the plant.
    Source: Rawlings, Mayne & Diehl, Model Predictive Control (2nd ed., 2017).
    """

    plant: Flowsheet
    recipe: Recipe
    every: Any
    free: Mapping[str, Any]
    maximize: Term | Sum | None = None
    minimize: Term | Sum | None = None
    subject_to: Sequence[Term | Soft] = ()
    grid: Grid | None = None
    horizon: Any = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    scenarios: Any = None
    robust_horizon: int | None = None
    fallback: Any = None
    estimator: Estimator | None = None
    method: Method = field(default_factory=Converged)
    moves: Mapping[str, Any] = field(default_factory=dict)
    rates: Mapping[str, Any] = field(default_factory=dict)
    signals: Mapping[str, Rule] = field(default_factory=dict)
    delay: Any = 0.0
    watchdog: float | None = None
    patience: int = 5
    wanted: Wanted = field(init=False, repr=False)
    handles: tuple[Handle, ...] = field(init=False, repr=False)
    soft: Mapping[str, Soft] = field(init=False, repr=False)
    able: bool = field(init=False, repr=False, default=True)

    def __post_init__(self) -> None:
        _check(self)
        settings = Settings(
            plant=self.plant, recipe=self.recipe, every=self.every, free=self.free, maximize=self.maximize,
            minimize=self.minimize, subject_to=self.subject_to, grid=self.grid or Grid(), inputs=self.inputs,
            horizon=self.horizon, scenarios=self.scenarios, robust_horizon=self.robust_horizon, moves=self.moves,
            rates=self.rates, delay=self.delay, disturbed=_disturbed(self.plant, self.estimator),
        )  # fmt: skip
        wanted, handles, soft = wanted_of(settings)
        for key, value in (("wanted", wanted), ("handles", handles), ("soft", soft), ("every", wanted.table.every)):
            object.__setattr__(self, key, value)
        _check_estimated(wanted, self.estimator)
        safe_of(self.plant, handles, self.fallback)
        check_signals(self.signals, self.measured)

    @property
    def manipulated(self) -> tuple[str, ...]:
        """Inputs that its actions set."""
        return tuple(handle.name for handle in self.handles)

    @property
    def measured(self) -> tuple[str, ...]:
        """What it wants in a sample."""
        return self.sensing.measured

    @cached_property
    def sensing(self) -> Sensing:
        """How it comes to know where the plant is."""
        return sensing_of(self.wanted, self.manipulated, self.estimator, self.signals)

    @cached_property
    def bank(self) -> Bank:
        """Its programs."""
        seconds = 60.0 if self.watchdog is None else float(self.watchdog)
        return Bank(self.wanted, self.handles, self.soft, self.method, seconds)

    @cached_property
    def _deciding(self) -> Deciding:
        seconds = 600.0 if self.watchdog is None else float(self.watchdog)
        return Deciding(self.bank, handles_by_phase(self.wanted, self.handles), seconds, self.able)

    @cached_property
    def _standby(self) -> Standby:
        return Standby(self.patience, safe_of(self.plant, self.handles, self.fallback))

    @cached_property
    def _set_points(self) -> dict[str, Signal]:
        return set_points(self.wanted)

    def build(self) -> NMPC:
        """Build all programs that a loop may need, and return itself. Raises SolveError where the recipe cannot run."""
        self.bank.prepare()
        return self

    def start(
        self,
        sample: Sample,
        previews: Mapping[str, Any] | None = None,
        *,
        applied: Mapping[str, Any] | None = None,
    ) -> ControlMemory:
        """The memory after the first sample; `memory.action` is what to do. `previews`: as for `step`; `applied`:
        inputs in force up to now (default: their guesses), from which the first move starts: bumpless. Raises
        SpecificationError for a bad sample."""
        self.build()
        began = time.perf_counter()
        first = guesses(self.wanted)
        held = np.array([first[name] for name in self.manipulated])
        held = held if applied is None else values_of(self.plant, self.manipulated, applied, held)
        now = first_memory(self.wanted, self.sensing, sample, held, self.manipulated)
        memory = now.memory
        if previews:
            memory = replace(memory, given={**memory.given, **told(self.wanted, self.manipulated, previews, memory)})
        return self._decision(now, memory, began)[1]

    def step(
        self,
        memory: ControlMemory,
        sample: Sample,
        previews: Mapping[str, Any] | None = None,
        *,
        phase: str | None = None,
        applied: Mapping[str, Any] | None = None,
    ) -> tuple[Action, ControlMemory]:
        """The action for a sample, and the memory after it; a sample of the memory's time and phase changes nothing.

        `previews` {set point or input that is not decided: number, Series or function of time} hold from now on;
        `phase`: that runs now, where its controller cannot know (an end condition was met); `applied`: what was really
        held since the last sample. A solve that fails is no exception; a bad sample raises SpecificationError.
        """
        began = time.perf_counter()
        check_memory(memory, "step")
        now = clock_of(sample, self.wanted)
        names, table = self.wanted.table.names, self.wanted.table
        if abs(now - memory.time) <= SAME * table.every and (phase is None or phase == names[memory.phase]):
            return memory.action, memory
        held = None if applied is None else values_of(self.plant, self.manipulated, applied, memory.applied)
        if memory.prepared is None:
            memory = self.prepare(memory)
        last = memory
        memory = advanced(self.wanted, memory, now, phase, held)
        if memory.over:
            return _after_the_end(memory, now)
        if previews:
            memory = replace(memory, given={**memory.given, **told(self.wanted, self.manipulated, previews, memory)})
        known = met(self.wanted, self.sensing, memory, sample, last, self.manipulated)
        return self._decision(known, known.memory, began)

    def prepare(self, memory: ControlMemory) -> ControlMemory:
        """The memory with what can be computed before the next sample comes: to be called in the idle time.

        A real-time iteration is linearized, an advanced step solved, where the plan leads; a `step` without it does the
        same first. With Converged() there is nothing to prepare."""
        check_memory(memory, "prepare")
        if isinstance(self.method, Converged) or memory.over or memory.mode is not Mode.AUTOMATIC:
            return memory
        standing = self._next(memory)
        if standing is None:
            return memory
        return replace(memory, prepared=ready(self._deciding, memory, standing, time.perf_counter()))

    def switch(
        self, memory: ControlMemory, to: Mode, *, values: Mapping[str, Any] | None = None, reason: str = "operator"
    ) -> ControlMemory:
        """Hand the plant over from the next sample on: to an operator, who sets `values` (default: what is applied
        stays), or to the controller, whose first move starts from what is applied then: bumpless."""
        check_memory(memory, "switch")
        if not isinstance(to, Mode):
            raise SpecificationError(f"switch: expected Mode.AUTOMATIC, MANUAL or OFF, got {to!r}.")
        if values is not None:
            numbers = values_of(self.plant, self.manipulated, values, memory.applied)
            manual = dict(zip(self.manipulated, numbers.tolist(), strict=True))
        else:
            manual = dict(zip(self.manipulated, memory.applied.tolist(), strict=True))
        said = f"{memory.mode.name} -> {to.name}: {reason}"
        return replace(memory, mode=to, manual=manual, kept=None, prepared=None).noted(Kind.MODE, said)

    def resume(self, path: str | Path) -> ControlMemory:
        """The memory that was saved, to go on with. Raises SpecificationError for a file that is none, and for the
        memory of a controller of other states, inputs, phases or estimated entries."""
        memory = ControlMemory.load(path)
        check_same(memory, self.wanted, self.sensing, self.manipulated)
        self.build()
        return memory

    def disabled(self) -> NMPC:
        """The same controller, nothing rebuilt, none of whose solves counts: to test what a loop does then."""
        other = object.__new__(NMPC)
        shared = {"bank": self.bank, "sensing": self.sensing}
        own = {key: value for key, value in self.__dict__.items() if key != "_deciding"}
        other.__dict__.update(own | shared | {"able": False})
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        """Its settings: another process builds for itself."""
        return _made, ({each.name: getattr(self, each.name) for each in fields(self) if each.init}, self.able)

    def _decision(self, now: Met, memory: ControlMemory, began: float) -> tuple[Action, ControlMemory]:
        if now.shed and memory.mode is Mode.AUTOMATIC:
            memory = handed_over(memory, now.shed, self._safe_values(memory))
        if memory.mode is not Mode.AUTOMATIC:
            return operated(self._deciding, now, memory, began)
        given = {**self._set_points, **memory.given}
        standing = standing_of(self._deciding, now, memory, given)
        chosen = decided(self._deciding, memory, standing, began)
        return acted(self._deciding, self._standby, now, memory, standing, chosen, began)

    def _safe_values(self, memory: ControlMemory) -> Mapping[str, float]:
        safe = self._standby.safe
        if safe is None:
            return {}
        try:
            return dict(safe(memory.time, dict(zip(self.wanted.states, memory.x.tolist(), strict=True))))
        except Exception:  # a function of the user's own: what is applied stays
            return {}

    def _next(self, memory: ControlMemory) -> Standing | None:
        """Where the plan expects the plant when the next sample's action is in force; None where it cannot say."""
        table = self.wanted.table
        if memory.kept is None or memory.kept.age or memory.ending is not None:
            return None
        then = memory.time + table.every
        x = expected_at(self._deciding, memory.kept, then + table.delay, memory.x)
        given = {**self._set_points, **memory.given}
        later = replace(memory, time=then)
        totals = {**memory.totals, **totals_expected(self._deciding, memory.kept, then + table.delay)}
        return standing_of(self._deciding, Met(later, x, totals), later, given)


def _made(settings: Mapping[str, Any], able: bool) -> NMPC:
    controller = NMPC(**settings)
    return controller if able else controller.disabled()


def _after_the_end(memory: ControlMemory, now: float) -> tuple[Action, ControlMemory]:
    action = replace(memory.action, time=now, ends=None, stop=True, status=ActionStatus.OFF, plan=None)
    action = replace(action, reasons=("the recipe is over",), fallback=None)
    return action, replace(memory, time=now, action=action)


def _disturbed(plant: Flowsheet, estimator: Estimator | None) -> tuple[str, ...]:
    """States whose rates have a disturbance that is estimated."""
    if estimator is None:
        return ()
    entries = by_element(estimator.disturbances, "disturbances").items()
    return tuple(str(n) for n, value in entries if not isinstance(value, Bias) and kind_of(plant, n) == State.kind)


def _check_estimated(wanted: Wanted, estimator: Estimator | None) -> None:
    """What scenarios give a value of its own is not estimated: plans would not use it. Raises SpecificationError."""
    if estimator is None or len(wanted.branches.plants) == 1:
        return
    varied = {name for branch in wanted.branches.realized for values in branch for name in values}
    both = sorted(varied & {str(name) for name in by_element(estimator.disturbances, "disturbances")})
    if both:
        raise SpecificationError(
            f"NMPC: {', '.join(both)}: scenarios give values to what the estimator estimates, and plans would not use "
            f"the estimate.\n  Let scenarios vary what is not estimated, such as another parameter of the same rate."
        )


def _check(controller: NMPC) -> None:
    """Kinds of what is no matter of the plant. Raises SpecificationError."""
    if not isinstance(controller.method, Method):
        raise SpecificationError(
            f"NMPC: method is Converged(), RealTimeIteration() or AdvancedStep(), got {controller.method!r}."
        )
    if controller.estimator is not None and not isinstance(controller.estimator, Estimator):
        raise SpecificationError(
            f"NMPC: estimator is one of titer.estimation, such as ExtendedKalman(noise={{...}}), or None, "
            f"got {controller.estimator!r}."
        )
    if not is_whole(controller.patience, 0):
        raise SpecificationError(f"NMPC: patience is a number of samples, at least 0, got {controller.patience!r}.")
    limit = controller.watchdog
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | float) or not limit > 0.0):
        raise SpecificationError(f"NMPC: watchdog is a positive number of seconds, or None, got {limit!r}.")
