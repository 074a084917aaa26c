"""How does a unit operation meet IDAES' own unit models? `state_port`: a state block of their property package.

    model.fs = plant.to_idaes(Phase("run", duration=600.0), inputs={reactor.F: 0.1}, grid=Grid(6))
    model.fs.properties = SaponificationParameterBlock()
    model.fs.heater = Heater(property_package=model.fs.properties, dynamic=False, has_holdup=False)
    hot = state_port(
        model.fs.reactor, "hot", model.fs.properties,
        flow_vol=reactor.out.flow,                                           # a name of the plant's,
        conc_mol_comp={"H2O": 55388.0, "NaOH": reactor.out.c["NaOH"], ...},  # a number in the package's unit, for each,
        temperature=lambda v: v.reactor.T,                                   # or a function of the view
        pressure=101325.0,
    )
    model.fs.to_heater = Arc(source=hot, destination=model.fs.heater.inlet)
    model.fs.heater.heat_duty.fix(500.0)
    pyo.TransformationFactory("network.expand_arcs").apply_to(model)
    propagate_state(model.fs.to_heater)                                      # starting values, by IDAES
    pyo.SolverFactory("titer.ipopt").solve(model)

`state_inlet` is the other direction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.units_container import InconsistentUnitsError, UnitsError

from titer.flowsheets.declarations import PortName
from titer.flowsheets.lowering import evaluate
from titer.flowsheets.names import ArrayName
from titer.flowsheets.pyomo.idaes.moments import FlowsheetMoments
from titer.flowsheets.pyomo.idaes.start import start_translated, translated
from titer.flowsheets.pyomo.moments import Moments, moments_of
from titer.flowsheets.pyomo.reading import raw
from titer.flowsheets.symbols.symbol import Symbol
from titer.numerics.errors import SpecificationError, unknown

_Value = Callable[[Any, float], Any]  # of the moments and a time, with its unit


def state_port(own: Any, name: str, properties: Any, **members: Any) -> Any:
    """Add a Port to a unit operation's block that IDAES' unit models connect to, and return it.

    `own`: the block, as `model.fs.reactor`. `properties`: a property package's parameter block. `members`: what each
    variable of the package's ports is, by its name there: a number in the package's unit, a name of the plant's, or a
    function of the flowsheet's view; a dict of these for a variable over a set. Units convert. The state block stands
    in `own.<name>_state`. Raises SpecificationError for a member that is missing, unknown or in another dimension.
    """
    flowsheet = _flowsheet(own, "state_port")
    state = _state_block(own, f"{name}_state", properties, flowsheet)
    first = flowsheet.time.first()
    try:
        rows = _rows(state[first], f"state_port {name!r}", properties, members)
        for (member, _), value in rows.items():
            _try(value, moments_of(own), first, f"state_port {name!r}: {member}")
    except SpecificationError:
        own.del_component(state)
        raise
    keys = list(rows)

    def rule(block: Any, t: float, k: int) -> Any:
        member, index = keys[k]
        here = moments_of(block)
        return _members(getattr(block, f"{name}_state")[t])[member][index] == rows[keys[k]](here, t)

    own.add_component(f"{name}_equality", pyo.Constraint(flowsheet.time, range(len(keys)), rule=rule))
    return _connected(own, name, f"{name}_equality", state)


def state_inlet(own: Any, inlet: PortName, properties: Any, **variables: Any) -> Any:
    """Add a Port to a unit operation's block through which an IDAES unit model feeds an inlet, and return it.

    `inlet`: the inlet, as `tank.feed`; what `inputs` of `to_idaes` say of it becomes a guess. `variables`: what each of
    its variables is, a function of the state block, as `flow=lambda s: s.flow_vol`; a dict of functions by label for
    one over a set. Units convert. The Port is called `<inlet>_inlet`. Raises SpecificationError for a variable that is
    missing or unknown.
    """
    flowsheet = _flowsheet(own, "state_inlet")
    here, name, who = moments_of(own), f"{inlet.port.attribute}_inlet", f"state_inlet {inlet}"
    rows = _inlet_rows(inlet, variables, who)
    source = here.source_of(next(iter(rows)))
    if source is not None:
        raise SpecificationError(f"{who}: it is connected already, to {source}.\n  Leave that connection out.")

    def value(here: Moments, t: float, key: str, state: Any) -> Any:
        result, units = rows[key](state[t]), here.value(key, t).get_units()
        return result * units if isinstance(result, int | float) and units is not None else _in_unit(result, units)

    state, first = _state_block(own, f"{name}_state", properties, flowsheet), flowsheet.time.first()
    try:
        for key in rows:
            _try(partial(value, key=key, state=state), here, first, f"{who}: {key}")
    except SpecificationError:
        own.del_component(state)
        raise
    for key in rows:
        for t in flowsheet.time:
            here.value(key, t).unfix()

    def rule(block: Any, t: float, key: str) -> Any:
        here = moments_of(block)
        return here.value(key, t) == value(here, t, key, getattr(block, f"{name}_state"))

    own.add_component(f"{name}_equality", pyo.Constraint(flowsheet.time, list(rows), rule=rule))
    return _connected(own, name, f"{name}_equality", state)


def _inlet_rows(inlet: PortName, given: Mapping[str, Any], who: str) -> dict[str, Callable[[Any], Any]]:
    """What each scalar variable of an inlet is, a function of the state block. Raises SpecificationError."""
    for variable in given:
        if variable not in inlet.port.variables:
            raise SpecificationError(f"{who}: {unknown('variable', variable, inlet.port.variables)}")
    rows: dict[str, Callable[[Any], Any]] = {}
    for variable in inlet.port.variables:
        if variable not in given:
            raise SpecificationError(
                f"{who}: {variable} is missing.\n  Give {variable}=, a function of the state block such as"
                " lambda s: s.flow_vol."
            )
        name, value = getattr(inlet, variable), given[variable]
        if not isinstance(name, ArrayName):
            rows[str(name)] = value
            continue
        by_label = {str(key): function for key, function in value.items()} if isinstance(value, Mapping) else {}
        for each in name.elements:
            label = str(each)[len(name) + 1 : -1]
            if label not in by_label:
                raise SpecificationError(
                    f"{who}: {variable} goes over a set: expected a dict of functions with {label!r}, got {value!r}."
                )
            rows[str(each)] = by_label[label]
    for key, function in rows.items():
        if not callable(function):
            raise SpecificationError(f"{who}: {key}: expected a function of the state block, got {function!r}.")
    return rows


def _flowsheet(own: Any, what: str) -> Any:
    here = moments_of(own) if hasattr(own.parent_block(), "_titer") else None
    if not isinstance(here, FlowsheetMoments):
        raise SpecificationError(
            f"{what}: expected the block of a unit operation in a flowsheet of to_idaes, got {own.name}.\n"
            "  Give model.fs.reactor, for instance."
        )
    return here.block


def _state_block(own: Any, name: str, properties: Any, flowsheet: Any) -> Any:
    port = name.removesuffix("_state")
    taken = next((key for key in (port, name, f"{port}_equality") if own.component(key) is not None), None)
    if taken is not None:
        raise SpecificationError(f"{own.name} has a component {taken} already; call the Port something else.")
    state = properties.build_state_block(flowsheet.time, defined_state=True, doc="what a port carries")
    own.add_component(name, state)
    return state


def _connected(own: Any, name: str, equality: str, state: Any) -> Any:
    """The Port of a state block, with starting values."""
    translated(own).append(equality)
    start_translated(own)
    return own.add_port(name, state)


def _members(state: Any) -> dict[str, Any]:
    """What a port of this state carries."""
    found: dict[str, Any] = state.define_port_members()
    return found


def _rows(state: Any, who: str, properties: Any, members: Mapping[str, Any]) -> dict[tuple[str, Any], _Value]:
    """What each variable of a port is, by member and index. Raises SpecificationError."""
    expected = _members(state)
    for member in members:
        if member not in expected:
            raise SpecificationError(f"{who}: {unknown('member', member, expected)}")
    rows: dict[tuple[str, Any], _Value] = {}
    for member, target in expected.items():
        if member not in members:
            raise SpecificationError(
                f"{who}: {member} is missing; the ports of {properties.name} have {', '.join(expected)}.\n"
                f"  Give {member}=, a number, a name or a function of the view."
            )
        for index, data in target.items():
            rows[member, index] = _value(members[member], index, f"{who}: {member}", data.get_units())
    return rows


def _try(value: _Value, here: Moments, time: float, what: str) -> None:
    """Make an expression once, to say what is wrong with it. Raises SpecificationError."""
    try:
        value(here, time)
    except (InconsistentUnitsError, UnitsError) as error:
        raise SpecificationError(f"{what}: {error}") from None


def _value(given: Any, index: Any, what: str, units: Any) -> _Value:
    """What a member, or its element with an index, is at a time."""
    if index is not None:
        if not isinstance(given, Mapping | ArrayName):
            raise SpecificationError(f"{what} goes over a set: expected a dict with {index!r}, got {given!r}.")
        if isinstance(given, Mapping) and index not in given:
            raise SpecificationError(f"{what}: {index!r} is missing; got {', '.join(map(str, given))}.")
        given = given[index]
    if callable(given):
        function = given
        return lambda here, t: _evaluated(here, function, t, what, units)
    if isinstance(given, str):
        name = str(given)
        return lambda here, t: _in_unit(here.value(name, t), units)
    if not isinstance(given, int | float | np.number) or isinstance(given, bool):
        raise SpecificationError(f"{what}: expected a number, a name or a function of the view, got {given!r}.")
    number = float(given)
    return lambda here, t: number if units is None else number * units


def _evaluated(here: Moments, function: Callable[[Any], Any], t: float, what: str, units: Any) -> Any:
    value = evaluate(function, here.at(t).view, what)
    if isinstance(value, Symbol):
        return _in_unit(raw(value, value.measure), units)
    return float(value) if units is None else float(value) * units


def _in_unit(value: Any, units: Any) -> Any:
    return value if units is None else pyo.units.convert(value, to_units=units)


__all__ = ["state_inlet", "state_port"]
