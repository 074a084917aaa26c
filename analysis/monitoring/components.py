"""Does a batch vary as the normal ones do, and only so? Principal components of unfolded batches, stage after stage.

Batches are unfolded (a row a batch, columns all measurements so far) and scaled to unit variance; at every stage the
components of what is known by then are compared (evolving models), so that nothing must be guessed of what is to come.
T2 = sum t_a^2 / lambda_a tells an unusual size of usual variations; SPE, the squared residual of the stage's own
measurements, variations that the normal batches do not have. Needs no graph, but more batches than `learned_monitor`.
Sources: Nomikos & MacGregor, Technometrics 37 (1995) 41; evolving models: Rannar, MacGregor & Wold, Chemometrics and
Intelligent Laboratory Systems 41 (1998) 73; contributions: Westerhuis, Gurden & Smilde, ibid. 51 (2000) 95.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from titer.analysis.monitoring.layout import Layout, layout_of
from titer.analysis.monitoring.limits import box, hotelling_limit, hotelling_probability
from titer.analysis.monitoring.monitor import Monitor, Statistic, check_rate
from titer.analysis.networks.graph import shown
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import is_whole

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
_FOLDS = 10  # in which normal batches are left out, to see statistics of batches that the model does not know


class Limits(Enum):
    """Where the level of a component monitor comes from."""

    THEORY = "theory"  # the rate over the number of statistics and stages (Bonferroni), from F and g chi2(h)
    EMPIRICAL = "empirical"  # the normal batches themselves, left out in turn: needs 1 / rate of them at least


@dataclass(frozen=True, eq=False)
class Plane:
    """The components at a stage: `columns` known by then, `loadings` (columns, A), `variances` (A,) of their scores,
    `rest` the mean squared residual of a column, `own`: which of the columns are of this stage."""

    columns: Array
    loadings: Array
    variances: Array
    rest: float
    own: Array

    def scores(self, scaled: Array) -> Array:
        """Scores (n, A) of scaled values (n, columns); where some are missing, expected from the others."""
        there = np.isfinite(scaled)
        found = np.nan_to_num(scaled) @ self.loadings
        for row in np.flatnonzero(~there.all(axis=1)):
            known = self.loadings[there[row]]
            precision = known.T @ known + np.diag(max(self.rest, 1e-12) / self.variances)
            found[row] = np.linalg.solve(precision, known.T @ scaled[row, there[row]])
        return found


@dataclass(frozen=True, eq=False)
class ComponentMonitor(Monitor):
    """A monitor by principal components; `spread` (stages, 2): g and h of the SPE's distribution g chi2(h)."""

    layout: Layout
    rate: float
    level: float
    center: Array
    scale: Array
    count: int
    planes: tuple[Plane, ...]
    spread: Array

    def __repr__(self) -> str:
        sizes = [len(p.variances) for p in self.planes]
        return f"component monitor: {self.count} normal batches, {min(sizes)} to {max(sizes)} components"

    def departures(self, values: Array) -> Array:
        found: Array = (values - self.center) / self.scale
        return found

    def statistics(self, values: Array) -> tuple[Statistic, ...]:
        t2, spe = _measured(self.planes, self.departures(values))
        sizes = np.array([len(p.variances) for p in self.planes])
        return (_of_t2(t2, sizes, self.count, self.level), _of_spe(spe, self.spread, self.level))

    def contributions(self, values: Array) -> dict[str, Array]:
        scaled = self.departures(values)
        shape = (len(values), len(self.planes), scaled.shape[1])
        t2, spe = np.zeros(shape), np.zeros(shape)
        for k, plane in enumerate(self.planes):
            here = scaled[:, plane.columns]
            there = np.isfinite(here)
            scores = plane.scores(here)
            filled = np.where(there, here, scores @ plane.loadings.T)
            back = (scores / plane.variances) @ plane.loadings.T
            t2[:, k, plane.columns] = np.where(there.all(axis=1)[:, None], filled * back, 0.0)
            spe[:, k, plane.columns] = np.where(there & plane.own, (filled - scores @ plane.loadings.T) ** 2, 0.0)
        return {"T2": t2, "SPE": spe}


