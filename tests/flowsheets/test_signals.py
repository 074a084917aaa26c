"""Given trajectories: numbers, Series and functions of time become exact lines, or are refused with advice."""

import math

import casadi as ca
import numpy as np
import pandas as pd
import pytest

from titer.flowsheets.lines import lines_of
from titer.flowsheets.profiles import PiecewiseConstant, PiecewiseLinear
from titer.flowsheets.signals import Signal, sampled, shape_of, signal, traced
from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbols.symbol import CASADI, Symbol, quantity
from titer.numerics.errors import SpecificationError

KELVIN, FLOW, HOUR = Measure.of("K"), Measure.of("L/h"), Measure.of("h")


def given(value, measure=KELVIN, end=10.0):
    return signal(value, measure, "tank.F", end)


def integral(found: Signal, start: float, duration: float) -> float:
    """The exact integral of a signal's lines over a phase."""
    profile, values = found.over(start, duration)
    left, right = values[profile.left], values[profile.right]
    return float(np.sum(np.diff(profile.edges) * duration * 0.5 * (left + right)))


def value(found: Signal, t: float) -> float:
    """The value to the right of a time."""
    profile, values = found.over(t, 1e-3)
    return float(values[profile.left[0]])


# --- numbers and Series ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "expected"), [(300, 300.0), (np.float64(2.5), 2.5), (quantity(0.3, "kK"), 300.0)])
def test_a_number_is_constant_and_a_quantity_converts(number, expected):
    found = given(number)
    assert found.is_constant
    assert value(found, 3.0) == expected


def test_a_series_steps_at_each_of_its_times_and_holds_its_last_value():
    found = given(pd.Series([1.0, 3.0, 2.0], index=[0.0, 4.0, 6.0]))
    profile, values = found.over(2.0, 6.0)
    assert profile.constant
    assert profile.edges * 6.0 + 2.0 == pytest.approx([2.0, 4.0, 6.0, 8.0])
    assert list(values) == [1.0, 3.0, 2.0]
    assert value(found, 100.0) == 2.0


def test_of_equal_times_of_a_series_the_last_counts():
    found = given(pd.Series([1.0, 5.0, 2.0], index=[0.0, 0.0, 6.0]))
    assert value(found, 0.0) == 5.0


def test_a_series_with_one_time_has_no_trajectory_before_it():
    found = given(pd.Series([5.0], index=[3.0]))
    assert not found.is_constant
    assert found.times[0] == 3.0
    assert value(found, 4.0) == 5.0


def test_a_series_may_hold_quantities():
    found = given(pd.Series([quantity(1.0, "L/min"), 30.0], index=[0, 1]), FLOW)
    assert list(found.left) == [60.0, 30.0]


@pytest.mark.parametrize(
    ("series", "text"),
    [
        (pd.Series([], dtype=float, index=pd.Index([], dtype=float)), "the Series for tank.F is empty"),
        (pd.Series([1.0, 2.0], index=[4.0, 1.0]), "not sorted; use series.sort_index()"),
        (pd.Series([1.0, np.nan], index=[0.0, 1.0]), "not finite; drop or fill it"),
        (pd.Series([1.0, 2.0], index=[0.0, np.inf]), "not finite; drop or fill it"),
        (pd.Series([1.0], index=pd.to_datetime(["2026-01-01"])), "times in the flowsheet's time unit"),
        (pd.Series([1.0, 2.0], index=["a", "b"]), "times in the flowsheet's time unit"),
        (pd.Series(["a"], index=[0.0]), "expected a number in 'K', got 'a'"),
        (pd.DataFrame({"a": [1.0]}), "give one column of it"),
        (math.nan, "inputs: tank.F must be finite, got nan"),
        ("320", "expected a number in 'K', got '320'"),
        ([1.0, 2.0], "expected a number in 'K'"),
        (quantity(1.0, "h"), "cannot"),
    ],
)
def test_what_is_no_trajectory_is_refused_by_name(series, text):
    with pytest.raises(SpecificationError, match=r"tank\.F") as raised:
        given(series)
    assert text in str(raised.value)


# --- functions of time ----------------------------------------------------------------------------------------


def trace(function, measure=KELVIN, at=2.0):
    t = ca.SX.sym("t")
    raw = traced(function, Symbol(t, DIMENSIONLESS, CASADI), measure, "tank.F")
    return raw if raw is None else float(ca.Function("f", [t], [raw])(at))


