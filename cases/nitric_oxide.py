"""A published fit: the oxidation of nitric oxide, a third-order step and its return."""

from __future__ import annotations

from typing import Any

from titer.cases.case import Outcome, Progress, case
from titer.cases.published_fit import PublishedFit, fitted_as_published
from titer.flowsheets import Equations, Free, Parameter, State, Unit

# Fall of pressure, mmHg, at minutes: Bodenstein and Lindner, Z. Phys. Chem. 100 (1922) 68.
MEASURED = {
    1.0: 1.4,
    2.0: 6.3,
    3.0: 10.4,
    4.0: 14.2,
    5.0: 17.6,
    6.0: 21.4,
    7.0: 23.0,
    9.0: 27.0,
    11.0: 30.4,
    14.0: 34.4,
    19.0: 38.8,
    24.0: 41.6,
    29.0: 43.5,
    39.0: 45.3,
}
SSE = "22.03094"
PUBLISHED = ("4.5704e-6", "2.7845e-4")


class Oxidation(Unit):
    """Oxidation of nitric oxide in a closed vessel, 2 NO + O2 <-> 2 NO2, followed by the pressure.

    Equations
        dy/dt = k_1 (a - y) (b - y)^2 - k_2 y^2

    Symbols
        y           fall of the pressure, the extent of the reaction [mmHg]
        a, b        O2 and half of NO at the start [mmHg]: 126.2 and 91.9
        k_1, k_2    rate constants, forth [1/min/mmHg^2] and back [1/min/mmHg], with their factors of 4

    Assumptions: ideal gas, constant temperature and volume; at the extent y there are a - y of O2, 2 (b - y) of NO, 2 y
    of NO2.
    Source: Bodenstein and Lindner (1922); Bellman, Jacquez, Kalaba and Schwimmer, Math. Biosci. 1 (1967) 71.
    """

    time = "min"

    y = State("mmHg", start=0.0, lower=0.0, upper=91.9, nominal=50.0, doc="fall of the pressure")
    k_1 = Parameter("1/min/mmHg^2", 1e-6, lower=0.0, doc="oxidation")
    k_2 = Parameter("1/min/mmHg", 1e-4, lower=0.0, doc="return")
    a = Parameter("mmHg", 126.2, doc="O2 at the start")
    b = Parameter("mmHg", 91.9, doc="half of NO at the start")

    def equations(self, v: Any) -> Equations:
        return Equations(rate={"y": v.k_1 * (v.a - v.y) * (v.b - v.y) ** 2 - v.k_2 * v.y**2})


def published() -> PublishedFit:
    """The problem with its answer."""
    import pandas as pd

    unit = Oxidation("oxidation")
    return PublishedFit(
        unit=unit,
        frame=pd.DataFrame.from_dict(MEASURED, orient="index", columns=[unit.y]),
        sse=SSE,
        values=dict(zip([unit.k_1, unit.k_2], PUBLISHED, strict=True)),
        free={unit.k_1: Free(1e-6, 0.0, 1e-3), unit.k_2: Free(1e-4, 0.0, 1.0)},
        source="Bodenstein and Lindner (1922); Bellman et al. (1967)",
        reading="The first four minutes lie below the fit, all of them: the residuals are no noise, the gas reacted "
        "later than the clock began. The intervals do not count that.",
        start={},
    )


@case("nitric_oxide", title="Published fit: oxidation of nitric oxide")
def nitric_oxide(progress: Progress, *, quick: bool = False) -> Outcome:
    """Published fit: two constants of the oxidation of nitric oxide (Bodenstein 1922), with their intervals."""
    return fitted_as_published(progress, published())
