"""How is preprocessing lowered? Scalers, powers, projections and elementary functions, forwards and backwards."""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.estimation.regressors.registry import Lowered, affine, lowers, refuse
from titer.flowsheets.corrections.layers import Chain, Elementwise, Monomials, Scale
from titer.flowsheets.symbols.reading import ELEMENTARY

Array = np.ndarray


@lowers("sklearn.StandardScaler", "sklearn.RobustScaler", "sklearn.MinMaxScaler", "sklearn.MaxAbsScaler")
def _scaler(estimator: Any) -> Lowered:
    centers, widths = centers_and_widths(estimator)
    return Lowered(Scale(len(centers)), np.concatenate([centers, widths]))


@lowers("sklearn.PolynomialFeatures")
def _polynomial(estimator: Any) -> Lowered:
    powers = estimator.powers_
    rows = tuple(tuple(int(n) for n in row) for row in powers)
    return Lowered(Monomials(powers.shape[1], rows), np.zeros(0))


@lowers("sklearn.PCA")
def _projection(estimator: Any) -> Lowered:
    weights = estimator.components_
    if estimator.whiten:
        weights = weights / np.sqrt(estimator.explained_variance_)[:, None]
    return affine(weights, -weights @ estimator.mean_)


@lowers("sklearn.FunctionTransformer")
def _function(estimator: Any) -> Lowered:
    if estimator.kw_args:
        raise refuse(estimator, "has keyword arguments", "Give a function of NumPy alone, such as np.log.")
    return _elementwise(estimator, estimator.func, estimator.n_features_in_)


def backwards(estimator: Any, count: int) -> Lowered:
    """The inverse of a transformer of targets (count,): of a scaler, or of a function with an inverse."""
    name = type(estimator).__name__
    if name == "FunctionTransformer":
        if estimator.inv_kw_args:
            raise refuse(estimator, "has keyword arguments", "Give an inverse function of NumPy alone.")
        return _elementwise(estimator, estimator.inverse_func, count)
    if name not in ("StandardScaler", "RobustScaler", "MinMaxScaler", "MaxAbsScaler"):
        raise refuse(
            estimator,
            "as a transformer of targets cannot be lowered",
            "Use StandardScaler, RobustScaler, MinMaxScaler or MaxAbsScaler, or func= and inverse_func= of NumPy.",
        )
    centers, widths = centers_and_widths(estimator)
    return affine(np.diag(widths), centers)


def centers_and_widths(estimator: Any) -> tuple[Array, Array]:
    """A scaler as (x - center) / width. Raises SpecificationError for one that clips."""
    kind, count = type(estimator).__name__, estimator.n_features_in_
    center, width = np.zeros(count), np.ones(count)
    if kind == "MinMaxScaler":
        if estimator.clip:
            raise refuse(estimator, "with clip=True has kinks", "Leave clip=False; a domain says where the data end.")
        return -estimator.min_ / estimator.scale_, 1.0 / estimator.scale_
    if kind == "MaxAbsScaler":
        return center, np.asarray(estimator.scale_, dtype=float)
    found = estimator.center_ if kind == "RobustScaler" else estimator.mean_
    center = center if found is None or not _centers(estimator) else found
    width = width if estimator.scale_ is None else estimator.scale_
    return np.asarray(center, dtype=float), np.asarray(width, dtype=float)


def _centers(estimator: Any) -> bool:
    return bool(estimator.with_centering if type(estimator).__name__ == "RobustScaler" else estimator.with_mean)


def _elementwise(estimator: Any, function: Any, count: int) -> Lowered:
    if function is None:
        return Lowered(Chain(count, ()), np.zeros(0))
    name = getattr(function, "__name__", "")
    if name not in ELEMENTARY or getattr(np, name, None) is not function:
        raise refuse(
            estimator,
            f"calls {name or repr(function)}, which is no elementary function of NumPy",
            f"Use one of {', '.join('np.' + n for n in ELEMENTARY)}.",
        )
    return Lowered(Elementwise(count, name), np.zeros(0))


__all__ = ["backwards", "centers_and_widths"]
