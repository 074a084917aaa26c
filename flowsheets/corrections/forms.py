"""How does what a model predicts change a rate? As a factor, or as a summand, between bounds."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.flowsheets.symbols.symbol import Symbol, quantity
from titer.numerics.errors import SpecificationError

_ROUNDED = 0.1  # of a bound: how far from it the bounded value bends away


@dataclass(frozen=True)
class Form(ABC):
    """What corrections have in common: bounds, which the corrected value keeps whatever a model predicts."""

    lower: float
    upper: float

    @property
    @abstractmethod
    def ends(self) -> tuple[float, float]:
        """The bounds of what the model predicts, below and above 0."""

    @abstractmethod
    def applied(self, value: Any, bounded: Any) -> Any:
        """The corrected value."""

    @abstractmethod
    def target(self, value: Any, corrected: Any) -> Any:
        """What a model has to predict, so that numbers `value` become `corrected`."""

    @abstractmethod
    def shown(self, bounded: Any) -> Any:
        """The correction as a number that is told: a factor, or what is added."""

    def bounded(self, predicted: Any) -> Any:
        """A prediction kept strictly between the ends, smooth, increasing, and 0 at 0."""
        low, high = self.ends
        return -_saturated(-_saturated(predicted, high), -low)


@dataclass(frozen=True)
class Multiplicative(Form):
    """rate * exp(g): the model predicts the logarithm g of a factor from `lower` < 1 to `upper` > 1.

    For rates of one sign, which keep it; a rate of zero stays zero.
    """

    lower: float = 0.25
    upper: float = 4.0

    def __post_init__(self) -> None:
        if not 0.0 < self.lower < 1.0 < self.upper < math.inf:
            raise SpecificationError(
                f"Multiplicative: a factor's bounds are 0 < lower < 1 < upper, got {self.lower!r} and {self.upper!r}."
            )

    @property
    def ends(self) -> tuple[float, float]:
        return math.log(self.lower), math.log(self.upper)

    def applied(self, value: Any, bounded: Any) -> Any:
        return value * np.exp(bounded)

    def target(self, value: Any, corrected: Any) -> Any:
        ratio = np.asarray(corrected, dtype=float) / np.asarray(value, dtype=float)
        if not (ratio > 0.0).all():
            raise SpecificationError(
                "Multiplicative: a factor is positive, but a value and its correction have different signs, or are 0.\n"
                "  Use Additive(lower=, upper=) for a rate that changes its sign."
            )
        return np.log(ratio)

    def shown(self, bounded: Any) -> Any:
        return np.exp(bounded)


@dataclass(frozen=True)
class Additive(Form):
    """rate + g: the model predicts what is added, from `lower` < 0 to `upper` > 0, in the rate's declared unit."""

    def __post_init__(self) -> None:
        if not -math.inf < self.lower < 0.0 < self.upper < math.inf:
            raise SpecificationError(
                f"Additive: bounds are lower < 0 < upper, in the rate's unit, got {self.lower!r} and {self.upper!r}."
            )

    @property
    def ends(self) -> tuple[float, float]:
        return self.lower, self.upper

    def applied(self, value: Any, bounded: Any) -> Any:
        return value + (quantity(bounded, value.measure) if isinstance(value, Symbol) else bounded)

    def target(self, value: Any, corrected: Any) -> Any:
        return np.asarray(corrected, dtype=float) - np.asarray(value, dtype=float)

    def shown(self, bounded: Any) -> Any:
        return bounded


def _saturated(x: Any, end: float) -> Any:
    """x, but always below `end` > 0, and 0 at 0: the smaller of the two, rounded, shifted and scaled by a quarter of a
    percent."""
    width = _ROUNDED * end
    shift = 0.5 * (math.hypot(end, width) - end)
    lesser = 0.5 * (x + end - np.sqrt((end - x) ** 2 + width**2))
    return (lesser + shift) * (end / (end + shift))


__all__ = ["Additive", "Form", "Multiplicative"]
