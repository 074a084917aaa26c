"""What would an engineer draw for a controlled reactor? Set points and what was done for them, and a bad day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from titer.cases.drawing import limit, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOOKS: dict[str, dict[str, Any]] = {
    "PI": {"linestyle": ":", "color": "0.25", "linewidth": 1.5},
    "NMPC without disturbances": {"linestyle": "--", "color": "0.5", "linewidth": 1.3},
    "NMPC": {"linestyle": "-", "color": "black", "linewidth": 1.5},
    "NMPC that looks ahead": {"linestyle": "-.", "color": "0.4", "linewidth": 1.5},
}
ROWS = (("c_B", "B [mol/L]"), ("T", "contents [K]"), ("F", "feed [1/h]"), ("Q", "cooling [kJ/h]"))


def draw_setpoints(logs: Mapping[str, Any], reactor: Any) -> Figure:
    """B, temperature and both controls, a line for each controller."""
    figure, axes = panels(4, heights=[1.3, 0.8, 0.8, 0.8], height=2.0)
    for ax, (key, label) in zip(axes, ROWS, strict=True):
        for name, look in LOOKS.items():
            series = logs[name].run[getattr(reactor, key)]
            ax.plot(series.index, series.to_numpy(), label=name, **look)
        ax.set_ylabel(label)
    wanted = logs["NMPC"].wanted[reactor.c_B]
    axes[0].step(wanted.index, wanted, where="post", color="black", linewidth=0.8, label="set point")
    axes[0].set_title("Set points of B on a plant with other kinetics and less cooling")
    axes[0].legend(fontsize=8, ncols=2, loc="lower right")
    axes[-1].set_xlabel("time [h]")
    figure.align_ylabels(axes)
    return figure


def draw_failures(log: Any, reactor: Any, hot: float) -> Figure:
    """A day with noise, lost measurements and failed solves: what was seen, and when the plan before went on."""
    figure, (product, warm, feed) = panels(3, heights=[1.2, 0.8, 0.8], height=2.1)
    for ax, name, label in ((product, reactor.c_B, "B [mol/L]"), (warm, reactor.T, "contents [K]")):
        ax.plot(log.measured.index, log.measured[name], ".", color="0.6", markersize=3, label="measured")
        series = log.run[name]
        ax.plot(series.index, series.to_numpy(), "k", linewidth=1.4, label="there")
        ax.set_ylabel(label)
    wanted = log.wanted[reactor.c_B]
    product.step(wanted.index, wanted, where="post", color="black", linewidth=0.8, label="set point")
    product.legend(fontsize=9)
    limit(warm, hot, "limit", below=True)
    series = log.run[reactor.F]
    feed.plot(series.index, series.to_numpy(), "k", linewidth=1.2)
    failed = log.steps[log.steps["fallback"] != ""].index
    feed.plot(
        failed, log.commanded[reactor.F].loc[failed], "kx", markersize=6, label="no solve: the plan before goes on"
    )
    feed.set(xlabel="time [h]", ylabel="feed [1/h]")
    feed.legend(fontsize=9)
    product.set_title("5 % of the solves fail, 5 % of the measurements are lost")
    figure.align_ylabels([product, warm, feed])
    return figure
