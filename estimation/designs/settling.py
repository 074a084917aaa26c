"""What does a decided batch look like? The proposal with numbers in place of everything that was decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from titer.estimation.data.interpolated import Interpolated
from titer.estimation.designs.proposal import Proposal
from titer.estimation.designs.prospect import Course, Prospect
from titer.flowsheets.declarations import State
from titer.flowsheets.operation import Decided
from titer.flowsheets.problems.placing import Placement
from titer.flowsheets.profiles import PiecewiseConstant, PiecewiseLinear
from titer.flowsheets.recipe import Free, Phase, Recipe, SameAs

Array = np.ndarray


def settled(prospect: Prospect, course: Course, times: tuple[Array, ...]) -> Proposal:
    """The proposal as decided: durations, inputs, starts and times are numbers.

    Levels of controls stand in the inputs of their phases, a decided parameter in `fixed` of every phase. A phase that
    ends by a condition keeps it.
    """
    proposal, cells = prospect.proposal, prospect.cells(course.w)
    kinds = {n.name: n.kind for n in prospect.assembled.numbers}
    numbers = {name: float(value) for name, value in prospect.values(course).items() if name not in prospect.unknown}
    starts = {name: value for name, value in numbers.items() if kinds[name] == State.kind}
    fixed = {name: value for name, value in numbers.items() if kinds[name] != State.kind}
    phases, clock = [], 0.0
    for phase, placement, cell in zip(proposal.recipe, prospect.assembled.runs[0], prospect.durations, strict=True):
        duration = float(cells[cell])
        inputs = _inputs(prospect, placement, cells, clock, duration)
        length = phase.duration
        if isinstance(length, Free | SameAs) and phase.until is None:
            length = duration
        phases.append(_phase(phase, length, inputs, fixed))
        clock += duration
    decided = {str(name) for name in proposal.free}
    return replace(
        proposal,
        recipe=Recipe(*phases),
        inputs={name: value for name, value in proposal.inputs.items() if str(name) not in decided},
        start={**proposal.start, **starts},
        free={},
        times=_times(prospect, times),
        subject_to=proposal.subject_to,
    )


def _phase(phase: Phase, duration: Any, inputs: Mapping[str, Any], fixed: Mapping[str, float]) -> Phase:
    return replace(phase, duration=duration, inputs={**phase.inputs, **inputs}, fixed={**fixed, **phase.fixed})


def _inputs(prospect: Prospect, placement: Placement, cells: Array, clock: float, duration: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    shapes = prospect.shapes(placement, cells)
    for variable, source in zip(placement.operation.lowered.dae.inputs, placement.operation.inputs, strict=True):
        if isinstance(source, Decided):
            profile, values = shapes[variable.name]
            found[variable.name] = _given(source, profile.edges, values, clock, duration)
    return found


def _given(source: Decided, edges: Array, values: Array, clock: float, duration: float) -> Any:
    """Pieces with values; where they are of unequal length, a Series or lines in the recipe's time."""
    import pandas as pd

    linear = isinstance(source.pieces, PiecewiseLinear)
    if np.allclose(np.diff(edges), 1.0 / (len(edges) - 1), rtol=1e-9):
        shape = PiecewiseLinear if linear else PiecewiseConstant
        return shape(values=[float(v) for v in values])
    if linear:
        return Interpolated(pd.Series(values, index=clock + duration * edges))
    return pd.Series(values, index=clock + duration * edges[:-1])


def _times(prospect: Prospect, times: tuple[Array, ...]) -> Any:
    """The times of all groups: a list where there is one group."""
    if len(prospect.groups) == 1:
        return np.sort(times[0])
    return {name: np.sort(own) for group, own in zip(prospect.groups, times, strict=True) for name in group.names}
