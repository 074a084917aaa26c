"""A published optimum: the best temperature of a batch reactor A -> B -> C whose first step is of second order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from titer.cases.case import Claim, Outcome, Progress, case
from titer.cases.drawing import panels, trace
from titer.control import optimize
from titer.flowsheets import (
    AtEnd,
    Control,
    Equations,
    Flowsheet,
    Parameter,
    Phase,
    PiecewiseConstant,
    Recipe,
    State,
    Unit,
    replay,
    simulate,
)
from titer.numerics import Grid, Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Yield of B after one hour by pieces of constant temperature, recomputed independently, and how closely it is claimed.
REFERENCE = {10: (0.610070, 3e-6), 20: (0.61045, 5e-5), 50: (0.610708, 3e-6), 100: (0.61079, 3e-5)}
AT_335_K = 0.605932
PUBLISHED = (0.610775, 0.610799)
DEVIATION = 1e-5  # largest difference to a replay by another integrator that is accepted


class Reactor(Unit):
    """Batch reactor A -> B -> C at a chosen temperature.

    Equations
        dx_1/dt = -k_1 x_1^2,  dx_2/dt = k_1 x_1^2 - k_2 x_2,  k_i = k0_i exp(-E_i / T)

    Symbols
        x_1, x_2   A and B as fractions of the A at the start [1]
        T          temperature [K], the control, 298 to 398 K
        k0_i, E_i  frequency factors [1/h] and activation temperatures [K]

    Assumptions: constant volume, the temperature follows the wish at once; a batch lasts one unit of time, here 1 h.
    Source: W. H. Ray, Advanced Process Control (1981); optimum in Renfro et al. (1987), Logsdon and Biegler (1989), and
    Dadebo and McAuley (1995): 0.610775 to 0.610799.
    """

    time = "h"

    x_1 = State("1", start=1.0, lower=0.0, doc="A left")
    x_2 = State("1", start=0.0, lower=0.0, doc="B made")
    T = Control("K", start=335.0, lower=298.0, upper=398.0, doc="temperature")

    k0_1 = Parameter("1/h", 4000.0)
    k0_2 = Parameter("1/h", 620000.0)
    E_1 = Parameter("K", 2500.0)
    E_2 = Parameter("K", 5000.0)

    def equations(self, v: Any) -> Equations:
        r_1 = v.k0_1 * np.exp(-v.E_1 / v.T) * v.x_1**2
        r_2 = v.k0_2 * np.exp(-v.E_2 / v.T) * v.x_2
        return Equations(rate={"x_1": -r_1, "x_2": r_1 - r_2})


@case("temperature_benchmark", title="Published benchmark: the temperature of A -> B -> C")
def temperature_benchmark(progress: Progress, *, quick: bool = False) -> Outcome:
    """Published benchmark: the best temperature of A -> B -> C, by 10 to 100 pieces, replayed."""
    plans = {}
    for pieces in (1, 10, 20, 100) if quick else (1, 10, 20, 50, 100):
        plans[pieces] = best_temperature(pieces)
        progress(f"{pieces:3d} pieces: yield {plans[pieces].objective:.6f}, {_effort(plans[pieces])}")
    replayed = {pieces: difference(plan, replay(plan)) for pieces, plan in plans.items()}
    progress(f"replayed by another integrator: largest difference {max(replayed.values()):.1e}")
    at_335_K = yield_at(335.0)
    gain = plans[100].objective / plans[1].objective - 1.0
    return Outcome(
        claims(plans, replayed, at_335_K),
        facts={
            "yield": {pieces: plan.objective for pieces, plan in plans.items()},
            "replay_difference": replayed,
            "temperature_K": {pieces: levels(plan) for pieces, plan in plans.items()},
            "stats": {pieces: plan.stats for pieces, plan in plans.items()},
        },
        figures={"trajectories": lambda: draw(plans)},
        notes=(
            f"Cooling as B builds up gives {100 * gain:.2f} % more B than the best constant temperature.",
            "More pieces come closer to the published optimum of a temperature that may vary freely, from below.",
        ),
    )


def best_temperature(pieces: int) -> Solution:
    """The temperature, constant on equal pieces, that makes the most B."""
    reactor = Reactor("reactor")
    return optimize(
        Flowsheet(reactor, time="h"),
        Recipe(Phase("react", duration=1.0)),
        free={reactor.T: PiecewiseConstant(pieces)},
        maximize=AtEnd(lambda v: v.reactor.x_2),
        grid=Grid(elements=max(pieces, 20), degree=3),
    )


def yield_at(temperature: float) -> float:
    """The B made at a constant temperature."""
    reactor = Reactor("reactor")
    recipe = Recipe(Phase("react", duration=1.0))
    return simulate(Flowsheet(reactor, time="h"), recipe, inputs={reactor.T: temperature}).at_end(reactor.x_2)


def difference(plan: Solution, run: Solution) -> float:
    """Largest difference of the two states at the end: the fractions are of size one."""
    return max(abs(plan.at_end(name) - run.at_end(name)) for name in ("reactor.x_1", "reactor.x_2"))


def levels(plan: Solution) -> list[float]:
    """The temperatures of the pieces, in kelvin."""
    return [float(level) for level in plan.phases[0].shapes["reactor.T"][1]]


def claims(plans: dict[int, Solution], replayed: dict[int, float], at_335_K: float) -> tuple[Claim, ...]:
    """What the case stands for."""
    yields = [
        Claim(f"yield of B, {pieces} pieces", plan.objective, *REFERENCE[pieces], unit="mol/mol")
        for pieces, plan in plans.items()
        if pieces in REFERENCE
    ]
    deviation = max(plan.certificate.largest_deviation for plan in plans.values() if plan.certificate)
    return (
        *yields,
        Claim("yield of B, simulated at 335 K", at_335_K, AT_335_K, 1e-6, unit="mol/mol"),
        Claim("yield of B, best constant temperature", plans[1].objective, AT_335_K, 2e-5, unit="mol/mol"),
        Claim("best constant temperature", levels(plans[1])[0], 335.0, 0.5, unit="K"),
        Claim(
            "yield of B stays below the published", plans[100].objective, PUBLISHED[1], kind="at most", unit="mol/mol"
        ),
        Claim("difference to a replay", max(replayed.values()), DEVIATION, kind="at most", unit="mol/mol"),
        Claim("replay deviation in the certificates", deviation, DEVIATION, kind="at most"),
        Claim(
            "certificates that hold", sum(bool(p.certificate and p.certificate.ok) for p in plans.values()), len(plans)
        ),
    )


def draw(plans: dict[int, Solution]) -> Figure:
    """The temperatures, and what they make of A and B."""
    figure, (above, below) = panels(2, heights=(1.0, 1.0))
    looks = {1: ("0.45", "--", 1.2), 10: ("0.45", "-", 1.0), 100: ("black", "-", 1.8)}
    for pieces, (colour, style, width) in looks.items():
        plan = plans[pieces]
        name = f"{pieces} pieces" if pieces > 1 else "constant"
        label = f"{name}, yield {plan.objective:.5f}"
        trace(above, plan["reactor.T"], color=colour, linestyle=style, linewidth=width, label=label)
        for state, symbol, offset in (("reactor.x_1", "A left", -14), ("reactor.x_2", "B made", 9)):
            series = plan[state]
            trace(below, series, color=colour, linestyle=style, linewidth=width)
            if pieces == 100:
                spot = (0.8, np.interp(0.8, series.index, series))
                below.annotate(symbol, spot, (0, offset), textcoords="offset points")
    above.axhline(398.0, color="black", linewidth=0.8, linestyle=":")
    above.annotate("upper limit 398 K", (1.0, 398.0), (0, -11), textcoords="offset points", ha="right", fontsize=9)
    above.set(ylabel="temperature T [K]", title="Best temperature of A \u2192 B \u2192 C, by number of constant pieces")
    above.legend()
    below.set(ylabel="fraction of the A charged [mol/mol]", xlabel="time [h]", xlim=(0.0, 1.0), ylim=(0.0, 1.0))
    return figure


def _effort(plan: Solution) -> str:
    stats = plan.stats
    return f"{stats['variables']} variables, {stats['iterations']} iterations, {stats['seconds_total']:.2f} s"
