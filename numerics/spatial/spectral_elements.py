"""How do continuous spectral elements discretize a line? Few points, no upwinding: for moderate Peclet numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, diags_array, lil_array

from titer.numerics.spatial.checks import check_count
from titer.numerics.spatial.line import Line
from titer.numerics.spatial.polynomials import differentiation, gauss_lobatto


@dataclass(frozen=True)
class SpectralElements:
    """Continuous Galerkin on equal elements, Legendre-Gauss-Lobatto nodes and lumped mass, weak Danckwerts inlet.

    elements * degree + 1 points; the error falls as h^(degree + 1), and faster at the ends of elements. There is no
    upwinding: the Peclet number over `intervals` should stay below about 2, and must below about 6. Source: Canuto et
    al., Spectral Methods (Springer 2006), 3.5; Puttmann et al., Comput. Chem. Eng. 56 (2013) 46 for the columns.
    """

    elements: int = 20
    degree: int = 4

    def __post_init__(self) -> None:
        check_count(self, "elements", 1)
        check_count(self, "degree", 1)

    @property
    def intervals(self) -> int:
        return self.elements * self.degree

    def line(self) -> Line:
        x, w = gauss_lobatto(self.degree)
        slope, h = differentiation(x), 1.0 / self.elements
        n = self.intervals + 1
        nodes, mass = np.zeros(n), np.zeros(n)
        carried, spread = lil_array((n, n)), lil_array((n, n))
        for e in range(self.elements):
            at = slice(e * self.degree, e * self.degree + self.degree + 1)
            nodes[at] = (e + x) * h
            mass[at] += w * h
            carried[at, at] += slope.T * w  # integral of l_i' l_j
            spread[at, at] += slope.T @ (w[:, None] * slope) / h  # integral of l_i' l_j'
        carried[n - 1, n - 1] -= 1.0
        over = diags_array(1.0 / mass)
        first, last = np.zeros((n, 1)), np.zeros((1, n))
        first[0, 0], last[0, -1] = 1.0 / mass[0], 1.0
        return Line(
            nodes, mass, csr_array(over @ carried), csr_array(-over @ spread), csr_array(first), csr_array(last)
        )
