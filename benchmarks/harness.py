"""How is a benchmark measured and recorded? Interleaved medians, a table, claims, and one JSON file."""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table

from titer.cases.case import Claim
from titer.cases.record import versions, write_json

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


def interleaved(runs: Mapping[Key, Callable[[], Result]], repeats: int) -> dict[Key, list[Result]]:
    """Run all of them in turn, `repeats` times, and return the results of each.

    Turn by turn, so that a slow spell of the machine falls on all. A first round warms imports and caches
    and is not counted; garbage is collected before each run and not during it.
    """
    results: dict[Key, list[Result]] = {key: [] for key in runs}
    for turn in range(repeats + 1):
        for key, run in runs.items():
            gc.collect()
            gc.disable()
            try:
                result = run()
            finally:
                gc.enable()
            if turn:
                results[key].append(result)
    return results


def median(values: Iterable[float]) -> float:
    """Return the middle value."""
    return statistics.median(values)


def growth_exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Return p of seconds ~ size^p: the slope of a straight line through the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def import_seconds(module: str, repeats: int = 7) -> list[float]:
    """Time an import in fresh interpreters; the first, which may compile files, is not counted."""
    code = f"from time import perf_counter as now; a = now(); import {module}; print(now() - a)"
    runs = [
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
        for _ in range(repeats + 1)
    ]
    return [float(run.stdout) for run in runs[1:]]


def record(name: str, figures: Mapping[str, Any], claims: Sequence[Claim], packages: Sequence[str] = ()) -> Path:
    """Write results/NAME.json: figures and claims, with the versions and the commit they hold for."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    content = {
        "benchmark": name,
        "commit": commit(),
        "versions": versions() | {package: metadata.version(package) for package in packages},
        "cores": os.cpu_count(),
        "claims": [{"name": c.name, "value": c.value, "wanted": c.wanted, "unit": c.unit, "ok": c.ok} for c in claims],
        "figures": figures,
    }
    write_json(path, content)
    return path


def commit() -> str:
    """Return the commit in use, marked `-dirty` when files differ from it; `unknown` outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: the first column names, the others are figures."""
    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def verdict(claims: Sequence[Claim]) -> int:
    """Print the claims and return the exit code: 0 when all hold, 1 otherwise."""
    show(
        "Claims",
        ("claim", "value", "wanted", "holds"),
        [(c.name, f"{c.value:.6g} {c.unit}".strip(), c.wanted, "yes" if c.ok else "NO") for c in claims],
    )
    return 0 if all(c.ok for c in claims) else 1
