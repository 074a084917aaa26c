"""What do the times of NMPC steps look like? One row a method, a dot a step, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

MARKERS = {
    "do-mpc": "x",
    "converged": "o",
    "preparation": "|",
    "feedback": "^",
    "NMPC.step, converged": "s",
    "NMPC.step, prepared": "v",
}
TITLES = {"cstr": "reactor, tracking", "tree": "reactor, nine scenarios", "fermentation": "fermentation, economic"}


def draw(loops: Mapping[str, Mapping[str, Sequence[float]]], path: Path) -> None:
    """Draw the seconds of each method's steps, a panel per example."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 1.0 + 0.5 * sum(len(methods) for methods in loops.values())), layout="constrained")
    FigureCanvasAgg(figure)
    axes = np.atleast_1d(
        figure.subplots(len(loops), 1, sharex=True, height_ratios=[len(methods) for methods in loops.values()])
    )
    for ax, (name, methods) in zip(axes, loops.items(), strict=True):
        shown = {method: seconds for method, seconds in methods.items() if method != "preparation"}
        for row, (method, seconds) in enumerate(shown.items()):
            ms = 1e3 * np.asarray(seconds)
            ax.plot(
                ms, np.full(len(ms), row), MARKERS[method], color="black", fillstyle="none", markersize=4, alpha=0.5
            )
            ax.plot([np.median(ms)] * 2, [row - 0.35, row + 0.35], color="black", linewidth=2)
            ax.annotate(f"{np.median(ms):.3g} ms", (np.median(ms), row - 0.38), ha="center", va="bottom", fontsize=8)
        ax.set_yticks(range(len(shown)), list(shown))
        ax.set_ylim(len(shown) - 0.5, -1.1)
        ax.set_title(TITLES.get(name, name), loc="left", fontsize=10)
        ax.grid(axis="x", which="both", alpha=0.25)
    axes[-1].set_xscale("log")
    axes[-1].set_xlabel("time of a step [ms]; bars: medians")
    figure.savefig(path, dpi=150)
