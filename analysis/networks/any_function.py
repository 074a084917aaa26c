"""How much of the variance of any output does each input carry, be the model nonlinear, the inputs correlated?

Along an order of the inputs, one after the other is replaced by a second draw. With S the set replaced, y the output
before and y_S after, E[Var(Y | others)] = E[(y - y_S)^2] / 2, and the gains of this number are the Shapley effects:
they sum to (y - y_all)^2 / 2, whose mean is the variance. A draw given others comes from the Cholesky factor in the
reversed order, so that p + 1 runs an order suffice for correlated inputs too. Orders and inputs are quasi-random (one
scrambled Sobol sequence), each order is walked back as well (antithetic), and replicates give the standard error.
Sources: Song, Nelson & Staum, SIAM/ASA J. Uncertainty Quantification 4 (2016) 1060; Goda, Reliability Engineering &
System Safety 213 (2021) 107683 (the walk, independent inputs); permutations: see `orders`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from titer.analysis.networks.algebra import triangular
from titer.analysis.networks.orders import normals, permuted, streams
from titer.analysis.networks.shapley import Effects
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import is_whole

Array = np.ndarray
_ROUNDING = 1e-12  # of the largest variance, below which an eigenvalue is negative by rounding


def shapley_of(
    function: Callable[[Array], Array],
    mean: Array,
    covariance: Array,
    count: int = 64,
    replicates: int = 16,
    seed: int = 0,
) -> Effects:
    """Shapley effects of normal inputs on any function that takes (runs, p) and returns (runs,).

    `mean` (p,), `covariance` (p, p) of the inputs; other distributions are a transformation within the function.
    `count` orders in each of `replicates`, rounded up to twice a power of two: 2 count replicates (p + 1) runs at
    most, in one call a replicate. The effects sum to the sampled variance. Raises SpecificationError for bad input,
    and for outputs that are not finite.
    """
    mean, covariance = np.asarray(mean, dtype=float), np.asarray(covariance, dtype=float)
    _check(mean, covariance, count, replicates)
    p = len(mean)
    means = np.zeros((replicates, p))
    for r, rng in enumerate(streams(replicates, seed)):
        drawn = normals(-(-count // 2), max(p - 1, 1) + 2 * p, rng)
        scores, first, second = np.split(drawn, [max(p - 1, 1), max(p - 1, 1) + p], axis=1)
        forward = permuted(scores, p)
        order = np.concatenate([forward, forward[:, ::-1]])
        means[r] = walked(function, mean, covariance, order, np.tile(first, (2, 1)), np.tile(second, (2, 1)))
    values = means.mean(axis=0)
    return Effects(values, means.std(axis=0, ddof=1) / np.sqrt(replicates), float(values.sum()))


def walked(
    function: Callable[[Array], Array], mean: Array, covariance: Array, order: Array, first: Array, second: Array
) -> Array:
    """Mean gains (p,) along orders (n, p), from the normal scores of two draws (n, p)."""
    n, p = order.shape
    kept = order[:, ::-1]  # what is replaced first stands last in the factor: the others do not depend on it
    factor = triangular(covariance[kept[:, :, None], kept[:, None, :]])
    points = np.empty((p + 1, n, p))
    for k in range(p + 1):
        scores = np.where(np.arange(p) < p - k, first, second)
        np.put_along_axis(points[k], kept, np.einsum("nij,nj->ni", factor, scores), axis=1)
    y = np.asarray(function((points + mean).reshape(-1, p)), dtype=float)
    if y.shape != ((p + 1) * n,) or not np.isfinite(y).all():
        raise SpecificationError(
            f"shapley_of: the function must return {(p + 1) * n} finite numbers for as many rows; it returned shape "
            f"{y.shape} with {int((~np.isfinite(y)).sum())} that are not finite."
        )
    y = y.reshape(p + 1, n)
    gains = 0.5 * np.diff((y - y[0]) ** 2, axis=0)  # (steps, n)
    found = np.zeros((n, p))
    np.put_along_axis(found, order, gains.T, axis=1)
    mean_gain: Array = found.mean(axis=0)
    return mean_gain


def _check(mean: Array, covariance: Array, count: int, replicates: int) -> None:
    p = len(mean)
    if covariance.shape != (p, p) or not np.isfinite(covariance).all() or not np.isfinite(mean).all():
        raise SpecificationError(f"shapley_of: expected a finite covariance of {p} x {p}, got {covariance.shape}.")
    if np.linalg.eigvalsh(covariance).min() < -_ROUNDING * np.abs(covariance).max() * p:
        raise SpecificationError("shapley_of: the covariance is not positive; a correlation exceeds 1.")
    for what, value, least in (("count", count, 2), ("replicates", replicates, 2)):
        if not is_whole(value, least):
            raise SpecificationError(f"shapley_of: {what} must be a whole number of at least {least}, got {value!r}.")
