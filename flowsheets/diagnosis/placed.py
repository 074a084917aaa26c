"""Where does a term act, and what does it read? Its function in each phase, with its limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import casadi as ca
import numpy as np

from titer.flowsheets.lowering import evaluate
from titer.flowsheets.operation import Operation
from titer.flowsheets.problems.problem import limit
from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbols.symbol import Symbol
from titer.flowsheets.terms import AtEnd, AtStart, Integral, Path, Term
from titer.numerics.dae import Dae
from titer.numerics.errors import TiterError
from titer.numerics.solution import PhaseResult

Array = np.ndarray

TIME = "time"


@dataclass(frozen=True, eq=False)
class Seen:
    """A term in phase `k`: its function of (t, x, z, u, p), limits and unit."""

    term: Term
    k: int
    operation: Operation
    function: ca.Function
    lower: float
    upper: float
    measure: Measure

    @cached_property
    def reads(self) -> frozenset[str]:
        """Names of what it depends on; "time" is time."""
        return names_read(self.function, 0, self.operation.lowered.dae)

    @property
    def title(self) -> str:
        """What the term is called: its name, or its kind and what it reads."""
        if self.term.name:
            return self.term.name
        known = self.operation.lowered.dae.parameters
        moving = sorted(self.reads - {v.name for v in known}) or sorted(self.reads)
        return f"{type(self.term).__name__} of {', '.join(moving[:3])}" if moving else type(self.term).__name__

    def value(self, point: Sequence[Any]) -> float:
        """Its value at a point."""
        return float(self.function(*point))


def seen_in(term: Term, planned: Sequence[Operation]) -> Iterator[Seen]:
    """A term in every phase in which it acts. What cannot be placed is left out: the door complains of it."""
    for k in _phases_for(term, planned):
        lowered = planned[k].lowered
        try:
            value: Any = evaluate(term.function, lowered.view, term.label())
            value = value.ravel()[0] if isinstance(value, np.ndarray) and value.size == 1 else value
            measure = value.measure if isinstance(value, Symbol) else DIMENSIONLESS
            if isinstance(term, Integral):
                measure = measure * lowered.view.time.measure
            lower = limit(term.lower, measure, -np.inf, term.label())
            upper = limit(term.upper, measure, np.inf, term.label())
            found = Seen(term, k, planned[k], lowered.function(value, "term"), lower, upper, measure)
        except (TiterError, TypeError, NotImplementedError):
            continue
        resting = isinstance(term, Path | Integral) and term.phase is None and _only_held(found)
        if not resting:
            yield found


def along(seen: Seen, result: PhaseResult, p: Array) -> Array:
    """A term in a simulated phase: all along it for a path, one value at its start or end, or the integral."""
    trajectory = result.trajectory
    n = len(trajectory.time)
    points = (trajectory.time[None, :], trajectory.x, trajectory.z, trajectory.u, np.tile(p[:, None], n))
    values = np.array(seen.function.map(n)(*points)).ravel()
    if isinstance(seen.term, Path):
        return values
    if isinstance(seen.term, Integral):
        return np.array([np.trapezoid(values, trajectory.time)])
    return values[:1] if isinstance(seen.term, AtStart) else values[-1:]


def names_read(function: ca.Function, output: int, dae: Dae) -> frozenset[str]:
    """Names of what a function of (t, x, z, u, p) depends on."""
    found = {TIME} if function.jac_sparsity(output, 0).nnz() else set()
    for argument, variables in enumerate((dae.states, dae.algebraics, dae.inputs, dae.parameters), start=1):
        found |= {variables[j].name for j in set(function.jac_sparsity(output, argument).get_col())}
    return frozenset(found)


def _phases_for(term: Term, planned: Sequence[Operation]) -> list[int]:
    if term.phase is not None:
        return [k for k, operation in enumerate(planned) if operation.name == term.phase]
    if isinstance(term, AtStart):
        return [0]
    return [len(planned) - 1] if isinstance(term, AtEnd) else list(range(len(planned)))


def _only_held(seen: Seen) -> bool:
    """Whether it reads held states and nothing that moves: then a term without a phase skips this one."""
    lowered = seen.operation.lowered
    moving = {v.name for group in (lowered.dae.states, lowered.dae.algebraics, lowered.dae.inputs) for v in group}
    return not seen.reads & moving and bool(seen.reads & set(lowered.held))
