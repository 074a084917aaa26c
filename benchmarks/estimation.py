"""How fast and how right is a fit with its covariance, beside parmest? Run by `python -m benchmarks.estimation`.

Four Arrhenius parameters of the flagship batch reactor from five noisy non-isothermal batches (the case
batch_kinetics), estimate plus covariance, from the same guess: by titer, and by parmest on Pyomo.DAE, which its
documentation teaches: the same Radau collocation, elements, weights, logarithms of k0 and IPOPT (in this process, by
the plug-in; parmest would start an executable each time), its covariance method `finite_difference`. parmest is given
trajectories simulated at the guess to start from, whose time does not count. And 200 synthetic data sets: how often do
the 95 % intervals hold the truth? `--quick` takes one repeat and 40 data sets, and writes no file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.harness import interleaved, median, record, show, verdict
from titer.cases.batch_kinetics import DEVIATIONS, DURATION, EVERY, GUESS, JACKETS, batches
from titer.cases.case import Claim
from titer.estimation import Experiment, Fit, estimate
from titer.flowsheets import Flowsheet, Phase, Recipe, simulate
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid, Ipopt

ELEMENTS, DEGREE, TOLERANCE = 48, 3, 1e-8
SEED = 1
SETS = 200  # synthetic data sets
NAMES = tuple(f"reactor.{name}" for name in GUESS)
LOGARITHMIC = (True, False, True, False)
KILO = 1e3  # J/mol in a kJ/mol: parmest's activation energies, for its solver's sake


@dataclass(frozen=True)
class Timed:
    """What a tool found, in (log k0, E in J/mol) in turn, and its seconds."""

    values: tuple[float, ...]
    errors: tuple[float, ...]
    objective: float
    estimate: float
    covariance: float

    @property
    def total(self) -> float:
        return self.estimate + self.covariance


def plant() -> Flowsheet:
    """The flagship with its own values: the truth of the batches."""
    return Flowsheet(BatchReactor("reactor"), time="s")


def fitted(data: list[Experiment], tolerance: float = TOLERANCE) -> Fit:
    """The fit by titer; no second start, as parmest has none."""
    free = {f"reactor.{name}": value for name, value in GUESS.items()}
    return estimate(plant(), data, free, Grid(ELEMENTS, DEGREE), Ipopt(tolerance=tolerance), starts=1)


def titer(data: list[Experiment]) -> Timed:
    """Estimate, with its certificates by replay, and covariance by titer."""
    began = perf_counter()
    fit = fitted(data)
    solved = perf_counter()
    errors = [float(fit.standard_errors[name]) for name in NAMES]
    done = perf_counter()
    values = [fit.values[name] for name in NAMES]
    logs = zip(values, errors, LOGARITHMIC, strict=True)
    return Timed(
        tuple(float(np.log(v)) if log else v for v, log in zip(values, LOGARITHMIC, strict=True)),
        tuple(e / v if log else e for v, e, log in logs),
        fit.objective,
        solved - began,
        done - solved,
    )


def parmest(data: list[Experiment], starts: list[dict[str, np.ndarray]]) -> Timed:
    """Estimate and finite-difference covariance by parmest, its IPOPT in this process."""
    import pyomo.contrib.parmest.parmest as tool
    import pyomo.environ as pyo

    import titer.flowsheets.pyomo  # noqa: F401  (registers titer.ipopt)

    def bundled(name: str) -> Any:
        solver = pyo.SolverFactory("titer.ipopt")
        solver.options["tol"] = TOLERANCE
        return solver

    began = perf_counter()
    batches_ = [
        _Batch(experiment, jacket, start) for experiment, jacket, start in zip(data, JACKETS, starts, strict=True)
    ]
    with mock.patch.object(tool, "SolverFactory", bundled):
        estimator = tool.Estimator(batches_, obj_function="SSE_weighted")
        objective, theta = estimator.theta_est()
        solved = perf_counter()
        covariance = estimator.cov_est(method="finite_difference", solver="titer.ipopt", step=1e-3)
    done = perf_counter()
    order = ["lnk0_1", "E_1", "lnk0_2", "E_2"]
    sizes = np.where(LOGARITHMIC, 1.0, KILO)
    return Timed(
        tuple(float(theta[n]) * s for n, s in zip(order, sizes, strict=True)),
        tuple(float(np.sqrt(covariance.loc[n, n])) * s for n, s in zip(order, sizes, strict=True)),
        float(objective),
        solved - began,
        done - solved,
    )


class _Batch:
    """A batch as parmest's Experiment: a labelled, discretized Pyomo.DAE model."""

    def __init__(self, experiment: Experiment, jacket: Any, start: dict[str, np.ndarray]):
        self.experiment, self.jacket, self.start = experiment, jacket, start

    def get_labeled_model(self) -> Any:
        import pyomo.dae as dae
        import pyomo.environ as pyo

        truth = plant().values
        frame = self.experiment.frame
        m = pyo.ConcreteModel()
        m.t = dae.ContinuousSet(initialize=[0.0, *map(float, frame.index)])
        for name, guess in (("lnk0_1", GUESS["k0_1"]), ("lnk0_2", GUESS["k0_2"])):
            m.add_component(
                name, pyo.Var(initialize=np.log(guess.guess), bounds=tuple(np.log([guess.lower, guess.upper])))
            )
        for name, guess in (("E_1", GUESS["E_1"]), ("E_2", GUESS["E_2"])):
            bounds = (guess.lower / KILO, guess.upper / KILO)
            m.add_component(name, pyo.Var(initialize=guess.guess / KILO, bounds=bounds))
        for theta in (m.lnk0_1, m.E_1, m.lnk0_2, m.E_2):
            theta.fix()
        m.c_A, m.c_B, m.c_C = (pyo.Var(m.t, bounds=(0, None), initialize=0.0) for _ in range(3))
        m.T = pyo.Var(m.t, bounds=(250, 450), initialize=320.0)
        m.dc_A, m.dc_B = dae.DerivativeVar(m.c_A, wrt=m.t), dae.DerivativeVar(m.c_B, wrt=m.t)
        m.dc_C, m.dT = dae.DerivativeVar(m.c_C, wrt=m.t), dae.DerivativeVar(m.T, wrt=m.t)
        edges, levels = np.array(list(self.jacket)), np.array(list(self.jacket.values()))
        heat = {key: truth[f"reactor.{key}"] for key in ("R", "dH_1", "dH_2", "UA_V", "rhoCp")}

        def rates(m: Any, t: float) -> tuple[Any, Any]:
            rt = heat["R"] * m.T[t] / KILO
            return pyo.exp(m.lnk0_1 - m.E_1 / rt) * m.c_A[t], pyo.exp(m.lnk0_2 - m.E_2 / rt) * m.c_B[t]

        def balance(slope: str, law: Any) -> Any:
            def rule(m: Any, t: float) -> Any:
                return pyo.Constraint.Skip if t == 0 else getattr(m, slope)[t] == law(m, t, *rates(m, t))

            return pyo.Constraint(m.t, rule=rule)

        def warming(m: Any, t: float, r_1: Any, r_2: Any) -> Any:
            T_j = float(levels[np.searchsorted(edges, t - 1e-6, side="right") - 1])
            return (-heat["dH_1"] * r_1 - heat["dH_2"] * r_2 + heat["UA_V"] * (T_j - m.T[t])) / heat["rhoCp"]

        m.of_A = balance("dc_A", lambda m, t, r_1, r_2: -r_1)
        m.of_B = balance("dc_B", lambda m, t, r_1, r_2: r_1 - r_2)
        m.of_C = balance("dc_C", lambda m, t, r_1, r_2: r_2)
        m.of_T = balance("dT", warming)
        for variable, value in ((m.c_A, 1.0), (m.c_B, 0.0), (m.c_C, 0.0), (m.T, 320.0)):
            variable[0].fix(value)
        pyo.TransformationFactory("dae.collocation").apply_to(
            m, wrt=m.t, nfe=ELEMENTS, ncp=DEGREE, scheme="LAGRANGE-RADAU"
        )
        for name in DEVIATIONS:
            series = np.interp(list(m.t), self.start["time"], self.start[name])
            for t, value in zip(m.t, series, strict=True):
                if t > 0:
                    getattr(m, name)[t].set_value(float(value), skip_validation=True)
        measured = [
            (getattr(m, name)[float(t)], float(frame.loc[t, f"reactor.{name}"]), deviation)
            for name, deviation in DEVIATIONS.items()
            for t in frame.index
        ]
        suffixes = {
            "experiment_outputs": [(v, y) for v, y, _ in measured],
            "measurement_error": [(v, s) for v, _, s in measured],
            "unknown_parameters": [(v, v.value) for v in (m.lnk0_1, m.E_1, m.lnk0_2, m.E_2)],
        }
        for name, entries in suffixes.items():
            setattr(m, name, pyo.Suffix(direction=pyo.Suffix.LOCAL))
            getattr(m, name).update(entries)
        return m


