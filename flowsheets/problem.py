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
from titer.flowsheets.measure import DIMENSIONLESS, Measure
from titer.flowsheets.names import elements_of
from titer.flowsheets.operation import Operation, operations
from titer.flowsheets.profiles import Pieces
from titer.flowsheets.recipe import Free, Recipe
from titer.flowsheets.symbol import Symbol
from titer.flowsheets.terms import AtEnd, AtStart, AtTimes, Integral, Path, Sum, Term
from titer.flowsheets.unit import number_in
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

    `free` maps controls to pieces, and parameters and initial states to `Free`.
    """

    runs: tuple[Run, ...]
    free: Mapping[str, Any]
    grid: Grid = field(default_factory=Grid)
    share_decisions: bool = True
    sign: float = 1.0  # of the user's objective to the minimized one: -1 where it is maximized

    @property
    def plant(self) -> Flowsheet:
        return self.runs[0].plant


@dataclass(frozen=True, eq=False)
class FreeNumber:
    """A decided parameter or initial state, in its declared unit."""

    name: str
    kind: str
    guess: float
    lower: float
    upper: float
    log: bool
    prior: tuple[float, float] | None


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
                number_in(x, scalar.measure, f"free {each}") for x in (value.guess, value.lower, value.upper)
            )
            lower, upper = max(lower, scalar.lower), min(upper, scalar.upper)
            if not lower <= guess <= upper:
                raise SpecificationError(
                    f"free: the guess {guess:g} of {each} lies outside [{lower:g}, {upper:g}] {scalar.measure.label}."
                )
            numbers.append(FreeNumber(str(each), kind, guess, lower, upper, value.log, value.prior))
    return tuple(numbers)


def phases_of(run: Run, free: Mapping[str, Any]) -> tuple[PhaseTerms, ...]:
    """The phases of a run with their terms, lowered. Raises SpecificationError for whatever does not fit."""
    planned = operations(run.plant, run.recipe, run.inputs, free)
    _check_that_free_inputs_act(planned, free)
    names = [operation.name for operation in planned]
    wanted = [(weight, term) for weight, term in run.objective.terms]
    wanted += [(0.0, term) for term in run.constraints]
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
    for weight, term in wanted:
        found = 0
        for k in _phases_for(term, planned):
            try:
                entry = _place(planned[k].lowered, term, weight)
            except NotActiveError:
                if term.phase is not None or not isinstance(term, Path | Integral | AtTimes):
                    raise
                continue
            if isinstance(term, Path | Integral) and term.phase is None and _only_reads_held(planned[k].lowered, entry):
                continue
            found += 1
            placed[k][_slot(term, weight)].append(entry)
        if not found:
            raise SpecificationError(f"{term.label()}: what it reads is active in no phase of the recipe.")
    _check_samples(run, planned)
    for k, groups in enumerate(placed):
        groups["paths"] = [_from_the_start(run, free, planned, k, path, placed) for path in groups["paths"]]
    return tuple(
        PhaseTerms(operation, **{key: tuple(entries) for key, entries in groups.items()})
        for operation, groups in zip(planned, placed, strict=True)
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
    number = number_in(value, measure, what)
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
        raise SpecificationError(f"{where}: limits are reversed: lower {lower:g}, upper {upper:g} {measure.label}.")
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


def _from_the_start(
    run: Run,
    free: Mapping[str, Any],
    planned: Sequence[Operation],
    k: int,
    path: Placed,
    placed: Sequence[Mapping[str, Sequence[Placed]]],
) -> Placed:
    """A path with its first instant: held where something is decided there, checked where all of it is given.

    Raises SpecificationError where a given start violates it: no decision could mend that.
    """
    function, operation = path.function, planned[k]
    if any(function.jac_sparsity(0, i).nnz() for i in (2, 3)):
        return replace(path, at_start=True)
    if k:
        before = any(other.term is path.term for other in placed[k - 1]["paths"])
        return replace(path, at_start=bool(operation.resets) or not before)
    names = [v.name for v in operation.lowered.dae.states]
    read = {names[i] for i in function.jac_sparsity(0, 1).get_col()}
    if read & {str(each) for name in free for each in elements_of(name)}:
        return replace(path, at_start=True)
    values = run.plant.values
    x = [operation.resets.get(name, values[name]) for name in names]
    p = [operation.fixed.get(v.name, values.get(v.name, np.nan)) for v in operation.lowered.dae.parameters]
    if read and not any(v.name in free for v in operation.lowered.dae.parameters):
        value = float(function(0.0, x, np.zeros(function.numel_in(2)), np.zeros(function.numel_in(3)), p))
        slack = 1e-9 * max(1.0, abs(value))
        if not path.lower - slack <= value <= path.upper + slack:
            raise SpecificationError(
                f"{path.term.label()}: the given start violates this limit before anything can be decided: "
                f"it is {value:.6g} {path.measure.label}, allowed are [{path.lower:g}, {path.upper:g}].\n"
                f"  Change the start or the limit, or free it: free={{{sorted(read)[0]}: Free(guess, lower, upper)}}."
            )
    return path


def _check_samples(run: Run, planned: Sequence[Operation]) -> None:
    """Data lie inside the recipe, where its length is known. Raises SpecificationError."""
    length = sum(operation.duration.upper for operation in planned)
    for _, term in run.objective.terms:
        if isinstance(term, AtTimes) and len(term.times):
            first, last = float(np.min(term.times)), float(np.max(term.times))
            if first < 0.0 or last > length * (1.0 + 1e-9):
                raise SpecificationError(
                    f"{term.label()}: a time of the data, {first if first < 0.0 else last:g}, lies outside the recipe, "
                    f"which runs from 0 to {length:g} {run.plant.time}."
                )


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
    names = {v.name for operation in planned for v in operation.lowered.dae.inputs}
    for name, value in free.items():
        for each in elements_of(name):
            if isinstance(value, Pieces) and str(each) not in names:
                raise SpecificationError(f"free: {each} is decided, but its unit operation is active in no phase.")
