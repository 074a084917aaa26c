"""How is what lies ahead posed as a problem? The recipe from here on, with the terms that still speak of it.

Everything is checked once, on the whole recipe; the problems of all horizons are parts of that one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from titer.control.nmpc.timetable import Horizon, Part, Timetable
from titer.flowsheets.declarations import State
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.operation import Decided, Operation
from titer.flowsheets.problems.hedging import Scenarios, hedge_of
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

    `objective` is minimized; `sign`: of the user's to it. `speaks`: phases in which a term reads something, by its
    identity. `planned`: the phases, lowered; `nominal`: how they run as planned. `fineness`: elements in each interval,
    phase by phase.
    """

    plant: Flowsheet
    recipe: Recipe
    free: Mapping[str, Any]
    objective: Sum
    sign: float
    constraints: tuple[Term, ...]
    inputs: Mapping[str, Any]
    scenarios: Scenarios | None
    grid: Grid
    table: Timetable
    planned: tuple[Operation, ...]
    nominal: tuple[PhaseResult, ...]
    speaks: Mapping[int, frozenset[int]]
    fineness: tuple[int, ...]

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


def problem_of(wanted: Wanted, horizon: Horizon) -> Problem:
    """The problem of a horizon, from where the plant stands there as planned."""
    names = part_names(wanted.table, horizon)
    recipe = Recipe(*(_phase(wanted, horizon, i, names) for i in range(len(horizon.parts))))
    first = horizon.parts[0]
    plant = _standing(wanted, first.phase, _gone(wanted.table, horizon))
    objective = Sum(
        tuple((w, t) for w, term in wanted.objective.terms for t in _parts_of(wanted, horizon, names, term))
    )
    if not objective.terms:
        objective = Sum(((1.0, AtEnd(lambda v: 0.0, name="nothing")),))
    constraints = tuple(t for term in wanted.constraints for t in _parts_of(wanted, horizon, names, term))
    free = _free(wanted, horizon, names)
    grid = replace(wanted.grid, elements=_ends(wanted, horizon, names))
    given = {name: value for name, value in wanted.inputs.items() if callable(value) and not hasattr(value, "index")}
    if wanted.scenarios is None:
        run = Run(plant, recipe, given, objective * wanted.sign, constraints, underway=True)
        return Problem((run,), free, grid, sign=wanted.sign)
    scenarios = _reaching(wanted.scenarios, recipe)
    hedge = hedge_of(scenarios, (), plant, recipe)
    signs = [wanted.sign if hedge.gathers else wanted.sign * float(weight) for weight in scenarios.shares]
    runs = tuple(
        Run(each, recipe, given, objective * sign, constraints, gathered=hedge.gathers, underway=True)
        for each, sign in zip(scenarios.plants(plant), signs, strict=True)
    )
    return Problem(runs, free, grid, sign=wanted.sign, hedge=hedge)


def part_names(table: Timetable, horizon: Horizon) -> tuple[str, ...]:
    """What the parts are called: by their phases; where one is cut in two, the first part says so."""
    names = []
    for i, part in enumerate(horizon.parts):
        cut = i + 1 < len(horizon.parts) and horizon.parts[i + 1].phase == part.phase
        names.append(f"{table.names[part.phase]}, first" if cut else table.names[part.phase])
    return tuple(names)


def _gone(table: Timetable, horizon: Horizon) -> float:
    """How long the running phase has lasted, as planned, where the horizon begins."""
    k = horizon.parts[0].phase
    ahead = sum(part.duration for part in horizon.parts if part.phase == k)
    if table.is_open(k):
        return max(table.durations[k].guess - ahead, 0.0)
    return table.durations[k].guess - ahead if horizon.parts[0].ends else 0.0


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


def _phase(wanted: Wanted, horizon: Horizon, i: int, names: Sequence[str]) -> Phase:
    """A part as a phase: what was set when its phase began is behind it."""
    part = horizon.parts[i]
    phase = wanted.recipe.phases[part.phase]
    closed = not any(earlier.open for earlier in horizon.parts[: i + 1])
    clock = sum(earlier.duration for earlier in horizon.parts[:i])
    duration: Any = part.duration
    if part.open:
        guess = part.duration
        duration = Free(guess, min(1e-6 * guess, guess), max(wanted.table.durations[part.phase].upper, guess))
    return replace(
        phase,
        name=names[i],
        duration=duration,
        until=phase.until if part.ends and part.open else None,
        inputs=_given(wanted, part, clock, closed),
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
    """A decision for each interval, of every input that is decided there."""
    free: dict[str, dict[str, Any]] = {}
    for part, name in zip(horizon.parts, names, strict=True):
        operation = wanted.planned[part.phase]
        for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
            if isinstance(source, Decided):
                guess = source.guess if isinstance(source.guess, float) else float(np.mean(_levels(source.guess)))
                free.setdefault(variable.name, {})[name] = PiecewiseConstant(
                    ends=_fractions(part), lower=source.lower, upper=source.upper, guess=guess
                )
    return free


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
        inside = [np.linspace(a, b, m, endpoint=False) for a, b in zip(ends[:-1], ends[1:], strict=True)]
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


def _reaching(scenarios: Scenarios, recipe: Recipe) -> Scenarios:
    """Scenarios that part no later than the horizon ends, or the phase whose end is decided begins."""
    until = scenarios.shared_until
    if until is None or isinstance(until, str):
        return scenarios
    sure = 0.0
    for phase in recipe:
        if isinstance(phase.duration, Free):
            break
        sure += float(phase.duration)
    else:
        return replace(scenarios, shared_until=None) if float(until) >= sure else scenarios
    return scenarios if float(until) <= sure else replace(scenarios, shared_until=None)
