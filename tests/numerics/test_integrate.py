"""Integration reproduces analytic solutions, jumps, events and failures; IDAS and CVODES agree."""

from __future__ import annotations

import contextlib
import signal

import casadi as ca
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from titer.numerics.dae import Variable
from titer.numerics.integration import integrate as module
from titer.numerics.integration.consistency import consistent_algebraics
from titer.numerics.integration.integrate import integrate
from titer.numerics.integration.trajectory import IntegrationError, Piece
from titer.numerics.integration.watch import Event

NONE = np.zeros(0)
BOTH = pytest.mark.parametrize("independent", [False, True], ids=["CVODES", "IDAS"])


def free(duration):
    """A piece without inputs."""
    return Piece(duration, NONE, NONE)


@BOTH
def test_a_linear_equation_is_integrated_to_tolerance(independent, tools):
    dae = tools.make_dae(
        lambda t, x, z, u, p: [-p[0] * x[0], x[0]], output=lambda t, x, z, u, p: [x[0] + x[1], t], npar=1
    )
    for tolerance in (1e-6, 1e-8, 1e-10):
        run = integrate(dae, np.array([2.0, 0.0]), np.array([0.7]), 5.0, [free(3.0)], None, 30, independent, tolerance)
        exact = 2.0 * np.exp(-0.7 * (run.time - 5.0))
        assert run.x[0] == pytest.approx(exact, abs=50.0 * tolerance)
        assert run.y[0] == pytest.approx(run.x.sum(axis=0))
        assert run.y[1] == pytest.approx(run.time)
    assert (run.time[0], run.time[-1], len(run.time)) == (5.0, 8.0, 31)
    assert (run.duration, run.reached) == (3.0, True)
    assert run.tau[[0, -1]].tolist() == [0.0, 1.0]


@BOTH
def test_piecewise_constant_inputs_are_exact_at_their_jumps(independent, tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [u[0], -x[1] + u[0]], nu=1)
    values, lengths = [1.0, -2.0, 5.0], [0.5, 1.5, 0.25]
    pieces = [Piece(h, np.array([v]), np.array([v])) for h, v in zip(lengths, values, strict=True)]
    run = integrate(dae, np.array([0.0, 0.0]), NONE, 0.0, pieces, None, 30, independent, 1e-10)
    jumps = np.flatnonzero(np.diff(run.time) == 0.0)
    assert run.time[jumps].tolist() == [0.5, 2.0]
    assert run.u[0, jumps].tolist() == values[:-1]
    assert run.u[0, jumps + 1].tolist() == values[1:]
    assert run.x[:, jumps].tolist() == run.x[:, jumps + 1].tolist()
    assert run.x[0, jumps] == pytest.approx([0.5, -2.5], abs=1e-9)
    assert run.x[0, -1] == pytest.approx(-1.25, abs=1e-9)
    lag = 0.0
    for h, v in zip(lengths, values, strict=True):
        lag = v + (lag - v) * np.exp(-h)
    assert run.x[1, -1] == pytest.approx(lag, abs=1e-9)


@BOTH
def test_piecewise_linear_inputs_are_followed(independent, tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [u[0]], nu=1)
    pieces = [
        Piece(2.0, np.array([1.0]), np.array([3.0])),
        Piece(1.0, np.array([3.0]), np.array([0.0])),
        Piece(1.0, np.array([-1.0]), np.array([1.0])),
    ]
    run = integrate(dae, np.array([0.0]), NONE, 0.0, pieces, None, 30, independent, 1e-10)
    corners = np.isin(run.time, [2.0, 3.0, 4.0])
    assert run.x[0, corners] == pytest.approx([4.0, 4.0, 5.5, 5.5, 5.5], abs=1e-9)
    assert run.x[0, run.time == 1.0] == pytest.approx([1.5], abs=1e-9)


