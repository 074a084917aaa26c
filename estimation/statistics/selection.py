"""Which of several models do the data support? Information criteria, the likelihood ratio, leave one batch out.

The likelihood is that of normal noise: -2 log L = J + sum log(2 pi deviation^2), J the objective of the fit. A prior is
one more measurement. A standard deviation that is estimated counts as a number of the model, and enters as its most
likely value, that of n in place of n - p.
Sources: Burnham & Anderson, Model Selection and Multimodel Inference (2002), chapters 2 and 6; Wilks, Ann. Math.
Statist. 9 (1938) 60.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.estimation.estimate import estimate
from titer.estimation.experiment import Experiment
from titer.estimation.losses import Loss
from titer.estimation.resampled.refit import Refit
from titer.estimation.statistics.covariance import inverse
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Free
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import Grid
from titer.numerics.solvers import Ipopt

if TYPE_CHECKING:
    import pandas as pd

    from titer.estimation.fit import Fit

Array = np.ndarray
Progress = Callable[[str], None]
_ROUNDING = 1e-6  # of -2 log L, relative: a larger model that is worse by more is not at its best


def aic(fit: Fit) -> float:
    """Akaike's information criterion, -2 log L + 2 k. Raises SpecificationError for a fit with a robust loss."""
    k, _, deviance = _counted(fit)
    return deviance + 2.0 * k


def aicc(fit: Fit) -> float:
    """Akaike's criterion corrected for few data (n), + 2 k (k + 1) / (n - k - 1); infinite where n <= k + 1."""
    k, n, deviance = _counted(fit)
    return deviance + 2.0 * k + (2.0 * k * (k + 1) / (n - k - 1) if n > k + 1 else np.inf)


def bic(fit: Fit) -> float:
    """Schwarz's Bayesian information criterion, -2 log L + k log n. Raises SpecificationError as `aic` does."""
    k, n, deviance = _counted(fit)
    return deviance + k * float(np.log(n))


def compare(fits: Mapping[str, Fit]) -> pd.DataFrame:
    """Models side by side, the best by AICc first: numbers, measurements, -2 log L, AIC, AICc, BIC, difference, weight.

    `weight`: Akaike's, the share of evidence among these models. Raises SpecificationError where the fits are of
    different data, or have a robust loss.
    """
    import pandas as pd

    if not isinstance(fits, Mapping) or not fits:
        raise SpecificationError(f'compare: expected {{"name": fit, ...}}, got {fits!r}.')
    first = next(iter(fits))
    rows = {}
    for name, fit in fits.items():
        _check_same_data(f"compare: {first!r} and {name!r}", fits[first], fit)
        k, n, deviance = _counted(fit)
        rows[name] = (k, n, deviance, aic(fit), aicc(fit), bic(fit))
    columns = ["numbers", "measurements", "-2 log L", "AIC", "AICc", "BIC"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns).sort_values(["AICc", "AIC"])
    best = float(table["AICc"].iloc[0])
    table["difference"] = table["AICc"] - best if np.isfinite(best) else np.nan
    shares = np.exp(-0.5 * table["difference"])
    table["weight"] = shares / shares.sum() if np.isfinite(best) else np.nan
    return table


@dataclass(frozen=True)
class LikelihoodRatio:
    """Twice the gain in log likelihood, the numbers it cost, the probability of as much if the smaller model holds.

    `doubt`: why the probability is not exact, if so.
    """

    statistic: float
    freedom: int
    probability: float
    doubt: str = ""

    def __str__(self) -> str:
        said = f"-2 log ratio = {self.statistic:.4g} for {self.freedom} more numbers, p = {self.probability:.2g}"
        return f"{said}\n- {self.doubt}" if self.doubt else said


