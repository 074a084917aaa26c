"""How is a plant steered by its model? `NMPC`: frozen settings and pure functions; what changes is the memory."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from titer.control.action import Action
from titer.control.nmpc.bank import Bank
from titer.control.nmpc.deciding import Decision, decide
from titer.control.nmpc.meeting import Met, advanced, first_memory, met
from titer.control.nmpc.memory import Kind, Memory, Switch, load_memory
from titer.control.nmpc.modes import Converged, Mode
from titer.control.nmpc.moves import Handle
from titer.control.nmpc.operating import handed_over, operated
from titer.control.nmpc.posing import Wanted
from titer.control.nmpc.sensing import Sensing, sensing_of
from titer.control.nmpc.signals import Hold, Rule, Shed, Simulate
from titer.control.nmpc.soft import Soft
from titer.control.nmpc.wishes import Settings, wanted_of
from titer.estimation.estimators.estimator import Estimator
from titer.estimation.estimators.sample import Sample
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.given import check_inputs
from titer.flowsheets.problems.hedging import Scenarios
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.signals import Signal, finite, signal
from titer.flowsheets.terms import Sum, Term
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.grid import Grid
from titer.numerics.solvers import Ipopt


@dataclass(frozen=True, eq=False)
class NMPC:
    """Nonlinear model predictive control of a plant under its recipe.

    At each sample the inputs `free` are decided anew for what lies ahead, one move for each interval `every`; the first
    is applied. `maximize` or `minimize`, `subject_to` (terms with limits; `Soft(...)` ones may be missed at a price),
    `scenarios` as for `optimize`; `grid`: elements in a phase, or in the horizon. `inputs`: trajectories of all other
    controls: set-points and measured disturbances are seen ahead, as means over intervals; `told` changes them.

    `horizon`: a number of steps, or None: the rest of the recipe, with free durations decided anew. `estimator`: one of
    titer.estimation; None: samples hold all states. `mode`: Converged(), RealTimeIteration() or AdvancedStep().
    `moves` {input: price of the square of a move}, `rates` {input: largest change per unit of time}. `delay`: between a
    sample and what it leads to; the plan begins where the plant will be then. `scenarios` with `shared_until`: a time
    from now on (a robust horizon) after which each has moves of its own.

    Safety: a solve counts only if its numbers do. Else the plan before goes on for at most `patience` steps, then the
    `fallback` {input: safe value} is approached, else the input held; the action says so. `signals` {measured name:
    Hold(), Simulate() or Shed()}: what is done where one is bad (default: Simulate()). `seconds`: that a step may take.

    Frozen: `start(sample) -> memory`, `step(memory, sample) -> (action, memory)`. Programs are built by `prepare`,
    which `start` calls: nothing is built in the loop. Raises SpecificationError for what does not fit the plant.
    Source: Rawlings, Mayne & Diehl, Model Predictive Control (2nd ed., 2017).
    """

    plant: Flowsheet
    recipe: Recipe
    every: Any
    free: Mapping[str, Any]
    maximize: Term | Sum | None = None
    minimize: Term | Sum | None = None
    subject_to: Sequence[Term | Soft] = ()
    grid: Grid = field(default_factory=Grid)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    horizon: int | None = None
    scenarios: Scenarios | Sequence[Mapping[str, float]] | None = None
    fallback: Mapping[str, Any] | None = None
    estimator: Estimator | None = None
    mode: Mode = field(default_factory=Converged)
    delay: Any = 0.0
    moves: Mapping[str, Any] = field(default_factory=dict)
    rates: Mapping[str, Any] = field(default_factory=dict)
    signals: Mapping[str, Rule] = field(default_factory=dict)
    patience: int = 5
    seconds: float = 60.0
    wanted: Wanted = field(init=False, repr=False)
    handles: tuple[Handle, ...] = field(init=False, repr=False)
    soft: Mapping[str, Soft] = field(init=False, repr=False)
    safe: Mapping[str, float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.mode, Mode):
            raise SpecificationError(
                f"NMPC: mode is Converged(), RealTimeIteration() or AdvancedStep(), got {self.mode!r}."
            )
        if self.estimator is not None and not isinstance(self.estimator, Estimator):
            raise SpecificationError(
                f"NMPC: estimator is one of titer.estimation, such as ExtendedKalman(noise={{...}}), or None, "
                f"got {self.estimator!r}."
            )
        if isinstance(self.patience, bool) or not isinstance(self.patience, int) or self.patience < 0:
            raise SpecificationError(f"NMPC: patience is a number of steps, at least 0, got {self.patience!r}.")
        if isinstance(self.seconds, bool) or not isinstance(self.seconds, int | float) or not self.seconds > 0.0:
            raise SpecificationError(f"NMPC: seconds must be a positive number, got {self.seconds!r}.")
        settings = Settings(
            plant=self.plant, recipe=self.recipe, every=self.every, free=self.free, maximize=self.maximize,
            minimize=self.minimize, subject_to=self.subject_to, grid=self.grid, inputs=self.inputs,
            horizon=self.horizon, scenarios=self.scenarios, moves=self.moves, rates=self.rates, delay=self.delay,
        )  # fmt: skip
        wanted, handles, soft = wanted_of(settings)
        for key, value in (("wanted", wanted), ("handles", handles), ("soft", soft), ("every", wanted.table.every)):
            object.__setattr__(self, key, value)
        object.__setattr__(self, "safe", _safe(self.plant, handles, self.fallback))
        _check_signals(self.signals, self.measured)

    @property
    def manipulated(self) -> tuple[str, ...]:
        """Inputs that its actions set."""
        return tuple(handle.name for handle in self.handles)

    @cached_property
    def sensing(self) -> Sensing:
        """How it comes to know where the plant is."""
        return sensing_of(self.wanted, self.manipulated, self.estimator, self.signals)

    @property
    def measured(self) -> tuple[str, ...]:
        """What it wants in a sample."""
        return self.sensing.measured

    @cached_property
    def bank(self) -> Bank:
        """Its programs."""
        return Bank(self.wanted, self.handles, self.soft, self.mode, Ipopt(seconds=self.seconds))

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("bank", "sensing")}

    def prepare(self) -> NMPC:
        """Build all programs that a loop may need, and return itself. Raises SolveError where the recipe cannot run."""
        self.bank.prepare()
        return self

    def start(self, sample: Sample, *, applied: Mapping[str, Any] | None = None) -> Memory:
        """The memory before the first step. `applied`: inputs in force up to now (default: their guesses), from which
        the first move starts: bumpless. Raises SpecificationError for a bad sample."""
        self.prepare()
        return first_memory(self.wanted, self.sensing, sample, _inputs(self, applied))

    def step(
        self,
        memory: Memory,
        sample: Sample,
        *,
        phase: str | None = None,
        applied: Mapping[str, Any] | None = None,
    ) -> tuple[Action, Memory]:
        """The action for a sample, and the memory after it; the first step gets the sample that `start` got.

        `phase`: that runs now, where its controller cannot know (an end condition was met); `applied`: what was really
        held since the last sample. A solve that fails is no exception; a bad sample raises SpecificationError.
        """
        began = time.perf_counter()
        memory = advanced(self.wanted, memory, sample, phase, _inputs(self, applied))
        now = met(self.wanted, self.sensing, memory, sample)
        memory = now.memory
        if now.shed and memory.switch is Switch.AUTOMATIC:
            memory = handed_over(memory, now.shed, self.safe)
        if memory.switch is not Switch.AUTOMATIC:
            return operated(self.wanted, self.handles, now, memory, began)
        decision = decide(self.bank, self.handles, now, memory, self.safe, self.patience, self.seconds, began)
        return _acted(decision, now, began)

    def switch(
        self, memory: Memory, to: Switch, *, values: Mapping[str, Any] | None = None, reason: str = "operator"
    ) -> Memory:
        """Hand the plant over: to an operator, who sets `values` (default: what is applied), or to the controller, whose
        first move starts from what is applied then."""
        if not isinstance(to, Switch):
            raise SpecificationError(f"switch: expected Switch.AUTOMATIC, MANUAL or OFF, got {to!r}.")
        manual = {**memory.applied, **(_inputs(self, values) or {})}
        said = f"{memory.switch.name} -> {to.name}: {reason}"
        return replace(memory, switch=to, manual=manual, kept=None).noted(Kind.SWITCH, said)

    def told(self, memory: Memory, trajectories: Mapping[str, Any]) -> Memory:
        """The memory with other trajectories of given inputs from now on: a new set-point, a measured disturbance; a
        number, a quantity, or a Series on the recipe's clock. Raises SpecificationError for what the controller sets."""
        given = dict(memory.given)
        for name, value in by_element(trajectories, "told").items():
            check_inputs(self.plant, {name: value}, "told")
            if name in self.manipulated:
                raise SpecificationError(f"told: {name} is set by the controller itself.")
            track = signal(value, self.plant.measures[name], name, float("inf"))
            if not isinstance(track, Signal):
                raise SpecificationError(f"told: {name} needs a number, a quantity or a Series, got {value!r}.")
            known = {g.name for entry in self.bank.entries.values() for g in entry.program.cells.given}
            if name not in known:
                raise SpecificationError(
                    f"told: {name} is a function of time in the model's equations, or fixed by its phase.\n"
                    f"  Give it as a number or a Series in inputs, then it can be told anew."
                )
            given[name] = track
        return replace(memory, given=given)

    def resume(self, path: str | Path) -> Memory:
        """The memory that was saved, to go on with. Raises SpecificationError."""
        self.prepare()
        memory = load_memory(path)
        for name in memory.applied:
            if name not in self.manipulated:
                raise SpecificationError(
                    f"resume: the memory is of another controller: {unknown('input', name, self.manipulated)}"
                )
        return memory


