"""Does `diagnose` name the wrong balance, the equation written twice, and what influences nothing?"""

from __future__ import annotations

from typing import Any

import pytest

from titer.flowsheets import (
    Algebraic,
    AtEnd,
    Conserved,
    Control,
    Equations,
    Flowsheet,
    Free,
    Inlet,
    Parameter,
    Phase,
    PiecewiseConstant,
    Recipe,
    State,
    Unit,
    diagnose,
)
from titer.flowsheets.diagnosis.findings import Diagnosis, Finding
from titer.flowsheets.units import BatchReactor

HOUR = Recipe(Phase("react", 3600.0))
reactor = BatchReactor("reactor")
plant = Flowsheet(reactor)


def first_line(diagnosis: Diagnosis) -> str:
    return str(diagnosis).splitlines()[0]


def the(findings: tuple[Finding, ...], *words: str) -> Finding:
    """The one finding that says all of these words."""
    said = [finding for finding in findings if all(word in f"{finding.text}\n{finding.remedy}" for word in words)]
    assert len(said) == 1, "\n".join(map(str, findings))
    return said[0]


class Tank(Unit):
    """A hold tank, in amounts."""

    time = "min"
    n_P = State("g", start=0.0, lower=0.0)
    V = State("L", start=0.0, lower=0.0)
    feed = Inlet(flow="L/min", P="g/L")

    def equations(self, v: Any) -> Equations:
        return Equations(rate={"n_P": v.feed.flow * v.feed.P, "V": v.feed.flow})

    def conserved(self, v: Any) -> dict[str, Any]:
        return {"product": Conserved(v.n_P, v.feed.flow * v.feed.P)}


# --- conserved totals -------------------------------------------------------------------------------------------------


def changed(**rates: Any) -> Flowsheet:
    """The batch reactor with other rates, functions of the view."""

    class Changed(BatchReactor):
        def equations(self, v: Any) -> Equations:
            right = super().equations(v)
            return Equations(rate={**right.rate, **{key: function(v) for key, function in rates.items()}})

    return Flowsheet(Changed("reactor"))


@pytest.mark.parametrize(
    ("rates", "subject", "words"),
    [
        ({"c_B": lambda v: v.r_1 + v.r_2}, "reactor.c_B", "reactor.r_2 in the rate of reactor.c_B changes its sign"),
        ({"c_A": lambda v: v.r_1}, "reactor.c_A", "the rate of reactor.c_A changes its sign"),
        ({"c_C": lambda v: 2.0 * v.r_2}, "reactor.c_C", "the rate of reactor.c_C is multiplied by 0.5"),
        ({"c_B": lambda v: v.r_1}, "reactor.c_B", "the rate of reactor.c_B gains - reactor.r_2"),
        ({"T": lambda v: (v.Q_r - v.Q_j) / v.rhoCp}, "reactor.T", "reactor.Q_j/reactor.rhoCp in the rate of reactor.T"),
    ],
)
def test_a_total_that_does_not_hold_names_the_rate_that_would_close_it(rates, subject, words):
    diagnosis = diagnose(changed(**rates), HOUR)
    assert words in first_line(diagnosis), first_line(diagnosis)
    assert diagnosis.errors[0].subject == subject


def test_a_total_that_no_single_change_closes_still_names_a_state():
    diagnosis = diagnose(changed(c_A=lambda v: -1.1 * v.r_1, c_C=lambda v: v.r_2 * v.c_B / v.c_A), HOUR)
    assert "reactor.c_" in first_line(diagnosis)
    assert "'moles'" in first_line(diagnosis)


def test_a_total_may_read_algebraic_variables():
    class Buffered(Unit):
        """A weak acid: total and dissociated; what is free is algebraic."""

        n = State("mol/L", start=1.0)
        m = State("mol/L", start=0.5)
        free = Algebraic("mol/L", start=0.5)
        k = Parameter("1/s", 0.1)

        def equations(self, v: Any) -> Equations:
            return Equations(rate={"n": -v.k * v.n, "m": v.k * v.free}, zero={"split": v.free + v.m - v.n})

        def conserved(self, v: Any) -> dict[str, Any]:
            return {"acid": Conserved(v.free, -v.k * v.n - self.wrong * v.k * v.free)}

        wrong: float = 1.0

    run = Recipe(Phase("run", 1.0))
    assert diagnose(Flowsheet(Buffered("cell")), run).ok
    assert "'acid'" in first_line(diagnose(Flowsheet(Buffered("cell", wrong=2.0)), run))


def test_a_source_in_a_wrong_unit_is_an_error():
    class Fed(Tank):
        def conserved(self, v: Any) -> dict[str, Any]:
            return {"product": Conserved(v.n_P, v.feed.flow)}

    fed = Fed("tank")
    diagnosis = diagnose(Flowsheet(fed), Recipe(Phase("fill", 1.0)), inputs={fed.feed.flow: 1.0, fed.feed.P: 2.0})
    assert "'product' is in 'L/min', expected 'g/min'" in first_line(diagnosis)


# --- twice ------------------------------------------------------------------------------------------------------------


def test_a_balance_written_twice_is_a_warning():
    class Doubled(BatchReactor):
        c_A2 = State("mol/L", start=1.0, lower=0.0)

        def equations(self, v: Any) -> Equations:
            right = super().equations(v)
            return Equations(rate={**right.rate, "c_A2": -v.r_1})

    doubled = the(diagnose(Flowsheet(Doubled("reactor")), HOUR).warnings, "reactor.c_A ", "reactor.c_A2")
    assert doubled.subject == "reactor.c_A2"


