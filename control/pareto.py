"""What does one aim cost in another? Pareto fronts by epsilon-constraints: the same program, solved again and again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.control.optimization import optimization_problem
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.problems.results import evaluate_term
from titer.flowsheets.problems.solving import Solved, solve, with_limits
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.terms import AtEnd, Term
from titer.numerics.errors import SolveError, SpecificationError
from titer.numerics.grid import Grid
from titer.numerics.solution import Solution
from titer.numerics.solvers import Fatrop, Ipopt

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Array = np.ndarray
Report = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Front:
    """Non-dominated optima. `values` (points, aims), in the aims' own senses; `maximized`: which are maximized.

    `solutions`: the plan behind each point, with its certificate. `failed`: points that were not solved, in words.
    """

    aims: tuple[str, ...]
    maximized: tuple[bool, ...]
    units: tuple[str, ...]
    values: Array
    solutions: tuple[Solution, ...]
    failed: tuple[str, ...]

    def __repr__(self) -> str:
        doubted = [(i, s.certificate) for i, s in enumerate(self.solutions) if s.certificate and not s.certificate.ok]
        said = [f"  point {i} is not certified: {certificate.message}" for i, certificate in doubted]
        said += [f"  not solved: {text}" for text in self.failed]
        return "\n".join([f"front of {len(self.values)} points", str(self.table()), *said])

    def table(self) -> pd.DataFrame:
        """One row per point, along the first aim."""
        import pandas as pd

        columns = [f"{a} [{u}]" if u else a for a, u in zip(self.aims, self.units, strict=True)]
        frame = pd.DataFrame(self.values, columns=columns)
        frame["certificate"] = [s.certificate.ok if s.certificate else False for s in self.solutions]
        return frame

    def plot(self) -> Figure:
        """The front: the first aim over the second; a third as labels beside the points."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.5, 4.5), layout="constrained")
        ax = figure.subplots()
        label = [f"{a} [{u}]" if u else a for a, u in zip(self.aims, self.units, strict=True)]
        if len(self.aims) == 2:
            ax.plot(self.values[:, 1], self.values[:, 0], "o-", color="black", markersize=4, linewidth=1.2)
        else:
            levels = np.unique(np.round(self.values[:, 2], 10))
            markers = "osD^vP*Xh"
            for i, level in enumerate(levels):
                chosen = np.isclose(self.values[:, 2], level)
                ax.plot(
                    self.values[chosen, 1], self.values[chosen, 0], f"{markers[i % len(markers)]}-",
                    markersize=4, linewidth=1.0, label=f"{level:.4g}",
                )  # fmt: skip
            ax.legend(title=label[2], fontsize="small")
        ax.set_xlabel(f"{label[1]} ({'more' if self.maximized[1] else 'less'} is better)")
        ax.set_ylabel(f"{label[0]} ({'more' if self.maximized[0] else 'less'} is better)")
        ax.grid(alpha=0.3)
        return figure


