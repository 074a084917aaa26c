"""What are the numbers of a network, given its edges and a few batches? By Gibbs sampling or exactly.

`fit_network` is ridge regression node by node, with its exact normal-inverse-gamma posterior where measurements are
complete; `learn_network` draws also where measurements are missing. Source of the conjugate posterior: Gelman et al.,
Bayesian Data Analysis (2013), chapter 14.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.analysis.networks.draws import Draws
from titer.analysis.networks.gibbs import gibbs
from titer.analysis.networks.graph import Graph
from titer.analysis.networks.network import Network
from titer.analysis.networks.priors import Prior
from titer.analysis.networks.regressions import Regressions, regressions
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import is_whole

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray


def learn_network(
    graph: Graph,
    batches: pd.DataFrame,
    prior: Prior | None = None,
    draws: int = 1000,
    chains: int = 4,
    warm_up: int = 300,
    seed: int = 0,
) -> Draws:
    """Draw the networks that agree with finished batches: `learn_network(graph, frame)`; edges are given, numbers
    learned.

    `batches`: a row each, columns by (variable, stage), NaN where not measured (at random: not because of the value).
    `draws` and `warm_up` sweeps in each chain. Raises SpecificationError for constant columns, nodes never measured,
    and batches too few for a node's causes.
    """
    for what, value, least in (("draws", draws, 4), ("chains", chains, 1), ("warm_up", warm_up, 0)):
        if not is_whole(value, least):
            raise SpecificationError(
                f"learn_network: {what} must be a whole number of at least {least}, got {value!r}."
            )
    model = regressions(graph, batches, prior or Prior())
    found = gibbs(model, draws, chains, warm_up, seed)
    together = chains * draws
    parameters = model.parameters(
        found.coefficients.reshape(together, *model.used.shape), found.deviations.reshape(together, len(graph))
    )
    return Draws(parameters, chains, len(batches))


def fit_network(graph: Graph, batches: pd.DataFrame, prior: Prior | None = None) -> Fitted:
    """Fit a network to finished batches in closed form: ridge regression of each node on its causes.

    The conjugate prior ties coefficients to the noise, b ~ N(m, u^2 tau^2), tau the prior's deviation; vague ones are
    not counted as knowledge of the noise, so that the limit of large tau is least squares with Student's t of n - P
    degrees of freedom (counted, intervals from 8 batches would cover 86 % instead of 95 %). A node's regression uses
    the batches that measure it and all of its causes. Raises SpecificationError as `learn_network` does, and where too
    few batches are complete.
    """
    model = regressions(graph, batches, prior or Prior())
    d, width = model.used.shape
    mean, factor = np.zeros((d, width)), np.zeros((d, width, width))
    shape, scale, counts = np.zeros(d), np.zeros(d), np.zeros(d, dtype=int)
    regressors = model.rows(model.values)
    for i in range(d):
        slots = np.flatnonzero(model.used[i])
        rows = np.isfinite(regressors[:, i, slots]).all(axis=1) & np.isfinite(model.values[:, i])
        _check_rows(model, i, int(rows.sum()))
        Z, y = regressors[rows][:, i, slots], model.values[rows, i]
        known = np.diag(model.prior_deviation[i, slots] ** -2.0)
        before = model.prior_mean[i, slots]
        precision = Z.T @ Z + known
        mean[i, slots] = np.linalg.solve(precision, Z.T @ y + known @ before)
        factor[i][np.ix_(slots, slots)] = np.linalg.cholesky(np.linalg.inv(precision))
        off, move = y - Z @ mean[i, slots], mean[i, slots] - before
        shape[i] = model.prior.shape + 0.5 * (rows.sum() - model.vague[i].sum())
        scale[i] = model.prior.scale + 0.5 * (off @ off + move @ known @ move)
        counts[i] = rows.sum()
    return Fitted(model, mean, factor, shape, scale, counts)


@dataclass(frozen=True, eq=False)
class Fitted:
    """The normal-inverse-gamma posterior of each node's regression, standardized.

    u_i^2 ~ InvGamma(`shape`, `scale`) (nodes,), coefficients ~ N(`mean`, u_i^2 `factor` factor') (nodes, P), (nodes,
    P, P); `counts`: batches behind each node.
    """

    model: Regressions
    mean: Array
    factor: Array
    shape: Array
    scale: Array
    counts: Array

    @property
    def graph(self) -> Graph:
        """What was fitted."""
        return self.model.graph

    @property
    def network(self) -> Network:
        """The ridge estimate, the posterior mean of the coefficients; noise variances are scale / shape."""
        deviations = np.sqrt(self.scale / self.shape)
        found = self.model.parameters(self.mean[None], deviations[None])
        return Network(
            self.graph, found.mean[0], found.coefficients[0], found.deviations[0], tuple(b[0] for b in found.blocks)
        )

    def draws(self, count: int = 2000, seed: int = 0) -> Draws:
        """Independent draws of the posterior. Raises SpecificationError for fewer than 16."""
        if not is_whole(count, 16):
            raise SpecificationError(f"Fitted: draws must be a whole number of at least 16, got {count!r}.")
        count += count % 2
        rng = np.random.default_rng(seed)
        deviations = np.sqrt(self.scale / rng.gamma(self.shape, size=(count, len(self.graph))))
        normal = np.einsum("ipq,niq->nip", self.factor, rng.standard_normal((count, *self.mean.shape)))
        coefficients = self.mean + deviations[:, :, None] * normal
        return Draws(self.model.parameters(coefficients, deviations), 2, int(self.counts.max()))

    def table(self, level: float = 0.95) -> pd.DataFrame:
        """Coefficients by (cause, effect): value, standard deviation, exact interval (Student's t)."""
        import pandas as pd
        from scipy.stats import t

        ends, model = self.graph.ends, self.model
        rows = []
        for j, i in ends:
            slot = 1 + int(np.flatnonzero(model.causes[i] == j)[0])
            ratio = model.scale[i] / model.scale[j]
            spread = np.sqrt(self.scale[i] / self.shape[i]) * np.linalg.norm(self.factor[i, slot]) * ratio
            half = t.ppf(0.5 + level / 2, 2.0 * self.shape[i]) * spread
            value = self.mean[i, slot] * ratio
            rows.append((value, spread, value - half, value + half))
        index = pd.MultiIndex.from_tuples(
            [(str(self.graph.nodes[j]), str(self.graph.nodes[i])) for j, i in ends], names=["cause", "effect"]
        )
        return pd.DataFrame(rows, columns=["value", "scale", "lower", "upper"], index=index)


def _check_rows(model: Regressions, i: int, count: int) -> None:
    needed = int(model.vague[i].sum()) + 1
    if count < needed:
        raise SpecificationError(
            f"fit_network: {model.graph.nodes[i]} and its causes are measured together in {count} batches; its mean, "
            f"{needed - 2} coefficients and its noise need at least {needed}.\n"
            "  Use learn_network, which draws missing measurements along, or drop causes."
        )
