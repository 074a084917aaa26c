"""How does a `Problem` become one `Nlp`? Every phase a block; links carry states, parameters and decisions between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import casadi as ca
import numpy as np

from titer.flowsheets.declarations import Parameter, State
from titer.flowsheets.operation import Decided, Operation
from titer.flowsheets.problem import FreeNumber, PhaseTerms, Placed, Problem, free_numbers
from titer.flowsheets.profiles import PiecewiseLinear
from titer.flowsheets.signals import Signal
from titer.flowsheets.simulation import given_shape
from titer.flowsheets.terms import AtTimes
from titer.numerics.dae import Dae, Variable
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import Grid, mesh, step_density
from titer.numerics.nlp import (
    Batch,
    Block,
    Columns,
    Decide,
    Fix,
    Labels,
    Link,
    Nlp,
    Same,
    Tie,
    Wire,
    join,
    slots_block,
)
from titer.numerics.segment import Integrand, PathRow, Profile, Segment
from titer.numerics.shooting import shoot
from titer.numerics.solution import PhaseResult
from titer.numerics.transcribe import Transcribed, transcribe

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Placement:
    """One phase of one run in the program: its block, the shapes of its inputs, and the values they were given."""

    terms: PhaseTerms
    transcribed: Transcribed
    dae: Dae  # with the totals as further states
    shapes: Mapping[str, tuple[Profile, Array]]  # shape and first values of each input

    @property
    def operation(self) -> Operation:
        return self.terms.operation

    @property
    def block(self) -> Block:
        return self.transcribed.block


@dataclass(frozen=True, eq=False)
class Assembled:
    """A problem as an `Nlp`, with what is needed to fill it and to read it."""

    problem: Problem
    nlp: Nlp
    runs: tuple[tuple[Placement, ...], ...]
    numbers: tuple[FreeNumber, ...]
    plants: tuple[Block, ...]  # one block of parameters per run


@dataclass
class _Build:
    """What grows while a problem is assembled."""

    problem: Problem
    numbers: tuple[FreeNumber, ...]
    blocks: list[Block] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)


def assemble(
    problem: Problem, terms: Sequence[Sequence[PhaseTerms]], nominal: Sequence[Sequence[PhaseResult]]
) -> Assembled:
    """Assemble a problem. `nominal`: a trajectory of each run, whose steps place the elements where the grid leaves it open."""
    build = _Build(problem, free_numbers(problem.plant, problem.free))
    plants = tuple(_parameters(build, r) for r in range(len(problem.runs)))
    runs: list[tuple[Placement, ...]] = []
    for r, phases in enumerate(terms):
        clock, placements = 0.0, []
        for k, phase in enumerate(phases):
            placement = _place(build, r, phase, phases[:k], nominal[r][k], clock, len(terms) > 1)
            placements.append(placement)
            build.blocks.append(placement.block)
            duration = phase.operation.duration
            clock += nominal[r][k].trajectory.duration if duration.free else duration.guess
        runs.append(tuple(placements))
        first = runs[0] if r and problem.share_decisions else None
        _wire_run(build, r, placements, plants[r], first)
    return Assembled(problem, join(build.blocks, build.links), tuple(runs), build.numbers, plants)


# --- one phase ---------------------------------------------------------------------------------------------


def _place(  # type: ignore[no-untyped-def]
    build: _Build,
    r: int,
    phase: PhaseTerms,
    before: Sequence[PhaseTerms],
    nominal: PhaseResult,
    clock: float,
    several: bool,
) -> Placement:
    operation, grid = phase.operation, build.problem.grid
    duration = nominal.trajectory.duration if operation.event is not None else operation.duration.guess
    shapes = {}
    fixed_times = not operation.duration.free and not any(p.operation.duration.free for p in before)
    for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
        if not fixed_times and isinstance(source, Signal) and not source.is_constant:
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
    dae = _with_totals(operation, phase.totals)
    segment = Segment(
        name=f"{r + 1}/{operation.name}" if several else operation.name,
        dae=dae,
        profiles=tuple(shape for shape, _ in shapes.values()),
        paths=tuple(PathRow(_widened(p.function, dae), p.lower, p.upper, p.term.label()) for p in phase.paths),
        integrands=tuple(Integrand(_widened(p.function, dae), p.weight) for p in phase.integrals),
        path_at_start=_decides_start(build, operation, before),
        needs_start=_reads_start(phase, operation),
    )
    ends = _ends(grid, segment, operation, nominal, phase.samples, clock, duration)
    if operation.phase.method is not None:
        transcribed = shoot(segment, ends, operation.phase.method)
    else:
        transcribed = transcribe(segment, ends, grid.degree, grid.points)
    if phase.samples:
        transcribed = _with_samples(transcribed, phase.samples, clock, duration, fixed_times)
    return Placement(phase, transcribed, dae, shapes)


def _decided_profile(source: Decided, duration: float, operation: Operation) -> Profile:
    edges = source.pieces.edges(duration, not operation.duration.free)
    return Profile.lines(edges) if isinstance(source.pieces, PiecewiseLinear) else Profile.steps(edges)


def _sampled_values(profile: Profile, shape: Profile, values: Array) -> Array:
    """A guessed trajectory at the pieces that are decided."""
    at = profile.edges if not profile.constant else 0.5 * (profile.edges[:-1] + profile.edges[1:])
    return shape.at(values, at)


def _decides_start(build: _Build, operation: Operation, before: Sequence[PhaseTerms]) -> bool:
    """Whether the state at a phase's first instant is decided, so that paths must hold there too."""
    if before:
        return any(not isinstance(value, float) for value in operation.resets.values())
    active = {v.name for v in operation.lowered.dae.states}
    return any(n.kind == State.kind and n.name in active for n in build.numbers)


