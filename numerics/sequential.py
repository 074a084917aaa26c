"""How is a smooth problem of few decisions solved when each evaluation is dear? By quadratic programs in a small box.

In each iteration the limits are linearized and the objective is a parabola with a damped BFGS matrix; where linearized
limits contradict each other, slacks pay for it (S l1 QP). The step stays in a box that grows and shrinks with how well
the model predicted, so that no step leads where nothing is known. Derivatives are asked for only at accepted points.
Multipliers and residuals are computed from what holds at the end. The quadratic programs are solved by DAQP.
Source: Fletcher, Practical Methods of Optimization (1987), ch. 14; Conn, Gould & Toint, Trust-Region Methods (2000).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import casadi as ca
import numpy as np

from titer.numerics.nlp import Array
from titer.numerics.optimality import Residuals, residuals_of

_ACTIVE = 1e-3  # scaled distance from which a limit may have a multiplier: their product is a residual
_FIRST, _LONGEST, _SHORTEST = 0.2, 10.0, 1e-7  # halves of the box, scaled
_NOISE = 1e-10  # of the merit: smaller differences say nothing
_WORTH = 1e-5  # residual above which a stalled search begins anew
_BEGINNINGS = 3  # searches at most, each with nothing learned yet
_REFUSALS = 12  # steps in a row that may be refused
_CHEAPEST, _DEAREST = 1.0, 1e5  # of a slack
_STRICT = 1e-6  # of the price of a slack: its curvature
_MISSED = 1e-9  # scaled, by which a limit may be missed
_KEPT = 1e-11  # by which a quadratic program may miss its limits; the solver's own 1e-6 leaves linear ties that far off


class End(Enum):
    """Why it ended; the value says it."""

    FOUND = "the optimality conditions hold"
    STALLED = "no further descent"
    ITERATIONS = "the iteration limit was reached"
    TIME = "the time limit was reached"
    INTERRUPTED = "interrupted by the user"
    NOT_FINITE = "a function is not finite at the start"


@dataclass(frozen=True, eq=False)
class Task:
    """minimize f subject to limits: `values`: x -> (f, rows), `slopes`: x -> (gradient, Jacobian), all of size about 1;
    `enough`: residuals of the optimality conditions that are aimed at."""

    values: Callable[[Array], tuple[float, Array]]
    slopes: Callable[[Array], tuple[Array, Array]]
    lower: Array
    upper: Array
    rows_lower: Array
    rows_upper: Array
    enough: float
    seconds: float
    iterations: int

    def missed(self, rows: Array) -> Array:
        """By how much each row is outside its limits, rounding left aside."""
        return np.maximum(np.maximum(self.rows_lower - rows, rows - self.rows_upper) - _MISSED, 0.0)


@dataclass(frozen=True, eq=False)
class Descent:
    """Where a descent ended: the point, multipliers (positive at upper limits), residuals, iterations."""

    end: End
    x: Array
    row_multipliers: Array
    bound_multipliers: Array
    residuals: Residuals
    iterations: int


def descend(task: Task, x: Array) -> Descent:
    """Solve from a point, put inside its bounds. Time limits and Ctrl-C leave the last accepted iterate."""
    began = time.perf_counter()
    x = np.clip(x, task.lower, task.upper)
    here: _Here | None = None
    k = 0
    try:
        here = _looked(task, x, *task.values(x))
        if here is None:
            return _nowhere(task, End.NOT_FINITE, x, 0)
        search = _Search(task, np.eye(len(x)))
        for k in range(task.iterations):
            if max(here.residuals) <= task.enough:
                return here.ended(End.FOUND, k)
            if time.perf_counter() - began > task.seconds:
                return here.ended(End.TIME, k)
            there = search.step(here) or search.anew(here)
            if there is None:
                return here.ended(End.STALLED, k)
            here = there
    except KeyboardInterrupt:
        return _nowhere(task, End.INTERRUPTED, x, 0) if here is None else here.ended(End.INTERRUPTED, k)
    return here.ended(End.ITERATIONS, task.iterations)


@dataclass(frozen=True, eq=False)
class _Here:
    """An accepted point with its derivatives, multipliers and residuals."""

    x: Array
    f: float
    rows: Array
    gradient: Array
    jacobian: Array
    of_rows: Array
    of_bounds: Array
    residuals: Residuals

    def ended(self, end: End, iterations: int) -> Descent:
        return Descent(end, self.x, self.of_rows, self.of_bounds, self.residuals, iterations)


class _Model(NamedTuple):
    """The solution of a quadratic program: step, multipliers of the rows, what slacks it needs, predicted change."""

    step: Array
    of_rows: Array
    slack: float
    change: float


class _Search:
    """The matrix, the box and the price of slacks, as they have become."""

    def __init__(self, task: Task, matrix: Array):
        self.task, self.matrix, self.fresh = task, matrix, True
        self.box, self.price, self.begun = _FIRST, 10.0, 1
        self._programs: dict[tuple[int, int], ca.Function] = {}

    def step(self, here: _Here) -> _Here | None:
        """The next accepted point, from the box that allows one; None where none does."""
        task = self.task
        for _ in range(_REFUSALS):
            model = self._model(here, here.rows)
            if model is None:
                self.box *= 0.25
                continue
            most = np.abs(model.of_rows).max(initial=0.0)
            if model.slack > 0.0 and most > 0.99 * self.price and self.price < _DEAREST:
                self.price *= 10.0  # slacks were the cheaper way
                continue
            self.price = float(np.clip(max(2.0 * most, 0.3 * self.price), _CHEAPEST, _DEAREST))
            predicted = self.price * (task.missed(here.rows).sum() - model.slack) - model.change
            size = float(np.abs(model.step).max())
            merit = here.f + self.price * task.missed(here.rows).sum()
            noise = _NOISE * max(1.0, abs(merit))
            if predicted <= 1e-4 * noise:
                return None
            for d in self._tried(here, model):
                x = np.clip(here.x + d, task.lower, task.upper)
                f, rows = task.values(x)
                gained = merit - f - self.price * task.missed(rows).sum()
                ratio = (gained + noise) / (predicted + noise)
                if np.isfinite(ratio) and ratio > 1e-3:
                    return self._accepted(here, (x, f, rows), model.of_rows, ratio, size)
            self.box = max(0.3 * min(size, self.box), _SHORTEST)
        return None

    def anew(self, here: _Here) -> _Here | None:
        """The next accepted point with what was learned forgotten, which may have been wrong; None where none is."""
        if self.fresh or self.begun == _BEGINNINGS or max(here.residuals) <= _WORTH:
            return None
        self.begun += 1
        self.matrix, self.fresh, self.box, self.price = np.eye(len(here.x)), True, 1e-2 * _FIRST, 10.0
        return self.step(here)

    def _tried(self, here: _Here, model: _Model):  # type: ignore[no-untyped-def]
        """The step, and where it fails the step that is corrected for the bend of the limits."""
        yield model.step
        _, rows = self.task.values(np.clip(here.x + model.step, self.task.lower, self.task.upper))
        if np.isfinite(rows).all() and self.task.missed(rows).sum() > 0.0:
            corrected = self._model(here, rows - here.jacobian @ model.step)
            if corrected is not None:
                yield corrected.step

    def _accepted(
        self, here: _Here, point: tuple[Array, float, Array], of_rows: Array, ratio: float, size: float
    ) -> _Here | None:
        there = _looked(self.task, *point)
        if there is None:
            return None
        if ratio > 0.75 and size > 0.9 * self.box:
            self.box = min(2.0 * self.box, _LONGEST)
        elif ratio < 0.25:
            self.box = 0.5 * min(size, self.box)
        self._learn(here, there, of_rows)
        return there

    def _learn(self, here: _Here, there: _Here, of_rows: Array) -> None:
        """Powell's damped BFGS on the Lagrangian, with the multipliers of the quadratic program."""
        s = there.x - here.x
        y = there.gradient - here.gradient + (there.jacobian - here.jacobian).T @ of_rows
        if not s.any():
            return
        if self.fresh and s @ y > 0.0:
            self.matrix = np.eye(len(s)) * float(np.clip((y @ y) / (s @ y), 1e-3, 1e6))
            self.fresh = False
        moved = self.matrix @ s
        curved = float(s @ moved)
        share = 1.0 if s @ y >= 0.2 * curved else 0.8 * curved / (curved - float(s @ y))
        y = share * y + (1.0 - share) * moved
        self.matrix = self.matrix - np.outer(moved, moved) / curved + np.outer(y, y) / float(s @ y)

    def _model(self, here: _Here, rows: Array) -> _Model | None:
        """The best step inside the box on the linearized problem, whose rows are `rows` at no step."""
        task, n, m = self.task, len(here.x), len(rows)
        if (n, m) not in self._programs:
            pattern = {"h": ca.Sparsity.dense(n + m, n + m), "a": ca.Sparsity.dense(2 * m, n + m)}
            options = {"error_on_fail": False, "daqp": {"primal_tol": _KEPT}}
            self._programs[n, m] = ca.conic("model", "daqp", pattern, options)
        hessian = np.diag(np.full(n + m, _STRICT * self.price))  # the solver wants it strictly convex
        hessian[:n, :n] = self.matrix
        one, none = np.eye(m), np.full(m, np.inf)
        solve = self._programs[n, m]
        result = solve(
            h=hessian,
            g=np.concatenate([here.gradient, np.full(m, self.price)]),
            a=np.block([[here.jacobian, one], [here.jacobian, -one]]),
            lba=np.concatenate([task.rows_lower - rows, -none]),
            uba=np.concatenate([none, task.rows_upper - rows]),
            lbx=np.concatenate([np.maximum(-self.box, task.lower - here.x), np.zeros(m)]),
            ubx=np.concatenate([np.minimum(self.box, task.upper - here.x), none]),
        )
        found, multipliers = np.array(result["x"]).ravel(), np.array(result["lam_a"]).ravel()
        if not solve.stats()["success"] or not np.isfinite(found).all():
            return None
        d = found[:n]
        change = float(here.gradient @ d + 0.5 * d @ self.matrix @ d)
        return _Model(d, multipliers[:m] + multipliers[m:], float(task.missed(rows + here.jacobian @ d).sum()), change)


