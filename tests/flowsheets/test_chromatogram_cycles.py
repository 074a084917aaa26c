"""Cyclic steady states against those known in closed form, and columns that take turns."""

from __future__ import annotations

import numpy as np
import pytest

from titer.control import optimize
from titer.flowsheets import AtEnd, Flowsheet, Free, Phase, Recipe, cycles, simulate
from titer.flowsheets.chromatograms import chromatogram, cyclic_link, cyclic_steady_state, pool, step, together
from titer.flowsheets.units import CollectionTank, Column, Langmuir, LumpedRate, Mixer, SpectralElements
from titer.numerics.errors import SolveError, SpecificationError

AB = ("A", "B")


def pulsed_mixer(V=100.0):
    """1 min of feed and 1 min of none through a volume: contracting by e^-2 min F/V a cycle."""
    mixer = Mixer("mixer", V=V)
    on, off = ({mixer.feed.flow: 10.0, mixer.feed.c["product"]: c} for c in (1.0, 0.0))
    return mixer, Recipe(Phase("on", 60.0, inputs=on), Phase("off", 60.0, inputs=off))


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_a_mixer_settles_where_it_must(depth):
    """c e^-2a + (1 - e^-a) e^-a = c with a = F t/V: c = e^-a/(1 + e^-a)."""
    mixer, recipe = pulsed_mixer(20.0)
    found = cyclic_steady_state(Flowsheet(mixer), recipe, tolerance=1e-7, accuracy=1e-10, depth=depth)
    a = 10.0 / 20.0
    expected = np.exp(-a) / (1.0 + np.exp(-a))
    assert found.plant.values[mixer.c["product"]] == pytest.approx(expected, rel=1e-6)
    assert found.run.at_end(mixer.c["product"]) == pytest.approx(expected, rel=1e-6)
    assert len(found.changes) == found.cycles


def test_acceleration_saves_most_cycles_where_a_plant_remembers():
    mixer, recipe = pulsed_mixer(200.0)
    slow, fast = (cyclic_steady_state(Flowsheet(mixer), recipe, most=200, depth=depth) for depth in (0, 2))
    assert fast.cycles < 6
    assert slow.cycles > 50


def test_what_does_not_settle_is_told_with_its_last_run():
    mixer, recipe = pulsed_mixer(1e4)
    with pytest.raises(SolveError, match="after 3 cycles") as caught:
        cyclic_steady_state(Flowsheet(mixer), recipe, most=3)
    assert caught.value.solution.status.ok


@pytest.mark.parametrize(
    ("given", "text"),
    [({"accuracy": 1e-3}, "accuracy < tolerance"), ({"accumulating": ("tank",)}, "'tank' is no unit operation")],
)
def test_a_cycle_that_cannot_be_is_refused(given, text):
    mixer, recipe = pulsed_mixer()
    with pytest.raises(SpecificationError, match=text):
        cyclic_steady_state(Flowsheet(mixer), recipe, **given)


def langmuir(name):
    law = Langmuir(bound=AB, k_a=[0.5, 1.0], k_d=1.0, qmax=20.0)
    return Column(
        name, components=AB, concentration="g/L", transport=LumpedRate(D_ax=2e-7), binding=law,
        method=SpectralElements(8, 4),
    )  # fmt: skip


def test_a_column_gives_in_each_cycle_what_it_is_fed():
    """Injections that overlap in the column: at the cyclic steady state the balance of one cycle closes."""
    column = langmuir("column")
    tank = CollectionTank("tank", components=AB)
    plant = Flowsheet(column, tank, connect=[(column.outlet, tank.feed)], time="s")
    recipe = Recipe(
        step(column, "feed", {"A": 5.0, "B": 5.0}, flow=2.0, duration=80.0),
        step(column, "elute", {}, flow=2.0, duration=160.0),
    )
    found = cyclic_steady_state(plant, recipe, accumulating=("tank",), accuracy=1e-7)
    fed = 2.0 / 60.0 * 80.0 * 5.0  # mg
    for key in AB:
        assert 1e3 * found.run.at_end(tank.n[key]) == pytest.approx(fed, rel=1e-4)
    own = pool(chromatogram(found.run, column), 0.0)
    assert own.recovery("A") == pytest.approx(1.0, abs=1e-3)  # by trapezoids between the output points
    first = simulate(plant, recipe, tolerance=1e-7)
    assert 1e3 * first.at_end(tank.n["B"]) < 0.9 * fed  # the first cycle leaves some behind


