"""How does a plant in a phase become a `Dae`? Trace its active units once, stream by stream, on CasADi symbols.

Streams are followed from unit to unit; where they run in a circle, the inlet that closes it becomes algebraic variables.
States of idle units are held: they are parameters of the phase. Everything numeric (values, bounds, starts) stays outside
the trace, so a plant with other values shares it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import casadi as ca
import numpy as np

from titer.flowsheets.declarations import Algebraic, Control, Inlet, Outlet, Parameter, State
from titer.flowsheets.declared import Declared
from titer.flowsheets.flowsheet import Connection, Flowsheet
from titer.flowsheets.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbol import CASADI, Relation, Symbol
from titer.flowsheets.trace import Trace, port_scalars, trace
from titer.flowsheets.unit import Unit
from titer.flowsheets.view import View, gather, sets_of
from titer.numerics.dae import Dae, Variable
from titer.numerics.errors import FlowsheetError, NotActiveError, SpecificationError, TiterError


@dataclass(frozen=True, eq=False)
class Streams:
    """What is connected in a phase: active units in the order of the streams, torn inlets, sources of inlets."""

    units: tuple[Unit, ...]
    idle: tuple[Unit, ...]
    sources: Mapping[str, tuple[Unit, str]]  # "tank.feed" -> (unit, outlet)
    torn: frozenset[str]  # inlets whose variables become algebraic
    driven: tuple[str, ...]  # scalar inlet variables given as trajectories


@dataclass(frozen=True, eq=False)
class Lowered:
    """A plant in a phase: the `Dae`, and the view on the symbols behind it."""

    dae: Dae
    view: View
    symbols: tuple[ca.SX, ca.SX, ca.SX, ca.SX, ca.SX]  # t, x, z, u, p
    held: tuple[str, ...]  # states of idle units; they follow the plant's parameters in p
    measures: Mapping[str, Measure]
    traced: ca.SX | None = None  # the inputs of the trace, where some of them are functions of time,
    inputs: ca.SX | None = None  # and what stands for them

    def function(self, value: Any, name: str = "value") -> ca.Function:
        """A function of (t, x, z, u, p) from something traced on the view."""
        raw = value.value if isinstance(value, Symbol) else value
        t, x, z, u, p = self.symbols
        if self.traced is None:
            return ca.Function(name, [t, x, z, u, p], [ca.densify(ca.SX(raw))])
        inner = ca.Function(name, [t, x, z, self.traced, p], [ca.densify(ca.SX(raw))])
        return ca.Function(name, [t, x, z, u, p], [inner(t, x, z, self.inputs, p)])

    def with_driven(self, driven: Mapping[int, Any]) -> Lowered:
        """The same with some inputs replaced by functions of time; they are outputs then."""
        if not driven:
            return self
        t, x, z, u, p = self.symbols
        kept = [i for i in range(u.numel()) if i not in driven]
        inputs = ca.vertcat(*(ca.SX(driven[i]) if i in driven else u[i] for i in range(u.numel())))
        symbols = (t, x, z, ca.vertcat(ca.SX(0, 1), *(u[i] for i in kept)), p)
        rate, zero, output = self.dae.function(t, x, z, inputs, p)
        output = ca.vertcat(output, *(inputs[i] for i in driven))
        dae = replace(
            self.dae,
            function=ca.Function("plant", list(symbols), [rate, zero, output]),
            inputs=tuple(self.dae.inputs[i] for i in kept),
            outputs=(
                *self.dae.outputs,
                *(Variable(self.dae.inputs[i].name, self.dae.inputs[i].unit) for i in driven),
            ),
        )
        return replace(self, dae=dae, symbols=symbols, traced=u, inputs=inputs)


class FlowsheetView(View):
    """The view of terms and conditions: `v.reactor.T`, or by qualified name `v["column.c[3,product]"]`."""

    def __init__(self, what: str, entries: dict[str, Any], named: Mapping[str, Any]):
        super().__init__(what, entries)
        self.__dict__["_named"] = named

    def __getitem__(self, name: str) -> Any:
        named = self.__dict__["_named"]
        return named[str(name)] if str(name) in named else super().__getitem__(name)


def streams_of(
    plant: Flowsheet, connections: Sequence[Connection], idle: Sequence[str], given: Sequence[str]
) -> Streams:
    """Order the active units along their streams. `given`: scalar inlet variables with a trajectory of their own."""
    active = [unit for unit in plant.units if unit.name not in idle]
    names = {unit.name for unit in active}
    by_name = {unit.name: unit for unit in active}
    sources: dict[str, tuple[Unit, str]] = {}
    for source, target in connections:
        if source.owner.name in names and target.owner.name in names:
            sources[str(target)] = (by_name[source.owner.name], source.port.attribute)
    order: list[Unit] = []
    torn: set[str] = set()
    state: dict[str, int] = {}

    def visit(unit: Unit) -> None:
        state[unit.name] = 1
        for key, _ in unit.ports(Inlet):
            port = f"{unit.name}.{key}"
            if port in sources:
                upstream = sources[port][0]
                if state.get(upstream.name) == 1:
                    torn.add(port)
                elif upstream.name not in state:
                    visit(upstream)
        state[unit.name] = 2
        order.append(unit)

    for unit in active:
        if unit.name not in state:
            visit(unit)
    driven = []
    for unit in active:
        for key, _ in unit.ports(Inlet):
            port = f"{unit.name}.{key}"
            inside = [f"{unit.name}.{s}" for s in port_scalars(unit, Inlet) if s.split(".")[0] == key]
            mine = [name for name in inside if name in given]
            if mine and port in sources:
                raise SpecificationError(f"{mine[0]}: {port} is connected, its stream cannot be given as well.")
            if mine and len(mine) < len(inside):
                missing = next(name for name in inside if name not in given)
                raise SpecificationError(
                    f"{port} is given in part: {missing} has no trajectory.\n  given: {', '.join(mine)}\n"
                    f"  Give all of {', '.join(inside)} in inputs, or connect the port."
                )
            driven += mine
    held = tuple(unit for unit in plant.units if unit.name in idle)
    return Streams(tuple(order), held, sources, frozenset(torn), tuple(driven))


def lower(plant: Flowsheet, streams: Streams, label: str) -> Lowered:
    """The `Dae` of a plant's active units. Traced once per structure: plants with other values share the trace."""
    key = (
        tuple(u.name for u in streams.units),
        tuple(sorted((k, u.name, o) for k, (u, o) in streams.sources.items())),
        streams.driven,
    )
    if key not in plant.cache:  # type: ignore[attr-defined]
        plant.cache[key] = _trace(plant, streams)  # type: ignore[attr-defined]
    lowered: Lowered = plant.cache[key]  # type: ignore[attr-defined]
    return replace(lowered, dae=_with_values(plant, lowered, label))


