"""What would an engineer draw for competing aims? Fronts of two, fronts of three, and how the policy changes along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from titer.cases.drawing import limit, panels, plain, trace
from titer.control import Front

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MINUTE = 1.0 / 60.0
LOOKS = (("black", "-", "o"), ("black", "--", "s"), ("0.35", "-", "D"), ("0.35", "--", "^"), ("0.35", ":", "v"),
         ("0.6", "-", "P"), ("0.6", "--", "X"))  # fmt: skip


def draw_two(impurity: Front, duration: Front) -> Figure:
    """Yield over impurity and over batch time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for ax, front, scale, label in (
        (left, impurity, 1.0, "impurity C at the end [mol/L]"),
        (right, duration, MINUTE, "batch time [min]"),
    ):
        plain(ax)
        x, y = front.values[:, 1] * scale, front.values[:, 0]
        ax.plot(x, y, "ko-", markerfacecolor="white", markersize=5, linewidth=1.4)
        ax.set_xlabel(f"{label}, less is better")
    left.set_ylabel("yield of B [mol/L], more is better")
    spot = (impurity.values[-1, 1], impurity.values[-1, 0])
    hours = impurity.solutions[-1].duration["react"] / 3600.0
    left.annotate(f"longest batch,\n{hours:g} h", spot, (0, -12), textcoords="offset points", ha="right", va="top")
    figure.suptitle("What less impurity, and less time, cost in yield")
    return figure


def draw_three(front: Front) -> Figure:
    """Yield over impurity, a line for each batch time."""
    figure, (ax,) = panels(1, height=4.0)
    minutes = np.round(front.values[:, 2] * MINUTE)
    for (colour, style, marker), level in zip(LOOKS, np.unique(minutes)[::-1], strict=False):
        chosen = minutes == level
        order = np.argsort(front.values[chosen, 1])
        x, y = front.values[chosen, 1][order], front.values[chosen, 0][order]
        look: dict[str, Any] = {"color": colour, "linestyle": style, "marker": marker, "markerfacecolor": "white"}
        ax.plot(x, y, **look, markersize=5, linewidth=1.3, label=f"{level:.0f} min")
    ax.legend(title="batch time", loc="lower right")
    ax.set(xlabel="impurity C at the end [mol/L], less is better", ylabel="yield of B [mol/L], more is better")
    ax.set_ylim(0.4, None)
    ax.set_title("Yield, impurity and batch time")
    worst = "down to the least impurity,\nwhich comes with no yield"
    ax.annotate(worst, (0.033, 0.4), (0, 8), textcoords="offset points", fontsize=9)
    return figure


def draw_policies(front: Front, hottest: float) -> Figure:
    """Jacket temperature, reactor temperature and impurity at three points of the front."""
    figure, axes = panels(3, height=1.9)
    count = len(front.values)
    for (colour, style, _), k in zip((*LOOKS[:2], ("0.5", "-", "")), (count - 1, count // 2, 1), strict=True):
        plan = front.solutions[k]
        label = f"yield {front.values[k, 0]:.3f}, impurity {front.values[k, 1]:.3f} mol/L"
        for ax, name in zip(axes, ("T_j", "T", "c_C"), strict=True):
            trace(ax, plan[f"reactor.{name}"], MINUTE, color=colour, linestyle=style, linewidth=1.7, label=label)
    for ax, label in zip(axes, ("jacket $T_j$ [K]", "reactor $T$ [K]", "impurity C\n[mol/L]"), strict=True):
        ax.set_ylabel(label)
    limit(axes[1], hottest, f"limit {hottest:g} K", at=0.99)
    axes[1].set_ylim(None, hottest + 8.0)
    axes[0].set_title("How the best policy changes along the front")
    axes[-1].set(xlabel="time [min]", xlim=(0.0, None))
    figure.align_ylabels(axes)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
    return figure
