"""What will this batch come to, and why? The expected attribute given what was measured, as a sum of causes.

Measurements are taken in the order of the process. Each brings an innovation, what was measured less what was expected
from all before, and moves the expectation by gain times innovation: "nitrogen at 24 h, 0.8 g/L below expectation: -6
g/L". The moves sum exactly to the prediction less the mean. Over draws of a learned network the spread is E[variance]
(process noise) and Var[expectation] (model risk), and intervals are quantiles of the mixture of normals. A batch under
way does not change what is believed of the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.analysis.networks.beliefs import Measured, readings
from titer.analysis.networks.draws import Draws
from titer.analysis.networks.graph import Address, Graph, Node, address_of
from titer.analysis.networks.network import Network, by_address
from titer.analysis.networks.scores import crps_of_mixture, mixture_cdf, mixture_quantile
from titer.analysis.networks.telling import told
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Prediction:
    """What `target` will be, by draws of the network (one, where the network is given).

    `means` and `deviations` (draws,) given the measurements; `before` (draws,): the means without them. Of the m
    measurements `measured` (places, in order), `values`, and by draws (draws, m): `innovations`, their
    `expected_deviations`, `moves` of the target.
    """

    graph: Graph
    target: Node
    means: Array
    deviations: Array
    before: Array
    measured: Array
    values: Array
    innovations: Array
    expected_deviations: Array
    moves: Array

    def __repr__(self) -> str:
        low, high = self.interval(0.9)
        return (
            f"{self.target}: {self.value:.4g} {self.target.unit}, 90 % between {low:.4g} and {high:.4g}; mean of "
            f"batches {self.mean:.4g}\n{self.waterfall()}"
        )

    @property
    def value(self) -> float:
        """The expectation given the measurements."""
        return float(self.means.mean())

    @property
    def mean(self) -> float:
        """The expectation before any measurement."""
        return float(self.before.mean())

    @property
    def process_deviation(self) -> float:
        """Standard deviation by what is yet to vary in this batch."""
        return float(np.sqrt((self.deviations**2).mean()))

    @property
    def model_deviation(self) -> float:
        """Standard deviation by what is not known of the network; 0 for a given one."""
        return float(self.means.std())

    def interval(self, level: float = 0.9) -> tuple[float, float]:
        """Between which values the target will be with this probability, process noise and model risk together."""
        _check_level(level)
        low, high = mixture_quantile(np.array([0.5 - level / 2, 0.5 + level / 2]), self.means, self.deviations)
        return float(low), float(high)

    def model_interval(self, level: float = 0.9) -> tuple[float, float]:
        """Between which values the expectation is with this probability: model risk alone."""
        _check_level(level)
        low, high = np.quantile(self.means, [0.5 - level / 2, 0.5 + level / 2])
        return float(low), float(high)

    def probability_below(self, limit: float) -> float:
        """The probability that the target will be at most this."""
        return float(mixture_cdf(limit, self.means, self.deviations))

    def crps(self, value: float) -> float:
        """The continuous ranked probability score of the prediction once the target is known: less is better."""
        return crps_of_mixture(value, self.means, self.deviations)

    def waterfall(self) -> pd.DataFrame:
        """A row for each measurement, by (variable, stage): measured, expected, innovation, in deviations, move."""
        import pandas as pd

        innovation = self.innovations.mean(axis=0)
        spread = self.expected_deviations
        scaled = np.divide(self.innovations, spread, out=np.zeros_like(spread), where=spread > 0.0)
        return pd.DataFrame(
            {
                "measured": self.values,
                "expected": self.values - innovation,
                "innovation": innovation,
                "deviations": scaled.mean(axis=0),
                "move": self.moves.mean(axis=0),
            },
            index=by_address(self.graph, self.measured),
        )


def predict(
    given: Network | Draws, target: Node | Address, measured: Measured, errors: Measured | None = None
) -> Prediction:
    """Predict a node of a batch from what was measured of it: `predict(learned, ("P", 96.0), {("N", 24.0): 0.8})`.

    `measured` by address, or a row of a frame of batches; NaN, and what the target itself reads, count as not measured.
    `errors`: standard deviations of measurements, by address or variable. Raises SpecificationError for unknown nodes.
    """
    graph = given.graph
    n = graph.index(target)
    own = graph.nodes[n].address
    places, values, deviations, names = readings(
        graph, {k: v for k, v in measured.items() if address_of(k) != own}, errors
    )
    parts = told(given.parameters, n, places, values, deviations, names)
    return Prediction(
        graph,
        graph.nodes[n],
        np.concatenate([p.mean for p in parts]),
        np.concatenate([p.deviation for p in parts]),
        given.parameters.mean[:, n],
        places,
        values,
        np.concatenate([p.innovations for p in parts]),
        np.concatenate([p.expected for p in parts]),
        np.concatenate([p.moves for p in parts]),
    )


def predictions(
    given: Network | Draws, target: Node | Address, measured: Measured, errors: Measured | None = None
) -> Iterator[tuple[float, Prediction]]:
    """Yield, stage after stage, the prediction from what was measured up to and at it; arguments as in `predict`."""
    graph = given.graph
    last = graph.nodes[graph.index(target)].stage
    for stage in graph.stages:
        if stage <= last:
            yield stage, predict(given, target, until(graph, measured, stage), errors)


def until(graph: Graph, measured: Measured, stage: float) -> dict[Address, float]:
    """Of the measurements of a batch those of the graph's nodes up to and at a stage, without NaN."""
    known = {n.address for n in graph.nodes}
    return {
        (str(k[0]), float(k[1])): float(v)
        for k, v in measured.items()
        if (str(k[0]), float(k[1])) in known and k[1] <= stage and not np.isnan(v)
    }


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise SpecificationError(f"Prediction: level must be between 0 and 1, got {level!r}.")
