"""The stirred reactor against analytic kinetics, the batch reactor, its own invariants, and what it refuses."""

from __future__ import annotations

import importlib.util
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from pyomo.util.check_units import assert_units_consistent
from scipy.special import lambertw

from titer.flowsheets import Flowsheet, Parameter, Phase, Recipe, quantity, simulate
from titer.flowsheets.units import (
    Adiabatic,
    BatchReactor,
    CascadeJacket,
    ContinuousReactor,
    CoolantJacket,
    FoulingWall,
    Isothermal,
    Jacket,
    JacketedReactor,
    MassAction,
    PowerLaw,
    RateLaw,
    Reaction,
    SemibatchReactor,
    StirredReactor,
    Thermostat,
    Wall,
)
from titer.numerics.errors import DeclarationError

A_TO_B = {"A": -1, "B": 1}


def ran(reactor, duration, inputs=None, tolerance=1e-11, **phase):
    recipe = Recipe(Phase("run", duration, **phase))
    return simulate(Flowsheet(reactor), recipe, inputs or {}, tolerance=tolerance)


def isothermal(*reactions, species=("A", "B"), **changes):
    changes = {"c": {"A": 1.0}, "T": 350.0} | changes
    return StirredReactor("reactor", species=species, reactions=reactions, jacket=Isothermal(), **changes)


# --- the same as the batch reactor -----------------------------------------------------------------------------


def ramped(t: float) -> float:
    """320 to 350 K in 600 s, 350 K to 2400 s, then 330 K."""
    return 320.0 + 0.05 * t if t < 600.0 else 350.0 if t < 2400.0 else 330.0


def test_it_contains_the_batch_reactor():
    """The network A -> B -> C in a jacket of 50 W/K at 1 L is the batch reactor, trajectory by trajectory."""
    general, special = StirredReactor("reactor", T=350.0), BatchReactor("reactor", T=350.0)
    run = ran(general, 3600.0, {general.jacket.T_j: ramped}, tolerance=1e-12)
    expected = ran(special, 3600.0, {special.T_j: ramped}, tolerance=1e-12)
    c_A, c_B, c_C = general.c
    r_1, r_2 = general.r
    pairs = {c_A: special.c_A, c_B: special.c_B, c_C: special.c_C, general.T: special.T}
    pairs |= {r_1: special.r_1, r_2: special.r_2, general.Q_r: special.Q_r, general.Q_j: special.Q_j}
    for ours, theirs in pairs.items():
        size = np.abs(expected[theirs]).max()
        np.testing.assert_allclose(run[ours], expected[theirs], rtol=1e-9, atol=1e-9 * size, err_msg=ours)


# --- kinetics with an analytic answer --------------------------------------------------------------------------


def test_second_order_kinetics():
    reactor = isothermal(Reaction("r_1", {"A": -2, "B": 1}, MassAction(3e-3)), c={"A": 0.8})
    run = ran(reactor, 1000.0)
    t = run.frame().index.to_numpy()
    np.testing.assert_allclose(run[reactor.c["A"]], 0.8 / (1.0 + 2.0 * 3e-3 * 0.8 * t), rtol=1e-9)


def test_a_reversible_reaction_relaxes_to_its_equilibrium():
    there, back = Reaction("there", A_TO_B, MassAction(2e-3)), Reaction("back", {"B": -1, "A": 1}, MassAction(1e-3))
    reactor = isothermal(there, back)
    run = ran(reactor, 2000.0)
    t = run.frame().index.to_numpy()
    np.testing.assert_allclose(run[reactor.c["B"]], 2.0 / 3.0 * (1.0 - np.exp(-3e-3 * t)), atol=1e-9)


def test_an_order_is_a_parameter():
    reactor = isothermal(Reaction("r_1", A_TO_B, PowerLaw(2e-3, orders={"A": 1.5})))
    assert reactor.order["r_1:A"] == "reactor.order[r_1:A]"
    for n, other in ((1.5, reactor), (2.5, reactor.with_values({"order[r_1:A]": 2.5}))):
        run = ran(other, 1000.0)
        t = run.frame().index.to_numpy()
        exact = (1.0 + (n - 1.0) * 2e-3 * t) ** (1.0 / (1.0 - n))
        np.testing.assert_allclose(run[reactor.c["A"]], exact, rtol=1e-9)


class Enzymatic(StirredReactor):
    """With a parameter of its own for its rate law."""

    K_m = Parameter("mol/L", 0.2)


