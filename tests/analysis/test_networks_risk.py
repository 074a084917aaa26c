"""Are shares of a variance right? Closed forms, the definition over all orders, brute force, a known function."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from tests.analysis.network_toys import CHAIN, chain, fermentation, inverted, random_network, sources
from titer.analysis.networks import Graph, Node, risk, risk_from, shapley, shapley_of
from titer.analysis.networks.any_function import walked
from titer.analysis.networks.orders import orders
from titer.analysis.networks.shapley import exact
from titer.numerics.errors import SpecificationError


def covariance_of(rng, size, rank=None):
    root = rng.normal(size=(size, rank or size))
    return root @ root.T


def by_definition(weights, covariance):
    """Mean gains of Var(E[Y | X_S]) over all orders, by pseudo-inverses."""
    with_y, p = covariance @ weights, len(weights)

    def explained(known):
        known = list(known)
        return with_y[known] @ np.linalg.pinv(covariance[np.ix_(known, known)], rcond=1e-10) @ with_y[known]

    found = np.zeros(p)
    every = list(permutations(range(p)))
    for order in every:
        for k, i in enumerate(order):
            found[i] += (explained(order[: k + 1]) - explained(order[:k])) / len(every)
    return found


def test_the_chain_of_three_shares_its_variance_in_closed_form():
    found = risk(chain(), ("C", 2))
    through = CHAIN["a"] * CHAIN["b"] - 0.4
    parts = np.array([through * CHAIN["v_1"], CHAIN["b"] * CHAIN["v_2"], CHAIN["v_3"]]) ** 2
    np.testing.assert_allclose(found.contribution, parts, rtol=1e-13)
    np.testing.assert_allclose(found.shares, parts / parts.sum(), rtol=1e-13)
    np.testing.assert_allclose(found.effect, [through, CHAIN["b"], 1.0], rtol=1e-13)


def test_contributions_sum_to_the_variance(rng):
    for _ in range(5):
        net = random_network(rng)
        found = risk(net, net.graph.nodes[-1])
        assert found.contribution.sum() == pytest.approx(net.covariance[-1, -1], rel=1e-10)
        assert found.shares.sum() == pytest.approx(1.0, abs=1e-10)
        assert found.by_stage().sum() == pytest.approx(1.0, abs=1e-10)
        assert found.by_variable().sum() == pytest.approx(1.0, abs=1e-10)
        assert found.contribution.min() >= 0.0
        assert not found.error.any()


def test_given_measurements_the_shares_sum_to_the_variance_that_is_left(rng):
    for _ in range(4):
        net = random_network(rng)
        seen = [2, 4, 7]
        found = risk(net, net.graph.nodes[-1], [net.graph.nodes[i] for i in seen])
        S = net.covariance
        left = S[-1, -1] - S[-1, seen] @ np.linalg.solve(S[np.ix_(seen, seen)], S[seen, -1])
        assert found.variance == pytest.approx(left, rel=1e-9)
        assert found.contribution.sum() == pytest.approx(left, rel=1e-9)
        assert found.unconditional == pytest.approx(S[-1, -1], rel=1e-12)
        gamma, Q = inverted(net)[:, seen], sources(net)
        given = Q - Q @ gamma @ np.linalg.solve(gamma.T @ Q @ gamma, gamma.T @ Q)
        np.testing.assert_allclose(found.contribution, shapley(found.effect, given).values, atol=1e-9 * left)


def test_when_all_is_known_up_to_a_stage_later_sources_carry_the_rest():
    net = fermentation()
    found = risk_from(net, ("purity", 96.0), 48.0)
    late = np.array([n.stage > 48.0 for n in net.graph.nodes])
    plain = risk(net, ("purity", 96.0))
    np.testing.assert_allclose(found.contribution, np.where(late, plain.contribution, 0.0), atol=1e-12)
    assert found.variance == pytest.approx(plain.contribution[late].sum(), rel=1e-12)
    with pytest.raises(SpecificationError, match=r"purity at 96 is itself known at stage 96; give an earlier"):
        risk_from(net, ("purity", 96.0), 96.0)


def test_shapley_effects_are_their_definition(rng):
    for rank in (5, 3):  # regular, and with causes that are known once others are
        weights, covariance = rng.normal(size=5), covariance_of(rng, 5, rank)
        found = shapley(weights, covariance)
        np.testing.assert_allclose(found.values, by_definition(weights, covariance), rtol=1e-8, atol=1e-10)
        assert found.values.sum() == pytest.approx(found.variance, rel=1e-12)


def test_two_correlated_causes_share_what_they_have_in_common_evenly():
    a, b, r = 2.0, 3.0, 0.6  # Y = a X_1 + b X_2: Owen & Prieur (2017), theorem 2
    found = shapley(np.array([a, b]), np.array([[1.0, r], [r, 1.0]]))
    common = r * a * b + 0.5 * r**2 * (b**2 - a**2)
    np.testing.assert_allclose(found.values, [a**2 * (1 - 0.0) + common, b**2 + 2 * r * a * b - common], rtol=1e-12)


def test_independent_blocks_may_be_treated_apart(rng):
    weights = rng.normal(size=7)
    covariance = np.zeros((7, 7))
    covariance[:3, :3], covariance[3:, 3:] = covariance_of(rng, 3), covariance_of(rng, 4)
    mixed = rng.permutation(7)
    found = shapley(weights[mixed], covariance[np.ix_(mixed, mixed)]).values
    whole = exact(weights[None], covariance[None], [[i] for i in range(7)])[0]
    np.testing.assert_allclose(found, whole[mixed], rtol=1e-10)


def test_a_group_counts_as_one_player(rng):
    weights, covariance = rng.normal(size=4), covariance_of(rng, 4)
    found = shapley(weights, covariance, groups=[[0, 2], [1], [3]])
    assert found.values.sum() == pytest.approx(found.variance, rel=1e-12)
    alone = shapley(weights, covariance, groups=[[0, 1, 2, 3]])
    np.testing.assert_allclose(alone.values, [found.variance], rtol=1e-12)
    with pytest.raises(SpecificationError, match=r"each of 0 \.\.\. 3 once"):
        shapley(weights, covariance, groups=[[0, 2], [1]])


def test_many_correlated_causes_are_sampled_within_their_standard_error(rng):
    size = 17  # one more than is enumerated by itself
    weights, covariance = rng.normal(size=size), covariance_of(rng, size)
    found = shapley(weights, covariance, seed=1)
    whole = exact(weights[None], covariance[None], [[i] for i in range(size)])[0]
    assert found.values.sum() == pytest.approx(found.variance, rel=1e-10)
    assert np.all(found.errors > 0.0)
    assert np.sqrt((((found.values - whole) / found.errors) ** 2).mean()) < 2.0
    assert found.errors.max() < 0.01 * found.variance


def test_quasi_random_orders_are_permutations_with_their_reverses_each_as_often():
    drawn = np.concatenate(list(orders(512, 5, 4, seed=0)))
    assert np.array_equal(np.sort(drawn, axis=1), np.tile(np.arange(5), (len(drawn), 1)))
    half = drawn[:256], drawn[256:512]
    assert np.array_equal(half[0][:, ::-1], half[1])
    counts = np.array([[np.mean(drawn[:, k] == i) for i in range(5)] for k in range(5)])
    error = np.sqrt(0.2 * 0.8 / len(drawn))  # of as many random orders
    assert np.sqrt(((counts - 0.2) ** 2).mean()) < error


def test_the_sampler_for_any_function_agrees_with_the_closed_form_of_a_linear_one(rng):
    weights, covariance, mean = rng.normal(size=4), covariance_of(rng, 4), rng.normal(size=4)
    found = shapley_of(lambda x: x @ weights + 3.0, mean, covariance, count=256, seed=2)
    closed = shapley(weights, covariance)
    assert np.abs((found.values - closed.values) / found.errors).max() < 3.5
    assert found.values.sum() == pytest.approx(found.variance, rel=1e-12)
    assert found.variance == pytest.approx(closed.variance, rel=0.03)  # of 2 * 2048 random squares: 0.02
    assert found.errors.max() < 0.02 * closed.variance


def test_a_known_nonlinear_function_has_its_shapley_effects():
    """Ishigami: sin x_1 + 7 sin(x_2)^2 + 0.1 x_3^4 sin x_1, x uniform on +-pi; 1 and 3 halve what they share."""
    from scipy.special import ndtr

    def ishigami(z):
        x = np.pi * (2.0 * ndtr(z) - 1.0)
        return np.sin(x[:, 0]) + 7.0 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])

    first = 0.5 * (1.0 + 0.1 * np.pi**4 / 5.0) ** 2
    shared = 0.1**2 * np.pi**8 * 8.0 / 225.0
    expected = np.array([first + shared / 2.0, 49.0 / 8.0, shared / 2.0])
    found = shapley_of(ishigami, np.zeros(3), np.eye(3), count=1024, seed=3)
    assert np.abs((found.values - expected) / found.errors).max() < 3.5
    assert found.errors.max() < 0.01 * expected.sum()


def test_quasi_random_numbers_and_reverses_pay(rng):
    """From as many runs, less than half of the variance that random orders and inputs leave."""
    weights, covariance = np.array([1.0, 2.0, -1.0]), np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 1.0]])
    count, replicates, mean = 4096, 64, np.zeros(3)
    ours = shapley_of(lambda x: x @ weights, mean, covariance, count, replicates, seed=4).errors * np.sqrt(replicates)
    found = []
    for _ in range(replicates):
        order = rng.permuted(np.tile(np.arange(3), (count, 1)), axis=1)
        drawn = rng.standard_normal((2, count, 3))
        found.append(walked(lambda x: x @ weights, mean, covariance, order, *drawn))
    random = np.std(found, axis=0, ddof=1)
    assert np.all(ours**2 < 0.5 * random**2)


@pytest.mark.parametrize(
    ("function", "covariance", "more", "words"),
    [
        (lambda x: x[:, 0] * np.nan, np.eye(2), {}, "that are not finite"),
        (lambda x: x[0], np.eye(2), {}, "must return"),
        (lambda x: x[:, 0], np.array([[1.0, 2.0], [2.0, 1.0]]), {}, "a correlation exceeds 1"),
        (lambda x: x[:, 0], np.eye(3), {}, "covariance of 2 x 2"),
        (lambda x: x[:, 0], np.eye(2), {"count": 0}, "count must be a whole number"),
    ],
)
def test_bad_input_to_the_sampler_is_named(function, covariance, more, words):
    with pytest.raises(SpecificationError, match=words):
        shapley_of(function, np.zeros(2), covariance, **more)


def test_nothing_varies_nothing_is_shared():
    found = shapley(np.ones(2), np.zeros((2, 2)))
    assert found.variance == 0.0
    assert not found.shares.any()
    with pytest.raises(SpecificationError, match="2 x 2"):
        shapley(np.ones(2), np.zeros((3, 3)))


def test_an_unknown_target_is_named():
    assert len(Graph((Node("A", 0),)).edges) == 0
    with pytest.raises(SpecificationError, match="Did you mean 'C at 2'"):
        risk(chain(), ("C", 3))
