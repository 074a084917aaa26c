"""Batch elution of two components: how long a feed, and how often? Productivity against recovery, both 95 % pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from titer.cases import batch_elution_pictures as pictures
from titer.cases.case import Claim, Outcome, Progress, case
from titer.flowsheets import Flowsheet, Recipe
from titer.flowsheets.chromatograms import (
    Chromatogram,
    Pool,
    chromatogram,
    cyclic_steady_state,
    pool,
    repeated,
    step,
    widest_pool,
)
from titer.flowsheets.units import Bed, Column, DiscontinuousGalerkin, Langmuir, LumpedRate, SpectralElements
from titer.numerics.spatial import Method

SOURCE = "Schmidt-Traub, Schulte and Seidel-Morgenstern, Preparative Chromatography (2012): batch elution"
BOTH = ("A", "B")
FEED, FLOW = 10.0, 60.0  # mmol/L of each, mL/min
PURITY = 0.95
CYCLE, INJECTION = (10.0, 600.0), (10.0, 300.0)  # s: what may be decided
LEAST = {"any": 0.0, "95 %": 0.95, "99 %": 0.99}  # recovery that is asked for
SETTLED = 3e-3  # largest change over a cycle, relative


@dataclass(frozen=True, eq=False)
class Cycle:
    """A cycle that repeats itself, with the two pools that hold most at the purity."""

    injection: float
    lasts: float
    of: Chromatogram
    pools: dict[str, Pool]
    plant: Flowsheet
    change: float

    @property
    def collected(self) -> float:
        """Both products in their pools, umol."""
        return sum(found.amounts[key] for key, found in self.pools.items())

    @property
    def productivity(self) -> float:
        """Both products by column volume and time, mmol/L/h."""
        return self.collected / self.of.column_volume / (self.lasts / 3600.0)

    @property
    def recovery(self) -> float:
        """Both products by what was fed."""
        return self.collected / sum(self.of.fed.values())

    @property
    def eluent(self) -> float:
        """Eluent by what is collected, L/mol."""
        return 1e3 * self.of.diluent["A"] / self.collected


@case("batch_elution", title="Batch elution: how much, how often")
def batch_elution(progress: Progress, *, quick: bool = False, elements: int = 48) -> Outcome:
    """Two components on one column, injections stacked: cycle time and feed duration for productivity and recovery.

    Each trial is run to its cyclic steady state; where to cut follows from its chromatogram, so that two decisions are
    left, which a map and a simplex search find. Settings: `elements` of degree 4 along the column; `quick` takes fewer,
    and a coarser map.
    """
    method = SpectralElements(min(elements, 40) if quick else elements, 4)
    tried = mapped(method, (3, 3) if quick else (5, 5))
    progress(f"{len(tried)} cycles on a map; best {max(t.productivity for t in tried):.1f} mmol/L/h")
    best = {}
    for name, least in list(LEAST.items())[: 2 if quick else 3]:
        best[name] = searched(method, start_of(tried, least), least, 10 if quick else 20)
        progress(f"recovery at least {name}: {told(best[name])}")
    front = sorted(nondominated([*tried, *best.values()]), key=lambda t: t.recovery)
    chosen = best["95 %"]
    again = replayed(chosen, DiscontinuousGalerkin(60 if quick else 80, 3))
    progress(f"again on discontinuous elements, with the same cuts: {told(again)}")
    alone = unstacked(method, chosen.injection)
    return Outcome(
        claims(best, front, chosen, again, alone, max(t.productivity for t in tried)),
        facts={
            "best": {name: facts_of(found) for name, found in best.items()},
            "front": [facts_of(found) for found in front],
            "one_injection_at_a_time": facts_of(alone),
            "again_on_discontinuous_elements": facts_of(again),
        },
        figures={
            "front": lambda: pictures.draw_front(tried, front, best),
            "chromatogram": lambda: pictures.draw_cycles(chosen),
        },
        notes=notes(best, chosen, alone),
        sources=dict.fromkeys(("column.binding.k_a[A]", "column.transport.D_ax", "column.transport.eps_t"), SOURCE),
    )


def column_of(method: Method) -> Column:
    """The column: 60 cm, 2.4 cm wide, Langmuir binding at rapid equilibrium."""
    law = Langmuir(bound=BOTH, k_a=[0.02, 0.03], k_d=1.0, qmax=100.0)
    return Column(
        "column",
        components=BOTH,
        transport=LumpedRate(D_ax=4.7e-7, eps_t=0.7),
        binding=law,
        method=method,
        usual=dict.fromkeys(BOTH, FEED),
        **Bed.of_diameter(60.0, 2.4).sizes,
    )


def recipe_of(column: Column, injection: float, lasts: float) -> Recipe:
    """Feed, then eluent, s."""
    return Recipe(
        step(column, "feed", dict.fromkeys(BOTH, FEED), flow=FLOW, duration=injection),
        step(column, "elute", {}, flow=FLOW, duration=lasts - injection),
    )


def settled(method: Method, injection: float, lasts: float, begun: Flowsheet | None = None) -> Cycle:
    """The cycle that repeats itself, and its best pools. `begun`: a plant near that state."""
    column = column_of(method)
    recipe = recipe_of(column, injection, lasts)
    found = cyclic_steady_state(
        begun or Flowsheet(column), recipe, tolerance=SETTLED, accuracy=1e-6, points=250, most=30
    )
    of = chromatogram(found.run, column)
    return Cycle(injection, lasts, of, pools_of(of), found.plant, found.changes[-1])


def pools_of(of: Chromatogram) -> dict[str, Pool]:
    """The widest pools of both, in the cycle that begins where least leaves: they may lie across its end."""
    begin = float(of.time[int(np.argmin(of.c["A"] + of.c["B"]))])
    within = (begin, begin + float(of.time[-1] - of.time[0]))
    return {key: widest_pool(repeated(of), key, PURITY, within=within) for key in BOTH}


def mapped(method: Method, counts: tuple[int, int]) -> list[Cycle]:
    """Cycles over feed durations of 25 to 90 s, with 140 to 70 s of eluent after each."""
    tried = []
    for injection in np.geomspace(25.0, 90.0, counts[0]):
        plant = None
        for eluent in np.linspace(140.0, 70.0, counts[1]):
            tried.append(settled(method, float(injection), float(injection + eluent), plant))
            plant = tried[-1].plant
    return tried


def start_of(tried: list[Cycle], least: float) -> Cycle:
    """The most productive trial that recovers enough."""
    enough = [t for t in tried if t.recovery >= least] or tried
    return max(enough, key=lambda t: t.productivity)


def searched(method: Method, start: Cycle, least: float, trials: int) -> Cycle:
    """The most productive cycle that recovers enough, by a simplex search in feed duration and eluent."""
    from scipy.optimize import minimize

    made: list[Cycle] = [start]

    def cost(x: Any) -> float:
        injection, eluent = float(x[0]), float(x[1])
        if not (INJECTION[0] <= injection <= INJECTION[1] and 20.0 <= eluent <= CYCLE[1] - injection):
            return 0.0
        made.append(settled(method, injection, injection + eluent, start.plant))
        return -made[-1].productivity + 1e3 * max(0.0, least - made[-1].recovery)

    x = np.array([start.injection, start.lasts - start.injection])
    simplex = x + np.array([[0.0, 0.0], [4.0, 0.0], [0.0, -4.0]])
    minimize(cost, x, method="Nelder-Mead", options={"initial_simplex": simplex, "maxfev": trials, "xatol": 0.05})
    return start_of(made, least - 1e-4)


def nondominated(tried: list[Cycle]) -> list[Cycle]:
    """Those that no other beats in both productivity and recovery."""
    return [t for t in tried if not any(o.productivity > t.productivity and o.recovery > t.recovery for o in tried)]


def replayed(found: Cycle, method: Method) -> Cycle:
    """The same cycle and the same cuts on another discretization."""
    other = settled(method, found.injection, found.lasts)
    twice = repeated(other.of)
    pools = {key: pool(twice, each.start, each.stop) for key, each in found.pools.items()}
    return Cycle(found.injection, found.lasts, other.of, pools, other.plant, other.change)


def unstacked(method: Method, injection: float) -> Cycle:
    """The usual way: the next injection waits until the column is empty."""
    lasts = injection + 600.0
    of = chromatogram_of(method, injection, lasts)
    total = of.c["A"] + of.c["B"]
    lasts = float(of.time[np.flatnonzero(total > 1e-3 * total.max())[-1]])
    of = chromatogram_of(method, injection, lasts)
    pools = {key: widest_pool(of, key, PURITY) for key in BOTH}
    return Cycle(injection, lasts, of, pools, Flowsheet(column_of(method)), 0.0)


def chromatogram_of(method: Method, injection: float, lasts: float) -> Chromatogram:
    """One injection into a clean column."""
    from titer.flowsheets import simulate

    column = column_of(method)
    run = simulate(Flowsheet(column), recipe_of(column, injection, lasts), points=400, tolerance=1e-6)
    return chromatogram(run, column)


def facts_of(found: Cycle) -> dict[str, float]:
    """A cycle in numbers."""
    pools = {f"{key}_{name}_s": getattr(each, name) for key, each in found.pools.items() for name in ("start", "stop")}
    return {
        "feed_s": found.injection,
        "cycle_s": found.lasts,
        "productivity_mmol_per_L_h": found.productivity,
        "recovery": found.recovery,
        "eluent_L_per_mol": found.eluent,
        **{f"purity_{key}": each.purity(key) for key, each in found.pools.items()},
        **pools,
    }


def claims(
    best: dict[str, Cycle], front: list[Cycle], chosen: Cycle, again: Cycle, alone: Cycle, mapped_best: float
) -> tuple[Claim, ...]:
    """What the case stands for."""
    purities = partial(map, lambda found: min(each.purity(key) for key, each in found.pools.items()))
    left = [pool(found.of, 0.0).recovery(key) - 1.0 for found in best.values() for key in BOTH]
    slopes = np.diff([found.productivity for found in front])
    gain = chosen.productivity / alone.productivity
    return (
        Claim("purity of both, of every best cycle", min(purities(best.values())), PURITY, 1e-6, "at least"),
        Claim("recovery where 95 % are asked for", chosen.recovery, 0.95, 1e-4, "at least"),
        Claim("points on the Pareto front", float(len(front)), 4.0, kind="at least"),
        Claim("along it productivity never rises with recovery", float(slopes.max()), 0.0, kind="at most"),
        Claim("the search beats the map", best["any"].productivity, mapped_best, kind="at least", unit="mmol/L/h"),
        Claim("stacking against one injection at a time, factor", gain, 1.5, kind="at least"),
        Claim("what leaves in a cycle is what was fed, error", float(np.abs(left).max()), 5e-3, kind="at most"),
        Claim("largest change over the cycle", max(f.change for f in best.values()), SETTLED, kind="at most"),
        Claim("productivity on other elements", again.productivity / chosen.productivity, 1.0, 0.01),
        Claim("purity there, same cuts", min(purities([again])), PURITY, 0.005, "at least"),
    )


def notes(best: dict[str, Cycle], chosen: Cycle, alone: Cycle) -> tuple[str, ...]:
    """What an engineer would take home."""
    return (
        *(f"Recovery at least {name}: {told(found)}" for name, found in best.items()),
        f"One injection at a time would make {alone.productivity:.1f} mmol/L/h with {alone.eluent:.0f} L/mol; stacked, "
        f"a cycle is {chosen.lasts:.0f} s instead of {alone.lasts:.0f} s: the next feed enters before the last one has "
        "left, and its front displaces the tail of B.",
    )


def told(found: Cycle) -> str:
    """A cycle in words."""
    return (
        f"feed {found.injection:.1f} s, cycle {found.lasts:.1f} s: {found.productivity:.1f} mmol/L/h, recovery "
        f"{found.recovery:.3f}, eluent {found.eluent:.0f} L/mol"
    )
