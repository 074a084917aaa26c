"""A published optimum: the most penicillin a fed-batch can hold, by which feed, and what a shorter batch costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from titer.cases import penicillin_pictures as pictures
from titer.cases.case import Claim, Outcome, Progress, case
from titer.control import Front, optimize, pareto
from titer.flowsheets import (
    AtEnd,
    Exponential,
    Flowsheet,
    Free,
    Path,
    Phase,
    PiecewiseConstant,
    PiecewiseLinear,
    Reaches,
    Recipe,
    replay,
)
from titer.flowsheets.units import PenicillinFedBatch
from titer.numerics import Grid, Solution

PUBLISHED = (87.9, 0.2)  # g: 87.99 by Cuthrell and Biegler (1989), 87.7 to 88.0 in the papers after it
FULL, DENSEST, SWEETEST = 10.0, 40.0, 100.0  # L, g/L of biomass, g/L of substrate
BEST = "lines, then lines"  # the class that stands for the published feed
DEVIATION = 1e-4  # largest difference to a replay by another integrator that is accepted
SOURCE = "Cuthrell and Biegler (1989)"


def _layer(count: int, ratio: float, end: float) -> np.ndarray:
    """Ends of elements from 0 to `end`, each `ratio` times as long as the one before it."""
    return np.append(0.0, np.cumsum(ratio ** np.arange(count))) / np.sum(ratio ** np.arange(count)) * end


# Where a phase begins without substrate, and where it is used up, S changes within minutes: short elements there.
GRID = Grid(
    elements={
        "grow": np.append(_layer(8, 2.5, 0.06), np.linspace(0.06, 1.0, 21)[1:]),
        "use up": 1.0 - _layer(14, 1.8, 1.0)[::-1],
        "make": np.append(_layer(12, 2.2, 0.1), np.linspace(0.1, 1.0, 13)[1:]),
    }
)


@dataclass(frozen=True, eq=False)
class Study:
    """The best feed of each class, the front over batch time, and the batch that makes most per hour."""

    classes: Mapping[str, Solution]
    front: Front
    fastest: Solution
    turnaround: float

    @property
    def plan(self) -> Solution:
        return self.classes[BEST]

    @property
    def rates(self) -> np.ndarray:
        """Penicillin per hour along the front, turnaround included, g/h."""
        return self.front.values[:, 0] / (self.front.values[:, 1] + self.turnaround)


@case("penicillin", title="Penicillin: the most of it, by which feed, and how soon")
def penicillin(progress: Progress, *, quick: bool = False, turnaround: float = 12.0) -> Outcome:
    """Published penicillin fed-batch with free end time; classes of feeds compared; amount against batch time.

    Settings: `turnaround`, h between two batches. `quick` takes fewer points of the front, leaves out one class, and
    does not start the best one twice.
    """
    classes: dict[str, Solution] = {}
    for name, (recipe, shapes) in kinds().items():
        if quick and name == "one exponential":
            continue
        classes[name] = most(recipe, shapes, starts=1 if quick or name != BEST else 2)
        progress(f"{name}: {classes[name].objective:.3f} g after {hours(classes[name]):.1f} h")
    front = amount_against_time(4 if quick else 8, progress)
    recipe, shapes = kinds()["exponential, then exponential"]
    fastest = most(recipe, shapes, AtEnd(lambda v: v.fermenter.P * v.fermenter.V / (v.time + turnaround)))
    progress(f"most per hour: {fastest.objective:.4f} g/h after {hours(fastest):.1f} h")
    study = Study(classes, front, fastest, turnaround)
    return Outcome(
        claims(study),
        facts={
            "penicillin_g": {name: plan.objective for name, plan in classes.items()},
            "batch_time_h": {name: hours(plan) for name, plan in classes.items()},
            "numbers_decided": {name: decided(plan) for name, plan in classes.items()},
            "feed_g_per_h": {name: feeds(plan) for name, plan in classes.items()},
            "front": front.table().to_dict("records"),
            "most_per_hour": {"g_per_h": fastest.objective, "batch_time_h": hours(fastest)},
            "certificate": str(study.plan.certificate),
            "stats": study.plan.stats,
        },
        figures={
            "batch": lambda: pictures.draw_batch(classes),
            "front": lambda: pictures.draw_front(front, fastest, turnaround),
        },
        notes=notes(study),
        solutions={"best feed": study.plan, "most per hour": fastest},
        sections={"amount against batch time": front.table()},
        sources=dict.fromkeys(("fermenter.mu_max", "fermenter.q_max", "fermenter.K_deg", "fermenter.S_F"), SOURCE),
    )


def kinds() -> dict[str, tuple[Recipe, Any]]:
    """Classes of feeds: their recipes, and the shapes that are decided.

    Growth on plenty of substrate, which is then used up, without feed; then production, on hardly any substrate.
    """
    one = Recipe(Phase("all", Free(130.0, 30.0, 180.0)))
    gone = Reaches("fermenter.S", 0.02, "falling")
    three = Recipe(
        Phase("grow", Free(25.0, 15.0, 45.0)),
        Phase("use up", Free(2.0, 0.05, 20.0), until=gone, fixed={"fermenter.F": 0.0}),
        Phase("make", Free(100.0, 30.0, 130.0)),
    )
    constant, exponential = PiecewiseConstant(1, guess=10.0), Exponential(guess=10.0)  # g/h, tried first
    return {
        "one constant": (one, constant),
        "one exponential": (one, exponential),
        "constant, then constant": (three, {"grow": constant, "make": constant}),
        "exponential, then exponential": (three, {"grow": exponential, "make": exponential}),
        BEST: (three, {"grow": PiecewiseLinear(3), "make": PiecewiseLinear(3)}),
    }


def limits(recipe: Recipe) -> list[Any]:
    """The vessel and the oxygen; and growth ends while there is substrate left, so that it can be used up."""
    left = [AtEnd(lambda v: v.fermenter.S, lower=1.0, phase="grow", name="growth ends with substrate left")]
    return [
        Path(lambda v: v.fermenter.V, upper=FULL, name="vessel"),
        Path(lambda v: v.fermenter.X, upper=DENSEST, name="oxygen"),
        *(left if len(recipe) > 1 else []),
    ]


def most(recipe: Recipe, shapes: Any, wanted: AtEnd | None = None, starts: int = 1) -> Solution:
    """The feed of a class and the durations that leave most penicillin, or most of what is wanted."""
    tank = PenicillinFedBatch("fermenter")
    return optimize(
        Flowsheet(tank, time="h"),
        recipe,
        free={tank.F: shapes},
        maximize=wanted or AtEnd(lambda v: v.fermenter.P * v.fermenter.V),
        subject_to=limits(recipe),
        grid=GRID if len(recipe) > 1 else None,
        starts=starts,
    )


def amount_against_time(points: int, progress: Progress) -> Front:
    """The most penicillin for each batch time, by a feed that is exponential in both phases."""
    recipe, shapes = kinds()["exponential, then exponential"]
    tank = PenicillinFedBatch("fermenter")
    return pareto(
        Flowsheet(tank, time="h"),
        recipe,
        {tank.F: shapes},
        maximize={"penicillin": AtEnd(lambda v: v.fermenter.P * v.fermenter.V)},
        minimize={"batch time": AtEnd(lambda v: v.time)},
        points=points,
        subject_to=limits(recipe),
        grid=GRID,
        report=progress,
    )


def hours(plan: Solution) -> float:
    """How long a batch lasts, h."""
    return float(sum(plan.duration.values()))


def feeds(plan: Solution) -> dict[str, list[float]]:
    """The feed at the start and at the end of each phase, g/h."""
    return {
        phase.name: [float(phase.value("fermenter.F")[0]), float(phase.value("fermenter.F")[-1])]
        for phase in plan.phases
    }


def decided(plan: Solution) -> int:
    """How many numbers were decided: values of the feed, and durations; that of the second phase is found."""
    count = sum(len(values) for p in plan.phases for _, values in p.shapes.values() if p.name != "use up")
    return count + len([phase for phase in plan.phases if phase.name != "use up"])


def starts_apart(plan: Solution) -> float:
    """By how much the optima of several starts differ, g; 0 where there was one."""
    return float(np.ptp(plan.stats["starts"])) if plan.stats.get("starts") else 0.0


def by_scipy(plan: Solution) -> float:
    """What the plan's feed makes by the equations written here once more, integrated by SciPy, g."""
    from scipy.integrate import solve_ivp

    x, clock = np.array([1.5, 0.0, 0.0, 7.0]), 0.0  # X, P, S [g/L] and V [L]
    for phase in plan.phases:
        feed, length = plan["fermenter.F"].loc[clock : clock + phase.trajectory.duration], phase.trajectory.duration
        profile, values = phase.shapes["fermenter.F"] if "fermenter.F" in phase.shapes else (None, feed.to_numpy())
        edges = np.array([0.0, 1.0]) if profile is None else profile.edges
        for a, b in pairwise(edges):
            middle = np.array([0.5 * (a + b)])

            def rates(t: float, y: Any, p: Any = profile, u: Any = values, k: Any = middle, s: float = clock,
                      d: float = length) -> list[float]:  # fmt: skip
                X, P, S, V = y
                F = 0.0 if p is None else float(p.at(u, np.array([(t - s) / d]), p.piece_of(k))[0])
                S = max(S, 0.0)
                mu, q, kept = 0.11 * S / (0.006 * X + S), 0.0055 * S / (1e-4 + S * (1.0 + S / 0.1)), S / (1e-4 + S)
                D = F / 500.0 / V
                used = mu / 0.47 + q / 1.2 + 0.029 * kept
                return [(mu - D) * X, q * X - (0.01 + D) * P, -used * X + F / V - D * S, F / 500.0]

            span = (clock + a * length, clock + b * length)
            x = solve_ivp(rates, span, x, method="LSODA", rtol=1e-9, atol=1e-12).y[:, -1]
        clock += length
    return float(x[1] * x[3])


