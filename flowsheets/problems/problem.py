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
from titer.flowsheets.operation import Decided, Operation, operations
from titer.flowsheets.problems.first_instant import from_the_start
from titer.flowsheets.problems.sampling import check_samples, homes
from titer.flowsheets.profiles import Pieces
from titer.flowsheets.recipe import Free, Recipe
from titer.flowsheets.signals import in_unit
from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbols.symbol import Symbol
from titer.flowsheets.terms import AtEnd, AtStart, AtTimes, Integral, Path, Sum, Term
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


@dataclass(frozen=True, eq=False)
class Problem:
    """Runs, decisions and a grid. `share_decisions`: inputs, durations and starts are the same in all runs (scenarios).

    `free` maps controls to pieces, and parameters and initial states to `Free`. Raises SpecificationError where it does
    not, and for a prior where nothing is estimated.
    """

    runs: tuple[Run, ...]
    free: Mapping[str, Any]
    grid: Grid = field(default_factory=Grid)
    share_decisions: bool = True
    sign: float = 1.0  # of the user's objective to the minimized one: -1 where it is maximized

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
            if isinstance(value, Pieces):
                if kind not in (Control.kind, "inlet"):
                    raise SpecificationError(
                        f"free: {each} is a {kind}; pieces are for controls.\n"
                        f"  Write {{{each}: Free(guess, lower, upper)}}."
                    )
                continue
            if not isinstance(value, Free):
                raise SpecificationError(
                    f"free: {each} needs PiecewiseConstant(n), PiecewiseLinear(n) or Free(guess, lower, upper), "
                    f"got {value!r}."
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
    _check_that_free_inputs_act(planned, free)
    _check_that_starts_are_decided_once(planned[0], free)
    names = [operation.name for operation in planned]
    wanted = [(weight, term) for weight, term in run.objective.terms]
    wanted += [(0.0, _named(term, planned)) for term in run.constraints]
    for _, term in wanted:
        if term.phase is not None and term.phase not in names:
            raise SpecificationError(f"{term.label()}: {unknown('phase', term.phase, names)}")
    totals = [term.label() for term in run.constraints if isinstance(term, Integral)]
    for label in totals:
        if totals.count(label) > 1:
            raise SpecificationError(f"subject_to: two integrals with limits are called {label!r}; give each a name=.")
    placed: list[dict[str, list[Placed]]] = [
        {key: [] for key in ("at_start", "at_end", "paths", "integrals", "totals", "samples")} for _ in planned
    ]
    check_samples(run, planned)
    for weight, term in wanted:
        found: dict[int, Placed] = {}
        for k in _phases_for(term, planned):
            try:
                entry = _place(planned[k].lowered, term, weight)
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
        PhaseTerms(operation, **{key: tuple(entries) for key, entries in groups.items()})
        for operation, groups in zip(planned, placed, strict=True)
    )


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


def _named(term: Term, planned: Sequence[Operation]) -> Term:
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


def check_is_mapping(free: Any) -> None:
    """`free` says what each name is decided by. Raises SpecificationError."""
    if not isinstance(free, Mapping):
        raise SpecificationError(
            f"free is a dict from names to pieces or Free(guess, lower, upper), got {type(free).__name__} {free!r}."
        )


def check_free(run: Run, free: Mapping[str, Any], terms: Sequence[PhaseTerms]) -> None:
    """There must be something to decide. Raises SpecificationError."""
    if not free and not any(phase.operation.duration.free for phase in terms):
        raise SpecificationError(
            "nothing is free.\n"
            "  Give free={control: PiecewiseConstant(10)}, or a Phase(duration=Free(guess, lower, upper))."
        )


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


def _check_that_free_inputs_act(planned: Sequence[Operation], free: Mapping[str, Any]) -> None:
    pairs = [
        (v.name, source)
        for operation in planned
        for v, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True)
    ]
    names = {name for name, _ in pairs}
    decided = {name for name, source in pairs if isinstance(source, Decided)}
    for name, value in free.items():
        for each in elements_of(name):
            if not isinstance(value, Pieces) or str(each) in decided:
                continue
            if str(each) in names:
                raise SpecificationError(
                    f"free: {each} is decided, but every phase fixes it or gives it a trajectory of its own.\n"
                    f"  Leave it out of Phase(fixed={{...}}) or Phase(inputs={{...}}) where it is to be decided."
                )
            raise SpecificationError(f"free: {each} is decided, but its unit operation is active in no phase.")


def _check_that_starts_are_decided_once(first: Operation, free: Mapping[str, Any]) -> None:
    for each in (each for name in free for each in elements_of(name)):
        if str(each) in first.resets:
            raise SpecificationError(
                f"free: the start of {each} is decided, but Phase {first.name!r} sets it by start={{...}}.\n"
                f"  Leave it out of one of them; a guess stands in Free(guess, lower, upper)."
            )
