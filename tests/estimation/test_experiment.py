"""Data in any unit, at any time, with any noise: fits have a closed form, and bad cells, times, values a message."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from titer.estimation import Estimated, Experiment, Interpolated, Noise, estimate
from titer.flowsheets import (
    Algebraic,
    Control,
    Equations,
    Expression,
    Flowsheet,
    Free,
    Parameter,
    Phase,
    Recipe,
    State,
    Unit,
    quantity,
    simulate,
)
from titer.numerics import Grid, SpecificationError


class Feeding(Unit):
    """c' = k u: what is measured is k times what was fed."""

    time = "h"
    c = State("mol/L", start=0.0, lower=0.0, upper=100.0)
    k = Parameter("1", 1.0, lower=0.0, upper=50.0)
    u = Control("mol/L/h", start=1.0)

    def equations(self, v):
        return Equations(rate={"c": v.k * v.u})


class Decay(Unit):
    """c' = -k c, with y = 2 c beside it."""

    time = "h"
    c = State("mol/L", start=1.0, lower=0.0)
    y = Algebraic("mol/L")
    half = Expression("mol/L")
    k = Parameter("1/h", 0.5, lower=0.01, upper=10.0)

    def equations(self, v):
        v.define("half", 0.5 * v.c)
        return Equations(rate={"c": -v.k * v.c}, zero={"y": v.y - 2.0 * v.c})


class Bath(Unit):
    """T' = w."""

    time = "h"
    T = State("K", start=300.0)
    w = Parameter("K/h", 1.0)

    def equations(self, v):
        return Equations(rate={"T": v.w})


tank = Feeding("tank")
plant = Flowsheet(tank)
recipe = Recipe(Phase("run", 4.0))
times = np.array([1.0, 2.0, 3.0, 4.0])
measured = np.array([1.9, 4.2, 5.8, 8.3])  # mol/L, at a feed of 1 mol/L/h: a line through zero of slope k


def experiment(frame=None, noise=0.1, **fields):
    frame = pd.DataFrame({tank.c: measured}, index=times) if frame is None else frame
    noise = noise if isinstance(noise, dict) else {tank.c: noise}
    return Experiment(frame, noise, **{"recipe": recipe, "inputs": {tank.u: 1.0}, **fields})


def fitted(*experiments):
    return estimate(plant, experiments, [tank.k], Grid(4))


def slope(t, y, deviation):
    """Weighted least squares of a line through zero, and the variance of its slope."""
    weight = 1.0 / np.asarray(deviation) ** 2
    return (weight * t * y).sum() / (weight * t**2).sum(), 1.0 / (weight * t**2).sum()


# --- units ------------------------------------------------------------------------------------------------


def test_data_in_other_units_and_times_give_the_same_fit():
    plain = fitted(experiment())
    frame = pd.DataFrame({"c [mmol/L]": 1000.0 * measured, "remark": ["", "a", "", ""]}, index=60.0 * times)
    other = experiment(frame, noise=100.0, columns={"c [mmol/L]": tank.c}, time_unit="min")
    fit = fitted(other)
    assert fit.values[tank.k] == pytest.approx(plain.values[tank.k], rel=1e-9)
    assert fit.objective == pytest.approx(plain.objective, rel=1e-9)
    assert fit.residuals["time"].tolist() == pytest.approx(times.tolist())
    assert list(other.frame.columns) == [tank.c]


def test_everything_that_an_experiment_says_of_a_name_is_in_its_unit():
    """c in mmol/L: the column, its noise, its start. u in mmol/L/min, a step at 120 min."""
    steps = pd.Series([1000.0 / 60.0, 2000.0 / 60.0], index=[0.0, 120.0])
    data = experiment(
        pd.DataFrame({tank.c: [1500.0]}, index=[240.0]),
        Noise(absolute=3.0, relative=0.1),
        inputs={tank.u: steps},
        start={tank.c: 500.0},
        units={tank.c: "mmol/L", tank.u: "mmol/L/min"},
        time_unit="min",
    ).converted(plant)
    assert data.frame.loc[4.0, tank.c] == pytest.approx(1.5)
    assert data.noise[tank.c].absolute == pytest.approx(0.003)
    assert data.noise[tank.c].relative == 0.1
    assert data.start[tank.c] == pytest.approx(0.5)
    assert data.inputs[tank.u].index.tolist() == pytest.approx([0.0, 2.0])
    assert data.inputs[tank.u].tolist() == pytest.approx([1.0, 2.0])
    again = data.converted(plant)
    pd.testing.assert_frame_equal(again.frame, data.frame)


