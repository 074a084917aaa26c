"""How are replicates carried out, side by side, and none of them twice? In processes, each kept in a file of its own.

A folder holds `bootstrap.json`, which says whose replicates these are, and `replicate_00012.json` and so on. A file is
written under another name first, so that one that is there is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.estimation.resampled.resampling import Plan, Record
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    from titer.estimation.fit import Fit

Array = np.ndarray
Progress = Callable[[str], None]
_HEADER = "bootstrap.json"
_PROCESSES = 3.0  # seconds that starting processes takes
_SAME = 1e-5  # relative difference of fitted numbers that are called the same


def carried_out(
    plan: Plan,
    fit: Fit,
    reference: Array,
    count: int,
    folder: str | Path | None,
    jobs: int | None,
    progress: Progress | None,
) -> dict[int, Record]:
    """Records of replicates 0 to count - 1; those that `folder` holds are read. Raises SpecificationError."""
    shelf = None if folder is None else Shelf.opened(Path(folder), _mark(plan, fit, reference))
    records = {} if shelf is None else shelf.records(count)
    failed = sum(not record.ok for record in records.values())
    if progress is not None and records:
        progress(f"bootstrap: {len(records)} of {count} were kept in {folder}, {failed} failed")
    missing = [k for k in range(count) if k not in records]
    for k, record in _each(plan, missing, shelf, jobs):
        records[k] = record
        failed += not record.ok
        if progress is not None:
            progress(f"bootstrap: {len(records)} of {count}, {failed} failed")
    return dict(sorted(records.items()))


def _each(plan: Plan, numbers: Sequence[int], shelf: Shelf | None, jobs: int | None) -> Iterator[tuple[int, Record]]:
    """Replicates as they are finished: here, or in processes from where that pays."""
    from joblib import cpu_count

    cores = cpu_count() if jobs is None else jobs
    spent, left = 0.0, list(numbers)
    while left:
        done = len(numbers) - len(left)
        if (
            cores > 1
            and len(left) > 1
            and (jobs is not None or (done and _pays(plan, spent / done * len(left), cores)))
        ):
            yield from _in_processes(plan, left, shelf, min(cores, len(left)))
            return
        began = time.perf_counter()
        k = left.pop(0)
        yield _kept(plan, k, shelf)
        spent += time.perf_counter() - began


def _pays(plan: Plan, seconds: float, cores: int) -> bool:
    """Whether processes save time over `seconds` of work: each starts, and builds its engine."""
    return seconds * (1.0 - 1.0 / cores) > _PROCESSES + plan.refit.engine.seconds


def _in_processes(plan: Plan, numbers: Sequence[int], shelf: Shelf | None, jobs: int) -> Iterator[tuple[int, Record]]:
    from joblib import Parallel, delayed

    with TemporaryDirectory(prefix="titer-") as place:
        path = Path(place) / "plan"  # read once by each process, rather than sent with each replicate
        path.write_bytes(pickle.dumps(plan))
        parallel = Parallel(n_jobs=jobs, return_as="generator_unordered")
        yield from parallel(delayed(_elsewhere)(str(path), k, shelf) for k in numbers)


def _elsewhere(path: str, k: int, shelf: Shelf | None) -> tuple[int, Record]:
    return _kept(_plan(path), k, shelf)


@lru_cache(maxsize=1)
def _plan(path: str) -> Plan:
    return pickle.loads(Path(path).read_bytes())


def _kept(plan: Plan, k: int, shelf: Shelf | None) -> tuple[int, Record]:
    record = plan.replicate(k)
    if shelf is not None:
        shelf.keep(k, record)
    return k, record


@dataclass(frozen=True)
class Shelf:
    """A folder of replicates; `mark`: of the fit and the seed they belong to."""

    folder: Path
    mark: str

    @staticmethod
    def opened(folder: Path, mark: Mapping[str, Any]) -> Shelf:
        """The folder, made where there is none. Raises SpecificationError where it is another bootstrap's."""
        folder.mkdir(parents=True, exist_ok=True)
        header = folder / _HEADER
        if header.is_file():
            _check_same(folder, _read(header), mark)
        elif any(folder.glob("replicate_*.json")):
            raise SpecificationError(f"bootstrap: {folder} holds replicates, but no {_HEADER} that says whose.")
        else:
            _write(header, dict(mark))
        return Shelf(folder, str(mark["fit"]))

    def records(self, count: int) -> dict[int, Record]:
        """Replicates 0 to count - 1 that were finished."""
        found = {}
        for k in range(count):
            path = self._path(k)
            if not path.is_file():
                continue
            content = _read(path)
            if content.pop("fit", None) != self.mark or content.pop("replicate", None) != k:
                raise SpecificationError(f"bootstrap: {path} is no replicate of this fit; remove it.")
            values = tuple(np.nan if v is None else float(v) for v in content.pop("values"))
            objective = content.pop("objective")
            found[k] = Record(values=values, objective=np.nan if objective is None else objective, **content)
        return found

    def keep(self, k: int, record: Record) -> None:
        """Write a finished replicate."""
        content = {"fit": self.mark, "replicate": k} | asdict(record)
        content["values"] = [_plain(v) for v in record.values]
        content["objective"] = _plain(record.objective)
        _write(self._path(k), content)

    def _path(self, k: int) -> Path:
        return self.folder / f"replicate_{k:05d}.json"


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SpecificationError(f"bootstrap: {path} cannot be read: {error}.\n  Remove it.") from None
    if not isinstance(content, dict):
        raise SpecificationError(f"bootstrap: {path} is no file of a bootstrap; remove it.")
    return content


