"""Actions happen at once when a phase begins: they conserve amounts, follow one another, and have exact derivatives."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize

from titer.control import optimize, sensitivity
from titer.flowsheets import (
    Action,
    AtEnd,
    Equations,
    Flowsheet,
    Free,
    Inlet,
    Integral,
    Outlet,
    Parameter,
    Path,
    Phase,
    Recipe,
    State,
    Unit,
    action,
    diagnose,
    quantity,
    replay,
    report,
    simulate,
)
from titer.flowsheets.recipes.actions import offered
from titer.numerics import Grid, Ipopt
from titer.numerics.errors import DeclarationError, SpecificationError
from titer.numerics.shooting import Shooting

DECAY, FED, S_0 = 0.3, 500.0, 10.0


class Tank(Unit):
    """S' = -k S in a volume that only actions change."""

    time = "h"
    S = State("g/L", start=S_0, lower=0.0)
    V = State("L", start=1.0, lower=0.0)
    c = State("g/L", over="species", start=1.0)
    k = Parameter("1/h", DECAY)
    V_shot = Parameter("L", 0.02, lower=0.0, upper=1.0)
    S_shot = Parameter("g/mL", FED / 1000.0)
    shots = Parameter("L", (0.01, 0.03), over="species")
    species: tuple[str, ...] = ("a", "b")

    def equations(self, v):
        return Equations(rate={"S": -v.k * v.S, "V": 0.0, "c": 0.0 * v.c / quantity(1.0, "h")})

    @action(volume="L", S="g/L")
    def bolus(self, v, volume, S):
        """Add a volume of feed."""
        return {"V": v.V + volume, "S": (v.S * v.V + S * volume) / (v.V + volume)}

    @action(volumes="L")
    def shoot(self, v, volumes):
        return {"c": v.c + volumes * quantity(1.0, "g/L^2")}

    @action(each="g/L")
    def spike(self, v, **each):
        return {"c": [v.c[k] + each.get(label, 0.0 * v.c[k]) for k, label in enumerate(self.species)]}

    @action
    def empty(self, v):
        return {"V": 0.0, "S": 0.0}

    @action
    def wrong(self, v, what):
        return {what: 1.0} if what != "S" else {"S": v.V}


class Fermenter(Tank):
    """A tank whose bolus is announced: it has another body, which calls that of its base class."""

    broth = Outlet(flow="L/h", S="g/L")
    feed = Inlet(flow="L/h", S="g/L")

    def equations(self, v):
        rate = super().equations(v).rate
        return Equations(rate=rate, port={"broth": {"flow": v.feed.flow, "S": v.S}})

    @action(volume="L")
    def bolus(self, v, volume):
        return Tank.bolus.body(self, v, volume, v.S)


tank = Tank("tank")
plant = Flowsheet(tank)


def run(*phases, of=plant, **options):
    return simulate(of, Recipe(*phases), tolerance=1e-12, **options)


def begin(result, phase, name):
    return float(result.frame(phase)[name].iloc[0])


def test_a_bolus_conserves_amounts():
    result = run(Phase("a", 2.0), Phase("b", 1.0, actions=[tank.bolus(0.1, FED)]))
    before = result.at_end(tank.S, "a") * result.at_end(tank.V, "a")
    after = begin(result, "b", tank.S) * begin(result, "b", tank.V)
    assert before == pytest.approx(S_0 * math.exp(-2.0 * DECAY), rel=1e-9)
    assert after == pytest.approx(before + 0.1 * FED, rel=1e-12)
    assert begin(result, "b", tank.V) == pytest.approx(1.1, rel=1e-15)


@pytest.mark.parametrize(
    "made",
    [
        tank.bolus(0.02, FED),
        tank.bolus(S=FED, volume=0.02),
        tank.bolus(quantity(20.0, "mL"), quantity(0.5, "g/mL")),
        tank.bolus(tank.V_shot, tank.S_shot),
        tank.bolus("tank.V_shot", FED),
        Action("tank", "bolus", {"volume": 0.02, "S": FED}),
    ],
)
def test_an_argument_is_a_number_a_quantity_or_a_parameter(made):
    result = run(Phase("a", 1.0), Phase("b", 1.0, actions=[made]))
    before = result.at_end(tank.S, "a")
    assert begin(result, "b", tank.S) == pytest.approx((before + 0.02 * FED) / 1.02, rel=1e-12)


