"""A recipe checks itself when it is made: durations, ends, decisions and names."""

import dataclasses
import math

import pytest

from titer.flowsheets import Equations, Free, Phase, Reaches, Recipe, State, Unit, quantity
from titer.numerics.errors import SpecificationError


class Tank(Unit):
    V = State("L", start=1.0)
    c = State("g/L", over="components", start=1.0)
    components: tuple[str, ...] = ("a", "b")

    def equations(self, v):
        return Equations(rate={"V": 0.0, "c": 0.0 * v.c})


tank = Tank("tank")


def refused(make, text):
    with pytest.raises(SpecificationError) as raised:
        make()
    assert text in str(raised.value)
    return str(raised.value).splitlines()[0]


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (None, "no duration. Give duration=number, or duration=Free(guess, lower, upper)."),
        (-1.0, "the duration must be positive and finite, got -1"),
        (0, "the duration must be positive and finite, got 0"),
        (math.nan, "the duration must be positive and finite, got nan"),
        (math.inf, "got inf"),
        ("2 h", "duration: expected a number, got '2 h'"),
        (True, "expected a number, got True"),
        (Free(3600), "a free duration needs finite bounds, got [-inf, inf]"),
        (Free(3600, 0), "a free duration needs finite bounds, got [0, inf]"),
        (Free(1, -2, 5), "0 <= lower <= guess <= upper"),
        (Free(0, 0, 5), "a positive guess"),
    ],
)
def test_a_duration_is_positive_and_a_free_one_has_bounds(duration, text):
    assert refused(lambda: Phase("react", duration), text).startswith("Phase 'react'")


def test_until_wants_a_free_duration():
    end = Reaches(tank.V, 2.0)
    refused(lambda: Phase("react", 5.0, until=end), "with `until`, give duration=Free(guess, lower, upper)")
    refused(
        lambda: Phase("react", until=end), "Give duration=Free(guess, lower, upper) as guess and limits of `until`."
    )
    refused(
        lambda: Phase("react", Free(1, 0, 2), until=0.5), "until is Reaches(variable, value, direction) or a function"
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"inputs": [1.0]}, "inputs is a dict from names to values, got [1.0]"),
        ({"fixed": 3}, "fixed is a dict"),
        ({"start": "S"}, "start is a dict"),
        ({"idle": tank}, "idle is a list of unit operations, got Tank('tank'). Write idle=[...]."),
        ({"idle": "tank"}, "idle is a list of unit operations, got 'tank'"),
        ({"idle": [3]}, "got 3 in it"),
        ({"routes": "tank.feed"}, "routes is a list of pairs (outlet, inlet)"),
        ({"method": "shooting"}, "method is Shooting(...), Simultaneous() or None, got 'shooting'"),
    ],
)
def test_a_phase_checks_its_fields(options, text):
    assert refused(lambda: Phase("react", 1.0, **options), text).startswith("Phase 'react': ")


def test_a_phase_has_a_name_and_its_keywords_are_checked():
    refused(lambda: Phase("", 1.0), "the name must be a text, got ''")
    refused(lambda: Phase(3, 1.0), "the name must be a text, got 3")
    with pytest.raises(TypeError, match="unexpected keyword argument 'durations'"):
        Phase("react", durations=1.0)


def test_idle_units_are_known_by_name():
    assert Phase("rest", 1.0, idle=[tank, "feed"]).idle_names == ("feed", "tank")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Free(5, 6, 7), "Free(guess=5, lower=6, upper=7): expected lower <= guess <= upper"),
        (lambda: Free(5, 7, 3), "expected lower <= guess <= upper"),
        (lambda: Free(math.nan, 0, 1), "none of them NaN"),
        (lambda: Free(1, math.nan, 2), "none of them NaN"),
        (lambda: Free(math.inf), "a finite guess"),
        (lambda: Free("5", 0, 7), "Free: expected a number, got '5'"),
        (lambda: Free(1.0, 0.0, 2.0, log=True), "Free(log=True) needs a positive lower bound, got 0"),
        (lambda: Free(1.0, prior=(1.0, 0.0)), "prior is (mean, standard deviation > 0), got (1.0, 0.0)"),
        (lambda: Free(1.0, prior=2.0), "prior is (mean, standard deviation > 0), got 2.0"),
    ],
)
def test_a_decision_checks_itself(make, text):
    refused(make, text)


def test_quantities_are_checked_where_the_unit_is_known():
    assert Phase("react", quantity(5.0, "min")).duration.value == 5.0
    assert Phase("react", Free(quantity(5.0, "min"), 1.0, 600.0)).duration.upper == 600.0


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Reaches(tank.V, 2.0, "down"), "direction is 'falling', 'rising' or '', got 'down'"),
        (lambda: Reaches(3, 2.0), "the variable is a name such as reactor.S, got 3"),
        (lambda: Reaches(tank.c, 2.0), "tank.c is an array; name one element, such as tank.c[a]"),
        (lambda: Reaches(tank.V, math.nan), "tank.V needs a finite value to reach, got nan"),
        (lambda: Reaches(tank.V, "2"), "expected a number, got '2'"),
    ],
)
def test_an_end_checks_itself(make, text):
    refused(make, text)


def test_an_end_reads_as_a_sentence():
    assert str(Reaches(tank.c["a"], 0.5, "rising")) == "tank.c[a] reaches 0.5 rising"
    assert [Reaches(tank.V, 1.0, d).sign for d in ("falling", "", "rising")] == [-1, 0, 1]


def test_a_recipe_is_made_of_phases_with_names_of_their_own():
    refused(lambda: Recipe(), "no phase was given")
    refused(lambda: Recipe([Phase("a", 1.0)]), "Recipe: expected phases, got list")
    refused(lambda: Recipe((Phase("a", 1.0),)), "Put a star before it: Recipe(*phases)")
    refused(lambda: Recipe(Phase("a", 1.0), Phase("a", 2.0)), "two phases are called 'a'; rename one.")
    recipe = Recipe(Phase("a", 1.0), Phase("b", 2.0))
    assert [phase.name for phase in recipe] == ["a", "b"]
    assert len(recipe) == 2


def test_recipes_and_phases_do_not_change():
    for thing, key in ((Recipe(Phase("a", 1.0)), "phases"), (Phase("a", 1.0), "name"), (Free(1.0), "guess")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, key, None)
