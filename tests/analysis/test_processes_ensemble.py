"""Ensembles of batches: against simulations one by one, and networks against ensembles."""

from __future__ import annotations

import numpy as np
import pytest

from tests.analysis.process_toys import CULTURE, DECAY, DECAYING, PLANT, RECIPE
from titer.analysis import Vary, compare, linear_network, simulated_ensemble
from titer.flowsheets import (
    Algebraic,
    AtEnd,
    Equations,
    Flowsheet,
    Parameter,
    Phase,
    Recipe,
    State,
    Unit,
    quantity,
    simulate,
)
from titer.numerics import SolveError, SpecificationError

AMOUNT = {"amount": AtEnd(lambda v: v.tank.P * v.tank.V)}
CLOSE = 1e-5  # of values: ten times what the model's steps are allowed on the planned run


def varied(scale):
    return {
        CULTURE.X: 0.01 * scale,
        CULTURE.S: 0.1 * scale,
        CULTURE.mu_max: 0.0025 * scale,
        CULTURE.F: Vary(0.02 * scale, relative=True, each_stage=True),
    }


class Depleting(Unit):
    """Growth held by an algebraic equation on a substrate that runs out at once: half-saturation far below it."""

    time = "h"
    X = State("g/L", start=1.0, lower=0.0)
    S = State("g/L", start=5.0, lower=0.0)
    mu = Algebraic("1/h", start=0.3, nominal=0.3)
    mu_max = Parameter("1/h", 0.4, lower=0.0)
    K = Parameter("g/L", 0.02, lower=0.0)

    def equations(self, v):
        growth = v.mu * v.X
        return Equations(rate={"X": growth, "S": -2.0 * growth}, zero={"mu": v.mu * (v.K + v.S) - v.mu_max * v.S})


class Sized(Depleting):
    """The same, with the size at which its substrate matters."""

    S = State("g/L", start=5.0, lower=0.0, nominal=0.05)


def with_bolus(unit):
    """More substrate before the second phase, by what an algebraic variable says."""
    more = {unit.S: lambda v: v.tank.S + quantity(5.0, "g*h/L") * v.tank.mu + 3.0}
    return Recipe(Phase("a", 6.0), Phase("b", 6.0, start=more))


def test_batches_are_those_that_are_simulated_one_by_one():
    uncertain = {CULTURE.X: 0.1, CULTURE.S: 1.0, CULTURE.mu_max: 0.02}
    frame = simulated_ensemble(PLANT, RECIPE, uncertain, 6, stages=2, attributes=AMOUNT, seed=3).frame()
    for _, batch in frame.iterrows():
        values = {n: batch[n, 0.0] for n in ("tank.X", "tank.S", "tank.mu_max")}
        run = simulate(PLANT.with_values(values), RECIPE, tolerance=1e-10)
        for name in ("tank.X", "tank.S", "tank.P", "tank.V"):
            assert batch[name, 12.0] == pytest.approx(run.at_end(name), rel=CLOSE)
        assert batch["amount", 12.0] == pytest.approx(run.at_end("tank.P") * run.at_end("tank.V"), rel=CLOSE)


def test_a_substrate_that_runs_out_at_another_time_in_each_batch_is_followed():
    """Where it runs out the planned steps are too long; algebraic variables and a bolus before the second phase."""
    unit = Depleting("tank")
    plant, recipe = Flowsheet(unit, time="h"), with_bolus(unit)
    frame = simulated_ensemble(plant, recipe, {unit.X: 0.1, unit.S: 0.5}, 8, stages=2).frame()
    for _, batch in frame.iterrows():
        start = {n: batch[n, 0.0] for n in ("tank.X", "tank.S")}
        run = simulate(plant.with_values(start), recipe, tolerance=1e-10)
        assert batch["tank.X", 12.0] == pytest.approx(run.at_end("tank.X"), rel=CLOSE)


def test_a_batch_is_the_same_in_any_company():
    few, more = (simulated_ensemble(PLANT, RECIPE, varied(1.0), n, stages=1, seed=5).values for n in (3, 40))
    np.testing.assert_array_equal(few, more[:3])


