"""From five noisy batches to the best one: Arrhenius parameters of the flagship reactor, and how sure its optimum is.

The batches are generated, from the flagship's own values and noise by a seed: the answer is known, and what a fit says
of itself can be checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from titer.cases import batch_kinetics_pictures as pictures
from titer.cases.batch_reactor import best_batch
from titer.cases.batch_reactor_economics import Economics
from titer.cases.case import Claim, Outcome, Progress, case
from titer.cases.published_fit import draw_residuals
from titer.control import sensitivity
from titer.estimation import Experiment, Fit, estimate
from titer.flowsheets import Flowsheet, Free, Phase, Recipe, simulate
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid, Ipopt, Solution

Array = np.ndarray
DURATION, EVERY = 3600.0, 300.0  # s, of a batch and between its samples
JACKETS: tuple[Mapping[float, float], ...] = (  # K, steps from these seconds on
    {0.0: 332.0},
    {0.0: 350.0},
    {0.0: 325.0, 1200.0: 345.0, 2400.0: 355.0},
    {0.0: 355.0, 900.0: 335.0, 2100.0: 325.0},
    {0.0: 345.0, 1800.0: 365.0},
)
DEVIATIONS = {"c_A": 0.01, "c_B": 0.01, "c_C": 0.005, "T": 0.3}  # mol/L and K
REFERENCE = 340.0  # K, about the middle of the temperatures: there the rate constants are told best
GUESS = {  # far off: rate constants ten times too slow, or too fast, at 340 K
    "k0_1": Free(2.0e8, 1e5, 1e14, log=True),
    "E_1": Free(7.2e4, 5.0e4, 1.2e5),
    "k0_2": Free(5.0e8, 1e5, 1e15, log=True),
    "E_2": Free(8.0e4, 5.0e4, 1.2e5),
}
GRID = Grid(48)
OPTIMUM: dict[str, Any] = {"grid": Grid(36), "solver": Ipopt(tolerance=1e-10), "starts": 1}
ECONOMICS = Economics(200.0, 100.0, 4000.0, 0.12, 345.0)  # those of the case batch_reactor
PIECES = 8
ONE_SIDED = 1.645  # standard deviations that 5 % lie beyond


@dataclass(frozen=True, eq=False)
class Kinetics:
    """What a fit says of the kinetics: normal in (log k0_1, E_1, log k0_2, E_2)."""

    fit: Fit

    @property
    def names(self) -> list[str]:
        return [f"reactor.{name}" for name in GUESS]

    @cached_property
    def values(self) -> Array:
        return np.array([self.fit.values[name] for name in self.names])

    @cached_property
    def covariance(self) -> Array:
        """In the declared units."""
        return self.fit.covariance.loc[self.names, self.names].to_numpy()

    def samples(self, count: int, seed: int) -> list[dict[str, float]]:
        """Values that the data allow."""
        size = np.array([self.values[0], 1.0, self.values[2], 1.0])
        drawn = np.random.default_rng(seed).multivariate_normal(
            np.zeros(4), self.covariance / np.outer(size, size), count, method="eigh"
        )
        moved = self.values + drawn
        moved[:, [0, 2]] = self.values[[0, 2]] * np.exp(drawn[:, [0, 2]])
        return [dict(zip(self.names, map(float, row), strict=True)) for row in moved]

    def constant(self, i: int, temperature: float = REFERENCE) -> tuple[float, float]:
        """The rate constant of reaction 1 or 2 at a temperature, 1/s, and its standard error."""
        k0, E = self.values[2 * i - 2 : 2 * i]
        rt = 8.314 * temperature
        k = float(k0 * np.exp(-E / rt))
        slope = np.array([k / k0, -k / rt])
        block = self.covariance[2 * i - 2 : 2 * i, 2 * i - 2 : 2 * i]
        return k, float(np.sqrt(slope @ block @ slope))


@dataclass(frozen=True, eq=False)
class Optimum:
    """The best batch by a fit, and what its uncertainty does to it.

    `margins`, `stops`: best margin [EUR] and stop time [min] at samples of the parameters; `errors`: their standard
    errors by the optimality conditions; `impurities`: C at the end [mol/L] of this one plan at samples; `careful`: the
    plan with its limit lowered, `careful_impurities` of it.
    """

    plan: Solution
    true: Solution
    margins: Array
    stops: Array
    errors: tuple[float, float]
    impurities: Array
    careful: Solution
    careful_impurities: Array


@case("batch_kinetics", title="Batch kinetics: from five noisy batches to a sure optimum")
def batch_kinetics(progress: Progress, *, quick: bool = False, seed: int = 1, samples: int = 40) -> Outcome:
    """Arrhenius parameters of the flagship reactor from five noisy batches, then its optimum with its uncertainty.

    Settings: `seed` of the noise; `samples` of parameters at which the optimum is found again; `quick` takes 10.
    """
    samples = 10 if quick else samples
    reactor = BatchReactor("reactor")
    plant = Flowsheet(reactor, time="s")
    experiments = batches(plant, seed)
    fit = estimate(plant, experiments, {f"reactor.{n}": free for n, free in GUESS.items()}, GRID, starts=1)
    kinetics = Kinetics(fit)
    progress(f"fit: {fit.count} measurements, chi2 {fit.objective:.1f} at {fit.freedom} degrees of freedom")
    for i in (1, 2):
        k, error = kinetics.constant(i)
        progress(f"reaction {i}: k({REFERENCE:g} K) = {k:.4g} 1/s, known to {100 * error / k:.2f} %")
    profile = fit.profile(reactor.E_1)
    progress(str(profile))
    optimum = best_and_sure(kinetics, plant, samples, seed)
    progress(
        f"best margin {optimum.plan.objective:.0f} EUR, standard error {optimum.errors[0]:.1f} by the optimality "
        f"conditions, {optimum.margins.std(ddof=1):.1f} by {samples} samples"
    )
    truth = np.array([plant.values[name] for name in kinetics.names])
    return Outcome(
        claims(fit, kinetics, truth, profile, optimum),
        facts=facts(fit, kinetics, optimum),
        figures={
            **{f"batch_{i}": partial(fit.plot, i) for i in range(1, len(experiments) + 1)},
            "residuals": lambda: draw_residuals(fit),
            "profile": profile.plot,
            "arrhenius": lambda: pictures.draw_arrhenius(kinetics, truth),
            "optimum": lambda: pictures.draw_optimum(optimum, ECONOMICS.impurity),
        },
        notes=notes(kinetics, optimum),
        solutions={"best batch": optimum.plan, "best careful batch": optimum.careful},
        sections={
            "parameters": fit.table(),
            "correlation": fit.correlation,
            "what the data tell": str(fit.estimability()),
        },
        sources=dict.fromkeys(kinetics.names, f"fitted to five generated batches, seed {seed}"),
        data={f"batch {i}": e.frame for i, e in enumerate(experiments, 1)},
    )


def batches(plant: Flowsheet, seed: int) -> list[Experiment]:
    """Five batches of a plant, measured with noise."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    times = np.arange(EVERY, DURATION + 1.0, EVERY)
    noise = {f"reactor.{name}": deviation for name, deviation in DEVIATIONS.items()}
    made = []
    for i, jacket in enumerate(JACKETS, 1):
        inputs = {"reactor.T_j": pd.Series(jacket)}
        run = simulate(plant, Recipe(*(Phase(f"to {t:g}", EVERY) for t in times)), inputs=inputs)
        frame = pd.DataFrame(
            {n: [run.at_end(n, f"to {t:g}") + s * rng.standard_normal() for t in times] for n, s in noise.items()},
            index=times,
        )
        recipe = Recipe(Phase("react", DURATION))
        made.append(Experiment(frame, noise, recipe, inputs, name=f"batch {i}", may_leave=list(noise)))
    return made


