"""A correction is kept on a card without code, told in words and in reports, and may be a network from elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import casadi as ca
import numpy as np
import pytest

from titer.flowsheets import (
    Additive,
    Correction,
    Domain,
    Flowsheet,
    LearnedTerm,
    Multiplicative,
    Phase,
    Recipe,
    report,
    simulate,
)
from titer.flowsheets.corrections.applying import learned
from titer.flowsheets.corrections.domain import faded
from titer.flowsheets.corrections.external import lowered_function, lowered_onnx
from titer.flowsheets.corrections.kernels import (
    Constant,
    Dot,
    DotPower,
    DotTanh,
    Gaussian,
    KernelSum,
    KernelVariance,
    Matern32,
    Matern52,
    Raised,
    RationalQuadratic,
    Times,
    Total,
    White,
)
from titer.flowsheets.corrections.layers import Affine, Elementwise, Logistic, Monomials, Scale, chained
from titer.flowsheets.corrections.model import LoweredModel
from titer.flowsheets.units import BatchReactor
from titer.numerics.errors import DeclarationError, SpecificationError

reactor = BatchReactor("reactor")
BATCH = Flowsheet(reactor)
REACT, HEATED = Recipe(Phase("react", 1800.0)), {reactor.T_j: 334.0}
DATA = np.random.default_rng(3).uniform([310.0, 0.1], [345.0, 1.0], size=(12, 2))


def process() -> LoweredModel:
    """A Gaussian process of two points behind a scaler."""
    kernel = Total(2, Times(2, Constant(2), Gaussian(2)), White(2))
    scale = np.array([325.0, 0.5, 10.0, 0.3])
    own = np.concatenate([[-1.0, 0.0, 1.0, 0.5], [2.0, 1.0, 1.5, 0.1]])
    mean = np.concatenate([scale, own, [0.1, -0.2], [0.05]])
    spread = np.concatenate([scale, own, [0.6, -0.2, 0.7]])
    layers = chained(Scale(2), KernelSum(2, kernel, 2)), chained(Scale(2), KernelVariance(2, kernel, 2))
    return LoweredModel(layers[0], mean, layers[1], spread, (0.1, 2.1), "a process")


def correction() -> Correction:
    about = {"made": "2026-03-01", "data": "sha256 of six batches", "rmse": 0.02}
    return Correction(
        LearnedTerm(
            reactor.r_1, [reactor.T, reactor.c_A], process(), Multiplicative(0.5, 2.0), Domain.near_data(DATA),
            units=("K", "mol/L"), ranges=list(zip(DATA.min(axis=0), DATA.max(axis=0), strict=True)),
        ),
        LearnedTerm(reactor.r_2, [reactor.T], LoweredModel(Affine(1, 1), [0.0, 1e-6]), Additive(-1e-5, 1e-5)),
        about=about,
    )  # fmt: skip


# --- cards --------------------------------------------------------------------------------------------------------


def test_a_correction_is_read_as_it_was_written(tmp_path: Path):
    given = correction()
    given.save(tmp_path / "learned")
    read = Correction.load(tmp_path / "learned")
    assert read.structure == given.structure
    assert read.values == given.values
    assert read.about == given.about
    assert [t.ranges for t in read.terms] == [t.ranges for t in given.terms]
    assert read.describe() == given.describe()
    X = DATA + 0.1
    for mine, theirs in zip(read.terms[0].at(X), given.terms[0].at(X), strict=True):
        assert (mine == theirs).all()
    ends = [simulate(BATCH.corrected(c), REACT, HEATED).at_end(reactor.c_B) for c in (read, given)]
    assert ends[0] == ends[1]
    card = json.loads((tmp_path / "learned" / "card.json").read_text())
    assert card["terms"][0]["features"][0]["unit"] == "K"
    assert {"titer", "casadi", "numpy", "python"} <= set(card["versions"])


@pytest.mark.parametrize(
    "layer",
    [
        KernelSum(2, kind(2), 3)
        for kind in (Gaussian, Matern32, Matern52, RationalQuadratic, Dot, DotTanh, lambda n: DotPower(n, 3))
    ]
    + [
        KernelSum(2, Raised(2, Dot(2), 2.0), 3),
        chained(
            Scale(2), Monomials(2, ((1, 0), (1, 1))), Affine(2, 3), Logistic(3), Elementwise(3, "tanh"), Affine(3, 1)
        ),
    ],
)
def test_every_layer_and_kernel_is_read_as_it_was_written(tmp_path: Path, layer: Any):
    model = LoweredModel(layer, np.random.default_rng(0).uniform(0.5, 1.5, layer.count))
    Correction(LearnedTerm(reactor.r_1, [reactor.T, reactor.c_A], model)).save(tmp_path)
    read = Correction.load(tmp_path).terms[0].model
    assert read.mean == layer
    assert read.predict(DATA / 300.0).tolist() == model.predict(DATA / 300.0).tolist()


def test_what_is_no_card_or_was_changed_is_refused(tmp_path: Path):
    with pytest.raises(SpecificationError, match=r"has no card\.json with numbers\.npz"):
        Correction.load(tmp_path)
    correction().save(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    for change, text in (
        ({"format": 9}, "has format 9, this version reads 1"),
        ({"hash": "0"}, "does not belong to its card: its numbers have changed"),
    ):
        (tmp_path / "card.json").write_text(json.dumps(card | change))
        with pytest.raises(SpecificationError, match=text):
            Correction.load(tmp_path)
    card["terms"][1]["model"]["mean"]["kind"] = "Popen"
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(SpecificationError, match="kind 'Popen' is unknown"):
        Correction.load(tmp_path)
    with pytest.raises(SpecificationError, match="what `about` says cannot be written"):
        Correction(correction().terms[1], about={"rmse": float("nan")}).save(tmp_path)


# --- words and reports --------------------------------------------------------------------------------------------


def test_it_says_what_it_corrects_by_what_and_where_it_holds():
    said = correction().describe()
    for text in (
        "reactor.r_1: a factor from 0.5 to 2",
        "predicted by a process from",
        f"reactor.T [K], in the data {DATA[:, 0].min():.6g} to {DATA[:, 0].max():.6g}",
        "neighbourhoods from the nearest sample; fades out beyond",
        "reactor.r_2: a summand from -1e-05 to 1e-05",
        "acts everywhere, with nothing known of where its data end",
        "rmse: 0.02",
    ):
        assert text in said


def test_along_a_run_it_says_where_it_acts_how_large_and_how_sure():
    run = simulate(BATCH.corrected(correction()), REACT, HEATED)
    told = correction().along(run.frame())
    mine = told[reactor.r_1]
    assert (mine["low"] < mine["correction"]).all()
    assert (mine["correction"] < mine["high"]).all()
    term, X = correction().terms[0], run.frame()[[reactor.T, reactor.c_A]]
    fade = faded(term.domain.distances(X) ** 2)
    high = fade * term.form.bounded(term.model.predict(X) + 2.0 * term.model.deviation(X))
    assert mine["high"].to_numpy() == pytest.approx(np.exp(high), rel=1e-12)
    assert mine["high"].max() < 2.0
    with pytest.raises(SpecificationError, match=r"the frame has no column reactor\.c_A"):
        correction().along(run.frame()[[reactor.T]])


def test_a_report_lists_what_was_learned(tmp_path: Path):
    plant = BATCH.corrected(correction())
    report(simulate(plant, REACT, HEATED), tmp_path / "run.html")
    page = re.sub(r"<[^>]+>", " ", (tmp_path / "run.html").read_text(encoding="utf-8"))
    assert "Learned corrections" in page
    assert "a factor from 0.5 to 2" in page
    facts = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["runs"][0]["corrections"]
    assert [told["on"] for told in facts] == ["reactor.r_1", "reactor.r_2"]
    assert facts[0]["lowest"] < facts[0]["highest"] < 2.0
    assert 0.0 <= facts[0]["share_within"] <= 1.0
    assert facts[1]["share_within"] is None
    report(simulate(BATCH, REACT, HEATED), tmp_path / "plain.html")
    assert "Learned corrections" not in (tmp_path / "plain.html").read_text(encoding="utf-8")


def test_a_plant_tells_its_correction_with_the_coefficients_it_has_now():
    assert learned(BATCH) is None
    plant = BATCH.corrected(correction())
    same, changed = learned(plant), learned(plant.with_values({"reactor.correction.r_2[1]": 2e-6}))
    assert same is not None
    assert changed is not None
    assert same.values == correction().values
    assert same.terms[0].model.variance is not None
    assert changed.term(reactor.r_2).model.coefficients.tolist() == [0.0, 2e-6]
    with pytest.raises(SpecificationError, match=r"the correction is not on reactor\.Q_j; it is on reactor\.r_1"):
        changed.term(reactor.Q_j)


# --- networks from elsewhere --------------------------------------------------------------------------------------


def network() -> ca.Function:
    """tanh of two neurons, of one row of two features."""
    x = ca.MX.sym("x", 1, 2)
    hidden = ca.tanh(ca.mtimes((x - ca.DM([[325.0, 0.5]])) / ca.DM([[10.0, 0.3]]), ca.DM([[0.5, -0.4], [0.3, 0.8]])))
    return ca.Function("network", [x], [ca.mtimes(hidden, ca.DM([0.3, -0.2]))])


def by_hand(X: np.ndarray) -> np.ndarray:
    return np.tanh((X - [325.0, 0.5]) / [10.0, 0.3] @ np.array([[0.5, -0.4], [0.3, 0.8]])) @ [0.3, -0.2]


def test_a_network_in_an_onnx_file_corrects_a_rate_and_is_kept_on_a_card(tmp_path: Path):
    path = tmp_path / "network.onnx"
    ca.GraphBuilder(network()).export_onnx(str(path))
    model = lowered_onnx(path)
    assert model.predict(DATA) == pytest.approx(by_hand(DATA), rel=1e-12)
    assert model.source == "ONNX network.onnx"
    given = Correction(LearnedTerm(reactor.r_1, [reactor.T, reactor.c_A], model, domain=Domain.of_data(DATA)))
    run = simulate(BATCH.corrected(given), REACT, HEATED)
    mechanistic = 2.0e9 * np.exp(-8.0e4 / (8.314 * run[reactor.T])) * run[reactor.c_A]
    told = given.along(run.frame())[reactor.r_1, "correction"].to_numpy()
    assert (run[reactor.r_1] / mechanistic).to_numpy() == pytest.approx(told, rel=1e-10)
    given.save(tmp_path / "card")
    read = Correction.load(tmp_path / "card")
    assert simulate(BATCH.corrected(read), REACT, HEATED).at_end(reactor.c_B) == run.at_end(reactor.c_B)
    with pytest.raises(DeclarationError, match="which Pyomo cannot evaluate"):
        BATCH.corrected(given).to_pyomo(REACT, inputs=HEATED)


def test_a_function_of_another_shape_or_no_file_is_refused(tmp_path: Path):
    assert lowered_function(network(), "mine").predict(DATA) == pytest.approx(by_hand(DATA), rel=1e-12)
    x, y = ca.SX.sym("x"), ca.SX.sym("y", 2)
    for function in (ca.Function("two", [x, y], [x]), ca.Function("pair", [y], [y])):
        with pytest.raises(SpecificationError, match="must take one vector and give one number, but its shapes are"):
            lowered_function(function)
    (tmp_path / "no.onnx").write_text("this is no network")
    with pytest.raises(SpecificationError, match="CasADi cannot write"):
        lowered_onnx(tmp_path / "no.onnx")
