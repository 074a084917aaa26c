"""How soon is a fault seen, and how often is there none? Delays over faulty batches, alarms over normal ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.analysis.monitoring.charts import screen
from titer.analysis.monitoring.monitor import Monitor
from titer.analysis.networks.calibration import wilson
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Detection:
    """Faulty batches as a monitor saw them.

    `table`: a row a batch: first alarm's stage, statistic, variable, departure, `delay` in time since the fault began
    (NaN: not seen, or a false alarm before). `early`: alarms before the fault, `began`: its stage.
    """

    table: pd.DataFrame
    began: float
    early: int
    time: str

    def __repr__(self) -> str:
        said = f"{100 * self.share:.0f} % of {len(self.table)} faulty batches detected"
        if self.share > 0.0:
            said += f", half of them within {self.median_delay:g} {self.time}".rstrip()
            said += f"; first blamed: {', '.join(f'{v} ({c})' for v, c in self.blamed().items())}"
        return f"{said}; {self.early} alarms before the fault"

    @property
    def share(self) -> float:
        """Share of the batches whose fault was detected."""
        return float(self.table["delay"].notna().mean())

    @property
    def median_delay(self) -> float:
        """Median time from the beginning of the fault to its alarm, of those detected."""
        return float(self.table["delay"].median())

    def within(self, delay: float) -> float:
        """Share of the batches whose fault was detected within this time."""
        return float((self.table["delay"] <= delay).mean())

    def blamed(self) -> pd.Series:
        """How often each variable was named as the one that left."""
        return self.table.loc[self.table["delay"].notna(), "variable"].value_counts()


def detection(monitor: Monitor, batches: pd.DataFrame, began: float) -> Detection:
    """How soon a monitor sees a fault that begins at a stage, over batches that have it.

    Raises SpecificationError for a stage that the monitor does not know.
    """
    if began not in monitor.layout.stages:
        stages = ", ".join(f"{s:g}" for s in monitor.layout.stages)
        raise SpecificationError(f"detection: the fault begins at {began!r}; the monitor's stages are {stages}.")
    table = screen(monitor, batches)
    table["delay"] = np.where(table["stage"] >= began, table["stage"] - began, np.nan)
    return Detection(table, began, int((table["stage"] < began).sum()), monitor.layout.time)


def false_alarms(monitor: Monitor, batches: pd.DataFrame) -> tuple[float, float, float]:
    """Share of normal batches that raise an alarm, and the 95 % interval in which the probability lies (Wilson)."""
    count = int(screen(monitor, batches)["stage"].notna().sum())
    return count / len(batches), *wilson(count, len(batches))
