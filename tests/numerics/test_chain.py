"""The stage view of a problem has the same optimum: fatrop agrees with IPOPT."""

from __future__ import annotations

import numpy as np
import pytest

from titer.numerics.chain import chain
from titer.numerics.collocation import Points
from titer.numerics.errors import SpecificationError
from titer.numerics.nlp import Same, join, slots_block
from titer.numerics.program import Program, Scaling
from titer.numerics.segment import Integrand, PathRow
from titer.numerics.solvers import Fatrop, Ipopt, Status
from titer.numerics.transcribe import transcribe

FAMILIES = pytest.mark.parametrize("points", list(Points), ids=lambda p: p.value)
GUESS = {"T": 340.0}


def reactor(tools, elements, pieces, points=Points.RADAU, name="react", lines=False, **options):
    shape = tools.Profile.lines if lines else tools.Profile.steps
    segment = tools.Segment(name, tools.ray(), (shape(np.linspace(0.0, 1.0, pieces + 1)),), **options)
    return transcribe(segment, np.linspace(0.0, 1.0, elements + 1), 3, points).block


def temperatures(tools, block):
    return tools.decide(block.slot("input:T"), "T", 298.0, 398.0)


def agree(tools, blocks, links, guess=GUESS, decisions=1e-4):
    """Solve by both; the optima, the decisions and the residuals agree. Returns IPOPT's solution."""
    ipopt = tools.solve(blocks, links, Ipopt(tolerance=1e-9), guess)
    fatrop = tools.solve(blocks, links, Fatrop(tolerance=1e-9), guess)
    for solved in (ipopt, fatrop):
        assert solved.outcome.status is Status.SOLVED
        assert solved.outcome.violation < 1e-7
        assert solved.outcome.stationarity < 1e-6
    assert fatrop.outcome.objective == pytest.approx(ipopt.outcome.objective, abs=1e-7)
    sizes = ipopt.scaling.columns
    assert fatrop.outcome.w / sizes == pytest.approx(ipopt.outcome.w / sizes, abs=decisions)
    return ipopt


@FAMILIES
def test_the_published_temperature_benchmark_with_twenty_pieces(points, tools):
    block = reactor(tools, 20, 20, points)
    links = [
        *tools.fixed(block, [1.0, 0.0], duration=[1.0], parameters=[]),
        temperatures(tools, block),
        tools.objective(block.port("end")[:2], minimize=lambda v: -v[1]),
    ]
    solved = agree(tools, [block], links)
    assert -solved.outcome.objective == pytest.approx(0.610454, abs=1e-6)


@FAMILIES
def test_a_free_duration_with_a_time_cost(points, tools):
    block = reactor(tools, 20, 20, points)
    links = [
        *tools.fixed(block, [1.0, 0.0], parameters=[]),
        tools.decide(block.slot("duration"), "duration", 0.2, 3.0),
        temperatures(tools, block),
        tools.objective(block.port("end")[:2], block.slot("duration"), minimize=lambda v: 0.2 * v[2] - v[1]),
    ]
    solved = agree(tools, [block], links)
    assert 0.25 < solved.values(block.slot("duration"))[0] < 2.9  # the time cost binds, not a bound


@FAMILIES
def test_a_control_held_over_several_elements(points, tools):
    block = reactor(tools, 20, 5, points)
    links = [
        *tools.fixed(block, [1.0, 0.0], duration=[1.0], parameters=[]),
        temperatures(tools, block),
        tools.objective(block.port("end")[:2], minimize=lambda v: -v[1]),
    ]
    solved = agree(tools, [block], links)
    assert solved.values(block.slot("input:T")).shape == (5,)


