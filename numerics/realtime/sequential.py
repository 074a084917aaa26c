"""How is a neighbour of a solved program solved in a few milliseconds? Sequential quadratic programming, condensed.

Full steps, or shorter ones where the merit of a full one is worse; the Hessian is that of the objective alone where its
terms are convex squares (Gauss-Newton), else that of the Lagrangian, batch by batch without its negative curvature.
Sources: Nocedal & Wright, Numerical Optimization (2006), chapter 18; Diehl, Bock & Schloeder, SIAM J. Control Optim. 43
(2005) 1714, for one iteration at each sample.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from titer.numerics.errors import SpecificationError
from titer.numerics.grid import is_whole
from titer.numerics.nlp import Array
from titer.numerics.optimality import Residuals, residuals_of
from titer.numerics.program import Scaling
from titer.numerics.realtime.condensing import Condensed, Recovery, Scatter, layout_of
from titer.numerics.realtime.derivatives import Derivatives, Filled
from titer.numerics.realtime.embedding import embedded
from titer.numerics.realtime.quadratic import Quadratic
from titer.numerics.solvers import Engine, Outcome, Status

_REGULAR = 1e-9  # scaled curvature that every direction has
_RUNAWAY = 1e6  # a scaled step that is none
_SHORTER = (1.0, 0.5, 0.25, 0.1)


class Curvature(Enum):
    """Whose second derivatives the model has. The members are messages."""

    OBJECTIVE = "of the objective: Gauss-Newton, for squares of what is small"
    LAGRANGIAN = "of the Lagrangian, without what is negative: for economic objectives"


@dataclass(frozen=True)
class Sequential:
    """Sequential quadratic programming with condensed elements: fast from a neighbour's solution.

    `tolerance`: of the scaled optimality conditions. `curvature`: None takes the objective's where all its terms are
    convex squares.
    """

    tolerance: float = 1e-6
    iterations: int = 12
    curvature: Curvature | None = None

    def __post_init__(self) -> None:
        if isinstance(self.tolerance, bool) or not 0.0 < self.tolerance < 1.0:
            raise SpecificationError(f"Sequential: tolerance must lie between 0 and 1, got {self.tolerance!r}.")
        if not is_whole(self.iterations, 1):
            raise SpecificationError(
                f"Sequential: iterations must be a whole number of at least 1, got {self.iterations!r}."
            )
        if self.curvature is not None and not isinstance(self.curvature, Curvature):
            raise SpecificationError(f"Sequential: curvature is a member of Curvature or None, got {self.curvature!r}.")

    def stepper(
        self, engine: Engine, scaling: Scaling, w: Array, held: Array | None = None, moving: Array | None = None
    ) -> Stepper:
        """Build it for an engine's program. `w`: typical decisions; `held`: columns that stay where they are; `moving`:
        data cells along which a prepared step can be corrected."""
        none = np.zeros(0, dtype=int)
        return Stepper(self, engine, scaling, w, none if held is None else held, none if moving is None else moving)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A quadratic program that waits for a sample: made at columns `w`, the embedded ones included."""

    w: Array
    h: Array
    a: Array
    g: Array
    lower: Array
    upper: Array
    low: Array
    up: Array
    along: Array  # (rows, k): A along what is embedded
    pull: Array  # (columns, k): the gradient along it
    recoveries: tuple[Recovery | None, ...]
    gradients: tuple[Array | None, ...]
    limits: tuple[Array, ...]  # Jacobians of limits along what elements determine


