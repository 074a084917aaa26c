"""Which step fits best without leaving its limits? Least squares under inequalities, to rounding.

    min |A x - b|^2   subject to   G x >= g

With A = Q R and y = R x - Q'b this is a least distance problem, min |y|^2 s.t. G R^-1 y >= g - G R^-1 Q'b, whose dual
is a nonnegative least squares problem. Rows that nothing pushes against are left out until something does.
Source: Lawson & Hanson, Solving Least Squares Problems (1974), chapters 20 and 23.
"""

from __future__ import annotations

import numpy as np

from titer.numerics.dae import Array

_ROUNDING = 1e-10  # of a row's size: by how much a limit may be passed
_MOST_ROUNDS = 30


class InfeasibleError(RuntimeError):
    """No step satisfies the limits."""


def bounded_least_squares(a: Array, b: Array, g_rows: Array, g: Array) -> tuple[Array, Array]:
    """The best x (n,) of full column rank `a` (m, n), and the triangle R (n, n) of it.

    `g_rows` (k, n), `g` (k,): limits, -inf where there is none. Raises InfeasibleError.
    """
    q, r = np.linalg.qr(a)
    free = np.linalg.solve(r, q.T @ b)
    sizes = np.abs(g_rows).max(axis=1, initial=0.0)
    can_move = np.isfinite(g) & (sizes > 0.0)
    rows, limits, sizes = g_rows[can_move], g[can_move], sizes[can_move]
    x, active = free, np.zeros(len(rows), dtype=bool)
    for _ in range(_MOST_ROUNDS):
        missed = rows @ x < limits - _ROUNDING * np.maximum(sizes, np.abs(limits))
        if not missed.any():
            return x, r
        active |= missed
        x = free + np.linalg.solve(
            r, _least_distance(np.linalg.solve(r.T, rows[active].T).T, limits[active] - rows[active] @ free)
        )
    raise InfeasibleError("the limits were not met")


def _least_distance(rows: Array, limits: Array) -> Array:
    """The shortest y with rows y >= limits."""
    from scipy.optimize import nnls

    sizes = np.linalg.norm(rows, axis=1)
    scale = np.abs(limits / sizes).max()
    rows, limits = rows / sizes[:, None], limits / sizes / scale
    stacked = np.vstack([rows.T, limits])
    wanted = np.zeros(len(stacked))
    wanted[-1] = 1.0
    weights, _ = nnls(stacked, wanted)
    residual = stacked @ weights - wanted
    if not abs(residual[-1]) > _ROUNDING:
        raise InfeasibleError("the limits contradict each other")
    return -residual[:-1] / residual[-1] * scale
