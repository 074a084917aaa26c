"""Plant, batches, plans, claims and notes of the case hybrid_reactor: see there what is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from titer.cases import hybrid_reactor_pictures as pictures
from titer.cases.case import Claim, Outcome, Progress
from titer.control import optimize
from titer.estimation import Experiment, Interpolated, Learned, learn
from titer.flowsheets import (
    AtEnd,
    Correction,
    Flowsheet,
    Free,
    Multiplicative,
    Phase,
    PiecewiseConstant,
    Recipe,
    magnitude,
    replay,
    simulate,
)
from titer.flowsheets.units import BatchReactor
from titer.numerics import Grid, Solution

C_A, C_B, C_C, T, T_J, R_1 = (f"reactor.{name}" for name in ("c_A", "c_B", "c_C", "T", "T_j", "r_1"))
FEATURES = (T, C_A, C_B)
FORM = Multiplicative(0.02, 5.0)
BATCH = Recipe(Phase("react", 3600.0))
OPEN = Recipe(Phase("react", Free(3600.0, 900.0, 7200.0)))
TURNAROUND = 3600.0  # s between batches
NOISE = {C_A: 0.01, C_B: 0.01, C_C: 0.005, T: 0.3}
WARM, COLD = (316.0, 346.0), (314.0, 328.0)  # K, jacket temperatures of the batches that are learned from
BAND = 1.96  # standard deviations: 95 %


def factor(c_B: Any, T: Any) -> Any:
    """What the model lacks: the product speeds its own making up, and above 338 K the catalyst fouls."""
    return (0.6 + 1.5 * c_B) / (1.0 + np.exp((T - 338.0) / 4.0))


@cache
def model() -> Flowsheet:
    """The plant as it is modelled."""
    return Flowsheet(BatchReactor("reactor"))


@cache
def truth() -> Flowsheet:
    """The plant as it is."""
    return model().corrected(
        {R_1: lambda v, rate: rate * factor(magnitude(v.reactor.c_B, "mol/L"), magnitude(v.reactor.T, "K"))}
    )


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch: what was measured, and how it truly went."""

    experiment: Experiment
    truth: Solution


@dataclass(frozen=True, eq=False)
class Plan:
    """A plan, what it promises and what it is worth on the true plant [mol/L/h]."""

    name: str
    plan: Solution
    run: Solution

    @property
    def promised(self) -> float:
        return worth(self.plan)

    @property
    def reached(self) -> float:
        return worth(self.run)


def answered(progress: Progress, quick: bool) -> Outcome:
    """The case; `quick` checks fewer batches."""
    batches = [made(seed, WARM) for seed in range(6)]
    unseen = [made(100 + seed, WARM) for seed in range(2 if quick else 6)]
    learned = learn(model(), experiments(batches), [R_1], FEATURES, form=FORM, progress=progress)
    better = model().corrected(learned)
    errors = [(error(model(), batch), error(better, batch)) for batch in unseen]
    progress(f"batches not seen: errors of {told(errors)} deviations")
    perfect, plain = planned("perfect model", truth()), planned("mechanistic", model())
    corrected = planned("corrected, within its data", better, learned)
    network = network_of([made(200 + seed, COLD) for seed in range(6)], quick, progress)
    loose = Correction(*(replace(term, domain=None) for term in network.terms))
    unguarded = planned("network, unguarded", model().corrected(loose))
    guarded = planned("network, within its data", model().corrected(network), network)
    plans = [perfect, plain, corrected, unguarded, guarded]
    for plan in plans:
        progress(f"{plan.name}: promises {plan.promised:.3f}, reaches {plan.reached:.3f} mol/L/h")
    return Outcome(
        claims(learned, batches, errors, plans),
        facts={
            "plans": {p.name: {"promised": p.promised, "reached": p.reached, "minutes": minutes(p)} for p in plans},
            "errors_in_deviations": [{"mechanistic": a, "corrected": b} for a, b in errors],
            "held_out": learned.validation.summary().to_dict("index"),
            "card": learned.about,
        },
        figures={
            "discrepancy": learned.plot,
            "plans": lambda: pictures.draw_plans(plans),
            "factor": lambda: pictures.draw_factor(learned, network, factor),
        },
        notes=notes(plans, errors),
        solutions={"corrected": corrected.plan, "mechanistic": plain.plan},
        sections={"learned": learned.describe(), "batches left out": learned.table()},
    )


