"""Which straight lines is a function of a number? Found by sampling and bisection, exactly where there are any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

_INTERVALS = 512  # in which something that happens is seen from its ends and three points inside
_INSIDE = (0.2713, 0.5, 0.7192)
_NARROWEST = 1e-13  # of the whole range: a jump is there
_MOST_STEPS = 100_000  # of the search: a function that jumps everywhere has no lines


@dataclass
class Line:
    """A stretch from `start` to `stop` on which a function goes straight from `left` to `right`."""

    start: float
    stop: float
    left: float
    right: float

    def at(self, t: float) -> float:
        return self.left + (self.right - self.left) * (t - self.start) / (self.stop - self.start)


def lines_of(function: Callable[[float], float], end: float, most: int) -> list[Line] | None:
    """The lines, with jumps between them, that a function follows on [0, end]; None where there are more than `most`.

    Jumps are located to rounding, and so are kinks. A curved function has no such lines. What lasts less than
    1/2000 of the range may be overlooked.
    """
    grid = np.linspace(0.0, end, _INTERVALS + 1).tolist()
    values = [function(t) for t in grid]
    size = max(abs(v) for v in values)
    search = _Search(function, end, most, max(1e-9 * (max(values) - min(values)), 1e-13 * size, 1e-300))
    for k in range(_INTERVALS):
        if not search.split(grid[k], values[k], grid[k + 1], values[k + 1]):
            return None
    search.lines[0].start = 0.0
    return search.lines


@dataclass
class _Search:
    function: Callable[[float], float]
    end: float
    most: int
    tolerance: float
    steps: int = 0
    lines: list[Line] = field(default_factory=list)

    def split(self, a: float, fa: float, b: float, fb: float) -> bool:
        """Add the lines between two points; False once there are too many."""
        self.steps += 1
        if len(self.lines) > self.most or self.steps > _MOST_STEPS:
            return False
        line = Line(a, b, fa, fb)
        inside = [a + (b - a) * share for share in _INSIDE]
        values = [self.function(t) for t in inside]
        if all(abs(value - line.at(t)) <= self.tolerance for t, value in zip(inside, values, strict=True)):
            self._add(line)
            return True
        if b - a <= _NARROWEST * self.end or not a < inside[1] < b:
            return True  # a jump: the line before it ends here, the one after it begins here
        kink = self._kink(line, inside, values)
        t, value = (inside[1], values[1]) if kink is None else kink
        return self.split(a, fa, t, value) and self.split(t, value, b, fb)

    def _kink(self, line: Line, inside: list[float], values: list[float]) -> tuple[float, float] | None:
        """Where two lines meet, guessed from what is seen near the ends; None where that is not what is there."""
        a, b = line.start, line.stop
        first = (values[0] - line.left) / (inside[0] - a)
        second = (line.right - values[2]) / (b - inside[2])
        if first == second:
            return None
        t = a + (line.right - second * (b - a) - line.left) / (first - second)
        if not inside[0] < t < inside[2]:
            return None
        value = line.left + first * (t - a)
        return (t, value) if abs(self.function(t) - value) <= self.tolerance else None

    def _add(self, line: Line) -> None:
        """Add a line, as the continuation of the one before it where it goes straight on."""
        if self.lines:
            before = self.lines[-1]
            small = 0.1 * self.tolerance
            joined = before.stop == line.start and abs(before.right - line.left) <= small
            if joined and abs(before.at(line.stop) - line.right) <= small:
                before.stop, before.right = line.stop, line.right
                return
            before.stop = line.start
        self.lines.append(line)
