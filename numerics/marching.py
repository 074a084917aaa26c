"""What follows from few decisions? All columns that steps can compute, one after another, with exact derivatives.

Where every phase is shot, states at ends of intervals are no unknowns: given the free columns, each step computes the
next ones. Derivatives go along the same steps, forward by one direction per free column, or backward by one per row
and one for the objective; both are exact for the steps that were taken, and agree to rounding.
Source: Bryson & Ho, Applied Optimal Control (1975); Griewank & Walther, Evaluating Derivatives (2008).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import NamedTuple

import casadi as ca
import numpy as np

from titer.numerics.nlp import Array, Batch, Nlp
from titer.numerics.program import Program, Scaling

_ADJOINT_SAVES = 0.6  # of a forward direction, that an adjoint one costs


class Point(NamedTuple):
    """Columns (all), the objective, and the rows that are kept, unscaled."""

    w: Array
    objective: float
    rows: Array


class Slopes(NamedTuple):
    """Derivatives in the free columns (k): of the objective (k,) and of the kept rows (rows, k)."""

    objective: Array
    rows: Array


@dataclass(frozen=True, eq=False)
class _Step:
    """Cells `made` = function of the cells `read`; `rows`: numbers of its further rows; `weight` of its cost."""

    function: ca.Function
    read: Array
    made: Array
    rows: Array
    weight: float


class March:
    """The order in which columns follow from the free ones, with the rows that are left."""

    def __init__(self, nlp: Nlp):
        self.nlp = nlp
        steps, rest, rest_rows, first = [], [], [], 0
        for batch in nlp.batches:
            rows = first + np.arange(batch.rows * batch.copies).reshape(batch.copies, batch.rows)
            first += batch.rows * batch.copies
            if batch.step is None:
                rest.append(batch)
                rest_rows.append(rows.ravel())
            else:
                steps += [_step_of(batch, k, rows[k]) for k in range(batch.copies)]
        self.steps = _ordered(steps)
        made = np.zeros(nlp.columns, dtype=bool)
        for step in self.steps:
            made[step.made] = True
        self.free = np.flatnonzero(~made)
        self.kept = np.concatenate([np.zeros(0, dtype=int), *(s.rows for s in self.steps), *rest_rows])
        self._mine = len(self.kept) - sum(len(rows) for rows in rest_rows)  # kept rows that steps give
        self._rest = Program(replace(nlp, batches=tuple(rest), rows_order=None))
        plain = Scaling(np.ones(nlp.columns), np.ones(self._rest.nlp.rows))
        self._plain = lambda data: self._rest.parameters(plain, data)
        self._moving = self._moved()
        self._last: dict[int, tuple[bytes, list[Array]]] = {}
        self._forms: dict[tuple[ca.Function, bool, int], ca.Function] = {}

    def run(self, free: Array, data: Array) -> Point:
        """All that follows from the free columns (k,). What cannot be integrated is not a number."""
        cells = np.concatenate([np.full(self.nlp.columns, np.nan), data])
        cells[self.free] = free
        cost, rows = 0.0, []
        for i, step in enumerate(self.steps):
            made, further, part = self._taken(i, cells[step.read])
            cells[step.made] = made
            rows.append(further)
            cost += step.weight * float(part[0])
        w = cells[: self.nlp.columns]
        f, g = self._rest.values(w, self._plain(data))
        return Point(w, cost + float(f), np.concatenate([*rows, np.array(g).ravel()]))

    def _taken(self, i: int, read: Array) -> list[Array]:
        """What a step gives; where it reads what it read last time, it is not taken again."""
        key = read.tobytes()
        if i not in self._last or self._last[i][0] != key:
            values = [np.array(value).ravel() for value in _called(self.steps[i].function, read)]
            self._last[i] = (key, values)
        return self._last[i][1]

    def slopes(self, point: Point, data: Array) -> Slopes:
        """Derivatives at a point, along or against the steps, whichever is cheaper."""
        k, m = len(self.free), len(point.rows) + 1
        return self.forward(point, data) if k <= 1 + _ADJOINT_SAVES * m else self.adjoint(point, data)

    def follow(self, point: Point, data: Array) -> Array:
        """Derivatives of all columns in the free ones, (columns, k)."""
        return self._along(point, data)[0][: self.nlp.columns]

    def forward(self, point: Point, data: Array) -> Slopes:
        """Derivatives by one direction per free column."""
        cells, rows, cost = self._along(point, data)
        moved = cells[: self.nlp.columns]
        gradient, jacobian = self._rest_slopes(point, data)
        return Slopes(cost + gradient @ moved, np.concatenate([rows, jacobian @ moved]))

    def adjoint(self, point: Point, data: Array) -> Slopes:
        """Derivatives by one direction per row, and one for the objective."""
        values = np.concatenate([point.w, data])
        gradient, jacobian = self._rest_slopes(point, data)
        pull = np.zeros((len(values), 1 + len(point.rows)))
        pull[: len(point.w), 0] = gradient
        pull[: len(point.w), 1 + self._mine :] = jacobian.T.toarray()
        at = self._mine
        for step, moving in zip(reversed(self.steps), reversed(self._moving), strict=True):
            at -= len(step.rows)
            if not moving:
                continue
            seeds = np.zeros((len(step.made) + len(step.rows) + 1, pull.shape[1]))
            seeds[: len(step.made)] = pull[step.made]
            seeds[len(step.made) + np.arange(len(step.rows)), 1 + at + np.arange(len(step.rows))] = 1.0
            seeds[-1, 0] = step.weight
            active = np.flatnonzero(seeds.any(axis=0))
            if len(active):
                form = self._form(step.function, True, len(active))
                back = np.array(_called(form, values[step.read], seeds[:, active])[0])
                np.add.at(pull, (step.read[:, None], active[None, :]), back)
        found = pull[self.free].T
        return Slopes(found[0], found[1:])

    def _moved(self) -> list[bool]:
        """Which steps read anything that a free column moves."""
        moves = np.zeros(self.nlp.columns + len(self.nlp.data), dtype=bool)
        moves[self.free] = True
        found = []
        for step in self.steps:
            found.append(bool(moves[step.read].any()))
            moves[step.made] = found[-1]
        return found

    def bend(self, point: Point, data: Array):  # type: ignore[no-untyped-def]
        """The sparse Hessian (columns, columns) of the objective in all columns, without what steps add to it."""
        none = np.zeros(self._rest.nlp.rows)
        upper = self._rest.hessian(point.w, self._plain(data), 1.0, none).sparse().tocsc()
        return upper + upper.T - _diagonal(upper.diagonal())

    def _along(self, point: Point, data: Array) -> tuple[Array, Array, Array]:
        """Derivatives of cells, of the steps' rows and of their costs, in the free columns."""
        values = np.concatenate([point.w, data])
        k = len(self.free)
        cells, cost, rows = np.zeros((len(values), k)), np.zeros(k), np.zeros((self._mine, k))
        cells[self.free, np.arange(k)] = 1.0
        at = 0
        for step in self.steps:
            seeds = cells[step.read]
            active = np.flatnonzero(seeds.any(axis=0))
            if len(active):
                form = self._form(step.function, False, len(active))
                out = np.array(_called(form, values[step.read], seeds[:, active])[0])
                n = len(step.made)
                cells[np.ix_(step.made, active)] = out[:n]
                rows[np.ix_(at + np.arange(len(step.rows)), active)] = out[n:-1]
                cost[active] += step.weight * out[-1]
            at += len(step.rows)
        return cells, rows, cost

    def _rest_slopes(self, point: Point, data: Array):  # type: ignore[no-untyped-def]
        """The gradient (columns,) and the sparse Jacobian (rows, columns) of what is no step."""
        p = self._plain(data)
        gradient = np.array(self._rest.gradient(point.w, p)[1]).ravel()
        return gradient, self._rest.jacobian(point.w, p)[1].sparse()

    def _form(self, function: ca.Function, backward: bool, directions: int) -> ca.Function:
        """(read, seeds) -> derivatives of a step in so many directions."""
        key = (function, backward, directions)
        if key not in self._forms:
            symbol = ca.SX if function.is_a("SXFunction") else ca.MX
            v = symbol.sym("v", function.numel_in(0))
            out = ca.vertcat(*(ca.densify(value) for value in function(v)))
            seeds = symbol.sym("seeds", out.numel() if backward else v.numel(), directions)
            self._forms[key] = ca.Function("slopes", [v, seeds], [ca.densify(ca.jtimes(out, v, seeds, backward))])
        return self._forms[key]


