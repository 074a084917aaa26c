"""What happens in each phase, with every name resolved? `operations` checks a recipe at the door and lowers its phases.

An `Operation` is a phase together with its `Dae`, where each input comes from, what ends it and what is reset when it
begins. Simulation, estimation, optimization and control all start from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import casadi as ca
import numpy as np

from titer.flowsheets.declarations import State
from titer.flowsheets.flowsheet import Flowsheet, by_element, check_single
from titer.flowsheets.given import check_bounds, check_inlets, check_inputs, check_routes, fixed_of, idle_of, kind_of
from titer.flowsheets.lowering import Lowered, condition, evaluate, lower
from titer.flowsheets.names import elements_of
from titer.flowsheets.profiles import Pieces
from titer.flowsheets.recipe import Free, Phase, Reaches, Recipe, check_free_duration
from titer.flowsheets.signals import Signal, finite, in_unit, sampled, signal, traced
from titer.flowsheets.streams import streams_of
from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbols.symbol import CASADI, Symbol, quantity
from titer.numerics.errors import FlowsheetError, SpecificationError, unknown
from titer.numerics.integration.watch import Event


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
    if not isinstance(plant, Flowsheet):
        raise SpecificationError(f"expected a Flowsheet(...), got {type(plant).__name__} {plant!r}.")
    if not isinstance(recipe, Recipe):
        raise SpecificationError(f"expected a Recipe(Phase(...), ...), got {type(recipe).__name__} {recipe!r}.")
    given, decisions = by_element(inputs, "inputs"), by_element(free or {}, "free")
    decided = {name: value for name, value in decisions.items() if isinstance(value, Pieces)}
    check_inputs(plant, given, "inputs")
    for name in decisions:
        if kind_of(plant, name) is None:
            raise SpecificationError(f"free: {unknown('name', name, [*plant.scalars, *plant.inlet_names])}")
    durations = [_duration(phase, plant.measure_of_time) for phase in recipe]
    resolving = _Resolving(plant, given, decided, sum(d.upper for d in durations))
    resolved: list[Operation] = []
    for phase, duration in zip(recipe, durations, strict=True):
        try:
            resolved.append(resolving.operation(phase, duration, resolved[-1] if resolved else None))
        except (SpecificationError, FlowsheetError) as error:
            prefix = "" if str(error).startswith("Phase ") else f"Phase {phase.name!r}: "
            raise type(error)(f"{prefix}{error}") from None
    check_inlets(plant, recipe, given | decided)
    return tuple(resolved)


def middle(lower: float, upper: float) -> float:
    """A value inside bounds, their middle where both are finite."""
    if np.isfinite(lower) and np.isfinite(upper):
        return 0.5 * (lower + upper)
    return float(np.clip(0.0, lower, upper))


@dataclass(frozen=True, eq=False)
class _Resolving:
    """What phases are resolved with: given trajectories, decided ones, the longest time that the recipe may last."""

    plant: Flowsheet
    given: Mapping[str, Any]
    decided: Mapping[str, Pieces]
    end: float
    signals: dict[str, Signal | Pieces] = field(default_factory=dict)  # of what is given for all phases, found once

    def operation(self, phase: Phase, duration: Duration, before: Operation | None) -> Operation:
        plant = self.plant
        idle = idle_of(plant, phase)
        connections = (*plant.connections, *(plant.check_connection(route) for route in phase.routes))
        check_single(connections, "routes")
        check_routes(phase, idle)
        own = by_element(phase.inputs, "inputs")
        check_inputs(plant, own, "inputs")
        fixed, parameters = fixed_of(plant, phase)
        for name in fixed:
            if name in own:
                raise SpecificationError(f"{name} stands in inputs and in fixed; give it once.")
        trajectories = {**self.given, **self.decided, **own, **fixed}
        lowered = lower(plant, streams_of(plant, connections, idle, tuple(trajectories)), phase.name)
        inputs, driven = self._inputs(lowered, own, fixed)
        lowered = lowered.with_driven(driven)
        return Operation(
            phase=phase,
            lowered=lowered,
            duration=duration,
            inputs=inputs,
            event=_event(phase, lowered),
            resets=_resets(plant, phase, idle, before),
            fixed=parameters,
        )

    def _inputs(
        self, lowered: Lowered, own: Mapping[str, Any], fixed: Mapping[str, float]
    ) -> tuple[tuple[Signal | Pieces | Decided, ...], dict[int, Any]]:
        """Where each input comes from; functions of time that can be traced go into the equations, by index."""
        time, measures = Symbol(lowered.symbols[0], DIMENSIONLESS, CASADI), self.plant.measures
        driven: dict[int, Any] = {}
        sources: list[Signal | Pieces | Decided] = []
        for i, variable in enumerate(lowered.dae.inputs):
            name = variable.name
            if name in fixed:
                sources.append(Signal.constant(fixed[name]))
            elif name in self.decided and name not in own:
                sources.append(self._decided(name))
            elif name in own or name in self.given:
                value = own[name] if name in own else self.given[name]
                raw = traced(value, time, measures[name], name)
                if raw is None:
                    sources.append(signal(value, measures[name], name, self.end) if name in own else self._signal(name))
                else:
                    driven[i] = raw
            else:
                raise SpecificationError(
                    f"control {name} has no trajectory.\n"
                    f"  Give inputs={{{name}: a number, a function of time, or a Series}}, hold it by "
                    f"Phase(fixed={{...}}), or decide it by free={{{name}: PiecewiseConstant(10)}}."
                )
        return tuple(sources), driven

    def _signal(self, name: str) -> Signal | Pieces:
        if name not in self.signals:
            self.signals[name] = signal(self.given[name], self.plant.measures[name], name, self.end)
        return self.signals[name]

    def _decided(self, name: str) -> Decided:
        pieces, measure, scalar = self.decided[name], self.plant.measures[name], self.plant.scalars.get(name)
        if pieces.values is not None:
            raise SpecificationError(
                f"free: {name} has values; pieces with values are given.\n  Put them into inputs, or leave values out."
            )
        known = (-np.inf, np.inf) if scalar is None else (scalar.lower, scalar.upper)
        lower, upper = (
            otherwise if bound is None else in_unit(bound, measure, f"free: {name}")
            for bound, otherwise in zip((pieces.lower, pieces.upper), known, strict=True)
        )
        if not lower <= upper:
            raise SpecificationError(
                f"free: bounds of {name} are reversed: lower {lower:g}, upper {upper:g} {measure.label}."
            )
        if pieces.guess is not None:
            guess = finite(pieces.guess, measure, f"free: the guess of {name}")
            if not lower <= guess <= upper:
                raise SpecificationError(
                    f"free: the guess {guess:g} of {name} lies outside [{lower:g}, {upper:g}] {measure.label}."
                )
            return Decided(pieces, lower, upper, guess)
        if name in self.given:
            tried = sampled(self.given[name], measure, name, self.end)
            if isinstance(tried, Signal) and not tried.is_constant:
                return Decided(pieces, lower, upper, tried.within(lower, upper))
            guess = float(tried.left[0]) if isinstance(tried, Signal) else float(np.mean(np.asarray(tried.values)))
        elif scalar is not None and np.isfinite(scalar.start):
            guess = scalar.start
        else:
            guess = middle(lower, upper)
        return Decided(pieces, lower, upper, float(np.clip(guess, lower, upper)))


def _duration(phase: Phase, time: Measure) -> Duration:
    what = f"Phase {phase.name!r}: duration"
    if isinstance(phase.duration, Free):
        free = phase.duration
        guess, lower, upper = (in_unit(x, time, what) for x in (free.guess, free.lower, free.upper))
        check_free_duration(guess, lower, upper, f"Phase {phase.name!r}")
        return Duration(guess, lower, upper, lower < upper)
    number = finite(phase.duration, time, what)
    if number <= 0.0:
        raise SpecificationError(f"{what} must be positive, got {number:g} {time.label}.")
    return Duration(number, number, number, False)


def _event(phase: Phase, lowered: Lowered) -> Event | None:
    if phase.until is None:
        return None
    if isinstance(phase.until, Reaches):
        value = evaluate(phase.until.residual, lowered.view, "until")
        return Event(lowered.function(value), phase.until.sign, f"until {phase.until}")
    relation = evaluate(phase.until, lowered.view, "until")
    residual, direction = condition(relation, "until")
    return Event(lowered.function(residual), direction, f"until {relation}")


def _resets(
    plant: Flowsheet, phase: Phase, idle: Sequence[str], before: Operation | None
) -> dict[str, float | ca.Function]:
    resets: dict[str, float | ca.Function] = {}
    for name, value in phase.start.items():
        for each in elements_of(name):
            if kind_of(plant, each) != State.kind:
                states = [n for n, s in plant.scalars.items() if s.kind == State.kind]
                raise SpecificationError(f"start: {unknown('state', each, states)}")
            if each.split(".", 1)[0] in idle:
                raise SpecificationError(f"start: {each} cannot be set, its unit operation is idle in this phase.")
        if callable(value):
            resets |= _reset_functions(plant, name, value, before)
            continue
        for each, given in by_element({name: value}, "start").items():
            number = finite(given, plant.measures[each], f"start: {each}")
            check_bounds(plant, each, number, "start")
            resets[each] = number
    return resets


def _reset_functions(
    plant: Flowsheet, name: str, function: Callable[[Any], Any], before: Operation | None
) -> dict[str, ca.Function]:
    """Functions of the previous phase's last point, one per state that is set."""
    what = f"start of {name}"
    if before is None:
        raise SpecificationError(f"{what}: the first phase has no phase before it; give a number.")
    result, names = evaluate(function, before.lowered.view, what), elements_of(name)
    values = list(np.asarray(result, dtype=object).ravel()) if np.ndim(result) else [result] * len(names)
    if len(values) != len(names):
        raise SpecificationError(f"{what}: expected {len(names)} values, the function gives {len(values)}.")
    resets: dict[str, ca.Function] = {}
    for each, value in zip(names, values, strict=True):
        measure = plant.measures[each]
        if not isinstance(value, Symbol):
            value = quantity(finite(value, measure, f"{what}: what the function gives"), measure)
        if not value.measure.same(measure):
            raise SpecificationError(
                f"{what}: the function gives {value.measure.label!r}, expected {measure.label!r}.\n"
                f'  Convert it: quantity(magnitude(x, "{measure.label}"), "{measure.label}").'
            )
        resets[str(each)] = before.lowered.function(value, "reset")
    return resets
