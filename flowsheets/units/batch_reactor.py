"""A jacketed, non-isothermal batch reactor with consecutive reactions A -> B -> C."""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.flowsheets.declarations import Conserved, Control, Equations, Expression, Parameter, State
from titer.flowsheets.unit import Unit


class BatchReactor(Unit):
    """Jacketed batch reactor, A -> B -> C.

    Equations
        k_i = k0_i exp(-E_i / (R T)),  r_1 = k_1 c_A,  r_2 = k_2 c_B
        dc_A/dt = -r_1,  dc_B/dt = r_1 - r_2,  dc_C/dt = r_2
        rhoCp dT/dt = -dH_1 r_1 - dH_2 r_2 + UA_V (T_j - T)

    Symbols
        c_A, c_B, c_C   concentrations [mol/L]
        T, T_j          reactor and jacket temperature [K]; T_j is the control
        k0_i, E_i       frequency factors [1/s] and activation energies [J/mol]
        dH_i            heats of reaction [J/mol], negative where heat is released
        rhoCp           volumetric heat capacity [J/L/K]
        UA_V            heat-transfer coefficient times area per volume [J/L/s/K]
        R               gas constant [J/mol/K]
        r_i             rates of reaction [mol/L/s]
        Q_j, Q_r        heat from the jacket and from the reactions [J/L/s]

    Assumptions: perfect mixing, constant volume and physical properties, jacket temperature uniform and given.
    Source: the first-order non-isothermal batch reactor of reaction engineering texts (e.g. Fogler, Elements of
    Chemical Reaction Engineering, chapter 13). The default values are a demonstration set with E_2 > E_1: a lower
    temperature is always more selective, so the best stop time is finite only where time costs something or C is
    limited.
    """

    time = "s"

    c_A = State("mol/L", start=1.0, lower=0.0, nominal=1.0, doc="reactant")
    c_B = State("mol/L", start=0.0, lower=0.0, nominal=1.0, doc="product")
    c_C = State("mol/L", start=0.0, lower=0.0, nominal=1.0, doc="impurity")
    T = State("K", start=320.0, lower=250.0, upper=450.0, doc="reactor temperature")
    T_j = Control("K", start=334.0, lower=300.0, upper=370.0, doc="jacket temperature")

    k0_1 = Parameter("1/s", 2.0e9, lower=0.0, doc="frequency factor of A -> B")
    k0_2 = Parameter("1/s", 1.0e10, lower=0.0, doc="frequency factor of B -> C")
    E_1 = Parameter("J/mol", 8.0e4, lower=0.0, doc="activation energy of A -> B")
    E_2 = Parameter("J/mol", 9.0e4, lower=0.0, doc="activation energy of B -> C")
    dH_1 = Parameter("J/mol", -5.0e4, doc="heat of reaction of A -> B")
    dH_2 = Parameter("J/mol", -2.0e4, doc="heat of reaction of B -> C")
    rhoCp = Parameter("J/L/K", 4200.0, lower=0.0, doc="volumetric heat capacity")
    UA_V = Parameter("J/L/s/K", 50.0, lower=0.0, doc="heat transfer per volume")
    R = Parameter("J/mol/K", 8.314, lower=0.0, doc="gas constant")

    r_1 = Expression("mol/L/s", doc="rate of A -> B")
    r_2 = Expression("mol/L/s", doc="rate of B -> C")
    Q_j = Expression("J/L/s", doc="heat from the jacket")
    Q_r = Expression("J/L/s", doc="heat of the reactions")

    def equations(self, v: Any) -> Equations:
        r_1 = v.define("r_1", v.k0_1 * np.exp(-v.E_1 / (v.R * v.T)) * v.c_A)
        r_2 = v.define("r_2", v.k0_2 * np.exp(-v.E_2 / (v.R * v.T)) * v.c_B)
        Q_j = v.define("Q_j", v.UA_V * (v.T_j - v.T))
        Q_r = v.define("Q_r", -v.dH_1 * r_1 - v.dH_2 * r_2)
        return Equations(
            rate={
                "c_A": -r_1,
                "c_B": r_1 - r_2,
                "c_C": r_2,
                "T": (Q_r + Q_j) / v.rhoCp,
            }
        )

    def conserved(self, v: Any) -> dict[str, Any]:
        """Moles, and energy: sensible heat less the heat that the reactions have released, fed by the jacket.

        With xi_1 = c_B + c_C and xi_2 = c_C moles reacted per volume, d/dt (rhoCp T + dH_1 xi_1 + dH_2 xi_2) = Q_j.
        """
        return {
            "moles": v.c_A + v.c_B + v.c_C,
            "energy": Conserved(v.rhoCp * v.T + v.dH_1 * (v.c_B + v.c_C) + v.dH_2 * v.c_C, v.UA_V * (v.T_j - v.T)),
        }
