"""How is a fit repeated with other data? `Refit`: what its program needs for that and no more, so that it travels.

Resampling solves the same program hundreds of times, in other processes too: `Refit` is `Work` without the plant and
the trajectories, which a process cannot always be sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import casadi as ca
import numpy as np

from titer.estimation.statistics.covariance import taken
from titer.numerics.program import Scaling
from titer.numerics.solvers import Engine, Manner, Outcome, Status

if TYPE_CHECKING:
    from titer.estimation.fit import Fit

Array = np.ndarray
_NO_WEIGHT = 1e10  # by which a standard deviation grows where an experiment does not count
_BARRIER = 1e-9  # that a repeated fit begins with
_ROUNDS = 50  # of standard deviations and parameters in turn
_SETTLED = 1e-4  # relative change of a standard deviation that parameters do not feel


@dataclass(frozen=True, eq=False)
class Group:
    """Measurements (n,) of a name in an experiment: cells of what the prediction reads, and of the data (3, n).

    `estimated`: whether the standard deviation is estimated; `deviations`: as the fit has them.
    """

    experiment: int
    name: str
    estimated: bool
    model: ca.Function
    reads: Array
    data: Array
    measured: Array
    deviations: Array

    def predicted(self, w: Array, data: Array) -> Array:
        """Predictions (n,) where the columns are `w`."""
        return np.array(self.model.map(self.reads.shape[1])(np.concatenate([w, data])[self.reads])).ravel()


@dataclass(frozen=True, eq=False)
class Refit:
    """The program of a fit with its solution: columns `w`, data, and where the decided numbers (k) stand.

    `owners` (k,): the experiment that has a number for itself, -1 where all share it; `taken` (k,): degrees of
    freedom that it takes.
    """

    engine: Engine
    scaling: Scaling
    lower: Array
    upper: Array
    w: Array
    data: Array
    groups: tuple[Group, ...]
    columns: Array
    owners: Array
    taken: Array

    @staticmethod
    def of(fit: Fit) -> Refit:
        """What a fit can be repeated with."""
        work = fit.work
        started = work.solved.started
        lower, upper = started.engine.nlp.relaxed(started.scaling.columns, started.reached.relaxation)
        return Refit(
            engine=_warm(started.engine),
            scaling=started.scaling,
            lower=lower,
            upper=upper,
            w=work.outcome.w,
            data=work.data,
            groups=_groups(fit),
            columns=np.array([n.column for n in work.numbers], dtype=int),
            owners=np.array([-1 if n.experiment is None else n.experiment for n in work.numbers], dtype=int),
            taken=taken(work),
        )

    def predicted(self, w: Array | None = None) -> list[Array]:
        """Predictions of every group, of the fit or of other columns."""
        return [g.predicted(self.w if w is None else w, self.data) for g in self.groups]

    def at(self, values: Array) -> Outcome:
        """The program with all decided numbers held at values (k,)."""
        held = dict(zip(self.columns.tolist(), values.tolist(), strict=True))
        return self._solved(self.data, held, self.w)

    def repeated(
        self,
        measured: Sequence[Array] | None = None,
        weights: Array | None = None,
        own: Mapping[int, float] | None = None,
    ) -> Outcome:
        """Fit again to other measurements, by group, or with experiments that count `weights` times (experiments,).

        Standard deviations that are estimated are estimated again. Numbers that an experiment which does not count has
        for itself are held: at `own`, by column, or where they were. A weight other than 0 and 1 is exact for least
        squares, not for a robust loss.
        """
        weights = np.ones(1 + max(g.experiment for g in self.groups)) if weights is None else weights
        factors = np.where(weights > 0.0, 1.0 / np.sqrt(np.maximum(weights, 1e-300)), _NO_WEIGHT)
        data = self.data.copy()
        for k, group in enumerate(self.groups):
            data[group.data[1]] = group.measured if measured is None else measured[k]
            data[group.data[2]] = group.deviations * factors[group.experiment]
        idle = np.flatnonzero((self.owners >= 0) & (weights[self.owners] == 0.0))
        held = {int(column): float(self.w[column]) for column in self.columns[idle]} | dict(own or {})
        outcome = self._solved(data, held, self.w)
        for _ in range(_ROUNDS):
            if not outcome.status.ok or not self._reweighted(data, outcome.w, weights, factors):
                return outcome
            outcome = self._solved(data, held, outcome.w)
        return outcome

    def _reweighted(self, data: Array, w: Array, weights: Array, factors: Array) -> bool:
        """Put the standard deviations that the residuals have into the data, as `estimate` does; whether one moved."""
        fitted = (self.owners < 0) | (weights[self.owners] > 0.0)
        measured = sum(weights[g.experiment] * g.data.shape[1] for g in self.groups)
        left = 1.0 - self.taken[fitted].sum() / max(measured, 1.0)
        members: dict[str, list[Group]] = {}
        for group in self.groups:
            if group.estimated:
                members.setdefault(group.name, []).append(group)
        moved = False
        for own in members.values():
            squares = sum(
                weights[g.experiment] * float(((g.predicted(w, data) - data[g.data[1]]) ** 2).sum()) for g in own
            )
            count = sum(weights[g.experiment] * g.data.shape[1] for g in own)
            if not count:
                continue
            before = float(data[own[0].data[2][0]] / factors[own[0].experiment])
            deviation = max(float(np.sqrt(squares / (count * max(left, 1e-3)))), 1e-12 * before)
            moved = moved or abs(deviation / before - 1.0) > _SETTLED
            for group in own:
                data[group.data[2]] = deviation * factors[group.experiment]
        return moved

    def _solved(self, data: Array, held: Mapping[int, float], start: Array) -> Outcome:
        lower, upper, w = self.lower.copy(), self.upper.copy(), start.copy()
        for column, value in held.items():
            w[column] = lower[column] = upper[column] = value
        outcome = self.engine.solve(w, self.scaling, lower, upper, data)
        if outcome.status.ok or outcome.status is Status.INTERRUPTED:
            return outcome
        return self.engine.solve(w, self.scaling, lower, upper, data, manner=Manner.FAR)


def _warm(engine: Engine) -> Engine:
    """The same program with a barrier that does not push a start away which is nearly the solution: some 5 iterations
    in place of 50."""
    solver = engine.solver
    return Engine(engine.nlp, replace(solver, options={**solver.options, "mu_init": _BARRIER}))


def _groups(fit: Fit) -> tuple[Group, ...]:
    """The measurements, in the order of `Work.samples`."""
    work = fit.work
    assembled = work.solved.started.assembled
    samples = iter(work.samples())
    groups = []
    for placements in assembled.runs:
        for placement in placements:
            where = assembled.nlp.cells[placement.block.name]
            for sampled in placement.samples:
                s = next(samples)
                estimated = s.name in fit.experiments[s.experiment].estimated
                reads = where[sampled.index]
                group = Group(s.experiment, s.name, estimated, sampled.model, reads, s.data, s.measured, s.deviations)
                groups.append(group)
    return tuple(groups)