def test_an_algebraic_variable_starts_consistently_and_jumps_with_the_input(tools):
    dae = tools.make_dae(
        lambda t, x, z, u, p: [-z[0]],
        lambda t, x, z, u, p: [z[0] ** 3 + z[0] - (u[0] * x[0]) ** 3 - u[0] * x[0]],
        nz=1,
        nu=1,
    )
    pieces = [Piece(0.5, np.array([v]), np.array([v])) for v in (1.0, 2.0)]  # z = u x
    run = integrate(dae, np.array([1.0]), NONE, 0.0, pieces, None, 20, False, 1e-10)
    assert run.z[0] == pytest.approx(run.u[0] * run.x[0], abs=1e-8)
    jump = int(np.flatnonzero(np.diff(run.time) == 0.0)[0])
    assert run.z[0, jump + 1] == pytest.approx(2.0 * run.z[0, jump], rel=1e-8)
    assert run.x[0, -1] == pytest.approx(np.exp(-1.5), abs=1e-8)


@pytest.mark.parametrize("size", [1e-7, 1e-3, 1.0, 1e6])
@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e7])
def test_consistency_and_accuracy_do_not_depend_on_how_equations_are_scaled(size, factor, tools):
    dae = tools.make_dae(
        lambda t, x, z, u, p: [-z[0] / size],
        lambda t, x, z, u, p: [factor * (z[0] - size * x[0] + 0.1 * (z[0] ** 3 / size**2 - size * x[0] ** 3))],
        nz=1,
    )
    run = integrate(dae, np.array([1.0]), NONE, 0.0, [free(2.0)], None, 10, False, 1e-9)
    assert run.z[0] / size == pytest.approx(np.exp(-run.time), abs=1e-7)


def test_consistent_algebraics_are_found_from_a_poor_guess(tools):
    dae = tools.make_dae(
        lambda t, x, z, u, p: [-x[0]],
        lambda t, x, z, u, p: [ca.atan(z[0]) - x[0], z[1] * z[0] - 1e4],
        nz=2,
    )
    z = consistent_algebraics(dae, 0.0, np.array([1.2]), np.array([-8.0, 1.0]), NONE, NONE)
    assert z == pytest.approx([np.tan(1.2), 1e4 / np.tan(1.2)], rel=1e-12)


def test_consistent_algebraics_are_looked_for_inside_their_domain_first(tools):
    """0.2 - z = 2 x z/(0.001 + z) has two solutions, on either side of the pole; the nearer one is outside."""
    inside = 2.0 * 0.0002 / (1.801 + np.sqrt(1.801**2 + 4.0 * 0.0002))
    for lower, exact in ((0.0, inside), (-np.inf, -0.0002 / inside)):
        dae = tools.make_dae(
            lambda t, x, z, u, p: [-x[0]],
            lambda t, x, z, u, p: [0.2 - z[0] - 2.0 * x[0] * z[0] / (0.001 + z[0])],
            nz=1,
            variables={"z0": Variable("z0", lower=lower, start=0.2)},
        )
        z = consistent_algebraics(dae, 0.0, np.array([1.0]), np.array([0.2]), NONE, NONE)
        assert z == pytest.approx([exact], rel=1e-9)


def test_consistent_algebraics_may_leave_a_domain_in_which_there_are_none(tools):
    variables = {"z0": Variable("z0", lower=0.0, start=1.0)}
    dae = tools.make_dae(lambda t, x, z, u, p: [-x[0]], lambda t, x, z, u, p: [z[0] + x[0]], nz=1, variables=variables)
    z = consistent_algebraics(dae, 0.0, np.array([0.5]), np.array([1.0]), NONE, NONE)
    assert z == pytest.approx([-0.5], rel=1e-12)


def test_algebraic_equations_that_determine_nothing_or_have_no_solution_are_named(tools):
    singular = tools.make_dae(
        lambda t, x, z, u, p: [-x[0]], lambda t, x, z, u, p: [z[0] + z[1] - 1, z[0] + z[1] - x[0]], nz=2
    )
    with pytest.raises(IntegrationError, match="do not determine the algebraic variables"):
        integrate(singular, np.array([1.0]), NONE, 0.0, [free(1.0)])
    variables = {"z0": Variable("z0", start=0.7)}
    impossible = tools.make_dae(
        lambda t, x, z, u, p: [-x[0]], lambda t, x, z, u, p: [z[0] ** 2 + x[0]], nz=1, variables=variables
    )
    with pytest.raises(IntegrationError, match="no consistent solution near the guess") as failure:
        integrate(impossible, np.array([1.0]), NONE, 3.0, [free(1.0)])
    assert failure.value.solution is None
    assert failure.value.time == 3.0


