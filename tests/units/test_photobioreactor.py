"""The photobioreactor against an independent integration, published best lights, and its nitrate."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from titer.flowsheets import Flowsheet, Phase, Recipe, simulate
from titer.flowsheets.units import InhibitedLight, Photobioreactor, SaturatedLight
from titer.numerics.errors import DeclarationError

ENDLESS = float("inf")


def ran(culture, hours, inputs):
    return simulate(Flowsheet(culture), Recipe(Phase("grow", hours)), inputs, tolerance=1e-12)


@pytest.mark.parametrize(
    ("inhibited", "k_i", "k_iq"), [(True, 447.1, 800.0), (False, ENDLESS, ENDLESS)], ids=["plant", "model"]
)
def test_it_is_the_published_model_with_and_without_inhibition_by_light(inhibited, k_i, k_iq):
    """Bradford et al. (2020) and its mismatched model; without I^2/k_i is with an endless k_i."""
    own = {} if inhibited else {"growth": SaturatedLight(k_s=178.9), "production": SaturatedLight(k_s=23.51)}
    culture = Photobioreactor("culture", **own)
    I, F_N = 250.0, 20.0  # noqa: E741
    phi, psi = I / (I + 178.9 + I**2 / k_i), I / (I + 23.51 + I**2 / k_iq)

    def rates(t, y):
        X, N, P = y
        growth = 0.0572 * phi * X * N / (N + 393.1)
        return [growth, F_N - 504.5 * growth, 0.00016 * psi * X - 0.281 * P / (N + 16.89)]

    run = ran(culture, 240.0, {culture.I: I, culture.F_N: F_N})
    t = run.frame().index.to_numpy()
    exact = solve_ivp(rates, (0.0, 240.0), [1.0, 150.0, 0.0], method="DOP853", rtol=1e-13, atol=1e-14, t_eval=t).y
    for name, reference in zip((culture.X, culture.N, culture.P), exact, strict=True):
        np.testing.assert_allclose(run[name], reference, atol=1e-8 * np.abs(reference).max(), err_msg=name)
    np.testing.assert_allclose(run[culture.content], run[culture.P] / run[culture.X], rtol=1e-12)


def test_growth_and_production_are_fastest_at_their_published_lights():
    """282 umol/m^2/s for growth and 137 for production (del Rio-Chanona et al. 2015, abstract)."""
    culture = Photobioreactor("culture", I={"lower": 0.0, "upper": 1000.0})
    run = ran(culture, 1000.0, {culture.I: lambda t: t, culture.F_N: 0.0})
    light = run.frame()[culture.I].to_numpy()
    spacing = light[1] - light[0]
    assert light[run[culture.phi].argmax()] == pytest.approx(282.0, abs=spacing)
    assert light[run[culture.psi].argmax()] == pytest.approx(137.0, abs=spacing)


def test_nitrate_is_in_the_medium_or_in_biomass():
    culture = Photobioreactor("culture")
    run = ran(culture, 240.0, {culture.I: 200.0, culture.F_N: 15.0})
    t = run.frame().index.to_numpy()
    np.testing.assert_allclose(run[culture.N] + 504.5 * run[culture.X], 150.0 + 504.5 + 15.0 * t, rtol=1e-10)


def test_without_light_or_nitrate_only_decay_is_left():
    """X' = -u_d X and P' = -k_d P / K_Np."""
    culture = Photobioreactor("culture", N=0.0, P=0.1, u_d=0.01, I={"lower": 0.0})
    run = ran(culture, 100.0, {culture.I: 0.0, culture.F_N: 0.0})
    t = run.frame().index.to_numpy()
    np.testing.assert_allclose(run[culture.X], np.exp(-0.01 * t), rtol=1e-9)
    np.testing.assert_allclose(run[culture.P], 0.1 * np.exp(-0.281 / 16.89 * t), rtol=1e-9)


def test_a_light_response_that_is_none_is_refused():
    with pytest.raises(DeclarationError, match=re.escape("culture (Photobioreactor): growth is a light response")):
        Photobioreactor("culture", growth="Monod")
    with pytest.raises(DeclarationError, match="'k_i' is unknown"):
        SaturatedLight(k_i=400.0)
    assert InhibitedLight(k_i=400.0)
