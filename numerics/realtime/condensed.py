"""How is a program with few free columns solved? On them alone, by an active-set method.

The equations E d = e are substituted (condensing), and DAQP solves the dense rest in a fraction of a millisecond, at
first with the rows nearest to their limits. Curvature that is not positive is made so here, where it is what decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import casadi as ca
import numpy as np
from scipy.linalg import eigh, ldl
from scipy.sparse import csc_matrix

from titer.numerics.nlp import Array
from titer.numerics.realtime.quadratic import FEASIBLE, Answer, Bounds, Conic, UnsolvedError, outside, within_reach
from titer.numerics.realtime.sparsity import product, times
from titer.numerics.realtime.subproblem import Step, Subproblem

_STATIONARY = 1e-6  # of a program's slope, relative
_DECOMPOSED = 60  # columns up to which LAPACK decomposes a matrix on one thread
_NEAR = 32  # rows nearest to their limits, with which a program is tried first
_CLIPPED = 1e-6  # of the largest eigenvalue: the smallest after clipping
_LITTLE = 1e-9  # of the largest curvature: added to all
_FLAT = 1e-5  # of the largest curvature: given to columns without any


@dataclass(frozen=True, eq=False)
class Condensation:
    """A step by its free columns: d = Z d_free + W e; the curvature of the dense program, and about the sizes of its
    rows."""

    Z: Array
    W: Array
    curvature: Array
    sizes: Array


class _Limits(NamedTuple):
    """The slope of a dense program, limits of its rows and of its columns."""

    slope: Array
    low: Array
    high: Array
    lower: Array
    upper: Array


class _Program(NamedTuple):
    """A dense program."""

    curvature: Array
    slope: Array
    rows: Array
    low: Array
    high: Array
    lower: Array
    upper: Array

    @property
    def arguments(self) -> tuple[Array, ...]:
        return self.curvature.ravel(), self.slope, self.rows.ravel(order="F"), *self[3:]

    def missed(self, x: Array, on_rows: Array, on_bounds: Array) -> float:
        """By how much a solution misses the limits; 0 where it is one, little where it only misses optimality."""
        missed = max(outside(times(self.rows, x), self.low, self.high), outside(x, self.lower, self.upper))
        if not missed <= FEASIBLE:
            return missed
        left = times(self.curvature, x) + self.slope + times(self.rows.T, on_rows) + on_bounds
        size = np.abs(self.slope).max(initial=0.0) + np.abs(self.curvature).max(initial=0.0)
        return 0.0 if np.abs(left).max(initial=0.0) <= _STATIONARY * size else FEASIBLE


class Condensed:
    """The program on the free columns alone."""

    condensed = True

    def __init__(self, subproblem: Subproblem):
        s = self.subproblem = subproblem
        count = s.free
        limited = np.isfinite(s.nlp.lower) | np.isfinite(s.nlp.upper)
        self._limited = count + np.flatnonzero(limited[s.structure.kept[count:]])
        self._curved = np.unique(s.P.rows)
        self._path = [_Link.of(s, k, chosen) for k, chosen in s.structure.order]
        self._P = csc_matrix((np.zeros(s.P.count), s.P.rows, s.P.starts), shape=s.P.shape)
        self._entry, self._column = _by_rows(s, self._limited)
        rows = s.G.shape[0] + len(self._limited)
        self._shape = ca.Sparsity.dense(count, count), ca.Sparsity.dense(rows, count)
        self._first = Conic("daqp", *self._shape)
        few = ca.Sparsity.dense(_NEAR, count)
        self._near = Conic("daqp", self._shape[0], few) if rows > 2 * _NEAR else None
        self._second = Conic("piqp", *self._shape)  # for programs that the first method leaves

    def prepare(self, step: Step, held: Array | None = None) -> Condensation:
        """Everything that the values of a step do not change. `held`: which free columns bounds held before."""
        s, count = self.subproblem, self.subproblem.free
        both = np.zeros((s.count + 1, s.count))  # the last row is what data follow: nothing
        np.fill_diagonal(both, 1.0)
        follow = [each.follow[:, each.elements.inner :] for each in step.solved]
        for link in self._path:
            both[link.shared] += follow[link.group][link.chosen] @ both[link.outer]
        Z, W = np.ascontiguousarray(both[:-1, :count]), both[count:-1, count:]
        self._P.data[:] = step.P
        curvature = product(Z[self._curved].T, (self._P @ Z)[self._curved])
        curvature = _convex(curvature, s.exact, np.zeros(count, dtype=bool) if held is None else held)
        reach = np.einsum("ij,ij->i", Z, Z)
        sizes = np.bincount(s.G.rows, step.G**2 * reach[s.G.columns], minlength=s.G.shape[0])
        return Condensation(Z, W, curvature, np.sqrt(np.concatenate([sizes, reach[self._limited]])) + 1e-12)

    def solve(self, step: Step, parts: Condensation, bounds: Bounds, reaches: Sequence[float] = (1.0,)) -> Answer:
        """Solve for the values of a step. `reaches`: see `within_reach`. Raises UnsolvedError."""
        s, count = self.subproblem, self.subproblem.free
        z = np.concatenate([np.zeros(count), times(parts.W, step.e)])
        slope = times(parts.Z.T, step.q + s.P.times(step.P, z))
        at = np.concatenate([step.g + s.G.times(step.G, z), z[self._limited]])
        low = np.concatenate([bounds.low, bounds.lower[self._limited]]) - at
        high = np.concatenate([bounds.high, bounds.upper[self._limited]]) - at

        def attempt(low: Array, high: Array) -> tuple[Array, Array, Array]:
            return self._solved(step, parts, _Limits(slope, low, high, bounds.lower[:count], bounds.upper[:count]))

        (free, rows, own), reach = within_reach(attempt, low, high, reaches)
        d = times(parts.Z, free) + z
        on_rows, multipliers = rows[: s.G.shape[0]], np.zeros(s.count)
        multipliers[:count] = own
        multipliers[self._limited] = rows[s.G.shape[0] :]

        def equations() -> Array:
            left = step.q + s.P.times(step.P, d) + s.G.pulled(step.G, on_rows) + multipliers
            return -times(parts.W.T, left[count:])

        return Answer(d, equations, on_rows, multipliers, reach)

    def _solved(self, step: Step, parts: Condensation, limits: _Limits) -> tuple[Array, Array, Array]:
        """The free columns, and multipliers of all rows and of the bounds."""
        _, low, high, lower, upper = limits
        if (low > high + FEASIBLE).any() or (lower > upper + FEASIBLE).any():
            raise UnsolvedError(infeasible=True)
        if self._near is not None:
            room = np.minimum(np.maximum(high, 0.0), np.maximum(-low, 0.0)) / parts.sizes
            near = np.sort(np.argpartition(room, _NEAR)[:_NEAR])
            program = self._program(step, parts, limits, near)
            x, few, on_bounds = self._near(*program.arguments)
            if program.missed(x, few, on_bounds) == 0.0 and outside(self._at(step, parts, x), low, high) <= FEASIBLE:
                on_rows = np.zeros(len(low))
                on_rows[near] = few
                return x, on_rows, on_bounds
        program, missed = self._program(step, parts, limits, np.arange(len(low))), np.inf
        for solver in (self._first, self._second):
            x, on_rows, on_bounds = solver(*program.arguments)
            missed = program.missed(x, on_rows, on_bounds)
            if missed == 0.0:
                return x, on_rows, on_bounds
        raise UnsolvedError(infeasible=not missed <= FEASIBLE)

    def _program(self, step: Step, parts: Condensation, limits: _Limits, rows: Array) -> _Program:
        """The dense program with some of its rows."""
        slope, low, high, lower, upper = limits
        values = np.concatenate([step.G, [0.0, 1.0]])[self._entry[rows]]
        dense = (values[:, None, :] @ parts.Z[self._column[rows]])[:, 0]
        return _Program(parts.curvature, slope, dense, low[rows], high[rows], lower, upper)

    def _at(self, step: Step, parts: Condensation, x: Array) -> Array:
        """All rows at values of the free columns."""
        d = times(parts.Z, x)
        return np.concatenate([self.subproblem.G.times(step.G, d), d[self._limited]])


@dataclass(frozen=True, eq=False)
class _Link:
    """Elements of a group that stand at one place: what they read, and what they determine. Of one element all is in
    two dimensions, its columns a stretch: slices are several times as fast as lists."""

    group: int
    chosen: Any
    outer: Array
    shared: Any

    @staticmethod
    def of(s: Subproblem, k: int, chosen: Array) -> _Link:
        group = s.structure.groups[k]
        cells = group.cells[chosen]
        outer = s.number[cells[:, group.inner : group.inner + group.outer]]
        shared = s.number[cells[:, group.inner + group.outer :]]
        first = int(shared.min(initial=0))
        if len(chosen) == 1 and np.array_equal(shared[0], first + np.arange(group.shared)):
            return _Link(k, int(chosen[0]), outer[0], slice(first, first + group.shared))
        return _Link(k, chosen, outer, shared)


def _by_rows(s: Subproblem, limited: Array) -> tuple[Array, Array]:
    """(rows, widest): which entries of G a row has, and in which columns; two more entries stand behind them: 0 and 1.

    Rows are those of G, then bounds of the columns `limited`.
    """
    order = np.argsort(s.G.rows, kind="stable")
    counts = np.bincount(s.G.rows, minlength=s.G.shape[0])
    widest = max(1, int(counts.max(initial=0)))
    entry = np.full((len(counts) + len(limited), widest), s.G.count)
    column = np.zeros_like(entry)
    place = np.arange(s.G.count) - np.repeat(np.cumsum(counts) - counts, counts)
    entry[s.G.rows[order], place], column[s.G.rows[order], place] = order, s.G.columns[order]
    entry[len(counts) :, 0], column[len(counts) :, 0] = s.G.count + 1, limited
    return entry, column


def _convex(curvature: Array, exact: bool, held: Array) -> Array:
    """A curvature near by with eigenvalues that are positive, and not too small for a program to be solved.

    Columns that bounds hold are set apart, so that their curvature, which does not count, spoils nobody else's.
    """
    curvature = 0.5 * (curvature + curvature.T)
    largest = np.abs(curvature).max(initial=0.0) or 1.0
    if exact:
        try:
            np.linalg.cholesky(curvature + _LITTLE * largest * np.eye(len(curvature)))
        except np.linalg.LinAlgError:
            apart = held[:, None] ^ held[None, :]
            curvature = _clipped(np.where(apart, 0.0, curvature))
    diagonal = curvature.diagonal()
    return curvature + np.diag(np.where(diagonal < _LITTLE * largest, _FLAT, _LITTLE) * largest)


def _clipped(curvature: Array) -> Array:
    """A symmetric matrix without its negative curvature: of its eigenvalues, or where it is large of its factors'.

    Factors P L D L' P' with the blocks of D clipped: Cheng & Higham, SIAM J. Matrix Anal. Appl. 19 (1998) 1097. They
    need no threads, which a decomposition of more than some sixty columns would wake.
    """
    if len(curvature) <= _DECOMPOSED:
        values, vectors = eigh(curvature, driver="evd", check_finite=False)
    else:
        left, blocks, _ = ldl(curvature, check_finite=False)
        values, turned = _of_blocks(blocks)
        vectors = product(left, turned)
    return product(vectors * np.maximum(values, _CLIPPED * np.abs(values).max()), vectors.T)


def _of_blocks(blocks: Array) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors of a matrix with blocks of one or two on its diagonal."""
    values, vectors = blocks.diagonal().copy(), np.eye(len(blocks))
    for k in np.flatnonzero(blocks.diagonal(1)):
        pair = slice(k, k + 2)
        values[pair], vectors[pair, pair] = np.linalg.eigh(blocks[pair, pair])
    return values, vectors
