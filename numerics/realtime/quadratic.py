"""Who solves the quadratic program of a step? An active-set method on few columns, an interior-point one on many.

Few free columns: the equations E d = e are substituted (condensing), and DAQP solves the dense rest in a fraction of a
millisecond. Many, as in scenario trees: PIQP on the sparse program. Both come with CasADi; whether they solved it is
judged from the numbers. Curvature that is not positive is made so on the free columns, where it is what decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import casadi as ca
import numpy as np
from scipy.linalg.blas import dtrsm
from scipy.sparse import csc_matrix

from titer.numerics.nlp import Array
from titer.numerics.realtime.functions import Compiled
from titer.numerics.realtime.sparsity import Pattern
from titer.numerics.realtime.subproblem import Step, Subproblem

_CONDENSED = 100  # free columns up to which condensing is faster
_FEASIBLE = 1e-6  # of a program's rows and bounds, scaled
_STATIONARY = 1e-6  # of its slope, relative
_LITTLE = 1e-9  # of the largest curvature: added to all
_FLAT = 1e-5  # of the largest curvature: given to columns without any


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
    equations: Array
    rows: Array
    bounds: Array


class UnsolvedError(ArithmeticError):
    """A quadratic program without a solution that can be used; `infeasible`: its limits contradict each other."""

    def __init__(self, infeasible: bool):
        super().__init__("the limits contradict each other" if infeasible else "the quadratic program was not solved")
        self.infeasible = infeasible


class Conic:
    """A solver of quadratic programs of one structure, with its answers checked."""

    def __init__(self, name: str, h: ca.Sparsity, a: ca.Sparsity):
        function = ca.conic("step", name, {"h": h, "a": a}, {"print_time": False, "error_on_fail": False})
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


@dataclass(frozen=True, eq=False)
class Condensation:
    """A step by its free columns: d = Z d_free + z, curvature and rows of the dense program."""

    triangle: Array
    Z: Array
    curvature: Array
    rows: Array
    P: csc_matrix
    G: csc_matrix


class Condensed:
    """The program on the free columns alone."""

    def __init__(self, subproblem: Subproblem):
        s = self.subproblem = subproblem
        count, dependent = s.free, s.count - s.free
        own = s.E.columns >= count
        self._triangle = (s.E.rows + (s.E.columns - count) * dependent)[own]
        self._others = (s.E.rows + s.E.columns * dependent)[~own]
        self._own = own
        limited = np.isfinite(s.nlp.lower) | np.isfinite(s.nlp.upper)
        self._limited = count + np.flatnonzero(limited[s.structure.kept[count:]])
        rows = s.G.shape[0] + len(self._limited)
        shape = ca.Sparsity.dense(count, count), ca.Sparsity.dense(rows, count)
        self._first = Conic("daqp", *shape)
        self._second: Conic | None = None
        self._shape = shape

    def prepare(self, step: Step) -> Condensation:
        """Everything that the values of a step do not change."""
        s = self.subproblem
        count, dependent = s.free, s.count - s.free
        triangle, others = np.zeros(dependent * dependent), np.zeros(dependent * count)
        triangle[self._triangle] = step.E[self._own]
        others[self._others] = -step.E[~self._own]
        triangle = triangle.reshape((dependent, dependent), order="F")
        Z = np.zeros((s.count, count))
        Z[:count] = np.eye(count)
        if dependent and count:
            Z[count:] = dtrsm(1.0, triangle, others.reshape((dependent, count), order="F"), lower=1, diag=1)
        P, G = _matrix(s.P, step.P), _matrix(s.G, step.G)
        curvature = _convex(Z.T @ (P @ Z), s.exact)
        return Condensation(triangle, Z, curvature, np.concatenate([G @ Z, Z[self._limited]]), P, G)

    def solve(self, step: Step, parts: Condensation, bounds: Bounds) -> Answer:
        """Solve for the values of a step. Raises UnsolvedError."""
        s, count = self.subproblem, self.subproblem.free
        z = np.zeros(s.count)
        if s.count > count:
            z[count:] = dtrsm(1.0, parts.triangle, step.e[:, None], lower=1, diag=1)[:, 0]
        slope = parts.Z.T @ (step.q + parts.P @ z)
        at = np.concatenate([step.g + parts.G @ z, z[self._limited]])
        low = np.concatenate([bounds.low, bounds.lower[self._limited]]) - at
        high = np.concatenate([bounds.high, bounds.upper[self._limited]]) - at
        free, rows, own = self._solved(parts, slope, low, high, bounds.lower[:count], bounds.upper[:count])
        d = parts.Z @ free + z
        on_rows, multipliers = rows[: s.G.shape[0]], np.zeros(s.count)
        multipliers[:count] = own
        multipliers[self._limited] = rows[s.G.shape[0] :]
        equations = np.zeros(s.count - count)
        if s.count > count:
            left = (step.q + parts.P @ d + parts.G.T @ on_rows + multipliers)[count:]
            equations = dtrsm(1.0, parts.triangle, -left[:, None], lower=1, diag=1, trans_a=1)[:, 0]
        return Answer(d, equations, on_rows, multipliers)

    def _solved(
        self, parts: Condensation, slope: Array, low: Array, high: Array, lower: Array, upper: Array
    ) -> tuple[Array, Array, Array]:
        arguments = parts.curvature.ravel(), slope, parts.rows.ravel(order="F"), low, high, lower, upper
        if (low > high + _FEASIBLE).any() or (lower > upper + _FEASIBLE).any():
            raise UnsolvedError(infeasible=True)
        missed = np.inf
        for solver in (lambda: self._first, self._interior):
            x, on_rows, on_bounds = solver()(*arguments)
            left = parts.curvature @ x + slope + parts.rows.T @ on_rows + on_bounds
            at = parts.rows @ x
            missed = max(_missed(at, low, high), _missed(x, lower, upper))
            size = np.abs(slope).max(initial=0.0) + np.abs(parts.curvature).max(initial=0.0)
            if missed <= _FEASIBLE and np.abs(left).max(initial=0.0) <= _STATIONARY * size:
                return x, on_rows, on_bounds
        raise UnsolvedError(infeasible=not missed <= _FEASIBLE)

    def _interior(self) -> Conic:
        """A second method, for the programs that the first one leaves."""
        if self._second is None:
            self._second = Conic("piqp", *self._shape)
        return self._second


class Sparse:
    """The program on all columns that stay, as it is."""

    def __init__(self, subproblem: Subproblem):
        s = self.subproblem = subproblem
        rows = np.concatenate([s.E.rows, s.E.shape[0] + s.G.rows])
        columns = np.concatenate([s.E.columns, s.G.columns])
        self._all = Pattern(rows, columns, np.arange(len(rows)), (s.E.shape[0] + s.G.shape[0], s.count))
        self._diagonal = np.arange(s.count)
        source = np.arange(s.P.count + s.count)
        P_rows = np.concatenate([s.P.rows, self._diagonal])
        P_columns = np.concatenate([s.P.columns, self._diagonal])
        self._P = Pattern(P_rows, P_columns, source, (s.count, s.count))
        self._solver = Conic("piqp", _sparsity(self._P), _sparsity(self._all))

    def prepare(self, step: Step) -> tuple[Array, Array, Array]:
        """Entries of the curvature (a little added to its diagonal), of all rows, and of the curvature as it is."""
        little = _LITTLE * np.abs(step.P).max(initial=1.0)
        curvature = self._P.entries(np.concatenate([step.P, np.full(self.subproblem.count, little)]))
        return curvature, self._all.entries(np.concatenate([step.E, step.G])), step.P

    def solve(self, step: Step, parts: tuple[Array, Array, Array], bounds: Bounds) -> Answer:
        """Solve for the values of a step. Raises UnsolvedError."""
        curvature, entries, _ = parts
        count = len(step.e)
        low = np.concatenate([step.e, bounds.low - step.g])
        high = np.concatenate([step.e, bounds.high - step.g])
        d, on_rows, on_bounds = self._solver(curvature, step.q, entries, low, high, bounds.lower, bounds.upper)
        at = _matrix(self._all, entries) @ d
        missed = max(_missed(at, low, high), _missed(d, bounds.lower, bounds.upper))
        if not missed <= _FEASIBLE:
            raise UnsolvedError(infeasible=True)
        return Answer(d, on_rows[:count], on_rows[count:], on_bounds)


def form_of(subproblem: Subproblem) -> Condensed | Sparse:
    """The form in which a program is solved fastest."""
    return Condensed(subproblem) if subproblem.exact or subproblem.free <= _CONDENSED else Sparse(subproblem)


def _convex(curvature: Array, exact: bool) -> Array:
    """The nearest curvature with eigenvalues that are positive, and not too small for a program to be solved."""
    curvature = 0.5 * (curvature + curvature.T)
    largest = np.abs(curvature).max(initial=0.0) or 1.0
    if exact:
        try:
            np.linalg.cholesky(curvature + _LITTLE * largest * np.eye(len(curvature)))
        except np.linalg.LinAlgError:
            values, vectors = np.linalg.eigh(curvature)
            curvature = (vectors * np.maximum(values, 0.0)) @ vectors.T
    diagonal = curvature.diagonal()
    return curvature + np.diag(np.where(diagonal < _LITTLE * largest, _FLAT, _LITTLE) * largest)


def _missed(value: Array, lower: Array, upper: Array) -> float:
    if not np.isfinite(value).all():
        return float("inf")
    return float(max((lower - value).max(initial=0.0), (value - upper).max(initial=0.0)))


def _matrix(pattern: Pattern, entries: Array) -> csc_matrix:
    return csc_matrix((entries, pattern.rows, pattern.starts), shape=pattern.shape, copy=False)


def _sparsity(pattern: Pattern) -> ca.Sparsity:
    return ca.Sparsity(*pattern.shape, pattern.starts.tolist(), pattern.rows.tolist())
