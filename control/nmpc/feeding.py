"""What does a program know at a sample? Where the plant stands, what is applied, and what is to come: its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from titer.control.nmpc.posing import Wanted
from titer.control.nmpc.program import Given, Program
from titer.flowsheets.profiles import Pieces
from titer.flowsheets.signals import Signal
from titer.numerics.dae import Array


@dataclass(frozen=True, eq=False)
class Standing:
    """Where the plant stands when a plan begins: `time`, in phase `phase`, which `entered` then.

    `states`, `parameters`, `totals` (integrals so far): by name; `applied`: inputs in force; `given`: trajectories of
    other inputs that were told since, on the recipe's clock.
    """

    time: float
    phase: int
    entered: float
    states: Mapping[str, float]
    applied: Mapping[str, float]
    parameters: Mapping[str, float] = field(default_factory=dict)
    totals: Mapping[str, float] = field(default_factory=dict)
    given: Mapping[str, Signal] = field(default_factory=dict)


def data_of(program: Program, wanted: Wanted, standing: Standing) -> Array:
    """The data of a program at a sample."""
    nlp, cells = program.nlp, program.cells
    data, n = nlp.data.copy(), nlp.columns
    for group, values in ((cells.starts, standing.states), (cells.parameters, standing.parameters)):
        for name, places in group.items():
            if name in values:
                data[places - n] = values[name]
    for name, places in cells.totals.items():
        data[places - n] = standing.totals.get(name, 0.0)
    at, times = cells.clocks
    data[at - n] = standing.time + times
    for name, cell in cells.before.items():
        if name in standing.applied:
            data[cell - n] = standing.applied[name]
    for given in cells.given:
        data[given.cells - n] = _values(wanted, standing, given)
    return data


def _values(wanted: Wanted, standing: Standing, given: Given) -> Array:
    """The means of a given trajectory over the intervals in which its values hold."""
    if given.name.startswith("rate("):
        return np.full(len(given.cells), standing.parameters.get(given.name, 0.0))
    start = standing.time + given.clock
    if given.name in standing.given:
        return means(standing.given[given.name], start + given.begins, start + given.ends)
    operation = wanted.planned[given.phase]
    names = [v.name for v in operation.lowered.dae.inputs]
    source = operation.inputs[names.index(given.name)]
    if isinstance(source, Signal):
        return means(source, start + given.begins, start + given.ends)
    assert isinstance(source, Pieces)
    duration = wanted.table.durations[given.phase].guess
    gone = start - standing.entered if given.phase == standing.phase else 0.0
    edges = source.edges(duration, not wanted.table.is_open(given.phase)) * duration
    values = np.asarray(source.values, dtype=float)
    right = values[1:] if source.linear else values
    signal = Signal(edges[:-1], values[: len(edges) - 1], right)
    return means(signal, gone + given.begins, gone + given.ends)


def means(signal: Signal, begins: Array, ends: Array) -> Array:
    """Means of a trajectory of straight lines over stretches of time; its first value holds before, its last after."""
    if signal.is_constant:
        return np.full(len(begins), float(signal.left[0]))
    a, b = _integral(signal, begins), _integral(signal, ends)
    return (b - a) / np.maximum(ends - begins, 1e-300)


def _integral(signal: Signal, times: Array) -> Array:
    """The integral from the first time of a trajectory."""
    t = signal.times
    widths = np.diff(t)
    areas = np.concatenate([[0.0], np.cumsum(0.5 * widths * (signal.left[:-1] + signal.right[:-1]))])
    k = np.clip(np.searchsorted(t, times, side="right") - 1, 0, len(t) - 1)
    into = times - t[k]
    slope = np.zeros(len(t))
    slope[:-1] = (signal.right[:-1] - signal.left[:-1]) / np.where(widths > 0.0, widths, 1.0)
    inside = np.where(into > 0.0, into, 0.0)
    return areas[k] + signal.left[k] * into + 0.5 * slope[k] * inside**2
