"""How does a law of one's own enter a column? As a function of the liquid and the bound concentrations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from titer.flowsheets.unit import Part
from titer.flowsheets.units.columns.binding import Binding
from titer.flowsheets.units.columns.contact import Vectors
from titer.flowsheets.units.columns.exchange import Kinetic


class OwnLaw(Binding):
    """Binding by a function of one's own.

    Equations: dq_i/dt = f_i(c, q). `law(b, c, q)` takes the view of this part (b.K for a Parameter declared in a class
    derived from it) and the concentrations by component, c["A"], each for all points at once: calculate with them as
    with numbers. It returns rates by component that binds. Under EquilibriumTotals the rates are zero.
    """

    law: Callable[[Any, Vectors, Vectors], Mapping[str, Any]]
    exchange: Part = Kinetic()
    reads: tuple[str, ...] = ()

    @property
    def solvable(self) -> bool:
        return False

    def needs(self) -> tuple[str, ...]:
        return self.reads

    def rate(self, b: Any, c: Vectors, q: Vectors) -> dict[str, Any]:
        return dict(self.law(b, c, q))

    def filled(self, c: Mapping[str, float]) -> dict[str, float]:
        return dict.fromkeys(self.bound, 0.0)
