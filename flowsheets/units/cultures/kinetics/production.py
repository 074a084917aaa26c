"""What does a population make and use besides growing? Products, overflow, maintenance."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any, ClassVar

from titer.flowsheets.declarations import Declaration, Expression, Parameter, Port
from titer.flowsheets.units.cultures.kinetics.factors import named
from titer.flowsheets.units.cultures.kinetics.group import unit_of
from titer.flowsheets.units.cultures.kinetics.process import Process, Turnover, excess, rounded, yields_of
from titer.numerics.errors import DeclarationError, unknown


class Maintenance(Process):
    """Substrate used to stay alive: rate of the substrate -m X times factors, `Maintenance("glucose", 0.03)`.

    Give the factor Monod(substrate, K) with a small K, so that nothing is taken where nothing is left. Symbols: m
    maintenance coefficient, q specific rate. Source: Pirt, Proc. R. Soc. B 163 (1965) 224.
    """

    substrate: str = ""
    rank: ClassVar[int] = 1

    def __init__(self, substrate: str, m: Any, *factors: Any, of: str = ""):
        super().__init__(named(factors), of=of, substrate=substrate, m=m)

    def derived(self) -> dict[str, Declaration | Port]:
        rate = self.specific(self.substrate)
        return {
            "m": Parameter(rate, lower=0.0, doc="maintenance coefficient"),
            "q": Expression(rate, doc="specific rate"),
        }

    @property
    def taken(self) -> tuple[str, ...]:
        return (self.substrate,)

    def act(self, name: str, p: Any, t: Turnover) -> None:
        t.takes(self.population, self.substrate, p.define("q", p.m * self.factor(p, t.v)))


class Production(Process):
    """A product made with growth and without: q = alpha mu + beta f, `Production("P", 0.1, 0.002)`.

    f is the product of the factors, which act on beta alone. Rate of the product: q X; of each substrate in `yields`:
    -q X / Y. mu is the sum over the population's growth, or that of the process called `growth`. Symbols: alpha product
    by growth, beta product by biomass and time, Y_glucose product by glucose. Source: Luedeking & Piret, J. Biochem.
    Microbiol. Technol. Eng. 1 (1959) 393.
    """

    product: str = ""
    growth: str = ""
    yields: Mapping[str, Any] = {}
    rank: ClassVar[int] = 3

    def __init__(
        self,
        product: str,
        alpha: Any = 0.0,
        beta: Any = 0.0,
        *factors: Any,
        yields: Mapping[str, Any] | None = None,
        growth: str = "",
        of: str = "",
    ):
        given = yields_of("Production", yields or {})
        values = {f"Y_{key}": value for key, value in given.items()} | {"alpha": alpha, "beta": beta}
        super().__init__(named(factors), of=of, product=product, growth=growth, yields=given, **values)

    def derived(self) -> dict[str, Declaration | Port]:
        rate = self.specific(self.product)
        return {
            "alpha": Parameter(self.by(self.product, self.population), doc="product by growth"),
            "beta": Parameter(rate, doc="product by biomass and time"),
            **{f"Y_{key}": Parameter(self.by(self.product, key), doc=f"product by {key}") for key in self.yields},
            "q": Expression(rate, doc="specific rate of production"),
        }

    def check(self, others: Mapping[str, Process]) -> None:
        growing = [key for key, process in others.items() if process.grows]
        if self.growth and self.growth not in growing:
            raise DeclarationError(f"{self._path}: {unknown('process of growth', self.growth, growing)}")
        local = self._path.partition(".")[2]
        if not growing and unit_of(self).scalars[f"{local}.alpha"].start != 0.0:
            raise DeclarationError(
                f"{self._path}: alpha is product by growth, and no process makes {self.population} grow.\n"
                "  Give beta, the product by biomass and time, or add a Growth."
            )

    @property
    def taken(self) -> tuple[str, ...]:
        return tuple(self.yields)

    def act(self, name: str, p: Any, t: Turnover) -> None:
        made = t.growth.get(self.population, {})
        rates = [made[self.growth]] if self.growth else list(made.values())
        grown = p.alpha * reduce(add, rates) if rates else 0.0
        q = p.define("q", grown + p.beta * self.factor(p, t.v))
        t.makes(self.product, q * t.v[self.population])
        for key in self.yields:
            t.takes(self.population, key, q / getattr(p, f"Y_{key}"))


class Overflow(Process):
    """A by-product of uptake beyond what is respired: q = Y max(q_S - q_crit, 0) times factors.

    `Overflow("acetate", "glucose", q_crit=0.6, Y=0.4)`: q_S is what the population's growth (and maintenance) takes up
    of the substrate, which has paid for the by-product already. Symbols: q_crit critical specific rate of uptake,
    Y by-product by substrate in excess, q specific rate of production. The maximum is rounded over `rounding` of q_crit
    (1e-3 unless given): never below it, too high by that where q_S = q_crit, and 0 where nothing is taken up. Source:
    the bottleneck of Sonnleitner & Kaeppeli, Biotechnol. Bioeng. 28 (1986) 927; for acetate Xu, Jahic & Enfors,
    Biotechnol. Prog. 15 (1999) 81.
    """

    product: str = ""
    substrate: str = ""
    rounding: float = 1e-3
    rank: ClassVar[int] = 2

    def __init__(
        self, product: str, substrate: str, *factors: Any, q_crit: Any, Y: Any, of: str = "", rounding: float = 1e-3
    ):
        changes = {"q_crit": q_crit, "Y": Y, "rounding": rounded("Overflow", rounding)}
        super().__init__(named(factors), of=of, product=product, substrate=substrate, **changes)

    def derived(self) -> dict[str, Declaration | Port]:
        return {
            "q_crit": Parameter(self.specific(self.substrate), lower=0.0, doc="critical specific rate of uptake"),
            "Y": Parameter(self.by(self.product, self.substrate), lower=0.0, doc="by-product by excess substrate"),
            "q": Expression(self.specific(self.product), doc="specific rate of production"),
        }

    def check(self, others: Mapping[str, Process]) -> None:
        if not any(self.substrate in other.taken for other in others.values() if other.rank < self.rank):
            raise DeclarationError(
                f"{self._path}: neither growth nor maintenance takes up {self.substrate}, so nothing overflows.\n"
                f"  Name {self.substrate} in the yields of the growth, or another substrate here."
            )

    def act(self, name: str, p: Any, t: Turnover) -> None:
        taken = reduce(add, t.uptake[self.population, self.substrate])
        beyond = excess(taken, p.q_crit, self.rounding, p.q_crit)
        q = p.define("q", p.Y * beyond * self.factor(p, t.v))
        t.makes(self.product, q * t.v[self.population])
