"""Is this batch normal, and if not, which variable left, when? The chart of a batch, and the screening of many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.analysis.monitoring.layout import Layout
from titer.analysis.monitoring.monitor import Monitor, Statistic
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Alarm:
    """The first alarm of a batch: `stage`, the `statistic`, and the `variable` that adds most to it there.

    `departure`: by how many standard deviations the variable is off what is expected at the stage.
    """

    stage: float
    statistic: str
    variable: str
    departure: float


@dataclass(frozen=True, eq=False)
class Chart:
    """A batch as a monitor sees it.

    `statistics` of this batch (their arrays have a single row), `contributions` of every measurement to each of them
    (stages, columns), `departures` (columns,) in standard deviations, `alarm`: the first, None while all is normal.
    """

    layout: Layout
    statistics: tuple[Statistic, ...]
    contributions: dict[str, Array]
    departures: Array
    level: float
    alarm: Alarm | None

    def __repr__(self) -> str:
        return f"{self.message()}\n{self.table()}"

    def message(self) -> str:
        """What the chart says, in a sentence."""
        if self.alarm is None:
            return "All measurements are normal."
        way = "above" if self.alarm.departure > 0.0 else "below"
        when = f"{self.alarm.stage:g} {self.layout.time}".rstrip()
        return (
            f"{self.alarm.variable} left at {when}, seen by {self.alarm.statistic}: "
            f"{abs(self.alarm.departure):.1f} standard deviations {way} expectation."
        )

    def table(self) -> pd.DataFrame:
        """A row a stage: value, limit and probability of each statistic."""
        import pandas as pd

        columns = {
            (s.name, what): getattr(s, what if what != "value" else "values")[0]
            for s in self.statistics
            for what in ("value", "limits", "probabilities")
        }
        frame = pd.DataFrame(columns, index=pd.Index(self.layout.stages, name="stage"))
        return frame.rename(columns={"limits": "limit", "probabilities": "probability"}, level=1)

    def blame(self, statistic: str, stage: float) -> pd.Series:
        """What each measurement adds to a statistic at a stage, by (variable, stage), the largest first.

        Raises SpecificationError for an unknown statistic or stage.
        """
        import pandas as pd

        if statistic not in self.contributions or stage not in self.layout.stages:
            raise SpecificationError(
                f"Chart: no statistic {statistic!r} at {stage!r}; there are {', '.join(self.contributions)} at "
                f"{', '.join(f'{s:g}' for s in self.layout.stages)}."
            )
        index = pd.MultiIndex.from_tuples(self.layout.addresses, names=["variable", "stage"])
        parts = pd.Series(self.contributions[statistic][self.layout.stages.index(stage)], index=index, name=statistic)
        return parts[parts != 0.0].sort_values(ascending=False)


def watch(monitor: Monitor, batch: pd.Series) -> Chart:
    """The chart of a batch, finished or under way: `watch(monitor, frame.iloc[0])`; NaN is not measured (yet)."""
    values = monitor.layout.values(batch.to_frame().T)
    statistics, parts = monitor.statistics(values), monitor.contributions(values)
    alarm = _alarms(monitor, values, statistics)[0]
    own = {name: part[0] for name, part in parts.items()}
    return Chart(monitor.layout, statistics, own, monitor.departures(values)[0], monitor.level, alarm)


def screen(monitor: Monitor, batches: pd.DataFrame) -> pd.DataFrame:
    """The first alarm of each of many batches: stage, statistic, variable, departure; NaN and None without one."""
    import pandas as pd

    values = monitor.layout.values(batches)
    alarms = _alarms(monitor, values, monitor.statistics(values))
    rows = [(None, None, None, None) if a is None else (a.stage, a.statistic, a.variable, a.departure) for a in alarms]
    frame = pd.DataFrame(rows, columns=["stage", "statistic", "variable", "departure"], index=batches.index)
    return frame.astype({"stage": float, "departure": float})


def _alarms(monitor: Monitor, values: Array, statistics: tuple[Statistic, ...]) -> list[Alarm | None]:
    probabilities = np.array([s.probabilities for s in statistics])  # (statistics, n, stages)
    beyond: Array = np.any(probabilities < monitor.level, axis=0)
    found: list[Alarm | None] = [None] * len(values)
    rows = np.flatnonzero(beyond.any(axis=1))
    if not len(rows):
        return found
    parts, departures = monitor.contributions(values[rows]), monitor.departures(values[rows])
    for k, row in enumerate(rows):
        stage = int(np.argmax(beyond[row]))
        which = statistics[int(np.argmin(probabilities[:, row, stage]))].name
        here = parts[which][k, stage]
        column = int(np.argmax(here))
        variable, _ = monitor.layout.addresses[column]
        found[row] = Alarm(monitor.layout.stages[stage], which, variable, float(departures[k, column]))
    return found
