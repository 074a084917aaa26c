"""How does a problem start, without a guess from anyone? By the start ladder, each rung of which is reported.

structure check -> simulation of the nominal recipe -> mesh from its steps -> transcription -> scaling from simulated
sizes -> domains relaxed -> NLP -> domains tightened. Where the first start was cheap, a second one from elsewhere
checks it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.flowsheets.problems.assembly import Assembled, assemble
from titer.flowsheets.problems.climbing import Reached, climb
from titer.flowsheets.problems.filling import column_sizes, fill
from titer.flowsheets.problems.guesses import guessed, nominal_runs
from titer.flowsheets.problems.influence import check_objective
from titer.flowsheets.problems.ladder import Ladder
from titer.flowsheets.problems.problem import PhaseTerms, Problem, check_free, free_numbers, phases_of
from titer.flowsheets.problems.results import read
from titer.flowsheets.problems.search import Choice, search
from titer.numerics.program import Scaling
from titer.numerics.solution import Solution
from titer.numerics.solvers import Engine, Fatrop, Ipopt, Outcome

Array = np.ndarray
_CHEAP = 1.0  # seconds of a first start up to which a second one is run


@dataclass(frozen=True, eq=False)
class Started:
    """A solved (or failed) problem: everything needed to read it, certify it and warm-start another."""

    assembled: Assembled
    engine: Engine
    reached: Reached
    scaling: Scaling
    solutions: tuple[Solution, ...]  # one per run
    ladder: Ladder

    @property
    def outcome(self) -> Outcome:
        return self.reached.outcome


def start(
    problem: Problem,
    solver: Ipopt | Fatrop,
    start_from: Solution | Sequence[Solution] | None = None,
    starts: int | None = None,
    ladder: Ladder | None = None,
    seed: int = 0,
) -> Started:
    """Solve a problem from no guess. `starts`: how many; None: a second start where the first was cheap.

    `ladder`: rungs climbed already (a coarser mesh). `seed`: of the starts beyond the second.

    Raises SpecificationError before any solve, SolveError where no start can be simulated. A failed solve is returned.
    """
    ladder = ladder or Ladder()
    ladder.begin()
    began = time.perf_counter()
    free_numbers(problem.plant, problem.free)  # complain of what is free before complaining of what is missing
    terms = [phases_of(run, problem.free) for run in problem.runs]
    check_free(problem.runs[0], problem.free, terms[0])
    check_objective(problem, terms)
    ladder.climbed("structure", _counted(terms))
    given = _per_run(start_from, len(problem.runs))
    nominal = nominal_runs(problem, terms, given, ladder)
    assembled = assemble(problem, terms, nominal)
    ladder.climbed("transcription", f"{assembled.nlp.columns} variables, {assembled.nlp.rows} equations and limits")
    engine = Engine(assembled.nlp, solver)
    ladder.climbed("derivatives", type(solver).__name__)
    first = fill(assembled, nominal, guessed(problem, given[0]))
    sizes = column_sizes(assembled, nominal)
    scaling = engine.scaling(first, sizes)
    ladder.climbed("scaling", f"sizes from {sizes.min(initial=1.0):.1e} to {sizes.max(initial=1.0):.1e}")
    reached = climb(engine, first, scaling)
    ladder.report(reached.steps)
    others = _others(starts, time.perf_counter() - began, start_from, reached)
    chosen = Choice(reached, None, ())
    if others:
        chosen = search(problem, terms, assembled, engine, scaling, reached, others, seed, ladder)
    outcome = chosen.reached.outcome
    solutions = tuple(
        read(assembled, r, outcome, ladder.rungs, _stats(assembled, chosen, ladder)) for r in range(len(problem.runs))
    )
    return Started(assembled, engine, chosen.reached, scaling, solutions, ladder)


def _per_run(start_from: Solution | Sequence[Solution] | None, runs: int) -> list[Solution | None]:
    """What each run starts from."""
    if start_from is None or isinstance(start_from, Solution):
        return [start_from] * runs
    return list(start_from)


def _others(starts: int | None, seconds: float, start_from: Any, reached: Reached) -> int:
    """How many further starts are wanted; one where the first was cheap, or failed."""
    if starts is not None:
        return max(starts - 1, 0 if reached.outcome.status.ok else 1)
    cheap = seconds < _CHEAP and start_from is None
    return 1 if cheap or not reached.outcome.status.ok else 0


def _counted(terms: Sequence[Sequence[PhaseTerms]]) -> str:
    dae = terms[0][0].operation.lowered.dae
    runs = f", {len(terms)} runs" if len(terms) > 1 else ""
    states, algebraics = len(dae.states), len(dae.algebraics)
    index, phases = 1 if algebraics else 0, len(terms[0])
    return f"square, index {index}: {states} states, {algebraics} algebraics, {phases} phases{runs}"


def _stats(assembled: Assembled, chosen: Choice, ladder: Ladder) -> dict[str, Any]:
    return {
        "variables": assembled.nlp.columns,
        "rows": assembled.nlp.rows,
        "iterations": chosen.reached.outcome.iterations,
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
