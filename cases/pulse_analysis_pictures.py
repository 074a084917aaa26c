"""What would an engineer draw for pulses? Traces with the model, what is left of them, and plates over velocity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.cases.drawing import WIDTH, panels, plain

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SHOWN = (12.0, 75.0)  # mL
LINES = ("-", "--", "-.", ":")


def draw_pulses(
    traces: Mapping[int, Any], models: Mapping[int, pd.Series], fitted: Sequence[int], real: bool
) -> Figure:
    """The four pulses, fitted and predicted, each with the model."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey=True).ravel()
    for ax, (velocity, trace) in zip(axes, traces.items(), strict=True):
        plain(ax)
        few = trace.signal[(trace.signal.index >= SHOWN[0]) & (trace.signal.index <= SHOWN[1])].iloc[::10]
        label = "recorded" if real else "generated"
        ax.plot(few.index, 1000.0 * few, "o", color="0.35", markersize=3, fillstyle="none", label=label)
        ax.plot(models[velocity].index, 1000.0 * models[velocity], color="black", label="model")
        role = "fitted" if velocity in fitted else "predicted"
        ax.set_title(f"{velocity} cm/h, {role}", fontsize="medium")
    axes[0].set_xlim(*SHOWN)
    axes[0].legend(frameon=False)
    for ax in axes:
        ax.set_xlabel("volume [mL]")
    for ax in axes[::2]:
        ax.set_ylabel("absorbance [mAU]")
    return figure


def draw_residuals(traces: Mapping[int, Any], models: Mapping[int, pd.Series], fitted: Sequence[int]) -> Figure:
    """Recorded less model, in % of the height of each pulse, one below the other."""
    figure, axes = panels(len(traces), height=1.3)
    for ax, (velocity, trace) in zip(axes, traces.items(), strict=True):
        common = trace.signal.index.intersection(models[velocity].index)
        gap = 100.0 * (trace.signal[common] - models[velocity][common]) / trace.signal.max()
        ax.plot(gap.index, gap, color="black", linewidth=0.8)
        ax.axhline(0.0, color="0.6", linewidth=0.8, zorder=0)
        role = "fitted" if velocity in fitted else "predicted"
        ax.set_ylabel(f"{velocity} cm/h\n{role}", fontsize="small")
        ax.set(ylim=(-6.0, 6.0), xlim=SHOWN)
    axes[0].set_title("Pulse less model [% of height]; before 17 mL an excluded impurity")
    axes[-1].set_xlabel("volume [mL]")
    return figure


def draw_plates(
    seen: Mapping[int, Any],
    made: Mapping[int, Any],
    curve: tuple[np.ndarray, np.ndarray],
    fitted: Sequence[int],
    height: float,
) -> Figure:
    """Plate height over velocity (van Deemter): pulses, the model read off alike, and theory of whole peaks."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    ax = figure.subplots()
    plain(ax)
    ax.plot(*curve, color="0.5", linestyle="--", label="theory, whole peaks")
    for role, face in (("fitted", "black"), ("predicted", "white")):
        chosen = [v for v in seen if (v in fitted) == (role == "fitted")]
        look: dict[str, Any] = {"color": "black", "markerfacecolor": face, "linestyle": "none"}
        ax.plot(chosen, [height / seen[v].plates for v in chosen], marker="o", **look, label=f"pulse, {role}")
        ax.plot(chosen, [height / made[v].plates for v in chosen], marker="x", color="black", linestyle="none")
    ax.plot([], [], "kx", label="model, read off alike")
    ax.set(xlabel="velocity [cm/h]", ylabel="plate height [cm]", xlim=(0.0, None), ylim=(0.0, None))
    ax.legend(frameon=False)
    return figure
