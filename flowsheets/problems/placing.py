"""How does one phase of a problem become a block? Its model, inputs, elements, terms and data, transcribed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import casadi as ca
import numpy as np

from titer.flowsheets.operation import Decided, Operation
from titer.flowsheets.problems.problem import PhaseTerms, Placed
from titer.flowsheets.problems.sampling import CLOSE
from titer.flowsheets.shapes import given_shape
from titer.flowsheets.signals import Signal
from titer.flowsheets.terms import AtTimes
from titer.numerics.dae import Dae, Variable
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import Grid, mesh, step_density
from titer.numerics.nlp import (
    Batch,
    Block,
    Labels,
)
from titer.numerics.segment import Integrand, PathRow, Profile, Segment
from titer.numerics.shooting import Shooting, shoot
from titer.numerics.solution import PhaseResult
from titer.numerics.transcribe import Transcribed, transcribe

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Sampled:
    """A term over data in the program: `model`: v -> its value at a sample; `index` (arguments, samples): cells of the
    block that v reads; `data` (3, samples): cells of times, measured values and deviations."""

    placed: Placed
    model: ca.Function
    index: Array
    data: Array


@dataclass(frozen=True, eq=False)
class Placement:
    """One phase of one run in the program: its block, the shapes of its inputs, and the values they were given."""

    terms: PhaseTerms
    transcribed: Transcribed
    dae: Dae  # with the totals as further states
    shapes: Mapping[str, tuple[Profile, Array]]  # shape and first values of each input
    samples: tuple[Sampled, ...] = ()
    rooms: tuple[int, ...] = ()  # chances whose rooms follow the model's parameters
    method: Shooting | None = None  # None: collocation

    @property
    def operation(self) -> Operation:
        return self.terms.operation

    @property
    def block(self) -> Block:
        return self.transcribed.block


@dataclass(frozen=True, eq=False)
class Setting:
    """Where a phase stands: the name of its block, the grid, its nominal start, whether its times are fixed numbers,
    and whether it is shot."""

    name: str
    grid: Grid
    clock: float
    fixed_times: bool
    method: Shooting | None = None  # None: collocation


def place(phase: PhaseTerms, nominal: PhaseResult, setting: Setting) -> Placement:
    """Transcribe a phase; where the grid leaves its elements open, they follow the steps of the nominal trajectory."""
    operation, clock = phase.operation, setting.clock
    duration = nominal.trajectory.duration if operation.event is not None else operation.duration.guess
    shapes = {}
    for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
        if not setting.fixed_times and isinstance(source, Signal) and not source.is_constant:
            raise SpecificationError(
                f"Phase {operation.name!r}: {variable.name} is given over time, but this phase's time is free.\n"
                f"  Give it as a NumPy function of time, as pieces of the phase (PiecewiseConstant(values=[...])), "
                f"or fix the durations up to here."
            )
        shape, values = given_shape(source, variable.name, clock, duration, operation, duration)
        if isinstance(source, Decided) and isinstance(source.guess, Signal):
            profile = _decided_profile(source, duration, operation)
            shape, values = profile, _sampled_values(profile, shape, values)
        shapes[variable.name] = (
            shape,
            np.clip(values, source.lower, source.upper) if isinstance(source, Decided) else values,
        )
    rooms = tuple(sorted({p.chance for p in phase.paths if p.chance is not None}))
    dae = _with_rooms(_with_totals(operation, phase.carried), rooms)
    segment = Segment(
        name=setting.name,
        dae=dae,
        profiles=tuple(shape for shape, _ in shapes.values()),
        paths=tuple(row for p in phase.paths for row in _path_rows(p, dae, rooms)),
        integrands=tuple(Integrand(widened(p.function, dae), p.weight) for p in phase.integrals if not phase.gathered),
        needs_start=_reads_start(phase, operation),
        movable=_movable(operation, shapes, setting.method is not None),
    )
    ends = _ends(setting, segment, phase, nominal, duration)
    if setting.method is not None:
        transcribed = shoot(segment, ends, setting.method)
    else:
        transcribed = transcribe(segment, ends, setting.grid.degree, setting.grid.points)
    samples: tuple[Sampled, ...] = ()
    if phase.samples:
        transcribed, samples = _with_samples(transcribed, phase.samples, clock, duration, setting.fixed_times)
    return Placement(phase, transcribed, dae, shapes, samples, rooms, setting.method)


def _decided_profile(source: Decided, duration: float, operation: Operation) -> Profile:
    edges = source.pieces.edges(duration, not operation.duration.free)
    return Profile.lines(edges) if source.pieces.linear else Profile.steps(edges)


def _sampled_values(profile: Profile, shape: Profile, values: Array) -> Array:
    """A guessed trajectory at the pieces that are decided."""
    at = profile.edges if not profile.constant else 0.5 * (profile.edges[:-1] + profile.edges[1:])
    return shape.at(values, at)


def _movable(operation: Operation, shapes: Mapping[str, tuple[Profile, Array]], shot: bool) -> Array | None:
    """Ends of pieces that are decided. Raises SpecificationError where another input has ends that are not."""
    edges, others = [], []
    for source, (profile, values) in zip(operation.inputs, shapes.values(), strict=True):
        if isinstance(source, Decided) and getattr(source.pieces, "switching", False):
            edges.append(profile.edges)
        else:
            others.append(profile.edges if isinstance(source, Decided) else profile.kinks(values))
    if not edges:
        return None
    fixed = np.setdiff1d(np.concatenate([np.zeros(0), *others]), [0.0, 1.0])
    if len(fixed) or shot:
        raise SpecificationError(
            f"Phase {operation.name!r}: switching=True moves the ends of pieces, but another input keeps its own.\n"
            f"  Let every input of the phase that has pieces switch, or be constant; a shot phase cannot switch."
        )
    return np.unique(np.concatenate(edges))


def _reads_start(phase: PhaseTerms, operation: Operation) -> bool:
    """Whether anything reads algebraic variables at the first instant."""
    if not operation.lowered.dae.algebraics:
        return False
    return any(
        p.function.jac_sparsity(0, 2).nnz() for p in (*phase.at_start, *(path for path in phase.paths if path.at_start))
    )


def _ends(setting: Setting, segment: Segment, phase: PhaseTerms, nominal: PhaseResult, duration: float) -> Array:
    """Ends of the elements: where inputs change piece and samples were taken, and as many more as are wanted."""
    operation, grid, clock = phase.operation, setting.grid, setting.clock
    required = [segment.ends]
    for sample in phase.samples:
        assert isinstance(sample.term, AtTimes)
        required.append((np.asarray(sample.term.times, dtype=float)[sample.chosen] - clock) / duration)
    if setting.method is not None:
        return mesh(np.concatenate(required), setting.method.intervals or 1)
    asked = grid.asked(operation.name)
    if isinstance(asked, np.ndarray):
        return mesh(np.concatenate([*required, asked]), 1)
    if asked is not None:
        return mesh(np.concatenate(required), asked)
    density, count = step_density(nominal.trajectory.tau, nominal.trajectory.x, grid.degree)
    return mesh(np.concatenate(required), count, density)


def _with_totals(operation: Operation, totals: Sequence[Placed]) -> Dae:
    """The model with a further state for each integral that is carried along."""
    dae = operation.lowered.dae
    if not totals:
        return dae
    t, x, z, u, p = (ca.SX.sym("a", n) for n in (1, *dae.sizes))
    extra = ca.SX.sym("totals", len(totals))
    rate, zero, output = dae.function(t, x, z, u, p)
    rates = [widened(placed.function, dae)(t, x, z, u, p) for placed in totals]
    function = ca.Function("plant", [t, ca.vertcat(x, extra), z, u, p], [ca.vertcat(rate, *rates), zero, output])
    states = tuple(Variable(total_name(placed), placed.measure.label, start=0.0) for placed in totals)
    return replace(dae, function=function, states=(*dae.states, *states))


def _with_rooms(dae: Dae, rooms: Sequence[int]) -> Dae:
    """The model with a further parameter for each chance: the room that its limit has in this run."""
    if not rooms:
        return dae
    point = [ca.SX.sym("a", n) for n in (1, *dae.sizes)]
    wide = [*point[:-1], ca.vertcat(point[-1], ca.SX.sym("room", len(rooms)))]
    parameters = (*dae.parameters, *(Variable(f"room {i + 1}") for i in rooms))
    return replace(dae, function=ca.Function("plant", wide, dae.function(*point)), parameters=parameters)


def _path_rows(placed: Placed, dae: Dae, rooms: Sequence[int]) -> list[PathRow]:
    """The rows of a path; one with room has a row for each of its limits."""
    function, label, at_start = widened(placed.function, dae), placed.term.label(), placed.at_start
    if placed.chance is None:
        return [PathRow(function, placed.lower, placed.upper, label, at_start)]
    point = [ca.SX.sym("a", n) for n in (1, *dae.sizes)]
    value, room = function(*point), point[-1][len(dae.parameters) - len(rooms) + rooms.index(placed.chance)]
    return [
        PathRow(ca.Function("path", point, [value + way * room]), *limits, label, at_start)
        for way, limits in roomy(placed)
    ]


def roomy(placed: Placed) -> list[tuple[float, tuple[float, float]]]:
    """The finite limits of a term with room: the sign with which its room is added, and the limits of that row."""
    rows = [(-1.0, (-np.inf, placed.upper)), (1.0, (placed.lower, np.inf))]
    return [(way, limits) for way, limits in rows if np.isfinite(limits).any()]


def total_name(placed: Placed) -> str:
    return f"integral {placed.term.label()}"


def widened(function: ca.Function, dae: Dae) -> ca.Function:
    """A function of the plant's point as one of the point with totals, further inputs and rooms."""
    nx, nu, count = function.numel_in(1), function.numel_in(3), function.numel_in(4)
    if (nx, nu, count) == (len(dae.states), len(dae.inputs), len(dae.parameters)):
        return function
    t, z = ca.SX.sym("t"), ca.SX.sym("z", len(dae.algebraics))
    x, u, p = (
        ca.SX.sym("x", len(dae.states)),
        ca.SX.sym("u", len(dae.inputs)),
        ca.SX.sym("p", len(dae.parameters)),
    )
    return ca.Function(function.name(), [t, x, z, u, p], [function(t, x[:nx], z, u[:nu], p[:count])])


