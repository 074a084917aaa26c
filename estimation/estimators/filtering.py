"""How does a belief move with the model, and with what is measured? Square roots of covariances, by QR alone.

    prediction    root+ = tri [A root, noise]
    correction    [ R^1/2  Y ]      [ S  0     ]
                  [ 0      X ]  ->  [ G  root+ ],    mean+ = mean + G S^-1 (y - y^)

X X' is the covariance of the entries, Y their images in the measurements (C X where they are linear): no covariance is
formed, none is subtracted. Source: Kailath, Sayed & Hassibi, Linear Estimation (2000), chapter 12.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from titer.estimation.estimators.belief import Gaussian
from titer.estimation.estimators.model import Linear, SampledModel
from titer.numerics.dae import Array


@dataclass(frozen=True, eq=False)
class Seen:
    """What a belief says of the measurements: their values (m,), and images Y (m, k) of the spread X (n, k) of the
    entries."""

    values: Array
    images: Array
    spread: Array

    def deviations(self, noise: Array) -> Array:
        """Standard deviations of the innovations (m,), noise included."""
        return np.sqrt((self.images**2).sum(axis=1) + noise**2)


def triangular(columns: Array) -> Array:
    """The lower triangular root (n, n) with the same covariance as `columns` (n, k)."""
    n, k = columns.shape
    root = np.zeros((n, n))
    if k:
        lower = np.asarray(np.linalg.qr(columns.T, mode="r")).T
        root[:, : lower.shape[1]] = lower
    return root


def moved(belief: Gaussian, step: Linear) -> Gaussian:
    """A belief after a step of the model, linear around its mean."""
    return Gaussian(step.mean, triangular(np.hstack([step.transition @ belief.root, step.noise])))


def corrected(mean: Array, seen: Seen, residual: Array, noise: Array) -> tuple[Gaussian, Array]:
    """A belief after measurements with `residual` (m,), and their whitened innovations (m,)."""
    m, n = len(residual), len(mean)
    array = np.zeros((m + n, m + seen.spread.shape[1]))
    array[:m, :m] = np.diag(noise)
    array[:m, m:], array[m:, m:] = seen.images, seen.spread
    lower = triangular(array)
    white = np.linalg.solve(lower[:m, :m], residual) if m else np.zeros(0)
    return Gaussian(mean + lower[m:, :m] @ white, triangular(lower[m:, m:])), white


def linear_view(model: SampledModel, belief: Gaussian, applied: dict, t: float) -> Seen:
    """What a belief says of the measurements, linear around its mean."""
    values, slope = model.outputs(belief.mean, applied, t)
    return Seen(values, slope @ belief.root, belief.root)


def of(seen: Seen, used: Array) -> Seen:
    """The measurements that are used."""
    return replace(seen, values=seen.values[used], images=seen.images[used])


def within(model: SampledModel, mean: Array) -> Array:
    """A mean moved into the domains that are declared."""
    return np.clip(mean, model.entries.lower, model.entries.upper)
