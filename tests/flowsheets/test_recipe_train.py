"""A train under 13 phases: every duration is decided, ends by conditions have derivatives, phases are switched off."""

import numpy as np
import pytest

from titer.control import optimize, sensitivity
from titer.flowsheets import (
    AtEnd,
    Control,
    Equations,
    Flowsheet,
    Free,
    Inlet,
    Outlet,
    Parameter,
    Path,
    Phase,
    PiecewiseConstant,
    Reaches,
    Recipe,
    State,
    Unit,
    cycles,
    quantity,
    replay,
    simulate,
)
from titer.numerics import Grid, Ipopt


class Culture(Unit):
    """Perfusion that retains its cells: Monod growth, product and impurity made with it; the outlet has no cells."""

    time = "h"
    X = State("g/L", start=0.1, lower=0.0)
    S = State("g/L", start=20.0, lower=0.0)
    P = State("g/L", start=0.0, lower=0.0)
    I = State("g/L", start=0.0, lower=0.0)  # noqa: E741
    F = Control("L/h", start=0.03, lower=0.0, upper=0.06)
    V = Parameter("L", 0.5)
    S_in = Parameter("g/L", 80.0)
    mu_max = Parameter("1/h", 0.25)
    K_S = Parameter("g/L", 1.0)
    Y = Parameter("1", 0.7)
    a_P = Parameter("1", 0.05)
    a_I = Parameter("1", 0.01)
    broth = Outlet(flow="L/h", P="g/L", I="g/L")

    def equations(self, v):
        growth = v.mu_max * v.S / (v.K_S + v.S) * v.X
        D = v.F / v.V
        rate = {"X": growth, "S": D * (v.S_in - v.S) - growth / v.Y}
        rate |= {"P": v.a_P * growth - D * v.P, "I": v.a_I * growth - D * v.I}
        return Equations(rate=rate, port={"broth": {"flow": v.F, "P": v.P, "I": v.I}})


class Hold(Unit):
    """A hold tank in amounts."""

    time = "h"
    V = State("L", start=0.0, lower=0.0)
    P = State("g", start=0.0, lower=0.0)
    I = State("g", start=0.0, lower=0.0)  # noqa: E741
    Q = Control("L/h", start=0.0, lower=0.0, upper=0.2)
    heel = Parameter("L", 1e-3)
    feed = Inlet(flow="L/h", P="g/L", I="g/L")
    out = Outlet(flow="L/h", P="g/L", I="g/L")

    def equations(self, v):
        P, I = (n / (v.V + v.heel) for n in (v.P, v.I))  # noqa: E741
        rate = {"V": v.feed.flow - v.Q, "P": v.feed.flow * v.feed.P - v.Q * P, "I": v.feed.flow * v.feed.I - v.Q * I}
        return Equations(rate=rate, port={"out": {"flow": v.Q, "P": P, "I": I}})


class Column(Unit):
    """Bound amounts b and pooled amounts m: binding slows down as the column fills, a wash takes off impurity."""

    time = "h"
    b_P = State("g", start=0.0, lower=0.0)
    b_I = State("g", start=0.0, lower=0.0)
    m_P = State("g", start=0.0, lower=0.0)
    m_I = State("g", start=0.0, lower=0.0)
    b_max = Parameter("g", 0.3)
    k_w = Parameter("1/h", 0.0)
    k_e = Parameter("1/h", 0.0)
    load = Inlet(flow="L/h", P="g/L", I="g/L")

    def equations(self, v):
        free = 1.0 - (v.b_P + v.b_I) / v.b_max
        P, I = v.k_e * v.b_P, v.k_e * v.b_I  # noqa: E741
        bound_P = v.load.flow * v.load.P * free - 0.03 * v.k_w * v.b_P
        bound_I = 0.3 * v.load.flow * v.load.I * free - v.k_w * v.b_I
        return Equations(rate={"b_P": bound_P - P, "b_I": bound_I - I, "m_P": P, "m_I": I})


culture, hold, column = Culture("culture"), Hold("hold"), Column("column")
train = Flowsheet(culture, hold, column, time="h")
GROWTH, PRODUCT = {culture.S_in: 80.0, culture.a_P: 0.0}, {culture.S_in: 40.0, culture.a_P: 0.1}
FEEDING = [(culture.broth, hold.feed)]
thirteen = Recipe(
    Phase(
        "batch",
        Free(22.0, 5.0, 40.0),
        until=Reaches(culture.S, 0.5, "falling"),
        fixed={culture.F: 0.0, **GROWTH},
        idle=[hold, column],
    ),
    Phase("grow", Free(10.0, 0.0, 20.0), fixed=GROWTH, idle=[hold, column]),
    Phase("adapt", Free(8.0, 0.0, 15.0), fixed=PRODUCT, idle=[hold, column]),
    Phase("produce", Free(20.0, 5.0, 40.0), fixed=PRODUCT, idle=[column], routes=FEEDING),
    *cycles(
        3,
        [
            Phase(
                "load",
                Free(3.0, 0.2, 6.0),
                fixed={**PRODUCT, hold.Q: 0.06},
                routes=[*FEEDING, (hold.out, column.load)],
            ),
            Phase("wash", Free(1.0, 0.0, 3.0), fixed={**PRODUCT, hold.Q: 0.0, column.k_w: 2.0}, routes=FEEDING),
            Phase("elute", Free(6.0, 0.5, 8.0), fixed={**PRODUCT, hold.Q: 0.0, column.k_e: 1.0}, routes=FEEDING),
        ],
    ),
)
INPUTS = {culture.F: 0.03, hold.Q: 0.0}
alone = Flowsheet(culture)
BATCH = Phase("batch", Free(20.0, 5.0, 40.0), until=Reaches(culture.S, 2.0, "falling"), fixed={culture.F: 0.0})


