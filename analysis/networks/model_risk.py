"""How sure are the shares, and how much of the doubt is the model's? Risk over the draws of a learned network.

By the law of total variance, Var(X_n) = E[Var(X_n | theta)] + Var(E[X_n | theta]): what varies between batches (process
noise), which more knowledge does not reduce, and what few batches leave open of the mean (model risk), which it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.analysis.networks.algebra import Parameters, influence
from titer.analysis.networks.draws import Draws
from titer.analysis.networks.graph import Address, Graph, Node
from titer.analysis.networks.network import by_address
from titer.analysis.networks.shapley import EXACT, exact
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class RiskDraws:
    """Draws of the risk of `target`: shares (draws, nodes), process variances (draws,), means (draws,)."""

    graph: Graph
    target: Node
    shares: Array
    variances: Array
    means: Array

    def __repr__(self) -> str:
        return (
            f"{self.target}: process noise {np.sqrt(self.process_variance):.4g}, model risk "
            f"{np.sqrt(self.model_variance):.4g} {self.target.unit} (standard deviations)\n"
            f"{self.table().sort_values('share', ascending=False).head(5)}"
        )

    @property
    def process_variance(self) -> float:
        """E[Var(X_n | theta)]: what varies between batches. Of few batches its draws have heavy tails."""
        return float(self.variances.mean())

    @property
    def model_variance(self) -> float:
        """Var(E[X_n | theta]): what is open of the mean."""
        return float(self.means.var())

    def deviation_interval(self, level: float = 0.95) -> tuple[float, float, float]:
        """Lower end, median and upper end of the standard deviation between batches."""
        low, middle, high = np.sqrt(np.quantile(self.variances, [0.5 - level / 2, 0.5, 0.5 + level / 2]))
        return float(low), float(middle), float(high)

    def table(self, level: float = 0.95) -> pd.DataFrame:
        """Shares of the sources by (variable, stage): posterior mean and interval; the means sum to 1."""
        return self._summary(self.shares, by_address(self.graph), level)

    def by_stage(self, level: float = 0.95) -> pd.DataFrame:
        """Shares of what varies at each stage, as in `table`."""
        import pandas as pd

        stages = np.array([n.stage for n in self.graph.nodes])
        summed = np.column_stack([self.shares[:, stages == s].sum(axis=1) for s in self.graph.stages])
        return self._summary(summed, pd.Index(self.graph.stages, name="stage"), level)

    def by_variable(self, level: float = 0.95) -> pd.DataFrame:
        """Shares of each variable over all its stages, as in `table`."""
        import pandas as pd

        names = np.array([n.name for n in self.graph.nodes])
        summed = np.column_stack([self.shares[:, names == v].sum(axis=1) for v in self.graph.variables])
        return self._summary(summed, pd.Index(self.graph.variables, name="variable"), level)

    def _summary(self, shares: Array, index: pd.Index, level: float) -> pd.DataFrame:
        import pandas as pd

        low, high = np.quantile(shares, [0.5 - level / 2, 0.5 + level / 2], axis=0)
        return pd.DataFrame({"share": shares.mean(axis=0), "lower": low, "upper": high}, index=index)


def risk_draws(draws: Draws, target: Node | Address) -> RiskDraws:
    """The risk of a node over the networks that agree with the batches: `risk_draws(learned, ("P", 96.0))`.

    Raises SpecificationError for an unknown node, or a correlated group of more than 16 nodes.
    """
    graph = draws.graph
    n = graph.index(target)
    contributions = np.concatenate([_contributions(part, n) for part in draws.parameters.chunks()])
    variances = contributions.sum(axis=1)
    return RiskDraws(graph, graph.nodes[n], contributions / variances[:, None], variances, draws.parameters.mean[:, n])


def _contributions(parameters: Parameters, target: int) -> Array:
    """Of each source to the variance, (draws, nodes)."""
    effect = influence(parameters, target)
    found: Array = (effect * parameters.deviations) ** 2
    for group, block in zip(parameters.graph.groups, parameters.blocks, strict=True):
        if len(group) > EXACT:
            raise SpecificationError(
                f"risk_draws: a correlated group has {len(group)} nodes; at most {EXACT} are shared."
            )
        found[:, group] = exact(effect[:, group], block, [[i] for i in range(len(group))])
    return found
