"""Which regressor predicts batches that it has not seen? Errors of simulated outputs on batches left out.

What is left out are the batch's discrepancy, its regression and its part of the domain. Size and memory of profiles,
two numbers a rate, stay those of all batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.estimation.data.noise import deviations
from titer.estimation.experiment import Experiment
from titer.estimation.learning.discrepancy import Discrepancy
from titer.estimation.learning.regression import table_of
from titer.estimation.statistics.prediction import predicted
from titer.flowsheets import Correction, Flowsheet
from titer.numerics.errors import SolveError, SpecificationError

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
Learning = Callable[[Sequence[int]], Correction]


@dataclass(frozen=True, eq=False)
class Validation:
    """How batches that were left out are predicted.

    `outputs`: model, batch, name, count, rms of the mechanistic and of the corrected plant, both in the name's unit and
    in standard deviations of its noise. `rates`: model, batch, rate, time, the inferred discrepancy with its sd, and
    the one predicted without that batch. Of a simulation that stops early the errors are infinite.
    """

    outputs: pd.DataFrame
    rates: pd.DataFrame

    def joined(self, other: Validation) -> Validation:
        """This with other models, on the same batches."""
        import pandas as pd

        return Validation(
            pd.concat([self.outputs, other.outputs], ignore_index=True),
            pd.concat([self.rates, other.rates], ignore_index=True),
        )

    def summary(self) -> pd.DataFrame:
        """A row for each model, the best first: errors of outputs [deviations], with it and without, and their ratio;
        those of rates as a share of the discrepancy, and in its standard deviations."""
        import pandas as pd

        rows = {}
        for model, group in self.outputs.groupby("model", sort=False):
            corrected, plain = (overall(group, key) for key in ("corrected", "mechanistic"))
            by_rate = self.by_rate(str(model))
            rows[model] = {
                "outputs": corrected,
                "mechanistic": plain,
                "ratio": corrected / plain,
                "rates ratio": float(np.sqrt((by_rate["ratio"] ** 2).mean())),
                "rates in sd": float(np.sqrt((by_rate["in sd"] ** 2).mean())),
            }
        return pd.DataFrame.from_dict(rows, orient="index").sort_values("outputs")

    def by_rate(self, model: str) -> pd.DataFrame:
        """A row for each rate: error of its predicted discrepancy, size of the inferred one, ratio, error in sd."""
        import pandas as pd

        rows = {}
        for on, own in self.rates[self.rates["model"] == model].groupby("rate", sort=False):
            missed, size = own["predicted"] - own["discrepancy"], float(np.sqrt((own["discrepancy"] ** 2).mean()))
            error = float(np.sqrt((missed**2).mean()))
            in_sd = float(np.sqrt(((missed / own["sd"]) ** 2).mean()))
            rows[on] = {"error": error, "discrepancy": size, "ratio": error / size, "in sd": in_sd}
        return pd.DataFrame.from_dict(rows, orient="index")

    def by_batch(self, model: str) -> pd.DataFrame:
        """A row for each batch left out: errors of outputs [deviations] without and with correction, their ratio."""
        import pandas as pd

        rows = {}
        for batch, group in self.outputs[self.outputs["model"] == model].groupby("batch", sort=False):
            corrected, plain = (overall(group, key) for key in ("corrected", "mechanistic"))
            rows[batch] = {"mechanistic": plain, "corrected": corrected, "ratio": corrected / plain}
        return pd.DataFrame.from_dict(rows, orient="index")


def validated(
    plant: Flowsheet,
    batches: Sequence[Experiment],
    found: Discrepancy,
    learning: dict[str, Learning],
    folds: Sequence[tuple[Array, Array]],
) -> Validation:
    """Learn without each group of batches, and predict it. `learning` by the model's name: from batches' positions."""
    import pandas as pd

    outputs: list[dict[str, Any]] = []
    rates: list[pd.DataFrame] = []
    plain = {int(r): _missed(plant, batches[int(r)]) for r in np.unique(np.concatenate([test for _, test in folds]))}
    for model, learn_from in learning.items():
        for train, test in folds:
            correction = learn_from([int(r) for r in train])
            better = plant.corrected(correction)
            for r in map(int, test):
                label = batches[r].label(r)
                outputs += _compared(model, label, plain[r], _missed(better, batches[r]))
                rates += [_rates(model, label, on, correction, found) for on in found.forms]
    return Validation(pd.DataFrame(outputs), pd.concat(rates, ignore_index=True))


def folds_of(splitter: Any, count: int) -> list[tuple[Array, Array]]:
    """Positions of batches to learn from and to predict. Raises SpecificationError for too few batches."""
    positions = np.arange(count)
    try:
        folds = [
            (np.asarray(train), np.asarray(test)) for train, test in splitter.split(positions[:, None], None, positions)
        ]
    except ValueError as error:
        raise SpecificationError(
            f"learn: {type(splitter).__name__} cannot split {count} {'batch' if count == 1 else 'batches'}: {error}\n"
            "  Give more experiments, or another splitter, such as LeaveOneGroupOut() for two batches or more."
        ) from None
    except (AttributeError, TypeError):
        raise SpecificationError(
            f"learn: splitter is one of scikit-learn's, such as GroupKFold(3), got {splitter!r}."
        ) from None
    if not folds or any(len(train) == 0 or len(test) == 0 for train, test in folds):
        raise SpecificationError(f"learn: {splitter!r} leaves no batch to learn from, or none to predict.")
    return folds


def overall(rows: pd.DataFrame, key: str) -> float:
    """The root mean square of errors in deviations, over names and batches by their counts."""
    squares = rows[f"{key} in deviations"] ** 2
    return float(np.sqrt((squares * rows["count"]).sum() / rows["count"].sum()))


def _missed(plant: Flowsheet, batch: Experiment) -> dict[str, tuple[int, float, float]]:
    """By name: how many, rms, rms in deviations; infinite where the simulation stops early."""
    frame = batch.frame
    try:
        errors = predicted(plant, batch) - frame
    except SolveError:
        errors = frame.where(frame.isna(), np.inf)
    found = {}
    for name in frame.columns:
        values = frame[name].to_numpy(dtype=float)
        known = np.isfinite(values)
        if known.any():
            missed = errors[name].to_numpy(dtype=float)[known]
            relative = missed / deviations(batch.noise[name], values)[known]
            found[str(name)] = (
                int(known.sum()),
                float(np.sqrt((missed**2).mean())),
                float(np.sqrt((relative**2).mean())),
            )
    return found


def _compared(
    model: str, label: str, plain: dict[str, tuple[int, float, float]], better: dict[str, tuple[int, float, float]]
) -> Iterator[dict[str, Any]]:
    for name, (count, rms, weighted) in better.items():
        yield {
            "model": model,
            "batch": label,
            "name": name,
            "count": count,
            "mechanistic": plain[name][1],
            "corrected": rms,
            "mechanistic in deviations": plain[name][2],
            "corrected in deviations": weighted,
        }


def _rates(model: str, label: str, on: str, correction: Correction, found: Discrepancy) -> pd.DataFrame:
    rows = found.of(on)
    rows = rows[rows["batch"] == label]
    X, _, _ = table_of(rows, found)
    acting = correction.term(on).at(X)
    told = rows[["batch", "rate", "time", "discrepancy", "sd"]].copy()
    told.insert(0, "model", model)
    return told.assign(predicted=acting.value, distance=acting.distance)


__all__ = ["Learning", "Validation", "folds_of", "overall", "validated"]
