"""Streams are Ports and Arcs to Pyomo: units convert, circles close, and clones keep to themselves."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.core.expr.visitor import identify_variables
from pyomo.network import Arc, Port
from pyomo.util.check_units import assert_units_consistent

from titer.flowsheets import (
    Algebraic,
    Control,
    Equations,
    Flowsheet,
    Inlet,
    Outlet,
    Parameter,
    Phase,
    Recipe,
    State,
    Unit,
    simulate,
)
from titer.flowsheets.pyomo import initialize, solve_pyomo, trajectories, value_of
from titer.numerics import Grid


class Tank(Unit):
    """A stirred tank whose outflow follows its level; what flows in is diluted."""

    time = "h"
    species: tuple[str, ...] = ("A", "B")
    V = State("L", start=1.0, lower=0.0)
    c = State("g/L", start=(1.0, 2.0), lower=0.0, over="species")
    k = Parameter("1/h", 0.5)
    feed = Inlet("L/h", c=("g/L", "species"))
    out = Outlet("L/h", c=("g/L", "species"))

    def equations(self, v):
        return Equations(
            rate={"V": v.feed.flow - v.k * v.V, "c": v.feed.flow / v.V * (v.feed.c - v.c)},
            port={"out": {"flow": v.k * v.V, "c": v.c}},
        )


class Collector(Unit):
    """Collects, in minutes and milligrams."""

    time = "min"
    species: tuple[str, ...] = ("A", "B")
    m = State("mg", start=0.0, lower=0.0, over="species")
    feed = Inlet("mL/min", c=("mg/mL", "species"))

    def equations(self, v):
        return Equations(rate={"m": v.feed.flow * v.feed.c})


class Mixer(Unit):
    """Adds a recycle to a fresh feed."""

    time = "h"
    species: tuple[str, ...] = ("A", "B")
    fresh = Control("L/h", start=0.2, lower=0.0)
    recycled = Inlet("L/h", c=("g/L", "species"))
    out = Outlet("L/h", c=("g/L", "species"))

    def equations(self, v):
        flow = v.fresh + v.recycled.flow
        return Equations(port={"out": {"flow": flow, "c": v.recycled.flow * v.recycled.c / flow}})


class Splitter(Unit):
    """Sends back a share, which an equation sets."""

    time = "h"
    species: tuple[str, ...] = ("A", "B")
    share = Algebraic("1", start=0.5)
    wanted = Parameter("1", 0.4)
    feed = Inlet("L/h", c=("g/L", "species"))
    back = Outlet("L/h", c=("g/L", "species"))

    def equations(self, v):
        return Equations(
            zero={"share": v.share - v.wanted}, port={"back": {"flow": v.share * v.feed.flow, "c": v.feed.c}}
        )


upper, lower, collector = Tank("upper"), Tank("lower"), Collector("collector")
GIVEN = {upper.feed.flow: 0.3, **dict(zip(upper.feed.c, (4.0, 5.0), strict=True))}
CASCADE = Flowsheet(upper, lower, collector, connect=[(upper.out, lower.feed)], time="h")
DRAIN = Recipe(Phase("fill", 1.0, idle=[collector]), Phase("drain", 2.0, routes=[(lower.out, collector.feed)]))


def test_streams_are_arcs_between_ports():
    model = CASCADE.to_pyomo(DRAIN, inputs=GIVEN)
    fill, drain = model.phase["fill"], model.phase["drain"]
    assert [a.local_name for a in fill.component_objects(Arc)] == ["upper_out_to_lower_feed"]
    assert [a.local_name for a in drain.component_objects(Arc)] == [
        "upper_out_to_lower_feed",
        "lower_out_to_collector_feed",
    ]
    arc = drain.lower_out_to_collector_feed
    assert arc.source is drain.lower.out
    assert arc.destination is drain.collector.feed
    assert arc.source.c is drain.lower.out_c
    assert set(arc.destination.vars) == {"flow", "c"}
    assert drain.collector.feed_c.index_set().dimen == 2
    assert not list(fill.collector.component_objects(Port)), "an idle unit operation carries nothing"
    assert_units_consistent(model)
    pyo.TransformationFactory("network.expand_arcs").apply_to(model)
    assert_units_consistent(model)


def test_both_orders_of_expansion_and_discretization_simulate_what_titer_does():
    run = simulate(CASCADE, DRAIN, inputs=GIVEN)
    names = [*collector.m, lower.V, *lower.c]
    for order in ("arcs first", "arcs last", "cloned", "by grid"):
        model = CASCADE.to_pyomo(DRAIN, Grid(6) if order == "by grid" else None, inputs=GIVEN)
        if order == "cloned":
            model = model.clone()
        if order == "arcs first":
            pyo.TransformationFactory("network.expand_arcs").apply_to(model)
        for block in model.phase.values() if order != "by grid" else ():
            pyo.TransformationFactory("dae.collocation").apply_to(block, wrt=block.tau, nfe=6, ncp=3)
        if order in ("arcs last", "cloned"):
            pyo.TransformationFactory("network.expand_arcs").apply_to(model)
        rows = model.component_data_objects(pyo.Constraint, active=True)
        assert all(v.model() is model for row in rows for v in identify_variables(row.body)), order
        initialize(model)
        assert solve_pyomo(model).success, order
        for name in names:
            assert value_of(model, name) == pytest.approx(run.at_end(name), rel=1e-6), (order, name)


def test_circles_of_streams_close():
    mixer, tank, splitter = Mixer("mixer"), Tank("tank"), Splitter("splitter")
    plant = Flowsheet(
        mixer, tank, splitter,
        connect=[(mixer.out, tank.feed), (tank.out, splitter.feed), (splitter.back, mixer.recycled)], time="h",
    )  # fmt: skip
    recipe = Recipe(Phase("run", duration=3.0))
    run = simulate(plant, recipe, inputs={mixer.fresh: 0.2})
    model = plant.to_pyomo(recipe, Grid(10), inputs={mixer.fresh: 0.2})
    assert_units_consistent(model)
    assert solve_pyomo(model).success
    for name in (tank.V, *tank.c, splitter.share):
        assert value_of(model, name) == pytest.approx(run.at_end(name), rel=1e-7)
    frame = trajectories(model)
    np.testing.assert_allclose(frame[mixer.recycled.flow], 0.4 * 0.5 * frame[tank.V], rtol=1e-9)


def test_a_port_of_the_users_own_may_take_the_place_of_a_stream():
    """An inlet that is connected is made of Vars: an Arc may be dropped, and another one drawn."""
    model = CASCADE.to_pyomo(Recipe(Phase("run", 1.0, idle=[collector])), Grid(4), inputs=GIVEN)
    block = model.phase["run"]
    block.upper_out_to_lower_feed_expanded.deactivate()
    block.own = Port()
    block.own_flow = pyo.Var(block.tau, initialize=0.5, units=pyo.units.L / pyo.units.h)
    block.own_c = pyo.Var(block.tau, ["A", "B"], initialize=1.0, units=pyo.units.g / pyo.units.L)
    block.own.add(block.own_flow, "flow")
    block.own.add(block.own_c, "c")
    block.own_flow.fix()
    block.own_c.fix()
    block.drawn = Arc(source=block.own, destination=block.lower.feed)
    pyo.TransformationFactory("network.expand_arcs").apply_to(block)
    assert_units_consistent(block)
    assert solve_pyomo(model).success
    assert value_of(model, lower.V) == pytest.approx(1.0, rel=1e-8), "what comes in goes out"
