"""What does a given input look like in time? A number, a function of time, a Series or pieces become one `Signal`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.flowsheets.measure import Measure
from titer.flowsheets.profiles import Pieces, PiecewiseLinear
from titer.flowsheets.symbol import Symbol, magnitude
from titer.flowsheets.unit import number_in
from titer.numerics.errors import SpecificationError, TiterError
from titer.numerics.segment import Profile

Array = np.ndarray
_MOST_PIECES = 2000


@dataclass(frozen=True, eq=False)
class Signal:
    """Straight lines in the recipe's time: piece i runs from times[i] to times[i + 1], from left[i] to right[i].

    The last value holds ever after; before the first time there is none.
    """

    times: Array
    left: Array
    right: Array

    @staticmethod
    def constant(value: float) -> Signal:
        return Signal(np.array([-np.inf]), np.array([value]), np.array([value]))

    @property
    def is_constant(self) -> bool:
        return len(self.times) == 1

    def over(self, start: float, duration: float) -> tuple[Profile, Array]:
        """Shape and values on a phase that starts and lasts as given."""
        if self.is_constant:
            return Profile.steps(np.array([0.0, 1.0])), self.left
        end = start + duration
        inside = self.times[(self.times > start + 1e-9 * duration) & (self.times < end - 1e-9 * duration)]
        edges = np.concatenate([[start], inside, [end]])
        k = np.clip(np.searchsorted(self.times, 0.5 * (edges[:-1] + edges[1:]), side="right") - 1, 0, None)
        left, right = self._on(k, edges[:-1]), self._on(k, edges[1:])
        shape = (edges - start) / duration
        if np.allclose(left, right, rtol=1e-14, atol=0.0):
            return Profile.steps(shape), left
        if np.allclose(left[1:], right[:-1], rtol=1e-12, atol=0.0):
            return Profile.lines(shape), np.append(left, right[-1])
        return Profile.broken(shape), np.column_stack([left, right]).ravel()

    def _on(self, k: Array, t: Array) -> Array:
        last = k >= len(self.times) - 1
        width = np.where(last, 1.0, np.append(np.diff(self.times), 1.0)[k])
        share = np.where(last, 0.0, (t - self.times[k]) / width)
        return self.left[k] + (self.right[k] - self.left[k]) * share


def signal(value: Any, measure: Measure, name: str, end: float) -> Signal | Pieces:
    """A given trajectory. A number, quantity or Series becomes a Signal, so does a function of time that takes numbers only;
    pieces with values stay what they are, for they belong to a phase. Raises SpecificationError.
    """
    if isinstance(value, Pieces):
        if value.values is None:
            raise SpecificationError(
                f"inputs: {name} has no values. Pieces that are decided go into free={{...}} of an optimization; "
                f"give values=[...] here."
            )
        return value
    if hasattr(value, "index") and hasattr(value, "to_numpy"):
        return _of_series(value, name)
    if callable(value):
        return _of_function(value, measure, name, end)
    number = number_in(value, measure, name)
    if not np.isfinite(number):
        raise SpecificationError(f"inputs: {name} must be finite, got {number!r}.")
    return Signal.constant(number)


def profile_of(pieces: Pieces, duration: float, exact: bool) -> Profile:
    """The shape of pieces over a phase."""
    edges = pieces.edges(duration, exact)
    return Profile.lines(edges) if isinstance(pieces, PiecewiseLinear) else Profile.steps(edges)


def _of_series(series: Any, name: str) -> Signal:
    times, values = np.asarray(series.index, dtype=float), np.asarray(series.to_numpy(), dtype=float)
    if not len(times):
        raise SpecificationError(f"inputs: the Series for {name} is empty.")
    if not (np.isfinite(times).all() and np.isfinite(values).all()):
        raise SpecificationError(
            f"inputs: the Series for {name} has a time or value that is not finite; drop or fill it."
        )
    if np.any(np.diff(times) < 0.0):
        raise SpecificationError(f"inputs: the times of the Series for {name} are not sorted; use series.sort_index().")
    keep = np.append(np.diff(times) > 0.0, True)  # of equal times the last counts
    times, values = times[keep], values[keep]
    if len(times) == 1:
        return Signal.constant(float(values[0]))
    return Signal(times, values, values)


def _of_function(function: Callable[[float], Any], measure: Measure, name: str, end: float) -> Signal:
    """A function that takes numbers only, as straight lines with jumps, found by bisection.

    Steps and ramps are met exactly; a curved function needs more lines than are allowed, and is refused.
    """

    def at(t: float) -> float:
        try:
            value = number_in(function(t), measure, name)
        except TiterError:
            raise
        except Exception as error:
            raise SpecificationError(f"inputs: the function for {name} failed at t = {t:g}: {error}") from None
        if not np.isfinite(value):
            raise SpecificationError(f"inputs: the function for {name} gives {value!r} at t = {t:g}.")
        return value

    grid = np.linspace(0.0, end, 65)
    values = [at(float(t)) for t in grid]
    size = max(np.ptp(values), 1e-9 * max(abs(v) for v in values), 1e-300)
    lines: list[tuple[float, float, float]] = []

    def split(a: float, fa: float, b: float, fb: float) -> None:
        if len(lines) > _MOST_PIECES:
            raise SpecificationError(
                f"inputs: the function for {name} is curved and takes numbers only. Write it with NumPy functions of t "
                f"that need no `if`, or give a Series or PiecewiseLinear(values=...)."
            )
        thirds = [a + (b - a) * share for share in (0.2713, 0.5, 0.7192)]
        gaps = [abs(at(t) - (fa + (fb - fa) * (t - a) / (b - a))) for t in thirds]
        if max(gaps) <= 1e-7 * size:
            lines.append((a, fa, fb))
        elif b - a <= 1e-12 * end:
            lines.append((a, fb, fb))  # a jump: the value to its right holds
        else:
            middle = 0.5 * (a + b)
            fm = at(middle)
            split(a, fa, middle, fm)
            split(middle, fm, b, fb)

    for i in range(len(grid) - 1):
        split(float(grid[i]), values[i], float(grid[i + 1]), values[i + 1])
    return _merged(lines, float(end), 1e-9 * size)


def _merged(lines: list[tuple[float, float, float]], end: float, tolerance: float) -> Signal:
    """Neighbouring lines of one slope joined, slivers of jumps dropped."""
    starts = np.array([line[0] for line in lines])
    ends = np.append(starts[1:], end)
    kept: list[list[float]] = []  # start, end, left, right
    for a, b, (_, left, right) in zip(starts, ends, lines, strict=True):
        if b - a < 1e-9 * end and b < end:
            if kept:
                kept[-1][1] = b
            continue
        if kept:
            start, stop, first, last = kept[-1]
            expected = first + (last - first) * (b - start) / (stop - start)
            if abs(last - left) <= tolerance and abs(expected - right) <= 10 * tolerance:
                kept[-1][1], kept[-1][3] = b, right
                continue
        kept.append([a, b, left, right])
    if len(kept) == 1 and kept[0][2] == kept[0][3]:
        return Signal.constant(kept[0][2])
    last = kept[-1]
    times = np.array([k[0] for k in kept] + [last[1]])
    left = np.array([k[2] for k in kept] + [last[3]])
    right = np.array([k[3] for k in kept] + [last[3]])
    return Signal(times, left, right)


def traced(value: Any, time: Symbol, measure: Measure) -> Any | None:
    """A function of time on a symbol: its raw value, None where it takes numbers only.

    Time is a number in the flowsheet's time; the result is a number in the input's unit, or a quantity that converts.
    """
    try:
        result = value(time)
    except Exception:  # whatever stands in the way of a symbol, numbers may still go through
        return None
    if isinstance(result, Symbol):
        return result.value if not result.measure.names else magnitude(result, measure).value
    return float(result) if isinstance(result, int | float | np.number) else None
