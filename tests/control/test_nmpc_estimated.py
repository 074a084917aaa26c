"""Does the controller reach its set points where the model is wrong, and the plant is not all seen?"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path as File

import numpy as np
import pytest

from titer.control import NMPC, Track
from titer.estimation import Bias, Drift, ExtendedKalman, MovingHorizon, Sample, UnscentedKalman
from titer.flowsheets import AtEnd, Flowsheet, Path, Phase, PiecewiseConstant, Recipe
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid
from titer.numerics.errors import SpecificationError

spec = importlib.util.spec_from_file_location("nmpc_toys", File(__file__).with_name("nmpc_toys.py"))
toys = importlib.util.module_from_spec(spec)
sys.modules["nmpc_toys"] = toys
spec.loader.exec_module(toys)
tank, tanks, cstr, cstrs, lasting = toys.tank, toys.tanks, toys.cstr, toys.cstrs, toys.lasting


def controller_of(estimator, **more):
    settings = {
        "plant": tanks,
        "recipe": lasting(5000.0),
        "every": 20.0,
        "horizon": 100.0,
        "free": {tank.u: PiecewiseConstant(every=20.0)},
        "minimize": Track({tank.y: 1.0}, at_end=20.0),
        "grid": Grid(elements=5),
        "estimator": estimator,
    }
    return NMPC(**{**settings, **more})


KNOWN = {tank.y: 0.01}
ESTIMATORS = {
    "a parameter drifts": ExtendedKalman(noise=KNOWN, disturbances={tank.w: Drift(0.02, start=0.5)}),
    "a rate is disturbed": ExtendedKalman(noise=KNOWN, disturbances={tank.y: Drift(0.001, start=0.01)}),
    "unscented": UnscentedKalman(noise=KNOWN, disturbances={tank.w: Drift(0.02, start=0.5)}),
    "moving horizon": MovingHorizon(noise=KNOWN, window=5, disturbances={tank.w: Drift(0.02, start=0.5)}),
}


@pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)
def test_a_constant_disturbance_and_a_wrong_gain_leave_no_offset(estimator) -> None:
    controller = controller_of(estimator)
    wrong = tanks.with_values({tank.w: 0.3, tank.K: 2.4})
    plant = toys.Plant(wrong, lasting(100.0), 20.0, (tank.u,))
    actions, states, _ = toys.looped(controller, plant, 80)
    assert states[-1]["tank.y"] == pytest.approx(1.0, abs=1e-4)
    assert all(action.fallback is None for action in actions)


def test_without_a_disturbance_model_there_is_an_offset() -> None:
    plant = toys.Plant(tanks.with_values({tank.w: 0.3}), lasting(100.0), 20.0, (tank.u,))
    _, states, _ = toys.looped(controller_of(None), plant, 40)
    assert abs(states[-1]["tank.y"] - 1.0) > 1e-3


def test_what_the_sensor_shows_follows_the_target_unless_it_is_said_otherwise() -> None:
    estimator = ExtendedKalman(
        noise=KNOWN, disturbances={tank.y: Bias(0.01, start=0.5)}, start={tank.y: 0.0}, process={}
    )
    plant = toys.Plant(tanks, lasting(100.0), 20.0, (tank.u,))
    for as_measured, reached in ((True, 0.8), (False, 1.0)):
        controller = controller_of(estimator, minimize=Track({tank.y: 1.0}, at_end=20.0, as_measured=as_measured))
        shown = lambda k, x: {tank.y: x["tank.y"] + 0.2}  # noqa: E731
        _, states, memory = toys.looped(controller, plant, 60, measured=shown)
        assert memory.estimated["bias(tank.y)"] == pytest.approx(0.2, abs=1e-4)
        assert states[-1]["tank.y"] == pytest.approx(reached, abs=1e-3)


def test_two_controlled_outputs_of_a_reactor_reach_their_set_points_under_kinetic_mismatch() -> None:
    every = 0.005
    estimator = ExtendedKalman(
        noise={cstr.c_B: 1e-3, cstr.T: 0.1, cstr.T_K: 0.1},
        disturbances={cstr.beta: Drift(0.5, start=0.1), cstr.T: Drift(100.0, start=100.0)},
    )
    controller = NMPC(
        cstrs, lasting(2.0), every,
        {cstr.F: PiecewiseConstant(every=every), cstr.Q: PiecewiseConstant(every=every)},
        minimize=Track({cstr.c_B: 0.6, cstr.T: 134.0}, {cstr.c_B: 0.1, cstr.T: 1.0}, at_end=0.02),
        grid=Grid(elements=15, degree=3), horizon=15 * every, estimator=estimator, rates={cstr.F: 4000.0},
    )  # fmt: skip
    plant = toys.Plant(cstrs.with_values({cstr.beta: 0.95, cstr.alpha: 1.01}), lasting(0.02), every, (cstr.F, cstr.Q))
    actions, states, _ = toys.looped(controller, plant, 60)
    assert states[-1]["cstr.c_B"] == pytest.approx(0.6, abs=1e-4)
    assert states[-1]["cstr.T"] == pytest.approx(134.0, abs=1e-4 * 134.0)
    assert all(action.fallback is None for action in actions)


def test_a_batch_is_steered_by_its_temperature_alone() -> None:
    reactor = BatchReactor("reactor")
    plant, recipe = Flowsheet(reactor, time="s"), Recipe(Phase("react", duration=3600.0))
    estimator = ExtendedKalman(noise={reactor.T: 0.1}, start={reactor.c_A: 0.05})
    controller = NMPC(
        plant, recipe, 600.0, {reactor.T_j: PiecewiseConstant(every=600.0)},
        maximize=AtEnd(lambda v: v.reactor.c_B), subject_to=[Path(lambda v: v.reactor.T, upper=350.0)],
        grid=Grid(elements=12), estimator=estimator,
    )  # fmt: skip
    truth = toys.Plant(plant, recipe, 600.0, (reactor.T_j,))
    start = truth.start() | {"reactor.c_A": 1.05}
    actions, states, memory = toys.looped(controller, truth, 7, start)
    assert controller.measured == (reactor.T,)
    assert all(action.fallback is None for action in actions[:6])
    assert memory.action.stop
    assert set(actions[3].estimate) >= {"reactor.c_A", "reactor.c_B"}
    assert actions[3].deviations["reactor.c_A"] > 0.0
    assert abs(actions[5].estimate["reactor.c_A"] - states[5]["reactor.c_A"]) < 0.05


def test_what_cannot_be_seen_is_refused_before_the_loop() -> None:
    reactor = BatchReactor("reactor")
    hidden = ExtendedKalman(noise={reactor.T: 0.1}, start={reactor.c_C: 0.1})  # the product warms nothing
    with pytest.raises(SpecificationError, match=r"reactor\.c_C"):
        NMPC(
            Flowsheet(reactor, time="s"), Recipe(Phase("react", duration=3600.0)), 600.0,
            {reactor.T_j: PiecewiseConstant(every=600.0)}, maximize=AtEnd(lambda v: v.reactor.c_B), estimator=hidden,
        )  # fmt: skip


def test_the_plan_begins_where_the_plant_will_be_when_the_action_is_in_force() -> None:
    late = controller_of(None, delay=10.0, minimize=Track({tank.y: 1.0}, at_end=20.0))
    memory = late.start(Sample(0.0, {tank.y: 0.5}), applied={tank.u: 0.4})
    plan = memory.action.plan[tank.y]
    assert plan.index[0] == 10.0
    assert plan.iloc[0] == pytest.approx(0.8 + (0.5 - 0.8) * np.exp(-10.0 / 50.0), abs=1e-6)
    prompt = controller_of(None).start(Sample(10.0, {tank.y: float(plan.iloc[0])}), applied={tank.u: 0.4})
    assert memory.action.values[tank.u] == pytest.approx(prompt.action.values[tank.u], abs=1e-5)
