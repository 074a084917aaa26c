"""A solver's word is checked against the numbers, and what a failed solve reached is kept."""

from __future__ import annotations

import pickle

import casadi as ca
import numpy as np
import pytest

from titer.numerics.errors import SpecificationError
from titer.numerics.nlp import Columns, Decide, Labels, Tie, join, slots_block
from titer.numerics.optimality import optimality
from titer.numerics.segment import PathRow
from titer.numerics.solvers import Engine, Fatrop, Ipopt, Status
from titer.numerics.transcribe import transcribe


def problem(minimize, rows=(), lower=(), upper=(), bounds=(-10.0, 10.0), n=2):
    """A small problem in n columns."""
    block = slots_block("w", w=n)
    v = ca.SX.sym("v", n)
    g = ca.vertcat(ca.SX(0, 1), *[row(v) for row in rows])
    columns = Columns(
        Labels.of([f"w{i}" for i in range(n)]), np.full(n, bounds[0]), np.full(n, bounds[1]), np.zeros(n, bool)
    )
    names = Labels.of([f"row {i}" for i in range(len(rows))])
    tie = Tie(ca.Function("f", [v], [g, minimize(v)]), (block.slot("w"),), np.array(lower), np.array(upper), names, 1.0)
    return join([block], [Decide(block.slot("w"), columns), tie])


def rosenbrock(v):
    return 100.0 * (v[1] - v[0] ** 2) ** 2 + (1.0 - v[0]) ** 2


def run(nlp, solver, start=(-1.2, 1.0), sizes=None, bounds=None):
    engine = Engine(nlp, solver)
    w = np.array(start)
    scaling = engine.scaling(w, np.ones(len(w)) if sizes is None else np.array(sizes))
    lower, upper = (nlp.lower, nlp.upper) if bounds is None else bounds
    return engine.solve(w, scaling, lower, upper)


def test_a_known_optimum_and_its_multipliers_are_found_in_unscaled_numbers():
    # minimize (w0 - 2)^2 + 3 w1, w0 + w1 = 1, w1 >= 0.25: at (0.75, 0.25), row multiplier 2.5, bound -5.5
    nlp = problem(lambda v: (v[0] - 2.0) ** 2 + 3.0 * v[1], [lambda v: 1e3 * (v[0] + v[1])], [1e3], [1e3])
    lower = np.array([-10.0, 0.25])
    outcome = run(nlp, Ipopt(tolerance=1e-10), (3.0, 3.0), (0.1, 7.0), (lower, nlp.upper))
    assert outcome.status is Status.SOLVED
    assert outcome.w == pytest.approx([0.75, 0.25], abs=1e-7)
    assert outcome.objective == pytest.approx(1.25**2 + 0.75, abs=1e-7)
    assert outcome.row_multipliers == pytest.approx([2.5e-3], rel=1e-6)
    assert outcome.bound_multipliers == pytest.approx([0.0, -5.5], abs=1e-6)
    assert max(outcome.stationarity, outcome.violation, outcome.complementarity) < 1e-7


def test_a_fixed_column_is_kept_and_judged():
    nlp = problem(lambda v: (v[0] - 2.0) ** 2 + v[1] * v[0])
    bounds = (np.array([-10.0, 0.5]), np.array([10.0, 0.5]))
    outcome = run(nlp, Ipopt(), (0.0, 0.0), None, bounds)
    assert outcome.status is Status.SOLVED
    assert outcome.w == pytest.approx([1.75, 0.5], abs=1e-7)
    assert outcome.stationarity < 1e-6


def test_trial_steps_to_where_a_row_is_undefined_are_taken_back_in_silence(capfd):
    # maximize w0 where its logarithm is at most 0: steps to negative numbers are tried, the optimum is at 1
    nlp = problem(lambda v: (v[0] - 3.0) ** 2 + v[1] ** 2, [lambda v: ca.log(v[0])], [-np.inf], [0.0])
    outcome = run(nlp, Ipopt(), (0.01, 5.0))
    assert outcome.status is Status.SOLVED
    assert outcome.w == pytest.approx([1.0, 0.0], abs=1e-6)
    assert capfd.readouterr() == ("", "")


