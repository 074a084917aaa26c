"""Do predictions add up, agree with conditioning, and keep what they promise on batches not seen?"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

from tests.analysis.network_toys import fermentation
from titer.analysis.networks import (
    calibrated,
    crps_of_normal,
    fit_network,
    held_out,
    learn_network,
    posterior,
    predict,
    predictions,
    sample,
)
from titer.analysis.networks.calibration import wilson
from titer.analysis.networks.scores import crps_of_mixture, mixture_cdf, mixture_quantile
from titer.numerics.errors import SpecificationError

TARGET = ("purity", 96.0)


@pytest.fixture(scope="module")
def net():
    return fermentation()


@pytest.fixture(scope="module")
def learned(net):
    return learn_network(net.graph, sample(net, 12, seed=3), draws=200, seed=1)


def seen(net, seed=9, until=48.0):
    batch = sample(net, 1, seed).iloc[0]
    return batch[batch.index.get_level_values("stage") <= until]


def test_the_moves_sum_exactly_to_the_prediction_less_the_mean(net, learned):
    for given in (net, learned):
        found = predict(given, TARGET, seen(net))
        assert found.waterfall()["move"].sum() == pytest.approx(found.value - found.mean, abs=1e-10)
        np.testing.assert_allclose(found.before + found.moves.sum(axis=1), found.means, atol=1e-8)


def test_a_prediction_is_the_conditional_distribution(net):
    measured, error = seen(net), {"X": 0.2}
    found = predict(net, TARGET, measured, error)
    belief = posterior(net, measured, error)
    assert (found.value, found.process_deviation) == pytest.approx(belief.of(TARGET), rel=1e-10)
    assert found.model_deviation == 0.0
    low, high = found.interval(0.9)
    assert (low, high) == pytest.approx(
        found.value + np.array([-1.0, 1.0]) * 1.6448536 * found.process_deviation, rel=1e-7
    )


def test_innovations_are_what_earlier_measurements_did_not_tell(net):
    measured = seen(net, until=24.0)
    table = predict(net, TARGET, measured).waterfall()
    before = posterior(net, {k: v for k, v in measured.items() if k[1] < 24.0})
    row = table.loc[("feed", 24.0)]
    assert row["expected"] == pytest.approx(before.of(("feed", 24.0))[0])
    assert row["deviations"] == pytest.approx(row["innovation"] / before.of(("feed", 24.0))[1])


def test_innovations_in_deviations_are_independent_and_standard(net):
    rows = [predict(net, TARGET, batch).waterfall()["deviations"] for _, batch in sample(net, 400, seed=2).iterrows()]
    z = np.array(rows)
    count = len(z)
    assert np.abs(z.mean(axis=0)).max() < 4.0 / np.sqrt(count)
    assert np.abs(np.cov(z.T) - np.eye(z.shape[1])).max() < 4.5 * np.sqrt(2.0 / count)


def test_each_draw_is_predicted_as_its_own_network(net, learned):
    found = predict(learned, TARGET, seen(net))
    for k in (0, 5, 333):
        mean, deviation = posterior(learned.network(k), seen(net)).of(TARGET)
        assert (found.means[k], found.deviations[k]) == pytest.approx((mean, deviation), rel=1e-8)
    assert found.model_deviation == pytest.approx(found.means.std())
    inner, outer = found.model_interval(), found.interval()
    assert outer[0] < inner[0] < inner[1] < outer[1]


def test_the_three_ways_to_tell_agree(net, learned):
    """Along the edges, by a factor, one by one; a tiny error of measurement takes the first way away."""
    from titer.analysis.networks.algebra import absorb, covariance

    batch = sample(net, 1, seed=4).iloc[0]
    for until in (0.0, 48.0):
        measured = batch[batch.index.get_level_values("stage") <= until]
        along, factor = predict(learned, TARGET, measured), predict(learned, TARGET, measured, {"X": 1e-9})
        for what in ("means", "deviations", "innovations", "expected_deviations", "moves"):
            np.testing.assert_allclose(getattr(along, what), getattr(factor, what), rtol=1e-6, atol=1e-8, err_msg=what)
        p, m = learned.parameters, len(measured)
        chosen = np.array([*along.measured, len(net.graph) - 1])
        single = absorb(p.mean[:, chosen], covariance(p, chosen), np.arange(m), along.values, np.zeros(m), ("",) * m)
        np.testing.assert_allclose(along.moves, single.moves[..., m], rtol=1e-6, atol=1e-8)


def test_states_that_follow_exactly_are_predicted_like_others(net):
    """Process noise only in inputs and starts, as of a simulated plant: the covariance is singular."""
    from dataclasses import replace

    first = np.array([n.stage == 0.0 for n in net.graph.nodes])
    exact = replace(net, deviations=np.where(first, net.deviations, 0.0))
    batch = sample(exact, 1, seed=6).iloc[0]
    measured = batch[batch.index.get_level_values("stage") <= 24.0]
    found = predict(exact, TARGET, measured)
    assert found.value == pytest.approx(batch[TARGET], rel=1e-9)
    assert found.process_deviation == pytest.approx(0.0, abs=1e-9)
    noisy = predict(exact, TARGET, measured, dict.fromkeys(net.graph.variables, 0.1))
    expected = posterior(exact, measured, dict.fromkeys(net.graph.variables, 0.1)).of(TARGET)
    assert (noisy.value, noisy.process_deviation) == pytest.approx(expected, rel=1e-7)
    assert noisy.waterfall()["move"].sum() == pytest.approx(noisy.value - noisy.mean, abs=1e-10)


def test_the_target_itself_is_not_read_and_later_stages_narrow(net):
    batch = sample(net, 1, 4).iloc[0]
    assert predict(net, TARGET, batch).process_deviation == pytest.approx(0.4)
    widths = [p.process_deviation for _, p in predictions(net, TARGET, batch)]
    assert len(widths) == 5
    assert np.all(np.diff(widths) < 0.0)


def test_probabilities_and_quantiles_of_mixtures_are_inverse():
    rng = np.random.default_rng(2)
    means, deviations = rng.normal(size=50), rng.uniform(0.1, 2.0, 50)
    wanted = np.array([0.01, 0.3, 0.5, 0.95])
    found = mixture_quantile(wanted, means, deviations)
    np.testing.assert_allclose([mixture_cdf(x, means, deviations) for x in found], wanted, atol=1e-9)


@pytest.mark.parametrize("value", [-2.0, 0.1, 3.0])
def test_scores_are_their_integral(value):
    means, deviations = np.array([-1.0, 0.5, 0.6]), np.array([0.3, 1.0, 0.2])

    def squared(x):
        return (ndtr((x - means) / deviations).mean() - (x >= value)) ** 2

    integral = quad(squared, -12.0, value, limit=200)[0] + quad(squared, value, 12.0, limit=200)[0]
    assert crps_of_mixture(value, means, deviations) == pytest.approx(integral, rel=1e-6)
    one = crps_of_mixture(value, means[1:2], deviations[1:2])
    assert float(crps_of_normal(value, 0.5, 1.0)) == pytest.approx(one, rel=1e-10)
    assert float(crps_of_normal(value, 0.5, 0.0)) == pytest.approx(abs(value - 0.5))


def test_intervals_from_the_true_network_cover_what_they_say(net):
    found = calibrated(net, sample(net, 400, seed=11), TARGET, [24.0, 48.0, 72.0])
    assert found.ok, str(found)
    summary = found.summary()
    assert summary["coverage"].between(0.86, 0.94).all()  # 0.9, standard error 0.015
    assert (summary["p even"] > 0.01).all()
    assert summary["score"].is_monotonic_decreasing
    deviation = predict(net, TARGET, seen(net, until=48.0)).process_deviation
    assert summary.loc[48.0, "score"] == pytest.approx(deviation / np.sqrt(np.pi), rel=0.12)  # of a right normal


def test_a_network_that_is_too_sure_is_found_out(net):
    from dataclasses import replace

    sure = replace(net, deviations=0.5 * net.deviations, blocks=tuple(0.25 * b for b in net.blocks))
    found = calibrated(sure, sample(net, 100, seed=11), TARGET, [24.0])
    assert not found.ok
    assert found.summary()["coverage"].iloc[0] < 0.8
    assert found.summary()["p even"].iloc[0] < 0.01


def test_networks_learned_from_few_batches_cover_held_out_ones(net):
    """Fifteen batches: model risk counts. Each fold learns from eight ninths of 36."""
    found = held_out(
        sample(net, 36, seed=5), lambda b: fit_network(net.graph, b).draws(400), TARGET, [24.0, 72.0], folds=9
    )
    assert len(found.table) == 72
    assert found.ok, str(found)


@pytest.mark.slow
def test_90_percent_intervals_learned_from_15_batches_cover_85_to_95_percent_at_three_quarters(net):
    inside = []
    for seed in range(30):
        drawn = learn_network(net.graph, sample(net, 15, seed), draws=100, warm_up=60, seed=seed)
        inside.append(calibrated(drawn, sample(net, 6, 1000 + seed), TARGET, [24.0, 48.0, 72.0]).table["inside"])
    by_stage = np.array(inside).reshape(30, 6, 3).mean(axis=(0, 1))
    assert np.all((by_stage >= 0.85) & (by_stage <= 0.95)), by_stage


def test_wilsons_interval_is_the_published_one():
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe, Stat. Med. 17 (1998) 857


def test_bad_questions_are_refused(net):
    batches = sample(net, 4, 1)
    with pytest.raises(SpecificationError, match="level must be between 0 and 1"):
        predict(net, TARGET, {}).interval(90)
    with pytest.raises(SpecificationError, match="known at stage 96; give earlier stages"):
        calibrated(net, batches, TARGET, [96.0])
    with pytest.raises(SpecificationError, match="folds must be a whole number of 2 to 4"):
        held_out(batches, lambda b: net, TARGET, [24.0], folds=9)
    batches[TARGET] = np.nan
    with pytest.raises(SpecificationError, match="no batch has a value of the target"):
        calibrated(net, batches, TARGET, [24.0])
