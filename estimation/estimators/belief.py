"""What is known of a plant at a time? A mean with a covariance, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from titer.numerics.dae import Array
from titer.numerics.errors import SpecificationError, unknown


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A mean (n,) and a square root (n, n) of its covariance: covariance = root root'."""

    mean: Array
    root: Array


@dataclass(frozen=True, eq=False)
class Belief:
    """What an estimator believes at `time`, in the plant's units.

    `names`: all states of the plant, those of idle units too; then parameters that are estimated, by their own names;
    then `rate(tank.S)`, what is added to a rate, and `bias(tank.S)`, what a sensor adds. `states` and `parameters` say
    how many there are of the first two. `mean` (n,), `root` (n, n): covariance = root root'. `algebraics`: the
    algebraic variables that belong to the mean.
    """

    time: float
    names: tuple[str, ...]
    counts: tuple[int, int]
    mean: Array
    root: Array
    algebraics: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        """The mean of an entry, or an algebraic variable. Raises SpecificationError."""
        if name in self.algebraics:
            return float(self.algebraics[name])
        return float(self.mean[self._index(name)])

    def deviation(self, name: str) -> float:
        """The standard deviation of an entry. Raises SpecificationError."""
        return float(np.linalg.norm(self.root[self._index(name)]))

    @property
    def values(self) -> dict[str, float]:
        """Means by name."""
        return dict(zip(self.names, self.mean.tolist(), strict=True))

    @property
    def deviations(self) -> dict[str, float]:
        """Standard deviations by name."""
        return dict(zip(self.names, np.linalg.norm(self.root, axis=1).tolist(), strict=True))

    @property
    def covariance(self) -> Array:
        """(n, n), in the order of `names`."""
        return self.root @ self.root.T

    @property
    def states(self) -> dict[str, float]:
        """Means of the plant's states."""
        return dict(zip(self.names[: self.counts[0]], self.mean.tolist(), strict=False))

    @property
    def parameters(self) -> dict[str, float]:
        """Means of the parameters that are estimated."""
        first, number = self.counts
        return dict(zip(self.names[first : first + number], self.mean[first : first + number].tolist(), strict=True))

    def __str__(self) -> str:
        shown = [f"{n} = {m:.6g} +/- {d:.2g}" for n, m, d in self._rows()]
        return "\n  ".join([f"belief at t = {self.time:g}", *shown])

    def _rows(self) -> list[tuple[str, float, float]]:
        return [(name, self[name], self.deviation(name)) for name in self.names]

    def _index(self, name: str) -> int:
        if name not in self.names:
            raise SpecificationError(f"belief: {unknown('name', name, [*self.names, *self.algebraics])}")
        return self.names.index(name)
