"""Does a closed loop do to the truth what it says? Open loops are simulations, and everything acts in its own time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.control.loops_toys import FirstOrder, Following, lag, lasting, plant
from titer.control import (
    Actuator,
    Biased,
    Drifting,
    Failing,
    Frozen,
    Laboratory,
    Manual,
    Missing,
    Ramp,
    Scaled,
    Spike,
    Step,
    Stuck,
    Walk,
    close_loop,
)  # fmt: skip
from titer.estimation import Quality
from titer.flowsheets import Flowsheet, Free, Phase, PiecewiseConstant, Reaches, Recipe, SameAs, quantity, simulate
from titer.flowsheets.units import BatchReactor
from titer.numerics.errors import SolveError, SpecificationError

reactor = BatchReactor("reactor")
batch = Flowsheet(reactor, time="s")


EXACT = {"tolerance": 1e-10}


def response(t, gain=2.0, tau=50.0):
    """Of the lag, to a unit step of its input."""
    return gain * (1.0 - np.exp(-np.asarray(t) / tau))


def test_an_open_loop_is_a_simulation():
    """Two phases with a reset, one that ends by a condition: states, durations and named expressions agree."""
    recipe = Recipe(
        Phase("heat", duration=Free(600.0, 100.0, 2000.0), until=Reaches(reactor.T, 333.0, "rising")),
        Phase("react", duration=1800.0, start={reactor.c_A: lambda v: v.reactor.c_A + 0.2}),
        Phase("wait", duration=SameAs("react")),
    )
    controller = Following(recipe, lambda t: 340.0, 90.0, batch, (reactor.T_j,), (reactor.T,), {})
    log = close_loop(batch, controller, tolerance=1e-11)
    run = simulate(batch, recipe, {reactor.T_j: 340.0}, tolerance=1e-11)
    assert log.complete
    for phase in ("heat", "react", "wait"):
        assert log.run.duration[phase] == pytest.approx(run.duration[phase], rel=1e-9)
        for name in (reactor.c_B, reactor.c_C, reactor.T, reactor.r_1):
            assert log.run.at_end(name, phase) == pytest.approx(run.at_end(name, phase), rel=1e-8)


def test_an_open_loop_follows_pieces_as_a_simulation_does():
    values = [320.0, 345.0, 331.0, 360.0, 325.0]
    recipe = Recipe(Phase("react", duration=3000.0))
    controller = Following(recipe, lambda t: values[int(t // 600.0)], 600.0, batch, (reactor.T_j,), (reactor.T,), {})
    log = close_loop(batch, controller, tolerance=1e-11)
    run = simulate(batch, recipe, {reactor.T_j: PiecewiseConstant(values=values)}, tolerance=1e-11)
    assert log.run.at_end(reactor.c_B) == pytest.approx(run.at_end(reactor.c_B), rel=1e-8)
    assert log.applied[reactor.T_j].tolist() == values


def test_the_controller_decides_how_long_a_free_phase_lasts_within_its_limits():
    recipe = Recipe(Phase("one", duration=Free(50.0, 20.0, 100.0)), Phase("two", duration=Free(50.0, 30.0, 100.0)))
    log = close_loop(plant, Following(recipe, lengths={"one": 37.0, "two": 5.0}))
    assert log.run.duration == pytest.approx({"one": 37.0, "two": 30.0})
    log = close_loop(plant, Following(recipe))  # it never says so
    assert log.run.duration == pytest.approx({"one": 100.0, "two": 100.0})


def test_a_condition_that_is_not_met_ends_its_phase_by_the_limit_and_is_told():
    recipe = Recipe(Phase("rise", duration=Free(50.0, 10.0, 100.0), until=Reaches(lag.y, 5.0, "rising")))
    log = close_loop(plant, Following(recipe, lambda t: 1.0))
    assert log.run.duration["rise"] == pytest.approx(100.0)
    assert "its condition was not met" in log.events["text"].str.cat()


def test_a_condition_may_be_met_by_what_the_next_action_does():
    """2 u reaches 6 as u jumps at 40: the phase ends at once."""
    recipe = Recipe(Phase("rise", duration=Free(50.0, 10.0, 100.0), until=lambda v: v.lag.y + v.lag.u >= 6.0))
    log = close_loop(plant, Following(recipe, lambda t: 8.0 if t > 35.0 else 1.0))
    assert log.run.duration["rise"] == pytest.approx(40.0)


def test_the_seed_makes_the_noise_and_nothing_else_does():
    conditions = {"noise": {lag.y: 0.1}, "disturbances": [Walk(name=lag.w, deviation=0.1)]}
    first, again = (close_loop(plant, Following(lasting(200.0)), seed=4, **conditions) for _ in range(2))
    other = close_loop(plant, Following(lasting(200.0)), seed=5, **conditions)
    more = close_loop(
        plant, Following(lasting(200.0), measured=(lag.twice, lag.y)), seed=4,
        faults=[Missing(name=lag.twice, probability=0.5)], **conditions,
    )  # fmt: skip
    assert first.measured[lag.y].tolist() == again.measured[lag.y].tolist() == more.measured[lag.y].tolist()
    assert first.truth[lag.y].tolist() == again.truth[lag.y].tolist() == more.truth[lag.y].tolist()
    assert first.measured[lag.y].tolist() != other.measured[lag.y].tolist()


def test_noise_has_the_deviation_that_was_asked_for():
    log = close_loop(plant, Following(lasting(4000.0), every=2.0), seed=1, noise={lag.y: 0.3})
    noise = log.measured[lag.y] - log.truth[lag.y].iloc[:-1]
    assert noise.std() == pytest.approx(0.3, rel=3.0 / np.sqrt(2.0 * len(noise)))
    assert abs(noise.mean()) < 3.0 * 0.3 / np.sqrt(len(noise))


FAULTS = {
    "offset": (Biased(name=lag.y, by=0.5, start=100.0, end=200.0), lambda t, y: y + 0.5),
    "drift": (Drifting(name=lag.y, rate=0.01, start=100.0, end=200.0), lambda t, y: y + 0.01 * (t - 100.0)),
    "scale": (Scaled(name=lag.y, factor=1.8, start=100.0, end=200.0), lambda t, y: 1.8 * y),
    "freeze": (Frozen(name=lag.y, start=100.0, end=200.0), lambda t, y: 0.0 * y + response(90.0)),
    "silence": (Missing(name=lag.y, start=100.0, end=200.0), lambda t, y: np.nan * y),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_acts_in_its_window_only(fault):
    made, shown = FAULTS[fault]
    log = close_loop(plant, Following(lasting(300.0), lambda t: 1.0), faults=[made], **EXACT)
    t = log.measured.index.to_numpy()
    y, inside = response(t), (t >= 100.0) & (t < 200.0)
    np.testing.assert_allclose(log.measured[lag.y], np.where(inside, shown(t, y), y), rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(log.truth[lag.y].iloc[:-1], y, rtol=1e-7, atol=1e-8)
    assert log.events["time"][log.events["kind"] == "fault"].tolist() == [100.0, 200.0]


def test_spikes_come_as_often_and_as_far_as_asked():
    fault = Spike(name=lag.y, size=3.0, probability=0.2, start=500.0, end=2500.0)
    log = close_loop(plant, Following(lasting(3000.0), every=1.0), faults=[fault], seed=2)
    off = log.measured[lag.y].to_numpy()
    assert set(np.round(off, 6)) == {-3.0, 0.0, 3.0}
    assert np.mean(off[500:2500] != 0.0) == pytest.approx(0.2, abs=3.0 * np.sqrt(0.2 * 0.8 / 2000.0))
    assert not off[:500].any()
    assert not off[2500:].any()


def test_a_sensor_may_say_that_it_is_bad():
    seen = []

    class Watching(Following):
        def step(self, memory, sample, previews=None, **rest):
            seen.append(sample.quality.get(lag.y))
            return super().step(memory, sample, previews, **rest)

    fault = Biased(name=lag.y, by=1.0, start=20.0, end=30.0, quality=Quality.BAD)
    close_loop(plant, Watching(lasting(50.0)), faults=[fault])
    assert seen == [None, None, Quality.BAD, None, None]


def test_laboratory_values_arrive_late_with_the_time_they_were_taken():
    log = close_loop(
        plant, Following(lasting(200.0), lambda t: 1.0), laboratory={lag.twice: Laboratory(every=40.0, delay=25.0)},
        **EXACT,
    )  # fmt: skip
    assert log.laboratory["taken"].tolist() == [0.0, 40.0, 80.0, 120.0, 160.0]
    assert log.laboratory["arrived"].tolist() == [30.0, 70.0, 110.0, 150.0, 190.0]
    np.testing.assert_allclose(log.laboratory["value"], 2.0 * response(log.laboratory["taken"]), atol=1e-8)
    assert lag.twice not in log.measured


@pytest.mark.parametrize(("delay", "dead_time"), [(10.0, 0.0), (0.0, 20.0), (10.0, 15.0), (4.0, 0.0)])
def test_a_delay_shifts_what_is_applied(delay, dead_time):
    """A unit step commanded at 50 reaches the plant when delay and dead time are over."""
    controller = Following(lasting(300.0), lambda t: 1.0 if t >= 50.0 else 0.0)
    log = close_loop(plant, controller, delay=delay, actuators={lag.u: Actuator(dead_time=dead_time)}, **EXACT)
    t = log.truth.index.to_numpy()
    exact = response(np.maximum(t - 50.0 - delay - dead_time, 0.0))
    np.testing.assert_allclose(log.truth[lag.y], exact, rtol=1e-7, atol=1e-8)


def test_an_actuator_keeps_its_limits_and_its_rate():
    """u rises to 3, at 0.05 a second, from 0: 60 s; 9 was wanted."""
    controller = Following(lasting(200.0), lambda t: 9.0)
    log = close_loop(plant, controller, actuators={lag.u: Actuator(upper=3.0, rate=0.05)}, **EXACT)
    u, t = log.run[lag.u], log.run[lag.u].index.to_numpy()
    np.testing.assert_allclose(u, np.minimum(0.05 * t, 3.0), atol=1e-9)
    ramp = 2.0 * 0.05 * (t - 50.0 * (1.0 - np.exp(-t / 50.0)))
    early = t <= 60.0
    np.testing.assert_allclose(log.run[lag.y][early], ramp[early], rtol=1e-6, atol=1e-7)
    assert log.summary().at_limit[lag.u] == pytest.approx(14.0 / 20.0)
    assert log.summary().beyond[lag.u] == pytest.approx(6.0)


@pytest.mark.parametrize("name", [lag.d, lag.u])
def test_a_step_of_an_input_is_a_step(name):
    step = Step(name=name, by=1.0, start=33.0, end=150.0)
    log = close_loop(plant, Following(lasting(300.0)), disturbances=[step], **EXACT)
    t = log.truth.index.to_numpy()
    exact = response(np.maximum(t - 33.0, 0.0)) - response(np.maximum(t - 150.0, 0.0))
    np.testing.assert_allclose(log.truth[lag.y], exact, rtol=1e-7, atol=1e-8)
    assert set(log.commanded[lag.u]) == {0.0}


def test_a_step_of_a_parameter_is_a_step_between_samples_too():
    step = Step(name=lag.w, by=2.0, start=33.0)
    log = close_loop(plant, Following(lasting(300.0)), disturbances=[step], **EXACT)
    t = log.truth.index.to_numpy()
    np.testing.assert_allclose(log.truth[lag.y], response(np.maximum(t - 33.0, 0.0)), rtol=1e-7, atol=1e-8)


def test_a_ramp_is_a_ramp_of_an_input_and_stairs_of_a_parameter():
    """The response to a ramp is exact for the input; of the parameter's stairs it is right to second order."""

    def exact(t, slope):
        return slope * (t - 50.0 * (1.0 - np.exp(-t / 50.0)))

    ramp = {"by": 3.0, "start": 0.0, "end": 300.0}
    log = close_loop(plant, Following(lasting(300.0)), disturbances=[Ramp(name=lag.d, **ramp)], **EXACT)
    t = log.truth.index.to_numpy()
    np.testing.assert_allclose(log.truth[lag.y], exact(t, 0.02), rtol=1e-7, atol=1e-8)
    off = []
    for every in (20.0, 10.0):
        controller = Following(lasting(300.0), every=every)
        log = close_loop(plant, controller, disturbances=[Ramp(name=lag.w, **ramp)], **EXACT)
        off.append(abs(log.truth[lag.y].iloc[-1] - exact(300.0, 0.01)))
    assert off[0] / off[1] == pytest.approx(4.0, rel=0.05)


