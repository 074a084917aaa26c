"""What would an engineer draw for the batch reactor? The optimum, the policies, stopping late, yield over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from titer.cases.batch_reactor_answers import isothermal_maximum
from titer.cases.drawing import limit, panels, plain, trace
from titer.numerics import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from titer.cases.batch_reactor import Study
    from titer.cases.batch_reactor_sensitivities import Dependence

MINUTE = 1.0 / 60.0
GREY = "0.45"


def draw_optimum(study: Study) -> Figure:
    """Temperatures with their limits, then concentrations with theirs, from the replay: it has more points."""
    figure, (above, below) = panels(2, heights=(1.1, 1.0))
    run, economics, end = study.again, study.economics, study.best.minutes
    trace(above, run["reactor.T_j"], MINUTE, color=GREY, linewidth=1.2, label="jacket $T_j$, decided")
    trace(above, run["reactor.T"], MINUTE, color="black", linewidth=1.8, label="reactor $T$")
    limit(above, economics.temperature, f"reactor limit {economics.temperature:g} K")
    top = max(economics.temperature, run["reactor.T_j"].max()) + 4.0
    title = f"Best batch: stopped at {end:.1f} min, margin {study.best.margin:.0f} EUR"
    above.set(ylabel="temperature [K]", ylim=(None, top), title=title)
    above.legend(loc="lower right")
    for name, style, width, text in (
        ("c_A", "--", 1.4, "A, reactant"),
        ("c_B", "-", 2.0, "B, product"),
        ("c_C", "-.", 1.4, "C, impurity"),
    ):
        trace(below, run[f"reactor.{name}"], MINUTE, color="black", linestyle=style, linewidth=width, label=text)
    limit(below, economics.impurity, f"limit of C at the end {economics.impurity:g} mol/L", at=0.3)
    below.set(ylabel="concentration [mol/L]", xlabel="time [min]", xlim=(0.0, end), ylim=(0.0, 1.02))
    below.legend(loc="upper center")
    return figure


def draw_policies(study: Study) -> Figure:
    """Bars of what each policy ends with; the margin as what is lost against the best profile."""
    from matplotlib.figure import Figure

    late = {f"profile, {minutes} min late": batch for minutes, batch in study.late.items()}
    batches = {**study.policies, **late}
    columns = (
        ("margin lost\n[EUR/batch]", [study.lost(batch) for batch in batches.values()], "{:.0f}"),
        ("stop time\n[min]", [batch.minutes for batch in batches.values()], "{:.1f}"),
        ("product B\n[mol/L]", [batch.c_B for batch in batches.values()], "{:.4f}"),
        ("impurity C\n[mol/L]", [batch.c_C for batch in batches.values()], "{:.4f}"),
    )
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    figure.suptitle(f"Policies against the best profile ({study.best.margin:.0f} EUR/batch)")
    axes = figure.subplots(1, len(columns), sharey=True)
    places = np.arange(len(batches))[::-1]
    for ax, (label, values, form) in zip(axes, columns, strict=True):
        plain(ax)
        bars = ax.barh(places, values, height=0.62, color="0.8", edgecolor="black", linewidth=0.8)
        bars[0].set_facecolor("0.35")
        for place, value in zip(places, values, strict=True):
            spot = (max(value, 0.0), place)
            ax.annotate(form.format(value), spot, (3, 0), textcoords="offset points", va="center", fontsize=9)
        ax.set(xlabel=label, xlim=(min(0.0, *values), 1.45 * max(values)))
        ax.grid(visible=False)
    axes[-1].axvline(study.economics.impurity, color="black", linewidth=1.0, linestyle=":")
    axes[-1].set_title("dotted: limit", fontsize=9)
    axes[0].set_yticks(places, list(batches))
    return figure


def draw_overrun(study: Study, left: Solution, cooled: Solution) -> Figure:
    """Product, impurity and margin of the best batch when it is stopped late."""
    figure, axes = panels(3, height=1.9)
    best, economics = study.best, study.economics
    for run, style, text in ((left, "-", "jacket left as it was"), (cooled, "--", "jacket set to its coldest")):
        frame = run.frame()
        seconds = frame.index.to_numpy()
        late = np.concatenate([[0.0], seconds[seconds > best.minutes / MINUTE] * MINUTE - best.minutes])
        at = (best.minutes + late) / MINUTE
        c_B, c_C = (np.interp(at, seconds, frame[name]) for name in ("reactor.c_B", "reactor.c_C"))
        change = (economics.margin(c_B, c_C, at / 3600.0) - best.margin) / 1000.0
        for ax, values in zip(axes, (c_B, c_C, change), strict=True):
            ax.plot(late, values, color="black", linestyle=style, linewidth=1.6, label=text)
    known = {0: best, **study.foreseen}
    rows = [[batch.c_B, batch.c_C, (batch.margin - best.margin) / 1000.0] for batch in known.values()]
    for ax, values in zip(axes, zip(*rows, strict=True), strict=True):
        ax.plot(list(known), values, "o", color="black", markerfacecolor="white", label="foreseen and planned for")
    limit(axes[1], economics.impurity, f"limit {economics.impurity:g} mol/L, above it off specification", below=True)
    low, high = axes[1].get_ylim()
    axes[1].set_ylim(low - 0.15 * (high - low), high)
    labels = ("product B\n[mol/L]", "impurity C\n[mol/L]", "change of margin\n[1000 EUR/batch]")
    for ax, label in zip(axes, labels, strict=True):
        ax.set_ylabel(label)
    axes[0].set_title(f"The best batch, to be stopped at {best.minutes:.1f} min, is stopped late")
    axes[-1].set(xlabel="delay of the stop [min]", xlim=(-0.5, None))
    figure.align_ylabels(axes)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return figure


def draw_yields(study: Study) -> Figure:
    """The highest yield by batch time, and how cold the jacket then is: no best time without a price for it."""
    figure, (above, below) = panels(2, heights=(1.0, 0.8))
    plans = study.longest
    hours = np.array(list(plans))
    maxima = np.array([isothermal_maximum(temperature) for temperature in np.arange(304.0, 350.0, 0.25)])
    shown = (maxima[:, 0] >= 3600.0 * hours.min()) & (maxima[:, 0] <= 3600.0 * hours.max())
    above.plot(maxima[shown, 0] / 3600.0, maxima[shown, 1], color=GREY, linestyle="--", label="isothermal, by formula")
    highest = [plan.objective for plan in plans.values()]
    above.plot(hours, highest, "ko-", markerfacecolor="white", label="best jacket profile")
    title = "Time free of charge: the longer and colder the batch, the higher its yield"
    above.set(ylabel="highest yield of B [mol/L]", title=title)
    above.legend(loc="lower right")
    pieces = [plan.phases[0].shapes["reactor.T_j"][1] for plan in plans.values()]
    spread = "from the coldest to the hottest piece"
    below.vlines(hours, [p.min() for p in pieces], [p.max() for p in pieces], color=GREY, linewidth=1.4, label=spread)
    below.plot(hours, [p.mean() for p in pieces], "ko", markerfacecolor="white", label="mean")
    below.set(ylabel="jacket temperature [K]", xlabel="batch time [h]", xscale="log")
    below.set_xticks(hours, [f"{h}" for h in hours])
    below.minorticks_off()
    below.legend()
    return figure


def draw_sensitivity(found: Dependence) -> Figure:
    """Bars of what one percent more of each parameter does to the highest margin; circles: by solving again."""
    from matplotlib.figure import Figure

    changes = found.table["objective at +1 %"]
    figure = Figure(figsize=(7.5, 3.8), layout="constrained")
    ax = figure.subplots()
    plain(ax)
    places = np.arange(len(changes))[::-1]
    bars = ax.barh(places, changes, height=0.6, color="0.8", edgecolor="black", linewidth=0.8)
    bars[0].set_label("to first order, from the optimality conditions")
    again = [found.one_percent[name] for name in changes.index]
    ax.plot(again, places, "o", color="black", markerfacecolor="white", label="by solving again with 1 % more")
    for place, value, other in zip(places, changes, again, strict=True):
        far = max(value, other) if value > 0.0 else min(value, other)
        look: dict[str, Any] = {"ha": "left", "xytext": (7, 0)} if value > 0.0 else {"ha": "right", "xytext": (-7, 0)}
        text = f"{value:+.0f}" if abs(value) >= 10.0 else f"{value:+.2g}"
        ax.annotate(text, (far, place), textcoords="offset points", va="center", fontsize=9, **look)
    ax.axvline(0.0, color="black", linewidth=0.8)
    ax.set_xscale("symlog", linthresh=1.0, linscale=0.5)
    ax.set_xlim(-1e5, 1e5)
    ax.set_yticks(places, [name.partition(".")[2] for name in changes.index])
    ax.set(xlabel="change of the highest margin [EUR/batch], linear within 1 EUR, logarithmic beyond")
    ax.set_title("What one percent more of each parameter does")
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    return figure
