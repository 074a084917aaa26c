"""How are controllers compared in pictures? Distributions over plants, what was learnt, and how long decisions took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.cases.drawing import WIDTH, plain
from titer.control import Log, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS: Sequence[dict[str, Any]] = (  # of controllers, in their order: what knows nothing first
    {"color": "0.5", "linestyle": "--", "linewidth": 1.4},
    {"color": "0.45", "linestyle": ":", "linewidth": 1.8},
    {"color": "black", "linestyle": "-", "linewidth": 1.8},
    {"color": "0.15", "linestyle": "-.", "linewidth": 1.6},
)
BEST: dict[str, Any] = {"color": "0.7", "linestyle": "-", "linewidth": 3.2, "zorder": 1, "label": "perfect knowledge"}


def looks(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """How the lines of controllers look; of learning ones solid and dash-dotted."""
    learning = [name for name in names if "NMPC" in name]
    plainer = [name for name in names if name not in learning]
    return dict(zip(plainer, LOOKS[:2], strict=False)) | dict(zip(learning, LOOKS[2:], strict=False))


def draw_distributions(drawn: Mapping[str, Mapping[str, np.ndarray]], title: str, zero: Sequence[str] = ()) -> Figure:
    """A panel for each quantity, {label: {controller: its value of each loop}}: the share of loops up to a value.

    `zero`: labels of what should be at most 0, which is marked.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 0.4 + 2.0 * len(drawn)), layout="constrained")
    axes = figure.subplots(len(drawn), 1, squeeze=False)[:, 0]
    styles = looks(list(dict.fromkeys(name for found in drawn.values() for name in found)))
    for ax, (label, found) in zip(axes, drawn.items(), strict=True):
        plain(ax)
        for name, values in found.items():
            ordered, style = np.sort(values), styles[name]
            shares = np.arange(1, len(ordered) + 1) / len(ordered)
            ax.step(np.append(ordered[0], ordered), np.append(0.0, shares), where="post", label=name, **style)
        if label in zero:
            ax.axvline(0.0, color="black", linewidth=1.0, linestyle=":")
        ax.set(xlabel=label, ylabel="share of plants", ylim=(0.0, 1.03))
    axes[0].set_title(title)
    axes[0].legend(fontsize=8, loc="lower right")
    return figure


def believed(ax: Axes, log: Log, names: Mapping[str, str], sizes: Mapping[str, float], scale: float) -> None:
    """What was believed of parameters {name: in words}, by what the model says, with bands of two deviations, and what
    is real. Thin lines: values arrive from the laboratory. `scale`: of times."""
    times = log.estimates.index.to_numpy() * scale
    for (name, words), style, grey in zip(names.items(), ("-", "--", "-."), ("0.86", "0.92", "0.95"), strict=False):
        size = abs(sizes[name])
        sign = np.sign(sizes[name])
        mean = sign * log.estimates[name].to_numpy(dtype=float) / size
        spread = 2.0 * np.abs(log.deviations[name].to_numpy(dtype=float)) / size
        ax.plot(times, mean, color="black", linestyle=style, linewidth=1.4, label=f"{words}, believed")
        ax.fill_between(times, mean - spread, mean + spread, color=grey, linewidth=0.0, zorder=0)
        real = sign * log.run.values[name] / size
        ax.plot(times[[0, -1]], [real, real], color="0.45", linestyle=style, linewidth=1.0)
        ax.annotate(
            f"{words}, real", (times[-1], real), (0, 3), textcoords="offset points", ha="right", fontsize=8,
        )  # fmt: skip
    for t in sorted(set(log.laboratory["arrived"].dropna())):
        ax.axvline(t * scale, color="0.75", linewidth=0.8, linestyle=":")
    ax.legend(fontsize=8, loc="upper left")


def planned_ends(ax: Axes, log: Log, scale: float) -> None:
    """When the controller meant to end the batch, sample by sample, and when it did."""
    plans = [log.plan(k) for k in range(len(log.plans))]
    planned = [np.nan if plan is None else float(plan.index[-1]) * scale for plan in plans]
    end = float(log.truth.index[-1]) * scale
    ax.step([*(log.steps.index.to_numpy() * scale), end], [*planned, end], where="post", color="black", label="planned")
    ax.plot([end], [end], "ko", label="ended")
    ax.legend(fontsize=8)


def draw_times(study: Study, title: str = "") -> Figure:
    """How long decisions take: median and longest of each loop, by controller that solves."""
    from matplotlib.figure import Figure

    table = study.table
    names = [name for name in study.controllers if "NMPC" in name]
    figure = Figure(figsize=(WIDTH, 1.0 + 0.5 * len(names)), layout="constrained")
    ax = figure.subplots()
    plain(ax)
    for place, name in enumerate(names):
        own = table[table["controller"] == name]
        middle, longest = (1e3 * own[f"seconds {what}"].to_numpy() for what in ("median", "max"))
        ax.plot(middle, np.full(len(middle), place), "|", color="black", markersize=12)
        ax.plot(longest, np.full(len(longest), place), "o", color="0.4", fillstyle="none", markersize=5)
    ax.set_yticks(range(len(names)), names)
    ax.set(xscale="log", ylim=(-0.6, len(names) - 0.4), title=title,
           xlabel="computing a decision [ms]: median (bars) and longest (circles) of each loop")  # fmt: skip
    return figure
