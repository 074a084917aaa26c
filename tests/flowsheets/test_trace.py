"""One trace of the equations: both readings agree, and what does not fit is named with its line."""

import re

import casadi as ca
import numpy as np
import pytest

from titer.flowsheets.declarations import (
    Algebraic,
    Conserved,
    Control,
    Equations,
    Expression,
    Inlet,
    Outlet,
    Parameter,
    State,
)
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import CASADI, FLOATS, Symbol, SymbolArray, quantity
from titer.flowsheets.trace import Trace, port_scalars, trace
from titer.flowsheets.unit import Part, Unit
from titer.numerics.errors import DeclarationError, SpecificationError


def measures_of(unit: Unit) -> dict[str, Measure]:
    return {local: s.measure for local, s in unit.scalars.items()} | port_scalars(unit, Inlet)


def on_casadi(unit: Unit, **options) -> tuple[Trace, dict[str, Symbol]]:
    symbols = {local: Symbol(ca.SX.sym(local), m, CASADI) for local, m in measures_of(unit).items()}
    time = Symbol(ca.SX.sym("t"), Measure.of(unit.time), CASADI)
    return trace(unit, symbols, time, **options), {**symbols, "time": time}


def on_floats(unit: Unit, values: dict[str, float], time: float = 0.0) -> Trace:
    symbols = {local: Symbol(values[local], m, FLOATS) for local, m in measures_of(unit).items()}
    return trace(unit, symbols, Symbol(time, Measure.of(unit.time), FLOATS))


def numbers(
    scalars, inputs: dict[str, Symbol] | None = None, values: dict[str, float] | None = None
) -> dict[str, float]:
    """The numbers of traced scalars: floats as they are, CasADi's at given values."""
    raw = {key: x.value if isinstance(x, Symbol) else x for key, x in scalars.items()}
    if inputs is None:
        return raw
    function = ca.Function("f", [s.value for s in inputs.values()], [ca.vertcat(*raw.values())])
    return dict(zip(raw, function(*[values[key] for key in inputs]).full().ravel(), strict=True))


class Chemostat(Unit):
    """A heated chemostat: S' = D (S_in - S) - r, with D = F/V; T from the balance D cp (T - T_in) = q."""

    time = "h"
    S = State("g/L", start=5.0)
    V = State("L", start=1.0)
    T = Algebraic("K", start=310.0)
    q = Control("kJ/L/h", start=10.0)
    k = Parameter("1/h", 0.4)
    cp = Parameter("kJ/L/K", 4.2)
    r = Expression("g/L/h")
    feed = Inlet("L/h", S="g/L", T="K")
    broth = Outlet("L/h", S="g/L")

    def equations(self, v):
        D = v.feed.flow / v.V
        r = v.define("r", v.k * v.S * np.exp(-v.time / quantity(20.0, "h")))
        return Equations(
            rate={"S": D * (v.feed.S - v.S) - v.r, "V": v.feed.flow - 0.5 * v.V * r / v.S},
            zero={"heat": D * v.cp * (v.T - v.feed.T) - v.q},
            port={"broth": {"flow": 0.5 * v.V * r / v.S, "S": v.S}},
        )

    def conserved(self, v):
        return {"volume": Conserved(v.V, v.feed.flow - v.broth.flow)}


# --- what a trace gives ------------------------------------------------------------------------------------


def test_one_trace_agrees_on_floats_and_on_casadi(rng):
    unit = Chemostat("pot")
    traced, inputs = on_casadi(unit)
    for _ in range(10):
        values = {key: rng.uniform(0.5, 2.0) for key in inputs}
        floats = on_floats(unit, values, values["time"])
        for part in ("rate", "zero", "expression", "port"):
            expected = numbers(getattr(floats, part))
            assert numbers(getattr(traced, part), inputs, values) == pytest.approx(expected, rel=1e-14)
    D, S, k = values["feed.flow"] / values["V"], values["S"], values["k"]
    r = k * S * np.exp(-values["time"] / 20.0)
    assert floats.rate["S"].value == pytest.approx(D * (values["feed.S"] - S) - r, rel=1e-14)
    assert floats.port["broth.S"].value == S


