"""Tanks against the solutions of their balances, from empty, to empty, and in an optimization with a known answer."""

from __future__ import annotations

import re

import numpy as np
import pytest

from titer.control import optimize
from titer.flowsheets import AtEnd, Flowsheet, Free, Phase, PiecewiseConstant, Reaches, Recipe, simulate
from titer.flowsheets.units import CollectionTank, HoldTank
from titer.numerics.errors import DeclarationError, FlowsheetError, SpecificationError

FED = (4.0, 1.0)  # g/L


def ran(tank, hours, flow=0.0, c=FED, drawn=0.0, **phase):
    inputs = {tank.feed.flow: flow, tank.feed.c: list(c), **({tank.F_out: drawn} if isinstance(tank, HoldTank) else {})}
    return simulate(Flowsheet(tank), Recipe(Phase("run", hours, **phase)), inputs, tolerance=1e-11)


def hours_of(run):
    return run.frame().index.to_numpy()


# --- one tank -------------------------------------------------------------------------------------------------------


def test_a_tank_fed_from_empty_takes_the_concentrations_of_its_feed():
    """n = F c t and V = F t; c is that of the feed but for the stated rounding, and has a value in the empty tank."""
    tank = CollectionTank("tank")
    run = ran(tank, 2.0, flow=0.3)
    t = hours_of(run)
    for key, c in zip(tank.components, FED, strict=True):
        np.testing.assert_allclose(run[tank.n[key]], 0.3 * c * t, rtol=1e-10)
        assert run[tank.c[key]].iloc[0] == 0.0
        V = 0.3 * t[1:]
        np.testing.assert_allclose(run[tank.c[key]].iloc[1:], c * (1.0 - 0.5 * (1e-5 / V) ** 2), rtol=1e-9)
    np.testing.assert_allclose(run[tank.V], 0.3 * t, rtol=1e-10)
    np.testing.assert_allclose(run[tank.filled], 0.03 * t, rtol=1e-10)


def test_a_tank_at_constant_volume_washes_out_exponentially():
    tank = HoldTank("tank", n=[2.0, 5.0], V=0.5)
    run = ran(tank, 6.0, flow=0.2, c=(0.0, 1.0), drawn=0.2)
    left = np.exp(-0.2 / 0.5 * hours_of(run))
    np.testing.assert_allclose(run[tank.n["product"]], 2.0 * left, rtol=2e-9)
    np.testing.assert_allclose(run[tank.c["impurity"]], 1.0 + 9.0 * left, rtol=2e-9)
    assert np.ptp(run[tank.V].to_numpy()) < 1e-12


def test_components_degrade_at_rates_of_their_own():
    """n' = F c - k n, with and without a feed."""
    tank = CollectionTank("tank", n=[2.0, 3.0], V=1.0, k=[0.25, 0.0])
    t = hours_of(resting := ran(tank, 8.0))
    np.testing.assert_allclose(resting[tank.n["product"]], 2.0 * np.exp(-0.25 * t), rtol=1e-8)
    np.testing.assert_allclose(resting[tank.n["impurity"]], 3.0, rtol=1e-13)
    t = hours_of(fed := ran(tank, 8.0, flow=0.1))
    settled = 0.1 * 4.0 / 0.25
    np.testing.assert_allclose(fed[tank.n["product"]], settled + (2.0 - settled) * np.exp(-0.25 * t), rtol=1e-8)


def test_a_tank_is_drawn_empty():
    """It takes V/F_out; the concentration stays, and c rounding/2 is left: n = n0 exp(-asinh(V0/rounding))."""
    tank = HoldTank("tank", n=[2.0, 5.0], V=0.5)
    run = ran(tank, Free(1.0, 0.1, 9.0), drawn=0.25, until=Reaches(tank.V, 0.0, "falling"))
    assert run.duration["run"] == pytest.approx(2.0, abs=1e-8)
    assert run.at_end(tank.n["product"]) == pytest.approx(4.0 * 0.5e-5, rel=1e-3)
    half = run.frame().loc[:1.0]
    np.testing.assert_allclose(half[tank.c["impurity"]], 10.0, rtol=1e-8)


def test_nothing_is_added_or_drawn_by_less_than_zero():
    tank = HoldTank("tank", V=1.0)
    for act in (tank.add(-0.1, product=1.0), tank.add(0.1, product=-1.0), tank.draw(-0.1)):
        with pytest.raises(SpecificationError, match="is a number of at least 0, got -"):
            ran(tank, 1.0, actions=[act])


def test_a_tank_that_is_filled_and_drawn_at_once_may_start_empty():
    """c is that of the feed from the first drop; what the rounding costs is below its volume times c."""
    tank = HoldTank("tank")
    run = ran(tank, 3.0, flow=0.3, drawn=0.1)
    np.testing.assert_allclose(run[tank.n["product"]], 4.0 * 0.2 * hours_of(run), atol=4.0 * 1e-5)


# --- two tanks ------------------------------------------------------------------------------------------------------


def two(**source):
    a = HoldTank("a", V=1.0, n=[3.0, 1.0], **source)
    b = CollectionTank("b", V_max=0.8)
    return a, b, Flowsheet(a, b, connect=[(a.outlet, b.feed)])


