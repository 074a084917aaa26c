"""What do finished batches say of each node? A row a batch, columns by (variable, stage), checked against the graph.

Columns that the graph does not know are left aside; NaN was not measured. A tidy table (batch, time, tag, value) is
unfolded by `unfolded`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from titer.analysis.networks.graph import Graph
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
_TIDY = ("batch", "time", "tag", "value")
_CONSTANT = 1e-12  # of a column's size, below which its scatter is rounding


def unfolded(table: pd.DataFrame) -> pd.DataFrame:
    """A row a batch, columns by (variable, stage), of a tidy table with columns batch, time, tag, value.

    Raises SpecificationError for missing columns and for values stated twice.
    """
    missing = [c for c in _TIDY if c not in table.columns]
    if missing:
        raise SpecificationError(f"unfolded: expected columns {', '.join(_TIDY)}; missing: {', '.join(missing)}.")
    doubled = table.duplicated(subset=["batch", "time", "tag"])
    if doubled.any():
        first = table[doubled].iloc[0]
        raise SpecificationError(
            f"unfolded: {first['tag']} at {first['time']:g} stands twice for batch {first['batch']}; drop one."
        )
    wide = table.pivot(index="batch", columns=["tag", "time"], values="value")
    wide.columns = wide.columns.set_names(["variable", "stage"])
    return wide


def values_of(batches: pd.DataFrame, graph: Graph) -> Array:
    """The measured values (batches, nodes) in the order of the graph; NaN was not measured.

    Raises SpecificationError naming nodes that no batch measures, values that are infinite, and constant columns.
    """
    if batches.columns.nlevels != 2:
        raise SpecificationError(
            f"Batches: columns must be by (variable, stage), got {batches.columns.nlevels} level(s): "
            "`unfolded` makes them of a tidy table."
        )
    known = {(str(c[0]), float(c[1])): i for i, c in enumerate(batches.columns)}
    if len(known) < len(batches.columns):
        raise SpecificationError("Batches: some (variable, stage) columns stand twice; drop or average them.")
    found = np.full((len(batches), len(graph)), np.nan)
    for i, node in enumerate(graph.nodes):
        if node.address in known:
            found[:, i] = batches.iloc[:, known[node.address]].to_numpy(dtype=float)
    _check(found, graph)
    return found


def _check(values: Array, graph: Graph) -> None:
    infinite = np.isinf(values)
    if infinite.any():
        row, i = np.argwhere(infinite)[0]
        raise SpecificationError(f"Batches: {graph.nodes[i]} is infinite in row {row}; expected a number or NaN.")
    never = [str(n) for i, n in enumerate(graph.nodes) if np.isnan(values[:, i]).all()]
    if never:
        raise SpecificationError(
            f"Batches: no batch measures {', '.join(never)}.\n"
            "  Take these nodes out of the graph, or add the stage to the data."
        )
    for i, node in enumerate(graph.nodes):
        column = values[~np.isnan(values[:, i]), i]
        if np.ptp(column) <= _CONSTANT * np.abs(column).max():
            raise SpecificationError(
                f"Batches: {node} is {column[0]:g} in all {len(column)} batches that measure it: a constant column "
                "says nothing of its effects.\n  Take the node out of the graph."
            )
