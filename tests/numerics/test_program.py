"""The assembled functions of a problem equal CasADi's own derivatives of the same expressions."""

from __future__ import annotations

from dataclasses import replace

import casadi as ca
import numpy as np
import pytest

from titer.numerics.collocation import Points
from titer.numerics.nlp import Batch, Labels, Nlp, join
from titer.numerics.program import Program, Scaling
from titer.numerics.segment import Integrand, PathRow
from titer.numerics.transcribe import transcribe

COLUMNS, DATA = 7, 3


def batch(symbol, index, rows, weight=0.0, name="b"):
    """Copies of a nonlinear function of as many arguments as `index` has rows."""
    index = np.array(index)
    v = symbol.sym("v", index.shape[0])
    n = index.shape[0]
    g = [ca.sin(v[i % n]) * v[(i + 1) % n] + ca.exp(0.3 * v[(i + 2) % n]) for i in range(rows)]
    f = v[0] ** 2 * v[n - 1] + ca.cos(v[1 % n]) * v[n - 1]
    function = ca.Function(name, [v], [ca.vertcat(symbol(0, 1), *g), f])
    labels = Labels.of([f"{name}{i}" for i in range(rows * index.shape[1])])
    return Batch(function, index, np.full(rows, -1.0), np.full(rows, 2.0), labels, weight)


def problem(rows_order: bool) -> Nlp:
    batches = (
        batch(ca.SX, [[0, 1, 2], [1, 2, 3], [7, 8, 9]], 2, 0.7),  # neighbours share columns; data behind them
        batch(ca.SX, [[4, 4], [4, 5], [6, 0]], 3, -1.3),  # copy 0 reads column 4 twice
        batch(ca.SX, [[6, 7], [9, 2]], 1),  # an argument is a decision in one copy, a number in the other
        batch(ca.SX, [[5], [3], [8]], 0, 2.0),  # objective alone
        batch(ca.MX, [[1, 3], [1, 5], [8, 8]], 2, 0.4),  # matrix expressions, a column twice
        batch(ca.SX, [[7], [8]], 1),  # numbers alone
    )
    rows = sum(b.rows * b.copies for b in batches)
    order = np.random.default_rng(3).permutation(rows) if rows_order else None
    return Nlp(
        lower=np.full(COLUMNS, -5.0),
        upper=np.full(COLUMNS, 5.0),
        domain=np.zeros(COLUMNS, dtype=bool),
        labels=(Labels.of([f"w{i}" for i in range(COLUMNS)]),),
        data=np.array([0.3, -1.1, 2.0]),
        batches=batches,
        cells={},
        rows_order=order,
    )


def written_out(nlp: Nlp, scaling: Scaling) -> tuple[ca.MX, ca.MX, ca.MX, ca.MX]:
    """(x, data, f, g) of the scaled problem, copy by copy."""
    x, data = ca.MX.sym("x", nlp.columns), ca.MX.sym("data", len(nlp.data))
    cells = ca.vertcat(x * scaling.columns, data)
    f, g = ca.MX(0.0), []
    for part in nlp.batches:
        for k in range(part.copies):
            rows, cost = part.function(cells[part.index[:, k].tolist()])
            g.append(rows)
            f += part.weight * cost
    rows = ca.vertcat(*g)
    if nlp.rows_order is not None:
        rows = rows[nlp.rows_order.tolist()]
    return x, data, scaling.objective * f, scaling.rows * rows


@pytest.fixture(params=[False, True], ids=["batch order", "permuted rows"])
def nlp(request):
    return problem(request.param)


@pytest.fixture(params=[False, True], ids=["unscaled", "scaled"])
def scaling(request, nlp, rng):
    if not request.param:
        return Scaling(np.ones(nlp.columns), np.ones(nlp.rows))
    return Scaling(rng.uniform(0.2, 5.0, nlp.columns), rng.uniform(0.1, 9.0, nlp.rows), 0.37)


def dense(value) -> np.ndarray:
    return np.array(ca.densify(value))


def test_values_and_derivatives_equal_those_of_the_written_out_problem(nlp, scaling, rng):
    program = Program(nlp)
    x, data, f, g = written_out(nlp, scaling)
    sigma, multipliers = ca.MX.sym("sigma"), ca.MX.sym("multipliers", nlp.rows)
    lagrangian = sigma * f + ca.dot(multipliers, g)
    expected = ca.Function(
        "expected",
        [x, data, sigma, multipliers],
        [f, g, ca.gradient(f, x), ca.jacobian(g, x), ca.triu(ca.hessian(lagrangian, x)[0])],
    )
    for _ in range(5):
        at, numbers = rng.normal(size=nlp.columns), rng.normal(size=len(nlp.data))
        weight, lam = rng.normal(), rng.normal(size=nlp.rows)
        p = program.parameters(scaling, numbers)
        value, rows, gradient, jacobian, hessian = (dense(v) for v in expected(at, numbers, weight, lam))
        assert dense(program.values(at, p)[0]) == pytest.approx(value, rel=1e-12)
        assert dense(program.values(at, p)[1]) == pytest.approx(rows, rel=1e-12)
        assert dense(program.gradient(at, p)[0]) == pytest.approx(value, rel=1e-12)
        assert dense(program.gradient(at, p)[1]) == pytest.approx(gradient, rel=1e-11, abs=1e-12)
        assert dense(program.jacobian(at, p)[0]) == pytest.approx(rows, rel=1e-12)
        assert dense(program.jacobian(at, p)[1]) == pytest.approx(jacobian, rel=1e-11, abs=1e-12)
        ours = dense(program.hessian(at, p, weight, lam))
        assert ours == pytest.approx(hessian, rel=1e-11, abs=1e-12)


