"""Inputs and paths that are easily stepped over are met, from the simulation to the optimum."""

from __future__ import annotations

import numpy as np
import pytest

from titer.control import optimize
from titer.flowsheets import (
    Algebraic,
    AtEnd,
    Control,
    Equations,
    Flowsheet,
    Free,
    Path,
    Phase,
    PiecewiseConstant,
    Recipe,
    State,
    Unit,
    replay,
    simulate,
)
from titer.flowsheets.problems.filling import column_sizes
from titer.numerics import Fatrop, Grid, Ipopt, Points


class Integrator(Unit):
    """x' = k u."""

    time = "h"
    x = State("1", start=0.0)
    u = Control("1/h", start=1.0, lower=0.0, upper=2.0)

    def equations(self, v):
        return Equations(rate={"x": v.u})


class Draining(Unit):
    """x' = -q, q = u x."""

    time = "h"
    x = State("1", start=1.0)
    q = Algebraic("1/h", start=0.1)
    u = Control("1/h", start=0.1, lower=0.0, upper=3.0)

    def equations(self, v):
        return Equations(rate={"x": -v.q}, zero={"flow": v.q - v.u * v.x})


def test_a_narrow_pulse_given_as_a_function_of_time_is_seen():
    unit = Integrator("i")
    run = simulate(
        Flowsheet(unit),
        Recipe(Phase("a", duration=5.0)),
        {unit.u: lambda t: np.exp(-(((t - 2.0) / 0.05) ** 2))},
    )
    exact = 0.05 * np.sqrt(np.pi)
    assert run.phases[0].trajectory.x[0, -1] == pytest.approx(exact, rel=1e-6)
    assert replay(run).phases[0].trajectory.x[0, -1] == pytest.approx(exact, rel=1e-8)


@pytest.mark.parametrize("solver", [Ipopt(), Fatrop()], ids=["IPOPT", "fatrop"])
@pytest.mark.parametrize("points", list(Points), ids=lambda p: p.value)
def test_a_path_that_jumps_with_an_input_holds_on_a_coarse_grid(solver, points):
    unit = Draining("d")
    plan = optimize(
        Flowsheet(unit),
        Recipe(Phase("a", 2.0)),
        {unit.u: PiecewiseConstant(4)},
        minimize=AtEnd(lambda v: v.d.x),
        subject_to=[Path(lambda v: v.d.q, upper=0.4, name="flow")],
        grid=Grid(10, points=points),
        solver=solver,
    )
    assert plan.status.ok
    assert max(plan.certificate.violation.values()) < 1e-6
    again = replay(plan).phases[0].trajectory
    assert again.z[0].max() == pytest.approx(0.4, abs=1e-6)


@pytest.mark.parametrize("third", range(3))
def test_fatrop_solves_whatever_the_size_of_a_duration(third):
    unit = Integrator("i")
    guesses = [1.7586206896551724, *np.random.default_rng(5).uniform(0.15, 4.9, 29)][third::3]
    for guess in guesses:
        plan = optimize(
            Flowsheet(unit),
            Recipe(Phase("a", duration=Free(guess, 0.1, 5))),
            {unit.u: PiecewiseConstant(3)},
            minimize=AtEnd(lambda v: v.time),
            subject_to=[AtEnd(lambda v: v.i.x, lower=1.0, upper=1.0, name="filled")],
            grid=Grid(6),
            solver=Fatrop(),
            starts=1,
        )
        assert plan.status.ok
        assert plan.objective == pytest.approx(0.5, abs=1e-6)
    started = plan.iterate
    sizes = column_sizes(started.assembled, [plan.phases])
    assert np.all(np.log2(sizes) == np.round(np.log2(sizes)))
