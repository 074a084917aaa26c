"""How are many linear systems with one pattern solved fast? Their unknowns ordered into a band, by LAPACK.

For a few hundred unknowns of a column the band is a tenth of the matrix, and a general sparse factorization takes five
times as long.
"""

from __future__ import annotations

import casadi as ca
import numpy as np

from titer.numerics.dae import Array


class Band:
    """Systems (shift M - J) x = b: J has the given pattern, M is diagonal with ones and zeros (`mass`)."""

    def __init__(self, pattern: ca.Sparsity, mass: Array):
        from scipy.linalg.lapack import dgbtrf, dgbtrs

        rows, columns = (np.array(part, dtype=int) for part in pattern.get_triplet())
        self.lower = int(np.max(rows - columns, initial=0))
        self.upper = int(np.max(columns - rows, initial=0))
        n, height = len(mass), 2 * self.lower + self.upper + 1
        middle = self.lower + self.upper
        self._at = (middle + rows - columns) + height * columns  # in Fortran's order
        self._diagonal, self._mass = middle + height * np.arange(n), mass
        self._shape, self._factorize, self._solve = (height, n), dgbtrf, dgbtrs

    def factor(self, entries: Array, shift: float) -> tuple[Array, Array] | None:
        """The factors of shift M - J, J by its nonzero `entries`; None where it is singular."""
        height, n = self._shape
        matrix = np.zeros(height * n)
        matrix[self._at] = -entries
        matrix[self._diagonal] += shift * self._mass
        band = matrix.reshape(n, height).T  # Fortran's order without a copy
        factors, pivots, info = self._factorize(band, self.lower, self.upper, overwrite_ab=1)
        return None if info else (factors, pivots)

    def solve(self, factors: tuple[Array, Array], b: Array, transposed: bool = False) -> Array:
        """The solution for b (n,) or (n, k)."""
        return self._solve(factors[0], self.lower, self.upper, b, factors[1], trans=int(transposed))[0]
