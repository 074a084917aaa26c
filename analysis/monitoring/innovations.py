"""Does each measurement follow from those before it as it should? Innovations of a network, for monitoring.

The innovation of a measurement is what the ones before it did not tell. Divided by its deviation it is standard normal
and independent of all others while all is normal. From a network that was fitted to n batches, the ratio of a node's
residual to its standard error, the new batch's leverage included, has Student's t distribution with n less the number
of its coefficients degrees of freedom, whatever its causes are; its normal score is again exactly standard normal and
independent. Alarms are thus calibrated exactly however few the normal batches, if the edges are right and the noise is
normal.

Two statistics: T2, the sum of squares at a stage (chi-square), quick to see a jump; and `memory`, the same of
exponentially weighted averages along each variable, quick to see a drift (Lowry, Woodall, Champ & Rigdon,
Technometrics 34 (1992) 46).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from titer.analysis.monitoring.layout import Layout
from titer.analysis.monitoring.monitor import Monitor, Statistic, check_rate
from titer.analysis.monitoring.normal import Drawn, Known, Learned, known, learned
from titer.analysis.networks.draws import Draws
from titer.analysis.networks.graph import Address, Graph
from titer.analysis.networks.network import Network
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
_SIMULATED = 40_000  # normal batches from which the level is found: the rate is met to 5 % of itself at 1 %


@dataclass(frozen=True, eq=False)
class InnovationMonitor(Monitor):
    """A monitor by innovations of a network; `weight` of the newest innovation in the averages of `memory`."""

    normal: Known | Learned | Drawn
    layout: Layout
    rate: float
    level: float
    weight: float

    def __repr__(self) -> str:
        return f"innovation monitor: {len(self.layout.addresses)} measurements, {100 * self.rate:g} % false alarms"

    def departures(self, values: Array) -> Array:
        return self.normal.scores(values)

    def statistics(self, values: Array) -> tuple[Statistic, ...]:
        return _statistics(self.layout, self.departures(values), self.weight, self.level)

    def contributions(self, values: Array) -> dict[str, Array]:
        scores = self.departures(values)
        here = self.layout.stage_of == np.arange(len(self.layout.stages))[:, None]  # (stages, columns)
        parts = {
            "T2": np.nan_to_num(scores**2),
            "memory": np.nan_to_num(_averaged(self.layout, scores, self.weight) ** 2),
        }
        return {name: part[:, None, :] * here for name, part in parts.items()}


def innovation_monitor(network: Network, rate: float = 0.01, weight: float = 0.3, seed: int = 0) -> InnovationMonitor:
    """Watch batches against a network whose numbers are taken as right: `innovation_monitor(net)`.

    `rate`: share of normal batches that raise any alarm; the level for it is found from 40 000 simulated ones (`seed`).
    Missing measurements are expected from the others. Raises SpecificationError.
    """
    return _monitor(known(network), network.graph, rate, weight, seed)


def learned_monitor(
    graph: Graph, batches: pd.DataFrame, rate: float = 0.01, weight: float = 0.3, seed: int = 0
) -> InnovationMonitor:
    """Watch batches against finished normal ones, by the causes of a graph: `learned_monitor(graph, frame)`.

    Every node is regressed on its causes in the batches that measure it and all of them; a measurement whose causes are
    missing in a new batch is passed over. Other arguments as in `innovation_monitor`. Raises SpecificationError, also
    for a node with fewer such batches than its causes and two.
    """
    return _monitor(learned(graph, batches), graph, rate, weight, seed)


def posterior_monitor(draws: Draws, rate: float = 0.01, weight: float = 0.3, seed: int = 0) -> InnovationMonitor:
    """Watch batches against the networks that agree with normal ones: `posterior_monitor(learn_network(graph, frame))`.

    As `learned_monitor`, but normal batches may have holes, and a prior by the mechanism makes it sharper where they
    are few; then alarms are calibrated as far as the mechanism is right. Other arguments as in `innovation_monitor`.
    """
    normal = Drawn(draws.parameters, np.zeros(len(draws.graph), dtype=bool))
    return _monitor(normal, draws.graph, rate, weight, seed)


def _monitor(normal: Known | Learned | Drawn, graph: Graph, rate: float, weight: float, seed: int) -> InnovationMonitor:
    check_rate("innovation monitor", rate)
    if not 0.0 < weight <= 1.0:
        raise SpecificationError(f"innovation monitor: weight must be above 0 and at most 1, got {weight!r}.")
    layout = Layout(tuple(n.address for n in graph.nodes), graph.time)
    level = _level(layout.addresses, tuple(normal.certain.tolist()), rate, weight, seed)
    return InnovationMonitor(normal, layout, rate, level, weight)


@lru_cache(maxsize=64)
def _level(addresses: tuple[Address, ...], certain: tuple[bool, ...], rate: float, weight: float, seed: int) -> float:
    """The probability that the least one of a normal batch, over stages and statistics, falls below at the rate."""
    scores = np.random.default_rng(seed).standard_normal((_SIMULATED, len(addresses)))
    scores[:, list(certain)] = np.nan
    found = _statistics(Layout(addresses), scores, weight, 0.5)
    return float(np.quantile(np.min([s.probabilities.min(axis=1) for s in found], axis=0), rate))


def _statistics(layout: Layout, scores: Array, weight: float, level: float) -> tuple[Statistic, ...]:
    from scipy.special import chdtrc, chdtri

    averaged = _averaged(layout, scores, weight)
    found = []
    for name, parts in (("T2", scores), ("memory", averaged)):
        sums = np.zeros((len(scores), len(layout.stages)))
        counts = np.zeros_like(sums)
        for k in range(len(layout.stages)):
            here = parts[:, layout.stage_of == k]
            sums[:, k], counts[:, k] = np.nansum(here**2, axis=1), np.isfinite(here).sum(axis=1)
        there = counts > 0
        freedom = np.where(there, counts, 1)
        found.append(
            Statistic(
                name,
                np.where(there, sums, np.nan),
                np.where(there, chdtrc(freedom, sums), 1.0),
                np.where(there, chdtri(freedom, level), np.nan),
            )
        )
    return tuple(found)


def _averaged(layout: Layout, scores: Array, weight: float) -> Array:
    """Exponentially weighted averages along each variable, each divided by its standard deviation, (n, columns)."""
    found = np.full_like(scores, np.nan)
    for v in range(len(layout.variables)):
        average, variance = np.zeros(len(scores)), np.zeros(len(scores))
        for i in np.flatnonzero(layout.variable_of == v):
            there = np.isfinite(scores[:, i])
            average = np.where(there, weight * np.nan_to_num(scores[:, i]) + (1.0 - weight) * average, average)
            variance = np.where(there, weight**2 + (1.0 - weight) ** 2 * variance, variance)
            found[there, i] = average[there] / np.sqrt(variance[there])
    return found