def level(dae, tools, value, direction, index=0):
    """The event that a state reaches a value."""
    function = tools.point_function(dae, lambda t, x, z, u, p: x[index] - value)
    return Event(function, direction, f"x{index} = {value}")


@BOTH
@pytest.mark.parametrize(("direction", "value", "when"), [(-1, 0.3, np.log(1 / 0.3)), (0, 0.3, np.log(1 / 0.3))])
def test_an_event_is_found_to_nine_digits(independent, direction, value, when, tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [-x[0], x[0]])
    event = level(dae, tools, value, direction)
    run = integrate(dae, np.array([1.0, 0.0]), NONE, 2.0, [free(5.0)], event, 40, independent, 1e-12)
    assert run.reached
    assert run.time[-1] == pytest.approx(2.0 + when, abs=1e-9)
    assert run.x[0, -1] == pytest.approx(value, abs=1e-12)  # it ends on the event whatever the tolerance
    rough = integrate(dae, np.array([1.0, 0.0]), NONE, 2.0, [free(5.0)], event, 40, independent, 1e-5)
    assert rough.x[0, -1] == pytest.approx(value, abs=1e-12)
    assert np.all(np.diff(run.time) > 0.0)


def test_an_event_heeds_its_direction(tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [x[1], -x[0]])  # x0 = sin t
    start = np.array([0.0, 1.0])
    up = integrate(dae, start, NONE, 0.0, [free(9.0)], level(dae, tools, 0.5, 1), 200, False, 1e-11)
    assert up.time[-1] == pytest.approx(np.arcsin(0.5), abs=1e-9)
    down = integrate(dae, start, NONE, 0.0, [free(9.0)], level(dae, tools, -0.5, -1), 200, False, 1e-11)
    assert down.time[-1] == pytest.approx(np.pi + np.arcsin(0.5), abs=1e-9)
    either = integrate(dae, start, NONE, 0.0, [free(9.0)], level(dae, tools, -0.5, 0), 200, False, 1e-11)
    assert either.time[-1] == pytest.approx(down.time[-1], abs=1e-12)


def test_an_event_of_either_direction_that_starts_on_zero_waits_for_the_return(tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [x[1], -x[0]])
    event = level(dae, tools, 0.0, 0)
    run = integrate(dae, np.array([0.0, 1.0]), NONE, 0.0, [free(2.0), free(4.0)], event, 60, False, 1e-11)
    assert run.reached
    assert run.time[-1] == pytest.approx(np.pi, abs=1e-8)


def test_an_event_in_a_later_piece_an_event_by_a_jump_and_one_not_reached(tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [u[0]], nu=1)
    pieces = [Piece(1.0, np.array([v]), np.array([v])) for v in (1.0, 2.0)]
    later = integrate(dae, np.array([0.0]), NONE, 0.0, pieces, level(dae, tools, 2.0, 1))
    assert later.time[-1] == pytest.approx(1.5, abs=1e-9)
    jump = tools.point_function(dae, lambda t, x, z, u, p: u[0] - 1.5)
    for direction in (1, 0):
        by_jump = integrate(dae, np.array([0.0]), NONE, 0.0, pieces, Event(jump, direction, "u0 = 1.5"))
        assert by_jump.reached
        assert by_jump.time[-1] == pytest.approx(1.0)
    never = integrate(dae, np.array([0.0]), NONE, 0.0, pieces, level(dae, tools, 4.0, 1))
    assert not never.reached
    assert never.time[-1] == 2.0


