"""Which mistakes are made in the statement of an optimization? Eight, from bounds that cross to too few elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.mistakes.mistake import Mistake
from titer.control import optimize
from titer.flowsheets import (
    AtEnd,
    Control,
    Equations,
    Flowsheet,
    Free,
    Integral,
    Parameter,
    Path,
    Phase,
    PiecewiseConstant,
    Recipe,
    State,
    Unit,
)
from titer.numerics import Grid
from titer.numerics.errors import SolveError, SpecificationError


class FedBatch(Unit):
    """Monod growth in a fed-batch."""

    time = "h"
    X = State("g/L", start=0.5, lower=0.0)
    S = State("g/L", start=10.0, lower=0.0)
    V = State("L", start=1.0, lower=0.1, upper=5.0)
    F = Control("L/h", start=0.02, lower=0.0, upper=0.05)
    mu_max = Parameter("1/h", 0.4)
    K_S = Parameter("g/L", 0.5)
    Y = Parameter("g/g", 0.5)
    S_F = Parameter("g/L", 200.0)

    def equations(self, v: Any) -> Equations:
        mu, D = v.mu_max * v.S / (v.K_S + v.S), v.F / v.V
        return Equations(
            rate={"X": mu * v.X - D * v.X, "S": D * (v.S_F - v.S) - mu * v.X / v.Y, "V": v.F},
        )


def fed(harvest: float = 12.0, **bounds: float) -> Any:
    """Most biomass in ten hours, at a density at harvest of so many g/L."""
    culture = FedBatch("culture")
    return optimize(
        Flowsheet(culture),
        Recipe(Phase("feed", 10.0)),
        free={culture.F: PiecewiseConstant(6, **bounds)},
        maximize=AtEnd(lambda v: v.culture.X * v.culture.V),
        subject_to=[AtEnd(lambda v: v.culture.X, lower=harvest, name="harvest density")],
    )


class Vessel(Unit):
    """A -> B, with heat, in a jacketed vessel."""

    time = "min"
    c_A = State("mol/L", start=2.0, lower=0.0)
    c_B = State("mol/L", start=0.0, lower=0.0)
    T = State("K", start=320.0, lower=250.0, upper=450.0)
    T_j = Control("K", start=315.0, lower=290.0, upper=370.0)
    k_ref = Parameter("1/min", 0.02, doc="at 330 K")
    T_a = Parameter("K", 9500.0, doc="activation temperature")
    T_ref = Parameter("K", 330.0)
    rise = Parameter("K*L/mol", 15.0, doc="adiabatic rise")
    U = Parameter("1/min", 0.1, doc="heat transfer by heat capacity")

    def equations(self, v: Any) -> Equations:
        r = v.k_ref * np.exp(v.T_a * (1.0 / v.T_ref - 1.0 / v.T)) * v.c_A
        return Equations(rate={"c_A": -r, "c_B": r, "T": v.rise * r + v.U * (v.T_j - v.T)})


def held(dissolution: float) -> Any:
    """Heat up, then hold the temperature between what dissolves the reactant and what degrades the product."""
    vessel = Vessel("vessel")
    return optimize(
        Flowsheet(vessel),
        Recipe(Phase("heat", 30.0), Phase("hold", 60.0)),
        free={vessel.T_j: PiecewiseConstant(3)},
        maximize=AtEnd(lambda v: v.vessel.c_B),
        subject_to=[
            Path(lambda v: v.vessel.T, upper=335.0, phase="hold", name="degradation"),
            Path(lambda v: v.vessel.T, lower=dissolution, phase="hold", name="dissolution"),
        ],
        grid=Grid(12),
    )


def walled(charge: float) -> Any:
    """Most product in an hour below a wall temperature, charged at some temperature."""
    vessel = Vessel("vessel", T=charge, c_A=8.0)
    return optimize(
        Flowsheet(vessel),
        Recipe(Phase("react", 60.0)),
        free={vessel.T_j: PiecewiseConstant(4)},
        maximize=AtEnd(lambda v: v.vessel.c_B),
        subject_to=[Path(lambda v: v.vessel.T, upper=345.0, name="wall temperature")],
    )


class IsothermalVessel(Vessel):
    """The rate is taken at the reference temperature, whatever the vessel's."""

    def equations(self, v: Any) -> Equations:
        r = v.k_ref * v.c_A
        return Equations(rate={"c_A": -r, "c_B": r, "T": v.rise * r + v.U * (v.T_j - v.T)})


def most_product(vessel: Vessel) -> Any:
    """The jacket's profile that makes most product in an hour."""
    return optimize(
        Flowsheet(vessel),
        Recipe(Phase("react", 60.0)),
        free={vessel.T_j: PiecewiseConstant(4, upper=330.0)},
        maximize=AtEnd(lambda v: v.vessel.c_B),
        grid=Grid(16),
    )


