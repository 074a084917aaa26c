"""What is known of a batch, given what was measured of it? Exact normal conditioning, in one go or as data come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.analysis.networks.algebra import absorb
from titer.analysis.networks.graph import Address, Graph, Node, address_of, shown
from titer.analysis.networks.network import Network, by_address
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import is_whole

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
Measured = Mapping[Any, float]  # by address, or a Series of a frame of batches: NaN was not measured


@dataclass(frozen=True, eq=False)
class Belief:
    """The normal distribution of all nodes of a batch: mean (nodes,), covariance (nodes, nodes)."""

    graph: Graph
    mean: Array
    covariance: Array

    def of(self, node: Node | Address) -> tuple[float, float]:
        """Mean and standard deviation of a node."""
        i = self.graph.index(node)
        return float(self.mean[i]), float(np.sqrt(max(self.covariance[i, i], 0.0)))

    def frame(self) -> pd.DataFrame:
        """Mean and standard deviation by (variable, stage)."""
        import pandas as pd

        deviation = np.sqrt(np.maximum(np.diag(self.covariance), 0.0))
        return pd.DataFrame({"mean": self.mean, "deviation": deviation}, index=by_address(self.graph))


def posterior(network: Network, measured: Measured, errors: Measured | None = None) -> Belief:
    """What is known of all nodes of a batch given those measured: `posterior(net, {("X", 24.0): 31.2})`.

    `errors`: standard deviations of measurements, by address or variable; without, they are exact. Raises
    SpecificationError for unknown nodes and for what contradicts a certain node.
    """
    return update(Belief(network.graph, network.mean, network.covariance), measured, errors)


def update(belief: Belief, measured: Measured, errors: Measured | None = None) -> Belief:
    """The belief after further measurements; arguments as in `posterior`."""
    found = readings(belief.graph, measured, errors)
    after = absorb(belief.mean[None], belief.covariance[None], *found)
    return Belief(belief.graph, after.mean[0], 0.5 * (after.covariance[0] + after.covariance[0].T))


def sample(network: Network, count: int, seed: int = 0) -> pd.DataFrame:
    """Batches drawn from a network: a row each, columns by (variable, stage)."""
    import pandas as pd

    if not is_whole(count, 1):
        raise SpecificationError(f"sample: count must be a whole number of at least 1, got {count!r}.")
    graph = network.graph
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((count, len(graph))) * network.deviations
    for group, block in zip(graph.groups, network.blocks, strict=True):
        size, vectors = np.linalg.eigh(block)
        values[:, group] = rng.standard_normal((count, len(group))) * np.sqrt(np.maximum(size, 0.0)) @ vectors.T
    for e, (cause, effect) in enumerate(graph.ends):  # sorted by effect: a cause is complete when it is used
        values[:, effect] += network.coefficients[e] * values[:, cause]
    return pd.DataFrame(network.mean + values, columns=by_address(graph))


def readings(
    graph: Graph, measured: Measured, errors: Measured | None = None
) -> tuple[Array, Array, Array, tuple[str, ...]]:
    """Places, values, standard deviations and names of measurements in the order of the graph; NaN is left out."""
    found: dict[int, float] = {}
    for key, value in measured.items():
        number = float(value)
        if np.isinf(number):
            raise SpecificationError(
                f"{shown(address_of(key))}: measured as {number}; expected a finite number or NaN."
            )
        if not np.isnan(number):
            found[graph.index(key)] = number
    places = np.array(sorted(found), dtype=int)
    values = np.array([found[i] for i in places])
    deviations = np.array([_error(graph.nodes[i], errors) for i in places])
    return places, values, deviations, tuple(str(graph.nodes[i]) for i in places)


def _error(node: Node, errors: Measured | None) -> float:
    given = errors or {}
    error = float(given.get(node.address, given.get(node.name, 0.0)))
    if not (np.isfinite(error) and error >= 0.0):
        raise SpecificationError(f"{node}: the error of its measurement must be at least 0, got {error:g}.")
    return error
