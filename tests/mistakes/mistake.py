"""What is a seeded mistake, and does the first line of what titer says name its culprit?

A mistake is realistic: a process engineer's slip in a model, a recipe or a problem. Titer's answer is what the verb
raises, the diagnosis it gives, or, where a verb returned, what the solution explains. One slip is told from another by
running the same without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from titer.flowsheets import Diagnosis
from titer.numerics import Solution
from titer.numerics.errors import TiterError

LONGEST = 300  # characters of a first line: one that lists everything names nothing


@dataclass(frozen=True, eq=False)
class Mistake:
    """A slip, what runs into it, and who is to blame.

    `provoke`: what the user would run. `mended`: the same without the slip; it must succeed. `culprits`: qualified
    names of variables, equations and phases, or names of constraints, one of which the first line must contain;
    `together`: all of which. `raises`: the documented exceptions of the verb; none where it returns and the diagnosis
    or the explanation of its solution is read.
    """

    name: str
    provoke: Callable[[], Any]
    mended: Callable[[], Any]
    culprits: tuple[str, ...]
    raises: tuple[type[TiterError], ...] = ()
    together: bool = False

    def named_in(self, line: str) -> bool:
        """Whether a first line names the culprit, and is no list of everything."""
        found = [names(line, culprit) for culprit in self.culprits]
        return len(line) <= LONGEST and (all(found) if self.together else any(found))


@dataclass(frozen=True)
class Answer:
    """The first line of what titer says, and the exception it came with (None: it was returned)."""

    line: str
    exception: type[TiterError] | None


@cache
def answer(mistake: Mistake) -> Answer:
    """Run into a mistake, once."""
    try:
        returned = mistake.provoke()
    except TiterError as error:
        return Answer(_first_line(error), type(error))
    return Answer(_first_line(returned.explain() if isinstance(returned, Solution) else returned), None)


def is_understood(mistake: Mistake) -> bool:
    """Whether the first line names the culprit, with an exception of the documented kind; False for any crash."""
    try:
        given = answer(mistake)
    except Exception:  # a crash explains nothing, whatever it is
        return False
    return mistake.named_in(given.line) and is_documented(mistake, given)


def is_documented(mistake: Mistake, given: Answer) -> bool:
    """Whether the answer came by the way that the verb documents."""
    if given.exception is None:
        return not mistake.raises
    return given.exception in mistake.raises


def names(line: str, culprit: str) -> bool:
    """Whether a line contains a name as a word; `unit.variable` also as both words, the way declarations say it."""
    if _holds(line, culprit):
        return True
    unit, dot, variable = culprit.partition(".")
    return bool(dot) and _holds(line, unit) and _holds(line, variable)


def without_complaint(mistake: Mistake) -> str:
    """What is still wrong with the mended version; empty where nothing is."""
    result = mistake.mended()
    if isinstance(result, Diagnosis):
        return _first_line(result) if result.errors or result.warnings else ""
    if not result.status.ok:
        return result.message or result.status.value
    certificate = getattr(result, "certificate", None)
    return "" if certificate is None or certificate.ok else certificate.message


def _holds(line: str, word: str) -> bool:
    return re.search(rf"(?:(?<![\w.])|(?<=\bv\.)){re.escape(word)}(?![\w\[])", line) is not None


def _first_line(said: object) -> str:
    return str(said).partition("\n")[0]
