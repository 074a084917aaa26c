"""When is a batch looked at? Stages: times that are given, or equal parts of each phase."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from titer.numerics.errors import SpecificationError
from titer.numerics.grid import is_whole

_SAME = 1e-9  # of the recipe's length


def stages_of(given: int | Iterable[float], ends: Sequence[float], time: str) -> tuple[float, ...]:
    """Stage times from 0 to the end. `given`: parts of each phase, or times; `ends`: those of the phases, from 0.

    The start and the end of the recipe are always stages. A stage at the end of a phase is before what the next one
    sets. Raises SpecificationError for times outside the recipe.
    """
    last = float(ends[-1])
    if isinstance(given, int):
        if not is_whole(given, 1):
            raise SpecificationError(f"stages: parts of a phase must be a whole number of at least 1, got {given!r}.")
        parts = [np.linspace(a, b, given + 1)[1:] for a, b in pairwise(ends) if b > a]
        return (0.0, *np.concatenate(parts).tolist())
    times = _times(given)
    near = _SAME * last
    for t in times:
        if not -near <= t <= last + near:
            raise SpecificationError(f"stages: {t:g} lies outside the recipe, from 0 to {last:g} {time}.")
    found = [0.0]
    for t in [*sorted(times), last]:
        if t > found[-1] + near:
            found.append(last if abs(t - last) <= near else t)
    return tuple(found)


def _times(given: Iterable[float]) -> list[float]:
    try:
        times = [float(t) for t in given]
    except (TypeError, ValueError):
        times = [np.nan]
    if not np.isfinite(times).all():
        raise SpecificationError(f"stages: expected parts of a phase or finite times, got {given!r}.")
    return times
