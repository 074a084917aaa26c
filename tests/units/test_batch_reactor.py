"""The batch reactor against numbers computed apart from titer, an analytic optimum, and its invariants."""

from __future__ import annotations

import numpy as np
import pytest

from titer.control import optimize
from titer.flowsheets import (
    AtEnd,
    Equations,
    Flowsheet,
    Free,
    Phase,
    PiecewiseConstant,
    Recipe,
    State,
    simulate,
)
from titer.flowsheets.units import BatchReactor

reactor = BatchReactor("reactor", T=350.0)
plant = Flowsheet(reactor)
hour = Recipe(Phase("react", duration=3600.0))
to_the_best_yield = Recipe(Phase("react", Free(900, 10, 40000), until=lambda v: v.reactor.r_1 <= v.reactor.r_2))


def ramped(t: float) -> float:
    """320 to 350 K in 600 s, 350 K to 2400 s, then 330 K."""
    return 320.0 + 0.05 * t if t < 600.0 else 350.0 if t < 2400.0 else 330.0


class Metered(BatchReactor):
    """The reactor with a meter of the heat that the jacket has given."""

    heat = State("J/L", start=0.0)

    def equations(self, v):
        returned = super().equations(v)
        return Equations(rate={**returned.rate, "heat": v.Q_j})


def test_isothermal_operation_meets_the_analytic_maximum():
    """Without heats of reaction, and with the jacket at the reactor's own temperature, T stays where it is."""
    isothermal = Flowsheet(BatchReactor("reactor", T=350.0, dH_1=0.0, dH_2=0.0))
    run = simulate(isothermal, to_the_best_yield, {reactor.T_j: 350.0}, tolerance=1e-10)
    k_1, k_2 = (k0 * np.exp(-E / (8.314 * 350.0)) for k0, E in ((2.0e9, 8.0e4), (1.0e10, 9.0e4)))
    assert run.at_end(reactor.c_B) == pytest.approx((k_1 / k_2) ** (-k_2 / (k_1 - k_2)), rel=1e-8)
    assert run.duration["react"] == pytest.approx(np.log(k_1 / k_2) / (k_1 - k_2), rel=1e-7)
    assert run.at_end(reactor.c_B) == pytest.approx(0.704479, rel=1e-5)
    assert run.duration["react"] == pytest.approx(947.73, rel=1e-5)
    assert run[reactor.T].to_numpy() == pytest.approx(350.0, rel=1e-12)


def test_the_ramped_jacket_overruns_the_best_stop_time():
    best = simulate(plant, to_the_best_yield, {reactor.T_j: ramped})
    assert best.at_end(reactor.c_B) == pytest.approx(0.70489, rel=1e-4)
    assert best.duration["react"] == pytest.approx(1309.0, abs=1.0)
    run = simulate(plant, hour, {reactor.T_j: ramped})
    assert run.at_end(reactor.c_B) == pytest.approx(0.50638, rel=1e-4)
    assert run.at_end(reactor.c_C) == pytest.approx(0.48886, rel=1e-4)
    assert run.at_end(reactor.T) == pytest.approx(330.01, rel=1e-4)


def test_the_published_frequency_factors_give_a_dead_reactor():
    """The published demonstration set, k0 a thousandth of ours: a regression test of the simulator."""
    dead = Flowsheet(BatchReactor("reactor", T=350.0, k0_1=2.0e6, k0_2=1.0e7))
    run = simulate(dead, hour, {reactor.T_j: ramped})
    assert run.at_end(reactor.c_A) == pytest.approx(0.994841, rel=1e-6)
    assert run.at_end(reactor.c_B) == pytest.approx(0.0051566, rel=1e-4)


@pytest.mark.parametrize(
    ("T_j", "c_B", "time"),
    [(320, 0.75287, 13302), (330, 0.73612, 5059), (340, 0.71952, 2032), (350, 0.70297, 871), (360, 0.68692, 416)],
)
def test_a_colder_jacket_is_more_selective_and_slower(T_j, c_B, time):
    run = simulate(plant, to_the_best_yield, {reactor.T_j: float(T_j)})
    assert run.at_end(reactor.c_B) == pytest.approx(c_B, rel=1e-4)
    assert run.duration["react"] == pytest.approx(time, abs=1.0)


@pytest.mark.parametrize(("pieces", "best"), [(1, 0.72926), (10, 0.730835)])
def test_the_best_hour_from_a_cold_start(pieces, best):
    cold = Flowsheet(BatchReactor("reactor"))
    maximize = AtEnd(lambda v: v.reactor.c_B)
    plan = optimize(cold, hour, {reactor.T_j: PiecewiseConstant(pieces)}, maximize=maximize)
    assert plan.objective == pytest.approx(best, rel=1e-5)
    assert plan.certificate.ok
    if pieces == 1:
        assert plan.at_end(reactor.T_j) == pytest.approx(334.0, abs=0.5)


def test_moles_and_energy_are_invariants_of_a_run():
    metered = Metered("reactor", T=350.0)
    run = simulate(Flowsheet(metered), hour, {reactor.T_j: ramped}, tolerance=1e-12).frame()
    c_A, c_B, c_C, T = (run[metered.name_of(key)].to_numpy() for key in ("c_A", "c_B", "c_C", "T"))
    np.testing.assert_allclose(c_A + c_B + c_C, 1.0, rtol=1e-8)
    stored = 4200.0 * (T - 350.0)
    given = 5.0e4 * (c_B + c_C) + 2.0e4 * c_C + run[metered.heat].to_numpy()
    np.testing.assert_allclose(stored, given, atol=1e-8 * np.abs(run[metered.heat]).max())
