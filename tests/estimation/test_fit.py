"""Fits with an answer known from elsewhere, and data that are refused."""

import numpy as np
import pandas as pd
import pytest

from titer.control import optimize
from titer.estimation import Experiment, estimate
from titer.flowsheets import (
    AtEnd,
    Control,
    Equations,
    Expression,
    Flowsheet,
    Free,
    Parameter,
    Phase,
    PiecewiseLinear,
    Recipe,
    State,
    Unit,
)
from titer.flowsheets.problems.problem import Problem
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


class Line(Unit):
    """x' = factor k, with k + u to be read."""

    time = "h"
    x = State("1", start=0.0)
    k = Parameter("1/h", 1.0, lower=0.0, upper=50.0)
    factor = Parameter("1", 1.0, lower=0.0, upper=5.0)
    gain = Parameter("1", 1.0, lower=0.0, upper=50.0)
    u = Control("1/h", start=0.0)
    scaled = Expression("1")
    fed = Expression("1/h")

    def equations(self, v):
        v.define("scaled", v.gain * v.x)
        v.define("fed", v.k + v.u)
        return Equations(rate={"x": v.factor * v.k})


class Oscillator(Unit):
    """x'' = -w^2 x."""

    time = "h"
    x = State("1", start=1.0)
    y = State("1", start=0.0)
    w = Parameter("1/h", 30.0, lower=1.0, upper=100.0)

    def equations(self, v):
        return Equations(rate={"x": -v.w * v.y, "y": v.w * v.x})


def _line(free):
    line = Line("line")
    frame = pd.DataFrame({line.x: [3.0]}, index=[1.0])
    experiment = Experiment(frame, {line.x: 0.5}, Recipe(Phase("run", 1.0)), {line.u: 0.0})
    return line, estimate(Flowsheet(line), [experiment], {line.k: free})


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


def test_a_prior_pulls_a_fit_as_the_closed_form_says():
    """x' = k from 0, data x(1) = 3 (deviation 0.5), prior k ~ (1, 0.25): both are weighted by 1 / deviation^2."""
    line, fit = _line(Free(0.5, 0.0, 10.0, prior=(1.0, 0.25)))
    weights = np.array([1.0 / 0.5**2, 1.0 / 0.25**2])
    best = weights @ [3.0, 1.0] / weights.sum()
    assert fit.values[line.k] == pytest.approx(best, rel=1e-7)
    assert fit.objective == pytest.approx(weights @ (best - np.array([3.0, 1.0])) ** 2, rel=1e-7)
    assert fit.ok, fit.message


def test_a_prior_belongs_to_estimation():
    line = Line("line")
    with pytest.raises(SpecificationError, match="belongs to estimate"):
        optimize(
            Flowsheet(line),
            Recipe(Phase("run", 1.0)),
            {line.k: Free(0.5, 0.0, 10.0, prior=(1.0, 0.25))},
            minimize=AtEnd(lambda v: v.line.x),
            inputs={line.u: 0.0},
        )
    with pytest.raises(SpecificationError, match="standard deviation > 0"):
        Free(0.5, 0.0, 10.0, prior=(1.0, 0.0))


def test_starts_are_decided_for_each_experiment_and_parameters_for_all():
    line = Line("line")
    lines = [(0.2, 1.5), (0.7, 1.5)]
    experiments = [
        Experiment(
            pd.DataFrame({line.x: [start + slope * t for t in (0.0, 0.5, 1.0)]}, index=[0.0, 0.5, 1.0]),
            {line.x: 0.1},
            Recipe(Phase("run", 1.0)),
            {line.u: 0.0},
        )
        for start, slope in lines
    ]
    fit = estimate(Flowsheet(line), experiments, {line.k: Free(1.0, 0.0, 10.0), line.x: Free(0.1, -5.0, 5.0)})
    assert set(fit.values) == {line.k}
    assert fit.values[line.k] == pytest.approx(1.5, abs=1e-6)
    assert [starts[line.x] for starts in fit.starts] == pytest.approx([0.2, 0.7], abs=1e-6)
    assert len(fit.certificates) == 2
    assert fit.ok


def test_a_fit_on_too_coarse_a_mesh_says_so():
    fast = Oscillator("fast")
    time = np.array([0.0, 1.0, 2.0, 3.0])
    frame = pd.DataFrame({fast.x: np.cos(30.1 * time)}, index=time)
    experiment = Experiment(frame, {fast.x: 0.01}, Recipe(Phase("run", 3.0)))
    fit = estimate(Flowsheet(fast), [experiment], [fast.w], grid=Grid(30))
    assert fit.status.ok
    assert not fit.ok
    assert "experiment 1: " in fit.message
    assert "use more elements" in fit.message


