"""SQP built once finds the optimum of IPOPT, says what it could not do, and its feedback is its first step."""

from __future__ import annotations

import pickle
from dataclasses import replace

import casadi as ca
import numpy as np
import pytest

from titer.numerics.collocation import Points
from titer.numerics.errors import SpecificationError
from titer.numerics.nlp import Labels, Same, Tie, Wire, join, slots_block
from titer.numerics.program import Scaling
from titer.numerics.realtime import Curvature, Sqp, SqpEngine
from titer.numerics.segment import Integrand, PathRow
from titer.numerics.solvers import Engine, Ipopt, Status
from titer.numerics.transcribe import transcribe

FAMILIES = pytest.mark.parametrize("points", list(Points), ids=lambda p: p.value)
CURVATURES = pytest.mark.parametrize("curvature", [Curvature.AUTOMATIC, Curvature.EXACT], ids=lambda c: c.name)
TIGHT = Sqp(tolerance=1e-8, iterations=60)
GUESS = {"T": 340.0, "slack": 0.0, "duration": 1.0}


def reactor(tools, elements, pieces, points=Points.RADAU, name="react", dae=None, lines=False, **options):
    shape = tools.Profile.lines if lines else tools.Profile.steps
    segment = tools.Segment(name, dae or tools.ray(), (shape(np.linspace(0.0, 1.0, pieces + 1)),), **options)
    return transcribe(segment, np.linspace(0.0, 1.0, elements + 1), 3, points).block


def temperatures(tools, block):
    return tools.decide(block.slot("input:T"), "T", 298.0, 398.0)


def tracked(tools, target=0.3):
    """The integral of (x2 - target)^2."""
    dae = tools.ray()
    return Integrand(tools.point_function(dae, lambda t, x, z, u, p: 1e2 * (x[1] - target) ** 2), 1.0)


def prices(tools, block, scale=0.2):
    """A price of what differs from 340 K, so that an optimum is one point."""
    cells = block.slot("input:T")
    return tools.objective(cells, minimize=lambda v: scale * ca.sumsqr((v - 340.0) / 10.0))


def tracking(tools, pieces=10, points=Points.RADAU, **options):
    block = reactor(tools, pieces, pieces, points, integrands=(tracked(tools),), **options)
    links = [
        *tools.fixed(block, [1.0, 0.0], duration=[1.0], parameters=[]),
        temperatures(tools, block),
        prices(tools, block),
    ]
    return [block], links


def economic(tools, points=Points.RADAU, dae=None, lines=False, price=1e-6, **options):
    block = reactor(tools, 10, 10, points, dae=dae, lines=lines, **options)
    links = [
        *tools.fixed(block, [1.0, 0.0], duration=[1.0], parameters=[]),
        temperatures(tools, block),
        tools.objective(block.port("end")[:2], minimize=lambda v: -v[1]),
        prices(tools, block, price),
    ]
    return [block], links


def solved_by_both(tools, blocks, links, sqp=TIGHT, decisions=1e-6):
    """IPOPT's solution and the engine's outcome, which agree."""
    ipopt = tools.solve(blocks, links, Ipopt(tolerance=1e-11), GUESS)
    assert ipopt.outcome.status.ok
    engine = SqpEngine(ipopt.nlp, ipopt.scaling, sqp)
    outcome = engine.solve(simulated(ipopt))
    assert outcome.status is Status.SOLVED, outcome.message
    assert outcome.violation < 1e-9
    assert outcome.objective == pytest.approx(ipopt.outcome.objective, abs=1e-7, rel=1e-6)
    assert outcome.w / ipopt.scaling.columns == pytest.approx(ipopt.outcome.w / ipopt.scaling.columns, abs=decisions)
    return ipopt, engine, outcome


def simulated(solved):
    """What follows at 340 K all along: as every start is made."""
    warm = solved.nlp.upper == 398.0
    lower, upper = np.where(warm, 340.0, solved.nlp.lower), np.where(warm, 340.0, solved.nlp.upper)
    nlp = replace(solved.nlp, batches=tuple(b for b in solved.nlp.batches if b.stage is not None))
    return Engine(nlp, Ipopt()).solve(solved.start, Scaling(solved.scaling.columns, np.ones(nlp.rows)), lower, upper).w


