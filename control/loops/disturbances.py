"""What goes wrong in the plant itself? Steps, ramps and random walks of its parameters and inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.control.loops.checks import check_number
from titer.control.loops.sensors import Chance
from titer.control.loops.tracks import added
from titer.flowsheets.declarations import Control, Parameter
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.given import kind_of
from titer.flowsheets.signals import Signal
from titer.numerics.errors import SpecificationError, unknown


@dataclass(frozen=True, kw_only=True)
class Disturbance(ABC):
    """What all disturbances share: the parameter or control `name` that departs from what it should be.

    Values are in its declared unit, times in the flowsheet's. A manipulated control departs from where its actuator
    stands, unseen by the controller. A parameter moves in steps, one for each sampling interval.
    """

    name: str

    def __post_init__(self) -> None:
        what = type(self).__name__
        if not isinstance(self.name, str):
            raise SpecificationError(
                f"{what}: name is that of a parameter or control, such as reactor.UA_V, got {self.name!r}."
            )
        for key, value in vars(self).items():
            if key != "name":
                check_number(value, f"{what} of {self.name}: {key}", endless=key == "end")

    @abstractmethod
    def departure(self, grid: np.ndarray, chance: np.random.Generator) -> Signal:
        """What is added over time, from 0 on; `grid` (n,): the times of a regular sampling."""

    def described(self) -> str:
        """What happens, as a line of a log."""
        own = {key: value for key, value in vars(self).items() if key != "name"}
        return " ".join([type(self).__name__.lower(), *(f"{key} {value:g}" for key, value in own.items())])


@dataclass(frozen=True, kw_only=True)
class Step(Disturbance):
    """It is higher `by` a constant, from `start` to `end`."""

    by: float
    start: float = 0.0
    end: float = np.inf

    def departure(self, grid: np.ndarray, chance: np.random.Generator) -> Signal:
        points = [(0.0, 0.0)] if self.start > 0.0 else []
        points += [(max(self.start, 0.0), self.by)]
        points += [(self.end, 0.0)] if np.isfinite(self.end) else []
        times, values = np.array(points).T
        return Signal(times, values, values)


@dataclass(frozen=True, kw_only=True)
class Ramp(Disturbance):
    """It rises `by` so much between `start` and `end`, on a straight line, and stays there."""

    by: float
    start: float
    end: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.start < self.end < np.inf:
            raise SpecificationError(f"Ramp of {self.name}: expected 0 <= start < end, both finite.")

    def departure(self, grid: np.ndarray, chance: np.random.Generator) -> Signal:
        times, left, right = [self.start, self.end], [0.0, self.by], [self.by, self.by]
        if self.start > 0.0:
            times, left, right = [0.0, *times], [0.0, *left], [0.0, *right]
        return Signal(np.array(times), np.array(left), np.array(right))


@dataclass(frozen=True, kw_only=True)
class Walk(Disturbance):
    """It walks at random from 0: steps are normal, of `deviation` per square root of time."""

    deviation: float

    def departure(self, grid: np.ndarray, chance: np.random.Generator) -> Signal:
        steps = self.deviation * np.sqrt(np.diff(grid)) * chance.standard_normal(len(grid) - 1)
        values = np.concatenate([[0.0], np.cumsum(steps)])
        return Signal(grid, values, values)


def departures(
    plant: Flowsheet, disturbances: Sequence[Disturbance], grid: np.ndarray, chance: Chance
) -> tuple[dict[str, Signal], dict[str, Signal]]:
    """What is added to inputs, and to parameters, by name. Raises SpecificationError."""
    inputs: dict[str, Signal] = {}
    parameters: dict[str, Signal] = {}
    for k, each in enumerate(disturbances):
        name = _checked(plant, each)
        signal = each.departure(grid, chance.of(f"disturbance {k} {name}"))
        parameter = kind_of(plant, name) == Parameter.kind
        group = parameters if parameter else inputs
        signal = _stairs(signal, grid) if parameter else signal
        group[name] = added(group[name], signal) if name in group else signal
    return inputs, parameters


def _checked(plant: Flowsheet, disturbance: Any) -> str:
    if not isinstance(disturbance, Disturbance):
        raise SpecificationError(f"disturbances: expected Step, Ramp or Walk, got {disturbance!r}.")
    kind = kind_of(plant, disturbance.name)
    if kind not in (Parameter.kind, Control.kind, "inlet"):
        known = [n for n, s in plant.scalars.items() if s.kind in (Parameter.kind, Control.kind)]
        what = unknown("parameter or control", disturbance.name, [*known, *plant.inlet_names])
        raise SpecificationError(f"disturbances: {what}")
    return str(disturbance.name)


def _stairs(signal: Signal, grid: np.ndarray) -> Signal:
    """A signal in steps: where it is steady as it is, where it moves its mean over each interval of the grid."""
    if np.array_equal(signal.left, signal.right):
        return signal
    edges = np.unique(np.concatenate([grid, signal.times]))
    middle = 0.5 * (edges + np.append(edges[1:], edges[-1] + 1.0))
    k = np.clip(np.searchsorted(signal.times, middle, side="right") - 1, 0, None)
    width = np.append(np.diff(signal.times), 1.0)[k]
    last = k == len(signal.times) - 1
    share = np.where(last, 0.0, (middle - signal.times[k]) / width)
    values = signal.left[k] + (signal.right[k] - signal.left[k]) * share
    return Signal(edges, values, values)
