"""The balances of a stirred culture: streams, water, samples; and what is refused at the door."""

from __future__ import annotations

import re

import numpy as np
import pytest

from titer.flowsheets import Control, Flowsheet, Phase, Recipe, simulate
from titer.flowsheets.units import (
    Batch,
    Bioreactor,
    CardinalPH,
    CardinalTemperature,
    Death,
    FedBatch,
    Feed,
    Growth,
    HoldTank,
    Kinetics,
    Lysis,
    Monod,
    Outflow,
    Overflow,
    Perfusion,
    Piped,
    Production,
    Thermostat,
)
from titer.numerics.errors import DeclarationError, SpecificationError

AT_REST = Kinetics(growth=Growth(0.0))
MONOD = Kinetics(growth=Growth(0.4, Monod("S", 0.5), yields={"S": 0.5}))


def ran(culture, hours, inputs=None, tolerance=1e-11, **phase):
    return simulate(Flowsheet(culture), Recipe(Phase("run", hours, **phase)), inputs or {}, tolerance=tolerance)


def hours_of(run):
    return run.frame().index.to_numpy()


# --- streams, water, samples -----------------------------------------------------------------------------------------


def test_feeds_of_different_composition_mix_by_volume():
    feeds = {"sugar": Feed({"S": 400.0}), "salts": Feed({"N": 30.0, "S": 5.0}), "water": Feed({"S": 0.0})}
    culture = FedBatch("culture", substrates=("S", "N"), feeds=feeds, kinetics=AT_REST, S=2.0, N=1.0, X=3.0, V=1.5)
    run = ran(culture, 10.0, {culture.F_sugar: 0.02, culture.F_salts: 0.05, culture.F_water: 0.01})
    t = hours_of(run)
    V = 1.5 + 0.08 * t
    np.testing.assert_allclose(run[culture.V], V, rtol=1e-10)
    np.testing.assert_allclose(run[culture.S], (2.0 * 1.5 + (0.02 * 400.0 + 0.05 * 5.0) * t) / V, rtol=1e-9)
    np.testing.assert_allclose(run[culture.N], (1.0 * 1.5 + 0.05 * 30.0 * t) / V, rtol=1e-9)
    np.testing.assert_allclose(run[culture.X], 3.0 * 1.5 / V, rtol=1e-9)


def test_evaporation_concentrates_and_samples_do_not():
    culture = Batch("culture", kinetics=AT_REST, evaporation=0.004, sampling=0.003, X=2.0, S=10.0, V=1.0)
    run = ran(culture, 50.0)
    V = 1.0 - 0.007 * hours_of(run)
    np.testing.assert_allclose(run[culture.V], V, rtol=1e-10)
    np.testing.assert_allclose(run[culture.S], 10.0 * V ** (-0.004 / 0.007), rtol=1e-8)


def test_a_harvest_that_holds_cells_back_partly_and_a_bleed_that_does_not():
    """X' = -(F_bleed + F_harvest (1 - r)) X / V without growth; the harvest keeps the volume."""
    outflows = {"harvest": Outflow({"X": 0.9}, level=True), "bleed": Outflow()}
    culture = Perfusion("culture", kinetics=AT_REST, outflows=outflows, X=20.0, S=1.0, V=2.0, evaporation=0.01)
    run = ran(culture, 24.0, {culture.F: 0.3, culture.F_bleed: 0.05})
    harvested = 0.3 - 0.05 - 0.01
    lost = (0.05 + 0.1 * harvested) / 2.0
    np.testing.assert_allclose(run[culture.X], 20.0 * np.exp(-lost * hours_of(run)), rtol=1e-9)
    np.testing.assert_allclose(run[culture.V], 2.0, rtol=0.0)
    np.testing.assert_allclose(run[culture.harvest.flow], harvested, rtol=1e-12)
    np.testing.assert_allclose(run[culture.harvest.c["X"]], 0.1 * run[culture.X], rtol=1e-12)


def test_a_perfusion_with_a_bleed_comes_to_its_steady_state():
    """Growth is what the bleed takes: mu = F_bleed/V, X = Y F (S_feed - S)/F_bleed."""
    culture = Perfusion("culture", kinetics=MONOD, bled=True, X=5.0, S=1.0, V=1.0)
    run = ran(culture, 400.0, {culture.F: 0.2, culture.F_bleed: 0.05})
    S = 0.5 * 0.05 / (0.4 - 0.05)
    assert run.at_end(culture.S) == pytest.approx(S, rel=1e-8)
    assert run.at_end(culture.X) == pytest.approx(0.5 * 0.2 * (20.0 - S) / 0.05, rel=1e-8)


