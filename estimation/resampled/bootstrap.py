"""How would the fit scatter if the data were taken again? `bootstrap`: the fit repeated with resampled data.

Sources: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapters 6, 9 and 14 (BCa intervals); Davison &
Hinkley, Bootstrap Methods and their Application (1997), section 6.2 (residuals adjusted by their leverage).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.grid import is_whole

if TYPE_CHECKING:
    import pandas as pd

    from titer.estimation.fit import Fit
    from titer.estimation.resampled.resampling import Plan, Record

Array = np.ndarray
Progress = Callable[[str], None]


class Bootstrap(Enum):
    """How data are taken again; the value says it."""

    PARAMETRIC = "noise drawn from its normal distribution, around the fit"
    RESIDUAL = "standardized residuals of each name drawn with replacement, around the fit"
    BATCH = "whole experiments drawn with replacement"


@dataclass(frozen=True, eq=False)
class Replicates:
    """Fits to resampled data.

    `values`: a row for each solved replicate, by its number, a column for each decided number; NaN where it belongs to
    an experiment that was not drawn. `failed`: status and message of the others. `solves`: objective, iterations,
    seconds of computing and process of all. `reference`: the numbers of the fit, or those the noise was drawn around.
    `acceleration`: of BCa intervals.
    """

    kind: Bootstrap
    seed: int
    count: int
    values: pd.DataFrame
    failed: pd.DataFrame
    solves: pd.DataFrame
    reference: pd.Series
    acceleration: pd.Series

    @property
    def covariance(self) -> pd.DataFrame:
        """Covariance of the decided numbers over the replicates, in their units."""
        return self.values.cov()

    @property
    def standard_errors(self) -> pd.Series:
        """Standard deviations over the replicates."""
        return self.values.std().rename("standard error")

    @property
    def bias(self) -> pd.Series:
        """Mean over the replicates less the reference."""
        return (self.values.mean() - self.reference).rename("bias")

    def interval(self, level: float = 0.95) -> pd.DataFrame:
        """Intervals by label: lower, upper (percentiles), BCa lower, BCa upper (corrected for bias and skewness).

        NaN with fewer than two replicates. Raises SpecificationError for a level outside 0 to 1.
        """
        import pandas as pd

        if not (isinstance(level, float) and 0.0 < level < 1.0):
            raise SpecificationError(f"level must be a number between 0 and 1, such as 0.95, got {level!r}.")
        tails = np.array([0.5 * (1.0 - level), 0.5 * (1.0 + level)])
        rows = {}
        for label in self.values.columns:
            known = self.values[label].dropna().to_numpy()
            if len(known) < 2:
                rows[label] = [np.nan] * 4
                continue
            shares = _corrected(known, float(self.reference[label]), float(self.acceleration[label]), tails)
            rows[label] = [*np.quantile(known, tails), *np.quantile(known, shares)]
        return pd.DataFrame.from_dict(rows, orient="index", columns=["lower", "upper", "BCa lower", "BCa upper"])

    def __str__(self) -> str:
        import pandas as pd

        lines = [f"bootstrap, {self.kind.value}: {len(self.values)} of {self.count} replicates, seed {self.seed}"]
        columns = {"value": self.reference, "bias": self.bias, "standard error": self.standard_errors}
        table = pd.concat([pd.DataFrame(columns), self.interval()], axis=1)
        lines += table.to_string(float_format=lambda x: f"{x:.4g}").splitlines()
        reasons = self.failed.groupby(["status", "message"], sort=False).groups
        for (status, message), which in reasons.items():
            some = ", ".join(str(k) for k in list(which)[:5]) + (", ..." if len(which) > 5 else "")
            lines.append(f"- {len(which)} failed ({status}: {message}): replicate {some}")
        return "\n".join(lines)


def bootstrap(
    fit: Fit,
    count: int = 200,
    kind: Bootstrap = Bootstrap.PARAMETRIC,
    seed: int = 0,
    folder: str | Path | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
    around: Mapping[str, float] | None = None,
) -> Replicates:
    """Repeat a fit `count` times with resampled data; replicate k depends on `seed` and k only.

    `folder`: keeps each finished replicate in a file of its own; a second call, with a larger count too, goes on from
    there. `jobs`: processes; None: as many as pay. `progress` is told of every replicate. `around`: {name: value} the
    noise is drawn around instead of the fitted ones, for a Monte Carlo study; numbers that are not named keep the
    fit's.

    Replicates that fail are kept, counted and explained. Standard deviations that were estimated are estimated in each
    replicate; others keep the numbers that the fit used. Priors are not drawn again: with them, the scatter is that of
    the estimate, less than the uncertainty in `fit.covariance`. By batch, what an experiment has for itself moves with
    the shared numbers only, as its data are drawn as they are: its scatter is no standard error.
    Raises SpecificationError for a fit that was not solved, data that cannot be resampled, and a folder of another fit.
    """
    from titer.estimation.resampled.replicates import carried_out
    from titer.estimation.resampled.resampling import accelerations, planned

    _check(fit, count, kind, seed, jobs, around)
    reference = np.array([n.value for n in fit.numbers])
    if around is not None:
        reference = _named(fit, around, reference)
    plan = planned(fit, kind, seed, None if around is None else reference)
    records = carried_out(plan, fit, reference, count, folder, jobs, progress)
    return _collected(plan, records, reference, accelerations(fit, plan), count)


def _check(
    fit: Fit, count: int, kind: Bootstrap, seed: int, jobs: int | None, around: Mapping[str, float] | None
) -> None:
    if not fit.status.ok:
        raise SpecificationError(f"bootstrap: the fit was not solved: {fit.status.value}.")
    if not isinstance(kind, Bootstrap):
        known = ", ".join(f"Bootstrap.{k.name}" for k in Bootstrap)
        raise SpecificationError(f"bootstrap: kind is one of {known}, got {kind!r}.")
    for what, value, least in (("count", count, 1), ("seed", seed, 0), ("jobs", 1 if jobs is None else jobs, 1)):
        if not is_whole(value, least):
            raise SpecificationError(f"bootstrap: {what} must be a whole number of at least {least}, got {value!r}.")
    if kind is not Bootstrap.BATCH:
        return
    if around is not None:
        raise SpecificationError("bootstrap: by batch, data are drawn as they are; leave around= out.")
    if len(fit.experiments) < 2:
        raise SpecificationError(
            "bootstrap: one experiment cannot be resampled by batch.\n"
            "  Take Bootstrap.PARAMETRIC or Bootstrap.RESIDUAL, or more experiments."
        )
    if fit.loss is not None:
        raise SpecificationError(
            f"bootstrap: by batch, experiments are weighted, which needs least squares; this fit has {fit.loss}.\n"
            f"  Take Bootstrap.RESIDUAL, or fit without a loss."
        )


def _named(fit: Fit, around: Mapping[str, float], values: Array) -> Array:
    """The numbers of a fit (k,) with other values for those that are named, by name or by label."""
    values = values.copy()
    for name, value in around.items():
        found = [k for k, n in enumerate(fit.numbers) if str(name) in (n.name, n.label)]
        if not found:
            raise SpecificationError(f"bootstrap: around: {unknown('number', name, [n.label for n in fit.numbers])}")
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not np.isfinite(value):
            raise SpecificationError(f"bootstrap: around: {name} needs a finite number, got {value!r}.")
        values[found] = float(value)
    return values


def _corrected(values: Array, reference: float, acceleration: float, tails: Array) -> Array:
    """The shares of replicates at which BCa intervals end (Efron & Tibshirani 1993, equation 14.10)."""
    from scipy.stats import norm

    same = np.isclose(values, reference, rtol=1e-9, atol=0.0)
    below = float(((values < reference) & ~same).mean() + 0.5 * same.mean())
    bias = norm.ppf(np.clip(below, 0.5 / len(values), 1.0 - 0.5 / len(values)))
    reach = bias + norm.ppf(tails)
    return norm.cdf(bias + reach / np.maximum(1.0 - acceleration * reach, 1e-3))


def _collected(
    plan: Plan, records: Mapping[int, Record], reference: Array, acceleration: Array, count: int
) -> Replicates:
    import pandas as pd

    labels = list(plan.labels)
    good = {k: r for k, r in records.items() if r.ok}
    bad = {k: r for k, r in records.items() if not r.ok}
    index = pd.Index(list(records), name="replicate", dtype=int)
    solves = {
        "objective": [r.objective for r in records.values()],
        "iterations": [r.iterations for r in records.values()],
        "seconds": [r.seconds for r in records.values()],
        "process": [r.process for r in records.values()],
    }
    reasons = [(r.status, r.message) for r in bad.values()]
    return Replicates(
        kind=plan.kind,
        seed=plan.seed,
        count=count,
        values=pd.DataFrame(
            np.array([r.values for r in good.values()]).reshape(len(good), len(labels)),
            index=pd.Index(list(good), name="replicate", dtype=int),
            columns=labels,
        ),
        failed=pd.DataFrame(
            reasons, index=pd.Index(list(bad), name="replicate", dtype=int), columns=["status", "message"]
        ),
        solves=pd.DataFrame(solves, index=index),
        reference=pd.Series(reference, index=labels, name="reference"),
        acceleration=pd.Series(acceleration, index=labels, name="acceleration"),
    )
