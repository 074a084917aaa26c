"""Which phase runs, and when does it end? The clock of controllers that decide no durations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.operation import durations_of
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.signals import finite
from titer.numerics.errors import SpecificationError, unknown

_SAME = 1e-9  # of the time between steps


@dataclass(frozen=True, eq=False)
class Clock:
    """Phases as long as planned (`lasting`, inf where a condition ends them), which one runs, and when those that have
    begun began."""

    lasting: tuple[float, ...]
    phase: int = -1
    began: tuple[float, ...] = ()


class Due(NamedTuple):
    """The phase that runs, when it is to end where that is before the next regular step, and whether the recipe ends
    with it."""

    phase: str
    ends: float | None
    stop: bool


def clock_of(recipe: Recipe, plant: Flowsheet, durations: Mapping[str, float]) -> Clock:
    """A recipe's clock before its first phase; phases last as their guess, or as `durations` says, in the plant's time.

    Raises SpecificationError for an unknown phase.
    """
    names = [phase.name for phase in recipe]
    for name in durations:
        if name not in names:
            raise SpecificationError(f"durations: {unknown('phase', name, names)}")
    planned: dict[str, float] = {}
    for phase, duration in zip(recipe, durations_of(recipe, plant.measure_of_time), strict=True):
        guess = planned[duration.same_as] if duration.same_as else duration.guess
        given = durations.get(phase.name, guess)
        planned[phase.name] = finite(given, plant.measure_of_time, f"durations: phase {phase.name!r}")
    return Clock(tuple(np.inf if p.until is not None else planned[p.name] for p in recipe))


def next_step(clock: Clock, recipe: Recipe, t: float, phase: str | None, every: float) -> tuple[Clock, Due]:
    """What comes after a step at `t`; `phase`: the one that runs, where the plant says so."""
    names = [each.name for each in recipe]
    if phase is not None and phase not in names:
        raise SpecificationError(f"step: {unknown('phase', phase, names)}")
    k = names.index(phase) if phase is not None else _running(clock, t, every)
    if k != clock.phase:
        clock = replace(clock, phase=k, began=(*clock.began, t))
    ends = clock.began[-1] + clock.lasting[k]
    over = ends <= t + every * (1.0 + _SAME)
    return clock, Due(names[k], float(max(ends, t)) if over else None, bool(over and k == len(names) - 1))


def _running(clock: Clock, t: float, every: float) -> int:
    """The phase that runs, by the clock alone."""
    if clock.phase < 0:
        return 0
    over = t >= clock.began[-1] + clock.lasting[clock.phase] - _SAME * every
    return min(clock.phase + int(over), len(clock.lasting) - 1)
