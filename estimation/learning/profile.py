"""How may a rate be off over one batch? By a free profile over time, as a correction whose numbers data decide.

The profile g is piecewise linear between evenly spaced knots, with corners rounded so that solvers have derivatives.
Before any data it is a Gaussian process in time with deviation `amplitude` and memory `memory` (Matern 3/2), which is a
penalty on its size and roughness: g(knots) = amplitude L z with L L' the correlation of the knots, and every z is
normal with deviation 1. Decided is z, so that each decision has a prior of its own.
Source: Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), chapters 4 and 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from titer.flowsheets import Correction, Flowsheet, Free, LearnedTerm
from titer.flowsheets.corrections.coefficients import HELD_IN, key_of
from titer.flowsheets.corrections.forms import Form
from titer.flowsheets.corrections.layers import Layer, stacked
from titer.flowsheets.corrections.model import LoweredModel
from titer.numerics.grid import Grid, mesh

Array = np.ndarray
_CORNER = 0.02  # of a piece: over which a corner is rounded
_JITTER = 1e-6  # on the correlation's diagonal: it can be factored, and no knot is known without any error
_FARTHEST = 8.0  # standard deviations that a decision may go
_FIXED = 3  # coefficients before z: begin, length, amplitude


@dataclass(frozen=True)
class Profile(Layer):
    """A rounded polygon over time. Coefficients: begin, length, amplitude, then z (pieces + 1).

    `memory`: over which share of its length the profile forgets its value.
    """

    pieces: int
    memory: float

    @property
    def outputs(self) -> int:
        return 1

    @property
    def count(self) -> int:
        return _FIXED + self.pieces + 1

    def __call__(self, x: Any, c: Any) -> Any:
        tau = (x[0] - c[0]) / c[1]
        values = root(self.pieces, self.memory) @ c[_FIXED:]
        return stacked([c[2] * sum(_hat(tau * self.pieces - k) * values[k] for k in range(self.pieces + 1))])


@dataclass(frozen=True)
class Prior:
    """What is thought of the discrepancy of one rate before data: its size, and over which time it changes."""

    amplitude: float
    memory: float


@dataclass(frozen=True)
class Span:
    """The time of a batch in which profiles live: its begin, its length, and pieces between knots."""

    begin: float
    length: float
    pieces: int

    @property
    def knots(self) -> Array:
        """Times (pieces + 1,)."""
        return self.begin + self.length * np.linspace(0.0, 1.0, self.pieces + 1)

    def root(self, prior: Prior) -> Array:
        """R with g(knots) = R z (pieces + 1, pieces + 1)."""
        return prior.amplitude * root(self.pieces, prior.memory / self.length)

    def grid(self, durations: Mapping[str, float], grid: Grid) -> Grid:
        """A grid whose elements end at the knots, which are corners of what is integrated."""
        ends, begin = {}, self.begin
        for phase, duration in durations.items():
            inside = (self.knots - begin) / duration
            inside = inside[(inside > 1e-6) & (inside < 1.0 - 1e-6)]
            asked = grid.asked(phase)
            count = asked if isinstance(asked, int) else int(np.ceil(max(2 * self.pieces, 20) / len(durations)))
            ends[phase] = mesh([*inside, *(asked if isinstance(asked, np.ndarray) else ())], count)
            begin += duration
        return Grid(ends, grid.degree, grid.points)


def profiled(
    plant: Flowsheet, span: Span, forms: Mapping[str, Form], priors: Mapping[str, Prior]
) -> tuple[Flowsheet, dict[str, Free]]:
    """The plant with a free profile on each expression, and what is free: z of each, with its prior."""
    terms: list[LearnedTerm] = []
    free: dict[str, Free] = {}
    for on, form in forms.items():
        layer = Profile(1, span.pieces, priors[on].memory / span.length)
        own = np.array([span.begin, span.length, priors[on].amplitude, *np.zeros(span.pieces + 1)])
        terms.append(LearnedTerm(on, ["time"], LoweredModel(layer, own, source="a free profile"), form))
        free |= {name: Free(0.0, -_FARTHEST, _FARTHEST, prior=(0.0, 1.0)) for name in decisions(on, span)}
    return plant.corrected(Correction(*terms)), free


def decisions(on: str, span: Span) -> list[str]:
    """Names of z of an expression's profile."""
    unit = on.split(".", 1)[0]
    return [f"{unit}.{HELD_IN}.{key_of(on)}[{_FIXED + k}]" for k in range(span.pieces + 1)]


@lru_cache(maxsize=256)
def root(pieces: int, memory: float) -> Array:
    """The lower Cholesky factor of the knots' correlation, Matern 3/2 with this memory."""
    knots = np.linspace(0.0, 1.0, pieces + 1)
    apart = np.sqrt(3.0) * np.abs(knots[:, None] - knots) / memory
    factor = np.linalg.cholesky((1.0 + apart) * np.exp(-apart) + _JITTER * np.eye(pieces + 1))
    factor.setflags(write=False)
    return factor


def _hat(x: Any) -> Any:
    """1 at 0, falling to 0 at -1 and 1, with rounded corners."""
    return 0.5 * (_size(x - 1.0) - 2.0 * _size(x) + _size(x + 1.0))


def _size(x: Any) -> Any:
    return np.sqrt(x * x + _CORNER**2)


__all__ = ["Prior", "Profile", "Span", "decisions", "profiled", "root"]
