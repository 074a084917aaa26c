"""How does a problem start, without a guess from anyone? By the start ladder, each rung of which is reported.

structure check -> simulation of the nominal recipe -> mesh from its steps -> transcription -> scaling from simulated sizes ->
domains relaxed -> NLP -> domains tightened. Where the first start was cheap, a second one from elsewhere checks it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from titer.flowsheets.assembly import Assembled, Placement, assemble
from titer.flowsheets.declarations import State
from titer.flowsheets.operation import Decided, Duration, Operation, middle
from titer.flowsheets.problem import PhaseTerms, Problem, check_free, free_numbers, phases_of
from titer.flowsheets.results import read
from titer.flowsheets.simulation import StoppedRun, run_operations
from titer.numerics.dae import sizes_of
from titer.numerics.errors import SolveError, SpecificationError
from titer.numerics.program import Scaling
from titer.numerics.solution import PhaseResult, Rung, Solution
from titer.numerics.solvers import Engine, Fatrop, Ipopt, Manner, Outcome, Status

Array = np.ndarray
RELAXATION = 1e-4  # of a variable's nominal size, by which physical domains are left free at first
_TIGHTER = (1e-6, 1e-8)
_CHEAP = 1.0  # seconds of a first start up to which a second one is run
_AGREE = 1e-5  # relative difference of two objectives that are called the same


@dataclass
class Ladder:
    """The rungs climbed so far."""

    rungs: list[Rung] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)
    last: float = field(default_factory=time.perf_counter)

    def climbed(self, name: str, result: str) -> None:
        now = time.perf_counter()
        self.rungs.append(Rung(name, now - self.last, result))
        self.last = now

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.began

    def seconds(self, *names: str) -> float:
        return sum(r.seconds for r in self.rungs if r.name in names)


@dataclass(frozen=True, eq=False)
class Started:
    """A solved (or failed) problem: everything needed to read it, certify it and warm-start another."""

    assembled: Assembled
    engine: Engine
    outcome: Outcome
    scaling: Scaling
    relaxation: float
    left: float  # largest excursion beyond a physical domain, as a fraction of nominal
    solutions: tuple[Solution, ...]  # one per run
    ladder: Ladder


def start(
    problem: Problem,
    solver: Ipopt | Fatrop,
    start_from: Solution | None = None,
    starts: int | None = None,
    ladder: Ladder | None = None,
) -> Started:
    """Solve a problem from no guess. `starts`: 1 for a single start, 2 for two, None: a second where the first was cheap.

    `ladder`: rungs climbed already (a coarser mesh).

    Raises SpecificationError before any solve, SolveError where no start can be simulated. A failed solve is returned.
    """
    ladder = ladder or Ladder()
    began = time.perf_counter()
    terms = [phases_of(run, problem.free) for run in problem.runs]
    check_free(problem.runs[0], problem.free, terms[0])
    numbers = free_numbers(problem.plant, problem.free)
    ladder.climbed("structure", _counted(terms))
    nominal = _nominal(problem, terms, start_from, ladder)
    assembled = assemble(problem, terms, nominal)
    ladder.climbed("transcription", f"{assembled.nlp.columns} variables, {assembled.nlp.rows} equations and limits")
    engine = Engine(assembled.nlp, solver)
    ladder.climbed("derivatives", type(solver).__name__)
    first = fill(assembled, nominal, {n.name: n.guess for n in numbers})
    sizes = column_sizes(assembled, nominal)
    scaling = engine.scaling(first, sizes)
    ladder.climbed("scaling", f"sizes from {sizes.min(initial=1.0):.1e} to {sizes.max(initial=1.0):.1e}")
    outcome, relaxation, left = _climb(engine, assembled, first, scaling, ladder)
    seconds = time.perf_counter() - began
    again = starts is None and seconds < _CHEAP and not isinstance(start_from, Solution)
    if (starts or 0) > 1 or again or not outcome.status.ok:
        second = _elsewhere(problem, terms, assembled, ladder)
        if second is not None:
            found = _climb(engine, assembled, second, scaling, ladder, "second start: ")
            outcome, relaxation, left = _better((outcome, relaxation, left), found, ladder)
    solutions = tuple(
        read(assembled, r, outcome, ladder.rungs, _stats(assembled, outcome, ladder)) for r in range(len(problem.runs))
    )
    return Started(assembled, engine, outcome, scaling, relaxation, left, solutions, ladder)


def fill(assembled: Assembled, nominal: Sequence[Sequence[PhaseResult]], numbers: Mapping[str, float]) -> Array:
    """Decisions that describe given trajectories: states and algebraics interpolated, inputs and durations as they were."""
    nlp = assembled.nlp
    w = np.zeros(nlp.columns)

    def put(cells: Array, values: Array) -> None:
        cells, values = np.ravel(cells), np.broadcast_to(values, np.shape(cells)).ravel()
        decided = (cells >= 0) & (cells < nlp.columns) & np.isfinite(values)
        w[cells[decided]] = values[decided]

    for r, placements in enumerate(assembled.runs):
        clock = 0.0
        totals: dict[str, float] = {}
        for placement, result in zip(placements, nominal[r], strict=True):
            block, t = placement.block, result.trajectory
            cells = nlp.cells[block.name]
            grid = placement.transcribed.tau
            x = _with_totals(placement, result, totals)
            put(cells[block.ports["x"]], _interpolated(t.tau, x, grid))
            z_local = block.ports["z"]
            z = _interpolated(t.tau, t.z, grid)
            put(np.where(z_local >= 0, cells[z_local], -1), z)
            for port, at in (("start", 0), ("end", -1)):
                local = block.ports[port][len(placement.dae.states) :][: len(t.z)]
                put(np.where(local >= 0, cells[local], -1), t.z[:, at])
            for name, (_, values) in placement.shapes.items():
                put(cells[block.slot(f"input:{name}").cells], values)
            put(cells[block.slot("duration").cells], np.array([t.duration]))
            put(cells[block.slot("clock").cells], np.array([clock]))
            clock += t.duration
            after = f"clock after {block.name}"
            if after in nlp.cells:
                put(nlp.cells[after], np.array([clock]))
    names = [str(s.name) for s in assembled.problem.plant.scalars.values() if s.kind == "parameter"]
    for i, name in enumerate(names):
        if name in numbers:
            put(nlp.cells[assembled.plants[0].name][[i]], np.array([numbers[name]]))
            if f"log {name}" in nlp.cells:
                put(nlp.cells[f"log {name}"], np.array([np.log(numbers[name])]))
    return w


def column_sizes(assembled: Assembled, nominal: Sequence[Sequence[PhaseResult]]) -> Array:
    """Typical magnitude of each column: simulated for states and algebraics, bounds and guesses for decisions."""
    nlp = assembled.nlp
    sizes = np.ones(nlp.columns)

    def put(cells: Array, size: Array) -> None:
        cells, values = np.ravel(cells), np.broadcast_to(size, np.shape(cells)).ravel()
        decided = (cells >= 0) & (cells < nlp.columns)
        sizes[cells[decided]] = values[decided]

    for r, placements in enumerate(assembled.runs):
        seen = _seen(nominal[r])
        longest = sum(result.trajectory.duration for result in nominal[r])
        for placement, result in zip(placements, nominal[r], strict=True):
            block, dae = placement.block, placement.dae
            cells = nlp.cells[block.name]
            for port, variables in (("x", dae.states), ("z", dae.algebraics)):
                local = block.ports[port]
                rows = np.array([seen.get(v.name, np.nan) for v in variables]).reshape(-1, 1)
                put(np.where(local >= 0, cells[local], -1), sizes_of(variables, rows)[:, None])
            offset = len(dae.states)
            z_sizes = sizes_of(
                dae.algebraics, np.array([seen.get(v.name, np.nan) for v in dae.algebraics]).reshape(-1, 1)
            )
            for port in ("start", "end"):
                local = block.ports[port][offset : offset + len(dae.algebraics)]
                put(np.where(local >= 0, cells[local], -1), z_sizes)
            for (name, (_, values)), source in zip(placement.shapes.items(), placement.operation.inputs, strict=True):
                put(cells[block.slot(f"input:{name}").cells], np.array([_input_size(source, values)]))
            put(cells[block.slot("duration").cells], np.array([max(result.trajectory.duration, 1e-9)]))
            put(cells[block.slot("clock").cells], np.array([longest]))
            if f"clock after {block.name}" in nlp.cells:
                put(nlp.cells[f"clock after {block.name}"], np.array([longest]))
    names = [str(s.name) for s in assembled.problem.plant.scalars.values() if s.kind == "parameter"]
    for number in assembled.numbers:
        if number.name in names:
            candidates = [abs(number.guess)] or [1.0]
            put(
                nlp.cells[assembled.plants[0].name][[names.index(number.name)]],
                np.array([candidates[0] or 1.0]),
            )
    return sizes


def bounds(assembled: Assembled, sizes: Array, relaxation: float) -> tuple[Array, Array]:
    """Bounds of the columns, with physical domains relaxed by a fraction of the nominal size."""
    nlp = assembled.nlp
    slack = np.where(nlp.domain, relaxation * sizes, 0.0)
    return nlp.lower - slack, nlp.upper + slack


# --- rungs --------------------------------------------------------------------------------------------------


def _nominal(
    problem: Problem, terms: Sequence[Sequence[PhaseTerms]], start_from: Solution | None, ladder: Ladder
) -> list[tuple[PhaseResult, ...]]:
    """A trajectory of every run to start from: an earlier solution's, else a simulation."""
    if start_from is not None:
        _check_same_phases(problem, start_from)
        terms = [tuple(_from_solution(phase, start_from) for phase in phases) for phases in terms]
    results = []
    for run, phases in zip(problem.runs, terms, strict=True):
        plant = run.plant.with_values(_guessed(problem, start_from))
        if start_from is not None:
            shapes = {p.name: p.shapes for p in start_from.phases}
            try:
                results.append(
                    run_operations(plant, [p.operation for p in phases], shapes, start_from.duration, points=120)
                )
                continue
            except StoppedRun:
                pass  # the earlier decisions do not run on this plant: start as if there were none
        results.append(_simulated(plant, phases, ladder))
    ladder.climbed("simulation", f"{sum(len(p.trajectory.time) for r in results for p in r)} points")
    return results


