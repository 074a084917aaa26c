"""Fits with an answer known from elsewhere, and data that are refused."""

import numpy as np
import pandas as pd
import pytest

from titer.estimation import Experiment, estimate
from titer.flowsheets import Control, Equations, Flowsheet, Free, Parameter, Phase, Recipe, State, Unit
from titer.numerics import Grid, SpecificationError


class ABC(Unit):
    """A -> B -> C, first order (Tjoa and Biegler 1991)."""

    time = "h"
    y_A = State("1", start=1.0, lower=0.0)
    y_B = State("1", start=0.0, lower=0.0)
    k_1 = Parameter("1/h", 2.0, lower=0.0, upper=50.0)
    k_2 = Parameter("1/h", 2.0, lower=0.0, upper=50.0)
    heat = Control("W", start=0.0)

    def equations(self, v):
        return Equations(rate={"y_A": -v.k_1 * v.y_A, "y_B": v.k_1 * v.y_A - v.k_2 * v.y_B})


unit = ABC("abc")
plant = Flowsheet(unit)
recipe = Recipe(Phase("react", 1.0))
inputs = {unit.heat: 0.0}


def test_published_answer_of_tjoa_and_biegler(data):
    table = pd.read_csv(data / "classics" / "abc_tjoa_biegler.csv", comment="#")
    time, columns = table.columns[0], table.columns[1:3]
    frame = table.set_index(time)[list(columns)].astype(float)
    frame.columns = [unit.y_A, unit.y_B]
    frame = frame[frame.index > 0.0]
    experiment = Experiment(frame, {unit.y_A: 1.0, unit.y_B: 1.0}, recipe, inputs)
    fit = estimate(plant, [experiment], [unit.k_1, unit.k_2], grid=Grid(20))
    assert fit.objective == pytest.approx(1.18584e-6, rel=1e-4)
    assert fit.values[unit.k_1] == pytest.approx(5.0035, abs=6e-5)
    assert fit.values[unit.k_2] == pytest.approx(1.0000, abs=6e-5)


def test_a_linear_least_squares_fit_is_the_closed_form():
    """y_A = exp(-k t) with one datum: k = -log(y) / t; the weights do not matter."""
    frame = pd.DataFrame({unit.y_A: [0.2]}, index=[0.5])
    fit = estimate(plant, [Experiment(frame, {unit.y_A: 0.1}, recipe, inputs)], {unit.k_1: Free(1.0, 0.1, 20.0)})
    assert fit.values[unit.k_1] == pytest.approx(-np.log(0.2) / 0.5, rel=1e-4)


@pytest.mark.parametrize(
    ("frame", "noise", "text"),
    [
        (pd.DataFrame(), {}, "the frame is empty"),
        (pd.DataFrame({"abc.y_A": [1.0, 2.0]}, index=[1.0, 0.5]), {"abc.y_A": 1.0}, "must rise"),
        (pd.DataFrame({"abc.y_A": [1.0]}, index=[0.5]), {}, "no noise for abc.y_A"),
        (pd.DataFrame({"abc.y_Z": [1.0]}, index=[0.5]), {"abc.y_Z": 1.0}, "'abc.y_Z' is unknown"),
        (pd.DataFrame({"abc.y_A": [1.0]}, index=[0.5]), {"abc.y_A": -1.0}, "noise of abc.y_A must be positive"),
        (pd.DataFrame({"abc.y_A": [1.0]}, index=[7.0]), {"abc.y_A": 1.0}, "outside the recipe"),
    ],
)
def test_bad_data_are_refused(frame, noise, text):
    with pytest.raises(SpecificationError, match=text):
        estimate(plant, [Experiment(frame, noise, recipe, inputs)], [unit.k_1])


def test_no_experiments_and_unknown_parameters_are_refused():
    with pytest.raises(SpecificationError, match="no experiment"):
        estimate(plant, [], [unit.k_1])
    experiment = Experiment(pd.DataFrame({unit.y_A: [0.5]}, index=[0.5]), {unit.y_A: 1.0}, recipe, inputs)
    with pytest.raises(SpecificationError, match=r"'abc.k_3' is unknown"):
        estimate(plant, [experiment], ["abc.k_3"])
