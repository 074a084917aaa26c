"""What is decided at a sample? The program of what lies ahead is solved; what cannot be used is replaced, and said."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from titer.control.action import Action, ActionStatus
from titer.control.nmpc.bank import Bank, Entry
from titer.control.nmpc.carrying import clock_of
from titer.control.nmpc.feeding import Standing, data_of
from titer.control.nmpc.meeting import Met
from titer.control.nmpc.memory import Kept, Kind, Memory
from titer.control.nmpc.modes import AdvancedStep, Converged
from titer.control.nmpc.moves import Handle
from titer.control.nmpc.plan import Plan
from titer.control.nmpc.posing import Wanted
from titer.control.nmpc.program import Program
from titer.control.nmpc.solving import Answer, Task, solved, task_bounds
from titer.control.nmpc.timetable import SAME, SHORTEST, Horizon
from titer.flowsheets.operation import Decided
from titer.numerics.dae import Array
from titer.numerics.realtime.sequential import Prepared
from titer.numerics.solvers import Outcome, Status

_TRIES, _FIRST_TRIES = 4, 12  # numbers of intervals that are tried at one sample


@dataclass(frozen=True, eq=False)
class Decision:
    """An action, and the memory after it."""

    action: Action
    memory: Memory


@dataclass(frozen=True, eq=False)
class Ready:
    """A quadratic program of a horizon that waits for the sample at `time`."""

    horizon: Horizon
    time: float
    prepared: Prepared


@dataclass(frozen=True, eq=False)
class Chosen:
    """What a solve of a sample came to: of which horizon, with which data."""

    horizon: Horizon
    data: Array
    answer: Answer
    feasible_only: bool = False


def decide(
    bank: Bank,
    handles: Sequence[Handle],
    now: Met,
    memory: Memory,
    safe: Mapping[str, float],
    patience: int,
    seconds: float,
    began: float,
) -> Decision:
    """Solve, act, remember, and prepare the next sample."""
    standing = _standing(bank.wanted, now, memory)
    chosen = _corrected(bank, memory, standing) or _solved(
        bank, memory, standing, seconds - (time.perf_counter() - began)
    )
    memory, action = _action(bank, handles, now, memory, standing, chosen, safe, patience)
    action = replace(action, feedback_seconds=time.perf_counter() - began)
    return Decision(action, _prepared(bank, memory, action, seconds))


def _standing(wanted: Wanted, now: Met, memory: Memory) -> Standing:
    """Where the plan begins: behind the delay, which may lie in the next phase."""
    table, k, entered = wanted.table, memory.phase, memory.entered
    begin = memory.time + table.delay
    if (
        not table.is_open(k)
        and begin - entered > table.durations[k].guess - SAME * table.every
        and k + 1 < len(table.names)
    ):
        k, entered = k + 1, entered + table.durations[k].guess
    return Standing(begin, k, entered, now.states, memory.applied, now.parameters, memory.totals, memory.given)


def _intervals(wanted: Wanted, memory: Memory, standing: Standing) -> int | None:
    """Intervals to the end of an open phase, as it was planned last; None where its end is no decision."""
    table, k = wanted.table, standing.phase
    if not table.is_open(k):
        return None
    planned = memory.planned if memory.planned is not None and k == memory.phase else None
    rest = (planned if planned is not None else standing.entered + table.durations[k].guess) - standing.time
    return _allowed(wanted, standing, int(np.ceil(rest / table.every - 1e-3)))


def _allowed(wanted: Wanted, standing: Standing, intervals: int) -> int:
    """The number of intervals nearest to this one that the limits of the phase's duration leave room for."""
    table = wanted.table
    left = standing.entered + table.durations[standing.phase].upper - standing.time
    most = max(1, int(np.floor((left - SHORTEST * table.every) / table.every)) + 1)
    return int(np.clip(intervals, 1, min(most, table.most(standing.phase))))


