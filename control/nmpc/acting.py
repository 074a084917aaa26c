"""What is applied? The first moves of a plan that counts; else an earlier plan's, the safe action, or the last.

Whatever it is, it lies within bounds and rates.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from titer.control.action import Action, ActionStatus, Plan
from titer.control.nmpc.deciding import Chosen, Deciding, kept_of, reach_of
from titer.control.nmpc.feeding import Standing
from titer.control.nmpc.meeting import Met
from titer.control.nmpc.memory import ControlMemory, Kept, Kind, Mode
from titer.control.nmpc.program import Program
from titer.control.nmpc.timetable import SAME, SHORTEST
from titer.numerics.dae import Array

Safe = Callable[[float, Mapping[str, float]], Mapping[str, float]]


@dataclass(frozen=True, eq=False)
class Standby:
    """What stands in for a solve: the plan before for at most `patience` samples, then the `safe` action."""

    patience: int
    safe: Safe | None


@dataclass(frozen=True, eq=False)
class Wish:
    """Values that are to be applied (by position of the input), and what they are worth."""

    values: Mapping[int, float]
    status: ActionStatus
    age: int = 0
    fallback: str | None = None


def acted(
    deciding: Deciding,
    standby: Standby,
    now: Met,
    memory: ControlMemory,
    standing: Standing,
    chosen: Chosen,
    began: float,
) -> tuple[Action, ControlMemory]:
    """The action of a decision, and the memory after it; `began`: when its computing did."""
    answer, reasons = chosen.answer, list(now.reasons)
    program = deciding.bank[chosen.horizon].program
    kept: Kept | None
    if answer.counts:
        kept = kept_of(chosen, standing.time)
        status = ActionStatus.ITERATED if chosen.once else ActionStatus.OPTIMAL
        status = ActionStatus.RELAXED if answer.missed else status
        wish = Wish(_moves(deciding, program, answer.outcome.w, standing.phase), status)
        for name, amount in answer.missed:
            reasons.append(f"no plan was found that keeps {name}: it is missed by {amount:.3g} here")
            memory = memory.noted(Kind.LIMIT, reasons[-1])
    else:
        reasons.append(_unsolved(answer.tried))
        memory = memory.noted(Kind.SOLVE, reasons[-1])
        kept = None if memory.kept is None else replace(memory.kept, age=memory.kept.age + 1)
        wish = _instead(deciding, standby, kept, standing, memory)
        if wish.status is not ActionStatus.SHIFTED:
            kept = None
    return finished(deciding, now, memory, wish, reasons, kept, began)


def finished(
    deciding: Deciding,
    now: Met,
    memory: ControlMemory,
    wish: Wish,
    reasons: list[str],
    kept: Kept | None,
    began: float,
) -> tuple[Action, ControlMemory]:
    """The action that a wish becomes within bounds and rates, and the memory after it, which keeps a plan."""
    table, delay = deciding.wanted.table, deciding.wanted.table.delay
    applied, values, limits = _allowed(deciding, memory, wish, reasons)
    end = _planned_end(deciding, memory, kept)
    soon = table.every * (1.0 + (1e-3 if table.is_open(memory.phase) else SAME))
    conditional = table.conditions[memory.phase]
    ends = end if end <= memory.time + soon and not conditional else None
    last = memory.phase == len(table.names) - 1
    at_once = bool(ends is not None and table.is_open(memory.phase) and _least(deciding, memory, ends))
    if at_once and last and ends is not None:
        ends = None
    action = Action(
        time=memory.time,
        values=values,
        status=wish.status,
        age=wish.age,
        fallback=wish.fallback,
        ends=ends,
        stop=last and (ends is not None or at_once),
        reasons=tuple(reasons),
        seconds=time.perf_counter() - began,
        plan=None if kept is None else plan_of(deciding, kept),
        estimate=dict(zip(deciding.wanted.states, memory.x.tolist(), strict=True)) | dict(memory.estimated),
        deviations=now.deviations,
    )
    counted = dict(memory.counts)
    for key in ("steps", wish.status.name.lower(), *(f"at limit: {name}" for name in limits)):
        counted[key] = counted.get(key, 0) + 1
    held = wish.status is ActionStatus.OFF
    memory = replace(
        memory,
        action=action,
        waiting=memory.applied if delay else None,
        applied=memory.applied if held else applied,
        changed=memory.changed if held else memory.time + delay,
        ending=ends if ends is not None else memory.time if at_once else None,
        over=at_once and last,
        planned=end if table.is_open(memory.phase) else None,
        kept=kept,
        counts=counted,
        prepared=None,
    )
    return action, memory


def _least(deciding: Deciding, memory: ControlMemory, ends: float) -> bool:
    """Whether a decided end lies so near that it is now."""
    table = deciding.wanted.table
    return ends - memory.time - table.delay <= SHORTEST * table.every * (1.0 + 1e-3)


def _moves(deciding: Deciding, program: Program, w: Array, phase: int) -> dict[int, float]:
    """The first values of all inputs that are decided."""
    return {i: float(w[program.moves[h.name]]) for i, h in deciding.handles[phase] if h.name in program.moves}


def _instead(
    deciding: Deciding,
    standby: Standby,
    kept: Kept | None,
    standing: Standing,
    memory: ControlMemory,
) -> Wish:
    """What stands in for a solve: the plan before, the declared safe values, or what is applied."""
    if kept is not None and kept.age <= standby.patience:
        found = _later_moves(deciding, kept, standing)
        if found is not None:
            said = f"the plan of {kept.age} sample{'s' if kept.age > 1 else ''} ago goes on"
            return Wish(found, ActionStatus.SHIFTED, kept.age, said)
    age, failed = 0 if kept is None else kept.age, ""
    if standby.safe is not None:
        names = [handle.name for _, handle in deciding.handles[standing.phase]]
        known = dict(zip(deciding.wanted.states, memory.x.tolist(), strict=True))
        try:
            safe = {str(name): float(value) for name, value in standby.safe(memory.time, known).items()}
        except Exception as error:  # a function of the user's own: the plant must be told something
            safe, failed = {}, f"; the fallback failed: {type(error).__name__}: {error}"
        found = {
            i: safe[h.name] for i, h in deciding.handles[standing.phase] if h.name in safe and np.isfinite(safe[h.name])
        }
        if found:
            return Wish(found, ActionStatus.FALLBACK, age, f"the declared safe action for {', '.join(names)}")
    return Wish({}, ActionStatus.FALLBACK, age, f"the last inputs are held{failed}")


def _unsolved(tried: tuple[str, ...]) -> str:
    """Why no solve counts: the last attempt first, then all of them in their order."""
    if len(tried) == 1:
        return f"no solve counts: {tried[0]}"
    last = tried[-1].split(": ")[-1]
    return f"no solve counts: {len(tried)} tried, the last: {last} ({'; '.join(tried)})"


def _later_moves(deciding: Deciding, kept: Kept, standing: Standing) -> dict[int, float] | None:
    """The moves of a plan some time after it began; None behind its end."""
    program, gone = deciding.bank[kept.horizon].program, standing.time - kept.time
    near = SAME * deciding.wanted.table.every
    lengths = _lengths(program, kept)
    length = sum(lengths)
    if gone > length - near and not (kept.horizon.parts[-1].open and gone < length + near):
        return None
    gone = _as_planned(program, lengths, gone, near)
    found = {}
    for i, handle in deciding.handles[standing.phase]:
        if handle.name in program.sequences:
            columns, begins = program.sequences[handle.name]
            k = max(int(np.searchsorted(begins, gone + near, side="right")) - 1, 0)
            found[i] = float(kept.w[columns[k]])
    return found


def _lengths(program: Program, kept: Kept) -> list[float]:
    """How long the parts of a plan last, decided durations among them."""
    cells = np.concatenate([kept.w, kept.data])
    return [float(cells[span]) for span in program.reading.spans[0]]


def _as_planned(program: Program, lengths: list[float], gone: float, near: float) -> float:
    """A time on the horizon, as its program counts it: with the durations that it was built with."""
    clock = began = 0.0
    for part, length in zip(program.parts.parts, lengths, strict=True):
        if gone < began + length - near:
            return clock + (gone - began) / length * part.duration
        clock, began = clock + part.duration, began + length
    return clock


def _allowed(
    deciding: Deciding, memory: ControlMemory, wish: Wish, reasons: list[str]
) -> tuple[Array, dict[str, float], list[str]]:
    """The values that bounds and rates allow of inputs that are decided now; which of them are at a limit."""
    applied, values, limits = memory.applied.copy(), dict[str, float](), list[str]()
    for i, handle in deciding.handles[memory.phase]:
        before = float(memory.applied[i])
        desired = wish.values.get(i, before)
        low, high = reach_of(deciding, memory, i, handle, memory.time + deciding.wanted.table.delay)
        value = min(max(desired, low), high)
        span = handle.upper - handle.lower
        size = span if 0.0 < span < np.inf else max(abs(desired), 1e-12)
        if abs(value - desired) > 1e-6 * size and wish.status is not ActionStatus.OFF:
            reasons.append(f"{handle.name} = {desired:.6g} is moved to {value:.6g}, which bounds and rate allow")
        if min(value - low, high - value) < 1e-6 * size:
            limits.append(handle.name)
        applied[i] = values[handle.name] = value if wish.status is not ActionStatus.OFF else before
    return applied, values, limits


def _planned_end(deciding: Deciding, memory: ControlMemory, kept: Kept | None) -> float:
    """When the running phase is planned to end."""
    table, k = deciding.wanted.table, memory.phase
    if table.steps is not None and k == len(table.names) - 1:
        return memory.entered + table.durations[k].guess
    if not table.is_open(k):
        return memory.entered + table.durations[k].guess
    if kept is not None and kept.horizon.parts[0].phase == k and memory.mode is Mode.AUTOMATIC:
        columns = deciding.bank[kept.horizon].program.durations[k]
        whole = sum(part.duration for part in kept.horizon.parts if part.phase == k and not part.open)
        end = kept.time + whole + float(kept.w[columns].max())
    else:
        end = memory.planned if memory.planned is not None else memory.entered + table.durations[k].guess
    limits = table.durations[k]
    earliest, latest = memory.entered + limits.lower, memory.entered + limits.upper
    return float(min(max(end, earliest, memory.time), max(latest, memory.time)))


def totals_expected(deciding: Deciding, kept: Kept, time: float) -> dict[str, float]:
    """Integrals as the first scenario of a plan expects them."""
    program = deciding.bank[kept.horizon].program
    if not program.cells.totals:
        return {}
    cells, clock, gone = np.concatenate([kept.w, kept.data]), 0.0, time - kept.time
    placements = program.assembled.runs[0]
    for placement, span in zip(placements, program.reading.spans[0], strict=True):
        duration = float(cells[span])
        if gone <= clock + duration * (1.0 + 1e-9) or placement is placements[-1]:
            block = placement.block
            own, n = program.nlp.cells[block.name][block.ports["x"]], len(placement.operation.lowered.dae.states)
            at = (gone - clock) / duration
            return {
                v.name: float(np.interp(at, placement.transcribed.tau, cells[row]))
                for v, row in zip(placement.dae.states[n:], own[n:], strict=True)
            }
        clock += duration
    return {}


def expected_at(deciding: Deciding, kept: Kept, time: float, x: Array) -> Array:
    """All states as the first scenario of a plan expects them; those that it does not move stay as they are."""
    program = deciding.bank[kept.horizon].program
    reading, cells, clock = program.reading, np.concatenate([kept.w, kept.data, [np.nan]]), kept.time
    found = x.copy()
    places = {name: i for i, name in enumerate(deciding.wanted.states)}
    for tau, at, span in zip(reading.tau[0], reading.at[0], reading.spans[0], strict=True):
        duration = float(cells[span])
        if time <= clock + duration * (1.0 + 1e-9) or tau is reading.tau[0][-1]:
            for name, row in zip(reading.names, at, strict=True):
                if name in places and not np.isnan(cells[row]).any():
                    found[places[name]] = np.interp((time - clock) / duration, tau, cells[row])
            break
        clock += duration
    return found


def plan_of(deciding: Deciding, kept: Kept) -> Plan:
    """A plan as arrays on the recipe's clock, of the first scenario and of all."""
    program = deciding.bank[kept.horizon].program
    reading, cells = program.reading, np.concatenate([kept.w, kept.data, [np.nan]])
    plans = []
    for taus, places, spans in zip(reading.tau, reading.at, reading.spans, strict=True):
        clock, times, ends = kept.time, [], {}
        for part, tau, span in zip(program.parts.parts, taus, spans, strict=True):
            duration = float(cells[span])
            times.append(clock + duration * tau)
            clock += duration
            if part.ends and not (
                deciding.wanted.table.steps is not None and part.phase == len(deciding.wanted.table.names) - 1
            ):
                ends[deciding.wanted.table.names[part.phase]] = clock
        values = cells[places[0]] if len(places) == 1 else np.concatenate([cells[at] for at in places], axis=1)
        plans.append(Plan(reading.names, times[0] if len(times) == 1 else np.concatenate(times), values, ends))
    return plans[0] if len(plans) == 1 else replace(plans[0], scenarios=tuple(plans))
