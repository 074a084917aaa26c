"""How do temperature and pH slow a rate? By an activation energy, or by the cardinal values of an organism."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from titer.flowsheets.declarations import Parameter
from titer.flowsheets.scalar import number_in
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.smooth import smooth_maximum, smooth_minimum
from titer.flowsheets.symbols.symbol import quantity
from titer.flowsheets.units.cultures.kinetics.factors import Factor
from titer.numerics.errors import DeclarationError


class ArrheniusFactor(Factor):
    """Temperature by an activation energy: exp(-E/R (1/T - 1/T_ref)), 1 at T_ref.

    Symbols: E activation energy [J/mol], T_ref reference temperature [K], T the culture's temperature [K]: a condition,
    or that of its energy balance; R = 8.314462618 J/mol/K. Source: Arrhenius (1889).
    """

    condition: ClassVar[str] = "K"
    E = Parameter("J/mol", doc="activation energy")
    T_ref = Parameter("K", lower=1.0, doc="temperature at which the factor is 1")

    def __init__(self, E: Any, T_ref: Any):
        super().__init__(component="T", E=E, T_ref=T_ref)

    def value(self, f: Any, v: Any) -> Any:
        return np.exp(-f.E / quantity(8.314462618, "J/mol/K") * (1.0 / v.T - 1.0 / f.T_ref))


class CardinalTemperature(Factor):
    """Temperature by its cardinal values: 0 at T_min and T_max, 1 at T_opt.

    (T - T_max)(T - T_min)^2 / [(T_o - T_min) ((T_o - T_min)(T - T_o) - (T_o - T_max)(T_o + T_min - 2 T))] with
    T_o = T_opt; beyond T_min and T_max the value at them, rounded over a hundredth of a kelvin. T_opt is nearer to
    T_max than to T_min. Symbols: T_min, T_opt, T_max [K]; T the culture's temperature [K]: a condition, or that of its
    energy balance. Source: Rosso, Lobry & Flandrois, J. Theor. Biol. 162 (1993) 447.
    """

    condition: ClassVar[str] = "K"
    T_min = Parameter("K", lower=200.0, doc="temperature below which nothing grows")
    T_opt = Parameter("K", lower=200.0, doc="best temperature")
    T_max = Parameter("K", lower=200.0, doc="temperature above which nothing grows")

    def __init__(self, T_min: Any, T_opt: Any, T_max: Any):
        low, best, high = (number_in(x, Measure.of("K"), "CardinalTemperature") for x in (T_min, T_opt, T_max))
        if not low < best < high or not best > 0.5 * (low + high):
            raise DeclarationError(
                f"CardinalTemperature: expected T_min < T_opt < T_max, T_opt above their middle, "
                f"got {low:g}, {best:g}, {high:g} K."
            )
        super().__init__(component="T", T_min=T_min, T_opt=T_opt, T_max=T_max)

    def value(self, f: Any, v: Any) -> Any:
        T = _within(v.T, f.T_min, f.T_max, quantity(0.01, "K"))
        span = f.T_opt - f.T_min
        below = span * (span * (T - f.T_opt) - (f.T_opt - f.T_max) * (f.T_opt + f.T_min - 2.0 * T))
        return (T - f.T_max) * (T - f.T_min) ** 2 / below


class CardinalPH(Factor):
    """pH by its cardinal values: 0 at pH_min and pH_max, 1 at pH_opt.

    (pH - pH_min)(pH - pH_max) / [(pH - pH_min)(pH - pH_max) - (pH - pH_opt)^2]; beyond pH_min and pH_max the value at
    them, rounded over 0.001. Symbols: pH_min, pH_opt, pH_max; pH the culture's condition `pH`. Source: Rosso, Lobry,
    Bajard & Flandrois, Appl. Environ. Microbiol. 61 (1995) 610.
    """

    condition: ClassVar[str] = "1"
    pH_min = Parameter("1", doc="pH below which nothing grows")
    pH_opt = Parameter("1", doc="best pH")
    pH_max = Parameter("1", doc="pH above which nothing grows")

    def __init__(self, pH_min: Any, pH_opt: Any, pH_max: Any):
        low, best, high = (number_in(x, Measure.of("1"), "CardinalPH") for x in (pH_min, pH_opt, pH_max))
        if not low < best < high:
            raise DeclarationError(f"CardinalPH: expected pH_min < pH_opt < pH_max, got {low:g}, {best:g}, {high:g}.")
        super().__init__(component="pH", pH_min=pH_min, pH_opt=pH_opt, pH_max=pH_max)

    def value(self, f: Any, v: Any) -> Any:
        pH = _within(v.pH, f.pH_min, f.pH_max, 0.001)
        inside = (pH - f.pH_min) * (pH - f.pH_max)
        return inside / (inside - (pH - f.pH_opt) ** 2)


def _within(x: Any, lower: Any, upper: Any, width: Any) -> Any:
    return smooth_minimum(smooth_maximum(x, lower, width), upper, width)
