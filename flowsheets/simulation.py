"""How does a plant run through its recipe? `simulate` goes phase by phase; `replay` re-runs a plan by another integrator."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.flowsheets.declarations import State
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.operation import Decided, Operation, operations
from titer.flowsheets.profiles import Pieces
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.signals import Signal, profile_of
from titer.numerics.errors import SolveError, SpecificationError
from titer.numerics.integrate import IntegrationError, Piece, Trajectory, integrate
from titer.numerics.segment import Profile
from titer.numerics.solution import PhaseResult, Rung, Solution
from titer.numerics.solvers import Status

Array = np.ndarray
Shapes = Mapping[str, tuple[Profile, Array]]


@dataclass(frozen=True, eq=False)
class Source:
    """What a solution came from, so that it can be replayed: not saved with it."""

    plant: Flowsheet
    recipe: Recipe
    inputs: Mapping[str, Any]
    free: Mapping[str, Any]


def simulate(
    plant: Flowsheet,
    recipe: Recipe,
    inputs: Mapping[str, Any] | None = None,
    points: int = 200,
    tolerance: float = 1e-8,
    strict: bool = True,
) -> Solution:
    """Run a plant through a recipe.

    `inputs`: trajectories of controls and of streams into open inlets: a number, a function of the recipe's time, a Series (a
    step at each of its times), or pieces with values. `points`: output points per phase. `tolerance`: relative, of the integrator.
    A free duration lasts as long as its guess; `until` ends a phase exactly. Raises SpecificationError for a bad recipe or input, SolveError
    (with the run up to there as `solution`) where the integration fails or an `until` is not met; `strict=False` returns that instead.
    """
    began = time.perf_counter()
    planned = operations(plant, recipe, inputs or {})
    source = Source(plant, recipe, dict(inputs or {}), {})
    try:
        phases = run_operations(plant, planned, points=points, tolerance=tolerance)
    except StoppedRun as stop:
        failed = _solution(plant, stop.phases, Status.FAILED, began, source, stop.message)
        if strict:
            raise SolveError(stop.message, failed) from None
        return failed
    return _solution(plant, phases, Status.SOLVED, began, source, "")


def replay(
    plan: Solution,
    plant: Flowsheet | None = None,
    recipe: Recipe | None = None,
    points: int = 400,
    tolerance: float = 1e-10,
    strict: bool = True,
) -> Solution:
    """Re-run a plan's own decisions, piece by piece, with IDAS: another method than the one that found it.

    `plant` and `recipe` default to those the plan was made with (a loaded plan needs them); another plant shows what the plan does there.
    Durations are the plan's, so an `until` is not searched again. Raises SolveError, SpecificationError.
    """
    if plan.source is not None:
        plant = plant or plan.source.plant.with_values(plan.decided)
        recipe = recipe or plan.source.recipe
    if plant is None or recipe is None:
        raise SpecificationError("replay: a plan that was loaded from a file needs replay(plan, plant, recipe).")
    began = time.perf_counter()
    given, free = (plan.source.inputs, plan.source.free) if plan.source is not None else (_given(plan), {})
    planned = operations(plant, recipe, given, free)
    shapes = {phase.name: phase.shapes for phase in plan.phases}
    source = Source(plant, recipe, given, free)
    try:
        phases = run_operations(
            plant, planned, shapes, plan.duration, points=points, tolerance=tolerance, independent=True
        )
    except StoppedRun as stop:
        failed = _solution(plant, stop.phases, Status.FAILED, began, source, stop.message)
        if strict:
            raise SolveError(f"replay: {stop.message}", failed) from None
        return failed
    return _solution(plant, phases, Status.SOLVED, began, source, "")


def run_operations(
    plant: Flowsheet,
    planned: Sequence[Operation],
    shapes: Mapping[str, Shapes] | None = None,
    durations: Mapping[str, float] | None = None,
    points: int = 200,
    tolerance: float = 1e-8,
    independent: bool = False,
    stops: Mapping[str, Array] | None = None,
) -> tuple[PhaseResult, ...]:
    """Integrate operations one after another. `shapes` and `durations` replace the nominal ones, phase by phase.

    `stops`: positions in each phase (0 to 1) that must be among the output points. Raises StoppedRun.
    """
    values = plant.values
    states = {n: s.start for n, s in plant.scalars.items() if s.kind == State.kind}
    _check_starts(states, planned)
    clock, phases = 0.0, []
    previous: PhaseResult | None = None
    for operation in planned:
        dae, held_names = operation.lowered.dae, operation.lowered.held
        states = _reset(operation, states, previous, values, plant)
        held = {name: states[name] for name in held_names}
        p = parameters_of(operation, values, held)
        x = np.array([states[v.name] for v in dae.states])
        fixed = None if durations is None else durations.get(operation.name)
        limit = (
            fixed if fixed is not None else operation.duration.upper if operation.event else operation.duration.guess
        )
        nominal = fixed if fixed is not None else operation.duration.guess
        known = (shapes or {}).get(operation.name, {})
        inputs = [
            known[v.name] if v.name in known else given_shape(source, v.name, clock, limit, operation, nominal)
            for v, source in zip(dae.inputs, operation.inputs, strict=True)
        ]
        event = operation.event if fixed is None else None
        try:
            longest = nominal if event is not None else limit
            ends = (stops or {}).get(operation.name, np.zeros(0))
            pieces = _pieces(inputs, limit, longest, ends)
            spread = int(np.ceil(points * limit / longest))
            trajectory = integrate(dae, x, p, clock, pieces, event, spread, independent, tolerance)
        except IntegrationError as error:
            partial = error.solution
            if partial is not None:
                phases.append(_result(operation, partial, held, {}))
            raise StoppedRun(tuple(phases), str(error)) from None
        result = _result(
            operation, trajectory, held, dict(zip([v.name for v in dae.inputs], inputs, strict=True)), limit
        )
        phases.append(result)
        if not trajectory.reached:
            assert operation.event is not None
            raise StoppedRun(
                tuple(phases),
                f"Phase {operation.name!r}: {operation.event.text} is not met within {limit:g} {dae.time}, the longest "
                f"the phase may last.\n  Raise the upper limit of its duration, or check the condition.",
            )
        states |= {v.name: float(row[-1]) for v, row in zip(dae.states, trajectory.x, strict=True)}
        clock, previous = float(trajectory.time[-1]), result
    return tuple(phases)


def given_shape(
    source: Signal | Pieces | Decided,
    name: str,
    clock: float,
    duration: float,
    operation: Operation,
    nominal: float,
) -> tuple[Profile, Array]:
    """Shape and values of an input over a phase; decisions stand at their guess."""
    if isinstance(source, Decided):
        shape = profile_of(source.pieces, nominal, not operation.duration.free)
        if isinstance(source.guess, Signal):
            guessed = source.guess.over(clock, duration)
            return guessed
        return shape, np.full(shape.count, source.guess)
    if isinstance(source, Pieces):
        shape = profile_of(source, nominal, not operation.duration.free)
        values = np.asarray(source.values, dtype=float)
        if len(values) != shape.count:
            raise SpecificationError(f"inputs: {name} has {len(values)} values, its pieces need {shape.count}.")
        return shape, values
    if not source.is_constant and source.times[0] > clock + 1e-9 * max(duration, 1.0):
        raise SpecificationError(
            f"Phase {operation.name!r}: {name} has no trajectory before t = {source.times[0]:g}, the phase begins at {clock:g}."
        )
    return source.over(clock, duration)


def parameters_of(operation: Operation, values: Mapping[str, float], held: Mapping[str, float]) -> Array:
    """The parameter vector of a phase: the plant's values, those fixed in the phase, then the held states."""
    numbers = []
    for variable in operation.lowered.dae.parameters:
        name = variable.name
        numbers.append(held[name] if name in held else operation.fixed.get(name, values.get(name, np.nan)))
    return np.array(numbers, dtype=float)