@pytest.mark.parametrize("factored", [True, False])
def test_a_rate_law_may_be_a_function_of_the_view(factored):
    """Michaelis-Menten kinetics: S = K W(S0/K exp((S0 - V t)/K)) with Lambert's W."""
    if factored:
        law = RateLaw(1e-3, function=lambda v: v["c[A]"] / (v.K_m + v["c[A]"]))
    else:

        def law(v):
            return quantity(3.6, "mol/L/h") * v["c[A]"] / (v.K_m + v["c[A]"])  # converted to mol/L/s

    reactions = (Reaction("r_1", A_TO_B, law),)
    reactor = Enzymatic("reactor", species=("A", "B"), reactions=reactions, c={"A": 1.0}, jacket=Isothermal())
    run = ran(reactor, 1500.0)
    t = run.frame().index.to_numpy()
    exact = 0.2 * lambertw(np.exp((1.0 - 1e-3 * t) / 0.2) / 0.2).real
    np.testing.assert_allclose(run[reactor.c["A"]], exact, atol=1e-9)


def test_a_network_of_functions_alone_has_no_rate_constants():
    reactor = isothermal(Reaction("r_1", A_TO_B, lambda v: quantity(1e-3, "1/s") * v.c[0]))
    assert not {"k0[r_1]", "E[r_1]"} & set(reactor.scalars)
    with pytest.raises(DeclarationError, match=r"^reactor \(StirredReactor\): k0 has no elements here, for with_const"):
        reactor.k0  # noqa: B018
    model = Flowsheet(reactor).to_pyomo(Recipe(Phase("run", 1.0)))
    assert_units_consistent(model)


def test_a_rate_constant_may_be_given_at_a_reference_temperature():
    k = 2.0e9 * np.exp(-8.0e4 / (8.314 * 345.0))
    one = isothermal(Reaction("r_1", A_TO_B, MassAction(2.0e9, E=8.0e4)), T=361.0)
    other = isothermal(Reaction("r_1", A_TO_B, MassAction(k, E=8.0e4, T_ref=345.0)), T=361.0)
    assert ran(other, 10.0).at_end(other.k["r_1"]) == pytest.approx(ran(one, 10.0).at_end(one.k["r_1"]), rel=1e-12)


def test_constants_and_heats_are_parameters_with_names():
    reactor = StirredReactor("reactor", k0={"r_2": quantity(60.0, "mol/L/min")}, dH=[-1e4, -2e4], E={"lower": 1e3})
    values = Flowsheet(reactor).values
    assert values[reactor.k0] == [2.0e9, 1.0]
    assert values[reactor.dH["r_2"]] == -2e4
    assert values[reactor.E["r_1"]] == 8.0e4
    assert reactor.scalars["E[r_1]"].lower == 1e3
    plant = Flowsheet(reactor).with_values({reactor.k0["r_1"]: 3.0, reactor.c["A"]: 0.5})
    assert (plant.values["reactor.k0[r_1]"], plant.values["reactor.c[A]"]) == (3.0, 0.5)
    assert pickle.loads(pickle.dumps(StirredReactor("reactor"))).k0["r_1"] == "reactor.k0[r_1]"


def test_a_continuous_reactor_comes_to_its_steady_conversion():
    """X = k tau / (1 + k tau), as conversion says for continuous operation too; it may start empty of reactant."""
    reaction = Reaction("r_1", A_TO_B, MassAction(1e-2))
    reactor = ContinuousReactor(
        "reactor", species=("A", "B"), reactions=(reaction,), added=("A",), jacket=Isothermal(), c=0.0
    )
    feed = {reactor.feed.flow: 0.02, reactor.feed.c: [1.5, 0.0], reactor.feed.T: 320.0, reactor.F_out: 0.02}
    run = ran(reactor, 5000.0, feed)
    assert run.at_end(reactor.conversion) == pytest.approx(0.5 / 1.5, rel=1e-9)
    assert run.at_end(reactor.c["A"]) == pytest.approx(1.0, rel=1e-9)
    assert run.at_end(reactor.product.c["B"]) == pytest.approx(0.5, rel=1e-9)


# --- safety ----------------------------------------------------------------------------------------------------


