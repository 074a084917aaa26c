"""What does one aim cost in another? Yield, impurity and batch time of a batch reactor A -> B -> C, as fronts."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

import numpy as np

from titer.cases import reactor_pareto_pictures as pictures
from titer.cases.case import Claim, Outcome, Progress, case
from titer.control import Front, optimize, pareto, shadow_prices
from titer.flowsheets import AtEnd, Flowsheet, Free, Path, Phase, PiecewiseConstant, Recipe
from titer.flowsheets.units import BatchReactor
from titer.numerics import Solution

SHORTEST, LONGEST = 600.0, 7200.0  # s, between which the batch may be stopped
YIELD = AtEnd(lambda v: v.reactor.c_B)  # of the 1 mol/L of A that is charged
IMPURITY = AtEnd(lambda v: v.reactor.c_C)
TIME = AtEnd(lambda v: v.time)
AIMS: Mapping[str, Mapping[str, AtEnd]] = {
    "yield and impurity": {"impurity": IMPURITY},
    "yield and batch time": {"batch time": TIME},
    "all three": {"impurity": IMPURITY, "batch time": TIME},
}


@case("reactor_pareto", title="Batch reactor: yield, impurity and batch time against each other")
def reactor_pareto(
    progress: Progress, *, quick: bool = False, pieces: int = 8, points: int = 12, temperature_limit_K: float = 345.0
) -> Outcome:
    """Pareto fronts of a batch reactor A -> B -> C: yield against impurity, against batch time, and all three.

    Settings: `pieces` of constant jacket temperature; `points` of the fronts of two aims, half as many each way for
    all three; how hot the reactor may be. `quick` takes half of the points.
    """
    points = points // 2 if quick else points
    problem = batch(pieces, temperature_limit_K)
    fronts: dict[str, Front] = {}
    seconds: dict[str, float] = {}
    for name, aims in AIMS.items():
        began = perf_counter()
        count = points if len(aims) == 1 else max(points // 2, 4)
        fronts[name] = pareto(**problem, maximize={"yield": YIELD}, minimize=aims, points=count)
        seconds[name] = perf_counter() - began
        progress(f"{name}: {len(fronts[name].values)} points in {seconds[name]:.1f} s")
    began = perf_counter()
    alone = {
        "yield": optimize(**problem, maximize=YIELD).objective,
        "impurity": optimize(**problem, minimize=IMPURITY).objective,
        "batch time": optimize(**problem, minimize=TIME).objective,
    }
    seconds["one aim by itself"] = (perf_counter() - began) / len(alone)
    progress(", ".join(f"best {name} by itself: {value:.6g}" for name, value in alone.items()))
    return Outcome(
        claims(fronts, alone),
        facts={
            "fronts": {name: front.table().to_dict("list") for name, front in fronts.items()},
            "not_solved": {name: front.failed for name, front in fronts.items()},
            "alone": alone,
            "seconds": seconds,
            "price_of_impurity_mol_per_mol": prices(fronts["yield and impurity"]),
        },
        figures={
            "two_aims": lambda: pictures.draw_two(fronts["yield and impurity"], fronts["yield and batch time"]),
            "three_aims": lambda: pictures.draw_three(fronts["all three"]),
            "policies": lambda: pictures.draw_policies(fronts["yield and impurity"], temperature_limit_K),
        },
        notes=notes(fronts, seconds),
        solutions=chosen(fronts),
        sections={f"front: {name}": front.table() for name, front in fronts.items()},
    )


def batch(pieces: int, temperature: float) -> dict[str, Any]:
    """The batch reactor, its recipe, decisions and temperature limit: all but an aim."""
    reactor = BatchReactor("reactor")
    return {
        "plant": Flowsheet(reactor, time="s"),
        "recipe": Recipe(Phase("react", duration=Free(3600.0, SHORTEST, LONGEST))),
        "free": {reactor.T_j: PiecewiseConstant(pieces)},
        "subject_to": [Path(lambda v: v.reactor.T, upper=temperature, name="reactor temperature")],
    }


def chosen(fronts: Mapping[str, Front]) -> dict[str, Solution]:
    """A plan from the middle of each front, for the report."""
    return {f"middle of {name}": front.solutions[len(front.solutions) // 2] for name, front in fronts.items()}


def prices(front: Front) -> list[float]:
    """Yield per impurity at each point of the front, from the multipliers of the limit that holds the impurity."""
    found = []
    for plan in front.solutions:
        table = shadow_prices(plan)
        found.append(float(table["price"][table["limit"] == "aim impurity"].sum()))
    return found


def outside(front: Front) -> float:
    """By how much prices leave the slopes to both neighbours, between which a concave front has them; relative."""
    slopes = np.diff(front.values[:, 0]) / np.diff(front.values[:, 1])
    inner = np.array(prices(front))[1:-1]
    return float(np.maximum(inner / slopes[:-1] - 1.0, 1.0 - inner / slopes[1:]).max(initial=0.0))


def dominated(front: Front) -> int:
    """How many points are beaten in every aim by another, by more than rounding."""
    costs = front.values * np.where(front.maximized, -1.0, 1.0)
    costs = (costs - costs.min(axis=0)) / np.ptp(costs, axis=0)
    return sum(bool(np.any(np.all(costs < cost - 1e-5, axis=1))) for cost in costs)


def claims(fronts: Mapping[str, Front], alone: Mapping[str, float]) -> tuple[Claim, ...]:
    """What the case stands for: fronts that end where single aims do, in order, each point certified."""
    made: list[Claim] = []
    for name, front in fronts.items():
        gap = abs(front.values[:, 0].max() - alone["yield"])
        made.append(Claim(f"{name}: highest yield against that aim alone", gap, 1e-6, kind="at most", unit="mol/L"))
        for j, (aim, unit) in enumerate(zip(front.aims[1:], front.units[1:], strict=True), start=1):
            gap, size = abs(front.values[:, j].min() - alone[aim]), {"impurity": 1e-6, "batch time": 1e-2}[aim]
            made.append(Claim(f"{name}: least {aim} against that aim alone", gap, size, kind="at most", unit=unit))
        if len(front.aims) == 2:
            rise = float(np.diff(front.values, axis=0).min())
            made.append(Claim(f"{name}: both rise from point to point, by", rise, 0.0, kind="at least"))
        good = sum(bool(plan.certificate and plan.certificate.ok) for plan in front.solutions)
        made.append(Claim(f"{name}: points that another beats in all aims", dominated(front), 0.0))
        made.append(Claim(f"{name}: certificates that hold", good, len(front.solutions)))
        made.append(Claim(f"{name}: points not solved", len(front.failed), 0.0))
    beyond = outside(fronts["yield and impurity"])
    made.append(Claim("shadow prices leave the slopes of the front by", beyond, 1e-6, kind="at most"))
    return tuple(made)


def in_half_the_time(front: Front) -> dict[float, float]:
    """Yield that half of the longest time takes, by least and highest impurity of which most times are known."""
    levels, counts = np.unique(np.round(front.values[:, 1], 6), return_counts=True)
    found = {}
    for level in levels[counts >= min(3, counts.max())][[0, -1]]:
        here = front.values[np.abs(front.values[:, 1] - level) < 1e-5]
        here = here[np.argsort(here[:, 2])]
        found[float(level)] = float(here[-1, 0] - np.interp(0.5 * here[-1, 2], here[:, 2], here[:, 0]))
    return found


def notes(fronts: Mapping[str, Front], seconds: Mapping[str, float]) -> tuple[str, ...]:
    """What an engineer would take home."""
    pure, quick = fronts["yield and impurity"].values, fronts["yield and batch time"].values
    tight, last = prices(fronts["yield and impurity"])[1], prices(fronts["yield and impurity"])[-2]
    half = 0.5 * (pure[0, 1] + pure[-1, 1])
    left = float(np.interp(half, pure[:, 1], pure[:, 0]))
    k, hurried = len(quick) // 2, in_half_the_time(fronts["all three"])
    share = sum(seconds[name] for name in fronts) / sum(len(front.values) for front in fronts.values())
    return (
        f"Yield and impurity: {pure[-1, 0]:.3f} mol/L of B come with {pure[-1, 1]:.3f} mol/L of C; with half of C, "
        f"{left:.3f} mol/L are left. A mol of C less costs {tight:.1f} mol of B where C is scarce, and {last:.2f} mol "
        "near the highest yield.",
        f"Yield and batch time: after {quick[k, 1] / 60.0:.0f} min {quick[k, 0]:.3f} mol/L, after "
        f"{quick[-1, 1] / 60.0:.0f} min {quick[-1, 0]:.3f} mol/L. The front has no end: E_2 > E_1, so that a longer "
        "and colder batch is always more selective.",
        "All three: half of the longest time takes "
        + ", ".join(f"{loss:.3f} mol/L of yield at {level:.3f} mol/L of C" for level, loss in hurried.items())
        + ": haste costs most where C is scarce.",
        f"{share:.2f} s a point, one after another from its neighbour; an aim by itself takes "
        f"{seconds['one aim by itself']:.2f} s with its second start.",
    )