def _write(path: Path, content: Mapping[str, Any]) -> None:
    other = path.with_name(f".{path.name}.{os.getpid()}")
    other.write_text(json.dumps(content), encoding="utf-8")
    other.replace(path)


def _check_same(folder: Path, found: Mapping[str, Any], mark: Mapping[str, Any]) -> None:
    """The header is this bootstrap's: the same data and bounds exactly, the same fitted numbers but for rounding."""
    differs = [
        f"{what}: {found.get(key)} there, {mark[key]} here"
        for key, what in (("kind", "kind"), ("seed", "seed"))
        if found.get(key) != mark[key]
    ]
    if found.get("fit") != mark["fit"]:
        differs.append("other data, noise, bounds or loss")
    there = found.get("values") if isinstance(found.get("values"), dict) else {}
    assert isinstance(there, dict)
    for label, value in mark["values"].items():
        if label not in there or not np.isclose(there[label], value, rtol=_SAME, atol=1e-12):
            differs.append(f"{label}: {there.get(label, 'not fitted')} there, {value:.8g} here")
    if differs:
        listed = "\n".join(f"  {line}" for line in differs[:6])
        raise SpecificationError(
            f"bootstrap: {folder} holds replicates of another fit or seed.\n{listed}\n"
            f"  Name another folder, or remove this one."
        )


def _mark(plan: Plan, fit: Fit, reference: Array) -> dict[str, Any]:
    """What a folder belongs to. Fitted numbers and what follows from them stand beside the hash, not in it: they are
    the same from one process to the next but for rounding."""
    told = hashlib.sha256()
    for group in plan.refit.groups:
        told.update(f"{group.experiment} {group.name} {group.estimated}".encode())
        for values in (plan.refit.data[group.data[0]], group.measured):
            told.update(np.ascontiguousarray(values, dtype=float).tobytes())
        if not group.estimated:
            told.update(np.ascontiguousarray(group.deviations, dtype=float).tobytes())
    for n in fit.numbers:
        told.update(f"{n.label} {n.lower!r} {n.upper!r} {n.log} {fit.free[n.name].prior}".encode())
    told.update(f"{fit.loss!r} {len(plan.refit.w)}".encode())
    values = dict(zip(plan.labels, (float(v) for v in reference), strict=True))
    fitted = {f"fitted {n.label}": n.value for n in fit.numbers}
    return {"kind": plan.kind.name, "seed": plan.seed, "fit": told.hexdigest(), "values": values | fitted}
