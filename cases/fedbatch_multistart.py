"""A published trap: a fed-batch fermentation whose single starts end 12 % below the best feed, and how it is found."""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.cases import fedbatch_multistart_pictures as pictures
from titer.cases.case import Claim, Outcome, Progress, case
from titer.control import optimize
from titer.flowsheets import AtEnd, Flowsheet, Path, Phase, PiecewiseConstant, Recipe, replay
from titer.flowsheets.units import InhibitedFedBatch
from titer.numerics import Grid, Solution

BEST, TRAP = (1.682, 0.003), (1.4866, 0.001)  # g/L of product: published as 1.68, and the local optimum below it
BIOMASS = 3.7  # g/L, more of it cannot be supplied with oxygen
HOURS = 150.0
DEVIATION = 1e-6  # largest difference to a replay by another integrator that is accepted


@case("fedbatch_multistart", title="Fed-batch fermentation: the best feed, and the trap beside it")
def fedbatch_multistart(
    progress: Progress, *, quick: bool = False, pieces: int = 30, starts: int = 8, seed: int = 0
) -> Outcome:
    """Published fed-batch fermentation: many starts find the best feed, where one start ends in a local optimum.

    Settings: `pieces` of constant feed; how many `starts` are tried, and the `seed` by which they are drawn. `quick`
    refines the trap no further: its claims are the same.
    """
    lone = best_feed(pieces, starts=1, refine=None if quick else DEVIATION)
    progress(f"one start: {lone.objective:.5f} g/L")
    doubted = best_feed(pieces)
    progress(f"by default a second start: {said(doubted)}")
    search = best_feed(pieces, starts=starts, seed=seed, grid=Grid(elements=pieces))
    progress(f"{starts} starts: {said(search)}")
    ended = tuple(search.stats["starts"]) or (search.objective,)
    plan = best_feed(pieces, starts=1, start_from=search, refine=DEVIATION)
    progress(f"refined: {plan.objective:.5f} g/L with {plan.stats['elements']['feed']} elements")
    return Outcome(
        claims(lone, doubted, search, ended, plan),
        facts={
            "product_g_per_L": {"one start": lone.objective, "second start": doubted.objective, "best": plan.objective},
            "product_by_start_g_per_L": ended,
            "said": {"second start": said(doubted), "many starts": said(search)},
            "feed_L_per_h": {
                name: [float(u) for u in p.phases[0].shapes["tank.u"][1]]
                for name, p in (("trap", lone), ("best", plan))
            },
            "certificate": str(plan.certificate),
            "stats": plan.stats,
        },
        figures={
            "profiles": lambda: pictures.draw_profiles(plan, lone, BIOMASS),
            "starts": lambda: pictures.draw_starts(ended, BEST[0], TRAP[0]),
        },
        notes=notes(lone, doubted, ended, plan),
        solutions={"best feed": plan, "the trap": lone},
    )


def best_feed(pieces: int, **how: Any) -> Solution:
    """The feed, constant on equal pieces, that leaves most product per volume; `how`: starts, seed, refine, grid."""
    tank = InhibitedFedBatch("tank")
    return optimize(
        Flowsheet(tank, time="h"),
        Recipe(Phase("feed", duration=HOURS)),
        free={tank.u: PiecewiseConstant(pieces)},
        maximize=AtEnd(lambda v: v.tank.P),
        subject_to=[
            Path(lambda v: v.tank.X, upper=BIOMASS, name="oxygen: biomass"),
            Path(lambda v: v.tank.S, lower=0.0, name="substrate left"),
        ],
        **how,
    )


def said(plan: Solution) -> str:
    """What the plan says of its starts, in its own words."""
    return next((rung.result for rung in plan.start_report if rung.name == "starts"), "")


def claims(
    lone: Solution, doubted: Solution, search: Solution, ended: tuple[float, ...], plan: Solution
) -> tuple[Claim, ...]:
    """What the case stands for: the best is found, and what ends in the trap does not pass for the best."""
    again = replay(plan)
    certificate = plan.certificate
    assert certificate is not None
    return (
        Claim("product of the best feed", plan.objective, *BEST, unit="g/L"),
        Claim("product of the best feed, replayed", again.at_end("tank.P"), *BEST, unit="g/L"),
        Claim("product where a single start ends", lone.objective, *TRAP, unit="g/L", note="the trap"),
        Claim("the single start says that starts agree (0: no)", float("agree on" in said(lone)), 0.0),
        Claim("second start: says that they disagree (1: yes)", float("DISAGREE" in said(doubted)), 1.0),
        Claim("many starts: the plan says that they disagree (1: yes)", float("DISAGREE" in said(search)), 1.0),
        Claim("and takes the best of them", search.objective, np.nanmax(ended), 1e-9, unit="g/L"),
        Claim("biomass, replayed", float(again["tank.X"].max()), BIOMASS, 1e-4, "at most", "g/L"),
        Claim("substrate, replayed", float(again["tank.S"].min()), 0.0, 1e-5, "at least", "g/L"),
        Claim("replay deviation in the certificate", certificate.largest_deviation, DEVIATION, kind="at most"),
        Claim("certificate holds (1: yes)", float(certificate.ok), 1.0),
    )


def notes(lone: Solution, doubted: Solution, ended: tuple[float, ...], plan: Solution) -> tuple[str, ...]:
    """What an engineer would take home."""
    best = sum(value > np.nanmax(ended) - 1e-4 for value in ended)
    full = float(plan["tank.X"].index[plan["tank.X"].to_numpy() > BIOMASS - 1e-3][0])
    return (
        f"Best feed, {plan.objective:.4f} g/L: hold the substrate at {(0.05 * 5.0) ** 0.5:.2f} g/L, where growth is "
        f"fastest, until the biomass is at its limit after {full:.0f} h; then stop the feed, and only replace what the "
        "product takes: the biomass stays at its limit and makes product to the end.",
        f"The trap, {lone.objective:.4f} g/L, keeps the biomass below its limit by drowning it in substrate, which "
        "inhibits growth. Near it every change is for the worse: a solver is right to stop there.",
        f"{best} of {len(ended)} starts reach the best. Two starts, the default, say: {said(doubted)}. That they "
        "disagree asks for more of them.",
    )
