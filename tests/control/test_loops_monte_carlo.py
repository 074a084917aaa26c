"""Are many loops the same as one at a time, whoever runs them and however often they are interrupted?"""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.control.loops_toys import Following, lag, lasting, plant
from titer.control import PID, Loop, close_loop, monte_carlo, sample
from titer.flowsheets import AtEnd, Path
from titer.numerics.errors import SolveError, SpecificationError

LOOP = Loop(lag.y, lag.u, 1.0, gain=0.5, integral=40.0)
pi = PID(plant, lasting(200.0), [LOOP], 10.0, inputs={lag.d: 0.0})
slow = replace(pi, loops=[replace(LOOP, gain=0.1)])
fixed = Following(lasting(200.0), lambda t: 0.5)
CASES = sample({lag.K: (2.0, 0.4), lag.tau: (50.0, 5.0)}, 12, seed=3)
JUDGED = {
    "minimize": AtEnd(lambda v: (v.lag.y - 1.0) ** 2),
    "subject_to": [Path(lambda v: v.lag.y, upper=1.2, name="ceiling")],
}
TIMES = ["seconds median", "seconds 95 %", "seconds max"]


def numbers(study):
    """The table but for times of computing."""
    return study.table.drop(columns=TIMES)


def test_a_row_is_what_its_loop_comes_to():
    """Of an open loop in closed form: (0.5 K (1 - exp(-200 / tau)) - 1)^2."""
    study = monte_carlo(plant, {"open": fixed, "PI": pi}, CASES, **JUDGED)
    own = study.table[study.table["controller"] == "open"]
    for case, (_, row) in zip(CASES, own.iterrows(), strict=True):
        end = 0.5 * case[lag.K] * (1.0 - np.exp(-200.0 / case[lag.tau]))
        assert row["objective"] == pytest.approx((end - 1.0) ** 2, abs=1e-6)
        assert row["missed ceiling"] == pytest.approx(end - 1.2, abs=1e-6)
    table = study.compare()
    ends = [0.5 * case[lag.K] * (1.0 - np.exp(-200.0 / case[lag.tau])) for case in CASES]
    assert table.loc["open", "missed ceiling"] == pytest.approx(np.mean([end > 1.2 for end in ends]))
    assert table.loc["PI", "mean"] < 0.1 * table.loc["open", "mean"]
    assert table["failed"].tolist() == [0, 0]


def test_each_case_has_its_own_noise_the_same_for_all_and_whatever_their_number():
    noisy = {"noise": {lag.y: 0.1}, "seed": 7, **JUDGED}
    all_of_them = numbers(monte_carlo(plant, pi, CASES, **noisy))
    first = numbers(monte_carlo(plant, {"slow": slow, "controller": pi}, CASES[:4], **noisy))
    first = first[first["controller"] == "controller"].reset_index(drop=True)
    pd.testing.assert_frame_equal(all_of_them.iloc[:4], first[all_of_them.columns])
    seed = np.random.SeedSequence(7).spawn(1)[0]
    one = close_loop(plant.with_values(CASES[0]), pi, seed=seed, noise={lag.y: 0.1})
    assert one.summary(**JUDGED).objective == all_of_them["objective"][0]


def test_an_interrupted_study_goes_on_and_ends_in_the_same_table(tmp_path):
    whole = monte_carlo(plant, {"PI": pi, "slow": slow}, CASES, folder=tmp_path / "whole", **JUDGED)

    def interrupt(text):
        if " 9 of 24" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        monte_carlo(plant, {"PI": pi, "slow": slow}, CASES, folder=tmp_path / "part", progress=interrupt, **JUDGED)
    said = []
    part = monte_carlo(plant, {"PI": pi, "slow": slow}, CASES, folder=tmp_path / "part", progress=said.append, **JUDGED)
    assert said[0].startswith("monte carlo: 9 of 24 loops were kept")
    assert len(said) == 1 + 15
    pd.testing.assert_frame_equal(numbers(part), numbers(whole))
    again = monte_carlo(plant, {"PI": pi, "slow": slow}, CASES, folder=tmp_path / "part", **JUDGED)
    pd.testing.assert_frame_equal(again.table, part.table)
    with pytest.raises(SpecificationError, match="is of another case or seed"):
        monte_carlo(plant, {"PI": pi}, CASES, seed=5, folder=tmp_path / "part", **JUDGED)


