"""Are the equations of a unit operation printed as they would stand in a text book?"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

import titer.flowsheets.units as library
from titer.flowsheets import (
    Algebraic,
    Control,
    Equations,
    Expression,
    Inlet,
    Outlet,
    Parameter,
    Part,
    State,
    Unit,
    magnitude,
    quantity,
    smooth_clip,
    smooth_maximum,
    smooth_minimum,
    smooth_step,
)
from titer.flowsheets.reporting.equations import MOST_SYMBOLS, equations_of, formula_facts
from titer.flowsheets.reporting.letters import unit_text, written
from titer.flowsheets.reporting.mathml import linear, lines, mathml
from titer.flowsheets.reporting.tree import FORMULAS, Formula, Letter, Node, Number
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import Symbol
from titer.flowsheets.units import BatchReactor
from titer.numerics import DeclarationError

# What MathML Core has, and nothing else: a browser draws it without help.
CORE = {
    *("math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot", "msub", "msup", "msubsup"),
    *("mtable", "mtr", "mtd"),
}


def letter(name: str, unit: str = "1") -> Symbol:
    return Symbol(Letter(name), Measure.of(unit), FORMULAS)


def text(symbol: Any) -> str:
    assert isinstance(symbol.value, Node)
    check(f"<math>{mathml(symbol.value)}</math>")
    return linear(symbol.value)


def check(drawn: str) -> ET.Element:
    root = ET.fromstring(drawn)
    assert {element.tag for element in root.iter()} <= CORE
    sizes = {"mfrac": 2, "msub": 2, "msup": 2, "msubsup": 3, "mroot": 2}
    assert all(len(e) == sizes[e.tag] for e in root.iter() if e.tag in sizes)
    return root


def equations(unit: Unit) -> dict[str, list[str]]:
    for group in equations_of(unit):
        for equation in group["equations"]:
            check(equation["mathml"])
    return {group["title"]: [e["text"] for e in group["equations"]] for group in equations_of(unit)}


a, b, c = letter("a"), letter("b"), letter("c")


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (a + b - c, "a + b - c"),
        (a - (b + c), "a - (b + c)"),
        (a - (b - c), "a - (b - c)"),
        (-(a + b) * c, "-(a + b)*c"),
        (a * -b, "-a*b"),
        (-a * -b, "a*b"),
        (a / b / c, "a/(b*c)"),
        (a / (b / c), "a/(b/c)"),
        (a / (b * c), "a/(b*c)"),
        (a * b / c, "a*b/c"),
        ((a + b) ** 2, "(a + b)^2"),
        ((a * b) ** c, "(a*b)^c"),
        ((a**b) ** c, "(a^b)^c"),
        (a**0.5, "sqrt(a)"),
        (a * 2.0, "2*a"),
        (2.0 - a, "2 - a"),
        (0.0 * a + 1.0 * b - 0.0, "b"),
        (np.exp(-a / b), "exp(-a/b)"),
        (np.expm1(a), "exp(a) - 1"),
        (np.dot(np.array([-1.0, 0.0, 2.0]), np.array([a, b, c])), "-a + 2*c"),
        (smooth_maximum(a, 0.0, 0.1), "smooth_max(a, 0, width=0.1)"),
        (smooth_maximum(0.0, a + b, c), "smooth_max(0, a + b, width=c)"),
        (smooth_minimum(a - b, c, 0.1), "smooth_min(a - b, c, width=0.1)"),
        (smooth_clip(a, 0.0, 1.0, 0.1), "smooth_clip(a, 0, 1, width=0.1)"),
        (smooth_clip(a + b, 0.5, c, 0.1), "smooth_clip(a + b, 0.5, c, width=0.1)"),
        (smooth_step(a - b, 0.1), "smooth_step((a - b)/0.1)"),
    ],
)
def test_a_formula_is_written_as_by_hand(formula: Any, expected: str) -> None:
    assert text(formula) == expected


def test_numbers_that_meet_quantities_are_written_with_their_units() -> None:
    t, T = letter("t", "s"), letter("T", "K")
    assert text(t + 1800.0) == "t + 1800 s"
    assert text(T - quantity(273.15, "K")) == "T - 273.15 K"
    assert text(magnitude(t, "h") * 4000.0) == "4000*t/(h)"
    assert text(quantity(magnitude(T, "K"), "K")) == "T"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("T", "<mi>T</mi>"),
        ("mu", "<mi>μ</mi>"),
        ("T_j", '<msub><mi>T</mi><mi mathvariant="normal">j</mi></msub>'),
        ("mu_max", "<msub><mi>μ</mi><mi>max</mi></msub>"),
        ("k0_1", "<msub><mi>k</mi><mrow><mn>0</mn><mo>,</mo><mn>1</mn></mrow></msub>"),
        ("c[3,product]", "<msub><mi>c</mi><mrow><mn>3</mn><mo>,</mo><mi>product</mi></mrow></msub>"),
        ("dH_1", "<msub><mrow><mi mathvariant='normal'>Δ</mi><mi>H</mi></mrow><mn>1</mn></msub>"),
        ("growth", "<mi>growth</mi>"),
    ],
)
def test_a_name_is_written_with_its_indices_and_greek_letters(name: str, expected: str) -> None:
    assert str(written(name)) == expected


def test_every_greek_letter_is_the_right_one() -> None:
    assert [str(written(name))[4:-5] for name in ("alpha", "omicron", "rho", "upsilon", "omega", "Delta")] == list(
        "αορυωΔ"
    )
    assert "<mi>ρ</mi>" in str(written("rhoCp"))


def test_units_are_written_with_exponents() -> None:
    assert [unit_text(u) for u in ("mol/L/s", "1/s", "m^2", "1", "")] == ["mol\u00a0L⁻¹\u00a0s⁻¹", "s⁻¹", "m²", "", ""]


def test_a_power_of_an_indexed_letter_keeps_both_marks_on_it() -> None:
    root = check(f"<math>{mathml((letter('c_A') ** 2).value)}</math>")
    assert [e.tag for e in root] == ["msubsup"]


def test_the_batch_reactor_reads_as_in_its_docstring() -> None:
    assert equations(BatchReactor("reactor")) == {
        "Balances": [
            "d(c_A)/dt = -r_1",
            "d(c_B)/dt = r_1 - r_2",
            "d(c_C)/dt = r_2",
            "d(T)/dt = (Q_r + Q_j)/rhoCp",
        ],
        "Named expressions": [
            "r_1 = k0_1*exp(-E_1/(R*T))*c_A",
            "r_2 = k0_2*exp(-E_2/(R*T))*c_B",
            "Q_j = UA_V*(T_j - T)",
            "Q_r = -dH_1*r_1 - dH_2*r_2",
        ],
        "Conserved totals": [
            "d(c_A + c_B + c_C)/dt = 0",
            "d(rhoCp*T + dH_1*(c_B + c_C) + dH_2*c_C)/dt = UA_V*(T_j - T)",
        ],
    }


@pytest.mark.parametrize("name", [n for n in library.__all__ if issubclass(getattr(library, n), Unit)])
def test_every_unit_of_the_library_can_be_printed(name: str) -> None:
    try:
        unit = getattr(library, name)("unit")
    except DeclarationError as error:
        pytest.skip(f"{name} needs more than a name: {error}")
    assert equations(unit)["Balances"]


class Law(Part):
    k_a = Parameter("L/g", 2.0)


class Column(Unit):
    """Cells in series."""

    time = "min"
    cells: int = 20
    components: tuple[str, ...] = ("A", "B")
    law: Law = Law()
    feed = Inlet("L/min", c=("g/L", "components"))
    out = Outlet("L/min", c=("g/L", "components"))
    c = State("g/L", start=0.0, over=("cells", "components"))
    q = Algebraic("g/L", start=0.1, over="components")
    k_a = Parameter("1", 1.0)
    V = Parameter("L", 1.0)
    F = Control("L/min", start=1.0)
    load = Expression("1", over="components")

    def equations(self, v: Any) -> Equations:
        load = v.define("load", v.law.k_a * v.c[-1] * v.k_a)
        before = np.concatenate([[v.feed.c], v.c[:-1]])
        return Equations(
            rate={"c": v.F / v.V * (before - v.c)},
            zero={"q": v.q - load * v.c[-1]},
            port={"out": {"flow": v.F, "c": v.c[-1]}},
        )


def test_of_a_large_array_one_equation_of_each_form_is_printed() -> None:
    groups = {group["title"]: group for group in equations_of(Column("column"))}
    balances = [e["text"] for e in groups["Balances"]["equations"]]
    assert balances == ["d(c[0,A])/dt = F/V*(feed.c[A] - c[0,A])", "d(c[1,A])/dt = F/V*(c[0,A] - c[1,A])"]
    assert "c has 40 elements" in groups["Balances"]["note"]
    assert groups["Balances"]["equations"][-1]["more"] == 38


def test_parts_and_streams_are_told_apart_by_an_index() -> None:
    shown = equations(Column("column"))
    assert shown["Named expressions"] == ["load[A] = law.k_a*c[19,A]*k_a", "load[B] = law.k_a*c[19,B]*k_a"]
    groups = {group["title"]: group["equations"] for group in equations_of(Column("column"))}
    assert "<mi>law</mi>" in groups["Named expressions"][0]["mathml"]
    assert "<mi>feed</mi>" in groups["Balances"][0]["mathml"]
    assert [e["text"] for e in groups["Algebraic equations"]] == [
        "0 = q[A] - load[A]*c[19,A]",
        "0 = q[B] - load[B]*c[19,B]",
    ]
    assert [e["text"] for e in groups["Outlets"]] == ["out.flow = F", "out.c[A] = c[19,A]", "out.c[B] = c[19,B]"]


def test_a_wide_sum_is_broken_into_lines_and_a_huge_formula_names_what_it_reads() -> None:
    wide = sum((letter(f"concentration_{i}") * letter(f"factor_{i}") for i in range(8)), start=0.0 * a).value
    assert len(lines(wide, 30.0)) > 2
    facts = formula_facts(Formula(Letter("y"), wide))
    assert check(facts["mathml"])[0].tag == "mtable"
    huge = a
    for _ in range(12):  # each step doubles what is written out
        huge = huge * huge + b
    facts = formula_facts(Formula(Letter("y"), huge.value))
    assert facts["text"] == "y = f(a, b)"
    assert "too long to print" in facts["note"]
    assert MOST_SYMBOLS < 2**12


def test_numbers_are_written_with_powers_of_ten() -> None:
    assert mathml(Number(2e9)) == "<mrow><mn>2</mn><mo>×</mo><msup><mn>10</mn><mn>9</mn></msup></mrow>"
    assert "<mo>−</mo><mn>5</mn>" in mathml(Number(1e-5))
