"""Where does a learned model know anything? A `Domain`: a distance from its data, and the limit where they end.

Inside, the correction acts in full; from the limit to twice the limit it fades out, and beyond, the mechanistic model
stands alone. fade = (1 + tanh(4 (3/2 - d/limit))) / 2 is smooth: 0.982 at the limit, 0.018 at twice the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.flowsheets.corrections.layers import Layer, stacked
from titer.flowsheets.corrections.model import LoweredModel, rows_of
from titer.numerics.errors import SpecificationError

Array = np.ndarray

_ROOT = 1e-6  # a distance that is nothing: it keeps the derivative of a root finite at the middle of the data


@dataclass(frozen=True)
class Mahalanobis(Layer):
    """Distance from the middle of the data in their standard deviations, along their correlations: |W (x - m)|.

    The leverage of a sample among n is 1/n + d^2 / (n - 1). Coefficients: m, then W row by row.
    """

    @property
    def outputs(self) -> int:
        return 1

    @property
    def count(self) -> int:
        return self.inputs * (self.inputs + 1)

    def __call__(self, x: Any, c: Any) -> Any:
        n = self.inputs
        white = c[n:].reshape(n, n) @ (x - c[:n])
        return stacked([np.sqrt(white @ white + _ROOT**2)])


@dataclass(frozen=True)
class Nearest(Layer):
    """Distance to the nearest of a fixed number of points, rounded: for data that lie along curves, as batches do.

    With s_i = 1 + sum(((x - x_i) / width)^2) it is sqrt(mean(s_i^-8)^(-1/8) - 1): never less than the distance to the
    nearest point. Coefficients: points row by row, then a width for each input.
    """

    points: int

    @property
    def outputs(self) -> int:
        return 1

    @property
    def count(self) -> int:
        return (self.points + 1) * self.inputs

    def __call__(self, x: Any, c: Any) -> Any:
        size = self.points * self.inputs
        total: Any = 0.0
        for point in c[:size].reshape(self.points, self.inputs):
            scaled = (x - point) / c[size:]
            total = total + (1.0 + scaled @ scaled) ** -8
        # Rounding leaves the root's argument a hair below 0 where all points are one.
        return stacked([np.sqrt(np.exp(-np.log(total / self.points) / 8.0) - 1.0 + _ROOT**2)])


@dataclass(frozen=True)
class UnexplainedVariance(Layer):
    """The share of a Gaussian process' variance that its data leave unexplained: 0 at many data, 1 far away.

    (variance - least) / (most - least): least is that of the noise alone, most that before any data. Coefficients:
    those of the variance layer, then least and most.
    """

    variance: Layer

    @property
    def outputs(self) -> int:
        return 1

    @property
    def count(self) -> int:
        return self.variance.count + 2

    def __call__(self, x: Any, c: Any) -> Any:
        least, most = c[-2:-1], c[-1:]
        return (self.variance(x, c[:-2]) - least) / (most - least)


@dataclass(frozen=True, eq=False)
class Domain:
    """Where a correction is valid: `distance` with `coefficients` (distance.count,) up to `limit`.

    `fades`: whether the correction fades out beyond; else it goes on, bounded only by its form, and the optimizer is
    kept inside by `correction.within()`. Made by `of_data`, `near_data` or `of_variance`.
    """

    distance: Layer
    coefficients: Array
    limit: float
    fades: bool = True

    def __post_init__(self) -> None:
        given = np.array(self.coefficients, dtype=float).ravel()
        given.setflags(write=False)
        object.__setattr__(self, "coefficients", given)
        if len(given) != self.distance.count or not np.isfinite(given).all():
            raise SpecificationError(f"Domain: {type(self.distance).__name__} needs {self.distance.count} numbers.")
        if not 0.0 < self.limit < np.inf:
            raise SpecificationError(f"Domain: limit is a positive distance, got {self.limit!r}.")

    @classmethod
    def of_data(cls, X: Any, limit: float | None = None, fades: bool = True) -> Domain:
        """Around the middle of features X (n, inputs), an ellipsoid; `limit` in standard deviations.

        Default: the distance of the farthest sample. A feature that hardly varies counts with a thousandth of its
        size. Raises SpecificationError for fewer than two samples.
        """
        points = _samples(X)
        center, n = points.mean(axis=0), points.shape[1]
        sizes = _sizes(points)
        correlation = np.atleast_2d(np.cov((points - center) / sizes, rowvar=False)) + 1e-6 * np.eye(n)
        white = np.linalg.inv(np.linalg.cholesky(correlation)) / sizes
        layer = Mahalanobis(n)
        return cls._with_limit(layer, np.concatenate([center, white.ravel()]), points, limit, fades)

    @classmethod
    def near_data(cls, X: Any, width: float = 1.0, limit: float | None = None, fades: bool = True) -> Domain:
        """Along features X (n, inputs), as curves of batches run; one term in the equations for each sample.

        `width`: of the neighbourhood, in standard deviations of each feature; `limit` in widths. Default: what the
        samples reach among themselves. Raises SpecificationError for fewer than two samples.
        """
        points = _samples(X)
        if not 0.0 < width < np.inf:
            raise SpecificationError(f"Domain.near_data: width is positive, in standard deviations, got {width!r}.")
        layer = Nearest(points.shape[1], len(points))
        own = np.concatenate([points.ravel(), width * _sizes(points)])
        return cls._with_limit(layer, own, points, limit, fades)

    @classmethod
    def of_variance(cls, model: LoweredModel, limit: float = 0.25, fades: bool = True) -> Domain:
        """Where a Gaussian process is sure: its variance is below `limit` of its prior's.

        Raises SpecificationError for a model that does not say how sure it is, or whose prior is not the same at all
        points, as with a linear kernel.
        """
        if model.variance is None or model.variance_coefficients is None:
            raise SpecificationError(
                f"Domain.of_variance: {model.source or 'the model'} does not say how sure it is.\n"
                "  Use a Gaussian process, or a distance to its data: Domain.of_data(X), Domain.near_data(X)."
            )
        if model.variance_range is None:
            raise SpecificationError(
                f"Domain.of_variance: the variance of {model.source or 'the model'} has no upper end.\n"
                "  Use Domain.of_data(X) or Domain.near_data(X), or a kernel without a linear part."
            )
        own = np.append(model.variance_coefficients, model.variance_range)
        return cls(UnexplainedVariance(model.inputs, model.variance), own, limit, fades)

    @property
    def inputs(self) -> int:
        """How many features it takes."""
        return self.distance.inputs

    def distances(self, X: Any) -> Array:
        """Distances (n,) of features X (n, inputs), in limits: up to 1 inside."""
        points = rows_of(X, self.inputs, "Domain")
        return np.array([float(self.distance(x, self.coefficients)[0]) for x in points]) / self.limit

    @classmethod
    def _with_limit(cls, layer: Layer, own: Array, points: Array, limit: float | None, fades: bool) -> Domain:
        reached = max(float(layer(x, own)[0]) for x in points) if limit is None else limit
        return cls(layer, own, reached, fades)


def faded(distance: Any) -> Any:
    """How much of a correction acts at a distance in limits: 1 inside, 0 from twice the limit on."""
    return 0.5 + 0.5 * np.tanh(4.0 * (1.5 - distance))


def _samples(X: Any) -> Array:
    points = np.asarray(X, dtype=float)
    points = rows_of(points, points.shape[1] if points.ndim > 1 else 1, "Domain")
    if len(points) < 2:
        raise SpecificationError(f"Domain: two samples at least, got {len(points)}.")
    return points


def _sizes(points: Array) -> Array:
    """How much each feature varies; a thousandth of its size where it hardly does."""
    return np.maximum(points.std(axis=0, ddof=1), 1e-3 * np.abs(points).mean(axis=0) + 1e-12)


__all__ = ["Domain", "Mahalanobis", "Nearest", "UnexplainedVariance", "faded"]
