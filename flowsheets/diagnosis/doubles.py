"""Is something there twice? States with one and the same balance, algebraic equations that say the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from titer.flowsheets.diagnosis.alone import Alone
from titer.flowsheets.diagnosis.examined import Examined
from titer.flowsheets.diagnosis.findings import Finding, Severity

Array = np.ndarray


def doubled(examined: Examined) -> Iterator[Finding]:
    """Twin states and twin equations of each unit operation."""
    for one in examined.alone:
        points = one.random_points(consistent=False)
        yield from _twin_states(one, one.at(list(one.rates.values()), points))
        yield from _twin_equations(one, one.at(list(one.zeros.values()), points))


def _twin_states(one: Alone, rates: Array) -> Iterator[Finding]:
    """Two states with equal rates and equal starts carry the same number for ever."""
    first: dict[bytes, int] = {}
    for j, row in enumerate(rates):
        if not np.isfinite(row).all() or not row.any():
            continue
        i = first.setdefault(_fingerprint(row), j)
        a, b = one.dae.states[i], one.dae.states[j]
        if i == j or a.unit != b.unit or a.start != b.start:
            continue
        yield Finding(
            Severity.WARNING if _namesakes(a.name, b.name) else Severity.NOTE,
            b.name,
            f"{b.name} and {a.name} have the same rate and the same start: they are one number, kept twice",
            "Remove one of them if a balance was written twice; "
            "two products of one reaction, made in equal amounts, may stay.",
        )


def _namesakes(a: str, b: str) -> bool:
    """Whether one is called like the other with something added: c_A2 and c_A. Two products have names of their own."""
    short, long = sorted((a, b), key=len)
    return "[" not in short and long.startswith(short)


def _twin_equations(one: Alone, residuals: Array) -> Iterator[Finding]:
    """Two residuals that are proportional everywhere say the same: they determine one variable less than they seem."""
    names = list(one.zeros)
    first: dict[bytes, int] = {}
    for j, row in enumerate(residuals):
        if not np.isfinite(row).all() or not row.any():
            continue
        i = first.setdefault(_fingerprint(row / row[np.argmax(np.abs(row))]), j)
        if i != j:
            text = f"{names[j]} and {names[i]} say the same: one of them determines nothing"
            mend = (
                "Replace one of them by the equation that is missing, or remove it with the variable it was meant for."
            )
            yield Finding(Severity.ERROR, names[j], text, mend)


def _fingerprint(row: Array) -> bytes:
    """The same bytes for rows that agree to rounding."""
    return b"".join(f"{value:.10e}".encode() for value in row)
