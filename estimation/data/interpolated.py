"""How did a measured input run between its readings? `Interpolated`: in straight lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

_MOST_POINTS = 1900
_NARROWEST = 1.0 / 1800.0  # of the recipe: three readings closer than that may be overlooked when lines are found


@dataclass(frozen=True, eq=False)
class Interpolated:
    """Readings of an input over time, joined by straight lines: `inputs={reactor.O: Interpolated(series)}`.

    `series` is indexed by time and begins when the recipe does, or earlier; its last value holds on. (A Series alone is
    a step at each of its times.) A function of time: of the recipe's, in the flowsheet's unit.
    """

    series: pd.Series

    def __post_init__(self) -> None:
        series = self.series
        if not (hasattr(series, "index") and hasattr(series, "to_numpy")) or series.ndim != 1:
            raise SpecificationError(f"Interpolated: expected a Series of readings over time, got {series!r}.")
        try:
            times, values = np.asarray(series.index, dtype=float), np.asarray(series, dtype=float)
        except (TypeError, ValueError):
            raise SpecificationError("Interpolated: a time or value of the Series is no number.") from None
        if len(times) < 2:
            raise SpecificationError(f"Interpolated: lines need at least two readings, got {len(times)}.")
        if not (np.isfinite(times).all() and np.isfinite(values).all()):
            k = int(np.flatnonzero(~(np.isfinite(times) & np.isfinite(values)))[0])
            raise SpecificationError(
                f"Interpolated: the reading {values[k]} at t = {times[k]:g} is not finite.\n"
                f"  Drop it, series.dropna(), to draw the line across the gap."
            )
        if np.any(np.diff(times) <= 0.0):
            k = int(np.argmax(np.diff(times) <= 0.0))
            raise SpecificationError(
                f"Interpolated: the times must rise: {times[k + 1]:g} follows {times[k]:g}.\n"
                f"  Sort the Series; a jump is two readings close to each other, or a Series of steps."
            )
        if len(times) > _MOST_POINTS:
            raise SpecificationError(
                f"Interpolated: {len(times)} readings, at most {_MOST_POINTS} lines are met exactly. Average some."
            )
        object.__setattr__(self, "_times", times)
        object.__setattr__(self, "_values", values)

    def __call__(self, t: float) -> float:
        times, values = self.__dict__["_times"], self.__dict__["_values"]
        if float(t) < times[0] - 1e-9 * (times[-1] - times[0]):
            raise SpecificationError(f"no reading before t = {times[0]:g}; let the Series begin when the recipe does.")
        return float(np.interp(float(t), times, values))

    def check_fineness(self, length: float, what: str) -> None:
        """Readings must not be so close that a peak between them is overlooked. Raises SpecificationError."""
        times = self.__dict__["_times"]
        inside = times[(times >= 0.0) & (times <= length)]
        close = inside[2:] - inside[:-2] < _NARROWEST * length
        if close.any():
            k = int(np.argmax(close))
            raise SpecificationError(
                f"{what}: three readings between t = {inside[k]:g} and {inside[k + 2]:g} are closer than 1/1800 of "
                f"the recipe ({length:g}).\n  Average readings that are so close."
            )
