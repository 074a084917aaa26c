"""Do the totals that a unit operation names hold, and if not: which single change of its rates would close them?

Along the equations, d(total)/dt less its source must vanish. What is left over is compared with every term of every
rate: where one number, at all points and for all totals, scales a term to close the balance, that term is suspected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np

from titer.flowsheets.declarations import Conserved
from titer.flowsheets.diagnosis.alone import Alone, raw
from titer.flowsheets.diagnosis.culprits import Books, suspicions
from titer.flowsheets.diagnosis.examined import Examined, listed
from titer.flowsheets.diagnosis.findings import Finding, Severity
from titer.flowsheets.symbols.measure import Measure
from titer.flowsheets.symbols.symbol import Symbol
from titer.numerics.errors import TiterError

Array = np.ndarray
_ROUNDING = 1e-9  # of the largest part of a balance, that may be left over
_RUN_POINTS = 3


@dataclass(frozen=True, eq=False)
class _Total:
    name: str
    total: ca.SX
    source: ca.SX
    unit: str  # of its rate
    by_values: bool


def broken_totals(examined: Examined) -> Iterator[Finding]:
    """Totals that do not hold, a finding a unit operation; those that hold by values of parameters, by themselves."""
    lasts = sum(operation.duration.guess for operation in examined.planned)
    for one in examined.alone:
        found, findings = _totals(one)
        yield from findings
        ratio = examined.plant.measure_of_time.ratio_to(Measure.of(one.unit.time))
        for by_values, values in ((False, None), (True, examined.plant.values)):
            totals = [total for total in found if total.by_values == by_values]
            if totals:
                points = [*one.random_points(consistent=True, values=values), *_points_of_run(one, examined)]
                yield from _unbalanced(one, totals, points, lasts * ratio)


def _totals(one: Alone) -> tuple[list[_Total], list[Finding]]:
    """The totals of a unit operation; what is wrong with how they are written."""
    unit, found, findings = one.unit, [], []
    try:
        entries = dict(unit.conserved(one.traced.view))
    except TiterError as error:
        first, _, rest = str(error).partition("\n")
        text = f"{unit.name}: its conserved totals cannot be formed: {first.rstrip('.')}"
        return [], [Finding(Severity.ERROR, unit.name, text, rest)]
    for key, value in entries.items():
        entry = value if isinstance(value, Conserved) else Conserved(value)
        measure = (entry.total.measure if isinstance(entry.total, Symbol) else Measure.of("1")) / Measure.of(unit.time)
        source = entry.source
        if isinstance(source, Symbol) and not source.measure.same(measure):
            text = f"{unit.name}: the source of the total {key!r} is in {source.measure.label!r}"
            mend = "A source is the rate at which the total comes from outside, per time of the unit operation."
            findings.append(Finding(Severity.ERROR, unit.name, f"{text}, expected {measure.label!r}", mend))
            continue
        found.append(_Total(key, raw(entry.total), raw(source), measure.label, entry.by_values))
    return found, findings


def _unbalanced(
    one: Alone, totals: Sequence[_Total], points: Sequence[Sequence[Any]], lasts: float
) -> Iterator[Finding]:
    """What does not hold; what would not add up to a rounding error of the total in the time it `lasts`, holds."""
    books = _books(one, totals, points)
    if not books.points:
        names = listed(repr(total.name) for total in totals)
        text = f"{one.unit.name}: whether {names} is conserved was not seen: no point with finite rates was found"
        yield Finding(Severity.NOTE, one.unit.name, text)
        return
    worst = np.abs(books.left).max(axis=1)
    rounding = np.maximum(_ROUNDING * books.turnover, 1e-14 * books.size / lasts if lasts else 0.0)
    broken = [j for j in range(len(totals)) if worst[j] > rounding[j]]
    if broken:
        yield _finding(one, totals, books, broken)


def _books(one: Alone, totals: Sequence[_Total], points: Sequence[Sequence[Any]]) -> Books:
    """What is left over of each total, and what a rate contributes to it, at points where all of it is finite."""
    t, x, z, u, p = one.symbols
    rates = ca.vertcat(ca.SX(0, 1), *one.rates.values())
    columns = [ca.vertcat(total.total, total.source) for total in totals]
    both = one.function([c for column in columns for c in (column[0], column[1])])
    value = both(t, x, z, u, p)
    weights = [ca.jacobian(value[2 * j], x).T for j in range(len(totals))]
    drift = [ca.jacobian(value[2 * j], t) for j in range(len(totals))]
    for j in range(len(totals)):
        if ca.depends_on(value[2 * j], z):
            drift[j] += _through_algebraics(one, value[2 * j])
    sources, sums = ([value[2 * j + i] for j in range(len(totals))] for i in (1, 0))
    flat = [w[i] for w in weights for i in range(x.numel())]
    numbers = one.at([*[rates[i] for i in range(x.numel())], *flat, *drift, *sources, *sums], points)
    finite = np.isfinite(numbers).all(axis=0)
    numbers, points = numbers[:, finite], [point for point, ok in zip(points, finite, strict=True) if ok]
    n, m = x.numel(), len(totals)
    rate, weight, rest = numbers[:n], numbers[n : n + m * n].reshape(m, n, -1), numbers[n + m * n :]
    share = weight * rate[None]
    drifts, fed, size = rest[:m], rest[m : 2 * m], np.abs(rest[2 * m :]).max(axis=1, initial=0.0)
    left = share.sum(axis=1) + drifts - fed
    turnover = (np.abs(share).sum(axis=1) + np.abs(drifts) + np.abs(fed)).max(
        axis=1, initial=0.0
    )  # at rest, only rounding is left
    return Books(one, points, rate, weight, share, left, turnover, size)


def _through_algebraics(one: Alone, total: ca.SX) -> ca.SX:
    """What algebraic variables contribute to a total's rate: they follow the states on their equations."""
    t, x, z, u, p = one.symbols
    rate, zero, _ = one.dae.function(t, x, z, u, p)
    follow = -ca.solve(ca.jacobian(zero, z), ca.jtimes(zero, x, rate) + ca.jacobian(zero, t))
    return ca.jtimes(total, z, follow)


