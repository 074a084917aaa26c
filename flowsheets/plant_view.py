"""What do terms, conditions and corrections see of a plant in a phase? `v.reactor.T`, active or at rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from titer.flowsheets.corrections.reading import KnownView, note
from titer.flowsheets.declared import Declared
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.streams import Streams
from titer.flowsheets.symbols.symbol import Symbol, magnitude, quantity
from titer.flowsheets.trace import Trace, trace
from titer.flowsheets.unit import Unit
from titer.flowsheets.view import RestingView, View, gather, sets_of
from titer.numerics.errors import SpecificationError, TiterError

_AT_REST = "the unit operation is idle here; only its held states and parameters have values."
_CORRECTING = "a correction reads states, algebraics, controls and parameters, not expressions or ports."


class FlowsheetView(View):
    """The view of terms and conditions: `v.reactor.T`, or by qualified name `v["column.c[3,product]"]`."""

    def __init__(self, what: str, entries: dict[str, Any], named: Mapping[str, Any]):
        super().__init__(what, entries)
        self.__dict__["_named"] = named

    def __getitem__(self, name: str) -> Any:
        named = self.__dict__["_named"]
        return named[str(name)] if str(name) in named else super().__getitem__(name)


def known_view(plant: Flowsheet, streams: Streams, values: Mapping[str, Symbol], time: Symbol) -> KnownView:
    """What a correction may read: states, algebraics, controls and parameters of all units.

    Features of learned corrections may also be streams that come in and named expressions, by name.
    """
    entries: dict[str, Any] = {"time": time}
    for unit in plant.units:
        idle = unit in streams.idle
        kind, reason = (RestingView, _AT_REST) if idle else (View, _CORRECTING)
        entries[unit.name] = unit_view(unit, values, reason, kind)

    traced: dict[tuple[str, ...], Mapping[str, Any]] = {}  # by the expressions whose corrections wait for it

    def ahead(name: str, on: str, before: tuple[str, ...] = ()) -> Any:
        """A named expression that is defined only after `on`, which it does not depend on."""
        unit = plant.unit(name.split(".", 1)[0])
        if name not in plant.expressions or unit.name != on.split(".", 1)[0]:
            why = _AT_REST if unit in streams.idle else f"it is known only after {on}: take what lies upstream of it."
            raise SpecificationError(f"feature {name}: {why}")
        pending = (*before, on)
        if pending not in traced:
            again = KnownView(entries, values, lambda name, on: ahead(name, on, pending))
            own = {key.split(".", 1)[1]: s for key, s in values.items() if key.split(".", 1)[0] == unit.name}
            correct = corrector(plant, again)

            def unless_pending(key: str, value: Any) -> Any:
                return value if key in pending or correct is None else correct(key, value)

            clock = quantity(magnitude(time, unit.time), unit.time)
            traced[pending] = trace(unit, own, clock, unless_pending).expression
        return traced[pending][name.split(".", 1)[1]]

    return KnownView(entries, values, ahead)


def final_view(
    plant: Flowsheet, traces: Mapping[str, Trace], values: Mapping[str, Symbol], time: Symbol
) -> FlowsheetView:
    """What terms, conditions and resets see: all of the traced units, held states and parameters of the others."""
    entries: dict[str, Any] = {"time": time}
    named: dict[str, Any] = dict(values)
    for unit in plant.units:
        traced = traces.get(unit.name)
        entries[unit.name] = traced.view if traced is not None else unit_view(unit, values, _AT_REST, RestingView)
        if traced is not None:
            named |= {f"{unit.name}.{key}": value for key, value in (*traced.expression.items(), *traced.port.items())}
    return FlowsheetView("v", entries, named)


def corrector(plant: Flowsheet, known: View) -> Callable[[str, Any], Any] | None:
    """What replaces named expressions while the equations are traced; None where nothing is corrected."""
    if not plant.corrections:
        return None

    def correct(name: str, value: Any) -> Any:
        function = plant.corrections.get(name)
        try:
            value = value if function is None else function(known, value)
        except TiterError as error:
            raise SpecificationError(f"correction of {name}: {error}") from None
        note(known, name, value)
        return value

    return correct


def unit_view(unit: Unit, values: Mapping[str, Symbol], reason: str, kind: type[View] = View) -> View:
    """A unit operation outside its own equations, from scalars by qualified name; `reason`: why others are absent."""
    local = {n.split(".", 1)[1]: s for n, s in values.items() if n.split(".", 1)[0] == unit.name}

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
        return kind(what, entries, absent, sets_of(declared))

    return view_of(unit, unit.name, "")
