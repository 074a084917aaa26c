"""Which loops does batch_nmpc close? The plan, a plant that is not the model, and four ways to carry the batch out."""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.cases.batch_reactor_economics import Economics
from titer.control import (
    NMPC,
    PID,
    Converged,
    Failing,
    Laboratory,
    Log,
    Loop,
    OpenLoop,
    Scenarios,
    Soft,
    Study,
    Uniform,
    close_loop,
    monte_carlo,
    optimize,
    sample,
)
from titer.estimation import Drift, ExtendedKalman
from titer.flowsheets import AtEnd, Flowsheet, Free, Path, Phase, PiecewiseConstant, Recipe
from titer.flowsheets.units import BatchReactor
from titer.numerics import Fatrop, Grid, Ipopt, Solution

EVERY, OFTEN = 150.0, 30.0  # s between samples of the NMPC, and of the PI controller
SHORTEST, LONGEST, GUESS = 1200.0, 3300.0, 2475.0  # s, of the batch
FASTEST = 0.12  # K/s: the jacket's rate
LIMITS = {"impurity": 0.12, "temperature": 345.0}  # mol/L at the end, K all along
REWORK = 300.0e3  # EUR per mol/L of C above its limit: 500 EUR for each kg to be removed from 2 m3
HOT = 100.0  # EUR per K and second above the temperature limit, in the controller's eyes
OFF = 0.3  # relative: how far the frequency factors may be off
FOULED = 0.1  # relative: how far heat transfer may be off, which no estimator is told of
LEFT = 0.08  # relative: how far the robust controller thinks that its estimates of both rates may be off
NOISE = {"T": 0.15, "c_B": 0.01, "c_C": 0.002}  # K and mol/L: deviations of the thermometer and of the laboratory
LABORATORY = Laboratory(every=450.0, delay=300.0)
FAILS = 0.05  # probability of a failed solve, and of a measurement that is not there

reactor = BatchReactor("reactor")
plant = Flowsheet(reactor, time="s")
economics = Economics(200.0, 100.0, 4000.0, LIMITS["impurity"], LIMITS["temperature"])
recipe = Recipe(Phase("react", duration=Free(GUESS, SHORTEST, LONGEST)))
margin = AtEnd(economics)
hottest = Path(lambda v: v.reactor.T, upper=LIMITS["temperature"], name="temperature")
impurity = AtEnd(lambda v: v.reactor.c_C, upper=LIMITS["impurity"], name="impurity")
conditions: dict[str, Any] = {
    "noise": {reactor.T: NOISE["T"], reactor.c_B: NOISE["c_B"], reactor.c_C: NOISE["c_C"]},
    "laboratory": {reactor.c_B: LABORATORY, reactor.c_C: LABORATORY},
}


def plan_of(truth: Flowsheet) -> Solution:
    """The best batch of a plant that is known perfectly: jacket temperatures and stop time."""
    return optimize(
        truth, recipe, free={reactor.T_j: PiecewiseConstant(17)}, maximize=margin, subject_to=[hottest, impurity],
        starts=1,
    )  # fmt: skip


def drawn(count: int, seed: int = 0) -> list[dict[str, float]]:
    """Plants that may be the real one: frequency factors, and a heat transfer that nobody estimates."""
    spread = {reactor.k0_1: OFF, reactor.k0_2: OFF, reactor.UA_V: FOULED}
    middle = {name: plant.values[name] for name in spread}
    return sample({n: Uniform(middle[n] * (1.0 - s), middle[n] * (1.0 + s)) for n, s in spread.items()}, count, seed)


def nmpc(scenarios: Any = None) -> NMPC:
    """The rest of the batch and its end, decided anew every few minutes, by a model whose rates are estimated."""
    return NMPC(
        plant,
        recipe,
        every=EVERY,
        free={reactor.T_j: PiecewiseConstant(every=EVERY)},
        maximize=margin,
        subject_to=[Soft(hottest, weight=HOT), Soft(impurity, weight=REWORK)],
        grid=Grid(elements=17),
        rates={reactor.T_j: FASTEST},
        scenarios=scenarios,
        robust_horizon=None if scenarios is None else 1,
        estimator=estimator(),
        method=Converged(ladder=(Ipopt(), Fatrop())),
    )


def estimator() -> ExtendedKalman:
    """States, and both frequency factors, from the temperature and a laboratory that is late."""
    return ExtendedKalman(
        noise=conditions["noise"],
        start={reactor.c_A: 0.02, reactor.c_B: 0.01, reactor.T: 0.5},
        process={reactor.c_A: 1e-4, reactor.c_B: 1e-4, reactor.T: 0.03},
        disturbances={n: Drift(0.0, start=0.6 * OFF * plant.values[n]) for n in (reactor.k0_1, reactor.k0_2)},
    )


def unknown() -> Scenarios:
    """What estimates leave open: both rates faster, by activation energies (R T ln f at 338 K), and heat transfer to
    both sides. A slower reaction misses no limit."""
    by = plant.values[reactor.R] * 338.0 * np.log(1.0 + LEFT)
    fast = {n: plant.values[n] - by for n in (reactor.E_1, reactor.E_2)}
    heat = plant.values[reactor.UA_V]
    return Scenarios(
        [{}, *(fast | {reactor.UA_V: heat * (1.0 + s * FOULED)} for s in (1.0, -1.0))], weights=(0.5, 0.25, 0.25)
    )


def pi(plan: Solution) -> PID:
    """The planned temperature, held by the jacket (SIMC: time constant rhoCp / UA_V, closed in 30 s + 15 s)."""
    wanted = plan[reactor.T]
    constant = plant.values[reactor.rhoCp] / plant.values[reactor.UA_V]
    loop = Loop(
        reactor.T, reactor.T_j, lambda t: float(np.interp(t, wanted.index, wanted.to_numpy())),
        gain=constant / 45.0, integral=constant, weight=0.3, rate=FASTEST, start=float(plan[reactor.T_j].iloc[0]),
    )  # fmt: skip
    return PID(plant, recipe, [loop], OFTEN, durations=dict(plan.duration))


def controllers(plan: Solution, robust: bool = True) -> dict[str, Any]:
    """The ways to carry the batch out, with what fails in them; their programs are built."""
    ways = {
        "open loop": OpenLoop(plan),
        "PI": Failing(pi(plan), nan=FAILS),
        "NMPC": failing(nmpc().build()),
    }
    return ways | ({"robust NMPC": failing(nmpc(unknown()).build())} if robust else {})


def failing(controller: NMPC) -> Failing:
    """A controller one in twenty of whose solves, and of whose measurements, fails."""
    return Failing(controller, solver=FAILS, nan=FAILS, unable=controller.disabled())


def batch(truth: Flowsheet, controller: Any, seed: int = 0) -> Log:
    """One batch of a plant."""
    return close_loop(truth, controller, seed=seed, **conditions)


def many(ways: dict[str, Any], cases: list[dict[str, float]], **how: Any) -> Study:
    """Every way on every plant, judged by the truth."""
    return monte_carlo(plant, ways, cases, maximize=margin, subject_to=[hottest, impurity], **how, **conditions)
