"""Does the first line of every message name the right equation, variable or constraint? Twenty seeded mistakes."""

from __future__ import annotations

import pytest

from tests.mistakes import declared, operated, posed
from tests.mistakes.mistake import Mistake, answer, is_documented, is_understood, names, without_complaint

MISTAKES = (*declared.MISTAKES, *operated.MISTAKES, *posed.MISTAKES)
LEAST = 19  # of twenty

each = pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake.name.replace(" ", "-") for mistake in MISTAKES])


@each
def test_the_first_line_names_the_culprit(mistake: Mistake) -> None:
    given = answer(mistake)
    assert mistake.named_in(given.line), f"expected {', '.join(mistake.culprits)} in: {given.line}"
    assert is_documented(mistake, given), f"expected {mistake.raises or 'no exception'}, got {given.exception}"


@each
def test_it_is_the_mistake_that_was_complained_of(mistake: Mistake) -> None:
    assert without_complaint(mistake) == ""


def test_at_least_nineteen_of_twenty_are_understood() -> None:
    assert len({mistake.name for mistake in MISTAKES}) == 20
    assert sum(is_understood(mistake) for mistake in MISTAKES) >= LEAST


@pytest.mark.parametrize(
    ("line", "culprit", "holds"),
    [
        ("reactor.S is used up", "reactor.S", True),
        ("reactor.S_F is used up", "reactor.S", False),
        ("reactor.S[1] is used up", "reactor.S", False),
        ("reactor (Culture): no rate for state S.", "reactor.S", True),
        ("reactor (Culture): no rate for state S_F.", "reactor.S", False),
        ("reactor (Culture): no rate.", "reactor.S", False),
        ("tank.S is used up in the reactor", "reactor.S", False),
        ("reactor: mu * v.S", "reactor.S", True),
        ("Phase 'harvest': too long", "harvest", True),
        ("harvester.S", "harvest", False),
    ],
)
def test_a_name_is_found_as_a_word(line: str, culprit: str, holds: bool) -> None:
    assert names(line, culprit) is holds
