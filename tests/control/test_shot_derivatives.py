"""Derivatives of a large shot model are those of its equations, at the tolerance that is chosen by itself."""

from __future__ import annotations

import numpy as np

from tests.control.test_shot_problems import large, problem
from titer.control import optimize
from titer.numerics import Ipopt, Shooting
from titer.numerics.marching import March

STEP = 2e-5  # of each decision: central differences then miss some 1e-9


def posed(tolerance: float | None) -> tuple[March, np.ndarray, np.ndarray]:
    """The march of a problem of 110 states, with its first decisions and its data."""
    plan = optimize(**problem(large, Shooting(tolerance=tolerance)), solver=Ipopt(iterations=1), strict=False)
    started = plan.iterate
    march = started.engine.shot.march
    return march, started.first[march.free], started.assembled.nlp.data


def differences(march: March, free: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Of the objective and the limits, by central differences, for a size of each decision."""
    found = []
    for k in range(len(free)):
        h = np.zeros(len(free))
        h[k] = STEP * abs(free[k])
        up, down = march.run(free + h, data), march.run(free - h, data)
        found.append(np.concatenate([[up.objective - down.objective], up.rows - down.rows]) / (2.0 * STEP))
    return np.array(found).T


def test_by_itself_a_large_model_has_derivatives_within_1e_5_of_the_largest():
    """Along the steps and against them, as central differences at a tolerance of 1e-11 have them."""
    tight, free, data = posed(1e-11)
    expected = differences(tight, free, data)
    march, own, _ = posed(None)
    assert np.array_equal(own, free)
    point = march.run(free, data)
    for slopes in (march.forward(point, data), march.adjoint(point, data)):
        found = np.vstack([slopes.objective, slopes.rows]) * free
        for mine, theirs in zip(found, expected, strict=True):
            assert np.abs(mine - theirs).max() <= 1e-5 * np.abs(theirs).max()
