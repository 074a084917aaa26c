"""Is a network what its formula says? Closed forms, an inverse, brute-force conditioning, errors that name nodes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.analysis.network_toys import CHAIN, chain, fermentation, inverted, random_network, sources
from titer.analysis.networks import Graph, Kind, Network, Node, network, posterior, sample, update
from titer.analysis.networks.beliefs import Belief
from titer.numerics.errors import SpecificationError


def test_the_chain_of_three_has_its_closed_form():
    net = chain()
    a, b, c = CHAIN["a"], CHAIN["b"], -0.4
    v = np.array([CHAIN["v_1"], CHAIN["v_2"], CHAIN["v_3"]]) ** 2
    through = a * b + c
    np.testing.assert_allclose(net.effects[:, 2], [through, b, 1.0], rtol=1e-14)
    variance = through**2 * v[0] + b**2 * v[1] + v[2]
    np.testing.assert_allclose(net.covariance[2, 2], variance, rtol=1e-14)
    np.testing.assert_allclose(net.covariance[0, 2], through * v[0], rtol=1e-14)
    np.testing.assert_allclose(net.covariance[1, 2], a * through * v[0] + b * v[1], rtol=1e-14)


def test_gamma_is_the_inverse_and_the_covariance_follows_from_it(rng):
    for _ in range(5):
        net = random_network(rng)
        gamma = inverted(net)
        np.testing.assert_allclose(net.effects, gamma, rtol=1e-10, atol=1e-10)
        expected = gamma.T @ sources(net) @ gamma
        np.testing.assert_allclose(net.covariance, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_nodes_come_in_stage_order_causes_first_in_whatever_order_they_are_given():
    nodes = [Node("late", 2), Node("effect", 1), Node("cause", 1), Node("start", 0)]
    graph = Graph(tuple(nodes), ((("cause", 1), ("effect", 1)), (("start", 0), ("late", 2))))
    assert [n.name for n in graph.nodes] == ["start", "cause", "effect", "late"]
    assert graph.ends.tolist() == [[1, 2], [0, 3]]


def test_samples_have_the_mean_and_covariance(rng):
    net, count = random_network(rng), 40_000
    drawn = sample(net, count, seed=7).to_numpy()
    deviation = np.sqrt(np.diag(net.covariance))
    off = (drawn.mean(axis=0) - net.mean) / (deviation / np.sqrt(count))
    assert np.abs(off).max() < 4.0
    own = np.outer(deviation, deviation)
    spread = np.sqrt((own**2 + net.covariance**2) / count)  # of a sample covariance of normal variables
    assert (np.abs(np.cov(drawn.T) - net.covariance) / spread).max() < 4.5
    assert sample(net, 3, seed=7).equals(sample(net, 3, seed=7))


def test_conditioning_is_brute_force_gaussian_conditioning(rng):
    for _ in range(5):
        net = random_network(rng)
        seen = rng.choice(len(net.graph), 5, replace=False)
        rest = np.setdiff1d(np.arange(len(net.graph)), seen)
        values = net.mean[seen] + rng.normal(size=5)
        error = rng.uniform(0.0, 0.5, 5)
        S = net.covariance
        gain = S[np.ix_(rest, seen)] @ np.linalg.inv(S[np.ix_(seen, seen)] + np.diag(error**2))
        addresses = [net.graph.nodes[i].address for i in seen]
        found = posterior(net, dict(zip(addresses, values, strict=True)), dict(zip(addresses, error, strict=True)))
        np.testing.assert_allclose(found.mean[rest], net.mean[rest] + gain @ (values - net.mean[seen]), atol=1e-9)
        np.testing.assert_allclose(
            found.covariance[np.ix_(rest, rest)], S[np.ix_(rest, rest)] - gain @ S[np.ix_(seen, rest)], atol=1e-8
        )


def test_measurements_in_sequence_are_measurements_at_once(rng):
    net = fermentation()
    measured = sample(net, 1, seed=3).iloc[0]
    belief = Belief(net.graph, net.mean, net.covariance)
    for stage in net.graph.stages[:3]:
        belief = update(belief, measured[measured.index.get_level_values("stage") == stage])
    at_once = posterior(net, measured[measured.index.get_level_values("stage") <= 48.0])
    np.testing.assert_allclose(belief.mean, at_once.mean, rtol=1e-10)
    np.testing.assert_allclose(belief.covariance, at_once.covariance, atol=1e-12)
    assert at_once.of(("X", 48.0)) == pytest.approx((measured["X", 48.0], 0.0), abs=1e-7)


def test_nan_was_not_measured():
    net = fermentation()
    assert np.array_equal(posterior(net, {("X", 24.0): np.nan}).mean, net.mean)


def test_what_is_certain_may_be_measured_but_not_contradicted():
    nodes = [Node("V", 0, Kind.INPUT), Node("V", 1, Kind.INPUT)]
    net = network(nodes, {(nodes[0], nodes[1]): 1.0}, {"V": 2.0}, {nodes[0].address: 0.1, nodes[1].address: 0.0})
    assert posterior(net, {("V", 0): 2.1, ("V", 1): 2.1}).of(nodes[1]) == pytest.approx((2.1, 0.0))
    with pytest.raises(SpecificationError, match=r"V at 1 was measured as 2\.3, but is certain to be 2\.1"):
        posterior(net, {("V", 0): 2.1, ("V", 1): 2.3})
    found = posterior(net, {("V", 0): 2.1, ("V", 1): 2.3}, {"V": 0.05})
    assert 2.1 < found.of(nodes[0])[0] < 2.3


A, B, C = Node("A", 0), Node("B", 0), Node("C", 0)


@pytest.mark.parametrize(
    ("nodes", "edges", "words"),
    [
        ((A, B, C), ((A, B), (B, C), (C, A)), "A at 0 -> B at 0 -> C at 0 -> A at 0 act on one another in a circle"),
        ((A, B), ((A, A),), "A at 0 acts on itself"),
        ((A, B), ((A, ("X", 0)),), "the effect of an edge, 'X at 0' is unknown"),
        ((A, B), ((("AA", 0), B),), "Did you mean 'A at 0'"),
        ((A, Node("B", 1)), ((("B", 1), A),), "B at 1 acts on A at 0, which is earlier"),
        ((A, A), (), "A at 0 is declared twice"),
        ((A, B), ((A, B), (A, B)), "A at 0 -> B at 0 is declared twice"),
        ((A, Node("bias", 0, Kind.NOISE)), ((A, ("bias", 0)),), "bias at 0 is noise and has a cause, A at 0"),
        (
            (A, B, Node("A", 2), Node("B", 1), Node("B", 2)),
            (),
            r"state A has no node at 1, between its first stage \(0\)",
        ),
        ((), (), "at least one node"),
    ],
)
def test_a_graph_that_cannot_be_is_refused_by_name(nodes, edges, words):
    with pytest.raises(SpecificationError, match=words):
        Graph(nodes, edges)


def test_correlated_nodes_have_no_causes():
    with pytest.raises(SpecificationError, match="B at 0 is in a correlated group and has a cause, C at 0"):
        Graph((A, B, C), ((C, B),), ((A, B),))
    with pytest.raises(SpecificationError, match="A at 0 stands twice in correlated groups"):
        Graph((A, B, C), (), ((A, B), (A, C)))


@pytest.mark.parametrize(
    ("mean", "deviation", "covariances", "words"),
    [
        ({"A": 1.0}, {"A": 1.0, "B": 1.0}, {}, "mean is missing for B at 0"),
        ({"A": 1.0, "B": 1.0, "Q": 1.0}, {"A": 1.0, "B": 1.0}, {}, "mean of Q: no such variable"),
        ({"A": 1.0, "B": 1.0}, {"A": 1.0, "B": -1.0}, {}, "standard deviation of B at 0 is negative"),
        ({"A": 1.0, "B": 1.0}, {"A": 1.0, "B": 1.0}, {(A, B): 1.1}, "covariance of A at 0, B at 0 is not positive"),
        ({"A": 1.0, "B": np.nan}, {"A": 1.0, "B": 1.0}, {}, "mean must be 2 finite numbers"),
    ],
)
def test_numbers_that_cannot_be_are_refused_by_name(mean, deviation, covariances, words):
    with pytest.raises(SpecificationError, match=words):
        network((A, B), {}, mean, deviation, covariances)


def test_blocks_repeat_the_deviations():
    graph = Graph((A, B), (), ((A, B),))
    with pytest.raises(SpecificationError, match="variances of A at 0, B at 0 are not their squared deviations"):
        Network(graph, np.zeros(2), np.zeros(0), np.ones(2), (np.eye(2) * 2.0,))
    with pytest.raises(SpecificationError, match="expected 1 covariance blocks"):
        Network(graph, np.zeros(2), np.zeros(0), np.ones(2))


def test_addresses_are_checked_at_the_door():
    net = chain()
    with pytest.raises(SpecificationError, match="node 'A at 7' is unknown"):
        posterior(net, {("A", 7): 1.0})
    with pytest.raises(SpecificationError, match="addressed by"):
        posterior(net, {"A": 1.0})
    with pytest.raises(SpecificationError, match="measured as inf"):
        posterior(net, {("A", 0): np.inf})
    with pytest.raises(SpecificationError, match="at least 0"):
        posterior(net, {("A", 0): 1.0}, {"A": -1.0})


def test_frames_are_by_variable_and_stage():
    frame = fermentation().frame()
    assert frame.index.names == ["variable", "stage"]
    assert frame.loc[("X", 0.0), "deviation"] == pytest.approx(np.hypot(0.5, 0.2))
    assert frame.loc[("purity", 96.0), "unit"] == "%"