def _trace(plant: Flowsheet, streams: Streams) -> Lowered:
    time = Symbol(ca.SX.sym("t"), plant.measure_of_time, CASADI)
    values: dict[str, Symbol] = {}
    groups: dict[str, list[str]] = {"x": [], "z": [], "u": [], "p": []}
    measures = plant.measures

    def declare(group: str, name: str) -> None:
        values[name] = Symbol(ca.SX.sym(name), measures[name], CASADI)
        groups[group].append(name)

    for unit in plant.units:
        for scalar in unit.of_kind(Parameter):
            declare("p", str(scalar.name))
    for unit in streams.units:
        for group, kind in (("x", State), ("z", Algebraic), ("u", Control)):
            for scalar in unit.of_kind(kind):
                declare(group, str(scalar.name))
        for local in port_scalars(unit, Inlet):
            name, port = f"{unit.name}.{local}", f"{unit.name}.{local.split('.')[0]}"
            if name in streams.driven:
                declare("u", name)
            elif port in streams.torn:
                declare("z", name)
            elif port not in streams.sources:
                values[name] = Symbol(ca.SX(0.0), measures[name], CASADI)
    held = [str(s.name) for unit in streams.idle for s in unit.of_kind(State)]
    for name in held:
        declare("p", name)

    known = _known_view(plant, streams, values, time)
    correct = _corrector(plant, known)
    traces: dict[str, Trace] = {}
    for unit in streams.units:
        _receive(unit, streams, traces, values, measures)
        local = {name.split(".", 1)[1]: s for name, s in values.items() if name.split(".", 1)[0] == unit.name}
        traces[unit.name] = trace(unit, local, _in_time_of(unit, time), correct)

    rates, zeros, equations = [], [], []
    for unit in streams.units:
        traced = traces[unit.name]
        factor = plant.measure_of_time.ratio_to(Measure.of(unit.time))
        for scalar in unit.of_kind(State):
            rates.append(_raw(traced.rate[scalar.local]) * factor)
        for key, residual in traced.zero.items():
            zeros.append(_raw(residual))
            equations.append(f"{unit.name}.{key} equation")
    for name in groups["z"]:
        unit_name, local = name.split(".", 1)
        port = f"{unit_name}.{local.split('.')[0]}"
        if port in streams.torn:
            source, outlet = streams.sources[port]
            carried = traces[source.name].port[f"{outlet}.{local.split('.', 1)[1]}"]
            converted = _converted(
                carried, measures[name], measures[f"{source.name}.{outlet}.{local.split('.', 1)[1]}"]
            )
            zeros.append(values[name].value - _raw(converted))
            equations.append(f"{name} stream")
    outputs = _outputs(streams, traces, values)
    symbols = tuple(ca.vertcat(ca.SX(0, 1), *(values[n].value for n in groups[g])) for g in "xzup")
    function = ca.Function(
        "plant",
        [time.value, *symbols],
        [
            ca.vertcat(ca.SX(0, 1), *rates),
            ca.vertcat(ca.SX(0, 1), *zeros),
            ca.vertcat(ca.SX(0, 1), *outputs.values()),
        ],
    )
    _check_index(function, equations, groups["z"])
    view = _final_view(plant, streams, traces, values, time)
    names = {"x": groups["x"], "z": groups["z"], "u": groups["u"], "p": groups["p"]}
    dae = Dae(
        "plant", plant.time, function,
        *(tuple(Variable(n, measures[n].label) for n in names[g]) for g in "xzup"),
        tuple(Variable(n, measures[n].label) for n in outputs), tuple(equations),
    )  # fmt: skip
    return Lowered(dae, view, (time.value, *symbols), tuple(held), measures)  # type: ignore[arg-type]