def likelihood_ratio(smaller: Fit, larger: Fit) -> LikelihoodRatio:
    """Test a model against a larger one that contains it: the statistic is chi-square if the smaller one holds.

    Raises SpecificationError where the data differ, the smaller model has numbers that the larger has not, or the
    larger fits worse, so that it is not at its best.
    """
    from scipy.stats import chi2

    who = "likelihood_ratio"
    _check_same_data(who, smaller, larger)
    _check_same_noise(smaller, larger)
    extra = {n.label for n in smaller.numbers} - {n.label for n in larger.numbers}
    extra |= _estimated(smaller) - _estimated(larger)
    if extra:
        raise SpecificationError(
            f"{who}: the smaller model decides {', '.join(sorted(extra))}, the larger does not: they are not nested.\n"
            f"  Use compare({{name: fit}}), whose criteria do not need that."
        )
    (k, _, small), (more, _, large) = _counted(smaller), _counted(larger)
    if more <= k:
        raise SpecificationError(f"{who}: the larger model decides {more} numbers, the smaller {k}; expected more.")
    statistic = small - large
    if statistic < -_ROUNDING * max(1.0, abs(small), abs(large)):
        raise SpecificationError(
            f"{who}: the larger model fits worse, by {-statistic:.4g} in -2 log L: it is not at its best.\n"
            f"  Estimate it again from the smaller one's values, or with more starts=."
        )
    held = [n.label for n in larger.numbers if n.bound]
    doubt = f"{', '.join(held)} on a bound: the true probability is smaller" if held else ""
    statistic = max(statistic, 0.0)
    return LikelihoodRatio(statistic, more - k, float(chi2.sf(statistic, more - k)), doubt)


@dataclass(frozen=True, eq=False)
class LeftOut:
    """How each experiment is predicted by a fit to all others.

    `table`: a row for each experiment and name: count, `bias` (mean of predicted less measured), `rms`, the same of the
    fit to all (`rms fitted`), `weighted rms` (in standard deviations). `by_name`: over all experiments, with `Q2` = 1 -
    sum of squares / that about the mean. `residuals`: every measurement. `values`: shared numbers without each
    experiment. `failed`: status of fits that failed. `doubts`: numbers that one experiment alone determines,
    or has for itself without a prior.
    """

    table: pd.DataFrame
    residuals: pd.DataFrame
    values: pd.DataFrame
    failed: pd.DataFrame
    doubts: tuple[str, ...]

    @property
    def by_name(self) -> pd.DataFrame:
        """By name, over all experiments that were predicted: count, bias, rms, rms fitted, weighted rms, Q2."""
        return _summary(self.residuals, ["name"])

    def __str__(self) -> str:
        lines = self.table.to_string(index=False, float_format=lambda x: f"{x:.4g}").splitlines()
        lines += self.by_name.to_string(index=False, float_format=lambda x: f"{x:.4g}").splitlines()
        lines += [f"- {label}: {row['status']}" for label, row in self.failed.iterrows()]
        return "\n".join([*lines, *(f"- {doubt}" for doubt in self.doubts)])


def leave_one_batch_out(
    plant: Flowsheet,
    experiments: Sequence[Experiment],
    free: Sequence[str] | Mapping[str, Free],
    grid: Grid | None = None,
    solver: Ipopt | None = None,
    loss: Loss | None = None,
    progress: Progress | None = None,
) -> LeftOut:
    """Predict each experiment by a fit to all others; arguments as of `estimate`.

    Numbers that an experiment has for itself are not known where it is left out: they are held at the mean of their
    prior, or at their guess. Every fit begins at that to all. Raises as `estimate` does, and for a single experiment.
    """
    return left_out(estimate(plant, experiments, free, grid, solver, loss, progress=progress), progress)


