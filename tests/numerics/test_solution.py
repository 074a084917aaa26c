"""A solution is read by name and phase, and comes back from a file as it was."""

import dataclasses
import json
import pickle

import numpy as np
import pandas as pd
import pytest

from titer.numerics import Certificate, Solution, Status
from titer.numerics.errors import SpecificationError
from titer.numerics.integration.trajectory import Trajectory
from titer.numerics.segment import Profile
from titer.numerics.solution import PhaseResult, Rung


class Array(str):
    """A name that stands for several, as the names of array variables do."""

    @property
    def elements(self):
        return tuple(f"{self}[{i}]" for i in (0, 1))


def phase(name, time, states, inputs=(), outputs=(), held=None, **options):
    rows = len(states)
    x = np.arange(rows * len(time), dtype=float).reshape(rows, len(time)) / 3.0
    u = np.linspace(1.0, 2.0, len(time))[None, :].repeat(len(inputs), axis=0)
    y = -np.ones((len(outputs), len(time))) / 7.0
    trajectory = Trajectory(np.asarray(time, dtype=float), x, np.zeros((0, len(time))), u, y, **options)
    shapes = {key: (Profile.lines(np.array([0.0, 1.0 / 3.0, 1.0])), np.array([1.0, 4.0 / 3.0, 2.0])) for key in inputs}
    return PhaseResult(name, trajectory, tuple(states), (), tuple(inputs), tuple(outputs), held or {}, shapes)


@pytest.fixture
def solution():
    first = phase("fill", [0.0, 1.0, 1.0, 2.0], ["r.c[0]", "r.c[1]"], ["r.u"], held={"t.V": np.float64(1.0) / 3.0})
    second = phase("drain", [2.0, 3.5], ["r.c[0]", "r.c[1]", "t.V"], outputs=["t.q"], reached=False)
    certificate = Certificate(
        {"r.c[0]": 1e-7, "t.V": np.float64(3e-6)},
        {"wall": 0.0},
        1e-9,
        2e-10,
        3e-11,
        (1e-4, 0.0),
        np.True_,
        0.01,
        "fine",
        objective=1.25,
    )
    return Solution(
        kind="optimum",
        time="h",
        units={"r.c[0]": "g/L", "r.c[1]": "g/L", "t.V": "L", "r.u": "L/h"},
        phases=(first, second),
        values={"r.k": np.float64(0.1), "r.c[0]": 1.0 / 3.0},
        status=Status.ACCEPTABLE,
        objective=np.float64(2.0) / 3.0,
        decided={"r.k": 0.1},
        stats={"iterations": np.int64(17), "elements": {"fill": 20}, "seconds": np.float64(0.25), "path": [1, 2]},
        start_report=(Rung("simulation", 0.125, "12 points"), Rung("NLP", 0.5, "solved")),
        certificate=certificate,
        message="a text",
        source="what replays it",
        iterate="the last point",
    )


# --- reading ------------------------------------------------------------------------------------------------------


def test_a_name_gives_a_series_over_the_recipes_time(solution):
    series = solution["t.V"]
    assert isinstance(series, pd.Series)
    assert series.name == "t.V"
    assert series.index.name == "time [h]"
    assert list(series.index) == [0.0, 1.0, 1.0, 2.0, 2.0, 3.5]
    assert series.to_numpy() == pytest.approx([1 / 3] * 4 + [4 / 3, 5 / 3])


def test_what_a_phase_does_not_know_is_nan(solution):
    assert solution["t.q"].isna().tolist() == [True] * 4 + [False] * 2
    assert np.isnan(solution.at_end("t.q", "fill"))


def test_the_name_of_an_array_gives_its_elements(solution):
    frame = solution[Array("r.c")]
    assert list(frame.columns) == ["r.c[0]", "r.c[1]"]
    assert frame["r.c[1]"].iloc[0] == pytest.approx(4 / 3)
    assert solution.at_end(Array("r.c")) == pytest.approx([1 / 3, 1.0])


def test_a_frame_holds_everything_of_all_phases_or_of_one(solution):
    assert list(solution.frame().columns) == list(solution.names) == ["r.c[0]", "r.c[1]", "r.u", "t.V", "t.q"]
    assert list(solution.frame("drain").columns) == ["r.c[0]", "r.c[1]", "t.V", "t.q"]
    assert len(solution.frame()) == 6
    assert list(solution.frame("drain").index) == [2.0, 3.5]


def test_ends_and_durations_are_those_of_the_phases(solution):
    assert solution.duration == {"fill": 2.0, "drain": 1.5}
    assert solution.at_end("r.c[0]") == pytest.approx(1 / 3)
    assert solution.at_end("r.c[0]", "fill") == 1.0


