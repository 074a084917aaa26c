"""What is a phase to a numerical method? A model, the shapes of its inputs, what is asked along the way."""

from __future__ import annotations

from dataclasses import dataclass

import casadi as ca
import numpy as np

from titer.numerics.dae import Array, Dae


@dataclass(frozen=True, eq=False)
class Profile:
    """The shape of one input over a phase: straight lines on pieces between `edges`, fractions of the phase.

    `left` and `right` say which of the input's values stand at the two ends of each piece.
    """

    edges: Array
    left: Array
    right: Array

    @staticmethod
    def steps(edges: Array) -> Profile:
        """One value a piece."""
        each = np.arange(len(edges) - 1)
        return Profile(np.asarray(edges, dtype=float), each, each)

    @staticmethod
    def lines(edges: Array) -> Profile:
        """One value an edge: continuous."""
        each = np.arange(len(edges) - 1)
        return Profile(np.asarray(edges, dtype=float), each, each + 1)

    @staticmethod
    def broken(edges: Array) -> Profile:
        """Two values a piece, left and right: lines with jumps between them."""
        each = 2 * np.arange(len(edges) - 1)
        return Profile(np.asarray(edges, dtype=float), each, each + 1)

    @property
    def constant(self) -> bool:
        """Whether each piece has one value."""
        return bool(np.array_equal(self.left, self.right))

    @property
    def count(self) -> int:
        return int(max(self.left.max(), self.right.max())) + 1

    def kinks(self, values: Array) -> Array:
        """Edges at which the input jumps or bends; none where its values go on as they were."""
        values = np.asarray(values, dtype=float)
        left, right = values[self.left], values[self.right]
        slope = (right - left) / np.diff(self.edges)
        return self.edges[1:-1][(right[:-1] != left[1:]) | (slope[:-1] != slope[1:])]

    def piece_of(self, tau: Array) -> Array:
        """The piece in which each position lies; on an edge, the one that begins there."""
        return np.clip(np.searchsorted(self.edges, tau, side="right") - 1, 0, len(self.edges) - 2)

    def at(self, values: Array, tau: Array, piece: Array | None = None) -> Array:
        """The input at positions (of the given pieces, where a position is the edge of two)."""
        k = self.piece_of(tau) if piece is None else piece
        values = np.asarray(values, dtype=float)
        share = (tau - self.edges[k]) / (self.edges[k + 1] - self.edges[k])
        return values[self.left[k]] + (values[self.right[k]] - values[self.left[k]]) * share


@dataclass(frozen=True, eq=False)
class PathRow:
    """Rows lower <= function(t, x, z, u, p) <= upper along a phase; `at_start`: at its first instant as well."""

    function: ca.Function
    lower: float
    upper: float
    name: str
    at_start: bool = False


@dataclass(frozen=True, eq=False)
class Integrand:
    """Adds weight * integral of function(t, x, z, u, p) over the phase to the objective."""

    function: ca.Function
    weight: float


@dataclass(frozen=True, eq=False)
class Segment:
    """A phase as numerics sees it."""

    name: str
    dae: Dae
    profiles: tuple[Profile, ...]  # one per input of the model
    paths: tuple[PathRow, ...] = ()
    integrands: tuple[Integrand, ...] = ()
    needs_start: bool = False  # whether algebraic variables at the first instant are read by anyone
    movable: Array | None = None  # nominal positions (0 to 1) of ends that are decided, elements moving with them

    @property
    def ends(self) -> Array:
        """Positions where some input changes piece."""
        return np.unique(np.concatenate([np.array([0.0, 1.0]), *(p.edges for p in self.profiles)]))

    @property
    def knows_time(self) -> bool:
        """Whether time itself enters anything in this phase."""
        more = [path.function for path in self.paths] + [term.function for term in self.integrands]
        return self.dae.depends_on_time(*more)
