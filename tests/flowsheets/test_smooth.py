"""Smooth forms: the stated largest errors hold and are reached, units are those of the exact functions."""

import casadi as ca
import numpy as np
import pytest

from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbols.smooth import (
    smooth_abs,
    smooth_clip,
    smooth_maximum,
    smooth_minimum,
    smooth_step,
    smooth_where,
)
from titer.flowsheets.symbols.symbol import CASADI, Symbol, magnitude, quantity, symbol_array
from titer.numerics.errors import DeclarationError

X = np.linspace(-5.0, 5.0, 2001)  # contains every kink below


@pytest.mark.parametrize("width", [1.0, 0.1, 1e-3])
def test_the_largest_error_is_the_stated_one(width: float):
    errors = {
        "maximum": (smooth_maximum(X, 1.0, width) - np.maximum(X, 1.0), width / 2),
        "minimum": (np.minimum(X, 1.0) - smooth_minimum(X, 1.0, width), width / 2),
        "abs": (smooth_abs(X, width) - np.abs(X), width),
    }
    for error, largest in errors.values():
        assert error.max() == pytest.approx(largest, rel=1e-9)
        assert error.min() > 0
    away = X != 1.0
    assert np.all(errors["maximum"][0][away] < width**2 / (4 * np.abs(X - 1.0)[away]) + 1e-15)
    assert np.all(errors["abs"][0][X != 0] < width**2 / (2 * np.abs(X[X != 0])) + 1e-15)

    clipped = smooth_clip(X, -1.0, 2.0, width)
    assert np.abs(clipped - np.clip(X, -1.0, 2.0)).max() < width / 2
    assert clipped.min() > -1.0
    assert clipped.max() < 2.0
    assert np.all(np.diff(clipped) > 0)


def test_the_step_is_as_sharp_as_stated():
    assert smooth_step(0.0, 0.1) == 0.5
    assert 1.0 - smooth_step(0.2, 0.1) == pytest.approx(0.018, abs=2e-4)
    assert smooth_step(-0.3, 0.1) == pytest.approx(0.0025, abs=5e-5)
    assert smooth_where(0.5, 7.0, 3.0, 0.1) == pytest.approx(7.0, abs=4.0 * 1e-4)
    assert smooth_where(0.0, 7.0, 3.0, 0.1) == 5.0
    assert smooth_step(-1e6, 1e-3) == 0.0


FORMS = [
    (lambda x, y: smooth_maximum(x, y, 0.1), "g/L"),
    (lambda x, y: smooth_maximum(x, 0.0, quantity(0.1, "g/L")), "g/L"),
    (lambda x, y: smooth_minimum(2.0, x, 0.1), "g/L"),
    (lambda x, y: smooth_abs(x - y, 0.1), "g/L"),
    (lambda x, y: smooth_step(x - y, 0.3), "1"),
    (lambda x, y: smooth_step(x - y, quantity(0.3, "mg/mL")), "1"),
    (lambda x, y: smooth_where(x - 1.0, y, 0.0, 0.3), "g/L"),
    (lambda x, y: smooth_clip(x, 0.5, y, 0.1), "g/L"),
]


@pytest.mark.parametrize(("form", "unit"), FORMS)
def test_symbols_and_arrays_of_both_readings_agree_with_plain_numbers(form, unit: str):
    x, y = np.random.default_rng(3).uniform(0.0, 3.0, (2, 7))
    symbols = [Symbol(ca.SX.sym(name), Measure.of("g/L"), CASADI) for name in "xy"]
    traced = form(*symbols)
    function = ca.Function("f", [s.value for s in symbols], [traced.value])
    floats = form(quantity(x, "g/L"), quantity(y, "g/L"))
    assert traced.measure.same(Measure.of(unit))
    assert floats.measure.same(Measure.of(unit))
    numbers = [v.value for v in floats]
    np.testing.assert_allclose(numbers, [float(function(*xy)) for xy in zip(x, y, strict=True)], rtol=1e-14)
    one_by_one = [form(quantity(a, "g/L"), quantity(b, "g/L")).value for a, b in zip(x, y, strict=True)]
    assert numbers == one_by_one


def test_the_growth_of_a_maintained_culture_is_written_with_a_smooth_maximum():
    """mu = max(qS - qm, 0) Y, of the perfusion culture, far above and far below the maintenance demand."""
    S = quantity(np.array([40.0, 1e-4]), "g/L")
    uptake = quantity(0.57, "1/h") * S / (S + 0.1)
    mu = smooth_maximum(uptake - 0.013, 0.0, 1e-4) * 0.36
    assert mu.measure is Measure.of("1/h")
    assert mu[0].value == pytest.approx((0.57 * 40.0 / 40.1 - 0.013) * 0.36, rel=1e-6)
    assert 0 < mu[1].value < 1e-6


def test_the_derivative_exists_at_the_kink():
    x = Symbol(ca.SX.sym("x"), DIMENSIONLESS, CASADI)
    for form, slope in [
        (smooth_maximum(x, 0.0, 0.1), 0.5),
        (smooth_minimum(x, 0.0, 0.1), 0.5),
        (smooth_abs(x, 0.1), 0.0),
        (smooth_step(x, 0.1), 5.0),
        (smooth_clip(x, 0.0, 100.0, 0.1), 0.5),
    ]:
        derivative = ca.Function("d", [x.value], [ca.jacobian(form.value, x.value)])
        assert float(derivative(0.0)) == pytest.approx(slope, abs=1e-6)


def test_widths_are_checked_at_the_door():
    x = quantity(1.0, "mol/L")
    for width in (0.0, -1.0, float("nan"), quantity(0.0, "mol/L")):
        with pytest.raises(DeclarationError, match="width must be positive"):
            smooth_maximum(x, 0.0, width)
    with pytest.raises(DeclarationError, match=r"cannot add 'mol\^2/L\^2' and 'mmol\^2/L\^2'"):
        smooth_maximum(x, 0.0, quantity(1.0, "mmol/L"))
    with pytest.raises(DeclarationError, match="tanh needs a dimensionless argument"):
        smooth_step(x, quantity(1.0, "mmol/L"))
    with pytest.raises(DeclarationError, match="cannot add 'mol/L' and 'K'"):
        smooth_maximum(x, quantity(1.0, "K"), 0.1)


def test_an_array_of_different_units_steps_by_magnitudes():
    mixed = symbol_array([quantity(1.0, "K"), quantity(1.0, "g/L")])
    with pytest.raises(DeclarationError, match="no common unit"):
        smooth_step(mixed, 0.1)
    assert float(smooth_step(magnitude(mixed[0], "K"), 0.1)) == pytest.approx(1.0, abs=1e-8)
