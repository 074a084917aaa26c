"""What must be kept of a solve, so that it can be explained and run again without the source it came from?

One zip file: a JSON text of the facts, the arrays, the functions as CasADi serializes them, the solution as it is
saved elsewhere. No pickle: reading a file runs nothing of its own.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from pathlib import Path

import casadi as ca
import numpy as np

from titer.numerics.archive import read_solution, write_solution
from titer.numerics.errors import SpecificationError
from titer.numerics.explaining.attempt import Attempt
from titer.numerics.explaining.explanation import Explanation, Verdict, explain
from titer.numerics.explaining.packing import Pack, get_attempt, get_integration, put_attempt, put_integration
from titer.numerics.integration.rerun import Integration
from titer.numerics.integration.trajectory import IntegrationError
from titer.numerics.nlp import Array
from titer.numerics.solution import Solution
from titer.numerics.solvers import Engine

_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Record:
    """A solution, finished or not, with the solve behind it, or the integration that failed (None where none did)."""

    solution: Solution
    attempt: Attempt | None
    integration: Integration | None
    versions: Mapping[str, str]

    def explain(self) -> Explanation:
        """Why it ended as it did."""
        return explain(self.solution, self.attempt)

    def again(self) -> Explanation:
        """Do it once more from where it began, and explain what came of it. Raises SpecificationError."""
        if self.attempt is not None:
            task = self.attempt
            bounds = task.nlp.relaxed(task.scaling.columns, task.relaxation)
            outcome = Engine(task.nlp, task.solver).solve(task.start, task.scaling, *bounds)
            told = replace(self.solution, kind="optimum", status=outcome.status, message=outcome.message)
            told = replace(told, objective=task.sign * outcome.objective, certificate=None, stats={})
            return explain(told, task.with_outcome(outcome))
        if self.integration is not None:
            try:
                reached = self.integration.again()
            except IntegrationError as error:
                return explain(replace(self.solution, message=str(error)), None)
            said = f"integrated to t = {reached.time[-1]:.6g} {self.integration.dae.time}"
            return Explanation(Verdict.SOLVED, said)
        raise SpecificationError("the file holds nothing to run again: the run ended before anything was solved.")


def record_of(solution: Solution, attempt: Attempt | None = None) -> Record:
    """What is to be kept of a solution; `attempt`: a solve that has only begun."""
    behind = solution.iterate
    if attempt is None:
        attempt = getattr(behind, "attempt", None)
    return Record(solution, attempt, behind if isinstance(behind, Integration) else None, _versions())


@cache
def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in ("titer", "casadi", "numpy")}


def save_record(record: Record, path: str | Path) -> Path:
    """Write a record, whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    with zipfile.ZipFile(unfinished, "w") as file:
        pack = Pack()
        facts = {
            "format": _FORMAT,
            "versions": dict(record.versions),
            "attempt": record.attempt and put_attempt(record.attempt, pack),
            "integration": record.integration and put_integration(record.integration, pack),
        }
        file.writestr("facts.json", json.dumps(facts))
        file.writestr("arrays.npz", _packed(pack.arrays))
        for name, text in pack.functions.items():
            file.writestr(name, text, zipfile.ZIP_DEFLATED)
        with io.BytesIO() as buffer:
            write_solution(record.solution, buffer)
            file.writestr("solution.npz", buffer.getvalue())
    os.replace(unfinished, path)
    return path


def load_record(path: str | Path) -> Record:
    """Read a record. Raises SpecificationError where the file is missing or something else."""
    path = Path(path)
    if not path.is_file():
        raise SpecificationError(f"there is no file {path}.")
    try:
        with zipfile.ZipFile(path) as file:
            facts = json.loads(file.read("facts.json"))
            if facts["format"] != _FORMAT:
                raise SpecificationError(f"{path.name} has format {facts['format']}, this version reads {_FORMAT}.")
            with np.load(io.BytesIO(file.read("arrays.npz")), allow_pickle=False) as stored:
                arrays = {key: stored[key] for key in stored.files}
            read = {
                name: ca.Function.deserialize(file.read(name).decode())
                for name in file.namelist()
                if name.startswith("functions/")
            }
            solution = read_solution(io.BytesIO(file.read("solution.npz")))
        pack = Pack(arrays, read)
        attempt = facts["attempt"] and get_attempt(facts["attempt"], pack)
        integration = facts["integration"] and get_integration(facts["integration"], pack)
        return Record(solution, attempt, integration, facts["versions"])
    except SpecificationError:
        raise
    except (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile) as error:
        raise SpecificationError(
            f"{path.name} is no record of a solve ({error}).\n  Give a .titer file, as a solve that failed leaves it."
        ) from None


def _packed(arrays: Mapping[str, Array]) -> bytes:
    with io.BytesIO() as buffer:
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()
