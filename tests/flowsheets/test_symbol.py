"""Symbols: readings agree, units are checked operation by operation, NumPy works or says what to write."""

import math
import operator
import re
import time

import casadi as ca
import numpy as np
import pytest

from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.flowsheets.symbols.symbol import (
    CASADI,
    Reading,
    Relation,
    Symbol,
    SymbolArray,
    magnitude,
    quantity,
    symbol_array,
)
from titer.numerics.errors import DeclarationError


def sx(name: str, unit: str) -> Symbol:
    return Symbol(ca.SX.sym(name), Measure.of(unit), CASADI)


def both(formula, units: list[str], values: list[float]) -> tuple[np.ndarray, np.ndarray, list[Measure]]:
    """A formula's numbers, on floats and on CasADi, and its units, which do not depend on the reading."""
    floats = formula(*[quantity(x, unit) for x, unit in zip(values, units, strict=True)])
    symbols = [sx(f"x{i}", unit) for i, unit in enumerate(units)]
    traced = formula(*symbols)
    floats, traced = np.ravel(floats), np.ravel(traced)
    outputs = ca.vertcat(*[x.value for x in traced])
    function = ca.Function("f", [x.value for x in symbols], [outputs])
    measures = [x.measure for x in floats]
    assert [x.measure for x in traced] == measures
    return np.array([x.value for x in floats]), function(*values).full().ravel(), measures


# --- formulas of the field -----------------------------------------------------------------------------


def batch_reactor(c_A, c_B, T, T_j, k0, E, R, dH, rho_cp, UA):
    r_1 = k0 * np.exp(-E / (R * T)) * c_A
    return np.array([-r_1, r_1 - 0.5 * r_1 * c_B / (c_B + 0.1), (-dH * r_1 + UA * (T_j - T)) / rho_cp, T - 273.15])


def monod(X, S, V, F, mu_max, K_S, Y, S_F):
    mu = mu_max * S / (K_S + S)
    return np.array([(mu - F / V) * X, -mu / Y * X + F / V * (S_F - S), F])


def steric_mass_action(c0, c1, q1, q2, k_a, k_d, nu, sigma, capacity, c_ref):
    q = np.array([q1, q2])
    free = (capacity - np.sum((nu + sigma) * q)) / c_ref
    return k_a * c1 * free**nu - k_d * q * (c0 / c_ref) ** nu