def test_the_keys_of_a_trace_are_local_paths_and_its_values_carry_units():
    traced, _ = on_casadi(Chemostat("pot"))
    assert list(traced.rate) == ["S", "V"]
    assert list(traced.zero) == ["heat"]
    assert list(traced.expression) == ["r"]
    assert list(traced.port) == ["broth.flow", "broth.S"]
    assert traced.rate["S"].measure.same(Measure.of("g/L/h"))
    assert traced.port["broth.flow"].measure.same(Measure.of("L/h"))


def test_terms_see_variables_expressions_inlets_and_outlets_by_attribute_and_by_name():
    traced, inputs = on_casadi(Chemostat("pot"))
    view = traced.view
    assert view.S.value is inputs["S"].value
    assert view.r is traced.expression["r"]
    assert view.feed.S.value is inputs["feed.S"].value
    assert view.broth.S is traced.port["broth.S"]
    assert view["S"] is view.S
    assert view["broth.flow"] is view.broth.flow
    with pytest.raises(SpecificationError, match=r"^pot: variable 'brath' is unknown. Did you mean 'broth'\?"):
        view.brath  # noqa: B018
    with pytest.raises(SpecificationError, match=r"^pot.broth: variable 'P' is unknown"):
        view.broth.P  # noqa: B018


def test_what_is_conserved_changes_as_its_source_says(rng):
    unit = Chemostat("pot")
    traced, inputs = on_casadi(unit)
    volume = unit.conserved(traced.view)["volume"]
    change = sum(ca.jacobian(volume.total.value, inputs[x].value) * traced.rate[x].value for x in traced.rate)
    residual = numbers({"gap": change - volume.source.value}, inputs, {key: rng.uniform(0.5, 2.0) for key in inputs})
    assert residual["gap"] == pytest.approx(0.0, abs=1e-14)
    assert Unit.conserved(unit, traced.view) == {}


def test_a_correction_replaces_an_expression_by_its_qualified_name():
    seen = []

    def correct(name, value):
        seen.append(name)
        return 2.0 * value

    values = dict.fromkeys([*measures_of(Chemostat("pot")), "time"], 1.0)
    plain, inputs = on_casadi(Chemostat("pot"))
    traced, others = on_casadi(Chemostat("pot"), correct=correct)
    assert seen == ["pot.r"]
    r = numbers(plain.expression, inputs, values)["r"]
    assert numbers(traced.expression, others, values)["r"] == pytest.approx(2.0 * r)
    assert numbers(traced.rate, others, values)["S"] == pytest.approx(numbers(plain.rate, inputs, values)["S"] - r)


class Linear(Part):
    """Linear binding: q* = k_a c."""

    k_a = Parameter("1", 2.0, over="components")
    q_star = Expression("g/L", over=("cells", "components"))

    def equilibrium(self, v, c):
        return v.define("q_star", v.k_a * c)


class Column(Unit):
    """Cells in series with binding: c_i' = u/dz (c_{i-1} - c_i) - q_i', q' = k (q* - q)."""

    cells: int = 3
    components: tuple[str, ...] = ("A", "B")
    binding: Part = Linear()

    c = State("g/L", start=0.0, over=("cells", "components"))
    q = State("g/L", start=0.0, over=("cells", "components"))
    k = Parameter("1/s", 0.1, over="components")
    dz = Parameter("m", 0.01)
    load = Inlet("m/s", c=("g/L", "components"))
    eluate = Outlet("m/s", c=("g/L", "components"))

    def equations(self, v):
        bound = v.k * (self.binding.equilibrium(v.binding, v.c) - v.q)
        before = np.concatenate([[v.load.c], v.c[:-1]])
        return Equations(
            rate={"c": v.load.flow / v.dz * (before - v.c) - bound, "q": bound},
            port={"eluate": {"flow": v.load.flow, "c": v.c[self.cells - 1]}},
        )


