"""Are alarms as rare as stated, do they name what left and when, and how soon? Exact distributions, then faults."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, kstest

from tests.analysis.network_toys import chain, fermentation, random_network
from titer.analysis.monitoring import (
    Limits,
    component_monitor,
    detection,
    false_alarms,
    hotelling_limit,
    innovation_monitor,
    jackson_mudholkar,
    learned_monitor,
    posterior_monitor,
    screen,
    watch,
)
from titer.analysis.monitoring.limits import box, hotelling_probability
from titer.analysis.monitoring.normal import known, learned
from titer.analysis.networks import Graph, Kind, Node, Prior, learn_network, network, predict, sample
from titer.numerics.errors import SpecificationError

STAGES = (0, 12, 24, 36, 48, 60, 72, 84, 96)


@pytest.fixture(scope="module")
def net():
    return fermentation(STAGES)


@pytest.fixture(scope="module")
def monitor(net):
    return innovation_monitor(net)


@pytest.fixture(scope="module")
def normal(net):
    return sample(net, 5000, seed=21)


def misread(batches, variable, since, ramp, bias=0.0):
    """A sensor that is off: by `bias`, and `ramp` more at every stage."""
    found = batches.copy()
    for k, stage in enumerate(s for s in STAGES if s >= since):
        found[variable, float(stage)] += bias + ramp * k
    return found


def disturbed(given, batches, address, shift):
    """A process that is off: a source is shifted, and all that follows from it."""
    return batches + shift * given.effects[given.graph.index(address)]


def test_innovations_of_a_known_network_are_independent_and_standard_normal(net, normal):
    z = known(net).scores(normal.to_numpy())
    assert kstest(z.ravel(), "norm").pvalue > 0.01
    assert np.abs(np.cov(z.T) - np.eye(z.shape[1])).max() < 5.0 * np.sqrt(2.0 / len(z))


def test_innovations_are_those_of_predictions_also_where_measurements_are_missing(rng):
    net = random_network(rng)
    batches = sample(net, 4, seed=3).mask(rng.random((4, 12)) < 0.4)
    z = known(net).scores(batches.to_numpy())
    for row, (_, batch) in zip(z, batches.iterrows(), strict=True):
        measured = batch.dropna()
        target = next(n for n in net.graph.nodes if n.address not in measured.index)
        expected = predict(net, target, measured).waterfall()["deviations"]
        np.testing.assert_allclose(row[np.isfinite(row)], expected, atol=1e-9)


def test_t2_of_a_stage_raises_one_percent_false_alarms_over_5000_normal_batches(monitor, normal):
    error = np.sqrt(0.01 * 0.99 / len(normal))
    for statistic in monitor.statistics(monitor.layout.values(normal)):
        share = (statistic.probabilities < 0.01).mean(axis=0)  # of each stage on its own
        assert np.abs(share - 0.01).max() < 3.5 * error, statistic.name
    t2 = monitor.statistics(monitor.layout.values(normal))[0]
    for k in range(len(STAGES)):
        freedom = int((monitor.layout.stage_of == k).sum())
        assert kstest(t2.values[:, k], chi2(freedom).cdf).pvalue > 0.001


def test_one_percent_of_5000_normal_batches_raise_any_alarm_in_all_their_stages(monitor, normal):
    share, low, high = false_alarms(monitor, normal)
    assert abs(share - 0.01) < 3.0 * np.sqrt(0.01 * 0.99 / 5000) + 0.0005  # sampling, and that of the level
    assert low < share < high


def test_from_eight_normal_batches_the_scores_are_exactly_normal():
    """Over 3000 normal sets with a new batch each: Student's t, leverage included, for every node independently."""
    net = chain()
    drawn = sample(net, 9 * 3000, seed=5)
    z = np.array(
        [
            learned(net.graph, drawn[9 * k : 9 * k + 8]).scores(drawn[9 * k + 8 : 9 * k + 9].to_numpy())[0]
            for k in range(3000)
        ]
    )
    for column in z.T:
        assert kstest(column, "norm").pvalue > 0.01
    assert kstest((z**2).sum(axis=1), chi2(3).cdf).pvalue > 0.01
    assert np.mean(chi2.sf((z**2).sum(axis=1), 3) < 0.01) == pytest.approx(0.01, abs=3.5 * np.sqrt(0.0099 / 3000))


