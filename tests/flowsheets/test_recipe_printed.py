"""A recipe is printed as a table and as lines, and drawn as a Gantt picture, planned or as it ran."""

import math
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from titer.flowsheets import (
    Control,
    Equations,
    Flowsheet,
    Free,
    Inlet,
    Outlet,
    Phase,
    PiecewiseConstant,
    Reaches,
    Recipe,
    SameAs,
    State,
    Unit,
    action,
    quantity,
    simulate,
)
from titer.numerics.errors import SpecificationError


class Tank(Unit):
    time = "h"
    V = State("L", start=1.0)
    Q = Control("L/h", start=0.0)
    feed = Inlet(flow="L/h")
    out = Outlet(flow="L/h")

    def equations(self, v):
        return Equations(rate={"V": v.feed.flow - v.Q}, port={"out": {"flow": v.Q}})

    @action(volume="L")
    def sample(self, v, volume):
        return {"V": v.V - volume}


a, b = Tank("reactor"), Tank("hold")
plant = Flowsheet(a, b)
recipe = Recipe(
    Phase("wait", 2.0, idle=[b], fixed={a.Q: 0.0}),
    Phase("draw", Free(3.0, 1.0, 400.0), until=Reaches(a.V, 0.5, "falling"), idle=[b], inputs={a.Q: 0.1}),
    Phase("move", Free(2.0, 0.0, 4.0), routes=[(a.out, b.feed)], actions=[b.sample(quantity(20.0, "mL"))]),
    Phase("again", SameAs("move"), start={a.V: lambda v: v.reactor.V, b.V: 1.0}, routes=[(a.out, b.feed)]),
)
inputs = {a.Q: PiecewiseConstant(values=[0.1, 0.05]), b.Q: 0.0, a.feed.flow: 0.0}
run = simulate(plant, recipe, inputs)


def test_a_table_has_a_row_of_texts_for_each_phase():
    table = recipe.table()
    assert list(table.index) == ["wait", "draw", "move", "again"]
    assert dict(table.loc["draw"]) == {
        "duration": "3 (1 to 400)",
        "until": "reactor.V falls to 0.5",
        "inputs": "reactor.Q = 0.1",
        "fixed": "",
        "start": "",
        "actions": "",
        "idle": "hold",
        "routes": "",
        "method": "",
    }
    assert table["actions"]["move"] == "hold.sample(volume=20 mL)"
    assert table["routes"]["move"] == "reactor.out -> hold.feed"
    assert table["start"]["again"] == "reactor.V = a function, hold.V = 1"
    assert list(table["duration"]) == ["2", "3 (1 to 400)", "2 (0 to 4)", "same as move"]


def test_a_table_sets_what_was_planned_beside_how_long_it_lasted():
    table = recipe.table(run)
    assert list(table["lasted [h]"]) == pytest.approx([2.0, 5.0, 2.0, 2.0], rel=1e-8)
    assert list(table["duration"]) == list(recipe.table()["duration"])
    off = simulate(plant, recipe.replaced("move", duration=Free(1e-9, 0.0, 4.0)), inputs)
    assert list(recipe.table(off)["at its limit"]) == ["", "", "lower (off)", "lower (off)"]
    with pytest.raises(SpecificationError, match="the solution is of another recipe: its phase 'wait' is unknown"):
        Recipe(recipe["draw"]).table(run)


def test_a_recipe_prints_what_is_special_in_each_phase():
    assert str(recipe).splitlines() == [
        "wait   2",
        "         fixed: reactor.Q = 0",
        "         idle: hold",
        "draw   3 (1 to 400), until reactor.V falls to 0.5",
        "         inputs: reactor.Q = 0.1",
        "         idle: hold",
        "move   2 (0 to 4)",
        "         actions: hold.sample(volume=20 mL)",
        "         routes: reactor.out -> hold.feed",
        "again  same as move",
        "         start: reactor.V = a function, hold.V = 1",
        "         routes: reactor.out -> hold.feed",
    ]
    assert max(map(len, str(recipe).splitlines())) <= 100


def bars(figure):
    """Rectangles of the picture by their middle height: (left, right, grey, hatched)."""
    rows = {}
    for patch in figure.axes[0].patches:
        middle = round(patch.get_y() + patch.get_height() / 2.0, 6)
        grey = np.mean(to_rgb(patch.get_facecolor()))
        ends = patch.get_x(), patch.get_x() + patch.get_width()
        rows.setdefault(middle, []).append((*ends, float(grey), bool(patch.get_hatch())))
    return rows


def test_a_picture_has_a_bar_for_each_phase_of_each_unit_operation():
    figure = recipe.plot(run)
    ax, edges = figure.axes[0], [0.0, 2.0, 7.0, 9.0, 11.0]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["phases", "limits of\ndurations", "reactor", "hold"]
    assert ax.get_xlabel() == "time [h]"
    rows = bars(figure)
    assert len(rows) == 3
    for entries in rows.values():
        assert [entry[:2] for entry in entries] == [pytest.approx(pair, rel=1e-8) for pair in pairwise(edges)]
    assert [hatched for *_, hatched in rows[min(rows)]] == [False, True, True, True]
    active, resting = [[grey < 0.9 for _, _, grey, _ in rows[k]] for k in (0, 1)]
    assert active == [True] * 4
    assert resting == [False, False, True, True]


def test_a_picture_without_a_run_is_as_long_as_planned():
    figure = recipe.plot()
    assert figure.axes[0].get_xlabel() == "time"
    assert [entry[1] for entry in bars(figure)[0]] == pytest.approx([2.0, 5.0, 7.0, 9.0])
    hours = Recipe(Phase("a", quantity(90.0, "min"), idle=["hold"]), Phase("b", quantity(1.0, "h"), fixed={a.Q: 0.0}))
    figure = hours.plot()
    assert figure.axes[0].get_xlabel() == "time [min]"
    assert [entry[1] for entry in bars(figure)[0]] == pytest.approx([90.0, 150.0])
    with pytest.raises(SpecificationError, match="some durations are quantities, others numbers"):
        hours.replaced("b", duration=2.0).plot()


def test_limits_beyond_the_picture_end_at_its_edge():
    figure = recipe.plot(run)
    ax = figure.axes[0]
    lines = [line for line in ax.lines if len(line.get_xdata()) == 2 and line.get_color() == "black"]
    drawn = [tuple(line.get_xdata()) for line in lines]
    assert drawn[0] == pytest.approx((3.0, ax.get_xlim()[1]))
    assert drawn[1:] == [pytest.approx((7.0, 11.0)), pytest.approx((9.0, ax.get_xlim()[1]))]


def test_a_phase_that_is_switched_off_is_drawn():
    off = simulate(plant, recipe.replaced("move", duration=Free(1e-9, 0.0, 4.0)), inputs)
    figure = recipe.plot(off)
    figure.canvas.draw()
    assert all(math.isfinite(x) for row in bars(figure).values() for entry in row for x in entry[:3])


def test_a_recipe_that_names_no_unit_operation_shows_its_phases():
    assert [label.get_text() for label in Recipe(Phase("react", 5.0)).plot().axes[0].get_yticklabels()] == ["phases"]
