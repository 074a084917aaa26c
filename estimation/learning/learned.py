"""What came out of learning? `Learned`: a correction, with what it rests on, and how it did on batches left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from titer.estimation.learning.discrepancy import Discrepancy
from titer.estimation.learning.validation import Validation
from titer.flowsheets import Correction, LearnedTerm

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Learned(Correction):
    """A correction that was learned from batches; `plant.corrected(learned)` is the corrected plant.

    `discrepancy`: what it was regressed on; `validation`: errors on batches left out, of all candidates; `model`: the
    candidate that was taken.
    """

    discrepancy: Discrepancy = field(init=False)
    validation: Validation = field(init=False)
    model: str = field(init=False)

    def __init__(
        self,
        terms: tuple[LearnedTerm, ...],
        about: Mapping[str, Any],
        discrepancy: Discrepancy,
        validation: Validation,
        model: str,
    ):
        Correction.__init__(self, *terms, about=about)
        object.__setattr__(self, "discrepancy", discrepancy)
        object.__setattr__(self, "validation", validation)
        object.__setattr__(self, "model", model)

    @property
    def correction(self) -> Correction:
        """The correction alone, without what it was learned from."""
        return Correction(*self.terms, about=self.about)

    @property
    def ratio(self) -> float:
        """Error of outputs on batches left out, of the corrected plant by the mechanistic one's."""
        return float(self.validation.summary().loc[self.model, "ratio"])

    def table(self) -> pd.DataFrame:
        """A row for each batch left out: errors of outputs [deviations] without and with it, and their ratio."""
        return self.validation.by_batch(self.model)

    def plot(self) -> Figure:
        """A row for each rate: discrepancy over time with band and correction, and parity on batches left out."""
        from titer.estimation.learning.pictures import plot_learned

        return plot_learned(self)

    def __str__(self) -> str:
        return f"{self.describe()}\n{self.table().to_string(float_format=lambda x: f'{x:.3g}')}"


__all__ = ["Learned"]
