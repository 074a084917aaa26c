"""Do one iteration, and a solve ahead with a correction, steer as well as a solve to the end?"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path as File

import numpy as np
import pytest

from titer.control import NMPC, AdvancedStep, Converged, RealTimeIteration, Soft, Track
from titer.estimation import Sample
from titer.flowsheets import Path, PiecewiseConstant
from titer.numerics import Fatrop, Grid, Ipopt
from titer.numerics.errors import SpecificationError
from titer.numerics.realtime import Sqp

spec = importlib.util.spec_from_file_location("nmpc_toys", File(__file__).with_name("nmpc_toys.py"))
toys = importlib.util.module_from_spec(spec)
sys.modules["nmpc_toys"] = toys
spec.loader.exec_module(toys)
cstr, cstrs, lasting = toys.cstr, toys.cstrs, toys.lasting
EVERY = 0.005
FAR = {cstr.c_A: 1.2, cstr.c_B: 0.7, cstr.T: 128.0, cstr.T_K: 125.0}


def controller_of(**more):
    settings = {
        "plant": cstrs,
        "recipe": lasting(1.0),
        "every": EVERY,
        "horizon": 20 * EVERY,
        "free": {cstr.F: PiecewiseConstant(every=EVERY), cstr.Q: PiecewiseConstant(every=EVERY)},
        "minimize": Track({cstr.c_B: 0.6}),
        "subject_to": [Soft(Path(lambda v: v.cstr.T, upper=140.0, name="hot"), weight=0.1)],
        "grid": Grid(elements=20, degree=2),
        "moves": {cstr.F: 1e-5, cstr.Q: 1e-10},
    }
    return NMPC(**{**settings, **more}).build()


@pytest.fixture(scope="module")
def plant():
    return toys.Plant(cstrs, lasting(0.02), EVERY, (cstr.F, cstr.Q))


def scaled(actions):
    return np.array([[action.values[cstr.F] / 100.0, action.values[cstr.Q] / 2000.0] for action in actions])


@pytest.fixture(scope="module")
def converged(plant):
    actions, states, _ = toys.looped(controller_of(method=Converged(Ipopt())), plant, 25, FAR)
    return scaled(actions), states


@pytest.mark.parametrize("ladder", [Sqp(tolerance=1e-6), Fatrop()], ids=["SQP", "fatrop"])
def test_every_rung_decides_the_same(ladder, plant, converged) -> None:
    actions, _, _ = toys.looped(controller_of(method=Converged(ladder)), plant, 25, FAR)
    assert all(action.fallback is None for action in actions)
    assert np.abs(scaled(actions) - converged[0]).max() < 2e-3  # the optimum is flat: IPOPT itself moves that far


@pytest.mark.parametrize("method", [RealTimeIteration(), AdvancedStep()], ids=["real-time iteration", "advanced step"])
def test_single_iterations_follow_the_converged_loop(method, plant, converged) -> None:
    controller = controller_of(method=method)
    actions, states, _ = toys.looped(controller, plant, 25, FAR)
    assert [a.status.name for a in actions] == ["OPTIMAL"] + ["ITERATED"] * 24
    assert np.abs(scaled(actions) - converged[0]).max() < 0.05
    squares = [sum((x["cstr.c_B"] - 0.6) ** 2 for x in each) for each in (states, converged[1])]
    assert squares[0] == pytest.approx(squares[1], rel=0.02)
    assert controller.bank.built == 1


def test_an_advanced_step_with_a_right_prediction_is_the_solve_itself(plant) -> None:
    ahead, whole = controller_of(method=AdvancedStep()), controller_of()
    start = Sample(0.0, FAR)
    one, other = ahead.start(start), whole.start(start)
    x = plant.after(FAR, one.action.values, 0.0, EVERY)
    corrected, _ = ahead.step(ahead.prepare(one), Sample(EVERY, x))
    solved, _ = whole.step(other, Sample(EVERY, x))
    assert scaled([corrected]) == pytest.approx(scaled([solved]), abs=1e-4)


def test_a_step_that_was_not_prepared_prepares_itself_and_so_does_a_resumed_one(plant, tmp_path) -> None:
    controller = controller_of(method=RealTimeIteration())
    memory = controller.start(Sample(0.0, FAR))
    x = plant.after(FAR, memory.action.values, 0.0, EVERY)
    ready, _ = controller.step(controller.prepare(memory), Sample(EVERY, x))
    plain, _ = controller.step(memory, Sample(EVERY, x))
    resumed, _ = controller.step(controller.resume(controller.prepare(memory).save(tmp_path / "m")), Sample(EVERY, x))
    assert ready.values == plain.values == resumed.values


def test_a_failed_iteration_is_replaced_by_the_plan_before(plant) -> None:
    controller = controller_of(method=RealTimeIteration())
    memory = controller.start(Sample(0.0, FAR))
    action, _ = controller.disabled().step(controller.prepare(memory), Sample(EVERY, FAR))
    assert action.status.name == "SHIFTED"


def test_methods_say_what_they_need() -> None:
    with pytest.raises(SpecificationError, match="ladder is a list"):
        Converged("sqp")
    with pytest.raises(SpecificationError, match="iteration is Sqp"):
        RealTimeIteration(iteration=Ipopt())
    with pytest.raises(SpecificationError, match="correction is Sqp"):
        AdvancedStep(correction=3)
