"""Which relations must be known better? The model risk of any number, shared among the regressions it comes from.

The regression of a node on its causes (mean, coefficients, noise) is learned from the node's own column, so that
regressions of different nodes are independent in the posterior where data are complete, and nearly so with few holes.
Their Shapley effects on a number of the network, such as the mean of an attribute, its variance, a share, say where
further batches or a better mechanism would help. They are sampled by replacing one node's draws after the other.
Source: Xie, Wang, Li, Xie & Auclair, Naval Research Logistics 69 (2022) 1003 (model risk by coefficients); the walk:
see `any_function`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.analysis.networks.algebra import Parameters
from titer.analysis.networks.draws import Draws
from titer.analysis.networks.graph import Graph
from titer.analysis.networks.network import by_address
from titer.analysis.networks.orders import orders
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import is_whole

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
Quantity = Callable[[Parameters], Array]


@dataclass(frozen=True, eq=False)
class ModelSources:
    """Of each node's regression (nodes,) the `contribution` to the variance of a number over what is believed of the
    network, with standard errors; members of a correlated group count as one and share evenly. `variance`: their
    sum."""

    graph: Graph
    contribution: Array
    errors: Array
    variance: float

    def __repr__(self) -> str:
        largest = self.table().sort_values("share", ascending=False).head(5)
        return f"model risk {np.sqrt(max(self.variance, 0.0)):.4g} (standard deviation)\n{largest}"

    def table(self) -> pd.DataFrame:
        """Contribution, share and standard error of the share by (variable, stage) of the node that is regressed."""
        import pandas as pd

        size = self.variance if self.variance > 0.0 else 1.0
        return pd.DataFrame(
            {"contribution": self.contribution, "share": self.contribution / size, "error": self.errors / size},
            index=by_address(self.graph),
        )


def model_sources(
    draws: Draws, quantity: Quantity, count: int = 64, replicates: int = 8, seed: int = 0
) -> ModelSources:
    """Share the model risk of a number among regressions: `model_sources(drawn, lambda p: p.mean[:, n])`.

    `quantity` takes Parameters (arrays with draws first) and returns a number for each draw. About `count` orders in
    each of `replicates`. Raises SpecificationError for counts below 2, and where `quantity` returns anything else.
    """
    for what, value in (("count", count), ("replicates", replicates)):
        if not is_whole(value, 2):
            raise SpecificationError(f"model_sources: {what} must be a whole number of at least 2, got {value!r}.")
    graph = draws.graph
    player, players = _players(graph)
    mixer = _Mixer(draws.parameters)
    rng = np.random.default_rng(seed)
    means = np.zeros((replicates, players))
    for r, order in enumerate(orders(count, players, replicates, seed)):
        n = len(order)
        first, second = rng.integers(len(draws), size=(2, n, players))
        rank = np.argsort(order, axis=1)
        steps = np.arange(players + 1)[:, None, None]
        chosen = np.where(rank < steps, second, first).reshape(-1, players)  # k replaced at step k
        y = np.asarray(quantity(mixer.mixed(chosen[:, player])), dtype=float)
        if y.shape != (len(chosen),) or not np.isfinite(y).all():
            raise SpecificationError(
                f"model_sources: expected a finite number for each of {len(chosen)} draws, got shape {y.shape}."
            )
        y = y.reshape(players + 1, n)
        gains = 0.5 * np.diff((y - y[0]) ** 2, axis=0)
        np.add.at(means[r], order.T, gains / n)
    size = np.bincount(player, minlength=players)[player]
    values, errors = means.mean(axis=0), means.std(axis=0, ddof=1) / np.sqrt(replicates)
    return ModelSources(graph, values[player] / size, errors[player] / size, float(values.sum()))


def _players(graph: Graph) -> tuple[Array, int]:
    """Of each node the number of its player, and how many there are."""
    first = np.arange(len(graph))
    for group in graph.groups:
        first[group] = group.min()
    distinct, player = np.unique(first, return_inverse=True)
    return player, len(distinct)


class _Mixer:
    """Networks whose regressions come from different draws; means follow from intercepts at a common reference."""

    def __init__(self, parameters: Parameters):
        self.given = parameters
        self.reference = parameters.mean.mean(axis=0)
        off = parameters.mean - self.reference
        self.intercepts = off.copy()
        for e, (cause, effect) in enumerate(parameters.graph.ends):
            self.intercepts[:, effect] -= parameters.coefficients[:, e] * off[:, cause]

    def mixed(self, chosen: Array) -> Parameters:
        """The numbers of networks that take each node's regression from a draw of its own, (runs, nodes)."""
        p = self.given
        ends = p.graph.ends
        nodes, edges = np.arange(len(p.graph)), np.arange(len(ends))
        coefficients = p.coefficients[chosen[:, ends[:, 1]], edges]
        off = self.intercepts[chosen, nodes]
        for e, (cause, effect) in enumerate(ends):
            off[:, effect] += coefficients[:, e] * off[:, cause]
        blocks = tuple(b[chosen[:, g[0]]] for g, b in zip(p.graph.groups, p.blocks, strict=True))
        return Parameters(p.graph, self.reference + off, coefficients, p.deviations[chosen, nodes], blocks)
