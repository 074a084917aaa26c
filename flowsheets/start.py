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

from titer.flowsheets.assembly import Assembled, assemble
from titer.flowsheets.filling import bounds, column_sizes, fill
from titer.flowsheets.guesses import elsewhere, nominal_runs
from titer.flowsheets.ladder import Ladder
from titer.flowsheets.problem import PhaseTerms, Problem, check_free, free_numbers, phases_of
from titer.flowsheets.results import read
from titer.numerics.program import Scaling
from titer.numerics.solution import Solution
from titer.numerics.solvers import Engine, Fatrop, Ipopt, Manner, Outcome, Status

Array = np.ndarray
RELAXATION = 1e-4  # of a variable's nominal size, by which physical domains are left free at first
WIDER = 1e-2  # where one binds, to see whether it is a limit or an element's undershoot
TIGHTER = (1e-6, 1e-8)
_PULL = 1e-3  # scaled multiplier from which a domain is said to bind
_UNCHANGED = 1e-6  # relative change of an objective that is called none
_CHEAP = 1.0  # seconds of a first start up to which a second one is run
_SMALL = 1e-7  # scaled objective that is called zero
_AGREE = 1e-5  # relative difference of two objectives that are called the same


@dataclass(frozen=True, eq=False)
class Reached:
    """Where a solve ended; by how much domains were relaxed and left (fractions of nominal), and which bind."""

    outcome: Outcome
    relaxation: float
    left: float
    binding: tuple[str, ...]


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
    start_from: Solution | None = None,
    starts: int | None = None,
    ladder: Ladder | None = None,
) -> Started:
    """Solve a problem from no guess. `starts`: 1 or 2; None: a second start where the first was cheap.

    `ladder`: rungs climbed already (a coarser mesh).

    Raises SpecificationError before any solve, SolveError where no start can be simulated. A failed solve is returned.
    """
    ladder = ladder or Ladder()
    ladder.begin()
    began = time.perf_counter()
    numbers = free_numbers(problem.plant, problem.free)
    terms = [phases_of(run, problem.free) for run in problem.runs]
    check_free(problem.runs[0], problem.free, terms[0])
    ladder.climbed("structure", _counted(terms))
    nominal = nominal_runs(problem, terms, start_from, ladder)
    assembled = assemble(problem, terms, nominal)
    ladder.climbed("transcription", f"{assembled.nlp.columns} variables, {assembled.nlp.rows} equations and limits")
    engine = Engine(assembled.nlp, solver)
    ladder.climbed("derivatives", type(solver).__name__)
    first = fill(assembled, nominal, {n.name: n.guess for n in numbers})
    sizes = column_sizes(assembled, nominal)
    scaling = engine.scaling(first, sizes)
    ladder.climbed("scaling", f"sizes from {sizes.min(initial=1.0):.1e} to {sizes.max(initial=1.0):.1e}")
    reached = _climb(engine, assembled, first, scaling, ladder)
    seconds = time.perf_counter() - began
    agree: bool | None = None
    again = starts is None and seconds < _CHEAP and start_from is None
    if (starts or 0) > 1 or again or not reached.outcome.status.ok:
        second = elsewhere(problem, terms, assembled, ladder)
        if second is not None:
            found = _climb(engine, assembled, second, scaling, ladder, "second start: ")
            reached, agree = _better(reached, found, problem.sign, scaling, ladder)
    solutions = tuple(
        read(assembled, r, reached.outcome, ladder.rungs, _stats(assembled, reached.outcome, ladder, agree))
        for r in range(len(problem.runs))
    )
    return Started(assembled, engine, reached, scaling, solutions, ladder)


def _climb(
    engine: Engine, assembled: Assembled, w: Array, scaling: Scaling, ladder: Ladder, prefix: str = ""
) -> Reached:
    """Solve with relaxed domains, then with wider ones where they bind, then with tighter ones where they were left."""
    limits = bounds(assembled, scaling.columns, RELAXATION)
    outcome = engine.solve(w, scaling, *limits)
    ladder.climbed(f"{prefix}NLP", _said(outcome))
    if _worth_another_try(outcome, engine.solver):
        outcome = engine.solve(w, scaling, *limits, manner=Manner.FAR)
        ladder.climbed(f"{prefix}NLP, adaptive barrier", _said(outcome))
    reached = _reached(assembled, outcome, scaling, RELAXATION)
    if outcome.status in (Status.TIME, Status.INTERRUPTED):
        return reached
    if reached.binding or not outcome.status.ok:
        # A domain is no limit: an element that a depletion crosses undershoots, and its bound then holds the decisions.
        wider = _again(engine, assembled, reached, scaling, WIDER)
        ladder.climbed(f"{prefix}domains to {WIDER:.0e}", _said(wider.outcome))
        if wider.outcome.status.ok and not wider.binding:
            return wider
        if not outcome.status.ok:
            return reached
    for tighter in TIGHTER:
        if reached.left <= TIGHTER[-1]:
            break
        again = _again(engine, assembled, reached, scaling, tighter)
        ladder.climbed(f"{prefix}domains to {tighter:.0e}", _said(again.outcome))
        change = abs(again.outcome.objective - outcome.objective) / max(1e-12, abs(outcome.objective))
        if not again.outcome.status.ok or (change > _UNCHANGED and not reached.binding):
            break  # tighter domains would hold the decisions, not the states
        reached = again
    return reached


