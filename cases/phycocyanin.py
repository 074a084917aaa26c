"""Phycocyanin by light and nitrate: the best plan, and what the best plan of a wrong model does to the same plant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.cases import phycocyanin_pictures as pictures
from titer.cases.case import Claim, Outcome, Progress, case
from titer.control import optimize, shadow_prices
from titer.flowsheets import AtEnd, Flowsheet, Path, Phase, PiecewiseConstant, Recipe, replay
from titer.flowsheets.units import Photobioreactor, SaturatedLight
from titer.numerics import Grid, Solution

if TYPE_CHECKING:
    import pandas as pd

SOURCE = "Bradford, Imsland, Zhang and del Rio-Chanona (2020)"
HOURS = 240.0
EXPECTED = {6: 0.1890, 12: 0.1928}  # g/L by number of steps: an independent solve found 0.18903 and 0.19280
NEAR = 5e-4  # g/L
DEVIATION = 1e-6  # largest difference to a replay by another integrator that is accepted
STEP = 2e-6  # g/g by which the limit of the content is moved to price it again; far from it light reaches a bound


@dataclass(frozen=True)
class Limits:
    """What is allowed: phycocyanin in biomass [g/g], nitrate all along and at the end [mg/L]."""

    content: float = 0.011
    nitrate: float = 800.0
    left: float = 150.0


@case("phycocyanin", title="Phycocyanin: light and nitrate, and a model that leaves out too much light")
def phycocyanin(progress: Progress, *, quick: bool = False, starts: int = 12, seed: int = 0) -> Outcome:
    """Photobioreactor of 240 h: light and nitrate feed for most phycocyanin; a mismatched model's plan on the plant.

    Settings: how many `starts` are tried, and the `seed` by which they are drawn. `quick` tries half as many.
    """
    starts = max(2, starts // 2) if quick else starts
    plans = {}
    for n in (3, 6, 12, 24):
        plans[n] = best(n, refine=DEVIATION)
        progress(f"{n} steps: {plans[n].objective:.5f} g/L; {_effort(plans[n])}")
    search = best(6, starts=starts, seed=seed)
    ended = tuple(search.stats["starts"]) or (search.objective,)
    progress(f"{len(ended)} starts with 6 steps: {_said(search)}")
    table, again = priced()
    wrong = best(6, culture=without_inhibition(), starts=starts, seed=seed)
    truth = replay(wrong, plant=Flowsheet(Photobioreactor("culture")))
    progress(f"the model without inhibition promises {wrong.objective:.5f} g/L, {_said(wrong)}")
    progress(f"the plant makes {truth.at_end('culture.P'):.5f} g/L of its plan")
    return Outcome(
        claims(plans, ended, float(table.loc[table["limit"] == "content", "price"].iloc[0]), again, wrong, truth),
        facts={
            "phycocyanin_g_per_L": {str(n): plan.objective for n, plan in plans.items()},
            "phycocyanin_by_start_g_per_L": ended,
            "light_umol_per_m2_s": {str(n): shape(plan, "I") for n, plan in plans.items()},
            "feed_mg_per_L_h": {str(n): shape(plan, "F_N") for n, plan in plans.items()},
            "model": {
                "promised_g_per_L": wrong.objective,
                "made_g_per_L": truth.at_end("culture.P"),
                "by_start_g_per_L": wrong.stats["starts"],
                "most_nitrate_mg_per_L": float(truth["culture.N"].max()),
            },
            "shadow_prices": table.to_dict("records"),
            "content_price_by_solving_again": again,
            "certificate": str(plans[6].certificate),
            "stats": plans[6].stats,
        },
        figures={
            "optimum": lambda: pictures.draw_optimum(plans[6], plans[12], Limits()),
            "mismatch": lambda: pictures.draw_mismatch(wrong, truth, plans[6], Limits()),
        },
        notes=notes(plans, ended, wrong, truth, again),
        solutions={"6 steps": plans[6], "12 steps": plans[12], "plan of the model without inhibition": wrong},
        sections={"phycocyanin by number of steps, g/L": {str(n): plan.objective for n, plan in plans.items()}},
        sources=dict.fromkeys(("culture.u_m", "culture.k_m", "culture.growth.k_i", "culture.production.k_i"), SOURCE),
    )


def without_inhibition() -> Photobioreactor:
    """The mismatched model: more light is always better."""
    return Photobioreactor("culture", growth=SaturatedLight(k_s=178.9), production=SaturatedLight(k_s=23.51))


def best(steps: int, limits: Limits | None = None, culture: Photobioreactor | None = None, **how: Any) -> Solution:
    """Light and feed, constant on equal steps, for most phycocyanin at the end; `how`: starts, seed, refine."""
    culture, limits = culture or Photobioreactor("culture"), limits or Limits()
    return optimize(
        Flowsheet(culture, time="h"),
        Recipe(Phase("grow", duration=HOURS)),
        free={culture.I: PiecewiseConstant(steps), culture.F_N: PiecewiseConstant(steps)},
        maximize=AtEnd(lambda v: v.culture.P),
        subject_to=[
            Path(lambda v: v.culture.content, upper=limits.content, name="content"),
            Path(lambda v: v.culture.N, upper=limits.nitrate, name="nitrate"),
            AtEnd(lambda v: v.culture.N, upper=limits.left, name="nitrate left"),
        ],
        **how,
    )


def priced() -> tuple[pd.DataFrame, float]:
    """Shadow prices of six steps, and that of the content limit by solving again; all on one mesh, to compare."""
    same: dict[str, Any] = {"grid": Grid(elements=60), "starts": 1}
    more, less = (best(6, Limits(content=Limits.content + change), **same) for change in (STEP, -STEP))
    return shadow_prices(best(6, **same)), (more.objective - less.objective) / (2.0 * STEP)


def shape(plan: Solution, control: str) -> list[float]:
    """The values of a control's steps."""
    return [float(u) for u in plan.phases[0].shapes[f"culture.{control}"][1]]


