"""Does a fit give what was published? One experiment, its published answer, and the claims that compare them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from titer.cases.case import Claim, Outcome, Progress
from titer.cases.drawing import panels
from titer.estimation import Experiment, Fit, estimate, predicted
from titer.flowsheets import Flowsheet, Free, Phase, Recipe, Unit
from titer.numerics import Grid, Ipopt

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Array = np.ndarray
GRID = Grid(40, degree=4)
EXACT = Ipopt(tolerance=1e-11)  # a weakly determined parameter moves in its sixth digit at 1e-8
SAME = 1e-6  # standard errors by which parameters from other guesses may differ
CLOSE = 1e-3  # standard deviations of the residuals by which an integrator's predictions may differ
AWAY = 2.0  # other guesses: by this factor up and down


@dataclass(frozen=True, eq=False)
class PublishedFit:
    """A fit somebody published, of unweighted least squares.

    `unit`: the model; `frame`: measurements by name, over time; `start`: known initial states; `sse`, `values`: the
    published sum of squares and parameters as they are printed, whose last digit says how closely they are claimed;
    `free`: the guesses; `source`: of model and answer; `reading`: what an engineer takes home.
    """

    unit: Unit
    frame: pd.DataFrame
    sse: str
    values: Mapping[str, str]
    free: Mapping[str, Free]
    source: str
    reading: str
    start: Mapping[str, float]

    @property
    def plant(self) -> Flowsheet:
        return Flowsheet(self.unit, time=self.unit.time)

    def experiment(self, deviation: float) -> Experiment:
        """The measurements, all with one standard deviation."""
        noise = dict.fromkeys(self.frame.columns, deviation)
        duration = float(self.frame.index[-1])
        return Experiment(self.frame, noise, Recipe(Phase("run", duration)), start=self.start)


def draw_residuals(fit: Fit) -> Figure:
    """Measured less predicted, in standard deviations, over time: a panel for each name, a mark for each experiment."""
    names = list(dict.fromkeys(fit.residuals["name"]))
    figure, axes = panels(len(names), height=1.3)
    for ax, name in zip(axes, names, strict=True):
        own = fit.residuals[fit.residuals["name"] == name]
        for (_, group), mark in zip(own.groupby("experiment"), cycle("os^vDx+*"), strict=False):
            ax.plot(group["time"], -group["residual"], mark, color="black", markersize=4, fillstyle="none")
        for height, style in ((-2.0, "--"), (0.0, "-"), (2.0, "--")):
            ax.axhline(height, color="0.6", linestyle=style, linewidth=0.8, zorder=0)
        ax.set_ylabel(f"{name}\n[deviations]", fontsize="small")
    axes[0].set_title("Measured less predicted, in standard deviations")
    axes[-1].set_xlabel(f"time [{fit.plant.time}]")
    return figure


def half_a_digit(printed: str) -> float:
    """Half a unit of the last digit of a number as it is printed: 0.00005 for "8.3445"."""
    return 0.5 * 10.0 ** float(Decimal(printed).as_tuple().exponent)


def fitted_as_published(progress: Progress, published: PublishedFit) -> Outcome:
    """Fit, fit again with the deviation that the residuals have and from other guesses, simulate, and compare."""
    fit = estimate(published.plant, [published.experiment(1.0)], published.free, GRID, EXACT)
    progress(f"{fit.count} measurements: sum of squares {fit.objective:.8g}, published {published.sse}")
    deviation = float(np.sqrt(fit.objective / fit.freedom))
    found = {name: replace(published.free[name], guess=value) for name, value in fit.values.items()}
    weighted = estimate(published.plant, [published.experiment(deviation)], found, GRID, EXACT)
    progress(f"standard deviation of the residuals {deviation:.4g}; with it the intervals")
    others = [_from_elsewhere(published, factor) for factor in (1.0 / AWAY, AWAY)]
    errors = weighted.standard_errors
    apart = max(abs(o.values[n] - fit.values[n]) / float(errors[n]) for o in others for n in fit.values)
    progress(f"from guesses {AWAY:g} times smaller and larger: apart by {apart:.1e} standard errors at most")
    integrated = predicted(published.plant.with_values(fit.values), published.experiment(deviation)).to_numpy()
    gap = np.abs(integrated - _predicted(fit)).max() / deviation
    progress(f"predictions by an integrator: apart by {gap:.1e} standard deviations at most")
    profiles = {name: weighted.profile(name) for name in fit.values}
    progress("profiles: " + "; ".join(f"{n} {p.lower:.5g} to {p.upper:.5g}" for n, p in profiles.items()))
    weakest = weighted.estimability().ranking.index[-1]
    table = weighted.table()
    table["profile lower"] = [profiles[n].lower for n in table.index]
    table["profile upper"] = [profiles[n].upper for n in table.index]
    table["published"] = [published.values[n] for n in table.index]
    return Outcome(
        (
            Claim("sum of squares", fit.objective, float(published.sse), _five_digits(published.sse)),
            *(
                Claim(n, fit.values[n], float(v), half_a_digit(v), unit=fit.plant.measures[n].label)
                for n, v in published.values.items()
            ),
            Claim("predictions by an integrator, apart by standard deviations", gap, CLOSE, kind="at most"),
            Claim("from other guesses, apart by standard errors", apart, SAME, kind="at most"),
            Claim("certificates that hold", sum(c.ok for f in (fit, weighted) for c in f.certificates), 2),
        ),
        facts={
            "sum_of_squares": fit.objective,
            "standard_deviation": deviation,
            "values": fit.values,
            "standard_errors": errors.to_dict(),
            "profile_intervals": {n: (p.lower, p.upper) for n, p in profiles.items()},
        },
        figures={
            "fit": weighted.plot,
            "residuals": lambda: draw_residuals(weighted),
            "profile": profiles[weakest].plot,
        },
        notes=(
            published.reading,
            f"Intervals rest on the standard deviation {deviation:.4g} of the residuals; {weakest} is the least sure.",
        ),
        solutions={"fit": weighted.solutions[0]},
        sections={
            "parameters": table,
            "correlation": weighted.correlation,
            "what the data tell": str(weighted.estimability()),
            "residuals": str(weighted.diagnostics()),
        },
        sources=dict.fromkeys(published.values, published.source),
        data={"measurements": published.frame},
    )


def _predicted(fit: Fit) -> Array:
    """Predictions (times, names) of a fit to one experiment without gaps."""
    return fit.residuals.pivot(index="time", columns="name", values="predicted")[
        list(fit.experiments[0].frame.columns)
    ].to_numpy()


def _from_elsewhere(published: PublishedFit, factor: float) -> Fit:
    free = {n: replace(f, guess=f.guess * factor) for n, f in published.free.items()}
    return estimate(published.plant, [published.experiment(1.0)], free, GRID, EXACT)


def _five_digits(printed: str) -> float:
    """Half a unit of the fifth significant digit."""
    return 0.5 * 10.0 ** (Decimal(printed).adjusted() - 4)
