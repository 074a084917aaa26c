"""A Pyomo.DAE model becomes a unit operation that runs as Pyomo's own simulator and solvers say."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar, Simulator
from pyomo.util.check_units import assert_units_consistent
from scipy.linalg import expm

from titer.control import optimize
from titer.flowsheets import (
    AtEnd,
    Flowsheet,
    Phase,
    PiecewiseConstant,
    Recipe,
    diagnose,
    report,
    simulate,
)
from titer.flowsheets.pyomo import from_pyomo, inputs_of, solve_pyomo
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid
from titer.numerics.errors import DeclarationError


def cstr() -> pyo.ConcreteModel:
    """The exothermic stirred tank A -> B with a cooling jacket, written as Pyomo.DAE's documentation teaches."""
    m = pyo.ConcreteModel("cstr")
    m.t = ContinuousSet(bounds=(0.0, 2.0))
    m.q, m.V, m.cf, m.Tf = (pyo.Param(initialize=x) for x in (100.0, 100.0, 1.0, 350.0))
    m.k0, m.ER, m.dH, m.rhoCp, m.UA = (pyo.Param(initialize=x) for x in (7.2e10, 8750.0, 5e4, 239.0, 5e4))
    m.c = pyo.Var(m.t, initialize=0.9, bounds=(0.0, None))
    m.T = pyo.Var(m.t, initialize=305.0)
    m.Tc = pyo.Var(m.t, initialize=300.0, bounds=(280.0, 370.0))
    m.dc = DerivativeVar(m.c, wrt=m.t)
    m.dT = DerivativeVar(m.T, wrt=m.t)

    def _mass(m, t):
        return m.dc[t] == m.q / m.V * (m.cf - m.c[t]) - m.k0 * pyo.exp(-m.ER / m.T[t]) * m.c[t]

    def _heat(m, t):
        r = m.k0 * pyo.exp(-m.ER / m.T[t]) * m.c[t]
        return m.dT[t] == m.q / m.V * (m.Tf - m.T[t]) + m.dH / m.rhoCp * r + m.UA / (m.V * m.rhoCp) * (m.Tc[t] - m.T[t])

    m.mass = pyo.Constraint(m.t, rule=_mass)
    m.heat = pyo.Constraint(m.t, rule=_heat)
    m.c[0].fix(0.877)
    m.T[0].fix(324.5)
    m.var_input = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    m.var_input[m.Tc] = {0: 300.0, 1: 305.0}
    return m


def run_of(model, length, **options):
    """The simulation of a model alone, its inputs as it gives them."""
    tolerance = options.pop("tolerance", 1e-10)
    unit = from_pyomo(model, **options)
    return unit, simulate(
        Flowsheet(unit), Recipe(Phase("run", duration=length)), inputs_of(unit), points=50, tolerance=tolerance
    )


def test_a_cstr_runs_as_in_pyomos_own_simulator():
    model = cstr()
    unit, run = run_of(model, 2.0, time_unit="min")
    simulator = Simulator(model, package="casadi")
    times, found = simulator.simulate(
        numpoints=51, integrator="cvodes", varying_inputs=model.var_input,
        integrator_options={"reltol": 1e-11, "abstol": 1e-11},
    )  # fmt: skip
    names = [str(v).split("[")[0] for v in simulator.get_variable_order()]
    for name in ("c", "T"):
        mine = run[f"cstr.{name}"]
        expected = found[:, names.index(name)]
        same = np.interp(mine.index, times, np.arange(len(times)))
        on = np.isclose(same, np.round(same), atol=1e-9)
        assert on.sum() > 20
        np.testing.assert_allclose(mine.to_numpy()[on], expected[np.round(same[on]).astype(int)], rtol=1e-6)
    assert unit.scalars["k0"].start == 7.2e10
    assert unit.scalars["Tc"].upper == 370.0


