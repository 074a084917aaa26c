"""How fast may a strongly exothermic feed be? A batch limited by its cooling, and by what happens when that fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

from titer.cases import exotherm_pictures as pictures
from titer.cases.case import Claim, Outcome, Progress, case
from titer.control import optimize, shadow_prices
from titer.flowsheets import AtEnd, Flowsheet, Free, Path, Phase, PiecewiseConstant, Recipe, replay, simulate
from titer.flowsheets.units import Adiabatic, Jacket, MassAction, Reaction, SemibatchReactor, Wall
from titer.numerics import Solution

SPECIES = ("A", "B", "C", "D")
GENTLE = 365.0  # K: adiabatic, the product then needs a day to its fastest decomposition
E_D = 1.4e5  # J/mol, activation energy of the decomposition
NETWORK = (
    Reaction("synthesis", {"A": -1, "B": -1, "C": 1}, MassAction(1.0, E=8.0e4, T_ref=343.15), -1.5e5, limiting="B"),
    Reaction("decomposition", {"C": -1, "D": 1}, MassAction(1.15e-3, E=E_D, T_ref=GENTLE), -3.0e5, completes=False),
)
COLDEST = 288.15  # K, the lower limit of the jacket
COOLING = Jacket(wall=Wall(U=120.0, A_0=0.5, A_V=0.004), T_j={"lower": COLDEST, "upper": 373.15})
NORMAL = 353.15  # K, the highest temperature of a batch as planned
FULL = 1000.0  # L
PRODUCT = 1900.0  # mol of C; 2000 mol of B fill the vessel
HOURS = 12.0  # after a failure, until cooling is surely back
FAILURES = 12  # moments at which the cooling fails, along a batch


@dataclass(frozen=True, eq=False)
class Policy:
    """A plan, the moments at which its cooling fails [h], and how hot each failure gets [K]; the worst one in full."""

    plan: Solution
    moments: np.ndarray
    hottest: np.ndarray
    worst: Solution

    @property
    def hours(self) -> float:
        """How long the batch takes."""
        return self.plan.duration["feed"]


@case("exotherm", title="Exothermic semibatch: fast, but safe if the cooling fails")
def exotherm(
    progress: Progress, *, quick: bool = False, pieces: int = 20, safe_temperature_K: float = GENTLE
) -> Outcome:
    """Cooling-limited, strongly exothermic semibatch whose product decomposes: fastest with and without safety.

    Settings: `pieces` of constant feed and jacket temperature; what the contents may reach by the synthesis alone
    after a cooling failure. `quick` takes fewer pieces and fewer failures.
    """
    pieces, failures = (12, 6) if quick else (pieces, FAILURES)
    policies = {}
    for name, limit in (("safe", safe_temperature_K), ("careless", None)):
        policies[name] = failing(fastest(pieces, limit), failures)
        policy = policies[name]
        said = f"{policy.hours:.2f} h; after a cooling failure up to {policy.hottest.max():.0f} K"
        progress(f"{name}: {said}; {_effort(policy.plan)}")
    prices = shadow_prices(policies["safe"].plan)
    return Outcome(
        claims(policies, safe_temperature_K),
        facts={
            "batch_time_h": {name: policy.hours for name, policy in policies.items()},
            "highest_T_cf_K": {name: float(p.plan["reactor.T_ad"].max()) for name, p in policies.items()},
            "failure_at_h": {name: policy.moments for name, policy in policies.items()},
            "hottest_K": {name: policy.hottest for name, policy in policies.items()},
            "shadow_prices": prices.to_dict("records"),
            "certificates": {name: str(policy.plan.certificate) for name, policy in policies.items()},
            "stats": {name: policy.plan.stats for name, policy in policies.items()},
        },
        figures={
            "policies": lambda: pictures.draw_policies(policies, safe_temperature_K, NORMAL, COLDEST),
            "failure": lambda: pictures.draw_failure(policies, safe_temperature_K, HOURS),
        },
        notes=notes(policies, safe_temperature_K, prices),
        solutions={name: policy.plan for name, policy in policies.items()},
        sections={"shadow prices of the safe batch": prices},
    )


def vessel(jacket: Any = COOLING, **start: Any) -> SemibatchReactor:
    """The reactor: 600 L with 3.6 mol/L of A, to which 5 mol/L of B is fed; 75 K adiabatic rise per mol/L of B."""
    charged = {"c": {"A": 3.6}, "T": 333.15, "V": 600.0}
    return SemibatchReactor(
        "reactor",
        species=SPECIES,
        reactions=NETWORK,
        jacket=jacket,
        rhoCp=2000.0,
        c_in={"B": 5.0},
        u={"upper": 600.0},
        **(charged | start),
    )


def fastest(pieces: int, safe: float | None) -> Solution:
    """Feed and jacket temperature of the shortest batch; `safe` [K]: limit of T_cf, if it has one."""
    reactor = vessel()
    limits = [
        Path(lambda v: v.reactor.T, upper=NORMAL, name="reactor temperature"),
        Path(lambda v: v.reactor.V, upper=FULL, name="volume"),
        AtEnd(lambda v: v["reactor.c[C]"] * v.reactor.V, lower=PRODUCT, name="product"),
    ]
    if safe is not None:
        limits.append(Path(lambda v: v.reactor.T_ad, upper=safe, name="cooling failure"))
    return optimize(
        Flowsheet(reactor, time="h"),
        Recipe(Phase("feed", duration=Free(6.0, 1.0, 30.0))),
        free={reactor.u: PiecewiseConstant(pieces), reactor.jacket.T_j: PiecewiseConstant(pieces)},
        minimize=AtEnd(lambda v: v.time),
        subject_to=limits,
        refine=1e-6,
    )


def failing(plan: Solution, failures: int) -> Policy:
    """Let the cooling of a batch fail, at moments along it and where the synthesis could heat it most."""
    at_worst = float(plan["reactor.T_ad"].idxmax())
    moments = np.unique(np.append(np.linspace(0.0, plan.duration["feed"], failures), at_worst))
    runs = [failed(plan, moment) for moment in moments]
    hottest = np.array([run["reactor.T"].max() for run in runs])
    soonest = np.array([fastest_rise(run) for run in runs])
    worst = runs[int(np.lexsort((soonest, -np.round(hottest)))[0])]
    return Policy(plan, moments, hottest, worst)


def failed(plan: Solution, moment: float) -> Solution:
    """What happens from a moment on without cooling and without feed."""

    def then(name: str) -> float:
        series = plan[name]
        return float(np.interp(moment, series.index, series))

    return uncooled(HOURS, {key: then(f"reactor.c[{key}]") for key in SPECIES}, then("reactor.T"), then("reactor.V"))


def uncooled(hours: float, c: Mapping[str, float], T: float, V: float = FULL) -> Solution:
    """Contents that nothing cools and nothing is fed to."""
    reactor = vessel(Adiabatic(), c=c, T=T, V=V)
    return simulate(Flowsheet(reactor, time="h"), Recipe(Phase("fail", duration=hours)), inputs={reactor.u: 0.0})


def fastest_rise(run: Solution) -> float:
    """When the temperature rises fastest, h."""
    T = run["reactor.T"]
    return float(T.index[int(np.argmax(np.gradient(T.to_numpy(), T.index.to_numpy() + 1e-9 * np.arange(len(T)))))])


def creep(safe: float) -> float:
    """How far decomposition heats the contents from `safe` in half the time to its maximum rate, K.

    Of zero order: R T^2/E ln(1/(1 - t/TMR)) (Semenov; Stoessel, Thermal Safety of Chemical Processes).
    """
    return 8.314 * safe**2 / E_D * log(2.0)


def claims(policies: Mapping[str, Policy], safe: float) -> tuple[Claim, ...]:
    """What the case stands for: safety costs time, and without it a failure ends in a decomposition."""
    plan, careless = policies["safe"].plan, policies["careless"].plan
    again, finished = replay(plan), uncooled(40.0, {"A": 0.26, "C": 1.9}, GENTLE)
    coldest = float(careless["reactor.jacket.T_j"].min())
    made = again.at_end("reactor.c[C]") * again.at_end("reactor.V")
    good = sum(bool(p.plan.certificate and p.plan.certificate.ok) for p in policies.values())
    deviation = max(p.plan.certificate.largest_deviation for p in policies.values() if p.plan.certificate)
    spare = (again["reactor.c[A]"] - again["reactor.c[B]"]).min()
    hottest, beyond = policies["safe"].hottest.max(), policies["careless"].hottest.max() - safe
    return (
        Claim("adiabatic from 365 K, time to maximum rate", fastest_rise(finished), 24.0, kind="at least", unit="h"),
        Claim("T_cf of the safe batch, replayed", float(again["reactor.T_ad"].max()), safe, 0.05, "at most", "K"),
        Claim("temperature of the safe batch, replayed", float(again["reactor.T"].max()), NORMAL, 0.05, "at most", "K"),
        Claim("T_cf of the careless batch above the limit by", _above(careless, safe), 20.0, kind="at least", unit="K"),
        Claim("its cooling is the limit: coldest jacket", coldest, COLDEST, 0.01, unit="K"),
        Claim("safe: hottest within 12 h of any failure", hottest, safe + creep(safe), kind="at most", unit="K",
              note="the limit, and what decomposition adds in half its time to maximum rate"),
        Claim("careless: a failure exceeds the limit by", beyond, 100.0, kind="at least", unit="K"),
        Claim("safety costs", policies["safe"].hours - policies["careless"].hours, 0.0, kind="at least", unit="h"),
        Claim("product of the safe batch, replayed", made, PRODUCT, 0.01, "at least", "mol"),
        Claim("B stays the scarcer reactant, by", float(spare), 0.0, kind="at least", unit="mol/L"),
        Claim("replay deviation in the certificates", deviation, 1e-6, kind="at most"),
        Claim("certificates that hold", good, len(policies)),
    )  # fmt: skip


def notes(policies: Mapping[str, Policy], safe: float, prices: Any) -> tuple[str, ...]:
    """What an engineer would take home."""
    tame, wild = policies["safe"], policies["careless"]
    few, much = (float(p.plan["reactor.c[B]"].max()) for p in (tame, wild))
    alone, ended = float(wild.plan["reactor.T_ad"].max()), float(wild.worst["reactor.T"].max())
    price = float(prices["price"][prices["limit"] == "cooling failure"].sum())
    at_coldest = (prices["limit"] == "bound of reactor.jacket.T_j") & (prices["side"] == "lower")
    colder, soon = float(prices["price"][at_coldest].sum()), fastest_rise(wild.worst)
    return (
        f"Without the safety limit the batch takes {wild.hours:.2f} h and is limited by cooling: the jacket is at its "
        f"coldest while B is fed. Up to {much:.2f} mol/L of B wait in the reactor, and heat by 75 K per mol/L; if the "
        f"cooling fails, the synthesis alone leads to {alone:.0f} K, where the product decomposes: {ended:.0f} K, "
        f"{soon:.1f} h after the failure.",
        f"With T_cf <= {safe:g} K the batch takes {tame.hours:.2f} h. B is fed as fast as it reacts, "
        f"{few:.2f} mol/L at most, and at nearly the highest temperature: warmer, less of it waits. A "
        f"failure at any moment leads to at most {tame.hottest.max():.1f} K within {HOURS:g} h.",
        f"Safety costs {tame.hours - wild.hours:.2f} h a batch; one kelvin more in the limit would save "
        f"{-60.0 * price:.0f} min, one kelvin less in the coldest jacket {3600.0 * colder:.0f} s.",
        "T_cf completes the synthesis and not the decomposition, whose rate it is to keep low "
        "(Reaction(..., completes=False)).",
    )


def _above(plan: Solution, safe: float) -> float:
    return float(plan["reactor.T_ad"].max()) - safe


def _effort(plan: Solution) -> str:
    stats = plan.stats
    return f"{stats['variables']} variables, {stats['iterations']} iterations, {stats['seconds_total']:.2f} s"
