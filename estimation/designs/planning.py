"""Which decisions make a criterion of several batches small? A search over inputs, starts, durations and times at once.

The objective is the mean, over what the parameters may be, of the logarithm of the criterion; its gradient is exact.
From several starts: sampling times by exchange among candidate times (Fedorov), then everything together by sequential
quadratic programming (SLSQP). Sources: Fedorov, Theory of Optimal Experiments (1972); Kraft, DFVLR-FB 88-28 (1988).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from titer.estimation.designs.criterion import RIDGE, Criterion
from titer.estimation.designs.prospect import Course, Prospect
from titer.estimation.designs.seeing import Seen, pull, see

Array = np.ndarray
_CANDIDATES = 61  # times among which samples are exchanged
_SWEEPS = 10
_BETTER = 1e-9  # of a logarithm


@dataclass(frozen=True, eq=False)
class Aim:
    """What is to be made small: a criterion of the numbers of `interest` (indices of the shared ones).

    `known` (k, k): what is known of the shared numbers before; `sizes` (k,): theirs. `shared`: of each batch, which of
    its numbers are which shared ones (-1: its own); `own_known`, `own_sizes`: of its own numbers.
    """

    criterion: Criterion
    known: Array
    sizes: Array
    interest: Array
    shared: tuple[Array, ...]
    own_known: tuple[Array, ...]
    own_sizes: tuple[Array, ...]

    def total(self, informations: Sequence[Array]) -> tuple[Array, list[Array]]:
        """The information of the shared numbers, those of each batch alone marginalized, and how: K of K M K'."""
        total, how = self.known.copy(), []
        for information, shared, known, sizes in zip(
            informations, self.shared, self.own_known, self.own_sizes, strict=True
        ):
            own = shared < 0
            k = np.zeros((len(self.sizes), len(shared)))
            k[shared[~own], np.flatnonzero(~own)] = 1.0
            if own.any():
                corner = information[np.ix_(own, own)] + np.diag(known + RIDGE / sizes**2)
                k[:, own] = -k[:, ~own] @ np.linalg.solve(corner, information[np.ix_(own, ~own)]).T
                information = information.copy()
                information[np.ix_(own, own)] = corner
            total += k @ information @ k.T
            how.append(k)
        return total, how

    def relative(self, total: Array) -> tuple[Array, Array]:
        """The information of what is of interest, relative to sizes, and how: K of K M K'."""
        kept = np.zeros(len(self.sizes), dtype=bool)
        kept[self.interest] = True
        k = np.zeros((len(self.interest), len(self.sizes)))
        k[np.arange(len(self.interest)), self.interest] = 1.0
        scaled = total * np.outer(self.sizes, self.sizes)
        if not kept.all():
            corner = scaled[np.ix_(~kept, ~kept)] + RIDGE * np.eye((~kept).sum())
            k[:, ~kept] = -np.linalg.solve(corner, scaled[np.ix_(~kept, self.interest)]).T
            scaled = scaled.copy()
            scaled[np.ix_(~kept, ~kept)] = corner
        return k @ scaled @ k.T, k * self.sizes

    def value(self, informations: Sequence[Array]) -> float:
        """The criterion itself; infinite where something of interest stays undetermined."""
        return self.criterion.error(self.relative(self.total(informations)[0])[0])

    def smooth(self, informations: Sequence[Array], power: float) -> tuple[float, list[Array]]:
        """The logarithm of a smooth criterion, and its derivatives in the information of each batch."""
        total, how = self.total(informations)
        relative, down = self.relative(total)
        value, slope = self.criterion.smooth(relative, power)
        outer = down.T @ slope @ down
        return value, [k.T @ outer @ k for k in how]


@dataclass(frozen=True, eq=False)
class Plan:
    """Decisions of each batch, and times of each of its groups."""

    decided: tuple[Array, ...]
    times: tuple[tuple[Array, ...], ...]


