"""The processes of a culture against analytic solutions, steady states, and hand-written equations."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from titer.flowsheets import Flowsheet, Parameter, Phase, Recipe, simulate
from titer.flowsheets.units import (
    Batch,
    Bioreactor,
    Conversion,
    Death,
    Decay,
    Feed,
    Growth,
    Inhibition,
    Kinetics,
    Lysis,
    Maintenance,
    Monod,
    Outflow,
    Overflow,
    Production,
    UptakeGrowth,
)

MONOD = Growth(0.4, Monod("S", 0.5), yields={"S": 0.5})


def ran(culture, hours, inputs=None, tolerance=1e-11):
    return simulate(Flowsheet(culture), Recipe(Phase("run", hours)), inputs or {}, tolerance=tolerance)


def hours_of(run):
    return run.frame().index.to_numpy()


def chemostat(kinetics, S_feed=10.0, **changes):
    """At constant volume, 1 L, fed with S."""
    feeds, outflows = {"feed": Feed({"S": S_feed}, flow="F")}, {"broth": Outflow(level=True)}
    return Bioreactor("culture", kinetics=kinetics, feeds=feeds, outflows=outflows, **changes)


def agrees(run, names, slope, start, rtol=1e-7, atol=1e-8):
    """Assert that trajectories are those of hand-written equations, integrated by SciPy."""
    t = hours_of(run)
    exact = solve_ivp(slope, (0.0, t[-1]), start, method="LSODA", t_eval=t, rtol=1e-11, atol=1e-12)
    for name, expected in zip(names, exact.y, strict=True):
        np.testing.assert_allclose(run[name], expected, rtol=rtol, atol=atol, err_msg=name)


# --- growth ----------------------------------------------------------------------------------------------------------


def test_a_batch_follows_the_integrated_monod_equation():
    """mu t = (K Y/A + 1) ln(X/X0) - K Y/A ln(S/S0) with A = X0 + Y S0, which stays."""
    culture = Batch("culture", kinetics=Kinetics(growth=MONOD), X=0.2, S=15.0)
    run = ran(culture, 9.0)
    X, S, A = run[culture.X].to_numpy(), run[culture.S].to_numpy(), 0.2 + 0.5 * 15.0
    np.testing.assert_allclose(X + 0.5 * S, A, rtol=1e-9)
    share = 0.5 * 0.5 / A
    elapsed = ((share + 1.0) * np.log(X / 0.2) - share * np.log(S / 15.0)) / 0.4
    np.testing.assert_allclose(elapsed, hours_of(run), rtol=1e-7, atol=1e-8)


def test_a_chemostat_comes_to_the_substrate_at_which_growth_is_dilution():
    culture = chemostat(Kinetics(growth=MONOD), X=1.0, S=1.0)
    run = ran(culture, 300.0, {culture.F: 0.3})
    S = 0.5 * 0.3 / (0.4 - 0.3)
    assert run.at_end(culture.S) == pytest.approx(S, rel=1e-8)
    assert run.at_end(culture.X) == pytest.approx(0.5 * (10.0 - S), rel=1e-8)
    assert run.at_end(culture.kinetics.growth.mu) == pytest.approx(0.3, rel=1e-8)


def test_a_culture_diluted_faster_than_it_grows_is_washed_out():
    """In the end at the rate D - mu(S_feed)."""
    culture = chemostat(Kinetics(growth=MONOD), X=1.0, S=10.0)
    run = ran(culture, 120.0, {culture.F: 0.5})
    X = run[culture.X]
    late = X[X.index > 60.0]
    slopes = np.diff(np.log(late)) / np.diff(late.index)
    np.testing.assert_allclose(slopes, 0.4 * 10.0 / 10.5 - 0.5, rtol=1e-4)
    assert run.at_end(culture.S) == pytest.approx(10.0, rel=1e-4)


@pytest.mark.parametrize("D", [0.1, 0.25])
def test_maintenance_lowers_the_observed_yield(D):
    """1/Y_observed = 1/Y + m/D (Pirt), once as a process of its own, once inside the growth."""
    apart = Kinetics(growth=MONOD, upkeep=Maintenance("S", 0.03))
    inside = Kinetics(growth=UptakeGrowth("S", 1.2, Monod("S", 0.5), Y=0.5, m=0.03))
    for kinetics in (apart, inside):
        culture = chemostat(kinetics, X=1.0, S=1.0)
        run = ran(culture, 400.0, {culture.F: D})
        observed = run.at_end(culture.X) / (10.0 - run.at_end(culture.S))
        assert 1.0 / observed == pytest.approx(1.0 / 0.5 + 0.03 / D, rel=1e-6)


def test_growth_on_what_uptake_leaves_is_never_more_than_was_taken_up():
    """Through depletion: the rounded maximum makes nothing of nothing, and errs by the rounding where it says so."""
    growth = UptakeGrowth("S", 0.57, Monod("S", 0.1), Y=0.36, m=0.013)
    culture = Batch("culture", kinetics=Kinetics(growth=growth), X=2.0, S=5.0)
    run = ran(culture, 60.0)
    q, mu = (run[name].to_numpy() for name in (culture.kinetics.growth.q, culture.kinetics.growth.mu))
    assert (mu <= 0.36 * q + 1e-9).all()
    error = mu - 0.36 * np.maximum(q - 0.013, 0.0)
    assert (error >= 0.0).all()
    assert error.max() <= 0.36 * (1e-3 * 0.013) * (1.0 + 1e-6)
    assert error[0] <= 0.36 * 1.1e-6 * 0.013


def test_what_needs_no_maintenance_grows_exactly_by_its_yield():
    growth = UptakeGrowth("S", 0.37, Monod("S", 0.1), Y=0.7)
    culture = Batch("culture", kinetics=Kinetics(growth=growth), X=0.1, S=40.0)
    run = ran(culture, 40.0)
    assert run.at_end(culture.X) == pytest.approx(28.1, rel=1e-7)


# --- products, overflow ----------------------------------------------------------------------------------------------


def test_a_product_is_made_with_growth_and_without():
    """P = alpha (X - X0) + beta int X dt (Luedeking & Piret), and its substrate pays for it."""
    kinetics = Kinetics(growth=Growth(0.2), product=Production("P", 0.3, 0.05, yields={"S": 0.8}))
    culture = Batch("culture", products=("P",), kinetics=kinetics, X=0.5, S=100.0)
    run = ran(culture, 10.0)
    X = 0.5 * np.exp(0.2 * hours_of(run))
    P = (0.3 + 0.05 / 0.2) * (X - 0.5)
    np.testing.assert_allclose(run[culture.P], P, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(run[culture.S], 100.0 - P / 0.8, rtol=1e-9)


def test_a_product_may_belong_to_one_of_two_substrates():
    """alpha counts the growth it is named for: on B alone."""
    kinetics = Kinetics(
        on_A=Growth(0.1, yields={"A": 0.5}),
        on_B=Growth(0.05, yields={"B": 0.4}),
        product=Production("P", 2.0, growth="on_B"),
    )
    culture = Batch("culture", substrates=("A", "B"), products=("P",), kinetics=kinetics, X=1.0, A=50.0, B=50.0)
    run = ran(culture, 8.0)
    grown = np.exp(0.15 * hours_of(run)) - 1.0
    np.testing.assert_allclose(run[culture.P], 2.0 * grown * 0.05 / 0.15, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(run[culture.A], 50.0 - grown * (0.1 / 0.15) / 0.5, rtol=1e-9)


def test_acetate_overflows_where_uptake_exceeds_what_is_respired():
    """And is taken up again afterwards; against hand-written equations with the true maximum."""
    kinetics = Kinetics(
        growth=Growth(0.5, Monod("S", 0.05), yields={"S": 0.5}),
        acetate=Overflow("A", "S", q_crit=0.6, Y=0.4, rounding=1e-4),
        reuse=Growth(0.1, Monod("A", 0.2), Inhibition("S", 0.1), yields={"A": 0.4}),
    )
    culture = Batch("culture", products=("A",), kinetics=kinetics, X=0.1, S=10.0)
    run = ran(culture, 14.0, tolerance=1e-10)

    def slope(t, x):
        X, S, A = x
        mu, q = 0.5 * S / (0.05 + S), 0.5 * S / (0.05 + S) / 0.5
        again = 0.1 * A / (0.2 + A) * 0.1 / (0.1 + S)
        return (mu + again) * X, -q * X, (0.4 * max(q - 0.6, 0.0) - again / 0.4) * X

    assert run[culture.A].max() > 1.0
    assert run.at_end(culture.A) < run[culture.A].max() - 0.3
    agrees(run, (culture.X, culture.S, culture.A), slope, (0.1, 10.0, 0.0), rtol=2e-6, atol=1e-6)


# --- death, lysis, conversions ---------------------------------------------------------------------------------------


def test_cells_die_and_fall_apart_as_a_chain_of_first_order():
    kinetics = Kinetics(death=Death(0.08, into="Xd"), lysis=Lysis("Xd", 0.03, into={"DNA": 0.02}))
    culture = Batch("culture", substrates=(), products=("Xd", "DNA"), kinetics=kinetics, X=5.0, Xd=1.0)
    run = ran(culture, 60.0)
    t = hours_of(run)
    dead = 1.0 * np.exp(-0.03 * t) + 5.0 * 0.08 / (0.03 - 0.08) * (np.exp(-0.08 * t) - np.exp(-0.03 * t))
    np.testing.assert_allclose(run[culture.X], 5.0 * np.exp(-0.08 * t), rtol=1e-8)
    np.testing.assert_allclose(run[culture.Xd], dead, rtol=1e-8)
    np.testing.assert_allclose(run[culture.DNA], 0.02 * (6.0 - run[culture.X] - run[culture.Xd]), rtol=1e-8, atol=1e-11)


def test_a_component_decays_into_another_by_amounts():
    kinetics = Kinetics(decay=Decay("Gln", 0.0072, into={"Amm": 1.0}))
    units = dict.fromkeys(("Gln", "Amm"), "mmol/L")
    culture = Batch("culture", substrates=("Gln",), products=("Amm",), units=units, kinetics=kinetics, Gln=4.0, Amm=0.3)
    run = ran(culture, 100.0)
    np.testing.assert_allclose(run[culture.Gln], 4.0 * np.exp(-0.0072 * hours_of(run)), rtol=1e-9)
    np.testing.assert_allclose(run[culture.Gln] + run[culture.Amm], 4.3, rtol=1e-9)


def test_a_conversion_of_ones_own_turns_over_what_its_function_says():
    """Enzymatic hydrolysis A -> 0.9 B at first order in A and in biomass that does not grow."""
    kinetics = Kinetics(hydrolysis=Conversion({"A": -1, "B": 0.9}, lambda v: v.k * v.A * v.X))
    culture = Batch(
        "culture",
        substrates=("A",),
        products=("B",),
        parameters={"k": Parameter("L/g/min", 0.01)},  # per minute: converted
        kinetics=kinetics,
        X=0.5,
        A=8.0,
    )
    run = ran(culture, 4.0)
    exact = 8.0 * np.exp(-0.6 * 0.5 * hours_of(run))
    np.testing.assert_allclose(run[culture.A], exact, rtol=1e-9)
    np.testing.assert_allclose(run[culture.B], 0.9 * (8.0 - exact), rtol=1e-9, atol=1e-11)


# --- several populations, mixed units --------------------------------------------------------------------------------


def test_of_two_species_on_one_substrate_the_one_that_needs_less_remains():
    """Competitive exclusion: S* = K D/(mu_max - D) is smaller for `slow`, which wins though its mu_max is smaller."""
    kinetics = Kinetics(
        fast=Growth(0.6, Monod("S", 2.0), yields={"S": 0.5}, of="fast"),
        slow=Growth(0.4, Monod("S", 0.2), yields={"S": 0.4}, of="slow"),
    )
    culture = chemostat(kinetics, populations=("fast", "slow"), fast=1.0, slow=0.01, S=5.0)
    run = ran(culture, 600.0, {culture.F: 0.2}, tolerance=1e-10)
    assert run[culture.fast].max() > 4.0
    assert run.at_end(culture.fast) < 1e-9
    assert run.at_end(culture.S) == pytest.approx(0.2, rel=1e-8)
    assert run.at_end(culture.slow) == pytest.approx(0.4 * (10.0 - 0.2), rel=1e-8)


def test_predator_and_prey():
    kinetics = Kinetics(
        prey=Growth(0.5, Monod("S", 0.3), yields={"S": 0.5}, of="prey"),
        predator=Growth(0.3, Monod("prey", 1.0), yields={"prey": 0.4}, of="predator"),
    )
    culture = chemostat(kinetics, populations=("prey", "predator"), prey=1.0, predator=0.2, S=5.0)
    run = ran(culture, 40.0, {culture.F: 0.05})

    def slope(t, x):
        prey, predator, S = x
        mu, eats = 0.5 * S / (0.3 + S), 0.3 * prey / (1.0 + prey)
        D = 0.05
        return (
            (mu - D) * prey - eats / 0.4 * predator,
            (eats - D) * predator,
            D * (10.0 - S) - mu * prey / 0.5,
        )

    agrees(run, (culture.prey, culture.predator, culture.S), slope, (1.0, 0.2, 5.0), rtol=1e-6)


def test_cells_are_counted_while_their_substrates_are_moles_and_their_product_is_weighed():
    """Gcell/L, mmol/L and g/L in one culture: each parameter has the unit its equation needs."""
    kinetics = Kinetics(
        growth=Growth(0.04, Monod("Glc", 1.0), Inhibition("Lac", 40.0), yields={"Glc": 0.35}),
        upkeep=Maintenance("Glc", 0.07, Monod("Glc", 0.1)),
        lactate=Overflow("Lac", "Glc", q_crit=0.05, Y=0.7, rounding=1e-4),
        antibody=Production("mAb", 0.0, 1.5e-3, Inhibition("Lac", 60.0)),
        death=Death(0.004, Monod("Lac", 45.0)),
    )
    units = {"Xv": "Gcell/L", "Glc": "mmol/L", "Lac": "mmol/L"}
    culture = Batch(
        "culture",
        populations=("Xv",),
        substrates=("Glc",),
        products=("Lac", "mAb"),
        units=units,
        kinetics=kinetics,
        Xv=0.4,
        Glc=35.0,
    )
    labels = {key.removeprefix("kinetics."): s.measure.label for key, s in culture.scalars.items()}
    for key, label in {
        "growth.Y_Glc": "Gcell/mmol",
        "upkeep.m": "mmol/Gcell/h",
        "lactate.Y": "1",
        "antibody.alpha": "g/Gcell",
        "antibody.beta": "g/Gcell/h",
        "death.Lac.K": "mmol/L",
    }.items():
        assert labels[key] == label
    run = ran(culture, 120.0, tolerance=1e-10)

    def slope(t, x):
        Xv, Glc, Lac, _ = x
        mu = 0.04 * Glc / (1.0 + Glc) * 40.0 / (40.0 + Lac)
        q = mu / 0.35 + 0.07 * Glc / (0.1 + Glc)
        return (
            (mu - 0.004 * Lac / (45.0 + Lac)) * Xv,
            -q * Xv,
            0.7 * max(q - 0.05, 0.0) * Xv,
            1.5e-3 * 60.0 / (60.0 + Lac) * Xv,
        )

    names = (culture.Xv, culture.Glc, culture.Lac, culture.mAb)
    agrees(run, names, slope, (0.4, 35.0, 0.0, 0.0), rtol=2e-5, atol=1e-5)


def test_kinetics_may_be_a_function_of_the_view():
    """With parameters and expressions of the culture; its rates are converted to the culture's units."""

    def kinetics(v):
        mu = v.mu_max * v.S / (v.K + v.S)
        return {"X": mu * v.X, "S": -mu * v.X / 0.5}

    per_minute = {"mu_max": Parameter("1/min", 0.4 / 60.0), "K": Parameter("g/L", 0.5)}
    by_function = Batch("culture", kinetics=kinetics, parameters=per_minute, X=0.2, S=15.0)
    by_parts = Batch("culture", kinetics=Kinetics(growth=MONOD), X=0.2, S=15.0)
    assert ran(by_function, 8.0).at_end(by_function.X) == pytest.approx(ran(by_parts, 8.0).at_end(by_parts.X), rel=1e-9)


def test_numbers_of_kinetics_are_parameters_with_names():
    culture = Batch("culture", kinetics=Kinetics(growth=MONOD), X=0.2, S=15.0)
    growth = culture.kinetics.growth
    plant = Flowsheet(culture).with_values({growth.mu_max: 0.3, growth.S.K: 0.7, growth.Y_S: 0.45})
    assert [plant.values[name] for name in (growth.mu_max, growth.S.K, growth.Y_S)] == [0.3, 0.7, 0.45]
    assert plant.values["culture.kinetics.growth.S.K"] == 0.7
    restored = pickle.loads(pickle.dumps(culture))
    assert restored.kinetics.growth.S.K == "culture.kinetics.growth.S.K"