def test_a_walk_has_the_deviation_that_was_asked_for():
    """After time t its deviation is s sqrt(t): over 400 seeds."""
    from titer.control.loops.sensors import Chance

    walk, grid = Walk(name=lag.w, deviation=0.2), np.arange(0.0, 101.0, 4.0)
    ends = [walk.departure(grid, Chance(np.random.SeedSequence(k)).of("walk")).right[-1] for k in range(400)]
    assert np.std(ends) == pytest.approx(0.2 * 10.0, rel=3.0 / np.sqrt(800.0))


def test_an_operator_decides_for_a_while():
    controller = Following(lasting(100.0), lambda t: 1.0)
    log = close_loop(plant, controller, manual=[Manual(25.0, 55.0, {lag.u: 4.0}), (80.0, 90.0)])
    applied = [1.0, 1.0, 1.0, 4.0, 4.0, 4.0, 1.0, 1.0, 1.0, 1.0]
    assert log.applied[lag.u].tolist() == applied
    assert log.steps["manual"].tolist() == [3 <= k < 6 or k == 8 for k in range(10)]


def test_what_was_held_is_read_back_to_the_controller():
    told = []

    class Reading(Following):
        def step(self, memory, sample, previews=None, *, applied=None, **rest):
            told.append(applied)
            return super().step(memory, sample, **rest)

    close_loop(plant, Reading(lasting(40.0), lambda t: 20.0), delay=5.0)
    assert told[0] == {lag.u: 0.0}  # where it stands at the start
    assert [each[lag.u] for each in told[1:]] == pytest.approx([5.0, 10.0, 10.0])  # half an interval late, then at 10