def _simulated(plant: Any, phases: Sequence[PhaseTerms], ladder: Ladder) -> tuple[PhaseResult, ...]:
    """The nominal recipe, or, where it does not run, the recipe with decided inputs elsewhere in their bounds."""
    complaint = ""
    for share in (None, 0.5, 0.25, 0.75, 0.05, 0.95):
        planned = [_moved(phase.operation, share, 1.0) for phase in phases]
        try:
            return run_operations(plant, planned, points=120)
        except StoppedRun as stop:
            complaint = complaint or stop.message
            ladder.climbed("simulation", f"failed: {stop.message.splitlines()[0]}")
    raise SolveError(
        f"no start: the recipe cannot be simulated.\n  {complaint}\n"
        f"  Six sets of inputs inside their bounds were tried. Simulate the recipe by itself to see how far it gets."
    )


def _climb(  # type: ignore[no-untyped-def]
    engine: Engine, assembled: Assembled, w: Array, scaling: Scaling, ladder: Ladder, prefix: str = ""
) -> tuple[Outcome, float, float]:
    """Solve with relaxed domains, then, where they were left, with tighter ones."""
    relaxation = RELAXATION
    limits = bounds(assembled, scaling.columns, relaxation)
    outcome = engine.solve(w, scaling, *limits)
    ladder.climbed(f"{prefix}NLP", _said(outcome))
    if not outcome.status.ok and outcome.status not in (Status.TIME, Status.INTERRUPTED) and isinstance(engine.solver, Ipopt):
        outcome = engine.solve(w, scaling, *limits, manner=Manner.FAR)
        ladder.climbed(f"{prefix}NLP, adaptive barrier", _said(outcome))
    left = _left(assembled, outcome.w, scaling)
    if not outcome.status.ok or left <= _TIGHTER[-1]:
        return outcome, relaxation, left
    for tighter in _TIGHTER:
        again = engine.solve(outcome.w, scaling, *bounds(assembled, scaling.columns, tighter))
        ladder.climbed(f"{prefix}domains to {tighter:.0e}", _said(again))
        if not again.status.ok:
            break
        outcome, relaxation, left = again, tighter, _left(assembled, again.w, scaling)
    return outcome, relaxation, left


