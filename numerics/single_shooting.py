"""How is a program solved whose columns follow from few? The free ones are decided, the others are marched.

The solver (module `sequential`) sees the free columns, the objective and the rows that are no steps, with exact
derivatives along the steps (module `marching`); curvature it learns from the gradients, which for few decisions is
cheaper than second derivatives of an integration. What cannot be integrated counts as bad, and the step is cut.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from titer.numerics.marching import March, Point, Slopes
from titer.numerics.nlp import Array
from titer.numerics.optimality import Residuals
from titer.numerics.program import Scaling
from titer.numerics.sequential import Descent, End, Task, descend

AIM = 1e-7  # residual, scaled, at which a solve ends by itself
ENOUGH = 1e-4  # residual, scaled, from which a point is called solved
NEARLY = 1e-3  # and acceptable: where the objective is flat, a line search sees no more than its noise

_FLAT = 1e-2  # of a value: a slope below it, for a size of every decision, is called none


class Effort(NamedTuple):
    """Bounds of columns and of kept rows, unscaled, and what a solve may take: tolerance, seconds, iterations."""

    lower: Array
    upper: Array
    rows_lower: Array
    rows_upper: Array
    tolerance: float
    seconds: float
    iterations: int


class Found(NamedTuple):
    """Where a solve ended: all columns, unscaled; multipliers of all rows and columns, objective, residuals, scaled."""

    end: End
    w: Array
    row_multipliers: Array
    bound_multipliers: Array
    objective: float
    residuals: Residuals
    iterations: int


class SingleShooting:
    """The reduced problem of a march, evaluated once for each point that the solver asks for."""

    def __init__(self, march: March):
        self.march = march

    def scaling(self, w: Array, sizes: Array, data: Array) -> Scaling:
        """Factors such that the largest scaled derivative of each kept row, and of the objective, is 1; what is flat at
        its start is not blown up until its noise shows."""
        march = self.march
        point = march.run(w[march.free], data)
        slopes = march.slopes(point, data)
        own = sizes[march.free]
        rows = np.maximum(np.abs(slopes.rows * own).max(axis=1, initial=0.0), _FLAT * np.abs(point.rows))
        steepest = max(float(np.abs(slopes.objective * own).max(initial=0.0)), _FLAT * abs(point.objective))
        factors = np.ones(march.nlp.rows)
        factors[march.kept] = _inverse(rows)
        return Scaling(sizes, factors, float(_inverse(np.array([steepest]))[0]))

    def solve(self, w: Array, scaling: Scaling, effort: Effort, data: Array) -> Found:
        """Solve from the free ones of the columns `w`. Ctrl-C and time limits leave the iterate."""
        march = self.march
        seen = _Seen(march, scaling, data)
        task = Task(
            seen.values,
            seen.slopes,
            effort.lower[march.free] / seen.sizes,
            effort.upper[march.free] / seen.sizes,
            effort.rows_lower * seen.factors,
            effort.rows_upper * seen.factors,
            max(effort.tolerance, AIM),
            effort.seconds,
            effort.iterations,
        )
        return self._found(seen, descend(task, w[march.free] / seen.sizes))

    def _found(self, seen: _Seen, descent: Descent) -> Found:
        march = self.march
        point = seen.at(descent.x)
        rows, columns = np.zeros(march.nlp.rows), np.zeros(march.nlp.columns)
        rows[march.kept], columns[march.free] = descent.row_multipliers, descent.bound_multipliers
        objective = seen.scaling.objective * point.objective
        return Found(descent.end, point.w, rows, columns, objective, descent.residuals, descent.iterations)


def _inverse(largest: Array) -> Array:
    """One over sizes, of those that are none 1."""
    known = np.isfinite(largest) & (largest > 0.0)
    return 1.0 / np.clip(np.where(known, largest, 1.0), 1e-8, 1e8)


class _Seen:
    """A march in scaled numbers, with the last few points kept."""

    def __init__(self, march: March, scaling: Scaling, data: Array):
        self.march, self.scaling, self.data = march, scaling, data
        self.sizes, self.factors = scaling.columns[march.free], scaling.rows[march.kept]
        self._points: dict[bytes, Point] = {}
        self._slopes: dict[bytes, Slopes] = {}

    def at(self, x: Array) -> Point:
        return _kept(self._points, x, lambda: self.march.run(x * self.sizes, self.data))

    def values(self, x: Array) -> tuple[float, Array]:
        point = self.at(x)
        return self.scaling.objective * point.objective, self.factors * point.rows

    def slopes(self, x: Array) -> tuple[Array, Array]:
        found = _kept(self._slopes, x, lambda: self.march.slopes(self.at(x), self.data))
        return self.scaling.objective * found.objective * self.sizes, self.factors[:, None] * found.rows * self.sizes


_REMEMBERED = 4  # points of which values are kept: a line search returns to earlier ones


def _kept(store, x: Array, compute):  # type: ignore[no-untyped-def]
    """What is stored for a point, computed where it is new."""
    key = np.ascontiguousarray(x).tobytes()
    if key not in store:
        while len(store) >= _REMEMBERED:
            store.pop(next(iter(store)))
        store[key] = compute()
    return store[key]
