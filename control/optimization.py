"""What is the best way to run a recipe? `optimize` decides inputs, durations, parameters and starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.problems.problem import Problem, Run
from titer.flowsheets.problems.solving import failure_of, solve
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.terms import AtTimes, Sum, Term, as_sum, check_constraints
from titer.numerics.errors import SolveError, SpecificationError
from titer.numerics.grid import Grid
from titer.numerics.solution import Solution
from titer.numerics.solvers import Fatrop, Ipopt


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
    `start_from`: an earlier solution that shares phases with the recipe, also a simulation or an unfinished one;
    without one the start is simulated, nobody supplies a guess. `solver`: Ipopt(seconds=60) limits the time.
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
    if start_from is not None and not isinstance(start_from, Solution):
        raise SpecificationError(
            f"optimize: start_from must be a Solution, got {start_from!r}.\n"
            f"  Give what optimize or simulate returned, error.solution, or Solution.load(file) of titer.numerics."
        )
    if solver is not None and not isinstance(solver, Ipopt | Fatrop):
        raise SpecificationError(
            f"optimize: solver must be Ipopt(...) or Fatrop(...) of titer.numerics, got {solver!r}."
        )
    problem = optimization_problem(plant, recipe, free, maximize, minimize, subject_to, grid, inputs, scenarios)
    solved = solve(problem, solver or Ipopt(), start_from, starts, seed, refine)
    solution = solved.solutions[0]
    if strict and not solution.status.ok:
        raise SolveError(failure_of(solution), solution)
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
