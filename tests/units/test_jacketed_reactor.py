"""The jacketed reactor: analytic steady states, closed energy balances, a cascade controller that keeps its limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from titer.flowsheets import Equations, Flowsheet, Phase, Recipe, State, simulate
from titer.flowsheets.units import CascadeJacket, JacketedReactor, Wall

STIRRED = {"k0": 0.0, "Q_s": 200.0}  # no reaction: 200 W of stirring are all that heats


class Metered(JacketedReactor):
    """With meters of the heat through the wall and of what the coolant takes away."""

    through = State("J", start=0.0)
    taken = State("J", start=0.0)

    def equations(self, v):
        rate = super().equations(v).rate
        j = v.jacket
        return Equations(rate=rate | {"through": v.Q_j, "taken": j.rhoCp_c * j.F_c * (j.T_j - j.T_c)})


def ran(reactor, *phases, tolerance=1e-11, **inputs):
    return simulate(Flowsheet(reactor), Recipe(*phases), inputs, tolerance=tolerance)


def test_it_comes_to_its_steady_state():
    """Q_s = UA (T - T_j) = rhoCp_c F_c (T_j - T_c)."""
    reactor = JacketedReactor("reactor", **STIRRED)
    run = ran(reactor, Phase("run", 30000.0, fixed={reactor.jacket.F_c: 0.004}))
    T_j = 290.0 + 200.0 / (4180.0 * 0.004)
    assert run.at_end(reactor.jacket.T_j) == pytest.approx(T_j, rel=1e-9)
    assert run.at_end(reactor.T) == pytest.approx(T_j + 200.0 / 50.0, rel=1e-9)


def test_it_follows_its_equations():
    """A -> B -> C with its jacket, integrated apart."""
    reactor = JacketedReactor("reactor", T=350.0)

    def rates(t, y):
        c_A, c_B, _, T, T_j = y
        r_1, r_2 = 2e9 * np.exp(-8e4 / 8.314 / T) * c_A, 1e10 * np.exp(-9e4 / 8.314 / T) * c_B
        Q = 50.0 * (T_j - T)
        dT_j = 0.002 / 0.2 * (290.0 - T_j) - Q / (4180.0 * 0.2)
        return [-r_1, r_1 - r_2, r_2, (5e4 * r_1 + 2e4 * r_2 + Q) / 4200.0, dT_j]

    run = ran(reactor, Phase("run", 1800.0, fixed={reactor.jacket.F_c: 0.002}), tolerance=1e-12)
    t = run.frame().index.to_numpy()
    start = [1.0, 0.0, 0.0, 350.0, 320.0]
    exact = solve_ivp(rates, (0.0, t[-1]), start, method="DOP853", rtol=1e-13, atol=1e-14, t_eval=t).y
    for name, reference in zip([*reactor.c, reactor.T, reactor.jacket.T_j], exact, strict=True):
        np.testing.assert_allclose(run[name], reference, atol=1e-8 * np.abs(reference).max(), err_msg=name)


@pytest.mark.parametrize("jacket", [None, CascadeJacket()], ids=["given flow", "cascade"])
def test_energy_closes(jacket):
    """What contents and jacket store is what reactions and stirring release less what the coolant takes."""
    reactor = Metered("reactor", T=350.0, Q_s=30.0, **({} if jacket is None else {"jacket": jacket}))
    given = {reactor.jacket.F_c: 0.003} if jacket is None else {reactor.jacket.T_set: 340.0}
    run = ran(reactor, Phase("run", 3600.0, fixed=given), tolerance=1e-12)
    c_A, c_B, c_C = (run[name].to_numpy() for name in reactor.c)
    T, T_j, through, taken = (
        run[n].to_numpy() for n in (reactor.T, reactor.jacket.T_j, reactor.through, reactor.taken)
    )
    released = 5e4 * (c_B + c_C) + 2e4 * c_C + 30.0 * run.frame().index.to_numpy()
    np.testing.assert_allclose(4200.0 * (T - 350.0), released + through, atol=1e-8 * np.abs(taken).max())
    np.testing.assert_allclose(4180.0 * 0.2 * (T_j - 320.0), -through - taken, atol=1e-8 * np.abs(taken).max())
    np.testing.assert_allclose(c_A + c_B + c_C, 1.0, rtol=1e-9)


def test_the_cascade_comes_to_its_set_point_without_offset():
    reactor = JacketedReactor("reactor", jacket=CascadeJacket(), T=330.0, **STIRRED)
    jacket = reactor.jacket
    run = ran(
        reactor,
        Phase("first", 60000.0, inputs={jacket.T_set: 330.0}),
        Phase("up", 60000.0, inputs={jacket.T_set: 340.0}),
        Phase("loaded", 60000.0, inputs={jacket.T_set: 340.0}, fixed={reactor.Q_s: 400.0}),
    )
    for phase, T, load in (("first", 330.0, 200.0), ("up", 340.0, 200.0), ("loaded", 340.0, 400.0)):
        assert run.at_end(reactor.T, phase) == pytest.approx(T, abs=1e-6)
        T_j = T - load / 50.0
        assert run.at_end(jacket.T_j, phase) == pytest.approx(T_j, abs=1e-6)
        assert run.at_end(jacket.F_c, phase) == pytest.approx(load / (4180.0 * (T_j - 290.0)), rel=1e-6)


def test_limits_hold_and_integrators_do_not_wind_up():
    """Two hours at the limit of the coolant leave no overshoot when the heat falls again."""
    reactor = JacketedReactor("reactor", jacket=CascadeJacket(F_max=0.004), T=330.0, **STIRRED)
    jacket = reactor.jacket
    run = ran(
        reactor,
        Phase("calm", 20000.0),
        Phase("too much", 7200.0, fixed={reactor.Q_s: 1200.0}),
        Phase("calm again", 30000.0),
        **{jacket.T_set: 330.0},
    )
    _, hot, after = run.phases
    F_c, T_jset = run[jacket.F_c], run[jacket.T_jset]
    assert F_c.min() > 0.0
    assert F_c.max() < 0.004
    assert T_jset.min() > 280.0
    assert T_jset.max() < 400.0
    assert hot.value(jacket.F_c)[-1] > 0.99 * 0.004
    assert hot.value(reactor.T)[-1] > 370.0
    T = after.value(reactor.T)
    assert T.min() > 330.0 - 3.0
    assert T[-1] == pytest.approx(330.0, abs=1e-3)


def test_the_cascade_holds_an_exothermic_batch():
    wall = Wall(U=500.0, A_V=0.1)
    reactor = JacketedReactor("reactor", jacket=CascadeJacket(wall=wall), dH=[-1.5e5, -2e4], T=345.0)
    free = ran(reactor, Phase("run", 3600.0), tolerance=1e-9, **{reactor.jacket.T_set: 345.0})
    assert np.abs(free[reactor.T] - 345.0).max() < 2.5
    assert free[reactor.T_ad].iloc[0] == pytest.approx(345.0 + 1.7e5 / 4200.0)
