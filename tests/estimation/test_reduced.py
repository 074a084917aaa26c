"""Is the covariance of a fit that of statistics? Against closed forms, finite differences and likelihoods."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from titer.estimation import Cauchy, Estimated, Experiment, Huber, estimate
from titer.flowsheets import Equations, Flowsheet, Free, Parameter, Phase, Recipe, State, Unit
from titer.numerics import Grid, Ipopt, SpecificationError


class Straight(Unit):
    """x' = b from a; y = x: a line, and what is measured of it."""

    time = "h"
    x = State("1", start=0.0)
    b = Parameter("1/h", 1.0, lower=-50.0, upper=50.0)
    unused = Parameter("1", 1.0)

    def equations(self, v):
        return Equations(rate={"x": v.b})


unit = Straight("line")
plant = Flowsheet(unit, time="h")
recipe = Recipe(Phase("run", 10.0))
times = np.array([1.0, 2.0, 4.0, 7.0, 9.5])
tight = Ipopt(tolerance=1e-12)


def line(seed=0, noise=0.3, deviation=0.3):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({unit.x: 0.7 + 2.0 * times + noise * rng.normal(size=len(times))}, index=times)
    return Experiment(frame, {unit.x: deviation}, recipe)


def test_the_covariance_of_a_line_is_the_closed_form():
    free = {unit.b: Free(1.0, -50.0, 50.0), unit.x: Free(0.0, -50.0, 50.0)}
    fit = estimate(plant, [line()], free, Grid(5), tight)
    design = np.column_stack([times, np.ones_like(times)])
    expected = 0.3**2 * np.linalg.inv(design.T @ design)
    np.testing.assert_allclose(fit.covariance.to_numpy(), expected, rtol=1e-8)
    best = np.linalg.lstsq(design, line().frame[unit.x].to_numpy(), rcond=None)[0]
    assert [fit.values[unit.b], fit.starts[0][unit.x]] == pytest.approx(best, rel=1e-9)


def test_intervals_are_those_of_the_normal_distribution_where_the_noise_is_known():
    fit = estimate(plant, [line()], [unit.b], Grid(5), tight)
    error = 0.3 / np.sqrt((times**2).sum())
    assert fit.standard_errors[unit.b] == pytest.approx(error, rel=1e-8)
    lower, upper = fit.interval(0.95).loc[unit.b]
    assert upper - lower == pytest.approx(2 * 1.959963985 * error, rel=1e-8)


def test_estimated_variances_are_those_of_the_residuals():
    free = {unit.b: Free(1.0, -50.0, 50.0), unit.x: Free(0.0, -50.0, 50.0)}
    data = [Experiment(line(seed).frame, {unit.x: Estimated()}, recipe) for seed in range(2)]
    fit = estimate(plant, data, free, Grid(5), tight)
    gaps = fit.residuals["predicted"] - fit.residuals["measured"]
    assert fit.residuals["deviation"].unique() == pytest.approx(np.sqrt((gaps**2).sum() / (10 - 3)), rel=1e-5)
    assert fit.ok, fit.message


def test_as_many_numbers_as_data_leave_no_noise_to_estimate():
    free = {unit.b: Free(1.0, -50.0, 50.0), unit.x: Free(0.0, -50.0, 50.0)}
    data = Experiment(line().frame.iloc[:2], {unit.x: Estimated()}, recipe)
    with pytest.raises(SpecificationError, match="2 measurements for 2 free numbers leave nothing"):
        estimate(plant, [data], free, Grid(5), tight)


def test_a_number_of_each_experiment_is_fitted_by_itself():
    data = [line(0), line(1)]
    together = estimate(plant, data, {unit.b: Free(1.0, -50.0, 50.0, each=True)}, Grid(5), tight)
    alone = [estimate(plant, [one], [unit.b], Grid(5), tight).values[unit.b] for one in data]
    assert [own[unit.b] for own in together.own] == pytest.approx(alone, rel=1e-9)
    assert together.values == {}
    assert list(together.table().index) == ["line.b, experiment 1", "line.b, experiment 2"]


def test_a_number_on_its_bound_has_no_variance_and_is_said_to():
    fit = estimate(plant, [line()], {unit.b: Free(0.5, 0.0, 1.5)}, Grid(5), tight)
    assert fit.values[unit.b] == pytest.approx(1.5, abs=1e-6)
    assert fit.table().loc[unit.b, "note"] == "held by its upper bound"
    assert fit.covariance.loc[unit.b, unit.b] == 0.0


