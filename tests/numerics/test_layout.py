"""Paths hold right after jumps of inputs; elements move with ends of pieces that are decided."""

from __future__ import annotations

import numpy as np
import pytest

from titer.numerics.collocation import Points
from titer.numerics.nlp import Fix, join
from titer.numerics.segment import PathRow
from titer.numerics.shooting import Shooting, shoot
from titer.numerics.solvers import Fatrop, Ipopt, Status
from titer.numerics.transcribe import transcribe

FAMILIES = pytest.mark.parametrize("points", list(Points), ids=lambda p: p.value)
SOLVERS = pytest.mark.parametrize("solver", [Ipopt(), Fatrop()], ids=["IPOPT", "fatrop"])
LIMIT = 0.4
EDGES = np.linspace(0.0, 1.0, 5)


def draining(tools, algebraic, edges=EDGES, **options):
    """x' = -q with q = u x at most 0.4, as an algebraic variable or read from the input."""
    if algebraic:
        dae = tools.make_dae(lambda t, x, z, u, p: [-z[0]], lambda t, x, z, u, p: [z[0] - u[0] * x[0]], nz=1, nu=1)
        value = tools.point_function(dae, lambda t, x, z, u, p: z[0])
    else:
        dae = tools.make_dae(lambda t, x, z, u, p: [-u[0] * x[0]], nu=1)
        value = tools.point_function(dae, lambda t, x, z, u, p: u[0] * x[0])
    path = PathRow(value, -np.inf, LIMIT, "limit", at_start=True)
    return tools.Segment("drain", dae, (tools.Profile.steps(edges),), (path,), needs_start=algebraic, **options)


def problem(tools, block):
    return [
        *tools.fixed(block, [1.0], duration=[2.0], parameters=[]),
        tools.decide(block.slot("input:u0"), "u0", 0.0, 3.0),
        tools.objective(block.port("end")[:1], minimize=lambda v: v[0]),
    ]


def exact():
    """q falls within a piece, so that each begins on the limit: u = 0.4 / x, x times exp(-0.2 / x)."""
    x, u = 1.0, []
    for _ in range(4):
        u.append(LIMIT / x)
        x *= np.exp(-u[-1] * 0.5)
    return np.array(u), x


@FAMILIES
@SOLVERS
@pytest.mark.parametrize("algebraic", [False, True], ids=["input", "algebraic"])
def test_a_path_holds_right_after_an_input_jumps(points, solver, algebraic, tools):
    block = transcribe(draining(tools, algebraic), np.linspace(0.0, 1.0, 9), 3, points).block
    solved = tools.solve([block], problem(tools, block), solver)
    assert solved.outcome.status is Status.SOLVED
    u, end = exact()
    assert solved.values(block.slot("input:u0")) == pytest.approx(u, abs=2e-6)
    assert solved.values(block.port("x"))[0, -1] == pytest.approx(end, abs=2e-6)
    if algebraic:
        assert solved.values(block.port("jumped"))[0] == pytest.approx([LIMIT] * 3, abs=1e-6)


@pytest.mark.parametrize("algebraic", [False, True], ids=["input", "algebraic"])
def test_a_path_holds_right_after_a_jump_where_the_phase_is_shot(algebraic, tools):
    block = shoot(draining(tools, algebraic), np.linspace(0.0, 1.0, 5), Shooting()).block
    solved = tools.solve([block], problem(tools, block))
    assert solved.outcome.status is Status.SOLVED
    assert solved.values(block.slot("input:u0")) == pytest.approx(exact()[0], abs=2e-6)