def test_the_model_itself_is_not_changed():
    model = cstr()
    before = [str(data.expr) for data in model.component_data_objects(pyo.Constraint)]
    from_pyomo(model)
    assert [str(data.expr) for data in model.component_data_objects(pyo.Constraint)] == before
    assert not model.k0.mutable
    pyo.TransformationFactory("dae.collocation").apply_to(model, nfe=5, ncp=3)


def test_its_optimum_is_that_of_pyomos_collocation():
    model = batch()
    unit = from_pyomo(model)
    plant = Flowsheet(unit)
    plan = optimize(
        plant, Recipe(Phase("run", duration=1.0)), free={unit.u: PiecewiseConstant(10)},
        maximize=AtEnd(lambda v: v.batch.x2), grid=Grid(elements=10, degree=3),
    )  # fmt: skip
    collocation = pyo.TransformationFactory("dae.collocation")
    collocation.apply_to(model, nfe=10, ncp=3, scheme="LAGRANGE-RADAU")
    collocation.reduce_collocation_points(model, var=model.u, ncp=1, contset=model.t)
    assert solve_pyomo(model).success
    assert plan.objective == pytest.approx(pyo.value(model.x2[1]), rel=1e-6)


def batch() -> pyo.ConcreteModel:
    """The batch reactor of Ray with u as control (Biegler 2010, section 9.2.2)."""
    m = pyo.ConcreteModel("batch")
    m.t = ContinuousSet(bounds=(0, 1))
    m.x1, m.x2 = pyo.Var(m.t, initialize=1.0, bounds=(0, 1)), pyo.Var(m.t, initialize=0.0, bounds=(0, 1))
    m.u = pyo.Var(m.t, initialize=1.0, bounds=(0, 5))
    m.dx1, m.dx2 = DerivativeVar(m.x1), DerivativeVar(m.x2)

    @m.Constraint(m.t)
    def first(m, t):
        return m.dx1[t] == -(m.u[t] + m.u[t] ** 2 / 2) * m.x1[t]

    @m.Constraint(m.t)
    def second(m, t):
        return m.dx2[t] == m.u[t] * m.x1[t]

    m.x1[0].fix(1.0)
    m.x2[0].fix(0.0)
    m.yield_ = pyo.Objective(expr=m.x2[1], sense=pyo.maximize)
    m.var_input = pyo.Suffix()
    m.var_input[m.u] = {0: 1.0}
    return m


# --- what models look like ------------------------------------------------------------------------------------------


def test_an_index_one_model_has_algebraic_variables():
    m = pyo.ConcreteModel("tank")
    m.t = ContinuousSet(bounds=(0, 4))
    m.h = pyo.Var(m.t, initialize=4.0)
    m.q = pyo.Var(m.t, initialize=2.0)
    m.dh = DerivativeVar(m.h)
    m.ode = pyo.Constraint(m.t, rule=lambda m, t: m.dh[t] == -m.q[t])
    m.valve = pyo.Constraint(m.t, rule=lambda m, t: m.q[t] ** 2 == m.h[t])
    unit, run = run_of(m, 2.0)
    assert [s.kind for s in unit.scalars.values()] == ["state", "algebraic"]
    assert run.at_end(unit.h) == pytest.approx((2.0 - 0.5 * 2.0) ** 2, rel=1e-7)


def network() -> pyo.ConcreteModel:
    m = pyo.ConcreteModel("network")
    m.t = ContinuousSet(bounds=(0, 10))
    m.species = pyo.Set(initialize=["A", "B", "C"])
    m.reactions = pyo.Set(initialize=[1, 2])
    nu = {("A", 1): -1, ("B", 1): 1, ("B", 2): -1, ("C", 2): 1}
    m.nu = pyo.Param(m.species, m.reactions, initialize=nu, default=0)
    m.k = pyo.Param(m.reactions, initialize={1: 0.5, 2: 0.2}, mutable=True, units=1 / pyo.units.min)
    m.c = pyo.Var(m.species, m.t, initialize=0.0, bounds=(0, None), units=pyo.units.mol / pyo.units.l, doc="amount")
    m.dc = DerivativeVar(m.c, wrt=m.t, units=pyo.units.mol / pyo.units.l / pyo.units.min)
    reactant = {1: "A", 2: "B"}
    m.r = pyo.Expression(m.t, m.reactions, rule=lambda m, t, j: m.k[j] * m.c[reactant[j], t])

    @m.Constraint(m.t, m.species)
    def balance(m, t, i):
        if t == m.t.first():
            return pyo.Constraint.Skip
        return m.dc[i, t] == sum(m.nu[i, j] * m.r[t, j] for j in m.reactions)

    m.start = pyo.ConstraintList()
    for i, value in (("A", 2.0), ("B", 0.5), ("C", 0.0)):
        m.start.add(m.c[i, 0] == value)
    return m


