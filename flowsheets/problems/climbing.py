"""How is a transcribed problem solved from one start? Domains relaxed, then widened or tightened as they are needed.

What cannot be solved from its start is approached otherwise: with its inputs fixed and its limits elastic, then by the
least change of its limits, then with the limits that block it brought back step by step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from titer.flowsheets.problems.stages import Stage
from titer.numerics.explaining.attempt import Attempt
from titer.numerics.explaining.elastic import Relaxed, relax_limits
from titer.numerics.nlp import Array
from titer.numerics.program import Scaling
from titer.numerics.solvers import Engine, Fatrop, Ipopt, Manner, Outcome, Status

RELAXATION = 1e-4  # of a variable's nominal size, by which physical domains are left free at first
WIDER = 1e-2  # where one binds, to see whether it is a limit or an element's undershoot
TIGHTER = (1e-6, 1e-8)
_PULL = 1e-3  # scaled multiplier from which a domain is said to bind
_UNCHANGED = 1e-6  # relative change of an objective that is called none
_BACK = (0.5, 0.8, 1.0)  # shares of the way on which limits that block are brought back
_RESCUE = 0.2  # of the solver's time limit, that one attempt at feasible decisions may take
_LONG = 0.2  # seconds of a solve that is worth keeping
_LATE = "left out: the solver's seconds have passed"
Step = tuple[str, float, str]  # what was done, in how many seconds, with what result
Note = Callable[[Outcome, Sequence[Step]], None]


@dataclass(frozen=True, eq=False)
class Reached:
    """Where a start ended.

    `relaxation`, `left`: by how much domains were relaxed and left, as fractions of nominal sizes. `binding`: columns
    whose domains hold the decisions, the strongest first. `steps`: what was done, in how many seconds, with what
    result.
    """

    outcome: Outcome
    relaxation: float
    left: float
    binding: tuple[int, ...]
    steps: tuple[Step, ...]


def climb(
    engine: Engine,
    w: Array,
    scaling: Scaling,
    wishes: frozenset[str] = frozenset(),
    stages: Sequence[Stage] = (),
    note: Note | None = None,
) -> Reached:
    """Solve with relaxed domains, then with wider ones where they bind, then with tighter ones where they were left.

    `wishes`: names of rows that may give when feasible decisions are looked for. `stages`: programs on the way to this
    one, solved first. `note` is told of every solve that took its time, so that nothing of it is lost. Once the
    solver's seconds have passed, what failed is not tried in another way; Ctrl-C ends the climb where it is.
    """
    ascent = _Ascent(engine, scaling, note)
    w, stopped = ascent.through(stages, w)
    if stopped is not None:
        return ascent.reached(stopped, RELAXATION)
    outcome = ascent.solve("NLP", w, RELAXATION)
    if engine.shot is not None and outcome.status.ok:
        return ascent.reached(outcome, RELAXATION)
    if engine.shot is None and _worth_another_try(outcome, engine.solver) and not ascent.late():
        outcome = ascent.solve("NLP, adaptive barrier", w, RELAXATION, Manner.FAR)
    reached = ascent.reached(outcome, RELAXATION)
    if outcome.status in (Status.TIME, Status.INTERRUPTED, Status.DIVERGED):
        return reached
    if not outcome.status.ok and ascent.late():
        return ascent.reached(outcome, RELAXATION)
    if engine.shot is not None:  # there are no domains to widen
        return ascent.reached(_rescued(ascent, outcome, outcome.status, w, wishes), RELAXATION)
    if reached.binding or not outcome.status.ok:
        # A domain is no limit: an element that a depletion crosses undershoots, and its bound then holds the decisions.
        wider = ascent.again(reached, WIDER)
        if wider.outcome.status.ok and not wider.binding:
            return wider
        if not outcome.status.ok:
            outcome = _rescued(ascent, outcome, wider.outcome.status, w, wishes)
        if not outcome.status.ok:
            return ascent.reached(outcome, RELAXATION)
        reached = ascent.reached(outcome, RELAXATION)
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

    def __init__(self, engine: Engine, scaling: Scaling, note: Note | None):
        self.engine, self.scaling, self.note = engine, scaling, note
        self.steps: list[Step] = []
        self.end = time.perf_counter() + getattr(engine.solver, "seconds", np.inf)

    def late(self) -> bool:
        """Whether the time is up in which something else may be tried; said once."""
        if time.perf_counter() < self.end:
            return False
        if not self.steps or self.steps[-1][2] != _LATE:
            self.steps.append(("other ways", 0.0, _LATE))
        return True

    def solve(self, name: str, w: Array, relaxation: float, manner: Manner = Manner.NEAR) -> Outcome:
        limits = self.engine.nlp.relaxed(self.scaling.columns, relaxation)
        return self._noted(name, lambda: self.engine.solve(w, self.scaling, *limits, manner=manner))

    def through(self, stages: Sequence[Stage], w: Array) -> tuple[Array, Outcome | None]:
        """The decisions at the end of a path of programs; where one is not solved the next is tried from before it.

        The outcome that Ctrl-C left, if it came.
        """
        manners = (Manner.NEAR, Manner.FAR) if isinstance(self.engine.solver, Ipopt) else (Manner.NEAR,)
        for stage in stages:
            for manner in manners:
                if self.steps and self.late():
                    return w, None
                outcome = self._on_the_way(stage, w, manner)
                if outcome.status is Status.INTERRUPTED:
                    return w, outcome
                if outcome.status.ok:
                    w = outcome.w
                    break
        return w, None

    def _on_the_way(self, stage: Stage, w: Array, manner: Manner) -> Outcome:
        lower, upper = (b.copy() for b in self.engine.nlp.relaxed(self.scaling.columns, RELAXATION))
        w = w.copy()
        w[stage.held] = lower[stage.held] = upper[stage.held] = stage.values
        solve = self.engine.solve
        return self._noted(stage.name, lambda: solve(w, self.scaling, lower, upper, stage.data, manner=manner))

    def loosened(self, name: str, w: Array, by: dict[str, tuple[float, float]]) -> Outcome:
        """A solve with the bounds of named rows moved out, the lower and the upper by so much."""
        bounds = self.engine.nlp.relaxed(self.scaling.columns, RELAXATION)
        engine = self.engine.loosened(by)
        return self._noted(name, lambda: engine.solve(w, self.scaling, *bounds))

    def feasible(self, name: str, w: Array, wishes: frozenset[str], fixed: bool) -> Relaxed | None:
        """Decisions that miss the wishes least, with the decided ones `fixed` or free. Raises KeyboardInterrupt."""
        lower, upper = self.engine.nlp.relaxed(self.scaling.columns, WIDER)
        if fixed:
            decided = ~self.engine.nlp.domain
            lower, upper = np.where(decided, w, lower), np.where(decided, w, upper)
        solver = self.engine.solver
        attempt = Attempt(self.engine.nlp, solver, self.scaling, w, WIDER, limits=wishes)
        began = time.perf_counter()
        allowed = min(_RESCUE * getattr(solver, "seconds", 300.0), max(self.end - began, 0.1))
        try:
            found = relax_limits(attempt, w, lower, upper, allowed)
        except KeyboardInterrupt:
            self.steps.append((name, time.perf_counter() - began, Status.INTERRUPTED.value))
            raise
        said = "not found"
        if found is not None:
            missed = f"misses {found.changes[0][0].text} and {len(found.changes) - 1} more" if found.changes else ""
            said = "meets all limits" if found.none else missed.replace(" and 0 more", "")
        self.steps.append((name, time.perf_counter() - began, said))
        return found

    def rescaled(self, w: Array) -> None:
        """Scale the rows anew, at decisions that keep the balances."""
        self.scaling = self.engine.scaling(w, self.scaling.columns)

    def again(self, reached: Reached, relaxation: float) -> Reached:
        return self.reached(self.solve(f"domains to {relaxation:.0e}", reached.outcome.w, relaxation), relaxation)

    def reached(self, outcome: Outcome, relaxation: float) -> Reached:
        nlp, scaling = self.engine.nlp, self.scaling
        beyond = np.maximum(nlp.lower - outcome.w, outcome.w - nlp.upper) / scaling.columns
        left = float(np.max(np.where(nlp.domain & self.engine.decided, beyond, 0.0), initial=0.0))
        pull = np.abs(outcome.bound_multipliers) * scaling.columns * scaling.objective
        binding = np.flatnonzero(nlp.domain & (pull > _PULL))
        strongest = tuple(int(i) for i in binding[np.argsort(-pull[binding], kind="stable")])
        return Reached(outcome, relaxation, left, strongest, tuple(self.steps))

    def _noted(self, name: str, solve: Callable[[], Outcome]) -> Outcome:
        began = time.perf_counter()
        outcome = solve()
        said = f"{outcome.status.value}; {outcome.iterations} iterations, violation {outcome.violation:.0e}"
        self.steps.append((name, time.perf_counter() - began, said))
        if self.note is not None and outcome.seconds > _LONG:
            self.note(outcome, self.steps)
        return outcome


def _rescued(ascent: _Ascent, failed: Outcome, last: Status, w: Array, wishes: frozenset[str]) -> Outcome:
    """The problem from decisions that are feasible, or nearly; what has `failed` where there seem to be none.

    `last`: how the attempt before this one ended.
    """
    if last is Status.INTERRUPTED:
        return replace(failed, status=last)
    if not wishes or last is Status.TIME or ascent.late():
        return failed
    try:
        fixed = ascent.feasible("fixed inputs, limits elastic", w, wishes, fixed=True)
        if fixed is not None:
            w = fixed.w
            ascent.rescaled(w)
        found = ascent.feasible("limits elastic", w, wishes, fixed=False)
    except KeyboardInterrupt:
        return replace(failed, status=Status.INTERRUPTED)
    if found is None or not found.none or ascent.late():
        return failed
    outcome = ascent.solve("NLP from feasible decisions", found.w, RELAXATION)
    if outcome.status.ok or outcome.status is Status.INTERRUPTED or fixed is None or fixed.none:
        return outcome
    return _tightened(ascent, fixed) or outcome


def _tightened(ascent: _Ascent, fixed: Relaxed) -> Outcome | None:
    """The problem with the limits that the fixed inputs miss brought back from there, step by step; None: in vain."""
    w, outcome = fixed.w, None
    for share in _BACK:
        if ascent.late():
            return None
        give: dict[str, tuple[float, float]] = {}
        for slack, amount in fixed.changes:
            below, above = give.get(slack.text, (0.0, 0.0))
            more = (1.0 - share) * 1.05 * amount
            give[slack.text] = (below, above + more) if slack.upper else (below + more, above)
        outcome = ascent.loosened(f"NLP, blocking limits {100 * share:.0f} % back", w, give)
        if not outcome.status.ok:
            return outcome if outcome.status is Status.INTERRUPTED else None
        w = outcome.w
    return outcome


def _worth_another_try(outcome: Outcome, solver: Ipopt | Fatrop) -> bool:
    """Whether IPOPT failed for a reason that a larger barrier may mend, not for want of time or iterations."""
    if outcome.status.ok or not isinstance(solver, Ipopt):
        return False
    if outcome.status is Status.ITERATIONS:
        return outcome.iterations < solver.iterations
    return outcome.status not in (Status.TIME, Status.INTERRUPTED, Status.DIVERGED)
