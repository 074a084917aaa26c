"""A level held by an equation, a pendulum: refused with names, reduced on request, then simulated and optimized."""

import math

import numpy as np
import pytest

from titer.control import optimize
from titer.flowsheets import (
    Algebraic,
    AtEnd,
    Control,
    Equations,
    Flowsheet,
    Free,
    Inlet,
    Integral,
    Outlet,
    Parameter,
    Phase,
    PiecewiseConstant,
    Recipe,
    State,
    Unit,
    quantity,
    replay,
    simulate,
)
from titer.flowsheets.operation import operations
from titer.numerics import Fatrop, Grid
from titer.numerics.errors import DeclarationError, FlowsheetError, SpecificationError


class Tank(Unit):
    """A stirred tank whose level is held: dV/dt = F - F_out, dc/dt = F/V (c_in - c), V = V_set."""

    time = "h"
    V = State("L", start=2.0)
    c = State("g/L", start=1.0)
    F_out = Algebraic("L/h")
    F = Control("L/h", start=1.0, lower=0.0, upper=3.0)
    V_set = Parameter("L", 2.0)
    c_in = Parameter("g/L", 5.0)
    out = Outlet("L/h", c="g/L")

    def equations(self, v):
        return Equations(
            rate={"V": v.F - v.F_out, "c": v.F / v.V * (v.c_in - v.c)},
            zero={"level": v.V - v.V_set},
            port={"out": {"flow": v.F_out, "c": v.c}},
        )


class Pendulum(Unit):
    """x'' = -lam x + a, y'' = -lam y - g on x^2 + y^2 = L^2."""

    time = "s"
    x = State("m", start=1.0)
    y = State("m", start=0.0)
    vx = State("m/s", start=0.0)
    vy = State("m/s", start=0.0)
    lam = Algebraic("1/s^2")
    L = Parameter("m", 1.0)
    g = Parameter("m/s^2", 9.81)
    a = Control("m/s^2", start=0.0, lower=-5.0, upper=5.0)

    def equations(self, v):
        return Equations(
            rate={"x": v.vx, "y": v.vy, "vx": -v.lam * v.x + v.a, "vy": -v.lam * v.y - v.g},
            zero={"length": v.x**2 + v.y**2 - v.L**2},
        )


class Receiver(Unit):
    """Collects what flows in, by minutes."""

    time = "min"
    V = State("L", start=0.0)
    feed = Inlet("L/min", c="g/L")

    def equations(self, v):
        return Equations(rate={"V": v.feed.flow})


tank, pendulum = Tank("tank"), Pendulum("p")
plant = Flowsheet(tank)
held, swinging = plant.reduced(), Flowsheet(pendulum).reduced()
recipe = Recipe(Phase("go", 2.0))


def test_a_level_control_is_refused_with_the_reason_and_what_to_do():
    with pytest.raises(FlowsheetError) as caught:
        simulate(plant, recipe, {tank.F: 1.0})
    assert str(caught.value).splitlines() == [
        "Phase 'go': the model has index 2: tank.level equation holds tank.V without containing an algebraic variable; "
        "its time derivative determines tank.F_out.",
        "  plant.reduced() differentiates it, and holds the states on the equation itself by projection;",
        "  or replace the equation by its time derivative, or declare a Control as Algebraic.",
    ]


def test_a_pendulum_is_refused_with_its_index():
    with pytest.raises(FlowsheetError, match=r"index 3: p\.length equation holds p\.x, p\.y .* second time derivative"):
        simulate(Flowsheet(pendulum), recipe, {pendulum.a: 0.0})


def test_a_held_level_lets_out_what_comes_in():
    run = simulate(held, recipe, {tank.F: lambda t: 1.0 + 0.5 * np.sin(t)})
    np.testing.assert_allclose(run[tank.V], 2.0, atol=1e-12)
    np.testing.assert_allclose(run[tank.F_out], run[tank.F], atol=1e-6)
    volumes = (2.0 + 0.5 * (1.0 - math.cos(2.0))) / 2.0
    assert run.at_end(tank.c) == pytest.approx(5.0 - 4.0 * math.exp(-volumes), rel=1e-7)
    assert replay(run).at_end(tank.c) == pytest.approx(run.at_end(tank.c), rel=1e-7)
    assert run.message == ""


def test_reducing_changes_nothing_where_the_index_is_one():
    class Plain(Tank):
        def equations(self, v):
            return Equations(
                rate={"V": v.F - v.F_out, "c": v.F / v.V * (v.c_in - v.c)},
                zero={"outlet": v.F_out - v.F},
                port={"out": {"flow": v.F_out, "c": v.c}},
            )

    plain = Flowsheet(Plain("tank"))
    for each in (plain, plain.reduced()):
        (operation,) = operations(each, recipe, {tank.F: 1.0})
        assert operation.lowered.dae.invariants is None
        assert operation.lowered.dae.equations == ("tank.outlet equation",)


def test_another_plant_of_a_reduced_one_is_reduced_too():
    run = simulate(held.with_values({tank.V_set: 3.0, tank.V: 3.0}), recipe, {tank.F: 1.0})
    assert run.at_end(tank.c) == pytest.approx(5.0 - 4.0 * math.exp(-2.0 / 3.0), rel=1e-7)


