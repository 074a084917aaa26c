"""How much product does it cost to keep the limits on plants that are not the model? A published fed-batch, hedged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from titer.cases import robust_feeding_pictures as pictures
from titer.cases import robust_feeding_plans as plans
from titer.cases.case import Claim, Outcome, Progress, case
from titer.control import Stress, sample, stress
from titer.flowsheets import replay
from titer.numerics import Solution

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED = (1.682, 0.003)  # g/L of product
DEVIATION = 1e-4  # largest difference to a replay by another integrator that is accepted, of a state's size
CHECKED = 10  # plants that are integrated again by SciPy
KEPT, WORST, CHANCE, RECOURSE = "robust", "worst fifth", "chance", "recourse"
SOURCES = dict.fromkeys((f"tank.{name}" for name in plans.DEVIATIONS), "Srinivasan, Palanki and Bonvin (2003)")


@case("robust_feeding", title="Robust feeding: the same fed-batch on a thousand plants")
def robust_feeding(
    progress: Progress,
    *,
    quick: bool = False,
    scenarios: int = 40,
    may_miss: int = 2,
    plants: int = 1000,
    seed: int = 0,
) -> Outcome:
    """Fed-batch with uncertain kinetics: the nominal feed breaks its biomass limit on every other plant; hedged feeds.

    Settings: `scenarios` for which robust feeds are made, of which `may_miss` may miss the limit under the chance
    constraint (2 of 40: 95 %); on how many other `plants` all feeds are tried; the `seed` of both draws. `quick` takes
    a fifth of the scenarios, of which one may miss, and a tenth of the plants.
    """
    if quick:
        scenarios, may_miss, plants = scenarios // 5, 1, plants // 10
    cases = sample(plans.uncertain(), scenarios, seed=seed)
    made = {"nominal": plans.nominal()}
    progress(f"nominal: {made['nominal'].objective:.4f} g/L")
    made[KEPT] = plans.robust(cases)
    progress(f"all limits in {scenarios} scenarios: {made[KEPT].objective:.4f} g/L on average")
    made |= plans.hedged(cases, 1.0 - may_miss / scenarios, made[KEPT])
    progress("; ".join(f"{name}: {made[name].objective:.4f} g/L" for name in (WORST, CHANCE, RECOURSE)))
    others = sample(plans.uncertain(), plants, seed=seed + 1)
    tested = {name: stress(plan, others, plans.COUNTED) for name, plan in made.items() if name != RECOURSE}
    progress(f"on {plants} plants: " + ", ".join(f"{name} misses {100 * t.rate:.1f} %" for name, t in tested.items()))
    table = summary(made, tested)
    asked = may_miss / scenarios
    return Outcome(
        claims(made, tested, asked) + certified(made) + checked(made[KEPT], tested[KEPT], others),
        facts={
            "table": table.reset_index().to_dict("list"),
            "missed_by_limit": {name: t.table().reset_index().to_dict("list") for name, t in tested.items()},
            "feed_L_per_h": {name: plans.feed_of(plan) for name, plan in made.items() if name != RECOURSE},
            "chance": made[CHANCE].stats["chance"],
            "seconds": {name: plan.stats["seconds_total"] for name, plan in made.items()},
            "seconds_of_plants": {name: t.seconds for name, t in tested.items()},
        },
        figures={
            "violations": lambda: pictures.draw_violations(tested, asked),
            "feeds": lambda: pictures.draw_feeds({name: made[name] for name in tested}, _on_plants(made, cases)),
            "recourse": lambda: pictures.draw_recourse(made[RECOURSE], made[KEPT]),
        },
        notes=notes(made, tested, asked),
        solutions={KEPT: made[KEPT], **{name: plan for name, plan in made.items() if name != KEPT}},
        sections={f"the feeds on {plants} other plants": table},
        sources=SOURCES,
    )


def summary(made: Mapping[str, Solution], tested: Mapping[str, Stress]) -> pd.DataFrame:
    """A row per feed: what it promised, which share of the plants misses a limit, and what they make."""
    import pandas as pd

    rows = {}
    for name, each in tested.items():
        product, (low, high) = each.values["objective"], each.interval()
        rows[name] = {
            "promised g/L": made[name].objective,
            "missed": each.rate,
            "from": low,
            "to": high,
            "vouched for": plans.vouched(made[name]) if made[name].scenarios else float("nan"),
            "mean g/L": float(product.mean()),
            "worst fifth g/L": worst(product.to_numpy()),
            "least g/L": float(product.min()),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("feed")


def worst(product: np.ndarray) -> float:
    """The mean of the worst fifth, counted; of the one at its edge only the part that belongs to it."""
    fifth = plans.WORST * len(product)
    part = np.clip(fifth - np.arange(len(product)), 0.0, 1.0)
    return float(np.dot(part, np.sort(product)) / fifth)


def claims(made: Mapping[str, Solution], tested: Mapping[str, Stress], asked: float) -> tuple[Claim, ...]:
    """What the case stands for: the risk of the nominal feed, what hedged ones promise, and what is kept of it."""
    kept, tail, chance, recourse = (made[name] for name in (KEPT, WORST, CHANCE, RECOURSE))
    nominal, robust = tested["nominal"], tested[KEPT]
    limit = plans.OXYGEN.label()
    said, counted = chance.stats["chance"][limit]["counted"], 1.0 - plans.missed(chance) / len(chance.scenarios)
    lost = 1.0 - robust.values["objective"].mean() / nominal.values["objective"].mean()
    failed = sum(int((each.values["failed"] != "").sum()) for each in tested.values())
    beyond, apart = float(nominal.missed[limit].mean()), nominal.interval()[0] - robust.interval()[1]
    mean, fifth = plans.products(kept).mean(), worst(plans.products(tail))
    return (
        Claim("nominal feed: product", made["nominal"].objective, *PUBLISHED, unit="g/L", note="published: 1.68"),
        Claim("nominal feed: share of plants with too much biomass", beyond, 0.5, 0.1, note="the toss of a coin"),
        Claim("robust feed: scenarios with too much biomass", plans.missed(kept), 0.0),
        Claim("robust feed: mean product of its scenarios, counted", mean, kept.objective, 1e-6, unit="g/L"),
        Claim("worst fifth: mean product of its worst, counted", fifth, tail.objective, 1e-6, unit="g/L"),
        Claim("chance: share of scenarios with too much biomass", 1.0 - counted, asked, 1e-9, kind="at most"),
        Claim("chance: share that keeps the limit, as the plan says", said, counted, 1e-9),
        Claim("nominal misses more than robust: between their intervals", apart, 0.0, kind="at least"),
        *(_as_vouched(name, made[name], tested[name]) for name in (KEPT, WORST, CHANCE)),
        Claim("robust feed: others that miss any limit, lower end", robust.interval()[0], asked, kind="at most"),
        Claim("to miss some scenarios pays", chance.objective, kept.objective, kind="at least", unit="g/L"),
        Claim("to look at the worst fifth pays there", fifth, worst(plans.products(kept)), 1e-6, "at least", "g/L"),
        Claim("to know the plant after 50 h pays", recourse.objective, kept.objective, kind="at least", unit="g/L"),
        Claim("price of robustness: share of the product lost", lost, 0.05, kind="at most"),
        Claim("and there is a price", lost, 0.0, kind="at least"),
        Claim("runs that failed", failed, 0.0),
    )


def _as_vouched(name: str, plan: Solution, tested: Stress) -> Claim:
    """The plan's risk on other plants is, within the interval, no larger than what its scenarios vouch for."""
    low = float(tested.table().loc[plans.OXYGEN.label(), "lower"])
    return Claim(f"{name}: others with too much biomass, lower end", low, plans.vouched(plan), kind="at most")


