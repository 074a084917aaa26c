"""Functions on arrays' own memory give what CasADi's own call gives, to the last bit."""

from __future__ import annotations

import casadi as ca
import numpy as np
import pytest

from titer.numerics.integration.buffered import called


def function_of(*outputs):
    x, p = ca.SX.sym("x", 3), ca.SX.sym("p")
    return ca.Function("f", [x, ca.SX.sym("none", 0), p], [make(x, p) for make in outputs]).map(5)


def dense(x, p):
    return p * ca.sin(x)


def sparse(x, p):
    return ca.vertcat(x[0], ca.SX(1, 1), p)


@pytest.mark.parametrize("outputs", [(dense,), (dense, dense), (dense, sparse)], ids=["one", "two", "a sparse one"])
def test_values_are_those_of_the_usual_call(outputs, rng):
    function = function_of(*outputs)
    arguments = [rng.normal(size=(3, 5)), np.zeros((0, 5)), rng.normal(size=(1, 5))]
    expected = function(*arguments)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for found, value in zip(called(function, arguments), expected, strict=True):
        np.testing.assert_array_equal(found, np.array(value))


def test_arrays_in_any_order_are_read_alike(rng):
    function, x = function_of(dense), rng.normal(size=(3, 10))
    rest = [np.zeros((0, 5)), np.ones((1, 5))]
    np.testing.assert_array_equal(called(function, [x[:, ::2], *rest])[0], np.sin(x[:, ::2]))


def test_a_scalar_is_spread_as_casadi_spreads_it():
    np.testing.assert_array_equal(
        called(function_of(dense), [np.ones((1, 1)), np.zeros((0, 5)), np.ones((1, 5))])[0],
        np.full((3, 5), np.sin(1.0)),
    )
