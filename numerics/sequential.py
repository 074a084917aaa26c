"""How is a smooth problem of few decisions solved when each evaluation is dear? By sequential quadratic programming.

SLSQP of SciPy: damped BFGS, a least-squares subproblem, an l1 merit function; gradients are asked for only at points
that were accepted. Multipliers and residuals are computed here, from what holds at the end, whatever it says of itself.
Source: Kraft, DFVLR-FB 88-28 (1988); Nocedal & Wright, Numerical Optimization (2006), ch. 18.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from titer.numerics.nlp import Array
from titer.numerics.optimality import Residuals, residuals_of

_ACTIVE = 1e-6  # scaled distance from which a limit counts as reached
_ROUNDS = 4  # of restarts with a fresh matrix, while the conditions do not hold well enough
_FIRST = 0.1  # longest first step against the gradient, scaled: before curvature is known a step of 1 leads anywhere
_PENALTY = 1e3  # by how much worse a point counts at which nothing could be computed


class End(Enum):
    """Why it ended; the value says it."""

    FOUND = "no further descent"
    INCOMPATIBLE = "the linearized limits contradict each other"
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
    x = np.clip(x, task.lower, task.upper)
    try:
        f, rows = task.values(x)
    except KeyboardInterrupt:
        return _ended(task, End.INTERRUPTED, x, 0)
    if not (np.isfinite(f) and np.isfinite(rows).all()):
        return _ended(task, End.NOT_FINITE, x, 0)
    watched = _Watched(task, x, f, rows)
    before = np.inf
    for k in range(_ROUNDS):
        end = _round(task, watched, 1.0 if k else _FIRST)
        if end in (End.TIME, End.INTERRUPTED):
            return _ended(task, end, watched.x, watched.count)
        found = _ended(task, end, watched.x, watched.count)
        worst = max(found.residuals)
        if worst <= task.enough or worst > 0.5 * before or watched.count >= task.iterations:
            return found
        before = worst
    return found


class _LateError(Exception):
    """The time is up."""


@dataclass
class _Watched:
    """The last accepted iterate, and values for the solver: of what is not finite, bad ones."""

    task: Task
    x: Array
    f: float
    rows: Array
    count: int = 0
    began: float = field(default_factory=time.perf_counter)

    def values(self, x: Array) -> tuple[float, Array]:
        if time.perf_counter() - self.began > self.task.seconds:
            raise _LateError
        f, rows = self.task.values(x)
        if np.isfinite(f) and np.isfinite(rows).all():
            return f, rows
        return self.f + _PENALTY * (1.0 + abs(self.f)), self.rows

    def accept(self, x: Array) -> None:
        f, rows = self.task.values(x)
        if np.isfinite(f) and np.isfinite(rows).all():
            self.x, self.f, self.rows = np.array(x), f, rows
        self.count += 1


def _round(task: Task, watched: _Watched, factor: float) -> End:
    """One run of SLSQP from the last accepted iterate; `factor` of the objective, and so of the first step."""
    from scipy.optimize import minimize

    try:
        result = minimize(
            lambda x: factor * watched.values(x)[0],
            watched.x,
            jac=lambda x: factor * task.slopes(x)[0],
            bounds=list(zip(task.lower, task.upper, strict=True)),
            constraints=_constraints(task, watched),
            method="SLSQP",
            callback=watched.accept,
            options={"ftol": factor * 1e-2 * task.enough**1.5, "maxiter": max(task.iterations - watched.count, 1)},
        )
    except _LateError:
        return End.TIME
    except KeyboardInterrupt:
        return End.INTERRUPTED
    if np.isfinite(result.x).all() and result.status == 0:
        watched.accept(result.x)
        watched.count -= 1
    return {4: End.INCOMPATIBLE, 9: End.ITERATIONS}.get(int(result.status), End.FOUND)


def _constraints(task: Task, watched: _Watched) -> list[dict[str, Any]]:
    """The limits as SLSQP wants them: equalities, and what is not to be negative."""
    equal = np.flatnonzero(task.rows_lower == task.rows_upper)
    low = np.flatnonzero(np.isfinite(task.rows_lower) & (task.rows_lower < task.rows_upper))
    high = np.flatnonzero(np.isfinite(task.rows_upper) & (task.rows_lower < task.rows_upper))
    found: list[dict[str, Any]] = []
    for kind, chosen, sign, limit in (
        ("eq", equal, 1.0, task.rows_lower),
        ("ineq", low, 1.0, task.rows_lower),
        ("ineq", high, -1.0, task.rows_upper),
    ):
        if len(chosen):

            def value(x: Array, chosen: Array = chosen, sign: float = sign, limit: Array = limit) -> Array:
                return sign * (watched.values(x)[1][chosen] - limit[chosen])

            def slope(x: Array, chosen: Array = chosen, sign: float = sign) -> Array:
                return sign * task.slopes(x)[1][chosen]

            found.append({"type": kind, "fun": value, "jac": slope})
    return found


def _ended(task: Task, end: End, x: Array, count: int) -> Descent:
    """Multipliers that make the conditions hold best, and how well they hold."""
    x = np.clip(x, task.lower, task.upper)
    m, n = len(task.rows_lower), len(x)
    if end in (End.NOT_FINITE, End.INTERRUPTED):
        return Descent(end, x, np.zeros(m), np.zeros(n), Residuals(np.inf, np.inf, np.inf), count)
    (_, rows), (gradient, jacobian) = task.values(x), task.slopes(x)
    of_rows, of_bounds = _multipliers(task, x, rows, gradient, jacobian)
    residuals = residuals_of(
        gradient + jacobian.T @ of_rows + of_bounds,
        (rows, task.rows_lower, task.rows_upper, of_rows),
        (x, task.lower, task.upper, of_bounds),
    )
    return Descent(end, x, of_rows, of_bounds, residuals, count)


def _multipliers(task: Task, x: Array, rows: Array, gradient: Array, jacobian: Array) -> tuple[Array, Array]:
    """Multipliers of limits that are reached, of the right signs, by least squares on the Lagrangian's gradient."""
    from scipy.optimize import lsq_linear

    values, lower, upper = (
        np.concatenate(pair) for pair in ((rows, x), (task.rows_lower, task.lower), (task.rows_upper, task.upper))
    )
    at_lower, at_upper = values - lower <= _ACTIVE, upper - values <= _ACTIVE
    active = np.flatnonzero(at_lower | at_upper)
    found = np.zeros(len(values))
    if len(active) and np.isfinite(gradient).all() and np.isfinite(jacobian).all():
        normals = np.concatenate([jacobian, np.eye(len(x))])[active].T
        least = np.where(at_lower[active], -np.inf, 0.0)
        most = np.where(at_upper[active], np.inf, 1e-300)
        found[active] = lsq_linear(normals, -gradient, (least, most)).x
    return found[: len(rows)], found[len(rows) :]
