"""Profiles give an input's values in time; a model knows its sizes and whether it reads the clock."""

from __future__ import annotations

import casadi as ca
import numpy as np
import pytest

from titer.numerics.dae import Dae, Variable, sizes_of, starts
from titer.numerics.segment import Integrand, PathRow, Profile

EDGES = np.array([0.0, 0.25, 1.0])


def test_steps_hold_lines_connect_and_broken_lines_jump():
    tau = np.array([0.0, 0.125, 0.25, 0.625, 1.0])
    steps, lines, broken = Profile.steps(EDGES), Profile.lines(EDGES), Profile.broken(EDGES)
    assert (steps.count, lines.count, broken.count) == (2, 3, 4)
    assert (steps.constant, lines.constant, broken.constant) == (True, False, False)
    assert steps.at([1.0, 5.0], tau).tolist() == [1.0, 1.0, 5.0, 5.0, 5.0]
    assert lines.at([1.0, 5.0, 3.0], tau).tolist() == [1.0, 3.0, 5.0, 4.0, 3.0]
    assert broken.at([1.0, 3.0, 7.0, 5.0], tau).tolist() == [1.0, 2.0, 7.0, 6.0, 5.0]
    assert broken.at([1.0, 3.0, 7.0, 5.0], EDGES[1:2], np.array([0])).tolist() == [3.0]


def test_a_segment_changes_where_any_of_its_inputs_does(tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [u[0] + u[1]], nu=2)
    segment = tools.Segment("s", dae, (Profile.steps(EDGES), Profile.lines(np.array([0.0, 0.5, 1.0]))))
    assert segment.ends.tolist() == [0.0, 0.25, 0.5, 1.0]


def test_a_segment_knows_whether_time_enters(tools):
    still = tools.make_dae(lambda t, x, z, u, p: [-x[0]], output=lambda t, x, z, u, p: [t])
    assert not tools.Segment("s", still, ()).knows_time  # an output is no equation
    timed = tools.point_function(still, lambda t, x, z, u, p: t * x[0])
    assert tools.Segment("s", still, (), (PathRow(timed, 0.0, 1.0, "path"),)).knows_time
    assert tools.Segment("s", still, (), integrands=(Integrand(timed, 1.0),)).knows_time
    driven = tools.make_dae(lambda t, x, z, u, p: [ca.sin(t)])
    assert tools.Segment("s", driven, ()).knows_time


def test_a_model_whose_function_does_not_fit_its_variables_is_refused():
    arguments = [ca.SX.sym(name, n) for name, n in zip("txzup", (1, 2, 0, 0, 0), strict=True)]
    function = ca.Function("f", arguments, [arguments[1], ca.SX(0, 1), ca.SX(0, 1)])
    with pytest.raises(ValueError, match=r"Dae m: the function takes sizes \(1, 2, 0, 0, 0\), expected"):
        Dae("m", "h", function, (Variable("x"),))


def test_a_point_is_cut_into_its_parts(tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [z[0], u[0]], lambda t, x, z, u, p: [z[0] - x[0]], nz=1, nu=1, npar=2)
    assert dae.point_size == 7
    assert dae.split(list(range(7))) == [[0], [1, 2], [3], [4], [5, 6]]


def test_starts_and_sizes_come_from_what_is_declared_and_seen():
    variables = (
        Variable("declared", start=-4.0),
        Variable("bounded", lower=2.0, upper=9.0),
        Variable("nominal", start=3.0, nominal=100.0),
        Variable("free"),
        Variable("seen", start=1.0),
    )
    assert starts(variables).tolist() == [-4.0, 2.0, 3.0, 0.0, 1.0]
    assert sizes_of(variables).tolist() == [4.0, 2.0, 100.0, 1.0, 1.0]
    seen = np.array([[0.0, 1.0], [0.0, 0.5], [7.0, 8.0], [0.0, 0.0], [np.nan, -20.0]])
    assert sizes_of(variables, seen).tolist() == [4.0, 0.5, 100.0, 1.0, 20.0]


def test_a_seen_value_that_is_rounding_says_nothing_of_a_size():
    variables = (Variable("free"), Variable("bounded", upper=7.0), Variable("small"))
    assert sizes_of(variables, np.array([[1e-191], [-1e-40], [1e-20]])).tolist() == [1.0, 7.0, 1e-20]