def test_a_posterior_with_a_flat_prior_gives_the_same_scores():
    net = chain()
    batches, new = sample(net, 10, seed=5), sample(net, 50, seed=6)
    flat = Prior(coefficient=1e4, mean=1e4, shape=1e-6, scale=1e-9)
    drawn = posterior_monitor(learn_network(net.graph, batches, flat, draws=3000, seed=1))
    exact = learned_monitor(net.graph, batches)
    ours, theirs = (m.departures(m.layout.values(new)) for m in (drawn, exact))
    # flat priors have n degrees of freedom less those that coefficients spend: t(n - P), as least squares
    np.testing.assert_allclose(ours, theirs, atol=0.12)
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.999


def test_a_posterior_knows_correlated_groups(net):
    drawn = posterior_monitor(learn_network(net.graph, sample(net, 300, seed=5), draws=50, warm_up=50, seed=1))
    new = sample(net, 200, seed=8)
    ours, theirs = drawn.departures(drawn.layout.values(new)), known(net).scores(new.to_numpy())
    assert np.sqrt(((ours - theirs) ** 2).mean()) < 0.25  # estimated from 300


def test_a_mechanism_makes_few_batches_sharp(net):
    batches, faulty = sample(net, 8, seed=5), misread(sample(net, 100, seed=7), "P", 48, 0.0, bias=6.0)
    vague = detection(learned_monitor(net.graph, batches), faulty, 48.0)
    told = posterior_monitor(learn_network(net.graph, batches, Prior(mechanism=net, trust=0.05), seed=1))
    assert detection(told, faulty, 48.0).within(0.0) > 2.0 * vague.within(0.0)


def test_contributions_sum_to_the_statistics_of_every_stage(net, monitor):
    batches = sample(net, 150, seed=2)
    for one in (monitor, learned_monitor(net.graph, batches), component_monitor(batches)):
        values = one.layout.values(batches[:20])
        parts = one.contributions(values)
        for statistic in one.statistics(values):
            np.testing.assert_allclose(parts[statistic.name].sum(axis=2), statistic.values, rtol=1e-9, atol=1e-9)


def test_a_batch_under_way_has_the_chart_of_the_finished_one_so_far(net, monitor):
    batches = sample(net, 60, seed=2)
    for one in (monitor, learned_monitor(net.graph, batches), component_monitor(batches, 3)):
        batch = sample(net, 1, seed=9).iloc[0]
        begun = batch.where(batch.index.get_level_values("stage") <= 36.0)
        finished, running = watch(one, batch), watch(one, begun)
        for a, b in zip(finished.statistics, running.statistics, strict=True):
            np.testing.assert_allclose(a.values[0, :4], b.values[0, :4])
            assert np.isnan(b.values[0, 4:]).all()


def test_a_jump_is_seen_at_once_and_blamed_on_the_variable(net, monitor):
    found = detection(monitor, misread(sample(net, 200, seed=7), "P", 48, 0.0, bias=3.6), 48.0)  # 6 deviations
    assert found.within(0.0) > 0.9
    assert found.blamed()["P"] > 0.95 * found.blamed().sum()
    assert found.median_delay == 0.0
    assert "detected" in repr(found)


def test_a_drift_is_seen_sooner_with_memory(net, monitor):
    """A sensor drifts by 0.5 g/L a stage, as much as X varies by itself in one: single stages see it late or never."""
    from dataclasses import replace

    faulty = misread(sample(net, 300, seed=8), "X", 24, 0.5)
    both = detection(monitor, faulty, 24.0)
    alone = detection(replace(monitor, weight=1.0), faulty, 24.0)  # no memory
    assert both.share > alone.share
    assert both.table["delay"].fillna(999.0).mean() < alone.table["delay"].fillna(999.0).mean()


