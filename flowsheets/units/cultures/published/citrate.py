"""How does Yarrowia lipolytica make citrate from oil? The published mechanism."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from titer.flowsheets.declarations import Control, Expression, Parameter, State
from titer.flowsheets.units.cultures.feeds import Feed, Inflow, Piped
from titer.flowsheets.units.cultures.operated import FedBatch


class CitrateFermenter(FedBatch):
    """Fed-batch of Yarrowia lipolytica on oil: growth until nitrogen is spent, then lipid and citrate.

    Equations
        o = O / (K_O + O),  g = S / (S + K_S) K_iS / (K_iS + S)
        b_LC = b_LCmax K_iN / (K_iN + N) g o K_iX / (K_iX + X) (1 - C / C_max)
        q_C = 2 (1 - r_L) b_LC,  b_L = r_L b_LC - K_SL L / (L + X) o
        mu = mu_max g N / (K_N + N) o / (1 + X / K_iX)
        q_S = mu / Y_xs + m_s o S / (K_S + S) + q_C / Y_cs + b_L / Y_ls
        F_B = V (B_N mu X / Y_xn + B_C q_C X),  D = (F_B + F_S - evaporation) / V,  evaporation = V_evap
        dX/dt = (mu - D) X,  dC/dt = q_C X - D C,  dL/dt = (alpha_L mu + b_L) X - D L
        dS/dt = -q_S X + F_S S_F / V - D S,  dN/dt = -mu X / Y_xn - D N,  dV/dt = F_B + F_S - V_evap - sampling

    Symbols
        X, C, L, S, N   lipid-free biomass, citrate, lipid, oil and nitrogen [g/L];  V volume [L]
        dry             dry mass X + L [g/L]
        F_S, O          oil feed [L/h] and dissolved oxygen [%], both given;  S_F oil in the feed [g/L]
        mu, q_C, b_L    specific rates of growth, citrate and lipid [1/h];  q_S of oil uptake [1/h]
        b_LC, r_L       specific rate of what becomes lipid or citrate [1/h], and lipid's share of it [1]
        mu_max, b_LCmax   largest rates of growth and of b_LC [1/h]
        K_O, K_S, K_N   half-saturation by oxygen [%], oil and nitrogen [g/L]
        K_iS, K_iN, K_iX, C_max   inhibition by oil, nitrogen, biomass and citrate [g/L]
        K_SL            turnover of lipid [1/h];  m_s maintenance [1/h];  alpha_L lipid made with growth [1]
        Y_xs, Y_cs, Y_ls, Y_xn   biomass, citrate and lipid by oil, biomass by nitrogen [g/g]
        F_B, B_N, B_C   base added [L/h], per nitrogen and per citrate [L/g]
        V_evap          evaporation [L/h];  sampling  broth taken as samples [L/h], 0 in the source

    Conserved: nitrogen in the medium and in biomass, N + X / Y_xn, which no stream brings.

    Assumptions: perfect mixing; oxygen is measured and given; the base follows nitrogen and citrate at once.
    Source: the published mechanism of the oil-to-citrate fed-batch with Yarrowia lipolytica, and its fitted values.
    Check, with oxygen and feed of a mean batch (cases/citrate_model.py): 118.253 g/L of citrate after 140 h.
    """

    substrates: tuple[str, ...] = ("S", "N")
    products: tuple[str, ...] = ("C", "L")
    feeds: Mapping[str, Feed | Piped] = {"F": Feed({"S": 917.0}, flow="F_S")}

    X = State("g/L", start=0.05, lower=0.0, nominal=30.0, doc="lipid-free biomass")
    C = State("g/L", start=0.0, lower=0.0, nominal=50.0, doc="citrate")
    L = State("g/L", start=0.0, lower=0.0, nominal=20.0, doc="lipid")
    S = State("g/L", start=30.0, lower=0.0, nominal=20.0, doc="oil")
    N = State("g/L", start=5.0, lower=0.0, nominal=5.0, doc="nitrogen")
    V = State("L", start=0.7, lower=0.01, nominal=1.0, doc="volume")

    F_S = Control("L/h", start=0.0, lower=0.0, upper=0.05, doc="oil feed")
    O = Control("1", start=30.0, lower=0.0, upper=200.0, doc="dissolved oxygen, %")  # noqa: E741 (the source's letter)

    alpha_L = Parameter("1", 0.127275, lower=0.0, doc="lipid made with growth")
    C_max = Parameter("g/L", 130.901733, lower=0.0, doc="citrate at which its production ends")
    K_iN = Parameter("g/L", 0.12294103, lower=0.0, doc="inhibition by nitrogen")
    K_iS = Parameter("g/L", 612.17813, lower=0.0, doc="inhibition by oil")
    K_iX = Parameter("g/L", 59.9737695, lower=0.0, doc="inhibition by biomass")
    K_N = Parameter("g/L", 0.02000201, lower=0.0, doc="half-saturation by nitrogen")
    K_O = Parameter("1", 0.33085322, lower=0.0, doc="half-saturation by oxygen, %")
    K_S = Parameter("g/L", 0.0430429, lower=0.0, doc="half-saturation by oil")
    K_SL = Parameter("1/h", 0.02165744, lower=0.0, doc="turnover of lipid")
    m_s = Parameter("1/h", 0.02252332, lower=0.0, doc="maintenance")
    r_L = Parameter("1", 0.47917813, lower=0.0, upper=1.0, doc="lipid's share")
    V_evap = Parameter("L/h", 2.6e-3, lower=0.0, doc="evaporation")
    Y_cs = Parameter("1", 0.682572, lower=0.0, doc="citrate by oil")
    Y_ls = Parameter("1", 0.3574429, lower=0.0, doc="lipid by oil")
    Y_xn = Parameter("1", 10.0, lower=0.0, doc="biomass by nitrogen")
    Y_xs = Parameter("1", 0.2385559, lower=0.0, doc="biomass by oil")
    b_LCmax = Parameter("1/h", 0.14255192, lower=0.0, doc="largest rate of lipid and citrate")
    mu_max = Parameter("1/h", 0.3844627, lower=0.0, doc="largest rate of growth")
    S_F = Parameter("g/L", 917.0, lower=0.0, doc="oil in the feed")
    B_N = Parameter("L/g", 7.14e-3, lower=0.0, doc="base per nitrogen taken up")
    B_C = Parameter("L/g", 1.59e-3, lower=0.0, doc="base per citrate made")

    mu = Expression("1/h", doc="specific rate of growth")
    q_C = Expression("1/h", doc="specific rate of citrate")
    b_L = Expression("1/h", doc="specific rate of lipid")
    q_S = Expression("1/h", doc="specific rate of oil uptake")
    dry = Expression("g/L", doc="dry mass, lipid included")
    evaporation = Expression("L/h", doc="loss of water")

    @staticmethod
    def kinetics(v: Any) -> dict[str, Any]:
        """Rates per volume by component."""
        o = v.O / (v.K_O + v.O)
        g = v.S / (v.S + v.K_S) * v.K_iS / (v.K_iS + v.S)
        b_LC = v.b_LCmax * v.K_iN / (v.K_iN + v.N) * g * o * v.K_iX / (v.K_iX + v.X) * (1.0 - v.C / v.C_max)
        q_C = v.define("q_C", 2.0 * (1.0 - v.r_L) * b_LC)
        b_L = v.define("b_L", v.r_L * b_LC - v.K_SL * v.L / (v.L + v.X) * o)
        mu = v.define("mu", v.mu_max * g * v.N / (v.K_N + v.N) * o / (1.0 + v.X / v.K_iX))
        kept_alive = v.m_s * o * v.S / (v.K_S + v.S)
        q_S = v.define("q_S", mu / v.Y_xs + kept_alive + q_C / v.Y_cs + b_L / v.Y_ls)
        v.define("dry", v.X + v.L)
        v.define("evaporation", v.V_evap)
        lipid = (v.alpha_L * mu + b_L) * v.X
        return {"X": mu * v.X, "C": q_C * v.X, "L": lipid, "S": -q_S * v.X, "N": -mu * v.X / v.Y_xn}

    def added(self, v: Any, rates: Mapping[str, Any]) -> list[Inflow]:
        """The base that nitrogen taken up and citrate made ask for."""
        return [Inflow(v.V * (v.B_C * rates["C"] - v.B_N * rates["N"]))]

    def conserved(self, v: Any) -> dict[str, Any]:
        return super().conserved(v) | {"nitrogen": self.balance(v, {"N": 1.0, "X": 1.0 / v.Y_xn})}
