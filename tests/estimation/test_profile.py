"""Is a profile interval that of the likelihood? Against closed forms, and likelihoods computed without the library."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.stats import chi2, f, t

from titer.estimation import Estimated, Experiment, Huber, estimate
from titer.flowsheets import Equations, Flowsheet, Free, Parameter, Phase, Recipe, State, Unit
from titer.numerics import Grid, Ipopt, SpecificationError

THRESHOLD = chi2.ppf(0.95, 1)
tight = Ipopt(tolerance=1e-12)


class Straight(Unit):
    """x' = b."""

    time = "h"
    x = State("1", start=0.0)
    b = Parameter("1/h", 1.0, lower=-50.0, upper=50.0)

    def equations(self, v):
        return Equations(rate={"x": v.b})


class Decay(Unit):
    """c' = -k gain c."""

    time = "h"
    c = State("1", start=1.0, lower=0.0)
    k = Parameter("1/h", 0.2, lower=0.0)
    gain = Parameter("1", 1.0, lower=0.0)

    def equations(self, v):
        return Equations(rate={"c": -v.k * v.gain * v.c})


line, decay = Straight("line"), Decay("decay")
recipe = Recipe(Phase("run", 10.0))
times = np.array([1.0, 2.0, 4.0, 7.0, 9.5])


def lines(seed=0, noise=None):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({line.x: 0.7 + 2.0 * times + 0.3 * rng.normal(size=len(times))}, index=times)
    return Experiment(frame, {line.x: noise or 0.3}, recipe)


def fit_of(plant, data, free, grid=15):
    return estimate(Flowsheet(plant, time="h"), data, free, Grid(grid), tight)


both = {line.b: Free(1.0, -50.0, 50.0), line.x: Free(0.0, -50.0, 50.0)}
few, values, deviation = np.array([1.0, 4.0]), np.array([0.60, 0.25]), 0.15


def few_data():
    return Experiment(pd.DataFrame({decay.c: values}, index=few), {decay.c: deviation}, recipe)


def squares(k, start=1.0):
    return float((((start * np.exp(-k * few) - values) / deviation) ** 2).sum())


@pytest.mark.parametrize("name", [line.b, line.x])
def test_a_linear_problem_has_the_interval_of_its_covariance(name):
    profile = fit_of(line, [lines()], both, 5).profile(name)
    assert (profile.lower, profile.upper) == pytest.approx(profile.linear, rel=1e-6)
    assert profile.bounded
    half = 0.5 * (profile.linear[1] - profile.linear[0])
    rise = THRESHOLD * ((profile.table["value"] - profile.value) / half) ** 2
    np.testing.assert_allclose(profile.table["objective"] - profile.objective, rise, rtol=1e-5, atol=1e-7)
    assert profile.solves < 20


def test_few_data_have_the_uneven_interval_of_their_likelihood():
    fit = fit_of(decay, [few_data()], {decay.k: Free(0.2, 1e-3, 10.0)}, 30)
    profile = fit.profile(decay.k)
    best, lowest = fit.values[decay.k], fit.objective
    ends = [brentq(lambda k: squares(k) - lowest - THRESHOLD, *bracket) for bracket in ((1e-3, best), (best, 9.0))]
    assert (profile.lower, profile.upper) == pytest.approx(ends, rel=1e-4)
    assert profile.upper - best > 1.3 * (best - profile.lower)


def test_the_other_numbers_are_fitted_again_at_every_point():
    """c0 exp(-k t): for a given k the best c0 is a linear regression."""
    wide = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
    rng = np.random.default_rng(2)
    measured = np.exp(-0.4 * wide) + 0.05 * rng.normal(size=5)
    data = Experiment(pd.DataFrame({decay.c: measured}, index=wide), {decay.c: 0.05}, recipe)
    fit = fit_of(decay, [data], {decay.k: Free(0.2, 1e-3, 10.0), decay.c: Free(1.0, 0.0, 5.0)}, 30)

    def start(k):
        shape = np.exp(-k * wide)
        return shape @ measured / (shape @ shape)

    def least(k):
        return (((start(k) * np.exp(-k * wide) - measured) / 0.05) ** 2).sum()

    profile = fit.profile(decay.k)
    assert least(profile.lower) - least(profile.value) == pytest.approx(THRESHOLD, rel=1e-3)
    assert least(profile.upper) - least(profile.value) == pytest.approx(THRESHOLD, rel=1e-3)
    again = [start(k) for k in profile.table["value"]]
    np.testing.assert_allclose(profile.table["decay.c, experiment 1"], again, rtol=1e-3)


