"""What would an engineer draw for a perfusion recipe? Both recipes over time, and what the gain consists of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from titer.cases.drawing import WIDTH, limit, panels, plain, trace
from titer.cases.pichia_upstream import in_tank, oxygen, purity_of
from titer.numerics import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS = {"in the tank": ("black", ""), "left in the reactor": ("0.6", "//"), "to waste": ("white", "..")}


def draw_recipes(published: Solution, best: Solution, most: float) -> Figure:
    """Feed, biomass, oxygen, products in the reactor and product in the tank: published dashed, best solid."""
    figure, axes = panels(5, height=1.55)
    for run, colour, style, text in ((published, "0.45", "--", "published"), (best, "black", "-", "best")):
        look: dict[str, Any] = {"color": colour, "linestyle": style, "linewidth": 1.7}
        trace(axes[0], run["reactor.harvest.flow"] * 1e3, **look, label=text)
        trace(axes[1], run["reactor.X"], **look)
        trace(axes[2], oxygen(run.frame()), **look)
        trace(axes[3], run["reactor.P1"], **look)
        trace(axes[3], run["reactor.P3"], **look | {"linewidth": 0.9})
        trace(axes[4], run["tank.n[P1]"], **look)
    labels = ("perfusion\n[mL/h]", "biomass $X$\n[g/L]", "oxygen uptake\n[g/L/h]", "$P_1$, thin: $P_3$\n[g/L]")
    for ax, text in zip(axes, (*labels, "$P_1$ in tank\n[g]"), strict=True):
        ax.set_ylabel(text)
    limit(axes[2], most, "highest of the published recipe", at=0.01)
    axes[2].set_ylim(None, 1.3 * most)
    for run, colour, style in ((published, "0.45", "--"), (best, "black", "-")):
        ends = run["reactor.X"].index[0]
        for phase in run.phases[:-1]:
            ends += run.duration[phase.name]
            for ax in axes:
                ax.axvline(ends, color=colour, linestyle=style, linewidth=0.5)
    axes[0].legend(loc="upper left", fontsize=9)
    axes[0].set_title("Sixty hours of perfusion; thin lines: where phases end")
    axes[-1].set(xlabel="time [h]", xlim=(0.0, 60.0))
    figure.align_ylabels(axes)
    return figure


def draw_gain(
    published: Solution,
    plans: Mapping[str, Solution],
    like: Solution,
    front: Mapping[float, float],
    shares: Mapping[str, Mapping[str, float]],
) -> Figure:
    """Product by what is decided; where the product goes; product over the purity that is asked for."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH + 2.5, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.3, 0.9, 1.0))
    for ax in (left, middle, right):
        plain(ax)
    names = ["published", *plans]
    first, purity = in_tank(published), purity_of(published)
    values = [first, *(plan.objective for plan in plans.values())]
    bars = left.barh(range(len(names)), values, color="0.8", edgecolor="black", linewidth=0.8)
    left.bar_label(bars, [f"{value:.3f}" for value in values], padding=3, fontsize=9)
    left.set_yticks(range(len(names)), [name.replace(" in the", "\nin the") for name in names])
    left.invert_yaxis()
    left.margins(x=0.2)
    left.set(xlabel="product in the tank [g]", title="By what is decided")
    foot = dict.fromkeys(shares, 0.0)
    for part, (colour, hatch) in PARTS.items():
        heights = [share[part] for share in shares.values()]
        middle.bar(
            list(shares), heights, bottom=list(foot.values()), color=colour, hatch=hatch, edgecolor="black", width=0.6,
            label=part,
        )  # fmt: skip
        foot = {name: low + high for (name, low), high in zip(foot.items(), heights, strict=True)}
    middle.set(ylabel="product made [g]", title="Where it goes")
    middle.legend(fontsize=8, loc="upper left")
    middle.set_ylim(0.0, 1.5 * max(foot.values()))
    right.plot(list(front), list(front.values()), "ko-", markerfacecolor="white", markersize=5)
    right.plot([purity], [first], "ks", markersize=6)
    right.plot([purity], [like.objective], "ks", markersize=6, markerfacecolor="white")
    for value, text in ((first, "published"), (like.objective, "best, same volume")):
        right.annotate(text, (purity, value), (6, -12), textcoords="offset points", fontsize=9)
    right.set(xlabel="purity asked for", ylabel="product in the tank [g]", title="What purity costs", ylim=(0.0, None))
    return figure
