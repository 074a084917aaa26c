"""Parameters of columns from what leaves them: recovered from generated runs, within what the statistics say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from titer.estimation import Experiment, estimate
from titer.flowsheets import Flowsheet, Free, Recipe, simulate
from titer.flowsheets.chromatograms import gradient, step
from titer.flowsheets.units import (
    Column,
    GeneralRate,
    Inert,
    Langmuir,
    LumpedRate,
    SpectralElements,
    StericMassAction,
)
from titer.numerics import Grid, Shooting

NOISE = 0.01  # of the highest reading
WITHIN = 3.5  # standard errors, of each of a few numbers: missed by chance once in some hundred seeds


def recovered(column, recipes, free, truth, component, seed, samples=16):
    """The fit of a column to its own outlet with noise, and how many standard errors each number is off.

    Samples are taken where there is something to see: more than a hundredth of the highest reading.
    """
    plant, rng, name = Flowsheet(column), np.random.default_rng(seed), str(column.outlet.c[component])
    known = plant.with_values(truth)
    experiments = []
    for recipe in recipes:
        run = simulate(known, recipe, points=2000, tolerance=1e-9)[name]
        seen = run.index[run > 0.01 * run.max()]
        at = np.linspace(seen[0], seen[-1], samples)
        exact = np.interp(at, run.index.to_numpy(), run.to_numpy())
        noise = NOISE * exact.max()
        frame = pd.DataFrame({name: exact + noise * rng.standard_normal(len(at))}, index=at)
        experiments.append(Experiment(frame, {name: noise}, recipe))
    fit = estimate(plant, experiments, free, Grid(40), starts=1)
    errors = fit.standard_errors
    return fit, {key: abs(fit.values[key] - value) / float(errors[key]) for key, value in truth.items()}


def test_dispersion_and_porosity_come_from_a_tracer_pulse():
    column = Column(
        "column", components=("tracer",), transport=LumpedRate(), binding=Inert(), method=SpectralElements(8, 4),
        L=10.0, CV=10.0,
    )  # fmt: skip
    part = column.transport
    recipe = Recipe(
        step(column, "inject", {"tracer": 10.0}, flow=2.0, volumes=0.05),
        step(column, "elute", {}, flow=2.0, volumes=1.6),
    )
    truth = {str(part.D_ax): 4e-7, str(part.eps_t): 0.7}
    free = {part.D_ax: Free(1e-6, 1e-8, 1e-5, log=True), part.eps_t: Free(0.6, 0.3, 0.95)}
    fit, off = recovered(column, [recipe], free, truth, "tracer", 1)
    assert max(off.values()) < WITHIN
    assert (fit.table()["relative error %"] < 3.0).all()


def test_pore_diffusion_comes_from_pulses_at_two_flows():
    beads = GeneralRate(eps_c=0.35, eps_p=0.6, D_ax=1e-7, r_p=45.0, k_f=2e-5, shells=3)
    column = Column(
        "column", components=("protein",), transport=beads, binding=Inert(), method=SpectralElements(5, 3), L=10.0,
        CV=10.0,
    )  # fmt: skip
    recipes = [
        Recipe(
            step(column, "inject", {"protein": 10.0}, flow=flow, volumes=0.1),
            step(column, "elute", {}, flow=flow, volumes=2.0),
        )
        for flow in (0.5, 2.0)
    ]
    part = column.transport
    truth = {str(part.D_p["protein"]): 1e-11, str(part.eps_p): 0.55}
    free = {
        part.D_p["protein"]: Free(3e-11, 1e-12, 1e-9, log=True),
        part.eps_p: Free(0.6, 0.2, 0.9),
    }
    fit, off = recovered(column, recipes, free, truth, "protein", 2)
    assert max(off.values()) < WITHIN
    assert (fit.table()["relative error %"] < 5.0).all()


@pytest.mark.slow
def test_binding_comes_from_gradients_of_two_slopes():
    """Steric mass action: the equilibrium constant and the charge are told apart by the slope (Yamamoto's method)."""
    law = StericMassAction(bound=("protein",), Lambda=1200.0, k_a=20.0, k_d=1000.0, nu=4.0, sigma=10.0)
    column = Column(
        "column", components=("salt", "protein"), transport=LumpedRate(D_ax=1e-7, eps_t=0.84), binding=law,
        method=SpectralElements(4, 4), start={"salt": 50.0}, L=1.4, CV=1.0,
    )  # fmt: skip
    shot = Shooting(tolerance=1e-6)
    recipes = [
        Recipe(
            step(column, "load", {"salt": 50.0, "protein": 1.0}, flow=2.0, volumes=0.5, method=shot),
            gradient(column, "elute", {"salt": 50.0}, {"salt": 450.0}, flow=2.0, volumes=volumes, method=shot),
        )
        for volumes in (15.0, 40.0)
    ]
    part = column.binding
    truth = {str(part.k_a["protein"]): 35.5, str(part.nu["protein"]): 4.7}
    free = {part.k_a["protein"]: Free(20.0, 1.0, 500.0, log=True), part.nu["protein"]: Free(4.0, 2.0, 8.0)}
    fit, off = recovered(column, recipes, free, truth, "protein", 3)
    assert max(off.values()) < WITHIN
    assert (fit.table()["relative error %"] < 10.0).all()


def test_capacity_and_affinity_come_from_a_breakthrough():
    column = Column(
        "column", components=("product",), transport=LumpedRate(D_ax=1e-6, eps_t=0.7),
        binding=Langmuir(bound=("product",), k_a=1.0, k_d=1.0, qmax=20.0), method=SpectralElements(8, 4), L=10.0,
        CV=10.0,
    )  # fmt: skip
    shot = Shooting(tolerance=1e-6)
    recipe = Recipe(
        step(column, "load", {"product": 2.0}, flow=5.0, duration=900.0, method=shot),
        step(column, "wash", {}, flow=5.0, duration=900.0, method=shot),
    )
    part = column.binding
    truth = {str(part.k_a["product"]): 0.6, str(part.qmax["product"]): 30.0}
    free = {
        part.k_a["product"]: Free(1.0, 0.01, 20.0, log=True),
        part.qmax["product"]: Free(20.0, 1.0, 200.0, log=True),
    }
    fit, off = recovered(column, [recipe], free, truth, "product", 4, samples=30)
    assert max(off.values()) < WITHIN
    assert (fit.table()["relative error %"] < 5.0).all()


def test_a_pulse_tells_nothing_of_what_it_does_not_see():
    """A tracer that stays outside beads has no pore diffusivity to tell: its sensitivity is said to be none."""
    beads = GeneralRate(eps_c=0.35, eps_p=0.6, D_ax=1e-6, k_f=0.0, shells=2)
    column = Column(
        "column", components=("tracer",), transport=beads, binding=Inert(), method=SpectralElements(4, 3), L=10.0,
        CV=10.0,
    )  # fmt: skip
    recipe = Recipe(
        step(column, "inject", {"tracer": 10.0}, flow=0.5, volumes=0.1),
        step(column, "elute", {}, flow=0.5, volumes=1.0),
    )
    part = column.transport
    free = {part.D_p["tracer"]: Free(1e-11, 1e-12, 1e-9, log=True), part.eps_c: Free(0.4, 0.2, 0.6)}
    fit, _ = recovered(column, [recipe], free, {str(part.eps_c): 0.35}, "tracer", 5)
    assert not fit.estimability().ranking.loc[str(part.D_p["tracer"]), "determined"]