@FAMILIES
def test_a_piecewise_linear_control_with_a_path_and_an_integral(points, tools):
    dae = tools.ray()
    path = PathRow(tools.point_function(dae, lambda t, x, z, u, p: u[0] + 60.0 * x[1]), -np.inf, 360.0, "heat limit")
    cost = Integrand(tools.point_function(dae, lambda t, x, z, u, p: ((u[0] - 330.0) / 30.0) ** 2), 0.05)
    block = reactor(tools, 12, 6, points, lines=True, paths=(path,), integrands=(cost,))
    links = [
        *tools.fixed(block, [1.0, 0.0], duration=[1.0], parameters=[]),
        temperatures(tools, block),
        tools.objective(block.port("end")[:2], minimize=lambda v: -v[1]),
    ]
    solved = agree(tools, [block], links)
    rows = solved.engine.program.values(
        solved.outcome.w / solved.scaling.columns, solved.engine.program.parameters(solved.scaling)
    )[1]
    heat = np.array(rows).ravel() / solved.scaling.rows
    limits = [solved.nlp.row_name(i).startswith("heat limit") for i in range(solved.nlp.rows)]
    assert heat[limits].max() == pytest.approx(360.0, abs=1e-5)
    assert (heat[limits] > 359.999).sum() >= 3


@FAMILIES
def test_two_phases_with_a_reset_between_them(points, tools):
    first, second = reactor(tools, 8, 8, points, "first"), reactor(tools, 6, 3, points, "second")

    def reset(v):  # half the broth is taken, fresh feed added
        return [v[2] - (0.5 * v[0] + 0.5), v[3] - 0.5 * v[1]]

    links = [
        *tools.fixed(first, [1.0, 0.0], parameters=[]),
        *tools.fixed(second, parameters=[]),
        tools.decide(first.slot("duration"), "duration", 0.1, 2.0),
        tools.decide(second.slot("duration"), "duration", 0.1, 2.0),
        tools.decide(second.slot("start"), "start", 0.0, 2.0),
        tools.equality(first.port("end")[:2], second.slot("start"), rows=reset, name="reset"),
        temperatures(tools, first),
        temperatures(tools, second),
        tools.objective(
            second.port("end")[:2],
            first.slot("duration"),
            second.slot("duration"),
            minimize=lambda v: 0.15 * (v[2] + v[3]) - v[1],
        ),
    ]
    solved = agree(tools, [first, second], links)
    end, start = solved.values(first.port("end")), solved.values(second.slot("start"))
    assert start == pytest.approx([0.5 * end[0] + 0.5, 0.5 * end[1]], abs=1e-8)


def test_phases_that_share_a_decision_and_one_state(tools):
    first, second = reactor(tools, 6, 1, name="first"), reactor(tools, 6, 6, name="second")
    shared = slots_block("shared", duration=1)
    links = [
        *tools.fixed(first, [1.0, 0.0], parameters=[]),
        *tools.fixed(second, parameters=[]),
        tools.decide(shared.slot("duration"), "duration", 0.1, 2.0),
        Same(first.slot("duration"), shared.slot("duration")),
        Same(second.slot("duration"), shared.slot("duration")),
        Same(second.slot("start"), first.port("x")[:, -1]),
        temperatures(tools, first),
        temperatures(tools, second),
        tools.objective(second.port("end")[:2], shared.slot("duration"), minimize=lambda v: 0.2 * v[2] - v[1]),
    ]
    agree(tools, [shared, first, second], links)


def test_a_dae_with_algebraics_at_its_start(tools):
    segment = tools.Segment(
        "react", tools.ray_with_rates(), (tools.Profile.steps(np.linspace(0, 1, 11)),), needs_start=True
    )
    block = transcribe(segment, np.linspace(0.0, 1.0, 11)).block
    links = [
        *tools.fixed(block, [1.0, 0.0], duration=[1.0], parameters=[]),
        temperatures(tools, block),
        tools.objective(block.port("start"), block.port("end")[:2], minimize=lambda v: 0.01 * v[2] - v[6]),
    ]
    agree(tools, [block], links)