def simulated_starts() -> list[dict[str, np.ndarray]]:
    """Trajectories at the guess, by batch."""
    import pandas as pd

    guessed = plant().with_values({f"reactor.{name}": value.guess for name, value in GUESS.items()})
    found = []
    for jacket in JACKETS:
        run = simulate(guessed, Recipe(Phase("react", DURATION)), inputs={"reactor.T_j": pd.Series(jacket)})
        found.append(
            {"time": run["reactor.T"].index.to_numpy()} | {n: run[f"reactor.{n}"].to_numpy() for n in DEVIATIONS}
        )
    return found


def coverage(count: int, seed: int = 7) -> tuple[dict[str, float], float]:
    """How often the 95 % interval of each number holds the truth, in percent, and the seconds of a data set."""
    fit = fitted(batches(plant(), SEED))
    work, rng = fit.work, np.random.default_rng(seed)
    exact = {f"{r}": _exact(jacket) for r, jacket in enumerate(JACKETS)}
    truth = plant().values
    covered = dict.fromkeys(NAMES, 0)
    began = perf_counter()
    for _ in range(count):
        data = work.data.copy()
        for s in work.samples():
            data[s.data[1]] = exact[f"{s.experiment}"][s.name] + s.deviations * rng.standard_normal(len(s.times))
        outcome = work.again(data)
        if not outcome.status.ok:
            raise RuntimeError(f"a data set was not fitted: {outcome.status.value}")
        again = Fit(fit.plant, fit.experiments, fit.free, fit.loss, work.with_solve(outcome, data))
        interval = again.interval(0.95)
        for name in NAMES:
            covered[name] += bool(interval.loc[name, "lower"] <= truth[name] <= interval.loc[name, "upper"])
    return {name: 100.0 * n / count for name, n in covered.items()}, (perf_counter() - began) / count