def _reads_start(phase: PhaseTerms, operation: Operation) -> bool:
    """Whether anything reads algebraic variables at the first instant."""
    if not operation.lowered.dae.algebraics:
        return False
    return any(p.function.jac_sparsity(0, 2).nnz() for p in (*phase.at_start, *phase.paths))


def _ends(  # type: ignore[no-untyped-def]
    grid: Grid,
    segment: Segment,
    operation: Operation,
    nominal: PhaseResult,
    samples,
    clock: float,
    duration: float,
) -> Array:
    required = [segment.ends]
    for sample in samples:
        required.append((np.asarray(sample.term.times, dtype=float) - clock) / duration)
    method = operation.phase.method
    if method is not None:
        return mesh(np.concatenate(required), method.intervals or 1)
    count = grid.count(operation.name)
    if count is not None:
        return mesh(np.concatenate(required), count)
    density, count = step_density(nominal.trajectory.tau, nominal.trajectory.x, grid.degree)
    return mesh(np.concatenate(required), count, density)


def _with_totals(operation: Operation, totals: Sequence[Placed]) -> Dae:
    """The model with a further state for each integral that has a limit."""
    dae = operation.lowered.dae
    if not totals:
        return dae
    t, x, z, u, p = operation.lowered.symbols
    extra = ca.SX.sym("totals", len(totals))
    rate, zero, output = dae.function(t, x, z, u, p)
    rates = [placed.function(t, x, z, u, p) for placed in totals]
    function = ca.Function("plant", [t, ca.vertcat(x, extra), z, u, p], [ca.vertcat(rate, *rates), zero, output])
    states = tuple(Variable(_total_name(placed), placed.measure.label, start=0.0) for placed in totals)
    return replace(dae, function=function, states=(*dae.states, *states))


def _total_name(placed: Placed) -> str:
    return f"integral {placed.term.label()}"


def _widened(function: ca.Function, dae: Dae) -> ca.Function:
    """A function of the plant's point as one of the point with totals."""
    if function.numel_in(1) == len(dae.states):
        return function
    t, z = ca.SX.sym("t"), ca.SX.sym("z", len(dae.algebraics))
    x, u, p = (
        ca.SX.sym("x", len(dae.states)),
        ca.SX.sym("u", len(dae.inputs)),
        ca.SX.sym("p", len(dae.parameters)),
    )
    return ca.Function(function.name(), [t, x, z, u, p], [function(t, x[: function.numel_in(1)], z, u, p)])


