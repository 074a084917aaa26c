"""The flagship: when is a batch reactor A -> B -> C best stopped, and how is its jacket best driven until then?

B is the product, C an impurity. All prices are illustrative, and settings: put your own in their place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from titer.cases import batch_reactor_pictures as pictures
from titer.cases.batch_reactor_answers import IsothermalReactor, known_answers
from titer.cases.batch_reactor_economics import Economics
from titer.cases.batch_reactor_sensitivities import Dependence, dependence
from titer.cases.case import Claim, Outcome, Progress, case
from titer.control import optimize
from titer.flowsheets import AtEnd, Flowsheet, Free, Path, Phase, PiecewiseConstant, Recipe, replay, simulate
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid, Ipopt, Solution

SHORTEST, LONGEST = 600.0, 36000.0  # s, between which the batch may be stopped
STOP = Free(3600.0, SHORTEST, LONGEST)
LATE = (10, 20, 30)  # min, by which a stop may be late

COLDEST = 300.0  # K, the lower limit of the jacket


@dataclass(frozen=True)
class Batch:
    """How a batch ended: minutes, mol/L and EUR."""

    minutes: float
    c_A: float
    c_B: float
    c_C: float
    margin: float


@dataclass(frozen=True, eq=False)
class Study:
    """All that was computed: the best plan and its replay, other policies, late stops, highest yields by hours."""

    economics: Economics
    plan: Solution
    again: Solution
    policies: Mapping[str, Batch]
    late: Mapping[int, Batch]
    cooled: Mapping[int, Batch]
    foreseen: Mapping[int, Batch]
    longest: Mapping[int, Solution]
    looser: float
    dependence: Dependence

    @property
    def best(self) -> Batch:
        """How the best batch ends."""
        return self.policies["best profile"]

    def lost(self, batch: Batch) -> float:
        """Margin below that of the best batch, in EUR."""
        return self.best.margin - batch.margin


@case("batch_reactor", title="Batch reactor: jacket temperature and stop time")
def batch_reactor(
    progress: Progress,
    *,
    quick: bool = False,
    pieces: int = 12,
    price_EUR_per_kg: float = 200.0,
    purification_EUR_per_kg: float = 100.0,
    occupancy_EUR_per_h: float = 4000.0,
    impurity_limit_mol_per_L: float = 0.12,
    temperature_limit_K: float = 345.0,
) -> Outcome:
    """Jacket temperature and stop time of a batch A -> B -> C, where time costs and the impurity C is limited.

    Settings: `pieces` of constant jacket temperature; what a kg of B sells for, what removing a kg of C costs, what an
    hour of the reactor costs (or would earn elsewhere); how much C the batch may end with; how hot the reactor may be.
    `quick` leaves out the longest batches.
    """
    limits = (impurity_limit_mol_per_L, temperature_limit_K)
    economics = Economics(price_EUR_per_kg, purification_EUR_per_kg, occupancy_EUR_per_h, *limits)
    known, known_facts = known_answers(progress)
    study = made(progress, economics, pieces, hours=(1, 2, 4) if quick else (1, 2, 4, 8, 16))
    return Outcome(
        (*claims(study), *study.dependence.claims(), *known),
        facts=facts(study) | study.dependence.facts() | known_facts,
        figures={
            "optimum": lambda: pictures.draw_optimum(study),
            "policies": lambda: pictures.draw_policies(study),
            "overrun": lambda: pictures.draw_overrun(
                study, overrun(study.plan, LATE[-1]), overrun(study.plan, LATE[-1], COLDEST)
            ),
            "yield_over_time": lambda: pictures.draw_yields(study),
            "sensitivity": lambda: pictures.draw_sensitivity(study.dependence),
        },
        notes=(*notes(study), *study.dependence.notes()),
        solutions={"best batch": study.plan},
        sections=study.dependence.sections(),
    )


def made(progress: Progress, economics: Economics, pieces: int, hours: Sequence[int]) -> Study:
    """Optimize the batch, and everything it is compared with."""
    plan = best_batch(economics, pieces)
    best = ended(economics, plan)
    progress(f"best profile: stop at {best.minutes:.1f} min, {best.margin:.0f} EUR a batch; {_effort(plan)}")
    policies = {
        "best profile": best,
        "constant jacket": ended(economics, best_batch(economics, 1)),
        "ideal isothermal": ended(economics, best_isothermal(economics)),
    }
    progress("compared: " + ", ".join(f"{name} {batch.margin:.0f} EUR" for name, batch in policies.items()))
    late = {minutes: ended(economics, overrun(plan, minutes)) for minutes in LATE}
    cooled = {minutes: ended(economics, overrun(plan, minutes, COLDEST)) for minutes in LATE}
    foreseen = {m: ended(economics, best_batch(economics, pieces, 60.0 * (best.minutes + m))) for m in LATE}
    progress("stopped late: " + ", ".join(f"{m} min {late[m].margin - best.margin:+.0f} EUR" for m in LATE))
    looser = best_batch(replace(economics, impurity=economics.impurity + 0.01), pieces).objective - plan.objective
    longest = {h: highest_yield(h, pieces) for h in hours}
    progress("highest yield: " + ", ".join(f"{p.objective:.4f} mol/L in {h} h" for h, p in longest.items()))
    found = dependence(lambda values, wider: resolved(plan, economics.wider(wider), pieces, values))
    progress(f"sensitivities: off by {found.largest_error:.1e} from solving again")
    return Study(economics, plan, replay(plan), policies, late, cooled, foreseen, longest, looser, found)


def resolved(plan: Solution, economics: Economics, pieces: int, values: Mapping[str, float]) -> Solution:
    """The best batch of other parameters or limits, as sharply as differences of it need."""
    how: dict[str, Any] = {"grid": Grid(elements=plan.stats["elements"]), "solver": Ipopt(tolerance=1e-10), "starts": 1}
    return best_batch(economics, pieces, values=values, **how)


def best_batch(
    economics: Economics, pieces: int, stop: Free | float = STOP, values: Mapping[str, float] | None = None, **how: Any
) -> Solution:
    """The jacket temperatures, and the stop time [s] if it is free, of the highest margin; `values` of parameters."""
    reactor = BatchReactor("reactor")
    return optimize(
        Flowsheet(reactor, time="s").with_values(values or {}),
        Recipe(Phase("react", duration=stop)),
        free={reactor.T_j: PiecewiseConstant(pieces)},
        maximize=AtEnd(economics),
        subject_to=[
            Path(lambda v: v.reactor.T, upper=economics.temperature, name="reactor temperature"),
            AtEnd(lambda v: v.reactor.c_C, upper=economics.impurity, name="impurity"),
        ],
        **how,
    )


def best_isothermal(economics: Economics) -> Solution:
    """The temperature and stop time of the highest margin of a batch that is isothermal from its first second."""
    reactor = IsothermalReactor("reactor")
    return optimize(
        Flowsheet(reactor, time="s"),
        Recipe(Phase("react", duration=STOP)),
        free={reactor.T: Free(min(335.0, economics.temperature), COLDEST, economics.temperature)},
        maximize=AtEnd(economics),
        subject_to=[AtEnd(lambda v: v.reactor.c_C, upper=economics.impurity, name="impurity")],
    )


def overrun(plan: Solution, minutes: float, jacket: float | None = None) -> Solution:
    """The best batch stopped late, its jacket left as it was at the planned end, or set to a temperature there."""
    import pandas as pd

    reactor, end = BatchReactor("reactor"), plan.duration["react"]
    driven = plan[reactor.T_j]
    if jacket is not None:
        driven = pd.concat([driven, pd.Series([jacket], index=[end])])
    later = Recipe(Phase("react", duration=end + 60.0 * minutes))
    return simulate(Flowsheet(reactor, time="s"), later, inputs={reactor.T_j: driven}, points=600)


def highest_yield(hours: float, pieces: int) -> Solution:
    """The most B that a batch of a given length can hold at its end, whatever it costs and whatever else it holds."""
    reactor = BatchReactor("reactor")
    return optimize(
        Flowsheet(reactor, time="s"),
        Recipe(Phase("react", duration=3600.0 * hours)),
        free={reactor.T_j: PiecewiseConstant(pieces)},
        maximize=AtEnd(lambda v: v.reactor.c_B),
    )


def mean_jacket(plan: Solution) -> float:
    """Mean jacket temperature of equal pieces, in kelvin."""
    return float(np.mean(plan.phases[0].shapes["reactor.T_j"][1]))


def ended(economics: Economics, run: Solution) -> Batch:
    """How a run ended, and what that is worth."""
    hours = run.duration["react"] / 3600.0
    c_A, c_B, c_C = (run.at_end(name) for name in ("reactor.c_A", "reactor.c_B", "reactor.c_C"))
    return Batch(60.0 * hours, c_A, c_B, c_C, economics.margin(c_B, c_C, hours))


def claims(study: Study) -> list[Claim]:
    """What the study stands for: the policy is better, keeps its limits on a replay, and is certified."""
    economics, plan, again, best = study.economics, study.plan, study.again, study.best
    certificate = plan.certificate
    assert certificate is not None
    gain, over_isothermal = (study.lost(study.policies[name]) for name in ("constant jacket", "ideal isothermal"))
    inside = min(best.minutes - SHORTEST / 60.0, LONGEST / 60.0 - best.minutes)
    rises = np.diff([plan.objective for plan in study.longest.values()])
    falls = -np.diff([mean_jacket(plan) for plan in study.longest.values()])
    late = study.lost(study.late[LATE[-1]])
    margin = ended(economics, again).margin
    return [
        Claim("profile above best constant jacket", gain, 0.0, kind="at least", unit="EUR/batch"),
        Claim("profile above ideal isothermal", over_isothermal, 0.0, kind="at least", unit="EUR/batch"),
        Claim("30 min late lose more than the profile gains", late - gain, 0.0, kind="at least", unit="EUR/batch"),
        Claim("stop time inside its limits, by", inside, 1.0, kind="at least", unit="min"),
        Claim(
            "impurity at the end, replayed", again.at_end("reactor.c_C"), economics.impurity, 1e-5, "at most", "mol/L"
        ),
        Claim(
            "reactor temperature, replayed",
            float(again["reactor.T"].max()),
            economics.temperature,
            0.01,
            "at most",
            "K",
        ),
        Claim("margin, replayed", margin, plan.objective, 2.0, unit="EUR/batch"),
        Claim("replay deviation in the certificate", certificate.largest_deviation, 1e-5, kind="at most"),
        Claim("certificate holds (1: yes)", float(certificate.ok), 1.0),
        Claim("batch twice as long yields more B, by", float(min(rises)), 0.0, kind="at least", unit="mol/L"),
        Claim("and wants a colder jacket, by", float(min(falls)), 0.0, kind="at least", unit="K"),
    ]


def facts(study: Study) -> dict[str, Any]:
    """The numbers behind the pictures."""
    groups: dict[str, Mapping[Any, Batch]] = {
        "policies": study.policies,
        "late": study.late,
        "late_and_cooled": study.cooled,
        "late_and_foreseen": study.foreseen,
    }
    return {
        "economics": asdict(study.economics),
        **{key: {name: asdict(batch) for name, batch in group.items()} for key, group in groups.items()},
        "jacket_K": [float(level) for level in study.plan.phases[0].shapes["reactor.T_j"][1]],
        "highest_yield": {hours: plan.objective for hours, plan in study.longest.items()},
        "mean_jacket_K": {hours: mean_jacket(plan) for hours, plan in study.longest.items()},
        "EUR_for_0.01_mol_per_L_of_impurity": study.looser,
        "certificate": str(study.plan.certificate),
        "stats": study.plan.stats,
    }


def notes(study: Study) -> tuple[str, ...]:
    """What an engineer would take home."""
    best, late, limit = study.best, study.late, study.economics.impurity
    shortest, longest = min(study.longest), max(study.longest)
    first, last = study.longest[shortest], study.longest[longest]
    constant, isothermal = (study.lost(study.policies[name]) for name in ("constant jacket", "ideal isothermal"))
    changes = ", ".join(f"{-study.lost(batch):+.0f}" for batch in late.values())
    return (
        f"Best batch: stop at {best.minutes:.1f} min with {best.c_B:.4f} mol/L of B and {best.c_C:.4f} mol/L of C, "
        f"{best.margin:.0f} EUR. Raising the limit of C by all of 0.01 mol/L would be worth "
        f"{max(study.looser, 0.0):.0f} EUR; its first small step is worth more, as the price below says.",
        f"The profile, hot first and colder as B builds up, earns {constant:.0f} EUR a batch more than the best "
        f"constant jacket and {isothermal:.0f} EUR more than a batch that is ideally isothermal.",
        f"A stop {', '.join(map(str, late))} min late changes the margin by {changes} EUR, and leaves up to "
        f"{late[LATE[-1]].c_C:.3f} mol/L of C (limit {limit:g}): the stop time matters more than the profile. With "
        f"the jacket at {COLDEST:g} K from the planned end on, {LATE[-1]} min cost "
        f"{study.lost(study.cooled[LATE[-1]]):.0f} EUR; foreseen and planned for, "
        f"{study.lost(study.foreseen[LATE[-1]]):.0f} EUR.",
        "Why time must cost, or C be limited: E_2 > E_1, so a colder batch is always more selective, and 'highest "
        "yield, free stop time' has no finite optimum; only the jacket's coldest temperature ends it. "
        f"From {shortest} h to {longest} h the highest yield rises from {first.objective:.4f} to {last.objective:.4f} "
        f"mol/L, and the mean jacket falls from {mean_jacket(first):.1f} to {mean_jacket(last):.1f} K.",
        "Prices, volume and molar mass are illustrative; prices and limits are changed by --set.",
    )


def _effort(plan: Solution) -> str:
    stats = plan.stats
    return f"{stats['variables']} variables, {stats['iterations']} iterations, {stats['seconds_total']:.2f} s"
