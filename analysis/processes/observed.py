"""What of a network do data see? The network of measured variables alone, and its noise from finished batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from titer.analysis.networks import Graph, Kind, Network
from titer.analysis.networks.algebra import SINGULAR
from titer.analysis.networks.graph import Address
from titer.analysis.processes.process import planned_average
from titer.estimation.estimators.timeline import timeline_of
from titer.estimation.experiment import Experiment
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.operation import operations
from titer.numerics.errors import SpecificationError, unknown

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
_CONSTANT = 1e-9  # of a variable's largest size: a deviation below it is none
_NEAR = 1e-6  # of the last stage: how far a sample's time may be from it


def observed(network: Network, variables: Iterable[str]) -> Network:
    """The network of some variables: `observed(net, ["tank.X", "tank.P"])`, for `learn_network` and as its mechanism.

    Causes of a node are those it had, and those that acted on it through nodes that are left out. Coefficients and
    deviations are the regressions that the full network implies: of all networks with these edges the nearest (in the
    Kullback-Leibler sense), exact where what is left out acts on a single node only. Nodes that do not vary are left
    out as well. Raises SpecificationError for an unknown variable, and where nothing is left.
    """
    graph, wanted = network.graph, [str(v) for v in variables]
    for name in wanted:
        if name not in graph.variables:
            raise SpecificationError(f"observed: {unknown('variable', name, graph.variables)}")
    covariance = network.covariance
    spread = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    kept = [i for i, n in enumerate(graph.nodes) if n.name in wanted and spread[i] > _CONSTANT * _size(network, i)]
    if not kept:
        raise SpecificationError(f"observed: {', '.join(wanted)}: none of them varies.")
    groups = [tuple(graph.nodes[i].address for i in g if i in kept) for g in graph.groups]
    causes = {i: _causes(graph, i, set(kept)) for i in kept}
    edges = tuple((graph.nodes[j].address, graph.nodes[i].address) for i in kept for j in causes[i])
    smaller = Graph(tuple(graph.nodes[i] for i in kept), edges, tuple(g for g in groups if len(g) > 1), graph.time)
    coefficients: dict[tuple[Address, Address], float] = {}
    deviation: dict[Address, float] = {}
    for i in kept:
        found, left = _regression(covariance, spread, i, causes[i])
        deviation[graph.nodes[i].address] = left
        for j, value in zip(causes[i], found, strict=True):
            coefficients[graph.nodes[j].address, graph.nodes[i].address] = float(value)
    order = [graph.index(n) for n in smaller.nodes]
    return Network(
        smaller,
        network.mean[order],
        np.array([coefficients[e] for e in smaller.edges]),
        np.array([deviation[n.address] for n in smaller.nodes]),
        tuple(covariance[np.ix_(g, g)] for g in ([order[i] for i in group] for group in smaller.groups)),
    )


def noise_from(network: Network, batches: pd.DataFrame) -> Network:
    """The network with the noise that finished batches show: `noise_from(net, experiment_batches(data, plant, net))`.

    The deviation of a node becomes the standard deviation of what its causes leave of it, over the batches that
    measure it and all of them; coefficients and means stay. Noise of measurements is counted in. Nodes with fewer than
    two such batches, and correlated groups, keep theirs. Raises SpecificationError for a table of another form.
    """
    if batches.columns.nlevels != 2:
        raise SpecificationError("noise_from: columns must be by (variable, stage), as `unfolded` makes them.")
    graph = network.graph
    known = {(str(c[0]), float(c[1])): batches.iloc[:, i].to_numpy(float) for i, c in enumerate(batches.columns)}
    off = np.full((len(batches), len(graph)), np.nan)
    for i, node in enumerate(graph.nodes):
        if node.address in known:
            off[:, i] = known[node.address] - network.mean[i]
    left = off.copy()
    for e, (cause, effect) in enumerate(graph.ends):
        left[:, effect] -= network.coefficients[e] * off[:, cause]
    deviations = network.deviations.copy()
    together = {int(i) for group in graph.groups for i in group}
    for i in range(len(graph)):
        seen = left[np.isfinite(left[:, i]), i]
        if len(seen) > 1 and i not in together:
            deviations[i] = seen.std(ddof=1)
    return replace(network, deviations=deviations)


def experiment_batches(experiments: Sequence[Experiment], plant: Flowsheet, network: Network) -> pd.DataFrame:
    """Experiments as a row each, columns by (variable, stage): what was measured at the stages of a network, and its
    inputs as they were, averaged from their stage until the next.

    Replicates are averaged, units converted. Raises SpecificationError for experiments that do not fit the plant, and
    where nothing was measured at any stage.
    """
    import pandas as pd

    stages = network.graph.stages
    near = _NEAR * max(abs(stages[-1]), abs(stages[0]))
    rows = []
    for experiment in experiments:
        known = experiment.converted(plant)
        row = _inputs(known, plant, network)
        for stage in stages:
            at = known.frame[np.abs(known.frame.index.to_numpy(dtype=float) - stage) <= near]
            if len(at):
                row |= {(str(name), stage): float(v) for name, v in at.mean().items() if np.isfinite(v)}
        rows.append(row)
    columns = sorted({c for row in rows for c in row}, key=lambda c: (c[1], c[0]))
    own = {n.address for n in network.graph.nodes if n.kind is not Kind.INPUT}
    if not own & set(columns):
        raise SpecificationError(
            f"experiment_batches: nothing of the network was measured at {', '.join(f'{s:g}' for s in stages)}.\n"
            "  Give the network the times of the samples as its stages."
        )
    index = pd.MultiIndex.from_tuples(columns, names=["variable", "stage"])
    return pd.DataFrame([[row.get(c, np.nan) for c in columns] for row in rows], columns=index)


def _inputs(experiment: Experiment, plant: Flowsheet, network: Network) -> dict[Address, float]:
    """Input nodes of a network as they were in an experiment."""
    nodes = [n for n in network.graph.nodes if n.kind is Kind.INPUT]
    if not nodes:
        return {}
    planned = operations(plant, experiment.recipe, experiment.inputs)
    timeline = timeline_of(plant, planned, {}, ())
    found: dict[Address, float] = {}
    for node in nodes:
        later = [n.stage for n in nodes if n.name == node.name and n.stage > node.stage]
        average = planned_average(timeline, node.name, node.stage, min(later, default=float(timeline.ends[-1])))
        if average is not None:
            found[node.address] = average
    return found


def _size(network: Network, i: int) -> float:
    """The largest mean of a node's variable over the stages."""
    name = network.graph.nodes[i].name
    return max(abs(float(m)) for n, m in zip(network.graph.nodes, network.mean, strict=True) if n.name == name)


def _causes(graph: Graph, i: int, kept: set[int]) -> list[int]:
    """Kept nodes from which a path leads to node i through nodes that are left out only."""
    found: set[int] = set()
    front, seen = list(graph.parents[i]), set()
    while front:
        j = int(front.pop())
        if j in seen:
            continue
        seen.add(j)
        if j in kept:
            found.add(j)
        else:
            front += list(graph.parents[j])
    return sorted(found)


def _regression(covariance: Array, spread: Array, i: int, causes: list[int]) -> tuple[Array, float]:
    """Coefficients on causes, and the deviation that is left."""
    if not causes:
        return np.zeros(0), float(spread[i])
    size = spread[causes]
    correlation = covariance[np.ix_(causes, causes)] / np.outer(size, size)
    with_i = covariance[causes, i] / size
    scaled = np.linalg.lstsq(correlation, with_i, rcond=1e-12)[0]
    left = covariance[i, i] - float(scaled @ with_i)
    return scaled / size, float(np.sqrt(left)) if left > SINGULAR * covariance[i, i] else 0.0