def test_a_logarithm_that_is_decided_has_the_same_interval():
    plain = fit_of(decay, [few_data()], {decay.k: Free(0.2, 1e-3, 10.0)}, 20).profile(decay.k)
    logged = fit_of(decay, [few_data()], {decay.k: Free(0.2, 1e-9, 10.0, log=True)}, 20).profile(decay.k)
    assert (logged.lower, logged.upper) == pytest.approx((plain.lower, plain.upper), rel=1e-5)


def test_factors_of_a_product_are_unbounded_on_both_sides():
    free = {decay.k: Free(0.2, 1e-12, np.inf, log=True), decay.gain: Free(1.0, 1e-12, np.inf, log=True)}
    profile = fit_of(decay, [few_data()], free).profile(decay.k)
    assert (profile.lower, profile.upper) == (-np.inf, np.inf)
    assert not profile.bounded
    assert profile.below.startswith("a plateau: up to ")
    assert profile.above.startswith("a plateau: up to ")
    assert "unbounded above: a plateau" in str(profile)
    assert "... to ..." in str(profile)
    product = profile.table["value"] * profile.table["decay.gain"]
    np.testing.assert_allclose(product, product.iloc[0], rtol=1e-6)


def test_a_bound_that_is_reached_is_named():
    free = {decay.k: Free(0.2, 0.1, 5.0), decay.gain: Free(1.0, 1e-3, 100.0)}
    profile = fit_of(decay, [few_data()], free).profile(decay.k)
    assert profile.below.startswith("at its lower bound 0.1 the objective has risen by")
    assert profile.above.startswith("at its upper bound 5 the objective has risen by")
    assert profile.table["value"].iloc[0] == pytest.approx(0.1, rel=1e-12)


def test_a_plateau_that_ends_in_a_jump_is_no_end_of_an_interval():
    """k = 0 fits nothing, but however small k is, the gain makes up for it."""
    free = {decay.k: Free(0.2, 0.0, 10.0), decay.gain: Free(1.0, 0.0, np.inf)}
    profile = fit_of(decay, [few_data()], free).profile(decay.k)
    assert profile.lower == -np.inf
    assert "plateau" in profile.below


def test_what_saturates_is_bounded_on_one_side_only():
    """exp(-k t) at late times only: it may be however fast, not slow."""
    late = np.array([8.0, 9.0])
    data = Experiment(pd.DataFrame({decay.c: [0.02, 0.001]}, index=late), {decay.c: 0.02}, recipe)
    fit = fit_of(decay, [data], {decay.k: Free(0.6, 1e-3, 5.0)}, 30)
    profile = fit.profile(decay.k)

    def misfit(k):
        return (((np.exp(-k * late) - data.frame[decay.c].to_numpy()) / 0.02) ** 2).sum()

    assert profile.upper == np.inf
    assert "upper bound 5" in profile.above
    assert profile.lower == pytest.approx(
        brentq(lambda k: misfit(k) - misfit(profile.value) - THRESHOLD, 0.2, profile.value), rel=1e-3
    )
    assert not profile.below


def test_a_number_that_a_bound_holds_has_a_profile_on_the_other_side():
    """Best slope 2 or so, allowed up to 1.5: the objective rises from there as a parabola around the best."""
    fit = fit_of(line, [lines()], {line.b: Free(0.5, 0.0, 1.5)}, 5)
    profile = fit.profile(line.b)
    assert profile.above.startswith("at its upper bound 1.5 the objective has risen by 0 only")
    measured = lines().frame[line.x].to_numpy()
    best, bend = times @ measured / (times @ times), (times @ times) / 0.3**2
    end = best - np.sqrt((best - 1.5) ** 2 + THRESHOLD / bend)
    assert profile.lower == pytest.approx(end, rel=1e-5)


