"""Do the pictures say what they show? Labels with names and units, bars that add up, nothing left out."""

from __future__ import annotations

import io

import numpy as np
import pytest

from tests.analysis.network_toys import fermentation
from titer.analysis.monitoring import innovation_monitor, plot_chart, watch
from titer.analysis.networks import (
    fit_network,
    plot_network,
    plot_prediction,
    plot_shares,
    plot_waterfall,
    predict,
    risk,
    risk_draws,
    sample,
)
from titer.numerics.errors import SpecificationError

TARGET = ("purity", 96.0)


@pytest.fixture(scope="module")
def net():
    return fermentation()


@pytest.fixture(scope="module")
def drawn(net):
    return fit_network(net.graph, sample(net, 12, seed=3)).draws(200)


@pytest.fixture(scope="module")
def batch(net):
    return sample(net, 1, seed=9).iloc[0]


def words(figure):
    """All text of a figure, drawn once so that nothing warns."""
    figure.savefig(io.BytesIO(), format="svg")
    texts = [t.get_text() for ax in figure.axes for t in ax.findobj(match=lambda a: hasattr(a, "get_text"))]
    return "\n".join([*texts, *(t.get_text() for legend in figure.legends for t in legend.get_texts())])


def test_share_bars_add_up_to_the_variance(net, drawn):
    figure = plot_shares(risk(net, TARGET))
    heights = sum(bar.get_height() for container in figure.axes[0].containers for bar in container)
    assert heights == pytest.approx(100.0)
    said = words(figure)
    for word in ("share of the variance of purity at 96 [%]", "stage [h]", "inoculum", "feed"):
        assert word in said
    assert "95 % interval" in words(plot_shares(risk_draws(drawn, TARGET)))


def test_a_waterfall_ends_at_the_prediction(net, drawn, batch):
    found = predict(drawn, TARGET, {k: v for k, v in batch.items() if k[1] <= 48.0})
    figure = plot_waterfall(found, most=6)
    widths = sum(bar.get_width() for bar in figure.axes[0].patches)
    assert found.mean + widths == pytest.approx(found.value)
    said = words(figure)
    for word in ("mean of batches", "prediction", "6 smaller ones", "expected", "purity at 96 [%]"):
        assert word in said
    assert "below expected" in words(plot_waterfall(predict(net, TARGET, batch)))
    with pytest.raises(SpecificationError, match="most must be at least 1"):
        plot_waterfall(found, most=0)


def test_a_prediction_over_time_shows_the_value_once_known(drawn, batch):
    said = words(plot_prediction(drawn, TARGET, batch))
    assert "measured" in said
    assert "model risk alone" in said


def test_a_network_shows_every_node_and_edge(net):
    figure = plot_network(net, TARGET)
    arrows = [t for t in figure.axes[0].texts if getattr(t, "arrow_patch", None) is not None]
    assert len(arrows) == len(net.graph.edges)
    assert len(figure.axes[0].collections) == len(net.graph)
    said = words(figure)
    for word in ("purity", "48", "correlated", "lowers", "input", "stage [h]"):
        assert word in said
    assert "%" not in words(plot_network(net))


def test_a_monitoring_chart_names_what_left(net, batch):
    faulty = batch.copy()
    faulty["P", 48.0] += 5.0
    chart = watch(innovation_monitor(net), faulty)
    figure = plot_chart(chart)
    assert figure.get_suptitle().startswith("P left at 48 h")
    said = words(figure)
    for word in ("T2", "memory", "limit", "alarm", "P at 48 (+", "contribution to", "standard deviations off"):
        assert word in said
    assert plot_chart(watch(innovation_monitor(net), batch)).get_suptitle() == "All measurements are normal."
    assert np.isfinite([ax.get_ylim()[1] for ax in figure.axes]).all()
