"""Vectors of symbols: the same numbers and units as symbol by symbol, and fast for large unit operations."""

from __future__ import annotations

import time

import casadi as ca
import numpy as np
import pytest
from scipy.sparse import random_array

from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import CASADI, FLOATS, Symbol, symbol_array
from titer.flowsheets.symbols.vectors import apart, blend, times, together
from titer.numerics.errors import DeclarationError

MOLAR = Measure.of("mol/L")
RATE = Measure.of("1/s")


def floats(values, measure=MOLAR):
    return symbol_array([Symbol(float(x), measure, FLOATS) for x in values])


def symbols(n, measure=MOLAR):
    return symbol_array([Symbol(ca.SX.sym(f"x{k}"), measure, CASADI) for k in range(n)])


def test_a_vector_is_its_symbols(rng):
    """Arithmetic, a function and matrices on a vector, against the same on floats."""
    n = 7
    matrices = [random_array((n, n), density=0.4, rng=rng, format="csr") for _ in range(2)]

    def model(x, weights):
        vector = together(x)
        flow = times(blend(matrices, weights), vector)
        return apart(flow * np.exp(-vector / x[0]) + times(matrices[0], vector) * weights[1], n)

    x = symbols(n)
    weights = [Symbol(ca.SX.sym(key), RATE, CASADI) for key in "ad"]
    made = model(x, weights)
    assert made.measure.same(MOLAR / Measure.of("s"))
    function = ca.Function(
        "f", [ca.vertcat(*(s.value for s in group)) for group in (x, weights)], [ca.vertcat(*(s.value for s in made))]
    )
    values = rng.uniform(0.5, 2.0, n)
    expected = [s.value for s in model(floats(values), list(floats([2.0, 0.3], RATE)))]
    np.testing.assert_allclose(np.array(function(values, [2.0, 0.3])).ravel(), expected, rtol=1e-13)


def test_units_of_a_vector_are_checked_once_and_for_all():
    with pytest.raises(DeclarationError, match="cannot add"):
        together(symbols(3)) + together(symbols(3, RATE))


def test_five_thousand_symbols_take_a_moment():
    x = symbols(5000)
    began = time.process_time()
    vector = together(x)
    for _ in range(20):
        vector = vector * together(x) / x[0] + vector
    apart(vector, 5000)
    assert time.process_time() - began < 2.0
