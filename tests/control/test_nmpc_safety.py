"""What happens when a solve fails, a sensor dies, an operator takes over, the process is killed?"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path as File

import numpy as np
import pytest

from titer.control import NMPC, ActionStatus, ControlMemory, Converged, Hold, Mode, Shed, Simulate, Track
from titer.control.nmpc.solving import Solvers, Task, solved
from titer.estimation import Quality, Sample
from titer.flowsheets import Path, PiecewiseConstant
from titer.numerics import Grid, Ipopt
from titer.numerics.errors import SpecificationError
from titer.numerics.solvers import Outcome, Status

spec = importlib.util.spec_from_file_location("nmpc_toys", File(__file__).with_name("nmpc_toys.py"))
toys = importlib.util.module_from_spec(spec)
sys.modules["nmpc_toys"] = toys
spec.loader.exec_module(toys)
tank, tanks, lasting = toys.tank, toys.tanks, toys.lasting
RATE = 0.02


def controller_of(**more):
    settings = {
        "plant": tanks,
        "recipe": lasting(2000.0),
        "every": 20.0,
        "horizon": 100.0,
        "free": {tank.u: PiecewiseConstant(every=20.0, lower=-0.8, upper=0.8)},
        "minimize": Track({tank.y: 1.0}),
        "grid": Grid(elements=5),
        "rates": {tank.u: RATE},
    }
    return NMPC(**{**settings, **more})


@pytest.fixture(scope="module")
def controller():
    return controller_of(fallback={tank.u: -0.5}, patience=2, signals={tank.y: Hold(1)}).build()


def truth():
    return toys.Plant(tanks, lasting(2000.0), 20.0, (tank.u,))


def test_a_failed_solve_is_never_applied_silently(controller) -> None:
    memory = controller.start(Sample(0.0, {tank.y: 0.0}))
    first, broken = memory.action, controller.disabled()
    plan = first.plan[tank.u].groupby(level=0).last()
    seen = []
    for k in range(1, 8):
        action, memory = broken.step(memory, Sample(20.0 * k, {tank.y: 0.1 * k}))
        seen.append((action.status, action.age))
        assert action.fallback is not None
        assert any("out of order" in reason for reason in action.reasons)
        if k < 3:
            assert action.values[tank.u] == pytest.approx(plan[20.0 * k], abs=1e-9)
    assert seen[:2] == [(ActionStatus.SHIFTED, 1), (ActionStatus.SHIFTED, 2)]
    assert {status for status, _ in seen[2:]} == {ActionStatus.FALLBACK}
    assert action.values[tank.u] == -0.5  # approached as fast as its rate allows: 0.4 in a sample
    again, _ = controller.step(memory, Sample(160.0, {tank.y: 0.5}))
    assert again.status is ActionStatus.OPTIMAL
    assert again.fallback is None
    assert controller.bank.built == 1  # nothing was built in the loop


def test_without_a_declared_safe_action_the_last_inputs_are_held() -> None:
    plain = controller_of(patience=0).build()
    memory = plain.start(Sample(0.0, {tank.y: 0.0}))
    action, _ = plain.disabled().step(memory, Sample(20.0, {tank.y: 0.1}))
    assert action.status is ActionStatus.FALLBACK
    assert action.values == memory.action.values
    assert "held" in action.fallback


def test_a_fallback_may_be_a_function_and_may_fail_itself() -> None:
    wild = controller_of(patience=0, fallback=lambda t, x: {tank.u: 5.0 if t < 30.0 else 1.0 / 0.0}).build()
    memory = wild.start(Sample(0.0, {tank.y: 1.5}))
    before = memory.action.values[tank.u]
    action, memory = wild.disabled().step(memory, Sample(20.0, {tank.y: 1.5}))
    assert action.values[tank.u] == pytest.approx(min(before + 0.4, 0.8))
    action, _ = wild.disabled().step(memory, Sample(40.0, {tank.y: 1.5}))
    assert action.values[tank.u] == memory.action.values[tank.u]
    assert "ZeroDivisionError" in action.fallback


def test_bounds_and_rates_hold_whatever_is_injected(controller) -> None:
    rng, plant = np.random.default_rng(3), truth()
    x, memory = {"tank.y": 0.0}, controller.start(Sample(0.0, {tank.y: 0.0}))
    before = 0.0
    for k in range(60):
        u = memory.action.values[tank.u]
        assert -0.8 - 1e-12 <= u <= 0.8 + 1e-12
        assert abs(u - before) <= RATE * 20.0 + 1e-9
        before = u
        x = plant.after(x, memory.action.values, 20.0 * k, 20.0 * (k + 1))
        one = controller.disabled() if rng.random() < 0.3 else controller
        y = np.nan if rng.random() < 0.2 else x["tank.y"] + rng.normal(scale=0.05)
        if memory.mode is Mode.MANUAL and rng.random() < 0.5:
            memory = controller.switch(memory, Mode.AUTOMATIC)
        elif rng.random() < 0.1:
            memory = controller.switch(memory, Mode.MANUAL, values={tank.u: rng.uniform(-3.0, 3.0)})
        _, memory = one.step(memory, Sample(20.0 * (k + 1), {tank.y: y}), {tank.y: rng.uniform(-1.0, 2.0)})
    assert {"shifted", "optimal", "manual"} <= set(memory.counts)
    assert 0.0 < memory.at_limit[tank.u] < 100.0


def test_the_ladder_goes_on_where_a_rung_fails_and_says_what_was_tried(controller) -> None:
    entry = next(iter(controller.bank.entries.values()))
    program = entry.program
    task = Task(program.first, program.nlp.data, program.lower, program.upper, None, 10.0)
    good = entry.solvers.attempts[-2][1]

    def nan(t: Task) -> Outcome:
        return replace(good(t), status=Status.SOLVED, w=np.full(len(t.w), np.nan))

    def outside(t: Task) -> Outcome:
        return replace(good(t), status=Status.SOLVED, w=t.upper + 1.0)

    def wrong(t: Task) -> Outcome:
        w = good(t).w
        return replace(good(t), status=Status.SOLVED, w=np.where(program.nlp.domain, w + 0.1, w))

    def thrown(t: Task) -> Outcome:
        raise RuntimeError("no")

    rungs = (("nan", nan), ("outside", outside), ("wrong", wrong), ("thrown", thrown), ("good", good))
    answer = solved(Solvers(program, rungs, None), task)
    assert answer.counts
    assert [text.split(":")[0] for text in answer.tried] == ["nan", "outside", "wrong", "thrown", "good"]
    assert not solved(Solvers(program, rungs[:4], None), task).counts
    lost = replace(task, data=np.full(len(task.data), np.nan))
    assert solved(Solvers(program, rungs, None), lost).tried == ("where the plant is, is not known",)


def test_a_late_solve_does_not_count() -> None:
    slow = controller_of(watchdog=1e-9, method=Converged(Ipopt())).build()
    action = slow.start(Sample(0.0, {tank.y: 0.0})).action
    assert action.status is ActionStatus.FALLBACK
    assert any("the time is up" in reason or "too late" in reason for reason in action.reasons)


def test_an_operator_takes_over_and_gives_back_without_a_bump(controller) -> None:
    memory = controller.start(Sample(0.0, {tank.y: 0.9}))
    memory = controller.switch(memory, Mode.MANUAL, values={tank.u: 0.1}, reason="cleaning")
    action, memory = controller.step(memory, Sample(20.0, {tank.y: 0.9}))
    assert action.status is ActionStatus.MANUAL
    assert action.values[tank.u] == pytest.approx(0.1)
    off, memory = controller.step(controller.switch(memory, Mode.OFF), Sample(40.0, {tank.y: 0.8}))
    assert off.status is ActionStatus.OFF
    assert off.values[tank.u] == pytest.approx(0.1)
    memory = controller.switch(memory, Mode.AUTOMATIC)
    back, memory = controller.step(memory, Sample(60.0, {tank.y: 0.8}), applied={tank.u: 0.3})
    assert back.status is ActionStatus.OPTIMAL
    assert abs(back.values[tank.u] - 0.3) <= RATE * 40.0 + 1e-9  # it starts from what was really applied
    texts = [event.text for event in memory.events]
    assert texts == ["AUTOMATIC -> MANUAL: cleaning", "MANUAL -> OFF: operator", "OFF -> AUTOMATIC: operator"]
    assert list(memory.log().columns) == ["time", "kind", "text"]


def test_a_dead_sensor_is_held_then_automatic_is_left(controller) -> None:
    memory = controller.start(Sample(0.0, {tank.y: 0.4}))
    one, memory = controller.step(memory, Sample(20.0, {tank.y: float("nan")}))
    assert one.status is ActionStatus.OPTIMAL
    assert one.estimate[tank.y] == 0.4
    assert memory.ages() == {tank.y: 20.0}
    bad = Sample(40.0, {tank.y: 0.5}, {tank.y: Quality.BAD})
    two, memory = controller.step(memory, bad)
    assert two.status is ActionStatus.MANUAL
    assert memory.mode is Mode.MANUAL
    assert two.values[tank.u] == pytest.approx(max(one.values[tank.u] - 0.4, -0.5))
    assert any("AUTOMATIC -> MANUAL: tank.y is bad" in event.text for event in memory.events)
    _, memory = controller.step(memory, Sample(60.0, {tank.y: 0.5}))
    assert memory.events[-1].text == "tank.y is good again"


def test_the_model_stands_in_for_a_dead_sensor() -> None:
    simulating = controller_of(signals={tank.y: Simulate(50)}).build()
    plant, memory = truth(), simulating.start(Sample(0.0, {tank.y: 0.0}))
    x = {"tank.y": 0.0}
    for k in range(10):
        x = plant.after(x, memory.action.values, 20.0 * k, 20.0 * (k + 1))
        action, memory = simulating.step(memory, Sample(20.0 * (k + 1), {tank.y: float("nan")}))
        assert action.estimate[tank.y] == pytest.approx(x["tank.y"], abs=1e-6)
    shedding = controller_of(signals={tank.y: Shed()}).build()
    memory = shedding.start(Sample(0.0, {tank.y: 0.0}))
    assert shedding.step(memory, Sample(20.0, {tank.y: float("nan")}))[1].mode is Mode.MANUAL


def test_a_loop_that_is_killed_and_resumed_decides_the_same(controller, tmp_path) -> None:
    plant = truth()
    straight, _, _ = toys.looped(controller, plant, 12)
    actions, states, memory = toys.looped(controller, plant, 6)
    path = memory.save(tmp_path / "loop")
    resumed = controller_of(fallback={tank.u: -0.5}, patience=2, signals={tank.y: Hold(1)}).resume(path)
    assert resumed.action.values == actions[-1].values
    assert resumed.action.plan[tank.y].equals(actions[-1].plan[tank.y])
    again, _, _ = toys.looped(controller, plant, 7, states[-1], resumed)
    assert [a.values for a in actions + again[1:]] == [a.values for a in straight]
    assert [str(e) for e in ControlMemory.load(path).events] == [str(e) for e in memory.events]


def test_a_file_that_is_no_memory_is_refused(controller, tmp_path) -> None:
    wrong = tmp_path / "wrong.npz"
    wrong.write_bytes(b"no")
    with pytest.raises(SpecificationError, match="is no memory"):
        ControlMemory.load(wrong)
    with pytest.raises(SpecificationError, match="no file"):
        controller.resume(tmp_path / "nothing")


def test_the_same_memory_and_sample_give_the_same_action(controller) -> None:
    memory = controller.start(Sample(0.0, {tank.y: 0.2}))
    one, _ = controller.step(memory, Sample(20.0, {tank.y: 0.3}))
    other, _ = controller.step(memory, Sample(20.0, {tank.y: 0.3}))
    assert one.values == other.values


def test_a_hard_limit_does_not_stop_the_loop_when_the_plant_is_outside() -> None:
    limited = controller_of(subject_to=[Path(lambda v: v.tank.y, upper=0.5, name="full")])
    action = limited.start(Sample(0.0, {tank.y: 1.4})).action
    assert action.fallback is None
    assert any("no plan was found that keeps" in reason for reason in action.reasons)
