"""A published fit: the isomerization of alpha-pinene, five first-order constants from forty measurements."""

from __future__ import annotations

from typing import Any

from titer.cases.case import Outcome, Progress, case
from titer.cases.published_fit import PublishedFit, fitted_as_published
from titer.flowsheets import Equations, Free, Parameter, State, Unit

# Mass %, at minutes: alpha-pinene, dipentene, allo-ocimene, pyronene, dimer. Fuguitt and Hawkins, J. Am. Chem. Soc. 69
# (1947) 319, as tabulated by Box, Hunter, MacGregor and Erjavec, Technometrics 15 (1973) 33, and in the COPS collection
# (the table from ExaModels, MIT licence, copyright 2024 MadNLP).
MEASURED = {
    1230.0: (88.35, 7.3, 2.3, 0.4, 1.75),
    3060.0: (76.4, 15.6, 4.5, 0.7, 2.8),
    4920.0: (65.1, 23.1, 5.3, 1.1, 5.8),
    7800.0: (50.4, 32.9, 6.0, 1.5, 9.3),
    10680.0: (37.5, 42.7, 6.0, 1.9, 12.0),
    15030.0: (25.9, 49.1, 5.9, 2.2, 17.0),
    22620.0: (14.0, 57.4, 5.1, 2.6, 21.0),
    36420.0: (4.5, 63.1, 3.8, 2.9, 25.7),
}
SSE = "19.8721"
PUBLISHED = ("5.92585e-5", "2.96340e-5", "2.04728e-5", "2.74468e-4", "3.99795e-5")


class Isomerization(Unit):
    """Thermal isomerization of alpha-pinene at 189.5 C.

    Equations
        dy_1/dt = -(k_1 + k_2) y_1,  dy_2/dt = k_1 y_1,  dy_3/dt = k_2 y_1 - (k_3 + k_4) y_3 + k_5 y_5
        dy_4/dt = k_3 y_3,  dy_5/dt = k_4 y_3 - k_5 y_5

    Symbols
        y_1 ... y_5   alpha-pinene, dipentene, allo-ocimene, pyronene, dimer [mass %]
        k_1 ... k_5   rate constants [1/min]

    Assumptions: first order in each species, constant temperature and density.
    Source: Box, Hunter, MacGregor and Erjavec, Technometrics 15 (1973) 33; problem 6 of Dolan, More and Munson,
    Benchmarking Optimization Software with COPS 3.0 (2004).
    """

    time = "min"

    y_1 = State("1", start=100.0, lower=0.0, nominal=100.0, doc="alpha-pinene, mass %")
    y_2 = State("1", start=0.0, lower=0.0, nominal=100.0, doc="dipentene, mass %")
    y_3 = State("1", start=0.0, lower=0.0, nominal=10.0, doc="allo-ocimene, mass %")
    y_4 = State("1", start=0.0, lower=0.0, nominal=10.0, doc="pyronene, mass %")
    y_5 = State("1", start=0.0, lower=0.0, nominal=30.0, doc="dimer, mass %")

    k_1 = Parameter("1/min", 5e-5, lower=0.0, doc="alpha-pinene to dipentene")
    k_2 = Parameter("1/min", 5e-5, lower=0.0, doc="alpha-pinene to allo-ocimene")
    k_3 = Parameter("1/min", 5e-5, lower=0.0, doc="allo-ocimene to pyronene")
    k_4 = Parameter("1/min", 5e-5, lower=0.0, doc="allo-ocimene to dimer")
    k_5 = Parameter("1/min", 5e-5, lower=0.0, doc="dimer to allo-ocimene")

    def equations(self, v: Any) -> Equations:
        to_y_2, to_y_3, to_y_4 = v.k_1 * v.y_1, v.k_2 * v.y_1, v.k_3 * v.y_3
        dimerized = v.k_4 * v.y_3 - v.k_5 * v.y_5
        return Equations(
            rate={
                "y_1": -to_y_2 - to_y_3,
                "y_2": to_y_2,
                "y_3": to_y_3 - to_y_4 - dimerized,
                "y_4": to_y_4,
                "y_5": dimerized,
            }
        )

    def conserved(self, v: Any) -> dict[str, Any]:
        """Mass."""
        return {"mass": v.y_1 + v.y_2 + v.y_3 + v.y_4 + v.y_5}


def published() -> PublishedFit:
    """The problem with its answer."""
    import pandas as pd

    unit = Isomerization("pinene")
    constants = [unit.k_1, unit.k_2, unit.k_3, unit.k_4, unit.k_5]
    return PublishedFit(
        unit=unit,
        frame=pd.DataFrame.from_dict(
            MEASURED, orient="index", columns=[unit.y_1, unit.y_2, unit.y_3, unit.y_4, unit.y_5]
        ),
        sse=SSE,
        values=dict(zip(constants, PUBLISHED, strict=True)),
        free=dict.fromkeys(constants, Free(5e-5, 0.0, 1e-2)),
        source="Box et al. (1973); COPS 3.0, problem 6",
        reading="All five constants come from one run. k_1 and k_2 are told by the large fractions and known to 1 and "
        "2 %; the dimer's formation and return, k_4 and k_5, by the little allo-ocimene alone, to 9 and 23 %.",
        start={unit.y_1: 100.0},
    )


@case("pinene", title="Published fit: isomerization of alpha-pinene")
def pinene(progress: Progress, *, quick: bool = False) -> Outcome:
    """Published fit: five constants of the isomerization of alpha-pinene (COPS), with their intervals."""
    return fitted_as_published(progress, published())
