"""What do the equations of one unit operation give? Trace them once on symbols of any reading."""

from __future__ import annotations

import linecache
import math
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from titer.flowsheets.declarations import Bounded, Equations, Expression, Inlet, Outlet, Parameter, Port
from titer.flowsheets.declared import Declared
from titer.flowsheets.names import ArrayName, elements_of
from titer.flowsheets.returned import ports_of, rates_of, scalars_of, with_parts, zeros_of
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import FLOATS, Symbol, symbol_array
from titer.flowsheets.unit import Unit
from titer.flowsheets.view import TracedView, UnitView, View, gather, sets_of, traced_entries
from titer.numerics.errors import DeclarationError, TiterError, unknown

Correct = Callable[[str, Any], Any]


@dataclass(frozen=True, eq=False)
class Trace:
    """The traced equations of one unit operation; keys are local scalar paths, values symbols or numbers.

    `rate` is per unit of the unit operation's own time. `port` has keys "broth.flow", "broth.c[product]".
    `view` is what terms and conditions see: variables, expressions, inlets and outlets.
    """

    unit: Unit
    rate: Mapping[str, Any]
    zero: Mapping[str, Any]
    port: Mapping[str, Any]
    expression: Mapping[str, Any]
    view: View


def trace(unit: Unit, values: Mapping[str, Symbol], time: Symbol, correct: Correct | None = None) -> Trace:
    """Trace `unit.equations`. `values`: a symbol for every scalar of the unit operation and its inlets.

    `correct(qualified name, value)` may replace a named expression. Raises DeclarationError, naming the unit
    operation, the line of its equations, and what was expected.
    """
    who = f"{unit.name} ({type(unit).__name__})"
    work = _Tracing(unit, values, time, correct)
    view = work.view_of(unit, "")
    returned = _called(unit, who, view)
    missing = [key for key in with_parts(unit, Expression) if key not in work.defined]
    if missing:
        raise DeclarationError(
            f"{who}: expression {missing[0]} is declared but not defined.\n"
            f"  Write v.define({missing[0].split('.')[-1]!r}, ...) in equations, or remove the declaration."
        )
    rate = rates_of(unit, who, returned)
    zero = zeros_of(unit, who, returned, values)
    port = ports_of(unit, who, returned)
    if time.reading is not FLOATS:
        for what, scalars in (("rate of ", rate), ("zero ", zero), ("", port), ("", work.expression)):
            _check_constants(f"{who}: {what}", scalars)
    public = {key: value for key, value in traced_entries(view).items() if key != "time"}
    outlets = {key: _carried(unit, key, outlet, port) for key, outlet in unit.ports(Outlet)}
    return Trace(unit, rate, zero, port, work.expression, TracedView(unit.name, public | outlets, sets=sets_of(unit)))


def port_scalars(unit: Unit, kind: type[Port]) -> dict[str, Measure]:
    """Local paths of port variables ("feed.flow", "feed.c[product]") with their units."""
    scalars = {}
    for key, port in unit.ports(kind):
        for variable, (text, over) in port.variables.items():
            sets = unit.index_sets(over)
            name = ArrayName(f"{key}.{variable}", sets) if over else f"{key}.{variable}"
            for local in elements_of(name):
                scalars[str(local)] = Measure.of(text)
    return scalars


