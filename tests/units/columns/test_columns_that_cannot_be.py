"""What a column cannot be made of, or be given, is refused where it is written, and not answered with other numbers."""

from __future__ import annotations

import numpy as np
import pytest

from titer.control import optimize
from titer.flowsheets import AtEnd, Flowsheet, Free, Phase, PiecewiseConstant, Recipe, simulate
from titer.flowsheets.chromatograms import breakthrough, chromatogram, fraction_table, gradient, pool, step, widest_pool
from titer.flowsheets.units import (
    AffinityTitration,
    Column,
    FiniteVolumes,
    GeneralRate,
    Langmuir,
    Linear,
    LumpedRate,
    MobilePhaseModulator,
    SpectralElements,
    StericMassAction,
)
from titer.flowsheets.units.columns import Equilibrium, EquilibriumTotals, Kinetic, LinearDrivingForce, OwnLaw
from titer.numerics.errors import DeclarationError, SpecificationError

METHOD = SpectralElements(4, 3)
SALTED = ("salt", "A")


def own(exchange):
    return OwnLaw(bound=("A",), law=lambda b, c, q: {"A": c["A"] - q["A"]}, exchange=exchange)


def made(binding, components=("A",), **changes):
    return Column("column", components=components, binding=binding, **{"method": METHOD, **changes})


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: made(own(Equilibrium())), "which Equilibrium needs"),
        (lambda: made(own(LinearDrivingForce())), "which LinearDrivingForce needs"),
        (
            lambda: made(StericMassAction(bound=("A",), exchange=LinearDrivingForce()), SALTED, start={"salt": 50.0}),
            "which LinearDrivingForce needs",
        ),
        (lambda: made(Linear(bound=("A",), exchange=Kinetic)), "binding.exchange is a part"),
        (lambda: made(StericMassAction(bound=SALTED), SALTED, start={"salt": 50.0}), "salt is what"),
        (lambda: made(MobilePhaseModulator(bound=SALTED, modulator="salt"), SALTED), "salt is what"),
        (lambda: made(StericMassAction(bound=("A",)), SALTED), "needs salt"),
        (lambda: made(AffinityTitration(bound=("A",)), ("A", "pH")), "needs pH"),
        (lambda: made(Langmuir(bound=("A",)), solid={"A": 2.0}), "follows from `start`"),
        (lambda: made(Linear(bound=("A",)), start={"A": -1.0}), "must not be negative"),
        (lambda: made(Linear(bound=("A",)), transport=GeneralRate(shells=0)), "shells"),
        (lambda: made(Linear(bound=("A",)), design_flow=0.0), "design_flow must be positive"),
        (lambda: made(Linear(bound=("A",)), method=None, L=0.0), "L must be positive"),
    ],
)
def test_parts_that_do_not_fit_are_refused(make, text):
    with pytest.raises(DeclarationError, match=text):
        make()


@pytest.mark.parametrize("exchange", [EquilibriumTotals(), Kinetic()], ids=repr)
def test_what_is_bound_at_the_start_is_eluted(exchange):
    """10 mL with 0.2 of solid, in which 5 mol/m^3 are bound: 10 umol."""
    column = made(Langmuir(bound=("A",), k_a=0.005, k_d=0.015, exchange=exchange), solid={"A": 5.0})
    run = simulate(Flowsheet(column), Recipe(step(column, "wash", {}, flow=2.0, volumes=30.0)), points=2000)
    assert pool(chromatogram(run, column), "wash").amounts["A"] == pytest.approx(10.0, rel=1e-3)


def test_without_dispersion_there_are_fronts_as_broad_as_cells():
    with pytest.warns(UserWarning, match="as broad as the method makes them"):
        column = made(Linear(bound=("A",)), transport=LumpedRate(D_ax=0.0), method=FiniteVolumes(32), design_flow=1.0)
    assert np.isinf(column.peclet(1.0))


def test_a_negative_flow_is_doubted():
    column = made(Linear(bound=("A",)))
    inputs = {column.feed.flow: -1.0, column.feed.c["A"]: 0.0}
    run = simulate(Flowsheet(column), Recipe(Phase("back", 10.0, inputs=inputs)), points=5)
    assert "the flow through column is negative" in run.message
    assert "reversible=True" in run.message


