"""What recipe does a text describe? YAML as `writing.py` writes it, checked entry by entry, with lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from titer.flowsheets.profiles import Exponential, PiecewiseConstant, PiecewiseLinear
from titer.flowsheets.recipe import Free, Phase, Reaches, Recipe, SameAs
from titer.flowsheets.recipes.actions import Action
from titer.flowsheets.recipes.cycles import cycles
from titer.flowsheets.recipes.lined import Entries, loaded
from titer.flowsheets.recipes.texts import value_of
from titer.numerics.errors import SpecificationError, TiterError, unknown
from titer.numerics.shooting import Shooting, Simultaneous

SHAPES = {shape.word: shape for shape in (PiecewiseConstant, PiecewiseLinear, Exponential)}


def recipe_of(source: str | Path) -> Recipe:
    """The recipe of a text or a file. Raises SpecificationError, with the phase, the key and the line."""
    is_file = isinstance(source, Path) or (
        isinstance(source, str) and "\n" not in source and source.endswith((".yaml", ".yml"))
    )
    name = str(source) if is_file else "recipe"
    if is_file and not Path(source).is_file():
        raise SpecificationError(f"{name}: there is no such file.")
    if not is_file and not isinstance(source, str):
        raise SpecificationError(f"from_yaml: expected a text or a path, got {source!r}.")
    entries = loaded(Path(source).read_text(encoding="utf-8") if is_file else str(source), name)
    if not isinstance(entries, Entries):
        raise SpecificationError(f"{name}: expected `phases:` and a list of them, got {entries!r}.")
    _check_keys(entries, ("phases",), name)
    return Recipe(*_phases(entries.get("phases"), name))


def _phases(entries: Any, where: str) -> list[Phase]:
    if not isinstance(entries, list) or not entries:
        raise SpecificationError(f"{where}: phases is a list of entries `- phase: ...` or `- cycles: ...`.")
    phases: list[Phase] = []
    for entry in entries:
        if not isinstance(entry, Entries) or not {"phase", "cycles"} & set(entry):
            line = f", line {entry.line}" if isinstance(entry, Entries) else ""
            raise SpecificationError(
                f"{where}{line}: an entry of phases begins with `phase:` or `cycles:`, got {_short(entry)}."
            )
        phases += [_phase(entry, where)] if "phase" in entry else _cycles(entry, where)
    return phases


def _cycles(entry: Entries, where: str) -> tuple[Phase, ...]:
    _check_keys(entry, ("cycles",), where)
    inside = entry["cycles"]
    here = f"{where}, line {entry.line}: cycles"
    if not isinstance(inside, Entries):
        raise SpecificationError(f"{here}: expected count: and phases:, got {inside!r}.")
    _check_keys(inside, ("count", "same_durations", "phases"), f"{where}: cycles")
    phases = _phases(inside.get("phases"), where)
    count: Any = inside.get("count")
    same = inside.get("same_durations", False)
    if not isinstance(same, bool):
        raise SpecificationError(f"{here}: same_durations is true or false, got {same!r}.")
    repeated: tuple[Phase, ...] = _made(here, lambda: cycles(count, phases, same))
    return repeated


def _phase(entry: Entries, where: str) -> Phase:
    what = f"{where}: phase {entry['phase']!r}"
    _check_keys(entry, ("phase", *_READERS), what)
    given = {
        key: _made(f"{what}, line {entry.lines[key]}: {key}", partial(_READERS[key], value))
        for key, value in entry.items()
        if key != "phase"
    }
    phase: Phase = _made(f"{what}, line {entry.line}", partial(Phase, entry["phase"], **given))
    return phase


def _made(where: str, make: Callable[[], Any]) -> Any:
    """What is made of an entry; a complaint says where it stands."""
    try:
        return make()
    except TiterError as error:
        raise SpecificationError(f"{where}: {error}") from None


def _check_keys(entries: Entries, known: tuple[str, ...], where: str) -> None:
    for key in entries:
        if key not in known:
            raise SpecificationError(f"{where}, line {entries.lines[key]}: {unknown('key', key, known)}")


# --- what stands under each key ----------------------------------------------------------------------------------


def _duration(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("same as "):
        return SameAs(value.removeprefix("same as "))
    if isinstance(value, Mapping):
        missing = [key for key in ("guess", "lower", "upper") if key not in value]
        extra = [key for key in value if key not in ("guess", "lower", "upper")]
        if missing or extra:
            raise SpecificationError(f"expected guess, lower and upper, got {', '.join(map(str, value)) or 'none'}.")
        return Free(*(value_of(value[key], key) for key in ("guess", "lower", "upper")))
    return value_of(value, "duration")


def _mapping(value: Any, of: Callable[[Any, str], Any]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise SpecificationError(f"expected names with values, such as {{reactor.F: 2.0}}, got {_short(value)}.")
    return {str(name): of(one, str(name)) for name, one in value.items()}


def _trajectory(value: Any, what: str) -> Any:
    """A number, a quantity, steps, lines, or a series."""
    if not isinstance(value, Mapping):
        return value_of(value, what)
    kind = next(iter(value), None)
    if len(value) != 1 or kind not in (*SHAPES, "series"):
        raise SpecificationError(f"{what}: expected one of {', '.join(SHAPES)} and series, got {_short(value)}.")
    inside = value[kind]
    if kind == "series":
        import pandas as pd

        if not isinstance(inside, Mapping):
            raise SpecificationError(f"{what}: a series has times as keys, such as {{0.0: 1.0}}, got {_short(inside)}.")
        numbers = [value_of(one, what) for one in inside.values()]
        return pd.Series(numbers, index=[float(value_of(t, what)) for t in inside])
    if not isinstance(inside, list):
        raise SpecificationError(f"{what}: {kind} is a list of numbers, got {_short(inside)}.")
    return SHAPES[kind](values=[value_of(one, what) for one in inside])


def _names(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise SpecificationError(f"expected a list of names, got {_short(value)}.")
    return [str(one) for one in value]


def _routes(value: Any) -> list[tuple[str, str]]:
    routes = []
    for text in _names(value):
        ends = [end.strip() for end in text.split("->")]
        if len(ends) != 2 or not all(ends):
            raise SpecificationError(f"expected such as 'reactor.broth -> tank.feed', got {text!r}.")
        routes.append((ends[0], ends[1]))
    return routes


def _actions(value: Any) -> list[Action]:
    if not isinstance(value, list):
        raise SpecificationError(f"expected a list such as `- tank.bolus: {{volume: 0.1}}`, got {_short(value)}.")
    actions = []
    for entry in value:
        named = {entry: {}} if isinstance(entry, str) else entry
        if not isinstance(named, Mapping) or len(named) != 1:
            raise SpecificationError(f"expected an entry such as `- tank.bolus: {{volume: 0.1}}`, got {_short(entry)}.")
        ((name, arguments),) = named.items()
        unit, dot, action = str(name).partition(".")
        if not dot or not isinstance(arguments, Mapping | None):
            raise SpecificationError(f"expected unit.action and its arguments by name, got {_short(entry)}.")
        actions.append(Action(unit, action, {str(k): _argument(v, str(k)) for k, v in (arguments or {}).items()}))
    return actions


def _argument(value: Any, what: str) -> Any:
    """A number, a quantity, the name of a parameter, or a list or mapping of them."""
    if isinstance(value, Mapping):
        return {str(key): _argument(one, what) for key, one in value.items()}
    if isinstance(value, list):
        return [_argument(one, what) for one in value]
    if isinstance(value, str) and not re.match(r"[-+]?\.?\d", value):
        return value
    return value if isinstance(value, bool | None) else value_of(value, what)


def _method(value: Any) -> Shooting | Simultaneous:
    if value == "simultaneous":
        return Simultaneous()
    options = value.get("shooting") if isinstance(value, Mapping) else {} if value == "shooting" else None
    if not isinstance(options, Mapping):
        raise SpecificationError(f"expected shooting, with its options, or simultaneous, got {_short(value)}.")
    known = [entry.name for entry in fields(Shooting)]
    for key in options:
        if key not in known:
            raise SpecificationError(unknown("option", key, known))
    return Shooting(**options)


def _short(value: Any) -> str:
    text = repr(dict(value) if isinstance(value, Mapping) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."


_READERS: dict[str, Callable[[Any], Any]] = {
    "duration": _duration,
    "until": Reaches.of,
    "inputs": lambda value: _mapping(value, _trajectory),
    "fixed": lambda value: _mapping(value, value_of),
    "start": lambda value: _mapping(value, value_of),
    "actions": _actions,
    "idle": _names,
    "routes": _routes,
    "method": _method,
}
