"""What chromatograms tell, against curves whose moments, areas and cuts are known; and the balance of the column."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import exponnorm, gamma, norm

from titer.flowsheets import Flowsheet, Phase, Recipe, simulate
from titer.flowsheets.chromatograms import (
    Chromatogram,
    breakthrough,
    chromatogram,
    fraction_table,
    fractions,
    moments,
    peak,
    pool,
    resolution,
    step,
    widest_pool,
)
from titer.flowsheets.units import UV, CellsInSeries, Column, Linear, LumpedRate, Mixer, SpectralElements, Tubing
from titer.flowsheets.units.tubing import AxialDispersion
from titer.numerics.errors import DeclarationError, SpecificationError


def drawn(**c):
    """A chromatogram of given concentrations over 1000 s at 6 mL/min, a column of 10 mL."""
    time = np.linspace(0.0, 1000.0, 4001)
    made = {key: f(time) for key, f in c.items()}
    return Chromatogram(
        time, np.full(len(time), 6.0), made, "s", "mg", 10.0, {"run": (0.0, 1000.0)}, dict.fromkeys(c, 10.0)
    )


def gaussian(mean, deviation, area=1.0):
    return lambda t: area * norm.pdf(t, mean, deviation)


# --- moments ---------------------------------------------------------------------------------------------------


def test_moments_are_those_of_the_distribution():
    """An exponentially modified Gaussian, the usual shape of a peak: mean m + tau, variance s^2 + tau^2."""
    t = np.linspace(0.0, 1500.0, 6001)
    found = moments(pd.Series(2.0 * exponnorm.pdf(t, 4.0, 300.0, 10.0), index=t))
    assert found.area == pytest.approx(2.0, rel=1e-8)
    assert found.mean == pytest.approx(300.0 + 40.0, rel=1e-8)
    assert found.variance == pytest.approx(10.0**2 + 40.0**2, rel=1e-5)
    assert found.skew == pytest.approx(2.0 * 40.0**3 / (10.0**2 + 40.0**2) ** 1.5, rel=1e-4)
    assert found.plates == pytest.approx(340.0**2 / 1700.0, rel=1e-5)


def test_a_column_is_what_remains_without_its_dead_volumes():
    t = np.linspace(0.0, 1500.0, 6001)
    both = moments(pd.Series(exponnorm.pdf(t, 4.0, 300.0, 10.0), index=t))
    own = both.without(1.0, 300.0, 100.0)
    assert (own.mean, own.variance, own.skew) == pytest.approx((40.0, 1600.0, 2.0), rel=1e-3)


def test_a_gaussian_peak_has_one_number_of_plates():
    t = np.linspace(0.0, 1000.0, 1501)
    curve = pd.Series(norm.pdf(t, 400.2, 20.0), index=t)
    read = peak(curve)
    assert read.at == pytest.approx(400.2, abs=1e-2)
    assert read.plates == pytest.approx(moments(curve).plates, rel=1e-3)
    assert read.asymmetry == pytest.approx(1.0, abs=1e-2)
    assert peak(pd.Series(exponnorm.pdf(t, 2.0, 400.0, 20.0), index=t)).asymmetry > 1.3


def test_resolution_is_that_of_two_gaussians():
    t = np.linspace(0.0, 1000.0, 4001)
    one, other = (pd.Series(norm.pdf(t, at, 20.0), index=t) for at in (400.0, 520.0))
    assert resolution(moments(one), moments(other)) == pytest.approx(1.5, rel=1e-4)
    assert resolution(peak(one), peak(other)) == pytest.approx(1.5, rel=1e-3)


@pytest.mark.parametrize(
    ("curve", "text"),
    [
        (pd.Series([0.0, 0.0, 0.0]), "there is no peak"),
        (pd.Series([0.0, 1.0, np.nan]), "not finite"),
        (pd.Series([0.0, 1.0]), "at least three"),
    ],
)
def test_what_is_no_peak_is_refused(curve, text):
    with pytest.raises(SpecificationError, match=text):
        moments(curve)


def test_a_peak_that_is_cut_off_is_refused():
    with pytest.raises(SpecificationError, match="Record for longer"):
        peak(pd.Series([0.0, 1.0, 2.0, 3.0]))


# --- pools -----------------------------------------------------------------------------------------------------


def test_a_pool_holds_the_area_between_its_cuts():
    of = drawn(A=gaussian(400.0, 30.0, 100.0), B=gaussian(500.0, 30.0, 50.0))
    found = pool(of, 370.0, 430.0)
    share = norm.cdf(1.0) - norm.cdf(-1.0)
    assert found.amounts["A"] == pytest.approx(0.1 * 100.0 * share, rel=1e-5)  # 0.1 mL/s
    assert found.recovery("A") == pytest.approx(share, rel=1e-5)
    assert found.volume == pytest.approx(6.0)
    assert found.concentration("A") == pytest.approx(100.0 * share / 60.0, rel=1e-5)
    other = 50.0 * (norm.cdf(-70.0 / 30.0) - norm.cdf(-130.0 / 30.0))
    assert found.purity("A") == pytest.approx(100.0 * share / (100.0 * share + other), rel=1e-4)
    assert found.productivity("A") == pytest.approx(10.0 * share / 10.0 / (1000.0 / 3600.0), rel=1e-4)


def test_fractions_add_up_to_what_left():
    of = drawn(A=gaussian(400.0, 30.0, 100.0), B=gaussian(500.0, 30.0, 50.0))
    collected = fractions(of, 7.0, "run")
    assert len(collected) == 15
    assert sum(f.amounts["A"] for f in collected) == pytest.approx(10.0, rel=1e-6)
    assert [f.volume for f in collected[:-1]] == pytest.approx([7.0] * 14)
    assert collected[-1].volume == pytest.approx(2.0)
    assert list(fraction_table(collected)["fraction"]) == list(range(1, 16))


@pytest.mark.parametrize("purity", [0.9, 0.99])
def test_the_widest_pool_ends_where_purity_is_used_up(purity):
    """Of the first of two equal Gaussians nothing is left out in front; the stop solves the purity's equation."""
    from scipy.optimize import brentq

    of = drawn(A=gaussian(400.0, 30.0, 100.0), B=gaussian(480.0, 30.0, 100.0))
    found = widest_pool(of, "A", purity)
    stop = brentq(lambda t: (1.0 - purity) * norm.cdf(t, 400.0, 30.0) - purity * norm.cdf(t, 480.0, 30.0), 350.0, 480.0)
    assert found.stop == pytest.approx(stop, abs=0.05)
    assert found.purity("A") == pytest.approx(purity, abs=1e-5)
    assert found.recovery("A") == pytest.approx(norm.cdf(stop, 400.0, 30.0), rel=1e-4)


