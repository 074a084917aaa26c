"""A well-mixed vessel with any reaction network, an inlet and an outlet."""

from __future__ import annotations

from typing import Any

from titer.flowsheets.declarations import Control, Inlet, Outlet, State
from titer.flowsheets.units.vessel import Stream, Vessel


class ContinuousReactor(Vessel):
    """Well-mixed vessel with any reaction network, an inlet and an outlet: continuous, or a batch filled and emptied.

    Equations
        r_j, k_j, Q_j, T_ad as in StirredReactor
        V dc_i/dt = V sum_j nu_ij r_j + F (c_in,i - c_i),  dV/dt = F - F_out
        rhoCp V dT/dt = Q_r + Q_j + Q_s + F rhoCp (T_in - T),  Q_r = -V sum_j dH_j r_j
        conversion = converted / (converted + c_key),  V dconverted/dt = -V sum_j nu_key,j r_j - F converted

    Symbols
        c, V, T         concentrations [mol/L] over `species`, volume [L], temperature [K]
        F, c_in, T_in   what the inlet `feed` carries [L/s, mol/L, K]: flow, c, T; in a phase without connection no flow
        F_out           flow out [L/s], a control; the outlet `product` carries flow, c, T
        r, k            rates of reaction and rate constants [mol/L/s], over `reactions`
        k0, E           frequency factors [mol/L/s], or rate constants at T_ref; activation energies [J/mol]
        order, c_ref    orders of power laws, order["r_1:A"]; reference concentration [mol/L]
        nu, dH          stoichiometric coefficients; heats of reaction [J/mol], negative where heat is released
        rhoCp, R        volumetric heat capacity [J/L/K], gas constant [J/mol/K]
        Q_r, Q_j, Q_s   heat of the reactions, from the jacket, and of stirring [W]
        T_ad            adiabatic temperature under cooling failure [K], feed and outflow stopped
        converted       what has reacted of the key species [mol/L], diluted by the feed, so that conversion [1] counts
                        batch, fed and continuous operation alike

    Structure and its checks as in StirredReactor; a species that only comes with the feed is named in `added`.

    Assumptions: perfect mixing; volumes add; one constant rhoCp for contents and streams.
    Source: as StirredReactor; Fogler, Elements of Chemical Reaction Engineering, chapters 2 and 12.
    """

    time = "s"

    V = State("L", start=1.0, lower=1e-6, doc="volume of the contents")
    F_out = Control("L/s", start=0.0, lower=0.0, upper=1.0, doc="flow out")
    feed = Inlet("L/s", c=("mol/L", "species"), T="K")
    product = Outlet("L/s", c=("mol/L", "species"), T="K")

    def inflow(self, v: Any) -> Stream:
        return Stream(v.feed.flow, v.feed.c, v.feed.T)

    def outflow(self, v: Any) -> Any:
        return v.F_out

    def leaving(self, v: Any) -> dict[str, Any]:
        return {"product": {"flow": v.F_out, "c": v.c, "T": v.T}}
