"""How is what lies ahead posed as a problem? The recipe from here on, with the terms that still speak of it.

Everything is checked once, on the whole recipe; the problems of all horizons are parts of that one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from titer.control.nmpc.branches import Branches
from titer.control.nmpc.meters import Meter
from titer.control.nmpc.timetable import Horizon, Part, Timetable
from titer.control.nmpc.tracking import Track
from titer.flowsheets.declarations import State
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.operation import Decided, Operation
from titer.flowsheets.problems.hedging import Hedge
from titer.flowsheets.problems.problem import PhaseTerms, Problem, Run
from titer.flowsheets.profiles import PiecewiseConstant
from titer.flowsheets.recipe import Free, Phase, Recipe
from titer.flowsheets.signals import Signal
from titer.flowsheets.terms import AtEnd, AtStart, Integral, Path, Sum, Term
from titer.numerics.dae import Array
from titer.numerics.grid import Grid
from titer.numerics.solution import PhaseResult


@dataclass(frozen=True, eq=False)
class Wanted:
    """What a controller is to do, checked on the whole recipe.

    `objective` is the user's, without `tracks`, whose factors are those of what is minimized; `sign`: of the user's to
    it. `speaks`: phases in which a term reads something, by its identity. `planned`: the phases, lowered; `nominal`:
    how they run as planned. `fineness`: elements in each interval, phase by phase; `blocks` {(input, phase): intervals
    in a piece}; `rates`: states whose rates have an estimated disturbance; `meters`: of what is limited in total, phase
    by phase.
    """

    plant: Flowsheet
    recipe: Recipe
    free: Mapping[str, Any]
    objective: Sum
    tracks: tuple[tuple[float, Track], ...]
    sign: float
    constraints: tuple[Term, ...]
    inputs: Mapping[str, Any]
    branches: Branches
    grid: Grid
    table: Timetable
    planned: tuple[Operation, ...]
    nominal: tuple[PhaseResult, ...]
    speaks: Mapping[int, frozenset[int]]
    fineness: tuple[int, ...]
    blocks: Mapping[tuple[str, int], int]
    rates: tuple[str, ...] = ()
    meters: tuple[tuple[Meter, ...], ...] = ()

    @cached_property
    def told_inputs(self) -> tuple[str, ...]:
        """Inputs that are not decided: a controller may be told of them."""
        found: dict[str, None] = {}
        for operation in self.planned:
            for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
                if not isinstance(source, Decided):
                    found[variable.name] = None
        return tuple(found)

    @cached_property
    def states(self) -> tuple[str, ...]:
        """All states of the plant, in the order that samples are read in."""
        return tuple(name for name, scalar in self.plant.scalars.items() if scalar.kind == State.kind)

    @cached_property
    def domain(self) -> tuple[Array, Array]:
        """The bounds of all states: what a noisy sensor says beyond them is no place to plan from."""
        scalars = [self.plant.scalars[name] for name in self.states]
        return np.array([s.lower for s in scalars]), np.array([s.upper for s in scalars])

    def states_at(self, k: int, gone: float) -> dict[str, float]:
        """All states as planned, `gone` after phase k began."""
        result = self.nominal[k]
        t = result.trajectory
        at = float(np.clip(t.time[0] + gone, t.time[0], t.time[-1]))
        found = {name: float(np.interp(at, t.time, row)) for name, row in zip(result.states, t.x, strict=True)}
        return {**found, **result.held}


def speaking(terms: Sequence[PhaseTerms]) -> dict[int, frozenset[int]]:
    """Phases in which each term of a problem is placed, by its identity."""
    found: dict[int, set[int]] = {}
    for k, phase in enumerate(terms):
        groups = (phase.at_start, phase.at_end, phase.paths, phase.integrals, phase.totals)
        for placed in (placed for group in groups for placed in group):
            found.setdefault(id(placed.term), set()).add(k)
    return {key: frozenset(phases) for key, phases in found.items()}


def cut(horizon: Horizon, cuts: int) -> Horizon:
    """The horizon with its first intervals as parts of their own, where parameters change from one to the next."""
    parts: list[Part] = []
    for part in horizon.parts:
        while cuts and len(part.lengths) > 1:
            first = replace(part, lengths=part.lengths[:1], open=False, ends=False)
            parts.append(first)
            part = replace(part, lengths=part.lengths[1:], begins=False, gone=part.gone + 1)
            cuts -= 1
        parts.append(part)
        cuts = max(0, cuts - 1)
    return replace(horizon, parts=tuple(parts))


def part_names(table: Timetable, horizon: Horizon) -> tuple[str, ...]:
    """What the parts are called: by their phases; earlier parts of a phase that is cut have a number."""
    names = []
    for i, part in enumerate(horizon.parts):
        later = any(other.phase == part.phase for other in horizon.parts[i + 1 :])
        names.append(f"{table.names[part.phase]}, part {i + 1}" if later else table.names[part.phase])
    return tuple(names)


def problem_of(wanted: Wanted, horizon: Horizon) -> Problem:
    """The problem of a horizon, from where the plant stands there as planned."""
    names, branches = part_names(wanted.table, horizon), wanted.branches
    first = horizon.parts[0]
    at = _standing(wanted, first.phase, _gone(wanted.table, horizon))
    objective = _over(wanted, horizon, names, wanted.objective)
    constraints = tuple(t for term in wanted.constraints for t in _parts_of(wanted, horizon, names, term))
    free = _free(wanted, horizon, names)
    grid = replace(wanted.grid, elements=_ends(wanted, horizon, names))
    given = {name: value for name, value in wanted.inputs.items() if callable(value) and not hasattr(value, "index")}
    gathers = branches.gathers
    runs = []
    for r, (plant, weight) in enumerate(zip(branches.plants, branches.weights, strict=True)):
        values = {name: number for name, number in plant.values.items() if number != wanted.plant.values[name]}
        recipe = Recipe(*(_phase(wanted, horizon, i, names, r) for i in range(len(horizon.parts))))
        factor = wanted.sign if gathers else wanted.sign * weight
        runs.append(
            Run(at.with_values(values), recipe, given, objective * factor, constraints, gathered=gathers, underway=True)
        )
    hedge = None
    if len(runs) > 1:  # decisions that scenarios share become one afterwards
        none = (0.0,) * len(horizon.parts)
        hedge = Hedge(np.array(branches.weights), branches.objective, (), none)
    return Problem(tuple(runs), free, grid, sign=wanted.sign, hedge=hedge)


def without_conditions(problem: Problem) -> Problem:
    """The same with phases that last as long as they are guessed to: a trajectory to start from need not meet the
    condition that ends a phase where the program will."""
    if all(phase.until is None for run in problem.runs for phase in run.recipe):
        return problem
    runs = []
    for run in problem.runs:
        phases = (replace(phase, until=None) for phase in run.recipe)
        runs.append(replace(run, recipe=Recipe(*phases)))
    return replace(problem, runs=tuple(runs))


def _over(wanted: Wanted, horizon: Horizon, names: Sequence[str], objective: Sum) -> Sum:
    """The objective as far as the horizon has it."""
    found = Sum(tuple((w, t) for w, term in objective.terms for t in _parts_of(wanted, horizon, names, term)))
    return found if found.terms else Sum(((1.0, AtEnd(lambda v: 0.0, name="nothing")),))


def _gone(table: Timetable, horizon: Horizon) -> float:
    """How long the running phase has lasted, as planned, where the horizon begins."""
    k = horizon.parts[0].phase
    ahead = sum(part.duration for part in horizon.parts if part.phase == k)
    if table.is_open(k):
        return max(table.durations[k].guess - ahead, 0.0)
    ends = any(part.ends for part in horizon.parts if part.phase == k)
    return max(table.durations[k].guess - ahead, 0.0) if ends and table.steps is None else 0.0


def _standing(wanted: Wanted, k: int, gone: float) -> Flowsheet:
    """The plant where it stands as planned."""
    if not k and gone <= 0.0:
        return wanted.plant
    scalars = wanted.plant.scalars
    states = {
        name: float(np.clip(value, scalars[name].lower, scalars[name].upper))
        for name, value in wanted.states_at(k, gone).items()
        if name in scalars and scalars[name].kind == State.kind
    }
    return wanted.plant.with_values(states)


def _phase(wanted: Wanted, horizon: Horizon, i: int, names: Sequence[str], r: int) -> Phase:
    """A part as a phase: what was set when its phase began is behind it."""
    part = horizon.parts[i]
    phase = wanted.recipe.phases[part.phase]
    closed = not any(earlier.open for earlier in horizon.parts[: i + 1])
    clock = sum(earlier.duration for earlier in horizon.parts[:i])
    duration: Any = part.duration
    if part.open:
        guess = part.duration
        duration = Free(guess, min(1e-6 * guess, guess), max(wanted.table.durations[part.phase].upper, guess))
    realized = wanted.branches.realized[r]
    fixed = realized[i] if i < len(realized) - 1 else {}
    return replace(
        phase,
        name=names[i],
        duration=duration,
        until=phase.until if part.ends and part.open else None,
        inputs=_given(wanted, part, clock, closed),
        fixed={**phase.fixed, **fixed},
        start=phase.start if part.begins else {},
        actions=phase.actions if part.begins else (),
    )


def _given(wanted: Wanted, part: Part, clock: float, closed: bool) -> dict[str, Any]:
    """Trajectories that are not decided: a step for each interval, so that they can be given anew at each sample."""
    import pandas as pd

    operation = wanted.planned[part.phase]
    held = {v.name for v in operation.lowered.dae.inputs}
    given = {name: value for name, value in operation.phase.inputs.items() if str(name) not in held}
    for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
        if isinstance(source, Decided) or variable.name in operation.phase.fixed:
            continue
        values = [first_value(source)] * len(part.lengths)
        if closed:
            times = clock + np.concatenate([[0.0], np.cumsum(part.lengths)[:-1]])
            given[variable.name] = pd.Series(values, index=times)
        else:
            given[variable.name] = PiecewiseConstant(values=values)
    return given


def first_value(source: Any) -> float:
    """A given trajectory's first value."""
    return float(source.left[0]) if isinstance(source, Signal) else float(np.asarray(source.values)[0])


