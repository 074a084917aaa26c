"""Which loops does semibatch_safety_nmpc close? Plants that react slower or hotter, and four ways to feed them."""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.cases.semibatch_safety import FULL, PRODUCT, SAFE
from titer.control import (
    NMPC,
    Converged,
    Laboratory,
    Log,
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
from titer.flowsheets import AtEnd, Flowsheet, Free, Path, Phase, PiecewiseConstant, Recipe, magnitude, quantity
from titer.flowsheets.units import SemibatchReactor
from titer.numerics import Fatrop, Grid, Ipopt, Solution

EVERY = 1.5  # h between samples
LONGEST, GUESS = 33.0, 22.5  # h, of the batch
OFF = {"k0": 0.25, "dH": 0.10, "rhoCp": 0.03}  # relative: how far the plant may be off; nobody estimates rhoCp
LEFT, SPARE = 0.06, 0.07  # relative: what the robust controller leaves for the rate, and for dH / rhoCp
LEARNT, SPAN = 7.5, 1.5  # h: when, and in what time, the robust controller gives up what it stands back at first
PILED = 0.4  # K: what B piles up in one interval, if the rate is 25 % lower, counts after a failure
HEAT, ASSAY = 0.02, 0.01  # W and mol/L: deviations of the calorimeter, and of the laboratory
LABORATORY = Laboratory(every=1.5, delay=1.5)  # the first value that tells anything comes after 3 h
PRICE = {"safety": 10.0, "product": 1000.0}  # h per K h, and per mol: what misses cost in the controller's eyes

reactor = SemibatchReactor(
    "reactor", c={"start": (2.0, 0.5, 0.0)}
)  # less B than the published charge, which has no room
plant = Flowsheet(reactor, time="h")
A, B, C = (reactor.c[name] for name in "ABC")
rate, heat, capacity = reactor.k0["r_1"], reactor.dH["r_1"], reactor.rhoCp
recipe = Recipe(Phase("feed", duration=Free(GUESS, 10.0, LONGEST)))
hours = AtEnd(lambda v: v.time)
safe = Path(lambda v: v.reactor.T_ad, upper=SAFE, name="safety")
full = Path(lambda v: v.reactor.V, upper=FULL, name="volume")
product = AtEnd(lambda v: v["reactor.c[C]"] * v.reactor.V, lower=PRODUCT, name="product")
conditions: dict[str, Any] = {
    "noise": {reactor.Q_r: HEAT, B: ASSAY, C: ASSAY},
    "laboratory": {B: LABORATORY, C: LABORATORY},
}


def plan_of(truth: Flowsheet) -> Solution:
    """The fastest safe batch of a plant that is known perfectly."""
    return optimize(
        truth, recipe, free={reactor.u: PiecewiseConstant(15)}, minimize=hours, subject_to=[safe, full, product],
        starts=1,
    )  # fmt: skip


def changed(factors: dict[str, float]) -> dict[str, float]:
    """Values of a plant whose `k0`, `dH` and `rhoCp` are these times what is believed."""
    names = {"k0": rate, "dH": heat, "rhoCp": capacity}
    return {names[key]: plant.values[names[key]] * factor for key, factor in factors.items()}


def drawn(count: int, seed: int = 0) -> list[dict[str, float]]:
    """Plants that may be the real one."""
    factors = sample({"k0": Uniform(1.0 - OFF["k0"], 1.0 + OFF["k0"]), "dH": Uniform(1.0 - OFF["dH"], 1.0 + OFF["dH"]),
                      "rhoCp": Uniform(1.0 - OFF["rhoCp"], 1.0 + OFF["rhoCp"])}, count, seed)  # fmt: skip
    return [changed(each) for each in factors]


def worst() -> Flowsheet:
    """The slowest and hottest plant that is thought possible."""
    return plant.with_values(changed({"k0": 1.0 - OFF["k0"], "dH": 1.0 + OFF["dH"], "rhoCp": 1.0 - OFF["rhoCp"]}))


def cautious() -> Solution:
    """The fastest constant feed, and wait after it, that suit the worst plant, and so all others."""
    phases = Recipe(
        Phase("feed", duration=Free(15.0, 2.0, 40.0)),
        Phase("react", duration=Free(15.0, 0.5, 60.0), fixed={reactor.u: 0.0}),
    )
    return optimize(
        worst(), phases, free={reactor.u: {"feed": PiecewiseConstant(1)}}, minimize=hours,
        subject_to=[safe, full, product], starts=1,
    )  # fmt: skip


def nmpc(robust: bool = False) -> NMPC:
    """Feed and end, decided anew; how fast and how hot it reacts is estimated from calorimetry and a late laboratory.

    Robust: the plant may also be slower (an activation energy counts as R T ln f), and hotter by a smaller rhoCp; and
    until the laboratory's values have told something, the limit stands back by what dH and the rate may be off.
    """
    first = OFF["dH"] * (SAFE - plant.values[reactor.T]) + PILED

    def stood_back(v: Any) -> Any:
        return v.reactor.T_ad + quantity(first / (1.0 + np.exp((magnitude(v.time, "h") - LEARNT) / SPAN)), "K")

    kept = Path(stood_back, upper=SAFE, name="safety, stood back")
    slower = plant.values[reactor.R] * plant.values[reactor.T] * np.log(1.0 + LEFT)
    other = {reactor.E["r_1"]: slower, capacity: plant.values[capacity] * (1.0 - SPARE)}
    return NMPC(
        plant,
        recipe,
        every=EVERY,
        free={reactor.u: PiecewiseConstant(every=EVERY)},
        minimize=hours,
        subject_to=[
            Soft(kept if robust else safe, weight=PRICE["safety"]),
            full,
            Soft(product, weight=PRICE["product"]),
        ],
        grid=Grid(elements=15),
        scenarios=Scenarios([{}, other], weights=(0.5, 0.5)) if robust else None,
        robust_horizon=1 if robust else None,
        estimator=ExtendedKalman(
            noise=conditions["noise"],
            start={A: 0.02, B: 0.02},
            process={A: 1e-3, B: 1e-3, C: 1e-3},
            disturbances={
                rate: Drift(0.0, start=0.6 * OFF["k0"] * plant.values[rate]),
                heat: Drift(0.0, start=-0.6 * OFF["dH"] * plant.values[heat]),
            },
        ),
        method=Converged(ladder=(Ipopt(), Fatrop())),
        fallback={reactor.u: 0.0},
    )


def ways(plan: Solution) -> dict[str, Any]:
    """The ways to feed; programs are built."""
    return {
        "plan": OpenLoop(plan),
        "constant feed": OpenLoop(cautious(), every=EVERY),
        "NMPC": nmpc().build(),
        "robust NMPC": nmpc(robust=True).build(),
    }


def batch(truth: Flowsheet, controller: Any, seed: int = 0) -> Log:
    """One batch of a plant."""
    return close_loop(truth, controller, seed=seed, **conditions)


def many(controllers: dict[str, Any], cases: list[dict[str, float]], **how: Any) -> Study:
    """Every way on every plant, judged by the truth."""
    return monte_carlo(
        plant, controllers, cases, minimize=hours, subject_to=[safe, full, product], **how, **conditions
    )  # fmt: skip
