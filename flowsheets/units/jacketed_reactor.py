"""A closed, well-mixed vessel with a reaction network and a jacket through which coolant flows."""

from __future__ import annotations

from titer.flowsheets.unit import Part
from titer.flowsheets.units.jackets import CoolantJacket
from titer.flowsheets.units.vessel import Vessel


class JacketedReactor(Vessel):
    """Closed, well-mixed vessel with any reaction network and an energy balance of its jacket.

    Equations
        r_j, k_j, T_ad and conversion as in StirredReactor
        dc_i/dt = sum_j nu_ij r_j,  dconverted/dt = -sum_j nu_key,j r_j
        rhoCp V dT/dt = Q_r + Q_j + Q_s,  Q_r = -V sum_j dH_j r_j,  Q_j = UA (T_j - T)
        rhoCp_c V_j dT_j/dt = rhoCp_c F_c (T_c - T_j) - Q_j
    The jacket is the part `jacket`: reactor.jacket.T_j, reactor.jacket.F_c. A CoolantJacket (the default) takes the
    coolant flow as control; a CascadeJacket sets it by cascade PI control of the reactor temperature, with the set
    point reactor.jacket.T_set as control. Its `wall` may be a FoulingWall.

    Symbols
        c, T, V         concentrations [mol/L] over `species`, temperature [K], volume [L], a parameter
        T_j, F_c, T_c   jacket temperature [K], coolant flow [L/s] and its inlet temperature [K]
        r, k            rates of reaction and rate constants [mol/L/s], over `reactions`
        k0, E           frequency factors [mol/L/s], or rate constants at T_ref; activation energies [J/mol]
        order, c_ref    orders of power laws, order["r_1:A"]; reference concentration [mol/L]
        dH              heats of reaction [J/mol], negative where heat is released
        rhoCp, R        volumetric heat capacity [J/L/K], gas constant [J/mol/K]
        Q_r, Q_j, Q_s   heat of the reactions, from the jacket, and of stirring [W]
        T_ad            adiabatic temperature under cooling failure [K]
        converted       what has reacted of the key species [mol/L]; conversion [1]

    Structure and its checks as in StirredReactor.

    Assumptions: perfect mixing of contents and jacket; constant volumes and heat capacities; no heat to the
    surroundings and none stored in the wall.
    Source: the jacketed reactor of process dynamics texts (e.g. Bequette, Process Dynamics, chapter 9); cascade control
    as in Seborg, Edgar and Mellichamp, Process Dynamics and Control, chapter 16.
    """

    time = "s"

    jacket: Part = CoolantJacket()
