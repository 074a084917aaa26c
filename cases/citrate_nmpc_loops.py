"""Which loops does citrate_nmpc close? A strain that is not the published one, and ways to feed it oil and nitrogen."""

from __future__ import annotations

from typing import Any

from titer.cases.citrate_feeding import BELOW, CITRATE, LARGEST, OIL, PACE, held
from titer.cases.citrate_model import END, FEED, OXYGEN
from titer.control import NMPC, Converged, Laboratory, Log, Soft, Study, Uniform, close_loop, monte_carlo, optimize
from titer.control import sample as draw
from titer.estimation import Drift, ExtendedKalman
from titer.flowsheets import (
    AtEnd,
    Flowsheet,
    Integral,
    Path,
    Phase,
    PiecewiseConstant,
    Recipe,
    magnitude,
    simulate,
)
from titer.flowsheets.units import CitrateFermenter
from titer.flowsheets.units.cultures.feeds import Feed
from titer.numerics import Grid, Ipopt, Solution

EVERY = 7.0  # h between samples
CHARGED = 2.0  # g/L of nitrogen: the rest is fed
AMMONIA = 50.0  # g/L of nitrogen in its feed
MOST = 0.005  # L/h of it
VESSEL, OILY = 1.05, 40.0  # L and g/L: how full, and how much oil the broth may hold before it foams
LEAST = 0.5  # g/L of oil that the broth should always hold
PRICE = {"volume": 500.0, "oil": 2.0, "starving": 2.0}  # reward per L h, and per g/L h, in the controller's eyes
CAREFUL = 0.003  # L/h of oil where nothing was decided for long: less than any strain takes up in its best days
ELEMENTS = 60
OFF = {"mu_max": 0.1, "b_LCmax": 0.2, "Y_xs": 0.1}  # relative: growth, citrate and lipid; and what nobody estimates
NOISE = {"V": 0.005, "dry": 1.0, "C": 1.5, "S": 1.5}  # L and g/L
LABORATORY = Laboratory(every=EVERY, delay=3.0)


def fermenter(nitrogen: float) -> CitrateFermenter:
    """The published model with a feed of nitrogen, and a charge of it in g/L."""
    feeds = {"F": Feed({"S": 917.0}, flow="F_S"), "G": Feed({"N": AMMONIA}, flow="F_N")}
    charge = {"lower": -BELOW, "start": nitrogen}
    return CitrateFermenter("tank", feeds=feeds, F_S={"start": 0.008}, N=charge, S={"lower": -BELOW})


tank = fermenter(CHARGED)
plant = Flowsheet(tank, time="h")
recipe = Recipe(Phase("feed", END))
worth = AtEnd(lambda v: CITRATE * magnitude(v.tank.C, "g/L")) - OIL / PACE * Integral(
    lambda v: magnitude(v.tank.F_S, "L/h")
)
volume = Path(lambda v: v.tank.V, upper=VESSEL, name="volume")
oil = Path(lambda v: v.tank.S, upper=OILY, name="oil")
starving = Path(lambda v: v.tank.S, lower=LEAST, name="starving")
limits = [volume, oil, starving]
free = {
    tank.F_S: PiecewiseConstant(every=EVERY, upper=LARGEST, guess=0.006),
    tank.F_N: PiecewiseConstant(every=EVERY, upper=MOST, guess=0.0002),
}
inputs = {tank.O: held(OXYGEN)}
conditions: dict[str, Any] = {
    "noise": {tank.V: NOISE["V"], tank.dry: NOISE["dry"], tank.C: NOISE["C"], tank.S: NOISE["S"]},
    "laboratory": {tank.C: LABORATORY, tank.S: LABORATORY},
}


def plan_of(truth: Flowsheet, plan: Solution | None = None) -> Solution:
    """The best feeds of a strain that is known perfectly, started from the `plan` of another strain where there is one.

    Who knows the strain may let it use up its oil: only what is planned without that knowledge keeps it from starving.
    """
    kept = limits if plan is None else [volume, oil]
    return optimize(
        truth, recipe, free=free, maximize=worth, subject_to=kept, inputs=inputs, grid=Grid(ELEMENTS), starts=1,
        start_from=plan, refine=1e-4,
    )  # fmt: skip


def human(values: dict[str, float]) -> Solution:
    """The operator's feed on the operator's charge, of a strain."""
    published = Flowsheet(fermenter(5.0), time="h").with_values(values)
    return simulate(published, recipe, inputs={tank.F_S: held(FEED), tank.F_N: 0.0, **inputs})


def drawn(count: int, seed: int = 0) -> list[dict[str, float]]:
    """Strains that may be the real one."""
    middle = {key: plant.values[f"tank.{key}"] for key in OFF}
    return draw(
        {f"tank.{k}": Uniform(middle[k] * (1.0 - s), middle[k] * (1.0 + s)) for k, s in OFF.items()}, count, seed
    )


def nmpc() -> NMPC:
    """Both feeds for the rest of the batch, decided anew after each sample, by a model whose growth is estimated."""
    return NMPC(
        plant,
        recipe,
        every=EVERY,
        free=free,
        maximize=worth,
        subject_to=[Soft(each, weight=PRICE[each.label()]) for each in limits],
        grid=Grid(elements=ELEMENTS),
        inputs=inputs,
        estimator=ExtendedKalman(
            noise=conditions["noise"],
            start={tank.X: 0.005, tank.S: 0.5, tank.N: 0.05, tank.V: 0.005},
            robust=None,  # an error of growth looks like a gross one of the dry mass, and is to be learnt
            process={tank.X: 0.1, tank.C: 0.1, tank.L: 0.1, tank.S: 0.2, tank.N: 1e-3, tank.V: 1e-4},
            disturbances={
                name: Drift(0.0, start=0.6 * OFF[key] * plant.values[name])
                for name, key in ((tank.mu_max, "mu_max"), (tank.b_LCmax, "b_LCmax"))
            },
        ),
        fallback={tank.F_S: CAREFUL, tank.F_N: 0.0},
        method=Converged(ladder=Ipopt(iterations=200)),
        patience=2,
    )


def batch(truth: Flowsheet, controller: Any, seed: int = 0) -> Log:
    """One batch of a strain."""
    return close_loop(truth, controller, seed=seed, inputs=inputs, **conditions)


def many(controllers: dict[str, Any], cases: list[dict[str, float]], **how: Any) -> Study:
    """Every way on every strain, judged by the truth."""
    return monte_carlo(
        plant, controllers, cases, maximize=worth, subject_to=[volume, oil], inputs=inputs, **how, **conditions
    )  # fmt: skip
