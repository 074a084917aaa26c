"""What would an engineer draw for an exothermic feed? Both policies, and what a cooling failure makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from titer.cases.drawing import limit, panels, plain, trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from titer.cases.exotherm import Policy

LOOKS = {"careless": ("0.4", "--", 1.5), "safe": ("black", "-", 1.9)}


def draw_policies(policies: Mapping[str, Policy], safe: float, normal: float, coldest: float) -> Figure:
    """Feed, jacket and reactor temperature, and the temperature after a cooling failure."""
    figure, axes = panels(4, height=1.9)
    for name, (colour, style, width) in LOOKS.items():
        policy = policies[name]
        for ax, variable in zip(axes, ("u", "jacket.T_j", "T", "T_ad"), strict=True):
            series = policy.plan[f"reactor.{variable}"]
            label = f"{name}, {policy.hours:.2f} h"
            trace(ax, series, color=colour, linestyle=style, linewidth=width, label=label)
    labels = ("feed $u$\n[L/h]", "jacket $T_j$\n[K]", "reactor $T$\n[K]", "after a cooling\nfailure $T_{cf}$ [K]")
    for ax, label in zip(axes, labels, strict=True):
        ax.set_ylabel(label)
    limit(axes[1], coldest, f"coldest {coldest:g} K", below=True)
    axes[1].set_ylim(coldest - 16.0, None)
    limit(axes[2], normal, f"limit {normal:g} K")
    axes[2].set_ylim(None, normal + 6.0)
    limit(axes[3], safe, f"limit {safe:g} K")
    axes[0].set_title("The fastest batch, with and without safety")
    axes[0].legend(loc="upper right")
    axes[-1].set(xlabel="time [h]", xlim=(0.0, None))
    figure.align_ylabels(axes)
    return figure


def draw_failure(policies: Mapping[str, Policy], safe: float, hours: float) -> Figure:
    """How hot it gets by the moment at which the cooling fails, and the worst failure of each policy over time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for name, (colour, style, width) in LOOKS.items():
        policy = policies[name]
        left.plot(
            policy.moments, policy.hottest, color=colour, linestyle=style, linewidth=width, marker="o", markersize=5,
            markerfacecolor="white", label=name,
        )  # fmt: skip
        trace(right, policy.worst["reactor.T"], color=colour, linestyle=style, linewidth=width, label=name)
    for ax in (left, right):
        plain(ax)
    limit(left, safe, f"limit {safe:g} K", below=True, at=0.99)
    limit(right, safe, "", below=True)
    left.set(xlabel="moment of the failure [h of the batch]", ylabel="temperature [K]", xlim=(0.0, None))
    left.set_title(f"hottest within {hours:g} h of the failure", fontsize=10)
    right.set(xlabel="time after the worst failure [h]", xlim=(0.0, hours))
    right.set_title("the worst failure", fontsize=10)
    left.set_ylim(safe - 45.0, None)
    left.legend(loc="center right")
    figure.suptitle("No cooling, no feed: what becomes of the batch")
    return figure
