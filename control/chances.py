"""Which scenarios may miss a limit? A plan whose limits hold in a wanted share of its scenarios.

Choosing the scenarios is a combinatorial problem. It is approached from the safe side: first the mean of the worst
scenarios must hold, which implies the share (Nemirovski & Shapiro, SIAM J. Optim. 17 (2006) 969); then a smooth step of
shrinking width counts those that miss it (Luedtke & Ahmed, SIAM J. Optim. 19 (2008) 674); the choice is then fixed, the
program solved with exactly these limits, and scenarios are exchanged while that pays. The result is an ordinary optimum
for the scenarios that it keeps, a local one among choices; the share is counted on its trajectories.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from titer.flowsheets.problems.hedged import cautious, chance_block, counted, excess, missed_by
from titer.flowsheets.problems.hedging import ROUNDING, Hedge
from titer.flowsheets.problems.problem import Problem
from titer.flowsheets.problems.results import read
from titer.flowsheets.problems.solving import Solved, solve
from titer.flowsheets.problems.start import Started
from titer.flowsheets.problems.wires import room_wire
from titer.numerics.errors import SpecificationError
from titer.numerics.solution import Solution
from titer.numerics.solvers import Fatrop, Ipopt, Manner, Outcome, Status

Array = np.ndarray
Kept = tuple[frozenset[int], ...]  # of each chance, the scenarios in which its limit is posed
_WIDTHS = (1.0, 0.3, 0.1, 0.03, 0.01)  # of the smooth step, as shares of the spread of what is missed
_EXCHANGES = 4  # rounds of exchanges, and scenarios tried in each
_CHEAP = 1e-3  # share of the dearest limit's price below which one does not bind: a barrier leaves a price on all
_MISSED = 1e-5  # of a limit's size, by which it may be missed and still count as kept
_ENDED = (Status.TIME, Status.INTERRUPTED)


def solve_with_chances(
    problem: Problem,
    solver: Ipopt | Fatrop,
    start_from: Solution | Sequence[Solution] | None = None,
    starts: int | None = None,
    seed: int = 0,
    refine: float | None = None,
) -> Solved:
    """Solve a problem some of whose limits need not hold in all runs; `stats["chance"]` says in which they do.

    Raises SpecificationError for a solver that needs a chain, SolveError where nothing can start.
    """
    if isinstance(solver, Fatrop):
        raise SpecificationError("optimize: a Chance ties scenarios together, which is no chain; use Ipopt().")
    safe = solve(problem, solver, start_from, starts, seed, refine)
    if safe.started.outcome.status in _ENDED:
        return safe
    search = _Search(safe.started)
    try:
        kept, outcome = search.run()
    except KeyboardInterrupt:
        return _interrupted(safe)
    plain = _plain(problem, kept)
    solved = solve(plain, solver, search.solutions(outcome), 1, seed, refine)
    facts = _facts(search, plain, solved)
    return Solved(solved.started, tuple(replace(s, stats={**s.stats, "chance": facts}) for s in solved.solutions))


def _interrupted(safe: Solved) -> Solved:
    """The cautious plan as what was reached when Ctrl-C came."""
    outcome = replace(safe.started.outcome, status=Status.INTERRUPTED)
    started = replace(safe.started, reached=replace(safe.started.reached, outcome=outcome))
    return Solved(started, tuple(replace(s, status=outcome.status, iterate=started) for s in safe.solutions))


def _plain(problem: Problem, kept: Kept) -> Problem:
    """The problem with the limits posed in the scenarios that keep them, and no others."""
    hedge = _hedge(problem).keeping(kept)
    runs = tuple(
        replace(
            run,
            constraints=(*run.constraints, *(t for t, own in zip(run.roomy, kept, strict=True) if r in own)),
            roomy=(),
        )
        for r, run in enumerate(problem.runs)
    )
    return replace(problem, runs=runs, hedge=hedge)


def _hedge(problem: Problem) -> Hedge:
    assert problem.hedge is not None
    return problem.hedge


@dataclass(frozen=True)
class _Choice:
    """Scenarios that keep their limits, and the optimum with exactly these limits."""

    kept: Kept
    outcome: Outcome


class _Search:
    """Solves of one program with other bounds and widths, nothing built again; `levels` says what each gave."""

    def __init__(self, started: Started):
        self.started, self.hedge = started, _hedge(started.assembled.problem)
        assembled = started.assembled
        self.nlp, self.scaling, self.count = assembled.nlp, started.scaling, len(self.hedge.chances)
        n = len(assembled.problem.runs)
        self.rooms = np.array([[self._cell(room_wire(c, r)) for r in range(n)] for c in range(self.count)])
        self.level = np.array([self.nlp.cells[chance_block(c)][0] for c in range(self.count)])
        self.terms = [[placement.terms for placement in run] for run in assembled.runs]
        missed = [self.missed(c, started.solutions) for c in range(self.count)]
        self.spread = np.array([max(float(np.ptp(each)), 1e-3 * size) for each, size in missed])
        self.most = np.array([1e2 * (size + float(np.abs(each).max())) for each, size in missed])
        opened = (-np.inf, np.inf)
        off = {name(c): opened for c in range(self.count) for name in (cautious, counted, excess)}
        self.exact = started.engine.limited(off)
        self.smooth = self.exact.limited({counted(c): (-np.inf, 0.0) for c in range(self.count)})
        self.levels: list[dict[str, Any]] = []

    def run(self) -> tuple[Kept, Outcome]:
        """The best choice that was found; where none is feasible, the last that was tried."""
        begun = self.started.outcome
        if begun.status.ok:
            self._note("cautious: the mean of the worst holds", begun)
        tried: dict[Kept, _Choice] = {}
        for kept, w in list(self._proposals(begun)):
            if kept not in tried:
                tried[kept] = self._exactly(kept, w)
        good = [choice for choice in tried.values() if choice.outcome.status.ok]
        if not good:
            last = list(tried.values())[-1]
            return last.kept, last.outcome
        best = min(good, key=lambda choice: choice.outcome.objective)
        for _ in range(_EXCHANGES):
            better = self._exchanged(best, tried)
            if better is None:
                break
            best = better
        return best.kept, best.outcome

    def missed(self, c: int, solutions: Sequence[Solution]) -> tuple[Array, float]:
        """By how much each scenario misses a limit on these trajectories, and the size of the limit."""
        known = [dict(s.values) for s in solutions]
        return missed_by(c, self.terms, [s.phases for s in solutions], known)

    def solutions(self, outcome: Outcome) -> list[Solution]:
        """The trajectories of an outcome, to start from."""
        assembled = self.started.assembled
        return [read(assembled, r, outcome, (), {}) for r in range(len(assembled.runs))]

    def _cell(self, wire: Any) -> int:
        return int(self.nlp.cells[wire.block][0])

    def _proposals(self, begun: Outcome) -> Iterator[tuple[Kept, Array]]:
        """Choices, from the safe plan and from each width of the smooth step."""
        w = begun.w
        yield self._chosen(w), w
        for width in _WIDTHS:
            outcome = self._smoothed(w, width)
            said = f"smooth step of width {width:g} of the spread"
            self._note(said if outcome.status.ok else f"{said}: {outcome.status.value}", outcome)
            if outcome.status is Status.TIME:
                return
            if outcome.status.ok:
                w = outcome.w
                yield self._chosen(w), w

    def _smoothed(self, w: Array, width: float) -> Outcome:
        lower, upper = self._bounds()
        lower[self.rooms], upper[self.rooms] = 0.0, self.most[:, None]
        data = self.nlp.data.copy()
        for c in range(self.count):
            data[self.nlp.cells[chance_block(c)][1] - self.nlp.columns] = width * self.spread[c]
        return self.smooth.solve(np.clip(w, lower, upper), self.scaling, lower, upper, data)

    def _exactly(self, kept: Kept, w: Array) -> _Choice:
        """The optimum with the limits in these scenarios and in no others."""
        lower, upper = self._bounds()
        for c, own in enumerate(kept):
            for r, cell in enumerate(self.rooms[c]):
                lower[cell], upper[cell] = 0.0, 0.0 if r in own else self.most[c]
        start = np.clip(w, lower, upper)
        outcome = self.exact.solve(start, self.scaling, lower, upper)
        if not outcome.status.ok and outcome.status not in _ENDED:
            outcome = self.exact.solve(start, self.scaling, lower, upper, manner=Manner.FAR)
        held = ", ".join(str(len(own)) for own in kept)
        self._note(f"exactly, kept in {held} of {self.rooms.shape[1]} scenarios", outcome)
        return _Choice(kept, outcome)

    def _bounds(self) -> tuple[Array, Array]:
        lower, upper = self.nlp.relaxed(self.scaling.columns, self.started.reached.relaxation)
        lower, upper = lower.copy(), upper.copy()
        lower[self.level] = upper[self.level] = 0.0
        return lower, upper

    def _chosen(self, w: Array) -> Kept:
        """The scenarios that keep each limit: all but as many of those with the most room as may miss it."""
        kept = []
        for c, cells in enumerate(self.rooms):
            given_up: set[int] = set()
            left = self.hedge.chances[c].allowed + ROUNDING
            for r in np.argsort(-w[cells], kind="stable"):
                if self.hedge.weights[r] <= left:
                    given_up.add(int(r))
                    left -= self.hedge.weights[r]
            kept.append(frozenset(range(len(cells))) - given_up)
        return tuple(kept)

    def _exchanged(self, best: _Choice, tried: dict[Kept, _Choice]) -> _Choice | None:
        """A better choice that gives up the scenario whose limit costs most, for one that keeps it instead."""
        for c in range(self.count):
            prices = self._prices(c, best.outcome)
            least = _CHEAP * prices.max(initial=0.0)
            dear = sorted((r for r in best.kept[c] if prices[r] > least), key=lambda r: -prices[r])[:_EXCHANGES]
            missed, _ = self.missed(c, self.solutions(best.outcome))
            given_up = sorted(set(range(len(prices))) - best.kept[c], key=lambda r: missed[r])[:_EXCHANGES]
            for out in dear:
                for into in given_up:
                    own = (best.kept[c] - {out}) | {into}
                    kept = (*best.kept[:c], frozenset(own), *best.kept[c + 1 :])
                    lost = 1.0 - sum(self.hedge.weights[r] for r in own)
                    if kept in tried or lost > self.hedge.chances[c].allowed + ROUNDING:
                        continue
                    choice = tried[kept] = self._exactly(kept, best.outcome.w)
                    gain = best.outcome.objective - choice.outcome.objective
                    if choice.outcome.status.ok and gain > 1e-7 * max(1e-12, abs(best.outcome.objective)):
                        return choice
        return None

    def _prices(self, c: int, outcome: Outcome) -> Array:
        """What the limit of each scenario costs: the multipliers of its rows."""
        text = self.label(c)
        prices, first = np.zeros(self.rooms.shape[1]), 0
        for batch in self.nlp.batches:
            count = batch.rows * batch.copies
            run, slash, _ = batch.labels.phase.partition("/")
            if count and slash and text in batch.labels.texts:
                own = np.abs(outcome.row_multipliers[first : first + count])
                prices[int(run) - 1] += float(own[batch.labels.texts == text].sum())
            first += count
        return prices

    def label(self, c: int) -> str:
        """What a chance's limit is called."""
        entries = (p for phase in self.terms[0] for p in (*phase.paths, *phase.at_start, *phase.at_end, *phase.totals))
        return next(placed.term.label() for placed in entries if placed.chance == c)

    def _note(self, stage: str, outcome: Outcome) -> None:
        if outcome.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        objective = self.started.assembled.problem.sign * outcome.objective if outcome.status.ok else float("nan")
        solutions = self.solutions(outcome)
        shares = [self.share(c, solutions) for c in range(self.count)]
        self.levels.append({"stage": stage, "objective": objective, "counted": shares})

    def share(self, c: int, solutions: Sequence[Solution]) -> float:
        """The weight of the scenarios in which a limit holds on these trajectories."""
        missed, size = self.missed(c, solutions)
        return float(self.hedge.weights[missed <= _MISSED * size].sum())


def _facts(search: _Search, plain: Problem, solved: Solved) -> dict[str, Any]:
    """By the name of each limit: what was asked, what was counted, which scenarios miss it and by how much."""
    facts: dict[str, Any] = {}
    for c, chance in enumerate(_hedge(plain).chances):
        missed, size = search.missed(c, solved.solutions)
        by = np.flatnonzero(missed > _MISSED * size)
        label = search.label(c)
        facts[label if label not in facts else f"{label} ({c + 1})"] = {
            "asked": float(chance.at_least),
            "counted": search.share(c, solved.solutions),
            "violated_by": [int(r) for r in by],
            "missed": [float(missed[r]) for r in by],
            "levels": [{**level, "counted": level["counted"][c]} for level in search.levels],
        }
    return facts
