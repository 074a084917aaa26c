"""What was measured, under which operation? `Experiment`: a frame of data with its noise, recipe, inputs and start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.estimation.losses import Loss
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.terms import AtTimes, Sum
from titer.flowsheets.unit import number_in
from titer.numerics.errors import SpecificationError, unknown

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Estimated:
    """A standard deviation that is estimated with the parameters; `guess`: where it begins (default: 5 % of the size of
    the measurements)."""

    guess: Any = None

    def first(self, values: np.ndarray) -> Any:
        """What it begins with."""
        return self.guess if self.guess is not None else 0.05 * float(np.abs(values).max(initial=0.0)) or 1.0


@dataclass(frozen=True, eq=False)
class Experiment:
    """A run of the plant with its measurements.

    `frame`: one column per measured name, indexed by the flowsheet's time; NaN: not measured. `noise`: the standard
    deviation of each column, in its declared unit. `recipe`, `inputs`: what was run. `start`: known initial states,
    where they differ from the plant's.
    """

    frame: pd.DataFrame
    noise: Mapping[str, Any]
    recipe: Recipe
    inputs: Mapping[str, Any] = field(default_factory=dict)
    start: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        times = np.asarray(self.frame.index, dtype=float)
        if not len(times) or not len(self.frame.columns):
            raise SpecificationError("Experiment: the frame is empty; give at least one time and one measured column.")
        if not np.isfinite(times).all():
            raise SpecificationError("Experiment: a time of the frame is not finite.")
        if np.any(np.diff(times) <= 0.0):
            raise SpecificationError("Experiment: the times of the frame must rise; sort it and merge equal times.")
        missing = [str(c) for c in self.frame.columns if str(c) not in {str(n) for n in self.noise}]
        if missing:
            raise SpecificationError(
                f"Experiment: no noise for {missing[0]}.\n"
                f"  Give noise={{{missing[0]}: standard deviation}} for every column."
            )

    @property
    def count(self) -> int:
        """How many measurements there are."""
        return int(np.isfinite(self.frame.to_numpy(dtype=float)).sum())

    @property
    def estimated(self) -> frozenset[str]:
        """Names whose standard deviation is estimated."""
        return frozenset(str(name) for name, noise in self.noise.items() if isinstance(noise, Estimated))

    def residuals(self, plant: Flowsheet, loss: Loss | None = None) -> Sum:
        """The weighted squares of (model - data) as a term, or what they cost. Raises SpecificationError for unknown
        names and bad noise."""
        measures = plant.measures
        terms = []
        times = np.asarray(self.frame.index, dtype=float)
        for column in self.frame.columns:
            name = str(column)
            if name not in measures:
                raise SpecificationError(f"Experiment: {unknown('column', name, measures)}")
            given = {str(k): v for k, v in self.noise.items()}[name]
            values = np.asarray(self.frame[column], dtype=float)
            known = np.isfinite(values)
            if isinstance(given, Estimated):
                given = given.first(values[known])
            deviation = number_in(given, measures[name], f"noise of {name}")
            if not (np.isfinite(deviation) and deviation > 0.0):
                raise SpecificationError(f"Experiment: the noise of {name} must be positive, got {deviation!r}.")
            terms.append(
                (
                    1.0,
                    AtTimes(
                        _reader(name),
                        name=f"data of {name}",
                        times=times[known],
                        measured=values[known],
                        deviations=np.full(int(known.sum()), deviation),
                        loss=loss,
                    ),
                )
            )
        return Sum(tuple(terms))


def _reader(name: str):  # type: ignore[no-untyped-def]
    return lambda v: v[name]
