"""Which feeds are compared? The published fed-batch, what is uncertain of it, and a plan for each way to hedge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from titer.control import Chance, Scenarios, Worst, optimize
from titer.flowsheets import AtEnd, Flowsheet, Path, Phase, PiecewiseConstant, Recipe
from titer.flowsheets.units import InhibitedFedBatch
from titer.numerics import Grid, Ipopt, Solution

FEED = "tank.u"
HOURS, PIECES = 150.0, 15
BIOMASS = 3.7  # g/L, more of it cannot be supplied with oxygen
BACK = 0.2  # g/L by which the plan stays off that limit from which all others start
WORST = 0.2  # the share of the scenarios of which the worst plan looks at the mean
PARTING = 50.0  # h, after which each plant would have shown which it is

PRODUCT = AtEnd(lambda v: v.tank.P, name="product")
OXYGEN = Path(lambda v: v.tank.X, upper=BIOMASS, name="oxygen: biomass")
FED = Path(lambda v: v.tank.S, lower=0.0, name="substrate left")
COUNTED = (
    OXYGEN,
    Path(lambda v: v.tank.S, lower=-5e-4, name="substrate left"),
)  # S: 1 % of K_S

DEVIATIONS: Mapping[str, float] = {"mu_max": 0.05, "nu": 0.05, "Y_X": 0.03, "Y_P": 0.03, "K_S": 0.1, "K_I": 0.1}
"""Relative standard deviations of the kinetic parameters, lognormal about the published values, independent.

A batch's rates of growth and production differ by several percent from the last one's, with inoculum and raw material;
yields are stoichiometry and known better; both saturation constants are what a fit determines worst.
"""

_COARSE = Grid(elements=PIECES)  # finds the way; the front at which substrate runs out is too sharp for it
_ENDS = {*range(0, 41, 10), *range(45, 61, 5), 62.5, 65, 67.5, *np.linspace(70, 90, 26), 91, *range(100, 151, 10)}
_FINE = Grid(elements={"feed": [float(end) / HOURS for end in sorted(_ENDS)]})
_NEAR = Ipopt(options={"mu_init": 1e-7})  # a larger barrier would push a good start to another local optimum


@cache
def plant() -> Flowsheet:
    """The published fermenter, made when it is first asked for: units of measure are slow to load."""
    return Flowsheet(InhibitedFedBatch("tank"), time="h")


def uncertain() -> dict[str, Any]:
    """Distributions by parameter, as `sample` takes them."""
    from scipy.stats import lognorm  # slow to import

    return {f"tank.{name}": lognorm(d, scale=plant().values[f"tank.{name}"]) for name, d in DEVIATIONS.items()}


def nominal(starts: int = 4) -> Solution:
    """The published optimum: most product of the plant with the published parameters."""
    rough = _feed(_COARSE, starts=starts)
    return _feed(_FINE, start_from=rough, solver=_NEAR)


def robust(cases: Sequence[Mapping[str, float]]) -> Solution:
    """Most product on average, all limits in every scenario.

    A feed that is robust lies inside of what the nominal one exhausts, and a start from there stays out of the trap.
    """
    careful = _feed(_COARSE, BIOMASS - BACK, starts=4)
    rough = _feed(_COARSE, start_from=careful, scenarios=Scenarios(cases))
    return _feed(_FINE, start_from=rough, scenarios=Scenarios(cases), solver=_NEAR)


def hedged(cases: Sequence[Mapping[str, float]], at_least: float, start: Solution) -> dict[str, Solution]:
    """Other ways to hedge with the same scenarios, each started from the robust plan: by name.

    `worst fifth`: most product in the mean of the worst; `chance`: biomass within its limit in a share `at_least` of
    the scenarios; `recourse`: each scenario has a feed of its own after 50 h, as if the plant had shown by then which
    it is: no plan, but a bound on what feedback can gain.
    """
    ways: dict[str, tuple[Path | Chance, Scenarios]] = {
        "worst fifth": (OXYGEN, Scenarios(cases, objective=Worst(fraction=WORST))),
        "chance": (Chance(OXYGEN, at_least=at_least), Scenarios(cases)),
        "recourse": (OXYGEN, Scenarios(cases, shared_until=PARTING)),
    }
    return {
        name: _feed(_FINE, oxygen=oxygen, scenarios=scenarios, start_from=start, solver=_NEAR)
        for name, (oxygen, scenarios) in ways.items()
    }


def _feed(
    grid: Grid, biomass: float = BIOMASS, oxygen: Path | Chance = OXYGEN, starts: int = 1, **how: Any
) -> Solution:
    limit = oxygen if biomass == BIOMASS else Path(lambda v: v.tank.X, upper=biomass, name="careful")
    return optimize(
        plant(),
        Recipe(Phase("feed", duration=HOURS)),
        free={FEED: PiecewiseConstant(PIECES)},
        maximize=PRODUCT,
        subject_to=[limit, FED],
        grid=grid,
        starts=starts,
        **how,
    )


def feed_of(plan: Solution) -> np.ndarray:
    """The feed of each piece [L/h], (pieces,)."""
    return np.asarray(plan.phases[0].shapes["tank.u"][1], dtype=float).ravel()


def products(plan: Solution) -> np.ndarray:
    """Product at the end [g/L] in each scenario, (scenarios,)."""
    return np.array([each.at_end("tank.P") for each in plan.scenarios])


def missed(plan: Solution) -> int:
    """In how many scenarios the biomass goes beyond its limit on the plan's own trajectories."""
    return sum(float(each["tank.X"].max()) > BIOMASS * (1.0 + 1e-5) for each in plan.scenarios)


def binding(plan: Solution) -> int:
    """How many scenarios bear on the plan: biomass on its limit."""
    return sum(abs(float(each["tank.X"].max()) - BIOMASS) <= BIOMASS * 1e-5 for each in plan.scenarios)


def vouched(plan: Solution, confidence: float = 0.99) -> float:
    """The share of other plants with too much biomass that, by the scenarios alone, is exceeded only by bad luck.

    Of a plan on which k of n scenarios bear, those it misses included, the share is distributed as Beta(k, n + 1 - k):
    exact for a convex program, independent scenarios and none missed (Campi & Garatti, SIAM J. Optim. 19 (2008) 1211),
    a yardstick here.
    """
    from scipy.stats import beta

    k = missed(plan) + binding(plan)
    return float(beta.ppf(confidence, k, len(plan.scenarios) + 1 - k)) if k else 0.0


def integrated(plan: Solution, case: Mapping[str, float]) -> tuple[float, float]:
    """Highest biomass and last product [g/L] of a plan on a plant, by SciPy's LSODA, without titer."""
    from scipy.integrate import solve_ivp

    p = {name.removeprefix("tank."): value for name, value in {**plant().values, **case}.items()}

    def rates(_: float, x: Any, u: float) -> list[float]:
        X, S, P, V = x
        mu = p["mu_max"] * S / (p["K_S"] + S + S**2 / p["K_I"])
        used = mu * X / p["Y_X"] + p["nu"] * X / p["Y_P"]
        return [mu * X - u * X / V, u * (p["S_in"] - S) / V - used, p["nu"] * X - u * P / V, u]

    x, highest = [1.0, 0.5, 0.0, 150.0], 1.0
    for u in feed_of(plan):
        spots = np.linspace(0.0, HOURS / PIECES, 101)
        found = solve_ivp(rates, (0.0, spots[-1]), x, "LSODA", spots, args=(u,), rtol=1e-9, atol=1e-11)
        x, highest = found.y[:, -1], max(highest, float(found.y[0].max()))
    return highest, float(x[2])
