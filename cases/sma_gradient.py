"""A gradient on an ion exchanger: which salt, and where to cut, for most of one protein out of three, 95 % pure?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import process_time
from typing import Any, ClassVar

import numpy as np

from titer.cases import sma_gradient_pictures as pictures
from titer.cases.case import Claim, Outcome, Progress, case
from titer.control import optimize
from titer.flowsheets import (
    AtEnd,
    Equations,
    Flowsheet,
    Free,
    Inlet,
    Phase,
    PiecewiseLinear,
    Recipe,
    State,
    Unit,
    simulate,
)
from titer.flowsheets.chromatograms import Pool, chromatogram, widest_pool
from titer.flowsheets.units import Column, LumpedRate, SpectralElements, StericMassAction
from titer.numerics import Ipopt, Shooting, Solution

SOURCE = "Puttmann et al., Comput. Chem. Eng. 56 (2013) 46: SP Sepharose FF, lysozyme, cytochrome, ribonuclease"
PROTEINS = ("lysozyme", "cytochrome", "ribonuclease")
WANTED = "cytochrome"
VELOCITY, HEIGHT, POROSITY, VOLUME = 5.75e-4, 1.4, 0.8425, 1.0  # m/s, cm, total, mL
FLOW = 60.0 * VELOCITY / (0.01 * HEIGHT) * POROSITY * VOLUME  # mL/min
LOAD, FED = 10.0, 1.0  # s, mol/m^3 of each protein
BUFFER, HIGHEST = 50.0, 600.0  # mol/m^3 of salt, in load and wash, and at most
PURITY, LASTS = 0.95, 80.0  # of the pool; s, until the pool is closed
REGENERATION = 60.0  # s, until the column may be loaded again
SALT = 2  # pieces between which the salt bends: before the pool, and in it


class PoolVessel(Unit):
    """The vessel that a fraction is collected in.

    Equations: dn_i/dt = F c_i, dV/dt = F. Symbols: n amounts [umol] over `components`, V volume [mL]; F, c what the
    inlet `feed` carries [mL/min, mol/m^3], nothing in a phase without connection. Assumptions: volumes add.
    Source: definition.
    """

    time: ClassVar[str] = "min"

    components: tuple[str, ...] = PROTEINS

    n = State("umol", start=0.0, nominal=0.1, over="components", doc="amounts")
    V = State("mL", start=0.0, nominal=1.0, doc="volume")
    feed = Inlet("mL/min", c=("mol/m^3", "components"))

    def equations(self, v: Any) -> Equations:
        return Equations(rate={"n": v.feed.flow * v.feed.c, "V": v.feed.flow})


@dataclass(frozen=True, eq=False)
class Setup:
    """The column with its vessel."""

    column: Column
    vessel: PoolVessel

    @property
    def plant(self) -> Flowsheet:
        return Flowsheet(self.column, self.vessel, time="s")


@case("sma_gradient", title="Ion exchange: gradient and cuts for a pure pool")
def sma_gradient(progress: Progress, *, quick: bool = False, elements: int = 16, points: int = 6) -> Outcome:
    """Load, wash and elute three proteins; decide wash, two salt ramps and both cuts for most cytochrome, 95 % pure.

    The column is integrated inside the problem, with exact derivatives of the steps it takes. The plan is simulated
    again on a finer column. Settings: `elements` of degree 4 along the column; `points` of the front of yield and
    productivity; `quick` takes fewer elements and no front.
    """
    elements, tolerance = (8, 1e-4) if quick else (elements, 1e-6)
    setup = setup_of(elements)
    cuts = first_cuts(setup)
    progress(f"at first {told_cuts(cuts)}")
    began = process_time()
    plan = planned(setup, cuts, tolerance)
    seconds = process_time() - began
    progress(f"yield {recovery(plan):.4f}, purity {purity(plan):.4f} in {seconds:.0f} s of computing")
    finer = again(plan, setup_of(elements + 12), 1e-7)
    progress(f"on {elements + 12} elements: yield {recovery(finer):.4f}, purity {purity(finer):.4f}")
    front = [] if quick else front_of(setup_of(10), points, progress)
    usual = published_pool(setup_of(elements))
    of = chromatogram(finer, setup.column)
    figures = {"chromatogram": lambda: pictures.draw_plan(of, WANTED)}
    if front:
        values = [(recovery(run), productivity(run)) for run in front]
        figures["front"] = lambda: pictures.draw_front(values, (recovery_of(usual), productivity_of(usual)))
    return Outcome(
        claims(plan, finer, usual, front, seconds),
        facts={
            "plan": facts_of(plan),
            "finer": facts_of(finer),
            "decisions": plan.stats["decisions"],
            "variables_with_states": plan.stats["variables"],
            "iterations": plan.stats["iterations"],
            "seconds_of_computing": seconds,
            "published_gradient": {"yield": recovery_of(usual), "ends_s": usual.stop},
            "front": [
                {"lasts_s": lasts(run), "yield": recovery(run), "productivity": productivity(run)} for run in front
            ],
        },
        figures=figures,
        notes=notes(plan, usual),
        sources=dict.fromkeys(("column.binding.k_a[cytochrome]", "column.transport.D_ax", "column.L"), SOURCE),
    )


def setup_of(elements: int) -> Setup:
    """The column of the source, of 1 mL, with elements of degree 4, and its vessel."""
    law = StericMassAction(
        bound=PROTEINS, Lambda=1200.0, k_a=[35.5, 1.59, 7.7], k_d=1000.0, nu=[4.7, 5.29, 3.7], sigma=[11.83, 10.6, 10.0]
    )
    column = Column(
        "column",
        components=("salt", *PROTEINS),
        transport=LumpedRate(D_ax=5.75e-8, eps_t=POROSITY),
        binding=law,
        method=SpectralElements(elements, 4),
        start={"salt": BUFFER},
        L=HEIGHT,
        CV=VOLUME,
    )
    return Setup(column, PoolVessel("vessel", components=("salt", *PROTEINS)))


def recipe_of(
    setup: Setup, wash: Any, elute: Any, collect: Any, salt: Sequence[float] | None = None, tolerance: float = 1e-6
) -> Recipe:
    """Load, wash, elute, and collect the pool; `salt` at the start of elution, at the first cut and at the second
    [mol/m^3], left open where it is decided."""
    column, vessel = setup.column, setup.vessel
    feed, method = column.feed, Shooting(tolerance=tolerance)
    flow: dict[str, Any] = {feed.flow: FLOW, **{feed.c[key]: 0.0 for key in PROTEINS}}
    ramps: list[dict[str, Any]] = [{}, {}]
    if salt is not None:
        ramps = [{feed.c["salt"]: PiecewiseLinear(values=[salt[k], salt[k + 1]])} for k in range(SALT)]
    loaded = {**flow, **{feed.c[key]: FED for key in PROTEINS}, feed.c["salt"]: BUFFER}
    return Recipe(
        Phase("load", LOAD, inputs=loaded, idle=[vessel], method=method),
        Phase("wash", wash, inputs={**flow, feed.c["salt"]: BUFFER}, idle=[vessel], method=method),
        Phase("elute", elute, inputs={**flow, **ramps[0]}, idle=[vessel], method=method),
        Phase("pool", collect, inputs={**flow, **ramps[1]}, routes=[(column.outlet, vessel.feed)], method=method),
    )


FIRST_SALT, FIRST_WASH = (160.0, 480.0), 10.0  # mol/m^3, of a ramp over as long as all may last; s


def first_cuts(setup: Setup) -> Pool:
    """The widest pool that is pure enough where the salt goes up in one ramp."""
    recipe = recipe_of(
        setup, FIRST_WASH, 0.5 * LASTS, 0.5 * LASTS, (FIRST_SALT[0], 0.5 * sum(FIRST_SALT), FIRST_SALT[1])
    )
    run = simulate(setup.plant, recipe, tolerance=1e-6, points=300)
    return widest_pool(chromatogram(run, setup.column), WANTED, PURITY, among=PROTEINS)


def planned(setup: Setup, cuts: Pool, tolerance: float) -> Solution:
    """The gradient and the cuts that collect most."""
    return optimize(**problem_of(setup, cuts, tolerance), maximize=YIELD, starts=1, solver=Ipopt(seconds=400.0))


def problem_of(setup: Setup, cuts: Pool, tolerance: float, lasts: float = LASTS) -> dict[str, Any]:
    """Plant, recipe, decisions and limits."""
    begun = LOAD + FIRST_WASH
    recipe = recipe_of(
        setup,
        Free(FIRST_WASH, 5.0, 60.0),
        Free(cuts.start - begun, 10.0, 200.0),
        Free(max(cuts.stop - cuts.start, 10.0), 5.0, 200.0),
        tolerance=tolerance,
    )
    salt, ramp = setup.column.feed.c["salt"], PiecewiseLinear(1, lower=BUFFER, upper=HIGHEST)
    return {
        "plant": setup.plant,
        "recipe": recipe,
        "free": {salt: {"elute": ramp, "pool": ramp}},
        "inputs": {salt: lambda t: FIRST_SALT[0] + (FIRST_SALT[1] - FIRST_SALT[0]) * (t - begun) / LASTS},
        "subject_to": [PURE, AtEnd(lambda v: v.time, upper=lasts, name="time")],
    }


def _collected(v: Any) -> Any:
    return v.vessel.n[1 + PROTEINS.index(WANTED)]


def _all_collected(v: Any) -> Any:
    return sum(v.vessel.n[1 + k] for k in range(len(PROTEINS)))


GIVEN = LOAD / 60.0 * FLOW * FED  # umol of each protein
YIELD = AtEnd(lambda v: _collected(v) / GIVEN, name="yield")
PURE = AtEnd(lambda v: _collected(v) - PURITY * _all_collected(v), lower=0.0, name="purity")


def again(plan: Solution, setup: Setup, tolerance: float) -> Solution:
    """The plan on another column."""
    values = {
        name: plan.phases[k].shapes[str(setup.column.feed.c["salt"])][1] for k, name in ((2, "elute"), (3, "pool"))
    }
    salt = (*np.asarray(values["elute"]), float(values["pool"][-1]))
    wash, elute, pool = (plan.duration[name] for name in ("wash", "elute", "pool"))
    return simulate(setup.plant, recipe_of(setup, wash, elute, pool, salt), tolerance=tolerance, points=600)


def recovery(run: Solution) -> float:
    """The share of what was fed that is in the pool."""
    return float(run.at_end(f"vessel.n[{WANTED}]")) / GIVEN


def purity(run: Solution) -> float:
    """The share of the pool's protein that is wanted."""
    return float(run.at_end(f"vessel.n[{WANTED}]")) / sum(float(run.at_end(f"vessel.n[{key}]")) for key in PROTEINS)


