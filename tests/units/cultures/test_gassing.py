"""Oxygen and carbon dioxide against steady states, gas balances, and the published correlation of kLa."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
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
from titer.numerics.errors import DeclarationError, SpecificationError

AIR, SOLUBILITY, P = 0.2095, 1.07, 1.01325
MANY = 1e7  # L/min: gas enough that its composition does not change
BREATHING = Kinetics(upkeep=Maintenance("O2", 2.0))  # mmol/g/h


def ran(culture, hours, inputs=None, tolerance=1e-11, **phase):
    return simulate(Flowsheet(culture), Recipe(Phase("run", hours, **phase)), inputs or {}, tolerance=tolerance)


STEADY = pytest.mark.parametrize("quasi_steady", [False, True], ids=["states", "quasi-steady"])


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


@STEADY
def test_dissolved_oxygen_at_rest_is_what_the_off_gas_allows_less_what_transfer_needs(quasi_steady):
    """c = H p y - OUR/kLa with y = (n_in y_in - OUR V)/(n_in - OUR V)."""
    culture = at_rest(OxygenTransfer(kLa=150.0, Q=1.5, controls=(), quasi_steady=quasi_steady), X=8.0, V=2.0)
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


@STEADY
def test_where_oxygen_lacks_growth_is_as_fast_as_transfer(quasi_steady):
    """Linear instead of exponential: dX/dt = Y kLa c*, oxygen near zero, and never below."""
    growth = Growth(0.5, Monod("S", 0.05), Monod("O2", 1e-3), yields={"S": 0.5, "O2": 0.032})
    gas = OxygenTransfer(Q=MANY, quasi_steady=quasi_steady)
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


@STEADY
def test_the_off_gas_shows_the_respiratory_quotient(quasi_steady):
    """Steady breathing with 0.9 CO2 by O2: dissolved CO2 and both rates of transfer."""
    breathing = Kinetics(upkeep=Maintenance("O2", 2.0), exhaled=Production("CO2", beta=1.8))
    gas = OxygenTransfer(kLa=150.0, Q=1.5, controls=(), quasi_steady=quasi_steady)
    culture = at_rest(gas, breathing, products=("CO2",), units={"CO2": "mmol/L"}, X=8.0, V=2.0)
    run = ran(culture, 6.0)
    CER, n_in = 1.8 * 8.0, 1.5 / 24.055 * 60.0 * 1000.0
    n = n_in - 2.0 * (16.0 - CER)
    y = (n_in * 0.0004 + 2.0 * CER) / n
    assert run.at_end(culture.gas.RQ) == pytest.approx(0.9, rel=1e-6)
    assert run.at_end(culture.gas.y_CO2) == pytest.approx(y, rel=1e-8)
    assert run.at_end(culture.CO2) == pytest.approx(24.2 * P * y + CER / (0.89 * 150.0), rel=1e-8)


# --- quasi-steady exchange -------------------------------------------------------------------------------------------


def fed(quasi_steady, kLa=300.0, **changes):
    """A fed-batch that oxygen slows down."""
    growth = Growth(0.25, Monod("S", 0.1), Monod("O2", 0.003), yields={"S": 0.5, "O2": 0.032})
    return FedBatch(
        "culture",
        kinetics=Kinetics(growth=growth),
        feeds={"feed": Feed({"S": 400.0}, flow="F", upper=0.1)},
        gas=OxygenTransfer(kLa=kLa, Q=2.0, controls=(), quasi_steady=quasi_steady),
        **{"X": 0.3, "S": 10.0} | changes,
    )


def test_quasi_steady_oxygen_is_ahead_by_growth_over_the_square_of_transfer():
    """X = exp(mu t): c* - OUR/kLa instead of c* - OUR/(kLa + mu), the exact solution once the start is forgotten."""
    found = {}
    for quasi_steady in (False, True):
        growth = Kinetics(growth=Growth(0.5, yields={"O2": 0.03}))
        gas = OxygenTransfer(kLa=60.0, Q=MANY, controls=(), quasi_steady=quasi_steady)
        culture = Batch("culture", substrates=(), kinetics=growth, gas=gas, X=0.1)
        run = ran(culture, 4.0)
        X = 0.1 * np.exp(0.5 * 4.0)
        np.testing.assert_allclose(run.at_end(culture.X), X, rtol=1e-9)
        found[quasi_steady] = run.at_end(culture.O2)
        rate = 60.0 if quasi_steady else 60.5
        assert found[quasi_steady] == pytest.approx(SOLUBILITY * P * AIR - 0.5 * X / 0.03 / rate, rel=1e-7)
    assert found[False] - found[True] == pytest.approx(0.5 * X / 0.03 * 0.5 / 60.0 / 60.5, rel=1e-4)


def test_a_fed_batch_grows_alike_but_for_the_oxygen_that_the_broth_holds():
    with_state, without = (ran(fed(steady), 30.0, {"culture.F": 0.004}, 1e-10) for steady in (False, True))
    assert without["culture.gas.DOT"].min() < 2.0  # oxygen limits
    apart = (with_state["culture.X"] - without["culture.X"]).abs().max()
    assert 0.0 < apart < 0.032 * SOLUBILITY * P * AIR


def test_a_sudden_lack_of_oxygen_does_not_end_beyond_the_pole_of_its_saturation():
    """kLa (c* - c) = OUR_max c/(K + c) has a second solution below -K, which Newton's method would find from above."""
    rest = Kinetics(upkeep=Maintenance("O2", 2.0, Monod("O2", 0.002)))
    culture = at_rest(OxygenTransfer(Q=MANY, quasi_steady=True), rest, X=10.0)
    run = ran(culture, 2.0, {culture.gas.kLa: pd.Series([500.0, 20.0], index=[0.0, 1.0])})
    for kLa, c in ((500.0, run[culture.O2].iloc[0]), (20.0, run.at_end(culture.O2))):
        b = 0.002 + 20.0 / kLa - SOLUBILITY * P * AIR
        exact = 2.0 * 0.002 * SOLUBILITY * P * AIR / (b + np.sqrt(b**2 + 4.0 * 0.002 * SOLUBILITY * P * AIR))
        assert c == pytest.approx(exact, rel=1e-6)
    without = ran(culture, 1.0, {culture.gas.kLa: 0.0})
    assert without.at_end(culture.O2) == pytest.approx(0.0, abs=1e-12)


