"""What is the least that must give, so that a program becomes feasible? Its wishes get slacks, and their sum is least.

Equations of the model are kept. A slack is shared by all rows that say the same (a path has one), and counts in the
size of what it relaxes, so that the sum picks the few limits that really stand in each other's way.
Method: L1 elastic relaxation (Chinneck, Feasibility and Infeasibility in Optimization, Springer 2008, chapter 6).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import casadi as ca
import numpy as np

from titer.numerics.explaining.attempt import Attempt
from titer.numerics.nlp import Array, Batch, Labels, Nlp
from titer.numerics.program import Scaling
from titer.numerics.solvers import Engine, Ipopt, Manner, Outcome, Status

SMALL = 1e-5  # a sum of relative changes that is called none
_ITERATIONS = 500
_DEAR = 10.0  # seconds that are spent on it where all phases are shot


@dataclass(frozen=True)
class Slack:
    """A bound that may give: of which rows or columns, on which side, in steps of what size."""

    text: str
    upper: bool
    bound: float
    size: float


@dataclass(frozen=True, eq=False)
class Relaxed:
    """The least change found: the slacks that are used, with their amounts, and the decisions that are then possible.

    `total`: the sum of all changes, relative to their sizes.
    """

    changes: tuple[tuple[Slack, float], ...]
    total: float
    w: Array
    outcome: Outcome

    @property
    def none(self) -> bool:
        """Whether nothing needs to give: the program is feasible as it is."""
        return self.total <= SMALL


def relax_limits(attempt: Attempt, w: Array, lower: Array, upper: Array, seconds: float = 60.0) -> Relaxed | None:
    """The least change of the program's wishes, started from `w` under bounds of the columns; None: not found."""
    slacks = _of_rows(attempt, w)
    if not slacks:
        return None
    return _solved(attempt, _with_slacks(attempt, slacks), slacks, w, (lower, upper), seconds)


def relax_decisions(attempt: Attempt, w: Array, lower: Array, upper: Array, seconds: float = 60.0) -> Relaxed | None:
    """The least change of the bounds of decisions that lets all wishes be met; None: not found."""
    slacks, columns = _of_columns(attempt, lower, upper)
    if not slacks:
        return None
    nlp = _with_slacks(attempt, [], len(slacks))
    n, batches = attempt.nlp.columns, []
    for k, (slack, chosen) in enumerate(zip(slacks, columns, strict=True)):
        v = ca.SX.sym("v", 2)
        row = v[0] - v[1] if slack.upper else v[0] + v[1]
        function = ca.Function("bound", [v], [row, ca.SX(0.0)])
        index = np.stack([chosen, np.full(len(chosen), n + k)])
        bounds = (np.array([-np.inf]), np.array([slack.bound])) if slack.upper else ([slack.bound], [np.inf])
        low, up = (np.asarray(b, dtype=float) for b in bounds)
        batches.append(Batch(function, index, low, up, Labels.of([slack.text] * len(chosen))))
    freed = np.unique(np.concatenate(columns))
    low, up = lower.copy(), upper.copy()
    for slack, chosen in zip(slacks, columns, strict=True):
        (up if slack.upper else low)[chosen] = np.inf if slack.upper else -np.inf
    low[freed] = np.where([_is_duration(attempt, int(i)) for i in freed], np.maximum(low[freed], 1e-9), low[freed])
    nlp = replace(nlp, batches=(*nlp.batches, *batches, _cost(slacks, n)))
    return _solved(attempt, nlp, slacks, w, (low, up), seconds)


def _of_rows(attempt: Attempt, w: Array) -> list[Slack]:
    lower, upper = attempt.nlp.row_bounds()
    values, slacks = attempt.rows(w), []
    for text, rows in attempt.groups(attempt.wishes()):
        bounds = [(lower[rows].max(), False), (upper[rows].min(), True)]
        finite = [abs(b) for b, _ in bounds if np.isfinite(b)]
        seen, asked = float(np.abs(np.nan_to_num(values[rows])).max()), max(finite, default=0.0)
        size = max(asked, 1e-3 * seen if asked else seen, 1e-8)  # a limit of zero has no size of its own
        slacks += [Slack(text, side, float(bound), size) for bound, side in bounds if np.isfinite(bound)]
    return slacks


def _of_columns(attempt: Attempt, lower: Array, upper: Array) -> tuple[list[Slack], list[Array]]:
    """Bounds of decisions: of columns that are no physical domain."""
    texts, slacks, columns = attempt.column_texts, [], []
    decided = ~attempt.nlp.domain & (upper > lower)
    for text in dict.fromkeys(texts[decided]):
        chosen = np.flatnonzero(decided & (texts == text))
        size = max(float(attempt.scaling.columns[chosen].max()), 1e-8)
        for bound, side in ((lower[chosen].max(), False), (upper[chosen].min(), True)):
            if np.isfinite(bound) and not (bound <= 1e-9 and not side):  # a flow or a time below zero is no remedy
                slacks.append(Slack(str(text), side, float(bound), size))
                columns.append(chosen)
    return slacks, columns


def _is_duration(attempt: Attempt, i: int) -> bool:
    return str(attempt.column_texts[i]).startswith("duration of ")


