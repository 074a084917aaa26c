"""The semibatch reactor against an independent integration of the published equations, and its totals."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from titer.flowsheets import Flowsheet, Phase, Recipe, quantity, simulate
from titer.flowsheets.units import CoolantJacket, Isothermal, Jacket, MassAction, Reaction, SemibatchReactor, Wall
from titer.numerics.errors import DeclarationError


def ran(reactor, hours, inputs):
    return simulate(Flowsheet(reactor), Recipe(Phase("feed", hours)), inputs, tolerance=1e-12)


def against(run, names, rates, start):
    """Compare a run with scipy's integration of rates(t, y), relative to the largest value of each."""
    t = run.frame().index.to_numpy()
    exact = solve_ivp(rates, (0.0, t[-1]), start, method="DOP853", rtol=1e-13, atol=1e-14, t_eval=t).y
    for name, reference in zip(names, exact, strict=True):
        np.testing.assert_allclose(run[name], reference, atol=1e-8 * np.abs(reference).max(), err_msg=name)


@pytest.mark.parametrize("u", [0.0, 0.01, 0.1])
def test_the_published_safety_problem_with_a_constant_feed(u):
    """Srinivasan, Palanki and Bonvin (2003), example 1: concentrations, volume, and the temperature after a failure."""
    reactor = SemibatchReactor("reactor")

    def rates(t, y):
        c_A, c_B, V = y
        r = 0.0482 * c_A * c_B
        return [-r - u / V * c_A, -r + u / V * (2.0 - c_B), u]

    run = ran(reactor, 3.0, {reactor.u: u})
    c_A, c_B, c_C = reactor.c
    against(run, [c_A, c_B, reactor.V], rates, [2.0, 0.63, 0.7])
    np.testing.assert_allclose(run[reactor.T_ad], 343.15 + run[c_B] * 6.0e4 / 3780.0, rtol=1e-12)
    assert run[reactor.T_ad].iloc[0] == pytest.approx(353.15, rel=1e-12)  # 70 C and the limit of 80 C, to begin with
    n_A = run[c_A] * run[reactor.V]
    np.testing.assert_allclose(n_A + run[c_C] * run[reactor.V], 1.4, rtol=1e-10)
    np.testing.assert_allclose(run[reactor.conversion], 1.0 - n_A / 1.4, atol=1e-10)


def test_the_thermostat_removes_what_reaction_and_feed_bring():
    reactor = SemibatchReactor("reactor", Q_s=5.0)
    run = ran(reactor, 3.0, {reactor.u: 0.05})
    released = 0.0482 * run[reactor.c["A"]] * run[reactor.c["B"]] * run[reactor.V] * 6.0e4 / 3600.0  # W
    warmed = 0.05 * 3780.0 * (343.15 - 298.15) / 3600.0
    np.testing.assert_allclose(run[reactor.Q_r], released, rtol=1e-10)
    np.testing.assert_allclose(run[reactor.Q_j], warmed - released - 5.0, rtol=1e-10)
    assert np.ptp(run[reactor.T].to_numpy()) == 0.0


def test_with_an_energy_balance_in_hours():
    """Rates in hours, heat in watts, a jacket whose wetted area grows with the fill."""
    reaction = Reaction("r_1", {"A": -1, "B": -1, "C": 1}, MassAction(0.0482, E=6.0e4, T_ref=343.15), dH=-6.0e4)
    jacket = Jacket(wall=Wall(U=300.0, A_0=0.002, A_V=0.01))
    reactor = SemibatchReactor("reactor", reactions=(reaction,), jacket=jacket)
    u, T_j = 0.04, 338.0

    def rates(t, y):
        c_A, c_B, c_C, T, V = y
        r = 0.0482 * np.exp(-6.0e4 / 8.314 * (1.0 / T - 1.0 / 343.15)) * c_A * c_B
        heat = 6.0e4 * r * V + 3600.0 * 300.0 * (0.002 + 0.01 * V) * (T_j - T) + u * 3780.0 * (298.15 - T)
        return [-r - u / V * c_A, -r + u / V * (2.0 - c_B), r - u / V * c_C, heat / (3780.0 * V), u]

    run = ran(reactor, 6.0, {reactor.u: u, reactor.jacket.T_j: T_j})
    against(run, [*reactor.c, reactor.T, reactor.V], rates, [2.0, 0.63, 0.0, 343.15, 0.7])


def test_a_coolant_jacket_counts_in_hours_too():
    """Flows in L/s and a vessel in hours: the jacket comes to the balance of coolant and wall."""
    reactor = SemibatchReactor("reactor", jacket=CoolantJacket(), Q_s=100.0, k0=0.0)
    run = ran(reactor, 50.0, {reactor.u: 0.0, reactor.jacket.F_c: 0.005})
    T_j = 290.0 + 100.0 / (4180.0 * 0.005)
    assert run.at_end(reactor.jacket.T_j) == pytest.approx(T_j, rel=1e-9)
    assert run.at_end(reactor.T) == pytest.approx(T_j + 100.0 / (500.0 * 0.1 * 0.7), rel=1e-9)


def test_a_rate_constant_converts_to_hours():
    reaction = Reaction("r_1", {"A": -1, "B": -1, "C": 1}, MassAction(quantity(1e-4, "mol/L/s")))
    reactor = SemibatchReactor("reactor", reactions=(reaction,))
    assert Flowsheet(reactor).values[reactor.k0["r_1"]] == pytest.approx(0.36)


def test_what_is_fed_counts_as_present():
    """B comes with the feed alone; without it in the feed it could never appear."""
    SemibatchReactor("reactor", c={"A": 2.0})
    message = (
        "reactor (SemibatchReactor): species B can never appear: it starts at 0, is not fed, and no reaction makes "
        'it.\n  Give it a start or a feed, name it in added=("B",) if it comes with a stream'
    )
    with pytest.raises(DeclarationError, match=f"^{re.escape(message)}"):
        SemibatchReactor("reactor", c={"A": 2.0}, c_in=0.0)
    with pytest.raises(DeclarationError, match="r_1 has a heat of -60000 J/mol, but the reactor is Isothermal"):
        SemibatchReactor("reactor", jacket=Isothermal())
