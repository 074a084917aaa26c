"""How sure are fitted values? Their covariance from the curvature of the objective along the equations.

The objective is J = sum(residual^2) = -2 log likelihood + constant, so that the covariance of the free numbers is

    2 (d2J/dtheta2)^-1       or, by Gauss and Newton, (F' F)^-1,  F the derivatives of the weighted residuals

The exact one is taken where it is positive definite. Of a robust loss rho it is that of M-estimators, A^-1 B A^-1 with
A half the second derivatives and B = F' diag((r rho'(r^2))^2) F. Numbers that a bound holds have no variance: they are
left out, and said to be. Source: Bard, Nonlinear Parameter Estimation (1974), ch. 7; Huber, Robust Statistics (1981).
"""

from __future__ import annotations

from dataclasses import dataclass

import casadi as ca
import numpy as np

from titer.estimation.work import Number, Samples, Work

Array = np.ndarray
_OF_STEPS = "the phases are shot"
_SINGULAR = 1e-14  # ratio of eigenvalues of the scaled information below which directions are called undetermined


@dataclass(frozen=True, eq=False)
class Information:
    """What the data say of the free numbers (k) that no bound holds.

    `jacobian` (n, k): derivatives of the weighted residuals; `exact`: half the second derivatives of the objective
    (k, k); `covariance` (k, k): NaN where the data do not determine a number; `by`: how it was found.
    """

    numbers: tuple[Number, ...]
    samples: tuple[Samples, ...]
    jacobian: Array
    exact: Array
    covariance: Array
    by: str

    @property
    def gauss_newton(self) -> Array:
        """Information by Gauss and Newton, priors not counted."""
        return self.jacobian.T @ self.jacobian


def information(work: Work) -> Information:
    """The information of a fit's data. Raises LinAlgError where the equations do not determine the states."""
    free = tuple(n for n in work.numbers if not n.bound)
    k = len(free)
    seen = work.reduced(free)
    samples = tuple(work.samples(seen.follow[:, :k]))
    rows = [s.jacobian / s.deviations[:, None] for s in samples]
    jacobian = np.concatenate([np.zeros((0, k)), *rows])
    exact = 0.5 * seen.hessian[:k, :k]
    priors = _priors(work, free)
    weights = np.concatenate([np.zeros(0), *(_weights(s) for s in samples)])
    by, best = "exact second derivatives", exact
    if not seen.exact or not _definite(exact):
        by, best = (
            "Gauss-Newton: " + ("the exact second derivatives are not positive definite" if seen.exact else _OF_STEPS),
            jacobian.T @ (weights[:, None] * jacobian) + priors,
        )
    covariance = inverse(best)
    if not np.array_equal(weights, np.ones(len(weights))):
        by = f"{by}, of a robust loss"
        pull = jacobian * (weights * np.concatenate([s.residuals for s in samples]))[:, None]
        covariance = covariance @ (pull.T @ pull + priors) @ covariance
    return Information(free, samples, jacobian, exact, covariance, by)


def taken(work: Work) -> Array:
    """Degrees of freedom that each decided number (k,) takes from the residuals: 1, less the share that its prior
    knows of it; none where a bound holds it. Their sum is the trace of the hat matrix."""
    found = np.array([0.0 if n.bound else 1.0 for n in work.numbers])
    free = tuple(n for n in work.numbers if not n.bound)
    priors = np.diag(_priors(work, free))
    if priors.any():
        variances = np.diag(inverse(information(work).gauss_newton + np.diag(priors)))
        known = np.multiply(priors, variances, out=np.zeros(len(free)), where=priors > 0.0)
        found[found > 0.0] = 1.0 - np.clip(np.nan_to_num(known), 0.0, 1.0)
    return found


def _weights(samples: Samples) -> Array:
    """The slope of the loss at each square: 1 for least squares."""
    if samples.loss is None:
        return np.ones(len(samples.times))
    square = ca.SX.sym("square")
    slope = ca.Function("slope", [square], [ca.jacobian(ca.SX(samples.loss.cost(square)), square)])
    return np.array(slope.map(len(samples.times))(samples.residuals[None, :] ** 2)).ravel()


def inverse(matrix: Array) -> Array:
    """The inverse of an information matrix by its eigenvalues, scaled to a unit diagonal.

    Rows and columns of numbers that it does not determine are NaN, or infinite on the diagonal.
    """
    k = len(matrix)
    size = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    size[size == 0.0] = 1.0
    values, vectors = np.linalg.eigh(matrix / np.outer(size, size)) if k else (np.zeros(0), np.zeros((0, 0)))
    weak = values <= _SINGULAR * max(values.max(initial=0.0), 1e-300)
    kept = vectors[:, ~weak]
    result = (kept / values[~weak]) @ kept.T / np.outer(size, size)
    lost = (np.abs(vectors[:, weak]) > 1e-6).any(axis=1)
    result[lost, :] = result[:, lost] = np.nan
    result[lost, lost] = np.inf
    return result


def _definite(matrix: Array) -> bool:
    size = np.sqrt(np.abs(np.diag(matrix)))
    size[size == 0.0] = 1.0
    return bool(len(matrix) and np.linalg.eigvalsh(matrix / np.outer(size, size)).min() > 1e-10)


def _priors(work: Work, free: tuple[Number, ...]) -> Array:
    """The information of prior knowledge, (k, k)."""
    known = {n.name: n.prior for n in work.solved.started.assembled.numbers if n.prior is not None}
    return np.diag([1.0 / known[n.name][1] ** 2 if n.name in known else 0.0 for n in free])
