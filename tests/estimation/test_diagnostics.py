"""Do the tests of residuals see what is wrong, and nothing where all is well? Against counts and textbook formulas."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, f_oneway

from titer.estimation import Estimated, Experiment, Huber, estimate
from titer.estimation.statistics.diagnostics import lack_of_fit, runs
from titer.flowsheets import Equations, Flowsheet, Free, Parameter, Phase, Recipe, State, Unit
from titer.numerics import Grid, SpecificationError


class Straight(Unit):
    """x' = b."""

    time = "h"
    x = State("1", start=0.0)
    b = Parameter("1/h", 1.0, lower=-50.0, upper=50.0)

    def equations(self, v):
        return Equations(rate={"x": v.b})


line = Straight("line")
recipe = Recipe(Phase("run", 10.0))
times = np.linspace(0.4, 10.0, 25)
both = {line.b: Free(1.0, -50.0, 50.0), line.x: Free(0.0, -50.0, 50.0)}


def fitted(values, noise=0.3, free=both, loss=None):
    data = Experiment(pd.DataFrame({line.x: values}, index=times), {line.x: noise}, recipe)
    return estimate(Flowsheet(line, time="h"), [data], free, Grid(5), loss=loss)


def noisy(size=0.3, seed=1):
    return 0.7 + 2.0 * times + size * np.random.default_rng(seed).normal(size=len(times))


def test_noise_looks_like_noise():
    found = fitted(noisy()).diagnostics()
    assert found.ok, found
    assert "The residuals look like noise." in str(found)
    assert found.lack_of_fit is None


def test_the_sum_of_squares_is_a_chi_square():
    fit = fitted(noisy())
    found = fit.diagnostics()
    low = chi2.cdf(fit.objective, len(times) - 2)
    assert found.chi2.freedom == (len(times) - 2,)
    assert found.chi2.probability == pytest.approx(2.0 * min(low, 1.0 - low), rel=1e-9)


@pytest.mark.parametrize(
    ("stated", "text"), [(0.1, "the model misses the data, or the noise is larger"), (1.5, "the noise is smaller")]
)
def test_noise_that_was_stated_wrongly_is_seen(stated, text):
    assert any(text in sentence for sentence in fitted(noisy(), stated).diagnostics().findings)


def test_a_prior_counts_as_a_measurement():
    free = {line.b: Free(1.0, -50.0, 50.0, prior=(2.0, 0.1))}
    fit = fitted(noisy() - 0.7, free=free)
    assert fit.diagnostics().chi2.freedom == (len(times),)


def test_a_prior_of_a_number_that_a_bound_holds_counts_too():
    free = {line.b: Free(1.0, -50.0, 1.5, prior=(1.6, 0.1))}
    fit = fitted(noisy() - 0.7, free=free)
    errors = (1.5 * times - noisy() + 0.7) / 0.3
    found = fit.diagnostics().chi2
    assert found.statistic == pytest.approx((errors**2).sum() + 1.0, rel=1e-4)
    assert found.freedom == (len(times) + 1,)


def test_a_curve_fitted_by_a_line_has_too_few_runs():
    found = fitted(2.0 * times + 0.1 * (times - 5.0) ** 2 + 0.05 * noisy(seed=3)).diagnostics()
    row = found.table.iloc[0]
    assert row["runs"] == 3
    assert row["p runs"] < 1e-3
    assert any(s.startswith("line.x, experiment 1: 3 runs of one sign") for s in found.findings)
    assert "the model departs from the data for long stretches" in str(found)


def test_an_outlier_is_listed_first_and_makes_residuals_not_normal():
    values = noisy()
    values[10] += 4.0
    found = fitted(values).diagnostics(largest=3)
    assert len(found.largest) == 3
    assert found.largest.loc[0, "time"] == pytest.approx(times[10])
    assert found.table["p normal"].iloc[0] < 0.01
    assert "look for outliers" in str(found)
    assert "deviations above the model's" in str(found)


def test_where_noise_is_estimated_or_the_loss_robust_there_is_no_chi_square():
    assert fitted(noisy(), Estimated()).diagnostics().chi2 is None
    assert fitted(noisy(), loss=Huber(2.0)).diagnostics().chi2 is None


@pytest.mark.parametrize(("plus", "minus"), [(3, 3), (2, 5), (1, 4), (4, 3)])
def test_probabilities_of_runs_are_those_of_counting(plus, minus):
    orders = set(permutations([1.0] * plus + [-1.0] * minus))
    counts = np.array([1 + sum(a != b for a, b in pairwise(o)) for o in orders])
    for order in list(orders)[::5]:
        count, expected, probability = runs(np.array(order))
        assert expected == pytest.approx(counts.mean())
        tail = min((counts <= count).mean(), (counts >= count).mean())
        assert probability == pytest.approx(min(1.0, 2.0 * tail))


def test_residuals_of_one_sign_are_one_run_and_unlikely():
    assert runs(np.ones(10)) == (1, 5.5, pytest.approx(2.0 * 0.5**9))
    assert np.isnan(runs(np.zeros(4))[2])


def test_lack_of_fit_is_the_analysis_of_variance_of_replicates(rng):
    """With the grand mean as the model, it is the F test of one-way analysis of variance."""
    groups = [rng.normal(size=3) + shift for shift in (0.0, 0.5, 2.0, 1.0)]
    measured, mean = np.concatenate(groups), np.concatenate(groups).mean()
    table = pd.DataFrame(
        {
            "experiment": 1,
            "name": "x",
            "time": np.repeat([1.0, 2.0, 3.0, 4.0], 3),
            "measured": measured,
            "deviation": 0.5,
            "residual": (mean - measured) / 0.5,
        }
    )
    expected = f_oneway(*groups)
    found = lack_of_fit(table, 1)
    assert found.freedom == (3, 8)
    assert (found.statistic, found.probability) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)
    assert lack_of_fit(table.drop_duplicates("time"), 1) is None


def test_replicates_of_a_curve_show_that_a_line_does_not_fit(rng):
    at = np.repeat([1.0, 3.0, 5.0, 7.0, 9.0], 3)
    frame = pd.DataFrame({line.x: 2.0 * at + 0.1 * (at - 5.0) ** 2 + 0.1 * rng.normal(size=15)}, index=at)
    data = Experiment(frame, {line.x: 0.1}, recipe, replicates=True)
    found = estimate(Flowsheet(line, time="h"), [data], both, Grid(5)).diagnostics()
    assert found.lack_of_fit.freedom == (3, 10)
    assert found.lack_of_fit.probability < 1e-4
    assert "the model misses the means of replicates by more than they scatter" in str(found)


def test_a_bad_count_is_refused():
    with pytest.raises(SpecificationError, match="largest must be a whole number"):
        fitted(noisy()).diagnostics(largest=0)
