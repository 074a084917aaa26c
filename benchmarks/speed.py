"""How fast is titer, from declaration to solution, beside its peers? Run by `python -m benchmarks.speed`.

The published temperature benchmark (see benchmarks.peers) at one piece an element: medians of interleaved
runs, the growth of titer's time with the number of elements, and the time of `import titer.control`.
Compared is the time from the declaration to the solution of one start, which is what the peers do. titer then
also certifies the solution by a replay, and by default solves from a second start: both are timed separately.
`--quick` takes fewer repeats and sizes, and writes no file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.harness import growth_exponent, import_seconds, interleaved, median, record, show, verdict
from benchmarks.peers import COLDEST, GUESS, HOTTEST, TOLERANCE, Timed, casadi_by_hand, gekko, pyomo_dae
from titer.cases.case import Claim

ELEMENTS = 200
SECOND_START = "titer, two starts"
SIZES = (50, 100, 200, 400, 800, 1600)
TOOLS: dict[str, Callable[[int], Timed]] = {
    "titer": lambda elements: titer(elements),
    "CasADi by hand": casadi_by_hand,
    "Pyomo.DAE": pyomo_dae,
    "GEKKO": gekko,
    "GEKKO defaults": partial(gekko, nodes=3, hold=True, free_start=False),
}


@dataclass(frozen=True)
class TiterTimed(Timed):
    """titer's seconds; certificate and second start come after the solution and are not in the total.

    `simulation` checks the structure and simulates the start, which the peers are given; it is in the total.
    """

    simulation: float
    certificate: float
    second_start: float


def titer(elements: int, starts: int | None = 1) -> TiterTimed:
    """Declare, optimize and certify by titer; a new class each time, so that no run profits from another.

    `starts`: one, as the peers, or None for titer's default, which adds a second start where the first was fast.
    """
    from titer.control import optimize
    from titer.flowsheets import (
        AtEnd,
        Control,
        Equations,
        Flowsheet,
        Parameter,
        Phase,
        PiecewiseConstant,
        Recipe,
        State,
        Unit,
    )
    from titer.numerics import Grid, Ipopt

    started = perf_counter()

    class Reactor(Unit):
        """A -> B -> C, x1' = -k1 x1^2, x2' = k1 x1^2 - k2 x2, k_i = k0_i exp(-E_i / T)."""

        time = "h"
        x_1 = State("1", start=1.0, lower=0.0)
        x_2 = State("1", start=0.0, lower=0.0)
        T = Control("K", start=GUESS, lower=COLDEST, upper=HOTTEST)
        k0_1 = Parameter("1/h", 4000.0)
        k0_2 = Parameter("1/h", 620000.0)
        E_1 = Parameter("K", 2500.0)
        E_2 = Parameter("K", 5000.0)

        def equations(self, v):
            r_1 = v.k0_1 * np.exp(-v.E_1 / v.T) * v.x_1**2
            r_2 = v.k0_2 * np.exp(-v.E_2 / v.T) * v.x_2
            return Equations(rate={"x_1": -r_1, "x_2": r_1 - r_2})

    reactor = Reactor("reactor")
    plant = Flowsheet(reactor, time="h")
    recipe = Recipe(Phase("react", duration=1.0))
    modelled = perf_counter()
    plan = optimize(
        plant,
        recipe,
        free={reactor.T: PiecewiseConstant(elements)},
        maximize=AtEnd(lambda v: v.reactor.x_2),
        grid=Grid(elements=elements, degree=3),
        solver=Ipopt(tolerance=TOLERANCE),
        starts=starts,
    )
    done = perf_counter()
    spent = plan.stats
    certificate, second_start = spent["seconds_certificate"], spent["seconds_second_start"]
    return TiterTimed(
        objective=plan.objective,
        model=modelled - started,
        transcribe=spent["seconds_transcribe"],
        create=spent["seconds_create"],
        solve=spent["seconds_solve"],
        total=done - started - certificate - second_start,
        simulation=spent["seconds_simulation"],
        certificate=certificate,
        second_start=second_start,
    )


def compare(elements: int, repeats: int) -> dict[str, Timed]:
    """Run every tool at one size, and titer with its default second start, and return the medians of each field."""
    tools = TOOLS | {SECOND_START: partial(titer, starts=None)}
    runs = {name: partial(tool, elements) for name, tool in tools.items()}
    return {name: medians(timed) for name, timed in interleaved(runs, repeats).items()}


def grow(sizes: Sequence[int], repeats: int) -> dict[str, dict[int, float]]:
    """Return the median seconds of titer and of the hand-written transcription at each size."""
    runs = {(name, n): partial(TOOLS[name], n) for name in ("titer", "CasADi by hand") for n in sizes}
    seconds: dict[str, dict[int, float]] = {}
    for (name, n), timed in interleaved(runs, repeats).items():
        seconds.setdefault(name, {})[n] = median(t.total for t in timed)
    return seconds


def medians(timed: Sequence[Timed]) -> Timed:
    """Return the median of each field."""
    return type(timed[0])(*(median(column) for column in zip(*map(astuple, timed), strict=True)))


def claims(tools: Mapping[str, Timed], exponents: Mapping[str, float], importing: float) -> list[Claim]:
    """State what the project promises of its speed; of GEKKO's two settings the faster counts."""
    own, least = tools["titer"], tools["CasADi by hand"]
    fastest_gekko = min(tools["GEKKO"].total, tools["GEKKO defaults"].total)
    return [
        Claim("optimum", own.objective, least.objective, 1e-6),
        Claim("optimum by Pyomo.DAE", tools["Pyomo.DAE"].objective, least.objective, 1e-6),
        Claim("optimum by GEKKO", tools["GEKKO"].objective, least.objective, 3e-5),
        Claim("times faster than Pyomo.DAE", tools["Pyomo.DAE"].total / own.total, 4.0, kind="at least"),
        Claim("times faster than GEKKO", fastest_gekko / own.total, 2.0, kind="at least"),
        Claim("growth exponent", exponents["titer"], 1.15, kind="at most"),
        Claim("import of titer.control", importing, 1.0, kind="at most", unit="s"),
    ]


