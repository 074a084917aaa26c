"""Which states of shot phases leave their physical domains? They follow from the decisions, and no solver holds them.

A limit for every state at every interval would be dear, and of most states idle: a model that keeps its domain needs
none. So a problem is solved without, looked at all along, and where whole quantities (a volume, a concentration in a
vessel) left their domains it is solved again with these as limits. Profiles along a column undershoot by what their
grid is coarse: they are left as they are, and said where it is more than a grid that was chosen well would do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from titer.flowsheets.problems.climbing import RELAXATION
from titer.flowsheets.problems.problem import Problem
from titer.flowsheets.problems.start import Started
from titer.flowsheets.terms import Path
from titer.numerics.dae import Variable

_PROFILE = 20  # elements of an array, above which it is a profile
_UNDERSHOOT = 1e-2  # of a size, by which grids of fronts may undershoot: what their choice allows
_ROUNDING = 1.01


class Crossing(NamedTuple):
    """A state outside of its domain: by how much of its size, when, and whether it is one of a profile."""

    state: Variable
    beyond: float
    time: float
    profile: bool

    def told(self, unit: str) -> str:
        """In words; `unit`: of time."""
        v = self.state
        mend = "use a finer grid" if self.profile else "use Shooting(intervals=) with more"
        return (
            f"{v.name} leaves its physical domain [{v.lower:g}, {v.upper:g}] {v.unit} by {self.beyond:.1e} of its size "
            f"at t = {self.time:.4g} {unit}; {mend}, or state a limit that is meant as a Path"
        )


def crossings(started: Started, r: int = 0) -> tuple[Crossing, ...]:
    """States of the shot phases of run `r` outside of their domains by more than is forgiven, the farthest first."""
    found: dict[str, Crossing] = {}
    for placement, phase in zip(started.assembled.runs[r], started.solutions[r].phases, strict=True):
        if placement.method is None:
            continue
        states = placement.operation.lowered.dae.states
        cells = started.assembled.nlp.cells[placement.block.name][placement.block.port("end").cells]
        counts = Counter(v.name.partition("[")[0] for v in states)
        for variable, cell, x in zip(states, cells, phase.trajectory.x, strict=False):  # totals follow
            beyond = np.nan_to_num(np.maximum(variable.lower - x, x - variable.upper), nan=0.0, posinf=0.0)
            if not beyond.max(initial=0.0) > 0.0 or cell >= started.assembled.nlp.columns:
                continue
            k, profile = int(beyond.argmax()), counts[variable.name.partition("[")[0]] > _PROFILE
            share = float(beyond[k] / started.scaling.columns[cell])
            least = _UNDERSHOOT if profile else _ROUNDING * RELAXATION
            if share > max(least, found[variable.name].beyond if variable.name in found else 0.0):
                found[variable.name] = Crossing(variable, share, float(phase.trajectory.time[k]), profile)
    return tuple(sorted(found.values(), key=lambda c: -c.beyond))


def held_inside(problem: Problem, states: Sequence[Variable]) -> Problem:
    """The problem with the domains of states as limits of every run."""
    inside = tuple(
        Path(lambda v, name=v.name: v[name], lower=_limit(v.lower), upper=_limit(v.upper), name=f"domain of {v.name}")  # type: ignore[misc]
        for v in states
    )
    return replace(problem, runs=tuple(replace(run, constraints=(*run.constraints, *inside)) for run in problem.runs))


def _limit(bound: float) -> float | None:
    return bound if np.isfinite(bound) else None
