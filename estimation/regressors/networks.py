"""How are networks lowered? Layer by layer, where their activations are smooth."""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.estimation.regressors.registry import Lowered, affine, lowers, refuse
from titer.flowsheets.corrections.layers import Elementwise, Layer, Logistic, chained


@lowers("sklearn.MLPRegressor")
def _perceptron(estimator: Any) -> Lowered:
    if estimator.activation not in ("tanh", "logistic", "identity"):
        raise refuse(
            estimator,
            f'with activation="{estimator.activation}" has kinks, where solvers find no derivative',
            'Fit it with activation="tanh" or "logistic".',
        )
    layers: list[Layer] = []
    numbers = []
    last = len(estimator.coefs_) - 1
    for k, (weights, offset) in enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True)):
        step = affine(np.asarray(weights).T, offset)
        layers.append(step.layer)
        numbers.append(step.numbers)
        if k < last and estimator.activation == "tanh":
            layers.append(Elementwise(step.layer.outputs, "tanh"))
        elif k < last and estimator.activation == "logistic":
            layers.append(Logistic(step.layer.outputs))
    return Lowered(chained(*layers), np.concatenate(numbers))


__all__: list[str] = []
