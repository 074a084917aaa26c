"""Which networks agree with the batches? Gibbs sampling, missing measurements drawn along.

In turn, for all nodes and chains at once: intercept and coefficients of a node, jointly normal given its noise; the
noise variance, inverse gamma given the coefficients; the missing measurements of a batch, jointly normal given
everything. The intercept stands for the mean mu_i of the literature, which follows from it through the causes' means;
drawn with the coefficients, it leaves the chain next to no memory where data are complete. Source: Xie, Wang, Li, Xie
& Auclair, Naval Research Logistics 69 (2022) 1003; Gelman et al., Bayesian Data Analysis (2013), chapter 18 (missing
data).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titer.analysis.networks.regressions import Regressions

Array = np.ndarray
_SPREAD = 1.5  # factor by which chains start farther apart than the data scatter


@dataclass(frozen=True, eq=False)
class Chains:
    """Draws, standardized: coefficients (chains, draws, nodes, P) and deviations (chains, draws, nodes)."""

    coefficients: Array
    deviations: Array


def gibbs(model: Regressions, draws: int, chains: int, warm_up: int, seed: int) -> Chains:
    """Draw from the posterior; the first `warm_up` sweeps of each chain are dropped."""
    rng = np.random.default_rng(seed)
    holes = _patterns(model.values)
    values = np.repeat(np.where(np.isnan(model.values), 0.0, model.values)[None], chains, axis=0)
    values[:, np.isnan(model.values)] = _SPREAD * rng.standard_normal((chains, int(np.isnan(model.values).sum())))
    variance = np.exp(_SPREAD * rng.standard_normal((chains, len(model.graph))))
    kept_coefficients = np.empty((chains, draws, *model.used.shape))
    kept_deviations = np.empty((chains, draws, len(model.graph)))
    sums = _sums(model, values)
    for k in range(-warm_up, draws):
        coefficients = _coefficients(model, sums, variance, rng)
        variance = _variance(model, values, coefficients, rng)
        if holes:
            _impute(model, values, coefficients, variance, holes, rng)
            sums = _sums(model, values)
        if k >= 0:
            kept_coefficients[:, k] = np.where(model.used, coefficients, 0.0)
            kept_deviations[:, k] = np.sqrt(variance)
    return Chains(kept_coefficients, kept_deviations)


def _sums(model: Regressions, values: Array) -> tuple[Array, Array]:
    """Z'Z (chains, nodes, P, P) and Z'y (chains, nodes, P)."""
    rows = np.moveaxis(model.rows(values), 1, 2)  # (chains, nodes, batches, P)
    across = np.swapaxes(rows, 2, 3)
    return across @ rows, (across @ np.swapaxes(values, 1, 2)[..., None])[..., 0]


def _coefficients(model: Regressions, sums: tuple[Array, Array], variance: Array, rng: np.random.Generator) -> Array:
    known = model.prior_deviation**-2.0
    precision = sums[0] / variance[:, :, None, None]
    slots = np.arange(known.shape[1])
    precision[:, :, slots, slots] += known
    right = sums[1] / variance[:, :, None] + known * model.prior_mean
    factor = np.linalg.cholesky(precision)
    half = np.linalg.solve(factor, right[..., None])
    noise = rng.standard_normal(half.shape)
    found: Array = np.linalg.solve(np.swapaxes(factor, 2, 3), half + noise)[..., 0]
    return found


def _variance(model: Regressions, values: Array, coefficients: Array, rng: np.random.Generator) -> Array:
    residual = values - np.einsum("cnip,cip->cni", model.rows(values), coefficients)
    squares = (residual**2).sum(axis=1)
    shape = model.prior.shape + 0.5 * values.shape[1]
    found: Array = (model.prior.scale + 0.5 * squares) / rng.gamma(shape, size=squares.shape)
    return found


def _patterns(values: Array) -> list[tuple[Array, Array, Array]]:
    """Batches with the same measurements missing: which batches, which nodes are missing, which are there."""
    holes = np.isnan(values)
    distinct, which = np.unique(holes, axis=0, return_inverse=True)
    found = []
    for k, hole in enumerate(distinct):
        if hole.any():
            found.append((np.flatnonzero(which.ravel() == k), np.flatnonzero(hole), np.flatnonzero(~hole)))
    return found


def _impute(
    model: Regressions,
    values: Array,
    coefficients: Array,
    variance: Array,
    holes: list[tuple[Array, Array, Array]],
    rng: np.random.Generator,
) -> None:
    """Draw the missing measurements into `values`, jointly for each batch."""
    lower = np.eye(len(model.graph)) - model.matrix(coefficients)
    precision = (lower / variance[:, None, :]) @ np.swapaxes(lower, 1, 2)
    center = model.center_of(coefficients)
    for batches, missing, there in holes:
        own = precision[:, missing[:, None], missing[None, :]]
        cross = precision[:, missing[:, None], there[None, :]]
        seen = values[:, batches[:, None], there[None, :]] - center[:, None, there]
        factor = np.linalg.cholesky(own)
        half = np.linalg.solve(factor, -cross @ np.swapaxes(seen, 1, 2))
        noise = rng.standard_normal(half.shape)
        drawn = np.swapaxes(np.linalg.solve(np.swapaxes(factor, 1, 2), half + noise), 1, 2)
        values[:, batches[:, None], missing[None, :]] = center[:, None, missing] + drawn
