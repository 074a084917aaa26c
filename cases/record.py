"""How is a result written down? Plain JSON values, versions, and files that are never half written."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from titer.flowsheets.reporting.provenance import versions
from titer.numerics.errors import DeclarationError

__all__ = ["atomically", "plain", "versions", "write_json"]


def plain(value: Any, where: str = "facts") -> Any:
    """Turn a value into what JSON can hold; NumPy numbers and arrays become numbers and lists.

    JSON has no NaN and no infinity, so a number that is not finite becomes the text "nan", "inf" or "-inf".
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}[{str(key)!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise DeclarationError(
        f"{where}: {type(value).__name__} cannot be written to results.json.\n"
        "  expected: numbers, texts, arrays, and lists or dictionaries of them\n"
        "  Give a Series or frame as .to_dict() or .tolist()."
    )


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file that is either the old one or the new one, whole."""
    text = json.dumps(plain(content), indent=2, allow_nan=False) + "\n"
    atomically(path, lambda file: file.write_text(text, encoding="utf-8"))


def atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a neighbour of the file, then put it in the file's place in one step."""
    neighbour = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        write(neighbour)
        neighbour.replace(path)
    finally:
        neighbour.unlink(missing_ok=True)
