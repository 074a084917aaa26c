"""Does an objective track? It does where it is a sum of convex quadratics that each have a lowest value.

Then second derivatives of the objective alone make steps that contract (Gauss-Newton). A linear term, as economic
objectives have, is bounded by the equations only: their curvature is needed. A linear price of a slack is no such term:
a slack enters no equation, and its own bound holds it.
"""

from __future__ import annotations

import numpy as np

from titer.numerics.nlp import Array, Nlp
from titer.numerics.realtime.functions import Functions, Piece

_ROUNDING = 1e-9


def is_tracking(functions: Functions) -> bool:
    """Whether every batch of the objective is a quadratic in its decisions that is convex and bounded below."""
    nlp, pieces = functions.nlp, functions.pieces
    weighted = [piece for piece in pieces if piece.weighted]
    if not weighted or not np.isfinite(nlp.data).all() or not all(piece.quadratic for piece in weighted):
        return False
    origin = np.zeros(nlp.columns)
    with np.errstate(all="ignore"):
        slopes = functions.values(origin, nlp.data)[2].copy()
        entries = functions.bending(origin, nlp.data)[0].copy()
    priced = _priced(nlp, pieces)
    slope_at = entry_at = 0
    for piece in weighted:
        count, active = piece.batch.copies, len(piece.active)
        slope = slopes[slope_at : slope_at + count * active].reshape(count, active)
        i, j = piece.bent
        own = entries[entry_at : entry_at + count * len(i)].reshape(count, len(i))
        slope_at, entry_at = slope_at + slope.size, entry_at + own.size
        hessian = np.zeros((count, active, active))
        hessian[:, i, j] = own
        hessian[:, j, i] = own
        if not all(_has_a_lowest(h, s, priced[c]) for h, s, c in zip(hessian, slope, piece.cells, strict=True)):
            return False
    return True


def _has_a_lowest(hessian: Array, slope: Array, prices: Array) -> bool:
    """Whether 1/2 x'Hx + s'x is bounded below; `prices`: signs that linear prices may have (0: none, nan: data)."""
    decided = ~np.isnan(prices)
    hessian, slope, prices = hessian[np.ix_(decided, decided)], slope[decided], prices[decided]
    if not len(slope):
        return True
    if not (np.isfinite(hessian).all() and np.isfinite(slope).all()):
        return False
    values, vectors = np.linalg.eigh(hessian)
    largest = np.abs(values).max()
    if values[0] < -_ROUNDING * largest:
        return False
    slope = np.where(slope * prices > 0.0, 0.0, slope)
    flat = vectors[:, values <= _ROUNDING * largest]
    return bool(np.abs(flat.T @ slope).max(initial=0.0) <= 1e-7 * np.abs(slope).max(initial=0.0))


def _priced(nlp: Nlp, pieces: list[Piece]) -> Array:
    """For each column the sign of a linear price that its own bound holds; NaN for data."""
    in_equations = np.zeros(nlp.columns + len(nlp.data), dtype=bool)
    for piece in pieces:
        equal = piece.batch.lower == piece.batch.upper
        i, j = piece.jacobian
        in_equations[piece.cells[:, j[equal[i]]].ravel()] = True
    signs = np.where(np.isfinite(nlp.lower), 1.0, np.where(np.isfinite(nlp.upper), -1.0, 0.0))
    signs = np.where(in_equations[: nlp.columns] | nlp.domain, 0.0, signs)
    return np.concatenate([signs, np.full(len(nlp.data), np.nan)])
