"""Why did a solve end as it did? In names, units and times, the way a colleague would say it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from titer.numerics.explaining.active import Active, active, held_by
from titer.numerics.explaining.attempt import Attempt
from titer.numerics.explaining.elastic import Relaxed, Slack, relax_decisions, relax_limits
from titer.numerics.explaining.undefined import first_undefined
from titer.numerics.nlp import Array
from titer.numerics.solvers import Status

if TYPE_CHECKING:
    from titer.numerics.solution import Solution

UNFINISHED = "the process ended in the middle of a solve"
_FAR = 1e6  # sizes from which a column is said to run away
_ROUNDING = 1e-12  # of the farthest column
_MET = 1e-6  # relative violation below which a limit is met
_PATIENCE = (5.0, 60.0)  # seconds


class Verdict(Enum):
    """What an explanation comes to; the value says it."""

    SOLVED = "solved"
    DOUBTFUL = "complete, but doubtful"
    NOT_CERTIFIED = "solved on its mesh, but the certificate does not hold"
    STARTS_DISAGREE = "solved, but another start ended elsewhere"
    MODEL_INFEASIBLE = "model infeasible"
    BAD_START = "bad start"
    UNBOUNDED = "unbounded"
    NOT_FINITE = "a number stopped being finite"
    INTEGRATION_FAILED = "the integration failed"
    STOPPED = "stopped before it was done"
    ENDED = "the process ended in the middle of it"
    UNEXPLAINED = "not explained"


@dataclass(frozen=True, eq=False)
class Explanation:
    """A verdict, a headline that names what matters most, and the facts behind it; printed, it is a short report.

    `residuals`: (row, violation, unit) of the rows that are missed most. `relaxation`: the least change of limits that
    makes the problem feasible, `alternative`: the least change of decisions' bounds that does with all limits kept.
    `active`: bounds and limits that hold the optimum, with their shadow prices.
    """

    verdict: Verdict
    headline: str
    lines: tuple[str, ...] = ()
    residuals: tuple[tuple[str, float, str], ...] = ()
    relaxation: Relaxed | None = None
    alternative: Relaxed | None = None
    active: tuple[Active, ...] = ()

    def __str__(self) -> str:
        return "\n".join([self.headline, f"  verdict: {self.verdict.value}", *(f"  {line}" for line in self.lines)])


def explain(solution: Solution, attempt: Attempt | None) -> Explanation:
    """Explain a solution; `attempt`: the solve behind it, None where none was begun (a simulation, a loaded file)."""
    if solution.kind == "simulation" or attempt is None:
        return _of_run(solution)
    outcome = attempt.outcome
    if outcome is None or solution.message == UNFINISHED:
        return _ended(solution, attempt)
    if outcome.status.ok:
        return _solved(solution, attempt)
    undefined = _undefined(attempt)
    if outcome.status is Status.INVALID_NUMBER or undefined is not None:
        said = undefined or "a function of the program, at no point that was kept"
        return _with_facts(attempt, Verdict.NOT_FINITE, f"the solve met a number that is not finite: {said}", [])
    if outcome.status in (Status.TIME, Status.INTERRUPTED):
        return _stopped(attempt)
    away = _running_away(attempt)
    if away:
        text = f"{away[0]} runs away and nothing holds it: the objective has no best value"
        return _with_facts(attempt, Verdict.UNBOUNDED, text, [*away[1:], "Give it a bound, or a cost."])
    return _infeasible_or_stuck(attempt)


def explain_solution(solution: Solution) -> Explanation:
    """Explain a solution from what it carries."""
    return explain(solution, getattr(solution.iterate, "attempt", None))


def _of_run(solution: Solution) -> Explanation:
    """A simulation, or an optimum of which only the trajectories are known."""
    first, *rest = (solution.message or solution.status.value).split("\n")
    if not solution.status.ok:
        verdict = Verdict.INTEGRATION_FAILED if solution.kind == "simulation" else Verdict.UNEXPLAINED
        return Explanation(verdict, first, tuple(line.strip() for line in rest))
    certificate = solution.certificate
    if certificate is not None and not certificate.ok:
        return Explanation(Verdict.NOT_CERTIFIED, f"solved, but not to be trusted: {certificate.message}")
    if solution.message and solution.kind == "simulation":
        return Explanation(Verdict.DOUBTFUL, f"the simulation is complete, but {first}", tuple(rest))
    return Explanation(Verdict.SOLVED, f"the {solution.kind} is complete.")


def _solved(solution: Solution, attempt: Attempt) -> Explanation:
    assert attempt.outcome is not None
    holding = active(attempt, attempt.outcome)
    lines = [f"held by {entry}" for entry in holding]
    certificate = solution.certificate
    if certificate is not None and not certificate.ok:
        headline = f"solved, but not to be trusted: {certificate.message}"
        return Explanation(Verdict.NOT_CERTIFIED, headline, (*lines, *_disagreement(solution)), active=holding)
    lines = lines or ["no limit holds it: the optimum lies inside all bounds"]
    if solution.stats.get("starts_agree") is False:
        headline = f"solved, but {_disagreement(solution)[0]}"
        return Explanation(Verdict.STARTS_DISAGREE, headline, tuple(lines), active=holding)
    headline = f"solved: objective {solution.objective:.8g}" + (", certified" if certificate is not None else "")
    return Explanation(Verdict.SOLVED, headline, tuple(lines), active=holding)


def _disagreement(solution: Solution) -> list[str]:
    """A line where several starts ended at several optima; none where they agree."""
    if solution.stats.get("starts_agree") is not False:
        return []
    said = next((r.result for r in reversed(solution.start_report) if r.name.endswith("starts")), "")
    return [f"starts disagree: {said.removeprefix('DISAGREE: ')}"]


def _ended(solution: Solution, attempt: Attempt) -> Explanation:
    last = solution.start_report[-1].name if len(solution.start_report) else "nothing"
    w = attempt.start if attempt.outcome is None else attempt.outcome.w
    missed = attempt.worst_rows(w)
    lines = [f"largest residual: {text}" for text in _residual_lines(attempt, missed)]
    headline = f"{UNFINISHED}; the last step that was completed is: {last}"
    return Explanation(Verdict.ENDED, headline, tuple(lines), _residuals(attempt, missed))


def _stopped(attempt: Attempt) -> Explanation:
    outcome = attempt.outcome
    assert outcome is not None
    missed = attempt.worst_rows(outcome.w)
    by = "by the user" if outcome.status is Status.INTERRUPTED else f"by the time limit of {_limit_of(attempt):g} s"
    far = f", {_residual_lines(attempt, missed[:1])[0]}" if missed else ", all equations and limits hold"
    headline = f"stopped {by} after {outcome.iterations} iterations{far}"
    onward = "Go on from it: start_from=error.solution, or start_from=Solution.load(FILE) of what it left."
    return _with_facts(attempt, Verdict.STOPPED, headline, [onward])


def _limit_of(attempt: Attempt) -> float:
    return float(getattr(attempt.solver, "seconds", np.nan))


def _running_away(attempt: Attempt) -> list[str]:
    """Columns that have left all sizes, decisions first, where the objective gains by it."""
    outcome = attempt.outcome
    assert outcome is not None
    far = np.abs(outcome.w) / attempt.scaling.columns
    far = np.where(np.isfinite(far), far, np.inf)
    farthest = far.max(initial=0.0)
    small = 1e-2 + _ROUNDING * farthest  # rows far out are met only up to the rounding of their columns
    if outcome.status is not Status.DIVERGED and not (farthest > _FAR and outcome.violation < small):
        return []
    order = sorted(np.flatnonzero(far >= min(_FAR, far.max())), key=lambda i: (attempt.nlp.domain[i], -far[i]))
    names = list(dict.fromkeys(str(attempt.column_texts[i]) for i in order))[:3]
    unit = {name: attempt.unit(name) for name in names}
    values = {n: outcome.w[next(i for i in order if attempt.column_texts[i] == n)] for n in names}
    texts = [f"{name} (at {values[name]:.3g} {unit[name]})".replace(" )", ")") for name in names]
    return [texts[0], *(f"with it {text}" for text in texts[1:])] if texts else []


def _infeasible_or_stuck(attempt: Attempt) -> Explanation:
    """The least relaxation tells an infeasible model from a bad start."""
    outcome = attempt.outcome
    assert outcome is not None
    bounds = attempt.nlp.relaxed(attempt.scaling.columns, attempt.relaxation)
    end = time.perf_counter() + _patience(attempt)
    found = _relaxed(relax_limits, attempt, (attempt.start, outcome.w), bounds, end)
    if found is None:
        missed = attempt.worst_rows(outcome.w)
        named = _residual_lines(attempt, missed[:1])
        headline = f"the problem was not solved: {outcome.status.value}" + (f"; {named[0]}" if named else "")
        return _with_facts(attempt, Verdict.UNEXPLAINED, headline, [_of_the_start(attempt)])
    if found.none:
        missed = attempt.worst_rows(outcome.w)
        named = _residual_lines(attempt, missed[:1])
        headline = "the problem is feasible, but was not solved from its start" + (f"; {named[0]}" if named else "")
        lines = [_of_the_start(attempt), "Decisions that meet all limits were found; starts=8 tries more starts."]
        if outcome.status is Status.ITERATIONS and outcome.iterations >= attempt.solver.iterations:
            lines[1] = f"It was stopped after {outcome.iterations} iterations; iterations= of its solver allows more."
        return _with_facts(attempt, Verdict.BAD_START, headline, lines, relaxation=found)
    return _infeasible(attempt, found, bounds, end)


def _patience(attempt: Attempt) -> float:
    """Seconds in which the least change is looked for: no more than a solve may take."""
    return float(np.clip(getattr(attempt.solver, "seconds", np.inf), *_PATIENCE))


def _relaxed(
    relax: Callable[..., Relaxed | None],
    attempt: Attempt,
    points: Sequence[Array],
    bounds: tuple[Array, Array],
    end: float,
) -> Relaxed | None:
    """The least change, from the first of some points from which it is found before the `end`, or before Ctrl-C."""
    for w in points:
        left = end - time.perf_counter()
        if left <= 0.0:
            break
        try:
            found = relax(attempt, w, *bounds, left)
        except KeyboardInterrupt:
            break
        if found is not None:
            return found
    return None


def _infeasible(attempt: Attempt, found: Relaxed, bounds: tuple[Array, Array], end: float) -> Explanation:
    wishes, decisions = held_by(attempt, found.outcome, 1.0)
    first = found.changes[0][0]
    against = [a for a in wishes if (a.text, a.upper) != (first.text, first.upper)]
    meet = f"no decisions were found that meet {_wish(attempt, first)}"
    together = f" together with {_listed([a.wish for a in against[:2]])}" if against else ""
    lines = ["the least change that makes the problem feasible:"]
    lines += [f"  {_change(attempt, slack, amount)}" for slack, amount in _that_count(found)]
    lines += [f"in its way: {entry.wish}" for entry in [*against[:2], *decisions[:3]]]
    other = _relaxed(relax_decisions, attempt, (found.w,), bounds, end)
    if other is not None and not other.none:
        lines.append("or, with all limits kept:")
        lines += [f"  {_change(attempt, slack, amount)}" for slack, amount in _that_count(other)]
    assert attempt.outcome is not None
    missed = _residuals(attempt, attempt.worst_rows(attempt.outcome.w))
    return Explanation(
        Verdict.MODEL_INFEASIBLE, f"{meet}{together}", tuple(lines), missed, relaxation=found, alternative=other
    )


def _that_count(found: Relaxed) -> list[tuple[Slack, float]]:
    """The largest changes; what is left of the solver's barrier is none."""
    return [(slack, amount) for slack, amount in found.changes[:4] if amount / slack.size > 1e-3 * found.total]


