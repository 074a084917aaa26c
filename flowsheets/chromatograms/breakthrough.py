"""When does a column break through, and what does it bind until then? Dynamic binding capacity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titer.flowsheets.chromatograms.chromatogram import Chromatogram
from titer.numerics.errors import SpecificationError


@dataclass(frozen=True)
class Breakthrough:
    """When the outlet reaches a share of the feed.

    `share` [1]; `time` from the start of the load, in the chromatogram's unit; `volume` [mL] and `column_volumes` that
    were loaded until then; `capacity`: dynamic binding capacity, what was loaded less what came through and what the
    `dead` volume holds, by volume of the column [amount/mL]; `lost`: what came through [amount].
    """

    share: float
    time: float
    volume: float
    column_volumes: float
    capacity: float
    lost: float


def breakthrough(
    of: Chromatogram, component: str, feed: float, share: float = 0.1, phase: str | None = None, dead: float = 0.0
) -> Breakthrough:
    """When a component's concentration at the outlet first reaches a share of its `feed` [amount/mL].

    `phase`: the load (default: all of a run of one phase); `dead`: volume [mL] of liquid in column and tubing, which
    holds feed that is not bound. Between points of the run the concentration is a line.
    Raises SpecificationError where it does not come that far, and where it is not said which of several phases loads:
    what was pumped before, without feed, would count as bound.
    """
    of.check(component)
    if phase is None and len(of.phases) > 1:
        raise SpecificationError(
            f"breakthrough: which phase is the load?\n  Give phase=, one of {', '.join(of.phases)}."
        )
    if not (feed > 0.0 and 0.0 < share < 1.0):
        raise SpecificationError(f"breakthrough: feed must be positive, share within (0, 1), got {feed!r}, {share!r}.")
    start, end = (float(of.time[0]), float(of.time[-1])) if phase is None else of.span(phase)
    inside = (of.time >= start) & (of.time <= end)
    time, c = of.time[inside], of.c[component][inside]
    above = np.flatnonzero(c >= share * feed)
    if not len(above):
        raise SpecificationError(
            f"breakthrough: {component} reaches {c.max() / feed:.3g} of its feed, not {share:g}.\n"
            "  Load for longer, or ask for a smaller share."
        )
    k = int(above[0])
    at = float(time[k])
    if k > 0 and c[k] > c[k - 1]:
        at = float(time[k - 1] + (share * feed - c[k - 1]) / (c[k] - c[k - 1]) * (time[k] - time[k - 1]))
    loaded = of.volume_at(at) - of.volume_at(start)
    lost = of.amount_until(component, at) - of.amount_until(component, start)
    capacity = (feed * (loaded - dead) - lost) / of.column_volume
    return Breakthrough(share, at - start, loaded, loaded / of.column_volume, capacity, lost)