def test_failing_measurements_are_lost_as_often_as_asked():
    seen = []

    class Watching(Following):
        def step(self, memory, sample, previews=None, **rest):
            seen.append(np.isfinite(sample.values[lag.y]))
            return super().step(memory, sample, previews, **rest)

    failing = Failing(Watching(lasting(2000.0), every=2.0), nan=0.1)
    close_loop(plant, failing)
    assert 1.0 - np.mean(seen) == pytest.approx(0.1, abs=3.0 * np.sqrt(0.09 / len(seen)))


def test_failing_solves_are_decided_by_the_one_that_cannot():
    able = Following(lasting(2000.0), lambda t: 1.0, 2.0)
    failing = Failing(able, solver=0.1, unable=replace(able, value=lambda t: -1.0))
    log = close_loop(plant, failing)
    assert np.mean(log.commanded[lag.u] == -1.0) == pytest.approx(0.1, abs=3.0 * np.sqrt(0.09 / 1000.0))


def test_a_truth_that_cannot_go_on_leaves_its_log():
    class Blocked(FirstOrder):
        def equations(self, v):
            told = super().equations(v)
            return type(told)(rate={"y": told.rate["y"] + quantity(1e-12, "1/s") * np.log(1.5 - v.y)})

    blocked = Blocked("lag")
    with pytest.raises(SolveError, match=r"^close_loop: the truth cannot go on: ") as caught:
        close_loop(Flowsheet(blocked, time="s"), Following(lasting(300.0), lambda t: 1.0))
    log = caught.value.solution
    assert not log.complete
    assert 50.0 < log.truth.index[-1] < 50.0 * np.log(4.0)
    assert log.truth[lag.y].iloc[-1] == pytest.approx(response(log.truth.index[-1]), rel=1e-6)


