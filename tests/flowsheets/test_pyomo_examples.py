"""Pyomo's own examples, of Pyomo.DAE and its book, reach their published optima from wheels alone.

Each model is written from the equations of its example. What it must give was published, has a closed form, or is
computed here by other means (SciPy, linear algebra).
"""

from __future__ import annotations

import numpy as np
import pyomo.dae as dae
import pyomo.environ as pyo
import pytest
from pyomo.opt import check_optimal_termination
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.optimize import brentq

import titer.flowsheets.pyomo  # noqa: F401  registers the solver


def solve(m: pyo.ConcreteModel, **options) -> None:
    assert check_optimal_termination(pyo.SolverFactory("titer.ipopt").solve(m, options=options))


def collocate(m: pyo.ConcreteModel, over, elements: int = 20, points: int = 3) -> None:
    pyo.TransformationFactory("dae.collocation").apply_to(m, wrt=over, nfe=elements, ncp=points)


# --- Pyomo.DAE --------------------------------------------------------------------------------------------------------


def test_dae_optimal_control_costs_the_hyperbolic_tangent_of_one():
    """Optimal_Control: x1' = u, x2' = x1^2 + u^2, least x2(1) from (1, 0). The Riccati equation gives tanh(1)."""
    m = pyo.ConcreteModel()
    m.t = dae.ContinuousSet(bounds=(0, 1))
    m.x1, m.x2 = pyo.Var(m.t, bounds=(0, 1)), pyo.Var(m.t, bounds=(0, 1))
    m.u = pyo.Var(m.t, initialize=0)
    m.d1, m.d2 = dae.DerivativeVar(m.x1), dae.DerivativeVar(m.x2)
    m.ode1 = pyo.Constraint(m.t, rule=lambda m, t: pyo.Constraint.Skip if t == 0 else m.d1[t] == m.u[t])
    m.ode2 = pyo.Constraint(
        m.t, rule=lambda m, t: pyo.Constraint.Skip if t == 0 else m.d2[t] == m.x1[t] ** 2 + m.u[t] ** 2
    )
    m.start = pyo.ConstraintList(rule=iter([m.x1[0] == 1, m.x2[0] == 0]))
    m.cost = pyo.Objective(expr=m.x2[1])
    collocate(m, m.t)
    solve(m)
    assert pyo.value(m.cost) == pytest.approx(np.tanh(1.0), abs=1e-6)
    assert m.x1[1].value == pytest.approx(1 / np.cosh(1.0), abs=1e-5)


def test_dae_path_constraint_reaches_the_published_cost():
    """Path_Constraint: x2 stays below 8 (t - 1/2)^2 - 1/2. Published (TOMLAB, after Miser3): 0.1698243."""
    m = pyo.ConcreteModel()
    m.t = dae.ContinuousSet(bounds=(0, 1))
    m.u = pyo.Var(m.t, initialize=0)
    m.x1, m.x2, m.x3 = pyo.Var(m.t), pyo.Var(m.t), pyo.Var(m.t)
    m.d1, m.d2, m.d3 = dae.DerivativeVar(m.x1), dae.DerivativeVar(m.x2), dae.DerivativeVar(m.x3)

    @m.Constraint(m.t, [1, 2, 3])
    def ode(m, t, i):
        if t == 0:
            return pyo.Constraint.Skip
        if i == 1:
            return m.d1[t] == m.x2[t]
        if i == 2:
            return m.d2[t] == -m.x2[t] + m.u[t]
        return m.d3[t] == m.x1[t] ** 2 + m.x2[t] ** 2 + 0.005 * m.u[t] ** 2

    m.path = pyo.Constraint(m.t, rule=lambda m, t: m.x2[t] - 8 * (t - 0.5) ** 2 + 0.5 <= 0)
    m.start = pyo.ConstraintList(rule=iter([m.x1[0] == 0, m.x2[0] == -1, m.x3[0] == 0]))
    m.cost = pyo.Objective(expr=m.x3[1])
    collocate(m, m.t, elements=30)
    solve(m)
    assert pyo.value(m.cost) == pytest.approx(0.1698243, rel=2e-3)


