"""What is lost, released or turned over otherwise? Death, lysis, decay, and conversions of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from titer.flowsheets.declarations import Declaration, Expression, Parameter, Port
from titer.flowsheets.symbols.symbol import Symbol
from titer.flowsheets.units.cultures.kinetics.factors import named
from titer.flowsheets.units.cultures.kinetics.group import per_time, unit_of
from titer.flowsheets.units.cultures.kinetics.process import Process, Turnover, yields_of
from titer.flowsheets.units.jackets import expressed
from titer.numerics.errors import DeclarationError


class Death(Process):
    """Living cells die: rate of the population -k X times factors, `Death(0.01, Monod("lactate", 40.0), into="Xd")`.

    `into`: the component of dead cells, which gains them; "" where they are not counted. It is best one of `products`,
    so that the living remain the only population. Symbols: k largest specific rate of death, mu_d the specific rate.
    """

    into: str = ""
    rank: ClassVar[int] = 4

    def __init__(self, k: Any, *factors: Any, into: str = "", of: str = ""):
        super().__init__(named(factors), of=of, into=into, k=k)

    def derived(self) -> dict[str, Declaration | Port]:
        return {
            "k": Parameter(per_time(self), lower=0.0, doc="largest specific rate of death"),
            "mu_d": Expression(per_time(self), doc="specific rate of death"),
        }

    def act(self, name: str, p: Any, t: Turnover) -> None:
        died = p.define("mu_d", p.k * self.factor(p, t.v)) * t.v[self.population]
        t.makes(self.population, -died)
        if self.into:
            t.makes(self.into, died)

    def check(self, others: Mapping[str, Process]) -> None:
        unit = unit_of(self)
        if self.into and self.by(self.into, self.population) != "1":
            raise DeclarationError(
                f"{self._path}: {self.population} is in {unit.unit_of(self.population)!r}, {self.into}, into which it "
                f"dies, in {unit.unit_of(self.into)!r}.\n  Give both one unit."
            )


class Decay(Process):
    """A component decays by itself: rate -k c times factors, and `into` others: `Decay("Gln", 0.007, into={"Amm": 1})`.

    Lysis is the decay of dead cells, with what it releases. Symbols: k rate constant; Y_Amm what is made, by amount of
    what decays; r the rate per volume.
    """

    component: str = ""
    into: Mapping[str, Any] = {}
    rank: ClassVar[int] = 4
    of_none: ClassVar[bool] = True

    def __init__(self, component: str, k: Any, *factors: Any, into: Mapping[str, Any] | None = None):
        given = yields_of(type(self).__name__, into or {})
        values = {f"Y_{key}": value for key, value in given.items()}
        super().__init__(named(factors), component=component, into=given, k=k, **values)

    def derived(self) -> dict[str, Declaration | Port]:
        own = self.component
        rate = f"{self.concentration(own)}*{per_time(self)}"
        made = {f"Y_{key}": Parameter(self.by(key, own), doc=f"{key} by {own}") for key in self.into}
        return {
            "k": Parameter(per_time(self), lower=0.0, doc="rate constant"),
            **made,
            "r": Expression(rate, doc="rate per volume"),
        }

    def act(self, name: str, p: Any, t: Turnover) -> None:
        rate = p.define("r", p.k * self.factor(p, t.v) * t.v[self.component])
        t.makes(self.component, -rate)
        for key in self.into:
            t.makes(key, getattr(p, f"Y_{key}") * rate)


class Lysis(Decay):
    """Dead cells fall apart and release what they held: `Lysis("Xd", 0.02, into={"DNA": 0.01})`; as `Decay`."""


class Conversion(Process):
    """A process of one's own: `Conversion({"A": -1, "B": 0.8}, lambda v: v.k * v.A * v.X)`.

    `stoichiometry`: what is made of each component per unit of the first one's amount turned over; the function of the
    culture's view gives the rate, in the first component's amount per volume and time (or another unit of that
    dimension). Symbols: r the rate; n_B the coefficients, which are parameters but for the first, whose size is 1.
    """

    stoichiometry: Mapping[str, Any] = {}
    function: Callable[[Any], Any] = staticmethod(lambda v: 0.0)
    rank: ClassVar[int] = 4
    of_none: ClassVar[bool] = True

    def __init__(self, stoichiometry: Mapping[str, Any], function: Callable[[Any], Any]):
        given = yields_of("Conversion", stoichiometry)
        first = next(iter(given.values()), None)
        if isinstance(first, Symbol) or first not in (1.0, -1.0):
            raise DeclarationError(
                f"Conversion: the first component is the one whose amount is counted, with coefficient 1 or -1, "
                f"got {given!r}."
            )
        if not callable(function):
            raise DeclarationError(f"Conversion: its rate is a function of the view, got {function!r}.")
        values = {f"n_{key}": value for key, value in list(given.items())[1:]}
        super().__init__({}, stoichiometry=given, function=function, **values)

    def derived(self) -> dict[str, Declaration | Port]:
        first, *others = self.stoichiometry
        made = {f"n_{key}": Parameter(self.by(key, first), doc=f"{key} by {first}") for key in others}
        return {**made, "r": Expression(self.per_volume, doc="rate per volume")}

    @property
    def per_volume(self) -> str:
        """The unit of its rate."""
        return f"{self.concentration(next(iter(self.stoichiometry)))}*{per_time(self)}"

    def act(self, name: str, p: Any, t: Turnover) -> None:
        first, *others = self.stoichiometry
        rate = p.define("r", expressed(self.function(t.v), self.per_volume))
        t.makes(first, float(self.stoichiometry[first]) * rate)
        for key in others:
            t.makes(key, getattr(p, f"n_{key}") * rate)
