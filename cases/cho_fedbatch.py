"""CHO cells fed for most antibody: what the feed gains, what a temperature shift would, and what time is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from titer.cases import cho_fedbatch_pictures as pictures
from titer.cases.case import Claim, Outcome, Progress, case
from titer.cases.cho_culture import (
    COLD,
    DAILY,
    DAY,
    TITER,
    WARM,
    Limits,
    Schedule,
    best,
    feeding,
    hours,
    integrated,
    plant,
    practised,
    shifting,
    titer,
)
from titer.control import Front, pareto, shadow_prices
from titer.flowsheets import AtEnd, Phase, Recipe, replay, simulate
from titer.numerics import Grid, Solution

SOURCE = "Kornecki and Strube (2018), table 2; equations of Xing et al. (2010)"
NOT_PUBLISHED = "not of the culture's source: Fox et al. (2004) for another product, or illustrative"
DEVIATION = 1e-6  # largest difference to a replay by another integrator that is accepted


@dataclass(frozen=True)
class Study:
    """What was found at 37 degC ("warm") and with a shift ("cold"): boluses, best plans, their replays, fronts."""

    limits: Limits
    schedules: Mapping[str, Schedule]
    usual: Mapping[str, Solution]
    plans: Mapping[str, Solution]
    runs: Mapping[str, Solution]
    fronts: Mapping[str, Front]


@case("cho_fedbatch", title="CHO fed-batch: feeding, temperature shift, and titer against duration")
def cho_fedbatch(
    progress: Progress,
    *,
    quick: bool = False,
    points: int = 8,
    lactate_mM: float = 60.0,
    volume_L: float = 1.3,
    bolus_L: float = 0.04,
) -> Outcome:
    """CHO culture with published numbers: best feeding against daily boluses, a temperature shift, titer by duration.

    Settings: `points` of each front; the most lactate and volume; the daily bolus. `quick` takes half of the points
    and feeds in pieces of two days in place of one. How the culture depends on temperature is not of its source.
    """
    every = 2.0 * DAY if quick else DAY
    limits = Limits(lactate=lactate_mM, volume=volume_L)
    schedules = {"warm": Schedule(bolus_L), "cold": Schedule(bolus_L, shift=3, later=0.5 * bolus_L)}
    usual = {name: practised(schedule, limits) for name, schedule in schedules.items()}
    for name, run in usual.items():
        progress(f"daily boluses, {name}: {titer(run):.4f} g/L after {hours(run):.1f} h")
    short = {name: replace(limits, longest=hours(run)) for name, run in usual.items()}
    plans = {}
    for name, problem in {
        "warm": feeding(limits, every),
        "warm, as long": feeding(short["warm"], every),
        "cold": shifting(limits, every),
        "cold, as long": shifting(short["cold"], every),
        "cold, no more per cell": shifting(limits, every, production=1.0),
    }.items():
        plans[name] = best(problem, DEVIATION)
        progress(
            f"best, {name}: {plans[name].objective:.4f} g/L after {hours(plans[name]):.1f} h; {_effort(plans[name])}"
        )
    fronts, grid = {}, Grid(30)  # one mesh for all points
    for name, problem in (("warm", feeding(limits, every)), ("cold", shifting(limits, every))):
        aims: dict[str, Any] = {"maximize": {"titer": TITER}, "minimize": {"duration": AtEnd(lambda v: v.time)}}
        fronts[name] = pareto(**problem, **aims, grid=grid, points=max(points // 2, 3) if quick else points)
        progress(f"front, {name}: {len(fronts[name].values)} points, {len(fronts[name].failed)} not solved")
    runs = {name: replay(plan) for name, plan in plans.items()}
    study = Study(limits, schedules, usual, plans, runs, fronts)
    prices, tables = shadow_prices(plans["warm"]), {name: table(front) for name, front in fronts.items()}
    return Outcome(
        claims(study),
        facts={
            "boluses": {name: account(run) for name, run in usual.items()},
            "best": {name: account(run) for name, run in runs.items()},
            "decided": {name: dict(plan.decided) | plan.duration for name, plan in plans.items()},
            "feed_L_per_h": {name: shape(plan, "F") for name, plan in plans.items()},
            "temperature_K": {name: shape(plan, "T") for name, plan in plans.items()},
            "fronts": tables,
            "limits": vars(limits),
            "shadow_prices": prices.to_dict("records"),
            "certificate": str(plans["warm"].certificate),
            "stats": plans["warm"].stats,
        },
        figures={
            "feeds": lambda: pictures.draw_feeds(usual["warm"], plans["warm"], plans["warm, as long"], limits),
            "shift": lambda: pictures.draw_feeds(usual["cold"], plans["cold"], plans["cold, as long"], limits),
            "front": lambda: pictures.draw_fronts(fronts, {k: (hours(r), titer(r)) for k, r in usual.items()}),
        },
        notes=notes(study),
        solutions={name: plans[name] for name in ("warm", "cold", "warm, as long")},
        sections={
            "where the titer comes from": {f"boluses, {k}": account(r) for k, r in usual.items()}
            | {f"best, {k}": account(r) for k, r in runs.items()},
            "front at 37 degC": tables["warm"],
            "front with a shift, not published": tables["cold"],
            "shadow prices at 37 degC": prices,
        },
        sources={"culture.mu_max": SOURCE} | dict.fromkeys(SHIFT_PARAMETERS, NOT_PUBLISHED),
    )


SHIFT_PARAMETERS = tuple(f"culture.shift.{key}_low" for key in ("growth", "production", "metabolism"))


def shape(plan: Solution, control: str) -> list[float]:
    """The values of a control's pieces, phase after phase."""
    return [float(u) for phase in plan.phases for u in np.atleast_1d(phase.shapes[f"culture.{control}"][1])]


