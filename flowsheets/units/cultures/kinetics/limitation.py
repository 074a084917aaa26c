"""How does a concentration slow a rate? Saturation by substrates and inhibition by what accumulates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from titer.flowsheets.declarations import Declaration, Parameter, Port
from titer.flowsheets.symbols.smooth import smooth_maximum
from titer.flowsheets.units.cultures.kinetics.factors import Factor
from titer.flowsheets.units.cultures.kinetics.group import ratio

_SMALLEST = 1e-6  # of a constant: what powers and differences are rounded by at zero


class Monod(Factor):
    """Saturation by a substrate: c / (K + c). Symbols: K half-saturation constant, in the unit of c.

    Source: Monod, Annu. Rev. Microbiol. 3 (1949) 371.
    """

    like: ClassVar[tuple[str, ...]] = ("K",)
    K = Parameter("g/L", lower=0.0, doc="half-saturation constant")

    def __init__(self, component: str, K: Any):
        super().__init__(component=component, K=K)

    def value(self, f: Any, v: Any) -> Any:
        c = v[self.component]
        return c / (f.K + c)


class Haldane(Factor):
    """Saturation and inhibition by a substrate: c / (K + c + c^2 / K_i), largest at c = sqrt(K K_i).

    Symbols: K half-saturation constant without inhibition, K_i inhibition constant, in the unit of c. Source: Andrews,
    Biotechnol. Bioeng. 10 (1968) 707.
    """

    like: ClassVar[tuple[str, ...]] = ("K", "K_i")
    K = Parameter("g/L", lower=0.0, doc="half-saturation constant")
    K_i = Parameter("g/L", lower=0.0, doc="inhibition constant")

    def __init__(self, component: str, K: Any, K_i: Any):
        super().__init__(component=component, K=K, K_i=K_i)

    def value(self, f: Any, v: Any) -> Any:
        c = v[self.component]
        return c / (f.K + c + c**2 / f.K_i)


class Contois(Factor):
    """Saturation that weakens as biomass grows: c / (K X + c), `Contois("glucose", 0.1, "X")`.

    Symbols: K half-saturation constant by biomass, an amount of the component by one of X. Source: Contois, J. Gen.
    Microbiol. 21 (1959) 40.
    """

    population: str = ""
    K = Parameter("1", lower=0.0, doc="half-saturation constant by biomass")

    def __init__(self, component: str, K: Any, population: str):
        super().__init__(component=component, population=population, K=K)

    def derived(self) -> dict[str, Declaration | Port]:
        declared: Any = type(self).declarations["K"]
        return {"K": replace(declared, unit=ratio(self, self.component, self.population))}

    def value(self, f: Any, v: Any) -> Any:
        c = v[self.component]
        return c / (f.K * v[self.population] + c)


class Moser(Factor):
    """Saturation with an exponent: (c/K)^n / (1 + (c/K)^n), the Hill form of Moser's law.

    Concentrations near or below zero are replaced by a small positive one (1e-6 K and less), so that powers have values
    and slopes. Symbols: K concentration of half saturation, in the unit of c; n exponent. Moser's own constant is
    K_s = K^n. Source: Moser, The Dynamics of Bacterial Populations Maintained in the Chemostat (1958).
    """

    like: ClassVar[tuple[str, ...]] = ("K",)
    K = Parameter("g/L", lower=0.0, doc="concentration of half saturation")
    n = Parameter("1", lower=0.0, doc="exponent")

    def __init__(self, component: str, K: Any, n: Any):
        super().__init__(component=component, K=K, n=n)

    def value(self, f: Any, v: Any) -> Any:
        x = smooth_maximum(v[self.component] / f.K, 0.0, _SMALLEST) ** f.n
        return x / (1.0 + x)


class Inhibition(Factor):
    """Inhibition that never ends: K_i / (K_i + c). Symbols: K_i concentration that halves the rate, in the unit of c.

    Source: Jerusalimsky & Engamberdiev, Continuous Cultivation of Microorganisms (1969) 517.
    """

    like: ClassVar[tuple[str, ...]] = ("K_i",)
    K_i = Parameter("g/L", lower=0.0, doc="inhibition constant")

    def __init__(self, component: str, K_i: Any):
        super().__init__(component=component, K_i=K_i)

    def value(self, f: Any, v: Any) -> Any:
        return f.K_i / (f.K_i + v[self.component])


class Ceiling(Factor):
    """Inhibition that ends the rate at a concentration c_max: max(1 - c/c_max, 0)^n; n = 1 unless given.

    The maximum is rounded over 1e-6 of the ratio. Symbols: c_max concentration at which the rate ends, in the unit of
    c; n exponent. Source: Levenspiel, Biotechnol. Bioeng. 22 (1980) 1671.
    """

    like: ClassVar[tuple[str, ...]] = ("c_max",)
    c_max = Parameter("g/L", lower=0.0, doc="concentration at which the rate ends")
    n = Parameter("1", 1.0, lower=0.0, doc="exponent")

    def __init__(self, component: str, c_max: Any, n: Any = 1.0):
        super().__init__(component=component, c_max=c_max, n=n)

    def value(self, f: Any, v: Any) -> Any:
        return smooth_maximum(1.0 - v[self.component] / f.c_max, 0.0, _SMALLEST) ** f.n