def _again(engine: Engine, assembled: Assembled, reached: Reached, scaling: Scaling, relaxation: float) -> Reached:
    limits = bounds(assembled, scaling.columns, relaxation)
    return _reached(assembled, engine.solve(reached.outcome.w, scaling, *limits), scaling, relaxation)


def _reached(assembled: Assembled, outcome: Outcome, scaling: Scaling, relaxation: float) -> Reached:
    nlp = assembled.nlp
    beyond = np.maximum(nlp.lower - outcome.w, outcome.w - nlp.upper) / scaling.columns
    left = float(np.max(np.where(nlp.domain, beyond, 0.0), initial=0.0))
    pull = np.abs(outcome.bound_multipliers) * scaling.columns * scaling.objective
    binding = np.flatnonzero(nlp.domain & (pull > _PULL))
    return Reached(outcome, relaxation, left, tuple(nlp.column_name(int(i)) for i in binding[:3]))


def _worth_another_try(outcome: Outcome, solver: Ipopt | Fatrop) -> bool:
    """Whether IPOPT failed for a reason that a larger barrier may mend, not for want of time or iterations."""
    if outcome.status.ok or not isinstance(solver, Ipopt):
        return False
    if outcome.status is Status.ITERATIONS:
        return outcome.iterations < solver.iterations
    return outcome.status not in (Status.TIME, Status.INTERRUPTED)


def _better(
    first: Reached, second: Reached, sign: float, scaling: Scaling, ladder: Ladder
) -> tuple[Reached, bool | None]:
    """The better of two starts, and whether they agree (None where one of them failed)."""
    a, b = first.outcome, second.outcome
    if not b.status.ok:
        ladder.climbed("starts", "the second start failed; the first stands")
        return first, None
    if not a.status.ok:
        ladder.climbed("starts", "the first start failed; the second is taken")
        return second, None
    gap = abs(a.objective - b.objective)
    if gap <= _AGREE * max(abs(a.objective), abs(b.objective)) or gap * scaling.objective <= _SMALL:
        ladder.climbed("starts", f"agree (objectives differ by {gap:.0e})")
        return first, True
    found = f"objectives {sign * a.objective:.8g} and {sign * b.objective:.8g}"
    ladder.climbed("starts", f"DISAGREE: {found}; the better is taken")
    return (first if a.objective <= b.objective else second), False


def _counted(terms: Sequence[Sequence[PhaseTerms]]) -> str:
    dae = terms[0][0].operation.lowered.dae
    runs = f", {len(terms)} runs" if len(terms) > 1 else ""
    states, algebraics = len(dae.states), len(dae.algebraics)
    index, phases = 1 if algebraics else 0, len(terms[0])
    return f"square, index {index}: {states} states, {algebraics} algebraics, {phases} phases{runs}"


def _said(outcome: Outcome) -> str:
    return f"{outcome.status.value}; {outcome.iterations} iterations, violation {outcome.violation:.0e}"


def _stats(assembled: Assembled, outcome: Outcome, ladder: Ladder, agree: bool | None) -> dict[str, Any]:
    return {
        "variables": assembled.nlp.columns,
        "rows": assembled.nlp.rows,
        "iterations": outcome.iterations,
        "starts_agree": agree,
        "elements": {p.operation.name: len(p.transcribed.ends) - 1 for p in assembled.runs[0]},
        "seconds_total": ladder.elapsed,
        "seconds_simulation": ladder.seconds("structure", "simulation"),
        "seconds_transcribe": ladder.seconds("transcription"),
        "seconds_create": ladder.seconds("derivatives", "scaling"),
        "seconds_solve": ladder.seconds("NLP", "domains"),
        "seconds_second_start": ladder.seconds_of_second_start,
    }
