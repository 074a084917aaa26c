"""Does a bootstrap scatter as statistics say, lose nothing, and do nothing twice? Against closed forms of a line."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, skew

from titer.estimation import Bootstrap, Estimated, Experiment, Huber, Replicates, estimate
from titer.estimation.resampled.bootstrap import bootstrap
from titer.estimation.resampled.resampling import planned
from titer.flowsheets import Equations, Expression, Flowsheet, Free, Parameter, Phase, Recipe, State, Unit
from titer.numerics import Grid, Ipopt, SpecificationError

times = np.array([1.0, 2.0, 4.0, 7.0, 9.5])
recipe = Recipe(Phase("run", 10.0))
COUNT = 150
CHANCE = 4.0 * np.sqrt(2.0 / COUNT)  # four standard errors of a variance of so many, relative


class Straight(Unit):
    """x' = b, with the root of x to be measured."""

    time = "h"
    x = State("1", start=0.0)
    b = Parameter("1/h", 1.0, lower=-50.0, upper=50.0)
    root = Expression("1")

    def equations(self, v):
        v.define("root", v.x**0.5)
        return Equations(rate={"x": v.b})


line = Straight("line")
plant = Flowsheet(line, time="h")
slope = {line.b: Free(1.0, -50.0, 50.0)}
both = {**slope, line.x: Free(0.0, -50.0, 50.0)}


def experiment(seed, noise=0.3, at=times, start=0.7):
    values = start + 2.0 * at + 0.3 * np.random.default_rng(seed).normal(size=len(at))
    return Experiment(pd.DataFrame({line.x: values}, index=at), {line.x: noise}, recipe)


def fitted(free=both, seeds=(0,), **more):
    return estimate(plant, [experiment(seed, **more) for seed in seeds], free, Grid(5), Ipopt(tolerance=1e-12))


def lines(plan, count):
    """Intercept and slope of each replicate's data, by linear least squares."""
    return np.array([np.polyfit(times, plan.drawn(k)[0], 1)[::-1] for k in range(count)])


@pytest.mark.parametrize("kind", [Bootstrap.PARAMETRIC, Bootstrap.RESIDUAL])
def test_every_replicate_is_the_closed_form_of_its_data(kind):
    fit = fitted()
    found = fit.bootstrap(5, kind)
    values = found.values[["line.x, experiment 1", line.b]]
    np.testing.assert_allclose(values, lines(planned(fit, kind, 0, None), 5), rtol=1e-6, atol=1e-8)


def test_the_covariance_is_the_linear_one():
    fit = fitted()
    found = fit.bootstrap(COUNT)
    np.testing.assert_allclose(found.standard_errors**2, fit.standard_errors**2, rtol=CHANCE)
    correlation = found.covariance.iloc[0, 1] / found.standard_errors.prod()
    assert correlation == pytest.approx(fit.correlation.iloc[0, 1], abs=0.1)
    assert found.bias.abs().max() < 4.0 * (fit.standard_errors / np.sqrt(COUNT)).max()
    percentile, linear = found.interval(), fit.interval()
    width = fit.standard_errors
    np.testing.assert_allclose(percentile["lower"], linear["lower"], atol=0.6 * width.max())
    assert (percentile["upper"] > linear["lower"]).all()


def test_residuals_adjusted_by_leverage_give_the_covariance_of_the_noise_they_show():
    """Data with half the noise that was stated: the residuals know, and the covariance does not."""
    at = np.linspace(0.2, 10.0, 40)
    fit = fitted(noise=0.6, at=at)
    found = fit.bootstrap(COUNT, Bootstrap.RESIDUAL)
    seen = fit.residuals["residual"].to_numpy()
    scale = (seen**2).sum() / fit.freedom
    np.testing.assert_allclose(found.standard_errors**2 / fit.standard_errors**2, scale, rtol=CHANCE)


def test_by_batch_experiments_count_as_often_as_they_are_drawn():
    """Three lines through the origin: the slope is sum w t y / sum w t t, with the experiment's count in w."""
    fit = fitted(slope, seeds=(0, 1, 2), start=0.0)
    found = fit.bootstrap(6, Bootstrap.BATCH)
    for k in found.values.index:
        drawn = np.random.default_rng([0, k]).integers(3, size=3)
        tops = sum(times @ fit.experiments[r].frame[line.x].to_numpy() for r in drawn)
        assert found.values.loc[k, line.b] == pytest.approx(tops / (3 * times @ times), rel=1e-6)


