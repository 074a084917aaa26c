"""What would a chromatographer draw for stacked injections? The front of productivity and recovery, and two cycles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.cases.drawing import WIDTH, plain
from titer.flowsheets.chromatograms import repeated

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_front(tried: Sequence[Any], front: Sequence[Any], best: Mapping[str, Any]) -> Figure:
    """All cycles that were tried; what cannot be beaten is joined, and the searched optima are named."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    ax = figure.subplots()
    plain(ax)
    ax.plot([t.recovery for t in tried], [t.productivity for t in tried], "o", color="0.7", markersize=4, label="map")
    ax.plot([t.recovery for t in front], [t.productivity for t in front], "k.-", linewidth=1.2, label="Pareto front")
    for marker, (name, found) in zip("sD^", best.items(), strict=False):
        text = f"recovery {name}: feed {found.injection:.0f} s every {found.lasts:.0f} s"
        look: dict[str, Any] = {"color": "black", "markerfacecolor": "white", "markersize": 7, "linestyle": "none"}
        ax.plot(found.recovery, found.productivity, marker, label=text, **look)
    ax.set(xlabel="recovery of both [1]", ylabel="productivity [mmol/L/h]", title="Both products 95 % pure")
    ax.legend(loc="lower left", fontsize=9)
    return figure


def draw_cycles(found: Any) -> Figure:
    """Two cycles of the steady state, with both pools shaded."""
    figure = repeated(found.of).plot(pools={f"{key} 95 %": each for key, each in found.pools.items()})
    ax = figure.axes[0]
    lasts = repeated(found.of).volume_at(found.lasts)
    for k in np.arange(0, 2):
        ax.axvline(k * lasts, color="black", linewidth=0.9, linestyle=":")
        ax.annotate(" feed", (k * lasts, 0.9), xycoords=ax.get_xaxis_transform(), fontsize=8)
    return figure
