"""The skeleton: one toy train through every joint of the contract.

A fed-batch (a DAE) that depletes its substrate, a bolus, an idle tank that is then filled through a route, free durations, an
`until` and a correction: simulated, optimized by IPOPT, by fatrop and with a phase shot, replayed, solved through Pyomo, fitted.
"""

import numpy as np
import pandas as pd
import pytest

from titer.control import optimize
from titer.estimation import Experiment, estimate
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
    replay,
    simulate,
)
from titer.numerics import Fatrop, Grid, Ipopt, Shooting


class FedBatch(Unit):
    """Monod growth with product formation; the specific growth rate is an algebraic variable."""

    time = "h"
    X = State("g/L", start=0.5, lower=0.0)
    S = State("g/L", start=10.0, lower=0.0)
    P = State("g/L", start=0.0, lower=0.0)
    V = State("L", start=1.0, lower=0.0)
    mu = Algebraic("1/h", start=0.2)
    F = Control("L/h", start=0.02, lower=0.0, upper=0.08)
    F_out = Control("L/h", start=0.0, lower=0.0, upper=2.0)
    mu_max = Parameter("1/h", 0.4, lower=0.1, upper=1.0)
    K_S = Parameter("g/L", 0.2)
    Y = Parameter("1", 0.5)
    q_max = Parameter("1/h", 0.05)
    S_F = Parameter("g/L", 200.0)
    q_P = Expression("1/h")
    broth = Outlet(flow="L/h", P="g/L")

    def equations(self, v):
        q_P = v.define("q_P", v.q_max * v.mu / v.mu_max)
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


class Tank(Unit):
    """A hold tank, in amounts."""

    time = "min"
    n_P = State("g", start=0.0, lower=0.0)
    V = State("L", start=0.0, lower=0.0)
    feed = Inlet(flow="L/min", P="g/L")

    def equations(self, v):
        return Equations(rate={"n_P": v.feed.flow * v.feed.P, "V": v.feed.flow})


reactor, tank = FedBatch("reactor"), Tank("tank")
bare = Flowsheet(reactor, tank, time="h")
plant = bare.corrected({reactor.q_P: lambda v, q: q * (1.0 + 0.1 * v.reactor.S / (v.reactor.S + 1.0))})


def recipe(method=None):
    return Recipe(
        Phase("batch", Free(6, 1, 20), until=Reaches(reactor.S, 0.1, "falling"), idle=[tank], fixed={reactor.F: 0.0}),
        Phase(
            "feed",
            Free(8, 2, 12),
            idle=[tank],
            start={reactor.S: lambda v: v.reactor.S + 5.0},
            method=method,
        ),
        Phase("transfer", Free(1, 0.5, 4), routes=[(reactor.broth, tank.feed)], fixed={reactor.F: 0.0}),
    )


inputs = {reactor.F_out: 0.0}
terms = {
    "maximize": AtEnd(lambda v: v.tank.n_P / (v.time + 4.0)) - 0.001 * Integral(lambda v: v.reactor.F),
    "subject_to": [
        Path(lambda v: v.reactor.V, upper=1.3, name="vessel"),
        AtEnd(lambda v: v.reactor.S, upper=0.5, name="residual substrate"),
        AtEnd(lambda v: v.reactor.V, lower=0.2, name="heel"),
    ],
}
free = {reactor.F: PiecewiseConstant(4), reactor.F_out: PiecewiseConstant(1, lower=0.0, upper=2.0)}


def solved(elements=20, method=None, solver=None, **more):
    """The train's optimum. F_out is decided in the transfer only."""
    phases = list(recipe(method))
    phases[0] = Phase("batch", phases[0].duration, phases[0].until, idle=[tank], fixed={reactor.F: 0.0, reactor.F_out: 0.0})
    phases[1] = Phase(
        "feed", phases[1].duration, idle=[tank], start=phases[1].start, method=method, fixed={reactor.F_out: 0.0}
    )
    return optimize(
        plant, Recipe(*phases), free, **terms, grid=Grid(elements), solver=solver or Ipopt(tolerance=1e-9), **more
    )


if __name__ == "__main__":
    import time
    run = simulate(plant, recipe(), {reactor.F: 0.02, reactor.F_out: 0.8})
    print(run, run.at_end(tank.n_P)); print(run.frame().iloc[[0,200,201,-1]].T)
    for n in (10, 20, 30, 40, 60):
        t=time.time(); plan = solved(n); print(n, plan, plan.stats["iterations"], plan.certificate.largest_deviation, round(time.time()-t,3), plan.start_report[-1].result)
    print(plan.certificate)
    plan.plot().savefig('/tmp/x.png')