def test_by_batch_what_was_not_drawn_has_no_value():
    fit = fitted(seeds=(0, 1, 2))
    found = fit.bootstrap(6, Bootstrap.BATCH)
    for k in found.values.index:
        drawn = np.random.default_rng([0, k]).integers(3, size=3)
        assert [np.isfinite(found.values.loc[k, f"line.x, experiment {r + 1}"]) for r in range(3)] == [
            r in drawn for r in range(3)
        ]


@pytest.mark.parametrize("root_noise", [Estimated(), 0.05])
def test_estimated_noise_is_estimated_in_each_replicate(root_noise):
    """Two names that depend on the slope: their weights follow the noise of each replicate, as in a fit to its data."""
    at = np.linspace(0.5, 10.0, 12)
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({line.x: 2.0 * at + rng.normal(size=12)}, index=at)
    frame[line.root] = np.sqrt(2.0 * at) + 0.05 * rng.normal(size=12)
    noise = {line.x: Estimated(), line.root: root_noise}
    fit = estimate(plant, [Experiment(frame, noise, recipe)], slope, Grid(5), Ipopt(tolerance=1e-12))
    found = fit.bootstrap(3)
    plan = planned(fit, Bootstrap.PARAMETRIC, 0, None)
    for k in range(3):
        names = [group.name for group in plan.refit.groups]
        drawn = dict(zip(names, plan.drawn(k), strict=True))
        again = estimate(plant, [Experiment(pd.DataFrame(drawn, index=at), noise, recipe)], slope, Grid(5))
        assert found.values.loc[k, line.b] == pytest.approx(again.values[line.b], rel=1e-5)


def test_a_monte_carlo_study_is_around_the_values_it_is_given():
    fit = fitted(slope, start=0.0)
    found = fit.bootstrap(40, around={line.b: -3.0})
    assert found.reference[line.b] == -3.0
    assert abs(found.bias[line.b]) < 4.0 * fit.standard_errors[line.b] / np.sqrt(40.0)
    with pytest.raises(SpecificationError, match=r"around: number 'line\.q' is unknown"):
        fit.bootstrap(2, around={"line.q": 1.0})


def test_a_second_call_goes_on_from_what_is_kept(tmp_path):
    fit = fitted()
    fit.bootstrap(3, folder=tmp_path)
    path = tmp_path / "replicate_00001.json"
    content = json.loads(path.read_text())
    content["values"][0] = 1234.5  # had it been computed again, this would be gone
    path.write_text(json.dumps(content))
    told = []
    found = fitted().bootstrap(5, folder=tmp_path, progress=told.append)
    assert told[0].startswith("bootstrap: 3 of 5 were kept")
    assert len(told) == 3
    assert found.values.iloc[1, 0] == 1234.5
    pd.testing.assert_frame_equal(found.values.drop(index=1), fit.bootstrap(5).values.drop(index=1))


def test_a_folder_of_another_fit_is_refused(tmp_path):
    fit = fitted()
    fit.bootstrap(1, folder=tmp_path)
    with pytest.raises(SpecificationError, match="seed: 0 there, 1 here"):
        fit.bootstrap(1, folder=tmp_path, seed=1)
    with pytest.raises(SpecificationError, match="kind: PARAMETRIC there, RESIDUAL here"):
        fit.bootstrap(1, Bootstrap.RESIDUAL, folder=tmp_path)
    with pytest.raises(SpecificationError, match="other data, noise, bounds or loss"):
        fitted(seeds=(1,)).bootstrap(1, folder=tmp_path)
    (tmp_path / "replicate_00000.json").write_text("{")
    with pytest.raises(SpecificationError, match=r"replicate_00000\.json cannot be read"):
        fit.bootstrap(1, folder=tmp_path)


