"""A corrected plant is an ordinary plant: its balances close, its readings agree, its coefficients are parameters."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pyomo.util.check_units import assert_units_consistent

from titer.flowsheets import (
    Additive,
    Conserved,
    Correction,
    Domain,
    Flowsheet,
    LearnedTerm,
    Multiplicative,
    Phase,
    Recipe,
    diagnose,
    simulate,
)
from titer.flowsheets.corrections.layers import Affine, Elementwise, Scale, chained
from titer.flowsheets.corrections.model import LoweredModel
from titer.flowsheets.operation import operations
from titer.flowsheets.pyomo import solve_pyomo, value_of
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import FLOATS, Symbol, symbol_array
from titer.flowsheets.trace import trace
from titer.flowsheets.units import BatchReactor, Bioreactor, Feed, Growth, Kinetics, Monod, Reaction, StirredReactor
from titer.flowsheets.units.reactions import MassAction
from titer.numerics import Grid

reactor = BatchReactor("reactor")
BATCH = Flowsheet(reactor)
REACT, HEATED = Recipe(Phase("react", 3600.0)), {reactor.T_j: 334.0}
DATA = np.random.default_rng(3).uniform([310.0, 0.1], [345.0, 1.0], size=(25, 2))


def network(inputs: int, seed: int = 0, center: Any = 0.0, width: Any = 1.0, size: float = 0.5) -> LoweredModel:
    """A network with tanh of four neurons and coefficients at random."""
    rng = np.random.default_rng(seed)
    layer = chained(Scale(inputs), Affine(inputs, 4), Elementwise(4, "tanh"), Affine(4, 1))
    scales = np.concatenate([np.full(inputs, center), np.full(inputs, width)])
    return LoweredModel(layer, np.concatenate([scales, size * rng.normal(size=layer.count - 2 * inputs)]))


def constant(value: float, inputs: int = 1) -> LoweredModel:
    return LoweredModel(Affine(inputs, 1), np.append(np.zeros(inputs), value))


def on_r_1(seed: int = 0, **options: Any) -> Correction:
    model = network(2, seed, [325.0, 0.5], [10.0, 0.3])
    return Correction(LearnedTerm(reactor.r_1, [reactor.T, reactor.c_A], model, **options))


def drift(run: Any, plant: Flowsheet) -> dict[str, float]:
    """By total that nothing comes into: how far it moves along a run, relative to its size."""
    lowered = operations(plant, run.source.recipe, run.source.inputs)[0].lowered
    trajectory = run.phases[0].trajectory
    found = {}
    for unit in plant.units:
        for key, entry in unit.conserved(getattr(lowered.view, unit.name)).items():
            entry = entry if isinstance(entry, Conserved) else Conserved(entry)
            if isinstance(entry.source, Symbol):
                continue
            total = lowered.function(entry.total)
            p = [plant.values[v.name] for v in lowered.dae.parameters]
            values = [
                float(total(0.0, x, z, np.zeros(len(lowered.dae.inputs)), p))
                for x, z in zip(trajectory.x.T, trajectory.z.T, strict=True)
            ]
            found[key] = np.ptp(values) / np.abs(values).max()
    return found


# --- balances -----------------------------------------------------------------------------------------------------


def test_moles_of_a_corrected_reactor_stay():
    plain, better = simulate(BATCH, REACT, HEATED), simulate(BATCH.corrected(on_r_1()), REACT, HEATED)
    moles = sum(better[name] for name in (reactor.c_A, reactor.c_B, reactor.c_C))
    assert np.abs(moles - 1.0).max() < 1e-9
    assert abs(better.at_end(reactor.c_B) / plain.at_end(reactor.c_B) - 1.0) > 1e-3


def test_elements_of_a_corrected_network_stay():
    esterification = StirredReactor(
        "tank",
        species=("acid", "alcohol", "ester", "water"),
        reactions=(
            Reaction("there", {"acid": -1, "alcohol": -1, "ester": 1, "water": 1}, MassAction(2e-4)),
            Reaction("back", {"acid": 1, "alcohol": 1, "ester": -1, "water": -1}, MassAction(5e-5)),
        ),
        elements={
            "acid": {"C": 2, "H": 4, "O": 2},
            "alcohol": {"C": 2, "H": 6, "O": 1},
            "ester": {"C": 4, "H": 8, "O": 2},
            "water": {"H": 2, "O": 1},
        },
        c={"acid": 2.0, "alcohol": 2.5},
        T=330.0,
    )
    names = [esterification.c["acid"], esterification.c["ester"], esterification.T]
    model = network(3, 1, [1.0, 1.0, 330.0], [0.5, 0.5, 10.0])
    terms = [
        LearnedTerm(esterification.r["there"], names, model),
        LearnedTerm(esterification.r["back"], names[:1], network(1, 2), Additive(-1e-5, 2e-5)),
    ]
    plant = Flowsheet(esterification).corrected(Correction(*terms))
    run = simulate(plant, Recipe(Phase("go", 3600.0)), {"tank.jacket.T_j": 330.0})
    content = {element: np.zeros(len(run.frame())) for element in "CHO"}
    for key, atoms in esterification.elements.items():
        for element, number in atoms.items():
            content[element] = content[element] + number * run[esterification.c[key]].to_numpy()
    assert all(np.ptp(total) < 1e-9 * total[0] for total in content.values())
    drifts = drift(run, plant)
    assert drifts
    assert max(drifts.values()) < 1e-9


def test_carbon_of_a_corrected_fed_culture_is_what_was_fed():
    kinetics = Kinetics(growth=Growth(0.4, Monod("S", 0.1), yields={"S": 0.5}))
    culture = Bioreactor("culture", kinetics=kinetics, feeds={"feed": Feed({"S": 200.0})}, X=1.0, S=5.0)
    model = network(2, 4, [5.0, 3.0], [3.0, 3.0])
    mu = culture.kinetics.growth.mu
    correction = Correction(LearnedTerm(mu, [culture.X, culture.S], model))
    plant, recipe = Flowsheet(culture), Recipe(Phase("grow", 8.0))
    plain = simulate(plant, recipe, {culture.F_feed: 0.02}, tolerance=1e-11)
    run = simulate(plant.corrected(correction), recipe, {culture.F_feed: 0.02}, tolerance=1e-11)
    V, X, S = (run[name].to_numpy() for name in (culture.V, culture.X, culture.S))
    t = run.frame().index.to_numpy()
    made_of_substrate = V * (X / 0.5 + S) - 200.0 * 0.02 * t  # each gram of cells was 1 / 0.5 g of substrate
    assert np.ptp(made_of_substrate) < 1e-9 * made_of_substrate[0]
    assert abs(run.at_end(culture.X) / plain.at_end(culture.X) - 1.0) > 1e-3


# --- three readings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "domain", [None, Domain.of_data(DATA), Domain.near_data(DATA[:6]), Domain.of_data(DATA, fades=False)]
)
@pytest.mark.parametrize("form", [Multiplicative(0.5, 2.0), Additive(-2e-5, 4e-5)])
def test_three_readings_agree(agree_with_the_dae: Callable[[Any], int], form: Any, domain: Domain | None):
    plant = BATCH.corrected(on_r_1(form=form, domain=domain))
    model = plant.to_pyomo(REACT, inputs=HEATED)
    assert_units_consistent(model)
    assert agree_with_the_dae(model) > 6
    lowered = operations(plant, REACT, HEATED)[0].lowered
    unit, rng = plant.units[0], np.random.default_rng(5)
    for _ in range(4):
        groups = (lowered.dae.states, lowered.dae.inputs, lowered.dae.parameters)
        x, u, p = ([v.start * rng.uniform(0.97, 1.03) + 0.01 for v in group] for group in groups)
        rate, _, outputs = lowered.dae.function(0.0, x, [], u, p)
        point = dict(zip((v.name for group in groups for v in group), (*x, *u, *p), strict=True))
        values = {n.split(".", 1)[1]: Symbol(v, plant.measures[n], FLOATS) for n, v in point.items()}
        term = plant.corrections[reactor.r_1]
        floats = trace(
            unit, values, Symbol(0.0, Measure.of("s"), FLOATS),
            lambda name, value, values=values, term=term: term(_View(values), value) if name == reactor.r_1 else value,
        )  # fmt: skip
        assert [s.value for s in floats.rate.values()] == pytest.approx(np.array(rate).ravel().tolist(), rel=1e-12)
        known = dict(zip((v.name for v in lowered.dae.outputs), np.array(outputs).ravel(), strict=True))
        assert floats.expression["r_1"].value == pytest.approx(known[reactor.r_1], rel=1e-12)


class _View:
    """Names of a plant of one unit operation, on floats."""

    def __init__(self, values: dict[str, Symbol]):
        self.values = values

    def __getitem__(self, name: str) -> Any:
        local = name.split(".", 1)[1]
        if local in self.values:
            return self.values[local]
        return symbol_array([s for key, s in self.values.items() if key.partition("[")[0] == local])


def test_numbers_along_a_run_are_what_the_equations_used():
    correction = on_r_1(domain=Domain.of_data(DATA))
    run = simulate(BATCH.corrected(correction), REACT, HEATED)
    told = correction.along(run.frame())
    T, c_A = run[reactor.T], run[reactor.c_A]
    mechanistic = 2.0e9 * np.exp(-8.0e4 / (8.314 * T)) * c_A
    assert (run[reactor.r_1] / mechanistic).to_numpy() == pytest.approx(
        told[reactor.r_1, "correction"].to_numpy(), rel=1e-12
    )
    assert told[reactor.r_1, "distance"].iloc[0] < 2.0
    assert told[reactor.r_1, "low"].isna().all()


# --- coefficients are parameters ----------------------------------------------------------------------------------


def test_coefficients_have_names_values_and_no_unit():
    better = BATCH.corrected(on_r_1())
    names = better.unit("reactor").correction.r_1
    assert names[3] == "reactor.correction.r_1[3]"
    assert better.values[names] == pytest.approx(on_r_1().terms[0].model.coefficients)
    assert better.measures[names[3]].label == "1"
    assert BATCH.values.get(names[3]) is None
    assert "correction.r_1: 21 learned coefficients" in repr(better.values)
    assert "correction.r_1[" not in repr(better.values)


def test_what_is_learned_again_in_the_same_shape_shares_the_trace():
    first, again = (BATCH.corrected(on_r_1(seed, domain=Domain.of_data(DATA + seed))) for seed in (0, 1))
    taken = first.with_values(on_r_1(1, domain=Domain.of_data(DATA + 1.0)).values)
    functions = [operations(plant, REACT, HEATED)[0].lowered.dae.function for plant in (first, again, taken)]
    assert functions[0] is functions[1]
    assert functions[0] is functions[2]
    assert dict(again.values) == dict(taken.values)
    ends = [simulate(plant, REACT, HEATED).at_end(reactor.c_B) for plant in (first, again, taken)]
    assert ends[1] == ends[2] != ends[0]
    other = BATCH.corrected(on_r_1(form=Additive(-1e-5, 1e-5)))
    assert operations(other, REACT, HEATED)[0].lowered.dae.function is not functions[0]


def test_a_corrected_plant_keeps_values_and_can_be_pickled():
    changed = BATCH.with_values({reactor.k0_1: 1.9e9}).corrected(on_r_1())
    assert changed.values[reactor.k0_1] == 1.9e9
    again = changed.with_values({"reactor.correction.r_1[3]": 0.25, reactor.k0_1: 1.8e9})
    assert (again.values["reactor.correction.r_1[3]"], again.values[reactor.k0_1]) == (0.25, 1.8e9)
    copied = pickle.loads(pickle.dumps(again))
    assert simulate(copied, REACT, HEATED).at_end(reactor.c_B) == simulate(again, REACT, HEATED).at_end(reactor.c_B)


def test_functions_and_learned_terms_act_one_after_the_other():
    learned = Correction(LearnedTerm(reactor.r_1, [reactor.T], constant(np.log(1.1)), Multiplicative(0.1, 10.0)))
    doubled = {reactor.r_1: lambda v, rate: 2.0 * rate}
    both = [BATCH.corrected(learned).corrected(doubled), BATCH.corrected(doubled).corrected(learned)]
    rates = [simulate(plant, REACT, HEATED)[reactor.r_1].iloc[0] for plant in (BATCH, *both)]
    factor = np.exp(learned.terms[0].form.bounded(np.log(1.1)))
    assert rates[1:] == pytest.approx([2.0 * factor * rates[0]] * 2, rel=1e-12)


def test_two_corrections_of_one_unit_operation_stand_side_by_side():
    one = LearnedTerm(reactor.r_1, [reactor.T], constant(0.05), domain=Domain.of_data(DATA[:, :1]))
    two = LearnedTerm(reactor.r_2, [reactor.c_B], constant(-0.05))
    stepwise = BATCH.corrected(Correction(one)).with_values({"reactor.correction.r_1[0]": 1e-4})
    stepwise = stepwise.corrected(Correction(two))
    assert stepwise.values["reactor.correction.r_1[0]"] == 1e-4
    assert stepwise.unit("reactor").correction.r_2[1] == "reactor.correction.r_2[1]"
    together = BATCH.corrected(Correction(one, two)).with_values({"reactor.correction.r_1[0]": 1e-4})
    ends = [simulate(plant, REACT, HEATED).at_end(reactor.c_C) for plant in (stepwise, together)]
    assert ends[0] == ends[1]


# --- what uses plants ---------------------------------------------------------------------------------------------


def test_pyomo_solves_a_corrected_plant_and_writes_what_is_shared_once(tmp_path: Any):
    """Neurons are named expressions: a third layer makes the file longer by its own size, not by that of a tree."""
    sizes = []
    for depth in (1, 2, 3):
        layers = [layer for _ in range(depth) for layer in (Affine(3, 3), Elementwise(3, "tanh"))]
        layer = chained(Scale(2), Affine(2, 3), Elementwise(3, "tanh"), *layers, Affine(3, 1))
        numbers = 0.4 * np.random.default_rng(1).normal(size=layer.count - 4)
        model = LoweredModel(layer, np.concatenate([[325.0, 0.5, 10.0, 0.3], numbers]))
        plant = BATCH.corrected(Correction(LearnedTerm(reactor.r_1, [reactor.T, reactor.c_A], model)))
        lowered = plant.to_pyomo(REACT, Grid(2), inputs=HEATED)
        lowered.write(str(tmp_path / "plant.nl"))
        sizes.append((tmp_path / "plant.nl").stat().st_size)
    assert sizes[2] - sizes[1] == pytest.approx(sizes[1] - sizes[0], rel=0.05)
    corrected = BATCH.corrected(on_r_1(domain=Domain.of_data(DATA)))
    solved = corrected.to_pyomo(REACT, Grid(20), inputs=HEATED)
    assert solve_pyomo(solved).success
    end = simulate(corrected, REACT, HEATED).at_end(reactor.c_B)
    assert value_of(solved, reactor.c_B) == pytest.approx(end, rel=1e-5)


def test_a_diagnosis_leaves_coefficients_alone():
    zero = LoweredModel(Affine(1, 1), [0.0, 1e-30])
    plant = BATCH.corrected(Correction(LearnedTerm(reactor.r_1, [reactor.T], zero)))
    assert "correction" not in str(diagnose(plant, REACT, inputs=HEATED))
