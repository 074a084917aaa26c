"""An integration that stops says where and why: the first line names the variable or the equation to blame."""

from __future__ import annotations

import casadi as ca
import numpy as np
import pytest

from titer.numerics.dae import Variable
from titer.numerics.integration.integrate import integrate
from titer.numerics.integration.trajectory import IntegrationError, Piece

NONE = np.zeros(0)
BOTH = pytest.mark.parametrize("independent", [False, True], ids=["CVODES", "IDAS"])


def stopped(dae, x, duration=2.0, inputs=None, p=(), independent=False, clock=0.0):
    """The error of an integration that fails; inputs: (duration, value) of constant pieces."""
    pieces = [Piece(h, np.array([u]), np.array([u])) for h, u in inputs] if inputs else [Piece(duration, NONE, NONE)]
    with pytest.raises(IntegrationError) as failure:
        integrate(dae, np.array(x, dtype=float), np.array(p, dtype=float), clock, pieces, None, 100, independent)
    return failure.value


def first(error):
    return str(error).partition("\n")[0]


def bracket(error):
    """The two times between which it failed, in the first line."""
    words = first(error).split("between t = ")[1].split(" h: ")[0]
    return [float(word) for word in words.split(" and ")]


@BOTH
def test_the_logarithm_of_a_state_that_crosses_zero_is_named_and_timed(independent, tools):
    variables = {"x0": Variable("r.S", "mol/L", lower=0.0), "x1": Variable("r.X")}
    dae = tools.make_dae(lambda t, x, z, u, p: [-1.0, ca.log(x[0])], variables=variables)
    error = stopped(dae, [0.7, 0.0], independent=independent, clock=3.0)
    assert "log(r.S) is the logarithm of a negative number: r.S = -" in first(error)
    assert first(error).endswith("; it enters the rate of r.X")
    left, right = bracket(error)
    assert left - 1e-5 <= 3.7 <= right + 1e-5
    assert right - left < 1e-4


@BOTH
def test_growth_without_bound_is_named_and_timed(independent, tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [x[0] ** 2, -x[1]], variables={"x0": Variable("r.T", "K")})
    error = stopped(dae, [1.0, 1.0], independent=independent)  # infinite at t = 1
    assert "r.T grows without bound: " in first(error)
    assert ", doubling every " in first(error)
    assert bracket(error) == pytest.approx([1.0, 1.0], abs=1e-4)
    assert "  fastest: r.T, " in str(error)
    assert "an unstable mode grows with a time constant of " in str(error)
    assert error.solution.time[-1] == error.time


def test_an_explosion_far_faster_than_its_output_points_is_placed(tools):
    variables = {"x0": Variable("r.T", "K", start=320.0, upper=400.0)}
    dae = tools.make_dae(lambda t, x, z, u, p: [1e13 * ca.exp(-1e4 / x[0]) * x[0] ** 2], variables=variables)
    error = stopped(dae, [320.0], duration=5e4)
    assert bracket(error)[1] < 0.01
    assert "r.T" in first(error)
    assert str(error).count("r.T is above its upper bound 400 since t = 0.000") == 1


def test_a_division_by_an_empty_tank_is_named_at_once(tools):
    variables = {"x0": Variable("tank.n", "mol"), "x1": Variable("tank.V", "L"), "u0": Variable("tank.F", "L/h")}
    dae = tools.make_dae(lambda t, x, z, u, p: [u[0] - x[0] / x[1], u[0]], nu=1, variables=variables)
    error = stopped(dae, [0.0, 0.0], inputs=[(1.0, 1.0)])
    assert first(error) == (
        "model: the integration failed at t = 0 h: tank.n / tank.V is a division by zero: tank.V = 0; "
        "it enters the rate of tank.n"
    )
    assert error.solution is None


def test_a_divisor_that_runs_empty_on_the_way_is_named(tools):
    variables = {"x0": Variable("tank.V", "L", start=1.0), "x1": Variable("tank.c", "g/L", start=1.0)}
    dae = tools.make_dae(lambda t, x, z, u, p: [-1.0, 0.2 * x[1] / x[0]], variables=variables)
    error = stopped(dae, [1.0, 1.0])
    assert "tank.c / tank.V" in first(error)
    assert "a division by" in first(error)
    assert bracket(error) == pytest.approx([1.0, 1.0], abs=0.01)


