"""What is a program's quadratic model, once what its equations determine is eliminated? Element by element.

Where an element's equations determine its collocation unknowns Y from the other arguments e, their linearization
J_Y y + J_e e + r = 0 gives y = c + S e. Ends of elements, which others read, stay columns with the rows y - S e = c; the
other unknowns are gone: their bounds, and limits along the way, become rows in e; the cost becomes one of e.
Source: Bock & Plitt, IFAC 9th World Congress (1984); Albersmeyer & Diehl, SIAM J. Optim. 20 (2010) 1655.
"""

from __future__ import annotations

from dataclasses import dataclass

import casadi as ca
import numpy as np

from titer.numerics.nlp import Array, Nlp
from titer.numerics.realtime.derivatives import Filled

_GONE, _HELD = -1, -2  # columns that are eliminated, and that are held where they are


@dataclass(frozen=True, eq=False)
class Layout:
    """Which column is which in the quadratic program: `place` (n,) its number there, -1 eliminated, -2 held; `kept` the
    columns in their order; `embedded` columns, held too, along which derivatives are wanted."""

    place: Array
    kept: Array
    embedded: Array


def layout_of(nlp: Nlp, held: Array, embedded: Array) -> Layout:
    """Eliminate what elements determine and nobody else reads; keep the others, but for those that are `held`."""
    n = nlp.columns
    readers = np.zeros(n, dtype=int)
    for batch in nlp.batches:
        for cells in batch.index.T:
            readers[np.unique(cells[cells < n])] += 1
    place = np.zeros(n, dtype=int)
    for batch in nlp.batches:
        if batch.determined is not None:
            own = batch.index[batch.determined]
            inner = (readers[np.minimum(own, n - 1)] == 1).all(axis=1)
            place[own[inner]] = _GONE
    place[held] = _HELD
    place[embedded] = _HELD
    kept = np.flatnonzero(place == 0)
    place[kept] = np.arange(len(kept))
    return Layout(place, kept, embedded)


@dataclass(frozen=True, eq=False)
class Recovery:
    """What was eliminated in one batch: y = c + S e, and what multipliers of its equations follow from."""

    c: Array  # (N, d)
    slopes: Array  # (N, d, e)
    inverse: Array  # (N, d, d) of J_Y


