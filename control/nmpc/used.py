"""How much has been used of what is limited in total? Integrals along what was really held, not along what was planned.

A plan that was not carried out (an operator, a fallback, a gap between samples, an actuator that did not follow) has
used what it used. From each sample to the next the integrand is integrated by Gauss's rule with three nodes on each
piece of the inputs, along the model's trajectory from the state that was believed at its beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from itertools import accumulate, pairwise

import numpy as np

from titer.control.nmpc.held import Held
from titer.control.nmpc.memory import ControlMemory
from titer.control.nmpc.meters import Meter
from titer.control.nmpc.posing import Wanted
from titer.control.nmpc.sensing import Sensing
from titer.flowsheets.simulation import parameters_of
from titer.numerics.dae import Array
from titer.numerics.integration.consistency import InconsistentError, consistent_algebraics

_NODES, _SHARES = np.polynomial.legendre.leggauss(3)


def used(
    wanted: Wanted,
    sensing: Sensing,
    memory: ControlMemory,
    x: Array,
    start: float,
    held: Held,
    durations: Mapping[str, float],
) -> dict[str, float]:
    """What integrals gain from `start`, with the states `x` (states,), to the end of `held`; `memory`: of the phase
    that runs then. Where the model cannot follow, states are taken as they were last."""
    gains: dict[str, float] = {}
    if not any(wanted.meters):
        return gains
    follows = any(meter.follows for meters in wanted.meters for meter in meters)
    since = start
    for until, values in held:
        inside = [t for t in _beginnings(wanted, memory) if start < t < until]
        for a, b in pairwise([start, *inside, until]):
            k = _phase(wanted, memory, 0.5 * (a + b))
            nodes = 0.5 * (a + b) + 0.5 * (b - a) * _NODES
            for t, share in zip(nodes.tolist(), _SHARES.tolist(), strict=True):
                if follows:
                    moved = sensing.ahead(x, durations, [(t, values)], since, memory.estimated)
                    x, since = x if moved is None else moved, t
                for meter in wanted.meters[k]:
                    gain = 0.5 * (b - a) * share * _rate(wanted, memory, k, meter, t, x, values)
                    gains[meter.name] = gains.get(meter.name, 0.0) + gain
        start = until
    return gains


def _beginnings(wanted: Wanted, memory: ControlMemory) -> list[float]:
    """When each phase began; the last is the one that begins next, where that is known."""
    begun = list(accumulate(memory.lasted, initial=0.0))
    k = memory.phase
    return begun if wanted.table.is_open(k) else [*begun, memory.entered + wanted.table.durations[k].guess]


def _phase(wanted: Wanted, memory: ControlMemory, t: float) -> int:
    begun = sum(t > each for each in _beginnings(wanted, memory)) - 1
    return min(max(begun, 0), len(wanted.planned) - 1)


def _rate(
    wanted: Wanted, memory: ControlMemory, k: int, meter: Meter, t: float, x: Array, held: Mapping[str, float]
) -> float:
    """The integrand at a point."""
    operation, nominal = wanted.planned[k], wanted.nominal[k].trajectory
    dae, known = operation.lowered.dae, dict(zip(wanted.states, x.tolist(), strict=True))
    own = t - _beginnings(wanted, memory)[k] + nominal.time[0]
    fixed = operation.fixed
    u = np.array(
        [
            fixed[v.name] if v.name in fixed else held[v.name] if v.name in held else np.interp(own, nominal.time, row)
            for v, row in zip(dae.inputs, nominal.u, strict=True)
        ],
        dtype=float,
    )
    p = parameters_of(
        operation, {**wanted.plant.values, **memory.estimated}, {n: known[n] for n in operation.lowered.held}
    )
    point = np.array([known[v.name] for v in dae.states])
    z = np.array([np.interp(own, nominal.time, row) for row in nominal.z])
    if meter.reads_algebraics:
        with suppress(InconsistentError):
            z = consistent_algebraics(dae, t, point, z, u, p)
    return float(meter.rate(t, point, z, u, p))
