"""How does a plant run through its recipe? `simulate` goes phase by phase; `replay` re-runs a plan, by IDAS."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from titer.flowsheets.declarations import State
from titer.flowsheets.doubts import doubts
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.lowering import labels_of
from titer.flowsheets.operation import Operation, operations, point_before
from titer.flowsheets.profiles import Exponential, plain_name
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.resetting import fresh_states
from titer.flowsheets.shapes import Shapes, cut, given_shape, pieces_of
from titer.flowsheets.starting import consistent_start
from titer.flowsheets.unmet import unmet
from titer.numerics.dae import Variable
from titer.numerics.errors import SolveError, SpecificationError
from titer.numerics.explaining.keeping import Keeper
from titer.numerics.explaining.record import record_of
from titer.numerics.integration.rerun import Integration
from titer.numerics.integration.trajectory import IntegrationError, Trajectory
from titer.numerics.solution import PhaseResult, Rung, Solution, StartReport
from titer.numerics.solvers import Status

Array = np.ndarray
_MOST_STRETCHES = 50  # guesses of a duration that output points of an `until` are spread for


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

    `inputs`: trajectories of controls and of streams into open inlets: a number, a function of the recipe's time, a
    Series (a step at each of its times), or pieces with values. `points`: output points per phase. `tolerance`:
    relative, of the integrator. A free duration lasts as long as its guess; `until` ends a phase exactly.

    CasADi's functions are not shared between threads safely: run many simulations in processes.

    A run that leaves a declared domain, or is given inputs beyond their controls' bounds, is returned; its `message`
    and its `explain()` say so.

    Raises SpecificationError for a bad recipe or input, SolveError (with the run up to there as `solution`) where the
    integration fails or an `until` is not met; `strict=False` returns that instead.
    """
    given = {} if inputs is None else inputs
    planned = operations(plant, recipe, given)
    source = Source(plant, recipe, given, {})
    _check_accuracy(points, tolerance)
    return _solution(
        source, planned, strict, partial(run_operations, plant, planned, points=points, tolerance=tolerance)
    )