def _with_slacks(attempt: Attempt, slacks: Sequence[Slack], count: int | None = None) -> Nlp:
    """The program with slacks as further columns, in the rows that they relax, and their sum as its objective."""
    nlp, n = attempt.nlp, attempt.nlp.columns
    count = len(slacks) if count is None else count
    place = {(s.text, s.upper): n + k for k, s in enumerate(slacks)}
    batches = []
    for batch in nlp.batches:
        index = np.where(batch.index >= n, batch.index + count, batch.index)
        batches.append(_elastic(replace(batch, index=index, weight=0.0), place))
    if slacks:
        batches.append(_cost(slacks, n))
    texts = [f"change of {s.text}" for s in slacks] or ["change"] * count
    return replace(
        nlp,
        lower=np.concatenate([nlp.lower, np.zeros(count)]),
        upper=np.concatenate([nlp.upper, np.full(count, np.inf)]),
        domain=np.concatenate([nlp.domain, np.zeros(count, dtype=bool)]),
        labels=(*nlp.labels, Labels.of(texts)),
        batches=tuple(batches),
        cells={k: np.where(v >= n, v + count, v) for k, v in nlp.cells.items()},
        rows_order=None,
        room=None,
    )


def _elastic(batch: Batch, place: dict[tuple[str, bool], int]) -> Batch:
    """A batch whose wishes may be missed by their slacks."""
    if not batch.copies:
        return batch
    texts = [str(batch.labels.texts[i]) for i in range(batch.rows)]
    wanted = sorted({place[key] for t in texts for key in ((t, False), (t, True)) if key in place})
    if not wanted:
        return batch
    symbol = ca.SX if batch.function.is_a("SXFunction") else ca.MX
    m = batch.function.numel_in(0)
    v = symbol.sym("v", m + len(wanted))
    g, f = batch.function(v[:m])
    change = np.zeros((batch.rows, len(wanted)))
    for i, text in enumerate(texts):
        for upper, bounds in ((False, batch.lower), (True, batch.upper)):
            if (text, upper) in place and np.isfinite(bounds[i]):
                change[i, wanted.index(place[text, upper])] += -1.0 if upper else 1.0
    function = ca.Function(f"{batch.function.name()}_elastic", [v], [g + ca.DM(change) @ v[m:], f])
    more = np.repeat(np.array(wanted)[:, None], batch.copies, axis=1)
    step = batch.step
    if step is not None:  # the further rows change, what is determined does not
        first, count = batch.rows - step.numel_out(1), step.numel_in(0)
        read = (ca.SX if step.is_a("SXFunction") else ca.MX).sym("read", count + len(wanted))
        made, rows, f = step(read[:count])
        rows = rows + ca.DM(change[first:]) @ read[count:]
        step = ca.Function(f"{step.name()}_elastic", [read], [made, rows, f])
    return replace(batch, function=function, index=np.concatenate([batch.index, more]), step=step)


def _cost(slacks: Sequence[Slack], first: int) -> Batch:
    v = ca.SX.sym("v", len(slacks))
    total = ca.dot(v, ca.DM([1.0 / s.size for s in slacks]))
    function = ca.Function("change", [v], [ca.SX(0, 1), total])
    index = (first + np.arange(len(slacks)))[:, None]
    return Batch(function, index, np.zeros(0), np.zeros(0), Labels.of([]), 1.0)


def _solved(
    attempt: Attempt, nlp: Nlp, slacks: Sequence[Slack], w: Array, bounds: tuple[Array, Array], seconds: float
) -> Relaxed | None:
    """Solve the relaxed program from `w` with slacks that make its wishes hold. Raises KeyboardInterrupt."""
    n = attempt.nlp.columns
    sizes = np.array([s.size for s in slacks])
    slack_sizes = 2.0 ** np.round(np.log2(sizes))
    solver = Ipopt(tolerance=1e-7, seconds=seconds, iterations=_ITERATIONS)
    engine = Engine(nlp, solver)
    if engine.shot is not None:  # each look at the decisions is an integration: a hint is worth no more than that
        engine.solver = replace(solver, seconds=min(seconds, _DEAR))
    w = np.clip(w, *bounds)
    first = np.concatenate([w, _needed(attempt, slacks, w) + 1e-3 * sizes])
    scaling = engine.scaling(first, np.concatenate([attempt.scaling.columns, slack_sizes]))
    lower = np.concatenate([bounds[0], np.zeros(len(slacks))])
    upper = np.concatenate([bounds[1], np.full(len(slacks), np.inf)])
    began = time.perf_counter()
    for manner in (Manner.NEAR, Manner.FAR):
        if time.perf_counter() - began > seconds:
            break
        outcome = engine.solve(first, Scaling(scaling.columns, scaling.rows, 1.0), lower, upper, manner=manner)
        if outcome.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        if outcome.violation <= 1e-5 and outcome.status.ok:
            amounts = outcome.w[n:]
            used = amounts / sizes > 1e-2 * SMALL
            changes = tuple(
                (slack, float(amount)) for slack, amount, yes in zip(slacks, amounts, used, strict=True) if yes
            )
            ordered = tuple(sorted(changes, key=lambda c: -c[1] / c[0].size))
            return Relaxed(ordered, float((amounts / sizes).sum()), outcome.w[:n], outcome)
    return None


def _needed(attempt: Attempt, slacks: Sequence[Slack], w: Array) -> Array:
    """Slacks with which the wishes hold at `w`."""
    values, needed = attempt.rows(w), []
    groups = dict(attempt.groups(attempt.wishes()))
    columns, texts = w, attempt.column_texts
    for slack in slacks:
        here = values[groups[slack.text]] if slack.text in groups else columns[texts == slack.text]
        gap = here - slack.bound if slack.upper else slack.bound - here
        needed.append(max(0.0, float(np.nan_to_num(gap, posinf=0.0, neginf=0.0).max(initial=0.0))))
    return np.array(needed)
