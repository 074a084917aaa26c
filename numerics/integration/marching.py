"""How does a flow go on from its start? Step by step, with steps that it chooses, or with steps that it is given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titer.numerics.dae import Array
from titer.numerics.integration.flow import Machine
from titer.numerics.integration.steps import (
    HIGHEST,
    POINTS,
    Steps,
    derivative_weights,
    error_factor,
    extrapolation_weights,
)

_CONVERGED = 1e-3  # of the tolerance, that is left when Newton's method may stop
_FLOOR = 0.1  # of a variable's size, that its own magnitude is not counted below
_MOST_STEPS = 50_000
_SLOW = 0.3  # rate of Newton's method from which derivatives are taken anew
_STEADY = 1.2  # a step grows when it may by more than this factor


class MarchError(RuntimeError):
    """A flow that does not run; the message says where."""


@dataclass(frozen=True, eq=False)
class March:
    """A flow along its steps: y (steps + 1, y). `error`: the largest local error, by the tolerance."""

    steps: Steps
    y: Array
    error: float


def adapted(machine: Machine, y: Array, a: Array) -> March:
    """March from y with steps as long as the tolerance allows. Raises MarchError."""
    times, orders, path = [0.0], [], [consistent(machine, y, a)]
    newton, h, q, held = _Newton(machine, a), _first_step(machine, path[0], a), 1, 0
    failures = 0
    while times[-1] < 1.0:
        t, left = times[-1], 1.0 - times[-1]
        if len(orders) >= _MOST_STEPS or h < 1e-15:
            raise MarchError(f"no step is short enough at {t:.6g} of the stretch")
        h = left if h > 0.999 * left else min(h, 0.5 * left) if h > 0.6 * left else h
        new = t + h if h < left else 1.0
        past, known = np.array(times[-POINTS:][::-1]), np.array(path[-POINTS:][::-1])
        weights = _weights(machine, path[-1])
        guess = _predicted(machine, new, past, known, q, a)
        found = newton.solve(new, guess, derivative_weights(new, past[:q]), known[:q], weights)
        error = np.inf if found is None else _error(new, past, q, found - guess, weights)
        if found is None or error > 1.0:
            failures += 1
            h *= 0.25 if found is None else max(0.2, 0.9 * error ** (-1.0 / (q + 1)))
            q = 1 if failures > 2 else q
            held = 0
            continue
        failures, held = 0, held + 1
        times.append(new)
        orders.append(q)
        path.append(found)
        if held > q:
            best, order = _next(new, past, known, q, found, weights, error)
            if best > _STEADY or best < 0.95 or order != q:
                h, q, held = h * float(np.clip(best, 0.2, 2.0)), order, 0
        elif len(orders) == 1:
            h *= float(np.clip(0.9 * max(error, 1e-4) ** -0.5, 0.2, 10.0))
    return March(Steps(np.array(times), np.array(orders)), np.array(path), 1.0)


def marched(machine: Machine, y: Array, a: Array, steps: Steps) -> March:
    """March from y along given steps. Raises MarchError."""
    path = np.empty((steps.count + 1, len(y)))
    path[0] = consistent(machine, y, a)
    newton, worst = _Newton(machine, a), 0.0
    for n in range(steps.count):
        alpha, t = steps.derivatives[n], steps.times[n + 1]
        known = path[max(n + 1 - POINTS, 0) : n + 1][::-1]
        if n:
            predict = steps.predictions[n]
            guess = predict @ known[: len(predict)]
        else:
            guess = path[0] + (t - steps.times[0]) * machine.flow.mass * machine.rates(0.0, path[0], a)
        weights = _weights(machine, path[n])
        found = newton.solve(t, guess, alpha, known[: len(alpha) - 1], weights)
        if found is None:
            raise MarchError(f"a step does not converge at {t:.6g} of the stretch")
        path[n + 1] = found
        worst = max(worst, steps.errors[n] * _norm(found - guess, weights))
    return March(steps, path, worst)


def consistent(machine: Machine, y: Array, a: Array) -> Array:
    """y with algebraics that satisfy their equations at the start. Raises MarchError."""
    free = np.flatnonzero(machine.flow.mass == 0.0)
    if not len(free):
        return y
    y = y.copy()
    weights = _weights(machine, y)[free]
    for _ in range(50):
        residual = machine.rates(0.0, y, a)[free].copy()
        slope = dense(machine, machine.slopes(0.0, y, a)[0])[np.ix_(free, free)]
        if not (np.isfinite(residual).all() and np.isfinite(slope).all()):
            break
        try:
            step = np.linalg.solve(slope, -residual)
        except np.linalg.LinAlgError:
            break
        y[free] += step
        if _norm(step, weights) < _CONVERGED:
            return y
    raise MarchError("no consistent algebraic variables were found at the start of the stretch")


def dense(machine: Machine, entries: Array) -> Array:
    """dF/dy as a full matrix."""
    rows, columns = machine.flow.pattern.get_triplet()
    matrix = np.zeros((len(machine.flow.mass),) * 2)
    matrix[rows, columns] = entries
    return matrix


class _Newton:
    """Newton's method with derivatives and factors that are kept as long as they serve."""

    def __init__(self, machine: Machine, a: Array):
        self.machine, self.a = machine, a
        self.entries: Array | None = None
        self.factors: tuple[Array, Array] | None = None
        self.shift, self.slow = 0.0, True

    def solve(self, t: float, guess: Array, alpha: Array, known: Array, weights: Array) -> Array | None:
        """The y of a step; None where there is none in reach."""
        machine, mass = self.machine, self.machine.flow.mass
        history = mass * (alpha[1:] @ known)
        fresh = False
        while True:
            if self.slow or self.entries is None:
                self.entries = machine.slopes(t, guess, self.a)[0].copy()
                fresh, self.slow, self.shift = True, False, 0.0
            if self.shift != alpha[0]:
                self.factors, self.shift = machine.band.factor(self.entries, alpha[0]), alpha[0]
            found = self._iterated(t, guess, alpha[0], history, weights)
            if found is not None or fresh:
                return found
            self.slow = True

    def _iterated(self, t: float, guess: Array, shift: float, history: Array, weights: Array) -> Array | None:
        machine, mass = self.machine, self.machine.flow.mass
        y, before = guess, 0.0
        if self.factors is None:
            return None
        for k in range(10):
            residual = machine.rates(t, y, self.a) - history - shift * mass * y
            step = machine.band.solve(self.factors, residual)
            y, size = y + step, _norm(step, weights)
            if not np.isfinite(size):
                self.slow = True
                return None
            rate = size / before if k else 0.0
            if k and rate > 0.9:
                self.slow = True
                return y if size < 0.1 * _CONVERGED else None  # rounding is all that is left
            if size < 0.01 * _CONVERGED or (k and rate * size < _CONVERGED * (1.0 - rate)):
                self.slow = k > 1 and rate > _SLOW
                return y
            before = size
        self.slow = True
        return None


