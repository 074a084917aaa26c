"""How is a program with many free columns solved, as of scenario trees? As it is, sparse, by an interior-point method.

PIQP's time is that of its rows, of which few matter: of the bounds inside an element, and of its other rows, the one
that is nearest to its limit stands for all, until a solution shows that it should not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from titer.numerics.nlp import Array
from titer.numerics.realtime.quadratic import (
    FEASIBLE,
    Answer,
    Bounds,
    Conic,
    UnsolvedError,
    casadi_sparsity,
    outside,
    within_reach,
)
from titer.numerics.realtime.sparsity import Pattern
from titer.numerics.realtime.subproblem import Step, Subproblem

_LITTLE = 1e-9  # of the largest curvature: added to all


@dataclass(frozen=True, eq=False)
class SparseParts:
    """Entries of the curvature in sizes of the largest, of E and G, of G alone; this size; and sizes of G's rows."""

    curvature: Array
    entries: Array
    G: Array
    size: float
    row_sizes: Array


class Sparse:
    """The program on all columns that stay."""

    condensed = False

    def __init__(self, subproblem: Subproblem):
        s = self.subproblem = subproblem
        rows, columns = (
            np.concatenate([s.E.rows, equations_of(s) + s.G.rows]),
            np.concatenate([s.E.columns, s.G.columns]),
        )
        self._all = Pattern(rows, columns, np.arange(len(rows)), (equations_of(s) + s.G.shape[0], s.count))
        each = np.arange(s.count)
        P_rows, P_columns = np.concatenate([s.P.rows, each]), np.concatenate([s.P.columns, each])
        self._P = Pattern(P_rows, P_columns, np.arange(len(P_rows)), (s.count, s.count))
        self._solver = Conic("piqp", casadi_sparsity(self._P), casadi_sparsity(self._all))
        self._near = _Near(s)
        self._first = Conic("piqp", casadi_sparsity(self._P), casadi_sparsity(self._near.pattern))

    def prepare(self, step: Step, held: Array | None = None) -> SparseParts:
        """Everything that the values of a step do not change."""
        s, size = self.subproblem, float(np.abs(step.P).max(initial=0.0)) or 1.0
        curvature = self._P.entries(np.concatenate([step.P / size, np.full(s.count, _LITTLE)]))
        row_sizes = np.sqrt(np.bincount(s.G.rows, step.G**2, minlength=s.G.shape[0])) + 1e-12
        return SparseParts(curvature, self._all.entries(np.concatenate([step.E, step.G])), step.G, size, row_sizes)

    def solve(self, step: Step, parts: SparseParts, bounds: Bounds, reaches: Sequence[float] = (1.0,)) -> Answer:
        """Solve for the values of a step. `reaches`: see `within_reach`. Raises UnsolvedError."""
        s, size, slope = self.subproblem, parts.size, step.q / parts.size
        limits = bounds.lower, bounds.upper

        def near(low: Array, high: Array) -> tuple[Array, Array, Array] | None:
            rows = self._near.nearest(low, high, parts.row_sizes)
            entries = self._near.pattern.entries(self._near.entries(step.E, step.G, rows))
            low_near, high_near = (np.concatenate([step.e, each[rows]]) for each in (low, high))
            d, found, on_bounds = self._first(parts.curvature, slope, entries, low_near, high_near, *limits)
            on_rows = np.zeros(len(step.e) + len(low))
            on_rows[: len(step.e)] = found[: len(step.e)]
            on_rows[len(step.e) + rows] = found[len(step.e) :]
            return (d, on_rows, on_bounds) if self._holds(step, parts, d, low, high, bounds) else None

        def attempt(low: Array, high: Array) -> tuple[Array, Array, Array]:
            answer = near(low, high)
            if answer is None:
                low_all, high_all = (np.concatenate([step.e, each]) for each in (low, high))
                answer = self._solver(parts.curvature, slope, parts.entries, low_all, high_all, *limits)
                if not self._holds(step, parts, answer[0], low, high, bounds):
                    raise UnsolvedError(infeasible=True)
            return answer

        (d, on_rows, on_bounds), reach = within_reach(attempt, bounds.low - step.g, bounds.high - step.g, reaches)
        count = equations_of(s)
        return Answer(d, lambda: size * on_rows[:count], size * on_rows[count:], size * on_bounds, reach)

    def _holds(self, step: Step, parts: SparseParts, d: Array, low: Array, high: Array, bounds: Bounds) -> bool:
        """Whether a solution keeps all rows and bounds."""
        s = self.subproblem
        missed = outside(s.G.times(parts.G, d), low, high), outside(d, bounds.lower, bounds.upper)
        return max(*missed, outside(s.E.times(step.E, d), step.e, step.e)) <= FEASIBLE


