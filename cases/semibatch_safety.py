"""A published optimum: the fastest feed of a semibatch reactor that stays safe if its cooling fails."""

from __future__ import annotations

from typing import Any

import numpy as np

from titer.cases import semibatch_safety_pictures as pictures
from titer.cases.case import Claim, Outcome, Progress, case
from titer.control import optimize, shadow_prices
from titer.flowsheets import AtEnd, Flowsheet, Free, Path, Phase, PiecewiseConstant, Recipe, replay
from titer.flowsheets.units import SemibatchReactor
from titer.numerics import Solution

SOURCE = "Srinivasan, Palanki and Bonvin (2003), example 1"
PUBLISHED = (19.80, 0.01)  # h
SAFE = 353.15  # K, 80 C: what the contents may reach after a cooling failure
FULL = 1.0  # L
PRODUCT = 0.6  # mol of C at the end
DEVIATION = 1e-6  # largest difference to a replay by another integrator that is accepted
ALLOWED = {"cooling failure": ("upper", SAFE), "volume": ("upper", FULL), "product": ("lower", PRODUCT)}


@case("semibatch_safety", title="Semibatch reactor: as fast as is safe")
def semibatch_safety(progress: Progress, *, quick: bool = False, pieces: int = 40) -> Outcome:
    """Published semibatch A + B -> C: the shortest batch that is safe at every moment if the cooling fails.

    Settings: `pieces` of constant feed; `quick` takes half as many.
    """
    pieces = pieces // 2 if quick else pieces
    plan = fastest(pieces)
    progress(f"fastest safe batch: {plan.objective:.4f} h with {pieces} pieces; {_effort(plan)}")
    careless = fastest(pieces, {**ALLOWED, "cooling failure": ("upper", 1e3)})
    hottest = float(careless["reactor.T_ad"].max())
    progress(f"without regard to safety: {careless.objective:.4f} h, up to {hottest:.2f} K if the cooling fails")
    arcs = two_arcs()
    progress(f"two arcs, integrated: feed on the limit until {arcs[0]:.4f} h, end at {arcs[1]:.4f} h")
    table = shadow_prices(plan)
    prices = {str(name): float(price) for name, price in zip(table["limit"], table["price"], strict=True)}
    again = {name: priced_again(pieces, name, plan) for name in ALLOWED}
    return Outcome(
        claims(plan, careless, arcs, prices, again),
        facts={
            "batch_time_h": {"safe": plan.objective, "careless": careless.objective, "two_arcs": arcs[1]},
            "feed_stops_h": {"safe": stopped(plan), "careless": stopped(careless), "two_arcs": arcs[0]},
            "hottest_after_cooling_failure_K": {"safe": float(plan["reactor.T_ad"].max()), "careless": hottest},
            "shadow_prices": table.to_dict("records"),
            "shadow_prices_by_solving_again": again,
            "feed_L_per_h": [float(u) for u in plan.phases[0].shapes["reactor.u"][1]],
            "certificate": str(plan.certificate),
            "stats": plan.stats,
        },
        figures={
            "optimum": lambda: pictures.draw_optimum(plan, careless, arcs[0], (SAFE, FULL)),
            "prices": lambda: pictures.draw_prices(prices, again),
        },
        notes=notes(plan, careless, prices),
        solutions={"safe": plan, "without the safety limit": careless},
        sections={"shadow prices": table},
        sources=dict.fromkeys(("reactor.k0", "reactor.dH", "reactor.rhoCp", "reactor.c", "reactor.c_in"), SOURCE),
    )


def fastest(pieces: int, allowed: dict[str, tuple[str, float]] = ALLOWED) -> Solution:
    """The feed and the stop time of the shortest batch within what is allowed."""
    reactor = SemibatchReactor("reactor")
    (_, safe), (_, full), (_, product) = (allowed[name] for name in ALLOWED)
    return optimize(
        Flowsheet(reactor, time="h"),
        Recipe(Phase("feed", duration=Free(25.0, 5.0, 60.0))),
        free={reactor.u: PiecewiseConstant(pieces)},
        minimize=AtEnd(lambda v: v.time),
        subject_to=[
            Path(lambda v: v.reactor.T_ad, upper=safe, name="cooling failure"),
            Path(lambda v: v.reactor.V, upper=full, name="volume"),
            AtEnd(lambda v: v["reactor.c[C]"] * v.reactor.V, lower=product, name="product"),
        ],
        refine=DEVIATION,
    )


def priced_again(pieces: int, name: str, plan: Solution) -> float:
    """What a limit costs by solving again, twice, with a little more room; in hours per unit of the limit.

    With less room the charge itself, which stands on the safety limit, would be out of bounds.
    """
    side, value = ALLOWED[name]
    step = 5e-4 * (10.0 if name == "cooling failure" else value) * (1.0 if side == "upper" else -1.0)
    once, twice = (fastest(pieces, {**ALLOWED, name: (side, value + n * step)}).objective for n in (1.0, 2.0))
    return (4.0 * once - twice - 3.0 * plan.objective) / (2.0 * step)


