"""Whole steps against numbers from elsewhere: ideal fronts, a capture train, and two methods on an affinity column."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from titer.flowsheets import Control, Equations, Flowsheet, Inlet, Outlet, Phase, Recipe, Unit, cycles, simulate
from titer.flowsheets.chromatograms import breakthrough, chromatogram, gradient, pool, step
from titer.flowsheets.symbols.symbol import symbol_array
from titer.flowsheets.units import (
    AffinityTitration,
    Column,
    DiscontinuousGalerkin,
    Equilibrium,
    FiniteVolumes,
    GeneralRate,
    HoldTank,
    Kinetic,
    Langmuir,
    LumpedRate,
    PichiaPerfusion,
    SpectralElements,
    SwitchedLangmuir,
)
from titer.flowsheets.units.columns import solid_capacity
from titer.numerics.errors import FlowsheetError

# --- batch elution of a binary mixture -------------------------------------------------------------------------

AB = ("A", "B")
EPS, FLOW, K, QMAX = 0.7, 60.0, np.array([0.02, 0.03]), 100.0
BED = {"L": 60.0, "CV": 60.0 * np.pi / 4.0 * 2.4**2}


def batch_column(method, D_ax=4.7e-7):
    law = Langmuir(bound=AB, k_a=K.tolist(), k_d=1.0, qmax=QMAX)
    transport = LumpedRate(D_ax=D_ax, eps_t=EPS)
    sizes = {"A": 10.0, "B": 10.0}
    return Column("column", components=AB, transport=transport, binding=law, method=method, usual=sizes, **BED)


def ideal_fronts(feed):
    """When the two fronts of a binary feed leave a column without dispersion, and A between them, where B is none.

    Both fronts are shocks. Source: Rhee, Aris and Amundson, First-order Partial Differential Equations II (1989).
    """
    ratio, dead = (1.0 - EPS) / EPS, BED["CV"] * EPS / FLOW * 60.0
    loads = QMAX * K * feed / (1.0 + K @ feed)

    def gap(x):  # the jumps of A and B in the second front travel together
        return (QMAX * K[0] * x / (1.0 + K[0] * x) - loads[0]) / (x - feed[0]) - loads[1] / feed[1]

    plateau = brentq(gap, feed[0] * (1.0 + 1e-9), 5.0 * feed[0])
    first = dead * (1.0 + ratio * QMAX * K[0] / (1.0 + K[0] * plateau))
    second = dead * (1.0 + ratio * loads[1] / feed[1])
    return first, second, plateau


def test_fronts_of_two_components_come_when_ideal_theory_says():
    feed = np.array([10.0, 10.0])
    column = batch_column(SpectralElements(60, 4))
    run = simulate(
        Flowsheet(column), Recipe(step(column, "load", {"A": 10.0, "B": 10.0}, flow=FLOW, duration=600.0)),
        points=600, tolerance=1e-7,
    )  # fmt: skip
    of = chromatogram(run, column)
    first, second, plateau = ideal_fronts(feed)
    assert np.interp(0.5 * (first + second), of.time, of.c["A"]) == pytest.approx(plateau, rel=3e-3)
    assert breakthrough(of, "A", plateau, 0.5).time == pytest.approx(first, rel=3e-3)
    assert breakthrough(of, "B", 10.0, 0.5).time == pytest.approx(second, rel=3e-3)


def test_two_methods_agree_on_a_batch_elution():
    """Amounts to either side of a cut, on elements with and without upwinding."""
    pools = []
    for method in (SpectralElements(60, 4), DiscontinuousGalerkin(60, 3)):
        column = batch_column(method)
        recipe = Recipe(
            step(column, "feed", {"A": 10.0, "B": 10.0}, flow=FLOW, duration=60.0),
            step(column, "elute", {}, flow=FLOW, duration=540.0),
        )
        of = chromatogram(simulate(Flowsheet(column), recipe, points=600, tolerance=1e-6), column)
        assert pool(of, 0.0).amounts == pytest.approx(of.fed, rel=1e-3)
        pools.append(pool(of, 300.0, 360.0))
    assert pools[0].recovery("A") == pytest.approx(pools[1].recovery("A"), abs=2e-3)
    assert pools[0].purity("A") == pytest.approx(pools[1].purity("A"), abs=2e-3)


# --- capture and polish of the perfusion train -----------------------------------------------------------------

TRAIN = ("P1", "P2", "P3", "eluent")


class Dosing(Unit):
    """Where the eluent meets the feed: a tank's liquid, or wash, or eluent."""

    time = "h"
    proteins: tuple[str, ...] = TRAIN[:3]
    all: tuple[str, ...] = TRAIN
    F_b = Control("L/h", start=0.0, lower=0.0, upper=1.0)
    eluent = Control("g/L", start=0.0, lower=0.0, upper=10.0)
    feed = Inlet("L/h", c=("g/L", "proteins"))
    outlet = Outlet("L/h", c=("g/L", "all"))

    def equations(self, v):
        flow = v.feed.flow + v.F_b
        carried = [x * v.feed.flow / flow for x in v.feed.c]
        return Equations(port={"outlet": {"flow": flow, "c": symbol_array([*carried, v.eluent * v.F_b / flow])}})