def claims(study: Study) -> tuple[Claim, ...]:
    """What the case stands for: the published amount, kept limits, what each freedom of the feed is worth."""
    plan, classes = study.plan, study.classes
    run = replay(plan)
    made = run.at_end("fermenter.P") * run.at_end("fermenter.V")
    ranked = [classes[name].objective for name in kinds() if name in classes]
    worst = max(p.certificate.largest_deviation for p in classes.values() if p.certificate is not None)
    held = [p.certificate is not None and p.certificate.ok for p in (*classes.values(), study.fastest)]
    times, amounts = study.front.values[:, 1], study.front.values[:, 0]
    return (
        Claim("penicillin, free end time", plan.objective, *PUBLISHED, unit="g", note="published: 87.99 g"),
        Claim("penicillin, replayed by IDAS", made, *PUBLISHED, unit="g"),
        Claim("the same feed integrated by SciPy, without titer", by_scipy(plan), made, 1e-3, unit="g"),
        Claim("volume, replayed", float(run["fermenter.V"].max()), FULL, 1e-4, "at most", "L"),
        Claim("biomass, replayed", float(run["fermenter.X"].max()), DENSEST, 1e-4, "at most", "g/L"),
        Claim("substrate, replayed", float(run["fermenter.S"].max()), SWEETEST, 0.0, "at most", "g/L"),
        Claim("more freedom never makes less, by", min(np.diff(ranked)), 0.0, 1e-6, "at least", "g"),
        Claim("two exponentials lose against lines", ranked[-1] - ranked[-2], 0.0, 0.2, "at most", "g"),
        Claim("starts of the best class disagree by", starts_apart(plan), 1e-4, kind="at most", unit="g"),
        Claim("one constant feed loses", ranked[-1] - ranked[0], 1.0, kind="at least", unit="g"),
        Claim("front: a longer batch makes more, by", float(np.diff(amounts[np.argsort(times)]).min()), 0.0,
              kind="at least", unit="g"),
        Claim("most per hour is no less than anywhere on the front", study.fastest.objective, float(study.rates.max()),
              1e-6, "at least", "g/h"),
        Claim("points of the front that were not solved", len(study.front.failed), 0.0),
        Claim("replay deviation in the certificates", worst, DEVIATION, kind="at most"),
        Claim("certificates hold (1: yes)", float(all(held)), 1.0),
    )  # fmt: skip


