"""What does a plant predict for an experiment? Simulated, at the times of its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from titer.estimation.experiment import Experiment
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.operation import Operation, operations
from titer.flowsheets.simulation import StoppedRunError, run_operations
from titer.numerics.errors import SolveError, SpecificationError
from titer.numerics.solution import PhaseResult

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
_CLOSE = 1e-9  # of a phase: so near to its end lies in it


def predicted(plant: Flowsheet, experiment: Experiment, tolerance: float = 1e-8) -> pd.DataFrame:
    """Predictions in the place of measurements: a frame as the experiment's, in declared units, NaN where not measured.

    Parameters, and starts that the experiment does not say, are those of the plant. Raises SpecificationError for data
    that do not fit the plant or its recipe, SolveError where the run stops early.
    """
    import pandas as pd

    data = experiment.converted(plant)
    planned = operations(plant.with_values(data.start), data.recipe, dict(data.inputs))
    times = data.frame.index.to_numpy(dtype=float)
    stops = {operation.name: at for operation, at in zip(planned, _positions(planned, times), strict=True)}
    try:
        phases = run_operations(plant.with_values(data.start), planned, stops=stops, tolerance=tolerance)
    except StoppedRunError as stop:
        raise SolveError(f"{data.who}: its prediction stops at t = {stop.end:.6g} {plant.time}: {stop}") from None
    columns = {}
    for name in data.frame.columns:
        known = np.isfinite(data.frame[name].to_numpy(dtype=float))
        columns[name] = np.full(len(times), np.nan)
        columns[name][known] = _read(phases, name, times[known], data.who)
    return pd.DataFrame(columns, index=data.frame.index)


def prediction_errors(plant: Flowsheet, experiments: list[Experiment] | tuple[Experiment, ...]) -> pd.DataFrame:
    """How far a plant's predictions lie from measurements, as it stands: experiment, name, count, bias, rms.

    `bias`: mean of predicted less measured. Raises as `predicted` does.
    """
    import pandas as pd

    rows = []
    for r, experiment in enumerate(experiments):
        measured = experiment.converted(plant).frame
        errors = predicted(plant, experiment) - measured
        for name in errors.columns:
            known = errors[name].dropna().to_numpy()
            if len(known):
                rows.append((experiment.label(r), name, len(known), known.mean(), np.sqrt((known**2).mean())))
    return pd.DataFrame(rows, columns=["experiment", "name", "count", "bias", "rms"])


def _positions(planned: tuple[Operation, ...], times: Array) -> list[Array]:
    """Where in each phase samples lie (0 to 1). Raises SpecificationError where a phase's time is free."""
    found, clock = [], 0.0
    for operation in planned:
        if operation.duration.free or operation.event is not None:
            if (times > clock).any():
                raise SpecificationError(
                    f"Phase {operation.name!r}: samples need fixed durations, this phase's time is free."
                )
            found.append(np.zeros(0))
            continue
        duration = operation.duration.guess
        tau = (times - clock) / duration
        found.append(np.unique(np.clip(tau[(tau >= -_CLOSE) & (tau <= 1.0 + _CLOSE)], 0.0, 1.0)))
        clock += duration
    return found


def _read(phases: tuple[PhaseResult, ...], name: str, times: Array, who: str) -> Array:
    """Values at times; at the boundary of two phases, of the earlier one."""
    values, missing = np.full(len(times), np.nan), np.ones(len(times), dtype=bool)
    for phase in phases:
        table = phase.table()
        if name not in table or name in phase.held:
            continue
        time = phase.trajectory.time
        nearest = np.abs(time[None, :] - times[:, None]).argmin(axis=1)
        slack = 1e-6 * max(phase.trajectory.duration, 1e-300)
        here = missing & (np.abs(time[nearest] - times) <= slack)
        values[here] = table[name][nearest[here]]
        missing &= ~here
    if missing.any():
        raise SpecificationError(
            f"{who}: {name} is not active at its sample at {times[missing][0]:g}.\n"
            f"  Make the sample NaN (not measured), or let the unit operation be active there."
        )
    return values
