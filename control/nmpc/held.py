"""Which inputs were in force between two times, or will be? What was asked for, what was told; as means over pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from titer.control.nmpc.feeding import means
from titer.control.nmpc.memory import ControlMemory
from titer.control.nmpc.posing import Wanted
from titer.control.nmpc.timetable import SAME
from titer.flowsheets.signals import Signal

Held = Sequence[tuple[float, Mapping[str, float]]]


def held_between(
    wanted: Wanted,
    memory: ControlMemory,
    names: Sequence[str],
    given: Mapping[str, Signal],
    start: float,
    end: float,
) -> list[tuple[float, dict[str, float]]]:
    """Inputs by name up to each time, in order: those of the controller (`names`), of which the last ones are in force
    from `memory.changed` on, and those that were told (`given`), at their means."""
    near = SAME * wanted.table.every
    pieces = [(end, memory.applied)]
    if memory.waiting is not None and memory.changed > start + near:
        before = (min(memory.changed, end), memory.waiting)
        pieces = [before, *pieces] if memory.changed < end - near else [before]
    found, since = [], start
    for until, values in pieces:
        told = {name: _mean(given[name], since, until) for name in wanted.told_inputs if name in given}
        found.append((until, told | dict(zip(names, values.tolist(), strict=True))))
        since = until
    return found


def _mean(signal: Signal, a: float, b: float) -> float:
    return float(means(signal, np.array([a]), np.array([max(b, a + 1e-12 * max(abs(a), 1.0))]))[0])
