"""Is a domain that the model itself keeps told from one that the process would cross?"""

from __future__ import annotations

import pytest

from titer.control import optimize
from titer.flowsheets import (
    Algebraic,
    AtEnd,
    Control,
    Equations,
    Flowsheet,
    Free,
    Integral,
    Parameter,
    Phase,
    PiecewiseConstant,
    Recipe,
    State,
    Unit,
    action,
    quantity,
    replay,
)
from titer.flowsheets.units import FedBatch
from titer.numerics import Grid


def planned(volume, full, **changed):
    """All that is fed is taken up in the second phase: X V at the end is 10 + 0.5 (2 + 400 (V - 1)), V <= 1.5."""
    culture = FedBatch("culture", X=10.0, S=2.0, V=volume, F={"start": 0.02, "upper": 0.1})
    return optimize(
        Flowsheet(culture, time="h"),
        Recipe(Phase("feed", 8.0), Phase("starve", Free(4.0, 2.0, 6.0), fixed={culture.F: 0.0})),
        free={culture.F: PiecewiseConstant(4)},
        maximize=AtEnd(lambda v: v.culture.X * v.culture.V / (v.time + 20.0)),
        subject_to=[AtEnd(lambda v: v.culture.V, upper=1.5, name="full")] if full else [],
        grid=Grid(12),
        **changed,
    )


def test_a_substrate_that_runs_out_is_no_limit_of_the_process():
    plan = planned(1.0, full=True, refine=1e-5)
    assert plan.at_end("culture.S") == pytest.approx(0.0, abs=1e-6)
    assert plan.objective == pytest.approx(111.0 / 30.0, rel=1e-6)
    assert plan.certificate.ok, plan.certificate.message
    assert replay(plan).at_end("culture.X") == pytest.approx(plan.at_end("culture.X"), rel=1e-4)


def test_a_volume_that_is_full_is_one():
    plan = planned({"start": 1.0, "upper": 1.5}, full=False)
    assert not plan.certificate.ok
    refined = planned({"start": 1.0, "upper": 1.5}, full=False, starts=1, refine=1e-5)
    assert not refined.certificate.ok  # held by elements that undershoot, and short of 3.7
    assert "binds" in refined.certificate.message


class Vessel(Unit):
    """A vessel that is fed at F, and from which a volume may be taken at once."""

    time = "h"
    V = State("L", start=1.0, lower=0.0, upper=2.0)
    F = Control("L/h", start=0.1, lower=0.0, upper=0.5)
    shot = Parameter("L", 0.3, lower=0.0, upper=9.0)

    @action(volume="L")
    def draw(self, v, volume):
        return {"V": v.V - volume}

    def equations(self, v):
        return Equations(rate={"V": v.F})


class Valved(Vessel):
    """A vessel that is fed through a valve: q + q^3 = F."""

    q = Algebraic("L/h", start=0.1)

    def equations(self, v):
        return Equations(rate={"V": v.q}, zero={"q": v.q + v.q**3 / quantity(1.0, "L^2/h^2") - v.F})


class Leveled(Vessel):
    """A vessel that is fed as a parameter says."""

    def equations(self, v):
        return Equations(rate={"V": v.shot / quantity(10.0, "h") + 0.0 * v.F})


@pytest.mark.parametrize("kind", [Vessel, Valved])
@pytest.mark.parametrize("refine", [None, 1e-6])
def test_a_vessel_that_is_full_from_the_start_and_therefore_not_fed_is_held_by_its_domain(kind, refine):
    vessel = kind("vessel", V=2.0)
    plan = optimize(
        Flowsheet(vessel, time="h"),
        Recipe(Phase("feed", 10.0)),
        free={vessel.F: PiecewiseConstant(2)},
        maximize=AtEnd(lambda v: v.vessel.V) + Integral(lambda v: v.vessel.F),
        refine=refine,
    )
    assert plan.objective == pytest.approx(2.0, abs=1e-6)
    assert not plan.certificate.ok
    assert "domain of vessel.V" in plan.certificate.message


def test_a_parameter_that_would_overfill_a_full_vessel_is_held_by_its_domain():
    vessel = Leveled("vessel", V=2.0)
    plan = optimize(
        Flowsheet(vessel, time="h"),
        Recipe(Phase("feed", 10.0)),
        free={vessel.shot: Free(0.3, 0.0, 9.0)},
        maximize=AtEnd(lambda v: v.vessel.shot) + AtEnd(lambda v: v.vessel.V),
        inputs={vessel.F: 0.0},
    )
    assert not plan.certificate.ok
    assert "domain of vessel.V" in plan.certificate.message


def test_a_substrate_whose_uptake_is_an_equation_runs_out_without_holding_anything():
    class Eater(Unit):
        """S' = F - q, X' = q / 2, q (S + K) = k S X: at S = 0 nothing is taken up."""

        time = "h"
        S = State("g/L", start=2.0, lower=0.0)
        X = State("g/L", start=2.0, lower=0.0)
        F = Control("g/L/h", start=0.1, lower=0.0, upper=0.5)
        q = Algebraic("g/L/h", start=0.1)

        def equations(self, v):
            balance = v.q * (v.S + 0.02) - quantity(0.5, "1/h") * v.S * v.X
            return Equations(rate={"S": v.F - v.q, "X": 0.5 * v.q}, zero={"q": balance})

    eater = Eater("eater")
    plan = optimize(
        Flowsheet(eater, time="h"),
        Recipe(Phase("feed", 10.0), Phase("starve", 10.0, fixed={eater.F: 0.0})),
        free={eater.F: PiecewiseConstant(2)},
        maximize=AtEnd(lambda v: v.eater.X) - Integral(lambda v: v.eater.F**2 / quantity(1.0, "g/L/h")),
        refine=1e-5,
    )
    # all is eaten: X is 3 + 0.5 (fed), best where each g/L/h of feed costs what it gives, F = 1/4
    assert plan.certificate.ok, plan.certificate.message
    assert plan.objective == pytest.approx(3.0 + 10.0 * (0.5 * 0.25 - 0.25**2), rel=1e-4)


@pytest.mark.parametrize("refine", [None, 1e-6])
def test_a_volume_drawn_at_once_down_to_nothing_is_held_by_its_domain(refine):
    vessel = Vessel("vessel")
    plan = optimize(
        Flowsheet(vessel, time="h"),
        Recipe(Phase("fill", 2.0), Phase("refill", 3.0, actions=[vessel.draw(vessel.shot)])),
        free={vessel.shot: Free(0.3, 0.0, 9.0)},
        maximize=AtEnd(lambda v: v.vessel.shot),
        inputs={vessel.F: 0.1},
        refine=refine,
    )
    assert plan.objective == pytest.approx(1.2, abs=1e-4)  # 1 L and 2 h of 0.1 L/h
    assert not plan.certificate.ok
    assert "domain of vessel.V" in plan.certificate.message