def test_between_two_impurities_both_cuts_cost_alike():
    """At the optimum the instantaneous purity is the same at both cuts."""
    of = drawn(A=gaussian(280.0, 30.0, 100.0), B=gaussian(380.0, 30.0, 100.0), C=gaussian(500.0, 40.0, 100.0))
    found = widest_pool(of, "B", 0.95)
    assert found.purity("B") == pytest.approx(0.95, abs=1e-5)
    shares = [
        norm.pdf(t, 380.0, 30.0) / sum(norm.pdf(t, m, s) for m, s in ((280, 30), (380, 30), (500, 40)))
        for t in (found.start, found.stop)
    ]
    assert shares[0] == pytest.approx(shares[1], abs=0.06)  # cuts lie on a grid of 500 times


def test_where_nothing_is_pure_enough_the_pool_is_empty():
    of = drawn(A=gaussian(400.0, 30.0), B=gaussian(400.0, 30.0))
    assert widest_pool(of, "A", 0.9).amounts["A"] == 0.0


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (lambda of: pool(of, 500.0, 400.0), "before its start"),
        (lambda of: pool(of, "elute"), "'elute' is unknown"),
        (lambda of: fractions(of, 0.0), "volume must be positive"),
        (lambda of: widest_pool(of, "A", 1.0), "purity lies in"),
        (lambda of: pool(of, 0.0).purity("C"), "'C' is unknown"),
        (lambda of: pool(of, 0.0).buffer_use("A"), "not known"),
    ],
)
def test_a_pool_that_is_none_is_refused(ask, text):
    with pytest.raises(SpecificationError, match=text):
        ask(drawn(A=gaussian(400.0, 30.0)))


