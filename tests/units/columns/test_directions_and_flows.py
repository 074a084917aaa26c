"""Columns turned round, correlations that follow the flow, and sizes as engineers give them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from titer.flowsheets import Flowsheet, Phase, Recipe, quantity, simulate
from titer.flowsheets.units import (
    Bed,
    ChungWen,
    Column,
    DiscontinuousGalerkin,
    FiniteVolumes,
    GeneralRate,
    Inert,
    Linear,
    LumpedRate,
    LumpedRateWithPores,
    SpectralElements,
    WilsonGeankoplis,
)
from titer.flowsheets.units.columns import solid_capacity
from titer.numerics.errors import SpecificationError

_SPEC = importlib.util.spec_from_file_location(
    "library_contract", Path(__file__).parents[2] / "flowsheets/test_contract.py"
)
library = sys.modules["library_contract"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(library)

METHODS = [SpectralElements(8, 3), DiscontinuousGalerkin(8, 3), FiniteVolumes(60)]


def turnable(method, **changes):
    given = {"transport": LumpedRate(D_ax=1e-6), "binding": Linear(bound=("product",)), "reversible": True} | changes
    return Column("column", method=method, **given)


def leaving(column, *phases):
    """What leaves while phases of (direction, feed concentration, minutes) go by at 5 mL/min: the last one's."""
    feed = column.feed
    recipe = Recipe(
        *(
            Phase(f"{k}", 60.0 * minutes, inputs={feed.flow: 5.0, feed.c["product"]: c}, fixed={column.direction: way})
            for k, (way, c, minutes) in enumerate(phases)
        )
    )
    run = simulate(Flowsheet(column), recipe, points=200)
    return run[column.outlet.c["product"]].to_numpy()[-201:], run


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_column_is_the_same_from_both_ends(method):
    ahead, _ = leaving(turnable(method), (1.0, 1.0, 3.0))
    back, _ = leaving(turnable(method), (-1.0, 1.0, 3.0))
    np.testing.assert_allclose(back, ahead, atol=1e-9)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_reversed_wash_brings_back_what_was_loaded(method):
    """Loaded for half the retention time and turned round, a band leaves where it came in, all of it, and at once."""
    values, run = leaving(turnable(method), (1.0, 1.0, 1.0), (-1.0, 0.0, 4.0))
    assert values[2] > 0.8  # the band lies at the end that is the outlet now
    times = run.frame("1").index.to_numpy()
    assert np.trapezoid(values, times) == pytest.approx(60.0, rel=2e-3)


def test_a_column_that_may_turn_keeps_the_contract():
    contract = library.Contract(turnable(DiscontinuousGalerkin(2, 1)))
    for reading in ("on_floats", "on_pyomo"):
        library.agree(contract, reading, 1e-9)
    for point in contract.points():
        assert max(contract.imbalances(point).values()) < 1e-9
    library.test_units_are_consistent_to_pyomo_as_well(contract)


# --- correlations ----------------------------------------------------------------------------------------------

BEADS = {"eps_c": 0.4, "eps_p": 0.8, "r_p": 45.0}


def correlated(**changes):
    transport = GeneralRate(**BEADS, dispersion=ChungWen(), film=WilsonGeankoplis(D_m=1e-10), D_p=2e-11, shells=2)
    given = {"binding": Inert(), "L": 20.0, "CV": 20.0, "method": SpectralElements(2, 2)} | changes
    return Column("column", transport=transport, **given)


def test_a_correlated_column_keeps_the_contract():
    contract = library.Contract(correlated())
    for reading in ("on_floats", "on_pyomo"):
        library.agree(contract, reading, 1e-9)
    for point in contract.points():
        assert max(contract.imbalances(point).values()) < 1e-9
    library.test_units_are_consistent_to_pyomo_as_well(contract)
    library.test_rates_are_finite_at_the_start_and_on_the_way(contract)
    assert "column.transport.D_ax" not in contract.plant.values
    assert contract.plant.values["column.transport.film.D_m[product]"] == 1e-10


def test_dispersion_is_that_of_chung_and_wen():
    """At a low Reynolds number d_p/(Pe_p L) with Pe_p = 0.2/eps_c: a Peclet number of the bed of L/d_p 0.2/eps_c."""
    slow, fast = correlated().peclet(1e-3), correlated().peclet(5.0)
    assert slow == pytest.approx(20.0 / 90e-4 * 0.2 / 0.4, rel=0.01)
    Re = 1000.0 * (5.0 / 60.0 / 100.0) * 90e-6 / 1e-3  # 5 mL/min through 1 cm^2
    assert fast == pytest.approx(20.0 / 90e-4 * (0.2 + 0.011 * Re**0.48) / 0.4, rel=1e-9)


def test_film_transfer_is_that_of_wilson_and_geankoplis():
    """Sh = 1.09/eps_c (v d_p/D_m)^(1/3), by the flow's third root."""
    part = WilsonGeankoplis(D_m=1e-10)
    view = type("View", (), {"D_m": [quantity(1e-10, "m^2/s")]})
    found = part.coefficient(view, 0, quantity(1e-3, "m/s"), quantity(45.0, "um"), 0.4)
    assert float(found.value) == pytest.approx(1.09 / 0.4 * (1e-3 * 90e-6 / 1e-10) ** (1 / 3) * 1e-10 / 90e-6)


# --- sizes -----------------------------------------------------------------------------------------------------


def test_a_bed_says_what_engineers_say():
    bed = Bed.of_diameter(20.0, quantity(26.0, "mm"))
    assert bed.volume == pytest.approx(np.pi / 4.0 * 2.6**2 * 20.0)
    assert bed.flow(150.0) == pytest.approx(150.0 * np.pi / 4.0 * 2.6**2 / 60.0)
    assert bed.velocity(bed.flow(150.0)) == pytest.approx(150.0)
    assert bed.residence(bed.flow_for(4.0)) == pytest.approx(4.0)
    assert bed.flow(quantity(1.0, "m/h")) == pytest.approx(bed.flow(100.0))
    assert bed.seconds(3.0, bed.flow_for(4.0)) == pytest.approx(720.0)
    column = Column("column", method=SpectralElements(2, 2), **bed.sizes)
    assert column.bed == bed
    assert bed.diameter == pytest.approx(2.6)


def test_a_capacity_of_the_bed_is_larger_by_volume_of_solid():
    assert solid_capacity(LumpedRateWithPores(**BEADS), 60.0) == pytest.approx(60.0 / 0.6 / 0.2)
    assert solid_capacity(LumpedRate(eps_t=0.7), 60.0) == pytest.approx(60.0 / 0.3)


@pytest.mark.parametrize(
    ("make", "text"),
    [(lambda: Bed(0.0, 1.0), "height must be positive"), (lambda: Bed(10.0, 1.0).flow_for(0.0), "residence time must")],
)
def test_a_bed_without_size_or_flow_is_refused(make, text):
    with pytest.raises(SpecificationError, match=text):
        make()
