"""What does a learned model predict? `LoweredModel`: its shape, its coefficients, and how sure it is.

titer.estimation.regressors makes one from a fitted scikit-learn estimator; the constructor, from layers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from titer.flowsheets.corrections.layers import Layer
from titer.numerics.errors import SpecificationError

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class LoweredModel:
    """A fitted model as layers and coefficients, which are the same text on numbers, CasADi and Pyomo.

    `mean` with `coefficients` (mean.count,) predicts; `variance`, if there is one, with `variance_coefficients` says
    how sure it is; `variance_range`: at the data (that of noise alone) and far from them, where there is an end to it.
    `source`: what it was made from, in words. Raises SpecificationError where shapes do not agree.
    """

    mean: Layer
    coefficients: Array
    variance: Layer | None = None
    variance_coefficients: Array | None = None
    variance_range: tuple[float, float] | None = None
    source: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients", _checked(self.mean, self.coefficients, "mean"))
        if self.variance is not None:
            own = _checked(self.variance, self.variance_coefficients, "variance")
            object.__setattr__(self, "variance_coefficients", own)

    @property
    def inputs(self) -> int:
        """How many features it takes."""
        return self.mean.inputs

    def predict(self, X: Any) -> Array:
        """Predictions (n,) at features X (n, inputs). Raises SpecificationError for another shape, or NaN."""
        return self._rows(self.mean, self.coefficients, X)

    def deviation(self, X: Any) -> Array:
        """Standard deviations (n,) of predictions at features X (n, inputs). Raises SpecificationError without any."""
        if self.variance is None or self.variance_coefficients is None:
            raise SpecificationError(
                f"{self.source or 'the model'} does not say how sure it is.\n"
                "  Use a Gaussian process, or a distance to the data: Domain.of_data(X)."
            )
        return np.sqrt(np.maximum(self._rows(self.variance, self.variance_coefficients, X), 0.0))

    def with_coefficients(self, coefficients: Any) -> LoweredModel:
        """The same shape with other coefficients of the mean, as estimated. It no longer says how sure it is."""
        return replace(self, coefficients=coefficients, variance=None)

    def _rows(self, layer: Layer, c: Array, X: Any) -> Array:
        points = rows_of(X, self.inputs, self.source or "the model")
        return np.array([float(layer(x, c)[0]) for x in points])


def rows_of(X: Any, inputs: int, what: str) -> Array:
    """Features as a table (n, inputs) of finite numbers. Raises SpecificationError."""
    points = np.asarray(X, dtype=float)
    points = points[None, :] if points.ndim == 1 and inputs > 1 else points.reshape(len(points), -1)
    if points.shape[1] != inputs:
        raise SpecificationError(f"{what} takes {inputs} features, got {points.shape[1]}: a row for each sample.")
    if not np.isfinite(points).all():
        row, column = np.argwhere(~np.isfinite(points))[0]
        raise SpecificationError(
            f"{what}: feature {column} of sample {row} is {points[row, column]}.\n"
            "  Leave out samples whose features are not known, or fill them in before."
        )
    return points


def _checked(layer: Layer, coefficients: Any, what: str) -> Array:
    given = np.array(coefficients, dtype=float).ravel()
    if len(given) != layer.count or not np.isfinite(given).all():
        got = f"{len(given)}" if len(given) != layer.count else "some that are not finite"
        raise SpecificationError(f"LoweredModel: {what} needs {layer.count} finite coefficients, got {got}.")
    if layer.outputs != 1:
        raise SpecificationError(f"LoweredModel: {what} has one result, got layers with {layer.outputs}.")
    given.setflags(write=False)
    return given


__all__ = ["LoweredModel", "rows_of"]
