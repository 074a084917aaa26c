"""What is the best way to run a recipe? `optimize` decides inputs, durations, parameters and starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from titer.control.chances import solve_with_chances
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.problems.hedging import Chance, Scenarios, hedge_of
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
    subject_to: Sequence[Term | Chance] = (),
    grid: Grid | None = None,
    inputs: Mapping[str, Any] | None = None,
    start_from: Solution | None = None,
    scenarios: Scenarios | Sequence[Mapping[str, float]] | None = None,
    solver: Ipopt | Fatrop | None = None,
    starts: int | None = None,
    seed: int = 0,
    refine: float | None = None,
    strict: bool = True,
) -> Solution:
    """Find the inputs, durations, parameters and initial states that make an objective best.

    `free`: {control: PiecewiseConstant(10)}, by phase {control: {"growth": Exponential(), "harvest":
    PiecewiseConstant(1)}}, {parameter or state: Free(guess, lower, upper)}; free durations stand in the recipe.
    `maximize` or `minimize`: AtStart, AtEnd, Integral, or a sum of them. `subject_to`: terms with limits.
    `inputs`: trajectories of what is not decided (of what is: the value tried first). `grid`: where None, elements
    follow the steps of a simulation and are refined until a replay deviates by less than 1e-5; `refine`: refine and
    coarsen any grid to this deviation, and let the switches of bang-bang inputs move to where they belong.
    `start_from`: an earlier solution that shares phases with the recipe, also a simulation or an unfinished one;
    without one the start is simulated, nobody supplies a guess. `solver`: Ipopt(seconds=60) limits the time.
    `starts`: how many starts; the second in the other half of all bounds, the others at random by `seed`; None: a
    second where the first took under a second. Where they disagree the best is taken, and `start_report` says so.
    `scenarios`: parameter values, e.g. [{reactor.k0_1: 1.8e9}, {...}]: one set of decisions, the mean of the
    objectives, every limit in every scenario; `Scenarios(...)` weighs them, looks at the worst, or lets them part; a
    limit as `Chance(term, at_least=0.95)` may be missed in some. The plan of each is in `solution.scenarios`.

    Returns a `Solution` with `objective`, `duration`, `certificate`, `start_report`, `stats`. Raises SpecificationError
    before any solve, SolveError (with the unfinished `solution`) after a failed one; `strict=False` returns the failed
    solution instead. Method: simultaneous collocation (Biegler, Nonlinear Programming, SIAM 2010), by IPOPT or fatrop;
    where a model has 100 states or more, or every phase asks for `Shooting()`: single shooting, the few decisions by
    quadratic programs in a trust region (of Ipopt(...) only tolerance, seconds and iterations count then).
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
    earlier: Solution | Sequence[Solution] | None = start_from
    if start_from is not None and len(start_from.scenarios) == len(problem.runs):
        earlier = start_from.scenarios
    hedged = problem.hedge is not None and problem.hedge.chances
    method = solve_with_chances if hedged else solve
    solved = method(problem, solver or Ipopt(), earlier, starts, seed, refine)
    solution = solved.solutions[0]
    if problem.hedge is not None:
        solution = replace(solution, scenarios=solved.solutions)
    if strict and not solution.status.ok:
        raise SolveError(failure_of(solution), solution)
    return solution


def optimization_problem(
    plant: Flowsheet,
    recipe: Recipe,
    free: Mapping[str, Any] | None = None,
    maximize: Term | Sum | None = None,
    minimize: Term | Sum | None = None,
    subject_to: Sequence[Term | Chance] = (),
    grid: Grid | None = None,
    inputs: Mapping[str, Any] | None = None,
    scenarios: Scenarios | Sequence[Mapping[str, float]] | None = None,
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
    chances = [term for term in subject_to if isinstance(term, Chance)] if isinstance(subject_to, Sequence) else []
    constraints = check_constraints([t for t in subject_to if t not in chances] if chances else subject_to)
    if any(isinstance(term, AtTimes) for term in constraints):
        raise SpecificationError("subject_to: a term over data is an objective, not a constraint.")
    given, decided, mesh = inputs or {}, {} if free is None else free, grid or Grid()
    if scenarios is None:
        if chances:
            raise SpecificationError(
                f"subject_to: Chance of {chances[0].term.label()} needs scenarios, of which some may miss it.\n"
                f"  Give scenarios=sample(...), or the term itself as a limit."
            )
        return Problem((Run(plant, recipe, given, objective * sign, constraints),), decided, mesh, sign=sign)
    several = scenarios if isinstance(scenarios, Scenarios) else Scenarios(scenarios)
    hedge = hedge_of(several, chances, plant, recipe)
    runs = tuple(
        Run(
            plant=each,
            recipe=recipe,
            inputs=given,
            objective=objective * (sign if hedge.gathers else sign * float(weight)),
            constraints=constraints,
            roomy=tuple(chance.term for chance in chances),
            gathered=hedge.gathers,
        )
        for each, weight in zip(several.plants(plant), several.shares, strict=True)
    )
    return Problem(runs, decided, mesh, sign=sign, hedge=hedge)