FORMULAS = {
    "batch reactor": (
        batch_reactor,
        ["mol/L", "mol/L", "K", "K", "1/s", "J/mol", "J/mol/K", "J/mol", "J/L/K", "J/L/s/K"],
        [0.8, 0.1, 330.0, 340.0, 2e9, 8e4, 8.314, -5e4, 4200.0, 50.0],
        ["mol/L/s", "mol/L/s", "K/s", "K"],
    ),
    "Monod growth": (
        monod,
        ["g/L", "g/L", "L", "L/h", "1/h", "g/L", "1", "g/L"],
        [5.0, 0.3, 1.2, 0.03, 0.38, 0.043, 0.24, 917.0],
        ["g/L/h", "g/L/h", "L/h"],
    ),
    "steric mass action": (
        steric_mass_action,
        ["mol/m^3", "mol/m^3", "mol/m^3", "mol/m^3", "1/s", "1/s", "1", "1", "mol/m^3", "mol/m^3"],
        [50.0, 1.0, 3.0, 1.0, 35.5, 1000.0, 4.7, 11.83, 1200.0, 1200.0],
        ["mol/m^3/s", "mol/m^3/s"],
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas_of_the_field_agree_in_both_readings_with_the_units_of_rates(name: str):
    formula, units, nominal, expected = FORMULAS[name]
    rng = np.random.default_rng(1)
    for _ in range(20):
        values = np.array(nominal) * rng.uniform(0.9, 1.1, len(nominal))
        floats, traced, measures = both(formula, units, values.tolist())
        np.testing.assert_allclose(floats, traced, rtol=1e-13)
        assert all(measure.same(Measure.of(unit)) for measure, unit in zip(measures, expected, strict=True))


def test_floats_give_the_numbers_of_plain_python():
    formula, units, values, _ = FORMULAS["batch reactor"]
    rate = formula(*map(quantity, values, units))[0]
    assert rate.value == pytest.approx(-2e9 * math.exp(-8e4 / (8.314 * 330.0)) * 0.8, rel=1e-14)


def random_expression(rng: np.random.Generator, leaves: list, depth: int):
    """A random dimensionless expression over dimensionless leaves."""
    if depth == 0:
        return leaves[rng.integers(len(leaves))] if rng.random() < 0.8 else float(rng.uniform(0.2, 2.0))
    kind = rng.integers(7)
    x = random_expression(rng, leaves, depth - 1)
    if kind < 4:
        y = random_expression(rng, leaves, depth - 1)
        return (operator.add, operator.sub, operator.mul, lambda a, b: a / (1.5 + b * b))[kind](x, y)
    if kind == 4:
        return (2.0 + np.tanh(x)) ** (rng.uniform(-2, 3) if rng.random() < 0.5 else leaves[0])
    names = ("exp", "sin", "cos", "tan", "arctan", "tanh", "arcsinh", "expm1")
    if kind == 5:
        return getattr(np, names[rng.integers(len(names))])(0.5 * np.sin(x))
    names = ("log", "log2", "log10", "log1p", "sqrt", "cbrt", "square", "reciprocal", "arccosh")
    return getattr(np, names[rng.integers(len(names))])(1.1 + x * x)


@pytest.mark.parametrize("seed", range(40))
def test_random_expressions_agree_in_both_readings(seed: int):
    values = np.random.default_rng(seed).uniform(0.2, 2.0, 3).tolist()

    def formula(*leaves):
        return np.exp(0.0 * leaves[0]) * random_expression(np.random.default_rng(seed), list(leaves), 5)

    floats, traced, _ = both(formula, ["1"] * 3, values)
    np.testing.assert_allclose(floats, traced, rtol=1e-12, atol=1e-14)


# --- units ---------------------------------------------------------------------------------------------


def test_a_bare_number_takes_the_unit_of_what_it_is_added_to_and_none_in_products():
    T = quantity(300.0, "K")
    assert repr(T - 273.15 + 0) == "26.850000000000023 K"
    assert repr(2 * T) == "600.0 K"
    assert repr(1 / T**2 * np.float64(9e4)) == "1.0 1/K^2"
    assert repr(np.int64(1) - quantity(0.25, "1")) == "0.75"
    assert f"{T:.1f}" == "300.0 K"


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (
            lambda r, c, T: r + quantity(1, "mol/L/h"),
            "cannot add 'mol/L/s' and 'mol/L/h': 1 mol/L/s is 3600 mol/L/h",
        ),
        (
            lambda r, c, T: r - quantity(1, "mol/L/h"),
            'Convert one: quantity(magnitude(x, "mol/L/s"), "mol/L/s") for x in \'mol/L/h\'.',
        ),
        (
            lambda r, c, T: c - T,
            "cannot subtract 'mol/L' and 'K': in base units the first is 'mol/m^3', the second 'K'",
        ),
        (lambda r, c, T: c < T, "cannot compare 'mol/L' and 'K'"),
        (lambda r, c, T: 1.0 + r / c + 1.0 + T, "cannot add '1/s' and 'K'"),
        (lambda r, c, T: np.exp(T), "exp needs a dimensionless argument, not 'K'"),
        (lambda r, c, T: np.log(c), 'write np.log(magnitude(x, "mol/L"))'),
        (
            lambda r, c, T: np.tanh(quantity(3, "mL") / quantity(1, "L")),
            "1 mL/L is 0.001: convert it with np.tanh(mag",
        ),
        (
            lambda r, c, T: c ** quantity(2, "1"),
            "the base is in 'mol/L'.\n  Write (q/q_ref)**nu with a reference",
        ),
        (lambda r, c, T: 2.0**T, "the exponent is in 'K'"),
        (lambda r, c, T: quantity(c, "K"), 'quantity(magnitude(x, "mol/L"), "K")'),
        (lambda r, c, T: magnitude(c, "g/L"), "cannot convert 'mol/L' to 'g/L'"),
        (lambda r, c, T: symbol_array([c, T]).measure, "it holds 'mol/L' and 'K'"),
        (lambda r, c, T: np.sum(symbol_array([c, T])), "cannot add 'mol/L' and 'K'"),
    ],
)
@pytest.mark.parametrize("make", [lambda unit: quantity(1.0, unit), lambda unit: sx("x", unit)])
def test_a_unit_that_does_not_fit_is_named_with_what_to_write(formula, message: str, make):
    with pytest.raises(DeclarationError, match=re.escape(message)):
        formula(make("mol/L/s"), make("mol/L"), make("K"))


