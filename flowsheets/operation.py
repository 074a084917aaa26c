"""What happens in each phase, with every name resolved? `operations` checks a recipe at the door and lowers its phases.

An `Operation` is a phase together with its `Dae`, where each input comes from, what ends it and what is reset when it
begins. Simulation, estimation, optimization and control all start from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np

from titer.flowsheets.declarations import Algebraic, Control, Parameter, State
from titer.flowsheets.flowsheet import Flowsheet, check_single
from titer.flowsheets.lowering import Lowered, condition, evaluate, lower, streams_of
from titer.flowsheets.measure import DIMENSIONLESS, Measure
from titer.flowsheets.names import elements_of
from titer.flowsheets.profiles import Pieces
from titer.flowsheets.recipe import Free, Phase, Reaches, Recipe
from titer.flowsheets.signals import Signal, signal, traced
from titer.flowsheets.symbol import CASADI, Symbol, quantity
from titer.flowsheets.unit import number_in
from titer.flowsheets.view import View
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.integrate import Event


@dataclass(frozen=True, eq=False)
class Decided:
    """An input whose pieces are decisions: their shape, bounds and the value tried first."""

    pieces: Pieces
    lower: float
    upper: float
    guess: float | Signal


@dataclass(frozen=True, eq=False)
class Duration:
    """How long a phase lasts: a number, or a decision with bounds."""

    guess: float
    lower: float
    upper: float
    free: bool


@dataclass(frozen=True, eq=False)
class Operation:
    """A phase with everything resolved."""

    phase: Phase
    lowered: Lowered
    duration: Duration
    inputs: tuple[Signal | Pieces | Decided, ...]  # one per input of the model
    event: Event | None
    resets: Mapping[str, float | ca.Function]  # functions of the previous phase's last point (t, x, z, u, p)
    fixed: Mapping[str, float]  # parameters with another value in this phase

    @property
    def name(self) -> str:
        return self.phase.name


def operations(
    plant: Flowsheet, recipe: Recipe, inputs: Mapping[str, Any], free: Mapping[str, Any] | None = None
) -> tuple[Operation, ...]:
    """Resolve a recipe on a plant. `inputs`: given trajectories; `free`: decisions.

    Raises SpecificationError for every unknown name, missing trajectory and contradiction, before anything is solved.
    """
    if not isinstance(recipe, Recipe):
        raise SpecificationError(f"expected a Recipe(Phase(...), ...), got {type(recipe).__name__} {recipe!r}.")
    resolved: list[Operation] = []
    free = _flat(free or {})
    given = _flat(inputs)
    _check_inputs(plant, given, "inputs")
    longest = sum(_longest(phase, plant.measure_of_time) for phase in recipe)
    _check_all_inlets(plant, recipe, given, free)
    for k, phase in enumerate(recipe):
        try:
            resolved.append(_operation(plant, phase, k, resolved, given, free, longest))
        except SpecificationError as error:
            text = str(error)
            prefix = f"Phase {phase.name!r}: "
            raise SpecificationError(text if text.startswith("Phase") else prefix + text) from None
    return tuple(resolved)


def _operation(  # type: ignore[no-untyped-def]
    plant: Flowsheet, phase: Phase, k: int, before: Sequence[Operation], given, free, longest: float
) -> Operation:
    scalars, measures = plant.scalars, plant.measures
    idle = _idle(plant, phase)
    routes = tuple(plant.check_connection(route) for route in phase.routes)
    connections = (*plant.connections, *routes)
    check_single(connections, "routes")
    own = _flat(phase.inputs)
    _check_inputs(plant, own, "inputs")
    fixed, fixed_parameters = _fixed(plant, phase)
    trajectories = {**given, **{n: f for n, f in free.items() if isinstance(f, Pieces)}, **own, **fixed}
    lowered = lower(plant, streams_of(plant, connections, idle, tuple(trajectories)), phase.name)

    sources: list[Signal | Pieces | Decided] = []
    time = Symbol(lowered.symbols[0], DIMENSIONLESS, CASADI)
    driven: dict[int, Any] = {}
    for i, variable in enumerate(lowered.dae.inputs):
        name = variable.name
        if name in fixed:
            sources.append(Signal.constant(fixed[name]))
        elif name in own:
            sources.append(_source(own[name], measures[name], name, longest, time, driven, i))
        elif isinstance(free.get(name), Pieces):
            sources.append(_decided(plant, free[name], name, given, longest))
        elif name in given:
            sources.append(_source(given[name], measures[name], name, longest, time, driven, i))
        else:
            raise SpecificationError(
                f"control {name} has no trajectory.\n"
                f"  Give inputs={{{name}: a number, a function of time, or a Series}}, hold it by Phase(fixed={{...}}), "
                f"or decide it by free={{{name}: PiecewiseConstant(10)}}."
            )
    lowered = lowered.with_driven(driven)
    kept = tuple(s for i, s in enumerate(sources) if i not in driven)
    return Operation(
        phase=phase,
        lowered=lowered,
        duration=_duration(phase, plant.measure_of_time),
        inputs=kept,
        event=_event(phase, lowered, scalars),
        resets=_resets(plant, phase, idle, before[-1] if k else None),
        fixed=fixed_parameters,
    )


def _source(value, measure, name, longest, time, driven, i):  # type: ignore[no-untyped-def]
    """A given trajectory; a function of time that can be traced is put into the equations (`driven`)."""
    if callable(value) and not hasattr(value, "to_numpy"):
        raw = traced(value, time, measure)
        if raw is not None:
            driven[i] = raw
            return Signal.constant(0.0)
    return signal(value, measure, name, longest)


def _decided(plant: Flowsheet, pieces: Pieces, name: str, given: Mapping[str, Any], longest: float) -> Decided:
    if pieces.values is not None:
        raise SpecificationError(f"free: {name} has values; pieces with values are given, put them into inputs.")
    measure, scalar = plant.measures[name], plant.scalars.get(name)
    lower = number_in(pieces.lower, measure, name) if pieces.lower is not None else scalar.lower if scalar else -np.inf
    upper = number_in(pieces.upper, measure, name) if pieces.upper is not None else scalar.upper if scalar else np.inf
    if not lower <= upper:
        raise SpecificationError(
            f"free: bounds of {name} are reversed: lower {lower:g}, upper {upper:g} {measure.label}."
        )
    if pieces.guess is not None:
        guess: float | Signal = number_in(pieces.guess, measure, name)
    elif name in given:
        found = signal(given[name], measure, name, longest)
        guess = found if isinstance(found, Signal) else float(np.mean(np.asarray(found.values)))
    elif scalar is not None and np.isfinite(scalar.start):
        guess = scalar.start
    else:
        guess = middle(lower, upper)
    if isinstance(guess, float) and not lower <= guess <= upper:
        raise SpecificationError(
            f"free: the guess {guess:g} of {name} lies outside [{lower:g}, {upper:g}] {measure.label}."
        )
    return Decided(pieces, lower, upper, guess)


def middle(lower: float, upper: float) -> float:
    """A value inside bounds, their middle where both are finite."""
    if np.isfinite(lower) and np.isfinite(upper):
        return 0.5 * (lower + upper)
    return float(np.clip(0.0, lower, upper))


def _duration(phase: Phase, time: Measure) -> Duration:
    what = f"Phase {phase.name!r}: duration"
    if isinstance(phase.duration, Free):
        guess, lower, upper = (
            number_in(x, time, what) for x in (phase.duration.guess, phase.duration.lower, phase.duration.upper)
        )
        if not (0.0 <= lower <= guess <= upper < np.inf and upper > 0.0):
            raise SpecificationError(
                f"{what}: expected 0 <= lower <= guess <= upper, got Free({guess:g}, {lower:g}, {upper:g})."
            )
        return Duration(guess, lower, upper, lower < upper)
    number = number_in(phase.duration, time, what)
    return Duration(number, number, number, False)


def _longest(phase: Phase, time: Measure) -> float:
    return _duration(phase, time).upper


def _event(phase: Phase, lowered: Lowered, scalars: Mapping[str, Any]) -> Event | None:
    if phase.until is None:
        return None
    where = f"Phase {phase.name!r}"
    if isinstance(phase.until, Reaches):
        value = evaluate(phase.until.residual, lowered.view, where)
        return Event(lowered.function(value), phase.until.sign, f"until {phase.until}")
    relation = evaluate(phase.until, lowered.view, where)
    residual, direction = condition(relation, where)
    return Event(lowered.function(residual), direction, f"until of phase {phase.name!r}")


def _resets(plant: Flowsheet, phase: Phase, idle: Sequence[str], before: Operation | None) -> dict[str, Any]:
    scalars = plant.scalars
    resets: dict[str, Any] = {}
    for name, value in phase.start.items():
        for i, each in enumerate(elements_of(name)):
            scalar = scalars.get(str(each))
            if scalar is None or scalar.kind != State.kind:
                states = [n for n, s in scalars.items() if s.kind == State.kind]
                raise SpecificationError(f"start: {unknown('state', each, states)}")
            if str(each).split(".", 1)[0] in idle:
                raise SpecificationError(f"start: {each} cannot be set, its unit operation is idle in this phase.")
            what = f"start of {each}"
            if not callable(value):
                array = np.ndim(value) > 0 and not isinstance(value, Symbol)
                resets[str(each)] = number_in(value[i] if array else value, scalar.measure, what)
                if not np.isfinite(resets[str(each)]):
                    raise SpecificationError(f"{what}: expected a finite number, got {resets[str(each)]!r}.")
                continue
            if before is None:
                raise SpecificationError(f"{what}: the first phase has no phase before it; give a number.")
            result = evaluate(value, before.lowered.view, what)
            result = np.asarray(result, dtype=object).ravel()[i] if np.ndim(result) else result
            if isinstance(result, Symbol):
                if not result.measure.same(scalar.measure):
                    raise SpecificationError(
                        f"{what}: the function gives {result.measure.label or '1'!r}, expected {scalar.measure.label or '1'!r}."
                    )
            else:
                result = quantity(float(result), scalar.measure)
            resets[str(each)] = before.lowered.function(result, "reset")
    return resets


def _fixed(plant: Flowsheet, phase: Phase) -> tuple[dict[str, float], dict[str, float]]:
    scalars, measures = plant.scalars, plant.measures
    controls, parameters = {}, {}
    for name, value in _flat(phase.fixed).items():
        kind = scalars[name].kind if name in scalars else "inlet" if name in plant.inlet_names else None
        if kind == State.kind:
            raise SpecificationError(
                f"fixed: {name} is a state; a state has a rate and cannot be fixed as well.\n"
                f"  Set it when the phase begins by start={{...}}, or declare what keeps it constant as a Control."
            )
        if kind == Algebraic.kind:
            raise SpecificationError(
                f"fixed: {name} is algebraic, its equation determines it. Fix a control or a parameter, or constrain it by a Path."
            )
        if kind is None:
            known = [n for n, s in scalars.items() if s.kind in (Control.kind, Parameter.kind)]
            raise SpecificationError(f"fixed: {unknown('control or parameter', name, [*known, *plant.inlet_names])}")
        number = number_in(value, measures[name], f"fixed {name}")
        if not np.isfinite(number):
            raise SpecificationError(f"fixed: {name} must be finite, got {number!r}.")
        (parameters if kind == Parameter.kind else controls)[name] = number
    return controls, parameters


def _idle(plant: Flowsheet, phase: Phase) -> tuple[str, ...]:
    names = [unit.name for unit in plant.units]
    for name in phase.idle_names:
        if name not in names:
            raise SpecificationError(f"idle: {unknown('unit operation', name, names)}")
    if len(phase.idle_names) == len(names):
        raise SpecificationError("idle: every unit operation is idle; at least one must be active.")
    return phase.idle_names


def _check_inputs(plant: Flowsheet, given: Mapping[str, Any], where: str) -> None:
    scalars, inlets = plant.scalars, plant.inlet_names
    for name in given:
        kind = scalars[name].kind if name in scalars else "inlet" if name in inlets else None
        if kind == Control.kind or kind == "inlet":
            continue
        if kind is None:
            known = [n for n, s in scalars.items() if s.kind == Control.kind]
            raise SpecificationError(f"{where}: {unknown('control', name, [*known, *inlets])}")
        mend = {
            State.kind: "set its start by plant.with_values({...}) or Phase(start={...})",
            Parameter.kind: "change it by plant.with_values({...}) or Phase(fixed={...})",
            Algebraic.kind: "its equation determines it",
        }[kind]
        raise SpecificationError(f"{where}: {name} is a {kind}, not a control: {mend}.")


def _check_all_inlets(plant: Flowsheet, recipe: Recipe, given: Mapping[str, Any], free: Mapping[str, Any]) -> None:
    """An inlet that no connection, route or trajectory of the whole recipe reaches is a mistake."""
    reached = {str(target) for _, target in plant.connections}
    names = set(given) | set(free)
    for phase in recipe:
        reached |= {str(route[1]) for route in phase.routes if isinstance(route, tuple | list) and len(route) == 2}
        names |= set(_flat(phase.inputs)) | set(_flat(phase.fixed))
    resting = set.intersection(*(set(phase.idle_names) for phase in recipe))
    for name in plant.inlet_names:
        if name.split(".", 1)[0] in resting:
            continue
        port = name.rsplit(".", 1)[0]
        if port not in reached and not any(n.rsplit(".", 1)[0] == port for n in names):
            raise SpecificationError(
                f"inlet {port} is connected in no phase of the recipe and has no trajectory.\n"
                f"  Connect it (Flowsheet connect=, Phase routes=), or give its stream in inputs={{{name}: ...}}."
            )


def _flat(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of arrays spread over their elements."""
    flat: dict[str, Any] = {}
    for name, value in entries.items():
        names = elements_of(name)
        several = names != (name,) and isinstance(value, list | tuple | np.ndarray) and len(value) == len(names)
        for i, each in enumerate(names):
            flat[str(each)] = value[i] if several else value
    return flat


__all__ = ["Decided", "Duration", "Operation", "View", "middle", "operations"]
