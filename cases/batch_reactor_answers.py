"""Which answers are known for the batch reactor? Formulas, reference values, conserved totals, an isothermal unit."""

from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np

from titer.cases.case import Claim, Progress
from titer.control import optimize
from titer.flowsheets import (
    AtEnd,
    Equations,
    Expression,
    Flowsheet,
    Free,
    Parameter,
    Phase,
    PiecewiseConstant,
    Recipe,
    State,
    Unit,
    simulate,
)
from titer.flowsheets.units import BatchReactor
from titer.numerics import Solution

# Constant jacket, reactor charged at 350 K: jacket [K] -> highest c_B [mol/L] and when it is reached [s].
CONSTANT_JACKET = {
    320: (0.75287, 13302.0),
    330: (0.73612, 5059.0),
    340: (0.71952, 2032.0),
    350: (0.70297, 871.0),
    360: (0.68692, 416.0),
}
# One hour, reactor charged at 320 K: highest c_B [mol/L] by pieces of constant jacket temperature.
ONE_HOUR = {1: (0.72926, 1e-5), 10: (0.730835, 1e-5)}
BEST_CONSTANT = 334.0  # K, of one piece


class IsothermalReactor(Unit):
    """Ideal isothermal batch reactor, A -> B -> C, at one temperature from the first second to the last.

    Equations
        dc_A/dt = -k_1 c_A,  dc_B/dt = k_1 c_A - k_2 c_B,  dc_C/dt = k_2 c_B,  k_i = k0_i exp(-E_i / (R T))

    Symbols: c_A, c_B, c_C concentrations [mol/L]; T temperature [K]; k0_i [1/s], E_i [J/mol], R [J/mol/K] as in
    BatchReactor.
    Assumptions: heating to T takes no time and any heat is removed, so that no jacket holds a temperature as well.
    Source: the kinetics of titer.flowsheets.units.BatchReactor.
    """

    time = "s"

    c_A = State("mol/L", start=1.0, lower=0.0, doc="reactant")
    c_B = State("mol/L", start=0.0, lower=0.0, doc="product")
    c_C = State("mol/L", start=0.0, lower=0.0, doc="impurity")
    T = Parameter("K", 335.0)
    k0_1 = Parameter("1/s", 2.0e9)
    k0_2 = Parameter("1/s", 1.0e10)
    E_1 = Parameter("J/mol", 8.0e4)
    E_2 = Parameter("J/mol", 9.0e4)
    R = Parameter("J/mol/K", 8.314)

    r_1 = Expression("mol/L/s", doc="rate of A -> B")
    r_2 = Expression("mol/L/s", doc="rate of B -> C")

    def equations(self, v: Any) -> Equations:
        r_1 = v.define("r_1", v.k0_1 * np.exp(-v.E_1 / (v.R * v.T)) * v.c_A)
        r_2 = v.define("r_2", v.k0_2 * np.exp(-v.E_2 / (v.R * v.T)) * v.c_B)
        return Equations(rate={"c_A": -r_1, "c_B": r_1 - r_2, "c_C": r_2})


def isothermal_maximum(temperature: float) -> tuple[float, float]:
    """When an isothermal batch holds the most B [s], and how much [mol/L], by formula."""
    k_1, k_2 = 2.0e9 * exp(-8.0e4 / (8.314 * temperature)), 1.0e10 * exp(-9.0e4 / (8.314 * temperature))
    return log(k_1 / k_2) / (k_1 - k_2), (k_1 / k_2) ** (-k_2 / (k_1 - k_2))


