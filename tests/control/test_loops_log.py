"""Does a log say what happened? The objective on the truth, limits, pictures, and a file that holds it all."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.control.loops_toys import Following, lag, lasting, plant
from titer.control import PID, Biased, Laboratory, Log, Loop, Plan, Step, close_loop
from titer.flowsheets import AtEnd, Flowsheet, Free, Integral, Path, Phase, Reaches, Recipe, replay, simulate
from titer.flowsheets.units import BatchReactor
from titer.numerics.errors import SpecificationError

reactor = BatchReactor("reactor")
batch = Flowsheet(reactor, time="s")
recipe = Recipe(
    Phase("heat", duration=Free(600.0, 100.0, 2000.0), until=Reaches(reactor.T, 333.0, "rising")),
    Phase("react", duration=1800.0),
)
FRAMES = (
    "truth",
    "measured",
    "commanded",
    "applied",
    "wanted",
    "estimates",
    "deviations",
    "steps",
    "laboratory",
    "events",
)


@pytest.fixture(scope="module")
def log():
    loop = Loop(reactor.T, reactor.T_j, setpoint=340.0, gain=2.0, integral=300.0)
    return close_loop(
        batch.with_values({reactor.k0_1: 2.4e9}), PID(batch, recipe, [loop], every=60.0), seed=1,
        noise={reactor.T: 0.3}, laboratory={reactor.c_B: Laboratory(every=600.0, delay=200.0)},
        faults=[Biased(name=reactor.T, by=2.0, start=900.0, end=1200.0)],
    )  # fmt: skip


def test_the_objective_is_that_of_the_truth():
    """y of a lag under a unit step: y(T), the integral of y, and where a limit is missed most, in closed form."""
    log = close_loop(plant, Following(lasting(100.0), lambda t: 1.0), tolerance=1e-10)
    held, area = 2.0 * (1.0 - np.exp(-2.0)), 2.0 * (100.0 - 50.0 * (1.0 - np.exp(-2.0)))
    summary = log.summary(
        maximize=AtEnd(lambda v: v.lag.y) + 0.01 * Integral(lambda v: v.lag.y),
        subject_to=[Path(lambda v: v.lag.twice, upper=3.0, name="ceiling"), AtEnd(lambda v: v.lag.y, lower=1.0)],
    )
    assert summary.objective == pytest.approx(held + 0.01 * area, rel=1e-6)
    assert summary.missed["ceiling"] == pytest.approx(2.0 * held - 3.0, rel=1e-7)
    assert summary.missed["AtEnd of lag.y"] == pytest.approx(1.0 - held, rel=1e-7)
    assert summary.complete


def test_terms_read_parameters_as_they_were():
    """w is 0, then 3 from 40 on: its integral over 100 s is 180, its end 3."""
    log = close_loop(plant, Following(lasting(100.0)), disturbances=[Step(name=lag.w, by=3.0, start=40.0)])
    summary = log.summary(minimize=AtEnd(lambda v: v.lag.w) + Integral(lambda v: v.lag.w))
    assert summary.objective == pytest.approx(183.0, rel=1e-12)


def test_the_same_numbers_come_of_a_simulation():
    run = simulate(batch, recipe, {reactor.T_j: 340.0}, points=400, tolerance=1e-10)
    controller = Following(recipe, lambda t: 340.0, 60.0, batch, (reactor.T_j,), (reactor.T,), {})
    log = close_loop(batch, controller, tolerance=1e-10)
    found = log.summary(
        maximize=AtEnd(lambda v: v.reactor.c_B / (v.time + 1800.0)),
        subject_to=[Path(lambda v: v.reactor.T, upper=345.0, name="hot")],
    )
    end = sum(run.duration.values())
    assert found.objective == pytest.approx(run.at_end(reactor.c_B) / (end + 1800.0), rel=1e-8)
    assert found.missed["hot"] == pytest.approx(run[reactor.T].max() - 345.0, abs=1e-3)


def test_what_the_inputs_were_can_be_replayed(log):
    again = replay(log.run)
    assert again.at_end(reactor.c_B) == pytest.approx(log.run.at_end(reactor.c_B), rel=1e-6)


def test_a_log_goes_through_a_file_and_stays_what_it_is(log, tmp_path):
    read = Log.load(log.save(tmp_path / "loop.one"), batch.with_values({reactor.k0_1: 2.4e9}), recipe)
    assert (tmp_path / "loop.one.npz").is_file()
    for name in (*FRAMES, "events"):
        pd.testing.assert_frame_equal(getattr(read, name), getattr(log, name))
    pd.testing.assert_frame_equal(read.run.frame(), log.run.frame())
    asked = {"maximize": AtEnd(lambda v: v.reactor.c_B), "subject_to": [Path(lambda v: v.reactor.T, upper=345.0)]}
    assert read.summary(**asked) == log.summary(**asked)
    with pytest.raises(SpecificationError, match=r"^summary: the log was loaded from a file"):
        Log.load(tmp_path / "loop.one").summary(**asked)
    (tmp_path / "other.npz").write_bytes(b"no log")
    with pytest.raises(SpecificationError, match=r"^other\.npz is no saved log"):
        Log.load(tmp_path / "other")


def test_frames_and_events_tell_the_story(log):
    frame = log.frame()
    assert len(frame) == len(log.steps)
    assert {"reactor.c_B", "measured reactor.T", "applied reactor.T_j", "status", "seconds"} <= set(frame.columns)
    said = log.events["text"].tolist()
    assert said[0] == "heat begins"
    assert "react begins" in said
    assert "reactor.T: biased by 2" in said
    assert str(log.summary()).startswith(f"complete at t = {sum(log.run.duration.values()):.6g}")


def test_pictures_show_what_was_measured_set_and_wanted(log):
    figure = log.plot(setpoints={reactor.T: 340.0})
    assert [ax.get_ylabel().splitlines()[0] for ax in figure.axes] == ["reactor.T", "reactor.T_j"]
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["truth", "measured", "set point"]
    for drawn in (figure, log.plot([reactor.c_B]), log.plot_times()):
        file = io.BytesIO()
        drawn.savefig(file)
        assert file.getbuffer().nbytes > 5000
    with pytest.raises(SpecificationError, match=r"^plot: name 'reactor\.x' is unknown"):
        log.plot(["reactor.x"])
    with pytest.raises(SpecificationError, match=r"^plot_plans: planned name 'reactor\.T' is unknown"):
        log.plot_plans(reactor.T)


def test_a_fan_shows_what_was_planned_over_what_came(tmp_path):
    class Planning(Following):
        def step(self, memory, sample, previews=None, **rest):
            action, memory = super().step(memory, sample, previews, **rest)
            action = replace(action, plan=Plan((lag.y,), np.array([0.0, 50.0]) + sample.time, np.array([[0.0, 1.0]])))
            return action, memory._replace(action=action)

    log = close_loop(plant, Planning(lasting(100.0), lambda t: 1.0))
    lines = log.plot_plans(lag.y, every=2).axes[0].get_lines()
    assert len([line for line in lines if len(line.get_xdata()) == 2]) == 5
    expected = log.frame()[f"planned {lag.y}"].to_numpy()  # the line from 0 to 1 over 50 s, 10 s on
    assert np.isnan(expected[0])
    np.testing.assert_allclose(expected[1:], 0.2)
    read = Log.load(log.save(tmp_path / "fan"))
    pd.testing.assert_frame_equal(read.frame(), log.frame())
    pd.testing.assert_frame_equal(read.plan(3), log.plan(3))


def test_what_a_log_does_not_hold_is_named(log):
    with pytest.raises(SpecificationError, match=r"^plan: the log has steps 0 to \d+, got 999"):
        log.plan(999)
    with pytest.raises(SpecificationError, match=r"^plot: limits: reactor.T needs \(lower or None, upper or None\)"):
        log.plot(limits={reactor.T: 340.0})
