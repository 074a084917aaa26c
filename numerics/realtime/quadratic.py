"""How is a quadratic program with a fixed structure solved again and again? By PIQP of CasADi's wheel, in place.

PIQP: Schwan, Jiang, Kuhn & Jones, IEEE CDC (2023), a proximal interior-point method for sparse convex programs.
"""

from __future__ import annotations

import casadi as ca
import numpy as np

from titer.numerics.dae import Array

_FAR = 1e20  # a bound beyond this is none
_OPTIONS = {"eps_abs": 1e-9, "eps_rel": 1e-9, "check_duality_gap": False}


class Quadratic:
    """minimize 1/2 x'Hx + g'x, lower <= A x <= upper, low <= x <= up: arrays to fill, and `solve`.

    `h`, `a`: nonzeros of H (all of it) and A; `x`, `rows`, `bounds`: the solution and its multipliers, positive where
    an upper bound holds.
    """

    def __init__(self, hessian: ca.Sparsity, matrix: ca.Sparsity):
        n, m = hessian.size1(), matrix.size1()
        self.h, self.a = np.zeros(hessian.nnz()), np.zeros(matrix.nnz())
        self.g, self.low, self.up = np.zeros(n), np.zeros(n), np.zeros(n)
        self.lower, self.upper = np.zeros(m), np.zeros(m)
        self.x, self.rows, self.bounds = np.zeros(n), np.zeros(m), np.zeros(n)
        options = {"error_on_fail": False, "piqp": _OPTIONS}
        function = ca.conic("quadratic", "piqp", {"h": hessian, "a": matrix}, options)
        self._buffer, self._evaluate = function.buffer()
        given = {"h": self.h, "a": self.a, "g": self.g, "lba": self.lower, "uba": self.upper}
        given |= {"lbx": self.low, "ubx": self.up}
        for name, array in given.items():
            if array.size:
                self._buffer.set_arg(function.index_in(name), memoryview(array))
        for name, array in {"x": self.x, "lam_a": self.rows, "lam_x": self.bounds}.items():
            if array.size:
                self._buffer.set_res(function.index_out(name), memoryview(array))

    def solve(self) -> bool:
        """Solve what the arrays say; whether it was solved, judged by its status and its numbers."""
        for array, far in ((self.lower, -np.inf), (self.low, -np.inf), (self.upper, np.inf), (self.up, np.inf)):
            array[np.abs(array) > _FAR] = far
        try:
            self._evaluate()
        except RuntimeError:
            return False
        return bool(self._buffer.stats()["success"]) and bool(np.isfinite(self.x).all())
