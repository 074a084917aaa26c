"""A photobioreactor: phycocyanin from a cyanobacterium, by light and nitrate."""

from __future__ import annotations

from typing import Any

from titer.flowsheets.declarations import Conserved, Control, Equations, Expression, Parameter, State
from titer.flowsheets.unit import Part, Unit
from titer.numerics.errors import DeclarationError


class SaturatedLight(Part):
    """A rate that rises with light and saturates. Equations: share = I / (I + k_s).

    Symbols: I light intensity [umol/m^2/s], k_s the intensity of half the greatest rate [umol/m^2/s].
    """

    k_s = Parameter("umol/m^2/s", 100.0, lower=0.0, doc="saturation constant of light")

    def share(self, part: Any, light: Any) -> Any:
        """The share of the greatest rate at a light intensity; `part` is the part's own view."""
        return light / (light + part.k_s)


class InhibitedLight(SaturatedLight):
    """A rate that rises with light and falls again where there is too much. Equations: share = I / (I + k_s + I^2/k_i).

    It is greatest at I = sqrt(k_s k_i). Symbols: k_i inhibition constant [umol/m^2/s]; I and k_s as in SaturatedLight.
    """

    k_i = Parameter("umol/m^2/s", 500.0, lower=1e-6, doc="inhibition constant of light")

    def share(self, part: Any, light: Any) -> Any:
        return light / (light + part.k_s + light**2 / part.k_i)


class Photobioreactor(Unit):
    """Arthrospira platensis grows on nitrate in the light and makes phycocyanin; fed-batch, time in hours.

    Equations
        mu = u_m phi N / (N + K_N),  q_P = k_m psi
        dX/dt = mu X - u_d X,  dN/dt = F_N - Y_NX mu X,  dP/dt = q_P X - k_d P / (N + K_Np)
        phi, psi: shares of the fastest growth and of the fastest production that the light allows, of the parts
        `growth` and `production`; of InhibitedLight, the default, I / (I + k_s + I^2/k_i), of SaturatedLight without
        I^2/k_i
        content = P / X

    Symbols
        X, N, P          biomass [g/L], nitrate [mg/L], phycocyanin [g/L];  content [g/g]
        I, F_N           light intensity [umol/m^2/s] and feed of nitrate [mg/L/h], the controls
        mu, q_P          specific rates of growth [1/h] and of production [g/g/h]
        u_m, u_d         fastest growth, and death [1/h]
        k_m, k_d         fastest production [g/g/h], degradation [mg/L/h]
        K_N, K_Np        nitrate of half the fastest growth, and of degradation [mg/L];  Y_NX nitrate by biomass [mg/g]
        k_s, k_i         constants of each light response [umol/m^2/s]

    Conserved: nitrate in the medium and in biomass, N + Y_NX X, fed by F_N (what dies with u_d takes its nitrate away).

    Assumptions: perfect mixing; the feed is concentrated, the volume stays; all cells see the same light, so that it
    is not attenuated by biomass; pH, temperature and carbon dioxide suffice.
    Source: del Rio-Chanona, Zhang, Xie, Manirafasha and Jing (2015), Dynamic simulation and optimization for
    Arthrospira platensis growth and C-phycocyanin production, Industrial and Engineering Chemistry Research 54, 10606,
    whose best lights, 282 for growth and 137 umol/m^2/s for production, follow from the defaults; without attenuation,
    with the numbers of Bradford, Imsland, Zhang and del Rio-Chanona (2020), Computers and Chemical Engineering 139,
    106844. The units of k_m and k_d are those that the equations ask for.
    """

    time = "h"

    growth: Part = InhibitedLight(k_s=178.9, k_i=447.1)
    production: Part = InhibitedLight(k_s=23.51, k_i=800.0)

    X = State("g/L", start=1.0, lower=0.0, doc="biomass")
    N = State("mg/L", start=150.0, lower=0.0, doc="nitrate")
    P = State("g/L", start=0.0, lower=0.0, nominal=0.1, doc="phycocyanin")
    I = Control("umol/m^2/s", start=200.0, lower=120.0, upper=400.0, doc="light intensity")  # noqa: E741
    F_N = Control("mg/L/h", start=10.0, lower=0.0, upper=40.0, doc="feed of nitrate")

    u_m = Parameter("1/h", 0.0572, lower=0.0, doc="fastest growth")
    u_d = Parameter("1/h", 0.0, lower=0.0, doc="death")
    K_N = Parameter("mg/L", 393.1, lower=0.0, doc="nitrate of half the fastest growth")
    Y_NX = Parameter("mg/g", 504.5, lower=0.0, doc="nitrate by biomass")
    k_m = Parameter("g/g/h", 1.6e-4, lower=0.0, doc="fastest production")
    k_d = Parameter("mg/L/h", 0.281, lower=0.0, doc="degradation of phycocyanin")
    K_Np = Parameter("mg/L", 16.89, lower=0.0, doc="nitrate that slows degradation")

    phi = Expression("1", doc="share of the fastest growth, by light")
    psi = Expression("1", doc="share of the fastest production, by light")
    mu = Expression("1/h", doc="specific growth")
    q_P = Expression("g/g/h", doc="specific production")
    content = Expression("g/g", doc="phycocyanin in biomass")

    def __init__(self, name: str, **changes: Any):
        super().__init__(name, **changes)
        for key in ("growth", "production"):
            if not isinstance(getattr(self, key), SaturatedLight):
                raise DeclarationError(
                    f"{self._who}: {key} is a light response, got {getattr(self, key)!r}.\n"
                    f"  Give {key}=InhibitedLight(k_s=..., k_i=...) or SaturatedLight(k_s=...)."
                )

    def equations(self, v: Any) -> Equations:
        growth: Any = self.growth
        production: Any = self.production
        phi = v.define("phi", growth.share(v.growth, v.I))
        psi = v.define("psi", production.share(v.production, v.I))
        mu = v.define("mu", v.u_m * phi * v.N / (v.N + v.K_N))
        q_P = v.define("q_P", v.k_m * psi)
        v.define("content", v.P / v.X)
        rate = {
            "X": (mu - v.u_d) * v.X,
            "N": v.F_N - v.Y_NX * mu * v.X,
            "P": q_P * v.X - v.k_d * v.P / (v.N + v.K_Np),
        }
        return Equations(rate=rate)

    def conserved(self, v: Any) -> dict[str, Any]:
        return {"nitrate": Conserved(v.N + v.Y_NX * v.X, v.F_N - v.Y_NX * v.u_d * v.X)}
