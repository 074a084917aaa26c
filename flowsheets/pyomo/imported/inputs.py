"""What values does a Pyomo block give? Starts from its initial conditions, and trajectories of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.visitor import identify_variables

from titer.flowsheets.names import element
from titer.flowsheets.pyomo.imported.block import Row, Source
from titer.flowsheets.pyomo.imported.declarations import Declared
from titer.flowsheets.pyomo.imported.expressions import Item
from titer.numerics.errors import DeclarationError

STEPS = 200  # over which a Param over time that has a rule is asked


def start_at(source: Source) -> None:
    """Set states to what Constraints at the first point say. Raises DeclarationError for more than x[0] == value."""
    states = set(source.derivatives.values())
    for row in source.initial:
        over_time = [data for data in identify_variables(row.left - row.right) if source.item(data)[1] is not None]
        items = [source.item(data)[0] for data in over_time]
        if len(items) != 1 or items[0].component not in states:
            raise DeclarationError(
                f"{row.name} is no start of one state: {row.left} == {row.right}\n"
                "  Give the start of each state, as x[0] == value or x[0].fix(value), and deactivate this Constraint."
            )
        over_time[0].set_value(_root(row, over_time[0]), skip_validation=True)


def _root(row: Row, variable: Any) -> float:
    """The value at which a linear equation of one variable holds."""
    residuals = []
    for trial in (0.0, 1.0, 2.0):
        variable.set_value(trial, skip_validation=True)
        residuals.append(pyo.value(row.left - row.right, exception=False))
    if any(r is None for r in residuals):
        raise DeclarationError(f"{row.name}: something in it has no value: {row.left} == {row.right}")
    first, second, third = residuals
    slope = second - first
    if not np.isclose(third - second, slope, rtol=1e-9) or slope == 0.0:
        raise DeclarationError(
            f"{row.name} is not linear in {variable.name}.\n  Give its start: {variable.name}.fix(value)."
        )
    return float(-first / slope)


def given_inputs(source: Source, places: Sequence[Declared]) -> dict[str, dict[float, float]]:
    """Values over time, from zero, of each control: by local name of the unit operation to be."""
    found = {}
    for place in places:
        for item, label in zip(place.items, place.labels, strict=True):
            found[element(place.attribute, label)] = _values(source, item)
    return found


def _values(source: Source, item: Item) -> dict[float, float]:
    component, first = source.components[item.component], source.ends[0]
    own = source.original.find_component(item.component)
    own = component.data if own is None else own  # of another block
    profile = _profile(source, own)
    if profile is None and own is not None and own.ctype is pyo.Param:
        profile = _sampled(source, own, item, component.position)
    if profile is None:
        values = {point: pyo.value(component.at(item.labels, point), exception=False) for point in source.time}
        profile = {point: value for point, value in values.items() if value is not None}
    return {float(point) - first: float(value) for point, value in sorted(profile.items())}


def _profile(source: Source, own: Any) -> dict[float, float] | None:
    """What the Suffix `var_input` says of a Var, as pyomo.dae's Simulator has it."""
    suffix = source.original.component("var_input")
    if suffix is None or suffix.ctype is not pyo.Suffix or own is None or suffix.get(own) is None:
        return None
    return dict(suffix[own])


def _sampled(source: Source, param: Any, item: Item, position: int | None) -> dict[float, float] | None:
    """What a Param's rule gives in the middle of each step, by where the step begins; None where it has no rule.

    Held over the step, that is right on average; what it gives at its start would lag by half a step.
    """
    rule = param._rule
    if rule is None or rule.constant() or rule.contains_indices() or position is None:
        return None
    edges = np.linspace(source.ends[0], source.ends[1], STEPS + 1)
    asked = np.append(0.5 * (edges[:-1] + edges[1:]), edges[-1])
    found = {}
    for edge, point in zip(edges.tolist(), asked.tolist(), strict=True):
        index = (*item.labels[:position], point, *item.labels[position:])
        found[edge] = float(rule(param.parent_block(), index if len(index) > 1 else point))
    return found
