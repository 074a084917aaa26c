"""Loops, claims, facts and notes of the case batch_nmpc: see there what is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.cases import batch_nmpc_pictures as pictures
from titer.cases.batch_nmpc_loops import (
    EVERY,
    FAILS,
    FASTEST,
    REWORK,
    batch,
    controllers,
    drawn,
    many,
    plan_of,
    plant,
    reactor,
)
from titer.cases.case import Claim, Outcome, Progress
from titer.cases.loop_drawing import draw_distributions, draw_times
from titer.control import OpenLoop, Study

HALF = 0.5  # of what perfect knowledge would gain: what is claimed
LEARNING = ("NMPC", "robust NMPC")
LEAST = {"impurity": 0.001, "temperature": 0.1}  # mol/L and K: misses that are counted
SHOWN = {reactor.k0_1: 0.8, reactor.k0_2: 1.25}  # times what the plan believes: slower to B, faster to C


@dataclass(frozen=True, eq=False)
class Loops:
    """Many loops: the study, and of each case's plant the best margin."""

    study: Study
    perfect: np.ndarray

    def worth(self, name: str) -> np.ndarray:
        """Margins of a controller's loops (cases,), EUR, less what it costs to remove C above its limit."""
        own = self.study.table[self.study.table["controller"] == name]
        return own["objective"].to_numpy() - REWORK * np.maximum(own["missed impurity"].to_numpy(), 0.0)

    def missed(self, name: str, limit: str) -> np.ndarray:
        """By how much a controller's loops miss a limit (cases,), in its unit."""
        own = self.study.table[self.study.table["controller"] == name]
        return np.maximum(own[f"missed {limit}"].to_numpy(), 0.0)

    def gained(self, name: str) -> float:
        """The share of what perfect knowledge would gain over the plan, over all cases."""
        plain = self.worth("open loop")
        return float((self.worth(name) - plain).sum() / (self.perfect - plain).sum())