@pytest.mark.parametrize(("direction", "value"), [(-1, 1.0), (-1, 1.5), (1, 1.0), (1, 0.5)])
def test_an_event_that_holds_at_the_start_is_an_error(direction, value, tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [-x[0]])
    event = level(dae, tools, value, direction)
    with pytest.raises(IntegrationError, match=r"x0 = .* holds already at the start of its phase \(t = 4"):
        integrate(dae, np.array([1.0]), NONE, 4.0, [free(1.0)], event)


@BOTH
def test_a_finite_escape_time_is_reported_with_what_was_reached(independent, tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [x[0] ** 2 + 0.0 * u[0]], nu=1)
    pieces = [Piece(h, np.array([1.0]), np.array([2.0])) for h in (0.4, 1.6)]
    with pytest.raises(IntegrationError, match=r"model: the integration failed between t = .* h: ") as failure:
        integrate(dae, np.array([1.0]), NONE, 0.0, pieces, None, 100, independent)
    run = failure.value.solution
    assert failure.value.time == run.time[-1]
    assert 0.9 < run.time[-1] < 1.0
    assert run.x[0] == pytest.approx(1.0 / (1.0 - run.time), rel=1e-3)
    assert not run.reached
    steps = np.diff(run.time)
    assert (steps == 0.0).sum() == 1  # where the pieces meet


def test_an_event_before_a_failure_ends_the_phase(tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [x[0] ** 2])
    run = integrate(dae, np.array([1.0]), NONE, 0.0, [free(2.0)], level(dae, tools, 5.0, 1), 100, False, 1e-10)
    assert run.reached
    assert run.time[-1] == pytest.approx(0.8, abs=1e-7)


def test_a_rate_that_is_not_finite_is_named(tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [-ca.sqrt(x[0] - 0.5) - 1.0])
    with pytest.raises(IntegrationError, match=r"sqrt\(x0 - 0.5\) is the square root of a negative number") as failure:
        integrate(dae, np.array([1.0]), NONE, 0.0, [free(1.0)])
    assert failure.value.time > 0.1


@BOTH
def test_stiff_kinetics_agree_with_scipy(independent, tools):
    def robertson(x, sqrt=None):
        slow, fast, both = 0.04 * x[0], 3e7 * x[1] ** 2, 1e4 * x[1] * x[2]
        return [both - slow, slow - both - fast, fast]

    variables = {
        f"x{i}": Variable(f"x{i}", start=s, nominal=n) for i, (s, n) in enumerate([(1.0, 1.0), (0.0, 3e-5), (0.0, 1.0)])
    }
    dae = tools.make_dae(lambda t, x, z, u, p: robertson(x), variables=variables)
    start = np.array([1.0, 0.0, 0.0])
    run = integrate(dae, start, NONE, 0.0, [free(40.0)], None, 40, independent, 1e-9)
    other = solve_ivp(lambda t, x: robertson(x), (0, 40), start, "Radau", run.time, rtol=1e-10, atol=1e-14)
    assert run.x[0] == pytest.approx(other.y[0], rel=1e-6)
    assert run.x[1] == pytest.approx(other.y[1], rel=1e-5, abs=1e-10)
    assert run.x[2] == pytest.approx(other.y[2], rel=1e-5, abs=1e-9)
    assert run.x.sum(axis=0) == pytest.approx(np.ones_like(run.time), abs=1e-8)


def test_idas_and_cvodes_agree_on_the_reactor_and_with_scipy(tools):
    dae = tools.ray()
    pieces = [Piece(0.25, np.array([a]), np.array([b])) for a, b in [(360, 340), (340, 340), (330, 320), (300, 390)]]
    runs = [
        integrate(dae, np.array([1.0, 0.0]), NONE, 0.0, pieces, None, 40, independent, 1e-10)
        for independent in (False, True)
    ]
    assert runs[0].x == pytest.approx(runs[1].x, abs=2e-9)
    x = np.array([1.0, 0.0])
    for k, piece in enumerate(pieces):

        def rate(t, x, piece=piece, k=k):
            u = piece.left + (piece.right - piece.left) * (t - 0.25 * k) / 0.25
            return np.array(dae.function(t, x, NONE, u, NONE)[0]).ravel()

        x = solve_ivp(rate, (0.25 * k, 0.25 * (k + 1)), x, "Radau", rtol=1e-10, atol=1e-12).y[:, -1]
    assert runs[0].x[:, -1] == pytest.approx(x, abs=2e-9)


