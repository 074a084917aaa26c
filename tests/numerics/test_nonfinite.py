"""The origin of a nan or inf is found, named in the variables' words, and follows IEEE arithmetic throughout."""

from __future__ import annotations

import time

import casadi as ca
import numpy as np
import pytest

from titer.numerics.instructions import instructions
from titer.numerics.nonfinite import crossing, first_nonfinite, nonfinite_derivative

NAMES = [["r.S", "r.X", "r.V"], ["r.k", "r.n"]]
X, P = ca.SX.sym("x", 3), ca.SX.sym("p", 2)
S, BIO, V, K, N = X[0], X[1], X[2], P[0], P[1]


def asked(*results, at=(1.0, 1.0, 1.0), p=(1.0, 0.5), look=first_nonfinite, **more):
    function = ca.Function("f", [X, P], [ca.SX(r) for r in results])
    labels = [[f"result {i}{k}" for k in range(ca.SX(r).numel())] for i, r in enumerate(results)]
    labels = more.pop("results", labels)
    return look(function, [np.array(at), np.array(p)], NAMES, labels, **more)


@pytest.mark.parametrize(
    ("expression", "at", "text"),
    [
        (ca.log(S), (-0.00312, 1, 1), "log(r.S) is the logarithm of a negative number: r.S = -0.00312"),
        (ca.log(S), (0, 1, 1), "log(r.S) is the logarithm of zero: r.S = 0"),
        (
            ca.log(S - N),
            (0.3, 1, 1),
            "log(r.S - r.n) is the logarithm of a negative number (-0.2): r.S = 0.3, r.n = 0.5",
        ),
        (ca.sqrt(S), (-4, 1, 1), "sqrt(r.S) is the square root of a negative number: r.S = -4"),
        (S / V, (2, 1, 0), "r.S / r.V is a division by zero: r.V = 0"),
        (S / V, (0, 1, 0), "r.S / r.V is a division by zero: r.V = 0"),
        (1 / (V - BIO), (1, 1, 1), "1 / (r.V - r.X) is a division by zero: r.V = 1, r.X = 1"),
        (S**N, (-1, 1, 1), "r.S**r.n is a fractional power of a negative number: r.S = -1, r.n = 0.5"),
        (S**-1.5, (0, 1, 1), "r.S**(-1.5) is a division by zero (a negative power of zero): r.S = 0"),
        (ca.exp(1000 * S), (1, 1, 1), "exp(1000 * r.S) is too large a number: r.S = 1"),
        (ca.acos(S), (2, 1, 1), "arccos(r.S) is the arccosine of a number outside [-1, 1]: r.S = 2"),
        (ca.log1p(S), (-2, 1, 1), "log1p(r.S) is the logarithm of a number that is not positive: r.S = -2"),
        (S * K, (np.nan, 1, 1), "r.S itself is nan"),
        (S * BIO, (1e200, 1e200, 1), "r.S * r.X is too large a number: r.S = 1e+200, r.X = 1e+200"),
    ],
)
def test_the_operation_its_variables_and_its_result_are_named(expression, at, text):
    assert str(asked(ca.vertcat(V, expression), at=at)) == f"{text}; it enters result 01"


@pytest.mark.parametrize(
    ("expression", "at"),
    [
        (ca.log(S), (1, 1, 1)),
        (1 / (1 + ca.exp(1000 * S)), (1, 1, 1)),  # an infinity that vanishes
        (ca.if_else(S > 0, ca.log(S), 0), (-1, 1, 1)),  # a branch that is not taken
        (ca.fmin(1 / V, 3), (1, 1, 0)),
    ],
)
def test_what_does_not_reach_a_result_is_no_origin(expression, at):
    assert np.isfinite(float(ca.Function("f", [X], [expression])(np.array(at))))
    assert asked(expression, at=at) is None


def test_a_named_expression_comes_first_and_stands_for_itself_in_formulas():
    r = ca.log(S) * K
    rates, zeros = ca.vertcat(BIO, r * BIO, -r), ca.vertcat(V - r)
    labels = [[f"the rate of r.{n}" for n in "VXS"], ["r.V equation"], ["r.r_1"]]
    found = asked(rates, zeros, r, at=(-1, 1, 1), named=2, results=labels)
    assert found.results[0] == "r.r_1"
    assert set(found.results) == {"r.r_1", "the rate of r.X", "the rate of r.S", "r.V equation"}
    assert str(found).startswith("log(r.S) is the logarithm of a negative number: r.S = -1; it enters r.r_1, ")
    assert str(found).endswith(" and 1 more")
    mu = K * S
    divided = asked(
        ca.vertcat(BIO / mu), ca.SX(0, 1), mu, at=(0, 1, 1), named=2, results=[["the rate of r.X"], [], ["r.mu"]]
    )
    assert str(divided) == "r.X / r.mu is a division by zero: r.mu = 0, r.k = 1, r.S = 0; it enters the rate of r.X"
    unread = asked(BIO, ca.SX(0, 1), ca.log(S), at=(-1, 1, 1), named=2, results=[["the rate of r.X"], [], ["r.y"]])
    assert unread is None


def test_the_origin_lies_before_what_it_spoils():
    first = ca.sqrt(S)
    found = asked(ca.vertcat(ca.log(first / BIO) - 1, V), at=(-1, 1, 1))
    assert (found.expression, found.operation) == ("sqrt(r.S)", "the square root of a negative number")
    assert found.values == (("r.S", -1.0),)
    assert found.results == ("result 00",)


