"""Is nothing lost? What is kept of a solve is read without its source, also when the process was killed in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from titer.cases import cli
from titer.control import optimize
from titer.flowsheets import (
    AtEnd,
    Equations,
    Flowsheet,
    Free,
    Phase,
    PiecewiseConstant,
    Recipe,
    State,
    Unit,
    quantity,
    simulate,
)
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid, Solution, SolveError, SpecificationError
from titer.numerics.explaining.explanation import Verdict
from titer.numerics.explaining.keeping import Keeper, kept
from titer.numerics.explaining.record import load_record

reactor = BatchReactor("reactor")
plant = Flowsheet(reactor, time="s")
recipe = Recipe(Phase("react", Free(3600.0, 600.0, 7200.0)))
asked = {"free": {reactor.T_j: PiecewiseConstant(5)}, "maximize": AtEnd(lambda v: v.reactor.c_B), "grid": Grid(10)}
impossible = AtEnd(lambda v: v.reactor.c_B, lower=0.95, name="yield")


@pytest.fixture(autouse=True)
def unfinished(tmp_path, monkeypatch):
    monkeypatch.setenv("TITER_UNFINISHED", str(tmp_path / "unfinished"))


def failed():
    with pytest.raises(SolveError) as caught:
        optimize(plant, recipe, subject_to=[impossible], **asked)
    return caught.value


def test_a_failure_is_explained_from_its_file_as_from_its_solution():
    error = failed()
    path = error.solution.stats["kept"]
    assert f"titer explain {path}" in str(error)
    record = load_record(path)
    assert str(record.explain()) == str(error.solution.explain())
    assert record.attempt.outcome.status is error.solution.status
    np.testing.assert_array_equal(record.attempt.outcome.w, error.solution.iterate.outcome.w)
    assert record.again().headline == record.explain().headline
    assert Solution.load(path).duration == error.solution.duration


def test_a_success_leaves_no_file():
    optimize(plant, recipe, **asked)
    assert kept() == []


def test_every_mesh_of_a_refinement_is_kept_before_it_is_solved(monkeypatch):
    seen = []

    def write(keeper, record):
        seen.append([rung.name for rung in record().solution.start_report])

    monkeypatch.setattr("titer.numerics.explaining.keeping.Keeper.write", write)
    optimize(plant, recipe, **{**asked, "grid": Grid(2)}, refine=1e-7)
    assert len(seen) > 1
    assert seen[0][-1] == "scaling"
    assert seen[-1][-1].startswith("mesh ")
    assert "NLP" in seen[-1]


def test_the_newest_files_are_kept(monkeypatch):
    monkeypatch.setattr("titer.numerics.explaining.keeping._MOST", 2)
    paths = [failed().solution.stats["kept"] for _ in range(3)]
    assert [str(p) for p in kept()] == paths[:0:-1]


def test_an_empty_variable_keeps_nothing(monkeypatch, capsys):
    monkeypatch.setenv("TITER_UNFINISHED", "")
    assert "kept" not in failed().solution.stats
    assert kept() == []
    with pytest.raises(SystemExit) as stopped:
        cli.main(["explain"])
    assert stopped.value.code == 2
    assert "name a FILE" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_stops_no_solve(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TITER_UNFINISHED", str(tmp_path / "file" / "folder"))
    assert optimize(plant, recipe, **asked).status.ok


def test_a_file_that_another_process_removes_meanwhile_stops_no_solve(tmp_path, monkeypatch):
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "gone.titer").symlink_to(tmp_path / "nowhere")  # listed, but there is nothing
    assert [file.name for file in kept()] == ["gone.titer"]
    assert optimize(plant, recipe, **asked).status.ok


def test_what_cannot_be_written_is_not_kept():
    def record():
        raise RuntimeError("a callback cannot be serialized")

    assert Keeper.begin().write(record) is None


class Blow(Unit):
    """x' = x^2: infinite at t = 1."""

    x = State("1", start=1.0)

    def equations(self, v):
        return Equations(rate={"x": quantity(1.0, "1/s") * v.x**2})


def test_an_integration_that_failed_is_run_again_from_its_file():
    with pytest.raises(SolveError) as caught:
        simulate(Flowsheet(Blow("blow")), Recipe(Phase("grow", 2.0)))
    record = load_record(caught.value.solution.stats["kept"])
    assert record.explain().verdict is Verdict.INTEGRATION_FAILED
    assert "blow.x" in record.explain().headline
    assert record.again().headline == str(caught.value).splitlines()[0]


def test_the_command_line_explains_the_newest_file(capsys):
    error = failed()
    with pytest.raises(SystemExit) as stopped:
        cli.main(["explain", "--again"])
    assert not stopped.value.code
    said = capsys.readouterr().out
    assert str(error.solution.explain()) in said
    assert "again: no decisions were found that meet yield" in said


def test_a_file_that_is_no_record_is_refused(tmp_path):
    other = tmp_path / "other.titer"
    other.write_text("nothing")
    with pytest.raises(SpecificationError, match=r"other\.titer is no record of a solve .*\n  Give a \.titer file"):
        load_record(other)
    with zipfile.ZipFile(other, "w") as file:
        file.writestr("facts.json", '{"format": 99}')
    with pytest.raises(SpecificationError, match="format 99"):
        load_record(other)
    with pytest.raises(SpecificationError, match="there is no file"):
        load_record(tmp_path / "absent.titer")


LONG = """
from titer.control import optimize
from titer.flowsheets import AtEnd, Flowsheet, Free, Phase, PiecewiseConstant, Recipe
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid

reactor = BatchReactor("reactor")
optimize(Flowsheet(reactor, time="s"), Recipe(Phase("react", Free(3600.0, 600.0, 7200.0))),
         free={reactor.T_j: PiecewiseConstant(40)}, maximize=AtEnd(lambda v: v.reactor.c_B), grid=Grid(6000))
"""


def running(tmp_path):
    """A process in the middle of a long solve."""
    process = subprocess.Popen([sys.executable, "-c", LONG], env=dict(os.environ), stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        if kept() or process.poll() is not None:
            break
        time.sleep(0.05)
    time.sleep(0.5)
    assert process.poll() is None, process.stderr.read()
    return process


def test_a_process_that_is_killed_in_a_solve_leaves_what_it_had(tmp_path):
    process = running(tmp_path)
    process.kill()
    process.wait()
    process.stderr.close()
    (file,) = kept()
    record = load_record(file)
    said = record.explain()
    assert said.verdict is Verdict.ENDED
    assert "the last step that was completed is: scaling" in said.headline
    assert [rung.name for rung in record.solution.start_report][:2] == ["structure", "simulation"]
    assert record.attempt.nlp.columns == len(record.attempt.start) > 70000
    assert record.solution.at_end("reactor.c_B") > 0.1  # the simulated start


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT from outside")
def test_ctrl_c_in_a_solve_keeps_the_iterate(tmp_path):
    process = running(tmp_path)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert "stopped by the user after" in said
    (file,) = kept()
    assert load_record(file).explain().verdict is Verdict.STOPPED
