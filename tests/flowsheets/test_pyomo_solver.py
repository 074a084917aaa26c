"""`SolverFactory("titer.ipopt")` answers as Pyomo's own solvers do: values, duals, terminations, refusals by name."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pyomo.environ as pyo
import pytest
from pyomo.common.tee import capture_output
from pyomo.contrib.solver.common.util import NoOptimalSolutionError
from pyomo.opt import SolverStatus, TerminationCondition, check_optimal_termination

from titer.flowsheets.pyomo import explain
from titer.numerics.ampl import solving
from titer.numerics.ampl.printed import printed
from titer.numerics.errors import SpecificationError
from titer.numerics.explaining.explanation import Verdict

SUFFIXES = ("dual", "ipopt_zL_out", "ipopt_zU_out", "rc")


@pytest.fixture
def solver():
    return pyo.SolverFactory("titer.ipopt")


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Pyomo logs a warning where a solution that is not optimal is loaded; it belongs to no test's output."""
    caplog.set_level(logging.CRITICAL, logger="pyomo")
    with caplog.at_level(logging.WARNING, logger="pyomo.core"):
        yield


def hock_schittkowski_71(maximize: bool = False) -> pyo.ConcreteModel:
    m = pyo.ConcreteModel("hs071")
    m.x = pyo.Var(range(1, 5), bounds=(1, 5), initialize={1: 1.0, 2: 5.0, 3: 5.0, 4: 1.0})
    m.product = pyo.Constraint(expr=m.x[1] * m.x[2] * m.x[3] * m.x[4] >= 25)
    m.sphere = pyo.Constraint(expr=sum(m.x[i] ** 2 for i in m.x) == 40)
    cost = m.x[1] * m.x[4] * (m.x[1] + m.x[2] + m.x[3]) + m.x[3]
    m.cost = pyo.Objective(expr=-cost if maximize else cost, sense=pyo.maximize if maximize else pyo.minimize)
    for name in SUFFIXES:
        setattr(m, name, pyo.Suffix(direction=pyo.Suffix.IMPORT))
    return m


def check_71(m: pyo.ConcreteModel, sign: float = 1.0) -> None:
    """The published optimum and multipliers, in the sign of Pyomo: change of the objective per right-hand side."""
    assert [m.x[i].value for i in m.x] == pytest.approx([1.0, 4.7429994, 3.8211503, 1.3794082], abs=1e-5)
    assert m.dual[m.product] == pytest.approx(sign * 0.55229366, abs=1e-5)
    assert m.dual[m.sphere] == pytest.approx(-sign * 0.16146857, abs=1e-5)
    assert m.ipopt_zL_out[m.x[1]] == pytest.approx(sign * 1.08787121, abs=1e-5)
    assert m.ipopt_zU_out[m.x[1]] == pytest.approx(0.0, abs=1e-6)


# --- what a solve gives ----------------------------------------------------------------------------------------------


def test_it_is_registered_available_and_free(solver):
    assert solver.available()
    assert solver.available(exception_flag=False)
    assert solver.license_is_valid()
    assert solver.version() >= (3, 14)
    assert solver.warm_start_capable()
    assert solver.has_capability("quadratic_constraint")
    assert not solver.has_capability("integer")
    assert solver.has_linear_solver("mumps")
    assert not solver.has_linear_solver("pardiso")  # it would crash the process
    with pyo.SolverFactory("titer.ipopt", options={"max_iter": 1}) as other:
        assert other.options.max_iter == 1


@pytest.mark.parametrize("maximize", [False, True])
def test_values_duals_and_bound_multipliers_are_the_published_ones(solver, maximize):
    m = hock_schittkowski_71(maximize)
    results = solver.solve(m)
    check_71(m, -1.0 if maximize else 1.0)
    assert m.rc[m.x[1]] == m.ipopt_zL_out[m.x[1]]
    assert check_optimal_termination(results)
    assert results.solver.status == SolverStatus.ok
    assert results.problem.number_of_variables == 4
    assert results.problem.number_of_constraints == 2
    assert results.problem.number_of_objectives == 1
    bound = results.problem.lower_bound if maximize else results.problem.upper_bound
    assert bound == pytest.approx(pyo.value(m.cost))
    assert abs(bound) == pytest.approx(17.0140173, abs=1e-6)
    assert results.solver.time > 0
    assert results.solver.statistics.black_box.number_of_iterations > 0
    assert set(results.timing_info) == {"write", "read", "create", "solve", "load"}
    assert "optimal" in str(results)


