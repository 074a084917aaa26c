"""Linear columns against Laplace transforms: outlets, moments, and the order at which each method converges."""

from __future__ import annotations

import warnings

import casadi as ca
import numpy as np
import pytest

from tests.units.columns.linear_column import LinearColumn, beads, lumped_rate
from titer.flowsheets import Flowsheet, Phase, Recipe, simulate
from titer.flowsheets.operation import operations
from titer.flowsheets.simulation import parameters_of
from titer.flowsheets.units.columns import (
    BeadSizes,
    Column,
    DiscontinuousGalerkin,
    Equilibrium,
    EquilibriumTotals,
    FiniteVolumes,
    GeneralRate,
    Inert,
    Kinetic,
    Linear,
    LinearDrivingForce,
    LumpedRate,
    LumpedRateWithPores,
    SpectralElements,
)

LRM = {"L": 1.0, "u": 1.0 / 30.0, "eps": 0.6, "transport": LumpedRate(D_ax=1e-4, eps_t=0.6), "k_a": 1.0, "k_d": 1.0}
BEADS = {"D_ax": 5.75e-8, "eps_c": 0.37, "eps_p": 0.75, "r_p": 45.0, "k_f": 6.9e-6}
LRMP = {"L": 0.014, "u": 5.75e-4, "eps": 0.37, "transport": LumpedRateWithPores(**BEADS), "k_a": 3.55, "k_d": 0.1}
GRM = LRMP | {"transport": GeneralRate(**BEADS, D_p=6.07e-11, shells=5)}

SIZES = BeadSizes.lognormal(0.3)
MIXED = LRMP | {"transport": GeneralRate(**BEADS, D_p=6.07e-11, shells=5, sizes=SIZES)}


def mixed(s):
    """What beads of several sizes hold: the mean of what each would."""
    parts = [beads(0.37, 0.75, 4.5e-5 * z, 6.9e-6, 3.55, 0.1, 6.07e-11)(s) for z in SIZES.radii]
    return np.tensordot(SIZES.shares, parts, 1)


ANALYTIC = {
    "LRM": LinearColumn(30.0, 1.0 / 30.0 / 1e-4, lumped_rate(0.6, 1.0, 1.0)),
    "LRMP": LinearColumn(0.014 / 5.75e-4, 140.0, beads(0.37, 0.75, 4.5e-5, 6.9e-6, 3.55, 0.1)),
    "GRM": LinearColumn(0.014 / 5.75e-4, 140.0, beads(0.37, 0.75, 4.5e-5, 6.9e-6, 3.55, 0.1, 6.07e-11)),
    "GRM of mixed beads": LinearColumn(0.014 / 5.75e-4, 140.0, mixed),
}
CASES = {"LRM": LRM, "LRMP": LRMP, "GRM": GRM, "GRM of mixed beads": MIXED}


def column_of(case, method, exchange=None):
    law = Linear(bound=("A",), k_a=case["k_a"], k_d=case["k_d"], exchange=exchange or Kinetic())
    height = 100.0 * case["L"]
    return Column(
        "column", components=("A",), transport=case["transport"], binding=law, method=method, L=height, CV=1.0
    )


def pulse(case, method, tolerance=1e-10):
    """The outlet of 1 mol/m^3 for 10 s, every second from there to 1500 s: times, values, run."""
    column = column_of(case, method)
    flow = {column.feed.flow: 60.0 * case["u"] / case["L"] * case["eps"]}
    recipe = Recipe(
        Phase("pulse", 10.0, inputs={**flow, column.feed.c["A"]: 1.0}),
        Phase("rest", 1490.0, inputs={**flow, column.feed.c["A"]: 0.0}),
    )
    run = simulate(Flowsheet(column), recipe, points=1490, tolerance=tolerance)
    row = run[column.outlet.c["A"]]
    return row.index.to_numpy()[-1490:], row.to_numpy()[-1490:]