def _acted(decision: Decision, now: Met, began: float) -> tuple[Action, Memory]:
    seconds = time.perf_counter() - began
    return replace(decision.action, seconds=seconds, deviations=now.deviations), decision.memory


def _inputs(controller: NMPC, given: Mapping[str, Any] | None) -> dict[str, float] | None:
    """Values of inputs that the controller sets. Raises SpecificationError."""
    if given is None:
        return None
    found = {}
    for name, value in by_element(given, "applied").items():
        if name not in controller.manipulated:
            if name in controller.plant.measures:
                continue
            raise SpecificationError(f"applied: {unknown('input', name, controller.manipulated)}")
        found[name] = finite(value, controller.plant.measures[name], f"applied: {name}")
    return found


def _safe(plant: Flowsheet, handles: Sequence[Handle], fallback: Any) -> dict[str, float]:
    bounds = {handle.name: handle for handle in handles}
    found = {}
    for name, value in by_element(fallback or {}, "fallback").items():
        if name not in bounds:
            raise SpecificationError(f"NMPC: fallback: {unknown('input that the controller sets', name, bounds)}")
        number = finite(value, plant.measures[name], f"NMPC: fallback: {name}")
        if not bounds[name].lower <= number <= bounds[name].upper:
            raise SpecificationError(
                f"NMPC: fallback: {name} = {number:g} lies outside its bounds "
                f"[{bounds[name].lower:g}, {bounds[name].upper:g}] {plant.measures[name].label}."
            )
        found[name] = number
    return found


def _check_signals(signals: Any, measured: Sequence[str]) -> None:
    if not isinstance(signals, Mapping):
        raise SpecificationError(f"NMPC: signals is a dict from names to rules, got {signals!r}.")
    for name, rule in by_element(signals, "signals").items():
        if name not in measured:
            raise SpecificationError(f"NMPC: signals: {unknown('signal', name, measured)}")
        if not isinstance(rule, Hold | Simulate | Shed):
            raise SpecificationError(f"NMPC: signals: {name} needs Hold(), Simulate() or Shed(), got {rule!r}.")
