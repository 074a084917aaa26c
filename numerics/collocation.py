"""Orthogonal collocation on one finite element: points, differentiation, end values, quadrature.

The state on an element is the polynomial of degree d through its start (0) and the d collocation points.
Source: Biegler, Nonlinear Programming (SIAM 2010), chapter 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

import casadi as ca
import numpy as np

Array = np.ndarray


class Points(Enum):
    """Families of collocation points: where on an element the equations hold."""

    RADAU = "radau"  # right end included; stiffly accurate, order 2d-1 at element ends
    LEGENDRE = "legendre"  # Gauss points, ends excluded; order 2d at element ends


@dataclass(frozen=True, eq=False)
class Collocation:
    """The numbers of a collocation scheme of degree d on [0, 1]."""

    nodes: Array  # (d,) collocation points
    derivative: Array  # (d + 1, d): derivative of basis polynomial i at point j
    end: Array  # (d + 1,): value of basis polynomial i at 1
    weights: Array  # (d,): quadrature of values at the points
    points: Points

    @property
    def degree(self) -> int:
        return len(self.nodes)


@lru_cache(maxsize=64)
def collocation(degree: int, points: Points = Points.RADAU) -> Collocation:
    """The collocation scheme of a degree (1 to 9) and a family of points."""
    nodes = np.array(ca.collocation_points(degree, points.value))
    basis = np.concatenate([[0.0], nodes])
    end = _basis_values(basis, np.ones(1))[:, 0]
    gauss, share = np.polynomial.legendre.leggauss(degree)
    weights = _basis_values(nodes, 0.5 * (gauss + 1.0)) @ (0.5 * share)
    return Collocation(nodes, _basis_slopes(basis)[:, 1:], end, weights, points)


def _basis_values(basis: Array, at: Array) -> Array:
    """(basis, at): Lagrange's polynomials, 1 at their own basis point and 0 at the others."""
    rows = []
    for i, node in enumerate(basis):
        others = np.delete(basis, i)
        rows.append(np.prod((at[None, :] - others[:, None]) / (node - others[:, None]), axis=0))
    return np.array(rows)


def _basis_slopes(basis: Array) -> Array:
    """(basis, basis): derivative of polynomial i at point j, by barycentric weights.

    Source: Berrut & Trefethen, SIAM Review 46 (2004) 501, section 9.3.
    """
    gaps = basis[:, None] - basis[None, :] + np.eye(len(basis))
    weights = 1.0 / gaps.prod(axis=1)
    slopes = -weights[:, None] / weights[None, :] / gaps
    np.fill_diagonal(slopes, 0.0)
    np.fill_diagonal(slopes, -slopes.sum(axis=0))
    return slopes