def test_the_adiabatic_temperature_is_where_an_adiabatic_run_ends():
    """Whatever has reacted so far: along an adiabatic run it does not change."""
    reactor = StirredReactor("reactor", T=340.0, jacket=Adiabatic(), E=[8.0e4, 8.5e4], rhoCp=2000.0)
    run = ran(reactor, 20000.0)
    np.testing.assert_allclose(run[reactor.T_ad], 340.0 + 7.0e4 / 2000.0, rtol=1e-9)
    assert run.at_end(reactor.T) == pytest.approx(375.0, rel=1e-6)


@pytest.mark.parametrize(
    ("limiting", "c", "extent"),
    [
        ("", (2.0, 0.5), 0.5),
        ("", (0.4, 3.0), 0.4),
        ("", (1.0, 1.0), 1.0),
        ("B", (2.0, 0.5), 0.5),
        ("A", (2.0, 0.5), 2.0),
    ],
)
def test_the_scarcest_or_declared_reactant_limits_the_adiabatic_rise(limiting, c, extent):
    reaction = Reaction("r_1", {"A": -1, "B": -1, "C": 1}, MassAction(0.0), dH=-6.0e4, limiting=limiting)
    reactor = StirredReactor("reactor", reactions=(reaction,), c=[*c, 0.0], jacket=Thermostat(), rounding=1e-4)
    rise = ran(reactor, 1.0).at_end(reactor.T_ad) - 320.0
    exact = extent * 6.0e4 / 4200.0
    assert exact * (1.0 - 1e-12) <= rise <= exact + (0.0 if limiting else 0.5e-4 * 6.0e4 / 4200.0) + 1e-9


def test_of_opposite_reactions_only_the_more_exothermic_completes():
    there = Reaction("there", A_TO_B, MassAction(0.0), dH=-4.2e4)
    back = Reaction("back", {"B": -1, "A": 1}, MassAction(0.0), dH=4.2e4)
    for reactions in ((there, back), (back, there)):
        reactor = StirredReactor(
            "reactor", species=("A", "B"), reactions=reactions, c={"A": 1.0, "B": 1.0}, jacket=Thermostat()
        )
        assert ran(reactor, 1.0).at_end(reactor.T_ad) == pytest.approx(330.0, rel=1e-12)


# An exotherm: A + B -> C releases 150 kJ/mol into 3.5 kJ/L/K, 3 mol/L of each: an adiabatic rise of 129 K. At the
# scale of a plant the jacket takes 3 W/L/K.
EXOTHERM = (
    Reaction("r_1", {"A": -1, "B": -1, "C": 1}, MassAction(quantity(4e-4, "mol/L/s"), 8.5e4, 330.0), dH=-1.5e5),
)
PLANT_WALL = Wall(U=400.0, A_V=0.0075)


def test_an_exotherm_runs_away_at_a_constant_jacket_and_is_safe_when_fed():
    """All in one charge, five kelvin of the jacket decide; fed over eight hours, a warm jacket is the safe one."""
    shared = {"reactions": EXOTHERM, "jacket": Jacket(wall=PLANT_WALL), "rhoCp": 3500.0}
    batch = StirredReactor("batch", c={"A": 3.0, "B": 3.0}, **shared)
    hottest = {}
    for T_j in (300.0, 305.0):
        run = ran(batch.with_values({"T": T_j}), 6 * 3600.0, {batch.jacket.T_j: T_j}, tolerance=1e-8)
        assert run[batch.T_ad].iloc[0] - T_j == pytest.approx(3.0 * 1.5e5 / 3500.0, abs=0.01)
        hottest[T_j] = run[batch.T].max() - T_j
    assert hottest[300.0] < 30.0
    assert hottest[305.0] > 90.0

    fed = SemibatchReactor("fed", c={"B": 4.0}, c_in={"A": 12.0}, V=0.75, T_in=300.0, **shared)
    worst = {}
    for T_j in (300.0, 320.0):
        recipe = Recipe(Phase("feed", 8.0, fixed={fed.u: 0.25 / 8.0}), Phase("react", 4.0, fixed={fed.u: 0.0}))
        run = simulate(Flowsheet(fed.with_values({"T": T_j})), recipe, {fed.jacket.T_j: T_j})
        assert run[fed.T].max() < T_j + 7.0
        assert run.at_end(fed.V) == pytest.approx(1.0)
        worst[T_j] = run[fed.T_ad].max()
    assert worst[320.0] < 347.0  # what is fed reacts away
    assert worst[300.0] > 365.0  # what is fed accumulates


# --- heat transfer ---------------------------------------------------------------------------------------------


