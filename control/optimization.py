"""What is the best way to run a recipe? `optimize` decides inputs, durations, parameters and starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.problems.placing import Placement
from titer.flowsheets.problems.problem import Placed, Problem, Run
from titer.flowsheets.problems.solving import solve
from titer.flowsheets.problems.start import Started
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.terms import AtTimes, Sum, Term, as_sum, check_constraints
from titer.numerics.errors import SolveError, SpecificationError
from titer.numerics.grid import Grid
from titer.numerics.solution import Solution
from titer.numerics.solvers import Fatrop, Ipopt, Status


def optimize(
    plant: Flowsheet,
    recipe: Recipe,
    free: Mapping[str, Any] | None = None,
    maximize: Term | Sum | None = None,
    minimize: Term | Sum | None = None,
    subject_to: Sequence[Term] = (),
    grid: Grid | None = None,
    inputs: Mapping[str, Any] | None = None,
    start_from: Solution | None = None,
    scenarios: Sequence[Mapping[str, float]] | None = None,
    solver: Ipopt | Fatrop | None = None,
    starts: int | None = None,
    seed: int = 0,
    refine: float | None = None,
    strict: bool = True,
) -> Solution:
    """Find the inputs, durations, parameters and initial states that make an objective best.

    `free`: {control: PiecewiseConstant(10)}, {parameter or state: Free(guess, lower, upper)}; free durations stand in
    the recipe. `maximize` or `minimize`: AtStart, AtEnd, Integral, or a sum of them. `subject_to`: terms with limits.
    `inputs`: trajectories of what is not decided (of what is: the value tried first). `grid`: where None, elements
    follow the steps of a simulation and are refined until a replay deviates by less than 1e-5; `refine`: refine and
    coarsen any grid to this deviation, and let the switches of bang-bang inputs move to where they belong.
    `start_from`: an earlier solution of the same recipe; without one the start is simulated, nobody supplies a guess.
    `starts`: how many starts; the second in the other half of all bounds, the others at random by `seed`; None: a
    second where the first took under a second. Where they disagree the best is taken, and `start_report` says so.
    `scenarios`: parameter values, e.g. [{reactor.k0_1: 1.8e9}, {...}]: one set of decisions, the mean of the
    objectives, every limit in every scenario.

    Returns a `Solution` with `objective`, `duration`, `certificate`, `start_report`, `stats`. Raises SpecificationError
    before any solve, SolveError (with the unfinished `solution`) after a failed one; `strict=False` returns the failed
    solution instead. Method: simultaneous collocation (Biegler, Nonlinear Programming, SIAM 2010), by IPOPT or fatrop.
    """
    if starts is not None and (isinstance(starts, bool) or not isinstance(starts, int) or starts < 1):
        raise SpecificationError(f"optimize: starts must be a whole number of at least 1, or None, got {starts!r}.")
    if refine is not None and not (isinstance(refine, float) and 1e-10 <= refine < 1.0):
        raise SpecificationError(
            f"optimize: refine must be a replay deviation from 1e-10 to below 1, such as 1e-6, got {refine!r}."
        )
    problem = optimization_problem(plant, recipe, free, maximize, minimize, subject_to, grid, inputs, scenarios)
    solved = solve(problem, solver or Ipopt(), start_from, starts, seed, refine)
    solution = solved.solutions[0]
    if strict and not solution.status.ok:
        raise SolveError(_complaint(solved.started, solution), solution)
    return solution


def optimization_problem(
    plant: Flowsheet,
    recipe: Recipe,
    free: Mapping[str, Any] | None = None,
    maximize: Term | Sum | None = None,
    minimize: Term | Sum | None = None,
    subject_to: Sequence[Term] = (),
    grid: Grid | None = None,
    inputs: Mapping[str, Any] | None = None,
    scenarios: Sequence[Mapping[str, float]] | None = None,
) -> Problem:
    """The checked problem behind `optimize`, for whatever else is to be done with it."""
    if (maximize is None) == (minimize is None):
        raise SpecificationError("optimize: give either maximize= or minimize=.")
    if not isinstance(plant, Flowsheet):
        raise SpecificationError(f"optimize: expected a Flowsheet(...), got {type(plant).__name__} {plant!r}.")
    for key, value, kind in (("grid", grid, Grid), ("recipe", recipe, Recipe)):
        if value is not None and not isinstance(value, kind):
            raise SpecificationError(f"optimize: {key} must be a {kind.__name__}, got {value!r}.")
    sign = 1.0 if maximize is None else -1.0
    objective = as_sum(minimize if maximize is None else maximize)
    constraints = check_constraints(subject_to)
    if any(isinstance(term, AtTimes) for term in constraints):
        raise SpecificationError("subject_to: a term over data is an objective, not a constraint.")
    cases = list(scenarios) if scenarios is not None else [{}]
    if not cases:
        raise SpecificationError("optimize: scenarios is empty; leave it out, or give at least one.")
    weighted = objective * (sign / len(cases))
    given = {} if inputs is None else inputs
    runs = tuple(Run(plant.with_values(case), recipe, given, weighted, constraints) for case in cases)
    return Problem(runs, {} if free is None else free, grid or Grid(), sign=sign)


def _complaint(started: Started, solution: Solution) -> str:
    """What a failed solve says: which limit its decisions miss, what to do, and the worst rows by name."""
    certificate = solution.certificate
    missed = {} if certificate is None else {k: v for k, v in certificate.violation.items() if v > 1e-9}
    known = {p.term.label(): p for phases in started.assembled.runs for place in phases for p in _limited(place)}
    lines = []
    for name in sorted(missed, key=lambda k: -missed[k])[:3]:
        unit, limits = "", ""
        if name in known:
            unit = known[name].measure.label if known[name].measure.names else ""
            limits = f" (limits {known[name].lower:g} to {known[name].upper:g} {unit}".rstrip() + ")"
        lines.append(f"{name}{limits}, missed by {missed[name]:.3g} {unit}".rstrip())
    text = f"the problem was not solved: {solution.status.value}."
    if lines and solution.status is Status.INFEASIBLE:
        text = (
            f"no decisions were found that meet {lines[0]}.\n"
            f"  {solution.status.value}. Relax this limit or another one, free more, or allow more time."
        )
    elif solution.status is Status.DIVERGED:
        text += "\n  Give every decided control, duration and parameter finite bounds."
    text += "".join(f"\n  missed when its decisions are run: {line}" for line in lines)
    times, clock = {}, 0.0
    for phase in solution.phases:
        times[phase.name] = (clock, phase.trajectory.duration)
        clock += phase.trajectory.duration
    for name, amount in worst_rows(started, times):
        text += f"\n  largest residual: {name}, {amount:.3g} (scaled)"
    return text + "\n  The unfinished solution is in error.solution; its start_report says what was tried."


def _limited(placement: Placement) -> tuple[Placed, ...]:
    terms = placement.terms
    return (*terms.paths, *terms.at_start, *terms.at_end, *terms.totals)


def worst_rows(started: Started, times: Mapping[str, tuple[float, float]], most: int = 3) -> list[tuple[str, float]]:
    """The rows that are violated most at a solution, by name, largest first."""
    nlp, scaling, engine = started.assembled.nlp, started.scaling, started.engine
    p = engine.program.parameters(scaling)
    g = np.array(engine.program.values(started.outcome.w / scaling.columns, p)[1]).ravel()
    lower, upper = nlp.row_bounds()
    beyond = np.maximum(lower * scaling.rows - g, g - upper * scaling.rows)
    beyond = np.where(np.isfinite(beyond), beyond, np.inf)
    order = np.argsort(-beyond)[:most]
    return [(nlp.row_name(int(i), dict(times)), float(beyond[i])) for i in order if beyond[i] > 1e-6]
