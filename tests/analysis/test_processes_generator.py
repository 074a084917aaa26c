"""Synthetic batches: their noise, what is kept in a folder, experiments that run again, what is learned."""

from __future__ import annotations

import numpy as np
import pytest

from tests.analysis.process_toys import CULTURE, PLANT, RECIPE
from titer.analysis import (
    Prior,
    Vary,
    experiment_batches,
    fit_network,
    generate,
    learn_network,
    linear_network,
    noise_from,
    observed,
)
from titer.estimation.data.noise import Noise
from titer.flowsheets import AtEnd, Phase, PiecewiseLinear, Recipe, simulate
from titer.numerics import SpecificationError

AMOUNT = {"amount": AtEnd(lambda v: v.tank.P * v.tank.V)}
PERTURB = {
    CULTURE.X: 0.05,
    CULTURE.S: 0.3,
    CULTURE.mu_max: 0.005,
    CULTURE.F: Vary(0.1, relative=True, each_stage=True),
}
NOISE = {CULTURE.X: 0.05, CULTURE.S: Noise(absolute=0.02, relative=0.02), CULTURE.P: 0.02, CULTURE.growth: 0.01}
VARIABLES = ["tank.F", "tank.X", "tank.S", "tank.P", "amount"]


def made(count, **given):
    return generate(PLANT, RECIPE, count, **({"perturb": PERTURB, "noise": NOISE, "stages": 2} | given))


@pytest.fixture(scope="module")
def batches():
    return made(400, attributes=AMOUNT, seed=1)


def test_the_table_is_tidy_and_says_how_far_each_reading_may_be_off(batches):
    table = batches.table()
    assert list(table.columns) == ["batch", "time", "tag", "value", "unit", "sigma"]
    assert table.groupby("batch").size().nunique() == 1
    one = table[(table["tag"] == "tank.S") & (table["time"] == 6.0) & (table["batch"] == 7)].iloc[0]
    true = batches.truth.frame().loc[7, ("tank.S", 6.0)]
    assert one["sigma"] == pytest.approx(np.hypot(0.02, 0.02 * true))
    assert one["unit"] == "g/L"
    assert (table.loc[table["tag"] == "tank.F", "sigma"] == 0.0).all()


def test_readings_are_off_by_normal_noise_of_their_sigma(batches):
    """8000 scores of states: mean, variance and the share beyond 1.96, each within 4 standard errors."""
    truth, scores = batches.truth.frame(), []
    for j, name in enumerate(("tank.X", "tank.S", "tank.P")):
        true = np.column_stack([truth[name, t] for t in batches.process.stages])
        scores.append(((batches.measured[..., j] - true) / batches.sigma[..., j]).ravel())
    z = np.concatenate(scores)
    n = len(z)
    assert abs(z.mean()) < 4.0 / np.sqrt(n)
    assert abs(z.var() - 1.0) < 4.0 * np.sqrt(2.0 / n)
    assert abs((np.abs(z) > 1.96).mean() - 0.05) < 4.0 * np.sqrt(0.05 * 0.95 / n)


def test_an_expression_is_read_at_the_state_of_its_batch():
    exact = made(5, noise={CULTURE.growth: 1e-9})
    truth = exact.truth.frame()
    for k, t in enumerate(exact.process.stages):
        s = truth["tank.S", t]
        growth = truth["tank.mu_max", 0.0] * s / (2.0 + s) * truth["tank.X", t]
        np.testing.assert_allclose(exact.measured[:, k, 0], growth, rtol=1e-6)


def test_a_folder_keeps_batches_and_takes_more_of_the_same_only(tmp_path):
    told = []
    first = made(300, folder=tmp_path, progress=told.append)
    stamp = (tmp_path / "batches_0000000.npz").stat().st_mtime_ns
    more = made(320, folder=tmp_path)
    assert told == ["batches: 255 of 300", "batches: 300 of 300"]
    assert (tmp_path / "batches_0000000.npz").stat().st_mtime_ns == stamp
    np.testing.assert_array_equal(first.measured, more.measured[:300])
    with pytest.raises(SpecificationError, match="another process, perturbation or seed"):
        made(300, folder=tmp_path, seed=2)
    with pytest.raises(SpecificationError, match="another process, perturbation or seed"):
        made(300, folder=tmp_path, noise={**NOISE, CULTURE.X: 0.06})


def test_what_is_kept_but_torn_is_named(tmp_path):
    (tmp_path / "batches_0000000.npz").write_bytes(b"half a file")
    with pytest.raises(SpecificationError, match="cannot be read"):
        made(3, folder=tmp_path)


def test_experiments_run_again_as_their_batches_did(batches):
    truth = batches.truth.frame()
    for b, experiment in list(enumerate(batches.experiments(starts_known=True)))[:4]:
        plant = PLANT.with_values({**experiment.start, CULTURE.mu_max: truth.loc[b, ("tank.mu_max", 0.0)]})
        run = simulate(plant, experiment.recipe, experiment.inputs, tolerance=1e-10)
        for name in ("tank.X", "tank.S", "tank.P", "tank.V"):
            assert run.at_end(name) == pytest.approx(truth.loc[b, (name, 12.0)], rel=1e-5)
        assert experiment.converted(PLANT).count == 20


