"""How is a log kept? In one file of NumPy's .npz: numbers as arrays, texts as JSON, the truth's run inside."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.control.loops.log import Cut, Log
from titer.numerics.archive import read_solution, write_solution
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

_FORMAT = 1
_FRAMES = (
    "truth", "measured", "commanded", "applied", "wanted", "estimates", "deviations", "steps", "laboratory", "events",
)  # fmt: skip


def save(log: Log, path: str | Path) -> Path:
    """Write a log to `path` with the ending .npz; all of it but the plant it came from."""
    path = _file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray] = {}
    facts: dict[str, Any] = {
        "format": _FORMAT,
        "frames": {key: _put(getattr(log, key), key, arrays) for key in _FRAMES},
        "plans": [_put_plan(log, k, arrays) for k in range(len(log.plans))],
        "limits": {name: list(pair) for name, pair in log.limits.items()},
        "cuts": [[cut.phase, cut.first, dict(cut.shifted)] for cut in log.cuts],
        "complete": log.complete,
    }
    run = io.BytesIO()
    write_solution(log.run, run)
    entries: dict[str, Any] = {
        "facts": np.array(json.dumps(facts)), "run": np.frombuffer(run.getvalue(), dtype=np.uint8), **arrays,
    }  # fmt: skip
    with path.open("wb") as file:
        np.savez_compressed(file, **entries)
    return path


def load(path: str | Path) -> Log:
    """Read a log. Raises SpecificationError for anything else."""
    path = Path(path) if Path(path).is_file() else _file(path)
    if not path.is_file():
        raise SpecificationError(f"there is no file {path}.")
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
        facts = json.loads(str(arrays["facts"]))
        if facts["format"] != _FORMAT:
            raise SpecificationError(
                f"{path.name} has format {facts['format']}, this version reads {_FORMAT}; make it again."
            )
        return Log(
            run=read_solution(io.BytesIO(arrays["run"].tobytes()), path.name),
            **{key: _get(facts["frames"][key], key, arrays) for key in _FRAMES},
            plans=tuple(None if e is None else _get(e, f"plan{k}", arrays) for k, e in enumerate(facts["plans"])),
            limits={name: (pair[0], pair[1]) for name, pair in facts["limits"].items()},
            cuts=tuple(Cut(*entry) for entry in facts["cuts"]),
            complete=facts["complete"],
        )
    except SpecificationError:
        raise
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise SpecificationError(f"{path.name} is no saved log: {type(error).__name__}: {error}") from None


def _put_plan(log: Log, k: int, arrays: dict[str, np.ndarray]) -> dict[str, Any] | None:
    plan = log.plan(k)
    return None if plan is None else _put(plan, f"plan{k}", arrays)


def _put(frame: pd.DataFrame, key: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The facts of a frame; its numbers are added to the arrays. Columns of texts stand in the facts."""
    numbers = [name for name in frame.columns if getattr(frame[name].dtype, "kind", "O") in "iufb"]
    texts = {name: [str(text) for text in frame[name]] for name in frame.columns if name not in numbers}
    arrays[f"{key}.index"] = np.asarray(frame.index, dtype=float)
    for k, name in enumerate(frame.columns):
        if name not in texts:
            arrays[f"{key}.{k}"] = frame[name].to_numpy()
    return {"columns": [str(name) for name in frame.columns], "index": frame.index.name, "texts": texts}


def _get(facts: dict[str, Any], key: str, arrays: dict[str, np.ndarray]) -> pd.DataFrame:
    import pandas as pd

    index = arrays[f"{key}.index"]
    whole = facts["index"] is None  # a frame of rows, not of times
    columns = {
        name: _texts(facts["texts"][name]) if name in facts["texts"] else arrays[f"{key}.{k}"]
        for k, name in enumerate(facts["columns"])
    }
    rows = pd.RangeIndex(len(index)) if whole else pd.Index(index, name=facts["index"], dtype=float)
    return pd.DataFrame(columns, index=rows, columns=facts["columns"])


def _texts(column: list[str]) -> np.ndarray:
    """A column of texts, empty too."""
    found = np.empty(len(column), dtype=object)
    found[:] = column
    return found


def _file(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix == ".npz" else path.with_name(f"{path.name}.npz")
