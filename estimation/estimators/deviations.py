"""How uncertain is each entry, and each measurement? What a user says, and what is taken where nothing is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from titer.estimation.estimators.entries import Entries
from titer.estimation.estimators.sample import check_measured
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.signals import finite
from titer.numerics.dae import Array, Variable, sizes_of
from titer.numerics.errors import SpecificationError, unknown

_START = 0.05  # of its size: how far a state is off at the start, where nothing is said
_PROCESS = 0.01  # of its size: how far a state wanders from the model over the recipe, where nothing is said


@dataclass(frozen=True, eq=False)
class Deviations:
    """What is uncertain: each measurement (m,), each entry at the start (n,), and its rate (n,), per square root of
    time."""

    noise: Array
    start: Array
    process: Array


@dataclass(frozen=True, eq=False)
class Uncertain:
    """What a user says is uncertain; None: a share of the size of each state that can be seen."""

    noise: Mapping[str, Any]
    start: Mapping[str, Any] | None = None
    process: Mapping[str, Any] | None = None
    disturbances: Mapping[str, Any] = field(default_factory=dict)


def noise_of(plant: Flowsheet, given: Mapping[str, Any]) -> dict[str, float]:
    """Standard deviations of what is measured, by name. Raises SpecificationError."""
    flat = by_element(given, "noise")
    if not flat:
        raise SpecificationError("noise is empty: nothing is measured.\n  Give noise={name: standard deviation}.")
    found: dict[str, float] = {}
    for name, value in flat.items():
        check_measured(plant, name, "noise")
        found[name] = finite(value, plant.measures[name], f"noise of {name}")
        if found[name] <= 0.0:
            raise SpecificationError(f"noise of {name} must be positive, got {found[name]:g}.")
    return found


def sizes_of_entries(plant: Flowsheet, entries: Entries, noise: Array) -> Array:
    """Typical magnitudes of the entries (n,)."""
    known = [plant.scalars[name] for name in (*entries.states, *entries.parameters)]
    variables = [Variable(str(s.name), "", s.lower, s.upper, s.start, s.nominal) for s in known]
    sizes = sizes_of(variables)
    rates = [sizes[entries.states.index(name)] for name in entries.rates]
    return np.array([*sizes, *rates, *[float(noise.max())] * len(entries.biases)])


def deviations_of(
    plant: Flowsheet, entries: Entries, uncertain: Uncertain, noise: Array, sizes: Array, length: float
) -> Deviations:
    """Deviations of all entries, those by default among them."""
    count, n = len(entries.states), len(entries.names)
    start, process = np.zeros(n), np.zeros(n)
    start[:count] = _of_states(plant, entries, uncertain.start, "start", _START * sizes[:count])
    wanders = np.where(start[:count] > 0.0, _PROCESS * sizes[:count] / np.sqrt(length), 0.0)
    process[:count] = _of_states(plant, entries, uncertain.process, "process", wanders)
    for name, walk in entries.walks.items():
        i = entries.index[name]
        start[i], process[i] = walk.start, walk.deviation
    if not (start.any() or process.any()):
        raise SpecificationError("nothing is uncertain: start, process and disturbances give no deviation above 0.")
    return Deviations(noise, start, process)


def _of_states(
    plant: Flowsheet, entries: Entries, given: Mapping[str, Any] | None, what: str, otherwise: Array
) -> Array:
    if given is None:
        return otherwise
    values = np.zeros(len(entries.states))
    for name, value in by_element(given, what).items():
        if name not in entries.states:
            raise SpecificationError(
                f"{what}: {unknown('state', name, entries.states)}\n"
                f"  A parameter is estimated by disturbances={{name: Drift(deviation, start=)}}."
            )
        number = finite(value, plant.measures[name], f"{what} of {name}")
        if number < 0.0:
            raise SpecificationError(f"{what} of {name} must be at least 0, got {number:g}.")
        values[entries.states.index(name)] = number
    return values