def test_a_ramp_that_departed_runs_again_too():
    recipe = Recipe(Phase("feed", 6.0, inputs={CULTURE.F: PiecewiseLinear(values=[0.0, 0.02])}))
    ramped = generate(PLANT, recipe, 2, {CULTURE.F: Vary(0.3, True, True)}, {CULTURE.X: 0.1}, stages=2)
    truth = ramped.truth.frame()
    for b, experiment in enumerate(ramped.experiments()):
        run = simulate(PLANT, experiment.recipe, experiment.inputs, tolerance=1e-10)
        assert run.at_end("tank.V") == pytest.approx(truth.loc[b, ("tank.V", 6.0)], rel=1e-6)
        assert run.at_end("tank.S") == pytest.approx(truth.loc[b, ("tank.S", 6.0)], rel=1e-5)


def test_the_observed_network_keeps_what_acts_on_a_single_node_and_is_the_nearest_otherwise(batches):
    """Exact variances up to the first stage, on whose nodes the hidden rate constant acts first; regressions on 400
    batches without noise agree with its coefficients within 4 standard errors."""
    full = linear_network(PLANT, RECIPE, PERTURB, stages=2, attributes=AMOUNT)
    seen = observed(full, VARIABLES)
    assert "tank.mu_max" not in seen.graph.variables
    for node, variance in zip(seen.graph.nodes, np.diag(seen.covariance), strict=True):
        if node.stage <= 3.0 or node.name == "tank.F":
            i = full.graph.index(node)
            assert variance == pytest.approx(full.covariance[i, i], rel=1e-9)
    i, causes = seen.graph.index(("tank.X", 6.0)), [("tank.X", 3.0), ("tank.S", 3.0)]
    table = batches.truth.frame()
    z = np.column_stack([np.ones(len(table)), *(table[c] for c in causes)])
    found, left, *_ = np.linalg.lstsq(z, table["tank.X", 6.0], rcond=None)
    error = np.sqrt(np.diag(np.linalg.inv(z.T @ z)) * left[0] / (len(z) - 3))
    for j, cause in enumerate(causes):
        beta = seen.matrix().toarray()[seen.graph.index(cause), i]
        assert abs(found[j + 1] - beta) < 4.0 * error[j + 1]


def test_learning_takes_what_was_made_and_the_mechanism_as_its_prior(batches):
    seen = observed(linear_network(PLANT, RECIPE, PERTURB, stages=2, attributes=AMOUNT), VARIABLES)
    drawn = learn_network(seen.graph, batches.wide().iloc[:12], Prior(mechanism=seen), draws=100, warm_up=50)
    assert len(drawn) == 400
    assert fit_network(seen.graph, batches.wide()).network.graph is seen.graph


def test_noise_from_experiments_is_what_the_model_leaves_out_and_the_sensors_add():
    """Disturbances of X at each stage, sensors that hardly err: within 4 standard errors of 300 batches, the noise of
    a deviation being 1 / sqrt(2 n) of it. The causes of X then are X and S, and the feed."""
    varied = {CULTURE.X: 0.01, CULTURE.S: 0.03, CULTURE.F: Vary(0.02, relative=True, each_stage=True)}
    sensors = {CULTURE.X: 1e-4, CULTURE.S: 1e-4, CULTURE.P: 1e-4, CULTURE.V: 1e-5}
    data = made(300, perturb=varied, noise=sensors, disturbances={CULTURE.X: 0.02}).experiments()
    net = linear_network(PLANT, RECIPE, varied, stages=2)
    found = noise_from(net, experiment_batches(data, PLANT, net))
    for node, deviation in zip(found.graph.nodes, found.deviations, strict=True):
        if node.name == "tank.X" and node.stage > 0.0:
            assert abs(deviation / 0.02 - 1.0) < 4.0 / np.sqrt(600.0)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"count": 0}, "count must be a whole number"),
        ({"noise": {}}, "nothing is measured"),
        ({"noise": {CULTURE.X: 0.0}}, "must be positive"),
        ({"noise": {CULTURE.F: 0.1}}, r"tank\.F is a control"),
        ({"perturb": {"tank.Q": 0.1}}, r"tank\.Q"),
        ({"disturbances": {CULTURE.F: 0.1}}, r"tank\.F"),
    ],
)
def test_what_does_not_fit_is_named(given, text):
    arguments = {"count": 2, "perturb": PERTURB, "noise": NOISE, "stages": 1} | given
    with pytest.raises(SpecificationError, match=text):
        generate(PLANT, RECIPE, **arguments)


def test_variables_that_are_not_there_or_do_not_vary_are_named():
    net = linear_network(PLANT, RECIPE, {CULTURE.X: 0.1}, stages=1)
    with pytest.raises(SpecificationError, match=r"tank\.Q"):
        observed(net, ["tank.Q"])
    with pytest.raises(SpecificationError, match="none of them varies"):
        observed(net, ["tank.V"])