def test_quantities_say_their_own_unit_and_a_quantity_may_be_a_unit():
    """1 g/L is 0.02 mol/L of something of 50 g/mol."""
    data = experiment(
        pd.DataFrame({tank.c: [50.0]}, index=[4.0]),
        quantity(20.0, "mmol/L"),
        units={tank.c: quantity(0.02, "mol/L")},
        start={tank.c: quantity(10.0, "mmol/L")},
    ).converted(plant)
    assert data.frame.loc[4.0, tank.c] == pytest.approx(1.0)
    assert data.noise[tank.c] == pytest.approx(0.02)
    assert data.start[tank.c] == pytest.approx(0.01)


def test_temperatures_may_come_in_degrees_celsius():
    bath = Bath("bath")
    frame = pd.DataFrame({"T (°C)": [25.0, 50.0]}, index=[1.0, 2.0])
    data = Experiment(frame, {bath.T: 0.5}, recipe, columns={"T (°C)": bath.T}).converted(Flowsheet(bath))
    assert data.frame[bath.T].tolist() == pytest.approx([298.15, 323.15])
    assert data.noise[bath.T] == 0.5


@pytest.mark.parametrize(
    ("header", "units", "text"),
    [
        ("conc", {}, r"column 'conc' has no unit that can be read, and none is given for tank\.c"),
        ("conc (hot)", {}, r"column 'conc \(hot\)' has no unit"),
        ("conc [g]", {}, r"units of tank\.c: cannot convert 'g' to 'mol/L'"),
        ("conc", {"tank.c": "mlo/L"}, r"units of tank\.c: unit 'mlo/L' is unknown"),
        ("conc", {"tank.c": "M", "tank.d": "M"}, r"units: name 'tank\.d' is unknown"),
    ],
)
def test_units_that_are_missing_or_wrong_are_refused(header, units, text):
    frame = pd.DataFrame({header: measured}, index=times)
    with pytest.raises(SpecificationError, match=text):
        experiment(frame, columns={header: tank.c}, units=units).converted(plant)


# --- noise ------------------------------------------------------------------------------------------------


def test_a_constant_noise_of_an_unbounded_state_goes_through():
    vial = Decay("vial")
    frame = pd.DataFrame({vial.c: [0.5]}, index=[1.0])
    data = Experiment(frame, {vial.c: Noise(absolute=0.1)}, recipe).converted(Flowsheet(vial))
    assert data.noise[vial.c] == Noise(absolute=0.1)


@pytest.mark.parametrize(
    ("noise", "deviation"),
    [
        (0.3, np.full(4, 0.3)),
        (Noise(relative=0.05), 0.05 * measured),
        (Noise(absolute=0.2, relative=0.05), np.hypot(0.2, 0.05 * measured)),
        ([0.1, 0.2, 0.4, 0.8], np.array([0.1, 0.2, 0.4, 0.8])),
        (pd.Series([0.8, 0.4, 0.2, 0.1], index=times), np.array([0.8, 0.4, 0.2, 0.1])),
    ],
)
def test_each_measurement_has_the_weight_of_its_noise(noise, deviation):
    fit = fitted(experiment(noise=noise))
    best, variance = slope(times, measured, deviation)
    assert fit.values[tank.k] == pytest.approx(best, rel=1e-7)
    assert fit.covariance.loc[tank.k, tank.k] == pytest.approx(variance, rel=1e-6)


def test_a_sample_that_was_not_measured_takes_its_noise_along():
    gaps = pd.DataFrame({tank.c: [1.9, np.nan, 5.8, 8.3]}, index=times)
    fit = fitted(experiment(gaps, noise=[0.1, np.nan, 0.4, 0.8]))
    kept = [0, 2, 3]
    best, _ = slope(times[kept], measured[kept], np.array([0.1, 0.4, 0.8]))
    assert fit.values[tank.k] == pytest.approx(best, rel=1e-7)


def test_an_estimated_noise_is_found_in_the_declared_unit():
    frame = pd.DataFrame({tank.c: 1000.0 * measured}, index=times)
    fit = fitted(experiment(frame, noise=Estimated(100.0), units={tank.c: "mmol/L"}))
    best, _ = slope(times, measured, np.ones(4))
    spread = np.sqrt(((measured - best * times) ** 2).sum() / (len(times) - 1))
    assert fit.residuals["deviation"].iloc[0] == pytest.approx(spread, rel=1e-5)


