"""What regressions is a network made of? One for each node on its causes, in standardized variables, padded to a stack.

    y_i = a_i + sum_j b_ji y_j + e_i,  e_i ~ N(0, u_i^2),   y = (x - center) / scale

Given complete data the regressions are independent, so that all of them, in all chains, are one stacked linear-algebra
call. A correlated group is written as a triangular regression, each member on those before it, and turned into its
covariance afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.analysis.networks.algebra import Parameters
from titer.analysis.networks.batches import values_of
from titer.analysis.networks.graph import Graph
from titer.analysis.networks.priors import Prior
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Regressions:
    """The stacked regressions of a graph on batches, P - 1 the most causes of a node.

    `values` (batches, nodes) standardized, NaN not measured; `causes` (nodes, P - 1): places, padded by the number of
    nodes; `used` (nodes, P): which slots are real, the first the intercept; `prior_mean`, `prior_deviation` (nodes, P);
    `vague` (nodes, P): which slots only the data can determine.
    """

    graph: Graph
    values: Array
    center: Array
    scale: Array
    causes: Array
    used: Array
    prior_mean: Array
    prior_deviation: Array
    vague: Array
    prior: Prior

    def rows(self, values: Array) -> Array:
        """Regressors (..., batches, nodes, P) of completed values (..., batches, nodes)."""
        padded = np.concatenate([values, np.zeros((*values.shape[:-1], 1))], axis=-1)
        intercept = np.ones((*values.shape, 1))
        return np.concatenate([intercept, padded[..., self.causes]], axis=-1)

    def matrix(self, coefficients: Array) -> Array:
        """Standardized B (..., nodes, nodes) of coefficients (..., nodes, P)."""
        d = len(self.graph)
        found = np.zeros((*coefficients.shape[:-2], d + 1, d))
        node, slot = np.nonzero(self.used[:, 1:])
        found[..., self.causes[node, slot], node] = coefficients[..., node, slot + 1]
        return found[..., :d, :]

    def center_of(self, coefficients: Array) -> Array:
        """Standardized means (..., nodes) of coefficients (..., nodes, P): causes first."""
        found = np.zeros((*coefficients.shape[:-2], len(self.graph) + 1))
        for i in range(len(self.graph)):
            found[..., i] = coefficients[..., i, 0]
            found[..., i] += (coefficients[..., i, 1:] * found[..., self.causes[i]]).sum(axis=-1)
        return found[..., :-1]

    def parameters(self, coefficients: Array, deviations: Array) -> Parameters:
        """The network's numbers, in its units, of draws (n, nodes, P) and (n, nodes)."""
        graph, ends = self.graph, self.graph.ends
        standard = self.matrix(coefficients)
        ratio = self.scale[ends[:, 1]] / self.scale[ends[:, 0]]
        own = deviations * self.scale
        blocks = []
        for group in graph.groups:
            block = _group_covariance(standard[:, group[:, None], group[None, :]], deviations[:, group])
            block = block * np.outer(self.scale[group], self.scale[group])
            own[:, group] = np.sqrt(np.diagonal(block, axis1=1, axis2=2))
            blocks.append(block)
        mean = self.center + self.scale * self.center_of(coefficients)
        return Parameters(graph, mean, standard[:, ends[:, 0], ends[:, 1]] * ratio, own, tuple(blocks))


def regressions(graph: Graph, batches: pd.DataFrame, prior: Prior) -> Regressions:
    """The regressions of a graph on batches. Raises SpecificationError as `values_of` does, and for too few."""
    values = values_of(batches, graph)
    causes = [list(p) for p in graph.parents]
    for group in graph.groups:
        for k, member in enumerate(group):
            causes[member] = list(group[:k])
    center = np.nanmean(values, axis=0)
    scale = np.nanstd(values, axis=0, ddof=1)
    width = max((len(c) for c in causes), default=0)
    padded = np.full((len(graph), width), len(graph))
    used = np.zeros((len(graph), width + 1), dtype=bool)
    used[:, 0] = True
    for i, own in enumerate(causes):
        padded[i, : len(own)] = own
        used[i, 1 : len(own) + 1] = True
    mean, deviation, believed = _prior(graph, prior, padded, used, scale)
    vague = used & ~believed
    _check_count(graph, values, causes, vague)
    return Regressions(graph, (values - center) / scale, center, scale, padded, used, mean, deviation, vague, prior)


def _prior(graph: Graph, prior: Prior, causes: Array, used: Array, scale: Array) -> tuple[Array, Array, Array]:
    """Prior means and deviations of all slots (nodes, P), and which of them the mechanism tells."""
    mean, told = np.zeros(used.shape), np.zeros(used.shape, dtype=bool)
    deviation = np.where(used, prior.coefficient, 1.0)  # a padded slot multiplies zeros: any proper prior does
    deviation[:, 0] = prior.mean
    if prior.mechanism is not None:
        own = prior.mechanism
        believed = dict(zip(own.graph.edges, own.coefficients, strict=True))
        for i, node in enumerate(graph.nodes):
            for slot, j in enumerate(causes[i], start=1):
                edge = (graph.nodes[j].address, node.address) if j < len(graph) else None
                if edge in believed:
                    mean[i, slot] = believed[edge] * scale[j] / scale[i]
                    deviation[i, slot], told[i, slot] = prior.trust, True
    return mean, deviation, told


def _group_covariance(standard: Array, deviations: Array) -> Array:
    """The covariance (n, g, g) of a triangular regression with coefficients (n, g, g) and deviations (n, g)."""
    total = np.linalg.inv(np.eye(standard.shape[1]) - standard) * deviations[:, :, None]
    found: Array = np.swapaxes(total, 1, 2) @ total
    return found


def _check_count(graph: Graph, values: Array, causes: list[list[int]], vague: Array) -> None:
    """Where the prior is vague, the data alone must determine mean, coefficients and noise of each node."""
    for i, own in enumerate(causes):
        count, needed = int(np.isfinite(values[:, i]).sum()), int(vague[i].sum()) + 1
        if count < needed:
            names = ", ".join(str(graph.nodes[j]) for j in own) or "none"
            raise SpecificationError(
                f"{graph.nodes[i]} has {len(own)} causes and is measured in {count} batches; its mean, {needed - 2} "
                f"coefficients and its noise need at least {needed}.\n  causes: {names}\n"
                "  Drop causes, add batches, or give Prior(mechanism=...) for the coefficients."
            )
