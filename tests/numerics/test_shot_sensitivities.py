"""Derivatives along integrated steps are exact: forward, backward, and against complex numbers and analytic answers."""

from __future__ import annotations

import casadi as ca
import numpy as np
import pytest
from scipy.linalg import expm

from titer.numerics.dae import sizes_of
from titer.numerics.integration.differentiated import Quadrature, differentiated
from titer.numerics.marching import march_of
from titer.numerics.nlp import Same, join
from titer.numerics.segment import Integrand, PathRow
from titer.numerics.shooting import Shooting, shoot
from titer.numerics.transcribe import transcribe

STIFF = np.array([[-1.0, 0.5, 0.0], [0.2, -40.0, 30.0], [0.0, 5.0, -2000.0]])


def diffusion(tools, count=9):
    """Diffusion with a reaction on a line: x' = D x'' - k x^2, fed at one end, many states for their stiffness."""

    def rate(t, x, z, u, p):
        h = 1.0 / count
        rows = []
        for i in range(count):
            left = u[0] if i == 0 else x[i - 1]
            right = x[i] if i == count - 1 else x[i + 1]
            rows.append(p[0] * (left - 2.0 * x[i] + right) / h**2 - p[1] * x[i] ** 2)
        return rows

    return tools.make_dae(rate, nu=1, npar=2)


def program(tools, dae, tolerance=1e-5, pieces=3, paths=(), integrands=()):
    """Two shot phases on end, with all pieces, both durations and the parameters decided."""
    edges = np.linspace(0.0, 1.0, pieces + 1)
    blocks, links = [], []
    for name in "ab":
        segment = tools.Segment(
            name, dae, (tools.Profile.lines(edges),), paths=tuple(paths), integrands=tuple(integrands)
        )
        blocks.append(shoot(segment, np.linspace(0.0, 1.0, 2 * pieces + 1), Shooting(tolerance=tolerance)).block)
    first, second = blocks
    nx = len(dae.states)
    links += tools.fixed(first, [0.0] * nx)
    links += tools.fixed(second)
    links += [
        Same(second.slot("start"), first.port("end")[:nx]),
        Same(second.slot("parameters"), first.slot("parameters")),
    ]
    links.append(tools.decide(first.slot("parameters"), "p", 0.0, 10.0))
    for block in blocks:
        links += [tools.decide(block.slot("duration"), "duration", 0.01, 5.0)]
        links += [tools.decide(block.slot("input:u0"), "u", 0.0, 5.0)]
    links.append(tools.objective(second.port("end")[:nx], minimize=lambda v: v[nx - 1] ** 2 + v[3]))
    links.append(tools.equality(first.port("end")[:nx], rows=lambda v: [v[0] * v[1]]))
    return join(blocks, links)


def decisions(march, rng):
    names = np.concatenate([group.texts for group in march.nlp.labels])[march.free]
    guess = {"p": 0.8, "duration": 0.4, "u": 1.5}
    return np.array([guess[name] for name in names]) * rng.uniform(0.8, 1.2, len(names))


@pytest.fixture
def marched(tools):
    dae = diffusion(tools)
    path = PathRow(tools.point_function(dae, lambda t, x, z, u, p: u[0] * x[0]), -np.inf, 9.0, "limit")
    cost = Integrand(tools.point_function(dae, lambda t, x, z, u, p: x[4] * (1.0 + t * u[0])), 0.3)
    march = march_of(program(tools, dae, paths=(path,), integrands=(cost,)))
    assert march is not None
    free = decisions(march, np.random.default_rng(3))
    return march, free


def test_only_decisions_are_left_free(marched):
    march, free = marched
    assert len(free) == 2 + 2 * (1 + 4)  # parameters, and in each phase the duration and four ends of lines
    assert march.nlp.columns == len(free) + 2 * 6 * 9  # and nine states at six ends of each phase follow


def test_forward_and_adjoint_derivatives_are_the_same_numbers(marched):
    march, free = marched
    point = march.run(free, march.nlp.data)
    forward, adjoint = march.forward(point, march.nlp.data), march.adjoint(point, march.nlp.data)
    assert forward.objective == pytest.approx(adjoint.objective, rel=1e-8, abs=1e-12)
    assert np.abs(forward.rows - adjoint.rows).max() <= 1e-8 * np.abs(forward.rows).max()
    assert len(forward.rows) == 1 + 2 * 6  # the tie, and the path at every end


def test_derivatives_are_those_of_a_run_with_tight_tolerance(tools, marched):
    """Central differences of runs at 1e-12, with steps of 1e-4: their error is some 1e-8."""
    march, free = marched
    dae = diffusion(tools)
    cost = Integrand(tools.point_function(dae, lambda t, x, z, u, p: x[4] * (1.0 + t * u[0])), 0.3)
    tight = march_of(program(tools, dae, 1e-12, integrands=(cost,)))
    slopes = march.adjoint(march.run(free, march.nlp.data), march.nlp.data)
    for k in (0, 1, 2, 5, 11):
        step = np.zeros(len(free))
        step[k] = 1e-4
        up, down = (tight.run(free + s * step, tight.nlp.data).objective for s in (1.0, -1.0))
        assert slopes.objective[k] == pytest.approx((up - down) / 2e-4, rel=1e-5, abs=1e-7)