def test_literal_powers_and_roots_raise_the_unit():
    c = quantity(4.0, "mol/L")
    assert (c**2).measure is Measure.of("mol^2/L^2")
    assert (c**0.5).measure is np.sqrt(c).measure is Measure.of("mol^0.5/L^0.5")
    assert (np.cbrt(c) ** 3).measure is Measure.of("mol/L")
    assert (np.cbrt(c) ** 3).value == pytest.approx(4.0, rel=1e-15)
    assert np.square(c).measure is Measure.of("mol^2/L^2")


def test_magnitude_converts_and_quantity_gives_back():
    c = sx("c", "mol/L")
    back = quantity(magnitude(c, "mmol/L"), "mmol/L")
    assert back.measure is Measure.of("mmol/L")
    assert float(ca.Function("f", [c.value], [back.value])(0.25)) == 250.0
    assert magnitude(c, "M").value is c.value
    assert magnitude(3, "K") == 3.0
    times = quantity([1.0, 2.0], "h")
    assert [float(x) for x in magnitude(times, "min")] == [60.0, 120.0]


def test_floats_answer_as_numpy_does_without_exceptions_or_warnings():
    zero, one = quantity(0.0, "1"), quantity(1.0, "1")
    assert float(np.exp(1000.0 * one)) == math.inf
    assert math.isnan(float(np.log(-one)))
    assert float(np.log(zero)) == -math.inf
    assert float(one / zero) == math.inf
    assert math.isnan(float(zero / zero))
    assert math.isnan(float((-one) ** 0.5))
    assert float(zero**-1) == math.inf
    assert float((-10.0 * one) ** 309) == -math.inf
    assert [float(x) for x in symbol_array([one, 1.0]) / np.array([0.0, 0.0])] == [math.inf, math.inf]


# --- readings ------------------------------------------------------------------------------------------


def test_a_float_quantity_is_a_constant_in_every_reading():
    t = sx("t", "s")
    for total in (t + quantity(1800, "s"), quantity(1800, "s") + t):
        assert total.reading is CASADI
        assert float(ca.Function("f", [t.value], [total.value])(1.0)) == 1801.0
    assert (quantity(2.0, "1") ** sx("n", "1")).reading is CASADI


def test_a_matrix_expression_of_casadi_works_as_well():
    x = Symbol(ca.MX.sym("x"), Measure.of("g/L"), CASADI)
    y = np.exp(-x / quantity(2.0, "g/L")) * x**0.5
    assert float(ca.Function("f", [x.value], [y.value])(3.0)) == pytest.approx(math.exp(-1.5) * math.sqrt(3.0))


TAGGED = Reading(
    "tagged texts",
    {"exp": lambda value: f"exp({value})"},
    divide=lambda a, b: f"({a} / {b})",
    power=lambda a, b: f"{a}^{b}",
    literal=lambda number, measure: f" + {number}[{measure}]",
    attach=lambda value, measure: f" + {value}[{measure}]",
    strip=lambda value, measure: f"{value}/[{measure}]",
)


