"""In which orders shall causes become known, to average over all? Quasi-random permutations with their reverses.

A point of a scrambled Sobol sequence is mapped to a normal direction in the plane orthogonal to (1, ..., 1); sorting
its coordinates gives a permutation, and the opposite direction its reverse (antithetic). Source: Mitchell, Cooper,
Frank & Holmes, Sampling Permutations for Shapley Value Estimation, J. Machine Learning Research 23 (2022) 1; used for
process networks by Zhao, Xie & Luo (2024), arXiv 2411.13396.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Array = np.ndarray
_EDGE = 1e-12  # quasi-random numbers are kept off 0 and 1, whose normal scores are infinite


def orders(count: int, players: int, replicates: int, seed: int) -> Iterator[Array]:
    """Yield, for each replicate (scrambled on its own), about `count` permutations (m, players): half, and its
    reverses.

    Half of them is rounded up to a power of two, of which Sobol sequences are balanced.
    """
    for scrambled in streams(replicates, seed):
        normal = normals(count // 2, max(players - 1, 1), scrambled)
        forward = permuted(normal, players)
        yield np.concatenate([forward, forward[:, ::-1]])


def permuted(normal: Array, players: int) -> Array:
    """Permutations (n, players) of normal scores (n, players - 1)."""
    if players == 1:
        return np.zeros((len(normal), 1), dtype=int)
    found: Array = np.argsort(normal @ _plane(players), axis=1, kind="stable")
    return found


def normals(count: int, dimension: int, rng: np.random.Generator) -> Array:
    """At least `count` quasi-random standard normal points, (a power of two, dimension)."""
    from scipy.stats import norm, qmc

    power = max(0, int(np.ceil(np.log2(max(count, 1)))))
    uniform = qmc.Sobol(dimension, scramble=True, seed=rng).random_base2(power)
    found: Array = norm.ppf(np.clip(uniform, _EDGE, 1.0 - _EDGE))
    return found


def streams(replicates: int, seed: int) -> list[np.random.Generator]:
    """Independent generators, one for each replicate."""
    return [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(replicates)]


def _plane(players: int) -> Array:
    """An orthonormal basis (players - 1, players) of the plane orthogonal to (1, ..., 1), by Helmert."""
    rows = np.tril(np.ones((players - 1, players)))
    k = np.arange(1, players)
    rows[k - 1, k] = -k
    found: Array = rows / np.sqrt(k * (k + 1.0))[:, None]
    return found
