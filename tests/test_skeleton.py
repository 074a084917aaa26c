"""The skeleton: one toy train through every joint of the contract.

A fed-batch (a DAE) that depletes its substrate, a bolus, an idle tank that is then filled through a route, free
durations, an `until` and a correction: simulated, optimized by IPOPT, by fatrop and with a phase shot, replayed, solved
through Pyomo, fitted.
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
        Phase(
            "batch",
            Free(6, 1, 20),
            until=Reaches(reactor.S, 0.1, "falling"),
            idle=[tank],
            fixed={reactor.F: 0.0, reactor.F_out: 0.0},
        ),
        Phase(
            "feed",
            Free(8, 2, 12),
            idle=[tank],
            start={reactor.S: lambda v: v.reactor.S + 5.0},
            fixed={reactor.F_out: 0.0},
            method=method,
        ),
        Phase("transfer", Free(1, 0.5, 4), routes=[(reactor.broth, tank.feed)], fixed={reactor.F: 0.0}),
    )


terms = {
    "maximize": AtEnd(lambda v: v.tank.n_P / (v.time + 4.0)) - 0.001 * Integral(lambda v: v.reactor.F),
    "subject_to": [
        Path(lambda v: v.reactor.V, upper=1.3, name="vessel"),
        AtEnd(lambda v: v.reactor.S, upper=0.5, name="residual substrate"),
        AtEnd(lambda v: v.reactor.V, lower=0.2, name="heel"),
    ],
}
free = {reactor.F: PiecewiseConstant(4), reactor.F_out: PiecewiseConstant(1)}


def solved(elements=20, method=None, solver=None, **more):
    """The train's optimum, from no guess."""
    return optimize(
        plant, recipe(method), free, **terms, grid=Grid(elements), solver=solver or Ipopt(tolerance=1e-9), **more
    )


@pytest.fixture(scope="module")
def plan():
    return solved(60, starts=1)


def test_it_simulates_resets_holds_and_routes():
    run = simulate(plant, recipe(), {reactor.F: 0.02, reactor.F_out: 0.8}, tolerance=1e-10)
    batch, feed, transfer = run.phases
    assert run.at_end(reactor.S, "batch") == pytest.approx(0.1, abs=1e-9)  # the until
    assert feed.value(reactor.S)[0] == pytest.approx(5.1, abs=1e-9)  # the bolus
    assert np.all(feed.value(tank.n_P) == 0.0)  # the idle tank
    left = (feed.value(reactor.V)[-1] - transfer.value(reactor.V)[-1]) * transfer.value(reactor.P).mean()
    assert run.at_end(tank.V) == pytest.approx(feed.value(reactor.V)[-1] - transfer.value(reactor.V)[-1], abs=1e-8)
    assert run.at_end(tank.n_P) == pytest.approx(left, rel=1e-2)  # the route
    assert batch.value(reactor.mu)[0] == pytest.approx(0.4 * 10.0 / 10.2)  # the algebraic variable


def test_biomass_and_substrate_close_whatever_the_correction_does():
    run = simulate(plant, recipe(), {reactor.F: 0.02, reactor.F_out: 0.0}, tolerance=1e-11)
    other = simulate(bare, recipe(), {reactor.F: 0.02, reactor.F_out: 0.0}, tolerance=1e-11)
    for solution in (run, other):  # X + Y S per volume, with what was fed: in the batch it stays
        batch = solution.phases[0]
        total = batch.value(reactor.X) + 0.5 * batch.value(reactor.S)
        assert np.ptp(total) < 1e-8
    assert run.at_end(reactor.P) > 1.03 * other.at_end(reactor.P)


@pytest.mark.parametrize("elements", [10, 20, 30, 40, 60])
def test_it_solves_from_no_guess(elements):
    plan = solved(elements)
    assert plan.status.ok
    assert plan.stats["starts_agree"] is not False
    if elements >= 20:  # ten elements are too few for the depletion, as their certificate says
        assert plan.objective == pytest.approx(0.274261, abs=5e-6)
    assert (plan.certificate.largest_deviation < 1e-4) == (elements >= 20)


def test_the_certificate_holds_and_the_replay_agrees(plan):
    assert plan.certificate.ok, str(plan.certificate)
    run = replay(plan)
    assert run.at_end(tank.n_P) == pytest.approx(plan.at_end(tank.n_P), rel=1e-5)
    assert run.at_end(reactor.S, "batch") == pytest.approx(0.1, abs=1e-4)


def test_fatrop_finds_the_same_optimum():
    ours, other = solved(20, starts=1), solved(20, solver=Fatrop(tolerance=1e-9), starts=1)
    assert other.objective == pytest.approx(ours.objective, abs=1e-6)


@pytest.mark.slow
def test_a_phase_may_be_shot(plan):
    other = solved(60, method=Shooting(), starts=1)
    assert other.objective == pytest.approx(plan.objective, abs=1e-6)
    assert other.duration["feed"] == pytest.approx(plan.duration["feed"], rel=1e-4)


def test_pyomo_finds_the_same_optimum():
    from titer.flowsheets.pyomo.solver.nl import solve_pyomo

    ours = solved(20, starts=1)
    model = plant.to_pyomo(recipe(), Grid(20), free=free, **terms)
    outcome = solve_pyomo(model)
    assert outcome.success
    assert outcome.objective == pytest.approx(ours.objective, abs=1e-6)


def test_a_parameter_is_fitted_to_data_of_two_runs():
    operated = Recipe(
        Phase("batch", 6.0, idle=[tank], fixed={reactor.F: 0.0}),
        Phase("feed", 4.0, idle=[tank], start={reactor.S: lambda v: v.reactor.S + 5.0}),
    )
    inputs = {reactor.F: 0.02, reactor.F_out: 0.0}
    frames = []
    for X in (0.5, 0.8):
        run = simulate(plant.with_values({reactor.X: X}), operated, inputs, tolerance=1e-11, points=120).frame()
        run = run[~run.index.duplicated(keep="first")]
        times = np.arange(0.0, 10.5, 1.0)
        values = {name: np.interp(times, run.index, run[name]) for name in (reactor.X, reactor.P)}
        frames.append(pd.DataFrame(values, index=times))
    frames[0].iloc[3, 1] = np.nan  # not measured
    noise = {reactor.X: 0.05, reactor.P: 0.01}
    experiments = [
        Experiment(frame, noise, operated, inputs, start={reactor.X: X})
        for frame, X in zip(frames, (0.5, 0.8), strict=True)
    ]
    fit = estimate(plant.with_values({reactor.mu_max: 0.3}), experiments, free=[reactor.mu_max], grid=Grid(20))
    assert fit.values[reactor.mu_max] == pytest.approx(0.4, rel=1e-4)
