"""Derivatives of a large shot column are those of its equations, at the tolerance that is chosen by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.units.columns.sma_case import PROTEINS, VELOCITY, ion_exchanger
from titer.control import optimize
from titer.flowsheets import AtEnd, Flowsheet, Free, Integral, Path, Phase, PiecewiseLinear, Recipe
from titer.flowsheets.units import SpectralElements
from titer.numerics import Ipopt, Shooting
from titer.numerics.marching import March
from titer.numerics.shooting import LARGE

FLOW = 60.0 * VELOCITY / 0.014 * 0.8425  # mL/min
STEP = 2e-5  # of each decision: central differences then miss some 1e-9


def posed(tolerance: float | None) -> tuple[March, np.ndarray, np.ndarray]:
    """A gradient with two cuts, and its decisions and data before anything was solved."""
    column = ion_exchanger(method=SpectralElements(8, 4))
    feed, method = column.feed, Shooting(tolerance=tolerance)
    empty: dict[str, Any] = {feed.flow: FLOW, **{feed.c[key]: 0.0 for key in PROTEINS}}
    loaded = {feed.flow: FLOW, **{feed.c[key]: 1.0 for key in PROTEINS}, feed.c["salt"]: 50.0}
    recipe = Recipe(
        Phase("load", 10.0, inputs=loaded, method=method),
        Phase("elute", Free(60.0, 20.0, 200.0), inputs=empty, method=method),
        Phase("pool", Free(30.0, 10.0, 100.0), inputs=empty, method=method),
    )
    ramp = PiecewiseLinear(1, lower=50.0, upper=600.0)
    plan = optimize(
        Flowsheet(column, time="s"),
        recipe,
        free={feed.c["salt"]: {"elute": ramp, "pool": ramp}},
        inputs={feed.c["salt"]: lambda t: 160.0 + 3.5 * max(t - 10.0, 0.0)},
        maximize=Integral(lambda v: v.column.outlet.c[2], phase="pool", name="collected"),
        subject_to=[
            AtEnd(lambda v: v.column.outlet.c[2] / (v.time + 10.0), upper=1.0, name="tail"),
            Path(lambda v: v.column.outlet.c[1], upper=5.0, name="peak", phase="elute"),
        ],
        starts=1,
        solver=Ipopt(iterations=1),
        strict=False,
    )
    started = plan.iterate
    march = started.engine.shot.march
    assert len(plan.phases[0].states) >= LARGE
    return march, started.first[march.free], started.assembled.nlp.data


def differences(march: March, free: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Of the objective and the limits, by central differences for a size of each decision."""
    found = []
    for k in range(len(free)):
        h = np.zeros(len(free))
        h[k] = STEP * abs(free[k])
        up, down = march.run(free + h, data), march.run(free - h, data)
        found.append(np.concatenate([[up.objective - down.objective], up.rows - down.rows]) / (2.0 * STEP))
    return np.array(found).T


def test_by_itself_a_column_has_derivatives_within_1e_5_of_the_largest():
    tight, free, data = posed(1e-11)
    expected = differences(tight, free, data)
    march, own, _ = posed(1e-5)
    assert np.array_equal(own, free)
    point = march.run(free, data)
    for slopes in (march.forward(point, data), march.adjoint(point, data)):
        found = np.vstack([slopes.objective, slopes.rows]) * free
        for mine, theirs in zip(found, expected, strict=True):
            assert np.abs(mine - theirs).max() <= 1e-5 * np.abs(theirs).max()