def test_thirteen_phases_are_optimized_with_every_duration_free():
    levels = [Path(lambda v: v.hold.V, lower=0.05, name=f"level {k}", phase=f"load {k}") for k in (1, 2, 3)]
    purity = AtEnd(lambda v: v.column.m_I - 0.02 * v.column.m_P, upper=0.0, name="purity")
    want = AtEnd(lambda v: v.column.m_P / (v.time + 20.0))
    plan = optimize(train, thirteen, inputs=INPUTS, maximize=want, subject_to=[purity, *levels], grid=Grid(14))
    nominal = simulate(train, thirteen, INPUTS)
    assert len(plan.duration) == 13
    assert plan.certificate.ok
    assert plan.objective > 1.1 * nominal.at_end(column.m_P) / (sum(nominal.duration.values()) + 20.0)
    assert plan.at_end(column.m_I) == pytest.approx(0.02 * plan.at_end(column.m_P), rel=1e-6)
    assert plan.at_end(culture.S, "batch") == pytest.approx(0.5, rel=1e-6)
    assert plan.duration["wash 1"] > plan.duration["wash 2"] > plan.duration["wash 3"] > 0.0

    again = simulate(train, thirteen.with_durations(plan.duration), INPUTS, tolerance=1e-11)
    assert again.at_end(column.m_P) == pytest.approx(plan.at_end(column.m_P), rel=1e-4)
    for name, factor in (("adapt", 1.1), ("adapt", 0.9), ("elute 1", 1.1), ("elute 1", 0.9), ("wash 1", 0.5)):
        other = thirteen.with_durations({**plan.duration, name: factor * plan.duration[name]})
        run = simulate(train, other, INPUTS, tolerance=1e-11)
        rate = run.at_end(column.m_P) / (sum(run.duration.values()) + 20.0)
        pure = run.at_end(column.m_I) <= 0.02 * run.at_end(column.m_P)
        assert rate < plan.objective or not pure, (name, factor)


@pytest.mark.parametrize("free", [False, True], ids=["nothing else is decided", "a later duration is decided"])
def test_derivatives_go_through_a_phase_that_ends_by_a_condition(free):
    """d product / d parameter, against central differences of simulations."""
    feed = Phase("feed", Free(10.0, 1.0, 10.0) if free else 10.0)
    recipe, names = Recipe(BATCH, feed), [culture.mu_max, culture.Y, culture.K_S, culture.S]
    plan = optimize(
        alone,
        recipe,
        inputs={culture.F: 0.03},
        maximize=AtEnd(lambda v: v.culture.P),
        grid=Grid(30, degree=4),
        solver=Ipopt(tolerance=1e-11),
    )
    found = sensitivity(plan, names)
    assert plan.duration["feed"] == pytest.approx(10.0, rel=1e-7)

    def ended(name, value):
        run = simulate(alone.with_values({name: value}), recipe, {culture.F: 0.03}, tolerance=1e-13)
        return np.array([run.at_end(culture.P), run.duration["batch"]])

    for k, name in enumerate(names):
        value = alone.values[name]
        h = 1e-3 * value
        near, far = (ended(name, value + s) - ended(name, value - s) for s in (h, 2.0 * h))
        slope = (8.0 * near - far) / (12.0 * h)  # of fourth order
        assert [found.objective[k], found.duration["batch"][k]] == pytest.approx(slope, rel=1e-6)


def test_a_phase_that_does_harm_is_switched_off():
    """To wait costs product that leaves with the outlet; the piece-wise feed has nothing to decide in it then."""
    recipe = Recipe(
        BATCH,
        Phase("wait", Free(2.0, 0.0, 10.0), fixed={culture.S_in: 0.0}),
        Phase("feed", Free(10.0, 0.0, 20.0)),
    )
    end = AtEnd(lambda v: v.culture.P - quantity(0.05, "g/L/h") * v.time)
    plan = optimize(
        alone, recipe, {culture.F: PiecewiseConstant(3)}, maximize=end, inputs={culture.F: 0.03}, grid=Grid(30)
    )
    assert plan.certificate.ok
    assert plan.duration["wait"] < 1e-5
    assert 1.0 < plan.duration["feed"] < 19.0
    assert replay(plan).at_end(culture.P) == pytest.approx(plan.at_end(culture.P), rel=1e-5)
    assert recipe.table(plan)["at its limit"]["wait"] == "lower (off)"
    recipe.plot(plan).canvas.draw()
    plan.plot().canvas.draw()

    without = Recipe(recipe["batch"], recipe["feed"])
    other = optimize(
        alone, without, {culture.F: PiecewiseConstant(3)}, maximize=end, inputs={culture.F: 0.03}, grid=Grid(30)
    )
    assert other.objective == pytest.approx(plan.objective, rel=1e-6)


def test_a_phase_of_hardly_any_length_is_simulated():
    """Lengths down to 1e-12 h change nothing by more than their share."""
    short = [
        simulate(
            alone,
            Recipe(BATCH, Phase("wait", Free(length, 0.0, 10.0), fixed={culture.F: 0.0}), Phase("feed", 5.0)),
            {culture.F: 0.03},
            tolerance=1e-11,
        ).at_end(culture.P)
        for length in (1e-12, 1e-9, 1e-6)
    ]
    straight = simulate(alone, Recipe(BATCH, Phase("feed", 5.0)), {culture.F: 0.03}, tolerance=1e-11).at_end(culture.P)
    assert short == pytest.approx([straight] * 3, rel=1e-6)
