"""Are bands along time those of statistics? Against the closed forms of a line and of a decay, between samples too."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from titer.estimation import Experiment, estimate
from titer.flowsheets import (
    Algebraic,
    Control,
    Equations,
    Expression,
    Flowsheet,
    Free,
    Parameter,
    Phase,
    PiecewiseConstant,
    Recipe,
    State,
    Unit,
)
from titer.numerics import Grid, Ipopt, Points, SpecificationError

times = np.array([1.0, 2.0, 4.0, 7.0, 9.5])
WIDTH = norm.ppf(0.975)
tight = Ipopt(tolerance=1e-12)


class Tank(Unit):
    """c' = -k gain c + u, y = c^2 as an algebraic variable, fed = c + u as an expression."""

    time = "h"
    c = State("1", start=1.0)
    y = Algebraic("1", start=1.0)
    k = Parameter("1/h", 0.2, lower=-5.0, upper=5.0)
    gain = Parameter("1", 1.0, lower=0.0, upper=5.0)
    u = Control("1/h", start=0.0)
    fed = Expression("1/h")

    def equations(self, v):
        v.define("fed", v.k * v.c + v.u)
        return Equations(rate={"c": -v.k * v.gain * v.c + v.u}, zero={"y": v.y - v.c**2})


class Straight(Unit):
    """x' = b."""

    time = "h"
    x = State("1", start=0.0)
    b = Parameter("1/h", 1.0, lower=-50.0, upper=50.0)

    def equations(self, v):
        return Equations(rate={"x": v.b})


line, tank = Straight("line"), Tank("tank")
recipe = Recipe(Phase("run", 10.0))


def line_fit(count=1):
    free = {line.b: Free(1.0, -50.0, 50.0), line.x: Free(0.0, -50.0, 50.0)}
    data = []
    for seed in range(count):
        values = 0.7 + 2.0 * times + 0.3 * np.random.default_rng(seed).normal(size=len(times))
        data.append(Experiment(pd.DataFrame({line.x: values}, index=times), {line.x: 0.3}, recipe))
    return estimate(Flowsheet(line, time="h"), data, free, Grid(5), tight)


def tank_fit(free=None, run=recipe, inputs=None, grid=None):
    values = np.exp(-0.4 * times) + 0.02 * np.random.default_rng(0).normal(size=len(times))
    data = Experiment(pd.DataFrame({tank.c: values}, index=times), {tank.c: 0.02}, run, inputs or {tank.u: 0.0})
    return estimate(Flowsheet(tank, time="h"), [data], free or [tank.k], grid or Grid(20), tight)


@pytest.mark.parametrize("points", [None, 31, [0.0, 0.3, 5.0, 10.0]])
def test_the_bands_of_a_line_are_the_closed_form(points):
    """Variance of a + b t: s^2 (1 / n + (t - mean)^2 / sum (t_i - mean)^2)."""
    band = line_fit().bands(points=points)
    mean = times.mean()
    variance = 0.3**2 * (1.0 / len(times) + (band["time"] - mean) ** 2 / ((times - mean) ** 2).sum())
    np.testing.assert_allclose(band["standard error"], np.sqrt(variance), rtol=1e-7)
    np.testing.assert_allclose(band["upper"] - band["predicted"], WIDTH * np.sqrt(variance), rtol=1e-7)
    np.testing.assert_allclose(band["predicted"] - band["new lower"], WIDTH * np.sqrt(variance + 0.3**2), rtol=1e-7)
    if points is not None:
        np.testing.assert_allclose(band["time"], np.linspace(0.0, 10.0, 31) if points == 31 else points)


@pytest.mark.parametrize("scheme", [Points.RADAU, Points.LEGENDRE])
def test_the_bands_of_a_decay_hold_between_samples_and_for_what_was_not_measured(scheme):
    """dc/dk = -t c, so that d(c^2)/dk = -2 t c^2 and d(k c)/dk = c - k t c."""
    fit = tank_fit(grid=Grid(40, points=scheme))
    k, error = fit.values[tank.k], fit.standard_errors[tank.k]
    at = np.linspace(0.0, 10.0, 57)
    band = fit.bands(points=at, names=[tank.c, tank.y, tank.fed])
    curve = np.exp(-k * at)
    slopes = {tank.c: at * curve, tank.y: 2.0 * at * curve**2, tank.fed: np.abs(curve - k * at * curve)}
    for name, slope in slopes.items():
        own = band[band["name"] == name]
        inside = own["time"] > 0.5  # algebraic variables at the very start are those of the first element
        np.testing.assert_allclose(own["standard error"][inside], (slope * error)[inside], rtol=2e-3, atol=1e-7)
    assert band[band["name"] == tank.y]["new upper"].isna().all()
    assert band[band["name"] == tank.c]["new upper"].notna().all()


