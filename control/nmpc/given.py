"""What is a controller told? Values of inputs, safe actions, set points and previews: checked, as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import FunctionType
from typing import Any

import numpy as np

from titer.control.nmpc.acting import Safe
from titer.control.nmpc.memory import ControlMemory
from titer.control.nmpc.moves import Handle
from titer.control.nmpc.posing import Wanted
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.operation import Decided
from titer.flowsheets.signals import Signal, finite, signal
from titer.flowsheets.symbols.measure import Measure
from titer.numerics.dae import Array
from titer.numerics.errors import SpecificationError, unknown


def handles_by_phase(wanted: Wanted, handles: Sequence[Handle]) -> tuple[tuple[tuple[int, Handle], ...], ...]:
    """The inputs that are decided in each phase, by their position, with the bounds that they have there."""
    places = {handle.name: i for i, handle in enumerate(handles)}
    found = []
    for operation in wanted.planned:
        own = []
        for variable, source in zip(operation.lowered.dae.inputs, operation.inputs, strict=True):
            if isinstance(source, Decided):
                i = places[variable.name]
                own.append((i, replace(handles[i], lower=source.lower, upper=source.upper)))
        found.append(tuple(own))
    return tuple(found)


def values_of(plant: Flowsheet, names: Sequence[str], given: Mapping[str, Any], otherwise: Array) -> Array:
    """Values of inputs (inputs,), from {input: value}; others as they were. Raises SpecificationError.

    A value that is not finite says nothing: its input is taken as it was."""
    found = otherwise.copy()
    for name, value in by_element(given, "applied").items():
        if name not in names:
            if name in plant.measures:
                continue
            raise SpecificationError(f"applied: {unknown('input', name, names)}")
        plain = isinstance(value, float | int | np.floating)
        number = float(value) if plain else finite(value, plant.measures[name], f"applied: {name}")
        if np.isfinite(number):
            found[names.index(name)] = number
    return found


def safe_of(plant: Flowsheet, handles: Sequence[Handle], fallback: Any) -> Safe | None:
    """The declared safe action as a function of time and states. Raises SpecificationError."""
    if fallback is None:
        return None
    if callable(fallback):
        return fallback  # type: ignore[no-any-return]
    bounds = {handle.name: handle for handle in handles}
    found = {}
    for name, value in by_element(fallback, "NMPC: fallback").items():
        if name not in bounds:
            raise SpecificationError(f"NMPC: fallback: {unknown('input that the controller sets', name, bounds)}")
        number = finite(value, plant.measures[name], f"NMPC: fallback: {name}")
        if not bounds[name].lower <= number <= bounds[name].upper:
            raise SpecificationError(
                f"NMPC: fallback: {name} = {number:g} lies outside its bounds "
                f"[{bounds[name].lower:g}, {bounds[name].upper:g}] {plant.measures[name].label}."
            )
        found[name] = number
    return lambda time, states: found


def set_points(wanted: Wanted) -> dict[str, Signal]:
    """The set points that a controller was made with. Raises SpecificationError."""
    found = {}
    for _, track in wanted.tracks:
        for name, target in track.targets.items():
            found[str(name)] = _trajectory(wanted, str(name), target, "Track")
    return found


def told(
    wanted: Wanted, manipulated: Sequence[str], previews: Mapping[str, Any], memory: ControlMemory
) -> dict[str, Signal]:
    """Set points and given inputs from now on, told anew. Raises SpecificationError."""
    targets = {str(name) for _, track in wanted.tracks for name in track.targets}
    inputs = {v.name for o in wanted.planned for v in o.lowered.dae.inputs} - set(manipulated)
    found = {}
    for name, value in by_element(previews, "previews").items():
        if name in manipulated:
            raise SpecificationError(f"previews: {name} is set by the controller itself.")
        if name not in targets and name not in inputs:
            known = sorted(targets | inputs)
            hint = "it is a function of time in the model's equations, or fixed by its phase"
            if name in wanted.plant.measures and name in wanted.inputs:
                raise SpecificationError(f"previews: {name}: {hint}.\n  Give it as a number or a Series in inputs.")
            raise SpecificationError(f"previews: {unknown('set point or input that is given', name, known)}")
        found[str(name)] = _trajectory(wanted, str(name), value, "previews")
    return found


def _trajectory(wanted: Wanted, name: str, value: Any, where: str) -> Signal:
    end = float(sum(duration.upper for duration in wanted.table.durations))
    read = _read_once if isinstance(value, FunctionType) else signal  # the same function comes at every sample
    found = read(value, wanted.plant.measures[name], name, end)
    if not isinstance(found, Signal):
        raise SpecificationError(f"{where}: {name} needs a number, a Series or a function of time, got {value!r}.")
    return found


@lru_cache(maxsize=64)
def _read_once(function: FunctionType, measure: Measure, name: str, end: float) -> Any:
    """A function of time as straight lines."""
    return signal(function, measure, name, end)