# --- breakthrough ----------------------------------------------------------------------------------------------


def test_the_capacity_is_what_is_loaded_less_what_came_through():
    """A front c = feed Phi((t - 500)/50): half of it comes through at 500 s, and s/sqrt(2 pi) of it before."""
    of = drawn(A=lambda t: 2.0 * norm.cdf(t, 500.0, 50.0))
    found = breakthrough(of, "A", feed=2.0, share=0.5, dead=5.0)
    assert found.time == pytest.approx(500.0, abs=1e-6)
    assert found.lost == pytest.approx(2.0 * 0.1 * 50.0 / np.sqrt(2.0 * np.pi), rel=1e-5)
    assert found.capacity == pytest.approx((2.0 * (50.0 - 5.0) - found.lost) / 10.0)
    assert found.column_volumes == pytest.approx(5.0)
    with pytest.raises(SpecificationError, match="Load for longer"):
        breakthrough(of, "A", feed=3.0, share=0.9)


# --- of simulations --------------------------------------------------------------------------------------------


def tracer(system, minutes=60.0):
    """A unit step of concentration into a unit operation of 4 mL at 2 mL/min: minutes, and what leaves."""
    inputs = {system.feed.flow: 2.0, system.feed.c["product"]: 1.0}
    run = simulate(Flowsheet(system), Recipe(Phase("step", 60.0 * minutes, inputs=inputs)), points=600)
    row = run[system.outlet.c["product"]]
    return row.index.to_numpy() / 60.0, row.to_numpy()


def test_a_mixer_washes_in_exponentially():
    t, c = tracer(Mixer("mixer", V=4.0))
    np.testing.assert_allclose(c, -np.expm1(-t / 2.0), atol=1e-7)


def test_cells_in_series_are_erlangs_distribution():
    t, c = tracer(Tubing("tubing", V=4.0, mixing=CellsInSeries(12)), 10.0)
    np.testing.assert_allclose(c, gamma.cdf(t, 12, scale=2.0 / 12), atol=1e-7)


def test_tubing_with_dispersion_has_the_variance_of_a_closed_vessel():
    t, c = tracer(Tubing("tubing", V=4.0, mixing=AxialDispersion(Pe=20.0)), 20.0)
    mean = np.trapezoid(1.0 - c, t)
    variance = 2.0 * np.trapezoid(t * (1.0 - c), t) - mean**2
    assert mean == pytest.approx(2.0, rel=1e-4)
    assert variance == pytest.approx(4.0 * (2.0 / 20.0 - 2.0 / 400.0 * -np.expm1(-20.0)), rel=1e-3)


def test_two_pumps_make_a_gradient_in_a_mixer():
    mixer = Mixer("mixer", components=("salt",), inlets=("a", "b"), V=0.5)
    inputs = {mixer.a.flow: 3.0, mixer.a.c["salt"]: 50.0, mixer.b.flow: 1.0, mixer.b.c["salt"]: 450.0}
    run = simulate(Flowsheet(mixer), Recipe(Phase("mix", 200.0)), inputs)
    assert run.at_end(mixer.outlet.c["salt"]) == pytest.approx(150.0, rel=1e-6)
    assert run.at_end(mixer.outlet.flow) == pytest.approx(4.0)


AB = ("A", "B")


def skid():
    """A column, tubing behind it, and a detector."""
    column = Column(
        "column", components=AB, concentration="g/L", transport=LumpedRate(D_ax=2e-7),
        binding=Linear(bound=AB, k_a=[2.0, 8.0]), method=SpectralElements(12, 4),
    )  # fmt: skip
    tubing = Tubing("tubing", components=AB, concentration="g/L", V=1.5, mixing=CellsInSeries(20))
    uv = UV("uv", components=AB, concentration="g/L", epsilon=[1.0, 2.0], path=0.2, tau=0.01)
    plant = Flowsheet(column, tubing, uv, connect=[(column.outlet, tubing.feed), (tubing.outlet, uv.feed)])
    recipe = Recipe(
        step(column, "load", {"A": 2.0, "B": 1.0}, flow=2.0, duration=60.0),
        step(column, "elute", {}, flow=2.0, volumes=5.0),
    )
    return column, uv, simulate(plant, recipe, points=800)