def test_replicates_that_fail_are_kept_counted_and_explained(tmp_path):
    """The root of x is measured near 0: where its datum is drawn below, no slope above 0 is best, and none below
    is defined."""
    data = Experiment(pd.DataFrame({line.root: [0.04]}, index=[1.0]), {line.root: 0.1}, recipe)
    free = {line.b: Free(0.01, -1.0, 1.0)}
    fit = estimate(plant, [data], free, Grid(2), Ipopt(iterations=60), starts=1)
    found = fit.bootstrap(12, folder=tmp_path)
    plan = planned(fit, Bootstrap.PARAMETRIC, 0, None)
    below = [k for k in range(12) if plan.drawn(k)[0][0] < 0.0]
    assert below
    assert set(found.failed.index) == set(below)
    assert set(found.values.index) == set(range(12)) - set(below)
    assert (found.failed["message"] != "").all()
    assert f"{len(below)} failed" in str(found)
    assert f"{len(found.values)} of 12 replicates" in str(found)
    pd.testing.assert_frame_equal(fit.bootstrap(12, folder=tmp_path).failed, found.failed)


def test_bca_intervals_undo_a_bias():
    """Of replicates that are normal about reference - z s, the interval is normal about reference + z s."""
    bias, spread, at = 0.4, 2.0, (np.arange(4000) + 0.5) / 4000
    values = pd.DataFrame({"k": 5.0 - bias * spread + spread * norm.ppf(at)})
    none = pd.DataFrame({"status": [], "message": []})
    one, zero = pd.Series({"k": 5.0}), pd.Series({"k": 0.0})
    found = Replicates(Bootstrap.PARAMETRIC, 0, 4000, values, none, none, one, zero).interval(0.9)
    width = norm.ppf(0.95) * spread
    ends = 5.0 + bias * spread + np.array([-width, width])
    np.testing.assert_allclose(found.loc["k", ["BCa lower", "BCa upper"]].astype(float), ends, rtol=5e-3)
    ends = 5.0 - bias * spread + np.array([-width, width])
    np.testing.assert_allclose(found.loc["k", ["lower", "upper"]].astype(float), ends, rtol=5e-3)


@pytest.mark.parametrize("kind", [Bootstrap.RESIDUAL, Bootstrap.BATCH])
def test_the_acceleration_of_a_mean_is_a_sixth_of_its_skewness(kind):
    """A constant fitted to data that are skewed: its mean, whose skewness is that of the data over sqrt(n)."""
    values = np.random.default_rng(5).exponential(size=20)
    flat = {line.x: Free(1.0, -50.0, 50.0)} if kind is Bootstrap.RESIDUAL else slope
    rest = Recipe(Phase("rest", 10.0, fixed={line.b: 0.0} if kind is Bootstrap.RESIDUAL else {}))
    at = np.linspace(0.5, 10.0, 20)
    if kind is Bootstrap.RESIDUAL:
        data = [Experiment(pd.DataFrame({line.x: values}, index=at), {line.x: 1.0}, rest)]
    else:
        data = [Experiment(pd.DataFrame({line.x: [v]}, index=[1.0]), {line.x: 1.0}, rest) for v in values]
    fit = estimate(plant, data, flat, Grid(1), Ipopt(tolerance=1e-12))
    found = bootstrap(fit, 2, kind)
    assert found.acceleration.iloc[0] == pytest.approx(skew(values) / 6.0 / np.sqrt(20.0), rel=1e-4)


def test_what_cannot_be_resampled_is_refused():
    fit = fitted()
    with pytest.raises(SpecificationError, match="one experiment cannot be resampled by batch"):
        fit.bootstrap(2, Bootstrap.BATCH)
    with pytest.raises(SpecificationError, match="count must be a whole number of at least 1"):
        fit.bootstrap(0)
    with pytest.raises(SpecificationError, match=r"kind is one of Bootstrap\.PARAMETRIC"):
        fit.bootstrap(2, "residual")
    with pytest.raises(SpecificationError, match="level must be a number between 0 and 1"):
        fit.bootstrap(2).interval(95)
    robust = estimate(plant, [experiment(0), experiment(1)], slope, Grid(5), loss=Huber(2.0))
    with pytest.raises(SpecificationError, match="needs least squares"):
        robust.bootstrap(2, Bootstrap.BATCH)
    two = fitted(at=np.array([1.0, 2.0]))
    with pytest.raises(SpecificationError, match=r"line\.x has 0 residuals that say something of its noise"):
        two.bootstrap(2, Bootstrap.RESIDUAL)


@pytest.mark.slow
def test_processes_give_the_same_replicates(tmp_path):
    fit = fitted()
    alone, together = fit.bootstrap(40), fit.bootstrap(40, jobs=2, folder=tmp_path)
    np.testing.assert_allclose(together.values, alone.values, rtol=1e-9)
    assert len(list(tmp_path.glob("replicate_*.json"))) == 40
