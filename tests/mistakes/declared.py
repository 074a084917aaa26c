"""Which mistakes are made in the equations of a unit operation? Six of them, from a balance too many to index 3."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.mistakes.mistake import Mistake
from titer.flowsheets import (
    Algebraic,
    Control,
    Equations,
    Flowsheet,
    Parameter,
    Phase,
    Recipe,
    State,
    Unit,
    diagnose,
    simulate,
)
from titer.numerics.errors import DeclarationError, FlowsheetError, SolveError


class Flash(Unit):
    """A flash at equilibrium above a receiver; two equilibria close the balances."""

    n = State("mol", start=0.0, lower=0.0, doc="light component received")
    L = Algebraic("mol/s", start=0.5, doc="liquid")
    G = Algebraic("mol/s", start=0.5, doc="vapour")
    x = Algebraic("mol/mol", start=0.3, doc="light component in the liquid")
    y = Algebraic("mol/mol", start=0.7, doc="light component in the vapour")
    F = Control("mol/s", start=1.0, lower=0.1, upper=2.0)
    z = Parameter("mol/mol", 0.5)
    K_light = Parameter("1", 2.2)
    K_heavy = Parameter("1", 0.6)

    def equations(self, v: Any) -> Equations:
        return Equations(
            rate={"n": v.L * v.x},
            zero={
                "overall": v.F - v.L - v.G,
                "light": v.F * v.z - v.L * v.x - v.G * v.y,
                "equilibrium": v.y - v.K_light * v.x,
                **self.closure(v),
            },
        )

    def closure(self, v: Any) -> dict[str, Any]:
        return {"equilibrium_heavy": (1.0 - v.y) - v.K_heavy * (1.0 - v.x)}


class FlashBalancedTwice(Flash):
    """The balance of the heavy component stands beside the overall one: it says nothing new."""

    def closure(self, v: Any) -> dict[str, Any]:
        return {"heavy": v.F * (1.0 - v.z) - v.L * (1.0 - v.x) - v.G * (1.0 - v.y)}


class Culture(Unit):
    """An aerated batch culture; oxygen is transferred against its solubility under the headspace."""

    time = "h"
    X = State("g/L", start=0.5, lower=0.0)
    S = State("g/L", start=10.0, lower=0.0)
    c_O = State("g/L", start=0.007, lower=0.0, doc="dissolved oxygen")
    mu = Algebraic("1/h", start=0.2)
    OTR = Algebraic("g/L/h", start=0.2, doc="oxygen transfer rate")
    c_star = Algebraic("g/L", start=0.008, doc="solubility of oxygen")
    p_O = Control("bar", start=0.21, lower=0.1, upper=1.0, doc="oxygen in the headspace")
    mu_max = Parameter("1/h", 0.4)
    K_S = Parameter("g/L", 0.2)
    K_O = Parameter("g/L", 2.0e-4)
    Y_S = Parameter("g/g", 0.5)
    Y_O = Parameter("g/g", 1.0)
    kLa = Parameter("1/h", 250.0)
    H = Parameter("bar*L/g", 26.0, doc="Henry's constant")

    def equations(self, v: Any) -> Equations:
        return Equations(
            rate={
                "X": v.mu * v.X,
                "S": -v.mu * v.X / v.Y_S,
                "c_O": v.OTR - v.mu * v.X / v.Y_O,
            },
            zero=self.laws(v),
        )

    def laws(self, v: Any) -> dict[str, Any]:
        growth = v.mu - v.mu_max * v.S / (v.K_S + v.S) * v.c_O / (v.K_O + v.c_O)
        transfer = v.OTR - v.kLa * (v.c_star - v.c_O)
        return {"growth": growth, "transfer": transfer, "henry": v.c_star - v.p_O / v.H}


class CultureWithoutHenry(Culture):
    """The solubility is used, and never determined."""

    def laws(self, v: Any) -> dict[str, Any]:
        return {key: value for key, value in super().laws(v).items() if key != "henry"}


class Esterification(Unit):
    """Acid + alcohol <-> ester + water in a batch; every mole of acid is found again as ester, with a water."""

    time = "min"
    sign_of_water = 1.0
    c_A = State("mol/L", start=5.0, lower=0.0, doc="acid")
    c_B = State("mol/L", start=8.0, lower=0.0, doc="alcohol")
    c_E = State("mol/L", start=0.0, lower=0.0, doc="ester")
    c_W = State("mol/L", start=1.0, lower=0.0, doc="water")
    k = Parameter("L/mol/min", 2.0e-3)
    K = Parameter("1", 4.0)

    def equations(self, v: Any) -> Equations:
        r = v.k * (v.c_A * v.c_B - v.c_E * v.c_W / v.K)
        return Equations(rate={"c_A": -r, "c_B": -r, "c_E": r, "c_W": self.sign_of_water * r})

    def conserved(self, v: Any) -> dict[str, Any]:
        return {"acid groups": v.c_A + v.c_E, "alcohol groups": v.c_B + v.c_E, "hydroxyl": v.c_A + v.c_W}


class EsterificationThatDries(Esterification):
    """Water is consumed where it is made."""

    sign_of_water = -1.0


class Jacketed(Unit):
    """A -> B in a jacketed batch reactor."""

    c_A = State("mol/L", start=2.0, lower=0.0)
    T = State("K", start=320.0, lower=250.0, upper=450.0)
    T_j = Control("K", start=310.0, lower=280.0, upper=370.0)
    k0 = Parameter("1/s", 2.0e9)
    E = Parameter("J/mol", 8.0e4)
    R = Parameter("J/mol/K", 8.314)
    dH = Parameter("J/mol", -6.0e4)
    UA_V = Parameter("J/L/s/K", 20.0)
    rhoCp = Parameter("J/L/K", 4000.0)

    def equations(self, v: Any) -> Equations:
        r = v.k0 * np.exp(-v.E / (v.R * v.T)) * v.c_A
        return Equations(
            rate={
                "c_A": -r,
                "T": (-v.dH * r + v.UA_V * (v.T_j - v.T)) / v.rhoCp,
            },
        )


class JacketedInKilojoules(Jacketed):
    """Heat transfer from a data sheet in kilowatts, beside heats of reaction in joules."""

    UA_V = Parameter("kJ/L/s/K", 0.02)


class LevelControlled(Unit):
    """A buffer tank in front of a column, its level held by the outflow."""

    time = "min"
    V = State("L", start=50.0, lower=0.0, upper=100.0)
    F_out = Algebraic("L/min", start=2.0)
    F_in = Control("L/min", start=2.0, lower=0.0, upper=5.0)
    V_set = Parameter("L", 50.0)
    F_mean = Parameter("L/min", 2.0)
    gain = Parameter("1/min", 0.2)

    def equations(self, v: Any) -> Equations:
        return Equations(rate={"V": v.F_in - v.F_out}, zero={"level_control": self.law(v)})

    def law(self, v: Any) -> Any:
        return v.F_out - v.F_mean - v.gain * (v.V - v.V_set)


class LevelHeldPerfectly(LevelControlled):
    """The level is wanted at its set point at every instant, and the outflow is what makes it so: index 2."""

    def law(self, v: Any) -> Any:
        return v.V - v.V_set


class Cooled(Unit):
    """A reactor that releases heat at a constant rate, in a jacket with a capacity of its own."""

    T = State("K", start=330.0, lower=270.0, upper=400.0)
    T_j = State("K", start=315.0, lower=270.0, upper=400.0)
    F_c = Algebraic("L/s", start=0.3, doc="flow of coolant")
    q = Control("W", start=2.0e4, lower=0.0, upper=1.0e5, doc="heat of reaction")
    T_in = Parameter("K", 290.0)
    T_set = Parameter("K", 330.0)
    UA = Parameter("W/K", 1500.0)
    C = Parameter("J/K", 2.0e6)
    V_j = Parameter("L", 80.0)
    rhoCp = Parameter("J/L/K", 4180.0)
    F_mean = Parameter("L/s", 0.2)
    gain = Parameter("L/s/K", 0.02)

    def equations(self, v: Any) -> Equations:
        Q = v.UA * (v.T - v.T_j)
        return Equations(
            rate={
                "T": (v.q - Q) / v.C,
                "T_j": v.F_c / v.V_j * (v.T_in - v.T_j) + Q / (v.V_j * v.rhoCp),
            },
            zero={"temperature_control": self.law(v)},
        )

    def law(self, v: Any) -> Any:
        return v.F_c - v.F_mean - v.gain * (v.T - v.T_set)


class TemperatureHeldPerfectly(Cooled):
    """The temperature is wanted constant; the flow of coolant acts on it only through the jacket: index 3."""

    def law(self, v: Any) -> Any:
        return v.T - v.T_set


def run(unit: Unit, duration: float, inputs: dict[str, float]) -> Any:
    """Simulate one unit operation in one phase."""
    given = {f"{unit.name}.{key}": value for key, value in inputs.items()}
    return simulate(Flowsheet(unit), Recipe(Phase("run", duration)), given)


def diagnosed(unit: Unit, duration: float) -> Any:
    """Diagnose one unit operation in one phase."""
    return diagnose(Flowsheet(unit), Recipe(Phase("run", duration)))


MISTAKES = (
    Mistake(
        "doubled balance",
        provoke=lambda: run(FlashBalancedTwice("flash"), 600.0, {"F": 1.0}),
        mended=lambda: run(Flash("flash"), 600.0, {"F": 1.0}),
        culprits=("flash.overall", "flash.light", "flash.heavy"),
        raises=(FlowsheetError, SolveError),
    ),
    Mistake(
        "forgotten equation",
        provoke=lambda: run(CultureWithoutHenry("reactor"), 4.0, {"p_O": 0.21}),
        mended=lambda: run(Culture("reactor"), 4.0, {"p_O": 0.21}),
        culprits=("reactor.c_star",),
        raises=(DeclarationError, FlowsheetError),
    ),
    Mistake(
        "swapped sign against a conserved total",
        provoke=lambda: diagnosed(EsterificationThatDries("reactor"), 120.0),
        mended=lambda: diagnosed(Esterification("reactor"), 120.0),
        culprits=("reactor.c_W",),
    ),
    Mistake(
        "wrong unit factor",
        provoke=lambda: run(JacketedInKilojoules("reactor"), 3600.0, {"T_j": 310.0}),
        mended=lambda: run(Jacketed("reactor"), 3600.0, {"T_j": 310.0}),
        culprits=("reactor.UA_V", "reactor.T"),
        raises=(DeclarationError,),
    ),
    Mistake(
        "index 2 level control",
        provoke=lambda: run(LevelHeldPerfectly("tank"), 60.0, {"F_in": 2.5}),
        mended=lambda: run(LevelControlled("tank"), 60.0, {"F_in": 2.5}),
        culprits=("tank.level_control", "tank.F_out"),
        raises=(FlowsheetError,),
    ),
    Mistake(
        "index 3",
        provoke=lambda: run(TemperatureHeldPerfectly("reactor"), 1800.0, {"q": 2.0e4}),
        mended=lambda: run(Cooled("reactor"), 1800.0, {"q": 2.0e4}),
        culprits=("reactor.temperature_control", "reactor.F_c"),
        raises=(FlowsheetError,),
    ),
)
