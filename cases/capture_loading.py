"""Protein A capture: how fast, and for how long, is a column loaded? Productivity against what breaks through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from titer.cases import capture_loading_pictures as pictures
from titer.cases.case import Claim, Outcome, Progress, case
from titer.flowsheets import Flowsheet, Recipe, simulate
from titer.flowsheets.chromatograms import Chromatogram, breakthrough, chromatogram, pool, step
from titer.flowsheets.units import (
    AffinityTitration,
    ChungWen,
    Column,
    GeneralRate,
    SpectralElements,
    WilsonGeankoplis,
)
from titer.flowsheets.units.columns import solid_capacity

SOURCE = "Zhang et al. (2025), affinity complex titration of Protein A; diffusivities and titer are illustrative"
TITER = 2.0  # g/L in the harvest
LOSS = 0.01  # of what is loaded, that may break through
FLOWS = (1.0, 25.0)  # mL/min
OTHER = 3.5  # mL/min, in all steps but the load
BINDS, ELUTES, STRIPS = 7.4, 3.3, 2.8  # pH
VOLUMES = {"wash": 4.0, "elute": 6.0, "strip": 3.0, "equilibrate": 5.0}  # column volumes
RULE = (4.0, 0.8)  # residence time [min], and share of the dynamic capacity at 10 %: how it is usually done


@dataclass(frozen=True)
class Mesh:
    """How the column is discretized."""

    elements: int
    degree: int
    shells: int


@dataclass(frozen=True, eq=False)
class Load:
    """A load at a flow, for as long as no more than is allowed breaks through."""

    flow: float  # mL/min
    minutes: float
    bound: float  # mg/mL
    productivity: float  # g/L/h
    capacity: float  # mg/mL, dynamic at 10 %
    residence: float  # min
    of: Chromatogram


@case("capture_loading", title="Capture: how fast and how long to load")
def capture_loading(progress: Progress, *, quick: bool = False, trials: int = 12) -> Outcome:
    """An antibody on Protein A: flow and duration of the load for the most product per hour, 1 % lost at most.

    A fast load wastes capacity, for beads fill by diffusion; a slow one wastes time. Settings: `trials` of the search;
    `quick` takes fewer, and checks on a coarser mesh.
    """
    mesh = Mesh(6, 3, 3)
    trials = min(trials, 8) if quick else trials
    tried = searched(mesh, trials)
    best = max(tried, key=lambda load: load.productivity)
    progress(f"best of {len(tried)}: {told(best)}")
    usual = by_rule(mesh)
    progress(f"by rule: {told(usual)}")
    near = [loaded(mesh, best.flow * share) for share in (0.85, 1.15)]
    finer = loaded(Mesh(8, 4, 4) if quick else Mesh(10, 4, 5), best.flow)
    progress(f"on a finer mesh: {told(finer)}")
    lost = share_lost(finer.of, best.minutes)
    cycle = whole_cycle(mesh, best)
    progress(f"the whole cycle: {pool(cycle, 'elute').recovery('mAb'):.4f} of the antibody in the eluate")
    return Outcome(
        claims(best, usual, near, finer, lost, cycle),
        facts={
            "best": facts_of(best),
            "by_rule": facts_of(usual),
            "finer_mesh": facts_of(finer),
            "tried": [facts_of(load) for load in tried],
            "eluate_g_per_L": pool(cycle, "elute").concentration("mAb"),
            "shares_of_the_load": recoveries(cycle),
        },
        figures={
            "loading": lambda: pictures.draw_search([*tried, *near], best, usual),
            "breakthrough": lambda: pictures.draw_breakthrough(best, usual, TITER),
            "cycle": lambda: pictures.draw_cycle(cycle),
        },
        notes=notes(best, usual, cycle),
        sources=dict.fromkeys(("column.binding.qmax[mAb]", "column.transport.D_p[mAb]", "column.L"), SOURCE),
    )


def column_of(mesh: Mesh) -> Column:
    """The column of the source, 5 mL; dispersion and film follow the flow."""
    beads = GeneralRate(
        eps_c=0.31,
        eps_p=0.95,
        r_p=42.5,
        D_p=[1.99e-11, 1e-9],
        shells=mesh.shells,
        dispersion=ChungWen(),
        film=WilsonGeankoplis(D_m=[4e-11, 1e-9]),
    )
    law = AffinityTitration(
        bound=("mAb",),
        k_a=268.0,
        k_d=1.0,
        qmax=solid_capacity(beads, 55.6),
        pKa_A=2.07,
        eta_A=1.81,
        pKa_G=5.29,
        eta_G=2.28,
    )
    return Column(
        "column",
        components=("mAb", "pH"),
        concentration="g/L",
        transport=beads,
        binding=law,
        method=SpectralElements(mesh.elements, mesh.degree),
        start={"pH": BINDS},
        usual={"mAb": 1.0, "pH": 5.0},
        L=2.5,
        CV=5.025,
    )


def load_of(column: Column, flow: float, minutes: float) -> Any:
    """The load as a phase."""
    return step(column, "load", {"mAb": TITER, "pH": BINDS}, flow=flow, duration=60.0 * minutes)


def loaded(mesh: Mesh, flow: float) -> Load:
    """The load at a flow, up to the allowed loss."""
    column = column_of(mesh)
    bed = column.bed
    longest = 32.0 * bed.residence(flow)  # more than what the column can bind
    run = simulate(Flowsheet(column), Recipe(load_of(column, flow, longest)), points=400, tolerance=1e-6)
    of = chromatogram(run, column)
    minutes = allowed(of)
    bound = (1.0 - LOSS) * TITER * flow * minutes / bed.volume
    capacity = breakthrough(of, "mAb", TITER, 0.1).capacity
    return Load(flow, minutes, bound, productivity(bound, minutes, column), capacity, bed.residence(flow), of)


def allowed(of: Chromatogram) -> float:
    """How many minutes the load may last, by the share that has broken through: it only grows."""
    from scipy.optimize import brentq

    begin = 60.0 * 0.2 * of.column_volume / of.flow[0]  # before that nothing has left
    return float(brentq(lambda t: share_lost(of, t / 60.0) - LOSS, begin, of.time[-1])) / 60.0


def share_lost(of: Chromatogram, minutes: float) -> float:
    """What has broken through until then, by what was loaded."""
    return of.amount_until("mAb", 60.0 * minutes) / (TITER * of.volume_at(60.0 * minutes))


def productivity(bound: float, minutes: float, column: Column) -> float:
    """What is captured by column volume and time, g/L/h, with all other steps."""
    other = sum(VOLUMES.values()) * column.bed.residence(OTHER)
    return 60.0 * bound / (minutes + other)


def searched(mesh: Mesh, trials: int) -> list[Load]:
    """Loads at flows that a bounded search in the logarithm of the flow has asked for."""
    from scipy.optimize import minimize_scalar

    made: list[Load] = []

    def cost(logarithm: float) -> float:
        made.append(loaded(mesh, float(np.exp(logarithm))))
        return -made[-1].productivity

    minimize_scalar(cost, bounds=tuple(np.log(FLOWS)), method="bounded", options={"maxiter": trials, "xatol": 0.02})
    return made


def by_rule(mesh: Mesh) -> Load:
    """The usual load: a residence time of 4 min, to 80 % of the dynamic capacity at 10 % breakthrough."""
    column = column_of(mesh)
    residence, share = RULE
    flow = column.bed.flow_for(residence)
    found = loaded(mesh, flow)
    bound = share * found.capacity
    minutes = bound * column.bed.volume / TITER / flow
    return Load(flow, minutes, bound, productivity(bound, minutes, column), found.capacity, residence, found.of)


def whole_cycle(mesh: Mesh, best: Load) -> Chromatogram:
    """Load, wash, elution by a step in pH, strip, equilibration."""
    column = column_of(mesh)
    recipe = Recipe(
        load_of(column, best.flow, best.minutes),
        step(column, "wash", {"pH": BINDS}, flow=OTHER, volumes=VOLUMES["wash"]),
        step(column, "elute", {"pH": ELUTES}, flow=OTHER, volumes=VOLUMES["elute"]),
        step(column, "strip", {"pH": STRIPS}, flow=OTHER, volumes=VOLUMES["strip"]),
        step(column, "equilibrate", {"pH": BINDS}, flow=OTHER, volumes=VOLUMES["equilibrate"]),
    )
    return chromatogram(simulate(Flowsheet(column), recipe, points=300, tolerance=1e-6), column)


def claims(
    best: Load, usual: Load, near: list[Load], finer: Load, lost: float, cycle: Chromatogram
) -> tuple[Claim, ...]:
    """What the case stands for."""
    parts = recoveries(cycle)
    highest = max(load.productivity for load in near)
    return (
        Claim("lost in the load of the whole cycle", parts["load"], LOSS, 1e-4, "at most"),
        Claim("antibody in eluate, strip and losses", sum(parts.values()), 1.0, 5e-3),
        Claim("antibody in the eluate", parts["elute"], 0.98, kind="at least"),
        Claim("faster and slower loads make less", highest, best.productivity, kind="at most", unit="g/L/h"),
        Claim("against the usual rule, factor", best.productivity / usual.productivity, 1.2, kind="at least"),
        Claim("a faster load binds less, by", usual.capacity - best.capacity, 5.0, kind="at least", unit="mg/mL"),
        Claim("productivity on a finer mesh", finer.productivity / best.productivity, 1.0, 0.015),
        Claim("loss on a finer mesh", lost, LOSS, 2.5e-3, "at most"),
        Claim("no more is bound than there is capacity for", best.bound, 55.6, kind="at most", unit="mg/mL"),
    )


def recoveries(cycle: Chromatogram) -> dict[str, float]:
    """The share of what was loaded that leaves in each step."""
    return {name: pool(cycle, name).recovery("mAb") for name in cycle.phases}


def notes(best: Load, usual: Load, cycle: Chromatogram) -> tuple[str, ...]:
    """What an engineer would take home."""
    return (
        f"Load at {best.flow:.1f} mL/min (residence {best.residence:.2f} min) for {best.minutes:.1f} min: "
        f"{best.bound:.1f} mg/mL, {best.productivity:.1f} g/L/h.",
        f"By rule, {usual.residence:.0f} min of residence to 80 % of the dynamic capacity: {usual.bound:.1f} mg/mL, "
        f"{usual.productivity:.1f} g/L/h.",
        f"The limit of {100 * LOSS:.0f} % holds for the load alone: the wash carries off another "
        f"{100 * recoveries(cycle)['wash']:.2f} %, what stood between beads and in them and is not held.",
        "The rule spares resin, the optimum spares time: which counts depends on how often the resin can be used.",
    )


def facts_of(load: Load) -> dict[str, float]:
    """A load in numbers."""
    return {
        "flow_mL_per_min": load.flow,
        "residence_min": load.residence,
        "load_min": load.minutes,
        "bound_mg_per_mL": load.bound,
        "dynamic_capacity_10_percent_mg_per_mL": load.capacity,
        "productivity_g_per_L_h": load.productivity,
    }


def told(load: Load) -> str:
    """A load in words."""
    return (
        f"{load.flow:.2f} mL/min for {load.minutes:.2f} min, {load.bound:.1f} mg/mL bound, "
        f"{load.productivity:.2f} g/L/h"
    )