def replay(
    plan: Solution,
    plant: Flowsheet | None = None,
    recipe: Recipe | None = None,
    points: int = 400,
    tolerance: float = 1e-10,
    strict: bool = True,
    inputs: Mapping[str, Any] | None = None,
) -> Solution:
    """Re-run a plan's own decisions, piece by piece, with IDAS: another method than the one that found it.

    `plant` and `recipe` default to those the plan was made with (a loaded plan needs them); another plant shows what
    the plan does there. Parameters and starts that the plan decided are set on it. Durations are the plan's, so an
    `until` is not searched again. `inputs`: functions of time, which a loaded plan does not hold.
    Raises SolveError, SpecificationError.
    """
    source = _source_of(plan, plant, recipe, inputs or {})
    _check_accuracy(points, tolerance)
    planned = operations(source.plant, source.recipe, source.inputs, source.free)
    shapes = {phase.name: phase.shapes for phase in plan.phases}

    def run() -> tuple[PhaseResult, ...]:
        return run_operations(
            source.plant, planned, shapes, plan.duration, points=points, tolerance=tolerance, independent=True
        )

    return _solution(source, planned, strict, run, "replay: ")


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

    `stops`: positions in each phase (0 to 1) that must be among the output points. Raises StoppedRunError.
    """
    values = plant.values
    states = {name: scalar.start for name, scalar in plant.scalars.items() if scalar.kind == State.kind}
    _check_starts(states, planned)
    clock = 0.0
    phases: list[PhaseResult] = []
    for k, operation in enumerate(planned):
        dae = operation.lowered.dae
        fresh = _reset(planned, k, phases[-1] if phases else None, values, states)
        states |= fresh
        held = {name: states[name] for name in operation.lowered.held}
        length = _length(operation, durations)
        known = (shapes or {}).get(operation.name, {})
        inputs = {
            v.name: known.get(v.name) or given_shape(source, v.name, clock, length.limit, operation, length.nominal)
            for v, source in zip(dae.inputs, operation.inputs, strict=True)
        }
        ends = (stops or {}).get(operation.name, np.zeros(0))
        integration = Integration(
            dae,
            np.array([states[v.name] for v in dae.states]),
            parameters_of(operation, values, held),
            clock,
            pieces_of(list(inputs.values()), length.limit, length.stretch, ends),
            operation.event if length.open else None,
            int(np.ceil(points * length.limit / length.stretch)),
            independent,
            tolerance,
        )
        note = consistent_start(operation.name, integration)
        try:
            trajectory = replace(integration.again(), note=note)
        except IntegrationError as error:
            if error.solution is not None:
                phases.append(_result(operation, error.solution, held, inputs, length.limit))
            raise _stopped(phases, error, _begun(planned, k, clock, fresh), integration) from None
        phases.append(_result(operation, trajectory, held, inputs, length.limit))
        if not trajectory.reached:
            raise StoppedRunError(
                tuple(phases),
                partial(unmet, operation, trajectory, parameters_of(operation, values, held), length.limit),
            )
        states |= {v.name: float(row[-1]) for v, row in zip(dae.states, trajectory.x, strict=True)}
        clock = float(trajectory.time[-1])
    return tuple(phases)


def _stopped(
    phases: Sequence[PhaseResult], error: IntegrationError, begun: str, integration: Integration
) -> StoppedRunError:
    return StoppedRunError(tuple(phases), lambda: f"{error}{begun}", integration)


def _begun(planned: Sequence[Operation], k: int, clock: float, fresh: Mapping[str, float]) -> str:
    """How the phase that failed began: after what, and which states were set there."""
    if not k and not fresh:
        return ""
    after = [f"after {planned[k - 1].name!r}{_ending(planned[k - 1])}"] if k else []
    listed = ", ".join(f"{name} = {value:.4g}" for name, value in list(fresh.items())[:3])
    more = f" and {len(fresh) - 3} more" if len(fresh) > 3 else ""
    begun = ", ".join([*after, *([f"with {listed}{more}"] if fresh else [])])
    dae = planned[k].lowered.dae
    return f"\n  phase {planned[k].name!r} began at t = {clock:.6g} {dae.time} {begun}"


def _ending(operation: Operation) -> str:
    return "" if operation.event is None else f" ended ({operation.event.text})"


class StoppedRunError(Exception):
    """A run that ended early, with the phases it got through, and the integration that failed, if one did.

    `message` is put together when it is read: finding out why an integration failed takes its time.
    """

    def __init__(
        self,
        phases: tuple[PhaseResult, ...],
        message: str | Callable[[], str],
        integration: Integration | None = None,
    ):
        super().__init__("the run stopped")
        self.phases, self.integration, self._message = phases, integration, message

    @property
    def message(self) -> str:
        if callable(self._message):
            self._message = self._message()
        return self._message

    @property
    def end(self) -> float:
        """The time that was reached."""
        return float(self.phases[-1].trajectory.time[-1]) if self.phases else 0.0


def parameters_of(operation: Operation, values: Mapping[str, float], held: Mapping[str, float]) -> Array:
    """The parameter vector of a phase: the plant's values, those fixed in the phase, and the held states."""
    known = {**operation.fixed, **held}
    names = [variable.name for variable in operation.lowered.dae.parameters]
    return np.array([known[name] if name in known else values[name] for name in names], dtype=float)


@dataclass(frozen=True)
class _Length:
    """How long a phase is integrated: up to `limit`, where it is `open` until its event; pieces divide `nominal`."""

    nominal: float
    limit: float
    open: bool

    @property
    def stretch(self) -> float:
        """What the output points are spread over: they must not thin out because an open phase may last long."""
        return max(self.nominal, self.limit / _MOST_STRETCHES)


def _length(operation: Operation, durations: Mapping[str, float] | None) -> _Length:
    planned = operation.duration
    if durations is not None and operation.name in durations:
        return _Length(durations[operation.name], durations[operation.name], False)
    if operation.event is not None:
        return _Length(planned.guess, planned.upper, True)
    return _Length(planned.guess, planned.guess, False)


def _reset(
    planned: Sequence[Operation],
    k: int,
    result: PhaseResult | None,
    values: Mapping[str, float],
    states: Mapping[str, float],
) -> dict[str, float]:
    """The states that are set when phase k begins; functions all see the same point before it."""
    before = point_before(planned, k)
    if result is not None:
        t = result.trajectory
        p = parameters_of(before, values, result.held)
        point = (t.time[-1], t.x[:, -1], t.z[:, -1], t.u[:, -1], p)
    else:
        dae = before.lowered.dae
        p = parameters_of(before, values, {name: states[name] for name in before.lowered.held})
        x = np.array([states[v.name] for v in dae.states])
        point = (0.0, x, np.full(len(dae.algebraics), np.nan), np.full(len(dae.inputs), np.nan), p)
    return fresh_states(planned, k, point)


def _result(
    operation: Operation, trajectory: Trajectory, held: Mapping[str, float], shapes: Shapes, limit: float
) -> PhaseResult:
    dae = operation.lowered.dae
    share = trajectory.duration / limit
    if 0.0 < share < 1.0 - 1e-12:  # cut short by an event: shapes are fractions of what was run
        shapes = {name: cut(profile, values, share) for name, (profile, values) in shapes.items()}
    return PhaseResult(
        name=operation.name,
        trajectory=trajectory,
        states=_names(dae.states),
        algebraics=_names(dae.algebraics),
        inputs=_names(dae.inputs),
        outputs=_names(dae.outputs),
        held=dict(held),
        shapes=shapes,
    )