def _wish(attempt: Attempt, slack: Slack) -> str:
    return attempt.wish(slack.text, slack.upper, slack.bound)


def _change(attempt: Attempt, slack: Slack, amount: float) -> str:
    unit, side = attempt.unit(slack.text), "upper" if slack.upper else "lower"
    to = slack.bound + amount if slack.upper else slack.bound - amount
    moved = f"{slack.bound:.6g} to {to:.6g} {unit}".strip()
    return f"{slack.text}: {side} limit from {moved} (by {f'{amount:.3g} {unit}'.strip()})"


def _of_the_start(attempt: Attempt) -> str:
    """Whether the start that was simulated meets the limits."""
    lower, upper = attempt.nlp.row_bounds()
    values, worst, size = attempt.rows(attempt.start), "", _MET
    for text, rows in attempt.groups(attempt.wishes()):
        gap = np.maximum(lower[rows] - values[rows], values[rows] - upper[rows])
        limits = [abs(b) for b in (*lower[rows], *upper[rows]) if np.isfinite(b)]
        share = float(np.nan_to_num(gap, nan=np.inf).max()) / max(max(limits, default=0.0), 1e-12)
        if share > size:
            worst, size = text, share
    return f"the simulated start misses {worst}" if worst else "the simulated start meets all limits"


