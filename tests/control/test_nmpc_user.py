"""What does a new user get wrong, and what is he told? No set point becomes 0, and no text is a wall of numbers."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path as File

import numpy as np
import pandas as pd
import pytest

from titer.control import NMPC, ActionStatus, ControlMemory, Mode, Track, close_loop, optimize
from titer.control.nmpc import deciding
from titer.estimation import ExtendedKalman, Sample
from titer.flowsheets import Control, Equations, Flowsheet, Integral, Path, PiecewiseConstant, State, Unit, quantity
from titer.numerics import Grid
from titer.numerics.errors import SpecificationError

spec = importlib.util.spec_from_file_location("nmpc_toys", File(__file__).with_name("nmpc_toys.py"))
toys = importlib.util.module_from_spec(spec)
sys.modules["nmpc_toys"] = toys
spec.loader.exec_module(toys)
tank, tanks, lasting = toys.tank, toys.tanks, toys.lasting


class Bath(Unit):
    """C dT/dt = Q: a bath in kelvin, whose domain a value in Celsius leaves."""

    time = "s"
    T = State("K", start=300.0, lower=273.0, upper=373.0)
    Q = Control("K/s", start=0.0, lower=-1.0, upper=1.0)

    def equations(self, v):
        return Equations(rate={"T": v.Q})


bath = Bath("bath")
baths = Flowsheet(bath, time="s")


def controller_of(**more):
    settings = {
        "plant": tanks, "recipe": lasting(200.0), "every": 20.0, "horizon": 60.0, "minimize": Track({tank.y: 1.0}),
        "free": {tank.u: PiecewiseConstant(every=20.0, lower=-0.8, upper=0.8)}, "grid": Grid(elements=3),
    }  # fmt: skip
    return NMPC(**{**settings, **more})


def bath_of(**more):
    settings = {
        "plant": baths, "recipe": lasting(40.0), "every": 10.0, "horizon": 20.0, "minimize": Track({bath.T: 305.0}),
        "free": {bath.Q: PiecewiseConstant(every=10.0)}, "grid": Grid(elements=2),
    }  # fmt: skip
    return NMPC(**{**settings, **more})


@pytest.fixture(scope="module")
def controller():
    return controller_of().build()


@pytest.fixture(scope="module")
def memory(controller):
    return controller.start(Sample(0.0, {tank.y: 0.0}))


def followed(target):
    """The end of the bath's temperature as planned for a set point, over 40 s."""
    pieces = {bath.Q: PiecewiseConstant(4)}
    return optimize(baths, lasting(40.0), free=pieces, minimize=Track({bath.T: target}), grid=Grid(elements=4))


@pytest.mark.parametrize("target", [quantity(310.0, "K"), lambda t: 310.0, lambda t: quantity(310.0, "K")])
def test_a_plan_follows_a_constant_however_it_is_written(target) -> None:
    number, written = followed(310.0), followed(target)
    assert written.objective == pytest.approx(number.objective, rel=1e-8)
    assert written.frame()[bath.T].iloc[-1] == pytest.approx(310.0, abs=0.5)


def test_a_plan_follows_a_function_of_time_exactly() -> None:
    plan = followed(lambda t: 300.0 + 0.5 * t)  # Q = 0.5 K/s follows it without a miss
    assert plan.objective == pytest.approx(0.0, abs=1e-8)
    assert plan.frame()[bath.T].iloc[-1] == pytest.approx(320.0, abs=1e-3)


@pytest.mark.parametrize("target", [lambda t: 300.0 if t < 20.0 else 310.0, pd.Series([300.0, 310.0], [0.0, 20.0])])
def test_a_set_point_that_is_no_equation_is_refused_and_never_0(target) -> None:
    with pytest.raises(SpecificationError, match=r"Track: bath.T: optimize and summary need"):
        followed(target)


def test_the_summary_of_a_loop_counts_the_set_point_that_it_is_given() -> None:
    log = close_loop(baths, bath_of(), until=40.0)
    truth = log.summary(minimize=Integral(lambda v: (v.bath.T / quantity(1.0, "K") - 310.0) ** 2)).objective
    for target in (310.0, quantity(310.0, "K"), lambda t: 310.0):
        assert log.summary(minimize=Track({bath.T: target})).objective == pytest.approx(truth, rel=1e-9)
    ramp = log.summary(minimize=Track({bath.T: lambda t: 300.0 + 0.5 * t})).objective
    t = log.truth.index.to_numpy()
    gap = log.truth[bath.T].to_numpy() - 300.0 - 0.5 * t  # linear between samples: its square's integral is exact
    a, b = gap[:-1], gap[1:]
    assert ramp == pytest.approx((np.diff(t) * (a**2 + a * b + b**2) / 3.0).sum(), rel=1e-6)
    with pytest.raises(SpecificationError, match="optimize and summary need"):
        log.summary(minimize=Track({bath.T: pd.Series([310.0], [0.0])}))


@pytest.mark.parametrize("target", [None, "320", True])
def test_a_set_point_that_is_no_number_is_found_where_it_is_written(target) -> None:
    with pytest.raises(SpecificationError, match=r"^Track: tank.y needs a number"):
        Track({tank.y: target})


def test_what_is_printed_fits_a_line(memory) -> None:
    for each in (memory, memory.action, memory.action.plan):
        assert len(repr(each)) < 200
        assert "array" not in repr(each)
    assert "tank.u" in repr(memory.action)


