"""How do controllers do on many plants? One loop for each controller and case, side by side, and none of them twice."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from titer.control.action import Controller
from titer.control.loops.checks import check_controller
from titer.control.loops.close_loop import close_loop
from titer.control.loops.failing import Failing
from titer.control.loops.shelf import Key, Shelf, of_loop
from titer.control.loops.study import Study, study_of
from titer.control.loops.summary import summary_of
from titer.control.sampling import sample
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.numerics.errors import SpecificationError, TiterError, unknown
from titer.numerics.grid import is_whole

Progress = Callable[[str], None]
_PROCESSES = 15.0  # seconds that processes must save: each imports, lowers and builds for itself
_FEW = 3  # loops after which it is known how long one takes
_CONDITIONS = set(inspect.signature(close_loop).parameters) - {"truth", "controller", "seed", "keep", "progress"}


def monte_carlo(
    truth: Flowsheet | Callable[[Mapping[str, float]], Flowsheet],
    controllers: Controller | Mapping[str, Controller],
    cases: Sequence[Mapping[str, float]] | Mapping[str, Any],
    runs: int = 200,
    seed: int = 0,
    maximize: Any = None,
    minimize: Any = None,
    subject_to: Sequence[Any] = (),
    folder: str | Path | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
    **conditions: Any,
) -> Study:
    """Close the loop of each controller on each case's plant, and put the summaries into one table.

    `truth`: a plant, changed by the values of a case, or a function of a case that gives the plant. `controllers`: one,
    or several by name. `cases`: dicts of values, or distributions as `sample` takes them, from which `runs` are drawn.
    Case k has random numbers of its own, the same for all controllers, whatever the number of cases given. `maximize`
    or `minimize`, `subject_to`: terms of the truth's variables that are judged. `conditions`: what `close_loop` takes
    besides: noise, faults, disturbances and so on.

    `folder`: keeps each finished loop in a file; a second call goes on from there, with more cases too. `jobs`:
    processes, None: as many as pay. Under `joblib.parallel_config(backend="dask")` Dask's workers are taken.
    A loop that raises is a row that says so in `failed`. Raises SpecificationError for bad arguments.
    """
    named = dict(controllers) if isinstance(controllers, Mapping) else {"controller": controllers}
    if isinstance(cases, Mapping):
        cases = sample(cases, runs, seed)
    _check(named, cases, seed, jobs)
    _check_names(truth, cases, conditions)
    seeds = np.random.SeedSequence(seed).spawn(len(cases))
    task = _Task(truth, named, maximize, minimize, tuple(subject_to), conditions)
    wanted = {(name, k): (dict(case), seeds[k]) for name in named for k, case in enumerate(cases)}
    shelf = None if folder is None else Shelf.opened(Path(folder), seed)
    rows = {} if shelf is None else shelf.rows({key: case for key, (case, _) in wanted.items()})
    if progress is not None and rows:
        progress(f"monte carlo: {len(rows)} of {len(wanted)} loops were kept in {folder}")
    missing = [(key, *wanted[key]) for key in wanted if key not in rows]
    for key, row in _each(task, missing, jobs):
        rows[key] = row
        if shelf is not None:
            shelf.keep(key, wanted[key][0], row)
        if progress is not None:
            failed = sum(bool(r["failed"]) for r in rows.values())
            progress(f"monte carlo: {len(rows)} of {len(wanted)} loops, {failed} failed")
    return study_of([rows[key] for key in wanted])


Loop = tuple[Key, Mapping[str, float], np.random.SeedSequence]


@dataclass(frozen=True, eq=False)
class _Task:
    """What all loops share; `token` tells it from any other, in whatever process."""

    truth: Any
    controllers: Mapping[str, Controller]
    maximize: Any
    minimize: Any
    subject_to: tuple[Any, ...]
    conditions: Mapping[str, Any] = field(default_factory=dict)
    token: str = field(default_factory=lambda: uuid4().hex)

    def __hash__(self) -> int:
        return hash(self.token)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Task) and other.token == self.token

    def row(self, key: Key, case: Mapping[str, float], seed: np.random.SeedSequence) -> dict[str, Any]:
        """One loop, as a row of the table."""
        name, k = key
        try:
            plant = self.truth(case) if callable(self.truth) else self.truth.with_values(case)
            controller = self.controllers[name]
            if isinstance(controller, Failing):  # things fail at other times in each case
                controller = replace(controller, seed=int(seed.generate_state(1)[0]))
            log = close_loop(plant, controller, seed=seed, **self.conditions)
            found = summary_of(log, self.maximize, self.minimize, self.subject_to)
        except TiterError as error:
            return of_loop(name, k, failed=str(error).splitlines()[0])
        except Exception as error:  # a study of many loops goes on, and tells which did not
            return of_loop(name, k, failed=f"{type(error).__name__}: {error}")
        return of_loop(name, k, found)


def _each(task: _Task, loops: Sequence[Loop], jobs: int | None) -> Iterator[tuple[Key, dict[str, Any]]]:
    """Loops as they are finished: here, or in processes from where that pays."""
    from joblib import cpu_count

    cores = cpu_count() if jobs is None else jobs
    spent, left = 0.0, list(loops)
    while left:
        done = len(loops) - len(left)
        saved = spent / done * len(left) * (1.0 - 1.0 / cores) if done >= _FEW else 0.0
        if cores > 1 and len(left) > 1 and (jobs is not None or saved > _PROCESSES):
            if not _travels(task, strict=jobs is not None):
                cores = 1
                continue
            yield from _in_processes(task, left, cores)
            return
        began = time.perf_counter()
        key, case, seed = left.pop(0)
        yield key, task.row(key, case, seed)
        spent += time.perf_counter() - began


def _in_processes(task: _Task, loops: Sequence[Loop], jobs: int) -> Iterator[tuple[Key, dict[str, Any]]]:
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=jobs, return_as="generator_unordered")
    yield from parallel(delayed(_elsewhere)(task, loop) for loop in loops)


def _travels(task: _Task, strict: bool) -> bool:
    """Whether processes can be sent the task. Raises SpecificationError where they were asked for, and it cannot."""
    from joblib.externals.loky.backend.reduction import dumps

    try:
        dumps(task)
    except Exception as error:  # whatever a truth or a controller of the user's own holds
        if strict:
            raise SpecificationError(
                f"monte_carlo: jobs: truth, controllers or terms cannot be sent to another process: "
                f"{str(error).splitlines()[0]}\n  Leave jobs= out: the loops then run one after the other."
            ) from None
        return False
    return True


def _elsewhere(task: _Task, loop: Loop) -> tuple[Key, dict[str, Any]]:
    key, case, seed = loop
    return key, _kept(task).row(key, case, seed)


@lru_cache(maxsize=1)
def _kept(task: _Task) -> _Task:
    """The task as a process got it first, with what its controllers have built since."""
    return task


def _check(named: Mapping[str, Any], cases: Any, seed: Any, jobs: Any) -> None:
    if not named:
        raise SpecificationError("monte_carlo: no controller was given.")
    if isinstance(cases, Mapping | str) or not isinstance(cases, Sequence) or not cases:
        raise SpecificationError(f"monte_carlo: expected a list of dicts of values, at least one, got {cases!r}.")
    for name, each in named.items():
        check_controller(each, f"monte_carlo: {name}")
    for what, value, least in (("seed", seed, 0), ("jobs", 1 if jobs is None else jobs, 1)):
        if not is_whole(value, least):
            raise SpecificationError(f"monte_carlo: {what} must be a whole number of at least {least}, got {value!r}.")


def _check_names(truth: Any, cases: Any, conditions: Mapping[str, Any]) -> None:
    """What would make each loop a row that failed."""
    for name in conditions:
        if name not in _CONDITIONS:
            raise SpecificationError(f"monte_carlo: {unknown('condition', name, _CONDITIONS)}")
    if isinstance(truth, Flowsheet):
        for name in {name for case in cases for name in by_element(case, "monte_carlo: cases")}:
            if name not in truth.scalars:
                raise SpecificationError(f"monte_carlo: cases: {unknown('name', name, truth.scalars)}")
