"""A unit operation feeds IDAES' unit models, and is fed by them, through state blocks of their property packages."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.network import Arc
from pyomo.util.check_units import assert_units_consistent

from titer.flowsheets import (
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
from titer.flowsheets.pyomo import initialize_flowsheet, state_inlet, state_port, value_of
from titer.numerics import Grid
from titer.numerics.errors import SpecificationError

pytest.importorskip("idaes", reason="idaes-pse is not installed: pip install titer[idaes]")

SPECIES = ("NaOH", "EthylAcetate", "SodiumAcetate", "Ethanol")


class Saponifier(Unit):
    """A stirred tank in which ethyl acetate is saponified, fed with a constant stream, warmed by a jacket."""

    time = "s"
    species: tuple[str, ...] = SPECIES
    c = State("mol/L", start=(0.05, 0.05, 0.0, 0.0), lower=0.0, over="species")
    T = State("K", start=303.15, lower=280.0, upper=350.0)
    F = Control("L/s", start=0.1, lower=0.0, upper=1.0)
    V = Parameter("L", 100.0)
    k = Parameter("L/mol/s", 0.11)
    E = Parameter("K", 5183.0)
    T_ref = Parameter("K", 298.15)
    T_j = Parameter("K", 310.0)
    a = Parameter("1/s", 0.002)
    c_in = Parameter("mol/L", (0.1, 0.1, 0.0, 0.0), over="species")
    T_in = Parameter("K", 303.15)
    out = Outlet("L/s", c=("mol/L", "species"), T="K")

    def equations(self, v):
        r = v.k * np.exp(v.E * (1.0 / v.T_ref - 1.0 / v.T)) * v.c[0] * v.c[1]
        made = np.array([-1.0, -1.0, 1.0, 1.0]) * r
        warming = v.F / v.V * (v.T_in - v.T) + v.a * (v.T_j - v.T)
        return Equations(
            rate={"c": v.F / v.V * (v.c_in - v.c) + made, "T": warming},
            port={"out": {"flow": v.F, "c": v.c, "T": v.T}},
        )


class Receiver(Unit):
    """Collects what comes in, and its temperature."""

    time = "min"
    species: tuple[str, ...] = SPECIES
    V = State("L", start=1.0, lower=0.1)
    n = State("mol", start=0.0, over="species")
    T = State("K", start=300.0)
    feed = Inlet("L/min", c=("mol/L", "species"), T="K")

    def equations(self, v):
        return Equations(
            rate={"V": v.feed.flow, "n": v.feed.flow * v.feed.c, "T": v.feed.flow / v.V * (v.feed.T - v.T)}
        )


reactor, receiver = Saponifier("reactor"), Receiver("receiver")
RUN = Phase("run", duration=600.0)
FEED = {reactor.F: lambda t: 0.1 + 1e-4 * t}


def beside_a_heater(plant, grid=None, heat=500.0):
    """A reactor of titer's and an IDAES Heater that it feeds."""
    from idaes.models.properties.examples.saponification_thermo import SaponificationParameterBlock
    from idaes.models.unit_models import Heater

    model = pyo.ConcreteModel()
    guess = {receiver.feed.flow: 6.0, receiver.feed.T: 305.0, **dict.fromkeys(receiver.feed.c, 0.05)}
    fed = FEED | guess if len(plant.units) > 1 else FEED
    model.fs = plant.to_idaes(RUN, inputs=fed, grid=grid)
    model.fs.properties = SaponificationParameterBlock()
    model.fs.heater = Heater(property_package=model.fs.properties, dynamic=False, has_holdup=False)
    state_port(
        model.fs.reactor, "hot", model.fs.properties,
        flow_vol=reactor.out.flow,
        conc_mol_comp={**{key: reactor.c[key] for key in SPECIES}, "H2O": 55388.0},
        temperature=lambda v: v.reactor.T,
        pressure=101325.0,
    )  # fmt: skip
    model.fs.to_heater = Arc(source=model.fs.reactor.hot, destination=model.fs.heater.inlet)
    model.fs.heater.heat_duty.fix(heat)
    return model