@FAMILIES
@CURVATURES
def test_a_tracked_concentration_has_the_optimum_of_ipopt(points, curvature, tools):
    sqp = Sqp(tolerance=1e-9, iterations=60, curvature=curvature)
    _, engine, _ = solved_by_both(tools, *tracking(tools, points=points), sqp=sqp)
    assert engine.curvature is (Curvature.EXACT if curvature is Curvature.EXACT else Curvature.OBJECTIVE)


@FAMILIES
def test_an_economic_objective_has_the_optimum_and_the_multipliers_of_ipopt(points, tools):
    ipopt, engine, outcome = solved_by_both(tools, *economic(tools, points), decisions=1e-5)
    assert engine.curvature is Curvature.EXACT
    rows = ipopt.scaling.objective / ipopt.scaling.rows
    assert outcome.row_multipliers * rows == pytest.approx(ipopt.outcome.row_multipliers * rows, abs=1e-5)
    assert outcome.stationarity < 1e-8
    assert outcome.complementarity < 1e-8


def test_algebraic_variables_and_joined_lines_leave_a_step_like_states(tools):
    solved_by_both(tools, *economic(tools, dae=tools.ray_with_rates()), decisions=1e-5)
    solved_by_both(tools, *economic(tools, lines=True), decisions=1e-5)


def test_a_path_constraint_binds_at_points_inside_elements(tools):
    dae = tools.ray()
    path = PathRow(tools.point_function(dae, lambda t, x, z, u, p: x[0] + 0.5 * x[1]), 0.62, np.inf, "left", False)
    blocks, links = economic(tools, paths=(path,))
    ipopt, _, outcome = solved_by_both(tools, blocks, links, decisions=1e-5)
    x = ipopt.nlp.values(Wire("react", blocks[0].ports["x"].ravel()), outcome.w).reshape(2, -1)[:, 1:]
    assert (x[0] + 0.5 * x[1]).min() == pytest.approx(0.62, abs=1e-8)


def test_bounds_of_states_inside_elements_hold(tools):
    blocks, links = economic(tools, price=1e-3)
    ipopt = tools.solve(blocks, links, Ipopt(tolerance=1e-11), GUESS)
    product = np.array([ipopt.nlp.column_name(i).startswith("x1") for i in range(ipopt.nlp.columns)])
    nlp = replace(ipopt.nlp, upper=np.where(product, 0.5, ipopt.nlp.upper))
    outcome = SqpEngine(nlp, ipopt.scaling, TIGHT).solve(simulated(ipopt))
    assert outcome.status is Status.SOLVED
    assert outcome.w[product].max() == pytest.approx(0.5, abs=1e-9)
    kept = ipopt.engine.solve(outcome.w, ipopt.scaling, nlp.lower, nlp.upper)  # there are several optima
    assert outcome.objective == pytest.approx(kept.objective, abs=1e-8)


def test_a_free_duration_is_shared_by_all_elements(tools):
    block = reactor(tools, 10, 10)
    links = [
        *tools.fixed(block, [1.0, 0.0], parameters=[]),
        tools.decide(block.slot("duration"), "duration", 0.2, 3.0),
        temperatures(tools, block),
        tools.objective(block.port("end")[:2], block.slot("duration"), minimize=lambda v: 0.2 * v[2] - v[1]),
        prices(tools, block, 1e-6),
    ]
    ipopt, _, outcome = solved_by_both(tools, [block], links, decisions=1e-5)
    assert 0.25 < ipopt.nlp.values(block.slot("duration"), outcome.w)[0] < 2.9


def test_two_phases_and_an_end_that_is_prescribed(tools):
    first, second = reactor(tools, 5, 5), reactor(tools, 5, 5, name="finish")
    links = [
        *tools.fixed(first, [1.0, 0.0], duration=[0.5], parameters=[]),
        *tools.fixed(second, duration=[0.5], parameters=[]),
        Same(second.slot("start"), first.port("end")[:2]),
        temperatures(tools, first),
        temperatures(tools, second),
        prices(tools, first, 1.0),
        prices(tools, second, 1.0),
        tools.equality(second.port("end")[:2], rows=lambda v: [v[1] - 0.4], name="product at the end"),
    ]
    ipopt, _, outcome = solved_by_both(tools, [first, second], links)
    assert ipopt.nlp.values(second.port("end")[1], outcome.w)[0] == pytest.approx(0.4, abs=1e-9)


