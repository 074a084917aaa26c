"""How is an `Nlp` evaluated? By one CasADi function each for f, g and derivatives, assembled batch by batch.

The derivatives of a batch are those of its small function, mapped over the copies and scattered into the
global sparse matrices by index, so that building costs the same for 20 and for 2000 elements. Scaling factors
of columns, rows and objective are arguments: a problem is rescaled without being rebuilt.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cached_property

import casadi as ca
import numpy as np

from titer.numerics.nlp import Array, Batch, Nlp


@dataclass(frozen=True)
class Scaling:
    """Sizes of columns, factors of rows and objective: a solver sees w / columns, rows * g, objective * f."""

    columns: Array
    rows: Array
    objective: float = 1.0

    @property
    def vector(self) -> Array:
        return np.concatenate([self.columns, self.rows, [self.objective]])


@dataclass(frozen=True, eq=False)
class Program:
    """The functions of an `Nlp`, of scaled decisions x and p = (data, scaling vector)."""

    nlp: Nlp
    arguments: tuple[ca.MX, ca.MX] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        n, m = self.nlp.columns, self.nlp.rows
        x, p = ca.MX.sym("x", n), ca.MX.sym("p", len(self.nlp.data) + n + m + 1)
        object.__setattr__(self, "arguments", (x, p))

    def of(self, nlp: Nlp) -> Program:
        """The same functions for a problem that differs in bounds only."""
        other = copy.copy(self)
        object.__setattr__(other, "nlp", nlp)
        return other

    def parameters(self, scaling: Scaling, data: Array | None = None) -> ca.DM:
        """The parameter vector."""
        return ca.DM(np.concatenate([self.nlp.data if data is None else data, scaling.vector]))

    @cached_property
    def values(self) -> ca.Function:
        """(x, p) -> (f, g)."""
        parts = self._parts
        f, g = ca.MX(0.0), []
        for batch, part, (active, passive) in zip(self.nlp.batches, parts, self._gathered, strict=True):
            rows, cost = part.value.map(batch.copies)(active, passive)
            g.append(ca.vec(rows))
            if batch.weight:
                f = f + batch.weight * ca.sum2(cost)
        rows = ca.vertcat(*g) if g else ca.MX(0, 1)
        if self.nlp.rows_order is not None:
            rows = rows.nz[self.nlp.rows_order.tolist()]
        _, _, row_factors, factor = self._split
        return ca.Function("nlp", list(self.arguments), [factor * f, row_factors * rows], ["x", "p"], ["f", "g"])

    @cached_property
    def gradient(self) -> ca.Function:
        """(x, p) -> (f, gradient of f)."""
        pieces, columns = [], []
        for batch, part, (active, passive) in zip(self.nlp.batches, self._parts, self._gathered, strict=True):
            if batch.weight:
                pieces.append(batch.weight * ca.vec(part.gradient.map(batch.copies)(active, passive)))
                columns.append(batch.index[part.active].T.ravel())
        x, p = self.arguments
        _, sizes, _, factor = self._split
        f = self.values(x, p)[0]
        n = self.nlp.columns
        if pieces:
            at = np.concatenate(columns)
            keep = np.flatnonzero(at < n)
            total = _accumulate(ca.vertcat(*pieces), keep, at[keep], n)
        else:
            total = ca.MX.zeros(n, 1)
        return ca.Function("nlp_grad_f", [x, p], [f, factor * sizes * total], ["x", "p"], ["f", "grad:f:x"])

    @cached_property
    def jacobian(self) -> ca.Function:
        """(x, p) -> (g, dg/dx), sparse."""
        x, p = self.arguments
        pieces, rows, columns, first = [], [], [], 0
        for batch, part, (active, passive) in zip(self.nlp.batches, self._parts, self._gathered, strict=True):
            if batch.rows:
                i, j = part.jacobian_pattern
                pieces.append(ca.vec(part.jacobian.map(batch.copies)(active, passive)))
                rows.append((first + i[None, :] + batch.rows * np.arange(batch.copies)[:, None]).ravel())
                columns.append(batch.index[part.active][j].T.ravel())
                first += batch.rows * batch.copies
        n, m = self.nlp.columns, self.nlp.rows
        _, sizes, factors, _ = self._split
        g = self.values(x, p)[1]
        if not pieces:
            return ca.Function("nlp_jac_g", [x, p], [g, ca.MX(m, n)], ["x", "p"], ["g", "jac:g:x"])
        row, column = np.concatenate(rows), np.concatenate(columns)
        if self.nlp.rows_order is not None:
            place = np.empty(m, dtype=int)
            place[self.nlp.rows_order] = np.arange(m)
            row = place[row]
        sparse = _sparse(ca.vertcat(*pieces), row, column, m, n, factors, sizes)
        return ca.Function("nlp_jac_g", [x, p], [g, sparse], ["x", "p"], ["g", "jac:g:x"])

    @cached_property
    def hessian(self) -> ca.Function:
        """(x, p, sigma, lambda) -> upper triangle of the Hessian of sigma f + lambda' g."""
        x, p = self.arguments
        n, m = self.nlp.columns, self.nlp.rows
        sigma, multipliers = ca.MX.sym("lam_f"), ca.MX.sym("lam_g", m)
        _, sizes, factors, factor = self._split
        scaled = factors * multipliers
        if self.nlp.rows_order is not None:
            place = np.empty(m, dtype=int)
            place[self.nlp.rows_order] = np.arange(m)
            scaled = scaled.nz[place.tolist()]
        pieces, rows, columns, first = [], [], [], 0
        for batch, part, (active, passive) in zip(self.nlp.batches, self._parts, self._gathered, strict=True):
            count = batch.rows * batch.copies
            own = ca.reshape(scaled[first : first + count], batch.rows, batch.copies)
            first += count
            i, j = part.hessian_pattern
            if len(i):
                weight = ca.repmat(factor * sigma * batch.weight, 1, batch.copies)
                piece = ca.vec(part.hessian.map(batch.copies)(active, passive, weight, own))
                cells = batch.index[part.active]
                a, b = cells[i].T.ravel(), cells[j].T.ravel()
                twice = (a == b) & np.broadcast_to(i != j, cells[i].T.shape).ravel()
                if twice.any():  # two arguments are one column: h_ij and h_ji both fall on its diagonal
                    piece = piece * ca.DM(1.0 + twice)
                pieces.append(piece)
                rows.append(np.minimum(a, b))
                columns.append(np.maximum(a, b))
        if pieces:
            row, column = np.concatenate(rows), np.concatenate(columns)
            total = _sparse(ca.vertcat(*pieces), row, column, n, n, sizes, sizes)
        else:
            total = ca.MX(n, n)
        return ca.Function(
            "nlp_hess_l",
            [x, p, sigma, multipliers],
            [total],
            ["x", "p", "lam:f", "lam:g"],
            ["triu:hess:gamma:x:x"],
        )

    @cached_property
    def _parts(self) -> list[_Part]:
        return [_Part(batch, self.nlp.columns) for batch in self.nlp.batches]

    @cached_property
    def _split(self) -> tuple[ca.MX, ca.MX, ca.MX, ca.MX]:
        n, m, d = self.nlp.columns, self.nlp.rows, len(self.nlp.data)
        p = self.arguments[1]
        return p[:d], p[d : d + n], p[d + n : d + n + m], p[d + n + m]

    @cached_property
    def _gathered(self) -> list[tuple[ca.MX, ca.MX]]:
        """Arguments of each batch's copies: those that are decisions in some copy, and the others."""
        data, sizes, _, _ = self._split
        cells = ca.vertcat(self.arguments[0] * sizes, data)
        gathered = []
        for batch, part in zip(self.nlp.batches, self._parts, strict=True):
            pair = []
            for chosen in (part.active, part.passive):
                index = batch.index[chosen]
                flat = cells.nz[index.T.ravel().tolist()] if index.size else ca.MX(0, 1)
                pair.append(ca.reshape(flat, len(chosen), batch.copies))
            gathered.append((pair[0], pair[1]))
        return gathered


