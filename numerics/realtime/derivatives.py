"""What are the derivatives of a program's batches, copy by copy? Arrays that one call fills; nothing is allocated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import casadi as ca
import numpy as np

from titer.numerics.nlp import Array, Batch, Nlp


@dataclass(frozen=True, eq=False)
class Filled:
    """One batch at a point: rows g (N, rows), J (N, rows, a), gradient (N, a) and Hessian H (N, a, a) of the cost (with
    its weight), and where wanted Hessian of the rows with multipliers, along its `active` arguments.

    `cells` (N, a): the program's columns behind them; what is data in some copies is `columns` and more there.
    """

    batch: Batch
    active: Array
    cells: Array
    first: int  # of its rows
    value: Array
    jacobian: Array
    gradient: Array | None
    hessian: Array | None
    cost: Array | None


class Derivatives:
    """Functions of all batches of an `Nlp`, and the arrays that `at` fills. One at a time: arrays are reused."""

    def __init__(self, nlp: Nlp, curvature: bool):
        """`curvature`: of the Lagrangian, with multipliers of the rows; otherwise of the objective alone."""
        self.nlp, self.curvature = nlp, curvature
        self._cells = np.zeros(nlp.columns + len(nlp.data))
        self._multipliers = np.zeros(nlp.rows)
        symbol, multipliers = ca.MX.sym("cells", len(self._cells)), ca.MX.sym("multipliers", nlp.rows)
        outputs: list[ca.MX] = []
        self.filled: list[Filled] = []
        first = 0
        arrays: list[Array] = []
        for batch in nlp.batches:
            if not batch.copies:
                continue
            part = _Part(batch, nlp.columns, curvature)
            own = ca.reshape(multipliers[first : first + batch.rows * batch.copies], batch.rows, batch.copies)
            args = [_gathered(symbol, batch.index[chosen]) for chosen in (part.active, part.passive)]
            found = part.function.map(batch.copies)(*args, own)
            shapes = part.shapes(batch.copies)
            made = [np.zeros(shape) for shape in shapes]
            arrays += made
            outputs += [ca.vec(each) for each in found]
            named = dict(zip(part.names, made, strict=True))
            n, a = batch.copies, len(part.active)
            self.filled.append(
                Filled(
                    batch=batch,
                    active=part.active,
                    cells=batch.index[part.active].T,
                    first=first,
                    value=named["value"],
                    jacobian=named["jacobian"].reshape(n, a, batch.rows).transpose(0, 2, 1),
                    gradient=named.get("gradient"),
                    hessian=named["hessian"].reshape(n, a, a) if "hessian" in named else None,
                    cost=named.get("cost"),
                )
            )
            first += batch.rows * batch.copies
        function = ca.Function("derivatives", [symbol, multipliers], outputs)
        self._buffer, self._evaluate = function.buffer()
        self._buffer.set_arg(0, memoryview(self._cells))
        if nlp.rows:
            self._buffer.set_arg(1, memoryview(self._multipliers))
        for i, array in enumerate(arrays):
            if array.size:
                self._buffer.set_res(i, memoryview(array.reshape(-1)))

    def at(self, w: Array, data: Array, multipliers: Array | None = None) -> Sequence[Filled]:
        """The derivatives at a point; they are overwritten by the next call."""
        n = self.nlp.columns
        self._cells[:n], self._cells[n:] = w, data
        self._multipliers[:] = 0.0 if multipliers is None else multipliers
        self._evaluate()
        return self.filled


class _Part:
    """One copy's function (active, passive, multipliers) -> value, J, and where there is cost or curvature, more."""

    def __init__(self, batch: Batch, columns: int, curvature: bool):
        decided = (batch.index < columns).any(axis=1)
        self.active, self.passive = np.flatnonzero(decided), np.flatnonzero(~decided)
        symbol = ca.SX if batch.function.is_a("SXFunction") else ca.MX
        a, b = symbol.sym("a", len(self.active)), symbol.sym("b", len(self.passive))
        multipliers = symbol.sym("multipliers", batch.rows)
        place = np.argsort(np.concatenate([self.active, self.passive]))
        g, f = batch.function(ca.vertcat(a, b)[place.tolist()])
        g, f = ca.densify(g), batch.weight * ca.densify(f)
        outputs = {"value": g, "jacobian": ca.densify(ca.jacobian(g, a))}
        lagrangian = ca.dot(multipliers, g) if curvature and batch.rows else symbol(0.0)
        if batch.weight:
            outputs |= {"cost": f, "gradient": ca.densify(ca.gradient(f, a))}
            lagrangian = lagrangian + f
        hessian = ca.hessian(lagrangian, a)[0]
        if hessian.nnz():
            outputs["hessian"] = ca.densify(hessian)
        self.names, self._rows = list(outputs), batch.rows
        self.function = ca.Function("part", [a, b, multipliers], [ca.vec(each) for each in outputs.values()])

    def shapes(self, copies: int) -> list[tuple[int, int]]:
        a = len(self.active)
        sizes = {"value": self._rows, "jacobian": self._rows * a, "cost": 1, "gradient": a, "hessian": a * a}
        return [(copies, sizes[name]) for name in self.names]


def _gathered(cells: ca.MX, index: Array) -> ca.MX:
    flat = cells.nz[index.T.ravel().tolist()] if index.size else ca.MX(0, 1)
    return ca.reshape(flat, index.shape[0], index.shape[1])
