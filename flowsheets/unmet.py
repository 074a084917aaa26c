"""Why did a phase not end? How near its condition came, where it was going, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.flowsheets.lowering import Lowered, evaluate
from titer.flowsheets.operation import Operation
from titer.flowsheets.recipe import Reaches
from titer.flowsheets.symbols.measure import DIMENSIONLESS
from titer.flowsheets.symbols.symbol import Symbol
from titer.numerics.integration.trajectory import Trajectory

Array = np.ndarray
_STILL = 1e-3  # of what is missing: a condition that comes nearer by less over the last tenth of a phase stands still


@dataclass(frozen=True, eq=False)
class Approach:
    """The two sides of a condition along a phase: what was to reach what, in a unit."""

    name: str  # of the left side, where it is one variable
    left: Array
    right: Array
    unit: str
    time: Array
    direction: int

    @property
    def gap(self) -> Array:
        """What was missing: positive before the condition is met."""
        ahead = self.left - self.right
        return -self.direction * ahead if self.direction else np.abs(ahead)

    def shown(self, number: float) -> str:
        return f"{number:.4g} {self.unit}" if self.unit not in ("", "1") else f"{number:.4g}"


def unmet(operation: Operation, t: Trajectory, p: Array, limit: float) -> str:
    """What is said of a phase that lasted as long as it may without meeting its condition."""
    assert operation.event is not None
    seen, unit = _approach(operation, t, p), operation.lowered.dae.time
    k = int(np.argmin(seen.gap))
    ended, wanted = seen.shown(seen.left[-1]), seen.shown(seen.right[-1])
    first = (
        f"Phase {operation.name!r}: {operation.event.text} is not met within {limit:g} {unit}, "
        f"the longest the phase may last: {seen.name} is {ended} then."
    )
    if k < len(seen.time) - 1 and seen.gap[k] < seen.gap[-1]:
        nearest = f"It came nearest at t = {seen.time[k]:.6g} {unit}: {seen.shown(seen.left[k])}, "
        near = f"{nearest}{seen.shown(seen.gap[k])} from {seen.shown(seen.right[k])}. "
    else:
        near = f"It was {seen.shown(seen.left[0])} when the phase began, and is nearest at its end, "
        near += f"{seen.shown(seen.gap[-1])} from {wanted}. "
    return f"{first}\n  {near}{_advice(seen)}"


def _advice(seen: Approach) -> str:
    """What to do: wait longer, or change the condition. Where it slows down, by Aitken's extrapolation of tenths."""
    first, last = seen.time[0], seen.time[-1]
    early, late, end = np.interp([last - 0.2 * (last - first), last - 0.1 * (last - first), last], seen.time, seen.gap)
    before, now = early - late, late - end
    if now <= _STILL * end:
        return (
            "It does not come nearer any more: a longer phase would not end either.\n"
            "  Check the value and the direction of the condition, and what drives it in this phase."
        )
    if now < before and (left := now**2 / (before - now)) < 0.9 * end:
        final = seen.right[-1] + np.sign(seen.left[-1] - seen.right[-1]) * (end - left)
        return (
            f"It slows down as if to level off near {seen.shown(final)}.\n"
            "  Check the value of the condition, and what drives it in this phase."
        )
    return "It is still on its way.\n  Raise the upper limit of its duration, or check the condition."


def _approach(operation: Operation, t: Trajectory, p: Array) -> Approach:
    lowered, until = operation.lowered, operation.phase.until
    assert operation.event is not None
    direction = operation.event.direction
    if isinstance(until, Reaches):
        variable = lowered.view[until.variable]
        missing = _along(lowered, until.residual(lowered.view), t, p)
        left = _along(lowered, variable, t, p)
        return Approach(until.variable, left, left - missing, _unit(variable), t.time, direction)
    assert until is not None
    relation = evaluate(until, lowered.view, "until")
    left, right = (_along(lowered, side, t, p) for side in (relation.left, relation.right))
    return Approach("the left side", left, right, _unit(relation.left), t.time, direction)


def _along(lowered: Lowered, value: Any, t: Trajectory, p: Array) -> Array:
    """A traced value at the points of a trajectory."""
    n = len(t.time)
    rows = lowered.function(value).map(n)(t.time[None, :], t.x, t.z, t.u, np.repeat(p[:, None], n, axis=1))
    return np.array(rows).ravel()


def _unit(value: Any) -> str:
    return (value.measure if isinstance(value, Symbol) else DIMENSIONLESS).label
