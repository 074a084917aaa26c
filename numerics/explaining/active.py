"""Which bounds and limits hold an optimum, and at what price? Read from the multipliers of a solve, in user units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titer.numerics.explaining.attempt import Attempt
from titer.numerics.nlp import Array
from titer.numerics.solvers import Outcome

_PULL = 1e-4  # strength, relative to the strongest, from which a bound is said to hold
_FAINT = 1e-6  # strength, in scaled objectives, below which it is a remnant of the barrier


@dataclass(frozen=True)
class Active:
    """A bound that holds: of which row or column, where, and its shadow price.

    `price`: by how much the user's objective grows when the bound is raised by one of its units (over a path: at all
    its instants). `when`: the first and last instant at which it holds, None where it belongs to none.
    """

    text: str
    upper: bool
    bound: float
    unit: str
    price: float
    wish: str  # the bound in words
    strength: float  # |price| times the bound's size, relative to that of the others
    when: tuple[float, float] | None = None
    time: str = ""

    def __str__(self) -> str:
        span = ""
        if self.when is not None:
            first, last = (f"{t:.6g}" for t in self.when)
            span = f" at t = {first}" + (f" to {last}" if first != last else "") + f" {self.time}".rstrip()
        per = f" per {self.unit}" if self.unit else ""
        return f"{self.wish}{span}, shadow price {self.price:.3g}{per}"


def active(attempt: Attempt, outcome: Outcome, most: int = 6) -> tuple[Active, ...]:
    """Limits and bounds of decisions that hold an optimum, the strongest first."""
    wishes, decisions = held_by(attempt, outcome, attempt.scaling.objective)
    found = sorted([*wishes, *decisions], key=lambda a: -a.strength)
    return tuple(found[:most])


def held_by(attempt: Attempt, outcome: Outcome, objective: float) -> tuple[list[Active], list[Active]]:
    """Wishes, and bounds of decisions, with multipliers, which may be those of a relaxed program.

    `objective`: the factor with which the solver saw that program's objective.
    """
    nlp, n = attempt.nlp, attempt.nlp.columns
    lower, upper = nlp.row_bounds()
    rows, row_times, column_times = outcome.row_multipliers[: nlp.rows], _row_times(attempt), _column_times(attempt)
    wishes = [
        entry
        for text, chosen in attempt.groups(attempt.wishes())
        for entry in _sides(attempt, text, rows, chosen, (lower, upper), 1.0 / attempt.scaling.rows, row_times)
    ]
    columns = outcome.bound_multipliers[:n]
    texts, decided = attempt.column_texts, ~nlp.domain & (nlp.upper > nlp.lower)
    decisions = [
        entry
        for text in dict.fromkeys(texts[decided])
        for entry in _sides(
            attempt,
            str(text),
            columns,
            np.flatnonzero(decided & (texts == text)),
            (nlp.lower, nlp.upper),
            attempt.scaling.columns,
            column_times,
        )
    ]
    strongest = max((a.strength for a in (*wishes, *decisions)), default=0.0)
    floor = max(_PULL * strongest, _FAINT / objective)
    kept = ([a for a in group if a.strength > floor] for group in (wishes, decisions))
    first, second = (sorted(group, key=lambda a: -a.strength) for group in kept)
    return first, second


def _sides(
    attempt: Attempt,
    text: str,
    multipliers: Array,
    chosen: Array,
    bounds: tuple[Array, Array],
    sizes: Array,
    times: Array,
) -> list[Active]:
    """The lower and the upper side of one bound; positive multipliers belong to upper ones.

    A bound counts in its size, or in that of what it bounds: a bound of zero has none of its own.
    """
    found = []
    for upper, pulls in ((False, np.maximum(-multipliers[chosen], 0.0)), (True, np.maximum(multipliers[chosen], 0.0))):
        values = bounds[upper][chosen]
        holds = np.isfinite(values) & (pulls > 1e-6 * max(pulls.max(initial=0.0), 1e-300))
        if not holds.any():
            continue
        total = float(pulls[holds].sum())
        bound = float(np.median(values[holds]))
        price = attempt.sign * (-total if upper else total)
        when = times[chosen[holds]]
        span = (float(np.nanmin(when)), float(np.nanmax(when))) if np.isfinite(when).any() else None
        size = max(abs(bound), float(sizes[chosen].max()))
        wish = attempt.wish(text, upper, bound)
        found.append(Active(text, upper, bound, attempt.unit(text), price, wish, total * size, span, attempt.time))
    return found


def _row_times(attempt: Attempt) -> Array:
    parts = [_instants(attempt, batch.labels.phase, batch.labels.tau) for batch in attempt.nlp.batches]
    times = np.concatenate([np.zeros(0), *parts])
    return times if attempt.nlp.rows_order is None else times[attempt.nlp.rows_order]


def _column_times(attempt: Attempt) -> Array:
    return np.concatenate([np.zeros(0), *(_instants(attempt, g.phase, g.tau) for g in attempt.nlp.labels)])


def _instants(attempt: Attempt, phase: str, tau: Array) -> Array:
    if phase not in attempt.times:
        return np.full(len(tau), np.nan)
    start, duration = attempt.times[phase]
    return start + duration * tau