def test_the_network_of_a_linear_plant_is_exact_whatever_the_noise():
    """4 standard errors of 4000 batches; starts and an input vary by their own size."""
    uncertain = {DECAY.x: 2.0, DECAY.u: Vary(0.5, each_stage=True)}
    conditions = {"inputs": {DECAY.u: 0.5}, "stages": 3, "noise": {DECAY.x: 0.3}}
    recipe = Recipe(Phase("run", 6.0))
    net = linear_network(DECAYING, recipe, uncertain, **conditions)
    found = compare(net, simulated_ensemble(DECAYING, recipe, uncertain, 4000, **conditions))
    assert np.all(np.abs(found.mean_error) <= 4.0 * found.mean_doubt)
    assert np.all(np.abs(found.variance_error) <= 4.0 * found.variance_doubt)
    assert found.failed == 0


def test_a_comparison_says_by_how_much_a_network_fails_where_noise_is_large():
    net = linear_network(PLANT, RECIPE, varied(8.0), stages=2, attributes=AMOUNT)
    found = compare(net, simulated_ensemble(PLANT, RECIPE, varied(8.0), 4000, stages=2, attributes=AMOUNT))
    table = found.table()
    last = table.loc[("tank.S", 12.0)]
    assert abs(last["variance error"]) > 5.0 * last["variance doubt"]
    assert abs(last["mean error"]) > 5.0 * last["mean doubt"]
    assert "variance: off by" in repr(found)
    assert "tank.S at 12" in repr(found)


@pytest.mark.slow
def test_the_network_reproduces_20000_nonlinear_batches_with_small_noise():
    """Means to 1 %, variances to 5 %; the standard error of a variance is 1 %."""
    conditions = {"stages": 2, "attributes": AMOUNT, "noise": {CULTURE.X: 0.01}}
    net = linear_network(PLANT, RECIPE, varied(1.0), **conditions)
    found = compare(net, simulated_ensemble(PLANT, RECIPE, varied(1.0), 20_000, **conditions))
    assert found.failed == 0
    assert found.worst_mean < 0.01
    assert found.worst_variance < 0.05


class Runaway(Unit):
    """x' = x^2 ends at the time 1 / x_0."""

    time = "h"
    x = State("1", start=1.0, lower=0.0)
    k = Parameter("1/h", 1.0)

    def equations(self, v):
        return Equations(rate={"x": v.k * v.x * v.x})


def test_batches_that_cannot_be_run_are_counted_and_left_out():
    """Those that begin above 2 end before 0.5 h; below, x(t) = x_0 / (1 - x_0 t)."""
    unit = Runaway("tank")
    plant, recipe = Flowsheet(unit, time="h"), Recipe(Phase("run", 0.5))
    ensemble = simulated_ensemble(plant, recipe, {unit.x: 0.6}, 200, stages=1)
    frame = ensemble.frame()
    start, end = frame["tank.x", 0.0], frame["tank.x", 0.5]
    assert ensemble.failed == int((start > 2.0).sum()) > 0
    np.testing.assert_allclose(end[start < 1.5], (start / (1.0 - 0.5 * start))[start < 1.5], rtol=1e-4)
    found = compare(linear_network(plant, recipe, {unit.x: 0.6}, stages=1), ensemble)
    assert found.failed == ensemble.failed
    assert f"{ensemble.failed} failed" in repr(found)


def test_steps_that_miss_the_planned_run_are_noticed():
    """A half-saturation so small that the steps pass it, to where the equations have another solution; a nominal size
    of the substrate near it mends that."""
    unit = Depleting("tank", K=0.002)
    with pytest.raises(SolveError, match="the model's steps miss the planned run"):
        simulated_ensemble(Flowsheet(unit, time="h"), with_bolus(unit), {unit.X: 0.1}, 4, stages=2)
    unit = Sized("tank", K=0.002)
    assert simulated_ensemble(Flowsheet(unit, time="h"), with_bolus(unit), {unit.X: 0.1}, 4, stages=2).failed == 0


def test_an_ensemble_of_another_process_is_refused():
    net = linear_network(PLANT, RECIPE, varied(1.0), stages=2)
    other = simulated_ensemble(PLANT, RECIPE, varied(1.0), 4, stages=1)
    with pytest.raises(SpecificationError, match=r"the ensemble lacks .*tank\.X at 3"):
        compare(net, other)
