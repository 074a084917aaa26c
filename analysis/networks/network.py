"""What is a process as a network? A graph with numbers: X_i = mu_i + sum_j beta_ji (X_j - mu_j) + V_i, V_i ~ N(0,
v_i^2).

Sources: Xie, Wang, Li, Xie & Auclair, Naval Research Logistics 69 (2022) 1003; Zheng, Xie, Ryzhov & Xie, INFORMS
Journal on Computing 35 (2023) 66.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.analysis.networks.algebra import Parameters, covariance, effects
from titer.analysis.networks.graph import Address, Graph, Node, address_of, shown
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_array

Array = np.ndarray
Edge = tuple[Node | Address, Node | Address]
_ROUNDING = 1e-10  # of a covariance's largest eigenvalue


@dataclass(frozen=True, eq=False)
class Network:
    """A linear-Gaussian dynamic Bayesian network.

    `mean` and `deviations` (standard deviation of the source V_i) (nodes,), `coefficients` (edges,), in the graph's
    order, `blocks` the covariances of its correlated groups. Usually made by `network`. Raises SpecificationError for
    numbers that are missing, not finite, negative deviations, or a covariance that is none.
    """

    graph: Graph
    mean: Array
    coefficients: Array
    deviations: Array
    blocks: tuple[Array, ...] = ()

    def __post_init__(self) -> None:
        sizes = {"mean": len(self.graph), "coefficients": len(self.graph.edges), "deviations": len(self.graph)}
        for what, size in sizes.items():
            values = np.array(getattr(self, what), dtype=float)
            if values.shape != (size,) or not np.isfinite(values).all():
                raise SpecificationError(f"Network: {what} must be {size} finite numbers, got shape {values.shape}.")
            values.flags.writeable = False
            object.__setattr__(self, what, values)
        if np.any(self.deviations < 0.0):
            node = self.graph.nodes[int(np.argmin(self.deviations))]
            raise SpecificationError(
                f"Network: the standard deviation of {node} is negative, {self.deviations.min():g}."
            )
        if len(self.blocks) != len(self.graph.groups):
            raise SpecificationError(
                f"Network: expected {len(self.graph.groups)} covariance blocks, one for each correlated group, "
                f"got {len(self.blocks)}."
            )
        for group, block in zip(self.graph.groups, self.blocks, strict=True):
            _check_block(self, group, block)

    def __repr__(self) -> str:
        return f"network: {self.graph!r}"

    @cached_property
    def parameters(self) -> Parameters:
        """The numbers as a single draw."""
        return Parameters(
            self.graph,
            self.mean[None],
            self.coefficients[None],
            self.deviations[None],
            tuple(np.asarray(b, dtype=float)[None] for b in self.blocks),
        )

    @cached_property
    def covariance(self) -> Array:
        """Of all nodes, (nodes, nodes)."""
        found: Array = covariance(self.parameters)[0]
        return found

    @cached_property
    def effects(self) -> Array:
        """Gamma = (I - B)^-1, (nodes, nodes): the total effect of the source in the row on the node in the column."""
        found: Array = effects(self.parameters)[0]
        return found

    def matrix(self) -> csr_array:
        """B, sparse: the effect of the cause in the row on the node in the column."""
        from scipy.sparse import csr_array

        ends, d = self.graph.ends, len(self.graph)
        return csr_array((self.coefficients, (ends[:, 0], ends[:, 1])), shape=(d, d))

    def frame(self) -> pd.DataFrame:
        """Mean, standard deviation and own deviation (of the source) of every node, by (variable, stage)."""
        import pandas as pd

        return pd.DataFrame(
            {
                "kind": [n.kind.value for n in self.graph.nodes],
                "unit": [n.unit for n in self.graph.nodes],
                "mean": self.mean,
                "deviation": np.sqrt(np.maximum(np.diag(self.covariance), 0.0)),
                "own deviation": self.deviations,
            },
            index=by_address(self.graph),
        )


def network(
    nodes: Iterable[Node],
    coefficients: Mapping[Edge, float],
    mean: Mapping[Any, float],
    deviation: Mapping[Any, float],
    covariances: Mapping[Edge, float] | None = None,
    time: str = "",
) -> Network:
    """A network by names: `network(nodes, {(("X", 0), ("X", 24)): 1.2}, mean={"X": 3.0, ...}, deviation={...})`.

    `mean` and `deviation` by address, or by variable for all its stages; `covariances` of pairs of nodes without
    causes. Raises SpecificationError for what is unknown, missing or superfluous, and as `Graph` and `Network` do.
    """
    pairs = {(address_of(a), address_of(b)): float(c) for (a, b), c in (covariances or {}).items()}
    graph = Graph(tuple(nodes), tuple(coefficients), _components(pairs), time)  # type: ignore[arg-type]
    by_edge = {(address_of(a), address_of(b)): float(c) for (a, b), c in coefficients.items()}
    own = _by_node(graph, deviation, "deviation")
    return Network(
        graph,
        _by_node(graph, mean, "mean"),
        np.array([by_edge[e] for e in graph.edges]),
        own,
        tuple(_block(graph, group, own, pairs) for group in graph.groups),
    )


def by_address(graph: Graph, places: Iterable[int] | None = None) -> pd.MultiIndex:
    """The (variable, stage) index of frames, of all nodes or of some."""
    import pandas as pd

    chosen = range(len(graph)) if places is None else places
    return pd.MultiIndex.from_tuples([graph.nodes[i].address for i in chosen], names=["variable", "stage"])


def _by_node(graph: Graph, given: Mapping[Any, float], what: str) -> Array:
    addressed = {address_of(k): float(v) for k, v in given.items() if not isinstance(k, str)}
    named = {str(k): float(v) for k, v in given.items() if isinstance(k, str)}
    for address in addressed:
        graph.index(address)
    for name in named:
        if name not in graph.variables:
            raise SpecificationError(f"network: {what} of {name}: no such variable; there are {list(graph.variables)}.")
    missing = [str(n) for n in graph.nodes if n.address not in addressed and n.name not in named]
    if missing:
        raise SpecificationError(f"network: {what} is missing for {', '.join(missing)}.")
    return np.array([addressed[n.address] if n.address in addressed else named[n.name] for n in graph.nodes])


def _components(pairs: Iterable[tuple[Address, Address]]) -> tuple[tuple[Address, ...], ...]:
    groups: list[set[Address]] = []
    for a, b in pairs:
        touched = [g for g in groups if a in g or b in g]
        groups = [g for g in groups if g not in touched] + [set().union({a, b}, *touched)]
    return tuple(tuple(sorted(g)) for g in groups)


def _block(graph: Graph, group: Array, own: Array, pairs: Mapping[tuple[Address, Address], float]) -> Array:
    addresses = [graph.nodes[i].address for i in group]
    block = np.diag(own[group] ** 2)
    for i, a in enumerate(addresses):
        for j, b in enumerate(addresses[:i]):
            block[i, j] = block[j, i] = pairs.get((a, b), pairs.get((b, a), 0.0))
    return block


def _check_block(network: Network, group: Array, block: Array) -> None:
    names = ", ".join(shown(network.graph.nodes[i].address) for i in group)
    block = np.asarray(block, dtype=float)
    size = np.abs(block).max(initial=0.0)
    if block.shape != (len(group), len(group)) or np.abs(block - block.T).max() > _ROUNDING * size:
        raise SpecificationError(f"Network: the covariance of {names} must be {len(group)} x {len(group)}, symmetric.")
    if np.abs(np.diag(block) - network.deviations[group] ** 2).max() > _ROUNDING * size:
        raise SpecificationError(f"Network: the variances of {names} are not their squared deviations.")
    if np.linalg.eigvalsh(block).min() < -_ROUNDING * size:
        raise SpecificationError(f"Network: the covariance of {names} is not positive; a correlation exceeds 1.")