def test_every_experiment_has_its_bands():
    band = line_fit(2).bands(points=3)
    assert list(band["experiment"]) == [1, 1, 1, 2, 2, 2]


def test_an_input_that_jumps_makes_an_expression_jump_not_its_error():
    run = Recipe(Phase("run", 10.0, inputs={tank.u: PiecewiseConstant(values=[0.0, 3.0])}))
    fit = tank_fit(run=run, grid=Grid(40))
    band = fit.bands(points=[4.9, 5.0, 5.0001], names=tank.fed)
    k = fit.values[tank.k]
    assert list(band["predicted"]) == pytest.approx(
        [k * np.exp(-k * t) + u for t, u in ((4.9, 0), (5, 0), (5, 3))], rel=1e-3
    )
    assert band["standard error"].iloc[1] == pytest.approx(band["standard error"].iloc[2], rel=1e-3)


def test_a_direction_that_is_not_determined_matters_only_where_it_shows():
    """Only the product k gain is known: so is c, but not k c."""
    free = {tank.k: Free(0.2, 0.0, 5.0), tank.gain: Free(1.0, 0.0, 5.0)}
    fit = tank_fit(free)
    alone = tank_fit()
    band = fit.bands(points=[2.0, 5.0], names=[tank.c, tank.fed])
    errors = band.set_index("name")["standard error"]
    np.testing.assert_allclose(
        errors[tank.c], alone.bands(points=[2.0, 5.0])["standard error"], rtol=1e-3
    )  # Gauss-Newton
    assert np.isinf(errors[tank.fed]).all()


def test_bands_go_on_from_phase_to_phase_and_leave_out_where_a_unit_rests():
    """b t from 0 for 4 h, a rest of 2 h, then on from x = 1: the error of b t is that of b times the time since."""
    other = Straight("other")
    run = Recipe(
        Phase("a", 4.0), Phase("rest", 2.0, idle=[line]), Phase("b", 4.0, start={line.x: 1.0}, fixed={line.b: 0.0})
    )
    frame = pd.DataFrame({line.x: [2.1, 7.9]}, index=[1.0, 4.0])
    data = Experiment(frame, {line.x: 0.3}, run)
    fit = estimate(Flowsheet(line, other, time="h"), [data], [line.b], Grid(4), tight)
    band = fit.bands(points=[0.0, 2.0, 4.0, 8.0], names=line.x)
    error = 0.3 / np.sqrt(1.0**2 + 4.0**2)
    assert list(band["standard error"]) == pytest.approx([0.0, 2.0 * error, 4.0 * error, 0.0], abs=1e-9)
    assert list(band["predicted"])[-1] == pytest.approx(1.0)


def test_bad_requests_are_refused():
    fit = line_fit()
    with pytest.raises(SpecificationError, match=r"name 'line\.z' is unknown"):
        fit.bands(names="line.z")
    with pytest.raises(SpecificationError, match=r"the time 11 lies outside experiment 1, which runs from 0 to 10"):
        fit.bands(points=[1.0, 11.0])
    with pytest.raises(SpecificationError, match="points is a count of at least 2"):
        fit.bands(points=1)


def test_a_fit_is_drawn_with_its_data_bands_and_names():
    fit = line_fit(2)
    figure = fit.plot()
    assert [ax.get_title() for ax in figure.axes] == ["experiment 1", "experiment 2"]
    assert figure.axes[0].get_ylabel() == "line.x [-]"
    assert len(fit.plot(experiments=2).axes) == 1
    with pytest.raises(SpecificationError, match="experiments are numbered from 1 to 2, got 3"):
        fit.plot(experiments=3)
    with pytest.raises(SpecificationError, match=r"name 'line\.z' is unknown"):
        fit.plot(names="line.z")


def test_residuals_and_correlations_are_drawn():
    fit = line_fit(2)
    assert [text.get_text() for text in fit.plot_residuals().legends[0].get_texts()] == ["experiment 1", "experiment 2"]
    ticks = [label.get_text() for label in fit.plot_correlation().axes[0].get_xticklabels()]
    assert ticks == ["line.b", "line.x, experiment 1", "line.x, experiment 2"]
