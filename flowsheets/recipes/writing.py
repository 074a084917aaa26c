"""How is a recipe written as text? YAML with one entry for each phase, and one for phases that repeat.

    phases:
    - phase: batch
      duration: {guess: 22.0, lower: 10.0, upper: 30.0}
      until: reactor.S falls to 0.5
      fixed: {reactor.F: 0.0}
    - cycles:
        count: 3
        phases:
        - phase: load
          duration: 20 min
          routes: [tank.out -> column.feed]
          actions:
          - column.rinse: {volume: 0.1 L}

Numbers are in declared units, quantities have theirs behind them; steps and lines are values of pieces, a series has
its times as keys. `reading.py` reads it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from titer.flowsheets.flowsheet import by_element
from titer.flowsheets.profiles import Pieces
from titer.flowsheets.recipe import Free, Phase, Reaches, Recipe, SameAs
from titer.flowsheets.recipes.actions import Action
from titer.flowsheets.recipes.cycles import cycles
from titer.flowsheets.symbols.symbol import Symbol
from titer.numerics.errors import SpecificationError
from titer.numerics.shooting import Shooting, Simultaneous

Data = dict[str, Any]
_WIDTH = 110


def text_of(recipe: Recipe) -> str:
    """A recipe as YAML. Raises SpecificationError for a function in it."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def mapping(dumper: Any, value: Data) -> Any:
        return dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=_fits_a_line(value))

    def sequence(dumper: Any, value: list[Any]) -> Any:
        return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=_fits_a_line(value))

    Dumper.add_representer(dict, mapping)
    Dumper.add_representer(list, sequence)
    entries = _entries(recipe.phases)
    return str(yaml.dump({"phases": entries}, Dumper=Dumper, sort_keys=False, width=_WIDTH, allow_unicode=True))


def _fits_a_line(value: Any) -> bool:
    """Whether data are written in braces: numbers and texts, or lists of them; never a phase."""
    if isinstance(value, list):
        return not any(isinstance(item, dict | list) for item in value)
    flat = (not isinstance(x, dict) and (not isinstance(x, list) or _fits_a_line(x)) for x in value.values())
    return "phase" not in value and all(flat)


def _entries(phases: Sequence[Phase]) -> list[Data]:
    """Phases as data; those that repeat stand in one entry."""
    entries: list[Data] = []
    k = 0
    while k < len(phases):
        found = _repeated(phases[k:])
        if found is None:
            entries.append(data_of(phases[k]))
            k += 1
            continue
        count, bases, same = found
        cycle: Data = {"count": count, **({"same_durations": True} if same else {})}
        entries.append({"cycles": {**cycle, "phases": [data_of(base) for base in bases]}})
        k += count * len(bases)
    return entries


def _repeated(phases: Sequence[Phase]) -> tuple[int, list[Phase], bool] | None:
    """How often the phases at the front repeat, which these are, and whether their durations are tied."""
    bases: list[Phase] = []
    for phase in phases:
        name = re.fullmatch(r"(.+) 1", phase.name)
        if name is None:
            break
        bases.append(replace(phase, name=name.group(1)))
    best: tuple[int, list[Phase], bool] | None = None
    written = [data_of(phase) for phase in phases]
    for length in range(1, len(bases) + 1):
        for same in (False, True):
            most = len(phases) // length
            expected = [data_of(phase) for phase in cycles(most, bases[:length], same)]
            equal = [a == b for a, b in zip(expected, written, strict=False)]
            count = (equal.index(False) if False in equal else len(equal)) // length
            if count > 1 and (best is None or count * length > best[0] * len(best[1])):
                best = count, bases[:length], same
    return best


def data_of(phase: Phase) -> Data:
    """A phase as plain data: texts, numbers, lists and dicts; what it does not say is left out."""
    what = f"Phase {phase.name!r}"
    entries: Data = {"phase": phase.name, "duration": _duration(phase.duration)}
    if phase.until is not None:
        entries["until"] = _until(phase.until, what)
    for key in ("inputs", "fixed", "start"):
        given = by_element(getattr(phase, key), key)
        if given:
            entries[key] = {str(name): _value(value, f"{what}: {key}: {name}", key) for name, value in given.items()}
    if phase.actions:
        entries["actions"] = [_action(action, what) for action in phase.actions]
    if phase.idle:
        entries["idle"] = list(phase.idle_names)
    if phase.routes:
        entries["routes"] = [f"{source} -> {target}" for source, target in phase.routes]
    if isinstance(phase.method, Simultaneous):
        entries["method"] = "simultaneous"
    elif phase.method is not None:
        usual = Shooting()
        chosen = {f.name: getattr(phase.method, f.name) for f in fields(Shooting)}
        entries["method"] = {"shooting": {k: _plain(v) for k, v in chosen.items() if v != getattr(usual, k)}}
    return entries


def _duration(duration: Any) -> Any:
    if isinstance(duration, SameAs):
        return f"same as {duration.phase}"
    if isinstance(duration, Free):
        return {key: _plain(getattr(duration, key)) for key in ("guess", "lower", "upper")}
    return _plain(duration)


def _until(until: Any, what: str) -> str:
    if not isinstance(until, Reaches):
        raise SpecificationError(
            f"{what}: until is a function, which no file holds.\n"
            f'  Write until=Reaches(name, value, "falling" or "rising").'
        )
    return until.sentence


def _action(action: Action, what: str) -> Data:
    arguments = {key: _argument(value, f"{what}: {action}: {key}") for key, value in action.arguments.items()}
    return {f"{action.unit}.{action.name}": arguments}


def _argument(value: Any, what: str) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _argument(one, what) for key, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_argument(one, what) for one in value]
    if isinstance(value, str) and hasattr(value, "elements"):
        raise SpecificationError(f"{what}: {value} is an array, which no file names.\n  Name its elements, in a list.")
    return value if isinstance(value, bool | None) else str(value) if isinstance(value, str) else _plain(value)


def _value(value: Any, what: str, key: str) -> Any:
    """A trajectory or a number."""
    if isinstance(value, Pieces):
        if value.values is None:
            raise SpecificationError(f"{what}: pieces without values are decided, and belong into free={{...}}.")
        return {value.word: [_plain(one) for one in value.values]}
    if hasattr(value, "to_numpy"):
        return {"series": {float(t): _plain(x) for t, x in value.items()}}
    if callable(value):
        mend = {
            "start": "Write an action of the unit operation (@action), and actions=[...], or a number.",
            "inputs": "Give a number, a Series, PiecewiseConstant(values=[...]), PiecewiseLinear(values=[...]) or "
            "Exponential(values=[...]).",
        }.get(key, "Give a number.")
        raise SpecificationError(f"{what} is a function, which no file holds.\n  {mend}")
    return _plain(value)


def _plain(value: Any) -> Any:
    """A number, or a quantity as text."""
    if isinstance(value, Symbol):
        return f"{float(value.value)!r} {value.measure.label}".removesuffix(" 1")
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    return float(value)
