"""Which measurements does a monitor expect, and at which stages? Columns by (variable, stage), in stage order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from titer.analysis.networks.graph import Address, shown
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Layout:
    """The measurements of a batch as columns, sorted by stage; `time` is the unit of the stages."""

    addresses: tuple[Address, ...]
    time: str = ""

    @cached_property
    def stages(self) -> tuple[float, ...]:
        """All stages, ascending."""
        return tuple(sorted({a[1] for a in self.addresses}))

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """All variables, in order of appearance."""
        return tuple(dict.fromkeys(a[0] for a in self.addresses))

    @cached_property
    def stage_of(self) -> Array:
        """The number of the stage of each column."""
        return np.array([self.stages.index(a[1]) for a in self.addresses], dtype=int)

    @cached_property
    def variable_of(self) -> Array:
        """The number of the variable of each column."""
        return np.array([self.variables.index(a[0]) for a in self.addresses], dtype=int)

    def values(self, batches: pd.DataFrame) -> Array:
        """Measurements (batches, columns), NaN where a batch or its frame lacks one.

        Raises SpecificationError where no column is known, and for infinite values.
        """
        if batches.columns.nlevels != 2:
            raise SpecificationError("Monitor: columns of batches must be by (variable, stage); see networks.unfolded.")
        known = {(str(c[0]), float(c[1])): i for i, c in enumerate(batches.columns)}
        if not set(known) & set(self.addresses):
            raise SpecificationError(
                f"Monitor: none of its measurements is in the batches; it expects {shown(self.addresses[0])} and "
                f"{len(self.addresses) - 1} more."
            )
        found = np.full((len(batches), len(self.addresses)), np.nan)
        for i, address in enumerate(self.addresses):
            if address in known:
                found[:, i] = batches.iloc[:, known[address]].to_numpy(dtype=float)
        if np.isinf(found).any():
            row, i = np.argwhere(np.isinf(found))[0]
            raise SpecificationError(f"Monitor: {shown(self.addresses[i])} is infinite in row {row}.")
        return found


def layout_of(batches: pd.DataFrame, time: str = "") -> Layout:
    """The layout of a normal set: all its columns, by stage, in their order within a stage."""
    if batches.columns.nlevels != 2:
        raise SpecificationError("Monitor: columns of batches must be by (variable, stage); see networks.unfolded.")
    addresses = [(str(c[0]), float(c[1])) for c in batches.columns]
    return Layout(tuple(sorted(addresses, key=lambda a: a[1])), time)
