"""What is a phase to Pyomo? A Block over positions from 0 to 1, and in it a Block for each unit operation.

phase.tau                    ContinuousSet from 0 to 1; phase.duration, phase.clock (its start), phase.time[tau]
phase.reactor.T[tau]         state or algebraic variable; inputs, expressions and streams stand beside it
phase.reactor.dT_dtau[tau]   equals duration * rate, by phase.reactor.balance[tau, "T"]
phase.reactor.T_j_pieces[i]  what an input is made of, fixed unless it is decided
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.common.modeling import NOTSET
from pyomo.dae import ContinuousSet, DerivativeVar

from titer.flowsheets.declarations import Algebraic, Control, Expression, Inlet, Outlet, Parameter, State
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.names import element
from titer.flowsheets.operation import Decided
from titer.flowsheets.pyomo.moments import Moments, PhasePlan, Place, moments_of
from titer.flowsheets.pyomo.reading import converted, raw, unit_of
from titer.flowsheets.pyomo.reduced import add_derived
from titer.flowsheets.returned import with_parts
from titer.flowsheets.scalar import Scalar
from titer.flowsheets.symbols.measure import DIMENSIONLESS
from titer.flowsheets.trace import port_scalars
from titer.flowsheets.unit import Unit

_PYOMOS = frozenset(dir(pyo.ConcreteModel()))  # `load`, `index`, `type`, `model`, `config`, ...
_OURS = frozenset(
    {"time", "link", "until", "path", "at_start", "at_end", "integral", "integrand", "rate_of_change", "reduced"}
)


def add_plant(model: Any, plant: Flowsheet) -> dict[str, Place]:
    """The plant's parameters, fixed: `model.plant.reactor.k0_1`. Returns where they are."""
    model.plant = pyo.Block()
    places: dict[str, Place] = {}
    for unit in plant.units:
        own = _added(model.plant, unit.name, pyo.Block())
        for path, sets, scalars in _declared(unit, Parameter):
            variable = _added(own, path, pyo.Var(*sets, **_options(scalars)))
            variable.fix()
            for labels, scalar in scalars.items():
                places[str(scalar.name)] = Place(own.local_name, variable.local_name, labels, False, True)
    return places


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
    for adder in adders:
        if adder.unit.name in active:
            adder.equations()
    add_derived(block)
    # Asked for at every position, it traces what no equation needs: a unit operation that only calculates.
    block.time = pyo.Expression(block.tau, rule=_time)


class Adder:
    """Adds a unit operation's components to a phase, and notes where they are."""

    def __init__(self, block: Any, unit: Unit):
        self.block, self.unit, self.tau = block, unit, block.tau
        self.moments = moments_of(block)
        self.plan = self.moments.plan
        self.own = _added(block, unit.name, pyo.Block())

    def parameters(self, shared: Mapping[str, Place]) -> None:
        """Parameters are the plant's, except those that this phase fixes."""
        fixed = self.plan.operation.fixed
        for path, sets, scalars in _declared(self.unit, Parameter):
            self.moments.places.update({str(s.name): shared[str(s.name)] for s in scalars.values()})
            mine = {labels: s for labels, s in scalars.items() if str(s.name) in fixed}
            if mine:
                variable = _added(self.own, path, pyo.Var(*sets, **_options(scalars)))
                variable.fix()
                for labels, scalar in mine.items():
                    self._note(str(scalar.name), variable, labels, along=False)
                    self.moments.value(str(scalar.name), 0.0).fix(fixed[str(scalar.name)])

    def variables(self) -> None:
        """States with their slopes, and algebraic variables."""
        for kind in (State, Algebraic):
            for path, sets, scalars in _declared(self.unit, kind):
                variable = _added(self.own, path, pyo.Var(self.tau, *sets, **_options(scalars, along=True)))
                slope = ""
                if kind is State:
                    derivative = DerivativeVar(variable, wrt=self.tau, units=_options(scalars)["units"], initialize=0.0)
                    slope = _added(self.own, f"d{variable.local_name}_dtau", derivative).local_name
                for labels, scalar in scalars.items():
                    self._note(str(scalar.name), variable, labels, slope=slope)

    def inputs(self) -> None:
        """Controls and given streams, as Expressions of the Vars of their pieces, or of time."""
        names = [str(s.name) for s in self.unit.of_kind(Control)]
        names += [name for name in self.plan.streams.driven if name.split(".", 1)[0] == self.unit.name]
        for name in names:
            path = name.split(".", 1)[1]
            function = name in self.plan.functions
            pieces = "" if function else self._pieces(name, path).local_name
            rule = _function_rule(name) if function else _pieces_rule(name, pieces)
            self._note(name, _added(self.own, path, pyo.Expression(self.tau, rule=rule)), pieces=pieces)

    def inlets(self) -> None:
        """Variables of inlets: Vars where a stream comes in, zero where none does."""
        for path, measure in port_scalars(self.unit, Inlet).items():
            name = f"{self.unit.name}.{path}"
            if _port(name) in self.plan.streams.sources:
                self._note(name, _added(self.own, path, pyo.Var(self.tau, units=unit_of(measure), initialize=0.0)))
            elif name not in self.plan.streams.driven:
                self._note(name, _added(self.own, path, pyo.Expression(self.tau, rule=_constant_rule(0.0, measure))))

    def expressions(self) -> None:
        """Named expressions and outlets: empty until the equations are traced."""
        for path, (owner, declaration) in with_parts(self.unit, Expression).items():
            sets = owner.index_sets(declaration.over)
            expression = _added(self.own, path, pyo.Expression(self.tau, *map(list, sets), initialize=NOTSET))
            for labels in product(*sets):
                self._note(f"{self.unit.name}.{element(path, labels)}", expression, labels, told=True)
        for path in port_scalars(self.unit, Outlet):
            expression = _added(self.own, path, pyo.Expression(self.tau, initialize=NOTSET))
            self._note(f"{self.unit.name}.{path}", expression, told=True)

    def held(self, where: Mapping[str, Any]) -> None:
        """States of an idle unit operation stay where an earlier phase, or the start, left them."""
        for scalar in self.unit.of_kind(State):
            name = str(scalar.name)
            value = where[name]
            if isinstance(value, float):
                if np.isnan(value):  # a later phase sets it; until then there is nothing to read
                    continue
                value = raw(value, scalar.measure)
            self._note(name, _added(self.own, scalar.local, pyo.Expression(expr=value)), along=False)

    def equations(self) -> None:
        """Balances, algebraic equations, and streams that come in."""
        name, equations = self.unit.name, self.plan.operation.lowered.dae.equations
        first, last = f"{name}.", " equation"
        zeros = [e[len(first) : -len(last)] for e in equations if e.startswith(first) and e.endswith(last)]
        states = [s.local for s in self.unit.of_kind(State)]
        incoming = [p for p in port_scalars(self.unit, Inlet) if _port(f"{name}.{p}") in self.plan.streams.sources]
        for key, rule, over in (
            ("balance", _balance_rule(name), states),
            ("zero", _zero_rule(name), zeros),
            ("stream", _stream_rule(name), incoming),
        ):
            if over:
                _added(self.own, key, pyo.Constraint(self.tau, over, rule=rule))

    def _pieces(self, name: str, path: str) -> Any:
        profile, values = self.plan.profiles[name]
        start = dict(enumerate(np.asarray(values, dtype=float).tolist()))
        units = unit_of(self.plan.measures[name])
        pieces = _added(self.own, f"{path}_pieces", pyo.Var(range(profile.count), units=units, initialize=start))
        operation = self.plan.operation
        sources = zip(operation.lowered.dae.inputs, operation.inputs, strict=True)
        source = next(source for variable, source in sources if variable.name == name)
        if not isinstance(source, Decided):
            pieces.fix()
            return pieces
        for piece in pieces.values():
            piece.setlb(_finite(source.lower))
            piece.setub(_finite(source.upper))
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


