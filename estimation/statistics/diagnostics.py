"""Do the residuals look like noise? Runs of signs, normality, the sum of squares, lack of fit against replicates.

Sources: Wald & Wolfowitz, Ann. Math. Statist. 11 (1940) 147 (runs); Shapiro & Wilk, Biometrika 52 (1965) 591; Draper &
Smith, Applied Regression Analysis (1998), section 2.1 (lack of fit against pure error).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.numerics.errors import SpecificationError
from titer.numerics.grid import is_whole

if TYPE_CHECKING:
    import pandas as pd

    from titer.estimation.fit import Fit

Array = np.ndarray
DOUBTFUL = 0.01  # probability below which residuals are said not to be noise
_FEWEST = 3  # residuals that Shapiro and Wilk's test needs
_MOST = 5000  # beyond, its probabilities are not accurate


@dataclass(frozen=True)
class Significance:
    """A statistic, its degrees of freedom, and the probability of a value as extreme if the fit were right."""

    statistic: float
    freedom: tuple[int, ...]
    probability: float


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """What the residuals of a fit say of it.

    `table`: by experiment and name, `count`, `mean` of the weighted residuals, `rms`, `runs` of one sign and how many
    are `expected`, probabilities of the tests `p runs` and `p normal` (NaN: too few residuals). `chi2`: of the whole,
    None where standard deviations were estimated, or a loss is robust. `lack_of_fit`: against replicates (samples at
    equal times), None without. `largest`: the residuals farthest out. `findings`: what is doubtful, a sentence each.
    """

    table: pd.DataFrame
    chi2: Significance | None
    lack_of_fit: Significance | None
    normality: Significance | None
    largest: pd.DataFrame
    findings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is doubtful."""
        return not self.findings

    def __str__(self) -> str:
        lines = self.table.to_string(index=False, float_format=lambda x: f"{x:.3g}").splitlines()
        if self.chi2 is not None:
            lines.append(f"sum of squares {self.chi2.statistic:.4g} for {self.chi2.freedom[0]} degrees of freedom")
        if self.lack_of_fit is not None:
            test = self.lack_of_fit
            lines.append(
                f"lack of fit against replicates: F({test.freedom[0]}, {test.freedom[1]}) = {test.statistic:.3g}, "
                f"p = {test.probability:.2g}"
            )
        lines += ["largest residuals", *(f"  {row}" for row in _rows(self.largest))]
        lines += [f"- {sentence}" for sentence in self.findings] or ["The residuals look like noise."]
        return "\n".join(lines)


def diagnostics(fit: Fit, largest: int = 5) -> Diagnostics:
    """Significance the weighted residuals of a fit; `largest`: how many of those farthest out are shown.

    Raises SpecificationError for a count below 1.
    """
    if not is_whole(largest, 1):
        raise SpecificationError(f"diagnostics: largest must be a whole number of at least 1, got {largest!r}.")
    residuals = fit.residuals
    table = _table(residuals)
    whole, lack = _chi2(fit), lack_of_fit(residuals, len(fit.information.numbers))
    normality = _normality(residuals["residual"].to_numpy())
    order = np.argsort(-residuals["residual"].abs().to_numpy(), kind="stable")[:largest]
    findings = (*_of_series(table), *_of_whole(whole, lack, normality, len(residuals)))
    return Diagnostics(table, whole, lack, normality, residuals.iloc[order].reset_index(drop=True), findings)


def runs(signs: Array) -> tuple[int, float, float]:
    """Runs of one sign, how many are expected, and the probability of a number as extreme (two-sided, exact).

    Residuals of zero have no sign and are left out; with fewer than two the probability is NaN.
    """
    signs = np.sign(signs)[np.sign(signs) != 0.0]
    n = len(signs)
    if n < 2:
        return n, float(n), np.nan
    count = 1 + int(np.count_nonzero(np.diff(signs)))
    plus, minus = int((signs > 0).sum()), int((signs < 0).sum())
    if not plus or not minus:  # every order of equal signs is one run: what is unlikely is that they are equal
        return count, 0.5 * (n + 1), min(1.0, 2.0 * 0.5 ** (n - 1))
    shares = _run_probabilities(plus, minus)
    low, high = shares[: count + 1].sum(), shares[count:].sum()
    return count, 1.0 + 2.0 * plus * minus / n, float(min(1.0, 2.0 * min(low, high)))


def lack_of_fit(residuals: pd.DataFrame, numbers: int) -> Significance | None:
    """The model's misfit against the scatter of replicates, as an F test; None where there are none to compare."""
    from scipy.stats import f

    scatter, within, groups = 0.0, 0, 0
    for _, group in residuals.groupby(["experiment", "name", "time"], sort=False):
        weight = 1.0 / group["deviation"].to_numpy() ** 2
        measured = group["measured"].to_numpy()
        mean = (weight * measured).sum() / weight.sum()
        scatter += float((weight * (measured - mean) ** 2).sum())
        within += len(group) - 1
        groups += 1
    between = groups - numbers
    if not within or between < 1 or not scatter > 0.0:
        return None
    misfit = max(float((residuals["residual"] ** 2).sum()) - scatter, 0.0)
    ratio = (misfit / between) / (scatter / within)
    return Significance(ratio, (between, within), float(f.sf(ratio, between, within)))