@pytest.mark.parametrize(
    ("noise", "text"),
    [
        (-1.0, r"noise of tank\.c must be positive, got -1\.0"),
        ([0.1, 0.2, 0.0, 0.1], r"must be positive, got 0\.0 in row 3 \(t = 3\)"),
        ([0.1, 0.2], r"expected one for each of the 4 rows of the frame, got shape \(2,\)"),
        (pd.Series([0.1] * 4, index=times + 1.0), "the Series has other times than the frame"),
        ("small", "expected a standard deviation, got 'small'"),
        (quantity(1.0, "K"), r"noise of tank\.c: "),
    ],
)
def test_a_noise_that_is_none_is_refused(noise, text):
    with pytest.raises(SpecificationError, match=text):
        fitted(experiment(noise=noise))


def test_a_zero_that_was_measured_needs_a_constant_noise():
    frame = pd.DataFrame({tank.c: [0.0, 2.0]}, index=[0.0, 1.0])
    with pytest.raises(SpecificationError, match=r"row 1 \(t = 0\)\.\n  Noise\(relative=\) alone .* add absolute="):
        fitted(experiment(frame, Noise(relative=0.1)))
    with pytest.raises(SpecificationError, match="relative must be a finite number of at least 0"):
        Noise(relative=-0.1)
    with pytest.raises(SpecificationError, match="expected absolute=, relative= or both"):
        Noise()


# --- what was run -----------------------------------------------------------------------------------------


def test_replicates_are_measurements_of_their_own():
    """Three at 2 h, one at 4 h: each weighs the same, in rows as in columns."""
    t, y = np.array([2.0, 2.0, 2.0, 4.0]), np.array([3.8, 4.1, 4.4, 8.3])
    best, variance = slope(t, y, np.full(4, 0.1))
    rows = experiment(pd.DataFrame({tank.c: y}, index=t), replicates=True)
    wide = pd.DataFrame({"a [mol/L]": [3.8, 8.3], "b [M]": [4.1, np.nan], "c [mM]": [4400.0, np.nan]}, index=[2.0, 4.0])
    with pytest.raises(SpecificationError, match=r"3 columns hold tank\.c"):
        experiment(wide, columns=dict.fromkeys(wide.columns, tank.c))
    wide = wide.rename(columns={"c [mM]": "c [M]"}) / [1.0, 1.0, 1000.0]
    columns = experiment(wide, columns=dict.fromkeys(wide.columns, tank.c), replicates=True)
    assert columns.count == 4
    for data in (rows, columns):
        fit = fitted(data)
        assert fit.values[tank.k] == pytest.approx(best, rel=1e-7)
        assert fit.covariance.loc[tank.k, tank.k] == pytest.approx(variance, rel=1e-6)


def test_columns_of_one_name_in_two_units_are_refused():
    wide = pd.DataFrame({"a [mol/L]": [3.8], "b [mM]": [4100.0]}, index=[2.0])
    with pytest.raises(SpecificationError, match=r"tank\.c is in 'mol/L' in one column and in 'mM' in another"):
        experiment(wide, columns=dict.fromkeys(wide.columns, tank.c), replicates=True)


def test_a_measured_input_runs_in_straight_lines():
    """c = k times the integral of u, by the trapezoidal rule exact; measured at a reading and between two."""
    log = pd.Series([0.0, 3.0, 1.0, 1.0, 2.0], index=[0.0, 0.7, 1.3, 3.1, 4.0])
    at = np.array([0.7, 2.0, 4.0])
    fine = np.unique(np.concatenate([log.index, at]))
    u = np.interp(fine, log.index, log)
    fed = np.concatenate([[0.0], np.cumsum(0.5 * (u[1:] + u[:-1]) * np.diff(fine))])
    exact = fed[np.searchsorted(fine, at)]
    run = simulate(plant, recipe, {tank.u: Interpolated(log)})
    assert run.at_end(tank.c) == pytest.approx(exact[-1], rel=1e-7)
    minutes = Interpolated(pd.Series(1000.0 * log.to_numpy(), index=60.0 * log.index))
    data = experiment(
        pd.DataFrame({tank.c: 2.5 * exact}, index=60.0 * at),
        inputs={tank.u: minutes},
        units={tank.c: "mol/L", tank.u: "mmol/L/h"},
        time_unit="min",
    )
    fit = fitted(data)
    assert fit.values[tank.k] == pytest.approx(2.5, rel=1e-7)
    assert fit.ok, fit.message


