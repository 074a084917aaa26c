"""How does a plant in a phase become a `Dae`? Trace its active units once, stream by stream, on CasADi symbols.

Streams are followed from unit to unit; where they run in a circle, the inlet that closes it becomes algebraic
variables. States of idle units are held: they are parameters of the phase. Everything numeric (values, bounds, starts)
stays outside the trace, so a plant with other values shares it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import casadi as ca

from titer.flowsheets.declarations import Algebraic, Control, Inlet, Parameter, State
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.plant_view import FlowsheetView, corrector, final_view, known_view
from titer.flowsheets.profiles import logarithm
from titer.flowsheets.streams import Streams, port_of
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import CASADI, Relation, Symbol
from titer.flowsheets.trace import Trace, port_scalars, trace
from titer.flowsheets.view import View
from titer.numerics.dae import Dae, Variable
from titer.numerics.errors import FlowsheetError, NotActiveError, SpecificationError, TiterError
from titer.numerics.reduction import index_of, reduced


@dataclass(frozen=True, eq=False)
class Lowered:
    """A plant in a phase: the `Dae`, and the view on the symbols behind it."""

    dae: Dae
    view: FlowsheetView
    symbols: tuple[ca.SX, ca.SX, ca.SX, ca.SX, ca.SX]  # t, x, z, u, p
    held: tuple[str, ...]  # states of idle units; they follow the plant's parameters in p
    driven: tuple[ca.SX, ca.SX] | None = None  # where inputs are functions: those of the trace, and what they are

    def function(self, value: Any, name: str = "value") -> ca.Function:
        """A function of (t, x, z, u, p) from something traced on the view."""
        raw = value.value if isinstance(value, Symbol) else value
        t, x, z, u, p = self.symbols
        if self.driven is None:
            return ca.Function(name, [t, x, z, u, p], [ca.densify(ca.SX(raw))])
        traced, inputs = self.driven
        inner = ca.Function(name, [t, x, z, traced, p], [ca.densify(ca.SX(raw))])
        return ca.Function(name, [t, x, z, u, p], [inner(t, x, z, inputs, p)])

    def with_driven(self, driven: Mapping[int, Any], logarithms: Sequence[int] = ()) -> Lowered:
        """The same with some inputs replaced by functions of time, and some by their logarithms, which are inputs
        instead; all of them are outputs then."""
        if not driven and not logarithms:
            return self
        t, x, z, u, p = self.symbols
        names = {i: logarithm(self.dae.inputs[i].name) for i in logarithms}
        symbol = {i: ca.SX.sym(names[i]) if i in names else u[i] for i in range(u.numel()) if i not in driven}
        driven = {i: driven[i] if i in driven else ca.exp(symbol[i]) for i in sorted({*driven, *names})}
        inputs = ca.vertcat(*(ca.SX(driven[i]) if i in driven else u[i] for i in range(u.numel())))
        symbols = (t, x, z, ca.vertcat(ca.SX(0, 1), *symbol.values()), p)
        rate, zero, output = self.dae.function(t, x, z, inputs, p)
        held = self.dae.invariants
        output = ca.vertcat(output, *(inputs[i] for i in driven))
        dae = replace(
            self.dae,
            function=ca.Function("plant", list(symbols), [rate, zero, output]),
            invariants=None if held is None else ca.Function("invariants", list(symbols), [held(t, x, z, inputs, p)]),
            inputs=tuple(Variable(names[i], "1") if i in names else self.dae.inputs[i] for i in symbol),
            outputs=(
                *self.dae.outputs,
                *(Variable(self.dae.inputs[i].name, self.dae.inputs[i].unit) for i in driven),
            ),
        )
        return replace(self, dae=dae, symbols=symbols, driven=(u, inputs))


def lower(plant: Flowsheet, streams: Streams, label: str) -> Lowered:
    """The `Dae` of a plant's active units. Traced once per structure: plants with other values share the trace."""
    key = (
        tuple(u.name for u in streams.units),
        tuple(sorted((k, u.name, o) for k, (u, o) in streams.sources.items())),
        streams.driven,
    )
    if key not in plant.cache:
        plant.cache[key] = _trace(plant, streams)
    lowered: Lowered = plant.cache[key]
    return replace(lowered, dae=_with_values(plant, lowered, label))


