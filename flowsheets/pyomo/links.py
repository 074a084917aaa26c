"""How does a Pyomo phase follow the one before? States go on or are set; inputs and time go on."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pyomo.environ as pyo

from titer.flowsheets.declarations import State
from titer.flowsheets.lowering import condition, evaluate
from titer.flowsheets.operation import Decided
from titer.flowsheets.pyomo.moments import Moments, moments_of
from titer.flowsheets.pyomo.reading import PYOMO, raw
from titer.flowsheets.recipe import Reaches
from titer.flowsheets.recipes.resets import resets_of, values_before
from titer.flowsheets.symbols.measure import DIMENSIONLESS
from titer.flowsheets.symbols.symbol import Symbol


def link(block: Any, previous: Any, where: dict[str, Any], twin: Any = None) -> None:
    """Tie a phase to its predecessor (None: the first), its end to its `until`, its decisions to those of a twin.

    `where`: what each state is when the phase begins, a number or a Var, updated to its end. `twin`: the same phase of
    the run that this one shares its decisions with.
    """
    block.link = pyo.Constraint(pyo.Any)
    _link_time(block, previous)
    _link_duration(block)
    link_states(block, previous, where)
    if twin is None:
        _link_inputs(block, previous)
    else:
        _share(block, twin)
    _end(block)


def _link_time(block: Any, previous: Any) -> None:
    if previous is None:
        block.clock.fix(0.0)
    else:
        block.link["clock"] = block.clock == previous.clock + previous.duration


def _link_duration(block: Any) -> None:
    """A duration that is an earlier phase's."""
    duration = moments_of(block).plan.operation.duration
    if duration.free and duration.same_as:
        block.link["duration"] = block.duration == block.parent_component()[duration.same_as].duration


def link_states(block: Any, previous: Any, where: dict[str, Any]) -> None:
    """Fix the states with which a phase begins, or tie them to the end of earlier ones; `where` as in `link`."""
    here = moments_of(block)
    resets = _resets(here, previous, where)
    for unit in here.plan.streams.units:
        for scalar in unit.of_kind(State):
            name = str(scalar.name)
            start = here.value(name, block.tau.first())
            source = resets.get(name, where[name])
            if isinstance(source, float):
                start.fix(source, skip_validation=True)
            else:
                block.link[name] = start == source
            where[name] = here.value(name, block.tau.last())


def _resets(here: Moments, previous: Any, where: dict[str, Any]) -> dict[str, Any]:
    """What states are set to: a number, or an expression of the previous phase's end."""
    operation, plant = here.plan.operation, here.plan.plant

    def look(name: str) -> Symbol:
        measure, known = here.plan.measures[name], where.get(name)
        if known is None:
            known = here.value(name, here.block.tau.first())
        return Symbol(PYOMO.attach(known, measure) if isinstance(known, float) else known, measure, PYOMO)

    before = None if previous is None else moments_of(previous).at(previous.tau.last()).view
    values = values_before(plant, look, operation.fixed, ()) if operation.phase.actions else {}
    found = resets_of(plant, operation.phase, before, values)
    return {
        name: value if isinstance(value, float) else raw(value, here.plan.measures[name])
        for name, value in found.items()
    }


def _link_inputs(block: Any, previous: Any) -> None:
    """Lines that are decided in both phases are continuous, and no steeper than their limit."""
    here = moments_of(block)
    before = _lines(moments_of(previous)) if previous is not None else {}
    limits = []
    for name, source in _lines(here).items():
        pieces = here.pieces(name)
        if name in before:
            earlier = moments_of(previous).pieces(name)
            block.link[name] = pieces[0] == earlier[len(earlier) - 1]
        if source.pieces.rate is not None:
            profile = here.plan.profiles[name][0]
            measure = here.plan.measures[name] / here.plan.plant.measure_of_time
            for i, (left, right) in enumerate(pairwise(profile.edges)):
                allowed = PYOMO.attach(source.pieces.rate * float(right - left), measure) * block.duration
                limits += [pieces[i + 1] - pieces[i] <= allowed, pieces[i] - pieces[i + 1] <= allowed]
    if limits:
        block.rate_of_change = pyo.Constraint(range(len(limits)), rule=lambda b, i: limits[i])


def _share(block: Any, twin: Any) -> None:
    """Durations, unless a condition ends the phase, pieces and their ends are those of another run."""
    here, there = moments_of(block), moments_of(twin)
    operation = here.plan.operation
    block.shared = pyo.Constraint(pyo.Any)
    if operation.duration.free and operation.event is None:
        block.shared["duration"] = block.duration == twin.duration
    for i in range(1, len(block.edges) - 1) if here.plan.movable is not None else ():
        block.shared["edges", i] = block.edges[i] == twin.edges[i]
    for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
        if isinstance(source, Decided):
            mine, theirs = here.pieces(variable.name), there.pieces(variable.name)
            for i in mine:
                block.shared[variable.name, i] = mine[i] == theirs[i]


def _lines(here: Moments) -> dict[str, Any]:
    """Inputs that are decided as straight lines."""
    operation = here.plan.operation
    sources = zip(operation.lowered.dae.inputs, operation.inputs, strict=True)
    return {v.name: source for v, source in sources if isinstance(source, Decided) and source.pieces.linear}


def _end(block: Any) -> None:
    """A phase that ends by a condition meets it at its end."""
    here = moments_of(block)
    phase, view = here.plan.operation.phase, here.at(1.0).view
    where = f"Phase {phase.name!r}"
    if isinstance(phase.until, Reaches):
        residual = evaluate(phase.until.residual, view, where)
    elif phase.until is not None:
        residual, _ = condition(evaluate(phase.until, view, where), where)
    else:
        return
    measure = residual.measure if isinstance(residual, Symbol) else DIMENSIONLESS
    block.until = pyo.Constraint(expr=raw(residual, measure) == 0.0)
