"""What happens when the recipe is simulated as it stands? Where it stops, what it leaves, what it misses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from titer.flowsheets.diagnosis.examined import Examined, measured
from titer.flowsheets.diagnosis.findings import Finding, Severity
from titer.flowsheets.diagnosis.placed import Seen, along
from titer.flowsheets.diagnosis.probes import at_bounds, nearest
from titer.flowsheets.doubts import departures
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.operation import Operation
from titer.flowsheets.simulation import StoppedRunError, run_operations
from titer.flowsheets.terms import AtStart, Path
from titer.numerics.errors import TiterError
from titer.numerics.solution import PhaseResult

Array = np.ndarray
_POINTS = 120


def simulated(
    plant: Flowsheet, planned: Sequence[Operation], decides: bool
) -> tuple[tuple[PhaseResult, ...], str, list[Finding]]:
    """The phases that run, why the run stopped (empty: it did not), and that as findings."""
    try:
        return run_operations(plant, planned, points=_POINTS), "", []
    except StoppedRunError as stop:
        return stop.phases, stop.message, [_stopped(stop, planned, decides)]
    except TiterError as error:
        first, _, rest = str(error).partition("\n")
        finding = Finding(Severity.ERROR, planned[0].name, first.rstrip("."), rest)
        return (), str(error), [finding]


def _stopped(stop: StoppedRunError, planned: Sequence[Operation], decides: bool) -> Finding:
    """A run that stopped. What stops on the way may be avoided by other decisions; what does not start may not."""
    first, _, rest = stop.message.partition("\n")
    partly = bool(stop.phases) and not stop.phases[-1].trajectory.reached
    operation = planned[len(stop.phases) - partly]
    severity = Severity.WARNING if decides and partly else Severity.ERROR
    named = first.startswith((f"Phase {operation.name!r}", f"{operation.name}:"))
    text = first if named else f"Phase {operation.name!r}: {first}"
    return Finding(severity, operation.name, text.rstrip("."), rest)


def domains_left(examined: Examined) -> Iterator[Finding]:
    """States and algebraics that leave their declared domain on the way: when first, and how far."""
    said: set[str] = set()
    for k, phase in enumerate(examined.run):
        dae, trajectory = examined.planned[k].lowered.dae, phase.trajectory
        for variables, rows in ((dae.states, trajectory.x), (dae.algebraics, trajectory.z)):
            for left in departures(variables, rows, trajectory.time):
                if left.name in said:
                    continue
                said.add(left.name)
                side, bound = ("below", "lower") if left.below else ("above", "upper")
                text = f"{left.name} {'falls below' if left.below else 'rises above'} its domain's {bound} bound"
                text = f"{text} {left.bound:g} in the simulated start"
                when = f"at t = {left.time:.4g} {examined.plant.time} in phase {phase.name!r}"
                reaches = f"{left.value:.4g} {left.unit}"
                mend = (
                    f"Either the model lets it go {side} what is possible, or the inputs do, or the bound is too tight."
                )
                yield Finding(Severity.WARNING, left.name, f"{text}, first {when}, and reaches {reaches}", mend)


def what_is_missed(examined: Examined, known: Sequence[Finding]) -> Iterator[Finding]:
    """Limits that the simulated start does not meet. Decisions may mend that; where there are none, nothing does.

    `known`: errors that may be about a limit already.
    """
    severity = Severity.NOTE if examined.decides else Severity.WARNING
    mend = "" if examined.decides else "Nothing is decided that could change it."
    probes = cache(lambda: at_bounds(examined))
    for seen in examined.limits:
        if not examined.complete(seen.k) or isinstance(seen.term, AtStart):
            continue
        if any(finding.speaks_of(seen.title) for finding in known):
            continue
        values = along(seen, examined.run[seen.k], examined.parameters(seen.k))
        beyond = np.maximum(values - seen.upper, seen.lower - values)
        worst = int(np.argmax(beyond))
        if beyond[worst] <= 1e-6 * max(1.0, abs(values[worst])):
            continue
        bound = seen.upper if values[worst] > seen.upper else seen.lower
        times = examined.run[seen.k].trajectory.time
        first = times[np.flatnonzero(beyond > 0.0)[0]]
        when = f" from t = {first:.4g} {examined.plant.time} on" if isinstance(seen.term, Path) else ""
        text = f"{seen.title} is missed by the simulated start{when} in phase {seen.operation.name!r}"
        amounts = f"{measured(values[worst], seen.measure)} against {measured(bound, seen.measure)}"
        hope = f"; {_hope(examined, probes(), seen)}" if examined.decides else ""
        yield Finding(severity, seen.title, f"{text}: {amounts}{hope}", mend)


def _hope(examined: Examined, probes: Sequence[Examined], seen: Seen) -> str:
    """What other decisions make of a limit that the simulated start misses."""
    if not probes:
        return "decisions may mend that"
    value = nearest((examined, *probes), seen)
    if seen.lower <= value <= seen.upper:
        return "other decisions meet it"
    if value == nearest((examined,), seen):
        return "decisions at their bounds come no nearer"
    return f"decisions at their bounds come as near as {measured(value, seen.measure)}"