def test_instants_after_jumps_are_there_only_where_a_path_jumps(tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [-z[0] + u[1]], lambda t, x, z, u, p: [z[0] - u[0] * x[0]], nz=1, nu=2)
    shapes = (tools.Profile.steps(np.array([0.0, 0.5, 1.0])), tools.Profile.broken(np.array([0.0, 0.25, 1.0])))
    tests = {
        "state": (lambda t, x, z, u, p: x[0], []),
        "steps alone": (lambda t, x, z, u, p: u[0], []),
        "line": (lambda t, x, z, u, p: u[1], ["line @ s, 0.25 of the phase"]),
        "steps and state": (lambda t, x, z, u, p: u[0] + x[0], ["steps and state @ s, 0.5 of the phase"]),
        "flow": (lambda t, x, z, u, p: z[0], ["equation 0 @ s, 0.5 of the phase", "flow @ s, 0.5 of the phase"]),
    }
    for name, (value, expected) in tests.items():
        path = PathRow(tools.point_function(dae, value), 0.0, 1.0, name)
        block = transcribe(tools.Segment("s", dae, shapes, (path,)), np.array([0.0, 0.25, 0.5, 1.0])).block
        assert block.ports["jumped"].shape == (1, 1 if name == "flow" else 0)
        links = [*tools.fixed(block, [1.0], duration=[1.0], parameters=[])]
        links += [tools.decide(block.slot(f"input:u{i}"), f"u{i}", 0.0, 1.0) for i in (0, 1)]
        nlp = join([block], links)
        count = sum(batch.rows * batch.copies for batch in block.batches[:1])
        assert [nlp.row_name(i) for i in range(count, nlp.rows)] == expected
    line = PathRow(tools.point_function(dae, tests["flow"][0]), 0.0, 1.0, "limit")
    smooth = (tools.Profile.lines(EDGES), tools.Profile.lines(EDGES))
    assert len(transcribe(tools.Segment("s", dae, smooth, (line,)), EDGES).block.batches) == 1


def test_an_instant_after_a_jump_stands_in_the_stage_that_begins_there(tools):
    block = transcribe(draining(tools, True), np.linspace(0.0, 1.0, 9)).block
    jumps = block.batches[-1]
    assert jumps.stage.tolist() == [2, 4, 6]
    assert jumps.labels.tau.tolist() == [0.25, 0.25, 0.5, 0.5, 0.75, 0.75]
    assert block.own.labels.tau[block.ports["jumped"][0]].tolist() == [0.25, 0.5, 0.75]


@FAMILIES
@SOLVERS
@pytest.mark.parametrize("middle", [0.25, 0.6])
def test_elements_move_with_the_ends_of_pieces(points, solver, middle, tools):
    """x' = u - t, u first 1 then 0: wherever the end s of the first piece is put, x(T) = x0 + s T - T^2/2."""
    dae = tools.make_dae(lambda t, x, z, u, p: [u[0] - t], nu=1)
    edges = np.array([0.0, 0.5, 1.0])
    path = PathRow(tools.point_function(dae, lambda t, x, z, u, p: u[0] - t), -np.inf, np.inf, "limit")
    segment = tools.Segment("run", dae, (tools.Profile.steps(edges),), (path,), movable=edges)
    block = transcribe(segment, np.linspace(0.0, 1.0, 5), 3, points).block
    slot = block.slot("edges")
    links = [
        *tools.fixed(block, [3.0], duration=[2.0], parameters=[], **{"input:u0": [1.0, 0.0]}),
        Fix(slot[0], np.zeros(1)),
        Fix(slot[-1], np.ones(1)),
        tools.decide(slot[1], "end of piece", 0.01, 0.99),
        tools.objective(block.port("end")[:1], minimize=lambda v: (v[0] - (1.0 + 2.0 * middle)) ** 2),
    ]
    solved = tools.solve([block], links, solver)
    assert solved.outcome.status is Status.SOLVED
    assert solved.values(slot) == pytest.approx([0.0, middle, 1.0], abs=1e-4)
    rows = (
        np.array(
            solved.engine.program.values(
                solved.outcome.w / solved.scaling.columns, solved.engine.program.parameters(solved.scaling)
            )[1]
        ).ravel()
        / solved.scaling.rows
    )
    jump = rows[-1]  # right after the jump: u - t there
    assert jump == pytest.approx(-2.0 * middle, abs=1e-3)