def _free(wanted: Wanted, horizon: Horizon, names: Sequence[str]) -> dict[str, Any]:
    """A decision for each piece, of every input that is decided there."""
    free: dict[str, dict[str, Any]] = {}
    for part, name in zip(horizon.parts, names, strict=True):
        operation = wanted.planned[part.phase]
        for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
            if isinstance(source, Decided):
                guess = source.guess if isinstance(source.guess, float) else float(np.mean(_levels(source.guess)))
                block = wanted.blocks[variable.name, part.phase]
                free.setdefault(variable.name, {})[name] = PiecewiseConstant(
                    ends=_fractions(part)[piece_edges(part, block)],
                    lower=source.lower,
                    upper=source.upper,
                    guess=guess,
                )
    return free


def piece_edges(part: Part, block: int) -> Array:
    """Intervals of a part at which pieces of `block` intervals of the phase begin, and the part's end."""
    inside = [i for i in range(1, len(part.lengths)) if not (part.gone + i) % block]
    return np.array([0, *inside, len(part.lengths)])


def _levels(guess: Any) -> Array:
    return guess.left if isinstance(guess, Signal) else np.asarray(guess)


def _fractions(part: Part) -> Array:
    ends = np.concatenate([[0.0], np.cumsum(part.lengths) / part.duration])
    ends[-1] = 1.0
    return ends