@dataclass(frozen=True, eq=False)
class _Tracing:
    """One run through the equations: what is read, and which expressions have been defined so far."""

    unit: Unit
    values: Mapping[str, Symbol]
    time: Symbol
    correct: Correct | None
    defined: set[str] = field(default_factory=set)
    expression: dict[str, Any] = field(default_factory=dict)

    def view_of(self, declared: Declared, prefix: str) -> UnitView:
        """What equations see of a unit operation or a part: variables, fields, time, and parts as views."""
        entries: dict[str, Any] = {key: getattr(declared, key) for key in declared.fields}
        entries["time"] = self.time
        absent: dict[str, str] = {}
        for key, declaration in declared.declarations.items():
            if isinstance(declaration, Bounded | Parameter):
                entries[key] = gather(declared, f"{prefix}{key}", declaration.over, self.values)
            elif isinstance(declaration, Inlet):
                entries[key] = _carried(declared, key, declaration, self.values)
            elif isinstance(declaration, Expression):
                absent[key] = f"the expression has no value yet; first write v.define({key!r}, ...)."
            else:
                absent[key] = f'an outlet is not read but returned: port={{"{key}": {{...}}}}.'
        for key, part in declared.parts():
            entries[key] = self.view_of(part, f"{prefix}{key}.")

        def define(key: str, value: Any) -> Any:
            entries[key] = self.define(declared, prefix, key, value)
            return entries[key]

        return UnitView(declared._path, entries, define, absent, sets_of(declared))

    def define(self, declared: Declared, prefix: str, key: str, value: Any) -> Any:
        """The value of a named expression, corrected where it is, as an array where it is one."""
        declaration = declared.declarations.get(key)
        if not isinstance(declaration, Expression):
            known = [k for k, d in declared.declarations.items() if isinstance(d, Expression)]
            raise DeclarationError(
                f"{unknown('expression', key, known)}\n"
                f'  Declare {key} = Expression("unit") in {type(declared).__name__}.'
            )
        if f"{prefix}{key}" in self.defined:
            raise DeclarationError(
                f"expression {key} is defined twice.\n  Define it once; give the other one a name of its own."
            )
        self.defined.add(f"{prefix}{key}")
        sets = declared.index_sets(declaration.over)
        name = f"{declared._path}.{key}"
        scalars = scalars_of(name, value, sets, Measure.of(declaration.unit), "expression ", self.correct)
        own = len(self.unit.name) + 1  # local paths begin below the unit operation
        self.expression.update({local[own:]: scalar for local, scalar in scalars.items()})
        shape = tuple(len(s) for s in sets)
        return symbol_array(list(scalars.values()), shape) if shape else scalars[name]


def _carried(declared: Declared, key: str, port: Port, values: Mapping[str, Any]) -> View:
    """A port as a view of its variables."""
    carried = {
        variable: gather(declared, f"{key}.{variable}", over, values) for variable, (_, over) in port.variables.items()
    }
    sets = {variable: declared.index_sets(over) for variable, (_, over) in port.variables.items() if over}
    return View(f"{declared._path}.{key}", carried, sets=sets)


def _called(unit: Unit, who: str, view: UnitView) -> Equations:
    """What the equations return. An error says in which line of them it arose."""
    try:
        returned = unit.equations(view)
    except TiterError as error:
        raise DeclarationError(f"{who}: {_line(unit, error)}{error}") from None
    except Exception as error:
        error.add_note(f"{who}: {_line(unit, error)}this is not titer's error; it arose in the equations.")
        raise
    if not isinstance(returned, Equations):
        got = "nothing" if returned is None else type(returned).__name__
        raise DeclarationError(
            f"{who}: equations must return Equations(...), got {got}.\n"
            "  Write return Equations(rate={...}, zero={...}, port={...})."
        )
    return returned


def _check_constants(what: str, scalars: Mapping[str, Any]) -> None:
    """Where symbols are traced, a result that is a float quantity is a constant, and must be finite."""
    for key, value in scalars.items():
        if isinstance(value, Symbol) and value.reading is FLOATS and not math.isfinite(value.value):
            raise DeclarationError(
                f"{what}{key}: expected a finite value, got {value!r}.\n  Look where the number comes from."
            )


def _line(unit: Unit, error: BaseException) -> str:
    """The innermost line of the unit operation's own source, or of its parts', in which an error arose."""
    files = set(_files(unit))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in files:
            text = (frame.line or linecache.getline(frame.filename, frame.lineno or 0)).strip()
            if isinstance(error, TiterError) and text.startswith("raise "):
                return ""  # the unit operation's own words, which say what the line would
            return f"equations, line {frame.lineno}: {text}\n  "
    return ""


def _files(declared: Declared) -> Iterator[str]:
    """Files that hold methods of a user's class."""
    for cls in type(declared).__mro__:
        if cls.__module__ not in (Declared.__module__, Unit.__module__, "builtins"):
            yield from (f.__code__.co_filename for f in vars(cls).values() if hasattr(f, "__code__"))
    for _, part in declared.parts():
        yield from _files(part)