def test_a_parameter_has_the_value_that_it_has_in_the_phase():
    shot = Phase("b", 1.0, actions=[tank.bolus(tank.V_shot, FED)], fixed={tank.V_shot: 0.5})
    assert begin(run(Phase("a", 1.0), shot), "b", tank.V) == pytest.approx(1.5, rel=1e-12)
    with pytest.raises(SpecificationError, match=r"tank.V_shot is fixed by the phase before, and not in this one"):
        run(shot, Phase("c", 1.0, actions=[tank.bolus(tank.V_shot, FED)]))


def test_actions_follow_one_another():
    twice = run(Phase("a", 1.0, actions=[tank.empty(), tank.bolus(0.5, 7.0), tank.bolus(0.5, 9.0)]))
    assert (begin(twice, "a", tank.V), begin(twice, "a", tank.S)) == pytest.approx((1.0, 8.0), rel=1e-12)


def test_actions_come_after_what_start_sets():
    result = run(Phase("a", 1.0, start={tank.V: 4.0}, actions=[tank.shoot(tank.shots)]))
    assert [begin(result, "a", name) for name in tank.c] == pytest.approx([1.01, 1.03])
    only_S = Phase("a", 1.0, start={tank.V: 3.0}, actions=[tank.wrong("S")])
    with pytest.raises(SpecificationError, match="is in 'L', expected 'g/L'"):
        run(only_S)
    with pytest.raises(SpecificationError, match=r"tank.V is set by start=\{...\} and changed by the action"):
        run(Phase("a", 1.0, start={tank.V: 3.0}, actions=[tank.bolus(0.1, FED)]))


def test_arguments_by_any_name_have_their_unit():
    result = run(Phase("a", 1.0, actions=[tank.spike(b=quantity(2000.0, "mg/L"))]))
    assert [begin(result, "a", name) for name in tank.c] == pytest.approx([1.0, 3.0])


def test_an_action_of_the_first_phase_sees_the_initial_values():
    result = run(Phase("a", 1.0, actions=[tank.bolus(1.0, 0.0)]), of=plant.with_values({tank.S: 6.0}))
    assert begin(result, "a", tank.S) == pytest.approx(3.0, rel=1e-12)


def test_an_action_after_rest_sees_the_held_states():
    other = Tank("other")
    result = run(
        Phase("a", 1.0, idle=[tank]), Phase("b", 1.0, actions=[tank.bolus(1.0, 0.0)]), of=Flowsheet(tank, other)
    )
    assert begin(result, "b", tank.S) == pytest.approx(S_0 / 2.0, rel=1e-12)


def test_a_class_may_use_the_body_of_its_base():
    one = Fermenter("one")
    assert set(offered(Fermenter)) == {"bolus", "shoot", "spike", "empty", "wrong"}
    plant = Flowsheet(one)
    recipe = Recipe(Phase("a", 1.0, actions=[one.bolus(0.3)]))
    result = simulate(plant, recipe, {"one.feed.flow": 0.0, "one.feed.S": 0.0})
    assert begin(result, "a", one.S) == pytest.approx(S_0, rel=1e-12)


def mean_square(t_1, volume, end=6.0, wanted=8.0):
    """The integral of (S - wanted)^2 in closed form for S' = -k S and one bolus."""
    first = S_0 * math.exp(-DECAY * t_1)
    second = (first + FED * volume) / (1.0 + volume)

    def part(S, length):
        e = math.exp(-DECAY * length)
        return S**2 * (1 - e**2) / (2 * DECAY) - 2 * wanted * S * (1 - e) / DECAY + wanted**2 * length

    return part(S_0, t_1) + part(second, end - t_1)


def test_the_closed_form_is_the_integral():
    assert mean_square(6.0, 0.0) == pytest.approx(
        quad(lambda t: (S_0 * math.exp(-DECAY * t) - 8.0) ** 2, 0, 6)[0], rel=1e-10
    )


SQUARE = Integral(lambda v: (v.tank.S - 8.0) ** 2)
LENGTH = AtEnd(lambda v: v.time, lower=6.0, upper=6.0, name="length")
TIMED = Recipe(
    Phase("before", Free(2.0, 0.1, 6.0)), Phase("after", Free(4.0, 0.1, 6.0), actions=[tank.bolus(tank.V_shot, FED)])
)


