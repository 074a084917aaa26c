"""What is wanted at a time? Set points and known disturbances: numbers, Series or functions of the recipe's time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from titer.control.loops.tracks import span
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.signals import Signal, finite, signal
from titer.numerics.errors import SpecificationError, unknown

Wanted = Mapping[str, Callable[[float], float]]


def wanted_of(plant: Flowsheet, given: Mapping[str, Any] | None, where: str) -> Wanted:
    """Functions of time, in the plant's units, of what is given by name. A Series steps at each of its times.

    Raises SpecificationError for a name that the plant does not have, and for what is no trajectory.
    """
    found = {}
    for name, value in by_element(given or {}, where).items():
        if name not in plant.measures:
            raise SpecificationError(f"{where}: {unknown('name', name, plant.measures)}")
        found[name] = _function(plant, name, value, where)
    return found


def at_time(wanted: Wanted, t: float) -> dict[str, float]:
    """What is wanted at a time, by name."""
    return {name: function(t) for name, function in wanted.items()}


def _function(plant: Flowsheet, name: str, value: Any, where: str) -> Callable[[float], float]:
    measure = plant.measures[name]
    if callable(value):
        return lambda t: finite(value(t), measure, f"{where}: {name} at t = {t:g}")
    line = signal(value, measure, name, 0.0)
    if not isinstance(line, Signal):
        raise SpecificationError(
            f"{where}: {name} needs a number, a quantity, a Series or a function of time, got {value!r}."
        )
    if line.is_constant:
        return lambda t: float(line.left[0])
    first = float(line.times[0])
    return lambda t: span(line, max(t, first), max(t, first) + 1e-6 * max(abs(t), 1.0))[0]
