"""What is to be decided, and between which bounds? A number; or a duration that is another phase's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.flowsheets.symbols.symbol import Symbol
from titer.numerics.errors import SpecificationError


@dataclass(frozen=True)
class Free:
    """A decision: `Free(guess, lower, upper)`.

    `log`: decide its logarithm (positive quantities over decades). `prior`: (mean, standard deviation), used in
    estimation. `each`: a parameter that every experiment has a value of its own for, used in estimation too.
    """

    guess: Any
    lower: Any = -np.inf
    upper: Any = np.inf
    log: bool = False
    prior: tuple[float, float] | None = None
    each: bool = False

    def __post_init__(self) -> None:
        if self.prior is not None:
            _check_prior(self.prior)
        numbers = [self.guess, self.lower, self.upper]
        if any(isinstance(n, Symbol) for n in numbers):
            return  # quantities: checked where the unit is known
        guess, lower, upper = (number_of(n, "Free") for n in numbers)
        if np.isnan([guess, lower, upper]).any() or not lower <= guess <= upper or np.isinf(guess):
            raise SpecificationError(
                f"Free(guess={guess:g}, lower={lower:g}, upper={upper:g}): "
                f"expected lower <= guess <= upper, a finite guess, none of them NaN."
            )
        if self.log and lower <= 0.0:
            raise SpecificationError(f"Free(log=True) needs a positive lower bound, got {lower:g}.")


@dataclass(frozen=True)
class SameAs:
    """The duration of an earlier phase, whatever it is decided to be: `Phase("load 2", SameAs("load 1"))`."""

    phase: str

    def __post_init__(self) -> None:
        if not isinstance(self.phase, str) or not self.phase:
            raise SpecificationError(f"SameAs: expected the name of an earlier phase, got {self.phase!r}.")


def _check_prior(prior: Any) -> None:
    pair = isinstance(prior, tuple | list) and len(prior) == 2
    if not pair or not all(isinstance(n, int | float) and np.isfinite(n) for n in prior) or prior[1] <= 0.0:
        raise SpecificationError(f"Free: prior is (mean, standard deviation > 0), got {prior!r}.")


def number_of(value: Any, what: str) -> float:
    """A plain number. Raises SpecificationError."""
    if isinstance(value, bool | str):
        raise SpecificationError(f"{what}: expected a number, got {value!r}.")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise SpecificationError(f"{what}: expected a number, got {value!r}.") from None
