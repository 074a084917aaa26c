"""What is asked of a quadratic program, and what came out? Limits, an answer, and a solver that writes into arrays.

The solvers, DAQP and PIQP, come with CasADi; whether they solved a program is judged from the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np

from titer.numerics.nlp import Array
from titer.numerics.realtime.functions import Compiled
from titer.numerics.realtime.sparsity import Pattern

FEASIBLE = 1e-6  # of a program's rows and bounds, scaled
_OPTIONS = {"daqp": {"daqp": {"primal_tol": 1e-9}}}  # rows are measured in sizes of the curvature, which may be small


@dataclass(frozen=True, eq=False)
class Bounds:
    """Limits of the step of the columns that stay, and of the rows g + G d."""

    lower: Array
    upper: Array
    low: Array
    high: Array


@dataclass(frozen=True, eq=False)
class Answer:
    """A solved program: the step of the columns that stay, multipliers of E's rows, of G's, and of the bounds."""

    d: Array
    equations: Callable[[], Array]  # seldom wanted, and not free
    rows: Array
    bounds: Array
    reach: float = 1.0  # the share of what rows miss that the step makes up for, where all of it was too much


class UnsolvedError(ArithmeticError):
    """A quadratic program without a solution that can be used; `infeasible`: its limits contradict each other."""

    def __init__(self, infeasible: bool):
        super().__init__("the limits contradict each other" if infeasible else "the quadratic program was not solved")
        self.infeasible = infeasible


class Conic:
    """A solver of quadratic programs of one structure, with its answers checked."""

    def __init__(self, name: str, h: ca.Sparsity, a: ca.Sparsity):
        options = {"print_time": False, "error_on_fail": False} | _OPTIONS.get(name, {})
        function = ca.conic("step", name, {"h": h, "a": a}, options)
        self._order = [function.name_in().index(key) for key in ("h", "g", "a", "lba", "uba", "lbx", "ubx")]
        self._results = [function.name_out().index(key) for key in ("x", "lam_a", "lam_x")]
        self._call = Compiled(function)

    def __call__(self, *arguments: Array) -> tuple[Array, Array, Array]:
        """x, multipliers of the rows and of the bounds. Arguments: h, g, a, lba, uba, lbx, ubx."""
        for place, given in zip(self._order, arguments, strict=True):
            self._call.arguments[place][:] = given
        results = self._call.run()
        x, rows, bounds = (results[k].copy() for k in self._results)
        return x, rows, bounds


def within_reach(attempt: Callable, low: Array, high: Array, reaches: Sequence[float]) -> tuple[Any, float]:
    """The first attempt that succeeds when a step need only make up for a share of what rows miss.

    Far from a solution linearized limits may contradict each other where the true ones do not (Powell, Lecture Notes in
    Mathematics 630 (1978) 144). Raises UnsolvedError of the last attempt.
    """
    for reach in reaches:
        try:
            return attempt(np.where(low > 0.0, reach * low, low), np.where(high < 0.0, reach * high, high)), reach
        except UnsolvedError as error:
            failed = error
            if not error.infeasible:
                break
    raise failed


def outside(value: Array, lower: Array, upper: Array) -> float:
    """By how much values miss their limits at most; infinite where one is no number."""
    if not np.isfinite(value).all():
        return float("inf")
    return float(max((lower - value).max(initial=0.0), (value - upper).max(initial=0.0)))


def casadi_sparsity(pattern: Pattern) -> ca.Sparsity:
    """A pattern as CasADi wants it."""
    return ca.Sparsity(*pattern.shape, pattern.starts.tolist(), pattern.rows.tolist())
