"""How does an optimum move when its data do? Derivatives of a solved `Nlp` from its optimality conditions.

The conditions at the end of an interior-point solve are smooth equations in decisions w, multipliers y of rows, z of
bounds, and data d: a limit's slack times its multiplier is the last barrier parameter. Differentiated,

    [ H + Z/X   A'   ] [ dw ]     [ d(grad L)/dd ]
    [ A       -S/y   ] [ dy ] = - [ dg/dd        ] ,      dJ/dd = dL/dd      (L = f + y' g)

with H the Hessian of L, A the Jacobian of the rows, X and S the distances to bounds and limits. An active limit has
S/y = 0 and is held, an inactive one has an infinite S/y and does not count; neighbouring grid points that share one
limit, where an active set would be singular, do no harm. Source: Pirnay, Lopez-Negrete & Biegler, Math. Program.
Comput. 4 (2012) 307; Fiacco, Introduction to Sensitivity and Stability Analysis in Nonlinear Programming (1983).
"""

from __future__ import annotations

from dataclasses import dataclass

import casadi as ca
import numpy as np

from titer.numerics.dae import Array
from titer.numerics.program import Program, Scaling
from titer.numerics.solvers import Outcome

TOUCHED = 1e-6  # scaled distance and multiplier below which a limit is touched without pressing
_NONE = 1e-14
_FAR = 1e10


@dataclass(frozen=True, eq=False)
class Derivatives:
    """Derivatives of the decisions (columns, k) and of the minimized objective (k,) along k directions in the data."""

    decisions: Array
    objective: Array
    weakly_active: int  # limits that are touched without a multiplier: one-sided derivatives may differ there


def derivatives(
    program: Program, outcome: Outcome, scaling: Scaling, bounds: tuple[Array, Array], directions: Array
) -> Derivatives:
    """Derivatives of a solution along `directions` (data, k). Raises LinAlgError where the conditions are singular."""
    from scipy.sparse import bmat, csc_matrix, diags
    from scipy.sparse.linalg import splu

    n = program.nlp.columns
    x, p = outcome.w / scaling.columns, program.parameters(scaling)
    y = outcome.row_multipliers / scaling.rows * scaling.objective
    z = outcome.bound_multipliers * scaling.columns * scaling.objective
    lower, upper = (b / scaling.columns for b in bounds)
    g, jacobian = program.jacobian(x, p)
    row_lower, row_upper = (b * scaling.rows for b in program.nlp.row_bounds())
    hessian = program.hessian(x, p, 1.0, y).sparse()
    hessian = hessian + hessian.T - diags(hessian.diagonal())
    rows, columns = np.array(g).ravel(), x
    gap_rows, gap_columns = _gap(rows, y, row_lower, row_upper), _gap(columns, z, lower, upper)
    moves = np.where(row_lower == row_upper, 0.0, gap_rows / np.maximum(np.abs(y), _NONE))
    holds = np.abs(z) / np.maximum(gap_columns, _NONE)
    matrix = bmat([[hessian + diags(holds), jacobian.sparse().T], [jacobian.sparse(), -diags(moves)]], format="csc")
    slope, curvature, shift = _along(program, x, p, y, directions)
    try:
        step = splu(csc_matrix(matrix)).solve(-np.concatenate([curvature, shift]))
    except RuntimeError as error:
        raise np.linalg.LinAlgError(f"the optimality conditions are singular: {error}") from None
    weak = _weak(gap_rows, y, row_lower < row_upper) + _weak(gap_columns, z, lower < upper)
    return Derivatives(step[:n] * scaling.columns[:, None], slope / scaling.objective, weak)


def _gap(value: Array, multiplier: Array, lower: Array, upper: Array) -> Array:
    """Distance to the limit that a multiplier belongs to (positive: the upper one)."""
    return np.clip(np.where(multiplier > 0.0, upper - value, value - lower), 0.0, _FAR)


def _weak(gap: Array, multiplier: Array, free: Array) -> int:
    """How many limits are touched without pressing."""
    return int(np.count_nonzero(free & (gap < TOUCHED) & (np.abs(multiplier) < TOUCHED)))


def _along(program: Program, x: Array, p: ca.DM, y: Array, directions: Array) -> tuple[Array, Array, Array]:
    """Derivatives of L (k,), of its gradient (n, k) and of the rows (m, k) along directions in the data."""
    nlp = program.nlp
    xs, ps = program.arguments
    ys = ca.MX.sym("y", nlp.rows)
    f, g = program.values(xs, ps)
    gradient = program.gradient(xs, ps)[1]
    if nlp.rows:
        gradient = gradient + ca.mtimes(program.jacobian(xs, ps)[1].T, ys)
    d = ca.MX.sym("d", ps.numel())
    stacked = ca.vertcat(f + ca.dot(ys, g), gradient, g)
    along = ca.Function("along", [xs, ps, ys, d], [ca.jtimes(stacked, ps, d)])
    columns = []
    for j in range(directions.shape[1]):
        seed = np.zeros(ps.numel())
        seed[: len(nlp.data)] = directions[:, j]
        columns.append(np.array(along(x, p, y, seed)).ravel())
    stack = np.array(columns).T.reshape(1 + nlp.columns + nlp.rows, directions.shape[1])
    return stack[0], stack[1 : 1 + nlp.columns], stack[1 + nlp.columns :]
