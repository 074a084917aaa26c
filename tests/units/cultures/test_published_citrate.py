"""The citrate fermentation: its published run of 140 h, nitrogen, and every tolerance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from titer.cases.citrate_model import FEED, OXYGEN, STEPS
from titer.control import optimize
from titer.flowsheets import AtEnd, Flowsheet, Phase, PiecewiseConstant, Recipe, simulate
from titer.flowsheets.units import CitrateFermenter

UNIT = CitrateFermenter("fermenter")
PLANT, RUN = Flowsheet(UNIT, time="h"), Recipe(Phase("run", 140.0))
INPUTS = {UNIT.O: pd.Series(OXYGEN, STEPS), UNIT.F_S: pd.Series(FEED, STEPS)}
CHECKS = {  # h: X, C, L, S, N, V as printed, and their digits
    23.0: ((23.992, 0.299, 2.777, 0.011, 2.5466, 0.7084), (3, 3, 3, 3, 4, 4)),
    47.5: ((37.894, 40.972, 19.729, 7.422, 0.0, 0.9245), (3, 3, 3, 3, 4, 4)),
    95.0: ((32.713, 94.063, 29.431, 0.189, 0.0, 1.0710), (3, 3, 3, 3, 4, 4)),
    140.0: ((33.251, 118.253, 25.582, 3.013, 0.0, 1.0537), (3, 3, 3, 3, 4, 4)),
}


@pytest.fixture(scope="module")
def frame():
    return simulate(PLANT, RUN, INPUTS, tolerance=1e-10).frame()


@pytest.mark.parametrize("hours", CHECKS)
def test_the_batch_has_the_published_states(frame, hours):
    row = frame.iloc[int(np.abs(frame.index.to_numpy() - hours).argmin())]
    for name, value, digits in zip("XCLSNV", *CHECKS[hours], strict=True):
        assert row[f"fermenter.{name}"] == pytest.approx(value, abs=0.51 * 10.0**-digits), name


def test_nitrogen_is_in_the_medium_or_in_biomass(frame):
    total = (frame[UNIT.N] + frame[UNIT.X] / 10.0) * frame[UNIT.V]
    np.testing.assert_allclose(total, total.iloc[0], rtol=1e-8)


def test_samples_take_their_share_of_nitrogen():
    """d(N V + X V / Y_xn)/dt = -sampling (N + X / Y_xn), integrated by the trapezoidal rule."""
    plant = PLANT.with_values({"fermenter.sampling": 1e-3})
    frame = simulate(plant, RUN, INPUTS, points=4000, tolerance=1e-10).frame()
    held = frame[UNIT.N] + frame[UNIT.X] / 10.0
    lost = np.trapezoid(1e-3 * held, frame.index)
    total = held * frame[UNIT.V]
    assert total.iloc[0] - total.iloc[-1] == pytest.approx(lost, rel=1e-6)
    assert lost > 0.1 * total.iloc[0]


@pytest.mark.parametrize("tolerance", [1e-6, 1e-8, 1e-10, 1e-12])
def test_it_runs_at_every_tolerance(tolerance):
    """Spent nitrogen decays by exp(-3000), far below the smallest number: what solves for steps must bear that."""
    run = simulate(PLANT, RUN, INPUTS, tolerance=tolerance)
    assert run.at_end(UNIT.C) == pytest.approx(118.252737, abs=max(100.0 * tolerance, 1e-6) * 10.0)


def test_an_optimization_keeps_nitrogen():
    """Through the end of nitrogen, at 30 h; a mesh may undershoot where it and oil are used up."""
    unit = CitrateFermenter("fermenter", N={"lower": -0.01}, S={"lower": -0.02})
    plan = optimize(
        Flowsheet(unit, time="h"),
        Recipe(Phase("run", 30.0)),
        free={unit.F_S: PiecewiseConstant(3, upper=0.02)},
        inputs={unit.O: 30.0},
        maximize=AtEnd(lambda v: v.fermenter.C),
        starts=1,
    )
    frame = plan.frame()
    total = (frame[unit.N] + frame[unit.X] / 10.0) * frame[unit.V]
    assert plan.certificate.ok
    assert plan.certificate.largest_deviation < 1e-5
    np.testing.assert_allclose(total, total.iloc[0], rtol=1e-6)
