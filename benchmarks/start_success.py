"""How often does a problem start by itself? Run by `python -m benchmarks.start_success`.

100 random sets of kinetic and design parameters, by a fixed seed, for each of seven problems: a batch reactor with two
ranges of stop time, a semibatch and a strongly exothermic one under a safety limit, a temperature profile, a fed-batch
fermentation and a three-phase train that uses up its substrate (benchmarks.start_success_reactors and
.start_success_fermentations). Each is given to `optimize` without a guess and without a grid, with two starts. The same
program on the same elements is then given to IPOPT as it comes, with a constant guess
(benchmarks.start_success_constant).

A failure is printed and explained: shown impossible by simulating the decisions most favourable to what is missed,
which then does not count; or too coarse a mesh, where a finer one is solved. `--quick` takes the first tenth of the
sets, `--case NAME` one problem; neither writes a file. `--processes` runs sets side by side.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.harness import median, record, show, verdict
from benchmarks.start_success_constant import CUT_OFF, Constant, from_constant
from benchmarks.start_success_fermentations import FEDBATCH, TRAIN
from benchmarks.start_success_reactors import BATCH, BATCH_LIMITED, EXOTHERM, SEMIBATCH, TEMPERATURE
from benchmarks.start_success_sets import StartCase, Values
from titer.cases.case import Claim
from titer.control import optimize
from titer.numerics import Grid, Solution
from titer.numerics.errors import SolveError

COUNT = 100
STARTS = 2  # the default where the first takes under a second, here whatever the machine is busy with
SAME = 1e-4  # relative difference of two objectives that are called the same
FINER = (60, 200)  # elements tried where a set fails
CASES = {case.name: case for case in (BATCH, BATCH_LIMITED, SEMIBATCH, EXOTHERM, TEMPERATURE, FEDBATCH, TRAIN)}


@dataclass(frozen=True)
class Tried:
    """One set and what became of it; `why` it failed, `uncertified` what its certificate complains of."""

    values: Values
    solved: bool
    objective: float
    starts_agree: bool | None
    certified: bool
    iterations: int
    variables: int
    seconds: float
    constant: Constant | None
    impossible: str = ""
    why: str = ""
    uncertified: str = ""


def tried(name: str, values: Values) -> Tried:
    """Solve a set from no guess and from a constant one; explain a failure."""
    case = CASES[name]
    began = perf_counter()
    plan = optimized(case, values)
    seconds = perf_counter() - began
    if isinstance(plan, SolveError):
        impossible = case.impossible(values)
        why = f"{impossible or explained(case, values)}\n{plan}"
        unfinished = plan.solution
        constant = None if impossible else from_constant(case.stated(values), unfinished)
        return Tried(values, False, np.nan, None, False, -1, -1, seconds, constant, impossible, why)
    certificate = plan.certificate
    assert certificate is not None
    return Tried(
        values=values,
        solved=plan.status.ok,
        objective=plan.objective,
        starts_agree=plan.stats["starts_agree"],
        certified=certificate.ok,
        iterations=plan.stats["iterations"],
        variables=plan.stats["variables"],
        seconds=seconds,
        constant=from_constant(case.stated(values), plan),
        uncertified="" if certificate.ok else certificate.message,
    )


def optimized(case: StartCase, values: Values, grid: Grid | None = None) -> Solution | SolveError:
    """The plan of a set, or why there is none."""
    try:
        return optimize(**case.stated(values), grid=grid, starts=STARTS)
    except SolveError as error:
        return error


def explained(case: StartCase, values: Values) -> str:
    """Why a set that is not shown impossible fails."""
    for elements in FINER:
        if isinstance(optimized(case, values, Grid(elements=elements)), Solution):
            return f"the mesh was too coarse: solved with {elements} elements a phase"
    return "not explained"


def run(names: Sequence[str], count: int, processes: int) -> dict[str, list[Tried]]:
    """Try the first `count` sets of each problem."""
    from joblib import Parallel, delayed

    found = {}
    for name in names:
        began = perf_counter()
        sets = CASES[name].sets(count)
        found[name] = list(Parallel(n_jobs=processes)(delayed(tried)(name, values) for values in sets))
        sys.stderr.write(f"{name}: {count} sets in {perf_counter() - began:.0f} s\n")
    return found


def claims(found: Mapping[str, Sequence[Tried]]) -> list[Claim]:
    """State what the project promises."""
    promised = []
    for name, sets in found.items():
        possible = [t for t in sets if not t.impossible]
        share = 100.0 * sum(t.solved for t in possible) / len(possible)
        promised.append(Claim(f"{name}: solved of {len(possible)} possible", share, 99.0, kind="at least", unit="%"))
        share = 100.0 * sum(t.certified for t in possible) / len(possible)
        promised.append(Claim(f"{name}: certified of these", share, 95.0, kind="at least", unit="%"))
    everything = [t for sets in found.values() for t in sets]
    promised.append(Claim("failures not explained", sum("not explained" in t.why for t in everything), 0.0))
    return promised


def figures(t: Tried) -> dict[str, Any]:
    """What is recorded of a set: the first lines of a failure; values, which the seed gives again, if not certified."""
    kept = {key: value for key, value in asdict(t).items() if value not in ("", None)}
    if t.certified:
        del kept["values"]
    if t.why:
        kept["why"] = t.why.splitlines()[:2]
    return kept


def present(found: Mapping[str, Sequence[Tried]]) -> None:
    """Print two lines for each problem, and every failure."""
    columns = ("problem", "solved", "certified", "disagree", "iterations", "seconds")
    show("No guess; sets shown impossible left out", columns, [_line(name, sets) for name, sets in found.items()])
    compared = ("problem", "solved", "same", "worse", "better", "cut off", "iterations")
    show("The same from a constant guess", compared, [_constant_line(name, sets) for name, sets in found.items()])
    for name, sets in found.items():
        for i, t in enumerate(sets):
            text = t.impossible or t.why or (f"not certified: {t.uncertified}" if t.uncertified else "")
            if text:
                drawn = ", ".join(f"{key} {value:.6g}" for key, value in t.values.items())
                sys.stdout.write(f"{name}, set {i} ({drawn}):\n  " + text.replace("\n", "\n  ") + "\n")


def _line(name: str, sets: Sequence[Tried]) -> tuple[str, ...]:
    """How many were solved, certified, and had starts that disagree; iterations of the last solve, seconds of all."""
    possible = [t for t in sets if not t.impossible]
    solved = [t for t in possible if t.solved]
    return (
        name,
        f"{len(solved)}/{len(possible)}",
        str(sum(t.certified for t in solved)),
        str(sum(t.starts_agree is False for t in solved)),
        _median_and_most([t.iterations for t in solved], ".0f"),
        _median_and_most([t.seconds for t in possible], ".2f"),
    )


def _constant_line(name: str, sets: Sequence[Tried]) -> tuple[str, ...]:
    """How many were solved, to the same objective, a worse or a better one, or cut off by time; iterations."""
    tries = [t.constant for t in sets if t.constant is not None]
    gains = np.array([c.gain for c in tries if c.solved])
    return (
        name,
        f"{sum(c.solved for c in tries)}/{len(tries)}",
        str(int(np.sum(np.abs(gains) <= SAME))),
        str(int(np.sum(gains < -SAME))),
        str(int(np.sum(gains > SAME))),
        str(sum(c.said == CUT_OFF for c in tries)),
        _median_and_most([c.iterations for c in tries], ".0f"),
    )


def _median_and_most(numbers: Sequence[float], form: str) -> str:
    return f"{median(numbers):{form}} ({max(numbers):{form}})" if numbers else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Try all sets, print, record, and return 1 when a claim fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start_success", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the sets; writes no file")
    parser.add_argument("--case", choices=CASES, help="one problem only; writes no file")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="sets tried side by side")
    given = parser.parse_args(arguments)
    names = [given.case] if given.case else list(CASES)
    found = run(names, COUNT // 10 if given.quick else COUNT, given.processes)
    promised = claims(found)
    present(found)
    if not given.quick and not given.case:
        record("start_success", {name: [figures(t) for t in tries] for name, tries in found.items()}, promised)
    return verdict(promised)


if __name__ == "__main__":
    sys.exit(main())
