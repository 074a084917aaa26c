"""What does a given input look like in time? A number, a function of time, a Series or pieces become one `Signal`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from titer.flowsheets.lines import lines_of
from titer.flowsheets.profiles import Pieces
from titer.flowsheets.scalar import number_in
from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbols.symbol import Symbol, magnitude
from titer.numerics.errors import DeclarationError, SpecificationError, TiterError
from titer.numerics.segment import Profile

Array = np.ndarray
_MOST_LINES = 2000


@dataclass(frozen=True, eq=False)
class Signal:
    """Straight lines in the recipe's time: line i runs from times[i] to times[i + 1], from left[i] to right[i].

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
        return bool(self.times[0] == -np.inf)

    def over(self, start: float, duration: float) -> tuple[Profile, Array]:
        """Shape and values on a phase that starts and lasts as given."""
        if self.is_constant:
            return Profile.steps(np.array([0.0, 1.0])), self.left
        end = start + duration
        inside = self.times[(self.times > start + 1e-9 * duration) & (self.times < end - 1e-9 * duration)]
        edges = np.concatenate([[start], inside, [end]])
        k = np.clip(np.searchsorted(self.times, 0.5 * (edges[:-1] + edges[1:]), side="right") - 1, 0, None)
        return shape_of((edges - start) / duration, self._on(k, edges[:-1]), self._on(k, edges[1:]))

    def within(self, lower: float, upper: float) -> Signal:
        """The same, moved inside bounds."""
        return replace(self, left=np.clip(self.left, lower, upper), right=np.clip(self.right, lower, upper))

    def _on(self, k: Array, t: Array) -> Array:
        last = k >= len(self.times) - 1
        width = np.where(last, 1.0, np.append(np.diff(self.times), 1.0)[k])
        share = np.where(last, 0.0, (t - self.times[k]) / width)
        return self.left[k] + (self.right[k] - self.left[k]) * share


def shape_of(edges: Array, left: Array, right: Array) -> tuple[Profile, Array]:
    """The simplest shape of lines between `edges` from `left` to `right`: steps, joined lines, or lines with jumps."""
    if np.array_equal(left, right):
        return Profile.steps(edges), left
    if np.allclose(left[1:], right[:-1], rtol=1e-12, atol=0.0):
        return Profile.lines(edges), np.append(left, right[-1])
    return Profile.broken(edges), np.column_stack([left, right]).ravel()


def signal(value: Any, measure: Measure, name: str, end: float) -> Signal | Pieces:
    """A given trajectory. A number, quantity or Series becomes a Signal, so does a function of time that takes numbers
    only; pieces with values stay pieces, for they belong to a phase. `end`: time up to which a function is asked.
    Raises SpecificationError.
    """
    what = f"inputs: {name}"
    if isinstance(value, Pieces):
        if value.values is None:
            raise SpecificationError(
                f"{what} has no values. Pieces that are decided go into free={{...}} of an optimization; "
                f"give values=[...] here."
            )
        return replace(value, values=[finite(v, measure, what) for v in value.values])
    if _is_series(value):
        return _of_series(value, measure, name)
    if callable(value):
        return _of_function(value, measure, name, end)
    return Signal.constant(finite(value, measure, what))


def sampled(value: Any, measure: Measure, name: str, end: float) -> Signal | Pieces:
    """A given trajectory as a guess: a function of time need not be met exactly, lines through samples do."""
    if not callable(value) or _is_series(value):
        return signal(value, measure, name, end)
    times = np.linspace(0.0, end, 401)
    function = _checked(value, measure, name)
    values = np.array([function(t) for t in times.tolist()])
    return Signal(times, values, np.append(values[1:], values[-1]))


def traced(value: Any, time: Symbol, measure: Measure, name: str) -> Any | None:
    """A function of time on a symbol: its raw value, None where it takes numbers only.

    Time is a number in the flowsheet's time; the result is a number in the input's unit, or a quantity that converts.
    """
    if not callable(value) or _is_series(value):
        return None
    try:
        result = value(time)
    except Exception:  # whatever stands in the way of a symbol, numbers may still go through
        return None
    if isinstance(result, Symbol) and result.reading is time.reading:
        if result.measure is DIMENSIONLESS:
            return result.value
        try:
            return magnitude(result, measure).value
        except DeclarationError as error:
            raise SpecificationError(f"inputs: the function for {name}: {error}") from None
    return finite(result, measure, f"inputs: the function for {name}")


def finite(value: Any, measure: Measure, what: str) -> float:
    """A finite number in the unit of `what`; a quantity converts. Raises SpecificationError."""
    number = in_unit(value, measure, what)
    if not np.isfinite(number):
        raise SpecificationError(f"{what} must be finite, got {number!r}.")
    return number


def in_unit(value: Any, measure: Measure, what: str) -> float:
    """A number, possibly infinite, in the unit of `what`; a quantity converts. Raises SpecificationError."""
    try:
        return number_in(value, measure, what)
    except DeclarationError as error:
        raise SpecificationError(str(error)) from None


def _is_series(value: Any) -> bool:
    return hasattr(value, "index") and hasattr(value, "to_numpy")


def _of_series(series: Any, measure: Measure, name: str) -> Signal:
    what = f"inputs: the Series for {name}"
    if series.ndim != 1:
        raise SpecificationError(f"{what} is a table; give one column of it: frame[column].")
    if not len(series):
        raise SpecificationError(f"{what} is empty.")
    if series.index.dtype.kind not in "iuf":
        raise SpecificationError(
            f"{what} is indexed by {series.index.dtype}, expected numbers: times in the flowsheet's time unit."
        )
    times = np.asarray(series.index, dtype=float)
    values = np.array([in_unit(value, measure, what) for value in series.to_numpy().tolist()])
    if not (np.isfinite(times).all() and np.isfinite(values).all()):
        raise SpecificationError(f"{what} has a time or value that is not finite; drop or fill it.")
    if np.any(np.diff(times) < 0.0):
        raise SpecificationError(f"{what} has times that are not sorted; use series.sort_index().")
    keep = np.append(np.diff(times) > 0.0, True)  # of equal times the last counts
    return Signal(times[keep], values[keep], values[keep])


def _of_function(function: Callable[[float], Any], measure: Measure, name: str, end: float) -> Signal:
    """A function that takes numbers only: steps and ramps are met exactly, a curved function is refused."""
    lines = lines_of(_checked(function, measure, name), end, _MOST_LINES)
    if lines is None:
        raise SpecificationError(
            f"inputs: the function for {name} is curved and takes numbers only.\n"
            f"  Write it with NumPy functions of t that need no `if`, or give a Series or PiecewiseLinear(values=...)."
        )
    if len(lines) == 1 and lines[0].left == lines[0].right:
        return Signal.constant(lines[0].left)
    last = lines[-1]
    return Signal(
        times=np.array([line.start for line in lines] + [last.stop]),
        left=np.array([line.left for line in lines] + [last.right]),
        right=np.array([line.right for line in lines] + [last.right]),
    )


def _checked(function: Callable[[float], Any], measure: Measure, name: str) -> Callable[[float], float]:
    """A user's function of time, with errors that say whose it is."""

    def at(t: float) -> float:
        try:
            value = function(t)
        except TiterError as error:
            raise SpecificationError(f"inputs: the function for {name} failed at t = {t:g}: {error}") from None
        except Exception as error:
            raise SpecificationError(
                f"inputs: the function for {name} failed at t = {t:g}: {type(error).__name__}: {error}"
            ) from error
        return finite(value, measure, f"inputs: the function for {name} at t = {t:g}")

    return at