def test_a_disturbed_process_is_blamed_where_it_began_not_where_it_went(net, monitor):
    failed = disturbed(net, sample(net, 200, seed=7), ("N", 24), -2.4)  # a feed that did not come: 8 deviations
    found = detection(monitor, failed, 24.0)
    assert found.within(0.0) > 0.95
    assert found.blamed()["N"] > 0.95 * found.blamed().sum()
    contaminated = detection(monitor, disturbed(net, sample(net, 200, seed=7), ("X", 0), -3.0), 0.0)
    assert contaminated.within(0.0) > 0.9


def test_false_alarms_before_a_fault_do_not_count_as_its_detection(net, monitor):
    faulty = misread(sample(net, 100, seed=7), "P", 0, 0.0, bias=6.0)
    found = detection(monitor, faulty, 48.0)
    assert found.early > 90
    assert found.share < 0.1


def test_the_chart_says_what_left_when(net, monitor):
    chart = watch(monitor, misread(sample(net, 1, seed=7), "P", 48, 0.0, bias=-5.0).iloc[0])
    assert chart.alarm.variable == "P"
    assert chart.alarm.stage == 48.0
    assert chart.message().startswith("P left at 48 h, seen by ")
    assert "below expectation" in chart.message()
    assert chart.blame("T2", 48.0).index[0] == ("P", 48.0)
    assert chart.table().loc[48.0, ("T2", "value")] > chart.table().loc[48.0, ("T2", "limit")]
    calm = watch(monitor, pd.Series(net.mean, index=net.frame().index))
    assert calm.alarm is None
    assert calm.message() == "All measurements are normal."
    with pytest.raises(SpecificationError, match="no statistic 'Q' at 48"):
        chart.blame("Q", 48.0)


def test_hotellings_t2_has_its_f_distribution(rng):
    """Mean and covariance from 20 batches of 3 normal variables, a new batch each: F(3, 17) exactly."""
    t2 = np.empty(4000)
    for k in range(len(t2)):
        drawn = rng.normal(size=(21, 3))
        off = drawn[20] - drawn[:20].mean(axis=0)
        t2[k] = off @ np.linalg.solve(np.cov(drawn[:20].T), off)
    assert kstest(hotelling_probability(t2, 3, 20), "uniform").pvalue > 0.01
    assert hotelling_probability(hotelling_limit(0.01, 3, 20), 3, 20) == pytest.approx(0.01)


def test_limits_of_squared_residuals_are_exact_for_equal_eigenvalues_and_near_for_others(rng):
    even = np.full(8, 0.5)
    exact = 0.5 * chi2.isf(0.01, 8)
    g, h = box(even.sum(), 2.0 * (even**2).sum())
    assert g * chi2.isf(0.01, h) == pytest.approx(exact, rel=1e-12)
    assert jackson_mudholkar(even, 0.01) == pytest.approx(exact, rel=2e-3)  # then Wilson and Hilferty's
    uneven = np.array([2.0, 1.0, 0.7, 0.4, 0.1])
    true = np.quantile((uneven * rng.standard_normal((400_000, 5)) ** 2).sum(axis=1), 0.99)
    g, h = box(uneven.sum(), 2.0 * (uneven**2).sum())
    assert g * chi2.isf(0.01, h) == pytest.approx(true, rel=0.05)  # two moments only: 4 % low here
    assert jackson_mudholkar(uneven, 0.01) == pytest.approx(true, rel=0.08)  # 6 % high


def test_a_component_monitor_calibrated_on_its_normal_batches_has_the_stated_rate(net, normal):
    one = component_monitor(sample(net, 1500, seed=4), limits=Limits.EMPIRICAL)
    share, *_ = false_alarms(one, normal)
    assert share == pytest.approx(0.01, abs=3.0 * np.sqrt(0.0099 * (1 / 1500 + 1 / 5000)))
    t2, spe = one.statistics(one.layout.values(normal))
    assert (t2.probabilities < 0.01).mean() == pytest.approx(0.01, abs=0.002)
    assert (spe.probabilities < 0.01).mean() == pytest.approx(0.01, abs=0.004)  # g chi2(h) is an approximation


