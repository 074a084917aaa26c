"""Starts, constants and refusals of Pyomo.DAE models that become unit operations."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyomo.environ as pyo
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar, Integral

from titer.estimation import Experiment, estimate
from titer.flowsheets import Flowsheet, Phase, Recipe, simulate
from titer.flowsheets.pyomo import from_pyomo, inputs_of
from titer.numerics.errors import DeclarationError


def decay(*constraints):
    """x' = -k x with more components."""
    m = pyo.ConcreteModel("decay")
    m.t = ContinuousSet(bounds=(0, 10))
    m.k = pyo.Var(initialize=0.5, bounds=(0, 1))
    m.x = pyo.Var(m.t, initialize=1.0)
    m.y = pyo.Var(m.t, initialize=1.0)
    m.dx = DerivativeVar(m.x)
    m.ode = pyo.Constraint(m.t, rule=lambda m, t: m.dx[t] == -m.k * m.x[t])
    m.copy = pyo.Constraint(m.t, rule=lambda m, t: m.y[t] == 2 * m.x[t])
    for add in constraints:
        add(m)
    return m


def constraint(expression):
    return lambda m: m.add_component("more", pyo.Constraint(expr=expression(m)))


def over_time(rule):
    return lambda m: m.add_component("more", pyo.Constraint(m.t, rule=rule))


@pytest.mark.parametrize(
    "add",
    [
        constraint(lambda m: m.x[0] == 3.0),
        constraint(lambda m: 2.0 * m.x[0] + 1.0 == 14.0 * m.k),
        over_time(lambda m, t: m.x[t] == 3.0 if t == 0 else pyo.Constraint.Skip),
        lambda m: m.x[0].fix(3.0),
    ],
)
def test_initial_conditions_are_starts(add):
    assert from_pyomo(decay(add)).scalars["x"].start == pytest.approx(3.0)


def test_a_var_without_time_is_a_parameter_or_has_an_equation():
    free = from_pyomo(decay())
    assert (free.scalars["k"].kind, free.scalars["k"].start, free.scalars["k"].upper) == ("parameter", 0.5, 1.0)

    def arrhenius(m):
        m.T = pyo.Var(initialize=300.0)
        m.T.fix()
        m.law = pyo.Constraint(expr=m.k == pyo.exp(-m.T / 300.0))

    unit = from_pyomo(decay(arrhenius))
    run = simulate(Flowsheet(unit), Recipe(Phase("run", duration=2.0)), inputs_of(unit), tolerance=1e-10)
    assert unit.scalars["k"].kind == "algebraic"
    assert run.at_end(unit.x) == pytest.approx(math.exp(-2.0 * math.exp(-1.0)), rel=1e-7)


def test_a_param_that_a_rule_needs_as_a_number_stays_one():
    def add(m):
        m.order = pyo.Param(initialize=2.0)
        m.z = pyo.Var(m.t)
        m.more = pyo.Constraint(m.t, rule=lambda m, t: m.z[t] == (m.x[t] if m.order > 1 else 0.0))

    unit = from_pyomo(decay(add))
    assert "order" not in unit.scalars


def test_an_imported_unit_is_fitted():
    unit = from_pyomo(decay())
    plant, recipe = Flowsheet(unit), Recipe(Phase("run", duration=4.0))
    times = np.linspace(0.5, 4.0, 8)
    frame = pd.DataFrame({unit.y: 2.0 * np.exp(-0.3 * times)}, index=times)
    fit = estimate(plant, [Experiment(frame, noise={unit.y: 0.01}, recipe=recipe)], free=[unit.k])
    assert fit.values[unit.k] == pytest.approx(0.3, rel=1e-5)


# --- what is refused --------------------------------------------------------------------------------------------------


def several(m):
    m.z = ContinuousSet(bounds=(0, 1))
    m.w = pyo.Var(m.z, m.t)


def second_order(m):
    m.d2y = DerivativeVar(m.y, wrt=(m.t, m.t))


def integral(m):
    m.total = Integral(m.t, wrt=m.t, rule=lambda m, t: m.x[t])


def integer(m):
    m.n = pyo.Var(within=pyo.Integers, initialize=1)
    m.z = pyo.Var(m.t)
    m.more = pyo.Constraint(m.t, rule=lambda m, t: m.z[t] == m.n * m.x[t])


def piecewise(m):
    m.z = pyo.Var(m.t, bounds=(0, 9))
    m.w = pyo.Var(m.t, bounds=(0, 9))
    m.table = pyo.Piecewise(
        m.t, m.z, m.w, pw_pts={t: [0, 5, 9] for t in m.t}, pw_constr_type="EQ", f_rule=lambda m, t, x: x**2
    )


def complementarity(m):
    from pyomo.mpec import Complementarity, complements

    m.either = Complementarity(expr=complements(m.x[0] >= 0, m.k >= 0))


def disjunct(m):
    from pyomo.gdp import Disjunct

    m.choice = Disjunct()


