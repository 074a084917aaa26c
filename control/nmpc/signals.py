"""What is done where a signal is bad? Hold it, go by the model, or give the plant back to its operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from titer.flowsheets.flowsheet import by_element
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.grid import is_whole


@dataclass(frozen=True)
class Hold:
    """Its last good value counts, for at most `longest` samples in a row; then the controller leaves automatic."""

    longest: int = 3

    def __post_init__(self) -> None:
        _check(self.longest, "Hold")


@dataclass(frozen=True)
class Simulate:
    """What the model says counts, for at most `longest` samples in a row; then the controller leaves automatic."""

    longest: int = 10

    def __post_init__(self) -> None:
        _check(self.longest, "Simulate")


@dataclass(frozen=True)
class Shed:
    """The controller leaves automatic at once."""


Rule = Hold | Simulate | Shed


def _check(longest: object, what: str) -> None:
    if not is_whole(longest, 0):
        raise SpecificationError(f"{what}: longest is a number of samples, got {longest!r}.")


@dataclass(frozen=True, eq=False)
class Read:
    """What signals said: `values` {name: number}, without those that are bad; `signals` {name: (last good, time)};
    `bad` ones with their ages in samples; `shed`: why the controller must leave automatic, empty: it need not."""

    values: Mapping[str, float]
    signals: Mapping[str, tuple[float, float]]
    bad: Mapping[str, int] = field(default_factory=dict)
    shed: str = ""


def read_signals(
    wanted: Mapping[str, Rule],
    measured: Mapping[str, float],
    before: Mapping[str, tuple[float, float]],
    time: float,
    every: float,
    due: frozenset[str],
) -> Read:
    """Judge the `measured` values of all `wanted` signals; `before`: their last good values; `due`: those that every
    sample must hold, while others may come now and then."""
    values: dict[str, float] = {}
    signals, bad, shed = dict(before), {}, ""
    for name, rule in wanted.items():
        value = measured.get(name, np.nan)
        if np.isfinite(value):
            values[name], signals[name] = value, (value, time)
            continue
        if name not in measured and name not in due:
            continue
        last, since = before.get(name, (np.nan, time - every))
        age = max(1, round((time - since) / every))
        if name not in measured and isinstance(rule, Simulate) and age <= rule.longest:
            continue  # a laboratory's value comes when it comes
        bad[name] = age
        if isinstance(rule, Shed):
            shed = shed or f"{name} is bad"
        elif age > rule.longest:
            shed = shed or f"{name} is bad since t = {since:g}"
        elif isinstance(rule, Hold) and np.isfinite(last):
            values[name] = last
    return Read(values, signals, bad, shed)


def check_signals(signals: Any, measured: Sequence[str]) -> None:
    """Rules are for what is measured. Raises SpecificationError."""
    if not isinstance(signals, Mapping):
        raise SpecificationError(f"NMPC: signals is a dict from names to rules, got {signals!r}.")
    for name, rule in by_element(signals, "signals").items():
        if name not in measured:
            raise SpecificationError(f"NMPC: signals: {unknown('signal', name, measured)}")
        if not isinstance(rule, Hold | Simulate | Shed):
            raise SpecificationError(f"NMPC: signals: {name} needs Hold(), Simulate() or Shed(), got {rule!r}.")