def notes(study: Study) -> tuple[str, ...]:
    """What an engineer would take home."""
    plan, classes, fastest = study.plan, study.classes, study.fastest
    grown, gone = plan.phases[0].value("fermenter.X")[-1], plan.phases[1].value("fermenter.X")[-1]
    begin, end = feeds(plan)["make"]
    simple, constants, one = (
        classes[name] for name in ("exponential, then exponential", "constant, then constant", "one constant")
    )
    sweetest, best = float(plan["fermenter.S"].max()), plan.objective
    made = fastest.at_end("fermenter.P") * fastest.at_end("fermenter.V")
    return (
        f"Best batch: grow to {grown:.1f} g/L of biomass with up to {sweetest:.0f} g/L of substrate in the broth, stop "
        f"the feed until it is used up ({gone:.1f} g/L after {plan.duration['use up'] * 60:.0f} min), then feed "
        f"{begin:.1f} to {end:.1f} g/h for {plan.duration['make']:.0f} h: substrate stays at some milligrams per "
        "litre, near where production is fastest. The vessel is full at the end; biomass never comes to its limit.",
        f"The shape of the feed hardly matters once the switch is there: {constants.objective:.2f} g with two constant "
        f"feeds ({decided(constants)} numbers), {simple.objective:.2f} g with two exponentials ({decided(simple)}), "
        f"{best:.2f} g with lines ({decided(plan)}). Without the switch, one constant feed makes "
        f"{one.objective:.2f} g, and takes {hours(one):.0f} h for it.",
        f"The end is free, and lies at {hours(plan):.0f} h: the vessel is full, so that a longer batch has to feed "
        "less in an hour, while penicillin decays at 1 % an hour. Other batches, with a longer growth on less feed, "
        "make nearly the same amount.",
        f"Per hour, with {study.turnaround:g} h between batches, the best batch lasts {hours(fastest):.0f} h and makes "
        f"{made:.1f} g, {fastest.objective:.3f} g/h; the one with most penicillin makes "
        f"{best / (hours(plan) + study.turnaround):.3f} g/h.",
        "Substrate falls from grams to milligrams per litre within minutes. Where that happens inside an element, the "
        "program is solved and the replay disagrees: the recipe ends a phase there (Reaches), and the elements beside "
        "it are short.",
    )
