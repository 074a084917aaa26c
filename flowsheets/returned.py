"""Is what equations return what was declared? Rates, residuals and streams, checked scalar by scalar."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from titer.flowsheets.declarations import Algebraic, Equations, Outlet, State
from titer.flowsheets.declared import Declared
from titer.flowsheets.names import element
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import Symbol
from titer.flowsheets.unit import Unit
from titer.numerics.errors import DeclarationError
from titer.numerics.structure import complaints


def rates_of(unit: Unit, who: str, returned: Equations) -> dict[str, Any]:
    """The rate of every scalar state, in its unit per the unit operation's time. Raises DeclarationError."""
    declared = with_parts(unit, State)
    _check_states(unit, who, returned.rate, declared)
    per = Measure.of(unit.time)
    rates: dict[str, Any] = {}
    for key, (owner, declaration) in declared.items():
        measure = Measure.of(declaration.unit) / per
        rates |= scalars_of(key, returned.rate[key], owner.index_sets(declaration.over), measure, f"{who}: rate of ")
    return rates


def zeros_of(unit: Unit, who: str, returned: Equations, values: Mapping[str, Symbol]) -> dict[str, Any]:
    """Residuals, as many as algebraic variables. `values`: the symbols they are made of. Raises DeclarationError."""
    _check_doubled(unit, who, "zero")
    zeros: dict[str, Any] = {}
    for key, value in returned.zero.items():
        array = _array(value, f"{who}: zero {key!r}")
        for at in np.ndindex(array.shape):
            zeros[element(key, at)] = checked(array[at], f"{who}: zero {element(key, at)!r}")
    wanted = [s.local for s in unit.of_kind(Algebraic)]
    if len(zeros) == len(wanted):
        return zeros
    if len(zeros) < len(wanted):
        first = "an equation is missing"
        mend = (
            '  Return one more zero={"name": left - right}, or give a variable a rate (State)\n'
            "  or a trajectory (Control)."
        )
    else:
        first = "an equation too many"
        mend = "  Remove an equation, or declare the variable it determines as Algebraic."
    said = _complaint(unit, zeros, {key: values[key] for key in wanted})
    raise DeclarationError(
        f"{who}: {first}{said}.\n  {_count(len(wanted), 'algebraic variable')}: {', '.join(wanted) or 'none'}\n"
        f"  {_count(len(zeros), 'equation')} (zero): {', '.join(zeros) or 'none'}\n{mend}"
    )


def _complaint(unit: Unit, zeros: Mapping[str, Any], algebraics: Mapping[str, Symbol]) -> str:
    """Which variables have no equation, or too many: by what the equations read, where that is known, else by name."""
    missing = len(zeros) < len(algebraics)
    reading = next((s.reading for s in (*algebraics.values(), *zeros.values()) if isinstance(s, Symbol)), None)
    if reading is None or reading.pattern is None:
        nameless = (
            [key for key in algebraics if key not in zeros] if missing else [k for k in zeros if k not in algebraics]
        )
        return f", perhaps that of {nameless[0]}" if nameless else ""
    raw = [value.value if isinstance(value, Symbol) else value for value in zeros.values()]
    pattern = reading.pattern(raw, [symbol.value for symbol in algebraics.values()])
    equations, variables = ([f"{unit.name}.{key}" for key in names] for names in (zeros, algebraics))
    said = complaints(pattern, equations, variables)  # what has too many equations comes first
    return f": {said[-1 if missing else 0]}"


def ports_of(unit: Unit, who: str, returned: Equations) -> dict[str, Any]:
    """What every outlet carries, by "broth.flow", "broth.c[product]". Raises DeclarationError."""
    _check_doubled(unit, who, "port")
    outlets = dict(unit.ports(Outlet))
    kind = type(unit).__name__
    _check_names(who, "port", "outlet", returned.port, outlets, f"Return port={{...}} from {kind}.equations")
    ports: dict[str, Any] = {}
    for key, port in outlets.items():
        given = returned.port[key]
        what = f"{who}: outlet {key}"
        if not isinstance(given, Mapping):
            raise DeclarationError(
                f"{what}: expected a dict of {', '.join(port.variables)}, got {_described(given)}.\n"
                f'  Return port={{"{key}": {{"flow": ...}}}} from {kind}.equations.'
            )
        mend = f'Return port={{"{key}": {{...}}}} from {kind}.equations'
        _check_names(what, "stream", "variable", given, port.variables, mend)
        for variable, (text, over) in port.variables.items():
            ports |= scalars_of(
                f"{key}.{variable}", given[variable], unit.index_sets(over), Measure.of(text), f"{who}: "
            )
    return ports


def with_parts(declared: Declared, kind: type, prefix: str = "") -> dict[str, tuple[Declared, Any]]:
    """Declarations of a kind, with those of parts, by local path, each with its owner."""
    found: dict[str, tuple[Declared, Any]] = {
        f"{prefix}{k}": (declared, d) for k, d in declared.declarations.items() if isinstance(d, kind)
    }
    for key, part in declared.parts():
        found |= with_parts(part, kind, f"{prefix}{key}.")
    return found


