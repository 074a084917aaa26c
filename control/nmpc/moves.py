"""How far may an input move from sample to sample, and what does a move cost? Rows and squares over neighbouring moves.

The first move starts from what is applied now, which is data of the program; how far it may go is a bound on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import casadi as ca
import numpy as np

from titer.control.nmpc.soft import given
from titer.numerics.nlp import Array, Batch, Labels, Nlp


@dataclass(frozen=True)
class Handle:
    """An input that a controller sets: its bounds, its largest change per unit of time, and what the square of a move
    costs."""

    name: str
    lower: float
    upper: float
    rate: float = np.inf
    penalty: float = 0.0

    def reach(self, before: float, elapsed: float) -> tuple[float, float]:
        """What bounds and rate allow, `elapsed` after the value before; never outside the bounds."""
        moved = self.rate * elapsed if elapsed > 0.0 else 0.0 if np.isfinite(self.rate) else np.inf
        low, high = max(self.lower, before - moved), min(self.upper, before + moved)
        if low <= high:
            return low, high
        nearest = min(max(before, self.lower), self.upper)  # what was applied lies outside: the bound it came from
        return nearest, nearest

    def clipped(self, value: float, before: float, elapsed: float) -> float:
        """The value nearest to this one that bounds and rate allow."""
        low, high = self.reach(before, elapsed)
        return min(max(value, low), high)


@dataclass(frozen=True, eq=False)
class Sequences:
    """The moves of each run: {input: (columns (moves,), time in which each but the first may move from the one before)}
    and the weight of each run, and what the labels of its costs say."""

    runs: tuple[Mapping[str, tuple[Array, Array]], ...]
    weights: Sequence[float]
    names: Sequence[str]


def with_moves(nlp: Nlp, handles: Sequence[Handle], moves: Sequences) -> tuple[Nlp, Array]:
    """The program with penalties and rate limits of moves; the cells of the values that are applied now (handles,)."""
    nlp, before = given(nlp, np.zeros(len(handles)), "input before")
    batches: list[Batch] = []
    seen: set[tuple[int, int]] = set()
    for weight, run, name in zip(moves.weights, moves.runs, moves.names, strict=True):
        for handle, cell in zip(handles, before, strict=True):
            if handle.name not in run:
                continue
            columns, held = run[handle.name]
            if handle.penalty:
                pairs = np.stack([np.concatenate([[cell], columns[:-1]]), columns])
                batches.append(_penalized(pairs, handle.penalty * weight, name))
            pairs = np.stack([columns[:-1], columns[1:]])
            fresh = [k for k, (a, b) in enumerate(pairs.T.tolist()) if a != b and (a, b) not in seen]
            seen |= {(a, b) for a, b in pairs.T.tolist()}
            if np.isfinite(handle.rate) and fresh:
                batches += _limited(pairs[:, fresh], handle.rate * held[fresh], handle.name)
    return replace(nlp, batches=(*nlp.batches, *batches)), before


def _penalized(pairs: Array, weight: float, phase: str) -> Batch:
    v = ca.SX.sym("v", 2)
    function = ca.Function("move", [v], [ca.SX(0, 1), (v[1] - v[0]) ** 2])
    return Batch(function, pairs, np.zeros(0), np.zeros(0), Labels.of([], phase), weight)


def _limited(pairs: Array, reach: Array, name: str) -> list[Batch]:
    """Rows |move| <= reach, a batch for each reach."""
    v = ca.SX.sym("v", 2)
    function = ca.Function("rate", [v], [v[1] - v[0], ca.SX(0.0)])
    found = []
    for each in np.unique(reach):
        chosen = pairs[:, reach == each]
        labels = Labels.of([f"rate of change of {name}"] * chosen.shape[1])
        found.append(Batch(function, chosen, np.array([-each]), np.array([each]), labels))
    return found
