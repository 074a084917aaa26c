"""What do measurements tell of a target, draw by draw? Innovations, what each moves the target by, and what is left.

Where every measured node's causes are measured too, without error, an innovation is the source V_k itself, and moves
the target by its total effect: X_n = mu_n + sum_i gamma_in V_i, with the known V_k in the sum and the others in the
variance. That takes a walk along the edges. Otherwise the joint covariance is factorized, and where that is singular
the measurements are taken one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titer.analysis.networks.algebra import SINGULAR, Parameters, absorb, covariance, influence

Array = np.ndarray
_WELL = 3.0  # times the deviation that is rounding, above which a joint covariance counts as regular


@dataclass(frozen=True, eq=False)
class Told:
    """Mean and deviation of the target (draws,) given m measurements; their innovations, the deviations expected of
    these, and what each moves the target by (draws, m)."""

    mean: Array
    deviation: Array
    innovations: Array
    expected: Array
    moves: Array


def told(
    parameters: Parameters, target: int, places: Array, values: Array, errors: Array, names: tuple[str, ...]
) -> list[Told]:
    """What measurements (m,) tell of a node, in portions of the draws; they are in the graph's order."""
    if _closed(parameters, places, errors):
        return [_walked(parameters, target, places, values)]
    chosen = np.array([*places, target])
    return [
        _factorized(part.mean[:, chosen], covariance(part, chosen), values, errors, names)
        for part in parameters.chunks()
    ]


def _closed(parameters: Parameters, places: Array, errors: Array) -> bool:
    """Whether all causes of measured nodes are measured, correlated groups as a whole or not at all, and nothing of it
    is certain beforehand, which a measurement might contradict."""
    graph, ends = parameters.graph, parameters.graph.ends
    inside = np.zeros(len(graph), dtype=bool)
    inside[places] = True
    return (
        not errors.any()
        and bool(np.all(inside[ends[:, 0]] | ~inside[ends[:, 1]]))
        and bool(np.all(parameters.deviations[:, places] > 0.0))
        and all(inside[group].all() or not inside[group].any() for group in graph.groups)
        and all(_regular(block) for block in parameters.blocks)
    )


def _regular(block: Array) -> bool:
    return bool(np.all(np.linalg.eigvalsh(block)[:, 0] > SINGULAR * np.trace(block, axis1=1, axis2=2)))


def _walked(parameters: Parameters, target: int, places: Array, values: Array) -> Told:
    graph, ends = parameters.graph, parameters.graph.ends
    inside = np.zeros(len(graph), dtype=bool)
    inside[places] = True
    gamma = influence(parameters, target)
    off = np.zeros_like(parameters.mean)
    off[:, places] = values - parameters.mean[:, places]
    source = off.copy()
    for e in np.flatnonzero(inside[ends[:, 1]]):
        source[:, ends[e, 1]] -= parameters.coefficients[:, e] * off[:, ends[e, 0]]
    expected, moves = parameters.deviations.copy(), gamma * source
    variance = np.where(inside, 0.0, (gamma * parameters.deviations) ** 2)
    for group, block in zip(graph.groups, parameters.blocks, strict=True):
        factor = np.linalg.cholesky(block)
        carried = np.einsum("sg,sgh->sh", gamma[:, group], factor)
        if inside[group[0]]:
            scores = np.linalg.solve(factor, source[:, group, None])[..., 0]
            expected[:, group] = np.diagonal(factor, axis1=1, axis2=2)
            source[:, group], moves[:, group] = scores * expected[:, group], scores * carried
        else:
            variance[:, group] = carried**2
    moved = moves[:, places]
    mean = parameters.mean[:, target] + moved.sum(axis=1)
    return Told(mean, np.sqrt(variance.sum(axis=1)), source[:, places], expected[:, places], moved)


def _factorized(mean: Array, joint: Array, values: Array, errors: Array, names: tuple[str, ...]) -> Told:
    """Of variables with the target last, by a factor of their covariance."""
    m = len(values)
    noisy = joint.copy()
    noisy[:, np.arange(m), np.arange(m)] += errors**2
    size = np.sqrt(np.maximum(np.diagonal(noisy, axis1=1, axis2=2), 0.0))
    size = np.where(size > 0.0, size, 1.0)
    try:
        factor = np.linalg.cholesky(noisy / (size[:, :, None] * size[:, None, :]))
        regular = bool(np.diagonal(factor, axis1=1, axis2=2).min() > np.sqrt(SINGULAR) * _WELL)
    except np.linalg.LinAlgError:
        regular = False
    if not regular:
        after = absorb(mean, joint, np.arange(m), values, errors, names)
        spread = np.sqrt(np.maximum(after.covariance[:, m, m], 0.0))
        return Told(after.mean[:, m], spread, after.innovations, after.deviations, after.moves[..., m])
    off = (values - mean[:, :m]) / size[:, :m]
    scores = np.linalg.solve(factor[:, :m, :m], off[..., None])[..., 0]
    expected = np.diagonal(factor, axis1=1, axis2=2) * size
    moves = factor[:, m, :m] * size[:, m:] * scores
    return Told(mean[:, m] + moves.sum(axis=1), expected[:, m], scores * expected[:, :m], expected[:, :m], moves)
