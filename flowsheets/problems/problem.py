"""What is to be decided, on which runs of the plant, and what for? `Problem`: checked data, nothing solved yet.

One `Run` is a plant under a recipe. An optimization has one, or one per scenario, which share their decisions; an
estimation has one per experiment, which share free parameters. Both become one `Nlp` by the same assembly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import casadi as ca
import numpy as np

from titer.flowsheets.declarations import Control, Parameter, State
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.lowering import Lowered, evaluate
from titer.flowsheets.names import elements_of
from titer.flowsheets.operation import Operation, operations
from titer.flowsheets.problems.decided import (
    check_is_mapping,
    check_that_free_inputs_act,
    check_that_starts_are_decided_once,
)
from titer.flowsheets.problems.first_instant import from_the_start
from titer.flowsheets.problems.hedging import Hedge
from titer.flowsheets.problems.sampling import check_samples, homes
from titer.flowsheets.profiles import is_decided
from titer.flowsheets.recipe import Free, Recipe
from titer.flowsheets.signals import in_unit
from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbols.symbol import Symbol
from titer.flowsheets.terms import AtEnd, AtStart, AtTimes, Integral, Path, Sum, Term, Weighted
from titer.numerics.errors import NotActiveError, SpecificationError, unknown
from titer.numerics.grid import Grid


@dataclass(frozen=True, eq=False)
class Run:
    """A plant under a recipe, with what is wanted of it: terms to minimize and terms with limits."""

    plant: Flowsheet
    recipe: Recipe
    inputs: Mapping[str, Any]
    objective: Sum
    constraints: tuple[Term, ...] = ()
    roomy: tuple[Term, ...] = ()  # limits with room, as the hedge's chances pose them
    gathered: bool = False  # the objective is wanted as a number of its own, not added to the others
    underway: bool = False  # it starts where a plant stands, which may be outside of limits: nothing to complain of


@dataclass(frozen=True, eq=False)
class Problem:
    """Runs, decisions and a grid. `share_decisions`: inputs, durations and starts are the same in all runs (scenarios),
    as far as the `hedge` says; it also says how the runs' objectives make one, and which limits are chances.

    `free` maps controls to pieces, and parameters and initial states to `Free`. Raises SpecificationError where it does
    not, and for a prior where nothing is estimated.
    """

    runs: tuple[Run, ...]
    free: Mapping[str, Any]
    grid: Grid = field(default_factory=Grid)
    share_decisions: bool = True
    sign: float = 1.0  # of the user's objective to the minimized one: -1 where it is maximized
    hedge: Hedge | None = None

    def __post_init__(self) -> None:
        check_is_mapping(self.free)
        for name, value in self.free.items():
            if self.share_decisions and isinstance(value, Free) and value.prior is not None:
                raise SpecificationError(
                    f"free: {name} has a prior, which belongs to estimate(...): there it adds its weighted square.\n"
                    f"  Leave prior= out, or add what it should cost to the objective."
                )
            if self.share_decisions and isinstance(value, Free) and value.each:
                raise SpecificationError(
                    f"free: {name} is to be decided for each experiment (each=True), which belongs to estimate(...)."
                )
        for phase in (phase for run in self.runs for phase in run.recipe):
            if isinstance(phase.duration, Free) and phase.duration.prior is not None:
                raise SpecificationError(
                    f"Phase {phase.name!r}: its duration has a prior; a prior is for parameters and initial states in "
                    f"the free= of estimate(...)."
                )

    @property
    def plant(self) -> Flowsheet:
        return self.runs[0].plant

    def scale(self, r: int) -> float:
        """What run `r`'s objective is multiplied by to be the user's, for this run alone."""
        if self.hedge is None or self.hedge.gathers:
            return self.sign
        return self.sign / float(self.hedge.weights[r])

    def cost(self, costs: Sequence[float]) -> float:
        """The minimized objective, from that of each run as it stands in the program."""
        if self.hedge is None or not self.hedge.gathers:
            return float(np.sum(costs))
        return self.hedge.objective.of(np.asarray(costs, dtype=float), self.hedge.weights)

    def to_pyomo(self, grid: Grid | None = None) -> Any:
        """The problem as a Pyomo.DAE model with starting values, as `Flowsheet.to_pyomo` describes it.

        With a `grid` (`problem.to_pyomo(problem.grid)`: its own) it is discretized. Several runs, scenarios or
        experiments, stand in `model.run[1]`, `model.run[2]`, and share their decisions by constraints.
        """
        from titer.flowsheets.pyomo.model import lower_problem

        return lower_problem(self, grid)


@dataclass(frozen=True, eq=False)
class FreeNumber:
    """A decided parameter or initial state, in its declared unit; `prior`: mean and standard deviation."""

    name: str
    kind: str
    guess: float
    lower: float
    upper: float
    log: bool
    prior: tuple[float, float] | None
    each: bool = False  # decided by every run for itself, as initial states are where decisions are not shared


@dataclass(frozen=True, eq=False)
class Placed:
    """A term in a phase, lowered: its function of (t, x, z, u, p), its weight in the objective, its limits, its
    unit."""

    term: Term
    function: ca.Function
    weight: float
    lower: float
    upper: float
    measure: Measure
    at_start: bool = False  # a path that holds at the phase's first instant too, because something there is decided
    chosen: np.ndarray | None = None  # of a term over data: indices of the samples that belong to this phase
    chance: int | None = None  # whose room its limits have, where it need not hold in every run


@dataclass(frozen=True, eq=False)
class PhaseTerms:
    """What is asked of one phase."""

    operation: Operation
    at_start: tuple[Placed, ...]
    at_end: tuple[Placed, ...]
    paths: tuple[Placed, ...]
    integrals: tuple[Placed, ...]  # of the objective
    totals: tuple[Placed, ...]  # integrals with limits: they become states
    samples: tuple[Placed, ...]
    gathered: bool = False

    @property
    def carried(self) -> tuple[Placed, ...]:
        """Integrals that are carried along as states: those with limits, and those of an objective that is gathered."""
        return (*self.totals, *self.integrals) if self.gathered else self.totals


def free_numbers(plant: Flowsheet, free: Mapping[str, Any]) -> tuple[FreeNumber, ...]:
    """Decided parameters and initial states. Raises SpecificationError for a name or a bound that does not fit."""
    check_is_mapping(free)
    scalars = plant.scalars
    numbers = []
    for name, value in free.items():
        for each in elements_of(name):
            scalar = scalars.get(str(each))
            kind = scalar.kind if scalar else "inlet" if str(each) in plant.inlet_names else None
            if kind is None:
                raise SpecificationError(f"free: {unknown('name', each, [*scalars, *plant.inlet_names])}")
            if is_decided(value):
                if kind not in (Control.kind, "inlet"):
                    raise SpecificationError(
                        f"free: {each} is a {kind}; pieces are for controls.\n"
                        f"  Write {{{each}: Free(guess, lower, upper)}}."
                    )
                continue
            if not isinstance(value, Free):
                raise SpecificationError(
                    f"free: {each} needs PiecewiseConstant(n), PiecewiseLinear(n), Exponential() or "
                    f"Free(guess, lower, upper), got {value!r}."
                )
            if kind not in (Parameter.kind, State.kind) or scalar is None:
                raise SpecificationError(
                    f"free: {each} is a {kind}; Free(...) is for parameters and initial states. "
                    f"For a control write PiecewiseConstant(1, guess=..., lower=..., upper=...)."
                )
            guess, lower, upper = (
                in_unit(x, scalar.measure, f"free {each}") for x in (value.guess, value.lower, value.upper)
            )
            lower, upper = max(lower, scalar.lower), min(upper, scalar.upper)
            if not lower <= guess <= upper:
                raise SpecificationError(
                    f"free: the guess {guess:g} of {each} lies outside [{lower:g}, {upper:g}] {scalar.measure.label}."
                )
            own = value.each or kind == State.kind
            numbers.append(FreeNumber(str(each), kind, guess, lower, upper, value.log, value.prior, own))
    return tuple(numbers)


def phases_of(run: Run, free: Mapping[str, Any]) -> tuple[PhaseTerms, ...]:
    """The phases of a run with their terms, lowered. Raises SpecificationError for whatever does not fit."""
    planned = operations(run.plant, run.recipe, run.inputs, free)
    check_that_free_inputs_act(planned, free)
    check_that_starts_are_decided_once(planned[0], free)
    names = [operation.name for operation in planned]
    wanted: list[tuple[float, Term, int | None]] = [(*entry, None) for entry in _objective(run)]
    wanted += [(0.0, named(term, planned), None) for term in run.constraints]
    wanted += [(0.0, named(term, planned), i) for i, term in enumerate(run.roomy)]
    for _, term, _ in wanted:
        if term.phase is not None and term.phase not in names:
            raise SpecificationError(f"{term.label()}: {unknown('phase', term.phase, names)}")
    totals = [term.label() for term in (*run.constraints, *run.roomy) if isinstance(term, Integral)]
    for label in totals:
        if totals.count(label) > 1:
            raise SpecificationError(f"subject_to: two integrals with limits are called {label!r}; give each a name=.")
    placed: list[dict[str, list[Placed]]] = [
        {key: [] for key in ("at_start", "at_end", "paths", "integrals", "totals", "samples")} for _ in planned
    ]
    check_samples(run, planned)
    for weight, term, chance in wanted:
        found: dict[int, Placed] = {}
        for k in _phases_for(term, planned):
            try:
                entry = replace(_place(planned[k].lowered, term, weight), chance=chance)
            except NotActiveError:
                if term.phase is not None or not isinstance(term, Path | Integral | AtTimes):
                    raise
                continue
            if isinstance(term, Path | Integral) and term.phase is None and _only_reads_held(planned[k].lowered, entry):
                continue
            found[k] = entry
        if not found:
            raise SpecificationError(f"{term.label()}: what it reads is active in no phase of the recipe.")
        if isinstance(term, AtTimes):
            chosen = homes(term, planned, tuple(found), run.plant.time)
            found = {k: replace(found[k], chosen=indices) for k, indices in chosen.items()}
        for k, entry in found.items():
            placed[k][_slot(term, weight)].append(entry)
    placed[0]["at_start"] += _held_at_start(planned[0], free)
    for k, groups in enumerate(placed):
        groups["paths"] = [from_the_start(run, free, planned, k, path, placed) for path in groups["paths"]]
    return tuple(
        PhaseTerms(operation, **{key: tuple(entries) for key, entries in groups.items()}, gathered=run.gathered)
        for operation, groups in zip(planned, placed, strict=True)
    )


def _objective(run: Run) -> list[Weighted]:
    """Terms of the objective; where it is gathered, integrals become states, and each needs a name of its own."""
    if not run.gathered:
        return list(run.objective.terms)
    if any(isinstance(term, AtTimes) for _, term in run.objective.terms):
        raise SpecificationError("an objective over data has no worst scenario; use Mean().")
    return [
        (weight, replace(term, name=f"{term.label()}, {i + 1} in the objective"))
        for i, (weight, term) in enumerate(run.objective.terms)
    ]


def _held_at_start(first: Operation, free: Mapping[str, Any]) -> list[Placed]:
    """Invariants of a model of reduced index at the recipe's start, where something that they read is decided."""
    dae = first.lowered.dae
    if dae.invariants is None:
        return []
    decided = {str(each) for name in free for each in elements_of(name)}
    point = [ca.SX.sym("a", n) for n in (1, *dae.sizes)]
    held: list[Placed] = []
    for row, name in zip(ca.vertsplit(dae.invariants(*point)), dae.invariant_names, strict=True):
        function = ca.Function("invariant", point, [row])
        read = {dae.states[i].name for i in function.jac_sparsity(0, 1).get_col()}
        read |= {dae.parameters[i].name for i in function.jac_sparsity(0, 4).get_col()}
        if read & decided or (decided and function.jac_sparsity(0, 2).nnz()):
            held.append(
                Placed(AtStart(lambda v: 0.0, name=f"{name} at the start"), function, 0.0, 0.0, 0.0, DIMENSIONLESS)
            )
    return held


