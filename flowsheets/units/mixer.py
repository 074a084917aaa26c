"""What happens where streams meet, or linger? They are mixed in a volume that stays full."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any, ClassVar

from titer.flowsheets.declarations import Conserved, Declaration, Equations, Inlet, Outlet, Parameter, Port, State
from titer.flowsheets.unit import Unit
from titer.flowsheets.units.jackets import expressed


class Mixer(Unit):
    """A full, well-mixed volume: a mixing chamber, a pump head, a bubble trap. Time in seconds.

    Equations: V dc_i/dt = sum_k F_k (c_k,i - c_i); `outlet` carries c with the flow sum_k F_k.

    Symbols: c concentrations; V volume [mL]; F_k and c_k what the inlets carry: `feed`, or those that `inlets` names,
    two of which make a gradient from two pumps. `components`, `concentration`: as in Column; `start`: what is in it at
    first (components left out: none).

    Conserved: each component, with what comes and goes.

    Assumptions: perfect mixing, constant volume and density. Source: mass balance.
    """

    time: ClassVar[str] = "s"

    components: tuple[str, ...] = ("product",)
    concentration: str = "mol/m^3"
    inlets: tuple[str, ...] = ("feed",)
    start: Mapping[str, float] = {}

    V = Parameter("mL", 1.0, lower=1e-9, doc="volume")

    def derived(self) -> Mapping[str, Declaration | Port]:
        unit, start = self.concentration, [float(self.start.get(key, 0.0)) for key in self.components]
        found: dict[str, Declaration | Port] = {key: Inlet("mL/min", c=(unit, "components")) for key in self.inlets}
        found["outlet"] = Outlet("mL/min", c=(unit, "components"))
        return {**found, "c": State(unit, start=start, nominal=1.0, over="components", doc="concentrations")}

    def equations(self, v: Any) -> Equations:
        streams = [getattr(v, key) for key in self.inlets]
        rate = reduce(add, [expressed(s.flow / v.V, f"1/{self.time}") * (s.c - v.c) for s in streams])
        flow = reduce(add, [s.flow for s in streams])
        return Equations(rate={"c": rate}, port={"outlet": {"flow": flow, "c": v.c}})

    def conserved(self, v: Any) -> dict[str, Conserved]:
        unit = f"mL*({self.concentration})/{self.time}"
        streams = [getattr(v, key) for key in self.inlets]
        found = {}
        for i, key in enumerate(self.components):
            brought = reduce(add, [s.flow * (s.c[i] - v.c[i]) for s in streams])
            found[key] = Conserved(v.V * v.c[i], expressed(brought, unit))
        return found
