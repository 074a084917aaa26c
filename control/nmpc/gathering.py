"""What does each scenario cost, where the worst one counts? Costs of elements add up, row by row, to its objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import casadi as ca
import numpy as np

from titer.control.nmpc.soft import given, opened
from titer.numerics.nlp import Array, Batch, Labels, Nlp


def gathered(nlp: Nlp, owners: Mapping[str, int], w: Array) -> tuple[Nlp, Array]:
    """The program in which the costs of all batches that belong to a scenario (`owners`: by the phase of their labels)
    are part of its objective, and what the further columns are at the decisions `w`.

    For each copy of such a batch a column: what the copies up to it cost, c_k = c_(k-1) + weight f_k.
    """
    chosen = [b for b, batch in enumerate(nlp.batches) if batch.weight and batch.labels.phase in owners]
    if not chosen:
        return nlp, np.zeros(0)
    batches = [nlp.batches[b] for b in chosen]
    values = [np.cumsum(_costs(batch, np.concatenate([w, nlp.data]))) for batch in batches]
    counts = [batch.copies for batch in batches]
    labels = Labels.of([f"cost {i}" for i, n in enumerate(counts) for _ in range(n)])
    first = nlp.columns + np.concatenate([[0], np.cumsum(counts)[:-1]])
    nlp = opened(nlp, labels, np.full(sum(counts), -np.inf), np.full(sum(counts), np.inf))
    nlp, nothing = given(nlp, np.zeros(1), "nothing")
    changed, last = list(nlp.batches), dict[int, list[int]]()
    for b, at, n in zip(chosen, first, counts, strict=True):
        batch, own = nlp.batches[b], at + np.arange(n)
        changed[b] = _adding_up(batch, own, np.concatenate([nothing, own[:-1]]))
        last.setdefault(owners[batch.labels.phase], []).append(int(own[-1]))
    for b, batch in enumerate(changed):
        name = str(batch.labels.texts[0]) if len(batch.labels.texts) else ""
        for run, columns in last.items():
            if name == f"objective of scenario {run + 1}":
                changed[b] = _with_costs(batch, columns)
    return replace(nlp, batches=tuple(changed)), np.concatenate(values)


def _costs(batch: Batch, cells: Array) -> Array:
    """What each copy of a batch costs."""
    found = batch.function.map(batch.copies)(cells[batch.index])[1]
    return batch.weight * np.array(found, dtype=float).ravel()


def _adding_up(batch: Batch, own: Array, before: Array) -> Batch:
    """The batch with its cost in a row of its own, behind the rows that it has."""
    m, symbol = batch.function.numel_in(0), ca.SX if batch.function.is_a("SXFunction") else ca.MX
    v = symbol.sym("v", m + 2)
    g, f = batch.function(v[:m])
    function = ca.Function("adding", [v], [ca.vertcat(g, v[m] - v[m + 1] - batch.weight * f), symbol(0.0)])
    texts = [*batch.labels.texts[: batch.rows], "costs so far"] * batch.copies
    return replace(
        batch,
        function=function,
        index=np.concatenate([batch.index, own[None, :], before[None, :]]),
        lower=np.append(batch.lower, 0.0),
        upper=np.append(batch.upper, 0.0),
        labels=Labels.of(texts, batch.labels.phase),
        weight=0.0,
    )


def _with_costs(batch: Batch, columns: list[int]) -> Batch:
    """The row of a scenario's objective with what was added up."""
    m = batch.function.numel_in(0)
    v = ca.SX.sym("v", m + len(columns))
    g, f = batch.function(v[:m])
    function = ca.Function("objective", [v], [g - ca.sum1(v[m:]), f])
    return replace(batch, function=function, index=np.concatenate([batch.index, np.array(columns)[:, None]]))
