"""What would an engineer draw for the photobioreactor? Inputs, states and limits; a promise and a truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from titer.cases.drawing import limit, panels, trace
from titer.numerics import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {  # variable: its label, and what it is multiplied by
    "I": ("light\n[µmol/m²/s]", 1.0),
    "F_N": ("nitrate feed\n[mg/L/h]", 1.0),
    "N": ("nitrate\n[mg/L]", 1.0),
    "content": ("phycocyanin\nin biomass [mg/g]", 1e3),
    "P": ("phycocyanin\n[g/L]", 1.0),
}


def draw_optimum(plan: Solution, finer: Solution, limits: Any) -> Figure:
    """Inputs and states of the best plan; dashed with half as long steps."""
    runs = (
        (finer, "0.45", "--", 1.3, f"12 steps, {finer.objective:.4f} g/L"),
        (plan, "black", "-", 1.9, f"6 steps, {plan.objective:.4f} g/L"),
    )
    figure, axes = _panels(runs, tuple(PANELS), limits)
    axes[0].set_title("Light for growth first, for phycocyanin later")
    axes[0].legend(loc="lower left")
    return figure


def draw_mismatch(wrong: Solution, truth: Solution, plan: Solution, limits: Any) -> Figure:
    """What a model without inhibition by light promises of its plan, and what the plant makes of it."""
    runs = (
        (plan, "0.6", "-", 1.3, f"best plan for the plant, {plan.objective:.3f} g/L"),
        (wrong, "0.3", "--", 1.4, f"promised by the model, {wrong.objective:.3f} g/L"),
        (truth, "black", "-", 1.9, f"made by the plant, {truth.at_end('culture.P'):.3f} g/L"),
    )
    figure, axes = _panels(runs, ("I", "N", "P"), limits)
    axes[0].set_title("The plan of a model that leaves out inhibition by light")
    axes[2].legend(loc="upper left")
    return figure


def _panels(runs: Any, keys: tuple[str, ...], limits: Any) -> tuple[Figure, list[Axes]]:
    figure, axes = panels(len(keys), height=1.5)
    for ax, key in zip(axes, keys, strict=True):
        label, scale = PANELS[key]
        for run, colour, style, width, text in runs:
            series = run[f"culture.{key}"] * scale
            trace(ax, series, color=colour, linestyle=style, linewidth=width, label=text)
        ax.set_ylabel(label)
        if key == "N":
            limit(ax, limits.nitrate, f"limit {limits.nitrate:g} mg/L, at the end {limits.left:g} mg/L (▼)", at=0.01)
            ax.plot([240.0], [limits.left], "v", color="black", clip_on=False)
        if key == "content":
            limit(ax, 1e3 * limits.content, f"limit {1e3 * limits.content:g} mg/g", at=0.01)
    axes[-1].set(xlabel="time [h]", xlim=(0.0, 240.0))
    figure.align_ylabels(axes)
    return figure, axes
