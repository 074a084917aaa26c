"""Which regressors become expressions of a model? `lowered(regressor)`: linear, latent, kernel, Gaussian, networks."""

from titer.estimation.regressors import composed, kernels, linear, networks, transformers  # noqa: F401  (they register)
from titer.estimation.regressors.lowering import lowered
from titer.estimation.regressors.registry import Lowered, Variance, lowers
from titer.flowsheets.corrections.external import lowered_function, lowered_onnx

__all__ = ["Lowered", "Variance", "lowered", "lowered_function", "lowered_onnx", "lowers"]
