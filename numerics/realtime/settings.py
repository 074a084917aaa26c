"""How is a repeated solve made? By full-step SQP with few settings: when it stops, and which curvature it sees."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from titer.numerics.errors import SpecificationError
from titer.numerics.grid import is_whole


class Curvature(Enum):
    """Second derivatives of a step's quadratic program; the value says them."""

    AUTOMATIC = "of the objective where it is a bounded convex quadratic, else of the Lagrangian"
    OBJECTIVE = "of the objective: right where it is a sum of squares that become small (Gauss-Newton)"
    EXACT = "of the Lagrangian, made convex along the equations"


@dataclass(frozen=True)
class Sqp:
    """Sequential quadratic programming for problems that are solved again and again with other data.

    `tolerance`: the largest scaled step after which a solve ends; what is left is of second order in it (exact
    curvature) or a fraction of it. `iterations`: after so many it is handed over. `seconds`: of one solve, looked at
    between iterations.
    """

    tolerance: float = 1e-4
    iterations: int = 12
    seconds: float = float("inf")
    curvature: Curvature = Curvature.AUTOMATIC

    def __post_init__(self) -> None:
        for name in ("tolerance", "seconds"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0.0:
                raise SpecificationError(f"Sqp: {name} must be a positive number, got {value!r}.")
        if not is_whole(self.iterations, 1):
            raise SpecificationError(f"Sqp: iterations must be a whole number of at least 1, got {self.iterations!r}.")
        if not isinstance(self.curvature, Curvature):
            raise SpecificationError(
                f"Sqp: curvature is one of Curvature.{', Curvature.'.join(c.name for c in Curvature)}, "
                f"got {self.curvature!r}."
            )
