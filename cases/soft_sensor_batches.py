"""Which batches does soft_sensor follow? They are drawn, operated, and looked at by estimators with one belief."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.cases.case import Progress
from titer.cases.soft_sensor_pictures import NAMES
from titer.control import PID, Laboratory, Log, Loop, close_loop
from titer.estimation import Drift, Estimator, ExtendedKalman, MovingHorizon, Sample
from titer.flowsheets import Flowsheet, Phase, Recipe, simulate
from titer.flowsheets.units import BatchReactor

if TYPE_CHECKING:
    import pandas as pd

DURATION, EVERY, OFTEN = 3600.0, 150.0, 30.0  # s; between samples, and where consistency is counted
NOISE, ASSAY = 0.15, 0.01  # K and mol/L: deviations of the thermometer and of the laboratory
LABORATORY = Laboratory(every=900.0, delay=450.0)
WARM = 355.0  # K, that the jacket holds the contents at
reactor = BatchReactor("reactor")
plant = Flowsheet(reactor, time="s")
recipe = Recipe(Phase("react", duration=DURATION))
UNSURE: Mapping[str, float] = {reactor.c_A: 0.3, reactor.c_B: 0.3, reactor.T: 0.5}  # at the start, deviations
PROCESS = {reactor.c_A: 0.0, reactor.c_B: 0.0, reactor.T: 0.002}
SETTINGS: dict[str, Any] = {
    "start": UNSURE,
    "process": PROCESS,
    "disturbances": {reactor.k0_1: Drift(0.0, start=0.4 * plant.values[reactor.k0_1])},  # the catalyst's activity
}
ON_LINE = {reactor.T: NOISE}


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch with what is believed of it, by name of the estimator: frames over the times of samples."""

    log: Log
    believed: Mapping[str, pd.DataFrame]

    def errors(self, name: str) -> np.ndarray:
        """What is believed of B less what is there (samples,), mol/L."""
        return self.believed[name]["c_B"].to_numpy() - self.log.truth[reactor.c_B].to_numpy()[:-1]


def estimators() -> dict[str, Estimator]:
    """Those that are compared, by name; they believe the same of the start."""
    return {
        NAMES[1]: ExtendedKalman(noise=ON_LINE, **SETTINGS),
        NAMES[2]: MovingHorizon(noise=ON_LINE, window=8, **SETTINGS),
        NAMES[3]: MovingHorizon(noise={**ON_LINE, reactor.c_B: ASSAY}, window=8, **SETTINGS),
    }


def drawn(looking: Mapping[str, Estimator], count: int, progress: Progress) -> list[Batch]:
    """Batches with less A than the recipe says, a heel of B, and a catalyst that is up to 40 % off."""
    rng = np.random.default_rng(1)
    models = {name: each.model(plant, recipe, EVERY, manipulated=[reactor.T_j]) for name, each in looking.items()}
    found = []
    for k in range(count):
        start = {reactor.c_A: rng.uniform(0.6, 1.0), reactor.c_B: rng.uniform(0.0, 0.1), reactor.T: 320.4}
        activity = plant.values[reactor.k0_1] * (1.0 + rng.uniform(-0.4, 0.4))
        log = operated(plant.with_values({reactor.k0_1: activity}), EVERY, k, start)
        believed = {name: followed(each, models[name], log) for name, each in looking.items()}
        found.append(Batch(log, {NAMES[0]: simulated(log), **believed}))
        progress(f"batch {k + 1} of {count}: B is {log.truth[reactor.c_B].iloc[-1]:.3f} mol/L at the end")
    return found


def operated(truth: Flowsheet, every: float, seed: int, start: Mapping[str, float]) -> Log:
    """A batch whose temperature a PI controller holds, sampled with noise."""
    loop = Loop(reactor.T, reactor.T_j, WARM, gain=0.5, integral=90.0)
    return close_loop(
        truth, PID(plant, recipe, [loop], every), seed=seed, noise={reactor.T: NOISE, reactor.c_B: ASSAY},
        laboratory={reactor.c_B: LABORATORY}, start=start,
    )  # fmt: skip


def followed(estimator: Estimator, model: Any, log: Log) -> pd.DataFrame:
    """What an estimator makes of a batch, sample by sample: B, its deviation, and the test of the innovation."""
    import pandas as pd

    times = log.measured.index.to_numpy()
    late = {t: (taken, value) for t, taken, value in log.laboratory[["arrived", "taken", "value"]].to_numpy()}
    rows, memory = [], None
    for k, (t, measured) in enumerate(zip(times, log.measured[reactor.T], strict=True)):
        reached = {reactor.c_B: late[t]} if t in late and reactor.c_B in estimator.noise else {}
        sample = Sample(float(t), {reactor.T: measured}, late=reached)
        if memory is None:
            memory = estimator.begin(model, sample)
        else:
            memory = estimator.update(model, memory, {reactor.T_j: log.applied[reactor.T_j].iloc[k - 1]}, sample)
        belief, test = memory.belief, memory.innovation
        rows.append((belief[reactor.c_B], belief.deviation(reactor.c_B), test.nis, *test.band, test.inside))
    return pd.DataFrame(rows, columns=["c_B", "deviation", "nis", "lower", "upper", "inside"], index=times)


def simulated(log: Log) -> pd.DataFrame:
    """What the model says without looking: the jacket as it was, the start and the catalyst as they should be."""
    import pandas as pd

    times = log.measured.index.to_numpy()
    jacket = pd.Series(log.applied[reactor.T_j].to_numpy(), index=times)
    run = simulate(plant, recipe, {reactor.T_j: jacket})[reactor.c_B]
    return pd.DataFrame({"c_B": np.interp(times, run.index, run.to_numpy())}, index=times)


def consistency(estimator: Estimator, count: int) -> float:
    """The share of innovations inside their 95 % band where model and deviations are right and starts are likely."""
    model = estimator.model(plant, recipe, OFTEN, manipulated=[reactor.T_j])
    rng, found = np.random.default_rng(2), []
    for k in range(count):
        off = {name: deviation * rng.standard_normal() for name, deviation in UNSURE.items()}
        start = {name: max(plant.values[name] + by, 0.0) for name, by in off.items()}
        activity = plant.values[reactor.k0_1] * (1.0 + 0.4 * float(np.clip(rng.standard_normal(), -2.0, 2.0)))
        log = operated(plant.with_values({reactor.k0_1: activity}), OFTEN, 100 + k, start)
        found.append(followed(estimator, model, log)["inside"].to_numpy()[1:])
    return float(np.mean(np.concatenate(found)))


def coverage(found: list[Batch]) -> dict[str, float]:
    """How often what is there lies within two deviations of what is believed."""
    shares = {}
    for name in NAMES[1:]:
        apart = [np.abs(batch.errors(name)) <= 2.0 * batch.believed[name]["deviation"].to_numpy() for batch in found]
        shares[name] = float(np.mean(apart))
    return shares