def _left(assembled: Assembled, w: Array, scaling: Scaling) -> float:
    nlp = assembled.nlp
    beyond = np.maximum(nlp.lower - w, w - nlp.upper) / scaling.columns
    return float(np.max(np.where(nlp.domain, beyond, 0.0), initial=0.0))


def _elsewhere(
    problem: Problem, terms: Sequence[Sequence[PhaseTerms]], assembled: Assembled, ladder: Ladder
) -> Array | None:
    """Decisions of a start away from the first: inputs in the other half of their bounds, durations shorter."""
    moved_numbers = {n.name: _shifted(n.guess, n.lower, n.upper) for n in assembled.numbers}
    nominal = []
    for run, phases in zip(problem.runs, terms, strict=True):
        plant = run.plant.with_values(moved_numbers)
        planned = [_moved(phase.operation, "away", 0.8) for phase in phases]
        try:
            nominal.append(run_operations(plant, planned, points=120))
        except StoppedRun as stop:
            ladder.climbed("second start: simulation", f"failed: {stop.message.splitlines()[0]}")
            return None
    runs = [
        tuple(_with_shapes(p, result) for p, result in zip(placements, results, strict=True))
        for placements, results in zip(assembled.runs, nominal, strict=True)
    ]
    w = fill(replace(assembled, runs=tuple(runs)), nominal, moved_numbers)
    ladder.climbed("second start: simulation", "inputs, durations and parameters moved inside their bounds")
    return w


