"""What does uncertainty look like? Trajectories of all scenarios over each other, and what became of many plants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from titer.control.stress import Stress
from titer.flowsheets.problems.start import Started
from titer.numerics.errors import SpecificationError, unknown
from titer.numerics.solution import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLES = ("-", "--", "-.", ":")


def plot_scenarios(plan: Solution, names: Sequence[str] | None = None) -> Figure:
    """A panel per name, in it a line per scenario: thin ones, and one thick, whose last panel ends in the middle.

    `names`: trajectories; None: the inputs that were decided, then the states. A dashed line marks where the scenarios
    part. Raises SpecificationError for a plan without scenarios and for an unknown name.
    """
    from matplotlib.figure import Figure

    if not plan.scenarios:
        raise SpecificationError("plot_scenarios: the plan has no scenarios; plan.plot() draws its one trajectory.")
    chosen = list(names) if names is not None else _default(plan)
    for name in chosen:
        if name not in plan.names:
            raise SpecificationError(f"plot_scenarios: {unknown('name', name, plan.names)}")
    ends = np.array([each.at_end(chosen[-1]) for each in plan.scenarios])
    middle = int(np.argsort(ends, kind="stable")[len(ends) // 2])
    parting = _parting(plan)
    figure = Figure(figsize=(8.0, 1.0 + 1.9 * len(chosen)), layout="constrained")
    axes = figure.subplots(len(chosen), 1, sharex=True, squeeze=False)[:, 0]
    for ax, name in zip(axes, chosen, strict=True):
        for r, each in enumerate(plan.scenarios):
            line, thick = each[name], r == middle
            ax.plot(
                line.index, line.to_numpy(), color="black" if thick else "0.55", linewidth=1.6 if thick else 0.7,
                zorder=3 if thick else 2,
            )  # fmt: skip
        if parting is not None:
            ax.axvline(parting, color="0.3", linestyle="--", linewidth=0.8, zorder=1)
        ax.set_ylabel(f"{name}\n[{plan.units.get(name) or '-'}]", fontsize="small")
        ax.margins(x=0.01)
    axes[-1].set_xlabel(f"time [{plan.time}]")
    axes[0].set_title(f"{len(plan.scenarios)} scenarios, the thick one ends in the middle", fontsize="small")
    return figure


def _default(plan: Solution) -> list[str]:
    decided = [str(name) for name in (plan.source.free if plan.source is not None else {}) if name in plan.names]
    return [*decided, *dict.fromkeys(name for phase in plan.phases for name in phase.states)]


def _parting(plan: Solution) -> float | None:
    """When the scenarios part, where they do and the plan knows it."""
    hedge = plan.iterate.assembled.problem.hedge if isinstance(plan.iterate, Started) else None
    if hedge is None or min(hedge.shared) >= 1.0:
        return None
    return float(np.dot(hedge.shared, list(plan.duration.values())))


def plot_stress(tested: Mapping[str, Stress], name: str) -> Figure:
    """How one term is spread over the plants, plan by plan: `plot_stress({"nominal": a, "robust": b}, "overflow")`.

    A line is the share of the plants whose value is at most that on the axis; dashed lines are the limits. The legend
    says in how many cases any limit of the plan is missed. Runs that failed have no value, and are below no line.
    Raises SpecificationError for a name that a plan was not tested for.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 3.6), layout="constrained")
    ax = figure.subplots()
    for (key, each), style in zip(tested.items(), cycle(_STYLES), strict=False):
        if name not in each.values or name == "failed":
            raise SpecificationError(f"plot_stress: {unknown('term', name, [c for c in each.values if c != 'failed'])}")
        values = np.sort(each.values[name].dropna().to_numpy())
        low, high = each.interval()
        said = f"{key}: {100 * each.rate:.1f} % miss a limit ({100 * low:.1f} to {100 * high:.1f} %)"
        share = np.arange(1, len(values) + 1) / len(each.values)
        ax.step(values, share, where="post", color="black", linestyle=style, linewidth=1.4, label=said)
    lower, upper, unit = next(iter(tested.values())).limits.get(name, (-np.inf, np.inf, ""))
    for limit in (lower, upper):
        if np.isfinite(limit):
            ax.axvline(limit, color="0.5", linestyle=(0, (6, 2)), linewidth=1.0)
    ax.set_ylim(0.0, 1.02)
    ax.set_xlabel(f"{name} [{unit}]" if unit else name)
    ax.set_ylabel("share of the plants")
    ax.legend(fontsize="small", frameon=False)
    ax.grid(alpha=0.3)
    return figure
