"""What is solved at a sample? The program of one horizon, built once; a sample only changes its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from titer.control.nmpc.moves import Handle, Sequences, with_moves
from titer.control.nmpc.posing import Wanted, part_names, problem_of
from titer.control.nmpc.soft import Price, Slacks, Soft, with_slacks
from titer.control.nmpc.timetable import Horizon
from titer.flowsheets.declarations import Parameter
from titer.flowsheets.operation import Decided
from titer.flowsheets.problems.assembly import Assembled, Placement, assemble
from titer.flowsheets.problems.domains import room
from titer.flowsheets.problems.filling import column_sizes
from titer.flowsheets.problems.guesses import filled, nominal_runs
from titer.flowsheets.problems.ladder import Ladder
from titer.flowsheets.problems.problem import phases_of
from titer.flowsheets.problems.wiring import before_block
from titer.numerics.dae import Array
from titer.numerics.nlp import Nlp
from titer.numerics.program import Program as Functions
from titer.numerics.program import Scaling
from titer.numerics.solvers import Engine, Ipopt

_HARD = 1e3  # the price of missing a hard limit that cannot be met, in slopes of the objective


@dataclass(frozen=True, eq=False)
class Cells:
    """Where a sample's numbers stand in the data of a program.

    `starts` {state: cells}, `clocks` (cells, their times on the horizon), `parameters` {name: cells}, `before` {input:
    cell}, `given`: what stands in inputs that are not decided, part by part; `totals` {name: cells}.
    """

    starts: Mapping[str, Array]
    clocks: tuple[Array, Array]
    parameters: Mapping[str, Array]
    before: Mapping[str, int]
    given: tuple[Given, ...]
    totals: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Given:
    """An input that is not decided, in one part of the horizon: its cells, and from when to when each of them holds,
    counted from the start of the horizon, or of the part where that begins with its phase."""

    name: str
    phase: int
    cells: Array
    begins: Array
    ends: Array
    clock: float  # when the part begins on the horizon, as planned


@dataclass(frozen=True, eq=False)
class Moves:
    """The decided values of an input along the horizon: their columns, and when each begins as planned."""

    columns: Array
    begins: Array


@dataclass(frozen=True, eq=False)
class Program:
    """The program of a horizon, with what is needed to fill it, to solve it and to read it."""

    horizon: Horizon
    assembled: Assembled
    engine: Engine
    scaling: Scaling
    first: Array
    cells: Cells
    moves: tuple[Mapping[str, Moves], ...]  # of each run
    durations: Mapping[int, int]  # phase -> column of its decided (last) duration
    slacks: Slacks

    @property
    def nlp(self) -> Nlp:
        return self.engine.nlp


def program_of(
    wanted: Wanted, horizon: Horizon, handles: Sequence[Handle], softs: Mapping[str, Soft], solver: Ipopt
) -> Program:
    """Build the program of a horizon. Raises SpecificationError, SolveError where nothing runs there."""
    problem = problem_of(wanted, horizon)
    terms = [phases_of(run, problem.free) for run in problem.runs]
    nominal = nominal_runs(problem, terms, [None] * len(problem.runs), Ladder())
    assembled = assemble(problem, terms, nominal.runs)
    sizes = _grown(assembled, column_sizes(assembled, nominal.runs), wanted)
    first = filled(assembled, nominal.runs, {})
    bare = replace(assembled.nlp, room=room(assembled, nominal.runs, sizes))
    slope = _slope(bare, first, sizes)
    prices, hard = _prices(assembled, slope, softs)
    nlp, slacks = with_slacks(bare, prices, hard, _durations_of_batches(assembled, bare))
    sizes, first = np.concatenate([sizes, slacks.sizes]), np.concatenate([first, np.zeros(len(slacks.sizes))])
    moves = tuple(_moves(nlp, placements, handles) for placements in assembled.runs)
    weights = [1.0] if problem.hedge is None else [float(w) for w in problem.hedge.weights]
    steps = tuple({name: (m.columns, _held(m, wanted.table.every)) for name, m in run.items()} for run in moves)
    nlp, before = with_moves(nlp, handles, Sequences(steps, weights))
    assembled = replace(assembled, nlp=nlp)
    engine = Engine(nlp, solver)
    return Program(
        horizon=horizon,
        assembled=assembled,
        engine=engine,
        scaling=Scaling(sizes, engine.scaling(first, sizes).rows, 1.0 / slope),
        first=first,
        cells=_cells(assembled, before, horizon),
        moves=moves,
        durations=_durations(assembled, wanted, horizon),
        slacks=slacks,
    )


def _grown(assembled: Assembled, sizes: Array, wanted: Wanted) -> Array:
    """Sizes no smaller than those along the whole recipe: what is used up here was there before."""
    seen: dict[str, float] = {}
    for result in wanted.nominal:
        for name, values in result.columns():
            finite = np.abs(values[np.isfinite(values)])
            seen[name] = max(seen.get(name, 0.0), float(finite.max(initial=0.0)))
    texts = [str(text) for group in assembled.nlp.labels for text in group.texts]
    least = np.array([seen.get(text, 0.0) for text in texts])
    least = np.where(assembled.nlp.domain, least, 0.0)
    return 2.0 ** np.round(np.log2(np.maximum(sizes, least)))


def _slope(nlp: Nlp, w: Array, sizes: Array) -> float:
    """The largest scaled slope of the objective, without what misses of limits cost."""
    functions = Functions(nlp)
    gradient = functions.gradient(w / sizes, functions.parameters(Scaling(sizes, np.ones(nlp.rows))))[1]
    slope = float(np.abs(np.nan_to_num(np.array(gradient), posinf=0.0, neginf=0.0)).max(initial=0.0))
    return float(np.clip(slope, 1e-6, 1e8)) if slope > 0.0 else 1.0


def _prices(assembled: Assembled, slope: float, softs: Mapping[str, Soft]) -> tuple[dict[str, Price], list[str]]:
    """What missing a limit costs: as declared, or of a hard one so much that it is missed only where it must be."""
    limits = _limits(assembled)
    hard = [label for label in limits if label not in softs]
    prices = {label: Price(_HARD * slope / limits[label], 0.0, limits[label]) for label in hard}
    for label in limits:
        if label in softs:
            prices[label] = Price(softs[label].linear, softs[label].quadratic, limits[label])
    return prices, hard


def _limits(assembled: Assembled) -> dict[str, float]:
    """Terms with limits, and the size of each limit."""
    found: dict[str, float] = {}
    for placement in (placement for run in assembled.runs for placement in run):
        terms = placement.terms
        for placed in (*terms.paths, *terms.at_start, *terms.at_end, *terms.totals):
            finite = [abs(b) for b in (placed.lower, placed.upper) if np.isfinite(b)]
            if finite and placed.lower < placed.upper:
                found[placed.term.label()] = max(*finite, 1e-3)
    return found


def _durations_of_batches(assembled: Assembled, nlp: Nlp) -> dict[int, Array]:
    """How long each copy of a batch stands for, as planned: an element its length, an instant that of a mean one."""
    placements = {p.block.name: p for run in assembled.runs for p in run}
    found = {}
    for b, batch in enumerate(nlp.batches):
        placement = placements.get(batch.labels.phase)
        if placement is None or batch.stage is None:
            continue
        lengths = np.diff(placement.transcribed.ends) * placement.operation.duration.guess
        found[b] = lengths if batch.copies == len(lengths) else np.full(batch.copies, float(lengths.mean()))
    return found


def _moves(nlp: Nlp, placements: Sequence[Placement], handles: Sequence[Handle]) -> dict[str, Moves]:
    """The decided values of each input, in time."""
    found: dict[str, Moves] = {}
    for handle in handles:
        columns, begins, clock = [], [], 0.0
        for placement in placements:
            duration = placement.operation.duration.guess
            for variable, source in zip(
                placement.operation.lowered.dae.inputs, placement.operation.inputs, strict=True
            ):
                if variable.name == handle.name and isinstance(source, Decided):
                    profile, _ = placement.shapes[variable.name]
                    cells = nlp.cells[placement.block.name][placement.block.slot(f"input:{variable.name}").cells]
                    columns.append(cells)
                    begins.append(clock + profile.edges[:-1] * duration)
            clock += duration
        if columns:
            found[handle.name] = Moves(np.concatenate(columns), np.concatenate(begins))
    return found


def _held(moves: Moves, every: float) -> Array:
    """How long the value before each move was held; the one that is applied now, for an interval."""
    return np.concatenate([[every], np.round(np.diff(moves.begins), 12)])


def _durations(assembled: Assembled, wanted: Wanted, horizon: Horizon) -> dict[int, int]:
    names = part_names(wanted.table, horizon)
    found = {}
    for part, name, placement in zip(horizon.parts, names, assembled.runs[0], strict=True):
        if part.open:
            assert placement.operation.name == name
            found[part.phase] = int(
                assembled.nlp.cells[placement.block.name][placement.block.slot("duration").cells[0]]
            )
    return found


def _cells(assembled: Assembled, before: Mapping[str, int], horizon: Horizon) -> Cells:
    starts: dict[str, list[int]] = {}
    totals: dict[str, list[int]] = {}
    given: list[Given] = []
    clocks: list[tuple[int, float]] = []
    nlp = assembled.nlp
    for placements in assembled.runs:
        seen: set[str] = set()
        clock = 0.0
        for k, placement in enumerate(placements):
            block, operation = placement.block, placement.operation
            cells = nlp.cells[block.name]
            _note_starts(placement, cells, seen, starts, totals)
            if k == 0 and before_block(block.name) in nlp.cells:
                states = [v.name for v in operation.lowered.dae.states]
                for name, cell in zip(states, nlp.cells[before_block(block.name)], strict=True):
                    starts.setdefault(name, []).append(int(cell))
            at = int(cells[block.slot("clock").cells[0]])
            if at >= nlp.columns:
                clocks.append((at, float(nlp.data[at - nlp.columns])))
            given += _given(placement, horizon.parts[k].phase, cells, clock)
            clock += operation.duration.guess
    arrays = {name: np.unique(np.array(places, dtype=int)) for name, places in starts.items()}
    at = np.array([cell for cell, _ in clocks], dtype=int)
    return Cells(
        starts=_data_only(arrays, nlp),
        clocks=(at, np.array([time for _, time in clocks])),
        parameters=_parameter_cells(assembled),
        before=dict(before),
        given=tuple(given),
        totals={name: np.unique(np.array(places, dtype=int)) for name, places in totals.items()},
    )


def _note_starts(placement: Placement, cells: Array, seen: set[str], starts: Any, totals: Any) -> None:
    """Cells of states that nothing before has moved, and of integrals that count on."""
    operation, block = placement.operation, placement.block
    parameters = [v.name for v in operation.lowered.dae.parameters]
    slot = cells[block.slot("parameters").cells]
    for name in operation.lowered.held:
        if name not in seen:
            starts.setdefault(name, []).append(int(slot[parameters.index(name)]))
    plain = len(operation.lowered.dae.states)
    for i, (variable, cell) in enumerate(zip(placement.dae.states, cells[block.slot("start").cells], strict=True)):
        if variable.name not in seen and variable.name not in operation.resets:
            (starts if i < plain else totals).setdefault(variable.name, []).append(int(cell))
        seen.add(variable.name)


def _given(placement: Placement, phase: int, cells: Array, clock: float) -> list[Given]:
    operation, block = placement.operation, placement.block
    found = []
    for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
        if isinstance(source, Decided) or variable.name in operation.phase.fixed:
            continue
        profile, _ = placement.shapes[variable.name]
        edges = profile.edges * operation.duration.guess
        slot = cells[block.slot(f"input:{variable.name}").cells]
        found.append(Given(variable.name, phase, slot, edges[:-1], edges[1:], clock))
    return found


def _data_only(cells: Mapping[str, Array], nlp: Nlp) -> dict[str, Array]:
    return {name: places[places >= nlp.columns] for name, places in cells.items()}


def _parameter_cells(assembled: Assembled) -> dict[str, Array]:
    """Cells of each parameter, in the runs whose scenario does not say otherwise."""
    found: dict[str, list[int]] = {}
    nominal = assembled.problem.runs[0].plant
    names = [str(s.name) for s in nominal.scalars.values() if s.kind == Parameter.kind]
    varied = {
        name for run in assembled.problem.runs for name in names if run.plant.values[name] != nominal.values[name]
    }
    for block in assembled.plants:
        for name, cell in zip(names, assembled.nlp.cells[block.name], strict=True):
            if name not in varied and cell >= assembled.nlp.columns:
                found.setdefault(name, []).append(int(cell))
    return {name: np.array(places, dtype=int) for name, places in found.items()}