def test_a_multiplier_of_an_upper_bound_is_the_change_of_the_objective_per_bound(solver):
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(bounds=(None, 2)), pyo.Var(bounds=(None, 3))
    m.o = pyo.Objective(expr=3 * m.x + 5 * m.y, sense=pyo.maximize)
    m.ipopt_zU_out = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    solver.solve(m)
    assert (m.ipopt_zU_out[m.x], m.ipopt_zU_out[m.y]) == pytest.approx((3, 5), rel=1e-6)
    m.o.sense, m.x.value = pyo.minimize, 0.0
    m.o.expr = -3 * m.x - 5 * m.y
    solver.solve(m)
    assert (m.ipopt_zU_out[m.x], m.ipopt_zU_out[m.y]) == pytest.approx((-3, -5), rel=1e-6)


def test_a_solution_may_be_loaded_later(solver):
    m = hock_schittkowski_71()
    results = solver.solve(m, load_solutions=False)
    assert [m.x[i].value for i in m.x] == [1.0, 5.0, 5.0, 1.0]
    assert len(results.solution) == 1
    m.solutions.load_from(results)
    check_71(m)
    assert not any(v.stale for v in m.x.values())


def test_variables_that_a_solve_does_not_touch_are_stale(solver):
    m = hock_schittkowski_71()
    m.idle = pyo.Var(initialize=1.0)
    solver.solve(m)
    assert m.idle.stale
    assert not m.x[1].stale


def test_fixed_variables_mutable_parameters_expressions_and_deactivated_blocks(solver):
    m = pyo.ConcreteModel()
    m.x, m.y, m.z = pyo.Var(), pyo.Var(), pyo.Var()
    m.p = pyo.Param(mutable=True, initialize=2.0)
    m.square = pyo.Expression(expr=(m.x - m.p) ** 2)
    m.z.fix(3.0)
    m.off = pyo.Block()
    m.off.c = pyo.Constraint(expr=m.x == -5)
    m.off.deactivate()
    m.between = pyo.Constraint(expr=(1, m.y, 4))
    m.trivial = pyo.Constraint(expr=m.z <= 7)
    m.o = pyo.Objective(expr=m.square + m.square * (m.y - m.z) ** 2 + (m.y - 6) ** 2)
    solver.solve(m)
    assert (m.x.value, m.y.value) == pytest.approx((2, 4), abs=1e-5)
    m.p.value = -1.0
    solver.solve(m)
    assert m.x.value == pytest.approx(-1, abs=1e-5)


def test_a_block_is_solved_alone_and_a_square_model_needs_no_objective(solver):
    m = pyo.ConcreteModel()
    m.b = pyo.Block([1, 2])
    for i in m.b:
        m.b[i].x = pyo.Var(initialize=1.0)
        m.b[i].root = pyo.Constraint(expr=m.b[i].x ** 2 == i)
    assert check_optimal_termination(solver.solve(m.b[2]))
    assert (m.b[1].x.value, m.b[2].x.value) == pytest.approx((1.0, 2**0.5))


def test_scaling_factors_change_nothing_but_the_path(solver):
    m = hock_schittkowski_71()
    m.scaling_factor = pyo.Suffix(direction=pyo.Suffix.EXPORT)
    m.scaling_factor.update([(m.x[1], 0.1), (m.product, 0.04), (m.cost, 0.5)])
    solver.solve(m, options={"nlp_scaling_method": "user-scaling"})
    check_71(m)


def test_a_warm_start_reads_the_multipliers(solver):
    m = hock_schittkowski_71()
    m.ipopt_zL_in, m.ipopt_zU_in = (pyo.Suffix(direction=pyo.Suffix.EXPORT) for _ in range(2))
    solver.solve(m)
    m.ipopt_zL_in.update(m.ipopt_zL_out)
    m.ipopt_zU_in.update(m.ipopt_zU_out)
    cold = solver.solve(m).solver.statistics.black_box.number_of_iterations
    warm = solver.solve(m, warmstart=True).solver.statistics.black_box.number_of_iterations
    assert warm < cold / 2
    check_71(m)


def test_the_log_is_printed_written_or_silent(solver, tmp_path):
    with capture_output() as printed:
        solver.solve(hock_schittkowski_71())
    assert printed.getvalue() == ""
    with capture_output() as printed:
        solver.solve(hock_schittkowski_71(), tee=True)
    assert "EXIT: Optimal Solution Found." in printed.getvalue()
    file = tmp_path / "log.txt"
    solver.solve(hock_schittkowski_71(), logfile=str(file))
    assert "EXIT: Optimal Solution Found." in file.read_text()


