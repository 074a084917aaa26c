"""How do states stay on the invariants while they are integrated? By projection, as often as they drift.

An integrator that knows the differentiated equations only drifts away from the equations themselves: slowly, but
without end. After every call its points are moved back; where one has drifted further than its tolerance, what
follows is integrated anew from there. Source: Eich, SIAM J. Numer. Anal. 30 (1993) 1467.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from titer.numerics.dae import Array, Dae
from titer.numerics.integration.consistency import off_invariants, projected
from titer.numerics.integration.trajectory import Part, Piece

_DRIFT = 10.0  # tolerances by which states may drift, relative to their sizes; a fresh start alone costs one or two
_ROUNDING = 1e-13  # drift below this is none
_HALVINGS = 3  # of a step between two output points


class Stretches(Protocol):
    """What integrates a stretch of time in one call."""

    dae: Dae
    p: Array
    sizes: Array
    tolerance: float

    def stretch(self, t: float, x: Array, z: Array, piece: Piece, points: int) -> Part:
        """From a consistent point on, at `points` equal steps. Raises RuntimeError."""
        ...


def on_invariants(run: Stretches, t: float, x: Array, z: Array, piece: Piece, points: int) -> Part:
    """The piece from (t, x), at `points` equal steps, each on the invariants. Raises RuntimeError."""
    so_far: Part | None = None
    done, ahead = 0, points
    h = piece.duration / points
    while done < points:
        some = _ahead(run, t + h * done, x, z, _cut(piece, done, done + ahead, points), ahead)
        if some is None and ahead > 1:
            ahead = _power_of_two(ahead // 2)
            continue
        if some is None:
            some = _step(run, t + h * done, x, z, _cut(piece, done, done + 1, points), _HALVINGS)
        reached = len(some.time) - 1
        done += reached
        ahead = _power_of_two(min(2 * reached if reached == ahead else reached, points - done))
        x, z = some.x[:, -1], some.z[:, -1]
        so_far = some if so_far is None else so_far.before(-1).then(some)
    assert so_far is not None
    return so_far._replace(time=t + piece.duration * np.linspace(0.0, 1.0, points + 1))  # as if in one call


def _ahead(run: Stretches, t: float, x: Array, z: Array, piece: Piece, points: int) -> Part | None:
    """The points of a piece on the invariants, before the first that drifted too far; None where that leaves none."""
    try:
        raw = run.stretch(t, x, z, piece, points)
    except RuntimeError:  # of one step the reason is worth knowing; many steps may only have drifted away
        if points == 1:
            raise
        return None
    x, z = raw.x.copy(), raw.z.copy()
    off = off_invariants(run.dae, *raw, run.p, run.sizes)
    for k in range(1, len(raw.time)):
        if not off[k]:
            continue
        (x[:, k], z[:, k], _), drift = _moved(run, raw, k)
        if drift > _allowed(run):
            return Part(raw.time, x, z, raw.u).before(k) if k > 1 else None
    return Part(raw.time, x, z, raw.u)


def _step(run: Stretches, t: float, x: Array, z: Array, piece: Piece, halvings: int) -> Part:
    """One step between output points, in as many halves as its drift asks for; the first and the last point."""
    raw = run.stretch(t, x, z, piece, 1)
    end, drift = _moved(run, raw, 1)
    if drift <= _allowed(run) or not halvings:
        return Part(raw.time, *(np.column_stack([a[:, 0], b]) for a, b in zip(raw[1:], end, strict=True)))
    first = _step(run, t, x, z, _cut(piece, 0, 1, 2), halvings - 1)
    half = _cut(piece, 1, 2, 2)
    second = _step(run, t + half.duration, first.x[:, -1], first.z[:, -1], half, halvings - 1)
    return first.before(1).then(Part(*(rows[..., -1:] for rows in second)))


def _moved(run: Stretches, raw: Part, k: int) -> tuple[tuple[Array, Array, Array], float]:
    """States on the invariants, algebraics and inputs at a point, and how far the states had drifted."""
    u = raw.u[:, k]
    x, z = projected(run.dae, raw.time[k], raw.x[:, k], raw.z[:, k], u, run.p, run.sizes)
    return (x, z, u), float((np.abs(x - raw.x[:, k]) / run.sizes).max(initial=0.0))


def _allowed(run: Stretches) -> float:
    return max(_DRIFT * run.tolerance, _ROUNDING)


def _cut(piece: Piece, first: int, last: int, points: int) -> Piece:
    """From step `first` to step `last` of `points` equal ones."""
    slope = (piece.right - piece.left) / points
    return Piece(piece.duration * (last - first) / points, piece.left + slope * first, piece.left + slope * last)


def _power_of_two(most: int) -> int:
    """The largest power of two up to `most`: integrators are made for few numbers of points."""
    return 1 << max(most, 1).bit_length() - 1


__all__ = ["on_invariants"]