class _Part:
    """The small functions of one batch: value, gradient, Jacobian and Hessian in its active arguments."""

    def __init__(self, batch: Batch, columns: int):
        decided = (batch.index < columns).any(axis=1)
        self.active, self.passive = np.flatnonzero(decided), np.flatnonzero(~decided)
        symbol = ca.SX if batch.function.is_a("SXFunction") else ca.MX
        a = symbol.sym("a", len(self.active))
        b = symbol.sym("b", len(self.passive))
        place = np.argsort(np.concatenate([self.active, self.passive]))
        v = ca.vertcat(a, b)[place.tolist()]
        self._g, self._f = batch.function(v)
        self._g, self._f = ca.densify(self._g), ca.densify(self._f)
        self._a, self._b, self._weight = a, b, batch.weight
        self.value = ca.Function("value", [a, b], [self._g, self._f])

    @cached_property
    def gradient(self) -> ca.Function:
        gradient = ca.densify(ca.gradient(self._f, self._a))
        return ca.Function("gradient", [self._a, self._b], [gradient])

    @cached_property
    def _jacobian(self) -> ca.SX | ca.MX:
        return ca.jacobian(self._g, self._a)

    @property
    def jacobian_pattern(self) -> tuple[Array, Array]:
        return _triplet(self._jacobian)

    @cached_property
    def jacobian(self) -> ca.Function:
        return ca.Function("jacobian", [self._a, self._b], [_nonzeros(self._jacobian)])

    @cached_property
    def _hessian(self) -> tuple:
        symbol = type(self._a)
        weight, multipliers = symbol.sym("weight"), symbol.sym("multipliers", self._g.numel())
        lagrangian = ca.dot(multipliers, self._g) + (weight * self._f if self._weight else 0.0)
        return ca.triu(ca.hessian(lagrangian, self._a)[0]), weight, multipliers

    @property
    def hessian_pattern(self) -> tuple[Array, Array]:
        return _triplet(self._hessian[0])

    @cached_property
    def hessian(self) -> ca.Function:
        hessian, weight, multipliers = self._hessian
        return ca.Function("hessian", [self._a, self._b, weight, multipliers], [_nonzeros(hessian)])