def task_of(
    bank: Bank, memory: Memory, standing: Standing, horizon: Horizon, seconds: float, data: Array | None = None
) -> Task:
    """The program of a horizon at a sample, started by the last plan."""
    entry = bank[horizon]
    program = entry.program
    lower, upper = task_bounds(program)
    column = program.durations.get(standing.phase)
    if column is not None:
        lower[column], upper[column] = _of_duration(bank.wanted, standing, horizon)
    w, multipliers = program.first, None
    if memory.kept is not None:
        kept = memory.kept
        gone = standing.time - kept.time
        w, multipliers = bank.carried(kept.horizon, kept.w, horizon, gone, (kept.rows, kept.bounds))
    if data is None:
        data = data_of(program, bank.wanted, standing)
    return Task(np.clip(w, lower, upper), data, lower, upper, multipliers, seconds)


def _of_duration(wanted: Wanted, standing: Standing, horizon: Horizon) -> tuple[float, float]:
    """Bounds of the last interval of the running phase."""
    table, k = wanted.table, standing.phase
    taken = sum(part.duration for part in horizon.parts if part.phase == k and not part.open)
    gone = standing.time - standing.entered + taken
    least = SHORTEST * table.every
    lower = max(table.durations[k].lower - gone, least)
    return lower, max(table.durations[k].upper - gone, lower)


def _corrected(bank: Bank, memory: Memory, standing: Standing) -> Chosen | None:
    """What one quadratic program makes of what was prepared; None where nothing was, or it cannot be used."""
    if isinstance(bank.mode, Converged):
        return None
    ready = memory.prepared or _ready(bank, memory, np.inf)
    if ready is None or abs(ready.time - standing.time) > SAME * bank.wanted.table.every:
        return None
    entry = bank[ready.horizon]
    assert entry.stepper is not None
    data = data_of(entry.program, bank.wanted, standing)
    outcome = entry.stepper.feedback(ready.prepared, data, time.perf_counter())
    if not outcome.status.ok:
        return None
    return Chosen(ready.horizon, data, Answer(outcome, ("one iteration",)), feasible_only=True)


def _solved(bank: Bank, memory: Memory, standing: Standing, seconds: float) -> Chosen:
    """The best of the numbers of intervals that are tried; of a phase whose end is no decision there is one."""
    wanted, every = bank.wanted, bank.wanted.table.every
    gone = standing.time - standing.entered
    n = _intervals(wanted, memory, standing)
    best = _attempt(bank, memory, standing, wanted.table.ahead(standing.phase, gone, n), seconds)
    current, seen, leap, way = best, {n}, 1, 0
    while n is not None and current.answer.ok and len(seen) < (_TRIES if memory.kept is not None else _FIRST_TRIES):
        column = bank[current.horizon].program.durations[standing.phase]
        last = float(current.answer.outcome.w[column])
        lower, _ = _of_duration(wanted, standing, current.horizon)
        if last > every * (1.0 + 1e-3):
            change = max(1, int(np.ceil(last / every - 1.0 - 1e-3)))
        elif n > 1 and last < lower + 1e-3 * every:
            change = -1
        else:
            break
        leap = 1 if change * way < 0 or not way else 2 * leap  # the same way again: further
        way = int(np.sign(change))
        n = _allowed(wanted, standing, n + way * max(abs(change), leap))
        if n in seen:
            break
        seen.add(n)
        trial = replace(memory, kept=_kept(current, standing))
        current = _attempt(bank, trial, standing, wanted.table.ahead(standing.phase, gone, n), seconds)
        if current.answer.ok and current.answer.outcome.objective < best.answer.outcome.objective + 1e-12:
            best = current
    return best


