"""Element ends: those required are there, the others share a density equally, bad grids are refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

from titer.numerics.collocation import Points
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import Grid, merge_ends, mesh, step_density


def test_required_ends_are_there_and_the_count_is_honoured():
    required = [0.1, 1.0 / 3.0, 0.9]
    for elements in (4, 5, 20, 33):
        ends = mesh(required, elements)
        assert len(ends) == elements + 1
        assert np.all(np.diff(ends) > 0.0)
        assert ends[[0, -1]].tolist() == [0.0, 1.0]
        for end in required:
            assert end in ends
    assert mesh(required, 2).tolist() == [0.0, *required, 1.0]  # required ends need more than asked for


def test_without_a_density_elements_are_even():
    assert mesh([], 5) == pytest.approx(np.linspace(0.0, 1.0, 6), abs=1e-15)
    widths = np.diff(mesh([0.5], 7))
    assert widths.max() / widths.min() < 1.5


def test_elements_share_a_density_equally():
    tau = np.linspace(0.0, 1.0, 2001)
    density = 1.0 + 50.0 * np.exp(-((tau - 0.3) ** 2) / 0.002)
    ends = mesh([], 24, (tau, density))
    cumulative = np.concatenate([[0.0], np.cumsum(np.diff(tau) * 0.5 * (density[1:] + density[:-1]))])
    shares = np.diff(np.interp(ends, tau, cumulative / cumulative[-1]))
    assert shares == pytest.approx(np.full(24, 1.0 / 24.0), rel=1e-9)
    fixed_end = mesh([0.7], 24, (tau, density))
    shares = np.diff(np.interp(fixed_end, tau, cumulative / cumulative[-1]))
    assert len(fixed_end) == 25
    assert 0.7 in fixed_end
    assert shares.max() < 1.5 / 24.0


@pytest.mark.parametrize(
    "density", [np.array([0.0, 0.0, 0.0, 0.0, 5.0]), np.zeros(5), np.array([1e9, 0.0, 0.0, 0.0, 1e-9])]
)
def test_ends_increase_where_the_density_vanishes(density):
    ends = mesh([0.2, 0.4], 12, (np.linspace(0.0, 1.0, 5), density))
    assert len(ends) == 13
    assert np.all(np.diff(ends) > 0.0)
    assert {0.2, 0.4} <= set(ends)


def test_merged_ends_are_sorted_distinct_and_keep_zero_and_one():
    assert merge_ends([]).tolist() == [0.0, 1.0]
    assert merge_ends([0.7, 0.2, 0.2]).tolist() == [0.0, 0.2, 0.7, 1.0]
    assert merge_ends([1e-12, 0.5, 0.5 + 1e-12, 1.0 - 1e-12]).tolist() == [0.0, 0.5, 1.0]
    assert merge_ends([-0.5, 1.5, 0.4]).tolist() == [0.0, 0.4, 1.0]


def test_the_density_asks_for_short_steps_at_a_front():
    tau = np.linspace(0.0, 1.0, 400)
    values = np.array([np.tanh((tau - 0.6) / 0.02), np.ones_like(tau)])
    (positions, density), elements = step_density(tau, values, 3)
    assert 8 <= elements <= 60
    assert abs(positions[density.argmax()] - 0.6) < 0.05
    assert density.max() > 10.0 * density[0]
    widths = np.diff(mesh([], 20, (positions, density)))
    assert widths.max() > 4.0 * widths.min()
    assert widths.max() <= 5.5 / 20.0 * 1.5  # the floor of the density bounds the widest element


def test_more_curvature_asks_for_more_elements_and_a_higher_degree_for_fewer():
    tau = np.linspace(0.0, 1.0, 400)
    counts = [step_density(tau, np.sin(k * tau)[None, :], 3)[1] for k in (6.0, 12.0, 18.0)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]
    assert step_density(tau, np.sin(18.0 * tau)[None, :], 5)[1] < counts[-1]


@pytest.mark.parametrize(
    ("tau", "values"),
    [
        (np.linspace(0, 1, 50), np.full((2, 50), 3.0)),
        (np.linspace(0, 1, 50), np.zeros((0, 50))),
        (np.array([0.0, 0.5, 0.5, 1.0]), np.ones((1, 4))),
    ],
    ids=["constant", "nothing", "too few points"],
)
def test_where_nothing_moves_the_density_is_even(tau, values):
    (positions, density), elements = step_density(tau, values, 3)
    assert elements == 8
    assert mesh([], 4, (positions, density)) == pytest.approx(np.linspace(0.0, 1.0, 5))


def test_jumps_of_inputs_do_not_break_the_density():
    tau = np.array([0.0, 0.1, 0.3, 0.5, 0.5, 0.6, 0.8, 1.0])  # a time stands twice where an input jumps
    (positions, density), _ = step_density(tau, np.exp(-tau)[None, :], 3)
    assert np.all(np.diff(positions) > 0.0)
    assert np.isfinite(density).all()


def test_a_grid_counts_by_phase():
    grid = Grid({"feed": 12, "harvest": 4})
    assert (grid.asked("feed"), grid.asked("harvest"), grid.asked("hold")) == (12, 4, None)
    assert Grid(7).asked("any") == 7
    assert Grid().asked("any") is None
    assert Grid(np.int64(7)).asked("any") == 7


@pytest.mark.parametrize("ends", [[0, 0.25, 1], (0.0, 1.0), np.array([0.0, 0.1, 0.9, 1.0])])
def test_a_grid_may_give_the_ends_of_elements_by_phase(ends):
    grid = Grid({"feed": ends, "harvest": 4})
    assert grid.asked("feed").tolist() == list(ends)
    assert grid.asked("harvest") == 4


@pytest.mark.parametrize(
    "ends",
    [[3], [], [0.0], [0.1, 1.0], [0.0, 0.9], [0.0, 0.6, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0], [0.0, float("nan"), 1.0]],
)
def test_ends_that_do_not_rise_from_zero_to_one_are_refused(ends):
    text = f"Grid: the ends of elements are rising fractions from 0 to 1, got {ends!r}."
    with pytest.raises(SpecificationError, match=re.escape(text)):
        Grid({"feed": ends})


@pytest.mark.parametrize("elements", [0, -3, 2.5, True, "20", float("nan"), {"feed": 0}, {"feed": 1.5}])
def test_a_bad_number_of_elements_is_refused(elements):
    with pytest.raises(SpecificationError, match="Grid: elements must be a whole number of at least 1, got"):
        Grid(elements)


@pytest.mark.parametrize("degree", [0, 10, 2.5, True, "3", None, float("inf")])
def test_a_bad_degree_is_refused(degree):
    text = f"Grid: degree must be a whole number from 1 to 9, got {degree!r}."
    with pytest.raises(SpecificationError, match=re.escape(text)):
        Grid(20, degree=degree)


@pytest.mark.parametrize("points", ["radau", None, 3])
def test_bad_points_are_refused(points):
    with pytest.raises(SpecificationError, match=r"points must be Points\.RADAU or Points\.LEGENDRE"):
        Grid(20, points=points)
    assert Grid(20, points=Points.LEGENDRE).points is Points.LEGENDRE
