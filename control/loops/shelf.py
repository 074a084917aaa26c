"""Where are finished loops kept? In a folder, one file each, and what is there is whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from titer.control.loops.summary import Summary
from titer.numerics.errors import SpecificationError

Key = tuple[str, int]  # controller and number of the case


@dataclass(frozen=True)
class Shelf:
    """A folder of loops that belong to a seed."""

    folder: Path
    seed: int

    @staticmethod
    def opened(folder: Path, seed: int) -> Shelf:
        """The folder, made where there is none."""
        folder.mkdir(parents=True, exist_ok=True)
        return Shelf(folder, seed)

    def rows(self, wanted: Mapping[Key, Mapping[str, float]]) -> dict[Key, dict[str, Any]]:
        """Rows of those wanted that were finished. Raises SpecificationError where one is of another case or seed."""
        found = {}
        for key, case in wanted.items():
            path = self._path(key)
            if not path.is_file():
                continue
            content = _read(path)
            if content.get("seed") != self.seed or content.get("case") != _plain(case):
                raise SpecificationError(
                    f"monte_carlo: {path} is of another case or seed.\n  Name another folder, or remove this one."
                )
            found[key] = {name: np.nan if value is None else value for name, value in content["row"].items()}
        return found

    def keep(self, key: Key, case: Mapping[str, float], row: Mapping[str, Any]) -> None:
        """Write a finished loop, under another name first."""
        path = self._path(key)
        content = {"seed": self.seed, "case": _plain(case), "row": _plain(row)}
        other = path.with_name(f".{path.name}.{os.getpid()}")
        other.write_text(json.dumps(content), encoding="utf-8")
        other.replace(path)

    def _path(self, key: Key) -> Path:
        told = hashlib.sha256(key[0].encode()).hexdigest()[:8]  # names may hold what file names may not
        return self.folder / f"loop_{told}_{key[1]:05d}.json"


def of_loop(name: str, k: int, summary: Summary | None = None, failed: str = "") -> dict[str, Any]:
    """A loop as a row: controller, case, its numbers (NaN where not finite), how often each status, why it failed."""
    row: dict[str, Any] = {"controller": name, "case": k}
    if summary is not None:
        row |= summary.row()
        row |= {f"worst {limit}": value for limit, value in (summary.values or {}).items()}
        row |= {f"steps {status.lower()}": count for status, count in summary.statuses.items()}
    row = {name: np.nan if value is None else value for name, value in _plain(row).items()}
    return {**row, "failed": failed}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SpecificationError(f"monte_carlo: {path} cannot be read: {error}.\n  Remove it.") from None
    if not isinstance(content, dict) or "row" not in content:
        raise SpecificationError(f"monte_carlo: {path} is no loop; remove it.")
    return content


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and texts as JSON knows them; what is not finite is left open."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, bool | np.bool_):
            found[str(name)] = bool(value)
        elif isinstance(value, int | np.integer | str):
            found[str(name)] = value if isinstance(value, str) else int(value)
        else:
            found[str(name)] = float(value) if np.isfinite(value) else None
    return found