def test_what_runs_away_is_given_up_soon():
    nlp = problem(lambda v: v[0] * v[1] ** 2, bounds=(-np.inf, np.inf))
    outcome = run(nlp, Ipopt(), (-1.0, 1.0))
    assert outcome.status is Status.DIVERGED
    assert outcome.iterations < 100


def test_infeasible_rows_are_told_from_a_failure():
    nlp = problem(rosenbrock, [lambda v: v[0] ** 2 + v[1] ** 2], [-5.0], [-1.0])
    outcome = run(nlp, Ipopt())
    assert outcome.status is Status.INFEASIBLE
    assert not outcome.status.ok
    assert outcome.violation > 0.1
    assert outcome.w == pytest.approx([0.0, 0.0], abs=1e-3)  # where the violation is least


def test_the_iteration_limit_keeps_the_iterate():
    nlp = problem(rosenbrock)
    start = run(nlp, Ipopt(iterations=1))
    later = run(nlp, Ipopt(iterations=8))
    assert start.status is later.status is Status.ITERATIONS
    assert not later.status.ok
    assert (start.iterations, later.iterations) == (1, 8)
    assert np.isfinite(later.w).all()
    assert later.objective < start.objective < rosenbrock((-1.2, 1.0))
    assert run(nlp, Ipopt()).w == pytest.approx([1.0, 1.0], abs=1e-6)


def test_the_time_limit_is_kept():
    outcome = run(problem(rosenbrock), Ipopt(seconds=1e-9))
    assert outcome.status is Status.TIME
    assert np.isfinite(outcome.w).all()


def test_too_few_freedoms_and_a_value_that_is_not_finite_are_told():
    rows = [lambda v: v[0] - 1.0, lambda v: v[1] - v[0], lambda v: v[0] + v[1] - 3.0]
    assert run(problem(rosenbrock, rows, [0.0] * 3, [0.0] * 3), Ipopt()).status is Status.TOO_FEW_FREEDOMS
    broken = run(problem(lambda v: ca.log(v[0]) + v[1] ** 2), Ipopt(), (-2.0, 1.0))
    assert broken.status is Status.INVALID_NUMBER


def test_an_unbounded_problem_diverges():
    nlp = problem(lambda v: v[0] - v[1], bounds=(-np.inf, np.inf))
    assert run(nlp, Ipopt()).status in (Status.DIVERGED, Status.INVALID_NUMBER, Status.ITERATIONS)


def test_a_solver_that_says_solved_where_the_numbers_say_no_has_failed():
    loose = {f"{name}_tol": 1e6 for name in ("dual_inf", "constr_viol", "compl_inf")}
    loose |= {"tol": 1e6}
    nlp = problem(rosenbrock, [lambda v: v[0] + v[1]], [1.5], [1.5])
    outcome = run(nlp, Ipopt(options=loose))
    assert outcome.message == "Solve_Succeeded"
    assert outcome.status is Status.FAILED
    assert outcome.stationarity > 1e-3


