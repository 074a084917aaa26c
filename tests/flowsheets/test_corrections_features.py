"""What may a correction be predicted from? Whatever is known and does not depend on it; the rest is refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from titer.flowsheets import (
    Correction,
    Domain,
    Equations,
    Expression,
    Flowsheet,
    Inlet,
    LearnedTerm,
    Multiplicative,
    Outlet,
    Parameter,
    Phase,
    Recipe,
    State,
    Unit,
    quantity,
    simulate,
)
from titer.flowsheets.corrections.layers import Affine
from titer.flowsheets.corrections.model import LoweredModel
from titer.numerics.errors import DeclarationError, SpecificationError

DATA = np.random.default_rng(3).uniform([310.0, 0.1], [345.0, 1.0], size=(25, 2))


def constant(value: float, inputs: int = 1) -> LoweredModel:
    return LoweredModel(Affine(inputs, 1), np.append(np.zeros(inputs), value))


# --- features -----------------------------------------------------------------------------------------------------


HOUR, LITRE = quantity(1.0, "h"), quantity(1.0, "L")


class Chained(Unit):
    """Expressions that are defined after what they correct, a stream, and an array."""

    time = "h"
    species: tuple[str, ...] = ("a", "b")
    feed = Inlet("L/h", S="g/L")
    broth = Outlet("L/h", S="g/L")
    S = State("g/L", start=4.0)
    c = State("g/L", start=1.0, over="species")
    K = Parameter("g/L", 2.0)
    uptake = Expression("g/L/h", doc="corrected")
    shown = Expression("g/L/h", doc="calculated from it")
    grown = Expression("1/h", over="species")
    load = Expression("g/L", doc="defined last, of states alone")

    def equations(self, v):
        uptake = v.define("uptake", 0.3 * v.S / HOUR)
        v.define("shown", 2.0 * uptake)
        grown = v.define("grown", v.c / v.K / HOUR)
        v.define("load", v.S + v.c[0])
        rate = {"S": v.feed.flow * v.feed.S / LITRE - uptake, "c": grown * v.c * 0.0}
        return Equations(rate=rate, port={"broth": {"flow": v.feed.flow, "S": v.S}})


first, second = Chained("first"), Chained("second", S=1.0)
TRAIN = Flowsheet(first, second, connect=[(first.broth, second.feed)])
GO, FED = Recipe(Phase("go", 1.0)), {first.feed.flow: 0.5, first.feed.S: 10.0}


def log_factor(slope: float, inputs: int = 1) -> LoweredModel:
    return LoweredModel(Affine(inputs, 1), np.append(np.full(inputs, slope), 0.0))


@pytest.mark.parametrize(
    ("unit", "feature", "at_start"),
    [
        (first, "first.S", 4.0),
        (first, "first.K", 2.0),
        (first, "first.feed.flow", 0.5),
        (first, "first.load", 5.0),  # defined after what it corrects
        (first, "second.S", 1.0),
        (second, "second.feed.S", 4.0),  # what another unit operation sends
        (second, "first.load", 5.0),
        (second, "first.shown", 2.4),
        (second, "time", 0.0),
    ],
)
def test_a_feature_is_whatever_is_known(agree_with_the_dae, unit, feature, at_start):
    form = Multiplicative(0.01, 100.0)
    term = LearnedTerm(unit.uptake, [feature], log_factor(0.1), form)
    plant = TRAIN.corrected(Correction(term))
    rates = [simulate(p, GO, FED)[unit.uptake].iloc[0] for p in (TRAIN, plant)]
    assert rates[1] / rates[0] == pytest.approx(np.exp(form.bounded(0.1 * at_start)), rel=1e-9)
    assert agree_with_the_dae(plant.to_pyomo(GO, inputs=FED)) > 6


def test_corrections_that_feed_each_other_in_order_are_traced_ahead():
    terms = [
        LearnedTerm(first.uptake, [first.grown["a"], first.load], log_factor(0.1, 2), Multiplicative(0.01, 100.0)),
        LearnedTerm(first.grown["a"], [first.load], log_factor(0.2), Multiplicative(0.01, 100.0)),
    ]
    plant = TRAIN.corrected(Correction(*terms))
    run, plain = simulate(plant, GO, FED), simulate(TRAIN, GO, FED)
    grown = plain[first.grown["a"]].iloc[0] * np.exp(terms[1].form.bounded(0.2 * 5.0))
    assert run[first.grown["a"]].iloc[0] == pytest.approx(grown, rel=1e-9)
    expected = plain[first.uptake].iloc[0] * np.exp(terms[0].form.bounded(0.1 * (grown + 5.0)))
    assert run[first.uptake].iloc[0] == pytest.approx(expected, rel=1e-9)
    assert run[first.grown["b"]].iloc[0] == plain[first.grown["b"]].iloc[0]


def test_features_are_numbers_in_the_units_they_were_learned_in():
    terms = [
        LearnedTerm(first.uptake, [first.S], log_factor(slope), Multiplicative(0.01, 100.0), units=units)
        for slope, units in ((0.1, ()), (0.1, ["g/L"]), (1e-4, ["mg/L"]))
    ]
    ends = [simulate(TRAIN.corrected(Correction(term)), GO, FED).at_end(first.S) for term in terms]
    assert ends[0] == ends[1] == pytest.approx(ends[2], rel=1e-9)


# --- what is refused ----------------------------------------------------------------------------------------------


def corrected_by(*terms: LearnedTerm) -> Callable[[], Any]:
    return lambda: TRAIN.corrected(Correction(*terms))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (corrected_by(LearnedTerm("first.uptak", [first.S], constant(0.0))), "Did you mean 'first.uptake'?"),
        (corrected_by(LearnedTerm(first.uptake, ["first.s"], constant(0.0))), "feature 'first.s' is unknown. Did you"),
        (corrected_by(LearnedTerm(first.uptake, ["first.broth.S"], constant(0.0))), "feature 'first.broth.S' is unkn"),
        (
            corrected_by(LearnedTerm(first.uptake, [first.shown], constant(0.0))),
            "feature first.shown depends on what is corrected.\n  first.shown is calculated from first.uptake.",
        ),
        (
            corrected_by(
                LearnedTerm(first.uptake, [first.grown["a"]], constant(0.0)),
                LearnedTerm(first.grown["a"], [first.shown], constant(0.0)),
            ),
            "first.grown[a] is calculated from first.shown is calculated from first.uptake.",
        ),
        (lambda: LearnedTerm(first.uptake, [first.uptake], constant(0.0)), "it cannot be its own feature"),
        (lambda: LearnedTerm(first.grown, [first.S], constant(0.0)), "Write first.grown['a'], and a term for each"),
        (lambda: LearnedTerm(first.uptake, [first.S, first.S], constant(0.0, 2)), "feature first.S is given twice"),
        (lambda: LearnedTerm(first.uptake, [first.c], constant(0.0)), "the model takes 1 features, but 2 are named"),
        (lambda: LearnedTerm(first.uptake, [first.S], lambda x: x), "model is a LoweredModel, got function"),
        (
            lambda: LearnedTerm(first.uptake, [first.S], constant(0.0), domain=Domain.of_data(DATA)),
            "the domain takes 2 features, but 1 are named",
        ),
        (lambda: LearnedTerm("uptake", [first.S], constant(0.0)), "a correction is on a named expression such as"),
        (lambda: LearnedTerm(first.uptake, [first.S], constant(0.0), units=["K", "K"]), "2 units for 1 features"),
        (
            corrected_by(LearnedTerm(first.uptake, [first.S], constant(0.0), units=["K"])),
            "feature first.S was learned in 'K', but the plant has it in 'g/L'",
        ),
        (lambda: Correction(), "expected one LearnedTerm for each expression, got nothing"),
        (
            lambda: Correction(*[LearnedTerm(first.uptake, [first.S], constant(0.0))] * 2),
            "two terms are on first.uptake; keep one",
        ),
        (
            lambda: corrected_by(LearnedTerm(first.uptake, [first.S], constant(0.0)))().corrected(
                Correction(LearnedTerm(first.uptake, [first.S], constant(0.1)))
            ),
            "first.uptake is corrected by a learned model already.",
        ),
    ],
)
def test_a_correction_that_does_not_fit_is_refused_by_name(make, text):
    with pytest.raises(SpecificationError, match=re.escape(text)):
        make()


def test_a_feature_that_lies_downstream_is_refused_when_it_is_met():
    for feature in ("second.load", "second.feed.S"):
        plant = TRAIN.corrected(Correction(LearnedTerm(first.uptake, [feature], constant(0.0))))
        with pytest.raises(
            DeclarationError, match=f"feature {re.escape(feature)}: it is known only after first.uptake"
        ):
            simulate(plant, GO, FED)


def test_a_unit_operation_with_something_called_correction_is_refused():
    class Taken(Chained):
        correction = Parameter("1", 1.0)

    unit = Taken("taken")
    with pytest.raises(SpecificationError, match="has something called 'correction' already"):
        Flowsheet(unit).corrected(Correction(LearnedTerm(unit.uptake, [unit.S], constant(0.0))))


def test_an_idle_unit_operation_is_not_corrected_and_its_held_states_are_features():
    term = LearnedTerm(first.uptake, [second.S], log_factor(0.1), Multiplicative(0.01, 100.0))
    plant = TRAIN.corrected(Correction(term))
    run = simulate(plant, Recipe(Phase("go", 1.0, idle=[second])), FED)
    assert run[first.uptake].iloc[0] == pytest.approx(1.2 * np.exp(term.form.bounded(0.1)), rel=1e-9)
    rest = simulate(plant, Recipe(Phase("go", 1.0, idle=[first])), {})
    assert rest.at_end(first.S) == 4.0