def test_dae_parameter_estimation_is_linear_least_squares():
    """Parameter_Estimation: x1' = x2, x2' = 1 - 2 x2 - x1, start (p1, p2) from four measurements of x1.

    The system is linear, so x1(t) is an affine function of p by the matrix exponential.
    """
    measured = {1: 0.264, 2: 0.594, 3: 0.801, 5: 0.959}
    m = pyo.ConcreteModel()
    m.t = dae.ContinuousSet(initialize=[0, 1, 2, 3, 5, 6])
    m.x1, m.x2 = pyo.Var(m.t), pyo.Var(m.t)
    m.p = pyo.Var([1, 2], bounds=(-1.5, 1.5))
    m.d1, m.d2 = dae.DerivativeVar(m.x1), dae.DerivativeVar(m.x2)
    m.ode1 = pyo.Constraint(m.t, rule=lambda m, t: m.d1[t] == m.x2[t])
    m.ode2 = pyo.Constraint(m.t, rule=lambda m, t: m.d2[t] == 1 - 2 * m.x2[t] - m.x1[t])
    m.start = pyo.ConstraintList(rule=iter([m.x1[0] == m.p[1], m.x2[0] == m.p[2]]))
    m.squares = pyo.Objective(expr=sum((m.x1[t] - y) ** 2 for t, y in measured.items()))
    collocate(m, m.t)
    solve(m)

    flow = np.array([[0.0, 1.0, 0.0], [-1.0, -2.0, 1.0], [0.0, 0.0, 0.0]])
    rows = np.array([expm(flow * t)[0] for t in measured])
    y = np.array(list(measured.values())) - rows[:, 2]
    p, squares, *_ = np.linalg.lstsq(rows[:, :2], y, rcond=None)
    assert [m.p[1].value, m.p[2].value] == pytest.approx(p.tolist(), abs=1e-5)
    assert pyo.value(m.squares) == pytest.approx(squares[0], abs=1e-8)


def test_dae_car_brakes_as_bang_bang_control_says():
    """car_example: 100 m in least time, from rest to rest, -3 <= a <= 1, with drag R v^2.

    The optimum accelerates at 1 to a speed w and brakes at -3: each arc has a closed form in w.
    """
    drag, length = 0.001, 100.0
    m = pyo.ConcreteModel()
    m.tau = dae.ContinuousSet(bounds=(0, 1))
    m.tf = pyo.Var(bounds=(1, None), initialize=20.0)
    m.x = pyo.Var(m.tau, bounds=(0, length + 50))
    m.v = pyo.Var(m.tau, bounds=(0, None))
    m.a = pyo.Var(m.tau, bounds=(-3, 1), initialize=0)
    m.dx, m.dv = dae.DerivativeVar(m.x), dae.DerivativeVar(m.v)
    m.ode1 = pyo.Constraint(m.tau, rule=lambda m, s: pyo.Constraint.Skip if s == 0 else m.dx[s] == m.tf * m.v[s])
    m.ode2 = pyo.Constraint(
        m.tau,
        rule=lambda m, s: pyo.Constraint.Skip if s == 0 else m.dv[s] == m.tf * (m.a[s] - drag * m.v[s] ** 2),
    )
    m.ends = pyo.ConstraintList(rule=iter([m.x[0] == 0, m.x[1] == length, m.v[0] == 0, m.v[1] == 0]))
    m.time = pyo.Objective(expr=m.tf)
    collocate(m, m.tau, elements=60)
    solve(m)

    def way(w: float) -> float:
        return (np.log(1 / (1 - drag * w**2)) + np.log(1 + drag * w**2 / 3)) / (2 * drag)

    w = brentq(lambda w: way(w) - length, 1.0, 30.0)
    root = np.sqrt(drag)
    least = np.arctanh(root * w) / root + np.arctan(w * root / np.sqrt(3)) / (root * np.sqrt(3))
    assert m.tf.value == pytest.approx(least, rel=1e-3)


def heat_error(elements: int) -> float:
    """PDE_example: pi^2 u_t = u_xx, u = exp(-t) sin(pi x); its largest error."""
    m = pyo.ConcreteModel()
    m.t, m.x = dae.ContinuousSet(bounds=(0, 1)), dae.ContinuousSet(bounds=(0, 1))
    m.u = pyo.Var(m.x, m.t, initialize=0.5)
    m.ux, m.uxx = dae.DerivativeVar(m.u, wrt=m.x), dae.DerivativeVar(m.u, wrt=(m.x, m.x))
    m.ut = dae.DerivativeVar(m.u, wrt=m.t)

    @m.Constraint(m.x, m.t)
    def heat(m, x, t):
        return pyo.Constraint.Skip if x in (0, 1) or t == 0 else np.pi**2 * m.ut[x, t] == m.uxx[x, t]

    @m.Constraint(m.x)
    def start(m, x):
        return pyo.Constraint.Skip if x in (0, 1) else m.u[x, 0] == float(np.sin(np.pi * x))

    m.left = pyo.Constraint(m.t, rule=lambda m, t: m.u[0, t] == 0)
    m.right = pyo.Constraint(m.t, rule=lambda m, t: m.ux[1, t] == -np.pi * float(np.exp(-t)))
    m.none = pyo.Objective(expr=1)
    pyo.TransformationFactory("dae.finite_difference").apply_to(m, wrt=m.x, nfe=elements, scheme="BACKWARD")
    collocate(m, m.t, elements=4)
    solve(m)
    return max(abs(m.u[x, t].value - np.exp(-t) * np.sin(np.pi * x)) for x in m.x for t in m.t)


def test_dae_heat_equation_approaches_its_closed_solution_in_first_order():
    """Backward differences, as the example takes them, have an error in proportion to their width."""
    coarse, fine = heat_error(20), heat_error(40)
    assert fine < 0.1
    assert coarse / fine == pytest.approx(2.0, abs=0.3)


