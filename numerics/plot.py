"""How does a solution look? One panel per unit of measure, phases marked, lines told apart without colour."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from titer.numerics.errors import SpecificationError, unknown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from titer.numerics.solution import Solution

_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
_MOST_LINES = 8


def plot_solution(solution: Solution, names: Sequence[str] | None = None) -> Figure:
    """Draw trajectories over time. Raises SpecificationError for an unknown name."""
    from matplotlib.figure import Figure

    chosen = _chosen(solution, names)
    panels: dict[str, list[str]] = {}
    for name in chosen:
        panels.setdefault(solution.units.get(name, ""), []).append(name)
    figure = Figure(figsize=(7.5, 1.2 + 2.0 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    inputs = {name for phase in solution.phases for name in phase.inputs}
    ends = np.cumsum([phase.trajectory.duration for phase in solution.phases])[:-1]
    for ax, (unit, members) in zip(axes, panels.items(), strict=True):
        for name, style in zip(members, cycle(_STYLES), strict=False):
            series = solution[name]
            width = 1.0 if name in inputs else 1.6
            ax.plot(series.index, series.to_numpy(), linestyle=style, linewidth=width, label=name)
        for end in ends:
            ax.axvline(end, color="0.75", linewidth=0.8, zorder=0)
        ax.set_ylabel(f"[{unit}]" if unit else "[-]")
        ax.legend(fontsize="small", loc="best", framealpha=0.7)
        ax.margins(x=0.01)
    axes[-1].set_xlabel(f"time [{solution.time}]")
    return figure


def _chosen(solution: Solution, names: Sequence[str] | None) -> list[str]:
    if names is not None:
        flat = [str(e) for name in names for e in getattr(name, "elements", (name,))]
        for name in flat:
            if name not in solution.names:
                raise SpecificationError(f"plot: {unknown('name', name, solution.names)}")
        return flat
    kinds = [(*phase.states, *phase.algebraics, *phase.inputs, *phase.held) for phase in solution.phases]
    every = list(dict.fromkeys(name for kind in kinds for name in kind))
    counts: dict[str, int] = {}
    kept = []
    for name in every:  # of a large array its first few elements speak for the rest
        base = name.split("[")[0]
        counts[base] = counts.get(base, 0) + 1
        if counts[base] <= _MOST_LINES:
            kept.append(name)
    return kept