def _undefined(attempt: Attempt) -> str | None:
    outcome = attempt.outcome
    assert outcome is not None
    points = [w for w in (outcome.w, attempt.start) if np.isfinite(w).all()]
    return next((said for w in points if (said := first_undefined(attempt, w)) is not None), None)


def _with_facts(
    attempt: Attempt,
    verdict: Verdict,
    headline: str,
    lines: list[str],
    relaxation: Relaxed | None = None,
    alternative: Relaxed | None = None,
) -> Explanation:
    assert attempt.outcome is not None
    missed = attempt.worst_rows(attempt.outcome.w)
    said = [f"largest residual: {t}" for t in _residual_lines(attempt, missed) if t not in headline]
    return Explanation(verdict, headline, (*lines, *said), _residuals(attempt, missed), relaxation, alternative)


def _residuals(attempt: Attempt, missed: list[tuple[int, float]]) -> tuple[tuple[str, float, str], ...]:
    texts = attempt.row_texts
    return tuple((attempt.row_name(i), amount, attempt.unit(str(texts[i]))) for i, amount in missed)


def _residual_lines(attempt: Attempt, missed: list[tuple[int, float]]) -> list[str]:
    return [
        f"{name} is missed by {f'{amount:.3g} {unit}'.strip()}" for name, amount, unit in _residuals(attempt, missed)
    ]


def _listed(names: list[str]) -> str:
    return " and ".join(names)