def certified(made: Mapping[str, Solution]) -> tuple[Claim, ...]:
    """Every plan is replayed in every scenario."""
    certificates = [plan.certificate for plan in made.values() if plan.certificate is not None]
    far = max(each.largest_deviation for each in certificates)
    return (
        Claim("certificates that hold", sum(each.ok for each in certificates), len(made)),
        Claim("replay deviation in the certificates", far, DEVIATION, kind="at most"),
    )


def checked(plan: Solution, tested: Stress, others: Sequence[Mapping[str, float]]) -> tuple[Claim, ...]:
    """The test on many plants against SciPy on some of them."""
    again = np.array([plans.integrated(plan, values) for values in others[:CHECKED]])
    found = tested.values[[plans.OXYGEN.label(), "objective"]].to_numpy()[:CHECKED]
    highest, product = np.abs(found - again).max(axis=0)
    return (
        Claim("highest biomass of plants against SciPy", highest, 1e-4, kind="at most", unit="g/L"),
        Claim("product of plants against SciPy", product, 1e-5, kind="at most", unit="g/L"),
    )


def notes(made: Mapping[str, Solution], tested: Mapping[str, Stress], asked: float) -> tuple[str, ...]:
    """What an engineer would take home."""
    mean = {name: float(each.values["objective"].mean()) for name, each in tested.items()}
    rate = {name: 100.0 * each.rate for name, each in tested.items()}
    low, high = (100.0 * end for end in tested[CHANCE].interval())
    price, won = mean["nominal"] - mean[KEPT], mean[CHANCE] - mean[KEPT]
    spread = float(tested[KEPT].values["objective"].std())
    gain = made[RECOURSE].objective - made[KEPT].objective
    tail = worst(tested[WORST].values["objective"].to_numpy()) - worst(tested[KEPT].values["objective"].to_numpy())
    return (
        f"The nominal feed runs along its limits, and about every other plant crosses one: {rate['nominal']:.0f} %. "
        f"The robust feed leaves room where that is cheap: {rate[KEPT]:.1f} % of other plants miss a limit, for "
        f"{1000 * price:.0f} mg/L of product, {100 * price / mean['nominal']:.1f} %.",
        f"The chance constraint asks for {100 * (1 - asked):.3g} % of the scenarios and gets it, there. Of other "
        f"plants {rate[CHANCE]:.1f} % miss a limit ({low:.1f} to {high:.1f} %), for {1000 * won:.0f} mg/L more than "
        "the robust feed. Its scenarios alone vouch for less: another draw of as many could have left "
        f"{100 * plans.vouched(made[CHANCE]):.0f} % (robust feed: "
        f"{100 * plans.vouched(made[KEPT]):.0f} %). A plan's risk is what other plants show.",
        f"Product differs by {1000 * spread:.0f} mg/L from plant to plant (standard deviation), almost all of it by "
        f"nu, which no feed changes: to look at the worst fifth changes its mean by {1000 * tail:+.2f} mg/L.",
        f"If each plant showed after {plans.PARTING:g} h which it is, {1000 * gain:.0f} mg/L could be gained on "
        "average, because a plant that is known can be run to its own limit: with pieces of 10 h no "
        "controller can earn more from then on.",
        "Where less is fed than production takes, the published model lets substrate go below zero and cells shrink; "
        "counted as starved is a plant with S below -0.0005 g/L, 1 % of K_S.",
    )


def _on_plants(made: Mapping[str, Solution], cases: Sequence[Mapping[str, float]]) -> dict[str, list[pd.Series]]:
    """Biomass over time of the nominal and the robust feed in the same scenarios."""
    nominal = (replay(made["nominal"], plans.plant().with_values(each), tolerance=1e-8) for each in cases)
    return {
        "nominal": [run["tank.X"] for run in nominal],
        KEPT: [run["tank.X"] for run in made[KEPT].scenarios],
    }
