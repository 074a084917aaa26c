"""Blocks and links: every slot is filled once, names say where a row stands, and numbers are data."""

from __future__ import annotations

import numpy as np
import pytest

from titer.numerics.collocation import Points
from titer.numerics.nlp import Decide, Fix, Same, Wire, join, slots_block
from titer.numerics.segment import PathRow
from titer.numerics.transcribe import transcribe


def phase(tools, name="grow", elements=2, **options):
    """x' = -p x over a phase."""
    dae = tools.make_dae(lambda t, x, z, u, p: [-p[0] * x[0]], npar=1)
    segment = tools.Segment(name, dae, (), **options)
    return transcribe(segment, np.linspace(0.0, 1.0, elements + 1)).block


def test_an_open_slot_is_an_error_that_names_it(tools):
    block = phase(tools)
    with pytest.raises(ValueError, match="slot parameters of block grow is open: no link says"):
        join([block], tools.fixed(block, [1.0], duration=[1.0]))


def test_a_slot_linked_twice_is_an_error(tools):
    block = phase(tools)
    links = tools.fixed(block, [1.0], duration=[1.0], parameters=[1.0])
    with pytest.raises(ValueError, match="a slot of block grow is linked twice"):
        join([block], [*links, Fix(block.slot("start"), np.ones(1))])


def test_too_many_values_for_a_slot_are_an_error(tools):
    block = phase(tools)
    links = tools.fixed(block, [1.0], duration=[1.0])
    slot = block.slot("parameters")
    decision = tools.decide(Wire("grow", np.arange(2)), "p", 0.0, 1.0)
    for wrong in (Fix(slot, np.ones(2)), Decide(slot, decision.columns)):
        with pytest.raises(ValueError, match="a slot of block grow has 1 cells, its link 2"):
            join([block], [*links, wrong])


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_same_links_in_a_circle_are_an_error(length):
    ring = slots_block("ring", **{f"s{i}": 2 for i in range(length)})
    links = [Same(ring.slot(f"s{i}"), ring.slot(f"s{(i + 1) % length}")) for i in range(length)]
    with pytest.raises(ValueError, match="slot s0 of block ring is linked in a circle"):
        join([ring], links)


def test_a_chain_of_same_links_that_ends_open_is_an_error():
    block = slots_block("chain", a=1, b=1, c=1)
    links = [Same(block.slot("a"), block.slot("b")), Same(block.slot("b"), block.slot("c"))]
    with pytest.raises(ValueError, match=r"slot a of block chain is open"):
        join([block], links)


def test_two_blocks_of_one_name_and_an_unknown_slot_are_errors():
    with pytest.raises(ValueError, match="two blocks are called a"):
        join([slots_block("a", s=1), slots_block("a", s=1)], [])
    with pytest.raises(KeyError, match="block a has no slot t; it has s, r"):
        slots_block("a", s=1, r=2).slot("t")


def test_chains_of_same_links_lead_to_one_column_or_one_number(tools):
    n = 40
    block = slots_block("row", **{f"s{i}": 1 for i in range(2 * n)})
    down = [Same(block.slot(f"s{i}"), block.slot(f"s{i + 1}")) for i in range(n - 1)]
    up = [Same(block.slot(f"s{i + 1}"), block.slot(f"s{i}")) for i in range(n, 2 * n - 1)]
    ends = [tools.decide(block.slot(f"s{n - 1}"), "shared", 0.0, 3.0), Fix(block.slot(f"s{n}"), np.array([7.0]))]
    nlp = join([block], [*down, *reversed(up), *ends])
    assert nlp.columns == 1
    assert nlp.data.tolist() == [7.0]
    whole = Wire("row", np.arange(2 * n))
    assert nlp.where(whole).tolist() == [0] * n + [1] * n
    assert nlp.values(whole, np.array([2.0])).tolist() == [2.0] * n + [7.0] * n


def test_phases_linked_end_to_start_give_the_solution_of_the_whole(tools):
    first, second = phase(tools, "first", 4), phase(tools, "second", 4)
    shared = slots_block("shared", rate=1)
    links = [
        *tools.fixed(first, [2.0], duration=[0.4]),
        *tools.fixed(second, duration=[0.6]),
        Same(second.slot("start"), first.port("x")[:, -1]),
        Same(first.slot("parameters"), shared.slot("rate")),
        Same(second.slot("parameters"), shared.slot("rate")),
        Fix(shared.slot("rate"), np.array([1.5])),
    ]
    nlp = join([shared, first, second], links)
    w = tools.newton(nlp, np.ones(nlp.columns))
    assert nlp.values(second.port("x"), w)[0, -1] == pytest.approx(2.0 * np.exp(-1.5), rel=1e-6)
    assert nlp.columns == first.own.count + second.own.count


def test_changed_data_change_the_solution_without_rebuilding(tools):
    block = phase(tools, elements=6)
    start = Fix(block.slot("start"), np.array([2.0]))
    nlp_links = [start, *tools.fixed(block, duration=[1.0], parameters=[1.5])]
    solved = tools.solve([block], nlp_links)
    nlp = solved.nlp
    assert solved.values(block.port("x"))[0, -1] == pytest.approx(2.0 * np.exp(-1.5), rel=1e-6)
    data = nlp.data.copy()
    data[nlp.where(block.slot("parameters")) - nlp.columns] = 0.5
    data[nlp.where(block.slot("start")) - nlp.columns] = 3.0
    again = solved.engine.solve(solved.start, solved.scaling, nlp.lower, nlp.upper, data)
    end = nlp.values(block.port("x"), again.w, data)[0, -1]
    assert end == pytest.approx(3.0 * np.exp(-0.5), rel=1e-6)