@dataclass(eq=False)
class Planning:
    """Prospects, the values that their parameters may have (of each batch, by scenario), and an aim.

    The first scenario is what is believed: limits are kept there.
    """

    prospects: Sequence[Prospect]
    scenarios: Sequence[Sequence[Array]]
    aim: Aim
    courses: dict[tuple[int, int], Course] = field(default_factory=dict)

    def course(self, s: int, b: int, decided: Array) -> Course:
        """The batch with these decisions in a scenario, started from the one before. Raises LostError."""
        theta, near = self.scenarios[s][b], self.courses.get((s, b))
        if near is not None and np.array_equal(near.w[self.prospects[b].decided], decided):
            return near
        self.courses[s, b] = self.prospects[b].solve(decided, theta, near)
        return self.courses[s, b]

    def seen(self, plan: Plan, s: int) -> list[list[Seen]]:
        """The readings of each batch in a scenario. Raises LostError."""
        return [
            [see(prospect, self.course(s, b, plan.decided[b]), g, times) for g, times in enumerate(plan.times[b])]
            for b, prospect in enumerate(self.prospects)
        ]

    def value(self, plan: Plan) -> float:
        """The criterion, its logarithm averaged over the scenarios, of batches simulated anew. Raises LostError."""
        self.courses.clear()
        logs = [
            np.log(self.aim.value([np.asarray(sum(x.information for x in own)) for own in self.seen(plan, s)]))
            for s in range(len(self.scenarios))
        ]
        return float(np.exp(np.mean(logs)))

    def smooth(self, plan: Plan, power: float) -> tuple[float, list[tuple[Array, list[Array]]]]:
        """The objective and, of each batch, its derivatives in the decisions and in the times. Raises LostError."""
        share = 1.0 / len(self.scenarios)
        total = 0.0
        slopes = [(np.zeros(len(p.decided)), [np.zeros(len(t)) for t in plan.times[b]])
                  for b, p in enumerate(self.prospects)]  # fmt: skip
        for s in range(len(self.scenarios)):
            seen = self.seen(plan, s)
            value, weights = self.aim.smooth([np.asarray(sum(x.information for x in own)) for own in seen], power)
            total += share * value
            for b, prospect in enumerate(self.prospects):
                by_decision, by_time = pull(prospect, self.course(s, b, plan.decided[b]), seen[b], weights[b])
                slopes[b][0][:] += share * by_decision
                for own, more in zip(slopes[b][1], by_time, strict=True):
                    own += share * more
        return total, slopes

    def window(self, b: int, decided: Array) -> tuple[float, float]:
        """First and last time at which a batch can be sampled. Raises LostError."""
        first, last = self.prospects[b].proposal.window
        length = self.prospects[b].length(self.course(0, b, decided))[0]
        return min(first, length), min(last, length)

    def spread(self, decided: Sequence[Array]) -> Plan:
        """Decided samples spread evenly over each batch. Raises LostError."""
        times = []
        for b, prospect in enumerate(self.prospects):
            first, last = self.window(b, decided[b])
            times.append(
                tuple(
                    first + (last - first) * np.arange(1, g.count + 1) / g.count if g.decided else g.given
                    for g in prospect.groups
                )
            )
        return Plan(tuple(decided), tuple(times))

    def exchanged(self, plan: Plan) -> Plan:
        """The plan with samples exchanged for candidate times while that makes the criterion smaller."""
        exchange = _Exchange(self, plan)
        for _ in range(_SWEEPS):
            if not exchange.sweep():
                break
        return Plan(plan.decided, tuple(tuple(own) for own in exchange.times))


class _Exchange:
    """Sampling times that are exchanged, one after another, among candidates."""

    def __init__(self, planning: Planning, plan: Plan):
        self.planning, self.power = planning, planning.aim.criterion.steps[0]
        self.decided, self.times = plan.decided, [list(own) for own in plan.times]
        self.slots: list[tuple[int, int, Array]] = []  # batch, group, candidates
        self.tables: dict[tuple[int, int], list[Array]] = {}  # information of each candidate, by scenario
        self.sums: list[list[Array]] = [
            [np.asarray(sum(x.information for x in own)) for own in planning.seen(plan, s)]
            for s in range(len(planning.scenarios))
        ]
        for b, prospect in enumerate(planning.prospects):
            first, last = planning.window(b, plan.decided[b])
            for g, group in enumerate(prospect.groups):
                if group.decided:
                    self.slots.append((b, g, np.linspace(first, last, _CANDIDATES)))
                    self.tables[b, g] = self._each(plan, b, g, self.slots[-1][2])

    def _each(self, plan: Plan, b: int, g: int, times: Array) -> list[Array]:
        planning = self.planning
        return [
            see(planning.prospects[b], planning.course(s, b, plan.decided[b]), g, times).each
            for s in range(len(planning.scenarios))
        ]

    def sweep(self) -> bool:
        """Every sample exchanged once; whether any was."""
        plan = Plan(self.decided, tuple(tuple(own) for own in self.times))
        moved = False
        for b, g, candidates in self.slots:
            present = self._each(plan, b, g, self.times[b][g])
            for i in range(len(self.times[b][g])):
                moved |= self._exchange(b, g, i, candidates, [each[i] for each in present])
        return moved

    def _exchange(self, b: int, g: int, i: int, candidates: Array, own: list[Array]) -> bool:
        times, spacing = self.times[b][g], self.planning.prospects[b].proposal.spacing
        others = np.delete(times, i)
        best, chosen = self._mean(self.sums) - _BETTER, -1
        for j, time in enumerate(candidates):
            if len(others) and np.abs(others - time).min() < spacing * (1.0 - 1e-12):
                continue
            value = self._mean(self._with(b, g, j, own))
            if value < best:
                best, chosen = value, j
        if chosen < 0:
            return False
        self.sums = self._with(b, g, chosen, own)
        times = times.copy()
        times[i] = candidates[chosen]
        self.times[b][g] = times
        return True

    def _with(self, b: int, g: int, j: int, own: list[Array]) -> list[list[Array]]:
        """The information of all batches with a sample exchanged for candidate j, by scenario."""
        return [
            [m - own[s] + self.tables[b, g][s][j] if c == b else m for c, m in enumerate(sums)]
            for s, sums in enumerate(self.sums)
        ]

    def _mean(self, sums: list[list[Array]]) -> float:
        return float(np.mean([self.planning.aim.smooth(own, self.power)[0] for own in sums]))
