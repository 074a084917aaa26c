"""Four components on an ion exchanger: against the published solution, between methods, and in the balance."""

from __future__ import annotations

import numpy as np
import pytest

from tests.units.columns.sma_case import PROTEINS, VELOCITY, apart, ion_exchanger, load_wash_elute, outlet
from titer.flowsheets import Flowsheet, simulate
from titer.flowsheets.units.columns import (
    DiscontinuousGalerkin,
    EquilibriumTotals,
    GeneralRate,
    LumpedRateWithPores,
    SpectralElements,
)

BEADS = {"D_ax": 5.75e-8, "eps_c": 0.37, "eps_p": 0.75, "r_p": 45.0, "k_f": 6.9e-6}
PORES = LumpedRateWithPores(**BEADS)
GENERAL = GeneralRate(**BEADS, D_p=[7e-10, 6.07e-11, 6.07e-11, 6.07e-11], shells=4)
LUMPED = 0.8425  # the total porosity


def test_peaks_come_where_they_were_published():
    """Heights and times of the peaks on 4096 finite volumes."""
    times, found = outlet(ion_exchanger(method=SpectralElements(20, 4)), LUMPED, points=1410)
    for row, (height, at) in zip(found[1:], [(0.088344728, 758), (0.134603910, 427), (0.232945190, 231)], strict=True):
        assert row.max() == pytest.approx(height, rel=1e-3)
        assert times[row.argmax()] == pytest.approx(at, abs=1.0)
    assert found[0, -1] == pytest.approx(377.13043, rel=1e-4)


@pytest.mark.parametrize(
    ("method", "tolerance", "least"),
    [
        (SpectralElements(18, 4), 1e-6, [9e-4, 11e-4, 5e-4]),
        (SpectralElements(20, 4), 1e-6, [9e-4, 11e-4, 4e-4]),
        (SpectralElements(28, 4), 1e-6, [1e-4, 1e-4, 1e-4]),
    ],
    ids=str,
)
def test_an_elution_is_the_published_one(data, method, tolerance, least):
    file = data / "cadet" / "ref_LRM_reqSMA_4comp_sensbenchmark1_FV_Z4096.csv"
    published = np.loadtxt(file, delimiter=",", skiprows=1)
    times, found = outlet(ion_exchanger(method=method), LUMPED, tolerance)
    expected = published[np.round(times).astype(int), 1:].T
    assert (apart(found, expected) < least).all()


@pytest.mark.parametrize(
    ("transport", "one", "other"),
    [
        (PORES, SpectralElements(6, 3), DiscontinuousGalerkin(10, 3)),
        (GENERAL, SpectralElements(5, 3), DiscontinuousGalerkin(6, 3)),
    ],
    ids=["LumpedRateWithPores", "GeneralRate"],
)
def test_two_methods_agree_on_models_with_beads(transport, one, other):
    first, second = (outlet(ion_exchanger(transport, method=method), 0.37)[1] for method in (one, other))
    assert (apart(first, second) < 1e-3).all()


@pytest.mark.parametrize(
    ("exchange", "least"), [(None, 2e-4), (EquilibriumTotals(), 2e-6)], ids=["eliminated", "totals"]
)
def test_what_was_loaded_is_eluted(exchange, least):
    """The drift of the two forms: with the tolerance of the integrator (1e-6) where totals are not states."""
    column = ion_exchanger(exchange=exchange, method=SpectralElements(10, 4))
    run = simulate(Flowsheet(column), load_wash_elute(column, LUMPED), points=705, tolerance=1e-6)
    flow = VELOCITY / 0.014 * LUMPED  # column volumes per second
    for key in PROTEINS:
        row = run[column.outlet.c[key]]
        eluted = np.trapezoid(row.to_numpy(), row.index.to_numpy()) * flow
        held = np.array([[run.at_end(column.q[k, key]), run.at_end(column.c[k, key])] for k in column.nodes])
        left = column.packing.line.weights @ (held @ [1.0 - LUMPED, LUMPED])
        assert eluted + left == pytest.approx(10.0 * flow, rel=least)
