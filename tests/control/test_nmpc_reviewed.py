"""Does a plan begin where the plant is, and end where the recipe ends? Late samples, delays, totals, told disturbances.

Second opinions: exact solutions of a first-order tank, and least squares over its moves.
"""

from __future__ import annotations

import importlib.util
import pickle
import sys
from dataclasses import fields
from itertools import product
from pathlib import Path as File

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from titer.control import (
    NMPC,
    ActionStatus,
    AdvancedStep,
    ControlMemory,
    Mode,
    OpenLoop,
    Simulate,
    Track,
    Tree,
    optimize,
)
from titer.estimation import Drift, ExtendedKalman, Sample
from titer.flowsheets import AtEnd, Flowsheet, Free, Integral, Path, Phase, PiecewiseConstant, Recipe, magnitude
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid
from titer.numerics.errors import SpecificationError

spec = importlib.util.spec_from_file_location("nmpc_toys", File(__file__).with_name("nmpc_toys.py"))
toys = importlib.util.module_from_spec(spec)
sys.modules["nmpc_toys"] = toys
spec.loader.exec_module(toys)
tank, tanks, lasting = toys.tank, toys.tanks, toys.lasting
EVERY, TAU, GAIN = 20.0, 50.0, 2.0
NODES, WEIGHTS = np.polynomial.legendre.leggauss(12)
JUMPING = Recipe(
    Phase("first", duration=50.0), Phase("second", duration=60.0, start={tank.y: lambda v: v.tank.y + 0.5})
)


def controller_of(recipe=None, **more):
    settings = {
        "plant": tanks,
        "recipe": recipe or lasting(200.0),
        "every": EVERY,
        "free": {tank.u: PiecewiseConstant(every=EVERY)},
        "minimize": Track({tank.y: 0.6}),
        "grid": Grid(elements=20),
    }
    return NMPC(**{**settings, **more})


def after(y, *held):
    """The level after inputs were held, [(input, time)], exactly."""
    for u, time in held:
        y = GAIN * u + (y - GAIN * u) * np.exp(-time / TAU)
    return y


def best(y, lengths, price, before, jumps=()):
    """The moves that are best on intervals of these lengths; `jumps` {interval: what is added as it begins}."""

    def residuals(moves):
        level, found = y, []
        for i, (u, length) in enumerate(zip(moves, lengths, strict=True)):
            level += dict(jumps).get(i, 0.0)
            t = 0.5 * length * (NODES + 1.0)
            found.append(np.sqrt(0.5 * length * WEIGHTS) * (after(level, (u, t)) - 0.6))
            level = after(level, (u, length))
        return np.concatenate([*found, np.sqrt(price) * np.diff([before, *moves])])

    zero = residuals(np.zeros(len(lengths)))
    matrix = np.stack([residuals(e) - zero for e in np.eye(len(lengths))], axis=1)
    return lsq_linear(matrix, -zero, (-1.0, 1.0), tol=1e-13, max_iter=1000).x


@pytest.mark.parametrize("late", [22.0, 31.0, 17.5])
def test_after_a_sample_at_another_time_the_plan_still_ends_where_the_phase_does(late) -> None:
    """What is left is shared by as many intervals as there would be; moves start from what was applied."""
    controller = controller_of(JUMPING, moves={tank.u: 3.0}, grid=Grid(elements=12))
    memory = controller.start(Sample(0.0, {tank.y: 0.0}))
    action, _ = controller.step(memory, Sample(late, {tank.y: 0.2}), applied={tank.u: 0.3})
    assert action.plan.ends == pytest.approx({"first": 50.0, "second": 110.0}, abs=1e-9)
    own = [20.0, 10.0] if late < 30.0 else [10.0]
    own = [length * (50.0 - late) / sum(own) for length in own]
    expected = best(0.2, [*own, 20.0, 20.0, 20.0], 3.0, 0.3, {len(own): 0.5})
    assert action.values[tank.u] == pytest.approx(expected[0], abs=1e-5)


@pytest.mark.parametrize("delay", [8.0, 10.0, 12.0])
def test_behind_a_delay_a_phase_sets_once_what_it_sets(delay) -> None:
    """The phase begins after the plan, with it, and before it."""
    controller = controller_of(JUMPING, delay=delay, grid=Grid(elements=6))
    memory = controller.start(Sample(0.0, {tank.y: 0.0}))
    one, memory = controller.step(memory, Sample(20.0, {tank.y: 0.1}))
    two, memory = controller.step(memory, Sample(40.0, {tank.y: 0.2}))
    u, v = one.values[tank.u], two.values[tank.u]
    expected = after(0.2, (u, delay)) if delay < 10.0 else after(after(0.2, (u, 10.0)) + 0.5, (u, delay - 10.0))
    assert two.plan[tank.y].iloc[0] == pytest.approx(expected, abs=1e-6)
    begun, _ = controller.step(memory, Sample(50.0, {tank.y: 0.3}))
    held = [(v, delay)] if delay <= 10.0 else [(u, delay - 10.0), (v, 10.0)]
    assert begun.plan[tank.y].iloc[0] == pytest.approx(after(0.8, *held), abs=1e-6)