def test_what_fatrop_reached_before_a_limit_or_without_an_answer_is_kept(tools):
    block = reactor(tools, 8, 8)
    links = [
        *tools.fixed(block, [1.0, 0.0], duration=[1.0], parameters=[]),
        temperatures(tools, block),
        tools.objective(block.port("end")[:2], minimize=lambda v: -v[1]),
    ]
    cut = tools.solve([block], links, Fatrop(iterations=2), GUESS).outcome
    assert cut.status is Status.ITERATIONS
    assert cut.iterations <= 3
    assert np.isfinite(cut.w).all()
    impossible = tools.equality(block.port("end")[:2], rows=lambda v: [v[0] + v[1] - 1.5], name="too much")
    failed = tools.solve([block], [*links, impossible], Fatrop(iterations=100), GUESS).outcome
    assert not failed.status.ok
    assert failed.violation > 1e-3


def test_the_chain_lists_each_stage_and_carries_what_lives_on(tools):
    block = reactor(tools, 4, 2)
    links = [
        *tools.fixed(block, [1.0, 0.0], parameters=[]),
        tools.decide(block.slot("duration"), "duration", 0.2, 3.0),
        temperatures(tools, block),
        tools.objective(block.port("end")[:2], minimize=lambda v: -v[1]),
    ]
    nlp = join([block], links)
    made = chain(nlp)
    assert made.stages == 4
    # carried: duration everywhere, the two end states, and the temperature inside its piece
    assert made.nx == [0, 4, 3, 4]
    assert made.nu == [8, 6, 7, 6]
    assert made.ng == [6, 6, 6, 6]
    assert sum(made.nx) + sum(made.nu) == made.nlp.columns
    assert made.nlp.rows == sum(made.ng) + sum(made.nx)
    assert all(made.equality)
    assert np.bincount(made.columns[made.first], minlength=nlp.columns).tolist() == [1] * nlp.columns


def test_the_chain_evaluates_like_the_lean_problem(tools, rng):
    block = reactor(tools, 4, 2)
    links = [
        *tools.fixed(block, [1.0, 0.0], parameters=[]),
        tools.decide(block.slot("duration"), "duration", 0.2, 3.0),
        temperatures(tools, block),
        tools.objective(block.port("end")[:2], block.slot("duration"), minimize=lambda v: v[2] ** 2 - v[1]),
    ]
    nlp = join([block], links)
    made = chain(nlp)
    w = rng.uniform(0.5, 1.0, nlp.columns) * np.where(nlp.upper > 100.0, 350.0, 1.0)
    lean, staged = Program(nlp), Program(made.nlp)
    ones = Scaling(np.ones(nlp.columns), np.ones(nlp.rows))
    f, g = lean.values(w, lean.parameters(ones))
    stage_ones = Scaling(np.ones(made.nlp.columns), np.ones(made.nlp.rows))
    stage_f, stage_g = staged.values(w[made.columns], staged.parameters(stage_ones))
    rows = np.empty(made.nlp.rows)
    rows[made.nlp.rows_order] = np.array(stage_g).ravel()
    assert float(stage_f) == pytest.approx(float(f), rel=1e-14)
    assert rows[: nlp.rows] == pytest.approx(np.array(g).ravel(), rel=1e-14)
    assert rows[nlp.rows :] == pytest.approx(np.zeros(made.nlp.rows - nlp.rows))


def test_a_problem_without_time_and_a_column_that_nothing_reads_are_refused(tools):
    loose = slots_block("loose", a=2)
    link = tools.decide(loose.slot("a"), "a", 0.0, 1.0)
    goal = tools.objective(loose.slot("a"), minimize=lambda v: v[0])
    with pytest.raises(SpecificationError, match=r"no part of this problem has a place in time. Use Ipopt\(\)"):
        chain(join([loose], [link, goal]))
    block = reactor(tools, 2, 1)
    links = [*tools.fixed(block, [1.0, 0.0], duration=[1.0], parameters=[]), temperatures(tools, block)]
    with pytest.raises(SpecificationError, match="Fatrop: a enters no equation; a chain has no place for it"):
        chain(join([block, loose], [*links, link, goal]))
