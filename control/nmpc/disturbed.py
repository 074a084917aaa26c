"""How does an estimated disturbance of a rate enter the plan? As a number that is added to that rate: data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import casadi as ca
import numpy as np

from titer.control.nmpc.soft import given
from titer.flowsheets.problems.assembly import Placement
from titer.numerics.errors import SpecificationError
from titer.numerics.nlp import Array, Batch, Nlp


def with_rates(
    nlp: Nlp, runs: Sequence[Sequence[Placement]], states: Sequence[str], degree: int
) -> tuple[Nlp, dict[str, Array]]:
    """The program with `rate + d` in the collocation equations of these states; {state: cells of its d}.

    Raises SpecificationError for a phase that is shot.
    """
    if not states:
        return nlp, {}
    nlp, cells = given(nlp, np.zeros(len(states)), "disturbance of a rate")
    for placement in (placement for run in runs for placement in run):
        if placement.operation.phase.method is not None:
            raise SpecificationError(
                f"NMPC: phase {placement.operation.name!r} is shot; a disturbed rate needs collocation there."
            )
        places = {v.name: i for i, v in enumerate(placement.dae.states)}
        chosen = [(places[name], cell) for name, cell in zip(states, cells, strict=True) if name in places]
        if not chosen:
            continue
        name, n = placement.block.name, len(placement.transcribed.ends) - 1
        batches = tuple(
            _moved(batch, placement, chosen, degree)
            if batch.labels.phase == name and batch.copies == n and batch.determined is not None
            else batch
            for batch in nlp.batches
        )
        nlp = replace(nlp, batches=batches)
    return nlp, {name: np.array([cell]) for name, cell in zip(states, cells, strict=True)}


def _moved(batch: Batch, placement: Placement, chosen: Sequence[tuple[int, int]], degree: int) -> Batch:
    nx, nz, _, npar = placement.dae.sizes
    separate = batch.determined is not None and len(batch.determined) > (nx + nz) * degree
    clock = nx + nx * degree + nx * separate + nz * degree + npar  # where what elements share begins
    m = batch.function.numel_in(0)
    v = ca.SX.sym("v", m + len(chosen))
    g, f = batch.function(v[:m])
    step = v[clock + 1] * v[clock + 3]  # duration times width
    rows = list(ca.vertsplit(g))
    for k, (i, _) in enumerate(chosen):
        for j in range(degree):
            rows[j * nx + i] -= step * v[m + k]
    index = np.concatenate([batch.index, np.tile([[cell] for _, cell in chosen], (1, batch.copies))])
    return replace(batch, function=ca.Function("element", [v], [ca.vertcat(*rows), f]), index=index)
