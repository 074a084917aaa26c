"""How does a problem become a Pyomo.DAE model? A Block per phase, links between them, terms on top.

model.phase["react"].reactor.T[tau]     see `titer.flowsheets.pyomo.phase`
model.phase["react"].link               what a phase takes over from the one before
model.plant.reactor.k0_1                parameters, fixed unless they are decided
model.objective, model.total            the objective; limits on integrals over several phases
model.scaling_factor                    typical sizes
model.run[1].phase, model.run[1].plant  where there are several runs: scenarios, experiments
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyomo.environ as pyo

from titer.flowsheets.declarations import State
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.given import routes_of
from titer.flowsheets.names import elements_of
from titer.flowsheets.problems.assembly import Placement, assemble
from titer.flowsheets.problems.guesses import nominal_runs
from titer.flowsheets.problems.hedging import Chance, Scenarios, hedge_of
from titer.flowsheets.problems.ladder import Ladder
from titer.flowsheets.problems.problem import FreeNumber, Problem, Run, free_numbers, phases_of
from titer.flowsheets.profiles import is_decided, plain_name
from titer.flowsheets.pyomo.jumps import jumps_of
from titer.flowsheets.pyomo.links import link
from titer.flowsheets.pyomo.moments import PhasePlan
from titer.flowsheets.pyomo.naming import runs_of
from titer.flowsheets.pyomo.phase import add_phase
from titer.flowsheets.pyomo.plant import add_plant, decisions, share
from titer.flowsheets.pyomo.start import initialize
from titer.flowsheets.pyomo.terms import add_objective, add_terms, add_totals, drop_paths_between_elements
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.streams import streams_of
from titer.flowsheets.terms import Sum, Term, as_sum, check_constraints
from titer.numerics.collocation import Points
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import Grid
from titer.numerics.shooting import Simultaneous

SCHEMES = {Points.RADAU: "LAGRANGE-RADAU", Points.LEGENDRE: "LAGRANGE-LEGENDRE"}


def lower_to_pyomo(
    plant: Flowsheet,
    recipe: Recipe,
    grid: Grid | None = None,
    inputs: Mapping[str, Any] | None = None,
    free: Mapping[str, Any] | None = None,
    minimize: Term | Sum | None = None,
    maximize: Term | Sum | None = None,
    subject_to: Sequence[Term] = (),
    scenarios: Scenarios | Sequence[Mapping[str, float]] | None = None,
) -> Any:
    """A plant under a recipe as a Pyomo.DAE model: `Flowsheet.to_pyomo`, which see."""
    if minimize is not None and maximize is not None:
        raise SpecificationError("to_pyomo: give minimize= or maximize=, not both.")
    if not isinstance(recipe, Recipe):
        raise SpecificationError(f"to_pyomo: expected a Recipe(Phase(...), ...), got {recipe!r}.")
    if any(isinstance(term, Chance) for term in subject_to):
        raise SpecificationError("to_pyomo: a Chance is not part of a Pyomo model; give its term as a limit.")
    sign, wanted = (1.0, minimize) if maximize is None else (-1.0, maximize)
    objective = Sum(()) if wanted is None else as_sum(wanted) * sign
    limits, given, decided = check_constraints(subject_to), dict(inputs or {}), {} if free is None else free
    if scenarios is None:
        return lower_problem(Problem((Run(plant, recipe, given, objective, limits),), decided, sign=sign), grid)
    several = scenarios if isinstance(scenarios, Scenarios) else Scenarios(scenarios)
    hedge = hedge_of(several, (), plant, recipe)
    runs = tuple(
        Run(each, recipe, given, objective * float(weight), limits)
        for each, weight in zip(several.plants(plant), several.shares, strict=True)
    )
    return lower_problem(Problem(runs, decided, sign=sign, hedge=hedge), grid)


def lower_problem(problem: Problem, grid: Grid | None = None) -> Any:
    """A problem as a Pyomo.DAE model: `Problem.to_pyomo`, which see."""
    if grid is not None and not isinstance(grid, Grid):
        raise SpecificationError(f"to_pyomo: grid must be a Grid or None, got {grid!r}.")
    if problem.hedge is not None and not problem.hedge.plain:
        raise SpecificationError(
            "to_pyomo: scenarios with Worst(...), Chance(...) or shared_until are not part of a Pyomo model.\n"
            "  Give weights at most; the rest is solved by optimize."
        )
    problem = replace(problem, runs=tuple(map(collocated, problem.runs)), grid=grid or Grid(elements=1))
    numbers = free_numbers(problem.plant, problem.free)
    model = pyo.ConcreteModel("titer")
    plans = plans_of(problem)
    if len(plans) > 1:
        model.run = pyo.Block(pyo.RangeSet(len(plans)))
    roots = [model] if len(plans) == 1 else list(model.run.values())
    for run, root, own in zip(problem.runs, roots, plans, strict=True):
        first = None if root is roots[0] else roots[0]
        _add_run(root, run.plant, own, numbers, first if problem.share_decisions else None)
        if first is not None:
            share(root, first, problem.share_decisions)
    if any(run.objective.terms for run in problem.runs):
        add_objective(model, roots, problem.sign)
    if grid is not None:
        discretize(model, grid)
    initialize(model)
    return model


def discretize(model: Any, grid: Grid) -> None:
    """Collocate each phase on the elements that its set holds already, and expand the Arcs."""
    for block in (block for run in runs_of(model) for block in run.phase.values()):
        collocate(block, grid)
        if grid.points is Points.LEGENDRE:
            drop_paths_between_elements(block)
    pyo.TransformationFactory("network.expand_arcs").apply_to(model)


def collocate(block: Any, grid: Grid) -> None:
    """Collocate the Block of a phase on the elements that its set holds already."""
    pyo.TransformationFactory("dae.collocation").apply_to(
        block, wrt=block.tau, nfe=len(block.tau) - 1, ncp=grid.degree, scheme=SCHEMES[grid.points]
    )


def _add_run(
    root: Any, plant: Flowsheet, plans: Sequence[PhasePlan], numbers: Sequence[FreeNumber], twins: Any
) -> None:
    """A plant and its phases. `twins`: the run that this one shares all decisions with."""
    places = add_plant(root, plant, numbers)
    root.phase = pyo.Block([plan.operation.name for plan in plans])
    where: dict[str, Any] = {name: s.start for name, s in plant.scalars.items() if s.kind == State.kind}
    where |= {name: variable for name, variable in decisions(root) if name in places.starts}
    previous = None
    for plan in plans:
        name = plan.operation.name
        block = root.phase[name]
        add_phase(block, plan, places.parameters, where)
        link(block, previous, where, None if twins is None else twins.phase[name])
        add_terms(block)
        previous = block
    add_totals(root)


# --- the problem, planned as titer does itself ----------------------------------------------------------------------


def collocated(run: Run) -> Run:
    """A run whose phases are all collocated: Pyomo has no integrator to shoot with."""
    return replace(run, recipe=Recipe(*(replace(phase, method=Simultaneous()) for phase in run.recipe)))


def plans_of(problem: Problem) -> list[tuple[PhasePlan, ...]]:
    """The phases of each run, simulated, and meshed as titer would."""
    terms = [phases_of(run, problem.free) for run in problem.runs]
    nominal = nominal_runs(problem, terms, [None] * len(problem.runs), Ladder()).runs
    placements = assemble(problem, terms, nominal).runs
    return [
        tuple(_plan(problem, run, *pair) for pair in zip(placed, results, strict=True))
        for run, placed, results in zip(problem.runs, placements, nominal, strict=True)
    ]


def _plan(problem: Problem, run: Run, placement: Placement, nominal: Any) -> PhasePlan:
    phase = placement.operation.phase
    routes = routes_of(run.plant, phase)
    pieces = {name: value for name, value in problem.free.items() if is_decided(value)}
    given = dict(_flat([run.inputs, pieces, phase.inputs, phase.fixed]))
    known = {v.name for v in placement.operation.lowered.dae.inputs}
    for name in sorted(known - {plain_name(name) for name in known}):
        raise SpecificationError(
            f"Phase {phase.name!r}: {plain_name(name)} is exponential, which is not lowered to Pyomo.\n"
            f"  Give it as a function of time, or in pieces."
        )
    return PhasePlan(
        plant=run.plant,
        measures=run.plant.measures,
        terms=placement.terms,
        streams=streams_of(run.plant, (*run.plant.connections, *routes), phase.idle_names, tuple(given)),
        ends=placement.transcribed.ends,
        profiles=placement.shapes,
        functions={name: value for name, value in given.items() if name not in known and callable(value)},
        nominal=nominal,
        jumps=jumps_of(placement),
        movable=placement.transcribed.segment.movable,
    )


def _flat(entries: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Entries by scalar name; of an array's only the names matter, and functions of time."""
    for mapping in entries:
        for name, value in mapping.items():
            each = elements_of(name)
            several = each != (name,) and isinstance(value, list | tuple | np.ndarray) and len(value) == len(each)
            yield from ((str(e), value[i] if several else value) for i, e in enumerate(each))


__all__ = ["collocate", "collocated", "discretize", "lower_problem", "lower_to_pyomo", "plans_of"]
