"""How large and how rough is a discrepancy? What makes the data of all batches most likely: the marginal likelihood.

Around a fit, weighted residuals are straight lines in the knots g of the profiles: y = F g + noise of deviation 1, with
g normal of covariance P(amplitude, memory) before data. Then y is normal of covariance 1 + F P F', and -2 log of its
density, summed over batches, is least at the amplitudes and memories wanted. The residuals are straightened again at
the new fit, until nothing moves. Source: MacKay, Neural Comput. 4 (1992) 415.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from titer.estimation.learning.profile import Prior, Span

Array = np.ndarray
_SMALLEST = 1e-3  # of the largest amplitude
_LONGEST = 4.0  # lengths of a batch that a profile may remember
_TRIED = (0.15, 0.5, 1.5)  # memories tried first, in lengths of a batch


@dataclass(frozen=True, eq=False)
class Straightened:
    """What the data of one batch say of its profiles: y = F g + noise of deviation 1.

    `y` (n,), and for each expression its F (n, knots).
    """

    span: Span
    y: Array
    slopes: Mapping[str, Array]


def most_likely(
    batches: Sequence[Straightened], priors: Mapping[str, Prior], largest: Mapping[str, float]
) -> dict[str, Prior]:
    """The amplitude, up to the largest, and the memory of each expression, for all batches together."""
    from scipy.optimize import minimize

    names = list(priors)
    length = float(np.mean([batch.span.length for batch in batches]))
    shortest = float(max(batch.span.length / batch.span.pieces for batch in batches))
    bounds = [(np.log(_SMALLEST * largest[on]), np.log(largest[on])) for on in names]
    bounds += [(np.log(shortest), np.log(_LONGEST * length))] * len(names)

    def cost(logarithms: Array) -> float:
        return unlikeliness(batches, _priors(names, logarithms))

    amplitudes = [np.log(priors[on].amplitude) for on in names]
    starts = [[*amplitudes, *[np.log(share * length)] * len(names)] for share in _TRIED]
    starts.append([*amplitudes, *(np.log(priors[on].memory) for on in names)])
    low, high = np.array(bounds).T
    found = [minimize(cost, np.clip(start, low, high), bounds=bounds, method="L-BFGS-B") for start in starts]
    best = _priors(names, min(found, key=lambda result: float(result.fun)).x)
    return {on: Prior(_rounded(prior.amplitude), _rounded(prior.memory)) for on, prior in best.items()}


def unlikeliness(batches: Sequence[Straightened], priors: Mapping[str, Prior]) -> float:
    """-2 log of the marginal likelihood of all batches, less a constant."""
    total = 0.0
    for batch in batches:
        spread = np.eye(len(batch.y))
        for on, slopes in batch.slopes.items():
            moved = slopes @ batch.span.root(priors[on])
            spread = spread + moved @ moved.T
        factor = np.linalg.cholesky(spread)
        total += float((np.linalg.solve(factor, batch.y) ** 2).sum() + 2.0 * np.log(np.diag(factor)).sum())
    return total


def change(before: Mapping[str, Prior], after: Mapping[str, Prior]) -> float:
    """The largest relative change of an amplitude or a memory."""
    pairs = [(getattr(before[on], key), getattr(after[on], key)) for on in before for key in ("amplitude", "memory")]
    return max(abs(np.log(new / old)) for old, new in pairs)


def _priors(names: Sequence[str], logarithms: Array) -> dict[str, Prior]:
    sizes = np.exp(logarithms)
    return {on: Prior(float(sizes[i]), float(sizes[len(names) + i])) for i, on in enumerate(names)}


def _rounded(x: float) -> float:
    """In three digits: no data know more, and what was traced is met again."""
    return float(f"{x:.3g}")


__all__ = ["Straightened", "change", "most_likely", "unlikeliness"]