class Conversion(Unit):
    """An enzyme converts what it is fed, in amounts."""

    time = "h"
    n_S = State("mol", start=1.0, lower=0.0)
    n_P = State("mol", start=0.0, lower=0.0)
    F = Control("mol/h", start=0.5, lower=0.0)
    k = Parameter("1/h", 0.8)

    def equations(self, v: Any) -> Equations:
        return Equations(rate={"n_S": v.F - v.k * v.n_S, "n_P": v.k * v.n_S})


def profit(**pump: float) -> Any:
    """Price of the product less the cost of the feed, by a pump of some size."""
    enzyme = Conversion("enzyme")
    return optimize(
        Flowsheet(enzyme),
        Recipe(Phase("convert", 8.0)),
        free={enzyme.F: PiecewiseConstant(4, **pump)},
        maximize=5.0 * AtEnd(lambda v: v.enzyme.n_P) - 0.5 * Integral(lambda v: v.enzyme.F),
        grid=Grid(8),
    )


class Diafiltration(Unit):
    """Buffer washes an impurity through a membrane that holds the product back, at constant volume."""

    time = "h"
    n_P = State("g", start=50.0, lower=0.0)
    n_I = State("g", start=20.0, lower=0.0)
    D = Control("L/h", start=1.0, lower=0.0, upper=2.0, doc="buffer")
    V = Parameter("L", 2.0)
    sieving_P = Parameter("1", 0.005)
    sieving_I = Parameter("1", 0.8)

    def equations(self, v: Any) -> Equations:
        return Equations(
            rate={"n_P": -v.sieving_P * v.D * v.n_P / v.V, "n_I": -v.sieving_I * v.D * v.n_I / v.V},
        )


def washed(purity: float) -> Any:
    """Least buffer for a purity and a yield in at most four hours."""
    filtration = Diafiltration("filter")
    return optimize(
        Flowsheet(filtration),
        Recipe(Phase("wash", Free(3.0, 1.0, 4.0))),
        free={filtration.D: PiecewiseConstant(2)},
        minimize=Integral(lambda v: v.filter.D),
        subject_to=[
            AtEnd(lambda v: v.filter.n_P / (v.filter.n_P + v.filter.n_I), lower=purity, name="purity"),
            AtEnd(lambda v: v.filter.n_P, lower=45.0, name="yield"),
        ],
        grid=Grid(8),
    )


def ignited(elements: int | None) -> Any:
    """Fastest conversion of a charge that ignites, on a mesh of some elements (None: as many as it takes)."""
    vessel = Vessel("vessel", c_A=6.0, U=0.3)
    return optimize(
        Flowsheet(vessel),
        Recipe(Phase("react", 60.0)),
        free={vessel.T_j: PiecewiseConstant(2)},
        minimize=Integral(lambda v: v.vessel.c_A),
        grid=Grid(elements),
        strict=False,
    )


MISTAKES = (
    Mistake(
        "infeasible end constraint",
        provoke=lambda: fed(harvest=80.0),
        mended=fed,
        culprits=("harvest density",),
        raises=(SolveError,),
    ),
    Mistake(
        "contradicting path bounds",
        provoke=lambda: held(dissolution=340.0),
        mended=lambda: held(dissolution=325.0),
        culprits=("degradation", "dissolution"),
        together=True,
        raises=(SpecificationError, SolveError),
    ),
    Mistake(
        "unreachable purity",
        provoke=lambda: washed(0.999),
        mended=lambda: washed(0.97),
        culprits=("purity",),
        raises=(SolveError,),
    ),
    Mistake(
        "control bounds crossed",
        provoke=lambda: fed(lower=0.08),  # more than the pump gives
        mended=lambda: fed(lower=0.01),
        culprits=("culture.F",),
        raises=(SpecificationError,),
    ),
    Mistake(
        "objective without influence",
        provoke=lambda: most_product(IsothermalVessel("vessel")),
        mended=lambda: most_product(Vessel("vessel")),
        culprits=("vessel.c_B", "vessel.T_j"),
        raises=(SpecificationError,),
    ),
    Mistake(
        "unbounded profit",
        provoke=profit,
        mended=lambda: profit(upper=3.0),
        culprits=("enzyme.F",),
        raises=(SolveError,),
    ),
    Mistake(
        "too coarse a mesh",
        provoke=lambda: ignited(3),
        mended=lambda: ignited(None),
        culprits=("vessel.T", "vessel.c_A"),
    ),
    Mistake(
        "a bound active at start",
        provoke=lambda: walled(345.0),
        mended=lambda: walled(320.0),
        culprits=("wall temperature",),
        raises=(SpecificationError, SolveError),
    ),
)
