"""What is wanted and what is required? Terms: functions of the view at the start, at the end, along, or integrated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.numerics.errors import SpecificationError

Weighted = tuple[float, "Term"]


class _Addable(ABC):
    """What can be added and scaled: a term, or a sum of terms. `weighted`: its terms with their factors."""

    @property
    @abstractmethod
    def weighted(self) -> tuple[Weighted, ...]:
        """Terms with their factors."""

    def __mul__(self, factor: float) -> Sum:
        if isinstance(factor, bool) or not isinstance(factor, int | float | np.number) or not np.isfinite(factor):
            raise SpecificationError(
                f"a term is scaled by a finite number, got {factor!r}. Put everything else inside its function."
            )
        return Sum(tuple((float(factor) * weight, term) for weight, term in self.weighted))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Sum:
        if not isinstance(divisor, int | float | np.number) or not divisor:
            raise SpecificationError(
                f"a term is divided by a number other than zero, got {divisor!r}. "
                f"Put everything else inside its function."
            )
        return self * (1.0 / divisor)

    def __add__(self, other: Any) -> Sum:
        if isinstance(other, int | float) and other == 0:  # sum([...]) begins with 0
            return Sum(self.weighted)
        if not isinstance(other, _Addable):
            raise SpecificationError(f"a term is added to terms, got {other!r}. Put numbers inside its function.")
        return Sum(self.weighted + other.weighted)

    __radd__ = __add__

    def __neg__(self) -> Sum:
        return self * -1.0

    def __sub__(self, other: Any) -> Sum:
        return self + (-other if isinstance(other, _Addable) else other)

    def __rsub__(self, other: Any) -> Sum:
        return -self + other


@dataclass(frozen=True, eq=False)
class Term(_Addable):
    """What all terms share.

    `function` of the view; `lower`, `upper`: limits, when the term is required; `phase`: the phase it belongs to
    (default: the recipe's first for AtStart, its last for AtEnd, all in which what it reads is active for Path and
    Integral); `name`: what it is called in reports.
    """

    function: Callable[[Any], Any]
    lower: Any = None
    upper: Any = None
    phase: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        what = type(self).__name__
        if not callable(self.function):
            raise SpecificationError(
                f"{what}: expected a function of the view, e.g. lambda v: v.reactor.T, got {self.function!r}."
            )
        for key in ("phase", "name"):
            value = getattr(self, key)
            if value is not None and not isinstance(value, str):
                raise SpecificationError(f"{what}: {key} is a text, got {value!r}.")

    @property
    def weighted(self) -> tuple[Weighted, ...]:
        return ((1.0, self),)

    def label(self) -> str:
        """What the term is called: its name, or its kind."""
        return self.name or type(self).__name__


class AtStart(Term):
    """A value at the start of the recipe, or of a phase."""


class AtEnd(Term):
    """A value at the end of the recipe, or of a phase: `AtEnd(lambda v: v.reactor.c_C, upper=0.15)`."""


class Path(Term):
    """A value all along: `Path(lambda v: v.reactor.T, upper=360.0, name="wall temperature")`."""


class Integral(Term):
    """The integral of a value over time, in the flowsheet's time."""


@dataclass(frozen=True, eq=False)
class AtTimes(Term):
    """Weighted squares of (value - measured) summed over sample times: a term over data.

    `times` (n,) in the flowsheet's time, `measured` (n,), `deviations` (n,): the standard deviations of the noise.
    `loss`: what a square counts, `loss.cost(square)`; None: itself.
    """

    times: Sequence[float] | np.ndarray = ()
    measured: Sequence[float] | np.ndarray = ()
    deviations: Sequence[float] | np.ndarray = ()
    loss: Any = None


@dataclass(frozen=True, eq=False)
class Sum(_Addable):
    """Terms that are added and scaled."""

    terms: tuple[Weighted, ...]

    @property
    def weighted(self) -> tuple[Weighted, ...]:
        return self.terms


def as_sum(objective: Any) -> Sum:
    """An objective as a sum of terms. Raises SpecificationError for what cannot be one."""
    if not isinstance(objective, _Addable):
        raise SpecificationError(
            f"an objective is made of AtStart, AtEnd, Integral or sums of them, "
            f"got {type(objective).__name__} {objective!r}."
        )
    for _, term in objective.weighted:
        if isinstance(term, Path):
            raise SpecificationError(
                f"{term.label()}: a Path is a constraint, no objective.\n"
                f"  Use Integral or AtEnd of the same function, or give it limits in subject_to=[...]."
            )
        if term.lower is not None or term.upper is not None:
            raise SpecificationError(f"{term.label()}: limits make a term a constraint; put it into subject_to=[...].")
    return Sum(objective.weighted)


def check_constraints(constraints: Sequence[Any]) -> tuple[Term, ...]:
    """Constraints: terms with a limit. Raises SpecificationError."""
    if isinstance(constraints, _Addable) or not isinstance(constraints, Sequence):
        raise SpecificationError(
            f"subject_to: expected a list of terms, got {type(constraints).__name__}. Write subject_to=[...]."
        )
    for term in constraints:
        if isinstance(term, Sum):
            raise SpecificationError("subject_to: a sum of terms has no limits; add inside the function of one term.")
        if not isinstance(term, Term):
            raise SpecificationError(
                f"subject_to: expected AtStart, AtEnd, Path or Integral with limits, got {term!r}."
            )
        if term.lower is None and term.upper is None:
            raise SpecificationError(f"subject_to: {term.label()} has no limit; give lower= or upper=.")
    return tuple(constraints)
