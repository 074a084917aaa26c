"""Do the optimality conditions hold? Residuals recomputed from a problem's own functions, whatever a solver says."""

from __future__ import annotations

from typing import NamedTuple

import casadi as ca
import numpy as np

from titer.numerics.nlp import Array
from titer.numerics.program import Program, Scaling

Bounded = tuple[Array, Array, Array, Array]


class Residuals(NamedTuple):
    """Largest residuals of the optimality conditions, in scaled numbers."""

    stationarity: float
    violation: float
    complementarity: float

    def hold(self, tolerance: float) -> bool:
        """Whether a solve may be called a success; solvers' own tests are finer, and differ."""
        if not np.isfinite(self).all():
            return False
        loose = max(1e-3, 100.0 * tolerance)
        return (
            self.violation <= max(1e-5, 100.0 * tolerance)
            and self.stationarity <= loose
            and self.complementarity <= loose
        )


def optimality(
    program: Program,
    x: Array,
    row_multipliers: Array,
    bound_multipliers: Array,
    p: ca.DM,
    scaling: Scaling,
    lower: Array,
    upper: Array,
) -> Residuals:
    """Residuals of the optimality conditions at scaled columns and multipliers; bounds are unscaled.

    Recomputed from the problem's own functions, so that they do not depend on what a solver says of itself.
    """
    _, g_dm = program.values(x, p)
    g = np.array(g_dm).ravel()
    gradient = np.array(program.gradient(x, p)[1]).ravel()
    jacobian = program.jacobian(x, p)[1]
    stationarity = gradient + bound_multipliers
    if len(g):
        stationarity = stationarity + np.array(ca.mtimes(jacobian.T, ca.DM(row_multipliers))).ravel()
    row_lower, row_upper = program.nlp.row_bounds()
    rows = (g, row_lower * scaling.rows, row_upper * scaling.rows, row_multipliers)
    columns = (x, lower / scaling.columns, upper / scaling.columns, bound_multipliers)
    return residuals_of(stationarity, rows, columns)


def residuals_of(stationarity: Array, rows: Bounded, columns: Bounded) -> Residuals:
    """Residuals from the gradient of the Lagrangian, and rows and columns as (values, lower, upper, multipliers); all
    of it scaled."""
    violation = max(_outside(*each[:3]).max(initial=0.0) for each in (rows, columns))
    slack = np.concatenate([_slackness(*rows), _slackness(*columns)])
    size = max(1.0, *(np.abs(each[3]).max(initial=0.0) / 100.0 for each in (rows, columns)))
    return Residuals(
        float(np.abs(stationarity).max(initial=0.0) / size),
        float(violation),
        float(slack.max(initial=0.0) / size),
    )


def _outside(value: Array, lower: Array, upper: Array) -> Array:
    return np.maximum(np.maximum(lower - value, value - upper), 0.0)


def _slackness(value: Array, lower: Array, upper: Array, multiplier: Array) -> Array:
    free = lower < upper
    above = np.where(np.isfinite(upper), upper - value, np.inf)
    below = np.where(np.isfinite(lower), value - lower, np.inf)
    gap = np.where(multiplier > 0.0, above, below)
    product = np.abs(multiplier) * np.minimum(np.abs(gap), 1e12)
    return np.where(free & (np.abs(multiplier) > 1e-12), product, 0.0)
