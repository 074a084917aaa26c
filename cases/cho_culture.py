"""A culture of CHO cells and its feeds: what is practised, what is best, and the published equations once more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.control import optimize
from titer.flowsheets import AtEnd, Flowsheet, Free, Path, Phase, PiecewiseConstant, Reaches, Recipe, simulate
from titer.flowsheets.terms import Term
from titer.flowsheets.units import ChoFedBatch, TemperatureShift
from titer.numerics import Solution

WARM, COLD = 310.15, 305.15  # K; colder than this the temperature's part has no numbers
RICHEST = {"Glc": 500.0, "Gln": 200.0}  # mmol/L: a concentrated feed; the usual stock solution of glutamine
DAILY = {"Glc": 500.0, "Gln": 50.0}  # mmol/L, the feed as practised
DAY = 24.0
TITER = AtEnd(lambda v: v.culture.mAb)


@dataclass(frozen=True)
class Limits:
    """What is allowed: volume [L], lactate, ammonium, glucose at most and at least [mmol/L], time at least and most."""

    volume: float = 1.3
    lactate: float = 60.0
    ammonium: float = 5.0
    glucose: float = 50.0
    hunger: float = 5.0
    shortest: float = 96.0
    longest: float = 336.0

    def terms(self) -> list[Term]:
        """What stands in `subject_to`."""
        return [
            Path(lambda v: v.culture.V, upper=self.volume, name="volume"),
            Path(lambda v: v.culture.Lac, upper=self.lactate, name="lactate"),
            Path(lambda v: v.culture.Amm, upper=self.ammonium, name="ammonium"),
            Path(lambda v: v.culture.Glc, upper=self.glucose, name="glucose"),
            Path(lambda v: v.culture.Glc, lower=self.hunger, name="hunger"),
            AtEnd(lambda v: v.time, lower=self.shortest, name="shortest"),
            AtEnd(lambda v: v.time, upper=self.longest, name="longest"),
        ]


@dataclass(frozen=True)
class Schedule:
    """Feeding as practised: a bolus a day from day 1 [L]; after `shift` days it is cold and the bolus is `later`."""

    bolus: float = 0.04
    shift: int | None = None
    later: float = 0.02

    def warm(self, day: int) -> bool:
        """Whether a day is before the shift."""
        return self.shift is None or day < self.shift

    def volume(self, day: int) -> float:
        """What is fed as a day begins, L."""
        return 0.0 if day == 0 else self.bolus if self.warm(day) else self.later


def plant(production: float = 2.0) -> Flowsheet:
    """The culture, with a temperature; `production`: specific production at 32 degC by that at 37 degC, NOT published.

    Ammonium that is used up turns back by itself, so it has no domain to keep.
    """
    shift = TemperatureShift(production_low=production)
    return Flowsheet(ChoFedBatch("culture", shift=shift, Amm={"lower": -0.5}), time="h")


def practised(schedule: Schedule, limits: Limits) -> Solution:
    """A schedule, simulated until the lactate is at its limit, or the time."""
    days = range(int(limits.longest // DAY))
    whole = _simulated([_day(schedule, day, DAY) for day in days])
    lactate = whole["culture.Lac"]
    over = lactate.index[lactate.to_numpy() > limits.lactate]
    if not len(over):
        return whole
    last = int(over[0] // DAY)
    until = Reaches("culture.Lac", limits.lactate, "rising")
    ending = _day(schedule, last, Free(0.5 * DAY, 0.0, DAY), until)
    return _simulated([*(_day(schedule, day, DAY) for day in range(last)), ending])


def _day(schedule: Schedule, day: int, duration: Any, until: Reaches | None = None) -> Phase:
    culture = ChoFedBatch("culture")
    fed = [culture.bolus(schedule.volume(day), **DAILY)] if schedule.volume(day) > 0.0 else []
    temperature = {"culture.T": WARM if schedule.warm(day) else COLD}
    return Phase(f"day {day}", duration, until=until, fixed=temperature, actions=fed)


def _simulated(days: Sequence[Phase]) -> Solution:
    return simulate(plant(), Recipe(*days), inputs={"culture.F": 0.0})


def feeding(limits: Limits, every: float) -> dict[str, Any]:
    """All of an optimization at 37 degC but its aim: feed in pieces of `every` h, its composition, the harvest."""
    guess = min(200.0, 0.9 * limits.longest)
    return {
        "plant": plant(),
        "recipe": Recipe(Phase("warm", Free(guess, DAY, limits.longest), fixed={"culture.T": WARM})),
        "free": _feed(every),
        "inputs": {"culture.F": 0.0015},
        "subject_to": limits.terms(),
    }


def shifting(limits: Limits, every: float, production: float = 2.0) -> dict[str, Any]:
    """The same with a colder second phase, whose beginning and temperature are decided as well."""
    warm = Phase("warm", Free(48.0, 6.0, 240.0), fixed={"culture.T": WARM})
    guess = min(168.0, 0.8 * limits.longest)
    return feeding(limits, every) | {
        "plant": plant(production),
        "recipe": Recipe(warm, Phase("cold", Free(guess, 12.0, limits.longest))),
        "free": _feed(every) | {"culture.T": PiecewiseConstant(1, lower=COLD)},
        "inputs": {"culture.F": 0.0015, "culture.T": COLD + 1.0},
    }


def _feed(every: float) -> dict[str, Any]:
    return {
        "culture.F": PiecewiseConstant(every=every),
        "culture.Glc_feed": Free(400.0, 50.0, RICHEST["Glc"]),
        "culture.Gln_feed": Free(20.0, 0.0, RICHEST["Gln"]),
    }


def best(problem: dict[str, Any], accuracy: float) -> Solution:
    """The highest titer; `accuracy`: largest deviation from a replay."""
    return optimize(**problem, maximize=TITER, starts=1, refine=accuracy)


def titer(run: Solution) -> float:
    """Antibody at harvest, g/L."""
    return float(run.at_end("culture.mAb"))


def hours(run: Solution) -> float:
    """Time of harvest, h."""
    return float(sum(run.duration.values()))


def integrated(schedule: Schedule, end: float) -> dict[str, float]:
    """The published equations under a schedule at 37 degC, integrated by SciPy without titer, at `end`."""
    from scipy.integrate import solve_ivp

    def rates(_: float, x: Any) -> list[float]:
        Xv, glc, gln, lac, amm, _mab = x
        mu = 0.039 * glc / (1.0 + glc) * gln / (0.047 + gln) * 43.0 / (43.0 + lac) * 6.51 / (6.51 + amm)
        net = mu - 0.004 * lac / (45.8 + lac) * amm / (6.51 + amm)
        q_glc, q_gln = net / 0.357 + 69.2e-3, net / 0.974 + 3.2e-3 * gln / (2.1 + gln)
        q_amm, decay = 0.67 * net / 0.974 - 6.3e-3, 7.2e-3 * gln
        made = 1.51e-3 * Xv * (1.0 - mu / 0.039)
        return [net * Xv, -q_glc * Xv, -q_gln * Xv - decay, 0.7 * q_glc * Xv, q_amm * Xv + decay, made]

    brought = np.array([0.0, DAILY["Glc"], DAILY["Gln"], 0.0, 0.0, 0.0])
    x, V, day = np.array([4.0, 35.0, 4.0, 0.5, 0.3, 0.0]), 1.0, 0
    while DAY * day < end:
        fed = schedule.volume(day)
        x, V = (x * V + brought * fed) / (V + fed), V + fed
        span = (DAY * day, min(DAY * (day + 1), end))
        x, day = solve_ivp(rates, span, x, method="LSODA", rtol=1e-10, atol=1e-12).y[:, -1], day + 1
    return dict(zip(("Xv", "Glc", "Gln", "Lac", "Amm", "mAb"), (float(value) for value in x), strict=True))