def made(seed: int, range_: tuple[float, float]) -> Batch:
    """A batch with a jacket temperature of three random ramps, sampled every five minutes."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    ramps = pd.Series(rng.uniform(*range_, 4).round(1), index=[0.0, 1200.0, 2400.0, 3600.0])
    inputs = {T_J: Interpolated(ramps)}
    true = simulate(truth(), BATCH, inputs)
    frame, times = true.frame(), np.linspace(0.0, 3600.0, 13)
    data = {n: np.interp(times, frame.index, frame[n]) + sd * rng.normal(size=13) for n, sd in NOISE.items()}
    table = pd.DataFrame(data, index=times)
    return Batch(Experiment(table, NOISE, BATCH, inputs, may_leave=tuple(NOISE)), true)


def experiments(batches: Sequence[Batch]) -> list[Experiment]:
    """What is known of batches."""
    return [batch.experiment for batch in batches]


def network_of(batches: Sequence[Batch], quick: bool, progress: Progress) -> Learned:
    """A network of two layers, learned from cold batches: it never saw the catalyst foul."""
    from sklearn.model_selection import GroupKFold
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    network = MLPRegressor(
        hidden_layer_sizes=(16, 16), activation="tanh", solver="lbfgs", alpha=0.01, max_iter=1000, random_state=0
    )
    return learn(
        model(),
        experiments(batches),
        [R_1],
        FEATURES,
        make_pipeline(StandardScaler(), network),
        FORM,
        splitter=GroupKFold(2 if quick else 6),
        progress=progress,
    )


def planned(name: str, plant: Flowsheet, within: Correction | None = None) -> Plan:
    """The most of B less C by time, with the turnaround; kept where the data of a correction are."""
    plan = optimize(
        plant,
        OPEN,
        free={T_J: PiecewiseConstant(8)},
        maximize=AtEnd(lambda v: (v.reactor.c_B - v.reactor.c_C) / (v.time + TURNAROUND)),
        subject_to=[] if within is None else within.within(),
        grid=Grid(32),
    )
    return Plan(name, plan, replay(plan, truth()))


def worth(run: Solution) -> float:
    """B less C by time, mol/L/h."""
    end = float(run.frame().index[-1])
    return 3600.0 * (run.at_end(C_B) - run.at_end(C_C)) / (end + TURNAROUND)


def minutes(plan: Plan) -> float:
    """How long a plan lasts."""
    return float(plan.plan.frame().index[-1]) / 60.0


def error(plant: Flowsheet, batch: Batch) -> float:
    """Root mean square distance of a simulation from the true trajectories, in deviations of the noise."""
    true, run = batch.truth.frame(), simulate(plant, BATCH, batch.experiment.inputs).frame()
    missed = [(np.interp(true.index, run.index, run[name]) - true[name]) / sd for name, sd in NOISE.items()]
    return float(np.sqrt(np.mean(np.square(missed))))


def covered(learned: Learned, batches: Sequence[Batch]) -> float:
    """The share of knots at which the 95 % band of the inferred discrepancy holds the true one."""
    inside = []
    for (_, rows), batch in zip(learned.discrepancy.frame.groupby("batch", sort=False), batches, strict=True):
        true = batch.truth.frame()
        c_B, hot = (np.interp(rows["time"], true.index, true[name]) for name in (C_B, T))
        inside.append(np.abs(rows["discrepancy"] - np.log(factor(c_B, hot))) < BAND * rows["sd"])
    return float(np.concatenate(inside).mean())


def claims(
    learned: Learned, batches: Sequence[Batch], errors: Sequence[tuple[float, float]], plans: Sequence[Plan]
) -> tuple[Claim, ...]:
    """What the case stands for."""
    perfect, plain, corrected, unguarded, guarded = plans
    before, after = np.sqrt(np.mean(np.square(errors), axis=0))
    moles = sum(corrected.plan.frame()[name] for name in (C_A, C_B, C_C))
    gap = (corrected.reached - plain.reached) / (perfect.reached - plain.reached)
    return (
        Claim("error on batches not seen, corrected by mechanistic", after / before, 1 / 3, kind="at most"),
        Claim("error on batches left out, noise and all, by mechanistic", learned.ratio, 1 / 3, kind="at most"),
        # two standard errors, with about four independent places in each of six batches
        Claim("true discrepancy inside its 95 % band, share of places", covered(learned, batches), 0.95, 0.09),
        Claim("moles of the corrected plant, largest change", float(np.abs(moles - 1.0).max()), 1e-9, kind="at most"),
        Claim("gap to the perfect plan that the corrected plan closes", gap, 0.8, kind="at least"),
        Claim("unguarded network reaches, by mechanistic", unguarded.reached / plain.reached, 1.0, kind="at most"),
        Claim("unguarded network promises, by reached", unguarded.promised / unguarded.reached, 2.0, kind="at least"),
        Claim("guarded network reaches, by mechanistic", guarded.reached / plain.reached, 2.0, kind="at least"),
        Claim("guarded network promises, by reached", guarded.promised / guarded.reached, 1.0, 0.05),
    )


def notes(plans: Sequence[Plan], errors: Sequence[tuple[float, float]]) -> tuple[str, ...]:
    """What an engineer would take home."""
    perfect, plain, corrected, unguarded, guarded = plans
    return (
        f"On batches not seen the correction brings the error from {told(errors)} deviations of the noise.",
        f"The mechanistic plan promises {plain.promised:.3f} and reaches {plain.reached:.3f} mol/L/h; the corrected "
        f"one reaches {corrected.reached:.3f}, a perfect model {perfect.reached:.3f}.",
        f"A network that saw cold batches only promises {unguarded.promised:.3f} and reaches {unguarded.reached:.3f}; "
        f"kept within its data it reaches {guarded.reached:.3f}.",
        "That a correction fades out beyond its data is no guard: the optimizer then finds the mechanistic optimum "
        "there. Limits are: subject_to=[*correction.within()].",
    )


def told(errors: Sequence[tuple[float, float]]) -> str:
    """Errors without and with the correction."""
    before, after = np.sqrt(np.mean(np.square(errors), axis=0))
    return f"{before:.2f} to {after:.2f}"
