"""The perfusion of Pichia pastoris: its published run of 90 h, another integrator, and an optimization of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from titer.control import optimize
from titer.flowsheets import AtEnd, Flowsheet, Free, Phase, PiecewiseConstant, Reaches, Recipe, simulate
from titer.flowsheets.units import HoldTank, PichiaPerfusion
from titer.numerics.errors import DeclarationError

F0, LOADED = 0.03, 0.06  # L/h
IMPURE = ("P1", "P2", "P3")
REACTOR, TANK = PichiaPerfusion("reactor"), HoldTank("tank", components=IMPURE)
PLANT = Flowsheet(REACTOR, TANK, time="h")
NO_FEED = {REACTOR.F_g: 0.0, REACTOR.F_m: 0.0}
GLYCEROL, METHANOL = NO_FEED | {REACTOR.F_g: F0}, NO_FEED | {REACTOR.F_m: F0}
HELD, DRAWN = {TANK.F_out: 0.0}, {TANK.F_out: LOADED}
TO_TANK = [(REACTOR.harvest, TANK.feed)]


def the_recipe():
    cycle = (("load", 3.0, DRAWN), ("wash", 1.0, HELD), ("elute", 6.0, HELD))
    return Recipe(
        Phase("batch", 22.0, fixed=NO_FEED, idle=[TANK]),
        Phase("glycerol", 10.0, fixed=GLYCEROL, idle=[TANK]),
        Phase("transition", 8.0, fixed=METHANOL, idle=[TANK]),
        Phase("fill", 20.0, fixed=METHANOL | HELD, routes=TO_TANK),
        *(
            Phase(f"{name} {k}", hours, fixed=METHANOL | tank, routes=TO_TANK)
            for k in (1, 2, 3)
            for name, hours, tank in cycle
        ),
    )


@pytest.fixture(scope="module")
def run():
    return simulate(PLANT, the_recipe(), tolerance=1e-10)


def at(run, name, hours):
    series = run[name]
    return float(series[series.index <= hours + 1e-9].iloc[-1])


CHECKS = {  # h, from an independent computation: name, value, one unit of its last printed digit
    22.0: {"X": (28.1, 1e-4)},
    32.0: {"X": (61.6624, 1e-4)},
    40.0: {"X": (66.1952, 1e-4), "Sm": (0.006792, 1e-6), "P1": (0.3580, 1e-4)},
    60.0: {"X": (76.7742, 1e-4), "P1": (0.7183, 1e-4), "P2": (0.01476, 1e-5), "P3": (0.14756, 1e-5)},
    90.0: {"X": (90.8974, 1e-4), "P1": (0.7606, 1e-4)},
}
TANK_CHECKS = {60.0: (0.600, 0.58138, 0.02046, 0.20456), 90.0: (0.960, 0.71305, 0.01345, 0.13448)}


@pytest.mark.parametrize("hours", CHECKS)
def test_the_reactor_has_the_published_states(run, hours):
    for name, (value, digit) in CHECKS[hours].items():
        assert at(run, f"reactor.{name}", hours) == pytest.approx(value, abs=0.51 * digit), name


@pytest.mark.parametrize("hours", TANK_CHECKS)
def test_the_tank_has_the_published_contents(run, hours):
    volume, *contents = TANK_CHECKS[hours]
    assert at(run, TANK.V, hours) == pytest.approx(volume, rel=1e-9)
    found = [at(run, TANK.c[key], hours) for key in IMPURE]
    np.testing.assert_allclose(found, contents, atol=0.51e-5)


def test_the_product_is_most_concentrated_when_published(run):
    """0.7726 g/L at 78.25 h; the maximum is flat, 2e-6 g/L lower a quarter of an hour away."""
    P1 = run[REACTOR.P1]
    assert P1.max() == pytest.approx(0.7726, abs=0.51e-4)
    assert P1.idxmax() == pytest.approx(78.25, abs=0.25)
    assert np.interp(78.25, P1.index, P1) == pytest.approx(P1.max(), abs=3e-6)


def source_rates(F, glycerol, methanol):
    """The published equations with the maximum itself."""

    def rates(t, y):
        X, Sg, Sm, *P = y
        q_g, q_m = 0.37 * Sg / (Sg + 0.1), 0.57 * Sm / (Sm + 0.1)
        mu_g, mu_m = 0.7 * q_g, 0.36 * max(q_m - 0.013, 0.0)
        D = F / 0.5
        a = ((0.0, 0.1), (0.001, 0.001), (0.01, 0.01))
        made = [-D * p + (g * mu_g + m * mu_m) * X for p, (g, m) in zip(P, a, strict=True)]
        return [(mu_g + mu_m) * X, D * (glycerol - Sg) - q_g * X, D * (methanol - Sm) - q_m * X, *made]

    return rates


def test_rounding_the_maximum_costs_a_few_millionths(run):
    """Against SciPy's LSODA on the equations of the source."""
    y, t = np.array([0.1, 40.0, 0.0, 0.0, 0.0, 0.0]), 0.0
    for end, F, glycerol, methanol in ((22.0, 0.0, 0.0, 0.0), (32.0, F0, 80.0, 0.0), (90.0, F0, 0.0, 40.0)):
        rates = source_rates(F, glycerol, methanol)
        y = solve_ivp(rates, (t, end), y, method="LSODA", rtol=1e-11, atol=1e-14, max_step=0.5).y[:, -1]
        t = end
        found = [at(run, f"reactor.{name}", end) for name in ("X", "Sg", "Sm", *IMPURE)]
        np.testing.assert_allclose(found, y, rtol=3e-6, atol=1e-9)


