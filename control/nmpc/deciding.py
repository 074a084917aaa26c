"""What is decided at a sample? The program of what lies ahead is solved, with as many samples as a free end takes."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from titer.control.nmpc.bank import Bank
from titer.control.nmpc.feeding import Standing, data_of
from titer.control.nmpc.meeting import Met
from titer.control.nmpc.memory import ControlMemory, Kept, Mode
from titer.control.nmpc.methods import AdvancedStep
from titer.control.nmpc.moves import Handle
from titer.control.nmpc.posing import Wanted
from titer.control.nmpc.program import Program
from titer.control.nmpc.solving import Answer, Task, solved, violation
from titer.control.nmpc.timetable import SAME, SHORTEST, Horizon
from titer.numerics.dae import Array
from titer.numerics.realtime import Prepared

_TRIES, _FIRST_TRIES = 4, 12  # numbers of intervals that are tried at one sample
_WILD = 1.0  # a violation after one iteration, in sizes of what is decided, that is no step towards a solution


@dataclass(frozen=True, eq=False)
class Chosen:
    """What the solves of a sample came to: of which horizon, with which data; `once`: by a single iteration."""

    horizon: Horizon
    data: Array
    answer: Answer
    once: bool = False


@dataclass(frozen=True, eq=False)
class Ready:
    """A quadratic program of a horizon that waits for the sample at `time`, with what it was made from."""

    horizon: Horizon
    time: float
    prepared: Prepared
    task: Task


@dataclass(frozen=True, eq=False)
class Deciding:
    """What a decision is made with: `bank`, the `handles` of each phase (position, handle), `seconds` at most; `able`:
    whether solvers work."""

    bank: Bank
    handles: tuple[tuple[tuple[int, Handle], ...], ...]
    seconds: float
    able: bool = True

    @property
    def wanted(self) -> Wanted:
        return self.bank.wanted


def standing_of(deciding: Deciding, now: Met, memory: ControlMemory, given: dict) -> Standing:
    """Where the plan begins: behind the delay, which may lie in the next phase; inside the domains of states."""
    table, k, entered = deciding.wanted.table, memory.phase, memory.entered
    begin = memory.time + table.delay
    closed = not table.is_open(k) and k + 1 < len(table.names)
    if closed and begin - entered > table.durations[k].guess - SAME * table.every:
        k, entered = k + 1, entered + table.durations[k].guess
    lower, upper = deciding.wanted.domain
    x = np.minimum(np.maximum(now.x, lower), upper)
    return Standing(begin, k, entered, x, memory.applied, memory.estimated, now.totals, given)


def decided(deciding: Deciding, memory: ControlMemory, standing: Standing, began: float) -> Chosen:
    """One iteration where the method makes single ones and it can be used, else the best of what the ladder solves.

    Before limits are missed, or nothing counts, a cold start as of a first sample is tried, while half of the time is
    left: the plan before may lead into a corner of a nonconvex problem.
    """
    once = _corrected(deciding, memory, standing, began)
    if once is not None:
        return once
    found = _solved(deciding, memory, standing, began)
    late = time.perf_counter() - began > 0.5 * deciding.seconds
    if found.answer.miss <= 0.0 or memory.kept is None or late or not deciding.able:
        return found
    cold = _solved(deciding, replace(memory, kept=None, planned=None), standing, began)
    tried = (*found.answer.tried, *(f"cold {text}" for text in cold.answer.tried))
    best = cold if cold.answer.miss < found.answer.miss else found
    return replace(best, answer=replace(best.answer, tried=tried))


def ready(deciding: Deciding, memory: ControlMemory, standing: Standing, began: float) -> Ready | None:
    """The quadratic program of a sample that comes at `standing`, from where the plan leads; None without a plan.

    It follows from what a memory saves, so that a loop that is resumed goes on as it would have.
    """
    if memory.kept is None or memory.kept.age or not deciding.able:
        return None
    n = _intervals(deciding, memory, standing)
    horizon = deciding.wanted.table.ahead(standing.phase, standing.time - standing.entered, n)
    entry = deciding.bank[horizon]
    assert entry.engine is not None
    task = task_of(deciding, memory, standing, horizon, began)
    if isinstance(deciding.bank.method, AdvancedStep):
        answer = solved(entry.solvers, task)
        if not answer.counts or answer.missed:
            return None
        outcome = answer.outcome
        task = replace(task, w=outcome.w, multipliers=(outcome.row_multipliers, outcome.bound_multipliers))
    prepared = entry.engine.prepare(task.w, task.data, task.lower, task.upper, task.multipliers)
    return Ready(horizon, standing.time, prepared, task)


def task_of(deciding: Deciding, memory: ControlMemory, standing: Standing, horizon: Horizon, began: float) -> Task:
    """The program of a horizon at a sample, started by the last plan."""
    bank = deciding.bank
    program = bank[horizon].program
    lower, upper = bounds_of(deciding, memory, standing, program)
    w, multipliers = program.first, None
    if memory.kept is not None:
        kept = memory.kept
        w, multipliers = bank.carried(kept.horizon, kept.w, horizon, standing.time - kept.time, kept.multipliers)
    data = data_of(program, deciding.wanted, standing)
    seconds = deciding.seconds - (time.perf_counter() - began)
    return Task(np.minimum(np.maximum(w, lower), upper), data, lower, upper, multipliers, seconds)


def bounds_of(deciding: Deciding, memory: ControlMemory, standing: Standing, program: Program) -> tuple[Array, Array]:
    """Bounds of the columns: of the first moves what rates allow, of a decided duration what is left."""
    lower, upper = program.lower.copy(), program.upper.copy()
    for i, handle in deciding.handles[standing.phase]:
        column = program.moves.get(handle.name)
        if column is not None and np.isfinite(handle.rate):
            lower[column], upper[column] = reach_of(deciding, memory, i, handle, standing.time)
    columns = program.durations.get(standing.phase)
    if columns is not None:
        lower[columns], upper[columns] = _of_duration(deciding, standing, program.horizon)
    return lower, upper


def reach_of(deciding: Deciding, memory: ControlMemory, i: int, handle: Handle, time: float) -> tuple[float, float]:
    """What bounds and rate allow of an input at a time, from what was held and from what was asked for last; after a
    gap no more than after one interval. Where the two have nothing in common, what was held counts."""
    elapsed = min(time - memory.changed, deciding.wanted.table.every)
    low, high = handle.reach(float(memory.applied[i]), elapsed)
    asked = memory.action.values.get(handle.name, np.nan)
    if memory.mode is Mode.OFF or not np.isfinite(asked):
        return low, high
    least, most = handle.reach(float(asked), elapsed)
    low_both, high_both = max(low, least), min(high, most)
    return (low_both, high_both) if low_both <= high_both else (low, high)


def _of_duration(deciding: Deciding, standing: Standing, horizon: Horizon) -> tuple[float, float]:
    """Bounds of the last interval of the running phase."""
    table, k = deciding.wanted.table, standing.phase
    taken = sum(part.duration for part in horizon.parts if part.phase == k and not part.open)
    gone = standing.time - standing.entered + taken
    least = SHORTEST * table.every
    lower = max(table.durations[k].lower - gone, least)
    return lower, max(table.durations[k].upper - gone, lower)


def _intervals(deciding: Deciding, memory: ControlMemory, standing: Standing) -> int | None:
    """Intervals to the end of an open phase, as it was planned last; None where its end is no decision."""
    table, k = deciding.wanted.table, standing.phase
    if not table.is_open(k):
        return None
    planned = memory.planned if memory.planned is not None and k == memory.phase else None
    rest = (planned if planned is not None else standing.entered + table.durations[k].guess) - standing.time
    return _allowed(deciding, standing, int(np.ceil(rest / table.every - 1e-3)))


def _allowed(deciding: Deciding, standing: Standing, intervals: int) -> int:
    """The number of intervals nearest to this one that the limits of the phase's duration leave room for."""
    table = deciding.wanted.table
    left = standing.entered + table.durations[standing.phase].upper - standing.time
    most = max(1, int(np.floor((left - SHORTEST * table.every) / table.every)) + 1)
    return int(np.clip(intervals, 1, min(most, table.most(standing.phase))))


