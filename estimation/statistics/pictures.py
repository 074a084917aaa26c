"""How does a fit look? Data with bands, residuals, correlations, profiles; legible in black and white."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.grid import is_whole

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from titer.estimation.fit import Fit
    from titer.estimation.statistics.profile import Profile

Array = np.ndarray
_MARKS = ("o", "s", "^", "v", "D", "x", "+", "*")
_MOST = 8  # experiments side by side
_POINTS = 200  # along time
_LABELLED = 12  # numbers whose correlations are written into the picture


def plot_fit(
    fit: Fit,
    experiments: Sequence[int] | int | None = None,
    names: Sequence[str] | str | None = None,
    level: float = 0.95,
) -> Figure:
    """Data and fit: a row for each measured name, a column for each experiment, with the bands of `bands`.

    `experiments` (from 1): the first 8 by default. Raises SpecificationError for unknown experiments and names.
    """
    from matplotlib.figure import Figure

    chosen = _experiments(fit, experiments)
    rows = _names(fit, chosen, names)
    band = fit.bands(level, _POINTS, rows)
    figure = Figure(figsize=(1.0 + 3.4 * len(chosen), 0.8 + 2.1 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(chosen), sharex="col", sharey="row", squeeze=False)
    for j, r in enumerate(chosen):
        for i, name in enumerate(rows):
            here = band[(band["experiment"] == r) & (band["name"] == name)]
            data = fit.residuals[(fit.residuals["experiment"] == r) & (fit.residuals["name"] == name)]
            _draw_fit(axes[i, j], here, data)
            axes[i, 0].set_ylabel(f"{name} [{_unit(fit, name)}]")
        axes[0, j].set_title(f"experiment {r}" if len(fit.experiments) > 1 else "", fontsize="medium")
        axes[-1, j].set_xlabel(f"time [{fit.plant.time}]")
    handles, labels = _handles(axes.ravel())
    across = 4 if len(chosen) > 1 else 2
    figure.legend(handles, labels, loc="outside lower center", ncols=across, fontsize="small", frameon=False)
    return figure


def plot_residuals(fit: Fit) -> Figure:
    """Weighted residuals (measured - predicted): a row for each name, over time, and against a normal distribution."""
    from matplotlib.figure import Figure
    from scipy.stats import norm

    residuals = fit.residuals
    names = list(dict.fromkeys(residuals["name"]))
    figure = Figure(figsize=(9.0, 0.8 + 2.1 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), 2, squeeze=False, width_ratios=[2, 1])
    for (left, right), name in zip(axes, names, strict=True):
        own = residuals[residuals["name"] == name]
        for (r, group), mark in zip(own.groupby("experiment"), cycle(_MARKS), strict=False):
            left.plot(group["time"], -group["residual"], mark, color="black", markersize=4, label=f"experiment {r}")
        for height, style in ((0.0, "-"), (-2.0, "--"), (2.0, "--")):
            left.axhline(height, color="0.6", linestyle=style, linewidth=0.8, zorder=0)
        left.set_ylabel(f"{name}\n[deviations]")
        sorted_ = np.sort(-own["residual"].to_numpy())
        quantiles = norm.ppf((np.arange(len(sorted_)) + 0.5) / len(sorted_))
        right.plot(quantiles, sorted_, "o", color="black", markersize=4)
        right.axline((0.0, 0.0), slope=1.0, color="0.6", linewidth=0.8, zorder=0)
    axes[-1, 0].set_xlabel(f"time [{fit.plant.time}]")
    axes[-1, 1].set_xlabel("quantiles of a normal distribution")
    if 1 < len(fit.experiments) <= _MOST:
        handles, labels = _handles(axes[:, 0])
        figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize="small", frameon=False)
    return figure


def plot_correlation(fit: Fit) -> Figure:
    """Correlations of the numbers that no bound holds."""
    from matplotlib.figure import Figure

    correlation = fit.correlation
    labels, values = list(correlation.index), correlation.to_numpy()
    n = len(labels)
    margin = 0.08 * max(map(len, labels), default=0)
    figure = Figure(figsize=(2.0 + margin + 0.6 * n, 1.0 + margin + 0.6 * n), layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(values, cmap="RdBu_r", vmin=-1.0, vmax=1.0)
    ax.set_xticks(range(n), labels, rotation=40, ha="right")
    ax.set_yticks(range(n), labels)
    if n <= _LABELLED:
        for i in range(n):
            for j in range(n):
                value = values[i, j]
                colour = "white" if abs(value) > 0.6 else "black"
                text = f"{value:.2f}" if np.isfinite(value) else "?"
                ax.text(j, i, text, ha="center", va="center", fontsize="small", color=colour)
    figure.colorbar(image, ax=ax, shrink=0.8, label="correlation [-]")
    return figure


def plot_profile(profile: Profile) -> Figure:
    """A profile: the rise of the objective, its threshold, the ends of the interval, and the parabola beside it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    ax = figure.subplots()
    value = profile.table["value"].to_numpy()
    rise = profile.table["objective"].to_numpy() - profile.objective
    ax.plot(value, rise, "-o", color="black", markersize=4, label="profile")
    lower, upper = profile.linear
    if np.isfinite(lower) and np.isfinite(upper):
        grid = np.linspace(max(lower, value.min()), min(upper, value.max()), 100)
        half = np.where(grid < profile.value, profile.value - lower, upper - profile.value)
        ax.plot(grid, profile.threshold * ((grid - profile.value) / half) ** 2, "--", color="0.4", label="covariance")
    ax.axhline(profile.threshold, color="0.4", linewidth=0.8, linestyle=":", label=f"{100 * profile.level:g} %")
    for end in (profile.lower, profile.upper):
        if np.isfinite(end):
            ax.axvline(end, color="0.7", linewidth=0.8, zorder=0)
    ax.plot([profile.value], [0.0], "s", color="black", markersize=7, fillstyle="none", label="fit")
    ax.set_ylim(-0.05 * profile.threshold, 1.5 * profile.threshold)
    ax.set_xlabel(f"{profile.label} [{profile.unit if profile.unit != '1' else '-'}]")
    ax.set_ylabel("rise of the objective [-]")
    ax.legend(fontsize="small", frameon=False)
    return figure


