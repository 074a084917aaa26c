"""How are all decisions improved together? By sequential quadratic programming, with exact gradients and limits.

Method: SLSQP (Kraft, DFVLR-FB 88-28, 1988), through criteria that approach one with kinks.
"""

from __future__ import annotations

import numpy as np

from titer.estimation.designs.planning import Plan, Planning
from titer.estimation.designs.prospect import Course, LostError, Prospect

Array = np.ndarray
_LOST = 1e3  # what decisions cost with which a batch does not run
_SETTLED = 1e-9  # change of a logarithm that ends a descent
_KEPT = -1e-8  # relative violation of a limit that is rounding


def minimized(planning: Planning, plan: Plan, iterations: int = 100) -> Plan:
    """The plan improved by SLSQP, all decisions together."""
    for power in planning.aim.criterion.steps:
        plan = _Descent(planning, plan, power).run(iterations)
    return plan


class _Descent:
    """One descent: decisions in shares of their ranges, times in shares of the longest batch."""

    def __init__(self, planning: Planning, plan: Plan, power: float):
        self.planning, self.power, self.plan = planning, power, plan
        ranges = [_range(prospect, plan.decided[b]) for b, prospect in enumerate(planning.prospects)]
        low, width = (np.concatenate([r[i] for r in ranges]) for i in (0, 1))
        self.bounds = [pair for r in ranges for pair in r[2]]
        self.low, self.width = [low], [width]
        self.slots = [(b, g) for b, p in enumerate(planning.prospects)
                      for g, group in enumerate(p.groups) if group.decided]  # fmt: skip
        for b, g in self.slots:
            first, last = planning.prospects[b].proposal.window
            longest = sum(p.operation.duration.upper for p in planning.prospects[b].assembled.runs[0])
            count = len(plan.times[b][g])
            self.low.append(np.zeros(count))
            self.width.append(np.full(count, longest))
            self.bounds += [(first / longest, min(last, longest) / longest)] * count
        self.low_, self.width_ = np.concatenate(self.low), np.concatenate(self.width)
        self.best: tuple[float, Array] = (np.inf, self.packed(plan))
        self.last: tuple[Array, float, Array] | None = None

    def run(self, iterations: int) -> Plan:
        from scipy.optimize import minimize

        x = self.packed(self.plan)
        if not len(x):
            return self.plan
        constraints = [{"type": "ineq", "fun": self._apart, "jac": self._apart_slopes}]
        constraints.append({"type": "ineq", "fun": self._room, "jac": self._room_slopes})
        minimize(
            self._objective, x, jac=True, method="SLSQP", bounds=self.bounds, constraints=constraints,
            options={"maxiter": iterations, "ftol": _SETTLED},
        )  # fmt: skip
        return self.unpacked(self.best[1])

    def packed(self, plan: Plan) -> Array:
        parts = [*plan.decided, *(np.sort(plan.times[b][g]) for b, g in self.slots)]
        return (np.concatenate([np.zeros(0), *parts]) - self.low_) / self.width_

    def unpacked(self, x: Array) -> Plan:
        values = self.low_ + self.width_ * np.clip(x, [a for a, _ in self.bounds], [b for _, b in self.bounds])
        decided, at = [], 0
        for prospect in self.planning.prospects:
            decided.append(values[at : at + len(prospect.decided)])
            at += len(prospect.decided)
        times = [list(own) for own in self.plan.times]
        for b, g in self.slots:
            count = len(times[b][g])
            times[b][g] = values[at : at + count]
            at += count
        return Plan(tuple(decided), tuple(tuple(own) for own in times))

    def _objective(self, x: Array) -> tuple[float, Array]:
        if self.last is not None and np.array_equal(x, self.last[0]):
            return self.last[1], self.last[2]
        try:
            value, slopes = self.planning.smooth(self.unpacked(x), self.power)
        except LostError:
            return _LOST, np.zeros(len(x))
        parts = [s[0] for s in slopes] + [slopes[b][1][g] for b, g in self.slots]
        gradient = np.concatenate(parts) * self.width_
        if value < self.best[0] and min(self._room(x).min(initial=0.0), self._apart(x).min(initial=0.0)) > _KEPT:
            self.best = (value, x.copy())
        self.last = (x.copy(), value, gradient)
        return value, gradient

    def _apart(self, x: Array) -> Array:
        """Times rise by the spacing at least."""
        return self._apart_slopes(x) @ x - self._spacings()

    def _spacings(self) -> Array:
        found = [np.zeros(0)]
        for (b, g), width in zip(self.slots, self.width[1:], strict=True):
            count = len(self.plan.times[b][g])
            found.append(np.full(count - 1, self.planning.prospects[b].proposal.spacing / width[0]))
        return np.concatenate(found)

    def _apart_slopes(self, x: Array) -> Array:
        at, rows = len(self.low[0]), [np.zeros((0, len(x)))]
        for b, g in self.slots:
            count = len(self.plan.times[b][g])
            block = np.zeros((count - 1, len(x)))
            block[np.arange(count - 1), at + np.arange(1, count)] = 1.0
            block[np.arange(count - 1), at + np.arange(count - 1)] -= 1.0
            rows.append(block)
            at += count
        return np.concatenate(rows)

    def _room(self, x: Array) -> Array:
        """Last samples before the end, and the limits of each batch."""
        return self._rooms(x)[0]

    def _room_slopes(self, x: Array) -> Array:
        return self._rooms(x)[1]

    def _rooms(self, x: Array) -> tuple[Array, Array]:
        plan = self.unpacked(x)
        values: list[Array] = [np.zeros(0)]
        slopes: list[Array] = [np.zeros((0, len(x)))]
        first = np.cumsum([0, *(len(p.decided) for p in self.planning.prospects)])
        at = int(first[-1])
        lengths = []
        for b, prospect in enumerate(self.planning.prospects):
            own = slice(int(first[b]), int(first[b + 1]))
            try:
                course = self.planning.course(0, b, plan.decided[b])
            except LostError:
                course = self.planning.courses[0, b]
            lengths.append((*prospect.length(course), own))
            for value, slope in _limited(prospect, course):
                row = np.zeros((len(value), len(x)))
                row[:, own] = slope * self.width_[own]
                values.append(value)
                slopes.append(row)
        for b, prospect in enumerate(self.planning.prospects):
            length, slope, own = lengths[b]
            latest = max((g.given[-1] for g in prospect.groups if not g.decided), default=0.0)
            row = np.zeros((1, len(x)))
            row[0, own] = slope * self.width_[own] / max(latest, 1e-300)
            if latest and row.any():  # given samples are inside the batch
                values.append(np.array([length / latest - 1.0]))
                slopes.append(row)
        for b, g in self.slots:
            length, slope, own = lengths[b]
            last = at + len(plan.times[b][g]) - 1
            row = np.zeros((1, len(x)))
            row[0, own] = slope * self.width_[own] / self.width_[last]
            row[0, last] = -1.0
            values.append(np.array([length / self.width_[last] - x[last]]))
            slopes.append(row)
            at = last + 1
        return np.concatenate(values), np.concatenate(slopes)


def _limited(prospect: Prospect, course: Course) -> list[tuple[Array, Array]]:
    """How far a batch stays inside its limits, relative to them, and the derivatives in its decisions."""
    lower, upper = prospect.limits
    found = []
    for bound, sign in ((lower, 1.0), (upper, -1.0)):
        kept = np.isfinite(bound)
        size = np.where(np.abs(bound[kept]) > 0.0, np.abs(bound[kept]), 1.0)
        found.append((sign * (course.limited[kept] - bound[kept]) / size, sign * course.slopes[kept] / size[:, None]))
    return found


def _range(prospect: Prospect, decided: Array) -> tuple[Array, Array, list[tuple[float, float]]]:
    """Origin and width of the range of each decision, and its bounds in shares of it."""
    lower, upper = prospect.bounds
    closed = np.isfinite(lower) & np.isfinite(upper) & (upper > lower)
    low = np.where(closed, lower, 0.0)
    width = np.where(closed, upper - lower, prospect.sizes[prospect.decided])
    with np.errstate(invalid="ignore"):
        pairs = list(zip(((lower - low) / width).tolist(), ((upper - low) / width).tolist(), strict=True))
    return low, width, pairs
