"""What do all well-mixed reactors share? `Vessel`: balances over a reaction network, and its safety."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from titer.flowsheets.declarations import Bounded, Conserved, Equations, Expression, Parameter, State
from titer.flowsheets.symbols.smooth import smooth_maximum, smooth_minimum
from titer.flowsheets.symbols.symbol import quantity, symbol_array
from titer.flowsheets.unit import Part, Unit
from titer.flowsheets.units.jackets import Isothermal, Jacket, expressed
from titer.flowsheets.units.network import (
    check_balances,
    check_heats,
    check_masses,
    check_reachable,
    check_reactions,
    completing,
    invariants,
    matrix_of,
)
from titer.flowsheets.units.reactions import Arrhenius, MassAction, PowerLaw, RateLaw, Reaction
from titer.numerics.errors import DeclarationError, unknown

CONSECUTIVE = (
    Reaction("r_1", {"A": -1, "B": 1}, MassAction(2.0e9, E=8.0e4), dH=-5.0e4),
    Reaction("r_2", {"B": -1, "C": 1}, MassAction(1.0e10, E=9.0e4), dH=-2.0e4),
)
_SMALLEST = 1e-6  # of the reference concentration: what powers that are no whole numbers see in place of zero


@dataclass(frozen=True, eq=False)
class Stream:
    """What flows into a vessel: volume per time, concentrations, temperature."""

    flow: Any
    c: Any
    T: Any


class Vessel(Unit):
    """What the stirred reactors of the library are made of; `inflow` and `outflow` say what crosses its border."""

    species: tuple[str, ...] = ("A", "B", "C")
    reactions: tuple[Reaction, ...] = CONSECUTIVE
    jacket: Part = Jacket()
    key: str = ""  # the species whose conversion is counted; the first where none is named
    added: tuple[str, ...] = ()  # species that come with a stream or with a phase's start
    elements: Mapping[str, Mapping[str, float]] = {}
    molar_mass: Mapping[str, float] = {}  # g/mol
    rounding: float = 1e-4  # mol/L, within which T_ad passes from one limiting reactant to another

    c = State("mol/L", start=(1.0, 0.0, 0.0), lower=0.0, nominal=1.0, over="species", doc="concentrations")
    T = State("K", start=320.0, lower=200.0, upper=800.0, doc="reactor temperature")
    converted = State("mol/L", start=0.0, nominal=1.0, doc="key species that has reacted, as if it were still there")

    k0 = Parameter("mol/L/s", lower=0.0, over="with_constant", doc="frequency factors, or rate constants at T_ref")
    E = Parameter("J/mol", lower=0.0, over="with_constant", doc="activation energies")
    order = Parameter("1", over="powers", doc="orders of power laws")
    dH = Parameter("J/mol", over="reaction_names", doc="heats of reaction")
    V = Parameter("L", 1.0, lower=1e-6, doc="volume of the contents")  # a State where something flows in
    c_ref = Parameter("mol/L", 1.0, lower=1e-9, doc="reference concentration of rate laws")
    rhoCp = Parameter("J/L/K", 4200.0, lower=1.0, doc="volumetric heat capacity")
    Q_s = Parameter("W", 0.0, doc="heat of stirring")
    R = Parameter("J/mol/K", 8.314, lower=0.0, doc="gas constant")

    k = Expression("mol/L/s", over="with_constant", doc="rate constants")
    r = Expression("mol/L/s", over="reaction_names", doc="rates of reaction")
    Q_r = Expression("W", doc="heat of the reactions")
    Q_j = Expression("W", doc="heat from the jacket")
    T_ad = Expression("K", doc="adiabatic temperature under cooling failure")
    conversion = Expression("1", doc="conversion of the key species")

    def __init__(self, name: str, **changes: Any):
        reactions, species = (changes.get(key, getattr(type(self), key)) for key in ("reactions", "species"))
        who = f"{name} ({type(self).__name__})"
        check_reactions(who, reactions, species)
        super().__init__(name, **_filled(who, self.declarations, changes, reactions, species))
        _check(self)

    @property
    def reaction_names(self) -> tuple[str, ...]:
        """The index set of reactions."""
        return tuple(r.name for r in self.reactions)

    @property
    def with_constant(self) -> tuple[str, ...]:
        """The index set of reactions whose law has a rate constant."""
        return tuple(r.name for r in self.reactions if isinstance(r.law, Arrhenius))

    @property
    def powers(self) -> tuple[str, ...]:
        """The index set of orders, "r_1:A"."""
        return tuple(f"{r.name}:{key}" for r in self.reactions if isinstance(r.law, PowerLaw) for key in r.law.orders)

    def inflow(self, v: Any) -> Stream | None:
        """What comes in; None: nothing can."""
        return None

    def outflow(self, v: Any) -> Any:
        """Volume per time that goes out."""
        return quantity(0.0, f"L/{self.time}")

    def leaving(self, v: Any) -> dict[str, Any]:
        """What the outlets carry."""
        return {}

    def equations(self, v: Any) -> Equations:
        jacket: Any = self.jacket
        feed, drawn, time = self.inflow(v), self.outflow(v), self.time
        rates = self._reaction(v)
        Q_r = v.define("Q_r", expressed(-v.V * _total(v.dH * rates), "W"))
        others = Q_r + v.Q_s
        if feed is not None:
            others = others + expressed(v.rhoCp * feed.flow * (feed.T - v.T), "W")
        Q_j, own = jacket.exchange(v.jacket, v, others, time)
        Q_j = v.define("Q_j", Q_j)
        v.define("T_ad", self._left_alone(v))
        key = self.species.index(self.key or self.species[0])
        v.define("conversion", v.converted / (v.converted + v.c[key] + 1e-12))
        made = symbol_array([expressed(x, f"mol/L/{time}") for x in _made(self, rates)])
        warmed = 0.0 if jacket.keeps_temperature else expressed((others + Q_j) / (v.rhoCp * v.V), f"K/{time}")
        rate = {"c": made, "converted": -made[key], "T": warmed}
        if feed is not None:
            diluted = expressed(feed.flow / v.V, f"1/{time}")
            rate["c"] = made + diluted * (feed.c - v.c)
            rate["converted"] = -made[key] - diluted * v.converted
            rate["V"] = expressed(feed.flow - drawn, f"L/{time}")
        return Equations(rate=rate | {f"jacket.{path}": x for path, x in own.items()}, port=self.leaving(v))

    def conserved(self, v: Any) -> dict[str, Any]:
        """Elements (or the combinations of moles that no reaction changes), mass and energy, fed by the streams.

        Energy counts the heat that species carry, a combination h of the heats of reaction with
        sum_i nu_ij h_i = dH_j, where the reactions are independent; elsewhere Q_r is a source.
        """
        nu, jacket = matrix_of(self.reactions, self.species), self.jacket
        independent = np.linalg.matrix_rank(nu) == len(self.reactions)
        totals = {key: self._total(v, weights) for key, weights in _kept(self).items()}
        if self.molar_mass:
            M = quantity([self.molar_mass[key] for key in self.species], "g/mol")
            totals["mass"] = self._total(v, M, v.V * _total(nu.T @ M * v.r))  # a source by what M is rounded
        h = np.linalg.pinv(nu.T) @ v.dH if independent else 0.0 * v.dH[0] * np.ones(len(self.species))
        heat = v.Q_j + v.Q_s if independent else v.Q_j + v.Q_s + v.Q_r
        totals["energy"] = self._total(v, h, heat, v.rhoCp)
        return totals | jacket.stored(v.jacket, v, self.time)  # type: ignore[attr-defined]

    def _total(self, v: Any, weights: Any, source: Any = None, sensible: Any = None) -> Conserved:
        """What the species hold by weights, and sensible heat, with what streams and a source bring."""

        def held(c: Any, T: Any) -> Any:
            return _total(weights * c) if sensible is None else _total(weights * c) + sensible * T

        total, feed = v.V * held(v.c, v.T), self.inflow(v)
        per = f"{total.measure.label}/{self.time}"
        brought = [] if source is None else [expressed(source, per)]
        if feed is not None:
            brought.append(expressed(feed.flow * held(feed.c, feed.T) - self.outflow(v) * held(v.c, v.T), per))
        return Conserved(total, _total(brought) if brought else 0.0)

    def _reaction(self, v: Any) -> Any:
        """Rate constants and rates, defined."""
        constants = {r.name: r.law for r in self.reactions if isinstance(r.law, Arrhenius)}
        raw = [law.constant(v.k0[i], v.E[i], v.R, v.T) for i, law in enumerate(constants.values())]
        k = dict(zip(constants, v.define("k", symbol_array(raw)), strict=True)) if raw else {}
        orders = dict(zip(self.powers, v.order, strict=True)) if self.powers else {}
        rates = []
        for r in self.reactions:
            try:
                rate = k[r.name] * self._driven(v, r, orders) if r.name in k else r.law(v)  # type: ignore[operator]
                rates.append(expressed(rate, self.declarations["r"].unit))  # type: ignore[union-attr]
            except DeclarationError as error:
                raise DeclarationError(f"rate law of {r.name}: {error}") from None
        return v.define("r", symbol_array(rates))

    def _driven(self, v: Any, reaction: Reaction, orders: Mapping[str, Any]) -> Any:
        """What a rate constant is multiplied by: a function, or powers of concentrations over their reference."""
        law = reaction.law
        if isinstance(law, RateLaw):
            return law.function(v)
        names = law.orders if isinstance(law, PowerLaw) else reaction.reactants
        factors = []
        for key in names:
            x, n = v.c[self.species.index(key)] / v.c_ref, reaction.reactants.get(key, 0.0)
            if isinstance(law, PowerLaw):
                factors.append(smooth_maximum(x, 0.0, _SMALLEST) ** orders[f"{reaction.name}:{key}"])
            else:
                factors.append(x if n == 1 else (x if n.is_integer() else smooth_maximum(x, 0.0, _SMALLEST)) ** n)
        return reduce(lambda a, b: a * b, factors) if factors else 1.0

    def _left_alone(self, v: Any) -> Any:
        """The temperature after all that can still react has reacted, without cooling and without feed."""
        left, heat = list(v.c), []
        for reaction in completing(self.reactions):
            limiting = [reaction.limiting] if reaction.limiting else reaction.reactants
            amounts = [left[self.species.index(key)] / reaction.reactants[key] for key in limiting]
            extent = reduce(lambda a, b: smooth_minimum(a, b, self.rounding) + self.rounding / 2.0, amounts)
            for key, n in reaction.stoichiometry.items():
                left[self.species.index(key)] = left[self.species.index(key)] + n * extent
            heat.append(-v.dH[self.reactions.index(reaction)] * extent)
        return v.T + _total(heat) / v.rhoCp if heat else v.T


def _made(vessel: Vessel, rates: Any) -> list[Any]:
    """Moles of each species made by the reactions, per volume and time."""
    nu = matrix_of(vessel.reactions, vessel.species)
    return [_total([n * r for n, r in zip(row, rates, strict=True) if n] or [0.0 * rates[0]]) for row in nu]


def _kept(vessel: Vessel) -> dict[str, Any]:
    """Weights of what no reaction changes, by name."""
    if vessel.elements:
        names = sorted({element for composition in vessel.elements.values() for element in composition})
        return {
            name: np.array([float(vessel.elements[key].get(name, 0.0)) for key in vessel.species]) for name in names
        }
    found = {}
    for weights in invariants(vessel.reactions, vessel.species):
        name = " + ".join(key if n == 1.0 else f"{n:g} {key}" for key, n in weights.items())
        full = len(weights) == len(vessel.species) and set(weights.values()) == {1.0}
        found["moles" if full else name] = np.array([weights.get(key, 0.0) for key in vessel.species])
    return found


def _total(values: Any) -> Any:
    return reduce(add, values)


def _filled(
    who: str,
    declarations: Mapping[str, Any],
    changes: Mapping[str, Any],
    reactions: Sequence[Reaction],
    species: Sequence[str],
) -> dict[str, Any]:
    """Keywords completed: rate constants and heats of the network, dicts by label put in order."""
    laws = {r.name: r.law for r in reactions if isinstance(r.law, Arrhenius)}
    powers = {name: law for name, law in laws.items() if isinstance(law, PowerLaw)}
    declared: dict[str, dict[str, Any]] = {
        "k0": {name: law.k0 for name, law in laws.items()},
        "E": {name: law.E for name, law in laws.items()},
        "order": {f"{name}:{key}": n for name, law in powers.items() for key, n in law.orders.items()},
        "dH": {r.name: 0.0 if r.dH is None else r.dH for r in reactions},
    }
    over = [k for k, d in declarations.items() if isinstance(d, Bounded | Parameter) and d.over == ("species",)]
    if "species" not in changes:  # else the declared starts and feeds, which belong to the declared species, are gone
        over = [key for key in over if isinstance(given := changes.get(key), Mapping) and set(given) & set(species)]
    declared |= {key: dict.fromkeys(species, 0.0) for key in over}
    filled = dict(changes)
    for key, values in ((key, values) for key, values in declared.items() if values):
        given = changes.get(key, {})
        if not isinstance(given, Mapping):
            continue
        slots = {slot: x for slot, x in given.items() if slot in ("start", "value", "lower", "upper", "nominal")}
        for label in given:
            if label not in slots and label not in values:
                raise DeclarationError(f"{who}: {key}: {unknown('label', label, values)}")
        labelled = {label: x for label, x in given.items() if label not in slots}
        filled[key] = {"start": list((values | labelled).values())} | slots
    return filled


def _check(vessel: Vessel) -> None:
    """Whether the network is sound. Raises DeclarationError."""
    who = vessel._who
    reactions, species = vessel.reactions, vessel.species
    if not isinstance(vessel.jacket, Isothermal):
        raise DeclarationError(
            f"{who}: jacket is a part such as Jacket(), CoolantJacket(), Adiabatic() or Thermostat(), "
            f"got {vessel.jacket!r}."
        )
    for key in (*vessel.added, *([vessel.key] if vessel.key else [])):
        if key not in species:
            raise DeclarationError(f"{who}: {unknown('species', key, species)}")
    if vessel.elements:
        check_balances(who, reactions, species, vessel.elements)
    if vessel.molar_mass:
        check_masses(who, reactions, species, vessel.molar_mass)
    if not vessel.jacket.knows_heats:
        heats = [vessel.scalars[f"dH[{r.name}]"].start for r in reactions]
        check_heats(who, reactions, heats)
    sources = {}
    for key in species:
        held = [vessel.scalars[f"{given}[{key}]"].start for given in ("c", "c_in") if given in vessel.declarations]
        sources[key] = key in vessel.added or any(x > 0.0 for x in held)
    check_reachable(who, reactions, species, sources)
