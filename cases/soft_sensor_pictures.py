"""What would an engineer draw for a soft sensor? A batch with what was believed, errors over time, innovations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.cases.drawing import panels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MINUTES = 1.0 / 60.0
LOOKS: dict[str, dict[str, Any]] = {
    "simulation": {"linestyle": ":", "color": "0.3"},
    "Kalman filter": {"linestyle": "--", "color": "0.3"},
    "moving horizon": {"linestyle": "-.", "color": "black"},
    "with laboratory": {"linestyle": "-", "color": "0.55"},
}
NAMES = tuple(LOOKS)


def draw_batch(batch: Any, reactor: Any) -> Figure:
    """Temperature and jacket above; B as it is and as it is believed below."""
    figure, (warm, product) = panels(2, heights=[0.8, 1.2])
    log = batch.log
    for name, style in ((reactor.T, "-"), (reactor.T_j, "--")):
        series = log.run[name]
        label = {"-": "contents", "--": "jacket"}[style]
        warm.plot(series.index * MINUTES, series.to_numpy(), "k", linestyle=style, linewidth=1.2, label=label)
    measured = log.measured[reactor.T]
    warm.plot(measured.index * MINUTES, measured, "o", color="0.4", markersize=3, label="measured")
    warm.set(ylabel="temperature [K]", title="Only the temperature is measured")
    warm.legend(fontsize=9)
    truth = log.run[reactor.c_B]
    product.plot(truth.index * MINUTES, truth.to_numpy(), "k", linewidth=2.2, label="what is there")
    for name, frame in batch.believed.items():
        product.plot(frame.index * MINUTES, frame["c_B"], linewidth=1.3, label=name, **LOOKS[name])
    band = batch.believed["moving horizon"]
    lower, upper = (band["c_B"] + side * 2.0 * band["deviation"] for side in (-1.0, 1.0))
    product.fill_between(
        band.index * MINUTES, np.maximum(lower, 0.0), upper, color="0.9", zorder=0, label="moving horizon, 95 %"
    )
    late = log.laboratory
    product.plot(late["taken"] * MINUTES, late["value"], "ks", fillstyle="none", markersize=6, label="laboratory, late")
    product.set(xlabel="time [min]", ylabel="B [mol/L]", ylim=(-0.02, 1.25 * max(truth.max(), 0.8)))
    product.legend(fontsize=9, ncols=2)
    figure.align_ylabels([warm, product])
    return figure


def draw_errors(errors: Mapping[str, np.ndarray], times: np.ndarray) -> Figure:
    """The root mean square of the errors over all batches, along the batch."""
    figure, (ax,) = panels(1, height=3.0)
    for name, each in errors.items():
        ax.plot(times * MINUTES, np.sqrt(np.mean(each**2, axis=0)), linewidth=1.6, label=name, **LOOKS[name])
    batches = len(next(iter(errors.values())))
    ax.set(xlabel="time [min]", ylabel="rms error of B [mol/L]", title=f"{batches} batches with a wrong start")
    ax.set_ylim(bottom=0.0)
    ax.legend(fontsize=9)
    return figure


def draw_innovations(frame: pd.DataFrame) -> Figure:
    """Normalized squares of the innovations with their 95 % band."""
    figure, (ax,) = panels(1, height=2.6)
    shown = frame.iloc[1:]
    ax.plot(shown.index * MINUTES, shown["nis"], "ko", markersize=4, label="normalized innovation squared")
    for side, label in (("lower", None), ("upper", "95 % band")):
        ax.plot(shown.index * MINUTES, shown[side], color="0.3", linestyle=":", label=label)
    ax.set(xlabel="time [min]", ylabel="NIS [1]", yscale="log")
    ax.legend(fontsize=9, loc="lower left")
    return figure
