"""How is penicillin made in a fed-batch? The published model that the best feed is known for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from titer.flowsheets.declarations import Control, Expression, Parameter, State
from titer.flowsheets.units.cultures.feeds import Feed, Inflow, Piped
from titer.flowsheets.units.cultures.operated import FedBatch


class PenicillinFedBatch(FedBatch):
    """Fed-batch penicillin fermentation, whose saturation constants are a millionth of the feed.

    Equations
        mu = mu_max S / (K_X X + S),  q = q_max S / (K_P + S (1 + S / K_in))
        dX/dt = mu X - D X,  dP/dt = q X - K_deg P - D P,  dV/dt = F / S_F - evaporation - sampling
        dS/dt = -(mu / Y_X + q / Y_P + m S / (K_m + S)) X + F / V - D S,  D = (F / S_F - evaporation) / V

    Symbols
        X, P, S      biomass, penicillin and substrate [g/L];  V volume [L]
        F            substrate fed [g/h], the control: F / S_F is the volume;  S_F its concentration [g/L]
        mu, q        specific rates of growth and of production [1/h];  mu_max, q_max their largest values
        K_X          saturation of growth by biomass [1];  K_P, K_in  saturation and inhibition of production [g/L]
        m, K_m       maintenance [1/h] and its saturation [g/L];  K_deg  degradation of penicillin [1/h]
        Y_X, Y_P     biomass and penicillin by substrate [1];  evaporation, sampling [L/h], 0 in the source

    Assumptions: perfect mixing; the feed holds substrate alone; nothing is taken up where nothing is left. S is near
    zero in the best operation, and K_P and K_m are smaller still.
    Source: H. C. Lim, Y. J. Tayeb, J. M. Modak, P. Bonte, Biotechnol. Bioeng. 28 (1986) 1408-1420, with the numbers of
    J. E. Cuthrell, L. T. Biegler, Comput. Chem. Eng. 13 (1989) 49-62, who find P V = 87.99 g after 132 h with
    V <= 10 L, X <= 40 g/L, S <= 100 g/L.
    """

    products: tuple[str, ...] = ("P",)
    feeds: Mapping[str, Feed | Piped] = {"F": Feed({"S": 500.0}, flow="F")}

    X = State("g/L", start=1.5, lower=0.0, doc="biomass")
    P = State("g/L", start=0.0, lower=0.0, doc="penicillin")
    S = State("g/L", start=0.0, lower=0.0, doc="substrate")
    V = State("L", start=7.0, lower=0.0, doc="volume of the broth")
    F = Control("g/h", start=0.0, lower=0.0, upper=50.0, doc="substrate fed")

    mu_max = Parameter("1/h", 0.11, lower=0.0, doc="largest specific rate of growth")
    K_X = Parameter("1", 0.006, lower=0.0, doc="saturation of growth by biomass")
    q_max = Parameter("1/h", 0.0055, lower=0.0, doc="largest specific rate of production")
    K_P = Parameter("g/L", 1e-4, lower=0.0, doc="saturation of production")
    K_in = Parameter("g/L", 0.1, lower=0.0, doc="inhibition of production")
    K_deg = Parameter("1/h", 0.01, lower=0.0, doc="degradation of penicillin")
    K_m = Parameter("g/L", 1e-4, lower=0.0, doc="saturation of maintenance")
    m = Parameter("1/h", 0.029, lower=0.0, doc="maintenance")
    Y_X = Parameter("1", 0.47, lower=0.0, doc="biomass by substrate")
    Y_P = Parameter("1", 1.2, lower=0.0, doc="penicillin by substrate")
    S_F = Parameter("g/L", 500.0, lower=1e-6, doc="substrate in the feed")

    mu = Expression("1/h", doc="specific rate of growth")
    q = Expression("1/h", doc="specific rate of production")

    @staticmethod
    def kinetics(v: Any) -> dict[str, Any]:
        """Rates per volume by component."""
        mu = v.define("mu", v.mu_max * v.S / (v.K_X * v.X + v.S))
        q = v.define("q", v.q_max * v.S / (v.K_P + v.S * (1.0 + v.S / v.K_in)))
        used = mu / v.Y_X + q / v.Y_P + v.m * v.S / (v.K_m + v.S)
        return {"X": mu * v.X, "P": q * v.X - v.K_deg * v.P, "S": -used * v.X}

    def inflows(self, v: Any) -> list[Inflow]:
        """The feed, which is given as mass of substrate."""
        return [Inflow(v.F / v.S_F, {"S": v.S_F})]
