"""Which batches is the citrate mechanism fitted to? Five real fed-batches where they are given, else generated ones."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from titer.cases.citrate_model import END, FEED, OXYGEN, STEPS
from titer.estimation import Experiment, predicted
from titer.flowsheets import Flowsheet, Phase, Recipe
from titer.flowsheets.units import CitrateFermenter
from titer.numerics import SpecificationError

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "yarrowia_citrate"
HEADERS = {
    "dry": "DCW g/L",
    "C": "Titer (g/L)",
    "S": "Residual oil (g/L)",
    "X": "X_f g/L",
    "L": "Lipid g/L",
    "N": "Nitrogen",
}
MEASURED, STATES = ("dry", "C", "S"), ("X", "C", "L", "S", "N")  # lipid and nitrogen look computed from a curve
# g/L: how far a mechanism may be off, far more than a reading
DEVIATIONS = {"dry": 5.0, "C": 4.0, "S": 15.0, "X": 2.0, "L": 2.0, "N": 0.3}
START = {"X": 0.04, "V": 0.6}  # g/L by the optical density, and L
TIME, OXYGEN_READ, FED = "Ferm. Time (h)", "pO2(%)", "adjust F_S"
# Where no data are given: feeds of the mean batch times these, by a strain that differs from the published one.
FEED_FACTORS = {"low": 0.5, "lean": 0.75, "mean": 1.0, "rich": 1.25, "high": 1.5}
STRAIN = {"mu_max": 0.85, "b_LCmax": 1.4, "r_L": 1.15, "Y_ls": 0.7, "Y_xn": 0.9, "K_SL": 1.3}


@dataclass(frozen=True, eq=False)
class Batches:
    """Experiments with what was measured, the same with all states, and where they come from in a sentence."""

    experiments: tuple[Experiment, ...]
    states: tuple[Experiment, ...]
    real: bool
    said: str


def batches(plant: Flowsheet, data: str, seed: int) -> Batches:
    """The batches in the folder `data`, or in that of TITER_DATA, or generated. Raises SpecificationError."""
    given = data or os.environ.get("TITER_DATA", "")
    if not given:
        made = generated(plant, seed)
        said = (
            "No data were given (TITER_DATA, or --set data=FOLDER): the batches are GENERATED, by the mechanism with "
            "other values and noise. What follows shows the method, not the organism."
        )
        return Batches(_with(made, MEASURED), _with(made, STATES), False, said)
    folder = Path(given)
    folder = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    files = sorted(folder.glob("*.csv"))
    if len(files) < 3:
        raise SpecificationError(
            f"citrate_fit: {folder} holds {len(files)} CSV files of fed-batches.\n"
            f"  Expected at least 3, there or in {FOLDER} below; set data=FOLDER or TITER_DATA."
        )
    read = tuple(_read(file) for file in files)
    return Batches(
        _with(read, MEASURED),
        _with(read, STATES),
        True,
        f"{len(read)} real fed-batches, {', '.join(e.name for e in read)}.",
    )


def generated(plant: Flowsheet, seed: int) -> tuple[Experiment, ...]:
    """Fed-batches of another strain, with noise; its values differ from those of the plant."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    strain = plant.with_values({f"fermenter.{n}": plant.values[f"fermenter.{n}"] * f for n, f in STRAIN.items()})
    times = [*STEPS[1:], END]
    blank = pd.DataFrame({f"fermenter.{n}": np.zeros(len(times)) for n in HEADERS}, index=times)
    made = []
    for name, factor in FEED_FACTORS.items():
        inputs = {
            "fermenter.O": pd.Series(OXYGEN, STEPS),
            "fermenter.F_S": factor * pd.Series(FEED, STEPS),
        }
        exact = predicted(strain, _experiment(name, blank, inputs))
        noise = rng.standard_normal(exact.shape) * [0.3 * DEVIATIONS[n] for n in HEADERS]
        made.append(_experiment(name, (exact + noise).clip(lower=0.0), inputs))
    return tuple(made)


def _read(file: Path) -> Experiment:
    import pandas as pd

    table = pd.read_csv(file)
    missing = [h for h in (TIME, OXYGEN_READ, FED, *HEADERS.values()) if h not in table.columns]
    if missing:
        raise SpecificationError(f"citrate_fit: {file}: no column {missing[0]!r}.\n  found: {', '.join(table.columns)}")
    table = table.set_index(TIME)
    inputs = {
        "fermenter.O": table[OXYGEN_READ].astype(float),
        "fermenter.F_S": table[FED].astype(float).clip(lower=0.0) / 1000.0,  # mL/h; it closes the oil balance
    }
    frame = pd.DataFrame({f"fermenter.{name}": table[header].astype(float) for name, header in HEADERS.items()})
    return _experiment(file.stem, frame.iloc[1:], inputs)


def _with(experiments: tuple[Experiment, ...], names: tuple[str, ...]) -> tuple[Experiment, ...]:
    """The same with some of their columns."""

    columns = [f"fermenter.{name}" for name in names]
    return tuple(_experiment(e.name, e.frame[columns], dict(e.inputs)) for e in experiments)


def _experiment(name: str, frame: pd.DataFrame, inputs: dict[str, pd.Series]) -> Experiment:
    noise = {name: DEVIATIONS[name.removeprefix("fermenter.")] for name in frame.columns}
    start = {f"fermenter.{n}": value for n, value in START.items()}
    recipe = Recipe(Phase("run", float(frame.index[-1])))
    return Experiment(frame, noise, recipe, inputs, start, name=name)


def mechanism() -> Flowsheet:
    """The published mechanism with its published values."""
    return Flowsheet(CitrateFermenter("fermenter"), time="h")
