"""How does monitoring look? Statistics over a batch with limits, and what left when; legible in black and white."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from titer.analysis.monitoring.charts import Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST = 10  # bars of contributions
_FEWEST = 8  # places for bars


def plot_chart(chart: Chart, most: int = _MOST) -> Figure:
    """The statistics of a batch over its stages with their limits; below, departures of every variable as a map;
    beside, what contributes at the first alarm (or at the stage nearest to one)."""
    from matplotlib.figure import Figure

    names = [s.name for s in chart.statistics]
    rows = len(names) + 1
    variables = chart.layout.variables
    heights = [1.6] * len(names) + [max(1.2, 0.28 * len(variables))]
    figure = Figure(figsize=(10.0, 1.0 + sum(heights)), layout="constrained")
    grid = figure.add_gridspec(rows, 2, width_ratios=[1.7, 1.0], height_ratios=heights)
    upper: Axes | None = None
    for k, statistic in enumerate(chart.statistics):
        ax = figure.add_subplot(grid[k, 0], sharex=upper)
        upper = upper or ax
        _draw_statistic(ax, chart, k)
        ax.set_ylabel(statistic.name)
        ax.tick_params(labelbottom=False)
    _draw_departures(figure, figure.add_subplot(grid[rows - 1, 0]), chart)
    _draw_contributions(figure.add_subplot(grid[:, 1]), chart, most)
    figure.suptitle(chart.message(), fontsize="medium")
    return figure


def _draw_statistic(ax: Axes, chart: Chart, k: int) -> None:
    statistic = chart.statistics[k]
    x = np.arange(len(chart.layout.stages))
    values, limits = statistic.values[0], statistic.limits[0]
    ax.plot(x, values, "o-", color="black", markersize=4, linewidth=1.0, label="this batch")
    ax.plot(x, limits, "--", color="0.35", linewidth=1.2, drawstyle="steps-mid", label="limit")
    beyond = statistic.probabilities[0] < chart.level
    ax.plot(x[beyond], values[beyond], "s", color="white", markeredgecolor="black", markersize=9, label="alarm")
    ax.set_xlim(-0.5, len(x) - 0.5)
    ax.set_ylim(0.0, 1.35 * float(np.nanmax([*values, *limits, 1e-300])))
    if k == 0:
        ax.legend(fontsize="small", frameon=False, loc="upper left", ncols=3)


def _draw_departures(figure: Figure, ax: Axes, chart: Chart) -> None:
    layout = chart.layout
    field = np.full((len(layout.variables), len(layout.stages)), np.nan)
    field[layout.variable_of, layout.stage_of] = chart.departures
    size = np.abs(field)
    image = ax.imshow(size, cmap="Greys", vmin=0.0, vmax=5.0, aspect="auto", interpolation="nearest")
    for row, column in np.argwhere(size >= 2.0):
        shade = "white" if size[row, column] > 2.8 else "black"
        mark = "+" if field[row, column] > 0.0 else "\u2212"
        ax.text(column, row, mark, color=shade, ha="center", va="center", fontweight="bold")
    ax.set_yticks(range(len(layout.variables)), layout.variables, fontsize="small")
    every = max(1, len(layout.stages) // 12)
    ax.set_xticks(range(0, len(layout.stages), every), [f"{s:g}" for s in layout.stages[::every]])
    ax.set_xlabel(f"stage [{layout.time}]" if layout.time else "stage")
    figure.colorbar(image, ax=ax, location="bottom", label="standard deviations off expectation", shrink=0.7, pad=0.02)


def _draw_contributions(ax: Axes, chart: Chart, most: int) -> None:
    if chart.alarm is not None:
        name, stage = chart.alarm.statistic, chart.alarm.stage
    else:
        least = min(chart.statistics, key=lambda s: s.probabilities[0].min())
        name, stage = least.name, chart.layout.stages[int(np.argmin(least.probabilities[0]))]
    parts = chart.blame(name, stage).head(most)[::-1]
    departures = dict(zip(chart.layout.addresses, chart.departures, strict=True))
    y = np.arange(len(parts)) + max(0, _FEWEST - len(parts))  # bars keep their size, from the top
    ax.barh(y, parts.to_numpy(), color="0.7", edgecolor="black", linewidth=0.7)
    labels = [f"{v} at {s:g} ({departures[v, s]:+.1f})" for v, s in parts.index]
    ax.set_yticks(y, labels, fontsize="small")
    ax.set_ylim(-0.6, max(_FEWEST, len(parts)) - 0.4)
    ax.set_xlabel(f"contribution to {name} at {stage:g} {chart.layout.time}".rstrip())
    ax.set_title("in brackets: standard deviations off", fontsize="small")
