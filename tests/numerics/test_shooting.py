"""Shooting and collocation are two transcriptions of one problem: their optima agree."""

from __future__ import annotations

import numpy as np
import pytest

from titer.numerics.errors import SpecificationError
from titer.numerics.nlp import Same
from titer.numerics.segment import Integrand, PathRow
from titer.numerics.shooting import Shooting, shoot
from titer.numerics.solvers import Ipopt, Status
from titer.numerics.transcribe import transcribe

MODELS = pytest.mark.parametrize("model", ["ray", "ray_with_rates"], ids=["ODE", "DAE"])
PIECES = 4


def segment_of(tools, model, lines=False, name="react", **options):
    shape = tools.Profile.lines if lines else tools.Profile.steps
    return tools.Segment(name, getattr(tools, model)(), (shape(np.linspace(0.0, 1.0, PIECES + 1)),), **options)


def collocated(segment, elements=24):
    return transcribe(segment, np.linspace(0.0, 1.0, elements + 1), 4).block


def shot(segment, intervals=PIECES):
    return shoot(segment, np.linspace(0.0, 1.0, intervals + 1), Shooting(tolerance=1e-10)).block


def optimum(tools, block, duration=None, time_cost=0.0):
    """Maximize the second state at the end, less a cost of time where the duration is free."""
    if duration is None:
        span = tools.decide(block.slot("duration"), "duration", 0.2, 3.0)
    else:
        span = tools.fixed(block, duration=[duration])[1]
    links = [
        *tools.fixed(block, [1.0, 0.0], parameters=[]),
        span,
        tools.decide(block.slot("input:T"), "T", 298.0, 398.0),
        tools.objective(block.port("end")[:2], block.slot("duration"), minimize=lambda v: time_cost * v[2] - v[1]),
    ]
    solved = tools.solve([block], links, Ipopt(), {"T": 340.0, "z0": 2.0, "z1": 0.1})
    assert solved.outcome.status is Status.SOLVED
    return solved


@MODELS
def test_the_optimum_is_that_of_collocation(model, tools):
    segment = segment_of(tools, model)
    one, other = collocated(segment), shot(segment)
    a, b = optimum(tools, one, 1.0), optimum(tools, other, 1.0)
    assert b.outcome.objective == pytest.approx(a.outcome.objective, abs=1e-6)
    assert b.values(other.slot("input:T")) == pytest.approx(a.values(one.slot("input:T")), abs=0.05)


@MODELS
def test_a_free_duration_an_integrand_and_linear_pieces_agree(model, tools):
    dae = getattr(tools, model)()
    heat = Integrand(
        tools.point_function(dae, lambda t, x, z, u, p: ((u[0] - 330.0) / 30.0) ** 2 * (1.0 + t * x[1])), 0.02
    )
    segment = segment_of(tools, model, lines=True, integrands=(heat,))
    one, other = collocated(segment), shot(segment)
    a, b = optimum(tools, one, None, 0.2), optimum(tools, other, None, 0.2)
    assert b.outcome.objective == pytest.approx(a.outcome.objective, abs=1e-6)
    assert b.values(other.slot("duration")) == pytest.approx(a.values(one.slot("duration")), abs=1e-3)
    assert 0.25 < b.values(other.slot("duration"))[0] < 2.9


@MODELS
def test_a_path_holds_at_every_interval_end(model, tools):
    dae = getattr(tools, model)()
    limit = PathRow(tools.point_function(dae, lambda t, x, z, u, p: u[0] + 60.0 * x[1]), -np.inf, 360.0, "limit")
    segment = segment_of(tools, model, paths=(limit,))
    block = shot(segment, 8)
    solved = optimum(tools, block, 1.0)
    x = solved.values(block.port("x"))
    along = np.repeat(solved.values(block.slot("input:T")), 2) + 60.0 * x[1, 1:]
    assert along.max() <= 360.0 + 1e-6
    assert (along > 360.0 - 1e-5).tolist() == [False, True] * PIECES
    names = [solved.nlp.row_name(i) for i in range(solved.nlp.rows)]
    assert sum(name.startswith("limit @ react") for name in names) == 8 + PIECES - 1  # and right after each jump


def test_algebraics_at_both_ends_are_those_of_the_equations(tools):
    segment = segment_of(tools, "ray_with_rates", needs_start=True)
    block = shot(segment)
    solved = optimum(tools, block, 1.0)
    for port, at in (("start", 0), ("end", -1)):
        values = solved.values(block.port(port))
        x, z, T = values[:2], values[2:4], values[4]
        assert solved.values(block.slot("input:T"))[at] == T
        assert z[0] == pytest.approx(4000.0 * np.exp(-2500.0 / T) * x[0] ** 2, rel=1e-6)
        assert z[1] == pytest.approx(620000.0 * np.exp(-5000.0 / T) * x[1], rel=1e-6, abs=1e-9)


def test_a_shot_and_a_collocated_phase_stand_in_one_problem(tools):
    objectives = []
    for kinds in ((collocated, collocated), (collocated, shot), (shot, collocated)):
        blocks = [kind(segment_of(tools, "ray", name=name)) for kind, name in zip(kinds, "ab", strict=True)]
        first, second = blocks
        links = [
            *tools.fixed(first, [1.0, 0.0], duration=[0.6], parameters=[]),
            *tools.fixed(second, duration=[0.4], parameters=[]),
            Same(second.slot("start"), first.port("end")[:2]),
            *(tools.decide(b.slot("input:T"), "T", 298.0, 398.0) for b in blocks),
            tools.objective(second.port("end")[:2], minimize=lambda v: -v[1]),
        ]
        solved = tools.solve(blocks, links, Ipopt(), {"T": 340.0})
        assert solved.outcome.status is Status.SOLVED
        objectives.append(solved.outcome.objective)
    assert objectives == pytest.approx([objectives[0]] * 3, abs=1e-6)


@pytest.mark.parametrize("intervals", [0, -1, 2.5, True, "4"])
def test_a_bad_number_of_intervals_is_refused(intervals):
    with pytest.raises(SpecificationError, match="Shooting: intervals must be a whole number of at least 1"):
        Shooting(intervals)


@pytest.mark.parametrize("tolerance", [0.0, -1e-8, 0.1, float("nan"), "1e-8"])
def test_a_bad_tolerance_is_refused(tolerance):
    with pytest.raises(SpecificationError, match=r"Shooting: tolerance must lie in \(0, 0.01\), got"):
        Shooting(tolerance=tolerance)