def _attempt(bank: Bank, memory: Memory, standing: Standing, horizon: Horizon, seconds: float) -> Chosen:
    entry = bank[horizon]
    task = task_of(bank, memory, standing, horizon, seconds)
    finite = np.isfinite(task.data) | ~np.isfinite(entry.program.nlp.data)
    if not finite.all():
        return Chosen(horizon, task.data, _failed(task, "where the plant is, is not known"))
    try:
        return Chosen(horizon, task.data, solved(entry.solvers, task))
    except Exception as error:  # whatever a solver throws, the plant must be told something
        return Chosen(
            horizon,
            task.data,
            _failed(task, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"),
        )


def _failed(task: Task, why: str) -> Answer:
    none = np.zeros(0)
    outcome = Outcome(Status.FAILED, task.w, none, none, np.nan, 0, 0.0, why, np.inf, np.inf, np.inf)
    return Answer(outcome, (why,))


def _kept(chosen: Chosen, standing: Standing) -> Kept:
    outcome = chosen.answer.outcome
    return Kept(
        chosen.horizon, standing.time, outcome.w, outcome.row_multipliers, outcome.bound_multipliers, chosen.data
    )


def _action(
    bank: Bank,
    handles: Sequence[Handle],
    now: Met,
    memory: Memory,
    standing: Standing,
    chosen: Chosen,
    safe: Mapping[str, float],
    patience: int,
) -> tuple[Memory, Action]:
    answer, reasons = chosen.answer, list(now.reasons)
    status = ActionStatus.FEASIBLE if chosen.feasible_only else ActionStatus.SOLVED
    first = _first_moves(bank[chosen.horizon].program, answer.outcome.w, 0.0) if answer.ok else {}
    if answer.ok and all(np.isfinite(value) for value in first.values()):
        kept = _kept(chosen, standing)
        for name, amount in answer.missed:
            reasons.append(f"{name} cannot be met: it is missed by {amount:.3g}, as little as possible")
        memory = _noted_misses(memory, answer)
    else:
        reasons += [f"the solve failed: {'; '.join(answer.tried)}"]
        memory = memory.noted(Kind.SOLVE, reasons[-1])
        kept = None if memory.kept is None else replace(memory.kept, age=memory.kept.age + 1)
        status, first = _instead(bank, kept, standing, memory, safe, patience)
        if status is not ActionStatus.PLAN:
            kept = None
    wanted = bank.wanted
    values, limits, more = _allowed_values(wanted, handles, memory, standing, first)
    reasons += more
    plan = None
    if kept is not None:
        program = bank[kept.horizon].program
        plan = Plan(program, kept.time, kept.w, kept.data, wanted.sign * answer.outcome.objective)
    ends = _planned_end(bank, kept, standing, memory)
    until, phase_ends = due(wanted, memory, ends)
    key = {ActionStatus.SOLVED: "solved", ActionStatus.FEASIBLE: "solved"}.get(status, "fallback")
    memory = memory.counted("steps", key, *(f"at limit: {name}" for name in limits))
    action = Action(
        time=memory.time,
        phase=wanted.table.names[memory.phase],
        values=values,
        until=until,
        ends=ends,
        phase_ends=phase_ends,
        finished=phase_ends and memory.phase == len(wanted.table.names) - 1,
        status=status,
        age=0 if kept is None else kept.age,
        fallback=not status.ok,
        reasons=tuple(reasons),
        iterations=answer.outcome.iterations,
        plan=plan,
        estimate=memory.estimate,
        limits=limits,
    )
    memory = replace(
        memory,
        fresh=False,
        waiting=memory.applied if wanted.table.delay else {},
        applied={**memory.applied, **values},
        changed=memory.time + wanted.table.delay,
        kept=kept,
        ending=until if phase_ends else None,
        planned=ends if wanted.table.is_open(memory.phase) else None,
        **_expectation(bank, kept, memory, until),
        prepared=None,
    )
    return memory, action


def _noted_misses(memory: Memory, answer: Answer) -> Memory:
    for name, amount in answer.missed:
        memory = memory.noted(Kind.LIMIT, f"{name} cannot be met: missed by {amount:.3g}")
    return memory


def _first_moves(program: Program, w: Array, gone: float) -> dict[str, float]:
    """The values of all inputs that are decided, `gone` after the plan began."""
    if not program.durations:
        clocks = None
    else:
        clocks = clock_of(program, w)
    found = {}
    for name, moves in program.moves[0].items():
        begins = moves.begins if clocks is None else _begins(program, clocks, name)
        k = max(int(np.searchsorted(begins, gone + 1e-9 * max(1.0, abs(gone)), side="right")) - 1, 0)
        found[name] = float(w[moves.columns[k]])
    return found


def _begins(program: Program, clocks: Mapping[str, tuple[float, float]], name: str) -> Array:
    """When each value of an input begins, durations being as decided."""
    found = []
    for placement in program.assembled.runs[0]:
        for variable, source in zip(placement.operation.lowered.dae.inputs, placement.operation.inputs, strict=True):
            if variable.name == name and isinstance(source, Decided):
                start, duration = clocks[placement.block.name]
                found.append(start + placement.shapes[name][0].edges[:-1] * duration)
    return np.concatenate(found)


def _instead(
    bank: Bank, kept: Kept | None, standing: Standing, memory: Memory, safe: Mapping[str, float], patience: int
) -> tuple[ActionStatus, dict[str, float]]:
    """What stands in for a solve: the plan before, the declared safe values, or what is applied."""
    if kept is not None and kept.age <= patience and standing.time - kept.time < _length(bank, kept):
        return ActionStatus.PLAN, _first_moves(bank[kept.horizon].program, kept.w, standing.time - kept.time)
    if safe:
        return ActionStatus.SAFE, {**memory.applied, **safe}
    return ActionStatus.HELD, dict(memory.applied)


def _length(bank: Bank, kept: Kept) -> float:
    clocks = clock_of(bank[kept.horizon].program, kept.w)
    return max(start + duration for start, duration in clocks.values())


def _allowed_values(
    wanted: Wanted, handles: Sequence[Handle], memory: Memory, standing: Standing, values: Mapping[str, float]
) -> tuple[dict[str, float], tuple[str, ...], list[str]]:
    """The values that bounds and rates allow, of inputs that are decided now; which of them are at a limit."""
    operation = wanted.planned[standing.phase]
    found, limits, reasons = {}, [], []
    elapsed = standing.time - memory.changed
    for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
        if not isinstance(source, Decided):
            continue
        handle = next(h for h in handles if h.name == variable.name)
        handle = replace(handle, lower=source.lower, upper=source.upper)
        before, wish = memory.applied[handle.name], values.get(handle.name, memory.applied[handle.name])
        value = handle.clipped(wish, before, elapsed)
        size = max(abs(handle.upper - handle.lower) if np.isfinite(handle.upper - handle.lower) else abs(wish), 1e-12)
        if abs(value - wish) > 1e-6 * size:
            reasons.append(f"{handle.name} = {wish:.6g} is moved to {value:.6g}, which its bounds and its rate allow")
        at_bound = min(value - handle.lower, handle.upper - value) < 1e-6 * size
        at_rate = np.isfinite(handle.rate) and abs(value - before) > handle.rate * elapsed - 1e-6 * size
        if at_bound or at_rate:
            limits.append(handle.name)
        found[handle.name] = value
    return found, tuple(limits), reasons


def _planned_end(bank: Bank, kept: Kept | None, standing: Standing, memory: Memory) -> float:
    """When the running phase is planned to end."""
    table, k = bank.wanted.table, memory.phase
    if not table.is_open(k):
        return memory.entered + table.durations[k].guess
    if kept is not None and kept.horizon.parts[0].phase == k:
        program = bank[kept.horizon].program
        whole = sum(part.duration for part in kept.horizon.parts if part.phase == k and not part.open)
        end = kept.time + whole + float(kept.w[program.durations[k]])
    else:
        end = memory.planned if memory.planned is not None else memory.entered + table.durations[k].guess
    limits = table.durations[k]
    return float(
        np.clip(end, max(memory.entered + limits.lower, memory.time), max(memory.entered + limits.upper, memory.time))
    )


def due(wanted: Wanted, memory: Memory, ends: float) -> tuple[float, bool]:
    """When the next step is due, and whether the phase ends there."""
    table = wanted.table
    due = memory.time + table.every
    if table.conditions[memory.phase]:
        return due, False
    if ends <= due + (1e-3 if table.is_open(memory.phase) else SAME) * table.every:
        return max(ends, memory.time), True
    gone = table.snapped(memory.phase, due - memory.entered + table.delay) - table.delay
    return (memory.entered + gone if gone + memory.entered > memory.time else due), False


def _expectation(bank: Bank, kept: Kept | None, memory: Memory, until: float) -> dict[str, Mapping[str, float]]:
    """What states, and integrals, are to be at the next sample."""
    if kept is None:
        return {"expected": memory.estimate, "totals": memory.totals}
    program = bank[kept.horizon].program
    states = values_at(program, kept.w, kept.data, until - kept.time)
    begins = values_at(program, kept.w, kept.data, until + bank.wanted.table.delay - kept.time)
    totals = {name: begins[name] for name in program.cells.totals if name in begins}
    return {
        "expected": {**memory.estimate, **{n: v for n, v in states.items() if n in memory.estimate}},
        "totals": {**memory.totals, **totals},
    }


def values_at(program: Program, w: Array, data: Array, gone: float) -> dict[str, float]:
    """States of the first scenario `gone` after the plan began, integrals included."""
    cells = np.concatenate([w, data])
    clocks = clock_of(program, w) if program.durations else clock_of(program, None)
    placements = program.assembled.runs[0]
    for i, placement in enumerate(placements):
        start, duration = clocks[placement.block.name]
        if gone <= start + duration * (1.0 + 1e-9) or i == len(placements) - 1:
            block = placement.block
            places = program.nlp.cells[block.name][block.ports["x"]]
            tau = placement.transcribed.tau
            at = (gone - start) / duration
            return {
                v.name: float(np.interp(at, tau, cells[row]))
                for v, row in zip(placement.dae.states, places, strict=True)
            }
    return {}


def _prepared(bank: Bank, memory: Memory, action: Action, seconds: float) -> Memory:
    """The memory with what waits for the next sample."""
    if isinstance(bank.mode, Converged):
        return memory
    return replace(memory, prepared=_ready(bank, memory, seconds))


def _ready(bank: Bank, memory: Memory, seconds: float) -> Ready | None:
    """The next sample's quadratic program, from where the plan leads; None where there is none to prepare.

    It follows from what a memory saves, so that a loop that is resumed goes on as it would have.
    """
    kept, wanted = memory.kept, bank.wanted
    if kept is None or kept.age or memory.ending is not None or memory.fresh:
        return None
    table = wanted.table
    until, _ = (
        due(wanted, memory, memory.planned or np.inf)
        if table.is_open(memory.phase)
        else due(wanted, memory, memory.entered + table.durations[memory.phase].guess)
    )
    begin = until + table.delay
    k, entered = memory.phase, memory.entered
    if not table.is_open(k) and begin - entered > table.durations[k].guess - SAME * table.every:
        return None
    program = bank[kept.horizon].program
    states = {**memory.estimate, **values_at(program, kept.w, kept.data, begin - kept.time)}
    standing = Standing(begin, k, entered, states, memory.applied, memory.parameters, memory.totals, memory.given)
    n = _intervals(wanted, memory, standing)
    horizon = table.ahead(k, begin - entered, n)
    entry: Entry = bank[horizon]
    assert entry.stepper is not None
    task = task_of(bank, memory, standing, horizon, seconds)
    w, multipliers = task.w, task.multipliers
    if isinstance(bank.mode, AdvancedStep):
        answer = solved(entry.solvers, task)
        if not answer.ok or answer.missed:
            return None
        w, multipliers = answer.outcome.w, (answer.outcome.row_multipliers, answer.outcome.bound_multipliers)
    return Ready(horizon, begin, entry.stepper.prepare(w, task.data, task.lower, task.upper, multipliers))
