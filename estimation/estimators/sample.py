"""What did the plant say? Numbers with names at a time, how far each is to be trusted, and what comes late.

A sample is checked where it meets a plant: names, units, and that what is measured can be measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from titer.flowsheets.declarations import Control, Parameter
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.given import kind_of
from titer.flowsheets.signals import finite, in_unit
from titer.flowsheets.symbols.symbol import Symbol
from titer.numerics.errors import SpecificationError, unknown

_SUSPECT = 3.0  # times its noise: the deviation of a value that its sensor doubts
_REFUSED = {
    Control.kind: "A control is given, not measured: say what was applied, applied={{{name}: ...}}.",
    Parameter.kind: "A parameter is estimated, not measured: say disturbances={{{name}: ...}}.",
}


class Quality(Enum):
    """How far a sensor trusts its own value. The members are messages."""

    GOOD = "the value counts"
    SUSPECT = "the value counts with three times its noise"
    BAD = "the value does not count"

    @property
    def factor(self) -> float:
        """By which the noise of the value grows."""
        return _SUSPECT if self is Quality.SUSPECT else 1.0


@dataclass(frozen=True, eq=False)
class Sample:
    """What sensors said at a time (in the flowsheet's unit): `Sample(120.0, {reactor.T: 331.2})`.

    `values`: numbers in the declared units, or quantities; NaN, infinite or left out: not measured. `quality`: of each
    that is not GOOD. `late`: what arrives now and was taken before, {name: (taken_at, value)}, from a laboratory. An
    estimator reads the names that it has a noise for; others may stand beside them.
    Raises SpecificationError; names and units are checked where the sample meets a plant.
    """

    time: Any
    values: Mapping[str, Any] = field(default_factory=dict)
    quality: Mapping[str, Quality] = field(default_factory=dict)
    late: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.time, Symbol) and not _is_number(self.time):
            raise SpecificationError(
                f"Sample: the time must be a finite number in the flowsheet's unit, got {self.time!r}.\n"
                f"  Write Sample(120.0, {{reactor.T: 331.2}})."
            )
        object.__setattr__(self, "values", by_element(self.values, "Sample: values"))
        object.__setattr__(self, "quality", by_element(self.quality, "Sample: quality"))
        for name, quality in self.quality.items():
            if not isinstance(quality, Quality):
                raise SpecificationError(
                    f"Sample: the quality of {name} is {quality!r}, expected one of Quality.GOOD, SUSPECT, BAD."
                )
            if name not in self.values and name not in self.late:
                raise SpecificationError(f"Sample: quality: {unknown('value', name, [*self.values, *self.late])}")
        if not isinstance(self.late, Mapping):
            raise SpecificationError(f"Sample: late is a dict {{name: (taken_at, value)}}, got {self.late!r}.")
        for name, pair in self.late.items():
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise SpecificationError(
                    f"Sample: late: {name} needs (taken_at, value), the time it was taken and what was found, "
                    f"got {pair!r}."
                )

    def clock(self, plant: Flowsheet) -> float:
        """The time as a number in the plant's unit. Raises SpecificationError."""
        return finite(self.time, plant.measure_of_time, "Sample: the time")

    def numbers(self, plant: Flowsheet) -> dict[str, float]:
        """The values in the plant's units; NaN where nothing was measured, or what was is BAD.

        Raises SpecificationError for an unknown name, a wrong unit, and what cannot be measured.
        """
        return {name: self._number(plant, name, value) for name, value in self.values.items()}

    def arrived(self, plant: Flowsheet) -> dict[str, tuple[float, float]]:
        """What came late, as {name: (taken at, value)} in the plant's units. Raises SpecificationError."""
        now = self.clock(plant)
        found: dict[str, tuple[float, float]] = {}
        for name, (taken_at, value) in self.late.items():
            taken = finite(taken_at, plant.measure_of_time, f"Sample: late: the time at which {name} was taken")
            if taken > now:
                raise SpecificationError(
                    f"Sample: late: {name} was taken at t = {taken:g} {plant.time}, after the sample's time, {now:g}.\n"
                    f"  Write late={{{name}: (taken_at, value)}}, both times on the recipe's clock."
                )
            found[str(name)] = (taken, self._number(plant, str(name), value))
        return found

    def factor(self, name: str) -> float:
        """By which the noise of a value grows for its quality."""
        return self.quality.get(name, Quality.GOOD).factor

    def _number(self, plant: Flowsheet, name: str, value: Any) -> float:
        check_measured(plant, name, "Sample")
        number = in_unit(value, plant.measures[name], f"Sample: {name}")
        bad = self.quality.get(name) is Quality.BAD
        return number if np.isfinite(number) and not bad else np.nan


def check_measured(plant: Flowsheet, name: str, where: str) -> None:
    """Only what a plant determines can be measured. Raises SpecificationError."""
    kind = kind_of(plant, name)
    if name not in plant.measures:
        refused = {n for n in plant.measures if kind_of(plant, n) in _REFUSED}
        raise SpecificationError(f"{where}: {unknown('measurement', name, set(plant.measures) - refused)}")
    if kind in _REFUSED:
        raise SpecificationError(
            f"{where}: {name} is a {kind}, not a measurement.\n  {_REFUSED[kind].format(name=name)}"
        )


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return number and bool(np.isfinite(value))
