"""Is a volume that must exceed its vessel refused before anything is solved, and nothing else?"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from titer.control import optimize
from titer.flowsheets import AtEnd, Flowsheet, Free, Path, Phase, PiecewiseConstant, Recipe, diagnose
from titer.flowsheets.units import FedBatch
from titer.numerics import Grid, SpecificationError

tank = FedBatch("tank", X=0.1, S=5.0, V={"start": 1.0, "upper": 2.0}, F={"start": 0.1, "lower": 0.05, "upper": 0.2})
plant = Flowsheet(tank, time="h")
most = AtEnd(lambda v: v.tank.X * v.tank.V)


def planned(*phases, **changed):
    return optimize(plant, Recipe(*phases), maximize=most, grid=Grid(8), starts=1, **changed)


def test_decided_feeds_whose_lower_bounds_fill_more_than_the_vessel_are_refused():
    with pytest.raises(
        SpecificationError, match=r"tank\.V is bound to leave its domain.* 'b' .*at least 2\.1 L"
    ) as said:
        planned(Phase("a", 10.0), Phase("b", Free(15.0, 12.0, 20.0)), free={tank.F: PiecewiseConstant(5)})
    assert "the upper limit is 2 L" in str(said.value)


def test_the_same_with_room_for_the_least_feed_is_solved():
    plan = planned(Phase("a", 10.0), Phase("b", Free(9.0, 8.0, 10.0)), free={tank.F: PiecewiseConstant(2)})
    assert plan.at_end(tank.V) <= 2.0 + 1e-4


@pytest.mark.parametrize(
    "feed",
    [
        0.15,
        lambda t: 0.3 * (t > 4.0),  # .3 L/h for 4 h of 8
        pd.Series([0.0, 0.3], index=[0.0, 4.0]),
        PiecewiseConstant(values=[0.0, 0.3]),
    ],
)
def test_a_given_feed_is_counted_exactly(feed):
    free = {tank.X: Free(0.1, 0.05, 0.2)}
    with pytest.raises(SpecificationError, match=r"at least 2\.2 L"):
        planned(Phase("a", 8.0), inputs={tank.F: feed}, free=free)
    assert planned(Phase("a", 6.5), inputs={tank.F: 0.15}, free=free).status.ok


def test_a_vessel_that_the_digits_of_a_feed_overfill_is_no_reason_to_refuse():
    plan = planned(Phase("a", 33.0), inputs={tank.F: 0.030304}, free={tank.X: Free(0.1, 0.05, 0.2)})
    assert plan.at_end(tank.V) == pytest.approx(1.0 + 33.0 * 0.030304, abs=1e-9)  # 2.00003 L, of 2 L
    assert "leaves its physical domain" not in plan.certificate.message


def test_a_bolus_counts():
    with pytest.raises(SpecificationError, match=r"at least 2\.1 L"):
        planned(Phase("a", 2.0, actions=[tank.bolus(1.0, S=10.0)]), free={tank.F: PiecewiseConstant(2)})
    plan = planned(Phase("a", 2.0, actions=[tank.bolus(0.5, S=10.0)]), free={tank.F: PiecewiseConstant(2)})
    assert plan.status.ok


@pytest.mark.parametrize(
    ("volume", "bounds", "said"),
    [
        (2.0, {"upper": 2.1}, "bound to leave the limit 'charge': .*at least 1.1 L, .* upper limit is 1.05 L"),
        (1.0, {"lower": 1.5}, "bound to leave the limit 'charge': .*at most 1.4 L, .* lower limit is 1.5 L"),
    ],
)
def test_a_limit_that_cannot_be_kept_is_found_by_the_diagnosis(volume, bounds, said):
    limit = AtEnd(lambda v: volume * v.tank.V, name="charge", **bounds)
    found = diagnose(plant, Recipe(Phase("a", 2.0)), free={tank.F: PiecewiseConstant(2)}, subject_to=[limit])
    assert any(re.search(said, finding.text) for finding in found.findings)


def test_what_other_states_decide_is_left_to_the_solve():
    free = {tank.F: PiecewiseConstant(2)}
    plan = planned(Phase("a", 4.0), free=free, subject_to=[Path(lambda v: v.tank.S * v.tank.V, upper=200.0)])
    assert np.isfinite(plan.objective)
