"""Which pulses are analysed? Recorded ones where they are given, else generated: baseline off, over volume."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from titer.flowsheets.chromatograms import moments, peak
from titer.numerics import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
FOLDER = "akta_pulses"
FLOWS = {47: 1.57, 94: 3.15, 188: 6.30, 282: 9.45}  # cm/h -> mL/min
FILE = "kbi_{}cm_hr_traces.csv"
TIME, FLOW, SIGNAL = "time_min", "Flow_ml_per_min", "UV1_280nm_mAU"
INJECTED = 0.5  # mL, at 3.15 mL/min in all runs
BEFORE, AFTER = (2.0, 12.0), 6.0  # mL: where the baseline is read, from the start and before the end
EXCLUDED = (13.0, 17.0)  # mL: an impurity that no pore takes leaves within, a few parts in a thousand
VALLEY = (16.0, 22.0)  # mL: between it and the peak
CUT = 0.01  # of the height, below which a tail is baseline
STEP = 0.1  # mL
DEVIATIONS = (3e-4, 0.02)  # AU, and of the reading: how far baseline and model may be off; noise is 5e-5 AU


@dataclass(frozen=True, eq=False)
class Trace:
    """A pulse without its baseline: absorbance [AU] over the volume [mL] since the injection began, at a velocity."""

    velocity: int  # cm/h
    signal: pd.Series

    @property
    def flow(self) -> float:
        """mL/min."""
        return FLOWS[self.velocity]

    @property
    def begins(self) -> float:
        """The volume of the valley between the excluded impurity and the peak."""
        inside = self.signal[(self.signal.index >= VALLEY[0]) & (self.signal.index <= VALLEY[1])]
        return float(inside.index[int(np.argmin(inside.to_numpy()))])

    @property
    def ends(self) -> float:
        """The volume at which the tail has fallen into the baseline."""
        top = int(np.argmax(self.signal.to_numpy()))
        below = np.flatnonzero(self.signal.to_numpy()[top:] < CUT * self.signal.max())
        return float(self.signal.index[top + below[0] if len(below) else -1])

    def averaged(self, volumes: Array, width: float) -> Array:
        """Means over a width around volumes: samples that share no noise."""
        area = np.concatenate([[0.0], np.cumsum(self.signal.to_numpy()[:-1] * np.diff(self.signal.index))])
        ends = [np.interp(volumes + way * 0.5 * width, self.signal.index, area) for way in (-1.0, 1.0)]
        means: Array = (ends[1] - ends[0]) / width
        return means


@dataclass(frozen=True)
class Reading:
    """What is read off a pulse: place of its top and first moment [mL] without half the injection, and plates."""

    top: float
    mean: float
    plates: float


@dataclass(frozen=True, eq=False)
class Traces:
    """Pulses by velocity, whether they were recorded, and where they come from in a sentence."""

    of: Mapping[int, Trace]
    real: bool
    said: str


def read_off(signal: pd.Series, of: Trace) -> Reading:
    """Top, first moment and plates of a signal over volume, recorded or not, where a recorded peak begins and ends."""
    inside = signal[(signal.index >= of.begins) & (signal.index <= of.ends)]
    whole = moments(inside).without(1.0, 0.5 * INJECTED, INJECTED**2 / 12.0)
    return Reading(peak(inside).at - 0.5 * INJECTED, whole.mean, whole.plates)


def excluded_volume(traces: Sequence[Trace]) -> float:
    """The volume between beads [mL], by the impurity that stays outside: the middle of its places."""
    tops = []
    for trace in traces:
        inside = trace.signal[(trace.signal.index >= EXCLUDED[0]) & (trace.signal.index <= EXCLUDED[1])]
        tops.append(float(inside.index[int(np.argmax(inside.to_numpy()))]))
    return float(np.median(tops)) - 0.5 * INJECTED


def traces(data: str, generate: Callable[[int], pd.Series], seed: int) -> Traces:
    """The pulses in the folder `data`, or in that of TITER_DATA, or `generate`d ones with noise.

    Raises SpecificationError.
    """
    given = data or os.environ.get("TITER_DATA", "")
    if not given:
        rng = np.random.default_rng(seed)
        made = {v: Trace(v, _with_noise(generate(v), rng)) for v in FLOWS}
        said = (
            "No data were given (TITER_DATA, or --set data=FOLDER): the pulses are GENERATED, by the model with known "
            "values, and noise. What follows shows the method, not the packing."
        )
        return Traces(made, False, said)
    folder = Path(given)
    folder = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    missing = [FILE.format(v) for v in FLOWS if not (folder / FILE.format(v)).is_file()]
    if missing:
        raise SpecificationError(
            f"pulse_analysis: {folder} holds no {missing[0]}.\n"
            f"  Expected {FILE.format('VELOCITY')} of {', '.join(map(str, FLOWS))} cm/h, there or in {FOLDER} below; "
            "set data=FOLDER or TITER_DATA."
        )
    read = {v: Trace(v, _read(folder / FILE.format(v))) for v in FLOWS}
    return Traces(read, True, f"{len(read)} recorded pulses, {', '.join(f'{v}' for v in FLOWS)} cm/h.")


def _read(file: Path) -> pd.Series:
    """A recorded trace over volume, in AU, less a line from the baseline before to that after the peak."""
    import pandas as pd

    table = pd.read_csv(file)
    for header in (TIME, FLOW, SIGNAL):
        if header not in table.columns:
            raise SpecificationError(f"pulse_analysis: {file}: no column {header!r}.")
    time, flow, signal = (table[header].to_numpy(dtype=float) for header in (TIME, FLOW, SIGNAL))
    volume = np.concatenate([[0.0], np.cumsum(0.5 * (flow[1:] + flow[:-1]) * np.diff(time))])
    spans = (BEFORE, (volume[-1] - AFTER, volume[-1]))
    levels = [signal[(volume >= a) & (volume <= b)].mean() for a, b in spans]
    line = np.interp(volume, [0.5 * sum(span) for span in spans], levels)
    even = np.arange(0.0, volume[-1], STEP)
    index = pd.Index(even, name="volume [mL]")
    return pd.Series(np.interp(even, volume, (signal - line) / 1000.0), index=index, name="absorbance [AU]")


def _with_noise(exact: pd.Series, rng: np.random.Generator) -> pd.Series:
    """Noise as the deviations say: of the reading over some mL, as of a model, and of the detector."""
    import pandas as pd

    y = exact.to_numpy()
    knots = np.arange(exact.index[0], exact.index[-1] + 2.0, 2.0)
    slow = np.interp(exact.index, knots, rng.standard_normal(len(knots)))
    absolute, relative = DEVIATIONS
    noisy = y + slow * np.hypot(0.3 * absolute, 0.3 * relative * y) + 5e-5 * rng.standard_normal(len(y))
    return pd.Series(noisy, index=exact.index, name=exact.name)
