"""Which reactors must start by themselves? Batch, semibatch, a strong exotherm and a temperature profile.

The problems are those of the cases of the same names, with kinetics, heats, charges and feeds drawn at random.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.start_success_sets import StartCase, Values, near, of_unit, scaled
from titer.cases.batch_reactor import COLDEST, LONGEST, SHORTEST
from titer.cases.batch_reactor_economics import Economics
from titer.cases.exotherm import FULL as FULL_EXOTHERM
from titer.cases.exotherm import NORMAL, vessel
from titer.cases.semibatch_safety import FULL
from titer.cases.temperature_benchmark import Reactor
from titer.flowsheets import AtEnd, Flowsheet, Free, Path, Phase, PiecewiseConstant, Recipe, simulate
from titer.flowsheets.units import BatchReactor, SemibatchReactor
from titer.flowsheets.units.jackets import Thermostat

ECONOMICS = Economics(price=200.0, purification=100.0, occupancy=4000.0, impurity=0.12, temperature=345.0)
FEED = Free(25.0, 1.0, 300.0)  # h
FASTEST_FEED = 0.1  # L/h
FEED_EXOTHERM = Free(6.0, 1.0, 100.0)  # h
FASTEST_FEED_EXOTHERM = 600.0  # L/h


def batch(name: str, limits: tuple[float, float], about: str) -> StartCase:
    """The batch reactor with a range of stop times, s."""
    return StartCase(name, about, _draw_batch, lambda v: _state_batch(v, limits), lambda v: _no_batch(v, limits))


def _draw_batch(rng: np.random.Generator) -> dict[str, float]:
    """Frequency factors and activation energies: rate constants at 335 K span six orders of magnitude."""
    nominal = Flowsheet(BatchReactor("reactor"), time="s").values
    frequency = {name: nominal[name] * scaled(rng, 3.0) for name in ("reactor.k0_1", "reactor.k0_2")}
    return frequency | {name: nominal[name] * near(rng, 0.2) for name in ("reactor.E_1", "reactor.E_2")}


def _state_batch(values: Values, limits: tuple[float, float]) -> dict[str, Any]:
    reactor = BatchReactor("reactor")
    return {
        "plant": Flowsheet(reactor, time="s").with_values(values),
        "recipe": Recipe(Phase("react", duration=Free(3600.0, *limits))),
        "free": {reactor.T_j: PiecewiseConstant(12)},
        "maximize": AtEnd(ECONOMICS),
        "subject_to": [
            Path(lambda v: v.reactor.T, upper=ECONOMICS.temperature, name="reactor temperature"),
            AtEnd(lambda v: v.reactor.c_C, upper=ECONOMICS.impurity, name="impurity"),
        ],
    }


def _no_batch(values: Values, limits: tuple[float, float]) -> str:
    """Hotter and longer make more C: the shortest batch with the coldest jacket has least."""
    reactor = BatchReactor("reactor")
    plant = Flowsheet(reactor, time="s").with_values(values)
    run = simulate(plant, Recipe(Phase("react", duration=limits[0])), inputs={reactor.T_j: COLDEST})
    least, coolest = run.at_end(reactor.c_C), float(run[reactor.T].max())
    if least <= ECONOMICS.impurity and coolest <= ECONOMICS.temperature:
        return ""
    return f"after {limits[0]:g} s with a jacket at {COLDEST:g} K, C is {least:.3f} mol/L, and T was {coolest:.1f} K"


def _draw_semibatch(rng: np.random.Generator) -> dict[str, float]:
    """Rate constant, heat, charge and feed; B in the charge within the safety limit, a product that A and B can make.

    `safe` [K], the limit after a cooling failure, lies 6 to 20 K above the reactor; `product` [mol] is wanted.
    """
    heat, rhoCp, rise = 6.0e4 * near(rng, 0.2), 3780.0 * near(rng, 0.1), float(rng.uniform(6.0, 20.0))
    A, V, fed = float(rng.uniform(1.5, 2.5)), float(rng.uniform(0.5, 0.8)), float(rng.uniform(1.5, 4.0))
    B = float(rng.uniform(0.3, 1.0)) * min(rise * rhoCp / heat, 0.9 * A)
    most = min(A * V, B * V + fed * (FULL - V))
    return {
        "reactor.k0[r_1]": 0.0482 * scaled(rng, 3.0),
        "reactor.dH[r_1]": -heat,
        "reactor.rhoCp": rhoCp,
        "reactor.c[A]": A,
        "reactor.c[B]": B,
        "reactor.c_in[B]": fed,
        "reactor.V": V,
        "safe": 343.15 + rise,
        "product": most * float(rng.uniform(0.4, 0.8)),
    }


def _state_semibatch(values: Values) -> dict[str, Any]:
    reactor = SemibatchReactor("reactor")
    return {
        "plant": Flowsheet(reactor, time="h").with_values(of_unit(values, "reactor")),
        "recipe": Recipe(Phase("feed", duration=FEED)),
        "free": {reactor.u: PiecewiseConstant(20)},
        "minimize": AtEnd(lambda v: v.time),
        "subject_to": [
            Path(lambda v: v.reactor.T_ad, upper=values["safe"], name="cooling failure"),
            Path(lambda v: v.reactor.V, upper=FULL, name="volume"),
            AtEnd(lambda v: v["reactor.c[C]"] * v.reactor.V, lower=values["product"], name="product"),
        ],
    }


def _no_semibatch(values: Values) -> str:
    """All B as early as can be, then the longest wait: no safe feed makes more."""
    reactor = SemibatchReactor("reactor")
    plant = Flowsheet(reactor, time="h").with_values(of_unit(values, "reactor"))
    return _too_little(plant, reactor, values, (FULL, FASTEST_FEED, float(FEED.upper)))


def _too_little(plant: Flowsheet, reactor: SemibatchReactor, values: Values, feed: tuple[float, float, float]) -> str:
    """Whether a vessel filled at once and left alone makes too little C; `feed`: volume when full, rate, hours."""
    full, fastest, hours = feed
    filling = (full - plant.values["reactor.V"]) / fastest
    recipe = Recipe(
        Phase("fill", duration=filling, fixed={reactor.u: fastest}),
        Phase("wait", duration=hours - filling, fixed={reactor.u: 0.0}),
    )
    run = simulate(plant, recipe)
    made = run.at_end("reactor.c[C]") * run.at_end("reactor.V")
    wanted = values["product"]
    return f"fed at once and left to {hours:g} h, {made:.4g} of {wanted:.4g} mol are made" if made < wanted else ""


def _draw_exotherm(rng: np.random.Generator) -> dict[str, float]:
    """Both reactions, the wall, the charge and the feed; `safe` [K] and `product` [mol] are limits."""
    A, fed = float(rng.uniform(3.0, 4.0)), float(rng.uniform(4.0, 6.0))
    most = min(600.0 * A, (FULL_EXOTHERM - 600.0) * fed)
    return {
        "reactor.k0[synthesis]": scaled(rng, 3.0),
        "reactor.k0[decomposition]": 1.15e-3 * scaled(rng, 3.0),
        "reactor.E[synthesis]": 8.0e4 * near(rng, 0.15),
        "reactor.E[decomposition]": 1.4e5 * near(rng, 0.1),
        "reactor.dH[synthesis]": -1.5e5 * near(rng, 0.2),
        "reactor.dH[decomposition]": -3.0e5 * near(rng, 0.2),
        "reactor.jacket.wall.U": 120.0 * scaled(rng, 2.0),
        "reactor.c[A]": A,
        "reactor.c_in[B]": fed,
        "safe": float(rng.uniform(357.0, 373.0)),
        "product": most * float(rng.uniform(0.8, 0.95)),
    }


def _state_exotherm(values: Values) -> dict[str, Any]:
    reactor = vessel()
    return {
        "plant": Flowsheet(reactor, time="h").with_values(of_unit(values, "reactor")),
        "recipe": Recipe(Phase("feed", duration=FEED_EXOTHERM)),
        "free": {reactor.u: PiecewiseConstant(12), reactor.jacket.T_j: PiecewiseConstant(12)},
        "minimize": AtEnd(lambda v: v.time),
        "subject_to": [
            Path(lambda v: v.reactor.T, upper=NORMAL, name="reactor temperature"),
            Path(lambda v: v.reactor.V, upper=FULL_EXOTHERM, name="volume"),
            AtEnd(lambda v: v["reactor.c[C]"] * v.reactor.V, lower=values["product"], name="product"),
            Path(lambda v: v.reactor.T_ad, upper=values["safe"], name="cooling failure"),
        ],
    }


def _no_exotherm(values: Values) -> str:
    """At the highest temperature, without decomposition, with all B as early as can be: no batch makes more."""
    reactor = vessel(Thermostat(), T=NORMAL)
    known = Flowsheet(reactor, time="h").values
    own = {name: value for name, value in of_unit(values, "reactor").items() if name in known}
    plant = Flowsheet(reactor, time="h").with_values(own | {"reactor.k0[decomposition]": 0.0})
    feed = (FULL_EXOTHERM, FASTEST_FEED_EXOTHERM, float(FEED_EXOTHERM.upper))
    return _too_little(plant, reactor, values, feed)


def _draw_temperature(rng: np.random.Generator) -> dict[str, float]:
    """Frequency factors and activation temperatures."""
    nominal = Flowsheet(Reactor("reactor"), time="h").values
    frequency = {name: nominal[name] * scaled(rng, 3.0) for name in ("reactor.k0_1", "reactor.k0_2")}
    return frequency | {name: nominal[name] * near(rng, 0.2) for name in ("reactor.E_1", "reactor.E_2")}


def _state_temperature(values: Values) -> dict[str, Any]:
    reactor = Reactor("reactor")
    return {
        "plant": Flowsheet(reactor, time="h").with_values(values),
        "recipe": Recipe(Phase("react", duration=1.0)),
        "free": {reactor.T: PiecewiseConstant(20)},
        "maximize": AtEnd(lambda v: v.reactor.x_2),
    }


BATCH = batch("batch", (1.0, 3.6e5), "batch reactor, stopped within 1 s to 100 h")
BATCH_LIMITED = batch("batch_limited", (SHORTEST, LONGEST), "batch reactor, stopped within 10 min to 10 h")
SEMIBATCH = StartCase("semibatch", "semibatch, fastest safe feed", _draw_semibatch, _state_semibatch, _no_semibatch)
EXOTHERM = StartCase("exotherm", "exotherm, fastest safe feed", _draw_exotherm, _state_exotherm, _no_exotherm)
TEMPERATURE = StartCase("temperature", "temperature profile", _draw_temperature, _state_temperature, lambda values: "")
