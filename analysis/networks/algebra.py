"""How do variations travel? The linear algebra of a network, for one set of numbers or thousands of draws at once.

    x = mu + B' (x - mu) + V,   V ~ N(0, Q)     =>     x - mu = Gamma' V,  Gamma = (I - B)^-1,  Cov(x) = Gamma' Q Gamma

B[j, i] = beta_ji is the effect of cause j on i, Gamma[i, n] the total effect of the source V_i on X_n. Causes come
first, so that Gamma follows by recursion over nodes, without factorizing anything. Q is diagonal except for blocks of
correlated nodes without causes. Arrays have the draws on their first axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from titer.analysis.networks.graph import Graph
from titer.numerics.errors import SpecificationError

Array = np.ndarray
SINGULAR = 1e-12  # share of its own variance below which what is left of one is rounding
_CONTRADICTED = 1e-6  # of a node's deviation, by which what is certain may be missed by rounding
_NUMBERS = 4_000_000  # in one array of a chunk


@dataclass(frozen=True, eq=False)
class Parameters:
    """Numbers of a graph: mean (draws, nodes), coefficients (draws, edges), deviations of the sources (draws, nodes).

    `blocks`: covariances (draws, g, g) of the correlated groups, whose diagonals repeat the squared deviations.
    """

    graph: Graph
    mean: Array
    coefficients: Array
    deviations: Array
    blocks: tuple[Array, ...]

    def __len__(self) -> int:
        return len(self.mean)

    def __getitem__(self, rows: slice) -> Parameters:
        return replace(
            self,
            mean=self.mean[rows],
            coefficients=self.coefficients[rows],
            deviations=self.deviations[rows],
            blocks=tuple(b[rows] for b in self.blocks),
        )

    def chunks(self) -> Iterator[Parameters]:
        """The draws in portions whose covariances fit in memory."""
        step = max(1, _NUMBERS // len(self.graph) ** 2)
        for start in range(0, len(self), step):
            yield self[start : start + step]


def influence(parameters: Parameters, target: int) -> Array:
    """The total effect of every source on one node, (draws, nodes): a column of Gamma, found backwards."""
    graph = parameters.graph
    found = np.zeros((len(parameters), len(graph)))
    found[:, target] = 1.0
    for e in range(len(graph.edges) - 1, -1, -1):  # edges are sorted by effect: the last effect is settled first
        cause, effect = graph.ends[e]
        found[:, cause] += parameters.coefficients[:, e] * found[:, effect]
    return found


def effects(parameters: Parameters) -> Array:
    """Gamma, (draws, nodes, nodes): of the source in the row on the node in the column."""
    graph = parameters.graph
    found = np.zeros((len(parameters), len(graph), len(graph)))
    found[:] = np.eye(len(graph))
    for e, (cause, effect) in enumerate(graph.ends):
        found[:, :, effect] += found[:, :, cause] * parameters.coefficients[:, e, None]
    return found


def noise(parameters: Parameters) -> Array:
    """Q, the covariance of the sources, (draws, nodes, nodes)."""
    d = len(parameters.graph)
    found = np.zeros((len(parameters), d, d))
    found[:, np.arange(d), np.arange(d)] = parameters.deviations**2
    for group, block in zip(parameters.graph.groups, parameters.blocks, strict=True):
        found[:, group[:, None], group[None, :]] = block
    return found


def covariance(parameters: Parameters, places: Array | None = None) -> Array:
    """Of all nodes, (draws, nodes, nodes), or of some (draws, m, m)."""
    total = effects(parameters)
    total = total if places is None else total[:, :, places]
    carried = total * (parameters.deviations**2)[:, :, None]
    for group, block in zip(parameters.graph.groups, parameters.blocks, strict=True):
        carried[:, group] = block @ total[:, group]
    found = np.swapaxes(total, 1, 2) @ carried
    return 0.5 * (found + np.swapaxes(found, 1, 2))


def triangular(covariances: Array) -> Array:
    """Lower triangular factors (n, p, p) of covariances, which may be singular."""
    p = covariances.shape[1]
    left, factor = covariances.copy(), np.zeros_like(covariances)
    floor = SINGULAR * np.diagonal(covariances, axis1=1, axis2=2)
    for k in range(p):
        pivot = left[:, k, k]
        open_ = pivot > floor[:, k]
        column = np.where(open_[:, None], left[:, :, k] / np.sqrt(np.where(open_, pivot, 1.0))[:, None], 0.0)
        column[:, :k] = 0.0
        factor[:, :, k] = column
        left -= column[:, :, None] * column[:, None, :]
    return factor


@dataclass(frozen=True, eq=False)
class Absorbed:
    """What measurements did, one after the other: per measurement (draws, m) its innovation (measured less expected,
    given those before), its standard deviation (0: it was certain already), and what it moved each node by
    (draws, m, nodes); the mean and covariance that are left."""

    innovations: Array
    deviations: Array
    moves: Array
    mean: Array
    covariance: Array


def absorb(
    mean: Array, covariance: Array, places: Array, values: Array, errors: Array, names: tuple[str, ...]
) -> Absorbed:
    """Condition normal variables, mean (draws, d) and covariance (draws, d, d), on measurements of some, in order.

    `places`, `values`, `errors` (m,): which, how much, and the standard deviations of the measurements themselves.
    Raises SpecificationError where a measurement contradicts what is certain. Exact: a scalar Kalman update each.
    """
    mean, left = mean.copy(), covariance.copy()
    own = np.sqrt(np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 0.0))
    m, (draws, d) = len(places), mean.shape
    innovations, deviations, moves = np.zeros((draws, m)), np.zeros((draws, m)), np.zeros((draws, m, d))
    for k, (i, value, error) in enumerate(zip(places, values, errors, strict=True)):
        spread = left[:, i, i] + error**2
        known = spread <= SINGULAR * (own[:, i] ** 2 + error**2)
        e = value - mean[:, i]
        if np.any(known & (np.abs(e) > _CONTRADICTED * (own[:, i] + np.abs(value)))):
            raise SpecificationError(
                f"{names[k]} was measured as {value:g}, but is certain to be {float(mean[np.argmax(known), i]):g}: its "
                "variation is zero given the others.\n  State the error of the measurement, or give the node variation."
            )
        column = np.where(known[:, None], 0.0, left[:, :, i])
        gain = column / np.where(known, 1.0, spread)[:, None]
        moves[:, k] = gain * e[:, None]
        innovations[:, k], deviations[:, k] = e, np.sqrt(np.where(known, 0.0, spread))
        mean += moves[:, k]
        left -= gain[:, :, None] * column[:, None, :]
    certain = np.diagonal(left, axis1=1, axis2=2) <= SINGULAR * own**2  # rounding, not to be measured again
    left[certain[:, :, None] | certain[:, None, :]] = 0.0
    return Absorbed(innovations, deviations, moves, mean, left)
