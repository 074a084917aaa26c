"""What does a lower temperature do to a mammalian culture? Parts for a field: `NoShift`, `TemperatureShift`."""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.flowsheets.declarations import Control, Declaration, Expression, Parameter
from titer.flowsheets.unit import Part


class NoShift(Part):
    """One temperature, that of the source. Equations: growth = production = metabolism = 1."""

    growth = Expression("1", doc="factor of growth")
    production = Expression("1", doc="factor of specific production")
    metabolism = Expression("1", doc="factor of maintenance and death")

    def conditions(self) -> dict[str, Declaration]:
        """What it needs that the culture has not."""
        return {}

    def act(self, s: Any, v: Any) -> None:
        """Define the factors; `s`: the view of the part, `v`: that of the culture."""
        for key in ("growth", "production", "metabolism"):
            s.define(key, 1.0)


class TemperatureShift(NoShift):
    """Mild hypothermia: slower growth and metabolism, higher specific production. NOT of the culture's own source.

    Equations: factor = factor_low^((T_ref - T) / (T_ref - T_low)), for growth, production and metabolism: 1 at T_ref,
    factor_low at T_low, exponential between (and beyond, where it was not observed).

    Symbols: T temperature [K], a control of the culture unless it has an energy balance; T_ref, T_low [K]; growth,
    production, metabolism the factors; growth_low, production_low, metabolism_low their values at T_low.

    Assumptions: cells answer at once; the factors act on every medium alike; glutamine decays as at T_ref.
    Source: at 32 degC specific production twice that at 37 degC, growth arrested, nutrients used more slowly, death
    later: S. R. Fox, U. A. Patel, M. G. S. Yap, D. I. C. Wang, Biotechnol. Bioeng. 85 (2004) 177-184, for interferon.
    Cell lines differ: about fourfold at 33 degC for erythropoietin (S. K. Yoon, J. Y. Song, G. M. Lee, Biotechnol.
    Bioeng. 82 (2003) 289-298), no gain for an antibody of the same group. Of the defaults, production_low = 2 is the
    first of these; growth_low = 0.3 and metabolism_low = 0.5 are illustrative.
    """

    T_ref = Parameter("K", 310.15, lower=1.0, doc="temperature at which the factors are 1")
    T_low = Parameter("K", 305.15, lower=1.0, doc="temperature of the values below")
    growth_low = Parameter("1", 0.3, lower=1e-6, doc="factor of growth at T_low")
    production_low = Parameter("1", 2.0, lower=1e-6, doc="factor of specific production at T_low")
    metabolism_low = Parameter("1", 0.5, lower=1e-6, doc="factor of maintenance and death at T_low")

    def conditions(self) -> dict[str, Declaration]:
        return {"T": Control("K", start=310.15, lower=303.15, upper=310.15, doc="temperature")}

    def act(self, s: Any, v: Any) -> None:
        x = (s.T_ref - v.T) / (s.T_ref - s.T_low)
        for key, low in (("growth", s.growth_low), ("production", s.production_low), ("metabolism", s.metabolism_low)):
            s.define(key, np.exp(x * np.log(low)))
