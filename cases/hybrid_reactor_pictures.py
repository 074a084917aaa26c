"""What would an engineer draw for a hybrid reactor? Plans on the true plant, and the factor where it was learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.cases.drawing import WIDTH, panels, plain, trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MINUTES = 1.0 / 60.0
LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "0.6", "linewidth": 2.6},
    {"color": "black", "linestyle": ":"},
    {"color": "black"},
    {"color": "0.35", "linestyle": "-."},
    {"color": "0.35", "linestyle": "--"},
)
POINTS = 60


def draw_plans(plans: Sequence[Any]) -> Figure:
    """Jacket temperatures as planned; B and C as they come on the true plant."""
    figure, (warm, product, waste) = panels(3, heights=[1.0, 1.0, 0.8])
    for plan, look in zip(plans, LOOKS, strict=True):
        trace(warm, plan.run["reactor.T_j"], MINUTES, label=f"{plan.name}: {plan.reached:.3f}", **look)
        trace(product, plan.run["reactor.c_B"], MINUTES, **look)
        trace(waste, plan.run["reactor.c_C"], MINUTES, **look)
    warm.set(ylabel="jacket [K]", title="Plans on the true plant, with what they reach [mol/L/h]")
    warm.legend(fontsize=8, frameon=False)
    product.set(ylabel="B [mol/L]")
    waste.set(ylabel="C [mol/L]", xlabel="time [min]")
    figure.align_ylabels([warm, product, waste])
    return figure


def draw_factor(learned: Any, network: Any, factor: Callable[[Any, Any], Any]) -> Figure:
    """The factor over temperature in the middle of the data: true, predicted, and as it acts; the domain shaded."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    titles = ("Gaussian process, warm batches", "network, cold batches")
    for ax, one, title in zip(figure.subplots(1, 2, sharey=True), (learned, network), titles, strict=True):
        plain(ax)
        frame = one.discrepancy.frame
        _, c_A, c_B = (float(frame[name].median()) for name in one.discrepancy.features)
        T = np.linspace(310.0, 365.0, POINTS)
        term = one.terms[0]
        X = np.column_stack([T, np.full(POINTS, c_A), np.full(POINTS, c_B)])
        acting = term.at(X)
        inside = T[acting.distance <= 1.0]
        ax.axvspan(inside.min(), inside.max(), facecolor="0.92", edgecolor="0.5", linestyle=":", label="domain")
        ax.plot(T, factor(c_B, T), color="0.6", linewidth=2.6, label="true")
        ax.plot(T, np.exp(term.form.bounded(term.model.predict(X))), "k--", label="predicted")
        ax.plot(T, np.exp(acting.value), "k", label="acting, as it fades")
        ax.set(xlabel="temperature [K]", title=f"{title}\nat B = {c_B:.2f} mol/L")
        ax.set_ylim(0.0, 2.5)
    figure.axes[0].set_ylabel("factor on the rate of A -> B")
    figure.axes[0].legend(fontsize=8, frameon=False)
    return figure
