"""Which limits can no decision meet? Compared with one another, with domains, resets, fixed inputs and durations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from titer.flowsheets.diagnosis.examined import Examined, measured
from titer.flowsheets.diagnosis.findings import Finding, Severity
from titer.flowsheets.diagnosis.placed import TIME, Seen
from titer.flowsheets.operation import Decided, Operation
from titer.flowsheets.signals import Signal
from titer.flowsheets.terms import AtEnd, AtStart, Integral, Path
from titer.numerics.dae import sizes_of

Array = np.ndarray
_SLACK = 1e-9
_PROBES = 4


@dataclass(frozen=True)
class _Range:
    """What a variable may be, and who says so."""

    lower: float
    upper: float
    who: str  # as in "its domain", "Phase 'feed', which sets it when it begins"


def contradictions(examined: Examined) -> Iterator[Finding]:
    """Limits that exclude each other, or what the limited variable can be."""
    for k in range(len(examined.planned)):
        limits = [s for s in examined.limits if s.k == k and not isinstance(s.term, Integral)]
        yield from _against_each_other(examined, k, limits)
        for seen in limits:
            yield from _against_what_is_known(examined, seen)


def _against_each_other(examined: Examined, k: int, limits: Sequence[Seen]) -> Iterator[Finding]:
    probes = _probes(examined, k)
    values = [np.array([s.value(point) for point in probes]) for s in limits]
    for (a, row), (b, other) in combinations(zip(limits, values, strict=True), 2):
        if a.term is b.term or not _together(a, b):
            continue
        line = None if _reads_decided_numbers(examined, a, b) else _line(row, other)
        if line is None:
            continue
        slope, offset = line  # limits of b as limits of what a limits
        scaled = sorted((slope * b.lower + offset, slope * b.upper + offset))
        for above, below, first, second in ((a.lower, scaled[1], a, b), (scaled[0], a.upper, b, a)):
            if above > below + _SLACK * max(1.0, abs(below)):
                one, two = (measured(x, a.measure) for x in (above, below))
                text = f"{first.title} and {second.title} contradict each other in phase {a.operation.name!r}"
                text = f"{text}: one asks for at least {one}, the other for at most {two}"
                yield Finding(
                    Severity.ERROR, first.title, text, "Both limit the same quantity: move one of the limits."
                )


def _reads_decided_numbers(examined: Examined, *limits: Seen) -> bool:
    """Whether a parameter in a limit is decided: then it moves with the decision."""
    decided = examined.free_names & set(examined.parameter_names())
    return any(seen.reads & decided for seen in limits)


def _together(a: Seen, b: Seen) -> bool:
    """Whether two terms act at one instant of a phase."""
    kinds = {type(a.term), type(b.term)}
    return len(kinds) == 1 or (Path in kinds and bool(kinds & {AtStart, AtEnd}))


def _line(row: Array, other: Array) -> tuple[float, float] | None:
    """Slope and offset of the straight line row = slope * other + offset; None where there is none."""
    if not (np.isfinite(row).all() and np.isfinite(other).all()) or np.ptp(row) == 0.0 or np.ptp(other) == 0.0:
        return None
    slope = (row[1] - row[0]) / (other[1] - other[0])
    offset = row[0] - slope * other[0]
    size = np.abs(row).max() + abs(offset)
    return (float(slope), float(offset)) if np.abs(slope * other + offset - row).max() <= 1e-11 * size else None


def _against_what_is_known(examined: Examined, seen: Seen) -> Iterator[Finding]:
    interval = _interval(examined, seen)
    if interval is None:
        return
    name, lower, upper = interval
    for known in _known(examined, seen, name):
        slack = _SLACK * max(1.0, abs(known.lower) if np.isfinite(known.lower) else 1.0)
        label = _label(examined, name)
        if lower > known.upper + slack:
            text = (
                f"{seen.title} asks for {name} >= {lower:.6g} {label}".rstrip() + f" in phase {seen.operation.name!r}"
            )
            text = f"{text}, but {known.who} allows at most {known.upper:.6g}"
        elif upper < known.lower - slack:
            text = (
                f"{seen.title} asks for {name} <= {upper:.6g} {label}".rstrip() + f" in phase {seen.operation.name!r}"
            )
            text = f"{text}, but {known.who} asks for at least {known.lower:.6g}"
        else:
            continue
        yield Finding(Severity.ERROR, seen.title, text, "Change the limit, or what contradicts it.")
        return


def _interval(examined: Examined, seen: Seen) -> tuple[str, float, float] | None:
    """A limit on a straight function of one variable, as limits of that variable."""
    dae = seen.operation.lowered.dae
    moving = [*(v.name for g in (dae.states, dae.algebraics, dae.inputs) for v in g), TIME]
    read = [name for name in moving if name in seen.reads]
    if len(read) != 1 or seen.reads & examined.free_names - {read[0]}:
        return None
    at = np.array([_on(examined, seen, read[0], number) for number in (0.0, 1.0, 2.0, 7.0)])
    if not np.isfinite(at).all():
        return None
    slope = at[1] - at[0]
    off = np.abs(at - at[0] - slope * np.array([0.0, 1.0, 2.0, 7.0])).max()
    if slope == 0.0 or off > 1e-10 * np.abs(at).max():
        return None
    ends = sorted(((seen.lower - at[0]) / slope, (seen.upper - at[0]) / slope))
    return read[0], ends[0], ends[1]


def _on(examined: Examined, seen: Seen, name: str, number: float) -> float:
    """The value of a term where one variable is a number, and every other zero: it reads no other."""
    dae = seen.operation.lowered.dae
    point = [np.array([number if v.name == name else 0.0 for v in g]) for g in (dae.states, dae.algebraics, dae.inputs)]
    return seen.value([number if name == TIME else 0.0, *point, examined.parameters(seen.k)])


def _known(examined: Examined, seen: Seen, name: str) -> Iterator[_Range]:
    """What is known of a variable where a term reads it."""
    operation = seen.operation
    if name == TIME:
        yield _clock(examined.planned, seen)
        return
    reset = operation.resets.get(name)
    if isinstance(reset, float) and isinstance(seen.term, Path | AtStart):
        yield _Range(reset, reset, f"phase {operation.name!r}, which begins with {name} = {reset:g},")
    sources = dict(zip((v.name for v in operation.lowered.dae.inputs), operation.inputs, strict=True))
    source = sources.get(name)
    if isinstance(source, Decided):
        yield _Range(source.lower, source.upper, "what may be decided")
    elif isinstance(source, Signal) and source.is_constant:
        value = float(source.left[0])
        fixed = name in {str(n) for n in operation.phase.fixed}
        yield _Range(value, value, f"the phase, which {'fixes' if fixed else 'is given'} it at {value:g},")
    elif name in examined.plant.scalars and source is None:
        scalar = examined.plant.scalars[name]
        yield _Range(scalar.lower, scalar.upper, f"the domain of {name}")


def _clock(planned: Sequence[Operation], seen: Seen) -> _Range:
    """What time can be where a term reads it, by the durations of the phases."""
    before = [o.duration for o in planned[: seen.k]]
    mine = planned[seen.k].duration
    low, high = sum(d.lower for d in before), sum(d.upper for d in before)
    if not isinstance(seen.term, AtStart):
        high += mine.upper
    if isinstance(seen.term, AtEnd):
        low += mine.lower
    return _Range(
        low, high if not isinstance(seen.term, Path) else np.inf, "what the durations of the phases add up to"
    )


def _label(examined: Examined, name: str) -> str:
    measure = examined.plant.measure_of_time if name == TIME else examined.plant.measures.get(name)
    return measure.label if measure is not None and measure.names else ""


def _probes(examined: Examined, k: int) -> list[list[Array | float]]:
    """Points at which two functions are compared: anywhere, for only what they are made of counts."""
    rng = np.random.default_rng(20260101)
    dae = examined.planned[k].lowered.dae
    sizes = [sizes_of(group) for group in (dae.states, dae.algebraics, dae.inputs)]
    p = examined.parameters(k)
    return [
        [float(rng.uniform(0.5, 1.5)), *(size * rng.uniform(0.5, 1.5, len(size)) for size in sizes), p]
        for _ in range(_PROBES)
    ]