def test_indexed_components_are_arrays_over_their_sets_with_their_units():
    unit, run = run_of(network(), 3.0)
    assert unit.time == "min"
    assert unit.c["B"] == "network.c[B]"
    assert type(unit).c.doc == "amount"
    assert {k: (s.kind, s.measure.label) for k, s in unit.scalars.items()}["k[2]"] == ("parameter", "1/min")
    rates = np.array([[-0.5, 0.0, 0.0], [0.5, -0.2, 0.0], [0.0, 0.2, 0.0]])
    expected = expm(3.0 * rates) @ [2.0, 0.5, 0.0]
    assert [run.at_end(name) for name in unit.c] == pytest.approx(expected, rel=1e-7)
    assert run.at_end(unit.r[2]) == pytest.approx(0.2 * expected[1], rel=1e-7)
    assert run[unit.r[1]].iloc[0] == pytest.approx(1.0)


def test_lowered_again_its_units_are_consistent():
    unit = from_pyomo(network())
    assert_units_consistent(Flowsheet(unit).to_pyomo(Recipe(Phase("run", duration=3.0))))


def test_t_stays_a_symbol_and_params_over_time_are_inputs():
    m = pyo.ConcreteModel("driven")
    m.t = ContinuousSet(bounds=(1.0, 3.0))
    m.f = pyo.Param(m.t, initialize=lambda m, t: 2.0 * t)
    m.step = pyo.Param(m.t, initialize={1.0: 1.5, 3.0: 1.5})
    m.x = pyo.Var(m.t, initialize=0.0)
    m.y = pyo.Var(m.t, initialize=0.0)
    m.dx, m.dy = DerivativeVar(m.x), DerivativeVar(m.y)
    m.ode = pyo.Constraint(m.t, rule=lambda m, t: m.dx[t] == pyo.sin(t) + (t - 1) ** 2 + m.step[t])
    m.driven = pyo.Constraint(m.t, rule=lambda m, t: m.dy[t] == m.f[t])
    unit = from_pyomo(m)
    inputs = inputs_of(unit)
    assert inputs[unit.step] == 1.5
    series = inputs[unit.f]
    assert (series.index[0], series.index[-1], series.iloc[-1]) == (0.0, 2.0, 6.0)
    given = {unit.step: 1.5, unit.f: lambda t: 2.0 * (t + 1.0)}
    run = simulate(Flowsheet(unit), Recipe(Phase("run", duration=2.0)), given, tolerance=1e-11)
    assert run.at_end(unit.x) == pytest.approx(math.cos(1) - math.cos(3) + 8 / 3 + 3.0, rel=1e-8)
    assert run.at_end(unit.y) == pytest.approx(9.0 - 1.0, rel=1e-8)


def test_inputs_count_in_the_flowsheets_time_and_do_not_lag():
    m = pyo.ConcreteModel("cooled")
    m.t = ContinuousSet(bounds=(0.0, 3.0))
    units = pyo.units
    m.a = pyo.Param(m.t, initialize=lambda m, t: 0.5 + 0.1 * t, units=1 / units.hr)
    m.x = pyo.Var(m.t, initialize=1.0, units=units.g)
    m.dx = DerivativeVar(m.x, units=units.g / units.hr)
    m.ode = pyo.Constraint(m.t, rule=lambda m, t: m.dx[t] == -m.a[t] * m.x[t])
    unit = from_pyomo(m)
    for time, length in (("h", 3.0), ("min", 180.0)):
        plant, recipe = Flowsheet(unit, time=time), Recipe(Phase("run", duration=length))
        run = simulate(plant, recipe, inputs_of(unit, time), tolerance=1e-10)
        assert run.at_end(unit.x) == pytest.approx(math.exp(-(1.5 + 0.05 * 9.0)), rel=1e-7)
    assert inputs_of(unit)[unit.a].index.name == "time [h]"
    with pytest.raises(DeclarationError, match="cannot convert 'h' to 'g'"):
        inputs_of(unit, "g")


