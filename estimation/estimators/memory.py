"""What does an estimator keep? The last samples with what was believed before and after each; as arrays for a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np

from titer.estimation.estimators.belief import Belief, Gaussian
from titer.estimation.estimators.rejection import chi_square
from titer.numerics.dae import Array
from titer.numerics.errors import SpecificationError

_ARRAYS = ("values", "factors", "noise", "smoothed", "departure", "streak", "used", "residual", "expected")
_BELIEFS = ("predicted", "filtered", "arrival")
_BAND = 0.95


class Estimation(Enum):
    """How an update ended. The members are messages."""

    UPDATED = "the belief follows the model and what was measured"
    PREDICTED = "nothing was measured, or none of it counts: the belief follows the model"
    LIMITED = "the window was not solved to its end: the belief is that of an extended Kalman filter, or near it"
    HELD = "the model could not be advanced: the belief is the one before, less certain"

    @property
    def ok(self) -> bool:
        return self in (Estimation.UPDATED, Estimation.PREDICTED)


@dataclass(frozen=True, eq=False)
class Innovation:
    """What was measured less what was expected, before it was used: `values` (m,), NaN where nothing was measured, with
    the `deviations` that they should have; `used`: which of them count. `nis`: the normalized square of those used."""

    names: tuple[str, ...]
    values: Array
    deviations: Array
    used: Array
    nis: float

    @property
    def degrees(self) -> int:
        return int(self.used.sum())

    @property
    def band(self) -> tuple[float, float]:
        """The limits between which `nis` lies with 95 % probability where model and deviations are right."""
        if not self.degrees:
            return 0.0, 0.0
        tail = 0.5 * (1.0 - _BAND)
        return chi_square(tail, self.degrees), chi_square(1.0 - tail, self.degrees)

    @property
    def inside(self) -> bool:
        lower, upper = self.band
        return bool(lower <= self.nis <= upper)


@dataclass(frozen=True, eq=False)
class Record:
    """A sample with what was believed before it (`predicted`) and after (`filtered`).

    `applied`: inputs since the record before; `values`, `factors` (m,): measured, and by what their noise grows;
    `arrival`: what is known at this time without the measurements from here on, for a window that begins here;
    `noise` (n, n): root of what the model added since the record before; `smoothed`, `departure` (n,): the entries in
    the window when it was last solved, and by what they depart from where the model leads; `streak`, `used` (m,):
    rejections in a row, and what counted; `residual`, `expected` (m,): the innovation and its deviation.
    """

    time: float
    applied: Mapping[str, tuple[float, float]]
    values: Array
    factors: Array
    predicted: Gaussian
    filtered: Gaussian
    arrival: Gaussian
    noise: Array
    smoothed: Array
    departure: Array
    streak: Array
    used: Array
    residual: Array
    expected: Array
    nis: float = 0.0
    status: Estimation = Estimation.UPDATED
    reasons: tuple[str, ...] = ()


def fresh_record(
    time: float, applied: Mapping[str, tuple[float, float]], values: Array, factors: Array, before: Gaussian
) -> Record:
    """A sample of which nothing is known yet but the belief before it."""
    n, m = len(before.mean), len(values)
    return Record(
        time, dict(applied), values, factors, before, before, before, np.zeros((n, n)), before.mean, np.zeros(n),
        np.zeros(m), np.zeros(m, dtype=bool), np.full(m, np.nan), np.full(m, np.nan),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Memory:
    """What an estimator keeps from sample to sample; `belief` is its answer.

    `names`, `counts`, `measured`: as in the model it was made with. `records`: the last samples, oldest first.
    """

    names: tuple[str, ...]
    counts: tuple[int, int]
    measured: tuple[str, ...]
    records: tuple[Record, ...]
    algebraics: Mapping[str, float] = field(default_factory=dict)

    @property
    def time(self) -> float:
        return self.records[-1].time

    @property
    def belief(self) -> Belief:
        """What is believed now."""
        last = self.records[-1].filtered
        return Belief(self.time, self.names, self.counts, last.mean, last.root, self.algebraics)

    @property
    def smoothed(self) -> tuple[Belief, ...]:
        """What is believed of the times of the last samples; only a moving horizon looks back."""
        return tuple(Belief(r.time, self.names, self.counts, r.smoothed, r.filtered.root) for r in self.records)

    @property
    def status(self) -> Estimation:
        return self.records[-1].status

    @property
    def reasons(self) -> tuple[str, ...]:
        """What an operator should know of the last update."""
        return self.records[-1].reasons

    @property
    def innovation(self) -> Innovation:
        """What the last sample said that was not expected."""
        last = self.records[-1]
        return Innovation(self.measured, last.residual, last.expected, last.used, last.nis)

    def to_arrays(self) -> dict[str, Array]:
        """All of it as arrays without objects: `numpy.savez(file, **memory.to_arrays())`."""
        records = self.records
        inputs = sorted({name for record in records for name in record.applied})
        nothing = (np.nan, np.nan)
        facts = {
            "names": list(self.names),
            "counts": list(self.counts),
            "measured": list(self.measured),
            "inputs": inputs,
            "status": [record.status.name for record in records],
            "reasons": [list(record.reasons) for record in records],
            "algebraics": dict(self.algebraics),
        }
        applied = [[record.applied.get(name, nothing) for name in inputs] for record in records]
        arrays = {key: np.array([getattr(record, key) for record in records]) for key in _ARRAYS}
        for key in _BELIEFS:
            arrays[f"{key}.mean"] = np.array([getattr(record, key).mean for record in records])
            arrays[f"{key}.root"] = np.array([getattr(record, key).root for record in records])
        return {
            "facts": np.array(json.dumps(facts)),
            "time": np.array([record.time for record in records]),
            "nis": np.array([record.nis for record in records]),
            "applied": np.array(applied, dtype=float).reshape(len(records), len(inputs), 2),
            **arrays,
        }

    @staticmethod
    def from_arrays(arrays: Mapping[str, Array]) -> Memory:
        """A memory from its arrays, as they were written. Raises SpecificationError where they are something else."""
        missing = [key for key in ("facts", "time", *_ARRAYS) if key not in arrays]
        if missing:
            raise SpecificationError(
                f"Memory: these arrays are of no estimator: {', '.join(missing)} is missing.\n"
                "  Give what memory.to_arrays() returned, or numpy.load of the file it was written to."
            )
        facts = json.loads(str(arrays["facts"]))
        records = tuple(_record(arrays, facts, k) for k in range(len(arrays["time"])))
        counts = (facts["counts"][0], facts["counts"][1])
        return Memory(tuple(facts["names"]), counts, tuple(facts["measured"]), records, facts["algebraics"])


def _record(arrays: Mapping[str, Array], facts: dict, k: int) -> Record:
    pairs = zip(facts["inputs"], arrays["applied"][k].tolist(), strict=True)
    own = {key: arrays[key][k] for key in _ARRAYS}
    predicted, filtered, arrival = (Gaussian(arrays[f"{key}.mean"][k], arrays[f"{key}.root"][k]) for key in _BELIEFS)
    return Record(
        time=float(arrays["time"][k]),
        applied={name: (a, b) for name, (a, b) in pairs if np.isfinite(a)},
        predicted=predicted,
        filtered=filtered,
        arrival=arrival,
        nis=float(arrays["nis"][k]),
        status=Estimation[facts["status"][k]],
        reasons=tuple(facts["reasons"][k]),
        **own,
    )


def split(records: Sequence[Record], k: int, time: float) -> list[Record]:
    """The records with one more at `time`, between record k and the next, at which nothing was measured."""
    before, after = records[k], records[k + 1]
    share = (time - before.time) / (after.time - before.time)
    middle = {name: a + (b - a) * share for name, (a, b) in after.applied.items()}
    first = {name: (a, middle[name]) for name, (a, _) in after.applied.items()}
    second = {name: (middle[name], b) for name, (_, b) in after.applied.items()}
    m = len(after.values)
    added = fresh_record(time, first, np.full(m, np.nan), np.ones(m), before.filtered)
    return [*records[: k + 1], added, replace(after, applied=second), *records[k + 2 :]]
