"""How is an exponential feed decided or given? By its logarithm, which is a straight line along a phase."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from titer.flowsheets.profiles import Exponential, Pieces
from titer.flowsheets.signals import Signal
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    from titer.flowsheets.operation import Decided

LEAST = 1e-3  # of its upper bound, what a feed that may be 0 is at least while it is exponential


def is_exponential(source: Decided | Signal | Pieces) -> bool:
    """Whether an input is decided or given as exponentials."""
    return isinstance(source if isinstance(source, Signal | Pieces) else source.pieces, Exponential)


def by_logarithm(source: Decided | Signal | Pieces, name: str, unit: str, duration: float) -> Decided | Pieces:
    """A source of an exponential input as one of its logarithm, in a phase of this nominal duration.

    Raises SpecificationError where the input is not kept positive, or has no upper bound to say how small it may be.
    """
    assert not isinstance(source, Signal)
    if isinstance(source, Pieces):
        values = np.asarray(source.values, dtype=float)
        if not (values > 0.0).all():
            raise SpecificationError(
                f"inputs: {name} is exponential; its values must be positive, got {values.min():g}."
            )
        return replace(source, values=np.log(values).tolist())
    shape, lower, upper = cast("Exponential", source.pieces), source.lower, source.upper
    if shape.lower is None and lower <= 0.0:
        lower = LEAST * upper
    if not (lower > 0.0 and np.isfinite(upper)):
        raise SpecificationError(
            f"free: {name} is exponential; expected positive, finite bounds, "
            f"got [{source.lower:g}, {source.upper:g}] {unit}.\n"
            f"  Write {name}: Exponential(lower=..., upper=...)."
        )
    return replace(source, lower=np.log(lower), upper=np.log(upper), guess=_guess(source, lower, upper, duration))


def _guess(source: Decided, lower: float, upper: float, duration: float) -> float | Signal | np.ndarray:
    """What is tried first: the guessed feed, rising as the guessed exponent says; inside the bounds, which are finite.

    Where the guess is no more than the least feed, their geometric mean.
    """
    tried, shape = source.guess, cast("Exponential", source.pieces)
    if isinstance(tried, Signal):
        inside = tried.within(lower, upper)
        return replace(inside, left=np.log(inside.left), right=np.log(inside.right))
    first = float(np.log(tried)) if tried > lower else float(0.5 * np.log(lower * upper))
    if shape.exponent is None:
        return first
    edges = shape.edges(duration, exact=True)
    return np.clip(first + shape.exponent.guess * duration * edges, np.log(lower), np.log(upper))