def left_out(fit: Fit, progress: Progress | None = None) -> LeftOut:
    """As `leave_one_batch_out`, of a fit that is there. Raises SpecificationError for a single experiment."""
    import pandas as pd

    if len(fit.experiments) < 2:
        raise SpecificationError("leave_one_batch_out: there is one experiment only; nothing is left to fit.")
    refit = Refit.of(fit)
    shared = [k for k, n in enumerate(fit.numbers) if n.experiment is None]
    guesses = {n.name: n.guess if n.prior is None else n.prior[0] for n in fit.work.solved.started.assembled.numbers}
    fitted = refit.predicted()
    frames, values, failed = [], {}, {}
    for r, experiment in enumerate(fit.experiments):
        label = experiment.label(r)
        if progress is not None:
            progress(f"leave one batch out: {label}")
        weights = np.ones(len(fit.experiments))
        weights[r] = 0.0
        own = {n.column: float(guesses[n.name]) for n in fit.numbers if n.experiment == r}
        outcome = refit.repeated(weights=weights, own=own)
        if not outcome.status.ok:
            failed[label] = outcome.status.value
            continue
        values[label] = outcome.w[refit.columns[shared]]
        for group, before in zip(refit.groups, fitted, strict=True):
            if group.experiment != r:
                continue
            columns = {
                "experiment": label,
                "name": group.name,
                "time": refit.data[group.data[0]],
                "measured": group.measured,
                "predicted": group.predicted(outcome.w, refit.data),
                "fitted": before,
                "deviation": group.deviations,
            }
            frames.append(pd.DataFrame(columns))
    empty = pd.DataFrame(columns=["experiment", "name", "time", "measured", "predicted", "fitted", "deviation"])
    residuals = pd.concat(frames, ignore_index=True) if frames else empty
    return LeftOut(
        _summary(residuals, ["experiment", "name"]).drop(columns="Q2"),
        residuals,
        pd.DataFrame.from_dict(values, orient="index", columns=[fit.numbers[k].label for k in shared]),
        pd.DataFrame.from_dict(failed, orient="index", columns=["status"]),
        _doubts(fit),
    )


