"""How do dispersion and film transfer follow the flow? Published correlations, as parts of a transport model."""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.flowsheets.declarations import Parameter
from titer.flowsheets.symbols.symbol import magnitude, quantity
from titer.flowsheets.unit import Part
from titer.flowsheets.units.jackets import expressed

_STILL = 1e-9  # m/s: the velocity below which a correlation is rounded, so that it has slopes at rest


class ChungWen(Part):
    """Axial dispersion by Chung and Wen, for the field `dispersion` of a transport model with beads.

    Equations: D_ax = u d_p / Pe_p, Pe_p = (0.2 + 0.011 Re^0.48) / eps_c, Re = rho v d_p / mu. Symbols: u interstitial
    and v = eps_c u superficial velocity, d_p = 2 r_p; rho density [kg/m^3] and mu viscosity [mPa s] of the liquid.
    Assumption: 1e-3 < Re < 1e3. Source: Chung and Wen, AIChE J. 14 (1968) 857.
    """

    rho = Parameter("kg/m^3", 1000.0, lower=1e-3, doc="density of the liquid")
    mu = Parameter("mPa*s", 1.0, lower=1e-6, doc="viscosity of the liquid")

    def coefficient(self, d: Any, v: Any, r_p: Any, eps_c: Any) -> Any:
        """D_ax [m^2/s] at a superficial velocity."""
        speed = _speed(v)
        Re = magnitude(d.rho * speed * (2.0 * r_p) / d.mu, "1")
        return expressed(speed * (2.0 * r_p) / (0.2 + 0.011 * Re**0.48), "m^2/s")  # u eps_c = v


class WilsonGeankoplis(Part):
    """Film transfer by Wilson and Geankoplis, for the field `film` of a transport model with beads.

    Equations: k_f = Sh D_m / d_p, Sh = 1.09 / eps_c (v d_p / D_m)^(1/3). Symbols: v superficial velocity, d_p = 2 r_p;
    D_m diffusivities in the liquid [m^2/s], over the components. Assumption: 0.0016 < Re < 55.
    Source: Wilson and Geankoplis, Ind. Eng. Chem. Fundam. 5 (1966) 9.
    """

    D_m = Parameter("m^2/s", 6e-11, lower=1e-16, over="components", doc="diffusivities in the liquid")

    def coefficient(self, f: Any, i: int, v: Any, r_p: Any, eps_c: Any) -> Any:
        """k_f [m/s] of component i at a superficial velocity."""
        turnover = magnitude(_speed(v) * (2.0 * r_p) / f.D_m[i], "1")
        return expressed(1.09 / eps_c * turnover ** (1.0 / 3.0) * f.D_m[i] / (2.0 * r_p), "m/s")


def _speed(v: Any) -> Any:
    """A velocity's size, with slopes where it is zero."""
    return quantity(np.sqrt(magnitude(v, "m/s") ** 2 + _STILL**2), "m/s")
