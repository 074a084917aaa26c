"""Do given inputs keep to the bounds of their controls, and if not, when first?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from titer.flowsheets.declarations import Control
from titer.flowsheets.diagnosis.examined import Examined, measured
from titer.flowsheets.diagnosis.findings import Finding, Severity
from titer.flowsheets.operation import Decided, Operation
from titer.flowsheets.shapes import given_shape
from titer.numerics.errors import TiterError

Array = np.ndarray


def inputs_out_of_bounds(examined: Examined) -> Iterator[Finding]:
    """Controls that are given or fixed outside their bounds, a finding each: where first, and how far."""
    clock = 0.0
    said: set[str] = set()
    for k, operation in enumerate(examined.planned):
        length = examined.run[k].trajectory.duration if k < len(examined.run) else operation.duration.guess
        for name, times, values in _given(examined, k, operation, clock, length):
            scalar = examined.plant.scalars.get(name)
            if scalar is None or scalar.kind != Control.kind or name in said:
                continue
            out = np.flatnonzero((values < scalar.lower - 1e-9) | (values > scalar.upper + 1e-9))
            if len(out):
                said.add(name)
                value, when = float(values[out[0]]), float(times[out[0]])
                bounds = f"[{scalar.lower:g}, {scalar.upper:g}] {scalar.measure.label}"
                text = f"{name} is given as {measured(value, scalar.measure)}, outside its bounds {bounds}"
                where = f"first at t = {when:.4g} {examined.plant.time} in phase {operation.name!r}"
                mend = "Correct the trajectory, or the bounds of the control."
                yield Finding(Severity.WARNING, name, f"{text}, {where}", mend)
        clock += length


def _given(
    examined: Examined, k: int, operation: Operation, clock: float, length: float
) -> Iterator[tuple[str, Array, Array]]:
    """Names, times and values of the inputs that are given in a phase."""
    for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
        if isinstance(source, Decided):
            continue
        try:
            profile, numbers = given_shape(source, variable.name, clock, length, operation, length)
        except TiterError:
            continue
        edges, values = profile.edges, np.asarray(numbers, dtype=float)
        left, right = values[profile.left], values[profile.right]
        at = clock + length * np.column_stack([edges[:-1], edges[1:]]).ravel()
        yield variable.name, at, np.column_stack([left, right]).ravel()
    if k < len(examined.run):
        phase = examined.run[k]
        driven = set(phase.outputs) & {n for n, s in examined.plant.scalars.items() if s.kind == Control.kind}
        for name in sorted(driven):
            yield name, phase.trajectory.time, phase.value(name)
