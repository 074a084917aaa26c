"""What left the column, when? Concentrations over time and volume, as a detector at the outlet would record them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.flowsheets.symbols.measure import Measure
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.solution import Solution

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Array = np.ndarray
_AMOUNTS = ("mg", "umol")


@dataclass(frozen=True, eq=False)
class Chromatogram:
    """What left a column.

    `time` (n,) in `clock`, a unit of time; `flow` (n,) [mL/min]; `c` by component (n,) [mL^-1 of `amount_unit`: mg/mL
    or umol/mL, which is mol/m^3]; `fed`: by component the amount that came in, `diluent`: by component the volume [mL]
    that came in without it; both empty where the feed is not known. `modulators`: components that are
    no product, such as salt or pH, and count in no purity. `column_volume` [mL]; `phases`: name -> (start,
    end) in `clock`. Times of jumps stand twice.
    """

    time: Array
    flow: Array
    c: Mapping[str, Array]
    clock: str
    amount_unit: str
    column_volume: float
    phases: Mapping[str, tuple[float, float]]
    fed: Mapping[str, float] = field(default_factory=dict)
    diluent: Mapping[str, float] = field(default_factory=dict)
    modulators: tuple[str, ...] = ()

    @property
    def components(self) -> tuple[str, ...]:
        return tuple(self.c)

    @property
    def products(self) -> tuple[str, ...]:
        """The components that count in a purity: all but modulators."""
        return tuple(key for key in self.c if key not in self.modulators)

    @property
    def concentration_unit(self) -> str:
        """The unit of concentrations, as a chromatographer says it: mM, which is umol/mL, or mg/mL."""
        return "mM" if self.amount_unit == "umol" else f"{self.amount_unit}/mL"

    @property
    def minutes(self) -> float:
        """How many minutes the unit of time is."""
        return float(Measure.of(self.clock).ratio_to(Measure.of("min")))

    @property
    def volume(self) -> Array:
        """The volume that has left (n,) [mL]."""
        steps = 0.5 * (self.flow[1:] + self.flow[:-1]) * np.diff(self.time) * self.minutes
        return np.concatenate([[0.0], np.cumsum(steps)])

    def volume_at(self, time: float) -> float:
        """The volume that has left by a time [mL]."""
        return float(self._until(self.flow, time))

    def amount_until(self, component: str, time: float) -> float:
        """The amount of a component that has left by a time."""
        return float(self.amounts_until(component, np.array(time)))

    def amounts_until(self, component: str, times: Array) -> Array:
        """The amounts of a component that have left by each of some times."""
        self.check(component)
        return self._until(self.flow * self.c[component], times)

    def over_time(self, component: str) -> pd.Series:
        """A component's concentration over time, for `moments`."""
        return self._series(component, self.time, f"time [{self.clock}]")

    def over_volume(self, component: str) -> pd.Series:
        """A component's concentration over the volume that has left [mL], for `moments`."""
        return self._series(component, self.volume, "volume [mL]")

    def plot(self, **what: Any) -> Figure:
        """The picture: see `titer.flowsheets.chromatograms.draw`."""
        from titer.flowsheets.chromatograms.picture import draw

        return draw(self, **what)

    def check(self, component: str) -> None:
        """Raise SpecificationError for a component that is not there."""
        if component not in self.c:
            raise SpecificationError(f"chromatogram: {unknown('component', component, self.c)}")

    def span(self, phase: str) -> tuple[float, float]:
        """Start and end of a phase, in `clock`. Raises SpecificationError."""
        if phase not in self.phases:
            raise SpecificationError(f"chromatogram: {unknown('phase', phase, self.phases)}")
        return self.phases[phase]

    def _series(self, component: str, index: Array, label: str) -> pd.Series:
        import pandas as pd

        self.check(component)
        return pd.Series(self.c[component], index=pd.Index(index, name=label), name=component)

    def _until(self, rate: Array, time: Any) -> Array:
        """The integral up to each time of what is linear between points, per minute."""
        t = self.time
        done = np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(t))])
        k = np.clip(np.searchsorted(t, time, side="right") - 1, 0, len(t) - 2)
        past = np.clip(time, t[0], t[-1]) - t[k]
        step = t[k + 1] - t[k]
        slope = np.where(step > 0.0, (rate[k + 1] - rate[k]) / np.where(step > 0.0, step, 1.0), 0.0)
        found: Array = (done[k] + past * (rate[k] + 0.5 * slope * past)) * self.minutes
        return found