def _with_samples(
    transcribed: Transcribed, samples: Sequence[Placed], clock: float, duration: float, fixed_times: bool
) -> Transcribed:
    """Add the squares of residuals over data to a block, each at its element end."""
    block = transcribed.block
    constants, batches = [block.constants], list(block.batches)
    size = block.size
    for sample in samples:
        term = sample.term
        assert isinstance(term, AtTimes)
        if not fixed_times:
            raise SpecificationError(f"{term.label()}: data need fixed durations, this phase's time is free.")
        times = np.asarray(term.times, dtype=float)
        tau = (times - clock) / duration
        chosen = np.flatnonzero((tau > 1e-9) & (tau <= 1.0 + 1e-9) | ((abs(tau) <= 1e-9) & (clock == 0.0)))
        if not len(chosen):
            continue
        index = _sample_index(transcribed, sample, tau[chosen])
        data = np.stack(
            [
                times[chosen],
                np.asarray(term.measured, float)[chosen],
                np.asarray(term.deviations, float)[chosen],
            ]
        )
        cells = size + np.arange(data.size).reshape(data.shape)
        size += data.size
        constants.append(data.ravel())
        function = _residual(transcribed.segment.dae, sample.function)
        stage = np.clip(np.searchsorted(transcribed.ends, tau[chosen] - 1e-9) - 1, 0, None)
        batches.append(
            Batch(
                function,
                np.concatenate([cells, index]),
                np.zeros(0),
                np.zeros(0),
                Labels.of([]),
                sample.weight,
                stage,
            )
        )
    return replace(transcribed, block=replace(block, constants=np.concatenate(constants), batches=tuple(batches)))


def _residual(dae: Dae, function: ca.Function) -> ca.Function:
    v = ca.SX.sym("v", 3 + sum(dae.sizes))
    t, measured, deviation = v[0], v[1], v[2]
    _, x, z, u, p = dae.split(ca.vertcat(t, v[3:]))
    residual = (_widened(function, dae)(t, x, z, u, p) - measured) / deviation
    return ca.Function("residual", [v], [ca.SX(0, 1), residual**2])


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
        piece = np.clip(np.searchsorted(profile.edges, tau - 1e-9) - 1, 0, len(profile.edges) - 2)
        on_edge = np.isclose(profile.edges[piece + 1], tau)
        if not profile.constant and not on_edge.all() and sample.function.jac_sparsity(0, 3).nnz():
            raise SpecificationError(
                f"{sample.term.label()}: reads {variable.name} inside a linear piece; put a node there."
            )
        rows.append(cells[profile.right[piece]])
    p = np.repeat(block.slot("parameters").cells[:, None], len(tau), axis=1)
    anywhere = block.slot("clock").cells[0]
    inputs = np.array(rows, dtype=int).reshape(len(rows), len(tau))
    return np.concatenate([x, np.where(z < 0, anywhere, z), inputs, p])


# --- one run: what stands in the slots -----------------------------------------------------------------------


def _parameters(build: _Build, r: int) -> Block:
    """The block of a run's parameters: free ones are decided once and shared by all runs."""
    plant = build.problem.runs[r].plant
    scalars = [s for s in plant.scalars.values() if s.kind == Parameter.kind]
    block = slots_block(f"parameters {r + 1}", values=len(scalars))
    build.blocks.append(block)
    decided = {n.name: n for n in build.numbers if n.kind == Parameter.kind}
    slot = block.slot("values")
    for i, scalar in enumerate(scalars):
        name = str(scalar.name)
        if name not in decided:
            build.links.append(Fix(slot[i], np.array([scalar.start]), name))
        elif r:
            build.links.append(Same(slot[i], build.blocks[0].slot("values")[i]))
        else:
            number = decided[name]
            build.links.append(Decide(slot[i], _columns([name], number.lower, number.upper)))
            if number.log:
                _decide_logarithm(build, number, slot[i])
    return block


