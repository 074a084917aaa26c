"""Which limits does the given start violate, before anything that is decided can act?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from titer.flowsheets.diagnosis.examined import Examined, measured
from titer.flowsheets.diagnosis.findings import Finding, Severity
from titer.flowsheets.diagnosis.placed import Seen
from titer.flowsheets.diagnosis.reach import moved_at_first
from titer.flowsheets.terms import AtStart, Path

_SLACK = 1e-9


def violated_at_once(examined: Examined, known: Sequence[Finding]) -> Iterator[Finding]:
    """Limits that the start of the recipe violates whatever is decided. `known`: what is said of limits already."""
    first = examined.first(0)
    if first is None:
        return
    moved = moved_at_first(examined.planned[0], examined.free_names)
    for seen in examined.limits:
        if seen.k or not isinstance(seen.term, Path | AtStart) or seen.reads & moved:
            continue
        if any(finding.speaks_of(seen.title) for finding in known):
            continue
        value = seen.value(first)
        slack = _SLACK * max(1.0, abs(value))
        if value > seen.upper + slack:
            yield _finding(seen, value, seen.upper, "upper")
        elif value < seen.lower - slack:
            yield _finding(seen, value, seen.lower, "lower")
        elif isinstance(seen.term, Path):
            yield from _leads_out(examined, seen, value, slack)


def _finding(seen: Seen, value: float, limit: float, side: str) -> Finding:
    sign = ">" if side == "upper" else "<"
    dae = seen.operation.lowered.dae
    states = sorted(seen.reads & {v.name for v in dae.states})
    read = states or sorted(seen.reads)
    made_of = f" (it reads {', '.join(read[:3])})" if read and seen.term.name else ""
    text = f"{seen.title} is violated at t = 0 already: {measured(value, seen.measure)} {sign} "
    text = f"{text}{measured(limit, seen.measure)}, its {side} limit{made_of}"
    mend = "Change the start or the limit."
    if states:
        mend = f"Change the start or the limit, or free it: free={{{states[0]}: Free(guess, lower, upper)}}."
    return Finding(Severity.ERROR, seen.title, text, f"Nothing that is decided acts before it.\n{mend}")


def _leads_out(examined: Examined, seen: Seen, value: float, slack: float) -> Iterator[Finding]:
    """A path that begins on its limit: whatever is decided, its first rate must not lead out."""
    trajectory = examined.run[0].trajectory
    if seen.lower == seen.upper or len(trajectory.time) < 2:
        return
    p = examined.parameters(0)
    later = seen.value([trajectory.time[1], trajectory.x[:, 1], trajectory.z[:, 1], trajectory.u[:, 1], p])
    above = abs(value - seen.upper) <= slack and later > value + slack
    below = abs(value - seen.lower) <= slack and later < value - slack
    if above or below:
        text = f"{seen.title} begins on its limit, {measured(value, seen.measure)}, and leaves it at once"
        mend = "Leave room between the start and the limit, unless what is decided can turn it back at once."
        severity = Severity.WARNING if examined.decides else Severity.ERROR
        yield Finding(severity, seen.title, f"{text} in the simulated start", mend)
