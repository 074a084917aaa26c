"""What must scenarios decide alike? Columns of a program that are one and the same decision become one column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from titer.numerics.nlp import Array, Labels, Nlp


def merged(nlp: Nlp, groups: Sequence[Array]) -> tuple[Nlp, Array]:
    """The program in which each group of columns is its first, and the columns that are kept (of the old ones)."""
    n = nlp.columns
    leader = np.arange(n)
    for group in groups:
        leader[group] = group[0]
    kept = np.flatnonzero(leader == np.arange(n))
    if len(kept) == n:
        return nlp, kept
    place = np.full(n, -1)
    place[kept] = np.arange(len(kept))
    place = place[leader]

    def renumbered(index: Array) -> Array:
        return np.where(index < n, place[np.minimum(index, n - 1)], index - n + len(kept))

    labels: list[Labels] = []
    first, stays = 0, leader == np.arange(n)
    for each in nlp.labels:
        chosen = stays[first : first + len(each.texts)]
        first += len(each.texts)
        if chosen.any():
            labels.append(Labels(each.texts[chosen], each.phase, np.asarray(each.tau)[chosen]))
    return (
        replace(
            nlp,
            lower=nlp.lower[kept],
            upper=nlp.upper[kept],
            domain=nlp.domain[kept],
            labels=tuple(labels),
            batches=tuple(replace(batch, index=renumbered(batch.index)) for batch in nlp.batches),
            cells={key: renumbered(cells) for key, cells in nlp.cells.items()},
            room=None if nlp.room is None else nlp.room[kept],
        ),
        kept,
    )