def test_dae_batch_reactor_is_square_and_agrees_with_an_integrator():
    """simulator_dae_example: za' = -4 za + 2 zb, zb' = 4 za - 42 zb + 20 zc, za + zb + zc = 1."""
    m = pyo.ConcreteModel()
    m.t = dae.ContinuousSet(bounds=(0, 1))
    m.a, m.b, m.c = pyo.Var(m.t), pyo.Var(m.t), pyo.Var(m.t)
    m.da, m.db = dae.DerivativeVar(m.a), dae.DerivativeVar(m.b)
    m.ode_a = pyo.Constraint(m.t, rule=lambda m, t: m.da[t] == -4 * m.a[t] + 2 * m.b[t])
    m.ode_b = pyo.Constraint(m.t, rule=lambda m, t: m.db[t] == 4 * m.a[t] - 42 * m.b[t] + 20 * m.c[t])
    m.total = pyo.Constraint(m.t, rule=lambda m, t: m.a[t] + m.b[t] + m.c[t] == 1)
    m.a[0].fix(1.0)
    m.b[0].fix(0.0)
    collocate(m, m.t, elements=15)
    solve(m)

    def rates(t, z):
        return [-4 * z[0] + 2 * z[1], 4 * z[0] - 42 * z[1] + 20 * (1 - z[0] - z[1])]

    end = solve_ivp(rates, (0, 1), [1.0, 0.0], method="BDF", rtol=1e-10, atol=1e-12).y[:, -1]
    assert [m.a[1].value, m.b[1].value] == pytest.approx(end.tolist(), abs=1e-6)


def test_dae_pendulum_agrees_with_an_integrator():
    """simulator_ode_example: theta' = omega, omega' = -b omega - c sin(theta)."""
    m = pyo.ConcreteModel()
    m.t = dae.ContinuousSet(bounds=(0, 10))
    m.theta, m.omega = pyo.Var(m.t), pyo.Var(m.t)
    m.dtheta, m.domega = dae.DerivativeVar(m.theta), dae.DerivativeVar(m.omega)
    m.ode1 = pyo.Constraint(m.t, rule=lambda m, t: m.dtheta[t] == m.omega[t])
    m.ode2 = pyo.Constraint(m.t, rule=lambda m, t: m.domega[t] == -0.25 * m.omega[t] - 5 * pyo.sin(m.theta[t]))
    m.theta[0].fix(np.pi - 0.1)
    m.omega[0].fix(0.0)
    collocate(m, m.t, elements=60)
    solve(m)
    run = solve_ivp(
        lambda t, z: [z[1], -0.25 * z[1] - 5 * np.sin(z[0])], (0, 10), [np.pi - 0.1, 0.0], rtol=1e-10, atol=1e-12
    )
    assert [m.theta[10].value, m.omega[10].value] == pytest.approx(run.y[:, -1].tolist(), abs=1e-4)


# --- the book and the documentation ---------------------------------------------------------------------------------


def test_rosenbrock_of_the_documentation():
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(initialize=1.5), pyo.Var(initialize=1.5)
    m.valley = pyo.Objective(expr=(1 - m.x) ** 2 + 100 * (m.y - m.x**2) ** 2)
    solve(m)
    assert (m.x.value, m.y.value) == pytest.approx((1, 1), abs=1e-6)


def reactor(m: pyo.ConcreteModel, k=(5 / 6, 5 / 3, 1 / 6000)) -> None:
    """A -> B -> C, 2 A -> D in a stirred tank (the book's reactor design): most B over the space velocity."""
    m.sv = pyo.Var(initialize=1.0, within=pyo.PositiveReals)
    start = {"a": 5000.0, "b": 2000.0, "c": 2000.0, "d": 1000.0}
    m.c = pyo.Var(list(start), initialize=start, within=pyo.PositiveReals)
    made = {
        "a": -k[0] * m.c["a"] - 2 * k[2] * m.c["a"] ** 2,
        "b": k[0] * m.c["a"] - k[1] * m.c["b"],
        "c": k[1] * m.c["b"],
        "d": k[2] * m.c["a"] ** 2,
    }
    fed = {"a": 10000.0, "b": 0.0, "c": 0.0, "d": 0.0}
    m.balance = pyo.Constraint(list(start), rule=lambda m, s: m.sv * (fed[s] - m.c[s]) + made[s] == 0)


def test_reactor_design_of_the_book():
    """Published: 1.3438 1/min and 1072.4 gmol/m3."""
    m = pyo.ConcreteModel()
    reactor(m)
    m.b = pyo.Objective(expr=m.c["b"], sense=pyo.maximize)
    solve(m)
    assert m.sv.value == pytest.approx(1.3438, abs=1e-4)
    assert m.c["b"].value == pytest.approx(1072.4, abs=0.05)
