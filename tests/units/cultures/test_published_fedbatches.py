"""Two fed-batches known for their best feeds, assembled from parts as well, and against another integrator."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from titer.control import optimize
from titer.flowsheets import AtEnd, Flowsheet, Path, Phase, PiecewiseConstant, Recipe, simulate
from titer.flowsheets.units import FedBatch, Feed, InhibitedFedBatch, PenicillinFedBatch
from titer.flowsheets.units.cultures.kinetics import (
    Contois,
    Decay,
    Growth,
    Haldane,
    Kinetics,
    Maintenance,
    Monod,
    Production,
)

HOURS = 120.0


def ran(unit, control, feed, hours=HOURS):
    return simulate(Flowsheet(unit, time="h"), Recipe(Phase("run", hours)), {control: feed}, tolerance=1e-11)


def penicillin_rates(t, y):
    """The published equations, fed 10 g/h."""
    X, P, S, V = y
    mu, rho = 0.11 * S / (0.006 * X + S), 0.0055 * S / (1e-4 + S * (1.0 + S / 0.1))
    D, m = 10.0 / (500.0 * V), 0.029 * S / (1e-4 + S)
    return [(mu - D) * X, rho * X - 0.01 * P - D * P, -(mu / 0.47 + rho / 1.2 + m) * X + D * (500.0 - S), D * V]


def test_penicillin_is_the_published_model():
    unit = PenicillinFedBatch("fermenter")
    run = ran(unit, unit.F, 10.0)
    exact = solve_ivp(penicillin_rates, (0.0, HOURS), [1.5, 0.0, 0.0, 7.0], method="BDF", rtol=1e-9, atol=1e-12)
    found = [run.at_end(f"fermenter.{name}") for name in "XPSV"]
    np.testing.assert_allclose(found, exact.y[:, -1], rtol=1e-5)


def test_penicillin_assembled_from_parts_of_the_library_is_the_same_model():
    own = PenicillinFedBatch("fermenter")
    kinetics = Kinetics(
        growth=Growth(0.11, Contois("S", 0.006, "X"), yields={"S": 0.47}),
        penicillin=Production("P", 0.0, 0.0055, Haldane("S", 1e-4, 0.1), yields={"S": 1.2}),
        upkeep=Maintenance("S", 0.029, Monod("S", 1e-4)),
        decay=Decay("P", 0.01),
    )
    feeds = {"feed": Feed({"S": 500.0}, flow="F")}
    parts = FedBatch("fermenter", products=("P",), kinetics=kinetics, feeds=feeds, X=1.5, S=0.0, V=7.0)
    a, b = ran(own, own.F, 10.0), ran(parts, parts.F, 10.0 / 500.0)
    for name in "XPSV":
        np.testing.assert_allclose(b[f"fermenter.{name}"], a[f"fermenter.{name}"], rtol=1e-7, atol=1e-9, err_msg=name)


def test_inhibited_growth_assembled_from_parts_of_the_library_is_the_same_model():
    own = InhibitedFedBatch("tank")
    kinetics = Kinetics(
        growth=Growth(0.02, Haldane("S", 0.05, 5.0), yields={"S": 0.5}),
        product=Production("P", 0.0, 0.004, yields={"S": 1.2}),
    )
    feeds = {"feed": Feed({"S": 200.0}, flow="u")}
    parts = FedBatch("tank", products=("P",), kinetics=kinetics, feeds=feeds, X=1.0, S=0.5, V=150.0)
    a, b = ran(own, own.u, 0.1), ran(parts, parts.u, 0.1)
    for name in "XSPV":
        np.testing.assert_allclose(b[f"tank.{name}"], a[f"tank.{name}"], rtol=1e-8, err_msg=name)


def test_substrate_of_inhibited_growth_is_in_the_tank_in_cells_or_in_product():
    unit = InhibitedFedBatch("tank")
    frame = ran(unit, unit.u, 0.1).frame()
    held = (frame[unit.S] + frame[unit.X] / 0.5 + frame[unit.P] / 1.2) * frame[unit.V]
    np.testing.assert_allclose(held, held.iloc[0] + 200.0 * 0.1 * frame.index, rtol=1e-8)


def test_substrate_is_kept_in_an_optimization_too():
    """Most product in 60 h; what was fed is in the tank."""
    unit = InhibitedFedBatch("tank")
    plan = optimize(
        Flowsheet(unit, time="h"),
        Recipe(Phase("feed", 60.0)),
        free={unit.u: PiecewiseConstant(6)},
        maximize=AtEnd(lambda v: v.tank.P),
        subject_to=[Path(lambda v: v.tank.S, lower=0.0, name="substrate left")],
        starts=1,
        refine=1e-6,
    )
    frame = plan.frame()
    held = (frame[unit.S] + frame[unit.X] / 0.5 + frame[unit.P] / 1.2 - 200.0) * frame[unit.V]
    assert plan.certificate.ok
    np.testing.assert_allclose(held, held.iloc[0], rtol=1e-6)


@pytest.mark.parametrize("evaporation", [0.0, 0.02])
def test_water_that_evaporates_leaves_all_else(evaporation):
    unit = InhibitedFedBatch("tank", evaporation=evaporation)
    frame = ran(unit, unit.u, 0.1).frame()
    np.testing.assert_allclose(frame[unit.V], 150.0 + (0.1 - evaporation) * frame.index, rtol=1e-10)
    held = (frame[unit.S] + frame[unit.X] / 0.5 + frame[unit.P] / 1.2) * frame[unit.V]
    np.testing.assert_allclose(held, held.iloc[0] + 20.0 * frame.index, rtol=1e-8)
