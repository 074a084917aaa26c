"""What are terms worth on a trajectory? Values, integrals, and by how much limits are missed, phase by phase."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from titer.flowsheets.problems.problem import PhaseTerms, Placed
from titer.flowsheets.simulation import parameters_of
from titer.numerics.integration.trajectory import Trajectory
from titer.numerics.solution import PhaseResult

Array = np.ndarray


@dataclass(frozen=True)
class Reading:
    """A term on a run: its value (of a path with limits: where they are missed most, or nearly), and by how much its
    limits are missed, in its unit; negative: the room that is left, NaN: the term is no number somewhere."""

    value: float
    missed: float = -np.inf

    def worse(self, other: Reading | None) -> Reading:
        return self if other is None or np.isnan(self.missed) or self.missed > other.missed else other


def readings(
    terms: Sequence[PhaseTerms], results: Sequence[PhaseResult], values: Mapping[str, float]
) -> dict[int, Reading]:
    """Readings of all terms of a run, by the identity of the term. `values`: of the parameters."""
    found: dict[int, Reading] = {}
    for placed, reading in _each(terms, results, values):
        found[id(placed.term)] = reading.worse(found.get(id(placed.term)))
    return found


def cost_of(terms: Sequence[PhaseTerms], results: Sequence[PhaseResult], values: Mapping[str, float]) -> float:
    """The minimized objective of a run, but for what it costs over data."""
    total = 0.0
    for phase, result in zip(terms, results, strict=True):
        t, p = result.trajectory, parameters_of(phase.operation, values, result.held)
        for placed, at in [(x, 0) for x in phase.at_start] + [(x, -1) for x in phase.at_end]:
            total += placed.weight * float(values_along(placed, t, p)[at]) if placed.weight else 0.0
        for placed in phase.integrals:
            total += placed.weight * integral(values_along(placed, t, p), t.time)
    return total


def values_along(placed: Placed, t: Trajectory, p: Array) -> Array:
    """Values (points,) of a term along a trajectory."""
    n = len(t.time)
    rows = placed.function.map(n)(t.time[None, :], t.x, t.z, t.u, np.repeat(p[:, None], n, axis=1))
    return np.array(rows).ravel()


def integral(values: Array, time: Array) -> float:
    """Simpson's rule on every stretch between jumps (times that stand twice)."""
    from scipy.integrate import simpson  # slow to import, and seldom wanted

    cuts = np.flatnonzero(np.diff(time) <= 0.0) + 1
    stretches = zip(np.split(values, cuts), np.split(time, cuts), strict=True)
    return sum(float(simpson(v, x=t)) for v, t in stretches if len(t) > 1)


def _each(
    terms: Sequence[PhaseTerms], results: Sequence[PhaseResult], values: Mapping[str, float]
) -> Iterator[tuple[Placed, Reading]]:
    totals: dict[int, float] = {}
    last = {id(total.term): phase for phase in terms for total in (*phase.totals, *phase.integrals)}
    for phase, result in zip(terms, results, strict=True):
        t, p = result.trajectory, parameters_of(phase.operation, values, result.held)
        for placed in phase.paths:
            yield placed, _worst(placed, values_along(placed, t, p))
        for placed, at in [(x, 0) for x in phase.at_start] + [(x, -1) for x in phase.at_end]:
            yield placed, _worst(placed, values_along(placed, t, p)[[at]])
        for placed in (*phase.totals, *phase.integrals):
            key = id(placed.term)
            totals[key] = totals.get(key, 0.0) + integral(values_along(placed, t, p), t.time)
            if last[key] is phase:
                yield placed, _worst(placed, np.array([totals[key]]))


def _worst(placed: Placed, values: Array) -> Reading:
    missed = np.maximum(placed.lower - values, values - placed.upper)
    at = int(np.argmax(missed))
    return Reading(float(values[at]), float(missed[at]))
