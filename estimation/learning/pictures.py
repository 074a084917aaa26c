"""How does a learned correction look? Discrepancies over time with bands, and parity; legible in black and white."""

from __future__ import annotations

import math
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.flowsheets import LearnedTerm, Multiplicative

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from titer.estimation.learning.learned import Learned

_MARKS = ("o", "s", "^", "v", "D", "x", "+", "*")
_MOST = 7  # batches that are drawn
_ACROSS = 4  # panels side by side
_BAND = 1.96  # standard deviations: 95 %


def plot_learned(learned: Learned) -> Figure:
    """For each rate a panel for each of the first seven batches, and parity of all, each predicted without itself."""
    from matplotlib.figure import Figure

    batches = list(dict.fromkeys(learned.discrepancy.frame["batch"]))[:_MOST]
    rows = math.ceil((len(batches) + 1) / _ACROSS)
    count = len(learned.terms)
    figure = Figure(figsize=(2.6 * _ACROSS, 0.6 + 2.3 * rows * count), layout="constrained")
    grid = figure.add_gridspec(rows * count, _ACROSS)
    for i, term in enumerate(learned.terms):
        cells = [grid[rows * i + k // _ACROSS, k % _ACROSS] for k in range(len(batches) + 1)]
        _draw_rate(figure, cells, learned, term, batches)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small", frameon=False)
    return figure


def _draw_rate(figure: Figure, cells: list[Any], learned: Learned, term: LearnedTerm, batches: list[str]) -> None:
    own = learned.discrepancy.of(term.on)
    own = own.assign(acting=term.at(own[list(learned.discrepancy.features)].to_numpy(dtype=float)).value)
    what = "log of factor" if isinstance(term.form, Multiplicative) else "summand"
    first = None
    for k, (cell, batch) in enumerate(zip(cells, batches, strict=False)):
        axis = figure.add_subplot(cell, sharey=first)
        first = first or axis
        _draw_batch(axis, own[own["batch"] == batch], batch)
        axis.set_xlabel(f"time [{learned.discrepancy.fits[0].plant.time}]", fontsize="small")
        if k % _ACROSS == 0:
            axis.set_ylabel(f"{term.on}: {what}", fontsize="small")
    rates = learned.validation.rates
    parity = figure.add_subplot(cells[-1])
    _draw_parity(parity, rates[(rates["model"] == learned.model) & (rates["rate"] == term.on)])


def _draw_batch(axis: Axes, rows: pd.DataFrame, title: str) -> None:
    time, center, half = rows["time"], rows["discrepancy"], _BAND * rows["sd"]
    axis.fill_between(time, center - half, center + half, color="0.85", label="inferred, 95 % band")
    axis.plot(time, center, color="0.45", linewidth=1.0, label="inferred")
    axis.plot(time, rows["acting"], color="black", linestyle="--", marker="o", markersize=3, label="correction")
    axis.axhline(0.0, color="0.6", linewidth=0.6, zorder=0)
    axis.set_title(title, fontsize="small")


def _draw_parity(axis: Axes, rows: pd.DataFrame) -> None:
    for (batch, group), mark in zip(rows.groupby("batch", sort=False), cycle(_MARKS), strict=False):
        bars = _BAND * group["sd"]
        axis.errorbar(
            group["discrepancy"], group["predicted"], xerr=bars, fmt=mark, color="black", ecolor="0.8",
            markersize=4, markerfacecolor="none", linewidth=0.6, label=str(batch),
        )  # fmt: skip
    both = np.concatenate([rows["discrepancy"], rows["predicted"]])
    axis.plot([both.min(), both.max()], [both.min(), both.max()], color="0.5", linewidth=0.8, zorder=0)
    axis.set_title("parity", fontsize="small")
    axis.set_xlabel("inferred", fontsize="small")
    axis.set_ylabel("predicted without that batch", fontsize="small")
    axis.legend(fontsize="xx-small", frameon=False)


__all__ = ["plot_learned"]
