"""How are linear models lowered? As W x + b, whatever penalty or loss they were fitted with."""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.estimation.regressors.registry import Lowered, affine, lowers


@lowers(
    *(f"sklearn.{name}" for name in ("LinearRegression", "Ridge", "RidgeCV", "BayesianRidge", "ARDRegression")),
    *(f"sklearn.{name}" for name in ("Lasso", "LassoCV", "LassoLars", "LassoLarsCV", "LassoLarsIC")),
    *(f"sklearn.{name}" for name in ("ElasticNet", "ElasticNetCV", "Lars", "LarsCV", "LinearSVR", "SGDRegressor")),
    *(f"sklearn.{name}" for name in ("MultiTaskLasso", "MultiTaskLassoCV", "MultiTaskElasticNet")),
    *(f"sklearn.{name}" for name in ("MultiTaskElasticNetCV", "OrthogonalMatchingPursuit", "QuantileRegressor")),
    *(f"sklearn.{name}" for name in ("OrthogonalMatchingPursuitCV", "HuberRegressor", "TheilSenRegressor")),
)
def _linear(estimator: Any) -> Lowered:
    return affine(estimator.coef_, estimator.intercept_)


@lowers("sklearn.PLSRegression", "sklearn.PLSCanonical", "sklearn.CCA")
def _latent(estimator: Any) -> Lowered:
    # Where features are centered is private: the prediction at zero says it as well.
    weights = np.atleast_2d(estimator.coef_)
    return affine(weights, estimator.predict(np.zeros((1, weights.shape[1]))))


__all__: list[str] = []