class Condensed:
    """The rows and the cost that one batch has in the quadratic program; where its numbers go is found once."""

    def __init__(self, filled: Filled, layout: Layout, lower: Array, upper: Array, sizes: Array):
        """`lower`, `upper`: bounds of columns, of which only it matters whether they are finite."""
        batch, n = filled.batch, len(layout.place)
        self.filled = filled
        self.copies = batch.copies
        where = np.zeros(0, dtype=int) if batch.determined is None else batch.determined
        self.d = np.flatnonzero(np.isin(filled.active, where))
        self.e = np.setdiff1d(np.arange(len(filled.active)), self.d)
        self.equations = len(self.d)
        self.cells_d, self.cells_e = filled.cells[:, self.d], filled.cells[:, self.e]
        columns_d = np.minimum(self.cells_d, n - 1)
        self.end = np.flatnonzero((layout.place[columns_d] >= 0).all(axis=0)) if len(self.d) else self.d
        self.inner = np.setdiff1d(np.arange(len(self.d)), self.end)
        bounded = np.isfinite(lower[columns_d]) | np.isfinite(upper[columns_d])
        self.bounded = self.inner[bounded[:, self.inner].any(axis=0)] if len(self.d) else self.d
        self.limits = np.arange(self.equations, batch.rows)
        self.rows = len(self.end) + len(self.bounded) + len(self.limits)
        self.sizes_e = np.where(self.cells_e < n, sizes[np.minimum(self.cells_e, n - 1)], 0.0)
        self.sizes_d = sizes[columns_d]

    def pattern(self, layout: Layout, first: int) -> tuple[Array, Array]:
        """(row, column) of the batch's entries in A: those along e, then ones for ends; `first`: of its rows."""
        rows = first + np.arange(self.copies * self.rows).reshape(self.copies, self.rows)
        i = np.repeat(rows[:, :, None], len(self.e), axis=2).ravel()
        j = np.repeat(self.cells_e[:, None, :], self.rows, axis=1).ravel()
        ends = self.cells_d[:, self.end]
        return np.concatenate([i, rows[:, : len(self.end)].ravel()]), np.concatenate([j, ends.ravel()])

    def linearized(self) -> tuple[Array, Array, Recovery | None]:
        """Entries along e (N, rows, e), and the values of the rows (N, rows) at e = 0, ends with the sign of y - S e."""
        g, j = self.filled.value, self.filled.jacobian
        if not self.equations:
            return j[:, :, self.e], g, None
        m = self.equations
        inverse = np.linalg.inv(j[:, :m][:, :, self.d])
        c = -np.einsum("nij,nj->ni", inverse, g[:, :m])
        slopes = -inverse @ j[:, :m][:, :, self.e]
        through, values = [-slopes[:, self.end], slopes[:, self.bounded]], [-c[:, self.end], c[:, self.bounded]]
        if len(self.limits):
            of_d = j[:, m:][:, :, self.d]
            through.append(j[:, m:][:, :, self.e] + of_d @ slopes)
            values.append(g[:, m:] + np.einsum("nij,nj->ni", of_d, c))
        return np.concatenate(through, axis=1), np.concatenate(values, axis=1), Recovery(c, slopes, inverse)

    def cost(self, recovery: Recovery | None, convex: bool) -> tuple[Array | None, Array | None]:
        """Hessian (N, e, e) and gradient (N, e) of the batch's part of the model, scaled; None where there is none.

        `convex`: with negative curvature cut off.
        """
        filled = self.filled
        gradient, hessian = filled.gradient, filled.hessian
        slope = None if gradient is None else gradient[:, self.e]
        bend = None if hessian is None else hessian[:, self.e][:, :, self.e]
        if recovery is not None:
            s, c = recovery.slopes, recovery.c
            if gradient is not None:
                slope = slope + np.einsum("nde,nd->ne", s, gradient[:, self.d])
            if hessian is not None:
                of_d = hessian[:, self.d]
                dd, de = of_d[:, :, self.d], of_d[:, :, self.e]
                mixed = np.swapaxes(s, 1, 2) @ de
                bend = bend + np.swapaxes(s, 1, 2) @ (dd @ s) + mixed + np.swapaxes(mixed, 1, 2)
                pull = np.einsum("nde,nd->ne", s, np.einsum("nij,nj->ni", dd, c)) + np.einsum("nde,nd->ne", de, c)
                slope = pull if slope is None else slope + pull
        size = self.sizes_e
        if slope is not None:
            slope = slope * size
        if bend is not None:
            bend = bend * size[:, :, None] * size[:, None, :]
            if convex:
                values, vectors = np.linalg.eigh(bend)
                bend = (vectors * np.maximum(values, 0.0)[:, None, :]) @ np.swapaxes(vectors, 1, 2)
        return bend, slope


class Scatter:
    """Puts triplets into the nonzeros of a sparse matrix, column by column; what repeats is added."""

    def __init__(self, rows: Array, columns: Array, shape: tuple[int, int]):
        self.kept = np.flatnonzero(columns >= 0)
        rows, columns = rows[self.kept], columns[self.kept]
        key = columns * shape[0] + rows
        distinct, self.target = np.unique(key, return_inverse=True)
        self.alone = len(distinct) == len(key)
        i, j = distinct % max(shape[0], 1), distinct // max(shape[0], 1)
        counts = np.concatenate([[0], np.cumsum(np.bincount(j, minlength=shape[1]))])
        self.sparsity = ca.Sparsity(shape[0], shape[1], counts.tolist(), i.tolist())
        self.rows, self.columns = i, j
        self.values = np.zeros(len(distinct))

    def put(self, entries: Array) -> None:
        """Fill `values` from all entries, those without a place included."""
        chosen = entries[self.kept]
        if self.alone:
            self.values[self.target] = chosen
        else:
            self.values[:] = np.bincount(self.target, chosen, minlength=len(self.values))
