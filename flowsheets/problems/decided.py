"""Is there something to decide, and does it act? What is free, checked against the phases in which it should act."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from titer.flowsheets.names import elements_of
from titer.flowsheets.operation import Decided, Operation
from titer.flowsheets.profiles import is_decided, plain_name
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    from titer.flowsheets.problems.problem import PhaseTerms, Run


def check_is_mapping(free: Any) -> None:
    """`free` says what each name is decided by. Raises SpecificationError."""
    if not isinstance(free, Mapping):
        raise SpecificationError(
            f"free is a dict from names to pieces or Free(guess, lower, upper), got {type(free).__name__} {free!r}."
        )


def check_free(run: Run, free: Mapping[str, Any], terms: Sequence[PhaseTerms]) -> None:
    """There must be something to decide. Raises SpecificationError."""
    if not free and not any(phase.operation.duration.free for phase in terms):
        raise SpecificationError(
            "nothing is free.\n"
            "  Give free={control: PiecewiseConstant(10)}, or a Phase(duration=Free(guess, lower, upper))."
        )


def check_that_free_inputs_act(planned: Sequence[Operation], free: Mapping[str, Any]) -> None:
    pairs = [
        (v.name, source)
        for operation in planned
        for v, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True)
    ]
    names = {plain_name(name) for name, _ in pairs}
    decided = {plain_name(name) for name, source in pairs if isinstance(source, Decided)}
    for name, value in free.items():
        for each in elements_of(name):
            if not is_decided(value) or str(each) in decided:
                continue
            if str(each) in names:
                raise SpecificationError(
                    f"free: {each} is decided, but every phase fixes it or gives it a trajectory of its own.\n"
                    f"  Leave it out of Phase(fixed={{...}}) or Phase(inputs={{...}}) where it is to be decided."
                )
            raise SpecificationError(f"free: {each} is decided, but its unit operation is active in no phase.")


def check_that_starts_are_decided_once(first: Operation, free: Mapping[str, Any]) -> None:
    for each in (each for name in free for each in elements_of(name)):
        if isinstance(first.resets.get(str(each)), float):
            raise SpecificationError(
                f"free: the start of {each} is decided, but Phase {first.name!r} sets it to a number.\n"
                f"  Leave it out of one of them; a guess stands in Free(guess, lower, upper)."
            )