def _with_values(plant: Flowsheet, lowered: Lowered, label: str) -> Dae:
    scalars = plant.scalars

    def filled(variables: Sequence[Variable]) -> tuple[Variable, ...]:
        return tuple(
            replace(v, lower=s.lower, upper=s.upper, start=s.start, nominal=s.nominal)
            if (s := scalars.get(v.name)) is not None
            else v
            for v in variables
        )

    dae = lowered.dae
    return replace(
        dae, name=label, states=filled(dae.states), algebraics=filled(dae.algebraics),
        inputs=filled(dae.inputs), parameters=filled(dae.parameters),
    )  # fmt: skip


def _receive(unit: Unit, streams: Streams, traces: Mapping[str, Trace], values: dict, measures: Mapping) -> None:
    """Give a unit's inlets what its upstream units' outlets carry."""
    for key, _ in unit.ports(Inlet):
        port = f"{unit.name}.{key}"
        if port not in streams.sources or port in streams.torn:
            continue
        source, outlet = streams.sources[port]
        for local, carried in traces[source.name].port.items():
            if local.split(".", 1)[0] == outlet:
                name = f"{port}.{local.split('.', 1)[1]}"
                values[name] = _converted(carried, measures[name], measures[f"{source.name}.{local}"])


def _converted(value: Any, measure: Measure, declared: Measure) -> Symbol:
    """A stream variable in the unit of the port that receives it."""
    return Symbol(_raw(value) * declared.ratio_to(measure), measure, CASADI)


def _raw(value: Any) -> Any:
    return value.value if isinstance(value, Symbol) else value


def _in_time_of(unit: Unit, time: Symbol) -> Symbol:
    measure = Measure.of(unit.time)
    return Symbol(time.value * time.measure.ratio_to(measure), measure, time.reading)


def _known_view(plant: Flowsheet, streams: Streams, values: Mapping[str, Symbol], time: Symbol) -> View:
    """What a correction may read: states, algebraics, controls and parameters of all units."""
    entries: dict[str, Any] = {"time": time}
    for unit in plant.units:
        entries[unit.name] = _unit_view(unit, values, unit in streams.idle)
    return View("v", entries)


def _final_view(plant: Flowsheet, streams: Streams, traces: Mapping[str, Trace], values, time: Symbol) -> View:  # type: ignore[no-untyped-def]
    entries: dict[str, Any] = {"time": time}
    named: dict[str, Any] = dict(values)
    for unit in plant.units:
        traced = traces.get(unit.name)
        entries[unit.name] = traced.view if traced is not None else _unit_view(unit, values, True)
        if traced is not None:
            named |= {f"{unit.name}.{key}": value for key, value in (*traced.expression.items(), *traced.port.items())}
    return FlowsheetView("v", entries, named)


