"""How is an `Nlp` solved again and again in milliseconds? By SQP whose every part is built before.

A step: derivatives of all batches in one call, unknowns inside elements eliminated for all elements at once, one
quadratic program. `solve` repeats it; `prepare` and `feedback` are its two halves, before and after the data are known
(real-time iteration: Diehl et al., J. Process Control 12 (2002) 577).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.numerics.errors import SpecificationError
from titer.numerics.nlp import Array, Nlp
from titer.numerics.optimality import Residuals, residuals_of
from titer.numerics.program import Scaling
from titer.numerics.realtime.bounded import is_tracking
from titer.numerics.realtime.functions import Functions
from titer.numerics.realtime.iterating import Iterate, Way
from titer.numerics.realtime.multipliers import multipliers_of
from titer.numerics.realtime.quadratic import UnsolvedError
from titer.numerics.realtime.settings import Curvature, Sqp
from titer.numerics.realtime.subproblem import Point, Step
from titer.numerics.solvers import Outcome, Status

Multipliers = tuple[Array, Array]
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
        self._way = Way(nlp, scaling, functions, curvature is Curvature.EXACT)
        self._slow_way = self._way
        if self.solver.curvature is Curvature.AUTOMATIC and self._way.form.condensed:
            self._slow_way = self._way if self._way.exact else Way(nlp, scaling, functions, True)
        self._subproblem = self._way.subproblem
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
        iterate = self._begun(w, low, high, multipliers)
        status, message, way = Status.ITERATIONS, "", self._way
        try:
            while iterate.iterations < self.solver.iterations:
                if time.perf_counter() > end:
                    status = Status.TIME
                    break
                way.advance(iterate, data, low, high, self.solver.tolerance)
                way = self._slow_way if iterate.slow else way
                if iterate.size <= self.solver.tolerance:
                    status = Status.SOLVED if iterate.reach == 1.0 else Status.INFEASIBLE
                    break
        except (UnsolvedError, np.linalg.LinAlgError, FloatingPointError) as error:
            status, message = _failure(error)
        return self._judged(iterate, status, message, data, low, high, began)

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
        begun, data = self._begun(w, low, high, multipliers), self.nlp.data if data is None else data
        try:
            step = self._way.linearized(begun.x, data, begun.rows)
            return Prepared(begun.x, low, high, step, self._way.prepared(step, begun.columns))
        except (np.linalg.LinAlgError, FloatingPointError) as error:
            return Prepared(begun.x, low, high, None, None, error)

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
        reached = Iterate(np.clip(prepared.x, low, high), None, np.zeros(self.nlp.columns), np.zeros(0), 1)
        status, message, way = Status.SOLVED, "", self._way
        try:
            if prepared.step is None:
                raise prepared.error or FloatingPointError("nothing was prepared")
            point = way.finite(way.subproblem.point(prepared.x, data))
            step = way.subproblem.moved(prepared.step, point)
            answer = way.form.solve(step, prepared.parts, way.limits(prepared.x, low, high))
            d = way.subproblem.whole(step, answer.d)
            if way.exact:
                reached.rows, reached.columns = multipliers_of(way.subproblem, step, answer, d)
            reached.x = np.clip(prepared.x + d, low, high)
        except (UnsolvedError, np.linalg.LinAlgError, FloatingPointError) as error:
            status, message = _failure(error)
        return self._stepped(reached, status, message, data, began)

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

    def _begun(self, w: Array, low: Array, high: Array, multipliers: Multipliers | None) -> Iterate:
        x, prices = np.clip(w / self.scaling.columns, low, high), np.zeros(self._subproblem.rows)
        if multipliers is None:
            return Iterate(x, None, np.zeros(len(x)), prices)
        scale = self.scaling.objective
        rows, columns = multipliers[0] / self.scaling.rows * scale, multipliers[1] * self.scaling.columns * scale
        return Iterate(x, rows, columns, prices)

    def _judged(
        self, reached: Iterate, status: Status, message: str, data: Array, low: Array, high: Array, began: float
    ) -> Outcome:
        """What came out, its optimality recomputed from the problem's own functions."""
        s = self._subproblem
        rows = np.zeros(s.rows) if reached.rows is None else reached.rows
        point, slope = s.lagrangian(reached.x, data, rows, reached.columns)
        residuals = residuals_of(slope, (point.rows, *s.row_limits, rows), (reached.x, low, high, reached.columns))
        if status is Status.SOLVED and not residuals.hold(_TOLERANCE):
            status = Status.FAILED if np.isfinite(residuals).all() else Status.INVALID_NUMBER
        return self._outcome(reached, status, message, point, residuals, began)

    def _stepped(self, reached: Iterate, status: Status, message: str, data: Array, began: float) -> Outcome:
        """What one step gave; how optimal it is nobody asks."""
        point = self._subproblem.point(reached.x, data)
        violation = float(self._subproblem.missed(point).max(initial=0.0))
        if status is Status.SOLVED and not np.isfinite(violation + point.objective):
            status = Status.INVALID_NUMBER
        return self._outcome(reached, status, message, point, Residuals(np.nan, violation, np.nan), began)

    def _outcome(
        self, reached: Iterate, status: Status, message: str, point: Point, residuals: Residuals, began: float
    ) -> Outcome:
        scaling = self.scaling
        rows = np.zeros(self._subproblem.rows) if reached.rows is None else reached.rows
        return Outcome(
            status=status,
            w=reached.x * scaling.columns,
            row_multipliers=rows * scaling.rows / scaling.objective,
            bound_multipliers=reached.columns / scaling.columns / scaling.objective,
            objective=point.objective / scaling.objective,
            iterations=reached.iterations,
            seconds=time.perf_counter() - began,
            message=message,
            stationarity=residuals.stationarity,
            violation=residuals.violation,
            complementarity=residuals.complementarity,
        )


def _failure(error: Exception) -> tuple[Status, str]:
    if isinstance(error, UnsolvedError):
        return (Status.INFEASIBLE if error.infeasible else Status.FAILED), str(error)
    if isinstance(error, FloatingPointError):
        return Status.INVALID_NUMBER, str(error)
    return Status.FAILED, f"the equations of an element do not determine it: {error}"
