"""What do many batches of a process look like, simulated with the full model? The ensemble that a network stands for.

Batch k has random numbers of its own, whatever the number of batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.analysis.networks.graph import Address, Node
from titer.analysis.processes.marching import March
from titer.analysis.processes.process import Process, process_of
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.recipe import Recipe
from titer.numerics.errors import SolveError, SpecificationError
from titer.numerics.grid import is_whole

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Simulated batches: `values` (batches, nodes), NaN from where on a batch could not be run."""

    nodes: tuple[Node, ...]
    values: Array

    def __repr__(self) -> str:
        return f"ensemble of {len(self.values)} batches, {self.failed} failed, {len(self.nodes)} nodes"

    @property
    def failed(self) -> int:
        """How many batches could not be run to their end."""
        return int((~np.isfinite(self.values).all(axis=1)).sum())

    def frame(self) -> pd.DataFrame:
        """A row a batch, columns by (variable, stage), as `learn_network` and `predict` take them."""
        import pandas as pd

        columns = pd.MultiIndex.from_tuples([n.address for n in self.nodes], names=["variable", "stage"])
        return pd.DataFrame(self.values, columns=columns, index=pd.RangeIndex(len(self.values), name="batch"))


def simulated_ensemble(
    plant: Flowsheet,
    recipe: Recipe,
    uncertain: Mapping[str, Any],
    count: int,
    inputs: Mapping[str, Any] | None = None,
    stages: int | Iterable[float] = 4,
    attributes: Mapping[str, Any] | None = None,
    noise: Mapping[str, Any] | None = None,
    durations: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Ensemble:
    """Simulate batches as they vary, with the full model: the other arguments as in `linear_network`.

    Raises SpecificationError as that does, and SolveError where no batch can be run.
    """
    process = process_of(plant, recipe, inputs, stages, uncertain, attributes, noise, durations)
    return ensemble_of(process, count, seed)


def ensemble_of(process: Process, count: int, seed: int = 0) -> Ensemble:
    """The ensemble of a process that is ready. Raises SpecificationError, SolveError."""
    if not is_whole(count, 1):
        raise SpecificationError(f"ensemble: count must be a whole number of at least 1, got {count!r}.")
    found = run_batches(process, March(process.model), scores_of(process, range(count), seed))
    ensemble = Ensemble(process.nodes, np.column_stack([found[n.address] for n in process.nodes]))
    if ensemble.failed == count:
        raise SolveError(
            f"none of {count} batches could be run to its end.\n  Check the deviations: do states leave their domain?"
        )
    return ensemble


def scores_of(process: Process, batches: Sequence[int], seed: int) -> Array:
    """Standard normal numbers (batches, sources + stages x states + attributes); those of a batch are its own."""
    size = len(process.sources) + len(process.stages) * len(process.states) + len(process.attributes)
    return np.array([np.random.default_rng([seed, k]).standard_normal(size) for k in batches])


def run_batches(process: Process, march: March, scores: Array) -> dict[Address, Array]:
    """All nodes of batches, (batches,) each, from their standard normal numbers."""
    model, states = process.model, process.states
    n, count = len(states), len(scores)
    own, per_stage, last = np.split(scores, [len(process.sources), len(process.sources) + len(process.stages) * n], 1)
    per_stage = per_stage.reshape(count, len(process.stages), n)
    found: dict[Address, Array] = {}
    s, nominal = np.repeat(model.start[None], count, axis=0), model.start
    for j, source in enumerate(process.sources):
        found[source.node.address] = source.mean + source.deviation * own[:, j]
    for k, t in enumerate(process.stages):
        spread = process.noise if k else process.starts
        s[:, :n] += per_stage[:, k] * np.array([spread.get(name, 0.0) for name in states])
        found |= {(name, t): s[:, i].copy() for i, name in enumerate(states)}
        for j, attribute in enumerate(process.attributes):
            if attribute.node.stage == t:
                value = march.read(attribute.reading, attribute.phase, s, t)[:, 0]
                found[attribute.node.address] = value + process.noise.get(attribute.node.name, 0.0) * last[:, j]
        if k + 1 < len(process.stages):
            t1 = process.stages[k + 1]
            s = march.through(_departed(process, s, found, k), t, t1, nominal)
            nominal = model.predict(nominal, {}, t, t1)
    return found


def _departed(process: Process, s: Array, found: Mapping[Address, Array], span: int) -> Array:
    """Entries with the departures that act in a stage."""
    s = s.copy()
    count = len(process.states)
    s[:, count:] = process.model.start[count:]
    for source in process.sources:
        if span in source.spans:
            s[:, source.entry] += (found[source.node.address] - source.mean) / source.scale
    return s
