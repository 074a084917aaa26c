"""What would an engineer draw for a better feed? Both feeds with what becomes of them, and where the gain arises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from titer.cases.citrate_feeding_gain import Gain
from titer.cases.drawing import panels, trace
from titer.numerics import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_feeds(best: Solution, human: Solution, simple: Solution) -> Figure:
    """Feed, oil in the broth, cells and lipid, citrate: the best feed, the operator's, and a simple one."""
    figure, axes = panels(4, heights=(1.0, 0.9, 1.0, 1.1), height=1.7)
    for run, colour, style, width, label in (
        (simple, "0.6", "-", 1.3, "exponential, constant, none"),
        (human, "black", "--", 1.4, "operator"),
        (best, "black", "-", 1.9, "best 35 steps"),
    ):
        look: dict[str, Any] = {"color": colour, "linestyle": style, "linewidth": width}
        trace(axes[0], run["tank.F_S"] * 1e3, label=label, **look)
        trace(axes[1], run["tank.S"], **look)
        trace(axes[2], run["tank.X"], **look)
        trace(axes[3], run["tank.C"], **look)
        if colour == "black":
            trace(axes[2], run["tank.L"], **look | {"linewidth": 0.8})
            trace(axes[3], 10.0 * run["tank.N"], **look | {"linewidth": 0.8})
    axes[0].set(ylabel="oil feed\n[mL/h]", title="Enough oil to grow on, one large dose, and nothing thereafter")
    axes[0].legend(loc="upper right")
    axes[1].set_ylabel("oil in the\nbroth [g/L]")
    axes[2].set_ylabel("biomass; thin:\nlipid [g/L]")
    axes[3].set(ylabel="citrate; thin: ten\ntimes nitrogen [g/L]", xlabel="time [h]", xlim=(0.0, 140.0))
    figure.align_ylabels(axes)
    return figure


def draw_gain(gain: Gain) -> Figure:
    """Citrate that the best feed is ahead by, over time; and the rate of it, by mechanism."""
    figure, axes = panels(2, heights=(1.0, 1.3), height=2.2)
    axes[0].plot(gain.time, gain.so_far, color="black", linewidth=1.9)
    axes[0].axhline(0.0, color="0.6", linewidth=0.8)
    axes[0].set(ylabel="citrate ahead of\nthe operator [g]", title="Where the gain arises")
    axes[0].annotate(f"{gain.so_far[-1]:+.1f} g", (gain.time[-1], gain.so_far[-1]), (-4, -14),
                     textcoords="offset points", ha="right")  # fmt: skip
    looks = (("black", "-"), ("black", "--"), ("black", ":"), ("0.55", "-"), ("0.55", "--"), ("0.55", ":"))
    width = max(1, len(gain.time) // 140)  # an hour
    kernel = np.ones(width) / width
    for (name, rate), (colour, style) in zip(gain.by_mechanism.items(), looks, strict=True):
        smooth = np.convolve(np.pad(rate, (width // 2, width - 1 - width // 2), mode="edge"), kernel, mode="valid")
        label = f"{name}: {gain.totals[name]:+.1f} g"
        axes[1].plot(gain.time, smooth, color=colour, linestyle=style, linewidth=1.5, label=label)
    axes[1].axhline(0.0, color="0.6", linewidth=0.8)
    axes[1].set(ylabel="gain of citrate, by\nmechanism [g/h]", xlabel="time [h]", xlim=(0.0, gain.time[-1]))
    axes[1].legend(loc="upper right", fontsize="small")
    figure.align_ylabels(axes)
    return figure
