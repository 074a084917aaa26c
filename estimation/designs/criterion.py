"""When is one experiment better than another? Criteria: how large the region of uncertainty of the parameters will be.

Of the information matrix R of parameters relative to their sizes (k of them), with eigenvalues l, each criterion is a
standard error that is to be small; its logarithm is what is minimized:

    D            (prod 1/l)^(1/2k)        the volume of the ellipsoid, as the error of a ball of that volume
    A            (mean 1/l)^(1/2)         the root mean square of the errors
    E            (max 1/l)^(1/2)          the longest half axis
    MODIFIED_E   (max l / min l)^(1/2)    the longest half axis over the shortest: how round the ellipsoid is

E and MODIFIED_E have kinks; they are approached by Kiefer's family, the mean of l^-p to the power 1/2p, whose members
are smooth: D is p = 0, A is p = 1, E is p = infinity. Sources: Kiefer, Ann. Stat. 2 (1974) 849; Franceschini &
Macchietto, Chem. Eng. Sci. 63 (2008) 4846.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

Array = np.ndarray
RIDGE = 1e-8  # of relative information: an error of 10 000 times a parameter's size, so that nothing is undetermined
_STEPS = (8.0, 64.0, 512.0)


class Criterion(Enum):
    """What a design makes small; the value says it."""

    D = "D: the geometric mean of the half axes of the confidence ellipsoid"
    A = "A: the root mean square of the standard errors"
    E = "E: the longest half axis of the confidence ellipsoid"
    MODIFIED_E = "modified E: the ratio of the longest to the shortest half axis of the confidence ellipsoid"

    @property
    def steps(self) -> tuple[float, ...]:
        """Powers of the smooth criteria that lead to this one."""
        return _STEPS if self in (Criterion.E, Criterion.MODIFIED_E) else (1.0,)

    def error(self, relative: Array) -> float:
        """The criterion of a relative information matrix (k, k); infinite where it leaves something undetermined."""
        values = np.linalg.eigvalsh(relative)
        if not values.min() > 1e-14 * max(values.max(), 1e-300):
            return float("inf")
        if self is Criterion.D:
            return float(np.exp(-0.5 * np.log(values).mean()))
        if self is Criterion.A:
            return float(np.sqrt((1.0 / values).mean()))
        if self is Criterion.E:
            return float(1.0 / np.sqrt(values.min()))
        return float(np.sqrt(values.max() / values.min()))

    def smooth(self, relative: Array, power: float) -> tuple[float, Array]:
        """The logarithm of a smooth version, and its derivative (k, k) in the matrix; a ridge makes it definite."""
        k = len(relative)
        values, vectors = np.linalg.eigh(relative)
        values = np.maximum(values, 0.0) + RIDGE
        logs = np.log(values)
        if self is Criterion.D:
            return float(-0.5 * logs.mean()), -0.5 / k * (vectors / values) @ vectors.T
        p = 1.0 if self is Criterion.A else power
        least, share = _log_mean(-p * logs)
        value, slopes = 0.5 * least / p, -0.5 * share / values
        if self is Criterion.MODIFIED_E:
            most, share = _log_mean(p * logs)
            value, slopes = value + 0.5 * most / p, slopes + 0.5 * share / values
        return float(value), (vectors * slopes) @ vectors.T


def _log_mean(logs: Array) -> tuple[float, Array]:
    """The logarithm of the mean of exp(logs), and the share of each in it."""
    top = logs.max()
    parts = np.exp(logs - top)
    return float(top + np.log(parts.mean())), parts / parts.sum()
