"""How does the real plant go on? It runs through its recipe piece by piece, whatever is done to it.

The truth is lowered once, before the loop; each stretch of time is then integrated from where the last one ended. Free
durations end when the controller says so, within their limits; an `until` ends its phase exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from titer.control.loops.tracks import added, kinks, of_shape, span
from titer.flowsheets.declarations import State
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.operation import Decided, Operation, operations
from titer.flowsheets.profiles import PiecewiseConstant
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.resetting import Point, fresh_states
from titer.flowsheets.shapes import given_shape, pieces_of
from titer.flowsheets.signals import Signal
from titer.flowsheets.simulation import parameters_of
from titer.numerics.dae import Array, starts
from titer.numerics.errors import SpecificationError
from titer.numerics.integration.integrate import integrate
from titer.numerics.integration.trajectory import Piece, Trajectory

_SAME = 1e-9  # of the time between samples: times closer than that are one


@dataclass(frozen=True, eq=False)
class Truth:
    """A plant under its recipe, ready to run. `points`: of output on each stretch; `near`: times closer are one."""

    plant: Flowsheet
    planned: tuple[Operation, ...]
    values: Mapping[str, float]
    points: int
    tolerance: float
    near: float

    @property
    def longest(self) -> float:
        """The longest that the recipe may last."""
        return sum(operation.duration.upper for operation in self.planned)


@dataclass(frozen=True, eq=False)
class Stretch:
    """A part of one phase that was run, with the pieces its inputs were given on."""

    phase: int
    trajectory: Trajectory
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, eq=False)
class Moment:
    """Where the truth is: in phase `phase`, of those that `began`; at rest between two phases once one is `ended`.

    `states`: of all units; `z`: algebraic variables of the phase; `given`: its inputs that nobody manipulates;
    `seen`: everything that has a value now; `sign`: from which side the end condition is approached, 0: unknown.
    `timeouts`: phases whose condition was not met in time.
    """

    clock: float
    phase: int
    began: tuple[float, ...]
    states: Mapping[str, float]
    z: Array
    given: Mapping[str, Signal]
    seen: Mapping[str, float] = field(default_factory=dict)
    sign: int = 0
    ended: bool = False
    timeouts: tuple[str, ...] = ()

    def over(self, truth: Truth) -> bool:
        """Whether the recipe is at its end."""
        return self.ended and self.phase == len(truth.planned) - 1


@dataclass(frozen=True, eq=False)
class Around:
    """What acts on the truth from outside: positions of the manipulated inputs, what is added to inputs (given ones
    too) and to parameters, and times at which phases of free duration are to end."""

    positions: Mapping[str, Signal]
    added: Mapping[str, Signal]
    shifted: Mapping[str, Signal]
    ends: Mapping[str, float]


def truth_of(
    plant: Flowsheet,
    recipe: Recipe,
    inputs: Mapping[str, Any],
    manipulated: Sequence[str],
    every: float,
    points: int,
    tolerance: float,
) -> Truth:
    """Lower a plant under its recipe. Raises SpecificationError for what does not fit."""
    free = {name: PiecewiseConstant(1) for name in manipulated}
    given = {name: value for name, value in inputs.items() if name not in free}
    planned = operations(plant, recipe, given, free)
    return Truth(plant, planned, dict(plant.values), points, tolerance, _SAME * every)


def begun(truth: Truth, start: Mapping[str, float], around: Around) -> Moment:
    """The first instant; `start`: states that begin elsewhere. Raises SpecificationError, SolveError."""
    states = {name: s.start for name, s in truth.plant.scalars.items() if s.kind == State.kind} | dict(start)
    first = truth.planned[0]
    dae = first.lowered.dae
    p = parameters_of(first, truth.values, {name: states[name] for name in first.lowered.held})
    x = np.array([states[v.name] for v in dae.states])
    nothing = (np.full(len(dae.algebraics), np.nan), np.full(len(dae.inputs), np.nan))
    moment = _entered(truth, Moment(0.0, 0, (), states, np.zeros(0), {}), 0, (0.0, x, *nothing, p))
    return _looked(truth, moment, around)[0]


def advanced(truth: Truth, moment: Moment, until: float, around: Around) -> tuple[Moment, list[Stretch]]:
    """Run to a time, or to the end of a phase: of the one that runs, or of the next where that has ended.

    Raises SolveError where the truth cannot be integrated.
    """
    if moment.ended:
        moment = _entered(truth, moment, moment.phase + 1, _point(truth, moment, around))
    end = _end(truth, moment, around)
    stop = end if abs(end - until) <= truth.near else min(until, end)
    if stop > moment.clock + truth.near:
        moment, found = _run(truth, moment, stop, around)
    else:
        moment, instant = _looked(truth, moment, around)
        found = [instant]
    if not moment.ended and moment.clock >= end - truth.near:
        operation = truth.planned[moment.phase]
        late = (operation.name,) if operation.event is not None else ()
        moment = replace(moment, ended=True, timeouts=(*moment.timeouts, *late))
    return moment, found


def _entered(truth: Truth, moment: Moment, k: int, point: Point) -> Moment:
    """The start of phase k, with what it sets."""
    operation = truth.planned[k]
    states = {**moment.states, **fresh_states(truth.planned, k, point)}
    for variable in operation.lowered.dae.states:
        if not np.isfinite(states[variable.name]):
            raise SpecificationError(
                f"Phase {operation.name!r}: state {variable.name} of the truth has no start.\n"
                f"  Declare State(..., start=...), or set it by Phase(start={{{variable.name}: ...}})."
            )
    limit, nominal = operation.duration.upper, operation.duration.guess
    given = {
        v.name: of_shape(given_shape(source, v.name, moment.clock, limit, operation, nominal), moment.clock, limit)
        for v, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True)
        if not isinstance(source, Decided)
    }
    z = starts(operation.lowered.dae.algebraics)
    return replace(
        moment, phase=k, began=(*moment.began, moment.clock), states=states, z=z, given=given, sign=0, ended=False
    )


def _end(truth: Truth, moment: Moment, around: Around) -> float:
    """When the phase ends unless its condition ends it before."""
    operation, began = truth.planned[moment.phase], moment.began[-1]
    duration = operation.duration
    if operation.event is not None:
        return began + duration.upper
    if duration.same_as:
        names = [each.name for each in truth.planned]
        k = names.index(duration.same_as)
        return began + moment.began[k + 1] - moment.began[k]
    asked = around.ends.get(operation.name, np.inf)
    return float(np.clip(asked, began + duration.lower, began + duration.upper))


def _run(truth: Truth, moment: Moment, stop: float, around: Around) -> tuple[Moment, list[Stretch]]:
    """Run inside a phase to a time, or to its condition; parameters are constant on each stretch."""
    cuts = [kinks(signal, moment.clock, stop) for signal in around.shifted.values()]
    edges = np.unique(np.concatenate([[moment.clock, stop], *cuts]))
    found: list[Stretch] = []
    for a, b in pairwise(edges.tolist()):
        moment, stretch = _stretched(truth, moment, a, b, around)
        found.append(stretch)
        if moment.ended:
            break
    return moment, found


def _stretched(truth: Truth, moment: Moment, a: float, b: float, around: Around) -> tuple[Moment, Stretch]:
    operation = truth.planned[moment.phase]
    dae, event = operation.lowered.dae, operation.event
    shapes = [_input(moment, around, v.name).over(a, b - a) for v in dae.inputs]
    pieces = pieces_of(shapes, b - a, b - a, np.zeros(0))
    if event is not None and moment.sign:
        event = replace(event, direction=moment.sign, begun=True)
    trajectory = integrate(
        dae, _states(moment, operation), _parameters(truth, moment, a, b, around), a, pieces, event,
        truth.points * len(pieces), independent=True, tolerance=truth.tolerance, z=moment.z,
    )  # fmt: skip
    reached = event is not None and trajectory.reached
    moment = _after(truth, moment, trajectory, ended=reached)
    if event is not None and not moment.sign:
        p = _parameters(truth, moment, a, b, around)
        t, x, z, u = trajectory.time[-1], trajectory.x[:, -1], trajectory.z[:, -1], trajectory.u[:, -1]
        moment = replace(moment, sign=event.direction or -int(np.sign(float(event.function(t, x, z, u, p)))))
    return moment, Stretch(moment.phase, trajectory, tuple(pieces))


def _looked(truth: Truth, moment: Moment, around: Around) -> tuple[Moment, Stretch]:
    """The instant itself, with everything that has a value in it."""
    operation, t = truth.planned[moment.phase], moment.clock
    dae = operation.lowered.dae
    u = np.array([span(_input(moment, around, v.name), t, t + 1e3 * truth.near)[0] for v in dae.inputs])
    p = _parameters(truth, moment, t, t + 1e3 * truth.near, around)
    piece = Piece(0.0, u, u)
    x = _states(moment, operation)
    trajectory = integrate(dae, x, p, t, [piece], independent=True, tolerance=truth.tolerance, z=moment.z)
    return _after(truth, moment, trajectory), Stretch(moment.phase, trajectory, ())


def _after(truth: Truth, moment: Moment, run: Trajectory, ended: bool = False) -> Moment:
    """The moment at the end of a trajectory."""
    dae = truth.planned[moment.phase].lowered.dae
    groups = ((dae.states, run.x), (dae.algebraics, run.z), (dae.inputs, run.u), (dae.outputs, run.y))
    seen = {v.name: float(row[-1]) for variables, rows in groups for v, row in zip(variables, rows, strict=True)}
    states = {**moment.states, **{v.name: seen[v.name] for v in dae.states}}
    clock = float(run.time[-1])
    return replace(moment, clock=clock, states=states, z=run.z[:, -1], seen={**states, **seen}, ended=ended)


def _point(truth: Truth, moment: Moment, around: Around) -> Point:
    """The last point of the phase that has ended."""
    operation = truth.planned[moment.phase]
    dae = operation.lowered.dae
    u = np.array([moment.seen[v.name] for v in dae.inputs])
    t = moment.clock
    p = _parameters(truth, moment, t - 1e3 * truth.near, t, around) if t > 0.0 else _plain(truth, moment)
    return t, _states(moment, operation), moment.z, u, p


def _states(moment: Moment, operation: Operation) -> Array:
    return np.array([moment.states[v.name] for v in operation.lowered.dae.states])


def _input(moment: Moment, around: Around, name: str) -> Signal:
    base = moment.given[name] if name in moment.given else around.positions[name]
    return added(base, around.added[name]) if name in around.added else base


def _plain(truth: Truth, moment: Moment) -> Array:
    operation = truth.planned[moment.phase]
    return parameters_of(operation, truth.values, {name: moment.states[name] for name in operation.lowered.held})


def _parameters(truth: Truth, moment: Moment, a: float, b: float, around: Around) -> Array:
    """The parameters of the phase on a stretch on which they are constant."""
    operation = truth.planned[moment.phase]
    shifted = {name: truth.values[name] + span(signal, max(a, 0.0), b)[0] for name, signal in around.shifted.items()}
    held = {name: moment.states[name] for name in operation.lowered.held}
    return parameters_of(operation, {**truth.values, **shifted}, held)
