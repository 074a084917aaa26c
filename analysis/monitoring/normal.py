"""What is expected of each measurement, and how far may it be off? Normal scores, by a network or by batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.analysis.networks.algebra import Parameters, triangular
from titer.analysis.networks.graph import Graph
from titer.analysis.networks.network import Network
from titer.analysis.networks.priors import Prior
from titer.analysis.networks.regressions import Regressions, regressions
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
_NUMBERS = 4_000_000  # in one array
_LEAST = 1e-300  # probability whose normal score is still finite


@dataclass(frozen=True, eq=False)
class Known:
    """The normal distribution of a network: mean, covariance; `certain` (nodes,): which have no variation left."""

    mean: Array
    covariance: Array
    certain: Array

    def scores(self, values: Array) -> Array:
        """Innovations of batches (n, nodes) in standard deviations; NaN where not measured or certain."""
        found = np.full(values.shape, np.nan)
        there = np.isfinite(values)
        distinct, which = np.unique(there, axis=0, return_inverse=True)
        for k, measured in enumerate(distinct):
            rows, places = np.flatnonzero(which.ravel() == k), np.flatnonzero(measured)
            factor = triangular(self.covariance[np.ix_(places, places)][None])[0]
            open_ = np.diag(factor) > 0.0
            left = (values[np.ix_(rows, places)] - self.mean[places]).T
            innovations = np.zeros_like(left)
            for i in range(len(places)):  # forward substitution; a certain measurement tells nothing
                if open_[i]:
                    innovations[i] = (left[i] - factor[i, :i] @ innovations[:i]) / factor[i, i]
            found[np.ix_(rows, places)] = np.where(open_[:, None], innovations, np.nan).T
        return found


def known(network: Network) -> Known:
    """What a network expects."""
    certain = np.diag(triangular(network.covariance[None])[0]) <= 0.0
    return Known(network.mean, network.covariance, certain)


@dataclass(frozen=True, eq=False)
class Learned:
    """What regressions on n normal batches expect: `mean` (nodes, P) the coefficients by least squares, `inverse`
    (nodes, P, P) of Z'Z, `deviation` (nodes,) of the residuals, `freedom` (nodes,) their degrees of freedom."""

    model: Regressions
    mean: Array
    inverse: Array
    deviation: Array
    freedom: Array
    certain: Array

    def scores(self, values: Array) -> Array:
        """Normal scores of the residuals of batches (n, nodes); NaN where a node or a cause was not measured."""
        from scipy.special import ndtri, stdtr

        model = self.model
        standard = (values - model.center) / model.scale
        rows = np.where(model.used, model.rows(standard), 0.0)  # (n, nodes, P)
        residual = standard - np.einsum("nip,ip->ni", rows, self.mean)
        leverage = np.einsum("nip,ipq,niq->ni", rows, self.inverse, rows)
        ratio = residual / (self.deviation * np.sqrt(1.0 + leverage))
        tail = stdtr(self.freedom, -np.abs(ratio))
        found: Array = np.copysign(-ndtri(np.maximum(tail, _LEAST)), ratio)
        return found


@dataclass(frozen=True, eq=False)
class Drawn:
    """What the networks that agree with normal batches expect: each node's predictive given its causes."""

    parameters: Parameters
    certain: Array

    def scores(self, values: Array) -> Array:
        """Normal scores of predictive probabilities of batches (n, nodes); NaN where a node or a cause is missing."""
        found = np.full(values.shape, np.nan)
        step = max(1, _NUMBERS // len(self.parameters))
        for start in range(0, len(values), step):
            rows = slice(start, start + step)
            for i in range(values.shape[1]):
                found[rows, i] = _predictive(*self._ratio(values[rows], i))
        return found

    def _ratio(self, values: Array, i: int) -> tuple[Array, Array]:
        """Residual of node i over its deviation by draws (draws, n), and where it is known (n,)."""
        p = self.parameters
        group = next(((g, b) for g, b in zip(p.graph.groups, p.blocks, strict=True) if i in g), None)
        if group is None:
            causes, coefficients = p.graph.parents[i], p.coefficients[:, p.graph.ends[:, 1] == i]
            deviation = p.deviations[:, i]
        else:
            causes, coefficients, deviation = _within(*group, i)
        off = values[None, :, causes] - p.mean[:, None, causes]
        residual = values[None, :, i] - p.mean[:, None, i] - np.einsum("snj,sj->sn", off, coefficients)
        return residual / deviation[:, None], np.isfinite(values[:, [i, *causes]]).all(axis=1)


def _within(group: Array, block: Array, i: int) -> tuple[Array, Array, Array]:
    """Those before node i in its correlated group, its coefficients on them and what deviation is left, by draws."""
    k = int(np.flatnonzero(group == i)[0])
    coefficients = np.linalg.solve(block[:, :k, :k], block[:, :k, k, None])[..., 0]
    left = block[:, k, k] - np.einsum("sj,sj->s", coefficients, block[:, :k, k])
    return group[:k], coefficients, np.sqrt(left)


def _predictive(ratio: Array, there: Array) -> Array:
    """Normal scores (n,) of probabilities averaged over draws, from the smaller tail."""
    from scipy.special import ndtr, ndtri

    ratio = np.where(there, ratio, 0.0)
    low, high = ndtr(ratio).mean(axis=0), ndtr(-ratio).mean(axis=0)
    score = np.copysign(-ndtri(np.maximum(np.minimum(low, high), _LEAST)), low - high)
    found: Array = np.where(there, score, np.nan)
    return found


def learned(graph: Graph, batches: pd.DataFrame) -> Learned:
    """What normal batches let expect, by least squares. Raises SpecificationError where they are too few for a node."""
    model = regressions(graph, batches, Prior())
    d, width = model.used.shape
    mean, inverse = np.zeros((d, width)), np.zeros((d, width, width))
    deviation, freedom = np.zeros(d), np.zeros(d)
    regressors = model.rows(model.values)
    for i in range(d):
        slots = np.flatnonzero(model.used[i])
        rows = np.isfinite(regressors[:, i, slots]).all(axis=1) & np.isfinite(model.values[:, i])
        Z, y = regressors[rows][:, i, slots], model.values[rows, i]
        _check(graph, i, Z)
        inverse[i][np.ix_(slots, slots)] = np.linalg.inv(Z.T @ Z)
        mean[i, slots] = inverse[i][np.ix_(slots, slots)] @ Z.T @ y
        freedom[i] = len(y) - len(slots)
        deviation[i] = np.sqrt(((y - Z @ mean[i, slots]) ** 2).sum() / freedom[i])
        if not deviation[i] > 1e-10:
            raise SpecificationError(
                f"Monitor: {graph.nodes[i]} follows from its causes without noise in the normal batches; leave it out."
            )
    return Learned(model, mean, inverse, deviation, freedom, np.zeros(d, dtype=bool))


def _check(graph: Graph, i: int, Z: Array) -> None:
    count, slots = Z.shape
    if count < slots + 1:
        raise SpecificationError(
            f"Monitor: {graph.nodes[i]} and its causes are measured together in {count} normal batches; its "
            f"{slots} coefficients and its noise need at least {slots + 1}."
        )
    if np.linalg.cond(Z) > 1e8:
        names = ", ".join(str(graph.nodes[j]) for j in graph.parents[i])
        raise SpecificationError(
            f"Monitor: the causes of {graph.nodes[i]} ({names}) move together in all normal batches; drop one of them."
        )
