"""Does the same program solve from a constant guess? What a user of a bare nonlinear programming tool would try.

The transcription and the elements are those on which titer ended. All trajectories are constant at the initial states,
inputs, durations and algebraic variables at their declared guesses; decisions are unscaled; physical domains are
hard bounds; IPOPT has its default options (its own scaling by gradients, monotone barrier from 0.1), up to 3000
iterations and five seconds of computing, several times titer's median for all starts, meshes and the certificate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np

from titer.control.optimization import optimization_problem
from titer.flowsheets.declarations import State
from titer.flowsheets.operation import Operation
from titer.flowsheets.problems.assembly import assemble
from titer.flowsheets.problems.filling import fill
from titer.flowsheets.problems.guesses import guessed
from titer.flowsheets.problems.problem import PhaseTerms, Run, phases_of
from titer.numerics import Grid, Ipopt, Solution
from titer.numerics.dae import starts
from titer.numerics.integration.trajectory import Trajectory
from titer.numerics.program import Scaling
from titer.numerics.solution import PhaseResult
from titer.numerics.solvers import Engine

ITERATIONS, SECONDS = 3000, 5.0
ELEMENTS = 30  # a phase, where titer has no mesh
DEFAULTS: Mapping[str, Any] = {  # limits, and IPOPT's own options in place of titer's
    "max_iter": ITERATIONS,
    "max_cpu_time": SECONDS,
    "nlp_scaling_method": "gradient-based",
    "bound_relax_factor": 1e-8,
    "neg_curv_test_tol": 0.0,
    "mumps_scaling": 77,
    "mu_strategy": "monotone",
    "mu_init": 0.1,
    "bound_push": 1e-2,
    "bound_frac": 1e-2,
    "slack_bound_push": 1e-2,
    "slack_bound_frac": 1e-2,
}
CUT_OFF = "Maximum_CpuTime_Exceeded"
_SOLVED = ("Solve_Succeeded", "Solved_To_Acceptable_Level")


@dataclass(frozen=True)
class Constant:
    """What became of a constant guess.

    `said`: IPOPT's own word, which counts here. `gain`: how much better its objective is than titer's, relative; NaN
    where one is missing.
    """

    solved: bool
    said: str
    objective: float
    gain: float
    iterations: int
    variables: int
    seconds: float


def from_constant(stated: Mapping[str, Any], plan: Solution | None) -> Constant:
    """Solve a problem from a constant guess, on the mesh of `plan` where there is one."""
    began = perf_counter()
    problem = optimization_problem(**{**stated, "grid": _grid(plan)})
    terms = [phases_of(run, problem.free) for run in problem.runs]
    flat = [_flat(run, phases) for run, phases in zip(problem.runs, terms, strict=True)]
    assembled = assemble(problem, terms, flat)
    engine = Engine(assembled.nlp, Ipopt(iterations=ITERATIONS, options=DEFAULTS))
    w = fill(assembled, flat, guessed(problem, None))
    unscaled = Scaling(np.ones(assembled.nlp.columns), np.ones(assembled.nlp.rows))
    outcome = engine.solve(w, unscaled, assembled.nlp.lower, assembled.nlp.upper)
    solved = outcome.message in _SOLVED
    gain = float("nan")
    if solved and plan is not None and plan.status.ok:
        size = max(abs(plan.objective), 1e-2 / plan.iterate.scaling.objective)  # an optimum of zero has a size too
        gain = (problem.sign * plan.objective - outcome.objective) / size
    return Constant(
        solved=solved,
        said=outcome.message,
        objective=problem.sign * outcome.objective,
        gain=gain,
        iterations=outcome.iterations,
        variables=assembled.nlp.columns,
        seconds=perf_counter() - began,
    )


def _grid(plan: Solution | None) -> Grid:
    """The elements on which a plan ended."""
    if plan is None or plan.iterate is None:
        return Grid(elements=ELEMENTS)
    placed = plan.iterate.assembled.runs[0]
    return replace(plan.iterate.assembled.problem.grid, elements={p.operation.name: p.transcribed.ends for p in placed})


def _flat(run: Run, phases: Sequence[PhaseTerms]) -> tuple[PhaseResult, ...]:
    """Every phase at the initial states all along."""
    known = {str(name): s.start for name, s in run.plant.scalars.items() if s.kind == State.kind}
    clock, results = 0.0, []
    for phase in phases:
        results.append(_constant_phase(phase.operation, known, clock))
        clock += phase.operation.duration.guess
    return tuple(results)


def _constant_phase(operation: Operation, known: Mapping[str, float], clock: float) -> PhaseResult:
    dae = operation.lowered.dae
    x = np.array([[known[v.name]] * 2 for v in dae.states]).reshape(len(dae.states), 2)
    z = np.repeat(starts(dae.algebraics)[:, None], 2, axis=1)
    none = np.zeros((0, 2))
    return PhaseResult(
        name=operation.name,
        trajectory=Trajectory(np.array([clock, clock + operation.duration.guess]), x, z, none, none),
        states=tuple(v.name for v in dae.states),
        algebraics=tuple(v.name for v in dae.algebraics),
        inputs=(),
        outputs=(),
        held={name: known[name] for name in operation.lowered.held},
    )
