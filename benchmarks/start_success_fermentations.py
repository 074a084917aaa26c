"""Which fermentations must start by themselves? A fed-batch with inhibition, and a train that uses up its substrate."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.start_success_sets import StartCase, Values, scaled
from titer.cases.fedbatch_multistart import BIOMASS, HOURS
from titer.flowsheets import (
    Algebraic,
    AtEnd,
    Control,
    Equations,
    Expression,
    Flowsheet,
    Free,
    Inlet,
    Integral,
    Outlet,
    Parameter,
    Path,
    Phase,
    PiecewiseConstant,
    Reaches,
    Recipe,
    State,
    Unit,
    simulate,
)
from titer.flowsheets.units import InhibitedFedBatch
from titer.numerics.errors import SolveError

LEFT, RESIDUE = 0.1, 0.5  # g/L of substrate at which the batch ends, and that may be left at the end
BATCH, FEED, TRANSFER = Free(6.0, 1.0, 20.0), Free(8.0, 2.0, 12.0), Free(1.0, 0.5, 4.0)  # h


class Growth(Unit):
    """Fermentation with Monod growth and growth-coupled product, fed and emptied.

    Equations
        0 = mu (K_S + S) - mu_max S,  q_P = q_max mu / mu_max (1 + 0.1 S / (S + 1 g/L))
        dX/dt = mu X - D X,  dS/dt = -mu X / Y + D (S_F - S),  dP/dt = q_P X - D P,  dV/dt = F - F_out,  D = F / V

    Symbols
        X, S, P    biomass, substrate and product [g/L];  V volume [L]
        F, F_out   feed and outflow [L/h], the controls;  S_F substrate in the feed [g/L]
        mu, q_P    specific rates of growth and of production [1/h]
        K_S, Y     saturation constant [g/L], biomass by substrate [g/g]

    Assumptions: perfect mixing. Source: a demonstration set of textbook size.
    """

    time = "h"
    X = State("g/L", start=0.5, lower=0.0)
    S = State("g/L", start=10.0, lower=0.0)
    P = State("g/L", start=0.0, lower=0.0)
    V = State("L", start=1.0, lower=0.0)
    mu = Algebraic("1/h", start=0.2)
    F = Control("L/h", start=0.02, lower=0.0, upper=0.08)
    F_out = Control("L/h", start=0.0, lower=0.0, upper=2.0)
    mu_max = Parameter("1/h", 0.4)
    K_S = Parameter("g/L", 0.2)
    Y = Parameter("1", 0.5)
    q_max = Parameter("1/h", 0.05)
    S_F = Parameter("g/L", 200.0)
    half = Parameter("g/L", 1.0)
    q_P = Expression("1/h")
    broth = Outlet(flow="L/h", P="g/L")

    def equations(self, v: Any) -> Equations:
        q_P = v.define("q_P", v.q_max * v.mu / v.mu_max * (1.0 + 0.1 * v.S / (v.S + v.half)))
        D = v.F / v.V
        return Equations(
            rate={
                "X": v.mu * v.X - D * v.X,
                "S": -v.mu * v.X / v.Y + D * (v.S_F - v.S),
                "P": q_P * v.X - D * v.P,
                "V": v.F - v.F_out,
            },
            zero={"growth": v.mu * (v.K_S + v.S) - v.mu_max * v.S},
            port={"broth": {"flow": v.F_out, "P": v.P}},
        )


class HoldTank(Unit):
    """A hold tank, in amounts: dn_P/dt = F P, dV/dt = F, with F [L/min] and P [g/L] of its feed."""

    time = "min"
    n_P = State("g", start=0.0, lower=0.0)
    V = State("L", start=0.0, lower=0.0)
    feed = Inlet(flow="L/min", P="g/L")

    def equations(self, v: Any) -> Equations:
        return Equations(rate={"n_P": v.feed.flow * v.feed.P, "V": v.feed.flow})


def _draw_fedbatch(rng: np.random.Generator) -> dict[str, float]:
    """Kinetics, yields, feed and inoculum; biomass and substrate of the charge stay below the limit of biomass."""
    nominal = Flowsheet(InhibitedFedBatch("tank"), time="h").values
    factors = {
        "mu_max": 1.5,
        "K_S": 2.0,
        "K_I": 2.0,
        "Y_X": 1.3,
        "Y_P": 1.3,
        "nu": 1.5,
        "S_in": 1.5,
        "X": 1.5,
        "S": 2.0,
    }
    return {f"tank.{name}": nominal[f"tank.{name}"] * scaled(rng, factor) for name, factor in factors.items()}


def _state_fedbatch(values: Values) -> dict[str, Any]:
    tank = InhibitedFedBatch("tank")
    return {
        "plant": Flowsheet(tank, time="h").with_values(values),
        "recipe": Recipe(Phase("feed", duration=HOURS)),
        "free": {tank.u: PiecewiseConstant(30)},
        "maximize": AtEnd(lambda v: v.tank.P),
        "subject_to": [
            Path(lambda v: v.tank.X, upper=BIOMASS, name="oxygen: biomass"),
            Path(lambda v: v.tank.S, lower=0.0, name="substrate left"),
        ],
    }


def _draw_train(rng: np.random.Generator) -> dict[str, float]:
    """Kinetics, yield, feed and charge."""
    names = {"mu_max": (0.25, 0.6), "K_S": (0.05, 0.5), "Y": (0.3, 0.6), "q_max": (0.02, 0.1), "S_F": (100.0, 300.0)}
    names |= {"X": (0.2, 1.0), "S": (5.0, 15.0)}
    return {
        f"reactor.{name}": float(np.exp(rng.uniform(np.log(lower), np.log(upper))))
        for name, (lower, upper) in names.items()
    }


def _train(values: Values) -> tuple[Flowsheet, Recipe, Growth]:
    """A batch until the substrate is used up, a feed after a bolus beside an idle tank, and the transfer into it."""
    reactor, tank = Growth("reactor"), HoldTank("tank")
    emptied = Reaches(reactor.S, LEFT, "falling")
    recipe = Recipe(
        Phase("batch", BATCH, until=emptied, idle=[tank], fixed={reactor.F: 0.0, reactor.F_out: 0.0}),
        Phase("feed", FEED, idle=[tank], start={reactor.S: lambda v: v.reactor.S + 5.0}, fixed={reactor.F_out: 0.0}),
        Phase("transfer", TRANSFER, routes=[(reactor.broth, tank.feed)], fixed={reactor.F: 0.0}),
    )
    return Flowsheet(reactor, tank, time="h").with_values(values), recipe, reactor


def _state_train(values: Values) -> dict[str, Any]:
    plant, recipe, reactor = _train(values)
    return {
        "plant": plant,
        "recipe": recipe,
        "free": {reactor.F: PiecewiseConstant(4), reactor.F_out: PiecewiseConstant(1)},
        "maximize": AtEnd(lambda v: v.tank.n_P / (v.time + 4.0)) - 0.001 * Integral(lambda v: v.reactor.F),
        "subject_to": [
            Path(lambda v: v.reactor.V, upper=1.3, name="vessel"),
            AtEnd(lambda v: v.reactor.S, upper=RESIDUE, name="residual substrate"),
            AtEnd(lambda v: v.reactor.V, lower=0.2, name="heel"),
        ],
    }


def _no_train(values: Values) -> str:
    """The batch has no decision, so that its end is known; then no feed and the longest time leave least substrate."""
    plant, recipe, reactor = _train(values)
    batch, feed, transfer = recipe
    longest = Recipe(
        batch,
        Phase("feed", float(FEED.upper), idle=feed.idle, start=feed.start),
        Phase("transfer", float(TRANSFER.upper), routes=transfer.routes),
    )
    try:
        run = simulate(plant, longest, inputs={reactor.F: 0.0, reactor.F_out: 0.0})
    except SolveError as error:
        return str(error).partition("\n")[0]
    if run.duration["batch"] < BATCH.lower:
        return f"the batch is over after {run.duration['batch']:.3g} h"
    left = run.at_end(reactor.S)
    return f"without feed and after the longest time {left:.3g} g/L of substrate are left" if left > RESIDUE else ""


FEDBATCH = StartCase("fedbatch", "fed-batch fermentation", _draw_fedbatch, _state_fedbatch, lambda values: "")
TRAIN = StartCase("train", "three-phase train, substrate used up", _draw_train, _state_train, _no_train)
