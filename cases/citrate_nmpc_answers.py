"""Loops, claims, facts and notes of the case citrate_nmpc: see there what is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.cases import citrate_nmpc_pictures as pictures
from titer.cases.case import Claim, Outcome, Progress
from titer.cases.citrate_feeding import reward
from titer.cases.citrate_nmpc_loops import (
    EVERY,
    NOISE,
    OILY,
    VESSEL,
    batch,
    drawn,
    human,
    many,
    nmpc,
    plan_of,
    plant,
)
from titer.cases.loop_drawing import draw_distributions, draw_times
from titer.control import OpenLoop, Study

SHOWN = {"mu_max": 1.05, "b_LCmax": 0.82, "Y_xs": 1.05}  # times what is published: grows well, makes little citrate
FLAT = 0.5  # of reward, of 140: what less oil above its limit may cost against the plan
KEPT = 3.0  # deviations of a reading by which a limit may be missed: what is not seen cannot be kept


@dataclass(frozen=True, eq=False)
class Loops:
    """Batches of many strains: by plan and NMPC, and the rewards of the human feed and of perfect knowledge."""

    study: Study
    human: np.ndarray
    perfect: np.ndarray

    def of(self, name: str, column: str) -> np.ndarray:
        """A column of the table, of one way to feed (strains,)."""
        table = self.study.table
        return table.loc[table["controller"] == name, column].to_numpy(dtype=float)

    @property
    def rewards(self) -> dict[str, np.ndarray]:
        """Rewards of all strains by way to feed."""
        loops = {name: self.of(name, "objective") for name in self.study.controllers}
        return {"human feed": self.human, **loops, "perfect knowledge": self.perfect}

    @property
    def share(self) -> float:
        """Of what perfect knowledge would gain over the plan."""
        plain = self.of("plan", "objective")
        return float((self.of("NMPC", "objective") - plain).sum() / (self.perfect - plain).sum())


def answered(progress: Progress, quick: bool, strains: int) -> Outcome:
    """The case, over strains that are drawn."""
    plan = plan_of(plant)
    progress(f"plan for the published strain: reward {plan.objective:.2f}")
    ways = {"plan": OpenLoop(plan), "NMPC": nmpc().build()}
    progress("built")
    cases = drawn(max(3, strains // 4) if quick else strains)
    study = many(ways, cases, progress=progress)
    perfect = [plan_of(plant.with_values(values), plan).objective for values in cases]
    loops = Loops(study, np.array([reward(human(values)) for values in cases]), np.array(perfect))
    truth = plant.with_values({f"tank.{key}": plant.values[f"tank.{key}"] * factor for key, factor in SHOWN.items()})
    shown, best = {name: batch(truth, way) for name, way in ways.items()}, plan_of(truth, plan)
    return Outcome(
        claims(loops),
        facts=facts(loops),
        figures={
            "loop": lambda: pictures.draw_loop(shown, best),
            "knowledge": lambda: pictures.draw_knowledge(shown["NMPC"]),
            "distributions": lambda: draw_distributions(
                distributions(loops), f"{len(cases)} strains that are not the published one", zero=[TOO_MUCH]
            ),
            "times": lambda: draw_times(study),
        },
        notes=notes(loops),
        solutions={"perfect knowledge of the strain shown": best, "plan": plan},
        sections={"loops": study.compare()},
    )


TOO_MUCH = "oil: limit missed by [g/L]"


def distributions(loops: Loops) -> Mapping[str, Mapping[str, np.ndarray]]:
    """What is lost against perfect knowledge, and by how much the oil limit is missed."""
    found = {name: loops.perfect - values for name, values in loops.rewards.items() if name != "perfect knowledge"}
    return {
        "reward lost against perfect knowledge": found,
        TOO_MUCH: {name: loops.of(name, "missed oil") for name in loops.study.controllers},
    }


def claims(loops: Loops) -> tuple[Claim, ...]:
    """What feedback gains, and that limits and bounds hold."""
    table, rewards = loops.study.table, loops.rewards
    oil = {name: np.maximum(loops.of(name, "missed oil"), 0.0) for name in loops.study.controllers}
    return (
        Claim("NMPC above the plan, mean reward",
              float((rewards["NMPC"] - rewards["plan"]).mean()), -FLAT, kind="at least"),
        Claim("NMPC above the human feed, mean reward", float((rewards["NMPC"] - rewards["human feed"]).mean()), 3.0,
              kind="at least"),
        Claim("strains with oil above its limit by three readings' deviations, NMPC", _missed(loops, "NMPC"), 0.1,
              kind="at most"),
        Claim("oil above its limit, NMPC by plan (means)", float(oil["NMPC"].mean() / oil["plan"].mean()), 0.5,
              kind="at most"),
        Claim("volume above the vessel's, NMPC", float(loops.of("NMPC", "missed volume").max()), 0.0,
              KEPT * NOISE["V"], "at most", "L"),
        Claim("a command beyond a bound, by", float(table[["beyond tank.F_S", "beyond tank.F_N"]].max().max()), 0.0,
              1e-12, "at most", "L/h"),
        Claim("batches that broke off, or did not end", float((~table["complete"].astype(bool)).sum()), 0.0),
    )  # fmt: skip


def _missed(loops: Loops, name: str) -> float:
    """The share of strains in which there is clearly too much oil."""
    return float((loops.of(name, "missed oil") > KEPT * NOISE["S"]).mean())


def facts(loops: Loops) -> dict[str, Any]:
    """The numbers behind the pictures."""
    names = loops.study.controllers
    return {
        "strains": len(loops.perfect),
        "reward": {name: float(values.mean()) for name, values in loops.rewards.items()},
        "worst_reward": {name: float(values.min()) for name, values in loops.rewards.items()},
        "reward_of_each_strain": {name: [float(x) for x in values] for name, values in loops.rewards.items()},
        "share_of_the_gain": loops.share,
        "share_of_strains_with_too_much_oil": {name: _missed(loops, name) for name in names},
        "oil_above_its_limit_g_per_L": {name: float(loops.of(name, "missed oil").max()) for name in names},
        "volume_above_the_vessels_L": {name: float(loops.of(name, "missed volume").max()) for name in names},
        "samples_without_a_solve": float(loops.of("NMPC", "fallbacks").sum()),
        "seconds": {
            "median": float(np.median(loops.of("NMPC", "seconds median"))),
            "longest": float(loops.of("NMPC", "seconds max").max()),
        },
    }


def notes(loops: Loops) -> tuple[str, ...]:
    """What an engineer would take home."""
    said = ", ".join(f"{name} {values.mean():.2f}" for name, values in loops.rewards.items())
    lost = loops.perfect - loops.of("plan", "objective")
    fallbacks, steps = (int(loops.of("NMPC", what).sum()) for what in ("fallbacks", "steps"))
    return (
        f"Mean reward over {len(loops.perfect)} strains: {said}. NMPC gains {100.0 * loops.share:.0f} % of what "
        "perfect knowledge of the strain would gain over the plan.",
        f"The optimum is flat: the plan loses {lost.mean():.2f} on average, {lost.max():.2f} at worst. It pays for "
        f"that in oil that a strain does not take up: in {100.0 * _missed(loops, 'plan'):.0f} % of the strains clearly "
        f"above the limit of {OILY:g} g/L, by up to {loops.of('plan', 'missed oil').max():.0f} g/L; with feedback in "
        f"{100.0 * _missed(loops, 'NMPC'):.0f} %, by up to {max(loops.of('NMPC', 'missed oil').max(), 0.0):.0f} g/L.",
        "Growth shows in the dry mass from the second day on, citrate only after the nitrogen is gone: what is learnt "
        f"comes too late for the nitrogen, and in time for the oil. Samples every {EVERY:g} h leave it at that.",
        "The reward is no better than the plan's by much, or at all: the plan's counts the oil that it holds above the "
        "limit as free, and there are several local optima, by when nitrogen is fed. A solve that starts from the last "
        "plan stays in the one that the first samples led to, and the worst strains lose several units by that.",
        f"The human feed has 5 g/L of nitrogen and fills the vessel up to 1.07 L (limit here {VESSEL:g} L).",
        f"At {fallbacks} of {steps} samples no solve counted within its iterations, mostly where oil runs low while "
        "the culture grows; the plan of the sample before went on there.",
    )