def known_answers(progress: Progress) -> tuple[list[Claim], dict[str, Any]]:
    """Simulate and optimize what is known, and claim that it comes out."""
    isothermal = _until_most(IsothermalReactor("reactor", T=350.0))
    when, most = isothermal_maximum(350.0)
    reactor = BatchReactor("reactor", T=350.0)
    runs = {jacket: _until_most(reactor, {reactor.T_j: float(jacket)}) for jacket in CONSTANT_JACKET}
    table = {jacket: (run.at_end("reactor.c_B"), run.duration["react"]) for jacket, run in runs.items()}
    progress(f"simulated to the highest c_B: {', '.join(f'{c:.5f} at {t:.0f} s' for c, t in table.values())}")
    off = [np.subtract(table[jacket], CONSTANT_JACKET[jacket]) for jacket in CONSTANT_JACKET]
    moles, energy = _conserved()
    one_hour = {pieces: _one_hour(pieces) for pieces in ONE_HOUR}
    progress(
        f"one hour: c_B {one_hour[1].objective:.5f} by a constant jacket, {one_hour[10].objective:.6f} by ten pieces"
    )
    constant = one_hour[1].at_end("reactor.T_j")
    most_off, when_off = (max(abs(o[i]) for o in off) for i in (0, 1))
    claims = [
        Claim("isothermal 350 K, highest c_B", isothermal.at_end("reactor.c_B"), most, 1e-6, unit="mol/L"),
        Claim("isothermal 350 K, time of highest c_B", isothermal.duration["react"], when, 1e-2, unit="s"),
        Claim("five constant jackets, error of highest c_B", most_off, 1e-5, kind="at most", unit="mol/L"),
        Claim("five constant jackets, error of its time", when_off, 1.0, kind="at most", unit="s"),
        Claim("moles are conserved, relative error", moles, 1e-8, kind="at most"),
        Claim("energy is conserved, relative error", energy, 1e-8, kind="at most"),
        Claim("one hour, c_B by the best constant jacket", one_hour[1].objective, *ONE_HOUR[1], unit="mol/L"),
        Claim("one hour, best constant jacket", constant, BEST_CONSTANT, 0.5, unit="K"),
        Claim("one hour, c_B by ten pieces", one_hour[10].objective, *ONE_HOUR[10], unit="mol/L"),
    ]
    return claims, {"constant_jacket": table, "one_hour": {n: plan.objective for n, plan in one_hour.items()}}


def _until_most(reactor: Unit, inputs: dict[str, Any] | None = None) -> Solution:
    """Simulate until B is consumed as fast as it is made."""
    most = Phase("react", duration=Free(3600.0, 0.0, 36000.0), until=lambda v: v.reactor.r_2 >= v.reactor.r_1)
    return simulate(Flowsheet(reactor, time="s"), Recipe(most), inputs=inputs or {})


def _one_hour(pieces: int) -> Solution:
    reactor = BatchReactor("reactor")
    return optimize(
        Flowsheet(reactor, time="s"),
        Recipe(Phase("react", duration=3600.0)),
        free={reactor.T_j: PiecewiseConstant(pieces)},
        maximize=AtEnd(lambda v: v.reactor.c_B),
    )


def _conserved() -> tuple[float, float]:
    """Relative errors of moles and of the energy balance over an hour; the jacket's heat by Simpson's rule."""
    from scipy.integrate import simpson

    reactor = BatchReactor("reactor")
    plant = Flowsheet(reactor, time="s")
    run = simulate(
        plant, Recipe(Phase("react", duration=3600.0)), inputs={reactor.T_j: 334.0}, points=4000, tolerance=1e-12
    )
    c_A, c_B, c_C, T, Q_j = (run[f"reactor.{name}"].to_numpy() for name in ("c_A", "c_B", "c_C", "T", "Q_j"))
    value = {name: plant.values[f"reactor.{name}"] for name in ("rhoCp", "dH_1", "dH_2")}
    stored = value["rhoCp"] * (T[-1] - T[0])
    released = -value["dH_1"] * (c_B[-1] + c_C[-1]) - value["dH_2"] * c_C[-1]
    supplied = float(simpson(Q_j, x=run["reactor.Q_j"].index.to_numpy()))
    return float(np.abs(c_A + c_B + c_C - 1.0).max()), abs(stored - released - supplied) / stored
