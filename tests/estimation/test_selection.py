"""Are criteria, ratios and held-out errors those of the textbook? Against closed forms of a line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from titer.estimation import (
    Estimated,
    Experiment,
    Huber,
    aic,
    aicc,
    bic,
    compare,
    estimate,
    leave_one_batch_out,
    likelihood_ratio,
)
from titer.flowsheets import Equations, Flowsheet, Free, Parameter, Phase, Recipe, State, Unit
from titer.numerics import Grid, Ipopt, SpecificationError

times = np.linspace(0.5, 10.0, 12)
recipe = Recipe(Phase("run", 10.0))
tight = Ipopt(tolerance=1e-12)


class Parabola(Unit):
    """x' = b + 2 c t, so that x = x(0) + b t + c t^2."""

    time = "h"
    x = State("1", start=0.0)
    b = Parameter("1/h", 1.0, lower=-50.0, upper=50.0)
    c = Parameter("1/h**2", 0.0, lower=-50.0, upper=50.0)

    def equations(self, v):
        return Equations(rate={"x": v.b + 2.0 * v.c * v.time})


unit = Parabola("p")
plant = Flowsheet(unit, time="h")
straight = {unit.b: Free(1.0, -50.0, 50.0)}
bent = {**straight, unit.c: Free(0.0, -50.0, 50.0)}


def experiment(seed=0, noise=0.3, curve=0.0):
    values = 2.0 * times + curve * times**2 + 0.3 * np.random.default_rng(seed).normal(size=len(times))
    return Experiment(pd.DataFrame({unit.x: values}, index=times), {unit.x: noise}, recipe)


def fitted(free, noise=0.3, seeds=(0,), **more):
    return estimate(plant, [experiment(seed, noise) for seed in seeds], free, Grid(5), tight, **more)


def squares(columns, data=None):
    """The sum of squares that linear least squares leaves."""
    y = (data or experiment()).frame[unit.x].to_numpy()
    design = np.stack([times**k for k in range(1, columns + 1)], axis=1)
    return float(np.linalg.lstsq(design, y, rcond=None)[1][0])


def test_criteria_with_known_noise_are_the_closed_form():
    n, fit = len(times), fitted(bent)
    deviance = squares(2) / 0.3**2 + n * np.log(2.0 * np.pi * 0.3**2)
    assert aic(fit) == pytest.approx(deviance + 4.0, rel=1e-8)
    assert aicc(fit) == pytest.approx(deviance + 4.0 + 12.0 / (n - 3), rel=1e-8)
    assert bic(fit) == pytest.approx(deviance + 2.0 * np.log(n), rel=1e-8)


def test_criteria_with_estimated_noise_count_it():
    """AIC = n log(RSS / n) + n (1 + log 2 pi) + 2 (k + 1), the textbook's."""
    n, fit = len(times), fitted(bent, Estimated())
    deviance = n * np.log(squares(2) / n) + n * (1.0 + np.log(2.0 * np.pi))
    assert aic(fit) == pytest.approx(deviance + 6.0, rel=1e-6)
    assert bic(fit) == pytest.approx(deviance + 3.0 * np.log(n), rel=1e-6)


def test_a_prior_is_a_measurement_more():
    free = {unit.b: Free(1.0, -50.0, 50.0, prior=(2.0, 0.1))}
    fit = fitted(free)
    deviance = fit.objective + len(times) * np.log(2.0 * np.pi * 0.09) + np.log(2.0 * np.pi * 0.01)
    assert bic(fit) == pytest.approx(deviance + np.log(len(times) + 1), rel=1e-9)
    with pytest.raises(SpecificationError, match=r"the priors of p\.b differ"):
        compare({"with": fit, "without": fitted(straight)})


def test_few_data_have_no_corrected_criterion():
    data = Experiment(experiment().frame.iloc[:3], {unit.x: 0.3}, recipe)
    fit = estimate(plant, [data], bent, Grid(5))
    assert aicc(fit) == np.inf
    assert np.isnan(compare({"only": fit})["weight"]).all()


def test_the_likelihood_ratio_is_the_wald_statistic_of_a_linear_model():
    """With known noise: (c / its standard error)^2, chi-square with one degree of freedom."""
    smaller, larger = fitted(straight), fitted(bent)
    test = likelihood_ratio(smaller, larger)
    wald = (larger.values[unit.c] / larger.standard_errors[unit.c]) ** 2
    assert test.statistic == pytest.approx(wald, rel=1e-6)
    assert test.freedom == 1
    assert test.probability == pytest.approx(chi2.sf(wald, 1), rel=1e-6)
    assert "for 1 more numbers" in str(test)


def test_the_likelihood_ratio_with_estimated_noise_is_that_of_the_sums_of_squares():
    test = likelihood_ratio(fitted(straight, Estimated()), fitted(bent, Estimated()))
    assert test.statistic == pytest.approx(len(times) * np.log(squares(1) / squares(2)), rel=1e-4)


def test_known_noise_is_a_smaller_model_than_estimated_noise():
    test = likelihood_ratio(fitted(straight), fitted(straight, Estimated()))
    assert test.freedom == 1
    ratio = squares(1) / len(times) / 0.3**2
    assert test.statistic == pytest.approx(len(times) * (ratio - 1.0 - np.log(ratio)), rel=1e-5)