def lasts(run: Solution) -> float:
    """When the pool is closed, s."""
    return float(sum(run.duration.values()))


def published_pool(setup: Setup) -> Pool:
    """The widest pool of the published gradient: 0.2 mol/m^3/s from 100 on, after 80 s of wash."""
    recipe = recipe_of(setup, 80.0, 410.0, 1000.0, (100.0, 182.0, 382.0))
    run = simulate(setup.plant, recipe, tolerance=1e-6, points=900)
    return widest_pool(chromatogram(run, setup.column), WANTED, PURITY, among=PROTEINS)


def recovery_of(found: Pool) -> float:
    """The share of what was fed that is in a pool."""
    return found.amounts[WANTED] / GIVEN


def productivity_of(found: Pool) -> float:
    """What a pool makes by time, regeneration included, umol/s."""
    return found.amounts[WANTED] / (found.stop + REGENERATION)


def front_of(setup: Setup, points: int, progress: Progress) -> list[Solution]:
    """The best yields in shorter and in longer cycles: of each time the most, so that none beats another in both."""
    cuts, found = first_cuts(setup), []
    for most in np.geomspace(0.92 * LASTS, 1.25 * LASTS, points):
        posed = problem_of(setup, cuts, 1e-4, float(most))
        found.append(optimize(**posed, maximize=YIELD, starts=1, solver=Ipopt(seconds=200.0), strict=False))
        progress(f"in {most:.0f} s: yield {recovery(found[-1]):.4f}, {found[-1].status.value}")
    return [run for run in found if run.status.ok]


