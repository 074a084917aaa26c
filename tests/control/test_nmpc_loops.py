"""Does the controller steer plants that are not its model, through phases that end by conditions, whatever fails?"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path as File

import numpy as np
import pytest

from titer.control import NMPC, ActionStatus, Failing, Simulate, Track, close_loop
from titer.estimation import Drift, ExtendedKalman, Sample
from titer.flowsheets import AtEnd, Flowsheet, Free, Integral, Path, Phase, PiecewiseConstant, Reaches, Recipe, simulate
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid

spec = importlib.util.spec_from_file_location("nmpc_toys", File(__file__).with_name("nmpc_toys.py"))
toys = importlib.util.module_from_spec(spec)
sys.modules["nmpc_toys"] = toys
spec.loader.exec_module(toys)
tank, tanks, lasting = toys.tank, toys.tanks, toys.lasting

reactor = BatchReactor("reactor")
plant = Flowsheet(reactor, time="s")
RATE = 0.1


@pytest.fixture(scope="module")
def batch():
    return NMPC(
        plant, Recipe(Phase("react", duration=Free(900.0, 300.0, 1500.0))), 150.0,
        {reactor.T_j: PiecewiseConstant(every=150.0)}, maximize=AtEnd(lambda v: v.reactor.c_B / (v.time + 1800.0)),
        subject_to=[Path(lambda v: v.reactor.T, upper=350.0, name="wall"), AtEnd(lambda v: v.reactor.c_C, upper=0.15)],
        grid=Grid(elements=12), rates={reactor.T_j: RATE}, fallback={reactor.T_j: 310.0},
    ).build()  # fmt: skip


def test_whatever_is_injected_bounds_and_rates_hold_and_every_batch_ends(batch) -> None:
    rng = np.random.default_rng(5)
    noise = {reactor.T: 0.2, reactor.c_A: 0.01, reactor.c_B: 0.01, reactor.c_C: 0.01}
    statuses = set()
    for seed in range(8):
        factors = rng.uniform(0.7, 1.3, 2)
        truth = plant.with_values(
            {reactor.k0_1: 2e9 * factors[0], reactor.k0_2: plant.values[reactor.k0_2] * factors[1]}
        )
        log = close_loop(truth, Failing(batch, solver=0.2, nan=0.2), seed=seed, noise=noise)
        frame = log.frame()
        times, u = np.append(frame.index, frame.index[-1] + 150.0), frame["commanded reactor.T_j"].to_numpy()
        assert u.min() >= 300.0
        assert u.max() <= 370.0
        assert (np.abs(np.diff(u)) <= RATE * np.diff(times)[: len(u) - 1] + 1e-6).all()
        assert abs(u[0] - 334.0) <= RATE * 150.0 + 1e-6
        assert frame.index[-1] < 1500.0
        assert frame["reactor.c_B"].iloc[-1] > 0.3
        statuses |= set(frame["status"])
    assert {"OPTIMAL", "SHIFTED"} <= statuses


def test_a_noisy_sensor_that_shows_less_than_nothing_stops_no_solve(batch) -> None:
    action = batch.start(
        Sample(0.0, {reactor.c_A: 1.0, reactor.c_B: -0.02, reactor.c_C: -0.01, reactor.T: 320.0})
    ).action
    assert action.fallback is None
    assert action.estimate[reactor.c_B] == -0.02  # what is believed is not what is planned from


def test_a_controller_whose_solves_fail_shares_what_was_built(batch) -> None:
    built = batch.bank.built
    assert batch.disabled().bank is batch.bank
    memory = batch.start(Sample(0.0, {reactor.c_A: 1.0, reactor.c_B: 0.0, reactor.c_C: 0.0, reactor.T: 320.0}))
    later = Sample(150.0, {reactor.c_A: 0.9, reactor.c_B: 0.1, reactor.c_C: 0.0, reactor.T: 330.0})
    assert batch.disabled().step(memory, later)[0].status is ActionStatus.SHIFTED
    assert batch.bank.built == built


def test_samples_may_come_early_late_or_not_at_all_and_a_loop_may_begin_in_the_middle(batch) -> None:
    run = simulate(plant, Recipe(Phase("react", duration=1500.0)), inputs={reactor.T_j: 345.0})
    names, built = (reactor.c_A, reactor.c_B, reactor.c_C, reactor.T), batch.bank.built

    def seen(t):
        return Sample(t, {name: float(np.interp(t, run[name].index, run[name])) for name in names})

    memory = batch.start(seen(0.0))
    for t in (155.0, 290.0, 600.0):
        action, memory = batch.step(memory, seen(t))
        assert action.fallback is None
    begun = batch.start(seen(600.0), applied=action.values).action
    assert begun.values[reactor.T_j] == pytest.approx(action.values[reactor.T_j], abs=RATE * 310.0)
    assert begun.plan.ends["react"] == pytest.approx(action.plan.ends["react"], abs=30.0)
    action, memory = batch.step(memory, seen(1500.0))
    assert action.stop
    assert batch.step(memory, seen(1500.0))[0] is action
    assert batch.bank.built == built


def test_phases_may_end_by_conditions_set_states_and_have_free_ends() -> None:
    recipe = Recipe(
        Phase("fill", duration=Free(100.0, 10.0, 300.0), until=Reaches(tank.y, 0.8, "rising")),
        Phase("hold", duration=50.0, start={tank.y: lambda v: v.tank.y - 0.2}),
        Phase("last", duration=Free(40.0, 10.0, 100.0)),
    )
    cost = AtEnd(lambda v: v.time / 100.0) + Track({tank.y: 0.7}, phase="hold") + Track({tank.y: 0.3}, phase="last")
    controller = NMPC(
        tanks, recipe, 20.0, {tank.u: PiecewiseConstant(every=20.0)},
        minimize=cost + 0.02 * Integral(lambda v: v.tank.u * v.tank.u), grid=Grid(elements=8),
        subject_to=[AtEnd(lambda v: v.tank.y, upper=0.35)],
    )  # fmt: skip
    log = close_loop(tanks.with_values({tank.K: 1.9}), controller, seed=0)
    frame = log.frame()
    assert list(dict.fromkeys(frame["phase"])) == ["fill", "hold", "last"]
    assert set(frame["status"]) == {"OPTIMAL"}
    hold = frame[frame["phase"] == "hold"]
    assert hold["tank.y"].iloc[0] == pytest.approx(0.8, abs=1e-6)  # what it was before the phase takes from it
    assert frame.index[-1] - hold.index[0] <= 50.0 + 100.0


def test_a_measured_disturbance_that_is_told_ahead_is_met_ahead() -> None:
    lag = toys.Disturbed("lag")
    lags = Flowsheet(lag, time="s")
    controller = NMPC(
        lags, lasting(2000.0), 20.0, {lag.u: PiecewiseConstant(every=20.0)}, minimize=Track({lag.y: 0.5}),
        grid=Grid(elements=10), horizon=200.0, inputs={lag.d: 0.0},
    )  # fmt: skip
    memory = controller.start(Sample(0.0, {lag.y: 0.5}), applied={lag.u: 0.25})
    assert memory.action.values[lag.u] == pytest.approx(0.25, abs=1e-4)
    action, memory = controller.step(memory, Sample(20.0, {lag.y: 0.5}), {lag.d: 0.1})
    assert action.values[lag.u] == pytest.approx(0.15, abs=1e-4)
    again, _ = controller.step(memory, Sample(40.0, {lag.y: 0.5}))
    assert again.values[lag.u] == pytest.approx(0.15, abs=1e-4)  # it holds from then on


def test_a_loop_with_a_delay_that_is_told_is_the_plan_and_one_that_is_not_is_another() -> None:
    def loop(delay, **more):
        return NMPC(
            tanks, lasting(400.0), 20.0, {tank.u: PiecewiseConstant(every=20.0)}, minimize=Track({tank.y: 1.0}),
            moves={tank.u: 5.0}, grid=Grid(elements=40), delay=delay, **more,
        )  # fmt: skip

    log = close_loop(tanks, loop(10.0), seed=0, delay=10.0, start={tank.y: 0.3})
    planned = log.plan(0)[tank.u].groupby(level=0).last()
    commanded = log.frame()["commanded tank.u"]
    for t in (20.0, 40.0, 60.0, 160.0):
        assert commanded[t] == pytest.approx(float(planned[t + 10.0]), abs=1e-5)
    ignorant = close_loop(tanks, loop(0.0), seed=0, delay=10.0, start={tank.y: 0.3}).frame()
    assert ignorant["tank.y"].max() > log.frame()["tank.y"].max() + 0.02
    estimator = ExtendedKalman(noise={tank.y: 0.01}, disturbances={tank.w: Drift(0.02, start=0.5)})
    estimating = loop(10.0, estimator=estimator)
    frame = close_loop(tanks.with_values({tank.w: 0.2}), estimating, seed=0, delay=10.0).frame()
    assert frame["tank.y"].iloc[-1] == pytest.approx(1.0, abs=2e-3)
    assert frame["estimate tank.y"].iloc[-1] == pytest.approx(frame["tank.y"].iloc[-1], abs=1e-4)


def test_a_laboratory_that_answers_now_and_then_and_late_is_no_bad_signal() -> None:
    estimator = ExtendedKalman(noise={reactor.T: 0.1, reactor.c_B: 0.01}, start={reactor.c_A: 0.05})
    controller = NMPC(
        plant, Recipe(Phase("react", duration=900.0)), 150.0, {reactor.T_j: PiecewiseConstant(every=150.0)},
        maximize=AtEnd(lambda v: v.reactor.c_B), subject_to=[Path(lambda v: v.reactor.T, upper=350.0)],
        grid=Grid(elements=12), estimator=estimator,
    )  # fmt: skip
    memory = controller.start(Sample(0.0, {reactor.T: 320.0}))
    action, memory = controller.step(memory, Sample(150.0, {reactor.T: 331.0}))
    assert not any("bad" in reason for reason in action.reasons)
    late = Sample(300.0, {reactor.T: 340.0}, late={reactor.c_B: (150.0, 0.09)})
    action, memory = controller.step(memory, late)
    assert not any("bad" in reason for reason in action.reasons)
    assert memory.ages()[reactor.c_B] == 150.0
    dead, memory = controller.step(memory, Sample(450.0, {reactor.T: float("nan")}))
    assert "reactor.T is bad for 1 sample" in dead.reasons
    assert memory.events[-1].text == "reactor.T is bad"


def test_an_estimating_loop_that_is_killed_goes_on_as_it_would_have(tmp_path) -> None:
    def controller():
        estimator = ExtendedKalman(noise={tank.y: 0.01}, disturbances={tank.w: Drift(0.02, start=0.5)})
        return NMPC(
            tanks, lasting(2000.0), 20.0, {tank.u: PiecewiseConstant(every=20.0)}, minimize=Track({tank.y: 1.0}),
            grid=Grid(elements=5), horizon=100.0, estimator=estimator, signals={tank.y: Simulate(3)},
        )  # fmt: skip

    truth = toys.Plant(tanks.with_values({tank.w: 0.2}), lasting(100.0), 20.0, (tank.u,))
    one = controller()
    straight, _, _ = toys.looped(one, truth, 10)
    actions, states, memory = toys.looped(one, truth, 5)
    path = memory.save(tmp_path / "loop.npz")
    other = controller()
    again, _, _ = toys.looped(other, truth, 6, states[-1], other.resume(path))
    assert [a.values for a in actions + again[1:]] == [a.values for a in straight]
