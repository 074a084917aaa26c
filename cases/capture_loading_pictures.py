"""What would an engineer draw for a capture step? Productivity over residence time, breakthrough, and the cycle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from titer.cases.drawing import WIDTH, limit, panels, plain
from titer.flowsheets.chromatograms import Chromatogram, pool

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TICKS = (0.3, 0.5, 1.0, 2.0, 4.0)  # min


def draw_search(tried: Sequence[Any], best: Any, usual: Any) -> Figure:
    """Productivity and what is bound, over the residence time; squares: the optimum and the usual rule."""
    figure, axes = panels(2, height=2.1)
    ordered = sorted(tried, key=lambda load: load.residence)
    x = [load.residence for load in ordered]
    for ax, key, label in (
        (axes[0], "productivity", "productivity [g/L/h]"),
        (axes[1], "bound", "bound [mg/mL]"),
    ):
        ax.plot(x, [getattr(load, key) for load in ordered], "k.-", label="1 % lost")
        for load, name in ((best, "optimum"), (usual, "by rule")):
            ax.plot(load.residence, getattr(load, key), "s", color="black", markerfacecolor="white")
            ax.annotate(
                name, (load.residence, getattr(load, key)), (0, -14), textcoords="offset points",
                fontsize=9, ha="center",
            )  # fmt: skip
        ax.set(ylabel=label, xscale="log")
        ax.set_xticks(TICKS, [f"{x:g}" for x in TICKS])
        ax.minorticks_off()
        ax.margins(y=0.2)
    axes[0].set_title("Fast loads waste capacity, slow ones waste time")
    axes[1].set_xlabel("residence time of the load [min]")
    figure.align_ylabels(axes)
    return figure


def draw_breakthrough(best: Any, usual: Any, feed: float) -> Figure:
    """Breakthrough curves over column volumes, with the end of each load."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
    ax = figure.subplots()
    plain(ax)
    for load, style, name in ((best, "-", "optimum"), (usual, "--", "by rule")):
        volumes = load.of.volume / load.of.column_volume
        ax.plot(volumes, load.of.c["mAb"] / feed, "k", linestyle=style, label=f"{name}, {load.residence:.2g} min")
        ax.axvline(load.minutes / load.residence, color="0.5", linestyle=style, linewidth=0.9)
    limit(ax, 0.1, "10 %", at=0.02)
    ax.set(xlabel="column volumes loaded (lines: end of the load)", ylabel="outlet by feed [1]", ylim=(-0.02, 1.02))
    ax.legend(loc="center left")
    return figure


def draw_cycle(cycle: Chromatogram) -> Figure:
    """The whole cycle with pH on the second axis, the eluate shaded."""
    return cycle.plot(second="pH", label="pH", pools={"eluate": pool(cycle, "elute")})
