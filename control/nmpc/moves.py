"""How far may an input move from sample to sample, and what does a move cost? Rows and squares over neighbouring moves.

The first move starts from what is applied now, which is data of the program.
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

    def clipped(self, value: float, before: float, elapsed: float) -> float:
        """The value nearest to this one that bounds and rate allow, `elapsed` after the one before."""
        reach = self.rate * elapsed
        low, high = max(self.lower, before - reach), min(self.upper, before + reach)
        return float(min(max(value, low), high)) if low <= high else float(np.clip(before, self.lower, self.upper))


@dataclass(frozen=True, eq=False)
class Sequences:
    """The moves of each run: {input: (columns (moves,), seconds before each that the one before was held (moves,))}."""

    runs: tuple[Mapping[str, tuple[Array, Array]], ...]
    weights: Sequence[float]


def with_moves(nlp: Nlp, handles: Sequence[Handle], moves: Sequences) -> tuple[Nlp, dict[str, int]]:
    """The program with penalties and rate limits of moves; {input: cell of the value that is applied now}."""
    nlp, cells = given(nlp, np.zeros(len(handles)), "input before")
    before = {handle.name: int(cell) for handle, cell in zip(handles, cells, strict=True)}
    batches: list[Batch] = []
    seen: set[tuple[int, int]] = set()
    for weight, run in zip(moves.weights, moves.runs, strict=True):
        for handle in handles:
            if handle.name not in run:
                continue
            columns, held = run[handle.name]
            pairs = np.stack([np.concatenate([[before[handle.name]], columns[:-1]]), columns])
            if handle.penalty:
                batches.append(_penalized(pairs, handle.penalty * weight))
            fresh = [k for k, pair in enumerate(pairs.T.tolist()) if tuple(pair) not in seen]  # others have their row
            seen |= {(a, b) for a, b in pairs.T.tolist()}
            if np.isfinite(handle.rate) and fresh:
                batches += _limited(pairs[:, fresh], handle.rate * held[fresh], handle.name)
    return replace(nlp, batches=(*nlp.batches, *batches)), before


def _penalized(pairs: Array, weight: float) -> Batch:
    v = ca.SX.sym("v", 2)
    function = ca.Function("move", [v], [ca.SX(0, 1), (v[1] - v[0]) ** 2])
    return Batch(function, pairs, np.zeros(0), np.zeros(0), Labels.of([]), weight)


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