def test_estimated_noise_has_the_threshold_of_f():
    fit = fit_of(line, [lines(noise=Estimated())], both, 5)
    profile = fit.profile(line.b, level=0.9)
    assert profile.threshold == pytest.approx(f.ppf(0.9, 1, fit.freedom), rel=1e-9)
    assert profile.threshold == pytest.approx(t.ppf(0.95, fit.freedom) ** 2, rel=1e-9)
    assert (profile.lower, profile.upper) == pytest.approx(profile.linear, rel=1e-4)


@pytest.mark.parametrize("log", [False, True], ids=["plain", "log"])
def test_of_a_robust_loss_the_interval_is_that_of_the_m_estimator_where_the_profile_is_a_parabola(log):
    """Noise stated three times too large: so does the likelihood's own curvature, not the scatter of the residuals."""
    many = np.linspace(0.5, 10.0, 20)
    frame = pd.DataFrame({line.x: 2.0 * many + 0.3 * np.random.default_rng(5).normal(size=20)}, index=many)
    data = [Experiment(frame, {line.x: 0.9}, recipe)]
    free = {line.b: Free(1.0, 0.01, 50.0, log=log)}
    fit = estimate(Flowsheet(line, time="h"), data, free, Grid(5), tight, loss=Huber(3.0))
    profile = fit.profile(line.b)
    assert profile.threshold < 0.5 * THRESHOLD
    reach = np.subtract(profile.linear, profile.value)
    assert (profile.lower - profile.value, profile.upper - profile.value) == pytest.approx(tuple(reach), rel=2e-2)


def test_numbers_of_each_experiment_have_profiles_of_their_own():
    fit = fit_of(line, [lines(0), lines(1)], both, 5)
    second = fit.profile(line.x, experiment=2)
    assert second.label == "line.x, experiment 2"
    assert second.value == pytest.approx(fit.starts[1][line.x])
    assert fit.profile("line.x, experiment 2").upper == pytest.approx(second.upper)
    with pytest.raises(SpecificationError, match=r"each experiment has line\.x for itself"):
        fit.profile(line.x)
    with pytest.raises(SpecificationError, match=r"line\.b is not a number of experiment 1"):
        fit.profile(line.b, experiment=1)


def test_a_fit_that_was_not_the_best_is_said_to_be():
    """cos(w t) fits at many w: the profile of a wrong one falls into the right one."""

    class Wave(Unit):
        time = "h"
        x = State("1", start=1.0)
        y = State("1", start=0.0)
        w = Parameter("1/h", 1.0, lower=0.1, upper=3.0)

        def equations(self, v):
            return Equations(rate={"x": -v.w * v.y, "y": v.w * v.x})

    wave = Wave("wave")
    at = np.linspace(0.5, 10.0, 12)
    data = Experiment(pd.DataFrame({wave.x: np.cos(1.0 * at)}, index=at), {wave.x: 1.5}, recipe)
    fit = estimate(Flowsheet(wave, time="h"), [data], {wave.w: Free(1.95, 0.1, 3.0)}, Grid(20), tight, starts=1)
    assert fit.values[wave.w] > 1.5
    assert "the fit is not the best" in str(fit.profile(wave.w))


def test_bad_requests_are_refused():
    fit = fit_of(line, [lines()], [line.b], 5)
    with pytest.raises(SpecificationError, match=r"number 'line\.a' is unknown. Did you mean 'line\.b'"):
        fit.profile("line.a")
    with pytest.raises(SpecificationError, match="level must be a number between 0 and 1"):
        fit.profile(line.b, level=95)
    with pytest.raises(SpecificationError, match="points must be a whole number"):
        fit.profile(line.b, points=0)


def test_a_profile_is_drawn():
    profile = fit_of(line, [lines()], [line.b], 5).profile(line.b)
    axes = profile.plot().axes[0]
    assert axes.get_xlabel() == "line.b [1/h]"
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"profile", "covariance", "95 %", "fit"}