def test_a_buffer_of_protein_a_has_a_ph():
    column = made(AffinityTitration(bound=("A",)), ("A", "pH"), start={"pH": 7.0})
    with pytest.raises(SpecificationError, match=r"Phase 'wash': the buffer has no pH"):
        step(column, "wash", {}, flow=1.0, volumes=1.0)
    with pytest.raises(SpecificationError, match=r"Phase 'elute': the buffer has no pH"):
        gradient(column, "elute", {"pH": 7.0}, {}, flow=1.0, volumes=1.0)
    given = step(column, "wash", {}, flow=1.0, volumes=1.0, inputs={column.feed.c["pH"]: 6.0})
    assert given.inputs[column.feed.c["pH"]] == 6.0


def test_what_is_decided_is_left_open():
    column = made(Linear(bound=("A",)))
    left = step(column, "load", {"A": 1.0}, flow=2.0, volumes=1.0, decided=[column.feed.flow])
    assert left.inputs == {column.feed.c["A"]: 1.0}
    with pytest.raises(SpecificationError, match=r"decided: input 'column.feed.c\[B\]' is unknown"):
        step(column, "load", {"A": 1.0}, flow=2.0, volumes=1.0, decided=["column.feed.c[B]"])


def test_a_decided_length_is_a_duration():
    with pytest.raises(SpecificationError, match=r"volumes is a number of column volumes(?s:.*)duration=Free\(guess"):
        step(made(Linear(bound=("A",))), "load", {"A": 1.0}, flow=2.0, volumes=Free(3.0, 1.0, 9.0))


def test_a_component_of_what_leaves_is_read_by_its_name():
    """By the label alone it is refused with what to write, and what is to be written works."""
    column = made(Linear(bound=("A",)))
    f = column.feed
    posed = {
        "plant": Flowsheet(column, time="s"),
        "recipe": Recipe(step(column, "load", {"A": 1.0}, flow=2.0, duration=10.0, decided=[f.flow])),
        "free": {f.flow: PiecewiseConstant(1, lower=0.5, upper=5.0)},
        "inputs": {f.flow: 2.0},
        "starts": 1,
    }
    with pytest.raises(SpecificationError, match=r"counted from 0 here(?s:.*)v\[\"column\.outlet\.c\[A\]\"\]"):
        optimize(**posed, maximize=AtEnd(lambda v: v.column.outlet.c["A"]))
    plan = optimize(**posed, maximize=AtEnd(lambda v: v["column.outlet.c[A]"] + v[column.outlet.c["A"]]))
    assert plan.objective == pytest.approx(2.0 * plan["column.outlet.c[A]"].iloc[-1], rel=1e-6)


@pytest.fixture(scope="module")
def captured():
    """A protein and what does not bind, on Protein A after an equilibration."""
    law = AffinityTitration(bound=("A",), k_a=5.0, qmax=20.0)
    column = made(law, ("A", "B", "pH"), start={"pH": 7.0})
    recipe = Recipe(
        step(column, "equilibrate", {"pH": 7.0}, flow=2.0, volumes=2.0),
        step(column, "load", {"A": 2.0, "B": 2.0, "pH": 7.0}, flow=2.0, volumes=4.0),
    )
    return chromatogram(simulate(Flowsheet(column), recipe, points=200), column)


def test_ph_is_no_impurity(captured):
    collected = pool(captured, "load")
    both = collected.amounts["A"] + collected.amounts["B"]
    assert captured.modulators == ("pH",)
    assert collected.purity("B") == pytest.approx(collected.amounts["B"] / both)
    assert widest_pool(captured, "B", 0.9).purity("B") >= 0.9
    assert "share pH" not in fraction_table((collected,))
    assert captured.plot(second="pH").axes[-1].get_ylabel() == "pH"


def test_an_equilibration_is_not_taken_for_a_load(captured):
    with pytest.raises(SpecificationError, match=r"which phase is the load\?"):
        breakthrough(captured, "A", feed=2.0)
    found = breakthrough(captured, "A", feed=2.0, phase="load")
    assert found.capacity == pytest.approx((2.0 * found.volume - found.lost) / 10.0)
