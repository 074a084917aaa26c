"""How does a value of a recipe read? Numbers, quantities, trajectories and functions in a few words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from titer.flowsheets.profiles import Pieces
from titer.flowsheets.symbols.symbol import FLOATS, Symbol, quantity
from titer.numerics.errors import DeclarationError, SpecificationError

_MOST = 6  # values of pieces that are written out
_QUANTITY = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*)", re.DOTALL)


def said(value: Any) -> str:
    """A value as an engineer would write it: `0.1 L`, `steps 1, 2, 3`, `a function`."""
    if isinstance(value, Symbol):
        unit = value.measure.label
        number = f"{float(value.value):g}" if value.reading is FLOATS else str(value.value)
        return number if unit == "1" else f"{number} {unit}"
    if isinstance(value, Pieces):
        return _pieces(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {said(one)}" for key, one in value.items()) + "}"
    if hasattr(value, "to_numpy"):
        return f"a series of {len(value)} points"
    if isinstance(value, list | tuple | np.ndarray):
        return f"[{_listed(value)}]"
    if callable(value):
        return "a function"
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        return f"{float(value):g}"
    return str(value)


def value_of(text: Any, what: str) -> Any:
    """What a text of a file means: a number, or a quantity such as "20 min". Raises SpecificationError."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text) if isinstance(text, float) else text
    found = _QUANTITY.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise SpecificationError(f"{what}: expected a number, or a quantity such as 20 min, got {text!r}.")
    if not found[2]:
        return float(found[1])
    try:
        return quantity(float(found[1]), found[2])
    except DeclarationError as error:
        raise SpecificationError(f"{what}: {error}") from None


def assigned(entries: Mapping[str, Any]) -> str:
    """Names with their values: `tank.F = 2, tank.S = 5`."""
    return ", ".join(f"{name} = {said(value)}" for name, value in entries.items())


def _pieces(pieces: Pieces) -> str:
    shape = pieces.word
    if pieces.values is not None:
        return f"{shape} {_listed(pieces.values)}"
    if pieces.every is not None:
        return f"{shape} every {pieces.every:g}"
    count = pieces.pieces if pieces.pieces is not None else len(pieces.ends or ()) - 1
    return f"{count} {shape}"


def _listed(values: Any) -> str:
    shown = [said(value) for value in list(values)[:_MOST]]
    return ", ".join([*shown, f"... ({len(values)})"] if len(values) > _MOST else shown)