def test_outputs_have_the_shapes_that_solvers_read(nlp):
    program = Program(nlp)
    n, m = nlp.columns, nlp.rows
    assert program.gradient.sparsity_out(1).is_dense()
    assert program.values.sparsity_out(1).is_dense()
    assert program.jacobian.size_out(1) == (m, n)
    assert program.hessian.size_out(0) == (n, n)
    assert program.hessian.sparsity_out(0).is_triu()


def test_the_gradient_is_dense_where_the_objective_reads_one_column_twice(nlp):
    part = batch(ca.SX, [[4], [4], [7]], 0, 1.0)
    program = Program(replace(nlp, batches=(part,), rows_order=None))
    assert program.gradient.sparsity_out(1).is_dense()
    w = np.linspace(0.1, 0.7, nlp.columns)
    gradient = dense(program.gradient(w, program.parameters(Scaling(np.ones(7), np.ones(0))))[1]).ravel()
    v, d = w[4], nlp.data[0]
    expected = np.zeros(7)
    expected[4] = 2.0 * v * d - np.sin(v) * d
    assert gradient == pytest.approx(expected, rel=1e-12)


def test_a_problem_without_rows_and_one_without_objective_evaluate(nlp):
    silent = replace(nlp, batches=(nlp.batches[3],), rows_order=None)
    program = Program(silent)
    p = program.parameters(Scaling(np.ones(7), np.ones(0)))
    assert program.jacobian(np.ones(7), p)[1].shape == (0, 7)
    assert program.values(np.ones(7), p)[1].shape == (0, 1)
    square = Program(replace(nlp, batches=(nlp.batches[2],), rows_order=None))
    p = square.parameters(Scaling(np.ones(7), np.ones(2)))
    assert dense(square.gradient(np.ones(7), p)[1]).ravel() == pytest.approx(np.zeros(7))
    assert float(square.values(np.ones(7), p)[0]) == 0.0


@pytest.mark.parametrize("points", list(Points), ids=lambda p: p.value)
def test_a_transcribed_phase_has_the_derivatives_of_its_written_out_equations(points, tools, rng):
    dae = tools.ray_with_rates()
    path = PathRow(tools.point_function(dae, lambda t, x, z, u, p: z[0] * x[1]), -np.inf, 2.0, "path", at_start=True)
    cost = Integrand(tools.point_function(dae, lambda t, x, z, u, p: t * z[1] * u[0]), 0.3)
    segment = tools.Segment(
        "react", dae, (tools.Profile.lines(np.linspace(0, 1, 3)),), (path,), (cost,), needs_start=True
    )
    block = transcribe(segment, np.array([0.0, 0.25, 0.5, 1.0]), 2, points).block
    links = [
        *tools.fixed(block, [1.0, 0.0], parameters=[]),
        tools.decide(block.slot("duration"), "duration", 0.5, 2.0),
        tools.decide(block.slot("input:T"), "T", 298.0, 398.0),
    ]
    nlp = join([block], links)
    scaling = Scaling(rng.uniform(0.5, 2.0, nlp.columns), rng.uniform(0.5, 2.0, nlp.rows), 3.0)
    program = Program(nlp)
    x, data, f, g = written_out(nlp, scaling)
    lam = ca.MX.sym("lam", nlp.rows)
    hessian = ca.triu(ca.hessian(0.8 * f + ca.dot(lam, g), x)[0])
    expected = ca.Function("expected", [x, data, lam], [ca.gradient(f, x), ca.jacobian(g, x), hessian])
    at, multipliers = rng.uniform(0.5, 1.5, nlp.columns), rng.normal(size=nlp.rows)
    at[nlp.where(block.slot("input:T"))] *= 300.0
    p = program.parameters(scaling)
    gradient, jacobian, second = (dense(v) for v in expected(at, nlp.data, multipliers))
    assert dense(program.gradient(at, p)[1]) == pytest.approx(gradient, rel=1e-10, abs=1e-12)
    assert dense(program.jacobian(at, p)[1]) == pytest.approx(jacobian, rel=1e-10, abs=1e-12)
    assert dense(program.hessian(at, p, 0.8, multipliers)) == pytest.approx(second, rel=1e-9, abs=1e-11)
