"""What does a feed do where too much substrate inhibits? A published fed-batch with a local optimum beside the best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from titer.flowsheets.declarations import Control, Expression, Parameter, State
from titer.flowsheets.units.cultures.feeds import Feed, Piped
from titer.flowsheets.units.cultures.operated import FedBatch


class InhibitedFedBatch(FedBatch):
    """Fed-batch fermentation with substrate inhibition; the product is made at a rate that only biomass sets.

    Equations
        mu = mu_max S / (K_S + S + S^2 / K_I)
        dX/dt = mu X - D X,  dP/dt = nu X - D P,  dV/dt = u - evaporation - sampling
        dS/dt = -mu X / Y_X - nu X / Y_P + u S_in / V - D S,  D = (u - evaporation) / V

    Symbols
        X, S, P   biomass, substrate and product [g/L]
        V, u      volume [L] and feed [L/h]; the feed is the control
        mu, nu    specific rates of growth, of which mu_max is the scale, and of production [1/h]
        K_S, K_I  saturation and inhibition constants [g/L]
        Y_X, Y_P  biomass and product by substrate [g/g];  S_in  substrate in the feed [g/L]
        evaporation, sampling   [L/h], 0 in the source

    Conserved: substrate, S + X / Y_X + P / Y_P, fed and sampled.

    Assumptions: perfect mixing; production goes on without growth. Where S is at zero the equations would still take
    substrate for the product, so an optimization limits S from below.
    Source: B. Srinivasan, S. Palanki, D. Bonvin, Comput. Chem. Eng. 27 (2003) 1-26, example 2, who find 1.68 g/L of
    product after 150 h with X <= 3.7 g/L.
    """

    products: tuple[str, ...] = ("P",)
    feeds: Mapping[str, Feed | Piped] = {"in": Feed({"S": 200.0}, flow="u")}

    X = State("g/L", start=1.0, lower=0.0, doc="biomass")
    S = State("g/L", start=0.5, lower=0.0, doc="substrate")
    P = State("g/L", start=0.0, lower=0.0, doc="product")
    V = State("L", start=150.0, lower=1.0, doc="volume")
    u = Control("L/h", start=0.1, lower=0.0, upper=1.0, doc="feed")

    mu_max = Parameter("1/h", 0.02, lower=0.0, doc="scale of growth")
    K_S = Parameter("g/L", 0.05, lower=0.0, doc="saturation constant")
    K_I = Parameter("g/L", 5.0, lower=0.0, doc="inhibition constant")
    Y_X = Parameter("g/g", 0.5, lower=0.0, doc="biomass by substrate")
    Y_P = Parameter("g/g", 1.2, lower=0.0, doc="product by substrate")
    nu = Parameter("1/h", 0.004, lower=0.0, doc="specific rate of production")
    S_in = Parameter("g/L", 200.0, lower=0.0, doc="substrate in the feed")

    mu = Expression("1/h", doc="specific rate of growth")

    @staticmethod
    def kinetics(v: Any) -> dict[str, Any]:
        """Rates per volume by component."""
        mu = v.define("mu", v.mu_max * v.S / (v.K_S + v.S + v.S**2 / v.K_I))
        return {"X": mu * v.X, "S": -mu * v.X / v.Y_X - v.nu * v.X / v.Y_P, "P": v.nu * v.X}

    def conserved(self, v: Any) -> dict[str, Any]:
        substrate = self.balance(v, {"S": 1.0, "X": 1.0 / v.Y_X, "P": 1.0 / v.Y_P})
        return super().conserved(v) | {"substrate": substrate}
