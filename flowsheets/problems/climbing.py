"""How is a transcribed problem solved from one start? Domains relaxed, then widened or tightened as they are needed."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from titer.numerics.nlp import Array, Nlp
from titer.numerics.program import Scaling
from titer.numerics.solvers import Engine, Fatrop, Ipopt, Manner, Outcome, Status

RELAXATION = 1e-4  # of a variable's nominal size, by which physical domains are left free at first
WIDER = 1e-2  # where one binds, to see whether it is a limit or an element's undershoot
TIGHTER = (1e-6, 1e-8)
_PULL = 1e-3  # scaled multiplier from which a domain is said to bind
_UNCHANGED = 1e-6  # relative change of an objective that is called none


@dataclass(frozen=True, eq=False)
class Reached:
    """Where a start ended.

    `relaxation`, `left`: by how much domains were relaxed and left, as fractions of nominal sizes. `binding`: domains
    that hold the decisions. `steps`: what was done, in how many seconds, with what result.
    """

    outcome: Outcome
    relaxation: float
    left: float
    binding: tuple[str, ...]
    steps: tuple[tuple[str, float, str], ...]


def climb(engine: Engine, w: Array, scaling: Scaling) -> Reached:
    """Solve with relaxed domains, then with wider ones where they bind, then with tighter ones where they were left."""
    ascent = _Ascent(engine, scaling)
    outcome = ascent.solve("NLP", w, RELAXATION)
    if _worth_another_try(outcome, engine.solver):
        outcome = ascent.solve("NLP, adaptive barrier", w, RELAXATION, Manner.FAR)
    reached = ascent.reached(outcome, RELAXATION)
    if outcome.status in (Status.TIME, Status.INTERRUPTED):
        return reached
    if reached.binding or not outcome.status.ok:
        # A domain is no limit: an element that a depletion crosses undershoots, and its bound then holds the decisions.
        wider = ascent.again(reached, WIDER)
        if wider.outcome.status.ok and not wider.binding:
            return wider
        if not outcome.status.ok:
            return ascent.reached(outcome, RELAXATION)
    for tighter in TIGHTER:
        if reached.left <= TIGHTER[-1]:
            break
        again = ascent.again(reached, tighter)
        change = abs(again.outcome.objective - outcome.objective) / max(1e-12, abs(outcome.objective))
        if not again.outcome.status.ok or (change > _UNCHANGED and not reached.binding):
            break  # tighter domains would hold the decisions, not the states
        reached = again
    return ascent.reached(reached.outcome, reached.relaxation)


class _Ascent:
    """Solves one after another from one start, with a word on each."""

    def __init__(self, engine: Engine, scaling: Scaling):
        self.engine, self.scaling = engine, scaling
        self.steps: list[tuple[str, float, str]] = []

    def solve(self, name: str, w: Array, relaxation: float, manner: Manner = Manner.NEAR) -> Outcome:
        began = time.perf_counter()
        limits = relaxed(self.engine.nlp, self.scaling.columns, relaxation)
        outcome = self.engine.solve(w, self.scaling, *limits, manner=manner)
        said = f"{outcome.status.value}; {outcome.iterations} iterations, violation {outcome.violation:.0e}"
        self.steps.append((name, time.perf_counter() - began, said))
        return outcome

    def again(self, reached: Reached, relaxation: float) -> Reached:
        return self.reached(self.solve(f"domains to {relaxation:.0e}", reached.outcome.w, relaxation), relaxation)

    def reached(self, outcome: Outcome, relaxation: float) -> Reached:
        nlp, scaling = self.engine.nlp, self.scaling
        beyond = np.maximum(nlp.lower - outcome.w, outcome.w - nlp.upper) / scaling.columns
        left = float(np.max(np.where(nlp.domain, beyond, 0.0), initial=0.0))
        pull = np.abs(outcome.bound_multipliers) * scaling.columns * scaling.objective
        binding = np.flatnonzero(nlp.domain & (pull > _PULL))
        names = tuple(nlp.column_name(int(i)) for i in binding[:3])
        return Reached(outcome, relaxation, left, names, tuple(self.steps))


def _worth_another_try(outcome: Outcome, solver: Ipopt | Fatrop) -> bool:
    """Whether IPOPT failed for a reason that a larger barrier may mend, not for want of time or iterations."""
    if outcome.status.ok or not isinstance(solver, Ipopt):
        return False
    if outcome.status is Status.ITERATIONS:
        return outcome.iterations < solver.iterations
    return outcome.status not in (Status.TIME, Status.INTERRUPTED)


def relaxed(nlp: Nlp, sizes: Array, relaxation: float) -> tuple[Array, Array]:
    """Bounds of the columns, with physical domains relaxed by a fraction of the nominal size."""
    slack = np.where(nlp.domain, relaxation * sizes, 0.0)
    return nlp.lower - slack, nlp.upper + slack
