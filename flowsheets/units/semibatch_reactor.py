"""A well-mixed vessel with a reaction network that is fed and not emptied."""

from __future__ import annotations

from typing import Any

from titer.flowsheets.declarations import Control, Expression, Parameter, State
from titer.flowsheets.unit import Part
from titer.flowsheets.units.jackets import Thermostat
from titer.flowsheets.units.reactions import MassAction, Reaction
from titer.flowsheets.units.vessel import Stream, Vessel


class SemibatchReactor(Vessel):
    """Fed, well-mixed vessel, A + B -> C unless another network is given; time in hours.

    Equations
        r_j, k_j and T_ad as in StirredReactor, here r = k0 exp(-E/(R T)) c_A c_B / c_ref^2
        V dc_i/dt = V sum_j nu_ij r_j + u (c_in,i - c_i),  dV/dt = u
        rhoCp V dT/dt = Q_r + Q_j + Q_s + u rhoCp (T_in - T),  Q_r = -V sum_j dH_j r_j
        T_ad = T + sum_j (-dH_j) x_j / rhoCp, here T + min(c_A, c_B) (-dH) / rhoCp
        conversion = converted / (converted + c_key),  V dconverted/dt = -V sum_j nu_key,j r_j - u converted
    With the part `jacket` a Thermostat (the default) a temperature control that always suffices keeps T, and Q_j is
    what it removes; with a Jacket, CoolantJacket or CascadeJacket the energy balance is integrated.

    Symbols
        c, V, T         concentrations [mol/L] over `species`, volume [L], temperature [K]
        u               feed [L/h], the control; c_in its concentrations [mol/L], T_in its temperature [K]
        r, k            rates of reaction and rate constants [mol/L/h], over `reactions`
        k0, E           frequency factors [mol/L/h], or rate constants at T_ref; activation energies [J/mol]
        order, c_ref    orders of power laws, order["r_1:A"]; reference concentration [mol/L]
        dH              heats of reaction [J/mol], negative where heat is released
        rhoCp, R        volumetric heat capacity [J/L/K], gas constant [J/mol/K]
        Q_r, Q_j, Q_s   heat of the reactions, from the jacket, and of stirring [W]
        T_ad            adiabatic temperature under cooling failure [K], feed stopped; B is declared as `limiting` in
                        the default reaction, for c_B stays the smaller one; without that the minimum is a smooth one,
                        never below the minimum and less than `rounding` mol/L above it
        converted       what has reacted of the key species [mol/L], diluted by the feed; conversion [1]

    Structure and its checks as in StirredReactor; a species with c_in above zero is fed.

    Assumptions: perfect mixing; volumes add; one constant rhoCp for contents and feed. The default is isothermal.
    Source: Srinivasan, Palanki and Bonvin (2003), Dynamic optimization of batch processes I, Computers and Chemical
    Engineering 27, example 1, whose numbers are the defaults: 70 C, rho cp = 900 g/L 4.2 J/g/K.
    """

    time = "h"

    species: tuple[str, ...] = ("A", "B", "C")
    reactions: tuple[Reaction, ...] = (
        Reaction("r_1", {"A": -1, "B": -1, "C": 1}, MassAction(0.0482), dH=-6.0e4, limiting="B"),
    )
    jacket: Part = Thermostat()

    c = State("mol/L", start=(2.0, 0.63, 0.0), lower=0.0, nominal=1.0, over="species", doc="concentrations")
    T = State("K", start=343.15, lower=200.0, upper=800.0, doc="reactor temperature")
    V = State("L", start=0.7, lower=1e-6, doc="volume of the contents")
    u = Control("L/h", start=0.0, lower=0.0, upper=0.1, doc="feed")
    c_in = Parameter("mol/L", (0.0, 2.0, 0.0), lower=0.0, over="species", doc="concentrations of the feed")
    T_in = Parameter("K", 298.15, lower=200.0, doc="temperature of the feed")
    rhoCp = Parameter("J/L/K", 3780.0, lower=1.0, doc="volumetric heat capacity")
    k0 = Parameter("mol/L/h", lower=0.0, over="with_constant", doc="frequency factors, or rate constants at T_ref")
    k = Expression("mol/L/h", over="with_constant", doc="rate constants")
    r = Expression("mol/L/h", over="reaction_names", doc="rates of reaction")

    def inflow(self, v: Any) -> Stream:
        return Stream(v.u, v.c_in, v.T_in)
