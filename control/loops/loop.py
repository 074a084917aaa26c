"""How does one PI(D) loop go from sample to sample? In the form of Astrom & Hagglund, Advanced PID Control (2006),
chapters 3 and 6:

    u = K (b r - y) + I + D                               clipped to limits and to the largest rate, this is what is set
    dI/dt = K / T_i (r - y) + (held - u) / T_t            integral, with back-calculation from what was really held
    T_d / N dD/dt + D = -K T_d dy/dt                      derivative of the filtered measurement

sampled by backward differences. The integral starts where u begins at the present position, and where something else
than the loop moved the control (an operator, a stuck actuator) it goes on from there: bumpless.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from titer.control.loops.checks import check_number
from titer.numerics.errors import SpecificationError

_FILTER = 10.0  # the derivative is filtered over a tenth of its time


@dataclass(frozen=True, eq=False)
class Loop:
    """One loop: `Loop(reactor.T, reactor.T_j, setpoint=340.0, gain=2.0, integral=300.0)`.

    `measured` is led to `setpoint` (a number, or a function of the recipe's time) by `control`. `gain`: K, in the
    control's unit by the measurement's, negative where the control must fall; `integral`: T_i, `derivative`: T_d, in
    the flowsheet's time; `weight`: b, of the set point in the proportional part. `lower`, `upper`: limits (default:
    declared bounds); `rate`: the largest change per time; `tracking`: T_t (default: T_i, or sqrt(T_i T_d)). `start`:
    the control before the first sample (default: where it stands, or its declared start).
    """

    measured: str
    control: str
    setpoint: float | Callable[[float], float]
    gain: float
    integral: float = np.inf
    derivative: float = 0.0
    weight: float = 1.0
    lower: float | None = None
    upper: float | None = None
    rate: float = np.inf
    tracking: float | None = None
    start: float | None = None

    def __post_init__(self) -> None:
        what = f"Loop of {self.control}"
        if not callable(self.setpoint):
            check_number(self.setpoint, f"{what}: setpoint")
        if not (np.isfinite(self.gain) and self.gain):
            raise SpecificationError(f"{what}: gain must be a finite number other than 0, got {self.gain!r}.")
        if not (self.integral > 0.0 and 0.0 <= self.derivative < np.inf and self.rate > 0.0):
            raise SpecificationError(
                f"{what}: expected integral > 0, derivative >= 0 and rate > 0, "
                f"got {self.integral!r}, {self.derivative!r} and {self.rate!r}."
            )
        if self.tracking is not None and not self.tracking > 0.0:
            raise SpecificationError(f"{what}: tracking must be positive, got {self.tracking!r}.")

    def wanted(self, t: float) -> float:
        """The set point at a time."""
        return float(self.setpoint(t) if callable(self.setpoint) else self.setpoint)

    @property
    def tracking_time(self) -> float:
        if self.tracking is not None:
            return self.tracking
        if np.isfinite(self.integral) and self.derivative > 0.0:
            return float(np.sqrt(self.integral * self.derivative))
        return self.integral


class Part(NamedTuple):
    """What one loop remembers: the integral, the derivative, the last measurement, what u was asked to be, what was
    set, and what before that."""

    integral: float
    derivative: float
    measured: float
    asked: float
    set: float
    previous: float


def begun(loop: Loop, wanted: float, y: float, u: float) -> Part:
    """A loop before its first sample: the integral leaves the control where it stands."""
    integral = u - loop.gain * (loop.weight * wanted - (y if np.isfinite(y) else wanted))
    return Part(integral, 0.0, y, u, u, u)


def advanced(
    loop: Loop, part: Part, h: float, wanted: float, y: float, held: float, bounds: tuple[float, float]
) -> Part:
    """One sample, `h` after the last; `held`: where the control was meanwhile. A missing `y` leaves it there."""
    if not np.isfinite(y):
        return part._replace(set=held, previous=part.set)
    derivative = part.derivative
    if loop.derivative > 0.0 and h > 0.0 and np.isfinite(part.measured):
        lag = loop.derivative / _FILTER
        derivative = (lag * derivative - loop.gain * loop.derivative * (y - part.measured)) / (lag + h)
    proportional = loop.gain * (loop.weight * wanted - y)
    if _moved_by_others(held, part.set, part.previous):
        integral = held - proportional - derivative
    else:
        share = min(1.0, h / loop.tracking_time) if np.isfinite(loop.tracking_time) else 0.0
        integral = part.integral + h * loop.gain / loop.integral * (wanted - y) + share * (part.set - part.asked)
    asked = proportional + integral + derivative
    reach = loop.rate * h if np.isfinite(loop.rate) else np.inf
    given = float(np.clip(np.clip(asked, part.set - reach, part.set + reach), *bounds))
    return Part(float(integral), float(derivative), y, float(asked), given, part.set)


def _moved_by_others(held: float, told: float, before: float) -> bool:
    """Whether a control stood where the loop did not put it; between its last two commands it is on its way."""
    room = 1e-6 * max(abs(told), abs(before), 1e-12)
    return not min(told, before) - room <= held <= max(told, before) + room
