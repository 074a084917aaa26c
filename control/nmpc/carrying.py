"""How does the plan of one sample start the next solve? Every column by its name and its time, one interval later.

Where the meshes agree the numbers are the same ones; elsewhere states are interpolated and moves are those that hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from titer.control.nmpc.program import Program
from titer.control.nmpc.soft import MISS
from titer.numerics.dae import Array
from titer.numerics.nlp import Labels


@dataclass(frozen=True, eq=False)
class Places:
    """Where columns (or rows) of a program are: groups by run and name, with their times on the horizon as planned.

    `groups` {(run, name): numbers}; `times` (n,); `smooth` (n,): whether between two of them lies a value between
    theirs.
    """

    groups: Mapping[tuple[str, str], Array]
    times: Array
    smooth: Array


def places_of_columns(program: Program) -> Places:
    """Where the columns of a program are."""
    return _places(program, program.nlp.labels, program.nlp.domain)


def places_of_rows(program: Program) -> Places:
    """Where the rows of a program are."""
    labels = tuple(batch.labels for batch in program.nlp.batches if batch.rows)
    return _places(program, labels, np.ones(sum(len(group.texts) for group in labels), dtype=bool))


def _places(program: Program, labels: tuple[Labels, ...], smooth: Array) -> Places:
    clock = _clock(program)
    several = len(program.assembled.runs) > 1
    groups: dict[tuple[str, str], list[int]] = {}
    times, i = [], 0
    for group in labels:
        start, duration = clock.get(group.phase, (0.0, 0.0))
        times.append(start + np.nan_to_num(np.asarray(group.tau, dtype=float)) * duration)
        run = group.phase.split("/")[0] if several and "/" in group.phase else ""
        for text in group.texts:
            if not str(text).startswith(MISS):
                groups.setdefault((run, str(text)), []).append(i)
            i += 1
    arrays = {key: np.array(numbers) for key, numbers in groups.items()}
    return Places(arrays, np.concatenate([np.zeros(0), *times]), np.asarray(smooth))


def _clock(program: Program) -> dict[str, tuple[float, float]]:
    """Start and duration of each block on the horizon, as planned."""
    clock: dict[str, tuple[float, float]] = {}
    for placements in program.assembled.runs:
        start = 0.0
        for placement in placements:
            duration = placement.operation.duration.guess
            clock[placement.block.name] = (start, duration)
            start += duration
    return clock


@dataclass(frozen=True, eq=False)
class Carrier:
    """Numbers of one program from those of another: share * values[after] + (1 - share) * values[before].

    `known` (n,): whether the other program has anything of the kind; `plain`: whether nothing is interpolated.
    """

    before: Array
    after: Array
    share: Array
    known: Array
    plain: bool

    def carried(self, values: Array, otherwise: Array) -> Array:
        """The numbers, and `otherwise` where there are none."""
        found = values[self.before]
        if not self.plain:
            found = found + self.share * (values[self.after] - found)
        return np.where(self.known, found, otherwise)


def carrier(source: Places, target: Places, gone: float) -> Carrier:
    """How numbers of the target, which begins `gone` later, are found among those of the source."""
    n = len(target.times)
    before, after = np.zeros(n, dtype=int), np.zeros(n, dtype=int)
    share, known = np.zeros(n), np.zeros(n, dtype=bool)
    for key, numbers in target.groups.items():
        there = source.groups.get(key)
        if there is None:
            continue
        order = there[np.argsort(source.times[there], kind="stable")]
        t, at = source.times[order], target.times[numbers] + gone
        near = 1e-7 * max(float(t[-1] - t[0]), 1e-12)
        k = np.clip(np.searchsorted(t, at + near, side="right") - 1, 0, len(t) - 1)
        nxt = np.minimum(k + 1, len(t) - 1)
        width = t[nxt] - t[k]
        inside = (width > 0.0) & target.smooth[numbers] & (at - t[k] > near)
        before[numbers], after[numbers] = order[k], order[nxt]
        share[numbers] = np.where(inside, np.clip((at - t[k]) / np.where(width > 0.0, width, 1.0), 0.0, 1.0), 0.0)
        known[numbers] = True
    return Carrier(before, after, share, known, not share.any())
