"""Networks of plants: closed forms, derivatives against another integrator, what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.analysis.process_toys import CULTURE, DECAY, DECAYING, PLANT, RECIPE, decayed
from titer.analysis import Vary, linear_network, risk
from titer.flowsheets import AtEnd, Free, Phase, Reaches, Recipe, simulate
from titer.numerics import SpecificationError

DRIFTING = Recipe(Phase("run", 6.0))
AMOUNT = {"amount": AtEnd(lambda v: v.tank.P * v.tank.V)}
UNCERTAIN = {
    CULTURE.X: 0.01,
    CULTURE.S: 0.1,
    CULTURE.mu_max: 0.0025,
    CULTURE.F: Vary(0.02, relative=True, each_stage=True),
}
ACCURACY = 1e-7  # ten times that of the model's steps, relative to sizes of 1 to 10 g/L
SLOPES = 1e-6  # of derivatives, whose accuracy follows from that of values but is not controlled


def coefficient(network, cause, effect):
    return network.matrix().toarray()[network.graph.index(cause), network.graph.index(effect)]


def total(network, cause, effect):
    return network.effects[network.graph.index(cause), network.graph.index(effect)]


@pytest.fixture(scope="module")
def culture():
    return linear_network(PLANT, RECIPE, UNCERTAIN, stages=2, attributes=AMOUNT)


def test_a_linear_plant_has_the_coefficients_of_its_closed_form():
    """x(t) = (x_0 - u/k) exp(-k t) + u/k, from stage to stage of 2 h."""
    u, k, t = 0.5, 0.4, 2.0
    varied = {DECAY.x: 0.1, DECAY.k: 0.02, DECAY.u: Vary(0.05, each_stage=True)}
    net = linear_network(DECAYING, DRIFTING, varied, {DECAY.u: u}, stages=3)
    x = 2.0
    for now in (0.0, 2.0, 4.0):
        gone = np.exp(-k * t)
        by_k = -t * (x - u / k) * gone + (gone - 1.0) * u / k**2
        assert coefficient(net, ("tank.x", now), ("tank.x", now + t)) == pytest.approx(gone, abs=SLOPES)
        assert coefficient(net, ("tank.u", now), ("tank.x", now + t)) == pytest.approx((1 - gone) / k, abs=SLOPES)
        assert coefficient(net, ("tank.k", 0.0), ("tank.x", now + t)) == pytest.approx(by_k, abs=SLOPES)
        x = decayed(x, u, k, t)
        assert net.mean[net.graph.index(("tank.x", now + t))] == pytest.approx(x, abs=ACCURACY)


@pytest.mark.parametrize(
    ("cause", "name", "step"),
    [
        (("tank.X", 0.0), "tank.X", 1e-3),
        (("tank.S", 0.0), "tank.S", 1e-3),
        (("tank.mu_max", 0.0), "tank.mu_max", 1e-4),
    ],
)
def test_total_effects_over_two_phases_and_a_bolus_are_those_of_another_integrator(culture, cause, name, step):
    """Central differences of simulations with CVODES; their error is of second order in the step."""
    value = PLANT.values[name]
    up, down = (
        simulate(PLANT.with_values({name: value + h}), RECIPE, tolerance=1e-11).at_end(CULTURE.X) for h in (step, -step)
    )
    assert total(culture, cause, ("tank.X", 12.0)) == pytest.approx((up - down) / (2.0 * step), rel=2e-5)


def test_the_feed_of_a_stage_acts_as_in_a_simulation(culture):
    """Of the first half of the feeding phase, which is a share of its value."""
    step = 1e-5
    ends = []
    for h in (step, -step):
        feed = pd.Series([0.02 + h, 0.02], index=[6.0, 9.0])
        phases = list(RECIPE)
        recipe = Recipe(phases[0], Phase("feed", 6.0, inputs={CULTURE.F: feed}, start=phases[1].start))
        ends.append(simulate(PLANT, recipe, tolerance=1e-11).at_end(CULTURE.S))
    expected = (ends[0] - ends[1]) / (2.0 * step)
    assert total(culture, ("tank.F", 6.0), ("tank.S", 12.0)) == pytest.approx(expected, rel=1e-4)


def test_means_are_those_of_the_planned_run_and_a_stage_is_before_what_the_next_phase_sets(culture):
    run = simulate(PLANT, RECIPE, tolerance=1e-10)
    before = simulate(PLANT, Recipe(next(iter(RECIPE))), tolerance=1e-10).at_end(CULTURE.S)
    mean = culture.mean
    assert mean[culture.graph.index(("tank.S", 6.0))] == pytest.approx(before, abs=10 * ACCURACY)
    assert mean[culture.graph.index(("tank.S", 12.0))] == pytest.approx(run.at_end(CULTURE.S), abs=10 * ACCURACY)


def test_an_attribute_has_the_derivatives_of_its_formula(culture):
    p, v = (culture.mean[culture.graph.index((n, 12.0))] for n in ("tank.P", "tank.V"))
    assert culture.mean[culture.graph.index(("amount", 12.0))] == pytest.approx(p * v, rel=1e-12)
    assert coefficient(culture, ("tank.P", 12.0), ("amount", 12.0)) == pytest.approx(v, rel=1e-12)
    assert coefficient(culture, ("tank.V", 12.0), ("amount", 12.0)) == pytest.approx(p, rel=1e-12)
    assert risk(culture, ("amount", 12.0)).contribution.sum() == pytest.approx(
        culture.covariance[culture.graph.index(("amount", 12.0)), culture.graph.index(("amount", 12.0))], rel=1e-10
    )


def test_an_input_off_by_the_same_all_along_acts_as_the_sum_of_its_stages(culture):
    once = linear_network(PLANT, RECIPE, {CULTURE.F: Vary(0.02, relative=True)}, stages=2)
    parts = sum(
        total(culture, ("tank.F", t), ("tank.S", 12.0)) * culture.mean[culture.graph.index(("tank.F", t))]
        for t in (6.0, 9.0)
    )
    i = once.graph.index(("tank.F", 0.0))
    assert once.mean[i] == pytest.approx(0.01)  # the average of 0 and 0.02 L/h
    assert total(once, ("tank.F", 0.0), ("tank.S", 12.0)) * once.mean[i] == pytest.approx(parts, rel=1e-10)


def test_a_share_of_no_feed_is_no_node(culture):
    assert [n.stage for n in culture.graph.nodes if n.name == "tank.F"] == [6.0, 9.0]


def test_noise_is_what_states_and_attributes_gain_at_each_later_stage():
    net = linear_network(
        PLANT, RECIPE, {CULTURE.X: 0.1}, stages=1, attributes=AMOUNT, noise={CULTURE.X: 0.02, "amount": 0.3}
    )
    own = {n.address: d for n, d in zip(net.graph.nodes, net.deviations, strict=True)}
    assert own["tank.X", 0.0] == 0.1
    assert own["tank.X", 6.0] == own["tank.X", 12.0] == 0.02
    assert own["amount", 12.0] == 0.3


def test_stages_are_parts_of_phases_or_times():
    parts = linear_network(PLANT, RECIPE, {CULTURE.X: 0.1}, stages=3).graph.stages
    assert parts == pytest.approx((0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0))
    assert linear_network(PLANT, RECIPE, {CULTURE.X: 0.1}, stages=[10, 5.0]).graph.stages == (0.0, 5.0, 10.0, 12.0)


ENDED = Recipe(Phase("run", Free(6.0, 1.0, 20.0), until=Reaches(CULTURE.S, 1.0, "falling"), fixed={CULTURE.F: 0.0}))
RAMP = {CULTURE.F: lambda t: 0.01 * t}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"uncertain": {"tank.Q": 0.1}}, "tank.Q"),
        ({"uncertain": {CULTURE.X: -0.1}}, "tank.X needs a positive standard deviation"),
        ({"uncertain": {CULTURE.X: Vary(0.1, each_stage=True)}}, "each_stage=True is for inputs"),
        ({"uncertain": {CULTURE.P: Vary(0.1, relative=True)}}, "tank.P has the value 0"),
        ({"stages": [13.0]}, "13 lies outside the recipe"),
        ({"stages": 0}, "at least 1"),
        ({"noise": {"tank.mu_max": 0.1}}, "tank.mu_max"),
        ({"attributes": {"early": AtEnd(lambda v: v.tank.X, phase="grow")}, "stages": [4.0]}, "Add 6 to stages"),
        ({"attributes": {"early": AtEnd(lambda v: v.tank.X, phase="grown")}}, "grown"),
        ({"attributes": {"early": 3.0}}, "early needs AtEnd"),
        ({"recipe": ENDED}, "Hold its length by durations"),
        ({"recipe": DRIFTING, "inputs": RAMP, "uncertain": {CULTURE.F: 0.1}}, "a function of time"),
    ],
)
def test_what_does_not_fit_is_named(given, text):
    arguments = {"recipe": RECIPE, "uncertain": {CULTURE.X: 0.1}} | given
    with pytest.raises(SpecificationError, match=text):
        linear_network(PLANT, **arguments)
