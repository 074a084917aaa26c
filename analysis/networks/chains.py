"""Have the chains of a sampler forgotten where they started, and how many independent draws are they worth?

Split R-hat compares halves of chains; the effective sample size sums autocorrelations in pairs until they turn
negative. Sources: Gelman et al., Bayesian Data Analysis (2013), section 11.4; Geyer, Statistical Science 7 (1992) 473;
both on rank-normalized draws, as heavy tails of few batches want: Vehtari et al., Bayesian Analysis 16 (2021) 667.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def r_hat(draws: Array) -> Array:
    """Split R-hat (quantities,) of draws (chains, draws, quantities): 1 where the chains agree; above 1.01 doubtful.

    The larger of that of the draws and of their distances from the median (Vehtari et al.): location and spread.
    """
    folded = np.abs(draws - np.median(draws, axis=(0, 1)))
    found: Array = np.maximum(_compared(_scores(_split(draws))), _compared(_scores(_split(folded))))
    return found


def effective_size(draws: Array) -> Array:
    """Number of independent draws (quantities,) that draws (chains, draws, quantities) are worth, for their middle."""
    split = _scores(_split(draws))
    chains, n, _ = split.shape
    centered = split - split.mean(axis=1, keepdims=True)
    transformed = np.fft.rfft(centered, 2 * n, axis=1)
    covariance = np.fft.irfft(np.abs(transformed) ** 2, 2 * n, axis=1)[:, :n].mean(axis=0) / n  # (lags, quantities)
    within = covariance[0] * n / (n - 1)
    total = within * (n - 1) / n + split.mean(axis=1).var(axis=0, ddof=1)
    correlation = 1.0 - (within - covariance * n / (n - 1)) / total
    correlation[0] = 1.0
    pairs = correlation[: n - n % 2].reshape(-1, 2, split.shape[2]).sum(axis=1)
    pairs = np.minimum.accumulate(pairs, axis=0)
    open_ = np.logical_and.accumulate(pairs > 0.0, axis=0)
    time = np.maximum(-1.0 + 2.0 * np.where(open_, pairs, 0.0).sum(axis=0), 1.0 / np.log10(chains * n))
    found: Array = chains * n / time
    return found


def _compared(split: Array) -> Array:
    n = split.shape[1]
    within = split.var(axis=1, ddof=1).mean(axis=0)
    between = split.mean(axis=1).var(axis=0, ddof=1)
    found: Array = np.sqrt((n - 1) / n + between / within)
    return found


def _split(draws: Array) -> Array:
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _scores(draws: Array) -> Array:
    """Normal scores of the ranks among all draws of a quantity."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    flat = draws.reshape(-1, draws.shape[2])
    scores: Array = ndtri((rankdata(flat, axis=0) - 0.375) / (len(flat) + 0.25)).reshape(draws.shape)
    return scores
