"""How stiff is the simulated start, and are the variables as large as they are said to be?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import casadi as ca
import numpy as np

from titer.flowsheets.diagnosis.examined import Examined
from titer.flowsheets.diagnosis.findings import Counts, Finding, Severity
from titer.numerics.dae import sizes_of

Array = np.ndarray
Modes = list[tuple[Array, Array]]
_MOST_STATES = 300
_OFF = 1e3  # between a declared size and the simulated one
_STIFF = 1e9  # of a phase's duration to its fastest time constant
_GROWTH = 14.0  # e-folds in a phase above which a disturbance is amplified a million times
_NOTICED = 1e-10  # of a variable's size, that another changes in a phase
_SPREAD = 1e12  # between the largest and the smallest scaled derivative


def modes_of(examined: Examined) -> list[Modes]:
    """Eigenvalues [1/time] and eigenvectors, in sizes of the states, at points along each phase that was simulated."""
    return [list(_modes(examined, k)) for k in range(len(examined.planned))]


def with_time_constants(counts: Sequence[Counts], modes: Sequence[Modes]) -> list[Counts]:
    """The counts with the fastest and the slowest time constant along the simulated start of each phase."""
    told = []
    for count, phase in zip(counts, modes, strict=True):
        rates = [values.real[values.real != 0.0] for values, _ in phase]
        constants = 1.0 / np.abs(np.concatenate([np.zeros(0), *rates]))
        if len(constants):
            count = replace(count, fastest=float(constants.min()), slowest=float(constants.max()))
        told.append(count)
    return told


def stiffness(examined: Examined, modes: Sequence[Modes]) -> Iterator[Finding]:
    """Phases with a mode that is very fast, or that grows."""
    for k, phase in enumerate(examined.run):
        names, time = phase.states, examined.plant.time
        fastest, growing = (0.0, ""), (0.0, "")
        for values, vectors in modes[k]:
            for value, vector in zip(values.real, vectors.T, strict=True):
                state = names[int(np.argmax(np.abs(vector)))]
                fastest, growing = max(fastest, (-value, state)), max(growing, (value, state))
        span = phase.trajectory.duration
        if fastest[0] * span > _STIFF:
            text = (
                f"{fastest[1]} is very fast in phase {phase.name!r}: its time constant is {1.0 / fastest[0]:.2g} {time}"
            )
            mend = "If that is meant, an algebraic equation may stand in for its balance; else check the rate's factor."
            yield Finding(Severity.NOTE, fastest[1], f"{text} of {span:g}", mend)
        if growing[0] * span > _GROWTH:
            text = f"{growing[1]} can grow without end in phase {phase.name!r}: a disturbance of it grows"
            mend = "Small changes of inputs or parameters have large effects there: runaway, or an unstable state."
            yield Finding(Severity.NOTE, growing[1], f"{text} e-fold in {1.0 / growing[0]:.2g} {time}", mend)


def sizes_that_mislead(examined: Examined) -> Iterator[Finding]:
    """Declared nominal sizes far from the simulated ones, and derivatives too far apart in those sizes."""
    for name, scalar in examined.plant.scalars.items():
        seen = examined.largest(name)
        if not (np.isfinite(scalar.nominal) and seen > 0.0):
            continue
        started = scalar.start != 0.0  # what starts from zero may not have come to its size yet
        if seen > _OFF * scalar.nominal or (started and seen < scalar.nominal / _OFF):
            unit = scalar.measure.label
            text = f"{name} is declared of size {scalar.nominal:g} {unit}"
            text = f"{text}, and reaches {seen:.3g} {unit} in the simulated start"
            mend = "Scaling and tolerances follow nominal=: give its usual size, or leave it out."
            yield Finding(Severity.WARNING, name, text, mend)
    for k in range(len(examined.run)):
        yield from _spread(examined, k)


def _spread(examined: Examined, k: int) -> Iterator[Finding]:
    """Variables whose largest scaled derivative lies far below that of another: too far for a linear solver."""
    dae, phase = examined.planned[k].lowered.dae, examined.run[k]
    if not 0 < len(dae.states) <= _MOST_STATES:
        return
    variables = (*dae.states, *dae.algebraics)
    known = np.array([np.isfinite(v.nominal) or abs(v.start) > 0.0 for v in variables])  # sizes that are not rounding
    names = [v.name for v in variables]
    rows = np.append(known[: len(dae.states)], np.ones(len(dae.equations), dtype=bool))
    slopes = [np.abs(s[rows]).max(axis=0, initial=0.0) for s in _scaled(examined, k)]
    largest = np.max([np.zeros(len(names)), *slopes], axis=0)
    noticed = largest * phase.trajectory.duration > _NOTICED
    there = np.flatnonzero(known & noticed)
    if not len(there):
        return
    most, least = there[np.argmax(largest[there])], there[np.argmin(largest[there])]
    ratio = largest[most] / largest[least]
    if ratio > _SPREAD:
        text = f"{names[most]} acts {ratio:.0e} times as strongly as {names[least]} in phase {phase.name!r}"
        mend = "Derivatives of rates and equations are compared in sizes: check units and nominal= of both."
        yield Finding(Severity.NOTE, names[most], text, mend)


def _modes(examined: Examined, k: int) -> Iterator[tuple[Array, Array]]:
    """Those of phase k; none where it has too many states."""
    n = len(examined.planned[k].lowered.dae.states)
    if not 0 < n <= _MOST_STATES:
        return
    for slope in _scaled(examined, k):
        reduced = slope[:n, :n]
        if slope.shape[0] > n:
            try:
                reduced = reduced - slope[:n, n:] @ np.linalg.solve(slope[n:, n:], slope[n:, :n])
            except np.linalg.LinAlgError:
                continue
        if np.isfinite(reduced).all():
            values, vectors = np.linalg.eig(reduced)
            negligible = 1e-12 * np.abs(values).max(initial=0.0)
            yield np.where(np.abs(values.real) > negligible, values, 1j * values.imag), vectors


def _scaled(examined: Examined, k: int) -> Iterator[Array]:
    """Derivatives of rates and equations in states and algebraics, in sizes, along phase k of the simulated start."""
    if k >= len(examined.run):
        return
    dae, symbols = examined.planned[k].lowered.dae, examined.planned[k].lowered.symbols
    t, x, z, u, p = symbols
    rate, zero, _ = dae.function(t, x, z, u, p)
    slope = ca.Function("slope", list(symbols), [ca.jacobian(ca.vertcat(rate, zero), ca.vertcat(x, z))])
    trajectory = examined.run[k].trajectory
    sizes = np.concatenate([sizes_of(dae.states, trajectory.x), sizes_of(dae.algebraics, trajectory.z)])
    rows = np.concatenate([sizes[: len(dae.states)], np.ones(len(dae.equations))])
    for point in examined.points(k):
        matrix = np.array(slope(*point)) * sizes / rows[:, None]
        if np.isfinite(matrix).all():
            yield matrix
