"""The route from Pyomo through `.nl` to CasADi's IPOPT gives known optima, and duals in Pyomo's sense."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyomo.environ as pyo
import pytest

from titer.flowsheets.pyomo.solver.nl import solve_pyomo
from titer.numerics.errors import SpecificationError


def hock_schittkowski_71() -> pyo.ConcreteModel:
    m = pyo.ConcreteModel("hs071")
    m.x = pyo.Var(range(1, 5), bounds=(1, 5), initialize={1: 1.0, 2: 5.0, 3: 5.0, 4: 1.0})
    m.product = pyo.Constraint(expr=m.x[1] * m.x[2] * m.x[3] * m.x[4] >= 25)
    m.sphere = pyo.Constraint(expr=sum(m.x[i] ** 2 for i in m.x) == 40)
    m.cost = pyo.Objective(expr=m.x[1] * m.x[4] * (m.x[1] + m.x[2] + m.x[3]) + m.x[3])
    return m


def wyndor(scaled: bool = False) -> pyo.ConcreteModel:
    """Hillier and Lieberman's linear program: profit 36 at (2, 6), shadow prices 0, 1.5 and 1."""
    m = pyo.ConcreteModel("wyndor")
    m.doors, m.windows = pyo.Var(bounds=(0, None)), pyo.Var(bounds=(0, None))
    m.profit = pyo.Objective(expr=3 * m.doors + 5 * m.windows, sense=pyo.maximize)
    m.plant_1 = pyo.Constraint(expr=m.doors <= 4)
    m.plant_2 = pyo.Constraint(expr=2 * m.windows <= 12)
    m.plant_3 = pyo.Constraint(expr=3 * m.doors + 2 * m.windows <= 18)
    if scaled:
        m.scaling_factor = pyo.Suffix(direction=pyo.Suffix.EXPORT)
        m.scaling_factor.update([(m.doors, 10.0), (m.plant_3, 0.1), (m.profit, 0.5)])
    return m


def test_hock_schittkowski_71_reaches_its_published_optimum_and_multipliers():
    m = hock_schittkowski_71()
    outcome = solve_pyomo(m)
    assert outcome.success
    assert outcome.status == "Solve_Succeeded"
    assert outcome.objective == pytest.approx(17.0140173, abs=1e-6)
    assert [m.x[i].value for i in m.x] == pytest.approx([1.0, 4.7429994, 3.8211503, 1.3794082], abs=1e-5)
    # Published for L = f + lambda g: -0.55229366 and 0.16146857.
    assert outcome.duals[m.product] == pytest.approx(0.55229366, abs=1e-5)
    assert outcome.duals[m.sphere] == pytest.approx(-0.16146857, abs=1e-5)
    assert set(outcome.seconds) == {"write", "read", "create", "solve", "load"}


def test_the_dual_of_a_minimization_is_the_change_of_cost_per_right_hand_side():
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(), pyo.Var()
    m.c = pyo.Constraint(expr=m.x + m.y == 3)
    m.o = pyo.Objective(expr=m.x**2 + 2 * m.y**2)
    outcome = solve_pyomo(m)
    assert (m.x.value, m.y.value, outcome.objective) == pytest.approx((2, 1, 6))
    assert outcome.duals[m.c] == pytest.approx(4)  # f = 2/3 b^2


@pytest.mark.parametrize("scaled", [False, True])
def test_a_maximization_returns_objective_and_duals_in_the_users_sense(scaled):
    m = wyndor(scaled)
    outcome = solve_pyomo(m)
    assert outcome.success
    assert outcome.objective == pytest.approx(36, abs=1e-5)
    assert (m.doors.value, m.windows.value) == pytest.approx((2, 6), abs=1e-5)
    assert [outcome.duals[c] for c in (m.plant_1, m.plant_2, m.plant_3)] == pytest.approx([0, 1.5, 1], abs=1e-5)


def test_an_infeasible_model_is_not_a_success_and_keeps_its_iterate():
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(initialize=1.0), pyo.Var(initialize=1.0)
    m.circle = pyo.Constraint(expr=m.x**2 + m.y**2 <= 1)
    m.line = pyo.Constraint(expr=m.x + m.y == 4)
    m.o = pyo.Objective(expr=m.x)
    outcome = solve_pyomo(m)
    assert not outcome.success
    assert outcome.status == "Infeasible_Problem_Detected"
    assert outcome.violation > 0.1
    assert m.x.value is not None


