"""What does one replicate of a bootstrap do? `Plan`: draw data by the seed and a number, fit, report."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.estimation.resampled.bootstrap import Bootstrap
from titer.estimation.resampled.refit import Refit
from titer.numerics.errors import SolveError, SpecificationError
from titer.numerics.solvers import Status

if TYPE_CHECKING:
    from titer.estimation.fit import Fit

Array = np.ndarray
_FEWEST = 3  # residuals of a name that can be resampled
_LEVERED = 1e-6  # 1 - leverage below which a residual says nothing of the noise: the fit passes through


@dataclass(frozen=True, eq=False)
class Record:
    """What became of a replicate: decided numbers (NaN: not drawn) where it was solved, and how; else why not."""

    status: str
    message: str
    values: tuple[float, ...]
    objective: float
    iterations: int
    seconds: float
    process: int

    @property
    def ok(self) -> bool:
        return not self.message


@dataclass(frozen=True, eq=False)
class Plan:
    """A bootstrap as data. `center`: predictions the noise is drawn around, by group; `pools`: standardized residuals
    by name; `labels`: of the decided numbers."""

    refit: Refit
    kind: Bootstrap
    seed: int
    center: tuple[Array, ...]
    pools: Mapping[str, Array]
    labels: tuple[str, ...]

    def replicate(self, k: int) -> Record:
        """Draw the data of replicate `k` and fit them. Raises KeyboardInterrupt where the user stops the solve."""
        began = time.process_time()
        weights = self._weights(k) if self.kind is Bootstrap.BATCH else None
        status, message, values, objective, iterations = "ERROR", "", np.zeros(0), np.nan, 0
        try:
            outcome = self.refit.repeated(None if weights is not None else self.drawn(k), weights)
        except (RuntimeError, ValueError, np.linalg.LinAlgError) as error:
            message = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
        else:
            if outcome.status is Status.INTERRUPTED:
                raise KeyboardInterrupt
            status, objective, iterations = outcome.status.name, outcome.objective, outcome.iterations
            message = "" if outcome.status.ok else outcome.status.value
            values = outcome.w[self.refit.columns]
        if weights is not None and len(values):
            idle = (self.refit.owners >= 0) & (weights[self.refit.owners] == 0)
            values = np.where(idle, np.nan, values)
        numbers = tuple(float(v) for v in values) if not message else ()
        seconds = time.process_time() - began
        return Record(status, message, numbers, float(objective), iterations, seconds, os.getpid())

    def drawn(self, k: int) -> list[Array]:
        """Measurements of replicate `k`, by group."""
        rng = np.random.default_rng([self.seed, k])
        found = []
        for group, center in zip(self.refit.groups, self.center, strict=True):
            pool = self.pools.get(group.name)
            noise = rng.normal(size=len(center)) if pool is None else rng.choice(pool, size=len(center))
            found.append(center + group.deviations * noise)
        return found

    def _weights(self, k: int) -> Array:
        """How often each experiment is drawn in replicate `k`."""
        count = 1 + max(g.experiment for g in self.refit.groups)
        drawn = np.random.default_rng([self.seed, k]).integers(count, size=count)
        return np.bincount(drawn, minlength=count).astype(float)


def planned(fit: Fit, kind: Bootstrap, seed: int, around: Array | None) -> Plan:
    """The bootstrap of a fit, around it or around other values (k,) of its numbers. Raises SpecificationError for data
    that cannot be resampled, SolveError where the equations cannot be solved at those values."""
    refit = Refit.of(fit)
    w = None
    if around is not None:
        outcome = refit.at(around)
        if not outcome.status.ok:
            raise SolveError(f"bootstrap: around: the plant cannot be solved there: {outcome.status.value}.", fit)
        w = outcome.w
    pools = _pools(fit) if kind is Bootstrap.RESIDUAL else {}
    return Plan(refit, kind, int(seed), tuple(refit.predicted(w)), pools, tuple(n.label for n in fit.numbers))


def accelerations(fit: Fit, plan: Plan) -> Array:
    """The acceleration of each decided number (k,): a sixth of the skewness of its linearized scatter.

    Of normal noise there is none. Source: Efron & Tibshirani (1993), section 14.3, with influence functions in place of
    the jackknife.
    """
    found = np.zeros(len(plan.labels))
    if plan.kind is Bootstrap.PARAMETRIC:
        return found
    seen = fit.information
    influence = _influence(fit)
    cubes, squares = np.zeros(len(influence)), np.zeros(len(influence))
    parts = np.split(influence, np.cumsum([len(s.times) for s in seen.samples])[:-1], axis=1)
    if plan.kind is Bootstrap.RESIDUAL:
        for s, part in zip(seen.samples, parts, strict=True):
            pool = plan.pools[s.name]
            cubes += (part**3).sum(axis=1) * (pool**3).mean()
            squares += (part**2).sum(axis=1) * (pool**2).mean()
    else:
        moves = np.zeros((len(influence), len(fit.experiments)))
        for s, part in zip(seen.samples, parts, strict=True):
            moves[:, s.experiment] -= part @ s.residuals
        cubes, squares = (moves**3).sum(axis=1), (moves**2).sum(axis=1)
    skewed = np.where(squares > 0.0, cubes / (6.0 * np.maximum(squares, 1e-300) ** 1.5), 0.0)
    for number, value in zip(seen.numbers, skewed, strict=True):
        if plan.kind is Bootstrap.RESIDUAL or number.experiment is None:
            found[plan.labels.index(number.label)] = value
    return found


def _pools(fit: Fit) -> dict[str, Array]:
    """Residuals of each name over all experiments: standardized, adjusted by their leverage, with zero mean."""
    seen = fit.information
    leverage = np.clip(np.einsum("ij,ji->i", seen.jacobian, _influence(fit)), 0.0, 1.0)
    parts = np.split(leverage, np.cumsum([len(s.times) for s in seen.samples])[:-1])
    members: dict[str, list[Array]] = {}
    for s, h in zip(seen.samples, parts, strict=True):
        known = 1.0 - h > _LEVERED
        members.setdefault(s.name, []).append(-s.residuals[known] / np.sqrt(1.0 - h[known]))
    pools = {}
    for name, own in members.items():
        pool = np.concatenate(own)
        if len(pool) < _FEWEST:
            raise SpecificationError(
                f"bootstrap: {name} has {len(pool)} residuals that say something of its noise, too few to resample.\n"
                f"  Take Bootstrap.PARAMETRIC."
            )
        pools[name] = pool - pool.mean()
    return pools


def _influence(fit: Fit) -> Array:
    """By how much the free numbers (k) move with each measurement, in its standard deviations (k, n)."""
    seen = fit.information
    known = [fit.free[n.name].prior for n in seen.numbers]
    matrix = seen.gauss_newton + np.diag([0.0 if prior is None else prior[1] ** -2 for prior in known])
    size = np.sqrt(np.diag(matrix))
    size[size == 0.0] = 1.0
    return np.linalg.pinv(matrix / np.outer(size, size), hermitian=True) / np.outer(size, size) @ seen.jacobian.T