def solve(model):
    pyo.assert_optimal_termination(pyo.SolverFactory("titer.ipopt").solve(model))


@pytest.fixture(scope="module")
def heated():
    from idaes.core.util.initialization import propagate_state

    model = beside_a_heater(Flowsheet(reactor), Grid(6))
    pyo.TransformationFactory("network.expand_arcs").apply_to(model)
    propagate_state(model.fs.to_heater)
    solve(model)
    return model


def test_a_reactor_feeds_an_idaes_heater_and_the_energy_balance_closes(heated):
    run = simulate(Flowsheet(reactor), Recipe(RUN), inputs=FEED)
    heater, density, heat_capacity = heated.fs.heater, 55388.0, 75.327  # mol/m3, J/mol/K, of the property package
    for t in heated.fs.time:
        flow = (0.1 + 1e-4 * t) * 1e-3  # m3/s
        rise = heater.outlet.temperature[t].value - heated.fs.reactor.T[t].value
        assert rise == pytest.approx(500.0 / (flow * density * heat_capacity), rel=1e-9)
        assert heater.outlet.flow_vol[t].value == pytest.approx(flow, rel=1e-9)
    expected = run.at_end(reactor.T) + 500.0 / (0.16e-3 * density * heat_capacity)
    assert heater.outlet.temperature[600.0].value == pytest.approx(expected, rel=1e-7)
    ethanol = heater.outlet.conc_mol_comp[600.0, "Ethanol"].value
    assert ethanol == pytest.approx(1000.0 * run.at_end(reactor.c["Ethanol"]), rel=5e-6)


def test_idaes_finds_nothing_wrong_with_both(heated):
    from idaes.core.util.diagnostics_tools import DiagnosticsToolbox

    DiagnosticsToolbox(heated).assert_no_structural_warnings()
    assert_units_consistent(heated)
    table = heated.fs.stream_table(time_point=600.0)
    assert table["to_heater"]["Temperature"] == pytest.approx(heated.fs.reactor.T[600.0].value)


def test_initializers_and_scalers_reach_the_state_blocks():
    from idaes.core.initialization import InitializationStatus
    from idaes.core.scaling import get_scaling_factor

    model = with_a_receiver(3)
    for unit in (model.fs.reactor, model.fs.receiver):
        assert unit.default_initializer().initialize(unit) == InitializationStatus.Ok
        unit.default_scaler().scale_model(unit)
    assert get_scaling_factor(model.fs.reactor.hot_state[0.0].pressure) == pytest.approx(1e-5)
    assert not model.fs.receiver.feed_inlet.temperature[0.0].fixed


def test_both_are_discretized_together():
    model = beside_a_heater(Flowsheet(reactor)).clone()
    pyo.TransformationFactory("dae.collocation").apply_to(model, wrt=model.fs.time, nfe=6, ncp=3)
    pyo.TransformationFactory("network.expand_arcs").apply_to(model)
    model.fs.heater.heat_duty.fix(500.0)
    initialize_flowsheet(model)
    assert model.fs.reactor.hot.temperature[600.0].value == model.fs.reactor.T[600.0].value
    solve(model)
    rise = model.fs.heater.outlet.temperature[600.0].value - model.fs.reactor.T[600.0].value
    assert rise == pytest.approx(500.0 / (0.16e-3 * 55388.0 * 75.327), rel=1e-9)


def with_a_receiver(elements):
    """The same, and a receiver that the heater feeds."""
    model = beside_a_heater(Flowsheet(reactor, receiver, time="s"), Grid(elements))
    state_inlet(
        model.fs.receiver, receiver.feed, model.fs.properties,
        flow=lambda s: s.flow_vol, T=lambda s: s.temperature,
        c={key: lambda s, key=key: s.conc_mol_comp[key] for key in SPECIES},
    )  # fmt: skip
    model.fs.to_receiver = Arc(source=model.fs.heater.outlet, destination=model.fs.receiver.feed_inlet)
    pyo.TransformationFactory("network.expand_arcs").apply_to(model)
    return model


