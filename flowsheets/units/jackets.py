"""How is a vessel heated and cooled? Parts for the field `jacket` of a reactor, and for the `wall` of a jacket."""

from __future__ import annotations

from typing import Any, ClassVar

from titer.flowsheets.declarations import Conserved, Control, Expression, Parameter, State
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.smooth import smooth_abs, smooth_clip
from titer.flowsheets.symbols.symbol import Symbol, magnitude, quantity
from titer.flowsheets.unit import Part


def expressed(x: Any, unit: str) -> Any:
    """The same quantity in another unit of its dimension, such as W for J/h."""
    if isinstance(x, Symbol) and x.measure.same(Measure.of(unit)):
        return x
    return quantity(magnitude(x, unit), unit)


class Wall(Part):
    """The wall between jacket and contents, wetted as far as the vessel is filled.

    Equations: UA = U (A_0 + A_V V). Symbols: U heat-transfer coefficient [W/m^2/K], A_0 area of the bottom [m^2],
    A_V area per volume of contents [m^2/L], V volume [L], UA [W/K].
    """

    U = Parameter("W/m^2/K", 500.0, lower=0.0, doc="heat-transfer coefficient")
    A_0 = Parameter("m^2", 0.0, lower=0.0, doc="area of the bottom")
    A_V = Parameter("m^2/L", 0.1, lower=0.0, doc="wetted area per volume")
    UA = Expression("W/K", doc="heat-transfer coefficient times area")

    def conduct(self, w: Any, vessel: Any, time: str) -> dict[str, Any]:
        """Define UA; return the rates of the wall's own states."""
        w.define("UA", w.U * (w.A_0 + w.A_V * vessel.V))
        return {}


class FoulingWall(Wall):
    """A wall whose heat-transfer coefficient falls as a deposit grows, with time and with what deposits.

    Equations: UA = (A_0 + A_V V) / (1/U + R_f),  dR_f/dt = f_t + sum_i f_c,i c_i. Symbols: R_f fouling resistance
    [m^2 K/W], f_t its growth in time [m^2 K/W/s], f_c its growth per concentration of each species
    [m^2 K L/W/mol/s]; the others as in Wall. A phase after cleaning has start={reactor.jacket.wall.R_f: 0.0}.
    """

    R_f = State("m^2*K/W", start=0.0, lower=0.0, nominal=1e-3, doc="fouling resistance")
    f_t = Parameter("m^2*K/W/s", 0.0, lower=0.0, doc="growth of the deposit in time")
    f_c = Parameter("m^2*K*L/W/mol/s", 0.0, lower=0.0, over="species", doc="growth of the deposit with each species")

    def conduct(self, w: Any, vessel: Any, time: str) -> dict[str, Any]:
        w.define("UA", (w.A_0 + w.A_V * vessel.V) / (1.0 / w.U + w.R_f))
        return {"wall.R_f": expressed(w.f_t + sum(w.f_c * vessel.c), f"m^2*K/W/{time}")}


class Isothermal(Part):
    """No heats are known and the temperature stays. Equations: dT/dt = 0, Q_j = -(all other heat)."""

    keeps_temperature: ClassVar[bool] = True
    knows_heats: ClassVar[bool] = False

    def exchange(self, j: Any, vessel: Any, others: Any, time: str) -> tuple[Any, dict[str, Any]]:
        """The heat to the contents [W], given that from `others`, and the rates of the jacket's own states."""
        return -others, {}

    def stored(self, j: Any, vessel: Any, time: str) -> dict[str, Conserved]:
        """Energy that the jacket itself holds."""
        return {}


class Thermostat(Isothermal):
    """A temperature control that always suffices keeps the temperature; Q_j is what it must remove or supply.

    Equations: dT/dt = 0, Q_j = -(Q_r + Q_s + heat of the feed).
    """

    knows_heats: ClassVar[bool] = True


class Adiabatic(Isothermal):
    """No jacket. Equations: Q_j = 0."""

    keeps_temperature: ClassVar[bool] = False
    knows_heats: ClassVar[bool] = True

    def exchange(self, j: Any, vessel: Any, others: Any, time: str) -> tuple[Any, dict[str, Any]]:
        return quantity(0.0, "W"), {}


class Jacket(Adiabatic):
    """A jacket of given temperature.

    Equations: Q_j = UA (T_j - T). Symbols: T_j jacket temperature [K], the control; UA [W/K] of the part `wall`: a
    Wall (U, A_0, A_V) or a FoulingWall.
    """

    wall: Part = Wall()

    T_j = Control("K", start=334.0, lower=250.0, upper=450.0, doc="jacket temperature")

    def exchange(self, j: Any, vessel: Any, others: Any, time: str) -> tuple[Any, dict[str, Any]]:
        wall: Any = self.wall
        own = wall.conduct(j.wall, vessel, time)
        return j.wall.UA * (j.T_j - vessel.T), own