def test_a_train_of_cultures_is_connected_by_its_ports():
    """A seed culture is piped into the next, whose harvest goes to a tank; nothing is lost on the way."""
    seed = Bioreactor("seed", kinetics=MONOD, outflows={"broth": Outflow()}, X=1.0, S=20.0)
    main = Bioreactor(
        "main", kinetics=MONOD, feeds={"inoculum": Piped()}, outflows={"harvest": Outflow()}, S=5.0, V=2.0
    )
    tank = HoldTank("tank", components=("X", "S"))
    plant = Flowsheet(seed, main, tank, connect=[(seed.broth, main.inoculum), (main.harvest, tank.feed)], time="h")
    run = simulate(
        plant, Recipe(Phase("run", 8.0)), {seed.F_broth: 0.1, main.F_harvest: 0.2, tank.F_out: 0.0}, tolerance=1e-11
    )
    end = run.frame().iloc[-1]
    held = sum(end[u.V] * (end[u.X] + 0.5 * end[u.S]) for u in (seed, main))
    held += end[tank.n["X"]] + 0.5 * end[tank.n["S"]]
    assert held == pytest.approx(1.0 * (1.0 + 0.5 * 20.0) + 2.0 * 0.5 * 5.0, rel=1e-9)


# --- what is refused at the door -------------------------------------------------------------------------------------


def kinetics(*factors, **processes):
    return Kinetics(growth=Growth(0.4, *factors, yields={"S": 0.5}), **processes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Batch("culture", kinetics=kinetics(Monod("glucse", 0.1)), substrates=("S", "glucose")),
            "culture.kinetics.growth.glucse: component 'glucse' is unknown. Did you mean 'glucose'?",
        ),
        (
            lambda: Batch("culture", kinetics=Kinetics(growth=Growth(0.4, yields={"Gln": 0.5}))),
            "culture.kinetics.growth: component 'Gln' is unknown.\n  known: S, X\n  Name it in populations=, ",
        ),
        (
            lambda: Batch("culture", kinetics=kinetics(CardinalPH(4.0, 7.0, 9.0))),
            "culture.kinetics.growth.pH (CardinalPH): the culture has no pH.\n"
            '  Give conditions={"pH": Control("1", start=...)}.',
        ),
        (
            lambda: Batch("culture", kinetics=kinetics(CardinalTemperature(280.0, 310.0, 320.0))),
            "culture.kinetics.growth.T (CardinalTemperature): the culture has no T.\n"
            '  Give conditions={"T": Control("K", start=...)}, or heat=... for an energy balance.',
        ),
        (
            lambda: Batch(
                "culture",
                kinetics=kinetics(CardinalTemperature(280.0, 310.0, 320.0)),
                conditions={"T": Control("1", start=37.0)},
            ),
            "culture.kinetics.growth.T (CardinalTemperature): expected T in 'K', it is in '1'.",
        ),
        (
            lambda: Batch("culture", populations=("A", "B"), kinetics=MONOD),
            'culture.kinetics.growth (Growth): which population? There are A, B.\n  Write Growth(..., of="...").',
        ),
        (
            lambda: Batch("culture", kinetics=Kinetics(growth=Growth(0.4, of="Y"))),
            "culture.kinetics.growth: population 'Y' is unknown.\n  known: X",
        ),
        (
            lambda: Batch("culture", products=("P",), kinetics=kinetics(product=Production("P", 1.0, growth="grwth"))),
            "culture.kinetics.product: process of growth 'grwth' is unknown. Did you mean 'growth'?",
        ),
        (
            lambda: Batch("culture", products=("P",), kinetics=Kinetics(product=Production("P", 0.1))),
            "culture.kinetics.product: alpha is product by growth, and no process makes X grow.\n  Give beta",
        ),
        (
            lambda: Batch(
                "culture",
                products=("P",),
                kinetics=Kinetics(growth=Growth(0.4), P=Overflow("P", "S", q_crit=0.5, Y=0.4)),
            ),
            "culture.kinetics.P: neither growth nor maintenance takes up S, so nothing overflows.",
        ),
        (
            lambda: Batch(
                "culture", products=("D",), units={"D": "Gcell/L"}, kinetics=kinetics(death=Death(0.1, into="D"))
            ),
            "culture.kinetics.death: X is in 'g/L', D, into which it dies, in 'Gcell/L'.\n  Give both one unit.",
        ),
        (
            lambda: Batch("culture", kinetics=kinetics(lysis=Lysis("Xd", 0.1))),
            "culture.kinetics.lysis: component 'Xd' is unknown.",
        ),
        (
            lambda: Batch("culture", kinetics=Growth(0.4)),
            "culture (Batch): kinetics is Kinetics(growth=Growth(...)) or a function of the view, got Growth(",
        ),
        (lambda: Kinetics(), "Kinetics: no process was given."),
        (lambda: Kinetics(growth=Monod("S", 1.0)), "Kinetics: growth is a process such as Growth(...)"),
        (lambda: Growth(0.4, yields={"S": 0.0}), "Growth: the yield by S is a number other than zero, got 0.0."),
        (
            lambda: Batch("culture", products=("S",)),
            "culture (Batch): component S is named twice.\n  Give each component a name of its own.",
        ),
        (
            lambda: Batch("culture", units={"S": "mmol"}),
            "culture (Batch): S is in 'mmol'; a concentration is an amount per L.",
        ),
        (lambda: FedBatch("culture", feeds={"feed": Feed({})}), "Feed: no composition was given, got {}."),
        (lambda: FedBatch("culture", feeds={}), "culture (FedBatch): no feed was given."),
        (
            lambda: FedBatch("culture", feeds={"feed": Feed({"glucose": 400.0})}),
            "culture (FedBatch): feed feed: component 'glucose' is unknown.",
        ),
        (lambda: Batch("culture", gas=Thermostat()), "culture (Batch): gas is a part such as OxygenTransfer(), got "),
        (lambda: Outflow({"X": 1.2}), "Outflow: the fraction of X held back is from 0 to 1, got 1.2."),
    ],
)
def test_cultures_that_make_no_sense_are_refused_by_name(make, message):
    with pytest.raises(DeclarationError, match=f"^{re.escape(message)}"):
        make()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda v: {"X": v.X}, r"kinetics: rate of X: cannot convert 'g/L' to 'g/L/h'"),
        (lambda v: {"Y": v.X}, r"kinetics: component 'Y' is unknown"),
        (lambda v: v.X, r"kinetics: expected a dict of rates per volume by component, got Symbol"),
        (lambda v: {"X": v.glucse}, r"culture: variable 'glucse' is unknown"),
    ],
)
def test_kinetics_that_are_a_function_are_checked_as_they_run(function, message):
    with pytest.raises(DeclarationError, match=rf"(?s)culture \(Batch\): .*{message}") as raised:
        ran(Batch("culture", kinetics=function), 1.0)
    assert "raise " not in str(raised.value)  # no line of the library


