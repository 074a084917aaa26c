"""How was a batch operated? The recipe with the inputs as they were, departures and all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.analysis.networks.graph import Address
from titer.analysis.processes.departing import departure_of
from titer.analysis.processes.process import Process
from titer.estimation.estimators.timeline import stretches
from titer.flowsheets.flowsheet import by_element
from titer.flowsheets.recipe import Phase, Recipe

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
Line = tuple[float, float, float, float]  # from, to, and the values there


def recipe_as_run(process: Process, recipe: Recipe, known: Mapping[Address, float]) -> Recipe:
    """The recipe of a batch, with durations as they were and the inputs that departed given phase by phase.

    `known`: the batch's nodes by address.
    """
    timeline = process.model.timeline
    entries = {departure_of(name): name for name in _departed(process)}
    phases = []
    for k, phase in enumerate(recipe):
        there = [v.name for v in timeline.operations[k].lowered.dae.inputs]
        own = {
            name: _given(_lines(process, known, k, there.index(name), entry))
            for entry, name in entries.items()
            if name in there
        }
        fixed = {name: value for name, value in by_element(phase.fixed, "fixed").items() if name not in own}
        length = float(timeline.ends[k + 1] - timeline.ends[k])
        phases.append(_with(phase, {**by_element(phase.inputs, "inputs"), **own}, fixed, length))
    return Recipe(*phases)


def _departed(process: Process) -> list[str]:
    names = process.model.entries.names
    inputs = (s.node.name for s in process.sources if names[s.entry] == departure_of(s.node.name))
    return list(dict.fromkeys(inputs))


def _with(phase: Phase, inputs: Mapping[str, Any], fixed: Mapping[str, Any], length: float) -> Phase:
    return replace(phase, inputs=inputs, fixed=fixed, duration=length, until=None)


def _lines(process: Process, known: Mapping[Address, float], k: int, place: int, entry: str) -> list[Line]:
    """An input over a phase in straight lines."""
    e = process.model.entries.index[entry]
    lines: list[Line] = []
    for span, (t0, t1) in enumerate(pairwise(process.stages)):
        off, relative = 0.0, process.relative[entry]
        for source in process.sources:
            if source.entry == e and span in source.spans:
                off = (known[source.node.address] - source.mean) / source.scale
        for stretch in stretches(process.model.timeline, {}, t0, t1):
            if stretch.phase == k and stretch.length > 0.0:
                left, right = (
                    float(u[place] * (1.0 + off) if relative else u[place] + off) for u in (stretch.left, stretch.right)
                )
                lines.append((stretch.start, stretch.start + stretch.length, left, right))
    return lines


def _given(lines: list[Line]) -> pd.Series | Any:
    """Lines as an input: a Series where they are steps, else a function of time, whose ramps are met exactly."""
    import pandas as pd

    if all(left == right for _, _, left, right in lines):
        return pd.Series([line[2] for line in lines], index=[line[0] for line in lines])
    starts = np.array([line[0] for line in lines])

    def at(t: float) -> float:
        a, b, left, right = lines[max(int(np.searchsorted(starts, float(t), side="right")) - 1, 0)]
        return left + (right - left) * min((float(t) - a) / (b - a), 1.0)

    return at
