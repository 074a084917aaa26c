"""Which steps does an integration take, and what do they weigh? Times and orders of backward differentiation formulas.

Over the last q points, at distances that may all differ, a step to t_n solves

    M (alpha_0 y_n + sum_i alpha_i y_(n-i)) = F(t_n, y_n),

alpha the derivative at t_n of the polynomial through y_n ... y_(n-q). With p the polynomial through the q + 1 points
before, the local error is (y_n - p(t_n)) / (alpha_0 (t_n - t_(n-q-1))).
Source: Brenan, Campbell & Petzold, Numerical Solution of Initial-Value Problems in DAEs (SIAM 1996), ch. 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from titer.numerics.dae import Array

HIGHEST = 5  # order of the formulas
POINTS = HIGHEST + 2  # before the new one, that a step of any order and its estimates read


def derivative_weights(t: float, past: Array) -> Array:
    """alpha (1 + points,): the derivative at t of the polynomial through t and the `past` times, latest first."""
    gaps = t - past
    alpha = np.empty(len(past) + 1)
    alpha[0] = (1.0 / gaps).sum()
    for j, at in enumerate(past):
        others = np.delete(past, j)
        alpha[j + 1] = np.prod((t - others) / (at - others)) / (at - t)
    return alpha


def extrapolation_weights(t: float, past: Array) -> Array:
    """Weights (points,) of the polynomial through the `past` times, at t."""
    weights = np.empty(len(past))
    for j, at in enumerate(past):
        others = np.delete(past, j)
        weights[j] = np.prod((t - others) / (at - others))
    return weights


def error_factor(t: float, past: Array, q: int) -> float:
    """What y_n less its prediction is multiplied by to be the local error of order q; `past`: q + 1 times or more."""
    return float(1.0 / ((1.0 / (t - past[:q])).sum() * (t - past[q])))


@dataclass(frozen=True, eq=False)
class Steps:
    """The steps of an integration: `times` (n + 1,) from 0 to 1, `orders` (n,).

    Taken again they make the end a smooth function of the start, however far the sizes of steps were a matter of
    luck. Source: Bock, in: Numerical Treatment of Inverse Problems (Birkhäuser 1983) 95 (internal differentiation).
    """

    times: Array
    orders: Array

    @property
    def count(self) -> int:
        return len(self.orders)

    @cached_property
    def derivatives(self) -> list[Array]:
        """alpha of each step."""
        return [derivative_weights(self.times[n + 1], self.past(n, q)) for n, q in enumerate(self.orders)]

    @cached_property
    def predictions(self) -> list[Array]:
        """Weights with which each step is predicted; those of the first are of its start alone."""
        return [extrapolation_weights(self.times[n + 1], self.past(n, q + 1)) for n, q in enumerate(self.orders)]

    @cached_property
    def errors(self) -> Array:
        """What each prediction's miss is multiplied by to be the local error; half for the first step."""
        factors = [0.5]
        for n, q in enumerate(self.orders[1:], start=1):
            past = self.past(n, q + 1)
            factors.append(error_factor(self.times[n + 1], past, q) if len(past) > q else 1.0)
        return np.array(factors)

    def past(self, n: int, count: int) -> Array:
        """Times of the points before step n, latest first, at most `count`."""
        return self.times[max(n + 1 - count, 0) : n + 1][::-1]
