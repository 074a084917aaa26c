"""To which phase does a sample belong? Each to exactly one: none is dropped, none counts twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from titer.flowsheets.operation import Operation
from titer.flowsheets.terms import AtTimes
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    from titer.flowsheets.problems.problem import Run

CLOSE = 1e-9  # fraction of a phase within which a time is its start or its end


def homes(term: AtTimes, planned: Sequence[Operation], where: Sequence[int], unit: str) -> dict[int, np.ndarray]:
    """The samples of a term, as indices by phase, in the phases `where` what it reads is active.

    A sample at the boundary of two phases belongs to the earlier one, where that is among them, else to the later one
    at its start. Raises SpecificationError for a sample in a phase whose time is free, or in none of `where`.
    """
    times = np.asarray(term.times, dtype=float)
    home = np.full(len(times), -1)
    clock = 0.0
    for k, operation in enumerate(planned):
        if operation.duration.free:
            break
        tau = (times - clock) / operation.duration.guess
        if k in where:
            home[(home < 0) & (tau >= -CLOSE) & (tau <= 1.0 + CLOSE)] = k
        clock += operation.duration.guess
    lost = np.flatnonzero(home < 0)
    if len(lost):
        time = float(times[lost[0]])
        if time > clock * (1.0 + CLOSE):
            raise SpecificationError(
                f"{term.label()}: data need fixed durations, the time of the phase at {time:g} {unit} is free.\n"
                f"  How long it lasted is known once it is measured: give duration=number, without until."
            )
        raise SpecificationError(
            f"{term.label()}: the sample at {time:g} {unit} lies in a phase in which what it reads is not active, "
            f"or to which the term does not belong.\n"
            f"  Drop the sample (NaN: not measured), or let the unit operation be active there."
        )
    return {k: np.flatnonzero(home == k) for k in where if np.any(home == k)}


def check_samples(run: Run, planned: Sequence[Operation]) -> None:
    """Data lie inside the recipe, where its length is known. Raises SpecificationError."""
    length = sum(operation.duration.upper for operation in planned)
    for _, term in run.objective.terms:
        if isinstance(term, AtTimes) and len(term.times):
            first, last = float(np.min(term.times)), float(np.max(term.times))
            if first < 0.0 or last > length * (1.0 + 1e-9):
                raise SpecificationError(
                    f"{term.label()}: a time of the data, {first if first < 0.0 else last:g}, lies outside the recipe, "
                    f"which runs from 0 to {length:g} {run.plant.time}."
                )
