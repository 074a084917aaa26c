"""What is a problem with random parameters? A draw, a statement for `optimize`, a proof where there is no answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Values = Mapping[str, float]
SEED = 0


@dataclass(frozen=True)
class StartCase:
    """A problem with random parameters.

    `draw` gives a set of values from a generator; `stated` the keywords of `optimize` for a set; `impossible` why a set
    has no answer, shown by simulation ("" where nothing shows it). Values are in declared units, by qualified name;
    those of no unit operation are limits that vary too.
    """

    name: str
    about: str
    draw: Callable[[np.random.Generator], dict[str, float]]
    stated: Callable[[Values], dict[str, Any]]
    impossible: Callable[[Values], str]

    def sets(self, count: int) -> list[dict[str, float]]:
        """Sets of values by the fixed seed; fewer are the first of more."""
        rng = np.random.default_rng(SEED)
        return [self.draw(rng) for _ in range(count)]


def scaled(rng: np.random.Generator, factor: float) -> float:
    """A factor between 1/factor and factor, evenly by logarithm."""
    return float(factor ** rng.uniform(-1.0, 1.0))


def near(rng: np.random.Generator, share: float) -> float:
    """A factor within a share of one."""
    return float(rng.uniform(1.0 - share, 1.0 + share))


def of_unit(values: Values, unit: str) -> dict[str, float]:
    """The values that belong to a unit operation."""
    return {name: value for name, value in values.items() if name.startswith(f"{unit}.")}