def test_all_columns_follow_the_free_ones(marched):
    march, free = marched
    data = march.nlp.data
    point = march.run(free, data)
    follow = march.follow(point, data)
    assert np.array_equal(follow[march.free], np.eye(len(free)))
    moved = march.run(free * (1.0 + 1e-5), data).w
    assert moved - point.w == pytest.approx(follow @ (1e-5 * free), rel=1e-3, abs=1e-7)


def test_derivatives_of_a_linear_model_are_those_of_its_exponential(tools):
    """x(T) = exp(A T) x0: derivatives in start and duration, at a loose tolerance and a tight one."""
    dae = tools.make_dae(lambda t, x, z, u, p: [sum(STIFF[i, j] * x[j] for j in range(3)) for i in range(3)])
    start, span = np.array([1.0, 0.5, 2.0]), 0.7
    for tolerance, error in ((1e-4, 1e-4), (1e-10, 1e-9)):
        run = differentiated(dae, sizes_of(dae.states), (), (1.0,), tolerance)
        x, p = ca.MX.sym("x", 3), ca.MX.sym("p", 2)
        end = run(x0=x, z0=[], p=p)["xf"]
        found = ca.Function("f", [x, p], [end, ca.jacobian(end, x), ca.jacobian(end, p)])(start, [0.0, span])
        value, in_start, in_data = (np.array(f) for f in found)
        exact = expm(STIFF * span)
        assert value.ravel() == pytest.approx(exact @ start, abs=error)
        assert np.abs(in_start - exact).max() <= error
        assert in_data[:, 1] == pytest.approx(STIFF @ exact @ start, abs=10.0 * error)


def test_derivatives_are_those_in_the_complex_plane(tools):
    """Logistic growth x' = r x (1 - x): its closed form at a complex rate gives the derivative without cancellation."""
    dae = tools.make_dae(lambda t, x, z, u, p: [p[0] * x[0] * (1.0 - x[0])], npar=1)
    run = differentiated(dae, sizes_of(dae.states), (), (1.0,), 1e-7)
    p = ca.MX.sym("p", 3)
    end = run(x0=0.1, z0=[], p=p)["xf"]
    slope = float(ca.Function("f", [p], [ca.jacobian(end, p)])([0.0, 2.0, 1.3])[0, 2])
    rate = 1.3 + 1e-30j
    exact = (1.0 / (1.0 + (1.0 / 0.1 - 1.0) * np.exp(-2.0 * rate))).imag / 1e-30
    assert slope == pytest.approx(exact, rel=1e-5)


def test_errors_go_with_the_tolerance(tools):
    """Three turns of an oscillator: a thousandth of the tolerance leaves at most a hundredth of the error."""
    dae = tools.make_dae(lambda t, x, z, u, p: [x[1], -x[0]])
    errors = []
    for tolerance in (1e-4, 1e-7, 1e-10):
        run = differentiated(dae, np.ones(2), (), (1.0,), tolerance)
        end = np.array(run(x0=[1.0, 0.0], z0=[], p=[0.0, 6.0 * np.pi])["xf"]).ravel()
        errors.append(np.abs(end - [1.0, 0.0]).max())
    assert errors[0] < 1e-2
    assert errors[1] < 1e-2 * errors[0]
    assert errors[2] < 1e-2 * errors[1]


def test_integrals_come_with_the_states(tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [-x[0]])
    square = tools.point_function(dae, lambda t, x, z, u, p: x[0] ** 2)
    run = differentiated(dae, np.ones(1), (Quadrature(square, 4.0),), (0.5, 1.0), 1e-9)
    result = run(x0=[1.0], z0=[], p=[0.0, 2.0])
    assert np.array(result["xf"]).ravel() == pytest.approx(np.exp([-1.0, -2.0]), rel=1e-7)
    assert float(result["qf"][-1]) == pytest.approx(2.0 * (1.0 - np.exp(-4.0)), rel=1e-7)


def test_a_program_with_a_collocated_phase_is_not_marched(tools):
    dae = diffusion(tools, 3)
    segment = tools.Segment("a", dae, (tools.Profile.steps(np.array([0.0, 1.0])),))
    for block, marches in (
        (shoot(segment, np.array([0.0, 1.0]), Shooting()).block, True),
        (transcribe(segment, np.array([0.0, 1.0])).block, False),
    ):
        links = [*tools.fixed(block, [0.0] * 3, parameters=[1.0, 1.0], duration=[1.0])]
        links.append(tools.decide(block.slot("input:u0"), "u", 0.0, 1.0))
        assert (march_of(join([block], links)) is not None) is marches


def test_what_cannot_be_integrated_is_not_a_number(tools):
    """x' = x^2 from 1 ends at t = 1."""
    dae = tools.make_dae(lambda t, x, z, u, p: [x[0] ** 2])
    block = shoot(tools.Segment("a", dae, ()), np.array([0.0, 1.0]), Shooting(tolerance=1e-6)).block
    links = [*tools.fixed(block, [1.0], parameters=[]), tools.decide(block.slot("duration"), "duration", 0.1, 3.0)]
    march = march_of(join([block], links))
    assert march.run(np.array([0.5]), march.nlp.data).w[0] == pytest.approx(2.0, rel=1e-5)
    assert not np.isfinite(march.run(np.array([1.5]), march.nlp.data).w).all()