def test_components_see_what_the_normal_batches_never_did(net):
    one = component_monitor(sample(net, 200, seed=4), time="h")
    found = detection(one, misread(sample(net, 100, seed=7), "P", 48, 0.0, bias=6.0), 48.0)
    assert found.within(0.0) > 0.9
    assert found.blamed().index[0] == "P"
    chart = watch(one, misread(sample(net, 1, seed=7), "P", 48, 0.0, bias=6.0).iloc[0])
    assert (chart.alarm.variable, chart.alarm.stage) == ("P", 48.0)


def test_scores_of_a_batch_with_holes_come_near_those_without(net):
    one = component_monitor(sample(net, 200, seed=4), 4)
    whole = one.departures(one.layout.values(sample(net, 100, seed=5)))
    holes = whole.copy()
    holes[:, 30] = np.nan
    plane = one.planes[-1]
    ours, theirs = plane.scores(holes), plane.scores(whole)
    assert np.corrcoef(ours[:, 0], theirs[:, 0])[0, 1] > 0.99


def test_what_is_certain_is_not_watched():
    nodes = [Node("V", 0, Kind.INPUT), Node("V", 1, Kind.INPUT)]
    net = network(nodes, {(nodes[0], nodes[1]): 1.0}, {"V": 2.0}, {("V", 0): 0.1, ("V", 1): 0.0})
    one = innovation_monitor(net, rate=0.05)
    share, *_ = false_alarms(one, sample(net, 4000, seed=3))
    assert share == pytest.approx(0.05, abs=4.0 * np.sqrt(0.05 * 0.95 / 4000))


def test_bad_input_is_named(net):
    batches = sample(net, 40, seed=1)
    holes = batches.mask(batches == batches.iloc[3, 5])
    flat = batches.copy()
    flat["X", 0.0] = 1.0
    line = Graph((Node("A", 0), Node("B", 0), Node("C", 1)), ((("A", 0), ("C", 1)), (("B", 0), ("C", 1))))
    rising = pd.DataFrame(
        {("A", 0.0): np.arange(6.0), ("B", 0.0): 2 * np.arange(6.0), ("C", 1.0): [1, 3, 2, 5, 4, 6.0]}
    )
    rising.columns = pd.MultiIndex.from_tuples(rising.columns)
    copied = rising.copy()
    copied["C", 1.0] = copied["A", 0.0]
    cases = [
        (lambda: component_monitor(holes), "the normal batches lack values of"),
        (lambda: component_monitor(flat), "X at 0 is constant in the normal batches"),
        (lambda: component_monitor(batches[:5]), "at least 10 normal batches, got 5"),
        (lambda: component_monitor(batches, limits=Limits.EMPIRICAL), "needs at least 100 normal batches, got 40"),
        (lambda: component_monitor(batches, components=0), "components must be a whole number"),
        (lambda: component_monitor(batches, explained=2.0), "explained must be between 0 and 1"),
        (lambda: innovation_monitor(net, rate=1.0), "rate must be the share of false alarms"),
        (lambda: innovation_monitor(net, weight=0.0), "weight must be above 0"),
        (lambda: detection(innovation_monitor(net), batches, 7.0), "the fault begins at 7"),
        (lambda: screen(innovation_monitor(net), rising), "none of its measurements is in the batches"),
        (lambda: screen(innovation_monitor(net), batches.droplevel(1, axis=1)), r"by \(variable, stage\)"),
        (lambda: screen(innovation_monitor(net), batches.replace(batches.iloc[3, 5], np.inf)), "is infinite in row 3"),
        (lambda: learned_monitor(line, rising), r"causes of C at 1 \(A at 0, B at 0\) move together"),
        (lambda: learned_monitor(net.graph, batches[:4]), "P at 12 has 3 causes and is measured in 4 batches"),
    ]
    for call, words in cases:
        with pytest.raises(SpecificationError, match=words):
            call()
    alone = Graph((Node("A", 0), Node("C", 1)), ((("A", 0), ("C", 1)),))
    with pytest.raises(SpecificationError, match="C at 1 follows from its causes without noise"):
        learned_monitor(alone, copied)
