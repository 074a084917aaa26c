"""How does a learned correction look? Discrepancies over time with bands, and parity; legible in black and white."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from titer.flowsheets.corrections.forms import Multiplicative

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from titer.estimation.learning.learned import Learned

_MARKS = ("o", "s", "^", "v", "D", "x", "+", "*")
_MOST = 6  # batches side by side
_BAND = 1.96  # standard deviations: 95 %


def plot_learned(learned: Learned) -> Figure:
    """A row for each rate: a panel for each of the first six batches, and parity of all on which it was not learned."""
    from matplotlib.figure import Figure

    frame = learned.discrepancy.frame
    batches = list(dict.fromkeys(frame["batch"]))[:_MOST]
    count = len(learned.terms)
    figure = Figure(figsize=(1.0 + 2.3 * (len(batches) + 1.4), 0.9 + 2.6 * count), layout="constrained")
    ratios = [1.0] * len(batches) + [1.4]
    axes = figure.subplots(count, len(batches) + 1, squeeze=False, width_ratios=ratios)
    for row, term in zip(axes, learned.terms, strict=True):
        own = learned.discrepancy.of(term.on)
        X = own[list(learned.discrepancy.features)].to_numpy(dtype=float)
        own = own.assign(acting=term.at(X).value)
        for axis, batch in zip(row, batches, strict=False):
            if axis is not row[0]:
                axis.sharey(row[0])
            _draw_batch(axis, own[own["batch"] == batch], str(batch))
            axis.set_xlabel(f"time [{learned.discrepancy.fits[0].plant.time}]")
        what = "log of the factor" if isinstance(term.form, Multiplicative) else "what is added"
        row[0].set_ylabel(f"{term.on}: {what}")
        rates = learned.validation.rates
        _draw_parity(row[-1], rates[(rates["model"] == learned.model) & (rates["rate"] == term.on)])
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small", frameon=False)
    return figure


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
    axis.set_xlabel("inferred")
    axis.set_ylabel("predicted without that batch")
    axis.legend(fontsize="xx-small", frameon=False)


__all__ = ["plot_learned"]
