"""How large is a packed bed, and what do velocities and residence times mean on it? As engineers say it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from titer.flowsheets.scalar import number_in
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.units.columns.binding import Numbers
from titer.numerics.errors import SpecificationError


@dataclass(frozen=True)
class Bed:
    """A bed of a height [cm] and a volume [mL]: `Bed(20.0, 62.8)`, or `Bed.of_diameter(20.0, 2.0)`.

    `Column("capture", **bed.sizes)` has its sizes. Numbers may be quantities. Raises SpecificationError for sizes and
    flows that are not positive.
    """

    height: Any
    volume: Any

    def __post_init__(self) -> None:
        for key, unit in (("height", "cm"), ("volume", "mL")):
            object.__setattr__(self, key, _positive(getattr(self, key), unit, f"Bed: {key}"))

    @staticmethod
    def of_diameter(height: Any, diameter: Any) -> Bed:
        """A bed of a height [cm] and a diameter [cm]."""
        high, wide = _positive(height, "cm", "Bed: height"), _positive(diameter, "cm", "Bed: diameter")
        return Bed(high, math.pi / 4.0 * wide**2 * high)

    @property
    def area(self) -> float:
        """The cross section [cm^2]."""
        return float(self.volume / self.height)

    @property
    def diameter(self) -> float:
        """The diameter [cm]."""
        return math.sqrt(4.0 / math.pi * self.area)

    @property
    def sizes(self) -> dict[str, float]:
        """What a Column is made with: L [cm] and CV [mL]."""
        return {"L": self.height, "CV": self.volume}

    def flow(self, velocity: Any) -> float:
        """The flow [mL/min] at a superficial velocity [cm/h]."""
        return _positive(velocity, "cm/h", "Bed: velocity") * self.area / 60.0

    def flow_for(self, residence: Any) -> float:
        """The flow [mL/min] at a residence time [min]: bed volume by flow, as capture steps are specified."""
        return float(self.volume / _positive(residence, "min", "Bed: residence time"))

    def velocity(self, flow: Any) -> float:
        """The superficial velocity [cm/h] at a flow [mL/min]."""
        return 60.0 * _positive(flow, "mL/min", "Bed: flow") / self.area

    def residence(self, flow: Any) -> float:
        """The residence time [min] at a flow [mL/min]."""
        return float(self.volume / _positive(flow, "mL/min", "Bed: flow"))

    def seconds(self, volumes: Any, flow: Any) -> float:
        """How long a number of column volumes lasts at a flow [mL/min], in s."""
        return 60.0 * _positive(volumes, "1", "Bed: column volumes") * self.residence(flow)


def solid_capacity(transport: Any, per_bed: float) -> float:
    """The capacity by volume of solid, as binding laws count it, of one given by volume of bed, as suppliers give it.

    Both in the same unit, mg/mL (which is g/L) or mol/m^3; `transport` knows the porosities.
    """
    numbers = Numbers(transport)
    flowing = float(transport.porosity(numbers))
    beads = (1.0 - numbers.eps_c) * (1.0 - numbers.eps_p) if transport.pores else 1.0 - flowing
    return _positive(per_bed, "1", "solid_capacity: per_bed") / float(beads)


def _positive(value: Any, unit: str, what: str) -> float:
    number = number_in(value, Measure.of(unit), what)
    if not 0.0 < number < math.inf:
        raise SpecificationError(f"{what} must be positive and finite, got {number:g} {unit}.")
    return number
