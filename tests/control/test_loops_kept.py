"""Does a loop that was killed go on as if nothing had happened, and does a plan carried out give what was planned?"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tests.control.loops_toys import Following, lag, lasting, plant
from titer.control import PID, Actuator, Failing, Laboratory, Loop, Missing, OpenLoop, Stuck, Walk, close_loop, optimize
from titer.control.action import Action, Plan
from titer.control.loops.journal import action_of, facts_of
from titer.estimation import Sample
from titer.flowsheets import (
    AtEnd,
    Control,
    Equations,
    Flowsheet,
    Free,
    Phase,
    PiecewiseConstant,
    PiecewiseLinear,
    Recipe,
    State,
    Unit,
    quantity,
)
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid
from titer.numerics.errors import SpecificationError

reactor = BatchReactor("reactor")
batch = Flowsheet(reactor, time="s")
CONDITIONS = {
    "seed": 3,
    "noise": {lag.y: 0.1},
    "laboratory": {lag.twice: Laboratory(every=40.0, delay=15.0)},
    "disturbances": [Walk(name=lag.w, deviation=0.1)],
    "faults": [Missing(name=lag.y, probability=0.3, start=50.0, end=150.0), Stuck(lag.u, start=60.0, end=95.0)],
    "previews": {lag.y: lambda t: 1.0 if t < 120.0 else 2.0},
}
pi = PID(plant, lasting(300.0), [Loop(lag.y, lag.u, 1.0, 0.8, 30.0, 4.0, rate=0.1)], 10.0, inputs={lag.d: 0.0})


def same(one, other):
    """Two logs are the same but for times of computing."""
    for name in ("truth", "measured", "commanded", "applied", "wanted", "laboratory", "events"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
    rest = ["phase", "status", "age", "fallback", "reasons"]
    pd.testing.assert_frame_equal(one.steps[rest], other.steps[rest])


@pytest.mark.parametrize("after", [1, 13, 29])
def test_an_interrupted_loop_goes_on_with_the_same_actions(after, tmp_path):
    """Whatever it had to remember: noise, late samples, a random walk, a stuck valve, an integral, a derivative."""
    said = []

    def interrupt(text):
        said.append(text)
        if len(said) == after:
            raise KeyboardInterrupt

    whole = close_loop(plant, pi, **CONDITIONS)
    with pytest.raises(KeyboardInterrupt):
        close_loop(plant, pi, keep=tmp_path, progress=interrupt, **CONDITIONS)
    with (tmp_path / "actions.jsonl").open("a") as file:
        file.write('{"time": 4')  # a line that was being written
    again = close_loop(plant, pi, keep=tmp_path, **CONDITIONS)
    same(again, whole)
    same(close_loop(plant, pi, keep=tmp_path, **CONDITIONS), whole)  # one that is finished is read


SCRIPT = """
import os, sys
from tests.control.test_loops_kept import CONDITIONS, pi, plant
from titer.control import close_loop

def die(text):
    if "t = 140 " in text:
        os._exit(9)