class StoppedRun(Exception):
    """A run that ended early, with the phases it got through."""

    def __init__(self, phases: tuple[PhaseResult, ...], message: str):
        super().__init__(message)
        self.phases, self.message = phases, message


def _pieces(inputs: Sequence[tuple[Profile, Array]], duration: float, longest: float, stops: Array) -> list[Piece]:
    """Stretches between jumps of any input, none longer than `longest`: where an event is looked for, output points must not
    thin out because the phase may last long."""
    chunks = np.linspace(0.0, 1.0, int(np.ceil(duration / longest - 1e-9)) + 1)
    edges = np.unique(np.concatenate([chunks, stops, *(profile.kinks(values) for profile, values in inputs)]))
    edges = edges[np.append(np.diff(edges) > 1e-13, True)]
    middle = 0.5 * (edges[:-1] + edges[1:])
    left, right = np.zeros((len(inputs), len(middle))), np.zeros((len(inputs), len(middle)))
    for i, (profile, values) in enumerate(inputs):
        k = profile.piece_of(middle)
        left[i], right[i] = profile.at(values, edges[:-1], k), profile.at(values, edges[1:], k)
    widths = np.diff(edges) * duration
    return [Piece(float(width), left[:, i], right[:, i]) for i, width in enumerate(widths)]


