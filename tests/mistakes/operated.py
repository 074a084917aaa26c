"""Which mistakes are made in how a plant is run and what it is given? Six, from a logarithm to a gap in a log."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tests.mistakes.mistake import Mistake
from titer.estimation import Experiment, estimate
from titer.flowsheets import (
    Algebraic,
    Control,
    Equations,
    Expression,
    Flowsheet,
    Free,
    Inlet,
    Outlet,
    Parameter,
    Phase,
    Reaches,
    Recipe,
    State,
    Unit,
    simulate,
)
from titer.numerics import Grid
from titer.numerics.errors import SolveError, SpecificationError


class Cooler(Unit):
    """A batch cooled by a coil, with the logarithmic mean of the temperature differences at its two ends."""

    T = State("K", start=360.0, lower=270.0, upper=400.0)
    T_out = State("K", start=300.0, lower=270.0, upper=400.0, doc="coolant at the end of the coil")
    T_in = Control("K", start=290.0, lower=275.0, upper=390.0, doc="coolant at the start of the coil")
    UA = Parameter("W/K", 5000.0)
    C = Parameter("J/K", 4.2e6)
    C_c = Parameter("J/K", 4.0e5)
    F_c = Parameter("W/K", 8400.0, doc="capacity flow of the coolant")
    LMTD = Expression("K")

    def equations(self, v: Any) -> Equations:
        start, end = v.T - v.T_in, v.T - v.T_out
        Q = v.UA * v.define("LMTD", (start - end) / np.log(start / end))
        return Equations(rate={"T": -Q / v.C, "T_out": (v.F_c * (v.T_in - v.T_out) + Q) / v.C_c})


def cooled(then: float) -> Any:
    """Coolant of 290 K, after half an hour of another temperature."""
    cooler = Cooler("cooler")
    log = pd.Series([290.0, then], index=[0.0, 1800.0])
    return simulate(Flowsheet(cooler), Recipe(Phase("cool", 3600.0)), {cooler.T_in: log})


class HoldTank(Unit):
    """A hold tank in amounts, in which the product aggregates in a reaction of second order."""

    time = "h"
    n = State("g", start=0.0, lower=0.0, doc="monomer")
    V = State("L", start=0.0, lower=0.0)
    F = Control("L/h", start=10.0, lower=0.0, upper=50.0)
    c_F = Parameter("g/L", 4.0)
    k = Parameter("L/g/h", 2.0e-3)

    def equations(self, v: Any) -> Equations:
        return Equations(rate={"n": v.F * v.c_F - v.k * v.n**2 / v.V, "V": v.F})


def filled(**heel: float) -> Any:
    """Fill the tank for two hours."""
    tank = HoldTank("tank", **heel)
    return simulate(Flowsheet(tank), Recipe(Phase("fill", 2.0)), {tank.F: 10.0})


class Transfer(Unit):
    """Liquid pressed by nitrogen through a valve into a closed receiver, whose gas it compresses."""

    V_gas = State("L", start=400.0, lower=1.0, doc="gas in the receiver")
    p_2 = State("bar", start=1.0, lower=0.1, doc="its pressure")
    F = Algebraic("L/s", start=0.1)
    p_1 = Control("bar", start=1.8, lower=1.0, upper=4.0, doc="nitrogen above the liquid")
    C_v = Parameter("L/s/bar**0.5", 0.2)

    def equations(self, v: Any) -> Equations:
        return Equations(
            rate={"V_gas": -v.F, "p_2": v.p_2 * v.F / v.V_gas},
            zero={"valve": v.F**2 - v.C_v**2 * (v.p_1 - v.p_2)},
        )


def pressed(receiver: float) -> Any:
    """Two minutes from 1.8 bar into a receiver at another pressure."""
    transfer = Transfer("transfer", p_2=receiver)
    return simulate(Flowsheet(transfer), Recipe(Phase("press", 120.0)), {transfer.p_1: 1.8})


class Bioreactor(Unit):
    """A culture that makes a product while it grows, with a pump to the next vessel."""

    time = "h"
    X = State("g/L", start=0.5, lower=0.0)
    S = State("g/L", start=20.0, lower=0.0)
    P = State("g/L", start=0.0, lower=0.0)
    V = State("L", start=2.0, lower=0.0)
    F_in = Control("L/h", start=0.0, lower=0.0, upper=10.0)
    F_out = Control("L/h", start=0.0, lower=0.0, upper=10.0)
    mu_max = Parameter("1/h", 0.3)
    K_S = Parameter("g/L", 0.3)
    Y = Parameter("g/g", 0.5)
    q_P = Parameter("1/h", 0.02)
    S_F = Parameter("g/L", 100.0)
    broth = Outlet(flow="L/h", P="g/L")

    def equations(self, v: Any) -> Equations:
        mu, D = v.mu_max * v.S / (v.K_S + v.S), v.F_in / v.V
        return Equations(
            rate={
                "X": mu * v.X - D * v.X,
                "S": D * (v.S_F - v.S) - mu * v.X / v.Y,
                "P": v.q_P * v.X - D * v.P,
                "V": v.F_in - v.F_out,
            },
            port={"broth": {"flow": v.F_out, "P": v.P}},
        )


class Receiver(Unit):
    """A vessel for the broth, in amounts."""

    time = "h"
    n = State("g", start=0.0, lower=0.0)
    V = State("L", start=0.0, lower=0.0)
    feed = Inlet(flow="L/h", P="g/L")

    def equations(self, v: Any) -> Equations:
        return Equations(rate={"n": v.feed.flow * v.feed.P, "V": v.feed.flow})


reactor, receiver = Bioreactor("reactor"), Receiver("receiver")


def harvested(order: tuple[str, ...]) -> Any:
    """Fill the culture to five litres with medium, harvest it down to a heel of three, in some order."""
    phases = {
        "fill": Phase("fill", 6.0, fixed={reactor.F_in: 0.5, reactor.F_out: 0.0}),
        "harvest": Phase(
            "harvest",
            Free(1.0, 0.1, 5.0),
            until=Reaches(reactor.V, 3.0, "falling"),
            fixed={reactor.F_in: 0.0, reactor.F_out: 1.0},
        ),
    }
    return simulate(Flowsheet(reactor), Recipe(*(phases[name] for name in order)))


def transferred(*routes: tuple[Any, Any]) -> Any:
    """Grow for eight hours, then pump the broth into the receiver, by whatever route there is."""
    recipe = Recipe(
        Phase("grow", 8.0, idle=[receiver], fixed={reactor.F_in: 0.0, reactor.F_out: 0.0}),
        Phase("transfer", 0.5, routes=routes, fixed={reactor.F_in: 0.0, reactor.F_out: 3.0}),
    )
    return simulate(Flowsheet(reactor, receiver, time="h"), recipe)


class Decay(Unit):
    """A first-order degradation that follows the temperature of its bath."""

    time = "h"
    c = State("g/L", start=5.0, lower=0.0)
    T = Control("K", start=310.0, lower=270.0, upper=350.0)
    k_ref = Parameter("1/h", 0.05, lower=1.0e-3, upper=1.0, doc="at 310 K")
    T_a = Parameter("K", 9000.0, doc="activation temperature")
    T_ref = Parameter("K", 310.0)

    def equations(self, v: Any) -> Equations:
        return Equations(rate={"c": -v.k_ref * np.exp(v.T_a * (1.0 / v.T_ref - 1.0 / v.T)) * v.c})


def fitted(gap: float) -> Any:
    """Fit the rate to samples of a run whose bath was logged each hour; one reading of the log is `gap`."""
    decay = Decay("vial")
    bath = np.array([310.0, 311.0, gap, 313.0, 312.0, 310.0])
    log = pd.Series(bath, index=np.arange(6.0))
    whole = np.where(np.isnan(bath), 312.0, bath)
    rates = 0.08 * np.exp(9000.0 * (1.0 / 310.0 - 1.0 / whole))
    samples = 5.0 * np.exp(-np.cumsum(rates))  # at 1 to 6 h
    frame = pd.DataFrame({decay.c: samples}, index=np.arange(1.0, 7.0))
    experiment = Experiment(frame, {decay.c: 0.05}, Recipe(Phase("store", 6.0)), {decay.T: log})
    return estimate(Flowsheet(decay), [experiment], [decay.k_ref], Grid(6))


MISTAKES = (
    Mistake(
        "log of a negative",
        provoke=lambda: cooled(370.0),  # the coil is used to heat
        mended=lambda: cooled(285.0),
        culprits=("cooler.LMTD", "cooler.T_in"),
        raises=(SolveError,),
    ),
    Mistake(
        "division by an empty tank",
        provoke=filled,
        mended=lambda: filled(V=1.0),
        culprits=("tank.V",),
        raises=(SolveError,),
    ),
    Mistake(
        "inconsistent start",
        provoke=lambda: pressed(2.4),  # more than presses against it: no flow satisfies the valve
        mended=lambda: pressed(1.0),
        culprits=("transfer.valve", "transfer.F", "transfer.p_2"),
        raises=(SolveError,),
    ),
    Mistake(
        "wrong phase order",
        provoke=lambda: harvested(("harvest", "fill")),
        mended=lambda: harvested(("fill", "harvest")),
        culprits=("harvest",),
        raises=(SolveError,),
    ),
    Mistake(
        "missing feed",
        provoke=transferred,
        mended=lambda: transferred((reactor.broth, receiver.feed)),
        culprits=("receiver.feed",),
        raises=(SpecificationError,),
    ),
    Mistake(
        "a NaN in data",
        provoke=lambda: fitted(float("nan")),
        mended=lambda: fitted(312.0),
        culprits=("vial.T",),
        raises=(SpecificationError,),
    ),
)
