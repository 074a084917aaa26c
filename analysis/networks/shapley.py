"""How much of a variance does each of several, perhaps correlated, normal causes carry? Shapley effects, closed form.

For Y = sum_i a_i X_i the value of a set S of causes is Var(E[Y | X_S]); the Shapley effect of a cause is its mean gain
over all orders in which causes may become known. Effects are not negative and sum to Var(Y); for independent causes
they are a_i^2 Var(X_i). Conditional variances of all 2^p sets come from p sweeps over a growing array, which also
takes singular covariances. Causes that are correlated with no other are split off first, as blocks add. Sources: Owen
& Prieur, SIAM/ASA J. Uncertainty Quantification 5 (2017) 986; Iooss & Prieur, Int. J. Uncertainty Quantification 9
(2019) 493; blocks: Broto, Bachoc, Depecker & Martinez, Math. Comput. Simul. 163 (2019) 19.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import factorial

import numpy as np

from titer.analysis.networks.orders import orders
from titer.numerics.errors import SpecificationError

Array = np.ndarray
EXACT = 16  # players up to which all sets are enumerated
_SINGULAR = 1e-12  # share of its own variance below which what is left of one is rounding
_UNRELATED = 1e-12  # correlation below which causes count as independent
_ORDERS = 256  # in each replicate of the sampled estimate, fewer where causes are very many
_WORK = 2e8  # numbers that a replicate may touch
_REPLICATES = 8


@dataclass(frozen=True, eq=False)
class Effects:
    """Shapley effects (players,), their standard errors (0: exact), and the variance that they sum to."""

    values: Array
    errors: Array
    variance: float

    @property
    def shares(self) -> Array:
        """The effects as shares of the variance."""
        return self.values / self.variance if self.variance > 0.0 else np.zeros_like(self.values)


def shapley(weights: Array, covariance: Array, groups: Sequence[Sequence[int]] | None = None, seed: int = 0) -> Effects:
    """Shapley effects on Y = weights . X of normal causes X with this covariance, (p,) and (p, p).

    `groups`: causes that count as one player, as lists of places; by default each is a player. Up to 16 players that
    hang together are exact; beyond, orders are sampled (by `seed`), with standard errors. Raises SpecificationError.
    """
    weights, covariance = np.asarray(weights, dtype=float), np.asarray(covariance, dtype=float)
    players = [[i] for i in range(len(weights))] if groups is None else [list(g) for g in groups]
    _check(weights, covariance, players)
    values, errors = np.zeros(len(players)), np.zeros(len(players))
    for block in _blocks(covariance, players):
        members = [players[b] for b in block]
        inside = np.concatenate([np.array(m, dtype=int) for m in members])
        local = _local(members)
        own, sub = weights[inside][None], covariance[np.ix_(inside, inside)][None]
        if len(block) <= EXACT:
            values[block] = exact(own, sub, local)[0]
        else:
            values[block], errors[block] = _sampled(own[0], sub[0], local, seed)
    return Effects(values, errors, float(weights @ covariance @ weights))


def exact(weights: Array, covariance: Array, players: Sequence[Sequence[int]]) -> Array:
    """Effects by enumeration for many problems at once: weights (n, p), covariance (n, p, p) -> (n, players)."""
    left = _left(weights, covariance, players)
    k = len(players)
    sets = np.arange(2**k)
    size = np.array([int(s).bit_count() for s in sets])
    share = np.array([factorial(s) * factorial(k - s - 1) / factorial(k) for s in range(k)])
    found = np.empty((len(weights), k))
    for i in range(k):
        without = sets[(sets >> i) & 1 == 0]
        found[:, i] = (left[:, without] - left[:, without | (1 << i)]) @ share[size[without]]
    return found


def _left(weights: Array, covariance: Array, players: Sequence[Sequence[int]]) -> Array:
    """Var(Y | X_S) of all sets S of players, (n, 2^players); player i is in the sets with bit i."""
    causes = [i for player in players for i in player]
    joint = _joint(weights, covariance)[:, [*causes, -1]][:, :, [*causes, -1]]
    floor = _SINGULAR * np.diagonal(joint, axis1=1, axis2=2)
    state, first = joint[:, None], 0
    for player in players:
        known = state
        for k in range(len(player)):
            known = sweep(known, k, floor[:, None, first + k])
        first += len(player)
        cut = slice(len(player), None)
        state = np.concatenate([state[..., cut, cut], known[..., cut, cut]], axis=1)
    return state[..., 0, 0]


def sweep(joint: Array, k: int, floor: Array) -> Array:
    """Covariances (..., p, p) given that variable k became known; at or below the floor (...) it was known before."""
    pivot = joint[..., k, k]
    open_ = pivot > floor
    column = np.where(open_[..., None], joint[..., :, k], 0.0)
    swept: Array = joint - column[..., :, None] * (column / np.where(open_, pivot, 1.0)[..., None])[..., None, :]
    return swept


def _joint(weights: Array, covariance: Array) -> Array:
    """The covariance of the causes and, last, of Y: (n, p + 1, p + 1)."""
    with_y = np.einsum("nij,nj->ni", covariance, weights)
    n, p = weights.shape
    joint = np.empty((n, p + 1, p + 1))
    joint[:, :p, :p] = covariance
    joint[:, :p, p] = joint[:, p, :p] = with_y
    joint[:, p, p] = np.einsum("ni,ni->n", with_y, weights)
    return joint


def _sampled(weights: Array, covariance: Array, players: Sequence[Sequence[int]], seed: int) -> tuple[Array, Array]:
    """Mean gains over quasi-random orders and their reverses, with the standard error between scrambled replicates."""
    k, widest = len(players), max(len(p) for p in players)
    causes = np.array([[*p, *[p[-1]] * (widest - len(p))] for p in players])  # swept twice: known the second time
    joint = _joint(weights[None], covariance[None])[0]
    floor = _SINGULAR * np.diag(joint)
    means = np.zeros((_REPLICATES, k))
    count = int(np.clip(_WORK / (causes.size * joint.size), 16, _ORDERS))
    for r, drawn in enumerate(orders(count, k, _REPLICATES, seed)):
        state, rows = np.repeat(joint[None], len(drawn), axis=0), np.arange(len(drawn))
        for step in range(k):
            before = state[:, -1, -1]
            for cause in causes[drawn[:, step]].T:
                column = np.where((state[rows, cause, cause] > floor[cause])[:, None], state[rows, :, cause], 0.0)
                pivot = np.where(column.any(axis=1), state[rows, cause, cause], 1.0)
                state = state - column[:, :, None] * (column / pivot[:, None])[:, None, :]
            np.add.at(means[r], drawn[:, step], (before - state[:, -1, -1]) / len(drawn))
    return means.mean(axis=0), means.std(axis=0, ddof=1) / np.sqrt(_REPLICATES)


def _blocks(covariance: Array, players: Sequence[Sequence[int]]) -> list[list[int]]:
    """Players that hang together by correlations, as lists of their places."""
    size = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    related = np.abs(covariance) > _UNRELATED * np.outer(size, size)
    open_ones, found = list(range(len(players))), []
    while open_ones:
        block, front = [], [open_ones.pop(0)]
        while front:
            here = front.pop()
            block.append(here)
            near = [j for j in open_ones if related[np.ix_(players[here], players[j])].any()]
            open_ones = [j for j in open_ones if j not in near]
            front += near
        found.append(sorted(block))
    return found


def _local(members: Sequence[Sequence[int]]) -> list[list[int]]:
    """Places within the block: the members' causes follow one another."""
    ends = np.cumsum([0, *(len(m) for m in members)])
    return [list(range(a, b)) for a, b in pairwise(ends)]


def _check(weights: Array, covariance: Array, players: Sequence[Sequence[int]]) -> None:
    p = len(weights)
    if covariance.shape != (p, p) or not np.isfinite(covariance).all() or not np.isfinite(weights).all():
        raise SpecificationError(f"shapley: expected a finite covariance of {p} x {p}, got {covariance.shape}.")
    given = sorted(i for player in players for i in player)
    if given != list(range(p)):
        raise SpecificationError(f"shapley: groups must hold each of 0 ... {p - 1} once, got {given}.")
