"""Is there a better optimum elsewhere? Further starts of the same program, and whether they agree."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from titer.flowsheets.operation import Decided
from titer.flowsheets.problems.assembly import Assembled
from titer.flowsheets.problems.climbing import Reached, climb
from titer.flowsheets.problems.guesses import elsewhere
from titer.flowsheets.problems.ladder import Ladder
from titer.flowsheets.problems.problem import PhaseTerms, Problem
from titer.flowsheets.simulation import StoppedRunError
from titer.numerics.explaining.attempt import Attempt
from titer.numerics.nlp import Array
from titer.numerics.program import Scaling
from titer.numerics.solvers import Engine, Status

SMALL = 1e-7  # scaled objective that is called zero
AGREE = 1e-5  # relative difference of two objectives that are called the same
_FEASIBLE = 1e-6  # scaled violation up to which an unsolved start is a point to compare with
_UNSOLVED = (Status.FAILED, Status.ITERATIONS, Status.TIME)
_PARALLEL = 1.0  # seconds of one start from which processes pay: starting them costs two


@dataclass(frozen=True, eq=False)
class Choice:
    """The best of several starts, whether all that were solved agree (None: fewer than two), and their objectives."""

    reached: Reached
    agree: bool | None
    objectives: tuple[float, ...]  # in the user's sense, NaN where a start failed


def search(
    problem: Problem,
    terms: Sequence[Sequence[PhaseTerms]],
    assembled: Assembled,
    engine: Engine,
    begun: Attempt,
    first: Reached,
    others: int,
    seed: int,
    ladder: Ladder,
) -> Choice:
    """Try `others` further starts: the second in the other half of all bounds, the rest at random, by the seed."""
    rng = np.random.default_rng(seed)
    points: list[Array] = []
    for k in range(others):
        name = "second start" if others == 1 else f"start {k + 2}"
        began = time.perf_counter()
        try:
            points.append(elsewhere(problem, terms, assembled, rng if k else None))
            said = "decisions moved inside their bounds, simulated"
        except StoppedRunError as stop:
            said = f"stopped at t = {stop.end:.6g} {problem.plant.time}"
        ladder.report([("simulation", time.perf_counter() - began, said)], f"{name}: ")
    seconds = sum(step[1] for step in first.steps)
    found = _all(engine, points, begun, seconds)
    for k, reached in enumerate(found):
        ladder.report(reached.steps, "second start: " if others == 1 else f"start {k + 2}: ")
    return _choice([first, *found], problem, assembled, begun.scaling, others, ladder)


def _all(engine: Engine, points: Sequence[Array], begun: Attempt, seconds: float) -> list[Reached]:
    if len(points) > 2 and seconds > _PARALLEL:
        from joblib import Parallel, cpu_count, delayed

        jobs = min(cpu_count(), len(points))
        if jobs > 1:
            return list(Parallel(n_jobs=jobs)(delayed(climb)(engine, w, begun.scaling, begun.limits) for w in points))
    found: list[Reached] = []
    for w in points:
        found.append(climb(engine, w, begun.scaling, begun.limits))
        if found[-1].outcome.status is Status.INTERRUPTED:
            break
    return found


def _choice(
    tried: Sequence[Reached], problem: Problem, assembled: Assembled, scaling: Scaling, others: int, ladder: Ladder
) -> Choice:
    solved = [r for r in tried if r.outcome.status.ok]
    objectives = tuple(problem.sign * r.outcome.objective if r.outcome.status.ok else float("nan") for r in tried)
    if not solved:
        ladder.climbed("starts", f"none of {others + 1} was solved")
        return Choice(tried[0], None, objectives)
    best = min(solved, key=lambda r: r.outcome.objective)
    ahead = _ahead(tried, best, scaling)
    if ahead is not None:
        reached, flat = (f"{problem.sign * r.outcome.objective:.8g}" for r in (ahead, best))
        said = (
            f"DISAGREE: a start that ended unsolved ({ahead.outcome.status.value}) reached {reached} within all limits"
        )
        ladder.climbed("starts", f"{said}, which is better than the {flat} that meets the optimality conditions")
        return Choice(ahead, False, objectives)
    same = [r for r in solved if _same(r, best, scaling)]
    best = same[0]  # of equals the earliest
    failed = others + 1 - len(solved)
    missing = f"; {failed} failed" if failed else ""
    value = problem.sign * best.outcome.objective
    if len(same) == len(solved):
        word = f"{len(solved)} agree on {value:.8g}" if len(solved) > 1 else f"one reached {value:.8g}"
        ladder.climbed("starts", word + missing)
        return Choice(best, True if len(solved) > 1 else None, objectives)
    worse = max((r for r in solved if r not in same), key=lambda r: r.outcome.objective)
    others_found = sorted({f"{problem.sign * r.outcome.objective:.6g}" for r in solved if r not in same})
    ladder.climbed(
        "starts",
        f"DISAGREE: {len(same)} of {len(solved)} reach {value:.8g}, others {', '.join(others_found[:4])}; "
        f"the best is taken. {_where(assembled, best, worse)}{missing}",
    )
    return Choice(best, False, objectives)


def _ahead(tried: Sequence[Reached], best: Reached, scaling: Scaling) -> Reached | None:
    """The best start that ended unsolved but feasible, and is better than what was solved: where an objective is flat
    the optimality conditions hold as well."""
    unsolved = [r for r in tried if r.outcome.status in _UNSOLVED and r.outcome.violation <= _FEASIBLE]
    ahead = min(unsolved, key=lambda r: r.outcome.objective, default=best)
    better = ahead.outcome.objective < best.outcome.objective and not _same(ahead, best, scaling)
    return ahead if better else None


def _same(a: Reached, b: Reached, scaling: Scaling) -> bool:
    x, y = a.outcome.objective, b.outcome.objective
    gap = abs(x - y)
    return gap <= AGREE * max(abs(x), abs(y)) or gap * scaling.objective <= SMALL


def _where(assembled: Assembled, best: Reached, other: Reached) -> str:
    """The decision in which two optima differ most, in shares of its bounds."""
    largest, text = 0.0, ""
    for placement in assembled.runs[0]:
        cells = assembled.nlp.cells[placement.block.name]
        slots = [
            (v.name, s) for v, s in zip(placement.operation.lowered.dae.inputs, placement.operation.inputs, strict=True)
        ]
        for name, source in slots:
            if not isinstance(source, Decided):
                continue
            at = cells[placement.block.slot(f"input:{name}").cells]
            span = source.upper - source.lower
            span = span if np.isfinite(span) and span > 0.0 else max(1.0, float(np.abs(best.outcome.w[at]).max()))
            gap = np.abs(best.outcome.w[at] - other.outcome.w[at]) / span
            k = int(np.argmax(gap))
            if gap[k] > largest:
                largest = float(gap[k])
                piece = f"piece {k + 1} of {len(at)}"
                values = f"{best.outcome.w[at][k]:.4g} against {other.outcome.w[at][k]:.4g}"
                text = f"They differ most in {name} @ {placement.operation.name}, {piece}: {values}"
    return text or "They differ in durations or parameters"
