"""What does a design say? Its batches in words and as a picture, and the errors to be expected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.estimation.designs.proposal import Proposal, groups_of
from titer.flowsheets.flowsheet import Flowsheet
from titer.flowsheets.simulation import simulate
from titer.numerics.solution import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from titer.estimation.designs.design import Design

_MOST = 6  # inputs and names that are drawn


def simulated(plant: Flowsheet, proposal: Proposal) -> Solution:
    """A decided batch at the plant's values."""
    return simulate(plant.with_values(proposal.start), proposal.recipe, proposal.inputs)


def described(design: Design) -> str:
    """A design in words."""
    count = len(design.proposals)
    lines = [
        f"design of {count} batch{'es' if count > 1 else ''}, {design.criterion.value}",
        f"  {_shown(design.without)} known before, {_shown(design.before)} with the batches as proposed, "
        f"{_shown(design.after)} as decided",
    ]
    for b, proposal in enumerate(design.proposals):
        lines.append(f"batch {b + 1}{f' ({proposal.name})' if proposal.name else ''}")
        lines += [f"  {line}" for line in _batch(design, proposal)]
    lines.append("standard errors to be expected, in %")
    lines += ["  " + line for line in design.table.to_string(float_format=lambda x: f"{x:.3g}").splitlines()]
    return "\n".join([*lines, *([design.message] if design.message else [])])


def _shown(value: float) -> str:
    return f"{value:.4g}" if np.isfinite(value) else "undetermined"


def _batch(design: Design, proposal: Proposal) -> Iterator[str]:
    unit = design.plant.time
    for name, value in proposal.start.items():
        yield f"start {name} = {_number(value)} {design.plant.measures[str(name)].label}"
    for phase in proposal.recipe:
        length = "until a condition" if phase.until is not None else f"{_number(phase.duration)} {unit}"
        yield f"phase {phase.name}: {length}"
        for name, value in phase.inputs.items():
            yield f"  {name}: {_trajectory(value)} {design.plant.measures[str(name)].label}"
        for name, number in phase.fixed.items():
            yield f"  {name} = {_number(number)} {design.plant.measures[str(name)].label}"
    for group in groups_of(proposal):
        listed = ", ".join(f"{t:.4g}" for t in group.given)
        yield f"samples of {', '.join(group.names)} at t = {listed} {unit}"


def _trajectory(value: Any) -> str:
    values = getattr(value, "values", None)
    if values is None or callable(values):
        return _number(value)
    return ", ".join(_number(v) for v in list(values))


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float | np.number) else str(value)


def plot_design(design: Design) -> Figure:
    """Inputs as steps, what is measured as lines with its samples: a column for each batch."""
    from matplotlib.figure import Figure

    runs = design.simulations
    names = list(dict.fromkeys(str(n) for p in design.proposals for g in groups_of(p) for n in g.names))[:_MOST]
    inputs = list(dict.fromkeys(n for run in runs for phase in run.phases for n in phase.inputs))[:_MOST]
    rows = [*names, *inputs]
    figure = Figure(figsize=(1.0 + 3.4 * len(runs), 0.8 + 1.9 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(runs), sharex="col", sharey="row", squeeze=False)
    for j, (run, proposal) in enumerate(zip(runs, design.proposals, strict=True)):
        times = {name: group.given for group in groups_of(proposal) for name in group.names}
        for ax, name in zip(axes[:, j], rows, strict=True):
            if name not in run.names:
                continue
            series = run[name]
            ax.plot(series.index, series.to_numpy(), color="black", linewidth=1.2)
            if name in times:
                at = np.interp(times[name], series.index, series.to_numpy())
                ax.plot(times[name], at, "o", color="black", markersize=4, fillstyle="none")
        axes[0, j].set_title(proposal.name or f"batch {j + 1}", fontsize="medium")
        axes[-1, j].set_xlabel(f"time [{design.plant.time}]")
    for ax, name in zip(axes[:, 0], rows, strict=True):
        ax.set_ylabel(f"{name}\n[{design.plant.measures[name].label}]")
    return figure
