"""What does the controller get to see? The truth with noise, as long as its sensors are well; some of it late."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.control.loops.faults import Fault
from titer.estimation.estimators.sample import Quality, Sample, check_measured
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.signals import finite
from titer.numerics.errors import SpecificationError, unknown


@dataclass(frozen=True)
class Laboratory:
    """A sample is taken `every` so long, and its value arrives `delay` later, in the flowsheet's time.

    Samples are taken, and values handed on, when the controller samples next.
    """

    every: float
    delay: float = 0.0

    def __post_init__(self) -> None:
        if not (0.0 < self.every < np.inf and 0.0 <= self.delay < np.inf):
            raise SpecificationError(
                f"Laboratory: expected every > 0 and delay >= 0, got every={self.every!r}, delay={self.delay!r}."
            )

    def due(self, t: float, last: float | None, near: float) -> bool:
        """Whether a sample is to be taken now, the last one having been looked for at `last`."""
        if last is None:
            return True
        return bool(np.floor((t + near) / self.every) > np.floor((last + near) / self.every))


@dataclass(frozen=True, eq=False)
class Sensors:
    """Names that are measured on line, the deviations of their noise, what a laboratory finds, and all faults."""

    online: tuple[str, ...]
    noise: Mapping[str, float]
    laboratory: Mapping[str, Laboratory]
    faults: tuple[Fault, ...]
    near: float

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.online, *self.laboratory)


@dataclass(frozen=True, eq=False)
class Pending:
    """A laboratory value under way."""

    name: str
    taken: float
    arrives: float
    value: float


@dataclass(frozen=True, eq=False)
class Shown:
    """What sensors remember: the time of the last sample, what each showed then, and values that are under way."""

    last: float | None = None
    values: Mapping[str, float] | None = None
    pending: tuple[Pending, ...] = ()


class Chance:
    """Random numbers of a loop: a stream for each purpose and name, whatever else is drawn."""

    def __init__(self, seed: np.random.SeedSequence):
        self._seed = seed
        self._streams: dict[str, np.random.Generator] = {}

    def of(self, purpose: str) -> np.random.Generator:
        if purpose not in self._streams:
            key = (*self._seed.spawn_key, zlib.crc32(purpose.encode()))
            own = np.random.SeedSequence(self._seed.entropy, spawn_key=key)
            self._streams[purpose] = np.random.default_rng(own)
        return self._streams[purpose]


def sensors_of(
    plant: Flowsheet,
    measured: Sequence[str],
    noise: Mapping[str, Any],
    laboratory: Mapping[str, Laboratory],
    faults: Sequence[Fault],
    near: float,
) -> Sensors:
    """Everything that is measured on a plant, checked. Raises SpecificationError."""
    late = by_element(laboratory, "laboratory")
    for name, each in late.items():
        check_measured(plant, name, "laboratory")
        if not isinstance(each, Laboratory):
            raise SpecificationError(f"laboratory: {name} needs a Laboratory(every, delay), got {each!r}.")
    deviations = {}
    for name, value in by_element(noise, "noise").items():
        check_measured(plant, name, "noise")
        deviations[name] = finite(value, plant.measures[name], f"noise: {name}")
        if deviations[name] < 0.0:
            raise SpecificationError(f"noise: {name} needs a standard deviation of at least 0, got {value!r}.")
    names = [str(name) for name in dict.fromkeys([*measured, *deviations]) if str(name) not in late]
    for name in names:
        check_measured(plant, name, "close_loop: the controller measures what the truth does not have")
    for fault in faults:
        if not isinstance(fault, Fault):
            raise SpecificationError(
                f"faults: expected Biased, Drifting, Scaled, Frozen, Missing, Spike or Stuck, got {fault!r}."
            )
        if fault.name not in (*names, *late):
            raise SpecificationError(f"faults: {unknown('measurement', fault.name, [*names, *late])}")
    return Sensors(tuple(names), deviations, late, tuple(faults), near)


def sampled(
    sensors: Sensors, seen: Mapping[str, float], t: float, shown: Shown, chance: Chance
) -> tuple[Sample, Shown]:
    """What the controller sees at a time of a truth on which `seen` holds. A unit at rest shows NaN where it has no
    value."""
    values, quality = {}, {}
    for name in sensors.names:
        drawn = chance.of(f"noise {name}").standard_normal()
        value = seen.get(name, np.nan) + sensors.noise.get(name, 0.0) * drawn
        values[name], quality[name] = _through(sensors, name, value, t, shown, chance)
    taken = [
        Pending(name, t, t + laboratory.delay, values[name])
        for name, laboratory in sensors.laboratory.items()
        if laboratory.due(t, shown.last, sensors.near)
    ]
    arrived: dict[str, tuple[float, float]] = {}
    waiting = []
    for each in (*shown.pending, *taken):
        if each.arrives <= t + sensors.near and each.name not in arrived:
            arrived[each.name] = (each.taken, each.value)
        else:
            waiting.append(each)
    now = {name: value for name, (taken_at, value) in arrived.items() if taken_at >= t - sensors.near}
    online = {name: values[name] for name in sensors.online} | now
    late = {name: pair for name, pair in arrived.items() if name not in now}
    marked = {name: q for name, q in quality.items() if q is not Quality.GOOD and (name in online or name in late)}
    return Sample(t, online, marked, late), Shown(t, values, tuple(waiting))


def _through(
    sensors: Sensors, name: str, value: float, t: float, shown: Shown, chance: Chance
) -> tuple[float, Quality]:
    """A value as its sensor shows it, one fault after the other, and what the sensor says of it."""
    quality = Quality.GOOD
    before = np.nan if shown.values is None else shown.values.get(name, np.nan)
    for k, fault in enumerate(sensors.faults):
        if fault.name == name and fault.acts(t + sensors.near):
            value = fault.shown(value, t, before, chance.of(f"fault {k} {name}"))
            quality = fault.quality if fault.quality is not Quality.GOOD else quality
    return value, quality