def switched(name, bound, capacity, cells=30):
    """The source's q, of a share of 0.5 of the column beside a porosity of 0.75, counts twice by volume of solid."""
    law = SwitchedLangmuir(
        bound=bound, modulator="eluent", k_a=1e6 / 3600.0, k_d=50.0 / 3600.0, qmax=2.0 * capacity, exchange=Kinetic()
    )
    transport = LumpedRate(D_ax=3.6e-3 / 0.75 * 1e-4 / 3600.0, eps_t=0.75)
    return Column(
        name, components=TRAIN, concentration="g/L", transport=transport, binding=law, L=5.0, CV=0.785 * 5.0,
        method=FiniteVolumes(cells), usual={"P1": 1e-2, "P2": 1e-2, "P3": 0.1},
    )  # fmt: skip


def test_a_capture_column_breaks_through_when_product_and_impurity_fill_it():
    """A feed of 0.60 g/L with its share of the impurity that binds too, at 0.06 L/h: published 4.27 h."""
    column = switched("capture", ("P1", "P2"), 80.0)
    recipe = Recipe(step(column, "load", {"P1": 0.6, "P2": 0.0205}, flow=1.0, duration=5.0 * 3600.0))
    of = chromatogram(simulate(Flowsheet(column), recipe, points=500, tolerance=1e-6), column)
    assert breakthrough(of, "P1", 0.6, 0.05).time / 3600.0 == pytest.approx(4.27, abs=0.02)


def test_three_cycles_of_capture_and_polish_elute_the_published_product():
    """Eluted 0.10659, 0.22439, 0.34929 g after one, two, three cycles; peaks at 64.15, 74.11, 84.10 h.

    Source: perfusion of Pichia pastoris, capture and polish, virtual laboratory of NIIMBL.
    """
    reactor, tank, dosing = PichiaPerfusion("reactor"), HoldTank("tank", components=TRAIN[:3]), Dosing("dosing")
    capture, polish = switched("capture", ("P1", "P2"), 80.0), switched("polish", ("P2",), 10.0)
    fixed = [(tank.outlet, dosing.feed), (dosing.outlet, capture.feed)]
    plant = Flowsheet(reactor, tank, dosing, capture, polish, connect=fixed, time="h")

    def grown(glycerol, methanol):
        return {reactor.F_g: glycerol, reactor.F_m: methanol}

    def operated(name, hours, drawn, buffer, eluent, routes=()):
        given = {**grown(0.0, 0.03), tank.F_out: drawn, dosing.F_b: buffer, dosing.eluent: eluent}
        idle = [] if routes else [polish]
        return Phase(name, hours, inputs=given, routes=[(reactor.harvest, tank.feed), *routes], idle=idle)

    resting, filling = [tank, dosing, capture, polish], [dosing, capture, polish]
    run = simulate(
        plant,
        Recipe(
            Phase("batch", 22.0, inputs=grown(0.0, 0.0), idle=resting),
            Phase("glycerol", 10.0, inputs=grown(0.03, 0.0), idle=resting),
            Phase("methanol", 8.0, inputs=grown(0.0, 0.03), idle=resting),
            Phase(
                "fill", 20.0, inputs=grown(0.0, 0.03) | {tank.F_out: 0.0}, routes=[(reactor.harvest, tank.feed)],
                idle=filling,
            ),
            *cycles(
                3,
                [
                    operated("load", 3.0, 0.06, 0.0, 0.0),
                    operated("wash", 1.0, 0.0, 0.06, 0.0),
                    operated("elute", 6.0, 0.0, 0.06, 1.0, routes=[(capture.outlet, polish.feed)]),
                ],
            ),
        ),
        points=300,
        tolerance=1e-6,
    )  # fmt: skip
    caught, eluted = chromatogram(run, capture), chromatogram(run, polish)
    assert run.at_end(tank.c["P1"]) == pytest.approx(0.71305, rel=1e-4)
    total = 0.0
    published = [(0.10659, 64.15), (0.22439, 74.11), (0.34929, 84.10)]
    for k, (amount, top) in enumerate(published, start=1):
        found = pool(eluted, f"elute {k}")
        total += found.amounts["P1"] / 1000.0
        assert total == pytest.approx(amount, rel=5e-3)
        at = int(np.argmax(np.where(eluted.time > eluted.span(f"elute {k}")[0], eluted.c["P1"], 0.0)))
        if k == 3:
            assert eluted.time[at] == pytest.approx(top, abs=0.06)
    drawn = run.frame("load 1")["tank.c[P1]"]
    assert drawn.iloc[0] == pytest.approx(0.58138, rel=1e-4)
    passed = sum(pool(caught, f"{name} {k}").amounts["P1"] for k in (1, 2, 3) for name in ("load", "wash"))
    assert passed / 1000.0 < 1e-3 * total  # nothing breaks through in 3 h: a recovery of 1.000


