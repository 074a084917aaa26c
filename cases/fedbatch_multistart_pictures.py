"""What would an engineer draw for the trap? Both feeds and what they do, and where each start ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from titer.cases.drawing import limit, panels, trace
from titer.numerics import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_profiles(plan: Solution, trap: Solution, biomass: float) -> Figure:
    """Feed, biomass, substrate and product: the best feed beside the one of the trap."""
    figure, axes = panels(4, height=1.75)
    for run, colour, style, width, text in (
        (plan, "black", "-", 1.9, f"best feed, {plan.objective:.4f} g/L of product"),
        (trap, "0.4", "--", 1.5, f"the trap, {trap.objective:.4f} g/L"),
    ):
        for ax, name in zip(axes, ("u", "X", "S", "P"), strict=True):
            trace(ax, run[f"tank.{name}"], color=colour, linestyle=style, linewidth=width, label=text)
    labels = ("feed $u$\n[L/h]", "biomass $X$\n[g/L]", "substrate $S$\n[g/L]", "product $P$\n[g/L]")
    for ax, label in zip(axes, labels, strict=True):
        ax.set_ylabel(label)
    axes[0].set_yscale("symlog", linthresh=0.01, linscale=0.4)
    axes[0].set(ylim=(-0.001, 1.6), title="A fed-batch fermentation and its trap")
    axes[2].set_yscale("symlog", linthresh=1e-3, linscale=0.4)
    axes[2].set_ylim(-1e-4, 60.0)
    limit(axes[1], biomass, f"limit {biomass:g} g/L", at=0.01)
    axes[1].set_ylim(0.8, biomass + 0.7)
    limit(axes[2], 0.5, "fastest growth, 0.5 g/L", at=0.99)
    axes[-1].set(xlabel="time [h]", xlim=(0.0, float(plan["tank.u"].index[-1])))
    figure.align_ylabels(axes)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
    return figure


def draw_starts(found: Sequence[float], best: float, trap: float) -> Figure:
    """Where each start ended, the first on the left; a failed one is a cross at the foot."""
    figure, (ax,) = panels(1, height=2.8)
    values = np.array(found)
    numbers = np.arange(1, len(values) + 1)
    solved = np.isfinite(values)
    good = solved & (values > 0.5 * (best + trap))
    low = float(values[solved].min()) - 0.02
    ax.plot(
        numbers[solved & ~good], values[solved & ~good], "o", color="black", markerfacecolor="white", label="trapped"
    )
    ax.plot(numbers[good], values[good], "o", color="black", label="reached the best")
    if not solved.all():
        ax.plot(numbers[~solved], np.full((~solved).sum(), low + 0.005), "x", color="black", label="not solved")
    limit(ax, best, f"published optimum {best:g} g/L", below=True)
    limit(ax, trap, f"known local optimum {trap:g} g/L")
    ax.set(xlabel="start", ylabel="product at the end [g/L]", ylim=(low, best + 0.02))
    ax.set_title(f"Where {len(values)} starts end")
    ax.legend(loc="center right")
    return figure
