"""What does a Pyomo block declare as a unit operation? Its variables by kind, and the sets they stand over."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pyomo.environ as pyo

from titer.flowsheets.declarations import Algebraic, Control, Declaration, Expression, Parameter, State
from titer.flowsheets.declared import _RESERVED
from titer.flowsheets.pyomo.imported.block import Component, Source, sets_of
from titer.flowsheets.pyomo.imported.expressions import Item
from titer.flowsheets.symbols.measure import Measure
from titer.numerics.errors import DeclarationError


@dataclass(frozen=True, eq=False)
class Declared:
    """Where items are: the attribute that holds them, all of them in order, its shape, its unit."""

    attribute: str
    items: tuple[Item, ...]
    over: tuple[str, ...]
    shape: tuple[int, ...]
    measure: Measure
    labels: tuple[tuple[Any, ...], ...] = ((),)  # of each item, as titer writes them


@dataclass(frozen=True, eq=False)
class Declarations:
    """The members of the class to be: `namespace` and `fields` (index sets), and where each item is."""

    namespace: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    places: list[Declared] = field(default_factory=list)

    def add(
        self, source: Source, kind: type[Declaration], items: Sequence[Item], measure: Measure, alone: bool = False
    ) -> Declared:
        """Declare items of one component and kind: as an array, or one `alone` under a name with its labels."""
        component = source.components[items[0].component]
        array = bool(items[0].labels) and not alone
        attribute = self._free_name(str(items[0]) if alone else items[0].component)
        over, shape, items = self.sets(component, items, attribute) if array else ((), (), tuple(items))
        options: dict[str, Any] = {"over": over, "doc": component.data.doc or ""}
        if kind is not Expression:
            options |= self._numbers(source, kind, items, shape)
        self.namespace[attribute] = kind(measure.label, **options)
        labels = tuple(product(*(self.fields[name] for name in over)))
        declared = Declared(attribute, tuple(items), over, shape, measure, labels)
        self.places.append(declared)
        return declared

    def sets(self, component: Component, items: Sequence[Item], attribute: str) -> tuple[Any, Any, tuple[Item, ...]]:
        """Index sets over which items stand, as fields; a set that is no product becomes one of joined labels."""
        names = _set_names(component, len(items[0].labels))
        columns = [list(dict.fromkeys(column)) for column in zip(*(item.labels for item in items), strict=True)]
        if math.prod(len(column) for column in columns) != len(items):
            joined = [":".join(map(str, _written(item.labels))) for item in items]
            return (self._field(f"{attribute}_set", joined),), (len(items),), tuple(items)
        over = []
        for k, (name, column) in enumerate(zip(names, columns, strict=True)):
            known = list(dict.fromkeys(labels[k] for labels in component.labels()))
            written = dict(zip(known, _written(known), strict=True))
            over.append(self._field(name or f"{attribute}_{k}", [written[label] for label in column]))
        ordered = tuple(Item(items[0].component, labels) for labels in product(*columns))
        return tuple(over), tuple(len(column) for column in columns), ordered

    def _field(self, name: str, labels: Sequence[Any]) -> str:
        name = identifier(name)
        while name in self.namespace or name in _RESERVED or self.fields.get(name, tuple(labels)) != tuple(labels):
            name += "_"
        self.fields[name] = tuple(labels)
        return name

    def _free_name(self, text: str) -> str:
        name = identifier(text)
        while name in self.namespace or name in self.fields or name in _RESERVED:
            name += "_"
        return name

    def _numbers(
        self, source: Source, kind: type[Declaration], items: Sequence[Item], shape: tuple[int, ...]
    ) -> dict[str, Any]:
        component = source.components[items[0].component]
        point = None if component.position is None else source.time.first()
        data = [component.at(item.labels, point) for item in items]
        start = [_value(each) for each in data]
        if kind in (Control, Algebraic) and component.position is not None:
            last = [_value(component.at(item.labels, source.time.last())) for item in items]
            start = [x if x is not None else y for x, y in zip(start, last, strict=True)]
        for each, value in zip(data, start, strict=True):
            if kind is Parameter and value is None:
                raise DeclarationError(f"{each.name} has no value.\n  Give it one: set_value(...), or fix(...).")
        found: dict[str, Any] = {"value" if kind is Parameter else "start": _shaped(start, shape)}
        if component.data.ctype is not pyo.Param:
            found["lower"] = _shaped([-math.inf if x.lb is None else pyo.value(x.lb) for x in data], shape)
            found["upper"] = _shaped([math.inf if x.ub is None else pyo.value(x.ub) for x in data], shape)
        return found


def kinds_of(
    source: Source, read: Iterable[Item], given: Iterable[str], inlets: Iterable[str], determined: Iterable[Item]
) -> dict[Item, type[Declaration]]:
    """What each item is that the equations read. `given`, `inlets`: components that come from outside.

    `determined`: items without t that have an equation. Items of inlets, and derivatives, are left out.
    """
    read = list(read)
    states = {Item(source.derivatives[i.component], i.labels) for i in read if i.component in source.derivatives}
    given, inlets, determined = set(given), set(inlets), set(determined)
    kinds: dict[Item, type[Declaration]] = {}
    places = {Item(local, key): k for local, c in source.components.items() for k, key in enumerate(c.labels())}
    order = {local: k for k, local in enumerate(source.components)}
    for item in sorted({*states, *read}, key=lambda item: (order[item.component], places[item])):
        component = source.components[item.component]
        if item.component in inlets or item.component in source.derivatives or component.data.ctype is pyo.Expression:
            continue
        _check_continuous(component, item, source)
        if component.position is None:
            kinds[item] = Algebraic if item in determined else Parameter
            continue
        outside = component.data.ctype is pyo.Param or item.component in given or _is_fixed(source, component, item)
        if item in states and outside:
            raise DeclarationError(
                f"{item} has a derivative, and is given over time.\n  Free it, or take its DerivativeVar out."
            )
        kinds[item] = State if item in states else Control if outside else Algebraic
    return kinds


def measure_of_component(component: Component) -> Measure:
    """The unit of a Var or Param; none is dimensionless. Raises DeclarationError naming it."""
    try:
        unit = component.data.get_units()
        return Measure.of("1" if unit is None else str(unit))
    except DeclarationError as error:
        raise DeclarationError(f"{component.data.name}: {error}") from None


def _is_fixed(source: Source, component: Component, item: Item) -> bool:
    """Whether a Var is fixed at all points of time: an input. One that is fixed at the first only starts there."""
    return component.data.ctype is not pyo.Param and all(
        component.at(item.labels, point).fixed for point in source.time
    )


def _check_continuous(component: Component, item: Item, source: Source) -> None:
    if component.data.ctype is pyo.Param:
        return
    data = component.at(item.labels, None if component.position is None else source.time.first())
    if not data.is_continuous() and not data.fixed:
        raise DeclarationError(
            f"{data.name} is an integer or binary variable.\n  Fix it, or relax it: its domain to Reals with bounds."
        )


def _set_names(component: Component, count: int) -> list[str]:
    """The names of the sets of a component's index, without time; empty where a set has none of its own."""
    names: list[str] = []
    for each in sets_of(component.data):
        plain = each.dimen == 1 and re.fullmatch(r"[A-Za-z]\w*", each.local_name) and each.parent_block() is not None
        names += [each.local_name if plain else ""] * (each.dimen if isinstance(each.dimen, int) else 1)
    if component.position is not None:
        del names[component.position : component.position + 1]
    return names if len(names) == count else [""] * count


def identifier(text: str) -> str:
    """A text as a name that can stand behind a dot."""
    name = re.sub(r"\W+", "_", text).strip("_")
    return name if name[:1].isalpha() else f"x_{name}"


def _written(labels: Sequence[Any]) -> list[Any]:
    """Labels as titer has them: numbers as they are, texts without blanks, dots, commas or brackets."""
    if all(isinstance(label, int) and not isinstance(label, bool) for label in labels):
        return list(labels)
    if any(isinstance(label, float) for label in labels):  # points of a set that is discretized: their order counts
        return list(range(len(labels)))
    texts = [re.sub(r"[\s\[\].,]+", "_", str(label)) or "_" for label in labels]
    return [text if texts.count(text) == 1 else f"{text}_{k}" for k, text in enumerate(texts)]


def _value(data: Any) -> float | None:
    value = pyo.value(data, exception=False)
    return None if value is None else float(value)


def _shaped(values: Sequence[Any], shape: tuple[int, ...]) -> Any:
    if not shape:
        return values[0]
    nested: Any = list(values)
    for n in reversed(shape[1:]):
        nested = [nested[k : k + n] for k in range(0, len(nested), n)]
    return nested