def test_fouling_and_cleaning():
    """The resistance grows in time and with the product, and a phase may begin clean."""
    wall = FoulingWall(U=500.0, A_0=0.02, A_V=0.1, f_t=1e-7, f_c=[0.0, 2e-7, 0.0])
    reactor = StirredReactor("reactor", jacket=Jacket(wall=wall), k0=0.0, c=[1.0, 0.5, 0.0], T=330.0)
    w = reactor.jacket.wall
    recipe = Recipe(Phase("first", 5000.0), Phase("clean", 5000.0, start={w.R_f: 0.0}))
    run = simulate(Flowsheet(reactor), recipe, {reactor.jacket.T_j: 320.0}, tolerance=1e-11)
    t = run.phases[0].trajectory.time
    first, clean = (phase.value(w.UA) for phase in run.phases)
    np.testing.assert_allclose(first, 0.12 / (1.0 / 500.0 + (1e-7 + 2e-7 * 0.5) * t), rtol=1e-9)
    np.testing.assert_allclose(clean, first, rtol=1e-9)


def test_the_wetted_area_grows_with_the_fill():
    reactor = SemibatchReactor("reactor", jacket=Jacket(wall=Wall(U=500.0, A_0=0.02, A_V=0.1)))
    run = ran(reactor, 10.0, {reactor.u: 0.03, reactor.jacket.T_j: 340.0})
    np.testing.assert_allclose(run[reactor.jacket.wall.UA], 500.0 * (0.02 + 0.1 * run[reactor.V]), rtol=1e-12)


# --- what is kept ----------------------------------------------------------------------------------------------


def totals(reactor, run):
    """The reactor's totals along a run, with what their sources have brought."""
    from titer.flowsheets.declarations import Conserved
    from titer.flowsheets.symbols.measure import Measure
    from titer.flowsheets.symbols.symbol import FLOATS, Symbol
    from titer.flowsheets.trace import trace

    frame = run.frame()
    plant = Flowsheet(reactor)
    for at in frame.index[[0, -1]]:
        row = dict(plant.values) | frame.loc[at].to_dict()
        own = {n: x for n, x in row.items() if n in plant.measures}
        local = {n.split(".", 1)[1]: Symbol(x, plant.measures[n], FLOATS) for n, x in own.items()}
        traced = trace(reactor, local, Symbol(float(at), Measure.of(reactor.time), FLOATS))
        entries = reactor.conserved(traced.view)
        yield {k: (e.total if isinstance(e, Conserved) else e).value for k, e in entries.items()}


ESTER = {"acid": {"C": 2, "H": 4, "O": 2}, "alcohol": {"C": 2, "H": 6, "O": 1}} | {
    "ester": {"C": 4, "H": 8, "O": 2},
    "water": {"H": 2, "O": 1},
}
ESTERIFICATION = {"acid": -1, "alcohol": -1, "ester": 1, "water": 1}


def esterification(**changes):
    there = Reaction("there", ESTERIFICATION, MassAction(4e-4), dH=-5e3)
    back = Reaction("back", {key: -n for key, n in ESTERIFICATION.items()}, MassAction(1e-4), dH=5e3)
    given = {"species": tuple(ESTER), "reactions": (there, back), "elements": ESTER, "jacket": Adiabatic()}
    return StirredReactor("reactor", **(given | {"c": {"acid": 3.0, "alcohol": 5.0}} | changes))


def test_elements_and_mass_stay():
    masses = {"acid": 60.052, "alcohol": 46.069, "ester": 88.106, "water": 18.015}
    reactor = esterification(molar_mass=masses)
    first, last = totals(reactor, ran(reactor, 3600.0))
    assert set(first) == {"C", "H", "O", "mass", "energy"}
    for key in ("C", "H", "O", "mass"):
        assert last[key] == pytest.approx(first[key], rel=1e-10), key


def test_independent_reactions_keep_energy_and_combinations_of_moles():
    reactions = (
        Reaction("r_1", {"A": -1, "B": -1, "C": 1}, MassAction(1e-3, E=3e4), dH=-6e4),
        Reaction("r_2", {"C": -1, "A": -2, "D": 2}, MassAction(1e-4), dH=-3e4),
    )
    species = ("A", "B", "C", "D")
    reactor = StirredReactor(
        "reactor", species=species, reactions=reactions, c=[2.0, 1.0, 0.0, 0.0], jacket=Adiabatic()
    )
    first, last = totals(reactor, ran(reactor, 3000.0))
    assert len(first) == 3  # four species less two reactions, and energy
    for key, value in first.items():
        assert last[key] == pytest.approx(value, rel=1e-9), key


