"""Where is the plant at a sample? The clock of the recipe, what signals are worth, and what is believed of the states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from titer.control.nmpc.memory import Kind, Memory
from titer.control.nmpc.posing import Wanted
from titer.control.nmpc.sensing import Sensing, without_bad
from titer.control.nmpc.signals import Read, read_signals
from titer.control.nmpc.timetable import SAME
from titer.estimation.estimators.memory import Estimation
from titer.estimation.estimators.sample import Sample
from titer.flowsheets.operation import Decided
from titer.flowsheets.resetting import fresh_states
from titer.flowsheets.simulation import parameters_of
from titer.flowsheets.signals import Signal
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.integration.consistency import InconsistentError, consistent_algebraics


@dataclass(frozen=True, eq=False)
class Met:
    """What is known at a sample: the memory with it, the `states` where the plan begins (behind the delay, and what the
    phase sets at its start), `estimate` of now, and whether the controller must leave automatic (`shed`: why)."""

    memory: Memory
    states: Mapping[str, float]
    parameters: Mapping[str, float]
    deviations: Mapping[str, float] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    shed: str = ""


def first_memory(wanted: Wanted, sensing: Sensing, sample: Sample, applied: Mapping[str, float] | None) -> Memory:
    """The memory at the first sample. Raises SpecificationError."""
    time = _checked(sample, wanted)
    if time < 0.0:
        raise SpecificationError(f"Sample: the time {time:g} lies before the recipe, which begins at 0.")
    phase, entered, lasted = 0, 0.0, []
    for k, result in enumerate(wanted.nominal):
        end = entered + result.trajectory.duration
        if time < end - SAME * wanted.table.every or k == len(wanted.nominal) - 1:
            phase = k
            break
        lasted.append(end - entered)
        entered = end
    held = {**_guesses(wanted), **(applied or {})}
    numbers = sample.numbers(wanted.plant)
    estimate = {**wanted.states_at(phase, time - entered), **_known(sensing, numbers)}
    estimator = None
    parameters: dict[str, float] = {}
    if sensing.estimator is not None:
        assert sensing.model is not None
        estimator = sensing.estimator.begin(sensing.model, sample, held)
        estimate, parameters = {**estimate, **estimator.belief.states}, _parameters(estimator.belief)
    return Memory(
        time=time,
        phase=phase,
        entered=entered,
        lasted=tuple(lasted),
        applied=held,
        changed=time - wanted.table.every,
        estimate=estimate,
        expected=estimate,
        parameters=parameters,
        estimator=estimator,
        signals={name: (numbers[name], time) for name in sensing.measured if np.isfinite(numbers.get(name, np.nan))},
    )


def advanced(
    wanted: Wanted, memory: Memory, sample: Sample, phase: str | None, applied: Mapping[str, float] | None
) -> Memory:
    """The memory with its clock at the sample. Raises SpecificationError where time runs backwards, or the recipe is
    over."""
    time, table = _checked(sample, wanted), wanted.table
    near = SAME * table.every
    if time < memory.time - near or (not memory.fresh and time <= memory.time):
        raise SpecificationError(
            f"Sample: time runs backwards: the sample is at t = {time:g} {wanted.plant.time}, the last one was at "
            f"{memory.time:g}.\n  Samples come in order, one for each step."
        )
    if memory.fresh and time > memory.time + near:
        raise SpecificationError(
            f"Sample: the first step gets the sample that start got, of t = {memory.time:g} {wanted.plant.time}, "
            f"got one of {time:g}."
        )
    if applied:
        memory = replace(memory, applied={**memory.applied, **applied})
    if phase is not None:
        if phase not in table.names:
            raise SpecificationError(f"step: {unknown('phase', phase, table.names)}")
        k = table.names.index(phase)
        if k < memory.phase:
            raise SpecificationError(f"step: phase {phase!r} is over since t = {memory.entered:g} {wanted.plant.time}.")
        if k > memory.phase:
            memory = _entered(wanted, memory, k, time)
        return replace(memory, time=time)
    while (end := _end(wanted, memory)) is not None and end <= time + near:
        if memory.phase == len(table.names) - 1:
            raise SpecificationError(f"step: the recipe is over since t = {end:g} {wanted.plant.time}.")
        memory = _entered(wanted, memory, memory.phase + 1, end)
    return replace(memory, time=time)


def met(wanted: Wanted, sensing: Sensing, memory: Memory, sample: Sample) -> Met:
    """What is known at a sample. Raises SpecificationError for a bad one."""
    numbers, table = sample.numbers(wanted.plant), wanted.table
    read = read_signals(sensing.rules, numbers, memory.signals, memory.time, table.every)
    memory = _noted(memory, read)
    reasons = [f"{name} is bad for {age} samples" for name, age in read.bad.items()]
    deviations: dict[str, float] = {}
    if sensing.estimator is not None:
        memory, more = _estimated(wanted, sensing, memory, sample)
        belief = memory.belief
        reasons += more
        estimate = {**memory.estimate, **belief.states}
        parameters, deviations = _parameters(belief), dict(belief.deviations)
    else:
        estimate = {**memory.estimate, **memory.expected, **_known(sensing, numbers), **read.values}
        parameters = dict(memory.parameters)
    memory = replace(memory, estimate=estimate, parameters=parameters, signals=read.signals)
    states = dict(estimate)
    if memory.phase and abs(memory.entered - memory.time) <= SAME * table.every:
        states |= _set(wanted, memory, states)
    if table.delay:
        before = {**memory.applied}
        moved = sensing.ahead(
            states, durations_so_far(wanted, memory), before, memory.time, memory.time + table.delay, parameters
        )
        if moved is None:
            reasons.append("where the plant will be after the delay is not known: the plan begins where it is")
        else:
            states |= moved
    return Met(memory, states, parameters, deviations, tuple(reasons), read.shed)


def durations_so_far(wanted: Wanted, memory: Memory) -> dict[str, float]:
    """Durations of phases that are over, or planned to end otherwise than at first."""
    found = dict(zip(wanted.table.names, memory.lasted, strict=False))
    if memory.planned is not None:
        found[wanted.table.names[memory.phase]] = max(memory.planned, memory.time) - memory.entered
    return {name: duration for name, duration in found.items() if duration > 0.0}


def _checked(sample: Sample, wanted: Wanted) -> float:
    if not isinstance(sample, Sample):
        raise SpecificationError(f"expected Sample(time, {{name: value}}), got {type(sample).__name__} {sample!r}.")
    return sample.clock(wanted.plant)


def _end(wanted: Wanted, memory: Memory) -> float | None:
    """When the running phase ends, as far as the controller can know."""
    if memory.ending is not None:
        return memory.ending
    k = memory.phase
    return None if wanted.table.is_open(k) else memory.entered + wanted.table.durations[k].guess


def _entered(wanted: Wanted, memory: Memory, k: int, time: float) -> Memory:
    lasted = list(memory.lasted)
    while len(lasted) < k:
        lasted.append(time - memory.entered if len(lasted) == memory.phase else 0.0)
    memory = replace(memory, phase=k, entered=time, lasted=tuple(lasted), ending=None, planned=None, prepared=None)
    return replace(memory, time=time).noted(Kind.PHASE, f"{wanted.table.names[k]} begins")


def _guesses(wanted: Wanted) -> dict[str, float]:
    """The values of inputs that are tried first."""
    found: dict[str, float] = {}
    for operation in wanted.planned:
        for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
            if isinstance(source, Decided):
                guess = source.guess
                first = guess if isinstance(guess, float) else guess.left[0] if isinstance(guess, Signal) else guess[0]
                found.setdefault(variable.name, float(first))
    return found


def _known(sensing: Sensing, numbers: Mapping[str, float]) -> dict[str, float]:
    """States that a sample holds."""
    return {name: numbers[name] for name in sensing.states if np.isfinite(numbers.get(name, np.nan))}


def _parameters(belief) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """Estimated parameters, and disturbances of rates."""
    rates = {name: value for name, value in belief.values.items() if str(name).startswith("rate(")}
    return {**belief.parameters, **rates}


def _noted(memory: Memory, read: Read) -> Memory:
    for name, age in read.bad.items():
        if age == 1:
            memory = memory.noted(Kind.SIGNAL, f"{name} is bad")
    for name, (_, since) in memory.signals.items():
        if name in read.values and name not in read.bad and since < memory.time and _was_bad(memory, name):
            memory = memory.noted(Kind.SIGNAL, f"{name} is good again")
    return memory


def _was_bad(memory: Memory, name: str) -> bool:
    for event in reversed(memory.events):
        if event.kind is Kind.SIGNAL and event.text.startswith(f"{name} is "):
            return event.text.endswith("bad")
    return False


def _estimated(wanted: Wanted, sensing: Sensing, memory: Memory, sample: Sample) -> tuple[Memory, list[str]]:
    """The memory with its estimator's, after the sample."""
    estimator = memory.estimator
    assert estimator is not None
    if memory.fresh:
        return memory, []
    held: list[tuple[float, Mapping[str, float]]] = [(memory.time, memory.applied)]
    if memory.waiting and estimator.time + SAME * wanted.table.every < memory.changed < memory.time:
        held.insert(0, (memory.changed, memory.waiting))
    bad: Sequence[str] = ()
    updated = sensing.updated(estimator, durations_so_far(wanted, memory), held, without_bad(sample, bad))
    reasons = list(updated.reasons)
    if updated.status is Estimation.HELD:
        memory = memory.noted(Kind.SIGNAL, "the estimate is held: the model could not be advanced")
    return replace(memory, estimator=updated), reasons


def _set(wanted: Wanted, memory: Memory, states: Mapping[str, float]) -> dict[str, float]:
    """States that the phase sets as it begins, from those before it."""
    k = memory.phase
    before = wanted.planned[k - 1]
    dae, values = before.lowered.dae, wanted.plant.values
    result = wanted.nominal[k - 1]
    x = np.array([states[v.name] for v in dae.states])
    u = np.array([memory.applied.get(v.name, row[-1]) for v, row in zip(dae.inputs, result.trajectory.u, strict=True)])
    held = {name: states[name] for name in before.lowered.held}
    p = parameters_of(before, {**values, **memory.parameters}, held)
    z = result.trajectory.z[:, -1]
    if len(z):
        try:
            z = consistent_algebraics(dae, memory.entered, x, z, u, p)
        except InconsistentError:
            pass
    return fresh_states(wanted.planned, k, (memory.entered, x, z, u, p))
