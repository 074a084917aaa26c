"""Which loops does cstr_nmpc close? A plant that is not the model, the NMPC, PI loops that are tuned, and measures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from titer.cases.van_de_vusse import VanDeVusse
from titer.control import NMPC, PID, Log, Loop, Soft, Track, close_loop, step_response, tuned
from titer.estimation import Drift, ExtendedKalman
from titer.flowsheets import Flowsheet, Path, Phase, PiecewiseConstant, Recipe, simulate
from titer.numerics import Grid

EVERY, HORIZON, HOLD = 0.005, 0.1, 0.5  # h: between samples, what is looked ahead, how long each set point holds
SETPOINTS = (0.6, 0.9, 0.75)  # mol/L of B
WARM, HOT = 405.0, 413.15  # K: wanted, and allowed
OPERATED = (14.19, 387.35)  # 1/h and K: feed and temperature of the operating point of Klatt and Engell
STEADY = {"F": 11.5, "Q": -3550.0}  # where the PI loops are tuned: near 0.75 mol/L and 405 K
CLOSED = ((0.02, 0.03, 0.04, 0.05, 0.07), (0.01, 0.02, 0.05))  # h: time constants tried for the loops of B and of T
reactor = VanDeVusse("reactor")
model = Flowsheet(reactor, time="h")
off = {reactor.beta: 0.9, reactor.alpha: 0.99, reactor.UA: 0.85 * model.values[reactor.UA]}
truth = model.with_values(off)  # 10 % less A -> B, 24 % more A -> D, 15 % less cooling
NOISE = {reactor.c_B: 0.005, reactor.T: 0.1, reactor.T_k: 0.1}


def setpoints(quick: bool) -> tuple[Recipe, Mapping[str, Any], float]:
    """The recipe, the set points of B over its time, and how long each holds."""
    hold = 0.8 * HOLD if quick else HOLD
    wanted = {reactor.c_B: lambda t: SETPOINTS[min(int(t / hold + 1e-9), len(SETPOINTS) - 1)]}
    return Recipe(Phase("run", duration=hold * len(SETPOINTS))), wanted, hold


def closed(controller: Any, wanted: Mapping[str, Any], **conditions: Any) -> Log:
    """A controller on the plant that is not its model."""
    return close_loop(truth, controller, previews=wanted, **conditions)


def predictive(recipe: Recipe, estimated: bool) -> NMPC:
    """The NMPC: B and temperature on their set points, the contents never hotter than allowed if it can be helped.

    What is wrong is estimated as a factor of the first rate and as heat into the contents and the coolant: as many as
    there are measurements, which is what takes the offset away (Pannocchia & Rawlings, AIChE J. 49 (2003) 426).
    """
    wrong = {reactor.beta: Drift(0.3), reactor.T: Drift(200.0), reactor.T_k: Drift(200.0)}
    filtering = ExtendedKalman(noise=NOISE, disturbances=wrong if estimated else {})
    pieces = PiecewiseConstant(every=EVERY)
    return NMPC(
        model, recipe, every=EVERY, free={reactor.F: pieces, reactor.Q: pieces}, horizon=HORIZON,
        minimize=Track({reactor.c_B: SETPOINTS[0], reactor.T: WARM}, scale={reactor.c_B: 0.1, reactor.T: 10.0}),
        subject_to=[Soft(Path(lambda v: v.reactor.T, upper=HOT, name="hot"), weight=100.0)],
        moves={reactor.F: 1e-5, reactor.Q: 1e-9}, grid=Grid(elements=20, degree=2), estimator=filtering,
    )  # fmt: skip


def best_pi(recipe: Recipe, wanted: Mapping[str, Any], quick: bool) -> tuple[Log, tuple[Loop, ...]]:
    """Two PI loops, feed for B and cooling for the temperature, by SIMC at a steady state; of several speeds, those
    that do best on the very plant and set points that they are judged on."""
    given = {getattr(reactor, name): value for name, value in STEADY.items()}
    rest = simulate(model, Recipe(Phase("rest", duration=6.0)), given)
    there = model.with_values({name: rest.at_end(name) for name in (reactor.c_A, reactor.c_B, reactor.T, reactor.T_k)})
    bump = Recipe(Phase("bump", duration=1.0))
    product = Loop(reactor.c_B, reactor.F, SETPOINTS[0], gain=1.0)
    heat = Loop(reactor.T, reactor.Q, WARM, gain=1.0)
    of_product = step_response(there, bump, product.measured, product.control, 1.0, given)
    of_heat = step_response(there, bump, heat.measured, heat.control, 100.0, given)
    found = []
    for slow in CLOSED[0][1:4:2] if quick else CLOSED[0]:
        for fast in CLOSED[1][1:2] if quick else CLOSED[1]:
            loops = (tuned(product, of_product, closed=slow), tuned(heat, of_heat, closed=fast))
            log = close_loop(truth, PID(model, recipe, loops, EVERY), previews=wanted)
            found.append((missed(log, wanted), log, loops))
    _, log, loops = min(found, key=lambda entry: entry[0])
    return log, loops


def missed(log: Log, wanted: Mapping[str, Any]) -> float:
    """The integral of how far B is from its set point."""
    series = log.run[reactor.c_B]
    times = series.index.to_numpy()
    apart = np.abs(series.to_numpy() - np.array([wanted[reactor.c_B](t) for t in times]))
    return float(np.trapezoid(apart, times))


def offset(log: Log, wanted: Mapping[str, Any], hold: float) -> float:
    """How far B is from its set point at most, as a set point ends; before anything looks ahead to the next."""
    series = log.truth[reactor.c_B]
    times = series.index.to_numpy()
    ends = [(k + 1) * hold - HORIZON - EVERY for k in range(len(SETPOINTS) - 1)] + [times[-1] - EVERY]
    return max(abs(float(np.interp(t, times, series)) - wanted[reactor.c_B](t)) for t in ends)


def told(log: Log, wanted: Mapping[str, Any], hold: float) -> str:
    median, _, longest = log.summary().seconds
    return (
        f"error integral {missed(log, wanted):.4f} mol h/L, offset {offset(log, wanted, hold):.1e} mol/L, "
        f"{1e3 * median:.2g} ms a step, longest {1e3 * longest:.2g}"
    )


def published() -> tuple[float, float]:
    """Balances of A and B solved at Klatt and Engell's feed and temperature."""
    feed, warm = OPERATED
    p = {name: model.values[getattr(reactor, name)] for name in ("k0_1", "E_1", "k0_3", "E_3", "c_in")}
    k_1, k_3 = (p[f"k0_{i}"] * np.exp(-p[f"E_{i}"] / warm) for i in (1, 3))
    c_A = (-(feed + k_1) + np.sqrt((feed + k_1) ** 2 + 4.0 * k_3 * feed * p["c_in"])) / (2.0 * k_3)
    return float(c_A), float(k_1 * c_A / (feed + k_1))
