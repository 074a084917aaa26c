"""An index set may be derived from fields, by a property; a variable over an empty one is not declared."""

import re

import numpy as np
import pytest
from pyomo.util.check_units import assert_units_consistent

from titer.flowsheets import (
    Equations,
    Expression,
    Flowsheet,
    Parameter,
    Part,
    Phase,
    Recipe,
    State,
    Unit,
    quantity,
    simulate,
)
from titer.numerics.errors import DeclarationError


class Yield(Part):
    """A part over a derived set of its owner."""

    share = Parameter("1", 1.0, over="steps")


class Chain(Unit):
    """Species that decay into the next one, and the last, which stays."""

    species: tuple[str, ...] = ("A", "B", "C")
    efficiency: Part = Yield()

    c = State("mol/L", start=1.0, over="species")
    k = Parameter("1/s", 1e-2, over="steps")
    r = Expression("mol/L/s", over="steps")

    @property
    def steps(self) -> tuple[str, ...]:
        return tuple(f"{a}:{b}" for a, b in zip(self.species, self.species[1:], strict=False))

    def equations(self, v):
        r = v.define("r", v.k * v.efficiency.share * v.c[:-1])
        return Equations(rate={"c": np.concatenate([-r, 0.0 * r[:1]]) + np.concatenate([0.0 * r[:1], r])})


class Vat(Unit):
    """A vessel whose loss may be declared for any of its species, or for none."""

    species: tuple[str, ...] = ("A", "B")
    volatile: tuple[str, ...] | None = None

    c = State("mol/L", start=1.0, over="species")
    k = Parameter("1/s", 1e-2, over="lost")
    r = Expression("mol/L/s", over="lost")

    @property
    def lost(self) -> tuple[str, ...]:
        return self.volatile or ()

    def equations(self, v):
        r = dict(zip(self.lost, v.define("r", v.k * v.c[: len(self.lost)]), strict=True)) if self.lost else {}
        return Equations(rate={"c": [-r[key] if key in r else 0.0 for key in self.species]})


def test_labels_come_from_the_property_for_parts_too():
    chain = Chain("chain", k=[1e-2, 2e-2])
    assert chain.k["B:C"] == "chain.k[B:C]"
    assert chain.efficiency.share["A:B"] == "chain.efficiency.share[A:B]"
    run = simulate(Flowsheet(chain), Recipe(Phase("run", 100.0)), tolerance=1e-11)
    assert run.at_end(chain.c["A"]) == pytest.approx(np.exp(-1.0), rel=1e-9)
    assert sum(run.at_end(name) for name in chain.c) == pytest.approx(3.0, rel=1e-10)


@pytest.mark.parametrize("volatile", [None, ("A",)])
def test_what_is_over_an_empty_set_is_not_there(volatile):
    vat = Vat("vat", volatile=volatile)
    plant, recipe = Flowsheet(vat), Recipe(Phase("run", 100.0))
    assert set(plant.expressions) == ({"vat.r[A]"} if volatile else set())
    assert ("k[A]" in vat.scalars) is bool(volatile)
    run = simulate(plant, recipe, tolerance=1e-11)
    assert run.at_end(vat.c["A"]) == pytest.approx(np.exp(-1.0) if volatile else 1.0, rel=1e-9)
    assert_units_consistent(plant.to_pyomo(recipe))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Vat("vat").k,
            "vat (Vat): k has no elements here, for lost is empty.\n  It is declared where lost has members.",
        ),
        (lambda: Vat("vat", k=2.0), "vat (Vat): keyword 'k' is unknown.\n  known: c, species, volatile"),
        (
            lambda: Vat("vat", volatile=("A", "A")),
            "vat.lost: an index set is a positive int or a tuple of different labels, got ('A', 'A').",
        ),
    ],
)
def test_it_says_why(make, message):
    with pytest.raises(DeclarationError, match=f"^{re.escape(message)}"):
        make()


class Mixed(Unit):
    components: tuple[str, ...] = ("A", "B", "C")
    n = State("mol", start=0.5, lower=0.0, over="components")

    def equations(self, v):
        return Equations(rate={"n": 0.0 * v.n / quantity(1.0, "s")})


def test_starts_and_bounds_of_an_array_are_given_by_label():
    tank = Mixed("tank", n={"A": 2.0, "C": quantity(3000.0, "mmol")})
    assert [s.start for s in tank.scalars.values()] == [2.0, 0.5, 3.0]
    bounded = Mixed("tank", n={"start": 1.0, "upper": {"A": 2.0, "B": 3.0, "C": 4.0}})
    assert [s.upper for s in bounded.scalars.values()] == [2.0, 3.0, 4.0]
    with pytest.raises(DeclarationError, match=r"tank\.n: start: label 'D' is unknown"):
        Mixed("tank", n={"D": 1.0})


def test_declarations_may_depend_on_fields():
    class Mixture(Unit):
        species: tuple[str, ...] = ("A",)

        def derived(self):
            return {key: State("mol/L", start=1.0) for key in self.species}

        def equations(self, v):
            return Equations(rate={key: -getattr(v, key) / quantity(1.0, "s") for key in self.species})

    mixture = Mixture("mixture", species=("water", "salt"), salt=2.0)
    assert (mixture.salt, [s.start for s in mixture.scalars.values()]) == ("mixture.salt", [1.0, 2.0])
    run = simulate(Flowsheet(mixture), Recipe(Phase("decay", 1.0)))
    assert run.at_end(mixture.salt) == pytest.approx(2.0 * np.exp(-1.0), rel=1e-6)
    with pytest.raises(DeclarationError, match="'name' means something else here"):
        Mixture("mixture", species=("name",))
    with pytest.raises(AttributeError, match="name 'sugar' is unknown"):
        _ = mixture.sugar
