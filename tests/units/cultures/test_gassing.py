"""Oxygen and carbon dioxide against steady states, gas balances, and the published correlation of kLa."""

from __future__ import annotations

import re

import numpy as np
import pytest

from titer.control import optimize
from titer.flowsheets import AtEnd, Flowsheet, Path, Phase, PiecewiseConstant, Recipe, simulate
from titer.flowsheets.units import (
    Batch,
    FedBatch,
    Feed,
    Growth,
    Kinetics,
    Maintenance,
    Monod,
    OxygenTransfer,
    Production,
    StirredTransfer,
)
from titer.numerics.errors import DeclarationError

AIR, SOLUBILITY, P = 0.2095, 1.07, 1.01325
MANY = 1e7  # L/min: gas enough that its composition does not change
BREATHING = Kinetics(upkeep=Maintenance("O2", 2.0))  # mmol/g/h


def ran(culture, hours, inputs=None, tolerance=1e-11):
    return simulate(Flowsheet(culture), Recipe(Phase("run", hours)), inputs or {}, tolerance=tolerance)


def at_rest(gas, kinetics=BREATHING, **changes):
    """Cells that breathe and do not grow."""
    return Batch("culture", substrates=(), kinetics=kinetics, gas=gas, **changes)


# --- oxygen ----------------------------------------------------------------------------------------------------------


