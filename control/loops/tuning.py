"""Which settings suit a loop? Gain, lag and delay read off a step of the model, and SIMC's rules for them.

Source: Skogestad, Simple analytic rules for model reduction and PID controller tuning, J. Process Control 13 (2003)
291.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from titer.control.loops.loop import Loop
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.simulation import simulate
from titer.numerics.errors import SpecificationError

_LATE, _EARLY = 0.632, 0.283  # shares of a first-order response, at delay + lag and at delay + lag / 3
_RAMP = 0.5  # of its mean slope: a response that still rises faster at its end integrates


@dataclass(frozen=True)
class StepResponse:
    """First order with delay: `gain` (of the measurement by the control), `lag` and `delay` in the flowsheet's time.

    Where the response does not settle, `lag` is infinite and `slope`, the gain by the lag, is what counts.
    """

    gain: float
    lag: float
    delay: float
    slope: float

    def settings(self, closed: float | None = None) -> dict[str, float]:
        """SIMC's `gain` and `integral` of a PI loop; `closed`: the time constant that is wanted of the closed loop
        (default: the delay, at least a tenth of the lag)."""
        if closed is None:
            closed = max(self.delay, 0.1 * self.lag if np.isfinite(self.lag) else 0.0)
        speed = closed + self.delay
        if not speed > 0.0:
            raise SpecificationError("settings: a response without lag and delay needs closed=, a positive time.")
        return {"gain": 1.0 / (self.slope * speed), "integral": min(self.lag, 4.0 * speed)}


def step_response(
    plant: Flowsheet, recipe: Recipe, measured: str, control: str, step: float, inputs: Mapping[str, Any]
) -> StepResponse:
    """Gain, lag and delay of a measurement after a `step` of a control at the start of the recipe.

    The plant is simulated with and without it, `inputs` holding a number for the control; what both have in common, a
    batch that runs its course, cancels. Lag and delay from the times at which 28.3 % and 63.2 % are reached.
    Raises SpecificationError where nothing responds, SolveError where the plant cannot be simulated.
    """
    base = simulate(plant, recipe, inputs, points=1000)
    other = simulate(plant, recipe, {**inputs, control: float(inputs[control]) + step}, points=1000)
    times = base[measured].index.to_numpy()
    change = (np.interp(times, other[measured].index, other[measured].to_numpy()) - base[measured].to_numpy()) / step
    return _read(times - times[0], change, f"{measured} after a step of {control}")


def tuned(loop: Loop, response: StepResponse, closed: float | None = None) -> Loop:
    """A loop with SIMC's settings."""
    settings = response.settings(closed)
    return replace(loop, gain=settings["gain"], integral=settings["integral"])


def _read(t: np.ndarray, change: np.ndarray, what: str) -> StepResponse:
    end = float(change[-1])
    if not np.isfinite(end) or not abs(end) > 1e-12 * max(1.0, float(np.abs(change).max())):
        raise SpecificationError(f"step_response: {what}: nothing is left of the step at the end of the recipe.")
    late = t >= 0.9 * t[-1]
    slope = float(np.polyfit(t[late], change[late], 1)[0])
    if slope / (end / t[-1]) > _RAMP:
        return StepResponse(np.inf, np.inf, max(0.0, float(t[-1] - end / slope)), slope)
    t_early, t_late = (float(t[np.argmax(change / end >= share)]) for share in (_EARLY, _LATE))
    lag = 1.5 * (t_late - t_early)
    return StepResponse(end, lag, max(0.0, t_late - lag), end / lag)
