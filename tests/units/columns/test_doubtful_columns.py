"""What a column is given wrongly is refused, or said with the error that comes of it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from titer.flowsheets import Flowsheet, Phase, Recipe, simulate
from titer.flowsheets.chromatograms import step
from titer.flowsheets.units import (
    Column,
    DiscontinuousGalerkin,
    FiniteVolumes,
    GeneralRate,
    HoldTank,
    Langmuir,
    Linear,
    LumpedRate,
    LumpedRateWithPores,
    SpectralElements,
)
from titer.flowsheets.units.columns.choice import coarseness
from titer.numerics.errors import DeclarationError, SpecificationError
from titer.numerics.explaining.explanation import Verdict

FLOW = 60.0 * 5.75e-4 / 0.014 * 0.8  # mL/min through 1 mL, 1.4 cm: 5.75e-4 m/s between beads


def column_at(peclet, law=None, **changes):
    """A column of 1 mL at a Peclet number; without a method, of the one that is chosen."""
    transport = LumpedRate(D_ax=5.75e-4 * 0.014 / peclet, eps_t=0.8)
    law = law or Linear(bound=("product",))
    return Column("column", transport=transport, binding=law, L=1.4, CV=1.0, **changes)


def loaded(column, seconds=100.0):
    recipe = Recipe(step(column, "load", {"product": 1.0}, flow=FLOW, duration=seconds))
    return simulate(Flowsheet(column), recipe, points=200, tolerance=1e-6)


# --- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [LumpedRateWithPores, GeneralRate])
@pytest.mark.parametrize("key", ["eps_c", "eps_p"])
@pytest.mark.parametrize("porosity", [-0.1, 0.0, 1.0, 1.5])
def test_a_porosity_lies_between_0_and_1(part, key, porosity):
    with pytest.raises(DeclarationError, match=f"{key}.*outside its bounds"):
        Column("column", transport=part(**{key: porosity}), method=SpectralElements(2, 2))


def test_no_more_is_bound_at_the_start_than_there_is_capacity_for():
    law = Langmuir(bound=("product",), qmax=10.0)
    with pytest.raises(DeclarationError, match=r"1\.2 times the capacity is taken"):
        Column("column", binding=law, solid={"product": 12.0}, method=SpectralElements(2, 2))


@pytest.mark.parametrize(
    ("given", "text"),
    [({}, r"column\.feed\.c\[product\] has no trajectory"), ({"column.feed.c[other]": 1.0}, "is unknown")],
    ids=["left out", "not there"],
)
def test_a_feed_has_the_components_of_the_column(given, text):
    column = column_at(140.0, method=SpectralElements(4, 3))
    recipe = Recipe(Phase("load", 60.0, inputs={column.feed.flow: FLOW, **given}))
    with pytest.raises(SpecificationError, match=text):
        simulate(Flowsheet(column), recipe)


# --- no flow ---------------------------------------------------------------------------------------------------


def test_a_load_without_flow_is_doubted():
    """Written by hand as a phase, where `step` would have refused it."""
    column = column_at(140.0, method=SpectralElements(8, 4))
    feed = {column.feed.c["product"]: 1.0}
    recipe = Recipe(
        Phase("load", 60.0, inputs={column.feed.flow: 0.0, **feed}),
        Phase("wash", 60.0, inputs={column.feed.flow: FLOW, **feed}),
    )
    run = simulate(Flowsheet(column), recipe, points=10)
    assert run.message == (
        "nothing flows through column; a column at rest is idle: Phase(..., idle=[column]) (phase 'load')"
    )
    assert run.explain().verdict is Verdict.DOUBTFUL


def test_a_column_at_rest_is_not_doubted():
    column = column_at(140.0, method=SpectralElements(8, 4))
    inputs = {column.feed.flow: FLOW, column.feed.c["product"]: 1.0}
    tank = HoldTank("tank", components=("product",), V=10.0)
    filled = {tank.F_out: 0.0, tank.feed.flow: 0.0, tank.feed.c["product"]: 0.0}
    recipe = Recipe(Phase("load", 60.0, inputs=inputs), Phase("rest", 60.0, idle=[column]))
    assert simulate(Flowsheet(column, tank, time="s"), recipe, inputs=filled, points=10).message == ""


# --- grids and Peclet numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "error"),
    [
        (SpectralElements(8, 4), "overshoot by more than 1 %"),
        (DiscontinuousGalerkin(8, 3), "overshoot by more than 1 %"),
        (FiniteVolumes(100), "leave 1.3 times as broad"),
    ],
    ids=repr,
)
def test_a_coarse_grid_is_warned_of_with_its_error(method, error):
    """When the column is made, where it knows its flow; else of the run."""
    with pytest.warns(UserWarning, match=f"Peclet number of 1400 .*{error}"):
        column_at(1400.0, method=method, design_flow=FLOW)
    run = loaded(column_at(1400.0, method=method), 10.0)
    assert error in run.message
    assert "phase 'load'" in run.message


@pytest.mark.parametrize(("peclet", "cells"), [(500.0, 50), (1400.0, 50), (1400.0, 100), (5000.0, 200)])
def test_fronts_are_blurred_as_the_warning_says(peclet, cells):
    """The deviation of a linear front that leaves, by that of Danckwerts' column; the warning's two digits add 5 %."""
    column = column_at(peclet, method=FiniteVolumes(cells))
    row = loaded(column, 60.0)[column.outlet.c["product"]]
    t, c = row.index.to_numpy(), row.to_numpy()
    mean = np.trapezoid(1.0 - c, t)
    deviation = np.sqrt(2.0 * np.trapezoid(t * (1.0 - c), t) - mean**2)
    exact = mean * np.sqrt(2.0 / peclet - 2.0 / peclet**2)
    said = coarseness("column", peclet, column.method)
    factor = float(said.split("leave ")[1].split(" times")[0])
    assert deviation / exact == pytest.approx(factor, rel=0.08)


@pytest.mark.slow
@pytest.mark.parametrize(("peclet", "warned"), [(1400.0, False), (14000.0, True)])
def test_a_front_that_sharpens_itself_does_not_oscillate_by_the_automatic_choice(peclet, warned):
    """At most 1 % at Pe 1 400; at 14 000 a warning, and a monotone front."""
    law = Langmuir(bound=("product",), k_a=1.0, k_d=1.0, qmax=10.0)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        column = column_at(peclet, law, design_flow=FLOW)
    assert any("Peclet" in str(w.message) for w in seen) == warned
    row = loaded(column, 80.0)[column.outlet.c["product"]].to_numpy()
    assert row[-1] == pytest.approx(1.0, abs=1e-3)
    assert row.max() < 1.01
    assert row.min() > -0.01
    if warned:
        assert (np.diff(row) > -1e-4).all()


def test_beads_smooth_fronts_so_that_fewer_elements_suffice():
    """A film fast enough that Langmuir fronts stay steep: half the elements, and still no oscillation of 1 %."""
    beads = LumpedRateWithPores(r_p=20.0, k_f=5e-5, D_ax=5.75e-4 * 0.014 / 1400.0, eps_c=0.37)
    law = Langmuir(bound=("product",), k_a=20.0, qmax=20.0)
    flow = 60.0 * 5.75e-4 / 0.014 * 0.37
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        column = Column("column", transport=beads, binding=law, L=1.4, CV=1.0, design_flow=flow)
    assert column.peclet(flow) == pytest.approx(1400.0)
    assert column.method.elements == 39
    assert column_at(1400.0, design_flow=FLOW).method.elements == 90
    recipe = Recipe(step(column, "load", {"product": 1.0}, flow=flow, duration=450.0))
    run = simulate(Flowsheet(column), recipe, points=400, tolerance=1e-6)
    left = run[column.outlet.c["product"]]
    assert left.iloc[-1] == pytest.approx(1.0, abs=1e-3)
    assert left.max() < 1.01
    assert left.min() > -0.01
    assert run.message == ""
