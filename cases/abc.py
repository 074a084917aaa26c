"""A published fit: first-order A -> B -> C, whose measurements are exact but for rounding."""

from __future__ import annotations

from typing import Any

from titer.cases.case import Outcome, Progress, case
from titer.cases.published_fit import PublishedFit, fitted_as_published
from titer.flowsheets import Equations, Free, Parameter, State, Unit

# Fractions of A and B at hours (no unit in the source): Tjoa and Biegler, Ind. Eng. Chem. Res. 30 (1991) 376.
MEASURED = {
    0.1: (0.606, 0.373),
    0.2: (0.368, 0.564),
    0.3: (0.223, 0.647),
    0.4: (0.135, 0.669),
    0.5: (0.082, 0.656),
    0.6: (0.050, 0.624),
    0.7: (0.030, 0.583),
    0.8: (0.018, 0.539),
    0.9: (0.011, 0.494),
    1.0: (0.007, 0.451),
}
SSE = "1.18584e-6"
PUBLISHED = ("5.0035", "1.0000")


class Consecutive(Unit):
    """Consecutive reactions A -> B -> C, first order, isothermal.

    Equations
        dy_A/dt = -k_1 y_A,  dy_B/dt = k_1 y_A - k_2 y_B

    Symbols
        y_A, y_B    fractions of A and B [1]
        k_1, k_2    rate constants [1/h]

    Assumptions: constant temperature and volume. The source gives no unit of time; an hour stands for it here.
    Source: Tjoa and Biegler, Ind. Eng. Chem. Res. 30 (1991) 376, problem 1.
    """

    time = "h"

    y_A = State("1", start=1.0, lower=0.0, doc="A left")
    y_B = State("1", start=0.0, lower=0.0, doc="B made, and left")
    k_1 = Parameter("1/h", 2.0, lower=0.0, doc="A to B")
    k_2 = Parameter("1/h", 2.0, lower=0.0, doc="B to C")

    def equations(self, v: Any) -> Equations:
        r_1, r_2 = v.k_1 * v.y_A, v.k_2 * v.y_B
        return Equations(rate={"y_A": -r_1, "y_B": r_1 - r_2})


def published() -> PublishedFit:
    """The problem with its answer."""
    import pandas as pd

    unit = Consecutive("batch")
    constants = [unit.k_1, unit.k_2]
    return PublishedFit(
        unit=unit,
        frame=pd.DataFrame.from_dict(MEASURED, orient="index", columns=[unit.y_A, unit.y_B]),
        sse=SSE,
        values=dict(zip(constants, PUBLISHED, strict=True)),
        free=dict.fromkeys(constants, Free(2.0, 0.0, 50.0)),
        source="Tjoa and Biegler (1991), problem 1",
        reading="The residuals are as large as the rounding to three printed digits makes them (2.9e-4): these data "
        "were computed, with k_1 = 5 and k_2 = 1. The fit's k_1 is 2.4 standard errors from that: rounding is not the "
        "independent normal noise that intervals assume.",
        start={},
    )


@case("abc", title="Published fit: A \u2192 B \u2192 C")
def abc(progress: Progress, *, quick: bool = False) -> Outcome:
    """Published fit: two constants of A -> B -> C (Tjoa and Biegler 1991), with their intervals."""
    return fitted_as_published(progress, published())
