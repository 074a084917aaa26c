"""A recipe goes to YAML and back: the same text, the same run; what is wrong in a file is named with its line."""

import pandas as pd
import pytest

from titer.flowsheets import (
    Control,
    Equations,
    Flowsheet,
    Free,
    Inlet,
    Outlet,
    Parameter,
    Phase,
    PiecewiseConstant,
    PiecewiseLinear,
    Reaches,
    Recipe,
    State,
    Unit,
    action,
    cycles,
    quantity,
    simulate,
)
from titer.numerics.errors import FlowsheetError, SpecificationError
from titer.numerics.shooting import Shooting


class Tank(Unit):
    """A stirred tank that takes in a stream and is drawn off at the rate Q."""

    time = "h"
    V = State("L", start=1.0, lower=0.0)
    n = State("g", over="species", start=2.0, lower=0.0)
    Q = Control("L/h", start=0.0, lower=0.0)
    k = Parameter("1/h", 0.3)
    V_shot = Parameter("L", 0.1)
    feed = Inlet(flow="L/h", c=("g/L", "species"))
    out = Outlet(flow="L/h", c=("g/L", "species"))
    species: tuple[str, ...] = ("NO", "B")

    def equations(self, v):
        c = v.n / v.V
        rate = {"V": v.feed.flow - v.Q, "n": v.feed.flow * v.feed.c - v.Q * c - v.k * v.n}
        return Equations(rate=rate, port={"out": {"flow": v.Q, "c": c}})

    @action(volume="L", c="g/L")
    def bolus(self, v, volume, **c):
        added = [n + volume * c.get(label, quantity(0.0, "g/L")) for n, label in zip(v.n, self.species, strict=True)]
        return {"V": v.V + volume, "n": added}


a, b = Tank("a"), Tank("b")
plant = Flowsheet(a, b)
inputs = {a.Q: 0.02, b.Q: 0.0, a.feed.flow: 0.0, a.feed.c: 0.0}
recipe = Recipe(
    Phase("batch", quantity(30.0, "min"), idle=[b], fixed={a.Q: 0.0}),
    Phase(
        "draw",
        Free(1.0, 0.1, quantity(300.0, "min")),
        until=Reaches(a.V, quantity(900.0, "mL"), "falling"),
        idle=[b],
        inputs={a.Q: PiecewiseConstant(values=[0.1, 0.2])},
    ),
    Phase("ramp", 1.0, inputs={a.Q: PiecewiseLinear(values=[0.0, quantity(1.0, "mL/min")])}, routes=[(a.out, b.feed)]),
    *cycles(
        3,
        [
            Phase(
                "load",
                Free(0.5, 0.1, 1.0),
                routes=[(a.out, b.feed)],
                inputs={a.Q: pd.Series([0.1, 0.05], index=[0.0, 4.0])},
                actions=[a.bolus(quantity(50.0, "mL"), NO=3.0), b.bolus(b.V_shot, B=1.0e-3)],
            ),
            Phase("wash", 0.25, idle=["a"], start={b.n: [0.1, 0.2]}, fixed={b.k: 0.0}),
        ],
        same_durations=True,
    ),
    Phase("end", 1, method=Shooting(intervals=4)),
)

TEXT = """\
phases:
- phase: batch
  duration: 30.0 min
  fixed: {a.Q: 0.0}
  idle: [b]
- phase: draw
  duration: {guess: 1.0, lower: 0.1, upper: 300.0 min}
  until: a.V falls to 900.0 mL
  inputs:
    a.Q: {steps: [0.1, 0.2]}
  idle: [b]
- phase: ramp
  duration: 1.0
  inputs:
    a.Q: {lines: [0.0, 1.0 mL/min]}
  routes: [a.out -> b.feed]
- cycles:
    count: 3
    same_durations: true
    phases:
    - phase: load
      duration: {guess: 0.5, lower: 0.1, upper: 1.0}
      inputs:
        a.Q:
          series: {0.0: 0.1, 4.0: 0.05}
      actions:
      - a.bolus: {volume: 50.0 mL, 'NO': 3.0}
      - b.bolus: {volume: b.V_shot, B: 0.001}
      routes: [a.out -> b.feed]
    - phase: wash
      duration: 0.25
      fixed: {b.k: 0.0}
      start: {'b.n[NO]': 0.1, 'b.n[B]': 0.2}
      idle: [a]
- phase: end
  duration: 1
  method:
    shooting: {intervals: 4}
"""


