"""Plants whose batches tests vary: a fed-batch with a bolus between two phases, and a chain with a closed form."""

from __future__ import annotations

import numpy as np

from titer.flowsheets import (
    Control,
    Equations,
    Expression,
    Flowsheet,
    Parameter,
    Phase,
    Recipe,
    State,
    Unit,
)


class Culture(Unit):
    """Cells grow on a substrate and make a product; a feed brings substrate."""

    time = "h"
    X = State("g/L", start=1.0, lower=0.0)
    S = State("g/L", start=10.0, lower=0.0)
    P = State("g/L", start=0.0, lower=0.0, nominal=1.0)
    V = State("L", start=1.0, lower=0.01)
    F = Control("L/h", start=0.01, lower=0.0, upper=1.0)
    mu_max = Parameter("1/h", 0.25, lower=0.0)
    K = Parameter("g/L", 2.0, lower=0.0)
    Y = Parameter("g/g", 0.5, lower=0.0)
    q = Parameter("1/h", 0.05, lower=0.0)
    feed = Parameter("g/L", 100.0, lower=0.0)
    growth = Expression("g/L/h")

    def equations(self, v):
        growth = v.define("growth", v.mu_max * v.S / (v.K + v.S) * v.X)
        D = v.F / v.V
        return Equations(
            rate={
                "X": growth - D * v.X,
                "S": D * (v.feed - v.S) - growth / v.Y,
                "P": v.q * v.X - D * v.P,
                "V": v.F,
            }
        )


CULTURE = Culture("tank")
PLANT = Flowsheet(CULTURE, time="h")
RECIPE = Recipe(
    Phase("grow", 6.0, fixed={CULTURE.F: 0.0}),
    Phase("feed", 6.0, inputs={CULTURE.F: 0.02}, start={CULTURE.S: lambda v: v.tank.S + 4.0}),
)


class Decay(Unit):
    """x' = -k x + u: x(t) = (x_0 - u/k) exp(-k t) + u/k."""

    time = "h"
    x = State("g/L", start=2.0)
    u = Control("g/L/h", start=0.5)
    k = Parameter("1/h", 0.4)

    def equations(self, v):
        return Equations(rate={"x": -v.k * v.x + v.u})


DECAY = Decay("tank")
DECAYING = Flowsheet(DECAY, time="h")


def decayed(x, u, k, t):
    """x at t after x."""
    return (x - u / k) * np.exp(-k * t) + u / k
