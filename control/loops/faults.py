"""How can a sensor lie, or a valve stick? Bias, drift, wrong scale, freezing, spikes, silence, each in its window."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.control.loops.checks import check_number
from titer.estimation.estimators.sample import Quality
from titer.numerics.errors import SpecificationError


@dataclass(frozen=True, kw_only=True)
class Fault(ABC):
    """What all faults share: the measurement `name`, and the times between which it is wrong, `start` included.

    `quality`: what the sensor says of its value meanwhile; most say that all is well.
    """

    name: str
    start: float = 0.0
    end: float = np.inf
    quality: Quality = Quality.GOOD

    def __post_init__(self) -> None:
        what = type(self).__name__
        if not isinstance(self.name, str):
            raise SpecificationError(f"{what}: name is that of a measurement, such as reactor.T, got {self.name!r}.")
        for key, value in vars(self).items():
            if key not in ("name", "quality"):
                chance = key == "probability"
                check_number(
                    value, f"{what} of {self.name}: {key}", 0.0 if chance else -np.inf, 1.0 if chance else np.inf,
                    endless=key in ("start", "end"),
                )  # fmt: skip
        if not self.start < self.end:
            raise SpecificationError(
                f"{what} of {self.name}: it ends at {self.end:g}, before it starts at {self.start:g}."
            )
        if not isinstance(self.quality, Quality):
            raise SpecificationError(f"{what} of {self.name}: quality is one of Quality.GOOD, SUSPECT, BAD.")

    def acts(self, t: float) -> bool:
        """Whether the value of this time is wrong."""
        return bool(self.start <= t < self.end)

    @abstractmethod
    def shown(self, value: float, t: float, before: float, chance: np.random.Generator) -> float:
        """What the sensor shows in place of a value; `before`: what it showed last."""


@dataclass(frozen=True, kw_only=True)
class Biased(Fault):
    """The value is too high `by` a constant."""

    by: float

    def shown(self, value: float, t: float, before: float, chance: np.random.Generator) -> float:
        return value + self.by


@dataclass(frozen=True, kw_only=True)
class Drifting(Fault):
    """The value departs at the speed `rate`, per unit of the flowsheet's time, from the start of the fault on."""

    rate: float

    def shown(self, value: float, t: float, before: float, chance: np.random.Generator) -> float:
        return value + self.rate * (t - self.start)


@dataclass(frozen=True, kw_only=True)
class Scaled(Fault):
    """The value is multiplied by a `factor`: a wrong range, or a wrong unit."""

    factor: float

    def shown(self, value: float, t: float, before: float, chance: np.random.Generator) -> float:
        return value * self.factor


@dataclass(frozen=True, kw_only=True)
class Frozen(Fault):
    """The sensor goes on showing the value it showed last."""

    def shown(self, value: float, t: float, before: float, chance: np.random.Generator) -> float:
        return before if np.isfinite(before) else value


@dataclass(frozen=True, kw_only=True)
class Missing(Fault):
    """Nothing is shown (NaN), each time with this `probability`."""

    probability: float = 1.0

    def shown(self, value: float, t: float, before: float, chance: np.random.Generator) -> float:
        return np.nan if chance.random() < self.probability else value


@dataclass(frozen=True, kw_only=True)
class Spike(Fault):
    """Now and then, with this `probability`, the value is off by `size`, to either side."""

    size: float
    probability: float = 0.05

    def shown(self, value: float, t: float, before: float, chance: np.random.Generator) -> float:
        hit, side = chance.random(2)
        return value + (self.size if side < 0.5 else -self.size) if hit < self.probability else value


@dataclass(frozen=True)
class Stuck:
    """An actuator stays where it is from `start` to `end`, whatever the `control` is told; then it obeys the last
    command. A controller finds out by what is read back to it."""

    control: str
    start: float = 0.0
    end: float = np.inf

    def __post_init__(self) -> None:
        if not isinstance(self.control, str):
            raise SpecificationError(
                f"Stuck: control is the name of one that is manipulated, such as reactor.T_j, got {self.control!r}."
            )
        check_number(self.start, f"Stuck {self.control}: start")
        check_number(self.end, f"Stuck {self.control}: end", endless=True)
        if not 0.0 <= self.start < self.end:
            raise SpecificationError(
                f"Stuck {self.control}: expected 0 <= start < end, got {self.start:g} and {self.end:g}."
            )

    @property
    def name(self) -> str:
        return self.control


def described(fault: Any) -> str:
    """A fault as a line of a log."""
    own = {
        key: value for key, value in vars(fault).items() if key not in ("name", "control", "start", "end", "quality")
    }
    return " ".join([type(fault).__name__.lower(), *(f"{key} {value:g}" for key, value in own.items())])