def _stream_rule(unit: str) -> Callable[..., Any]:
    def rule(own: Any, tau: float, local: str) -> Any:
        here, target = moments_of(own), f"{unit}.{local}"
        source, outlet = here.plan.streams.sources[_port(target)]
        carried = f"{source.name}.{outlet}.{local.split('.', 1)[1]}"
        here.at(tau)  # tracing sets what the outlet carries
        measures = here.plan.measures
        return here.value(target, tau) == converted(here.value(carried, tau), measures[carried], measures[target])

    return rule


def _pieces_rule(name: str, pieces: str) -> Callable[..., Any]:
    return lambda own, tau: moments_of(own).input(name, getattr(own, pieces), tau)


def _function_rule(name: str) -> Callable[..., Any]:
    return lambda own, tau: moments_of(own).function(name, tau)


def _constant_rule(value: float, measure: Any) -> Callable[..., Any]:
    return lambda own, tau: raw(value, measure)


# --- names and declarations ----------------------------------------------------------------------------------------


def _added(block: Any, name: str, component: Any) -> Any:
    """Add a component under a name, with underscores behind it where Pyomo, or another component, has the name."""
    name = name.replace(".", "_").replace("[", "_").replace("]", "").replace(",", "_")
    while name in _PYOMOS or name in _OURS or hasattr(block, name):
        name += "_"
    block.add_component(name, component)
    return component


def _declared(unit: Unit, kind: type) -> Iterator[tuple[str, list[list[Any]], dict[tuple[Any, ...], Scalar]]]:
    """Declared variables of a kind: path, index sets, and their scalars by labels."""
    for path, (owner, declaration) in with_parts(unit, kind).items():
        sets = owner.index_sets(declaration.over)
        scalars = {labels: unit.scalars[element(path, labels)] for labels in product(*sets)}
        yield path, [list(s) for s in sets], scalars


def _options(scalars: Mapping[tuple[Any, ...], Scalar], along: bool = False) -> dict[str, Any]:
    """Unit, bounds and start of a Var over labels, or over tau and labels."""
    table = {labels: ((_finite(s.lower), _finite(s.upper)), _start(s)) for labels, s in scalars.items()}
    units = unit_of(next(iter(scalars.values())).measure)
    if not along and () in table:
        return {"units": units, "bounds": table[()][0], "initialize": table[()][1]}
    skip = 1 if along else 0
    return {
        "units": units,
        "bounds": lambda block, *index: table[index[skip:]][0],
        "initialize": lambda block, *index: table[index[skip:]][1],
    }


def _start(scalar: Scalar) -> float:
    return scalar.start if np.isfinite(scalar.start) else float(np.clip(0.0, scalar.lower, scalar.upper))


def _finite(bound: float) -> float | None:
    return bound if np.isfinite(bound) else None


def _port(name: str) -> str:
    """The port of a stream variable: "tank.feed" of "tank.feed.c[product]"."""
    unit, port, _ = name.split(".", 2)
    return f"{unit}.{port}"
