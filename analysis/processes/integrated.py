"""How does a batch run by another method? By CVODES or IDAS, piece by piece: where steps fail, and to check them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from titer.estimation.estimators.model import SampledModel
from titer.estimation.estimators.timeline import Stretch, stretches
from titer.numerics.errors import SolveError
from titer.numerics.integration.integrate import integrate
from titer.numerics.integration.trajectory import IntegrationError, Piece

Array = np.ndarray
_APART = 1e-3  # of sizes: how far the model's steps may be from the integration
_POINTS = 2


def integrated(model: SampledModel, s: Array, t0: float, t1: float) -> Array:
    """Entries (n,) at t1 from those at t0. Raises SolveError."""
    for stretch in stretches(model.timeline, {}, t0, t1):
        s = _begun(model, stretch, s)
        if stretch.length <= 0.0:
            continue
        phase = model.phases[stretch.phase]
        active = phase.steps.places.active
        piece = Piece(stretch.length, stretch.left, stretch.right)
        p = phase.steps.parameters(s, phase.p)
        try:
            run = integrate(phase.steps.dae, s[active], p, stretch.start, [piece], points=_POINTS)
        except IntegrationError as error:
            raise SolveError(f"a batch cannot be run: {error}") from None
        s = s.copy()
        s[active] = run.x[:, -1]
    return s


def check_planned(model: SampledModel, stages: tuple[float, ...]) -> None:
    """Raise SolveError where the model's steps miss the planned run, as those too long for a substrate that runs out
    may do: they then solve their equations beyond the pole of its saturation."""
    stepped = other = model.start
    count = len(model.entries.states)
    sizes = model.phases[0].steps.step.sizes[0][:count]
    for t0, t1 in pairwise(stages):
        stepped, other = model.predict(stepped, {}, t0, t1), integrated(model, other, t0, t1)
        grown = np.maximum(sizes, np.abs(other[:count]))
        off = np.abs(stepped - other)[:count] / grown
        if off.max() > _APART:
            i = int(off.argmax())
            raise SolveError(
                f"the model's steps miss the planned run: {model.names[i]} at t = {t1:g} {model.plant.time} is "
                f"{stepped[i]:.5g}, integrated {other[i]:.5g}.\n  A state that runs out is held to its domain by its "
                "size: declare it with a nominal as small as its half-saturation; or give more stages."
            )


def _begun(model: SampledModel, stretch: Stretch, s: Array) -> Array:
    """Entries after what a phase sets at its start."""
    phase, k, t = model.phases[stretch.phase], stretch.phase - 1, stretch.start
    if not stretch.begins or phase.jump is None or not len(phase.set):
        return s
    z = np.array(list(model.algebraics(s, {}, t).values()))
    found = phase.jump.function(s, z, t, model.timeline.inputs_at(k, t, {}), model.phases[k].p).full()
    s = s.copy()
    s[phase.set] = found[:, 0]
    return s
