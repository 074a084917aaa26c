"""What is in contact? Liquid and packing at points along a column: names, starts, and arrays as vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from titer.flowsheets.declarations import Declaration, Expression
from titer.flowsheets.symbols.symbol import SymbolArray, symbol_array
from titer.flowsheets.symbols.vectors import apart, together

Vectors = Mapping[str, Any]  # by component: values at all points


@dataclass(frozen=True, eq=False)
class Known:
    """Concentrations in liquid and solid; `loosened`: c/q, where a law makes the liquid of the solid."""

    c: Vectors
    q: Vectors
    loosened: Vectors = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Contact:
    """Liquid in contact with packing at `count` points.

    `liquid`: what the liquid's concentrations of `components` are called. `start`: of the liquid, by component;
    `solid`: of what is bound, where it is given; F the volume of solid by that of liquid, as a number for the start.
    `usual`: sizes of concentrations. `unit` of concentrations, `time` of rates.
    """

    liquid: str
    components: tuple[str, ...]
    binding: Any
    unit: str
    time: str
    count: int
    start: Mapping[str, float]
    solid: Mapping[str, float] | None
    usual: Mapping[str, float]
    F: float

    @property
    def unbound(self) -> tuple[str, ...]:
        """Components that do not bind."""
        return tuple(key for key in self.components if key not in self.binding.bound)

    @property
    def solid_start(self) -> dict[str, float]:
        """What is bound at first: in equilibrium with the liquid, unless it is given."""
        if self.solid is None:
            return dict(self.binding.filled(self.start))
        return {key: float(self.solid.get(key, 0.0)) for key in self.binding.bound}

    @property
    def total_start(self) -> dict[str, float]:
        from titer.flowsheets.units.columns.binding import Numbers

        return self.totals(Numbers(self.binding), self.start, self.solid_start, self.F)

    def totals(self, b: Any, c: Vectors, q: Vectors, F: Any) -> dict[str, Any]:
        """c + F q, by component."""
        held = self.binding.held(b, q)
        return {key: c[key] + F * held[key] if key in held else c[key] for key in self.components}

    def declared(self, liquid: type, solid: type) -> dict[str, Declaration]:
        """The concentrations as variables of the given kinds."""
        start = [self.start[key] for key in self.components]
        found = {self.liquid: self._made(liquid, self.components, "components", start, "in the liquid")}
        if self.binding.bound:
            start = [self.solid_start[key] for key in self.binding.bound]
            found["q"] = self._made(solid, self.binding.bound, "bound", start, "bound, by volume of solid")
        return found

    def mobile(self, kind: type) -> dict[str, Declaration]:
        """What does not bind, as a variable."""
        start = [self.start[key] for key in self.unbound]
        return {"mobile": self._made(kind, self.unbound, "unbound", start, "what does not bind")}

    def array(self, values: Vectors, keys: tuple[str, ...]) -> SymbolArray:
        """Vectors by component as an array (points, components)."""
        columns = [apart(values[key], self.count) for key in keys]
        return symbol_array([[column[k] for column in columns] for k in range(self.count)])

    def vectors(self, array: Any, keys: tuple[str, ...]) -> dict[str, Any]:
        """An array (points, components) as vectors by component."""
        return {key: together(array[:, i]) for i, key in enumerate(keys)}

    def read(self, v: Any) -> Known:
        """Both concentrations, where both are known."""
        bound = self.binding.bound
        return Known(self.vectors(getattr(v, self.liquid), self.components), self.vectors(v.q, bound) if bound else {})

    def define(self, v: Any, name: str, values: Vectors, keys: tuple[str, ...]) -> None:
        """Define an expression over points and components, where there are any."""
        if keys:
            v.define(name, self.array(values, keys))

    def sizes(self, keys: tuple[str, ...]) -> list[float]:
        """Usual concentrations."""
        return [float(self.usual.get(key, max(1.0, abs(self.start[key])))) for key in keys]

    def _made(self, kind: type, keys: tuple[str, ...], over: str, start: list[float], doc: str) -> Declaration:
        sets = ("points", over)
        if kind is Expression:
            return Expression(self.unit, over=sets, doc=doc)
        made: Declaration = kind(self.unit, start=start, nominal=self.sizes(keys), over=sets, doc=doc)
        return made
