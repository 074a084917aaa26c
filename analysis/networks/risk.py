"""What drives the variation of a quality attribute, and from when on? Shares of its variance by source and stage.

    Var(X_n) = sum_i gamma_in^2 v_i^2,   Gamma = (I - B)^-1;    share_i = gamma_in^2 v_i^2 / Var(X_n)

Correlated inputs share what they carry together by Shapley effects. Given measurements the sources are correlated even
where they were independent: what is left of the variance, Var(X_n | measured), is shared in the same way.
Source: Xie, Wang, Li, Xie & Auclair, Naval Research Logistics 69 (2022) 1003.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.analysis.networks.algebra import SINGULAR, influence, noise
from titer.analysis.networks.graph import Address, Graph, Node
from titer.analysis.networks.network import Network, by_address
from titer.analysis.networks.shapley import shapley, sweep
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Risk:
    """How the variance of `target` is made up.

    Of each source (nodes,): `effect` gamma_in, `contribution` to the variance, `error` its standard error where it was
    sampled (0: exact). `variance`: what the contributions sum to; `unconditional` that before anything was measured.
    """

    graph: Graph
    target: Node
    effect: Array
    contribution: Array
    error: Array
    variance: float
    unconditional: float

    def __repr__(self) -> str:
        largest = self.table().sort_values("share", ascending=False).head(5)
        return f"variance of {self.target}: {self.variance:.4g} {_squared(self.target)}\n{largest}"

    @property
    def shares(self) -> Array:
        """Shares of the sources (nodes,); they sum to 1, or are 0 where nothing varies."""
        return self.contribution / self.variance if self.variance > 0.0 else np.zeros_like(self.contribution)

    def table(self) -> pd.DataFrame:
        """A row for each source, by (variable, stage): kind, effect, contribution, share, error of the share."""
        import pandas as pd

        size = self.variance if self.variance > 0.0 else 1.0
        return pd.DataFrame(
            {
                "kind": [n.kind.value for n in self.graph.nodes],
                "effect": self.effect,
                "contribution": self.contribution,
                "share": self.shares,
                "error": self.error / size,
            },
            index=by_address(self.graph),
        )

    def by_stage(self) -> pd.Series:
        """Shares of what varies at each stage."""
        return self.table()["share"].groupby(level="stage").sum()

    def by_variable(self) -> pd.Series:
        """Shares of each variable, over all its stages."""
        return self.table()["share"].groupby(level="variable", sort=False).sum()


def risk(network: Network, target: Node | Address, measured: Iterable[Node | Address] = (), seed: int = 0) -> Risk:
    """Which sources carry the variance of a node, given that others are measured: `risk(net, ("P", 96.0))`.

    `measured`: nodes that will be known exactly, whatever their values; by default none. `seed` for more than 16
    sources that measurements tie together, whose shares are sampled. Raises SpecificationError for unknown nodes.
    """
    graph = network.graph
    n = graph.index(target)
    effect = influence(network.parameters, n)[0]
    sources = noise(network.parameters)[0]
    before = float(effect @ sources @ effect)
    left = _given(network, sources, [graph.index(m) for m in measured])
    found = shapley(effect, left, seed=seed)
    return Risk(graph, graph.nodes[n], effect, found.values, found.errors, found.variance, before)


def risk_from(network: Network, target: Node | Address, stage: float) -> Risk:
    """The risk that is left when everything up to and at a stage is known: only later sources carry it.

    Raises SpecificationError where the target itself is not after the stage.
    """
    node = network.graph.nodes[network.graph.index(target)]
    if node.stage <= stage:
        raise SpecificationError(f"risk_from: {node} is itself known at stage {stage:g}; give an earlier stage.")
    return risk(network, target, [network.graph.nodes[i] for i in network.graph.before(stage)])


def _given(network: Network, sources: Array, measured: list[int]) -> Array:
    """The covariance of the sources given measured nodes (nodes, nodes); rounding is cleared away."""
    if not measured:
        return sources
    d = len(network.graph)
    gamma = network.effects[:, sorted(measured)]
    carried = sources @ gamma
    joint = np.block([[sources, carried], [carried.T, gamma.T @ carried]])
    floor = SINGULAR * np.diag(joint)
    for k in range(d, len(joint)):
        joint = sweep(joint, k, floor[k])
    left = 0.5 * (joint[:d, :d] + joint[:d, :d].T)
    own = np.sqrt(np.diag(sources))
    left[np.abs(left) <= SINGULAR * np.outer(own, own)] = 0.0
    gone = np.diag(left) <= 0.0
    left[gone, :] = left[:, gone] = 0.0
    return left


def _squared(node: Node) -> str:
    return f"({node.unit})^2" if node.unit else ""
