"""How does a fit grow with its batches, does a bootstrap use all cores? `python -m benchmarks.estimation_scaling`.

Arrhenius parameters of the flagship batch reactor, from 1 to 100 generated non-isothermal batches (four names, a sample
every five minutes), estimate plus covariance on a fixed grid. Each size runs in a process of its own: computing seconds
(not those on the clock, so that a busy machine counts less) and by how much the peak of its memory grew beyond that of
a first fit to one batch, which also warms imports. The smallest sizes are mostly overhead, and flatter an exponent:
that from 10 batches on is claimed too. Iterations are recorded, as they differ from size to size.

200 parametric replicates of the fit to 20 batches are then run as `fit.bootstrap(200)` runs them. `--quick` takes
up to 20 batches and 40 replicates, and writes no file.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pandas as pd
from joblib import cpu_count

from benchmarks.harness import ROOT, growth_exponent, record, show, verdict
from titer.cases.case import Claim
from titer.estimation import Experiment, Fit, estimate
from titer.flowsheets import Flowsheet, Free, Phase, Recipe, simulate
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid

SIZES = (1, 2, 5, 10, 20, 50, 100)
RESAMPLED = 20
EXPONENT = 1.15
BUSY = 0.75  # of the cores, on average over a bootstrap, its processes' start included
JACKETS = (
    [332.0, 332.0, 332.0],
    [350.0, 350.0, 350.0],
    [325.0, 345.0, 355.0],
    [355.0, 335.0, 325.0],
    [345.0, 350, 365],
)
NOISE = {"c_A": 0.01, "c_B": 0.01, "c_C": 0.005, "T": 0.3}
GRID = Grid(48)
reactor = BatchReactor("reactor")
plant = Flowsheet(reactor, time="s")
recipe = Recipe(Phase("react", 3600.0))
FREE = {
    reactor.k0_1: Free(1.5e9, 1e7, 1e11),
    reactor.E_1: Free(7.8e4, 5.0e4, 1.2e5),
    reactor.k0_2: Free(8.0e9, 1e7, 1e13),
    reactor.E_2: Free(8.6e4, 5.0e4, 1.2e5),
}


def batches(count: int) -> list[Experiment]:
    """Generated batches, with five jacket profiles in turn and noise by the number of each."""
    times = np.arange(300.0, 3601.0, 300.0)
    truth = []
    for levels in JACKETS:
        jacket = pd.Series(levels, index=[0.0, 1200.0, 2400.0])
        run = simulate(plant, recipe, {reactor.T_j: jacket})
        exact = {n: np.interp(times, run[f"reactor.{n}"].index, run[f"reactor.{n}"].to_numpy()) for n in NOISE}
        truth.append((jacket, exact))
    found = []
    for k in range(count):
        jacket, exact = truth[k % len(truth)]
        rng = np.random.default_rng([7, k])
        frame = pd.DataFrame(
            {f"reactor.{n}": exact[n] + size * rng.normal(size=len(times)) for n, size in NOISE.items()}, index=times
        )
        noise = {f"reactor.{n}": size for n, size in NOISE.items()}
        allowed = [f"reactor.{n}" for n in NOISE]
        found.append(Experiment(frame, noise, recipe, {reactor.T_j: jacket}, may_leave=allowed))
    return found


def fitted(count: int) -> Fit:
    """The fit, with its covariance computed."""
    fit = estimate(plant, batches(count), FREE, GRID, starts=1)
    assert np.isfinite(fit.covariance.to_numpy()).all()
    return fit


def measured(count: int) -> dict[str, Any]:
    """Time and memory of one size, in this process."""
    fitted(1)
    before, began = _peak(), process_time()
    fit = fitted(count)
    spent = process_time() - began
    work = fit.work
    return {
        "batches": count,
        "seconds": spent,
        "megabytes": _peak() - before,
        "variables": len(work.outcome.w),
        "iterations": work.outcome.iterations,
        "deviation": max(c.largest_deviation for c in fit.certificates),
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def elsewhere(count: int) -> dict[str, Any]:
    """Time and memory of one size, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.estimation_scaling", "--size", str(count)]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return dict(json.loads(run.stdout.splitlines()[-1]))


def resampled(count: int) -> dict[str, Any]:
    """A bootstrap of a fit, as it runs by default."""
    fit = fitted(RESAMPLED)
    began = perf_counter()
    found = fit.bootstrap(count)
    clock = perf_counter() - began
    solves = found.solves
    return {
        "replicates": count,
        "failed": len(found.failed),
        "clock_seconds": clock,
        "computing_seconds": float(solves["seconds"].sum()),
        "busy_cores": float(solves["seconds"].sum()) / clock,
        "processes": int(solves["process"].nunique()),
        "ratio_of_standard_errors": (found.standard_errors / fit.standard_errors).to_dict(),
    }


def claims(rows: list[dict[str, Any]], boot: dict[str, Any]) -> list[Claim]:
    """What the figures must show."""
    sizes = [row["batches"] for row in rows]
    seconds = [row["seconds"] for row in rows]
    large = [row for row in rows if row["batches"] >= 10]
    whole = growth_exponent(sizes, seconds)
    tail = growth_exponent([row["batches"] for row in large], [row["seconds"] for row in large])
    memory = growth_exponent([row["batches"] for row in large], [row["megabytes"] for row in large])
    return [
        Claim(f"time exponent, {sizes[0]} to {sizes[-1]} batches", whole, EXPONENT, kind="at most"),
        Claim(f"time exponent, 10 to {sizes[-1]} batches", tail, EXPONENT, kind="at most"),
        Claim(f"memory exponent, 10 to {sizes[-1]} batches", memory, EXPONENT, kind="at most"),
        Claim("replicates that failed", float(boot["failed"]), 0.0),
        Claim("cores that are busy in a bootstrap", boot["busy_cores"], BUSY * cpu_count(), kind="at least"),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Measure, show, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--size", type=int)
    options = parser.parse_args(arguments)
    if options.size is not None:
        print(json.dumps(measured(options.size)))
        return 0
    rows = [elsewhere(count) for count in SIZES if not options.quick or count <= 20]
    boot = resampled(40 if options.quick else 200)
    keys = ("batches", "variables", "iterations", "seconds", "megabytes", "deviation")
    show(
        "Fits to batches",
        keys,
        [[f"{row[key]:.3g}" if key not in keys[:3] else str(row[key]) for key in keys] for row in rows],
    )
    show("Bootstrap", ("figure", "value"), [(key, f"{boot[key]:.3g}") for key in list(boot)[:-1]])
    found = claims(rows, boot)
    if not options.quick:
        record("estimation_scaling", {"fits": rows, "bootstrap": boot}, found)
    return verdict(found)


if __name__ == "__main__":
    sys.exit(main())