def test_a_phase_without_duration_is_its_one_instant(tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [-z[0]], lambda t, x, z, u, p: [z[0] - u[0] * x[0]], nz=1, nu=1)
    run = integrate(dae, np.array([2.0]), NONE, 7.0, [Piece(0.0, np.array([3.0]), np.array([3.0]))])
    assert (run.time.tolist(), run.x.tolist(), run.z.tolist()) == ([7.0], [[2.0]], [[6.0]])
    assert (run.duration, run.tau.tolist()) == (0.0, [0.0])


@BOTH
@pytest.mark.parametrize("width", [0.05, 0.02])
def test_a_narrow_input_given_by_time_is_not_stepped_over(independent, width, tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [ca.exp(-(((t - 2.0) / width) ** 2))])
    run = integrate(dae, np.array([0.0]), NONE, 0.0, [free(5.0)], None, 200, independent)
    assert run.x[0, -1] == pytest.approx(width * np.sqrt(np.pi), abs=1e-7)


@BOTH
@pytest.mark.parametrize("algebraic", [False, True], ids=["ODE", "DAE"])
def test_a_tracer_without_a_nominal_is_integrated_to_its_own_size(independent, algebraic, tools):
    """y' = 1e-6, w' = 20 y cos(20 t): w = 1e-6 (t sin(20 t) + (cos(20 t) - 1)/20)."""

    def swing(t, x):
        return 20.0 * x[0] * ca.cos(20.0 * x[2])

    if algebraic:
        dae = tools.make_dae(lambda t, x, z, u, p: [1e-6, z[0], 1.0], lambda t, x, z, u, p: [z[0] - swing(t, x)], nz=1)
    else:
        dae = tools.make_dae(lambda t, x, z, u, p: [1e-6, swing(t, x), 1.0])
    run = integrate(dae, np.zeros(3), NONE, 0.0, [free(3.0), free(2.0)], None, 100, independent)
    t = run.time
    exact = 1e-6 * (t * np.sin(20.0 * t) + (np.cos(20.0 * t) - 1.0) / 20.0)
    assert run.x[0] == pytest.approx(1e-6 * t, rel=1e-6)
    assert run.x[1] == pytest.approx(exact, abs=1e-5 * np.abs(exact).max())


def test_ctrl_c_in_a_repeated_run_is_not_lost(tools, monkeypatch):
    dae = tools.make_dae(lambda t, x, z, u, p: [-x[0]])
    once, calls = module._through, []

    def stopped(*arguments):
        calls.append(1)
        if len(calls) == 1:
            return once(*arguments)
        with contextlib.suppress(KeyboardInterrupt):  # the integrator takes it for a failure of the model
            signal.raise_signal(signal.SIGINT)
        raise IntegrationError("stopped", 0.0, None)

    monkeypatch.setattr(module, "_through", stopped)
    with pytest.raises(KeyboardInterrupt):
        integrate(dae, np.array([1e-9]), NONE, 0.0, [free(1.0)])
    assert len(calls) == 2


def test_a_declared_nominal_is_the_size_whatever_is_reached(tools):
    calls = []
    for nominal in (np.nan, 1.0):
        dae = tools.make_dae(
            lambda t, x, z, u, p: [1e-6 * x[1], -x[1]], variables={"x0": Variable("x0", nominal=nominal)}
        )
        calls.append(integrate(dae, np.array([0.0, 1.0]), NONE, 0.0, [free(1.0)], tolerance=1e-6).x[0, -1])
    exact = 1e-6 * (1.0 - np.exp(-1.0))
    assert calls == pytest.approx([exact, exact], abs=1e-6)
    assert calls[0] == pytest.approx(exact, rel=1e-5)
