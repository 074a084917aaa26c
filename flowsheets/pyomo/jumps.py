"""What holds right after inputs jump inside a phase? Paths that jump with them, on algebraic variables of their own.

phase.after_jump[tau, limit]              limits along a phase that inputs move at once, with the piece that begins
phase.reactor.y_after_jump[tau]           an algebraic variable there, where such a limit reads one
phase.reactor.zero_after_jump[tau, key]   the equation that determines it
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyomo.environ as pyo

from titer.flowsheets.problems.assembly import Placement
from titer.flowsheets.pyomo.moments import Jump, Moments, moments_of
from titer.flowsheets.pyomo.naming import added
from titer.flowsheets.pyomo.reading import DIMENSIONLESS, raw
from titer.flowsheets.pyomo.reduced import add_derived_after_jumps
from titer.flowsheets.streams import port_of
from titer.numerics.layout import Layout


def jumps_of(placement: Placement) -> tuple[Jump, ...]:
    """Jumps of inputs inside a phase that paths follow at once."""
    segment, ends = placement.transcribed.segment, placement.transcribed.ends
    numbers = {id(path): k for k, path in enumerate(segment.paths)}
    return tuple(
        Jump(float(ends[element]), tuple(numbers[id(path)] for path in jumps.paths), jumps.reads_z)
        for jumps in Layout(segment, ends, ends[:0], True).jumps
        for element in jumps.elements
    )


def add_algebraics_after_jumps(block: Any) -> None:
    """Algebraic variables right after jumps, with their equations, where a path reads them."""
    here = moments_of(block)
    positions = [jump.position for jump in here.plan.jumps if jump.reads_z]
    if not positions:
        return
    names = [v.name for v in here.plan.operation.lowered.dae.algebraics]
    twins: dict[int, str] = {}
    for name in names:
        component = here.component(name)
        if id(component) not in twins:
            twins[id(component)] = _add_twin(component, positions)
        here.places[name] = replace(here.places[name], jumped=twins[id(component)])
    for unit in here.plan.streams.units:
        own = here.unit(unit.name)
        keys = here.equations(unit.name)
        if keys:
            added(own, "zero_after_jump", pyo.Constraint(positions, keys, rule=_zero_rule(unit.name)))
        torn = [name for name in names if port_of(name) in here.plan.streams.torn and name.startswith(f"{unit.name}.")]
        if torn:
            added(own, "stream_after_jump", pyo.Constraint(positions, torn, rule=_stream_rule))
    add_derived_after_jumps(block, positions)


def _add_twin(component: Any, positions: list[float]) -> str:
    """A Var over positions, and over the sets of an array, beside one along tau; its attribute."""
    labels = list(component.index_set().subsets())[1:]
    first = next(iter(component.values()))
    bounds = {index[1:] if isinstance(index, tuple) else (): data.bounds for index, data in component.items()}
    twin = pyo.Var(
        positions,
        *map(list, labels),
        units=first.get_units(),
        bounds=lambda own, *index: bounds[index[1:]],
        initialize=0.0,
    )
    return added(component.parent_block(), f"{component.local_name}_after_jump", twin).local_name


def _zero_rule(unit: str) -> Any:
    return lambda own, tau, key: raw(moments_of(own).at(tau, True).traces[unit].zero[key], DIMENSIONLESS) == 0.0


def _stream_rule(own: Any, tau: float, name: str) -> Any:
    here: Moments = moments_of(own)
    return here.given(name, tau, True) == here.carried(name, here.at(tau, True).traces).value
