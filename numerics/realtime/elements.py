"""How do the unknowns inside an element leave a step? By its own equations, solved for all elements at once.

In an element (a copy of a batch whose first equations determine arguments D from the others O) a step obeys

    J_D d_D + J_O d_O + r = 0,    d_D = K d_O + c,    K = -J_D^-1 J_O,    c = -J_D^-1 r

Of D, what no other batch reads (L: collocation points inside) is substituted everywhere; the others (S: the states at
the end) stay, with d_S - K_S d_O = c_S as the equations that are left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from titer.numerics.nlp import Array
from titer.numerics.realtime.functions import Piece


@dataclass(frozen=True, eq=False)
class Where:
    """Where a batch's numbers stand in the flat vectors: its first row, slope, Jacobian entry and Hessian entry."""

    row: int
    slope: int
    jacobian: int
    hessian: int


class Elements:
    """Elements of one kind, `count` of them; `cells` (count, arguments) says which columns their arguments are.

    Arguments are sorted: first L (`inner` of them), then O (`outer`), then S (`shared`).
    """

    def __init__(self, pieces: Sequence[Piece], where: Sequence[Where], exact: bool, inner: Array, columns: int):
        piece = pieces[0]
        position = {int(argument): k for k, argument in enumerate(piece.active)}
        assert piece.batch.determined is not None
        determined = np.array([position[int(a)] for a in piece.batch.determined])
        L = np.array([d for d in determined if inner[d]], dtype=int)
        S = np.array([d for d in determined if not inner[d]], dtype=int)
        O = np.setdiff1d(np.arange(len(piece.active)), determined)  # noqa: E741
        order = np.concatenate([L, O, S])
        rank = np.argsort(order)
        self.inner, self.outer, self.shared = len(L), len(O), len(S)
        self.equations, self.rows, self.arguments = len(determined), piece.batch.rows, len(order)
        self.cells = np.concatenate([each.cells for each in pieces])[:, order]
        self.count = len(self.cells)
        copies = [np.arange(each.batch.copies)[:, None] for each in pieces]
        starts = list(zip(copies, where, strict=True))
        self.row_at = np.concatenate([w.row + k * self.rows + np.arange(self.rows) for k, w in starts])
        i, j = piece.jacobian
        self.jacobian_at = np.concatenate([w.jacobian + k * len(i) + np.arange(len(i)) for k, w in starts])
        self.jacobian_to = i * self.arguments + rank[j]
        self.weighted = piece.weighted
        if self.weighted:
            each = len(piece.active)
            self.slope_at = np.concatenate([w.slope + k * each + order for k, w in starts])
        i, j = piece.hessian if exact else piece.bent
        self.curved = len(i) > 0
        self.hessian_at = np.concatenate([w.hessian + k * len(i) + np.arange(len(i)) for k, w in starts])
        i, j = rank[i], rank[j]
        self.hessian_to = np.concatenate([i * self.arguments + j, j * self.arguments + i])
        self.inner_curved = bool((i < self.inner).any() or (j < self.inner).any())
        self.sloped = self.weighted or self.inner_curved  # curvature inside bends the slopes of what stays
        self.moving = _moving(piece, determined, order, self)
        self.columns = columns

    @property
    def kept(self) -> slice:
        """Arguments that stay: O and S."""
        return slice(self.inner, self.arguments)


def _moving(piece: Piece, determined: Array, order: Array, elements: Elements) -> Array:
    """Which of O the equations read."""
    i, j = piece.jacobian
    read = np.zeros(len(order), dtype=bool)
    read[j[i < len(determined)]] = True
    return read[order][elements.inner : elements.inner + elements.outer]


@dataclass
class Solved:
    """Elements solved at a point: what a step inside them follows from, and what it costs.

    `jacobian` is that of all rows, `follow` (count, equations, O) is K, `inverse` that of J_D, in the order of L, S;
    `inside` (count, L, O and S): how what is substituted follows what stays; `step` is c.
    """

    elements: Elements
    jacobian: Array
    inverse: Array
    follow: Array
    inside: Array
    step: Array = field(default_factory=lambda: np.zeros(0))
    hessian: Array | None = None

    @staticmethod
    def at(elements: Elements, entries: Array) -> Solved:
        """Solve the equations of all elements for what they determine. Raises LinAlgError where they cannot be."""
        e = elements
        flat = np.zeros((e.count, e.rows * e.arguments))
        flat[:, e.jacobian_to] = entries[e.jacobian_at]
        jacobian = flat.reshape(e.count, e.rows, e.arguments)
        equations = jacobian[:, : e.equations]
        determined = np.concatenate([equations[:, :, : e.inner], equations[:, :, e.inner + e.outer :]], axis=2)
        inverse = np.linalg.inv(determined)
        follow = -(inverse @ equations[:, :, e.inner : e.inner + e.outer])
        inside = np.zeros((e.count, e.inner, e.outer + e.shared))
        inside[:, :, : e.outer] = follow[:, : e.inner]
        return Solved(e, jacobian, inverse, follow, inside)

    def move(self, rows: Array) -> None:
        """Take other residuals (flat rows): the step that follows when nothing else moves."""
        e = self.elements
        self.step = -(self.inverse @ rows[e.row_at[:, : e.equations], None])[:, :, 0]

    def bend(self, entries: Array) -> None:
        """Take second derivatives (flat entries)."""
        e = self.elements
        hessian = np.zeros((e.count, e.arguments * e.arguments))
        own = entries[e.hessian_at]
        hessian[:, e.hessian_to] = np.concatenate([own, own], axis=1)
        self.hessian = hessian.reshape(e.count, e.arguments, e.arguments)
