"""What are the numbers of an `Nlp` at a point, without any overhead? Flat vectors, batch after batch, copy after copy.

Value, slopes and Jacobian of a batch come from one function, so that an exponential is computed once; they are written
into arrays that stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import casadi as ca
import numpy as np

from titer.numerics.nlp import Array, Batch, Nlp
from titer.numerics.program import Scaling


class Compiled:
    """A function that writes into arrays of its own; calling it costs a microsecond more than the numbers."""

    def __init__(self, function: ca.Function):
        self._function = function  # the buffer does not keep it alive
        self._buffer, self._run = function.buffer()
        self.arguments = [np.zeros(function.nnz_in(i)) for i in range(function.n_in())]
        self.results = [np.zeros(function.nnz_out(i)) for i in range(function.n_out())]
        for i, array in enumerate(self.arguments):
            if array.size:
                self._buffer.set_arg(i, array.data)
        for i, array in enumerate(self.results):
            if array.size:
                self._buffer.set_res(i, array.data)

    def __call__(self, *arguments: Array) -> list[Array]:
        """The results; they are overwritten by the next call."""
        for own, given in zip(self.arguments, arguments, strict=True):
            own[:] = given
        return self.run()

    def run(self) -> list[Array]:
        """The results for what stands in `arguments`."""
        self._run()
        return self.results


class Functions:
    """An `Nlp`'s numbers for scaled decisions: values with slopes, all first derivatives, second derivatives."""

    def __init__(self, nlp: Nlp, scaling: Scaling):
        self.nlp, self.scaling = nlp, scaling
        self.pieces = [Piece(batch, nlp.columns) for batch in nlp.batches]

    def build(self, exact: bool) -> None:
        """Make the functions that steps need, so that none is made in a loop."""
        _ = self.values, self.slopes, self.curvature if exact else self.bending

    @cached_property
    def values(self) -> Compiled:
        """(x, data) -> (f, rows in batch order, slopes of the weighted batches)."""
        return self._compiled("values", lambda piece: piece.values, 3)

    @cached_property
    def slopes(self) -> Compiled:
        """(x, data) -> (f, rows, slopes, entries of the Jacobians)."""
        return self._compiled("slopes", lambda piece: piece.slopes, 4)

    @cached_property
    def curvature(self) -> Compiled:
        """(x, data, multipliers of the rows in batch order) -> entries of the Hessians of the Lagrangian."""
        x, data, cells = self._symbols()
        multipliers = ca.MX.sym("multipliers", self.nlp.rows)
        scaled = multipliers * ca.DM(self.scaling.rows)
        found, first = [], 0
        for piece in self.pieces:
            batch = piece.batch
            own = ca.reshape(scaled[first : first + batch.rows * batch.copies], batch.rows, batch.copies)
            first += batch.rows * batch.copies
            if len(piece.hessian[0]):
                weight = ca.DM.ones(1, batch.copies) * (batch.weight * self.scaling.objective)
                active, passive = self._gather(piece, cells)
                found.append(ca.vec(piece.curvature.map(batch.copies)(active, passive, weight, own)))
        return Compiled(ca.Function("curvature", [x, data, multipliers], [ca.vertcat(ca.MX(0, 1), *found)]))

    @cached_property
    def bending(self) -> Compiled:
        """(x, data) -> entries of the Hessians of the objective."""
        x, data, cells = self._symbols()
        found = []
        for piece in self.pieces:
            if len(piece.bent[0]):
                entries = piece.bending.map(piece.batch.copies)(*self._gather(piece, cells))
                found.append(piece.batch.weight * self.scaling.objective * ca.vec(entries))
        return Compiled(ca.Function("bending", [x, data], [ca.vertcat(ca.MX(0, 1), *found)]))

    def _compiled(self, name: str, function: Callable[[Piece], ca.Function], results: int) -> Compiled:
        x, data, cells = self._symbols()
        f = ca.MX(0.0)
        found: list[list[ca.MX]] = [[] for _ in range(results - 1)]
        for piece in self.pieces:
            batch = piece.batch
            rows, cost, slope, *entries = function(piece).map(batch.copies)(*self._gather(piece, cells))
            found[0].append(ca.vec(rows))
            if batch.weight:
                f = f + batch.weight * ca.sum2(cost)
                found[1].append(batch.weight * self.scaling.objective * ca.vec(slope))
            if entries:
                found[2].append(ca.vec(entries[0]))
        flat = [ca.vertcat(ca.MX(0, 1), *part) for part in found]
        return Compiled(ca.Function(name, [x, data], [self.scaling.objective * f, *(ca.densify(p) for p in flat)]))

    def _symbols(self) -> tuple[ca.MX, ca.MX, ca.MX]:
        x, data = ca.MX.sym("x", self.nlp.columns), ca.MX.sym("data", len(self.nlp.data))
        return x, data, ca.vertcat(x * ca.DM(self.scaling.columns), data)

    def _gather(self, piece: Piece, cells: ca.MX) -> tuple[ca.MX, ca.MX]:
        index = piece.batch.index
        pair = []
        for chosen in (index[piece.active], index[piece.passive]):
            flat = cells.nz[chosen.T.ravel().tolist()] if chosen.size else ca.MX(0, 1)
            pair.append(ca.reshape(flat, len(chosen), piece.batch.copies))
        return pair[0], pair[1]


