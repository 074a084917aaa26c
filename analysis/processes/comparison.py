"""Does a network say what the full model says? Means and variances of its nodes against simulated batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.analysis.networks import Network
from titer.analysis.networks.network import by_address
from titer.analysis.processes.ensemble import Ensemble
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
_NOTHING = 1e-9  # of a variable's largest value over the stages: less is as good as nothing
_WORST = 5


@dataclass(frozen=True, eq=False)
class Comparison:
    """A network against an ensemble, node by node (nodes,), in the network's order.

    `mean_error`: (network - ensemble) / |mean|, of a node that hovers about zero / its deviation; `variance_error`:
    network's variance / the ensemble's - 1; both 0 below 1e-9 of what the variable has at other stages. `mean_doubt`,
    `variance_doubt`: standard errors of these from the number of batches; `skewness` of the ensemble: how far a node
    is from normal.
    """

    network: Network
    batches: int
    failed: int
    mean: Array
    deviation: Array
    mean_error: Array
    variance_error: Array
    mean_doubt: Array
    variance_doubt: Array
    skewness: Array

    @property
    def worst_mean(self) -> float:
        """The largest relative error of a mean."""
        return float(np.abs(self.mean_error).max())

    @property
    def worst_variance(self) -> float:
        """The largest relative error of a variance."""
        return float(np.abs(self.variance_error).max())

    def table(self) -> pd.DataFrame:
        """By (variable, stage): mean and deviation of both, relative errors with their doubt, skewness."""
        import pandas as pd

        own = np.sqrt(np.maximum(np.diag(self.network.covariance), 0.0))
        columns = {
            "mean": self.network.mean,
            "simulated mean": self.mean,
            "mean error": self.mean_error,
            "mean doubt": self.mean_doubt,
            "deviation": own,
            "simulated deviation": self.deviation,
            "variance error": self.variance_error,
            "variance doubt": self.variance_doubt,
            "skewness": self.skewness,
        }
        return pd.DataFrame(columns, index=by_address(self.network.graph))

    def __repr__(self) -> str:
        nodes = self.network.graph.nodes
        lost = f", of which {self.failed} failed" if self.failed else ""
        lines = [f"network against {self.batches} simulated batches{lost}"]
        for what, error, doubt in (
            ("mean", self.mean_error, self.mean_doubt),
            ("variance", self.variance_error, self.variance_doubt),
        ):
            lines.append(f"  {what}: off by {100 * np.abs(error).max():.2g} % at most")
            for i in np.argsort(-np.abs(error), kind="stable")[:_WORST]:
                lines.append(f"    {nodes[i]}: {100 * error[i]:+.2g} % (doubt {100 * doubt[i]:.2g} %)")
        return "\n".join(lines)


def compare(network: Network, ensemble: Ensemble) -> Comparison:
    """Compare a network with an ensemble of the same process: by how much do means and variances fail?

    Batches that could not be run to their end are left out and counted. Raises SpecificationError for an ensemble
    without a node of the network, or with fewer than two whole batches.
    """
    place = {node.address: i for i, node in enumerate(ensemble.nodes)}
    missing = [str(node) for node in network.graph.nodes if node.address not in place]
    if missing:
        raise SpecificationError(f"compare: the ensemble lacks {', '.join(missing)}.\n  Simulate the same process.")
    values = ensemble.values[:, [place[node.address] for node in network.graph.nodes]]
    whole = values[np.isfinite(values).all(axis=1)]
    n = len(whole)
    if n < 2:
        raise SpecificationError(f"compare: {n} of {len(values)} batches were run to their end; expected at least 2.")
    mean, off = whole.mean(axis=0), whole - whole.mean(axis=0)
    variance = (off**2).sum(axis=0) / (n - 1)
    deviation = np.sqrt(variance)
    least = _NOTHING * _largest(network, np.maximum(np.abs(whole).max(axis=0), np.abs(network.mean)))
    moving = deviation > least
    own = np.where(moving, np.diag(network.covariance), 0.0)
    safe = np.where(moving, variance, 1.0)
    size = np.maximum(np.maximum(np.abs(mean), deviation), least)
    size = np.where(size > 0.0, size, 1.0)
    spread = np.where(moving, off / np.sqrt(safe), 0.0)
    kurtosis = np.where(moving, (spread**4).mean(axis=0), 3.0)
    return Comparison(
        network,
        len(values),
        len(values) - n,
        mean,
        np.where(moving, deviation, 0.0),
        np.where(size > least, (network.mean - mean) / size, 0.0),
        np.where(moving, own / safe - 1.0, 0.0),
        deviation / np.sqrt(n) / size,
        np.where(moving, np.sqrt(np.maximum(kurtosis - 1.0, 0.0) / n), 0.0),
        (spread**3).mean(axis=0),
    )


def _largest(network: Network, sizes: Array) -> Array:
    """Of each node, the largest size of its variable over the stages."""
    largest: dict[str, float] = {}
    for node, size in zip(network.graph.nodes, sizes, strict=True):
        largest[node.name] = max(largest.get(node.name, 0.0), float(size))
    return np.array([largest[node.name] for node in network.graph.nodes])
