"""A published fit: catalytic cracking of gas oil, a second-order step and two more constants."""

from __future__ import annotations

from typing import Any

from titer.cases.case import Outcome, Progress, case
from titer.cases.published_fit import PublishedFit, fitted_as_published
from titer.flowsheets import Equations, Free, Parameter, State, Unit

# Fractions of gas oil and gasoline at times of 1 (dimensionless in the source), without the start: Tjoa and Biegler,
# Ind. Eng. Chem. Res. 30 (1991) 376, as in the COPS collection (the table from ExaModels, MIT licence, copyright 2024
# MadNLP).
MEASURED = {
    0.025: (0.8105, 0.2),
    0.05: (0.6208, 0.2886),
    0.075: (0.5258, 0.301),
    0.1: (0.4345, 0.3215),
    0.125: (0.3903, 0.3123),
    0.15: (0.3342, 0.2716),
    0.175: (0.3034, 0.2551),
    0.2: (0.2735, 0.2258),
    0.225: (0.2405, 0.1959),
    0.25: (0.2283, 0.1789),
    0.3: (0.2071, 0.1457),
    0.35: (0.1669, 0.1198),
    0.4: (0.153, 0.0909),
    0.45: (0.1339, 0.0719),
    0.5: (0.1265, 0.0561),
    0.55: (0.12, 0.046),
    0.65: (0.099, 0.028),
    0.75: (0.087, 0.019),
    0.85: (0.077, 0.014),
    0.95: (0.069, 0.01),
}
SSE = "5.2366e-3"
PUBLISHED = ("11.8467", "8.3445", "1.0014")


class Cracking(Unit):
    """Catalytic cracking of gas oil to gasoline and to the rest.

    Equations
        dy_1/dt = -(k_1 + k_3) y_1^2,  dy_2/dt = k_1 y_1^2 - k_2 y_2

    Symbols
        y_1, y_2        fractions of gas oil and of gasoline [1]
        k_1, k_2, k_3   gas oil to gasoline, gasoline to the rest, gas oil to the rest [1/h]

    Assumptions: gas oil cracks by second order, for its lighter parts crack first. The source gives no unit of time;
    an hour stands for it here.
    Source: Froment and Bischoff, Chemical Reactor Analysis and Design; Tjoa and Biegler (1991); COPS 3.0, problem 8.
    """

    time = "h"

    y_1 = State("1", start=1.0, lower=0.0, doc="gas oil")
    y_2 = State("1", start=0.0, lower=0.0, doc="gasoline")

    k_1 = Parameter("1/h", 5.0, lower=0.0, doc="gas oil to gasoline")
    k_2 = Parameter("1/h", 5.0, lower=0.0, doc="gasoline to the rest")
    k_3 = Parameter("1/h", 5.0, lower=0.0, doc="gas oil to the rest")

    def equations(self, v: Any) -> Equations:
        square = v.y_1**2
        return Equations(rate={"y_1": -(v.k_1 + v.k_3) * square, "y_2": v.k_1 * square - v.k_2 * v.y_2})


def published() -> PublishedFit:
    """The problem with its answer."""
    import pandas as pd

    unit = Cracking("cracking")
    constants = [unit.k_1, unit.k_2, unit.k_3]
    return PublishedFit(
        unit=unit,
        frame=pd.DataFrame.from_dict(MEASURED, orient="index", columns=[unit.y_1, unit.y_2]),
        sse=SSE,
        values=dict(zip(constants, PUBLISHED, strict=True)),
        free=dict.fromkeys(constants, Free(5.0, 0.0, 100.0)),
        source="Tjoa and Biegler (1991); COPS 3.0, problem 8",
        reading="Gas oil alone tells k_1 + k_3; how it is shared is told by the gasoline, so that k_1 and k_3 have "
        "errors of opposite sign.",
        start={},
    )


@case("gas_oil", title="Published fit: catalytic cracking of gas oil")
def gas_oil(progress: Progress, *, quick: bool = False) -> Outcome:
    """Published fit: three constants of the catalytic cracking of gas oil (COPS), with their intervals."""
    return fitted_as_published(progress, published())