def _diagonal(values: Array):  # type: ignore[no-untyped-def]
    from scipy.sparse import diags

    return diags(values)


def march_of(nlp: Nlp) -> March | None:
    """How the columns of a program follow from few, where each of its phases is shot; None where one is not."""
    shot = any(batch.step is not None and batch.stage is not None for batch in nlp.batches)
    collocated = any(batch.determined is not None and batch.step is None for batch in nlp.batches)
    return March(nlp) if shot and not collocated else None


def _step_of(batch: Batch, k: int, rows: Array) -> _Step:
    assert batch.step is not None
    assert batch.determined is not None
    cells = batch.index[:, k]
    read = np.setdiff1d(np.arange(len(cells)), batch.determined)
    weight = batch.weight
    return _Step(batch.step, cells[read], cells[batch.determined], rows[len(batch.determined) :], weight)


def _ordered(steps: list[_Step]) -> list[_Step]:
    """Steps in an order in which each reads nothing that a later one makes."""
    maker = {int(cell): i for i, step in enumerate(steps) for cell in step.made}
    needs = {i: {maker[c] for c in step.read.tolist() if c in maker} for i, step in enumerate(steps)}
    return [steps[i] for i in TopologicalSorter(needs).static_order()]


def _called(function: Callable[..., list[ca.DM]], *arguments: Array) -> list[ca.DM]:
    """The function's values; where it fails (an integration that stops), not a number."""
    try:
        return list(function.call([ca.DM(a) for a in arguments]))  # type: ignore[attr-defined]
    except RuntimeError:
        sizes = [(function.size1_out(i), function.size2_out(i)) for i in range(function.n_out())]  # type: ignore[attr-defined]
        return [ca.DM.ones(*size) * np.nan for size in sizes]
