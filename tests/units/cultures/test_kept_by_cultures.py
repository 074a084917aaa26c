"""What a culture keeps: carbon and nitrogen, and the contract of the library in every combination of its parts."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from titer.flowsheets import Control, Flowsheet, Parameter, Phase, Recipe, diagnose, simulate
from titer.flowsheets.units import (
    Adiabatic,
    Batch,
    Bioreactor,
    CardinalPH,
    CardinalTemperature,
    CascadeJacket,
    CoolantJacket,
    Death,
    FedBatch,
    Feed,
    Growth,
    Haldane,
    Isothermal,
    Kinetics,
    Lysis,
    Maintenance,
    Monod,
    Moser,
    Outflow,
    Overflow,
    OxygenTransfer,
    Perfusion,
    Piped,
    Production,
    Scarcest,
    StirredTransfer,
    Thermostat,
    UptakeGrowth,
)


def ran(culture, hours, inputs=None, tolerance=1e-11, **phase):
    return simulate(Flowsheet(culture), Recipe(Phase("run", hours, **phase)), inputs or {}, tolerance=tolerance)


def hours_of(run):
    return run.frame().index.to_numpy()


# --- elements --------------------------------------------------------------------------------------------------------

# Glucose + ammonia + oxygen -> biomass CH1.8O0.5N0.2 (24.626 g/C-mol) + CO2, half a gram of biomass by gram of glucose
SUGAR, BIOMASS = {"C": 6 * 12.011e-3}, {"C": 12.011 / 24.626, "N": 0.2 * 14.007 / 24.626}  # g by mmol, g by g
BY_SUGAR = 0.5 * 0.180156  # g by mmol
BY_AMMONIA = 14.007e-3 / BIOMASS["N"]
BY_CO2 = 12.011e-3 / (SUGAR["C"] / BY_SUGAR - BIOMASS["C"])
BY_OXYGEN = 1.0 / ((24.0 / BY_SUGAR - 4.2 * 1000.0 / 24.626) / 4.0)  # by degrees of reduction
CONTENTS = {
    "C": {"Glc": SUGAR["C"], "X": BIOMASS["C"], "CO2": 12.011e-3},
    "N": {"NH3": 14.007e-3, "X": BIOMASS["N"]},
}


def closed(by_co2=BY_CO2, kind=Batch, oxygen=None, **changes):
    """A culture whose carbon and nitrogen are accounted for."""
    yields = {"Glc": BY_SUGAR, "NH3": BY_AMMONIA, "CO2": -by_co2} | ({"O2": BY_OXYGEN} if oxygen else {})
    return kind(
        "culture",
        substrates=("Glc", "NH3"),
        products=("CO2",),
        units=dict.fromkeys(("Glc", "NH3", "CO2"), "mmol/L"),
        kinetics=Kinetics(growth=Growth(0.4, Monod("Glc", 0.5), Monod("NH3", 0.1), yields=yields)),
        contents=CONTENTS,
        gas=oxygen,
        X=0.2,
        Glc=100.0,
        NH3=90.0,
        **changes,
    )


def held(culture, frame, element):
    return frame[culture.V] * sum(w * frame[f"culture.{key}"] for key, w in CONTENTS[element].items())


def test_carbon_and_nitrogen_of_a_closed_culture_stay():
    culture = closed()
    frame = ran(culture, 12.0).frame()
    assert frame[culture.Glc].iloc[-1] < 1.0
    for element in CONTENTS:
        total = held(culture, frame, element)
        np.testing.assert_allclose(total, total.iloc[0], rtol=1e-8)


def test_carbon_of_a_fed_and_gassed_culture_leaves_with_the_gas():
    """What is held less what was fed is what the off-gas took, by its own port."""
    oxygen = OxygenTransfer(kLa=400.0, Q=2.0, y_CO2_in=0.0, controls=())
    culture = closed(kind=FedBatch, oxygen=oxygen, feeds={"feed": Feed({"Glc": 2000.0}, flow="F")})
    run = ran(culture, 10.0, {culture.F: 0.005})
    frame = run.frame()
    t, n = hours_of(run), frame[culture.off_gas.flow] * frame[culture.off_gas.y["CO2"]]  # mol/h
    left = np.concatenate([[0.0], np.cumsum(np.diff(t) * (n.to_numpy()[1:] + n.to_numpy()[:-1]) / 2.0)]) * 12.011
    fed = 0.005 * 2000.0 * SUGAR["C"] * t
    expected = held(culture, frame, "C").iloc[0] + fed - left
    np.testing.assert_allclose(held(culture, frame, "C"), expected, rtol=2e-4)  # the trapezoidal rule's
    np.testing.assert_allclose(held(culture, frame, "N"), held(culture, frame, "N").iloc[0], rtol=1e-8)


def test_carbon_leaves_with_the_gas_at_once_where_the_exchange_is_quasi_steady():
    oxygen = OxygenTransfer(kLa=400.0, Q=2.0, y_CO2_in=0.0, controls=(), quasi_steady=True)
    culture = closed(oxygen=oxygen)
    assert "does not hold" not in str(diagnose(Flowsheet(culture), Recipe(Phase("run", 12.0))))


def test_diagnose_names_the_element_that_does_not_close():
    found = diagnose(Flowsheet(closed(by_co2=1.1 * BY_CO2)), Recipe(Phase("run", 12.0)))
    assert [finding.severity.name for finding in found.findings].count("ERROR") == 1
    assert "the total 'C' of culture does not hold" in str(found)
    assert "'N'" not in str(found)
    good = diagnose(Flowsheet(closed()), Recipe(Phase("run", 12.0)))
    assert "does not hold" not in str(good)


# --- every combination keeps the contract of the library -------------------------------------------------------------

_SPEC = importlib.util.spec_from_file_location(
    "library_contract", Path(__file__).parents[2] / "flowsheets/test_contract.py"
)
library = sys.modules["library_contract"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(library)

RICH = Kinetics(
    growth=Growth(0.4, Scarcest(Monod("S", 0.1), Monod("O2", 0.003)), yields={"S": 0.5, "O2": 0.03, "CO2": -0.03}),
    reuse=UptakeGrowth("P", 0.2, Moser("P", 0.3, 2.0), Haldane("S", 0.1, 5.0), Y=0.4, m=0.01),
    upkeep=Maintenance("O2", 0.5, Monod("O2", 0.003)),
    overflow=Overflow("P", "S", q_crit=0.3, Y=0.4),
    product=Production("Q", 0.1, 0.01, yields={"S": 0.8}),
    death=Death(0.01, Monod("P", 3.0), into="Xd"),
    lysis=Lysis("Xd", 0.02, into={"Q": 0.1}),
)
NARROW = {"T_jmin": {"lower": 270.0, "upper": 290.0}, "T_jmax": {"lower": 390.0, "upper": 410.0}}


def rich(kind, **changes):
    names = {"products": ("P", "Q", "Xd", "CO2"), "units": {"CO2": "mmol/L"}}
    return kind("culture", kinetics=RICH, X=1.0, S=20.0, P=1.0, V=2.0, **names, **changes)


@pytest.mark.parametrize(
    "culture",
    [
        closed(),
        closed(oxygen=OxygenTransfer()),
        closed(kind=FedBatch, oxygen=StirredTransfer(), feeds={"feed": Feed({"Glc": 2000.0})}, sampling=0.01),
        rich(Batch, gas=OxygenTransfer(controls=("kLa", "Q", "y_O2_in"))),
        rich(
            FedBatch,
            gas=StirredTransfer(),
            heat=CoolantJacket(),
            combustion={"O2": 460.0},
            feeds={"feed": Feed({"S": 400.0}, T=290.0, flow="F")},
            evaporation=0.01,
        ),
        rich(
            Perfusion,
            bled=True,
            gas=OxygenTransfer(),
            heat=CascadeJacket(**NARROW),
            combustion={"S": 15.6e3, "X": 21.2e3},
            feeds={"feed": Feed({"S": 40.0}, T=290.0, flow="F")},
            carried=("X", "S", "P"),
        ),
        closed(kind=FedBatch, oxygen=OxygenTransfer(quasi_steady=True), feeds={"feed": Feed({"Glc": 2000.0})}),
        rich(
            FedBatch,
            gas=StirredTransfer(quasi_steady=True),
            heat=CoolantJacket(),
            combustion={"O2": 460.0},
            feeds={"feed": Feed({"S": 400.0, "CO2": 1.0}, T=290.0, flow="F")},
            evaporation=0.01,
        ),
        rich(Batch, gas=OxygenTransfer(), heat=Thermostat(), combustion={"O2": 460.0}),
        rich(Batch, gas=OxygenTransfer(), heat=Isothermal(), combustion={}),
        Bioreactor(
            "culture",
            feeds={"seed": Piped(T=300.0), "feed": Feed({"S": 100.0}, T=290.0)},
            outflows={"broth": Outflow({"X": 0.5})},
            heat=Adiabatic(),
            combustion={"S": 15.6e3},
            conditions={"pH": Control("1", start=7.0, lower=5.0, upper=8.0)},
            parameters={"k": Parameter("1", 0.5)},
            kinetics=Kinetics(
                growth=Growth(0.4, CardinalTemperature(280.0, 310.0, 320.0), CardinalPH(4.0, 7.0, 9.0), lambda v: v.k)
            ),
        ),
    ],
    ids=lambda unit: f"{type(unit).__name__}-{type(unit.gas).__name__}-{type(unit.heat).__name__}",
)
def test_every_combination_is_read_alike_and_conserves(culture):
    contract = library.Contract(culture)
    for reading in ("on_floats", "on_pyomo"):
        library.agree(contract, reading, 1e-10)  # roots of sums of squares lose some digits of the sixteen
    values = contract.plant.values if culture.contents else {}  # elements close by values of the yields
    for point in contract.points():
        point |= {v.name: values[v.name] for v in contract.dae.parameters if v.name in values}
        assert max(contract.imbalances(point).values()) < 1e-10
    library.test_units_are_consistent_to_pyomo_as_well(contract)
    library.test_rates_are_finite_at_the_start_and_on_the_way(contract)
    library.test_the_equations_are_square_and_of_index_1(contract)