def equations_of(subproblem: Subproblem) -> int:
    """How many equations a program has."""
    return subproblem.E.shape[0]


class _Near:
    """E, and of G the rows that stand alone and one row of each block of rows that read the same columns."""

    def __init__(self, s: Subproblem):
        order = np.argsort(s.G.rows, kind="stable")
        starts = np.searchsorted(s.G.rows[order], np.arange(s.G.shape[0] + 1))
        alone = np.ones(s.G.shape[0], dtype=bool)
        self._blocks: list[tuple[Array, Array]] = []  # rows (copies, m), and entries (copies, m, width) or -1
        wide: list[tuple[Array, Array]] = []
        for first, copies, count in s.row_blocks:
            rows = first + np.arange(copies * count).reshape(copies, count)
            own = [[order[starts[r] : starts[r + 1]] for r in copy] for copy in rows]
            columns = [np.unique(s.G.columns[np.concatenate(copy)]) for copy in own]
            width = max(len(c) for c in columns)
            table, at = np.full((copies, count, width), -1), np.full((copies, width), -1)
            for k, (copy, known) in enumerate(zip(own, columns, strict=True)):
                at[k, : len(known)] = known
                for i, entries in enumerate(copy):
                    table[k, i, np.searchsorted(known, s.G.columns[entries])] = entries
            self._blocks.append((rows, table))
            wide.append((rows, at))
            alone[rows] = False
        self._alone = np.flatnonzero(alone)
        place = np.full(s.G.shape[0], -1)
        place[self._alone] = np.arange(len(self._alone))
        self._kept = np.flatnonzero(alone[s.G.rows])
        rows_of = [s.E.rows, equations_of(s) + place[s.G.rows[self._kept]]]
        columns_of, row = [s.E.columns, s.G.columns[self._kept]], equations_of(s) + len(self._alone)
        for rows, at in wide:
            rows_of.append(np.broadcast_to((row + np.arange(len(rows)))[:, None], at.shape).ravel())
            columns_of.append(at.ravel())
            row += len(rows)
        rows_all, columns_all = np.concatenate(rows_of), np.concatenate(columns_of)
        source = np.flatnonzero(columns_all >= 0)
        self.pattern = Pattern(rows_all[source], columns_all[source], source, (row, s.count))

    def nearest(self, low: Array, high: Array, sizes: Array) -> Array:
        """The rows of G that stand in the program: of each block the one that is nearest to its limit."""
        room = np.minimum(high, -low) / sizes
        picked = [rows[np.arange(len(rows)), room[rows].argmin(axis=1)] for rows, _ in self._blocks]
        return np.concatenate([self._alone, *picked])

    def entries(self, E: Array, G: Array, rows: Array) -> Array:
        """Raw entries for the pattern."""
        padded, first, picked = np.append(G, 0.0), len(self._alone), []
        for block, table in self._blocks:
            which = rows[first : first + len(block)] - block[:, 0]
            picked.append(padded[table[np.arange(len(block)), which]].ravel())
            first += len(block)
        return np.concatenate([E, G[self._kept], *picked])
