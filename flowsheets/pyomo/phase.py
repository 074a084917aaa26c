"""What is a phase to Pyomo? A Block over positions from 0 to 1, and in it a Block for each unit operation.

phase.tau                    ContinuousSet from 0 to 1; phase.duration, phase.clock (its start), phase.time[tau]
phase.reactor.T[tau]         state or algebraic variable; inputs, expressions and streams stand beside it
phase.reactor.dT_dtau[tau]   equals duration * rate, by phase.reactor.balance[tau, "T"]
phase.reactor.T_j_pieces[i]  what an input is made of, fixed unless it is decided
phase.reactor.feed           Port of an inlet or outlet; Arcs between them stand beside the unit operations
phase.edges[i]               ends of pieces, where they are decided; a stretch between two of them is drawn out
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.common.modeling import NOTSET
from pyomo.dae import ContinuousSet, DerivativeVar

from titer.flowsheets.declarations import Algebraic, Control, Expression, Inlet, Outlet, Parameter, State
from titer.flowsheets.names import element
from titer.flowsheets.operation import Decided
from titer.flowsheets.problems.input_wires import SHORTEST
from titer.flowsheets.pyomo.arrays import carried, declared, finite, options, over
from titer.flowsheets.pyomo.jumps import add_algebraics_after_jumps
from titer.flowsheets.pyomo.moments import Moments, PhasePlan, Place, moments_of
from titer.flowsheets.pyomo.naming import added
from titer.flowsheets.pyomo.ports import add_arcs, add_ports
from titer.flowsheets.pyomo.reading import raw, unit_of
from titer.flowsheets.pyomo.reduced import add_derived
from titer.flowsheets.returned import with_parts
from titer.flowsheets.symbols.measure import DIMENSIONLESS
from titer.flowsheets.unit import Unit


def add_phase(block: Any, plan: PhasePlan, shared: Mapping[str, Place], where: Mapping[str, Any]) -> None:
    """Fill the Block of a phase.

    `shared`: where the plant's parameters are. `where`: what the states of idle units are held at, numbers or Vars.
    """
    duration, time = plan.operation.duration, unit_of(plan.plant.measure_of_time)
    block.tau = ContinuousSet(initialize=plan.ends.tolist())
    block.duration = pyo.Var(units=time, initialize=duration.guess, bounds=(max(duration.lower, 1e-9), duration.upper))
    block.clock = pyo.Var(units=time, initialize=0.0)
    if not duration.free:
        block.duration.fix()
    if plan.movable is not None:
        _add_edges(block, plan.movable)
    block._titer = Moments(plan, block)
    active = {unit.name for unit in plan.streams.units}
    adders = [Adder(block, unit) for unit in plan.plant.units]
    for adder in adders:
        adder.parameters(shared)
        if adder.unit.name in active:
            adder.variables()
            adder.inputs()
            adder.inlets()
            adder.expressions()
        else:
            adder.held(where)
    block._titer.at(block.tau.first())  # what is wrong with the equations is said here once, not by Pyomo's log as well
    for adder in adders:
        if adder.unit.name in active:
            adder.equations()
    add_derived(block)
    # Asked for at every position, it traces what no equation needs: a unit operation that only calculates.
    block.time = pyo.Expression(block.tau, rule=_time)
    for adder in adders:
        if adder.unit.name in active:
            add_ports(adder.own, adder.unit)
    add_arcs(block)
    add_algebraics_after_jumps(block)


def _expressions(sets: list[list[Any]], known: Mapping[tuple[Any, ...], Any]) -> Any:
    """An Expression over sets, of what is known."""
    return pyo.Expression(*sets, rule=lambda b, *labels: known.get(labels, pyo.Expression.Skip))


def _add_edges(block: Any, first: np.ndarray) -> None:
    """Ends of pieces as decisions, rising from 0 to 1; no piece shorter than a thousandth of the phase."""
    count = len(first)
    block.edges = pyo.Var(range(count), bounds=(0.0, 1.0), initialize=dict(enumerate(first.tolist())))
    block.edges[0].fix()
    block.edges[count - 1].fix()
    if count > 2:
        block.width = pyo.Constraint(range(count - 1), rule=lambda b, i: b.edges[i + 1] - b.edges[i] >= SHORTEST)


class Adder:
    """Adds a unit operation's components to a phase, and notes where they are. `own`: the kind of Block it becomes."""

    along = "tau"  # what a DerivativeVar is named by

    def __init__(self, block: Any, unit: Unit, own: Callable[[], Any] = pyo.Block):
        self.block, self.unit, self.tau = block, unit, block.tau
        self.moments = moments_of(block)
        self.plan = self.moments.plan
        self.own = added(block, unit.name, own())
        self.moments.units[unit.name] = self.own.local_name

    def parameters(self, shared: Mapping[str, Place]) -> None:
        """Parameters are the plant's, except those that this phase fixes."""
        fixed = self.plan.operation.fixed
        for path, sets, scalars in declared(self.unit, Parameter):
            self.moments.places.update({str(s.name): shared[str(s.name)] for s in scalars.values()})
            mine = {labels: s for labels, s in scalars.items() if str(s.name) in fixed}
            if mine:
                variable = added(self.own, path, pyo.Var(*sets, **options(scalars)))
                variable.fix()
                for labels, scalar in mine.items():
                    self._note(str(scalar.name), variable, labels, along=False)
                    self.moments.value(str(scalar.name), 0.0).fix(fixed[str(scalar.name)])

    def variables(self) -> None:
        """States with their slopes, and algebraic variables."""
        for kind in (State, Algebraic):
            for path, sets, scalars in declared(self.unit, kind):
                variable = added(self.own, path, pyo.Var(self.tau, *sets, **options(scalars, along=True)))
                slope = ""
                if kind is State:
                    derivative = DerivativeVar(variable, wrt=self.tau, units=options(scalars)["units"], initialize=0.0)
                    slope = added(self.own, f"d{variable.local_name}_d{self.along}", derivative).local_name
                for labels, scalar in scalars.items():
                    self._note(str(scalar.name), variable, labels, slope=slope)

    def inputs(self) -> None:
        """Controls, as Expressions of the Vars of their pieces, or of time."""
        for path, sets, scalars in declared(self.unit, Control):
            self._given(path, sets, list(scalars))

    def inlets(self) -> None:
        """Variables of inlets: Vars where a stream comes in, inputs where one is given, zero where neither is."""
        for path, sets, scalars, measure in carried(self.unit, Inlet):
            name = f"{self.unit.name}.{next(iter(scalars.values()))}"
            if name in self.plan.streams.driven:
                self._given(path, sets, list(scalars))
                continue
            units, connected = unit_of(measure), self.moments.source_of(name) is not None
            component = (
                pyo.Var(self.tau, *sets, units=units, initialize=0.0)
                if connected
                else pyo.Expression(self.tau, *sets, rule=_constant_rule(0.0, measure))
            )
            added(self.own, path, component)
            for labels, local in scalars.items():
                self._note(f"{self.unit.name}.{local}", component, labels)

    def expressions(self) -> None:
        """Named expressions and outlets: empty until the equations are traced."""
        told = [(path, *over(*found)) for path, found in with_parts(self.unit, Expression).items()]
        told += [(path, sets, list(scalars)) for path, sets, scalars, _ in carried(self.unit, Outlet)]
        for path, sets, labels in told:
            if labels:
                expression = added(self.own, path, pyo.Expression(self.tau, *sets, initialize=NOTSET))
                for each in labels:
                    self._note(f"{self.unit.name}.{element(path, each)}", expression, each, told=True)

    def held(self, where: Mapping[str, Any]) -> None:
        """States of an idle unit operation stay where an earlier phase, or the start, left them."""
        for path, sets, scalars in declared(self.unit, State):
            known = {
                labels: raw(value, s.measure) if isinstance(value, float) else value
                for labels, s in scalars.items()
                for value in [where[str(s.name)]]
                if not (isinstance(value, float) and np.isnan(value))  # until a later phase sets it
            }
            if known:
                component = pyo.Expression(expr=known[()]) if not sets else _expressions(sets, known)
                added(self.own, path, component)
                for labels in known:
                    self._note(str(scalars[labels].name), component, labels, along=False)

    def equations(self) -> None:
        """Balances and algebraic equations."""
        name = self.unit.name
        states, zeros = [s.local for s in self.unit.of_kind(State)], self.moments.equations(name)
        for key, rule, rows in (("balance", _balance_rule(name), states), ("zero", _zero_rule(name), zeros)):
            if rows:
                added(self.own, key, pyo.Constraint(self.tau, rows, rule=rule))

    def _given(self, path: str, sets: list[list[Any]], labels: list[tuple[Any, ...]]) -> None:
        """An input or an array of them, and the Vars of the pieces of each."""
        names = {each: f"{self.unit.name}.{element(path, each)}" for each in labels}
        pieces = {
            each: "" if name in self.plan.functions else self._pieces(name, element(path, each)).local_name
            for each, name in names.items()
        }
        component = added(self.own, path, pyo.Expression(self.tau, *sets, rule=_input_rule(names, pieces)))
        for each, name in names.items():
            self._note(name, component, each, pieces=pieces[each])

    def _pieces(self, name: str, path: str) -> Any:
        profile, values = self.plan.profiles[name]
        start = dict(enumerate(np.asarray(values, dtype=float).tolist()))
        units = unit_of(self.plan.measures[name])
        pieces = added(self.own, f"{path}_pieces", pyo.Var(range(profile.count), units=units, initialize=start))
        operation = self.plan.operation
        sources = zip(operation.lowered.dae.inputs, operation.inputs, strict=True)
        source = next(source for variable, source in sources if variable.name == name)
        if not isinstance(source, Decided):
            pieces.fix()
            return pieces
        for piece in pieces.values():
            piece.setlb(finite(source.lower))
            piece.setub(finite(source.upper))
        return pieces

    def _note(self, name: str, component: Any, labels: tuple[Any, ...] = (), **facts: Any) -> None:
        self.moments.places[name] = Place(self.own.local_name, component.local_name, labels, **facts)


# --- rules: they know names only, and find everything else from the block they are called on ------------------------


def _time(block: Any, tau: float) -> Any:
    moments_of(block).at(tau)
    return moments_of(block).time(tau)


def _balance_rule(unit: str) -> Callable[..., Any]:
    def rule(own: Any, tau: float, local: str) -> Any:
        here = moments_of(own)
        return here.slope(f"{unit}.{local}", tau) == here.slope_value(f"{unit}.{local}", tau)

    return rule


def _zero_rule(unit: str) -> Callable[..., Any]:
    return lambda own, tau, key: raw(moments_of(own).at(tau).traces[unit].zero[key], DIMENSIONLESS) == 0.0


def _input_rule(names: Mapping[tuple[Any, ...], str], pieces: Mapping[tuple[Any, ...], str]) -> Callable[..., Any]:
    def rule(own: Any, tau: float, *labels: Any) -> Any:
        here, name = moments_of(own), names[labels]
        return here.input(name, getattr(own, pieces[labels]), tau) if pieces[labels] else here.function(name, tau)

    return rule


def _constant_rule(value: float, measure: Any) -> Callable[..., Any]:
    return lambda own, *index: raw(value, measure)