def test_the_square_root_of_a_negative_number_after_a_jump_names_the_input(tools):
    dae = tools.make_dae(
        lambda t, x, z, u, p: [ca.sqrt(u[0]) - x[0]], nu=1, variables={"u0": Variable("valve.dp", "bar")}
    )
    error = stopped(dae, [1.0], inputs=[(1.0, 1.0), (1.0, -2.0)])
    assert first(error) == (
        "model: the integration failed at t = 1 h: sqrt(valve.dp) is the square root of a negative number: "
        "valve.dp = -2; it enters the rate of x0"
    )
    assert "  last jump of an input, at t = 1 h: valve.dp from 1 to -2 bar" in str(error)
    assert error.time == 1.0


def test_a_parameter_that_is_no_number_is_named(tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [-p[0] * x[0]], npar=1, variables={"p0": Variable("r.k")})
    error = stopped(dae, [1.0], p=[np.nan])
    assert first(error).endswith("at t = 0 h: r.k itself is nan; it enters the rate of x0")
    assert "  Give r.k a finite value." in str(error)


def test_a_derivative_that_is_not_finite_is_named_where_values_are(tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [1.0 - z[0]], lambda t, x, z, u, p: [z[0] - ca.sqrt(x[0])], nz=1)
    error = stopped(dae, [0.0])
    assert first(error).endswith(
        "at t = 0 h: 1 / (2 * sqrt(x0)) is a division by zero: x0 = 0; it enters the derivative of equation 0 in x0"
    )


def test_an_algebraic_equation_that_loses_its_solution_is_named_and_timed(tools):
    variables = {"z0": Variable("r.z", start=0.7)}
    dae = tools.make_dae(
        lambda t, x, z, u, p: [1.0],  # x**2 + z**2 = 1 has no solution beyond x = 1
        lambda t, x, z, u, p: [z[1] - 2.0 * x[0], x[0] ** 2 + z[0] ** 2 - 1.0 + z[1] - 2.0 * x[0]],
        nz=2,
        variables=variables,
    )
    error = stopped(dae, [0.0])
    assert "no consistent solution near the guess: equation 1 misses by " in first(error)
    assert "r.z = " in first(error)
    assert bracket(error) == pytest.approx([1.0, 1.0], abs=1e-3)


def test_what_singular_equations_leave_open_is_named(tools):
    dae = tools.make_dae(
        lambda t, x, z, u, p: [-x[0]], lambda t, x, z, u, p: [z[0] + z[2] - 1, z[1] - 1, z[0] + z[2] - x[0]], nz=3
    )
    error = stopped(dae, [1.0])
    assert "do not determine the algebraic variables there (is the index 1?): " in first(error)
    assert first(error).endswith("equation 0 and equation 2 leave z0 and z2 open")


def test_the_logarithm_in_an_equation_is_named_at_the_guess(tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [-x[0]], lambda t, x, z, u, p: [ca.log(z[0]) - x[0]], nz=1)
    assert "at t = 0 h: log(z0) is the logarithm of zero: z0 = 0; it enters equation 0" in first(stopped(dae, [1.0]))


def test_a_switch_that_holds_a_state_in_its_place_is_named(tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [ca.if_else(x[0] > 0.5, -1.0, 1.0)])
    error = stopped(dae, [1.0])
    assert "0.5 < x0 is a condition that switches there: x0 = 0.5; it enters the rate of x0" in first(error)


def test_the_search_for_the_reason_is_silent(tools, capfd):
    dae = tools.make_dae(
        lambda t, x, z, u, p: [1.0],
        lambda t, x, z, u, p: [x[0] ** 2 + z[0] ** 2 - 1.0],
        nz=1,
        variables={"z0": Variable("z0", start=0.7)},
    )
    stopped(dae, [0.0])
    assert capfd.readouterr().err.count("\n") < 5  # those of the run itself