def test_a_step_without_a_memory_says_what_it_wants(controller, memory) -> None:
    sample = Sample(20.0, {tank.y: 0.1})
    for wrong in (None, memory.action, sample):
        with pytest.raises(SpecificationError, match=f"step: expected the memory .* got {type(wrong).__name__}"):
            controller.step(wrong, sample)
    with pytest.raises(SpecificationError, match="expected Sample") as caught:
        controller.step(memory, memory)
    assert len(str(caught.value)) < 400
    with pytest.raises(SpecificationError, match="switch: expected the memory"):
        controller.switch(None, Mode.MANUAL)


def test_what_was_tried_is_told_once(controller, memory, monkeypatch) -> None:
    real = deciding.solved

    def failing(*arguments):
        answer = real(*arguments)
        return replace(answer, counts=False, tried=("SQP: local infeasibility", "IPOPT, near start: time"))

    monkeypatch.setattr(deciding, "solved", failing)
    action, _ = controller.step(memory, Sample(20.0, {tank.y: 0.1}))
    assert action.fallback == "the plan of 1 sample ago goes on"
    (reason,) = action.reasons
    assert reason.startswith("no solve counts: 4 tried, the last: time (SQP")
    assert reason.count("; SQP") + reason.count("(SQP") == 1


def test_a_cold_start_comes_before_a_limit_is_missed(monkeypatch) -> None:
    """The warm start is led to a miss on purpose: a plan that keeps the limit is found without it."""
    controller = controller_of(subject_to=[Path(lambda v: v.tank.y, upper=0.5, name="full")]).build()
    memory = controller.start(Sample(0.0, {tank.y: 0.0}))
    real, starts = deciding.solved, []

    def cornered(solvers, task, able=True):
        starts.append(task.multipliers is None)
        answer = real(solvers, task, able)
        return answer if len(starts) > 1 else replace(answer, missed=(("full", 0.3),), sizes={"full": 1.0})

    monkeypatch.setattr(deciding, "solved", cornered)
    action, _ = controller.step(memory, Sample(20.0, {tank.y: 0.1}))
    assert starts == [False, True]
    assert action.status is ActionStatus.OPTIMAL
    assert not action.reasons

    starts.clear()
    hurried = replace(controller._deciding, seconds=1e-9)  # no time is left: the miss stays
    monkeypatch.setitem(controller.__dict__, "_deciding", hurried)
    controller.step(memory, Sample(20.0, {tank.y: 0.1}))
    assert starts == [False]


def test_a_limit_that_no_plan_keeps_is_said_as_what_it_is() -> None:
    controller = controller_of(subject_to=[Path(lambda v: v.tank.y, upper=0.5, name="full")])
    action = controller.start(Sample(0.0, {tank.y: 0.9})).action
    assert action.status is ActionStatus.RELAXED
    assert any(reason.startswith("no plan was found that keeps full: it is missed by") for reason in action.reasons)


@pytest.mark.parametrize("estimator", [None, ExtendedKalman(noise={bath.T: 0.1}, start={bath.T: 0.5})])
def test_a_value_in_another_unit_is_noticed(estimator) -> None:
    controller = bath_of(estimator=estimator).build()
    first = controller.start(Sample(0.0, {bath.T: 27.0}))
    wanted = "bath.T = 27 lies outside its declared domain [273, 373] K: is the unit right?"
    assert wanted in first.action.reasons
    again, _ = controller.step(first, Sample(10.0, {bath.T: 27.0}))
    assert wanted in again.reasons
    near = controller.start(Sample(0.0, {bath.T: 272.9}))  # noise at the bound
    assert not any("declared domain" in reason for reason in near.action.reasons)


def test_what_an_estimator_rejects_or_misses_at_the_start_is_said() -> None:
    controller = bath_of(estimator=ExtendedKalman(noise={bath.T: 0.1}, start={bath.T: 0.5})).build()
    wild = controller.start(Sample(0.0, {bath.T: 350.0}))  # 50 K where 0.5 K are believed
    assert wild.estimator.reasons
    assert set(wild.estimator.reasons) <= set(wild.action.reasons)
    assert "bath.T is not known" in controller.start(Sample(0.0, {bath.T: np.nan})).action.reasons
    assert not controller.start(Sample(0.0, {bath.T: 300.0})).action.reasons


def test_settings_without_effect_are_refused() -> None:
    with pytest.raises(SpecificationError, match=r"rates: tank.u = 0 would never move"):
        controller_of(rates={tank.u: 0.0})
    with pytest.raises(SpecificationError, match=r"robust_horizon=1 .* there are none"):
        controller_of(robust_horizon=1)


def test_a_memory_of_another_controller_is_refused(controller, memory, tmp_path) -> None:
    path = memory.save(tmp_path / "tank")
    assert controller.resume(path).action.values == memory.action.values
    with pytest.raises(SpecificationError, match=r"states: tank.y; here: bath.T"):
        bath_of().resume(path)
    watched = controller_of(estimator=ExtendedKalman(noise={tank.y: 0.1}))
    with pytest.raises(SpecificationError, match=r"estimator.*none; here: tank.y"):
        watched.resume(path)
    own = watched.start(Sample(0.0, {tank.y: 0.0})).save(tmp_path / "watched")
    assert watched.resume(own).time == 0.0
    with pytest.raises(SpecificationError, match=r"estimator.*tank.y.*here: none"):
        controller.resume(own)


def test_a_file_that_is_missing_or_another_is_named_with_its_folder(memory, tmp_path) -> None:
    with pytest.raises(SpecificationError, match=r"there is no file nothing.npz in ") as caught:
        ControlMemory.load(tmp_path / "nothing.npz")
    assert str(tmp_path) in str(caught.value)
    np.savez(tmp_path / "other.npz", x=np.zeros(2))
    with pytest.raises(SpecificationError, match=r"no memory of a controller(.|\n)*ControlMemory.save wrote"):
        ControlMemory.load(tmp_path / "other.npz")
