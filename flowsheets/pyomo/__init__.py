"""How does a problem become a Pyomo.DAE model? `lower_to_pyomo`: a Block per phase, links between them, terms on top.

`solve_pyomo(model)` solves it. What is where:

    model.phase["react"].reactor.T[tau]     see `titer.flowsheets.pyomo.phase`
    model.phase["react"].link               what a phase takes over from the one before
    model.plant.reactor.k0_1                parameters, fixed unless they are decided
    model.objective, model.total            the objective; limits on integrals over several phases
    model.scaling_factor                    typical sizes
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyomo.environ as pyo

from titer.flowsheets.declarations import State
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.names import elements_of
from titer.flowsheets.problems.assembly import Placement, assemble
from titer.flowsheets.problems.guesses import nominal_runs
from titer.flowsheets.problems.ladder import Ladder
from titer.flowsheets.problems.problem import Problem, Run, free_numbers, phases_of
from titer.flowsheets.profiles import Pieces
from titer.flowsheets.pyomo.links import decide_parameters, link
from titer.flowsheets.pyomo.moments import PhasePlan, moments_of
from titer.flowsheets.pyomo.nl import NlOutcome, solve_pyomo
from titer.flowsheets.pyomo.phase import add_phase, add_plant
from titer.flowsheets.pyomo.start import initialize
from titer.flowsheets.pyomo.terms import (
    add_objective,
    add_terms,
    add_totals,
    drop_paths_between_elements,
)
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.streams import streams_of
from titer.flowsheets.terms import Sum, Term, as_sum, check_constraints
from titer.numerics.collocation import Points
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.grid import Grid

if TYPE_CHECKING:
    import pandas as pd

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
) -> Any:
    """A plant under a recipe as a Pyomo.DAE model, with starting values from a simulation.

    The arguments are those of `titer.control.optimize`; without an objective the model is one to be simulated. With a
    `grid` it is discretized on the elements that titer would use; without one, apply `dae.collocation` to each `tau`
    and call `initialize(model)`. A phase that titer shoots is collocated here, and a parameter that titer decides by
    its logarithm is decided itself.

    Raises SpecificationError for a bad problem, SolveError where the recipe cannot be simulated.
    """
    problem = _problem(plant, recipe, grid, inputs, free, minimize, maximize, subject_to)
    plans = _plans(problem)
    numbers = {n.name: n for n in free_numbers(plant, problem.free)}
    model = pyo.ConcreteModel("titer")
    shared = add_plant(model, plant)
    model.phase = pyo.Block([plan.operation.name for plan in plans])
    where: dict[str, Any] = {name: s.start for name, s in plant.scalars.items() if s.kind == State.kind}
    previous = None
    for plan in plans:
        block = model.phase[plan.operation.name]
        add_phase(block, plan, shared, where)
        link(block, previous, where, numbers)
        add_terms(block)
        previous = block
    decide_parameters(model, shared, numbers.values())
    add_totals(model)
    if problem.runs[0].objective.terms:
        add_objective(model, pyo.minimize if maximize is None else pyo.maximize)
    if grid is not None:
        _discretize(model, grid)
    initialize(model)
    return model


def value_of(model: Any, name: str, phase: str | None = None, tau: float = 1.0) -> float:
    """The value of one of titer's scalar names in a phase (default: the last), at a position (default: its end)."""
    return float(pyo.value(moments_of(_phase(model, phase)).value(str(name), tau)))


def component_of(model: Any, name: str, phase: str | None = None) -> Any:
    """The Pyomo component behind one of titer's scalar names: over tau, and over the sets of an array."""
    return moments_of(_phase(model, phase)).component(str(name))


def name_of(data: Any) -> str:
    """titer's name of a Var or Expression of a phase, the inverse of `component_of`. Raises SpecificationError."""
    component = data.parent_component()
    block = component.parent_block().parent_block()
    for name in moments_of(block).places if hasattr(block, "_titer") else ():
        place = moments_of(block).places[name]
        index = data.index() if component.is_indexed() else ()
        index = index if isinstance(index, tuple) else (index,)
        if moments_of(block).component(name) is component and index[1 if place.along else 0 :] == place.labels:
            return name
    raise SpecificationError(f"{data.name} is no variable or expression of a unit operation in a phase.")