def softened(tools, target):
    """A limit at the end that a slack with a price may miss."""
    block, soft = reactor(tools, 10, 10, integrands=(tracked(tools),)), slots_block("soft", slack=1)
    v = ca.SX.sym("v", 3)
    limit = ca.Function("limit", [v], [v[1] + v[2], ca.SX(0.0)])
    links = [
        *tools.fixed(block, [1.0, 0.0], duration=[1.0], parameters=[]),
        temperatures(tools, block),
        prices(tools, block),
        tools.decide(soft.slot("slack"), "slack", 0.0, np.inf),
        tools.objective(soft.slot("slack"), minimize=lambda v: 50.0 * v[0]),
        Tie(
            limit,
            (block.port("end")[:2], soft.slot("slack")),
            np.array([target]),
            np.array([np.inf]),
            Labels.of(["at least"]),
        ),
    ]
    return [block, soft], links, soft


@pytest.mark.parametrize(("target", "missed"), [(0.4, False), (0.9, True)])
def test_a_linear_price_of_a_slack_is_no_reason_for_exact_curvature(target, missed, tools):
    blocks, links, soft = softened(tools, target)
    ipopt, engine, outcome = solved_by_both(tools, blocks, links, decisions=1e-5)
    assert engine.curvature is Curvature.OBJECTIVE
    assert bool(ipopt.nlp.values(soft.slot("slack"), outcome.w)[0] > 1e-3) is missed


def tree(tools, scenarios, pieces):
    """Reactors that start elsewhere and share the first temperature."""
    blocks = [reactor(tools, pieces, pieces, name=f"{s}", integrands=(tracked(tools),)) for s in range(scenarios)]
    links = []
    for s, block in enumerate(blocks):
        cells = block.slot("input:T")
        links += tools.fixed(block, [1.0, 0.02 * s], duration=[1.0], parameters=[])
        links.append(tools.decide(cells if s == 0 else cells[1:], "T", 298.0, 398.0))
        links += [Same(cells[0], blocks[0].slot("input:T")[0])] if s else []
        links.append(prices(tools, block))
    return blocks, links


@pytest.mark.parametrize(("scenarios", "form"), [(3, "Condensed"), (12, "Sparse")])
def test_a_tree_of_scenarios_shares_its_first_move(scenarios, form, tools):
    blocks, links = tree(tools, scenarios, 10)
    ipopt, engine, outcome = solved_by_both(
        tools, blocks, links, sqp=Sqp(tolerance=1e-7, iterations=60), decisions=1e-5
    )
    assert type(engine._way.form).__name__ == form
    first = [ipopt.nlp.values(block.slot("input:T")[0], outcome.w)[0] for block in blocks]
    assert np.ptp(first) == 0.0


def test_other_data_and_bounds_need_nothing_built_again(tools):
    blocks, links = economic(tools)
    ipopt, engine, outcome = solved_by_both(tools, blocks, links, decisions=1e-5)
    start = ipopt.nlp.where(blocks[0].slot("start")) - ipopt.nlp.columns
    data = ipopt.nlp.data.copy()
    data[start] = [0.9, 0.05]
    upper = np.where(ipopt.nlp.upper == 398.0, 350.0, ipopt.nlp.upper)
    again = engine.solve(outcome.w, data, upper=upper, multipliers=(outcome.row_multipliers, outcome.bound_multipliers))
    other = ipopt.engine.solve(ipopt.start, ipopt.scaling, ipopt.nlp.lower, upper, data)
    assert again.objective == pytest.approx(other.objective, abs=1e-8)
    assert again.w.max() <= 350.0


def test_exact_curvature_converges_quadratically(tools):
    blocks, links = economic(tools)
    ipopt, _, outcome = solved_by_both(tools, blocks, links, decisions=1e-5)
    multipliers = (outcome.row_multipliers, outcome.bound_multipliers)
    errors = []
    for distance in (1e-2, 1e-3):
        engine = SqpEngine(ipopt.nlp, ipopt.scaling, Sqp(tolerance=1e-12, iterations=1))
        w = outcome.w + distance * ipopt.scaling.columns * np.random.default_rng(3).normal(size=len(outcome.w)) * 0.1
        errors.append(np.abs((engine.solve(w, multipliers=multipliers).w - outcome.w) / ipopt.scaling.columns).max())
    assert errors[1] < 0.03 * errors[0]


