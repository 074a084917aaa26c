"""The factors of a rate at values that are known, and at limits: zero, half, one, and beyond."""

from __future__ import annotations

import numpy as np
import pytest

from titer.flowsheets import Control, quantity
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import FLOATS, Symbol
from titer.flowsheets.trace import trace
from titer.flowsheets.units import (
    ArrheniusFactor,
    Batch,
    CardinalPH,
    CardinalTemperature,
    Ceiling,
    Contois,
    Growth,
    Haldane,
    Inhibition,
    Kinetics,
    Monod,
    Moser,
    Scarcest,
)
from titer.numerics.errors import DeclarationError

CONDITIONS = {"T": Control("K", start=310.0), "pH": Control("1", start=7.0)}


def value(*factors, **given):
    """What the factors make of a largest rate of 1/h, on plain numbers."""
    kinetics = Kinetics(growth=Growth(1.0, *factors))
    culture = Batch("culture", substrates=("S", "N"), products=("P",), conditions=CONDITIONS, kinetics=kinetics)
    numbers = {s.local: Symbol(given.get(s.local, s.start), s.measure, FLOATS) for s in culture.scalars.values()}
    traced = trace(culture, numbers, Symbol(0.0, Measure.of("h"), FLOATS))
    return float(traced.expression["kinetics.growth.mu"].value)


@pytest.mark.parametrize(
    ("factor", "given", "expected"),
    [
        (Monod("S", 0.2), {"S": 0.0}, 0.0),
        (Monod("S", 0.2), {"S": 0.2}, 0.5),
        (Monod("S", 0.2), {"S": 0.6}, 0.75),
        (Haldane("S", 0.5, 8.0), {"S": 2.0}, 1.0 / (1.0 + 2.0 * np.sqrt(0.5 / 8.0))),  # its largest, at sqrt(K K_i)
        (Haldane("S", 0.5, 1e12), {"S": 0.5}, 0.5),
        (Contois("S", 0.1, "X"), {"S": 2.0, "X": 20.0}, 0.5),
        (Moser("S", 0.5, 2.0), {"S": 1.0}, 0.8),
        (Moser("S", 0.5, 3.0), {"S": 0.5}, 0.5),
        (Inhibition("P", 4.0), {"P": 0.0}, 1.0),
        (Inhibition("P", 4.0), {"P": 12.0}, 0.25),
        (Ceiling("P", 50.0), {"P": 10.0}, 0.8),
        (Ceiling("P", 50.0, 0.5), {"P": 32.0}, 0.6),
        (CardinalTemperature(278.0, 310.0, 318.0), {"T": 310.0}, 1.0),
        (CardinalPH(4.0, 7.0, 9.0), {"pH": 7.0}, 1.0),
        (CardinalPH(4.0, 6.0, 8.0), {"pH": 5.0}, 0.75),  # inside -3, departure 1
    ],
)
def test_a_factor_has_its_known_value(factor, given, expected):
    assert value(factor, **given) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("factor", "given", "rounding"),
    [
        (Moser("S", 0.5, 2.0), {"S": 0.0}, 1e-12),
        (Moser("S", 0.5, 0.5), {"S": -1e-3}, 1e-3),
        (Ceiling("P", 50.0), {"P": 50.0}, 1e-6),
        (Ceiling("P", 50.0), {"P": 90.0}, 1e-12),
        (CardinalTemperature(278.0, 310.0, 318.0), {"T": 278.0}, 1e-6),
        (CardinalTemperature(278.0, 310.0, 318.0), {"T": 250.0}, 1e-6),
        (CardinalTemperature(278.0, 310.0, 318.0), {"T": 318.0}, 2e-3),
        (CardinalTemperature(278.0, 310.0, 318.0), {"T": 330.0}, 1e-6),
        (CardinalPH(4.0, 7.0, 9.0), {"pH": 4.0}, 1e-3),
        (CardinalPH(4.0, 7.0, 9.0), {"pH": 12.0}, 1e-6),
    ],
)
def test_beyond_its_limits_a_factor_ends_within_its_rounding(factor, given, rounding):
    assert 0.0 <= value(factor, **given) <= rounding


