"""What do a Pyomo block's equations give on titer's symbols? `Evaluation`: one run through them.

Pyomo calculates with numbers, whatever their units. Where the units of a model agree, its equations are read with
them; else each variable is read as its number in its own unit, which gives what Pyomo gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyomo.environ as pyo
from pyomo.core.base.units_container import _PyomoUnit

from titer.flowsheets.pyomo.imported.block import Row, Source, signed
from titer.flowsheets.pyomo.imported.expressions import Item, Linear, signature_of, value_of_tree
from titer.flowsheets.pyomo.imported.rules import Moment, rule_at
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import magnitude, quantity
from titer.numerics.errors import DeclarationError

Define = Callable[[str, Mapping[Item, Any]], Mapping[Item, Any]]  # of a component's Expressions, as read afterwards


@dataclass(frozen=True, eq=False)
class Manner:
    """How equations are read: with units, or as numbers where units do not agree; and what is told rather than read."""

    source: Source
    measures: Mapping[str, Measure]
    with_units: bool
    duration: str | None  # the component that scales time, which stands for `stretch`
    time: Measure
    stretch: float = 1.0


@dataclass(eq=False)
class Evaluation:
    """One run through the equations, on symbols of any reading."""

    manner: Manner
    values: Mapping[Item, Any]  # symbols
    t: Any  # the model's t, a number
    define: Define
    known: dict[Item, Any] = field(default_factory=dict)  # derivatives
    named: dict[Item, Any] = field(default_factory=dict)
    open_: set[str] = field(default_factory=set)

    def sides(self, row: Row) -> tuple[Any, Any]:
        """Both sides of an equation."""
        try:
            return self.value(row.left, row.point), self.value(row.right, row.point)
        except DeclarationError as error:
            text = str(error)
            raise DeclarationError(text if text.startswith(row.name) else f"{row.name}: {text}") from None

    def value(self, expression: Any, point: float | None) -> Any:
        return value_of_tree(
            expression, lambda leaf: self._leaf(leaf, point), lambda expression: self._named(expression, point)
        )

    def item(self, item: Item) -> Any:
        """A Var, Param or Expression as equations see it."""
        source = self.manner.source
        if item.component == self.manner.duration:
            return self.as_quantity(self.manner.stretch, self.manner.time)
        if item.component in source.derivatives:
            return self.known.get(item, Linear(0.0, {item: 1.0}))
        if source.components[item.component].data.ctype is pyo.Expression:
            return self._expression(item)
        value = self.values[item]
        return value if self.manner.with_units else magnitude(value, self.manner.measures[item.component])

    def as_quantity(self, number: float, measure: Measure) -> Any:
        return quantity(number, measure) if self.manner.with_units else number

    def _leaf(self, leaf: Any, point: float | None) -> Any:
        if isinstance(leaf, Moment):
            return self.t
        if isinstance(leaf, _PyomoUnit):
            return self.as_quantity(1.0, Measure.of(str(leaf)))
        item, at = self.manner.source.item(leaf)
        if at is not None and at != point:
            raise DeclarationError(
                f"it reads {leaf.name}, at one point of time.\n"
                "  Write what it takes from there as a Var or Param without time."
            )
        return self.item(item)

    def _named(self, expression: Any, point: float | None) -> Any:
        found = self.manner.source.items.get(id(expression))
        if found is None or found[1] is None:
            return self.value(expression.expr, point)
        return self._leaf(expression, point)

    def _expression(self, item: Item) -> Any:
        """An Expression over time: defined as a whole, once everything in it is known."""
        local = item.component
        if item in self.named:
            return self.named[item]
        if local in self.open_:
            return self._told(item)
        self.open_.add(local)
        component = self.manner.source.components[local]
        told = {each: self._told(each) for each in (Item(local, labels) for labels in component.labels())}
        self.open_.remove(local)
        if any(isinstance(value, Linear) for value in told.values()):
            return told[item]
        self.named.update(self.define(local, told))
        return self.named[item]

    def _told(self, item: Item) -> Any:
        point, expression = expression_of(self.manner.source, item)
        try:
            return self.value(expression, point)
        except DeclarationError as error:
            text = str(error)
            raise DeclarationError(text if text.startswith(item.component) else f"{item}: {text}") from None


def expression_of(source: Source, item: Item) -> tuple[float, Any]:
    """What an Expression says at any t, and the point at which it was asked."""
    component = source.components[item.component]
    assert component.position is not None
    points = sorted(source.time, key=lambda point: (point == source.time.first(), point == source.time.last()))

    def sign(expression: Any, point: float) -> Any:
        return signature_of(expression, lambda leaf: signed(source, leaf, point))

    found = rule_at(component.data, item.labels, component.position, points, source.ends, sign)
    if found is None:
        raise DeclarationError(f"{component.data.name}: it has no expression.")
    return found