def test_a_reading_whose_values_carry_units_gets_them_on_literals_and_constants():
    x = Symbol("x", Measure.of("s"), TAGGED)
    assert (x + 5).value == "x + 5.0[s]"
    assert (x < 5).right.value == " + 5.0[s]"
    assert (x + quantity(2, "s")).value == "x + 2.0[s]"
    assert (x / 5).value == "(x / 5.0)"
    assert magnitude(x, "s").value == "x/[s]"
    assert np.exp(magnitude(x, "s")).value == "exp(x/[s])"
    with pytest.raises(DeclarationError, match="log is not available on tagged texts; it has exp"):
        np.log(magnitude(x, "s"))
    with pytest.raises(DeclarationError, match=r"cannot combine .*tagged texts.*CasADi"):
        x + sx("y", "s")


# --- comparisons ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "==", "!="])
def test_a_comparison_is_a_relation_without_truth_value(sign: str):
    compare = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}[sign]
    relation = getattr(operator, compare)(sx("S", "g/L"), 0.1)
    assert isinstance(relation, Relation)
    assert (relation.operator, relation.right.value, relation.right.measure.label) == (sign, 0.1, "g/L")
    with pytest.raises(DeclarationError, match=re.escape(f"S g/L {sign} 0.1 g/L has no truth value")):
        bool(relation)


@pytest.mark.parametrize(
    "use",
    [
        lambda x: 1 if x > 0 else 0,
        lambda x: max(x, 0.0),
        lambda x: min(0.0, x),
        lambda x: 0 < x < 1,
        lambda x: np.where(x > 0, 1.0, 2.0),
        lambda x: np.where(symbol_array([x, x]) > 0, x, 0.0),
        lambda x: np.maximum(np.array([x, x]), 0.0),
        lambda x: bool(x),
        lambda x: not x,
    ],
)
@pytest.mark.parametrize("make", [lambda: quantity(1.0, "g/L"), lambda: sx("x", "g/L")])
def test_a_decision_on_a_symbol_says_what_to_write(use, make):
    with pytest.raises(DeclarationError, match=r"(?s)no truth value.*smooth_where.*until="):
        use(make())


def test_a_symbol_is_no_key_and_no_float_while_equations_are_traced():
    with pytest.raises(TypeError, match="unhashable"):
        hash(quantity(1.0, "s"))
    for use in (float, math.exp, lambda x: np.zeros(2).__setitem__(0, x)):
        with pytest.raises(DeclarationError, match="no number while equations are traced"):
            use(sx("x", "1"))
    assert float(quantity(2, "1")) == 2.0


def test_a_quantity_loses_its_unit_only_where_that_is_written():
    for use in (
        float,
        math.exp,
        lambda x: np.zeros(2).__setitem__(0, x),
        lambda x: np.array([x], dtype=float),
    ):
        with pytest.raises(DeclarationError, match=r'(?s)2.0 s is no plain number.*magnitude\(x, "s"\).*np.zeros_like'):
            use(quantity(2, "s"))
    assert float(magnitude(quantity(2, "min"), "s")) == 120.0


@pytest.mark.parametrize("number", [math.nan, math.inf, np.float64("-inf")])
@pytest.mark.parametrize(
    "use",
    [
        lambda x, number: x + number,
        lambda x, number: number - x,
        lambda x, number: number * x,
        lambda x, number: x / number,
        lambda x, number: x**number,
        lambda x, number: number**x,
        lambda x, number: x < number,
        lambda x, number: symbol_array([x, x]) * [1.0, number],
        lambda x, number: x + quantity(number, "1"),
    ],
)
def test_a_number_that_is_not_finite_is_refused_where_it_enters(use, number: float):
    with pytest.raises(DeclarationError, match=r"the number (nan|inf|-inf) stands in an equation"):
        use(sx("x", "1"), number)


