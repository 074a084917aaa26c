"""What does a program know at a sample? Where the plant stands, what is applied, and what is to come: its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile

import numpy as np

from titer.control.nmpc.cells import Given
from titer.control.nmpc.posing import Wanted
from titer.control.nmpc.program import Program
from titer.control.nmpc.timetable import SAME, SHORTEST
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
    pace = _pace(program, wanted, standing)
    _last_as_they_do(program, standing, pace, data)
    at, which = cells.states
    data[at] = standing.x[which]
    at, times = cells.clocks
    data[at] = standing.time + pace.moved(times)
    data[cells.before] = standing.applied
    for target in cells.targets:
        values = means(
            standing.given[target.name], *(standing.time + pace.moved(t) for t in (target.begins, target.ends))
        )
        if target.as_measured and standing.estimated:
            values = values - standing.estimated.get(bias_of(target.name), 0.0)
        data[target.cells] = values
    for given in cells.given:
        data[given.at] = _values(program, wanted, standing, given, pace)
    for name, places in cells.totals.items():
        data[places] = standing.totals.get(name, 0.0)
    for name, number in standing.estimated.items():
        if name in cells.parameters:
            data[cells.parameters[name]] = number
    for name, places in cells.rates.items():
        data[places] = standing.estimated.get(rate_of(name), 0.0)
    return data


@dataclass(frozen=True)
class _Pace:
    """How the running phase is `left` to last, where it was `planned` to last otherwise (a sample came late or early):
    its intervals are that much shorter or longer, so that it ends where it ends."""

    planned: float = 0.0
    left: float = 0.0

    def moved(self, times: Array) -> Array:
        """Times on the horizon from those as planned."""
        if self.left == self.planned:
            return times
        return np.where(times < self.planned, times * (self.left / self.planned), times + (self.left - self.planned))


def _pace(program: Program, wanted: Wanted, standing: Standing) -> _Pace:
    table, k = wanted.table, standing.phase
    own = [part for part in program.parts.parts if part.phase == k]
    goes_on = table.steps is not None and k == len(table.names) - 1
    if table.is_open(k) or goes_on or not own or not own[-1].ends:
        return _Pace()
    planned = sum(part.duration for part in own)
    left = standing.entered + table.durations[k].guess - standing.time
    if abs(left - planned) <= SAME * table.every:
        return _Pace()
    return _Pace(planned, max(left, SHORTEST * table.every))


def _last_as_they_do(program: Program, standing: Standing, pace: _Pace, data: Array) -> None:
    if pace.left == pace.planned:
        return
    for spans in program.reading.spans:
        for part, span in zip(program.parts.parts, spans, strict=True):
            if part.phase == standing.phase and span >= program.nlp.columns:
                data[span - program.nlp.columns] = part.duration * (pace.left / pace.planned)


def _values(program: Program, wanted: Wanted, standing: Standing, given: Given, pace: _Pace) -> Array:
    """The means of a given trajectory over the intervals in which its values hold."""
    begins, ends = (standing.time + pace.moved(given.clock + t) for t in (given.begins, given.ends))
    if given.name in standing.given:
        return means(standing.given[given.name], begins, ends)
    operation = wanted.planned[given.phase]
    names = [v.name for v in operation.lowered.dae.inputs]
    source = operation.inputs[names.index(given.name)]
    if isinstance(source, Signal):
        return means(source, begins, ends)
    assert isinstance(source, Pieces)
    duration = wanted.table.durations[given.phase].guess
    entered = standing.entered
    if given.phase != standing.phase:
        before = (part.duration for part in takewhile(lambda part: part.phase != given.phase, program.parts.parts))
        entered = standing.time + float(pace.moved(np.array(sum(before))))
    edges = source.edges(duration, not wanted.table.is_open(given.phase)) * duration
    values = np.asarray(source.values, dtype=float)
    right = values[1:] if source.linear else values
    signal = Signal(edges[:-1], values[: len(edges) - 1], right)
    return means(signal, begins - entered, ends - entered)


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
