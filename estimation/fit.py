"""Which parameters fit the data? `estimate`: weighted least squares over all experiments by simultaneous
collocation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from titer.estimation.experiment import Experiment
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.names import elements_of
from titer.flowsheets.problem import Problem, Run
from titer.flowsheets.recipe import Free
from titer.flowsheets.solving import solve
from titer.numerics.errors import SolveError, SpecificationError, unknown
from titer.numerics.grid import Grid
from titer.numerics.solution import Solution
from titer.numerics.solvers import Ipopt, Status


@dataclass(frozen=True, eq=False)
class Fit:
    """Fitted values, the weighted sum of squares there, and the trajectories of each experiment."""

    values: Mapping[str, float]
    objective: float
    solutions: tuple[Solution, ...]
    status: Status


def estimate(
    plant: Flowsheet,
    experiments: Sequence[Experiment],
    free: Sequence[str] | Mapping[str, Free],
    grid: Grid | None = None,
    solver: Ipopt | None = None,
) -> Fit:
    """Fit parameters to experiments: min over free of sum ((model - data) / deviation)^2.

    `free`: names of parameters (guess: their values, bounds: as declared), or {name: Free(guess, lower, upper)}.
    `grid`: its elements end at every sample. Raises SpecificationError before any solve, SolveError after a failed one.
    Method: simultaneous collocation of all experiments (Zavala & Biegler, Comput. Chem. Eng. 32 (2008) 1763).
    """
    if not experiments:
        raise SpecificationError("estimate: no experiment was given.")
    runs = tuple(Run(plant.with_values(e.start), e.recipe, dict(e.inputs), e.residuals(plant)) for e in experiments)
    problem = Problem(runs, _free(plant, free), grid or Grid(), share_decisions=False)
    solved = solve(problem, solver or Ipopt())
    outcome = solved.started.outcome
    fit = Fit(dict(solved.solutions[0].decided), outcome.objective, solved.solutions, outcome.status)
    if not outcome.status.ok:
        raise SolveError(f"estimate: the fit was not solved: {outcome.status.value}.", fit)
    return fit


def _free(plant: Flowsheet, free: Sequence[str] | Mapping[str, Free]) -> dict[str, Any]:
    if isinstance(free, Mapping):
        return dict(free)
    scalars = plant.scalars
    chosen = {}
    for name in free:
        for each in elements_of(name):
            if str(each) not in scalars:
                raise SpecificationError(f"estimate: free: {unknown('parameter', each, scalars)}")
            scalar = scalars[str(each)]
            chosen[str(each)] = Free(scalar.start, scalar.lower, scalar.upper)
    return chosen