def trajectories(model: Any) -> pd.DataFrame:
    """Everything that is known along the phases, over the recipe's time."""
    import pandas as pd

    frames, last = [], None
    for block in model.phase.values():
        here, last = moments_of(block), block
        names = [name for name, place in here.places.items() if place.along]
        rows = {
            pyo.value(here.time(tau)): [pyo.value(here.value(n, tau), exception=False) for n in names]
            for tau in block.tau
        }
        frames.append(pd.DataFrame.from_dict(rows, orient="index", columns=names, dtype=float))
    unit = moments_of(last).plan.plant.time
    return pd.concat(frames).rename_axis(index=f"time [{unit}]")


# --- the problem, checked and planned as titer does itself ---------------------------------------------------------


def _problem(plant, recipe, grid, inputs, free, minimize, maximize, subject_to) -> Problem:  # type: ignore[no-untyped-def]
    if minimize is not None and maximize is not None:
        raise SpecificationError("to_pyomo: give minimize= or maximize=, not both.")
    if not isinstance(recipe, Recipe):
        raise SpecificationError(f"to_pyomo: expected a Recipe(Phase(...), ...), got {recipe!r}.")
    if grid is not None and not isinstance(grid, Grid):
        raise SpecificationError(f"to_pyomo: grid must be a Grid or None, got {grid!r}.")
    wanted = minimize if maximize is None else maximize
    objective = Sum(()) if wanted is None else as_sum(wanted)
    collocated = Recipe(*(replace(phase, method=None) for phase in recipe))
    run = Run(plant, collocated, dict(inputs or {}), objective, check_constraints(subject_to))
    return Problem((run,), {} if free is None else free, grid or Grid(elements=1))


def _plans(problem: Problem) -> tuple[PhasePlan, ...]:
    """The phases of a problem, simulated, and meshed as titer would."""
    terms = [phases_of(problem.runs[0], problem.free)]
    nominal = nominal_runs(problem, terms, [None] * len(problem.runs), Ladder()).runs
    placements = assemble(problem, terms, nominal).runs[0]
    return tuple(_plan(problem, p, result) for p, result in zip(placements, nominal[0], strict=True))


def _plan(problem: Problem, placement: Placement, nominal: Any) -> PhasePlan:
    run, phase = problem.runs[0], placement.operation.phase
    routes = tuple(run.plant.check_connection(route) for route in phase.routes)
    pieces = {name: value for name, value in problem.free.items() if isinstance(value, Pieces)}
    given = dict(_flat([run.inputs, pieces, phase.inputs, phase.fixed]))
    known = {v.name for v in placement.operation.lowered.dae.inputs}
    return PhasePlan(
        plant=run.plant,
        measures=run.plant.measures,
        terms=placement.terms,
        streams=streams_of(run.plant, (*run.plant.connections, *routes), phase.idle_names, tuple(given)),
        ends=placement.transcribed.ends,
        profiles=placement.shapes,
        functions={name: value for name, value in given.items() if name not in known and callable(value)},
        nominal=nominal,
    )


def _flat(entries: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Entries by scalar name; of an array's only the names matter, and functions of time."""
    for mapping in entries:
        for name, value in mapping.items():
            each = elements_of(name)
            several = each != (name,) and isinstance(value, list | tuple | np.ndarray) and len(value) == len(each)
            yield from ((str(e), value[i] if several else value) for i, e in enumerate(each))


# --- the model ------------------------------------------------------------------------------------------------------


def _discretize(model: Any, grid: Grid) -> None:
    """Collocate each phase on the elements that its set holds already."""
    for block in model.phase.values():
        pyo.TransformationFactory("dae.collocation").apply_to(
            block, wrt=block.tau, nfe=len(block.tau) - 1, ncp=grid.degree, scheme=SCHEMES[grid.points]
        )
        if grid.points is Points.LEGENDRE:
            drop_paths_between_elements(block)


def _phase(model: Any, phase: str | None) -> Any:
    names = list(model.phase.index_set())
    if phase is not None and phase not in names:
        raise SpecificationError(unknown("phase", phase, names))
    return model.phase[names[-1] if phase is None else phase]


__all__ = [
    "NlOutcome", "component_of", "initialize", "lower_to_pyomo", "name_of", "solve_pyomo", "trajectories", "value_of",
]  # fmt: skip
