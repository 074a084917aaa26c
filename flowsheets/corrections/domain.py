"""Where does a learned model know anything? A `Domain`: a distance from its data, and the limit where they end.

Inside, the correction acts in full; beyond the limit it fades out, and far from the data the mechanistic model stands
alone. Equations use the square s of the distance in limits, which has no kink at the middle of the data:
fade = (1 + tanh(2 (2 - s))) / 2 is 0.9997 there, 0.982 at the limit, 0.5 at 1.41 and 0.018 at 1.73 limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.flowsheets.corrections.layers import Layer, stacked
from titer.flowsheets.corrections.model import LoweredModel, rows_of
from titer.numerics.errors import SpecificationError

Array = np.ndarray


@dataclass(frozen=True)
class Mahalanobis(Layer):
    """Squared distance from the middle of the data in their deviations, along their correlations: |W (x - m)|^2.

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
        return stacked([white @ white])


@dataclass(frozen=True)
class Nearest(Layer):
    """Squared distance to the nearest of a fixed number of points, rounded: for data along curves, as batches are.

    With s_i = 1 + sum(((x - x_i) / width)^2) it is mean(s_i^-8)^(-1/8) - 1: never less than that to the nearest point.
    Coefficients: points row by row, then a width for each input.
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
        return stacked([np.exp(-np.log(total / self.points) / 8.0) - 1.0])


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
    """Where a correction is valid: up to `limit`, the root of what `square` gives with `coefficients` (square.count,).

    `fades`: whether the correction fades out beyond; else it goes on, bounded only by its form, and the optimizer is
    kept inside by `correction.within()`. Made by `of_data`, `near_data` or `of_variance`.
    """

    square: Layer
    coefficients: Array
    limit: float
    fades: bool = True

    def __post_init__(self) -> None:
        given = np.array(self.coefficients, dtype=float).ravel()
        given.setflags(write=False)
        object.__setattr__(self, "coefficients", given)
        if len(given) != self.square.count or not np.isfinite(given).all():
            raise SpecificationError(f"Domain: {type(self.square).__name__} needs {self.square.count} numbers.")
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
        layer, own = Mahalanobis(n), np.concatenate([center, white.ravel()])
        reached = float(np.sqrt(max(layer(x, own)[0] for x in points))) if limit is None else limit
        return cls(layer, own, reached, fades)

    @classmethod
    def near_data(
        cls, X: Any, width: float = 1.0, limit: float | None = None, fades: bool = True, points: int | None = None
    ) -> Domain:
        """Along features X (n, inputs), as curves of batches run; one term in the equations for each point.

        `width`: of the neighbourhood, in standard deviations of each feature; `limit` in widths. Default: the largest
        distance of a sample from the others. `points`: so many samples stand for all, those that lie farthest apart;
        fewer are repeated, so that the shape stays. Raises SpecificationError for fewer than two samples.
        """
        samples = _samples(X)
        if not 0.0 < width < np.inf or (points is not None and points < 1):
            raise SpecificationError(
                f"Domain.near_data: width is positive, in standard deviations, and points at least 1, "
                f"got {width!r} and {points!r}."
            )
        sizes = _sizes(samples)
        chosen = np.arange(len(samples)) if points is None else _far_apart(samples / sizes, points)
        own = np.concatenate([samples[chosen].ravel(), width * sizes])
        reached = _to_others(samples / (width * sizes), chosen) if limit is None else limit
        return cls(Nearest(samples.shape[1], len(chosen)), own, reached, fades)

    @classmethod
    def of_variance(cls, model: LoweredModel, limit: float = 0.5, fades: bool = True) -> Domain:
        """Where a Gaussian process is sure: its deviation is below `limit` of what it is before any data.

        It costs n^2 / 2 products for n points at every moment, where `of_data` costs as many as features squared.
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
        least, most = model.variance_range
        if not least < most:
            raise SpecificationError(f"Domain.of_variance: {model.source or 'the model'} has nothing but noise.")
        own = np.append(model.variance_coefficients, (least, most))
        return cls(UnexplainedVariance(model.inputs, model.variance), own, limit, fades)

    @property
    def inputs(self) -> int:
        """How many features it takes."""
        return self.square.inputs

    def distances(self, X: Any) -> Array:
        """Distances (n,) of features X (n, inputs), in limits: up to 1 inside."""
        points = rows_of(X, self.inputs, "Domain")
        squares = np.array([float(self.square(x, self.coefficients)[0]) for x in points])
        return np.sqrt(np.maximum(squares, 0.0)) / self.limit


def faded(square: Any) -> Any:
    """How much of a correction acts at the square of a distance in limits: all inside, nothing far away."""
    return 0.5 + 0.5 * np.tanh(2.0 * (2.0 - square))


def _samples(X: Any) -> Array:
    points = np.asarray(X, dtype=float)
    points = rows_of(points, points.shape[1] if points.ndim > 1 else 1, "Domain")
    if len(points) < 2:
        raise SpecificationError(f"Domain: two samples at least, got {len(points)}.")
    return points


def _far_apart(points: Array, count: int) -> Array:
    """Positions of points that lie far apart: each is the farthest from those before it; around again at the end."""
    chosen = [int(np.argmax(((points - points.mean(axis=0)) ** 2).sum(axis=1)))]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < min(count, len(points)):
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(np.argmax(nearest)))
    return np.resize(chosen, count)


def _to_others(points: Array, chosen: Array) -> float:
    """The largest distance of a point from the chosen others, as `Nearest` counts it."""
    weights = (1.0 + ((points[:, None] - points[chosen]) ** 2).sum(axis=2)) ** -8
    others = chosen != np.arange(len(points))[:, None]
    counts = np.maximum(others.sum(axis=1), 1)
    nearest = (weights * others).sum(axis=1) / counts
    return float(np.sqrt(np.max(nearest[others.any(axis=1)] ** -0.125 - 1.0, initial=1e-12)))


def _sizes(points: Array) -> Array:
    """How much each feature varies; a thousandth of its size where it hardly does."""
    return np.maximum(points.std(axis=0, ddof=1), 1e-3 * np.abs(points).mean(axis=0) + 1e-12)


__all__ = ["Domain", "Mahalanobis", "Nearest", "UnexplainedVariance", "faded"]
