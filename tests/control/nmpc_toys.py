"""What do tests of the controller run? A first-order tank, the CSTR of van de Vusse, and loops without a close_loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from titer.control import NMPC, Action
from titer.estimation import ExtendedKalman, Sample
from titer.flowsheets import Control, Equations, Flowsheet, Parameter, Phase, Recipe, State, Unit, magnitude, quantity


class Tank(Unit):
    """tau dy/dt = K u - y + w: a first-order lag with a disturbance w."""

    time = "s"
    y = State("1", start=0.0, nominal=1.0)
    u = Control("1", start=0.0, lower=-1.0, upper=1.0)
    K = Parameter("1", 2.0)
    tau = Parameter("s", 50.0, lower=0.0)
    w = Parameter("1", 0.0)

    def equations(self, v: Any) -> Equations:
        return Equations(rate={"y": (v.K * v.u - v.y + v.w) / v.tau})


class Disturbed(Unit):
    """tau dy/dt = K (u + d) - y: the same with a measured disturbance d of its input."""

    time = "s"
    y = State("1", start=0.0, nominal=1.0)
    u = Control("1", start=0.0, lower=-1.0, upper=1.0)
    d = Control("1", start=0.0)
    K = Parameter("1", 2.0)
    tau = Parameter("s", 50.0, lower=0.0)

    def equations(self, v: Any) -> Equations:
        return Equations(rate={"y": (v.K * (v.u + v.d) - v.y) / v.tau})


class VanDeVusse(Unit):
    """The CSTR of van de Vusse as Klatt and Engell, and do-mpc's example, have it: A -> B -> C, 2 A -> D."""

    time = "h"
    c_A = State("mol/L", start=0.8, lower=0.1, upper=2.0)
    c_B = State("mol/L", start=0.5, lower=0.1, upper=2.0)
    T = State("1", start=134.14, lower=50.0, upper=140.0, nominal=100.0)
    T_K = State("1", start=130.0, lower=50.0, upper=140.0, nominal=100.0)
    F = Control("1/h", start=5.0, lower=5.0, upper=100.0)
    Q = Control("1", start=0.0, lower=-8500.0, upper=0.0)
    alpha = Parameter("1", 1.0)
    beta = Parameter("1", 1.0)

    def equations(self, v: Any) -> Equations:
        c_A, c_B = magnitude(v.c_A, "mol/L"), magnitude(v.c_B, "mol/L")
        T, T_K, Q, beta = (magnitude(x, "1") for x in (v.T, v.T_K, v.Q, v.beta))
        F = magnitude(v.F, "1/h")
        arrhenius = np.exp(-9758.3 / (T + 273.15))
        k_1, k_2 = beta * 1.287e12 * arrhenius, 1.287e12 * arrhenius
        k_3 = 9.043e9 * np.exp(-magnitude(v.alpha, "1") * 8560.0 / (T + 273.15))
        heat = k_1 * c_A * 4.2 - k_2 * c_B * 11.0 - k_3 * c_A**2 * 41.85
        rates = {
            "c_A": F * (5.1 - c_A) - k_1 * c_A - k_3 * c_A**2,
            "c_B": -F * c_B + k_1 * c_A - k_2 * c_B,
            "T": -heat / (0.9342 * 3.01) + F * (130.0 - T) - 4032.0 * 0.215 * (T - T_K) / (0.9342 * 3.01 * 10.01),
            "T_K": (Q + 4032.0 * 0.215 * (T - T_K)) / (5.0 * 2.0),
        }
        units = {"c_A": "mol/L/h", "c_B": "mol/L/h", "T": "1/h", "T_K": "1/h"}
        return Equations(rate={name: rate * quantity(1.0, units[name]) for name, rate in rates.items()})


tank = Tank("tank")
tanks = Flowsheet(tank, time="s")
cstr = VanDeVusse("cstr")
cstrs = Flowsheet(cstr, time="h")


def lasting(duration: Any, name: str = "run") -> Recipe:
    return Recipe(Phase(name, duration=duration))


class Plant:
    """A plant that is really there: states after an interval under held inputs, by a step of its own accuracy."""

    def __init__(self, plant: Flowsheet, recipe: Recipe, every: float, manipulated: tuple[str, ...], **inputs: Any):
        names = [name for name, scalar in plant.scalars.items() if scalar.kind == State.kind]
        sensors = ExtendedKalman(noise=dict.fromkeys(names, 1.0), robust=None)
        self.model = sensors.model(plant, recipe, every, manipulated, inputs, accuracy=1e-8)
        self.names = self.model.entries.states

    def start(self) -> dict[str, float]:
        return dict(zip(self.names, self.model.start.tolist(), strict=False))

    def after(self, states: Mapping[str, float], values: Mapping[str, float], t0: float, t1: float) -> dict[str, float]:
        s = np.array([states[name] for name in self.names])
        return dict(zip(self.names, self.model.predict(s, self.model.applied(values), t0, t1).tolist(), strict=True))


def looped(
    controller: NMPC,
    plant: Plant,
    steps: int,
    states: Mapping[str, float] | None = None,
    memory: Any = None,
    measured: Callable[[int, dict[str, float]], dict[str, float]] = lambda k, x: x,
    previews: Callable[[int], Mapping[str, Any] | None] = lambda k: None,
    handled: Callable[[int, Any], Any] = lambda k, memory: memory,
) -> tuple[list[Action], list[dict[str, float]], Any]:
    """Actions, states at their times, and the memory after so many steps, or at the end of the recipe."""
    x = dict(states or plant.start())
    if memory is None:
        memory = controller.start(Sample(0.0, measured(0, x)))
    actions, seen = [memory.action], [x]
    for k in range(1, steps):
        action = memory.action
        if action.stop and action.ends is None:
            break
        until = action.ends if action.ends is not None else action.time + controller.every
        x = plant.after(x, action.values, action.time, until)
        memory = handled(k, memory)
        action, memory = controller.step(memory, Sample(until, measured(k, x)), previews(k))
        actions.append(action)
        seen.append(x)
    return actions, seen, memory
