"""Which phase runs when, and what flows into it? A recipe's clock, with the inputs that are given and those applied."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.given import check_inputs
from titer.flowsheets.operation import Decided, Operation
from titer.flowsheets.shapes import Shape, given_shape
from titer.flowsheets.signals import Signal, finite
from titer.numerics.dae import Array
from titer.numerics.errors import SpecificationError, unknown

Applied = Mapping[str, tuple[float, float]]  # by input: its values at both ends of an interval
_SAME = 1e-9  # of the recipe's length: times closer than that are one
_SHORT = 1e-9  # a phase that is switched off has shapes of this length


@dataclass(frozen=True, eq=False)
class Stretch:
    """A part of one phase on which inputs are straight lines; `begins`: what the phase sets is set before it."""

    phase: int
    start: float
    length: float
    left: Array
    right: Array
    begins: bool


@dataclass(frozen=True, eq=False)
class Timeline:
    """Phases on the recipe's clock: `ends` (phases + 1,) from 0; `shapes`: inputs by phase, in the model's order.

    `manipulated`: inputs that have no trajectory of their own, with the value they are tried at. `open`: inputs that
    may be applied anew, those that the phase itself does not fix; `kinks`: times at which a given input jumps or bends.
    """

    operations: tuple[Operation, ...]
    ends: Array
    shapes: tuple[tuple[Shape, ...], ...]
    manipulated: Mapping[str, float]
    open: tuple[tuple[bool, ...], ...]
    kinks: tuple[Array, ...]

    @cached_property
    def resolution(self) -> float:
        """Times closer than this are one."""
        return float(_SAME * self.ends[-1])

    def phase_at(self, t: float) -> int:
        """The phase that runs up to a time: at the end of a phase that phase, not the next."""
        return min(bisect_left(self._stops, t - self.resolution), len(self.operations) - 1)

    @cached_property
    def _stops(self) -> list[float]:
        return [float(end) for end in self.ends[1:]]

    def inputs_at(self, k: int, t: float, applied: Applied) -> Array:
        """Inputs of phase k up to a time in it; those applied at the end of their interval."""
        return np.array([self._end(k, i, t, applied) for i in range(len(self.shapes[k]))])

    def _end(self, k: int, i: int, t: float, applied: Applied) -> float:
        name = self.operations[k].lowered.dae.inputs[i].name
        if name in applied and self.open[k][i]:
            return applied[name][1]
        return self.given(k, i, t - self.resolution, t)[1]

    def given(self, k: int, i: int, a: float, b: float) -> tuple[float, float]:
        """An input with a trajectory, at both ends of a stretch without a kink."""
        profile, values = self.shapes[k][i]
        if len(values) == 1:
            return float(values[0]), float(values[0])
        length = max(self.ends[k + 1] - self.ends[k], self.resolution)
        share = np.clip((np.array([a, 0.5 * (a + b), b]) - self.ends[k]) / length, 0.0, 1.0)
        at = profile.at(values, share, np.repeat(profile.piece_of(share[1:2]), 3))
        return float(at[0]), float(at[2])


def timeline_of(
    plant: Flowsheet, operations: Sequence[Operation], durations: Mapping[str, Any], manipulated: Sequence[str]
) -> Timeline:
    """Phases as long as planned: `durations` by name, else their guess. Raises SpecificationError."""
    names = [operation.name for operation in operations]
    for name in durations:
        if name not in names:
            raise SpecificationError(f"durations: {unknown('phase', name, names)}")
    lengths = [_length(plant, operation, durations) for operation in operations]
    ends = np.concatenate([[0.0], np.cumsum(lengths)])
    shapes = tuple(
        tuple(
            given_shape(source, v.name, float(start), max(length, _SHORT), operation, max(length, _SHORT))
            for v, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True)
        )
        for operation, start, length in zip(operations, ends[:-1], lengths, strict=True)
    )
    kinks = tuple(
        np.unique(np.concatenate([np.zeros(0), *(start + length * profile.kinks(values) for profile, values in group)]))
        for group, start, length in zip(shapes, ends[:-1], lengths, strict=True)
    )
    return Timeline(tuple(operations), ends, shapes, _tried(operations, manipulated), _open(operations), kinks)


def with_durations(timeline: Timeline, plant: Flowsheet, durations: Mapping[str, Any]) -> Timeline:
    """The same phases with other durations; those not named stay. Raises SpecificationError."""
    lengths = {o.name: float(d) for o, d in zip(timeline.operations, np.diff(timeline.ends), strict=True)}
    other = timeline_of(plant, timeline.operations, {**lengths, **durations}, ())
    return replace(other, manipulated=timeline.manipulated)


def stretches(timeline: Timeline, applied: Applied, t0: float, t1: float) -> list[Stretch]:
    """What happens between two times, in order. The last phase goes on beyond its planned end.

    A phase that begins at t1 begins with the next interval.
    """
    near, ends = timeline.resolution, [*timeline.ends.tolist()[:-1], np.inf]
    found: list[Stretch] = []
    for k in range(len(timeline.operations)):
        if ends[k + 1] <= t0 + near and ends[k] < t0 - near:  # one that is over; one without length may begin here
            continue
        if ends[k] >= t1 - near:
            break
        start, stop = max(t0, ends[k]), min(t1, ends[k + 1])
        begins = k > 0 and abs(start - ends[k]) <= near
        found += _cut(timeline, applied, (t0, t1), k, (start, stop), begins)
    return found


def parts(stretch: Stretch, count: int) -> list[Stretch]:
    """A stretch in equal parts."""
    length, change = stretch.length / count, (stretch.right - stretch.left) / count
    return [
        replace(
            stretch,
            start=stretch.start + k * length,
            length=length,
            left=stretch.left + k * change,
            right=stretch.left + (k + 1) * change,
        )
        for k in range(count)
    ]


def applied_of(plant: Flowsheet, timeline: Timeline, applied: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """What was applied, in the plant's units: numbers, or pairs for straight lines. Raises SpecificationError."""
    if not isinstance(applied, Mapping):
        raise SpecificationError(f"applied is a dict {{control: value held since the last sample}}, got {applied!r}.")
    single = {name: value for name, value in applied.items() if not isinstance(value, tuple)}
    flat: dict[str, Any] = by_element(single, "applied") | {
        str(name): value for name, value in applied.items() if isinstance(value, tuple)
    }
    check_inputs(plant, flat, "applied")
    found: dict[str, tuple[float, float]] = {}
    for name, value in flat.items():
        pair = value if isinstance(value, tuple) else (value, value)
        if len(pair) != 2:
            raise SpecificationError(f"applied: {name} needs a value, or a pair (from, to), got {value!r}.")
        left, right = (finite(each, plant.measures[name], f"applied: {name}") for each in pair)
        found[name] = (left, right)
    for name in timeline.manipulated:
        if name not in found:
            raise SpecificationError(
                f"applied: nothing is said of {name}, which is manipulated.\n"
                f"  Give applied={{{name}: the value that was held since the last sample}}."
            )
    return found


