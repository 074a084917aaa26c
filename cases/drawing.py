"""How do the pictures of the cases look? Panels on one time axis, limits dotted, lines told apart without colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 7.5  # inches: a page between its margins


def panels(count: int, heights: Sequence[float] | None = None, height: float = 2.6) -> tuple[Figure, list[Axes]]:
    """Panels below one another that share their horizontal axis; each `height` inches high, times its `heights`."""
    from matplotlib.figure import Figure

    ratios = list(heights or [1.0] * count)
    figure = Figure(figsize=(WIDTH, 0.4 + height * sum(ratios)), layout="constrained")
    axes = figure.subplots(count, 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    for ax in axes:
        plain(ax)
    return figure, list(axes)


def plain(ax: Axes) -> None:
    """Leave the two axes that are read, and a faint grid."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color="0.9", linewidth=0.6)
    ax.set_axisbelow(True)


def trace(ax: Axes, series: pd.Series, scale: float = 1.0, **look: Any) -> None:
    """Draw a trajectory over scaled time; a solution gives the time of a jump twice, so an input's steps are steps."""
    ax.plot(series.index.to_numpy() * scale, series.to_numpy(), **look)


def limit(ax: Axes, value: float, text: str, below: bool = False, at: float = 0.99) -> None:
    """Draw a limit as a dotted line with its name at a fraction of the width."""
    ax.axhline(value, color="black", linewidth=1.0, linestyle=":")
    ax.annotate(
        text,
        (at, value),
        (0, -4 if below else 3),
        xycoords=ax.get_yaxis_transform(),
        textcoords="offset points",
        ha="right" if at > 0.5 else "left",
        va="top" if below else "bottom",
        fontsize=9,
    )
