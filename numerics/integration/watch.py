"""When does a phase end by itself? An `Event` is watched for part by part, and met exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import casadi as ca
import numpy as np

from titer.numerics.dae import Array, Dae
from titer.numerics.integration.trajectory import IntegrationError, Part, Piece, along


@dataclass(frozen=True, eq=False)
class Event:
    """Ends a phase: `function`(t, x, z, u, p) goes through zero; direction -1 falling, 1 rising, 0 either.

    `begun`: the phase has begun before; what jumps where it is taken up again may meet the event at once.
    """

    function: ca.Function
    direction: int
    text: str
    begun: bool = False


class Runs(Protocol):
    """What integrates a piece anew, up to where an event may lie."""

    dae: Dae
    p: Array

    def part(self, t: float, x: Array, z: Array, piece: Piece, points: int) -> Part: ...


class Watch:
    """Looks for an event part by part. `sign` times its function is negative before it."""

    def __init__(self, event: Event, run: Runs):
        self.event, self.run = event, run
        self.sign: float | None = None

    def cut(self, part: Part) -> Part | None:
        """The part cut at the event, None where it is not met. The root is found by re-integrating to it."""
        values = along(self.event.function, part, self.run.p)[0].ravel()
        begin = 0
        if self.sign is None:
            begin = self._find_sign(values, part.time[0])
        if self.sign is None:
            return None
        over = begin + np.flatnonzero(self.sign * values[begin:] >= 0.0)
        if not len(over):
            return None
        k = int(over[0])
        if k == 0:  # met by the jump of an input
            return part.before(1)
        return part.before(k).then(self._root(part, k))

    def _find_sign(self, values: Array, time: float) -> int:
        """Fix the sign; returns the first point at which the event can be told from its start."""
        if self.event.direction:
            self.sign = float(self.event.direction)
            if self.sign * values[0] >= 0.0 and not self.event.begun:
                raise IntegrationError(
                    f"{self.run.dae.name}: {self.event.text} holds already at the start of its phase "
                    f"(t = {time:.6g} {self.run.dae.time}).\n"
                    "  Start the phase where it does not hold yet, or end the phase otherwise.",
                    float(time),
                    None,
                )
            return 0
        away = np.flatnonzero(values)  # starting on zero, it must leave it first
        if not len(away):
            return 0
        self.sign = -float(np.sign(values[away[0]]))
        return int(away[0])

    def _root(self, part: Part, k: int) -> Part:
        from scipy.optimize import brentq

        assert self.sign is not None
        sign, base, step = self.sign, part.time[k - 1], part.time[k] - part.time[k - 1]
        left, slope = part.u[:, k - 1], (part.u[:, k] - part.u[:, k - 1]) / step

        def at(h: float) -> Part:
            if h <= 0.0:
                return part.before(k)
            piece = Piece(h, left, left + slope * h)
            return self.run.part(base, part.x[:, k - 1], part.z[:, k - 1], piece, 1)

        def gap(h: float) -> float:
            end = at(h)
            return sign * float(self.event.function(end.time[-1], end.x[:, -1], end.z[:, -1], end.u[:, -1], self.run.p))

        h = step  # the output point itself, where re-integration falls short of it by a rounding error
        if gap(step) > 0.0:
            h = brentq(gap, 0.0, step, xtol=1e-13 * max(step, abs(base)), rtol=1e-14)
        end = at(h)
        return Part(end.time[-1:], end.x[:, -1:], end.z[:, -1:], end.u[:, -1:])
