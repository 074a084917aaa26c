"""Which limits may be missed, and at what price? Rows of a program get slacks, which its objective pays for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import casadi as ca
import numpy as np

from titer.flowsheets.terms import Term, check_constraints
from titer.numerics.errors import SpecificationError
from titer.numerics.nlp import Array, Batch, Labels, Nlp

MISS = "miss of "


@dataclass(frozen=True, eq=False)
class Soft:
    """A limit that may be missed at a price: `Soft(Path(lambda v: v.reactor.T, upper=413.0), weight=100.0)`.

    The minimized objective gains weight * s + quadratic * s^2, s being by how much the limit is missed, in its unit; of
    a Path the integral of it over time (one s for each element). A `weight` above the limit's shadow price leaves the
    solution as it is wherever the limit can be met (exact penalty: Fletcher, Practical Methods of Optimization, Wiley
    1987, section 14.3).
    """

    term: Term
    weight: float = 0.0
    quadratic: float = 0.0

    def __post_init__(self) -> None:
        check_constraints([self.term])
        for key in ("weight", "quadratic"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0.0 <= value < np.inf:
                raise SpecificationError(f"Soft: {key} must be a number of at least 0, got {value!r}.")
        if not self.weight and not self.quadratic:
            raise SpecificationError("Soft: give weight= or quadratic=, the price of missing the limit.")


@dataclass(frozen=True)
class Price:
    """What a miss of a limit costs per unit of it (and of time, for a path), and the size it is counted in."""

    linear: float
    quadratic: float
    size: float


@dataclass(frozen=True, eq=False)
class Slacks:
    """The columns of slacks, their sizes, and the limit that each belongs to."""

    columns: Array
    sizes: Array
    labels: tuple[str, ...]


def with_slacks(
    nlp: Nlp, prices: Mapping[str, Price], times: Mapping[int, Array], shares: Mapping[int, float], apart: bool = False
) -> tuple[Nlp, Slacks]:
    """The program with a slack for each copy of a batch that states one of these limits.

    `times`: of batches by number, the duration of each copy (copies,), which weighs its slack; `shares`: of batches,
    the weight of their scenario. `apart`: whether the prices are no part of their scenario's cost; where the worst one
    counts, a miss in another would else cost nothing.
    """
    n = nlp.columns
    labels: list[str] = []
    sizes: list[float] = []
    chosen: list[tuple[int, list[str]]] = []
    for b, batch in enumerate(nlp.batches):
        texts = [str(text) for text in batch.labels.texts[: batch.rows]] if batch.copies else []
        names = [name for name in dict.fromkeys(texts) if name in prices]
        chosen.append((b, names))
        for name in names:
            labels += [name] * batch.copies
            sizes += [prices[name].size] * batch.copies
    count = len(labels)
    if not count:
        return nlp, Slacks(np.zeros(0, dtype=int), np.zeros(0), ())
    wide = opened(nlp, Labels.of([f"{MISS}{name}" for name in labels]), np.zeros(count), np.full(count, np.inf))
    wide, place = given(wide, np.concatenate([np.zeros(0), *times.values()]), "duration of an element")
    spans = dict(zip(times, np.split(place, np.cumsum([len(t) for t in times.values()])[:-1]), strict=True))
    batches: list[Batch] = []
    first = n
    for b, names in chosen:
        batch = wide.batches[b]
        if not names:
            batches.append(batch)
            continue
        own = first + np.arange(len(names) * batch.copies).reshape(len(names), batch.copies)
        first += own.size
        batches.append(_giving(batch, names, own))
        share = shares.get(b, 1.0)
        for name, row in zip(names, own, strict=True):
            payer = "" if apart else batch.labels.phase
            batches.append(_priced(prices[name], row, spans.get(b), batch.stage, share, payer))
    return replace(wide, batches=tuple(batches)), Slacks(n + np.arange(count), np.array(sizes), tuple(labels))


def opened(nlp: Nlp, labels: Labels, lower: Array, upper: Array) -> Nlp:
    """The program with further columns behind its own; data move back."""
    n, count = nlp.columns, len(lower)

    def pushed(index: Array) -> Array:
        return np.where(index >= n, index + count, index)

    return replace(
        nlp,
        lower=np.concatenate([nlp.lower, lower]),
        upper=np.concatenate([nlp.upper, upper]),
        domain=np.concatenate([nlp.domain, np.zeros(count, dtype=bool)]),
        labels=(*nlp.labels, labels) if count else nlp.labels,
        batches=tuple(replace(batch, index=pushed(batch.index)) for batch in nlp.batches),
        cells={key: pushed(cells) for key, cells in nlp.cells.items()},
        room=None if nlp.room is None else np.concatenate([nlp.room, np.full(count, np.inf)]),
    )


def given(nlp: Nlp, values: Array, name: str) -> tuple[Nlp, Array]:
    """The program with further data behind its own, and where they are."""
    place = nlp.columns + len(nlp.data) + np.arange(len(values))
    names = np.concatenate([nlp.data_names, np.full(len(values), name, dtype=object)])
    return replace(nlp, data=np.concatenate([nlp.data, values]), data_names=names), place


def _giving(batch: Batch, names: Sequence[str], slacks: Array) -> Batch:
    """The batch with lower - s <= g <= upper + s in the rows of these names; where both limits are there, two rows."""
    m, symbol = batch.function.numel_in(0), ca.SX if batch.function.is_a("SXFunction") else ca.MX
    v = symbol.sym("v", m + len(names))
    g, f = batch.function(v[:m])
    rows, lower, upper = list(ca.vertsplit(g)), batch.lower.copy(), batch.upper.copy()
    texts = [str(text) for text in batch.labels.texts[: batch.rows]]
    tau = np.asarray(batch.labels.tau).reshape(batch.copies, batch.rows)
    more: list[tuple[Any, float, int]] = []
    for i, text in enumerate(texts):
        if text not in names:
            continue
        slack = v[m + names.index(text)]
        if np.isfinite(lower[i]) and np.isfinite(upper[i]):
            more.append((rows[i] + slack, lower[i], i))
            lower[i] = -np.inf
        rows[i] = rows[i] - slack if np.isfinite(upper[i]) else rows[i] + slack
    extra = [i for _, _, i in more]
    labels = Labels.of([*texts, *(texts[i] for i in extra)] * batch.copies, batch.labels.phase)
    return replace(
        batch,
        function=ca.Function(
            f"{batch.function.name()}_giving", [v], [ca.vertcat(*rows, *(row for row, _, _ in more)), f]
        ),
        index=np.concatenate([batch.index, slacks]),
        lower=np.concatenate([lower, [low for _, low, _ in more]]),
        upper=np.concatenate([upper, np.full(len(more), np.inf)]),
        labels=replace(labels, tau=np.concatenate([tau, tau[:, extra]], axis=1).ravel()),
    )


def _priced(price: Price, slacks: Array, times: Array | None, stage: Array | None, share: float, phase: str) -> Batch:
    """What the slacks of one limit cost; `times`: cells of durations that weigh them."""
    v = ca.SX.sym("v", 1 if times is None else 2)
    cost = price.linear * v[0] + price.quadratic * v[0] ** 2
    function = ca.Function("price", [v], [ca.SX(0, 1), cost if times is None else v[1] * cost])
    index = slacks[None, :] if times is None else np.stack([slacks, times])
    return Batch(function, index, np.zeros(0), np.zeros(0), Labels.of([], phase), share, stage)