def _summary(residuals: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for key, own in residuals.groupby(by, sort=False):
        error = (own["predicted"] - own["measured"]).to_numpy(dtype=float)
        about = (own["measured"] - own["measured"].mean()).to_numpy(dtype=float)
        rms = [np.sqrt((e**2).mean()) for e in (error, own["fitted"] - own["measured"], error / own["deviation"])]
        q2 = 1.0 - (error**2).sum() / (about**2).sum() if (about**2).sum() > 0.0 else np.nan
        rows.append((*key, len(own), error.mean(), *rms, q2))
    return pd.DataFrame(rows, columns=[*by, "count", "bias", "rms", "rms fitted", "weighted rms", "Q2"])


def _doubts(fit: Fit) -> tuple[str, ...]:
    """Shared numbers that are not determined any more when an experiment is left out, and what is only guessed then."""
    seen = fit.information
    owner = np.repeat([s.experiment for s in seen.samples], [len(s.times) for s in seen.samples])
    priors = [fit.free[n.name].prior for n in seen.numbers]
    known = np.diag([0.0 if prior is None else prior[1] ** -2 for prior in priors])
    whole = np.diag(inverse(seen.gauss_newton + known))
    own = dict.fromkeys(n.name for n in fit.numbers if n.experiment is not None and fit.free[n.name].prior is None)
    guesses = {n.name: n.guess for n in fit.work.solved.started.assembled.numbers}
    found = [
        f"{name} of an experiment that is left out is not known: its prediction has the guess {guesses[name]:.4g}"
        for name in own
    ]
    for r, experiment in enumerate(fit.experiments):
        rest = seen.jacobian[owner != r]
        left = [k for k, n in enumerate(seen.numbers) if n.experiment != r]
        now = np.diag(inverse((rest.T @ rest + known)[np.ix_(left, left)]))
        for k, variance in zip(left, now, strict=True):
            if np.isinf(variance) and np.isfinite(whole[k]):
                label = seen.numbers[k].label
                found.append(
                    f"{label} is not determined without {experiment.label(r)}: its prediction is no test of it"
                )
    return tuple(found)


def _counted(fit: Fit) -> tuple[int, int, float]:
    """Numbers of the model, measurements, -2 log likelihood. Raises SpecificationError."""
    if fit.loss is not None:
        raise SpecificationError(
            f"model selection: the fit has the loss {fit.loss}, which is no likelihood.\n"
            f"  Fit without a loss, or use leave_one_batch_out."
        )
    if not fit.status.ok:
        raise SpecificationError(f"model selection: a fit was not solved: {fit.status.value}.")
    priors = np.array([prior[1] for n in fit.numbers if (prior := fit.free[n.name].prior) is not None])
    weighted = fit.residuals["residual"].to_numpy(dtype=float)
    deviance = fit.objective - float((weighted**2).sum()) + float(np.log(2.0 * np.pi * priors**2).sum())
    for errors, spreads, estimated in _errors(fit):
        if estimated:  # at the variance that is most likely, which is not that without bias
            deviance += len(errors) * (float(np.log(2.0 * np.pi * (errors**2).mean())) + 1.0)
        else:
            deviance += float(((errors / spreads) ** 2 + np.log(2.0 * np.pi * spreads**2)).sum())
    return len(fit.numbers) + len(_estimated(fit)), len(weighted) + len(priors), deviance


def _errors(fit: Fit) -> Iterator[tuple[Array, Array, bool]]:
    """Errors and standard deviations: of each name whose noise was estimated, and of all others."""
    seen = fit.residuals
    names = [
        str(name) if name in fit.experiments[number - 1].estimated else ""
        for name, number in zip(seen["name"], seen["experiment"], strict=True)
    ]
    for name, own in seen.groupby(np.array(names, dtype=object), sort=False):
        yield (own["predicted"] - own["measured"]).to_numpy(), own["deviation"].to_numpy(), bool(name)


def _estimated(fit: Fit) -> set[str]:
    """Names whose standard deviation was estimated, as numbers of the model."""
    names = set(fit.residuals["name"])
    return {f"the noise of {name}" for e in fit.experiments for name in e.estimated if name in names}


def _check_same_data(who: str, one: Fit, other: Fit) -> None:
    keys = ["experiment", "name", "time", "measured"]
    a, b = (f.residuals[keys].sort_values(keys, kind="stable") for f in (one, other))
    if len(a) != len(b):
        raise SpecificationError(f"{who}: fits of different data: {len(a)} and {len(b)} measurements.")
    same = (a[["experiment", "name"]].to_numpy() == b[["experiment", "name"]].to_numpy()).all(axis=1)
    same &= np.isclose(a[["time", "measured"]], b[["time", "measured"]], rtol=1e-9, atol=0.0).all(axis=1)
    if not same.all():
        k = int(np.argmin(same))
        row = a.iloc[k]
        raise SpecificationError(
            f"{who}: fits of different data, the first at {row['name']}, experiment {row['experiment']}, "
            f"t = {row['time']:g}."
        )
    first, second = (_priors(f) for f in (one, other))
    if first != second:
        differs = sorted({k for k, _ in first ^ second})
        raise SpecificationError(
            f"{who}: the priors of {', '.join(differs)} differ, and a prior is a measurement.\n"
            f"  Give both fits the same, or none."
        )


def _priors(fit: Fit) -> set[tuple[str, tuple[float, float]]]:
    return {(n.label, prior) for n in fit.numbers if (prior := fit.free[n.name].prior) is not None}


def _check_same_noise(smaller: Fit, larger: Fit) -> None:
    """Standard deviations that both know are the same: else neither model contains the other."""
    free = {name for f in (smaller, larger) for e in f.experiments for name in e.estimated}
    keys = ["experiment", "name", "time", "measured", "deviation"]
    a, b = (f.residuals[~f.residuals["name"].isin(free)][keys].sort_values(keys) for f in (smaller, larger))
    wrong = ~np.isclose(a["deviation"], b["deviation"], rtol=1e-9, atol=0.0)
    if wrong.any():
        raise SpecificationError(
            f"likelihood_ratio: the fits know another noise of {a['name'].to_numpy()[wrong][0]}: they are not nested.\n"
            f"  Give both the same, or Estimated()."
        )
