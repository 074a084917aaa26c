"""Where are finished batches kept? In a folder, a file a portion; what is there is whole, and of the same process."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from titer.analysis.processes.process import Process
from titer.numerics.errors import SpecificationError

Array = np.ndarray
_DIGITS = 9  # of the planned run, that tell one process from another


def fingerprint(process: Process, sensors: Mapping[str, Any], seed: int) -> str:
    """What tells the batches of one process from those of another: its planned run, what varies, sensors and seed."""
    rows = [s.tolist() for s in _planned(process)]
    content = {
        "seed": seed,
        "stages": list(process.stages),
        "nodes": [str(node) for node in process.nodes],
        "sources": [[s.node.name, s.mean, s.scale, s.deviation, list(s.spans)] for s in process.sources],
        "starts": dict(process.starts),
        "noise": dict(process.noise),
        "sensors": {name: repr(value) for name, value in sensors.items()},
        "planned": [[f"{value:.{_DIGITS}g}" for value in row] for row in rows],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _planned(process: Process) -> list[Array]:
    run = [process.model.start]
    for t0, t1 in zip(process.stages[:-1], process.stages[1:], strict=True):
        run.append(process.model.predict(run[-1], {}, t0, t1))
    return run


@dataclass(frozen=True)
class Kept:
    """A folder of batches that belong to one fingerprint."""

    folder: Path
    fingerprint: str

    @staticmethod
    def opened(folder: Path, fingerprint: str) -> Kept:
        """The folder, made where there is none."""
        folder.mkdir(parents=True, exist_ok=True)
        return Kept(folder, fingerprint)

    def read(self, first: int, last: int) -> tuple[Array, Array, Array] | None:
        """The portion from a batch to another, None where it is not there as a whole. Raises SpecificationError where
        it is of another process."""
        path = self._path(first)
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as stored:
                owner = str(stored["fingerprint"])
                found = stored["values"], stored["measured"], stored["sigma"]
        except (OSError, EOFError, ValueError, KeyError) as error:
            raise SpecificationError(f"generate: {path} cannot be read: {error}.\n  Remove it.") from None
        if owner != self.fingerprint:
            raise SpecificationError(
                f"generate: {path} is of another process, perturbation or seed.\n  Name another folder, or remove it."
            )
        count = last - first
        if len(found[0]) < count:
            return None
        return found[0][:count], found[1][:count], found[2][:count]

    def write(self, first: int, portion: tuple[Array, Array, Array]) -> None:
        """Keep a portion, under another name first."""
        path = self._path(first)
        other = path.with_name(f".{path.name}.{os.getpid()}")
        values, measured, sigma = portion
        with other.open("wb") as file:
            np.savez(file, fingerprint=np.array(self.fingerprint), values=values, measured=measured, sigma=sigma)
        other.replace(path)

    def _path(self, first: int) -> Path:
        return self.folder / f"batches_{first:07d}.npz"