def test_two_products_of_one_reaction_are_only_noted():
    class Splitting(BatchReactor):
        c_D = State("mol/L", start=0.0, lower=0.0)

        def equations(self, v: Any) -> Equations:
            right = super().equations(v)
            return Equations(rate={**right.rate, "c_D": v.r_2})

    diagnosis = diagnose(Flowsheet(Splitting("reactor")), HOUR)
    assert not diagnosis.warnings
    the(diagnosis.notes, "reactor.c_C", "reactor.c_D", "the same rate")


class Mixture(Unit):
    """Two flows that two equations should determine."""

    x = State("1", start=1.0, lower=-10.0)
    y = Algebraic("1", start=0.3)
    z = Algebraic("1", start=0.3)
    k = Parameter("1/s", 1.0)

    def equations(self, v: Any) -> Equations:
        return Equations(rate={"x": -v.k * v.y}, zero=self.zero(v))

    def zero(self, v: Any) -> dict[str, Any]:
        return {"sum": v.y + v.z - v.x, "ratio": v.y - 2.0 * v.z}


RUN = Recipe(Phase("run", 1.0))


def test_two_equations_that_say_the_same_are_an_error():
    class Same(Mixture):
        def zero(self, v: Any) -> dict[str, Any]:
            return {"sum": v.y + v.z - v.x, "again": 2.0 * v.x - 2.0 * v.y - 2.0 * v.z}

    assert diagnose(Flowsheet(Mixture("mixer")), RUN).ok
    assert "mixer.again equation and mixer.sum equation say the same" in first_line(
        diagnose(Flowsheet(Same("mixer")), RUN)
    )


def test_an_inconsistent_start_names_the_equation():
    class Circle(Mixture):
        def zero(self, v: Any) -> dict[str, Any]:
            return {"circle": v.y**2 + v.x**2 + 1.0, "ratio": v.y - 2.0 * v.z}

    diagnosis = diagnose(Flowsheet(Circle("mixer")), RUN)
    assert not diagnosis.ok
    assert "mixer.circle equation" in first_line(diagnosis)


# --- what influences nothing ------------------------------------------------------------------------------------------


class Reactor(BatchReactor):
    """With a control, a parameter and a stream that do nothing."""

    stirring = Control("1/s", start=3.0, lower=0.0, upper=10.0)
    k_3 = Parameter("1/s", 1.0)
    sample = Inlet(flow="L/s")


def test_what_nothing_reads_is_a_warning():
    idle = Reactor("reactor")
    diagnosis = diagnose(Flowsheet(idle), HOUR, inputs={idle.sample.flow: 0.0})
    assert [w.subject for w in diagnosis.warnings] == ["reactor.sample", "reactor.stirring", "reactor.k_3"]


def test_a_decision_without_influence_is_an_error():
    idle = Reactor("reactor")
    free = {idle.stirring: PiecewiseConstant(2), idle.k_3: Free(1.0, 0.5, 2.0), idle.k0_1: Free(2e9, 1e9, 3e9)}
    diagnosis = diagnose(Flowsheet(idle), HOUR, {idle.sample.flow: 0.0}, free)
    assert [e.subject for e in diagnosis.errors] == ["reactor.k_3", "reactor.stirring"]


def test_an_objective_that_no_decision_reaches_says_what_it_reads():
    free = {reactor.dH_1: Free(-5e4, -6e4, -4e4)}
    cold = Flowsheet(BatchReactor("reactor"))
    diagnosis = diagnose(cold, HOUR, free=free, maximize=AtEnd(lambda v: v.reactor.UA_V))
    assert "the objective depends on no decision" in first_line(diagnosis)
    the(diagnosis.warnings, "reactor.dH_1", "neither the objective nor a limit")


def test_nothing_free_is_an_error_where_something_is_wanted():
    assert "nothing is free" in first_line(diagnose(plant, HOUR, maximize=AtEnd(lambda v: v.reactor.c_B)))


def test_a_decision_without_noticeable_effect_is_noted():
    class Slow(BatchReactor):
        k_s = Parameter("1/s", 1e-16)

        def equations(self, v: Any) -> Equations:
            right = super().equations(v)
            return Equations(rate={**right.rate, "T": right.rate["T"] + v.k_s * v.T})

        def conserved(self, v: Any) -> dict[str, Any]:
            return {}

    the(diagnose(Flowsheet(Slow("reactor")), HOUR).notes, "reactor.k_s", "without noticeable effect")


def test_a_state_that_never_changes_is_noted():
    class Resting(BatchReactor):
        V = State("L", start=1.0, lower=0.0)

        def equations(self, v: Any) -> Equations:
            return Equations(rate={**super().equations(v).rate, "V": 0.0})

    the(diagnose(Flowsheet(Resting("reactor")), HOUR).notes, "reactor.V never changes")
    washed = Recipe(Phase("react", 10.0), Phase("again", 10.0, start={"reactor.V": 2.0}))
    assert not [n for n in diagnose(Flowsheet(Resting("reactor")), washed).notes if "never changes" in n.text]


def test_rounding_at_rest_is_no_imbalance():
    """At its steady state a reactor's total is made of differences of large flows: what is left over is rounding."""
    fed = Tank("tank", V=1.0)
    recipe = Recipe(Phase("fill", 1.0))
    for flow in (0.0, 1e-12, 1e6):
        assert diagnose(Flowsheet(fed), recipe, {fed.feed.flow: flow, fed.feed.P: 0.1}).ok
