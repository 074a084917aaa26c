"""What would an engineer draw for robust feeds? How often limits are missed, feeds, fans of biomass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from titer.cases.drawing import WIDTH, limit, panels, plain, trace
from titer.cases.robust_feeding_plans import BIOMASS, PARTING
from titer.control import Stress
from titer.numerics import Solution

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS = {  # feed: colour, line style, width
    "nominal": ("0.45", "--", 1.5),
    "robust": ("black", "-", 1.9),
    "worst fifth": ("black", ":", 1.6),
    "chance": ("0.2", "-.", 1.3),
}


def draw_violations(tested: Mapping[str, Stress], asked: float) -> Figure:
    """Left: the share of plants that miss a limit, with its interval; right: how the product is distributed."""
    from matplotlib.figure import Figure

    count = len(next(iter(tested.values())).values)
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.0, 1.1))
    places = np.arange(len(tested))[::-1]
    for place, each in zip(places, tested.values(), strict=True):
        low, high = (100.0 * end for end in each.interval())
        rate = 100.0 * each.rate
        left.barh(place, rate, height=0.5, color="0.8", edgecolor="black", linewidth=0.8)
        left.plot([low, high], [place, place], color="black", linewidth=1.6)
        left.annotate(f"{rate:.1f} %", (high, place), (5, 0), textcoords="offset points", va="center")
    left.axvline(100.0 * asked, color="black", linewidth=1.0, linestyle=":")
    left.set(xlabel="plants that miss a limit [%]\n(dotted: what chance allows)", xlim=(0.0, 75.0))
    values = [each.values["objective"].to_numpy() for each in tested.values()]
    right.boxplot(
        values, positions=places, orientation="horizontal", whis=(5, 95), widths=0.5, showmeans=True, showfliers=False,
        medianprops={"color": "black"},
        meanprops={"marker": "o", "markerfacecolor": "white", "markeredgecolor": "black"},
    )  # fmt: skip
    right.set(xlabel="product at the end [g/L]\n(ends: 5 and 95 % of plants; circle: mean)")
    for ax in (left, right):
        plain(ax)
    left.set_yticks(places, list(tested))
    left.set_ylim(-0.6, len(tested) - 0.4)
    right.tick_params(labelleft=False)
    figure.suptitle(f"The same feeds on {count} plants that none of them was made for", fontsize=11)
    return figure


def draw_feeds(made: Mapping[str, Solution], biomass: Mapping[str, Sequence[pd.Series]]) -> Figure:
    """The feeds, and below them biomass in all scenarios under the nominal and the robust one."""
    figure, axes = panels(3, heights=(1.2, 1.0, 1.0), height=2.0)
    for name, plan in made.items():
        colour, style, width = LOOKS[name]
        trace(axes[0], plan["tank.u"], color=colour, linestyle=style, linewidth=width, label=name)
    axes[0].set(ylabel="feed $u$ [L/h]", title="Feeds, and what they do on plants that differ by a few percent")
    axes[0].legend(loc="upper right")
    for ax, (name, lines) in zip(axes[1:], biomass.items(), strict=True):
        beyond = _fan(ax, lines)
        ax.set_ylabel(f"biomass $X$ [g/L],\n{name} feed")
        limit(ax, BIOMASS, f"{BIOMASS:g} g/L: {beyond} of {len(lines)} beyond (black)", at=0.01)
        ax.set_ylim(0.9, 4.25)
    axes[-1].set(xlabel="time [h]", xlim=(0.0, 150.0))
    figure.align_ylabels(axes)
    return figure


def _fan(ax: Axes, lines: Sequence[pd.Series]) -> int:
    """Draw trajectories, those beyond the limit in black; how many these are."""
    beyond = [float(line.max()) > BIOMASS * (1.0 + 1e-4) for line in lines]
    for line, out in zip(lines, beyond, strict=True):
        trace(ax, line, color="black" if out else "0.6", linewidth=1.0 if out else 0.7, zorder=3 if out else 2)
    return sum(beyond)


def draw_recourse(recourse: Solution, robust: Solution) -> Figure:
    """Feeds and biomass if each plant showed which it is after some time: one feed up to there, then each its own."""
    figure, axes = panels(2, height=2.2)
    for each in recourse.scenarios:
        trace(axes[0], each["tank.u"], color="0.6", linewidth=0.7)
        trace(axes[1], each["tank.X"], color="0.6", linewidth=0.7)
    trace(axes[0], robust["tank.u"], color="black", linewidth=1.8, label="robust feed, for all plants")
    axes[0].plot([], [], color="0.6", linewidth=0.9, label="a feed for each plant")
    axes[0].legend(loc="upper right")
    axes[0].set(
        ylabel="feed $u$ [L/h]",
        title=f"If each plant showed after {PARTING:g} h which it is: {recourse.objective:.3f} g/L on average, "
        f"not {robust.objective:.3f}",
    )
    axes[0].set_ylim(-0.005, 1.15 * float(np.quantile([s["tank.u"].max() for s in recourse.scenarios], 0.9)))
    limit(axes[1], BIOMASS, f"limit {BIOMASS:g} g/L", at=0.01)
    axes[1].set_ylim(0.9, 4.1)
    axes[1].set(ylabel="biomass $X$ [g/L]", xlabel="time [h]", xlim=(0.0, 150.0))
    for ax in axes:
        ax.axvline(PARTING, color="0.4", linewidth=0.9, linestyle="--")
    figure.align_ylabels(axes)
    return figure
