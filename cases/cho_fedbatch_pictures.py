"""What would an engineer draw for a fed-batch of cells? Feeds and what they do, and titer against duration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from titer.cases.cho_culture import Limits, hours, titer
from titer.cases.drawing import limit, panels, plain, trace
from titer.control import Front
from titer.numerics import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FRONTS = {"warm": "37 °C, as published", "cold": "with a shift (not published)"}


def draw_feeds(usual: Solution, best: Solution, alike: Solution, limits: Limits) -> Figure:
    """Volume, cells, glucose, glutamine, lactate, ammonium and antibody: boluses, best, and best in the same time."""
    figure, axes = panels(6, height=1.5)
    for run, colour, style, text in (
        (usual, "0.5", "-", "daily boluses"),
        (alike, "black", "--", "best, as long"),
        (best, "black", "-", "best"),
    ):
        label = f"{text}: {titer(run):.2f} g/L after {hours(run):.0f} h"
        for ax, name in zip(axes, ("V", "Xv", "Glc", "Gln", "Lac", "mAb"), strict=True):
            trace(ax, run[f"culture.{name}"], color=colour, linestyle=style, linewidth=1.6, label=label)
        trace(axes[3], run["culture.Amm"], color=colour, linestyle=style, linewidth=0.8)
    labels = ("volume\n[L]", "viable cells\n[Gcell/L]", "glucose\n[mmol/L]", "glutamine, thin:\nammonium [mmol/L]")
    for ax, text in zip(axes, (*labels, "lactate\n[mmol/L]", "antibody\n[g/L]"), strict=True):
        ax.set_ylabel(text)
    for k, value in ((0, limits.volume), (2, limits.glucose), (4, limits.lactate)):
        limit(axes[k], value, f"limit {value:g}", at=0.99)
        axes[k].set_ylim(None, 1.0 + 1.3 * (value - 1.0))
    limit(axes[2], limits.hunger, f"least {limits.hunger:g}", at=0.99)
    for run, style in ((best, "-"), (alike, "--")):
        if len(run.phases) > 1:
            for ax in axes:
                ax.axvline(run.duration["warm"], color="black", linestyle=style, linewidth=0.6)
    shifted = len(best.phases) > 1
    axes[0].set_title(
        "Feeding CHO cells" + (", with a temperature shift (thin lines), not published" if shifted else " at 37 °C")
    )
    axes[-1].set(xlabel="time [h]", xlim=(0.0, None))
    figure.align_ylabels(axes)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
    return figure


def draw_fronts(fronts: Mapping[str, Front], usual: Mapping[str, tuple[float, float]]) -> Figure:
    """Titer against duration: a panel for each front, with the boluses; and the feed's composition along it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 5.2), layout="constrained")
    panes = figure.subplots(2, 2, sharex="col", height_ratios=(1.6, 1.0))
    for (above, below), (name, front) in zip(panes.T, fronts.items(), strict=True):
        plain(above)
        plain(below)
        days = front.values[:, 1] / 24.0
        above.plot(days, front.values[:, 0], "ko-", markerfacecolor="white", markersize=5, linewidth=1.4, label="best")
        above.plot([usual[name][0] / 24.0], [usual[name][1]], "ks", markersize=7, label="daily boluses")
        above.set(title=FRONTS[name], ylabel="titer [g/L], more is better", ylim=(0.0, None))
        fed = [plan.decided["culture.Gln_feed"] for plan in front.solutions]
        below.plot(days, np.array(fed), "k^--", markerfacecolor="white", markersize=5, linewidth=1.2)
        below.set(xlabel="duration [d], less is better", ylabel="glutamine in the feed\n[mmol/L]")
    panes[0, 0].legend(loc="lower right")
    return figure