def _finding(one: Alone, totals: Sequence[_Total], books: Books, broken: Sequence[int]) -> Finding:
    """One unit operation's totals that do not hold, and which change of a rate would close them."""
    unit = one.unit.name
    names = listed(repr(totals[j].name) for j in broken)
    what = f"the total{'s' if len(broken) > 1 else ''} {names} of {unit} {'do' if len(broken) > 1 else 'does'} not hold"
    worst = max(broken, key=lambda j: np.max(np.abs(books.left[j])) / books.turnover[j])
    found = suspicions(books, broken)
    lines = [_account(one, totals[worst], books, worst)]
    if not found:
        state = _largest_share(books, worst)
        text = f"{what}: {state} contributes most, and no single change of one rate would close it"
        return Finding(Severity.ERROR, state, text, "\n".join([*lines, _REMEDY]))
    ways = " or if ".join(s.text for s in found)
    it = "they close" if len(broken) > 1 else "it closes"
    return Finding(Severity.ERROR, found[0].state, f"{what}: {it} if {ways}", "\n".join([*lines, _REMEDY]))


_REMEDY = "Correct the rate, or what conserved(self, v) says of the total and its source."


def _largest_share(books: Books, j: int) -> str:
    at = int(np.argmax(np.abs(books.left[j])))
    return list(books.one.rates)[int(np.argmax(np.abs(books.share[j, :, at])))]


def _account(one: Alone, total: _Total, books: Books, j: int) -> str:
    """The balance in numbers where it is worst: what each state contributes, and what is left over."""
    at = int(np.argmax(np.abs(books.left[j])))
    share = books.share[j, :, at]
    own = len(one.unit.name) + 1
    parts = [f"{name[own:]} {value:+.3g}" for name, value in zip(one.rates, share, strict=True) if value]
    sum_ = f"At one point the rate of {total.name} is made of {listed(parts, 8)}"
    return f"{sum_}; {books.left[j, at]:.3g} {total.unit} is unexplained."


def _points_of_run(one: Alone, examined: Examined) -> list[list[Any]]:
    """Points of the simulated start, as the unit operation sees them."""
    found: list[list[Any]] = []
    dae, name = one.dae, one.unit.name
    ratio = examined.plant.measure_of_time.ratio_to(Measure.of(one.unit.time))
    for k, phase in enumerate(examined.run):
        table = phase.table()
        if name in examined.planned[k].phase.idle_names or not all(v.name in table for v in dae.states):
            continue
        fixed = examined.planned[k].fixed
        constants = [fixed.get(v.name, examined.plant.values[v.name]) for v in dae.parameters]
        last = len(phase.trajectory.time) - 1
        for i in np.unique(np.linspace(0, last, min(_RUN_POINTS, last + 1)).astype(int)).tolist():
            groups: list[Any] = [float(phase.trajectory.time[i]) * ratio]
            for group in (dae.states, dae.algebraics, dae.inputs):
                groups.append([float(table[v.name][i]) if v.name in table else np.nan for v in group])
            found.append([*groups, constants])
    return found
