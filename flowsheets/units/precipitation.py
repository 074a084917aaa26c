"""Two-stage precipitation by a salt: what stays dissolved in the first stage and precipitates in the second is kept."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

from titer.flowsheets.declarations import Conserved, Equations, Expression, Inlet, Outlet, Parameter, State
from titer.flowsheets.recipes.actions import action, not_negative
from titer.flowsheets.unit import Unit
from titer.flowsheets.units.hold_tank import amounts_in
from titer.numerics.errors import DeclarationError, unknown


class Precipitation(Unit):
    """Fractional precipitation of a charge in two stages: the first precipitate and the last supernatant are waste.

    Equations
        f_i(s) = 1 / (1 + (s/a_i)^b_i),  f_1,i = f_i(s1),  f_2,i = f_i(s2),  kept_i = f_1,i (1 - f_2,i)
        recovered_i = kept_i n_i,  yield_ = kept of `product`,  purity = recovered of `product` / sum_i recovered_i
        dn_i/dt = 0

    Symbols
        s1, s2       salt in the first and in the second stage [percent of saturation]
        a, b         salt at which half of a component is dissolved [percent] and steepness [1], over `components`
        f_1, f_2     soluble fractions [1];  kept the fractions that end in the second precipitate [1]
        n            charge [g], given by its start, by the action charge(...) or by Phase(start={...})
        recovered    what is kept of it [g];  yield_ product recovered by product charged [1]
        purity       product in what is recovered [g/g]; of an empty charge 0 (below 1e-9 g of everything it is rounded)
        `product`    the component that is wanted, a structural field

    s1 and s2 are parameters, for they hold for a whole charge; free={precipitation.s1: Free(45.0, 30.0, 55.0)} decides.

    Conserved: the charge of each component.

    Assumptions: equilibrium in each stage; soluble fractions depend on the salt alone, so that neither the dilution by
    it nor other components matter; a precipitate is caught whole and without liquid; stages take no time.
    Source: the soluble fraction is a logistic curve in the logarithm of the salt; a, b of the defaults are ammonium
    sulphate with a product that precipitates sharply, illustrative numbers.
    """

    time = "h"

    components: tuple[str, ...] = ("product", "impurity")
    product: str = "product"

    n = State("g", start=0.0, lower=0.0, nominal=1.0, over="components", doc="charge")
    s1 = Parameter("percent", 40.0, lower=30.0, upper=55.0, doc="salt in the first stage")
    s2 = Parameter("percent", 60.0, lower=55.0, upper=70.0, doc="salt in the second stage")
    a = Parameter("percent", (56.27, 53.72), lower=1e-3, over="components", doc="salt at half solubility")
    b = Parameter("1", (42.0, 5.23), lower=0.0, over="components", doc="steepness")

    f_1 = Expression("1", over="components", doc="soluble fractions in the first stage")
    f_2 = Expression("1", over="components", doc="soluble fractions in the second stage")
    kept = Expression("1", over="components", doc="fractions that end in the second precipitate")
    recovered = Expression("g", over="components", doc="what is kept of the charge")
    yield_ = Expression("1", doc="product recovered by product charged")
    purity = Expression("g/g", doc="product in what is recovered")

    def __init__(self, name: str, **changes: Any):
        super().__init__(name, **changes)
        if self.product not in self.components:
            raise DeclarationError(f"{self._who}: {unknown('product', self.product, self.components)}")

    @action(volume="L", c="g/L")
    def charge(self, v: Any, volume: Any, **c: Any) -> dict[str, Any]:
        """Add a volume of liquid [L], with concentrations [g/L] by component; what is not named is not in it."""
        not_negative(volume=volume, **c)
        return {"n": v.n + amounts_in(self, volume, c)}

    @action
    def empty(self, v: Any) -> dict[str, Any]:
        """Begin anew, with nothing charged."""
        return {"n": 0.0 * v.n}

    def equations(self, v: Any) -> Equations:
        at = self.components.index(self.product)
        f_1 = v.define("f_1", 1.0 / (1.0 + (v.s1 / v.a) ** v.b))
        f_2 = v.define("f_2", 1.0 / (1.0 + (v.s2 / v.a) ** v.b))
        kept = v.define("kept", f_1 * (1.0 - f_2))
        recovered = v.define("recovered", kept * v.n)
        v.define("yield_", kept[at])
        v.define("purity", recovered[at] / (reduce(add, recovered) + 1e-9))
        return Equations(rate={"n": self.charging(v)}, port=self.leaving(v, kept))

    def charging(self, v: Any) -> Any:
        """What comes in of each component, per time."""
        return [0.0] * len(self.components)

    def leaving(self, v: Any, kept: Any) -> dict[str, Any]:
        """What the outlets carry."""
        return {}

    def conserved(self, v: Any) -> dict[str, Any]:
        coming = zip(self.components, v.n, self.charging(v), strict=True)
        return {key: Conserved(n, source) for key, n, source in coming}


class ContinuousPrecipitation(Precipitation):
    """Fractional precipitation of a stream in two stages, which also counts what came of all of it.

    Equations
        f_1, f_2, kept, recovered, yield_ and purity as in Precipitation
        dn_i/dt = F c_in,i
        the outlet `pool` carries R F and kept_i c_in,i / R,  the outlet `waste` carries F and (1 - kept_i) c_in,i

    Symbols
        F, c_in    what the inlet `feed` carries [L/h, g/L]: flow, c
        R          solution in which the second precipitate is dissolved, by volume of feed [L/L]
        n          what has come in [g], so that recovered, yield_ and purity are those of the charge so far
        s1, s2, a, b, `product` as in Precipitation

    Conserved: the charge of each component, with what comes in.

    Assumptions: as Precipitation; the stages hold up nothing; both discarded fractions leave together, in the volume of
    the feed. Source: as Precipitation.
    """

    R = Parameter("L/L", 1.0, lower=1e-6, doc="volume in which the product is dissolved, by volume of feed")
    feed = Inlet("L/h", c=("g/L", "components"))
    pool = Outlet("L/h", c=("g/L", "components"))
    waste = Outlet("L/h", c=("g/L", "components"))

    def charging(self, v: Any) -> Any:
        return v.feed.flow * v.feed.c

    def leaving(self, v: Any, kept: Any) -> dict[str, Any]:
        return {
            "pool": {"flow": v.R * v.feed.flow, "c": kept * v.feed.c / v.R},
            "waste": {"flow": v.feed.flow, "c": (1.0 - kept) * v.feed.c},
        }
