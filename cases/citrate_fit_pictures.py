"""What would an engineer draw for batches left out? Data, the published prediction and that of the re-fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from titer.cases.drawing import plain
from titer.estimation import Experiment
from titer.flowsheets import Flowsheet, simulate

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def draw_left_out(
    name: str,
    label: str,
    plants: tuple[Flowsheet, Flowsheet],
    experiments: list[Experiment],
    values: Mapping[str, Mapping[str, float]],
    source: str,
) -> Figure:
    """A variable in each batch: its data, the published mechanism, and the re-fit that has not seen the batch.

    `source`: whether the data were measured or generated.

    `plants`: the published one, and that of the re-fit; `values`: re-fitted without each batch.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.3 * len(experiments) + 1.0, 3.2), layout="constrained")
    axes = figure.subplots(1, len(experiments), sharey=True)
    for ax, experiment in zip(axes, experiments, strict=True):
        runs = (
            (plants[0], {"color": "0.5", "linestyle": "--", "label": "published values"}),
            (plants[1].with_values(values[experiment.name]), {"color": "black", "label": "re-fitted to the others"}),
        )
        for plant, look in runs:
            run = simulate(plant.with_values(experiment.start), experiment.recipe, inputs=experiment.inputs)
            ax.plot(run[name].index, run[name], **look)
        ax.plot(experiment.frame[name], "o", color="black", markersize=3, label=source)
        ax.set_title(experiment.name, fontsize="medium")
        ax.set_xlabel("time [h]")
        plain(ax)
    axes[0].set_ylabel(f"{label} [g/L]")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def draw_errors(table: pd.DataFrame) -> Figure:
    """Bars of the errors on batches left out, by variable and batch."""
    from matplotlib.figure import Figure

    variables = list(dict.fromkeys(table["variable"]))
    figure = Figure(figsize=(9.0, 3.4), layout="constrained")
    axes = figure.subplots(1, len(variables))
    for ax, variable in zip(axes, variables, strict=True):
        own = table[table["variable"] == variable]
        place = np.arange(len(own))
        ax.barh(place - 0.2, own["published"], 0.38, color="0.75", edgecolor="black", label="published values")
        ax.barh(place + 0.2, own["robust"], 0.38, color="0.3", edgecolor="black", label="re-fitted to the others")
        ax.set_yticks(place, own["batch"])
        ax.invert_yaxis()
        ax.set(xlabel=f"{variable}: error [g/L]")
        plain(ax)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure
