"""Which equation gives which derivative? Those linear in derivatives are solved for them, one after another.

`m dx/dt = f` gives dx/dt = f / m; where an equation has several derivatives, those known from others are put in, and
several equations with constant coefficients are solved together. What remains becomes an algebraic variable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import qr

from titer.flowsheets.pyomo.imported.expressions import (
    Item,
    Linear,
    NotLinearError,
    as_linear,
    is_zero,
    minus,
    over,
    plus,
    times,
)
from titer.flowsheets.symbols.symbol import FLOATS, Symbol

Known = Mapping[Item, Any]  # values of derivatives
Form = Callable[[int, Known], tuple[Any, Any]]  # left and right side of an equation, given some derivatives


@dataclass(frozen=True, eq=False)
class Step:
    """Equations that give derivatives: one of each, or as many with `inverse` of their constant coefficients."""

    equations: tuple[int, ...]
    items: tuple[Item, ...]
    inverse: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Slopes:
    """The steps that give derivatives, the derivatives that are `kept` as variables, and the equations that remain."""

    steps: tuple[Step, ...]
    kept: tuple[Item, ...]
    remaining: tuple[int, ...]


def plan_slopes(count: int, items: Sequence[Item], form: Form, kept_as: Callable[[Item], Any]) -> Slopes:
    """Which of `count` equations give which derivatives. `form` reads them on floats, at the start."""
    known: dict[Item, Any] = {}
    kept: list[Item] = []
    steps: list[Step] = []
    rows = list(range(count))

    def keep(items: Sequence[Item]) -> None:
        kept.extend(items)
        known.update({item: kept_as(item) for item in items})

    while True:
        unknown = [item for item in items if item not in known]
        forms: dict[int, Linear] = {}
        for row in rows:
            try:
                forms[row] = _difference(*form(row, known))
            except NotLinearError as error:
                keep([item for item in items if item in error.items])
                break
        else:
            step = _single(forms) or _together(forms, unknown)
            if step is None:
                keep(unknown)
                return Slopes(tuple(steps), tuple(kept), tuple(rows))
            known.update(_solved(step, form, known))
            steps.append(step)
            rows = [row for row in rows if row not in step.equations]


def solve_slopes(slopes: Slopes, form: Form, kept: Known) -> dict[Item, Any]:
    """The values of all derivatives, those that are `kept` given."""
    known = dict(kept)
    for step in slopes.steps:
        known.update(_solved(step, form, known))
    return known


def _difference(left: Any, right: Any) -> Linear:
    """An equation as slopes times derivatives = rest."""
    a, b = as_linear(left), as_linear(right)
    slopes = as_linear(minus(Linear(0.0, a.slopes), Linear(0.0, b.slopes))).slopes
    return Linear(minus(b.rest, a.rest), {item: slope for item, slope in slopes.items() if not is_zero(slope)})


def _solved(step: Step, form: Form, known: Known) -> dict[Item, Any]:
    forms = [_difference(*form(row, known)) for row in step.equations]
    if step.inverse is None:
        return {step.items[0]: over(forms[0].rest, forms[0].slopes[step.items[0]])}
    found = {}
    for item, row in zip(step.items, step.inverse, strict=True):
        value: Any = 0.0
        for share, linear in zip(row.tolist(), forms, strict=True):
            if share:
                value = plus(value, times(share, linear.rest))
        found[item] = value
    return found


def _single(forms: Mapping[int, Linear]) -> Step | None:
    """An equation with one unknown derivative; constant coefficients first."""
    ready = [
        (not isinstance(slope, float), row, item)
        for row, linear in forms.items()
        if len(linear.slopes) == 1
        for item, slope in linear.slopes.items()
        if _invertible(slope)
    ]
    if not ready:
        return None
    _, row, item = min(ready, key=lambda each: each[:2])
    return Step((row,), (item,))


def _together(forms: Mapping[int, Linear], unknown: Sequence[Item]) -> Step | None:
    """Equations with constant coefficients that together give all derivatives they have."""
    constant = {r: f for r, f in forms.items() if f.slopes and all(isinstance(s, float) for s in f.slopes.values())}
    for group in _groups(constant):
        items = [item for item in unknown if any(item in constant[row].slopes for row in group)]
        matrix = np.array([[constant[row].slopes.get(item, 0.0) for item in items] for row in group])
        if len(group) < len(items) or np.linalg.matrix_rank(matrix) < len(items):
            continue
        chosen = sorted(qr(matrix.T, pivoting=True)[2][: len(items)].tolist())
        inverse = np.linalg.inv(matrix[chosen])
        inverse[np.abs(inverse) < 1e-14 * np.abs(inverse).max()] = 0.0
        return Step(tuple(group[i] for i in chosen), tuple(items), inverse)
    return None


def _groups(forms: Mapping[int, Linear]) -> list[list[int]]:
    """Equations that share derivatives, directly or through others."""
    groups: list[tuple[list[int], set[Item]]] = []
    for row, linear in forms.items():
        rows, items = [row], set(linear.slopes)
        apart = []
        for group in groups:
            if group[1] & items:
                rows, items = [*group[0], *rows], group[1] | items
            else:
                apart.append(group)
        groups = [*apart, (rows, items)]
    return [sorted(rows) for rows, _ in groups]


def _invertible(slope: Any) -> bool:
    """Whether a coefficient is not zero at the start; what is not known there may be anything."""
    if not isinstance(slope, Symbol):
        return slope != 0.0
    return slope.reading is not FLOATS or math.isnan(slope.value) or slope.value != 0.0
