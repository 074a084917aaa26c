"""What is a process? Unit operations and the streams between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from titer.flowsheets.corrections.applying import Chained, learned_parts
from titer.flowsheets.corrections.coefficients import is_coefficient
from titer.flowsheets.corrections.correction import Correction
from titer.flowsheets.declarations import Expression, Inlet, Outlet, PortName
from titer.flowsheets.names import ArrayName, elements_of
from titer.flowsheets.scalar import Scalar, measure_of, number_in
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.trace import port_scalars
from titer.flowsheets.unit import Unit
from titer.numerics.errors import FlowsheetError, SpecificationError, unknown

Connection = tuple[PortName, PortName]
Correcting = Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False)
class Values(Mapping[str, Any]):
    """Parameter values and starts of a plant by qualified name; an array's name gives a list."""

    scalars: Mapping[str, Scalar]

    def __getitem__(self, name: str) -> Any:
        names = elements_of(name)
        for each in names:
            if each not in self.scalars:
                raise SpecificationError(unknown("value", each, self.scalars))
        numbers = [self.scalars[each].start for each in names]
        return numbers if isinstance(name, ArrayName) else numbers[0]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and all(each in self.scalars for each in elements_of(name))

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or the default where there is none of that name."""
        try:
            return self[name]
        except SpecificationError:
            return default

    def __iter__(self) -> Iterator[str]:
        return iter(self.scalars)

    def __len__(self) -> int:
        return len(self.scalars)

    def __repr__(self) -> str:
        lines = [f"{name} = {_shown(scalar)}" for name, scalar in self.scalars.items() if not is_coefficient(name)]
        learned = Counter(name.partition("[")[0] for name in self.scalars if is_coefficient(name))
        return "\n".join([*lines, *(f"{array}: {count} learned coefficients" for array, count in learned.items())])


class Flowsheet:
    """Unit operations, connected: `Flowsheet(a, b, connect=[(a.broth, b.load)], time="h")`.

    `time` is the unit of time of recipes and results (default: that of the units, if they agree).
    Frozen: `with_values` and `corrected` make others. Raises FlowsheetError.
    """

    units: tuple[Unit, ...]
    connections: tuple[Connection, ...]
    time: str
    corrections: Mapping[str, Correcting]
    reduces: bool  # whether a model with an index above 1 is reduced rather than refused
    cache: dict[Any, Any]  # what was traced, by structure: plants with other values share it

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
        self.__dict__.update(units=units, time=_time_of(units, time), corrections={}, reduces=False, cache={})
        self.__dict__["connections"] = tuple(self.check_connection(c) for c in connect)
        check_single(self.connections, "connect")

    def __setattr__(self, key: str, value: Any) -> NoReturn:
        raise FlowsheetError(f"a flowsheet does not change: make another for {key}, or use with_values, corrected.")

    def __delattr__(self, key: str) -> NoReturn:
        self.__setattr__(key, None)

    @cached_property
    def measure_of_time(self) -> Measure:
        return Measure.of(self.time)

    def unit(self, name: str) -> Unit:
        """A unit operation by name."""
        for unit in self.units:
            if unit.name == name:
                return unit
        raise FlowsheetError(unknown("unit operation", name, [u.name for u in self.units]))

    @cached_property
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
        changed: dict[str, dict[str, float]] = {}
        for name, value in by_element(values, "with_values").items():
            if name not in self.scalars:
                raise SpecificationError(f"with_values: {unknown('name', name, self.scalars)}")
            scalar = self.scalars[name]
            number = number_in(value, scalar.measure, f"with_values: {name}")
            changed.setdefault(name.split(".", 1)[0], {})[scalar.local] = number
        units = tuple(u.with_values(changed[u.name]) if u.name in changed else u for u in self.units)
        return self._with(units=units)

    def corrected(self, correction: Mapping[str, Correcting] | Correction) -> Flowsheet:
        """Another plant in which named expressions are replaced.

        `correction`: {reactor.r_1: lambda v, rate: rate * (1 + 0.1 * v.reactor.x)}, or a `Correction` learned from
        data, whose coefficients become parameters `reactor.correction.r_1[0]`. A function sees the flowsheet's view and
        the uncorrected value, of an array each element's. Balances still close, for rates are corrected, never states.
        Raises SpecificationError for a name that is no expression, for a feature that is not there or depends on what
        is corrected.
        """
        if isinstance(correction, Correction):
            units, flat, cache = learned_parts(self, correction)
            return self._with(units=units, corrections=_followed(self.corrections, flat), cache=cache)
        functions: dict[str, Correcting] = {}
        for name, function in by_element(correction, "corrected").items():
            if name not in self.expressions:
                raise SpecificationError(f"corrected: {unknown('expression', name, self.expressions)}")
            if not callable(function):
                raise SpecificationError(f"corrected: {name} needs a function of (v, value), got {function!r}.")
            functions[name] = function
        return self._with(corrections=_followed(self.corrections, functions), cache={})

    def reduced(self) -> Flowsheet:
        """Another plant whose model may have an index above 1, as with a level or a purity held by an equation.

        Such equations are differentiated until they determine the algebraic variables, and hold the states by
        projection; derivatives of algebraic variables that are needed become algebraic variables, "der(tank.F)".
        Lowering raises FlowsheetError where an input would have to be differentiated.
        """
        return self._with(reduces=True, cache={})

    @cached_property
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

    @cached_property
    def measures(self) -> dict[str, Measure]:
        """The unit of everything that has a name: scalars, expressions, port variables."""
        ports = {
            f"{unit.name}.{local}": measure
            for unit in self.units
            for kind in (Inlet, Outlet)
            for local, measure in port_scalars(unit, kind).items()
        }
        return {name: s.measure for name, s in self.scalars.items()} | self.expressions | ports

    @cached_property
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
                raise FlowsheetError(
                    f"a connection goes {role}, got {port!r} in {tuple(connection)!r}.\n"
                    f"  Write (a.broth, b.load): first the outlet of one unit operation, then the inlet of another."
                )
            if port.owner.name not in [u.name for u in self.units]:
                raise FlowsheetError(unknown(f"{port}: unit operation", port.owner.name, [u.name for u in self.units]))
        out, into = _carried(self.unit(source.owner.name), source), _carried(self.unit(target.owner.name), target)
        if set(out) != set(into):
            raise FlowsheetError(
                f"{source} and {target} do not carry the same:\n"
                f"  {source}: {', '.join(out)}\n  {target}: {', '.join(into)}\n  {_to_mend(source, target)}"
            )
        for variable, measure in out.items():
            if not measure.compatible(into[variable]):
                raise FlowsheetError(
                    f"{source}.{variable} is in {measure.label!r}, {target}.{variable} in {into[variable].label!r}: "
                    f"they cannot be converted into each other."
                )
        return source, target

    def _with(self, **changes: Any) -> Flowsheet:
        kept = ("units", "connections", "time", "corrections", "reduces", "cache")
        other = object.__new__(Flowsheet)
        other.__dict__.update({key: self.__dict__[key] for key in kept}, **changes)
        return other

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "cache": {}}  # what was traced is traced again where it is wanted

    def __repr__(self) -> str:
        streams = ", ".join(f"{a} -> {b}" for a, b in self.connections)
        return f"Flowsheet({', '.join(repr(u) for u in self.units)}, connect=[{streams}], time={self.time!r})"

    def to_pyomo(self, recipe: Any, grid: Any = None, **problem: Any) -> Any:
        """The plant under a recipe as a Pyomo.DAE model, with starting values from a simulation.

        `problem`: `inputs`, `free`, `minimize` or `maximize`, `subject_to`, `scenarios`, as `titer.control.optimize`
        takes them; without an objective the model is one to be simulated. Per phase a Block over a ContinuousSet `tau`
        from 0 to 1, with the duration as a factor and a Block for each unit operation; Ports and Arcs for streams;
        units on every component (`titer.flowsheets.pyomo.model` says what is where):

            model = plant.to_pyomo(recipe, free={reactor.T_j: PiecewiseConstant(10)}, maximize=...)
            tau = model.phase["react"].tau
            TransformationFactory("dae.collocation").apply_to(model, wrt=tau, nfe=20, ncp=3, scheme="LAGRANGE-RADAU")
            TransformationFactory("network.expand_arcs").apply_to(model)
            titer.flowsheets.pyomo.initialize(model)

        With a `grid` all that is done, on the elements that titer would use. A phase that titer shoots is collocated
        here, and a parameter that it decides by its logarithm is decided itself. Raises SpecificationError for a bad
        problem, SolveError where the recipe cannot be simulated.
        """
        from titer.flowsheets.pyomo.model import lower_to_pyomo

        return lower_to_pyomo(self, recipe, grid, **problem)

    def to_idaes(self, phase: Any, inputs: Mapping[str, Any] | None = None, grid: Any = None) -> Any:
        """The plant in a phase as an IDAES `FlowsheetBlock(dynamic=True)`, with starting values from a simulation.

        Each unit operation is an IDAES unit model; controls and open inlets are Vars along time, fixed at `inputs`, and
        initial states are fixed (`titer.flowsheets.pyomo.idaes` says what is where). It is put into a model, where
        IDAES' tools and other unit models find it:

            model = pyo.ConcreteModel()
            model.fs = plant.to_idaes(Phase("react", duration=3600), inputs={reactor.T_j: 334.0}, grid=Grid(20))
            pyo.SolverFactory("titer.ipopt").solve(model)
            DiagnosticsToolbox(model).report_structural_issues()

        `state_port` connects it to unit models that use a property package. Without a `grid` time is not discretized:
        do it with Pyomo.DAE on `model.fs.time`, expand Arcs, and call `initialize_flowsheet(model)`. A Recipe gives a
        ConcreteModel with a flowsheet for each phase, `model.phase["react"]`, tied end to start by Constraints.
        Durations are those of the simulation. Long elements undershoot where something is used up: where a bound of
        zero makes that infeasible, take more of them. Needs IDAES: `pip install titer[idaes]`. Raises
        SpecificationError for a bad phase, SolveError where it cannot be simulated.
        """
        from titer.flowsheets.pyomo.idaes.installed import check_idaes

        check_idaes("to_idaes")
        from titer.flowsheets.pyomo.idaes.lowering import lower_to_idaes

        return lower_to_idaes(self, phase, inputs, grid)


def check_single(connections: Sequence[Connection], where: str) -> None:
    """An inlet has one source and an outlet one target. Raises FlowsheetError."""
    for side, noun, mend in ((1, "inlet", "Add a mixer"), (0, "outlet", "Add a splitter")):
        seen: set[str] = set()
        for connection in connections:
            port = str(connection[side])
            if port in seen:
                raise FlowsheetError(f"{where}: {noun} {port} is connected twice. {mend}, or use routes of a Phase.")
            seen.add(port)


def by_element(entries: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Entries by scalar name: elements of an array get one value each, or all the same. Raises SpecificationError."""
    if not isinstance(entries, Mapping):
        raise SpecificationError(
            f"{what}: expected a dict from names to values, got {type(entries).__name__} {entries!r}."
        )
    flat: dict[str, Any] = {}
    for name, value in entries.items():
        names = elements_of(name)
        values: Sequence[Any] = [value] * len(names)
        if isinstance(name, ArrayName) and isinstance(value, list | tuple | np.ndarray) and np.ndim(value):
            values = list(np.asarray(value, dtype=object).ravel())
        if len(values) != len(names):
            raise SpecificationError(
                f"{what}: {name} stands for {len(names)} values, got {len(values)}.\n"
                f"  Give one for all, or one for each of {names[0]} to {names[-1]}."
            )
        flat |= {str(each): one for each, one in zip(names, values, strict=True)}
    return flat