@pytest.mark.parametrize(("held", "left"), [(2.5, 1.0), (1.01, 1.0), (0.4, 0.4)])
def test_broth_is_drawn_down_to_a_volume_and_never_made(held, left):
    culture = Batch("culture", kinetics=AT_REST, X=2.0, S=3.0, V=held)
    end = ran(culture, 1.0, actions=[culture.draw_to(1.0)]).frame().iloc[-1]
    assert end[culture.V] == pytest.approx(left, rel=1e-9)
    assert end[culture.V] <= held
    assert end[culture.S] == pytest.approx(3.0, rel=1e-12)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda c: c.draw_to(0.0), "volume is at least 1e-06 L, the lower bound of V, got 0.0 L"),
        (lambda c: c.bolus(-0.1, S=5.0), "volume is a number of at least 0, got -0.1 L"),
        (lambda c: c.bolus(0.1, S=-5.0), "S is a number of at least 0, got -5.0 g/L"),
        (lambda c: c.sample(-0.1), "volume is a number of at least 0, got -0.1 L"),
        (lambda c: c.bolus(S=5.0), r"culture.bolus\(volume, \*\*c\): missing a required argument: 'volume'"),
    ],
)
def test_nothing_is_added_or_taken_by_less_than_zero(act, message):
    culture = Batch("culture", kinetics=AT_REST)
    with pytest.raises(SpecificationError, match=message):
        ran(culture, 1.0, actions=[act(culture)])
    assert ran(culture, 1.0, actions=[culture.bolus(0.0, S=5.0)]).at_end(culture.V) == 1.0