SCRIPT = """
import pandas as pd
from titer.control import PID, Loop, monte_carlo
from titer.flowsheets import AtEnd, Flowsheet, Phase, Recipe
from titer.flowsheets.units import BatchReactor

if __name__ == "__main__":
    reactor = BatchReactor("reactor")
    plant = Flowsheet(reactor, time="s")
    loop = Loop(reactor.T, reactor.T_j, 340.0, gain=2.0, integral=300.0)
    pid = PID(plant, Recipe(Phase("react", duration=1200.0)), [loop], 60.0)
    cases = [{reactor.k0_1: k} for k in (1.8e9, 2.0e9, 2.2e9)]
    asked = {"noise": {reactor.T: 0.5}, "maximize": AtEnd(lambda v: v.reactor.c_B)}
    here, there = (monte_carlo(plant, pid, cases, jobs=jobs, **asked).table for jobs in (1, 2))
    times = [name for name in here.columns if name.startswith("seconds")]
    pd.testing.assert_frame_equal(here.drop(columns=times), there.drop(columns=times))
"""


@pytest.mark.slow
def test_processes_give_the_same_table(tmp_path):
    (tmp_path / "study.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "study.py"], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_loop_that_raises_is_a_row_that_says_so():
    class Raising(Following):
        def step(self, memory, sample, previews=None, **rest):
            if sample.time > 50.0:
                raise SolveError("the solver went home")
            return super().step(memory, sample, previews, **rest)

    study = monte_carlo(plant, {"good": fixed, "bad": Raising(lasting(200.0))}, CASES[:3], **JUDGED)
    bad = study.table[study.table["controller"] == "bad"]
    assert bad["failed"].str.endswith("the solver went home").all()
    assert study.compare()["failed"].tolist() == [0, 3]
    assert study.compare().loc["bad", "missed ceiling"] == 1.0


def test_a_plant_may_be_made_of_a_case():
    made = monte_carlo(lambda case: plant.with_values({lag.K: 2.0 * case["a"]}), fixed, [{"a": 0.7}], **JUDGED)
    given = monte_carlo(plant, fixed, [{lag.K: 1.4}], **JUDGED)
    assert made.table["objective"].tolist() == given.table["objective"].tolist()


def test_a_study_is_drawn_and_printed():
    study = monte_carlo(plant, {"PI": pi, "slow": slow}, CASES[:5], **JUDGED)
    file = io.BytesIO()
    figure = study.plot()
    figure.savefig(file)
    assert len(figure.axes) == 2
    assert "missed ceiling" in str(study)


def test_bad_arguments_are_named():
    with pytest.raises(SpecificationError, match=r"^monte_carlo: expected a list of dicts"):
        monte_carlo(plant, pi, [])
    with pytest.raises(SpecificationError, match=r"^monte_carlo: jobs must be a whole number"):
        monte_carlo(plant, pi, CASES, jobs=0)
    with pytest.raises(SpecificationError, match=r"^monte_carlo: condition 'noize' is unknown. Did you mean 'noise'"):
        monte_carlo(plant, pi, CASES, noize={})
    with pytest.raises(SpecificationError, match=r"^monte_carlo: cases: name 'lag.k' is unknown"):
        monte_carlo(plant, pi, [{"lag.k": 1.0}])


def test_a_study_names_what_it_was_not_asked_and_says_why_loops_broke_off():
    study = monte_carlo(plant, fixed, CASES[:2], noise={"lag.z": 1.0})
    assert "2 broke off: noise: measurement 'lag.z' is unknown" in str(study)
    with pytest.raises(SpecificationError, match=r"^missed: limit 'ceilling' is unknown"):
        study.missed("ceilling")


def test_what_cannot_be_sent_to_processes_is_run_here_or_refused_by_name():
    """A truth that holds a lock is used where it is; where processes were asked for, the study does not begin."""
    import threading

    lock = threading.Lock()

    def made(case):
        with lock:
            return plant.with_values(case)

    with pytest.raises(SpecificationError, match=r"^monte_carlo: jobs: truth, controllers or terms cannot be sent"):
        monte_carlo(made, pi, CASES[:3], jobs=2)
    assert len(monte_carlo(made, pi, CASES[:3]).table) == 3


def test_distributions_are_drawn_as_sample_draws_them():
    drawn = monte_carlo(plant, fixed, {lag.K: (2.0, 0.4), lag.tau: (50.0, 5.0)}, runs=4, seed=3, **JUDGED)
    given = monte_carlo(plant, fixed, sample({lag.K: (2.0, 0.4), lag.tau: (50.0, 5.0)}, 4, seed=3), seed=3, **JUDGED)
    pd.testing.assert_frame_equal(numbers(drawn), numbers(given))
