"""What comes out of an integration? A `Trajectory`, put together from parts; and the stretches of time it runs over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import casadi as ca
import numpy as np

from titer.numerics.dae import Array, Dae
from titer.numerics.errors import SolveError
from titer.numerics.integration.buffered import called


@dataclass(frozen=True, eq=False)
class Piece:
    """A stretch of time with inputs on straight lines from `left` to `right` (equal: constant)."""

    duration: float
    left: Array
    right: Array


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Values along a phase, shapes (variables, points); the recipe's time stands twice where inputs jump."""

    time: Array
    x: Array
    z: Array
    u: Array
    y: Array
    reached: bool = True  # whether the event that should end the phase was met (True where there is none)
    note: str = ""  # what is worth saying of the start

    @property
    def duration(self) -> float:
        return float(self.time[-1] - self.time[0])

    @property
    def tau(self) -> Array:
        """Positions in the phase, 0 to 1."""
        span = self.time[-1] - self.time[0]
        return (self.time - self.time[0]) / (span if span > 0.0 else 1.0)


class IntegrationError(SolveError):
    """The integrator stopped: when, why, and what it reached (`solution`, a `Trajectory` or None).

    The reason is looked for when it is read: many a failed integration is only one of several attempts.
    """

    def __init__(self, message: str | Callable[[], str], time: float, trajectory: Trajectory | None):
        super().__init__("the integration failed", trajectory)
        self._message, self.time = message, time

    def __str__(self) -> str:
        if callable(self._message):
            self._message = self._message()
        return self._message


class Part(NamedTuple):
    """Points of a piece: times (points,), states, algebraics and inputs (variables, points)."""

    time: Array
    x: Array
    z: Array
    u: Array

    def before(self, k: int) -> Part:
        """The points before point k."""
        return Part(self.time[:k], self.x[:, :k], self.z[:, :k], self.u[:, :k])

    def then(self, other: Part) -> Part:
        return Part(*(np.concatenate(pair, axis=-1) for pair in zip(self, other, strict=True)))


def outputs(dae: Dae, time: Array, x: Array, z: Array, u: Array, p: Array) -> Array:
    """Named outputs (outputs, points) along a trajectory."""
    if not dae.outputs:
        return np.zeros((0, len(time)))
    return along(_last(dae.function), Part(time, x, z, u), p)[0]


@lru_cache(maxsize=64)
def _last(function: ca.Function) -> ca.Function:
    """A function with its last output alone, which need not calculate the others."""
    return function.slice("last", list(range(function.n_in())), [function.n_out() - 1])


def along(function: ca.Function, part: Part, p: Array) -> list[Array]:
    """Values of a function(t, x, z, u, p) at all points."""
    n = len(part.time)
    return called(_mapped(function, n), [part.time[None, :], *part[1:], np.repeat(p[:, None], n, axis=1)])


@lru_cache(maxsize=64)
def _mapped(function: ca.Function, n: int) -> ca.Function:
    return function.map(n)