def _exact(jacket: Any) -> dict[str, np.ndarray]:
    import pandas as pd

    times = np.arange(EVERY, DURATION + 1.0, EVERY)
    recipe = Recipe(*(Phase(f"to {t:g}", EVERY) for t in times))
    run = simulate(plant(), recipe, inputs={"reactor.T_j": pd.Series(jacket)})
    return {f"reactor.{n}": np.array([run.at_end(f"reactor.{n}", f"to {t:g}") for t in times]) for n in DEVIATIONS}


def claims(tools: dict[str, Timed], covered: dict[str, float], sets: int) -> list[Claim]:
    """What the project promises of its fits; of few data sets the shares are looser: three binomial deviations."""
    slack = 0.0 if sets >= SETS else 300.0 * np.sqrt(0.95 * 0.05 / sets)
    own, other = tools["titer"], tools["parmest"]
    apart = max(abs(a - b) / e for a, b, e in zip(own.values, other.values, own.errors, strict=True))
    unlike = max(abs(a / b - 1.0) for a, b in zip(own.errors, other.errors, strict=True))
    return [
        Claim("values apart, standard errors", apart, 1e-2, kind="at most"),
        Claim("standard errors apart, relative", unlike, 0.1, kind="at most"),
        Claim("times faster than parmest, estimate plus covariance", other.total / own.total, 20.0, kind="at least"),
        Claim("times faster than parmest, estimate", other.estimate / own.estimate, 1.0, kind="at least"),
        Claim("least often an interval holds the truth", min(covered.values()), 92.0, slack, "at least", "%"),
        Claim("most often an interval holds the truth", max(covered.values()), 98.0, slack, "at most", "%"),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, record, and return 1 when a claim fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimation", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one repeat and 40 data sets; writes no file")
    parser.add_argument("--repeats", type=int, default=None, help="runs of each, after one to warm up")
    given = parser.parse_args(arguments)
    repeats = given.repeats or (1 if given.quick else 5)
    data, starts = batches(plant(), SEED), simulated_starts()
    timed = interleaved({"titer": lambda: titer(data), "parmest": lambda: parmest(data, starts)}, repeats)
    tools = {
        name: Timed(
            runs[0].values,
            runs[0].errors,
            runs[0].objective,
            median(t.estimate for t in runs),
            median(t.covariance for t in runs),
        )
        for name, runs in timed.items()
    }
    sets = 40 if given.quick else SETS
    covered, seconds = coverage(sets)
    show(
        "Four parameters from five batches, seconds (median)",
        ("tool", "objective", "estimate", "covariance", "total", "ratio"),
        [
            (
                name,
                f"{t.objective:.6g}",
                f"{t.estimate:.2f}",
                f"{t.covariance:.2f}",
                f"{t.total:.2f}",
                f"{t.total / tools['titer'].total:.1f}",
            )
            for name, t in tools.items()
        ],
    )
    show(
        f"How often 95 % intervals hold the truth; {1e3 * seconds:.0f} ms a data set",
        ("number", "%"),
        [(name, f"{share:.1f}") for name, share in covered.items()],
    )
    promised = claims(tools, covered, sets)
    if not given.quick:
        figures = {
            "elements": ELEMENTS,
            "repeats": repeats,
            "tools": {name: asdict(t) | {"total": t.total} for name, t in tools.items()},
            "coverage_percent": covered,
            "data_sets": sets,
            "seconds_a_data_set": seconds,
        }
        record("estimation", figures, promised, packages=("pyomo",))
    return verdict(promised)


if __name__ == "__main__":
    sys.exit(main())