def _weights(machine: Machine, y: Array) -> Array:
    return 1.0 / (machine.flow.tolerance * (_FLOOR + np.abs(y)))


def _norm(y: Array, weights: Array) -> float:
    scaled = y * weights
    return float(np.sqrt(scaled @ scaled / len(scaled)))


def _first_step(machine: Machine, y: Array, a: Array) -> float:
    """A step on which rates change y by half of the tolerance."""
    speed = _norm(machine.flow.mass * machine.rates(0.0, y, a), _weights(machine, y))
    return min(1e-2, 0.5 / speed) if speed > 0.0 else 1e-2


def _predicted(machine: Machine, t: float, past: Array, known: Array, q: int, a: Array) -> Array:
    if len(past) == 1:
        return known[0] + (t - past[0]) * machine.flow.mass * machine.rates(past[0], known[0], a)
    return extrapolation_weights(t, past[: q + 1]) @ known[: q + 1]


def _error(t: float, past: Array, q: int, miss: Array, weights: Array) -> float:
    factor = 0.5 if len(past) == 1 else error_factor(t, past, q) if len(past) > q else 1.0
    return factor * _norm(miss, weights)


def _next(
    t: float, past: Array, known: Array, q: int, found: Array, weights: Array, error: float
) -> tuple[float, int]:
    """By which factor the step may grow at which order: this one, or the one below or above."""
    best, order = 0.9 * max(error, 1e-10) ** (-1.0 / (q + 1)), q
    for other in (q - 1, q + 1):
        if 1 <= other <= HIGHEST and len(past) > other:
            miss = found - extrapolation_weights(t, past[: other + 1]) @ known[: other + 1]
            grown = 0.85 * max(_error(t, past, other, miss, weights), 1e-10) ** (-1.0 / (other + 1))
            if grown > best:
                best, order = grown, other
    return best, order
