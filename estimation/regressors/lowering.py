"""How does a fitted regressor become an expression? `lowered(regressor)`: the same numbers, to rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.estimation.regressors.padding import padded
from titer.estimation.regressors.registry import CONVERTERS, Lowered, Variance, converter_of
from titer.flowsheets.corrections.layers import Chosen, Layer, Scale, chained
from titer.flowsheets.corrections.model import LoweredModel
from titer.numerics.errors import SpecificationError, unknown

# Parts of class names that say what an estimator is, with what is wrong with it.
_WITHOUT_DERIVATIVES = {
    **dict.fromkeys(("Tree", "Forest", "Boost", "XGB", "LGBM", "Bagging", "Isotonic"), "predicts in steps"),
    **dict.fromkeys(("Neighbors", "Nearest"), "jumps from one neighbour to another"),
}
_INSTEAD = (
    "Use GaussianProcessRegressor, KernelRidge, SVR, PLSRegression, Ridge with PolynomialFeatures,\n"
    '  or MLPRegressor(activation="tanh").'
)


def lowered(regressor: Any, output: int | None = None, points: int | None = None) -> LoweredModel:
    """A fitted scikit-learn regressor as a model for corrections, which predicts what `predict` predicts.

    `output`: which result, where it predicts several. `points`: over how many points a kernel model is written, so that
    it keeps its shape when it is learned again from more samples, or with other support vectors. Linear models, PLS,
    kernel ridge, support vectors, Gaussian processes (with their standard deviation) and smooth networks; in pipelines
    with scalers, polynomial features and PCA, with transformed targets, or chosen by a search. Raises
    SpecificationError for an estimator that has no derivatives, is not known, or is not fitted.
    """
    name = type(regressor).__name__
    found = piece_of(regressor)
    count = found.layer.outputs
    if (output is None and count > 1) or (output is not None and not 0 <= output < count):
        raise SpecificationError(
            f"lowered: {name} predicts {count} results, and output={output!r} names none of them.\n"
            f"  Give output=0 to {count - 1}; a correction has one model for each expression."
        )
    chosen = output or 0
    layer = found.layer if count == 1 else chained(found.layer, Chosen(count, (chosen,)))
    source = _said(regressor)
    numbers = found.numbers
    if points is not None:
        layer, numbers = padded(layer, numbers, points, source)
    if found.variance is None:
        return LoweredModel(layer, numbers, source=source)
    spread, own, ends = _of_result(found.variance, chosen)
    if points is not None:
        spread, own = padded(spread, own, points, source)
    return LoweredModel(layer, numbers, spread, own, ends, source)


def piece_of(estimator: Any) -> Lowered:
    """The layers of a fitted estimator or transformer. Raises SpecificationError."""
    name = type(estimator).__name__
    converter = converter_of(estimator)
    if converter is None:
        for part, why in _WITHOUT_DERIVATIVES.items():
            if part in name:
                raise SpecificationError(f"lowered: {name} {why}, so that solvers find no derivative.\n  {_INSTEAD}")
        known = sorted(key.partition(".")[2] for key in CONVERTERS)
        raise SpecificationError(
            f"lowered: {unknown('estimator', name, known)}\n"
            "  titer.estimation.regressors.lowers registers another; LoweredModel takes layers."
        )
    _check_fitted(estimator, name)
    return converter(estimator)


def _of_result(variance: Variance, chosen: int) -> tuple[Layer, np.ndarray, tuple[float, float] | None]:
    """The variance of one result, in its own unit."""
    scale = float(np.broadcast_to(variance.scales, (max(chosen + 1, len(variance.scales)),))[chosen])
    ends = None if variance.ends is None else (variance.ends[0] * scale, variance.ends[1] * scale)
    numbers = np.concatenate([variance.numbers, [0.0, 1.0 / scale]])
    return chained(variance.layer, Scale(1)), numbers, ends


def _check_fitted(estimator: Any, name: str) -> None:
    if type(estimator).__module__.partition(".")[0] != "sklearn":
        return
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise SpecificationError(f"lowered: {name} is not fitted.\n  Call its fit(X, y) before.") from None


def _said(estimator: Any) -> str:
    """What a model was made from: Pipeline(StandardScaler, GaussianProcessRegressor)."""
    name = type(estimator).__name__
    if name == "Pipeline":
        return f"{name}({', '.join(_said(step) for _, step in estimator.steps)})"
    if name == "TransformedTargetRegressor":
        return f"{name}({_said(estimator.regressor_)})"
    return estimator if isinstance(estimator, str) else name


__all__ = ["lowered", "piece_of"]