def test_oxygen_rises_to_saturation_as_kla_says():
    """The dynamic method of measuring kLa, without cells: 1 - exp(-kLa t)."""
    culture = at_rest(OxygenTransfer(kLa=30.0, Q=MANY, controls=()), O2=0.0)
    run = ran(culture, 0.2)
    rising = 1.0 - np.exp(-30.0 * run.frame().index.to_numpy())
    np.testing.assert_allclose(run[culture.O2], SOLUBILITY * P * AIR * rising, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(run[culture.gas.DOT], 100.0 * rising, rtol=1e-6, atol=1e-6)


def test_dissolved_oxygen_at_rest_is_what_the_off_gas_allows_less_what_transfer_needs():
    """c = H p y - OUR/kLa with y = (n_in y_in - OUR V)/(n_in - OUR V)."""
    culture = at_rest(OxygenTransfer(kLa=150.0, Q=1.5, controls=()), X=8.0, V=2.0)
    run = ran(culture, 2.0)
    OUR, n_in = 2.0 * 8.0, 1.5 / 24.055 * 60.0 * 1000.0  # mmol/L/h, mmol/h
    y = (n_in * AIR - OUR * 2.0) / (n_in - OUR * 2.0)
    c = SOLUBILITY * P * y - OUR / 150.0
    assert run.at_end(culture.gas.y_O2) == pytest.approx(y, rel=1e-9)
    assert run.at_end(culture.O2) == pytest.approx(c, rel=1e-8)
    assert run.at_end(culture.gas.DOT) == pytest.approx(100.0 * c / (SOLUBILITY * P * AIR), rel=1e-8)
    assert run.at_end(culture.gas.OTR) == pytest.approx(OUR, rel=1e-9)


def test_the_off_gas_lacks_what_the_culture_took():
    """At rest, O2 in less O2 out is OUR V, by the outlet's own numbers, to 1e-10; nitrogen passes through."""
    culture = at_rest(OxygenTransfer(kLa=150.0, Q=1.5, controls=()), X=8.0, V=2.0)
    end = ran(culture, 4.0, tolerance=1e-12).frame().iloc[-1]
    n_in, n = 1.5 / 24.055 * 60.0, end[culture.off_gas.flow]  # mol/h
    out = {key: n * end[culture.off_gas.y[key]] for key in ("O2", "CO2")}
    assert n_in * AIR - out["O2"] == pytest.approx(end[culture.gas.OUR] * end[culture.V] / 1000.0, rel=1e-10)
    assert out["CO2"] == pytest.approx(n_in * 0.0004, rel=1e-10)
    assert n - sum(out.values()) == pytest.approx(n_in * (1.0 - AIR - 0.0004), rel=1e-12)


def test_pure_oxygen_stays_pure():
    culture = at_rest(OxygenTransfer(kLa=50.0, y_O2_in=1.0, y_CO2_in=0.0, controls=()), X=8.0)
    run = ran(culture, 1.0)
    np.testing.assert_allclose(run[culture.gas.y_O2], 1.0, rtol=1e-10)
    assert run.at_end(culture.O2) == pytest.approx(SOLUBILITY * P - 16.0 / 50.0, rel=1e-8)


def test_where_oxygen_lacks_growth_is_as_fast_as_transfer():
    """Linear instead of exponential: dX/dt = Y kLa c*, oxygen near zero, and never below."""
    growth = Growth(0.5, Monod("S", 0.05), Monod("O2", 1e-3), yields={"S": 0.5, "O2": 0.032})
    gas = OxygenTransfer(Q=MANY)
    culture = Batch("culture", kinetics=Kinetics(growth=growth), gas=gas, X=2.0, S=60.0)
    run = ran(culture, 12.0, {culture.gas.kLa: 100.0}, tolerance=1e-10)
    assert run[culture.O2].min() > 0.0
    assert run[culture.gas.DOT].iloc[-1] < 0.5
    X = run[culture.X]
    late = X[X.index > 6.0]
    slope = np.polyfit(late.index, late, 1)[0]
    saturation = SOLUBILITY * P * AIR
    assert slope == pytest.approx(0.032 * 100.0 * saturation, rel=5e-3)
    exact = 0.032 * 100.0 * (saturation - run[culture.O2][late.index]) / 1.0
    np.testing.assert_allclose(run[culture.kinetics.growth.mu][late.index] * late, exact, rtol=1e-3)


# --- carbon dioxide --------------------------------------------------------------------------------------------------


def test_the_off_gas_shows_the_respiratory_quotient():
    """Steady breathing with 0.9 CO2 by O2: dissolved CO2 and both rates of transfer."""
    breathing = Kinetics(upkeep=Maintenance("O2", 2.0), exhaled=Production("CO2", beta=1.8))
    gas = OxygenTransfer(kLa=150.0, Q=1.5, controls=())
    culture = at_rest(gas, breathing, products=("CO2",), units={"CO2": "mmol/L"}, X=8.0, V=2.0)
    run = ran(culture, 6.0)
    CER, n_in = 1.8 * 8.0, 1.5 / 24.055 * 60.0 * 1000.0
    n = n_in - 2.0 * (16.0 - CER)
    y = (n_in * 0.0004 + 2.0 * CER) / n
    assert run.at_end(culture.gas.RQ) == pytest.approx(0.9, rel=1e-6)
    assert run.at_end(culture.gas.y_CO2) == pytest.approx(y, rel=1e-8)
    assert run.at_end(culture.CO2) == pytest.approx(24.2 * P * y + CER / (0.89 * 150.0), rel=1e-8)


# --- stirring --------------------------------------------------------------------------------------------------------


def stirred(**changes):
    return at_rest(StirredTransfer(**changes), O2=0.1, V=10.0)


@pytest.mark.parametrize(("constants", "kLa"), [((0.026, 0.4, 0.5), 0.0412072), ((0.002, 0.7, 0.2), 0.1002375)])
def test_stirring_and_gassing_give_the_published_transfer(constants, kLa):
    """van 't Riet's two correlations at 1 kW/m^3 and 1 cm/s, in 1/s, worked out by hand."""
    names = dict(zip(("k_ref", "a", "b"), constants, strict=True))
    D, D_T = 0.08, 0.22
    N = 60.0 * (10.0 / (0.6 * 5.0 * 1000.0 * D**5)) ** (1.0 / 3.0)  # 10 W in 10 L
    Q = 0.01 * np.pi / 4.0 * D_T**2 * 60.0 * 1000.0
    culture = stirred(D=D, D_T=D_T, **names)
    run = ran(culture, 0.01, {culture.gas.N: N, culture.gas.Q: Q})
    assert run.at_end(culture.gas.P) == pytest.approx(10.0, rel=1e-12)
    assert run.at_end(culture.gas.kLa) / 3600.0 == pytest.approx(kLa, rel=1e-6)


def test_twice_the_speed_is_eight_times_the_power():
    culture = stirred()
    one, two = (ran(culture, 0.01, {culture.gas.N: N, culture.gas.Q: 5.0}) for N in (300.0, 600.0))
    assert two.at_end(culture.gas.P) == pytest.approx(8.0 * one.at_end(culture.gas.P), rel=1e-12)
    assert two.at_end(culture.gas.kLa) == pytest.approx(8.0**0.4 * one.at_end(culture.gas.kLa), rel=1e-12)


# --- kinetics and decisions that know of oxygen ----------------------------------------------------------------------


def test_kinetics_may_read_the_dissolved_oxygen_in_percent():
    growth = Growth(0.5, lambda v: v.gas.DOT / (v.gas.DOT + 10.0), yields={"O2": 0.03})
    culture = Batch("culture", kinetics=Kinetics(growth=growth), gas=OxygenTransfer(), X=1.0, O2=0.1)
    run = ran(culture, 2.0, {culture.gas.kLa: 200.0})
    DOT = 100.0 * run[culture.O2] / (SOLUBILITY * P * AIR)
    np.testing.assert_allclose(run[culture.kinetics.growth.mu], 0.5 * DOT / (DOT + 10.0), rtol=1e-12)


def test_a_feed_is_found_that_keeps_dissolved_oxygen_above_its_limit():
    """As much biomass as the transfer allows: the limit binds, and is kept on a replay."""
    growth = Growth(0.3, Monod("S", 0.1), Monod("O2", 0.003), yields={"S": 0.5, "O2": 0.032})
    culture = FedBatch(
        "culture",
        kinetics=Kinetics(growth=growth),
        feeds={"feed": Feed({"S": 400.0}, flow="F", upper=0.1)},
        gas=OxygenTransfer(kLa=300.0, Q=2.0, controls=()),
        X=3.0,
        S=1.0,
    )
    plan = optimize(
        Flowsheet(culture),
        Recipe(Phase("feed", 8.0)),
        free={culture.F: PiecewiseConstant(5)},
        maximize=AtEnd(lambda v: v.culture.X * v.culture.V),
        subject_to=[Path(lambda v: v.culture.gas.DOT, lower=20.0, name="oxygen")],
    )
    assert plan.certificate.ok
    DOT = plan[culture.gas.DOT]
    assert 20.0 - 1e-2 < DOT.min() < 20.1
    free = ran(culture, 8.0, {culture.F: 0.05}, tolerance=1e-8)
    assert free[culture.gas.DOT].min() < 5.0  # without the limit, oxygen would run out


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: OxygenTransfer(controls=("kla",)),
            "OxygenTransfer: controls: name 'kla' is unknown. Did you mean 'kLa'?",
        ),
        (
            lambda: Batch("culture", products=("CO2",), gas=OxygenTransfer()),
            "culture (Batch): CO2 is in 'g/L'; what the gas exchanges is in mmol/L.\n"
            '  Write units={"CO2": "mmol/L"}.',
        ),
        (
            lambda: Batch("culture", units={"O2": "mg/L"}, gas=OxygenTransfer()),
            "culture (Batch): O2 comes with the gas, in 'mmol/L'; leave it out of units.",
        ),
        (
            lambda: Batch("culture", kinetics=Kinetics(growth=Growth(0.4, Monod("O2", 0.003)))),
            "culture.kinetics.growth.O2: component 'O2' is unknown.\n  known: S, X\n"
            "  Give the culture gas=OxygenTransfer(), which brings it.",
        ),
    ],
)
def test_gas_that_does_not_fit_is_refused(make, message):
    with pytest.raises(DeclarationError, match=f"^{re.escape(message)}"):
        make()