def test_twin_columns_take_turns():
    """One is fed while the other is eluted; over two turns both give the same, half a round apart."""
    one, other = langmuir("one"), langmuir("other")
    feed, clean = {"A": 5.0, "B": 5.0}, {}

    def turn(name, loaded, eluted):
        return together(
            name,
            step(loaded, "load", feed, flow=2.0, duration=120.0),
            step(eluted, "elute", clean, flow=4.0, duration=120.0),
        )

    recipe = Recipe(*cycles(3, [turn("one loads", one, other), turn("other loads", other, one)]))
    run = simulate(Flowsheet(one, other), recipe, tolerance=1e-7)
    first, second = chromatogram(run, one), chromatogram(run, other)
    amounts = [pool(first, f"other loads {k}").amounts for k in (1, 2)]
    later = pool(second, "one loads 3").amounts
    assert amounts[1] == pytest.approx(later, rel=2e-3)
    assert first.fed == pytest.approx(second.fed)


def test_an_optimization_knows_a_cycle_as_a_link():
    """What leaves a mixer at the end of its cycle, as low as wanted: the feed's share follows from the closed form."""
    mixer, recipe = pulsed_mixer(20.0)
    feed = recipe.replaced("on", duration=Free(60.0, 5.0, 200.0))
    linked = cyclic_link(Flowsheet(mixer), feed)
    plan = optimize(
        linked.plant,
        linked.recipe,
        free=linked.free,
        maximize=AtEnd(lambda v: v.time),
        subject_to=[*linked.closed, AtEnd(lambda v: v.mixer.c[0], upper=0.4, name="low")],
    )
    rate, off = 10.0 / 60.0 / 20.0, 60.0
    on = -np.log((1.0 - 0.4 * np.exp(rate * off)) / (1.0 - 0.4)) / rate  # c = 1 - (1 - c_0) e^-at, then c e^-at
    assert plan.duration["on"] == pytest.approx(on, rel=1e-5)
    assert plan.at_end(mixer.c["product"]) == pytest.approx(0.4, rel=1e-6)


def test_a_phase_with_a_route_is_a_pool_with_exact_cuts():
    """What a tank collects in a phase is the pool between the phase's ends, without a valve to blur them."""
    column = langmuir("column")
    tank = CollectionTank("tank", components=AB)
    route = [(column.outlet, tank.feed)]
    recipe = Recipe(
        step(column, "feed", {"A": 5.0, "B": 5.0}, flow=2.0, duration=80.0, idle=[tank]),
        step(column, "waste", {}, flow=2.0, duration=250.0, idle=[tank]),
        step(column, "pool", {}, flow=2.0, duration=120.0, routes=route),
        step(column, "strip", {}, flow=2.0, duration=400.0, idle=[tank]),
    )
    run = simulate(Flowsheet(column, tank, time="s"), recipe, points=1000)
    expected = pool(chromatogram(run, column), "pool")
    for key in AB:
        assert 1e3 * run.at_end(tank.n[key]) == pytest.approx(expected.amounts[key], rel=1e-4)
    assert 1e3 * run.at_end(tank.V) == pytest.approx(expected.volume, rel=1e-6)


def test_steps_that_contradict_each_other_are_refused():
    column = langmuir("column")
    load = step(column, "load", {"A": 1.0}, flow=1.0, duration=60.0)
    with pytest.raises(SpecificationError, match="given by two"):
        together("both", load, load)
