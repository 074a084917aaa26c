"""What stands apart is flagged, by row, and nothing else is; scores after a fit are those of the closed form."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from titer.estimation import Estimated, Experiment, Noise, estimate, read_experiments
from titer.estimation.data.readers import Layout
from titer.flowsheets import Equations, Flowsheet, Free, Parameter, Phase, Recipe, State, Unit
from titer.numerics import Grid, SpecificationError


class Line(Unit):
    """x' = k."""

    time = "h"
    x = State("1", start=0.0)
    k = Parameter("1/h", 1.0, lower=-50.0, upper=50.0)

    def equations(self, v):
        return Equations(rate={"x": v.k})


line = Line("line")
plant = Flowsheet(line)
recipe = Recipe(Phase("run", 20.0))


def data(times, values, noise=0.1, **fields):
    return Experiment(pd.DataFrame({line.x: values}, index=times), {line.x: noise}, recipe, **fields)


CURVES = {
    "straight": lambda t: 0.5 * t,
    "growing": lambda t: 0.05 * np.exp(0.3 * t),
    "saturating": lambda t: 10.0 * t / (2.0 + t),
    "used up": lambda t: np.maximum(10.0 - 1.3 * t, 0.0),
    "a step": lambda t: np.where(t < 9.5, 1.0, 8.0),
    "flat": lambda t: 0.0 * t + 6.95,
}


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
@pytest.mark.parametrize("row", [1, 7, 20])
def test_one_value_that_stands_apart_is_found_and_no_other(curve, row, rng):
    times = np.arange(20.0)
    values = curve(times) + rng.normal(0.0, 0.02, 20)
    assert data(times, values).outliers().empty
    values[row - 1] += 6.0
    found = data(times, values).outliers()
    assert found["row"].tolist() == [row]
    assert found["time"].tolist() == [row - 1.0]
    assert found["value"].tolist() == [values[row - 1]]
    assert found["expected"].iloc[0] == pytest.approx(values[row - 1] - 6.0, abs=4.0)


def test_few_values_are_flagged_in_data_that_are_noise_alone(rng):
    times = np.arange(14.0)
    flagged = sum(len(data(times, 0.3 * times + rng.normal(0.0, 0.2, 14)).outliers()) for _ in range(200))
    assert flagged <= 0.02 * 200 * 14


def test_a_replicate_is_compared_with_its_siblings(rng):
    times = np.repeat(np.arange(6.0), 3)
    values = np.exp(times) * (1.0 + rng.normal(0.0, 0.03, 18))
    assert data(times, values, Noise(relative=0.05), replicates=True).outliers().empty
    values[10] *= 0.5
    found = data(times, values, Noise(relative=0.05), replicates=True).outliers()
    assert found["row"].tolist() == [11]
    assert found["score"].iloc[0] < -3.5


def test_a_sample_that_was_not_measured_is_counted_as_a_row():
    values = np.array([0.0, 1.1, np.nan, 2.9, 4.1, 9.0, 6.0, 6.9, 8.1, 9.0])
    assert data(np.arange(10.0), values).outliers()["row"].tolist() == [6]
    few = data(np.arange(4.0), np.array([0.0, 1.0, 9.0, 3.0]))
    assert few.outliers().empty  # too few to tell
    with pytest.raises(SpecificationError, match="limit must be a positive number"):
        few.outliers(0.0)


def test_the_cell_counts_of_a_clone_that_do_not_belong_are_flagged(data):
    """On day 4 one flask of clone C is written down with a fifth of the cells of its two siblings."""
    path = data / "cho_clones" / "2024-05-18_Clones_B_C_Kinetics.csv"
    experiments = read_experiments(
        path,
        {"Xv": "cells.X"},
        time="T",
        by="Clone",
        noise={"cells.X": Noise(relative=0.1)},
        recipe=recipe,
        units={"cells.X": "cell/mL"},
        time_unit="d",
        layout=Layout(header=2),
        replicates=True,
    )
    found = experiments[1].outliers()
    assert found[["time", "value"]].to_numpy().tolist() == [[4.0, 1.6e6]]


# --- after a fit ------------------------------------------------------------------------------------------


def closed_form(times, values, deviation):
    """Residuals (predicted - measured), leverages of a line through zero."""
    k = (times @ values) / (times @ times)
    return (k * times - values) / deviation, times**2 / (times @ times)


def test_scores_after_a_fit_are_studentized_residuals():
    times = np.arange(1.0, 13.0)
    values = 0.7 * times + 0.05 * np.cos(7.0 * times)
    values[8] += 0.6
    values = np.insert(values, 4, np.nan)
    rows = np.insert(times, 4, 4.5)
    fit = estimate(plant, [data(rows, values)], [line.k], Grid(12))
    raw, leverage = closed_form(times, np.delete(values, 4), 0.1)
    scores = raw / np.sqrt(1.0 - leverage)
    found = fit.outliers()
    assert found[["experiment", "row", "time"]].to_numpy().tolist() == [[1, 10, 9.0]]
    assert found["score"].iloc[0] == pytest.approx(scores[8], rel=1e-6)
    assert found["limit"].iloc[0] == pytest.approx(stats.norm.ppf(1.0 - 0.025 / 12), rel=1e-12)
    assert len(fit.experiments[0].frame) == 13  # nothing was dropped
    assert fit.outliers(1e-9)["limit"].iloc[0] < found["limit"].iloc[0]
    with pytest.raises(SpecificationError, match="level must be a number between 0 and 1"):
        fit.outliers(95)


def test_where_the_noise_was_estimated_each_residual_is_judged_by_the_others(rng):
    """The t statistic of the indicator of one sample, added to the regression, is the externally studentized one."""
    times = np.arange(1.0, 13.0)
    values = 0.7 * times + rng.normal(0.0, 0.1, 12)
    values[8] += 1.0
    fit = estimate(plant, [data(times, values, Estimated())], [line.k], Grid(12))
    design = np.column_stack([times, np.arange(12) == 8])
    beta, rest, *_ = np.linalg.lstsq(design, values, rcond=None)
    statistic = beta[1] / np.sqrt(rest[0] / 10.0 * np.linalg.inv(design.T @ design)[1, 1])
    found = fit.outliers()
    assert found["row"].tolist() == [9]
    assert found["score"].iloc[0] == pytest.approx(-statistic, rel=1e-5)
    assert found["limit"].iloc[0] == pytest.approx(stats.t.ppf(1.0 - 0.025 / 12, 10.0), rel=1e-9)


def test_a_prior_shares_the_leverage():
    """One sample, one parameter: without a prior the residual is zero; with one, the score is that of the difference
    of both, (3 - 1) / sqrt(0.5^2 + 0.25^2)."""
    alone = data([1.0], [3.0], 0.5)
    assert estimate(plant, [alone], [line.k], Grid(2)).outliers(1e-9).empty
    known = estimate(plant, [alone], {line.k: Free(0.5, 0.0, 10.0, prior=(1.0, 0.25))}, Grid(2))
    assert known.outliers(1e-9)["score"].iloc[0] == pytest.approx(-2.0 / np.hypot(0.5, 0.25), rel=1e-6)
