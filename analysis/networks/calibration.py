"""Do predictions keep what they promise? Held-out batches, predicted by networks learned without them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titer.analysis.networks.draws import Draws
from titer.analysis.networks.graph import Address, Node
from titer.analysis.networks.network import Network
from titer.analysis.networks.prediction import predict, until
from titer.numerics.errors import SpecificationError
from titer.numerics.grid import is_whole

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray
Learner = Callable[["pd.DataFrame"], Network | Draws]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Predictions of batches that the network had not seen.

    `table`: a row a batch: stage up to which it was seen, value, predicted, lower, upper, inside, rank (the predicted
    probability of at most the value: evenly spread if calibrated), score (CRPS). `level`: of the intervals.
    """

    target: Node
    level: float
    table: pd.DataFrame

    def __repr__(self) -> str:
        return f"{self.target}: predictions of {len(self.table)} values\n{self.summary()}"

    def summary(self) -> pd.DataFrame:
        """By stage: share inside the intervals, its sampling interval (Wilson), error, score, are ranks even."""
        import pandas as pd
        from scipy.stats import kstest

        rows = {}
        for stage, group in self.table.groupby("stage"):
            low, high = wilson(int(group["inside"].sum()), len(group))
            error = float(np.sqrt(((group["predicted"] - group["value"]) ** 2).mean()))
            rows[stage] = {
                "count": len(group),
                "coverage": group["inside"].mean(),
                "from": low,
                "to": high,
                "error": error,
                "width": (group["upper"] - group["lower"]).mean(),
                "score": group["score"].mean(),
                "p even": float(kstest(group["rank"], "uniform").pvalue),
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("stage")

    @property
    def ok(self) -> bool:
        """Whether the promised level lies in the sampling interval of the coverage at every stage."""
        summary = self.summary()
        return bool(((summary["from"] <= self.level) & (self.level <= summary["to"])).all())


def held_out(
    batches: pd.DataFrame,
    learner: Learner,
    target: Node | Address,
    stages: list[float],
    folds: int | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> Calibration:
    """Predict each batch from its measurements up to some stages, by a network learned from the others.

    `learner`: from a frame of batches to a network or its draws, such as `lambda b: learn_network(graph, b)`. `folds`:
    how many times is learned; by default each batch is left out alone. Batches whose target was not measured are passed
    over. Raises SpecificationError.
    """
    folds = len(batches) if folds is None else folds
    if not is_whole(folds, 2) or folds > len(batches):
        raise SpecificationError(f"held_out: folds must be a whole number of 2 to {len(batches)}, got {folds!r}.")
    place = np.random.default_rng(seed).permutation(len(batches)) % folds
    rows = []
    node: Node | None = None
    for fold in range(folds):
        given = learner(batches.iloc[place != fold])
        node = given.graph.nodes[given.graph.index(target)]
        rows += _predicted(given, batches.iloc[place == fold], node, stages, level)
    return _calibration(node, level, rows)


def calibrated(
    given: Network | Draws, batches: pd.DataFrame, target: Node | Address, stages: list[float], level: float = 0.9
) -> Calibration:
    """Predict batches that took no part in learning, as `held_out` does. Raises SpecificationError."""
    node = given.graph.nodes[given.graph.index(target)]
    return _calibration(node, level, _predicted(given, batches, node, stages, level))


def wilson(inside: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """The interval in which a probability lies that was met `inside` times out of `count` (Wilson, 1927)."""
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2))
    share = inside / count
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return float(middle - half), float(middle + half)


def _predicted(
    given: Network | Draws, batches: pd.DataFrame, target: Node, stages: list[float], level: float
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for label, batch in batches.iterrows():
        value = float(batch.get(target.address, np.nan))
        if np.isnan(value):
            continue
        for stage in stages:
            if stage >= target.stage:
                raise SpecificationError(f"Calibration: {target} is known at stage {stage:g}; give earlier stages.")
            found = predict(given, target, until(given.graph, batch, stage))
            low, high = found.interval(level)
            rows.append(
                {
                    "batch": label,
                    "stage": stage,
                    "value": value,
                    "predicted": found.value,
                    "lower": low,
                    "upper": high,
                    "inside": low <= value <= high,
                    "rank": found.probability_below(value),
                    "score": found.crps(value),
                }
            )
    return rows


def _calibration(target: Node | None, level: float, rows: list[dict[str, object]]) -> Calibration:
    import pandas as pd

    if target is None or not rows:
        raise SpecificationError("Calibration: no batch has a value of the target to compare with.")
    return Calibration(target, level, pd.DataFrame(rows))
