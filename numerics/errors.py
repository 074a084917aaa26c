"""What can go wrong, in four words: a declaration, a flowsheet, a specification, a solve."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class TiterError(ValueError):
    """The root of titer's exceptions: which object, what was expected, what came, what to do."""


class DeclarationError(TiterError):
    """A unit operation is declared inconsistently: a missing equation, a unit that misfits, a bad bound."""


class FlowsheetError(TiterError):
    """Units are wired inconsistently: an unknown port, a stream that does not fit, an inlet fed twice."""


class SpecificationError(TiterError):
    """A recipe, a data set or a problem is inconsistent: an unknown name, a control without a trajectory."""


class NotActiveError(SpecificationError):
    """A term reads what a unit operation at rest does not have; terms without a phase skip such phases."""


class SolveError(TiterError):
    """A solve failed. `solution` carries what was reached, so that nothing is lost."""

    def __init__(self, message: str, solution: Any = None):
        super().__init__(message)
        self.solution = solution


def unknown(what: str, given: object, known: Iterable[object]) -> str:
    """Say that a name is unknown, what was probably meant, and which names there are."""
    names = sorted(str(k) for k in known)
    close = get_close_matches(str(given), names, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    listed = ", ".join(names) if names else "none"
    return f"{what} {str(given)!r} is unknown.{hint}\n  known: {listed}"
