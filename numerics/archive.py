"""How is a solution kept? In one file of NumPy's .npz: arrays, and a JSON text of the facts; no pickle."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from titer.numerics.dae import Array
from titer.numerics.errors import SpecificationError
from titer.numerics.integration.trajectory import Trajectory
from titer.numerics.segment import Profile
from titer.numerics.solution import Certificate, PhaseResult, Rung, Solution, StartReport
from titer.numerics.solvers import Status

_FORMAT = 1
_ROWS = ("time", "x", "z", "u", "y")
_GROUPS = ("states", "algebraics", "inputs", "outputs")
_PROFILE = ("edges", "left", "right")


def save(solution: Solution, path: str | Path) -> Path:
    """Write a solution; all of it but `source` and `iterate`."""
    path = _file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_solution(solution, file)
    return path


def write_solution(solution: Solution, file: IO[bytes]) -> None:
    """Write a solution to an open file."""
    arrays: dict[str, Array] = {}
    facts = {"format": _FORMAT, **_facts(solution, "", arrays)}
    facts["scenarios"] = [_facts(each, f"scenario{r}.", arrays) for r, each in enumerate(solution.scenarios)]
    entries: dict[str, Any] = {"facts": np.array(json.dumps(facts)), **arrays}
    np.savez_compressed(file, **entries)


def _facts(solution: Solution, prefix: str, arrays: dict[str, Array]) -> dict[str, Any]:
    """The facts of a solution; its arrays are added under the prefix."""
    return {
        "kind": solution.kind,
        "time": solution.time,
        "units": plain(solution.units),
        "phases": [_put(phase, f"{prefix}{k}.", arrays) for k, phase in enumerate(solution.phases)],
        "values": plain(solution.values),
        "status": solution.status.name,
        "objective": float(solution.objective),
        "decided": plain(solution.decided),
        "stats": plain(solution.stats),
        "start_report": [[rung.name, rung.seconds, rung.result] for rung in solution.start_report],
        "certificate": _certificate(solution.certificate),
        "message": solution.message,
    }


def load(path: str | Path) -> Solution:
    """Read a solution, or what a record holds of an unfinished one. Raises SpecificationError for anything else."""
    path = Path(path) if Path(path).is_file() else _file(path)
    if not path.is_file():
        raise SpecificationError(f"there is no file {path}.")
    try:
        with zipfile.ZipFile(path) as entries:
            is_record = "solution.npz" in entries.namelist()
        if is_record:  # of a solve that failed, or whose process died in it
            from titer.numerics.explaining.record import load_record

            return load_record(path).solution
        with path.open("rb") as file:
            return read_solution(file, path.name)
    except SpecificationError:
        raise
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise SpecificationError(f"{path.name} is no saved solution: {type(error).__name__}: {error}") from None


def read_solution(file: IO[bytes], name: str = "the file") -> Solution:
    """Read a solution from an open file."""
    with np.load(file, allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    facts = json.loads(str(arrays["facts"]))
    if facts["format"] != _FORMAT:
        raise SpecificationError(f"{name} has format {facts['format']}, this version reads {_FORMAT}; make it again.")
    scenarios = facts.get("scenarios", [])
    own = tuple(_solution(each, arrays, f"scenario{r}.") for r, each in enumerate(scenarios))
    return replace(_solution(facts, arrays, ""), scenarios=own)


def _solution(facts: Mapping[str, Any], arrays: Mapping[str, Array], prefix: str) -> Solution:
    certificate = facts["certificate"]
    if certificate is not None:
        certificate = Certificate(**{**certificate, "relaxed": tuple(certificate["relaxed"])})
    return Solution(
        kind=facts["kind"],
        time=facts["time"],
        units=facts["units"],
        phases=tuple(_get(entry, f"{prefix}{k}.", arrays) for k, entry in enumerate(facts["phases"])),
        values=facts["values"],
        status=Status[facts["status"]],
        objective=facts["objective"],
        decided=facts["decided"],
        stats=facts["stats"],
        start_report=StartReport(Rung(*rung) for rung in facts["start_report"]),
        certificate=certificate,
        message=facts["message"],
    )


def _put(phase: PhaseResult, prefix: str, arrays: dict[str, Array]) -> dict[str, Any]:
    """The facts of a phase; its arrays are added under the prefix."""
    for key in _ROWS:
        arrays[f"{prefix}{key}"] = getattr(phase.trajectory, key)
    for i, (profile, values) in enumerate(phase.shapes.values()):
        for key in _PROFILE:
            arrays[f"{prefix}shape{i}.{key}"] = getattr(profile, key)
        arrays[f"{prefix}shape{i}.values"] = np.asarray(values, dtype=float)
    facts = {key: list(getattr(phase, key)) for key in _GROUPS}
    return facts | {
        "name": phase.name,
        "held": plain(phase.held),
        "shapes": list(phase.shapes),
        "reached": bool(phase.trajectory.reached),
    }


def _get(entry: Mapping[str, Any], prefix: str, arrays: Mapping[str, Array]) -> PhaseResult:
    shapes = {}
    for i, name in enumerate(entry["shapes"]):
        profile = Profile(*(arrays[f"{prefix}shape{i}.{key}"] for key in _PROFILE))
        shapes[name] = (profile, arrays[f"{prefix}shape{i}.values"])
    rows: dict[str, Any] = {key: arrays[f"{prefix}{key}"] for key in _ROWS}
    groups = {key: tuple(entry[key]) for key in _GROUPS}
    trajectory = Trajectory(**rows, reached=entry["reached"])
    return PhaseResult(entry["name"], trajectory, **groups, held=entry["held"], shapes=shapes)


def _certificate(certificate: Certificate | None) -> dict[str, Any] | None:
    if certificate is None:
        return None
    return {key: plain(getattr(certificate, key)) for key in Certificate.__dataclass_fields__}


def _file(path: str | Path) -> Path:
    """The path with the ending .npz."""
    path = Path(path)
    return path if path.suffix == ".npz" else path.with_name(f"{path.name}.npz")


def plain(value: Any) -> Any:
    """A value as JSON knows it."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return value
