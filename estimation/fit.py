"""Which parameters fit the data? `estimate`: weighted least squares over all experiments by simultaneous
collocation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from titer.estimation.experiment import Experiment
from titer.flowsheets.declarations import State
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.names import elements_of
from titer.flowsheets.problems.problem import Problem, Run
from titer.flowsheets.problems.solving import failure_of, solve
from titer.flowsheets.recipe import Free
from titer.numerics.errors import SolveError, SpecificationError, unknown
from titer.numerics.grid import Grid
from titer.numerics.solution import Certificate, Solution
from titer.numerics.solvers import Ipopt, Status


@dataclass(frozen=True, eq=False)
class Fit:
    """Fitted values, the weighted sum of squares there, and the trajectories of each experiment.

    `values`: the parameters, which all experiments share. `starts`: the initial states that were decided, for each
    experiment its own. `objective`: with the squares of priors. `status`: what the solver says, on the mesh it was
    given; `ok`: whether the replay of every experiment agrees as well, by its one of `certificates`; `message`: what
    does not hold, empty where all of it does.
    """

    values: Mapping[str, float]
    objective: float
    solutions: tuple[Solution, ...]
    status: Status
    starts: tuple[Mapping[str, float], ...] = ()
    certificates: tuple[Certificate, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the fit was solved and can be trusted."""
        return not self.message

    @property
    def message(self) -> str:
        """What does not hold; empty where all of it does."""
        if not self.status.ok:
            return self.status.value
        missed = (f"experiment {i + 1}: {c.message}" for i, c in enumerate(self.certificates) if not c.ok)
        return next(missed, "")


def estimate(
    plant: Flowsheet,
    experiments: Sequence[Experiment],
    free: Sequence[str] | Mapping[str, Free],
    grid: Grid | None = None,
    solver: Ipopt | None = None,
) -> Fit:
    """Fit parameters to experiments: min over free of sum ((model - data) / deviation)^2.

    `free`: names of parameters (guess: their values, bounds: as declared), or {name: Free(guess, lower, upper)}; with
    `prior=(mean, deviation)` of Free, ((value - mean) / deviation)^2 is added. An initial state that is free is decided
    for each experiment by itself, its prior counts for each. `grid`: its elements end at every sample; where it is left
    open it is refined until replays agree. Look at `ok` and `message` of the fit: a solved fit on too coarse a mesh is
    no fit. Raises SpecificationError before any solve, SolveError after a failed one.
    Method: simultaneous collocation of all experiments (Zavala & Biegler, Comput. Chem. Eng. 32 (2008) 1763).
    """
    if not experiments:
        raise SpecificationError("estimate: no experiment was given.")
    runs = tuple(Run(plant.with_values(e.start), e.recipe, dict(e.inputs), e.residuals(plant)) for e in experiments)
    problem = Problem(runs, _free(plant, free), grid or Grid(), share_decisions=False)
    solved = solve(problem, solver or Ipopt())
    outcome = solved.started.outcome
    parts = [_by_kind(plant, solution.decided) for solution in solved.solutions]
    fit = Fit(
        values=parts[0][0],
        objective=outcome.objective,
        solutions=solved.solutions,
        status=outcome.status,
        starts=tuple(starts for _, starts in parts),
        certificates=tuple(s.certificate for s in solved.solutions if s.certificate is not None),
    )
    if not outcome.status.ok:
        raise SolveError(failure_of(solved.solutions[0], "estimate: "), fit)
    return fit


def _by_kind(plant: Flowsheet, decided: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Decided parameters, and decided initial states."""
    states = {name: value for name, value in decided.items() if plant.scalars[name].kind == State.kind}
    return {name: value for name, value in decided.items() if name not in states}, states


def _free(plant: Flowsheet, free: Sequence[str] | Mapping[str, Free]) -> dict[str, Any]:
    if isinstance(free, Mapping):
        return dict(free)
    free = [free] if isinstance(free, str) else free
    if not isinstance(free, Sequence) or not all(isinstance(name, str) for name in free):
        raise SpecificationError(
            f"estimate: free is a list of names of parameters, or a dict from names to Free(guess, lower, upper), "
            f"got {free!r}."
        )
    scalars = plant.scalars
    chosen = {}
    for name in free:
        for each in elements_of(name):
            if str(each) not in scalars:
                raise SpecificationError(f"estimate: free: {unknown('parameter', each, scalars)}")
            scalar = scalars[str(each)]
            chosen[str(each)] = Free(scalar.start, scalar.lower, scalar.upper)
    return chosen