def error(name, method, tolerance=1e-10):
    times, found = pulse(CASES[name], method, tolerance)
    expected = ANALYTIC[name].pulse(times, 10.0, 1600.0)
    return np.abs(found - expected).max() / expected.max()


# --- outlets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "method", "least"),
    [
        ("LRM", SpectralElements(16, 4), 1e-6),
        ("LRM", SpectralElements(31, 4), 1e-7),
        ("LRM", DiscontinuousGalerkin(25, 4), 1e-7),
        ("LRMP", SpectralElements(16, 4), 1e-8),
        ("LRMP", DiscontinuousGalerkin(16, 3), 1e-6),
        ("GRM", SpectralElements(16, 4), 1e-6),
        ("GRM of mixed beads", SpectralElements(10, 4), 2e-6),
    ],
)
def test_an_outlet_is_that_of_the_laplace_transform(name, method, least):
    """With fewer than 128 points the error of the lumped models is far below 1e-5 of the peak."""
    assert method.intervals < 128
    assert error(name, method) < least


@pytest.mark.parametrize("name", ["LRM", "LRMP"])
def test_an_outlet_is_that_of_the_published_transform(data, name):
    expected = np.loadtxt(data / "cadet" / f"casema_{name}_dynLin_1comp_benchmark1.csv", delimiter=",", skiprows=1)
    times, found = pulse(CASES[name], SpectralElements(31, 4))
    at = np.searchsorted(expected[:, 0], times - 1e-6)
    np.testing.assert_allclose(expected[at, 0], times, atol=1e-6)
    assert np.abs(found - expected[at, 1]).max() < 1e-7 * expected[:, 1].max()
    mine = ANALYTIC[name].pulse(times, 10.0, 1600.0)
    assert np.abs(mine - expected[at, 1]).max() < 1e-9  # the two transforms are one


@pytest.mark.parametrize(
    ("coarse", "fine", "order"),
    [
        (SpectralElements(8, 2), SpectralElements(16, 2), 3.0),
        (SpectralElements(6, 3), SpectralElements(12, 3), 4.0),
        (SpectralElements(5, 4), SpectralElements(10, 4), 5.0),
        (DiscontinuousGalerkin(6, 2), DiscontinuousGalerkin(12, 2), 3.0),
        (DiscontinuousGalerkin(5, 3), DiscontinuousGalerkin(10, 3), 4.0),
        (FiniteVolumes(64), FiniteVolumes(128), 2.0),
        (FiniteVolumes(64, order=5), FiniteVolumes(128, order=5), 2.0),
    ],
    ids=repr,
)
def test_a_method_converges_at_its_order(coarse, fine, order):
    """Twice as many elements divide the error by 2^order, within half an order."""
    assert np.log2(error("LRMP", coarse, 1e-9) / error("LRMP", fine, 1e-9)) > order - 0.5


# --- moments ---------------------------------------------------------------------------------------------------


def linear_system(column, flow):
    """x' = A x + b c_in, y = c x of a linear column."""
    operation = operations(
        Flowsheet(column), Recipe(Phase("run", 1.0)), {column.feed.flow: flow, "column.feed.c[A]": 0.0}
    )[0]
    dae = operation.lowered.dae
    p = parameters_of(operation, Flowsheet(column).values, {})
    x, u = ca.SX.sym("x", dae.sizes[0]), ca.SX.sym("u", dae.sizes[2])
    rate, _, output = dae.function(0.0, x, [], u, p)
    slopes = ca.Function("slopes", [x, u], [ca.jacobian(rate, x), ca.jacobian(rate, u), ca.jacobian(output, x)])
    A, B, C = (np.array(m) for m in slopes(0.0, [flow, 0.0]))
    names = [v.name for v in dae.outputs]
    return A, B[:, 1], C[names.index("column.outlet.c[A]")]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("method", [SpectralElements(14, 4), DiscontinuousGalerkin(14, 4)], ids=repr)
