"""Which measurements count, and how much? A test of each innovation against what it should be, or a robust loss."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import casadi as ca
import numpy as np

from titer.estimation.losses import Cauchy, Huber
from titer.numerics.dae import Array
from titer.numerics.errors import SpecificationError


@dataclass(frozen=True)
class Rejecting:
    """A measurement is a gross error where its innovation is less probable than 1 - `probability`, and is left out.

    The test is that of chi-square with one degree of freedom, sensor by sensor. After `at_most` in a row the sensor is
    believed once: it may be the model that is wrong.
    """

    probability: float = 0.999
    at_most: int = 5

    def __post_init__(self) -> None:
        if not 0.5 < self.probability < 1.0:
            raise SpecificationError(
                f"Rejecting: probability must lie between 0.5 and 1, such as 0.999, got {self.probability!r}."
            )
        if isinstance(self.at_most, bool) or not isinstance(self.at_most, int) or self.at_most < 1:
            raise SpecificationError(f"Rejecting: at_most must be a whole number of at least 1, got {self.at_most!r}.")


Robust = Rejecting | Huber | Cauchy


def check_robust(robust: object, who: str) -> None:
    """Raises SpecificationError."""
    if robust is not None and not isinstance(robust, Rejecting | Huber | Cauchy):
        raise SpecificationError(f"{who}: robust is Rejecting(...), Huber(...), Cauchy(...) or None, got {robust!r}.")


def gross(robust: Robust | None, residual: Array, deviations: Array, streak: Array) -> Array:
    """Which measurements (m,) are gross errors; `streak`: how many in a row were, of each sensor."""
    if not isinstance(robust, Rejecting):
        return np.zeros(len(residual), dtype=bool)
    with np.errstate(invalid="ignore"):
        far = (residual / deviations) ** 2 > chi_square(robust.probability, 1)
    return far & (streak < robust.at_most)


def costs(robust: Robust | None, whitened: Array) -> tuple[Array, Array]:
    """What whitened residuals cost, and the weights of their squares: 1 without a robust loss."""
    square = whitened**2
    if not isinstance(robust, Huber | Cauchy):
        return square, np.ones_like(square)
    cost, weight = (each.full().reshape(square.shape) for each in _loss(robust).map(square.size)(square.reshape(1, -1)))
    return cost, weight


@lru_cache(maxsize=8)
def _loss(robust: Huber | Cauchy) -> ca.Function:
    square = ca.SX.sym("square")
    cost = robust.cost(square)
    return ca.Function("loss", [square], [cost, ca.gradient(cost, square)])


@lru_cache(maxsize=256)
def chi_square(probability: float, degrees: int) -> float:
    """The quantile of the chi-square distribution."""
    from scipy.special import gammaincinv

    return float(2.0 * gammaincinv(0.5 * degrees, probability))
