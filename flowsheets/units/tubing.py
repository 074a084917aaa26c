"""What do pipes do to a peak? They delay it, and blur it a little."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from scipy.sparse import csr_array

from titer.flowsheets.declarations import Conserved, Declaration, Equations, Inlet, Outlet, Parameter, Port, State
from titer.flowsheets.symbols import vectors
from titer.flowsheets.symbols.symbol import symbol_array
from titer.flowsheets.symbols.vectors import apart, together
from titer.flowsheets.unit import Part, Unit
from titer.flowsheets.units.jackets import expressed
from titer.numerics.errors import DeclarationError
from titer.numerics.spatial import SpectralElements
from titer.numerics.spatial.line import Method


class CellsInSeries(Part):
    """Tubing as `count` mixed cells in series: plug flow, the more of them the sharper. A step stays monotone.

    Equations: V/n dc_k/dt = F (c_(k-1) - c_k). A pulse is delayed by V/F and spreads to the variance (V/F)^2 / n.
    Source: Levenspiel, Chemical Reaction Engineering (1999), ch. 14.
    """

    count: int = 20

    def __init__(self, count: int = 20):
        super().__init__(count=count)

    @property
    def nodes(self) -> int:
        return self.count

    def flow(self, turnover: Any, m: Any) -> Any:
        """Rates of what is inside, and what leaves, by what is inside and arrives."""

        def rates(c: Any, c_in: Any) -> tuple[Any, Any]:
            inside = apart(c, self.count)
            before = symbol_array([c_in, *inside[:-1]])
            return together(self.count * turnover * (before - inside)), inside[-1]

        return rates

    def mean(self, c: Any) -> Any:
        """The mean concentration."""
        return sum(apart(c, self.count)[1:], apart(c, self.count)[0]) / self.count


class AxialDispersion(Part):
    """Tubing with axial dispersion, and Danckwerts' conditions at its ends.

    Equations: c_t = F/V (c_zz / Pe - c_z), z in (0, 1). Symbols: Pe Peclet number u L/D [1]. `method`: how it is
    discretized; the Peclet number over its intervals should stay below 2. A pulse spreads to the variance
    (V/F)^2 (2/Pe - 2/Pe^2 (1 - e^-Pe)). Source: Danckwerts, Chem. Eng. Sci. 2 (1953) 1.
    """

    method: Method = SpectralElements(10, 3)

    Pe = Parameter("1", 50.0, lower=1e-3, doc="Peclet number")

    @property
    def nodes(self) -> int:
        return len(self.method.line().nodes)

    def flow(self, turnover: Any, m: Any) -> Any:
        """Rates of what is inside, and what leaves, by what is inside and arrives."""
        return self.method.line().flow(turnover, turnover / m.Pe, vectors)

    def mean(self, c: Any) -> Any:
        """The mean concentration."""
        return vectors.times(csr_array(self.method.line().weights[None, :]), c)


class Tubing(Unit):
    """A pipe, or any dead volume that is not mixed at once. Time in seconds.

    Equations: as the part `mixing` says: CellsInSeries(count) or AxialDispersion(Pe=...); `outlet` carries what leaves,
    with the flow of `feed`.

    Symbols: c concentrations at points along the pipe; V volume [mL]; F flow. `components`, `concentration`: as in
    Column; `start`: what is in it at first (components left out: none).

    Conserved: each component, with what comes and goes.

    Assumptions: constant volume and density, nothing sticks to the wall. Source: those of the parts.
    """

    time: ClassVar[str] = "s"

    components: tuple[str, ...] = ("product",)
    concentration: str = "mol/m^3"
    mixing: Part = CellsInSeries()
    start: Mapping[str, float] = {}

    V = Parameter("mL", 1.0, lower=1e-9, doc="volume")

    def __init__(self, name: str, **changes: Any):
        mixing = changes.get("mixing", type(self).mixing)
        if not isinstance(mixing, CellsInSeries | AxialDispersion):
            raise DeclarationError(
                f"{name} (Tubing): mixing is CellsInSeries(count) or AxialDispersion(Pe=...), got {mixing!r}."
            )
        super().__init__(name, **changes)

    @property
    def nodes(self) -> tuple[int, ...]:
        """The index set of points along the pipe."""
        return tuple(range(self.mixing.nodes))  # type: ignore[attr-defined]

    def derived(self) -> Mapping[str, Declaration | Port]:
        unit, start = self.concentration, [float(self.start.get(key, 0.0)) for key in self.components]
        return {
            "feed": Inlet("mL/min", c=(unit, "components")),
            "outlet": Outlet("mL/min", c=(unit, "components")),
            "c": State(unit, start=start, nominal=1.0, over=("nodes", "components"), doc="concentrations"),
        }

    def equations(self, v: Any) -> Equations:
        n = len(self.nodes)
        flow = self.mixing.flow(expressed(v.feed.flow / v.V, f"1/{self.time}"), v.mixing)  # type: ignore[attr-defined]
        made = [flow(together(v.c[:, i]), v.feed.c[i]) for i in range(len(self.components))]
        columns = [apart(inside, n) for inside, _ in made]
        rate = symbol_array([[column[k] for column in columns] for k in range(n)])
        leaving = symbol_array([apart(out, 1)[0] for _, out in made])
        return Equations(rate={"c": rate}, port={"outlet": {"flow": v.feed.flow, "c": leaving}})

    def conserved(self, v: Any) -> dict[str, Conserved]:
        found = {}
        for i, key in enumerate(self.components):
            held = v.V * apart(self.mixing.mean(together(v.c[:, i])), 1)[0]  # type: ignore[attr-defined]
            brought = v.feed.flow * (v.feed.c[i] - v.outlet.c[i])
            found[key] = Conserved(held, expressed(brought, f"mL*({self.concentration})/{self.time}"))
        return found
