"""Collocation differentiates and integrates polynomials exactly, and converges with the order theory gives."""

from __future__ import annotations

import casadi as ca
import numpy as np
import pytest

from titer.numerics.collocation import Points, collocation
from titer.numerics.nlp import join
from titer.numerics.program import Program, Scaling
from titer.numerics.segment import Integrand
from titer.numerics.transcribe import transcribe

FAMILIES = pytest.mark.parametrize("points", list(Points), ids=lambda p: p.value)


@FAMILIES
@pytest.mark.parametrize("degree", range(1, 10))
def test_differentiation_is_exact_for_polynomials_of_the_degree(degree, points, rng):
    scheme = collocation(degree, points)
    polynomial = np.polynomial.Polynomial(rng.normal(size=degree + 1))
    values = polynomial(np.concatenate([[0.0], scheme.nodes]))
    assert values @ scheme.derivative == pytest.approx(polynomial.deriv()(scheme.nodes), abs=1e-9)
    assert values @ scheme.end == pytest.approx(polynomial(1.0), abs=1e-9)


@pytest.mark.parametrize(("points", "highest"), [(Points.RADAU, -2), (Points.LEGENDRE, -1)])
@pytest.mark.parametrize("degree", range(1, 10))
def test_quadrature_is_exact_to_its_degree_and_no_further(degree, points, highest):
    scheme = collocation(degree, points)
    exact_to = 2 * degree + highest
    for power in range(exact_to + 1):
        assert scheme.weights @ scheme.nodes**power == pytest.approx(1.0 / (power + 1), abs=1e-10)
    error = scheme.weights @ scheme.nodes ** (exact_to + 1) - 1.0 / (exact_to + 2)
    assert abs(error) > 1e-12


@FAMILIES
def test_nodes_lie_on_the_element_and_only_radau_ends_on_its_end(points):
    for degree in range(1, 10):
        scheme = collocation(degree, points)
        assert scheme.degree == degree
        assert np.all(np.diff(scheme.nodes) > 0.0)
        assert scheme.nodes[0] > 0.0
        assert (scheme.nodes[-1] == pytest.approx(1.0, abs=1e-14)) == (points is Points.RADAU)
        assert scheme.weights.sum() == pytest.approx(1.0, abs=1e-12)


PROBLEMS = {  # rates, algebraic equations, start, exact states(t), exact algebraics(t)
    "linear": (
        lambda t, x, z, u, p: [x[1], -x[0] + 0.0 * t],
        None,
        [1.0, 0.0],
        lambda t: np.array([np.cos(t), -np.sin(t)]),
        None,
    ),
    "nonlinear, time explicit": (
        lambda t, x, z, u, p: [-2.0 * t * x[0] ** 2],
        None,
        [1.0],
        lambda t: np.array([1.0 / (1.0 + t**2)]),
        None,
    ),
    "index-1 DAE": (
        lambda t, x, z, u, p: [z[0] * ca.cos(t)],
        lambda t, x, z, u, p: [ca.log(z[0]) + x[0]],
        [np.log(2.0)],
        lambda t: np.log(2.0 + np.sin([t])),
        lambda t: 1.0 / (2.0 + np.sin(t)),
    ),
}


@pytest.mark.parametrize(
    ("degree", "points", "order"),
    [(2, Points.RADAU, 3), (3, Points.RADAU, 5), (2, Points.LEGENDRE, 4), (3, Points.LEGENDRE, 6)],
)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_order_of_convergence_at_element_ends(problem, degree, points, order, tools):
    rate, zero, start, states, algebraics = PROBLEMS[problem]
    dae = tools.make_dae(rate, zero, nz=1 if zero else 0)
    counts, span = (8, 16, 32), 4.0 if zero else 2.0
    errors, end_errors = [], []
    for n in counts:
        made = transcribe(tools.Segment("run", dae, ()), np.linspace(0.0, 1.0, n + 1), degree, points)
        block = made.block
        nlp = join([block], tools.fixed(block, start, duration=[span], parameters=[]))
        w = tools.newton(nlp, np.full(nlp.columns, 0.5))
        every = degree if points is Points.RADAU else degree + 1
        x = nlp.values(block.port("x"), w)[:, ::every]
        t = span * made.tau[::every]
        assert t == pytest.approx(span * made.ends)
        errors.append(np.abs(x - states(t)).max())
        if algebraics:
            z = nlp.values(block.port("z"), w)[0, ::every]  # nan where the block does not know it
            end_errors.append(np.nanmax(np.abs(z - algebraics(t))))
    slopes = [-np.polyfit(np.log(counts), np.log(e), 1)[0] for e in (errors, end_errors) if e]
    for slope in slopes:
        assert slope == pytest.approx(order, abs=0.2)


@FAMILIES
def test_a_polynomial_solution_is_found_exactly_on_one_element(points, tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [3.0 * t**2 - p[0]], npar=1)
    made = transcribe(tools.Segment("run", dae, ()), np.array([0.0, 1.0]), 3, points)
    block = made.block
    links = tools.fixed(block, [1.0], duration=[2.0], parameters=[4.0])
    nlp = join([block], links)
    w = tools.newton(nlp, np.zeros(nlp.columns))
    assert nlp.values(block.port("end"), w)[0] == pytest.approx(1.0 + 8.0 - 8.0, abs=1e-12)


@FAMILIES
def test_the_clock_shifts_time_and_an_integral_has_the_order_of_its_quadrature(points, tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [2.0 * t])
    integrand = Integrand(tools.point_function(dae, lambda t, x, z, u, p: t * x[0]), 0.5)
    segment = tools.Segment("run", dae, (), integrands=(integrand,))
    block = transcribe(segment, np.array([0.0, 0.3, 1.0]), 3, points).block
    nlp = join([block], tools.fixed(block, [1.0], clock=[1.0], duration=[2.0], parameters=[]))
    w = tools.newton(nlp, np.zeros(nlp.columns))
    assert nlp.values(block.port("end"), w)[0] == pytest.approx(9.0, abs=1e-12)  # x = t^2, from t = 1 to 3
    program = Program(nlp)
    value = program.values(w, program.parameters(Scaling(np.ones(nlp.columns), np.ones(nlp.rows))))[0]
    assert float(value) == pytest.approx(0.5 * (81.0 - 1.0) / 4.0, abs=1e-12)
