"""How do IDAES' numerical reports run from wheels? `with bundled_pynumero():` CasADi stands in for PyNumero's library.

PyNumero evaluates functions and derivatives by AMPL's solver library, a compiled one that no wheel holds. CasADi reads
the same `.nl` file and has the same derivatives.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import casadi as ca
import numpy as np
import pyomo.contrib.pynumero.asl as asl
from pyomo.contrib.pynumero.exceptions import PyNumeroEvaluationError

from titer.numerics.ampl.stub import Stub, read
from titer.numerics.nlp import Array


@contextmanager
def bundled_pynumero() -> Iterator[None]:
    """Make PyNumero, and with it IDAES' numerical reports, work without its compiled library; no more, where that is.

        with bundled_pynumero():
            DiagnosticsToolbox(model).report_numerical_issues()

    Models are read as `titer.ipopt` reads them. Raises SpecificationError, inside, for what cannot be read.
    """
    real = asl.AmplInterface
    if real.available():
        yield
        return
    before = real.__dict__["available"]
    real.available = classmethod(lambda cls: True)  # others hold the class itself, and ask it
    asl.AmplInterface = CasadiInterface
    try:
        yield
    finally:
        real.available, asl.AmplInterface = before, real


class CasadiInterface:
    """What PyNumero's `AmplInterface` answers about a file, answered by CasADi; a maximization is negated, as there."""

    def __init__(self, filename: str):
        self._stub: Stub = read(Path(filename))
        self._function = self._stub.functions

    @classmethod
    def available(cls) -> bool:
        """CasADi is always there."""
        return True

    def get_n_vars(self) -> int:
        """Columns."""
        return len(self._stub.lower)

    def get_n_constraints(self) -> int:
        """Rows."""
        return len(self._stub.row_lower)

    def get_nnz_jac_g(self) -> int:
        """Entries of the rows' derivatives."""
        return int(self._slopes.nnz_out(1))

    def get_nnz_hessian_lag(self) -> int:
        """Entries of the lower triangle of the Lagrangian's second derivatives."""
        return int(self._hessian.nnz_out(0))

    def get_x_lower_bounds(self, out: Array) -> None:
        """Lower bounds of columns."""
        out[:] = self._stub.lower

    def get_x_upper_bounds(self, out: Array) -> None:
        """Upper bounds of columns."""
        out[:] = self._stub.upper

    def get_g_lower_bounds(self, out: Array) -> None:
        """Lower limits of rows."""
        out[:] = self._stub.row_lower

    def get_g_upper_bounds(self, out: Array) -> None:
        """Upper limits of rows."""
        out[:] = self._stub.row_upper

    def get_bounds_info(self, xl: Array, xu: Array, gl: Array, gu: Array) -> None:
        """All bounds and limits."""
        self.get_x_lower_bounds(xl)
        self.get_x_upper_bounds(xu)
        self.get_g_lower_bounds(gl)
        self.get_g_upper_bounds(gu)

    def get_init_x(self, out: Array) -> None:
        """The start."""
        out[:] = self._stub.start

    def get_init_multipliers(self, out: Array) -> None:
        """Multipliers of rows at the start."""
        out[:] = 0.0 if self._stub.multipliers is None else self._stub.multipliers

    def eval_f(self, x: Array) -> float:
        """The objective."""
        return float(_finite(self._function(x)[0])[0])

    def eval_deriv_f(self, x: Array, out: Array) -> None:
        """Its gradient."""
        out[:] = _finite(ca.densify(self._slopes(x)[0]))

    def eval_g(self, x: Array, out: Array) -> None:
        """Rows."""
        out[:] = _finite(self._function(x)[1])

    def struct_jac_g(self, rows: Array, columns: Array) -> None:
        """Where the rows' derivatives are, counted from 1."""
        rows[:], columns[:] = _places(self._slopes.sparsity_out(1))

    def eval_jac_g(self, x: Array, out: Array) -> None:
        """The rows' derivatives."""
        out[:] = _finite(self._slopes(x)[1].nz[:])

    def struct_hes_lag(self, rows: Array, columns: Array) -> None:
        """Where the second derivatives are, counted from 1."""
        rows[:], columns[:] = _places(self._hessian.sparsity_out(0))

    def eval_hes_lag(self, x: Array, lam: Array, out: Array, obj_factor: float = 1.0) -> None:
        """Second derivatives of obj_factor * f + lam * g."""
        out[:] = _finite(self._hessian(x, lam, obj_factor).nz[:])

    def finalize_solution(self, status: int, message: str, x: Array, lam: Array) -> None:
        """No solution file is written: its reader is in this process."""

    @cached_property
    def _slopes(self) -> ca.Function:
        x = ca.SX.sym("x", self.get_n_vars())
        f, g = self._function(x)
        return ca.Function("slopes", [x], [ca.gradient(f, x), ca.jacobian(g, x)])

    @cached_property
    def _hessian(self) -> ca.Function:
        x, lam, factor = ca.SX.sym("x", self.get_n_vars()), ca.SX.sym("l", self.get_n_constraints()), ca.SX.sym("o")
        f, g = self._function(x)
        second = ca.hessian(factor * f + ca.dot(lam, g), x)[0]
        return ca.Function("hessian", [x, lam, factor], [ca.tril(second)])


def _places(sparsity: ca.Sparsity) -> tuple[Array, Array]:
    rows, columns = sparsity.get_triplet()
    return np.array(rows, dtype=int) + 1, np.array(columns, dtype=int) + 1


def _finite(value: ca.DM) -> Array:
    numbers = np.array(value).ravel()
    if not np.isfinite(numbers).all():
        raise PyNumeroEvaluationError("a function or a derivative is not finite")
    return numbers


__all__ = ["CasadiInterface", "bundled_pynumero"]
