"""How often does the flagship start by itself? Run by `python -m benchmarks.start_success`.

100 batch reactors A -> B -> C with random kinetics, each k0 within a factor of 3 (evenly by logarithm) and each E
within 20 %, by a fixed seed: the rate constants at 335 K span six orders of magnitude. For each the batch of highest
margin is sought without a guess, as in the case batch_reactor: jacket temperatures and stop time, under limits of the
reactor temperature and of the impurity. Once the stop time is free between a second and 100 hours, so that there always
is an answer, and once within the limits of the case, ten minutes to ten hours. A failure is printed and explained: what
cannot be met by the coldest and shortest batch cannot be met, and what a finer mesh solves was too coarse a mesh.
`--quick` takes the first tenth and writes no file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter

import numpy as np

from benchmarks.harness import median, record, show, verdict
from titer.cases.batch_reactor import COLDEST, LONGEST, SHORTEST, best_batch
from titer.cases.batch_reactor_economics import Economics
from titer.cases.case import Claim
from titer.flowsheets import Flowsheet, Free, Phase, Recipe, simulate
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid
from titer.numerics.errors import SolveError

COUNT, SEED, PIECES = 100, 0, 12
ECONOMICS = Economics(price=200.0, purification=100.0, occupancy=4000.0, impurity=0.12, temperature=345.0)
STOPS = {"1 s to 100 h": (1.0, 3.6e5), "10 min to 10 h": (SHORTEST, LONGEST)}
IMPOSSIBLE = "no batch meets the limits"


@dataclass(frozen=True)
class Tried:
    """One set and what became of it: k0 in 1/s, E in J/mol, margin in EUR, stop time in s; `why` it failed."""

    values: Mapping[str, float]
    solved: bool
    margin: float
    stop: float
    starts_agree: bool | None
    certified: bool
    seconds: float
    why: str = ""

    @property
    def impossible(self) -> bool:
        """Whether there is nothing to be found."""
        return self.why.startswith(IMPOSSIBLE)


def random_sets(count: int) -> list[dict[str, float]]:
    """Sets of kinetic parameters; fewer are the first of more."""
    rng = np.random.default_rng(SEED)
    nominal = Flowsheet(BatchReactor("reactor"), time="s").values
    return [
        {
            "reactor.k0_1": nominal["reactor.k0_1"] * 3.0 ** rng.uniform(-1.0, 1.0),
            "reactor.k0_2": nominal["reactor.k0_2"] * 3.0 ** rng.uniform(-1.0, 1.0),
            "reactor.E_1": nominal["reactor.E_1"] * rng.uniform(0.8, 1.2),
            "reactor.E_2": nominal["reactor.E_2"] * rng.uniform(0.8, 1.2),
        }
        for _ in range(count)
    ]


def tried(values: Mapping[str, float], limits: tuple[float, float]) -> Tried:
    """Seek the best batch of a set; explain a failure."""
    began = perf_counter()
    try:
        plan = best_batch(ECONOMICS, PIECES, Free(3600.0, *limits), values)
    except SolveError as error:
        why = f"{explained(values, limits)}\n{error}"
        return Tried(values, False, np.nan, np.nan, None, False, perf_counter() - began, why)
    agree, certified = plan.stats["starts_agree"], bool(plan.certificate and plan.certificate.ok)
    return Tried(values, True, plan.objective, plan.duration["react"], agree, certified, perf_counter() - began)


def explained(values: Mapping[str, float], limits: tuple[float, float]) -> str:
    """Why a set fails. Hotter and longer make more C, so that the shortest batch with the coldest jacket has least."""
    reactor = BatchReactor("reactor")
    plant = Flowsheet(reactor, time="s").with_values(values)
    run = simulate(plant, Recipe(Phase("react", duration=limits[0])), inputs={reactor.T_j: COLDEST})
    least, coldest = run.at_end(reactor.c_C), float(run[reactor.T].max())
    if least > ECONOMICS.impurity or coldest > ECONOMICS.temperature:
        return f"{IMPOSSIBLE}: after {limits[0]:g} s with a jacket at {COLDEST:g} K, C is {least:.3f} mol/L"
    for elements in (60, 200):
        try:
            best_batch(ECONOMICS, PIECES, Free(3600.0, *limits), values, grid=Grid(elements=elements))
        except SolveError:
            continue
        return f"the mesh was too coarse: solved with {elements} elements"
    return "not explained"


def claims(found: Mapping[str, Sequence[Tried]]) -> list[Claim]:
    """State what the project promises."""
    free, case = (found[name] for name in STOPS)
    enough = len(free) * 99 // 100
    everything = [t for sets in found.values() for t in sets]
    uncertified = sum(t.solved and not t.certified for t in everything)
    unexplained = sum(t.why.startswith("not explained") for t in everything)
    return [
        Claim(
            f"solved of {len(free)}, stop between 1 s and 100 h",
            sum(t.solved for t in free),
            enough,
            kind="at least",
        ),
        Claim(
            f"solved, or impossible, of {len(case)}, stop between 10 min and 10 h",
            sum(t.solved or t.impossible for t in case),
            enough,
            kind="at least",
        ),
        Claim("solved without a certificate", uncertified, 0.0),
        Claim("failures not explained", unexplained, 0.0),
    ]


def present(found: Mapping[str, Sequence[Tried]]) -> None:
    """Print a line for each range of stop times, and every failure."""
    show(
        "Batch reactors with random kinetics, no guess given",
        ("stop time", "sets", "solved", "impossible", "failed", "disagree", "median s", "most s"),
        [
            (
                name,
                str(len(sets)),
                str(sum(t.solved for t in sets)),
                str(sum(t.impossible for t in sets)),
                str(sum(not t.solved and not t.impossible for t in sets)),
                str(sum(t.starts_agree is False for t in sets)),
                f"{median(t.seconds for t in sets):.2f}",
                f"{max(t.seconds for t in sets):.2f}",
            )
            for name, sets in found.items()
        ],
    )
    for name, sets in found.items():
        for i, t in enumerate(sets):
            if not t.solved:
                kinetics = ", ".join(f"{key} {value:.4g}" for key, value in t.values.items())
                sys.stdout.write(f"{name}, set {i} ({kinetics}):\n  " + t.why.replace("\n", "\n  ") + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Try all sets, print, record, and return 1 when a claim fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start_success", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the sets; writes no file")
    given = parser.parse_args(arguments)
    sets = random_sets(COUNT // 10 if given.quick else COUNT)
    found = {name: [tried(values, limits) for values in sets] for name, limits in STOPS.items()}
    promised = claims(found)
    present(found)
    if not given.quick:
        record("start_success", {name: [asdict(t) for t in tries] for name, tries in found.items()}, promised)
    return verdict(promised)


if __name__ == "__main__":
    sys.exit(main())