def test_a_feasible_iterate_that_is_not_optimal_is_not_a_success():
    outcome = solve_pyomo(wyndor(), iterations=2)
    assert outcome.status == "Maximum_Iterations_Exceeded"
    assert not outcome.success


def test_an_unbounded_model_is_not_a_success():
    m = pyo.ConcreteModel()
    m.x = pyo.Var(initialize=1.0)
    m.o = pyo.Objective(expr=m.x)
    assert not solve_pyomo(m).success


def test_a_fixed_variable_is_a_number():
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(initialize=0.5), pyo.Var()
    m.y.fix(2.0)
    m.o = pyo.Objective(expr=(m.x - m.y) ** 2 + m.y)
    outcome = solve_pyomo(m)
    assert outcome.success
    assert (m.x.value, m.y.value, outcome.objective) == pytest.approx((2, 2, 2), abs=1e-6)


def test_equal_bounds_pin_a_variable_without_spoiling_the_verdict():
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(initialize=0.5), pyo.Var(bounds=(2, 2))
    m.o = pyo.Objective(expr=(m.x - m.y) ** 2 + 7 * m.y)
    assert solve_pyomo(m).success
    assert (m.x.value, m.y.value) == pytest.approx((2, 2), abs=1e-6)


def test_a_variable_in_no_constraint_is_solved_if_the_objective_reads_it_and_untouched_if_nothing_does():
    m = pyo.ConcreteModel()
    m.x, m.only_in_objective, m.unread = (
        pyo.Var(bounds=(1, 3)),
        pyo.Var(bounds=(0, 5)),
        pyo.Var(initialize=42.0),
    )
    m.never_set = pyo.Var()
    m.c = pyo.Constraint(expr=m.x**2 == 4)
    m.o = pyo.Objective(expr=m.x + (m.only_in_objective - 3) ** 2)
    outcome = solve_pyomo(m)
    assert outcome.success
    assert (m.x.value, m.only_in_objective.value) == pytest.approx((2, 3), abs=1e-6)
    assert m.unread.value == 42.0
    assert m.never_set.value is None


def test_a_model_without_objective_is_solved_for_feasibility():
    m = pyo.ConcreteModel()
    m.x = pyo.Var(bounds=(0, None), initialize=1.0)
    m.c = pyo.Constraint(expr=m.x**2 == 2)
    outcome = solve_pyomo(m)
    assert outcome.success
    assert outcome.objective == 0
    assert m.x.value == pytest.approx(2**0.5)


def test_exported_suffixes_do_not_reach_the_reader_and_stay_active():
    m = hock_schittkowski_71()
    m.priority = pyo.Suffix(direction=pyo.Suffix.EXPORT)
    m.priority[m.x[1]] = 3.0
    assert solve_pyomo(m).success
    assert m.priority.active


def test_integer_variables_are_refused_by_name():
    m = pyo.ConcreteModel()
    m.x, m.tanks = pyo.Var(), pyo.Var(within=pyo.NonNegativeIntegers)
    m.o = pyo.Objective(expr=m.x**2 + m.tanks)
    with pytest.raises(SpecificationError, match=r"discrete variables: tanks\."):
        solve_pyomo(m)
    m.tanks.fix(2)
    assert solve_pyomo(m).objective == pytest.approx(2)


def test_what_the_reader_cannot_take_is_said_before_any_solve():
    m = pyo.ConcreteModel()
    m.x = pyo.Var(initialize=1.0)
    m.o = pyo.Objective(expr=pyo.asinh(m.x) ** 2)
    with pytest.raises(SpecificationError, match="asinh"):
        solve_pyomo(m)
    m.o.deactivate()
    m.first, m.second = pyo.Objective(expr=m.x**2), pyo.Objective(expr=m.x)
    with pytest.raises(SpecificationError, match="found first, second"):
        solve_pyomo(m)
    m.second.deactivate()
    m.x.fix(2.0)
    with pytest.raises(SpecificationError, match="no active constraint or objective reads a free Var"):
        solve_pyomo(m)
    m.c = pyo.Constraint(expr=m.x == 1)
    with pytest.raises(SpecificationError, match="'c'"):
        solve_pyomo(m)


def test_no_file_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    solve_pyomo(wyndor())
    assert list(Path(tmp_path).iterdir()) == []
