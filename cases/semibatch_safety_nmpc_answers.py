"""Loops, claims, facts and notes of the case semibatch_safety_nmpc: see there what is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.cases import semibatch_safety_nmpc_pictures as pictures
from titer.cases.case import Claim, Outcome, Progress
from titer.cases.loop_drawing import draw_distributions, draw_times
from titer.cases.semibatch_safety import FULL, PRODUCT, SAFE
from titer.cases.semibatch_safety_nmpc_loops import batch, changed, drawn, many, plan_of, plant, ways
from titer.control import Study

SHOWN = {"k0": 0.8, "dH": 1.08, "rhoCp": 0.98}  # times what is believed: slower and hotter
SLACK = 0.05  # K: a miss of the safety limit that is none
SHORT = 0.02  # of the product asked for: what an assay of 0.01 mol/L leaves open


@dataclass(frozen=True, eq=False)
class Loops:
    """Many batches, and the shortest safe time of each plant."""

    study: Study
    perfect: np.ndarray

    def of(self, name: str, column: str) -> np.ndarray:
        """A column of the table, of one way to feed (plants,)."""
        table = self.study.table
        return table.loc[table["controller"] == name, column].to_numpy(dtype=float)

    def beyond(self, name: str) -> np.ndarray:
        """By how much the limit is missed (plants,), K; negative: the room left."""
        return self.of(name, "missed safety")

    def gained(self, name: str) -> float:
        """The share of the time that perfect knowledge would save against the constant feed."""
        slow = self.of("constant feed", "objective")
        return float((slow - self.of(name, "objective")).sum() / (slow - self.perfect).sum())


def answered(progress: Progress, quick: bool, plants: int) -> Outcome:
    """The case, over plants that are drawn."""
    plan = plan_of(plant)
    progress(f"plan: {plan.objective:.2f} h")
    controllers = ways(plan)
    progress(f"built: {', '.join(controllers)}")
    cases = drawn(max(6, plants // 4) if quick else plants)
    study = many(controllers, cases, progress=progress)
    loops = Loops(study, np.array([plan_of(plant.with_values(values)).objective for values in cases]))
    truth = plant.with_values(changed(SHOWN))
    shown, best = {name: batch(truth, way) for name, way in controllers.items()}, plan_of(truth)
    return Outcome(
        claims(loops),
        facts=facts(loops),
        figures={
            "loop": lambda: pictures.draw_loop(shown, best),
            "knowledge": lambda: pictures.draw_knowledge(shown["robust NMPC"], best),
            "distributions": lambda: draw_distributions(
                distributions(loops), f"{len(cases)} plants that are not the model", zero=[HOT]
            ),
            "times": lambda: draw_times(study),
        },
        notes=notes(loops),
        solutions={"perfect knowledge of the plant shown": best, "plan": plan},
        sections={"loops": study.compare()},
    )


HOT, HOURS = "after a cooling failure: above the limit by [K]", "batch time beyond perfect knowledge [h]"


def distributions(loops: Loops) -> Mapping[str, Mapping[str, np.ndarray]]:
    """By how much the limit is missed, and what time is lost, of each way."""
    names = loops.study.controllers
    return {
        HOT: {name: loops.beyond(name) for name in names},
        HOURS: {name: loops.of(name, "objective") - loops.perfect for name in names},
        "product less than asked for by [mol]": {name: loops.of(name, "missed product") for name in names},
    }


def claims(loops: Loops) -> tuple[Claim, ...]:
    """The limit holds under mismatch by the robust controller, at a fraction of what caution would cost."""
    table, robust = loops.study.table, "robust NMPC"
    short = max(loops.of(name, "missed product").max() for name in ("NMPC", robust)) / PRODUCT
    return (
        Claim("plants in which the plan misses the safety limit, share", _share(loops, "plan"), 0.3, kind="at least"),
        Claim("constant feed for the worst plant: above the limit by", loops.beyond("constant feed").max(), 0.0,
              kind="at most", unit="K"),
        Claim("robust NMPC: above the limit by", loops.beyond(robust).max(), 0.0, SLACK, "at most", "K"),
        Claim("nominal NMPC goes further above the limit, by", loops.beyond("NMPC").max() - loops.beyond(robust).max(),
              0.0, kind="at least", unit="K"),
        Claim("share of the time saved by perfect knowledge, robust NMPC", loops.gained(robust), 0.7, kind="at least"),
        Claim("product of both NMPCs short of what is asked, at most by", short, SHORT, kind="at most"),
        Claim("volume above the vessel's", float(table["missed volume"].max()), 0.0, 1e-5 * FULL, "at most", "L"),
        Claim("a command beyond a bound of the feed, by", float(table["beyond reactor.u"].max()), 0.0, 1e-12,
              "at most", "L/h"),
        Claim("batches that broke off, or did not end", float((~table["complete"].astype(bool)).sum()), 0.0),
    )  # fmt: skip


def _share(loops: Loops, name: str) -> float:
    return float((loops.beyond(name) > SLACK).mean())


def facts(loops: Loops) -> dict[str, Any]:
    """The numbers behind the pictures."""
    names = loops.study.controllers
    return {
        "plants": len(loops.perfect),
        "hours": {name: float(loops.of(name, "objective").mean()) for name in names}
        | {"perfect knowledge": float(loops.perfect.mean())},
        "share_that_missed_the_safety_limit": {name: _share(loops, name) for name in names},
        "furthest_above_the_safety_limit_K": {name: float(loops.beyond(name).max()) for name in names},
        "product_short_mol": {name: float(loops.of(name, "missed product").max()) for name in names},
        "share_of_the_time_saved": {name: loops.gained(name) for name in names},
        "milliseconds": {
            name: {
                "median": 1e3 * float(np.median(loops.of(name, "seconds median"))),
                "longest": 1e3 * float(loops.of(name, "seconds max").max()),
            }
            for name in names
            if "NMPC" in name
        },
    }


def notes(loops: Loops) -> tuple[str, ...]:
    """What an engineer would take home."""
    names = loops.study.controllers
    said = "; ".join(
        f"{name}: {loops.of(name, 'objective').mean():.1f} h, limit missed in {100.0 * _share(loops, name):.0f} % of "
        f"the plants, by up to {max(loops.beyond(name).max(), 0.0):.2f} K"
        for name in names
    )
    return (
        f"On average over {len(loops.perfect)} plants, perfect knowledge {loops.perfect.mean():.1f} h. {said}.",
        "The plan is exact for its model and stands on the limit all along: every plant that is hotter, or slower so "
        "that B piles up, misses it. Ending on time, it also leaves slow plants short of product, by up to "
        f"{loops.of('plan', 'missed product').max():.3f} of {PRODUCT:g} mol.",
        "A nominal NMPC learns rate and heat, and still stands on the limit of what it believes: it misses by what it "
        "does not know yet. The first move is the worst, for it is made before anything is measured.",
        "The robust one stands back by what may be off: dH at first, later what estimates and a heat capacity that "
        f"nobody measures leave open. It keeps {SAFE:g} K, and ends "
        f"{(loops.of('constant feed', 'objective') - loops.of('robust NMPC', 'objective')).mean():.1f} h before the "
        "constant feed, which is as slow as the slowest plant asks for.",
        "This is a limit of operation, not the protection of the plant: that one must not depend on an estimate.",
    )
