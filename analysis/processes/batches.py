"""What was made? Synthetic batches as a tidy table, as rows for networks, as experiments for fits, and their truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.analysis.networks import Kind
from titer.analysis.processes.as_run import recipe_as_run
from titer.analysis.processes.ensemble import Ensemble
from titer.analysis.processes.process import Process
from titer.estimation.experiment import Experiment
from titer.flowsheets.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Batches:
    """Synthetic batches of a process, made by `generate`.

    `values` (batches, nodes): the truth, NaN from where on a batch could not be run; `measured`, `sigma` (batches,
    stages, sensors): readings and the standard deviations of their noise, NaN where a unit operation is at rest.
    `sensors`: what is measured, with its noise.
    """

    process: Process
    recipe: Recipe
    inputs: Mapping[str, Any]
    sensors: Mapping[str, Any]
    values: Array
    measured: Array
    sigma: Array

    def __repr__(self) -> str:
        return (
            f"{len(self.values)} batches, {self.truth.failed} failed, {len(self.sensors)} sensors at "
            f"{len(self.process.stages)} stages"
        )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def truth(self) -> Ensemble:
        """The batches without noise, and what made them differ."""
        return Ensemble(self.process.nodes, self.values)

    def table(self) -> pd.DataFrame:
        """Tidy: batch, time, tag, value, unit, sigma (0: inputs as set, attributes). What could not be run is left
        out."""
        import pandas as pd

        units = {name: m.label for name, m in self.process.model.plant.measures.items()}
        count = len(self)
        parts = []
        for node, column in zip(self.process.nodes, self.values.T, strict=True):
            if node.kind in (Kind.INPUT, Kind.ATTRIBUTE):
                parts.append((np.arange(count), node.stage, node.name, column, node.unit, np.zeros(count)))
        for k, t in enumerate(self.process.stages):
            for j, name in enumerate(self.sensors):
                column, sigma = self.measured[:, k, j], self.sigma[:, k, j]
                parts.append((np.arange(count), t, name, column, units[name], sigma))
        frames = [pd.DataFrame(dict(zip(_COLUMNS, part, strict=True))) for part in parts]
        table = pd.concat(frames, ignore_index=True)
        table = table[np.isfinite(table["value"])]
        return table.sort_values(["batch", "time"], kind="stable").reset_index(drop=True)

    def wide(self) -> pd.DataFrame:
        """A row a batch, columns by (variable, stage): readings, inputs as set, attributes. For `learn_network` and
        `predict`; batches that could not be run to their end are NaN from there on."""
        from titer.analysis.networks import unfolded

        return unfolded(self.table()[["batch", "time", "tag", "value"]])

    def experiments(self, starts_known: bool = False) -> list[Experiment]:
        """Each batch as an Experiment, its readings with their noise, under the inputs as they were.

        `starts_known`: with its true initial states, where these vary; otherwise they are the plant's. Batches that
        could not be run to their end are left out.
        """
        import pandas as pd

        found = []
        whole = np.isfinite(self.values).all(axis=1)
        time = pd.Index(self.process.stages, name=f"time [{self.process.time}]")
        for b in np.flatnonzero(whole):
            known = {n.address: float(v) for n, v in zip(self.process.nodes, self.values[b], strict=True)}
            start = {name: known[name, 0.0] for name in self.process.starts} if starts_known else {}
            found.append(
                Experiment(
                    pd.DataFrame(self.measured[b], index=time, columns=list(self.sensors)),
                    {name: self.sigma[b, :, j] for j, name in enumerate(self.sensors)},
                    recipe_as_run(self.process, self.recipe, known),
                    self.inputs,
                    start,
                    f"batch {b}",
                )
            )
        return found


_COLUMNS = ("batch", "time", "tag", "value", "unit", "sigma")
