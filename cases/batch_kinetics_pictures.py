"""What would an engineer draw for fitted kinetics? Rate constants over temperature, and how sure the optimum is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from titer.cases.drawing import WIDTH, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from titer.cases.batch_kinetics import Kinetics, Optimum


def draw_arrhenius(kinetics: Kinetics, truth: Any) -> Figure:
    """Rate constants over temperature with their 95 % bands; below, how well they are known."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 6.0), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.3, 1.0))
    T = np.linspace(310.0, 370.0, 61)
    for i, style in ((1, "-"), (2, "--")):
        k, error = np.array([kinetics.constant(i, t) for t in T]).T
        true = truth[2 * i - 2] * np.exp(-truth[2 * i - 1] / (8.314 * T))
        above.semilogy(T, k, style, color="black", label=f"$k_{i}$, fitted")
        above.semilogy(T[::6], true[::6], "o" if i == 1 else "s", color="0.45", markersize=4, label=f"$k_{i}$, true")
        below.plot(T, 100.0 * error / k, style, color="black", label=f"$k_{i}$: standard error")
        below.plot(T, 100.0 * (k / true - 1.0), style, color="0.6", label=f"$k_{i}$: fitted less true")
    above.set(ylabel="rate constant [1/s]", title="Rate constants from five batches")
    below.set(ylabel="of the rate constant [%]", xlabel="temperature [K]")
    for ax in (above, below):
        plain(ax)
        ax.legend(ncols=2, fontsize=9)
    return figure


def draw_optimum(optimum: Optimum, allowed: float) -> Figure:
    """Best margins over stop times at samples of the parameters, and the impurity that two plans end with."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(optimum.stops, optimum.margins, "o", color="0.45", markersize=4, label="at samples of the fit")
    for plan, mark, text in ((optimum.plan, "s", "by the fit"), (optimum.true, "*", "true")):
        left.plot(plan.duration["react"] / 60.0, plan.objective, mark, color="black", markersize=9, label=text)
    left.set(xlabel="best stop time [min]", ylabel="best margin [EUR/batch]", title="The optimum and how sure it is")
    left.legend(fontsize=9)
    bins = np.histogram_bin_edges(np.concatenate([optimum.impurities, optimum.careful_impurities]), 24)
    right.hist(optimum.impurities, bins, histtype="step", color="black", label="best plan")
    right.hist(optimum.careful_impurities, bins, histtype="step", color="black", linestyle="--", label="careful plan")
    right.axvline(allowed, color="black", linewidth=1.0, linestyle=":", label="limit")
    right.set(xlabel="C at the end [mol/L]", ylabel="samples", title="What the plans would end with")
    right.margins(y=0.35)
    right.legend(fontsize=9, loc="upper right")
    for ax in (left, right):
        plain(ax)
    return figure