def _names(variables: Sequence[Variable]) -> tuple[str, ...]:
    return tuple(variable.name for variable in variables)


def _check_starts(starts: Mapping[str, float], planned: Sequence[Operation]) -> None:
    """Every state has a start when its unit operation first becomes active; at rest it needs none."""
    known = {name for name, value in starts.items() if np.isfinite(value)}
    for operation in planned:
        known |= set(operation.resets)
        for variable in operation.lowered.dae.states:
            if variable.name not in known:
                raise SpecificationError(
                    f"Phase {operation.name!r}: state {variable.name} has no start.\n"
                    f"  Declare State(..., start=...), give it as a keyword of its unit operation, "
                    f"or set it by Phase(start={{{variable.name}: ...}})."
                )


def _check_accuracy(points: int, tolerance: float) -> None:
    if isinstance(points, bool) or not isinstance(points, int | np.integer) or points < 1:
        raise SpecificationError(f"points must be a whole number of at least 1, got {points!r}.")
    if not isinstance(tolerance, float) or not 0.0 < tolerance < 1.0:
        raise SpecificationError(f"tolerance must be a number between 0 and 1, such as 1e-8, got {tolerance!r}.")


def _source_of(plan: Solution, plant: Flowsheet | None, recipe: Recipe | None, inputs: Mapping[str, Any]) -> Source:
    """What a plan is replayed on. A loaded plan holds the values of its inputs phase by phase, and no functions."""
    source = plan.source
    plant = plant or (source.plant if source is not None else None)
    recipe = recipe or (source.recipe if source is not None else None)
    if plant is None or recipe is None:
        raise SpecificationError("replay: a plan that was loaded from a file needs replay(plan, plant, recipe).")
    planned, asked = list(plan.duration), [phase.name for phase in recipe]
    if planned != asked:
        raise SpecificationError(
            f"replay: the plan's phases are {', '.join(planned) or 'none'}, the recipe's {', '.join(asked)}.\n"
            f"  Give a recipe with the same phases."
        )
    plant = plant.with_values(plan.decided)
    if source is not None:
        return Source(plant, recipe, {**source.inputs, **inputs}, source.free)
    phases = []
    for phase, result in zip(recipe, plan.phases, strict=True):
        kept = {  # the shape holds the values
            plain_name(name): 0.0 if name == plain_name(name) else Exponential(values=[1.0, 1.0])
            for name in result.shapes
            if name not in phase.fixed
        }
        phases.append(replace(phase, inputs={**phase.inputs, **kept}))
    return Source(plant, Recipe(*phases), inputs, {})


def _solution(
    source: Source,
    planned: Sequence[Operation],
    strict: bool,
    run: Callable[[], tuple[PhaseResult, ...]],
    prefix: str = "",
) -> Solution:
    """A run as a solution, or what was reached of it."""
    began = time.perf_counter()
    message, status, integration = "", Status.SOLVED, None
    try:
        phases = run()
        notes = [phase.trajectory.note for phase in phases if phase.trajectory.note]
        message = "\n".join([*notes, *doubts(source.plant, planned, phases)])
    except StoppedRunError as stop:
        phases, message, status = stop.phases, f"{prefix}{stop.message}", Status.FAILED
        integration = stop.integration
    solution = solution_of(source, phases, status, message, time.perf_counter() - began, integration)
    if integration is not None:
        solution = _kept(solution)
    if strict and not status.ok:
        raise SolveError(solution.message, solution)
    return solution


def _kept(solution: Solution) -> Solution:
    """A run that failed, kept in a file, and its message, which says where."""
    path = Keeper.begin().write(lambda: record_of(solution))
    if path is None:
        return solution
    message = f"{solution.message}\n  `titer explain {path}` reads it from its file."
    return replace(solution, message=message, stats={**solution.stats, "kept": str(path)})


def solution_of(
    source: Source,
    phases: tuple[PhaseResult, ...],
    status: Status,
    message: str = "",
    seconds: float = 0.0,
    integration: Integration | None = None,
) -> Solution:
    """Phases that were run, as a solution; `integration`: the one that failed."""
    return Solution(
        kind="simulation",
        time=source.plant.time,
        units=labels_of(source.plant, [name for phase in phases for name in phase.algebraics]),
        phases=phases,
        values=dict(source.plant.values),
        status=status,
        stats={"seconds_total": seconds},
        start_report=StartReport([Rung("simulation", seconds, message.partition("\n")[0] or "complete")]),
        message=message,
        source=source,
        iterate=integration,
    )
