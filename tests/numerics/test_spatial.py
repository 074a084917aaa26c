"""Spatial methods: quadrature, derivatives, balances and fluxes of lines and spheres, exact where they should be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from titer.numerics.spatial import DiscontinuousGalerkin, FiniteVolumes, SpectralElements, sphere
from titer.numerics.spatial.polynomials import differentiation, gauss_lobatto, radau_of_sphere

METHODS = [SpectralElements(5, 4), DiscontinuousGalerkin(5, 3), FiniteVolumes(40), FiniteVolumes(40, order=5)]


class Numbers:
    """Sparse matrices on plain arrays."""

    @staticmethod
    def times(matrix, vector):
        made = matrix @ np.atleast_1d(vector)
        return made if len(made) > 1 else made[0]

    @staticmethod
    def blend(matrices, weights):
        return sum(w * m for m, w in zip(matrices, weights, strict=True))


@pytest.mark.parametrize("degree", range(1, 9))
def test_lobatto_weights_integrate_and_slopes_differentiate(degree):
    x, w = gauss_lobatto(degree)
    slope = differentiation(x)
    for k in range(2 * degree):
        assert w @ x**k == pytest.approx(1.0 / (k + 1), rel=1e-13)
    for k in range(1, degree + 1):
        np.testing.assert_allclose(slope @ x**k, k * x ** (k - 1), atol=1e-11)


@pytest.mark.parametrize("count", range(1, 7))
def test_radau_weights_average_over_a_sphere(count):
    s, w = radau_of_sphere(count)
    assert s[-1] == 1.0
    for k in range(2 * count - 1):
        assert w @ s**k == pytest.approx(3.0 / (2 * k + 3), rel=1e-12)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_what_enters_less_what_leaves_is_what_stays(method, rng):
    line = method.line()
    c = rng.uniform(0.0, 1.0, len(line.nodes))
    rates, leaving = line.flow(2.0, 0.05, Numbers)(c, 0.7)
    assert line.weights @ rates == pytest.approx(2.0 * (0.7 - leaving), rel=1e-11)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_uniform_column_fed_alike_stays(method):
    line = method.line()
    rates, leaving = line.flow(2.0, 0.05, Numbers)(np.full(len(line.nodes), 0.7), 0.7)
    np.testing.assert_allclose(rates, 0.0, atol=1e-10)
    assert leaving == pytest.approx(0.7)


@pytest.mark.parametrize("method", METHODS[:2], ids=repr)
def test_a_steady_reactor_is_danckwerts(method):
    """First-order consumption, a c_z - d c_zz = -k c: the outlet of the closed vessel (Danckwerts 1953)."""
    line, a, d, k = method.line(), 1.0, 0.1, 2.0
    matrix = (a * line.convection + d * line.dispersion).toarray() - k * np.eye(len(line.nodes))
    c = np.linalg.solve(matrix, -a * line.inlet.toarray()[:, 0])
    b, Pe = np.sqrt(1.0 + 4.0 * k * d), a / d
    exact = 4.0 * b * np.exp(Pe / 2) / ((1 + b) ** 2 * np.exp(b * Pe / 2) - (1 - b) ** 2 * np.exp(-b * Pe / 2))
    assert (line.outlet @ c)[0] == pytest.approx(exact, rel=1e-5)


def test_a_bead_fills_as_the_series_says():
    """The mean of a sphere whose surface is suddenly at 1: 1 - 6/pi^2 sum exp(-n^2 pi^2 t)/n^2 (Crank 1975, 6.20)."""
    bead, t = sphere(8), 0.05
    inner = slice(0, -1)
    rates = -bead.stiffness / bead.weights[:, None]
    made = solve_ivp(
        lambda _, c: rates[inner, inner] @ c + rates[inner, -1], (0.0, t), np.zeros(7), rtol=1e-11, atol=1e-13
    )
    mean = bead.weights @ np.append(made.y[:, -1], 1.0)
    n = np.arange(1, 60)
    assert mean == pytest.approx(1.0 - 6.0 / np.pi**2 * np.sum(np.exp(-((n * np.pi) ** 2) * t) / n**2), rel=2e-4)


@pytest.mark.parametrize("order", [3, 5])
def test_a_jump_is_carried_without_overshoot(order):
    line = FiniteVolumes(60, order).line()
    flow = line.flow(1.0, 1e-6, Numbers)
    made = solve_ivp(lambda _, c: flow(c, 1.0)[0], (0.0, 0.5), np.zeros(60), rtol=1e-8, atol=1e-10)
    c = made.y[:, -1]
    assert c.max() < 1.0 + 1e-5
    assert c.min() > -1e-5
    assert line.weights @ c == pytest.approx(0.5, rel=1e-6)
