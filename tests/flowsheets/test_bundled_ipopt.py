"""`with bundled_ipopt():` answers to Pyomo's own interfaces as the executable `ipopt` would."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from pathlib import Path

import pyomo.environ as pyo
import pytest
from pyomo.common import Executable
from pyomo.opt import TerminationCondition, check_optimal_termination

from titer.flowsheets.pyomo import bundled_ipopt

SUFFIXES = ("dual", "ipopt_zL_out", "ipopt_zU_out", "rc")


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


def test_bundled_ipopt_answers_by_name_and_leaves_no_trace():
    before, path = Executable("ipopt").path(), os.environ["PATH"]
    with bundled_ipopt() as executable:
        assert Executable("ipopt").path() == str(executable)
        assert pyo.SolverFactory("ipopt").available(False)
        assert pyo.SolverFactory("ipopt").version()[:2] == (3, 14)
    assert not Path(executable).exists()
    assert Executable("ipopt").path() == before
    assert os.environ["PATH"] == path


@pytest.mark.parametrize("name", ["ipopt", "ipopt_v2"])
@pytest.mark.parametrize("maximize", [False, True])
def test_pyomos_own_interfaces_read_values_and_duals_from_it(name, maximize):
    m = hock_schittkowski_71(maximize)
    with bundled_ipopt():
        results = pyo.SolverFactory(name).solve(m, symbolic_solver_labels=True)
    assert check_optimal_termination(results)
    check_71(m, -1.0 if maximize else 1.0)


def test_it_prints_a_log_and_takes_options_scaling_and_warm_starts():
    m = hock_schittkowski_71()
    m.scaling_factor = pyo.Suffix(direction=pyo.Suffix.EXPORT)
    m.scaling_factor.update([(m.x[1], 0.1), (m.product, 0.04), (m.cost, 0.5)])
    m.del_component(m.dual)
    m.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT_EXPORT)
    m.ipopt_zL_in, m.ipopt_zU_in = (pyo.Suffix(direction=pyo.Suffix.EXPORT) for _ in range(2))
    with bundled_ipopt():
        solver = pyo.SolverFactory("ipopt")
        solver.options.update({"nlp_scaling_method": "user-scaling", "linear_solver": "ma57"})
        solver.solve(m)
        check_71(m)
        m.ipopt_zL_in.update(m.ipopt_zL_out)
        m.ipopt_zU_in.update(m.ipopt_zU_out)
        warm = {"warm_start_init_point": "yes", "mu_init": 1e-6, "warm_start_bound_push": 1e-6}
        log = io.StringIO()
        with contextlib.redirect_stdout(log):
            solver.solve(m, options={**warm, "warm_start_mult_bound_push": 1e-6}, tee=True)
    check_71(m)
    iterations = [line for line in log.getvalue().splitlines() if line.startswith("Number of Iterations")]
    assert int(iterations[0].split(":")[1]) <= 4
    assert "ma57 needs HSL, which is not here: mumps is used" in log.getvalue()


def test_it_tells_pyomo_of_infeasible_models():
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(initialize=1.0), pyo.Var(initialize=1.0)
    m.circle, m.line = pyo.Constraint(expr=m.x**2 + m.y**2 <= 1), pyo.Constraint(expr=m.x + m.y == 4)
    m.o = pyo.Objective(expr=m.x)
    with bundled_ipopt():
        results = pyo.SolverFactory("ipopt").solve(m)
    assert results.solver.termination_condition == TerminationCondition.infeasible
