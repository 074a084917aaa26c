"""What did the data teach about a plant? A `Correction`: learned terms on named expressions, with where they hold.

rate = LearnedTerm(reactor.r_1, features=[reactor.T, reactor.c_A], model=lowered(gp), domain=Domain.of_data(X))
correction = Correction(rate)
plan = optimize(plant.corrected(correction), ..., subject_to=[*correction.within()])
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from titer.flowsheets.corrections.learned_term import LearnedTerm, values_of
from titer.flowsheets.terms import Path
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

    from titer.flowsheets.flowsheet import Flowsheet


@dataclass(frozen=True, eq=False, init=False)
class Correction:
    """Learned corrections of named expressions: `Correction(LearnedTerm(...), LearnedTerm(...))`.

    `about`: what its card shall say besides, as text or numbers: {"made": "2026-03-01", "batches": 6, "rmse": 0.02}.
    Raises SpecificationError where two terms are on one expression.
    """

    terms: tuple[LearnedTerm, ...]
    about: Mapping[str, Any] = field(default_factory=dict)

    def __init__(self, *terms: LearnedTerm, about: Mapping[str, Any] | None = None):
        object.__setattr__(self, "terms", tuple(terms))
        object.__setattr__(self, "about", dict(about or {}))
        wrong = [term for term in terms if not isinstance(term, LearnedTerm)]
        if wrong or not terms:
            got = f"{wrong[0]!r}" if wrong else "nothing"
            raise SpecificationError(f"Correction: expected one LearnedTerm for each expression, got {got}.")
        names = [term.on for term in terms]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise SpecificationError(f"Correction: two terms are on {twice[0]}; keep one.")

    @property
    def values(self) -> dict[str, float]:
        """Coefficients by their names on the corrected plant.

        `better.with_values(again.values)` takes over what was learned again in the same shape, without a new trace.
        """
        return dict(values_of(self.terms))

    @property
    def structure(self) -> tuple[Any, ...]:
        """All but numbers: corrections of one structure share what was traced."""
        return tuple(term.structure for term in self.terms)

    def term(self, on: str) -> LearnedTerm:
        """The term on an expression. Raises SpecificationError."""
        for term in self.terms:
            if term.on == on:
                return term
        raise SpecificationError(f"the correction is not on {on}; it is on {', '.join(t.on for t in self.terms)}.")

    def within(self, limit: float = 1.0) -> list[Path]:
        """Path limits that keep a plan where the data are: `subject_to=[*correction.within()]`.

        One for each term that has a domain; `limit` in units of the domain's own, 1 at the edge of the data; what
        is limited, and reported, is the square. Raises SpecificationError where no term has a domain.
        """
        bounded = [term for term in self.terms if term.domain is not None]
        if not bounded:
            self.terms[0].square(None)
        return [Path(term.square, upper=limit**2, name=f"data of {term.on}") for term in bounded]

    def fitted_to(self, plant: Flowsheet) -> Correction:
        """The same with the units that the plant declares. Raises SpecificationError for what it does not have."""
        return Correction(*(term.fitted_to(plant) for term in self.terms), about=self.about)

    def describe(self) -> str:
        """What is corrected, by what, between which bounds, and where it holds, in a few lines."""
        from titer.flowsheets.corrections.telling import described

        return described(self)

    def along(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Where it acts and how large, along trajectories: the frame of a run (`run.frame()`) or of measurements.

        Columns (expression, "correction" | "low" | "high" | "distance"): the factor or summand that acts, with a band
        of two standard deviations where the model says how sure it is, and the distance from the data in limits.
        Raises SpecificationError for a frame without the features.
        """
        from titer.flowsheets.corrections.telling import along

        return along(self, frame)

    def save(self, path: str | FilePath) -> None:
        """Write the correction as a folder: card.json to read, numbers.npz. It holds no code."""
        from titer.flowsheets.corrections.cards import save

        save(self, FilePath(path))

    @staticmethod
    def load(path: str | FilePath) -> Correction:
        """Read a saved correction. Raises SpecificationError for a folder that is none, or whose numbers changed."""
        from titer.flowsheets.corrections.cards import load

        return load(FilePath(path))

    def __repr__(self) -> str:
        return f"Correction({', '.join(term.on for term in self.terms)})"


__all__ = ["Correction"]