def best_and_sure(kinetics: Kinetics, plant: Flowsheet, count: int, seed: int) -> Optimum:
    """The best batch by the fit, its standard errors, and the same at samples of the parameters."""
    plan = best_batch(ECONOMICS, PIECES, values=kinetics.fit.values, **OPTIMUM)
    slopes = sensitivity(plan, kinetics.names)
    errors = [
        float(np.sqrt(slope @ kinetics.covariance @ slope))
        for slope in (slopes.objective, np.asarray(slopes.duration["react"]) / 60.0)
    ]
    drawn = kinetics.samples(count, seed)
    found = [best_batch(ECONOMICS, PIECES, values=values, start_from=plan, **OPTIMUM) for values in drawn]
    many = kinetics.samples(100, seed + 1)
    impurities = ended_with(plant, plan, many)
    back = ONE_SIDED * float(impurities.std(ddof=1))
    careful = best_batch(
        replace(ECONOMICS, impurity=ECONOMICS.impurity - back), PIECES, values=kinetics.fit.values, **OPTIMUM
    )
    return Optimum(
        plan,
        best_batch(ECONOMICS, PIECES, **OPTIMUM),
        np.array([each.objective for each in found]),
        np.array([each.duration["react"] / 60.0 for each in found]),
        (errors[0], errors[1]),
        impurities,
        careful,
        ended_with(plant, careful, many),
    )


def ended_with(plant: Flowsheet, plan: Solution, drawn: list[dict[str, float]]) -> Array:
    """C at the end, mol/L, of one plan as it is, at other values of the parameters."""
    recipe = Recipe(Phase("react", plan.duration["react"]))
    inputs = {"reactor.T_j": plan["reactor.T_j"]}
    return np.array([simulate(plant.with_values(v), recipe, inputs=inputs).at_end("reactor.c_C") for v in drawn])


