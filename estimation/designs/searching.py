"""Which of several starts leads farthest, and do its elements resolve it? The search of a design."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from titer.estimation.designs.descent import minimized
from titer.estimation.designs.planning import Plan, Planning
from titer.estimation.designs.prospect import LostError, Prospect
from titer.estimation.designs.seeing import see
from titer.numerics.errors import SolveError

Array = np.ndarray
Progress = Callable[[str], None]
_ROUNDS = 3  # of elements and decisions in turn
_AGREE = 1e-4  # relative difference of a criterion on other elements that is called none
_COARSE = 1e-2  # relative difference of a criterion from which a grid that was asked for is called coarse
_MOST_ELEMENTS = 300
ACCURACY = 1e-4  # relative, of the information that a design is made with
_NOTHING = 1e-4  # standard deviations that all readings move when a number doubles: not worth resolving
_BETTER = 1e-5  # of a criterion: what a second exchange must gain to be worth another descent


@dataclass(frozen=True, eq=False)
class Found:
    """The best plan of several starts, and the criterion that each reached (NaN where it failed)."""

    plan: Plan
    values: tuple[float, ...]


def searched(planning: Planning, guess: Plan, starts: int, seed: int, progress: Progress | None) -> Found:
    """Search from the guess, and from decisions anywhere inside their bounds. Raises SolveError where all fail."""
    rng = np.random.default_rng(seed)
    best, values = (np.inf, guess), []
    for k in range(starts):
        try:
            plan = _improved(planning, guess if k == 0 else planning.spread(_anywhere(planning, guess, rng)))
            values.append(planning.value(plan))
        except LostError as lost:
            values.append(float("nan"))
            if progress is not None:
                progress(f"design, start {k + 1} of {starts}: {str(lost).splitlines()[0]}")
            continue
        if values[-1] < best[0] * (1.0 - 1e-9):
            best = (values[-1], plan)
        if progress is not None:
            progress(f"design, start {k + 1} of {starts}: criterion {values[-1]:.6g}")
    if np.isnan(values).all():
        raise SolveError("design: no start of the search can be simulated.\n  Give guesses with which the batches run.")
    return Found(best[1], tuple(values))


def _improved(planning: Planning, plan: Plan) -> Plan:
    """Times by exchange, everything by descent; again where an exchange still gains. Raises LostError."""
    plan = minimized(planning, planning.exchanged(plan))
    for _ in range(_ROUNDS):
        other = planning.exchanged(plan)
        if not planning.value(other) < planning.value(plan) * (1.0 - _BETTER):
            return plan
        other = minimized(planning, other)
        if not planning.value(other) < planning.value(plan):
            return plan
        plan = other
    return plan


def _anywhere(planning: Planning, guess: Plan, rng: np.random.Generator) -> list[Array]:
    """Decisions anywhere inside their bounds, within a factor of two of the guess where these are open."""
    found = []
    for prospect, first in zip(planning.prospects, guess.decided, strict=True):
        lower, upper = prospect.bounds
        closed = np.isfinite(lower) & np.isfinite(upper)
        inside = np.where(closed, lower, 0.0) + rng.random(len(first)) * np.where(closed, upper - lower, 0.0)
        near = np.clip(first * 2.0 ** rng.uniform(-1.0, 1.0, len(first)), lower, upper)
        found.append(np.where(closed, inside, near))
    return found


def resolved(planning: Planning, plan: Plan, accuracy: float) -> Planning:
    """The batches on elements halved until their information changes by less than `accuracy`, where the grid is open.

    The change is that of an entry, relative to the diagonal. Raises LostError.
    """
    prospects = list(planning.prospects)
    for b, prospect in enumerate(prospects):
        decided, theta = plan.decided[b], planning.scenarios[0][b]
        coarse = _information(prospect, plan, b, theta)
        while prospect.grid.elements is None and prospect.elements < _MOST_ELEMENTS:
            finer = prospect.halved(decided, theta)
            fine = _information(finer, plan, b, theta)
            size = np.maximum(np.sqrt(np.diag(fine)), _NOTHING / prospect.sizes[prospect.theta])
            if np.abs((fine - coarse) / np.outer(size, size)).max(initial=0.0) <= accuracy:
                break
            prospect, coarse = finer, fine
        prospects[b] = prospect
    return replace(planning, prospects=prospects, courses={})


def _information(prospect: Prospect, plan: Plan, b: int, theta: Array) -> Array:
    course = prospect.solve(plan.decided[b], theta)
    total = np.zeros((len(theta), len(theta)))
    return sum((see(prospect, course, g, times).information for g, times in enumerate(plan.times[b])), total)


def refined(planning: Planning, plan: Plan) -> tuple[Planning, Plan, str]:
    """The plan on elements that suit its decisions, improved there where that changes the criterion.

    With a word on it where it goes on changing.
    """
    for _ in range(_ROUNDS):
        before = planning.value(plan)
        if all(p.grid.elements is not None for p in planning.prospects):
            return planning, plan, _coarseness(planning, plan, before)
        try:
            prospects = [p.rebuilt(plan.decided[b], planning.scenarios[0][b]) for b, p in enumerate(planning.prospects)]
            other = resolved(replace(planning, prospects=prospects, courses={}), plan, ACCURACY)
            after = other.value(plan)
        except LostError as lost:
            return planning, plan, f"the elements could not be adapted to the decisions: {lost}"
        planning = other
        if np.isinf(after) or abs(after / before - 1.0) <= _AGREE:
            return planning, plan, ""
        plan = minimized(planning, plan)
    return planning, plan, "the criterion still depends on the elements; give a finer grid=Grid(...)"


def _coarseness(planning: Planning, plan: Plan, before: float) -> str:
    """A word on elements that were asked for and do not resolve the batches; empty where they do."""
    try:
        halved = [p.halved(plan.decided[b], planning.scenarios[0][b]) for b, p in enumerate(planning.prospects)]
        after = replace(planning, prospects=halved, courses={}).value(plan)
    except LostError:
        return ""
    if np.isinf(after) or abs(after / before - 1.0) <= _COARSE:
        return ""
    return (
        f"the elements of grid= are too coarse: with each cut in two, the criterion is {after:.4g} instead of "
        f"{before:.4g}.\n  Give a finer grid, or leave it open."
    )
