"""How wide and how skew is a peak? Moments, plates, asymmetry, resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.numerics.errors import SpecificationError

Array = np.ndarray


@dataclass(frozen=True)
class Moments:
    """Moments of a peak over time or volume: `area`, `mean`, `variance` about it, `skew` (variance^-3/2 scaled)."""

    area: float
    mean: float
    variance: float
    skew: float

    @property
    def plates(self) -> float:
        """The number of theoretical plates, mean^2 / variance."""
        return self.mean**2 / self.variance

    def plate_height(self, height: float) -> float:
        """The height of a plate, in the unit of the bed's height."""
        return height / self.plates

    def without(self, area: float, mean: float, variance: float = 0.0) -> Moments:
        """The column's own: mean and variance less those of dead volumes or of the injection; `area` scales them."""
        third = self.skew * self.variance**1.5
        left = self.variance - variance
        return Moments(self.area / area, self.mean - mean, left, third / left**1.5)


@dataclass(frozen=True)
class Peak:
    """A peak as it is read off paper: its top, its width at half height, and how far both sides are at a tenth."""

    at: float
    height: float
    half_width: float
    front: float
    tail: float

    @property
    def plates(self) -> float:
        """Plates by the width at half height, 8 ln 2 (at / half_width)^2."""
        return 8.0 * math.log(2.0) * (self.at / self.half_width) ** 2

    @property
    def asymmetry(self) -> float:
        """Tail by front at a tenth of the height: above 1 the peak tails."""
        return self.tail / self.front


def moments(signal: Any) -> Moments:
    """Moments of a Series over time or volume, exact for lines between its points; a baseline is to be taken off first.

    Raises SpecificationError where there is no area.
    """
    x, y = _read(signal, "moments")
    gap = np.diff(x)
    raw = [_of_lines(x, y, gap, power) for power in range(4)]
    if not raw[0] > 0.0:
        raise SpecificationError(f"moments: the area is {raw[0]:g}, there is no peak.\n  Take the baseline off first.")
    mean = raw[1] / raw[0]
    centred = [_of_lines(x - mean, y, gap, power) / raw[0] for power in (2, 3)]
    return Moments(raw[0], mean, centred[0], centred[1] / abs(centred[0]) ** 1.5)


def peak(signal: Any) -> Peak:
    """The highest peak of a Series over time or volume; between points it is a line, its top a parabola.

    Raises SpecificationError where it is cut off before a tenth of its height.
    """
    x, y = _read(signal, "peak")
    top = int(np.argmax(y))
    height, at = float(y[top]), float(x[top])
    if 0 < top < len(x) - 1 and x[top - 1] < x[top] < x[top + 1]:
        bend, slope, _ = np.polyfit(x[top - 1 : top + 2] - at, y[top - 1 : top + 2], 2)
        if bend < 0.0:
            at, height = at - slope / (2.0 * bend), height - slope**2 / (4.0 * bend)
    sides = []
    for share in (0.5, 0.1):
        left, right = (_crossing(x, y, top, share * height, way) for way in (-1, 1))
        sides.append((at - left, right - at))
    return Peak(at, height, sum(sides[0]), *sides[1])


def resolution(first: Moments | Peak, second: Moments | Peak) -> float:
    """How far two peaks lie apart: by four deviations each of moments, or by widths at half height of peaks.

    R = 2 (m_2 - m_1) / (4 s_1 + 4 s_2), or 1.18 (t_2 - t_1) / (w_1 + w_2); 1.5 is a separation to the baseline.
    Source: Guiochon et al., Fundamentals of Preparative and Nonlinear Chromatography (2006).
    """
    if isinstance(first, Moments) and isinstance(second, Moments):
        return 0.5 * abs(second.mean - first.mean) / (math.sqrt(first.variance) + math.sqrt(second.variance))
    if isinstance(first, Peak) and isinstance(second, Peak):
        return math.sqrt(2.0 * math.log(2.0)) * abs(second.at - first.at) / (first.half_width + second.half_width)
    raise SpecificationError("resolution: give two Moments, or two Peaks.")


def _of_lines(x: Array, y: Array, gap: Array, power: int) -> float:
    """The integral of x^power y, exact for y linear between points: Gauss points of degree 5."""
    found = 0.0
    for node, weight in zip((-math.sqrt(0.6), 0.0, math.sqrt(0.6)), (5.0 / 18.0, 8.0 / 18.0, 5.0 / 18.0), strict=True):
        share = 0.5 * (1.0 + node)
        at, value = x[:-1] + share * gap, y[:-1] + share * np.diff(y)
        found += weight * float(np.sum(gap * value * at**power))
    return found


def _crossing(x: Array, y: Array, top: int, level: float, way: int) -> float:
    k = top
    while 0 <= k + way < len(x):
        if y[k + way] <= level:
            inner, outer = y[k], y[k + way]
            return float(x[k] + (x[k + way] - x[k]) * (inner - level) / (inner - outer))
        k += way
    raise SpecificationError(
        "peak: the signal ends before it has fallen to a tenth of the height.\n  Record for longer."
    )


def _read(signal: Any, what: str) -> tuple[Array, Array]:
    x, y = np.asarray(signal.index, dtype=float), np.asarray(signal, dtype=float)
    if len(x) < 3 or y.ndim != 1:
        raise SpecificationError(f"{what}: expected a Series of at least three points.")
    if np.any(np.diff(x) < 0.0) or not np.isfinite(y).all():
        raise SpecificationError(f"{what}: the Series is not sorted, or has values that are not finite.")
    return x, y
