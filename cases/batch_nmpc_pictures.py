"""What would an engineer draw for a batch that is decided anew? The loop, and what it learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from titer.cases.batch_nmpc_loops import LIMITS, plant, reactor
from titer.cases.drawing import limit, panels, trace
from titer.cases.loop_drawing import BEST, believed, looks, planned_ends
from titer.control import Log
from titer.numerics import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MINUTES = 1.0 / 60.0


def draw_loop(shown: Mapping[str, Log], best: Solution) -> Figure:
    """Jacket, reactor temperature and impurity of one plant, by the plan, by NMPC, and as one would have known it."""
    figure, axes = panels(3, height=2.2)
    for ax, name in zip(axes, (reactor.T_j, reactor.T, reactor.c_C), strict=True):
        trace(ax, best[name], MINUTES, **BEST)
        for way, style in looks(list(shown)).items():
            trace(ax, shown[way].run[name], MINUTES, label=way, **style)
        for run in (best, *(log.run for log in shown.values())):
            series = run[name]
            ax.plot(series.index[-1] * MINUTES, series.iloc[-1], "o", color="black", markersize=4)
    log = shown["NMPC"]
    axes[1].plot(log.measured.index * MINUTES, log.measured[reactor.T], ".", color="0.35", label="measured")
    late = log.laboratory[log.laboratory["name"] == reactor.c_C]
    axes[2].plot(late["taken"] * MINUTES, late["value"], "s", color="black", fillstyle="none", label="laboratory")
    for row in late.itertuples():
        axes[2].plot([row.taken * MINUTES, row.arrived * MINUTES], [row.value] * 2, color="0.6", linewidth=0.8)
    limit(axes[1], LIMITS["temperature"], f"limit {LIMITS['temperature']:g} K")
    limit(axes[2], LIMITS["impurity"], f"limit at the end {LIMITS['impurity']:g} mol/L", at=0.01)
    axes[0].set(ylabel="jacket [K]", title="A plant that is slower to B and faster to C than the plan believes")
    axes[1].set(ylabel="reactor [K]", ylim=(325.0, None))
    axes[2].set(ylabel="impurity C [mol/L]", xlabel="time [min] (dots: stop; lines from squares: until the value came)")
    for ax in axes:
        ax.legend(fontsize=8, ncols=2, loc="best")
    figure.align_ylabels(axes)
    return figure


def draw_knowledge(log: Log, best: Solution) -> Figure:
    """What the controller believes of both rates as the batch goes on, and when it means to stop."""
    figure, (rates, stops) = panels(2, height=2.4)
    believed(rates, log, {reactor.k0_1: "A to B", reactor.k0_2: "B to C"}, plant.values, MINUTES)
    rates.set(ylabel="frequency factor,\nby what the plan believes", ylim=(0.3, 1.7),
              title="What is learnt (band: 95 %; dotted: the laboratory's values arrive)")  # fmt: skip
    planned_ends(stops, log, MINUTES)
    limit(stops, best.duration["react"] * MINUTES, "perfect knowledge", at=0.99)
    stops.set(xlabel="time [min]", ylabel="planned stop [min]")
    figure.align_ylabels([rates, stops])
    return figure