def _decide_logarithm(build: _Build, number: FreeNumber, cell: Wire) -> None:
    block = slots_block(f"log {number.name}", value=1)
    build.blocks.append(block)
    upper = np.log(number.upper) if np.isfinite(number.upper) else np.inf
    lower = np.log(number.lower) if number.lower > 0.0 else -np.inf
    build.links.append(Decide(block.slot("value"), _columns([f"log {number.name}"], lower, upper)))
    v = ca.SX.sym("v", 2)
    tie = ca.Function("logarithm", [v], [ca.log(v[0]) - v[1], ca.SX(0.0)])
    build.links.append(_rows(tie, (cell, block.slot("value")), 0.0, 0.0, [f"log {number.name}"]))


def _wire_run(
    build: _Build,
    r: int,
    placements: Sequence[Placement],
    plant_block: Block,
    shared: Sequence[Placement] | None,
) -> None:
    run = build.problem.runs[r]
    links = build.links
    where: dict[str, Wire | float] = {n: s.start for n, s in run.plant.scalars.items() if s.kind == State.kind}
    last = {id(total.term): p.terms for p in placements for total in p.terms.totals}
    knows_time = _reads_time(placements)
    clock: Wire | float = 0.0
    for k, placement in enumerate(placements):
        block, operation = placement.block, placement.operation
        twin = shared[k] if shared is not None else None
        _wire_parameters(build, placement, plant_block, where)
        _wire_duration(build, placement, twin)
        _wire_inputs(build, placement, placements[k - 1] if k else None, twin)
        _wire_start(build, placement, placements[k - 1] if k else None, where, twin)
        links.append(
            _fixed(block.slot("clock"), clock, "clock")
            if isinstance(clock, float)
            else Same(block.slot("clock"), clock)
        )
        clock = _next_clock(build, placement, clock, knows_time and k + 1 < len(placements))
        end = block.port("end")
        where |= {v.name: end[i] for i, v in enumerate(placement.dae.states)}
        if operation.event is not None:
            residual = _at_end(placement, operation.event.function)
            links.append(_rows(residual, _end_wires(block), 0.0, 0.0, [operation.event.text], block.name, 1.0))
        _wire_terms(build, placement, last)


def _wire_parameters(
    build: _Build, placement: Placement, plant_block: Block, where: Mapping[str, Wire | float]
) -> None:
    slot, source = placement.block.slot("parameters"), plant_block.slot("values")
    held, fixed = placement.operation.lowered.held, placement.operation.fixed
    names = [v.name for v in placement.dae.parameters]
    plain = [i for i, name in enumerate(names[: len(names) - len(held)]) if name not in fixed]
    build.links.append(Same(slot[np.array(plain, dtype=int)], source[np.array(plain, dtype=int)]))
    for i, name in enumerate(names):
        if name in fixed:
            build.links.append(_fixed(slot[i], fixed[name], name))
        elif name in held:
            build.links.append(_carry(slot[i], where[name], name))


def _wire_duration(build: _Build, placement: Placement, twin: Placement | None) -> None:
    block, duration = placement.block, placement.operation.duration
    slot = block.slot("duration")
    if not duration.free:
        build.links.append(_fixed(slot, duration.guess, f"duration of {block.name}"))
    elif twin is not None and placement.operation.event is None:
        build.links.append(Same(slot, twin.block.slot("duration")))
    else:
        columns = _columns(
            [f"duration of {placement.operation.name}"], max(duration.lower, 1e-9), duration.upper, block.name
        )
        build.links.append(Decide(slot, columns))


