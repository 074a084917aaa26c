"""How warm is a culture? Its energy balance, where it has one: heat of metabolism, jacket, streams, evaporation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

from titer.flowsheets.declarations import Conserved, Declaration, Expression, Parameter, Port, State
from titer.flowsheets.symbols.symbol import quantity
from titer.flowsheets.units.cultures.feeds import Drawn, Inflow
from titer.flowsheets.units.jackets import FoulingWall, Isothermal, expressed
from titer.numerics.errors import DeclarationError

LATENT = 2.4e6  # J/L, heat of vaporization of water near 35 degC


def energy_declarations(unit: Any) -> dict[str, Declaration | Port]:
    """What an energy balance declares on the culture: T, its parameters, and heats as expressions."""
    check_energy(unit)
    found: dict[str, Declaration | Port] = {
        "T": State("K", start=310.15, lower=250.0, upper=400.0, doc="temperature of the broth"),
        "rhoCp": Parameter("J/L/K", 4180.0, lower=1.0, doc="volumetric heat capacity of broth and feeds"),
        "Q_s": Parameter("W", 0.0, doc="heat of stirring"),
        "latent": Parameter("J/L", LATENT, lower=0.0, doc="heat of vaporization by volume of water"),
        "Q_met": Expression("W", doc="heat of the metabolism"),
        "Q_j": Expression("W", doc="heat from the jacket"),
    }
    for key in unit.combustion:
        amount = unit.unit_of(key, f"{unit._who}: combustion").removesuffix("/L")
        found[f"h_{key}"] = Parameter(f"J/{amount}", unit.combustion[key], doc=f"heat of combustion of {key}")
    for key, feed in unit.feeds.items():
        found[f"T_{key}"] = Parameter("K", feed.T, lower=200.0, doc=f"temperature of {key}")
    return found


def energy_rates(unit: Any, v: Any, rates: Mapping[str, Any], feeds: Sequence[Inflow]) -> dict[str, Any]:
    """The rate of temperature, and of the jacket's own states."""
    made = [getattr(v, f"h_{key}") * rates[key] for key in unit.combustion if key in rates]
    Q_met = v.define("Q_met", expressed(-v.V * reduce(add, made), "W") if made else quantity(0.0, "W"))
    others = Q_met + _stirring(unit, v)
    others = reduce(add, [_heated(v, feed) for feed in feeds if feed.T is not None], others)
    others = others - expressed(v.evaporation * v.latent, "W")
    Q_j, own = unit.heat.exchange(v.heat, v, others, unit.time)
    Q_j = v.define("Q_j", Q_j)
    warmed = expressed((others + Q_j) / (v.rhoCp * v.V), f"K/{unit.time}")
    kept = unit.heat.keeps_temperature
    return {"T": quantity(0.0, f"K/{unit.time}") if kept else warmed} | {f"heat.{path}": x for path, x in own.items()}


def energy_totals(unit: Any, v: Any, feeds: Iterable[Inflow], drawn: Iterable[Drawn]) -> dict[str, Any]:
    """Energy as heat and what combustion would set free, with what streams, gas, jacket and stirrer bring."""
    per, sensible = f"J/{unit.time}", v.rhoCp * v.T
    moved = [expressed(v.Q_j + _stirring(unit, v), per), -v.evaporation * (sensible + v.latent), -v.sampling * sensible]
    moved += [feed.flow * (sensible if feed.T is None else v.rhoCp * feed.T) for feed in feeds]
    moved += [-each.flow * sensible for each in drawn]
    warm = Conserved(v.V * sensible, reduce(add, moved))
    if unit.combustion:
        chemical = unit.balance(v, {key: getattr(v, f"h_{key}") for key in unit.combustion})
        warm = Conserved(warm.total + chemical.total, warm.source + chemical.source)
    return {"energy": warm, **unit.heat.stored(v.heat, v, unit.time)}


def check_energy(unit: Any) -> None:
    """Whether all heats and temperatures are known. Raises DeclarationError."""
    who = unit._who
    if not isinstance(unit.heat, Isothermal):
        raise DeclarationError(
            f"{who}: heat is a part such as Jacket(), CoolantJacket(), Adiabatic() or Thermostat(), got {unit.heat!r}."
        )
    if isinstance(getattr(unit.heat, "wall", None), FoulingWall):
        raise DeclarationError(
            f"{who}: a FoulingWall counts the species of a reactor, which a culture has not.\n"
            "  Use wall=Wall(...), with its U as a parameter that changes from phase to phase."
        )
    if unit.combustion is None:
        raise DeclarationError(
            f"{who}: what heat does the metabolism set free?\n"
            '  Give combustion={"O2": 460.0}, the oxycaloric value in J/mmol, or heats of combustion by component,\n'
            '  such as {"S": 15.6e3, "X": 20e3} in J/g; combustion={} for none.'
        )
    if "T" in unit.conditions:
        raise DeclarationError(f"{who}: T is a state of the energy balance, and a condition.\n  Give one of the two.")
    for key, feed in unit.feeds.items():
        if feed.T is None:
            raise DeclarationError(
                f"{who}: feed {key} has no temperature, which the energy balance needs.\n"
                f"  Write {type(feed).__name__}(..., T=298.15), in K."
            )


def _stirring(unit: Any, v: Any) -> Any:
    return v.Q_s if unit.gas is None else v.Q_s + unit.gas.heat(v.gas)


def _heated(v: Any, feed: Inflow) -> Any:
    return expressed(v.rhoCp * feed.flow * (feed.T - v.T), "W")