def two_arcs() -> tuple[float, float]:
    """When the feed stops and when the batch ends, h, with the feed first on the safety limit and then off.

    On the limit c_B is constant, so that u = k c_A c_B V / (c_Bin - c_B); integrated by SciPy, without titer.
    """
    from scipy.integrate import solve_ivp

    k, c_Bin, heating = 0.0482, 2.0, 6.0e4 / 3780.0  # L/mol/h, mol/L, K L/mol
    c_B = (SAFE - 343.15) / heating

    def fed(_: float, x: Any) -> list[float]:
        r = k * x[0] * c_B
        return [-r - r * x[0] / (c_Bin - c_B), r * x[1] / (c_Bin - c_B)]  # c_A and V

    def unfed(_: float, x: Any) -> list[float]:
        return [-k * x[0] * x[1]] * 2  # c_A and c_B

    def full(_: float, x: Any) -> float:
        return float(x[1] - FULL)

    def done(_: float, x: Any) -> float:
        return float(2.0 * 0.7 - x[0] * FULL - PRODUCT)  # what was charged, less what is left

    exact = {"rtol": 1e-11, "atol": 1e-12}
    full.terminal = done.terminal = True  # type: ignore[attr-defined]
    first = solve_ivp(fed, (0.0, 100.0), [2.0, 0.7], events=full, **exact)
    last = solve_ivp(unfed, (0.0, 100.0), [first.y[0, -1], c_B], events=done, **exact)
    return float(first.t[-1]), float(first.t[-1] + last.t[-1])


def stopped(plan: Solution) -> float:
    """When the feed stops for good, h."""
    fed = plan["reactor.u"]
    return float(fed.index[np.flatnonzero(fed.to_numpy() > 1e-4)[-1]])


def claims(
    plan: Solution, careless: Solution, arcs: tuple[float, float], prices: dict[str, float], again: dict[str, float]
) -> tuple[Claim, ...]:
    """What the case stands for: the published time, kept limits, prices that are right."""
    run, certificate = replay(plan), plan.certificate
    assert certificate is not None
    made = run.at_end("reactor.c[C]") * run.at_end("reactor.V")
    spare = run["reactor.c[A]"] - run["reactor.c[B]"]
    off = [abs(prices.get(name, 0.0) / again[name] - 1.0) for name in ALLOWED]
    return (
        Claim("shortest safe batch", plan.objective, *PUBLISHED, unit="h", note="published: 19.80 h"),
        Claim("the same by its two arcs, integrated without titer", arcs[1], *PUBLISHED, unit="h"),
        Claim("constant pieces are not faster than the arcs", plan.objective, arcs[1], 1e-5, "at least", "h"),
        Claim("temperature after a cooling failure", float(run["reactor.T_ad"].max()), SAFE, 1e-4, "at most", "K"),
        Claim("volume, replayed", float(run["reactor.V"].max()), FULL, 1e-6, "at most", "L"),
        Claim("product at the end, replayed", made, PRODUCT, 1e-6, "at least", "mol"),
        Claim("c_B stays the smaller concentration, by", float(spare.min()), 0.0, kind="at least", unit="mol/L"),
        Claim("safety costs", plan.objective - careless.objective, 0.0, kind="at least", unit="h"),
        Claim("shadow prices against solving again, relative error", max(off), 1e-3, kind="at most"),
        Claim("replay deviation in the certificate", certificate.largest_deviation, DEVIATION, kind="at most"),
        Claim("certificate holds (1: yes)", float(certificate.ok), 1.0),
    )


def notes(plan: Solution, careless: Solution, prices: dict[str, float]) -> tuple[str, ...]:
    """What an engineer would take home."""
    return (
        f"First arc, to {stopped(plan):.1f} h: the safety limit is active. What B lies in the reactor would heat it by "
        "10 K if the cooling failed, so B is fed as fast as it reacts; c_B stays at 0.63 mol/L, and the feed falls "
        "with c_A.",
        f"Second arc, to {plan.objective:.2f} h: the vessel is full, the feed is off, and the batch waits for the "
        "product: T_cf falls, no limit is active but volume and product.",
        f"Without the safety limit the vessel is filled within {stopped(careless):.1f} h and the batch takes "
        f"{careless.objective:.2f} h; a cooling failure would then lead to {careless['reactor.T_ad'].max():.1f} K "
        f"instead of {SAFE:g} K: safety costs {plan.objective - careless.objective:.2f} h.",
        f"Prices of the limits: one kelvin more {prices['cooling failure']:+.2f} h (held all along), 10 mL more volume "
        f"{0.01 * prices['volume']:+.2f} h, 10 mmol more product {0.01 * prices['product']:+.2f} h.",
        "T_cf counts the smaller of both concentrations; c_B is the smaller one throughout, and the unit says so "
        '(Reaction(..., limiting="B")).',
    )


def _effort(plan: Solution) -> str:
    stats = plan.stats
    return f"{stats['variables']} variables, {stats['iterations']} iterations, {stats['seconds_total']:.2f} s"