def account(run: Solution) -> dict[str, float]:
    """Where the titer comes from: cell hours, antibody by cell hour and by glucose, and the volume it is in."""
    frame = run.frame()
    time, V = frame.index.to_numpy(), frame["culture.V"].to_numpy()
    cells = float(np.trapezoid(frame["culture.Xv"] * V, time))
    eaten = float(np.trapezoid(frame["culture.q_glc"] * frame["culture.Xv"] * V, time))
    made = titer(run) * float(V[-1])
    return {
        "titer_g_per_L": titer(run),
        "harvest_h": hours(run),
        "antibody_g": made,
        "volume_L": float(V[-1]),
        "cell_hours_Gcell_h": cells,
        "antibody_mg_per_Gcell_h": 1e3 * made / cells,
        "glucose_eaten_mmol": eaten,
        "antibody_mg_per_mmol_glucose": 1e3 * made / eaten,
        "most_cells_Gcell_per_L": float(frame["culture.Xv"].max()),
    }


def unaccounted(run: Solution, glucose: float) -> float:
    """Lactate and 0.7 of glucose: what is in the broth, less what was and was fed, by what is; largest over time."""
    frame = run.frame()
    V = frame["culture.V"]
    held = (frame["culture.Lac"] + 0.7 * frame["culture.Glc"]) * V
    return float((held - held.iloc[0] - 0.7 * glucose * (V - V.iloc[0])).abs().max() / held.max())


def table(front: Front) -> dict[str, list[float]]:
    """The points of a front, each with its titer in a replay by another integrator."""
    return {
        "duration_h": [float(t) for t in front.values[:, 1]],
        "titer_g_per_L": [float(c) for c in front.values[:, 0]],
        "titer_replayed_g_per_L": [titer(replay(plan)) for plan in front.solutions],
    }


def claims(study: Study) -> tuple[Claim, ...]:
    """What the case stands for: the published equations, closed balances, kept limits, gains, fronts in order."""
    certificates = [plan.certificate for plan in study.plans.values()]
    assert all(certificate is not None for certificate in certificates)
    return (
        *against_scipy(study),
        *kept(study),
        *gains(study),
        Claim("replay deviation", max(c.largest_deviation for c in certificates if c), DEVIATION, kind="at most"),
        Claim("certificates hold (1: yes)", float(all(c.ok for c in certificates if c)), 1.0),
    )


def against_scipy(study: Study) -> list[Claim]:
    """A batch of two days, and the warm boluses to their end: titer's simulation and SciPy's of the same equations."""
    batch = Recipe(Phase("batch", 2.0 * DAY, fixed={"culture.T": WARM}))
    made = []
    for name, run, schedule in (
        ("batch", simulate(plant(), batch, inputs={"culture.F": 0.0}), Schedule(0.0)),
        ("boluses", study.usual["warm"], study.schedules["warm"]),
    ):
        for key, value in integrated(schedule, hours(run)).items():
            off = abs(float(run.at_end(f"culture.{key}")) / value - 1.0)
            made.append(Claim(f"{name}: {key} against SciPy, relative error", off, 2e-4, kind="at most"))
    return made


def kept(study: Study) -> list[Claim]:
    """Limits and balances, in replays of what is best and in what it is compared with."""
    limits, made = study.limits, []
    runs = {"boluses": list(study.usual.values()), "best, replayed": list(study.runs.values())}
    for name, several in runs.items():
        most = {key: max(float(run[f"culture.{key}"].max()) for run in several) for key in ("V", "Lac", "Amm", "Glc")}
        least = min(float(run["culture.Glc"].min()) for run in several)
        made += [
            Claim(f"{name}: volume", most["V"], limits.volume, 1e-5, "at most", "L"),
            Claim(f"{name}: lactate", most["Lac"], limits.lactate, 2e-3, "at most", "mmol/L"),
            Claim(f"{name}: ammonium", most["Amm"], limits.ammonium, 1e-3, "at most", "mmol/L"),
            Claim(f"{name}: glucose", most["Glc"], limits.glucose, 1e-2, "at most", "mmol/L"),
            Claim(f"{name}: glucose left", least, limits.hunger, 1e-3, "at least", "mmol/L"),
            Claim(f"{name}: time", max(map(hours, several)), limits.longest, 1e-5, "at most", "h"),
        ]
    coldest = min(min(shape(plan, "T")) for plan in study.plans.values())
    fed = {name: plan.decided["culture.Glc_feed"] for name, plan in study.plans.items()}
    lost = [unaccounted(run, DAILY["Glc"]) for run in study.usual.values()]
    lost += [unaccounted(run, fed[name]) for name, run in study.runs.items()]
    missing = max(unaccounted(plan, fed[name]) for name, plan in study.plans.items())
    return [
        *made,
        Claim("coldest", coldest, COLD, 1e-6, "at least", "K", "the temperature's part has no numbers below"),
        Claim("lactate and glucose, simulated: not accounted for", max(lost), 1e-8, kind="at most"),
        Claim("lactate and glucose, optimized: not accounted for", missing, 1e-6, kind="at most"),
    ]


