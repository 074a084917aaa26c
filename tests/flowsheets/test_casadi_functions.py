"""A casadi.Function called in equations runs, is optimized and is printed as the formula it stands for."""

from __future__ import annotations

import pickle

import casadi as ca
import numpy as np
import pytest

from titer.control import optimize
from titer.flowsheets import (
    AtEnd,
    CasadiFunction,
    Control,
    Equations,
    Flowsheet,
    Phase,
    PiecewiseConstant,
    Recipe,
    State,
    Unit,
    diagnose,
    quantity,
    report,
    simulate,
)
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import CASADI, Symbol, symbol_array
from titer.numerics import Grid, Status
from titer.numerics.errors import DeclarationError

_x, _z = ca.MX.sym("S"), ca.MX.sym("x", 2)
MONOD = CasadiFunction(ca.Function("monod", [_x], [0.5 * _x / (_x + 0.2)]), "g/L", "1/h")
WEIGHTS = np.array([[0.3, -0.2], [0.1, 0.4], [0.5, 0.6]])
NETWORK = CasadiFunction(ca.Function("net", [_z], [ca.tanh(ca.mtimes(WEIGHTS, _z))]), "g/L", "1/h")
GRID = np.linspace(0.0, 12.0, 121)
TABLE = CasadiFunction(ca.interpolant("table", "linear", [GRID], 0.5 * GRID / (GRID + 0.2)), "g/L", "1/h")


def root() -> ca.Function:
    """y of y^2 = p, by Newton's method."""
    y, p = ca.SX.sym("y"), ca.SX.sym("p")
    solve = ca.rootfinder("solve", "newton", {"x": y, "p": p, "g": y**2 - p})
    q = ca.MX.sym("q")
    return ca.Function("root", [q], [solve(1.0, q)])


class Fermenter(Unit):
    """Fed batch, its growth rate a function."""

    time = "h"
    growth: CasadiFunction = MONOD
    X = State("g/L", start=0.1, lower=0.0)
    S = State("g/L", start=5.0, lower=0.0)
    V = State("L", start=1.0)
    F = Control("L/h", start=0.05, lower=0.0, upper=0.2)

    def equations(self, v):
        mu = v.growth(v.S)
        D = v.F / v.V
        return Equations(rate={"X": (mu - D) * v.X, "S": -2.0 * mu * v.X + D * (10.0 - v.S), "V": v.F})


class Written(Fermenter):
    """The same, its growth rate written out."""

    def equations(self, v):
        mu = quantity(0.5, "1/h") * v.S / (v.S + 0.2)
        D = v.F / v.V
        return Equations(rate={"X": (mu - D) * v.X, "S": -2.0 * mu * v.X + D * (10.0 - v.S), "V": v.F})


RECIPE = Recipe(Phase("grow", duration=6.0))


def symbols(text, names):
    return symbol_array([Symbol(ca.SX.sym(name), Measure.of(text), CASADI) for name in names])


@pytest.mark.parametrize(("growth", "within"), [(MONOD, 1e-9), (TABLE, 2e-2)], ids=["of MX", "interpolant"])
def test_a_function_simulates_and_optimizes_like_its_formula(growth, within):
    found, expected = Fermenter("f", growth=growth), Written("f")
    runs = [simulate(Flowsheet(u), RECIPE, {u.F: 0.05}, points=20) for u in (found, expected)]
    np.testing.assert_allclose(runs[0][found.X].to_numpy(), runs[1][expected.X].to_numpy(), rtol=within)
    plans = [
        optimize(
            Flowsheet(u), RECIPE, free={u.F: PiecewiseConstant(3)}, grid=Grid(elements=9),
            maximize=AtEnd(lambda v: v.f.X * v.f.V),
        )
        for u in (found, expected)
    ]  # fmt: skip
    assert plans[0].status is Status.SOLVED
    assert plans[0].objective == pytest.approx(plans[1].objective, rel=within)


def test_a_function_that_cannot_be_written_out_is_differentiated_as_a_call():
    solve = CasadiFunction(root(), "m^2", "m")
    x = Symbol(ca.SX.sym("x"), Measure.of("m^2"), CASADI)
    y = solve(x)
    assert y.measure is Measure.of("m")
    slope = ca.Function("slope", [x.value], [y.value, ca.jacobian(y.value, x.value)])
    assert [float(value) for value in slope(9.0)] == pytest.approx([3.0, 1.0 / 6.0])


def test_arguments_are_converted_and_results_have_units():
    by_hand = 0.5 * 0.3 / (0.3 + 0.2)
    for argument in (0.3, quantity(0.3, "g/L"), quantity(300.0, "mg/L"), quantity(300.0, "g/m^3")):
        rate = MONOD(argument)
        assert (rate.value, rate.measure.label) == (pytest.approx(by_hand), "1/h")
    assert float(MONOD(0.3) * quantity(1.0, "h")) == pytest.approx(by_hand)
    S = symbols("mg/L", "S")[0]
    assert ca.Function("f", [S.value], [MONOD(S).value])(300.0) == pytest.approx(by_hand)