def test_a_stream_of_a_held_tank_flows_into_the_next_unit():
    receiver = Receiver("receiver")
    both = Flowsheet(tank, receiver, connect=[(tank.out, receiver.feed)], time="min").reduced()
    run = simulate(both, Recipe(Phase("go", 120.0)), {tank.F: 1.5})
    assert run.at_end(receiver.V) == pytest.approx(3.0, rel=1e-9)


def test_a_start_far_from_the_equation_is_refused_with_the_nearest_one():
    with pytest.raises(SpecificationError) as caught:
        simulate(swinging.with_values({pendulum.x: 1.2}), recipe, {pendulum.a: 0.0})
    assert str(caught.value) == (
        "Phase 'go': start of p.x = 1.2 does not satisfy p.length equation (residual 0.44).\n"
        "  The nearest consistent start is p.x = 1: give that, or change the equation."
    )


def test_a_start_near_the_equation_is_moved_and_that_is_said():
    run = simulate(held.with_values({tank.V: 2.005}), recipe, {tank.F: 1.0})
    assert run[tank.V].iloc[0] == pytest.approx(2.0, abs=1e-12)
    assert run.status.ok
    assert run.message == (
        "Phase 'go': start of tank.V = 2.005 does not satisfy tank.level equation (residual 0.005); "
        "it was moved to tank.V = 2"
    )


def test_a_phase_that_resets_a_held_state_wrongly_is_refused():
    two = Recipe(Phase("first", 1.0), Phase("second", 1.0, start={tank.V: 1.5}))
    with pytest.raises(SpecificationError, match=r"^Phase 'second': start of tank\.V = 1\.5 does not satisfy"):
        simulate(held, two, {tank.F: 1.0})


class Setpoint(Tank):
    """The level follows a control, which has no known derivative."""

    V_set = Control("L", start=2.0)


class Ramp(Tank):
    """The level follows a state whose rate is a control."""

    V_set = State("L", start=2.0)
    slope = Control("L/h", start=0.0)

    def equations(self, v):
        tank = super().equations(v)
        return Equations(rate={**tank.rate, "V_set": v.slope}, zero=tank.zero, port=tank.port)


def test_a_setpoint_that_would_be_differentiated_is_named():
    inputs = {tank.F: 1.0, "tank.V_set": 2.0}
    with pytest.raises(
        FlowsheetError, match=r"Reducing it needs the derivative of tank\.V_set: declare that as a State"
    ):
        simulate(Flowsheet(Setpoint("tank")), recipe, inputs)
    with pytest.raises(
        FlowsheetError, match=r"tank\.level equation contains the input tank\.V_set and must be"
    ) as said:
        simulate(Flowsheet(Setpoint("tank")).reduced(), recipe, inputs)
    assert "Declare tank.V_set as a State whose rate is another Control" in str(said.value)


def test_a_setpoint_with_a_declared_derivative_is_followed():
    run = simulate(Flowsheet(Ramp("tank")).reduced(), recipe, {tank.F: 1.0, "tank.slope": 0.1})
    assert run.at_end(tank.V) == pytest.approx(2.2, rel=1e-12)
    np.testing.assert_allclose(run[tank.F_out], 0.9, rtol=1e-6)


class Held(Unit):
    """a' = w, b' = k q, 0 = q - a^2 = q - b: the derivative of q is needed. Then a' = k a / 2."""

    time = "s"
    a = State("1", start=0.5)
    b = State("1", start=0.25)
    k = Parameter("1/s", 1.0)
    q = Algebraic("1")
    w = Algebraic("1/s")

    def equations(self, v):
        return Equations(rate={"a": v.w, "b": v.k * v.q}, zero={"q": v.q - v.a**2, "hold": v.q - v.b})


def test_derivatives_of_algebraics_are_algebraics_with_a_name_and_a_unit():
    run = simulate(Flowsheet(Held("u")).reduced(), recipe)
    np.testing.assert_allclose(run["u.a"], 0.5 * np.exp(0.5 * run.frame().index), rtol=1e-7)
    np.testing.assert_allclose(run["der(u.q)"], run["u.q"], rtol=1e-7)  # q' = b' = k q
    assert run.units["der(u.q)"] == "1/s"


@pytest.mark.parametrize("solver", [None, Fatrop(tolerance=1e-9)])
def test_a_held_tank_is_optimized_to_its_analytic_optimum(solver):
    """Reach c = 4 as fast as may be: at full flow, 2 ln 4 L at 3 L/h."""
    plan = optimize(
        held,
        Recipe(Phase("go", Free(2.0, 0.5, 5.0))),
        {tank.F: PiecewiseConstant(4)},
        minimize=AtEnd(lambda v: v.time),
        subject_to=[AtEnd(lambda v: v.tank.c, lower=4.0)],
        grid=Grid(12),
        solver=solver,
    )
    assert plan.duration["go"] == pytest.approx(2.0 * math.log(4.0) / 3.0, rel=1e-6)
    assert plan.certificate.ok, str(plan.certificate)


