"""How is a program with few free columns solved? On them alone, by an active-set method.

The equations E d = e are substituted (condensing), and DAQP solves the dense rest in a fraction of a millisecond, at
first with the rows nearest to their limits. Curvature that is not positive is made so here, where it is what decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
_NEAR = 48  # rows nearest to their limits, with which a program is tried first
_CLIPPED = 1e-6  # of the largest eigenvalue: the smallest after clipping
_LITTLE = 1e-9  # of the largest curvature: added to all
_FLAT = 1e-5  # of the largest curvature: given to columns without any


@dataclass(frozen=True, eq=False)
class Condensation:
    """A step by its free columns: d = Z d_free + W e; curvature, rows and their sizes of the dense program."""

    Z: Array
    W: Array
    curvature: Array
    rows: Array
    sizes: Array


class _Program(NamedTuple):
    """A dense program."""

    curvature: Array
    slope: Array
    rows: Array
    low: Array
    high: Array
    lower: Array
    upper: Array

    def of(self, rows: Array) -> _Program:
        """The program with some of its rows."""
        return self._replace(rows=self.rows[rows], low=self.low[rows], high=self.high[rows])

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
        self._path = []
        for k, chosen in s.structure.order:
            cells = s.structure.groups[k].cells[chosen]
            outer = slice(s.structure.groups[k].inner, s.structure.groups[k].inner + s.structure.groups[k].outer)
            self._path.append((k, chosen, s.number[cells[:, outer]], s.number[cells[:, outer.stop :]]))
        self._P, self._G = (csc_matrix((np.zeros(p.count), p.rows, p.starts), shape=p.shape) for p in (s.P, s.G))
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
        for k, chosen, outer, shared in self._path:
            group = step.solved[k].elements
            both[shared] += step.solved[k].follow[chosen, group.inner :] @ both[outer]
        Z, W = np.ascontiguousarray(both[:-1, :count]), both[count:-1, count:]
        self._P.data[:], self._G.data[:] = step.P, step.G
        curvature = product(Z[self._curved].T, (self._P @ Z)[self._curved])
        curvature = _convex(curvature, s.exact, np.zeros(count, dtype=bool) if held is None else held)
        rows = np.concatenate([self._G @ Z, Z[self._limited]])
        return Condensation(Z, W, curvature, rows, np.sqrt(np.einsum("ij,ij->i", rows, rows)) + 1e-12)

    def solve(self, step: Step, parts: Condensation, bounds: Bounds, reaches: Sequence[float] = (1.0,)) -> Answer:
        """Solve for the values of a step. `reaches`: see `within_reach`. Raises UnsolvedError."""
        s, count = self.subproblem, self.subproblem.free
        z = np.concatenate([np.zeros(count), times(parts.W, step.e)])
        slope = times(parts.Z.T, step.q + s.P.times(step.P, z))
        at = np.concatenate([step.g + s.G.times(step.G, z), z[self._limited]])
        low = np.concatenate([bounds.low, bounds.lower[self._limited]]) - at
        high = np.concatenate([bounds.high, bounds.upper[self._limited]]) - at

        def attempt(low: Array, high: Array) -> tuple[Array, Array, Array]:
            return self._solved(parts, slope, low, high, bounds.lower[:count], bounds.upper[:count])

        (free, rows, own), reach = within_reach(attempt, low, high, reaches)
        d = times(parts.Z, free) + z
        on_rows, multipliers = rows[: s.G.shape[0]], np.zeros(s.count)
        multipliers[:count] = own
        multipliers[self._limited] = rows[s.G.shape[0] :]

        def equations() -> Array:
            left = step.q + s.P.times(step.P, d) + s.G.pulled(step.G, on_rows) + multipliers
            return -times(parts.W.T, left[count:])

        return Answer(d, equations, on_rows, multipliers, reach)

    def _solved(
        self, parts: Condensation, slope: Array, low: Array, high: Array, lower: Array, upper: Array
    ) -> tuple[Array, Array, Array]:
        if (low > high + FEASIBLE).any() or (lower > upper + FEASIBLE).any():
            raise UnsolvedError(infeasible=True)
        program = _Program(parts.curvature, slope, parts.rows, low, high, lower, upper)
        if self._near is not None:
            room = np.minimum(np.maximum(high, 0.0), np.maximum(-low, 0.0)) / parts.sizes
            near = np.sort(np.argpartition(room, _NEAR)[:_NEAR])
            x, few, on_bounds = self._near(*program.of(near).arguments)
            on_rows = np.zeros(len(low))
            on_rows[near] = few
            if program.missed(x, on_rows, on_bounds) == 0.0:
                return x, on_rows, on_bounds
        missed = np.inf
        for solver in (self._first, self._second):
            x, on_rows, on_bounds = solver(*program.arguments)
            missed = program.missed(x, on_rows, on_bounds)
            if missed == 0.0:
                return x, on_rows, on_bounds
        raise UnsolvedError(infeasible=not missed <= FEASIBLE)


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