def _cut(
    timeline: Timeline, applied: Applied, interval: tuple[float, float], k: int, span: tuple[float, float], begins: bool
) -> list[Stretch]:
    """A span of one phase, cut where an input that is given jumps or bends."""
    near = timeline.resolution
    inside = [t for t in timeline.kinks[k].tolist() if span[0] + near < t < span[1] - near]
    found = []
    for a, b in pairwise([span[0], *inside, max(span)]):
        left, right = _inputs(timeline, applied, interval, k, a, b)
        found.append(Stretch(k, a, b - a, left, right, begins and a == span[0]))
    return found


def _inputs(
    timeline: Timeline, applied: Applied, interval: tuple[float, float], k: int, a: float, b: float
) -> tuple[Array, Array]:
    """Inputs of a phase at both ends of a stretch."""
    width = max(interval[1] - interval[0], timeline.resolution)
    ends = []
    for i, variable in enumerate(timeline.operations[k].lowered.dae.inputs):
        if variable.name in applied and timeline.open[k][i]:
            left, right = applied[variable.name]
            ends.append(tuple(left + (right - left) * (t - interval[0]) / width for t in (a, b)))
        else:
            ends.append(timeline.given(k, i, a, b))
    pairs = np.array(ends, dtype=float).reshape(len(ends), 2)
    return pairs[:, 0], pairs[:, 1]


def _length(plant: Flowsheet, operation: Operation, durations: Mapping[str, Any]) -> float:
    what = f"durations: phase {operation.name!r}"
    if operation.name in durations:
        length = finite(durations[operation.name], plant.measure_of_time, what)
        if length < 0.0:
            raise SpecificationError(f"{what} must last at least 0, got {length:g} {plant.time}.")
        return length
    if operation.event is not None:
        raise SpecificationError(
            f"{what} ends by a condition, and an estimator needs the time planned for it.\n"
            f"  Give durations={{{operation.name!r}: ...}}, as simulate(...).duration or a plan's duration has it."
        )
    return float(operation.duration.guess)


def _open(operations: Sequence[Operation]) -> tuple[tuple[bool, ...], ...]:
    """Which inputs of each phase it does not fix itself."""
    fixed = [by_element(operation.phase.fixed, "fixed") for operation in operations]
    return tuple(
        tuple(variable.name not in names for variable in operation.lowered.dae.inputs)
        for operation, names in zip(operations, fixed, strict=True)
    )


def _tried(operations: Sequence[Operation], manipulated: Sequence[str]) -> dict[str, float]:
    """The value that each manipulated input is tried at."""
    found: dict[str, float] = {}
    for operation in operations:
        for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
            if isinstance(source, Decided) and variable.name in manipulated:
                guess = source.guess.left if isinstance(source.guess, Signal) else source.guess
                found[variable.name] = float(np.mean(guess))
    return found