@pytest.mark.parametrize("method", [None, Shooting()])
def test_volume_and_time_of_a_bolus_are_decided(method):
    recipe = TIMED.replaced("before", method=method)
    decisions = {tank.V_shot: Free(0.005, 0.0, 0.1)}
    plan = optimize(plant, recipe, decisions, minimize=SQUARE, subject_to=[LENGTH], grid=Grid(12))
    best = minimize(lambda p: mean_square(p[0], p[1] / 100.0), [2.0, 1.0], method="Nelder-Mead", tol=1e-10)
    assert plan.certificate.ok
    assert plan.objective == pytest.approx(best.fun, rel=1e-7)
    assert plan.duration["before"] == pytest.approx(best.x[0], rel=1e-3)
    assert plan.decided[tank.V_shot] == pytest.approx(best.x[1] / 100.0, rel=1e-3)
    assert replay(plan).at_end(tank.S) == pytest.approx(plan.at_end(tank.S), rel=1e-6)


@pytest.mark.parametrize("first", [True, False])
def test_derivatives_go_through_an_action(first):
    """Of what is left at the end, with respect to volume, concentration and initial state, in closed form."""
    shot = {"actions": [tank.bolus(tank.V_shot, tank.S_shot)]}
    phases = [Phase("a", Free(1.0, 0.1, 1.0), **(shot if first else {})), Phase("b", 1.0, **({} if first else shot))]
    plan = optimize(
        plant, Recipe(*phases), maximize=AtEnd(lambda v: -v.tank.S), grid=Grid(12), solver=Ipopt(tolerance=1e-10)
    )
    found = sensitivity(plan, [tank.V_shot, tank.S_shot, tank.S, tank.V])
    assert plan.duration["a"] == pytest.approx(1.0)  # the longer the less is left: at its limit
    left, v = math.exp(-2.0 * DECAY), 0.02
    brought = FED if first else FED * math.exp(DECAY)
    slope = left / (1.0 + v) ** 2 * np.array([brought - S_0, 1000.0 * brought / FED * v * (1 + v), 1.0 + v, 0.0])
    slope[3] = left * (S_0 * v - brought * v) / (1.0 + v) ** 2  # d/dV of (S V + brought v) / (V + v)
    assert -found.objective == pytest.approx(slope, rel=1e-6)


def test_a_decided_start_goes_through_the_actions_of_the_first_phase():
    recipe = Recipe(Phase("a", 1.0, actions=[tank.bolus(1.0, 0.0)]))
    want = AtEnd(lambda v: (v.tank.S - 3.0) ** 2)
    plan = optimize(plant, recipe, {tank.S: Free(5.0, 0.0, 50.0)}, minimize=want)
    assert plan.decided[tank.S] == pytest.approx(2.0 * 3.0 * math.exp(DECAY), rel=1e-5)
    assert plan.certificate.ok


