"""A replay repeats a run or a plan by another integrator: from memory, from a file, on another plant."""

import math

import numpy as np
import pandas as pd
import pytest

from titer.control import optimize
from titer.flowsheets import (
    Algebraic,
    AtEnd,
    Control,
    Equations,
    Flowsheet,
    Free,
    Inlet,
    Outlet,
    Parameter,
    Phase,
    PiecewiseConstant,
    PiecewiseLinear,
    Reaches,
    Recipe,
    State,
    Unit,
    quantity,
    replay,
    simulate,
)
from titer.numerics import Grid, Solution
from titer.numerics.errors import SolveError, SpecificationError


class Fermenter(Unit):
    """Monod growth, the specific rate an algebraic variable."""

    time = "h"
    X = State("g/L", start=0.5, lower=0.0)
    S = State("g/L", start=10.0, lower=0.0)
    V = State("L", start=1.0)
    mu = Algebraic("1/h", start=0.2)
    F = Control("L/h", start=0.0, lower=0.0, upper=0.2)
    F_out = Control("L/h", start=0.0)
    mu_max = Parameter("1/h", 0.4)
    out = Outlet("L/h", X="g/L")

    def equations(self, v):
        D = v.F / v.V
        return Equations(
            rate={
                "X": v.mu * v.X - D * v.X,
                "S": -v.mu * v.X / 0.5 + D * (quantity(200.0, "g/L") - v.S),
                "V": v.F - v.F_out,
            },
            zero={"growth": v.mu * (quantity(0.2, "g/L") + v.S) - v.mu_max * v.S},
            port={"out": {"flow": v.F_out, "X": v.X}},
        )


class Tank(Unit):
    time = "min"
    m = State("g", start=0.0)
    feed = Inlet("L/min", X="g/L")

    def equations(self, v):
        return Equations(rate={"m": v.feed.flow * v.feed.X})


fermenter, tank = Fermenter("fermenter"), Tank("tank")
plant = Flowsheet(fermenter, tank, time="h")
recipe = Recipe(
    Phase("batch", Free(6, 1, 20), until=Reaches(fermenter.S, 0.5, "falling"), idle=[tank], fixed={fermenter.F: 0.0}),
    Phase("feed", Free(3, 1, 12), idle=[tank], start={fermenter.S: lambda v: v.fermenter.S + 2.0}),
    Phase("harvest", 1.0, routes=[(fermenter.out, tank.feed)], inputs={fermenter.F_out: 0.5}),
)
FEEDS = {
    "number": 0.02,
    "series": pd.Series([0.01, 0.05], index=[0.0, 8.0]),
    "steps": lambda t: 0.01 if t < 8.123 else 0.04,
    "ramp": lambda t: float(np.interp(t, [0.0, 7.5, 9.0], [0.0, 0.01, 0.06])),
    "smooth": lambda t: 0.01 * np.exp(0.1 * t),
    "pieces": PiecewiseConstant(values=[0.01, 0.05, 0.0]),
    "lines": PiecewiseLinear(values=[0.0, 0.05, 0.01]),
}


def gap(first: Solution, second: Solution) -> float:
    """Largest relative difference of the states at the ends of the phases."""
    states = [fermenter.X, fermenter.S, fermenter.V, tank.m]
    names = [phase.name for phase in first.phases]
    pairs = [(first.at_end(s, name), second.at_end(s, name), first[s].max()) for s in states for name in names]
    return max(abs(a - b) / max(size, 1e-9) for a, b, size in pairs)


@pytest.mark.parametrize("feed", FEEDS)
def test_a_replay_agrees_with_the_simulation(feed):
    run = simulate(plant, recipe, {fermenter.F: FEEDS[feed], fermenter.F_out: 0.0}, tolerance=1e-10)
    assert gap(run, replay(run)) < 1e-7


@pytest.mark.parametrize("feed", sorted(set(FEEDS) - {"smooth"}))
def test_a_loaded_run_is_replayed_from_its_own_inputs(feed, tmp_path):
    run = simulate(plant, recipe, {fermenter.F: FEEDS[feed], fermenter.F_out: 0.0}, tolerance=1e-10)
    loaded = Solution.load(run.save(tmp_path / "run"))
    again = replay(loaded, plant, recipe)
    assert gap(run, again) < 1e-7
    assert gap(run, replay(again)) < 1e-7


