"""How are estimators lowered that hold others? Pipelines, transformed targets, and searches that chose one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from titer.estimation.regressors.lowering import piece_of
from titer.estimation.regressors.registry import Lowered, Variance, lowers
from titer.estimation.regressors.transformers import backwards
from titer.flowsheets.corrections.layers import Affine, Chain, chained


@lowers("sklearn.Pipeline")
def _pipeline(estimator: Any) -> Lowered:
    steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
    pieces = [piece_of(step) for step in steps]
    if not pieces:
        return Lowered(Chain(estimator.n_features_in_, ()), np.zeros(0))
    layer = chained(*(piece.layer for piece in pieces))
    numbers = np.concatenate([piece.numbers for piece in pieces])
    variance = pieces[-1].variance
    if variance is not None:
        before = pieces[:-1]
        variance = Variance(
            chained(*(piece.layer for piece in before), variance.layer),
            np.concatenate([*(piece.numbers for piece in before), variance.numbers]),
            variance.scales,
            variance.ends,
        )
    return Lowered(layer, numbers, variance)


@lowers("sklearn.TransformedTargetRegressor")
def _transformed_target(estimator: Any) -> Lowered:
    inner = piece_of(estimator.regressor_)
    outer = backwards(estimator.transformer_, inner.layer.outputs)
    layer, numbers = chained(inner.layer, outer.layer), np.concatenate([inner.numbers, outer.numbers])
    if inner.variance is None or not isinstance(outer.layer, Affine):
        return Lowered(layer, numbers)  # how a nonlinear inverse spreads a variance is no closed form
    count = outer.layer.outputs
    widths = np.diag(outer.numbers[: count * count].reshape(count, count))
    return Lowered(layer, numbers, replace(inner.variance, scales=inner.variance.scales * widths**2))


@lowers("sklearn.GridSearchCV", "sklearn.RandomizedSearchCV", "sklearn.HalvingGridSearchCV")
def _search(estimator: Any) -> Lowered:
    return piece_of(estimator.best_estimator_)


@lowers("sklearn.RANSACRegressor")
def _consensus(estimator: Any) -> Lowered:
    return piece_of(estimator.estimator_)


__all__: list[str] = []
