"""What does a culture exchange with its gas? Oxygen and carbon dioxide, by kLa; the gas that leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from titer.flowsheets.declarations import Algebraic, Control, Declaration, Expression, Outlet, Parameter, Port, State
from titer.flowsheets.symbols.symbol import magnitude, quantity, symbol_array
from titer.flowsheets.unit import Part
from titer.flowsheets.units.cultures.kinetics.group import per_time, unit_of
from titer.flowsheets.units.jackets import expressed
from titer.numerics.errors import DeclarationError, unknown

_AIR = 0.2095  # oxygen in dry air, by amount


@dataclass(frozen=True, eq=False)
class Exchange:
    """What a culture exchanges with its gas: rates per volume by component, residuals, what the gas outlet carries."""

    rates: Mapping[str, Any] = field(default_factory=dict)
    zero: Mapping[str, Any] = field(default_factory=dict)
    port: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Gas(Part):
    """A gas phase; `dissolved` are the components it adds to the broth, as states, `gases` what its outlet counts.

    `quasi_steady`: those of `gases` that are components of the culture are algebraic variables instead, at which their
    concentrations stand still.
    """

    dissolved: ClassVar[Mapping[str, State]] = {}
    gases: ClassVar[tuple[str, ...]] = ()

    quasi_steady: bool = False

    def ports(self, time: str) -> dict[str, Declaration | Port]:
        """Outlets for the gas that leaves; `time`: the unit of time of the culture."""
        return {}

    def check(self, unit: Any) -> None:
        """Whether the culture has what is exchanged. Raises DeclarationError."""

    def observe(self, g: Any, v: Any) -> None:
        """Define what the kinetics may read of the gas, such as DOT."""

    def exchange(self, g: Any, v: Any, rates: Mapping[str, Any], unit: Any) -> Exchange:
        """What passes between gas and broth; `g`: the view of the part, `v`: that of the culture, `rates`: per volume,
        what the culture makes."""
        raise NotImplementedError

    def heat(self, g: Any) -> Any:
        """The heat of stirring [W] that the part knows of."""
        return quantity(0.0, "W")


class OxygenTransfer(Gas):
    """Oxygen comes from a well-mixed gas by kLa, and carbon dioxide leaves with it.

    Equations
        OTR = kLa (H_O2 p y_O2 - O2),  OUR = what the processes take up of "O2",  DOT = 100 O2 / (0.2095 H_O2 p)
        CTR = k_CO2 kLa (CO2 - H_CO2 p y_CO2) where the culture has a component "CO2" (mmol/L), else 0, without a name
        n_in y_O2_in = n y_O2 + V OTR,  n_in y_CO2_in = n y_CO2 - V CTR
        n_in = Q / V_m,  n = n_in - V (OTR - CTR),  RQ = CTR OTR / (OTR^2 + (1e-3 mmol/L/h)^2)

    Symbols
        O2            dissolved oxygen [mmol/L], a component of the culture that this part adds: named in the yields of
                      growth, in Maintenance("O2", ...) and in factors, Monod("O2", 0.003)
        kLa           transfer coefficient of oxygen [1/h], a control
        Q             gas flow [L/min], measured at the state in which a mole has V_m [L/mol]
        y_O2_in, y_CO2_in   mole fractions in the dry gas that comes in;  p  pressure [bar]
        y_O2, y_CO2   mole fractions in the gas that leaves, which is the gas in the broth
        H_O2, H_CO2   solubilities [mmol/L/bar], those of water at 37 degC unless given
        k_CO2         transfer coefficient of CO2 by that of O2, the root of the ratio of diffusivities
        OTR, OUR, CTR rates of oxygen transfer and uptake, and of CO2 transfer [mmol/L/h];  RQ  respiratory quotient
        DOT           dissolved oxygen [%] by saturation with air at p; kinetics may read it, lambda v: v.gas.DOT

    Its names begin with the part: `inputs={culture.gas.kLa: 300.0}`, `v.culture.gas.DOT`.

    `OxygenTransfer(quasi_steady=True)`: O2, and CO2, are where transfer, turnover and streams balance, dc/dt = 0, under
    the same names. They are states by default, which follow within 1 / kLa, seconds (CO2 within minutes, where little
    gas takes it away): right where these seconds matter, as in a control of DOT, after a pulse, or in measuring kLa.
    Over the hours of a feed they do not: what is left out is (dc/dt) / kLa, an optimization needs a fraction of the
    elements, and oxygen may also limit growth. It needs kLa > 0, or growth that oxygen limits; a bolus brings neither
    O2 nor CO2, and their starts are guesses.

    `controls` names what is given as a trajectory, `OxygenTransfer(controls=("kLa", "Q", "y_O2_in"))`: of kLa, Q, p,
    y_O2_in and y_CO2_in, ("kLa",) unless given; `OxygenTransfer(kLa=200.0, controls=())` has constants alone. Q is
    positive. The outlet `off_gas` carries flow [mol/h] and y over ("O2", "CO2").

    Assumptions: gas and broth are well mixed; the gas holds nothing back (its residence time is short); dry gas; CO2 is
    dissolved as such (pH below 6: bicarbonate would hold more), so that it takes minutes to leave, not hours.
    Source: Villadsen, Nielsen & Liden, Bioreaction Engineering Principles, chapter 10; solubilities: Sander, Atmos.
    Chem. Phys. 15 (2015) 4399; k_CO2: Royce & Thornhill, AIChE J. 37 (1991) 1680.
    """

    dissolved: ClassVar[Mapping[str, State]] = {
        "O2": State("mmol/L", start=0.2, lower=0.0, nominal=0.1, doc="dissolved oxygen")
    }
    gases: ClassVar[tuple[str, ...]] = ("O2", "CO2")
    steerable: ClassVar[tuple[str, ...]] = ("kLa", "Q", "p", "y_O2_in", "y_CO2_in")

    controls: tuple[str, ...] = ("kLa",)

    kLa: Any = Parameter("1/h", 200.0, lower=0.0, doc="transfer coefficient of oxygen")
    Q = Parameter("L/min", 1.0, lower=1e-6, doc="gas flow")
    V_m = Parameter("L/mol", 24.055, lower=1.0, doc="molar volume of the gas as Q measures it: 20 degC, 1.01325 bar")
    p = Parameter("bar", 1.01325, lower=1e-3, doc="pressure")
    y_O2_in = Parameter("1", _AIR, lower=0.0, upper=1.0, doc="oxygen in the gas that comes in")
    y_CO2_in = Parameter("1", 0.0004, lower=0.0, upper=1.0, doc="CO2 in the gas that comes in")
    H_O2 = Parameter("mmol/L/bar", 1.07, lower=0.0, doc="solubility of oxygen")
    y_O2 = Algebraic("1", start=0.2, lower=0.0, nominal=0.2, doc="oxygen in the gas that leaves")
    y_CO2 = Algebraic("1", start=0.01, lower=0.0, nominal=0.05, doc="CO2 in the gas that leaves")
    DOT = Expression("1", doc="dissolved oxygen in % of saturation with air")

    def derived(self) -> dict[str, Declaration | Port]:
        rate = f"mmol/L*{per_time(self)}"
        found: dict[str, Declaration | Port] = {
            "OTR": Expression(rate, doc="oxygen transfer"),
            "OUR": Expression(rate, doc="oxygen uptake"),
        }
        if unit_of(self) is None or "CO2" in unit_of(self).components:
            found |= {
                "H_CO2": Parameter("mmol/L/bar", 24.2, lower=0.0, doc="solubility of CO2"),
                "k_CO2": Parameter("1", 0.89, lower=0.0, doc="transfer coefficient of CO2 by that of oxygen"),
                "CTR": Expression(rate, doc="CO2 transfer"),
                "RQ": Expression("1", doc="respiratory quotient of the off-gas"),
            }
        for key in self.controls:
            if key not in self.steerable:
                raise DeclarationError(f"{self._who}: controls: {unknown('name', key, self.steerable)}")
            declared: Any = type(self).declarations[key]
            found[key] = Control(
                declared.unit, start=declared.start, lower=declared.lower, upper=declared.upper, doc=declared.doc
            )
        return found

    def ports(self, time: str) -> dict[str, Declaration | Port]:
        return {"off_gas": Outlet(f"mol/{time}", y=("1", "gases"))}

    def check(self, unit: Any) -> None:
        if "CO2" in unit.components and unit.unit_of("CO2") != "mmol/L":
            raise DeclarationError(
                f"{unit._who}: CO2 is in {unit.unit_of('CO2')!r}; what the gas exchanges is in mmol/L.\n"
                '  Write units={"CO2": "mmol/L"}.'
            )

    def observe(self, g: Any, v: Any) -> None:
        g.define("DOT", 100.0 * v.O2 / (_AIR * g.H_O2 * g.p))

    def coefficient(self, g: Any, v: Any, time: str) -> Any:
        """kLa, as it is given."""
        return g.kLa

    def exchange(self, g: Any, v: Any, rates: Mapping[str, Any], unit: Any) -> Exchange:
        time = unit.time
        kLa, per = self.coefficient(g, v, time), f"mmol/L/{time}"
        OTR = g.define("OTR", expressed(kLa * (g.H_O2 * g.p * g.y_O2 - v.O2), per))
        g.define("OUR", -rates["O2"] if "O2" in rates else quantity(0.0, per))
        CTR: Any = quantity(0.0, per)
        if "CO2" in unit.components:
            CTR = g.define("CTR", expressed(g.k_CO2 * kLa * (v["CO2"] - g.H_CO2 * g.p * g.y_CO2), per))
            g.define("RQ", CTR * OTR / (OTR**2 + quantity(1e-3, per) ** 2))
        brought = expressed(g.Q / g.V_m / v.V, per)
        leaving = brought - OTR + CTR
        return Exchange(
            rates={"O2": OTR, "CO2": -CTR} if "CO2" in unit.components else {"O2": OTR},
            zero={
                "gas.y_O2": brought * g.y_O2_in - leaving * g.y_O2 - OTR,
                "gas.y_CO2": brought * g.y_CO2_in - leaving * g.y_CO2 + CTR,
            },
            port={"off_gas": {"flow": expressed(leaving * v.V, f"mol/{time}"), "y": symbol_array([g.y_O2, g.y_CO2])}},
        )


class StirredTransfer(OxygenTransfer):
    """Oxygen transfer by stirring and gassing: kLa from the power of the stirrer and the velocity of the gas.

    Equations
        kLa = k_ref (P/V)^a v_s^b,  P/V in W/m^3, v_s in m/s
        P = gassed N_P rho N^3 D^5,  v_s = Q / (pi/4 D_T^2)
        the others as in OxygenTransfer

    Symbols
        N             stirrer speed [1/min], a control like Q
        k_ref, a, b   0.026 1/s, 0.4, 0.5: water, where bubbles coalesce; 0.002 1/s, 0.7, 0.2: with ions, where they do
                      not. Within 20 to 40 %, for 500 to 10000 W/m^3 and vessels of 2 L to 2.6 m^3
        P             power of the stirrer [W], which ends as heat of the broth where that has an energy balance
        N_P, gassed   power number of the stirrers together; part of the power that is left under gassing
        D, D_T        diameters of stirrer and vessel [m];  rho density [kg/L]
        kLa           transfer coefficient of oxygen [1/h]; the others as in OxygenTransfer

    `controls` may name N, Q, p, y_O2_in and y_CO2_in. N is positive.

    Assumptions: turbulent flow; as in OxygenTransfer; the velocity is that of the flow as Q measures it.
    Source: van 't Riet, Ind. Eng. Chem. Process Des. Dev. 18 (1979) 357.
    """

    steerable: ClassVar[tuple[str, ...]] = ("N", "Q", "p", "y_O2_in", "y_CO2_in")
    controls: tuple[str, ...] = ("N", "Q")

    kLa: Any = Expression("1/h", doc="transfer coefficient of oxygen")
    P = Expression("W", doc="power of the stirrer")
    N = Parameter("1/min", 500.0, lower=1.0, doc="stirrer speed")
    N_P = Parameter("1", 5.0, lower=0.0, doc="power number")
    gassed = Parameter("1", 0.6, lower=0.0, upper=1.0, doc="power under gassing by that without")
    rho = Parameter("kg/L", 1.0, lower=0.0, doc="density of the broth")
    D = Parameter("m", 0.05, lower=1e-3, doc="diameter of the stirrer")
    D_T = Parameter("m", 0.12, lower=1e-3, doc="diameter of the vessel")
    k_ref = Parameter("1/s", 0.026, lower=0.0, doc="kLa at 1 W/m^3 and 1 m/s")
    a = Parameter("1", 0.4, doc="exponent of power by volume")
    b = Parameter("1", 0.5, doc="exponent of gas velocity")

    def coefficient(self, g: Any, v: Any, time: str) -> Any:
        P = g.define("P", expressed(g.gassed * g.N_P * g.rho * g.N**3 * g.D**5, "W"))
        v_s = g.Q / (np.pi / 4.0 * g.D_T**2)
        kLa = g.k_ref * magnitude(P / v.V, "W/m^3") ** g.a * magnitude(v_s, "m/s") ** g.b
        return g.define("kLa", expressed(kLa, "1/h"))

    def heat(self, g: Any) -> Any:
        return g.P
