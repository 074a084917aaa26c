"""What shape does an input have in time? Pieces that are decided, or pieces that are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from titer.flowsheets.symbols.symbol import Symbol
from titer.numerics.errors import SpecificationError


@dataclass(frozen=True, eq=False)
class Pieces:
    """What both shapes share.

    `pieces`: how many per phase, or by `every`: their length in the flowsheet's time. `values`: given instead of
    decided, one per piece (per node for linear pieces); their number then says how many pieces there are.
    `ends`: instead of a number, the ends of the pieces as fractions of the phase, from 0 to 1.
    `lower`, `upper`: bounds of the decisions (default: those of the control). `guess`: value tried first.
    """

    pieces: int | None = None
    every: float | None = None
    values: Sequence[Any] | None = None
    lower: Any = None
    upper: Any = None
    guess: Any = None
    ends: Sequence[float] | None = None
    linear: ClassVar[bool] = False

    def __post_init__(self) -> None:
        what = type(self).__name__
        given = [key for key in ("pieces", "every", "values", "ends") if getattr(self, key) is not None]
        if len(given) != 1:
            raise SpecificationError(
                f"{what}: expected one of pieces, every=, values=, ends=, got {' and '.join(given) or 'none'}.\n"
                f"  Write {what}(10), {what}(every=360.0) or {what}(values=[...])."
            )
        if self.pieces is not None and (
            isinstance(self.pieces, bool) or not isinstance(self.pieces, int | np.integer) or self.pieces < 1
        ):
            raise SpecificationError(f"{what}: pieces must be a whole number of at least 1, got {self.pieces!r}.")
        if self.every is not None and not _positive(self.every):
            raise SpecificationError(
                f"{what}: every must be a positive number in the flowsheet's time, got {self.every!r}."
            )
        if self.ends is not None:
            ends = np.asarray(self.ends, dtype=float)
            if len(ends) < 2 or ends[0] != 0.0 or ends[-1] != 1.0 or not np.all(np.diff(ends) > 1e-6):
                raise SpecificationError(f"{what}: ends are rising fractions from 0 to 1, got {list(self.ends)!r}.")
        if self.values is not None:
            _check_values(self.values, what, 2 if self.linear else 1)

    def edges(self, duration: float, exact: bool) -> np.ndarray:
        """Ends of the pieces as fractions of a phase. `exact`: the duration is fixed, `every` is kept to the last,
        shorter, piece; in a free duration the pieces share it equally."""
        if self.ends is not None:
            return np.asarray(self.ends, dtype=float)
        if self.values is not None:
            count = len(self.values) - (1 if self.linear else 0)
        elif self.pieces is not None:
            count = self.pieces
        else:
            assert self.every is not None
            count = max(1, int(np.ceil(duration / self.every - 1e-9)))
            if exact:
                return np.append(np.arange(count) * self.every / duration, 1.0)
        return np.linspace(0.0, 1.0, count + 1)


@dataclass(frozen=True, eq=False)
class PiecewiseConstant(Pieces):
    """Steps: `PiecewiseConstant(10)` decides ten pieces per phase, `PiecewiseConstant(every=360.0)` one per 360.

    `switching`: where the pieces end is decided too, no piece shorter than a thousandth of its phase.
    """

    switching: bool = False


@dataclass(frozen=True, eq=False)
class PiecewiseLinear(Pieces):
    """Straight lines, continuous from phase to phase: `PiecewiseLinear(10, rate=0.05)`.

    `rate`: the largest rate of change, in the control's unit per unit of the flowsheet's time.
    """

    rate: float | None = None
    linear: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rate is not None and not _positive(self.rate):
            raise SpecificationError(f"PiecewiseLinear: rate must be a positive number, got {self.rate!r}.")


def _positive(value: Any) -> bool:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return number and bool(np.isfinite(value)) and value > 0


def _check_values(values: Any, what: str, least: int) -> None:
    """Given values are finite numbers or quantities, at least `least` of them."""
    if isinstance(values, str) or not hasattr(values, "__len__") or np.ndim(values) != 1:
        raise SpecificationError(f"{what}: values is a list of numbers, got {values!r}.")
    noun = "piece" if least == 1 else "node"
    if len(values) < least:
        raise SpecificationError(f"{what}: values holds one number a {noun}, at least {least}, got {list(values)!r}.")
    for value in values:
        if isinstance(value, Symbol):
            continue  # a quantity: checked where the unit is known
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not np.isfinite(value):
            raise SpecificationError(f"{what}: a value is no finite number: {value!r} in {list(values)!r}.")
