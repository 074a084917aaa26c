"""Tanks between unit operations: one that collects, and one that is drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from titer.flowsheets.declarations import Conserved, Control, Equations, Expression, Inlet, Outlet, Parameter, State
from titer.flowsheets.recipes.actions import action, not_negative
from titer.flowsheets.symbols.smooth import smooth_abs
from titer.flowsheets.symbols.symbol import quantity, symbol_array
from titer.flowsheets.terms import Path
from titer.flowsheets.unit import Unit
from titer.numerics.errors import DeclarationError, SpecificationError, unknown


class CollectionTank(Unit):
    """A well-mixed tank that collects what comes in, and may start empty; nothing is drawn. Time in hours.

    Equations
        dn_i/dt = F c_in,i - k_i n_i,  dV/dt = F
        c_i = n_i / sqrt(V^2 + rounding^2),  filled = V / V_max

    Symbols
        n, c       amounts [g] and concentrations [g/L] over `components`;  V volume [L]
        F, c_in    what the inlet `feed` carries [L/h, g/L]: flow, c; in a phase without connection no flow
        k          first-order degradation of each component [1/h]
        V_max      capacity [L];  filled the part of it in use [1]: capacity() is the limit for `subject_to`
        rounding   volume [L] at which c departs from n / V, a structural field: c is too low by (rounding/V)^2 / 2 of
                   itself, 5e-9 at 0.1 L, and has a value (0) and slopes (up to 1/rounding) in an empty tank

    Conserved: volume and each component, with what comes in and what degrades.

    Assumptions: perfect mixing; volumes add; degradation depends on nothing but the component.
    Source: mass balances; the numbers are illustrative.
    """

    time = "h"

    components: tuple[str, ...] = ("product", "impurity")
    rounding: float = 1e-5  # L

    n = State("g", start=0.0, lower=0.0, nominal=1.0, over="components", doc="amounts")
    V = State("L", start=0.0, lower=0.0, nominal=1.0, doc="volume of the contents")
    k = Parameter("1/h", 0.0, lower=0.0, over="components", doc="first-order degradation")
    V_max = Parameter("L", 10.0, lower=1e-6, doc="capacity")
    c = Expression("g/L", over="components", doc="concentrations")
    filled = Expression("1", doc="part of the capacity in use")
    feed = Inlet("L/h", c=("g/L", "components"))

    def __init__(self, name: str, **changes: Any):
        super().__init__(name, **changes)
        if not self.rounding > 0.0:
            raise DeclarationError(
                f"{self._who}: rounding is a volume above zero, in L, got {self.rounding!r}.\n"
                "  Give a volume far below any that matters; 1e-5 is the default."
            )
        start, most = (self.scalars[key].start for key in ("V", "V_max"))
        if start > most:
            raise DeclarationError(
                f"{self._who}: it would start with {start:g} L in a capacity of {most:g} L.\n"
                f"  Give a larger V_max, or a start below it."
            )

    def capacity(self) -> Path:
        """The limit V <= V_max, for `subject_to=[tank.capacity()]`."""
        filled = self.name_of("filled")
        return Path(lambda v: v[filled], upper=1.0, name=f"capacity of {self.name}")

    @action(volume="L", c="g/L")
    def add(self, v: Any, volume: Any, **c: Any) -> dict[str, Any]:
        """Add a volume of liquid [L], with concentrations [g/L] by component; what is not named is not in it."""
        not_negative(volume=volume, **c)
        return {"n": v.n + amounts_in(self, volume, c), "V": v.V + volume}

    @action(volume="L")
    def draw(self, v: Any, volume: Any) -> dict[str, Any]:
        """Take out a volume [L]."""
        not_negative(volume=volume)
        return {"n": v.n - volume * v.n / smooth_abs(v.V, self.rounding), "V": v.V - volume}

    @action
    def empty(self, v: Any) -> dict[str, Any]:
        """Discard the contents."""
        return {"n": 0.0 * v.n, "V": 0.0 * v.V}

    def equations(self, v: Any) -> Equations:
        drawn = self.drawn(v)
        c = v.define("c", v.n / smooth_abs(v.V, self.rounding))
        v.define("filled", v.V / v.V_max)
        amounts, volume = v.feed.flow * v.feed.c - v.k * v.n, v.feed.flow
        if drawn is not None:
            amounts, volume = amounts - drawn * c, volume - drawn
        return Equations(rate={"n": amounts, "V": volume}, port=self.leaving(v))

    def drawn(self, v: Any) -> Any | None:
        """Volume per time that is drawn; None: nothing can be."""
        return None

    def leaving(self, v: Any) -> dict[str, Any]:
        """What the outlets carry."""
        return {}

    def conserved(self, v: Any) -> dict[str, Any]:
        drawn = self.drawn(v)
        inflow, brought = v.feed.flow, v.feed.flow * v.feed.c - v.k * v.n
        if drawn is not None:
            inflow, brought = inflow - drawn, brought - drawn * v.c
        amounts = zip(self.components, v.n, brought, strict=True)
        return {"volume": Conserved(v.V, inflow)} | {key: Conserved(n, source) for key, n, source in amounts}


class HoldTank(CollectionTank):
    """A well-mixed tank between two unit operations: it may start empty, be filled, drawn from, and be emptied.

    Equations
        dn_i/dt = F c_in,i - F_out c_i - k_i n_i,  dV/dt = F - F_out
        c_i and filled as in CollectionTank

    Symbols
        F_out      what is drawn [L/h], a control; the outlet `outlet` carries it (flow, c), to waste where that is not
                   connected. A plant in which nothing is ever drawn has a CollectionTank instead.
        n, c, V, k, V_max, F, `feed` and rounding as in CollectionTank

    No equation stops the flow of a tank that runs empty: V would leave its domain, which a simulation reports and an
    optimization keeps. End such a phase by until=Reaches(tank.V, heel, "falling"), in an optimization with a heel above
    zero. Emptied to the last drop, a tank keeps amounts of c rounding / 2; filled and drawn at once from empty, it is
    off by less than c rounding.

    Conserved: volume and each component, with what comes in, what is drawn and what degrades.

    Assumptions: perfect mixing; volumes add; degradation depends on nothing but the component.
    Source: mass balances; the numbers are illustrative.
    """

    F_out = Control("L/h", start=0.0, lower=0.0, upper=10.0, doc="flow that is drawn")
    outlet = Outlet("L/h", c=("g/L", "components"))

    def drawn(self, v: Any) -> Any:
        return v.F_out

    def leaving(self, v: Any) -> dict[str, Any]:
        return {"outlet": {"flow": v.F_out, "c": v.c}}


def amounts_in(unit: Any, volume: Any, c: Mapping[str, Any]) -> Any:
    """Amounts [g] over a unit operation's components in a volume of liquid of the concentrations c, by component."""
    for key in c:
        if key not in unit.components:
            raise SpecificationError(f"{unit.name}: {unknown('component', key, unit.components)}")
    return symbol_array([volume * c.get(key, quantity(0.0, "g/L")) for key in unit.components])