def test_what_is_given_outside_the_block_is_read_there():
    m = pyo.ConcreteModel("site")
    m.t = ContinuousSet(bounds=(0, 1))
    m.F = pyo.Var(m.t, initialize=1.5)
    m.F.fix()
    m.slope = pyo.Param(m.t, initialize=lambda m, t: t, mutable=True)
    m.fed = pyo.Expression(m.t, rule=lambda m, t: m.F[t] + m.slope[t])
    m.tank = pyo.Block()
    m.tank.F = pyo.Var(initialize=1.0)  # of the same name, and another one
    m.tank.F.fix()
    m.tank.x = pyo.Var(m.t, initialize=1.0)
    m.tank.dx = DerivativeVar(m.tank.x)
    m.tank.ode = pyo.Constraint(m.t, rule=lambda b, t: b.dx[t] == m.fed[t] - b.F * b.x[t])
    unit, run = run_of(m.tank, 1.0)
    assert run.at_end(unit.x) == pytest.approx(1.5 - 0.5 * math.exp(-1) + math.exp(-1), rel=1e-4)
    m.F.unfix()
    with pytest.raises(DeclarationError, match=r"tank: its equations read F\[\d\], which is not in the block"):
        from_pyomo(m.tank)


def test_rules_that_close_over_their_model_are_read_too():
    m = pyo.ConcreteModel("closed")
    m.t = ContinuousSet(bounds=(0, 1))
    m.k = pyo.Var(initialize=2.0)
    m.k.fix()
    m.x = pyo.Var(m.t, initialize=1.0)
    m.dx = DerivativeVar(m.x)
    m.ode = pyo.Constraint(m.t, rule=lambda _, t: m.dx[t] == -m.k * m.x[t])
    unit, run = run_of(m, 1.0)
    assert run.at_end(unit.x) == pytest.approx(math.exp(-2.0), rel=1e-7)
    assert unit.k in Flowsheet(unit).values


# --- among other unit operations ------------------------------------------------------------------------------------


def test_ports_connect_it_to_other_unit_operations():
    m = pyo.ConcreteModel("tank")
    m.t = ContinuousSet(bounds=(0, 1))
    m.s = pyo.Set(initialize=["A", "B"])
    unit_c, unit_f = pyo.units.mol / pyo.units.l, pyo.units.l / pyo.units.s
    m.F = pyo.Var(m.t, initialize=0.0, units=unit_f)
    m.c_in = pyo.Var(m.t, m.s, initialize=0.0, units=unit_c)
    m.V = pyo.Var(m.t, initialize=1.0, units=pyo.units.l)
    m.c = pyo.Var(m.t, m.s, initialize=0.0, units=unit_c)
    m.dV = DerivativeVar(m.V, units=unit_f)
    m.dc = DerivativeVar(m.c, units=unit_c / pyo.units.s)
    m.out = pyo.Var(m.t, initialize=0.1, units=unit_f)
    m.out.fix()
    m.volume = pyo.Constraint(m.t, rule=lambda m, t: m.dV[t] == m.F[t] - m.out[t])
    m.species = pyo.Constraint(
        m.t, m.s, rule=lambda m, t, i: m.V[t] * m.dc[t, i] == m.F[t] * (m.c_in[t, i] - m.c[t, i])
    )
    ports = {"inlets": {"feed": {"flow": m.F, "c": m.c_in}}, "outlets": {"product": {"flow": m.out, "c": m.c}}}
    first, second = from_pyomo(m, name="first", **ports), from_pyomo(m, name="second", **ports)
    plant = Flowsheet(first, second, connect=[(first.product, second.feed)])
    given = {first.feed.flow: 0.1, first.feed.c["A"]: 1.0, first.feed.c["B"]: 2.0, first.out: 0.1, second.out: 0.1}
    run = simulate(plant, Recipe(Phase("run", duration=20.0)), given)
    assert run.at_end(first.c["A"]) == pytest.approx(1 - math.exp(-2.0), rel=1e-6)
    assert run.at_end(second.c["B"]) == pytest.approx(2 * (1 - 3 * math.exp(-2.0)), rel=1e-6)
    assert not diagnose(plant, Recipe(Phase("run", duration=20.0)), given).errors


