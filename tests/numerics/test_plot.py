"""A picture has one panel per unit of measure, names its lines and phases, and can be read without colour."""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from titer.numerics import Solution, Status
from titer.numerics.errors import SpecificationError
from titer.numerics.integration.trajectory import Trajectory
from titer.numerics.solution import PhaseResult

UNITS = {"r.X": "g/L", "r.S": "g/L", "r.mu": "1/h", "r.F": "L/h", "r.V": "L", "t.V": "L", "r.pH": "1"}


def phase(name, start, end):
    time = np.linspace(start, end, 5)
    x, z, u, y = (np.random.default_rng(1).uniform(1.0, 2.0, (n, 5)) for n in (3, 1, 1, 2))
    outputs = ("r.pH", "r.q")
    return PhaseResult(
        name, Trajectory(time, x, z, u, y), ("r.X", "r.S", "r.V"), ("r.mu",), ("r.F",), outputs, {"t.V": 0.0}
    )


@pytest.fixture
def solution():
    phases = (phase("growth", 0.0, 10.0), phase("production", 10.0, 11.0))
    return Solution("simulation", "h", UNITS, phases, {}, Status.SOLVED)


def panels(figure):
    return [ax for ax in figure.axes if ax.lines]


def lines(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_there_is_a_panel_for_each_unit_of_measure(solution):
    figure = solution.plot()
    assert isinstance(figure, Figure)
    assert [ax.get_ylabel() for ax in panels(figure)] == ["[g/L]", "[L]", "[1/h]", "[L/h]"]
    assert [lines(ax) for ax in panels(figure)] == [["r.X", "r.S"], ["r.V", "t.V"], ["r.mu"], ["r.F"]]
    assert panels(figure)[-1].get_xlabel() == "time [h]"
    assert plt.get_fignums() == []  # a figure of its own: no window waits for it


def test_lines_are_told_apart_without_colour(solution):
    styles = [line.get_linestyle() for line in panels(solution.plot())[0].lines[:2]]
    assert styles == ["-", "--"]


def test_phases_are_marked_and_named(solution, tmp_path):
    figure = solution.plot()
    assert [line.get_xdata()[0] for line in panels(figure)[0].lines[2:]] == [10.0]
    (top,) = panels(figure)[0].child_axes
    assert [label.get_text() for label in top.get_xticklabels()] == ["growth", "production"]
    figure.savefig(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_one_phase_needs_no_name(solution):
    figure = dataclasses.replace(solution, phases=solution.phases[:1]).plot()
    assert not panels(figure)[0].child_axes


@pytest.mark.parametrize("names", ["r.q", ["r.q"]])
def test_names_may_be_chosen(solution, names):
    (ax,) = panels(solution.plot(names))
    assert lines(ax) == ["r.q"]
    assert ax.get_ylabel() == "[-]"


def test_of_a_large_array_the_first_elements_are_drawn(solution):
    names = tuple(f"c.q[{i}]" for i in range(40))
    t = solution.phases[0].trajectory
    wide = PhaseResult("a", dataclasses.replace(t, x=np.ones((40, 5))), names, ("r.mu",), ("r.F",), ("r.pH", "r.q"), {})
    figure = dataclasses.replace(solution, phases=(wide,)).plot()
    assert lines(panels(figure)[0]) == list(names[:8])


def test_what_cannot_be_drawn_is_named(solution):
    with pytest.raises(SpecificationError, match=r"plot: name 'r\.XX' is unknown. Did you mean 'r\.X'\?"):
        solution.plot(["r.XX"])
    with pytest.raises(SpecificationError, match="plot: there is nothing to draw"):
        solution.plot([])
    empty = dataclasses.replace(solution, phases=(), message="growth: the integration failed")
    with pytest.raises(SpecificationError, match=r"nothing to draw\. growth: the integration failed"):
        empty.plot()
