"""Networks that tests draw from: a chain of three with closed forms, a small fermentation, random ones."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from titer.analysis.networks import Kind, Network, Node, network

CHAIN = {"a": 2.0, "b": 0.5, "v_1": 0.3, "v_2": 0.2, "v_3": 0.1}


def chain():
    """A -> B -> C and A -> C directly: C - mu = (a b + c) V_A + b V_B + V_C, with c = -1."""
    nodes = [Node("A", 0, Kind.INPUT), Node("B", 1), Node("C", 2, Kind.ATTRIBUTE, "g/L")]
    coefficients = {
        (("A", 0), ("B", 1)): CHAIN["a"],
        (("B", 1), ("C", 2)): CHAIN["b"],
        (("A", 0), ("C", 2)): -0.4,
    }
    return network(
        nodes, coefficients, {"A": 1.0, "B": 5.0, "C": 9.0}, {"A": CHAIN["v_1"], "B": CHAIN["v_2"], "C": CHAIN["v_3"]}
    )


def fermentation(stages=(0, 24, 48, 72, 96)):
    """Cells, nitrogen and product over time, two correlated inputs, a purity at the end: 19 nodes."""
    nodes = [Node("pH", 0, Kind.INPUT), Node("inoculum", 0, Kind.INPUT, "g/L"), Node("feed", stages[1], Kind.INPUT)]
    nodes += [Node(v, s, Kind.STATE, "g/L") for s in stages for v in ("X", "N", "P")]
    nodes += [Node("purity", stages[-1], Kind.ATTRIBUTE, "%")]
    edges = {
        (("inoculum", 0), ("X", 0)): 1.0,
        (("pH", 0), ("P", stages[1])): 0.5,
        (("feed", stages[1]), ("N", stages[2])): 1.0,
        (("P", stages[-1]), ("purity", stages[-1])): 0.6,
        (("N", stages[-1]), ("purity", stages[-1])): -0.8,
    }
    for now, then in pairwise(stages):
        edges |= {(("X", now), ("X", then)): 0.8, (("N", now), ("X", then)): 0.4}
        edges |= {(("N", now), ("N", then)): 0.7, (("X", now), ("N", then)): -0.3}
        edges |= {(("P", now), ("P", then)): 0.9, (("X", now), ("P", then)): 0.5}
    return network(
        nodes,
        edges,
        {"pH": 5.0, "inoculum": 1.0, "feed": 2.0, "X": 10.0, "N": 4.0, "P": 20.0, "purity": 95.0},
        {"pH": 0.3, "inoculum": 0.2, "feed": 0.3, "X": 0.5, "N": 0.3, "P": 0.6, "purity": 0.4},
        {(("pH", 0), ("inoculum", 0)): 0.03},
        time="h",
    )


def random_network(rng, size=12, density=0.4):
    """A network with random edges; a correlated group of its first three nodes."""
    nodes = [Node(f"x{i}", i // 3, Kind.ATTRIBUTE) for i in range(size)]
    edges = {(nodes[j], nodes[i]): rng.normal() for i in range(3, size) for j in range(i) if rng.random() < density}
    root = rng.normal(size=(3, 3))
    block = root @ root.T + 0.1 * np.eye(3)
    deviation = {n.address: rng.uniform(0.2, 2.0) for n in nodes}
    deviation |= {nodes[i].address: np.sqrt(block[i, i]) for i in range(3)}
    pairs = {(nodes[i], nodes[j]): block[i, j] for i in range(3) for j in range(i)}
    return network(nodes, edges, {n.address: rng.normal() for n in nodes}, deviation, pairs)


def inverted(given: Network):
    """Gamma by a matrix inverse, the second way."""
    return np.linalg.inv(np.eye(len(given.graph)) - given.matrix().toarray())


def sources(given: Network):
    """Q, put together by hand."""
    found = np.diag(given.deviations**2)
    for group, block in zip(given.graph.groups, given.blocks, strict=True):
        found[np.ix_(group, group)] = block
    return found
