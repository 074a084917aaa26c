"""What does a program know at a sample? Where the plant stands, what is applied, and what is to come: its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from titer.control.nmpc.cells import Given
from titer.control.nmpc.posing import Wanted
from titer.control.nmpc.program import Program
from titer.estimation.estimators.entries import bias_of, rate_of
from titer.flowsheets.profiles import Pieces
from titer.flowsheets.signals import Signal
from titer.numerics.dae import Array


@dataclass(frozen=True, eq=False)
class Standing:
    """Where the plant stands when a plan begins: `time`, in phase `phase`, which `entered` then.

    `x`: all states; `applied`: inputs in force; `estimated`: parameters, disturbances of rates and biases by name;
    `totals`: integrals so far; `given`: trajectories that were told, of inputs and set points, on the recipe's clock.
    """

    time: float
    phase: int
    entered: float
    x: Array
    applied: Array
    estimated: Mapping[str, float] = field(default_factory=dict)
    totals: Mapping[str, float] = field(default_factory=dict)
    given: Mapping[str, Signal] = field(default_factory=dict)


def data_of(program: Program, wanted: Wanted, standing: Standing) -> Array:
    """The data of a program at a sample."""
    cells, data = program.cells, program.nlp.data.copy()
    at, which = cells.states
    data[at] = standing.x[which]
    at, times = cells.clocks
    data[at] = standing.time + times
    data[cells.before] = standing.applied
    for target in cells.targets:
        values = means(standing.given[target.name], standing.time + target.begins, standing.time + target.ends)
        if target.as_measured and standing.estimated:
            values = values - standing.estimated.get(bias_of(target.name), 0.0)
        data[target.cells] = values
    for given in cells.given:
        data[given.at] = _values(wanted, standing, given)
    for name, places in cells.totals.items():
        data[places] = standing.totals.get(name, 0.0)
    for name, number in standing.estimated.items():
        if name in cells.parameters:
            data[cells.parameters[name]] = number
    for name, places in cells.rates.items():
        data[places] = standing.estimated.get(rate_of(name), 0.0)
    return data


def _values(wanted: Wanted, standing: Standing, given: Given) -> Array:
    """The means of a given trajectory over the intervals in which its values hold."""
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
