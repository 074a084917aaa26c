"""Where in a program does a number stop being finite? The row, its instant, and the operation that began it."""

from __future__ import annotations

import numpy as np

from titer.numerics.explaining.attempt import Attempt
from titer.numerics.nlp import Array, Batch
from titer.numerics.nonfinite import first_nonfinite, nonfinite_derivative


def first_undefined(attempt: Attempt, w: Array) -> str | None:
    """Say where the program, or a first derivative of it, is not finite at the decisions `w`; None where all is."""
    cells = np.concatenate([w, attempt.nlp.data])
    for batch in attempt.nlp.batches:
        if not batch.copies:
            continue
        values = batch.function.map(batch.copies)(cells[batch.index])
        bad = ~np.isfinite(np.concatenate([np.array(v).reshape(-1, batch.copies) for v in values])).all(axis=0)
        for k in np.flatnonzero(bad)[:1]:
            found = first_nonfinite(batch.function, [cells[batch.index[:, k]]], *_names(attempt, batch, int(k)))
            if found is not None:
                return f"{found}"
    scaling = attempt.scaling
    slopes = attempt.program.jacobian(w / scaling.columns, attempt.program.parameters(scaling))[1]
    if np.isfinite(np.array(slopes.nonzeros())).all():
        return None
    for batch in attempt.nlp.batches:
        for k in range(batch.copies):
            found = nonfinite_derivative(batch.function, [cells[batch.index[:, k]]], *_names(attempt, batch, k))
            if found is not None:
                return f"{found}"
    return None


def _names(attempt: Attempt, batch: Batch, k: int) -> tuple[list[list[str]], list[list[str]]]:
    """What the arguments and the results of copy `k` of a batch are."""
    arguments = [attempt.nlp.cell_name(int(i), attempt.times) for i in batch.index[:, k]]
    rows = [str(text) for text in batch.labels.texts[k * batch.rows : (k + 1) * batch.rows]]
    return [arguments], [rows, ["the objective"]]
