"""What is a stirred culture? `Bioreactor`: balances of populations, substrates and products, fed, drawn, aerated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

from titer.flowsheets.declarations import (
    Algebraic,
    Conserved,
    Control,
    Declaration,
    Equations,
    Parameter,
    Port,
    State,
)
from titer.flowsheets.recipes.actions import action, not_negative
from titer.flowsheets.symbols.smooth import smooth_minimum
from titer.flowsheets.symbols.symbol import FLOATS, Symbol, quantity, symbol_array
from titer.flowsheets.unit import Part, Unit
from titer.flowsheets.units.cultures.checks import check_culture, check_names, component_unit, per_amount
from titer.flowsheets.units.cultures.energy import energy_declarations, energy_rates, energy_totals
from titer.flowsheets.units.cultures.feeds import (
    Drawn,
    Feed,
    Inflow,
    Outflow,
    Piped,
    flow_of,
    stream_declarations,
)
from titer.flowsheets.units.cultures.gassing import Exchange, Gas
from titer.flowsheets.units.cultures.kinetics.growth import Growth
from titer.flowsheets.units.cultures.kinetics.kinetics import Kinetics
from titer.flowsheets.units.cultures.kinetics.limitation import Monod
from titer.flowsheets.units.jackets import expressed
from titer.numerics.errors import DeclarationError, SpecificationError, unknown

MONOD = Kinetics(growth=Growth(0.4, Monod("S", 0.1), yields={"S": 0.5}))


class Bioreactor(Unit):
    """Stirred culture: any populations, substrates and products, with kinetics as a part.

    Equations, for each component i of concentration c_i
        d(c_i V)/dt = V r_i + sum_f F_f c_i,f - sum_o F_o (1 - held_i,o) c_i + V t_i
        dV/dt = sum_f F_f - sum_o F_o - evaporation - sampling
        r_i from the part `kinetics` (Kinetics of processes), or a function of the view that gives them by component
        t_i from the part `gas`: transfer between gas and liquid, 0 without one
        rhoCp V dT/dt = Q_met + Q_j + Q_s + sum_f F_f rhoCp (T_f - T) - evaporation latent, where there is a part `heat`
        Q_met = -V sum_i h_i r_i,  Q_j as the part `heat` says;  Q_s with the power of a stirrer that `gas` knows

    Symbols
        X, S, P, ...    concentrations of the components, by their own names, each a state in its own unit (default g/L)
        V               volume [L], a state; its upper bound is the vessel's working volume
        F_feed          rate of a feed [L/h], a control; S_feed the concentration of S in it, a parameter
        F_harvest       rate of an outflow [L/h], a control; X_held_harvest the fraction of X that is held back
        evaporation     loss of water [L/h];  sampling  broth taken as samples, on average [L/h]
        Y_S, K, mu, ... what the processes of `kinetics` declare, under their names: kinetics.growth.Y_S
        T               temperature [K], a state where there is a part `heat`; T_feed that of a feed
        rhoCp, latent   volumetric heat capacity [J/L/K], heat of vaporization [J/L]
        h_S             heat of combustion of S [J by amount], of those that `combustion` names
        Q_met, Q_j, Q_s heat of the metabolism, from the jacket, and of stirring [W]

    Structure: `populations`, `substrates`, `products` (names, which become those of states), `units` (of concentrations
    that are not in g/L, such as {"Xv": "Gcell/L", "Glc": "mmol/L"}), `kinetics`, `feeds` (Feed, Piped), `outflows`
    (Outflow; each is an outlet port), `carried` (components that outlets carry in `c`; default: all, then of one unit),
    `gas` (OxygenTransfer, StirredTransfer; quasi_steady=True: what it exchanges is algebraic, where dc_i/dt = 0),
    `heat` (a Jacket, Adiabatic, Thermostat, ...: T is then a state) with `combustion` (heats by component:
    {"O2": 460.0} J/mmol, the oxycaloric value, or heats of combustion of what is taken and made), `conditions` (what
    else is given as a trajectory, such as {"T": Control("K", start=310.0)} or {"pH": Control("1", start=7.0)}),
    `parameters` (of kinetics that are a function), `contents` (of an element by component, {"C": {"X": 0.4, "S": 0.4}},
    checked as a balance). Starts are keywords, Bioreactor("culture", X=0.1, S=20.0, V=1.0).

    Assumptions: perfect mixing; volumes add; evaporation takes water alone; gas carries no heat.
    Source: the general balances of fed-batch and perfusion cultures, e.g. Kyriakopoulos et al., Biotechnol. J. 13
    (2018) 1700229; Villadsen, Nielsen & Liden, Bioreaction Engineering Principles, chapters 3 and 9, with the 460
    J/mmol O2 of combustion balances; that heat follows oxygen was measured, at some 10 % more, by Cooney, Wang &
    Mateles, Biotechnol. Bioeng. 11 (1969) 269.
    """

    time = "h"

    populations: tuple[str, ...] = ("X",)
    substrates: tuple[str, ...] = ("S",)
    products: tuple[str, ...] = ()
    units: Mapping[str, str] = {}
    kinetics: Kinetics | Callable[[Any], Mapping[str, Any]] = MONOD
    feeds: Mapping[str, Feed | Piped] = {}
    outflows: Mapping[str, Outflow] = {}
    carried: tuple[str, ...] = ()
    gas: Part | None = None
    heat: Part | None = None
    combustion: Mapping[str, float] | None = None
    conditions: Mapping[str, Control] = {}
    parameters: Mapping[str, Parameter] = {}
    contents: Mapping[str, Mapping[str, float]] = {}

    V = State("L", start=1.0, lower=1e-6, doc="volume of the broth")
    evaporation = Parameter("L/h", 0.0, lower=0.0, doc="loss of water")
    sampling = Parameter("L/h", 0.0, lower=0.0, doc="broth taken as samples, on average")

    def __init__(self, name: str, **changes: Any):
        super().__init__(name, **changes)
        check_culture(self)

    # --- structure -------------------------------------------------------------------------------------------------

    @property
    def components(self) -> tuple[str, ...]:
        """Populations, substrates, products, and what the gas dissolves."""
        dissolved = tuple(self.gas.dissolved) if isinstance(self.gas, Gas) else ()
        return (*self.populations, *self.substrates, *self.products, *dissolved)

    @property
    def steady(self) -> tuple[str, ...]:
        """Components in quasi-steady exchange with the gas: algebraic variables, no amounts that the broth holds."""
        fast = self.gases if isinstance(self.gas, Gas) and self.gas.quasi_steady else ()
        return tuple(key for key in fast if key in self.components)

    @property
    def carried_components(self) -> tuple[str, ...]:
        """The index set of what outlets and piped feeds carry."""
        return self.carried or self.components

    @property
    def gases(self) -> tuple[str, ...]:
        """The index set of what the off-gas carries."""
        return self.gas.gases if isinstance(self.gas, Gas) else ()

    def unit_of(self, component: str, what: str = "") -> str:
        """The unit of a component's concentration. Raises DeclarationError for a component that is not there."""
        return component_unit(self, component, what or self._who)

    def derived(self) -> dict[str, Declaration | Port]:
        check_names(self)
        own = type(self).declarations
        found: dict[str, Declaration | Port] = {
            k: replace(d) for k, d in {**self.conditions, **self.parameters}.items()
        }
        for key in self.components:
            found[key] = State(self.unit_of(key), start=0.0, lower=0.0, doc=f"{key} in the broth")
        dissolved = self.gas.dissolved if isinstance(self.gas, Gas) else {}
        found |= {key: replace(state) for key, state in dissolved.items()}
        found |= stream_declarations(self)
        if isinstance(self.gas, Gas):
            found |= self.gas.ports(self.time)
        if self.heat is not None:
            found |= energy_declarations(self)
        found = {key: d for key, d in found.items() if key not in own}
        return found | {key: _algebraic(found.get(key, own.get(key))) for key in self.steady}

    # --- what a kind of culture may say otherwise ------------------------------------------------------------------

    def conversion(self, v: Any) -> Mapping[str, Any]:
        """What the culture makes and takes: rates per volume by component, as its kinetics say."""
        if isinstance(self.kinetics, Kinetics):
            return self.kinetics.rates(v.kinetics, v)
        return self.kinetics(v)

    def inflows(self, v: Any) -> list[Inflow]:
        """What comes in: the feeds."""
        found = []
        for key, feed in self.feeds.items():
            T = None if self.heat is None else getattr(v, f"T_{key}")
            if isinstance(feed, Piped):
                port = getattr(v, key)
                found.append(Inflow(port.flow, dict(zip(self.carried_components, port.c, strict=True)), T))
            else:
                c = {component: getattr(v, f"{component}_{key}") for component in feed.composition}
                found.append(Inflow(getattr(v, flow_of(key, feed)), c, T))
        return found

    def added(self, v: Any, rates: Mapping[str, Any]) -> list[Inflow]:
        """What is added as the culture asks for it, such as a base that follows its acid."""
        return []

    def drawn(self, v: Any, incoming: Any) -> dict[str, Drawn]:
        """What goes out, by outflow; `incoming`: all that comes in, volume per time."""
        nothing = quantity(0.0, f"L/{self.time}")
        open_ = {key: o for key, o in self.outflows.items() if not o.level}
        flows = {key: getattr(v, flow_of(key, o)) for key, o in open_.items()}
        kept = incoming - reduce(add, flows.values(), nothing) - v.evaporation - v.sampling
        flows |= {key: kept for key, o in self.outflows.items() if o.level}
        return {
            key: Drawn(flows[key], {c: 1.0 - getattr(v, f"{c}_held_{key}") for c in o.retains})
            for key, o in self.outflows.items()
        }

    # --- what is done at once as a phase begins ----------------------------------------------------------------------

    @action(volume="L")
    def bolus(self, v: Any, volume: Any, **c: Any) -> dict[str, Any]:
        """Add a volume of these concentrations: `Phase(..., actions=[culture.bolus(0.1, S=500.0)])`.

        A dry addition has a small volume and a large concentration. What is not named is not in it. It is as warm as
        the broth: an energy balance does not notice it.
        """
        inside = {
            key: value if isinstance(value, Symbol) else quantity(value, self.unit_of(key)) for key, value in c.items()
        }
        not_negative(volume=volume, **inside)
        for key in self.steady:
            if key in inside:
                raise SpecificationError(
                    f"{key} is in quasi-steady exchange with the gas: a bolus cannot bring it.\n"
                    "  Leave it out, or give the culture a gas with quasi_steady=False."
                )
        after = v.V + volume
        mixed = {}
        for key in (k for k in self.components if k not in self.steady):
            brought = inside[key] * volume if key in inside else 0.0 * getattr(v, key) * volume
            mixed[key] = (getattr(v, key) * v.V + brought) / after
        return {"V": after, **mixed}

    @action(volume="L")
    def sample(self, v: Any, volume: Any) -> dict[str, Any]:
        """Take a volume of broth: `actions=[culture.sample(0.005)]`."""
        not_negative(volume=volume)
        return {"V": v.V - volume}

    @action(volume="L")
    def draw_to(self, v: Any, volume: Any) -> dict[str, Any]:
        """Take broth until this volume is left, as in repeated fed-batch: `actions=[culture.draw_to(1.0)]`.

        Where there is no more than that, nothing is taken: the smaller volume, rounded within a millionth of V.
        """
        least = self.scalars["V"].lower
        if isinstance(volume, Symbol) and volume.reading is FLOATS and volume.value < least:
            raise SpecificationError(f"volume is at least {least:g} L, the lower bound of V, got {volume!r}.")
        return {"V": smooth_minimum(v.V, volume, 1e-6 * v.V)}

    # --- balances --------------------------------------------------------------------------------------------------

    def equations(self, v: Any) -> Equations:
        if isinstance(self.gas, Gas):
            self.gas.observe(v.gas, v)
        rates = self._rates(v)
        exchange = self.gas.exchange(v.gas, v, rates, self) if isinstance(self.gas, Gas) else Exchange()
        feeds = [*self.inflows(v), *self.added(v, rates)]
        incoming = self._total([feed.flow for feed in feeds])
        drawn = self.drawn(v, incoming)
        rate: dict[str, Any] = {"V": self._swelling(v, feeds, drawn)}
        for key in self.components:
            c = getattr(v, key)
            brought = [feed.flow * (feed.c[key] - c) if key in feed.c else -feed.flow * c for feed in feeds]
            held = [d.flow * (1.0 - d.passes[key]) * c for d in drawn.values() if key in d.passes]
            made = [each[key] for each in (rates, exchange.rates) if key in each]
            moved = reduce(add, [*brought, *held, v.evaporation * c]) / v.V
            rate[key] = reduce(add, made, moved)
        zero = {**exchange.zero, **{key: rate.pop(key) for key in self.steady}}
        port = dict(exchange.port)
        for key, d in drawn.items():
            c = [getattr(v, k) * d.passes[k] if k in d.passes else getattr(v, k) for k in self.carried_components]
            port[key] = {"flow": d.flow, "c": symbol_array(c)}
        if self.heat is not None:
            rate |= energy_rates(self, v, rates, feeds)
        return Equations(rate=rate, zero=zero, port=port)

    def conserved(self, v: Any) -> dict[str, Any]:
        """The volume, and the elements of `contents`, with what streams bring and take."""
        feeds, drawn, _ = self._crossing(v)
        totals = {"volume": Conserved(v.V, self._swelling(v, feeds, drawn))}
        for element, content in self.contents.items():
            weights = {key: quantity(x, per_amount("g", self.unit_of(key))) for key, x in content.items()}
            totals[element] = replace(self.balance(v, weights), by_values=True)
        return totals if self.heat is None else totals | energy_totals(self, v, feeds, drawn.values())

    def balance(self, v: Any, weights: Mapping[str, Any]) -> Conserved:
        """What the broth holds of components by weights, and what streams and the gas bring and take.

        Of those in quasi-steady exchange it holds nothing: what is made of them goes at once.
        """
        feeds, drawn, exchange = self._crossing(v)
        held = v.V * reduce(add, [w * getattr(v, k) * (0.0 if k in self.steady else 1.0) for k, w in weights.items()])
        moved = [-v.sampling * held / v.V]
        made = self._rates(v)
        for key, w in weights.items():
            if key in self.steady:
                moved += [-v.V * w * made[key]] if key in made else []
                continue
            moved += [feed.flow * w * feed.c[key] for feed in feeds if key in feed.c]
            moved += [-d.flow * w * d.passes.get(key, 1.0) * getattr(v, key) for d in drawn.values()]
            moved += [v.V * w * exchange.rates[key]] if key in exchange.rates else []
        return Conserved(held, reduce(add, moved))

    def _crossing(self, v: Any) -> tuple[list[Inflow], dict[str, Drawn], Exchange]:
        """What comes in, goes out and passes between broth and gas, after the equations have run."""
        rates = self._rates(v)
        exchange = self.gas.exchange(v.gas, v, rates, self) if isinstance(self.gas, Gas) else Exchange()
        feeds = [*self.inflows(v), *self.added(v, rates)]
        return feeds, self.drawn(v, self._total([feed.flow for feed in feeds])), exchange

    def _swelling(self, v: Any, feeds: list[Inflow], drawn: Mapping[str, Drawn]) -> Any:
        """The rate of the volume: none, not even of rounding, where an outflow keeps it."""
        if any(outflow.level for outflow in self.outflows.values()):
            return quantity(0.0, f"L/{self.time}")
        flows = [*(feed.flow for feed in feeds), *(-d.flow for d in drawn.values())]
        return self._total(flows) - v.evaporation - v.sampling

    def _rates(self, v: Any) -> Mapping[str, Any]:
        rates = self.conversion(v)
        if not isinstance(rates, Mapping):
            raise DeclarationError(
                f"kinetics: expected a dict of rates per volume by component, got {type(rates).__name__}.\n"
                '  Return {"X": mu * v.X, "S": -mu * v.X / v.Y}.'
            )
        for key in rates:
            if key not in self.components:
                raise DeclarationError(f"kinetics: {unknown('component', key, self.components)}")
        return {key: self._rate_of(key, rate) for key, rate in rates.items()}

    def _rate_of(self, component: str, rate: Any) -> Any:
        """A rate per volume, in the component's amount and the culture's time."""
        try:
            return expressed(rate, f"{self.unit_of(component)}*1/{self.time}")
        except DeclarationError as error:
            raise DeclarationError(f"kinetics: rate of {component}: {error}") from None

    def _total(self, flows: Any) -> Any:
        return reduce(add, flows, quantity(0.0, f"L/{self.time}"))


def _algebraic(declared: Any) -> Algebraic:
    """A component declared as a state, as an algebraic variable."""
    slots = {slot: getattr(declared, slot) for slot in ("start", "lower", "upper", "nominal", "doc")}
    return Algebraic(declared.unit, **slots)
