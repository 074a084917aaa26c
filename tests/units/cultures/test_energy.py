"""The energy balance of a culture against analytic temperatures, calorimetry, and its own total."""

from __future__ import annotations

import re

import numpy as np
import pytest

from titer.flowsheets import Control, Flowsheet, Phase, Recipe, simulate
from titer.flowsheets.units import (
    Adiabatic,
    ArrheniusFactor,
    Batch,
    CascadeJacket,
    Conversion,
    FedBatch,
    Feed,
    FoulingWall,
    Growth,
    Jacket,
    Kinetics,
    Monod,
    OxygenTransfer,
    StirredTransfer,
    Thermostat,
    Wall,
)
from titer.numerics.errors import DeclarationError

AT_REST = Kinetics(growth=Growth(0.0))


def ran(culture, hours, inputs=None, tolerance=1e-11):
    return simulate(Flowsheet(culture), Recipe(Phase("run", hours)), inputs or {}, tolerance=tolerance)


def hours_of(run):
    return run.frame().index.to_numpy()


# --- temperature -----------------------------------------------------------------------------------------------------


def test_constant_heat_warms_at_a_constant_rate():
    culture = Batch("culture", kinetics=AT_REST, heat=Adiabatic(), combustion={}, Q_s=10.0, V=2.0, T=300.0)
    run = ran(culture, 3.0)
    np.testing.assert_allclose(run[culture.T], 300.0 + 10.0 * 3600.0 * hours_of(run) / (4180.0 * 2.0), rtol=1e-12)


def test_a_jacket_takes_the_culture_to_its_temperature_exponentially():
    jacket = Jacket(wall=Wall(U=400.0, A_0=0.02, A_V=0.05))
    culture = Batch("culture", kinetics=AT_REST, heat=jacket, combustion={}, V=2.0, T=293.15)
    run = ran(culture, 2.0, {culture.heat.T_j: 310.15})
    rate = 400.0 * 0.12 * 3600.0 / (4180.0 * 2.0)
    np.testing.assert_allclose(run[culture.T], 310.15 - 17.0 * np.exp(-rate * hours_of(run)), rtol=1e-9)


def test_a_cold_feed_cools_as_it_mixes():
    """T V = T_0 V_0 + T_feed F t, with the feed's temperature as a parameter."""
    feeds = {"feed": Feed({"S": 100.0}, T=285.0, flow="F")}
    culture = FedBatch(
        "culture", kinetics=AT_REST, feeds=feeds, heat=Adiabatic(), combustion={}, V=1.0, T=310.0, T_feed=280.0
    )
    run = ran(culture, 5.0, {culture.F: 0.1})
    t = hours_of(run)
    np.testing.assert_allclose(run[culture.T], (310.0 + 280.0 * 0.1 * t) / (1.0 + 0.1 * t), rtol=1e-10)


def test_what_evaporates_takes_its_latent_heat():
    """rhoCp V dT/dt = -E latent with V = 1 - E t: T falls by latent/rhoCp ln(1/V)."""
    culture = Batch("culture", kinetics=AT_REST, heat=Adiabatic(), combustion={}, evaporation=0.002, T=310.0, V=1.0)
    run = ran(culture, 10.0)
    V = 1.0 - 0.002 * hours_of(run)
    np.testing.assert_allclose(run[culture.T], 310.0 + 2.4e6 / 4180.0 * np.log(V), rtol=1e-9)


def test_a_thermostat_says_what_must_be_removed():
    kinetics = Kinetics(growth=Growth(0.3, Monod("S", 0.1), yields={"S": 0.5, "O2": 0.032}))
    culture = Batch(
        "culture",
        kinetics=kinetics,
        gas=OxygenTransfer(),
        heat=Thermostat(),
        combustion={"O2": 460.0},
        X=1.0,
        S=30.0,
        V=3.0,
    )
    run = ran(culture, 6.0, {culture.gas.kLa: 500.0})
    made = 460.0 * run[culture.gas.OUR] * 3.0 / 3600.0  # J/mmol * mmol/L/h * L
    np.testing.assert_allclose(run[culture.Q_met], made, rtol=1e-12)
    np.testing.assert_allclose(run[culture.Q_j], -made, rtol=1e-12)
    np.testing.assert_allclose(run[culture.T], 310.15, rtol=0.0)


def test_the_stirrer_warms_what_it_stirs():
    culture = Batch(
        "culture",
        substrates=(),
        kinetics=AT_REST,
        gas=StirredTransfer(),
        heat=Adiabatic(),
        combustion={},
        Q_s=1.0,
        V=2.0,
        T=300.0,
    )
    run = ran(culture, 1.0, {culture.gas.N: 600.0, culture.gas.Q: 2.0})
    heat = 1.0 + run.at_end(culture.gas.P)
    assert run.at_end(culture.T) == pytest.approx(300.0 + heat * 3600.0 / (4180.0 * 2.0), rel=1e-10)


def test_growth_that_warms_itself_is_held_by_a_cascade():
    """T as a state inside the kinetics: without cooling it leaves the range, the cascade keeps it within a kelvin."""
    growth = Growth(0.35, Monod("S", 0.1), ArrheniusFactor(5.0e4, 310.15), yields={"S": 0.5})
    shared = {"kinetics": Kinetics(growth=growth), "combustion": {"S": 15.6e3, "X": 21.2e3}, "X": 2.0, "S": 60.0}
    loose = Batch("culture", heat=Adiabatic(), **shared)
    held = Batch("culture", heat=CascadeJacket(T_j=305.0, wall=Wall(A_V=0.02)), **shared)
    assert ran(loose, 6.0, tolerance=1e-8)[loose.T].max() > 330.0
    run = ran(held, 6.0, {held.heat.T_set: 310.15}, tolerance=1e-8)
    late = run[held.T][run[held.T].index > 1.0]
    assert (late - 310.15).abs().max() < 1.0