def productivity(run: Solution) -> float:
    """What a cycle makes by time, regeneration included, umol/s."""
    return recovery(run) * GIVEN / (lasts(run) + REGENERATION)


def facts_of(run: Solution) -> dict[str, float]:
    """A plan in numbers."""
    found = {f"{name}_s": length for name, length in run.duration.items()}
    salt = run["column.feed.c[salt]"].to_numpy()
    times = run["column.feed.c[salt]"].index.to_numpy()
    for name, at in (("start", 2), ("first_cut", 3)):
        when = sum(list(run.duration.values())[:at])
        found[f"salt_at_{name}_mol_per_m3"] = float(salt[np.flatnonzero(times <= when + 1e-9)[-1]])
    return {**found, "salt_at_second_cut_mol_per_m3": float(salt[-1]), "yield": recovery(run), "purity": purity(run)}


def claims(
    plan: Solution, finer: Solution, usual: Pool, front: Sequence[Solution], seconds: float
) -> tuple[Claim, ...]:
    """What the case stands for."""
    assert plan.certificate is not None
    faster = (usual.stop + REGENERATION) / (lasts(plan) + REGENERATION)
    found = [
        Claim("optimality conditions, residual", plan.certificate.stationarity, 1e-4, kind="at most"),
        Claim("purity of the pool", purity(plan), PURITY, 1e-6, "at least"),
        Claim("time until the pool is closed", lasts(plan), LASTS, 1e-6, "at most", unit="s"),
        Claim("purity on a finer column", purity(finer), purity(plan), 1e-3),
        Claim("yield on a finer column", recovery(finer), recovery(plan), 1e-3),
        Claim("yield", recovery(plan), 0.96, kind="at least"),
        Claim("cycles against the published gradient, factor", faster, 3.0, kind="at least"),
        Claim("computing time of the optimum", seconds, 120.0, kind="at most", unit="s"),
    ]
    if front:
        ordered = sorted(front, key=recovery)
        best = max(front, key=productivity)
        beyond = [productivity(run) for run in ordered if recovery(run) >= recovery(best)]
        found += [
            Claim("points on the front", float(len(beyond)), 3.0, kind="at least"),
            Claim(
                "longer cycles yield more", float(np.diff([lasts(run) for run in ordered]).min()), 0.0, kind="at least"
            ),
            Claim(
                "beyond the best productivity it falls with yield", float(np.diff(beyond).max()), 0.0, kind="at most"
            ),
        ]
    return tuple(found)


def notes(plan: Solution, usual: Pool) -> tuple[str, ...]:
    """What an engineer would take home."""
    numbers = facts_of(plan)
    return (
        f"Wash {plan.duration['wash']:.0f} s, then salt from {numbers['salt_at_start_mol_per_m3']:.0f} to "
        f"{numbers['salt_at_first_cut_mol_per_m3']:.0f} mol/m3 in {plan.duration['elute']:.1f} s; collect "
        f"{plan.duration['pool']:.1f} s while it goes to {numbers['salt_at_second_cut_mol_per_m3']:.0f}: yield "
        f"{recovery(plan):.3f} at a purity of {purity(plan):.3f}, {lasts(plan):.0f} s after the start.",
        f"The published gradient yields {recovery_of(usual):.4f} at that purity, {usual.stop:.0f} s after the start.",
    )


def told_cuts(cuts: Pool) -> str:
    """A pool in words."""
    return f"a pool from {cuts.start:.0f} to {cuts.stop:.0f} s yields {cuts.amounts[WANTED] / GIVEN:.3f}"
