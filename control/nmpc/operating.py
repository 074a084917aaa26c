"""What happens while the controller does not decide? An operator does; the controller follows, ready to take over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from titer.control.action import Action, ActionStatus
from titer.control.nmpc.acting import Wish, finished
from titer.control.nmpc.deciding import Deciding
from titer.control.nmpc.meeting import Met
from titer.control.nmpc.memory import ControlMemory, Kind, Mode


def handed_over(memory: ControlMemory, why: str, safe: Mapping[str, float]) -> ControlMemory:
    """The memory after the controller has left automatic: safe values where they are declared, else what is applied."""
    memory = replace(memory, mode=Mode.MANUAL, manual=dict(safe), kept=None)
    return memory.noted(Kind.MODE, f"AUTOMATIC -> MANUAL: {why}")


def operated(deciding: Deciding, now: Met, memory: ControlMemory, began: float) -> tuple[Action, ControlMemory]:
    """The action of an operator, within bounds and rates; what is applied stays where the controller is off."""
    reasons = [*now.reasons, *((now.shed,) if now.shed else ())]
    if memory.mode is Mode.OFF:
        return finished(deciding, now, memory, Wish({}, ActionStatus.OFF), reasons, None, began)
    values = {
        i: memory.manual[handle.name] for i, handle in deciding.handles[memory.phase] if handle.name in memory.manual
    }
    why = f"the controller has left automatic: {now.shed}" if now.shed else None
    wish = Wish(values, ActionStatus.MANUAL, fallback=why)
    return finished(deciding, now, memory, wish, reasons, None, began)