def _triplet(matrix: ca.SX | ca.MX) -> tuple[Array, Array]:
    rows, columns = matrix.sparsity().get_triplet()
    return np.array(rows, dtype=int), np.array(columns, dtype=int)


def _nonzeros(matrix: ca.SX | ca.MX) -> ca.SX | ca.MX:
    if isinstance(matrix, ca.SX):
        return ca.vertcat(ca.SX(0, 1), *matrix.nonzeros())
    return matrix.nz[:]


def _accumulate(values: ca.MX, keep: Array, at: Array, size: int) -> ca.MX:
    """A dense vector (size) with values[keep] added at `at`."""
    if not len(at):
        return ca.MX.zeros(size, 1)
    if len(np.unique(at)) == len(at):  # nothing repeats: a gather from the values with a zero behind them
        source = np.full(size, values.numel(), dtype=int)
        source[at] = keep
        return ca.vertcat(values, ca.MX(0.0)).nz[source.tolist()]
    scatter = ca.DM.triplet(at.tolist(), keep.tolist(), ca.DM.ones(len(at)), size, values.numel())
    return ca.densify(ca.mtimes(ca.MX(scatter), values))  # solvers read a gradient as a dense vector


def _sparse(values: ca.MX, row: Array, column: Array, m: int, n: int, left: ca.MX, right: ca.MX) -> ca.MX:
    """The m x n sparse matrix with left[i] * value * right[j] added at (i, j); data columns are left out."""
    keep = np.flatnonzero(column < n)
    row, column = row[keep], column[keep]
    key = column * m + row
    distinct, inverse = np.unique(key, return_inverse=True)
    i, j = distinct % m, distinct // m
    counts = np.concatenate([[0], np.cumsum(np.bincount(j, minlength=n))])
    pattern = ca.Sparsity(m, n, counts.tolist(), i.tolist())
    if len(distinct) == len(keep):
        source = np.empty(len(distinct), dtype=int)
        source[inverse] = keep
        nonzeros = values.nz[source.tolist()]
    else:
        nonzeros = _accumulate(values, keep, inverse, len(distinct))
    factors = ca.vec(left.nz[i.tolist()]) * ca.vec(right.nz[j.tolist()])  # taken from a scalar, a row
    return ca.MX(pattern, nonzeros * factors)
