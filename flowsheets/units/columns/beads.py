"""How large are the beads of a packing? Of one size, or of several at once: the large ones make a peak tail."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from titer.numerics.errors import SpecificationError

_ADD_UP = 1e-9  # how closely shares add up to 1


@dataclass(frozen=True)
class BeadSizes:
    """Beads of several sizes side by side: `shares` of the packing's volume, and `radii` by the radius r_p.

    Each size is a class of beads with shells of its own, so the model grows with their number. Raises
    SpecificationError for shares that do not add up to 1, and for what is not positive.
    """

    shares: Sequence[float] = (1.0,)
    radii: Sequence[float] = (1.0,)

    def __post_init__(self) -> None:
        shares, radii = (tuple(float(x) for x in each) for each in (self.shares, self.radii))
        if len(shares) != len(radii) or not all(x > 0.0 and math.isfinite(x) for x in (*shares, *radii)):
            raise SpecificationError(
                f"BeadSizes: expected as many shares as radii, all positive, got {self.shares!r} and {self.radii!r}."
            )
        if abs(sum(shares) - 1.0) > _ADD_UP:
            raise SpecificationError(f"BeadSizes: the shares add up to {sum(shares):g}, not to 1.")
        object.__setattr__(self, "shares", shares)
        object.__setattr__(self, "radii", radii)

    @staticmethod
    def lognormal(spread: float, count: int = 3) -> BeadSizes:
        """Sizes whose logarithms are normal by volume, with the standard deviation `spread`; r_p is their median.

        A supplier's range that holds 95 % of the volume, from a to b, is a spread of ln(b/a)/3.92. `count` classes on
        Gauss-Hermite points have its first 2 count - 1 moments. Raises SpecificationError.
        """
        if not (0.0 < spread < 1.0 and count in range(2, 8)):
            raise SpecificationError(
                f"BeadSizes.lognormal: expected a spread in (0, 1) and 2 to 7 classes, got {spread!r} and {count!r}."
            )
        x, weights = np.polynomial.hermite_e.hermegauss(count)
        return BeadSizes(tuple(weights / weights.sum()), tuple(np.exp(spread * x)))
