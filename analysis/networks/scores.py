"""How good is a predicted distribution once the value is known? Quantiles and scores of normals and their mixtures.

The continuous ranked probability score is the integral of (F(x) - 1[x >= y])^2, in the unit of y; of a single value it
is the absolute error. Sources: Gneiting & Raftery, J. Am. Stat. Assoc. 102 (2007) 359; for mixtures of normals Grimit,
Gneiting, Berrocal & Johnson, Q. J. R. Meteorol. Soc. 132 (2006) 2925.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

Array = np.ndarray
_FAR = 30.0  # deviations beyond which a normal is 0 or 1 to the last digit
_PAIRS = 500  # components of a mixture whose pairs are counted; more are thinned evenly


def mixture_cdf(x: float, means: Array, deviations: Array) -> float:
    """The probability of at most x under equally likely normals (draws,); deviations of 0 are certain values."""
    spread = np.maximum(deviations, 1e-300)
    return float(ndtr((x - means) / spread).mean())


def mixture_quantile(probabilities: Array, means: Array, deviations: Array) -> Array:
    """Quantiles of equally likely normals, to 1e-10 of their range by bisection."""
    scores = ndtri(probabilities)[:, None]
    each = means + deviations * scores
    low, high = each.min(axis=1), each.max(axis=1)  # the mixture's quantile lies between those of its components
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = np.array([mixture_cdf(m, means, deviations) for m in middle]) < probabilities
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    found: Array = 0.5 * (low + high)
    return found


def crps_of_normal(value: float | Array, mean: float | Array, deviation: float | Array) -> Array:
    """The score of normal predictions, elementwise."""
    return _spread(np.asarray(value, dtype=float) - mean, deviation) - np.asarray(deviation) / np.sqrt(np.pi)


def crps_of_mixture(value: float, means: Array, deviations: Array) -> float:
    """The score of equally likely normals (draws,); beyond 500 of them every k-th is taken."""
    step = -(-len(means) // _PAIRS)
    m, s = means[::step], deviations[::step]
    own = _spread(value - m, s).mean()
    pairs = _spread(m[:, None] - m[None, :], np.hypot(s[:, None], s[None, :])).mean()
    return float(own - 0.5 * pairs)


def _spread(offset: Array, deviation: float | Array) -> Array:
    """E|offset + deviation Z| for standard normal Z."""
    deviation = np.maximum(deviation, 1e-300)
    z = np.clip(offset / deviation, -_FAR, _FAR)
    density = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    found: Array = 2.0 * deviation * density + offset * (2.0 * ndtr(z) - 1.0)
    return found