def test_arrays_over_sets_and_parts_are_traced_element_by_element(rng):
    unit = Column("capture", cells=2)
    traced, inputs = on_casadi(unit)
    assert list(traced.rate)[:4] == ["c[0,A]", "c[0,B]", "c[1,A]", "c[1,B]"]
    assert list(traced.expression) == [f"binding.q_star[{i},{x}]" for i in range(2) for x in "AB"]
    assert list(traced.port) == ["eluate.flow", "eluate.c[A]", "eluate.c[B]"]
    values = {key: rng.uniform(0.5, 2.0) for key in inputs}
    floats = on_floats(unit, values)
    assert numbers(traced.rate, inputs, values) == pytest.approx(numbers(floats.rate), rel=1e-14)
    bound = values["k[B]"] * (values["binding.k_a[B]"] * values["c[1,B]"] - values["q[1,B]"])
    carried = values["load.flow"] / values["dz"] * (values["c[0,B]"] - values["c[1,B]"])
    assert floats.rate["q[1,B]"].value == pytest.approx(bound, rel=1e-14)
    assert floats.rate["c[1,B]"].value == pytest.approx(carried - bound, rel=1e-14)


def test_elements_of_arrays_are_found_by_their_qualified_names():
    traced, inputs = on_casadi(Column("capture", cells=2))
    view = traced.view
    assert isinstance(view.c, SymbolArray)
    assert view["c[1,B]"].value is inputs["c[1,B]"].value
    assert view["binding.k_a[A]"].value is inputs["binding.k_a[A]"].value
    assert view["binding.q_star[1,A]"] is traced.expression["binding.q_star[1,A]"]
    assert view["eluate.c[B]"] is traced.port["eluate.c[B]"]
    assert view["c"].shape == (2, 2)
    assert view.cells == 2
    for name in ("c[2,A]", "c[1]", "c[1,C]", "eluate.flow[A]"):
        with pytest.raises(SpecificationError, match=r"^capture: \S+ has no element \["):
            view[name]


def test_a_bare_number_stands_for_every_element_and_is_in_the_expected_unit():
    class Idle(Unit):
        n: int = 2
        x = State("g/L", start=1.0, over="n")
        y = State("g/L", start=1.0)

        def equations(self, v):
            return Equations(rate={"x": 0.0, "y": np.float64(0.0)})

    assert on_casadi(Idle("idle"))[0].rate == {"x[0]": 0.0, "x[1]": 0.0, "y": 0.0}


def test_lists_and_arrays_of_residuals_count_one_by_one():
    class Loop(Unit):
        n: int = 2
        x = Algebraic("K", start=1.0, over="n")
        y = Algebraic("K", start=1.0)

        def equations(self, v):
            return Equations(zero={"x": v.x - 1.0, "y": [v.y - 2.0]})

    assert list(on_casadi(Loop("loop"))[0].zero) == ["x[0]", "x[1]", "y[0]"]


# --- what is refused ---------------------------------------------------------------------------------------


class Reactor(Unit):
    """Two states, an algebraic, an array and an expression, with equations as each test writes them."""

    n: int = 2
    c = State("mol/L", start=1.0)
    T = State("K", start=300.0)
    w = Algebraic("K", start=300.0)
    x = State("1", start=0.0, over="n")
    T_j = Control("K", start=300.0)
    k = Parameter("1/s", 1.0)
    r = Expression("mol/L/s")
    broth = Outlet("L/s", c="mol/L")


def refused(equations, message: str, error: type = DeclarationError) -> str:
    """Trace a reactor with these equations; its error text begins with the message."""
    unit = type("Reactor", (Reactor,), {"equations": equations, "__module__": __name__})("reactor")
    with pytest.raises(error, match=f"^{re.escape(message)}") as caught:
        on_casadi(unit)
    return str(caught.value)


def right(v, rate=(), zero=(), stream=(), **others):
    """What a correct reactor returns, changed by one mistake; None takes an entry away."""
    stream = {"flow": 0.0, "c": v.c} | dict(stream)
    parts = {
        "rate": {"c": -v.r, "T": v.k * (v.T_j - v.T), "x": np.zeros(2)} | dict(rate),
        "zero": {"w": v.w - v.T} | dict(zero),
        "port": {"broth": {key: value for key, value in stream.items() if value is not None}},
    } | others
    return Equations(**{
        name: {key: value for key, value in part.items() if value is not None} for name, part in parts.items()
    })  # fmt: skip


