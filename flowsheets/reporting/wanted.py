"""What was wanted, and was it met? The objective and every limit of an optimum, with their values there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from titer.flowsheets.operation import Operation
from titer.flowsheets.problems.placing import Placement
from titer.flowsheets.problems.problem import Placed
from titer.flowsheets.problems.start import Started
from titer.flowsheets.reporting.equations import Facts
from titer.flowsheets.reporting.plant_formulas import PlantFormulas
from titer.flowsheets.simulation import parameters_of
from titer.flowsheets.terms import AtEnd, AtStart, Integral, Path, Term
from titer.numerics.solution import PhaseResult, Solution

Array = np.ndarray
ACTIVE = 1e-4  # of its size, within which a limit is called active
_WHERE: dict[type, str] = {AtStart: "at the start", AtEnd: "at the end", Path: "all along", Integral: "integral"}


def wanted_of(solution: Solution, formulas: PlantFormulas) -> Facts:
    """{"objective": {...}, "limits": [{...}]} of an optimum as it was solved; empty where the problem is not known."""
    if not isinstance(solution.iterate, Started):
        return {}
    assembled = solution.iterate.assembled
    problem = assembled.problem
    r = next((i for i, run in enumerate(problem.runs) if run.plant is formulas.plant), 0)
    run, placements = problem.runs[r], assembled.runs[r]
    terms = [term for _, term in run.objective.weighted]
    weighted = (p for x in placements for p in (*x.terms.at_start, *x.terms.at_end, *x.terms.integrals) if p.weight)
    units = {placed.measure.label for placed in weighted}
    objective = {
        "sense": "minimize" if problem.sign > 0 else "maximize",
        "value": solution.objective,
        "unit": units.pop() if len(units) == 1 else "",
        "where": ", ".join(dict.fromkeys(_where(term) for term in terms)),
        "scenarios": len(problem.runs),
        "measure": "mean" if problem.hedge is None else str(problem.hedge.objective),
        **formulas.total(run.objective, problem.scale(r)),
    }
    limits = [_limit(term, solution, placements, formulas) for term in run.constraints]
    return {"objective": objective, "limits": limits}


def _where(term: Term) -> str:
    words = _WHERE.get(type(term), type(term).__name__)
    return f"{words} of phase {term.phase}" if term.phase else words


def _placed(placement: Placement, terms: Sequence[Term]) -> list[Placed]:
    t = placement.terms
    groups = (t.at_start, t.at_end, t.paths, t.integrals, t.totals)
    return [placed for group in groups for placed in group if any(placed.term is term for term in terms)]


def _limit(term: Term, solution: Solution, placements: Sequence[Placement], formulas: PlantFormulas) -> Facts:
    found = [
        (placed, placement.operation, phase)
        for placement, phase in zip(placements, solution.phases, strict=False)
        for placed in _placed(placement, [term])
    ]
    facts: Facts = {"name": term.label(), "where": _where(term), **formulas.of(term.function)}
    if not found:
        return facts
    values, times = _values(term, found, solution)
    placed = found[0][0]
    lower, upper = placed.lower, placed.upper
    room = np.minimum(values - lower, upper - values)
    at = int(np.nanargmin(room)) if np.isfinite(room).any() else 0
    size = max([abs(b) for b in (lower, upper) if np.isfinite(b)] + [float(np.nanmax(np.abs(values)))])
    active = bool(room[at] <= ACTIVE * size)
    certificate = solution.certificate
    return facts | {
        "unit": placed.measure.label,
        "lower": _bound(lower),
        "upper": _bound(upper),
        "value": float(values[at]),
        "time": float(times[at]),
        "room": float(room[at]),
        "active": active,
        "side": ("lower" if values[at] - lower < upper - values[at] else "upper") if active else "",
        "missed_on_replay": None if certificate is None else certificate.violation.get(term.label()),
    }


def _values(
    term: Term, found: Sequence[tuple[Placed, Operation, PhaseResult]], solution: Solution
) -> tuple[Array, Array]:
    """Values of a term at the times at which it is limited."""
    values, times = [], []
    for placed, operation, phase in found:
        t = phase.trajectory
        p = parameters_of(operation, solution.values, phase.held)
        n = len(t.time)
        rows = placed.function.map(n)(t.time[None, :], t.x, t.z, t.u, np.repeat(p[:, None], n, axis=1))
        values.append(np.array(rows).ravel())
        times.append(t.time)
    if isinstance(term, Integral):
        from scipy.integrate import simpson  # slow to import, and seldom wanted

        total = 0.0
        for y, at in zip(values, times, strict=True):
            distinct = np.append(np.diff(at) > 0.0, True)
            total += float(simpson(y[distinct], x=at[distinct]))
        return np.array([total]), times[-1][[-1]]
    if isinstance(term, AtStart):
        return values[0][[0]], times[0][[0]]
    if isinstance(term, AtEnd):
        return values[-1][[-1]], times[-1][[-1]]
    return np.concatenate(values), np.concatenate(times)


def _bound(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