def test_a_run_from_the_middle_of_a_feed_is_as_accurate_as_it_was_asked_to_be():
    """Oxygen amplifies what the substrate is free to be off by; that must cost neither steps nor accuracy."""
    culture = fed(True, X=13.82392546, S={"start": 0.09606017, "nominal": 10.0}, V=1.04605408)
    plant, recipe = Flowsheet(culture), Recipe(Phase("run", 1.0949))
    coarse, fine = (
        simulate(plant, recipe, {culture.F: 0.00830991}, points=2, tolerance=tolerance).at_end(culture.X)
        for tolerance in (1e-8, 1e-11)
    )
    assert coarse == pytest.approx(fine, rel=1e-8)


def test_a_bolus_brings_no_oxygen_where_none_is_held():
    culture = fed(True)
    run = ran(culture, 0.5, {culture.F: 0.0}, actions=[culture.bolus(0.1, S=100.0)])
    assert run[culture.S].iloc[0] == pytest.approx((10.0 + 0.1 * 100.0) / 1.1, rel=1e-12)
    with pytest.raises(SpecificationError, match="O2 is in quasi-steady exchange with the gas: a bolus cannot bring"):
        ran(culture, 0.5, {culture.F: 0.0}, actions=[culture.bolus(0.1, O2=1.0)])


def test_a_long_feed_below_its_oxygen_limit_needs_few_elements():
    """45 h of which oxygen would need 480 elements as a state; the limit binds, and is kept on a replay."""
    culture = fed(True)
    plan = optimize(
        Flowsheet(culture),
        Recipe(Phase("feed", 45.0)),
        free={culture.F: PiecewiseConstant(9)},
        maximize=AtEnd(lambda v: v.culture.X * v.culture.V),
        subject_to=[
            Path(lambda v: v.culture.gas.DOT, lower=20.0, name="oxygen"),
            AtEnd(lambda v: v.culture.V, upper=2.0),
        ],
    )
    assert plan.certificate.ok
    assert plan.objective == pytest.approx(65.33, rel=1e-3)  # what it is with a state, too
    assert plan[culture.gas.DOT].min() == pytest.approx(20.0, abs=1e-2)
    assert plan.stats["elements"]["feed"] < 200


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
