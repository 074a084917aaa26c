"""Bad Pyomo models: what cannot be solved is refused by name, and what is infeasible is explained."""

from __future__ import annotations

import logging

import pyomo.dae as dae
import pyomo.environ as pyo
import pytest
from pyomo.mpec import Complementarity, complements
from pyomo.network import Arc, Port
from pyomo.opt import SolverStatus, TerminationCondition, check_optimal_termination

from titer.flowsheets.pyomo import explain
from titer.numerics.errors import SolveError, SpecificationError
from titer.numerics.explaining.explanation import Verdict


@pytest.fixture
def solver():
    return pyo.SolverFactory("titer.ipopt")


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Pyomo logs a warning where a solution that is not optimal is loaded; it belongs to no test's output."""
    caplog.set_level(logging.CRITICAL, logger="pyomo")
    with caplog.at_level(logging.WARNING, logger="pyomo.core"):
        yield


def circle_and_line(radius: float = 1.0) -> pyo.ConcreteModel:
    m = pyo.ConcreteModel("meeting")
    m.x, m.y = pyo.Var(initialize=1.0), pyo.Var(initialize=1.0)
    m.circle = pyo.Constraint(expr=m.x**2 + m.y**2 <= radius**2)
    m.line = pyo.Constraint(expr=m.x + m.y == 4)
    m.o = pyo.Objective(expr=m.x)
    return m


def limited(results):
    assert results.solver.status == SolverStatus.warning
    return results.solver.termination_condition


# --- infeasible models -----------------------------------------------------------------------------------------------


def test_an_infeasible_model_ends_so_and_says_what_is_missed(solver, caplog):
    m = circle_and_line()
    results = solver.solve(m)
    assert limited(results) == TerminationCondition.infeasible
    assert "Missed\\x3a line by 2.59" in results.solver.message
    assert "termination condition: infeasible" in caplog.text
    later = solver.solve(circle_and_line(), load_solutions=False)
    assert later.solver.termination_condition == TerminationCondition.infeasible


def test_the_least_that_must_give_is_found_in_limits_before_equations(solver):
    m = circle_and_line()
    said = explain(m, solver.solve(m))
    assert said.verdict is Verdict.MODEL_INFEASIBLE
    ((change, amount),) = said.relaxation.changes
    assert (change.text, change.upper) == ("circle", True)
    assert change.bound + amount == pytest.approx(8.0, rel=1e-4)  # the line touches x^2 + y^2 = 8 at (2, 2)
    assert "meet circle (at most 1) together with line (equal to 4)" in said.headline
    assert "circle: upper limit from 1 to 8" in str(said)


def test_equations_that_contradict_each_other_are_both_named(solver):
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(initialize=0.0), pyo.Var(initialize=0.0)
    m.three, m.five = pyo.Constraint(expr=m.x + m.y == 3), pyo.Constraint(expr=m.x + m.y == 5)
    m.o = pyo.Objective(expr=m.x**2 + m.y**2)
    said = explain(m, solver.solve(m))
    assert "five" in said.headline
    assert "three" in said.headline
    assert sum(amount for _, amount in said.relaxation.changes) == pytest.approx(2.0, rel=1e-3)
    assert "right-hand side" in str(said)


def test_bounds_of_variables_are_another_way_out(solver):
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(bounds=(0, 1)), pyo.Var(bounds=(0, 1))
    m.demand = pyo.Constraint(expr=m.x + m.y >= 4)
    m.o = pyo.Objective(expr=m.x)
    said = explain(m, solver.solve(m))
    ((change, amount),) = said.relaxation.changes
    assert (change.text, amount) == ("demand", pytest.approx(2.0, rel=1e-4))
    assert sum(amount for _, amount in said.alternative.changes) == pytest.approx(2.0, rel=1e-3)
    assert {change.text for change, _ in said.alternative.changes} <= {"x", "y"}


def test_a_feasible_model_is_called_a_bad_start_and_is_left_alone(solver):
    m = circle_and_line(radius=3.0)
    limited(solver.solve(m, options={"max_iter": 0}))
    before = m.x.value
    assert explain(m).verdict is Verdict.BAD_START
    assert m.x.value == before
    said = explain(m, solver.solve(m))
    assert said.verdict is Verdict.SOLVED
    assert "held by circle (at most 9)" in said.lines


def test_infeasibility_that_needs_no_solve_is_a_result_too(solver):
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(initialize=1.0), pyo.Var()
    m.y.fix(1.0)
    m.nothing_free = pyo.Constraint(expr=m.y == 2)
    m.o = pyo.Objective(expr=m.x**2)
    results = solver.solve(m)
    assert limited(results) == TerminationCondition.infeasible
    assert "nothing_free" in results.solver.message
    assert "nothing_free" in explain(m, results).headline
    m.nothing_free.deactivate()
    m.x.setlb(2)
    m.x.setub(1)
    results = solver.solve(m, load_solutions=False)
    assert limited(results) == TerminationCondition.infeasible
    assert "x (from 2 to 1)" in results.solver.message


# --- bad input -------------------------------------------------------------------------------------------------------


