"""Is a memory that of this controller? Names of states, inputs and estimated entries, and the phase, are compared."""

from __future__ import annotations

from collections.abc import Sequence

from titer.control.nmpc.memory import ControlMemory
from titer.control.nmpc.posing import Wanted
from titer.control.nmpc.sensing import Sensing
from titer.numerics.errors import SpecificationError


def check_same(memory: ControlMemory, wanted: Wanted, sensing: Sensing, manipulated: Sequence[str]) -> None:
    """A memory fits the controller that goes on with it. Raises SpecificationError."""
    states = tuple(memory.action.estimate)[: len(memory.x)]
    if states != wanted.states:
        raise _other("states", states, wanted.states)
    own = tuple(memory.action.values)
    if len(memory.applied) != len(manipulated) or not set(own) <= set(manipulated):
        raise _other("inputs", own, manipulated)
    if memory.phase >= len(wanted.table.names):
        raise SpecificationError(
            f"resume: the memory is in phase {memory.phase + 1}, this controller's recipe has "
            f"{len(wanted.table.names)}.\n  Resume by the controller that saved it."
        )
    estimated = () if memory.estimator is None else (*memory.estimator.names, *memory.estimator.measured)
    wants = (
        () if sensing.estimator is None or sensing.model is None else (*sensing.model.names, *sensing.model.measured)
    )
    if tuple(map(str, estimated)) != tuple(map(str, wants)):
        raise _other("what an estimator estimates and measures", estimated, wants)
    if not set(memory.signals) <= set(sensing.rules):
        raise _other("signals", tuple(memory.signals), tuple(sensing.rules))


def _other(what: str, theirs: Sequence[str], own: Sequence[str]) -> SpecificationError:
    return SpecificationError(
        f"resume: the memory is of another controller: {what}: {', '.join(map(str, theirs)) or 'none'}; here: "
        f"{', '.join(map(str, own)) or 'none'}.\n  Resume by the controller that saved it."
    )
