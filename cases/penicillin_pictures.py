"""What would an engineer draw for a penicillin batch? Feed, biomass, substrate, product; amount against batch time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from titer.cases.drawing import limit, panels, plain, trace
from titer.control import Front
from titer.numerics import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOOKS = {  # class of feeds: colour, line style, line width
    "one constant": ("0.6", "-", 1.3),
    "exponential, then exponential": ("black", "--", 1.4),
    "lines, then lines": ("black", "-", 1.9),
}


def draw_batch(classes: Mapping[str, Solution]) -> Figure:
    """Three classes of feeds: what is fed, and what becomes of biomass, substrate and penicillin."""
    figure, axes = panels(4, heights=(1.0, 0.9, 0.9, 0.9), height=1.7)
    for name, (colour, style, width) in LOOKS.items():
        run = classes[name]
        label = f"{name}: {run.objective:.2f} g"
        made = run["fermenter.P"] * run["fermenter.V"]
        shown = (run["fermenter.F"], run["fermenter.X"], run["fermenter.S"].clip(lower=1e-4), made)
        for ax, series in zip(axes, shown, strict=True):
            trace(ax, series, color=colour, linestyle=style, linewidth=width, label=label)
    axes[0].set(
        ylabel="feed of\nsubstrate [g/h]", title="Grow on plenty, use it up, then make penicillin on hardly any"
    )
    axes[0].legend(loc="upper right")
    axes[1].set_ylabel("biomass [g/L]")
    axes[2].set(ylabel="substrate [g/L]", yscale="log")
    limit(axes[2], (1e-4 * 0.1) ** 0.5, "fastest production", at=0.99)
    axes[3].set(ylabel="penicillin [g]", xlabel="time [h]")
    axes[3].set_xlim(0.0, None)
    figure.align_ylabels(axes)
    return figure


def draw_front(front: Front, fastest: Solution, turnaround: float) -> Figure:
    """The most penicillin for each batch time; the line from the turnaround that touches it is the most per hour."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 3.8), layout="constrained")
    ax = figure.subplots()
    plain(ax)
    amount, time = front.values[:, 0], front.values[:, 1]
    order = np.argsort(time)
    ax.plot(time[order], amount[order], "o-", color="black", markerfacecolor="white", markersize=5, linewidth=1.5)
    lasts = sum(fastest.duration.values())
    made = fastest.at_end("fermenter.P") * fastest.at_end("fermenter.V")
    ax.plot([-turnaround, lasts * 1.25], [0.0, fastest.objective * (lasts * 1.25 + turnaround)], "k:", linewidth=1.1)
    ax.plot(lasts, made, "D", color="black", markersize=7)
    text = f"most per hour:\n{fastest.objective:.3f} g/h, {lasts:.0f} h"
    ax.annotate(text, (lasts, made), (-10, 8), textcoords="offset points", ha="right")
    ax.axvline(0.0, color="0.6", linewidth=0.8)
    ax.annotate("turnaround", (-0.5 * turnaround, 0.0), (0, 6), textcoords="offset points", ha="center", fontsize=9)
    ax.set(xlabel="batch time [h], less is better", ylabel="penicillin [g], more is better", ylim=(0.0, None))
    ax.set_title("What a shorter batch costs")
    return figure