@pytest.mark.parametrize("points", list(Points), ids=lambda p: p.value)
def test_every_column_and_row_has_a_name_with_its_time(points, tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [-z[0], x[0]], lambda t, x, z, u, p: [z[0] - x[0]], nz=1, nu=1)
    path = PathRow(tools.point_function(dae, lambda t, x, z, u, p: x[0] + u[0]), 0.0, 1.0, "sum limit")
    segment = tools.Segment("react", dae, (tools.Profile.steps(np.array([0.0, 0.5, 1.0])),), (path,))
    block = transcribe(segment, np.array([0.0, 0.5, 1.0]), 1, points).block
    links = [
        *tools.fixed(block, [1.0, 0.0], duration=[4.0], parameters=[]),
        tools.decide(block.slot("input:u0"), "u0", 0.0, 1.0),
    ]
    nlp = join([block], links)
    times = {"react": (10.0, 4.0)}
    columns = [nlp.column_name(i, times) for i in range(nlp.columns)]
    rows = [nlp.row_name(i, times) for i in range(nlp.rows)]
    if points is Points.RADAU:
        balances = ["@ react, t = 12", "@ react, t = 14"]
        assert columns[:4] == [f"{x} {place}" for place in balances for x in ("x0", "x1")]
        assert rows[:4] == [f"{row} @ react, t = 12" for row in ("x0 balance", "x1 balance", "equation 0", "sum limit")]
        assert rows[8:] == ["sum limit @ react, t = 12"]  # once more, right after the jump of the input
        assert len(rows) == 9
    else:
        assert columns[0] == "x0 @ react, t = 11"
        assert columns[4] == "x0 @ react, t = 12"
        assert rows[2] == "x0 continuity @ react, t = 12"
        assert rows[4:6] == ["equation 0 @ react, t = 11", "sum limit @ react, t = 11"]
        assert rows[-3:] == ["equation 0 @ react, t = 14", "sum limit @ react, t = 14", "sum limit @ react, t = 12"]
    assert columns[-2:] == ["u0", "u0"]
    assert nlp.row_name(0) == f"x0 balance @ react, {0.5 if points is Points.RADAU else 0.25:.4g} of the phase"
    with pytest.raises(IndexError):
        nlp.column_name(nlp.columns)
    with pytest.raises(IndexError):
        nlp.row_name(nlp.rows)


def test_a_value_the_block_does_not_know_is_nan_and_may_not_be_read(tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [-z[0]], lambda t, x, z, u, p: [z[0] - x[0]], nz=1)
    block = transcribe(tools.Segment("run", dae, ()), np.array([0.0, 1.0])).block
    links = tools.fixed(block, [1.0], duration=[1.0], parameters=[])
    nlp = join([block], links)
    start = block.port("start")
    assert nlp.where(start)[1] == -1
    assert np.isnan(nlp.values(start, np.zeros(nlp.columns))[1])
    join([block], [*links, tools.objective(start, minimize=lambda v: v[0] ** 2)])  # reads the state alone
    with pytest.raises(ValueError, match=r"reads a value that its block does not know \(blocks run\)"):
        join([block], [*links, tools.objective(start, minimize=lambda v: v[1])])
    other = slots_block("other", s=1)
    with pytest.raises(ValueError, match="a link reads a value that block run does not know"):
        join([block, other], [*links, Same(other.slot("s"), start[1])])


@pytest.mark.parametrize("points", list(Points), ids=lambda p: p.value)
def test_a_path_holds_at_the_first_instant_where_asked_and_at_the_last_always(points, tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [-x[0]])
    value = tools.point_function(dae, lambda t, x, z, u, p: x[0] - t)
    times = {"run": (3.0, 2.0)}
    ends = []
    for asked in (False, True):
        path = PathRow(value, 0.0, 1.0, "limit", at_start=asked)
        segment = tools.Segment("run", dae, (), (path,))
        block = transcribe(segment, np.array([0.0, 0.4, 1.0]), 2, points).block
        nlp = join([block], tools.fixed(block, [1.0], duration=[2.0], parameters=[]))
        names = [nlp.row_name(i, times) for i in range(nlp.rows)]
        limits = [name for name in names if name.startswith("limit")]
        ends.append([f"limit @ run, t = {t}" in limits for t in (3, 5)])
    assert ends == [[False, True], [True, True]]


def test_algebraics_at_the_start_are_solved_for_where_asked(tools):
    dae = tools.make_dae(lambda t, x, z, u, p: [-z[0]], lambda t, x, z, u, p: [z[0] - 2.0 * x[0]], nz=1)
    block = transcribe(tools.Segment("run", dae, (), needs_start=True), np.array([0.0, 1.0])).block
    nlp = join([block], tools.fixed(block, [3.0], duration=[1.0], parameters=[]))
    w = tools.newton(nlp, np.ones(nlp.columns))
    assert nlp.values(block.port("start"), w) == pytest.approx([3.0, 6.0])


def test_an_input_that_changes_piece_inside_an_element_is_an_error(tools):
    dae = tools.ray()
    segment = tools.Segment("react", dae, (tools.Profile.steps(np.linspace(0, 1, 4)),))
    with pytest.raises(ValueError, match=r"phase react: an input changes piece at 0\.33.*, inside an element"):
        transcribe(segment, np.linspace(0.0, 1.0, 3))