def with_r(**mistake):
    def equations(self, v):
        v.define("r", v.k * v.c)
        return right(v, **{key: change(v) for key, change in mistake.items()})

    return equations


MISTAKES = {
    "missing rate": (
        {"rate": lambda v: {"T": None}},
        "reactor (Reactor): no rate for state T.\n  declared: c, T, x\n  returned: c, x\n"
        '  Return rate={"T": ...} from Reactor.equations, or declare T as Algebraic.',
    ),
    "misspelt rate": (
        {"rate": lambda v: {"x": None, "xx": 0.0}},
        "reactor (Reactor): no rate for state x (but for 'xx').\n",
    ),
    "rate of no variable": (
        {"rate": lambda v: {"p": 0.0}},
        "reactor (Reactor): rate for 'p', which is no state.\n  declared: c, T, x\n  returned: c, T, x, p\n"
        '  Declare p = State("unit", start=...), or remove it from rate.',
    ),
    "rate of an algebraic": (
        {"rate": lambda v: {"w": 0.0}},
        "reactor (Reactor): rate for 'w', which is no state.\n  declared: c, T, x\n  returned: c, T, x, w\n"
        "  w is declared as algebraic: remove it from rate, or declare it as State.",
    ),
    "missing algebraic equation": (
        {"zero": lambda v: {"w": None}},
        "reactor (Reactor): an equation is missing: "
        "no equation determines reactor.w, which appears in no algebraic equation.\n"
        "  1 algebraic variable: w\n  0 equations (zero): none\n"
        '  Return one more zero={"name": left - right}, or give a variable a rate (State)\n'
        "  or a trajectory (Control).",
    ),
    "too many equations": (
        {"zero": lambda v: {"cooling": v.T_j - v.T}},
        "reactor (Reactor): an equation too many: "
        "reactor.cooling contains no variable that it could determine.\n"
        "  1 algebraic variable: w\n  2 equations (zero): w, cooling\n"
        "  Remove an equation, or declare the variable it determines as Algebraic.",
    ),
    "missing outlet": (
        {"port": lambda v: {}},
        "reactor (Reactor): no port for outlet broth.\n  declared: broth\n  returned: none\n"
        "  Return port={...} from Reactor.equations.",
    ),
    "missing stream variable": (
        {"stream": lambda v: {"c": None}},
        "reactor (Reactor): outlet broth: no stream for variable c.\n  declared: flow, c\n  returned: flow\n"
        '  Return port={"broth": {...}} from Reactor.equations.',
    ),
    "unknown stream variable": (
        {"stream": lambda v: {"S": 0.0}},
        "reactor (Reactor): outlet broth: stream for 'S', which is no variable.\n",
    ),
    "a stream that is no dict": (
        {"port": lambda v: {"broth": 0.0}},
        "reactor (Reactor): outlet broth: expected a dict of flow, c, got float 0.0.\n",
    ),
    "rate per hour in a model in seconds": (
        {"rate": lambda v: {"T": quantity(1.0, "K/h")}},
        "reactor (Reactor): rate of T is in 'K/h', expected 'K/s'.\n"
        "  1 K/h is 0.000277778 K/s: convert it with\n"
        '  quantity(magnitude(x, "K/s"), "K/s"), or correct the unit of what it is made of.',
    ),
    "rate of another dimension": (
        {"rate": lambda v: {"c": v.k * v.T}},
        "reactor (Reactor): rate of c is in 'K/s', expected 'mol/L/s'.\n"
        "  In base units that is 'K/s' against 'mol/m^3/s'.\n  Check the terms it is made of, or the declared unit.",
    ),
    "unit of an element": (
        {"rate": lambda v: {"x": np.array([v.k, v.T])}},
        "reactor (Reactor): rate of x[1] is in 'K', expected '1/s'.\n",
    ),
    "unit of a stream": (
        {"stream": lambda v: {"c": v.T}},
        "reactor (Reactor): broth.c is in 'K', expected 'mol/L'.\n",
    ),
    "wrong shape": (
        {"rate": lambda v: {"x": np.zeros(3)}},
        "reactor (Reactor): rate of x: expected an array of shape (2,), got an array of shape (3,).\n"
        "  Return one value for each element of x.",
    ),
    "an array for a scalar": (
        {"rate": lambda v: {"T": np.zeros(2)}},
        "reactor (Reactor): rate of T: expected a scalar, got an array of shape (2,).\n",
    ),
    "rows of different lengths": (
        {"rate": lambda v: {"x": [v.x, v.k]}},
        "reactor (Reactor): rate of x[0]: expected a symbol or a number, got an array of shape (2,).\n",
    ),
    "arrays that make no array": (
        {"rate": lambda v: {"x": [np.zeros((2, 2)), np.zeros((2, 3))]}},
        "reactor (Reactor): rate of x: expected rows of one length, got list",
    ),
    "a text for a rate": (
        {"rate": lambda v: {"T": "zero"}},
        "reactor (Reactor): rate of T: expected a symbol or a number, got str 'zero'.\n  Write it with the variables",
    ),
    "a relation for a residual": (
        {"zero": lambda v: {"w": v.w == v.T}},
        "reactor (Reactor): zero 'w': expected a symbol or a number, got Relation",
    ),
    "a number that is not finite": (
        {"rate": lambda v: {"T": np.nan}},
        "reactor (Reactor): rate of T: expected a finite value, got nan.\n  Look where the number comes from.",
    ),
    "a constant that is not finite": (
        {"rate": lambda v: {"T": quantity(np.inf, "K/s")}},
        "reactor (Reactor): rate of T: expected a finite value, got inf K/s.\n",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_returns_is_compared_with_what_is_declared(mistake: str):
    changes, message = MISTAKES[mistake]
    refused(with_r(**changes), message)


def test_the_reactor_without_a_mistake_is_traced():
    unit = type("Reactor", (Reactor,), {"equations": with_r()})("reactor")
    assert list(on_casadi(unit)[0].rate) == ["c", "T", "x[0]", "x[1]"]


def test_a_rate_written_twice_is_found_in_the_source():
    class Twice(Unit):
        c = State("mol/L", start=1.0)
        T = State("K", start=300.0)

        def equations(self, v):
            return Equations(rate={"c": 0.0, "T": 1.0, "c": 2.0})  # noqa: F601

    with pytest.raises(DeclarationError, match=r"^twice \(Twice\): rate of c is given twice.\n  Keep one entry 'c'"):
        on_casadi(Twice("twice"))


@pytest.mark.parametrize(
    ("returned", "got"),
    [(lambda v: {"c": 0.0}, "dict"), (lambda v: None, "nothing"), (lambda v: (1, 2), "tuple")],
)
def test_equations_return_equations(returned, got: str):
    refused(
        lambda self, v: returned(v),
        f"reactor (Reactor): equations must return Equations(...), got {got}.\n"
        "  Write return Equations(rate={...}, zero={...}, port={...}).",
    )


def test_a_unit_without_equations_says_so():
    with pytest.raises(
        DeclarationError, match=r"^r \(Reactor\): Reactor has no equations.\n  Define equations\(self, v\)"
    ):
        on_casadi(Reactor("r"))


def test_an_expression_is_defined_once_and_before_it_is_read():
    def never(self, v):
        return Equations(rate={"c": 0.0})

    refused(
        never,
        "reactor (Reactor): expression r is declared but not defined.\n"
        "  Write v.define('r', ...) in equations, or remove the declaration.",
    )

    def twice(self, v):
        v.define("r", v.k * v.c)
        v.define("r", v.k * v.c)

    text = refused(twice, "reactor (Reactor): equations, line ")
    assert text.endswith(
        ': v.define("r", v.k * v.c)\n  expression r is defined twice.\n'
        "  Define it once; give the other one a name of its own."
    )

    def unknown(self, v):
        v.define("rate_1", v.k * v.c)

    text = refused(unknown, "reactor (Reactor): equations, line ")
    assert "  expression 'rate_1' is unknown.\n  known: r\n" in text
    assert text.endswith('  Declare rate_1 = Expression("unit") in Reactor.')

    def early(self, v):
        return v.r

    text = refused(early, "reactor (Reactor): equations, line ")
    assert text.endswith("reactor.r: the expression has no value yet; first write v.define('r', ...).")


def test_an_expression_of_another_unit_is_named_with_its_line():
    def equations(self, v):
        v.define("r", v.k * v.T)

    text = refused(equations, "reactor (Reactor): equations, line ")
    assert ": v.define(\"r\", v.k * v.T)\n  expression reactor.r is in 'K/s', expected 'mol/L/s'.\n" in text


LINES = {
    "units that cannot be added": (lambda v: v.c + v.T, "cannot add 'mol/L' and 'K'"),
    "units that differ by a factor": (lambda v: v.k - quantity(1.0, "1/h"), "1 1/s is 3600 1/h"),
    "if": (lambda v: 1.0 if v.c > 0.1 else 0.0, "the comparison c mol/L > 0.1 mol/L has no truth value while"),
    "max": (lambda v: max(v.c, 0.0), "smooth_maximum(a, b, width)"),
    "np.maximum": (lambda v: np.maximum(v.c, 0.0), "Write smooth_maximum(a, b, width) instead"),
    "abs": (
        lambda v: abs(v.c),
        "abs has kinks or jumps, where solvers find no derivative.\n  Write smooth_abs(x, width)",
    ),
    "a number that is not finite": (lambda v: v.c * np.inf, "the number inf stands in an equation"),
    "float": (lambda v: np.zeros(2).__setitem__(0, v.c), "has no number while equations are traced"),
    "a lost unit": (lambda v: float(quantity(3.0, "K")), "3.0 K is no plain number"),
    "an unknown variable": (
        lambda v: v.Tj,
        "reactor: variable 'Tj' is unknown. Did you mean 'T_j'?\n  known: T, T_j, c, k, n, time, w, x",
    ),
    "an outlet": (lambda v: v.broth, 'reactor.broth: an outlet is not read but returned: port={"broth": {...}}.'),
    "a written view": (
        lambda v: setattr(v, "T", 3.0),
        "reactor.T: a view is read only.\n"
        "  Use a plain variable T = ..., or v.define('T', ...) for a declared expression.",
    ),
    "a list of rates": (
        lambda v: Equations(rate=[v.c]),
        "Equations: rate must be a dict from names to values, got list",
    ),
}


@pytest.mark.parametrize("mistake", LINES)
def test_what_fails_inside_equations_is_named_with_its_line(mistake: str):
    use, message = LINES[mistake]

    def equations(self, v):
        return use(v)

    text = refused(equations, "reactor (Reactor): equations, line ")
    assert message in text
    assert re.search(r"equations, line \d+: ", text)


def test_a_name_in_place_of_a_variable_is_named_with_its_line():
    def equations(self, v):
        return self.k * v.c

    text = refused(equations, "reactor (Reactor): equations, line ")
    assert ": return self.k * v.c\n  'reactor.k' is a name, not a value" in text


def test_the_line_is_that_of_the_part_in_which_an_error_arose():
    class Broken(Linear):
        def equilibrium(self, v, c):
            return v.k_a + c

    with pytest.raises(DeclarationError, match=r"^capture \(Column\): equations, line \d+: return v.k_a \+ c\n"):
        on_casadi(Column("capture", binding=Broken()))


def test_pythons_own_errors_keep_their_kind_and_say_whose_equations_they_are():
    def equations(self, v):
        return {}["nothing"]

    unit = type("Reactor", (Reactor,), {"equations": equations})("reactor")
    with pytest.raises(KeyError) as caught:
        on_casadi(unit)
    assert re.match(r"reactor \(Reactor\): equations, line \d+: return \{\}\[\"nothing\"\]", caught.value.__notes__[0])


def test_a_correction_of_another_unit_is_refused():
    with pytest.raises(DeclarationError, match=r"the correction of expression pot.r is in 'g/L', expected 'g/L/h'"):
        on_casadi(Chemostat("pot"), correct=lambda name, value: value * quantity(1.0, "h"))