# --- calorimetry -----------------------------------------------------------------------------------------------------


def test_a_textbook_growth_sets_free_its_published_heat():
    """2 glucose + 0.2 NH3 -> CH1.8O0.5N0.2 + 0.2 ethanol at mu = 0.5/h: 2424 kJ per mol of biomass and hour (GATE)."""
    names = ("X", "glucose", "NH3", "ethanol")
    culture = Batch(
        "culture",
        substrates=("glucose", "NH3"),
        products=("ethanol",),
        units=dict.fromkeys(names, "mol/L"),
        kinetics=Kinetics(growth=Growth(0.5, yields={"glucose": 0.5, "NH3": 5.0, "ethanol": -5.0})),
        heat=Thermostat(),
        combustion={"glucose": 2802e3, "NH3": 383e3, "X": 560e3, "ethanol": 1366e3},
        X=0.01,
        glucose=1.0,
        NH3=1.0,
    )
    run = ran(culture, 2.0)
    specific = run[culture.Q_met] * 3600.0 / run[culture.X]  # J/mol/h
    np.testing.assert_allclose(specific / 1000.0, 2424.0, atol=0.5)


def test_oxygen_and_combustion_say_the_same_heat_for_yeast():
    """460 J/mmol of O2 against the heats of combustion of glucose, ammonia and cells, within ten per cent.

    Half a gram of CH1.8O0.5N0.2 by gram of glucose; the oxygen is that of degrees of reduction, 24 and 4.2.
    """
    by_glucose = 0.5 * 180.156 / 24.626  # C-mol by mol
    by_oxygen = by_glucose / ((24.0 - 4.2 * by_glucose) / 4.0)
    growth = Growth(0.3, Monod("glucose", 0.5), yields={"glucose": by_glucose, "NH3": 5.0, "O2": by_oxygen})
    heats = {
        "oxycaloric": {"O2": 460.0},
        "combustion": {"glucose": 2803.0, "NH3": 383.0, "X": 560.0},  # J/mmol
    }
    found = {}
    for key, combustion in heats.items():
        culture = Batch(
            "culture",
            substrates=("glucose", "NH3"),
            units=dict.fromkeys(("X", "glucose", "NH3"), "mmol/L"),
            kinetics=Kinetics(growth=growth),
            gas=OxygenTransfer(),
            heat=Thermostat(),
            combustion=combustion,
            X=50.0,
            glucose=100.0,
            NH3=100.0,
        )
        found[key] = ran(culture, 3.0, {culture.gas.kLa: 500.0}, tolerance=1e-8).at_end(culture.Q_met)
    assert found["combustion"] / found["oxycaloric"] == pytest.approx(1.0, abs=0.1)
    assert found["combustion"] / found["oxycaloric"] == pytest.approx(479.0 / 460.0, rel=1e-3)  # worked out by hand


def test_energy_of_a_closed_adiabatic_culture_stays():
    """Heat and what combustion would set free, together, to 1e-8; it warms by the difference."""
    turned = Conversion({"S": -1, "P": 0.4}, lambda v: v.kinetics.growth.mu * v.X)
    kinetics = Kinetics(growth=Growth(0.3, Monod("S", 0.1), yields={"S": 0.5}), turned=turned)
    combustion = {"S": 15.6e3, "X": 21.2e3, "P": 29.7e3}
    culture = Batch(
        "culture", products=("P",), kinetics=kinetics, heat=Adiabatic(), combustion=combustion, X=1.0, S=20.0
    )
    frame = ran(culture, 12.0).frame()
    chemical = sum(h * frame[f"culture.{key}"] for key, h in combustion.items())
    total = frame[culture.V] * (4180.0 * frame[culture.T] + chemical)
    np.testing.assert_allclose(total, total.iloc[0], rtol=1e-8)
    freed = (chemical.iloc[0] - chemical.iloc[-1]) / 4180.0
    assert freed > 5.0
    assert frame[culture.T].iloc[-1] - 310.15 == pytest.approx(freed, rel=1e-7)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Batch("culture", heat=Jacket()),
            "culture (Batch): what heat does the metabolism set free?\n"
            '  Give combustion={"O2": 460.0}, the oxycaloric value',
        ),
        (
            lambda: Batch("culture", combustion={"S": 15.6e3}),
            "culture (Batch): combustion is given, but nothing balances heat.\n  Add heat=Jacket(...), or",
        ),
        (
            lambda: Batch("culture", heat=Jacket(), combustion={"O2": 460.0}),
            "culture (Batch): combustion: component 'O2' is unknown.\n  known: S, X",
        ),
        (
            lambda: Batch("culture", heat=OxygenTransfer(), combustion={}),
            "culture (Batch): heat is a part such as Jacket(), CoolantJacket(), Adiabatic() or Thermostat(), got ",
        ),
        (
            lambda: Batch("culture", heat=Jacket(), combustion={}, conditions={"T": Control("K", start=310.0)}),
            "culture (Batch): T is a state of the energy balance, and a condition.\n  Give one of the two.",
        ),
        (
            lambda: FedBatch("culture", heat=Jacket(), combustion={}),
            "culture (FedBatch): feed feed has no temperature, which the energy balance needs.\n"
            "  Write Feed(..., T=298.15), in K.",
        ),
        (
            lambda: Batch("culture", heat=Jacket(wall=FoulingWall()), combustion={}),
            "culture (Batch): a FoulingWall counts the species of a reactor, which a culture has not.",
        ),
    ],
)
def test_heat_that_is_not_balanced_is_refused(make, message):
    with pytest.raises(DeclarationError, match=f"^{re.escape(message)}"):
        make()
