"""What becomes one Pyomo component? A declared variable: its scalars over index sets, its unit, bounds and starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np

from titer.flowsheets.declarations import Port
from titer.flowsheets.declared import Declared
from titer.flowsheets.names import element
from titer.flowsheets.pyomo.reading import unit_of
from titer.flowsheets.returned import with_parts
from titer.flowsheets.scalar import Scalar
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.unit import Unit


def declared(unit: Unit, kind: type) -> Iterator[tuple[str, list[list[Any]], dict[tuple[Any, ...], Scalar]]]:
    """Declared variables of a kind: path, index sets, and their scalars by labels; none over an empty set."""
    for path, found in with_parts(unit, kind).items():
        sets, labels = over(*found)
        if labels:
            yield path, sets, {each: unit.scalars[element(path, each)] for each in labels}


def carried(unit: Unit, kind: type[Port]) -> Iterator[tuple[str, list[list[Any]], dict[tuple[Any, ...], str], Measure]]:
    """Variables of ports: path, index sets, their scalars' local names by labels, and their unit."""
    for key, port in unit.ports(kind):
        for variable, (text, over) in port.variables.items():
            sets = [list(s) for s in unit.index_sets(over)]
            path, labels = f"{key}.{variable}", list(product(*sets))
            if labels:
                yield path, sets, {each: element(path, each) for each in labels}, Measure.of(text)


def over(owner: Declared, declaration: Any) -> tuple[list[list[Any]], list[tuple[Any, ...]]]:
    """Index sets of a declared variable, and all labels over them."""
    sets = [list(s) for s in owner.index_sets(declaration.over)]
    return sets, list(product(*sets))


def options(scalars: Mapping[tuple[Any, ...], Scalar], along: bool = False) -> dict[str, Any]:
    """Unit, bounds and start of a Var over labels, or over tau and labels."""
    table = {labels: ((finite(s.lower), finite(s.upper)), _start(s)) for labels, s in scalars.items()}
    units = unit_of(next(iter(scalars.values())).measure)
    if not along and () in table:
        return {"units": units, "bounds": table[()][0], "initialize": table[()][1]}
    skip = 1 if along else 0
    return {
        "units": units,
        "bounds": lambda block, *index: table[index[skip:]][0],
        "initialize": lambda block, *index: table[index[skip:]][1],
    }


def _start(scalar: Scalar) -> float:
    return scalar.start if np.isfinite(scalar.start) else float(np.clip(0.0, scalar.lower, scalar.upper))


def finite(bound: float) -> float | None:
    return bound if np.isfinite(bound) else None


__all__ = ["carried", "declared", "finite", "options", "over"]
