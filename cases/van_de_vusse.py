"""Van de Vusse's reaction in a cooled stirred tank: a benchmark of nonlinear control since 1993."""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.flowsheets import Control, Equations, Expression, Parameter, State, Unit


class VanDeVusse(Unit):
    """Cooled stirred tank with A -> B -> C and 2 A -> D.

    Equations
        k_i = k0_i exp(-E_i / T),  k_1 times beta, E_3 times alpha
        r_1 = k_1 c_A,  r_2 = k_2 c_B,  r_3 = k_3 c_A^2
        dc_A/dt = F (c_in - c_A) - r_1 - r_3
        dc_B/dt = -F c_B + r_1 - r_2
        dT/dt = F (T_in - T) - (r_1 dH_1 + r_2 dH_2 + r_3 dH_3) / rhoCp + UA (T_k - T) / (rhoCp V)
        dT_k/dt = (Q + UA (T - T_k)) / mCp_k

    Symbols
        c_A, c_B      concentrations [mol/L]; c_in of A in the feed
        T, T_k        temperatures of contents and coolant [K]; T_in of the feed
        F             feed by volume [1/h], Q heat put into the coolant [kJ/h], negative: the controls
        k0_i, E_i     frequency factors and activation temperatures [K]; alpha, beta: uncertain factors of them
        dH_i          heats of reaction [kJ/mol], rhoCp volumetric heat capacity [kJ/L/K], V volume [L]
        UA            heat transfer to the coolant [kJ/h/K], mCp_k heat capacity of the coolant [kJ/K]

    Assumptions: perfect mixing, constant volume. The yield of B has a maximum over the feed, where the gain changes its
    sign, and c_B first moves the wrong way after a change of the feed.
    Source: Klatt & Engell, Comput. Chem. Eng. 22 (1998) 491; starts, bounds and uncertain factors as in the example
    CSTR of do-mpc (Lucia et al., Control Eng. Pract. 60 (2017) 51).
    """

    time = "h"

    c_A = State("mol/L", start=0.8, lower=0.0, nominal=1.0, doc="reactant")
    c_B = State("mol/L", start=0.5, lower=0.0, nominal=1.0, doc="product")
    T = State("K", start=407.29, lower=250.0, upper=500.0, doc="contents")
    T_k = State("K", start=403.15, lower=250.0, upper=500.0, doc="coolant")
    F = Control("1/h", start=20.0, lower=5.0, upper=100.0, doc="feed by volume")
    Q = Control("kJ/h", start=-2000.0, lower=-8500.0, upper=0.0, doc="heat put into the coolant")

    alpha = Parameter("1", 1.0, lower=0.0, doc="factor of the activation energy of 2 A -> D")
    beta = Parameter("1", 1.0, lower=0.0, doc="factor of the rate of A -> B")
    k0_1 = Parameter("1/h", 1.287e12, lower=0.0)
    k0_2 = Parameter("1/h", 1.287e12, lower=0.0)
    k0_3 = Parameter("L/mol/h", 9.043e9, lower=0.0)
    E_1 = Parameter("K", 9758.3, lower=0.0)
    E_2 = Parameter("K", 9758.3, lower=0.0)
    E_3 = Parameter("K", 8560.0, lower=0.0)
    dH_1 = Parameter("kJ/mol", 4.2)
    dH_2 = Parameter("kJ/mol", -11.0)
    dH_3 = Parameter("kJ/mol", -41.85)
    rhoCp = Parameter("kJ/L/K", 0.9342 * 3.01, lower=0.0)
    mCp_k = Parameter("kJ/K", 10.0, lower=0.0)
    UA = Parameter("kJ/h/K", 4032.0 * 0.215, lower=0.0)
    V = Parameter("L", 10.01, lower=0.0)
    c_in = Parameter("mol/L", 5.1, lower=0.0)
    T_in = Parameter("K", 403.15, lower=0.0)

    r_1 = Expression("mol/L/h", doc="rate of A -> B")
    r_2 = Expression("mol/L/h", doc="rate of B -> C")
    r_3 = Expression("mol/L/h", doc="rate of 2 A -> D")

    def equations(self, v: Any) -> Equations:
        r_1 = v.define("r_1", v.beta * v.k0_1 * np.exp(-v.E_1 / v.T) * v.c_A)
        r_2 = v.define("r_2", v.k0_2 * np.exp(-v.E_2 / v.T) * v.c_B)
        r_3 = v.define("r_3", v.k0_3 * np.exp(-v.alpha * v.E_3 / v.T) * v.c_A**2)
        heat = r_1 * v.dH_1 + r_2 * v.dH_2 + r_3 * v.dH_3
        return Equations(
            rate={
                "c_A": v.F * (v.c_in - v.c_A) - r_1 - r_3,
                "c_B": -v.F * v.c_B + r_1 - r_2,
                "T": v.F * (v.T_in - v.T) - heat / v.rhoCp + v.UA * (v.T_k - v.T) / (v.rhoCp * v.V),
                "T_k": (v.Q + v.UA * (v.T - v.T_k)) / v.mCp_k,
            }
        )
