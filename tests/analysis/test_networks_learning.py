"""Are learned networks right? Exact posteriors by quadrature, least squares in the limit, missing data, coverage."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import invgamma, multivariate_normal
from scipy.stats import t as t_distribution

from tests.analysis.network_toys import chain, fermentation
from titer.analysis.networks import (
    Graph,
    Kind,
    Node,
    Prior,
    fit_network,
    learn_network,
    model_sources,
    network,
    risk,
    risk_draws,
    sample,
    unfolded,
)
from titer.analysis.networks.chains import effective_size, r_hat
from titer.numerics.errors import SpecificationError

LINE = Graph((Node("A", 0), Node("B", 1)), ((("A", 0), ("B", 1)),))


def quadrature(y, Z, prior):
    """Posterior mean and variance of the coefficients: given u^2 it is normal; over u^2 by integration."""
    spread = np.array([prior.mean, *[prior.coefficient] * (Z.shape[1] - 1)]) ** 2
    grid = np.exp(np.linspace(np.log(1e-5), np.log(1e3), 4000))
    weight, means, seconds = [], [], []
    for variance in grid:
        marginal = multivariate_normal(np.zeros(len(y)), variance * np.eye(len(y)) + (Z * spread) @ Z.T)
        weight.append(invgamma.logpdf(variance, prior.shape, scale=prior.scale) + marginal.logpdf(y) + np.log(variance))
        inner = np.linalg.inv(Z.T @ Z / variance + np.diag(1.0 / spread))
        means.append(inner @ Z.T @ y / variance)
        seconds.append(np.diag(inner) + means[-1] ** 2)
    share = np.exp(np.array(weight) - max(weight))
    share /= share.sum()
    mean = share @ np.array(means)
    return mean, share @ np.array(seconds) - mean**2


@pytest.mark.parametrize("missing", [0, 5])
def test_gibbs_agrees_with_the_posterior_by_quadrature(missing):
    """Batches that lack an effect that nothing follows from tell nothing of it: the others' posterior is exact."""
    batches, prior = sample(chain(), 8 + missing, seed=5), Prior(coefficient=1.0, shape=2.0, scale=0.5)
    batches.iloc[8:, 2] = np.nan
    found = learn_network(chain().graph, batches, prior, draws=4000, seed=1)
    values = batches.to_numpy()
    center, scale = np.nanmean(values, axis=0), np.nanstd(values, axis=0, ddof=1)
    y = ((values - center) / scale)[:8]
    mean, variance = quadrature(y[:, 2], np.column_stack([np.ones(8), y[:, :2]]), prior)
    for place, slot in ((0, 1), (1, 2)):
        drawn = found.of((found.graph.nodes[place], ("C", 2))) * scale[place] / scale[2]
        error = np.sqrt(variance[slot] / effective_size(drawn.reshape(4, -1, 1))[0])
        assert abs(drawn.mean() - mean[slot]) < 4.0 * error
        assert drawn.var() == pytest.approx(variance[slot], rel=0.1)


def test_with_a_flat_prior_gibbs_and_the_closed_form_are_least_squares_and_students_t():
    batches, flat = sample(chain(), 12, seed=6), Prior(coefficient=1e4, mean=1e4, shape=1e-6, scale=1e-9)
    x = batches.to_numpy()
    Z = np.column_stack([np.ones(12), x[:, :2]])
    solution, residual, *_ = np.linalg.lstsq(Z, x[:, 2])
    fitted = fit_network(chain().graph, batches, flat)
    table = fitted.table()
    np.testing.assert_allclose(table["value"].iloc[1:], solution[1:], rtol=1e-6)
    classical = np.sqrt(residual[0] / (12 - 3) * np.diag(np.linalg.inv(Z.T @ Z)))[1:]  # t with n - 3 degrees of freedom
    np.testing.assert_allclose(table["scale"].iloc[1:], classical, rtol=1e-5)
    half = 0.5 * (table["upper"] - table["lower"]).iloc[1:]
    np.testing.assert_allclose(half, t_distribution.ppf(0.975, 9) * classical, rtol=1e-5)
    drawn = learn_network(chain().graph, batches, flat, draws=4000, seed=2)
    for k, place in enumerate((0, 1)):
        one = drawn.of((drawn.graph.nodes[place], ("C", 2)))
        low, high = np.quantile(one, [0.025, 0.975])
        assert high - low == pytest.approx(2.0 * 2.262 * classical[k], rel=0.08)  # t(9) at 97.5 %
        assert 0.5 * (high + low) == pytest.approx(solution[1 + k], abs=0.15 * classical[k])


