"""How does the end of a march follow its start and its arguments? Forward in few directions, or adjoint for few ends.

Both differentiate the steps that were taken, with their sizes held: exact derivatives of what was computed, equal to
each other to rounding. A step in direction S costs the solution of (alpha_0 M - F_y) S_n = F_a P - M sum alpha_i S_(n-i)
with one factorization for all directions; the adjoint is the same system transposed, backwards.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from titer.numerics.dae import Array
from titer.numerics.integration.flow import Machine
from titer.numerics.integration.marching import March, MarchError, dense
from titer.numerics.integration.steps import HIGHEST


def tangents(machine: Machine, march: March, a: Array, start: Array, seeds: Array) -> Array:
    """Derivatives (y, k) of the end in k directions.

    `start` (y, k): of the start (where it is not algebraic); `seeds` (active, k): of the machine's active arguments.
    """
    steps, mass = march.steps, machine.flow.mass[:, None]
    known = deque([np.asfortranarray(_consistent(machine, march, a, start, seeds))], maxlen=HIGHEST)
    for n in range(steps.count):
        alpha, t = steps.derivatives[n], steps.times[n + 1]
        entries, by_a = machine.slopes(t, march.y[n + 1], a)
        right = by_a @ seeds
        for weight, before in zip(alpha[1:], known, strict=False):
            right -= (weight * mass) * before
        known.appendleft(machine.band.solve(_factored(machine, entries, alpha[0], t), np.asfortranarray(right)))
    return known[0]


def adjoints(machine: Machine, march: March, a: Array, end: Array) -> tuple[Array, Array]:
    """Derivatives of `end` (y, k) of the end: those of the start (y, k), and of active arguments (active, k)."""
    steps, mass = march.steps, machine.flow.mass[:, None]
    pull = np.zeros((len(machine.active), end.shape[1]))
    waiting = deque(np.array(end, dtype=float)[None].copy())  # what each point is pulled by, the latest first
    for n in range(steps.count - 1, -1, -1):
        alpha, t = steps.derivatives[n], steps.times[n + 1]
        entries, by_a = machine.slopes(t, march.y[n + 1], a)
        factors = _factored(machine, entries, alpha[0], t)
        own = machine.band.solve(factors, np.asfortranarray(waiting.popleft()), transposed=True)
        pull += by_a.T @ own
        while len(waiting) < len(alpha) - 1:
            waiting.append(np.zeros_like(own))
        for i, weight in enumerate(alpha[1:]):
            waiting[i] -= (weight * mass) * own
    return _pulled_through_start(machine, march, a, waiting[0], pull)


def _factored(machine: Machine, entries: Array, shift: float, t: float) -> tuple[Array, Array]:
    factors = machine.band.factor(entries, shift)
    if factors is None:
        raise MarchError(f"derivatives are singular at {t:.6g} of the stretch")
    return factors


def _consistent(machine: Machine, march: March, a: Array, start: Array, seeds: Array) -> Array:
    """Derivatives of the start with those of its algebraics, which follow the states."""
    free, rest, slope, by_y, by_a = _start(machine, march, a)
    full = np.array(start, dtype=float)
    if len(free):
        full[free] = -np.linalg.solve(slope, by_y[:, rest] @ full[rest] + by_a @ seeds)
    return full


def _pulled_through_start(
    machine: Machine, march: March, a: Array, start: Array, pull: Array
) -> tuple[Array, Array]:
    free, rest, slope, by_y, by_a = _start(machine, march, a)
    if len(free):
        own = np.linalg.solve(slope.T, start[free])
        pull = pull - by_a.T @ own
        start = start.copy()
        start[rest] -= by_y[:, rest].T @ own
        start[free] = 0.0
    return start, pull


def _start(machine: Machine, march: March, a: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Which variables are algebraic, which are not, and the slopes of their equations at the start."""
    free, rest = np.flatnonzero(machine.flow.mass == 0.0), np.flatnonzero(machine.flow.mass)
    if not len(free):
        none = np.zeros((0, 0))
        return free, rest, none, none, none
    entries, by_a = machine.slopes(0.0, march.y[0], a)
    by_y = dense(machine, entries)[free]
    return free, rest, by_y[:, free], by_y, by_a[free]
