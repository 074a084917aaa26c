"""What is a monitor? Statistics of a batch at every stage, the probability of larger ones when all is normal, and a
level.

A batch raises an alarm at a stage where the probability of any statistic falls below the level. The level is set so
that a stated share of normal batches raises any alarm at all, over all stages and statistics together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from titer.analysis.monitoring.layout import Layout
from titer.numerics.errors import SpecificationError

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Statistic:
    """A statistic of batches at the stages: `values` (batches, stages), NaN where nothing was measured; `probabilities`
    of larger values when all is normal (1 where nothing was measured); `limits` at the monitor's level."""

    name: str
    values: Array
    probabilities: Array
    limits: Array


class Monitor(ABC):
    """Watches batches against a normal set; `rate`: share of normal batches that raise any alarm."""

    layout: Layout
    rate: float
    level: float

    @abstractmethod
    def statistics(self, values: Array) -> tuple[Statistic, ...]:
        """The statistics of batches (n, columns), NaN where not measured (yet)."""

    @abstractmethod
    def contributions(self, values: Array) -> dict[str, Array]:
        """Of each statistic what each measurement adds to it, (n, stages, columns); they sum to it at every stage."""

    @abstractmethod
    def departures(self, values: Array) -> Array:
        """By how many standard deviations each measurement (n, columns) is off what was expected of it."""


def check_rate(what: str, rate: float) -> None:
    """Raise SpecificationError for a rate of false alarms that is none."""
    if isinstance(rate, bool) or not 0.0 < rate < 0.5:
        raise SpecificationError(f"{what}: rate must be the share of false alarms, between 0 and 0.5, got {rate!r}.")
