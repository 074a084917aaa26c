"""How is an `Nlp` solved again and again in milliseconds? By SQP whose every part is built before.

A step: derivatives of all batches in one call, unknowns inside elements eliminated for all elements at once, one
quadratic program. `solve` repeats it; `prepare` and `feedback` are its two halves, before and after the data are known
(real-time iteration: Diehl et al., J. Process Control 12 (2002) 577).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from titer.numerics.errors import SpecificationError
from titer.numerics.nlp import Array, Nlp
from titer.numerics.optimality import Residuals, residuals_of
from titer.numerics.program import Scaling
from titer.numerics.realtime.bounded import is_tracking
from titer.numerics.realtime.functions import Functions
from titer.numerics.realtime.multipliers import multipliers_of
from titer.numerics.realtime.quadratic import Bounds, UnsolvedError, form_of
from titer.numerics.realtime.settings import Curvature, Sqp
from titer.numerics.realtime.subproblem import Point, Step, Subproblem
from titer.numerics.solvers import Outcome, Status

Multipliers = tuple[Array, Array]
_LARGE = 0.1  # scaled step up to which a step is taken whole
_CONTRACTS = 0.5  # of the step before: a step that is shorter than this is taken whole too
_HALVINGS = 5
_TOLERANCE = 1e-6  # of the residuals that are recomputed after a solve, see `Residuals.hold`


@dataclass(frozen=True, eq=False)
class Prepared:
    """A problem linearized at a point, waiting for its data; `error`: why it could not be."""

    x: Array
    lower: Array
    upper: Array
    step: Step | None
    parts: Any
    error: Exception | None = None


class SqpEngine:
    """SQP built once for an `Nlp` and a scaling; `solve` may be called with other data, bounds and starts.

    Raises SpecificationError where elements follow one another in a circle.
    """

    def __init__(self, nlp: Nlp, scaling: Scaling, solver: Sqp | None = None):
        began = time.perf_counter()
        if nlp.rows_order is not None:
            raise SpecificationError("Sqp: the rows of this problem are sorted for another solver; give the lean one.")
        self.nlp, self.scaling, self.solver = nlp, scaling, solver or Sqp()
        functions = Functions(nlp, scaling)
        curvature = self.solver.curvature
        if curvature is Curvature.AUTOMATIC:
            curvature = Curvature.OBJECTIVE if is_tracking(functions) else Curvature.EXACT
        self.curvature = curvature
        self._subproblem = Subproblem(nlp, scaling, functions, curvature is Curvature.EXACT)
        self._form = form_of(self._subproblem)
        self.seconds = time.perf_counter() - began

    def __reduce__(self) -> tuple[Any, ...]:
        return SqpEngine, (self.nlp, self.scaling, self.solver)

    def solve(
        self,
        w: Array,
        data: Array | None = None,
        lower: Array | None = None,
        upper: Array | None = None,
        multipliers: Multipliers | None = None,
        seconds: float | None = None,
    ) -> Outcome:
        """Solve from the decisions `w`, unscaled as are bounds and `multipliers` (of an earlier outcome)."""
        began = time.perf_counter()
        end = began + min(self.solver.seconds, np.inf if seconds is None else seconds)
        low, high = self._bounds(lower, upper)
        data = self.nlp.data if data is None else data
        x = np.clip(w / self.scaling.columns, low, high)
        known = None if multipliers is None else multipliers[0] / self.scaling.rows * self.scaling.objective
        status, message, iterations, known, bound, size = Status.ITERATIONS, "", 0, known, np.zeros(len(x)), np.inf
        try:
            while iterations < self.solver.iterations:
                if time.perf_counter() > end:
                    status = Status.TIME
                    break
                step = self._linearized(x, data, known)
                answer = self._form.solve(step, self._form.prepare(step), self._limits(x, low, high))
                iterations += 1
                d = self._subproblem.whole(step, answer.d)
                before, size = size, float(np.abs(d).max(initial=0.0))
                careful = size > _LARGE and size > _CONTRACTS * before
                if self._subproblem.exact or careful or size <= self.solver.tolerance:
                    known, bound = multipliers_of(self._subproblem, step, answer, d)
                x = np.clip(x + (self._share(step, d, data, known) if careful else 1.0) * d, low, high)
                if size <= self.solver.tolerance:
                    status = Status.SOLVED
                    break
        except (UnsolvedError, np.linalg.LinAlgError, FloatingPointError) as error:
            status, message = _failure(error)
        return self._judged(_Reached(status, message, x, known, bound, iterations), data, low, high, began)

    def prepare(
        self,
        w: Array,
        data: Array | None = None,
        lower: Array | None = None,
        upper: Array | None = None,
        multipliers: Multipliers | None = None,
    ) -> Prepared:
        """Linearize at the decisions `w`, with the data that are expected: what can be done before a sample comes."""
        low, high = self._bounds(lower, upper)
        x = np.clip(w / self.scaling.columns, low, high)
        known = None if multipliers is None else multipliers[0] / self.scaling.rows * self.scaling.objective
        try:
            step = self._linearized(x, self.nlp.data if data is None else data, known)
            return Prepared(x, low, high, step, self._form.prepare(step))
        except (np.linalg.LinAlgError, FloatingPointError) as error:
            return Prepared(x, low, high, None, None, error)

    def feedback(
        self, prepared: Prepared, data: Array | None = None, lower: Array | None = None, upper: Array | None = None
    ) -> Outcome:
        """One step for the data that came: the program that was prepared, its values taken anew.

        `SOLVED` says that the quadratic program was; how far the step left the rows is the outcome's `violation`.
        """
        began = time.perf_counter()
        low = prepared.lower if lower is None else lower / self.scaling.columns
        high = prepared.upper if upper is None else upper / self.scaling.columns
        data = self.nlp.data if data is None else data
        x, bound, known = np.clip(prepared.x, low, high), np.zeros(self.nlp.columns), None
        status, message = Status.SOLVED, ""
        try:
            if prepared.step is None:
                raise prepared.error or FloatingPointError("nothing was prepared")
            point = self._finite(self._subproblem.point(prepared.x, data))
            step = self._subproblem.moved(prepared.step, point)
            answer = self._form.solve(step, prepared.parts, self._limits(prepared.x, low, high))
            d = self._subproblem.whole(step, answer.d)
            if self._subproblem.exact:
                known, bound = multipliers_of(self._subproblem, step, answer, d)
            x = np.clip(prepared.x + d, low, high)
        except (UnsolvedError, np.linalg.LinAlgError, FloatingPointError) as error:
            status, message = _failure(error)
        return self._stepped(_Reached(status, message, x, known, bound, 1), data, began)

    def step(
        self,
        w: Array,
        data: Array | None = None,
        lower: Array | None = None,
        upper: Array | None = None,
        multipliers: Multipliers | None = None,
    ) -> Outcome:
        """One step from the decisions `w`: preparation and feedback at once."""
        return self.feedback(self.prepare(w, data, lower, upper, multipliers), data)

    def _bounds(self, lower: Array | None, upper: Array | None) -> tuple[Array, Array]:
        """Scaled bounds of the columns. Raises SpecificationError for one that there was none of, inside an element."""
        low = self.nlp.lower if lower is None else lower
        high = self.nlp.upper if upper is None else upper
        free = self._subproblem.unlimited_inside
        if np.isfinite(low[free]).any() or np.isfinite(high[free]).any():
            new = free[np.flatnonzero(np.isfinite(low[free]) | np.isfinite(high[free]))[0]]
            raise SpecificationError(
                f"Sqp: {self.nlp.column_name(int(new))} had no bounds when the engine was built; give the problem the "
                f"bound, wide as it may be, and build the engine with it."
            )
        return low / self.scaling.columns, high / self.scaling.columns

    def _linearized(self, x: Array, data: Array, known: Array | None) -> Step:
        step = self._subproblem.step(x, data, known)
        self._finite(step.point)
        if not (np.isfinite(step.G).all() and np.isfinite(step.E).all() and np.isfinite(step.P).all()):
            raise FloatingPointError("a derivative is not finite")
        return step

    def _finite(self, point: Point) -> Point:
        if not (np.isfinite(point.objective) and np.isfinite(point.rows).all()):
            bad = np.flatnonzero(~np.isfinite(point.rows))
            raise FloatingPointError(f"not finite: {self.nlp.row_name(int(bad[0])) if len(bad) else 'the objective'}")
        return point

    def _limits(self, x: Array, low: Array, high: Array) -> Bounds:
        kept = self._subproblem.structure.kept
        return Bounds(low[kept] - x[kept], high[kept] - x[kept], *self._subproblem.limits(low, high))

    def _share(self, step: Step, d: Array, data: Array, multipliers: Array) -> float:
        """The share of a step after which the objective and what rows miss, priced, are less than before it."""
        s = self._subproblem
        prices = 1.1 * np.abs(multipliers)
        before = step.point.objective + float(prices @ s.missed(step.point))
        share = 1.0
        for _ in range(_HALVINGS):
            point = s.point(step.point.x + share * d, data)
            after = point.objective + float(prices @ s.missed(point))
            if after <= before + 1e-10 * abs(before):
                return share
            share *= 0.5
        return 1.0

    def _judged(self, reached: _Reached, data: Array, low: Array, high: Array, began: float) -> Outcome:
        """What came out, its optimality recomputed from the problem's own functions."""
        s, status = self._subproblem, reached.status
        rows = np.zeros(s.rows) if reached.rows is None else reached.rows
        point, slope = s.lagrangian(reached.x, data, rows, reached.columns)
        residuals = residuals_of(slope, (point.rows, *s.row_limits, rows), (reached.x, low, high, reached.columns))
        if status is Status.SOLVED and not residuals.hold(_TOLERANCE):
            status = Status.FAILED if np.isfinite(residuals).all() else Status.INVALID_NUMBER
        return self._outcome(replace(reached, status=status), point, residuals, began)

    def _stepped(self, reached: _Reached, data: Array, began: float) -> Outcome:
        """What one step gave; how optimal it is nobody asks."""
        point = self._subproblem.point(reached.x, data)
        violation = float(self._subproblem.missed(point).max(initial=0.0))
        status = reached.status
        if status is Status.SOLVED and not np.isfinite(violation + point.objective):
            status = Status.INVALID_NUMBER
        return self._outcome(replace(reached, status=status), point, Residuals(np.nan, violation, np.nan), began)

    def _outcome(self, reached: _Reached, point: Point, residuals: Residuals, began: float) -> Outcome:
        scaling = self.scaling
        rows = np.zeros(self._subproblem.rows) if reached.rows is None else reached.rows
        return Outcome(
            status=reached.status,
            w=reached.x * scaling.columns,
            row_multipliers=rows * scaling.rows / scaling.objective,
            bound_multipliers=reached.columns / scaling.columns / scaling.objective,
            objective=point.objective / scaling.objective,
            iterations=reached.iterations,
            seconds=time.perf_counter() - began,
            message=reached.message,
            stationarity=residuals.stationarity,
            violation=residuals.violation,
            complementarity=residuals.complementarity,
        )


@dataclass(frozen=True, eq=False)
class _Reached:
    """Where a solve ended: scaled columns, multipliers of rows and columns."""

    status: Status
    message: str
    x: Array
    rows: Array | None
    columns: Array
    iterations: int


def _failure(error: Exception) -> tuple[Status, str]:
    if isinstance(error, UnsolvedError):
        return (Status.INFEASIBLE if error.infeasible else Status.FAILED), str(error)
    if isinstance(error, FloatingPointError):
        return Status.INVALID_NUMBER, str(error)
    return Status.FAILED, f"the equations of an element do not determine it: {error}"
