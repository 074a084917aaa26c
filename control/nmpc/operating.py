"""What happens while the controller does not decide? An operator does; the controller follows, ready to take over."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from titer.control.action import Action, ActionStatus
from titer.control.nmpc.deciding import due
from titer.control.nmpc.meeting import Met
from titer.control.nmpc.memory import Kind, Memory, Switch
from titer.control.nmpc.moves import Handle
from titer.control.nmpc.posing import Wanted


def handed_over(memory: Memory, why: str, safe: Mapping[str, float]) -> Memory:
    """The memory after the controller has left automatic: safe values where they are declared, else what is applied."""
    memory = replace(memory, switch=Switch.MANUAL, manual={**memory.applied, **safe}, kept=None)
    return memory.noted(Kind.SWITCH, f"AUTOMATIC -> MANUAL: {why}")


def operated(
    wanted: Wanted, handles: Sequence[Handle], now: Met, memory: Memory, began: float
) -> tuple[Action, Memory]:
    """The action of an operator, within bounds and rates; none where the controller is off."""
    table = wanted.table
    off = memory.switch is Switch.OFF
    elapsed = memory.time + table.delay - memory.changed
    values = {}
    for handle in handles:
        before = memory.applied[handle.name]
        values[handle.name] = handle.clipped(memory.manual.get(handle.name, before), before, elapsed)
    ends = memory.planned
    if ends is None:
        ends = memory.entered + table.durations[memory.phase].guess
    ends = max(ends, memory.time)
    until, phase_ends = due(wanted, memory, ends)
    memory = memory.counted("steps", "off" if off else "manual")
    reasons = (*now.reasons, *((now.shed,) if now.shed else ()))
    action = Action(
        time=memory.time,
        phase=table.names[memory.phase],
        values={} if off else values,
        until=until,
        ends=ends,
        phase_ends=phase_ends,
        finished=phase_ends and memory.phase == len(table.names) - 1,
        status=ActionStatus.OFF if off else ActionStatus.MANUAL,
        fallback=bool(now.shed),
        reasons=reasons,
        seconds=time.perf_counter() - began,
        estimate=memory.estimate,
        deviations=now.deviations,
    )
    return action, replace(
        memory,
        fresh=False,
        waiting=memory.applied if table.delay else {},
        applied=memory.applied if off else values,
        changed=memory.changed if off else memory.time + table.delay,
        ending=until if phase_ends else None,
        planned=ends if table.is_open(memory.phase) else None,
        expected=memory.estimate,
        prepared=None,
    )
