"""Can a table of measurements be trusted as it stands? Every cell a number, times that rise, values that can be.

Nothing is repaired and nothing dropped: what is wrong is refused, with its row (from 1), time and column.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.estimation.data.noise import Estimated, deviations
from titer.flowsheets.declarations import Algebraic, State
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.names import elements_of
from titer.flowsheets.operation import durations_of
from titer.flowsheets.recipe import Recipe
from titer.numerics.errors import SpecificationError, unknown

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_NEAR = 4.0  # standard deviations that noise takes a value out of its domain
_ROUNDING = 1e-9  # of the largest value of a column: so far outside its domain a value is called rounding


def number_of(cell: Any, where: str, decimal: str = ".") -> float:
    """A cell as a number, NaN where it is empty. Raises SpecificationError for any other text, and for infinities."""
    if isinstance(cell, str):
        text = cell.strip()
        if not text or text.lower() == "nan":
            return np.nan
        plain = text if decimal == "." else text.replace(".", "?").replace(decimal, ".")
        if not _NUMBER.fullmatch(plain):
            raise SpecificationError(f"{where}: {text!r} is no number.\n  {_mend(text, decimal)}")
        value = float(plain)
    else:
        value = _plain_number(cell, where)
    if np.isinf(value):
        raise SpecificationError(
            f"{where}: {cell!r} is not finite.\n  Leave the cell empty (NaN) if it was not measured."
        )
    return value


def _plain_number(cell: Any, where: str) -> float:
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return np.nan
    if isinstance(cell, bool | np.bool_) or not isinstance(cell, int | float | np.number):
        raise SpecificationError(
            f"{where}: {cell!r} is no number but a {type(cell).__name__}.\n"
            f"  Give the measured number, or leave the cell empty (NaN)."
        )
    return float(cell)


def _mend(text: str, decimal: str) -> str:
    if decimal == "." and re.fullmatch(r"[+-]?\d+,\d+([eE][+-]?\d+)?", text):
        return f"A decimal comma? Write {text.replace(',', '.')}, or read the whole table with a decimal comma."
    if text.lower().lstrip("+-") in ("inf", "infinity"):
        return "Leave the cell empty (NaN) if it was not measured."
    if text.startswith(("<", ">")):
        return "A limit of detection is no measurement: leave the cell empty (NaN), or write the number it stands for."
    return "Correct the cell, or leave it empty (NaN) if it was not measured."


def times_of(index: Any, who: str) -> Array:
    """Times as finite numbers. Raises SpecificationError."""
    if getattr(index, "nlevels", 1) > 1:
        raise SpecificationError(f"{who}: the frame has {index.nlevels} levels of index, expected one: the time.")
    if index.dtype.kind in "mM":
        raise SpecificationError(
            f"{who}: the frame is indexed by dates, expected times as numbers.\n"
            f'  Write frame.index = (frame.index - frame.index[0]) / pd.Timedelta("1h").'
        )
    times = np.array([number_of(t, f"{who}: row {i + 1}: its time") for i, t in enumerate(index.tolist())], dtype=float)
    if not np.isfinite(times).all():
        raise SpecificationError(
            f"{who}: a time of the frame is not finite, in row {int(np.argmin(np.isfinite(times))) + 1}."
        )
    return times


def cells_of(column: pd.Series, times: Array, name: str, who: str) -> Array:
    """The cells of a column as numbers, NaN: not measured. Raises SpecificationError."""
    if column.dtype.kind in "iuf":
        values = column.to_numpy(dtype=float, na_value=np.nan)
        if not np.isinf(values).any():
            return values
    return np.array(
        [number_of(c, f"{who}: {place(i, times)}, column {name}") for i, c in enumerate(column.tolist())], dtype=float
    )


def check_order(times: Array, replicates: bool, who: str) -> None:
    """Times rise; equal ones are replicates, where that is said. Raises SpecificationError."""
    steps = np.diff(times)
    if np.any(steps < 0.0):
        k = int(np.argmax(steps < 0.0)) + 1
        raise SpecificationError(
            f"{who}: the times of the frame must rise: row {k + 1} is at t = {times[k]:g}, the row before at "
            f"t = {times[k - 1]:g}.\n  If the time is no typing error, sort the frame: frame.sort_index()."
        )
    if not replicates and np.any(steps == 0.0):
        k = int(np.argmax(steps == 0.0)) + 1
        raise SpecificationError(
            f"{who}: the times of the frame must rise: rows {k} and {k + 1} have the same time, t = {times[k]:g}.\n"
            f"  If each row is a measurement of its own, say replicates=True."
        )


def check_noise(frame: pd.DataFrame, noise: Mapping[str, Any], who: str) -> None:
    """Every column has a noise. Raises SpecificationError."""
    missing = [str(c) for c in frame.columns if str(c) not in noise]
    if missing:
        raise SpecificationError(
            f"{who}: no noise for {missing[0]}.\n  Give noise={{{missing[0]}: standard deviation}} for every column."
        )


def check_deviations(deviations: Array, known: Array, times: Array, name: str, who: str) -> None:
    """Standard deviations of what was measured are positive and finite. Raises SpecificationError."""
    bad = known & ~(np.isfinite(deviations) & (deviations > 0.0))
    if not bad.any():
        return
    k = int(np.argmax(bad))
    where = "" if bad.sum() == known.sum() else f" in {place(k, times)}"
    zero = deviations[k] == 0.0 and bad.sum() < known.sum()
    hint = "\n  Noise(relative=) alone gives a measured zero no deviation: add absolute=." if zero else ""
    raise SpecificationError(f"{who}: the noise of {name} must be positive, got {float(deviations[k])!r}{where}.{hint}")


def check_domains(
    frame: pd.DataFrame, noise: Mapping[str, Any], plant: Flowsheet, may_leave: Sequence[str], who: str
) -> None:
    """Measured values lie in the declared domain of their variable, or so near that their noise took them there.

    Four standard deviations, at the bound, are called near: dropping what noise takes below zero would bias a fit.
    Those of `may_leave` lie anywhere. Raises SpecificationError.
    """
    times = frame.index.to_numpy(dtype=float)
    allowed = {str(each) for name in may_leave for each in elements_of(name)}
    strangers = sorted(allowed - set(plant.measures))
    if strangers:
        raise SpecificationError(f"{who}: may_leave: {unknown('name', strangers[0], frame.columns)}")
    for name in frame.columns:
        scalar = plant.scalars.get(name)
        if scalar is None or scalar.kind not in (State.kind, Algebraic.kind) or name in allowed:
            continue
        values = frame[name].to_numpy(dtype=float)
        rounding = _ROUNDING * float(np.nanmax(np.abs(values), initial=0.0))
        given = noise[name]
        given = given.first(values[np.isfinite(values)]) if isinstance(given, Estimated) else given
        bounds = np.array([scalar.lower, scalar.upper])[:, None] + np.zeros(len(values))
        sizes = [np.abs(deviations(given, np.where(np.isfinite(bound), bound, 0.0))) for bound in bounds]
        near = [np.maximum(_NEAR * size, rounding) for size in sizes]
        below, above = values < bounds[0] - near[0], values > bounds[1] + near[1]
        outside = below | above
        if outside.any():
            k = int(np.argmax(outside))
            side = "below" if below[k] else "above"
            unit = "" if scalar.measure.label == "1" else f" {scalar.measure.label}"
            raise SpecificationError(
                f"{who}: {place(k, times, plant.time)}, column {name}: {values[k]:g}{unit} lies {side} its declared "
                f"domain, [{scalar.lower:g}, {scalar.upper:g}]{unit}.\n"
                f"  Its noise does not explain that. Correct the value or its unit, or say may_leave=[{name}]."
            )


def check_within(frame: pd.DataFrame, recipe: Recipe, plant: Flowsheet, who: str) -> float:
    """Measurements were taken while the recipe ran; its longest duration. Raises SpecificationError."""
    length: float = sum(duration.upper for duration in durations_of(recipe, plant.measure_of_time))
    times = frame.index.to_numpy(dtype=float)
    measured = frame.notna().to_numpy()
    outside = measured.any(axis=1) & ((times < 0.0) | (times > length * (1.0 + 1e-9)))
    if outside.any():
        k = int(np.argmax(outside))
        name = frame.columns[int(np.argmax(measured[k]))]
        raise SpecificationError(
            f"{who}: {place(k, times, plant.time)}, column {name}: the time lies outside the recipe, which runs from 0 "
            f"to {length:g} {plant.time}.\n  Is it in another unit? Say time_unit=; or let the recipe last longer."
        )
    return length


def place(k: int, times: Array, unit: str = "") -> str:
    """Where a row stands: "row 3 (t = 0.5 h)"."""
    return f"row {k + 1} (t = {times[k]:g}{f' {unit}' if unit else ''})"
