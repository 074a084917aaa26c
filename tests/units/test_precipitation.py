"""Precipitation against published numbers, a search by brute force, and its own two forms."""

from __future__ import annotations

import re

import numpy as np
import pytest

from titer.control import optimize
from titer.flowsheets import AtEnd, Flowsheet, Free, Phase, Recipe, simulate
from titer.flowsheets.units import CollectionTank, ContinuousPrecipitation, Precipitation
from titer.numerics.errors import DeclarationError

CHARGE = (118.25, 28.93)  # g of product and impurity
RESTING = Recipe(Phase("stages", 1.0))


def soluble(s, a, b):
    return 1.0 / (1.0 + (s / a) ** b)


def by_hand(s1, s2):
    """Yield and purity."""
    product, impurity = (soluble(s1, a, b) * (1.0 - soluble(s2, a, b)) for a, b in ((56.27, 42.0), (53.72, 5.23)))
    return product, CHARGE[0] * product / (CHARGE[0] * product + CHARGE[1] * impurity)


@pytest.mark.parametrize(("s1", "s2", "yielded", "pure"), [(40.0, 60.0, 0.9368, 0.8789), (48.0, 64.0, 0.9943, 0.8985)])
def test_yield_and_purity_of_a_citrate_broth(s1, s2, yielded, pure):
    unit = Precipitation("unit", n=CHARGE, s1=s1, s2=s2)
    run = simulate(Flowsheet(unit), RESTING)
    assert run.at_end(unit.yield_) == pytest.approx(yielded, abs=5e-5)
    assert run.at_end(unit.purity) == pytest.approx(pure, abs=5e-5)
    assert run.at_end(unit.recovered["product"]) == pytest.approx(118.25 * run.at_end(unit.yield_), rel=1e-12)


def test_the_best_salt_for_a_purity_is_that_of_a_search():
    """On a grid of 0.02 % nothing is better; the purity binds."""
    unit = Precipitation("unit", n=CHARGE)
    plan = optimize(
        Flowsheet(unit),
        RESTING,
        free={unit.s1: Free(40.0, 30.0, 55.0), unit.s2: Free(60.0, 55.0, 70.0)},
        maximize=AtEnd(lambda v: v.unit.yield_),
        subject_to=[AtEnd(lambda v: v.unit.purity, lower=0.91, name="purity")],
    )
    yielded, pure = by_hand(*np.meshgrid(np.linspace(30.0, 55.0, 1251), np.linspace(55.0, 70.0, 751)))
    best = np.where(pure >= 0.91, yielded, 0.0).max()
    assert plan.certificate.ok
    assert plan.at_end(unit.purity) == pytest.approx(0.91, abs=1e-6)
    assert best - 1e-9 <= plan.objective < best + 1e-4


def test_an_empty_charge_has_a_purity_and_a_full_one_is_rounded_little():
    unit = Precipitation("unit")
    assert simulate(Flowsheet(unit), RESTING).at_end(unit.purity) == 0.0
    charged = unit.with_values({"n[product]": CHARGE[0], "n[impurity]": CHARGE[1]})
    assert simulate(Flowsheet(charged), RESTING).at_end(unit.purity) == pytest.approx(by_hand(40.0, 60.0)[1], rel=1e-10)


def test_a_charge_is_brought_and_taken_away_between_phases():
    unit = Precipitation("unit", n=CHARGE)
    recipe = Recipe(
        Phase("first", 1.0),
        Phase("second", 1.0, actions=[unit.charge(0.5, product=100.0)]),
        Phase("third", 1.0, actions=[unit.empty(), unit.charge(2.0, product=3.0, impurity=1.0)]),
    )
    run = simulate(Flowsheet(unit), recipe)
    assert run.at_end(unit.n["product"], "second") == pytest.approx(168.25, rel=1e-12)
    np.testing.assert_allclose([run.at_end(name) for name in unit.n], [6.0, 2.0], rtol=1e-12)


def test_of_a_stream_the_same_is_kept_and_no_amount_is_lost():
    """A broth precipitated as it flows into two tanks gives what its charge gives."""
    unit = ContinuousPrecipitation("unit", R=0.4, s1=48.0, s2=64.0)
    pool, waste = CollectionTank("pool"), CollectionTank("waste")
    plant = Flowsheet(unit, pool, waste, connect=[(unit.pool, pool.feed), (unit.waste, waste.feed)])
    inputs = {unit.feed.flow: lambda t: 0.5 + 0.2 * t, unit.feed.c["product"]: CHARGE[0]}
    inputs |= {unit.feed.c["impurity"]: lambda t: CHARGE[1] * (1.0 + t)}
    run = simulate(plant, Recipe(Phase("flow", 2.0)), inputs, tolerance=1e-11)
    for key in unit.components:
        np.testing.assert_allclose(run[pool.n[key]] + run[waste.n[key]], run[unit.n[key]], rtol=1e-10)
        np.testing.assert_allclose(run[pool.n[key]], run[unit.recovered[key]], rtol=1e-10)
    assert run.at_end(unit.n["product"]) == pytest.approx(CHARGE[0] * 1.4, rel=1e-9)
    assert run.at_end(pool.V) == pytest.approx(0.4 * 1.4, rel=1e-9)
    assert run.at_end(pool.n["product"]) == pytest.approx(CHARGE[0] * 1.4 * by_hand(48.0, 64.0)[0], rel=1e-9)


def test_more_components_have_solubilities_of_their_own():
    a, b = {"p": 56.0, "q": 45.0, "r": 70.0}, {"p": 40.0, "q": 12.0, "r": 8.0}
    unit = Precipitation("unit", components=("p", "q", "r"), product="p", a=list(a.values()), b=list(b.values()), n=1.0)
    run = simulate(Flowsheet(unit), RESTING)
    for key in a:
        expected = soluble(40.0, a[key], b[key]) * (1.0 - soluble(60.0, a[key], b[key]))
        assert run.at_end(unit.kept[key]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"product": "citrate"}, "unit (Precipitation): product 'citrate' is unknown"),
        ({"s1": 20.0}, "unit.s1: the value 20 lies outside its bounds [30, 55]"),
    ],
)
def test_it_says_what_it_cannot_be(changes, text):
    with pytest.raises(DeclarationError, match=re.escape(text)):
        Precipitation("unit", **changes)