def test_a_recipe_reads_as_text():
    assert recipe.to_yaml() == TEXT


def test_text_and_run_come_back():
    again = Recipe.from_yaml(TEXT)
    assert again.to_yaml() == TEXT
    assert [phase.name for phase in again] == [phase.name for phase in recipe]
    first, second = (simulate(plant, r, inputs).frame() for r in (recipe, again))
    pd.testing.assert_frame_equal(first, second, rtol=0.0, atol=0.0)


def test_a_recipe_goes_through_a_file(tmp_path):
    path = tmp_path / "recipe.yaml"
    assert recipe.to_yaml(path) == path.read_text() == TEXT
    assert Recipe.from_yaml(path).to_yaml() == Recipe.from_yaml(str(path)).to_yaml() == TEXT
    with pytest.raises(SpecificationError, match=r"none.yml: there is no such file"):
        Recipe.from_yaml("none.yml")


def test_a_cycle_that_differs_is_written_out():
    changed = recipe.replaced("wash 3", duration=2.0)
    text = changed.to_yaml()
    assert "count: 2" in text
    assert "- phase: wash 3\n  duration: 2.0" in text
    assert "- phase: load 3\n  duration: same as load 1" in text
    assert Recipe.from_yaml(text).to_yaml() == text


def test_texts_are_those_of_yaml_1_2():
    """NO is nitric oxide, 1e-3 a number, and 12:30 no count of seconds."""
    text = "phases: [{phase: NO, duration: 1e-3}, {phase: '12:30', duration: 5e-1 h}, {phase: on, duration: .5}]"
    read = Recipe.from_yaml(f"{text}\n")
    assert [phase.name for phase in read] == ["NO", "12:30", "on"]
    assert read["NO"].duration == 1e-3
    assert read["12:30"].duration.value == 0.5
    assert read["on"].duration == 0.5


@pytest.mark.parametrize(
    ("phase", "text"),
    [
        (
            Phase("a", 1.0, start={a.V: lambda v: v.a.V}),
            "start: a.V is a function, which no file holds.\n  Write an act",
        ),
        (
            Phase("a", 1.0, inputs={a.Q: lambda t: t}),
            "inputs: a.Q is a function, which no file holds.\n  Give a number",
        ),
        (
            Phase("a", Free(1, 0, 2), until=lambda v: v.a.V <= 1),
            "until is a function, which no file holds.\n  Write un",
        ),
        (Phase("a", 1.0, inputs={a.Q: PiecewiseConstant(3)}), "pieces without values are decided"),
    ],
)
def test_functions_are_refused_with_what_to_write_instead(phase, text):
    with pytest.raises(SpecificationError) as raised:
        Recipe(phase).to_yaml()
    assert str(raised.value).startswith("Phase 'a': ")
    assert text in str(raised.value)


