"""Does the controller do what its plan says, on shrinking and receding horizons, with free ends and several phases?"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path as File

import numpy as np
import pandas as pd
import pytest

from titer.control import NMPC, Converged, Soft, Track, optimize
from titer.estimation import Sample
from titer.flowsheets import AtEnd, Flowsheet, Free, Integral, Path, Phase, PiecewiseConstant, Recipe
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid
from titer.numerics.errors import SpecificationError
from titer.numerics.realtime import Sqp

spec = importlib.util.spec_from_file_location("nmpc_toys", File(__file__).with_name("nmpc_toys.py"))
toys = importlib.util.module_from_spec(spec)
sys.modules["nmpc_toys"] = toys
spec.loader.exec_module(toys)
tank, tanks, cstr, cstrs, lasting = toys.tank, toys.tanks, toys.cstr, toys.cstrs, toys.lasting

reactor = BatchReactor("reactor")
plant = Flowsheet(reactor, time="s")
wanted = {
    "free": {reactor.T_j: PiecewiseConstant(every=600.0)},
    "maximize": AtEnd(lambda v: v.reactor.c_B / (v.time + 1800.0)),
    "subject_to": [Path(lambda v: v.reactor.T, upper=350.0, name="wall"), AtEnd(lambda v: v.reactor.c_C, upper=0.15)],
}


def following(**more):
    """A controller of the tank that follows a set point, with ten samples to the end of its window."""
    settings = {
        "plant": tanks,
        "recipe": lasting(2000.0),
        "every": 20.0,
        "horizon": 200.0,
        "free": {tank.u: PiecewiseConstant(every=20.0)},
        "minimize": Track({tank.y: 1.0}),
        "grid": Grid(elements=10),
    }
    return NMPC(**{**settings, **more})


def test_with_a_perfect_model_the_closed_loop_is_the_plan_that_was_made_first() -> None:
    recipe = Recipe(Phase("react", duration=3600.0))
    controller = NMPC(plant, recipe, every=600.0, grid=Grid(elements=48), **wanted)
    actions, states, _ = toys.looped(controller, toys.Plant(plant, recipe, 600.0, (reactor.T_j,)), 7)
    planned = actions[0].plan[reactor.T_j].groupby(level=0).last()
    for action in actions[:6]:
        assert action.fallback is None
        assert action.values[reactor.T_j] == pytest.approx(planned[action.time], abs=1e-5 * 70.0)
    assert actions[5].stop
    assert actions[5].ends == 3600.0
    once = optimize(plant, recipe, grid=Grid(elements=48), **wanted)
    assert states[-1]["reactor.c_B"] / 5400.0 == pytest.approx(once.objective, rel=1e-5)


def test_with_a_perfect_model_a_free_end_stays_where_it_was_planned() -> None:
    recipe = Recipe(Phase("react", duration=Free(900, 600, 1200)))
    controller = NMPC(
        plant, recipe, every=300.0, grid=Grid(elements=15), method=Converged(Sqp(tolerance=1e-7)),
        **(wanted | {"free": {reactor.T_j: PiecewiseConstant(every=300.0)}}),
    )  # fmt: skip
    truth = toys.Plant(plant, Recipe(Phase("react", duration=1200.0)), 300.0, (reactor.T_j,))
    actions, states, _ = toys.looped(controller, truth, 20)
    planned = actions[0].plan.ends["react"]
    last = next(action for action in actions if action.stop)
    assert last.ends == pytest.approx(planned, rel=1e-5)
    assert planned % 300.0 > 1.0  # it is no sample's time
    reached = states[-1]["reactor.c_B"] / (last.ends + 1800.0)
    lengths = (planned - 25.0, planned, planned + 25.0)
    best = [_optimum_of(length) for length in lengths]
    assert best[1] == pytest.approx(reached, rel=1e-4)  # the error of its elements
    assert best[1] > max(best[0], best[2])


def _optimum_of(length: float) -> float:
    """The best that a batch of a given length comes to, with a piece for each five minutes."""
    once = optimize(
        plant, Recipe(Phase("react", duration=length)), free={reactor.T_j: PiecewiseConstant(every=300.0)},
        maximize=wanted["maximize"], subject_to=wanted["subject_to"], grid=Grid(elements=15), starts=1,
    )  # fmt: skip
    return once.objective


def test_the_first_move_of_a_window_is_that_of_its_optimization() -> None:
    every, n = 0.005, 20
    free = {cstr.F: PiecewiseConstant(every=every), cstr.Q: PiecewiseConstant(every=every)}
    states = {cstr.c_A: 0.9, cstr.c_B: 0.45, cstr.T: 132.0, cstr.T_K: 131.0}
    cost = Track({cstr.c_B: 0.6}) + 1e-7 * Integral(lambda v: v.cstr.F * v.cstr.F / toys.quantity(1.0, "1/h^2"))
    hot = Path(lambda v: v.cstr.T, upper=140.0, name="hot")
    grid = Grid(elements=n, degree=2)
    controller = NMPC(cstrs, lasting(5.0), every, free, minimize=cost, subject_to=[hot], grid=grid, horizon=n * every)
    memory = controller.start(Sample(0.0, states))
    once = optimize(
        cstrs.with_values(states), lasting(n * every), free, minimize=cost, subject_to=[hot], grid=grid, starts=1
    )
    assert memory.action.values[cstr.F] == pytest.approx(float(once[cstr.F].iloc[0]), abs=1e-3)
    assert len(controller.bank.entries) == 1  # one program for all samples


def test_a_set_point_that_is_known_ahead_is_met_halfway() -> None:
    controller = following(moves={tank.u: 1e-3})
    step = pd.Series([0.0, 1.0], index=[0.0, 100.0])
    memory = controller.start(Sample(0.0, {tank.y: 0.0}))
    sure = controller.step(memory, Sample(20.0, {tank.y: 0.0}), {tank.y: 0.0})[0]
    ahead = controller.step(memory, Sample(20.0, {tank.y: 0.0}), {tank.y: step})[0]
    late = controller.step(memory, Sample(20.0, {tank.y: 0.0}), {tank.y: lambda t: 0.0 * t})[0]
    assert sure.values[tank.u] == pytest.approx(0.0, abs=1e-3)
    assert late.values[tank.u] == pytest.approx(0.0, abs=1e-3)
    plan = ahead.plan[tank.u].groupby(level=0).last()
    assert plan[80.0] > 0.3  # before the step, while
    assert abs(plan[20.0]) < 0.05  # far before it nothing happens


def test_moves_are_blocked_where_pieces_are_longer_than_an_interval() -> None:
    controller = following(free={tank.u: PiecewiseConstant(every=60.0)}, minimize=Track({tank.y: 0.5}))
    plan = controller.start(Sample(0.0, {tank.y: 0.0})).action.plan[tank.u].groupby(level=0).last()
    values = [float(plan[t]) for t in (0.0, 20.0, 40.0)]
    assert values[0] == values[1] == values[2]
    assert len({round(float(v), 9) for v in plan}) <= 4


def test_rate_limits_hold_from_the_first_move_on() -> None:
    controller = following(rates={tank.u: 0.005})
    actions, _, _ = toys.looped(controller, toys.Plant(tanks, lasting(2000.0), 20.0, (tank.u,)), 12)
    u = np.array([0.0, *(action.values[tank.u] for action in actions)])
    assert np.abs(np.diff(u)).max() <= 0.1 + 1e-9
    assert u[1] == pytest.approx(0.1)


def test_phases_follow_one_another_with_what_they_set() -> None:
    recipe = Recipe(
        Phase("first", duration=50.0),
        Phase("second", duration=60.0, start={tank.y: lambda v: v.tank.y + 0.5}),
    )
    free = {tank.u: PiecewiseConstant(every=20.0)}
    controller = NMPC(tanks, recipe, 20.0, free, minimize=Track({tank.y: 0.6}), grid=Grid(elements=6))
    truth = toys.Plant(tanks, recipe, 20.0, (tank.u,))
    actions, _, memory = toys.looped(controller, truth, 20)
    times = [action.time for action in actions]
    assert times == pytest.approx([0.0, 20.0, 40.0, 50.0, 70.0, 90.0, 110.0])
    planned = actions[0].plan[tank.u].groupby(level=0).last()
    for action in actions[:6]:
        assert action.values[tank.u] == pytest.approx(float(planned.asof(action.time)), abs=2e-5)
    assert [str(event.text) for event in memory.events] == ["second begins"]
    assert actions[-1].stop


def test_a_limit_on_an_integral_counts_what_was_used() -> None:
    recipe = lasting(200.0)
    budget = Integral(lambda v: v.tank.u, upper=50.0, name="budget")
    free = {tank.u: PiecewiseConstant(every=20.0, lower=0.0)}
    controller = NMPC(tanks, recipe, 20.0, free, minimize=Track({tank.y: 1.0}), subject_to=[budget], grid=Grid(10))
    actions, _, _ = toys.looped(controller, toys.Plant(tanks, recipe, 20.0, (tank.u,)), 11)
    used = sum(20.0 * action.values[tank.u] for action in actions[:10])
    assert used == pytest.approx(50.0, rel=1e-4)
    planned = actions[0].plan[tank.u].groupby(level=0).last()
    assert actions[7].values[tank.u] == pytest.approx(planned[140.0], abs=1e-4)


def test_a_soft_limit_gives_where_it_must_and_costs_nothing_where_it_need_not() -> None:
    hard = following(subject_to=[Path(lambda v: v.tank.y, upper=0.8, name="full")])
    soft = following(subject_to=[Soft(Path(lambda v: v.tank.y, upper=0.8, name="full"), weight=10.0)])
    sample = Sample(0.0, {tank.y: 0.5})
    one, other = hard.start(sample).action, soft.start(sample).action
    assert other.values[tank.u] == pytest.approx(one.values[tank.u], abs=1e-4)
    above = soft.start(Sample(0.0, {tank.y: 0.95})).action
    assert above.fallback is None
    assert above.values[tank.u] < 0.4


def test_a_hard_limit_that_cannot_be_kept_is_missed_as_little_as_possible_and_said() -> None:
    controller = following(subject_to=[Path(lambda v: v.tank.y, upper=0.8, name="full")])
    action = controller.start(Sample(0.0, {tank.y: 1.5})).action
    assert action.fallback is None
    assert action.values[tank.u] == pytest.approx(-1.0, abs=1e-3)
    assert any("no plan was found that keeps full" in reason for reason in action.reasons)


MISTAKES = {
    "horizon longer": ({"horizon": 4000.0}, "longer than the recipe"),
    "no multiple": ({"horizon": 210.0}, "multiple of every"),
    "no control": ({"free": {tank.y: PiecewiseConstant(1)}}, "tank.y is a state, no control"),
    "unknown control": ({"free": {"tank.v": PiecewiseConstant(1)}}, "tank.u"),
    "linear": ({"free": {tank.u: 3.0}}, "needs PiecewiseConstant"),
    "pieces": ({"free": {tank.u: PiecewiseConstant(every=30.0)}}, "no multiple of every"),
    "fallback outside": ({"fallback": {tank.u: 3.0}}, "outside its bounds"),
    "rate of what is not set": ({"rates": {tank.y: 1.0}}, "tank.y"),
    "no objective": ({"minimize": None}, "either maximize= or minimize="),
    "delay": ({"delay": 30.0}, "between 0 and every"),
    "patience": ({"patience": -1}, "patience"),
    "watchdog": ({"watchdog": 0.0}, "watchdog"),
    "method": ({"method": "sqp"}, "Converged()"),
    "estimator": ({"estimator": 3}, "estimator is one of"),
    "target": ({"minimize": Track({"tank.z": 1.0})}, "tank.z"),
    "unknown signal": ({"signals": {"tank.z": 3}}, "tank.z"),
}


@pytest.mark.parametrize(("given", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_before_anything_is_built(given, said) -> None:
    with pytest.raises(SpecificationError, match=said.replace("(", r"\(").replace(")", r"\)")):
        following(**given)


def test_a_bad_sample_is_named() -> None:
    controller = following()
    memory = controller.start(Sample(0.0, {tank.y: 0.0}))
    for sample, said in (
        (Sample(20.0, {"tank.z": 1.0}), "tank.z"),
        (Sample(20.0, {}), "nothing is said of tank.y"),
        (Sample(20.0, {tank.y: toys.quantity(1.0, "K")}), "K"),
        (Sample(-20.0, {tank.y: 0.0}), "time runs backwards"),
    ):
        with pytest.raises(SpecificationError, match=said):
            controller.step(memory, sample)
    with pytest.raises(SpecificationError, match="set by the controller itself"):
        controller.step(memory, Sample(20.0, {tank.y: 0.0}), {tank.u: 0.0})
    assert controller.step(memory, Sample(0.0, {tank.y: 7.0}))[0] is memory.action
