"""Can coefficients meet the data themselves, not only the discrepancy inferred from them? In one fit to all batches.

All weights of the regressor are free, each with a ridge prior at its regressed value, but not where features were
centered and scaled, nor the points of a kernel: these say the same once more, or are data. A prior's deviation is such
that all weights together, each by its own, move the discrepancy over the data by as much as the regression missed it.
The domain, within which the data lie by its making, is put aside meanwhile: it costs more than the model itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np

from titer.estimation.estimate import estimate
from titer.estimation.experiment import Experiment
from titer.estimation.learning.discrepancy import Discrepancy
from titer.estimation.learning.regression import table_of
from titer.flowsheets import Correction, Flowsheet, Free, LearnedTerm
from titer.flowsheets.corrections.applying import learned
from titer.flowsheets.corrections.coefficients import HELD_IN
from titer.flowsheets.corrections.kernels import KernelSum
from titer.flowsheets.corrections.layers import Affine, Chain, Layer
from titer.numerics.errors import SolveError
from titer.numerics.grid import Grid

Array = np.ndarray
_STEP = 1e-5  # relative step of differences in a coefficient
_IDLE = 1e-9  # of the largest effect: a coefficient that does less is held
_FARTHEST = 6.0  # deviations of the prior
_KEPT = 0.9  # of its size: so far a coefficient that does not act linearly may move, so that it keeps its sign


def refined(
    plant: Flowsheet,
    batches: Sequence[Experiment],
    correction: Correction,
    found: Discrepancy,
    grid: Grid | None = None,
) -> Correction:
    """The correction with coefficients estimated from the batches, priors sized by a discrepancy. Raises SolveError."""
    bare = Correction(*(replace(term, domain=None) for term in correction.terms))
    better = plant.corrected(bare)
    free: dict[str, Free] = {}
    for term in correction.terms:
        free |= _free(term, found)
    try:
        fit = estimate(better, list(batches), free, grid or Grid(), starts=1)
    except SolveError as error:
        raise SolveError(f"learn: the coefficients could not be refined: {error}", error.solution) from None
    after = learned(better.with_values(fit.values))
    assert after is not None
    terms = (replace(new, domain=old.domain) for new, old in zip(after.terms, correction.terms, strict=True))
    return Correction(*terms, about=correction.about)


def _free(term: LearnedTerm, found: Discrepancy) -> dict[str, Free]:
    X, y, variance = table_of(found.of(term.on), found)
    c = term.model.coefficients
    missed = float(np.sqrt(np.average((term.model.predict(X) - y) ** 2, weights=1.0 / variance)))
    missed = max(missed, float(np.sqrt(1.0 / np.mean(1.0 / variance))))
    weights = _weights(term.model.mean)
    effects, straight = _effects(term, X, weights)
    moving = np.flatnonzero(effects > _IDLE * effects.max(initial=0.0))
    free = {}
    for j in moving:
        spread = missed / effects[j] / np.sqrt(len(moving))
        reach = _FARTHEST * spread if straight[j] else min(_FARTHEST * spread, _KEPT * abs(c[j]))
        if reach > 0.0:
            name = f"{term.unit}.{HELD_IN}.{term.key}[{j}]"
            free[name] = Free(float(c[j]), float(c[j] - reach), float(c[j] + reach), prior=(float(c[j]), float(spread)))
    return free


def _weights(layer: Layer) -> list[int]:
    """Positions of coefficients that are weights."""
    if isinstance(layer, Chain):
        edges = accumulate((inner.count for inner in layer.layers), initial=0)
        return [begin + j for inner, begin in zip(layer.layers, edges, strict=False) for j in _weights(inner)]
    if isinstance(layer, KernelSum):
        return list(range(layer.count - layer.results * (layer.points + 1), layer.count))
    return list(range(layer.count)) if isinstance(layer, Affine) else []


def _effects(term: LearnedTerm, X: Array, weights: Sequence[int]) -> tuple[Array, Array]:
    """By how much the predictions change with each weight (root mean square), and whether in a straight line."""
    c = term.model.coefficients
    plain = term.model.predict(X)
    effects, straight = np.zeros(len(c)), np.zeros(len(c), dtype=bool)
    for j in weights:
        step = _STEP * max(abs(c[j]), 1.0)
        ahead, back = (_moved(term, j, h).model.predict(X) for h in (step, -step))
        effects[j] = np.sqrt((((ahead - back) / (2.0 * step)) ** 2).mean())
        bend = np.sqrt(((ahead - 2.0 * plain + back) ** 2).mean())
        straight[j] = bend <= 1e-8 * max(effects[j] * step, 1e-300) + 1e-13 * np.abs(plain).max()
    return effects, straight


def _moved(term: LearnedTerm, j: int, step: float) -> LearnedTerm:
    numbers = term.model.coefficients.copy()
    numbers[j] += step
    return replace(term, model=replace(term.model, coefficients=numbers))


__all__ = ["refined"]
