"""How does an `Nlp` become a chain of stages for a structure-exploiting solver?

Every column lives from the first stage that uses it to the last. In its first stage it is an input; to each
later one it is carried as a state, with the dynamics x[k+1] = x[k]. So end states, durations, shared
parameters, held control pieces, previous inputs and held states of idle units are one and the same thing:
columns that live longer than a stage.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import casadi as ca
import numpy as np

from titer.numerics.errors import SpecificationError
from titer.numerics.nlp import Array, Batch, Labels, Nlp


@dataclass(frozen=True, eq=False)
class Chain:
    """The chain form of a lean `Nlp`: its copy per stage of each column, gap rows, and the stages' sizes.

    `columns` (chain columns,) gives the lean column behind each; `first` marks the copy that has the bounds.
    """

    nlp: Nlp
    columns: Array
    first: Array
    gaps: Array  # chain column of the next stage, for each gap row
    stages: int
    nx: list[int]
    nu: list[int]
    ng: list[int]
    equality: list[bool]

    def row_values(self, lean: Array, sizes: Array) -> Array:
        """Values for all rows of the chain in batch order, from those of the lean rows and of the columns."""
        return np.concatenate([lean, sizes[self.columns[self.gaps]]])


def chain(nlp: Nlp) -> Chain:
    """The stage view of an `Nlp`. Raises SpecificationError where nothing says which piece comes when."""
    n = nlp.columns
    stage_of, first, last = _life_spans(nlp)
    if not np.isfinite(first).all():
        unused = int(np.flatnonzero(~np.isfinite(first))[0])
        raise SpecificationError(
            f"Fatrop: {nlp.column_name(unused)} enters no equation; a chain has no place for it. Use Ipopt()."
        )
    start, stop = first.astype(int), last.astype(int)
    stages = int(stop.max()) + 1
    if stages == 1:
        raise SpecificationError("Fatrop: one stage is no chain; there is nothing to carry. Use Ipopt().")
    place: dict[int, Array] = {}
    columns, is_first, nx, nu = [], [], [], []
    offset = 0
    for k in range(stages):
        carried = np.flatnonzero((start < k) & (stop >= k))
        born = np.flatnonzero(start == k)
        here = np.concatenate([carried, born])
        where = np.full(n, -1)
        where[here] = offset + np.arange(len(here))
        place[k] = where
        offset += len(here)
        columns.append(here)
        is_first.append(np.concatenate([np.zeros(len(carried), bool), np.ones(len(born), bool)]))
        nx.append(len(carried))
        nu.append(len(born))
    total = offset
    shift = total - n

    batches, row_stage = [], []
    for batch, stage in zip(nlp.batches, stage_of, strict=True):
        index = batch.index.copy()
        for k in np.unique(stage):
            copies = np.flatnonzero(stage == k)
            cells = batch.index[:, copies]
            index[:, copies] = np.where(cells < n, place[int(k)][np.minimum(cells, n - 1)], cells + shift)
        batches.append(replace(batch, index=index))
        row_stage.append(np.repeat(stage, batch.rows))
    gap_next, gap_here, gap_stage = [], [], []
    for k in range(stages - 1):
        carried = np.flatnonzero((start <= k) & (stop >= k + 1))
        gap_next.append(place[k + 1][carried])
        gap_here.append(place[k][carried])
        gap_stage.append(np.full(len(carried), k))
    following, here = (
        np.concatenate([np.zeros(0, int), *gap_next]),
        np.concatenate([np.zeros(0, int), *gap_here]),
    )
    a = ca.SX.sym("a", 2)
    gap = ca.Function("gap", [a], [a[0] - a[1], ca.SX(0.0)])
    stage_gaps = np.concatenate([np.zeros(0, int), *gap_stage])
    texts = Labels.of(["carried"] * len(following))
    batches.append(Batch(gap, np.stack([following, here]), np.zeros(1), np.zeros(1), texts))
    row_stage.append(stage_gaps)

    stage_of_row = np.concatenate(row_stage)
    is_path = np.ones(len(stage_of_row), dtype=int)
    is_path[len(stage_of_row) - len(following) :] = 0  # gap rows stand first in their stage
    order = np.lexsort((np.arange(len(stage_of_row)), is_path, stage_of_row))
    lower = np.concatenate([np.tile(b.lower, b.copies) for b in batches])[order]
    upper = np.concatenate([np.tile(b.upper, b.copies) for b in batches])[order]
    ng = np.bincount(stage_of_row[is_path == 1], minlength=stages)
    behind = np.concatenate(columns)
    firsts = np.concatenate(is_first)
    staged = Nlp(
        lower=np.where(firsts, nlp.lower[behind], -np.inf),
        upper=np.where(firsts, nlp.upper[behind], np.inf),
        domain=nlp.domain[behind],
        labels=(),
        data=nlp.data,
        batches=tuple(batches),
        cells={},
        rows_order=order,
    )
    equality = (lower == upper).tolist()
    return Chain(staged, behind, firsts, following, stages, nx, nu, ng.tolist(), equality)


def _life_spans(nlp: Nlp) -> tuple[list[Array], Array, Array]:
    """Stage of each batch's copies, first and last stage of each column. Rows without a place in time
    stand where the last of their columns is born."""
    n = nlp.columns
    first, last = np.full(n, np.inf), np.full(n, -np.inf)

    def use(index: Array, stage: Array) -> None:
        for k, cells in zip(stage, index.T, strict=True):
            own = cells[cells < n]
            first[own] = np.minimum(first[own], k)
            last[own] = np.maximum(last[own], k)

    if not any(batch.stage is not None for batch in nlp.batches):
        raise SpecificationError("Fatrop: no part of this problem has a place in time. Use Ipopt().")
    stage_of: list[Array] = [np.zeros(0, int)] * len(nlp.batches)
    for i, batch in enumerate(nlp.batches):
        if batch.stage is not None:
            stage_of[i] = batch.stage
            use(batch.index, batch.stage)
    for i, batch in enumerate(nlp.batches):
        if batch.stage is None:
            cells = np.where(batch.index < n, batch.index, 0)
            born = np.where((batch.index < n) & np.isfinite(first[cells]), first[cells], 0.0)
            stage_of[i] = born.max(axis=0, initial=0.0).astype(int)
            use(batch.index, stage_of[i])
    return stage_of, first, last
