"""What is a process? Unit operations and the streams between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from titer.flowsheets.declarations import Bounded, Expression, Inlet, Outlet, PortName
from titer.flowsheets.measure import Measure
from titer.flowsheets.names import Name, elements_of
from titer.flowsheets.trace import port_scalars
from titer.flowsheets.unit import Scalar, Unit, number_in
from titer.numerics.errors import FlowsheetError, SpecificationError, unknown

Connection = tuple[PortName, PortName]


@dataclass(frozen=True, eq=False)
class Values(Mapping[str, float]):
    """Parameter values and starts of a plant by qualified name; an array's name gives a list."""

    scalars: Mapping[str, Scalar]

    def __getitem__(self, name: str) -> Any:
        names = elements_of(name)
        for each in names:
            if str(each) not in self.scalars:
                raise KeyError(unknown("value", each, self.scalars))
        numbers = [self.scalars[str(each)].start for each in names]
        return numbers[0] if names == (name,) else numbers

    def __iter__(self) -> Iterator[str]:
        return iter(self.scalars)

    def __len__(self) -> int:
        return len(self.scalars)

    def __repr__(self) -> str:
        return "\n".join(f"{name} = {s.start:g} {s.measure.label}" for name, s in self.scalars.items())


class Flowsheet:
    """Unit operations, connected: `Flowsheet(a, b, connect=[(a.broth, b.load)], time="h")`.

    `time` is the unit of time of recipes and results (default: that of the units, if they agree).
    Frozen: `with_values` and `corrected` make others. Raises FlowsheetError.
    """

    units: tuple[Unit, ...]
    connections: tuple[Connection, ...]
    time: str
    corrections: Mapping[str, Callable[[Any, Any], Any]]

    def __init__(self, *units: Unit, connect: Sequence[tuple[Any, Any]] = (), time: str | None = None):
        for unit in units:
            if not isinstance(unit, Unit):
                raise FlowsheetError(f"Flowsheet: expected unit operations, got {type(unit).__name__} {unit!r}.")
        names = [unit.name for unit in units]
        twice = {name for name in names if names.count(name) > 1}
        if not units:
            raise FlowsheetError("Flowsheet: no unit operation was given.")
        if twice:
            raise FlowsheetError(f"Flowsheet: two unit operations are called {sorted(twice)[0]!r}; rename one.")
        if time is None:
            times = sorted({unit.time for unit in units})
            if len(times) > 1:
                raise FlowsheetError(f"Flowsheet: the units count time in {', '.join(times)}; give time=...")
            time = times[0]
        if not Measure.of(time).compatible(Measure.of("s")):
            raise FlowsheetError(f"Flowsheet: time={time!r} is not a unit of time.")
        self.__dict__.update(units=units, time=time, corrections={}, cache={})
        self.__dict__["connections"] = tuple(self.check_connection(c) for c in connect)
        check_single(self.connections, "connect")

    def __setattr__(self, key: str, value: Any) -> None:
        raise FlowsheetError(f"a flowsheet does not change: make another for {key}, or use with_values, corrected.")

    @property
    def measure_of_time(self) -> Measure:
        return Measure.of(self.time)

    def unit(self, name: str) -> Unit:
        """A unit operation by name."""
        for unit in self.units:
            if unit.name == name:
                return unit
        raise FlowsheetError(unknown("unit operation", name, [u.name for u in self.units]))

    @property
    def scalars(self) -> dict[str, Scalar]:
        """Every scalar variable with a value, by qualified name."""
        return {str(s.name): s for unit in self.units for s in unit.scalars.values()}

    @property
    def values(self) -> Values:
        """Parameter values and starts by qualified name."""
        return Values(self.scalars)

    def with_values(self, values: Mapping[str, Any]) -> Flowsheet:
        """Another plant with other parameter values and starts. Numbers are in the declared units; quantities convert.

        Raises SpecificationError for an unknown name, DeclarationError for a value outside its bounds.
        """
        scalars = self.scalars
        changed: dict[str, dict[str, float]] = {}
        for name, value in values.items():
            items = value if not isinstance(value, int | float) and hasattr(value, "__len__") else None
            names = elements_of(name)
            for i, each in enumerate(names):
                if str(each) not in scalars:
                    raise SpecificationError(f"with_values: {unknown('name', each, scalars)}")
                scalar = scalars[str(each)]
                number = number_in(value if items is None else items[i], scalar.measure, str(each))
                changed.setdefault(str(each).split(".", 1)[0], {})[scalar.local] = number
        units = tuple(u.with_values(changed[u.name]) if u.name in changed else u for u in self.units)
        return self._with(units=units)

    def corrected(self, correction: Mapping[str, Callable[[Any, Any], Any]] | Any) -> Flowsheet:
        """Another plant in which named expressions are replaced: {reactor.r_1: lambda v, rate: rate * (1 + 0.1 * v.reactor.x)}.

        The function sees the flowsheet's view and the uncorrected value. Balances still close, for rates are
        corrected, never states. Raises SpecificationError for a name that is no expression.
        """
        functions = dict(correction) if isinstance(correction, Mapping) else dict(correction.functions)
        known = self.expressions
        flat: dict[str, Callable[[Any, Any], Any]] = {}
        for name, function in functions.items():
            for each in elements_of(name):
                if str(each) not in known:
                    raise SpecificationError(f"corrected: {unknown('expression', each, known)}")
                if not callable(function):
                    raise SpecificationError(f"corrected: {each} needs a function of (v, value), got {function!r}.")
                before = self.corrections.get(str(each))
                flat[str(each)] = function if before is None else _after(before, function)
        return self._with(corrections={**self.corrections, **flat}, cache={})

    @property
    def expressions(self) -> dict[str, Measure]:
        """Named expressions, by qualified name."""
        found: dict[str, Measure] = {}

        def collect(declared: Any) -> None:
            for key, declaration in declared.declarations.items():
                if isinstance(declaration, Expression):
                    for name in elements_of(declared.name_of(key)):
                        found[str(name)] = Measure.of(declaration.unit)
            for _, part in declared.parts():
                collect(part)

        for unit in self.units:
            collect(unit)
        return found

    @property
    def measures(self) -> dict[str, Measure]:
        """The unit of everything that has a name: scalars, expressions, port variables."""
        ports = {
            f"{unit.name}.{local}": measure
            for unit in self.units
            for kind in (Inlet, Outlet)
            for local, measure in port_scalars(unit, kind).items()
        }
        return {name: s.measure for name, s in self.scalars.items()} | self.expressions | ports

    @property
    def inlet_names(self) -> tuple[str, ...]:
        """Scalar variables of all inlets, by qualified name."""
        return tuple(f"{unit.name}.{local}" for unit in self.units for local in port_scalars(unit, Inlet))

    def check_connection(self, connection: Any) -> Connection:
        """A pair (outlet, inlet) of this flowsheet's ports that carry the same. Raises FlowsheetError."""
        if not (isinstance(connection, tuple | list) and len(connection) == 2):
            raise FlowsheetError(
                f"a connection is a pair (outlet, inlet) such as (a.broth, b.load), got {connection!r}."
            )
        source, target = connection
        for port, kind, role in ((source, Outlet, "from an outlet"), (target, Inlet, "to an inlet")):
            if not isinstance(port, PortName) or not isinstance(port.port, kind):
                raise FlowsheetError(f"a connection goes {role}, got {port!r} in {tuple(connection)!r}.")
            if port.owner.name not in [u.name for u in self.units]:
                raise FlowsheetError(unknown(f"{port}: unit operation", port.owner.name, [u.name for u in self.units]))
        out, into = port_scalars(source.owner, Outlet), port_scalars(target.owner, Inlet)
        out = {k.split(".", 1)[1]: m for k, m in out.items() if k.split(".", 1)[0] == source.port.attribute}
        into = {k.split(".", 1)[1]: m for k, m in into.items() if k.split(".", 1)[0] == target.port.attribute}
        if set(out) != set(into):
            raise FlowsheetError(
                f"{source} and {target} do not carry the same:\n  {source}: {', '.join(out)}\n  {target}: {', '.join(into)}\n"
                f"  Declare the same variables on both ports."
            )
        for variable, measure in out.items():
            if not measure.compatible(into[variable]):
                raise FlowsheetError(
                    f"{source}.{variable} is in {measure.label!r}, {target}.{variable} in {into[variable].label!r}: "
                    f"they cannot be converted into each other."
                )
        return source, target

    def _with(self, **changes: Any) -> Flowsheet:
        other = object.__new__(Flowsheet)
        other.__dict__.update(self.__dict__, **changes)
        return other

    def __repr__(self) -> str:
        streams = ", ".join(f"{a} -> {b}" for a, b in self.connections)
        return f"Flowsheet({', '.join(repr(u) for u in self.units)}, connect=[{streams}], time={self.time!r})"

    def to_pyomo(self, recipe: Any, grid: Any = None, **problem: Any) -> Any:
        """The plant under a recipe as a Pyomo.DAE model (see `titer.flowsheets.pyomo`)."""
        from titer.flowsheets.pyomo import lower_to_pyomo

        return lower_to_pyomo(self, recipe, grid, **problem)


def check_single(connections: Sequence[Connection], where: str) -> None:
    """An inlet has one source and an outlet one target. Raises FlowsheetError."""
    for side, noun, mend in ((1, "inlet", "Add a mixer"), (0, "outlet", "Add a splitter")):
        seen: set[str] = set()
        for connection in connections:
            port = str(connection[side])
            if port in seen:
                raise FlowsheetError(f"{where}: {noun} {port} is connected twice. {mend}, or use routes of a Phase.")
            seen.add(port)


def _after(first: Callable[[Any, Any], Any], second: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda v, value: second(v, first(v, value))


__all__ = ["Bounded", "Connection", "Flowsheet", "Name", "Values", "check_single", "field", "replace"]