def test_a_warmer_culture_is_faster_by_its_activation_energy():
    """E = 60 kJ/mol between 303.15 and 310.15 K is a factor exp(.5371)."""
    factor = ArrheniusFactor(6.0e4, 303.15)
    assert value(factor, T=303.15) == pytest.approx(1.0, rel=1e-12)
    assert np.log(value(factor, T=310.15)) == pytest.approx(6.0e4 / 8.314462618 * (1 / 303.15 - 1 / 310.15), rel=1e-12)
    assert value(ArrheniusFactor(quantity(60.0, "kJ/mol"), 303.15), T=310.15) == value(factor, T=310.15)


def test_the_best_temperature_is_where_growth_is_fastest():
    factor = CardinalTemperature(278.0, 310.0, 318.0)
    T = np.linspace(270.0, 325.0, 221)
    curve = [value(factor, T=x) for x in T]
    assert T[np.argmax(curve)] == 310.0
    assert max(curve) <= 1.0


def test_the_scarcest_substrate_limits_alone():
    """Liebig's law, within the stated rounding; and nothing where one substrate lacks."""
    both = Scarcest(Monod("S", 1.0), Monod("N", 0.1), width=1e-3)
    for S, N in ((1.0, 5.0), (9.0, 0.1), (1.0, 0.1), (0.2, 3.0)):
        smaller = min(S / (1.0 + S), N / (0.1 + N))
        assert smaller * (1.0 - 1e-3) <= value(both, S=S, N=N) <= smaller
    assert value(both, S=0.0, N=2.0) == pytest.approx(0.0, abs=1e-12)
    assert value(both, S=0.0, N=0.0) == pytest.approx(0.0, abs=1e-12)


def test_factors_multiply_and_a_function_is_a_factor():
    given = {"S": 2.0, "P": 3.0}
    together = value(Monod("S", 1.0), Inhibition("P", 6.0), lambda v: v.P / (v.P + 9.0), **given)
    assert together == pytest.approx(2.0 / 3.0 * 6.0 / 9.0 * 3.0 / 12.0, rel=1e-14)


def test_factors_have_names_of_their_components():
    """A second factor of a component is named with its kind as well; functions and scarcest groups are numbered."""
    growth = Growth(
        1.0,
        Monod("S", 1.0),
        Inhibition("S", 30.0),
        Scarcest(Monod("N", 0.1), Monod("P", 0.1)),
        lambda v: 1.0,
        lambda v: 0.5,
    )
    culture = Batch("culture", substrates=("S", "N"), products=("P",), kinetics=Kinetics(growth=growth))
    assert [key for key, _ in culture.kinetics.growth.parts()] == ["S", "S_inhibition", "scarcest", "given", "given_2"]
    assert culture.kinetics.growth.S_inhibition.K_i == "culture.kinetics.growth.S_inhibition.K_i"
    assert culture.kinetics.growth.scarcest.N.K == "culture.kinetics.growth.scarcest.N.K"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CardinalTemperature(278.0, 290.0, 318.0), "T_opt above their middle, got 278, 290, 318 K"),
        (lambda: CardinalPH(4.0, 9.0, 8.0), "expected pH_min < pH_opt < pH_max, got 4, 9, 8"),
        (lambda: Scarcest(Monod("S", 1.0)), "give at least two factors"),
        (lambda: Growth(1.0, Monod("S", 1.0), Monod("S", 2.0)), "two factors Monod of 'S' in one rate"),
        (lambda: Growth(1.0, 0.5), "expected factors such as Monod"),
        (lambda: Growth(1.0, Monod), "expected factors such as Monod"),
    ],
)
def test_senseless_factors_are_refused(make, message):
    with pytest.raises(DeclarationError, match=message):
        make()