def _time_of(units: Sequence[Unit], time: Any) -> str:
    """The unit of time of a flowsheet: what is given, or what its units agree on."""
    if time is None:
        times = [unit.time for unit in units]
        if not all(Measure.of(other).same(Measure.of(times[0])) for other in times):
            raise FlowsheetError(
                f'Flowsheet: the unit operations count time in {", ".join(sorted(set(times)))}; give time="h" or so.'
            )
        return times[0]
    if not isinstance(time, str) or not measure_of(time, "Flowsheet: time").compatible(Measure.of("s")):
        raise FlowsheetError(f'Flowsheet: time={time!r} is not a unit of time such as "s" or "h".')
    return time


def _carried(unit: Unit, port: PortName) -> dict[str, Measure]:
    """What a port of a unit operation carries, with units."""
    own = f"{port.port.attribute}."
    scalars = port_scalars(unit, type(port.port))
    return {key.removeprefix(own): measure for key, measure in scalars.items() if key.startswith(own)}


def _to_mend(source: PortName, target: PortName) -> str:
    """What to do where two ports do not carry the same: other variables, or the same over other index sets."""
    ours, theirs = source.port.variables, target.port.variables
    carried = ((ours[key][1], theirs.get(key, ("", ()))[1]) for key in ours)
    sets = {pair for own, other in carried for pair in zip(own, other, strict=False)}
    if set(ours) != set(theirs) or not sets:
        return "Declare the same variables on both ports."
    pairs = sorted(f"{source.owner.name}.{own} and {target.owner.name}.{other}" for own, other in sets)
    return f"Give both the same labels: {', '.join(pairs)}."


def _followed(before: Mapping[str, Correcting], after: Mapping[str, Correcting]) -> dict[str, Correcting]:
    """Corrections by expression; a second one acts on what the first gives."""
    both = {name: Chained((before[name], function)) for name, function in after.items() if name in before}
    return {**before, **after, **both}


def _shown(scalar: Scalar) -> str:
    return "not given" if np.isnan(scalar.start) else f"{scalar.start:g} {scalar.measure.label}"