def _run_probabilities(plus: int, minus: int) -> Array:
    """Probabilities of 0, 1, 2, ... runs in random orders of `plus` and `minus` signs."""
    from scipy.special import gammaln

    def choose(n: int, k: Array) -> Array:
        inside = (k >= 0) & (k <= n)
        j = np.where(inside, k, 0)
        return np.where(inside, gammaln(n + 1) - gammaln(j + 1) - gammaln(n - j + 1), -np.inf)

    count = np.arange(plus + minus + 1)
    k = count // 2
    even = np.log(2.0) + choose(plus - 1, k - 1) + choose(minus - 1, k - 1)
    odd = np.logaddexp(choose(plus - 1, k) + choose(minus - 1, k - 1), choose(plus - 1, k - 1) + choose(minus - 1, k))
    total = gammaln(plus + minus + 1) - gammaln(plus + 1) - gammaln(minus + 1)
    shares: Array = np.exp(np.where(count % 2 == 0, even, odd) - total)
    return shares


def _table(residuals: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for (experiment, name), group in residuals.groupby(["experiment", "name"], sort=False):
        values = group.sort_values("time", kind="stable")["residual"].to_numpy()
        count, expected, probability = runs(-values)
        test = _normality(values)
        rows.append(
            {
                "experiment": experiment,
                "name": name,
                "count": len(values),
                "mean": values.mean(),
                "rms": float(np.sqrt((values**2).mean())),
                "runs": count,
                "expected": expected,
                "p runs": probability,
                "p normal": np.nan if test is None else test.probability,
            }
        )
    return pd.DataFrame(rows)


def _normality(values: Array) -> Significance | None:
    from scipy.stats import shapiro

    if not _FEWEST <= len(values) <= _MOST or not np.ptp(values) > 1e-9 * np.abs(values).max():
        return None
    result = shapiro(values)
    return Significance(float(result.statistic), (len(values),), float(result.pvalue))


def _chi2(fit: Fit) -> Significance | None:
    """The objective as a chi-square, with priors as measurements of numbers; two-sided."""
    from scipy.stats import chi2

    priors = sum(fit.free[n.name].prior is not None for n in fit.numbers)
    freedom = fit.freedom + priors
    if fit.loss is not None or freedom < 1 or any(e.estimated for e in fit.experiments):
        return None
    low, high = chi2.cdf(fit.objective, freedom), chi2.sf(fit.objective, freedom)
    return Significance(fit.objective, (freedom,), float(2.0 * min(low, high)))


def _of_series(table: pd.DataFrame) -> tuple[str, ...]:
    found = []
    for row in table.to_dict("records"):
        where = f"{row['name']}, experiment {row['experiment']}"
        if row["p runs"] < DOUBTFUL:
            what = (
                "the model departs from the data for long stretches"
                if row["runs"] < row["expected"]
                else "they alternate: the data look processed, or the model follows their noise"
            )
            found.append(f"{where}: {row['runs']} runs of one sign where {row['expected']:.1f} are expected: {what}.")
        if row["p normal"] < DOUBTFUL:
            found.append(f"{where}: its residuals are not normal (p = {row['p normal']:.2g}): look for outliers.")
    return tuple(found)


def _of_whole(
    whole: Significance | None, lack: Significance | None, normality: Significance | None, count: int
) -> tuple[str, ...]:
    found = []
    if whole is not None and whole.probability < DOUBTFUL:
        factor = float(np.sqrt(whole.statistic / whole.freedom[0]))
        what = "the model misses the data, or the noise is larger" if factor > 1.0 else "the noise is smaller"
        found.append(
            f"residuals are {factor:.2g} times as large as the stated noise lets expect (p = {whole.probability:.2g}): "
            f"{what}."
        )
    if lack is not None and lack.probability < DOUBTFUL:
        found.append(
            f"the model misses the means of replicates by more than they scatter (p = {lack.probability:.2g}): "
            f"something is missing in it."
        )
    if normality is not None and normality.probability < DOUBTFUL:
        found.append(f"all {count} residuals together are not normal (p = {normality.probability:.2g}).")
    return tuple(found)


def _rows(largest: pd.DataFrame) -> list[str]:
    return [
        f"{row['name']} = {row['measured']:.5g} at {row['time']:g}, experiment {row['experiment']}: "
        f"{abs(row['residual']):.2g} deviations {'above' if row['residual'] < 0.0 else 'below'} the model's "
        f"{row['predicted']:.5g}"
        for row in largest.to_dict("records")
    ]
