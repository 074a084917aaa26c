"""What does a case accept, and when does a claim hold?"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from titer.cases.case import Case, Claim, Kind, Outcome, Progress, case
from titer.numerics.errors import DeclarationError, SpecificationError


@case("toy_study")
def toy(
    progress: Progress, *, quick: bool = False, elements: int = 40, tolerance: float = 1e-3, label: str = "a"
) -> Outcome:
    """Show that the sum of two numbers is known.

    A second paragraph is not part of the summary.
    """
    progress(f"{elements} elements")
    return Outcome((Claim("sum", 1.0 + 1.0, 2.0, tolerance),), facts={"label": label, "quick": quick})


@pytest.mark.parametrize(
    ("kind", "value", "holds"),
    [
        ("equal", 1.0, True),
        ("equal", 1.1, True),
        ("equal", 0.9, True),
        ("equal", 1.2, False),
        ("equal", 0.8, False),
        ("at most", -5.0, True),
        ("at most", 1.1, True),
        ("at most", 1.2, False),
        ("at least", 5.0, True),
        ("at least", 0.9, True),
        ("at least", 0.8, False),
    ],
)
def test_a_claim_holds_within_its_tolerance(kind: Kind, value: float, holds: bool) -> None:
    assert Claim("x", value, expected=1.0, tolerance=0.125, kind=kind).ok is holds


@pytest.mark.parametrize("kind", ["equal", "at most", "at least"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_proves_nothing(kind: Kind, value: float) -> None:
    assert not Claim("x", value, expected=1.0, tolerance=1.0, kind=kind).ok


def test_a_claim_takes_numpy_numbers_and_truth_values() -> None:
    assert Claim("x", np.float64(2.0), np.int64(2)).ok
    assert Claim("solved", True, True).ok
    assert not Claim("solved", False, True).ok


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"name": " "}, "a claim needs a name"),
        ({"value": "much"}, "claim 'x': value must be a number, got 'much'"),
        ({"value": None}, "claim 'x': value must be a number, got None"),
        ({"expected": math.nan}, "claim 'x': expected must be finite, got nan"),
        ({"expected": math.inf}, "claim 'x': expected must be finite, got inf"),
        ({"tolerance": -1.0}, "claim 'x': tolerance must be finite and not negative, got -1.0"),
        ({"tolerance": math.nan}, "claim 'x': tolerance must be finite and not negative, got nan"),
        ({"kind": "at mots"}, "claim 'x': kind 'at mots' is unknown. Did you mean 'at most'?"),
    ],
)
def test_a_claim_checks_itself(given: dict[str, Any], text: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        Claim(**({"name": "x", "value": 1.0, "expected": 1.0} | given))
    assert text in str(raised.value)


def test_a_claim_says_what_is_wanted() -> None:
    assert Claim("x", 0.0, 0.61045, 5e-5).wanted == "0.61045 +- 5e-05"
    assert Claim("x", 0.0, 0.15, kind="at most").wanted == "<= 0.15"
    assert Claim("x", 0.0, 4.0, kind="at least").wanted == ">= 4"


def test_facts_become_what_json_can_hold() -> None:
    facts = {
        "a": np.float64(1.5),
        "b": np.arange(3),
        3: (1, math.nan),
        "p": Path("x"),
        "n": None,
        "i": -math.inf,
    }
    outcome = Outcome([Claim("x", 1, 1)], facts=facts)
    assert outcome.facts == {"a": 1.5, "b": [0, 1, 2], "3": [1, "nan"], "p": "x", "n": None, "i": "-inf"}


def test_a_fact_that_json_cannot_hold_is_named() -> None:
    with pytest.raises(DeclarationError, match=r"facts\['a'\]\[1\]: complex cannot be written to results.json"):
        Outcome([Claim("x", 1, 1)], facts={"a": [1, 1j]})


def test_an_outcome_needs_claims_with_names_of_their_own() -> None:
    with pytest.raises(DeclarationError, match="at least one claim"):
        Outcome([])
    with pytest.raises(DeclarationError, match="claim 'x' is made twice"):
        Outcome([Claim("x", 1, 1), Claim("x", 2, 2)])


def test_a_figure_is_named_like_a_file() -> None:
    with pytest.raises(DeclarationError, match=r"figure '\.\./x'"):
        Outcome([Claim("x", 1, 1)], figures={"../x": lambda: None})  # type: ignore[dict-item, return-value]


def test_an_outcome_holds_solutions_and_nothing_else_by_that_name() -> None:
    with pytest.raises(DeclarationError, match="solution 'run': expected a Solution, got float"):
        Outcome([Claim("x", 1, 1)], solutions={"run": 1.0})  # type: ignore[dict-item]


def test_an_outcome_holds_when_every_claim_does() -> None:
    assert Outcome([Claim("x", 1, 1), Claim("y", 1, 1)]).ok
    assert not Outcome([Claim("x", 1, 1), Claim("y", 1, 2)]).ok


def test_a_case_reads_its_settings_and_summary_from_the_function() -> None:
    assert [(s.name, s.type, s.default) for s in toy.settings] == [
        ("quick", bool, False),
        ("elements", int, 40),
        ("tolerance", float, 1e-3),
        ("label", str, "a"),
    ]
    assert (toy.name, toy.title) == ("toy_study", "Toy study")
    assert toy.summary == "Show that the sum of two numbers is known."


def test_a_case_is_called_with_its_settings() -> None:
    lines: list[str] = []
    outcome = toy(lines.append, elements=3, quick=True)
    assert outcome.ok
    assert outcome.facts == {"label": "a", "quick": True}
    assert lines == ["3 elements"]
    assert toy().ok


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("elements", "12", 12),
        ("tolerance", "1e-6", 1e-6),
        ("tolerance", "2", 2.0),
        ("label", "b=c d", "b=c d"),
        ("quick", "true", True),
        ("quick", "Yes", True),
        ("quick", "off", False),
        ("quick", "0", False),
    ],
)
def test_a_setting_is_read_by_its_type(name: str, text: str, value: object) -> None:
    parsed = toy.setting(name).parse(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("elements", "1.5", "a whole number"),
        ("elements", "", "a whole number"),
        ("tolerance", "small", "a finite number"),
        ("tolerance", "nan", "a finite number"),
        ("tolerance", "inf", "a finite number"),
        ("quick", "maybe", "true or false"),
    ],
)
def test_a_setting_that_does_not_parse_names_the_expected_type(name: str, text: str, expected: str) -> None:
    with pytest.raises(SpecificationError) as raised:
        toy.setting(name).parse(text)
    assert str(raised.value) == f"setting {name} expects {expected}, got {text!r}."


def test_settings_given_from_python_are_checked_too() -> None:
    with pytest.raises(SpecificationError, match="setting elements expects a whole number, got True"):
        toy(elements=True)
    with pytest.raises(SpecificationError, match=r"'element' is unknown\. Did you mean 'elements'"):
        toy(element=3)


def test_a_case_that_is_declared_wrongly_says_how() -> None:
    def no_quick(progress: Progress, *, elements: int = 3) -> Outcome:
        """Lack the quick setting."""
        return Outcome([Claim("x", 1, 1)])

    def no_type(progress: Progress, *, quick: bool = False, mode: list[int] = []) -> Outcome:  # noqa: B006
        """Have a setting the command line cannot read."""
        return Outcome([Claim("x", 1, 1)])

    def no_docstring(progress: Progress, *, quick: bool = False) -> Outcome:
        return Outcome([Claim("x", 1, 1)])

    def no_keyword(progress: Progress, quick: bool = False) -> Outcome:
        """Take a setting by position."""
        return Outcome([Claim("x", 1, 1)])

    for function, text in [
        (no_quick, "needs the setting quick: bool = False"),
        (no_type, "setting mode needs a type and a default of that type"),
        (no_docstring, "needs a docstring"),
        (no_keyword, r"\(progress, \*, quick"),
    ]:
        with pytest.raises(DeclarationError, match=text):
            case("broken")(function)
    with pytest.raises(DeclarationError, match="it becomes a folder name"):
        Case("a/b", "title", toy.function)


def test_a_case_must_return_an_outcome() -> None:
    @case("forgetful")
    def forgetful(progress: Progress, *, quick: bool = False) -> Outcome:
        """Return nothing."""
        return None  # type: ignore[return-value]

    with pytest.raises(DeclarationError, match="forgetful: expected an Outcome, got NoneType"):
        forgetful()
