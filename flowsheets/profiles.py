"""What shape does an input have in time? Pieces that are decided, or pieces that are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.numerics.errors import SpecificationError


@dataclass(frozen=True, eq=False)
class Pieces:
    """What both shapes share.

    `pieces`: how many per phase, or by `every`: their length in the flowsheet's time. `values`: given instead of
    decided, one per piece (per node for linear pieces); their number then says how many pieces there are.
    `lower`, `upper`: bounds of the decisions (default: those of the control). `guess`: value tried first.
    """

    pieces: int | None = None
    every: float | None = None
    values: Sequence[float] | None = None
    lower: Any = None
    upper: Any = None
    guess: Any = None

    def __post_init__(self) -> None:
        what = type(self).__name__
        given = [key for key in ("pieces", "every", "values") if getattr(self, key) is not None]
        if len(given) != 1:
            raise SpecificationError(f"{what}: give one of pieces, every=, values=, got {', '.join(given) or 'none'}.")
        if self.pieces is not None and (
            isinstance(self.pieces, bool) or not isinstance(self.pieces, int | np.integer) or self.pieces < 1
        ):
            raise SpecificationError(f"{what}: pieces must be a whole number of at least 1, got {self.pieces!r}.")
        if self.every is not None and not (np.isfinite(self.every) and self.every > 0):
            raise SpecificationError(f"{what}: every must be a positive time, got {self.every!r}.")
        if self.values is not None and not np.isfinite(np.asarray(self.values, dtype=float)).all():
            raise SpecificationError(f"{what}: a value is not finite: {list(self.values)!r}.")

    def edges(self, duration: float, exact: bool) -> np.ndarray:
        """Ends of the pieces as fractions of a phase. `exact`: the duration is fixed, `every` is kept to the last,
        shorter, piece; in a free duration the pieces share it equally."""
        if self.values is not None:
            count = len(self.values) - (1 if self.linear else 0)
        elif self.pieces is not None:
            count = self.pieces
        else:
            assert self.every is not None
            ratio = duration / self.every
            count = max(1, int(np.ceil(ratio - 1e-9)))
            if exact:
                return np.append(np.arange(count) * self.every / duration, 1.0)
        return np.linspace(0.0, 1.0, count + 1)

    @property
    def linear(self) -> bool:
        return False


@dataclass(frozen=True, eq=False)
class PiecewiseConstant(Pieces):
    """Steps: `PiecewiseConstant(10)` decides ten pieces per phase, `PiecewiseConstant(every=360.0)` one per 360."""


@dataclass(frozen=True, eq=False)
class PiecewiseLinear(Pieces):
    """Straight lines, continuous from phase to phase: `PiecewiseLinear(10, rate=0.05)`.

    `rate`: the largest rate of change, in the control's unit per unit of the flowsheet's time.
    """

    rate: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rate is not None and not (np.isfinite(self.rate) and self.rate > 0):
            raise SpecificationError(f"PiecewiseLinear: rate must be positive, got {self.rate!r}.")
        if self.values is not None and len(self.values) < 2:
            raise SpecificationError("PiecewiseLinear: values are those at the nodes, at least two.")

    @property
    def linear(self) -> bool:
        return True