def test_what_the_harvest_carries_is_in_the_tank(run):
    """P3 follows growth, 0.01 X: what is made of it while the tank is filled is in the reactor or in the tank."""
    made = 0.01 * 0.5 * (at(run, REACTOR.X, 60.0) - at(run, REACTOR.X, 40.0))
    kept = 0.5 * (at(run, REACTOR.P3, 60.0) - at(run, REACTOR.P3, 40.0)) + at(run, TANK.n["P3"], 60.0)
    assert kept == pytest.approx(made, rel=1e-8)


def test_substrates_are_used_up_and_stay_at_zero(run):
    frame = run.frame()
    assert frame[[REACTOR.Sg, REACTOR.Sm]].min().min() > -1e-9
    assert abs(at(run, REACTOR.Sg, 90.0)) < 1e-15


def test_it_starts_and_optimizes_by_itself_with_durations_tied_and_free():
    """The most product per hour: no glycerol perfusion beyond its least, the longest filling, the strongest feed."""
    recipe = Recipe(
        Phase("batch", Free(22.0, 5.0, 40.0), until=Reaches(REACTOR.Sg, 0.1, "falling"), fixed=NO_FEED, idle=[TANK]),
        Phase("glycerol", Free(10.0, 1.0, 20.0), fixed=GLYCEROL, idle=[TANK]),
        Phase("transition", 8.0, fixed={REACTOR.F_g: 0.0}, idle=[TANK]),
        Phase("fill", Free(20.0, 5.0, 30.0), fixed={REACTOR.F_g: 0.0} | HELD, routes=TO_TANK),
    )
    plan = optimize(
        PLANT,
        recipe,
        free={REACTOR.F_m: PiecewiseConstant(2, lower=0.01, upper=0.06)},
        maximize=AtEnd(lambda v: v["tank.n[P1]"] / v.time),
        starts=1,
    )
    assert plan.certificate.ok
    assert plan.certificate.largest_deviation < 1e-4
    assert plan.duration["fill"] == pytest.approx(30.0, abs=1e-4)
    np.testing.assert_allclose(plan.phases[3].shapes[REACTOR.F_m][1], 0.06, rtol=1e-5)
    batch = plan.duration["batch"]
    grown = solve_ivp(source_rates(0.0, 0.0, 0.0), (0.0, batch), [0.1, 40.0] + [0.0] * 4, method="LSODA", rtol=1e-10)
    assert grown.y[1, -1] == pytest.approx(0.1, rel=1e-3)


def test_a_perfusion_without_feed_is_refused():
    with pytest.raises(DeclarationError, match="no feed was given"):
        PichiaPerfusion("reactor", feeds={})