@pytest.mark.parametrize(
    ("log", "text"),
    [
        (pd.Series([1.0], index=[0.0]), "at least two readings"),
        (pd.Series([1.0, np.nan], index=[0.0, 1.0]), r"the reading nan at t = 1 is not finite"),
        (pd.Series([1.0, 2.0], index=[1.0, 1.0]), "must rise: 1 follows 1"),
        (pd.Series(["a", "b"], index=[0.0, 1.0]), "is no number"),
        ([1.0, 2.0], "expected a Series"),
        (pd.Series(np.zeros(3000)), "at most 1900 lines"),
    ],
)
def test_a_log_that_cannot_be_interpolated_is_refused(log, text):
    with pytest.raises(SpecificationError, match=text):
        Interpolated(log)


def test_a_log_must_cover_the_start_and_not_be_too_fine():
    late = Interpolated(pd.Series([1.0, 2.0], index=[0.5, 4.0]))
    with pytest.raises(SpecificationError, match=r"no reading before t = 0\.5"):
        fitted(experiment(inputs={tank.u: late}))
    spike = Interpolated(pd.Series([1.0, 1.0, 9.0, 1.0, 1.0], index=[0.0, 1.0, 1.001, 1.002, 4.0]))
    with pytest.raises(SpecificationError, match=r"three readings between t = 1 and 1\.002 are closer"):
        fitted(experiment(inputs={tank.u: spike}))


def test_phases_are_each_rich_in_data_and_start_as_known_or_as_decided():
    """A bolus of 5 at 2 h; one experiment starts at 1, as is known, of the other the start is found."""
    fed = Recipe(Phase("batch", 2.0), Phase("more", 2.0, start={tank.c: lambda v: v.tank.c + 5.0}))
    k, at = 1.5, np.array([0.5, 1.0, 1.5, 2.5, 3.0, 4.0])
    line = k * at + 5.0 * (at > 2.0)
    known = experiment(pd.DataFrame({tank.c: 1.0 + line}, index=at), recipe=fed, start={tank.c: 1.0}, name="first")
    fit = fitted(known)
    assert fit.values[tank.k] == pytest.approx(k, rel=1e-7)
    unknown = replace(known, frame=known.frame + 2.0, start={}, name="second")
    found = estimate(plant, [unknown], {tank.k: Free(1.0, 0.0, 50.0), tank.c: Free(0.1, 0.0, 10.0)}, Grid(4))
    assert found.values[tank.k] == pytest.approx(k, rel=1e-6)
    assert found.starts[0][tank.c] == pytest.approx(3.0, rel=1e-6)
    with pytest.raises(
        SpecificationError, match=r"Experiment 'second': start holds what is known, and tank\.c is Free"
    ):
        replace(unknown, start={tank.c: Free(1.0)})


def test_algebraic_variables_and_expressions_are_measured_as_well():
    """y = 2 exp(-k t) at 1 h, half of c at 2 h, in mmol/L."""
    vial = Decay("vial")
    frame = pd.DataFrame({vial.y: [2.0 * np.exp(-0.7), np.nan], vial.half: [np.nan, 500.0 * np.exp(-1.4)]}, [1.0, 2.0])
    data = Experiment(frame, {vial.y: Noise(absolute=0.1), vial.half: 10.0}, recipe, units={vial.half: "mmol/L"})
    fit = estimate(Flowsheet(vial), [data], [vial.k], Grid(20))
    assert fit.values[vial.k] == pytest.approx(0.7, rel=1e-6)
    assert fit.objective == pytest.approx(0.0, abs=1e-9)


