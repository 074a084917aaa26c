"""Does what a controller is asked to do fit the plant? Checked on the whole recipe, before anything is built."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from titer.control.nmpc.branches import branches_of
from titer.control.nmpc.meters import meters_of
from titer.control.nmpc.moves import Handle
from titer.control.nmpc.posing import Wanted, speaking
from titer.control.nmpc.soft import Soft
from titer.control.nmpc.timetable import SAME, Timetable, timetable_of
from titer.control.nmpc.tracking import Track
from titer.flowsheets.declarations import Control
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.given import kind_of
from titer.flowsheets.names import elements_of
from titer.flowsheets.operation import Decided, Operation
from titer.flowsheets.problems.guesses import nominal_runs
from titer.flowsheets.problems.inevitable import check_inevitable
from titer.flowsheets.problems.ladder import Ladder
from titer.flowsheets.problems.problem import Problem, Run, named, phases_of
from titer.flowsheets.profiles import PiecewiseConstant
from titer.flowsheets.recipe import Free, Recipe
from titer.flowsheets.signals import finite
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.terms import AtEnd, Sum, Term, as_sum, check_constraints
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.grid import Grid, step_density
from titer.numerics.solution import PhaseResult


@dataclass(frozen=True, eq=False)
class Settings:
    """What a user asked of a controller, as it was given."""

    plant: Flowsheet
    recipe: Recipe
    every: Any
    free: Mapping[str, Any]
    maximize: Any
    minimize: Any
    subject_to: Sequence[Any]
    grid: Grid
    inputs: Mapping[str, Any]
    horizon: Any
    scenarios: Any
    robust_horizon: int | None
    moves: Mapping[str, Any]
    rates: Mapping[str, Any]
    delay: Any
    disturbed: tuple[str, ...]  # states whose rates have an estimated disturbance


def wanted_of(settings: Settings) -> tuple[Wanted, tuple[Handle, ...], dict[str, Soft]]:
    """What is wanted, the inputs that are handled, and soft limits by name. Raises SpecificationError."""
    plant, recipe = settings.plant, settings.recipe
    _check_kinds(settings)
    table = _table(settings)
    if (settings.maximize is None) == (settings.minimize is None):
        raise SpecificationError("NMPC: give either maximize= or minimize=.")
    sign = 1.0 if settings.maximize is None else -1.0
    whole = as_sum(settings.minimize if settings.maximize is None else settings.maximize)
    tracks = tuple((sign * weight, term) for weight, term in whole.terms if isinstance(term, Track))
    objective = Sum(tuple(entry for entry in whole.terms if not isinstance(entry[1], Track)))
    _check_free(plant, settings.free)
    if settings.robust_horizon is not None and settings.scenarios is None:
        raise SpecificationError(
            f"NMPC: robust_horizon={settings.robust_horizon!r} says when plans of scenarios part, and there are none.\n"
            f"  Give scenarios=, or leave robust_horizon out."
        )
    hard, soft = _limits(settings.subject_to)
    posed = objective if objective.terms else Sum(((1.0, AtEnd(lambda v: 0.0, name="nothing")),))
    first = Run(plant, recipe, settings.inputs, posed * sign, (*hard, *(s.term for s in soft)), underway=True)
    planned = [phase.operation for phase in phases_of(first, settings.free)]
    _check_inputs(planned)
    constraints = tuple(named(term, planned) for term in first.constraints)
    run = Run(plant, recipe, settings.inputs, posed * sign, constraints, underway=True)
    problem = Problem((run,), settings.free, settings.grid, sign=sign)
    terms = [phases_of(run, settings.free)]
    check_inevitable(problem, terms)
    _check_tracks(plant, tracks, table)
    nominal = nominal_runs(problem, terms, [None], Ladder()).runs[0]
    branches = branches_of(plant, settings.scenarios, settings.robust_horizon)
    blocks = _blocks(planned, table)
    wanted = Wanted(
        plant=plant,
        recipe=recipe,
        free=settings.free,
        objective=objective,
        tracks=tracks,
        sign=sign,
        constraints=constraints,
        inputs=settings.inputs,
        branches=branches,
        grid=settings.grid,
        table=replace(table, cycle=math.lcm(*blocks.values())),
        planned=tuple(phase.operation for phase in terms[0]),
        nominal=nominal,
        speaks=speaking(terms[0]),
        fineness=tuple(_fineness(settings, table, k, result) for k, result in enumerate(nominal)),
        blocks=blocks,
        rates=settings.disturbed,
        meters=meters_of(terms[0]),
    )
    softs = {term.label(): s for term, s in zip(constraints[len(hard) :], soft, strict=True)}
    return wanted, _handles(settings, wanted), softs


def _table(settings: Settings) -> Timetable:
    plant = settings.plant
    time = plant.measure_of_time
    every = _positive(settings.every, time, "NMPC: every, the time between samples,", plant.time)
    delay = finite(settings.delay, time, "NMPC: delay")
    if not 0.0 <= delay <= every:
        raise SpecificationError(
            f"NMPC: delay, from a sample to what it leads to, must lie between 0 and every ({every:g} {plant.time}), "
            f"got {delay:g}."
        )
    horizon = settings.horizon
    if horizon is not None:
        horizon = _positive(horizon, time, "NMPC: horizon", plant.time)
    return timetable_of(plant, settings.recipe, every, horizon, delay)


def _check_kinds(settings: Settings) -> None:
    kinds = (("plant", settings.plant, Flowsheet), ("recipe", settings.recipe, Recipe), ("grid", settings.grid, Grid))
    for key, value, kind in kinds:
        if not isinstance(value, kind):
            raise SpecificationError(f"NMPC: {key} must be a {kind.__name__}, got {value!r}.")
    for key in ("inputs", "moves", "rates"):
        if not isinstance(getattr(settings, key), Mapping):
            raise SpecificationError(f"NMPC: {key} is a dict from names to values, got {getattr(settings, key)!r}.")


def _positive(value: Any, measure: Measure, what: str, unit: str) -> float:
    number = finite(value, measure, what)
    if number <= 0.0:
        raise SpecificationError(f"{what} must be positive, got {number:g} {unit}.")
    return number


def _check_free(plant: Flowsheet, free: Any) -> None:
    """A controller sets controls, held from sample to sample. Raises SpecificationError."""
    if not isinstance(free, Mapping) or not free:
        raise SpecificationError(
            f"NMPC: free says what the controller sets, {{control: PiecewiseConstant(every=...)}}, got {free!r}."
        )
    for name, value in free.items():
        for each in elements_of(name):
            kind = kind_of(plant, str(each))
            if kind is None:
                raise SpecificationError(f"NMPC: free: {unknown('control', each, _controls(plant))}")
            if kind not in (Control.kind, "inlet"):
                raise SpecificationError(
                    f"NMPC: free: {each} is a {kind}, no control: nothing at a plant can be set to it.\n"
                    f"  Let the controller set {' or '.join(_controls(plant)) or 'a control'}; what is uncertain "
                    f"belongs to the estimator."
                )
        shapes = value.values() if isinstance(value, Mapping) else [value]
        for shape in shapes:
            if isinstance(shape, Free) or not isinstance(shape, PiecewiseConstant) or shape.switching:
                raise SpecificationError(
                    f"NMPC: free: {name} needs PiecewiseConstant(...): a controller holds its inputs from sample to "
                    f"sample, got {shape!r}."
                )


def _controls(plant: Flowsheet) -> list[str]:
    return [name for name, scalar in plant.scalars.items() if scalar.kind == Control.kind]


def _limits(subject_to: Any) -> tuple[tuple[Term, ...], list[Soft]]:
    if isinstance(subject_to, Sequence) and not isinstance(subject_to, str):
        soft = [limit for limit in subject_to if isinstance(limit, Soft)]
        return check_constraints([limit for limit in subject_to if not isinstance(limit, Soft)]), soft
    return check_constraints(subject_to), []


def _check_tracks(plant: Flowsheet, tracks: Sequence[tuple[float, Track]], table: Timetable) -> None:
    for _, track in tracks:
        for name in track.targets:
            if name not in plant.measures:
                raise SpecificationError(f"Track: {unknown('name', name, plant.measures)}")
        if track.phase is not None and track.phase not in table.names:
            raise SpecificationError(f"Track: {unknown('phase', track.phase, table.names)}")


def _check_inputs(planned: Sequence[Operation]) -> None:
    for operation in planned:
        for variable in operation.lowered.dae.inputs:
            if variable.name.startswith("log "):
                raise SpecificationError(
                    f"NMPC: {variable.name.removeprefix('log ')} is given as an exponential, which a controller cannot "
                    f"hold from sample to sample.\n  Give it as a function of time."
                )


def _blocks(planned: Sequence[Operation], table: Timetable) -> dict[tuple[str, int], int]:
    """How many intervals a piece of each decided input lasts, phase by phase. Raises SpecificationError."""
    found = {}
    for k, operation in enumerate(planned):
        for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
            if not isinstance(source, Decided):
                continue
            pieces, what = source.pieces, f"NMPC: free: {variable.name}"
            if pieces.every is not None:
                count = round(pieces.every / table.every)
                if count < 1 or abs(pieces.every - count * table.every) > SAME * table.every:
                    raise SpecificationError(
                        f"{what}: pieces of {pieces.every:g} are no multiple of every, {table.every:g}, the time "
                        f"between samples."
                    )
            elif pieces.pieces is not None:
                length = table.count(k) if table.steps is None else table.steps
                count = max(1, round(length / pieces.pieces))
            else:
                raise SpecificationError(
                    f"{what}: ends= is for a plan that is made once.\n  Write PiecewiseConstant(every={table.every:g})."
                )
            found[variable.name, k] = count
    return found


def _fineness(settings: Settings, table: Timetable, k: int, result: PhaseResult) -> int:
    """Elements in each interval of a phase; of a receding horizon, where a number is asked for: in the window."""
    name, count = settings.recipe.phases[k].name, table.count(k)
    asked = settings.grid.asked(name)
    if isinstance(asked, np.ndarray):
        raise SpecificationError(
            f"NMPC: grid gives the ends of elements in {name!r}; a controller's elements share its intervals equally.\n"
            f"  Give their number: Grid(elements={len(asked) - 1})."
        )
    if asked is None:
        asked = step_density(result.trajectory.tau, result.trajectory.x, settings.grid.degree)[1]
    elif table.steps is not None:
        count = min(count, table.steps)
    return max(1, round(asked / count))


def _handles(settings: Settings, wanted: Wanted) -> tuple[Handle, ...]:
    """The inputs that the controller sets, with bounds that are never left."""
    decided: dict[str, Decided] = {}
    for operation in wanted.planned:
        for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
            if isinstance(source, Decided):
                decided.setdefault(variable.name, source)
    moves, rates = by_element(settings.moves, "moves"), by_element(settings.rates, "rates")
    for key, entries in (("moves", moves), ("rates", rates)):
        for name, value in entries.items():
            if name not in decided:
                raise SpecificationError(f"NMPC: {key}: {unknown('input that the controller sets', name, decided)}")
            if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0.0 <= value < np.inf:
                raise SpecificationError(f"NMPC: {key}: {name} needs a number of at least 0, got {value!r}.")
            if key == "rates" and not value:
                raise SpecificationError(
                    f"NMPC: rates: {name} = 0 would never move.\n  Give a positive rate, or leave {name} out of free."
                )
    return tuple(
        Handle(name, source.lower, source.upper, float(rates.get(name, np.inf)), float(moves.get(name, 0.0)))
        for name, source in decided.items()
    )
