"""What becomes of a command? An actuator has limits, moves at its own speed, and reacts late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from titer.control.loops.faults import Stuck
from titer.control.loops.tracks import at, commanded, mean, since, steady
from titer.flowsheets.declarations import Control
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.given import kind_of
from titer.flowsheets.operation import middle
from titer.flowsheets.signals import Signal, finite, in_unit
from titer.numerics.errors import SpecificationError, unknown


@dataclass(frozen=True)
class Actuator:
    """What stands between a command and the plant: `Actuator(lower=300.0, upper=360.0, rate=0.2, dead_time=5.0)`.

    `lower`, `upper`: limits (default: the control's declared bounds); `rate`: the largest change per time; `dead_time`:
    from a command to the first movement; `start`: where it stands when the recipe begins (default: the control's
    declared start). In the control's unit and the flowsheet's time.
    """

    lower: Any = None
    upper: Any = None
    rate: float = np.inf
    dead_time: float = 0.0
    start: Any = None

    def __post_init__(self) -> None:
        if not self.rate > 0.0:
            raise SpecificationError(f"Actuator: rate must be positive, got {self.rate!r}.")
        if not 0.0 <= self.dead_time < np.inf:
            raise SpecificationError(
                f"Actuator: dead_time must be a finite number of at least 0, got {self.dead_time!r}."
            )


@dataclass(frozen=True, eq=False)
class Position:
    """Where an actuator stands over time, as far as it has been told; limits in the control's unit. `stuck`: windows of
    time in which it does not move."""

    signal: Signal
    lower: float
    upper: float
    rate: float
    dead_time: float
    stuck: tuple[tuple[float, float], ...] = ()

    def told(self, t: float, target: float) -> Position:
        """The same after a command at a time; what was commanded for later is forgotten."""
        reach = float(np.clip(target, self.lower, self.upper))
        arrives = t + self.dead_time
        for a, b in self.stuck:
            arrives = b if a <= arrives < b else arrives
        signal = commanded(self.signal, arrives, reach, self.rate) if np.isfinite(arrives) else self.signal
        for a, b in self.stuck:
            if a > arrives:
                signal = commanded(signal, a, at(signal, a), np.inf)
                signal = commanded(signal, b, reach, self.rate) if np.isfinite(b) else signal
        return replace(self, signal=signal)

    def stopped(self, t: float) -> Position:
        """The same, held where it stands once a command of now arrives."""
        return self.told(t, at(self.signal, t + self.dead_time))

    def held(self, a: float, b: float) -> float:
        """The mean position over a stretch of time."""
        return mean(self.signal, a, b)

    def since(self, t: float) -> Position:
        """The same without what was long ago."""
        return replace(self, signal=since(self.signal, t))


def positions_of(
    plant: Flowsheet, manipulated: Sequence[str], actuators: Mapping[str, Any], stuck: Sequence[Stuck] = ()
) -> dict[str, Position]:
    """Every manipulated input at its start. Raises SpecificationError."""
    given = by_element(actuators, "actuators")
    for name, actuator in given.items():
        if name not in manipulated:
            raise SpecificationError(f"actuators: {unknown('manipulated control', name, manipulated)}")
        if not isinstance(actuator, Actuator):
            raise SpecificationError(f"actuators: {name} needs an Actuator(...), got {actuator!r}.")
    for fault in stuck:
        if fault.control not in manipulated:
            raise SpecificationError(f"faults: {unknown('manipulated control', fault.control, manipulated)}")
    windows = {
        name: tuple(sorted((float(f.start), float(f.end)) for f in stuck if f.control == name)) for name in manipulated
    }
    return {
        name: replace(_position(plant, name, given.get(name, Actuator())), stuck=windows[name]) for name in manipulated
    }


def _position(plant: Flowsheet, name: str, actuator: Actuator) -> Position:
    kind = kind_of(plant, name)
    if kind not in (Control.kind, "inlet"):
        known = [n for n, s in plant.scalars.items() if s.kind == Control.kind]
        what = unknown("control", name, known) if kind is None else f"{name} is a {kind}, not a control."
        raise SpecificationError(f"close_loop: the controller sets {name}, and in the truth {what}")
    measure, scalar = plant.measures[name], plant.scalars.get(name)
    declared = (-np.inf, np.inf) if scalar is None else (scalar.lower, scalar.upper)
    lower, upper = (
        otherwise if bound is None else in_unit(bound, measure, f"actuators: {name}")
        for bound, otherwise in zip((actuator.lower, actuator.upper), declared, strict=True)
    )
    if not lower <= upper:
        raise SpecificationError(f"actuators: {name}: the limits are reversed: [{lower:g}, {upper:g}] {measure.label}.")
    if actuator.start is not None:
        start = finite(actuator.start, measure, f"actuators: the start of {name}")
    else:
        start = scalar.start if scalar is not None and np.isfinite(scalar.start) else middle(lower, upper)
    return Position(steady(float(np.clip(start, lower, upper))), lower, upper, actuator.rate, actuator.dead_time)