def test_a_decided_start_stays_on_the_equation():
    """Amount and dilution: V and V_set are both free, and the equation ties them."""
    plan = optimize(
        held,
        recipe,
        {tank.F: PiecewiseConstant(2), tank.V_set: Free(2.0, 1.0, 3.0), tank.V: Free(2.0, 1.0, 3.0)},
        minimize=AtEnd(lambda v: (v.tank.c - quantity(4.0, "g/L")) ** 2 + quantity(0.1, "g^2/L^4") * v.tank.V**2),
        grid=Grid(8),
    )
    assert plan.decided[tank.V] == pytest.approx(plan.decided[tank.V_set], rel=1e-9)
    assert plan.certificate.ok, str(plan.certificate)


def test_a_pendulum_is_brought_to_rest():
    plan = optimize(
        swinging,
        Recipe(Phase("go", 1.0)),
        {pendulum.a: PiecewiseConstant(5)},
        minimize=AtEnd(lambda v: v.p.vx**2 + v.p.vy**2) + 0.001 * Integral(lambda v: v.p.a**2),
        grid=Grid(20),
    )
    assert plan.certificate.ok, str(plan.certificate)
    x, y = plan[pendulum.x], plan[pendulum.y]
    np.testing.assert_allclose(x**2 + y**2, 1.0, atol=1e-4)


@pytest.mark.parametrize(("unit", "inputs"), [(Tank("u"), {"u.F": 1.0}), (Held("u"), {})])
def test_pyomo_solves_the_reduced_model(unit, inputs):
    from pyomo.util.check_units import assert_units_consistent

    from titer.flowsheets.pyomo import trajectories
    from titer.flowsheets.pyomo.solver.nl import solve_pyomo

    small = Flowsheet(unit).reduced()
    run = simulate(small, recipe, inputs)
    model = small.to_pyomo(recipe, Grid(6), inputs=inputs)
    assert_units_consistent(model)
    assert solve_pyomo(model).success
    found = trajectories(model).iloc[-1]
    for phase in run.phases:
        for name in (*phase.states, *phase.algebraics):
            assert found[name] == pytest.approx(run.at_end(name), rel=1e-5)


class Doubled(Tank):
    """The level is an algebraic variable, fixed by the volume, by a specification and by a controller."""

    level = Algebraic("1")
    area = Parameter("L", 2.0)
    wanted = Parameter("1", 1.0)

    def equations(self, v):
        tank = super().equations(v)
        zero = {"V_spec": v.level - v.wanted, "controller": v.level - v.V / v.area}
        return Equations(rate=tank.rate, zero=zero | self.more(v), port=tank.port)

    def more(self, v):
        return {}


class Outflowing(Doubled):
    """The same with an equation for the outflow: one too many."""

    def more(self, v):
        return {"outlet": v.F_out - v.F}


class Unbalanced(Doubled):
    """No equation contains the outflow."""

    def equations(self, v):
        tank = super().equations(v)
        return Equations(rate=tank.rate, zero={"level": v.level - v.V / v.area}, port=tank.port)


def test_what_is_fixed_twice_is_said_in_the_first_line():
    with pytest.raises(DeclarationError) as caught:
        simulate(Flowsheet(Outflowing("tank")), recipe, {tank.F: 1.0})
    assert (
        str(caught.value)
        .splitlines()[0]
        .endswith(
            "tank (Outflowing): an equation too many: tank.level is fixed twice: by tank.V_spec and by tank.controller."
        )
    )


def test_what_no_equation_determines_is_said_in_the_first_line():
    with pytest.raises(DeclarationError) as caught:
        simulate(Flowsheet(Unbalanced("tank")), recipe, {tank.F: 1.0})
    assert (
        str(caught.value)
        .splitlines()[0]
        .endswith(
            "tank (Unbalanced): an equation is missing: "
            "no equation determines tank.F_out, which appears in no algebraic equation."
        )
    )


def test_a_level_fixed_by_two_equations_may_be_a_held_state():
    """Two equations for the level are one for the volume: the index is 2, and the equations are named."""
    with pytest.raises(FlowsheetError, match=r"index 2: tank\.V_spec equation, tank\.controller equation hold tank\.V"):
        simulate(Flowsheet(Doubled("tank")), recipe, {tank.F: 1.0})
    run = simulate(Flowsheet(Doubled("tank")).reduced(), recipe, {tank.F: 1.0})
    np.testing.assert_allclose(run[tank.F_out], 1.0, rtol=1e-6)


class Singular(Doubled):
    """Two equations fix the level whatever the volume is, and nothing the outflow."""

    def equations(self, v):
        tank = super().equations(v)
        return Equations(rate=tank.rate, zero={"V_spec": v.level - 1.0, "alarm": v.level - v.wanted}, port=tank.port)


def test_a_singular_model_is_refused_by_name_reduced_or_not():
    for each in (Flowsheet(Singular("tank")), Flowsheet(Singular("tank")).reduced()):
        with pytest.raises(FlowsheetError, match=r"singular: tank\.level is fixed twice: by tank\.V_spec equation"):
            simulate(each, recipe, {tank.F: 1.0})
