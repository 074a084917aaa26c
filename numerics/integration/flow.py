"""What does an integrator with sensitivities see of a model? Rates of scaled, ordered unknowns, and their slopes.

    M y' = F(tau, y, a),   0 <= tau <= 1,     y = (states, algebraics, totals) by size, in an order with a narrow band

M is the identity with zeros for algebraics; a are all numbers that the stretch depends on: inputs, parameters, times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import casadi as ca
import numpy as np

from titer.numerics.dae import Array
from titer.numerics.integration.banded import Band
from titer.numerics.integration.ordering import narrow


@dataclass(frozen=True, eq=False)
class Flow:
    """A stretch of a model as a map: what it starts from and depends on -> what it ends with.

    `function`: (tau, y, a) -> F in plain order and units. `counts`: states, algebraics, totals. `sizes` (y,).
    `guess` (algebraics,): where algebraics are looked for at the start. `tolerance`: relative.
    """

    function: ca.Function
    counts: tuple[int, int, int]
    sizes: Array
    guess: Array
    tolerance: float

    @property
    def arguments(self) -> int:
        """How many numbers it reads: states at its start, then a."""
        return self.counts[0] + self.function.numel_in(2)

    @property
    def results(self) -> int:
        """How many numbers it makes: states, algebraics and totals at its end."""
        return sum(self.counts)

    @cached_property
    def order(self) -> Array:
        """The order of y in which derivatives have a narrow band."""
        return narrow(self.function, self.results)

    @cached_property
    def mass(self) -> Array:
        """1 where a variable has a rate, 0 where it has an equation; ordered."""
        nx, nz, nq = self.counts
        return np.concatenate([np.ones(nx), np.zeros(nz), np.ones(nq)])[self.order]

    @cached_property
    def _scaled(self) -> tuple[ca.SX, ca.SX, ca.SX, ca.SX]:
        n = self.results
        tau, y, a = ca.SX.sym("tau"), ca.SX.sym("y", n), ca.SX.sym("a", self.function.numel_in(2))
        back, forth = np.argsort(self.order).tolist(), self.order.tolist()
        rates = self.function(tau, y[back] * self.sizes, a) / self.sizes
        return tau, y, a, rates[forth]

    @cached_property
    def rates(self) -> ca.Function:
        """(tau, y, a) -> F of scaled and ordered y."""
        tau, y, a, rates = self._scaled
        return ca.Function("rates", [tau, y, a], [ca.densify(rates)])

    @cached_property
    def pattern(self) -> ca.Sparsity:
        """Where dF/dy is not zero."""
        return self.rates.jac_sparsity(0, 1)

    def slopes(self, active: tuple[int, ...]) -> ca.Function:
        """(tau, y, a) -> the nonzeros of dF/dy, and dF/da (y, active), dense."""
        return _slopes(self, active)

    def packed(self, x: Array, z: Array) -> Array:
        """States and algebraics as y (its totals zero)."""
        return (np.concatenate([x, z, np.zeros(self.counts[2])]) / self.sizes)[self.order]

    def plain(self, y: Array) -> Array:
        """y, or rows of derivatives (y, k), as states, algebraics and totals in their units."""
        rows = np.empty_like(y)
        rows[self.order] = y
        return rows * (self.sizes if y.ndim == 1 else self.sizes[:, None])


class Machine:
    """A flow ready to be evaluated many times, for the arguments of which derivatives are wanted."""

    def __init__(self, flow: Flow, active: tuple[int, ...]):
        self.flow, self.active = flow, active
        self.band = Band(flow.pattern, flow.mass)
        self._rates = _called(flow.rates, [(flow.results,)])
        self._slopes = _called(flow.slopes(active), [(flow.pattern.nnz(),), (len(active), flow.results)])

    def rates(self, tau: float, y: Array, a: Array) -> Array:
        """F (y,), overwritten by the next call."""
        return self._rates(tau, y, a)[0]

    def slopes(self, tau: float, y: Array, a: Array) -> tuple[Array, Array]:
        """The nonzeros of dF/dy, and dF/da (y, active); overwritten by the next call."""
        entries, more = self._slopes(tau, y, a)
        return entries, more.T


@lru_cache(maxsize=32)
def _slopes(flow: Flow, active: tuple[int, ...]) -> ca.Function:
    tau, y, a, rates = flow._scaled
    chosen = [a[i] for i in active]
    by_y = ca.jacobian(rates, y)
    pattern = flow.pattern
    by_a = ca.densify(ca.jacobian(rates, ca.vertcat(ca.SX(0, 1), *chosen)))
    entries = ca.vertcat(ca.SX(0, 1), *ca.project(by_y, pattern).nonzeros())
    return ca.Function("slopes", [tau, y, a], [entries, by_a])


def _called(function: ca.Function, shapes: list[tuple[int, ...]]) -> Callable[..., list[Array]]:
    """A function on arrays of its own, without the price of converting them."""
    buffer, evaluate = function.buffer()
    given = [np.zeros(max(function.numel_in(i), 1)) for i in range(function.n_in())]
    made = [np.zeros(max(int(np.prod(shape)), 1)) for shape in shapes]
    for i, array in enumerate(given):
        buffer.set_arg(i, memoryview(array))
    for i, array in enumerate(made):
        buffer.set_res(i, memoryview(array))
    views = [array[: int(np.prod(shape))].reshape(shape) for array, shape in zip(made, shapes, strict=True)]

    def call(tau: float, y: Any, a: Any, _alive: Any = buffer) -> list[Array]:
        given[0][0] = tau
        given[1][: len(y)] = y
        given[2][: len(a)] = a
        evaluate()
        return views

    return call
