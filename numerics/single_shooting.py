"""How is a program solved whose columns follow from few? IPOPT decides the free ones, the others are marched.

The solver sees the free columns, the objective and the rows that are no steps, with exact derivatives along the steps
(module `marching`); curvature it learns from the gradients (limited-memory quasi-Newton), which for few decisions is
cheaper than second derivatives of an integration. What cannot be integrated is not a number, and the step is cut.
Source: Nocedal & Wright, Numerical Optimization (2006), ch. 7 and 18; Waechter & Biegler, Math. Program. 106 (2006) 25.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import casadi as ca
import numpy as np

from titer.numerics.marching import March, Point, Slopes
from titer.numerics.nlp import Array
from titer.numerics.optimality import Residuals, residuals_of
from titer.numerics.program import Scaling

TOLERANCE, ENOUGH = 1e-7, 1e-6  # of a solve, scaled: what is tried, and what is called solved: adaptive steps leave the
# objective smooth to some 1e-8 of itself, and a line search sees no more


class Bounds(NamedTuple):
    """Bounds of columns and of kept rows, unscaled."""

    lower: Array
    upper: Array
    rows_lower: Array
    rows_upper: Array


class Found(NamedTuple):
    """Where a solve ended, all scaled: columns (all), multipliers of all rows and columns; the solver's statistics."""

    stats: dict[str, Any]
    x: Array
    row_multipliers: Array
    bound_multipliers: Array
    objective: float
    residuals: Residuals


