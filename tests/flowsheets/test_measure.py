"""Units: names cancel, factors count, texts are read once, and what is no unit is refused with advice."""

import copy
import pickle
import subprocess
import sys

import pytest

from titer.flowsheets.symbols.measure import DIMENSIONLESS, Measure
from titer.numerics.errors import DeclarationError

FIELD = [
    *["mol/L", "J/mol/K", "cells/mmol", "mg/mL", "M", "mM", "Gcell/L", "%", "rpm", "CV/h", "vvm", "OD"],
    *[
        "mAU/s/CV",
        "m^2/s",
        "mol^0.5/L^0.5",
        "W/m^2/K",
        "mS/cm",
        "g/(L*h)",
        "mmol/cell/h",
        "Pa*s",
        "kDa",
        "bar",
    ],
    *["1/min", "um"],
]


@pytest.mark.parametrize("text", FIELD)
def test_a_label_reads_back_as_the_same_unit(text: str):
    measure = Measure.of(text)
    assert Measure.of(measure.label) is measure


@pytest.mark.parametrize(
    ("text", "factor", "base"),
    [
        ("mol/L", 1000.0, "mol/m^3"),
        ("g/L/h", 1 / 3600, "kg/m^3/s"),
        ("cell/mL", 1e6, "cell/m^3"),
        ("CV/h", 1 / 3600, "CV/s"),
        ("vvm", 1 / 60, "1/s"),
        ("OD", 1.0, "OD"),
        ("mAU", 1e-3, "1"),
        ("mL/L", 1e-3, "1"),
        ("rad", 1.0, "1"),
        ("J/mol/K", 1.0, "kg*m^2/K/mol/s^2"),
    ],
)
def test_the_base_form_is_that_of_si_with_the_fields_own_dimensions(text: str, factor: float, base: str):
    assert Measure.of(text).factor == pytest.approx(factor, rel=1e-14)
    assert Measure.of(text).base_label() == base


def test_names_cancel_in_products():
    assert Measure.of("mol/L") * Measure.of("L") is Measure.of("mol")
    assert Measure.of("J/mol") / (Measure.of("J/mol/K") * Measure.of("K")) is DIMENSIONLESS
    assert (Measure.of("mol/L") ** 0.5) ** 2 is Measure.of("mol/L")
    assert Measure.of("mol/L") ** (1 / 3) * Measure.of("mol/L") ** (2 / 3) is Measure.of("mol/L")
    assert Measure.of("g/L") ** 4.7 / Measure.of("g/L") ** 4.7 is DIMENSIONLESS
    assert Measure.of("g/L") ** 0 is DIMENSIONLESS
    assert Measure.of("mol/L/s").label == "mol/L/s"
    assert (Measure.of("mL") / Measure.of("L")).label == "mL/L"


def test_a_unit_is_one_object_that_does_not_change():
    measure = Measure.of("g/L")
    assert measure is Measure.of("g / L") is Measure.of("g*L^-1") is Measure.of(measure)
    assert {measure: 1}[Measure.of("gram/liter")] == 1
    assert pickle.loads(pickle.dumps(measure)) is copy.deepcopy(measure) is measure
    with pytest.raises(AttributeError, match="does not change"):
        measure.factor = 2.0
    with pytest.raises(TypeError):
        measure.names["g"] = 2  # type: ignore[index]
    with pytest.raises(DeclarationError, match=r"Measure\.of"):
        Measure()


def test_a_plain_number_has_four_spellings():
    for text in ("", "1", "dimensionless", "-"):
        assert Measure.of(text) is DIMENSIONLESS


def test_same_unit_under_another_name_but_not_with_another_factor():
    assert Measure.of("M").same(Measure.of("mol/L"))
    assert Measure.of("g/L").same(Measure.of("mg/mL"))
    assert not Measure.of("1/s").same(Measure.of("1/h"))
    assert Measure.of("1/s").compatible(Measure.of("1/h"))
    assert not Measure.of("CV").compatible(Measure.of("L"))
    assert not Measure.of("cell/L").compatible(Measure.of("1/L"))
    assert not Measure.of("OD").compatible(DIMENSIONLESS)


def test_ratios_convert_numbers():
    assert Measure.of("mol/L/s").ratio_to(Measure.of("mol/L/h")) == 3600.0
    assert Measure.of("mol/L").ratio_to(Measure.of("mmol/mL")) == 1.0
    assert Measure.of("%").ratio_to(DIMENSIONLESS) == 0.01
    text = r"(?s)cannot convert 'mol/L' to 'g/L'.*'mol/m\^3'.*'kg/m\^3'.*both must have the same dimension"
    with pytest.raises(DeclarationError, match=text):
        Measure.of("mol/L").ratio_to(Measure.of("g/L"))


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("pH", 'pH is a number, not a unit: write "1"'),
        ("1/pH", 'write "1" in its place'),
        ("degC", 'Use "K" for temperatures'),
        ("J/degF", 'Use "K" for temperatures'),
        ("dB", "a plain ratio for logarithmic units"),
        ("1e9 cell/L", "Use a prefix"),
        ("furlongs_per_batch", "is not defined"),
        ("m2", r"m\^2/s"),
        ("mol/", "cannot be read as a product of units"),
        ("mol+L", "cannot be read as a product of units"),
        (3, "a unit is a text"),
        (["mol"], "a unit is a text"),
    ],
)
def test_what_is_no_unit_is_refused_with_advice(text, advice: str):
    with pytest.raises(DeclarationError, match=advice):
        Measure.of(text)


def test_importing_symbols_loads_no_unit_parser_no_frames_and_no_pyomo():
    code = (
        "import sys, titer.flowsheets.symbols.smooth as smooth; smooth.quantity(1.0, '1');"
        "sys.exit(len({'pint', 'pandas', 'pyomo'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unpickled_unit_needs_no_unit_parser():
    code = (
        f"import pickle, sys; measure = pickle.loads({pickle.dumps(Measure.of('mmol/L/h'))!r});"
        "ok = measure.label == 'mmol/L/h' and measure.factor > 0 and 'pint' not in sys.modules;"
        "sys.exit(not ok)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
