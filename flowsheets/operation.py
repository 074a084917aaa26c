"""What happens in each phase, with every name resolved? `operations` checks a recipe at the door and lowers its phases.

An `Operation` is a phase together with its `Dae`, where each input comes from, what ends it and what is reset when it
begins. Simulation, estimation, optimization and control all start from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import casadi as ca
import numpy as np

from titer.flowsheets.exponentials import by_logarithm, is_exponential
from titer.flowsheets.flowsheet import Flowsheet, by_element, check_single
from titer.flowsheets.given import check_inlets, check_inputs, check_routes, fixed_of, idle_of, kind_of, routes_of
from titer.flowsheets.lowering import Lowered, condition, evaluate, lower
from titer.flowsheets.profiles import Pieces, is_decided, shape_in
from titer.flowsheets.recipe import Free, Phase, Reaches, Recipe, SameAs, check_free_duration
from titer.flowsheets.recipes.resets import resets_of, values_before
from titer.flowsheets.signals import Signal, finite, in_unit, sampled, signal, traced
from titer.flowsheets.streams import streams_of
from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbols.symbol import CASADI, Symbol
from titer.numerics.errors import FlowsheetError, SpecificationError, unknown
from titer.numerics.integration.watch import Event


@dataclass(frozen=True, eq=False)
class Decided:
    """An input whose pieces are decisions: their shape, bounds and the value tried first."""

    pieces: Pieces
    lower: float
    upper: float
    guess: float | Signal | np.ndarray  # an array: one for each of its values


@dataclass(frozen=True, eq=False)
class Duration:
    """How long a phase lasts: a number, or a decision with bounds; `same_as`: the phase whose decision it is."""

    guess: float
    lower: float
    upper: float
    free: bool
    same_as: str = ""


@dataclass(frozen=True, eq=False)
class Operation:
    """A phase with everything resolved."""

    phase: Phase
    lowered: Lowered
    duration: Duration
    inputs: tuple[Signal | Pieces | Decided, ...]  # one per input of the model
    event: Event | None
    resets: Mapping[str, float | ca.Function]  # functions of a point (t, x, z, u, p), as `point_before` says
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
    decided = {name: value for name, value in decisions.items() if is_decided(value)}
    _check_shapes(decided, recipe)
    check_inputs(plant, given, "inputs")
    for name in decisions:
        if kind_of(plant, name) is None:
            raise SpecificationError(f"free: {unknown('name', name, [*plant.scalars, *plant.inlet_names])}")
    durations = durations_of(recipe, plant.measure_of_time)
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


def durations_of(recipe: Recipe, time: Measure) -> list[Duration]:
    """How long each phase lasts; one that lasts as long as an earlier one is tied to it. Raises SpecificationError."""
    found: dict[str, Duration] = {}
    for phase in recipe:
        if not isinstance(phase.duration, SameAs):
            found[phase.name] = _duration(phase, time)
            continue
        name, what = phase.duration.phase, f"Phase {phase.name!r}: duration"
        if name not in found:
            raise SpecificationError(f"{what}: {unknown('earlier phase', name, found)}")
        if recipe[name].until is not None:
            raise SpecificationError(
                f"{what}: that of {name!r} ends by its condition, and is known only then.\n"
                f"  Give this phase the condition, or a duration, of its own."
            )
        found[phase.name] = replace(found[name], same_as=found[name].same_as or name)
    return list(found.values())


def _check_shapes(decided: Mapping[str, Any], recipe: Recipe) -> None:
    """Shapes that are decided phase by phase are shapes, of phases that there are and that leave the input to them.

    Raises SpecificationError.
    """
    names = [phase.name for phase in recipe]
    for name, by_phase in decided.items():
        for key, shape in by_phase.items() if isinstance(by_phase, Mapping) else ():
            if key not in names:
                raise SpecificationError(f"free: {name}: {unknown('phase', key, names)}")
            if not isinstance(shape, Pieces):
                raise SpecificationError(
                    f"free: {name}: in phase {key!r} expected PiecewiseConstant(n), PiecewiseLinear(n) or "
                    f"Exponential(), got {shape!r}."
                )
            for where in ("fixed", "inputs"):
                if name in by_element(getattr(recipe[key], where), where):
                    raise SpecificationError(
                        f"free: {name} is to be decided in phase {key!r}, which gives it in {where}={{...}}.\n"
                        f"  Leave it out of {where} of that phase, or the phase out of free={{{name}: {{...}}}}."
                    )


def point_before(planned: Sequence[Operation], k: int) -> Operation:
    """Whose point the resets of phase k are functions of: of the previous phase, its last point; of the first phase
    its own first point, with the states as they are before it."""
    return planned[max(k - 1, 0)]


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
    decided: Mapping[str, Any]  # shapes, or shapes by phase
    end: float
    signals: dict[str, Signal | Pieces] = field(default_factory=dict)  # of what is given for all phases, found once

    def operation(self, phase: Phase, duration: Duration, before: Operation | None) -> Operation:
        plant = self.plant
        idle = idle_of(plant, phase)
        routes = routes_of(plant, phase)
        connections = (*plant.connections, *routes)
        check_single(connections, "routes")
        check_routes(routes, idle)
        own = by_element(phase.inputs, "inputs")
        check_inputs(plant, own, "inputs")
        fixed, parameters = fixed_of(plant, phase)
        for name in fixed:
            if name in own:
                raise SpecificationError(f"{name} stands in inputs and in fixed; give it once.")
        trajectories = {**self.given, **self.decided, **own, **fixed}
        lowered = lower(plant, streams_of(plant, connections, idle, tuple(trajectories)), phase.name)
        inputs, driven, logarithms = self._inputs(lowered, phase.name, duration, own, fixed)
        lowered = lowered.with_driven(driven, logarithms)
        return Operation(
            phase=phase,
            lowered=lowered,
            duration=duration,
            inputs=inputs,
            event=_event(phase, lowered),
            resets=_resets(plant, phase, lowered, parameters, before),
            fixed=parameters,
        )

    def _inputs(
        self, lowered: Lowered, phase: str, duration: Duration, own: Mapping[str, Any], fixed: Mapping[str, float]
    ) -> tuple[tuple[Signal | Pieces | Decided, ...], dict[int, Any], list[int]]:
        """Where each input comes from; functions of time that can be traced go into the equations, by index; and which
        inputs are given by their logarithms."""
        time, measures = Symbol(lowered.symbols[0], DIMENSIONLESS, CASADI), self.plant.measures
        driven: dict[int, Any] = {}
        logarithms: list[int] = []
        sources: list[Signal | Pieces | Decided] = []
        for i, variable in enumerate(lowered.dae.inputs):
            name = variable.name
            shape = shape_in(self.decided.get(name), phase)
            if name in fixed:
                sources.append(Signal.constant(fixed[name]))
            elif shape is not None and name not in own:
                sources.append(self._decided(name, shape))
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
            if i not in driven and is_exponential(sources[-1]):
                logarithms.append(i)
                sources[-1] = by_logarithm(sources[-1], name, measures[name].label, duration.guess)
        return tuple(sources), driven, logarithms

    def _signal(self, name: str) -> Signal | Pieces:
        if name not in self.signals:
            self.signals[name] = signal(self.given[name], self.plant.measures[name], name, self.end)
        return self.signals[name]

    def _decided(self, name: str, pieces: Pieces) -> Decided:
        measure, scalar = self.plant.measures[name], self.plant.scalars.get(name)
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
    plant: Flowsheet, phase: Phase, own: Lowered, fixed: Mapping[str, float], before: Operation | None
) -> dict[str, float | ca.Function]:
    """What `start` and actions set: numbers, or functions of the last point before the phase."""
    last = own if before is None else before.lowered
    released = () if before is None else [name for name in before.fixed if name not in fixed]
    values = values_before(plant, lambda name: last.view[name], fixed, released) if phase.actions else {}
    found = resets_of(plant, phase, None if before is None else before.lowered.view, values)
    return {name: value if isinstance(value, float) else last.function(value, "reset") for name, value in found.items()}
