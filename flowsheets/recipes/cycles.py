"""What is done several times over? Phases that repeat, cycle by cycle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from titer.flowsheets.recipe import Phase
from titer.flowsheets.recipes.decision import Free, SameAs
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import is_whole


def cycles(count: int, phases: Sequence[Phase], same_durations: bool = False) -> tuple[Phase, ...]:
    """Phases repeated: `Recipe(grow, *cycles(3, [load, wash, elute]))`.

    The phases of cycle k are called "load k", "wash k", "elute k", k from 1: that is their name in `phase=` of a term,
    in `plan.duration` and in files. Each is a phase of its own, with decisions of its own; `same_durations`: free
    durations are those of the first cycle in all of them. Raises SpecificationError.
    """
    if not is_whole(count, 1):
        raise SpecificationError(f"cycles: the count is a whole number of at least 1, got {count!r}.")
    if isinstance(phases, Phase) or not isinstance(phases, Sequence) or not phases:
        raise SpecificationError(
            f"cycles: expected a list of phases, got {phases!r}.\n  Write cycles(3, [Phase(...)])."
        )
    for phase in phases:
        if not isinstance(phase, Phase):
            raise SpecificationError(f"cycles: expected phases, got {type(phase).__name__} {phase!r}.")
    return tuple(
        replace(phase, name=f"{phase.name} {k}", duration=_duration(phase, k, same_durations))
        for k in range(1, count + 1)
        for phase in phases
    )


def _duration(phase: Phase, k: int, same: bool) -> Any:
    """The duration in cycle k; a condition finds the end of each cycle by itself."""
    if k == 1 or not same or not isinstance(phase.duration, Free) or phase.until is not None:
        return phase.duration
    return SameAs(f"{phase.name} 1")