def test_a_smooth_function_of_time_is_traced_exactly():
    assert trace(lambda t: 300.0 + 20.0 * np.exp(-t / 3.0)) == 300.0 + 20.0 * math.exp(-2.0 / 3.0)
    assert trace(lambda t: 300) == 300.0


def test_a_quantity_that_a_function_gives_converts():
    assert trace(lambda t: quantity(2.0 * t, "L/min"), FLOW) == pytest.approx(240.0, rel=1e-14)
    assert trace(lambda t: quantity(2.0, "L/min"), FLOW) == pytest.approx(120.0, rel=1e-14)


def test_a_function_that_takes_numbers_only_is_not_traced():
    assert trace(lambda t: 1.0 if t < 3 else 2.0) is None
    assert trace(lambda t: np.interp(t, [0, 1], [0, 1])) is None
    assert trace(300.0) is None
    assert trace(pd.Series([1.0])) is None


@pytest.mark.parametrize("function", [lambda t: math.nan, lambda t: quantity(1.0, "h") * np.exp(t)])
def test_a_traced_function_that_gives_no_number_in_the_unit_is_refused(function):
    with pytest.raises(SpecificationError, match=r"the function for tank\.F"):
        trace(function)


RAMPS = [
    ([0.0, 3.3, 7.1, 10.0], [300.0, 340.0, 340.0, 310.0]),
    ([0.0, 1e-3, 9.9, 10.0], [-1.0, 5.0, 5.0, 0.0]),
    ([0.0, math.pi, math.e * 2, 9.0], [0.0, 1e-6, 3e-6, 0.0]),
]


@pytest.mark.parametrize(("times", "values"), RAMPS)
def test_an_interpolated_table_is_found_exactly(times, values):
    found = given(lambda t: float(np.interp(t, times, values)))
    exact = np.trapezoid([*values, values[-1]], [*times, 10.0])
    assert integral(found, 0.0, 10.0) == pytest.approx(exact, rel=1e-9)
    assert len(found.times) <= len(times) + 1


def test_a_long_table_is_found_exactly(rng):
    times = np.linspace(0.0, 10.0, 201)
    times[1:-1] += rng.uniform(-0.02, 0.02, 199)
    values = rng.uniform(300.0, 340.0, len(times))
    found = given(lambda t: float(np.interp(t, times, values)))
    assert integral(found, 0.0, 10.0) == pytest.approx(np.trapezoid(values, times), rel=1e-9)


def test_steps_and_ramps_between_them_are_found_exactly():
    def function(t):
        if t < 2.0 / 3.0:
            return 300.0
        return 310.0 + 2.0 * t if t <= 7.7 else 305.0

    found = given(function)
    a, b = 2.0 / 3.0, 7.7
    exact = 300.0 * a + 310.0 * (b - a) + (b**2 - a**2) + 305.0 * (10.0 - b)
    assert integral(found, 0.0, 10.0) == pytest.approx(exact, rel=1e-9)
    assert found.times == pytest.approx([0.0, a, b, 10.0], abs=1e-11)
    assert integral(found, 0.5, 1.0) == pytest.approx(300.0 * (a - 0.5) + 310.0 * (1.5 - a) + 1.5**2 - a**2, rel=1e-9)


def test_a_short_pulse_is_not_overlooked():
    found = given(lambda t: 5.0 if 3.0 <= t < 3.02 else 0.0)
    assert integral(found, 0.0, 10.0) == pytest.approx(0.1, rel=1e-9)


def test_a_jump_at_the_very_start_and_at_the_very_end_does_no_harm():
    found = given(lambda t: 1.0 if 0.0 < t < 10.0 else 7.0)
    assert integral(found, 0.0, 10.0) == pytest.approx(10.0, rel=1e-9)


def test_a_function_that_is_the_same_always_is_a_constant():
    assert given(lambda t: 300.0 if t < 20 else 0.0).is_constant


@pytest.mark.parametrize("function", [lambda t: 300.0 + 20.0 * math.exp(-t / 3.0), lambda t: math.sin(9.0 * t)])
def test_a_curved_function_that_takes_numbers_only_is_refused_with_advice(function):
    with pytest.raises(
        SpecificationError, match=r"the function for tank\.F is curved and takes numbers only"
    ) as raised:
        given(function)
    assert "NumPy functions of t that need no `if`" in str(raised.value)


