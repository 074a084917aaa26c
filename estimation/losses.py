"""What does a residual count? Its square, or less where it is far out: robust losses, smooth, for data with outliers.

A loss rho maps the square s = r^2 of a weighted residual to its cost, with rho(s) = s for small ones. Source: Huber,
Robust Statistics (1981); Triggs et al., Bundle Adjustment (2000).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import casadi as ca

from titer.numerics.errors import SpecificationError


class Loss(Protocol):
    """A robust loss."""

    def cost(self, square: Any) -> Any:
        """What the square of a weighted residual costs: a number or a symbol, as it came."""


@dataclass(frozen=True)
class Huber:
    """2 d^2 (sqrt(1 + s / d^2) - 1), pseudo-Huber: quadratic up to about `delta` standard deviations, linear beyond."""

    delta: float = 1.345

    def __post_init__(self) -> None:
        _check(self.delta, "Huber: delta")

    def cost(self, square: Any) -> Any:
        return 2.0 * self.delta**2 * ((1.0 + square / self.delta**2) ** 0.5 - 1.0)


@dataclass(frozen=True)
class Cauchy:
    """c^2 log(1 + s / c^2): what lies beyond `scale` standard deviations counts for little, and ever less."""

    scale: float = 2.385

    def __post_init__(self) -> None:
        _check(self.scale, "Cauchy: scale")

    def cost(self, square: Any) -> Any:
        return self.scale**2 * ca.log1p(square / self.scale**2)


def _check(value: float, what: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0.0:
        raise SpecificationError(f"{what} must be a positive number of standard deviations, got {value!r}.")