def test_an_early_sample_meets_the_input_that_is_still_in_force() -> None:
    controller = controller_of(lasting(2000.0), horizon=100.0, delay=8.0)
    memory = controller.start(Sample(0.0, {tank.y: 0.0}), applied={tank.u: -0.5})
    u = memory.action.values[tank.u]
    early, _ = controller.step(memory, Sample(5.0, {tank.y: -0.1}))  # -0.5 until 8, then u until 13
    assert early.plan[tank.y].iloc[0] == pytest.approx(after(-0.1, (-0.5, 3.0), (u, 5.0)), abs=1e-6)
    blind, _ = controller.step(memory, Sample(20.0, {tank.y: np.nan}))
    assert blind.estimate["tank.y"] == pytest.approx(after(0.0, (-0.5, 8.0), (u, 12.0)), abs=1e-6)


def test_what_was_used_counts_and_not_what_was_planned() -> None:
    """An operator feeds, samples are lost, an actuator gives more than it was told: the budget holds all the same."""
    budget = Integral(lambda v: v.tank.u, upper=50.0, name="budget")
    squares = Integral(lambda v: v.tank.y * v.tank.y, upper=1e3, name="squares")
    free = {tank.u: PiecewiseConstant(every=EVERY, lower=0.0)}
    controller = controller_of(free=free, subject_to=[budget, squares], minimize=Track({tank.y: 1.0}))
    memory = controller.start(Sample(0.0, {tank.y: 0.0}))
    first = memory.action.values[tank.u]
    memory = controller.switch(memory, Mode.MANUAL, values={tank.u: 0.25})
    y = after(0.0, (first, 20.0))
    _, memory = controller.step(memory, Sample(20.0, {tank.y: y}))
    memory = controller.switch(memory, Mode.AUTOMATIC)
    action, memory = controller.step(memory, Sample(80.0, {tank.y: after(y, (0.25, 60.0))}))
    assert memory.totals["integral budget"] == pytest.approx(20.0 * first + 60.0 * 0.25, rel=1e-9)
    t = 0.5 * (NODES + 1.0)
    squared = 10.0 * WEIGHTS @ after(0.0, (first, 20.0 * t)) ** 2 + 30.0 * WEIGHTS @ after(y, (0.25, 60.0 * t)) ** 2
    assert memory.totals["integral squares"] == pytest.approx(squared, rel=1e-4)
    y, used = after(y, (0.25, 60.0)), 20.0 * first + 15.0
    for k in range(5, 11):
        applied = action.values[tank.u] + (0.05 if k == 5 else 0.0)
        used, y = used + 20.0 * applied, after(y, (applied, 20.0))
        if k < 10:
            action, memory = controller.step(memory, Sample(20.0 * k, {tank.y: y}), applied={tank.u: applied})
    assert used == pytest.approx(50.0, rel=1e-5)


def test_an_estimator_is_told_of_a_disturbance_that_the_plan_is_told_of() -> None:
    lag = toys.Disturbed("lag")
    estimator = ExtendedKalman(noise={lag.y: 1.0}, start={lag.y: 0.03}, process={lag.y: 1e-6})  # it trusts its model
    controller = NMPC(
        Flowsheet(lag, time="s"), lasting(2000.0), EVERY, {lag.u: PiecewiseConstant(every=EVERY)},
        minimize=Track({lag.y: 1.0}), horizon=100.0, grid=Grid(elements=5), inputs={lag.d: 0.0}, estimator=estimator,
    )  # fmt: skip
    memory = controller.start(Sample(0.0, {lag.y: 0.0}), {lag.d: 0.2})
    y = after(0.0, (memory.action.values[lag.u] + 0.2, 20.0))
    action, memory = controller.step(memory, Sample(20.0, {lag.y: 1.5}), {lag.d: -0.3})  # from now on
    assert action.estimate["lag.y"] == pytest.approx(y, abs=2e-3)
    y = after(y, (action.values[lag.u] - 0.3, 20.0))
    assert controller.step(memory, Sample(40.0, {}))[0].estimate["lag.y"] == pytest.approx(y, abs=2e-3)


