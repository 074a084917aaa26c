"""How far may a measurement lie from the truth? Standard deviations: a number, `Noise`, one a sample, `Estimated`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.estimation.data.conversion import Conversion
from titer.flowsheets.signals import in_unit
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import Symbol
from titer.numerics.errors import SpecificationError

Array = np.ndarray


@dataclass(frozen=True)
class Estimated:
    """A standard deviation that is estimated with the parameters; `guess`: where it begins (default: 5 % of the size of
    the measurements)."""

    guess: Any = None

    def first(self, values: Array) -> Any:
        """What it begins with."""
        return self.guess if self.guess is not None else 0.05 * float(np.abs(values).max(initial=0.0)) or 1.0


@dataclass(frozen=True)
class Noise:
    """A standard deviation with a constant part and a part that grows with the measured value.

    Both are independent: deviation^2 = absolute^2 + (relative |value|)^2. `relative` is a fraction: 0.05 is 5 %.
    """

    absolute: Any = 0.0
    relative: float = 0.0

    def __post_init__(self) -> None:
        parts = {"relative": self.relative}
        if not isinstance(self.absolute, Symbol):  # of a quantity, the sign is checked where the unit is known
            parts["absolute"] = self.absolute
        for key, part in parts.items():
            number = isinstance(part, int | float | np.number) and not isinstance(part, bool)
            if not number or not np.isfinite(part) or part < 0.0:
                raise SpecificationError(f"Noise: {key} must be a finite number of at least 0, got {part!r}.")
        if not any(isinstance(part, Symbol) or part > 0.0 for part in (self.absolute, self.relative)):
            raise SpecificationError("Noise: expected absolute=, relative= or both above 0; weights would be infinite.")


def aligned(noise: Any, index: Any, stacked: bool, what: str) -> Any:
    """A standard deviation per sample as an array (n,) beside the frame's rows; anything else as it is.

    `stacked`: rows come from several columns, so that a list beside them cannot be placed. Raises SpecificationError.
    """
    if not isinstance(noise, Sequence | np.ndarray) and not hasattr(noise, "to_numpy"):
        return noise
    if isinstance(noise, str):
        raise SpecificationError(f"{what}: expected a standard deviation, got {noise!r}.")
    if stacked:
        raise SpecificationError(
            f"{what}: one a sample cannot be placed where several columns hold the replicates.\n"
            f"  Give a number, Noise(absolute=, relative=) or Estimated()."
        )
    if hasattr(noise, "index") and hasattr(noise, "to_numpy") and not noise.index.equals(index):
        raise SpecificationError(f"{what}: the Series has other times than the frame; give one value for each row.")
    try:
        values = np.asarray(noise, dtype=float)
    except (TypeError, ValueError):
        raise SpecificationError(f"{what}: expected numbers, one for each row of the frame, got {noise!r}.") from None
    if values.shape != (len(index),):
        raise SpecificationError(
            f"{what}: expected one for each of the {len(index)} rows of the frame, got shape {values.shape}."
        )
    return values.copy()


def declared(noise: Any, conversion: Conversion, measure: Measure, what: str) -> Any:
    """A noise in the declared unit of what is measured; a bare number came in the unit of the data."""

    def number(value: Any) -> float:
        return in_unit(value, measure, what) * (1.0 if isinstance(value, Symbol) else conversion.factor)

    if isinstance(noise, Estimated):
        return noise if noise.guess is None else Estimated(number(noise.guess))
    if isinstance(noise, Noise):
        return Noise(number(noise.absolute), noise.relative)
    return noise * conversion.factor if isinstance(noise, np.ndarray) else number(noise)


def deviations(noise: Any, values: Array) -> Array:
    """Standard deviations (n,) of measured values (n,), NaN where there is none, of a noise in the declared unit."""
    if isinstance(noise, Estimated):
        noise = noise.first(values[np.isfinite(values)])
    if isinstance(noise, Noise):
        return np.hypot(noise.absolute, noise.relative * np.abs(values))
    return np.broadcast_to(np.asarray(noise, dtype=float), values.shape).copy()