def test_the_closed_forms_draws_have_its_moments():
    fitted = fit_network(chain().graph, sample(chain(), 20, seed=1))
    drawn, table = fitted.draws(40_000, seed=3), fitted.table()
    for k, (edge, row) in enumerate(zip(fitted.graph.edges, table.itertuples(), strict=True)):
        values = drawn.of(edge)
        assert values.mean() == pytest.approx(row.value, abs=4.0 * values.std() / 200.0), k
        np.testing.assert_allclose(
            np.quantile(values, [0.025, 0.975]), [row.lower, row.upper], atol=0.06 * values.std()
        )
    np.testing.assert_allclose(fitted.network.coefficients, table["value"], rtol=1e-12)


def test_many_batches_with_holes_give_the_network_back():
    net = fermentation()
    rng = np.random.default_rng(0)
    batches = sample(net, 400, seed=4)
    batches = batches.mask(rng.random(batches.shape) < 0.1)
    found = learn_network(net.graph, batches, draws=150, warm_up=100, seed=1)
    p = found.parameters
    for drawn, true in ((p.coefficients, net.coefficients), (p.mean, net.mean), (p.deviations, net.deviations)):
        z = (drawn.mean(axis=0) - true) / drawn.std(axis=0)
        assert np.sqrt((z**2).mean()) < 1.5
        assert np.abs(z).max() < 4.0
    np.testing.assert_allclose(np.median(p.blocks[0], axis=0), net.blocks[0], atol=0.015)  # sampling error: 0.005
    typical = found.network()
    assert risk(typical, ("purity", 96)).variance == pytest.approx(net.covariance[-1, -1], rel=0.25)


def test_holes_at_random_do_not_bias_and_widen():
    batches = sample(chain(), 40, seed=8)
    holes = batches.copy()
    holes.iloc[:20, 1] = np.nan  # B of half of the batches
    whole = learn_network(chain().graph, batches, seed=1).of((("A", 0), ("B", 1)))
    half = learn_network(chain().graph, holes, seed=1).of((("A", 0), ("B", 1)))
    alone = learn_network(chain().graph, batches.iloc[20:], seed=1).of((("A", 0), ("B", 1)))
    assert whole.std() < half.std() < alone.std() * 1.05
    assert abs(half.mean() - 2.0) < 3.0 * half.std()


def test_a_mechanism_narrows_what_few_batches_leave_open():
    net = chain()
    batches = sample(net, 5, seed=2)
    vague = learn_network(net.graph, batches, seed=1)
    told = learn_network(net.graph, batches, Prior(mechanism=net, trust=0.05), seed=1)
    for edge, true in zip(net.graph.edges, net.coefficients, strict=True):
        assert told.of(edge).std() < 0.5 * vague.of(edge).std()
        assert abs(told.of(edge).mean() - true) < 2.5 * told.of(edge).std()
    learn_network(
        net.graph, batches.iloc[:3], Prior(mechanism=net), draws=50, seed=1
    )  # fewer than causes + 2: no error