def _with_shapes(placement: Placement, result: PhaseResult) -> Placement:
    """A placement whose decided inputs start where a simulation had them."""
    shapes = dict(placement.shapes)
    for name, (profile, values) in placement.shapes.items():
        if name in result.shapes:
            other, numbers = result.shapes[name]
            at = 0.5 * (profile.edges[:-1] + profile.edges[1:]) if profile.constant else profile.edges
            if profile.count == len(at):
                values = other.at(numbers, at)
        shapes[name] = (profile, values)
    return replace(placement, shapes=shapes)


def _better(  # type: ignore[no-untyped-def]
    first: tuple[Outcome, float, float], second: tuple[Outcome, float, float], ladder: Ladder
) -> tuple[Outcome, float, float]:
    a, b = first[0], second[0]
    if not b.status.ok:
        ladder.climbed("starts", "the second start failed; the first stands")
        return first
    if not a.status.ok:
        ladder.climbed("starts", "the first start failed; the second is taken")
        return second
    gap = abs(a.objective - b.objective) / max(1e-12, abs(a.objective), abs(b.objective))
    if gap <= _AGREE:
        ladder.climbed("starts", f"agree (objectives differ by {gap:.0e})")
        return first
    best = first if a.objective <= b.objective else second
    ladder.climbed(
        "starts",
        f"DISAGREE: objectives {abs(a.objective):.8g} and {abs(b.objective):.8g} (absolute); the better is taken",
    )
    return best


def _moved(operation: Operation, share: float | str | None, stretch: float) -> Operation:
    """An operation whose decided inputs stand elsewhere in their bounds, and whose free duration is stretched."""
    inputs = []
    for source in operation.inputs:
        if isinstance(source, Decided) and share is not None:
            if isinstance(share, str):
                guess = source.guess if isinstance(source.guess, float) else middle(source.lower, source.upper)
                value = _shifted(guess, source.lower, source.upper)
            else:
                value = _within(source.lower, source.upper, share)
            source = replace(source, guess=value)
        inputs.append(source)
    d = operation.duration
    if d.free and operation.event is None:
        d = Duration(float(np.clip(stretch * d.guess, d.lower, d.upper)), d.lower, d.upper, True)
    return replace(operation, inputs=tuple(inputs), duration=d)


def _within(lower: float, upper: float, share: float) -> float:
    if np.isfinite(lower) and np.isfinite(upper):
        return lower + share * (upper - lower)
    return middle(lower, upper)


def _shifted(guess: float, lower: float, upper: float) -> float:
    """A value away from the guess: in the other half of the bounds, or 20 % off."""
    if np.isfinite(lower) and np.isfinite(upper):
        return _within(lower, upper, 0.25 if guess >= middle(lower, upper) else 0.75)
    return float(np.clip(1.2 * guess, lower, upper))


