"""Does a phase start where its model can be? States that equations hold must satisfy them from the first instant."""

from __future__ import annotations

import numpy as np

from titer.numerics.dae import sizes_of, starts
from titer.numerics.errors import SpecificationError
from titer.numerics.integration.consistency import InconsistentError, projected, residuals
from titer.numerics.integration.rerun import Integration

_ROUNDING = 1e-6  # of a state's size: a start that is moved by less satisfies its equations
_MISTAKE = 1e-2  # of a state's size: a start that would be moved by more is not what was meant


def consistent_start(phase: str, run: Integration) -> str:
    """What is moved at the start of a phase, and why; "" where nothing is, or where the integration will complain.

    Raises SpecificationError where a start is far from the equations that hold it.
    """
    dae = run.dae
    if dae.invariants is None:
        return ""
    u, guess = run.pieces[0].left, starts(dae.algebraics)
    sizes = np.maximum(sizes_of(dae.states), np.abs(run.x))
    try:
        x, z = projected(dae, run.clock, run.x, guess, u, run.p, sizes)
    except InconsistentError:
        return ""
    moved = np.abs(x - run.x) / sizes
    if moved.max(initial=0.0) <= _ROUNDING:
        return ""
    missed = residuals(dae, run.clock, run.x, z, u, run.p)
    equation = max(missed, key=lambda name: abs(missed[name]))
    order = [int(k) for k in np.argsort(-moved, kind="stable") if moved[k] > _ROUNDING]
    given = ", ".join(f"{dae.states[k].name} = {run.x[k]:.6g}" for k in order[:3])
    nearest = ", ".join(f"{dae.states[k].name} = {x[k]:.6g}" for k in order[:3])
    what = f"start of {given} does not satisfy {equation} (residual {missed[equation]:.3g})"
    if moved.max() > _MISTAKE:
        raise SpecificationError(
            f"Phase {phase!r}: {what}.\n  The nearest consistent start is {nearest}: give that, or change the equation."
        )
    return f"Phase {phase!r}: {what}; it was moved to {nearest}"