def test_a_curved_function_will_do_as_a_guess():
    found = sampled(lambda t: 300.0 + 20.0 * math.exp(-t / 3.0), KELVIN, "tank.F", 10.0)
    assert integral(found, 0.0, 10.0) == pytest.approx(3000.0 + 60.0 * (1.0 - math.exp(-10.0 / 3.0)), rel=1e-5)
    assert found.within(305.0, 310.0).left.max() == 310.0


def failing(t):
    raise KeyError("pump")


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (failing, "failed at t = 0: KeyError: 'pump'"),
        (lambda t: math.nan if t > 5 else 1.0, "must be finite, got nan"),
        (lambda t: "warm", "expected a number in 'K', got 'warm'"),
        (lambda t: None, "expected a number in 'K', got None"),
    ],
)
def test_a_function_that_fails_is_named(function, text):
    with pytest.raises(SpecificationError, match=r"the function for tank\.F") as raised:
        given(function)
    assert text in str(raised.value)


def test_a_function_that_jumps_everywhere_has_no_lines(rng):
    assert lines_of(lambda t: float(rng.normal()), 1.0, 100) is None


def test_lines_end_where_too_many_are_needed():
    assert lines_of(lambda t: t * t, 1.0, 100) is None
    assert len(lines_of(lambda t: 2.0 * t, 1.0, 100)) == 1


# --- pieces ---------------------------------------------------------------------------------------------------


def test_pieces_with_values_stay_pieces_in_the_unit_of_the_input():
    found = given(PiecewiseLinear(values=[quantity(1.0, "L/min"), 30.0]), FLOW)
    assert list(found.values) == [60.0, 30.0]


def test_pieces_without_values_are_no_trajectory():
    with pytest.raises(SpecificationError, match=r"inputs: tank\.F has no values"):
        given(PiecewiseConstant(3))


@pytest.mark.parametrize(
    ("pieces", "duration", "exact", "edges"),
    [
        (PiecewiseConstant(4), 8.0, True, [0, 0.25, 0.5, 0.75, 1]),
        (PiecewiseConstant(every=3.0), 7.5, True, [0, 0.4, 0.8, 1]),
        (PiecewiseConstant(every=3.0), 7.5, False, [0, 1 / 3, 2 / 3, 1]),
        (PiecewiseConstant(every=3.0), 9.0 + 1e-9, True, [0, 1 / 3, 2 / 3, 1]),
        (PiecewiseConstant(every=30.0), 7.5, True, [0, 1]),
        (PiecewiseConstant(values=[1, 2]), 5.0, True, [0, 0.5, 1]),
        (PiecewiseLinear(values=[1, 2, 0]), 5.0, True, [0, 0.5, 1]),
    ],
)
def test_edges_of_pieces(pieces, duration, exact, edges):
    assert pieces.edges(duration, exact) == pytest.approx(edges, abs=1e-9)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: PiecewiseConstant(), "got none"),
        (lambda: PiecewiseConstant(3, every=2.0), "got pieces and every"),
        (lambda: PiecewiseConstant(0), "pieces must be a whole number of at least 1, got 0"),
        (lambda: PiecewiseConstant(2.5), "got 2.5"),
        (lambda: PiecewiseConstant(True), "got True"),
        (lambda: PiecewiseConstant(every=0.0), "every must be a positive number"),
        (lambda: PiecewiseConstant(every="6 h"), "got '6 h'"),
        (lambda: PiecewiseConstant(values=[]), "at least 1"),
        (lambda: PiecewiseConstant(values=[1.0, math.nan]), "no finite number: nan"),
        (lambda: PiecewiseConstant(values=3.0), "values is a list of numbers, got 3.0"),
        (lambda: PiecewiseLinear(values=[1.0]), "one number a node, at least 2"),
        (lambda: PiecewiseLinear(3, rate=-1.0), "rate must be a positive number, got -1.0"),
    ],
)
def test_pieces_check_themselves(make, text):
    with pytest.raises(SpecificationError, match="Piecewise") as raised:
        make()
    assert text in str(raised.value)


def test_the_simplest_shape_is_chosen():
    edges = np.array([0.0, 0.5, 1.0])
    assert shape_of(edges, np.array([1.0, 2.0]), np.array([1.0, 2.0]))[0].constant
    assert shape_of(edges, np.array([1.0, 2.0]), np.array([2.0, 3.0]))[1] == pytest.approx([1, 2, 3])
    assert shape_of(edges, np.array([1.0, 5.0]), np.array([2.0, 3.0]))[1] == pytest.approx([1, 2, 5, 3])
