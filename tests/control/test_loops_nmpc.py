"""Does the predictive controller stand in a loop as the others do: killed, failing, on many plants?"""

from __future__ import annotations

import pandas as pd
import pytest

from tests.control.loops_toys import lag, lasting, plant
from titer.control import NMPC, PID, Failing, Loop, Track, Uniform, close_loop, monte_carlo
from titer.estimation import Drift, ExtendedKalman, Sample
from titer.flowsheets import Integral, PiecewiseConstant
from titer.numerics import Grid

WANTED = {lag.y: lambda t: 1.0 if t < 150.0 else 1.6}
NOISE = {lag.y: 0.02}


@pytest.fixture(scope="module")
def nmpc():
    return NMPC(
        plant, lasting(300.0), every=10.0, free={lag.u: PiecewiseConstant(every=10.0, lower=0.0, upper=1.2)},
        minimize=Track({lag.y: 1.0}), moves={lag.u: 0.01}, rates={lag.u: 0.05}, horizon=80.0,
        inputs={lag.d: 0.0}, grid=Grid(8, 2), fallback={lag.u: 0.2},
        estimator=ExtendedKalman(noise=NOISE, disturbances={lag.w: Drift(0.05)}),
    ).build()  # fmt: skip


def test_an_interrupted_loop_of_the_nmpc_goes_on_with_the_same_actions(nmpc, tmp_path):
    """Its estimate, its plan, its set points and its events are in the file, and nothing else is needed."""
    conditions = {"noise": NOISE, "seed": 2, "previews": WANTED}
    failing = Failing(nmpc, solver=0.2, nan=0.2, seed=1)

    def interrupt(text):
        if "t = 170 " in text:
            raise KeyboardInterrupt

    whole = close_loop(plant.with_values({lag.K: 1.7}), failing, **conditions)
    assert whole.summary().fallbacks > 2
    with pytest.raises(KeyboardInterrupt):
        close_loop(plant.with_values({lag.K: 1.7}), failing, keep=tmp_path, progress=interrupt, **conditions)
    again = close_loop(plant.with_values({lag.K: 1.7}), failing, keep=tmp_path, **conditions)
    for name in ("commanded", "truth", "measured", "estimates"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(whole, name))
    assert again.steps["status"].tolist() == whole.steps["status"].tolist()
    assert again.plan(20).columns.tolist() == whole.plan(20).columns.tolist()


def test_bounds_and_rates_are_kept_on_many_plants_whatever_fails(nmpc):
    """30 % mismatch, a third of all solves and measurements lost: no command leaves its bounds, no loop breaks off."""
    failing = Failing(nmpc, solver=0.33, nan=0.33)
    pi = PID(plant, lasting(300.0), [Loop(lag.y, lag.u, 1.0, gain=0.5, integral=40.0)], 10.0, inputs={lag.d: 0.0})
    study = monte_carlo(
        plant, {"NMPC": nmpc, "failing": failing, "PI": pi},
        {lag.K: Uniform(1.4, 2.6), lag.tau: Uniform(35.0, 65.0)}, runs=4, noise=NOISE, previews=WANTED, ahead=False,
        minimize=Integral(lambda v: (v.lag.y - 1.0) ** 2), jobs=1,
    )  # fmt: skip
    assert study.compare()["failed"].tolist() == [0, 0, 0]
    own = study.table[study.table["controller"] != "PI"]
    assert own["complete"].all()
    assert own["fastest lag.u"].max() <= 0.05 * (1.0 + 1e-9)
    failed = study.table[study.table["controller"] == "failing"]
    assert failed["fallbacks"].min() > 3
    assert failed["fallbacks"].nunique() > 1  # at other times in each case


def test_a_constant_disturbance_leaves_no_offset(nmpc):
    log = close_loop(plant.with_values({lag.K: 1.8, lag.w: -0.2}), nmpc, previews={lag.y: 1.0})
    assert log.truth[lag.y].iloc[-1] == pytest.approx(1.0, abs=1e-4)
    assert log.commanded[lag.u].between(-1e-12, 1.2 + 1e-12).all()


def test_a_controller_that_was_built_can_be_sent_to_another_process(nmpc):
    """Its settings travel; what it built does not."""
    import pickle

    from joblib.externals.loky.backend.reduction import dumps

    sample = Sample(0.0, {lag.y: 0.1})
    for controller in (nmpc, nmpc.disabled()):
        sent = pickle.loads(dumps(controller))
        one, other = (c.start(sample, WANTED).action for c in (controller, sent))
        assert one.values == other.values
        assert one.status == other.status
