"""What is a batch worth, and what must it meet? Illustrative prices, and the limits of impurity and temperature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from titer.flowsheets import magnitude

VOLUME = 2000.0  # L of charge, 1 mol/L of A at 320 K
MOLAR_MASS = 0.3  # kg/mol of B and of C: an intermediate of a small-molecule drug


@dataclass(frozen=True)
class Economics:
    """What a batch earns and must meet: prices in EUR per kg and per hour, limits in mol/L and in K."""

    price: float
    purification: float
    occupancy: float
    impurity: float
    temperature: float

    def margin(self, c_B: Any, c_C: Any, hours: Any) -> Any:
        """EUR: B sold, less removing C, less the time. The charge and the cleaning cost every batch the same."""
        return VOLUME * MOLAR_MASS * (self.price * c_B - self.purification * c_C) - self.occupancy * hours

    def wider(self, by: Mapping[str, float]) -> Economics:
        """The same with limits raised."""
        return replace(self, **{name: getattr(self, name) + change for name, change in by.items()})

    def __call__(self, v: Any) -> Any:
        """The margin on a view of the plant."""
        return self.margin(magnitude(v.reactor.c_B, "mol/L"), magnitude(v.reactor.c_C, "mol/L"), magnitude(v.time, "h"))