def test_moments_are_exact(name, method):
    """Mass, mean residence time and variance follow from the transfer function at s = 0, here by its derivatives."""
    case, exact = CASES[name], ANALYTIC[name]
    A, b, c = linear_system(column_of(case, method), 60.0 * case["u"] / case["L"] * case["eps"])
    first = -np.linalg.solve(A, b)
    second = -np.linalg.solve(A, first)
    third = -np.linalg.solve(A, second)
    h = 1e-4  # complex steps around s = 0, where the transform is analytic
    ring = h * np.exp(2j * np.pi * (np.arange(8) + 0.5) / 8)
    taylor = [np.mean(exact.transfer(ring) / ring**k).real for k in range(3)]
    np.testing.assert_allclose(c @ first, 1.0, rtol=1e-10)
    np.testing.assert_allclose(c @ second, -taylor[1], rtol=1e-6)
    np.testing.assert_allclose(2.0 * c @ third - (c @ second) ** 2, 2.0 * taylor[2] - taylor[1] ** 2, rtol=1e-6)
    if name != "LRM":
        mean = case["L"] / case["u"] * (1.0 + 0.63 / 0.37 * (0.75 + 0.25 * case["k_a"] / case["k_d"]))
        np.testing.assert_allclose(c @ second, mean, rtol=1e-6)


# --- limits ----------------------------------------------------------------------------------------------------


def test_fast_pore_diffusion_is_the_model_with_pores():
    fast = GRM | {"transport": GeneralRate(**BEADS, D_p=1e-6, shells=2)}
    method = SpectralElements(6, 3)
    expected = pulse(LRMP, method)[1]
    assert np.abs(pulse(fast, method)[1] - expected).max() < 1e-4 * expected.max()


def test_fast_exchange_is_equilibrium():
    """A linear driving force and kinetics both end there, and so do totals as states."""
    made = {}
    for key, exchange in {
        "equilibrium": Equilibrium(),
        "totals": EquilibriumTotals(),
        "force": LinearDrivingForce(k_m=1e5),
    }.items():
        column = column_of(LRM, SpectralElements(8, 3), exchange)
        recipe = Recipe(Phase("load", 60.0, inputs={column.feed.flow: 1.2, column.feed.c["A"]: 1.0}))
        made[key] = simulate(Flowsheet(column), recipe, points=30, tolerance=1e-9)[column.outlet.c["A"]].to_numpy()
    assert np.abs(made["totals"] - made["equilibrium"]).max() < 1e-6
    assert np.abs(made["force"] - made["equilibrium"]).max() < 1e-4


def test_what_does_not_bind_passes_as_a_tracer():
    column = Column("column", components=("A",), transport=LRM["transport"], binding=Inert(), L=100.0, CV=1.0)
    A, b, c = linear_system(column, 60.0 / 30.0 * 0.6)
    np.testing.assert_allclose(c @ np.linalg.solve(A, np.linalg.solve(A, b)), 30.0, rtol=1e-6)


@pytest.mark.parametrize(("D_ax", "warned"), [(5.75e-8, False), (5.75e-9, False), (5.75e-10, True)])
def test_the_method_follows_the_peclet_number(D_ax, warned):
    """A front hardly overshoots: at most 1 % where the choice resolves it, not at all where it says it does not."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        transport = LumpedRate(D_ax=D_ax, eps_t=0.8)
        column = Column("column", transport=transport, L=1.4, CV=1.0, design_flow=60 * 5.75e-4 / 0.014 * 0.8)
    assert any("Peclet" in str(w.message) for w in seen) == warned
    assert column.peclet(column.design_flow) == pytest.approx(140.0 * 5.75e-8 / D_ax)
    inputs = {column.feed.flow: column.design_flow, column.feed.c["product"]: 1.0}
    run = simulate(Flowsheet(column), Recipe(Phase("load", 60.0, inputs=inputs)), points=100, tolerance=1e-6)
    row = run[column.outlet.c["product"]]
    assert row.max() < 1.01
    assert row.min() > -0.01
    assert isinstance(column.method, FiniteVolumes if warned else SpectralElements)
    if warned:
        assert (np.diff(row) > -1e-4).all()  # the tolerance of the integrator, over its steps