def claims(fit: Fit, kinetics: Kinetics, truth: Array, profile: Any, optimum: Optimum) -> tuple[Claim, ...]:
    """What the case stands for."""
    from scipy.stats import chi2

    off = kinetics.values - truth
    log_off = np.array([np.log(kinetics.values[0] / truth[0]), off[1], np.log(kinetics.values[2] / truth[2]), off[3]])
    size = np.array([kinetics.values[0], 1.0, kinetics.values[2], 1.0])
    ellipsoid = float(log_off @ np.linalg.solve(kinetics.covariance / np.outer(size, size), log_off))
    linear = np.array(profile.linear)
    asymmetry = float(np.abs(np.array([profile.lower, profile.upper]) - linear).max() / np.diff(linear)[0])
    known = [100.0 * error / k for k, error in (kinetics.constant(1), kinetics.constant(2))]
    true_margin, margin = optimum.true.objective, optimum.plan.objective
    spread = float(optimum.margins.std(ddof=1))
    slack = 3.0 / np.sqrt(2.0 * len(optimum.margins))  # of a standard deviation from so few
    return (
        Claim("fits that can be trusted", float(fit.ok), 1.0),
        Claim("chi2 of the residuals", fit.objective, float(chi2.ppf(0.995, fit.freedom)), kind="at most"),
        Claim("the truth lies in the joint 99 % region, distance", ellipsoid, float(chi2.ppf(0.99, 4)), kind="at most"),
        Claim("k_1 at 340 K is known to", known[0], 1.5, kind="at most", unit="%"),
        Claim("k_2 at 340 K is known to", known[1], 1.5, kind="at most", unit="%"),
        Claim("profile and covariance agree on E_1, share of the interval", asymmetry, 0.02, kind="at most"),
        Claim(
            "best margin by the fit, standard errors from the true",
            abs(margin - true_margin) / optimum.errors[0],
            3.0,
            kind="at most",
        ),
        Claim("spread of the margin by samples over its standard error", spread / optimum.errors[0], 1.0, slack),
        Claim(
            "careful plan: C at the end, 95 % of samples below",
            float(np.quantile(optimum.careful_impurities, 0.95)),
            ECONOMICS.impurity,
            0.2 * float(optimum.impurities.std()),
            kind="at most",
            unit="mol/L",
        ),
    )


def facts(fit: Fit, kinetics: Kinetics, optimum: Optimum) -> dict[str, Any]:
    """The numbers, for the record."""
    return {
        "values": fit.values,
        "standard_errors": fit.standard_errors.to_dict(),
        "correlation": fit.correlation.to_dict(),
        "rate_constants_at_340_K": {f"k_{i}": kinetics.constant(i) for i in (1, 2)},
        "margin_EUR": {
            "by_the_fit": optimum.plan.objective,
            "true": optimum.true.objective,
            "careful": optimum.careful.objective,
            "at_samples": optimum.margins,
        },
        "stop_min": {"by_the_fit": optimum.plan.duration["react"] / 60.0, "at_samples": optimum.stops},
        "standard_errors_of_margin_EUR_and_stop_min": optimum.errors,
        "impurity_at_samples": {"plan": optimum.impurities, "careful": optimum.careful_impurities},
    }


def notes(kinetics: Kinetics, optimum: Optimum) -> tuple[str, ...]:
    """What an engineer would take home."""
    errors = 100.0 * np.sqrt(np.diag(kinetics.covariance)) / kinetics.values
    known = [100.0 * error / k for k, error in (kinetics.constant(1), kinetics.constant(2))]
    cost = optimum.plan.objective - optimum.careful.objective
    ended = (optimum.impurities, optimum.careful_impurities)
    over = [100.0 * float((impurities > ECONOMICS.impurity).mean()) for impurities in ended]
    return (
        "The five batches are generated from the flagship's values, with noise.",
        f"Frequency factors are known to {errors[0]:.0f} and {errors[2]:.0f} % only, activation energies to "
        f"{errors[1]:.2f} and {errors[3]:.2f} %: each pair moves together (correlation 0.9997 and more). What matters "
        f"is known well: the rate constants at {REFERENCE:g} K, to {known[0]:.2f} and {known[1]:.2f} %. The logarithm "
        "of k0 is decided, which makes the fit as well conditioned as a rate at a reference temperature would.",
        f"The best batch by the fit stops at {optimum.plan.duration['react'] / 60.0:.1f} +- {optimum.errors[1]:.1f} "
        f"min and earns {optimum.plan.objective:.0f} +- {optimum.errors[0]:.0f} EUR (one standard error).",
        f"Its impurity limit is active, so that it would be missed at {over[0]:.0f} % of the samples; planned for a "
        f"limit lowered by {ONE_SIDED:g} standard deviations it is missed at {over[1]:.0f} %, which costs "
        f"{cost:.0f} EUR a batch.",
    )
