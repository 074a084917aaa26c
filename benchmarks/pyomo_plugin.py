"""What does `SolverFactory("titer.ipopt")` add to the solve itself? Run by `python -m benchmarks.pyomo_plugin`.

The published temperature benchmark (see benchmarks.peers) written in Pyomo.DAE: at 200 elements 3000 variables. Timed
are the parts of one call of `solve` - writing the .nl file, reading it into CasADi's symbols, creating the solver with
its derivatives, solving, loading the solution with duals and bound multipliers - and what the call takes beyond them;
beside it the same model through `bundled_ipopt()`, which starts a process for every solve. Medians of interleaved runs.
`--quick` takes fewer repeats and sizes, and writes no file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any

from benchmarks.harness import interleaved, median, record, show, verdict
from benchmarks.peers import COLDEST, GUESS, HOTTEST, TOLERANCE
from titer.cases.case import Claim

OPTIMUM = 0.6107985
ELEMENTS = 200
SIZES = (50, 100, 200, 400)
PARTS = ("write", "read", "create", "solve", "load", "rest")
ALLOWED = 6.0  # what the plug-in may cost, in times the solve itself

Seconds = dict[str, float]


def model(elements: int) -> Any:
    """The temperature benchmark, collocated, with Suffixes for duals and bound multipliers."""
    import pyomo.dae as dae
    import pyomo.environ as pyo

    m = pyo.ConcreteModel("temperature_benchmark")
    m.t = dae.ContinuousSet(bounds=(0, 1))
    m.x = pyo.Var([1, 2], m.t, bounds=(0, None), initialize=lambda m, i, t: 2.0 - i)
    m.T = pyo.Var(m.t, bounds=(COLDEST, HOTTEST), initialize=GUESS)
    m.dx = dae.DerivativeVar(m.x, wrt=m.t, initialize=0.0)
    m.x[1, 0].fix(1.0)
    m.x[2, 0].fix(0.0)

    @m.Constraint([1, 2], m.t)
    def balance(m, i, t):
        if t == 0:
            return pyo.Constraint.Skip
        made = 4000 * pyo.exp(-2500 / m.T[t]) * m.x[1, t] ** 2
        if i == 1:
            return m.dx[1, t] == -made
        return m.dx[2, t] == made - 620000 * pyo.exp(-5000 / m.T[t]) * m.x[2, t]

    m.B = pyo.Objective(expr=m.x[2, 1], sense=pyo.maximize)
    collocation = pyo.TransformationFactory("dae.collocation")
    collocation.apply_to(m, wrt=m.t, nfe=elements, ncp=3, scheme="LAGRANGE-RADAU")
    collocation.reduce_collocation_points(m, var=m.T, ncp=1, contset=m.t)
    for name in ("dual", "ipopt_zL_out", "ipopt_zU_out"):
        setattr(m, name, pyo.Suffix(direction=pyo.Suffix.IMPORT))
    return m


def plugin(elements: int) -> Seconds:
    """One solve by the plug-in: seconds of its parts, and its objective and number of variables."""
    import pyomo.environ as pyo

    import titer.flowsheets.pyomo  # noqa: F401  registers the solver

    m = model(elements)
    solver = pyo.SolverFactory("titer.ipopt")
    began = perf_counter()
    results = solver.solve(m, options={"tol": TOLERANCE})
    total = perf_counter() - began
    _check(results, elements)
    parts = dict(results.timing_info)
    return {
        **parts,
        "rest": total - sum(parts.values()),
        "total": total,
        "objective": pyo.value(m.B),
        "variables": float(results.problem.number_of_variables),
        "overhead": total / parts["solve"] - 1.0,
    }


def executable(elements: int) -> Seconds:
    """The same solve by a process called `ipopt`: its seconds."""
    import pyomo.environ as pyo

    from titer.flowsheets.pyomo import bundled_ipopt

    m = model(elements)
    with bundled_ipopt():
        solver = pyo.SolverFactory("ipopt")
        solver.version()
        began = perf_counter()
        results = solver.solve(m, options={"tol": TOLERANCE})
        total = perf_counter() - began
    _check(results, elements)
    return {"total": total, "objective": pyo.value(m.B)}


def measure(sizes: Sequence[int], repeats: int) -> dict[int, Seconds]:
    """Medians of the plug-in's figures at each size."""
    runs = {n: partial(plugin, n) for n in sizes}
    return {n: _medians(found) for n, found in interleaved(runs, repeats).items()}


def claims(by_size: Mapping[int, Seconds], process: Seconds) -> list[Claim]:
    """What is promised of the plug-in."""
    here = by_size[ELEMENTS]
    return [
        Claim("variables", here["variables"], 3000.0, 100.0),
        Claim("overhead over the solve", here["overhead"], ALLOWED, 0.0, "at most", note="median of single solves"),
        Claim("optimum by the plug-in", here["objective"], OPTIMUM, 1e-6),
        Claim("optimum by the executable", process["objective"], OPTIMUM, 1e-6),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, record, and return 1 when a claim fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pyomo_plugin", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats and sizes; writes no file")
    given = parser.parse_args(arguments)
    repeats = 3 if given.quick else 9
    by_size = measure((ELEMENTS,) if given.quick else SIZES, repeats)
    calls: dict[str, Callable[[], Seconds]] = {"process": partial(executable, ELEMENTS)}
    process = _medians(interleaved(calls, repeats)["process"])
    promised = claims(by_size, process)
    show(
        "One solve by titer.ipopt, milliseconds (median)",
        ("variables", *PARTS, "total", "overhead / solve"),
        [
            (f"{t['variables']:.0f}", *(f"{1e3 * t[p]:.0f}" for p in (*PARTS, "total")), f"{t['overhead']:.2f}")
            for t in by_size.values()
        ],
    )
    show(
        f"By a process, {ELEMENTS} elements, milliseconds (median)",
        ("route", "total"),
        [("titer.ipopt", f"{1e3 * by_size[ELEMENTS]['total']:.0f}"), ("ipopt", f"{1e3 * process['total']:.0f}")],
    )
    if not given.quick:
        figures: dict[str, Any] = {"repeats": repeats, "seconds_by_elements": by_size, "executable": process}
        record("pyomo_plugin", figures, promised)
    return verdict(promised)


def _medians(found: Sequence[Seconds]) -> Seconds:
    return {key: median(each[key] for each in found) for key in found[0]}


def _check(results: Any, elements: int) -> None:
    if str(results.solver.termination_condition) != "optimal":
        raise RuntimeError(f"{elements} elements: {results.solver.message}")


if __name__ == "__main__":
    sys.exit(main())
