"""How does the plan of one sample start the next solve? Every column by its name and its time, one interval later.

Where the meshes agree the numbers are the same ones; elsewhere states are interpolated and moves are those that hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from titer.control.nmpc.program import Program
from titer.control.nmpc.soft import MISS
from titer.numerics.dae import Array
from titer.numerics.nlp import Labels


@dataclass(frozen=True, eq=False)
class Places:
    """Where columns (or rows) of a program are: groups by run and name, with blocks and positions in them.

    `groups` {(run, name): numbers}; `block` (n,): index into `blocks`, -1: nowhere; `tau` (n,); `smooth` (n,): whether
    between two of them lies a value between theirs.
    """

    groups: Mapping[tuple[str, str], Array]
    blocks: tuple[str, ...]
    block: Array
    tau: Array
    smooth: Array

    def times(self, clock: Mapping[str, tuple[float, float]]) -> Array:
        """The time of each on the horizon, 0 for what is nowhere; `clock`: start and duration of each block."""
        pairs = np.array([*(clock.get(name, (0.0, 0.0)) for name in self.blocks), (0.0, 0.0)])
        start, duration = pairs[self.block, 0], pairs[self.block, 1]
        return start + np.nan_to_num(self.tau) * duration


def places_of_columns(program: Program) -> Places:
    """Where the columns of a program are."""
    return _places(program, program.nlp.labels, program.nlp.domain)


def places_of_rows(program: Program) -> Places:
    """Where the rows of a program are."""
    labels = tuple(batch.labels for batch in program.nlp.batches if batch.rows)
    return _places(program, labels, np.ones(sum(len(group.texts) for group in labels), dtype=bool))


def _places(program: Program, labels: tuple[Labels, ...], smooth: Array) -> Places:
    several = len(program.assembled.runs) > 1
    blocks: dict[str, int] = {}
    where, tau = [], []
    groups: dict[tuple[str, str], list[int]] = {}
    i = 0
    for group in labels:
        k = blocks.setdefault(group.phase, len(blocks)) if group.phase else -1
        run = group.phase.split("/")[0] if several and "/" in group.phase else ""
        where.append(np.full(len(group.texts), k))
        tau.append(group.tau)
        for text in group.texts:
            if not str(text).startswith(MISS):
                groups.setdefault((run, str(text)), []).append(i)
            i += 1
    none = np.zeros(0)
    arrays = {key: np.array(numbers) for key, numbers in groups.items()}
    block = np.concatenate([none, *where]).astype(int)
    return Places(arrays, tuple(blocks), block, np.concatenate([none, *tau]), np.asarray(smooth))


@dataclass(frozen=True, eq=False)
class Carrier:
    """Numbers of one program from those of another: share * values[after] + (1 - share) * values[before].

    `known` (n,): whether the other program has anything of the kind.
    """

    before: Array
    after: Array
    share: Array
    known: Array

    def carried(self, values: Array, otherwise: Array) -> Array:
        """The numbers, and `otherwise` where there are none."""
        found = values[self.before] + self.share * (values[self.after] - values[self.before])
        return np.where(self.known, found, otherwise)


def carrier(source: Places, times: Array, target: Places, wanted: Array) -> Carrier:
    """How numbers at `wanted` times of the target are found among those at `times` of the source."""
    n = len(target.block)
    before, after = np.zeros(n, dtype=int), np.zeros(n, dtype=int)
    share, known = np.zeros(n), np.zeros(n, dtype=bool)
    for key, numbers in target.groups.items():
        there = source.groups.get(key)
        if there is None:
            continue
        order = there[np.argsort(times[there], kind="stable")]
        t, at = times[order], wanted[numbers]
        near = 1e-7 * max(float(t[-1] - t[0]), 1e-12)
        k = np.clip(np.searchsorted(t, at + near, side="right") - 1, 0, len(t) - 1)
        nxt = np.minimum(k + 1, len(t) - 1)
        width = t[nxt] - t[k]
        inside = (width > 0.0) & target.smooth[numbers] & (at - t[k] > near)
        before[numbers], after[numbers] = order[k], order[nxt]
        share[numbers] = np.where(inside, np.clip((at - t[k]) / np.where(width > 0.0, width, 1.0), 0.0, 1.0), 0.0)
        known[numbers] = True
    return Carrier(before, after, share, known)


@dataclass(frozen=True, eq=False)
class Carriers:
    """The places of one program, and the carriers to it that were found already (where no duration is decided)."""

    columns: Places
    rows: Places
    found: dict = field(default_factory=dict, compare=False)


def clock_of(program: Program, w: Array | None) -> dict[str, tuple[float, float]]:
    """Start and duration of each block on the horizon, at decisions `w` (None: as planned)."""
    nlp = program.nlp
    clock: dict[str, tuple[float, float]] = {}
    for placements in program.assembled.runs:
        start = 0.0
        for placement in placements:
            duration = placement.operation.duration.guess
            if w is not None:
                cell = int(nlp.cells[placement.block.name][placement.block.slot("duration").cells[0]])
                duration = float(w[cell]) if cell < nlp.columns else float(nlp.data[cell - nlp.columns])
            clock[placement.block.name] = (start, duration)
            start += duration
    return clock