def _wire_inputs(build: _Build, placement: Placement, before: Placement | None, twin: Placement | None) -> None:
    block = placement.block
    for variable, source in zip(placement.operation.lowered.dae.inputs, placement.operation.inputs, strict=True):
        slot = block.slot(f"input:{variable.name}")
        profile, values = placement.shapes[variable.name]
        if not isinstance(source, Decided):
            build.links.append(Fix(slot, values, variable.name))
            continue
        if twin is not None:
            build.links.append(Same(slot, twin.block.slot(f"input:{variable.name}")))
            continue
        linear = isinstance(source.pieces, PiecewiseLinear)
        joined = linear and before is not None and _is_linear(before, variable.name)
        if joined:
            assert before is not None
            build.links.append(Same(slot[0], before.block.slot(f"input:{variable.name}")[-1]))
        first = 1 if joined else 0
        at = profile.edges if linear else profile.edges[:-1]
        labels = Labels.of([variable.name] * (profile.count - first), block.name, at[first:])
        count = profile.count - first
        columns = Columns(
            labels, np.full(count, source.lower), np.full(count, source.upper), np.zeros(count, dtype=bool)
        )
        build.links.append(Decide(slot[first:], columns))
        rate = getattr(source.pieces, "rate", None)
        if rate is not None:
            _limit_rate(build, placement, variable.name, slot, profile, rate)


def _limit_rate(build: _Build, placement: Placement, name: str, slot: Wire, profile: Profile, rate: float) -> None:
    for i, width in enumerate(np.diff(profile.edges)):
        v = ca.SX.sym("v", 3)
        change, allowed = v[1] - v[0], rate * float(width) * v[2]
        rows = ca.Function("rate", [v], [ca.vertcat(change - allowed, -change - allowed), ca.SX(0.0)])
        names = [f"rate of change of {name}, rising", f"rate of change of {name}, falling"]
        wires = (slot[i], slot[i + 1], placement.block.slot("duration"))
        build.links.append(_rows(rows, wires, -np.inf, 0.0, names, placement.block.name, float(profile.edges[i])))


def _is_linear(placement: Placement, name: str) -> bool:
    for variable, source in zip(placement.operation.lowered.dae.inputs, placement.operation.inputs, strict=True):
        if variable.name == name:
            return isinstance(source, Decided) and isinstance(source.pieces, PiecewiseLinear)
    return False


def _wire_start(
    build: _Build,
    placement: Placement,
    before: Placement | None,
    where: Mapping[str, Wire | float],
    twin: Placement | None,
) -> None:
    block, operation = placement.block, placement.operation
    slot = block.slot("start")
    decided = {n.name: n for n in build.numbers if n.kind == State.kind}
    for i, variable in enumerate(placement.dae.states):
        name, cell = variable.name, slot[i]
        reset = operation.resets.get(name)
        if isinstance(reset, float):
            build.links.append(_fixed(cell, reset, name))
        elif reset is not None:
            assert before is not None
            columns = Columns(
                Labels.of([name], block.name, 0.0),
                np.array([variable.lower]),
                np.array([variable.upper]),
                np.ones(1, bool),
            )
            build.links.append(Decide(cell, columns))
            size = sum(before.dae.sizes)
            v = ca.SX.sym("v", 3 + size)
            point = before.dae.split(ca.vertcat(v[0] + v[1], v[2 : 2 + size]))
            row = ca.Function("reset", [v], [v[2 + size] - _widened(reset, before.dae)(*point), ca.SX(0.0)])
            build.links.append(
                _rows(row, (*_end_wires(before.block), cell), 0.0, 0.0, [f"{name} reset"], block.name, 0.0)
            )
        elif before is None and name in decided:
            if twin is not None:
                build.links.append(Same(cell, twin.block.slot("start")[i]))
            else:
                number = decided[name]
                build.links.append(Decide(cell, _columns([name], number.lower, number.upper, block.name, 0.0)))
        else:
            build.links.append(_carry(cell, where.get(name, 0.0), name))


