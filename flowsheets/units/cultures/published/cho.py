"""How do CHO cells make an antibody in a fed-batch? A published model of two substrates and two inhibitors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from titer.flowsheets.declarations import Declaration, Expression, Parameter, Port, State
from titer.flowsheets.symbols.smooth import smooth_abs
from titer.flowsheets.unit import Part
from titer.flowsheets.units.cultures.feeds import Feed, Piped
from titer.flowsheets.units.cultures.operated import FedBatch
from titer.flowsheets.units.cultures.published.temperature_shift import NoShift
from titer.numerics.errors import DeclarationError


class ChoFedBatch(FedBatch):
    """Fed-batch of CHO cells that make a monoclonal antibody from glucose and glutamine.

    Equations
        mu = mu_max Glc / (K_glc + Glc) Gln / (K_gln + Gln) KI_lac / (KI_lac + Lac) KI_amm / (KI_amm + Amm)
        mu_d = k_d Lac / (KD_lac + Lac) Amm / (KD_amm + Amm)
        q_glc = (mu - mu_d) / Yx_glc + m_glc left(Glc),  m_gln = a1 Gln / (a2 + Gln)
        d(V Xv)/dt = V (mu - mu_d) Xv
        d(V Glc)/dt = F Glc_feed - V q_glc Xv
        d(V Gln)/dt = F Gln_feed - V ((mu - mu_d) / Yx_gln + m_gln) Xv - V d_gln Gln
        d(V Lac)/dt = V Ylac_glc q_glc Xv
        d(V Amm)/dt = V Yamm_gln (mu - mu_d) / Yx_gln Xv - V r_amm left(Amm) Xv + V d_gln Gln
        d(V mAb)/dt = V q_mAb Xv,  q_mAb = Q_mAb (1 - mu / mu_max),  dV/dt = F - evaporation - sampling

    Symbols
        Xv                 viable cells [Gcell/L], 1e9 cells per litre (1e6 per mL)
        Glc, Gln, Lac, Amm glucose, glutamine, lactate and ammonium [mmol/L];  mAb antibody [g/L];  V volume [L]
        F                  feed [L/h], the control;  Glc_feed, Gln_feed its concentrations [mmol/L], illustrative
        mu, mu_d           specific rates of growth and of death [1/h];  mu_max, k_d their largest values
        K_glc, K_gln       half-saturation of growth;  KI_lac, KI_amm its inhibition;  KD_lac, KD_amm death [mmol/L]
        Yx_glc, Yx_gln     cells by glucose and by glutamine [Gcell/mmol]
        Ylac_glc, Yamm_gln lactate by glucose and ammonium by glutamine [1]
        m_glc, a1          maintenance on glucose and largest on glutamine [mmol/Gcell/h];  a2 its saturation [mmol/L]
        r_amm, d_gln       uptake of ammonium [mmol/Gcell/h], decay of glutamine [1/h]
        q_glc, q_mAb       specific rates [mmol/Gcell/h], [g/Gcell/h];  Q_mAb the largest [g/Gcell/h]
        K_left             concentration [mmol/L] over which an uptake that the source has constant ends;
                           evaporation, sampling [L/h], 0

    Not of the source: left(c) = c / sqrt(c^2 + K_left^2), without which glucose and ammonium would fall below zero; it
    is 1 but for K_left^2 / (2 c^2), 5e-5 at 1 mmol/L. And the field `shift`: NoShift(), or TemperatureShift(), by whose
    factors growth scales mu, metabolism mu_d, m_glc, a1 and r_amm, and production q_mAb, where then mu is compared with
    the largest growth at that temperature.

    Antibody is made fastest where nothing grows, in a starving culture too: an optimization limits Glc from below. So
    that a mesh may undershoot where they are used up, the domains of Glc, Gln and Amm reach a little below zero.

    Conserved: lactate in the broth and as glucose, Lac + Ylac_glc Glc, fed and sampled.

    Assumptions: perfect mixing; one kind of viable cell; dead cells are not counted; oxygen suffices.
    Source: Z. Xing, N. Bishop, K. Leister, Z. J. Li, Biotechnol. Prog. 26 (2010) 208-219, with the numbers of
    M. Kornecki, J. Strube, Bioengineering 5 (2018) 25, table 2.
    """

    populations: tuple[str, ...] = ("Xv",)
    substrates: tuple[str, ...] = ("Glc", "Gln")
    products: tuple[str, ...] = ("Lac", "Amm", "mAb")
    feeds: Mapping[str, Feed | Piped] = {"feed": Feed({"Glc": 500.0, "Gln": 50.0}, upper=0.1, flow="F")}
    shift: Part = NoShift()

    Xv = State("Gcell/L", start=4.0, lower=0.0, nominal=10.0, doc="viable cells")
    Glc = State("mmol/L", start=35.0, lower=-0.1, nominal=10.0, doc="glucose")
    Gln = State("mmol/L", start=4.0, lower=-0.02, nominal=1.0, doc="glutamine")
    Lac = State("mmol/L", start=0.5, lower=0.0, nominal=10.0, doc="lactate")
    Amm = State("mmol/L", start=0.3, lower=-0.1, nominal=1.0, doc="ammonium")
    mAb = State("g/L", start=0.0, lower=0.0, nominal=1.0, doc="antibody")
    V = State("L", start=1.0, lower=1e-3, nominal=1.0, doc="volume of the broth")

    mu_max = Parameter("1/h", 0.039, lower=0.0, doc="largest specific rate of growth")
    k_d = Parameter("1/h", 0.004, lower=0.0, doc="largest specific rate of death")
    K_glc = Parameter("mmol/L", 1.00, lower=0.0, doc="half-saturation by glucose")
    K_gln = Parameter("mmol/L", 0.047, lower=0.0, doc="half-saturation by glutamine")
    KI_lac = Parameter("mmol/L", 43.0, lower=0.0, doc="inhibition of growth by lactate")
    KI_amm = Parameter("mmol/L", 6.51, lower=0.0, doc="inhibition of growth by ammonium")
    KD_lac = Parameter("mmol/L", 45.8, lower=0.0, doc="death by lactate")
    KD_amm = Parameter("mmol/L", 6.51, lower=0.0, doc="death by ammonium")
    Yx_glc = Parameter("Gcell/mmol", 0.357, lower=0.0, doc="cells by glucose")
    Yx_gln = Parameter("Gcell/mmol", 0.974, lower=0.0, doc="cells by glutamine")
    Ylac_glc = Parameter("1", 0.70, lower=0.0, doc="lactate by glucose")
    Yamm_gln = Parameter("1", 0.67, lower=0.0, doc="ammonium by glutamine")
    r_amm = Parameter("mmol/Gcell/h", 6.3e-3, lower=0.0, doc="uptake of ammonium")
    m_glc = Parameter("mmol/Gcell/h", 69.2e-3, lower=0.0, doc="maintenance on glucose")
    a1 = Parameter("mmol/Gcell/h", 3.2e-3, lower=0.0, doc="largest maintenance on glutamine")
    a2 = Parameter("mmol/L", 2.1, lower=0.0, doc="saturation of the maintenance on glutamine")
    d_gln = Parameter("1/h", 7.2e-3, lower=0.0, doc="decay of glutamine")
    Q_mAb = Parameter("g/Gcell/h", 1.51e-3, lower=0.0, doc="largest specific rate of production")
    K_left = Parameter("mmol/L", 0.01, lower=1e-9, doc="concentration over which a constant uptake ends")

    mu = Expression("1/h", doc="specific rate of growth")
    mu_d = Expression("1/h", doc="specific rate of death")
    q_glc = Expression("mmol/Gcell/h", doc="specific rate of uptake of glucose")
    q_mAb = Expression("g/Gcell/h", doc="specific rate of production")

    def __init__(self, name: str, **changes: Any):
        shift = changes.get("shift", type(self).shift)
        if not isinstance(shift, NoShift):
            raise DeclarationError(
                f"{name} ({type(self).__name__}): shift is NoShift() or TemperatureShift(...), got {shift!r}."
            )
        super().__init__(name, **changes)

    def derived(self) -> dict[str, Declaration | Port]:
        shift: Any = self.shift
        return {**shift.conditions(), **super().derived()}

    def conversion(self, v: Any) -> Mapping[str, Any]:
        shift: Any = self.shift
        shift.act(v.shift, v)
        return super().conversion(v)

    @staticmethod
    def kinetics(v: Any) -> dict[str, Any]:
        """Rates per volume by component."""
        living = v.shift.metabolism
        fed = v.Glc / (v.K_glc + v.Glc) * v.Gln / (v.K_gln + v.Gln)
        slowed = fed * v.KI_lac / (v.KI_lac + v.Lac) * v.KI_amm / (v.KI_amm + v.Amm)
        mu = v.define("mu", v.mu_max * v.shift.growth * slowed)
        mu_d = v.define("mu_d", v.k_d * living * v.Lac / (v.KD_lac + v.Lac) * v.Amm / (v.KD_amm + v.Amm))
        q_glc = v.define("q_glc", (mu - mu_d) / v.Yx_glc + v.m_glc * living * _left(v.Glc, v.K_left))
        q_mAb = v.define("q_mAb", v.Q_mAb * v.shift.production * (1.0 - slowed))
        grown_on_gln, decay = (mu - mu_d) / v.Yx_gln, v.d_gln * v.Gln
        m_gln = v.a1 * living * v.Gln / (v.a2 + v.Gln)
        q_amm = v.Yamm_gln * grown_on_gln - v.r_amm * living * _left(v.Amm, v.K_left)
        return {
            "Xv": (mu - mu_d) * v.Xv,
            "Glc": -q_glc * v.Xv,
            "Gln": -(grown_on_gln + m_gln) * v.Xv - decay,
            "Lac": v.Ylac_glc * q_glc * v.Xv,
            "Amm": q_amm * v.Xv + decay,
            "mAb": q_mAb * v.Xv,
        }

    def conserved(self, v: Any) -> dict[str, Any]:
        return super().conserved(v) | {"lactate": self.balance(v, {"Lac": 1.0, "Glc": v.Ylac_glc})}


def _left(c: Any, width: Any) -> Any:
    """1 where a component is, 0 where nothing is left of it."""
    return c / smooth_abs(c, width)