def _trace(plant: Flowsheet, streams: Streams) -> Lowered:
    time = Symbol(ca.SX.sym("t"), plant.measure_of_time, CASADI)
    values, groups = _symbols(plant, streams)
    traces = _traces(plant, streams, values, time)
    rates = [
        _raw(traces[unit.name].rate[scalar.local]) * plant.measure_of_time.ratio_to(Measure.of(unit.time))
        for unit in streams.units
        for scalar in unit.of_kind(State)
    ]
    zeros = _zeros(plant, streams, traces, values, groups["z"])
    outputs = _outputs(streams, traces, values)
    t, (x, z, u, p) = time.value, (_column(values[name].value for name in groups[key]) for key in "xzup")
    results = [_column(rates), _column(zeros.values()), _column(outputs.values())]
    function = ca.Function("plant", [t, x, z, u, p], results)

    def variables(names: Iterable[str]) -> tuple[Variable, ...]:
        return tuple(Variable(name, plant.measures[name].label) for name in names)

    dae = Dae(
        name="plant",
        time=plant.time,
        function=function,
        states=variables(groups["x"]),
        algebraics=variables(groups["z"]),
        inputs=variables(groups["u"]),
        parameters=variables(groups["p"]),
        outputs=variables(outputs),
        equations=tuple(zeros),
    )
    held = tuple(str(s.name) for unit in streams.idle for s in unit.of_kind(State))
    if not _determined(dae):
        dae = _of_index_one(plant, dae)
        for v in dae.algebraics[len(groups["z"]) :]:
            values[v.name] = Symbol(ca.SX.sym(v.name), derivative_measure(plant, v.name), CASADI)
            z = ca.vertcat(z, values[v.name].value)
    return Lowered(dae, final_view(plant, traces, values, time), (t, x, z, u, p), held)


def _symbols(plant: Flowsheet, streams: Streams) -> tuple[dict[str, Symbol], dict[str, list[str]]]:
    """A symbol for everything the equations are given, and which of them are x, z, u and p. A stream that comes from a
    unit operation has none: it is what that unit's equations return."""
    values: dict[str, Symbol] = {}
    groups: dict[str, list[str]] = {key: [] for key in "xzup"}

    def declare(group: str, name: str) -> None:
        values[name] = Symbol(ca.SX.sym(name), plant.measures[name], CASADI)
        groups[group].append(name)

    for unit in plant.units:
        for scalar in unit.of_kind(Parameter):
            declare("p", str(scalar.name))
    for unit in streams.units:
        for group, kind in (("x", State), ("z", Algebraic), ("u", Control)):
            for scalar in unit.of_kind(kind):
                declare(group, str(scalar.name))
        for local in port_scalars(unit, Inlet):
            name = f"{unit.name}.{local}"
            if name in streams.driven:
                declare("u", name)
            elif port_of(name) in streams.torn:
                declare("z", name)
            elif port_of(name) not in streams.sources:
                values[name] = Symbol(ca.SX(0.0), plant.measures[name], CASADI)
    for unit in streams.idle:
        for scalar in unit.of_kind(State):
            declare("p", str(scalar.name))
    return values, groups


def _traces(plant: Flowsheet, streams: Streams, values: dict[str, Symbol], time: Symbol) -> dict[str, Trace]:
    """The equations of the active units, in the order of the streams; `values` gains the streams they are given."""
    correct = corrector(plant, known_view(plant, streams, values, time))
    traces: dict[str, Trace] = {}
    for unit in streams.units:
        for local in port_scalars(unit, Inlet):
            name = f"{unit.name}.{local}"
            if name not in values:
                values[name] = _carried(plant, streams, traces, name)
        own = {name.split(".", 1)[1]: s for name, s in values.items() if name.split(".", 1)[0] == unit.name}
        measure = Measure.of(unit.time)
        clock = Symbol(time.value * time.measure.ratio_to(measure), measure, CASADI)
        traces[unit.name] = trace(unit, own, clock, correct)
    return traces


