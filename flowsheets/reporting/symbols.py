"""What do the letters mean? One row per declared variable: meaning, unit, value, bounds and source."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from titer.flowsheets.declarations import Bounded, Expression, Parameter, Port
from titer.flowsheets.declared import Declared
from titer.flowsheets.reporting.equations import Facts, written_names
from titer.flowsheets.reporting.letters import written
from titer.flowsheets.unit import Unit

MOST_VALUES = 6  # of an array that are listed one by one


def symbols_of(
    unit: Unit, values: Mapping[str, float], decided: Collection[str], sources: Mapping[str, str]
) -> list[Facts]:
    """Rows of the symbol table. `values`, `decided`, `sources`: by qualified name."""
    names = written_names(unit)
    rows = []
    for key, owner, declaration in _declared(unit, ""):
        if isinstance(declaration, Port):
            for variable, (text, over) in declaration.variables.items():
                row = _row(unit, f"{key}.{variable}", f"{variable}_{key}", declaration.kind, text, declaration.doc)
                rows.append(row | {"size": [len(s) for s in owner.index_sets(over)]})
            continue
        row = _row(unit, key, names.get(key, key), declaration.kind, declaration.unit, declaration.doc)
        row["size"] = [len(s) for s in owner.index_sets(declaration.over)]
        mine = [text for name, text in sources.items() if name.partition("[")[0] == f"{unit.name}.{key}"]
        row["source"] = "; ".join(dict.fromkeys(mine))
        if isinstance(declaration, Bounded | Parameter):
            row |= _numbers(unit, key, values)
            row["decided"] = any(name.partition("[")[0] == f"{unit.name}.{key}" for name in decided)
        rows.append(row)
    return rows


def _declared(declared: Declared, prefix: str) -> Iterator[tuple[str, Declared, Any]]:
    for key, declaration in declared.declarations.items():
        yield f"{prefix}{key}", declared, declaration
    for key, part in declared.parts():
        yield from _declared(part, f"{prefix}{key}.")


def _row(unit: Unit, key: str, name: str, kind: str, measure: str, doc: str) -> Facts:
    kind = "intermediate" if kind == Expression.kind else kind
    drawn = f"<math>{written(name)}</math>"
    return {"name": f"{unit.name}.{key}", "mathml": drawn, "kind": kind, "unit": measure, "meaning": doc}


def _numbers(unit: Unit, key: str, values: Mapping[str, float]) -> Facts:
    """Value or start, and bounds: one number where all elements agree, else a list, or the range of a long one."""
    mine = {local: s for local, s in unit.scalars.items() if local.partition("[")[0] == key}
    given = {local: float(values.get(str(s.name), s.start)) for local, s in mine.items()}
    return {
        "value": _together(given),
        "lower": _together({local: s.lower for local, s in mine.items()}),
        "upper": _together({local: s.upper for local, s in mine.items()}),
    }


def _together(numbers: Mapping[str, float]) -> Any:
    found = list(numbers.values())
    if not found or not np.isfinite(found).any():
        return None
    if len(set(found)) == 1:
        return found[0]
    if len(found) <= MOST_VALUES:
        return {local.partition("[")[2].rstrip("]"): value for local, value in numbers.items()}
    return {"lowest": float(np.nanmin(found)), "highest": float(np.nanmax(found))}
