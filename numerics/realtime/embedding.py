"""How is data that changes at a sample put into a program as columns? So that derivatives along it are there before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from titer.numerics.nlp import Array, Labels, Nlp


def embedded(nlp: Nlp, cells: Array) -> Nlp:
    """The program with these data cells as further columns behind its own, fixed at their values.

    The data vector stays as it is; its embedded entries are not read any more.
    """
    n, count = nlp.columns, len(cells)
    values = nlp.data[cells - n]
    behind = np.arange(len(nlp.data)) + n + count
    behind[cells - n] = n + np.arange(count)

    def moved(index: Array) -> Array:
        return np.where(index >= n, behind[np.maximum(index, n) - n], index) if len(behind) else index

    return replace(
        nlp,
        lower=np.concatenate([nlp.lower, values]),
        upper=np.concatenate([nlp.upper, values]),
        domain=np.concatenate([nlp.domain, np.zeros(count, dtype=bool)]),
        labels=(*nlp.labels, Labels.of([str(name) for name in nlp.data_names[cells - n]])),
        batches=tuple(replace(batch, index=moved(batch.index)) for batch in nlp.batches),
        cells={key: moved(places) for key, places in nlp.cells.items()},
        room=None if nlp.room is None else np.concatenate([nlp.room, np.full(count, np.inf)]),
    )
