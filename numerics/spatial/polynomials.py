"""Where do polynomials live? Nodes, weights and derivatives of the bases that elements are made of."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.polynomial import legendre

Array = np.ndarray


@cache
def gauss_lobatto(degree: int) -> tuple[Array, Array]:
    """Legendre-Gauss-Lobatto nodes and weights on (0, 1), both ends included, shapes (degree + 1,).

    Exact for polynomials up to degree 2 degree - 1. Source: Canuto et al., Spectral Methods (Springer 2006), 2.3.
    """
    basis = legendre.Legendre.basis(degree)
    x = np.concatenate([[-1.0], np.sort(basis.deriv().roots().real), [1.0]])
    inside = x[1:-1]
    for _ in range(3):  # roots of the companion matrix lose digits: (1 - x^2) P'' = 2 x P' - n (n + 1) P
        slope = basis.deriv()(inside)
        bend = (2.0 * inside * slope - degree * (degree + 1) * basis(inside)) / (1.0 - inside**2)
        inside = inside - slope / bend
    x[1:-1] = inside
    weights = 2.0 / (degree * (degree + 1) * basis(x) ** 2)
    return (x + 1.0) / 2.0, weights / 2.0


def differentiation(nodes: Array) -> Array:
    """D with D[i, j] = l_j'(x_i) for the Lagrange polynomials l_j on the nodes, shape (n, n).

    Source: Berrut and Trefethen, SIAM Review 46 (2004) 501: barycentric weights, diagonal by negative sums.
    """
    gap = nodes[:, None] - nodes[None, :]
    np.fill_diagonal(gap, 1.0)
    weights = 1.0 / gap.prod(axis=1)
    slopes = weights[None, :] / weights[:, None] / gap
    np.fill_diagonal(slopes, 0.0)
    np.fill_diagonal(slopes, -slopes.sum(axis=1))
    return slopes


def radau_of_sphere(count: int) -> tuple[Array, Array]:
    """Gauss-Radau nodes and weights for means over a sphere of radius 1, in s = r^2: `count` points, s = 1 among them.

    The sum of weights times p(s) is 3 times the integral of p(r^2) r^2 dr over (0, 1), exactly for p up to degree
    2 count - 2. The inner nodes are zeros of the Jacobi polynomial that is orthogonal with the weight (1 - s) s^(1/2).
    """
    from scipy.special import roots_sh_jacobi

    if count == 1:
        return np.ones(1), np.ones(1)
    # Orthogonal on (0, 1) with (1 - s)^(p - q) s^(q - 1): q = 3/2, p = 5/2.
    inner, own = roots_sh_jacobi(count - 1, 2.5, 1.5)
    weights = 1.5 * own / (1.0 - inner)  # with r^2 dr = s^(1/2) ds / 2
    return np.append(inner, 1.0), np.append(weights, 1.0 - weights.sum())