def chromatogram(
    run: Solution, column: Any, outlet: Any = None, fed: Mapping[str, float] | None = None
) -> Chromatogram:
    """The chromatogram of a column in a simulation or a plan.

    `outlet`: another port at which it is recorded, such as `detector.outlet` behind tubing. `fed`: by component the
    amount that came in (mg, or umol), where the column is fed by another unit operation; what is given as a trajectory
    of its feed is integrated. Amounts are those of lines between the run's points: a sharp peak in a long phase needs
    more of them, simulate(..., points=1000). While the column rests, nothing leaves. Raises SpecificationError for a
    column that is not in the run.
    """
    port = column.outlet if outlet is None else outlet
    if f"{port}.flow" not in run.names:
        raise SpecificationError(
            f"chromatogram: {port} is not in this run.\n  Give the run of a recipe in which {column.name} is active."
        )
    minutes = float(Measure.of(run.time).ratio_to(Measure.of("min")))
    components = {key: f"{port}.c[{key}]" for key in column.components}
    unit = Measure.of(run.units[next(iter(components.values()))])
    amount, scale = _amount(unit)
    time = np.concatenate([phase.trajectory.time for phase in run.phases])
    flow = _row(run, f"{port}.flow") * Measure.of(run.units[f"{port}.flow"]).ratio_to(Measure.of("mL/min"))
    found, diluent = dict(fed or {}), {}
    if f"{column.feed}.flow" in run.names:
        rate = _row(run, f"{column.feed}.flow") * minutes
        for key in column.components:
            brought = _row(run, f"{column.feed}.c[{key}]")
            found.setdefault(key, float(np.trapezoid(rate * brought, time)) * scale)
            diluent[key] = float(np.trapezoid(np.where(brought > 0.0, 0.0, rate), time))
    return Chromatogram(
        time=time,
        flow=flow,
        c={key: _row(run, name) * scale for key, name in components.items()},
        clock=run.time,
        amount_unit=amount,
        column_volume=float(run.values[str(column.CV)]),
        phases={p.name: (float(p.trajectory.time[0]), float(p.trajectory.time[-1])) for p in run.phases},
        fed=found,
        diluent=diluent,
        modulators=column.binding.modulators(),
    )


def repeated(of: Chromatogram, count: int = 2) -> Chromatogram:
    """A cycle's chromatogram several times on end: what repeats itself may be pooled across the end of a cycle.

    Phases, and what was fed, are those of the one cycle.
    """
    lasts = of.time[-1] - of.time[0]
    time = np.concatenate([of.time + k * lasts for k in range(count)])
    rows = {key: np.tile(row, count) for key, row in of.c.items()}
    return replace(of, time=time, flow=np.tile(of.flow, count), c=rows)


def _row(run: Solution, name: str) -> Array:
    """All values of a name, 0 where it is at rest."""
    return np.nan_to_num(np.concatenate([phase.value(name) for phase in run.phases]))


def _amount(unit: Measure) -> tuple[str, float]:
    """The unit of amounts that a unit of concentration goes with, and the factor to that unit by mL."""
    for amount in _AMOUNTS:
        wanted = Measure.of(f"{amount}/mL")
        if unit.compatible(wanted):
            return amount, float(unit.ratio_to(wanted))
    return f"{unit.label} mL", 1.0