def test_a_rate_is_per_sample_too_after_a_gap_and_after_an_operator() -> None:
    controller = controller_of(lasting(2000.0), horizon=100.0, rates={tank.u: 0.005}, minimize=Track({tank.y: 1.0}))
    memory = controller.start(Sample(0.0, {tank.y: 0.0}))
    late, _ = controller.step(memory, Sample(80.0, {tank.y: 0.0}))
    assert late.values[tank.u] == pytest.approx(memory.action.values[tank.u] + 0.1, abs=1e-9)
    slow, _ = controller.step(memory, Sample(20.0, {tank.y: 3.0}), applied={tank.u: 0.02})  # 0.1 was asked for
    assert slow.values[tank.u] == pytest.approx(0.0, abs=1e-9)
    memory = controller.switch(memory, Mode.OFF)
    for k in range(1, 5):
        _, memory = controller.step(memory, Sample(20.0 * k, {tank.y: 0.0}), applied={tank.u: -0.1 * k})
    memory = controller.switch(memory, Mode.AUTOMATIC)
    back, _ = controller.step(memory, Sample(100.0, {tank.y: 0.0}), applied={tank.u: -0.5})
    assert back.values[tank.u] == pytest.approx(-0.4, abs=1e-9)


def test_a_tree_with_three_values_that_branches_twice_is_what_enumeration_finds() -> None:
    gains, chances, price, y0 = (1.2, 2.0, 2.8), (0.2, 0.3, 0.5), 2.0, 0.3
    tree = Tree({tank.K: gains}, robust_horizon=2, weights={tank.K: chances})
    controller = controller_of(lasting(2000.0), horizon=80.0, scenarios=tree, moves={tank.u: price}, grid=Grid(16))
    places: dict = {}
    branches = []
    for i, j in product(range(3), repeat=2):
        seen = [places.setdefault(key, len(places)) for key in ((0,), (1, i), (2, i, j), (3, i, j))]
        branches.append((chances[i] * chances[j], (gains[i], gains[j], gains[j], gains[j]), seen))

    def residuals(moves):
        found = []
        for chance, own, seen in branches:
            level = y0
            for gain, u in zip(own, moves[seen], strict=True):
                end = level
                level = gain * u + (end - gain * u) * np.exp(-0.5 * EVERY * (NODES + 1.0) / TAU)
                found.append(np.sqrt(0.5 * EVERY * chance * WEIGHTS) * (level - 0.6))
                level = gain * u + (end - gain * u) * np.exp(-EVERY / TAU)
            found.append(np.sqrt(chance * price) * np.diff([0.0, *moves[seen]]))
        return np.concatenate(found)

    zero = residuals(np.zeros(len(places)))
    matrix = np.stack([residuals(e) - zero for e in np.eye(len(places))], axis=1)
    found = lsq_linear(matrix, -zero, (-1.0, 1.0), tol=1e-13).x
    action = controller.start(Sample(0.0, {tank.y: y0})).action
    assert action.values[tank.u] == pytest.approx(found[0], abs=1e-5)


def test_the_correction_of_an_advanced_step_is_exact_where_the_program_is_quadratic() -> None:
    """However far the sample, what was applied and the set point are from what was expected."""
    ahead, whole = (
        controller_of(lasting(2000.0), horizon=100.0, moves={tank.u: 3.0}, **more)
        for more in ({"method": AdvancedStep()}, {})
    )
    first = Sample(0.0, {tank.y: 0.0})
    sample, news = Sample(20.0, {tank.y: -1.5}), {"previews": {tank.y: 0.9}, "applied": {tank.u: -0.2}}
    one, _ = ahead.step(ahead.prepare(ahead.start(first)), sample, **news)
    other, _ = whole.step(whole.start(first), sample, **news)
    assert one.status is ActionStatus.ITERATED
    assert one.values[tank.u] == pytest.approx(other.values[tank.u], abs=1e-4)


def test_limits_that_are_missed_are_told_by_the_status() -> None:
    controller = controller_of(subject_to=[Path(lambda v: v.tank.y, upper=0.8, name="full")])
    memory = controller.start(Sample(0.0, {tank.y: 1.5}))
    assert memory.action.status is ActionStatus.RELAXED
    assert memory.action.status.decided
    assert any("no plan was found that keeps full" in event.text for event in memory.events)
    kept, _ = controller.step(memory, Sample(20.0, {tank.y: 0.3}))
    assert kept.status is ActionStatus.OPTIMAL


