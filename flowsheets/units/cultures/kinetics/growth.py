"""How does a population grow? `Growth` by a specific rate and yields, `UptakeGrowth` by what uptake leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from titer.flowsheets.declarations import Declaration, Expression, Parameter, Port
from titer.flowsheets.units.cultures.kinetics.factors import named
from titer.flowsheets.units.cultures.kinetics.group import per_time
from titer.flowsheets.units.cultures.kinetics.process import Process, Turnover, excess, rounded, yields_of


class Growth(Process):
    """Growth at mu = mu_max times factors; substrates are taken up by yields.

    `Growth(0.4, Monod("glucose", 0.05), yields={"glucose": 0.5})`. Rate of the population X: mu X; of each substrate:
    -mu X / Y. Symbols: mu_max largest specific rate of growth, mu the specific rate, Y_glucose biomass by glucose. What
    growth makes (CO2) stands in `yields` with a negative number. Source: Monod, Annu. Rev. Microbiol. 3 (1949) 371;
    Pirt, Principles of Microbe and Cell Cultivation (1975).
    """

    yields: Mapping[str, Any] = {}
    grows: ClassVar[bool] = True

    def __init__(self, mu_max: Any, *factors: Any, yields: Mapping[str, Any] | None = None, of: str = ""):
        given = yields_of("Growth", yields or {})
        values = {f"Y_{key}": value for key, value in given.items()}
        super().__init__(named(factors), of=of, yields=given, mu_max=mu_max, **values)

    def derived(self) -> dict[str, Declaration | Port]:
        rate = per_time(self)
        yields = {f"Y_{key}": Parameter(self.by(self.population, key), doc=f"biomass by {key}") for key in self.yields}
        return {
            "mu_max": Parameter(rate, lower=0.0, doc="largest specific rate of growth"),
            **yields,
            "mu": Expression(rate, doc="specific rate of growth"),
        }

    @property
    def taken(self) -> tuple[str, ...]:
        return tuple(self.yields)

    def act(self, name: str, p: Any, t: Turnover) -> None:
        mu = p.define("mu", p.mu_max * self.factor(p, t.v))
        t.grows(self.population, name, mu)
        for key in self.yields:
            t.takes(self.population, key, mu / getattr(p, f"Y_{key}"))


class UptakeGrowth(Process):
    """Growth on what uptake of a substrate leaves after maintenance.

    `UptakeGrowth("methanol", 0.57, Monod("methanol", 0.1), Y=0.36, m=0.013)`: q = q_max times factors,
    mu = max(q - m, 0) Y, and mu = q Y where no m is given; rate of X: mu X, of the substrate: -q X. Symbols: q_max
    largest specific rate of uptake, q the specific rate, m the part of it that maintenance takes, Y biomass by
    substrate above maintenance, mu the specific rate of growth. The maximum is rounded over `rounding` of m (1e-3
    unless given): mu / Y is too high by that where q = m, by 1e-6 of m far above it; nothing grows where nothing is
    taken up. Source: Pirt, Proc. R. Soc. B 163 (1965) 224, solved for growth.
    """

    substrate: str = ""
    rounding: float = 1e-3
    maintained: bool = False
    grows: ClassVar[bool] = True

    def __init__(
        self, substrate: str, q_max: Any, *factors: Any, Y: Any, m: Any = None, of: str = "", rounding: float = 1e-3
    ):
        changes = {"q_max": q_max, "Y": Y, "rounding": rounded("UptakeGrowth", rounding)}
        changes |= {"maintained": m is not None} | ({} if m is None else {"m": m})
        super().__init__(named(factors), of=of, substrate=substrate, **changes)

    def derived(self) -> dict[str, Declaration | Port]:
        uptake = self.specific(self.substrate)
        upkeep = {"m": Parameter(uptake, lower=0.0, doc="uptake for maintenance")} if self.maintained else {}
        return {
            "q_max": Parameter(uptake, lower=0.0, doc="largest specific rate of uptake"),
            **upkeep,
            "Y": Parameter(self.by(self.population, self.substrate), lower=0.0, doc="biomass by substrate"),
            "q": Expression(uptake, doc="specific rate of uptake"),
            "mu": Expression(per_time(self), doc="specific rate of growth"),
        }

    @property
    def taken(self) -> tuple[str, ...]:
        return (self.substrate,)

    def act(self, name: str, p: Any, t: Turnover) -> None:
        q = p.define("q", p.q_max * self.factor(p, t.v))
        left = excess(q, p.m, self.rounding, p.q_max) if self.maintained else q
        mu = p.define("mu", left * p.Y)
        t.grows(self.population, name, mu)
        t.takes(self.population, self.substrate, q)
