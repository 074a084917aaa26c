"""What do tests of closed loops run? A first-order tank, a reactor, and a controller that follows a list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from titer.control import Action
from titer.flowsheets import Control, Equations, Expression, Flowsheet, Parameter, Phase, Recipe, State, Unit


class FirstOrder(Unit):
    """tau dy/dt = K (u + d) - y + w: a first-order lag with a disturbance d of its input and w of its output."""

    time = "s"
    y = State("1", start=0.0, nominal=1.0)
    u = Control("1", start=0.0, lower=-10.0, upper=10.0)
    d = Control("1", start=0.0)
    K = Parameter("1", 2.0)
    tau = Parameter("s", 50.0, lower=0.0)
    w = Parameter("1", 0.0)
    twice = Expression("1")

    def equations(self, v: Any) -> Equations:
        v.define("twice", 2.0 * v.y)
        return Equations(rate={"y": (v.K * (v.u + v.d) - v.y + v.w) / v.tau})


lag = FirstOrder("lag")
plant = Flowsheet(lag, time="s")


def lasting(duration: float) -> Recipe:
    return Recipe(Phase("run", duration=duration))


class Followed(NamedTuple):
    """When phases began, and the last action."""

    began: tuple[tuple[str, float], ...]
    action: Any


@dataclass(frozen=True, eq=False)
class Following:
    """A controller that sets what a function of the time says, every so often, and sees what it is shown."""

    recipe: Recipe
    value: Callable[[float], float] = lambda t: 0.0
    every: float = 10.0
    plant: Flowsheet = plant
    manipulated: tuple[str, ...] = (lag.u,)
    measured: tuple[str, ...] = (lag.y,)
    inputs: Mapping[str, Any] = field(default_factory=lambda: {lag.d: 0.0})
    lengths: Mapping[str, float] = field(default_factory=dict)  # of phases, by its own decision

    def start(self, sample, previews=None, *, applied=None):
        first = next(iter(self.recipe)).name
        return self.step(Followed((), None), sample, previews, phase=first, applied=applied)[1]

    def step(self, memory, sample, previews=None, *, phase=None, applied=None):
        began = next((t for name, t in memory.began if name == phase), sample.time)
        known = dict(memory.began) | {phase: began}
        ends = began + self.lengths.get(phase, float("inf"))
        over = ends <= sample.time + self.every * (1.0 + 1e-9)
        values = {name: self.value(sample.time) for name in self.manipulated}
        action = Action(sample.time, values, ends=ends if over else None)
        return action, Followed(tuple(known.items()), action)

    def resume(self, path):
        raise NotImplementedError
