"""Which networks may be the true one? Draws of the posterior, what they agree on, and whether they can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.analysis.networks.algebra import Parameters
from titer.analysis.networks.chains import effective_size, r_hat
from titer.analysis.networks.graph import Address, Graph, Node, shown
from titer.analysis.networks.network import Edge, Network
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
MIXED = 1.01  # R-hat above which chains are said not to agree
_FEW = 400  # independent draws below which a tail is said to be rough


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws of a network's numbers; `parameters` holds them as arrays with draws first, chain after chain.

    `chains`: how many there are, of equal length; `batches`: how many batches they were learned from.
    """

    parameters: Parameters
    chains: int
    batches: int

    def __len__(self) -> int:
        return len(self.parameters)

    def __repr__(self) -> str:
        return (
            f"{len(self)} draws in {self.chains} chains from {self.batches} batches: {self.graph!r}\n{self.message()}"
        )

    @property
    def graph(self) -> Graph:
        """What the draws are numbers of."""
        return self.parameters.graph

    def network(self, draw: int | None = None) -> Network:
        """One draw as a network; without a number that of the posterior medians."""
        p = self.parameters
        if draw is not None:
            if not -len(self) <= draw < len(self):
                raise SpecificationError(f"Draws: there are {len(self)} draws, no number {draw}.")
            blocks = tuple(b[draw] for b in p.blocks)
            return Network(self.graph, p.mean[draw], p.coefficients[draw], p.deviations[draw], blocks)
        deviations = np.median(p.deviations, axis=0)
        blocks = tuple(_typical(b, deviations[group]) for b, group in zip(p.blocks, self.graph.groups, strict=True))
        return Network(self.graph, np.median(p.mean, axis=0), np.median(p.coefficients, axis=0), deviations, blocks)

    def of(self, edge: Edge) -> Array:
        """The draws (n,) of the coefficient of an edge (cause, effect). Raises SpecificationError for none."""
        ends = [self.graph.index(edge[0]), self.graph.index(edge[1])]
        found = np.flatnonzero((self.graph.ends == ends).all(axis=1))
        if not len(found):
            names = [str(self.graph.nodes[i]) for i in ends]
            raise SpecificationError(f"Draws: there is no edge {names[0]} -> {names[1]}.")
        values: Array = self.parameters.coefficients[:, found[0]]
        return values

    def mean_of(self, node: Node | Address) -> Array:
        """The draws (n,) of a node's mean."""
        values: Array = self.parameters.mean[:, self.graph.index(node)]
        return values

    def deviation_of(self, node: Node | Address) -> Array:
        """The draws (n,) of the standard deviation of a node's own source."""
        values: Array = self.parameters.deviations[:, self.graph.index(node)]
        return values

    def table(self, level: float = 0.95) -> pd.DataFrame:
        """A row for each coefficient, mean and deviation: median, interval, R-hat and effective number of draws."""
        import pandas as pd

        stacked = self._stacked()
        low, middle, high = np.quantile(stacked, [0.5 - level / 2, 0.5, 0.5 + level / 2], axis=0)
        chained = stacked.reshape(self.chains, -1, stacked.shape[1])
        edges = [f"{shown(a)} -> {shown(b)}" for a, b in self.graph.edges]
        nodes = [str(n) for n in self.graph.nodes]
        index = pd.MultiIndex.from_tuples(
            [
                *(("coefficient", e) for e in edges),
                *(("mean", n) for n in nodes),
                *(("deviation", n) for n in nodes),
            ],
            names=["quantity", "of"],
        )
        return pd.DataFrame(
            {"median": middle, "lower": low, "upper": high, "R-hat": r_hat(chained), "draws": effective_size(chained)},
            index=index,
        )

    def message(self) -> str:
        """Whether the chains agree, and on how many independent draws the roughest number stands."""
        chained = self._stacked().reshape(self.chains, -1, self._stacked().shape[1])
        worst, least = float(r_hat(chained).max()), float(effective_size(chained).min())
        said = f"largest R-hat {worst:.3f}, at least {least:.0f} independent draws of every number"
        if worst > MIXED or least < _FEW:
            said += ": too few, or chains that do not agree yet; ask for more draws"
        return said + "."

    @property
    def mixed(self) -> bool:
        """Whether the chains agree on every number."""
        chained = self._stacked().reshape(self.chains, -1, self._stacked().shape[1])
        return bool(r_hat(chained).max() <= MIXED and effective_size(chained).min() >= _FEW)

    def _stacked(self) -> Array:
        p = self.parameters
        return np.concatenate([p.coefficients, p.mean, p.deviations], axis=1)


def _typical(blocks: Array, deviations: Array) -> Array:
    """The mean correlation of draws with median deviations: a covariance again."""
    own = np.sqrt(np.diagonal(blocks, axis1=1, axis2=2))
    correlation = (blocks / (own[:, :, None] * own[:, None, :])).mean(axis=0)
    np.fill_diagonal(correlation, 1.0)
    found: Array = correlation * np.outer(deviations, deviations)
    return found
