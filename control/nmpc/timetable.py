"""What lies ahead at a sample? The rest of a recipe, or a window of it, cut into the intervals between samples.

A phase of fixed length ends where it ends: its last interval is shorter. A phase whose duration is decided has
intervals of full length but for the last, which is decided; where that comes to be longer than an interval, there is
room for another. So the plan of one sample is a plan of the next, and nothing but the model's errors moves it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.operation import Duration, durations_of
from titer.flowsheets.recipe import Recipe
from titer.numerics.errors import SpecificationError

SHORTEST = 0.02  # of an interval: the shortest that a decided one may be
SAME = 1e-6  # of an interval: times that are closer are one


@dataclass(frozen=True)
class Part:
    """A stretch of one phase that lies ahead, in intervals of these lengths.

    `open`: the total is decided, and `lengths` are its guess. `begins`, `ends`: whether the phase's beginning (with
    what is set there) and its end belong to it. `gone`: intervals of the phase that lie before it, counted in cycles
    of its pieces.
    """

    phase: int
    lengths: tuple[float, ...]
    open: bool
    begins: bool
    ends: bool
    gone: int = 0

    @property
    def duration(self) -> float:
        return float(sum(self.lengths))


@dataclass(frozen=True)
class Horizon:
    """What a plan covers, part after part; `whole`: up to the end of the recipe. It is the key of its program."""

    parts: tuple[Part, ...]
    whole: bool
    key: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", hash((self.parts, self.whole)))

    def __hash__(self) -> int:
        return self.key

    @property
    def intervals(self) -> int:
        """Intervals in the phase that runs."""
        return sum(len(part.lengths) for part in self.parts if part.phase == self.parts[0].phase)


@dataclass(frozen=True, eq=False)
class Timetable:
    """The phases of a recipe as a controller sees them: how long, and which of them end when it, or a condition, says.

    `steps`: of a receding horizon; None: the rest of the recipe. `delay`: between a sample and what it leads to.
    `cycle`: samples after which the pieces of all inputs begin together again; within it, it makes a difference where
    in its phase a part begins.
    """

    names: tuple[str, ...]
    durations: tuple[Duration, ...]
    conditions: tuple[bool, ...]
    every: float
    steps: int | None
    delay: float
    cycle: int = 1

    def is_open(self, k: int) -> bool:
        """Whether the end of phase k is decided, or found."""
        return self.durations[k].free or self.conditions[k]

    def count(self, k: int) -> int:
        """Intervals of phase k as planned."""
        return max(1, int(np.ceil(self.durations[k].guess / self.every - SAME)))

    def most(self, k: int) -> int:
        """The most intervals that phase k may have."""
        return max(1, int(np.ceil(self.durations[k].upper / self.every - SAME)))

    def snapped(self, k: int, gone: float) -> float:
        """Time since phase k began, on its grid of intervals where it is nearly there."""
        grid = round((gone - self.delay) / self.every) * self.every + self.delay
        near = abs(gone - grid) < 0.5 * self.every
        return max(grid, 0.0) if near else gone

    def ahead(self, k: int, gone: float, intervals: int | None = None) -> Horizon:
        """What lies ahead in phase k, `gone` after it began; `intervals`: of an open phase, to its end."""
        if self.steps is not None and k == len(self.names) - 1:
            return self._window
        left = self.steps or 10**9
        if self.is_open(k):
            parts = self._open(k, intervals or self.count(k), gone)
            left -= sum(len(part.lengths) for part in parts)
        else:
            parts = [self._fixed(k, self.snapped(k, gone), left, False)]
            left -= len(parts[0].lengths)
        for j in range(k + 1, len(self.names)):
            if left <= 0:
                break
            if self.is_open(j):
                n = self.count(j)
                parts.append(Part(j, (self.durations[j].guess / n,) * n, True, True, True))
                left -= n
            else:
                parts.append(self._fixed(j, 0.0, left, True))
                left -= len(parts[-1].lengths)
        last = parts[-1]
        return Horizon(tuple(parts), last.phase == len(self.names) - 1 and last.ends)

    @cached_property
    def _window(self) -> Horizon:
        """What a window in the last phase covers, wherever it begins."""
        k = len(self.names) - 1
        return Horizon((self._fixed(k, 0.0, self.steps or 1, False),), True)

    def _fixed(self, k: int, gone: float, most: int, begins: bool) -> Part:
        passed = self._passed(gone) if self.steps is None else 0
        if self.steps is not None and k == len(self.names) - 1:  # a window goes on in the last phase
            return Part(k, (self.every,) * most, False, begins, True)
        rest = self.durations[k].guess - gone
        n = max(1, int(np.ceil(rest / self.every - SAME)))
        last = round(rest - (n - 1) * self.every, 12)
        lengths = (self.every,) * min(n - 1, most) + ((last,) if n <= most else ())
        return Part(k, lengths, False, begins, n <= most, passed)

    def _open(self, k: int, intervals: int, gone: float) -> list[Part]:
        passed, whole = self._passed(gone), intervals - 1
        last = Part(k, (self.every,), True, False, True, (passed + whole) % self.cycle)
        return [Part(k, (self.every,) * whole, False, False, False, passed), last] if whole else [last]

    def _passed(self, gone: float) -> int:
        """Intervals of a phase that have gone, in its cycle of pieces."""
        return max(0, round((gone - self.delay) / self.every)) % self.cycle

    def all(self) -> list[Horizon]:
        """Every horizon that a loop may come to, the longest of each phase first."""
        found: dict[Horizon, None] = {}
        for k in range(len(self.names)):
            if self.is_open(k):
                for j in range(self.cycle):
                    for n in range(self.most(k), 0, -1):
                        found[self.ahead(k, j * self.every + self.delay, n)] = None
            else:
                found |= {self.ahead(k, gone): None for gone in self._samples(k)}
        return list(found)

    def _samples(self, k: int) -> list[float]:
        if self.steps is not None and k == len(self.names) - 1:
            return [0.0]
        rest = self.durations[k].guess
        times = (j * self.every + self.delay for j in range(self.count(k)))
        return [gone for gone in times if rest - gone > SAME * self.every]


def timetable_of(plant: Flowsheet, recipe: Recipe, every: float, horizon: float | None, delay: float) -> Timetable:
    """The timetable of a recipe. Raises SpecificationError for a horizon that is longer than it, that is no multiple
    of `every`, or with an open end inside."""
    durations = tuple(durations_of(recipe, plant.measure_of_time))
    names = tuple(phase.name for phase in recipe)
    conditions = tuple(phase.until is not None for phase in recipe)
    for name, duration in zip(names, durations, strict=True):
        if duration.same_as:
            raise SpecificationError(
                f"NMPC: phase {name!r} lasts as long as {duration.same_as!r}, which a controller may have behind it.\n"
                f"  Give it a duration of its own."
            )
    if horizon is None:
        return Timetable(names, durations, conditions, every, None, delay)
    steps = round(horizon / every)
    if steps < 1 or abs(horizon - steps * every) > SAME * every:
        raise SpecificationError(
            f"NMPC: horizon must be a multiple of every ({every:g} {plant.time}), got {horizon:g} {plant.time}.\n"
            f"  Write horizon={max(1, steps) * every:g}, or leave it out for the rest of the recipe."
        )
    table = Timetable(names, durations, conditions, every, steps, delay)
    for k, name in enumerate(names):
        if table.is_open(k):
            raise SpecificationError(
                f"NMPC: the horizon is {horizon:g} {plant.time}, but the duration of phase {name!r} is decided: where "
                f"the window ends is not known.\n"
                f"  Leave horizon out, for the rest of the recipe, or give the phase a number."
            )
    length = sum(duration.guess for duration in durations)
    if horizon > length * (1.0 + SAME):
        raise SpecificationError(
            f"NMPC: the horizon of {horizon:g} {plant.time} is longer than the recipe, which lasts "
            f"{length:g} {plant.time}.\n  Leave horizon out, for the rest of the recipe, or make it shorter."
        )
    return table
