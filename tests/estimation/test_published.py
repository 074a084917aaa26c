"""Fits whose answer is published: sums of squares to five digits, parameters to the digits that are printed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from titer.cases import abc, gas_oil, nitric_oxide, pinene
from titer.cases.published_fit import EXACT, GRID, half_a_digit
from titer.estimation import estimate

CASES = {"pinene": pinene, "gas_oil": gas_oil, "nitric_oxide": nitric_oxide, "abc": abc}
TABLES = {
    "pinene": "cops/cops_pinene.csv",
    "gas_oil": "cops/cops_gasoil.csv",
    "nitric_oxide": "classics/nitric_oxide_bodenstein_lindner.csv",
    "abc": "classics/abc_tjoa_biegler.csv",
}


@pytest.mark.parametrize("name", CASES)
def test_the_published_answer_is_found(name):
    published = CASES[name].published()
    fit = estimate(published.plant, [published.experiment(1.0)], published.free, GRID, EXACT, starts=1)
    assert fit.ok, fit.message
    assert f"{fit.objective:.4e}" == f"{float(published.sse):.4e}"
    for parameter, printed in published.values.items():
        assert fit.values[parameter] == pytest.approx(float(printed), abs=half_a_digit(printed))


@pytest.mark.parametrize("name", CASES)
def test_the_typed_tables_are_the_published_ones(name, data):
    table = pd.read_csv(data / TABLES[name]).to_numpy()
    frame = CASES[name].published().frame
    table = table[table[:, 0] > 0.0]
    np.testing.assert_array_equal(table, np.column_stack([frame.index.to_numpy(), frame.to_numpy()]))


@pytest.mark.parametrize(("printed", "slack"), [("5.92585e-5", 5e-11), ("8.3445", 5e-5), ("1.0000", 5e-5), ("22", 0.5)])
def test_half_a_unit_of_the_last_digit(printed, slack):
    assert half_a_digit(printed) == pytest.approx(slack)
