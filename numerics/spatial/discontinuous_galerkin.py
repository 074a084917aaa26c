"""How does discontinuous Galerkin discretize a line? Upwind between elements: for sharper fronts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, diags_array, lil_array

from titer.numerics.spatial.checks import check_count
from titer.numerics.spatial.line import Line
from titer.numerics.spatial.polynomials import differentiation, gauss_lobatto


@dataclass(frozen=True)
class DiscontinuousGalerkin:
    """Nodal discontinuous Galerkin on equal elements: upwind convection, local fluxes (LDG) for dispersion.

    elements * (degree + 1) points on Legendre-Gauss-Lobatto nodes, with lumped mass; the error falls as
    h^(degree + 1). Values are taken from upstream and slopes from downstream of a face; both ends carry no dispersive
    flux. Source: Cockburn and Shu, SIAM J. Numer. Anal. 35 (1998) 2440; Breuer et al., Comput. Chem. Eng. 177 (2023)
    108340 for columns.
    """

    elements: int = 24
    degree: int = 3

    def __post_init__(self) -> None:
        check_count(self, "elements", 1)
        check_count(self, "degree", 1)

    @property
    def intervals(self) -> int:
        return self.elements * (self.degree + 1)

    def line(self) -> Line:
        x, w = gauss_lobatto(self.degree)
        m, h = self.degree + 1, 1.0 / self.elements
        n = self.elements * m
        weak = differentiation(x).T * w  # integral of l_i' l_j
        nodes = np.concatenate([(e + x) * h for e in range(self.elements)])
        mass = np.tile(w * h, self.elements)
        inside = lil_array((n, n))
        for e in range(self.elements):
            inside[e * m : (e + 1) * m, e * m : (e + 1) * m] = weak
        left, right = np.arange(0, n, m), np.arange(m - 1, n, m)
        upwind, value, gradient = lil_array((n, n)), lil_array((n, n)), lil_array((n, n))
        upwind[right, right] = 1.0  # what leaves through the right face, less what comes through the left one
        upwind[left[1:], right[:-1]] = -1.0
        value[right, right] = 1.0  # values at faces, from upstream; at the inlet from inside
        value[left[1:], right[:-1]] = -1.0
        value[left[0], left[0]] = -1.0
        gradient[right[:-1], left[1:]] = 1.0  # slopes at faces, from downstream; none at the ends
        gradient[left[1:], left[1:]] = -1.0
        over = diags_array(1.0 / mass)
        slope = over @ (value - inside)
        first, last = np.zeros((n, 1)), np.zeros((1, n))
        first[0, 0], last[0, -1] = 1.0 / mass[0], 1.0
        return Line(
            nodes,
            mass,
            csr_array(over @ (inside - upwind)),
            csr_array(over @ (gradient - inside) @ slope),
            csr_array(first),
            csr_array(last),
        )