def _guessed(problem: Problem, start_from: Solution | None) -> dict[str, float]:
    numbers = free_numbers(problem.plant, problem.free)
    known = {} if start_from is None else dict(start_from.decided)
    return {n.name: float(np.clip(known.get(n.name, n.guess), n.lower, n.upper)) for n in numbers}


def _from_solution(phase: PhaseTerms, solution: Solution) -> PhaseTerms:
    operation = phase.operation
    length = solution.duration[operation.name]
    d = operation.duration
    guess = float(np.clip(length, d.lower, d.upper)) if d.free else d.guess
    return replace(phase, operation=replace(operation, duration=replace(d, guess=guess)))


def _check_same_phases(problem: Problem, start_from: Solution) -> None:
    wanted = [phase.name for phase in problem.runs[0].recipe]
    came = [phase.name for phase in start_from.phases]
    if wanted != came:
        raise SpecificationError(
            f"start_from: its phases are {', '.join(came)}, the recipe's are {', '.join(wanted)}. Give a solution of the same recipe."
        )


def _seen(results: Sequence[PhaseResult]) -> dict[str, float]:
    seen: dict[str, float] = {}
    for result in results:
        for name, values in result.columns():
            finite = np.abs(values[np.isfinite(values)])
            seen[name] = max(seen.get(name, 0.0), float(finite.max(initial=0.0)))
    return seen


def _with_totals(placement: Placement, result: PhaseResult, totals: dict[str, float]) -> Array:
    """States along a phase, with the totals integrated by the trapezoidal rule: a start, not a result."""
    t = result.trajectory
    extra = placement.dae.states[len(t.x) :]
    if not extra:
        return t.x
    rows = [t.x]
    for variable, placed in zip(extra, placement.terms.totals, strict=True):
        n = len(t.time)
        p = np.zeros((len(placement.dae.parameters), n))
        rate = np.array(placed.function.map(n)(t.time[None, :], t.x, t.z, t.u, p)).ravel()
        steps = np.diff(t.time) * 0.5 * (rate[1:] + rate[:-1])
        total = totals.get(variable.name, 0.0) + np.concatenate([[0.0], np.cumsum(np.nan_to_num(steps))])
        totals[variable.name] = float(total[-1])
        rows.append(total[None, :])
    return np.concatenate(rows)


def _interpolated(tau: Array, rows: Array, at: Array) -> Array:
    return np.array([np.interp(at, tau, row) for row in rows]).reshape(len(rows), len(at))


def _input_size(source: Any, values: Array) -> float:
    candidates = [float(np.abs(values).max(initial=0.0))]
    if isinstance(source, Decided):
        candidates += [abs(b) for b in (source.lower, source.upper) if np.isfinite(b)]
    return max(candidates) or 1.0


def _counted(terms: Sequence[Sequence[PhaseTerms]]) -> str:
    dae = terms[0][0].operation.lowered.dae
    runs = f", {len(terms)} runs" if len(terms) > 1 else ""
    states, algebraics = len(dae.states), len(dae.algebraics)
    return f"square, index {1 if algebraics else 0}: {states} states, {algebraics} algebraics, {len(terms[0])} phases{runs}"


def _said(outcome: Outcome) -> str:
    return f"{outcome.status.value}; {outcome.iterations} iterations, violation {outcome.violation:.0e}"


def _stats(assembled: Assembled, outcome: Outcome, ladder: Ladder) -> dict[str, Any]:
    second = sum(r.seconds for r in ladder.rungs if r.name.startswith(("second start", "starts")))
    return {
        "variables": assembled.nlp.columns,
        "rows": assembled.nlp.rows,
        "iterations": outcome.iterations,
        "elements": {p.operation.name: len(p.transcribed.ends) - 1 for p in assembled.runs[0]},
        "seconds_total": ladder.elapsed,
        "seconds_simulation": ladder.seconds("structure", "simulation"),
        "seconds_transcribe": ladder.seconds("transcription"),
        "seconds_create": ladder.seconds("derivatives", "scaling"),
        "seconds_solve": sum(r.seconds for r in ladder.rungs if r.name.startswith(("NLP", "domains"))),
        "seconds_second_start": second,
    }


__all__ = ["Started", "State", "Status", "bounds", "column_sizes", "fill", "start"]
