"""What is one step of SQP? Derivatives, a quadratic program, and as much of its step as does good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.numerics.nlp import Array, Nlp
from titer.numerics.program import Scaling
from titer.numerics.realtime.condensed import Condensed
from titer.numerics.realtime.functions import Functions
from titer.numerics.realtime.multipliers import multipliers_of
from titer.numerics.realtime.quadratic import Answer, Bounds
from titer.numerics.realtime.sparse import Sparse
from titer.numerics.realtime.subproblem import Point, Step, Subproblem

_LARGE = 0.1  # scaled step up to which a step is taken whole
_CONTRACTS = 0.5  # of the step before: a step that is shorter than this is taken whole too
_HALVINGS = 5
_SLOW = 0.3  # of the step before: one that is longer after a few iterations asks for exact curvature
_FEW = 3
_FEW_FREE = 100  # free columns up to which condensing is faster; exact curvature needs it
_REACHES = (1.0, 0.5, 0.2, 0.05)  # shares of what rows miss that a step may make up for


@dataclass
class Iterate:
    """Where a solve is: scaled columns, multipliers of rows and columns where they are known, and its last step."""

    x: Array
    rows: Array | None
    columns: Array
    prices: Array
    iterations: int = 0
    size: float = np.inf
    before: float = np.inf
    reach: float = 1.0

    @property
    def slow(self) -> bool:
        """Whether steps hardly become shorter."""
        return self.iterations >= _FEW and self.size > _SLOW * self.before


class Way:
    """Steps with one curvature: the program of a step, and who solves it."""

    def __init__(self, nlp: Nlp, scaling: Scaling, functions: Functions, exact: bool):
        self.nlp, self.exact = nlp, exact
        self.subproblem = Subproblem(nlp, scaling, functions, exact)
        functions.build(exact)
        few = exact or self.subproblem.free <= _FEW_FREE
        self.form: Condensed | Sparse = Condensed(self.subproblem) if few else Sparse(self.subproblem)

    def linearized(self, x: Array, data: Array, multipliers: Array | None) -> Step:
        """The program of a step. Raises FloatingPointError for what is not finite, LinAlgError."""
        step = self.subproblem.step(x, data, multipliers)
        self.finite(step.point)
        if not (np.isfinite(step.G).all() and np.isfinite(step.E).all() and np.isfinite(step.P).all()):
            raise FloatingPointError("a derivative is not finite")
        return step

    def finite(self, point: Point) -> Point:
        """The point itself. Raises FloatingPointError where it is not finite."""
        if not (np.isfinite(point.objective) and np.isfinite(point.rows).all()):
            bad = np.flatnonzero(~np.isfinite(point.rows))
            raise FloatingPointError(f"not finite: {self.nlp.row_name(int(bad[0])) if len(bad) else 'the objective'}")
        return point

    def prepared(self, step: Step, bound: Array) -> Any:
        """What of a program does not depend on values. `bound`: multipliers of the columns, not 0 where one is held."""
        s = self.subproblem
        return self.form.prepare(step, bound[s.structure.kept[: s.free]] != 0.0)

    def limits(self, x: Array, low: Array, high: Array) -> Bounds:
        """Limits of a step from x."""
        kept = self.subproblem.structure.kept
        return Bounds(low[kept] - x[kept], high[kept] - x[kept], *self.subproblem.limits(low, high))

    def advance(self, iterate: Iterate, data: Array, low: Array, high: Array, tolerance: float) -> None:
        """Take one step. Raises UnsolvedError, FloatingPointError and LinAlgError where there is none."""
        x = iterate.x
        step = self.linearized(x, data, iterate.rows)
        parts = self.prepared(step, iterate.columns)
        answer = self.form.solve(step, parts, self.limits(x, low, high), _REACHES)
        d = self.subproblem.whole(step, answer.d)
        iterate.iterations += 1
        iterate.before, iterate.size, iterate.reach = iterate.size, float(np.abs(d).max(initial=0.0)), answer.reach
        careful = iterate.size > _LARGE and iterate.size > _CONTRACTS * iterate.before
        if self.exact or careful or iterate.slow or iterate.size <= tolerance:
            self._learn(iterate, step, answer, d)
        share = self._share(step, d, data, iterate.prices) if careful else 1.0
        iterate.x = np.clip(x + share * d, low, high)

    def _learn(self, iterate: Iterate, step: Step, answer: Answer, d: Array) -> None:
        iterate.rows, iterate.columns = multipliers_of(self.subproblem, step, answer, d)
        iterate.prices = np.maximum(iterate.prices, 1.1 * np.abs(iterate.rows))

    def _share(self, step: Step, d: Array, data: Array, prices: Array) -> float:
        """The share of a step after which the objective and what rows miss, priced, are less than before it."""
        s = self.subproblem
        before = step.point.objective + float(prices @ s.missed(step.point))
        share = 1.0
        for _ in range(_HALVINGS):
            point = s.point(step.point.x + share * d, data)
            after = point.objective + float(prices @ s.missed(point))
            if after <= before + 1e-10 * abs(before):
                return share
            share *= 0.5
        return share
