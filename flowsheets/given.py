"""Does what is given fit the plant? Names of inputs, fixed values, idle units and inlets, checked at the door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from titer.flowsheets.declarations import Algebraic, Control, Parameter, PortName, State
from titer.flowsheets.flowsheet import Connection, Flowsheet, by_element
from titer.flowsheets.recipe import Phase, Recipe
from titer.flowsheets.signals import finite
from titer.flowsheets.streams import port_of
from titer.numerics.errors import FlowsheetError, SpecificationError, unknown

_INSTEAD = {  # of a trajectory
    State.kind: "Set its start by plant.with_values({...}) or Phase(start={...}).",
    Parameter.kind: "Change it by plant.with_values({...}) or Phase(fixed={...}).",
    Algebraic.kind: "Its equation determines it.",
}


def check_inputs(plant: Flowsheet, given: Mapping[str, Any], where: str) -> None:
    """Only controls and streams into inlets have trajectories. Raises SpecificationError."""
    for name in given:
        kind = kind_of(plant, name)
        if kind is None:
            known = [n for n, s in plant.scalars.items() if s.kind == Control.kind]
            raise SpecificationError(f"{where}: {unknown('control', name, [*known, *plant.inlet_names])}")
        if kind in _INSTEAD:
            article = "an" if kind == Algebraic.kind else "a"
            raise SpecificationError(f"{where}: {name} is {article} {kind}, not a control.\n  {_INSTEAD[kind]}")


def kind_of(plant: Flowsheet, name: str) -> str | None:
    """State, algebraic, control, parameter or inlet; None for any other name."""
    if name in plant.scalars:
        return plant.scalars[name].kind
    return "inlet" if name in plant.inlet_names else None


def fixed_of(plant: Flowsheet, phase: Phase) -> tuple[dict[str, float], dict[str, float]]:
    """Controls (and streams) and parameters that a phase fixes. Raises SpecificationError."""
    controls: dict[str, float] = {}
    parameters: dict[str, float] = {}
    for name, value in by_element(phase.fixed, "fixed").items():
        kind = kind_of(plant, name)
        if kind == State.kind:
            raise SpecificationError(
                f"fixed: {name} is a state; a state has a rate and cannot be fixed as well.\n"
                f"  Set it when the phase begins by start={{...}}, or declare what keeps it constant as a Control."
            )
        if kind == Algebraic.kind:
            raise SpecificationError(
                f"fixed: {name} is algebraic, its equation determines it.\n"
                f"  Fix a control or a parameter, or constrain it by a Path."
            )
        if kind is None:
            known = [n for n, s in plant.scalars.items() if s.kind in (Control.kind, Parameter.kind)]
            raise SpecificationError(f"fixed: {unknown('control or parameter', name, [*known, *plant.inlet_names])}")
        number = finite(value, plant.measures[name], f"fixed: {name}")
        if kind == Parameter.kind:
            check_bounds(plant, name, number, "fixed")
            parameters[name] = number
        else:
            controls[name] = number
    return controls, parameters


def check_bounds(plant: Flowsheet, name: str, number: float, where: str) -> None:
    """A parameter or a start lies inside its declared bounds. Raises SpecificationError."""
    scalar = plant.scalars[name]
    if not scalar.lower <= number <= scalar.upper:
        raise SpecificationError(
            f"{where}: {name} = {number:g} lies outside its bounds "
            f"[{scalar.lower:g}, {scalar.upper:g}] {scalar.measure.label}."
        )


def idle_of(plant: Flowsheet, phase: Phase) -> tuple[str, ...]:
    """Names of the idle unit operations. Raises SpecificationError."""
    names = [unit.name for unit in plant.units]
    for name in phase.idle_names:
        if name not in names:
            raise SpecificationError(f"idle: {unknown('unit operation', name, names)}")
    if len(phase.idle_names) == len(names):
        raise SpecificationError("idle: every unit operation is idle; at least one must be active.")
    return phase.idle_names


def check_inlets(plant: Flowsheet, recipe: Recipe, trajectories: Mapping[str, Any]) -> None:
    """An inlet that no connection, route or trajectory of the whole recipe reaches is a mistake."""
    reached = {str(target) for _, target in plant.connections}
    names = set(trajectories)
    for phase in recipe:
        reached |= {str(route[1]) for route in phase.routes if isinstance(route, tuple | list) and len(route) == 2}
        names |= {*by_element(phase.inputs, "inputs"), *by_element(phase.fixed, "fixed")}
    reached |= {port_of(name) for name in names}
    resting = set.intersection(*(set(phase.idle_names) for phase in recipe))
    for name in plant.inlet_names:
        port = port_of(name)
        if port not in reached and name.split(".", 1)[0] not in resting:
            raise SpecificationError(
                f"inlet {port} is connected in no phase of the recipe and has no trajectory.\n"
                f"  Connect it (Flowsheet connect=, Phase routes=), or give its stream in inputs={{{name}: ...}}."
            )


def routes_of(plant: Flowsheet, phase: Phase) -> tuple[Connection, ...]:
    """The connections of a phase alone: its ports, or texts that name them. Raises FlowsheetError."""
    routes = (
        tuple(_port(plant, end) for end in route) if isinstance(route, tuple | list) else route
        for route in phase.routes
    )
    return tuple(plant.check_connection(route) for route in routes)


def _port(plant: Flowsheet, named: Any) -> Any:
    """The port that a text such as "tank.feed" names; anything else as it is."""
    if not isinstance(named, str) or isinstance(named, PortName):
        return named
    name, _, attribute = named.partition(".")
    unit = plant.unit(name)
    ports = [key for key, _ in unit.ports()]
    if attribute not in ports:
        raise FlowsheetError(unknown(f"{name}: port", attribute, ports))
    return getattr(unit, attribute)


def check_routes(routes: Sequence[Connection], idle: Sequence[str]) -> None:
    """A route of a phase joins unit operations that are active in it. Raises SpecificationError."""
    for source, target in routes:
        for port, what in ((source, "leaves"), (target, "would arrive at")):
            if port.owner.name in idle:
                raise SpecificationError(
                    f"routes: {source} to {target}: {port.owner.name} is idle in this phase, nothing {what} {port}.\n"
                    f"  Leave {port.owner.name} out of idle=[...] of this phase, or leave the route out."
                )
