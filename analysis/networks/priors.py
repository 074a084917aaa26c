"""What is believed before the data? Vague by default; around the mechanism's coefficients where there is one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titer.analysis.networks.network import Network
from titer.numerics.errors import SpecificationError


@dataclass(frozen=True)
class Prior:
    """Prior beliefs, of variables divided by their standard deviations between batches.

    beta ~ N(0, coefficient^2), intercepts ~ N(0, mean^2), v^2 ~ InvGamma(shape, scale). `mechanism`: a network whose
    coefficients beta is believed to lie around instead, with standard deviation `trust` (0.2: about a fifth of a
    standard deviation of the effect per standard deviation of the cause); edges that it lacks stay vague.
    """

    coefficient: float = 10.0
    mean: float = 10.0
    shape: float = 0.01
    scale: float = 1e-4
    mechanism: Network | None = None
    trust: float = 0.2

    def __post_init__(self) -> None:
        for what in ("coefficient", "mean", "shape", "scale", "trust"):
            value = getattr(self, what)
            if isinstance(value, bool) or not (np.isfinite(value) and value > 0.0):
                raise SpecificationError(f"Prior: {what} must be a positive number, got {value!r}.")
