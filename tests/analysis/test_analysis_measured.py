"""Five measured citrate fed-batches, one a low producer: is it seen, and do predictions of held-out titers hold?"""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
import pytest

from titer.analysis import Graph, Kind, Node, fit_network, held_out, learned_monitor, unfolded, watch

STAGES = (23.0, 34.0, 47.5, 72.0, 95.0, 120.0, 140.0)
LOW = "170601F3"
GRAPH = Graph(
    tuple(Node("titer", s, Kind.STATE, "g/L") for s in STAGES),
    tuple((("titer", a), ("titer", b)) for a, b in pairwise(STAGES)),
    time="h",
)


@pytest.fixture
def batches(data):
    tables = []
    for file in sorted((data / "yarrowia_citrate").glob("*.csv")):
        read = pd.read_csv(file)
        tables.append(
            pd.DataFrame(
                {"batch": file.stem, "time": read["Ferm. Time (h)"], "tag": "titer", "value": read["Titer (g/L)"]}
            )
        )
    return unfolded(pd.concat(tables))


def test_four_normal_batches_show_at_72_hours_that_the_fifth_is_a_low_producer(batches):
    monitor = learned_monitor(GRAPH, batches.drop(LOW), rate=0.01)
    chart = watch(monitor, batches.loc[LOW])
    assert chart.alarm.stage == 72.0  # of 140 h, at 1 % false alarms in a whole batch
    assert chart.alarm.departure < -2.0
    assert batches.loc[LOW, ("titer", 140.0)] < 0.5 * batches.drop(LOW)["titer", 140.0].min()


def test_no_normal_batch_raises_an_alarm_against_the_other_three(batches):
    good = batches.drop(LOW)
    for name in good.index:
        assert watch(learned_monitor(GRAPH, good.drop(name)), good.loc[name]).alarm is None


def test_intervals_of_held_out_final_titers_hold_and_narrow(batches):
    found = held_out(batches, lambda b: fit_network(GRAPH, b).draws(1000), ("titer", 140.0), [47.5, 72.0, 95.0, 120.0])
    summary = found.summary()
    assert found.table["inside"].sum() >= 18  # of 20, 90 % intervals: 19 measured
    assert summary["width"].is_monotonic_decreasing
    assert summary["score"].is_monotonic_decreasing
