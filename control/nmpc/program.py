"""What is solved at a sample? The program of one horizon, built once; a sample only changes its data and bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from titer.control.nmpc.cells import Added, Cells, Reading, cells_of, reading_of
from titer.control.nmpc.disturbed import with_rates
from titer.control.nmpc.gathering import gathered
from titer.control.nmpc.merging import merged
from titer.control.nmpc.moves import Handle, Sequences, with_moves
from titer.control.nmpc.posing import Wanted, cut, piece_edges, problem_of, without_conditions
from titer.control.nmpc.soft import Price, Slacks, Soft, with_slacks
from titer.control.nmpc.timetable import Horizon
from titer.control.nmpc.tracking import with_tracking
from titer.flowsheets.operation import Decided
from titer.flowsheets.problems.assembly import Assembled, Placement, assemble
from titer.flowsheets.problems.climbing import RELAXATION
from titer.flowsheets.problems.domains import room
from titer.flowsheets.problems.filling import column_sizes
from titer.flowsheets.problems.guesses import filled, nominal_runs
from titer.flowsheets.problems.ladder import Ladder
from titer.flowsheets.problems.problem import phases_of
from titer.numerics.dae import Array
from titer.numerics.nlp import Nlp
from titer.numerics.program import Program as Functions
from titer.numerics.program import Scaling
from titer.numerics.realtime.functions import Compiled
from titer.numerics.solvers import Engine, Ipopt

_HARD = 1e3  # the price of missing a hard limit that cannot be met, in slopes of the objective


@dataclass(frozen=True, eq=False)
class Program:
    """The program of a horizon, with what is needed to fill it, to solve it and to read it.

    `horizon` is what it is called by; `parts`: the same with the cuts of a tree. `first`: decisions to start from where
    there is no plan; `lower`, `upper`: bounds of its columns; `moves` {input: column of its first value}; `durations`
    {phase: columns of its decided (last) interval, one for each scenario that decides it}. `row_limits`: scaled;
    `bare`, `given`: columns and data that are the same where other limits give; `sequences` {input: columns of all its
    values in the first scenario, and when each begins}.
    """

    horizon: Horizon
    parts: Horizon
    assembled: Assembled
    engine: Engine
    scaling: Scaling
    first: Array
    lower: Array
    upper: Array
    cells: Cells
    reading: Reading
    moves: Mapping[str, int]
    durations: Mapping[int, Array]
    slacks: Slacks
    row_limits: tuple[Array, Array]
    bare: int
    given: int
    sequences: Mapping[str, tuple[Array, Array]]

    @property
    def nlp(self) -> Nlp:
        return self.engine.nlp

    @cached_property
    def rows(self) -> Compiled:
        """(scaled decisions, data with the scaling) -> (objective, scaled rows)."""
        compiled = Compiled(self.engine.program.values)
        compiled.arguments[1][len(self.nlp.data) :] = self.scaling.vector
        return compiled


def programs_of(
    wanted: Wanted, horizon: Horizon, handles: Sequence[Handle], softs: Mapping[str, Soft], solver: Ipopt
) -> tuple[Program, Program | None]:
    """Build the program of a horizon, and that in which hard limits give, None where there are none.

    Raises SpecificationError, and SolveError where nothing runs there.
    """
    bare = _bare(wanted, horizon, handles)
    slope = _slope(bare.nlp, bare.first, bare.sizes)
    limits = _limits(bare.assembled)
    prices = {n: Price(softs[n].weight, softs[n].quadratic, size) for n, size in limits.items() if n in softs}
    hard = {n: Price(_HARD * slope / size, 0.0, size) for n, size in limits.items() if n not in softs}
    program = _priced(wanted, bare, prices, slope, solver)
    return program, _priced(wanted, bare, prices | hard, slope, solver) if hard else None


@dataclass(frozen=True, eq=False)
class _Bare:
    """A program without what misses of limits cost."""

    horizon: Horizon
    parts: Horizon
    assembled: Assembled
    nlp: Nlp
    sizes: Array
    first: Array
    moves: tuple[Mapping[str, tuple[Array, Array]], ...]
    added: Added


def _bare(wanted: Wanted, horizon: Horizon, handles: Sequence[Handle]) -> _Bare:
    parts = cut(horizon, wanted.branches.cuts)
    problem = problem_of(wanted, parts)
    terms = [phases_of(run, problem.free) for run in problem.runs]
    timed = without_conditions(problem)
    phases = terms if timed is problem else [phases_of(run, timed.free) for run in timed.runs]
    nominal = nominal_runs(timed, phases, [None] * len(problem.runs), Ladder())
    assembled = assemble(problem, terms, nominal.runs)
    sizes = _grown(assembled, column_sizes(assembled, nominal.runs), wanted)
    first = filled(assembled, nominal.runs, {})
    nlp = replace(assembled.nlp, room=room(assembled, nominal.runs, sizes))
    nlp, kept = merged(nlp, _alike(wanted, parts, assembled))
    weights = _weights(wanted)
    names = tuple(wanted.table.names[part.phase] for part in parts.parts)
    nlp, targets = with_tracking(nlp, assembled.runs, wanted.tracks, weights, names, wanted.grid)
    nlp, rates = with_rates(nlp, assembled.runs, wanted.rates, wanted.grid.degree)
    moves = tuple(_moves(nlp, placements, handles) for placements in assembled.runs)
    steps = tuple(
        {
            name: (columns, np.minimum(np.round(np.diff(at), 12), wanted.table.every))
            for name, (columns, at) in run.items()
        }
        for run in moves
    )
    nlp, before = with_moves(
        nlp, handles, Sequences(steps, weights, [placements[0].block.name for placements in assembled.runs])
    )
    added = Added(before - nlp.columns, targets, rates, nlp.columns)
    return _Bare(horizon, parts, assembled, nlp, sizes[kept], first[kept], moves, added)


def _priced(wanted: Wanted, bare: _Bare, prices: Mapping[str, Price], slope: float, solver: Ipopt) -> Program:
    """The program with slacks for limits that have a price."""
    spans, shares = _spans(bare.assembled, bare.nlp, _weights(wanted))
    nlp, slacks = with_slacks(bare.nlp, prices, spans, shares, apart=wanted.branches.gathers)
    sizes = np.concatenate([bare.sizes, slacks.sizes])
    first = np.concatenate([bare.first, np.zeros(len(slacks.sizes))])
    if wanted.branches.gathers:
        owners = {p.block.name: r for r, placements in enumerate(bare.assembled.runs) for p in placements}
        nlp, costs = gathered(nlp, owners, first)
        first = np.concatenate([first, costs])
        sizes = np.concatenate([sizes, 2.0 ** np.round(np.log2(np.maximum(np.abs(costs), 1e-3)))])
    assembled = replace(bare.assembled, nlp=nlp)
    engine = Engine(nlp, solver)
    rows = engine.scaling(first, sizes).rows if nlp.rows else np.zeros(0)
    lower, upper = nlp.relaxed(sizes, RELAXATION)
    row_lower, row_upper = nlp.row_bounds()
    moves = bare.moves[0]
    return Program(
        horizon=bare.horizon,
        parts=bare.parts,
        assembled=assembled,
        engine=engine,
        scaling=Scaling(sizes, rows, 1.0 / slope),
        first=np.clip(first, lower, upper),
        lower=lower,
        upper=upper,
        cells=cells_of(wanted, assembled, bare.parts, bare.added),
        reading=reading_of(assembled),
        moves={name: int(columns[0]) for name, (columns, at) in moves.items() if at[0] == 0.0},
        durations=_durations(assembled, bare.parts),
        slacks=slacks,
        row_limits=(row_lower * rows, row_upper * rows),
        bare=bare.nlp.columns,
        given=len(bare.nlp.data),
        sequences=moves,
    )


def _weights(wanted: Wanted) -> tuple[float, ...]:
    """By what the costs of each scenario count; where the worst one does, each is a number of its own."""
    return (1.0,) * len(wanted.branches.weights) if wanted.branches.gathers else wanted.branches.weights


def _alike(wanted: Wanted, parts: Horizon, assembled: Assembled) -> list[Array]:
    """Columns of decisions that scenarios share: what they have seen up to there is the same."""
    branches, nlp = wanted.branches, assembled.nlp
    groups: dict[tuple, list[int]] = {}
    for r, placements in enumerate(assembled.runs):
        ahead = 0
        for k, (part, placement) in enumerate(zip(parts.parts, placements, strict=True)):
            own = nlp.cells[placement.block.name]
            for variable, source in zip(
                placement.operation.lowered.dae.inputs, placement.operation.inputs, strict=True
            ):
                if isinstance(source, Decided):
                    begins = piece_edges(part, wanted.blocks[variable.name, part.phase])[:-1]
                    cells = own[placement.block.slot(f"input:{variable.name}").cells]
                    for i, column in zip(begins, cells, strict=True):
                        key = (variable.name, k, int(i), branches.key(r, ahead + int(i)))
                        groups.setdefault(key, []).append(int(column))
            if part.open and placement.operation.event is None:
                key = ("duration", k, 0, branches.key(r, ahead + len(part.lengths) - 1))
                column = int(own[placement.block.slot("duration").cells[0]])
                groups.setdefault(key, []).append(column)
            ahead += len(part.lengths)
    return [np.array(group) for group in groups.values() if len(group) > 1]


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


def _spans(assembled: Assembled, nlp: Nlp, weights: Sequence[float]) -> tuple[dict[int, Array], dict[int, float]]:
    """How long each copy of a batch stands for as planned (an element its length, an instant that of a mean one), and
    the weight of its scenario."""
    placements = {p.block.name: (p, weight) for run, weight in zip(assembled.runs, weights, strict=True) for p in run}
    found, shares = {}, {}
    for b, batch in enumerate(nlp.batches):
        entry = placements.get(batch.labels.phase)
        if entry is None:
            continue
        placement, shares[b] = entry
        if batch.stage is None:
            continue
        lengths = np.diff(placement.transcribed.ends) * placement.operation.duration.guess
        found[b] = lengths if batch.copies == len(lengths) else np.full(batch.copies, float(lengths.mean()))
    return found, shares


def _moves(nlp: Nlp, placements: Sequence[Placement], handles: Sequence[Handle]) -> dict[str, tuple[Array, Array]]:
    """The decided values of each input, in time: their columns, and when each begins as planned."""
    found: dict[str, tuple[Array, Array]] = {}
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
            found[handle.name] = np.concatenate(columns), np.concatenate(begins)
    return found


def _durations(assembled: Assembled, parts: Horizon) -> dict[int, Array]:
    found: dict[int, set[int]] = {}
    for placements in assembled.runs:
        for part, placement in zip(parts.parts, placements, strict=True):
            if part.open:
                cell = assembled.nlp.cells[placement.block.name][placement.block.slot("duration").cells[0]]
                found.setdefault(part.phase, set()).add(int(cell))
    return {phase: np.array(sorted(columns)) for phase, columns in found.items()}
