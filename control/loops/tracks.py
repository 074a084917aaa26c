"""How does a value move while a loop runs? Straight lines in time that are added, and that commands bend."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from titer.flowsheets.shapes import Shape
from titer.flowsheets.signals import Signal


def steady(value: float) -> Signal:
    """A value that holds from the start of the recipe on."""
    return Signal(np.zeros(1), np.array([value]), np.array([value]))


def of_shape(shape: Shape, start: float, duration: float) -> Signal:
    """An input of a phase, on the recipe's clock; its last value holds on."""
    profile, values = shape
    left, right = np.asarray(values, dtype=float)[profile.left], np.asarray(values, dtype=float)[profile.right]
    times = start + duration * np.asarray(profile.edges)
    return Signal(times, np.append(left, right[-1]), np.append(right, right[-1]))


def span(signal: Signal, a: float, b: float) -> tuple[float, float]:
    """Values at both ends of a stretch of time: just after a, and just before b."""
    profile, values = signal.over(a, b - a)
    return float(values[profile.left[0]]), float(values[profile.right[-1]])


def kinks(signal: Signal, a: float, b: float) -> np.ndarray:
    """Times inside a stretch at which it jumps or bends."""
    if signal.is_constant:
        return np.zeros(0)
    near = 1e-9 * (b - a)
    return signal.times[(signal.times > a + near) & (signal.times < b - near)]


def mean(signal: Signal, a: float, b: float) -> float:
    """The mean over a stretch of time."""
    edges = np.array([a, *kinks(signal, a, b), b])
    areas = [0.5 * sum(span(signal, s, e)) * (e - s) for s, e in pairwise(edges.tolist())]
    return float(sum(areas) / (b - a))


def added(one: Signal, other: Signal) -> Signal:
    """The sum of two; from the later of their beginnings on."""
    if one.is_constant and other.is_constant:
        return Signal.constant(float(one.left[0] + other.left[0]))
    begin = max(one.times[0], other.times[0])
    times = np.unique(np.concatenate([[begin], one.times[one.times > begin], other.times[other.times > begin]]))
    ends = np.append(times[1:], times[-1] + 1.0)
    pairs = [
        np.add(span(one, float(a), float(b)), span(other, float(a), float(b))) for a, b in zip(times, ends, strict=True)
    ]
    left, right = np.array(pairs).T
    return Signal(times, left, np.append(right[:-1], left[-1]))


def commanded(signal: Signal, t: float, target: float, rate: float) -> Signal:
    """A value that from a time on moves to a target, no faster than `rate` per time, and holds there."""
    kept = signal.times < t
    now = at(signal, t)
    times, left, right = signal.times[kept], signal.left[kept], signal.right[kept].copy()
    if len(right):
        right[-1] = now
    moving = abs(target - now) / rate if np.isfinite(rate) else 0.0
    if moving > 0.0:
        return Signal(
            np.concatenate([times, [t, t + moving]]),
            np.concatenate([left, [now, target]]),
            np.concatenate([right, [target, target]]),
        )
    return Signal(np.append(times, t), np.append(left, target), np.append(right, target))


def at(signal: Signal, t: float) -> float:
    """The value just before a time; at its beginning, the first."""
    if signal.is_constant or t <= signal.times[0]:
        return float(signal.left[0])
    k = int(np.searchsorted(signal.times, t, side="left")) - 1
    if k == len(signal.times) - 1:
        return float(signal.right[k])
    share = (t - signal.times[k]) / (signal.times[k + 1] - signal.times[k])
    return float(signal.left[k] + (signal.right[k] - signal.left[k]) * share)


def since(signal: Signal, t: float) -> Signal:
    """What of it still matters after a time."""
    first = max(int(np.searchsorted(signal.times, t, side="right")) - 1, 0)
    return Signal(signal.times[first:], signal.left[first:], signal.right[first:])
