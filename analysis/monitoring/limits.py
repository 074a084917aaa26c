"""How large may T2 and SPE be when all is normal? F, chi-square by moments, and Jackson and Mudholkar's limit.

That of T2 is exact for normal variables; the two of SPE are a few percent off where one eigenvalue dominates.

Sources: Nomikos & MacGregor, Technometrics 37 (1995) 41 (batches); Box, Ann. Math. Statist. 25 (1954) 290 (g chi2(h));
Jackson & Mudholkar, Technometrics 21 (1979) 341.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def hotelling_probability(t2: Array, components: int | Array, batches: int) -> Array:
    """The probability of a larger T2 of a new batch, with mean and covariance from `batches`: F(A, n - A)."""
    from scipy.stats import f

    n, a = batches, components
    found: Array = f.sf(t2 * n * (n - a) / (a * (n**2 - 1.0)), a, n - a)
    return found


def hotelling_limit(level: float | Array, components: int | Array, batches: int) -> Array:
    """The T2 that a new normal batch exceeds with this probability."""
    from scipy.stats import f

    n, a = batches, components
    found: Array = a * (n**2 - 1.0) / (n * (n - a)) * f.isf(level, a, n - a)
    return found


def box(mean: float, variance: float) -> tuple[float, float]:
    """g and h of the distribution g chi2(h) with this mean and variance."""
    return variance / (2.0 * mean), 2.0 * mean**2 / variance


def jackson_mudholkar(eigenvalues: Array, level: float) -> float:
    """The SPE that a normal batch exceeds with this probability, from the eigenvalues of the residual covariance."""
    from scipy.special import ndtri

    one, two, three = (float((np.asarray(eigenvalues) ** k).sum()) for k in (1, 2, 3))
    h = 1.0 - 2.0 * one * three / (3.0 * two**2)
    score = -float(ndtri(level))
    return one * (1.0 + score * np.sqrt(2.0 * two * h**2) / one + two * h * (h - 1.0) / one**2) ** (1.0 / h)
