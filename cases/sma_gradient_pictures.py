"""What would a chromatographer draw for a gradient? Proteins with salt and the pool, and yield against productivity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from titer.cases.drawing import WIDTH, plain
from titer.flowsheets.chromatograms import Chromatogram, pool

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_plan(of: Chromatogram, wanted: str) -> Figure:
    """The chromatogram of the plan, salt on the right, with the pool shaded."""
    figure = of.plot(second="salt", pools={f"{wanted} 95 %": pool(of, "pool")}, label="salt [mol/m³]")
    figure.axes[0].set_title("Gradient and cuts for most cytochrome in 80 s")
    return figure


def draw_front(values: Sequence[tuple[float, float]], usual: tuple[float, float]) -> Figure:
    """Productivity over yield, (yield, umol/s) each; the published gradient for comparison."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    ax = figure.subplots()
    plain(ax)
    yields, made = np.array(sorted(values)).T
    ax.plot(yields, 60.0 * made, "ko-", markersize=4, label="best yield in a given time")
    label = "published gradient"
    ax.plot(usual[0], 60.0 * usual[1], "ks", markerfacecolor="white", markersize=8, linestyle="none", label=label)
    ax.set(xlabel="yield of cytochrome [1]", ylabel="productivity [µmol/min per mL]", title="95 % pure")
    ax.legend(loc="lower left", fontsize=9)
    return figure