def answered(progress: Progress, quick: bool, plants: int) -> Outcome:
    """The case, over plants that are drawn."""
    plan = plan_of(plant)
    progress(f"plan: {plan.objective:.0f} EUR, stop at {plan.duration['react'] / 60.0:.1f} min")
    ways = controllers(plan, robust=not quick)
    progress(f"built: {', '.join(ways)}")
    loops = looped(ways, plants // 2 if quick else plants, progress)
    truth = plant.with_values({name: plant.values[name] * factor for name, factor in SHOWN.items()})
    best = plan_of(truth)
    shown = {"open loop": batch(truth, OpenLoop(plan)), "NMPC": batch(truth, ways["NMPC"].controller)}
    return Outcome(
        claims(loops),
        facts=facts(loops),
        figures={
            "loop": lambda: pictures.draw_loop(shown, best),
            "knowledge": lambda: pictures.draw_knowledge(shown["NMPC"], best),
            "distributions": lambda: draw_losses(loops),
            "times": lambda: draw_times(loops.study),
        },
        notes=notes(loops),
        solutions={"perfect knowledge of the plant shown": best, "plan": plan},
        sections={"loops": loops.study.compare()},
    )


def looped(ways: Mapping[str, Any], plants: int, progress: Progress, **how: Any) -> Loops:
    """Every way on every plant, and the best batch of each plant."""
    cases = drawn(plants)
    study = many(dict(ways), cases, progress=progress, **how)
    return Loops(study, np.array([plan_of(plant.with_values(values)).objective for values in cases]))


def claims(loops: Loops) -> tuple[Claim, ...]:
    """What the controller gains, and that nothing it commands leaves its limits, whatever fails."""
    study, table = loops.study, loops.study.table
    learning = [name for name in LEARNING if name in study.controllers]
    steered = table[table["controller"].isin(["PI", *learning])]
    off = {name: loops.missed(name, "impurity") for name in study.controllers}
    found = [
        *(Claim(f"share of what perfect knowledge gains, {n}", gained, HALF, kind="at least")
          for n, gained in ((n, loops.gained(n)) for n in learning)),
        Claim("a command beyond a bound of the jacket, by", float(table["beyond reactor.T_j"].max()), 0.0,
              kind="at most", unit="K"),
        Claim("fastest change of the jacket commanded", float(steered["fastest reactor.T_j"].max()), FASTEST, 1e-9,
              "at most", "K/s"),
        Claim("loops that broke off", float((table["failed"] != "").sum()), 0.0),
        Claim("loops that ended their batch", float(table["complete"].mean()), 1.0),
        Claim("samples without a solve that counts, were made to happen", float(failed(loops, learning)), 1.0,
              kind="at least"),
        Claim("impurity above its limit, NMPC by open loop (means)",
              float(off["NMPC"].mean() / off["open loop"].mean()), 0.25, kind="at most"),
    ]  # fmt: skip
    if "robust NMPC" in learning:
        hot = {name: loops.missed(name, "temperature").mean() for name in learning}
        found.append(
            Claim("temperature above its limit, robust by nominal NMPC (means)", hot["robust NMPC"] / hot["NMPC"], 0.75,
                  kind="at most")
        )  # fmt: skip
    return tuple(found)


def failed(loops: Loops, names: Sequence[str]) -> int:
    """Samples at which something stood in for a solve."""
    table = loops.study.table
    return int(table.loc[table["controller"].isin(names), "fallbacks"].sum())


def distributions(loops: Loops) -> tuple[dict[str, np.ndarray], dict[str, tuple[str, dict[str, np.ndarray]]]]:
    """What each controller's loops lose against perfect knowledge, and by how much they miss the limits."""
    names = loops.study.controllers
    lost = {name: loops.perfect - loops.worth(name) for name in names}
    units = {"impurity": "mol/L", "temperature": "K"}
    return lost, {k: (unit, {name: loops.missed(name, k) for name in names}) for k, unit in units.items()}


def draw_losses(loops: Loops) -> Any:
    """Shares of plants: what is lost against perfect knowledge, and by how much each limit is missed."""
    lost, excess = distributions(loops)
    drawn = {"margin lost against perfect knowledge [EUR/batch]": lost}
    drawn |= {f"{name}: limit missed by [{unit}]": found for name, (unit, found) in excess.items()}
    return draw_distributions(
        drawn, f"{len(loops.perfect)} plants; one in {round(1 / FAILS)} solves and measurements fails"
    )


def plain_losses(loops: Loops) -> dict[str, np.ndarray]:
    """The same where C above its limit costs nothing: what misses the limit looks better than it is."""
    table = loops.study.table
    return {
        n: loops.perfect - table.loc[table["controller"] == n, "objective"].to_numpy() for n in loops.study.controllers
    }


def seconds(loops: Loops) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Median and longest seconds of a decision in each loop, of controllers that solve."""
    table = loops.study.table
    return {
        name: (own["seconds median"].to_numpy(), own["seconds max"].to_numpy())
        for name in LEARNING
        if len(own := table[table["controller"] == name])
    }


def facts(loops: Loops) -> dict[str, Any]:
    """The numbers behind the pictures."""
    lost, excess = distributions(loops)
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)

    def spread(values: np.ndarray) -> dict[str, float]:
        return {"mean": float(values.mean())} | {f"{q:g}": float(np.quantile(values, q)) for q in levels}

    return {
        "plants": len(loops.perfect),
        "margin_of_perfect_knowledge_EUR": spread(loops.perfect),
        "lost_against_perfect_knowledge_EUR": {name: spread(values) for name, values in lost.items()},
        "lost_without_rework_EUR": {name: spread(values) for name, values in plain_losses(loops).items()},
        "share_of_the_gain": {name: loops.gained(name) for name in loops.study.controllers if name != "open loop"},
        "missed": {k: {name: spread(v) for name, v in found.items()} for k, (_, found) in excess.items()},
        "share_of_loops_that_missed": {
            k: {name: float((v > LEAST[k]).mean()) for name, v in found.items()} for k, (_, found) in excess.items()
        },
        "milliseconds": {
            name: {"median": 1e3 * float(np.median(middle)), "longest": 1e3 * float(longest.max())}
            for name, (middle, longest) in seconds(loops).items()
        },
    }


def notes(loops: Loops) -> tuple[str, ...]:
    """What an engineer would take home."""
    lost, excess = distributions(loops)
    learning = [name for name in LEARNING if name in loops.study.controllers]
    said = ", ".join(f"{name} {values.mean():.0f}" for name, values in lost.items())
    shares = ", ".join(f"{name} {100.0 * loops.gained(name):.0f} %" for name in learning)
    plainly = ", ".join(f"{name} {values.mean():.0f}" for name, values in plain_losses(loops).items())
    off = excess["impurity"][1]
    above = ", ".join(f"{name} {100.0 * float((v > LEAST['impurity']).mean()):.0f} %" for name, v in off.items())
    return (
        f"Lost against perfect knowledge, EUR a batch on average over {len(loops.perfect)} plants: {said}. Of what "
        f"perfect knowledge would gain over the plan: {shares}. C above its limit is counted with "
        f"{REWORK / 600.0:g} EUR/kg; by the margin alone, as if it were no limit: {plainly}.",
        f"Batches with more than {LEAST['impurity']:g} mol/L of C above the limit: {above}. A PI controller holds the "
        "planned temperature and keeps to the planned time, which is not what is wrong: the kinetics are.",
        "The contents stand a kelvin or two off the jacket per mol/L of A that reacts, and heat transfer is not known: "
        "the temperature alone says little. The rates are learnt from the laboratory, 5 min late.",
        f"The temperature limit is met while the batch is heated up, in the first {EVERY / 60.0:g} min, before "
        "anything has been learnt: there the scenarios of the robust controller stand back.",
        f"One solve in {round(1 / FAILS)} was made to fail: the plan of the sample before goes on, within bounds and "
        "rate.",
    )
