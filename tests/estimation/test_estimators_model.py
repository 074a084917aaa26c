"""The sampled model against simulation: phases, resets, rest, algebraic variables; derivatives by differences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from titer.estimation import Drift, Estimation, ExtendedKalman, MovingHorizon, Sample
from titer.flowsheets import (
    Algebraic,
    Control,
    Equations,
    Expression,
    Flowsheet,
    Free,
    Inlet,
    Outlet,
    Parameter,
    Phase,
    PiecewiseLinear,
    Reaches,
    Recipe,
    State,
    Unit,
    simulate,
)
from titer.numerics import SpecificationError


class Culture(Unit):
    """Biomass X grows on S with a rate that an algebraic equation holds; it is emptied at the rate Q."""

    time = "h"
    X = State("g/L", start=1.0, lower=0.0)
    S = State("g/L", start=10.0, lower=0.0)
    V = State("L", start=1.0, lower=0.0)
    mu = Algebraic("1/h", start=0.3, nominal=0.3)
    F = Control("L/h", start=0.02, lower=0.0, upper=1.0)
    Q = Control("L/h", start=0.0, lower=0.0, upper=10.0)
    mu_max = Parameter("1/h", 0.4, lower=0.0)
    K = Parameter("g/L", 0.5)
    Y = Parameter("g/g", 0.5)
    feed = Parameter("g/L", 100.0)
    growth = Expression("g/L/h")
    broth = Outlet(flow="L/h", X="g/L")

    def equations(self, v):
        growth = v.define("growth", v.mu * v.X)
        D = v.F / v.V
        return Equations(
            rate={"X": growth - D * v.X, "S": D * (v.feed - v.S) - growth / v.Y, "V": v.F - v.Q},
            zero={"mu": v.mu * (v.K + v.S) - v.mu_max * v.S},
            port={"broth": {"flow": v.Q, "X": v.X}},
        )


class Tank(Unit):
    """What comes in is kept."""

    time = "min"
    n = State("g", start=0.0, lower=0.0)
    inlet = Inlet(flow="L/min", X="g/L")

    def equations(self, v):
        return Equations(rate={"n": v.inlet.flow * v.inlet.X})


culture, tank = Culture("culture"), Tank("tank")
train = Flowsheet(culture, tank, time="h")
recipe = Recipe(
    Phase("batch", 6.0, idle=[tank], fixed={culture.F: 0.0, culture.Q: 0.0}),
    Phase(
        "fed", Free(5.3, 2.0, 9.0), idle=[tank], fixed={culture.Q: 0.0}, start={culture.S: lambda v: v.culture.S + 3.0}
    ),
    Phase(
        "transfer", 0.7, routes=[(culture.broth, tank.inlet)], fixed={culture.F: 0.0, culture.mu_max: 0.1},
        inputs={culture.Q: PiecewiseLinear(values=[0.5, 1.0, 0.2])},
    ),
)  # fmt: skip
SETTINGS = {
    "noise": {culture.X: 0.1, culture.growth: 0.05, tank.n: 0.05},
    "start": {culture.X: 0.1, culture.S: 0.5},
    "process": {culture.X: 0.05, culture.S: 0.1, tank.n: 0.01},
    "disturbances": {culture.mu_max: Drift(0.01, start=0.05)},
}


@pytest.fixture(scope="module")
def model():
    return ExtendedKalman(**SETTINGS).model(train, recipe, 1.0, manipulated=[culture.F], accuracy=1e-8)


def test_samples_follow_the_simulation_through_every_phase(model):
    """Steps of F at every hour, resets, a unit at rest, a route, another value of a parameter, a broken line of Q."""
    times = np.append(np.arange(0.0, 12.0, 1.0), 12.0)
    feed = 0.01 + 0.01 * np.sin(times)
    run = simulate(train, recipe, {culture.F: pd.Series(feed, index=times)}, points=600, tolerance=1e-11).frame()
    s = model.start
    for k in range(len(times) - 1):
        s = model.predict(s, {culture.F: (feed[k], feed[k])}, times[k], times[k + 1])
        there = run[np.abs(run.index - times[k + 1]) < 1e-9]  # of two the one before the reset
        states = list(model.names[:4])
        assert s[:4] == pytest.approx(there[states].iloc[0].to_numpy(), rel=1e-7, abs=1e-6)


def test_a_ramp_is_applied_as_a_line(model):
    recipe_of_line = Recipe(Phase("fed", 2.0, idle=[tank], fixed={culture.Q: 0.0}))
    run = simulate(train, recipe_of_line, {culture.F: PiecewiseLinear(values=[0.01, 0.05])}, tolerance=1e-11)
    other = ExtendedKalman(**SETTINGS).model(train, recipe_of_line, 2.0, manipulated=[culture.F], accuracy=1e-9)
    s = other.predict(other.start, {culture.F: (0.01, 0.05)}, 0.0, 2.0)
    assert s[:3] == pytest.approx([run.at_end(n) for n in (culture.X, culture.S, culture.V)], rel=1e-8)


@pytest.mark.parametrize("interval", [(0.0, 1.0), (5.2, 6.9), (10.8, 12.0)], ids=["inside", "reset", "transfer"])
def test_derivatives_are_those_of_the_map(model, interval):
    applied = {culture.F: (0.01, 0.02)}
    s = model.predict(model.start, applied, 0.0, interval[0]) if interval[0] else model.start
    step = model.linearized(s, applied, *interval)
    assert step.mean == pytest.approx(model.predict(s, applied, *interval), rel=1e-13)
    for j, size in enumerate(np.maximum(np.abs(s), 0.1) * 1e-5):
        ahead, behind = (model.predict(s + way * size * np.eye(len(s))[j], applied, *interval) for way in (1.0, -1.0))
        assert step.transition[:, j] == pytest.approx((ahead - behind) / (2.0 * size), rel=1e-6, abs=1e-7)
    values, slope = model.outputs(step.mean, applied, interval[1])
    for j, size in enumerate(np.maximum(np.abs(s), 0.1) * 1e-5):
        both = [model.outputs(step.mean + w * size * np.eye(len(s))[j], applied, interval[1])[0] for w in (1.0, -1.0)]
        assert slope[:, j] == pytest.approx((both[0] - both[1]) / (2.0 * size), rel=1e-6, abs=1e-8)
    assert values[0] == pytest.approx(step.mean[0])


def test_a_reset_takes_the_uncertainty_of_what_it_sets():
    """S is set to 5 g/L as the phase begins: what was not known of it before does not matter any more."""
    known = Recipe(
        Phase("batch", 2.0, idle=[tank], fixed={culture.F: 0.0, culture.Q: 0.0}),
        Phase("again", 2.0, idle=[tank], fixed={culture.F: 0.0, culture.Q: 0.0}, start={culture.S: 5.0}),
    )
    settings = {"noise": {culture.X: 0.1}, "start": {culture.X: 0.1, culture.S: 0.5}, "process": {}}
    fresh = ExtendedKalman(**settings).model(train, known, 1.0)
    step = fresh.linearized(fresh.start, {}, 1.9, 2.0 + 1e-6)
    at = fresh.names.index(culture.S)
    assert step.mean[at] == pytest.approx(5.0, abs=1e-4)
    assert step.transition[at] == pytest.approx(np.zeros(len(fresh.names)), abs=1e-5)


def test_a_unit_at_rest_does_not_wander_and_is_not_measured(model):
    step = model.linearized(model.start, model.tried, 0.0, 1.0)
    at = model.names.index(tank.n)
    assert np.all(step.noise[at] == 0.0)
    assert step.transition[at] == pytest.approx(np.eye(len(model.names))[at])


def test_durations_are_changed_without_building_again(model):
    later = model.with_durations({"fed": 8.0})
    assert later.phases is model.phases
    assert later.timeline.ends == pytest.approx([0.0, 6.0, 14.0, 14.7])
    s = model.predict(model.start, {culture.F: (0.01, 0.01)}, 0.0, 11.0)
    assert later.predict(model.start, {culture.F: (0.01, 0.01)}, 0.0, 11.0) == pytest.approx(s, rel=1e-12)
    assert later.predict(s, {culture.F: (0.01, 0.01)}, 11.0, 12.0)[-2] == 0.0  # the transfer has not begun
    with pytest.raises(SpecificationError, match=r"phase 'fet' is unknown. Did you mean 'fed'"):
        model.with_durations({"fet": 8.0})


def test_the_last_phase_goes_on_beyond_its_plan(model):
    s = model.predict(model.start, model.tried, 0.0, 12.0)
    on = model.predict(s, model.tried, 12.0, 12.1)
    gained = on[model.names.index(tank.n)] - s[model.names.index(tank.n)]
    assert gained == pytest.approx(0.2 * 0.1 * s[0], rel=2e-2)


def test_a_phase_that_is_switched_off_still_sets_what_it_sets():
    off = Recipe(
        Phase("batch", 1.0, idle=[tank], fixed={culture.F: 0.0, culture.Q: 0.0}),
        Phase("shot", Free(1.0, 0.0, 2.0), idle=[tank], fixed={culture.F: 0.0, culture.Q: 0.0}, start={culture.S: 7.0}),
        Phase("rest", 1.0, idle=[tank], fixed={culture.F: 0.0, culture.Q: 0.0}),
    )
    estimator = ExtendedKalman(noise={culture.X: 0.1}, start={culture.X: 0.1}, process={})
    short = estimator.model(train, off, 0.5, durations={"shot": 0.0})
    assert short.predict(short.start, {}, 0.0, 1.0)[1] < 10.0
    assert short.predict(short.start, {}, 0.0, 1.0 + 1e-5)[1] == pytest.approx(7.0, abs=1e-3)


def test_a_phase_that_ends_by_a_condition_needs_its_planned_time():
    until = Recipe(
        Phase(
            "batch", Free(6.0, 1.0, 20.0), until=Reaches(culture.S, 1.0, "falling"), idle=[tank],
            fixed={culture.F: 0.0, culture.Q: 0.0},
        )
    )  # fmt: skip
    estimator = ExtendedKalman(noise={culture.X: 0.1}, start={culture.X: 0.1}, process={})
    with pytest.raises(SpecificationError, match=r"durations: phase 'batch' ends by a condition"):
        estimator.model(train, until, 0.5)
    planned = simulate(train, until).duration
    assert estimator.model(train, until, 0.5, durations=planned).timeline.ends[-1] == pytest.approx(planned["batch"])


def test_beliefs_know_their_algebraic_variables_and_estimate_through_all_phases(model):
    """A truth with another growth rate: the horizon finds it, and follows the culture into the tank."""
    truth = simulate(train.with_values({culture.mu_max: 0.33}), recipe, {culture.F: 0.02}, points=600).frame()
    truth = truth[~truth.index.duplicated(keep="first")]
    estimator = MovingHorizon(**SETTINGS, window=6)
    memory = estimator.begin(model, Sample(0.0, {culture.X: 1.0}))
    for time in np.append(np.arange(1.0, 12.0), 12.0):
        values = {name: float(np.interp(time, truth.index, truth[name])) for name in (culture.X, culture.growth)}
        memory = estimator.update(model, memory, {culture.F: 0.02}, Sample(time, values))
        assert memory.status is Estimation.UPDATED
    belief = memory.belief
    assert belief.parameters == {culture.mu_max: pytest.approx(0.33, abs=0.02)}
    assert belief[tank.n] == pytest.approx(truth[tank.n].iloc[-1], rel=0.03)
    S = belief[culture.S]
    assert belief[culture.mu] == pytest.approx(0.1 * S / (0.5 + S), rel=1e-9)  # the last phase fixes mu_max


class Starved(Unit):
    """Cells that grow on a substrate to which they hold fast, until it is gone."""

    time = "h"
    X = State("g/L", start=0.05, lower=0.0)
    S = State("g/L", start=30.0, lower=0.0)
    mu_max = Parameter("1/h", 0.4, lower=0.0)
    K = Parameter("g/L", 0.005, lower=0.0)
    Y = Parameter("g/g", 0.5, lower=0.0)
    m = Parameter("1/h", 0.02, lower=0.0)

    def equations(self, v):
        left = v.X * v.S / (v.K + v.S)
        return Equations(rate={"X": v.mu_max * left, "S": -(v.mu_max / v.Y + v.m) * left})


def test_a_substrate_that_runs_out_within_a_step_is_not_carried_beyond_the_pole_of_its_saturation():
    """The equations of a long step have a second solution below -K, from where X and S run away."""
    cells = Starved("cells")
    alone, batch = Flowsheet(cells, time="h"), Recipe(Phase("batch", 28.0))
    model = ExtendedKalman(noise={cells.X: 0.1}, start={cells.X: 0.01}, process={}).model(alone, batch, 7.0)
    s = model.start
    for t in (0.0, 7.0, 14.0, 21.0):
        s = model.predict(s, {}, t, t + 7.0)
    assert dict(zip(model.names, s, strict=True)) == {
        cells.X: pytest.approx(0.05 + 30.0 / (1.0 / 0.5 + 0.02 / 0.4), rel=1e-6),
        cells.S: pytest.approx(0.0, abs=1e-8),
    }
