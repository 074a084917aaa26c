"""How is the program of a sample solved? By methods one after another, until the numbers of one hold.

A method is warm-started by the plan of the sample before. Where no decisions meet the hard limits, those are found that
miss them least, and it is said which.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from titer.control.nmpc.program import Program
from titer.control.nmpc.soft import MISS
from titer.flowsheets.problems.climbing import RELAXATION, WIDER
from titer.numerics.dae import Array
from titer.numerics.realtime.sequential import Sequential, Stepper
from titer.numerics.solvers import Engine, Fatrop, Ipopt, Manner, Outcome, Status

_FEASIBLE = 1e-5  # scaled: a violation that is none
_MISSED = 1e-6  # of a limit's size: a miss that is none


class Own(Protocol):
    """A method of somebody's own: what it gives is judged like any other."""

    def attempt(self, program: Program, task: Task) -> Outcome: ...


Method = Sequential | Fatrop | Ipopt | Own


@dataclass(frozen=True, eq=False)
class Task:
    """A program at a sample: a start with multipliers (of rows, of bounds) where it is a neighbour's solution, data,
    bounds of columns, and the seconds it may take."""

    w: Array
    data: Array
    lower: Array
    upper: Array
    multipliers: tuple[Array, Array] | None
    seconds: float


@dataclass(frozen=True, eq=False)
class Answer:
    """What a solve came to; `missed`: hard limits that cannot be met, with by how much."""

    outcome: Outcome
    tried: tuple[str, ...]
    missed: tuple[tuple[str, float], ...] = ()

    @property
    def ok(self) -> bool:
        return self.outcome.status.ok


@dataclass(frozen=True, eq=False)
class Solvers:
    """What is built for a program before the loop: an engine for IPOPT and fatrop, a stepper for sequential QPs."""

    program: Program
    methods: tuple[Method, ...]
    built: tuple[Engine | Stepper | None, ...]


def solvers_of(program: Program, methods: Sequence[Method]) -> Solvers:
    """Build the solvers of a program."""
    built: list[Engine | Stepper | None] = []
    for method in methods:
        if isinstance(method, Ipopt):
            built.append(program.engine)
        elif isinstance(method, Fatrop):
            built.append(Engine(program.nlp, method))
        elif isinstance(method, Sequential):
            held = program.slacks.columns[program.slacks.hard]
            built.append(method.stepper(program.engine, program.scaling, program.first, held))
        else:
            built.append(None)
    return Solvers(program, tuple(methods), tuple(built))


def task_bounds(program: Program, relaxation: float = RELAXATION) -> tuple[Array, Array]:
    """Bounds of the columns, with physical domains relaxed."""
    lower, upper = program.nlp.relaxed(program.scaling.columns, relaxation)
    return lower.copy(), upper.copy()


def solved(solvers: Solvers, task: Task) -> Answer:
    """The answer of the first method whose numbers hold; else that which misses hard limits least; else a failure."""
    began, tried = time.perf_counter(), []
    last: Outcome | None = None
    for method, built in zip(solvers.methods, solvers.built, strict=True):
        for name, attempt in _attempts(method, built, solvers.program, task):
            if last is not None and time.perf_counter() - began > task.seconds:
                return Answer(replace(last, status=Status.TIME), (*tried, "the time is up"))
            last = attempt()
            tried.append(f"{name}: {last.status.value}")
            if last.status.ok:
                return Answer(last, tuple(tried))
            if last.status is Status.INTERRUPTED:
                return Answer(last, tuple(tried))
    assert last is not None
    if time.perf_counter() - began > task.seconds:
        return Answer(last, tuple(tried))
    return _nearest(solvers.program, task, last, tried)


Attempt = tuple[str, Callable[[], Outcome]]


def _attempts(method: Method, built: Engine | Stepper | None, program: Program, task: Task) -> list[Attempt]:
    scaling = program.scaling
    if built is None:
        return [(type(method).__name__, lambda: _judged(method.attempt(program, task), program, task))]

    def by(engine: Engine, manner: Manner, relaxation: float | None = None) -> Callable[[], Outcome]:
        def solve() -> Outcome:
            lower, upper = task.lower, task.upper
            if relaxation is not None:
                domain = program.nlp.domain
                wide = task_bounds(program, relaxation)
                lower, upper = np.where(domain, wide[0], lower), np.where(domain, wide[1], upper)
            warm = task.multipliers if manner is Manner.WARM else None
            return engine.solve(task.w, scaling, lower, upper, task.data, warm, manner)

        return solve

    if isinstance(built, Stepper):
        return [("SQP", lambda: built.solve(task.w, task.data, task.lower, task.upper, task.multipliers, task.seconds))]
    if isinstance(method, Fatrop):
        return [("fatrop", by(built, Manner.NEAR))]
    manners = [Manner.WARM, Manner.NEAR] if task.multipliers is not None else [Manner.NEAR]
    found = [(f"IPOPT, {manner.name.lower()} start", by(built, manner)) for manner in manners]
    return [
        *found,
        ("IPOPT, wider domains", by(built, Manner.NEAR, WIDER)),
        ("IPOPT, far start", by(built, Manner.FAR)),
    ]


def _judged(outcome: Outcome, program: Program, task: Task) -> Outcome:
    """An outcome that is called solved only if its numbers are finite, within bounds and keep the rows."""
    if not outcome.status.ok:
        return outcome
    w, nlp, scaling = outcome.w, program.nlp, program.scaling
    good = w.shape == task.w.shape and bool(np.isfinite(w).all())
    if good:
        g = np.array(
            program.engine.program.values(w / scaling.columns, program.engine.program.parameters(scaling, task.data))[1]
        ).ravel()
        lower, upper = (bounds * scaling.rows for bounds in nlp.row_bounds())
        beyond = np.maximum(lower - g, g - upper).max(initial=0.0)
        outside = (np.maximum(task.lower - w, w - task.upper) / scaling.columns).max(initial=0.0)
        good = bool(max(beyond, outside) <= _FEASIBLE)
    return outcome if good else replace(outcome, status=Status.FAILED)


def _nearest(program: Program, task: Task, last: Outcome, tried: list[str]) -> Answer:
    """The decisions that miss hard limits least, where some may be missed."""
    slacks = program.slacks
    if not slacks.hard.any():
        return Answer(last, tuple(tried))
    upper = task.upper.copy()
    upper[slacks.columns[slacks.hard]] = np.inf
    w = task.w.copy()
    w[slacks.columns] = np.maximum(w[slacks.columns], 1e-3 * slacks.sizes)
    outcome = program.engine.solve(w, program.scaling, task.lower, upper, task.data)
    tried.append(f"limits elastic: {outcome.status.value}")
    if not outcome.status.ok:
        return Answer(last, tuple(tried))
    missed: dict[str, float] = {}
    amounts = outcome.w[slacks.columns]
    for label, amount, size, hard in zip(slacks.labels, amounts, slacks.sizes, slacks.hard, strict=True):
        if hard and amount > _MISSED * size:
            name = label.removeprefix(MISS)
            missed[name] = max(missed.get(name, 0.0), float(amount))
    return Answer(outcome, tuple(tried), tuple(missed.items()))