def gains(study: Study) -> list[Claim]:
    """What is best against what is practised, and along the fronts."""
    made = []
    for name, front in study.fronts.items():
        alike, free = study.plans[f"{name}, as long"].objective, study.plans[name].objective
        rise, again = float(np.diff(front.values, axis=0).min()), table(front)
        off = np.abs(np.subtract(again["titer_g_per_L"], again["titer_replayed_g_per_L"])).max()
        made += [
            Claim(
                f"{name}: titer over that of boluses, as long", alike / titer(study.usual[name]), 1.0, kind="at least"
            ),
            Claim(f"{name}: more time gains", free - alike, 0.0, 1e-6, "at least", "g/L"),
            Claim(f"front, {name}: both rise from point to point, by", rise, 0.0, kind="at least"),
            Claim(f"front, {name}: ends in the best plan", front.values[:, 0].max(), free, 1e-3, unit="g/L"),
            Claim(f"front, {name}: titers, replayed, differ by", off, 5e-4, kind="at most", unit="g/L"),
            Claim(f"front, {name}: points not solved", len(front.failed), 0.0),
        ]
    return made


def notes(study: Study) -> tuple[str, ...]:
    """What an engineer would take home."""
    usual, limits = study.usual, study.limits
    accounts = {name: account(run) for name, run in study.runs.items()} | {"boluses": account(usual["warm"])}
    boluses, alike, free = accounts["boluses"], accounts["warm, as long"], accounts["warm"]
    cold, cautious = accounts["cold"], accounts["cold, no more per cell"]
    plan, shifted = study.plans["warm"], study.plans["cold"]
    return (
        f"At 37 degC, as published: daily boluses reach {limits.lactate:g} mmol/L of lactate after "
        f"{boluses['harvest_h']:.0f} h, with {boluses['titer_g_per_L']:.3f} g/L; the best feed makes "
        f"{alike['titer_g_per_L']:.3f} g/L in the same time and {free['titer_g_per_L']:.3f} g/L in "
        f"{free['harvest_h']:.0f} h.",
        "The gain is in the lactate, which the model makes of every glucose: boluses make "
        f"{boluses['antibody_mg_per_mmol_glucose']:.1f} mg of antibody of a mmol of glucose, the best feed "
        f"{free['antibody_mg_per_mmol_glucose']:.1f}. Its glucose comes with {plan.decided['culture.Gln_feed']:.1f} "
        f"mmol/L of glutamine: cells stop growing at {free['most_cells_Gcell_per_L']:.1f} Gcell/L, and those that do "
        f"not grow make more ({free['antibody_mg_per_Gcell_h']:.2f} against {boluses['antibody_mg_per_Gcell_h']:.2f} "
        "mg by Gcell and h). In haste glutamine is fed. In the published equations cells live on without glutamine; "
        "how long they do is to be tried before this feed is believed.",
        "A temperature shift is NOT in the source. With the library's part (at 32 degC growth x 0.3, metabolism x 0.5, "
        "production x 2, of which only the last is of a paper, for another product) the best is "
        f"{cold['titer_g_per_L']:.2f} g/L in {cold['harvest_h']:.0f} h, with the shift after "
        f"{shifted.duration['warm']:.0f} h to {min(shape(shifted, 'T')) - 273.15:.0f} degC, as cold as is allowed; "
        f"boluses with a shift on day {study.schedules['cold'].shift} make {titer(usual['cold']):.2f} g/L. If cold "
        "cells made no more than warm ones, as those of one antibody did, it would be "
        f"{cautious['titer_g_per_L']:.2f} g/L. The shift is worth a measurement; the number is not to be believed.",
        f"Limits are settings, not of the source: lactate {limits.lactate:g} and ammonium {limits.ammonium:g} mmol/L, "
        f"glucose from {limits.hunger:g} to {limits.glucose:g} mmol/L, {limits.volume:g} L from 1 L, "
        f"{limits.longest:g} h, feeds of at most 500 mmol/L of glucose and 200 mmol/L of glutamine. The boluses, of "
        "500 and 50 mmol/L, are a common practice, not the source's; harvest is when the lactate is at its limit.",
        "The unfed batch has eaten its glucose after 54 h. Beyond, the published equations, whose maintenance goes on "
        "without glucose, do not hold, and nothing is compared there.",
    )


def _effort(plan: Solution) -> str:
    stats = plan.stats
    return f"{stats['variables']} variables, {stats['iterations']} iterations, {stats['seconds_total']:.2f} s"
