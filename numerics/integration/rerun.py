"""What was integrated? The arguments of an integration, so that one that failed can be run again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from titer.numerics.dae import Array, Dae
from titer.numerics.integration.integrate import integrate
from titer.numerics.integration.trajectory import Piece, Trajectory
from titer.numerics.integration.watch import Event


@dataclass(frozen=True, eq=False)
class Integration:
    """The arguments of `integrate`."""

    dae: Dae
    x: Array
    p: Array
    clock: float
    pieces: Sequence[Piece]
    event: Event | None = None
    points: int = 100
    independent: bool = False
    tolerance: float = 1e-8

    def again(self) -> Trajectory:
        """Integrate. Raises IntegrationError."""
        return integrate(
            self.dae,
            self.x,
            self.p,
            self.clock,
            self.pieces,
            self.event,
            self.points,
            self.independent,
            self.tolerance,
        )
