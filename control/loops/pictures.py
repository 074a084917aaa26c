"""How does a closed loop look? Trajectories with limits and set points, the fan of predictions, times of computing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.control.loops.summary import milliseconds
from titer.numerics.errors import SpecificationError, unknown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from titer.control.loops.log import Log


def plot_log(
    log: Log,
    names: Sequence[str] | None,
    setpoints: Mapping[str, Any],
    limits: Mapping[str, tuple[float | None, float | None]],
) -> Figure:
    """A panel for each name: truth as a line, measurements as dots, estimates dashed; controls in steps between their
    limits. Raises SpecificationError for an unknown name."""
    chosen = [*log.measured.columns, *log.commanded.columns] if names is None else [str(name) for name in names]
    for name in (*chosen, *setpoints, *limits):
        if name not in log.run.names:
            raise SpecificationError(f"plot: {unknown('name', name, log.run.names)}")
    for name, pair in limits.items():
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise SpecificationError(f"plot: limits: {name} needs (lower or None, upper or None), got {pair!r}.")
    figure, axes = _panels(len(chosen))
    for ax, name in zip(axes, chosen, strict=True):
        _drawn(ax, log, name)
        if name in setpoints:
            _setpoint(ax, log, setpoints[name])
        elif name in log.wanted.columns:
            times = [*log.wanted.index, log.truth.index[-1]]
            values = [*log.wanted[name], log.wanted[name].iloc[-1]]
            ax.step(times, values, where="post", color="black", linewidth=1.0, linestyle="-.", label="set point")
        for bound in limits.get(name, ()):
            if bound is not None and np.isfinite(bound):
                ax.axhline(bound, color="black", linewidth=1.0, linestyle=":")
        ax.set_ylabel(f"{name}\n[{log.run.units.get(name, '') or '-'}]")
        ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    axes[-1].set_xlabel(f"time [{log.run.time}]")
    return figure


def plot_plans(log: Log, name: str, every: int) -> Figure:
    """Predictions of a variable from every so many steps on, grey, over what came true, black.

    Raises SpecificationError where no plan knows the name.
    """
    chosen = [log.plan(k) for k in range(0, len(log.plans), max(1, every))]
    plans = [plan for plan in chosen if plan is not None]
    known = [plan for plan in plans if name in plan.columns]
    if not known:
        names = {column for plan in plans for column in plan.columns}
        raise SpecificationError(f"plot_plans: {unknown('planned name', name, names)}")
    figure, (ax,) = _panels(1, height=3.2)
    for k, plan in enumerate(known):
        ax.plot(plan.index, plan[name], color="0.6", linewidth=0.8, label=None if k else "predicted")
        begins = None if k else "where it was planned"
        ax.plot(plan.index[0], plan[name].iloc[0], ".", color="0.4", markersize=4, label=begins)
    if name in log.run.names:
        series = log.run[name]
        ax.plot(series.index, series.to_numpy(), color="black", linewidth=1.8, label="truth")
    ax.set(xlabel=f"time [{log.run.time}]", ylabel=f"{name} [{log.run.units.get(name, '') or '-'}]")
    ax.legend(fontsize="small")
    return figure


def plot_times(log: Log) -> Figure:
    """A histogram of seconds of computing, with median, 95 % and the longest."""
    seconds = log.steps["seconds"].to_numpy(dtype=float)
    times = 1e3 * seconds
    figure, (ax,) = _panels(1, height=2.8)
    ax.hist(times, bins=min(40, max(5, len(times) // 4)), color="0.8", edgecolor="black", linewidth=0.6)
    for value, style, text in (
        (np.median(seconds), "-", "median"),
        (np.quantile(seconds, 0.95), "--", "95 %"),
        (seconds.max(), ":", "longest"),
    ):
        ax.axvline(1e3 * value, color="black", linestyle=style, linewidth=1.2, label=f"{text} {milliseconds(value)}")
    ax.set(xlabel="computing a step [ms]", ylabel="steps")
    ax.legend(fontsize="small")
    return figure


def _panels(count: int, height: float = 1.9) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 0.8 + height * count), layout="constrained")
    axes = list(figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0])
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.margins(x=0.01)
    return figure, axes


def _drawn(ax: Axes, log: Log, name: str) -> None:
    series = log.run[name]
    controls = name in log.commanded.columns
    ax.plot(series.index, series.to_numpy(), color="black", linewidth=1.6, label="applied" if controls else "truth")
    if controls:
        ax.step(
            log.commanded.index, log.commanded[name], where="post", color="0.5", linewidth=0.9, linestyle="--",
            label="commanded",
        )  # fmt: skip
        for bound in log.limits.get(name, ()):
            if np.isfinite(bound):
                ax.axhline(bound, color="black", linewidth=1.0, linestyle=":")
    if name in log.measured.columns:
        ax.plot(log.measured.index, log.measured[name], ".", color="0.45", markersize=4, label="measured")
    late = log.laboratory[log.laboratory["name"] == name]
    if len(late):
        ax.plot(late["taken"], late["value"], "s", color="0.3", markersize=4, fillstyle="none", label="laboratory")
    if name in log.estimates.columns:
        mean = log.estimates[name].to_numpy(dtype=float)
        ax.plot(log.estimates.index, mean, "--", color="0.3", linewidth=1.2, label="estimated")
        if name in log.deviations.columns:
            spread = 2.0 * log.deviations[name].to_numpy(dtype=float)
            ax.fill_between(log.estimates.index, mean - spread, mean + spread, color="0.88", linewidth=0.0, zorder=0)
    for phase in log.run.phases[:-1]:
        ax.axvline(phase.trajectory.time[-1], color="0.75", linewidth=0.8, zorder=0)


def _setpoint(ax: Axes, log: Log, wanted: Any) -> None:
    times = np.linspace(0.0, float(log.truth.index[-1]), 801)
    values = [float(wanted(t)) for t in times] if callable(wanted) else np.full(len(times), float(wanted))
    ax.plot(times, values, color="black", linewidth=1.0, linestyle="-.", label="set point")