def test_optimality_is_recomputed_from_the_functions():
    nlp = problem(rosenbrock, [lambda v: v[0] + v[1]], [-np.inf], [1.0])
    engine = Engine(nlp, Ipopt(tolerance=1e-10))
    w = np.array([-1.2, 1.0])
    scaling = engine.scaling(w, np.array([2.0, 0.5]))
    outcome = engine.solve(w, scaling, nlp.lower, nlp.upper)
    x = outcome.w / scaling.columns
    row = outcome.row_multipliers / scaling.rows * scaling.objective
    bound = outcome.bound_multipliers * scaling.columns * scaling.objective
    p = engine.program.parameters(scaling)
    right = optimality(engine.program, x, row, bound, p, scaling, nlp.lower, nlp.upper)
    assert max(right) < 1e-7
    wrong_multiplier = optimality(engine.program, x, row + 0.5, bound, p, scaling, nlp.lower, nlp.upper)
    assert wrong_multiplier.stationarity > 1e-2
    moved = optimality(engine.program, x + 0.1, row, bound, p, scaling, nlp.lower, nlp.upper)
    assert moved.violation > 1e-2
    inside = optimality(engine.program, x - 1.0, row, bound, p, scaling, nlp.lower, nlp.upper)
    assert inside.complementarity > 10.0 * right.complementarity
    assert inside.violation == 0.0
    assert right.hold(1e-8)
    assert not wrong_multiplier.hold(1e-8)
    assert not moved.hold(1e-8)
    assert not inside.hold(1e-8)
    assert not right._replace(violation=np.nan).hold(1e-8)
    assert not right._replace(complementarity=0.1).hold(1e-8)


def test_scaling_makes_the_largest_derivative_of_each_kind_of_row_one(tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [-1e4 * x[0], 1e-5 * x[1]])
    block = transcribe(tools.Segment("run", dae, ()), np.linspace(0.0, 1.0, 4)).block
    links = [
        *tools.fixed(block, [1.0, 1.0], duration=[1.0], parameters=[]),
        tools.objective(block.port("end"), minimize=lambda v: 1e4 * v[0]),
    ]
    nlp = join([block], links)
    engine = Engine(nlp, Ipopt())
    sizes = np.linspace(0.5, 9.0, nlp.columns)
    scaling = engine.scaling(np.ones(nlp.columns), sizes)
    program = engine.program
    p = program.parameters(scaling)
    jacobian = np.abs(np.array(ca.densify(program.jacobian(np.ones(nlp.columns) / sizes, p)[1])))
    per_row = jacobian.max(axis=1).reshape(3, -1)  # copies of a row share a factor
    assert per_row.max(axis=0) == pytest.approx(np.ones(per_row.shape[1]))
    assert np.abs(np.array(program.gradient(np.ones(nlp.columns), p)[1])).max() == pytest.approx(1.0)


def test_the_previous_optimum_with_its_multipliers_is_a_good_start_for_changed_data(tools):
    segment = tools.Segment("react", tools.ray(), (tools.Profile.steps(np.linspace(0, 1, 11)),))
    block = transcribe(segment, np.linspace(0.0, 1.0, 11)).block
    links = [
        *tools.fixed(block, [1.0, 0.0], duration=[1.0], parameters=[]),
        tools.decide(block.slot("input:T"), "T", 298.0, 398.0),
        tools.objective(block.port("end")[:2], minimize=lambda v: -v[1]),
    ]
    cold = tools.solve([block], links, guess={"T": 340.0})
    first, nlp = cold.outcome, cold.nlp
    data = nlp.data.copy()
    data[nlp.where(block.slot("start")) - nlp.columns] = [1.01, 0.0]
    pair = (first.row_multipliers, first.bound_multipliers)
    again = cold.engine.solve(first.w, cold.scaling, nlp.lower, nlp.upper, data, pair)
    fresh = cold.engine.solve(cold.start, cold.scaling, nlp.lower, nlp.upper, data)
    assert again.status is Status.SOLVED
    assert again.objective == pytest.approx(fresh.objective, abs=1e-8)
    assert again.iterations < fresh.iterations


@pytest.mark.parametrize("kind", [Ipopt, Fatrop])
@pytest.mark.parametrize("tolerance", [-1.0, 0.0, float("nan"), "1e-8", None, True])
def test_a_bad_tolerance_is_refused(kind, tolerance):
    with pytest.raises(SpecificationError, match=f"{kind.__name__}: tolerance must be a positive number, got"):
        kind(tolerance=tolerance)


