"""What would an engineer draw for a feed under a safety limit? Feeds with the limit, and what was learnt meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from titer.cases.drawing import limit, panels, trace
from titer.cases.loop_drawing import BEST, believed, looks, planned_ends
from titer.cases.semibatch_safety import FULL, SAFE
from titer.cases.semibatch_safety_nmpc_loops import heat, plant, rate, reactor
from titer.control import Log
from titer.numerics import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_loop(shown: Mapping[str, Log], best: Solution) -> Figure:
    """Feed, temperature after a cooling failure and volume of one plant, by each way, and with perfect knowledge."""
    figure, axes = panels(3, heights=(1.0, 1.3, 0.8), height=2.3)
    for ax, name in zip(axes, (reactor.u, reactor.T_ad, reactor.V), strict=True):
        trace(ax, best[name], **BEST)
        for way, style in looks(list(shown)).items():
            run = shown[way].run[name]
            trace(ax, run, label=way, **style)
            ax.plot(run.index[-1], run.iloc[-1], "o", color="black", markersize=3.5)
    axes[0].set(ylabel="feed [L/h]", ylim=(-0.002, 0.075), title="A plant that is slower and hotter than the model")
    axes[0].legend(fontsize=8, ncols=2)
    axes[1].set(ylabel="temperature after a\ncooling failure [K]")
    limit(axes[1], SAFE, f"limit {SAFE:g} K")
    axes[2].set(ylabel="volume [L]", xlabel="time [h] (dots: end)")
    limit(axes[2], FULL, f"limit {FULL:g} L", at=0.01)
    axes[2].set_ylim(None, FULL + 0.08)
    figure.align_ylabels(axes)
    return figure


def draw_knowledge(log: Log, best: Solution) -> Figure:
    """What the robust controller believes of rate and heat of reaction, and when it means to end."""
    figure, (values, ends) = panels(2, height=2.4)
    believed(values, log, {rate: "rate constant", heat: "heat of reaction"}, plant.values, 1.0)
    values.set(ylabel="by what the model says", ylim=(0.6, 1.4),
               title="What is learnt (band: 95 %; dotted: the laboratory's values arrive)")  # fmt: skip
    planned_ends(ends, log, 1.0)
    limit(ends, best.duration["feed"], "perfect knowledge", at=0.99, below=True)
    ends.set(xlabel="time [h]", ylabel="planned end [h]")
    figure.align_ylabels([values, ends])
    return figure
