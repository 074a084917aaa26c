"""Where is the plant at a sample? The clock of the recipe, what signals are worth, what is believed of the states."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from titer.control.action import Action
from titer.control.nmpc.held import Held, held_between
from titer.control.nmpc.memory import ControlMemory, Kind
from titer.control.nmpc.posing import Wanted
from titer.control.nmpc.sensing import Sensing
from titer.control.nmpc.signals import Hold, Read, Simulate, read_signals
from titer.control.nmpc.timetable import SAME
from titer.control.nmpc.used import used
from titer.estimation.estimators.memory import Estimation
from titer.estimation.estimators.sample import Sample
from titer.flowsheets.resetting import fresh_states
from titer.flowsheets.simulation import parameters_of
from titer.numerics.dae import Array
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.integration.consistency import InconsistentError, consistent_algebraics


@dataclass(frozen=True, eq=False)
class Met:
    """What is known at a sample: the memory with it, the states `x` where the plan begins (behind the delay, and what
    the phase sets at its start), `totals`: integrals up to there, and whether the controller must leave automatic
    (`shed`: why)."""

    memory: ControlMemory
    x: Array
    totals: Mapping[str, float] = field(default_factory=dict)
    deviations: Mapping[str, float] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    shed: str = ""


def first_memory(wanted: Wanted, sensing: Sensing, sample: Sample, applied: Array, names: tuple[str, ...]) -> Met:
    """What is known at the first sample; `applied`: inputs in force up to it. Raises SpecificationError."""
    time = clock_of(sample, wanted)
    if time < -SAME * wanted.table.every:
        raise SpecificationError(f"Sample: the time {time:g} lies before the recipe, which begins at 0.")
    phase, entered, lasted = 0, 0.0, []
    for k, result in enumerate(wanted.nominal):
        end = entered + result.trajectory.duration
        if time < end - SAME * wanted.table.every or k == len(wanted.nominal) - 1:
            phase = k
            break
        lasted.append(end - entered)
        entered = end
    planned = wanted.states_at(phase, time - entered)
    x = np.array([planned.get(name, np.nan) for name in wanted.states])
    memory = ControlMemory(
        time=time,
        phase=phase,
        entered=entered,
        x=x,
        applied=applied,
        changed=time - wanted.table.every,
        action=Action(time, {}),
        lasted=tuple(lasted),
    )
    numbers = _numbers(wanted, sensing, sample)
    memory = replace(
        memory, signals={n: (numbers.get(n, np.nan), time) for n in sensing.rules if n in numbers or n in sensing.due}
    )
    if sensing.estimator is not None:
        assert sensing.model is not None
        estimator = sensing.estimator.begin(sensing.model, sample, dict(zip(names, applied.tolist(), strict=True)))
        missing = [
            f"{name} is not known" for name in sensing.measured if numbers.get(name, 0.0) != numbers.get(name, 0.0)
        ]
        known_now = _believing(wanted, sensing, replace(memory, estimator=estimator))
        said = (*missing, *outside_domain(wanted, numbers), *estimator.reasons)
        return _behind_delay(wanted, sensing, replace(known_now, reasons=said), names)
    reasons = [
        f"{name} is not known: it is taken as planned" for name in sensing.measured if numbers[name] != numbers[name]
    ]
    reasons += outside_domain(wanted, numbers)
    known = {**planned, **{n: v for n, v in numbers.items() if v == v}}
    x = np.array([known.get(name, np.nan) for name in wanted.states])
    return _behind_delay(wanted, sensing, Met(replace(memory, x=x), x, reasons=tuple(reasons)), names)


def check_memory(memory: object, where: str) -> None:
    """A memory, and nothing else that a step returns. Raises SpecificationError."""
    if not isinstance(memory, ControlMemory):
        raise SpecificationError(
            f"{where}: expected the memory that start or step returned, got {type(memory).__name__}.\n"
            f"  Write memory = nmpc.start(sample), then action, memory = nmpc.step(memory, sample)."
        )


def clock_of(sample: Sample, wanted: Wanted) -> float:
    """The time of a sample. Raises SpecificationError."""
    if not isinstance(sample, Sample):
        raise SpecificationError(f"expected Sample(time, {{name: value}}), got {type(sample).__name__}: {sample!r}.")
    return sample.clock(wanted.plant)


def advanced(
    wanted: Wanted, memory: ControlMemory, time: float, phase: str | None, applied: Array | None
) -> ControlMemory:
    """The memory with its clock at the sample. Raises SpecificationError where time runs backwards."""
    table, near = wanted.table, SAME * wanted.table.every
    if time < memory.time - near:
        raise SpecificationError(
            f"Sample: time runs backwards: the sample is at t = {time:g} {wanted.plant.time}, the last one was at "
            f"{memory.time:g}.\n  Samples come in order, one for each step."
        )
    if applied is not None:
        memory = _really_applied(memory, time, applied)
    if phase is not None:
        if phase not in table.names:
            raise SpecificationError(f"step: {unknown('phase', phase, table.names)}")
        k = table.names.index(phase)
        if k < memory.phase:
            raise SpecificationError(f"step: phase {phase!r} is over since t = {memory.entered:g} {wanted.plant.time}.")
        if k > memory.phase:
            return replace(_entered(wanted, memory, k, time), time=time)
    while (end := _end(wanted, memory)) is not None and end <= time + near:
        if memory.phase == len(table.names) - 1:
            return memory if memory.over else replace(memory, over=True, time=time)
        if phase is not None:
            break
        memory = _entered(wanted, memory, memory.phase + 1, end)
    return replace(memory, time=time)


def _really_applied(memory: ControlMemory, time: float, mean: Array) -> ControlMemory:
    """The memory with what was held on average since its sample, and since then at the earliest; where that is what was
    asked for, with a delay in between, the inputs in force are those that were asked for last."""
    memory = replace(memory, changed=max(memory.changed, memory.time))
    if memory.waiting is None or time <= memory.time:
        return replace(memory, applied=mean)
    share = min(max((memory.changed - memory.time) / (time - memory.time), 0.0), 1.0)
    expected = share * memory.waiting + (1.0 - share) * memory.applied
    same = np.abs(mean - expected) <= 1e-6 * (1.0 + np.abs(expected))
    return replace(memory, applied=np.where(same, memory.applied, mean), waiting=np.where(same, memory.waiting, mean))


def met(
    wanted: Wanted,
    sensing: Sensing,
    memory: ControlMemory,
    sample: Sample,
    last: ControlMemory,
    names: tuple[str, ...],
) -> Met:
    """What is known at a sample, after the `last` one. Raises SpecificationError for a bad one."""
    held = held_between(wanted, memory, names, last.given, last.time, memory.time)
    gains = used(wanted, sensing, memory, memory.x, last.time, held, durations_so_far(wanted, memory))
    memory = replace(memory, totals=_gained(memory, gains))
    numbers = _numbers(wanted, sensing, sample)
    late = {name: (value, taken) for name, (taken, value) in sample.arrived(wanted.plant).items() if value == value}
    signals = {**memory.signals, **{name: pair for name, pair in late.items() if name in sensing.rules}}
    read = read_signals(sensing.rules, numbers, signals, memory.time, wanted.table.every, sensing.due)
    memory = _noted(memory, read) if read.bad or memory.bad else replace(memory, signals=read.signals)
    reasons = tuple(f"{name} is bad for {age} sample{'s' if age > 1 else ''}" for name, age in read.bad.items())
    reasons += outside_domain(wanted, numbers)
    if sensing.estimator is not None:
        memory, more = _estimated(wanted, sensing, memory, sample, read, held)
        known = _believing(wanted, sensing, memory)
        known = replace(known, reasons=(*reasons, *more), shed=read.shed)
    else:
        x = memory.x
        if any(isinstance(sensing.rules[name], Simulate) for name in read.bad):
            moved = sensing.ahead(x, durations_so_far(wanted, memory), held, last.time, memory.estimated)
            if moved is None:
                reasons += ("the model cannot say where the plant is: the last estimate stays",)
            x = x if moved is None else moved
        x = x.copy()
        for i, name in enumerate(wanted.states):
            if name in read.values:
                x[i] = read.values[name]
        known = Met(replace(memory, x=x), x, reasons=reasons, shed=read.shed)
    if memory.phase and abs(memory.entered - memory.time) <= SAME * wanted.table.every:
        x = _set(wanted, known.memory, known.x, names)
        known = replace(known, x=x, memory=replace(known.memory, x=x))
    return _behind_delay(wanted, sensing, known, names)


def _gained(memory: ControlMemory, gains: Mapping[str, float]) -> dict[str, float]:
    return {**memory.totals, **{name: memory.totals.get(name, 0.0) + gain for name, gain in gains.items()}}


def durations_so_far(wanted: Wanted, memory: ControlMemory) -> dict[str, float]:
    """Durations of phases that are over, or planned to end otherwise than at first."""
    found = dict(zip(wanted.table.names, memory.lasted, strict=False))
    if memory.planned is not None:
        found[wanted.table.names[memory.phase]] = max(memory.planned, memory.time) - memory.entered
    return {name: duration for name, duration in found.items() if duration > 0.0}


def _behind_delay(wanted: Wanted, sensing: Sensing, known: Met, names: tuple[str, ...]) -> Met:
    delay, memory = wanted.table.delay, known.memory
    if not delay:
        return replace(known, totals=memory.totals)
    durations, then, k = durations_so_far(wanted, memory), memory.time + delay, memory.phase
    end = np.inf if wanted.table.is_open(k) else memory.entered + wanted.table.durations[k].guess
    sets = k + 1 < len(wanted.planned) and abs(then - end) <= SAME * wanted.table.every
    then = end if sets else then
    held = held_between(wanted, memory, names, memory.given, memory.time, then)
    gains = used(wanted, sensing, memory, known.x, memory.time, held, durations)
    known = replace(known, totals=_gained(memory, gains))
    moved = sensing.ahead(known.x, durations, held, memory.time, memory.estimated)
    if moved is None:
        why = "where the plant will be after the delay is not known: the plan begins where it is"
        return replace(known, reasons=(*known.reasons, why))
    if sets:  # the plan begins with the next phase
        moved = _set(wanted, replace(memory, phase=k + 1, entered=end), moved, names)
    return replace(known, x=moved)


def _numbers(wanted: Wanted, sensing: Sensing, sample: Sample) -> dict[str, float]:
    """The values of a sample, with all that is wanted. Raises SpecificationError where a state is not named."""
    numbers = sample.numbers(wanted.plant)
    if sensing.estimator is None:
        missing = [name for name in sensing.measured if name not in numbers]
        if missing:
            raise SpecificationError(
                f"Sample: without an estimator the controller needs every state; nothing is said of "
                f"{', '.join(missing)}.\n  Give NaN where a sensor failed, or estimator=MovingHorizon(noise={{...}}) "
                f"where a state is not measured."
            )
    return numbers


def outside_domain(wanted: Wanted, numbers: Mapping[str, float]) -> tuple[str, ...]:
    """What was measured far beyond what is declared possible: by a tenth of the domain, or by the nominal size where it
    is open. Noise about a bound is no news; a value in another unit is."""
    found = []
    for name, value in numbers.items():
        scalar = wanted.plant.scalars.get(name)
        if scalar is None:
            continue
        span = scalar.upper - scalar.lower
        room = 0.1 * span if np.isfinite(span) else abs(scalar.nominal)
        if value < scalar.lower - room or value > scalar.upper + room:
            found.append(
                f"{name} = {value:.6g} lies outside its declared domain [{scalar.lower:g}, {scalar.upper:g}] "
                f"{scalar.measure.label}: is the unit right?"
            )
    return tuple(found)


def _end(wanted: Wanted, memory: ControlMemory) -> float | None:
    """When the running phase ends, as far as the controller can know."""
    if memory.ending is not None:
        return memory.ending
    k = memory.phase
    return None if wanted.table.is_open(k) else memory.entered + wanted.table.durations[k].guess


def _entered(wanted: Wanted, memory: ControlMemory, k: int, time: float) -> ControlMemory:
    lasted = list(memory.lasted)
    while len(lasted) < k:
        lasted.append(time - memory.entered if len(lasted) == memory.phase else 0.0)
    memory = replace(memory, phase=k, entered=time, lasted=tuple(lasted), ending=None, planned=None, prepared=None)
    return replace(memory, time=time).noted(Kind.PHASE, f"{wanted.table.names[k]} begins")


def _believing(wanted: Wanted, sensing: Sensing, memory: ControlMemory) -> Met:
    """The memory with what its estimator believes."""
    assert memory.estimator is not None
    assert sensing.model is not None
    belief = memory.estimator.belief
    values, count = belief.values, len(sensing.places)
    x = memory.x.copy()
    x[sensing.places] = [values[name] for name in sensing.model.names[:count]]
    estimated = {name: float(values[name]) for name in sensing.model.names[count:]}
    return Met(replace(memory, x=x, estimated=estimated), x, deviations=dict(belief.deviations))


def _noted(memory: ControlMemory, read: Read) -> ControlMemory:
    for name in read.bad:
        if name not in memory.bad:
            memory = memory.noted(Kind.SIGNAL, f"{name} is bad")
    for name in memory.bad:
        if name not in read.bad:
            memory = memory.noted(Kind.SIGNAL, f"{name} is good again")
    return replace(memory, signals=read.signals, bad=tuple(read.bad))


def _estimated(
    wanted: Wanted,
    sensing: Sensing,
    memory: ControlMemory,
    sample: Sample,
    read: Read,
    held: Held,
) -> tuple[ControlMemory, tuple[str, ...]]:
    """The memory with its estimator's, after the sample."""
    estimator = memory.estimator
    assert estimator is not None
    if memory.time <= estimator.time:
        return memory, ()
    stand_ins = {n: read.values[n] for n in read.bad if isinstance(sensing.rules[n], Hold) and n in read.values}
    if stand_ins:
        quality = {n: q for n, q in sample.quality.items() if n not in stand_ins}
        sample = replace(sample, values={**sample.values, **stand_ins}, quality=quality)
    updated = sensing.updated(estimator, durations_so_far(wanted, memory), held, sample)
    if updated.status is Estimation.HELD:
        memory = memory.noted(Kind.SIGNAL, "the estimate is held: the model could not be advanced")
    return replace(memory, estimator=updated), tuple(updated.reasons)


def _set(wanted: Wanted, memory: ControlMemory, x: Array, names: tuple[str, ...]) -> Array:
    """States with those that the phase sets as it begins, from what they were before it."""
    k = memory.phase
    if not wanted.planned[k].resets:
        return x
    before, known = wanted.planned[k - 1], dict(zip(wanted.states, x.tolist(), strict=True))
    dae, values, inputs = (
        before.lowered.dae,
        wanted.plant.values,
        dict(zip(names, memory.applied.tolist(), strict=True)),
    )
    t = wanted.nominal[k - 1].trajectory
    point = np.array([known[v.name] for v in dae.states])
    u = np.array([inputs.get(v.name, row[-1]) for v, row in zip(dae.inputs, t.u, strict=True)])
    held = {name: known[name] for name in before.lowered.held}
    p = parameters_of(before, {**values, **memory.estimated}, held)
    z = t.z[:, -1]
    if len(z):
        with suppress(InconsistentError):
            z = consistent_algebraics(dae, memory.entered, point, z, u, p)
    fresh = fresh_states(wanted.planned, k, (memory.entered, point, z, u, p))
    return np.array([fresh.get(name, known[name]) for name in wanted.states])