def one(line):
    return f"phases:\n- phase: feed\n  duration: 2.0\n  {line}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("phases:\n- phase: [", "recipe, line 2: this is no YAML"),
        ("", "recipe: expected `phases:` and a list of them, got None"),
        ("phase: feed\n", "recipe, line 1: key 'phase' is unknown. Did you mean 'phases'?"),
        ("phases: []\n", "phases is a list of entries `- phase: ...`"),
        ("phases:\n- {duration: 2}\n", "recipe, line 2: an entry of phases begins with `phase:` or `cycles:`"),
        ("phases:\n- {phase: 3, duration: 2}\n", "recipe: phase 3, line 2: Phase: the name must be a text, got 3."),
        ("phases:\n- phase: feed\n", "recipe: phase 'feed', line 2: Phase 'feed': no duration"),
        (one("duratoin: 3"), "recipe: phase 'feed', line 4: key 'duratoin' is unknown. Did you mean 'duration'?"),
        (one("duration: 3"), "recipe, line 4: duration stands twice, first in line 3."),
        (one("until: a.V drops to 3"), "phase 'feed', line 4: until: until: expected such as 'reactor.S falls to 0.5'"),
        (one("until: a.V falls to 3 litres of"), "phase 'feed', line 4: until: until a.V: "),
        (one("fixed: [a.Q]"), "line 4: fixed: expected names with values, such as {reactor.F: 2.0}, got ['a.Q']."),
        (one("fixed: {a.Q: fast}"), "line 4: fixed: a.Q: expected a number, or a quantity such as 20 min, got 'fast'"),
        (one("inputs: {a.Q: {step: [1, 2]}}"), "inputs: a.Q: expected one of steps, lines, exponentials and series"),
        (one("inputs: {a.Q: {steps: 1}}"), "inputs: a.Q: steps is a list of numbers, got 1"),
        (one("inputs: {a.Q: {series: [1]}}"), "a series has times as keys"),
        (
            one("routes: [a.out b.feed]"),
            "line 4: routes: expected such as 'reactor.broth -> tank.feed', got 'a.out b.f",
        ),
        (one("idle: b"), "line 4: idle: expected a list of names, got 'b'."),
        (one("actions: {a.bolus: {}}"), "line 4: actions: expected a list such as"),
        (one("actions: [bolus: 3]"), "line 4: actions: expected unit.action and its arguments by name"),
        (
            one("method: collocation"),
            "line 4: method: expected shooting, with its options, or simultaneous, got 'collocation'.",
        ),
        (one("method: {shooting: {interval: 3}}"), "option 'interval' is unknown. Did you mean 'intervals'?"),
        (
            "phases:\n- phase: feed\n  duration: {guess: 2}\n",
            "line 3: duration: expected guess, lower and upper, got gu",
        ),
        ("phases:\n- phase: feed\n  duration: 2 hous\n", "recipe: phase 'feed', line 3: duration: duration: "),
        ("phases:\n- cycles: {count: 2}\n", "phases is a list of entries"),
        (
            "phases:\n- cycles: {count: 0, phases: [{phase: a, duration: 1}]}\n",
            "line 2: cycles: cycles: the count is a",
        ),
        ("phases:\n- cycles: {cuont: 2}\n", "recipe: cycles, line 2: key 'cuont' is unknown. Did you mean 'count'?"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_line(text, expected):
    with pytest.raises(SpecificationError) as raised:
        Recipe.from_yaml(text)
    assert expected in str(raised.value)


@pytest.mark.parametrize(
    ("line", "error", "expected"),
    [
        ("routes: [a.out -> b.fed]", FlowsheetError, "Phase 'feed': b: port 'fed' is unknown. Did you mean 'feed'?"),
        ("routes: [a.out -> bb.feed]", FlowsheetError, "unit operation 'bb' is unknown. Did you mean 'b'?"),
        ("routes: [b.feed -> a.out]", FlowsheetError, "a connection goes from an outlet"),
        ("idle: [c]", SpecificationError, "Phase 'feed': idle: unit operation 'c' is unknown"),
        ("fixed: {a.V_sht: 1.0}", SpecificationError, "'a.V_sht' is unknown. Did you mean 'a.V_shot'?"),
        ("inputs: {a.V: 1.0}", SpecificationError, "inputs: a.V is a state, not a control"),
        ("start: {'a.n[N]': 1.0}", SpecificationError, "state 'a.n[N]' is unknown. Did you mean 'a.n["),
        ("actions: [a.bolos: {}]", SpecificationError, "a: action 'bolos' is unknown. Did you mean 'bolus'?"),
        ("actions: [a.bolus: {volume: a.V_sht}]", SpecificationError, "'a.V_sht' is unknown. Did you mean 'a.V_shot'?"),
        ("actions: [a.bolus: {volume: 3 g}]", SpecificationError, "Phase 'feed': a.bolus: volume: cannot convert 'g'"),
    ],
)
def test_names_of_a_file_are_checked_on_the_plant(line, error, expected):
    with pytest.raises(error) as raised:
        simulate(plant, Recipe.from_yaml(one(line)), inputs)
    assert expected in str(raised.value)


def test_routes_may_be_texts():
    texts = Recipe(Phase("move", 1.0, routes=[("a.out", "b.feed")]))
    ports = Recipe(Phase("move", 1.0, routes=[(a.out, b.feed)]))
    first, second = (simulate(plant, r, inputs).at_end(b.V) for r in (texts, ports))
    assert first == second == pytest.approx(1.02)
