"""What would an engineer draw for the safe feed? Feed, temperature after a failure and volume; prices of the limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from titer.cases.drawing import limit, panels, plain, trace
from titer.numerics import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHANGES = {  # limit: by how much it is changed for its bar, and in words
    "product": (0.01, "10 mmol more product"),
    "cooling failure": (1.0, "1 K more after a cooling failure"),
    "volume": (0.01, "10 mL more volume"),
}


def draw_optimum(plan: Solution, careless: Solution, stop: float, limits: tuple[float, float]) -> Figure:
    """The three curves of the paper, with the arcs named, and dashed what one would do without the safety limit."""
    figure, axes = panels(3, heights=(1.1, 1.0, 0.9), height=2.0)
    safe, full = limits
    for run, colour, style, width, text in (
        (careless, "0.4", "--", 1.4, f"without the safety limit, {careless.objective:.2f} h"),
        (plan, "black", "-", 1.9, f"safe, {plan.objective:.2f} h"),
    ):
        for ax, name in zip(axes, ("u", "T_ad", "V"), strict=True):
            trace(ax, run[f"reactor.{name}"], color=colour, linestyle=style, linewidth=width, label=text)
    axes[0].set(ylabel="feed $u$ [L/h]", title="The fastest feed that is safe if the cooling fails")
    axes[0].legend(loc="upper right")
    axes[1].set_ylabel("temperature after a\ncooling failure $T_{cf}$ [K]")
    limit(axes[1], safe, f"limit {safe:g} K", at=0.99)
    axes[2].set(ylabel="volume $V$ [L]", xlabel="time [h]", xlim=(0.0, plan.objective))
    limit(axes[2], full, f"limit {full:g} L", at=0.01)
    axes[2].set_ylim(None, full + 0.06)
    for ax in axes:
        ax.axvline(stop, color="0.6", linewidth=0.8)
    spot = (0.5 * stop + 1.6, 0.42)
    axes[0].annotate("first arc: on the safety limit", spot, xycoords=axes[0].get_xaxis_transform(), ha="center")
    spot = (0.5 * (stop + plan.objective), 0.2)
    axes[0].annotate("second arc: full, feed off", spot, xycoords=axes[0].get_xaxis_transform(), ha="center")
    figure.align_ylabels(axes)
    return figure


def draw_prices(prices: Mapping[str, float], again: Mapping[str, float]) -> Figure:
    """What a little more of each limit does to the batch time; circles: by solving again."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 2.2), layout="constrained")
    ax = figure.subplots()
    plain(ax)
    places = np.arange(len(CHANGES))[::-1]
    for place, (name, (change, _)) in zip(places, CHANGES.items(), strict=True):
        hours = 60.0 * change * prices[name]
        ax.barh(place, hours, height=0.55, color="0.8", edgecolor="black", linewidth=0.8)
        ax.plot(60.0 * change * again[name], place, "o", color="black", markerfacecolor="white")
        right = hours > 0.0
        ax.annotate(
            f"{hours:+.1f} min", (hours, place), (8 if right else -8, 0), textcoords="offset points", va="center",
            ha="left" if right else "right",
        )  # fmt: skip
    ax.axvline(0.0, color="black", linewidth=0.8)
    ax.set_yticks(places, [text for _, text in CHANGES.values()])
    ax.margins(x=0.25)
    ax.set(xlabel="change of the shortest batch time [min] (circles: by solving again)", title="What the limits cost")
    return figure