def test_the_problem_file_goes_or_stays(solver, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    solver.solve(hock_schittkowski_71())
    assert list(tmp_path.iterdir()) == []
    solver.solve(hock_schittkowski_71(), keepfiles=True)
    (kept,) = tmp_path.glob("*/model.nl")
    assert str(kept) in caplog.text


def test_options_are_ipopts_for_one_solve_or_for_all(solver):
    m = hock_schittkowski_71()
    assert limited(solver.solve(m, options={"max_iter": 2})) == TerminationCondition.maxIterations
    assert check_optimal_termination(solver.solve(m, options_string="tol=1e-6 mu_strategy=adaptive"))
    solver.options["max_iter"] = "1"  # numbers may be text, as on a command line
    assert limited(solver.solve(hock_schittkowski_71())) == TerminationCondition.maxIterations


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mu_stategy": "adaptive"}, "no option 'mu_stategy'"),
        ({"mu_strategy": "bold"}, '"bold" is not a valid setting'),
        ({"linear_solver": "ma57"}, "cannot use linear_solver='ma57'"),
        ({"linear_solver": "pardiso"}, "crashes the process"),
    ],
)
def test_options_that_ipopt_lacks_are_refused(solver, options, said):
    with pytest.raises(SpecificationError, match=said):
        solver.solve(hock_schittkowski_71(), options=options)


def test_unknown_keywords_are_refused(solver):
    with pytest.raises(TypeError, match="tie"):
        solver.solve(hock_schittkowski_71(), tie=True)


# --- how a solve may end ---------------------------------------------------------------------------------------------


def limited(results):
    assert results.solver.status == SolverStatus.warning
    return results.solver.termination_condition


def test_limits_of_time_and_iterations_keep_the_iterate(solver):
    m = hock_schittkowski_71()
    assert limited(solver.solve(m, options={"max_iter": 3})) == TerminationCondition.maxIterations
    assert m.x[2].value != 5.0
    assert limited(solver.solve(m, timelimit=1e-9)) == TerminationCondition.maxTimeLimit


def test_an_unbounded_model_names_what_runs_away_and_keeps_its_values(solver):
    m = pyo.ConcreteModel("endless")
    m.x, m.y = pyo.Var(initialize=1.0), pyo.Var(bounds=(0, None), initialize=1.0)
    m.o = pyo.Objective(expr=m.x**2 - m.y)
    results = solver.solve(m)
    assert limited(results) == TerminationCondition.unbounded
    assert results.solver.message.endswith("Running away\\x3a y.")
    assert m.y.value == 1.0
    assert explain(m, results).verdict is Verdict.UNBOUNDED


def test_more_equations_than_variables_are_said_to_be(solver):
    m = pyo.ConcreteModel()
    m.x = pyo.Var(initialize=1.0)
    m.a, m.b = pyo.Constraint(expr=m.x == 1), pyo.Constraint(expr=m.x**2 == 4)
    results = solver.solve(m)
    assert limited(results) == TerminationCondition.other
    assert "2 constraints, 1 variables" in results.solver.message


def test_ctrl_c_gives_the_iterate(solver, monkeypatch):
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(2000), initialize=0.0)
    m.o = pyo.Objective(expr=sum(pyo.exp(-m.x[i]) for i in m.x))  # Newton's method walks one unit an iteration
    running = threading.Event()
    original = solving._run

    def press():
        running.wait(20.0)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    def run(*arguments):
        running.set()
        return original(*arguments)

    monkeypatch.setattr(solving, "_run", run)
    thread = threading.Thread(target=press)
    thread.start()
    results = solver.solve(m, options={"tol": 1e-300, "acceptable_iter": 0})
    thread.join()
    assert results.solver.status == SolverStatus.aborted
    assert results.solver.termination_condition == TerminationCondition.userInterrupt
    assert 0.0 < m.x[0].value < 600.0


def test_solves_in_threads_leave_standard_output_alone():
    before, both = sys.stdout, threading.Barrier(2)

    def two_solves():
        both.wait()
        models = [hock_schittkowski_71(), hock_schittkowski_71()]
        for m in models:
            pyo.SolverFactory("titer.ipopt").solve(m)
        return [pyo.value(m.cost) for m in models]

    with ThreadPoolExecutor(2) as pool:
        found = [job.result() for job in [pool.submit(two_solves) for _ in range(2)]]
    assert found == [[pytest.approx(17.0140173)] * 2] * 2
    assert sys.stdout is before


def test_what_other_threads_print_meanwhile_is_not_kept(capsys):
    with printed() as kept:
        sys.stdout.write("mine")
        other = threading.Thread(target=lambda: sys.stdout.write("theirs"))
        other.start()
        other.join()
    assert (kept.getvalue(), capsys.readouterr().out) == ("mine", "theirs")


def test_an_exception_is_raised_only_where_it_is_asked_for(solver):
    with pytest.raises(NoOptimalSolutionError, match="Iterations"):
        solver.solve(hock_schittkowski_71(), options={"max_iter": 1}, raise_exception_on_nonoptimal_result=True)