def _with_samples(
    transcribed: Transcribed, samples: Sequence[Placed], clock: float, duration: float, fixed_times: bool
) -> tuple[Transcribed, tuple[Sampled, ...]]:
    """Add the squares of residuals over data to a block, each at its element end."""
    block = transcribed.block
    constants, batches, found = [block.constants], list(block.batches), []
    size = block.size
    for sample in samples:
        term = sample.term
        assert isinstance(term, AtTimes)
        if not fixed_times:
            raise SpecificationError(f"{term.label()}: data need fixed durations, this phase's time is free.")
        columns = (term.times, term.measured, term.deviations)
        data = np.stack([np.asarray(column, dtype=float)[sample.chosen] for column in columns])
        tau = (data[0] - clock) / duration
        index = _sample_index(transcribed, sample, tau)
        cells = size + np.arange(data.size).reshape(data.shape)
        size += data.size
        constants.append(data.ravel())
        model = _model(transcribed.segment.dae, sample.function)
        found.append(Sampled(sample, model, np.concatenate([cells[:1], index]), cells))
        stage = np.clip(np.searchsorted(transcribed.ends, tau - CLOSE) - 1, 0, None)
        batches.append(
            Batch(
                _cost(model, term.loss),
                np.concatenate([cells, index]),
                np.zeros(0),
                np.zeros(0),
                Labels.of([]),
                sample.weight,
                stage,
            )
        )
    block = replace(block, constants=np.concatenate(constants), batches=tuple(batches))
    return replace(transcribed, block=block), tuple(found)


