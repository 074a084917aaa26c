"""What is in the pool? Purity, yield, concentration, productivity and buffer use; fractions, and where to cut.

In an optimization a cut time is the end of a phase: phases such as "waste", "pool", "strip" with free durations, of
which one has the route (column.outlet, tank.feed) to a CollectionTank. Phase ends are met exactly, their derivatives
are exact, and what the tank holds at the end is the pool; a valve that opens smoothly would blur each cut by its width
and make the integrator step through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from titer.flowsheets.chromatograms.chromatogram import Chromatogram
from titer.numerics.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

_MOST_CUTS = 500  # points among which the widest pool is searched


@dataclass(frozen=True, eq=False)
class Pool:
    """What left between two times.

    `start`, `stop` in the chromatogram's unit of time; `volume` [mL]; `amounts` by component [`amount_unit` of the
    chromatogram `of`].
    """

    of: Chromatogram
    start: float
    stop: float
    volume: float
    amounts: Mapping[str, float]

    def concentration(self, component: str) -> float:
        """The mean concentration [amount/mL]."""
        self.of.check(component)
        return self.amounts[component] / self.volume if self.volume > 0.0 else 0.0

    def purity(self, component: str, among: tuple[str, ...] | None = None) -> float:
        """The share of a component [1]; `among` which components (default: all but salt, pH and other modulators).

        An empty pool has purity 0.
        """
        self.of.check(component)
        total = sum(self.amounts[key] for key in among or self.of.products)
        return self.amounts[component] / total if total > 0.0 else 0.0

    def recovery(self, component: str) -> float:
        """The yield: the share [1] of what was fed. Raises SpecificationError where the feed is not known."""
        self.of.check(component)
        if not self.of.fed.get(component, 0.0) > 0.0:
            raise SpecificationError(
                f"recovery: it is not known how much {component} was fed.\n"
                f"  Give chromatogram(run, column, fed={{{component!r}: amount}}), in {self.of.amount_unit}."
            )
        return self.amounts[component] / self.of.fed[component]

    def productivity(self, component: str, cycle: float | None = None) -> float:
        """The amount by column volume and hour [amount/mL/h]; `cycle`: time per cycle in `clock` (default: all)."""
        self.of.check(component)
        lasts = self.of.time[-1] - self.of.time[0] if cycle is None else cycle
        return self.amounts[component] / self.of.column_volume / (lasts * self.of.minutes / 60.0)

    def buffer_use(self, component: str) -> float:
        """The volume [mL] that came in without the component, by its amount in the pool."""
        self.of.check(component)
        if component not in self.of.diluent:
            raise SpecificationError("buffer_use: what came in is not known.\n  Give the feed as a trajectory.")
        return self.of.diluent[component] / self.amounts[component]


def pool(of: Chromatogram, start: float | str, stop: float | None = None) -> Pool:
    """What left between two times, or in a phase: `pool(c, 300.0, 420.0)`, `pool(c, "elute")`.

    Raises SpecificationError for times that are reversed.
    """
    begin, end = of.span(start) if isinstance(start, str) else (float(start), of.time[-1] if stop is None else stop)
    if not begin <= end:
        raise SpecificationError(f"pool: it would end at {end:g}, before its start at {begin:g} {of.clock}.")
    amounts = {key: of.amount_until(key, end) - of.amount_until(key, begin) for key in of.components}
    return Pool(of, float(begin), float(end), of.volume_at(end) - of.volume_at(begin), amounts)


def fractions(of: Chromatogram, volume: float, start: float | str = 0.0, stop: float | None = None) -> tuple[Pool, ...]:
    """Fractions of equal volume [mL] between two times or in a phase, the last one smaller where they do not add up."""
    if not volume > 0.0:
        raise SpecificationError(f"fractions: the volume must be positive, got {volume!r} mL.")
    whole = pool(of, start, stop)
    first = of.volume_at(whole.start)
    marks = np.append(np.arange(first, first + whole.volume * (1.0 - 1e-12), volume), first + whole.volume)
    moved = np.append(np.diff(of.volume) > 0.0, True)  # where nothing flows, the last time counts
    times = np.interp(marks, of.volume[moved], of.time[moved])
    return tuple(pool(of, a, b) for a, b in pairwise(times.tolist()))


def fraction_table(collected: tuple[Pool, ...]) -> pd.DataFrame:
    """A row for each fraction: times, volume, concentrations, and shares but of modulators."""
    import pandas as pd

    rows = []
    for k, each in enumerate(collected, start=1):
        row = {"fraction": k, "start": each.start, "stop": each.stop, "volume": each.volume}
        row |= {f"c {key}": each.concentration(key) for key in each.amounts}
        rows.append(row | {f"share {key}": each.purity(key) for key in each.of.products})
    return pd.DataFrame(rows)


def widest_pool(
    of: Chromatogram,
    component: str,
    purity: float,
    among: tuple[str, ...] | None = None,
    within: tuple[float, float] | None = None,
) -> Pool:
    """The one pool with most of a component that is at least so pure; `within` two times. Empty where there is none.

    Searched among 500 equidistant times, then at the bound of purity by bisection of both cuts.
    Raises SpecificationError.
    """
    of.check(component)
    if not 0.0 <= purity < 1.0:
        raise SpecificationError(f"widest_pool: the purity lies in [0, 1), got {purity!r}.")
    low, high = within or (float(of.time[0]), float(of.time[-1]))
    times = np.linspace(low, high, _MOST_CUTS)
    wanted = of.amounts_until(component, times)
    total = np.sum([of.amounts_until(key, times) for key in among or of.products], axis=0)
    spare = wanted - purity * total  # a pool is pure enough where this does not fall from its start to its stop
    gained = wanted[None, :] - wanted[:, None]
    allowed = (spare[None, :] - spare[:, None] >= 0.0) & (times[None, :] >= times[:, None])
    first, last = np.unravel_index(np.argmax(np.where(allowed, gained, -np.inf)), gained.shape)
    found = pool(of, times[first], times[last])
    return found if first == last else _widened(found, component, purity, among, (times[1] - times[0], low, high))


def _widened(
    found: Pool,
    component: str,
    purity: float,
    among: tuple[str, ...] | None,
    room: tuple[float, float, float],
) -> Pool:
    """The stop, then the start, moved outwards by at most a step as far as the purity allows."""
    step, low, high = room

    def grown(share: float, which: int) -> Pool:
        start = max(low, found.start - share * step) if which else found.start
        return pool(found.of, start, found.stop if which else min(high, found.stop + share * step))

    for which in (0, 1):
        inside, outside = 0.0, 1.0
        for _ in range(20):
            middle = 0.5 * (inside + outside)
            if grown(middle, which).purity(component, among) >= purity:
                inside = middle
            else:
                outside = middle
        found = grown(inside, which)
    return found