def _draw_fit(ax: Axes, band: pd.DataFrame, data: pd.DataFrame) -> None:
    if len(band):
        time = band["time"]
        ax.fill_between(time, band["new lower"], band["new upper"], color="0.9", label="new measurement")
        ax.fill_between(time, band["lower"], band["upper"], color="0.7", label="prediction")
        ax.plot(time, band["predicted"], color="black", linewidth=1.4, label="fit")
    if len(data):
        ax.errorbar(
            data["time"], data["measured"], data["deviation"], fmt="o", color="black", markersize=4, elinewidth=0.8,
            capsize=2, fillstyle="none", label="measured",
        )  # fmt: skip
    ax.margins(x=0.02)


def _experiments(fit: Fit, experiments: Sequence[int] | int | None) -> list[int]:
    count = len(fit.experiments)
    if experiments is None:
        return list(range(1, min(count, _MOST) + 1))
    chosen = [experiments] if isinstance(experiments, int) else list(experiments)
    for r in chosen:
        if not is_whole(r, 1, count):
            raise SpecificationError(f"plot: experiments are numbered from 1 to {count}, got {r!r}.")
    return chosen


def _names(fit: Fit, experiments: list[int], names: Sequence[str] | str | None) -> list[str]:
    if names is None:
        shown = fit.residuals["experiment"].isin(experiments)
        return list(dict.fromkeys(fit.residuals["name"][shown]))
    given = [names] if isinstance(names, str) else [str(name) for name in names]
    for name in given:
        if name not in fit.plant.measures:
            raise SpecificationError(f"plot: {unknown('name', name, fit.plant.measures)}")
    return given


def _handles(axes: Sequence[Axes] | Array) -> tuple[list, list]:
    """Legend entries of several panels, each label once."""
    found: dict = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)


def _unit(fit: Fit, name: str) -> str:
    label = fit.plant.measures[name].label
    return "-" if label == "1" else label
