"""Does `diagnose` name what is wrong, and keep silent where nothing is?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from titer.flowsheets import (
    Algebraic,
    AtEnd,
    Conserved,
    Control,
    Equations,
    Expression,
    Flowsheet,
    Free,
    Inlet,
    Integral,
    Outlet,
    Parameter,
    Path,
    Phase,
    PiecewiseConstant,
    Reaches,
    Recipe,
    State,
    Unit,
    diagnose,
)
from titer.flowsheets.diagnosis.findings import Diagnosis, Finding, Severity
from titer.flowsheets.units import BatchReactor
from titer.numerics import SpecificationError

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


# --- clean plants -----------------------------------------------------------------------------------------------------


class Fermenter(Unit):
    """Monod growth; the specific rate of growth is algebraic."""

    time = "h"
    X = State("g/L", start=0.5, lower=0.0)
    S = State("g/L", start=10.0, lower=0.0)
    P = State("g/L", start=0.0, lower=0.0)
    V = State("L", start=1.0, lower=0.0)
    mu = Algebraic("1/h", start=0.2)
    F = Control("L/h", start=0.02, lower=0.0, upper=0.08)
    F_out = Control("L/h", start=0.0, lower=0.0, upper=2.0)
    mu_max = Parameter("1/h", 0.4, lower=0.1, upper=1.0)
    K_S = Parameter("g/L", 0.2)
    Y = Parameter("1", 0.5)
    q_max = Parameter("1/h", 0.05)
    S_F = Parameter("g/L", 200.0)
    q_P = Expression("1/h")
    broth = Outlet(flow="L/h", P="g/L")

    def equations(self, v: Any) -> Equations:
        q_P = v.define("q_P", v.q_max * v.mu / v.mu_max)
        D = v.F / v.V
        return Equations(
            rate={
                "X": v.mu * v.X - D * v.X,
                "S": -v.mu * v.X / v.Y + D * (v.S_F - v.S),
                "P": q_P * v.X - D * v.P,
                "V": v.F - v.F_out,
            },
            zero={"growth": v.mu * (v.K_S + v.S) - v.mu_max * v.S},
            port={"broth": {"flow": v.F_out, "P": v.P}},
        )

    def conserved(self, v: Any) -> dict[str, Any]:
        """Substrate, free and built into biomass; it holds on the algebraic equation, and with what flows."""
        made = v.F * v.S_F - v.F_out * (v.S + v.X / v.Y)
        return {"substrate": Conserved((v.S + v.X / v.Y) * v.V, made)}


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


fermenter, tank = Fermenter("fermenter"), Tank("tank")
train = Flowsheet(fermenter, tank, time="h")
three_phases = Recipe(
    Phase(
        "batch",
        Free(6, 1, 20),
        until=Reaches(fermenter.S, 0.1, "falling"),
        idle=[tank],
        fixed={fermenter.F: 0.0, fermenter.F_out: 0.0},
    ),
    Phase(
        "feed",
        Free(8, 2, 12),
        idle=[tank],
        start={fermenter.S: lambda v: v.fermenter.S + 5.0},
        fixed={fermenter.F_out: 0.0},
    ),
    Phase("transfer", Free(1, 0.5, 4), routes=[(fermenter.broth, tank.feed)], fixed={fermenter.F: 0.0}),
)
wanted: dict[str, Any] = {
    "free": {fermenter.F: PiecewiseConstant(4), fermenter.F_out: PiecewiseConstant(1)},
    "maximize": AtEnd(lambda v: v.tank.n_P / (v.time + 4.0)) - 0.001 * Integral(lambda v: v.fermenter.F),
    "subject_to": [
        Path(lambda v: v.fermenter.V, upper=1.3, name="vessel"),
        AtEnd(lambda v: v.fermenter.S, upper=0.5, name="residual substrate"),
        AtEnd(lambda v: v.fermenter.V, lower=0.2, name="heel"),
    ],
}


@pytest.mark.parametrize(
    "diagnosed",
    [
        lambda: diagnose(plant, HOUR),
        lambda: diagnose(
            plant,
            Recipe(Phase("react", Free(3600, 600, 7200))),
            free={reactor.T_j: PiecewiseConstant(10)},
            maximize=AtEnd(lambda v: v.reactor.c_B / (v.time + 1800.0)),
            subject_to=[
                Path(lambda v: v.reactor.T, upper=360.0, name="wall temperature"),
                AtEnd(lambda v: v.reactor.c_C, upper=0.15),
            ],
        ),
        lambda: diagnose(train, three_phases),
        lambda: diagnose(train, three_phases, **wanted),
    ],
)
def test_a_clean_plant_has_neither_errors_nor_warnings(diagnosed):
    diagnosis = diagnosed()
    assert diagnosis.ok
    assert not diagnosis.errors + diagnosis.warnings, str(diagnosis)
    assert first_line(diagnosis) == "nothing wrong was found."


def test_what_nobody_gave_is_assumed_and_said():
    assumed = the(diagnose(plant, HOUR).notes, "reactor.T_j", "334 K", "its start")
    assert assumed.severity is Severity.NOTE
    without = BatchReactor("reactor", T_j={"start": None})
    the(diagnose(Flowsheet(without), HOUR).notes, "reactor.T_j", "335 K", "the middle of its bounds")


def test_the_degrees_of_freedom_of_each_phase_are_counted():
    batch, feed, transfer = diagnose(train, three_phases, **wanted).counts
    assert (batch.states, batch.algebraics, batch.equations, batch.index) == (4, 1, 5, 1)
    assert (batch.fixed, batch.decided, batch.decisions) == (2, 0, 0)  # its `until` takes the duration
    assert (feed.fixed, feed.decided, feed.decisions) == (1, 1, 5)  # four pieces and the duration
    assert (transfer.states, transfer.fixed, transfer.decisions) == (6, 1, 2)
    assert diagnose(plant, HOUR).counts[0].index == 0


def test_an_input_is_given_whether_as_a_number_or_as_a_function_of_time():
    for given in (334.0, lambda t: 334.0 + 1e-3 * t):
        counts = diagnose(plant, HOUR, inputs={reactor.T_j: given}).counts[0]
        assert (counts.given, counts.fixed, counts.decided) == (1, 0, 0)


def test_time_constants_are_those_of_the_linear_system():
    class Two(Unit):
        a = State("1", start=1.0)
        b = State("1", start=1.0)
        k_a = Parameter("1/s", 4.0)
        k_b = Parameter("1/s", 0.05)

        def equations(self, v: Any) -> Equations:
            return Equations(rate={"a": -v.k_a * (v.a - v.b), "b": -v.k_b * v.b})

    count = diagnose(Flowsheet(Two("two")), Recipe(Phase("run", 5.0))).counts[0]
    assert count.fastest == pytest.approx(0.25, rel=1e-9)
    assert count.slowest == pytest.approx(20.0, rel=1e-9)


def test_arguments_of_a_wrong_type_are_refused():
    for call in (
        lambda: diagnose(reactor, HOUR),  # type: ignore[arg-type]
        lambda: diagnose(plant, Phase("react", 1.0)),  # type: ignore[arg-type]
        lambda: diagnose(plant, HOUR, inputs=[334.0]),  # type: ignore[arg-type]
        lambda: diagnose(plant, HOUR, subject_to=[lambda v: v.reactor.T]),  # type: ignore[list-item]
        lambda: diagnose(plant, HOUR, maximize=AtEnd(lambda v: v.time), minimize=AtEnd(lambda v: v.time)),
    ):
        with pytest.raises(SpecificationError):
            call()


# --- the door ---------------------------------------------------------------------------------------------------------


def test_a_refusal_at_the_door_is_a_finding_and_the_rest_is_still_examined():
    diagnosis = diagnose(plant, HOUR, free={"reactor.x": 1.0, reactor.T_j: PiecewiseConstant(3)})
    assert "reactor.x" in first_line(diagnosis)
    assert len(diagnosis.errors) == 1
    assert diagnosis.counts[0].decisions == 3


def test_every_unit_that_cannot_be_traced_is_named():
    class Wrong(Unit):
        c = State("mol/L", start=1.0)
        k = Parameter("1/h", 1.0)

        def equations(self, v: Any) -> Equations:
            return Equations(rate={"c": -v.k * v.c})

    diagnosis = diagnose(Flowsheet(Wrong("a"), Wrong("b"), reactor), HOUR)
    assert [finding.subject for finding in diagnosis.errors] == ["a", "b"]
    assert "rate of c" in first_line(diagnosis)


class Levelled(Unit):
    """A tank whose level an equation holds: the outflow is what its time derivative says."""

    time = "h"
    V = State("L", start=1.0, lower=0.0)
    F = Algebraic("L/h", start=1.0)
    F_in = Control("L/h", start=2.0)
    V_set = Parameter("L", 1.0)

    def equations(self, v: Any) -> Equations:
        return Equations(rate={"V": v.F_in - v.F}, zero={"level": v.V - v.V_set})


def test_an_index_of_two_is_explained_and_the_reduced_model_is_examined():
    levelled, run = Flowsheet(Levelled("tank")), Recipe(Phase("run", 1.0))
    diagnosis = diagnose(levelled, run)
    assert "index 2: tank.level equation holds tank.V" in first_line(diagnosis)
    assert diagnosis.counts[0].index == 2
    reduced = diagnose(levelled.reduced(), run)
    assert reduced.ok
    assert not reduced.warnings  # V_set stands in the equation that projection holds
    assert reduced.counts[0].index == 2
    the(reduced.notes, "tank.level equation is held by projection")


def test_a_missing_equation_names_the_variable_that_none_determines():
    class Missing(Levelled):
        G = Algebraic("L/h", start=1.0)

    line = first_line(diagnose(Flowsheet(Missing("tank")), Recipe(Phase("run", 1.0))))
    assert "an equation is missing" in line
    assert "G" in line


def test_an_inlet_that_nothing_feeds_is_an_error_and_what_follows_from_it_is_not_told():
    diagnosis = diagnose(Flowsheet(tank), Recipe(Phase("fill", 1.0)))
    assert "tank.feed" in first_line(diagnosis)
    assert len(diagnosis.errors) == 1
    assert not diagnosis.warnings


# --- the simulated start ----------------------------------------------------------------------------------------------


class Draining(Unit):
    """A tank that is drained at a constant flow."""

    time = "h"
    V = State("L", start=1.0, lower=0.0, nominal=1.0)
    F = Control("L/h", start=0.5, lower=0.0, upper=5.0)

    def equations(self, v: Any) -> Equations:
        return Equations(rate={"V": -v.F})


def test_a_domain_that_is_left_says_when_and_how_far():
    drained = Draining("tank")
    assert not diagnose(Flowsheet(drained), Recipe(Phase("drain", 1.0))).warnings
    found = the(diagnose(Flowsheet(drained), Recipe(Phase("drain", 4.0))).warnings, "tank.V falls below")
    assert "reaches -1 L" in found.text
    assert "t = 2.0" in found.text


def test_a_run_that_fails_is_an_error_in_physical_words():
    class Explosive(Unit):
        x = State("1", start=1.0)
        k = Parameter("1/s", 1.0)

        def equations(self, v: Any) -> Equations:
            return Equations(rate={"x": v.k * v.x**2})

    diagnosis = diagnose(Flowsheet(Explosive("reactor")), Recipe(Phase("run", 2.0)))
    assert not diagnosis.ok
    assert "run: the integration failed" in first_line(diagnosis)


def test_an_until_that_holds_already_or_never_is_an_error():
    drained = Draining("tank")
    never = Recipe(Phase("drain", Free(1.0, 0.1, 1.5), until=Reaches(drained.V, 0.1, "falling")))
    assert "tank.V reaches 0.1 falling is not met within 1.5 h" in first_line(diagnose(Flowsheet(drained), never))
    already = Recipe(Phase("drain", Free(1.0, 0.1, 1.5), until=lambda v: v.tank.V <= 2.0))
    line = first_line(diagnose(Flowsheet(drained), already))
    assert "drain" in line
    assert "holds already at the start" in line
    other = diagnose(Flowsheet(drained), never, free={drained.F: PiecewiseConstant(2)})
    the(other.warnings, "is not met")  # another outflow may meet it


def test_a_declared_size_that_is_far_off_is_a_warning():
    wide = Draining("tank", V={"nominal": 1e6})
    the(diagnose(Flowsheet(wide), Recipe(Phase("drain", 1.0))).warnings, "tank.V", "1e+06 L")
    narrow = Draining("tank", V={"start": 2000.0})
    the(diagnose(Flowsheet(narrow), Recipe(Phase("drain", 1.0))).warnings, "tank.V", "reaches 2e+03 L")


def test_stiffness_and_runaway_are_noted_with_the_state():
    class Stiff(Unit):
        slow = State("1", start=1.0)
        fast = State("1", start=1.0)
        hot = State("1", start=1e-9)
        k = Parameter("1/s", 1e10)
        g = Parameter("1/s", 20.0)

        def equations(self, v: Any) -> Equations:
            return Equations(
                rate={"slow": -v.slow / 1.0 * v.g / 20.0, "fast": -v.k * (v.fast - v.slow), "hot": v.g * v.hot}
            )

    notes = diagnose(Flowsheet(Stiff("model")), Recipe(Phase("run", 1.0))).notes
    the(notes, "model.fast is very fast", "1e-10 s")
    the(notes, "model.hot can grow", "0.05 s")


def test_the_report_lists_the_gravest_first_and_nothing_twice():
    note, error = Finding(Severity.NOTE, "a", "a is odd"), Finding(Severity.ERROR, "b", "b is wrong", "Mend it.")
    diagnosis = Diagnosis.of([note, error, note], (), "s")
    assert str(diagnosis).splitlines() == [
        "error: b is wrong",
        "  Mend it.",
        "note: a is odd",
        "",
        "1 error, 0 warnings, 1 note",
    ]
    assert np.all([not diagnosis.ok, diagnosis.notes == (note,)])


def test_a_named_constant_may_stand_as_an_exponent():
    """A unit operation that runs is no error, even where it cannot be read with its expressions as symbols."""

    class Order(Unit):
        c = State("mol/L", start=1.0)
        k = Parameter("L/mol/s", 0.1)
        n = Expression("1")

        def equations(self, v: Any) -> Equations:
            return Equations(rate={"c": -v.k * v.c ** v.define("n", 2.0)})

    assert diagnose(Flowsheet(Order("reactor")), Recipe(Phase("run", 1.0))).ok