def _ends(wanted: Wanted, horizon: Horizon, names: Sequence[str]) -> dict[str, Array]:
    """Ends of elements: equal ones in each interval."""
    found = {}
    for part, name in zip(horizon.parts, names, strict=True):
        ends, m = _fractions(part), wanted.fineness[part.phase]
        inside = [np.linspace(a, b, m, endpoint=False) for a, b in pairwise(ends.tolist())]
        found[name] = np.concatenate([*inside, [1.0]])
    return found


def _parts_of(wanted: Wanted, horizon: Horizon, names: Sequence[str], term: Term) -> list[Term]:
    """A term as the parts of a horizon have it: none where all that it speaks of is behind, or beyond."""
    phases = wanted.speaks.get(id(term), frozenset())
    if isinstance(term, AtStart):
        begun = [n for n, part in zip(names, horizon.parts, strict=True) if part.phase in phases and part.begins]
        return [replace(term, phase=begun[0])] if begun else []
    if isinstance(term, AtEnd):
        if term.phase is None:
            return [term] if horizon.parts[-1].phase in phases or not horizon.whole else []
        ended = [n for n, part in zip(names, horizon.parts, strict=True) if part.phase in phases and part.ends]
        return [replace(term, phase=ended[0])] if ended else []
    there = [n for n, part in zip(names, horizon.parts, strict=True) if part.phase in phases]
    if not there or term.phase is None:
        return [term] if there else []
    if isinstance(term, Path | Integral):
        return [replace(term, phase=name) for name in there]
    return [term]
