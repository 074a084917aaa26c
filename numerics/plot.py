"""How does a solution look? One panel per unit of measure, phases marked, lines told apart without colour."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from titer.numerics.errors import SpecificationError, unknown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from titer.numerics.solution import Solution

_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
_MOST_LINES = 8


def plot_solution(solution: Solution, names: Sequence[str] | str | None = None) -> Figure:
    """Draw trajectories over time. Raises SpecificationError for an unknown name, or where there is nothing to draw."""
    from matplotlib.figure import Figure

    panels: dict[str, list[str]] = {}
    for name in _chosen(solution, names):
        panels.setdefault(solution.units.get(name, ""), []).append(name)
    if not panels:
        raise SpecificationError(f"plot: there is nothing to draw. {solution.message}".rstrip())
    figure = Figure(figsize=(8.5, 1.2 + 2.0 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (unit, members) in zip(axes, panels.items(), strict=True):
        _draw(ax, solution, members)
        ax.set_ylabel(f"[{unit or '-'}]")
    axes[-1].set_xlabel(f"time [{solution.time}]")
    if len(solution.phases) > 1:
        _name_phases(axes[0], solution)
    return figure


def _draw(ax: Axes, solution: Solution, names: Sequence[str]) -> None:
    """One panel: inputs thin, ends of phases marked, the legend beside it."""
    inputs = {name for phase in solution.phases for name in phase.inputs}
    for name, style in zip(names, cycle(_STYLES), strict=False):
        series = solution[name]
        width = 1.0 if name in inputs else 1.6
        ax.plot(series.index, series.to_numpy(), linestyle=style, linewidth=width, label=name)
    for phase in solution.phases[:-1]:
        ax.axvline(phase.trajectory.time[-1], color="0.75", linewidth=0.8, zorder=0)
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    ax.margins(x=0.01)


def _name_phases(ax: Axes, solution: Solution) -> None:
    """Names of the phases above the first panel, slanted where they would run into each other."""
    middles = [float(phase.trajectory.time[[0, -1]].mean()) for phase in solution.phases]
    whole = solution.phases[-1].trajectory.time[-1] - solution.phases[0].trajectory.time[0]
    tight = any(
        phase.trajectory.duration < 0.016 * len(phase.name) * whole for phase in solution.phases
    )  # a letter takes about 1.6 % of the width
    top = ax.secondary_xaxis("top")
    top.set_xticks(middles, [phase.name for phase in solution.phases], fontsize="small", rotation=30 if tight else 0)
    top.tick_params(length=0)
    if tight:
        for label in top.get_xticklabels():
            label.set_horizontalalignment("left")


def _chosen(solution: Solution, names: Sequence[str] | str | None) -> list[str]:
    if names is not None:
        given = [names] if isinstance(names, str) else names
        flat = [str(each) for name in given for each in getattr(name, "elements", (name,))]
        for name in flat:
            if name not in solution.names:
                raise SpecificationError(f"plot: {unknown('name', name, solution.names)}")
        return flat
    kinds = [(*phase.states, *phase.algebraics, *phase.inputs, *phase.held) for phase in solution.phases]
    counts: dict[str, int] = {}
    kept = []
    for name in dict.fromkeys(name for kind in kinds for name in kind):
        base = name.split("[")[0]  # of a large array its first few elements speak for the rest
        counts[base] = counts.get(base, 0) + 1
        if counts[base] <= _MOST_LINES:
            kept.append(name)
    return kept
