"""What was solved, from where, and what came of it? An `Attempt`: a program with one solve, and what its names mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from titer.numerics.nlp import Array, Nlp
from titer.numerics.program import Program, Scaling
from titer.numerics.solvers import Fatrop, Ipopt, Outcome


@dataclass(frozen=True, eq=False)
class Attempt:
    """A solve of a program from a start; `outcome` is None while it runs, or where the process ended in it.

    `limits`: texts of the rows that state a wish (limits of terms, ends of phases), not an equation of the model.
    `units`: of rows and columns, by text. `times`: (start, duration) of each phase. `sign`: of the user's objective to
    the minimized one. `relaxation`: by which fraction of their sizes physical domains were left free.
    """

    nlp: Nlp
    solver: Ipopt | Fatrop
    scaling: Scaling
    start: Array
    relaxation: float
    outcome: Outcome | None = None
    sign: float = 1.0
    time: str = ""
    limits: frozenset[str] = frozenset()
    units: Mapping[str, str] = field(default_factory=dict)
    times: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @cached_property
    def program(self) -> Program:
        return Program(self.nlp)

    def with_outcome(self, outcome: Outcome) -> Attempt:
        return replace(self, outcome=outcome)

    @property
    def row_texts(self) -> Array:
        """What each row is, (rows,)."""
        texts = np.concatenate([np.zeros(0, dtype=object), *(b.labels.texts for b in self.nlp.batches)])
        return texts if self.nlp.rows_order is None else texts[self.nlp.rows_order]

    @property
    def column_texts(self) -> Array:
        """What each column is, (columns,)."""
        return np.concatenate([np.zeros(0, dtype=object), *(group.texts for group in self.nlp.labels)])

    def rows(self, w: Array) -> Array:
        """Values of all rows (rows,), unscaled."""
        p = self.program.parameters(self.scaling)
        return np.array(self.program.values(w / self.scaling.columns, p)[1]).ravel() / self.scaling.rows

    def beyond(self, w: Array) -> Array:
        """By how much each row is outside its bounds (rows,), unscaled; infinite where it is not finite."""
        lower, upper = self.nlp.row_bounds()
        values = self.rows(w)
        return np.where(np.isfinite(values), np.maximum(0.0, np.maximum(lower - values, values - upper)), np.inf)

    def wishes(self) -> Array:
        """Which rows state a wish, (rows,) bool."""
        return np.isin(self.row_texts.astype(str), list(self.limits)) if self.limits else np.zeros(self.nlp.rows, bool)

    def wish(self, text: str, upper: bool, bound: float) -> str:
        """A bound in words: of a row that says all itself, no more than that."""
        if text.startswith(("until ", "rate of change of ")):
            return text
        return f"{text} ({'at most' if upper else 'at least'} {f'{bound:.6g} {self.unit(text)}'.strip()})"

    def row_name(self, i: int) -> str:
        return self._timed(self.nlp.row_name(i, self.times))

    def column_name(self, i: int) -> str:
        return self._timed(self.nlp.column_name(i, self.times))

    def unit(self, text: str) -> str:
        """The unit of a row or column, by what it is; empty where it has none."""
        bare = (text.removesuffix(f" {kind}") for kind in ("balance", "reset", "continuity", "at the start"))
        rate = text.removeprefix("rate of change of ").partition(", ")[0]
        for name in (text, *bare, rate):
            if name in self.units:
                return "" if self.units[name] == "1" else self.units[name]
        return self.time if text.startswith(("duration of ", "time at ")) else ""

    def worst_rows(self, w: Array, most: int = 3, above: float = 1e-6) -> list[tuple[int, float]]:
        """Rows that are violated most, with their violations (unscaled); the order is that of scaled violations.

        Of rows that say the same at other instants only the worst is given.
        """
        beyond = self.beyond(w)
        scaled = beyond * self.scaling.rows
        texts = self.row_texts
        seen: set[str] = set()
        found: list[tuple[int, float]] = []
        for i in np.argsort(-scaled, kind="stable"):
            if scaled[i] <= above or len(found) == most:
                break
            if texts[i] not in seen:
                seen.add(texts[i])
                found.append((int(i), float(beyond[i])))
        return found

    def groups(self, chosen: Array) -> Iterator[tuple[str, Array]]:
        """Rows of a choice (bool, rows) by what they are, in the order of the program."""
        texts = self.row_texts
        for text in dict.fromkeys(texts[chosen]):
            yield str(text), np.flatnonzero(chosen & (texts == text))

    def _timed(self, name: str) -> str:
        return f"{name} {self.time}" if ", t = " in name and self.time else name