class Piece:
    """One batch: its small functions, which arguments are decisions in some copy, and where derivatives have entries.

    `jacobian`, `hessian` (of the Lagrangian) and `bent` (of the objective alone) are (rows, columns) of entries, by
    numbers of active arguments; of symmetric ones the upper triangle. `quadratic`: whether the objective's second
    derivatives do not depend on the decisions.
    """

    def __init__(self, batch: Batch, columns: int):
        decided = (batch.index < columns).any(axis=1)
        self.batch = batch
        self.active, self.passive = np.flatnonzero(decided), np.flatnonzero(~decided)
        symbol = ca.SX if batch.function.is_a("SXFunction") else ca.MX
        self._a, self._b = symbol.sym("a", len(self.active)), symbol.sym("b", len(self.passive))
        place = np.argsort(np.concatenate([self.active, self.passive]))
        self._g, self._f = (ca.densify(each) for each in batch.function(ca.vertcat(self._a, self._b)[place.tolist()]))

    @property
    def cells(self) -> Array:
        """(copies, active): what the active arguments are."""
        return self.batch.index[self.active].T

    @property
    def weighted(self) -> bool:
        return bool(self.batch.weight)

    @cached_property
    def reads(self) -> Array:
        """(active,): whether anything depends on the argument."""
        found = np.zeros(len(self.active), dtype=bool)
        found[self.jacobian[1]] = True
        if self.weighted:
            found[ca.jacobian_sparsity(self._f, self._a).get_col()] = True
        return found

    @cached_property
    def jacobian(self) -> tuple[Array, Array]:
        return _triplet(self._jacobian)

    @cached_property
    def hessian(self) -> tuple[Array, Array]:
        return _triplet(self._lagrangian[0])

    @cached_property
    def bent(self) -> tuple[Array, Array]:
        return _triplet(self._bent)

    @cached_property
    def quadratic(self) -> bool:
        return not self._bent.nnz() or not ca.depends_on(_entries(self._bent), self._a)

    @cached_property
    def values(self) -> ca.Function:
        return ca.Function("values", [self._a, self._b], [self._g, self._f, self._slope])

    @cached_property
    def slopes(self) -> ca.Function:
        outputs = [self._g, self._f, self._slope, _entries(self._jacobian)]
        return ca.Function("slopes", [self._a, self._b], outputs)

    @cached_property
    def curvature(self) -> ca.Function:
        hessian, weight, multipliers = self._lagrangian
        return ca.Function("curvature", [self._a, self._b, weight, multipliers], [_entries(hessian)])

    @cached_property
    def bending(self) -> ca.Function:
        return ca.Function("bending", [self._a, self._b], [_entries(self._bent)])

    @cached_property
    def _jacobian(self) -> ca.SX | ca.MX:
        return ca.jacobian(self._g, self._a)

    @cached_property
    def _bent(self) -> ca.SX | ca.MX:
        n = len(self.active)
        return ca.triu(ca.hessian(self._f, self._a)[0]) if self.weighted else type(self._a)(n, n)

    @cached_property
    def _lagrangian(self) -> tuple:
        symbol = type(self._a)
        weight, multipliers = symbol.sym("weight"), symbol.sym("multipliers", self._g.numel())
        value = ca.dot(multipliers, self._g) + (weight * self._f if self.weighted else 0.0)
        return ca.triu(ca.hessian(value, self._a)[0]), weight, multipliers

    @property
    def _slope(self) -> ca.SX | ca.MX:
        return ca.densify(ca.gradient(self._f, self._a)) if self.weighted else type(self._a)(0, 1)


def _entries(matrix: ca.SX | ca.MX) -> ca.SX | ca.MX:
    if isinstance(matrix, ca.SX):
        return ca.vertcat(ca.SX(0, 1), *matrix.nonzeros())
    return matrix.nz[:]


def _triplet(matrix: ca.SX | ca.MX) -> tuple[Array, Array]:
    rows, columns = matrix.sparsity().get_triplet()
    return np.array(rows, dtype=int), np.array(columns, dtype=int)


def offsets(sizes: Sequence[int]) -> Array:
    """Where parts of these sizes begin that stand one after another, and where the last ends."""
    return np.concatenate([[0], np.cumsum(np.asarray(sizes, dtype=int))])