def test_a_long_formula_loses_its_deep_parts_and_keeps_their_variables():
    inner = S * ca.exp(-K / (8.314 * (BIO + 273.15))) + N * V / (S + K * (1 + BIO / N) ** 2)
    found = asked(ca.log(inner - ca.tanh(V * 1000) * 5 - S**2 * BIO - (V + 3) / BIO))
    assert len(found.expression) <= 80
    assert found.expression.startswith("log(")
    assert "f(" in found.expression
    assert all(name in found.expression for name in ("r.S", "r.X", "r.V"))
    assert len(found.values) == 4


@pytest.mark.parametrize(
    ("expression", "at", "text"),
    [
        (ca.sqrt(S) * K, (0, 1, 1), "r.k / (2 * sqrt(r.S)) is a division by zero: r.S = 0"),
        (S**0.3, (0, 1, 1), "r.S**(-0.7) is a division by zero (a negative power of zero): r.S = 0"),
    ],
)
def test_a_derivative_that_is_not_finite_is_named_where_the_value_is(expression, at, text):
    assert asked(expression, at=at) is None
    found = asked(expression, at=at, look=nonfinite_derivative, by=(0,))
    assert str(found) == f"{text}; it enters the derivative of result 00 in r.S"
    assert asked(expression, at=(1, 1, 1), look=nonfinite_derivative) is None
    assert asked(expression, at=at, look=nonfinite_derivative, by=(1,)) is None


def test_a_divisor_that_passes_zero_and_a_condition_that_switches_are_found_between_points():
    function = ca.Function("f", [X, P], [BIO / (S - N) + ca.if_else(V > 2, 1, 0)])
    points = [[np.array(x), np.array([1.0, 0.5])] for x in ([0.6, 1, 1], [0.4, 1, 3], [0.7, 1, 1.5])]

    def between(a, b, switches=False):
        return crossing(function, points[a], NAMES, [["y"]], None, points[b], switches)

    assert str(between(0, 1)) == (
        "r.X / (r.S - r.n) is a division by a number that goes through zero: r.S = 0.6, r.n = 0.5; it enters y"
    )
    assert str(between(0, 1, True)) == "2 < r.V is a condition that switches there: r.V = 1; it enters y"
    assert between(0, 2) is None
    assert between(0, 2, True) is None


def test_a_function_of_matrices_is_expanded_or_at_least_its_bad_results_are_named():
    a = ca.MX.sym("a", 2)
    names, labels = [["u", "v"]], [["y", "w"]]
    expanded = first_nonfinite(ca.Function("f", [a], [ca.log(a)]), [np.array([1.0, -1.0])], names, labels)
    assert str(expanded) == "log(v) is the logarithm of a negative number: v = -1; it enters w"
    solved = ca.Function(
        "g", [a], [ca.interpolant("l", "bspline", [[0.0, 1.0, 2.0, 3.0]], [1.0, 2.0, 5.0, 3.0])(a[0]) / a]
    )
    assert instructions(solved) is None
    assert first_nonfinite(solved, [np.array([1.0, 2.0])], names, labels) is None
    named = first_nonfinite(solved, [np.array([1.0, 0.0])], names, labels)
    assert str(named) == "w is not finite"
    assert nonfinite_derivative(solved, [np.array([1.0, 1.0])], names, labels) is None


def test_values_agree_with_casadi_for_every_operation():
    rng = np.random.default_rng(3)
    a, b = X[0], X[1]
    unary = [
        ca.exp, ca.log, ca.sqrt, ca.sin, ca.cos, ca.tan, ca.asin, ca.acos, ca.atan, ca.sinh, ca.cosh, ca.tanh,
        ca.asinh, ca.acosh, ca.atanh, ca.fabs, ca.sign, ca.floor, ca.ceil, ca.erf, ca.erfinv, ca.log1p, ca.expm1,
        lambda x: -x, lambda x: x**2, lambda x: 2 * x, lambda x: 1 / x, lambda x: x**1.7, ca.logic_not,
    ]  # fmt: skip
    binary = [
        lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y, lambda x, y: x / y, lambda x, y: x**y,
        lambda x, y: x < y, lambda x, y: x <= y, lambda x, y: x == y, lambda x, y: x != y, ca.logic_and, ca.logic_or,
        ca.fmin, ca.fmax, ca.atan2, ca.hypot, ca.fmod, ca.remainder, ca.copysign,
        lambda x, y: ca.if_else(x > 0, y, x + 1),
    ]  # fmt: skip
    function = ca.Function("f", [X], [ca.vertcat(*(f(a) for f in unary), *(f(a, b) for f in binary))])
    parts = instructions(function)
    for point in [*rng.normal(size=(20, 3)), np.zeros(3), np.array([2.0, 0.0, 0.0]), np.array([0.0, -1.0, 0.0])]:
        values = parts.values([point])
        mine = np.array([values[node] for _, _, node in sorted(parts.outputs)])
        assert mine == pytest.approx(np.array(function(point)).ravel(), rel=1e-6, nan_ok=True)


def test_a_hundred_thousand_operations_take_about_a_second():
    x = ca.SX.sym("x", 200)
    y = x
    for k in range(60):
        y = ca.exp(-0.1 * y) * x + ca.sqrt(y**2 + 1) / (1 + k)
    function = ca.Function("f", [x], [ca.log(y - 1e3)])
    assert function.n_instructions() > 9e4
    began = time.perf_counter()
    found = first_nonfinite(function, [np.ones(200)], [[f"x{i}" for i in range(200)]])
    assert time.perf_counter() - began < 5.0  # measured: 0.6 s, and 0.1 s at another point
    assert found.operation.startswith("the logarithm of a negative number")