class CoolantJacket(Jacket):
    """A stirred jacket through which coolant flows.

    Equations: Q_j = UA (T_j - T),  rhoCp_c V_j dT_j/dt = rhoCp_c F_c (T_c - T_j) - Q_j. Symbols: T_j jacket temperature
    [K], F_c coolant flow [L/s], the control, T_c inlet temperature of the coolant [K], V_j jacket volume [L], rhoCp_c
    volumetric heat capacity of the coolant [J/L/K], UA [W/K] of the part `wall`: a Wall (U, A_0, A_V) or a FoulingWall.
    """

    T_j = State("K", start=320.0, lower=200.0, upper=800.0, doc="jacket temperature")
    F_c = Control("L/s", start=0.01, lower=0.0, upper=0.1, doc="coolant flow")
    T_c = Parameter("K", 290.0, lower=200.0, doc="inlet temperature of the coolant")
    V_j = Parameter("L", 0.2, lower=1e-6, doc="jacket volume")
    rhoCp_c = Parameter("J/L/K", 4180.0, lower=1.0, doc="volumetric heat capacity of the coolant")

    def exchange(self, j: Any, vessel: Any, others: Any, time: str) -> tuple[Any, dict[str, Any]]:
        wall: Any = self.wall
        own = wall.conduct(j.wall, vessel, time) | self.steer(j, vessel, time)
        Q_j = j.wall.UA * (j.T_j - vessel.T)
        heat = expressed(j.rhoCp_c * j.F_c * (j.T_c - j.T_j), "W") - Q_j
        return Q_j, own | {"T_j": expressed(heat / (j.rhoCp_c * j.V_j), f"K/{time}")}

    def steer(self, j: Any, vessel: Any, time: str) -> dict[str, Any]:
        """Settle the coolant flow; here it is given."""
        return {}

    def stored(self, j: Any, vessel: Any, time: str) -> dict[str, Conserved]:
        brought = expressed(j.rhoCp_c * j.F_c * (j.T_c - j.T_j), "W") - vessel.Q_j
        brought = expressed(brought, f"J/{time}")
        return {"jacket": Conserved(j.rhoCp_c * j.V_j * j.T_j, brought)}


class CascadeJacket(CoolantJacket):
    """A coolant jacket under cascade control: an outer PI controller of the reactor temperature sets the jacket
    temperature that an inner PI controller holds by the coolant flow.

    Equations
        wanted = T_set + K_T (T_set - T) + I_T,  T_jset = clip(wanted, T_jmin, T_jmax)
        called = K_F (T_j - T_jset) + I_F,  F_c = clip(called, 0, F_max)
        dI_F/dt = g_F K_F/tau_F (T_j - T_jset),  dI_T/dt = g_F g_T K_T/tau_T (T_set - T)
        Q_j and dT_j/dt as in CoolantJacket
    clip is smooth_clip, rounded over a hundredth of the range, and g_T, g_F are its slopes: 1 inside the limits and 0
    outside, so that integration stops where a limit acts (no windup) and, as nothing leaks, ends without offset.

    Symbols: T_set set point [K], the control; T_jset set point of the jacket [K] within T_jmin and T_jmax [K]; F_c
    coolant flow [L/s] up to F_max; K_T [K/K], tau_T [s], K_F [L/s/K], tau_F [s] gains and integral times; I_T [K],
    I_F [L/s] the integrators; T_j, T_c, V_j, rhoCp_c, UA and `wall` (U, A_0, A_V) as in CoolantJacket. It cools only:
    T_c is to lie below T_set.
    """

    T_set = Control("K", start=330.0, lower=250.0, upper=450.0, doc="set point of the reactor temperature")
    F_c = Expression("L/s", doc="coolant flow")
    T_jset = Expression("K", doc="set point of the jacket temperature")
    I_T = State("K", start=0.0, nominal=10.0, doc="integrator of the outer controller")
    I_F = State("L/s", start=0.0, nominal=0.01, doc="integrator of the inner controller")
    K_T = Parameter("1", 3.0, lower=0.0, doc="gain of the outer controller")
    tau_T = Parameter("s", 600.0, lower=1e-3, doc="integral time of the outer controller")
    K_F = Parameter("L/s/K", 2e-3, lower=0.0, doc="gain of the inner controller")
    tau_F = Parameter("s", 60.0, lower=1e-3, doc="integral time of the inner controller")
    T_jmin = Parameter("K", 280.0, doc="lowest set point of the jacket")
    T_jmax = Parameter("K", 400.0, doc="highest set point of the jacket")
    F_max = Parameter("L/s", 0.1, lower=0.0, doc="highest coolant flow")

    def steer(self, j: Any, vessel: Any, time: str) -> dict[str, Any]:
        e_T = j.T_set - vessel.T
        wanted = j.T_set + j.K_T * e_T + j.I_T
        T_jset, g_T = _limited(wanted, j.T_jmin, j.T_jmax)
        e_F = j.T_j - j.define("T_jset", T_jset)
        called = j.K_F * e_F + j.I_F
        F_c, g_F = _limited(called, quantity(0.0, "L/s"), j.F_max)
        j.define("F_c", F_c)
        return {
            "I_T": expressed(g_F * g_T * j.K_T / j.tau_T * e_T, f"K/{time}"),
            "I_F": expressed(g_F * j.K_F / j.tau_F * e_F, f"L/s/{time}"),
        }


def _limited(x: Any, lower: Any, upper: Any) -> tuple[Any, Any]:
    """A signal kept within limits, and the slope of what it is kept by."""
    width = 0.01 * (upper - lower)
    slope = (x - lower) / smooth_abs(x - lower, width) - (x - upper) / smooth_abs(x - upper, width)
    return smooth_clip(x, lower, upper, width), slope / 2.0