def test_a_function_of_time_is_given_to_the_replay_of_a_loaded_run(tmp_path):
    run = simulate(plant, recipe, {fermenter.F: FEEDS["smooth"], fermenter.F_out: 0.0}, tolerance=1e-10)
    loaded = Solution.load(run.save(tmp_path / "run"))
    assert gap(run, replay(loaded, plant, recipe, inputs={fermenter.F: FEEDS["smooth"]})) < 1e-7
    with pytest.raises(SpecificationError, match=r"control fermenter\.F has no trajectory"):
        replay(loaded, plant, recipe)


def test_a_loaded_run_needs_its_plant_and_a_recipe_of_the_same_phases(tmp_path):
    run = simulate(plant, recipe, {fermenter.F: 0.0, fermenter.F_out: 0.0})
    loaded = Solution.load(run.save(tmp_path / "run"))
    with pytest.raises(SpecificationError, match=r"needs replay\(plan, plant, recipe\)"):
        replay(loaded)
    with pytest.raises(SpecificationError, match=r"phases are batch, feed, harvest, the recipe's batch"):
        replay(loaded, plant, Recipe(recipe.phases[0]))


class Heater(Unit):
    """T' = a (u - T): a quadratic cost has a known optimum."""

    time = "h"
    T = State("K", start=300.0)
    u = Control("K", start=310.0, lower=300.0, upper=340.0)
    a = Parameter("1/h", 1.0, lower=0.1, upper=5.0)

    def equations(self, v):
        return Equations(rate={"T": v.a * (v.u - v.T)})


heater = Heater("heater")
small = Flowsheet(heater)
decided = {heater.u: PiecewiseConstant(3), heater.a: Free(1.0, 0.5, 2.0), heater.T: Free(300.0, 295.0, 305.0)}


def planned():
    wanted = AtEnd(lambda v: (v.heater.T - quantity(320.0, "K")) ** 2)
    recipe = Recipe(Phase("warm", Free(1.0, 0.5, 2.0)))
    return optimize(small, recipe, decided, minimize=wanted, grid=Grid(6), starts=1)


def exact(plan: Solution, start: float, a: float) -> float:
    (phase,) = plan.phases
    T, step = start, phase.trajectory.duration / 3.0
    for u in phase.shapes[heater.u][1]:
        T = u + (T - u) * math.exp(-a * step)
    return T


def test_a_plan_is_replayed_with_what_it_decided():
    plan = planned()
    T = exact(plan, plan.decided[heater.T], plan.decided[heater.a])
    assert replay(plan).at_end(heater.T) == pytest.approx(T, rel=1e-9)
    assert plan.at_end(heater.T) == pytest.approx(T, rel=1e-7)


def test_a_plan_is_replayed_on_another_plant_with_what_it_decided(tmp_path):
    class Leaky(Heater):
        def equations(self, v):
            return Equations(rate={"T": v.a * (v.u - v.T) - quantity(2.0, "K/h")})

    plan, other = planned(), Flowsheet(Leaky("heater"))
    T = exact(plan, plan.decided[heater.T], plan.decided[heater.a])
    a, t = plan.decided[heater.a], plan.duration["warm"]
    lost = 2.0 / a * (1.0 - math.exp(-a * t))
    assert replay(plan, other).at_end(heater.T) == pytest.approx(T - lost, rel=1e-9)
    loaded = Solution.load(plan.save(tmp_path / "plan"))
    again = replay(loaded, other, Recipe(Phase("warm", 1.0)))
    assert again.at_end(heater.T) == pytest.approx(T - lost, rel=1e-9)
    assert again.duration == pytest.approx(plan.duration)


def test_a_replay_that_fails_says_so():
    class Burst(Heater):
        def equations(self, v):
            return Equations(rate={"T": v.a * (v.T - quantity(299.0, "K")) ** 2 / quantity(0.1, "K")})

    run = simulate(small, Recipe(Phase("warm", 1.0)), {heater.u: 310.0})
    with pytest.raises(SolveError, match="replay: warm: the integration failed") as raised:
        replay(run, Flowsheet(Burst("heater")))
    assert raised.value.solution[heater.T].iloc[-1] > 300.0