def named(term: Term, planned: Sequence[Operation]) -> Term:
    """A limit without a name, called by what it reads: "Path of reactor.T"."""
    if term.name is not None:
        return term
    for k in _phases_for(term, planned):
        try:
            function = _place(planned[k].lowered, term, 0.0).function
        except NotActiveError:
            continue
        dae = planned[k].lowered.dae
        groups = (dae.states, dae.algebraics, dae.inputs)
        read = [
            group[j].name
            for i, group in enumerate(groups, start=1)
            for j in sorted(set(function.jac_sparsity(0, i).get_col()))
        ]
        if read:
            more = f" and {len(read) - 2} more" if len(read) > 2 else ""
            return replace(term, name=f"{term.label()} of {', '.join(read[:2])}{more}")
    return term


def limit(value: Any, measure: Measure, otherwise: float, what: str) -> float:
    """A limit in the unit of what it limits. Raises SpecificationError for NaN."""
    if value is None:
        return otherwise
    number = in_unit(value, measure, what)
    if np.isnan(number):
        raise SpecificationError(f"{what}: a limit is NaN.")
    return number


def _phases_for(term: Term, planned: Sequence[Operation]) -> list[int]:
    if term.phase is not None:
        return [k for k, operation in enumerate(planned) if operation.name == term.phase]
    if isinstance(term, AtStart):
        return [0]
    if isinstance(term, AtEnd):
        return [len(planned) - 1]
    return list(range(len(planned)))


