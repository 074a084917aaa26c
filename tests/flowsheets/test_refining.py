"""The next mesh, and the arcs of a bang-bang input, against what their docstrings promise."""

import numpy as np
import pytest

from titer.flowsheets.problems.refining import _arcs, _spread


def test_elements_share_the_errors_roots_and_none_grows_beyond_five_means():
    """Errors only in the first tenth: elements gather there, and the rest keeps some."""
    ends = np.linspace(0.0, 1.0, 41)
    roots = np.where(ends[:-1] < 0.1, 1.0, 0.0)
    spread = _spread(ends, roots, 20)
    widths = np.diff(spread)
    assert len(widths) == 20
    assert spread[0] == 0.0
    assert spread[-1] == 1.0
    assert (widths > 0.0).all()
    assert widths.max() <= 5.0 / 20 + 1e-12
    assert np.count_nonzero(spread < 0.1) >= 12


def test_arcs_merge_bounds_and_place_a_switch_where_its_pieces_mean_says():
    edges = np.linspace(0.0, 1.0, 6)
    assert _arcs(edges, np.array([2.0, 2.0, 0.5, -1.0, -1.0]), -1.0, 2.0) == pytest.approx([0.0, 0.5, 1.0])
    # an inner arc between bounds is kept, piece by piece
    assert _arcs(edges, np.array([2.0, -1.0, 0.3, 0.4, 2.0]), -1.0, 2.0) == pytest.approx(
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    )


@pytest.mark.parametrize("values", [[0.1, 0.2, 0.3], [2.0, 2.0, 2.0], [2.0, 0.3, 2.0], [-1.0, 0.3, 0.2]])
def test_an_input_that_does_not_go_from_bound_to_bound_has_no_arcs(values):
    assert _arcs(np.linspace(0.0, 1.0, 4), np.array(values), -1.0, 2.0) is None


def test_an_input_without_bounds_has_no_arcs():
    assert _arcs(np.array([0.0, 0.5, 1.0]), np.array([1.0, -1.0]), -1.0, np.inf) is None