def _zeros(
    plant: Flowsheet, streams: Streams, traces: Mapping[str, Trace], values: Mapping[str, Symbol], algebraics: list[str]
) -> dict[str, Any]:
    """Algebraic equations by name: those of the units, and those that close circles of streams."""
    zeros = {
        f"{unit.name}.{key} equation": _raw(residual)
        for unit in streams.units
        for key, residual in traces[unit.name].zero.items()
    }
    for name in algebraics:
        if port_of(name) in streams.torn:
            zeros[f"{name} stream"] = values[name].value - _carried(plant, streams, traces, name).value
    return zeros


def _carried(plant: Flowsheet, streams: Streams, traces: Mapping[str, Trace], name: str) -> Symbol:
    """A stream variable of a connected inlet: what the outlet carries, in the inlet's unit."""
    port = port_of(name)
    source, outlet = streams.sources[port]
    local = f"{outlet}{name.removeprefix(port)}"
    measure = plant.measures[name]
    ratio = plant.measures[f"{source.name}.{local}"].ratio_to(measure)
    return Symbol(_raw(traces[source.name].port[local]) * ratio, measure, CASADI)


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


def _raw(value: Any) -> Any:
    return value.value if isinstance(value, Symbol) else value


def _column(entries: Iterable[Any]) -> ca.SX:
    return ca.vertcat(ca.SX(0, 1), *entries)


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
            if name not in streams.driven and port_of(name) not in streams.torn:
                outputs[name] = _raw(values[name])
    return outputs


def _determined(dae: Dae) -> bool:
    """Whether the algebraic equations determine the algebraic variables (index 1), by their structure."""
    return not dae.algebraics or ca.sprank(ca.DM(dae.function.jac_sparsity(1, 2), 1.0)) == len(dae.algebraics)


def _of_index_one(plant: Flowsheet, dae: Dae) -> Dae:
    """The model reduced, where the plant asks for it. Raises FlowsheetError, with the reason."""
    if plant.reduces:
        dae = reduced(dae)
        return replace(
            dae, algebraics=tuple(replace(v, unit=derivative_measure(plant, v.name).label) for v in dae.algebraics)
        )
    index = index_of(dae)
    mend = "plant.reduced() differentiates it, and holds the states on the equation itself by projection"
    if index.inputs:
        mend = (
            f"Reducing it needs the derivative of {index.inputs[0]}: declare that as a State whose rate is another\n"
            f"  Control, or as a Parameter where it is constant, and use plant.reduced()"
        )
    raise FlowsheetError(
        f"the model has {index.text}.\n  {mend};\n"
        f"  or replace the equation by its time derivative, or declare a Control as Algebraic."
    )


def derivative_measure(plant: Flowsheet, name: str) -> Measure:
    """The unit of what is called "der(tank.F)": that of tank.F by the flowsheet's time."""
    if name.startswith("der("):
        return derivative_measure(plant, name.removeprefix("der(").removesuffix(")")) / plant.measure_of_time
    return plant.measures[name]


def labels_of(plant: Flowsheet, algebraics: Iterable[str]) -> dict[str, str]:
    """The unit of everything that has a name in a plant, and of derivatives among its algebraic variables."""
    labels = {name: measure.label for name, measure in plant.measures.items()}
    return labels | {name: derivative_measure(plant, name).label for name in algebraics if name not in labels}


def condition(relation: Any, where: str) -> tuple[Any, int]:
    """The residual of an end condition (left - right) and its direction. Raises SpecificationError."""
    if not isinstance(relation, Relation):
        raise SpecificationError(
            f"{where}: expected a relation such as v.reactor.S <= 0.1 to end the phase, "
            f"got {type(relation).__name__} {relation!r}."
        )
    direction = {"<": -1, "<=": -1, ">": 1, ">=": 1, "==": 0}.get(relation.operator)
    if direction is None:
        raise SpecificationError(f"{where}: a phase cannot end by {relation.operator!r}; write <=, >= or ==.")
    return relation.left - relation.right, direction


def evaluate(function: Callable[[Any], Any], view: View, where: str) -> Any:
    """Call a user's function of the view; an error says where it was used."""
    try:
        return function(view)
    except NotActiveError as error:
        raise NotActiveError(f"{where}: {error}") from None
    except TiterError as error:
        raise SpecificationError(f"{where}: {error}") from None
    except Exception as error:
        error.add_note(f"{where}: this is not titer's error; it arose in the function given there.")
        raise