def _looked(task: Task, x: Array, f: float, rows: Array) -> _Here | None:
    """All that is known of a point; None where a number is none."""
    if not (np.isfinite(f) and np.isfinite(rows).all()):
        return None
    gradient, jacobian = task.slopes(x)
    if not (np.isfinite(gradient).all() and np.isfinite(jacobian).all()):
        return None
    of_rows, of_bounds = _multipliers(task, x, rows, gradient, jacobian)
    residuals = residuals_of(
        gradient + jacobian.T @ of_rows + of_bounds,
        (rows, task.rows_lower, task.rows_upper, of_rows),
        (x, task.lower, task.upper, of_bounds),
    )
    return _Here(x, f, rows, gradient, jacobian, of_rows, of_bounds, residuals)


def _nowhere(task: Task, end: End, x: Array, count: int) -> Descent:
    unknown = Residuals(np.inf, np.inf, np.inf)
    return Descent(end, x, np.zeros(len(task.rows_lower)), np.zeros(len(x)), unknown, count)


def _multipliers(task: Task, x: Array, rows: Array, gradient: Array, jacobian: Array) -> tuple[Array, Array]:
    """Multipliers of limits that are reached, of the right signs, by least squares on the Lagrangian's gradient."""
    from scipy.optimize import lsq_linear

    values, lower, upper = (
        np.concatenate(pair) for pair in ((rows, x), (task.rows_lower, task.lower), (task.rows_upper, task.upper))
    )
    at_lower, at_upper = values - lower <= _ACTIVE, upper - values <= _ACTIVE
    active = np.flatnonzero(at_lower | at_upper)
    found = np.zeros(len(values))
    if len(active):
        normals = np.concatenate([jacobian, np.eye(len(x))])[active].T
        least = np.where(at_lower[active], -np.inf, 0.0)
        most = np.where(at_upper[active], np.inf, 1e-300)
        found[active] = lsq_linear(normals, -gradient, (least, most)).x
    return found[: len(rows)], found[len(rows) :]