@pytest.mark.parametrize(
    "use",
    [
        lambda x, name: x + name,
        lambda x, name: name * x,
        lambda x, name: x / name,
        lambda x, name: name**x,
        lambda x, name: name - symbol_array([x]),
    ],
)
def test_a_name_in_place_of_a_variable_is_told_apart(use):
    with pytest.raises(DeclarationError, match=r"'reactor.k' is a name, not a value(?s:.*)v.x, not self.x"):
        use(sx("x", "1"), "reactor.k")


# --- NumPy ---------------------------------------------------------------------------------------------

ARRAYS = {
    "elementwise with floats": lambda a, b, array: np.array([1.0, 2.0]) * a - [1.0, 2.0] * np.array([b, b]),
    "float matrix times symbols": lambda a, b, array: np.array([[1.0, -1.0], [0.5, 2.0]]) @ array([a, b]),
    "dot": lambda a, b, array: np.dot([0.5, 0.25], array([a, b])),
    "inner product of plain lists": lambda a, b, array: np.dot([a, b], [1.0, 2.0]),
    "sum, mean": lambda a, b, array: np.sum(array([a, b])) + array([a, b]).mean(),
    "sum over an axis": lambda a, b, array: array([a, b, b, a + 1]).reshape(2, 2).sum(axis=0),
    "concatenate": lambda a, b, array: np.concatenate([[a], array([b, a]), [1.0]])[:3],
    "stack": lambda a, b, array: np.stack([a, b]),
    "vstack": lambda a, b, array: np.vstack([array([a, b]), np.array([b, a])]),
    "append": lambda a, b, array: np.append(array([a]), b),
    "insert and roll": lambda a, b, array: np.roll(np.insert(array([a, a]), 0, b), 1),
    "cumsum, diff": lambda a, b, array: np.diff(np.cumsum(array([a, b, a]))),
    "full": lambda a, b, array: np.full(3, a) + b,
    "where": lambda a, b, array: np.where(np.array([0.0, 1.0]) > 0.5, array([a, b]), b),
    "einsum": lambda a, b, array: np.einsum("ij,j->i", np.eye(2), array([a, b])),
    "trapezoid": lambda a, b, array: np.trapezoid(array([a, b, a]), dx=0.1),
    "outer": lambda a, b, array: np.outer(array([a, b]), [1.0, 2.0]),
    "in place": lambda a, b, array: operator.iadd(array([a, b]), 1.0),
    "filled zeros": lambda a, b, array: filled(np.zeros_like(array([a, b])), a),
    "filled empty": lambda a, b, array: filled(np.empty_like(array([a, b])), b),
}


def filled(array, x):
    array[:] = x
    return array


@pytest.mark.parametrize("name", ARRAYS)
def test_numpy_works_on_symbols_as_on_numbers(name: str):
    formula = ARRAYS[name]
    floats, traced, measures = both(lambda a, b: formula(a, b, symbol_array), ["g/L", "g/L"], [2.0, 3.0])
    expected = np.ravel(formula(2.0, 3.0, np.array))
    np.testing.assert_allclose(floats, expected, rtol=1e-15)
    np.testing.assert_allclose(traced, expected, rtol=1e-15)
    assert set(measures) == {Measure.of("g/L")}


def test_products_and_functions_of_arrays_carry_units():
    c = symbol_array([sx(f"c{i}", "mol/L") for i in range(6)], (3, 2))
    assert isinstance(c[1:], SymbolArray)
    assert isinstance(c[0, 1], Symbol)
    assert np.prod(c[:, 0]).measure is Measure.of("mol^3/L^3")
    assert (c * c).measure is (c**2).measure is np.square(c).measure
    assert np.exp(-c / quantity(1, "M")).measure is DIMENSIONLESS
    assert np.exp(np.array([c[0, 0] / c[0, 1], c[1, 0] / c[1, 1]]))[0].measure is DIMENSIONLESS
    assert (c.T @ c).measure is Measure.of("mol^2/L^2")
    assert all(type(x) is float for x in np.ones_like(c).flat)
    assert all(isinstance(x, Relation) for x in (c <= 1.0).flat)


