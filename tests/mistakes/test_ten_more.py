"""How many of ten further mistakes, written from the contract before any answer was seen, does the first line name?"""

from __future__ import annotations

import pytest

from tests.mistakes import ten
from tests.mistakes.mistake import Mistake, answer, is_understood, without_complaint

# At the first run 6 of ten were understood; neither mistakes nor culprits were changed after it. Then a route to a unit
# operation at rest and a parameter that no datum sees were refused at the door. The two others are returned, with the
# name in the first line of what they say of themselves: that a run leaves a domain is no exception.
FIRST, LEAST = 6, 8
NOT_UNDERSTOOD = {"more drawn than there is", "a feed beyond the pump"}

each = pytest.mark.parametrize(
    "mistake", ten.MISTAKES, ids=[mistake.name.replace(" ", "-") for mistake in ten.MISTAKES]
)


@each
def test_the_first_line_names_the_culprit(mistake: Mistake) -> None:
    if is_understood(mistake):
        return
    given = answer(mistake)
    came = given.exception.__name__ if given.exception else "returned"
    said = f"expected {', '.join(mistake.culprits)}; {came}: {given.line}"
    if mistake.name in NOT_UNDERSTOOD:
        pytest.xfail(f"not understood, {said}")
    pytest.fail(said)


@each
def test_it_is_the_mistake_that_was_complained_of(mistake: Mistake) -> None:
    assert without_complaint(mistake) == ""


def test_no_fewer_are_understood_than_were_measured() -> None:
    assert len({mistake.name for mistake in ten.MISTAKES}) == 10
    assert {mistake.name for mistake in ten.MISTAKES} >= NOT_UNDERSTOOD
    assert sum(is_understood(mistake) for mistake in ten.MISTAKES) >= LEAST > FIRST


def test_those_that_are_returned_are_named_nevertheless() -> None:
    for mistake in ten.MISTAKES:
        if mistake.name in NOT_UNDERSTOOD:
            assert any(culprit in answer(mistake).line for culprit in mistake.culprits)