def test_a_transfer_keeps_every_amount():
    a, b, plant = two()
    recipe = Recipe(Phase("out", 0.4), Phase("more", 0.5), Phase("rest", 1.0, idle=[a]))
    inputs = {a.F_out: lambda t: 0.5 + 0.4 * np.sin(9.0 * t), a.feed.flow: 0.0, a.feed.c: 0.0}
    run = simulate(plant, recipe, inputs, tolerance=1e-11)
    for key, total in zip(a.components, (3.0, 1.0), strict=True):
        np.testing.assert_allclose(run[a.n[key]] + run[b.n[key]], total, rtol=1e-10)
    np.testing.assert_allclose(run[a.V] + run[b.V], 1.0, rtol=1e-10)


def test_the_best_transfer_of_what_degrades_is_the_fastest_until_the_second_tank_is_full():
    """With flow F for the first half hour and none thereafter b holds c0 F/k (1 - exp(-k/2)) of the product."""
    a, b, plant = two(k=[0.5, 0.0])
    plan = optimize(
        plant,
        Recipe(Phase("transfer", duration=1.0)),
        free={a.F_out: PiecewiseConstant(8, upper=1.6)},
        inputs={a.feed.flow: 0.0, a.feed.c: 0.0},
        maximize=AtEnd(lambda v: v["b.n[product]"]),
        subject_to=[b.capacity()],
        refine=1e-7,
    )
    assert plan.certificate.ok
    assert plan.objective == pytest.approx(3.0 * 1.6 / 0.5 * (1.0 - np.exp(-0.25)), abs=1e-6)
    np.testing.assert_allclose(plan.phases[0].shapes[a.F_out][1], [1.6] * 4 + [0.0] * 4, atol=1e-4)
    assert plan.at_end(a.n["impurity"]) + plan.at_end(b.n["impurity"]) == pytest.approx(1.0, rel=1e-10)


def test_a_tank_is_drawn_to_its_heel_in_an_optimization_too():
    """Fastest: (V - heel)/F_out, tied to V = heel."""
    a, _, plant = two(k=[0.5, 0.0])
    plan = optimize(
        plant,
        Recipe(Phase("out", duration=Free(2.0, 0.1, 9.0), until=Reaches(a.V, 0.05, "falling"))),
        free={a.F_out: PiecewiseConstant(1, lower=0.1, upper=1.6)},
        inputs={a.feed.flow: 0.0, a.feed.c: 0.0},
        maximize=AtEnd(lambda v: v["b.n[product]"]),
    )
    hours = 0.95 / 1.6
    assert plan.certificate.ok
    assert plan.duration["out"] == pytest.approx(hours, abs=1e-6)
    assert plan.objective == pytest.approx(3.0 * 1.6 / 0.5 * (1.0 - np.exp(-0.5 * hours)), abs=1e-6)


# --- actions --------------------------------------------------------------------------------------------------------


def test_a_tank_is_emptied_filled_and_sampled_between_phases():
    tank = HoldTank("tank", V=1.0, n=[3.0, 1.0])
    recipe = Recipe(
        Phase("hold", 1.0),
        Phase("sampled", 1.0, actions=[tank.draw(0.25)]),
        Phase("fresh", 1.0, actions=[tank.empty(), tank.add(0.5, impurity=2.0)]),
    )
    run = simulate(Flowsheet(tank), recipe, {tank.feed.flow: 0.0, tank.feed.c: 0.0, tank.F_out: 0.0})
    left = [run.at_end(name, "sampled") for name in (*tank.n, tank.V)]
    np.testing.assert_allclose(left, [2.25, 0.75, 0.75], rtol=1e-9)
    np.testing.assert_allclose([run.at_end(name) for name in (*tank.n, tank.V)], [0.0, 1.0, 0.5], rtol=1e-12)


# --- what it refuses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: HoldTank("tank", V=20.0), "tank (HoldTank): it would start with 20 L in a capacity of 10 L"),
        (lambda: HoldTank("tank", rounding=0.0), "rounding is a volume above zero, in L, got 0.0"),
        (lambda: HoldTank("tank", k=-1.0), "tank.k[product]"),
    ],
)
def test_it_says_what_it_cannot_be(make, text):
    with pytest.raises(DeclarationError, match=re.escape(text)):
        make()


def test_a_liquid_with_an_unknown_component_is_refused():
    tank = HoldTank("tank")
    recipe = Recipe(Phase("first", 1.0), Phase("wrong", 1.0, actions=[tank.add(0.5, prodct=2.0)]))
    with pytest.raises(SpecificationError, match="'prodct' is unknown"):
        simulate(Flowsheet(tank), recipe, {tank.feed.flow: 0.0, tank.feed.c: 0.0, tank.F_out: 0.0})


def test_tanks_with_other_components_are_not_connected():
    a, b = HoldTank("a"), HoldTank("b", components=("product", "salt"))
    with pytest.raises(FlowsheetError, match=r"(?s)do not carry the same.*same labels: a.components and b.components"):
        Flowsheet(a, b, connect=[(a.outlet, b.feed)])
    c = CollectionTank("c", components=("impurity", "product"))  # in another order: by name
    plant = Flowsheet(a.with_values({"V": 1.0, "n[product]": 3.0}), c, connect=[(a.outlet, c.feed)])
    run = simulate(plant, Recipe(Phase("out", 0.5)), {a.F_out: 1.0, a.feed.flow: 0.0, a.feed.c: 0.0})
    assert run.at_end(c.n["product"]) == pytest.approx(1.5, rel=1e-7)