@pytest.mark.parametrize("kind", [Ipopt, Fatrop])
@pytest.mark.parametrize("iterations", [0, -5, 1.5, "3", True])
def test_a_bad_iteration_limit_is_refused(kind, iterations):
    text = f"{kind.__name__}: iterations must be a whole number of at least 1, got"
    with pytest.raises(SpecificationError, match=text):
        kind(iterations=iterations)


@pytest.mark.parametrize("seconds", [0.0, -3.0, float("nan"), "10"])
def test_a_bad_time_limit_is_refused(seconds):
    with pytest.raises(SpecificationError, match="Ipopt: seconds must be a positive number, got"):
        Ipopt(seconds=seconds)


def test_pardiso_is_refused_when_it_is_asked_for():
    with pytest.raises(SpecificationError, match="linear_solver 'pardiso' of CasADi's wheel crashes"):
        Ipopt(options={"linear_solver": "pardiso"})
    assert Ipopt(options={"linear_solver": "spral"}).options == {"linear_solver": "spral"}


def growth(tools):
    """x' = u x with a limit on x; the largest end is sought."""
    dae = tools.make_dae(lambda t, x, z, u, p: [u[0] * x[0]], nu=1)
    limit = PathRow(tools.point_function(dae, lambda t, x, z, u, p: x[0]), -np.inf, 2.0, "limit")
    segment = tools.Segment("grow", dae, (tools.Profile.steps(np.linspace(0.0, 1.0, 5)),), (limit,))
    block = transcribe(segment, np.linspace(0.0, 1.0, 9)).block
    links = [
        *tools.fixed(block, [1.0], duration=[1.0], parameters=[]),
        tools.decide(block.slot("input:u0"), "u0", 0.0, 5.0),
        tools.objective(
            block.port("end")[:1], block.slot("input:u0"), minimize=lambda v: ca.sumsqr(v[1:]) / 100 - v[0]
        ),
    ]
    return block, links


@pytest.mark.parametrize("solver", [Ipopt(), Fatrop()], ids=["IPOPT", "fatrop"])
def test_limits_are_changed_without_rebuilding_and_the_first_problem_stays(solver, tools):
    block, links = growth(tools)
    solved = tools.solve([block], links, solver, {"u0": 0.3})
    other = solved.engine.limited({"limit": (-np.inf, 1.5), "no such row": (0.0, 0.0)})
    ends = []
    for engine in (solved.engine, other, solved.engine):
        outcome = engine.solve(solved.start, solved.scaling, engine.nlp.lower, engine.nlp.upper)
        assert outcome.status is Status.SOLVED
        ends.append(solved.nlp.values(block.port("end"), outcome.w)[0])
    assert ends == pytest.approx([2.0, 1.5, 2.0], abs=1e-6)
    assert other.program.nlp is other.nlp
    assert other.program.jacobian is solved.engine.program.jacobian  # nothing was built again
    assert other.nlp.row_bounds()[1].max() == 1.5
    assert solved.nlp.row_bounds()[1].max() == 2.0
    looser = solved.engine.loosened({"limit": (1.0, 0.25)})
    outcome = looser.solve(solved.start, solved.scaling, looser.nlp.lower, looser.nlp.upper)
    assert solved.nlp.values(block.port("end"), outcome.w)[0] == pytest.approx(2.25, abs=1e-6)
    np.testing.assert_array_equal(looser.nlp.row_bounds()[0], solved.nlp.row_bounds()[0])  # there is none below


@pytest.mark.parametrize("solver", [Ipopt(tolerance=1e-9), Fatrop()], ids=["IPOPT", "fatrop"])
def test_an_engine_is_pickled_and_solves_the_same(solver, tools):
    block, links = growth(tools)
    solved = tools.solve([block], links, solver, {"u0": 0.3})
    again = pickle.loads(pickle.dumps(solved.engine))
    assert again.solver == solver
    outcome = again.solve(solved.start, solved.scaling, again.nlp.lower, again.nlp.upper)
    assert outcome.w == pytest.approx(solved.outcome.w, abs=1e-12)
