"""Binding laws against each other's limits, their kinetics and their totals; and the contract of the library."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from titer.flowsheets import Flowsheet, Parameter, Phase, PiecewiseLinear, Recipe, diagnose, quantity, simulate
from titer.flowsheets.units.columns import (
    AffinityTitration,
    BeadSizes,
    Column,
    DiscontinuousGalerkin,
    Equilibrium,
    EquilibriumTotals,
    FiniteVolumes,
    GeneralRate,
    Kinetic,
    Langmuir,
    Linear,
    LumpedRate,
    LumpedRateWithPores,
    MobilePhaseModulator,
    OwnLaw,
    SpectralElements,
    StericMassAction,
    SwitchedLangmuir,
)
from titer.numerics.errors import DeclarationError, SpecificationError

AB = ("A", "B")
SITES = {"bound": AB, "k_a": [200.0, 300.0], "k_d": 1000.0, "qmax": [10.0, 8.0]}
LAWS = {
    "Linear": lambda exchange: Linear(bound=AB, k_a=[2000.0, 5000.0], k_d=[1000.0, 2000.0], exchange=exchange),
    "Langmuir": lambda exchange: Langmuir(**SITES, exchange=exchange),
    "MobilePhaseModulator": lambda exchange: MobilePhaseModulator(
        **SITES, modulator="m", gamma=[-0.1, 0.05], beta=[1.5, 0.3], exchange=exchange
    ),
    "AffinityTitration": lambda exchange: AffinityTitration(
        **SITES, modulator="m", pKa_A=4.0, pKa_G=[5.0, 5.2], exchange=exchange
    ),
    "SwitchedLangmuir": lambda exchange: SwitchedLangmuir(
        **(SITES | {"qmax": 10.0}), modulator="m", m_s=6.0, w=1.0, exchange=exchange
    ),
    "StericMassAction": lambda exchange: StericMassAction(
        bound=AB,
        salt="m",
        k_a=[20.0, 10.0],
        k_d=1000.0,
        nu=[2.0, 3.0],
        sigma=[5.0, 6.0],
        Lambda=100.0,
        exchange=exchange,
    ),
}
TRANSPORTS = {
    "LumpedRate": LumpedRate(),
    "LumpedRateWithPores": LumpedRateWithPores(),
    "GeneralRate": GeneralRate(shells=3),
    "surface diffusion": GeneralRate(shells=3, on_surface=True, D_s=1e-12),
    "beads of two sizes": GeneralRate(shells=2, on_surface=True, D_s=1e-12, sizes=BeadSizes((0.4, 0.6), (0.7, 1.2))),
}


FEW = SpectralElements(4, 3)


def column_of(law, transport=TRANSPORTS["LumpedRate"], method=FEW, **changes):
    given = {"components": ("m", *AB), "start": {"m": 5.0, "A": 0.3}, "L": 5.0, "CV": 5.0} | changes
    return Column("column", binding=law, transport=transport, method=method, **given)


def load_and_elute(column):
    feed = column.feed
    fed = {feed.flow: 5.0, feed.c["m"]: 5.0, feed.c["A"]: 1.0, feed.c["B"]: 0.5}
    washed = fed | {feed.c["A"]: 0.0, feed.c["B"]: 0.0, feed.c["m"]: PiecewiseLinear(values=[5.0, 9.0])}
    return Recipe(Phase("load", 60.0, inputs=fed), Phase("elute", 200.0, inputs=washed))


def outlets(column, tolerance=1e-8):
    run = simulate(Flowsheet(column), load_and_elute(column), points=40, tolerance=tolerance)
    rows = np.array([run[column.outlet.c[key]].to_numpy() for key in column.components])
    return rows / np.abs(rows).max(axis=1)[:, None]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("law", LAWS)
def test_three_forms_of_a_law_agree(law, transport):
    """Equilibrium eliminated on paper, kept as equations beside totals, and approached by fast kinetics."""
    eliminated = outlets(column_of(LAWS[law](Equilibrium()), TRANSPORTS[transport]))
    totals = outlets(column_of(LAWS[law](EquilibriumTotals()), TRANSPORTS[transport], usual={"A": 1.0}), 1e-7)
    assert np.abs(totals - eliminated).max() < 1e-5
    kinetic = outlets(column_of(LAWS[law](Kinetic()), TRANSPORTS[transport]))
    assert np.abs(kinetic - eliminated).max() < 2e-3  # the rates are 1e3 times as fast as what they follow


def test_a_modulator_without_effect_leaves_langmuir():
    plain = outlets(column_of(LAWS["Langmuir"](Equilibrium())))
    modulated = MobilePhaseModulator(**SITES, modulator="m")
    np.testing.assert_allclose(outlets(column_of(modulated)), plain, atol=1e-7)


def test_dilute_langmuir_is_linear():
    """The slope of the isotherm at zero is K qmax."""
    steep = Langmuir(bound=AB, k_a=[2e-7, 2.5e-7], k_d=1.0, qmax=1e7)
    np.testing.assert_allclose(outlets(column_of(steep)), outlets(column_of(LAWS["Linear"](Equilibrium()))), atol=1e-6)


def test_without_shielding_and_salt_effects_steric_mass_action_is_langmuir():
    """Monovalent, no steric factor: K c (Lambda - sum q) / c_s; salt is hardly displaced at 1e3 times the sites."""
    mass_action = StericMassAction(bound=AB, salt="m", k_a=[40.0, 70.0], k_d=1.0, nu=1.0, sigma=0.0, Lambda=2.0)
    langmuir = Langmuir(bound=AB, k_a=[0.02, 0.035], k_d=1.0, qmax=2.0)
    start = {"start": {"m": 2000.0}, "components": ("m", *AB)}
    rows = []
    for law in (mass_action, langmuir):
        column = column_of(law, **start)
        feed = column.feed
        fed = {feed.flow: 5.0, feed.c["m"]: 2000.0, feed.c["A"]: 10.0, feed.c["B"]: 5.0}
        run = simulate(Flowsheet(column), Recipe(Phase("load", 100.0, inputs=fed)), points=40)
        rows.append([run[column.outlet.c[key]].to_numpy() for key in AB])
    np.testing.assert_allclose(rows[0], rows[1], atol=0.02)


class Freundlich(OwnLaw):
    """q = K c^n, towards which binding goes at a rate k."""

    K = Parameter("1", 2.0)
    k = Parameter("1/s", 50.0)


def freundlich(b, c, q):
    return {key: b.k * (b.K * c[key] / (1.0 + c[key] / quantity(10.0, "mol/m^3")) - q[key]) for key in AB}


def test_a_law_of_ones_own_is_a_function():
    """Of one saturating component each, written with K and a reference: fast kinetics and equilibrium agree."""
    kinetic = column_of(Freundlich(bound=AB, law=freundlich), start={"m": 5.0})
    totals = column_of(Freundlich(bound=AB, law=freundlich, exchange=EquilibriumTotals()), start={"m": 5.0})
    assert kinetic.binding.K == "column.binding.K"
    assert np.abs(outlets(kinetic) - outlets(totals)).max() < 0.02


def test_breakthrough_comes_when_the_capacity_is_used_up():
    """Lysozyme on an affinity gel: the area above the breakthrough is what the column holds at the feed.

    Source: Puttmann et al. (2013), Langmuir case.
    """
    beads = GeneralRate(D_ax=5.75e-8, eps_c=0.37, eps_p=0.75, r_p=45.0, k_f=6.9e-6, D_p=6.07e-11)
    law = Langmuir(bound=("A",), k_a=1.14, k_d=0.002, qmax=4.88, exchange=Kinetic())
    sizes = {"usual": {"A": 7.14e-3}}
    column = Column(
        "column", components=("A",), transport=beads, binding=law, L=1.4, CV=1.0, method=SpectralElements(6, 3), **sizes
    )
    inputs = {column.feed.flow: 60.0 * 5.75e-4 / 0.014 * 0.37, column.feed.c["A"]: 7.14e-3}
    recipe = Recipe(Phase("load", 40000.0, inputs=inputs))
    row = simulate(Flowsheet(column), recipe, points=4000, tolerance=1e-8)[column.outlet.c["A"]]
    area = np.trapezoid(1.0 - row.to_numpy() / 7.14e-3, row.index.to_numpy())
    held = 4.88 * 570.0 / (1.0 + 570.0 * 7.14e-3)  # q/c
    assert area == pytest.approx(0.014 / 5.75e-4 * (1.0 + 0.63 / 0.37 * (0.75 + 0.25 * held)), rel=1e-4)


# --- the contract, and what is refused -------------------------------------------------------------------------

_SPEC = importlib.util.spec_from_file_location(
    "library_contract", Path(__file__).parents[2] / "flowsheets/test_contract.py"
)
library = sys.modules["library_contract"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(library)


@pytest.mark.parametrize(
    ("law", "exchange", "transport", "method"),
    [
        ("Linear", Equilibrium(), "LumpedRate", SpectralElements(2, 2)),
        ("Langmuir", Kinetic(), "GeneralRate", SpectralElements(1, 2)),
        ("MobilePhaseModulator", Equilibrium(), "LumpedRate", FiniteVolumes(5)),
        ("AffinityTitration", Equilibrium(), "LumpedRateWithPores", DiscontinuousGalerkin(2, 1)),
        ("SwitchedLangmuir", EquilibriumTotals(), "LumpedRate", SpectralElements(2, 2)),
        ("StericMassAction", Equilibrium(), "LumpedRate", SpectralElements(2, 2)),
        ("StericMassAction", EquilibriumTotals(), "surface diffusion", SpectralElements(1, 2)),
        ("StericMassAction", Kinetic(), "surface diffusion", SpectralElements(1, 2)),
        ("Langmuir", Equilibrium(), "beads of two sizes", SpectralElements(1, 2)),
    ],
    ids=str,
)
def test_a_column_is_read_alike_and_conserves(law, exchange, transport, method):
    contract = library.Contract(column_of(LAWS[law](exchange), TRANSPORTS[transport], method))
    for reading in ("on_floats", "on_pyomo"):
        library.agree(contract, reading, 1e-9)
    if not isinstance(exchange, EquilibriumTotals):  # at random points algebraic variables are off their equations
        for point in contract.points():
            assert max(contract.imbalances(point).values()) < 1e-9
    library.test_units_are_consistent_to_pyomo_as_well(contract)
    library.test_rates_are_finite_at_the_start_and_on_the_way(contract)


@pytest.mark.parametrize("law", LAWS)
def test_nothing_is_wrong_with_a_column(law):
    column = column_of(LAWS[law](Equilibrium()), method=SpectralElements(2, 2))
    assert not diagnose(Flowsheet(column), load_and_elute(column)).findings


def test_parameters_are_given_by_component():
    column = column_of(Langmuir(bound=AB, k_a={"B": 0.3, "A": 0.2}, qmax=5.0))
    values = Flowsheet(column).values
    assert (values[column.binding.k_a["A"]], values[column.binding.k_a["B"]]) == (0.2, 0.3)
    with pytest.raises(DeclarationError, match="'C' is unknown"):
        Langmuir(bound=AB, k_a={"A": 1.0, "C": 1.0})


def test_a_column_may_count_in_grams():
    column = column_of(LAWS["Langmuir"](Equilibrium()), concentration="g/L")
    assert Flowsheet(column).measures["column.binding.k_a[A]"].label == "L/g/s"


def linear():
    return LAWS["Linear"](Equilibrium())


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: column_of(linear(), LumpedRate(eps_t=1.2)), "outside its bounds"),
        (lambda: column_of(Linear(bound=("A", "X"))), "'X' is unknown"),
        (lambda: column_of(StericMassAction(bound=AB)), "'salt' is unknown"),
        (lambda: column_of(linear(), start={"C": 1.0}), "'C' is unknown"),
        (lambda: column_of(linear(), linear()), "transport is"),
        (lambda: column_of(LumpedRate()), "binding is"),
        (lambda: Langmuir(bound=AB, k_a={"A": 1.0}), "no value for B"),
    ],
)
def test_bad_input_is_refused(make, text):
    with pytest.raises(DeclarationError, match=text):
        make()


def test_a_capacity_exceeded_at_the_start_is_refused():
    full = StericMassAction(bound=AB, salt="m", Lambda=10.0)
    with pytest.raises(DeclarationError, match="capacity"):
        column_of(full, solid={"A": 5.0})


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: SpectralElements(0), "elements must be"),
        (lambda: FiniteVolumes(20, order=4), "order must be 3 or 5"),
        (lambda: BeadSizes((0.5, 0.4), (1.0, 2.0)), "add up to 0.9"),
        (lambda: BeadSizes((1.0,), (1.0, 2.0)), "as many shares as radii"),
        (lambda: BeadSizes.lognormal(0.0), "a spread in"),
    ],
)
def test_a_method_or_packing_that_is_none_is_refused(make, text):
    with pytest.raises(SpecificationError, match=text):
        make()


def test_a_grid_too_coarse_for_its_peclet_number_is_warned_of():
    with pytest.warns(UserWarning, match="coarse for a Peclet number"):
        column_of(linear(), LumpedRate(D_ax=1e-9), design_flow=5.0)