@pytest.fixture(scope="module")
def recorded():
    return skid()


def test_what_is_fed_comes_out_and_is_seen(recorded):
    column, uv, run = recorded
    of = chromatogram(run, column, outlet=uv.outlet)
    assert of.amount_unit == "mg"
    assert of.fed == pytest.approx({"A": 4.0, "B": 2.0})
    assert pool(of, 0.0).recovery("A") == pytest.approx(1.0, abs=1e-4)
    assert pool(of, 0.0).recovery("B") == pytest.approx(1.0, abs=1e-4)
    assert of.diluent["A"] == pytest.approx(50.0)
    assert pool(of, 0.0).buffer_use("A") == pytest.approx(50.0 / 4.0, rel=1e-3)
    seen = 0.2 * (of.c["A"] + 2.0 * of.c["B"])
    np.testing.assert_allclose(run[uv.A].to_numpy(), seen, atol=2e-3 * seen.max())


def test_retention_is_that_of_the_equilibrium_and_the_dead_volume(recorded):
    """In volume: CV (eps + (1 - eps) K), half the injection, the tubing."""
    column, uv, run = recorded
    of = chromatogram(run, column, outlet=uv.outlet)
    for key, K in (("A", 2.0), ("B", 8.0)):
        expected = 10.0 * (0.8 + 0.2 * K) + 1.0 + 1.5
        assert moments(of.over_volume(key)).mean == pytest.approx(expected, rel=1e-3)
    here = chromatogram(run, column)
    dead = moments(of.over_volume("A")).variance - moments(here.over_volume("A")).variance
    assert dead == pytest.approx(1.5**2 / 20.0, rel=0.01)  # variances add


def test_a_picture_shows_pools_phases_and_the_second_axis(recorded):
    column, uv, run = recorded
    of = chromatogram(run, column, outlet=uv.outlet)
    figure = of.plot(second="B", pools={"pool": pool(of, 300.0, 500.0)}, signal=run[uv.A], label="B [g/L]")
    axes = figure.axes
    assert axes[0].get_xlabel() == "volume [mL]"
    assert any(text.get_text() == "pool" for text in axes[0].texts)
    assert axes[-1].get_ylabel() == "B [g/L]"
    assert axes[0].get_ylabel() == "uv.A"
    assert of.plot().axes[0].get_ylabel() == "concentration [mg/mL]"
    in_moles = replace(of, amount_unit="umol")
    assert in_moles.plot(second="B").axes[-1].get_ylabel() == "B [mM]"
    with pytest.raises(SpecificationError, match="unknown"):
        of.plot(second="salt")


def test_tubing_says_what_its_mixing_may_be():
    with pytest.raises(DeclarationError, match="CellsInSeries"):
        Tubing("tubing", mixing=3)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda column: step(column, "load", {"C": 1.0}, flow=1.0, volumes=1.0), "'C' is unknown"),
        (
            lambda column: step(column, "load", {"A": 1.0}, flow=0.0, volumes=1.0),
            "flow through column must be positive",
        ),
        (lambda column: step(column, "load", {"A": 1.0}, flow=1.0), "say how long"),
        (lambda column: step(column, "load", {"A": 1.0}, flow=1.0, volumes=-1.0), "must be positive"),
    ],
)
def test_a_step_that_cannot_be_is_refused(make, text):
    column = Column("column", components=AB, binding=Linear(bound=AB), method=SpectralElements(2, 2))
    with pytest.raises(SpecificationError, match=text):
        make(column)


def test_a_column_that_is_not_in_the_run_is_refused(recorded):
    _, _, run = recorded
    other = Column("other", components=AB, binding=Linear(bound=AB), method=SpectralElements(2, 2))
    with pytest.raises(SpecificationError, match=r"other.outlet is not in this run"):
        chromatogram(run, other)