def surplus(tools: Mapping[str, Timed]) -> dict[str, float]:
    """Return what titer spends on what the peers leave to their users, in seconds."""
    own, default = tools["titer"], tools[SECOND_START]
    assert isinstance(own, TiterTimed)
    assert isinstance(default, TiterTimed)
    return {"simulation": own.simulation, "certificate": own.certificate, "second start": default.second_start}


def present(elements: int, tools: Mapping[str, Timed], growth: Mapping[str, Mapping[int, float]]) -> None:
    """Print the two tables."""
    steps = [f.name for f in fields(Timed) if f.name != "objective"]
    own = tools["titer"].total
    show(
        f"{elements} elements, milliseconds (median)",
        ("tool", "optimum", *steps, "ratio"),
        [
            (
                name,
                f"{t.objective:.6f}",
                *(f"{1e3 * getattr(t, step):.0f}" for step in steps),
                f"{t.total / own:.2f}",
            )
            for name, t in tools.items()
        ],
    )
    show(
        "What titer does besides, milliseconds (median)",
        ("step", "milliseconds", "in the total"),
        [
            (step, f"{1e3 * seconds:.0f}", "yes" if step == "simulation" else "no")
            for step, seconds in surplus(tools).items()
        ],
    )
    sizes = list(growth["titer"])
    show(
        "Growth, milliseconds (median)",
        ("tool", *map(str, sizes), "exponent"),
        [
            (name, *(f"{1e3 * s:.0f}" for s in by_size.values()), f"{exponent(by_size):.2f}")
            for name, by_size in growth.items()
        ],
    )


def exponent(by_size: Mapping[int, float]) -> float:
    """Return the growth exponent of seconds by size."""
    return growth_exponent(list(by_size), list(by_size.values()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, record, and return 1 when a claim fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats and sizes; writes no file")
    parser.add_argument("--repeats", type=int, default=None, help="runs of each, after one to warm up")
    given = parser.parse_args(arguments)
    repeats = given.repeats or (3 if given.quick else 9)

    tools = compare(ELEMENTS, repeats)
    growth = grow(SIZES[:4] if given.quick else SIZES, repeats)
    importing = median(import_seconds("titer.control", repeats))
    exponents = {name: exponent(by_size) for name, by_size in growth.items()}
    promised = claims(tools, exponents, importing)

    present(ELEMENTS, tools, growth)
    if not given.quick:
        figures: dict[str, Any] = {
            "elements": ELEMENTS,
            "repeats": repeats,
            "tools": {name: asdict(timed) for name, timed in tools.items()},
            "seconds_of_titer_besides": surplus(tools),
            "seconds_over_titer": {name: t.total / tools["titer"].total for name, t in tools.items()},
            "seconds_by_elements": growth,
            "growth_exponent": exponents,
            "seconds_import_control": importing,
        }
        record("speed", figures, promised, packages=("gekko",))
    return verdict(promised)


if __name__ == "__main__":
    sys.exit(main())