def test_an_uninitialized_variable_and_its_constraint_are_named(solver):
    m = pyo.ConcreteModel("cold")
    m.c, m.k = pyo.Var(["A", "B"]), pyo.Var(initialize=1.0)
    m.rate = pyo.Constraint(["A", "B"], rule=lambda m, i: pyo.log(m.c[i]) + m.k == 1)
    m.o = pyo.Objective(expr=m.k**2)
    with pytest.raises(SolveError, match=r"cold: The solve cannot start: log\(c\[A\]\) is the logarithm of zero") as e:
        solver.solve(m)
    assert "it enters rate[A]" in str(e.value)
    assert "Uninitialized, so started at 0: c[A]" in str(e.value)
    assert "Cannot load a SolverResults object with bad status: error" in str(e.value)
    results = solver.solve(m, load_solutions=False)
    assert results.solver.status == SolverStatus.error
    assert results.solver.termination_condition == TerminationCondition.error
    assert "c[A]" in results.solver.message
    assert explain(m).verdict is Verdict.NOT_FINITE
    m.c["A"], m.c["B"] = 1.0, 1.0
    assert check_optimal_termination(solver.solve(m))


def test_a_derivative_that_is_not_finite_at_the_start_is_named(solver):
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(), pyo.Var(initialize=1.0)
    m.flow = pyo.Constraint(expr=pyo.sqrt(m.x) + m.y == 1)
    m.o = pyo.Objective(expr=m.x + m.y**2)
    with pytest.raises(SolveError, match=r"division by zero.*derivative of flow in x") as e:
        solver.solve(m)
    assert "started at 0: x" in str(e.value)


def test_a_variable_without_value_starts_inside_its_bounds(solver):
    m = pyo.ConcreteModel()
    m.x = pyo.Var(bounds=(0, None))
    m.c = pyo.Constraint(expr=pyo.log(m.x) >= 1)
    m.o = pyo.Objective(expr=m.x)
    solver.solve(m)
    assert m.x.value == pytest.approx(2.718281828, rel=1e-6)


def integer(m):
    m.tanks = pyo.Var(within=pyo.Integers, initialize=1)
    m.o = pyo.Objective(expr=m.x**2 + m.tanks)


def binary(m):
    m.open = pyo.Var(within=pyo.Binary, initialize=1)
    m.o = pyo.Objective(expr=m.x**2 + m.open)


def several_objectives(m):
    m.first, m.second = pyo.Objective(expr=m.x**2), pyo.Objective(expr=m.x)


def conditional(m):
    m.switch = pyo.Constraint(expr=pyo.Expr_if(m.x >= 1, m.x, 2 * m.x) >= 1)


def unread_function(m):
    m.inner = pyo.Block()
    m.inner.growth = pyo.Constraint([1, 2], rule=lambda b, i: pyo.asinh(m.x) >= i)


def external_function(m):
    m.density = pyo.ExternalFunction(function=lambda a: a**2)
    m.level = pyo.Constraint(expr=m.density(m.x) >= 1)


def ordered_set(m):
    m.z = pyo.Var([1, 2])
    m.only_one = pyo.SOSConstraint(var=m.z, sos=1)


def complementarity(m):
    m.either = Complementarity(expr=complements(m.x >= 0, m.y >= 0))


def arc(m):
    m.p, m.q = Port(initialize={"f": m.x}), Port(initialize={"f": m.y})
    m.pipe = Arc(source=m.p, destination=m.q)


def not_discretized(m):
    m.t = dae.ContinuousSet(bounds=(0, 1))
    m.z = pyo.Var(m.t, initialize=1.0)
    m.dz = dae.DerivativeVar(m.z)
    m.ode = pyo.Constraint(m.t, rule=lambda m, t: m.dz[t] == -m.z[t])


def fixed_to_nothing(m):
    m.feed = pyo.Var()
    m.feed.fix()
    m.c = pyo.Constraint(expr=m.x * m.feed == 1)


def all_fixed(m):
    m.x.fix(1.0)
    m.o = pyo.Objective(expr=m.x**2)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (integer, r"discrete variables: tanks\."),
        (binary, r"discrete variables: open\."),
        (several_objectives, "found first, second"),
        (conditional, r"Expr_if\. It is called in switch"),
        (unread_function, r"asinh\. It is called in inner\.growth\[1\], inner\.growth\[2\]"),
        (external_function, "external functions cannot be read by CasADi: level"),
        (ordered_set, "special ordered sets: only_one"),
        (complementarity, "either"),
        (arc, r"(?s)pipe.*expand_arcs"),
        (not_discretized, r"(?s)not discretized: dz\[0\], dz\[1\].*dae.collocation"),
        (fixed_to_nothing, "fixed variables have no value: feed"),
        (all_fixed, "no active constraint or objective reads a free Var"),
    ],
)
def test_what_cannot_be_solved_is_refused_by_name(solver, build, said):
    m = pyo.ConcreteModel("wrong")
    m.x, m.y = pyo.Var(initialize=1.0), pyo.Var(initialize=1.0)
    build(m)
    with pytest.raises(SpecificationError, match=said) as error:
        solver.solve(m)
    assert str(error.value).startswith("wrong: ")


def test_only_constructed_models_of_pyomo_environ_are_solved(solver):
    with pytest.raises(SpecificationError, match="expected a Pyomo model or Block"):
        solver.solve("model.nl")
    with pytest.raises(SpecificationError, match="not constructed"):
        solver.solve(pyo.AbstractModel())