def test_what_is_made_of_it_stays_of_units():
    """Without units in the model, what is lowered has dimensionless variables and rates per time."""
    unit = from_pyomo(cstr(), time_unit="min")
    plant, recipe = Flowsheet(unit), Recipe(Phase("run", duration=2.0))
    assert_units_consistent(plant.to_pyomo(recipe, inputs=inputs_of(unit)))
    changed = plant.with_values({unit.k0: 1.0})
    assert (changed.values[unit.k0], plant.values[unit.k0]) == (1.0, 7.2e10)


def test_powers_of_quantities_are_read_as_numbers_as_pyomo_does():
    m = pyo.ConcreteModel("odd")
    m.t = ContinuousSet(bounds=(0, 1))
    m.n, m.k = pyo.Param(initialize=1.5), pyo.Param(initialize=0.3)
    m.x = pyo.Var(m.t, initialize=2.0, units=pyo.units.mol / pyo.units.l)
    m.dx = DerivativeVar(m.x)
    m.ode = pyo.Constraint(m.t, rule=lambda m, t: m.dx[t] == -m.k * m.x[t] ** m.n)
    unit, run = run_of(m, 1.0)
    assert run.at_end(unit.x) == pytest.approx((2.0**-0.5 + 0.15) ** -2, rel=1e-7)
    assert_units_consistent(Flowsheet(unit).to_pyomo(Recipe(Phase("run", duration=1.0))))


def test_expressions_are_corrected_and_pickling_is_refused():
    unit = from_pyomo(network())
    plant = Flowsheet(unit).corrected({unit.r[1]: lambda v, rate: 2.0 * rate})
    run = simulate(plant, Recipe(Phase("run", duration=3.0)), tolerance=1e-10)
    assert run.at_end(unit.c["A"]) == pytest.approx(2.0 * math.exp(-3.0), rel=1e-6)
    with pytest.raises(DeclarationError, match=r"network: a unit operation that was a Pyomo model cannot be pickled"):
        pickle.dumps(plant)


def test_a_report_prints_its_equations(tmp_path):
    _, run = run_of(network(), 1.0)
    report(run, tmp_path / "run.html")
    text = (tmp_path / "run.html").read_text()
    assert 'alttext="d(c[A])/dt = nu[A,1]*r[1] + nu[A,2]*r[2]"' in text
    assert 'alttext="r[1] = k[1]*c[A]"' in text


def test_there_and_back_a_unit_of_the_library_is_the_same():
    reactor = BatchReactor("reactor")
    plant, recipe = Flowsheet(reactor), Recipe(Phase("react", duration=900.0))
    first = simulate(plant, recipe, {reactor.T_j: 334.0}, points=20, tolerance=1e-10)
    model = plant.to_pyomo(recipe, inputs={reactor.T_j: 334.0})
    block = model.phase["react"]
    unit = from_pyomo(block, name="again", duration=block.duration)
    second = simulate(Flowsheet(unit), recipe, inputs_of(unit), points=20, tolerance=1e-10)
    for name in ("c_A", "c_B", "c_C", "T"):
        mine = second[f"again.reactor_{name}"].to_numpy()
        np.testing.assert_allclose(mine, first[f"reactor.{name}"].to_numpy(), rtol=1e-6, atol=1e-9)