def test_it_prints_in_a_line(solution):
    assert repr(solution) == "<optimum: acceptable, objective 0.66666667; fill 2, drain 1.5 h>"


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (lambda s: s["r.cc[0]"], "solution: name 'r.cc[0]' is unknown. Did you mean 'r.c[0]'?"),
        (lambda s: s[Array("r.x")], "solution: name 'r.x[0]' is unknown."),
        (lambda s: s.at_end("t.VV"), "at_end: name 't.VV' is unknown. Did you mean 't.V'?"),
        (lambda s: s.at_end("t.V", "drian"), "at_end: phase 'drian' is unknown. Did you mean 'drain'?"),
        (lambda s: s.frame("feel"), "frame: phase 'feel' is unknown. Did you mean 'fill'?"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(solution, read, text):
    with pytest.raises(SpecificationError) as raised:
        read(solution)
    assert text in str(raised.value)
    assert "\n  known: " in str(raised.value)


def test_a_run_that_stopped_at_once_says_so(solution):
    empty = dataclasses.replace(solution, phases=(), message="fill: the integration failed")
    assert empty.names == ()
    for read in (empty.frame, lambda: empty.at_end("t.V")):
        with pytest.raises(
            SpecificationError, match=r"the run stopped before its first step\.\n  fill: the integration"
        ):
            read()


def test_a_certificate_reads_as_a_table(solution):
    text = str(solution.certificate)
    assert text.splitlines()[0] == "certificate: holds: fine"
    assert "replay deviation  3.00e-06 (t.V)" in text
    assert solution.certificate.largest_deviation == 3e-6


# --- keeping ------------------------------------------------------------------------------------------------------


def test_a_saved_solution_comes_back_exactly(solution, tmp_path):
    path = solution.save(tmp_path / "new" / "plan.v1")
    assert path == tmp_path / "new" / "plan.v1.npz"
    back = Solution.load(path)
    for key in (
        "kind",
        "time",
        "units",
        "values",
        "status",
        "objective",
        "decided",
        "stats",
        "start_report",
        "message",
    ):
        assert getattr(back, key) == getattr(solution, key), key
    assert dataclasses.asdict(back.certificate) == dataclasses.asdict(solution.certificate)
    assert back.source is None
    assert back.iterate is None
    assert len(back.phases) == 2
    for mine, theirs in zip(solution.phases, back.phases, strict=True):
        for key in ("name", "states", "algebraics", "inputs", "outputs", "held"):
            assert getattr(mine, key) == getattr(theirs, key), key
        for key in ("time", "x", "z", "u", "y"):
            assert np.array_equal(getattr(mine.trajectory, key), getattr(theirs.trajectory, key)), key
        assert mine.trajectory.reached is theirs.trajectory.reached
        assert list(mine.shapes) == list(theirs.shapes)
        for name, (profile, values) in mine.shapes.items():
            other, numbers = theirs.shapes[name]
            assert np.array_equal(values, numbers)
            for key in ("edges", "left", "right"):
                assert np.array_equal(getattr(profile, key), getattr(other, key)), key
    pd.testing.assert_frame_equal(back.frame(), solution.frame())
    assert Solution.load(back.save(tmp_path / "again")).stats == solution.stats


def test_every_field_is_saved_or_said_not_to_be(solution, tmp_path):
    """A field that is added must be saved as well, or be named here and in the docstring."""
    with np.load(solution.save(tmp_path / "plan")) as stored:
        facts = json.loads(str(stored["facts"]))
    assert {f.name for f in dataclasses.fields(Solution)} - set(facts) == {"source", "iterate"}
    assert {f.name for f in dataclasses.fields(Certificate)} == set(facts["certificate"])


def test_numbers_that_are_not_finite_come_back(solution, tmp_path):
    odd = dataclasses.replace(solution, objective=float("nan"), values={"r.k": float("inf")}, certificate=None)
    back = Solution.load(odd.save(tmp_path / "odd"))
    assert np.isnan(back.objective)
    assert back.values == {"r.k": float("inf")}
    assert back.certificate is None
    assert repr(back) == "<optimum: acceptable; fill 2, drain 1.5 h>"


def test_the_ending_may_be_left_out_when_loading(solution, tmp_path):
    solution.save(tmp_path / "plan")
    assert Solution.load(tmp_path / "plan").kind == "optimum"
    assert Solution.load(str(tmp_path / "plan.npz")).kind == "optimum"


def write_nothing(path, good):
    path.write_bytes(b"")


def write_text(path, good):
    path.write_text("time,c\n0,1\n")


def write_half(path, good):
    path.write_bytes(good.read_bytes()[:400])


def write_pickle(path, good):
    path.write_bytes(pickle.dumps({"facts": 1}))


def write_objects(path, good):
    with path.open("wb") as file:
        np.savez(file, facts=np.array([{"format": 1}], dtype=object))


def write_array(path, good):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def write_other(path, good):
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(3))


def write_little(path, good):
    with path.open("wb") as file:
        np.savez(file, facts=np.array('{"format": 1}'))


@pytest.mark.parametrize(
    "write",
    [write_nothing, write_text, write_half, write_pickle, write_objects, write_array, write_other, write_little],
)
def test_another_file_is_refused(solution, tmp_path, write):
    good, bad = solution.save(tmp_path / "good"), tmp_path / "bad.npz"
    write(bad, good)
    with pytest.raises(SpecificationError, match=r"bad\.npz is no saved solution: "):
        Solution.load(bad)


def test_another_format_and_a_missing_file_are_named(tmp_path):
    with (tmp_path / "new.npz").open("wb") as file:
        np.savez(file, facts=np.array('{"format": 99}'))
    with pytest.raises(SpecificationError, match=r"new\.npz has format 99, this version reads 1"):
        Solution.load(tmp_path / "new.npz")
    with pytest.raises(SpecificationError, match=r"there is no file .*missing\.npz"):
        Solution.load(tmp_path / "missing")
