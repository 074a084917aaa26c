"""What do terms, conditions and corrections see of a plant in a phase? `v.reactor.T`, active or at rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from titer.flowsheets.declared import Declared
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.streams import Streams
from titer.flowsheets.symbols.symbol import Symbol
from titer.flowsheets.trace import Trace
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


def known_view(plant: Flowsheet, streams: Streams, values: Mapping[str, Symbol], time: Symbol) -> View:
    """What a correction may read: states, algebraics, controls and parameters of all units."""
    entries: dict[str, Any] = {"time": time}
    for unit in plant.units:
        idle = unit in streams.idle
        kind, reason = (RestingView, _AT_REST) if idle else (View, _CORRECTING)
        entries[unit.name] = unit_view(unit, values, reason, kind)
    return View("v", entries)


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
        if function is None:
            return value
        try:
            return function(known, value)
        except TiterError as error:
            raise SpecificationError(f"correction of {name}: {error}") from None

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
