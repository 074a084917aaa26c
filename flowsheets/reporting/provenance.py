"""Where do the numbers come from? Versions, and SHA-256 of declarations, values, trajectories and data."""

from __future__ import annotations

import hashlib
import inspect
import json
import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from titer.flowsheets.declared import Declared
from titer.flowsheets.flowsheet import Flowsheet
from titer.numerics.solution import Solution

PACKAGES = ("titer", "casadi", "numpy", "scipy", "pandas", "pint", "matplotlib", "pyomo")


def versions() -> dict[str, str]:
    """Python and the packages in use, without importing them."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def hashes_of_plant(plant: Flowsheet) -> dict[str, str]:
    """By class, the hash of its source; and one of all parameter values and starts."""
    found = {}
    for kind in dict.fromkeys(kind for unit in plant.units for kind in _kinds(unit)):
        try:
            source = inspect.getsource(kind)
        except (OSError, TypeError):  # typed into a console, or made at run time
            found[f"declaration {kind.__name__}"] = "no source"
        else:
            found[f"declaration {kind.__name__}"] = _sha(source.encode())
    values = json.dumps({name: repr(value) for name, value in plant.values.items()}, sort_keys=True)
    return found | {"parameter values and starts": _sha(values.encode())}


def hash_of_trajectories(solution: Solution) -> str:
    """One hash of all trajectories, names and numbers."""
    digest = hashlib.sha256()
    for phase in solution.phases:
        digest.update(phase.name.encode() + phase.trajectory.time.tobytes())
        for name, values in phase.columns():
            digest.update(name.encode() + values.tobytes())
    return digest.hexdigest()


def hashes_of_data(data: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of files (their bytes), of tables (as CSV) and of texts, by the names they were given."""
    return {f"data {name}": _sha(_bytes(value)) for name, value in data.items()}


def _kinds(declared: Declared) -> Iterator[type]:
    yield type(declared)
    for _, part in declared.parts():
        yield from _kinds(part)


def _bytes(value: Any) -> bytes:
    if isinstance(value, Path):
        return value.read_bytes()
    if isinstance(value, bytes):
        return value
    if hasattr(value, "to_csv"):
        return str(value.to_csv()).encode()
    return str(value).encode()


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
