"""What would be measured at any time, and how does it follow the decisions? Readings between the points of a phase.

At a time t of element e the states are the polynomial through the element's start and its collocation points, the
algebraic variables that through the collocation points; a reading y is a function of t and of the cells behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import casadi as ca
import numpy as np

from titer.flowsheets.lowering import evaluate
from titer.flowsheets.problems.placing import Placement, widened
from titer.numerics.collocation import Points, collocation
from titer.numerics.errors import NotActiveError
from titer.numerics.nlp import Nlp

Array = np.ndarray
_CLOSE = 1e-9  # fraction of a phase within which a time is the end of an element


class Sampler:
    """Readings of some names in one phase of a run whose earlier phases are `before`."""

    def __init__(
        self, nlp: Nlp, placement: Placement, before: Sequence[Placement], names: Sequence[str], points: Points
    ):
        self.placement, self.names = placement, tuple(names)
        self.cells = nlp.cells[placement.block.name]
        durations = [nlp.cells[p.block.name][p.block.slot("duration").cells[0]] for p in (*before, placement)]
        self.durations = np.array(durations, dtype=int)  # of the phases up to this one
        self.ends = placement.transcribed.ends
        stride = (len(placement.transcribed.tau) - 1) // (len(self.ends) - 1)
        self.stride, self.degree = stride, stride - (points is Points.LEGENDRE)
        self.nodes = collocation(self.degree, points).nodes

    @cached_property
    def index(self) -> Array:
        """(arguments, elements): the cells that readings in each element depend on."""
        block, dae = self.placement.block, self.placement.dae
        first = np.arange(len(self.ends) - 1) * self.stride
        x, z = block.ports["x"], block.ports["z"]
        rows = [np.repeat(self.durations[:, None], len(first), axis=1)]
        rows += [self.cells[x[:, first + j]] for j in range(self.degree + 1)]
        rows += [self.cells[z[:, first + j]] for j in range(1, self.degree + 1)]
        for variable, profile, piece in zip(dae.inputs, self._profiles, self._pieces, strict=True):
            own = self.cells[block.slot(f"input:{variable.name}").cells]
            rows += [own[profile.left[piece]][None, :], own[profile.right[piece]][None, :]]
        rows.append(np.repeat(self.cells[block.slot("parameters").cells][:, None], len(first), axis=1))
        return np.concatenate(rows)

    @property
    def _profiles(self):  # type: ignore[no-untyped-def]
        return self.placement.transcribed.segment.profiles

    @cached_property
    def _pieces(self) -> list[Array]:
        middle = 0.5 * (self.ends[:-1] + self.ends[1:])
        return [profile.piece_of(middle) for profile in self._profiles]

    @cached_property
    def place(self) -> Array:
        """(numbers, elements): start and width of each element, then those of the piece of each input."""
        rows = [self.ends[:-1], np.diff(self.ends)]
        for profile, piece in zip(self._profiles, self._pieces, strict=True):
            rows += [profile.edges[piece], np.diff(profile.edges)[piece]]
        return np.array(rows)

    @cached_property
    def active(self) -> Array:
        """Which of the names can be read in this phase."""
        return np.array([self._model(name) is not None for name in self.names])

    def _model(self, name: str) -> ca.Function | None:
        lowered = self.placement.operation.lowered
        try:
            symbol = evaluate(lambda v: v[name], lowered.view, name)
        except NotActiveError:
            return None
        return widened(lowered.function(symbol, "seen"), self.placement.dae)

    @cached_property
    def _functions(self) -> tuple[ca.Function, ca.Function]:
        """(t, place, v) -> readings, their derivatives in v; and (t, place, v, directions, weights) -> the derivatives
        in v and t of sum of weights * y + direction' dy/dv."""
        dae = self.placement.dae
        nx, nz, nu, npar = dae.sizes
        d, m = self.degree, len(self.names)
        sizes = [len(self.durations), *[nx] * (d + 1), *[nz] * d, *[1] * (2 * nu), npar]
        t, place, v = ca.SX.sym("t"), ca.SX.sym("place", 2 + 2 * nu), ca.SX.sym("v", sum(sizes))
        parts = ca.vertsplit(v, np.cumsum([0, *sizes]).tolist())
        durations, xs, zs = parts[0], parts[1 : d + 2], parts[d + 2 : 2 * d + 2]
        inputs, p = parts[2 * d + 2 : -1], parts[-1]
        begin = ca.sum1(durations[:-1]) if len(self.durations) > 1 else 0.0
        tau = (t - begin) / durations[-1]
        s = (tau - place[0]) / place[1]
        x = _through(np.concatenate([[0.0], self.nodes]), xs, s)
        z = _through(self.nodes, zs, s) if nz else ca.SX(0, 1)
        u = [
            inputs[2 * i] + (inputs[2 * i + 1] - inputs[2 * i]) * (tau - place[2 + 2 * i]) / place[3 + 2 * i]
            for i in range(nu)
        ]
        point = (t, x, z, ca.vertcat(ca.SX(0, 1), *u), p)
        models = [self._model(name) for name in self.names]
        y = ca.vertcat(*(ca.SX(0.0) if model is None else model(*point) for model in models))
        slopes = ca.jacobian(y, v)
        directions, weights = ca.SX.sym("directions", v.numel(), m), ca.SX.sym("weights", m)
        total = ca.dot(weights, y) + ca.sum1(ca.sum2(slopes.T * directions))
        both = [ca.densify(ca.gradient(total, v)), ca.densify(ca.gradient(total, t))]
        read = ca.Function("read", [t, place, v], [ca.densify(y), ca.densify(slopes)])
        return read, ca.Function("bend", [t, place, v, directions, weights], both)

    def elements(self, tau: Array) -> Array:
        """The element of each position; on an end, the one that ends there."""
        return np.clip(np.searchsorted(self.ends, tau - _CLOSE) - 1, 0, len(self.ends) - 2)

    def read(self, times: Array, elements: Array, values: Array) -> tuple[Array, Array]:
        """Readings (n, names) and their derivatives (n, names, arguments) at times, from the values of all cells."""
        n = len(times)
        y, slopes = self._functions[0].map(n)(times[None, :], self.place[:, elements], values[self.index[:, elements]])
        return np.array(y).T, np.array(slopes).reshape(len(self.names), n, -1).transpose(1, 0, 2)

    def bend(
        self, times: Array, elements: Array, values: Array, directions: Array, weights: Array
    ) -> tuple[Array, Array]:
        """Derivatives (n, arguments) and (n,) of sum_i weights_i y_i + dy_i/dv . directions_i in the arguments and t.

        `directions` (n, names, arguments), `weights` (n, names).
        """
        n = len(times)
        stacked = directions.transpose(2, 0, 1).reshape(directions.shape[2], -1)
        cells = values[self.index[:, elements]]
        v, t = self._functions[1].map(n)(times[None, :], self.place[:, elements], cells, stacked, weights.T)
        return np.array(v).T, np.array(t).ravel()


def _through(nodes: Array, values: Sequence[ca.SX], at: ca.SX) -> ca.SX:
    """Lagrange's polynomial through values at nodes."""
    total = ca.SX.zeros(values[0].shape)
    for i, node in enumerate(nodes):
        factor = ca.SX(1.0)
        for other in np.delete(nodes, i):
            factor = factor * (at - other) / (node - other)
        total += factor * values[i]
    return total
