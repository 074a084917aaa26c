"""What do other decisions reach? A few simulations, with decisions at their bounds, or far out where they have none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from titer.flowsheets.diagnosis.examined import Examined
from titer.flowsheets.diagnosis.findings import Finding, Severity
from titer.flowsheets.diagnosis.placed import Seen, along
from titer.flowsheets.operation import Decided, Operation, middle
from titer.flowsheets.simulation import StoppedRunError, run_operations
from titer.flowsheets.terms import AtEnd, AtStart, Integral
from titer.numerics.errors import TiterError

_MOST_STATES = 100  # of a phase, above which no further simulation is spent
_FAR = (10.0, 100.0)  # sizes of an input by which it is moved where it has no bound
_LINEAR = 5.0  # of gains at these two distances, from which on an objective goes on growing


def at_bounds(examined: Examined) -> tuple[Examined, ...]:
    """The recipe with all decided inputs at their lower bounds, in the middle, and at their upper bounds, in the
    shortest and the longest time; those runs that go through."""

    def put(source: Decided, share: float) -> float:
        bounded = np.isfinite([source.lower, source.upper]).all()
        return source.lower + share * (source.upper - source.lower) if bounded else middle(source.lower, source.upper)

    open_ = any(o.duration.free and o.event is None for o in examined.planned)
    runs = [
        _run(examined, lambda source, share=share: put(source, share), lasts)  # type: ignore[misc]
        for lasts in ((0.0, 1.0) if open_ else (0.0,))
        for share in (0.0, 0.5, 1.0)
    ]
    return tuple(run for run in runs if run is not None)


def nearest(probes: Sequence[Examined], seen: Seen) -> float:
    """The value of a limited term that comes nearest to its limits in some runs, at least one."""
    values = []
    for probe in probes:
        found = along(seen, probe.run[seen.k], probe.parameters(seen.k))
        beyond = np.maximum(found - seen.upper, seen.lower - found)
        values.append((float(beyond.max()), float(found[int(np.argmax(beyond))])))
    return min(values)[1]


def what_grows_without_end(examined: Examined) -> Iterator[Finding]:
    """Decided inputs without a bound with which the objective grows as far as it was followed, within all limits."""
    if examined.stopped or not all(isinstance(s.term, AtEnd | AtStart | Integral) for s in examined.wanted):
        return
    told: set[str] = set()
    for operation in examined.planned:
        for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
            if not isinstance(source, Decided) or variable.name in told:
                continue
            for side, bound in ((1.0, source.upper), (-1.0, source.lower)):
                if not np.isfinite(bound) and _grows(examined, variable.name, side):
                    told.add(variable.name)
                    word = "upper" if side > 0 else "lower"
                    text = f"{variable.name} is decided without {word} bound, and the objective gains by it without end"
                    mend = f"Give PiecewiseConstant(..., {word}=) what is possible, or let the objective say its cost."
                    yield Finding(Severity.WARNING, variable.name, text, mend)


def _grows(examined: Examined, name: str, side: float) -> bool:
    """Whether an objective gains ten times as much at a distance of a hundred sizes as at ten, all limits kept."""
    scores = [_score(examined)]
    for far in _FAR:
        planned = tuple(_with_input(o, name, side * far) for o in examined.planned)
        probe = _run(replace(examined, planned=planned), lambda s: s.guess, None)
        if probe is None or not _keeps_limits(probe):
            return False
        scores.append(_score(probe))
    near, further = scores[1] - scores[0], scores[2] - scores[1]
    return near > 0.0 and further > _LINEAR * near


def _score(examined: Examined) -> float:
    """The objective of a run, larger the better."""
    total = 0.0
    for weight, term in examined.asked.objective.terms if examined.asked.objective is not None else ():
        for seen in examined.wanted:
            if seen.term is term:
                values = along(seen, examined.run[seen.k], examined.parameters(seen.k))
                total += weight * float(values[-1])
    return total * examined.asked.sign


def _keeps_limits(examined: Examined) -> bool:
    for seen in examined.limits:
        values = along(seen, examined.run[seen.k], examined.parameters(seen.k))
        slack = 1e-6 * max(1.0, float(np.abs(values).max()))
        if np.any(values > seen.upper + slack) or np.any(values < seen.lower - slack):
            return False
    return True


def _with_input(operation: Operation, name: str, distance: float) -> Operation:
    """An operation with the guess of an input moved by so many of its sizes."""
    inputs = []
    for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
        if variable.name == name and isinstance(source, Decided):
            guess = source.guess if isinstance(source.guess, float) else middle(source.lower, source.upper)
            size = abs(guess) or (variable.nominal if np.isfinite(variable.nominal) else 1.0)
            source = replace(source, guess=guess + distance * size)
        inputs.append(source)
    return replace(operation, inputs=tuple(inputs))


def _run(examined: Examined, guess: Callable[[Decided], Any], lasts: float | None) -> Examined | None:
    """The recipe simulated with other decisions; None where it does not run through. `lasts`: which share of the room
    of a free duration."""
    if any(len(o.lowered.dae.states) > _MOST_STATES for o in examined.planned):
        return None
    planned = []
    for operation in examined.planned:
        sources = [replace(s, guess=guess(s)) if isinstance(s, Decided) else s for s in operation.inputs]
        d = operation.duration
        if lasts is not None and d.free and operation.event is None:
            d = replace(d, guess=max(d.lower + lasts * (d.upper - d.lower), 1e-3 * d.upper))
        planned.append(replace(operation, inputs=tuple(sources), duration=d))
    try:
        run = run_operations(examined.plant, planned, points=60, tolerance=1e-6)
    except (StoppedRunError, TiterError):
        return None
    return replace(examined, planned=tuple(planned), run=run, stopped="")