@pytest.mark.parametrize("shift", [0.0, 1e-10, -1e-10, 1e-8])
def test_a_sample_at_a_boundary_counts_once(shift):
    """Two phases with other slopes: x(1) = k, x(2) = k + 2 k; the sample near 1 must not be lost."""
    line = Line("line")
    recipe = Recipe(Phase("a", 1.0), Phase("b", 1.0, fixed={line.factor: 2.0}))
    frame = pd.DataFrame({line.x: [4.0, 9.0]}, index=[1.0 + shift, 2.0])
    fit = estimate(Flowsheet(line), [Experiment(frame, {line.x: 1.0}, recipe, {line.u: 0.0})], [line.k])
    best = (1.0 * 4.0 + 3.0 * 9.0) / (1.0 + 9.0)
    assert fit.values[line.k] == pytest.approx(best, rel=1e-6)


def test_a_sample_where_a_unit_begins_counts_at_its_start():
    """The later phase sets x to 5 when it begins; its expression is read there, for before the unit is idle."""
    line, other = Line("line"), Line("other")
    recipe = Recipe(Phase("a", 1.0, idle=[line]), Phase("b", 1.0, start={line.x: 5.0}))
    frame = pd.DataFrame({line.scaled: [12.0]}, index=[1.0])
    fit = estimate(
        Flowsheet(line, other),
        [Experiment(frame, {line.scaled: 1.0}, recipe, {line.u: 0.0, other.u: 0.0})],
        [line.gain],
    )
    assert fit.values[line.gain] == pytest.approx(12.0 / 5.0, rel=1e-6)


def test_a_sample_of_a_unit_at_rest_is_refused():
    line, other = Line("line"), Line("other")
    recipe = Recipe(Phase("a", 1.0, idle=[line]), Phase("b", 1.0))
    frame = pd.DataFrame({line.scaled: [1.0, 1.0]}, index=[0.5, 1.0])
    with pytest.raises(SpecificationError, match=r"data of line\.scaled: the sample at 0\.5 h lies in a phase"):
        estimate(
            Flowsheet(line, other),
            [Experiment(frame, {line.scaled: 1.0}, recipe, {line.u: 0.0, other.u: 0.0})],
            [line.k],
        )


def test_data_in_a_phase_whose_time_is_free_are_refused():
    line = Line("line")
    recipe = Recipe(Phase("a", 1.0), Phase("b", Free(1.0, 0.5, 2.0)))
    frame = pd.DataFrame({line.x: [1.0, 1.0]}, index=[0.5, 1.5])
    with pytest.raises(SpecificationError, match=r"data need fixed durations, the time of the phase at 1\.5 h is free"):
        estimate(Flowsheet(line), [Experiment(frame, {line.x: 1.0}, recipe, {line.u: 0.0})], [line.k])
    early = Experiment(frame.iloc[:1], {line.x: 1.0}, recipe, {line.u: 0.0})
    assert estimate(Flowsheet(line), [early], [line.k]).values[line.k] == pytest.approx(2.0, rel=1e-6)


def test_an_input_read_at_the_very_start_is_its_first_value():
    """u falls from 2 to 0 along the first hour: k + u is 2 + k at once."""
    line = Line("line")
    frame = pd.DataFrame({line.fed: [2.5]}, index=[0.0])
    sloped = {line.u: PiecewiseLinear(values=[2.0, 0.0])}
    recipe = Recipe(Phase("a", 1.0, inputs=sloped))
    fit = estimate(Flowsheet(line), [Experiment(frame, {line.fed: 1.0}, recipe)], [line.k])
    assert fit.values[line.k] == pytest.approx(0.5, rel=1e-6)


def test_a_start_that_is_set_and_decided_is_refused():
    line = Line("line")
    recipe = Recipe(Phase("a", 1.0, start={line.x: 1.0}))
    frame = pd.DataFrame({line.x: [1.0]}, index=[0.5])
    with pytest.raises(SpecificationError, match=r"the start of line\.x is decided, but Phase 'a' sets it"):
        estimate(
            Flowsheet(line), [Experiment(frame, {line.x: 1.0}, recipe, {line.u: 0.0})], {line.x: Free(0.0, -1.0, 1.0)}
        )


def test_free_of_another_kind_is_refused():
    experiment = Experiment(pd.DataFrame({unit.y_A: [0.5]}, index=[0.5]), {unit.y_A: 1.0}, recipe, inputs)
    with pytest.raises(SpecificationError, match="free is a list of names of parameters, or a dict"):
        estimate(plant, [experiment], 3)
    with pytest.raises(SpecificationError, match="free is a dict from names to pieces or Free"):
        Problem((), [unit.k_1])