def _unit_view(unit: Unit, values: Mapping[str, Symbol], idle: bool) -> View:
    """A unit operation outside its own equations: at rest (held states, parameters), or as a correction sees it."""
    local = {n.split(".", 1)[1]: s for n, s in values.items() if n.split(".", 1)[0] == unit.name}
    reason = "the unit operation is idle here; only its held states and parameters have values."
    if not idle:
        reason = "a correction reads states, algebraics, controls and parameters, not expressions or ports."

    def view_of(declared: Declared, what: str, prefix: str) -> View:
        entries: dict[str, Any] = {key: getattr(declared, key) for key in declared.fields}
        absent: dict[str, str] = {}
        for key, declaration in declared.declarations.items():
            try:
                entries[key] = gather(declared, f"{prefix}{key}", getattr(declaration, "over", ()), local)
            except KeyError:
                absent[key] = reason
        for key, part in declared.parts():
            entries[key] = view_of(part, f"{what}.{key}", f"{prefix}{key}.")
        return View(what, entries, absent, sets_of(declared))

    return view_of(unit, f"v.{unit.name}", "")


def _corrector(plant: Flowsheet, known: View) -> Callable[[str, Any], Any] | None:
    if not plant.corrections:
        return None

    def correct(name: str, value: Any) -> Any:
        function = plant.corrections.get(name)
        return value if function is None else function(known, value)

    return correct


def _outputs(streams: Streams, traces: Mapping[str, Trace], values: Mapping[str, Symbol]) -> dict[str, Any]:
    outputs: dict[str, Any] = {}
    for unit in streams.units:
        traced = traces[unit.name]
        for key, value in traced.expression.items():
            outputs[f"{unit.name}.{key}"] = _raw(value)
        for key, value in traced.port.items():
            outputs[f"{unit.name}.{key}"] = _raw(value)
        for local in port_scalars(unit, Inlet):
            name = f"{unit.name}.{local}"
            if name not in streams.driven and f"{unit.name}.{local.split('.')[0]}" not in streams.torn:
                outputs[name] = _raw(values[name])
    return outputs


def _check_index(function: ca.Function, equations: Sequence[str], algebraics: Sequence[str]) -> None:
    """The algebraic equations must determine the algebraic variables (index 1), by their structure."""
    pattern = function.jac_sparsity(1, 2)
    if not algebraics or ca.sprank(ca.DM(pattern, 1.0)) == len(algebraics):
        return
    rows = np.array(ca.DM(pattern, 1.0))
    absent = [name for name, column in zip(algebraics, rows.T, strict=True) if not column.any()]
    empty = [name for name, row in zip(equations, rows, strict=True) if not row.any()]
    what = (
        f"no algebraic equation contains {absent[0]}" if absent
        else f"{empty[0]} contains no algebraic variable" if empty
        else f"the equations {', '.join(equations)} do not determine {', '.join(algebraics)}"
    )  # fmt: skip
    raise FlowsheetError(
        f"the model has an index above 1 or is singular: {what}.\n"
        f"  Replace an equation among states by its time derivative, or declare a Control as Algebraic."
    )


def condition(relation: Any, where: str) -> tuple[Any, int]:
    """The residual of an end condition (left - right) and its direction. Raises SpecificationError."""
    if not isinstance(relation, Relation):
        raise SpecificationError(
            f"{where}: until must give a relation such as v.reactor.S <= 0.1, got {type(relation).__name__}."
        )
    direction = {"<": -1, "<=": -1, ">": 1, ">=": 1, "==": 0}.get(relation.operator)
    if direction is None:
        raise SpecificationError(f"{where}: until cannot be a relation with {relation.operator!r}.")
    return relation.left - relation.right, direction


def evaluate(function: Callable[[Any], Any], view: View, where: str) -> Any:
    """Call a user's function of the view; an error says where it was used."""
    try:
        return function(view)
    except NotActiveError as error:
        raise NotActiveError(f"{where}: {error}") from None
    except TiterError as error:
        raise SpecificationError(f"{where}: {error}") from None


__all__ = ["DIMENSIONLESS", "Lowered", "Outlet", "Streams", "condition", "evaluate", "lower", "streams_of"]