def test_draws_depend_on_the_seed_only():
    batches = sample(chain(), 8, seed=5)
    one, same, other = (learn_network(chain().graph, batches, draws=20, seed=s).mean_of(("C", 2)) for s in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_units_do_not_matter():
    batches = sample(chain(), 10, seed=5)
    one = learn_network(chain().graph, batches, draws=20, seed=1).of((("A", 0), ("B", 1)))
    scaled = batches * [1000.0, 1.0, 1.0]
    other = learn_network(chain().graph, scaled, draws=20, seed=1).of((("A", 0), ("B", 1)))
    np.testing.assert_allclose(one, 1000.0 * other, rtol=1e-9)


def test_the_effective_size_of_an_autoregression_is_known():
    rng, count, rho = np.random.default_rng(1), 20_000, 0.8
    noise = rng.standard_normal((4, count))
    drawn = np.zeros((4, count))
    for k in range(1, count):
        drawn[:, k] = rho * drawn[:, k - 1] + np.sqrt(1 - rho**2) * noise[:, k]
    expected = 4 * count * (1 - rho) / (1 + rho)
    assert effective_size(drawn[:, :, None])[0] == pytest.approx(expected, rel=0.1)
    assert r_hat(drawn[:, :, None])[0] == pytest.approx(1.0, abs=0.005)


def test_chains_that_disagree_are_noticed():
    rng = np.random.default_rng(1)
    drawn = rng.standard_normal((4, 500, 2))
    drawn[0, :, 0] += 1.0
    drawn[0, :, 1] *= 3.0
    assert (r_hat(drawn) > 1.05).all()  # location and spread
    assert r_hat(rng.standard_normal((4, 500, 1)))[0] < 1.01


def test_shares_of_draws_sum_to_one_and_model_risk_shrinks_with_batches():
    net = fermentation()
    few, many = (
        risk_draws(learn_network(net.graph, sample(net, n, 3), draws=100, seed=1), ("purity", 96)) for n in (8, 64)
    )
    np.testing.assert_allclose(few.shares.sum(axis=1), 1.0, atol=1e-10)
    assert few.table()["share"].sum() == pytest.approx(1.0, abs=1e-10)
    assert few.by_stage()["share"].sum() == pytest.approx(1.0, abs=1e-10)
    assert many.model_variance < 0.4 * few.model_variance  # goes as 1 / batches
    assert many.process_variance == pytest.approx(net.covariance[-1, -1], rel=0.5)
    low, _, high = few.deviation_interval()
    assert low < np.sqrt(net.covariance[-1, -1]) < high


def test_the_law_of_total_variance_holds_over_draws():
    net = fermentation()
    drawn = learn_network(net.graph, sample(net, 15, 3), draws=100, seed=1)
    found = risk_draws(drawn, ("purity", 96))
    rng = np.random.default_rng(1)
    values = np.concatenate(
        [found.means[k] + np.sqrt(found.variances[k]) * rng.standard_normal(500) for k in range(len(found.means))]
    )
    assert values.var() == pytest.approx(found.process_variance + found.model_variance, rel=0.03)
    one = drawn.network(7)
    assert found.variances[7] == pytest.approx(one.covariance[-1, -1], rel=1e-10)
    np.testing.assert_allclose(found.shares[7], risk(one, ("purity", 96)).shares, atol=1e-10)


def test_model_risk_comes_from_the_regressions_it_comes_from():
    """Of the mean of C: V_A, V_B, V_C over n in closed form; the rest, of products, is of order 1 / n smaller."""
    net, count = chain(), 60
    drawn = fit_network(net.graph, sample(net, count, seed=3)).draws(4000, seed=1)
    found = model_sources(drawn, lambda p: p.mean[:, 2], count=512, seed=2)
    expected = risk(drawn.network(), ("C", 2)).contribution / count
    np.testing.assert_allclose(found.contribution, expected, rtol=0.25, atol=4.0 * found.errors.max())
    assert found.variance == pytest.approx(risk_draws(drawn, ("C", 2)).model_variance, rel=0.15)
    assert found.table()["share"].sum() == pytest.approx(1.0, abs=1e-10)
    own = model_sources(drawn, lambda p: p.deviations[:, 1], seed=2).table()["share"]
    np.testing.assert_allclose(own, [0.0, 1.0, 0.0], atol=1e-12)
    with pytest.raises(SpecificationError, match="a finite number for each"):
        model_sources(drawn, lambda p: p.mean)
    with pytest.raises(SpecificationError, match="count must be"):
        model_sources(drawn, lambda p: p.mean[:, 2], count=0)


def test_mixed_draws_of_one_draw_are_that_draw():
    from titer.analysis.networks.model_sources import _Mixer

    net = fermentation()
    drawn = fit_network(net.graph, sample(net, 12, seed=3)).draws(20).parameters
    mixed = _Mixer(drawn).mixed(np.full((1, len(net.graph)), 7))
    np.testing.assert_allclose(mixed.mean[0], drawn.mean[7], rtol=1e-12)
    np.testing.assert_array_equal(mixed.blocks[0][0], drawn.blocks[0][7])
    found = model_sources(fit_network(net.graph, sample(net, 12, seed=3)).draws(200), lambda p: p.mean[:, -1])
    assert found.contribution[0] == found.contribution[1]  # a correlated group is one


def test_a_tidy_table_is_unfolded():
    tidy = pd.DataFrame({"batch": [1, 1, 2, 2], "time": [0, 1, 0, 1], "tag": list("ABAB"), "value": [1.0, 2, 3, 4]})
    wide = unfolded(tidy)
    assert wide["A", 0].tolist() == [1.0, 3.0]
    with pytest.raises(SpecificationError, match="A at 0 stands twice for batch 1"):
        unfolded(pd.concat([tidy, tidy]))
    with pytest.raises(SpecificationError, match="missing: tag"):
        unfolded(tidy.drop(columns="tag"))


def frame(**columns):
    """Columns A0=..., B1=... by (variable, stage)."""
    wide = pd.DataFrame({(k[0], float(k[1:])): v for k, v in columns.items()})
    wide.columns = pd.MultiIndex.from_tuples(wide.columns, names=["variable", "stage"])
    return wide


RISING = np.arange(5.0)


@pytest.mark.parametrize(
    ("batches", "words"),
    [
        (frame(A0=RISING, B1=np.full(5, 2.0)), r"B at 1 is 2 in all 5 batches .* constant column"),
        (frame(A0=RISING), "no batch measures B at 1"),
        (frame(A0=RISING, B2=RISING**2), "no batch measures B at 1"),
        (frame(A0=RISING[:2], B1=RISING[:2]), "B at 1 has 1 causes and is measured in 2 batches; .* need at least 3"),
        (frame(A0=RISING, B1=[1.0, 2.0, np.inf, 4.0, 5.0]), "B at 1 is infinite in row 2"),
        (pd.DataFrame({"A": RISING, "B": RISING}), r"columns must be by \(variable, stage\)"),
    ],
)
@pytest.mark.parametrize("verb", [learn_network, fit_network])
def test_batches_that_say_nothing_are_refused_by_name(batches, words, verb):
    with pytest.raises(SpecificationError, match=words):
        verb(LINE, batches)


def test_fewer_batches_than_causes_is_named_with_the_causes():
    nodes = (*(Node(f"x{i}", 0, Kind.INPUT) for i in range(7)), Node("y", 1, Kind.ATTRIBUTE))
    graph = Graph(nodes, tuple((n, nodes[-1]) for n in nodes[:-1]))
    wide = pd.DataFrame(np.random.default_rng(1).normal(size=(8, 8)), columns=[n.address for n in nodes])
    wide.columns = pd.MultiIndex.from_tuples(wide.columns)
    with pytest.raises(
        SpecificationError, match=r"y at 1 has 7 causes and is measured in 8 batches(.|\n)*causes: x0 at 0"
    ):
        learn_network(graph, wide)


def test_settings_are_checked():
    with pytest.raises(SpecificationError, match="draws must be a whole number of at least 4"):
        learn_network(LINE, frame(A0=RISING, B1=RISING**2), draws=1)
    with pytest.raises(SpecificationError, match="Prior: scale must be a positive number"):
        Prior(scale=0.0)
    drawn = learn_network(LINE, frame(A0=RISING, B1=RISING**2), draws=4)
    with pytest.raises(SpecificationError, match="there is no edge B at 1 -> A at 0"):
        drawn.of((("B", 1), ("A", 0)))
    with pytest.raises(SpecificationError, match="no number 99"):
        drawn.network(99)


def synthetic(seed):
    """A random process of three variables in four stages."""
    rng = np.random.default_rng(seed)
    nodes = [Node(v, k) for k in range(4) for v in "XNP"]
    edges = {
        ((a, k), (b, k + 1)): rng.normal(0.0, 0.8)
        for k, a, b in product(range(3), "XNP", "XNP")
        if a == b or rng.random() < 0.5
    }
    deviation = {n.address: rng.uniform(0.2, 1.0) for n in nodes}
    return network(nodes, edges, {"X": 10.0, "N": 4.0, "P": 1.0}, deviation), rng


def test_exact_intervals_from_eight_batches_cover_the_true_coefficients_92_to_98_percent_of_the_time():
    covered = []
    for seed in range(200):
        net, _ = synthetic(seed)
        table = fit_network(net.graph, sample(net, 8, seed)).table()
        covered += list((table["lower"] <= net.coefficients) & (net.coefficients <= table["upper"]))
    assert len(covered) > 3000
    assert 0.92 <= np.mean(covered) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize(("batches", "missing", "problems"), [(8, 0.0, 200), (15, 0.1, 60)])
def test_95_percent_intervals_cover_the_true_coefficients_92_to_98_percent_of_the_time(batches, missing, problems):
    covered, shares = [], []
    for seed in range(problems):
        net, rng = synthetic(seed)
        data = sample(net, batches, seed)
        drawn = learn_network(net.graph, data.mask(rng.random(data.shape) < missing), draws=150, warm_up=60, seed=seed)
        low, high = np.quantile(drawn.parameters.coefficients, [0.025, 0.975], axis=0)
        covered += list((low <= net.coefficients) & (net.coefficients <= high))
        table, true = risk_draws(drawn, ("P", 3)).table(), risk(net, ("P", 3)).shares
        shares += list((table["lower"] <= true + 1e-12) & (true <= table["upper"] + 1e-12))
    assert 0.92 <= np.mean(covered) <= 0.98
    assert 0.92 <= np.mean(shares) <= 0.98