close_loop(plant, pi, keep=sys.argv[1], progress=die, **CONDITIONS)
"""


@pytest.mark.slow
def test_a_killed_process_leaves_a_loop_that_goes_on(tmp_path, pytestconfig):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=pytestconfig.rootpath, timeout=120, check=False
    )
    assert done.returncode == 9
    assert len((tmp_path / "actions.jsonl").read_text().splitlines()) == 1 + 14
    same(close_loop(plant, pi, keep=tmp_path, **CONDITIONS), close_loop(plant, pi, **CONDITIONS))


def test_a_folder_of_another_loop_is_refused(tmp_path):
    close_loop(plant, pi, keep=tmp_path, **CONDITIONS)
    with pytest.raises(SpecificationError, match=r"^keep: .* holds another loop"):
        close_loop(plant, pi, keep=tmp_path, **{**CONDITIONS, "seed": 4})
    with pytest.raises(SpecificationError, match=r"^keep: .* holds another loop"):
        close_loop(plant.with_values({lag.K: 1.9}), pi, keep=tmp_path, **CONDITIONS)


def test_an_action_and_its_plan_go_through_a_file():
    inner = Plan(("a",), np.array([0.0, 0.1]), np.array([[1.0 / 3.0, np.nan]]), {"run": 0.1})
    plan = Plan(("a", "b"), np.array([0.0]), np.array([[1.0], [2.0]]), {}, (inner, inner))
    action = Action(0.3, {"u": 0.1 + 0.2}, age=2, fallback="late", ends=0.5, reasons=("one", "two"), plan=plan)
    read = action_of(facts_of(action))
    for key in ("time", "values", "status", "age", "fallback", "ends", "stop", "reasons", "seconds"):
        assert getattr(read, key) == getattr(action, key)
    pd.testing.assert_frame_equal(read.plan.frame(), plan.frame())
    pd.testing.assert_series_equal(read.plan.scenarios[1]["a"], inner["a"])
    with pytest.raises(SpecificationError, match="plan: name 'c' is unknown"):
        plan["c"]


@pytest.fixture(scope="module")
def plan():
    recipe = Recipe(Phase("react", duration=Free(3600.0, 600.0, 7200.0)))
    return optimize(
        batch, recipe, free={reactor.T_j: PiecewiseConstant(8)},
        maximize=AtEnd(lambda v: v.reactor.c_B / (v.time + 1800.0)), grid=Grid(16, 3),
    )  # fmt: skip


def test_a_plan_carried_out_on_its_own_model_is_the_plan(plan):
    log = close_loop(batch, OpenLoop(plan), tolerance=1e-10)
    assert log.complete
    assert log.run.duration["react"] == pytest.approx(plan.duration["react"], rel=1e-9)
    assert len(log.steps) == 8
    for name in (reactor.c_B, reactor.c_C, reactor.T):
        assert log.run.at_end(name) == pytest.approx(plan.at_end(name), rel=2e-6)
    found = log.summary(maximize=AtEnd(lambda v: v.reactor.c_B / (v.time + 1800.0)))
    assert found.objective == pytest.approx(plan.objective, rel=2e-6)


def test_a_plan_sampled_otherwise_is_followed_on_average(plan):
    """Of lines, the mean over each interval; the integral of the input is the same however it is sampled."""
    whole = close_loop(batch, OpenLoop(plan)).run[reactor.T_j]
    other = close_loop(batch, OpenLoop(plan, every=97.0)).run[reactor.T_j]
    areas = [float(np.trapezoid(series.to_numpy(), series.index)) for series in (whole, other)]
    assert areas[0] == pytest.approx(areas[1], rel=1e-9)


def test_two_phases_are_carried_out_each_from_its_own_beginning():
    recipe = Recipe(Phase("one", duration=40.0), Phase("two", duration=60.0))
    plan = optimize(
        plant, recipe, free={lag.u: PiecewiseLinear(2, lower=0.0, upper=2.0)}, inputs={lag.d: 0.0},
        minimize=AtEnd(lambda v: (v.lag.y - 1.5) ** 2) + AtEnd(lambda v: (v.lag.y - 0.6) ** 2, phase="one"),
    )  # fmt: skip
    log = close_loop(plant, OpenLoop(plan, every=1.0))
    assert log.run.duration == pytest.approx({"one": 40.0, "two": 60.0})
    assert log.run.at_end(lag.y, "one") == pytest.approx(plan.at_end(lag.y, "one"), abs=1e-3)
    assert log.run.at_end(lag.y) == pytest.approx(plan.at_end(lag.y), abs=1e-3)


def test_open_loop_needs_a_plan_that_decided_a_control(plan):
    with pytest.raises(SpecificationError, match=r"^OpenLoop: expected the plan that optimize"):
        OpenLoop(close_loop(batch, OpenLoop(plan), until=500.0))


def test_a_controller_may_end_the_recipe():
    class Ending(Following):
        def step(self, memory, sample, previews=None, **rest):
            action, memory = super().step(memory, sample, previews, **rest)
            late = sample.time >= 40.0
            return Action(action.time, action.values, ends=47.0 if late else None, stop=late), memory

    recipe = Recipe(Phase("run", duration=Free(100.0, 20.0, 200.0)))
    log = close_loop(plant, Ending(recipe))
    assert log.complete
    assert log.truth.index[-1] == pytest.approx(47.0)


def test_a_stuck_valve_stays_until_it_obeys_the_last_command():
    """u = t / 100 in steps of 10 s; stuck from 34 to 71 at 0.3, a ramp of another actuator is frozen half-way."""
    controller = Following(lasting(100.0), lambda t: t / 100.0)
    log = close_loop(plant, controller, faults=[Stuck(lag.u, start=34.0, end=71.0)])
    u = log.run[lag.u]
    assert set(np.round(u[(u.index > 34.0) & (u.index < 71.0)], 9)) == {0.3}
    assert u[(u.index > 71.0) & (u.index < 80.0)].to_numpy() == pytest.approx(0.7)
    slow = close_loop(
        plant, Following(lasting(100.0), lambda t: 5.0), faults=[Stuck(lag.u, start=20.0, end=50.0)],
        actuators={lag.u: Actuator(rate=0.1)},
    ).run[lag.u]  # fmt: skip
    t = slow.index.to_numpy()
    expected = np.minimum(np.where(t < 20.0, 0.1 * t, np.where(t < 50.0, 2.0, 2.0 + 0.1 * (t - 50.0))), 5.0)
    np.testing.assert_allclose(slow, expected, atol=1e-9)
    with pytest.raises(SpecificationError, match=r"faults: manipulated control 'lag\.d' is unknown"):
        close_loop(plant, controller, faults=[Stuck(lag.d)])


def test_previews_are_set_points_that_move():
    """Of a PI loop: what a preview says counts, a Series steps at its times, and the log shows it."""
    loop = Loop(lag.y, lag.u, -5.0, gain=1.0, integral=50.0)
    steps = pd.Series([0.5, 1.5], index=[0.0, 200.0])
    logs = [
        close_loop(plant, PID(plant, lasting(400.0), [loop], 10.0, inputs={lag.d: 0.0}), previews={lag.y: wanted})
        for wanted in (steps, lambda t: 0.5 if t < 200.0 else 1.5)
    ]
    same(*logs)
    assert logs[0].wanted[lag.y].tolist() == [0.5] * 20 + [1.5] * 20
    assert logs[0].truth[lag.y].iloc[-1] == pytest.approx(1.5, abs=0.01)
    with pytest.raises(SpecificationError, match=r"previews: name 'lag\.x' is unknown"):
        close_loop(plant, pi, previews={"lag.x": 1.0})


def test_the_truth_may_begin_elsewhere():
    log = close_loop(plant, Following(lasting(100.0)), start={lag.y: 3.0})
    assert log.truth[lag.y].iloc[0] == 3.0
    assert log.truth[lag.y].iloc[-1] == pytest.approx(3.0 * np.exp(-2.0), rel=1e-6)
    with pytest.raises(SpecificationError, match=r"close_loop: start: state 'lag\.z' is unknown"):
        close_loop(plant, Following(lasting(100.0)), start={"lag.z": 3.0})


def test_what_fails_depends_on_seed_and_time_alone():
    failing = Failing(pi, solver=0.3, nan=0.3, seed=5, unable=pi)
    memory = failing.start(Sample(0.0, {lag.y: 0.0}))
    lost = []
    for seed in (5, 5, 6):
        each = Failing(pi, nan=0.3, seed=seed)
        steps = [each.step(memory, Sample(float(t), {lag.y: 0.0}), phase="run")[0] for t in range(1, 60)]
        lost.append([action.fallback is not None for action in steps])
    assert lost[0] == lost[1]
    assert lost[0] != lost[2]
    for given, text in (({"nan": 1.2}, "nan is a probability"), ({"solver": 0.1}, "solver needs unable=")):
        with pytest.raises(SpecificationError, match=f"^Failing: {text}"):
            Failing(pi, **given)


def test_a_step_that_was_made_is_not_made_again():
    memory = pi.start(Sample(0.0, {lag.y: 0.3}))
    _, memory = pi.step(memory, Sample(10.0, {lag.y: 0.4}), phase="run")
    action, again = pi.step(memory, Sample(10.0, {lag.y: 0.4}), phase="run")
    assert again is memory
    assert action is memory.action


class WithValve(Unit):
    """The lag behind a valve that is slow itself, which the controller's model does not know."""

    time = "s"
    y = State("1", start=0.0, nominal=1.0)
    valve = State("1", start=0.0, nominal=1.0)
    u = Control("1", start=0.0, lower=-10.0, upper=10.0)
    d = Control("1", start=0.0)

    def equations(self, v):
        seconds = quantity(1.0, "s")
        return Equations(
            rate={"y": (2.0 * (v.valve + v.d) - v.y) / (50.0 * seconds), "valve": (v.u - v.valve) / (8.0 * seconds)}
        )


def test_the_truth_may_have_another_structure():
    """A unit step of u through both lags: y = 2 (1 - (50 exp(-t/50) - 8 exp(-t/8)) / 42)."""
    log = close_loop(Flowsheet(WithValve("lag"), time="s"), Following(lasting(200.0), lambda t: 1.0), tolerance=1e-10)
    t = log.truth.index.to_numpy()
    exact = 2.0 * (1.0 - (50.0 * np.exp(-t / 50.0) - 8.0 * np.exp(-t / 8.0)) / 42.0)
    np.testing.assert_allclose(log.truth[lag.y], exact, rtol=1e-7, atol=1e-8)
    held = close_loop(Flowsheet(WithValve("lag"), time="s"), pi)
    assert held.truth[lag.y].iloc[-1] == pytest.approx(1.0, abs=0.02)
