"""What would a chromatographer draw for a gradient? Proteins with salt and the pool, and yield against productivity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from titer.cases.drawing import WIDTH, plain
from titer.flowsheets.chromatograms import Chromatogram, pool

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from titer.control import Front


def draw_plan(of: Chromatogram, wanted: str) -> Figure:
    """The chromatogram of the plan, salt on the right, with the pool shaded."""
    figure = of.plot(second="salt", pools={f"{wanted} 95 %": pool(of, "pool")}, label="salt [mol/m³]")
    figure.axes[0].set_title("Gradient and cuts for most cytochrome in 80 s")
    return figure


def draw_front(front: Front, usual_yield: float, usual_productivity: float) -> Figure:
    """Productivity over yield; the published gradient for comparison."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    ax = figure.subplots()
    plain(ax)
    order = np.argsort(front.values[:, 1])
    ax.plot(front.values[order, 1], 60.0 * front.values[order, 0], "ko-", markersize=4, label="Pareto front")
    look = {"color": "black", "markerfacecolor": "white", "markersize": 8, "linestyle": "none"}
    ax.plot(usual_yield, 60.0 * usual_productivity, "s", label="published gradient", **look)
    ax.set(xlabel="yield of cytochrome [1]", ylabel="productivity [µmol/min per mL]", title="95 % pure")
    ax.legend(loc="lower left", fontsize=9)
    return figure
