"""Where does a problem start? At its nominal recipe simulated, at an earlier solution, or elsewhere in its bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.operation import Decided, Duration, Operation, middle
from titer.flowsheets.problems.assembly import Assembled, Placement
from titer.flowsheets.problems.filling import fill
from titer.flowsheets.problems.ladder import Ladder
from titer.flowsheets.problems.problem import PhaseTerms, Problem, Run, free_numbers
from titer.flowsheets.simulation import Source, StoppedRunError, run_operations, solution_of
from titer.numerics.errors import SolveError, SpecificationError
from titer.numerics.solution import PhaseResult, Solution
from titer.numerics.solvers import Status

Array = np.ndarray
_INPUTS = (None, 0.5, 0.25, 0.75, 0.05, 0.95)  # shares of their bounds at which decided inputs are tried


@dataclass(frozen=True, eq=False)
class Nominal:
    """A trajectory of every run to start from, and how the problem is approached from there.

    `share`: of the durations, that could be simulated. `parameters`: those of an earlier solution whose own
    trajectories are the start, because its decisions do not run on this plant.
    """

    runs: list[tuple[PhaseResult, ...]]
    share: float = 1.0
    parameters: Mapping[str, float] | None = None


def nominal_runs(
    problem: Problem,
    terms: Sequence[Sequence[PhaseTerms]],
    start_from: Sequence[Solution | None],
    ladder: Ladder,
) -> Nominal:
    """A trajectory of every run to start from: that of an earlier solution's decisions, else a simulation.

    Raises SolveError, with the run that got farthest as its solution, where nothing runs.
    """
    results, share, parameters = [], 1.0, None
    for run, phases, earlier in zip(problem.runs, terms, start_from, strict=True):
        plant = run.plant.with_values(guessed(problem, earlier))
        if earlier is not None:
            _check_some_phase(run, earlier)
            planned = [_from_solution(phase, earlier).operation for phase in phases]
            shapes = {p.name: p.shapes for p in earlier.phases}
            try:
                results.append(run_operations(plant, planned, shapes, earlier.duration, points=120))
                continue
            except StoppedRunError as stop:  # the earlier decisions do not run on this plant
                ladder.climbed("simulation", f"of the earlier decisions stopped at t = {stop.end:.6g} {plant.time}")
                if _fits(phases, earlier):
                    results.append(earlier.phases)
                    parameters = earlier.values
                    continue
        simulated, part = _simulated(run, plant, phases, ladder)
        results.append(simulated)
        share = min(share, part)
    ladder.climbed("simulation", f"{sum(len(p.trajectory.time) for r in results for p in r)} points")
    return Nominal(results, share, parameters)


def _simulated(
    run: Run, plant: Flowsheet, phases: Sequence[PhaseTerms], ladder: Ladder
) -> tuple[tuple[PhaseResult, ...], float]:
    """The nominal recipe and 1; where it does not run, the recipe with decided inputs elsewhere in their bounds, or as
    much of its durations as runs, and that share."""
    stops: list[tuple[float, StoppedRunError, list[Operation]]] = []
    for share in _INPUTS:
        planned = [p.operation if share is None else _at_share(p.operation, share) for p in phases]
        try:
            return run_operations(plant, planned, points=120), 1.0
        except StoppedRunError as stop:
            stops.append((stop.end, stop, planned))
            ladder.climbed("simulation", f"stopped at t = {stop.end:.6g} {plant.time}")
    end, _, planned = max(stops, key=lambda entry: entry[0])
    whole = sum(p.operation.duration.guess for p in phases)
    for part in (0.8 * end / whole, 0.3 * end / whole):
        if part <= 0.0 or any(p.operation.event is not None for p in phases):
            break
        durations = {p.operation.name: part * p.operation.duration.guess for p in phases}
        try:
            found = run_operations(plant, planned, durations=durations, points=120)
        except StoppedRunError:
            continue
        ladder.climbed("simulation", f"of {100 * part:.3g} % of the durations")
        return found, part
    farthest = stops[0][1]
    raise SolveError(
        f"no start: {farthest.message}\n"
        f"  Six sets of inputs inside their bounds were tried, and shorter durations. What was reached is in "
        f"error.solution.",
        stopped_solution(run, plant, farthest),
    )


def elsewhere(
    problem: Problem,
    terms: Sequence[Sequence[PhaseTerms]],
    assembled: Assembled,
    rng: np.random.Generator | None = None,
) -> Array:
    """Decisions of a start away from the first, simulated. Without `rng`: inputs and numbers in the other half of their
    bounds, durations a fifth shorter; with it: anywhere inside the bounds. Raises StoppedRunError where it does not
    run.
    """
    if rng is None:
        numbers = {n.name: _shifted(n.guess, n.lower, n.upper) for n in assembled.numbers}
    else:
        numbers = {n.name: _anywhere(n.guess, n.lower, n.upper, rng) for n in assembled.numbers}
    nominal = []
    moved: list[Operation] | None = None
    for run, phases in zip(problem.runs, terms, strict=True):
        if moved is None or not problem.share_decisions:
            moved = [_away(p.operation) if rng is None else _random(p.operation, rng) for p in phases]
        nominal.append(run_operations(run.plant.with_values(numbers), moved, points=120))
    return filled(assembled, nominal, numbers)


def filled(assembled: Assembled, nominal: Sequence[Sequence[PhaseResult]], numbers: Mapping[str, float]) -> Array:
    """The decisions that describe trajectories together with the inputs that they were run with."""
    runs = [
        tuple(_with_shapes(p, result) for p, result in zip(placements, results, strict=True))
        for placements, results in zip(assembled.runs, nominal, strict=True)
    ]
    return fill(replace(assembled, runs=tuple(runs)), nominal, numbers)


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


def _moved(operation: Operation, guess: Callable[[Decided], Any], duration: Callable[[Duration], float]) -> Operation:
    """An operation with other first values of its decisions."""
    inputs = tuple(replace(s, guess=guess(s)) if isinstance(s, Decided) else s for s in operation.inputs)
    d = operation.duration
    if d.free and operation.event is None:
        d = replace(d, guess=float(np.clip(duration(d), d.lower, d.upper)))
    return replace(operation, inputs=inputs, duration=d)


def _at_share(operation: Operation, share: float) -> Operation:
    """Inputs at a share of their bounds, duration as guessed."""
    return _moved(operation, lambda s: _within(s.lower, s.upper, share), lambda d: d.guess)


def _away(operation: Operation) -> Operation:
    """Inputs in the other half of their bounds, a shorter duration."""

    def guess(source: Decided) -> float:
        before = source.guess if isinstance(source.guess, float) else middle(source.lower, source.upper)
        return _shifted(before, source.lower, source.upper)

    return _moved(operation, guess, lambda d: 0.8 * d.guess)


def _random(operation: Operation, rng: np.random.Generator) -> Operation:
    """Inputs anywhere in their bounds: one level, or a level for each piece; a duration anywhere, evenly by
    logarithm."""

    def guess(source: Decided) -> Any:
        before = source.guess if isinstance(source.guess, float) else middle(source.lower, source.upper)
        count = 1
        if rng.random() < 0.5:
            edges = source.pieces.edges(operation.duration.guess, not operation.duration.free)
            count = len(edges) - (0 if source.pieces.linear else 1)
        upper = source.upper
        if source.lower == 0.0 and np.isfinite(upper):  # a feed may be best far below the most it can be
            upper *= 100.0 ** -rng.random()
        levels = np.array([_anywhere(before, source.lower, upper, rng) for _ in range(count)])
        return float(levels[0]) if count == 1 else levels

    def duration(d: Duration) -> float:
        low = max(d.lower, d.upper / 20.0)
        return float(np.exp(rng.uniform(np.log(low), np.log(d.upper))))

    return _moved(operation, guess, duration)


def _anywhere(guess: float, lower: float, upper: float, rng: np.random.Generator) -> float:
    """A value inside bounds; where they are open, within a factor of two of the guess."""
    if np.isfinite(lower) and np.isfinite(upper):
        if lower > 0.0 and upper > 100.0 * lower:
            return float(np.exp(rng.uniform(np.log(lower), np.log(upper))))
        return float(rng.uniform(lower, upper))
    return float(np.clip(guess * 2.0 ** rng.uniform(-1.0, 1.0), lower, upper))


def _within(lower: float, upper: float, share: float) -> float:
    if np.isfinite(lower) and np.isfinite(upper):
        return lower + share * (upper - lower)
    return middle(lower, upper)


def _shifted(guess: float, lower: float, upper: float) -> float:
    """A value away from the guess: in the other half of the bounds, of another magnitude above zero, or 20 % off."""
    if lower == 0.0 and np.isfinite(upper):
        return 0.02 * upper if guess >= 0.05 * upper else 0.5 * upper
    if np.isfinite(lower) and np.isfinite(upper):
        return _within(lower, upper, 0.25 if guess >= middle(lower, upper) else 0.75)
    return float(np.clip(1.2 * guess, lower, upper))


def guessed(problem: Problem, start_from: Solution | None) -> dict[str, float]:
    """First values of decided parameters and initial states."""
    numbers = free_numbers(problem.plant, problem.free)
    known = {} if start_from is None else dict(start_from.decided)
    return {n.name: float(np.clip(known.get(n.name, n.guess), n.lower, n.upper)) for n in numbers}


def stopped_solution(run: Run, plant: Flowsheet, stop: StoppedRunError) -> Solution:
    """What a run that stopped got through."""
    source = Source(plant, run.recipe, run.inputs, {})
    return solution_of(source, stop.phases, Status.FAILED, stop.message, integration=stop.integration)


def _from_solution(phase: PhaseTerms, solution: Solution) -> PhaseTerms:
    operation = phase.operation
    if operation.name not in solution.duration:
        return phase
    length = solution.duration[operation.name]
    d = operation.duration
    guess = float(np.clip(length, d.lower, d.upper)) if d.free else d.guess
    return replace(phase, operation=replace(operation, duration=replace(d, guess=guess)))


def _check_some_phase(run: Run, start_from: Solution) -> None:
    """Phases are matched by name; those that the earlier solution lacks start from the nominal recipe."""
    wanted, came = [phase.name for phase in run.recipe], [phase.name for phase in start_from.phases]
    if not set(wanted) & set(came):
        raise SpecificationError(
            f"start_from: its phases are {', '.join(came)}, the recipe's are {', '.join(wanted)}: none is the same.\n"
            f"  Give a solution that shares phases with the recipe, or leave start_from out."
        )


def _fits(phases: Sequence[PhaseTerms], earlier: Solution) -> bool:
    """Whether an earlier solution's trajectories are those of these phases: the same phases and variables."""
    if [p.operation.name for p in phases] != [p.name for p in earlier.phases]:
        return False
    daes = [p.operation.lowered.dae for p in phases]
    return all(
        (tuple(v.name for v in d.states), tuple(v.name for v in d.algebraics)) == (p.states, p.algebraics)
        for d, p in zip(daes, earlier.phases, strict=True)
    )