def pareto(
    plant: Flowsheet,
    recipe: Recipe,
    free: Mapping[str, Any] | None = None,
    maximize: Mapping[str, AtEnd] | None = None,
    minimize: Mapping[str, AtEnd] | None = None,
    points: int = 10,
    subject_to: Sequence[Term] = (),
    grid: Grid | None = None,
    inputs: Mapping[str, Any] | None = None,
    solver: Ipopt | Fatrop | None = None,
    report: Report | None = None,
) -> Front:
    """The trade-off between two or three aims, values at the end of the recipe, by name.

    `pareto(plant, recipe, free, maximize={"yield": AtEnd(...)}, minimize={"batch time": AtEnd(lambda v: v.time)})`.
    The first aim (of `maximize`, then of `minimize`) is optimized while the others are held at `points` levels each
    between their own optimum and what the first aim's optimum leaves of them; each solve starts from its neighbour.
    Dominated points are dropped. All points are on one mesh, which is not refined: where the printed front says that a
    point is not certified, give `grid=Grid(40)`. `report` is told of each point. Raises SpecificationError; SolveError
    where even an end of the front fails. Method: epsilon-constraint (Haimes, Lasdon & Wismer, IEEE Trans. Syst. Man
    Cybern. 1 (1971) 296).
    """
    aims = _aims(maximize, minimize)
    if isinstance(points, bool) or points < 2:
        raise SpecificationError(f"pareto: points must be a whole number of at least 2, got {points!r}.")
    solver, tell = solver or Ipopt(), report or (lambda text: None)
    ends: list[Solved] = []
    for name, term, sign in aims:  # all on one mesh: what one end reaches must be within reach of the others' plans
        problem = optimization_problem(
            plant, recipe, free, subject_to=subject_to, grid=grid, inputs=inputs, **_wanted(term, sign)
        )
        ends.append(_checked(solve(problem, solver), f"the best {name}"))
        grid = replace(grid or Grid(), elements=dict(ends[0].solutions[0].stats["elements"]))
        tell(f"best {name}: {ends[-1].solutions[0].objective:.6g}")
    first = aims[0]
    held = [
        replace(t, lower=None if s > 0 else -1e30, upper=1e30 if s > 0 else None, name=f"aim {n}")
        for n, t, s in aims[1:]
    ]
    problem = optimization_problem(
        plant,
        recipe,
        free,
        subject_to=[*subject_to, *held],
        grid=grid,
        inputs=inputs,
        **_wanted(first[1], first[2]),
    )
    base = _checked(solve(problem, solver, ends[0].solutions[0], 1), f"the best {first[0]}")
    reached = np.array([[_value(end.solutions[0], term) for _, term, _ in aims] for end in ends])
    levels = [np.linspace(reached[0, j], reached[j, j], points) for j in range(1, len(aims))]
    found, failed = [], []
    before = base
    for combination in product(*levels):
        limits = {
            f"aim {name}": (-np.inf, level) if sign > 0 else (level, np.inf)
            for (name, _, sign), level in zip(aims[1:], combination, strict=True)
        }
        solved = with_limits(before, limits)
        text = ", ".join(f"{name} {level:.5g}" for (name, _, _), level in zip(aims[1:], combination, strict=True))
        if not solved.started.outcome.status.ok:
            failed.append(f"{text}: {solved.started.outcome.status.value}")
            tell(f"{text}: not solved")
            continue
        before = solved
        found.append(solved.solutions[0])
        tell(f"{text}: {first[0]} {solved.solutions[0].objective:.6g}")
    values = np.array([[_value(s, term) for _, term, _ in aims] for s in found])
    keep = _non_dominated(values * np.array([sign for _, _, sign in aims]))
    order = keep[np.lexsort(tuple(values[keep].T[::-1]))]
    return Front(
        tuple(name for name, _, _ in aims),
        tuple(sign < 0 for _, _, sign in aims),
        tuple(_unit(base, term) for _, term, _ in aims),
        values[order],
        tuple(found[i] for i in order),
        tuple(failed),
    )


def _aims(maximize: Mapping[str, AtEnd] | None, minimize: Mapping[str, AtEnd] | None) -> list[tuple[str, AtEnd, float]]:
    """Aims with their signs (-1: maximized), checked."""
    for verb, given in (("maximize", maximize), ("minimize", minimize)):
        if given is not None and not isinstance(given, Mapping):
            raise SpecificationError(
                f'pareto: {verb} is a dict from names to terms, got {given!r}.\n  Write {verb}={{"titer": AtEnd(...)}}.'
            )
    aims = [(n, t, -1.0) for n, t in (maximize or {}).items()] + [(n, t, 1.0) for n, t in (minimize or {}).items()]
    if len(aims) not in (2, 3):
        raise SpecificationError(
            f"pareto: two or three aims make a front, got {len(aims)}.\n"
            f"  Give maximize={{name: AtEnd(...)}}, minimize={{name: AtEnd(...)}}."
        )
    names = [name for name, _, _ in aims]
    for name, term, _ in aims:
        if names.count(name) > 1:
            raise SpecificationError(f"pareto: {name!r} is both maximized and minimized.")
        if not isinstance(term, AtEnd) or term.lower is not None or term.upper is not None:
            raise SpecificationError(
                f"pareto: the aim {name!r} must be an AtEnd without limits, got {term!r}.\n"
                f"  An integral is an aim where the unit operation declares it as a state."
            )
    return aims


def _wanted(term: AtEnd, sign: float) -> dict[str, Any]:
    return {"minimize": term} if sign > 0 else {"maximize": term}


def _checked(solved: Solved, what: str) -> Solved:
    if not solved.started.outcome.status.ok:
        raise SolveError(
            f"pareto: {what} was not found: {solved.started.outcome.status.value}.\n"
            f"  Solve it by itself with optimize to see why.",
            solved.solutions[0],
        )
    return solved


def _value(solution: Solution, term: AtEnd) -> float:
    """A term at the end of a solution."""
    return evaluate_term(solution.iterate, term)[0]


def _unit(base: Solved, term: AtEnd) -> str:
    return evaluate_term(base.started, term)[1]


def _non_dominated(costs: Array) -> Array:
    """Indices of points that no other beats in every cost; of equal ones the first."""
    keep: list[int] = []
    size = np.maximum(np.ptp(costs, axis=0), 1e-12) if len(costs) else 1.0
    scaled = costs / size
    for i, cost in enumerate(scaled):
        others = np.delete(scaled, i, axis=0)
        better = np.all(others <= cost + 1e-9, axis=1) & np.any(others < cost - 1e-6, axis=1)
        equal = np.all(np.abs(scaled[keep] - cost) <= 1e-6, axis=1).any() if keep else False
        if not better.any() and not equal:
            keep.append(i)
    return np.array(keep, dtype=int)