# --- what is refused -------------------------------------------------------------------------------------------

BROKEN = Reaction("broken", {"acid": -1, "alcohol": -1, "ester": 1}, MassAction(1e-3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: esterification(reactions=(BROKEN,), c={"acid": 1.0, "alcohol": 1.0, "water": 1.0}),
            "reactor (StirredReactor): reaction broken (acid + alcohol -> ester) does not keep element H: 10 before, "
            "8 after (-2).\n  Correct its stoichiometry, add the species that is missing, or correct elements={...}.",
        ),
        (
            lambda: esterification(elements={"acid": {"C": 2}}),
            "reactor (StirredReactor): elements lacks species alcohol.\n  Give all of acid, alcohol, ester, water, or",
        ),
        (
            lambda: esterification(molar_mass=dict.fromkeys(ESTER, 50.0) | {"water": 18.0}),
            "reactor (StirredReactor): reaction there (acid + alcohol -> ester + water) does not keep mass: -32 g/mol.",
        ),
        (
            lambda: isothermal(Reaction("r_1", {"A": -1, "C": 1}, MassAction(1.0)), species=("A", "B", "C")),
            "reactor (StirredReactor): species B can never appear: it starts at 0, is not fed, and no reaction makes "
            'it.\n  Give it a start or a feed, name it in added=("B",) if it comes with a stream',
        ),
        (
            lambda: isothermal(Reaction("r_1", {"A": -1, "C": -1, "B": 1}, MassAction(1.0)), species=("A", "B", "C")),
            "reactor (StirredReactor): species B can never appear: it starts at 0, is not fed, and r_1 (A + C -> B) "
            "would make it but C is absent too.",
        ),
        (
            lambda: isothermal(Reaction("r_1", A_TO_B, PowerLaw(1.0, orders={"A": 1.0, "B": 1.0}))),
            "reactor (StirredReactor): species B can never appear: it starts at 0, is not fed, and r_1 (A -> B) would "
            "make it but B is absent too.",
        ),
        (
            lambda: isothermal(Reaction("r_1", A_TO_B, MassAction(1.0), dH=-5e4)),
            "reactor (StirredReactor): reaction r_1 has a heat of -50000 J/mol, but the reactor is Isothermal: no "
            "energy balance makes T a state that the heat could change.\n  Write jacket=Jacket() for an energy balance,"
            " jacket=Thermostat() where cooling always suffices\n  (Q_j is then its load), or leave dH out.",
        ),
        (
            lambda: isothermal(Reaction("r_1", A_TO_B, MassAction(1.0)), dH={"r_1": 3.0}),
            "reactor (StirredReactor): reaction r_1 has a heat of 3 J/mol, but the reactor is Isothermal",
        ),
        (
            lambda: isothermal(Reaction("r_1", {"A": -1, "D": 1}, MassAction(1.0))),
            "reactor (StirredReactor): reaction r_1: species 'D' is unknown.\n  known: A, B",
        ),
        (
            lambda: isothermal(Reaction("r", A_TO_B, MassAction(1.0)), Reaction("r", A_TO_B, MassAction(2.0))),
            "reactor (StirredReactor): reaction r is declared twice.",
        ),
        (
            lambda: StirredReactor("reactor", reactions={"A": -1}),
            "reactor (StirredReactor): reactions is a tuple of Reaction objects, got {'A': -1}.",
        ),
        (
            lambda: StirredReactor("reactor", species=3),
            'reactor (StirredReactor): species is a tuple of names such as ("A", "B"), got 3.',
        ),
        (
            lambda: StirredReactor("reactor", key="D"),
            "reactor (StirredReactor): species 'D' is unknown.\n  known: A, B, C",
        ),
        (
            lambda: StirredReactor("reactor", jacket=Wall()),
            "reactor (StirredReactor): jacket is a part such as Jacket(), CoolantJacket(), Adiabatic() or Thermostat(),"
            " got Wall().",
        ),
        (
            lambda: StirredReactor("reactor", k0={"r_3": 1.0}),
            "reactor (StirredReactor): k0: label 'r_3' is unknown. Did you mean 'r_2'?",
        ),
        (
            lambda: StirredReactor("reactor", order=2.0),
            "reactor (StirredReactor): keyword 'order' is unknown.",
        ),
        (
            lambda: Reaction("r_1", {"A": -1, "B": 0}, MassAction(1.0)),
            "Reaction('r_1'): stoichiometry is a dict from species to coefficients that are not zero, got {'A': -1, ",
        ),
        (
            lambda: Reaction("r_1", A_TO_B, 3.0),
            "Reaction('r_1'): expected a rate law, got 3.0.\n  Give MassAction(k0, E)",
        ),
        (
            lambda: Reaction("r_1", A_TO_B, MassAction(1.0), limiting="B"),
            "Reaction('r_1'): limiting reactant 'B' is unknown.\n  known: A",
        ),
        (lambda: PowerLaw(1.0), 'PowerLaw: orders is a dict from species to numbers such as {"A": 1.4}, got {}.'),
        (lambda: MassAction(1.0, T_ref=-3.0), "MassAction: T_ref is a temperature in K, got -3.0."),
    ],
)
def test_bad_networks_are_refused_by_name(make, message):
    with pytest.raises(DeclarationError, match=f"^{re.escape(message)}"):
        make()