def test_a_fit_is_printed_as_its_table():
    fit = estimate(plant, [line()], [unit.b], Grid(5), tight)
    first, *table = str(fit).splitlines()
    assert first == repr(fit) == f"<fit: solved, 1 numbers, 5 measurements, objective {fit.objective:.6g}>"
    assert table == fit.table().to_string().splitlines()


class Decay(Unit):
    """c' = -k c."""

    time = "h"
    c = State("1", start=1.0, lower=0.0)
    k = Parameter("1/h", 0.2, lower=1e-3, upper=10.0)

    def equations(self, v):
        return Equations(rate={"c": -v.k * v.c})


decay = Decay("decay")


def decays(seed=0, outlier=0.0):
    rng = np.random.default_rng(seed)
    values = np.exp(-0.4 * times) + 0.02 * rng.normal(size=len(times))
    values[2] += outlier
    return Experiment(pd.DataFrame({decay.c: values}, index=times), {decay.c: 0.02}, recipe)


def squares(k, data):
    return (((np.exp(-k * times) - data.frame[decay.c].to_numpy()) / 0.02) ** 2).sum()


def test_the_covariance_of_a_nonlinear_model_is_the_curvature_of_its_likelihood():
    data = decays()
    fit = estimate(Flowsheet(decay, time="h"), [data], [decay.k], Grid(40), tight)
    k, h = fit.values[decay.k], 1e-4
    bend = (squares(k + h, data) - 2.0 * squares(k, data) + squares(k - h, data)) / h**2
    assert fit.covariance.loc[decay.k, decay.k] == pytest.approx(2.0 / bend, rel=1e-5)
    slopes = -times * np.exp(-k * times) / 0.02
    assert fit.information.gauss_newton[0, 0] == pytest.approx((slopes**2).sum(), rel=1e-6)


def test_a_logarithm_that_is_decided_gives_the_same_value_and_an_interval_even_in_it():
    data = decays()
    plain = estimate(Flowsheet(decay, time="h"), [data], [decay.k], Grid(20), tight)
    logged = estimate(Flowsheet(decay, time="h"), [data], {decay.k: Free(0.2, 1e-3, 10.0, log=True)}, Grid(20), tight)
    assert logged.values[decay.k] == pytest.approx(plain.values[decay.k], rel=1e-8)
    assert logged.standard_errors[decay.k] == pytest.approx(plain.standard_errors[decay.k], rel=1e-6)
    lower, upper = logged.interval().loc[decay.k]
    assert lower * upper == pytest.approx(logged.values[decay.k] ** 2, rel=1e-9)


@pytest.mark.parametrize("loss", [Huber(1.5), Cauchy(2.0)], ids=["Huber", "Cauchy"])
def test_a_robust_loss_gives_little_on_an_outlier(loss):
    plant = Flowsheet(decay, time="h")
    clean = estimate(plant, [decays()], [decay.k], Grid(20), tight).values[decay.k]
    spoiled = decays(outlier=0.4)
    squared = estimate(plant, [spoiled], [decay.k], Grid(20), tight).values[decay.k]
    robust = estimate(plant, [spoiled], [decay.k], Grid(20), tight, loss=loss)
    assert robust.ok, robust.message
    assert abs(robust.values[decay.k] - clean) < 0.2 * abs(squared - clean)


def test_what_moves_nothing_measured_is_refused():
    with pytest.raises(SpecificationError, match=r"line\.unused moves nothing that was measured"):
        estimate(plant, [line()], [unit.b, unit.unused], Grid(5))


def test_fewer_data_than_free_numbers_are_refused():
    frame = pd.DataFrame({unit.x: [1.0]}, index=[1.0])
    with pytest.raises(SpecificationError, match="1 measurements cannot determine 2 free numbers"):
        estimate(
            plant,
            [Experiment(frame, {unit.x: 0.1}, recipe)],
            {unit.b: Free(1.0, -50.0, 50.0), unit.x: Free(0.0, -5.0, 5.0)},
        )


@pytest.mark.parametrize("bad", [0.0, -1.0, "2"])
def test_a_bad_loss_is_refused(bad):
    with pytest.raises(SpecificationError, match="must be a positive number of standard deviations"):
        Huber(bad)