# --- Protein A -------------------------------------------------------------------------------------------------


def protein_a(method, shells=3):
    """Affinity complex titration on the geometry and constants of Zhang et al. (2025); capacity by volume of bed."""
    beads = GeneralRate(
        D_ax=1.36e-8, eps_c=0.31, eps_p=0.95, r_p=42.5, k_f=[1.41e-5, 1e-4], D_p=[1.99e-11, 1e-9], shells=shells
    )
    law = AffinityTitration(
        bound=("mAb",), k_a=268.0, k_d=1.0, qmax=solid_capacity(beads, 55.6), pKa_A=2.07, eta_A=1.81, pKa_G=5.29,
        eta_G=2.28, exchange=Equilibrium(),
    )  # fmt: skip
    return Column(
        "column", components=("mAb", "pH"), concentration="g/L", transport=beads, binding=law, L=2.5, CV=5.025,
        method=method, start={"pH": 5.5}, usual={"mAb": 1.0, "pH": 5.0},
    )  # fmt: skip


def protein_a_elution(column):
    recipe = Recipe(
        step(column, "load", {"mAb": 10.0, "pH": 5.5}, flow=3.5, volumes=1.0 / 5.025),
        gradient(column, "elute", {"pH": 5.5}, {"pH": 3.3}, flow=3.5, volumes=10.0),
        step(column, "strip", {"pH": 3.0}, flow=3.5, volumes=5.0),
    )
    return chromatogram(simulate(Flowsheet(column), recipe, points=400, tolerance=1e-7), column)


def test_a_ph_gradient_elutes_an_antibody_alike_by_two_methods():
    """The peak, its place in pH, and that all of it comes: on spectral elements and on discontinuous ones."""
    made = [protein_a_elution(protein_a(method)) for method in (SpectralElements(8, 4), DiscontinuousGalerkin(12, 3))]
    first, second = (of.c["mAb"] for of in made)
    assert np.abs(first - second).max() < 2e-3 * first.max()
    assert pool(made[0], 0.0).recovery("mAb") == pytest.approx(1.0, abs=2e-3)
    top = int(np.argmax(first))
    assert 3.3 < made[0].c["pH"][top] < 4.5
    assert pool(made[0], "load").recovery("mAb") < 1e-3


# --- what does not match -----------------------------------------------------------------------------------------


def test_a_column_is_not_fed_with_components_it_does_not_have():
    tank = HoldTank("tank", components=("A", "C"))
    column = Column("column", components=AB, concentration="g/L", binding=Langmuir(bound=AB))
    with pytest.raises(FlowsheetError, match=r"column\.feed"):
        Flowsheet(tank, column, connect=[(tank.outlet, column.feed)], time="s")
