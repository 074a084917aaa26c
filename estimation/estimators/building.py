"""What is built before a loop begins? The sampled model of a plant: entries, phases, steps short enough, and a check
that what is to be estimated can be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import casadi as ca
import numpy as np

from titer.estimation.estimators.deviations import (
    Deviations,
    Uncertain,
    deviations_of,
    noise_of,
    sizes_of_entries,
)
from titer.estimation.estimators.entries import Entries, entries_of
from titer.estimation.estimators.model import Running, SampledModel
from titer.estimation.estimators.observability import observable, unseen_by_default
from titer.estimation.estimators.steps import Steps, chained, reading_of, steps_of, wanted_of
from titer.estimation.estimators.timeline import Timeline, timeline_of
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.given import check_inputs
from titer.flowsheets.operation import Operation, operations
from titer.flowsheets.profiles import PiecewiseConstant
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.signals import finite
from titer.numerics.dae import Array, sizes_of
from titer.numerics.errors import SpecificationError

_MOST_HALVINGS = 8
_MOST_AT_ONCE = 32  # steps in one call


def sampled_model(
    plant: Flowsheet,
    recipe: Recipe,
    every: Any,
    uncertain: Uncertain,
    manipulated: Sequence[str] = (),
    inputs: Mapping[str, Any] | None = None,
    durations: Mapping[str, Any] | None = None,
    accuracy: float = 1e-6,
) -> SampledModel:
    """Build the model. Raises SpecificationError for what does not fit the plant, and for what cannot be seen;
    SolveError where the recipe cannot be run as planned."""
    noise = noise_of(plant, uncertain.noise)
    measured = tuple(noise)
    entries = entries_of(plant, uncertain.disturbances, measured)
    handled = by_element(dict.fromkeys(manipulated), "manipulated")
    check_inputs(plant, handled, "manipulated")
    planned = operations(plant, recipe, inputs or {}, {name: PiecewiseConstant(1) for name in handled})
    timeline = timeline_of(plant, planned, durations or {}, tuple(handled))
    sizes = sizes_of_entries(plant, entries, np.array(list(noise.values())))
    deviations = deviations_of(plant, entries, uncertain, np.array(list(noise.values())), sizes, timeline.ends[-1])
    clock = _interval(every, plant)
    model = assembled(plant, recipe, clock, entries, measured, timeline, deviations, sizes, accuracy)
    return _checked(model, uncertain)


def assembled(
    plant: Flowsheet,
    recipe: Recipe,
    every: float,
    entries: Entries,
    measured: tuple[str, ...],
    timeline: Timeline,
    deviations: Deviations,
    sizes: Array,
    accuracy: float,
) -> SampledModel:
    """The model of phases on their timeline, whatever measurements can see of it. `sizes` (n,): of the entries.

    Raises SpecificationError for a reduced index and missing starts, SolveError where it cannot be run as planned.
    """
    _check_index(timeline.operations)
    noisy = np.flatnonzero(deviations.process)
    model = SampledModel(
        plant,
        recipe,
        every,
        entries,
        measured,
        timeline,
        _running(timeline.operations, entries, noisy, sizes, measured, timeline),
        _start(timeline.operations, entries),
        noisy,
        deviations,
    )
    return _chained(_resolved(_with_algebraics(model), sizes, accuracy))


def _interval(every: Any, plant: Flowsheet) -> float:
    number = finite(every, plant.measure_of_time, "every")
    if number <= 0.0:
        raise SpecificationError(f"every must be positive, the time between samples, got {number:g} {plant.time}.")
    return number


def _check_index(planned: Sequence[Operation]) -> None:
    for operation in planned:
        if operation.lowered.dae.invariants is not None:
            raise SpecificationError(
                f"phase {operation.name!r}: the model's index was reduced, and corrections would leave its equations.\n"
                f"  Estimate with a model of index 1: replace the equation by what acts on it."
            )


def _start(planned: Sequence[Operation], entries: Entries) -> Array:
    """The entries as the recipe begins. Raises SpecificationError for a state that has no start when it is needed."""
    first = planned[0]
    known = set(np.array(entries.names)[np.isfinite(entries.start)].tolist())
    for operation in planned:
        known |= set(operation.resets)
        for variable in operation.lowered.dae.states:
            if variable.name not in known:
                raise SpecificationError(
                    f"Phase {operation.name!r}: state {variable.name} has no start.\n"
                    f"  Give it by plant.with_values({{{variable.name}: ...}}), or by Phase(start={{...}})."
                )
    s = np.where(np.isfinite(entries.start), entries.start, np.clip(0.0, entries.lower, entries.upper))
    dae, index = first.lowered.dae, entries.index
    x = np.array([s[index[v.name]] for v in dae.states])
    p = np.array([first.fixed.get(v.name, v.start) for v in dae.parameters])
    point = (0.0, x, np.full(len(dae.algebraics), np.nan), np.full(len(dae.inputs), np.nan), p)
    fresh = {name: value if isinstance(value, float) else float(value(*point)) for name, value in first.resets.items()}
    for name, value in fresh.items():
        if not np.isfinite(value):
            raise SpecificationError(f"Phase {first.name!r}: start of {name}: expected a finite number, got {value!r}.")
        s[index[name]] = value
    return s


def _running(
    planned: Sequence[Operation],
    entries: Entries,
    noisy: Array,
    sizes: Array,
    measured: Sequence[str],
    timeline: Timeline,
) -> tuple[Running, ...]:
    """Phases ready to run. Phases with the same equations share their functions."""
    made: dict[Any, Steps] = {}
    found: list[Running] = []
    for k, operation in enumerate(planned):
        dae = operation.lowered.dae
        key = (dae.function, tuple(sorted(operation.fixed)))
        if key not in made:
            made[key] = steps_of(operation, entries, noisy.tolist(), (sizes, sizes_of(dae.algebraics)))
        values = {**{v.name: v.start for v in dae.parameters}, **operation.fixed}
        p = np.nan_to_num(np.array([values[v.name] for v in dae.parameters], dtype=float))
        reading = reading_of(operation, entries, wanted_of(operation, measured))
        resets = operation.resets if k else {}
        jump = reading_of(planned[k - 1], entries, [_function(planned[k - 1], r) for r in resets.values()])
        places = np.array([entries.index[name] for name in resets], dtype=int)
        longest = max(float(timeline.ends[k + 1] - timeline.ends[k]), timeline.resolution)
        found.append(Running(made[key], longest, reading, p, jump if resets else None, places))
    for name, there in zip(measured, np.any([r.measured.present for r in found], axis=0), strict=True):
        if not there:
            raise SpecificationError(
                f"noise: {name} is measured in no phase of the recipe: its unit operation is at rest in all of them."
            )
    return tuple(found)


def _function(operation: Operation, reset: float | ca.Function) -> ca.Function:
    """A reset as a function of the point before it."""
    if not isinstance(reset, float):
        return reset
    return ca.Function("number", list(operation.lowered.symbols), [ca.SX(reset)])


def _with_algebraics(model: SampledModel) -> SampledModel:
    """The model with the algebraic variables of the nominal run, where later ones are looked for."""
    if not any(phase.steps.dae.algebraics for phase in model.phases):
        return model
    s, times = model.start, model.planned_times
    for t0, t1 in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        s = model.predict(s, model.tried, t0, t1)
        z = np.array(list(model.algebraics(s, model.tried, t1).values()))
        model = replace(model, seen=(*model.seen, (t1, z)))
    return model


def _resolved(model: SampledModel, sizes: Array, accuracy: float) -> SampledModel:
    """The model with steps so short that halving them moves the nominal run by less than `accuracy` of the sizes."""
    if not 0.0 < accuracy < 1.0:
        raise SpecificationError(f"accuracy must be a number between 0 and 1, such as 1e-6, got {accuracy!r}.")
    longest = [min(phase.longest, model.every) for phase in model.phases]
    reached = None
    for halvings in range(_MOST_HALVINGS + 1):
        phases = tuple(
            replace(phase, longest=length / 2**halvings) for phase, length in zip(model.phases, longest, strict=True)
        )
        finer = replace(model, phases=phases)
        run = _nominal(finer)
        grown = np.maximum(sizes, np.abs(run).max(axis=0))
        if reached is not None and (np.abs(run - reached) / grown).max() < accuracy:
            break
        model, reached = finer, run
    return model


def _chained(model: SampledModel) -> SampledModel:
    """The model with all steps between two samples taken in one call."""
    made: dict[tuple[int, int], Steps] = {}
    phases = []
    for phase, length in zip(model.phases, np.diff(model.timeline.ends).tolist(), strict=True):
        count = int(np.ceil(min(model.every, max(length, phase.longest)) / phase.longest - 1e-9))
        key = (id(phase.steps), count)
        if key not in made:
            made[key] = chained(phase.steps, count) if 1 < count <= _MOST_AT_ONCE else phase.steps
        phases.append(replace(phase, steps=made[key]))
    return replace(model, phases=tuple(phases))


def _nominal(model: SampledModel) -> Array:
    """(samples + 1, n): the entries along the nominal run."""
    times = model.planned_times
    run = [model.start]
    for t0, t1 in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        run.append(model.predict(run[-1], model.tried, t0, t1))
    return np.array(run)


def _checked(model: SampledModel, uncertain: Uncertain) -> SampledModel:
    """The model, where all that is said to be uncertain can be seen; by default only what can be seen is uncertain."""
    count = len(model.entries.states)
    said = np.ones(len(model.names), dtype=bool)
    if uncertain.start is None:
        said[:count] = False
        if uncertain.process is not None:
            said[:count] = model.deviations.process[:count] > 0.0
    times = model.planned_times
    found = observable(model, times, said)
    if not found.ok:
        raise SpecificationError(str(found))
    if said.all():
        return model
    hidden = unseen_by_default(model, times, said)
    start, process = model.deviations.start.copy(), model.deviations.process.copy()
    start[hidden] = process[hidden] = 0.0
    simulated = tuple(model.names[i] for i in hidden)
    return replace(model, deviations=replace(model.deviations, start=start, process=process), simulated=simulated)