def test_a_rate_law_in_the_wrong_unit_is_named():
    reactor = isothermal(Reaction("slip", A_TO_B, lambda v: v.c[0]))
    with pytest.raises(DeclarationError, match=r"(?s)rate law of slip: cannot convert 'mol/L' to 'mol/L/s'"):
        ran(reactor, 1.0)


def test_a_species_of_a_later_phase_is_named_as_added():
    """Reachability looks at starts, feeds, and what is declared to come later."""
    reaction = Reaction("r_1", {"A": -1, "S": -1, "B": 1}, MassAction(1e-2))
    reactor = isothermal(reaction, species=("A", "S", "B"), added=("S",))
    recipe = Recipe(Phase("wait", 100.0), Phase("react", 100.0, start={reactor.c["S"]: 1.0}))
    run = simulate(Flowsheet(reactor), recipe, tolerance=1e-11)
    assert run.at_end(reactor.c["B"], "wait") == pytest.approx(0.0, abs=1e-14)
    assert run.at_end(reactor.c["B"]) == pytest.approx(0.5, rel=1e-9)


# --- every combination keeps the contract of the library -------------------------------------------------------

_SPEC = importlib.util.spec_from_file_location(
    "library_contract", Path(__file__).parents[1] / "flowsheets/test_contract.py"
)
library = sys.modules["library_contract"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(library)

FOULED = FoulingWall(f_t=1e-8, f_c=1e-9)
CASCADE = CascadeJacket(wall=FOULED, T_jmin={"lower": 270.0, "upper": 290.0}, T_jmax={"lower": 390.0, "upper": 410.0})


@pytest.mark.parametrize(
    "reactor",
    [
        esterification(),
        esterification(jacket=CASCADE),
        StirredReactor("reactor", jacket=Isothermal(), dH=0.0),
        StirredReactor(
            "reactor", reactions=(Reaction("r_1", {"A": -1, "B": 1, "C": 1}, PowerLaw(1.0, orders={"A": 1.4})),)
        ),
        SemibatchReactor("reactor", jacket=CASCADE),
        SemibatchReactor("reactor", jacket=CoolantJacket()),
        JacketedReactor("reactor", jacket=CASCADE),
        ContinuousReactor("reactor", jacket=CoolantJacket(wall=FOULED)),
        ContinuousReactor("reactor", jacket=Adiabatic()),
        ContinuousReactor("reactor", jacket=Thermostat()),
    ],
    ids=lambda unit: f"{type(unit).__name__}-{type(unit.jacket).__name__}",
)
def test_every_combination_is_read_alike_and_conserves(reactor):
    contract = library.Contract(reactor)
    # Far outside its limits the slope of a smooth clip, 1 - 1 + 1e-5, keeps eleven digits of the sixteen of its terms.
    exact = 1e-10 if isinstance(reactor.jacket, CascadeJacket) else library.EXACT
    for reading in ("on_floats", "on_pyomo"):
        library.agree(contract, reading, exact)
    for point in contract.points():
        assert max(contract.imbalances(point).values()) < 1e-10  # where heats are small, rounding of large ones shows
    library.test_units_are_consistent_to_pyomo_as_well(contract)
    library.test_rates_are_finite_at_the_start_and_on_the_way(contract)