# --- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (pd.DataFrame(), "the frame is empty"),
        (pd.DataFrame({"tank.c": [1.0, 2.0]}, index=[1.0, 0.5]), r"row 2 is at t = 0\.5, the row before at t = 1"),
        (pd.DataFrame({"tank.c": [1.0, 2.0]}, index=[1.0, 1.0]), r"rows 1 and 2 have the same time, t = 1.*\n.*replic"),
        (pd.DataFrame({"tank.c": [1.0, 2.0]}, index=[1.0, np.nan]), r"a time of the frame is not finite, in row 2"),
        (pd.DataFrame({"tank.c": [1.0]}, index=["1,5"]), r"row 1: its time: '1,5' is no number"),
        (pd.DataFrame({"tank.c": [1.0]}, index=pd.to_datetime(["2020-01-01"])), "indexed by dates"),
        (pd.DataFrame({"tank.c": ["1.0", "12,5"]}, index=[1.0, 2.0]), r"row 2 \(t = 2\), column tank\.c: '12,5' is no"),
        (pd.DataFrame({"tank.c": ["1.2.3"]}, index=[1.0]), r"row 1 \(t = 1\), column tank\.c: '1\.2\.3' is no number"),
        (pd.DataFrame({"tank.c": ["<0.1"]}, index=[1.0]), "A limit of detection is no measurement"),
        (pd.DataFrame({"tank.c": [True]}, index=[1.0]), "True is no number but a bool"),
        (pd.DataFrame({"tank.c": [1.0, np.inf]}, index=[1.0, 2.0]), r"row 2 \(t = 2\), column tank\.c: inf is not fin"),
        (pd.DataFrame({"tank.c": [np.nan]}, index=[1.0]), "nothing was measured"),
        (pd.DataFrame({"tank.d": [1.0]}, index=[1.0]), r"column 'tank\.d' is unknown"),
        (
            pd.DataFrame({"tank.c": [1.0, -0.5]}, index=[1.0, 2.0]),
            r"row 2 \(t = 2 h\), column tank\.c: -0\.5 mol/L lies",
        ),
        (pd.DataFrame({"tank.c": [1.0, 200.0]}, index=[1.0, 2.0]), "200 mol/L lies above its declared domain"),
        (
            pd.DataFrame({"tank.c": [1.0, 2.0]}, index=[1.0, 7.0]),
            r"row 2 \(t = 7 h\), column tank\.c: the time lies outs",
        ),
        (pd.DataFrame({"tank.c": [1.0, 2.0]}, index=[-1.0, 7.0]), r"row 1 \(t = -1 h\), .* runs from 0 to 4 h"),
    ],
)
def test_bad_data_are_refused_where_they_stand(frame, text):
    with pytest.raises(SpecificationError, match=text):
        fitted(experiment(frame, dict.fromkeys(frame.columns, 0.1)))


def test_a_value_may_leave_its_domain_where_that_is_said():
    frame = pd.DataFrame({tank.c: [-0.5, 2.0]}, index=[0.0, 1.0])
    assert fitted(experiment(frame, may_leave=[tank.c])).values[tank.k] == pytest.approx(2.0, rel=1e-7)
    with pytest.raises(SpecificationError, match=r"may_leave: name 'tank\.d' is unknown"):
        fitted(experiment(frame, may_leave=["tank.d"]))
    with pytest.raises(SpecificationError, match="may_leave is a list of names"):
        experiment(frame, may_leave=tank.c)


def test_noise_may_take_a_value_out_of_its_domain_but_not_far():
    """Four standard deviations of what is noise at zero: a relative part counts nothing there."""
    frame = pd.DataFrame({tank.c: [-0.3, 2.0]}, index=[0.0, 1.0])
    assert fitted(experiment(frame, 0.1)).values[tank.k] == pytest.approx(2.0, rel=1e-7)
    for noise in (0.07, Noise(absolute=0.07, relative=0.5), [0.07, 0.1], Estimated(0.07)):
        with pytest.raises(SpecificationError, match=r"row 1 \(t = 0 h\), column tank\.c: -0\.3 mol/L lies below"):
            fitted(experiment(frame, noise))


def test_rounding_is_no_negative_concentration():
    rounding = pd.DataFrame({tank.c: [-2.78e-17, 2.0]}, index=[0.0, 1.0])
    assert fitted(experiment(rounding)).values[tank.k] == pytest.approx(2.0, rel=1e-7)


def test_numbers_that_came_as_texts_are_numbers():
    frame = pd.DataFrame({tank.c: ["1.9", " 4.2 ", "5.8e0", ""], "note": list("abcd")}, index=times)
    data = experiment(frame.drop(columns="note"))
    assert data.frame[tank.c].tolist()[:3] == [1.9, 4.2, 5.8]
    assert data.count == 3


def test_columns_that_are_not_there_are_refused():
    frame = pd.DataFrame({"glucose [mM]": measured}, index=times)
    with pytest.raises(
        SpecificationError, match=r"columns: column 'Glucose \[mM\]' is unknown\. Did you mean 'glucose"
    ):
        experiment(frame, columns={"Glucose [mM]": tank.c})
    with pytest.raises(SpecificationError, match="columns is a dict by name"):
        experiment(frame, columns=["glucose [mM]"])
    with pytest.raises(SpecificationError, match=r"no noise for tank\.c"):
        experiment(frame, noise={}, columns={"glucose [mM]": tank.c})


def test_an_experiment_with_a_name_is_called_so():
    named = experiment(name="170506F3")
    assert named.label(1) == "experiment 2 (170506F3)"
    assert experiment().label(0) == "experiment 1"
    with pytest.raises(SpecificationError, match=r"Experiment '170506F3': column 'tank\.d' is unknown"):
        replace(named, frame=named.frame.rename(columns={tank.c: "tank.d"}), noise={"tank.d": 1.0}).converted(plant)
