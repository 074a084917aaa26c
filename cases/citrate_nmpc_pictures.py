"""What would an engineer draw for feeds that are decided online? Feeds, oil, citrate and volume; what was learnt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from titer.cases.citrate_nmpc_loops import OILY, VESSEL, plant, tank
from titer.cases.drawing import limit, panels, trace
from titer.cases.loop_drawing import BEST, believed, looks
from titer.control import Log
from titer.numerics import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_loop(shown: Mapping[str, Log], best: Solution) -> Figure:
    """Both feeds, oil, citrate and volume of one strain, by the plan, by NMPC, and with perfect knowledge."""
    figure, axes = panels(5, heights=(0.8, 0.7, 1.1, 1.1, 0.8), height=1.9)
    names = (tank.F_S, tank.F_N, tank.S, tank.C, tank.V)
    for ax, name in zip(axes, names, strict=True):
        scale = 1e3 if name in (tank.F_S, tank.F_N) else 1.0
        for run, style in (
            (best, BEST),
            *((shown[way].run, {"label": way, **style}) for way, style in looks(list(shown)).items()),
        ):
            trace(ax, scale * run[name], **style)
    log = shown["NMPC"]
    for ax, name in ((axes[2], tank.S), (axes[3], tank.C)):
        late = log.laboratory[log.laboratory["name"] == name]
        ax.plot(late["taken"], late["value"], "s", color="black", fillstyle="none", markersize=4, label="laboratory")
    volume = log.measured[tank.V]
    axes[4].plot(volume.index, volume, ".", color="0.35", label="measured")
    limit(axes[2], OILY, f"limit {OILY:g} g/L")
    limit(axes[4], VESSEL, f"vessel {VESSEL:g} L", at=0.01)
    axes[0].set(ylabel="oil [mL/h]", title="A strain that grows well and makes less citrate")
    axes[1].set(ylabel="nitrogen\nfeed [mL/h]")
    axes[2].set(ylabel="oil [g/L]")
    axes[3].set(ylabel="citrate [g/L]")
    axes[4].set(ylabel="volume [L]", xlabel="time [h]")
    for ax in (axes[0], axes[2], axes[3]):
        ax.legend(fontsize=8, loc="best", ncols=2)
    figure.align_ylabels(axes)
    return figure


def draw_knowledge(log: Log) -> Figure:
    """What the controller believes of growth and citrate rates as the batch goes on."""
    figure, (ax,) = panels(1, height=3.0)
    believed(ax, log, {tank.mu_max: "growth", tank.b_LCmax: "citrate and lipid"}, plant.values, 1.0)
    ax.set(xlabel="time [h]", ylabel="largest rate,\nby that of the published strain", ylim=(0.5, 1.5),
           title="What is learnt (band: 95 %; dotted: the laboratory's values arrive)")  # fmt: skip
    return figure
