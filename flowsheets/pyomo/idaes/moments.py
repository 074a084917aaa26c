"""What differs where a phase runs in real time? Its positions are times, and a rate is a slope as it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.flowsheets.pyomo.moments import Moments
from titer.flowsheets.pyomo.reading import PYOMO
from titer.numerics.segment import Profile


@dataclass(eq=False)
class FlowsheetMoments(Moments):
    """The equations of a phase of fixed duration at the times of an IDAES flowsheet, in the plant's unit of time.

    `start`: the recipe's time at which the phase begins. A slope is per unit of time as a plain number, in the unit of
    its state: so units stay consistent where Pyomo.DAE writes slopes as differences over plain times.
    """

    start: float = 0.0
    duration: float = 1.0

    def time(self, tau: float) -> Any:
        """The recipe's time."""
        return PYOMO.attach(self.start + super().position(tau), self.plan.plant.measure_of_time)

    def pace(self, tau: float) -> Any:
        """One unit of time per unit of time."""
        return PYOMO.attach(1.0, self.plan.plant.measure_of_time)

    def share(self, tau: float) -> Any:
        """How much of the phase is over."""
        return self.position(tau)

    def position(self, tau: float) -> float:
        """How much of the phase is over."""
        return super().position(tau) / self.duration

    def along(self, profile: Profile, values: np.ndarray, tau: float) -> float:
        """An input of a given shape at a time; where it jumps, the value before."""
        at = self.position(tau)
        k = int(np.clip(np.searchsorted(profile.edges, at - 1e-9) - 1, 0, len(profile.edges) - 2))
        left, right = values[int(profile.left[k])], values[int(profile.right[k])]
        return float(left + (right - left) * (at - profile.edges[k]) / (profile.edges[k + 1] - profile.edges[k]))


__all__ = ["FlowsheetMoments"]
