"""How are kernel models lowered? Kernel ridge, support vectors and Gaussian processes, as sums over their points."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from titer.estimation.regressors.registry import Lowered, Variance, affine, lowers, refuse
from titer.flowsheets.corrections.kernels import (
    Constant,
    Dot,
    DotPower,
    DotTanh,
    Gaussian,
    Kernel,
    KernelSum,
    KernelVariance,
    Matern32,
    Matern52,
    Raised,
    RationalQuadratic,
    Times,
    Total,
    White,
)

Array = np.ndarray
Known = tuple[Kernel, Array]

_SMOOTH = "Use the kernel RBF, Matern(nu=1.5 or 2.5), RationalQuadratic or DotProduct, or sums and products of them."


@lowers("sklearn.KernelRidge")
def _kernel_ridge(estimator: Any) -> Lowered:
    points = np.asarray(estimator.X_fit_, dtype=float)
    gamma = 1.0 / points.shape[1] if estimator.gamma is None else float(estimator.gamma)
    kernel = _named(estimator, estimator.kernel, points.shape[1], gamma)
    weights = np.asarray(estimator.dual_coef_, dtype=float).reshape(len(points), -1).T
    return _sum(kernel, points, weights, np.zeros(len(weights)))


@lowers("sklearn.SVR", "sklearn.NuSVR")
def _support_vectors(estimator: Any) -> Lowered:
    if estimator.kernel == "linear":
        return affine(estimator.coef_, estimator.intercept_)
    points = np.asarray(estimator.support_vectors_, dtype=float)
    kernel = _named(estimator, estimator.kernel, points.shape[1], float(estimator._gamma))
    return _sum(kernel, points, np.asarray(estimator.dual_coef_, dtype=float), estimator.intercept_)


@lowers("sklearn.GaussianProcessRegressor")
def _gaussian_process(estimator: Any) -> Lowered:
    if "X_train_" not in vars(estimator):  # scikit-learn lets it predict from its prior
        raise refuse(estimator, "is not fitted", "Call its fit(X, y) before.")
    points = np.asarray(estimator.X_train_, dtype=float)
    n, d = points.shape
    kernel, own = _covariance(estimator.kernel_, d)
    scale, mean = np.atleast_1d(estimator._y_train_std), np.atleast_1d(estimator._y_train_mean)
    weights = estimator.alpha_.reshape(n, -1).T * scale[:, None]
    inverse = solve_triangular(estimator.L_, np.eye(n), lower=True)
    numbers = np.concatenate([points.ravel(), own, inverse[np.tril_indices(n)]])
    found = _sum((kernel, own), points, weights, mean)
    spread = Variance(KernelVariance(d, kernel, n), numbers, scale**2, _ends(estimator.kernel_, points[:1]))
    return Lowered(found.layer, found.numbers, spread)


def _sum(kernel: Known, points: Array, weights: Array, offset: Any) -> Lowered:
    law, own = kernel
    added = np.broadcast_to(np.ravel(offset), (len(weights),))
    numbers = np.concatenate([points.ravel(), own, np.ravel(weights), added])
    return Lowered(KernelSum(points.shape[1], law, len(points), len(weights)), numbers)


def _ends(kernel: Any, point: Array) -> tuple[float, float] | None:
    """The variance of noise alone, and that before any data, where it is the same everywhere."""
    if not kernel.is_stationary():
        return None
    most = float(kernel.diag(point)[0])
    return most - float(kernel(point, point)[0, 0]), most


def _named(estimator: Any, name: Any, inputs: int, gamma: float) -> Known:
    """The kernels that scikit-learn knows by a word."""
    if name == "rbf":
        return Gaussian(inputs), np.full(inputs, (2.0 * gamma) ** -0.5)
    if name == "linear":
        return Dot(inputs), np.array([1.0, 0.0])
    pair = np.array([gamma, float(estimator.coef0)])
    if name in ("poly", "polynomial"):
        if int(estimator.degree) != estimator.degree:
            raise refuse(estimator, f"has degree {estimator.degree}", "Give a whole number as degree.")
        return DotPower(inputs, int(estimator.degree)), pair
    if name == "sigmoid":
        return DotTanh(inputs), pair
    said = repr(name) if isinstance(name, str) else "that is a function or an object"
    raise refuse(
        estimator,
        f"with a kernel {said} cannot be lowered: its derivatives are not known, or jump at the data",
        'Use kernel="rbf", "linear", "poly" or "sigmoid", or a GaussianProcessRegressor with a kernel of its own.',
    )


def _covariance(kernel: Any, d: int) -> Known:
    """A kernel of a Gaussian process, sums and products included."""
    name = type(kernel).__name__
    if name in ("Sum", "Product"):
        (first, a), (second, b) = _covariance(kernel.k1, d), _covariance(kernel.k2, d)
        return (Total if name == "Sum" else Times)(d, first, second), np.concatenate([a, b])
    if name == "Exponentiation":
        law, own = _covariance(kernel.kernel, d)
        return Raised(d, law, float(kernel.exponent)), own
    if name == "RBF":
        return Gaussian(d), _lengths(kernel, d)
    if name == "Matern" and kernel.nu in (1.5, 2.5, np.inf):
        return {1.5: Matern32, 2.5: Matern52, np.inf: Gaussian}[kernel.nu](d), _lengths(kernel, d)
    if name == "RationalQuadratic":
        return RationalQuadratic(d), np.array([kernel.length_scale, kernel.alpha], dtype=float)
    if name == "DotProduct":
        return Dot(d), np.array([1.0, float(kernel.sigma_0) ** 2])
    if name == "ConstantKernel":
        return Constant(d), np.array([float(kernel.constant_value)])
    if name == "WhiteKernel":
        return White(d), np.array([float(kernel.noise_level)])
    said = f" with nu={kernel.nu:g}" if name == "Matern" else ""
    why = f"as a kernel{said} cannot be lowered: its derivatives jump at the data, or are not known"
    raise refuse(kernel, why, _SMOOTH)


def _lengths(kernel: Any, d: int) -> Array:
    return np.broadcast_to(np.asarray(kernel.length_scale, dtype=float), (d,)).copy()


__all__: list[str] = []