@pytest.mark.parametrize(
    ("use", "advice"),
    [
        (lambda x, v: abs(x), "smooth_abs(x, width)"),
        (lambda x, v: np.abs(v), "smooth_abs(x, width)"),
        (lambda x, v: np.maximum(0.0, x), "smooth_maximum(a, b, width)"),
        (lambda x, v: np.maximum(v, 0.0), "smooth_maximum(a, b, width)"),
        (lambda x, v: v.max(), "smooth_maximum(a, b, width)"),
        (lambda x, v: np.min(v), "smooth_minimum(a, b, width)"),
        (lambda x, v: np.clip(x, 0.0, 1.0), "smooth_clip(x, lower, upper, width)"),
        (lambda x, v: v.clip(0.0, 1.0), "smooth_clip(x, lower, upper, width)"),
        (lambda x, v: np.sign(x), "smooth_step(x, width)"),
        (lambda x, v: np.heaviside(x, 0.5), "smooth_step(x, width)"),
        (lambda x, v: np.floor(v), "smooth_step(x, width)"),
        (lambda x, v: np.ceil(x), "smooth_step(x, width)"),
        (lambda x, v: np.floor(np.array([x])), "smooth_step(x, width)"),
        (lambda x, v: round(x), "smooth_step(x, width)"),
        (lambda x, v: x % 2, "a smooth formula"),
        (lambda x, v: 7 // x, "a smooth formula"),
        (lambda x, v: np.interp(x, [0.0, 1.0], [0.0, 1.0]), "a smooth formula"),
        (lambda x, v: np.sort(v), "a smooth formula"),
        (lambda x, v: np.linalg.solve(np.eye(2), v), "numpy.linalg.solve works on numbers only"),
        (lambda x, v: np.arctan2(x, x), "np.arctan2(...) does not work on symbols"),
        (lambda x, v: np.var(v), "np.var does not work on symbols"),
    ],
)
@pytest.mark.parametrize("make", [lambda: quantity(1.0, "1"), lambda: sx("x", "1")])
def test_what_has_kinks_or_is_unknown_says_what_to_write(use, advice: str, make):
    x = make()
    with pytest.raises(DeclarationError, match=re.escape(advice)):
        use(x, symbol_array([x, x]))


# --- speed ---------------------------------------------------------------------------------------------


def test_a_column_of_100_cells_with_steric_mass_action_traces_in_a_blink():
    def named(shape, unit):
        return symbol_array([sx("x", unit) for _ in range(math.prod(shape))], shape)

    c, q, inlet = named((100, 4), "mol/m^3"), named((100, 3), "mol/m^3"), named((1, 4), "mol/m^3")
    k_a, k_d, nu, sigma = named((3,), "1/s"), named((3,), "1/s"), named((3,), "1"), named((3,), "1")
    u, dz, D, phase_ratio = sx("u", "m/s"), sx("dz", "m"), sx("D", "m^2/s"), sx("f", "1")
    capacity, c_ref = sx("capacity", "mol/m^3"), sx("c_ref", "mol/m^3")

    begin = time.process_time()
    free = ((capacity - q @ (nu + sigma)) / c_ref)[:, None]
    binding = k_a * c[:, 1:] * free**nu - k_d * q * (c[:, :1] / c_ref) ** nu
    bound = np.concatenate([-(binding @ nu)[:, None], binding], axis=1)
    left, right = np.concatenate([inlet, c[:-1]]), np.concatenate([c[1:], c[-1:]])
    rate = -u * (c - left) / dz + D * (right - 2.0 * c + left) / dz**2 - phase_ratio * bound
    seconds = time.process_time() - begin

    assert rate.measure.same(binding.measure)
    assert seconds < 1.0  # .12 s on an idle machine