def moved(plan: Solution, steps: int) -> float:
    """How far the steps of a plan's controls are from equal ones, h; endless where they are not as many."""
    edges = [np.asarray(plan.phases[0].shapes[f"culture.{control}"][0].edges) for control in ("I", "F_N")]
    equal = np.linspace(0.0, 1.0, steps + 1)
    return max(HOURS * float(np.abs(e - equal).max()) if len(e) == len(equal) else float("inf") for e in edges)


def claims(
    plans: Mapping[int, Solution],
    ended: tuple[float, ...],
    price: float,
    again: float,
    wrong: Solution,
    truth: Solution,
) -> tuple[Claim, ...]:
    """What the case stands for: known optima, kept limits, starts that agree, and what a wrong model costs."""
    limits, runs = Limits(), [replay(plans[n]) for n in EXPECTED]
    content, nitrate = (max(float(run[f"culture.{key}"].max()) for run in runs) for key in ("content", "N"))
    left = max(run.at_end("culture.N") for run in runs)
    gains = np.diff([plan.objective for n, plan in sorted(plans.items())])
    certificates = [plans[n].certificate for n in EXPECTED]
    assert all(certificate is not None for certificate in certificates)
    return (
        *(Claim(f"phycocyanin, {n} steps", plans[n].objective, x, NEAR, unit="g/L") for n, x in EXPECTED.items()),
        *(
            Claim(f"the same, replayed, {n} steps", run.at_end("culture.P"), x, NEAR, unit="g/L")
            for run, (n, x) in zip(runs, EXPECTED.items(), strict=True)
        ),
        Claim("phycocyanin in biomass, replayed", content, limits.content, 1e-7, "at most", "g/g"),
        Claim("nitrate, replayed", nitrate, limits.nitrate, 0.1, "at most", "mg/L"),
        Claim("nitrate left, replayed", left, limits.left, 0.1, "at most", "mg/L"),
        Claim("steps are where they are asked for", max(moved(plans[n], n) for n in EXPECTED), 0.0, 1e-9, unit="h"),
        Claim("doubling the steps gains", float(gains.min()), 0.0, 1e-7, "at least", "g/L"),
        Claim("spread of all starts", float(np.ptp(ended)), 0.0, 1e-7, unit="g/L"),
        Claim("price of the content limit by that of solving again", price / again, 1.0, 1e-3),
        Claim("the wrong model's plan on the plant", truth.at_end("culture.P"), 0.15, kind="at most", unit="g/L"),
        Claim(
            "it breaks the nitrate limit", float(truth["culture.N"].max()), 1000.0, kind="at least", unit="mg/L",
            note="the limit is 800 mg/L",
        ),
        Claim("replay deviation", max(c.largest_deviation for c in certificates if c), DEVIATION, kind="at most"),
        Claim("certificates hold (1: yes)", float(all(c.ok for c in certificates if c)), 1.0),
    )  # fmt: skip


def notes(
    plans: Mapping[int, Solution], ended: tuple[float, ...], wrong: Solution, truth: Solution, price: float
) -> tuple[str, ...]:
    """What an engineer would take home."""
    plan, most = plans[6], plans[max(plans)]
    light = shape(plan, "I")
    return (
        f"First {light[0]:.0f} umol/m^2/s, where cells grow fastest (sqrt(k_s k_i) = 283); then down to "
        f"{min(light):.0f}, near the 137 where they make most phycocyanin. Nitrate is fed as far as its limit "
        f"allows, to {plan['culture.N'].max():.0f} mg/L: it slows the loss of phycocyanin and "
        "lets cells grow to the end.",
        f"The content limit holds the end: 0.1 mg/g more would give {1e-4 * price:.4f} g/L. {max(plans)} steps make "
        f"{most.objective:.4f} g/L; steps of 20 h lose {most.objective - plans[12].objective:.4f} of it, steps of 40 h "
        f"{most.objective - plan.objective:.4f}. Limits hold between the points of the mesh too.",
        f"On the plant's equations all of {len(ended)} random starts end at one value. Without inhibition by light the "
        f"problem has many local optima: {_said(wrong)}.",
        f"The model without I^2/k_i promises {wrong.objective:.4f} g/L of its plan, of which the plant makes "
        f"{truth.at_end('culture.P'):.4f}; {plan.objective:.4f} are possible. Its light lies at bounds where cells "
        "grow more slowly than it believes, and nitrate that they do not take up rises to "
        f"{truth['culture.N'].max():.0f} mg/L. To plan well, this model has to learn from the plant first.",
    )


def _said(plan: Solution) -> str:
    """What the plan says of its starts, in its own words."""
    return next((rung.result for rung in plan.start_report if rung.name == "starts"), "one start")


def _effort(plan: Solution) -> str:
    stats = plan.stats
    return f"{stats['variables']} variables, {stats['iterations']} iterations, {stats['seconds_total']:.2f} s"
