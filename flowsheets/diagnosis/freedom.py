"""How much is free in each phase, and is it enough for what is required?"""

from __future__ import annotations

from collections.abc import Iterator

from titer.flowsheets.diagnosis.examined import Examined, listed
from titer.flowsheets.diagnosis.findings import Counts, Finding, Severity
from titer.flowsheets.diagnosis.placed import Seen
from titer.flowsheets.diagnosis.structure import blocks, index
from titer.flowsheets.names import elements_of
from titer.flowsheets.operation import Decided, Operation
from titer.flowsheets.recipe import Free
from titer.flowsheets.terms import Path


def counted(examined: Examined, k: int) -> Counts:
    """The degrees of freedom of phase k."""
    operation = examined.planned[k]
    dae = operation.lowered.dae
    decided = examined.decided_inputs(k)
    fixed = {v.name for v in dae.inputs} & _fixed(operation)
    return Counts(
        phase=operation.name,
        index=index(dae),
        states=len(dae.states),
        algebraics=len(dae.algebraics),
        equations=len(dae.states) + len(dae.equations),
        blocks=blocks(dae),
        given=len(dae.inputs) + _functions_of_time(operation) - len(decided) - len(fixed),
        fixed=len(fixed),
        decided=len(decided),
        decisions=decisions(operation),
        duration=_length(operation),
    )


def decisions(operation: Operation) -> int:
    """How many numbers are decided in a phase: pieces of inputs, and its duration unless an `until` ends it."""
    count = int(operation.duration.free and operation.event is None)
    for source in operation.inputs:
        if isinstance(source, Decided):
            edges = source.pieces.edges(operation.duration.guess, not operation.duration.free)
            count += len(edges) - (0 if source.pieces.linear else 1)
    return count


def too_few_decisions(examined: Examined) -> Iterator[Finding]:
    """Nothing to decide though something is wanted, or more equalities than decisions."""
    starts = sum(1 for value in examined.asked.free.values() if isinstance(value, Free))
    count = starts + sum(decisions(operation) for operation in examined.planned)
    equal = [seen for seen in examined.limits if seen.lower == seen.upper]
    if examined.asked.objective is not None and not count:
        text = "nothing is free, and the objective cannot be improved"
        mend = "Give free={control: PiecewiseConstant(10)}, or a Phase(duration=Free(guess, lower, upper))."
        yield Finding(Severity.ERROR, "free", text, mend)
    elif count:
        yield from _overdetermined(examined, equal, count)


def _overdetermined(examined: Examined, equal: list[Seen], count: int) -> Iterator[Finding]:
    points = [seen for seen in equal if not isinstance(seen.term, Path)]
    if len(points) > count:
        names = listed(seen.title for seen in points)
        text = f"{names}: {len(points)} equalities are required, and {count} numbers are decided"
        yield Finding(Severity.WARNING, points[0].title, text, "Free more, or give limits (lower=, upper=) room.")
    for seen in equal:
        if isinstance(seen.term, Path) and not examined.decided_inputs(seen.k):
            text = (
                f"{seen.title} is held at one value all along phase {seen.operation.name!r}, where no input is decided"
            )
            mend = "Decide an input that acts on it, or give it room: lower= and upper= apart."
            yield Finding(Severity.WARNING, seen.title, text, mend)


def _functions_of_time(operation: Operation) -> int:
    """How many inputs are given as functions of time, which stand in the equations."""
    driven = operation.lowered.driven
    return 0 if driven is None else int(driven[0].numel()) - len(operation.lowered.dae.inputs)


def _fixed(operation: Operation) -> set[str]:
    return {str(each) for name in operation.phase.fixed for each in elements_of(name)}


def _length(operation: Operation) -> str:
    d = operation.duration
    until = f" {operation.event.text.split(' ', 1)[0]}" if operation.event is not None else ""
    return f"{d.lower:g} to {d.upper:g}{until}" if d.free else f"{d.guess:g}{until}"