def _place(lowered: Lowered, term: Term, weight: float) -> Placed:
    where = term.label()
    value = evaluate(term.function, lowered.view, where)
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    if isinstance(value, np.ndarray):
        raise SpecificationError(f"{where}: expected one number, the function gives an array of shape {value.shape}.")
    if not isinstance(value, Symbol | int | float | np.number) or isinstance(value, bool):
        raise SpecificationError(
            f"{where}: expected a symbol or a number, the function gives {type(value).__name__} {value!r}."
        )
    measure = value.measure if isinstance(value, Symbol) else DIMENSIONLESS
    if isinstance(term, Integral):
        measure = measure * lowered.view.time.measure
    lower = limit(term.lower, measure, -np.inf, f"{where}, lower")
    upper = limit(term.upper, measure, np.inf, f"{where}, upper")
    if lower > upper:
        unit = "" if measure.label == "1" else f" {measure.label}"
        raise SpecificationError(f"{where}: limits are reversed: lower {lower:g}, upper {upper:g}{unit}.")
    return Placed(term, lowered.function(value, "term"), weight, lower, upper, measure)


def _slot(term: Term, weight: float) -> str:
    if isinstance(term, AtStart):
        return "at_start"
    if isinstance(term, AtEnd):
        return "at_end"
    if isinstance(term, AtTimes):
        return "samples"
    if isinstance(term, Path):
        return "paths"
    return "integrals" if term.lower is None and term.upper is None else "totals"


def _only_reads_held(lowered: Lowered, placed: Placed) -> bool:
    """Whether a term reads states that are held in this phase, and nothing that moves."""
    function = placed.function
    moving = any(function.jac_sparsity(0, i).nnz() for i in (1, 2, 3))
    if moving or not lowered.held:
        return False
    columns = set(function.jac_sparsity(0, 4).get_col())
    first = len(lowered.dae.parameters) - len(lowered.held)
    return any(column >= first for column in columns)