def test_pyomo_acts_alike():
    pyo = pytest.importorskip("pyomo.environ")
    from titer.flowsheets.pyomo import value_of

    first = {"actions": [tank.bolus(quantity(10.0, "mL"), 20.0), tank.shoot([0.1, 0.2])]}
    recipe = TIMED.replaced("before", **first)
    problem = {"minimize": SQUARE, "subject_to": [LENGTH]}
    decisions = {tank.V_shot: Free(0.005, 0.0, 0.1)}
    plan = optimize(plant, recipe, decisions, grid=Grid(10), **problem)
    model = plant.to_pyomo(recipe, Grid(10), free=decisions, **problem)
    pyo.SolverFactory("titer.ipopt").solve(model)
    assert pyo.value(model.objective) == pytest.approx(plan.objective, rel=1e-7)
    assert value_of(model, tank.V_shot) == pytest.approx(plan.decided[tank.V_shot], rel=1e-4)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: tank.bolus(0.1), "tank.bolus(volume, S): missing a required argument: 'S'"),
        (lambda: tank.bolus(0.1, 2.0, T=3.0), "got an unexpected keyword argument 'T'"),
        (lambda: tank.bolus(quantity(1.0, "g"), 2.0), "tank.bolus: volume: cannot convert 'g' to 'L'"),
        (lambda: tank.bolus(math.nan, 2.0), "tank.bolus: volume must be finite"),
        (lambda: tank.shoot([0.1, math.inf]), "tank.shoot: volumes must be finite"),
        (lambda: Phase("a", 1.0, actions=[3]), "actions is a list of what unit operations offer"),
        (lambda: Phase("a", 1.0, actions=tank.empty()), "actions is a list of actions, got"),
        (lambda: Action("tank", "bolus", [1.0]), "Action tank.bolus: arguments is a dict"),
        (lambda: run(Phase("a", 1.0, actions=[Action("tnk", "empty")])), "Did you mean 'tank'?"),
        (lambda: run(Phase("a", 1.0, actions=[Action("tank", "bolos")])), "tank: action 'bolos' is unknown. Did you"),
        (lambda: run(Phase("a", 1.0, actions=[Action("tank", "bolus", {"volume": 1.0})])), "missing a required arg"),
        (lambda: run(Phase("a", 1.0, actions=[tank.bolus(tank.V, 1.0)])), "tank.V is a state; an argument is a number"),
        (lambda: run(Phase("a", 1.0, actions=[tank.bolus("tank.V_shoot", 1.0)])), "Did you mean 'tank.V_shot'?"),
        (lambda: run(Phase("a", 1.0, actions=[tank.wrong("Z")])), "returns a value for state 'Z' is unknown"),
        (lambda: run(Phase("a", 1.0, actions=[tank.wrong("V"), tank.bolus(-3.0, 1.0)])), "outside its bounds [0, inf]"),
    ],
)
def test_a_wrong_action_is_refused(make, text):
    with pytest.raises(SpecificationError) as raised:
        make()
    assert text in str(raised.value)


def test_a_unit_operation_at_rest_does_not_act():
    with pytest.raises(SpecificationError, match="tank is idle in this phase, its states are held"):
        run(Phase("a", 1.0, idle=["tank"], actions=[tank.empty()]), of=Flowsheet(tank, Tank("other")))


def test_a_body_that_no_action_can_have_is_refused_where_it_is_declared():
    with pytest.raises(DeclarationError, match=r"action bolus: expected a method of \(self, v, arguments by name\)"):
        action(volume="L")(_with_positions)
    with pytest.raises(DeclarationError, match="volum='L' is the unit of no argument; it has volume"):
        action(volum="L")(_sample)


def _with_positions(self, v, *volumes):
    return {}


_with_positions.__name__ = "bolus"


def _sample(self, v, volume):
    return {}


def test_an_action_reads_what_is_known_before_and_after_rest():
    class Curious(Tank):
        @action
        def look(self, v):
            return {"S": v.time}

    with pytest.raises(SpecificationError, match=r"actions: curious.look\(\): curious: variable 'time' is unknown"):
        run(Phase("a", 1.0, actions=[Curious("curious").look()]), of=Flowsheet(Curious("curious")))


def test_an_action_reads_as_a_call():
    assert str(tank.bolus(quantity(20.0, "mL"), 5)) == "tank.bolus(volume=20 mL, S=5)"
    assert tank.bolus.__doc__ == "Add a volume of feed."


def test_diagnosis_and_report_know_actions(tmp_path):
    recipe = Recipe(Phase("a", 1.0, actions=[tank.bolus(tank.V_shot, FED)]), Phase("b", 1.0))
    full = Path(lambda v: v.tank.V, upper=1.01, name="full")
    want = {"maximize": AtEnd(lambda v: v.tank.S), "subject_to": [full]}
    assert "Nothing that is decided acts before it" in str(
        diagnose(plant, recipe, free={tank.k: Free(0.3, 0.1, 1)}, **want)
    )
    assert diagnose(plant, recipe, free={tank.V_shot: Free(0.02, 0.0, 0.1)}, **want).ok
    plan = optimize(plant, recipe, {tank.V_shot: Free(0.02, 0.0, 0.1)}, **want)
    assert plan.decided[tank.V_shot] == pytest.approx(0.01, abs=1e-6)
    report(plan, tmp_path / "plan.html")
    assert "tank.bolus(volume=tank.V_shot, S=500)" in (tmp_path / "plan.html").read_text()
