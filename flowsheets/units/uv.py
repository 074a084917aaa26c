"""What does a detector show? Absorbance, by the law of Lambert and Beer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any, ClassVar

from titer.flowsheets.declarations import Declaration, Equations, Expression, Inlet, Outlet, Parameter, Port, State
from titer.flowsheets.unit import Unit


class UV(Unit):
    """An absorbance detector through which a stream passes unchanged. Time in seconds.

    Equations: tau dA/dt = absorbance - A, absorbance = path sum_i epsilon_i c_i.

    Symbols: A signal [1], without noise (1 is 1 AU, 1000 mAU); tau time constant of its averaging [s]; c what the
    inlet `feed` carries, and `outlet` too; epsilon extinction coefficients [1/cm per concentration], over `components`;
    path length of the cell [cm]. `concentration`: as in Column. A volume of the cell that matters is a Mixer or
    Tubing before it.

    Assumptions: no stray light, no saturation; what is not to be seen (salt) has an extinction of 0.
    Source: Beer, Ann. Phys. 162 (1852) 78.
    """

    time: ClassVar[str] = "s"

    components: tuple[str, ...] = ("product",)
    concentration: str = "mol/m^3"

    path = Parameter("cm", 0.2, lower=1e-6, doc="path length")
    tau = Parameter("s", 0.5, lower=1e-6, doc="time constant of averaging")
    A = State("1", start=0.0, nominal=1.0, doc="signal")
    absorbance = Expression("1", doc="of what flows through")

    def derived(self) -> Mapping[str, Declaration | Port]:
        unit = self.concentration
        return {
            "feed": Inlet("mL/min", c=(unit, "components")),
            "outlet": Outlet("mL/min", c=(unit, "components")),
            "epsilon": Parameter(f"1/cm/({unit})", 1.0, lower=0.0, over="components", doc="extinction coefficients"),
        }

    def equations(self, v: Any) -> Equations:
        seen = reduce(add, [v.epsilon[i] * v.feed.c[i] for i in range(len(self.components))])
        absorbance = v.define("absorbance", v.path * seen)
        return Equations(rate={"A": (absorbance - v.A) / v.tau}, port={"outlet": {"flow": v.feed.flow, "c": v.feed.c}})