def _wire_terms(build: _Build, placement: Placement, last: Mapping[int, PhaseTerms]) -> None:
    block, terms = placement.block, placement.terms
    for placed, instant in [(p, 0) for p in terms.at_start] + [(p, 1) for p in terms.at_end]:
        function = _widened(placed.function, placement.dae)
        v = ca.SX.sym("v", 2 + sum(placement.dae.sizes))
        value = function(*placement.dae.split(ca.vertcat(v[0] + (v[1] if instant else 0.0), v[2:])))
        start = block.ports["start"].copy()
        start[start < 0] = block.slot("clock").cells[0]  # algebraic variables that the term does not read
        wires = _end_wires(block) if instant else (block.slot("clock"), block.slot("duration"), Wire(block.name, start))
        _add_term(build, placed, v, value, wires, block.name, float(instant))
    for placed in terms.totals:
        if last[id(placed.term)] is terms:  # a total is carried from phase to phase; its limit holds at its end
            i = [v.name for v in placement.dae.states].index(_total_name(placed))
            v = ca.SX.sym("v", 1)
            _add_term(build, placed, v, v, (block.port("end")[i],), block.name, 1.0)


def _add_term(build: _Build, placed: Placed, v, value, wires, phase: str, tau: float) -> None:  # type: ignore[no-untyped-def]
    if placed.weight:
        function = ca.Function("cost", [v], [ca.SX(0, 1), value])
        build.links.append(Tie(function, wires, np.zeros(0), np.zeros(0), Labels.of([]), placed.weight))
    if np.isfinite(placed.lower) or np.isfinite(placed.upper):
        function = ca.Function("limit", [v], [value, ca.SX(0.0)])
        build.links.append(_rows(function, wires, placed.lower, placed.upper, [placed.term.label()], phase, tau))


def _next_clock(build: _Build, placement: Placement, clock: Wire | float, wanted: bool) -> Wire | float:
    duration = placement.operation.duration
    if not wanted:
        return 0.0
    if isinstance(clock, float) and not duration.free:
        return clock + duration.guess
    block = slots_block(f"clock after {placement.block.name}", time=1)
    build.blocks.append(block)
    cell = block.slot("time")
    build.links.append(Decide(cell, _columns([f"time at the end of {placement.block.name}"], -np.inf, np.inf)))
    v = ca.SX.sym("v", 3)
    row = ca.Function("clock", [v], [v[2] - v[0] - v[1], ca.SX(0.0)])
    wires = (placement.block.slot("clock"), placement.block.slot("duration"), cell)
    build.links.append(_rows(row, wires, 0.0, 0.0, [f"time at the end of {placement.block.name}"]))
    return cell


def _reads_time(placements: Sequence[Placement]) -> bool:
    for placement in placements:
        terms = placement.terms
        functions = [p.function for p in (*terms.at_start, *terms.at_end, *terms.totals)]
        resets = [f for f in placement.operation.resets.values() if not isinstance(f, float)]
        events = [placement.operation.event.function] if placement.operation.event else []
        if placement.transcribed.segment.knows_time or placement.dae.depends_on_time(*functions, *resets, *events):
            return True
    return False


def _end_wires(block: Block) -> tuple[Wire, ...]:
    return block.slot("clock"), block.slot("duration"), block.port("end")


def _at_end(placement: Placement, function: ca.Function) -> ca.Function:
    v = ca.SX.sym("v", 2 + sum(placement.dae.sizes))
    point = placement.dae.split(ca.vertcat(v[0] + v[1], v[2:]))
    return ca.Function("until", [v], [_widened(function, placement.dae)(*point), ca.SX(0.0)])


def _carry(cell: Wire, value: Wire | float, name: str) -> Link:
    return _fixed(cell, value, name) if isinstance(value, float) else Same(cell, value)


def _fixed(cell: Wire, value: float, name: str) -> Fix:
    return Fix(cell, np.array([value]), name)


def _columns(names: list[str], lower: float, upper: float, phase: str = "", tau: float = np.nan) -> Columns:
    n = len(names)
    return Columns(Labels.of(names, phase, tau), np.full(n, lower), np.full(n, upper), np.zeros(n, dtype=bool))


def _rows(  # type: ignore[no-untyped-def]
    function, wires, lower: float, upper: float, names: list[str], phase: str = "", tau: float = np.nan
) -> Tie:
    n = len(names)
    return Tie(function, wires, np.full(n, lower), np.full(n, upper), Labels.of(names, phase, tau))