def test_the_statistic_is_chi_square_where_the_smaller_model_holds():
    """60 data sets: the sum of their statistics is chi-square with 60 degrees of freedom."""
    small, large = fitted(straight), fitted(bent)
    total = 0.0
    for seed in range(60):
        drawn = experiment(seed)
        total += (squares(1, drawn) - squares(2, drawn)) / 0.3**2
    assert 0.001 < chi2.sf(total, 60) < 0.999
    assert likelihood_ratio(small, large).statistic == pytest.approx((squares(1) - squares(2)) / 0.09, rel=1e-6)


def test_a_number_on_its_bound_makes_the_probability_doubtful():
    bounded = {**straight, unit.c: Free(1.0, 0.5, 2.0)}
    narrow = fitted(bounded)
    best = fitted({**straight, unit.c: Free(0.5, 0.5, 0.6)})
    assert narrow.numbers[1].bound == "lower"
    with pytest.raises(SpecificationError, match="expected more"):
        likelihood_ratio(best, narrow)
    with pytest.raises(SpecificationError, match="the larger model fits worse"):
        likelihood_ratio(fitted(straight), narrow)


def test_models_are_compared_by_their_criteria_the_best_first():
    bend = experiment(1, curve=0.3)
    fits = {k: estimate(plant, [bend], free, Grid(5), tight) for k, free in {"line": straight, "bent": bent}.items()}
    table = compare(fits)
    assert list(table.index) == ["bent", "line"]
    gap = aicc(fits["line"]) - aicc(fits["bent"])
    assert list(table["difference"]) == pytest.approx([0.0, gap])
    assert table.loc["line", "weight"] == pytest.approx(np.exp(-0.5 * gap) / (1.0 + np.exp(-0.5 * gap)), rel=1e-9)
    assert list(table["numbers"]) == [2, 1]


def test_what_cannot_be_compared_is_refused():
    one, other = fitted(straight), fitted(bent, seeds=(1,))
    with pytest.raises(SpecificationError, match=r"fits of different data, the first at p\.x, experiment 1, t = "):
        compare({"a": one, "b": other})
    with pytest.raises(SpecificationError, match="12 and 24 measurements"):
        likelihood_ratio(one, fitted(bent, seeds=(0, 1)))
    with pytest.raises(SpecificationError, match="is no likelihood"):
        aic(fitted(straight, loss=Huber(2.0)))
    with pytest.raises(SpecificationError, match=r"the smaller model decides p\.c, the larger does not"):
        likelihood_ratio(fitted(bent), one)
    with pytest.raises(SpecificationError, match=r"know another noise of p\.x"):
        likelihood_ratio(fitted(straight, 0.2), fitted(bent))


def test_a_batch_left_out_is_predicted_by_the_closed_form_of_the_others():
    data = [experiment(seed) for seed in range(3)]
    found = leave_one_batch_out(plant, data, straight, Grid(5), tight)
    y = np.array([e.frame[unit.x].to_numpy() for e in data])
    for r in range(3):
        rest = [k for k in range(3) if k != r]
        slope = (y[rest] @ times).sum() / (2.0 * times @ times)
        errors = slope * times - y[r]
        row = found.table.iloc[r]
        assert found.values.iloc[r, 0] == pytest.approx(slope, rel=1e-8)
        assert row["rms"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-7)
        assert row["bias"] == pytest.approx(errors.mean(), rel=1e-6, abs=1e-9)
        assert row["weighted rms"] == pytest.approx(row["rms"] / 0.3)
    press = ((found.residuals["predicted"] - found.residuals["measured"]) ** 2).sum()
    assert found.by_name.loc[0, "Q2"] == pytest.approx(1.0 - press / ((y - y.mean()) ** 2).sum(), rel=1e-9)
    assert found.failed.empty
    assert found.doubts == ()
    assert "experiment 3" in str(found)


def test_what_a_batch_has_for_itself_is_not_known_where_it_is_left_out():
    """Starts 1 and 3, the guess is 2: each is predicted from 2, with the slope of the other."""
    y = [start + 2.0 * times for start in (1.0, 3.0)]
    data = [Experiment(pd.DataFrame({unit.x: v}, index=times), {unit.x: 0.3}, recipe) for v in y]
    fit = estimate(plant, data, {**straight, unit.x: Free(2.0, -9.0, 9.0)}, Grid(5), tight)
    assert list(fit.leave_one_batch_out().table["bias"]) == pytest.approx([1.0, -1.0], abs=1e-6)


def test_a_number_that_one_batch_alone_determines_is_named():
    """c acts in the first batch only: the second is too short to be measured after its start."""
    short = Experiment(pd.DataFrame({unit.x: [0.1]}, index=[0.0]), {unit.x: 0.3}, recipe)
    fit = estimate(plant, [experiment(), short], {**straight, unit.x: Free(0.0, -9.0, 9.0)}, Grid(5), tight)
    assert fit.leave_one_batch_out().doubts == (
        "p.x of an experiment that is left out is not known: its prediction has the guess 0",
        "p.b is not determined without experiment 1: its prediction is no test of it",
    )


def test_a_single_batch_cannot_be_left_out():
    with pytest.raises(SpecificationError, match="there is one experiment only"):
        fitted(straight).leave_one_batch_out()
