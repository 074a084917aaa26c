"""The upstream recipe of Pichia pastoris: as published, and with what may be decided in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from titer.control import optimize
from titer.flowsheets import AtEnd, Flowsheet, Free, Path, Phase, PiecewiseLinear, Reaches, Recipe
from titer.flowsheets.units import CollectionTank, PichiaPerfusion
from titer.numerics import Solution

PRODUCTS = ("P1", "P2", "P3")
HOURS, FLOW = 60.0, 0.03  # h and L/h, of the published recipe
YIELD = 0.7  # g/g, biomass by glycerol, of the source
# Oxygen that burns a gram of methanol and of glycerol, and that a gram of biomass CH1.8 O0.5 N0.2 would take, g/g
BURNS = {"methanol": 1.5 * 32.0 / 32.04, "glycerol": 3.5 * 32.0 / 92.09, "biomass": 1.05 * 32.0 / 24.6}
REPRESSING = 0.1  # g/L of glycerol, above which methanol is not fed


@dataclass(frozen=True)
class Limits:
    """What is allowed: purity [1], tank [L], biomass and methanol in the reactor [g/L], oxygen uptake [g/L/h]."""

    purity: float
    tank: float
    biomass: float
    oxygen: float
    methanol: float = 2.0


@dataclass(frozen=True)
class Decided:
    """What is decided besides the durations of the phases."""

    perfusion: bool = True
    feed: bool = True


def plant() -> Flowsheet:
    """The reactor and the tank. Nothing depends on the sign of what is produced, so it has no domain to keep."""
    reactor = PichiaPerfusion("reactor", **{key: {"lower": -0.1} for key in PRODUCTS})
    return Flowsheet(reactor, CollectionTank("tank", components=PRODUCTS), time="h")


def recipe(free: bool = False) -> Recipe:
    """The published phases; `free`: their durations are decided, and the batch ends where its glycerol does."""
    no_glycerol, no_methanol = {"reactor.F_g": 0.0}, {"reactor.F_m": 0.0}
    published = Recipe(
        Phase("glycerol batch", 22.0, fixed=no_glycerol | no_methanol, idle=["tank"]),
        Phase("glycerol perfusion", 10.0, fixed=no_methanol, idle=["tank"]),
        Phase("methanol to waste", 8.0, fixed=no_glycerol, idle=["tank"]),
        Phase("methanol to the tank", 20.0, fixed=no_glycerol, routes=[("reactor.harvest", "tank.feed")]),
    )
    if not free:
        return published
    eaten = Reaches("reactor.Sg", 0.5 * REPRESSING, "falling")
    freed = published.replaced("glycerol batch", duration=Free(22.0, 15.0, 30.0), until=eaten)
    freed = freed.replaced("glycerol perfusion", duration=Free(10.0, 0.0, 20.0))
    freed = freed.replaced("methanol to waste", duration=Free(8.0, 1.0, 20.0))
    return freed.replaced("methanol to the tank", duration=Free(20.0, 5.0, 38.0))


def best(limits: Limits, decided: Decided, accuracy: float) -> Solution:
    """Most product in the tank after 60 h within the limits; `accuracy`: largest deviation from a replay."""
    free: dict[str, Any] = {}
    if decided.perfusion:
        free |= {"reactor.F_g": PiecewiseLinear(2), "reactor.F_m": PiecewiseLinear(2)}
    if decided.feed:
        free["reactor.Sm_methanol"] = Free(40.0, 10.0, 100.0)
    names = [f"tank.n[{key}]" for key in PRODUCTS]
    return optimize(
        plant(),
        recipe(free=True),
        free=free,
        inputs={"reactor.F_g": FLOW, "reactor.F_m": FLOW},
        maximize=AtEnd(lambda v: v["tank.n[P1]"]),
        subject_to=[
            AtEnd(lambda v: v["tank.n[P1]"] - limits.purity * sum(v[n] for n in names), lower=0.0, name="purity"),
            AtEnd(lambda v: v.time, upper=HOURS, name="time"),
            AtEnd(lambda v: v.tank.V, upper=limits.tank, name="tank"),
            Path(lambda v: v.reactor.X, upper=limits.biomass, name="biomass"),
            Path(lambda v: v.reactor.Sm, upper=limits.methanol, name="methanol"),
            Path(oxygen, upper=limits.oxygen, name="oxygen"),
            AtEnd(lambda v: v.reactor.Sg, upper=REPRESSING, phase="glycerol perfusion", name="glycerol left"),
        ],
        starts=1,  # a start without methanol stays without product
        refine=accuracy,
    )


def oxygen(v: Any) -> Any:
    """Oxygen taken up, g/L/h, of a view or a frame: what burns the substrates, less what burns the new biomass."""
    on_glycerol, burnt = v["reactor.kinetics.glycerol.mu"], v["reactor.kinetics.methanol.q"]
    made = on_glycerol + v["reactor.kinetics.methanol.mu"]
    eaten = BURNS["methanol"] * burnt + BURNS["glycerol"] / YIELD * on_glycerol
    return v["reactor.X"] * (eaten - BURNS["biomass"] * made)


def in_tank(run: Solution, key: str = "P1") -> float:
    """What the tank holds at the end, g."""
    return float(run.at_end(f"tank.n[{key}]"))


def purity_of(run: Solution) -> float:
    """Product by all that is counted, in the tank at the end."""
    return in_tank(run) / sum(in_tank(run, key) for key in PRODUCTS)