def scalars_of(
    base: str,
    value: Any,
    sets: tuple[tuple[Any, ...], ...],
    measure: Measure,
    who: str,
    change: Callable[[str, Any], Any] | None = None,
) -> dict[str, Any]:
    """The scalars of a value over index sets, in a unit, by name; `change(name, scalar)` may replace each."""
    shape = tuple(len(s) for s in sets)
    array = _array(value, f"{who}{base}")
    if array.shape not in ((), shape):
        expected = f"an array of shape {shape}" if shape else "a scalar"
        raise DeclarationError(
            f"{who}{base}: expected {expected}, got {_described(value)}.\n"
            f"  Return one value for each element of {base}."
        )
    scalars: dict[str, Any] = {}
    for labels, item in zip(product(*sets), np.broadcast_to(array, shape).flat, strict=True):
        name = element(base, labels)
        scalars[name] = _in_measure(item, measure, f"{who}{name}")
        if change is not None:
            scalars[name] = _in_measure(change(name, scalars[name]), measure, f"the correction of {who}{name}")
    return scalars


def checked(value: Any, what: str) -> Any:
    """A symbol or a finite number. Raises DeclarationError."""
    if isinstance(value, Symbol):
        return value
    if not isinstance(value, int | float | np.number) or isinstance(value, bool):
        raise DeclarationError(
            f"{what}: expected a symbol or a number, got {_described(value)}.\n"
            "  Write it with the variables of the view, v.x."
        )
    if not np.isfinite(value):
        raise DeclarationError(
            f"{what}: expected a finite value, got {float(value)}.\n  Look where the number comes from."
        )
    return float(value)


def _in_measure(value: Any, measure: Measure, what: str) -> Any:
    value = checked(value, what)
    if not isinstance(value, Symbol) or value.measure.same(measure):
        return value
    given, wanted = value.measure, measure.label
    if given.compatible(measure):
        mend = (
            f"1 {given.label} is {given.ratio_to(measure):g} {wanted}: convert it with\n"
            f'  quantity(magnitude(x, "{wanted}"), "{wanted}"), or correct the unit of what it is made of.'
        )
    else:
        mend = (
            f"In base units that is {given.base_label()!r} against {measure.base_label()!r}.\n"
            "  Check the terms it is made of, or the declared unit."
        )
    raise DeclarationError(f"{what} is in {given.label!r}, expected {wanted!r}.\n  {mend}")


def _check_states(unit: Unit, who: str, given: Mapping[str, Any], declared: Mapping[str, Any]) -> None:
    _check_doubled(unit, who, "rate")
    missing = [key for key in declared if key not in given]
    extra = [key for key in given if key not in declared]
    if missing:
        mend = (
            f'Return rate={{"{missing[0]}": ...}} from {type(unit).__name__}.equations, '
            f"or declare {missing[0]} as Algebraic"
        )
    elif extra and extra[0] in unit.declarations:
        kind = unit.declarations[extra[0]].kind
        mend = f"{extra[0]} is declared as {kind}: remove it from rate, or declare it as State"
    elif extra:
        mend = f'Declare {extra[0]} = State("unit", start=...), or remove it from rate'
    else:
        mend = ""
    _check_names(who, "rate", "state", given, declared, mend)


def _check_names(
    who: str, what: str, noun: str, given: Mapping[str, Any], declared: Mapping[str, Any], mend: str
) -> None:
    missing = [key for key in declared if key not in given]
    extra = [key for key in given if key not in declared]
    if not missing and not extra:
        return
    if missing:
        close = get_close_matches(missing[0], extra, n=1)
        first = f"no {what} for {noun} {missing[0]}" + (f" (but for {close[0]!r})" if close else "")
    else:
        first = f"{what} for {extra[0]!r}, which is no {noun}"
    raise DeclarationError(
        f"{who}: {first}.\n  declared: {', '.join(declared) or 'none'}\n"
        f"  returned: {', '.join(given) or 'none'}\n  {mend}."
    )


def _check_doubled(unit: Unit, who: str, what: str) -> None:
    """A dict written with one key twice keeps the last value in silence, so the source is asked."""
    for argument, key in _doubled(type(unit).equations):
        if argument == what:
            raise DeclarationError(
                f"{who}: {what} of {key} is given twice.\n"
                f"  Keep one entry {key!r} in {what}={{...}} of {type(unit).__name__}.equations."
            )


@cache
def _doubled(equations: Callable[..., Any]) -> tuple[tuple[str, str], ...]:
    """Keys that a dict in a call of Equations(...) has twice, with the argument they stand in."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(equations)))
    except (OSError, TypeError, SyntaxError):  # typed into a console, or made at run time
        return ()
    found: list[tuple[str, str]] = []
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "id", None) == Equations.__name__:
            for argument in call.keywords:
                for inner in ast.walk(argument.value):
                    if isinstance(inner, ast.Dict):
                        keys = [key.value for key in inner.keys if isinstance(key, ast.Constant)]
                        found += [(str(argument.arg), str(key)) for key in keys if keys.count(key) > 1]
    return tuple(found)


def _array(value: Any, what: str) -> np.ndarray:
    """A value as an array of objects; anything that is no list or array has no shape."""
    if not isinstance(value, np.ndarray | list | tuple):
        box = np.empty((), dtype=object)
        box[()] = value
        return box
    try:
        return np.asarray(value, dtype=object).view(np.ndarray)
    except ValueError:
        raise DeclarationError(
            f"{what}: expected rows of one length, got {_described(value)}.\n"
            "  Put arrays together with np.concatenate or np.stack."
        ) from None


def _described(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return "None" if value is None else f"{type(value).__name__} {value!r}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
