"""What has no noticeable effect along the simulated start? Parameters and decided inputs, by derivatives in sizes."""

from __future__ import annotations

from collections.abc import Iterator

import casadi as ca
import numpy as np

from titer.flowsheets.corrections.coefficients import is_coefficient
from titer.flowsheets.diagnosis.examined import Examined, listed
from titer.flowsheets.diagnosis.findings import Finding, Severity
from titer.flowsheets.diagnosis.placed import names_read
from titer.flowsheets.operation import Decided
from titer.numerics.dae import sizes_of

_NOTICEABLE = 1e-10  # of a rate's size


def too_small_to_notice(examined: Examined) -> Iterator[Finding]:
    """Parameters and inputs that the equations read, but that change no rate along the simulated start."""
    largest: dict[str, float] = {}
    for k in range(len(examined.run)):
        for name, effect in _effects(examined, k).items():
            largest[name] = max(effect, largest.get(name, 0.0))
    silent = sorted(
        name for name, effect in largest.items() if effect < _NOTICEABLE and examined.plant.values.get(name)
    )
    decided = [name for name in silent if name in examined.free_names]
    if decided:
        text = f"{listed(decided)}: decided, but without noticeable effect on any rate along the simulated start"
        yield Finding(Severity.NOTE, decided[0], text, "Its guess may stand where it cannot act.")
    others = [name for name in silent if name not in examined.free_names and not is_coefficient(name)]
    if others:
        text = f"{listed(others)}: without noticeable effect on any rate along the simulated start"
        yield Finding(Severity.NOTE, others[0], text)


def _effects(examined: Examined, k: int) -> dict[str, float]:
    """The largest change of any rate or equation by a change of a parameter or input by its size, relative to them."""
    operation = examined.planned[k]
    dae, symbols = operation.lowered.dae, operation.lowered.symbols
    t, x, z, u, p = symbols
    rate, zero, _ = dae.function(t, x, z, u, p)
    both, moving = ca.vertcat(rate, zero), ca.vertcat(u, p)
    slopes = ca.Function("slopes", list(symbols), [ca.jacobian(both, moving), ca.jacobian(both, ca.vertcat(x, z))])
    active = set(names_read(dae.function, 0, dae) | names_read(dae.function, 1, dae))
    variables = [*dae.inputs, *dae.parameters]
    sizes = np.array([abs(v.start) if np.isfinite(v.start) else 1.0 for v in variables])
    trajectory = examined.run[k].trajectory
    inner = np.concatenate([sizes_of(dae.states, trajectory.x), sizes_of(dae.algebraics, trajectory.z)])
    found = np.zeros(len(variables))
    for point in examined.points(k):
        by, along = (np.array(m) for m in slopes(*point))
        now = np.array(ca.vertcat(*dae.function(*point)[:2])).ravel()
        scale = np.abs(along * inner).max(axis=1, initial=0.0) + np.abs(now)
        effect = np.abs(by * sizes) / np.where(scale > 0.0, scale, 1.0)[:, None]
        found = np.maximum(found, np.nan_to_num(effect).max(axis=0, initial=0.0))
    decided = {v.name for v, s in zip(dae.inputs, operation.inputs, strict=True) if isinstance(s, Decided)}
    kept = active & ({v.name for v in dae.parameters} | decided)
    return {v.name: float(e) for v, e in zip(variables, found, strict=True) if v.name in kept}