def test_a_controller_that_gives_up_leaves_the_log_too():
    class Tired(Following):
        def step(self, memory, sample, previews=None, **rest):
            if sample.time > 95.0:
                raise SolveError("the model cannot be solved")
            return super().step(memory, sample, previews, **rest)

    with pytest.raises(SolveError, match=r"^close_loop: the controller cannot go on: the model cannot") as caught:
        close_loop(plant, Tired(lasting(300.0)))
    assert caught.value.solution.truth.index[-1] == pytest.approx(90.0)
    assert caught.value.solution.events["text"].iloc[-1] == "the model cannot be solved"


def test_a_loop_can_be_stopped():
    log = close_loop(plant, Following(lasting(300.0)), until=quantity(2.0, "min"))
    assert not log.complete
    assert log.truth.index[-1] == pytest.approx(120.0)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"noise": {"lag.x": 0.1}}, r"noise: measurement 'lag.x' is unknown. Did you mean"),
        ({"noise": {lag.u: 0.1}}, r"noise: lag.u is a control, not a measurement"),
        ({"faults": [Biased(name="lag.z", by=1.0)]}, r"faults: measurement 'lag.z' is unknown"),
        ({"disturbances": [Step(name=lag.y, by=1.0)]}, r"disturbances: parameter or control 'lag.y' is unknown"),
        ({"actuators": {lag.d: Actuator()}}, r"actuators: manipulated control 'lag.d' is unknown"),
        ({"manual": [(50.0, 20.0)]}, r"manual: it ends at 20, before it starts at 50"),
        ({"delay": -1.0}, r"close_loop: delay must be at least 0"),
        ({"laboratory": {lag.y: 20.0}}, r"laboratory: lag.y needs a Laboratory"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(given, text):
    with pytest.raises(SpecificationError, match=f"^{text}"):
        close_loop(plant, Following(lasting(100.0)), **given)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: close_loop(plant, Following(lasting(9.0)), seed=-1), "close_loop: seed must be a whole number"),
        (lambda: close_loop(plant, Following(lasting(9.0)), until=-5.0), "close_loop: until must be a time after 0"),
        (lambda: close_loop(plant, "pid"), "close_loop: expected a controller, such as NMPC"),
        (lambda: close_loop(plant, Following(lasting(9.0)), faults=Frozen(name=lag.y)), "faults: expected a list"),
        (lambda: close_loop(plant, Following(lasting(9.0)), points=0), "close_loop: points must be a finite number"),
        (lambda: Missing(name=lag.y, probability=3.0), r"Missing of lag\.y: probability must be .* at most 1, got 3"),
        (lambda: Frozen(name=lag.y, start=5.0, end=1.0), r"Frozen of lag\.y: it ends at 1, before it starts at 5"),
        (lambda: Stuck(lag.u, start=-1.0), r"Stuck lag\.u: expected 0 <= start < end, got -1"),
        (lambda: Step(name=lag.w, by=float("nan")), r"Step of lag\.w: by must be a finite number, got nan"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_made(make, text):
    with pytest.raises(SpecificationError, match=f"^{text}"):
        make()


def test_truth_and_model_speak_of_the_same_names_and_units():
    other = Flowsheet(FirstOrder("other"), time="s")
    with pytest.raises(SpecificationError, match=r"control 'lag\.u' is unknown"):
        close_loop(other, Following(lasting(100.0)))
    minutes = Flowsheet(lag, time="min")
    with pytest.raises(SpecificationError, match=r"^close_loop: the truth counts time in 'min'"):
        close_loop(minutes, Following(lasting(100.0)))