def test_arrays_go_in_and_come_out_in_the_shapes_of_the_function():
    x = np.array([0.7, 1.1])
    expected = np.tanh(WEIGHTS @ x)
    assert [y.value for y in NETWORK(x)] == pytest.approx(expected)
    assert [y.value for y in NETWORK(x.tolist())] == pytest.approx(expected)
    given = symbols("g/L", "ab")
    found = NETWORK(given)
    assert found.shape == (3,)
    assert found.measure is Measure.of("1/h")
    at = ca.Function("f", [s.value for s in given], [ca.vertcat(*(y.value for y in found))])(*x)
    assert np.asarray(at).ravel() == pytest.approx(expected)
    mixed = NETWORK([given[0], quantity(1.1, "g/L")])
    at = ca.Function("f", [given[0].value], [ca.vertcat(*(y.value for y in mixed))])(0.7)
    assert np.asarray(at).ravel() == pytest.approx(expected)
    A = ca.SX.sym("A", 2, 3)
    swap = CasadiFunction(ca.Function("swap", [A], [A.T, ca.sum1(ca.sum2(A))]), "m", ("m", "m"))
    matrix, total = swap(np.arange(6.0).reshape(2, 3))
    assert [[x.value for x in row] for row in matrix] == np.arange(6.0).reshape(2, 3).T.tolist()
    assert total.value == 15.0


def test_a_function_of_scalars_acts_element_by_element():
    S = symbols("g/L", "abc")
    assert MONOD(S).shape == (3,)
    assert [y.value for y in MONOD(np.array([0.1, 0.3]))] == pytest.approx([0.5 / 3, 0.3])
    a, b = ca.SX.sym("a"), ca.SX.sym("b")
    product = CasadiFunction(ca.Function("product", [a, b], [a * b]), ("m", "s"), "m*s")
    assert [y.value for y in product([1.0, 2.0], 3.0)] == [3.0, 6.0]
    with pytest.raises(DeclarationError, match=r"product: its arguments have shapes \(2,\), \(3,\)"):
        product([1.0, 2.0], [1.0, 2.0, 3.0])


def test_reports_show_its_name_and_arguments(tmp_path):
    unit = Fermenter("f")
    report(simulate(Flowsheet(unit), RECIPE, {unit.F: 0.05}), tmp_path / "run.html")
    text = (tmp_path / "run.html").read_text()
    assert 'alttext="d(X)/dt = (monod(S) - F/V)*X"' in text


def test_a_plant_that_calls_one_is_diagnosed_and_pickled():
    unit = Fermenter("f", growth=TABLE)
    assert not diagnose(Flowsheet(unit), RECIPE, {unit.F: 0.05}).errors
    again = pickle.loads(pickle.dumps(unit))
    assert again.growth(0.3).value == pytest.approx(TABLE(0.3).value)


def test_pyomo_refuses_it_once_naming_the_function_and_the_unit_operation(caplog):
    unit = Fermenter("tank")
    with pytest.raises(DeclarationError, match=r"tank \(Fermenter\)(.|\n)*monod is a CasADi function, which Pyomo"):
        Flowsheet(unit).to_pyomo(RECIPE, inputs={unit.F: 0.05})
    assert not caplog.records  # Pyomo would log an error of a rule twice


class Square(ca.Callback):
    """x^2, of which CasADi knows no derivative but by finite differences."""

    def __init__(self, name, options):
        ca.Callback.__init__(self)
        self.construct(name, options)

    def eval(self, arguments):
        return [arguments[0] ** 2]


def test_a_callback_needs_derivatives():
    with pytest.raises(DeclarationError, match=r"CasadiFunction sq: it has no derivatives.*\n  Give a Callback"):
        CasadiFunction(Square("sq", {}), "m", "m^2")
    square = Square("sq", {"enable_fd": True})
    assert CasadiFunction(square, "m", "m^2")(3.0).value == 9.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CasadiFunction(np.tanh, "1", "1"), "CasadiFunction: expected a casadi.Function, got <ufunc"),
        (lambda: CasadiFunction(MONOD.function, (), "1/h"), "CasadiFunction monod: arguments needs 1 units, .* got 0"),
        (lambda: CasadiFunction(MONOD.function, "g/L", "1/furlongg"), "unit '1/furlongg' is unknown"),
        (lambda: CasadiFunction(MONOD.function, "g/L", "1/h", name="a b"), "name has letters"),
        (lambda: MONOD(1.0, 2.0), r"monod takes 1 arguments, got 2.\n  Its inputs: 1 \(i0 in 'g/L'\)"),
        (lambda: MONOD(quantity(1.0, "K")), r"monod: argument 1 \(i0 in 'g/L'\): cannot convert 'K' to"),
        (lambda: NETWORK([1.0, 2.0, 3.0]), r"net: argument 1 .* has shape 2 x 1, got \(3,\)"),
    ],
)
def test_wrong_use_is_named(make, message):
    with pytest.raises(DeclarationError, match=message):
        make()