def external(m):
    m.f = pyo.ExternalFunction(lambda x: x, lambda x: 1.0)
    m.z = pyo.Var(m.t)
    m.more = pyo.Constraint(m.t, rule=lambda m, t: m.z[t] == m.f(m.x[t]))


def block_over_time(m):
    m.b = pyo.Block(m.t)


def foreign(m):
    other = pyo.ConcreteModel("other")
    other.p = pyo.Var(initialize=1.0)
    over_time(lambda m, t: m.y[t] == other.p)(m)


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (several, r"decay: its equations go over several ContinuousSets: t, z.\n  Discretize all but time"),
        (second_order, r"d2y is a derivative of order 2.\n  Write two of the first"),
        (integral, r"total is of kind Integral, which has no form here.\n  Write a Var whose derivative"),
        (integer, r"n is an integer or binary variable.\n  Fix it, or relax it"),
        (piecewise, r"table is of kind Piecewise"),
        (complementarity, r"either is of kind Complementarity"),
        (disjunct, r"choice is of kind Disjunct"),
        (external, r"more: it calls the external function f, compiled code"),
        (block_over_time, r"b: a Block for each point of t"),
        (over_time(lambda m, t: m.x[t] <= 5.0), r"more is an inequality: .*\n  Deactivate it, and give .* a Path"),
        (constraint(lambda m: m.x[10] == 1.0), r"more reads variables at t = 10.\n  Deactivate it.*AtEnd"),
        (constraint(lambda m: m.x[0] + m.y[0] == 1.0), r"more is no start of one state"),
        (constraint(lambda m: m.x[0] ** 2 == 1.0), r"more is not linear in x\[0\]"),
        (constraint(lambda m: m.dx[0] == 0.0), r"more is no start of one state"),
        (over_time(lambda m, t: m.y[t] == abs(m.x[t])), r"more: abs has a kink: .*\n  Write a smooth form"),
        (over_time(lambda m, t: m.y[t] == pyo.ceil(m.x[t])), r"more: ceil\(...\) has jumps"),
        (over_time(lambda m, t: m.y[t] == math.exp(t)), r"more: its rule uses the number of t"),
        (over_time(lambda m, t: m.y[t] == (1.0 if t < 5 else 2.0)), r"more: it asks whether t < 5"),
        (over_time(lambda m, t: m.y[t] == m.x[0]), r"more: it reads x\[0\], at one point of time"),
        (over_time(lambda m, t: m.y[t] == 1.0), r"decay: more equations than variables"),
        (lambda m: m.copy.deactivate(), "ok"),
        (lambda m: m.ode.deactivate(), r"decay: more variables than equations"),
        (lambda m: m.k.set_value(None), r"k has no value.\n  Give it one"),
        (constraint(lambda m: m.k == 0.3 * m.k**2 + 0.1), "ok"),
        (foreign, r"decay: its equations read p, which is not in the block"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_over_is_named(add, message):
    model = decay(add)
    if message == "ok":
        from_pyomo(model)
        return
    with pytest.raises(DeclarationError, match=message):
        from_pyomo(model)


def test_units_of_time_must_agree_and_expressions_are_named():
    model = decay()
    model.s = pyo.Var(model.t, initialize=1.0, units=pyo.units.mol)
    model.ds = DerivativeVar(model.s, units=pyo.units.mol / pyo.units.hour)
    model.more = pyo.Constraint(model.t, rule=lambda m, t: m.ds[t] == -m.k * m.s[t])
    with pytest.raises(DeclarationError, match="decay: ds counts time in 'h', not in 's'"):
        from_pyomo(model, time_unit="s")
    unit = from_pyomo(model)
    assert (unit.time, unit.scalars["s"].measure.label) == ("h", "mol")
    model.kink = pyo.Expression(model.t, rule=lambda m, t: abs(m.x[t]))
    with pytest.raises(DeclarationError, match=r"^kink: abs has a kink"):
        from_pyomo(model)


def test_a_discretized_model_and_a_model_without_data_are_refused():
    model = decay()
    pyo.TransformationFactory("dae.collocation").apply_to(model, nfe=2, ncp=2)
    with pytest.raises(DeclarationError, match="decay: t is discretized already"):
        from_pyomo(model)
    with pytest.raises(DeclarationError, match=r"AbstractModel without data.\n  Give model.create_instance"):
        from_pyomo(pyo.AbstractModel("lost"))
    with pytest.raises(DeclarationError, match="expected a Pyomo Block or ConcreteModel, got 3"):
        from_pyomo(3)
    with pytest.raises(DeclarationError, match="no Var goes over a ContinuousSet"):
        from_pyomo(pyo.ConcreteModel("empty"))
    with pytest.raises(
        DeclarationError, match=r"controls: q is no Var, Param or Expression of decay.\n  known: k, x, y, dx"
    ):
        from_pyomo(decay(), controls=["q"])