def _model(dae: Dae, function: ca.Function) -> ca.Function:
    """(t, x, z, u, p) in one vector -> what is measured."""
    v = ca.SX.sym("v", dae.point_size)
    return ca.Function("model", [v], [widened(function, dae)(*dae.split(v))])


def _cost(model: ca.Function, loss: Any) -> ca.Function:
    """(t, measured, deviation, x, z, u, p) -> no rows, and what the residual costs."""
    v = ca.SX.sym("v", 2 + model.numel_in(0))
    t, measured, deviation = v[0], v[1], v[2]
    square = ((model(ca.vertcat(t, v[3:])) - measured) / deviation) ** 2
    return ca.Function("residual", [v], [ca.SX(0, 1), square if loss is None else loss.cost(square)])


def _sample_index(transcribed: Transcribed, sample: Placed, tau: Array) -> Array:
    """Cells (x, z, u, p) at sample positions, which are ends of elements."""
    block, dae = transcribed.block, transcribed.segment.dae
    at = np.abs(transcribed.tau[None, :] - tau[:, None]).argmin(axis=1)
    x, z = block.ports["x"][:, at], block.ports["z"][:, at]
    if sample.function.jac_sparsity(0, 2).nnz() and (z < 0).any():
        raise SpecificationError(
            f"{sample.term.label()}: reads algebraic variables where the grid does not know them; "
            f"use Grid(points=Points.RADAU), and no sample at the very start."
        )
    rows = []
    for variable, profile in zip(dae.inputs, transcribed.segment.profiles, strict=True):
        cells = block.slot(f"input:{variable.name}").cells
        piece = np.clip(np.searchsorted(profile.edges, tau - CLOSE) - 1, 0, len(profile.edges) - 2)
        first = tau <= CLOSE
        on_edge = first | np.isclose(profile.edges[piece + 1], tau, rtol=0.0, atol=CLOSE)
        if not profile.constant and not on_edge.all() and sample.function.jac_sparsity(0, 3).nnz():
            raise SpecificationError(
                f"{sample.term.label()}: reads {variable.name} inside a linear piece; put a node there."
            )
        rows.append(cells[np.where(first, profile.left[piece], profile.right[piece])])
    p = np.repeat(block.slot("parameters").cells[:, None], len(tau), axis=1)
    anywhere = block.slot("clock").cells[0]
    inputs = np.array(rows, dtype=int).reshape(len(rows), len(tau))
    return np.concatenate([x, np.where(z < 0, anywhere, z), inputs, p])
