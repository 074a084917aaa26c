"""What do many loops come to? A row for each, controllers compared, and their distributions over each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from titer.control.stress import MISSED
from titer.numerics.errors import SpecificationError, unknown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))


@dataclass(frozen=True, eq=False)
class Study:
    """Many loops. `table`: a row for each controller and case, with the numbers of its summary, of each limit `missed`
    (negative: the room left) and `worst` (its value there), how often each status, and `failed`, why a loop broke off,
    else "".
    """

    table: pd.DataFrame

    @property
    def controllers(self) -> tuple[str, ...]:
        return tuple(self.table["controller"].unique())

    @property
    def limits(self) -> tuple[str, ...]:
        """Limits that were judged."""
        return tuple(name.removeprefix("missed ") for name in self.table.columns if name.startswith("missed "))

    def missed(self, limit: str) -> np.ndarray:
        """Whether each loop missed a limit by more than 1e-4 of its size (loops,); one that broke off did.

        Raises SpecificationError for a limit that was not judged.
        """
        if limit not in self.limits:
            raise SpecificationError(f"missed: {unknown('limit', limit, self.limits)}")
        by, size = self.table[f"missed {limit}"].to_numpy(float), np.abs(self.table[f"worst {limit}"].to_numpy(float))
        return ~(by <= MISSED * size)

    def compare(self) -> pd.DataFrame:
        """A row for each controller: loops, failed, the objective's mean, 5 %, median and 95 %, the share that missed
        each limit, fallbacks a loop, seconds a step (median of the loops' medians, longest of all)."""
        import pandas as pd

        rows = {}
        for name in self.controllers:
            mine = (self.table["controller"] == name).to_numpy()
            own = self.table[mine]
            known = own["objective"].dropna() if "objective" in own else pd.Series(dtype=float)
            row: dict[str, Any] = {"loops": len(own), "failed": int((own["failed"] != "").sum())}
            shares = known.quantile([0.05, 0.5, 0.95]).tolist() if len(known) else [np.nan] * 3
            row |= {"mean": known.mean() if len(known) else np.nan}
            row |= dict(zip(("5 %", "median", "95 %"), shares, strict=True))
            row |= {f"missed {limit}": float(self.missed(limit)[mine].mean()) for limit in self.limits}
            for label, column, taken in (
                ("fallbacks", "fallbacks", "mean"),
                ("seconds median", "seconds median", "median"),
                ("seconds max", "seconds max", "max"),
            ):
                row[label] = own[column].agg(taken) if column in own else np.nan
            rows[name] = row
        return pd.DataFrame.from_dict(rows, orient="index")

    def plot(self) -> Figure:
        """Distributions, a line for each controller: of the objective, and of what is left of each limit."""
        return _drawn(self)

    def __str__(self) -> str:
        reasons = self.table.loc[self.table["failed"] != "", "failed"].value_counts()
        told = [f"{count} broke off: {reason}" for reason, count in reasons.head(3).items()]
        return "\n".join([self.compare().to_string(float_format=lambda x: f"{x:.4g}"), *told])


def study_of(rows: Sequence[Mapping[str, Any]]) -> Study:
    """Rows as a study; columns that some loops have not, such as a status that never came, are 0 there."""
    import pandas as pd

    columns = list(dict.fromkeys(name for row in rows for name in row if name != "failed"))
    table = pd.DataFrame([dict(row) for row in rows], columns=[*columns, "failed"])
    counts = [name for name in columns if name.startswith("steps ")]
    table[counts] = table[counts].fillna(0).astype(int)
    return Study(table)


def _drawn(study: Study) -> Figure:
    from matplotlib.figure import Figure

    judged = [("objective", "objective")] if study.table.get("objective", np.array([np.nan])).dropna().size else []
    judged += [(f"missed {limit}", f"{limit}: missed by (right of 0)") for limit in study.limits]
    figure = Figure(figsize=(7.5, 0.8 + 2.4 * max(1, len(judged))), layout="constrained")
    axes = figure.subplots(max(1, len(judged)), 1, squeeze=False)[:, 0]
    for ax, (column, label) in zip(axes, judged, strict=False):
        for k, name in enumerate(study.controllers):
            values = np.sort(study.table.loc[study.table["controller"] == name, column].dropna().to_numpy(dtype=float))
            shares = np.arange(1, len(values) + 1) / max(len(values), 1)
            ax.step(values, shares, where="post", color="black", linestyle=_STYLES[k % len(_STYLES)], label=name)
        if column.startswith("missed"):
            ax.axvline(0.0, color="0.5", linewidth=0.8)
        ax.set(xlabel=label, ylabel="share of loops", ylim=(0.0, 1.02))
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(fontsize="small")
    return figure