def test_an_idaes_heater_feeds_a_receiver():
    model = with_a_receiver(6)
    assert_units_consistent(model)
    initialize_flowsheet(model)
    solve(model)
    assert value_of(model.fs, receiver.V) == pytest.approx(1.0 + 0.1 * 600.0 + 0.5e-4 * 600.0**2, rel=1e-8)
    content = value_of(model.fs, receiver.V) * value_of(model.fs, receiver.T)
    model.fs.heater.heat_duty.fix(0.0)
    solve(model)
    unheated = value_of(model.fs, receiver.V) * value_of(model.fs, receiver.T)
    assert content - unheated == pytest.approx(500.0 * 600.0 / (55.388 * 75.327), rel=1e-8)  # of mol/L and J/mol/K
    total = sum(value_of(model.fs, name) for name in (receiver.n["NaOH"], receiver.n["Ethanol"]))
    assert total == pytest.approx(0.1 * 78.0 + _left_behind(), rel=1e-6)


def _left_behind():
    """What the receiver gets beside the feed's base: of base and ethanol in the reactor, what is washed out."""
    run = simulate(Flowsheet(reactor), Recipe(RUN), inputs=FEED)
    held = sum(run.at_end(name) for name in (reactor.c["NaOH"], reactor.c["Ethanol"]))
    return 100.0 * (0.05 - held)


def test_members_that_do_not_fit_are_named():
    model = beside_a_heater(Flowsheet(reactor, receiver, time="s"))
    own, properties = model.fs.reactor, model.fs.properties
    good = {
        "flow_vol": 1e-4, "temperature": 300.0, "pressure": 101325.0,
        "conc_mol_comp": dict.fromkeys([*SPECIES, "H2O"], 1.0),
    }  # fmt: skip
    for name, changes, said in [
        ("port_a", {"pressure": None}, "pressure is missing"),
        ("port_b", {"colour": 1.0}, "colour"),
        ("port_c", {"conc_mol_comp": {"H2O": 1.0}}, "'NaOH' is missing"),
        ("port_d", {"conc_mol_comp": 5.0}, "expected a dict"),
        ("port_e", {"temperature": True}, "a number, a name or a function"),
        ("port_f", {"temperature": lambda v: v.reactor.F}, "temperature"),
        ("port_g", {"temperature": "reactor.X"}, "reactor.X"),
    ]:
        members = {key: value for key, value in {**good, **changes}.items() if value is not None}
        with pytest.raises(SpecificationError, match=said):
            state_port(own, name, properties, **members)
        assert own.component(name) is None
        assert own.component(f"{name}_state") is None, "nothing is left behind"
    with pytest.raises(SpecificationError, match="has a component hot already"):
        state_port(own, "hot", properties, **good)
    with pytest.raises(SpecificationError, match="expected the block of a unit operation"):
        state_port(model.fs, "x", properties, **good)
    feed = {"flow": lambda s: s.flow_vol, "T": lambda s: s.temperature, "c": dict.fromkeys(SPECIES, lambda s: 1.0)}
    for changes, said in [
        ({"flow": None}, r"receiver.feed: flow is missing"),
        ({"colour": 1.0}, "colour"),
        ({"c": {"NaOH": lambda s: 1.0}}, "'EthylAcetate'"),
        ({"T": 300.0}, "expected a function of the state block"),
        ({"T": lambda s: s.pressure}, r"receiver.feed.T: .*"),
    ]:
        variables = {key: value for key, value in {**feed, **changes}.items() if value is not None}
        with pytest.raises(SpecificationError, match=said):
            state_inlet(model.fs.receiver, receiver.feed, properties, **variables)
        assert model.fs.receiver.component("feed_inlet_state") is None
