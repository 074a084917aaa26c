"""A recipe is changed by making another: one phase replaced, durations set."""

import pytest

from titer.flowsheets import Equations, Flowsheet, Free, Phase, Reaches, Recipe, State, Unit, simulate
from titer.numerics.errors import SpecificationError


class Tank(Unit):
    V = State("L", start=1.0)

    def equations(self, v):
        return Equations(rate={"V": 0.1})


tank = Tank("tank")
recipe = Recipe(
    Phase("fill", Free(3.0, 1.0, 90.0), until=Reaches(tank.V, 2.0, "rising"), start={tank.V: 0.5}),
    Phase("rest", Free(4.0, 0.0, 9.0)),
)


def test_a_phase_is_found_by_name():
    assert recipe["rest"] is recipe.phases[1]
    with pytest.raises(SpecificationError, match=r"phase 'fil' is unknown. Did you mean 'fill'\?"):
        recipe["fil"]


def test_one_phase_is_replaced():
    other = recipe.replaced("rest", duration=2.0, name="wait")
    assert [(phase.name, phase.duration) for phase in other][1] == ("wait", 2.0)
    assert other["fill"] is recipe["fill"]
    assert recipe["rest"].duration == Free(4.0, 0.0, 9.0)
    with pytest.raises(SpecificationError, match=r"Phase 'rest': keyword 'durations' is unknown. Did you mean 'dur"):
        recipe.replaced("rest", durations=2.0)
    with pytest.raises(SpecificationError, match="the duration must be positive"):
        recipe.replaced("rest", duration=-1.0)


def test_durations_of_a_run_make_a_recipe_that_repeats_it():
    run = simulate(Flowsheet(tank), recipe)
    again = recipe.with_durations(run.duration)
    assert again["fill"].duration == pytest.approx(15.0, rel=1e-9)
    assert again["fill"].until is None
    assert again["fill"].start == recipe["fill"].start
    assert simulate(Flowsheet(tank), again).duration == pytest.approx(run.duration, rel=1e-12)
    with pytest.raises(SpecificationError, match="phase 'rst' is unknown"):
        recipe.with_durations({"rst": 1.0})