def component_monitor(
    batches: pd.DataFrame,
    components: int | None = None,
    explained: float = 0.8,
    rate: float = 0.01,
    limits: Limits = Limits.THEORY,
    time: str = "",
) -> ComponentMonitor:
    """Watch batches against finished normal ones by principal components: `component_monitor(frame, components=3)`.

    `batches`: a row each, columns by (variable, stage), complete. `components`: how many, at most; by default as many
    at each stage as explain a share `explained` of the variance. `rate`: share of normal batches that raise any alarm.
    Raises SpecificationError for missing values, constant columns, too few batches.
    """
    check_rate("component_monitor", rate)
    layout = layout_of(batches, time)
    values = layout.values(batches)
    _check(layout, values, components, explained, rate, limits)
    center, scale = values.mean(axis=0), values.std(axis=0, ddof=1)
    planes = _planes(layout, (values - center) / scale, components, explained)
    t2, spe, sizes = _left_out(layout, values, components, explained)
    spread = np.array(
        [box(m, v) if m > 0.0 else (0.0, 1.0) for m, v in zip(spe.mean(axis=0), spe.var(axis=0), strict=True)]
    )
    if limits is Limits.THEORY:
        level = rate / (2.0 * len(layout.stages))
    else:
        count = len(values) - -(-len(values) // _FOLDS)
        parts = (_of_t2(t2, sizes, count, 0.5), _of_spe(spe, spread, 0.5))
        level = float(np.quantile(np.min([p.probabilities.min(axis=1) for p in parts], axis=0), rate))
    return ComponentMonitor(layout, rate, level, center, scale, len(values), planes, spread)


def _planes(layout: Layout, scaled: Array, components: int | None, explained: float) -> tuple[Plane, ...]:
    n, found = len(scaled), []
    for k in range(len(layout.stages)):
        columns = np.flatnonzero(layout.stage_of <= k)
        values, vectors = np.linalg.eigh(scaled[:, columns].T @ scaled[:, columns] / (n - 1))
        variances, right = np.maximum(values[::-1], 0.0), vectors[:, ::-1].T
        most = max(1, min(len(columns) - 1, n - 2))
        wanted = int(np.searchsorted(np.cumsum(variances) / variances.sum(), explained)) + 1
        size = min(most, wanted if components is None else components)
        rest = variances[size:].sum() / len(columns)
        own = layout.stage_of[columns] == k
        found.append(Plane(columns, right[:size].T, variances[:size], float(rest), own))
    return tuple(found)


def _measured(planes: tuple[Plane, ...], scaled: Array) -> tuple[Array, Array]:
    """T2 and SPE (n, stages) of scaled values (n, columns); NaN at stages where nothing was measured."""
    t2, spe = (np.full((len(scaled), len(planes)), np.nan) for _ in range(2))
    for k, plane in enumerate(planes):
        here = scaled[:, plane.columns]
        seen = (np.isfinite(here) & plane.own).any(axis=1)
        scores = plane.scores(here)
        residual = np.where(plane.own, here - scores @ plane.loadings.T, 0.0)
        t2[seen, k] = (scores**2 / plane.variances).sum(axis=1)[seen]
        spe[seen, k] = np.nansum(residual**2, axis=1)[seen]
    return t2, spe


def _left_out(layout: Layout, values: Array, components: int | None, explained: float) -> tuple[Array, Array, Array]:
    """T2 and SPE (n, stages) of each normal batch by planes of the others, and the sizes of the planes (n, stages)."""
    n, stages = len(values), len(layout.stages)
    t2, spe, sizes = np.zeros((n, stages)), np.zeros((n, stages)), np.zeros((n, stages), dtype=int)
    for fold in range(min(_FOLDS, n)):
        out = np.arange(n) % min(_FOLDS, n) == fold
        center, scale = values[~out].mean(axis=0), values[~out].std(axis=0, ddof=1)
        planes = _planes(layout, (values[~out] - center) / scale, components, explained)
        t2[out], spe[out] = _measured(planes, (values[out] - center) / scale)
        sizes[out] = [len(p.variances) for p in planes]
    return t2, spe, sizes


def _of_t2(t2: Array, sizes: Array, count: int, level: float) -> Statistic:
    there = np.isfinite(t2)
    probabilities = np.where(there, hotelling_probability(np.nan_to_num(t2), sizes, count), 1.0)
    limits = np.where(there, hotelling_limit(level, sizes, count), np.nan)
    return Statistic("T2", t2, probabilities, limits)


def _of_spe(spe: Array, spread: Array, level: float) -> Statistic:
    from scipy.stats import chi2

    g, h = spread.T
    there = np.isfinite(spe) & (g > 0.0)
    size = np.where(g > 0.0, g, 1.0)
    probabilities = np.where(there, chi2.sf(np.nan_to_num(spe) / size, h), 1.0)
    return Statistic("SPE", spe, probabilities, np.where(there, size * chi2.isf(level, h), np.nan))


def _check(
    layout: Layout, values: Array, components: int | None, explained: float, rate: float, limits: Limits
) -> None:
    if components is not None and not is_whole(components, 1):
        raise SpecificationError(f"component_monitor: components must be a whole number from 1, got {components!r}.")
    if not 0.0 < explained < 1.0:
        raise SpecificationError(f"component_monitor: explained must be between 0 and 1, got {explained!r}.")
    missing = np.isnan(values).any(axis=0)
    if missing.any():
        names = ", ".join(shown(layout.addresses[i]) for i in np.flatnonzero(missing))
        raise SpecificationError(
            f"component_monitor: the normal batches lack values of {names}.\n"
            "  Leave these columns or batches out, or use learned_monitor with a graph, which takes holes."
        )
    if len(values) < 10:
        raise SpecificationError(f"component_monitor: expected at least 10 normal batches, got {len(values)}.")
    flat = np.ptp(values, axis=0) <= 1e-12 * np.abs(values).max(axis=0)
    if flat.any():
        name = shown(layout.addresses[int(np.argmax(flat))])
        raise SpecificationError(f"component_monitor: {name} is constant in the normal batches; leave the column out.")
    if limits is Limits.EMPIRICAL and len(values) * rate < 1.0:
        raise SpecificationError(
            f"component_monitor: an empirical limit at a rate of {rate:g} needs at least {int(np.ceil(1.0 / rate))} "
            f"normal batches, got {len(values)}; use Limits.THEORY."
        )
