"""How is the program of a sample solved? By the rungs of a ladder, one after another, until the numbers of one count.

A solve counts if its numbers are finite, within bounds, and keep the rows, which are evaluated again. Where no
decisions keep the hard limits, those are found that miss them least, and it is said which.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from titer.control.nmpc.program import Program
from titer.numerics.dae import Array
from titer.numerics.errors import SpecificationError
from titer.numerics.realtime import Sqp, SqpEngine
from titer.numerics.solvers import Engine, Fatrop, Ipopt, Manner, Outcome, Status

_FEASIBLE = 1e-5  # scaled: a violation that is none
_MISSED = 1e-6  # of a limit's size: a miss that is none


@dataclass(frozen=True, eq=False)
class Task:
    """A program at a sample: a start, with multipliers (of rows, of bounds) where it is a neighbour's solution, data,
    bounds of columns, and the seconds it may take."""

    w: Array
    data: Array
    lower: Array
    upper: Array
    multipliers: tuple[Array, Array] | None
    seconds: float


@dataclass(frozen=True, eq=False)
class Answer:
    """What a solve came to, and what was tried; `missed`: hard limits that it does not keep, with by how much; `sizes`:
    of limits that are missed, what their misses are counted in."""

    outcome: Outcome
    counts: bool
    tried: tuple[str, ...]
    missed: tuple[tuple[str, float], ...] = ()
    sizes: Mapping[str, float] = field(default_factory=dict)

    @property
    def miss(self) -> float:
        """By how much all limits are missed, each in its size; infinite where nothing counts."""
        return sum(amount / self.sizes[label] for label, amount in self.missed) if self.counts else np.inf


Attempt = Callable[[Task], Outcome]


@dataclass(frozen=True, eq=False)
class Solvers:
    """What is built for a program before the loop: attempts by name, in their order; the program whose limits give."""

    program: Program
    attempts: tuple[tuple[str, Attempt], ...]
    elastic: Program | None


def solvers_of(program: Program, elastic: Program | None, ladder: Sequence[Sqp | Fatrop | Ipopt]) -> Solvers:
    """Build the solvers of a program; a rung for whose structure it has no place (a chain of stages) is left out."""
    attempts: list[tuple[str, Attempt]] = []
    for i, rung in enumerate(ladder):
        if isinstance(rung, Ipopt):
            attempts += _by_ipopt(program, program.engine, warm=i == 0)
            continue
        try:
            attempts.append(_by_sqp(program, rung) if isinstance(rung, Sqp) else _by_fatrop(program, rung))
        except SpecificationError:
            if len(ladder) == 1:
                raise
    if elastic is not None:
        elastic.engine.ready(Manner.NEAR)
    return Solvers(program, tuple(attempts), elastic)


def _by_sqp(program: Program, rung: Sqp) -> tuple[str, Attempt]:
    engine = SqpEngine(program.nlp, program.scaling, rung)
    return "SQP", lambda t: engine.solve(t.w, t.data, t.lower, t.upper, t.multipliers, t.seconds)


def _by_fatrop(program: Program, rung: Fatrop) -> tuple[str, Attempt]:
    engine = Engine(program.nlp, rung)
    return "fatrop", lambda t: engine.solve(t.w, program.scaling, t.lower, t.upper, t.data)


def _by_ipopt(program: Program, engine: Engine, warm: bool) -> list[tuple[str, Attempt]]:
    manners = [*([Manner.WARM] if warm else []), Manner.NEAR, Manner.FAR]
    engine.ready(*manners)

    def by(manner: Manner) -> Attempt:
        def solve(t: Task) -> Outcome:
            multipliers = t.multipliers if manner is Manner.WARM else None
            return engine.solve(t.w, program.scaling, t.lower, t.upper, t.data, multipliers, manner)

        return solve

    return [(f"IPOPT, {manner.name.lower()} start", by(manner)) for manner in manners]


def solved(solvers: Solvers, task: Task, able: bool = True) -> Answer:
    """The answer of the first rung whose numbers count; else that which misses hard limits least; else a failure.

    `able`: whether any solver may solve; False is for tests of what a controller does then.
    """
    if not np.isfinite(task.data).all():
        return Answer(_nothing(task, "not tried"), False, ("where the plant is, is not known",))
    if not able:
        return Answer(_nothing(task, "not tried"), False, ("the solver is out of order",))
    began = time.perf_counter()
    tried: list[str] = []
    elastic = solvers.elastic
    last = _nothing(task, "nothing was tried")
    for name, attempt in solvers.attempts:
        if "warm" in name and task.multipliers is None:
            continue
        left = task.seconds - (time.perf_counter() - began)
        if left <= 0.0:
            return Answer(last, False, (*tried, "the time is up"))
        last = _attempted(attempt, replace(task, seconds=left) if tried else task)
        if counts(solvers.program, task, last):
            return Answer(last, True, (*tried, f"{name}: {last.status.value}"))
        tried.append(f"{name}: {last.status.value if not last.status.ok else 'its numbers do not keep the rows'}")
        if last.status is Status.INTERRUPTED:
            return Answer(last, False, tuple(tried))
        if last.status is Status.INFEASIBLE and name.startswith("IPOPT") and elastic is not None:
            answer, elastic = _nearest(solvers.program, elastic, task, last, tried), None
            if answer.counts:
                return answer
    if elastic is None or time.perf_counter() - began > task.seconds:
        return Answer(last, False, tuple(tried))
    return _nearest(solvers.program, elastic, task, last, tried)


def counts(program: Program, task: Task, outcome: Outcome) -> bool:
    """Whether the numbers of an outcome may be applied: finite, within bounds, and its rows kept."""
    if not outcome.status.ok:
        return False
    w, scaling = outcome.w, program.scaling
    if w.shape != task.w.shape or not np.isfinite(w).all():
        return False
    outside = (np.maximum(task.lower - w, w - task.upper) / scaling.columns).max(initial=0.0)
    return bool(outside <= _FEASIBLE and violation(program, task, w) <= _FEASIBLE)


def violation(program: Program, task: Task, w: Array) -> float:
    """By how much decisions miss the rows, scaled; infinite where a row is not finite."""
    if not program.nlp.rows:
        return 0.0
    rows = program.rows
    rows.arguments[0][:] = w / program.scaling.columns
    rows.arguments[1][: len(task.data)] = task.data
    g = rows.run()[1]
    low, up = program.row_limits
    beyond = float(np.maximum(low - g, g - up).max(initial=0.0))
    return beyond if np.isfinite(g).all() else np.inf


def _attempted(attempt: Attempt, task: Task) -> Outcome:
    try:
        return attempt(task)
    except Exception as error:  # whatever a solver throws, the plant must be told something
        return _nothing(task, f"{type(error).__name__}: {error}")


def _nothing(task: Task, why: str) -> Outcome:
    none = np.zeros(0)
    return Outcome(Status.FAILED, task.w, none, none, np.nan, 0, 0.0, why, np.inf, np.inf, np.inf)


def _nearest(program: Program, elastic: Program, task: Task, last: Outcome, tried: list[str]) -> Answer:
    """The decisions that miss hard limits least."""
    own, wide = program.slacks, elastic.slacks
    n, known = program.bare, program.given
    data = np.concatenate([task.data[:known], elastic.nlp.data[known:]])
    w, lower, upper = elastic.first.copy(), elastic.lower.copy(), elastic.upper.copy()
    w[:n], lower[:n], upper[:n] = task.w[:n], task.lower[:n], task.upper[:n]
    w[wide.columns] = np.maximum(w[wide.columns], 1e-3 * wide.sizes)
    inner = Task(w, data, lower, upper, None, task.seconds)
    outcome = _attempted(lambda t: elastic.engine.solve(t.w, elastic.scaling, t.lower, t.upper, t.data), inner)
    tried.append(f"limits elastic: {outcome.status.value}")
    if not counts(elastic, inner, outcome):
        return Answer(last, False, tuple(tried))
    amounts, missed = outcome.w[wide.columns], dict[str, float]()
    for label, amount, size in zip(wide.labels, amounts, wide.sizes, strict=True):
        if label not in own.labels and amount > _MISSED * size:
            missed[label] = max(missed.get(label, 0.0), float(amount))
    kept = np.array([label in own.labels for label in wide.labels], dtype=bool)
    rows = np.zeros(program.nlp.rows)
    found = replace(
        outcome,
        w=np.concatenate([outcome.w[:n], amounts[kept], task.w[n + len(own.labels) :]]),
        row_multipliers=rows,
        bound_multipliers=np.zeros(program.nlp.columns),
    )
    sizes = dict(zip(wide.labels, wide.sizes.tolist(), strict=True))
    return Answer(found, True, tuple(tried), tuple(missed.items()), {label: sizes[label] for label in missed})