class SingleShooting:
    """The reduced problem of a march, evaluated once for each point that the solver asks for."""

    def __init__(self, march: March):
        self.march = march
        n, m = len(march.free), len(march.kept)
        self._values = _Computed("values", n, 1 + m, self._guarded(self._valued, 1 + m))
        self._slopes = _Computed("slopes", n, n * (1 + m), self._guarded(self._sloped, n * (1 + m)))
        self._solvers: dict[tuple[tuple[str, Any], ...], ca.Function] = {}
        self._begin(np.zeros(0), Scaling(np.zeros(0), np.zeros(0)))

    def scaling(self, w: Array, sizes: Array, data: Array) -> Scaling:
        """Factors such that the largest scaled derivative of each kept row, and of the objective, is 1."""
        march = self.march
        slopes = march.slopes(march.run(w[march.free], data), data)
        own = sizes[march.free]
        factors = np.ones(march.nlp.rows)
        largest = np.abs(np.nan_to_num(slopes.rows * own)).max(axis=1, initial=0.0)
        factors[march.kept] = 1.0 / np.clip(np.where(largest > 0.0, largest, 1.0), 1e-8, 1e8)
        steepest = float(np.abs(np.nan_to_num(slopes.objective * own)).max(initial=0.0))
        return Scaling(sizes, factors, 1.0 / float(np.clip(steepest, 1e-6, 1e8)) if steepest > 0.0 else 1.0)

    def solve(
        self,
        w: Array,
        scaling: Scaling,
        bounds: Bounds,
        data: Array,
        options: Mapping[str, Any],
        multipliers: tuple[Array, Array] | None = None,
    ) -> Found:
        """Solve from the free ones of the columns `w`; `options` are IPOPT's. Ctrl-C leaves the iterate."""
        march = self.march
        self._begin(data, scaling)
        sizes, factors = scaling.columns[march.free], scaling.rows[march.kept]
        arguments = {
            "x0": w[march.free] / sizes,
            "lbx": bounds.lower[march.free] / sizes,
            "ubx": bounds.upper[march.free] / sizes,
            "lbg": bounds.rows_lower * factors,
            "ubg": bounds.rows_upper * factors,
        }
        if multipliers is not None:
            arguments["lam_g0"] = multipliers[0][march.kept] / factors * scaling.objective
            arguments["lam_x0"] = multipliers[1][march.free] * sizes * scaling.objective
        solver = self._solver(options)
        result = solver(**{key: ca.DM(value) for key, value in arguments.items()})
        x, rows, columns = (np.array(result[key]).ravel() for key in ("x", "lam_g", "lam_x"))
        stats = dict(solver.stats())
        if self._stopped:
            stats |= {"return_status": "User_Requested_Stop", "success": False}
        return self._judged(stats, x, rows, columns, bounds)

    def _judged(self, stats: dict[str, Any], x: Array, rows: Array, columns: Array, bounds: Bounds) -> Found:
        """What was found, with the optimality conditions recomputed."""
        march, scaling, stopped = self.march, self._scaling, self._stopped
        self._stopped = False
        point, factors, sizes = self._at(x), scaling.rows[march.kept], scaling.columns[march.free]
        residuals = Residuals(np.inf, np.inf, np.inf)
        rows = _one_sided(rows, bounds.rows_lower, bounds.rows_upper)
        columns = _one_sided(columns, bounds.lower[march.free], bounds.upper[march.free])
        if not stopped:
            slopes = self._slopes_at(x)
            gradient = scaling.objective * slopes.objective * sizes
            jacobian = factors[:, None] * slopes.rows * sizes
            residuals = residuals_of(
                gradient + jacobian.T @ rows + columns,
                (factors * point.rows, bounds.rows_lower * factors, bounds.rows_upper * factors, rows),
                (x, bounds.lower[march.free] / sizes, bounds.upper[march.free] / sizes, columns),
            )
        all_rows, all_columns = np.zeros(march.nlp.rows), np.zeros(march.nlp.columns)
        all_rows[march.kept], all_columns[march.free] = rows, columns
        w = point.w / scaling.columns
        return Found(stats, w, all_rows, all_columns, scaling.objective * point.objective, residuals)

    def _begin(self, data: Array, scaling: Scaling) -> None:
        self._data, self._scaling, self._stopped = data, scaling, False
        self._known: tuple[bytes, Point] | None = None
        self._derived: tuple[bytes, Slopes] | None = None

    def _at(self, x: Array) -> Point:
        key = x.tobytes()
        if self._known is None or self._known[0] != key:
            self._known = (key, self.march.run(x * self._scaling.columns[self.march.free], self._data))
        return self._known[1]

    def _slopes_at(self, x: Array) -> Slopes:
        key = x.tobytes()
        if self._derived is None or self._derived[0] != key:
            self._derived = (key, self.march.slopes(self._at(x), self._data))
        return self._derived[1]

    def _valued(self, x: Array) -> Array:
        point, scaling = self._at(x), self._scaling
        return np.concatenate([[scaling.objective * point.objective], scaling.rows[self.march.kept] * point.rows])

    def _sloped(self, x: Array) -> Array:
        slopes, scaling = self._slopes_at(x), self._scaling
        sizes = scaling.columns[self.march.free]
        jacobian = scaling.rows[self.march.kept][:, None] * slopes.rows * sizes
        return np.concatenate([scaling.objective * slopes.objective * sizes, jacobian.T.ravel()])

    def _guarded(self, compute: Callable[[Array], Array], size: int) -> Callable[[Array], Array]:
        """The same; after Ctrl-C it gives nothing but numbers that are none, so that the solver ends where it is."""

        def guarded(x: Array) -> Array:
            if not self._stopped:
                try:
                    return compute(x)
                except KeyboardInterrupt:
                    self._stopped = True
            return np.full(size, np.nan)

        return guarded

    def _solver(self, options: Mapping[str, Any]) -> ca.Function:
        key = tuple(sorted((name, str(value)) for name, value in options.items()))
        if key not in self._solvers:
            self._solvers[key] = self._built(options)
        return self._solvers[key]

    def _built(self, options: Mapping[str, Any]) -> ca.Function:
        n, m = len(self.march.free), len(self.march.kept)
        x, p = ca.MX.sym("x", n), ca.MX.sym("p", 0)
        values, slopes = self._values(x), self._slopes(x)
        f, g = values[0], values[1:]
        gradient = ca.Function("nlp_grad_f", [x, p], [f, slopes[:n]], ["x", "p"], ["f", "grad:f:x"])
        jacobian = ca.Function("nlp_jac_g", [x, p], [g, ca.reshape(slopes[n:], m, n)], ["x", "p"], ["g", "jac:g:x"])
        settings = {
            "print_time": False,
            "show_eval_warnings": False,
            "calc_lam_p": False,
            "error_on_fail": False,
            "no_nlp_grad": True,
            "grad_f": gradient,
            "jac_g": jacobian,
            "ipopt": {**options, "hessian_approximation": "limited-memory"},
        }
        return ca.nlpsol("titer", "ipopt", {"x": x, "p": p, "f": f, "g": g}, settings)


def _one_sided(multipliers: Array, lower: Array, upper: Array) -> Array:
    """The multipliers without those of bounds that are not there, which an inexact solve leaves about zero."""
    absent = np.where(multipliers > 0.0, ~np.isfinite(upper), ~np.isfinite(lower))
    return np.where(absent, 0.0, multipliers)


class _Computed(ca.Callback):
    """A vector computed outside CasADi from a vector."""

    def __init__(self, name: str, takes: int, gives: int, compute: Callable[[Array], Array]):
        ca.Callback.__init__(self)
        self._takes, self._gives, self._compute = takes, gives, compute
        self.construct(name, {})

    def get_n_in(self) -> int:
        return 1

    def get_n_out(self) -> int:
        return 1

    def get_sparsity_in(self, i: int) -> ca.Sparsity:
        return ca.Sparsity.dense(self._takes, 1)

    def get_sparsity_out(self, i: int) -> ca.Sparsity:
        return ca.Sparsity.dense(self._gives, 1)

    def eval(self, arg: list[ca.DM]) -> list[ca.DM]:
        return [ca.DM(self._compute(np.array(arg[0]).ravel()))]
