"""Derivatives of Pyomo.DAE models: solved for where linear, variables where not, over scaled time, over space too."""

from __future__ import annotations

import math

import pyomo.environ as pyo
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar

from titer.flowsheets import Flowsheet, Free, Phase, Reaches, Recipe, simulate
from titer.flowsheets.pyomo import from_pyomo, inputs_of
from titer.numerics.errors import DeclarationError


def run_of(model, length, **options):
    """The simulation of a model alone, its inputs as it gives them."""
    tolerance = options.pop("tolerance", 1e-10)
    unit = from_pyomo(model, **options)
    return unit, simulate(
        Flowsheet(unit), Recipe(Phase("run", duration=length)), inputs_of(unit), points=50, tolerance=tolerance
    )


def implicit(*rules, states=("x", "y"), **params):
    m = pyo.ConcreteModel("implicit")
    m.t = ContinuousSet(bounds=(0, 2))
    for name, value in params.items():
        m.add_component(name, pyo.Param(initialize=value, mutable=True))
    for name in states:
        m.add_component(name, pyo.Var(m.t, initialize=1.0))
        m.add_component(f"d{name}", DerivativeVar(m.component(name)))
    for k, rule in enumerate(rules):
        m.add_component(f"row_{k}", pyo.Constraint(m.t, rule=rule))
    return m


def together(m, t):
    return m.dx[t] + m.dy[t] == -0.5 * (m.x[t] + m.y[t])


def apart(m, t):
    return m.dx[t] - m.dy[t] == -0.5 * (m.x[t] - m.y[t])


def cubic(m, t):
    return (m.dx[t] + 0.5 * m.x[t]) ** 3 + m.dx[t] + 0.5 * m.x[t] == 0


def crossed(m, t):
    return m.x[t] * m.dx[t] + m.dy[t] == -0.5 * (m.x[t] ** 2 + m.y[t])


def crossed_too(m, t):
    return m.dx[t] - m.y[t] * m.dy[t] == 0.5 * (m.y[t] ** 2 - m.x[t])


def product_rule(m, t):
    return m.x[t] * m.dy[t] + m.y[t] * m.dx[t] == -m.x[t] * m.y[t]


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ((lambda m, t: m.m * m.dx[t] + m.x[t] == 0, lambda m, t: m.y[t] == -m.m * m.dy[t]), []),
        ((product_rule, lambda m, t: 2 * m.dx[t] == -m.x[t]), []),
        ((together, apart), []),
        ((cubic, lambda m, t: m.dy[t] / m.y[t] == -0.5), ["dx"]),
        ((crossed, crossed_too), ["dx", "dy"]),
    ],
    ids=["scaled", "product rule", "mass matrix", "not linear", "coefficients with variables"],
)
def test_derivatives_are_solved_for_where_they_are_linear(rules, kept):
    """Each has the solution x = y = exp(-t/2)."""
    unit, run = run_of(implicit(*rules, m=2.0), 2.0)
    assert run.at_end(unit.x) == pytest.approx(math.exp(-1.0), rel=1e-7)
    assert run.at_end(unit.y) == pytest.approx(math.exp(-1.0), rel=1e-7)
    assert [key for key, s in unit.scalars.items() if s.kind == "algebraic"] == kept


def test_only_what_cannot_be_solved_for_becomes_a_variable():
    unit = from_pyomo(implicit(lambda m, t: pyo.exp(m.dx[t]) == m.x[t], lambda m, t: m.dy[t] == m.dx[t]))
    assert [k for k, s in unit.scalars.items() if s.kind == "algebraic"] == ["dx"]


def test_a_model_over_scaled_time_runs_in_real_time():
    m = pyo.ConcreteModel("scaled")
    m.tau = ContinuousSet(bounds=(0, 1))
    m.tf = pyo.Var(initialize=3.0, bounds=(1, 5))
    m.x = pyo.Var(m.tau, initialize=1.0)
    m.dx = DerivativeVar(m.x)
    m.ode = pyo.Constraint(m.tau, rule=lambda m, s: m.dx[s] == -m.tf * m.x[s] * m.tf * s)
    unit, run = run_of(m, 3.0, duration=m.tf, time_unit="h")
    assert run.at_end(unit.x) == pytest.approx(math.exp(-4.5), rel=1e-6)
    assert "tf" not in unit.scalars
    as_parameter, again = run_of(m, 1.0)
    assert again.at_end(as_parameter.x) == pytest.approx(math.exp(-4.5), rel=1e-6)
    stopped = simulate(Flowsheet(unit), Recipe(Phase("run", until=Reaches(unit.x, 0.5), duration=Free(1, 0.1, 9))))
    assert stopped.duration["run"] == pytest.approx(math.sqrt(2 * math.log(2)), rel=1e-6)
    m.more = pyo.Var(m.tau)
    m.uses = pyo.Constraint(m.tau, rule=lambda m, s: m.more[s] == m.tf**2 + m.x[s])
    with pytest.raises(DeclarationError, match="equations use tf for more than to scale time"):
        from_pyomo(m, duration=m.tf)


def test_a_set_that_is_discretized_is_an_ordinary_one():
    """Diffusion between walls at zero: the slowest mode of ten central differences decays with its own rate."""
    m = pyo.ConcreteModel("slab")
    m.t = ContinuousSet(bounds=(0, 0.1))
    m.z = ContinuousSet(bounds=(0, 1))
    m.T = pyo.Var(m.z, m.t, initialize=0.0)
    m.dTdt = DerivativeVar(m.T, wrt=m.t)
    m.d2T = DerivativeVar(m.T, wrt=(m.z, m.z))

    @m.Constraint(m.z, m.t)
    def heat(m, z, t):
        return pyo.Constraint.Skip if z in (0, 1) else m.dTdt[z, t] == m.d2T[z, t]

    @m.Constraint(m.z, m.t)
    def wall(m, z, t):
        return m.T[z, t] == 0 if z in (0, 1) else pyo.Constraint.Skip

    pyo.TransformationFactory("dae.finite_difference").apply_to(m, nfe=10, wrt=m.z, scheme="CENTRAL")
    for z in m.z:
        m.T[z, 0] = math.sin(math.pi * z)
    unit, run = run_of(m, 0.1)
    assert [k for k, s in unit.scalars.items() if s.kind == "state"] == [f"T[{k}]" for k in range(1, 10)]
    rate = 4 * 100 * math.sin(math.pi / 20) ** 2
    assert run.at_end(unit.T[5]) == pytest.approx(math.exp(-0.1 * rate), rel=1e-6)
