"""What is a packed column? Flow with dispersion, transport to the packing, and binding there: three parts to choose."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar

from titer.flowsheets.declarations import (
    Conserved,
    Declaration,
    Equations,
    Inlet,
    Outlet,
    Parameter,
    Port,
    State,
)
from titer.flowsheets.scalar import number_in
from titer.flowsheets.symbols import vectors
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import symbol_array
from titer.flowsheets.symbols.vectors import apart
from titer.flowsheets.unit import Part, Unit
from titer.flowsheets.units.columns.bed import Bed
from titer.flowsheets.units.columns.binding import Binding, Linear, Numbers
from titer.flowsheets.units.columns.checks import PARTS, check_parts
from titer.flowsheets.units.columns.choice import check, chosen, coarseness, peclet
from titer.flowsheets.units.columns.contact import Contact
from titer.flowsheets.units.columns.direction import either_way
from titer.flowsheets.units.columns.packing import Packing, packing
from titer.flowsheets.units.columns.transport import LumpedRate, Transport
from titer.flowsheets.units.jackets import expressed
from titer.numerics.errors import DeclarationError
from titer.numerics.spatial.line import Method


class Column(Unit):
    """A packed column.

    Equations, for each component
        c_t = -u c_z + D_ax c_zz - exchange with the packing,  u = feed.flow L/(CV eps)
        u c_in = u c - D_ax c_z at the inlet, c_z = 0 at the outlet (Danckwerts)
        outlet: the concentration that leaves, with the flow of the feed
    The exchange, and which porosity eps is, says the part `transport`: LumpedRate, LumpedRateWithPores, GeneralRate.
    How liquid and solid concentrations hang together says `binding`: Linear, Langmuir, StericMassAction...

    Symbols: c concentrations of the liquid that flows, c_p those in pores (where there are any), q those bound, by
    volume of solid; L bed height, CV column volume. Whatever the model, c, c_p and q have names, states or expressions:
    column.c[3, "lysozyme"], column.q[...], column.outlet.c["lysozyme"].

    Assumptions: plug flow with dispersion, one temperature, constant density.

    `components`: all of them; `concentration`: the unit of their concentrations; `start`: the liquid that the column
    is in equilibrium with at first (components left out: none; salt of an ion exchanger and pH of Protein A are not to
    be), `solid`: what is bound at first, where it is not in equilibrium with that (not with exchange=Equilibrium() of
    laws q = q*(c), where it always is); `usual`: sizes of concentrations, to which tolerances are relative (components
    left out: 1, or what they start with where that is more). `method`: how the column is
    discretized; where it is left out it follows the Peclet number at `design_flow` [mL/min] (150 cm/h without one), and
    where both are given it is checked against it. `reversible`: there is a parameter direction, 1, to be fixed at -1 in
    phases with flow from the other end (Phase(fixed={column.direction: -1.0})); states are counted from where the
    flow at 1 enters. It costs as much as a second column.
    Sources: of the parts; Danckwerts, Chem. Eng. Sci. 2 (1953) 1.
    """

    time: ClassVar[str] = "s"

    components: tuple[str, ...] = ("product",)
    concentration: str = "mol/m^3"
    transport: Part = LumpedRate()
    binding: Part = Linear(bound=("product",))
    method: Method | None = None
    design_flow: float | None = None
    start: Mapping[str, float] = {}
    solid: Mapping[str, float] | None = None
    usual: Mapping[str, float] = {}
    reversible: bool = False

    L = Parameter("cm", 10.0, lower=1e-6, doc="bed height")
    CV = Parameter("mL", 10.0, lower=1e-9, doc="column volume")

    def __init__(self, name: str, **changes: Any):
        who = f"{name} ({type(self).__name__})"
        check_parts(who, {key: changes.get(key, getattr(type(self), key)) for key in PARTS})
        changes["method"] = _method_for(who, type(self), changes)
        super().__init__(name, **changes)

    @property
    def nodes(self) -> tuple[int, ...]:
        """The index set of points along the column."""
        return tuple(range(self.packing.nodes))

    @property
    def points(self) -> tuple[int | str, ...]:
        """The index set of points where liquid meets solid: nodes, or "node:shell" in beads of several shells."""
        shells = self.packing.shells
        return self.nodes if shells < 2 else tuple(f"{k}:{j}" for k in self.nodes for j in range(shells))

    @property
    def bound(self) -> tuple[str, ...]:
        """The index set of components that bind."""
        return tuple(self._law.bound)

    @property
    def unbound(self) -> tuple[str, ...]:
        """The index set of components that do not."""
        return tuple(key for key in self.components if key not in self.bound)

    @cached_property
    def packing(self) -> Packing:
        """The points of the column."""
        assert self.method is not None  # it was chosen
        return packing(self.method.line(), self._carrier.pores, self._carrier.beads)

    @property
    def bed(self) -> Bed:
        """The bed's sizes: what velocities, residence times and column volumes are on it."""
        return Bed(self.scalars["L"].start, self.scalars["CV"].start)

    def velocity(self, v: Any) -> Any:
        """The superficial velocity [m/s] of a view."""
        return expressed(v.feed.flow * v.L / v.CV, "m/s")

    def peclet(self, flow: float) -> float:
        """The Peclet number u L/D_ax at a flow [mL/min]; over `method.intervals` it should stay below about 2."""
        return peclet(self._carrier, self.scalars["L"].start, self.scalars["CV"].start, flow)

    @property
    def _law(self) -> Binding:
        return self.binding  # type: ignore[return-value]

    @property
    def _carrier(self) -> Transport:
        return self.transport  # type: ignore[return-value]

    def derived(self) -> Mapping[str, Declaration | Port]:
        unit = self.concentration
        found: dict[str, Declaration | Port] = {
            "feed": Inlet("mL/min", c=(unit, "components")),
            "outlet": Outlet("mL/min", c=(unit, "components")),
        }
        if self.reversible:
            found["direction"] = Parameter("1", 1.0, lower=-1.0, upper=1.0, doc="of the flow: 1, or -1 backwards")
        contact = self._contact
        found |= contact.binding.exchange.declared(contact)
        if self._carrier.pores:
            start = [contact.start[key] for key in self.components]
            found["c"] = State(
                unit,
                start=start,
                nominal=contact.sizes(self.components),
                over=("nodes", "components"),
                doc="in the bulk",
            )
        return found

    @property
    def _contact(self) -> Contact:
        return Contact(
            liquid="c_p" if self._carrier.pores else "c",
            components=self.components,
            binding=self._law,
            unit=self.concentration,
            time=self.time,
            count=self.packing.points,
            start={key: float(self.start.get(key, 0.0)) for key in self.components},
            solid=self.solid,
            usual=self.usual,
            F=self._carrier.solids(Numbers(self._carrier)),
        )

    def equations(self, v: Any) -> Equations:
        contact, transport = self._contact, self._carrier
        known = contact.binding.exchange.concentrations(contact, v)
        bulk = contact.vectors(v.c, self.components) if transport.pores else known.c
        arriving, leaving = self._flow(v, bulk)
        outside, totals, moved = transport.split(v, bulk, arriving, known, self)
        rate, zero = contact.binding.exchange.given(contact, v, known, totals, moved, transport.solids(v.transport))
        if outside:
            columns = [apart(outside[key], len(self.nodes)) for key in self.components]
            rate["c"] = symbol_array([[column[k] for column in columns] for k in self.nodes])
        carried = symbol_array([apart(leaving[key], 1)[0] for key in self.components])
        return Equations(rate=rate, zero=zero, port={"outlet": {"flow": v.feed.flow, "c": carried}})

    def conserved(self, v: Any) -> dict[str, Conserved]:
        """The amount of each component, with what flow brings and takes."""
        contact, transport = self._contact, self._carrier
        known = contact.read(v)
        bulk = contact.vectors(v.c, self.components) if transport.pores else known.c
        totals = contact.totals(v.binding, known.c, known.q, transport.solids(v.transport))
        held = transport.amount(v.transport, bulk, totals, self)
        found = {}
        for i, key in enumerate(self.components):
            brought = v.feed.flow * (v.feed.c[i] - v.outlet.c[i])
            found[key] = Conserved(
                v.CV * apart(held[key], 1)[0], expressed(brought, f"mL*({contact.unit})/{self.time}")
            )
        return found

    def doubts(self, value: Callable[[str], Any]) -> list[str]:
        """No flow, or a negative one; without beads, which smooth fronts, a method too coarse for the Peclet number."""
        flow = value(f"{self.outlet}.flow")
        largest = float(abs(flow).max())
        if float(flow.min()) < 0.0:
            return [
                f"the flow through {self.name} is negative, for which its inlet is no inlet; "
                f"flow from the other end is reversible=True and Phase(..., fixed={{{self.name}.direction: -1.0}})"
            ]
        if largest == 0.0:
            return [f"nothing flows through {self.name}; a column at rest is idle: Phase(..., idle=[{self.name}])"]
        if self._carrier.pores:
            return []
        assert self.method is not None  # it was chosen
        doubt = coarseness(self.name, self.peclet(largest), self.method)
        return [] if doubt is None else [doubt]

    def _flow(self, v: Any, bulk: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Rates by flow and dispersion, and what leaves: by component."""
        eps, per = self._carrier.porosity(v.transport), f"1/{self.time}"
        convected = expressed(v.feed.flow / (v.CV * eps), per)
        dispersed = expressed(self._carrier.dispersed(v.transport, self.velocity(v)) / v.L**2, per)
        flow = self.packing.line.flow(convected, dispersed, vectors)
        if self.reversible:
            flow = either_way(flow, len(self.nodes), 0.5 * (1.0 + v.direction))
        made = {key: flow(bulk[key], v.feed.c[i]) for i, key in enumerate(self.components)}
        return {key: x for key, (x, _) in made.items()}, {key: x for key, (_, x) in made.items()}


def _method_for(who: str, cls: type[Column], changes: Mapping[str, Any]) -> Method:
    """The method that is given, or that the Peclet number at the design flow calls for; it warns of coarse ones."""
    method, transport, flow = (changes.get(key, getattr(cls, key)) for key in ("method", "transport", "design_flow"))
    if flow is not None and not 0.0 < flow < math.inf:
        raise DeclarationError(f"{who}: design_flow must be positive and finite, got {flow!r} mL/min.")
    if method is not None and flow is None:
        return method  # type: ignore[no-any-return]
    L, CV = (_number(who, declared, changes) for declared in (cls.L, cls.CV))
    number = peclet(transport, L, CV, 2.5 * CV / L if flow is None else flow)
    if method is None:
        return chosen(who, number, bool(transport.pores))
    check(who, number, method)
    return method  # type: ignore[no-any-return]


def _number(who: str, declared: Parameter, changes: Mapping[str, Any]) -> float:
    """The value that a parameter is given, before there is a column."""
    value = changes.get(declared.attribute, declared.value)
    if isinstance(value, Mapping):
        value = value.get("value", value.get("start", declared.value))
    number = number_in(value, Measure.of(declared.unit), f"{who}: {declared.attribute}")
    if not 0.0 < number < math.inf:
        raise DeclarationError(
            f"{who}: {declared.attribute} must be positive and finite, got {number:g} {declared.unit}."
        )
    return number