class Stepper:
    """Sequential quadratic programming for one program; its arrays are used again and again."""

    def __init__(
        self, method: Sequential, engine: Engine, scaling: Scaling, w: Array, held: Array, moving: Array
    ) -> None:
        self.method, self.engine = method, engine
        self.columns, self.moving = engine.nlp.columns, moving
        nlp = embedded(engine.nlp, moving)
        self.nlp, self.rows = nlp, scaling.rows
        data = engine.nlp.data[moving - self.columns]
        near = 2.0 ** np.round(np.log2(np.maximum(np.abs(data), 1e-3)))
        self.sizes = np.concatenate([scaling.columns, near])
        self.factor = scaling.objective
        self.curvature = method.curvature or self._suited(np.concatenate([w, data]))
        self.derivatives = Derivatives(nlp, self.curvature is Curvature.LAGRANGIAN)
        self.row_lower, self.row_upper = nlp.row_bounds()
        lower, upper = nlp.lower, nlp.upper
        extra = self.columns + np.arange(len(moving))
        self.layout = layout_of(nlp, held, extra)
        self.batches = [Condensed(f, self.layout, lower, upper, self.sizes) for f in self.derivatives.filled]
        self._arrange()

    def _suited(self, w: Array) -> Curvature:
        """The objective's curvature where every term of it has some, and none that is negative."""
        derivatives = Derivatives(self.nlp, curvature=False)
        for filled in derivatives.at(w, self.engine.nlp.data):
            if filled.gradient is None or _only_slacks(filled, self.nlp.labels):
                continue
            if filled.hessian is None:
                return Curvature.LAGRANGIAN
            values = np.linalg.eigvalsh(filled.hessian)
            if not np.isfinite(values).all() or values.min() < -1e-9 * np.abs(values).max():
                return Curvature.LAGRANGIAN
        return Curvature.OBJECTIVE

    def _arrange(self) -> None:
        """Where the entries of all batches go."""
        n = len(self.layout.kept)
        place = np.append(self.layout.place, np.full(len(self.engine.nlp.data) + 1, -2))
        rows, columns, first, factors = [], [], 0, []
        h_rows, h_columns, g_at = [], [], []
        for batch in self.batches:
            i, j = batch.pattern(self.layout, first)
            rows.append(i)
            columns.append(j)
            first += batch.copies * batch.rows
            factors.append(self._factors(batch))
            e = batch.cells_e
            h_rows.append(np.repeat(e[:, :, None], e.shape[1], axis=2).ravel())
            h_columns.append(np.repeat(e[:, None, :], e.shape[1], axis=1).ravel())
            g_at.append(e.ravel())
        self.m, self.row_factors = first, np.concatenate([np.zeros(0), *factors])
        i, j = (np.concatenate([np.zeros(0, dtype=int), *each]) for each in (rows, columns))
        self._a = Scatter(i, place[j], (first, n))
        self._a_rows = i
        self._along = _Dense(i, j - self.columns, (first, len(self.moving)))
        i, j = (np.concatenate([np.zeros(0, dtype=int), *each]) for each in (h_rows, h_columns))
        diagonal = np.arange(n)
        place_i, place_j = place[i], place[j]
        outside = (place_i < 0) | (place_j < 0)
        self._h = Scatter(
            np.concatenate([np.where(outside, -1, place_i), diagonal]),
            np.concatenate([np.where(outside, -1, place_j), diagonal]),
            (n, n),
        )
        self._pull = _Dense(np.where(place_i >= 0, place_i, -1), j - self.columns, (n, len(self.moving)))
        self._g_at = place[np.concatenate([np.zeros(0, dtype=int), *g_at])]
        self.quadratic = Quadratic(self._h.sparsity, self._a.sparsity)

    def _factors(self, batch: Condensed) -> Array:
        own = np.zeros((batch.copies, batch.rows))
        ends, bounded = len(batch.end), len(batch.bounded)
        own[:, :ends] = 1.0 / batch.sizes_d[:, batch.end]
        own[:, ends : ends + bounded] = 1.0 / batch.sizes_d[:, batch.bounded]
        own[:, ends + bounded :] = self._of_rows(batch, self.rows)[:, batch.limits]
        return own.ravel()

    def _of_rows(self, batch: Condensed, values: Array) -> Array:
        """(copies, rows) of values for all rows."""
        filled = batch.filled
        count = filled.batch.rows * batch.copies
        return values[filled.first : filled.first + count].reshape(batch.copies, filled.batch.rows)

    def solve(
        self,
        w: Array,
        data: Array,
        lower: Array,
        upper: Array,
        multipliers: tuple[Array, Array] | None = None,
        seconds: float = np.inf,
    ) -> Outcome:
        """Iterate from decisions `w` until the optimality conditions hold; bounds are those of the columns."""
        began = time.perf_counter()
        point = self._point(w, data, lower, upper, multipliers)
        filled = self.derivatives.at(point.w, data, point.rows)
        residuals = self._residuals(point, filled) if multipliers is not None else None
        status, done = Status.ITERATIONS, 0
        while True:
            if residuals is not None and max(residuals) <= self.method.tolerance:
                status = Status.SOLVED
                break
            if done == self.method.iterations or time.perf_counter() - began > seconds:
                status = Status.ITERATIONS if done == self.method.iterations else Status.TIME
                break
            found = self._corrected(self._model(point, filled), np.zeros(len(self.moving)))
            done += 1
            if found is None:
                status = Status.FAILED
                break
            point, filled = self._stepped(point, found, data, filled)
            residuals = self._residuals(point, filled)
            if not np.isfinite(residuals).all():
                status = Status.INVALID_NUMBER
                break
        residuals = residuals or Residuals(np.inf, np.inf, np.inf)
        return self._outcome(point, status, residuals, filled, done, time.perf_counter() - began)

    def prepare(
        self, w: Array, data: Array, lower: Array, upper: Array, multipliers: tuple[Array, Array] | None
    ) -> Prepared:
        """The quadratic program at a point, to be corrected when the sample is there."""
        point = self._point(w, data, lower, upper, multipliers)
        return self._model(point, self.derivatives.at(point.w, data, point.rows), keep=True)

    def feedback(self, prepared: Prepared, data: Array, began: float) -> Outcome:
        """One quadratic program, corrected for what the data have come to be; its residuals are those of its model."""
        n = self.columns
        delta = (data[self.moving - n] - prepared.w[n:]) / self.sizes[n:]
        found = self._corrected(prepared, delta)
        if found is None:
            none = np.zeros(0)
            return Outcome(
                Status.FAILED, prepared.w[:n], none, none, np.nan, 1, time.perf_counter() - began, "", *[np.inf] * 3
            )
        step, rows, bounds = found
        w = prepared.w + step
        sane = bool(np.isfinite(w).all()) and float(np.abs(step / self.sizes).max(initial=0.0)) < _RUNAWAY
        status = Status.ACCEPTABLE if sane else Status.DIVERGED
        return Outcome(
            status, w[:n], rows, bounds[:n], np.nan, 1, time.perf_counter() - began, "one iteration", 0.0, 0.0, 0.0
        )

    def _point(
        self, w: Array, data: Array, lower: Array, upper: Array, multipliers: tuple[Array, Array] | None
    ) -> _Point:
        n, extra = self.columns, np.zeros(len(self.moving))
        rows, bounds = multipliers if multipliers is not None else (np.zeros(self.nlp.rows), np.zeros(n))
        wide = np.concatenate([np.clip(w, lower, upper), data[self.moving - n]])
        low, up = np.concatenate([lower, wide[n:]]), np.concatenate([upper, wide[n:]])
        return _Point(wide, rows, np.concatenate([bounds, extra]), low, up)

    def _model(self, point: _Point, filled: Sequence[Filled], keep: bool = False) -> Prepared:
        """Fill the quadratic program at a point."""
        convex = self.curvature is Curvature.LAGRANGIAN
        entries, values, lower, upper, h, g, ones = [], [], [], [], [], [], []
        recoveries, gradients, limits = [], [], []
        for batch in self.batches:
            through, value, recovery = batch.linearized()
            bend, slope = batch.cost(recovery, convex)
            entries.append((through * batch.sizes_e[:, None, :]).ravel())
            entries.append(batch.sizes_d[:, batch.end].ravel())
            low, up = self._row_bounds(batch, point)
            values.append(value.ravel())
            lower.append(low.ravel())
            upper.append(up.ravel())
            e = batch.cells_e.shape
            h.append(np.zeros(e[0] * e[1] * e[1]) if bend is None else bend.ravel())
            g.append(np.zeros(e[0] * e[1]) if slope is None else slope.ravel())
            recoveries.append(recovery)
            gradient, hessian = batch.filled.gradient, batch.filled.hessian
            gradients.append(
                (
                    None if gradient is None else gradient[:, batch.d].copy(),
                    None if hessian is None else hessian[:, batch.d].copy(),
                )
            )
            limits.append(batch.filled.jacobian[:, batch.equations :][:, :, batch.d].copy())
        entry, factor = np.concatenate(entries), self.row_factors
        entry *= factor[self._a_rows]
        value = np.concatenate(values)
        low, up = (np.concatenate(lower) - value) * factor, (np.concatenate(upper) - value) * factor
        hessian = np.concatenate([*h, np.full(len(self.layout.kept), _REGULAR / self.factor)]) * self.factor
        slope = np.concatenate(g) * self.factor
        self._a.put(entry)
        self._h.put(hessian)
        kept = self.layout.kept
        gradient = np.bincount(self._g_at[self._g_at >= 0], slope[self._g_at >= 0], minlength=len(kept))
        size = self.sizes[kept]
        return Prepared(
            w=point.w,
            h=self._h.values.copy() if keep else self._h.values,
            a=self._a.values.copy() if keep else self._a.values,
            g=gradient,
            lower=low,
            upper=up,
            low=(point.lower[kept] - point.w[kept]) / size,
            up=(point.upper[kept] - point.w[kept]) / size,
            along=self._along.of(entry),
            pull=self._pull.of(hessian[: len(hessian) - len(kept)]),
            recoveries=tuple(recoveries),
            gradients=tuple(gradients),
            limits=tuple(limits),
        )

    def _row_bounds(self, batch: Condensed, point: _Point) -> tuple[Array, Array]:
        ends = np.zeros((batch.copies, len(batch.end)))
        inner = batch.cells_d[:, batch.bounded]
        found = []
        for bounds, rows in ((point.lower, self.row_lower), (point.upper, self.row_upper)):
            own = self._of_rows(batch, rows)[:, batch.limits]
            found.append(np.concatenate([ends, bounds[inner] - point.w[inner], own], axis=1))
        return found[0], found[1]

    def _corrected(self, prepared: Prepared, delta: Array) -> tuple[Array, Array, Array] | None:
        """The step of the quadratic program with what is embedded moved by `delta` (scaled), and new multipliers of rows
        and bounds, unscaled; None where it was not solved."""
        q = self.quadratic
        q.h[:], q.a[:] = prepared.h, prepared.a
        q.g[:], q.low[:], q.up[:] = prepared.g, prepared.low, prepared.up
        q.lower[:], q.upper[:] = prepared.lower, prepared.upper
        if len(delta) and delta.any():
            shift = prepared.along @ delta
            q.g += prepared.pull @ delta
            q.lower -= shift
            q.upper -= shift
        if not q.solve():
            return None
        step = np.zeros(len(self.sizes) + len(self.engine.nlp.data))
        step[self.layout.kept] = q.x * self.sizes[self.layout.kept]
        step[self.columns : self.columns + len(delta)] = delta * self.sizes[self.columns :]
        return self._recovered(prepared, step, q.rows * self.row_factors / self.factor, q.bounds / self.factor)

    def _recovered(self, prepared: Prepared, step: Array, found: Array, pulls: Array) -> tuple[Array, Array, Array]:
        """Steps of what was eliminated, and multipliers of all rows and bounds."""
        n = len(self.sizes)
        rows, bounds = np.zeros(self.nlp.rows), np.zeros(n)
        bounds[self.layout.kept] = pulls / self.sizes[self.layout.kept]
        first = 0
        for k, batch in enumerate(self.batches):
            count = batch.copies * batch.rows
            own = found[first : first + count].reshape(batch.copies, batch.rows)
            first += count
            of_batch = self._of_rows(batch, rows)
            ends, bounded = len(batch.end), len(batch.bounded)
            of_batch[:, batch.limits] = own[:, ends + bounded :]
            recovery = prepared.recoveries[k]
            if recovery is None:
                continue
            y_e = step[batch.cells_e]
            y_d = recovery.c + np.einsum("nde,ne->nd", recovery.slopes, y_e)
            inner = batch.cells_d[:, batch.inner]
            step[inner] = y_d[:, batch.inner]
            pull = np.zeros(y_d.shape)
            pull[:, batch.bounded] = own[:, ends : ends + bounded]
            bounds[batch.cells_d[:, batch.bounded]] = own[:, ends : ends + bounded]
            pull[:, batch.end] = -own[:, :ends]
            gradient, hessian = prepared.gradients[k]
            if gradient is not None:
                pull += gradient
            if hessian is not None:
                pull += np.einsum("nij,nj->ni", hessian[:, :, batch.d], y_d)
                pull += np.einsum("nij,nj->ni", hessian[:, :, batch.e], y_e)
            pull += np.einsum("nij,ni->nj", prepared.limits[k], own[:, ends + bounded :])
            of_batch[:, : batch.equations] = -np.einsum("nij,ni->nj", recovery.inverse, pull)
        return step[:n], rows, bounds

    def _stepped(
        self, point: _Point, found: tuple[Array, Array, Array], data: Array, filled: Sequence[Filled]
    ) -> tuple[_Point, Sequence[Filled]]:
        """The point after the longest step whose merit is no worse, else after a full one."""
        step, rows, bounds = found
        price = 2.0 * float(np.abs(rows / self.rows * self.factor).max(initial=0.0)) + 1.0
        before = self._merit(point, filled, price)
        for share in _SHORTER:
            w = np.clip(point.w + share * step, point.lower, point.upper)
            there = _Point(w, rows, bounds, point.lower, point.upper)
            filled = self.derivatives.at(w, data, rows)
            after = self._merit(there, filled, price)
            if after <= before + 1e-3 * abs(before) + 1e-6:
                return there, filled
        w = np.clip(point.w + step, point.lower, point.upper)
        return _Point(w, rows, bounds, point.lower, point.upper), self.derivatives.at(w, data, rows)

    def _merit(self, point: _Point, filled: Sequence[Filled], price: float) -> float:
        g = self._values(filled)
        outside = np.maximum(np.maximum(self.row_lower - g, g - self.row_upper), 0.0)
        return self.factor * self._objective(filled) + price * float((outside * self.rows).sum())

    def _objective(self, filled: Sequence[Filled]) -> float:
        return float(sum(each.cost.sum() for each in filled if each.cost is not None))

    def _values(self, filled: Sequence[Filled]) -> Array:
        return np.concatenate([np.zeros(0), *(each.value.ravel() for each in filled)])

    def _residuals(self, point: _Point, filled: Sequence[Filled]) -> Residuals:
        n = len(self.sizes)
        slope = np.zeros(n + len(self.engine.nlp.data))
        for batch, each in zip(self.batches, filled, strict=True):
            own = np.einsum("nij,ni->nj", each.jacobian, self._of_rows(batch, point.rows))
            if each.gradient is not None:
                own = own + each.gradient
            slope += np.bincount(each.cells.ravel(), own.ravel(), minlength=len(slope))
        free = self.layout.place != -2
        stationarity = (slope[:n] + point.bounds) * self.sizes * self.factor * free
        scale = self.rows
        rows = (
            self._values(filled) * scale,
            self.row_lower * scale,
            self.row_upper * scale,
            point.rows / scale * self.factor,
        )
        size = self.sizes
        columns = (point.w / size, point.lower / size, point.upper / size, point.bounds * size * self.factor)
        return residuals_of(stationarity, rows, columns)

    def _outcome(
        self, point: _Point, status: Status, residuals: Residuals, filled: Sequence[Filled], done: int, seconds: float
    ) -> Outcome:
        n = self.columns
        return Outcome(
            status, point.w[:n], point.rows, point.bounds[:n], self._objective(filled), done, seconds,
            f"{self.curvature.name.lower()}", *residuals,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Point:
    """An iterate: columns (embedded ones included), multipliers of rows and bounds, and bounds."""

    w: Array
    rows: Array
    bounds: Array
    lower: Array
    upper: Array


class _Dense:
    """Puts triplets into a dense matrix, where their column is one of it."""

    def __init__(self, rows: Array, columns: Array, shape: tuple[int, int]):
        self.kept = np.flatnonzero((columns >= 0) & (columns < shape[1]) & (rows >= 0))
        self.at = rows[self.kept] * max(shape[1], 1) + columns[self.kept]
        self.shape = shape

    def of(self, entries: Array) -> Array:
        size = self.shape[0] * self.shape[1]
        return np.bincount(self.at, entries[self.kept], minlength=size).reshape(self.shape)


def _only_slacks(filled: Filled, labels: Sequence) -> bool:
    """Whether a term of the objective reads slacks alone, which cost what they cost."""
    texts = np.concatenate([group.texts for group in labels])
    cells = np.unique(filled.cells)
    return bool(all(i < len(texts) and str(texts[i]).startswith("miss of ") for i in cells.tolist()))