def _corrected(deciding: Deciding, memory: ControlMemory, standing: Standing, began: float) -> Chosen | None:
    """What one quadratic program makes of what was prepared; None where nothing was, or it cannot be used."""
    every = deciding.wanted.table.every
    waiting = memory.prepared
    if not isinstance(waiting, Ready) or abs(waiting.time - standing.time) > SAME * every:
        return None
    entry = deciding.bank[waiting.horizon]
    if entry.engine is None or not deciding.able:
        return None
    lower, upper = bounds_of(deciding, memory, standing, entry.program)
    data = data_of(entry.program, deciding.wanted, standing)
    task = replace(waiting.task, data=data, lower=lower, upper=upper)
    if not np.isfinite(data).all():
        return None
    outcome = entry.engine.feedback(waiting.prepared, data, lower, upper)
    if not outcome.status.ok or not np.isfinite(outcome.w).all():
        return None
    sizes = entry.program.scaling.columns
    if (np.maximum(lower - outcome.w, outcome.w - upper) / sizes).max(initial=0.0) > 1e-5:
        return None
    if violation(entry.program, task, outcome.w) > _WILD:
        return None
    return Chosen(waiting.horizon, data, Answer(outcome, True, ("one iteration",)), once=True)


def _solved(deciding: Deciding, memory: ControlMemory, standing: Standing, began: float) -> Chosen:
    """The best of the numbers of intervals that are tried; of a phase whose end is no decision there is one."""
    table = deciding.wanted.table
    gone, n = standing.time - standing.entered, _intervals(deciding, memory, standing)
    best = _attempt(deciding, memory, standing, table.ahead(standing.phase, gone, n), began)
    if n is None:
        return best
    current, seen, leap, way = best, {n}, 1, 0
    while current.answer.counts and len(seen) < (_TRIES if memory.kept is not None else _FIRST_TRIES):
        program = deciding.bank[current.horizon].program
        last = float(current.answer.outcome.w[program.durations[standing.phase]].max())
        lower, _ = _of_duration(deciding, standing, current.horizon)
        if last > table.every * (1.0 + 1e-3):
            change = max(1, int(np.ceil(last / table.every - 1.0 - 1e-3)))
        elif n > 1 and last < lower + 1e-3 * table.every:
            change = -1
        else:
            break
        leap = 1 if change * way < 0 or not way else 2 * leap  # the same way again: further
        way = int(np.sign(change))
        n = _allowed(deciding, standing, n + way * max(abs(change), leap))
        if n in seen:
            break
        seen.add(n)
        trial = replace(memory, kept=kept_of(current, standing.time))
        current = _attempt(deciding, trial, standing, table.ahead(standing.phase, gone, n), began)
        if current.answer.counts and not _better(best, current):
            best = current
    return best


def _better(one: Chosen, other: Chosen) -> bool:
    return one.answer.outcome.objective < other.answer.outcome.objective - 1e-12


def _attempt(deciding: Deciding, memory: ControlMemory, standing: Standing, horizon: Horizon, began: float) -> Chosen:
    task = task_of(deciding, memory, standing, horizon, began)
    answer = solved(deciding.bank[horizon].solvers, task, deciding.able)
    if answer.counts and time.perf_counter() - began > deciding.seconds:
        answer = replace(answer, counts=False, tried=(*answer.tried, "too late"))
    return Chosen(horizon, task.data, answer)


def kept_of(chosen: Chosen, begin: float) -> Kept:
    """The plan as a memory keeps it."""
    outcome = chosen.answer.outcome
    several = len(outcome.row_multipliers) and len(outcome.bound_multipliers)
    multipliers = (outcome.row_multipliers, outcome.bound_multipliers) if several else None
    return Kept(chosen.horizon, begin, outcome.w, chosen.data, multipliers)
