"""Where do batches come from when there are few? From the model: feeds, oxygen, starts and sensors vary as stated.

Batch k has random numbers of its own, so that more batches are added to those there are, and a folder keeps what was
made. Source of the scheme, operating inputs and starts perturbed about a recipe and noise added to readings: Xie, Wang,
Li, Xie & Auclair, Naval Research Logistics 69 (2022) 1003.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from titer.analysis.processes.batches import Batches
from titer.analysis.processes.ensemble import run_batches, scores_of
from titer.analysis.processes.keeping import Kept, fingerprint
from titer.analysis.processes.marching import March
from titer.analysis.processes.process import Process, process_of
from titer.estimation.data.noise import Noise, deviations
from titer.estimation.estimators.sample import check_measured
from titer.flowsheets.flowsheet import Flowsheet, by_element
from titer.flowsheets.recipe import Recipe
from titer.flowsheets.signals import finite
from titer.numerics.errors import SolveError, SpecificationError
from titer.numerics.grid import is_whole

Array = np.ndarray
Progress = Callable[[str], None]
PORTION = 255  # batches that are run, and kept, together: a call of `marching` with the planned run


def generate(
    plant: Flowsheet,
    recipe: Recipe,
    count: int,
    perturb: Mapping[str, Any],
    noise: Mapping[str, Any],
    inputs: Mapping[str, Any] | None = None,
    stages: int | Iterable[float] = 4,
    attributes: Mapping[str, Any] | None = None,
    disturbances: Mapping[str, Any] | None = None,
    durations: Mapping[str, Any] | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> Batches:
    """Make synthetic batches: `generate(plant, recipe, 100, {reactor.F: Vary(0.05, True)}, {reactor.X: 0.2})`.

    `perturb`: starts, parameters and inputs, as `uncertain` of `linear_network`. `noise`: what is measured at each
    stage, states, algebraic variables or expressions, with its standard deviation or `Noise(absolute, relative)`.
    `disturbances`: of states, standard deviation of what the model leaves out at each stage. `attributes` are read
    without noise. `folder`: keeps portions of 255 batches; a second call goes on from there, with more batches too.
    `progress` is told what is done. Raises SpecificationError, and SolveError where no batch can be run.
    """
    if not is_whole(count, 1):
        raise SpecificationError(f"generate: count must be a whole number of at least 1, got {count!r}.")
    sensors = _sensors(plant, noise)
    process = process_of(
        plant, recipe, inputs, stages, perturb, attributes, disturbances, durations, measured=tuple(sensors)
    )
    kept = None if folder is None else Kept.opened(Path(folder), fingerprint(process, sensors, seed))
    march = March(process.model)
    portions: list[tuple[Array, Array, Array]] = []
    for first in range(0, count, PORTION):
        last = min(first + PORTION, count)
        found = None if kept is None else kept.read(first, last)
        if found is None:
            found = _portion(process, march, sensors, range(first, last), seed)
            if kept is not None:
                kept.write(first, found)
        portions.append(found)
        if progress is not None:
            progress(f"batches: {last} of {count}")
    values, measured, sigma = (np.concatenate(parts) for parts in zip(*portions, strict=True))
    if not np.isfinite(values).all(axis=1).any():
        raise SolveError(f"none of {count} batches could be run to its end.\n  Check what is perturbed, and how far.")
    return Batches(process, recipe, dict(inputs or {}), dict(sensors), values, measured, sigma)


def _sensors(plant: Flowsheet, noise: Mapping[str, Any]) -> dict[str, float | Noise]:
    """What is measured, with its noise, checked."""
    found: dict[str, float | Noise] = {}
    for name, value in by_element(noise, "noise").items():
        check_measured(plant, name, "noise")
        found[name] = value if isinstance(value, Noise) else finite(value, plant.measures[name], f"noise of {name}")
        if not isinstance(value, Noise) and found[name] <= 0.0:  # type: ignore[operator]
            raise SpecificationError(f"noise of {name} must be positive, got {found[name]:g}.")
    if not found:
        raise SpecificationError("noise is empty: nothing is measured.\n  Give noise={name: standard deviation}.")
    return found


def _portion(
    process: Process, march: March, sensors: Mapping[str, float | Noise], batches: range, seed: int
) -> tuple[Array, Array, Array]:
    """Nodes (batches, nodes), readings and their deviations (batches, stages, sensors)."""
    found = run_batches(process, march, scores_of(process, batches, seed))
    values = np.column_stack([found[node.address] for node in process.nodes])
    shape = (len(batches), len(process.stages), len(sensors))
    true, sigma = np.empty(shape), np.empty(shape)
    s = np.repeat(process.model.start[None], len(batches), axis=0)
    for k, t in enumerate(process.stages):
        s = _entries_at(process, found, s, k)
        phase = process.model.timeline.phase_at(t)
        reading = process.model.phases[phase].measured
        true[:, k] = np.where(reading.present, march.read(reading, phase, s, t), np.nan)
    for j, noise in enumerate(sensors.values()):
        sigma[..., j] = deviations(noise, true[..., j])
    drawn = np.array([np.random.default_rng([seed, b, 1]).standard_normal(shape[1:]) for b in batches])
    return values, true + sigma * drawn, sigma


def _entries_at(process: Process, found: Mapping[Any, Array], s: Array, k: int) -> Array:
    """Entries of batches at a stage: states there, and the departures that led to it, at the start those after it."""
    s = s.copy()
    for i, name in enumerate(process.states):
        s[:, i] = found[name, process.stages[k]]
    s[:, len(process.states) :] = process.model.start[len(process.states) :]
    for source in process.sources:
        if max(k - 1, 0) in source.spans:
            s[:, source.entry] += (found[source.node.address] - source.mean) / source.scale
    return s
