"""How does a problem start, without a guess from anyone? By the start ladder, each rung of which is reported.

structure check -> simulation of the nominal recipe -> mesh from its steps -> transcription -> scaling from simulated
sizes -> domains relaxed -> NLP -> domains tightened. Where the first start was cheap, a second one from elsewhere
checks it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from titer.flowsheets.problems.assembly import Assembled, assemble
from titer.flowsheets.problems.attempting import attempt_of, clock_of
from titer.flowsheets.problems.choosing import told
from titer.flowsheets.problems.climbing import RELAXATION, Note, Reached, Step, climb
from titer.flowsheets.problems.decided import check_free
from titer.flowsheets.problems.domains import room
from titer.flowsheets.problems.filling import column_sizes
from titer.flowsheets.problems.guesses import Nominal, filled, guessed, nominal_runs
from titer.flowsheets.problems.inevitable import check_inevitable
from titer.flowsheets.problems.influence import check_influence, check_objective
from titer.flowsheets.problems.ladder import Ladder
from titer.flowsheets.problems.problem import PhaseTerms, Problem, free_numbers, phases_of
from titer.flowsheets.problems.results import read
from titer.flowsheets.problems.search import Choice, search
from titer.flowsheets.problems.stages import Stage, horizon_stages, parameter_stages
from titer.flowsheets.simulation import Source, solution_of
from titer.numerics.explaining.attempt import Attempt
from titer.numerics.explaining.explanation import UNFINISHED
from titer.numerics.explaining.keeping import Keeper
from titer.numerics.explaining.record import record_of
from titer.numerics.program import Scaling
from titer.numerics.solution import Rung, Solution, StartReport
from titer.numerics.solvers import Engine, Fatrop, Ipopt, Outcome, Status

Array = np.ndarray
_CHEAP = 1.0  # seconds of a first start up to which a second one is run


@dataclass(frozen=True, eq=False)
class Started:
    """A solved (or failed) problem: everything needed to read it, certify it and warm-start another."""

    assembled: Assembled
    engine: Engine
    reached: Reached
    scaling: Scaling
    first: Array  # the decisions it started from
    solutions: tuple[Solution, ...]  # one per run
    ladder: Ladder
    settled: bool = False  # a coarser mesh gave the same: domains that bind hold nothing but undershoots

    @property
    def outcome(self) -> Outcome:
        return self.reached.outcome

    @cached_property
    def attempt(self) -> Attempt:
        """The solve by itself, for whoever explains or keeps it."""
        relaxation = self.reached.relaxation
        begun = attempt_of(self.assembled, self.engine.solver, self.scaling, self.first, relaxation)
        times = clock_of(self.assembled, [solution.phases for solution in self.solutions])
        return replace(begun, outcome=self.outcome, times=times)


def start(
    problem: Problem,
    solver: Ipopt | Fatrop,
    start_from: Solution | Sequence[Solution] | None = None,
    starts: int | None = None,
    ladder: Ladder | None = None,
    seed: int = 0,
    keeper: Keeper | None = None,
) -> Started:
    """Solve a problem from no guess. `starts`: how many; None: a second start where the first was cheap.

    `ladder`: rungs climbed already (a coarser mesh). `seed`: of the starts beyond the second. `keeper`: keeps what
    there is before each long step.

    Raises SpecificationError before any solve, SolveError where no start can be simulated. A failed solve is returned.
    """
    ladder = ladder or Ladder()
    ladder.begin()
    began = time.perf_counter()
    free_numbers(problem.plant, problem.free)  # complain of what is free before complaining of what is missing
    terms = [phases_of(run, problem.free) for run in problem.runs]
    check_free(problem.runs[0], problem.free, terms[0])
    check_objective(problem, terms)
    check_inevitable(problem, terms)
    if not problem.share_decisions:
        check_influence(problem, terms)
    ladder.climbed("structure", _counted(terms))
    given = _per_run(start_from, len(problem.runs))
    nominal = nominal_runs(problem, terms, given, ladder)
    assembled = assemble(problem, terms, nominal.runs)
    size = f"{assembled.nlp.columns} variables, {assembled.nlp.rows} equations and limits"
    ladder.climbed("transcription", f"{size}; {told(terms[0])}")
    sizes = column_sizes(assembled, nominal.runs)
    if not assembled.shot:
        assembled = replace(assembled, nlp=replace(assembled.nlp, room=room(assembled, nominal.runs, sizes)))
    engine = Engine(assembled.nlp, solver)
    ladder.climbed("derivatives", _deciding(engine))
    first = filled(assembled, nominal.runs, guessed(problem, given[0]))
    scaling = engine.scaling(first, sizes)
    ladder.climbed("scaling", f"sizes from {sizes.min(initial=1.0):.1e} to {sizes.max(initial=1.0):.1e}")
    begun = replace(attempt_of(assembled, solver, scaling, first, RELAXATION), times=clock_of(assembled, nominal.runs))
    note = None if keeper is None else _noting(keeper, problem, nominal, begun, ladder)
    reached = climb(engine, first, scaling, begun.limits, _stages(assembled, nominal), note)
    ladder.report(reached.steps)
    others = _others(starts, time.perf_counter() - began, start_from, reached, solver)
    chosen = Choice(reached, None, ())
    if others:
        chosen = search(problem, terms, assembled, engine, begun, reached, others, seed, ladder)
    outcome = chosen.reached.outcome
    solutions = tuple(
        read(assembled, r, outcome, ladder.rungs, _stats(assembled, engine, chosen, ladder))
        for r in range(len(problem.runs))
    )
    return Started(assembled, engine, chosen.reached, scaling, first, solutions, ladder)


def _noting(keeper: Keeper, problem: Problem, nominal: Nominal, begun: Attempt, ladder: Ladder) -> Note:
    """Keep the solve that is about to begin, and what it has come to whenever a long step of it is done."""
    run = problem.runs[0]
    source = Source(run.plant, run.recipe, run.inputs, problem.free)
    started = solution_of(source, nominal.runs[0], Status.FAILED, UNFINISHED)

    def keep(outcome: Outcome | None, steps: Sequence[Step]) -> None:
        rungs = StartReport([*ladder.rungs, *(Rung(*step) for step in steps)])
        solution = replace(started, kind="optimum", start_report=rungs)
        keeper.write(lambda: record_of(solution, replace(begun, outcome=outcome)))

    keep(None, ())
    return keep


def _stages(assembled: Assembled, nominal: Nominal) -> tuple[Stage, ...]:
    """Programs on the way to this one, where it cannot be started where it is."""
    if nominal.share < 1.0:
        return horizon_stages(assembled, nominal.share)
    return () if nominal.parameters is None else parameter_stages(assembled, nominal.parameters)


def _deciding(engine: Engine) -> str:
    """Who decides how much."""
    if engine.shot is None:
        return type(engine.solver).__name__
    return f"quadratic programs for {len(engine.shot.march.free)} decisions, from which all states follow"


def _per_run(start_from: Solution | Sequence[Solution] | None, runs: int) -> list[Solution | None]:
    """What each run starts from."""
    if start_from is None or isinstance(start_from, Solution):
        return [start_from] * runs
    return list(start_from)


def _others(starts: int | None, seconds: float, start_from: Any, reached: Reached, solver: Ipopt | Fatrop) -> int:
    """How many further starts are wanted; one where the first was cheap, or failed; none where time is up, or where
    there is no best value."""
    if reached.outcome.status in (Status.TIME, Status.INTERRUPTED, Status.DIVERGED):
        return 0
    if starts is not None:
        return max(starts - 1, 0 if reached.outcome.status.ok else 1)
    cheap = seconds < _CHEAP and start_from is None
    failed = not reached.outcome.status.ok and seconds < getattr(solver, "seconds", np.inf)
    return 1 if cheap or failed else 0


def _counted(terms: Sequence[Sequence[PhaseTerms]]) -> str:
    dae = terms[0][0].operation.lowered.dae
    runs = f", {len(terms)} runs" if len(terms) > 1 else ""
    states, algebraics = len(dae.states), len(dae.algebraics)
    index, phases = 1 if algebraics else 0, len(terms[0])
    return f"square, index {index}: {states} states, {algebraics} algebraics, {phases} phases{runs}"


def _stats(assembled: Assembled, engine: Engine, chosen: Choice, ladder: Ladder) -> dict[str, Any]:
    return {
        "variables": assembled.nlp.columns,
        "rows": assembled.nlp.rows,
        "iterations": chosen.reached.outcome.iterations,
        "decisions": int(np.count_nonzero(engine.decided)),
        "starts_agree": chosen.agree,
        "starts": list(chosen.objectives),
        "elements": {p.operation.name: len(p.transcribed.ends) - 1 for p in assembled.runs[0]},
        "seconds_total": ladder.elapsed,
        "seconds_simulation": ladder.seconds("structure", "simulation"),
        "seconds_transcribe": ladder.seconds("transcription"),
        "seconds_create": ladder.seconds("derivatives", "scaling"),
        "seconds_solve": ladder.seconds("NLP", "domains"),
        "seconds_second_start": ladder.seconds_of_second_start,
    }