def test_feedback_is_the_first_step_and_nearly_the_solution(tools):
    ipopt, engine, outcome = solved_by_both(tools, *tracking(tools))
    data, cells = ipopt.nlp.data.copy(), ipopt.nlp.where(ipopt_start(tools)) - ipopt.nlp.columns
    first = SqpEngine(ipopt.nlp, ipopt.scaling, Sqp(tolerance=1e-9, iterations=1))
    prepared = first.prepare(outcome.w, data)
    errors = []
    for distance in (0.02, 0.01):
        data[cells] = [1.0 - distance, distance]
        step = first.feedback(prepared, data)
        assert step.status is Status.SOLVED
        assert step.violation < 10.0 * distance**2
        exact = engine.solve(outcome.w, data)
        errors.append(np.abs((step.w - exact.w) / ipopt.scaling.columns).max())
    assert errors[0] < 0.05
    assert errors[1] < 0.6 * errors[0]
    once = first.solve(outcome.w, data)
    assert first.step(outcome.w, data).w == pytest.approx(once.w, abs=1e-9)


def ipopt_start(tools):
    return reactor(tools, 10, 10, integrands=(tracked(tools),)).slot("start")


def test_a_program_without_a_solution_is_reported(tools):
    block = reactor(tools, 10, 10)
    links = [
        *tools.fixed(block, [1.0, 0.0], duration=[1.0], parameters=[]),
        temperatures(tools, block),
        prices(tools, block),
        tools.equality(block.port("end")[:2], rows=lambda v: [v[1] - 2.0], name="more than there is"),
    ]
    nlp = join([block], links)
    w = np.where(nlp.upper == 398.0, 340.0, 0.5)
    scaling = Engine(nlp, Ipopt()).scaling(w, np.maximum(np.abs(w), 1.0))
    outcome = SqpEngine(nlp, scaling).solve(w)
    assert outcome.status in (Status.INFEASIBLE, Status.ITERATIONS)
    assert not outcome.status.ok
    assert np.isfinite(outcome.w).all()
    assert outcome.violation > 1e-3


def test_numbers_that_are_not_finite_are_reported(tools):
    ipopt, engine, outcome = solved_by_both(tools, *tracking(tools))
    data = np.full(len(ipopt.nlp.data), np.nan)
    for result in (engine.solve(outcome.w, data), engine.step(outcome.w, data)):
        assert result.status is Status.INVALID_NUMBER
        assert "not finite" in result.message
        assert result.w == pytest.approx(outcome.w)
    assert engine.solve(outcome.w).status is Status.SOLVED  # and nothing of it stays


def test_a_time_limit_ends_a_solve(tools):
    ipopt, engine, _ = solved_by_both(tools, *tracking(tools))
    outcome = engine.solve(ipopt.start, seconds=1e-9)
    assert outcome.status is Status.TIME
    assert outcome.iterations == 0


def test_a_bound_that_nobody_foresaw_is_refused(tools):
    ipopt, engine, outcome = solved_by_both(tools, *tracking(tools))
    with pytest.raises(SpecificationError, match=r"x0 @ react.*had no bounds when the engine was built"):
        engine.solve(outcome.w, upper=np.minimum(ipopt.nlp.upper, 500.0))


def test_elements_in_a_circle_are_refused(tools):
    block = reactor(tools, 5, 5)
    links = [
        *tools.fixed(block, duration=[1.0], parameters=[]),
        Same(block.slot("start"), block.port("end")[:2]),
        temperatures(tools, block),
    ]
    nlp = join([block], links)
    scaling = Engine(nlp, Ipopt()).scaling(np.full(nlp.columns, 0.5), np.ones(nlp.columns))
    with pytest.raises(SpecificationError, match="circle"):
        SqpEngine(nlp, scaling)


def test_settings_are_checked():
    for bad in ({"tolerance": 0.0}, {"seconds": -1.0}, {"iterations": 0}, {"curvature": "exact"}):
        with pytest.raises(SpecificationError, match=f"Sqp: {next(iter(bad))}"):
            Sqp(**bad)


def test_an_engine_travels_to_another_process(tools):
    _, engine, outcome = solved_by_both(tools, *tracking(tools))
    blocks = engine.nlp.batches
    assert len(blocks)
    copy = pickle.loads(pickle.dumps(engine))
    assert copy.solve(outcome.w).objective == pytest.approx(outcome.objective, rel=1e-9)