def test_a_laboratory_value_that_is_not_due_is_not_bad_but_one_that_never_comes_is() -> None:
    settings = {"recipe": lasting(2000.0), "horizon": 100.0, "signals": {tank.y: Simulate(3)}}
    controller = controller_of(estimator=ExtendedKalman(noise={tank.y: 0.01}), **settings)
    memory = controller.start(Sample(0.0, {}))
    for k in range(1, 8):
        late = {tank.y: (20.0 * k - 30.0, 0.3)} if k % 2 == 0 else {}
        action, memory = controller.step(memory, Sample(20.0 * k, {}, late=late))
        assert not action.reasons
    assert action.status is ActionStatus.OPTIMAL
    action, memory = controller.step(memory, Sample(180.0, {}))  # the last value is of t = 90
    assert action.status is ActionStatus.MANUAL
    never = controller.start(Sample(0.0, {}))
    assert never.ages() == {"tank.y": np.inf}
    action, never = controller.step(never, Sample(80.0, {}))
    assert action.status is ActionStatus.MANUAL


def test_the_guess_of_an_input_reaches_the_run_that_its_estimator_plans_with() -> None:
    free = {tank.u: PiecewiseConstant(every=EVERY, guess=0.25)}
    controller = controller_of(free=free, estimator=ExtendedKalman(noise={tank.y: 0.01}))
    assert controller.sensing.model.tried == {"tank.u": (0.25, 0.25)}


def test_what_is_estimated_is_not_given_by_scenarios() -> None:
    estimator = ExtendedKalman(noise={tank.y: 0.01}, disturbances={tank.w: Drift(0.02, start=0.5)})
    with pytest.raises(SpecificationError, match=r"tank\.w: scenarios give values"):
        controller_of(estimator=estimator, scenarios=Tree({tank.w: (-0.1, 0.1)}))


def test_a_memory_comes_back_from_its_file_bit_for_bit(tmp_path) -> None:
    estimator = ExtendedKalman(noise={tank.y: 0.01}, disturbances={tank.w: Drift(0.02, start=0.5)})
    budget = Integral(lambda v: v.tank.u, upper=50.0, name="budget")
    controller = controller_of(delay=3.0, estimator=estimator, subject_to=[budget])
    memory = controller.start(Sample(0.0, {tank.y: 0.1}), {tank.y: 0.7})
    for time, y in ((20.0, np.nan), (41.7, 0.21)):
        _, memory = controller.step(memory, Sample(time, {tank.y: y}))
    loaded = ControlMemory.load(memory.save(tmp_path / "memory"))
    for name in ("time", "phase", "entered", "changed", "planned", "totals", "estimated", "signals", "bad", "events"):
        assert getattr(loaded, name) == getattr(memory, name)
    for name in ("x", "applied", "waiting"):
        assert getattr(loaded, name).tobytes() == getattr(memory, name).tobytes()
    assert {each.name for each in fields(loaded)} == {each.name for each in fields(memory)}
    sample = Sample(60.0, {tank.y: 0.3})
    assert controller.step(loaded, sample)[0].values == controller.step(memory, sample)[0].values


def test_an_open_loop_can_be_sent_to_another_process() -> None:
    reactor = BatchReactor("reactor")
    plan = optimize(
        Flowsheet(reactor, time="s"), lasting(1200.0), free={reactor.T_j: PiecewiseConstant(every=600.0)},
        maximize=AtEnd(lambda v: v.reactor.c_B), grid=Grid(elements=4), starts=1,
    )  # fmt: skip
    there = pickle.loads(pickle.dumps(OpenLoop(plan)))
    assert there.manipulated == ("reactor.T_j",)
    assert there.start(Sample(0.0, {})).action.values == OpenLoop(plan).start(Sample(0.0, {})).action.values


def test_a_plan_that_goes_on_after_a_phase_that_was_ended_early_is_in_the_next_phase() -> None:
    recipe = Recipe(Phase("heat", duration=Free(100, 20, 200)), Phase("hold", duration=60.0))
    at_73 = AtEnd(lambda v: 0.01 * (magnitude(v.time, "s") - 73.0) ** 2, phase="heat")
    falling = Track({tank.y: lambda t: 0.9 - 0.005 * t}) + at_73
    controller = controller_of(recipe, grid=Grid(elements=16), minimize=falling)
    memory, y = controller.start(Sample(0.0, {tank.y: 0.0})), 0.0
    while (ends := memory.action.ends) is None:
        y = after(y, (memory.action.values[tank.u], EVERY))
        _, memory = controller.step(memory, Sample(memory.time + EVERY, {tank.y: y}))
    assert 1.0 < ends - memory.time < 19.0  # it is no sample's time
    planned = memory.action.plan[tank.u].groupby(level=0).last()
    y = after(y, (memory.action.values[tank.u], ends - memory.time))
    action, _ = controller.disabled().step(memory, Sample(ends, {tank.y: y}), phase="hold")
    assert action.status is ActionStatus.SHIFTED
    assert action.values[tank.u] == pytest.approx(float(planned.asof(ends + 1e-6)), abs=1e-9)
    assert abs(action.values[tank.u] - memory.action.values[tank.u]) > 1e-3
