"""The fed-batch of CHO cells: against another integrator on its published equations, its balances, and its shift."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from titer.control import optimize
from titer.flowsheets import AtEnd, Flowsheet, Path, Phase, PiecewiseConstant, Recipe, simulate
from titer.flowsheets.units import ChoFedBatch, NoShift, TemperatureShift
from titer.numerics.errors import DeclarationError

START, NAMES = [4.0, 35.0, 4.0, 0.5, 0.3, 0.0, 1.0], ("Xv", "Glc", "Gln", "Lac", "Amm", "mAb", "V")
FEED = 0.0025  # L/h


def source_rates(F, growth=1.0, production=1.0, metabolism=1.0):
    """The published equations, in 1e9 cells/L and mmol/L, and factors of a shift."""

    def rates(t, y):
        Xv, Glc, Gln, Lac, Amm, mAb, V = y
        part = Glc / (1.0 + Glc) * Gln / (0.047 + Gln) * 43.0 / (43.0 + Lac) * 6.51 / (6.51 + Amm)
        mu, mu_d = 0.039 * growth * part, 0.004 * metabolism * Lac / (45.8 + Lac) * Amm / (6.51 + Amm)
        net, m_gln = mu - mu_d, 3.2e-3 * metabolism * Gln / (2.1 + Gln)
        q_glc, D, decay = net / 0.357 + 69.2e-3 * metabolism, F / V, 7.2e-3 * Gln
        return [
            net * Xv - D * Xv,
            -q_glc * Xv + D * (500.0 - Glc),
            -(net / 0.974 + m_gln) * Xv - decay + D * (50.0 - Gln),
            0.70 * q_glc * Xv - D * Lac,
            0.67 * net / 0.974 * Xv - 6.3e-3 * metabolism * Xv + decay - D * Amm,
            1.51e-3 * production * Xv * (1.0 - part) - D * mAb,
            F,
        ]

    return rates


def ran(unit, hours, F=FEED, **inputs):
    given = {unit.F: F} | {f"{unit.name}.{key}": value for key, value in inputs.items()}
    return simulate(Flowsheet(unit, time="h"), Recipe(Phase("run", hours)), given, tolerance=1e-11)


def compare(run, hours, rates, rtol):
    exact = solve_ivp(rates, (0.0, hours), START, method="LSODA", rtol=1e-12, atol=1e-13).y[:, -1]
    np.testing.assert_allclose([run.at_end(f"cells.{name}") for name in NAMES], exact, rtol=rtol)
    return exact


def test_it_is_the_published_model_where_glucose_and_ammonium_are_left():
    """LSODA on the equations of the source; the rounded end of constant uptakes vanishes with its width."""
    hours = 120.0
    exact = compare(ran(ChoFedBatch("cells", K_left=1e-7), hours), hours, source_rates(FEED), 2e-8)
    assert exact[1] > 1.0  # glucose
    compare(ran(ChoFedBatch("cells"), hours), hours, source_rates(FEED), 1e-4)


@pytest.mark.parametrize("F", [0.0, 0.001, 0.003])
def test_nothing_falls_below_zero_where_the_source_would(F):
    """240 h without enough glucose; in the source it falls by 0.5 mmol/L/h to the pole of its Monod term."""
    unit = ChoFedBatch("cells")
    frame = ran(unit, 240.0, F=F).frame()
    assert frame[[f"cells.{name}" for name in NAMES]].min().min() > -1e-9


def test_lactate_is_in_the_broth_or_still_glucose():
    unit = ChoFedBatch("cells")
    frame = ran(unit, 240.0).frame()
    held = (frame[unit.Lac] + 0.7 * frame[unit.Glc]) * frame[unit.V]
    np.testing.assert_allclose(held, held.iloc[0] + 0.7 * 500.0 * FEED * frame.index, rtol=1e-8)


def test_the_shift_is_the_published_model_at_its_reference_and_has_its_factors_below():
    """At T_ref all factors are 1; at T_low the given ones; between, equal steps are equal ratios."""
    shifted, plain = ChoFedBatch("cells", shift=TemperatureShift()), ChoFedBatch("cells")
    at_ref, without = ran(shifted, 100.0, T=310.15), ran(plain, 100.0)
    for name in NAMES:
        assert at_ref.at_end(f"cells.{name}") == pytest.approx(without.at_end(f"cells.{name}"), rel=1e-9)
    cold = ran(ChoFedBatch("cells", shift=TemperatureShift(), K_left=1e-7), 100.0, T=305.15)
    compare(cold, 100.0, source_rates(FEED, 0.3, 2.0, 0.5), 2e-8)
    between = ran(shifted, 1.0, T=307.65)
    assert between.at_end(shifted.shift.production) == pytest.approx(2.0**0.5, rel=1e-12)
    assert between.at_end(shifted.shift.growth) == pytest.approx(0.3**0.5, rel=1e-12)


def test_the_published_model_knows_no_temperature():
    assert "T" not in ChoFedBatch("cells").declarations
    assert "T" in ChoFedBatch("cells", shift=TemperatureShift()).declarations
    assert isinstance(ChoFedBatch("cells").shift, NoShift)
    with pytest.raises(DeclarationError, match=re.escape("cells (ChoFedBatch): shift is NoShift()")):
        ChoFedBatch("cells", shift=305.15)


def test_the_temperature_is_lowered_when_cells_have_grown():
    """Feed and temperature in four pieces: warm half the time, then cold, and more antibody than at one temperature."""
    unit = ChoFedBatch("cells", shift=TemperatureShift())
    problem = {
        "plant": Flowsheet(unit, time="h"),
        "recipe": Recipe(Phase("run", 240.0)),
        "maximize": AtEnd(lambda v: v.cells.mAb),
        "subject_to": [Path(lambda v: v.cells.Glc, lower=5.0, name="glucose")],
        "starts": 1,
    }
    feed = PiecewiseConstant(4, upper=0.01)
    warm = optimize(**problem, free={unit.F: feed}, inputs={unit.T: 310.15})
    best = optimize(**problem, free={unit.F: feed, unit.T: PiecewiseConstant(4, lower=305.15, upper=310.15)})
    assert warm.certificate.ok
    assert best.certificate.ok
    assert best.certificate.largest_deviation < 1e-5
    T = best.phases[0].shapes[unit.T][1]
    np.testing.assert_allclose(T, [310.15, 310.15, 305.15, 305.15], atol=1e-3)
    assert best.objective > 1.3 * warm.objective
    frame = best.frame()
    held = (frame[unit.Lac] + 0.7 * frame[unit.Glc]) * frame[unit.V] - 0.7 * 500.0 * frame[unit.V]
    np.testing.assert_allclose(held, held.iloc[0], rtol=1e-6)