def _reset(
    operation: Operation,
    states: dict[str, float],
    previous: PhaseResult | None,
    values: Mapping[str, float],
    plant: Flowsheet,
) -> dict[str, float]:
    fresh = dict(states)
    for name, value in operation.resets.items():
        if isinstance(value, float):
            fresh[name] = value
        else:
            assert previous is not None
            t = previous.trajectory
            held = previous.held
            p = np.array([held.get(n, values.get(n, np.nan)) for n in previous_parameters(plant, previous)])
            fresh[name] = float(value(t.time[-1], t.x[:, -1], t.z[:, -1], t.u[:, -1], p))
    return fresh


def previous_parameters(plant: Flowsheet, previous: PhaseResult) -> list[str]:
    """Names of a phase's parameter vector."""
    return [n for n, s in plant.scalars.items() if s.kind == "parameter"] + list(previous.held)


def _result(
    operation: Operation,
    trajectory: Trajectory,
    held: Mapping[str, float],
    shapes: Shapes,
    limit: float | None = None,
) -> PhaseResult:
    dae = operation.lowered.dae
    if limit is not None and shapes:
        share = trajectory.duration / limit
        if share < 1.0 - 1e-12:  # an event cut the phase short: shapes are fractions of what was run
            shapes = {name: _cut(profile, values, share) for name, (profile, values) in shapes.items()}
    names = (tuple(v.name for v in group) for group in (dae.states, dae.algebraics, dae.inputs, dae.outputs))
    return PhaseResult(operation.name, trajectory, *names, held=dict(held), shapes=shapes)


def _cut(profile: Profile, values: Array, share: float) -> tuple[Profile, Array]:
    """The part of an input up to a fraction of its span, as a shape of its own."""
    edges = np.append(profile.edges[profile.edges < share * (1.0 - 1e-12)], share)
    k = profile.piece_of(0.5 * (edges[:-1] + edges[1:]))
    left, right = profile.at(values, edges[:-1], k), profile.at(values, edges[1:], k)
    return Profile.broken(edges / share), np.column_stack([left, right]).ravel()


def _check_starts(states: Mapping[str, float], planned: Sequence[Operation]) -> None:
    first = planned[0].resets
    for name, value in states.items():
        set_later = name in planned[0].lowered.held and any(name in o.resets for o in planned)
        if not np.isfinite(value) and name not in first and not set_later:
            raise SpecificationError(
                f"state {name} has no start. Declare State(..., start=...), give it as a keyword of its unit "
                f"operation, or set it by Phase(start={{{name}: ...}})."
            )


def _given(plan: Solution) -> dict[str, Any]:
    """Stand-ins for the inputs of a loaded plan: its shapes hold the values."""
    return {name: 0.0 for phase in plan.phases for name in phase.shapes}


def _solution(
    plant: Flowsheet,
    phases: tuple[PhaseResult, ...],
    status: Status,
    began: float,
    source: Source,
    message: str,
) -> Solution:
    seconds = time.perf_counter() - began
    return Solution(
        kind="simulation",
        time=plant.time,
        units={name: measure.label for name, measure in plant.measures.items()},
        phases=phases,
        values=dict(plant.values),
        status=status,
        stats={"seconds_total": seconds},
        start_report=(Rung("simulation", seconds, status.value),),
        message=message,
        source=source,
    )
