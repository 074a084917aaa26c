"""How is a Pyomo block a unit operation? `Model`: what it declares, and its `equations`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyomo.environ as pyo

from titer.flowsheets.declarations import (
    Algebraic,
    Control,
    Declaration,
    Equations,
    Expression,
    Inlet,
    Outlet,
    Parameter,
    State,
)
from titer.flowsheets.pyomo.imported.block import Source
from titer.flowsheets.pyomo.imported.declarations import Declarations, Declared, kinds_of, measure_of_component
from titer.flowsheets.pyomo.imported.evaluation import Define, Evaluation, Manner, expression_of
from titer.flowsheets.pyomo.imported.expressions import Item, minus
from titer.flowsheets.pyomo.imported.inputs import given_inputs, start_at
from titer.flowsheets.pyomo.imported.rules import Moment
from titer.flowsheets.pyomo.imported.slopes import Slopes
from titer.flowsheets.pyomo.imported.trial import plus_start, remaining_rows, scaled, solved_slopes, tried
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import Symbol, magnitude, quantity, symbol_array
from titer.numerics.errors import DeclarationError

Ports = Mapping[str, Mapping[str, str]]  # port: {its variable: local name of a component}
KINDS = (State, Algebraic, Control, Parameter)


@dataclass(frozen=True, eq=False)
class Model:
    """A block as a unit operation: members of its class, and what its equations need."""

    name: str
    time: str
    namespace: Mapping[str, Any]
    fields: Mapping[str, tuple[Any, ...]]
    inputs: Mapping[str, Mapping[float, float]]  # what the block gives its controls, over its time from zero
    manner: Manner
    slopes: Slopes
    places: tuple[Declared, ...]
    expressions: Mapping[str, Declared]  # by component
    inlets: Mapping[str, Mapping[str, Declared]]
    outlets: Mapping[str, Mapping[str, Declared]]

    def equations(self, v: Any) -> Equations:
        """Rates, residuals and outlets on the symbols of a view."""
        values = dict(self._values(v))
        clock = magnitude(v.time, self.time)
        run = Evaluation(self.manner, values, plus_start(clock, self.manner), self._definer(v))
        run.known = solved_slopes(self.slopes, run)
        zero = {row.name: minus(*run.sides(row)) for row in remaining_rows(self.manner.source, self.slopes)}
        for local in self.expressions:
            for item in self.expressions[local].items:
                run.item(item)
        return Equations(rate=self._rates(run), zero=zero, port=self._ports(run))

    def _values(self, v: Any) -> Iterator[tuple[Item, Any]]:
        for place in self.places:
            yield from zip(place.items, _flat(getattr(v, place.attribute), place), strict=True)
        for port, members in self.inlets.items():
            for variable, place in members.items():
                yield from zip(place.items, _flat(getattr(getattr(v, port), variable), place), strict=True)

    def _definer(self, v: Any) -> Define:
        def define(local: str, told: Mapping[Item, Any]) -> Mapping[Item, Any]:
            place = self.expressions[local]
            if not self.manner.with_units:
                told = {item: quantity(value, place.measure) for item, value in told.items()}
            given = v.define(place.attribute, _array([told[item] for item in place.items], place))
            found = dict(zip(place.items, _flat(given, place), strict=True))
            return found if self.manner.with_units else {i: magnitude(x, place.measure) for i, x in found.items()}

        return define

    def _rates(self, run: Evaluation) -> dict[str, Any]:
        source, per = self.manner.source, self.manner.time
        derivative_of = {state: local for local, state in source.derivatives.items()}
        rates = {}
        for place in self.places:
            if isinstance(self.namespace[place.attribute], State):
                items = [Item(derivative_of[item.component], item.labels) for item in place.items]
                values = [in_unit(scaled(run.known[item], run), place.measure / per, self.manner) for item in items]
                rates[place.attribute] = _array(values, place)
        return rates

    def _ports(self, run: Evaluation) -> dict[str, dict[str, Any]]:
        return {
            port: {
                variable: _array([in_unit(run.item(item), place.measure, self.manner) for item in place.items], place)
                for variable, place in members.items()
            }
            for port, members in self.outlets.items()
        }


def model_of(
    source: Source,
    controls: Sequence[str],
    parameters: Sequence[str],
    inlets: Ports,
    outlets: Ports,
    duration: str | None,
    time_unit: str | None,
) -> Model:
    """Classify what the equations read, solve them for derivatives, and declare it all. Raises DeclarationError."""
    start_at(source)
    read = _read(source, outlets)
    entering = {local for members in inlets.values() for local in members.values()}
    determined = _determined(source, parameters)
    kinds = kinds_of(source, read, controls, entering, determined)
    if duration is not None:
        kinds = {item: kind for item, kind in kinds.items() if item.component != duration}
    measures = {local: measure_of_component(source.components[local]) for local in _measured(source)}
    manner = Manner(source, measures, True, duration, _time_of(source, measures, duration, time_unit))
    manner, slopes, told = tried(manner, kinds, entering)
    kinds |= dict.fromkeys(slopes.kept, Algebraic)
    _check_count(source, kinds, slopes)
    made = Declarations()
    for kind in KINDS:
        _declare(made, source, kind, kinds, measures)
    places = tuple(made.places)
    expressions = {}
    for local in dict.fromkeys(item.component for item in told):
        own = [item for item in told if item.component == local]
        expressions[local] = made.add(source, Expression, own, told[own[0]])
    entering_at = {key: _port(made, source, measures, Inlet, key, members) for key, members in inlets.items()}
    both = measures | {local: place.measure for local, place in expressions.items()}
    leaving = {key: _port(made, source, both, Outlet, key, members) for key, members in outlets.items()}
    inputs = given_inputs(source, [p for p in places if isinstance(made.namespace[p.attribute], Control)])
    return Model(
        source.name, manner.time.label, made.namespace, made.fields, inputs, manner, slopes, places, expressions,
        entering_at, leaving,
    )  # fmt: skip


def in_unit(value: Any, measure: Measure, manner: Manner) -> Any:
    """A value as a quantity in the unit that is declared, its number as it is."""
    if not isinstance(value, Symbol):
        return quantity(value, measure)
    return value if value.measure.same(measure) else quantity(magnitude(value, value.measure), measure)


# --- what is read ---------------------------------------------------------------------------------------------------


def _read(source: Source, outlets: Ports) -> list[Item]:
    """Items that equations, Expressions over time and outlets read, in order."""
    found: dict[Item, None] = {}
    expressions = [
        Item(c.local, labels)
        for c in list(source.components.values())
        if c.data.ctype is pyo.Expression and c.position is not None
        for labels in c.labels()
    ]
    rows = [side for row in (*source.rows, *source.constant) for side in (row.left, row.right)]
    stack = [*rows, *(expression_of(source, item)[1] for item in expressions)][::-1]
    while stack:
        node = stack.pop()
        if hasattr(node, "is_expression_type") and node.is_expression_type():
            if node.is_named_expression_type() and source.items.get(id(node), (None, None))[1] is not None:
                continue
            stack += node.args[::-1]
        elif hasattr(node, "parent_component") and not isinstance(node, Moment):
            found[source.item(node)[0]] = None
    for members in outlets.values():
        for local in members.values():
            found |= {Item(local, labels): None for labels in source.components[local].labels()}
    return list(found)


def _measured(source: Source) -> list[str]:
    return [local for local, c in source.components.items() if c.data.ctype is not pyo.Expression]


def _determined(source: Source, parameters: Sequence[str]) -> list[Item]:
    """Free Vars without time that Constraints without time determine. Raises DeclarationError where it is unclear."""
    found: dict[Item, None] = {}
    only = replace(source, rows=())
    for item in _read(replace(only, components=dict(source.components)), {}) if source.constant else ():
        component = source.components[item.component]
        free = component.position is None and component.data.ctype is not pyo.Param
        if free and item.component not in parameters and not component.at(item.labels, None).fixed:
            found[item] = None
    if len(found) != len(source.constant):
        raise DeclarationError(
            f"{source.name}: {len(source.constant)} Constraints without time, {len(found)} free Vars without time.\n"
            f"  Constraints: {', '.join(row.name for row in source.constant)}\n"
            f"  Vars: {', '.join(map(str, found)) or 'none'}\n"
            "  Fix those that are given, or name them in parameters=[...]."
        )
    return list(found)


def _time_of(source: Source, measures: Mapping[str, Measure], duration: str | None, given: str | None) -> Measure:
    """The unit of time: what is given, that of the duration, or what derivatives tell."""
    second = Measure.of("s")
    told = [(local, measures[state] / measures[local]) for local, state in source.derivatives.items()]
    if duration is not None:
        told.insert(0, (duration, measures[duration]))
    known = [(local, measure) for local, measure in told if measure.compatible(second)]
    time = Measure.of(given) if given is not None else known[0][1] if known else second
    for local, measure in known:
        if not measure.same(time):
            raise DeclarationError(
                f"{source.name}: {local} counts time in {measure.label!r}, not in {time.label!r}.\n"
                "  Give all units with one unit of time, and leave time_unit= away."
            )
    return time


def _check_count(source: Source, kinds: Mapping[Item, type[Declaration]], slopes: Slopes) -> None:
    unknown = [item for item, kind in kinds.items() if kind is Algebraic]
    rows = remaining_rows(source, slopes)
    if len(unknown) == len(rows):
        return
    more = "equations" if len(rows) > len(unknown) else "variables"
    raise DeclarationError(
        f"{source.name}: more {more} than {'variables' if more == 'equations' else 'equations'}, besides derivatives.\n"
        f"  {len(unknown)} variables: {', '.join(map(str, unknown)) or 'none'}\n"
        f"  {len(rows)} equations: {', '.join(row.name for row in rows) or 'none'}\n"
        "  Name what is given from outside in controls=[...], fix it, or deactivate what is no equation of the model."
    )


# --- declarations ---------------------------------------------------------------------------------------------------


def _declare(
    made: Declarations, source: Source, kind: type[Declaration], kinds: Mapping[Item, type[Declaration]],
    measures: Mapping[str, Measure],
) -> None:  # fmt: skip
    for local in dict.fromkeys(item.component for item in kinds):
        groups: dict[type[Declaration], list[Item]] = {}
        for item in (item for item in kinds if item.component == local):
            groups.setdefault(kinds[item], []).append(item)
        own, most = groups.get(kind, []), max(map(len, groups.values()))
        alone = len(own) < most or (len(groups) > 1 and most == 1)  # the largest group keeps the name and the sets
        for group in [[item] for item in own] if alone else [own] if own else []:
            made.add(source, kind, group, measures[local], alone=alone)


def _port(
    made: Declarations, source: Source, measures: Mapping[str, Measure], kind: type, key: str,
    members: Mapping[str, str],
) -> dict[str, Declared]:  # fmt: skip
    """Declare a port; where each of its variables is."""
    found: dict[str, Declared] = {}
    for variable, local in members.items():
        items = [Item(local, labels) for labels in source.components[local].labels()]
        sets = made.sets(source.components[local], items, f"{key}_{variable}") if items[0].labels else ((), (), items)
        found[variable] = Declared(variable, tuple(sets[2]), sets[0], sets[1], measures[local])
    carried = {variable: (place.measure.label, *place.over) for variable, place in found.items() if variable != "flow"}
    made.namespace[key] = kind(found["flow"].measure.label, **carried)
    return found


def _flat(value: Any, place: Declared) -> list[Any]:
    return list(np.asarray(value, dtype=object).ravel()) if place.shape else [value]


def _array(values: Sequence[Any], place: Declared) -> Any:
    return symbol_array(list(values), place.shape) if place.shape else values[0]
